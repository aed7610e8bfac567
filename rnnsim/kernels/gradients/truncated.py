"""Truncated backpropagation through time with any window K and stride S.

Block j holds steps jS+1..min((j+1)S, T). Its sweep starts at the block's last step with the loss of
that block and goes down to step (j+1)S-K+1. All sweeps move together: at depth d block j stands at
step (j+1)S-d, so that one depth is one matrix product over all blocks. The way back through a step
is linear and common to the sweeps that cross it, so their gradients dL/dh_t are summed first.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import add, fill, scratch
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.norms import frobenius, hypot
from rnnsim.kernels.arithmetic.products import multiply, padded, rows_from, rows_of
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.seam import pull_back
from rnnsim.kernels.gradients.backward import begin_bptt, forward_steps, mark_nonfinite
from rnnsim.kernels.gradients.backward_arrays import BackwardWork, allocate_backward
from rnnsim.kernels.gradients.blocks import add_block, outer_block, score_block, set_factors
from rnnsim.kernels.gradients.every_step import write_errors, write_state
from rnnsim.kernels.gradients.steps import arrive, gather_memories, later_size, take_final
from rnnsim.kernels.gradients.unfolding import block_steps


@by_reference
class TruncatedWork(NamedTuple):
    """Scratch of one thread; H' and A' are H and A padded.

    common: BackwardWork with the errors of all T steps; total (T+1, B, H') and memories
    (T+1, B, C*H'), the sums over sweeps of dL/dh_t and dL/dc_t. One row of sequences for each
    block: rows (J, B, H') and dc (J, B, C*H'), its gradients, and deltas (J, B, A').
    """

    common: BackwardWork
    total: np.ndarray
    memories: np.ndarray
    rows: np.ndarray
    dc: np.ndarray
    deltas: np.ndarray


@allocator
def truncated_work(weights, batch, stride, cell=0, above=0):
    """Scratch for `truncated_bptt` at one stride: one for each thread, reused for every network.

    above: as in `allocate_backward`.
    """
    A, H = weights.b_h.shape[1], weights.W_hh.shape[2]
    T, B = batch.inputs.shape[1], batch.inputs.shape[2]
    like, J = weights.W_hh, (T + stride - 1) // stride
    width, memory = padded(H, like), later_size(cell, H, like)
    return TruncatedWork(
        allocate_backward(weights, batch, T, T, block_steps(T, B, H, like.itemsize), cell, above),
        scratch((T + 1, B, width), like),
        scratch((T + 1, B, memory), like),
        scratch((J, B, width), like),
        scratch((J, B, memory), like),
        scratch((J, B, padded(A + above, like)), like),
    )


@allocator
def depths(T, window, stride):
    """The depths (first, last + 1) at which some sweep has a step to visit."""
    J = (T + stride - 1) // stride
    return max(0, stride - T), min(window, J * stride)


@kernel
def truncated_bptt(weights, batch, cell, window, stride, start, stop, work, out):
    """Loss and truncated gradient of networks start..stop-1; arguments as in `bptt`."""
    first, last = depths(batch.inputs.shape[1], window, stride)
    for n in range(start, stop):
        begin_truncated(weights, batch, cell, n, work, out)
        sweep_depths(cell, window, stride, first, last, work)
        end_truncated(batch, cell, n, work, out)


@kernel
def begin_truncated(weights, batch, cell, n, work, out):
    """Forward pass and losses of network n."""
    T = batch.inputs.shape[1]
    start_truncated(weights, batch, n, work, out)
    forward_steps(batch, cell, n, 0, T, work.common)
    score_block(batch, 0, T, 0, n, work.common, out)


@kernel
def start_truncated(weights, batch, n, work, out):
    """Nothing is done yet for network n."""
    begin_bptt(weights, batch, n, work.common, out)
    fill(work.total, 0)
    fill(work.memories, 0)
    fill(work.rows, 0)
    fill(work.dc, 0)
    B, H = work.dc.shape[1], work.common.checkpoints.shape[2]
    take_final(work.common.final, n, H, 1.0 / B, work.dc[-1])  # of the last sweep: it is at T


@kernel
def sweep_depths(cell, window, stride, first, last, work):
    """Move all sweeps of a network from depth `first` up to, not including, depth `last`."""
    common, rows, dc, deltas = work.common, work.rows, work.dc, work.deltas
    J, B, _ = rows.shape
    T, H, A = common.scored.size, common.checkpoints.shape[2], common.recurrent.shape[0]
    trace, kept, panels = common.forward.trace, common.forward.kept, common.backward
    memory = common.memories.shape[2]
    for d in range(first, last):
        lowest = d // stride  # the first block whose sweep is still at step 1 or later
        highest = min((T + d) // stride, J)  # the last whose sweep has begun, plus 1
        for j in range(lowest, highest):
            t = (j + 1) * stride - d
            if d < stride and common.scored[t - 1]:
                add_direct(t, j, work)
            add(rows[j], work.total[t])
            add(dc[j], work.memories[t])
            pull_back(cell, rows[j], dc[j], trace, kept, t, deltas, j, 0, H)
        if (lowest + 1) * stride - d == 1 and lowest < highest:
            multiply(rows_from(deltas, lowest), B, 0, A, panels, rows_from(rows, lowest))
            arrive(rows[lowest], dc[lowest], memory, 0, H)
            add(rows[lowest], work.total[0])
            add(dc[lowest], work.memories[0])
            lowest += 1
        if d + 1 < window and lowest < highest:
            count = (highest - lowest) * B
            multiply(rows_from(deltas, lowest), count, 0, A, panels, rows_from(rows, lowest))
            for j in range(lowest, highest):
                arrive(rows[j], dc[j], memory, 0, H)


@kernel
def add_direct(t, j, work):
    """rows[j] += dL_t/dh_t = W_hy^T dL/dy_t."""
    common = work.common
    gradient, panels, A = common.gradient, common.backward, common.recurrent.shape[0]
    into, depth = rows_of(gradient, 0), A + common.forward.sizes[2]
    multiply(rows_from(common.errors, t), gradient.shape[0], A, depth, panels, into)
    add(gradient, work.rows[j])


@kernel
def end_truncated(batch, cell, n, work, out):
    """Turn the summed dL/dh_t of network n into gradients and norms."""
    T = batch.inputs.shape[1]
    end_steps(cell, n, 0, T, work, out)
    end_products(n, 0, T, work, out)
    finish_truncated(n, work, out)


@kernel
def end_steps(cell, n, first, last, work, out):
    """Norms and errors of steps first+1..last."""
    common, total, memories = work.common, work.total, work.memories
    H, trace, kept = common.checkpoints.shape[2], common.forward.trace, common.forward.kept
    for t in range(first + 1, last + 1):
        out.state_norms[n, t] = hypot(frobenius(total[t]), frobenius(memories[t]))
        if out.each.states.size > 0:
            write_state(total[t], memories[t], 0, H, out.each.states[n, t])
        pull_back(cell, total[t], memories[t], trace, kept, t, common.errors, t - 1, 0, H)


@kernel
def end_products(n, first, last, work, out):
    """Add the gradients of steps first+1..last, whole blocks but at the end."""
    common, block = work.common, work.common.factors.shape[1]
    for begin in range(first, last, block):
        count = min(block, last - begin)
        set_factors(begin, count, n, common, out)
        outer_block(begin, count, begin, 0, 1, common)
        add_block(begin, count, begin, n, common, out)
        if out.each.errors.size > 0:
            A, written = common.recurrent.shape[0], out.each.errors[n, begin : begin + count]
            write_errors(common.errors, count, begin, 0, written.shape[1], A, written)


@kernel
def finish_truncated(n, work, out):
    """The gradient at the first state of network n, and where it left the range."""
    total, memories, H = work.total, work.memories, work.common.checkpoints.shape[2]
    out.state_norms[n, 0] = hypot(frobenius(total[0]), frobenius(memories[0]))
    for b in range(total.shape[1]):
        for i in range(H):
            out.h0[n, b, i] = total[0, b, i]
        gather_memories(memories[0, b], H, out.h0[n], b)
    if out.each.states.size > 0:
        write_state(total[0], memories[0], 0, H, out.each.states[n, 0])
    mark_nonfinite(n, work.common.marks[1], out)
