"""Truncated backpropagation through time with any window K and stride S.

Block j holds steps jS+1..min((j+1)S, T). Its sweep starts at the block's last step with the loss of
that block and goes down to step (j+1)S-K+1. All sweeps move together: at depth d block j stands at
step (j+1)S-d, so that one depth is one matrix product over all blocks. The factor phi' of a step is
common to the sweeps that cross it, so their gradients dL/dh_t are summed first.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.activations import through_activation
from rnnsim.kernels.arrays import add, copy, fill
from rnnsim.kernels.backward import (
    BackwardWork,
    add_block,
    backward_work,
    clear,
    first_nonfinite,
    score_block,
)
from rnnsim.kernels.jit import kernel
from rnnsim.kernels.norms import frobenius
from rnnsim.kernels.unfolding import batch_of, network, unfold


class TruncatedWork(NamedTuple):
    """Scratch of one thread.

    common: BackwardWork; direct (T, B, H) = dL_t/dh_t; total (T+1, B, H), the sum over sweeps of
    dL/dh_t; rows and spare (J, B, H), one row of sequences for each block; nonfinite (1,).
    """

    common: BackwardWork
    direct: np.ndarray
    total: np.ndarray
    rows: np.ndarray
    spare: np.ndarray
    nonfinite: np.ndarray


@kernel
def truncated_work(weights, batch, stride):
    """Scratch for `truncated_bptt` at one stride: one for each thread, reused for every network."""
    H, T, B = weights.W_hh.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    dtype = weights.W_hh.dtype
    J = (T + stride - 1) // stride
    return TruncatedWork(
        backward_work(weights, batch),
        np.empty((T, B, H), dtype),
        np.empty((T + 1, B, H), dtype),
        np.empty((J, B, H), dtype),
        np.empty((J, B, H), dtype),
        np.empty(1, np.int64),
    )


@kernel
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
        sweep_depths(weights, batch, activation, window, stride, n, first, last, work)
        end_truncated(batch, activation, n, work, out)


@kernel
def begin_truncated(weights, batch, activation, n, work, out):
    """Forward pass, losses and readout of network n."""
    w, data, common = network(weights, n), batch_of(batch, n), work.common
    work.nonfinite[0] = unfold(w, data.inputs, data.h0, activation, common.states, common.drive)
    clear(out, n)
    T, block = data.inputs.shape[0], common.deltas.shape[0]
    for begin in range(0, T, block):
        end = min(begin + block, T)
        score_block(w, data, begin, end, common, work.direct[begin:end], out, n)
    fill(work.total, 0)
    fill(work.rows, 0)


@kernel
def sweep_depths(weights, batch, activation, window, stride, n, first, last, work):
    """Move all sweeps of network n from depth `first` up to, not including, depth `last`."""
    T, B, H = work.direct.shape
    J = work.rows.shape[0]
    W_hh, states = weights.W_hh[n], work.common.states
    rows, spare = work.rows, work.spare
    for d in range(first, last):
        lowest = d // stride  # the first block whose sweep is still at step 1 or later
        highest = min((T + d) // stride, J)  # the last whose sweep has begun, plus 1
        for j in range(lowest, highest):
            t = (j + 1) * stride - d
            if d < stride:
                add(work.direct[t - 1], rows[j])
            add(rows[j], work.total[t])
            through_activation(activation, rows[j], states[t], spare[j])
        if (lowest + 1) * stride - d == 1 and lowest < highest:
            np.dot(spare[lowest], W_hh, rows[lowest])
            add(rows[lowest], work.total[0])
            lowest += 1
        if d + 1 < window and lowest < highest:
            count = (highest - lowest) * B
            np.dot(
                spare[lowest:highest].reshape(count, H),
                W_hh,
                rows[lowest:highest].reshape(count, H),
            )


@kernel
def end_truncated(batch, activation, n, work, out):
    """Turn the summed dL/dh_t of network n into gradients and norms."""
    data, common = batch_of(batch, n), work.common
    T, block = data.inputs.shape[0], common.deltas.shape[0]
    for begin in range(0, T, block):
        end = min(begin + block, T)
        deltas = common.deltas[: end - begin]
        for t in range(begin, end):
            out.state_norms[n, t + 1] = frobenius(work.total[t + 1])
            through_activation(
                activation, work.total[t + 1], common.states[t + 1], deltas[t - begin]
            )
        add_block(data, begin, end, common, deltas, out, n)
    copy(work.total[0], out.h0[n])
    out.state_norms[n, 0] = frobenius(work.total[0])
    out.first_nonfinite[n] = first_nonfinite(out, n, work.nonfinite[0])
