"""The unfolded network: states h_0..h_T, outputs, loss without gradient.

What step t+1 multiplies stands in one row, [h_t, 1, x_{t+1}], so that one matrix product takes a
network one step further: a_{t+1} = [W_hh, b_h, W_xh] [h_t, 1, x_{t+1}]. These rows are the trace.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import copy
from rnnsim.kernels.arithmetic.jit import allocator, inlined, kernel
from rnnsim.kernels.arithmetic.products import (
    Rows,
    empty_panels,
    multiply,
    pack_transposed,
    padded,
    rows_of,
)
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, Batch, Weights
from rnnsim.kernels.cells.seam import advance, sizes
from rnnsim.kernels.gradients.losses import count_correct, score

_BLOCK_BYTES = 2**17  # for the hidden states of one block of steps: a part of the L2 cache


class StepWork(NamedTuple):
    """What a network is unfolded in, C steps in a row, for one network at a time.

    trace (C+1, B, P'): row [t, b] is [h_t, 1, x_{t+1}] and padding; kept (C+1, B, K*H'): what each
    step keeps for its way back, the memories first; both may be shared by a team. share (2,) int64:
    the thread treats sequences share[0]..share[1]-1, b of them; recurrent: packed
    [W_hh, b_h, W_xh]^T; pre (b, A') and state (b, H'): pre-activations and states of one step.
    """

    trace: np.ndarray
    kept: np.ndarray
    share: np.ndarray
    recurrent: np.ndarray
    pre: np.ndarray
    state: np.ndarray


class ForwardWork(NamedTuple):
    """Scratch of one thread: the fields of StepWork, and those of readout and losses.

    readout: packed [W_hy, b_y]^T; score: ScoreWork.
    """

    trace: np.ndarray
    kept: np.ndarray
    share: np.ndarray
    recurrent: np.ndarray
    pre: np.ndarray
    state: np.ndarray
    readout: np.ndarray
    score: "ScoreWork"


class ScoreWork(NamedTuple):
    """Scratch for the losses of one block, R = steps * sequences: outputs (R, V'); the rest 1-D.

    by_class (V*R) holds the outputs class by class, so that loops over R vectorise; classes (R),
    values (R*V) and loss_weights (R) what they are scored on; peak, total, shifted (R); losses (R)
    float64.
    """

    outputs: np.ndarray
    by_class: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    loss_weights: np.ndarray
    peak: np.ndarray
    total: np.ndarray
    shifted: np.ndarray
    losses: np.ndarray


@allocator
def block_steps(T, B, H, itemsize):
    """How many steps make a block: a function of the sizes alone, so that results repeat."""
    return min(T, max(8, min(64, _BLOCK_BYTES // (B * H * itemsize))))


@allocator
def step_work(A, H, D, B, stored, like, cell):
    """Scratch to unfold `stored` steps of B sequences: A gate rows, H units, D inputs."""
    trace = np.zeros((stored + 1, B, padded(H + 1 + D, like)), like.dtype)
    trace[:, :, H] = 1
    share = np.empty(2, np.int64)
    share[0], share[1] = 0, B
    return StepWork(
        trace,
        np.zeros((stored + 1, B, sizes(cell)[2] * padded(H, like)), like.dtype),
        share,
        empty_panels(H + 1 + D, A, like),
        np.zeros((B, padded(A, like)), like.dtype),
        np.zeros((B, padded(H, like)), like.dtype),
    )


@allocator
def forward_work(weights, T, B, stored, cell=0):
    """Scratch for a forward pass over T steps of B sequences that keeps `stored` steps at once.

    `forward` and `evaluate` need one block, `block_steps`.
    """
    (_, A, D), H = weights.W_xh.shape, weights.W_hh.shape[2]
    V, like = weights.W_hy.shape[1], weights.W_hh
    R = block_steps(T, B, H, like.itemsize) * B
    steps = step_work(A, H, D, B, stored, like, cell)
    return ForwardWork(
        steps.trace,
        steps.kept,
        steps.share,
        steps.recurrent,
        steps.pre,
        steps.state,
        empty_panels(H + 1, V, like),
        ScoreWork(
            np.zeros((R, padded(V, like)), like.dtype),
            np.empty(V * R, like.dtype),
            np.empty(R, np.int64),
            np.empty(V * R, like.dtype),
            np.empty(R, like.dtype),
            np.empty(R, like.dtype),
            np.empty(R, like.dtype),
            np.empty(R, like.dtype),
            np.empty(R, np.float64),
        ),
    )


@inlined
def network(weights, n):
    """The weights of network n, without the network axis."""
    return Weights(
        weights.W_xh[n], weights.W_hh[n], weights.W_hy[n], weights.b_h[n], weights.b_y[n]
    )


@inlined
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


@inlined
def pack_steps(w, work):
    """Pack the weights of one network for its steps."""
    A, H = w.W_hh.shape
    pack_transposed(w.W_hh, 0, work.recurrent)
    pack_transposed(w.b_h.reshape(A, 1), H, work.recurrent)
    pack_transposed(w.W_xh, H + 1, work.recurrent)


@inlined
def pack_forward(w, work):
    """Pack the weights of one network for its steps and its readout."""
    H = w.W_hh.shape[1]
    pack_steps(w, work)
    pack_transposed(w.W_hy, 0, work.readout)
    pack_transposed(w.b_y.reshape(w.b_y.size, 1), H, work.readout)


@allocator
def memory_size(cell, H, like):
    """How many numbers of a row of `kept` are memories: M blocks of H'."""
    return sizes(cell)[1] * padded(H, like)


@inlined
def set_state(work, t, state, memories):
    """Step t takes over states (B, H) and memories (B, M*H') of the thread's share."""
    for b in range(work.share[0], work.share[1]):
        for i in range(state.shape[1]):
            work.trace[t, b, i] = state[b, i]
        for i in range(memories.shape[1]):
            work.kept[t, b, i] = memories[b, i]


@inlined
def get_state(work, t, state, memories):
    """state (B, H) and memories (B, M*H') = those of step t, for the sequences of the share."""
    for b in range(work.share[0], work.share[1]):
        for i in range(state.shape[1]):
            state[b, i] = work.trace[t, b, i]
        for i in range(memories.shape[1]):
            memories[b, i] = work.kept[t, b, i]


@inlined
def start_state(cell, work, state):
    """Step 0 takes over states (B, H); memories begin at 0."""
    for b in range(work.share[0], work.share[1]):
        for i in range(state.shape[1]):
            work.trace[0, b, i] = state[b, i]
        for i in range(memory_size(cell, state.shape[1], state)):
            work.kept[0, b, i] = 0


@inlined
def carry_state(cell, work, t, H):
    """Step 0 becomes step t: the next steps go on from there."""
    for b in range(work.share[0], work.share[1]):
        for i in range(H):
            work.trace[0, b, i] = work.trace[t, b, i]
        for i in range(memory_size(cell, H, work.trace)):
            work.kept[0, b, i] = work.kept[t, b, i]


@inlined
def put_inputs(inputs, step, work, t, H):
    """trace[t] takes over the inputs of one step, for the sequences of the share.

    What lies beyond the inputs reads the last of them again.
    """
    step = min(step, inputs.shape[0] - 1)
    for b in range(work.share[0], work.share[1]):
        for d in range(inputs.shape[2]):
            work.trace[t, b, H + 1 + d] = inputs[step, b, d]


@kernel
def unfold(inputs, begin, end, at, cell, work):
    """trace[at+t] = h_{begin+t} for t = 1..end-begin, from trace[at] = h_begin; inputs (T, B, D).

    work: ForwardWork or StepWork. Returns the first step whose state is not finite, or -1.
    """
    B, D = inputs.shape[1:]
    P, width, pre = work.recurrent.shape[1], work.trace.shape[2], work.pre
    b_0, b_1 = work.share
    H, nonfinite = P - 1 - D, -1
    trace, out = work.trace.reshape(work.trace.size), rows_of(pre, 0)
    for t in range(at, at + end - begin):
        put_inputs(inputs, begin + t - at, work, t, H)
        # a_{t+1} = W_hh h_t + b_h + W_xh x_{t+1}; of vanilla h_{t+1} = phi(a_{t+1})
        rows = Rows(trace, (t * B + b_0) * width, width)
        multiply(rows, b_1 - b_0, 0, P, work.recurrent, out)
        advance(cell, pre, work.state, work.kept, t + 1, b_0, H)
        if keep_state(work, t + 1, H) != 0 and nonfinite < 0:
            nonfinite = begin + t - at + 1
    return nonfinite


@inlined
def keep_state(work, t, H):
    """trace[t] = state; returns 0 if all of it is finite, else NaN."""
    residue, b_0, state = 0.0, work.share[0], work.state
    for b in range(work.pre.shape[0]):
        for i in range(H):
            value = state[b, i]
            work.trace[t, b_0 + b, i] = value
            residue += value - value
    return residue


@inlined
def readout(t, count, work):
    """y = W_hy h + b_y of the states trace[t..t+count-1], into the first R rows of the outputs."""
    B, width = work.trace.shape[1:]
    trace, outputs = work.trace.reshape(work.trace.size), work.score.outputs
    depth, b_0, b_1 = work.readout.shape[1], work.share[0], work.share[1]
    share = b_1 - b_0
    for s in range(count):
        rows = Rows(trace, ((t + s) * B + b_0) * width, width)
        out = rows_of(outputs, s * share)
        if share == B:  # rows of all steps follow each other
            multiply(rows, count * B, 0, depth, work.readout, out)
            break
        multiply(rows, share, 0, depth, work.readout, out)


@inlined
def class_major(V, R, work):
    """The scratch for outputs class by class, (V, R)."""
    return work.score.by_class[: V * R].reshape(V, R)


@kernel
def class_major_outputs(t, count, V, work):
    """The same outputs as (V, R), in scratch."""
    readout(t, count, work)
    R = count * (work.share[1] - work.share[0])
    by_class, outputs = class_major(V, R, work), work.score.outputs
    for r in range(R):
        for v in range(V):
            by_class[v, r] = outputs[r, v]


@inlined
def gather_targets(data, begin, count, work):
    """Targets and loss weights of steps begin+1..begin+count, all sequences of the share."""
    r, V = 0, data.values.shape[2]
    for t in range(begin, begin + count):
        for b in range(work.share[0], work.share[1]):
            work.score.loss_weights[r] = data.loss_weights[t, b]
            if data.loss == CROSS_ENTROPY:
                work.score.classes[r] = data.classes[t, b]
            for v in range(V):
                work.score.values[r * V + v] = data.values[t, b, v]
            r += 1


@kernel
def forward(weights, inputs, h0, cell, start, stop, work, states, outputs):
    """States (N, T+1, B, H) and outputs (N, T, B, V) of networks start..stop-1.

    inputs (1 or N, T, B, D), h0 (1 or N, B, H), work from `forward_work`.
    """
    for n in range(start, stop):
        begin_forward(weights, h0, cell, n, work, states)
        forward_piece(inputs, cell, n, 0, outputs.shape[1], work, states, outputs)


@kernel
def begin_forward(weights, h0, cell, n, work, states):
    """h_0 of network n, whose pieces come next."""
    pack_forward(network(weights, n), work)
    copy(h0[min(n, h0.shape[0] - 1)], states[n, 0])
    start_state(cell, work, states[n, 0])


@kernel
def forward_piece(inputs, cell, n, first, last, work, states, outputs):
    """Steps first+1..last of network n, from what the piece before left; whole blocks but at T."""
    B, V = outputs.shape[2:]
    H, block = states.shape[3], work.score.losses.size // B
    for begin in range(first, last, block):
        end = min(begin + block, last)
        unfold(inputs[min(n, inputs.shape[0] - 1)], begin, end, 0, cell, work)
        readout(1, end - begin, work)
        rows = outputs[n, begin:end].reshape((end - begin) * B, V)
        for r in range(rows.shape[0]):
            for v in range(V):
                rows[r, v] = work.score.outputs[r, v]
        for t in range(end - begin):
            for b in range(B):
                for i in range(H):
                    states[n, begin + t + 1, b, i] = work.trace[t + 1, b, i]
        carry_state(cell, work, end - begin, H)


@kernel
def evaluate(weights, batch, cell, start, stop, work, loss, correct, first_nonfinite):
    """Loss (N,) float64 and number of right answers (N,) int64 of networks start..stop-1."""
    T = batch.loss_weights.shape[1]
    for n in range(start, stop):
        begin_evaluate(weights, batch, cell, n, work, loss, correct, first_nonfinite)
        evaluate_piece(weights, batch, cell, n, 0, T, work, loss, correct, first_nonfinite)


@kernel
def begin_evaluate(weights, batch, cell, n, work, loss, correct, first_nonfinite):
    """h_0 of network n, whose pieces come next; nothing is scored yet."""
    pack_forward(network(weights, n), work)
    start_state(cell, work, batch_of(batch, n).h0)
    loss[n], correct[n], first_nonfinite[n] = 0.0, 0, -1


@kernel
def evaluate_piece(weights, batch, cell, n, first, last, work, loss, correct, first_nonfinite):
    """Add steps first+1..last of network n, from where the piece before left it."""
    B, data = batch.loss_weights.shape[2], batch_of(batch, n)
    H, V, block = weights.W_hh.shape[2], weights.W_hy.shape[1], work.score.losses.size // B
    for begin in range(first, last, block):
        count = min(block, last - begin)
        nonfinite = unfold(data.inputs, begin, begin + count, 0, cell, work)
        if first_nonfinite[n] < 0:
            first_nonfinite[n] = nonfinite
        class_major_outputs(1, count, V, work)
        outputs = class_major(V, count * B, work)
        gather_targets(data, begin, count, work)
        if data.loss == CROSS_ENTROPY:
            R = count * B
            answers, counted = work.score.classes[:R], work.score.loss_weights[:R]
            correct[n] += count_correct(outputs, answers, counted)
        loss[n] += score(outputs, data.loss, work) / B
        carry_state(cell, work, count, H)
