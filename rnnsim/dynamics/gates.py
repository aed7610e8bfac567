"""What the gates of LSTMs and GRUs do along trajectories, and the exponents that they predict."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks, parallel
from rnnsim.checks import FloatArray
from rnnsim.data.labels import dynamics as labels
from rnnsim.data.labels.results import Labels, Result, described
from rnnsim.data.sequences import Sequences, originals
from rnnsim.dynamics.exponents import LyapunovSpectrum
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.gradients.simulation import earlier, run_states
from rnnsim.kernels.dynamics.gates import (
    FURTHEST,
    PER_UNIT,
    GateArrays,
    GateWork,
    begin_gates,
    gate_arrays,
    gate_steps,
    gate_work,
)
from rnnsim.networks.binding import checked_inputs, fitting_inputs
from rnnsim.networks.cells import CELLS, Cell
from rnnsim.networks.rnn import RNN
from rnnsim.networks.rnn import originals as weights_of
from rnnsim.networks.stack import Network, check_network
from rnnsim.networks.states import by_layer, cell_of, initial_states

Floats = npt.NDArray[np.float64]

_EXTREME = {False: (0.1, 0.9), True: (-0.9, 0.9)}  # beyond which a gate counts as low, and high
_ELEMENTWISE = 100.0  # what a gate of a unit costs beside its products, in their arithmetic


@dataclass(frozen=True, eq=False, repr=False)
class GateStatistics(Result):
    """What `gate_statistics` returns: N networks, G gates, H units, Q quantiles; float64.

    Of a network whose states leave the range everything is NaN. Of stacks an axis of L layers, the
    lowest first, stands behind that of the networks: ``mean (N, L, G)``, ``time_scale (N, L, H)``.

    Attributes
    ----------
    gates : tuple of str
        Their names, in order: i, f, g, o of LSTMs, r, z, n of GRUs. g and n run from -1 to 1, the
        others from 0 to 1.
    unit_mean : (N, G, H)
        Means over steps and sequences.
    unit_low, unit_high : (N, G, H)
        Fractions of steps and sequences where the gate is below .1, and above .9; g and n below
        -.9, and above .9.
    quantiles : (N, G, Q)
        Over steps, sequences and units, at `levels`. Off by less than .2 % of the distance to the
        nearer end of the gate's range, or 1e-17; the least and the largest value, levels 0 and 1,
        are exact.
    levels : (Q,)
        As asked for.
    mean_log : (N, H)
        Mean of ln f_t (LSTM), ln z_t (GRU), at full precision where the gate is near 0 or 1.
    burn_in : int
        Steps left out of all of this.
    first_nonfinite : (N,) int64
        First step with a state that is not finite in any sequence, of a stack in any layer; -1 if
        none.
    spectrum : LyapunovSpectrum or None
        With ``exponents=True``: the H largest exponents along the same steps, of a stack the L*H
        largest of all layers together.
    """

    _labels = labels.GATE_STATISTICS

    gates: tuple[str, ...]
    unit_mean: Floats
    unit_low: Floats
    unit_high: Floats
    quantiles: Floats
    levels: Floats
    mean_log: Floats
    burn_in: int
    first_nonfinite: npt.NDArray[np.int64]
    spectrum: LyapunovSpectrum | None

    @property
    def layers(self) -> tuple["GateStatistics", ...]:
        """Each layer of a stack by itself, without the spectrum, which is of all; the lowest first.

        What `gate_statistics` finds in a network of that layer alone, driven by the one below.
        """
        if self.unit_mean.ndim == 3:
            return (self,)
        return tuple(
            replace(self, **{name: getattr(self, name)[:, k] for name in _MEASURED}, spectrum=None)
            for k in range(self.unit_mean.shape[1])
        )

    @property
    def mean(self) -> Floats:
        """Means over steps, sequences and units (N, G)."""
        return self.unit_mean.mean(axis=-1)

    @property
    def low(self) -> Floats:
        """Fractions (N, G) as `unit_low`, over units too."""
        return self.unit_low.mean(axis=-1)

    @property
    def high(self) -> Floats:
        """Fractions (N, G) as `unit_high`, over units too."""
        return self.unit_high.mean(axis=-1)

    @property
    def time_scale(self) -> Floats:
        """Steps (N, H) in which the gate alone shrinks what a unit keeps by e: -1/mean of ln f_t.

        Infinite where every ln f_t is exactly 0. The mean of 1/(1-f) is another number, which a
        few open steps rule: f alternating .5, .999 forgets by e in 2.9 steps, not in 501.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / np.abs(self.mean_log))

    @property
    def predicted_exponents(self) -> Floats:
        """`mean_log` in descending order (N, H): the exponents if nothing but the gate acted.

        Of a stack those of all layers together (N, L*H).
        """
        return np.asarray(-np.sort(-self.mean_log.reshape(len(self.mean_log), -1), axis=1))

    @property
    def deviation(self) -> Floats | None:
        """The largest ``|predicted - measured|`` (N,) over the exponents; None without them.

        In nats per step. Over the resolved exponents, NaN where none is; infinite where one of
        these is -inf. Sorted numbers always correlate, so that a correlation would say nothing.
        """
        if self.spectrum is None:
            return None
        with np.errstate(invalid="ignore"):
            apart = np.abs(self.predicted_exponents - self.spectrum.exponents)
        known = self.spectrum.resolved & ~np.isnan(apart)
        return np.where(known.any(axis=1), np.where(known, apart, 0.0).max(axis=1), np.nan)

    def _labelling(self) -> Labels:
        of_stack = self.unit_mean.ndim == 4
        return labels.STACK_GATE_STATISTICS if of_stack else labels.GATE_STATISTICS


