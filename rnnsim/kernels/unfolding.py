"""The unfolded network: states h_0..h_T, outputs, loss without gradient.

Whatever is not sequential is one large matrix product per block of steps; only the recurrence
itself is a small product per step.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.activations import activate, activate_with_slope
from rnnsim.kernels.arrays import copy, total_of
from rnnsim.kernels.jit import kernel
from rnnsim.kernels.layout import CROSS_ENTROPY, Batch, Weights
from rnnsim.kernels.losses import count_correct, softmax_cross_entropy, squared_error

_BLOCK_BYTES = 2**17  # for the hidden states of one block of steps: a part of the L2 cache


class ReadoutWork(NamedTuple):
    """Scratch for the outputs of one block: 1-D arrays, cut to the block at hand."""

    logits: np.ndarray
    peak: np.ndarray
    total: np.ndarray
    losses: np.ndarray


@kernel
def block_steps(T, B, H, itemsize):
    """How many steps make a block: a function of the sizes alone, so that results repeat."""
    return min(T, max(8, min(64, _BLOCK_BYTES // (B * H * itemsize))))


@kernel
def network(weights, n):
    """The weights of network n, without the network axis."""
    return Weights(
        weights.W_xh[n], weights.W_hh[n], weights.W_hy[n], weights.b_h[n], weights.b_y[n]
    )


@kernel
def batch_of(batch, n):
    """The data of network n, without the network axis."""
    return Batch(
        batch.inputs[min(n, batch.inputs.shape[0] - 1)],
        batch.classes[min(n, batch.classes.shape[0] - 1)],
        batch.values[min(n, batch.values.shape[0] - 1)],
        batch.loss_weights[min(n, batch.loss_weights.shape[0] - 1)],
        batch.h0[min(n, batch.h0.shape[0] - 1)],
        batch.loss,
    )


@kernel
def unfold(w, inputs, h0, activation, states, drive):
    """states[t] = h_t of one network; returns the first step whose state is not finite, or -1.

    inputs (T, B, D), h0 (B, H), states (T+1, B, H), drive (B, H) scratch.
    """
    T, B, D = inputs.shape
    H = states.shape[2]
    block = block_steps(T, B, H, states.itemsize)
    copy(h0, states[0])
    first_nonfinite = -1
    for start in range(0, T, block):
        stop = min(start + block, T)
        rows = (stop - start) * B
        projected = states[start + 1 : stop + 1].reshape(rows, H)
        np.dot(inputs[start:stop].reshape(rows, D), w.W_xh.T, projected)
        for t in range(start, stop):
            # h_{t+1} = phi(W_xh x_{t+1} + W_hh h_t + b_h)
            np.dot(states[t], w.W_hh.T, drive)
            residue = activate(activation, drive, w.b_h, states[t + 1])
            if residue != 0 and first_nonfinite < 0:
                first_nonfinite = t + 1
    return first_nonfinite


@kernel
def unfold_with_slopes(w, inputs, h0, activation, states, slopes, drive):
    """As `unfold`, and slopes[t] (T, B, H) = phi'(a_{t+1}), from the pre-activation."""
    T, B, D = inputs.shape
    H = states.shape[2]
    copy(h0, states[0])
    np.dot(inputs.reshape(T * B, D), w.W_xh.T, states[1:].reshape(T * B, H))
    first_nonfinite = -1
    for t in range(T):
        np.dot(states[t], w.W_hh.T, drive)
        residue = activate_with_slope(activation, drive, w.b_h, states[t + 1], slopes[t])
        if residue != 0 and first_nonfinite < 0:
            first_nonfinite = t + 1
    return first_nonfinite


@kernel
def readout_work(rows, V, like):
    """Scratch for blocks of up to `rows` = steps * sequences columns; `like` gives the dtype."""
    return ReadoutWork(
        np.empty(V * rows, like.dtype),
        np.empty(rows, like.dtype),
        np.empty(rows, like.dtype),
        np.empty(rows, np.float64),
    )


@kernel
def class_major_outputs(w, states, work):
    """y (V, R) = W_hy h + b_y for states (R, H), in scratch."""
    R, V = states.shape[0], w.W_hy.shape[0]
    outputs = work.logits[: V * R].reshape(V, R)
    np.dot(w.W_hy, states.T, outputs)
    for v in range(V):
        for r in range(R):
            outputs[v, r] += w.b_y[v]
    return outputs


@kernel
def score(outputs, batch, steps, loss_weights, work):
    """Losses of the columns, in work.losses; `outputs` (V, R) become their derivative.

    `steps` = (start, stop) are the steps that the columns hold; loss_weights (R,).
    """
    R = outputs.shape[1]
    losses = work.losses[:R]
    if batch.loss == CROSS_ENTROPY:
        classes = batch.classes[steps[0] : steps[1]].reshape(R)
        softmax_cross_entropy(outputs, classes, loss_weights, work.peak[:R], work.total[:R], losses)
    else:
        values = batch.values[steps[0] : steps[1]].reshape(R, outputs.shape[0])
        squared_error(outputs, values, loss_weights, losses)
    return losses


@kernel
def forward(weights, inputs, h0, activation, start, stop, states, outputs):
    """States (N, T+1, B, H) and outputs (N, T, B, V) of networks start..stop-1.

    inputs (1 or N, T, B, D), h0 (1 or N, B, H); all C-contiguous and of one dtype.
    """
    _, T, B, V = outputs.shape
    H = states.shape[3]
    drive = np.empty((B, H), states.dtype)
    for n in range(start, stop):
        w = network(weights, n)
        unfold(
            w,
            inputs[min(n, inputs.shape[0] - 1)],
            h0[min(n, h0.shape[0] - 1)],
            activation,
            states[n],
            drive,
        )
        rows = outputs[n].reshape(T * B, V)
        np.dot(states[n, 1:].reshape(T * B, H), w.W_hy.T, rows)
        for r in range(T * B):
            for v in range(V):
                rows[r, v] += w.b_y[v]


@kernel
def evaluate(weights, batch, activation, start, stop, loss, correct, first_nonfinite):
    """Loss (N,) float64 and number of right answers (N,) int64 of networks start..stop-1."""
    T, B = batch.loss_weights.shape[1:]
    H, V = weights.W_hh.shape[1], weights.W_hy.shape[1]
    states = np.empty((T + 1, B, H), weights.W_hh.dtype)
    drive = np.empty((B, H), weights.W_hh.dtype)
    block = block_steps(T, B, H, states.itemsize)
    work = readout_work(block * B, V, states)
    for n in range(start, stop):
        w, data = network(weights, n), batch_of(batch, n)
        first_nonfinite[n] = unfold(w, data.inputs, data.h0, activation, states, drive)
        loss[n], correct[n] = 0.0, 0
        for begin in range(0, T, block):
            end = min(begin + block, T)
            R = (end - begin) * B
            outputs = class_major_outputs(w, states[begin + 1 : end + 1].reshape(R, H), work)
            loss_weights = data.loss_weights[begin:end].reshape(R)
            if data.loss == CROSS_ENTROPY:
                classes = data.classes[begin:end].reshape(R)
                correct[n] += count_correct(outputs, classes, loss_weights)
            loss[n] += total_of(score(outputs, data, (begin, end), loss_weights, work)) / B
