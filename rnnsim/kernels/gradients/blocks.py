"""One block of steps on the way back: losses, errors, and what the weights gain from them.

The outer products of errors with the trace give the gradients of all five weights, and of every
step the norm of what it adds.
"""

import math

import numpy as np

from rnnsim.kernels.arithmetic.arrays import add, fill, total_of
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import frobenius, hypot, inverse_size, slab_norm
from rnnsim.kernels.arithmetic.products import (
    Rows,
    add_outer_of_steps,
    columns_between,
    multiply,
    rows_of,
)
from rnnsim.kernels.cells.seam import pull_back
from rnnsim.kernels.gradients.every_step import write_errors, write_state
from rnnsim.kernels.gradients.losses import score
from rnnsim.kernels.gradients.steps import arrive
from rnnsim.kernels.gradients.unfolding import (
    batch_of,
    class_major,
    class_major_outputs,
    gather_targets,
)


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
        for t in range(run):
            target = errors[row + s + t]
            for v in range(V):
                source = outputs[v, t * share : (t + 1) * share]
                for b in range(share):
                    target[b_0 + b, A + v] = source[b] * scale
        s += run
    return s


@kernel
def backward_block(cell, first, count, n, work, out):
    """The errors of steps first+count, ..., first+1, and ||dL/dh_t||."""
    H, A, V = work.checkpoints.shape[2], work.recurrent.shape[0], _outputs(work)
    errors, forward, scored, state_norms = work.errors, work.forward, work.scored, out.state_norms
    trace, kept, gradient, panels = forward.trace, forward.kept, work.gradient, work.backward
    B, width, top = errors.shape[1], errors.shape[2], work.factors.shape[1]
    memory = work.memories.shape[2]
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
        arrive(gradient, work.dc, memory, b_0, H)
        state_norms[n, first + s] = state_norm(gradient, work.dc, memory, b_0)
        if out.each.states.size > 0:
            write_state(gradient, work.dc, b_0, H, out.each.states[n, first + s])
        pull_back(cell, gradient, work.dc, trace, kept, at + s, errors, s - 1, b_0, H)
    if out.each.errors.size > 0:
        write_errors(errors, count, 0, b_0, rows, A, out.each.errors[n, first : first + count])


@kernel
def set_factors(first, count, n, work, out):
    """factors = about 1 / ||dL/dh_t||, powers of two that bring a step's products near 1.

    Squares of what a step adds mostly stay in range then; where they do not, `add_block` sees it.
    """
    for s in range(count):
        work.factors[0, s] = inverse_size(out.state_norms[n, first + s + 1], work.errors.itemsize)
        work.factors[1, s] = 1


@kernel
def outer_block(first, count, row, member, members, work):
    """The gradients that a block adds, and the scaled squares of every step's own.

    Of a team, each member treats some of the columns.
    """
    _outer_of_block(first, 0, count, row, member, members, work)