_MEASURED = ("unit_mean", "unit_low", "unit_high", "quantiles", "mean_log")


def gate_statistics(
    rnn: Network,
    sequences: Sequences | npt.ArrayLike,
    *,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    quantiles: npt.ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95),
    burn_in: int | None = None,
    exponents: bool = False,
    n_threads: int | None = None,
) -> GateStatistics:
    """How far the gates of LSTMs and GRUs are open along sequences, and how long units remember.

    ::

        LSTM   c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)        i, f, o = sigma(a), g = tanh(a)
        GRU    h_t = z h_{t-1} + (1-z) n                        r, z = sigma(a), n = tanh(a)
        time scale of a unit = -1 / <ln f_t>, of a GRU -1 / <ln z_t>         in steps
        predicted exponents  = sorted <ln f_t>, <ln z_t>                     in nats per step

    <> is the mean over steps and sequences, loss weights have no part in it. ln f comes from the
    pre-activation: f of 1 - 1e-17 has a time scale of 1e17. Where nothing but the gate acted, as
    without recurrent weights, <ln f> would be H exponents of an LSTM. How far this holds of a
    network the measured exponents tell: at forget biases of 0, 1 and 3 the two were at most .25,
    .15 and .06 apart (eight LSTMs of 24 units in PyTorch's draw).

    The layers of a stack are each driven by the states of the one below. Its exponents are those of
    its layers, so that the gates of all predict them together.

    Memory does not grow with the number of steps, but that of stacks: the states of one layer.

    Parameters
    ----------
    rnn : RNN or Stack
        LSTMs or GRUs.
    sequences : Sequences or (T, B, D) or (N, T, B, D) array
        Data, or inputs alone: targets are not read.
    h0, c0 : (B, H) or (N, B, H) arrays, of stacks (L, B, H) or (N, L, B, H), optional
        As in `forward`.
    quantiles : numbers from 0 to 1
        Levels of the quantiles, NumPy's of linear interpolation.
    burn_in : int, optional
        Steps left out at the beginning, below T: 0 unless given. With `exponents` a tenth unless
        given, in which their directions settle, and the steps that fill no block of
        `lyapunov_spectrum`.
    exponents : bool
        Measure the H largest Lyapunov exponents too, of a stack the L*H largest, which takes far
        longer, by `lyapunov_spectrum` along the same steps: `spectrum` and `deviation` of the
        result.
    n_threads : int, optional
        All cores unless given; it does not change the result.

    Raises
    ------
    TypeError, ValueError
        As in `forward`; vanilla networks; levels outside 0..1, none, or a burn-in of T or more;
        with `exponents` fewer than 20 steps after the burn-in.

    Examples
    --------
    Gates that hear nothing, f = sigma(2) = .88: units forget by e in 1/ln(1 + e^-2) = 7.9 steps.

    >>> import rnnsim
    >>> b_h = np.repeat([0.0, 2.0, 0.0, 0.0], 3)
    >>> rnn = RNN(np.zeros((12, 1)), np.zeros((12, 3)), b_h=b_h, cell="lstm")
    >>> found = gate_statistics(rnn, np.ones((50, 1, 1)), quantiles=[0.5])
    >>> found.gates, found.mean.round(3)
    (('i', 'f', 'g', 'o'), array([[0.5  , 0.881, 0.   , 0.5  ]]))
    >>> found.time_scale.round(2)
    array([[7.88, 7.88, 7.88]])

    Two layers of them; the upper one hears the states of the lower:

    >>> top = RNN(np.ones((12, 3)), np.zeros((12, 3)), b_h=b_h, cell="lstm")
    >>> found = gate_statistics(rnnsim.Stack([rnn, top]), np.ones((50, 1, 1)))
    >>> found.mean.shape, found.layers[0].time_scale.round(2)
    ((1, 2, 4), array([[7.88, 7.88, 7.88]]))
    """
    kind = _gated(rnn)
    x = _inputs(rnn, sequences)
    start = initial_states(rnn, h0, x.shape[2], c0)
    levels = _levels(quantiles)
    if burn_in is not None:
        burn_in = checks.whole_number("burn_in", burn_in, least=0, most=x.shape[1] - 1)
    skipped, spectrum = burn_in or 0, None
    if checks.boolean("exponents", exponents):
        with checks.renamed(n_steps="the steps of `sequences`"):
            spectrum = lyapunov_spectrum(
                rnn, x if len(x) > 1 else x[0], n_exponents=len(rnn.layers) * rnn.n_hidden,
                burn_in=burn_in, h0=h0, c0=c0, n_threads=n_threads,
            )  # fmt: skip
        skipped = spectrum.burn_in
    found, first = [], np.full(len(rnn), -1)
    for layer, inputs, own in _layers(rnn, x, start, n_threads):
        out, values = _measured(layer, kind, inputs, own, levels, skipped, n_threads)
        means = [a / ((x.shape[1] - skipped) * x.shape[2]) for a in out[:4]]
        found.append((*means, values))
        first = earlier(first, out.first_nonfinite)
    arrays = [np.stack(each, axis=1) for each in zip(*found, strict=True)]
    for array in arrays:
        array[first >= 0] = np.nan
    if isinstance(rnn, RNN):
        arrays = [array[:, 0] for array in arrays]
    mean, low, high, mean_log, values = arrays
    statistics = GateStatistics(
        kind.gates, mean, low, high, values, levels, mean_log, skipped, first, spectrum
    )
    return described(statistics, rnn, sequences)


