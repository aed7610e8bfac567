"""What every algorithm asks of a cell; resolved by the type of the cell, its first argument.

A cell is elementwise: it maps pre-activations to states, and gradients of states to gradients of
pre-activations, unit by unit. All that is linear belongs to the algorithms: the same products serve
every cell, ``[h, 1, x] x panels``, ``errors x panels`` and ``errors^T x trace``, with A = G*H gate
rows. A cell is an int (vanilla, its activation) or a NamedTuple of numbers.

Sizes: B sequences, H units, G gates, M memories (the part of the state that meets no weight). Rows
of scratch are padded to whole vectors: H' and A'. The numbers that a step keeps for its way back
are one row of `kept` (., B, K*H'): K blocks of H', the memories first.
"""

from rnnsim.kernels.arithmetic.jit import by_cell


@by_cell
def sizes(cell):
    """(G, M, K): gate rows, memories, and numbers that a step keeps, for each unit."""


@by_cell
def advance(cell, pre, state, kept, t, first, H):
    """One step: state (b, H') from pre (b, A'), for sequences first, first+1, ...

    The numbers that the way back needs go into kept[t, first + b]; the memories that the step
    starts from stand in kept[t - 1, first + b].
    """


@by_cell
def pull_back(cell, gradient, later, states, kept, t, errors, s, first, H):
    """One step back: errors[s, first + b] = dl/da_t from gradient (b, H') = dl/dh_t.

    later[first + b] (M*H') holds the gradient of the memories of step t, of what they do later
    than h_t, and becomes that of step t-1. h_t = states[t, first + b, :H].
    """


@by_cell
def jacobian(cell, W_hh, kept, t, b, scratch):
    """The Jacobian of step t and sequence b as (matrix, scales): J = diag(scales) matrix.

    scratch (S+1, S), for the S = (1+M)*H numbers of a state, is room for both.
    """


@by_cell
def lasting(cell):
    """The same cell, keeping its slopes: exact also where units saturate."""


@by_cell
def recall(cell, pre, after):
    """Where a step is taken again from rounded states: pre (b, A') agrees with its outcome (b, H).

    What a cell does at a kink must not depend on rounding.
    """


@by_cell
def slope_sums(cell, kept, states, t, b, H):
    """The sum over units of phi'(a_t), and how many of them are exactly 0 by the state."""