@kernel
def _outer_of_block(first, begin, end, row, member, members, work):
    """The same of steps begin..end-1 of the block alone."""
    errors, trace = work.errors, work.forward.trace
    B, width, A = errors.shape[1], errors.shape[2], work.recurrent.shape[0]
    H, D, _, V = work.forward.sizes
    flat_errors, flat_trace = errors.reshape(errors.size), trace.reshape(trace.size)
    stride, loss = trace.shape[2], False
    start = (first % (trace.shape[0] - 1) + begin) * B * stride
    hidden, inputs = work.forward.blocks[0], work.forward.blocks[1]
    right, factors = Rows(flat_trace, start, stride), work.factors[0, begin:end]
    for block in range(A // H):
        left = Rows(flat_errors, (row + begin) * B * width + block * H, width)
        lowest = 0 if hidden[block] >= 0 else H  # the columns of the weights that there are
        highest = H + 1 + D if inputs[block] >= 0 else H + 1
        columns = columns_between(lowest, highest, member, members, errors)
        into, squares = work.recurrent[block * H : (block + 1) * H], work.squares[block, begin:end]
        add_outer_of_steps(left, right, (end - begin, B, H), columns, factors, into, squares)
    for s in range(begin, end):
        loss |= work.scored[first + s]
    if loss:
        left = Rows(flat_errors, (row + begin + 1) * B * width + A, width)
        right = Rows(flat_trace, start + B * stride, stride)
        columns = columns_between(0, H + 1, member, members, errors)
        factors, squares = work.factors[1, begin:end], work.squares[-1, begin:end]
        add_outer_of_steps(
            left, right, (end - begin, B, V), columns, factors, work.readout, squares
        )


@kernel
def add_block(first, count, row, n, work, out):
    """Add a block's gradients to those of network n, take the norms of its steps, and clear.

    The errors of the block begin at `row`.
    """
    H, D, _, V = work.forward.sizes
    g, hidden, inputs = out.weights, work.forward.blocks[0], work.forward.blocks[1]
    b_h, b_y = g.b_h[n], g.b_y[n]
    for block in range(hidden.size):
        for i in range(H):
            found = work.recurrent[block * H + i]
            if hidden[block] >= 0:
                add(found[:H], g.W_hh[n, hidden[block] * H + i])
            if inputs[block] >= 0:
                add(found[H + 1 : H + 1 + D], g.W_xh[n, inputs[block] * H + i])
            b_h[block * H + i] += found[H]
    for v in range(V):
        add(work.readout[v, :H], g.W_hy[n, v])
        b_y[v] += work.readout[v, H]
    for s in range(count):
        hold = norms_of_step(s, first + s, n, work, out.step_norms)
        if not hold and _measured_again(s, first, row, work):
            norms_of_step(s, first + s, n, work, out.step_norms)
    fill(work.squares, 0)
    fill(work.recurrent, 0)
    fill(work.readout, 0)


@kernel
def norms_of_step(s, t, n, work, norms):
    """The norms of what step t+1 adds, from row s of the squares; whether all of these hold."""
    H, D, squares = work.forward.sizes[0], work.forward.sizes[1], work.squares
    hidden, inputs = work.forward.blocks[0], work.forward.blocks[1]
    factor, size = np.float64(work.factors[0, s]), squares.itemsize
    of_states = of_inputs = 0.0
    for block in range(hidden.size):
        if hidden[block] >= 0:
            square = np.float64(total_of(squares[block, s, :H]))
            norms.gates[n, t, hidden[block]] = math.sqrt(square) / factor
            of_states += square
        if inputs[block] >= 0:
            of_inputs += np.float64(total_of(squares[block, s, H + 1 : H + 1 + D]))
    square = np.float64(total_of(squares[-1, s, :H]))
    norms.W_hh[n, t] = math.sqrt(of_states) / factor
    norms.W_xh[n, t] = math.sqrt(of_inputs) / factor
    norms.W_hy[n, t] = math.sqrt(square) / np.float64(work.factors[1, s])
    read_out = _near_one(square, size) or not (work.scored[t] and work.readout.shape[0] > 0)
    return _near_one(of_states, size) and _near_one(of_inputs, size) and read_out


@kernel
def _near_one(square, itemsize):
    """Whether a square is so far inside the range that its smaller parts are, too."""
    limit = 2.0**40 if itemsize == 4 else 2.0**400
    return 1 / limit < square < limit


@kernel
def _measured_again(s, first, row, work):
    """Take the squares of step s of a block in units of the sizes of what it multiplies.

    Whether they are others now: a step that adds nothing has been measured right.
    """
    errors, trace, factors, squares = work.errors, work.forward.trace, work.factors, work.squares
    A, (H, D, _, V) = work.recurrent.shape[0], work.forward.sizes
    at, size = first % (trace.shape[0] - 1) + s, errors.itemsize
    delta, dy = slab_norm(errors, row + s, 0, A), slab_norm(errors, row + s + 1, A, V)
    before, given = slab_norm(trace, at, 0, H), slab_norm(trace, at, H + 1, D)
    after = slab_norm(trace, at + 1, 0, H)
    if delta * max(before, given) == 0 and dy * after == 0:
        return False
    factors[0, s] = inverse_size(delta * max(before, given), size)
    factors[1, s] = inverse_size(dy * after, size)
    for block in range(squares.shape[0]):
        fill(squares[block, s], 0)
    _outer_of_block(first, s, s + 1, row, 0, 1, work)  # what it adds to has been added up
    return True


@kernel
def state_norm(gradient, dc, memory, first):
    """The norm of gradient (b, H') and the rows of dc that belong to it, of cells with memories.

    `memory` = M*H'; what else a step hands back has arrived in the gradient.
    """
    norm = frobenius(gradient)
    return hypot(norm, frobenius(dc[first : first + gradient.shape[0]])) if memory > 0 else norm