def _layers(
    rnn: Network, x: FloatArray, start: FloatArray, n_threads: int | None
) -> Iterator[tuple[RNN, FloatArray, FloatArray]]:
    """Each layer, the lowest first, with what it reads and its first states."""
    *below, top = zip(rnn.layers, by_layer(rnn, start), strict=True)
    for layer, own in below:
        yield layer, x, own
        states, _ = run_states(layer, x, own, n_threads)
        x = np.ascontiguousarray(states[:, 1:, :, : layer.n_hidden])
    yield top[0], x, top[1]


def _gated(rnn: Network) -> Cell:
    check_network(rnn)
    if not CELLS[rnn.cell].keeps:
        raise ValueError(
            f"`rnn` must hold LSTMs or GRUs, got cell={rnn.cell!r}: {CELLS[rnn.cell].label} has no "
            "gates; its slopes are mean_slope and saturated_fraction of gradient_flow"
        )
    return CELLS[rnn.cell]


def _inputs(rnn: Network, sequences: Any) -> FloatArray:
    if isinstance(sequences, Sequences):
        return fitting_inputs(rnn, originals(sequences)[0], "inputs")
    return checked_inputs(rnn, sequences, "sequences")


def _levels(quantiles: Any) -> Floats:
    given = checks.entries("quantiles", quantiles)
    if not given:
        raise ValueError(
            f"`quantiles` must be numbers from 0 to 1 such as [0.05, 0.5, 0.95], got "
            f"{checks.shown(quantiles)}"
        )
    levels = [checks.real_number(f"quantiles[{i}]", each) for i, each in enumerate(given)]
    for i, level in enumerate(levels):
        if not 0 <= level <= 1:
            raise ValueError(f"`quantiles[{i}]` must be from 0 to 1, got {level:g}")
    return np.array(levels)


