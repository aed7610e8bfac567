"""An ensemble in training: its weights as flat vectors, its scratch, the calls that update it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import kernels, parallel
from rnnsim.checks import FloatArray
from rnnsim.gradients.bptt import flops_per_network
from rnnsim.kernels.cells.layout import CROSS_ENTROPY, INNER_PRODUCT, Batch, Weights
from rnnsim.kernels.gradients.backward_arrays import BackwardWork
from rnnsim.kernels.stacks.layers import wide_enough
from rnnsim.kernels.training.learning import (
    LARGEST,
    PENDING,
    TALLIES,
    Batches,
    Learners,
    LearnWork,
    Segment,
    learn,
)
from rnnsim.kernels.training.optimisers import Rule
from rnnsim.kernels.training.paths import Path
from rnnsim.kernels.training.penalty import penalty_work
from rnnsim.networks.model import Layout, Model, memories_handed, parts_of
from rnnsim.networks.rnn import RNN, originals
from rnnsim.networks.stack import Network
from rnnsim.networks.states import cell_of, state_size

# Arithmetic of all networks between two returns to Python: some tenths of a second.
FLOPS_PER_CALL = 1e10


@dataclass(frozen=True, eq=False)
class Method:
    """How gradients become updates: what the kernels need of the settings of `train`."""

    rule: Rule
    variant: int
    rate: FloatArray
    clip_norm: FloatArray
    clip_value: FloatArray
    penalty: FloatArray
    labels: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    accumulate: int = 1


class Bound(NamedTuple):
    """A batch as kernels take it, for all networks or for one: with sources, and starts or None."""

    batch: Batch
    sources: list[FloatArray]
    starts: npt.NDArray[np.bool_] | None


def begin(values: FloatArray, method: Method, start: FloatArray, slots: int) -> Learners:
    """Learners before their first update; start (1 or N, B, S), slots the length of the record."""
    N, P = values.shape
    tallies = np.zeros((N, slots, TALLIES))
    tallies[:, :, LARGEST] = -np.inf
    return Learners(
        values=values,
        first=np.zeros_like(values),
        second=np.zeros_like(values),
        start=start,
        state=carried(start, N),
        gathered=np.zeros((N, P if method.accumulate > 1 else 0), values.dtype),
        pending=np.zeros((N, PENDING)),
        updates=np.zeros(N, np.int64),
        diverged=np.full(N, -1, np.int64),
        rate=method.rate,
        clip_norm=method.clip_norm,
        clip_value=method.clip_value,
        penalty=method.penalty,
        labels=method.labels,
        bounds=method.bounds,
        tallies=tallies,
    )


def carried(start: FloatArray, n_networks: int) -> FloatArray:
    """The states that are carried on, at the beginning: (N, B, S)."""
    return np.array(np.broadcast_to(start, (n_networks, *start.shape[1:])), order="C")


class Workshop:
    """Scratch for training one model, kept from call to call, and the calls."""

    def __init__(self, model: Model, method: Method, n_threads: int | None) -> None:
        self._model, self._layout, self._method = model, Layout.of(model), method
        self._n_threads = n_threads
        self._pool: list[LearnWork] = []
        self._sizes: tuple[int, ...] = ()

    def flops(self, n_steps: int, n_source_steps: int, n_sequences: int) -> float:
        """The arithmetic of one network in a segment of so many steps."""
        parts = zip(parts_of(self._model).values(), (n_steps, n_source_steps), strict=False)
        return sum(flops_per_network(rnn, steps * n_sequences) for rnn, steps in parts)

    def run(
        self, learners: Learners, batches: Batches, schedules: list[list[Segment]], loss: int
    ) -> None:
        """Take all networks through all segments of their schedules."""
        rows = np.array(schedules, np.int64)
        steps = max(segment.end - segment.begin for each in schedules for segment in each)
        self._prepare(batches, steps, loss)
        used: list[LearnWork] = []

        def prepare() -> parallel.Worker:
            work = self._pool.pop() if self._pool else self._work(batches, steps, loss)
            used.append(work)

            def worker(start: int, stop: int) -> Iterator[None]:
                rule, variant = self._method.rule, self._method.variant
                learn(learners, batches, rows, rule, variant, start, stop, work)
                yield

            return worker

        crew = min(parallel.thread_count(self._n_threads), len(self._model))
        portion = -(-len(self._model) // (4 * crew if crew > 1 else 1))  # of networks; for balance
        flops = parallel.FLOPS_PER_CALL / portion
        parallel.over_networks(len(self._model), self._n_threads, prepare, flops=flops)
        self._pool += used

    def _prepare(self, batches: Batches, steps: int, loss: int) -> None:
        """Drop scratch that does not fit."""
        _, _, B, D = batches.inputs.shape
        starts = batches.starts.size > 0
        sizes = (loss, B, D, batches.values.shape[3], *batches.sources.shape[1:], starts)
        if sizes != self._sizes[1:] or steps > self._sizes[0]:
            self._pool.clear()
            self._sizes = (steps, *sizes)

    def _work(self, batches: Batches, steps: int, loss: int) -> LearnWork:
        P, dtype = self._layout.size, self._model.dtype
        values, gradient = np.zeros(P, dtype), np.zeros(P, dtype)
        weights = self._layout.split(values[None])
        gradients = self._layout.split(gradient[None])
        parts = list(parts_of(self._model).values())
        steps, B = self._sizes[0], batches.inputs.shape[2]
        L = len(parts[0].layers)
        main = _path(parts[0], weights[:L], gradients[:L], steps, B, loss)
        if batches.starts.size > 0:
            main = _with_starts(main, steps, B)
        if len(parts) > 1:
            T = batches.sources.shape[1]
            encoder = _path(parts[1], weights[L:], gradients[L:], T, B, INNER_PRODUCT)
            encoder.loss_weights[-B:] = 1
            if L > 1:
                encoder = encoder._replace(work=_receiving(parts[1], encoder.work))
        else:
            one = RNN(*(np.zeros((1, 1), dtype) for _ in range(3)))
            nothing = [originals(one)]
            encoder = _path(one, nothing, nothing, 1, 1, INNER_PRODUCT)
        block = main.work.factors.shape[2]
        groups = np.zeros(int(np.abs(self._method.labels).max(initial=0)) + 1)
        norms = np.zeros(len(self._method.bounds) - 1)
        penalty = penalty_work(parts[0].n_hidden, block * B, values)
        handed = memories_handed(self._model)
        updated = np.zeros(P, dtype)
        return LearnWork(values, updated, gradient, groups, norms, main, encoder, handed, penalty)


def _path(
    rnn: Network,
    weights: list[Weights],
    gradients: list[Weights],
    steps: int,
    B: int,
    loss: int,
) -> Path:
    """Scratch for segments of up to so many steps of one network, with views of each layer."""
    dtype, D, V, cell = rnn.dtype, rnn.n_inputs, rnn.n_outputs, cell_of(rnn)
    scored_on_values = loss != CROSS_ENTROPY
    inputs, h0 = np.zeros(steps * B * D, dtype), np.zeros((1, B, state_size(rnn)), dtype)
    classes = np.zeros(steps * B, np.int64)
    targets = np.zeros(steps * B * V if scored_on_values else 0, dtype)
    loss_weights = np.zeros(steps * B, dtype)
    like = Batch(
        inputs.reshape(1, steps, B, D),
        classes.reshape(1, steps, B),
        np.empty((1, 0, 0, 0), dtype),
        loss_weights.reshape(1, steps, B),
        h0,
        loss,
    )
    spread, places = np.zeros(0, dtype), np.zeros(0, np.int64)
    gathered = spread
    if len(weights) > 1:
        shapes = [array.shape for array in kernels.layered(weights)]
        spread, places = _wide(weights, shapes)
        gathered = np.zeros_like(spread)
        wide, wide_gradients = _views(spread, shapes), _views(gathered, shapes)
    else:
        wide, wide_gradients = (Weights(*(a[None] for a in w)) for w in (weights[0], gradients[0]))
    out = kernels.stack_gradient_arrays(weights, like)._replace(weights=wide_gradients)
    work = kernels.stack_backward_work(weights, like, steps, cell)
    data = (spread, gathered, places, inputs, classes, targets, loss_weights, h0)
    none = np.zeros(0, np.bool_), np.zeros((0, 0), dtype), np.zeros((0, 0, 0), dtype)
    return Path(0, cell, loss, wide, out, work, *data, *none)


def _receiving(encoder: Network, work: BackwardWork) -> BackwardWork:
    """The same scratch with room for what arrives at the last states of every layer."""
    states = np.zeros((0, 0, 0, state_size(encoder.layers[0])))
    return work._replace(dc=wide_enough(work.dc, states, encoder.n_hidden))


def _views(flat: FloatArray, shapes: Sequence[tuple[int, ...]]) -> Weights:
    """Arrays of these shapes, one behind the other in a flat one."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = zip(np.split(flat, ends[:-1]), shapes, strict=True)
    return Weights(*(part.reshape(shape) for part, shape in parts))


