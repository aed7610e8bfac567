"""What every lag adds to the gradient of each of several batches, which go back in step."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from rnnsim import kernels, parallel
from rnnsim.kernels.flow.flow import begin_flow
from rnnsim.kernels.flow.lags import advance_rows
from rnnsim.networks.rnn import RNN
from rnnsim.networks.states import cell_of

Floats = npt.NDArray[np.float64]

_BEYOND = 3000  # a power of two that takes any number out of the range
_KEPT = 2**25  # numbers in the parts of all batches that wait to be collected


class Bound(NamedTuple):
    """A batch as kernels read it, with its weights, loss steps and what arrives at c_T."""

    weights: kernels.Weights
    batch: kernels.Batch
    steps: npt.NDArray[np.int64]
    final: Floats


class Collector(Protocol):
    """What takes the parts of a network, all in one unit; M batches, Q recurrent weights."""

    def start(self, n: int, full: Floats, exponents: npt.NDArray[np.int64]) -> int:
        """Take full gradients full[m] * 2^exponents[m] (M, Q); the exponent of the unit."""

    def add(self, n: int, k: int, parts: Floats, last: bool) -> None:
        """Take the parts (M, Q) that lag k adds, from k = 0 on; whether none follows."""

    def close(self, n: int, terms: Floats) -> None:
        """Take the root (M,) of the sum of squares of all terms that parts were added up from."""


def move(
    rnn: RNN,
    bound: list[Bound],
    of: str,
    n_threads: int | None,
    collector: Collector,
    shown: Callable[[int], object],
) -> npt.NDArray[np.int64]:
    """Bring the parts of all lags to the collector, network by network.

    Gradients are of the mean over the sequences of each batch, with respect to all recurrent
    weights and biases, or to W_hh or W_xh alone. `shown` is called with lags that were done.
    Returns the first step (N,) that is not finite in one of the batches, -1 where there is none.
    """
    cell, (T, B), H = cell_of(rnn), bound[0].batch.inputs.shape[1:3], rnn.n_hidden
    lags = kernels.lags_at_once(T, B, max(each.steps.size for each in bound))
    lags = max(1, min(lags, _KEPT // (len(bound) * rnn.b_h.shape[1] * (H + rnn.n_inputs + 1))))
    works, outs = [], []
    for w, batch, steps, final in bound:
        work = kernels.flow_work(w, batch, steps.size, lags, cell)
        works.append(work._replace(final=final))
        outs.append(kernels.flow_arrays(w, batch, steps.size, 1, False))
    reach = max(int(each.steps[-1]) for each in bound)  # lags that a loss step has
    members = min(parallel.thread_count(n_threads), len(bound))
    P = works[0].window.shape[1]
    columns = {"W_hh": slice(0, H), "W_xh": slice(H + 1, P), "recurrent": slice(0, P)}[of]
    rows = 0 if of == "W_hh" else 1  # of the terms: presynaptic h alone, or all that is

    def begin(n: int, m: int) -> None:
        for i in range(m, len(bound), members):
            begin_flow(*bound[i][:2], cell, bound[i].steps, n, works[i], outs[i])

    def advance(n: int, first: int, m: int) -> None:
        for i in range(m, len(bound), members):
            advance_rows(cell, bound[i].steps, first, min(first + lags, T), n, works[i], outs[i])

    def phases() -> Iterator[Callable[[int], None]]:
        for n in range(len(rnn)):
            yield partial(begin, n)
            full = np.array([work.full[:, columns] for work in works]).reshape(len(works), -1)
            exponents = np.array([work.sum_exponents[1] for work in works])
            unit, squares = collector.start(n, full / B, exponents), np.zeros(len(works))
            for first in range(0, T, lags):
                yield partial(advance, n, first)
                for k in range(first, min(first + lags, T)):
                    found = [_part(work, k - first, columns, rows, unit) for work in works]
                    collector.add(n, k, np.array([part for part, _ in found]) / B, k + 1 >= reach)
                    squares += [square for _, square in found]
                shown(min(first + lags, T) - first)
            collector.close(n, np.sqrt(squares) / B)

    with np.errstate(all="ignore"):
        parallel.in_step(members, phases())
    failed = np.array([out.first_nonfinite for out in outs])
    last = np.iinfo(np.int64).max
    earliest = np.where(failed < 0, last, failed).min(axis=0)
    return np.where(earliest == last, -1, earliest)


def _part(
    work: kernels.FlowWork, lag: int, columns: slice, rows: int, unit: int
) -> tuple[Floats, float]:
    """Outer products of one lag of the chunk, and the sum of their squares, in units of 2^unit."""
    shift = _within(work.tops[lag] - unit)
    part = np.ldexp(work.outer[lag][:, columns].astype(np.float64), shift)
    size = _within(2 * (work.tops[lag] + work.size_exponents[rows] - unit))
    return part.reshape(-1), float(np.ldexp(work.terms[lag, rows].sum(), size))


def _within(exponent: np.int64) -> int:
    return int(np.clip(exponent, -_BEYOND, _BEYOND))
