"""The unfolded network: states h_0..h_T, outputs, loss without gradient."""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import copy, scratch
from rnnsim.kernels.arithmetic.jit import allocator, kernel, view
from rnnsim.kernels.arithmetic.products import (
    Rows,
    empty_panels,
    multiply,
    pack_transposed,
    padded,
    rows_of,
)
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, Batch
from rnnsim.kernels.gradients.losses import count_correct, score
from rnnsim.kernels.gradients.steps import (
    carry_state,
    gather_memories,
    network,
    pack_steps,
    start_state,
    step_work,
    unfold,
)

_BLOCK_BYTES = 2**17  # for the hidden states of one block of steps: a part of the L2 cache
_RUN = 16  # rows of outputs that are turned at once: what is read and written stays in the L1 cache


@by_reference
class ForwardWork(NamedTuple):
    """Scratch of one thread: the fields of StepWork, and those of readout and losses.

    readout: packed [W_hy, b_y]^T; score: ScoreWork.
    """

    trace: np.ndarray
    kept: np.ndarray
    share: np.ndarray
    blocks: np.ndarray
    sizes: np.ndarray
    recurrent: np.ndarray
    pre: np.ndarray
    state: np.ndarray
    readout: np.ndarray
    score: "ScoreWork"


@by_reference
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
def forward_work(weights, T, B, stored, cell=0):
    """Scratch for a forward pass over T steps of B sequences that keeps `stored` steps at once.

    `forward` and `evaluate` need one block, `block_steps`.
    """
    A, D, H = weights.b_h.shape[1], weights.W_xh.shape[2], weights.W_hh.shape[2]
    V, like = weights.W_hy.shape[1], weights.W_hh
    R = block_steps(T, B, H, like.itemsize) * B
    steps = step_work(A, H, D, B, stored, like, cell)
    steps.sizes[2], steps.sizes[3] = V, weights.b_y.shape[1]
    return ForwardWork(
        steps.trace,
        steps.kept,
        steps.share,
        steps.blocks,
        steps.sizes,
        steps.recurrent,
        steps.pre,
        steps.state,
        empty_panels(H + 1, V, like),
        ScoreWork(
            scratch((R, padded(V, like)), like),
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


@view
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
def pack_forward(w, work):
    """Pack the weights of one network for its steps and its readout."""
    H = w.W_hh.shape[1]
    pack_steps(w, work)
    pack_transposed(w.W_hy, 0, 0, work.readout)
    pack_transposed(w.b_y.reshape(w.b_y.size, 1), H, 0, work.readout)


@kernel
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


@view
def class_major(V, R, work):
    """The scratch for outputs class by class, (V, R)."""
    return work.score.by_class[: V * R].reshape(V, R)


@kernel
def class_major_outputs(t, count, V, work):
    """The same outputs as (V, R), in scratch."""
    readout(t, count, work)
    R = count * (work.share[1] - work.share[0])
    by_class, outputs = class_major(V, R, work), work.score.outputs
    for first in range(0, R, _RUN):
        for v in range(V):
            for r in range(first, min(first + _RUN, R)):
                by_class[v, r] = outputs[r, v]


@kernel
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
    """Whole states (N, T+1, B, S) and outputs (N, T, B, V) of networks start..stop-1.

    inputs (1 or N, T, B, D), h0 (1 or N, B, S), work from `forward_work`.
    """
    for n in range(start, stop):
        begin_forward(weights, h0, n, work, states)
        forward_piece(inputs, cell, n, 0, outputs.shape[1], work, states, outputs)


@kernel
def begin_forward(weights, h0, n, work, states):
    """The first state of network n, whose pieces come next."""
    pack_forward(network(weights, n), work)
    copy(h0[min(n, h0.shape[0] - 1)], states[n, 0])
    start_state(work, states[n, 0], weights.W_hh.shape[2])


@kernel
def forward_piece(inputs, cell, n, first, last, work, states, outputs):
    """Steps first+1..last of network n, from what the piece before left; whole blocks but at T."""
    B, V = outputs.shape[2:]
    H, block = work.readout.shape[1] - 1, work.score.losses.size // B
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
                gather_memories(work.kept[t + 1, b], H, states[n, begin + t + 1], b)
        carry_state(work, end - begin, H)


@kernel
def evaluate(weights, batch, cell, start, stop, work, loss, correct, first_nonfinite):
    """Loss (N,) float64 and number of right answers (N,) int64 of networks start..stop-1."""
    T = batch.loss_weights.shape[1]
    for n in range(start, stop):
        begin_evaluate(weights, batch, n, work, loss, correct, first_nonfinite)
        evaluate_piece(weights, batch, cell, n, 0, T, work, loss, correct, first_nonfinite)


@kernel
def begin_evaluate(weights, batch, n, work, loss, correct, first_nonfinite):
    """The first state of network n, whose pieces come next; nothing is scored yet."""
    pack_forward(network(weights, n), work)
    start_state(work, batch_of(batch, n).h0, weights.W_hh.shape[2])
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
        carry_state(work, count, H)
