"""Backpropagation through time: the weights are shared, so every step's own gradient is added up.

With temporal variables W^(t), dL/dW = sum_t dL/dW^(t); the norm of every term is kept.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.activations import through_activation
from rnnsim.kernels.arrays import add, copy, fill, residue, total_of
from rnnsim.kernels.jit import kernel
from rnnsim.kernels.layout import Weights
from rnnsim.kernels.norms import frobenius, outer_norm, outer_scratch
from rnnsim.kernels.unfolding import (
    ReadoutWork,
    batch_of,
    block_steps,
    class_major_outputs,
    network,
    readout_work,
    score,
    unfold,
)


class StepNorms(NamedTuple):
    """||dL/dW^(t)||_F for t = 1..T, each (N, T) float64."""

    W_xh: np.ndarray
    W_hh: np.ndarray
    W_hy: np.ndarray


class GradientArrays(NamedTuple):
    """What a backward pass returns; `weights` holds dL/dW in the shapes of the weights.

    loss (N,) float64, h0 (N, B, H), step_norms, state_norms (N, T+1) = ||dL/dh_t||_F for t = 0..T,
    first_nonfinite (N,) int64.
    """

    loss: np.ndarray
    weights: Weights
    h0: np.ndarray
    step_norms: StepNorms
    state_norms: np.ndarray
    first_nonfinite: np.ndarray


class BackwardWork(NamedTuple):
    """Scratch of one thread, for one network at a time.

    states (T+1, B, H), drive (B, H), carry (B, H) = dL/dh_t, deltas (block, B, H), readout, product
    (1-D, the largest weight matrix), column (B, V), scratch (1-D, for norms of outer products).
    """

    states: np.ndarray
    drive: np.ndarray
    carry: np.ndarray
    deltas: np.ndarray
    readout: ReadoutWork
    product: np.ndarray
    column: np.ndarray
    scratch: np.ndarray


@kernel
def gradient_arrays(weights, batch):
    """Results for an ensemble, to be filled by `bptt` or `truncated_bptt`."""
    N, H, D = weights.W_xh.shape
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    dtype = weights.W_hh.dtype
    return GradientArrays(
        np.empty(N, np.float64),
        Weights(
            np.empty((N, H, D), dtype),
            np.empty((N, H, H), dtype),
            np.empty((N, V, H), dtype),
            np.empty((N, H), dtype),
            np.empty((N, V), dtype),
        ),
        np.empty((N, B, H), dtype),
        StepNorms(np.empty((N, T)), np.empty((N, T)), np.empty((N, T))),
        np.empty((N, T + 1)),
        np.empty(N, np.int64),
    )


@kernel
def backward_work(weights, batch):
    """Scratch for `bptt`: one for each thread, reused for every network."""
    _, H, D = weights.W_xh.shape
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    dtype = weights.W_hh.dtype
    block = block_steps(T, B, H, weights.W_hh.itemsize)
    scratch = max(outer_scratch(B, H, H), outer_scratch(B, H, D), outer_scratch(B, V, H))
    return BackwardWork(
        np.empty((T + 1, B, H), dtype),
        np.empty((B, H), dtype),
        np.empty((B, H), dtype),
        np.empty((block, B, H), dtype),
        readout_work(block * B, V, weights.W_hh),
        np.empty(H * max(H, D, V), dtype),
        np.empty((B, V), dtype),
        np.empty(scratch, dtype),
    )


@kernel
def bptt(weights, batch, activation, start, stop, work, out):
    """Loss and full gradient of networks start..stop-1: exact backpropagation through time.

    weights: Weights (N, ...), batch: Batch, activation: TANH, RELU or LINEAR, work from
    `backward_work`, out from `gradient_arrays`.
    """
    for n in range(start, stop):
        w, data = network(weights, n), batch_of(batch, n)
        nonfinite = unfold(w, data.inputs, data.h0, activation, work.states, work.drive)
        clear(out, n)
        T, block = data.inputs.shape[0], work.deltas.shape[0]
        fill(work.carry, 0)
        for stop_step in range(T, 0, -block):
            begin = max(stop_step - block, 0)
            deltas = work.deltas[: stop_step - begin]
            score_block(w, data, begin, stop_step, work, deltas, out, n)
            for t in range(stop_step - 1, begin - 1, -1):
                # dL/dh = dL_t/dh + W_hh^T delta_{t+1};  delta_t = dL/dh * phi'(a_t)
                add(deltas[t - begin], work.carry)
                out.state_norms[n, t + 1] = frobenius(work.carry)
                through_activation(activation, work.carry, work.states[t + 1], deltas[t - begin])
                np.dot(deltas[t - begin], w.W_hh, work.carry)
            add_block(data, begin, stop_step, work, deltas, out, n)
        copy(work.carry, out.h0[n])
        out.state_norms[n, 0] = frobenius(work.carry)
        out.first_nonfinite[n] = first_nonfinite(out, n, nonfinite)


@kernel
def clear(out, n):
    """Zero what is summed up over blocks."""
    out.loss[n] = 0.0
    fill(out.weights.W_xh[n], 0)
    fill(out.weights.W_hh[n], 0)
    fill(out.weights.W_hy[n], 0)
    fill(out.weights.b_h[n], 0)
    fill(out.weights.b_y[n], 0)


@kernel
def score_block(w, data, begin, end, work, direct, out, n):
    """Loss and readout gradient of steps begin+1..end; direct[t] (., B, H) = dL_t/dh_t."""
    B, H = work.carry.shape
    R, V = (end - begin) * B, w.W_hy.shape[0]
    states = work.states[begin + 1 : end + 1].reshape(R, H)
    outputs = class_major_outputs(w, states, work.readout)
    losses = score(
        outputs, data, (begin, end), data.loss_weights[begin:end].reshape(R), work.readout
    )
    out.loss[n] += total_of(losses) / B
    for v in range(V):
        for r in range(R):
            outputs[v, r] /= B
        out.weights.b_y[n, v] += total_of(outputs[v])
    product = work.product[: V * H].reshape(V, H)
    np.dot(outputs, states, product)
    add(product, out.weights.W_hy[n])
    np.dot(outputs.T, w.W_hy, direct.reshape(R, H))
    for t in range(begin, end):
        columns = outputs[:, (t - begin) * B : (t - begin + 1) * B]
        for v in range(V):
            for b in range(B):
                work.column[b, v] = columns[v, b]
        out.step_norms.W_hy[n, t] = outer_norm(work.column, work.states[t + 1], work.scratch)


@kernel
def add_block(data, begin, end, work, deltas, out, n):
    """Add dL/dW^(t) of steps begin+1..end to the gradient; deltas[t] (., B, H) = dL/da_t."""
    B, H = work.carry.shape
    R, D = (end - begin) * B, data.inputs.shape[2]
    rows = deltas.reshape(R, H)
    product = work.product[: H * H].reshape(H, H)
    np.dot(rows.T, work.states[begin:end].reshape(R, H), product)
    add(product, out.weights.W_hh[n])
    product = work.product[: H * D].reshape(H, D)
    np.dot(rows.T, data.inputs[begin:end].reshape(R, D), product)
    add(product, out.weights.W_xh[n])
    b_h = out.weights.b_h[n]
    for r in range(R):
        for i in range(H):
            b_h[i] += rows[r, i]
    for t in range(begin, end):
        delta = deltas[t - begin]
        out.step_norms.W_hh[n, t] = outer_norm(delta, work.states[t], work.scratch)
        out.step_norms.W_xh[n, t] = outer_norm(delta, data.inputs[t], work.scratch)


@kernel
def first_nonfinite(out, n, forward_step):
    """The step at which network n left the floating-point range, -1 if it stayed inside.

    The first t whose state is not finite; else, in the order of the backward pass, the largest t
    with a non-finite gradient dL/dh_t or dL/dW^(t); else 1, where a sum over steps did not fit.
    """
    if forward_step >= 0:
        return forward_step
    norms = out.step_norms
    for t in range(out.state_norms.shape[1] - 1, 0, -1):
        total = out.state_norms[n, t] + norms.W_xh[n, t - 1]
        total += norms.W_hh[n, t - 1] + norms.W_hy[n, t - 1]
        if not total < np.inf:
            return t
    g = out.weights
    total = residue(g.W_xh[n]) + residue(g.W_hh[n]) + residue(g.W_hy[n])
    total += residue(g.b_h[n]) + residue(g.b_y[n]) + out.loss[n] + out.state_norms[n, 0]
    return -1 if abs(total) < np.inf else 1
