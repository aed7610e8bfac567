"""Training: an update after each segment of truncated BPTT, for all networks of an ensemble.

A thread takes one network after the other through all segments of a call. The weights of a network
are one flat vector, those of its encoder last; `Path` gives them their shapes. Several segments may
add their gradients to one update.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import add, copy, fill, residue
from rnnsim.kernels.arithmetic.jit import kernel, view
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, Batch
from rnnsim.kernels.training.boundary import encode, pull_back
from rnnsim.kernels.training.optimisers import clip_parts, constrained_norms, step
from rnnsim.kernels.training.paths import (
    Path,
    forward_path,
    gather_gradient,
    kept_state,
    spread_weights,
    sum_gradients,
)
from rnnsim.kernels.training.penalty import PenaltyWork

# Sums over the updates of one slot of the record; LARGEST is a maximum.
LOSS, LOG_NORM, LARGEST, CLIPPED, OMEGA, COUNT = range(6)
TALLIES = 6
# What is gathered of the segments of an update: their losses, their Omega, how many had loss.
GATHERED_LOSS, GATHERED_OMEGA, GATHERED_COUNT = range(3)
PENDING = 3


@by_reference
class Segment(NamedTuple):
    """What one gradient is computed of; the rows of a schedule (., segments, 8) hold these fields.

    Steps begin+1..end of a batch are computed, of which those up to `first` carry no loss. `keep`
    is the step whose state the next segment starts from, `fresh` says that this one starts from
    the beginning. `slot` is where the update is recorded; -1: a segment without loss. `closes` says
    that an update follows, from this segment and those before it that did not close.
    """

    batch: int
    begin: int
    first: int
    end: int
    keep: int
    fresh: bool
    slot: int
    closes: bool = True

    @property
    def scored(self) -> bool:
        """Whether there is loss, and so a gradient."""
        return self.slot >= 0


@kernel
def segment_at(schedule, s):
    """Row s of a schedule, taken apart."""
    row = schedule[s]
    return Segment(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7])


@by_reference
class Learners(NamedTuple):
    """An ensemble in training, P weights each; all of it carries over to the next call.

    values, first, second (N, P): weights and the optimiser's moments; start (1 or N, B, S): where
    sequences begin; state (N, B, S): where the next segment starts; gathered (N, P), or (N, 0)
    where every segment makes an update, and pending (N, 3) float64: sums over the segments of an
    update that is not complete; updates (N,) int64; diverged (N,) int64, the update that failed or
    -1; rate, clip_norm, clip_value, penalty (N,) float64, inf where nothing is clipped; labels (P,)
    or (0,) int64, see `constrained_norm`; bounds (L+1,) int64: where the parts of a gradient begin
    that clip_norm holds for, each by itself, and P; tallies (N, slots, 6) float64.
    """

    values: np.ndarray
    first: np.ndarray
    second: np.ndarray
    start: np.ndarray
    state: np.ndarray
    gathered: np.ndarray
    pending: np.ndarray
    updates: np.ndarray
    diverged: np.ndarray
    rate: np.ndarray
    clip_norm: np.ndarray
    clip_value: np.ndarray
    penalty: np.ndarray
    labels: np.ndarray
    bounds: np.ndarray
    tallies: np.ndarray


@by_reference
class Batches(NamedTuple):
    """The batches of a call, one after the other along axis 0; with data of their own, N for each.

    inputs (., T, B, D), classes (., T, B), values (., T, B, V), loss_weights (., T, B) as in
    `Batch`; starts (., T, B) bool, where a sequence begins anew before a step, T = 0 where none
    does; sources (., T_s, B, D_s) are read by an encoder, T_s = 0 where there is none. per_network
    is N, or 1 where all networks share their data.
    """

    inputs: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    loss_weights: np.ndarray
    starts: np.ndarray
    sources: np.ndarray
    per_network: int


@by_reference
class LearnWork(NamedTuple):
    """Scratch of one thread. values, updated, gradient (P,); groups (G+1,), norms (L,) float64.

    handed: how many memories of the encoder the decoder goes on with, all or none.
    """

    values: np.ndarray
    updated: np.ndarray
    gradient: np.ndarray
    groups: np.ndarray
    norms: np.ndarray
    main: Path
    encoder: Path
    handed: int
    penalty: PenaltyWork


@kernel
def learn(learners, batches, schedules, rule, variant, start, stop, work):
    """Train networks start..stop-1 through all segments of their schedule (1 or N, segments, 8).

    rule: Rule; variant: of the penalty. A network that leaves the range keeps its last finite
    weights and makes no further update.
    """
    for n in range(start, stop):
        if learners.diverged[n] >= 0:
            continue
        copy(learners.values[n], work.values)
        schedule = schedules[min(n, schedules.shape[0] - 1)]
        for s in range(schedule.shape[0]):
            segment = segment_at(schedule, s)
            if not _segment(learners, batches, segment, rule, variant, n, work):
                learners.diverged[n] = learners.updates[n] + 1
                break
        copy(work.values, learners.values[n])


@kernel
def _segment(learners, batches, segment, rule, variant, n, work):
    """One segment of network n; False if it has left the range."""
    main, state, paired = work.main, learners.state[n], batches.sources.shape[1] > 0
    data = _stage(batches, segment, n, main)
    _set_first_state(learners, segment, n, main)
    own = work.values.size - work.encoder.places.size  # of an encoder that is a stack
    if paired:
        spread_weights(work.values[own:], work.encoder)
        encode(batches, segment.batch, n, work.handed, work.encoder, main.h0)
    spread_weights(work.values, main)
    forward_path(data, segment.end - segment.begin, main)
    kept_state(segment.keep - segment.begin, main, state)
    omega, found = 0.0, segment.slot >= 0 and main.work.marks[0, 0] > 0
    if found:
        omega = sum_gradients(data, main, learners.penalty[n], variant, work.penalty)
        gather_gradient(main, work.gradient)
        if paired:
            pull_back(batches, segment.batch, n, variant, work)
            gather_gradient(work.encoder, work.gradient[own:])
    if learners.gathered.shape[1] > 0:
        found, omega = _gather(learners, segment.closes, found, omega, n, work)
    if not found:
        return residue(state) == 0
    return _update(learners, rule, segment.slot, omega, n, work)


@kernel
def _set_first_state(learners, segment, n, path):
    """Where a segment starts: at the beginning, or from the state that was kept."""
    h0, state = path.h0[0], learners.state[n]
    start = learners.start[min(n, learners.start.shape[0] - 1)]
    if segment.fresh:
        copy(start, h0)
    else:
        copy(state, h0)
    if path.starts.size > 0:
        copy(start, path.start)
        for b in range(h0.shape[0]):
            if path.starts[b]:
                for i in range(h0.shape[1]):
                    path.ended[0, b, i] = h0[b, i]
                    h0[b, i] = start[b, i]


@kernel
def _gather(learners, closes, found, omega, n, work):
    """Add a segment to its update: whether that is made now, and its Omega.

    The gradient and the loss of `work` are then those of all its segments together.
    """
    gathered, pending, loss = learners.gathered[n], learners.pending[n], work.main.out.loss[-1]
    if found:
        add(work.gradient, gathered)
        pending[GATHERED_LOSS] += loss[0]
        pending[GATHERED_OMEGA] += omega
        pending[GATHERED_COUNT] += 1
    if not closes or pending[GATHERED_COUNT] == 0:
        return False, 0.0
    copy(gathered, work.gradient)
    loss[0], omega = pending[GATHERED_LOSS], pending[GATHERED_OMEGA]
    fill(gathered, 0)
    fill(pending, 0.0)
    return True, omega


@kernel
def _update(learners, rule, slot, omega, n, work):
    """New weights from the gradient, and what is recorded of it."""
    loss = work.main.out.loss[-1, 0]
    bounds, norms = learners.bounds, work.norms
    norm = constrained_norms(learners.labels, work.gradient, bounds, work.groups, norms)
    if not abs(loss) < np.inf or not norm < np.inf:
        return False
    limits = learners.clip_norm[n], learners.clip_value[n]
    clipped = clip_parts(work.gradient, bounds, norms, limits[0], limits[1])
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


@view
def _stage(batches, segment, n, path):
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
    if path.starts.size > 0:
        fill(path.starts, False)
        copy(batches.starts[at, begin : begin + steps], path.starts[: steps * B])
    return Batch(inputs, classes, targets, loss_weights, path.h0, path.loss)
