"""Training: an update after each segment of truncated BPTT, for all networks of an ensemble.

A thread takes one network after the other through all segments of a call. The weights of a network
are one flat vector, those of its encoder last; `Path` gives them their shapes. Each segment is
copied from its batch into a place of its own, so that the kernels of full BPTT serve any window:
the steps before the segment's own carry no loss, and the first state is the one that was kept: h
alone, so that memories, of cells that have them, begin every segment at 0.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import copy, fill, residue
from rnnsim.kernels.arithmetic.jit import inlined, kernel
from rnnsim.kernels.arithmetic.products import Rows, add_outer, rows_from
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, Batch, Weights
from rnnsim.kernels.gradients.backward import (
    add_block,
    backward_block,
    begin_bptt,
    end_bptt,
    forward_steps,
    score_block,
)
from rnnsim.kernels.gradients.backward_arrays import BackwardWork, GradientArrays
from rnnsim.kernels.gradients.unfolding import class_major, class_major_outputs
from rnnsim.kernels.training.optimisers import clip, constrained_norm, step
from rnnsim.kernels.training.penalty import PenaltyWork, add_penalty, clear_penalty, close_penalty

# Sums over the updates of one slot of the record; LARGEST is a maximum.
LOSS, LOG_NORM, LARGEST, CLIPPED, OMEGA, COUNT = range(6)
TALLIES = 6


class Segment(NamedTuple):
    """What one update computes; the rows of a schedule (segments, 7) hold these fields, in order.

    Steps begin+1..end of a batch are computed, of which those up to `first` carry no loss. `keep`
    is the step whose state the next segment starts from, `fresh` says that this one starts from
    zero. `slot` is where the update is recorded; -1: a segment without loss, no update.
    """

    batch: int
    begin: int
    first: int
    end: int
    keep: int
    fresh: bool
    slot: int

    @property
    def scored(self) -> bool:
        """Whether there is loss, so that an update follows."""
        return self.slot >= 0


@inlined
def segment_at(schedule, s):
    """Row s of a schedule, taken apart."""
    row = schedule[s]
    return Segment(row[0], row[1], row[2], row[3], row[4], row[5], row[6])


class Learners(NamedTuple):
    """An ensemble in training, P weights each; all of it carries over to the next call.

    values, first, second (N, P): weights and the optimiser's moments; state (N, B, H): where the
    next segment starts; updates (N,) int64; diverged (N,) int64, the update that failed or -1;
    rate, clip_norm, clip_value, penalty (N,) float64, inf where nothing is clipped; labels (P,) or
    (0,) int64, see `constrained_norm`; tallies (N, slots, 6) float64.
    """

    values: np.ndarray
    first: np.ndarray
    second: np.ndarray
    state: np.ndarray
    updates: np.ndarray
    diverged: np.ndarray
    rate: np.ndarray
    clip_norm: np.ndarray
    clip_value: np.ndarray
    penalty: np.ndarray
    labels: np.ndarray
    tallies: np.ndarray


class Batches(NamedTuple):
    """The batches of a call, one after the other along axis 0; with data of their own, N for each.

    inputs (., T, B, D), classes (., T, B), values (., T, B, V), loss_weights (., T, B) as in
    `Batch`; sources (., T_s, B, D_s) are read by an encoder, T_s = 0 where there is none.
    per_network is N, or 1 where all networks share their data.
    """

    inputs: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    loss_weights: np.ndarray
    sources: np.ndarray
    per_network: int


class Path(NamedTuple):
    """One recurrent network with its cell, its gradient and a place for one segment.

    weights and out.weights are views, N = 1, of LearnWork's values and gradient; inputs, classes,
    targets, loss_weights are 1-D and long enough for the longest segment; h0 (1, B, H). network is
    0, the only one there (a literal 0 would be a type of its own to Numba).
    """

    network: int
    cell: Any
    loss: int
    weights: Weights
    out: GradientArrays
    work: BackwardWork
    inputs: np.ndarray
    classes: np.ndarray
    targets: np.ndarray
    loss_weights: np.ndarray
    h0: np.ndarray


class LearnWork(NamedTuple):
    """Scratch of one thread. values, updated, gradient (P,); groups (G+1,) float64."""

    values: np.ndarray
    updated: np.ndarray
    gradient: np.ndarray
    groups: np.ndarray
    main: Path
    encoder: Path
    penalty: PenaltyWork


@kernel
def learn(learners, batches, schedule, rule, variant, start, stop, work):
    """Train networks start..stop-1 through all segments of the schedule (segments, 7).

    rule: Rule; variant: of the penalty. A network that leaves the range keeps its last finite
    weights and makes no further update.
    """
    for n in range(start, stop):
        if learners.diverged[n] >= 0:
            continue
        copy(learners.values[n], work.values)
        for s in range(schedule.shape[0]):
            segment = segment_at(schedule, s)
            if not _segment(learners, batches, segment, rule, variant, n, work):
                learners.diverged[n] = learners.updates[n] + 1
                break
        copy(work.values, learners.values[n])


@kernel
def _segment(learners, batches, segment, rule, variant, n, work):
    """One segment of network n; False if it has left the range."""
    main, state = work.main, learners.state[n]
    data = stage(batches, segment, n, main)
    if batches.sources.shape[1] > 0:
        encode(batches, segment.batch, n, work.encoder, main.h0)
    elif segment.fresh:
        fill(main.h0, 0)
    else:
        copy(state, main.h0)
    forward_path(data, segment.end - segment.begin, main)
    kept, trace = segment.keep - segment.begin, main.work.forward.trace
    for b in range(state.shape[0]):
        for i in range(state.shape[1]):
            state[b, i] = trace[kept, b, i]
    if segment.slot < 0 or main.work.marks[0] == 0:
        return residue(state) == 0
    omega = sum_gradients(data, main, learners.penalty[n], variant, work.penalty)
    if batches.sources.shape[1] > 0:
        pull_back(batches, segment.batch, n, variant, work)
    return _update(learners, rule, segment.slot, omega, n, work)


@inlined
def _update(learners, rule, slot, omega, n, work):
    """New weights from the gradient, and what is recorded of it."""
    loss = work.main.out.loss[0]
    norm = constrained_norm(learners.labels, work.gradient, work.groups)
    if not abs(loss) < np.inf or not norm < np.inf:
        return False
    clipped = clip(work.gradient, norm, learners.clip_norm[n], learners.clip_value[n])
    count, first, second = learners.updates[n] + 1, learners.first[n], learners.second[n]
    rate, values, updated = learners.rate[n], work.values, work.updated
    step(rule, rate, count, work.gradient, first, second, values, updated)
    if residue(updated) != 0:
        return False
    copy(updated, values)
    learners.updates[n] = count
    tally, log_norm = learners.tallies[n, slot], np.log(norm)
    tally[LOSS] += loss
    tally[LOG_NORM] += log_norm
    tally[LARGEST] = max(tally[LARGEST], log_norm)
    tally[CLIPPED] += clipped
    tally[OMEGA] += omega
    tally[COUNT] += 1
    return True


@inlined
def forward_path(data, steps, path):
    """Pack the weights, find the steps with loss, and compute the states of a segment."""
    n, begin = path.network, path.network
    begin_bptt(path.weights, data, n, path.work, path.out)
    forward_steps(data, path.cell, n, begin, steps, path.work)


@kernel
def sum_gradients(data, path, weight, variant, penalty):
    """The gradient of a segment whose states are known, without norms of single steps.

    With a weight above 0 the penalty's is added; returns Omega.
    """
    n, work, out, omega = path.network, path.work, path.out, 0.0
    block, H, V = work.factors.shape[1], work.checkpoints.shape[2], work.readout.shape[0]
    end = work.marks[0]  # nothing flows back from beyond the last loss
    if weight > 0.0:
        clear_penalty(penalty)
    for first in range((end - 1) // block * block, -1, -block):
        count = min(first + block, end) - first
        score_block(data, first, count, 0, n, work, out)
        backward_block(path.cell, first, count, n, work, out)
        if weight > 0.0:
            add_penalty(variant, count, H, V, work, penalty)
        _outer_products(first, count, work)
    add_block(n, n, n, work, out)  # of no steps: their norms are not asked for
    if weight > 0.0:
        B, dW_hh = work.errors.shape[1], out.weights.W_hh[n]
        omega = close_penalty(variant, weight, B, penalty, dW_hh)
    return omega


@inlined
def _outer_products(first, count, work):
    """Add errors times trace of a block's steps, all rows at once."""
    errors, trace = work.errors, work.forward.trace
    B, width = errors.shape[1:]
    A, V, P = work.recurrent.shape[0], work.readout.shape[0], work.forward.recurrent.shape[1]
    H, low = work.checkpoints.shape[2], 0
    add_outer(rows_from(errors, 0), rows_from(trace, first), count * B, A, P, work.recurrent)
    while low < count and not work.scored[first + low]:
        low += 1
    if low < count:
        dy = Rows(errors.reshape(errors.size), (low + 1) * B * width + A, width)
        states = rows_from(trace, first + low + 1)
        add_outer(dy, states, (count - low) * B, V, H + 1, work.readout)


