"""What every algorithm asks of a cell; resolved by the type of the cell, its first argument.

A cell is elementwise: it maps pre-activations to states, and gradients of states to gradients of
pre-activations, unit by unit. All that is linear belongs to the algorithms: the same products serve
every cell, ``[h, 1, x] x panels``, ``errors x panels`` and ``errors^T x trace``, with A rows of
pre-activations. A cell is an int (vanilla, its activation) or a NamedTuple of numbers.

Sizes: B sequences, H units, S = (1+M)*H numbers of a state, M memories (the part of the state that
meets no weight). Rows of scratch are padded to whole vectors: H' and A'. The numbers that a step
keeps for its way back are one row of `kept` (., B, K*H'): K blocks of H', the memories first.
"""

from rnnsim.kernels.arithmetic.jit import by_cell


@by_cell
def sizes(cell):
    """(M, C, K) for each unit: memories, numbers that a step hands back beside its products
    (gradients of the memories, then what is added to that of h), numbers that a step keeps.
    """


@by_cell
def blocks(cell):
    """(of W_hh, of W_xh): which block of H of their rows makes each block of the A rows of
    pre-activations; -1 where none does. Both name a gate, and gates come in their order.
    """


@by_cell
def advance(cell, pre, before, state, kept, t, first, H):
    """One step: state (b, H') from pre (b, A'), for sequences first, first+1, ...

    h_{t-1} = before[first + b, :H]. The numbers that the way back needs go into kept[t, first + b];
    the memories that the step starts from stand in kept[t - 1, first + b].
    """


@by_cell
def pull_back(cell, gradient, later, states, kept, t, errors, s, first, H):
    """One step back: errors[s, first + b] = dl/da_t from gradient (b, H') = dl/dh_t.

    later[first + b] (C*H') holds the gradient of the memories of step t, of what they do later than
    h_t, and becomes what step t hands back to t-1. h_t = states[t, first + b, :H].
    """


@by_cell
def along_memories(cell, gradient, path, kept, t, first, H):
    """One step back through the memories alone: path (b, M*H') of step t becomes that of t-1.

    What enters at h_t is gradient (b, H'), or nothing where that is of size 0.
    """


@by_cell
def jacobian(cell, W_hh, kept, t, b, scratch):
    """The Jacobian of step t and sequence b as (matrix, scales, rank): J = diag(scales) matrix.

    Its rank is at most `rank`, by what is exactly 0 in it. scratch (S+1, S) is room for both.
    """


@by_cell
def gates(cell, pre, values, odds, H):
    """What the gates of one step are: values (b, G*H) from pre (b, A'), blocks in their order.

    odds (b, G*H) = ln (v - least) / (most - v), v between least and most: a of sigma(a), 2a of
    tanh(a). They have the digits that v loses near its ends. Cells without gates have none of this.
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
    """The sum over units of phi'(a_t), and how many of them are exactly 0 by the state.

    NaN of cells whose steps have no single slope.
    """
