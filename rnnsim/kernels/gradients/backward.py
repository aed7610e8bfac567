"""Backpropagation through time: the weights are shared, so every step's own gradient is added up.

With temporal variables W^(t), dL/dW = sum_t dL/dW^(t); the norm of every term is kept. Beside a row
[h_t, 1, x_{t+1}] of the trace stands a row of errors, [delta_{t+1}, dL/dy_t] with delta = dL/da.
One product of errors with [W_hh; W_hy] gives dL/dh_t, and the outer products of errors with the
trace give the gradients of all five weights.

States that do not fit into memory are computed twice: of every stretch of steps the first state is
kept, and the way back computes the others again, bit for bit.
"""

import math

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, residue, total_of
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.norms import frobenius, hypot, inverse_size, slab_norm
from rnnsim.kernels.arithmetic.products import (
    Rows,
    add_outer_of_steps,
    columns_between,
    multiply,
    pack,
    rows_of,
)
from rnnsim.kernels.cells.seam import pull_back
from rnnsim.kernels.gradients.every_step import write_errors, write_state
from rnnsim.kernels.gradients.losses import score
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
    class_major,
    class_major_outputs,
    gather_targets,
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
    work.marks[1] = -1
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
    unfold_stretch(batch_of(batch, n).inputs, cell, begin, end, work)


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
        set_factors(first, 0, 0, count, work)
        outer_block(first, count, 0, 0, 1, work)
        add_block(first, count, n, work, out)


@kernel
def end_bptt(n, work, out):
    """The gradient at the first state of network n, for the sequences of the share."""
    errors, gradient, b_0 = work.errors, work.gradient, work.forward.share[0]
    width, H, A = errors.shape[2], work.checkpoints.shape[2], work.recurrent.shape[0]
    first = Rows(errors.reshape(errors.size), b_0 * width, width)
    into = rows_of(gradient, 0)
    multiply(first, gradient.shape[0], 0, A, work.backward, into)  # dL/dh_0 = W_hh^T delta_1
    arrive(gradient, work.dc, work.memories.shape[2], b_0, H)
    out.state_norms[n, 0] = _state_norm(gradient, work.dc, b_0)
    for b in range(gradient.shape[0]):
        for i in range(H):
            out.h0[n, b_0 + b, i] = gradient[b, i]
        gather_memories(work.dc[b_0 + b], H, out.h0[n], b_0 + b)
    if out.each.states.size > 0:
        write_state(gradient, work.dc, b_0, H, out.each.states[n, 0])


@kernel
def _state_norm(gradient, dc, first):
    """The norm of gradient (b, H') and of the rows of dc that belong to it."""
    norm = frobenius(gradient)
    return hypot(norm, frobenius(dc[first : first + gradient.shape[0]])) if dc.size > 0 else norm


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
def _outputs(work):
    """V: the rows of [W_hh; W_hy] below those of W_hh."""
    return work.forward.sizes[2]


@kernel
def score_block(batch, first, count, row, n, work, out):
    """Loss of steps first+1..first+count, and dL/dy_t into the errors from row+1 on."""
    score_until(batch, first, count, row, 1, count, n, work, out)


@kernel
def score_until(batch, first, count, row, s, until, n, work, out):
    """The same for steps first+s.., in whole runs, to first+until at least; the next s."""
    data, A = batch_of(batch, n), work.recurrent.shape[0]
    V = _outputs(work)
    B, forward, errors = data.loss_weights.shape[1], work.forward, work.errors
    b_0, share = forward.share[0], forward.share[1] - forward.share[0]
    at, scale = first % (forward.trace.shape[0] - 1), errors.dtype.type(1 / B)
    longest = forward.score.losses.size // share
    while s <= min(count, until):
        run = 0  # consecutive steps with loss
        while s + run <= count and run < longest and work.scored[first + s + run - 1]:
            run += 1
        if run == 0:
            for b in range(share):
                for v in range(V):
                    errors[row + s, b_0 + b, A + v] = 0
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
                    errors[row + s + t, b_0 + b, A + v] = columns[v, t, b] * scale
        s += run
    return s


@kernel
def backward_block(cell, first, count, n, work, out):
    """The errors of steps first+count, ..., first+1, and ||dL/dh_t||."""
    H, A, V = work.checkpoints.shape[2], work.recurrent.shape[0], _outputs(work)
    errors, forward, scored, state_norms = work.errors, work.forward, work.scored, out.state_norms
    trace, kept, gradient, panels = forward.trace, forward.kept, work.gradient, work.backward
    B, width, top = errors.shape[1], errors.shape[2], work.factors.shape[1]
    flat, rows = errors.reshape(errors.size), gradient.shape[0]
    into = rows_of(gradient, 0)
    at, b_0 = first % (trace.shape[0] - 1), forward.share[0]
    for b in range(b_0, b_0 + rows):
        for i in range(A):  # where the block above has ended; 0 if there is none
            errors[top, b, i] = errors[0, b, i]
    for s in range(count, 0, -1):
        # dL/dh_t = W_hy^T dL/dy_t + W_hh^T delta_{t+1}; of vanilla delta_t = dL/dh_t * phi'(a_t)
        depth = A + V if scored[first + s - 1] else A
        multiply(Rows(flat, (s * B + b_0) * width, width), rows, 0, depth, panels, into)
        arrive(gradient, work.dc, work.memories.shape[2], b_0, H)
        state_norms[n, first + s] = _state_norm(gradient, work.dc, b_0)
        if out.each.states.size > 0:
            write_state(gradient, work.dc, b_0, H, out.each.states[n, first + s])
        pull_back(cell, gradient, work.dc, trace, kept, at + s, errors, s - 1, b_0, H)
    if out.each.errors.size > 0:
        write_errors(errors, count, 0, b_0, rows, A, out.each.errors[n, first : first + count])


