"""What every lag adds to the gradient of each of several batches, which go back in step."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from rnnsim import kernels, parallel
from rnnsim.kernels.arithmetic.jit import layer_of
from rnnsim.kernels.flow.flow import begin_flow
from rnnsim.kernels.flow.lags import advance_rows
from rnnsim.kernels.stacks.flow import (
    advance_stack,
    begin_stack_flow,
    stack_flow_arrays,
    stack_flow_work,
)
from rnnsim.kernels.stacks.layers import layered
from rnnsim.networks.stack import Network
from rnnsim.networks.states import cell_of

Floats = npt.NDArray[np.float64]

_BEYOND = 3000  # a power of two that takes any number out of the range
_WITHIN = 1000  # powers of two that are numbers themselves
_KEPT = 2**25  # numbers in the parts of all batches that wait to be collected


class Bound(NamedTuple):
    """A batch as kernels read it, with weights of each layer, loss steps, what arrives at c_T."""

    weights: tuple[kernels.Weights, ...]
    batch: kernels.Batch
    steps: npt.NDArray[np.int64]
    final: Floats


class Flow(NamedTuple):
    """A batch on its way back: how a network begins, how lags advance, the scratch of each layer.

    failed: of the results, the first step (N,) that is not finite, in all layers and in each.
    """

    begin: Callable[[int], object]
    advance: Callable[[int, int, int], object]
    layers: list[kernels.FlowWork]
    failed: list[npt.NDArray[np.int64]]


class Collector(Protocol):
    """What takes the parts of a network, all in one unit; M batches, Q recurrent weights."""

    def start(self, n: int, full: Floats, exponents: npt.NDArray[np.int64]) -> int:
        """Take full gradients full[m] * 2^exponents[m] (M, Q); the exponent of the unit."""

    def add(self, n: int, k: int, parts: Floats, last: bool) -> None:
        """Take the parts (M, Q) that lag k adds, from k = 0 on; whether none follows."""

    def close(self, n: int, terms: Floats) -> None:
        """Take the root (M,) of the sum of squares of all terms that parts were added up from."""


def move(
    rnn: Network,
    bound: list[Bound],
    of: str,
    n_threads: int | None,
    collector: Collector,
    shown: Callable[[int], object],
    n_lags: int,
) -> npt.NDArray[np.int64]:
    """Bring the parts of all lags to the collector, network by network.

    Gradients are of the mean over the sequences of each batch, with respect to all recurrent
    weights and biases, or to W_hh or W_xh alone, of all layers. `shown` is called with lags that
    were done, n_lags in all. Returns the first step (N,) that is not finite in one of the batches,
    -1 where there is none.
    """
    T, B = bound[0].batch.inputs.shape[1:3]
    lags = kernels.lags_at_once(T, B, max(each.steps.size for each in bound))
    rows = rnn.layers[0].b_h.shape[1]
    widths = [layer.n_hidden + 1 + layer.n_inputs for layer in rnn.layers]
    lags = max(1, min(lags, _KEPT // (len(bound) * len(widths) * rows * max(widths))))
    flows = [_flow(rnn, each, lags) for each in bound]
    reach = max(int(each.steps[-1]) for each in bound)  # lags that a loss step has
    members = min(parallel.thread_count(n_threads), len(bound))
    columns = [_columns(of, rnn.n_hidden, width) for width in widths]

    def begin(n: int, m: int) -> None:
        for flow in flows[m::members]:
            flow.begin(n)

    def advance(n: int, first: int, m: int) -> None:
        for flow in flows[m::members]:
            flow.advance(n, first, min(first + lags, n_lags))

    def phases() -> Iterator[Callable[[int], None]]:
        for n in range(len(rnn)):
            yield partial(begin, n)
            full, exponents = zip(*(_full(flow, columns) for flow in flows), strict=True)
            unit = collector.start(n, np.array(full) / B, np.array(exponents))
            squares, Q = np.zeros(len(flows)), full[0].size
            for first in range(0, n_lags, lags):
                yield partial(advance, n, first)
                for k in range(first, min(first + lags, n_lags)):
                    rows = np.empty((len(flows), Q))
                    squares += [_part(flow, k - first, columns, of, unit, row) for flow, row in
                                zip(flows, rows, strict=True)]  # fmt: skip
                    rows /= B
                    collector.add(n, k, rows, k + 1 >= reach)
                shown(min(first + lags, n_lags) - first)
            collector.close(n, np.sqrt(squares) / B)

    with np.errstate(all="ignore"):
        parallel.in_step(members, phases())
    failed = np.array([each for flow in flows for each in flow.failed])
    last = np.iinfo(np.int64).max
    earliest = np.where(failed < 0, last, failed).min(axis=0)
    return np.where(earliest == last, -1, earliest)


def _flow(rnn: Network, bound: Bound, lags: int) -> Flow:
    """What the kernels need for one batch."""
    weights, batch, steps, final = bound
    cell, S = cell_of(rnn), steps.size
    if len(weights) > 1:
        together, out = layered(weights), stack_flow_arrays(weights, batch, S, 1, False)
        whole = stack_flow_work(weights, batch, S, lags, cell, final)
        return Flow(
            lambda n: begin_stack_flow(together, batch, cell, steps, n, whole, out),
            lambda n, first, last: advance_stack(cell, steps, first, last, n, whole, out),
            [layer_of(whole.layers, k) for k in range(len(weights))],
            [out.whole.first_nonfinite, *out.layers.first_nonfinite],
        )
    work = kernels.flow_work(weights[0], batch, S, lags, cell)._replace(final=final)
    own = kernels.flow_arrays(weights[0], batch, S, 1, False)
    return Flow(
        lambda n: begin_flow(weights[0], batch, cell, steps, n, work, own),
        lambda n, first, last: advance_rows(cell, steps, first, last, n, work, own),
        [work],
        [own.first_nonfinite],
    )


def _columns(of: str, H: int, width: int) -> slice:
    """Of outer products with a row of the trace: h, 1 and what a layer reads."""
    return {"W_hh": slice(0, H), "W_xh": slice(H + 1, width), "recurrent": slice(0, width)}[of]


def _full(flow: Flow, columns: list[slice]) -> tuple[Floats, int]:
    """The full gradient of all layers as one vector, and its exponent."""
    parts = [work.full[:, own] for work, own in zip(flow.layers, columns, strict=True)]
    exponents = [int(work.sum_exponents[1]) for work in flow.layers]
    if len(parts) == 1:
        return parts[0].reshape(-1), exponents[0]
    pairs = list(zip(parts, exponents, strict=True))
    peaks = [int(np.frexp(np.abs(a).max())[1]) + e for a, e in pairs if (a != 0).any()]
    unit = max(peaks, default=0)
    return np.concatenate([np.ldexp(a, _within(e - unit)).reshape(-1) for a, e in pairs]), unit


def _part(flow: Flow, lag: int, columns: list[slice], of: str, unit: int, into: Floats) -> float:
    """Put outer products of one lag of the chunk `into` a row; the sum of squares of their terms.

    In units of 2^unit.
    """
    rows = 0 if of == "W_hh" else 1  # of the terms: presynaptic h alone, or all that is
    at, squares = 0, 0.0
    for work, own in zip(flow.layers, columns, strict=True):
        block, shift = work.outer[lag][:, own], _within(work.tops[lag] - unit)
        out = into[at : at + block.size].reshape(block.shape)
        if abs(shift) < _WITHIN:  # far faster than ldexp, and as exact
            np.multiply(block, 2.0**shift, out=out, dtype=np.float64)
        else:
            np.ldexp(block.astype(np.float64), shift, out=out)
        size = _within(2 * (work.tops[lag] + work.size_exponents[rows] - unit))
        squares += float(np.ldexp(work.terms[lag, rows].sum(), size))
        at += block.size
    return squares


def _within(exponent: int | np.int64) -> int:
    return int(np.clip(exponent, -_BEYOND, _BEYOND))
