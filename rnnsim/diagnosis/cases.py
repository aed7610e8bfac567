"""What is diagnosed: one network, its data, and the parts of them that errors come from."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import parallel
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.diagnosis.findings import percent
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import error_of_mean
from rnnsim.flow.results import GradientFlow
from rnnsim.gradients.bptt import bptt
from rnnsim.networks.stack import Network

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_PARTS = 8
MOST_BATCHES = 32
_WORK = 2e12  # of one flow, in multiplications and additions: about a minute of one core
_COLLECTED = 300.0  # of them cost as much as one entry of what a lag adds to a batch's gradient
_MOST_NOISE = 0.2  # of the square of a mean gradient: with more, errors of its ratios do not cover
_KEPT = 2**26  # norms of single sequences, as in `gradient_flow`


@dataclass(frozen=True, eq=False)
class Part:
    """Some sequences: their numbers, data and first states, (B, H) or (L, B, H); None is 0."""

    columns: Ints
    data: Sequences
    h0: FloatArray | None
    c0: FloatArray | None

    @property
    def start(self) -> dict[str, Any]:
        """The first states by name."""
        return {"h0": self.h0, "c0": self.c0}

    def of(self, columns: Ints) -> "Part":
        """Some sequences of it, by their places in it."""
        first = [None if a is None else a[..., columns, :] for a in (self.h0, self.c0)]
        return Part(self.columns[columns], chosen(self.data, columns), *first)

    def by_length(self) -> Iterator[tuple[Ints, FloatArray, dict[str, Any]]]:
        """Places, inputs and first states of the sequences of each length, without padding."""
        lengths = last_steps(self.data)
        for L in np.unique(lengths):
            at = np.flatnonzero(lengths == L)
            first = {k: None if a is None else a[..., at, :] for k, a in self.start.items()}
            yield at, self.data.inputs[..., :L, :, :][..., at, :], first


@dataclass(frozen=True, eq=False)
class Case:
    """One network on its data.

    `of_loss`: gradients are those of the data's loss, not of random cotangents; `needs`: what a
    finding about the loss would need where they are not. `valued`: the loss has a value.
    """

    network: Network
    whole: Part
    of_loss: bool
    needs: str
    window: int | None
    batch_size: int
    batch_given: bool
    clip_norm: float | None
    clip_value: float | None
    max_lag: int | None
    n_threads: int | None

    @property
    def data(self) -> Sequences:
        """All sequences."""
        return self.whole.data

    @property
    def valued(self) -> bool:
        """Whether the loss has a value."""
        return self.of_loss and not self.data.has_gradients

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Sequences next to each other, cut into parts that carry loss each; none of one alone."""
        weights = self.data.weights.reshape(-1, self.data.n_sequences)
        carries = weights.any(axis=0)
        with_loss, without = np.flatnonzero(carries), np.flatnonzero(~carries)
        n = min(MOST_PARTS, with_loss.size)
        if n < 2:
            return ()
        pairs = zip(np.array_split(with_loss, n), np.array_split(without, n), strict=True)
        return tuple(self.whole.of(np.sort(np.concatenate(pair))) for pair in pairs)

    @cached_property
    def n_lags(self) -> int:
        """K: those that were asked for, or as many as a count of the work allows."""
        T = self.data.n_steps
        if self.max_lag is not None:
            return min(self.max_lag, T - 1) + 1
        S, B = self.data.loss_steps.size, self.data.n_sequences
        sizes = [layer.b_h.shape[1] * (layer.n_hidden + layer.n_inputs + 1)
                 for layer in self.network.layers]  # fmt: skip
        a_lag = sum(sizes) * (2.0 * S * B + _COLLECTED * min(B, MOST_BATCHES))
        return min(T, max(2, min(int(_WORK / a_lag), _KEPT // (S * B))))

    @property
    def longest(self) -> int | None:
        """The largest lag, where not all are measured."""
        return None if self.n_lags >= self.data.n_steps else self.n_lags - 1

    @property
    def n_possible(self) -> int:
        """Lags that the last loss has."""
        return int(self.data.loss_steps[-1])

    @property
    def beyond(self) -> str:
        """What is to be said where not all lags were measured."""
        if self.n_lags >= self.n_possible:
            return ""
        return f" Lags beyond {self.n_lags - 1} were not measured (`max_lag`)."

    @property
    def more_lags(self) -> str:
        """What would be needed beyond the lags that were measured."""
        return (
            f"lags beyond {self.n_lags - 1}, of the {self.n_possible - 1} that there are; give a "
            "larger `max_lag`"
        )

    @cached_property
    def flow(self) -> GradientFlow:
        """The gradient flow of all sequences."""
        return self._flow(self.whole, self.n_threads)

    @cached_property
    def flows(self) -> tuple[GradientFlow, ...]:
        """The flow of each part, several at once."""
        found: dict[int, GradientFlow] = {}

        def prepare() -> parallel.Worker:
            def worker(start: int, stop: int) -> Iterator[None]:
                for p in range(start, stop):
                    found[p] = self._flow(self.parts[p], 1)
                    yield

            return worker

        if self.parts:
            parallel.over_networks(len(self.parts), self.n_threads, prepare, flops=math.inf)
        return tuple(found[p] for p in range(len(self.parts)))

    @cached_property
    def noise(self) -> tuple[float, float]:
        """The noise that these sequences leave in their mean gradient, and the error of its norm.

        ::

            tr Cov(g_p) / P / ||mean g||^2         g_p: of W_hh, W_xh and b_h, of each of P parts
            <g_p, mean g> / ||mean g||^2           whose error is that of the norm, relative to it

        The largest over layers. NaN of fewer than two parts, or of gradients that are exactly 0.
        """
        if not self.parts:
            return math.nan, math.nan
        found = [
            bptt(self.network, part.data, **part.start, n_threads=self.n_threads).layers
            for part in self.parts
        ]
        each = [
            _noise(np.array(list(map(_recurrent, layer)))) for layer in zip(*found, strict=True)
        ]
        return max(share for share, _ in each), max(error for _, error in each)

    @property
    def noisy(self) -> str:
        """What is to be said where these sequences are too few to tell of many."""
        share = self.noise[0]
        if not share > _MOST_NOISE:
            return ""
        return (
            f" Noise of so few sequences is {percent(min(share, 1.0))} of the square of the mean "
            "gradient, so that no error is known."
        )

    @property
    def over(self) -> str:
        """What errors come from."""
        sizes = {part.data.n_sequences for part in self.parts}
        if not sizes:
            return "one sequence" if self.data.n_sequences == 1 else "one sequence with loss"
        span = " to ".join(str(size) for size in sorted({min(sizes), max(sizes)}))
        plural = "" if sizes == {1} else "s"
        return f"{len(self.parts)} parts of {span} sequence{plural}"

    def of_flows(
        self, number: Callable[[GradientFlow], float], resolution: float = 0.0
    ) -> dict[str, Any]:
        """A number of the flow: of all, its error and those of the parts, as findings have them."""
        whole, parts = number(self.flow), tuple(number(flow) for flow in self.flows)
        error = error_of(whole, parts, resolution, of_norms=True)
        if error > 0 and self.noisy:
            error = math.nan
        return {"number": whole, "error": error, "parts": parts, "over": self.over}

    def _flow(self, part: Part, n_threads: int | None) -> GradientFlow:
        return gradient_flow(
            self.network, part.data, max_lag=self.longest, **part.start, n_threads=n_threads
        )


def _recurrent(layer: Any) -> Floats:
    rows = [getattr(layer, name).astype(float).ravel() for name in ("W_hh", "W_xh", "b_h")]
    return np.concatenate(rows)


def _noise(rows: Floats) -> tuple[float, float]:
    """Of gradients (P, Q): the square of the error of their mean, and its error along itself."""
    unit = float(np.abs(rows).max())
    if not (0 < unit < math.inf):
        return math.nan, math.nan
    mean, P = rows.mean(axis=0) / unit, len(rows)
    square = float(mean @ mean)
    if not square:
        return math.inf, math.inf
    along = (rows / unit @ mean / square)[None]
    error = 2 * float(error_of_mean(along, np.ones(along.shape, bool))[0])
    return float(((rows / unit - mean) ** 2).sum() / (P * (P - 1)) / square), error


def error_of(
    whole: float, parts: Sequence[float], resolution: float = 0.0, *, of_norms: bool = False
) -> float:
    """What holds the number of many sequences 95 times in a hundred when added to either side.

    ::

        t_975(P - 1) * deviation of the P parts / sqrt(P)  +  |whole - mean of the parts| / (P - 1)

    The second term is the bias of a number that is no mean: it falls as 1/B, so that a part has P
    times that of the whole (Quenouille 1956); of norms that noise alone can make up, `of_norms`, it
    falls as 1/sqrt B only, and sqrt(P) - 1 stands in its place. Of numbers that come in steps, such
    as windows, one step is added, their `resolution`, as |ceil a - ceil b| < |a - b| + 1, unless
    eight parts agree. NaN of fewer than two parts or where one is NaN.
    """
    values = np.array(parts, float)
    if values.size < 2 or np.isnan(values).any() or math.isnan(whole):
        return math.nan
    if (values == whole).all():
        return 0.0 if values.size >= MOST_PARTS else resolution
    if not np.isfinite(values).all() or not math.isfinite(whole):
        return math.nan
    scatter = 2 * float(error_of_mean(values[None], np.ones((1, values.size), bool))[0])
    fewer = math.sqrt(values.size) if of_norms else values.size
    return scatter + abs(whole - float(values.mean())) / (fewer - 1) + resolution


def bracket(values: Floats, errors: Floats, limit: float) -> tuple[int, int]:
    """From where on values stay within a limit, if they are less, or more, by their errors.

    Two places in the series; its length where that is nowhere.
    """
    ends = []
    for curve in (values - errors, values + errors):
        beyond = np.flatnonzero(~(curve <= limit))
        ends.append(int(beyond[-1]) + 1 if beyond.size else 0)
    return ends[0], ends[1]


def chosen(data: Sequences, columns: Ints) -> Sequences:
    """Some of the sequences."""
    inputs = data.inputs[..., columns, :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether axes look swapped was said of all data
        if data.gradients is not None:
            given = data.gradients._asdict()
            kept = {k: None if a is None else a[..., columns, :] for k, a in given.items()}
            return Sequences.from_gradients(inputs, **kept)
        targets = np.take(data.targets, columns, axis=data.inputs.ndim - 2)
        return Sequences(inputs, targets, data.weights[..., columns])


def last_steps(data: Sequences) -> Ints:
    """The last step with loss of each sequence (B,), T where none has: behind it is padding."""
    weights = np.asarray(data.weights.reshape(-1, *data.weights.shape[-2:]).any(axis=0))
    T = data.n_steps
    return np.where(weights.any(axis=0), T - weights[::-1].argmax(axis=0), T)
