"""Backpropagation through time: the weights are shared, so every step's own gradient is added up.

With temporal variables W^(t), dL/dW = sum_t dL/dW^(t); the norm of every term is kept. Beside a row
[h_t, 1, x_{t+1}] of the trace stands a row of errors, [delta_{t+1}, dL/dy_t] with delta = dL/da.
One product of errors with [W_hh; W_hy] gives dL/dh_t, and the outer products of errors with the
trace give the gradients of all five weights.

States that do not fit into memory are computed twice: of every stretch of steps the first state is
kept, and the way back computes the others again, bit for bit.
"""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, residue
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.products import (
    Rows,
    multiply,
    pack,
    rows_of,
)
from rnnsim.kernels.gradients.blocks import (
    add_block,
    backward_block,
    outer_block,
    score_block,
    set_factors,
    state_norm,
)
from rnnsim.kernels.gradients.every_step import write_state
from rnnsim.kernels.gradients.steps import (
    arrive,
    gather_memories,
    get_state,
    network,
    pack_back,
    set_state,
    spread_memories,
    take_final,
    unfold,
)
from rnnsim.kernels.gradients.unfolding import (
    batch_of,
    pack_forward,
)


@allocator
def passes(T, stored):
    """How many passes over stretches of `stored` steps a gradient takes, see `pass_of`."""
    return 3 * (-(-T // stored)) - 1


@allocator
def pass_of(i, T, stored):
    """Pass i of a checkpointed sweep: (begin, end, back), steps begin+1..end, forward or back.

    Forward through all stretches; then back from the last, whose states are there, to the first,
    each of the others after another pass forward.
    """
    stretches = -(-T // stored)
    behind = i - stretches
    back = behind >= 0 and behind % 2 == 0
    stretch = stretches - 1 - (behind + 1) // 2 if behind >= 0 else i
    return stretch * stored, min((stretch + 1) * stored, T), back


def sweep(T, stored):
    """All passes, for those who call the kernels of this file piece by piece."""
    return [pass_of(i, T, stored) for i in range(passes(T, stored))]


@kernel
def bptt(weights, batch, cell, start, stop, work, out):
    """Loss and full gradient of networks start..stop-1: exact backpropagation through time.

    weights: Weights (N, ...), batch: Batch, cell: TANH, RELU, LINEAR, SIGMOID, LSTM or GRU, work
    from `backward_work`, out from `gradient_arrays`.
    """
    T, stored = batch.inputs.shape[1], work.forward.trace.shape[0] - 1
    for n in range(start, stop):
        begin_bptt(weights, batch, n, work, out)
        # Inputs that all networks share, and that fit, stand in the trace from the first one on.
        work.marks[2] = n > start and batch.inputs.shape[0] == 1 and stored >= T
        for i in range(passes(T, stored)):
            begin, end, back = pass_of(i, T, stored)
            if back:
                backward_steps(batch, cell, n, begin, end, work, out)
            else:
                forward_steps(batch, cell, n, begin, end, work)
        end_bptt(n, work, out)
        mark_nonfinite(n, work.marks[1], out)


@kernel
def begin_bptt(weights, batch, n, work, out):
    """Pack the weights of network n, mark the steps that carry loss, and clear its results."""
    w, data = network(weights, n), batch_of(batch, n)
    begin_network(w, data.h0, n, work, out)
    pack(w.W_hy, w.b_h.size, work.backward)
    mark_losses(data.loss_weights, work)


@kernel
def begin_network(w, h0, n, work, out):
    """Pack the weights of one network, take its first state (B, S), and clear its results."""
    H = work.checkpoints.shape[2]
    pack_forward(w, work.forward)
    pack_back(w.W_hh, work.forward.blocks[0], H, 0, work.backward)
    take_final(work.final, n, H, 1.0 / work.dc.shape[0], work.dc)
    for b in range(h0.shape[0]):
        for i in range(H):
            work.checkpoints[0, b, i] = h0[b, i]
        spread_memories(h0, b, H, work.memories[0, b])
    work.marks[1], work.marks[2] = -1, 0
    fill(work.errors, 0)
    clear(out, n)


@kernel
def mark_losses(loss_weights, work):
    """The steps that carry loss, from loss_weights (T, B), and the last of them."""
    work.marks[0] = 0
    for t in range(loss_weights.shape[0]):
        work.scored[t] = False
        for b in range(loss_weights.shape[1]):
            work.scored[t] |= loss_weights[t, b] != 0
        if work.scored[t]:
            work.marks[0] = t + 1
    if work.final.size > 0:
        work.marks[0] = work.scored.size


@kernel
def forward_steps(batch, cell, n, begin, end, work):
    """States of steps begin+1..end, which lie in one stretch; h_begin is known."""
    inputs = batch_of(batch, n).inputs
    if work.marks[2] == 1:
        inputs = inputs[:0]
    unfold_stretch(inputs, cell, begin, end, work)


@kernel
def unfold_stretch(inputs, cell, begin, end, work):
    """The same from inputs (T, B, D) of one network, or (0, B, D): they stand in the trace."""
    forward, stored = work.forward, work.forward.trace.shape[0] - 1
    stretch, at = begin // stored, begin % stored
    if at == 0:
        set_state(forward, 0, work.checkpoints[stretch], work.memories[stretch])
    nonfinite = unfold(inputs, begin, end, at, cell, forward)
    if work.marks[1] < 0:
        work.marks[1] = nonfinite
    if end % stored == 0 and stretch + 1 < work.checkpoints.shape[0]:
        get_state(forward, stored, work.checkpoints[stretch + 1], work.memories[stretch + 1])


@kernel
def backward_steps(batch, cell, n, begin, end, work, out):
    """Gradients of steps begin+1..end, whose states are in the trace; later steps are done.

    `begin` is a multiple of the block, and so is `end` unless it is T.
    """
    block = work.factors.shape[1]
    end = min(end, work.marks[0])  # nothing flows back from beyond the last loss
    for first in range((end - 1) // block * block, begin - 1, -block):
        count = min(first + block, end) - first
        score_block(batch, first, count, 0, n, work, out)
        backward_block(cell, first, count, n, work, out)
        set_factors(first, count, n, work, out)
        outer_block(first, count, 0, 0, 1, work)
        add_block(first, count, 0, n, work, out)


@kernel
def end_bptt(n, work, out):
    """The gradient at the first state of network n, for the sequences of the share."""
    errors, gradient, b_0 = work.errors, work.gradient, work.forward.share[0]
    width, H, A = errors.shape[2], work.checkpoints.shape[2], work.recurrent.shape[0]
    first = Rows(errors.reshape(errors.size), b_0 * width, width)
    into = rows_of(gradient, 0)
    multiply(first, gradient.shape[0], 0, A, work.backward, into)  # dL/dh_0 = W_hh^T delta_1
    memory = work.memories.shape[2]
    arrive(gradient, work.dc, memory, b_0, H)
    out.state_norms[n, 0] = state_norm(gradient, work.dc, memory, b_0)
    for b in range(gradient.shape[0]):
        for i in range(H):
            out.h0[n, b_0 + b, i] = gradient[b, i]
        gather_memories(work.dc[b_0 + b], H, out.h0[n], b_0 + b)
    if out.each.states.size > 0:
        write_state(gradient, work.dc, b_0, H, out.each.states[n, 0])


@kernel
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
    fill(out.step_norms.gates[n], 0.0)
    fill(out.state_norms[n], 0.0)
    if out.each.states.size > 0:
        fill(out.each.states[n], 0)
    if out.each.errors.size > 0:
        fill(out.each.errors[n], 0)


@kernel
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