@inlined
def stage(batches, segment, n, path):
    """The steps of a segment as a batch of its own; steps up to `first` carry no loss."""
    at = segment.batch * batches.per_network + min(n, batches.per_network - 1)
    begin, steps = segment.begin, segment.end - segment.begin
    _, _, B, D = batches.inputs.shape
    inputs = path.inputs[: steps * B * D].reshape(1, steps, B, D)
    copy(batches.inputs[at, begin : begin + steps], inputs)
    loss_weights = path.loss_weights[: steps * B].reshape(1, steps, B)
    for t in range(steps):
        for b in range(B):
            loss_weights[0, t, b] = (
                batches.loss_weights[at, begin + t, b] if begin + t >= segment.first else 0
            )
    V = batches.values.shape[3]
    targets = path.targets[: steps * B * V].reshape(1, steps, B, V)
    classes = path.classes[: steps * B].reshape(1, steps, B)
    if path.loss == CROSS_ENTROPY:
        copy(batches.classes[at, begin : begin + steps], classes)
    else:
        copy(batches.values[at, begin : begin + steps], targets)
    return Batch(inputs, classes, targets, loss_weights, path.h0, path.loss)


@inlined
def _source(batches, batch, n, path):
    """The source of network n as the encoder's batch, with loss at its last step alone."""
    at = batch * batches.per_network + min(n, batches.per_network - 1)
    _, T, B, D = batches.sources.shape
    V = path.weights.W_hy.shape[1]
    inputs = path.inputs.reshape(1, T, B, D)
    copy(batches.sources[at], inputs)
    loss_weights = path.loss_weights.reshape(1, T, B)
    targets = path.targets.reshape(1, T, B, V)
    classes = path.classes.reshape(1, T, B)
    return Batch(inputs, classes, targets, loss_weights, path.h0, path.loss)


@kernel
def encode(batches, batch, n, path, h0):
    """h0 (1, B, H) of the decoder = the encoder's output at its last step."""
    data, work = _source(batches, batch, n, path), path.work
    T, B, V = data.inputs.shape[1], data.inputs.shape[2], h0.shape[2]
    forward_path(data, T, path)
    class_major_outputs(T, 1, V, work.forward)
    outputs = class_major(V, B, work.forward)
    for b in range(B):
        for v in range(V):
            h0[0, b, v] = outputs[v, b]


@kernel
def pull_back(batches, batch, n, variant, work):
    """The encoder's gradient, from dL/dh_0 of the decoder; after `encode`."""
    path, main = work.encoder, work.main
    end_bptt(main.network, main.work, main.out)
    gradient = main.out.h0
    data = _source(batches, batch, n, path)
    T, B = data.inputs.shape[1:3]
    for b in range(B):
        for v in range(gradient.shape[2]):
            data.values[0, T - 1, b, v] = B * gradient[0, b, v]  # losses are divided by B
    sum_gradients(data, path, 0.0, variant, work.penalty)