@kernel
def set_factors(first, row, begin, end, work):
    """factors = about 1 / (||left|| ||right||) for the outer products of steps begin..end-1.

    They bring the norms of the products below 2, so that their squares stay in range.
    """
    errors, trace, factors = work.errors, work.forward.trace, work.factors
    A, V = work.recurrent.shape[0], work.forward.sizes[3]
    at = first % (trace.shape[0] - 1)
    before = frobenius(trace[at + begin])
    for s in range(begin, end):
        after = frobenius(trace[at + s + 1])
        delta, dy = slab_norm(errors, row + s, 0, A), slab_norm(errors, row + s + 1, A, V)
        factors[0, s] = inverse_size(delta * before, errors.itemsize)
        factors[1, s] = inverse_size(dy * after, errors.itemsize)
        before = after


@kernel
def outer_block(first, count, row, member, members, work):
    """The gradients that a block adds, and the scaled squares of every step's own.

    Of a team, each member treats some of the columns.
    """
    errors, trace, factors = work.errors, work.forward.trace, work.factors
    B, width, A = errors.shape[1], errors.shape[2], work.recurrent.shape[0]
    H, D, _, V = work.forward.sizes
    P = H + 1 + D
    flat_errors, flat_trace = errors.reshape(errors.size), trace.reshape(trace.size)
    stride, loss = trace.shape[2], False
    start = first % (trace.shape[0] - 1) * B * stride
    hidden, inputs = work.forward.blocks[0], work.forward.blocks[1]
    right = Rows(flat_trace, start, stride)
    for block in range(A // H):
        left = Rows(flat_errors, row * B * width + block * H, width)
        lowest = 0 if hidden[block] >= 0 else H  # the columns of the weights that there are
        highest = P if inputs[block] >= 0 else H + 1
        columns, shape = columns_between(lowest, highest, member, members, errors), (count, B, H)
        into, squares = work.recurrent[block * H : (block + 1) * H], work.squares[block]
        add_outer_of_steps(left, right, shape, columns, factors[0], into, squares)
    for s in range(count):
        loss |= work.scored[first + s]
    if loss:
        left = Rows(flat_errors, (row + 1) * B * width + A, width)
        right = Rows(flat_trace, start + B * stride, stride)
        columns, shape = columns_between(0, H + 1, member, members, errors), (count, B, V)
        add_outer_of_steps(left, right, shape, columns, factors[1], work.readout, work.squares[-1])


@kernel
def add_block(first, count, n, work, out):
    """Add a block's gradients to those of network n, take the norms of its steps, and clear."""
    H, D, _, V = work.forward.sizes
    g, hidden, inputs = out.weights, work.forward.blocks[0], work.forward.blocks[1]
    for i in range(work.recurrent.shape[0]):
        row, column = hidden[i // H] * H + i % H, inputs[i // H] * H + i % H
        if hidden[i // H] >= 0:
            for j in range(H):
                g.W_hh[n, row, j] += work.recurrent[i, j]
        g.b_h[n, i] += work.recurrent[i, H]
        if inputs[i // H] >= 0:
            for d in range(D):
                g.W_xh[n, column, d] += work.recurrent[i, H + 1 + d]
    for v in range(V):
        for j in range(H):
            g.W_hy[n, v, j] += work.readout[v, j]
        g.b_y[n, v] += work.readout[v, H]
    for s in range(count):
        _norms_of_step(s, n, first + s, work, out.step_norms)
    fill(work.squares, 0)
    fill(work.recurrent, 0)
    fill(work.readout, 0)


@kernel
def _norms_of_step(s, n, t, work, norms):
    """The norms of what step t+1 adds, from the squares of row s of a block."""
    H, D, squares = work.forward.sizes[0], work.forward.sizes[1], work.squares
    hidden, inputs = work.forward.blocks[0], work.forward.blocks[1]
    factor = np.float64(work.factors[0, s])
    of_states = of_inputs = 0.0
    for block in range(hidden.size):
        if hidden[block] >= 0:
            square = np.float64(total_of(squares[block, s, :H]))
            norms.gates[n, t, hidden[block]] = math.sqrt(square) / factor
            of_states += square
        if inputs[block] >= 0:
            of_inputs += np.float64(total_of(squares[block, s, H + 1 : H + 1 + D]))
    norms.W_hh[n, t] = math.sqrt(of_states) / factor
    norms.W_xh[n, t] = math.sqrt(of_inputs) / factor
    square = total_of(squares[-1, s, :H])
    norms.W_hy[n, t] = math.sqrt(square) / np.float64(work.factors[1, s])


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