def _measured(
    rnn: RNN,
    kind: Cell,
    x: FloatArray,
    start: FloatArray,
    levels: Floats,
    skipped: int,
    threads: Any,
) -> tuple[GateArrays, Floats]:
    """Sums over the steps after `skipped`, and quantiles (N, G, Q)."""
    N, H, G = len(rnn), rnn.n_hidden, len(kind.gates)
    (T, B, D), weights, cell = x.shape[1:], weights_of(rnn), cell_of(rnn)
    keeps, least = kind.gates.index(kind.keeps), np.array([-(g in kind.signed) for g in kind.gates])
    low, high = zip(*(_EXTREME[name in kind.signed] for name in kind.gates), strict=True)
    bounds = np.column_stack([low, high])
    out, found = gate_arrays(N, G, H), np.empty((N, G, len(levels)))
    flops = B * G * H * (2.0 * (H + D) + _ELEMENTWISE) + parallel.FLOPS_PER_STEP
    chunk = max(1, int(parallel.FLOPS_PER_CALL / flops))

    def prepare() -> parallel.Worker:
        work = gate_work(G, H, D, B, weights.W_hh, cell)

        def worker(first: int, stop: int) -> Iterator[None]:
            for n in range(first, stop):
                begin_gates(weights, start, n, work)
                for a, b in parallel.pieces(T, chunk):
                    gate_steps(x, cell, keeps, bounds, n, a, b, skipped, work, out)
                    yield
                found[n] = _quantiles(work, levels, least)

        return worker

    parallel.over_networks(N, threads, prepare, flops=T * flops)
    return out, found


def _quantiles(work: GateWork, levels: Floats, least: npt.NDArray[np.int64]) -> Floats:
    """(G, Q), of gates that run from `least` (G,) to 1."""
    found = np.empty((len(least), len(levels)))
    for gate, lowest in enumerate(least):
        counts, ends = work.counts[gate], work.extremes[:, gate]
        place = levels * (counts.sum() - 1)
        ranks = np.array([np.floor(place), np.ceil(place)], np.int64)
        below, above = lowest + (1 - lowest) / (1 + np.exp(-_odds(counts, ends, ranks)))
        found[gate] = below + (place % 1) * (above - below)
    return found


def _odds(counts: npt.NDArray[np.int64], ends: Floats, ranks: npt.NDArray[np.int64]) -> Floats:
    """Log odds of these ranks, in whose bins they count as spread evenly; both ends are known."""
    upto = counts.cumsum()
    bins = np.minimum(np.searchsorted(upto, ranks, side="right"), counts.size - 1)
    inside = (ranks - upto[bins] + counts[bins] + 0.5) / counts[bins]
    odds = np.clip((bins + inside) / PER_UNIT - FURTHEST, *ends)
    return np.select([ranks == 0, ranks == upto[-1] - 1], list(ends), odds)
