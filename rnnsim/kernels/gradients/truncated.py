"""Truncated backpropagation through time with any window K and stride S.

Block j holds steps jS+1..min((j+1)S, T). Its sweep starts at the block's last step with the loss of
that block and goes down to step (j+1)S-K+1. All sweeps move together: at depth d block j stands at
step (j+1)S-d, so that one depth is one matrix product over all blocks. The factor phi' of a step is
common to the sweeps that cross it, so their gradients dL/dh_t are summed first.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import add, fill
from rnnsim.kernels.arithmetic.functions import through_activation
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.norms import frobenius
from rnnsim.kernels.arithmetic.products import Rows, multiply, padded
from rnnsim.kernels.gradients.backward import (
    BackwardWork,
    add_block,
    allocate_backward,
    begin_bptt,
    forward_steps,
    mark_nonfinite,
    outer_block,
    score_block,
    set_factors,
)
from rnnsim.kernels.gradients.unfolding import block_steps


class TruncatedWork(NamedTuple):
    """Scratch of one thread; H' is H padded.

    common: BackwardWork with the errors of all T steps; total (T+1, B, H'), the sum over sweeps of
    dL/dh_t; rows and spare (J, B, H'), one row of sequences for each block.
    """

    common: BackwardWork
    total: np.ndarray
    rows: np.ndarray
    spare: np.ndarray


@allocator
def truncated_work(weights, batch, stride):
    """Scratch for `truncated_bptt` at one stride: one for each thread, reused for every network."""
    H, T, B = weights.W_hh.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    like = weights.W_hh
    J, width = (T + stride - 1) // stride, padded(H, like)
    return TruncatedWork(
        allocate_backward(weights, batch, T, T, block_steps(T, B, H, like.itemsize)),
        np.zeros((T + 1, B, width), like.dtype),
        np.zeros((J, B, width), like.dtype),
        np.zeros((J, B, width), like.dtype),
    )


@allocator
def depths(T, window, stride):
    """The depths (first, last + 1) at which some sweep has a step to visit."""
    J = (T + stride - 1) // stride
    return max(0, stride - T), min(window, J * stride)


@kernel
def truncated_bptt(weights, batch, activation, window, stride, start, stop, work, out):
    """Loss and truncated gradient of networks start..stop-1; arguments as in `bptt`."""
    first, last = depths(batch.inputs.shape[1], window, stride)
    for n in range(start, stop):
        begin_truncated(weights, batch, activation, n, work, out)
        sweep_depths(activation, window, stride, first, last, work)
        end_truncated(batch, activation, n, work, out)


@kernel
def begin_truncated(weights, batch, activation, n, work, out):
    """Forward pass and losses of network n."""
    T = batch.inputs.shape[1]
    begin_bptt(weights, batch, n, work.common, out)
    forward_steps(batch, activation, n, 0, T, work.common)
    score_block(batch, 0, T, 0, n, work.common, out)
    fill(work.total, 0)
    fill(work.rows, 0)


@kernel
def sweep_depths(activation, window, stride, first, last, work):
    """Move all sweeps of a network from depth `first` up to, not including, depth `last`."""
    common, rows, spare = work.common, work.rows, work.spare
    J, B, width = rows.shape
    T, H = common.carries.size, common.checkpoints.shape[2]
    flat_rows, flat_spare = rows.reshape(rows.size), spare.reshape(spare.size)
    trace, panels = common.forward.trace, common.backward
    for d in range(first, last):
        lowest = d // stride  # the first block whose sweep is still at step 1 or later
        highest = min((T + d) // stride, J)  # the last whose sweep has begun, plus 1
        for j in range(lowest, highest):
            t = (j + 1) * stride - d
            if d < stride and common.carries[t - 1]:
                _add_direct(t, j, work)
            add(rows[j], work.total[t])
            through_activation(activation, rows[j], trace, t, spare, j, 0, H)
        if (lowest + 1) * stride - d == 1 and lowest < highest:
            at = lowest * B * width
            multiply(Rows(flat_spare, at, width), B, 0, H, panels, Rows(flat_rows, at, width))
            add(rows[lowest], work.total[0])
            lowest += 1
        if d + 1 < window and lowest < highest:
            at, count = lowest * B * width, (highest - lowest) * B
            multiply(Rows(flat_spare, at, width), count, 0, H, panels, Rows(flat_rows, at, width))


@kernel
def _add_direct(t, j, work):
    """rows[j] += dL_t/dh_t = W_hy^T dL/dy_t."""
    common = work.common
    errors, pre, H = common.errors, common.forward.pre, common.checkpoints.shape[2]
    B, width = errors.shape[1:]
    dy, out = Rows(errors.reshape(errors.size), t * B * width, width), pre.reshape(pre.size)
    multiply(dy, B, H, common.backward.shape[1], common.backward, Rows(out, 0, pre.shape[1]))
    add(pre, work.rows[j])


@kernel
def end_truncated(batch, activation, n, work, out):
    """Turn the summed dL/dh_t of network n into gradients and norms."""
    common = work.common
    T, block, H = batch.inputs.shape[1], common.factors.shape[1], common.checkpoints.shape[2]
    trace = common.forward.trace
    for t in range(1, T + 1):
        out.state_norms[n, t] = frobenius(work.total[t])
        through_activation(activation, work.total[t], trace, t, common.errors, t - 1, 0, H)
    for first in range(0, T, block):
        count = min(block, T - first)
        set_factors(first, first, 0, count, common)
        outer_block(first, count, first, 0, 1, common)
        add_block(first, count, n, common, out)
    out.state_norms[n, 0] = frobenius(work.total[0])
    for b in range(work.total.shape[1]):
        for i in range(H):
            out.h0[n, b, i] = work.total[0, b, i]
    mark_nonfinite(n, common.marks[1], out)
