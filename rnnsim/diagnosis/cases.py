"""What is diagnosed: one network, its data, and the parts of them that errors come from."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import error_of_mean
from rnnsim.flow.results import GradientFlow
from rnnsim.networks.stack import Network

Floats = npt.NDArray[np.float64]

MOST_PARTS = 8


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the sequences with their first states (B, H), or (L, B, H); None is 0."""

    data: Sequences
    h0: FloatArray | None
    c0: FloatArray | None

    @property
    def start(self) -> dict[str, Any]:
        """The first states by name."""
        return {"h0": self.h0, "c0": self.c0}

    def of(self, columns: npt.NDArray[np.int64]) -> "Part":
        """Some sequences of it, by their numbers."""
        first = [None if a is None else a[..., columns, :] for a in (self.h0, self.c0)]
        return Part(chosen(self.data, columns), *first)


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
    def flow(self) -> GradientFlow:
        """The gradient flow of all sequences."""
        return self._flow(self.whole)

    @cached_property
    def flows(self) -> tuple[GradientFlow, ...]:
        """The flow of each part."""
        return tuple(map(self._flow, self.parts))

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
        error = error_of(whole, parts, resolution)
        return {"number": whole, "error": error, "parts": parts, "over": self.over}

    def _flow(self, part: Part) -> GradientFlow:
        data = part.data
        return gradient_flow(self.network, data, **part.start, n_threads=self.n_threads)


def error_of(whole: float, parts: Sequence[float], resolution: float = 0.0) -> float:
    """What holds the number of many sequences 95 times in a hundred when added to either side.

    ::

        t_975(P - 1) * deviation of the P parts / sqrt(P)  +  |whole - mean of the parts| / (P - 1)

    The second term is the bias of a number that is no mean: it falls as 1/B, so that a part has P
    times that of the whole (Quenouille 1956). Of numbers that come in steps, such as windows, half
    a step is added, their `resolution`, unless all are the same. NaN of fewer than two parts or
    where one is NaN.
    """
    values = np.array(parts, float)
    if values.size < 2 or np.isnan(values).any() or math.isnan(whole):
        return math.nan
    if (values == whole).all():
        return 0.0
    if not np.isfinite(values).all() or not math.isfinite(whole):
        return math.nan
    scatter = 2 * float(error_of_mean(values[None], np.ones((1, values.size), bool))[0])
    return scatter + abs(whole - float(values.mean())) / (values.size - 1) + resolution


def chosen(data: Sequences, columns: npt.NDArray[np.int64]) -> Sequences:
    """Some of the sequences."""
    inputs = data.inputs[..., columns, :]
    if data.gradients is not None:
        given = data.gradients._asdict()
        kept = {k: None if a is None else a[..., columns, :] for k, a in given.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Sequences.from_gradients(inputs, **kept)
    targets = np.take(data.targets, columns, axis=data.inputs.ndim - 2)
    return silently(inputs, targets, data.weights[..., columns])


def silently(inputs: FloatArray, targets: npt.NDArray[Any], weights: FloatArray) -> Sequences:
    """Parts of data: whether axes look swapped was said of all of them when they were made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Sequences(inputs, targets, weights)


def last_steps(data: Sequences) -> npt.NDArray[np.int64]:
    """The last step with loss of each sequence (B,), T where none has: behind it is padding."""
    weights = np.asarray(data.weights.reshape(-1, *data.weights.shape[-2:]).any(axis=0))
    T = data.n_steps
    return np.where(weights.any(axis=0), T - weights[::-1].argmax(axis=0), T)
