"""Backpropagation through time: the weights are shared, so every step's own gradient is added up.

With temporal variables W^(t), dL/dW = sum_t dL/dW^(t); the norm of every term is kept. Beside a row
[h_t, 1, x_{t+1}] of the trace stands a row of errors, [delta_{t+1}, dL/dy_t] with delta = dL/da.
One product of errors with [W_hh; W_hy] gives dL/dh_t, and the outer products of errors with the
trace give the gradients of all five weights.

States that do not fit into memory are computed twice: of every segment of steps the first state is
kept, and the way back computes the others again, bit for bit.
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import copy, fill, residue, total_of
from rnnsim.kernels.arithmetic.functions import through_activation
from rnnsim.kernels.arithmetic.jit import allocator, inlined, kernel
from rnnsim.kernels.arithmetic.norms import frobenius, inverse_size, slab_norm
from rnnsim.kernels.arithmetic.products import (
    Rows,
    add_outer_of_steps,
    columns_of,
    empty_panels,
    multiply,
    pack,
    padded,
)
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.gradients.unfolding import (
    ForwardWork,
    batch_of,
    block_steps,
    class_major,
    class_major_outputs,
    forward_work,
    gather_targets,
    get_state,
    network,
    pack_forward,
    score,
    set_state,
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
    """Scratch of one thread, for one network at a time, C steps stored at once.

    forward: ForwardWork; errors (rows+1, B, Q'): row [s, b] is [delta_{t+1}, dL/dy_t] for step
    t = begin + s of a block; backward: packed [W_hh; W_hy]; recurrent (H, P') and readout (V, P'):
    the gradients that a block adds; squares (2, block, P') and factors (2, block) for their norms,
    recurrent first; checkpoints (segments, B, H); carries (T,) bool: whether a step has loss;
    marks (2,) int64: the last step with loss, and the first state that is not finite.
    """

    forward: ForwardWork
    errors: np.ndarray
    backward: np.ndarray
    recurrent: np.ndarray
    readout: np.ndarray
    squares: np.ndarray
    factors: np.ndarray
    checkpoints: np.ndarray
    carries: np.ndarray
    marks: np.ndarray


@allocator
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


@allocator
def backward_work(weights, batch, stored):
    """Scratch for `bptt`: one for each thread, reused for every network.

    It serves shorter batches too, where all states are stored.
    `stored` is how many steps of states are kept at once: T, or fewer to save memory.
    """
    T, B = batch.inputs.shape[1:3]
    block = block_steps(T, B, weights.W_hh.shape[1], weights.W_hh.itemsize)
    stored = min(T, -(-stored // block) * block)  # whole blocks, so that sums keep their order
    return allocate_backward(weights, batch, stored, block, block)


@allocator
def bytes_per_step(weights, batch):
    """What one stored step of states takes."""
    D, B = batch.inputs.shape[3], batch.inputs.shape[2]
    width = padded(weights.W_hh.shape[1] + 1 + D, weights.W_hh)
    return B * width * weights.W_hh.itemsize


@allocator
def allocate_backward(weights, batch, stored, rows, block):
    """Scratch that keeps the states of `stored` and the errors of `rows` steps."""
    _, H, D = weights.W_xh.shape
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    like = weights.W_hh
    width = padded(H + 1 + D, like)
    return BackwardWork(
        forward_work(weights, T, B, stored),
        np.zeros((rows + 1, B, padded(H + V, like)), like.dtype),
        empty_panels(H + V, H, like),
        np.zeros((H, width), like.dtype),
        np.zeros((V, width), like.dtype),
        np.zeros((2, block, width), like.dtype),
        np.zeros((2, block), like.dtype),
        np.empty((-(-T // stored), B, H), like.dtype),
        np.empty(T, np.bool_),
        np.empty(2, np.int64),
    )


@kernel
def bptt(weights, batch, activation, start, stop, work, out):
    """Loss and full gradient of networks start..stop-1: exact backpropagation through time.

    weights: Weights (N, ...), batch: Batch, activation: TANH, RELU or LINEAR, work from
    `backward_work`, out from `gradient_arrays`.
    """
    T, stored = batch.inputs.shape[1], work.forward.trace.shape[0] - 1
    for n in range(start, stop):
        begin_bptt(weights, batch, n, work, out)
        for begin in range(0, T, stored):
            forward_steps(batch, activation, n, begin, min(begin + stored, T), work)
        for segment in range(work.checkpoints.shape[0] - 1, -1, -1):
            begin, end = segment * stored, min((segment + 1) * stored, T)
            if end < T:
                forward_steps(batch, activation, n, begin, end, work)
            backward_steps(batch, activation, n, begin, end, work, out)
        end_bptt(n, work, out)
        mark_nonfinite(n, work.marks[1], out)


@kernel
def begin_bptt(weights, batch, n, work, out):
    """Pack the weights of network n, mark the steps that carry loss, and clear its results."""
    w, data = network(weights, n), batch_of(batch, n)
    H = w.W_hh.shape[0]
    pack_forward(w, work.forward)
    pack(w.W_hh, 0, work.backward)
    pack(w.W_hy, H, work.backward)
    work.marks[0], work.marks[1] = 0, -1
    for t in range(data.loss_weights.shape[0]):
        work.carries[t] = False
        for b in range(data.loss_weights.shape[1]):
            work.carries[t] |= data.loss_weights[t, b] != 0
        if work.carries[t]:
            work.marks[0] = t + 1
    copy(data.h0, work.checkpoints[0])
    fill(work.errors, 0)
    clear(out, n)


@kernel
def forward_steps(batch, activation, n, begin, end, work):
    """States of steps begin+1..end, which lie in one segment; h_begin is known."""
    forward, stored = work.forward, work.forward.trace.shape[0] - 1
    segment, at = begin // stored, begin % stored
    if at == 0:
        set_state(forward, 0, work.checkpoints[segment])
    data = batch_of(batch, n)
    nonfinite = unfold(data.inputs, begin, end, at, activation, forward)
    if work.marks[1] < 0:
        work.marks[1] = nonfinite
    if end % stored == 0 and segment + 1 < work.checkpoints.shape[0]:
        get_state(forward, stored, work.checkpoints[segment + 1])


@inlined
def backward_steps(batch, activation, n, begin, end, work, out):
    """Gradients of steps begin+1..end, whose states are in the trace; later steps are done.

    `begin` is a multiple of the block, and so is `end` unless it is T.
    """
    block = work.factors.shape[1]
    end = min(end, work.marks[0])  # nothing flows back from beyond the last loss
    for first in range((end - 1) // block * block, begin - 1, -block):
        count = min(first + block, end) - first
        score_block(batch, first, count, 0, n, work, out)
        backward_block(activation, first, count, n, work, out)
        set_factors(first, 0, 0, count, work)
        outer_block(first, count, 0, 0, 1, work)
        add_block(first, count, n, work, out)


@inlined
def end_bptt(n, work, out):
    """dL/dh_0 of network n, for the sequences of the share."""
    errors, pre, b_0 = work.errors, work.forward.pre, work.forward.share[0]
    width, H = errors.shape[2], work.checkpoints.shape[2]
    first = Rows(errors.reshape(errors.size), b_0 * width, width)
    gradient = Rows(pre.reshape(pre.size), 0, pre.shape[1])
    multiply(first, pre.shape[0], 0, H, work.backward, gradient)  # dL/dh_0 = W_hh^T delta_1
    out.state_norms[n, 0] = frobenius(pre)
    for b in range(pre.shape[0]):
        for i in range(H):
            out.h0[n, b_0 + b, i] = pre[b, i]


@inlined
def clear(out, n):
    """Zero what is summed up over blocks, and what stays 0 after the last loss."""
    out.loss[n] = 0.0
    fill(out.weights.W_xh[n], 0)
    fill(out.weights.W_hh[n], 0)
    fill(out.weights.W_hy[n], 0)
    fill(out.weights.b_h[n], 0)
    fill(out.weights.b_y[n], 0)
    fill(out.step_norms.W_xh[n], 0.0)
    fill(out.step_norms.W_hh[n], 0.0)
    fill(out.step_norms.W_hy[n], 0.0)
    fill(out.state_norms[n], 0.0)


@kernel
def score_block(batch, first, count, row, n, work, out):
    """Loss of steps first+1..first+count, and dL/dy_t into the errors from row+1 on."""
    data, H, V = batch_of(batch, n), work.checkpoints.shape[2], work.readout.shape[0]
    B, forward, errors = data.loss_weights.shape[1], work.forward, work.errors
    b_0, share = forward.share[0], forward.share[1] - forward.share[0]
    at, scale = first % (forward.trace.shape[0] - 1), errors.dtype.type(1 / B)
    longest, s = forward.score.losses.size // share, 1
    while s <= count:
        run = 0  # consecutive steps with loss
        while s + run <= count and run < longest and work.carries[first + s + run - 1]:
            run += 1
        if run == 0:
            for b in range(share):
                for v in range(V):
                    errors[row + s, b_0 + b, H + v] = 0
            s += 1
            continue
        class_major_outputs(at + s, run, V, forward)
        outputs = class_major(V, run * share, forward)
        gather_targets(data, first + s - 1, run, forward)
        out.loss[n] += score(outputs, data.loss, forward) / B
        columns = outputs.reshape(V, run, share)
        for t in range(run):
            for b in range(share):
                for v in range(V):
                    errors[row + s + t, b_0 + b, H + v] = columns[v, t, b] * scale
        s += run


@kernel
def backward_block(activation, first, count, n, work, out):
    """The errors of steps first+count, ..., first+1, and ||dL/dh_t||."""
    H, V = work.checkpoints.shape[2], work.readout.shape[0]
    errors, forward, carries, state_norms = work.errors, work.forward, work.carries, out.state_norms
    trace, pre, panels = forward.trace, forward.pre, work.backward
    B, width, top = errors.shape[1], errors.shape[2], work.factors.shape[1]
    flat, rows = errors.reshape(errors.size), pre.shape[0]
    gradient = Rows(pre.reshape(pre.size), 0, pre.shape[1])
    at, b_0 = first % (trace.shape[0] - 1), forward.share[0]
    for b in range(b_0, b_0 + rows):
        for i in range(H):  # where the block above has ended; 0 if there is none
            errors[top, b, i] = errors[0, b, i]
    for s in range(count, 0, -1):
        # dL/dh_t = W_hy^T dL/dy_t + W_hh^T delta_{t+1};  delta_t = dL/dh_t * phi'(a_t)
        depth = H + V if carries[first + s - 1] else H
        multiply(Rows(flat, (s * B + b_0) * width, width), rows, 0, depth, panels, gradient)
        state_norms[n, first + s] = frobenius(pre)
        through_activation(activation, pre, trace, at + s, errors, s - 1, b_0, H)


@inlined
def set_factors(first, row, begin, end, work):
    """factors = about 1 / (||left|| ||right||) for the outer products of steps begin..end-1.

    They bring the norms of the products below 2, so that their squares stay in range.
    """
    errors, trace, factors = work.errors, work.forward.trace, work.factors
    H, V = work.checkpoints.shape[2], work.readout.shape[0]
    at = first % (trace.shape[0] - 1)
    before = frobenius(trace[at + begin])
    for s in range(begin, end):
        after = frobenius(trace[at + s + 1])
        delta, dy = slab_norm(errors, row + s, 0, H), slab_norm(errors, row + s + 1, H, V)
        factors[0, s] = inverse_size(delta * before, errors.itemsize)
        factors[1, s] = inverse_size(dy * after, errors.itemsize)
        before = after


@inlined
def outer_block(first, count, row, member, members, work):
    """The gradients that a block adds, and the scaled squares of every step's own.

    Of a team, each member treats some of the columns.
    """
    errors, trace, factors, carries = work.errors, work.forward.trace, work.factors, work.carries
    B, width, P = errors.shape[1], errors.shape[2], work.forward.recurrent.shape[1]
    H, V, stride = work.checkpoints.shape[2], work.readout.shape[0], trace.shape[2]
    flat_errors, flat_trace = errors.reshape(errors.size), trace.reshape(trace.size)
    start, scored = first % (trace.shape[0] - 1) * B * stride, False
    left, right = Rows(flat_errors, row * B * width, width), Rows(flat_trace, start, stride)
    columns, shape = columns_of(member, members, P, errors), (count, B, H)
    add_outer_of_steps(left, right, shape, columns, factors[0], work.recurrent, work.squares[0])
    for s in range(count):
        scored |= carries[first + s]
    if scored:
        left = Rows(flat_errors, (row + 1) * B * width + H, width)
        right = Rows(flat_trace, start + B * stride, stride)
        columns, shape = columns_of(member, members, H + 1, errors), (count, B, V)
        add_outer_of_steps(left, right, shape, columns, factors[1], work.readout, work.squares[1])


@kernel
def add_block(first, count, n, work, out):
    """Add a block's gradients to those of network n, take the norms of its steps, and clear."""
    H, V, P = work.checkpoints.shape[2], work.readout.shape[0], work.forward.recurrent.shape[1]
    squares, factors, g, norms = work.squares, work.factors, out.weights, out.step_norms
    for i in range(H):
        for j in range(H):
            g.W_hh[n, i, j] += work.recurrent[i, j]
        g.b_h[n, i] += work.recurrent[i, H]
        for d in range(P - H - 1):
            g.W_xh[n, i, d] += work.recurrent[i, H + 1 + d]
    for v in range(V):
        for j in range(H):
            g.W_hy[n, v, j] += work.readout[v, j]
        g.b_y[n, v] += work.readout[v, H]
    for s in range(count):
        factor = np.float64(factors[0, s])
        norms.W_hh[n, first + s] = math.sqrt(total_of(squares[0, s, :H])) / factor
        norms.W_xh[n, first + s] = math.sqrt(total_of(squares[0, s, H + 1 : P])) / factor
        square = total_of(squares[1, s, :H])
        norms.W_hy[n, first + s] = math.sqrt(square) / np.float64(factors[1, s])
    fill(squares, 0)
    fill(work.recurrent, 0)
    fill(work.readout, 0)


@inlined
def mark_nonfinite(n, forward_step, out):
    """first_nonfinite: the step at which network n left the range, -1 if it stayed inside.

    The first t whose state is not finite; else, in the order of the backward pass, the largest t
    with a non-finite gradient dL/dh_t or dL/dW^(t); else 1, where a sum over steps did not fit.
    """
    out.first_nonfinite[n] = forward_step
    if forward_step >= 0:
        return
    norms = out.step_norms
    for t in range(out.state_norms.shape[1] - 1, 0, -1):
        total = out.state_norms[n, t] + norms.W_xh[n, t - 1]
        total += norms.W_hh[n, t - 1] + norms.W_hy[n, t - 1]
        if not total < np.inf:
            out.first_nonfinite[n] = t
            return
    g = out.weights
    total = residue(g.W_xh[n]) + residue(g.W_hh[n]) + residue(g.W_hy[n])
    total += residue(g.b_h[n]) + residue(g.b_y[n]) + out.loss[n] + out.state_norms[n, 0]
    out.first_nonfinite[n] = -1 if abs(total) < np.inf else 1