def _wide(
    weights: list[Weights], shapes: Sequence[tuple[int, ...]]
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Room for all layers as wide as the widest, and where each entry of theirs stands there."""
    size = sum(int(np.prod(shape)) for shape in shapes)
    numbers = _views(np.arange(size), shapes)
    places = [
        whole[layer][tuple(map(slice, array.shape))].ravel()
        for layer, own in enumerate(weights)
        for whole, array in zip(numbers, own, strict=True)
    ]
    return np.zeros(size, weights[0].W_hh.dtype), np.concatenate(places)


def _with_starts(path: Path, steps: int, B: int) -> Path:
    """The same with a place for sequences that begin anew."""
    S, dtype = path.h0.shape[2], path.h0.dtype
    return path._replace(
        starts=np.zeros(steps * B, np.bool_),
        start=np.zeros((B, S), dtype),
        ended=np.zeros((steps, B, S), dtype),
    )


def join_batches(bound: Sequence[Bound], n_batches: int) -> Batches:
    """The batches of a call along one axis, written there straight from where they were drawn.

    Each may be in parts, one for each network: then these follow one another.
    """
    batches, sources, starts = zip(*bound, strict=True)

    def joined(arrays: Sequence[FloatArray]) -> FloatArray:
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    inputs = joined([batch.inputs for batch in batches])
    return Batches(
        inputs,
        joined([batch.classes for batch in batches]),
        joined([batch.values for batch in batches]),
        joined([batch.loss_weights for batch in batches]),
        np.zeros((1, 0, 0), np.bool_) if starts[0] is None else joined(starts),
        joined([*chain(*sources)] or [np.empty((1, 0, 1, 1), inputs.dtype)]),
        len(inputs) // n_batches,
    )
