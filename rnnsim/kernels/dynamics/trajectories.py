"""Along a trajectory that is known: what its steps keep, their Jacobians, gradients taken back.

For a cell that keeps its slopes (`lasting`), so that saturation costs no digits.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, scratch
from rnnsim.kernels.arithmetic.functions import log_normal
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.norms import (
    LN2,
    exponent_of,
    frobenius,
    hypot,
    rescale,
    times_power_of_two,
)
from rnnsim.kernels.arithmetic.products import (
    empty_panels,
    multiply,
    padded,
    rows_from,
    rows_of,
)
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.seam import (
    advance,
    jacobian,
    lasting,
    pull_back,
    recall,
)
from rnnsim.kernels.gradients.steps import (
    arrive,
    block_table,
    gather_memories,
    kept_size,
    later_size,
    network,
    pack_back,
    pack_steps,
    put_inputs,
    spread_memories,
)

# Rows are held at norms of this power of two, so that slopes of 1e-307 take no digits from them.
_HELD = 400


@allocator
def kept_arrays(N, T, B, H, like, cell):
    """Room for what T steps of N networks keep: (N, T+1, B, K*H'), row 0 before the first step."""
    return scratch((N, T + 1, B, kept_size(lasting(cell), H, like)), like)


@kernel
def retrace(weights, inputs, states, cell, n, work, kept):
    """kept[n] from the states of network n, which each step is taken from anew.

    inputs (1 or N, T, B, D), states (N, T+1, B, S), kept from `kept_arrays`, work from `step_work`
    for one step of the lasting cell. No rounding of a step has a part in another.
    """
    lasts, (T, B), H = lasting(cell), inputs.shape[1:3], weights.W_hh.shape[2]
    pre, panels = work.pre, work.recurrent
    out = rows_of(pre, 0)
    pack_steps(network(weights, n), work)
    for t in range(T):
        put_inputs(inputs[min(n, inputs.shape[0] - 1)], t, work, 0, H)
        for b in range(B):
            for i in range(H):
                work.trace[0, b, i] = states[n, t, b, i]
            spread_memories(states[n, t], b, H, kept[n, t, b])
        multiply(rows_from(work.trace, 0), B, 0, panels.shape[1], panels, out)
        recall(lasts, pre, states[n, t + 1])
        advance(lasts, pre, work.trace[0], work.state, kept[n], t + 1, 0, H)
    for b in range(B):
        spread_memories(states[n, T], b, H, kept[n, T, b])


@kernel
def step_jacobians(weights, kept, cell, n, scratch, out):
    """out[n] (T, B, S, S): the Jacobian of every step of network n, from what `retrace` kept."""
    lasts = lasting(cell)
    for t in range(out.shape[1]):
        for b in range(out.shape[2]):
            matrix, scales, _ = jacobian(lasts, weights.W_hh[n], kept[n], t + 1, b, scratch)
            for i in range(out.shape[3]):
                for j in range(out.shape[4]):
                    out[n, t, b, i, j] = scales[i] * matrix[i, j]


@kernel
def jacobians_at(weights, kept, cell, networks, sequences, t, scratch, out):
    """out (G, S, S): the Jacobians of step t of these networks and sequences, (G,) int64 each."""
    lasts = lasting(cell)
    for g in range(out.shape[0]):
        n = networks[g]
        matrix, scales, _ = jacobian(lasts, weights.W_hh[n], kept[n], t, sequences[g], scratch)
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[g, i, j] = scales[i] * matrix[i, j]


@by_reference
class RowWork(NamedTuple):
    """Gradients on their way back, in one network: S of B sequences each, in units of 2^exponents.

    rows (S, B, H') = dl_i/dh_t, dc (S, B, C*H') = dl_i/dc_t, deltas (S, B, A') = dl_i/da_t,
    arriving (S, B, D') = dl_i/dx_t; exponents (S, B) int64; blocks: `block_table`; W_hh and W_xh
    packed.
    """

    rows: np.ndarray
    dc: np.ndarray
    deltas: np.ndarray
    arriving: np.ndarray
    exponents: np.ndarray
    blocks: np.ndarray
    W_hh: np.ndarray
    W_xh: np.ndarray


@allocator
def row_work(weights, S, B, cell):
    """Scratch for `take_back`."""
    A, D, H = weights.b_h.shape[1], weights.W_xh.shape[2], weights.W_hh.shape[2]
    like = weights.W_hh
    return RowWork(
        scratch((S, B, padded(H, like)), like),
        scratch((S, B, later_size(cell, H, like)), like),
        scratch((S, B, padded(A, like)), like),
        scratch((S, B, padded(D, like)), like),
        np.zeros((S, B), np.int64),
        block_table(cell),
        empty_panels(A, H, like),
        empty_panels(A, D, like),
    )


@kernel
def set_rows(weights, n, gradients, exponents, work):
    """Begin with gradients (R, B, S), in units of 2^exponents (R, B), at states of network n."""
    (R, B, _), H = gradients.shape, weights.W_hh.shape[2]
    pack_back(weights.W_hh[n], work.blocks[0], H, 0, work.W_hh)
    pack_back(weights.W_xh[n], work.blocks[1], H, 0, work.W_xh)
    fill(work.dc, 0)
    for i in range(R):
        for b in range(B):
            work.exponents[i, b] = exponents[i, b]
            for j in range(H):
                work.rows[i, b, j] = gradients[i, b, j]
            spread_memories(gradients[i], b, H, work.dc[i, b])
    _hold(0, work)


@kernel
def get_rows(work, gradients):
    """gradients (R, B, S) = where the rows are now, in units of 2^work.exponents."""
    H = _units(work)
    for i in range(gradients.shape[0]):
        for b in range(gradients.shape[1]):
            for j in range(H):
                gradients[i, b, j] = work.rows[i, b, j]
            gather_memories(work.dc[i, b], H, gradients[i], b)


@kernel
def _units(work):
    """H, of a RowWork."""
    return work.W_hh.shape[1] // work.blocks.shape[1]


@kernel
def take_back(cell, states, kept, steps, high, low, work, norms, input_norms):
    """Rows i of step steps[i], ascending, from step `high`, none later, down to step `low`.

    states (T+1, B, S) and kept (T+1, B, .) of the network. norms (S, B, T+1): ln of the norms at
    the states of steps high..low, from the row's own step on; input_norms (S, B, T) or of size 0:
    at the inputs of steps high..low+1. -inf for an exact 0, NaN beyond the range.
    """
    lasts, (S, B, _), first = lasting(cell), work.rows.shape, steps.size
    rows, dc, deltas = work.rows, work.dc, work.deltas
    H = _units(work)
    memory = (states.shape[2] - H) // H * rows.shape[2]
    for t in range(high, low - 1, -1):
        while first > 0 and steps[first - 1] >= t:
            first -= 1
        for i in range(first, S):
            for b in range(B):
                norms[i, b, t] = _log_norm(_size(i, b, work), work.exponents[i, b])
        if t == low or first == S:
            continue
        for i in range(first, S):
            pull_back(lasts, rows[i], dc[i], states, kept, t, deltas, i, 0, H)
        count, source = (S - first) * B, rows_from(deltas, first)
        depth = work.W_hh.shape[1]
        if input_norms.size > 0:
            multiply(source, count, 0, depth, work.W_xh, rows_from(work.arriving, first))
            for i in range(first, S):
                for b in range(B):
                    size = frobenius(work.arriving[i, b].reshape(1, -1))
                    input_norms[i, b, t - 1] = _log_norm(size, work.exponents[i, b])
        multiply(source, count, 0, depth, work.W_hh, rows_from(rows, first))
        for i in range(first, S):
            arrive(rows[i], dc[i], memory, 0, H)
        _hold(first, work)


@kernel
def _size(i, b, work):
    """The norm of one row, of h and memories."""
    row, memories = work.rows[i, b].reshape(1, -1), work.dc[i, b].reshape(1, -1)
    return hypot(frobenius(row), frobenius(memories))


@kernel
def _log_norm(size, exponent):
    """ln(size * 2^exponent); of both powers of two together, as they may cancel."""
    if 0.0 < size < np.inf:
        own = exponent_of(size)
        return log_normal(times_power_of_two(size, -own)) + (exponent + own) * LN2
    return -np.inf if size == 0.0 else np.nan


@kernel
def _hold(first, work):
    """Bring rows first, first+1, ... to norms of about 2^_HELD."""
    S, B, _ = work.rows.shape
    for i in range(first, S):
        for b in range(B):
            size = _size(i, b, work)
            if 0.0 < size < np.inf:
                shift = exponent_of(size) - _HELD
                rescale(work.rows[i, b].reshape(1, -1), -shift)
                rescale(work.dc[i, b].reshape(1, -1), -shift)
                work.exponents[i, b] += shift
