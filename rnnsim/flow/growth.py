"""The rate at which gradients grow or decay on their way back, and how well it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.labels import flow as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.flow.results import GradientFlow, check_flow

Floats = npt.NDArray[np.float64]

_ROUNDING = 64.0  # what the products of one step may add to a log norm, in units of epsilon
_BLOCKS = 10  # of a single sequence, in place of sequences
_QUANTILE = 0.975


@dataclass(frozen=True, eq=False, repr=False)
class GrowthRate(Result):
    """What `growth_rate` returns, for each of N networks.

    Attributes
    ----------
    rate : (N,)
        Change of the log norm per step of lag, in nats; negative where gradients vanish. NaN where
        no sequence has a norm above 0 through the whole range, or a norm is not finite.
    standard_error : (N,)
        Of the rate, for this network, over draws of its data: rate +- 2 of it hold the rate of many
        sequences 95 times in a hundred. NaN where it is not known: one short sequence, or a flow
        without `per_sequence`. It does not contain the spread between networks.
    first_lag, last_lag : int
        The range of the fit, both included.
    half_life : (N,)
        ln 2 / |rate|: steps in which the norm halves or doubles; NaN where the rate is within two
        standard errors of 0 or within rounding, where its error is not known, or where it is not
        `single` and grows in one half of the range and decays in the other.
    n_steps_used : int
        How many loss steps entered: those that reach `last_lag`.
    live : (N,)
        The fraction of these steps and all sequences that entered: those with a norm above 0 at
        `last_lag`.
    halves : (N, 2)
        The rates of the first and of the second half of the range.
    single : (N,) bool
        False where these differ by more than two standard errors of their difference: there is no
        single rate, and the fit is a mean over the range.
    """

    _labels = labels.GROWTH_RATE

    rate: Floats
    standard_error: Floats
    first_lag: int
    last_lag: int
    half_life: Floats
    n_steps_used: int
    live: Floats
    halves: Floats
    single: npt.NDArray[np.bool_]


def growth_rate(flow: GradientFlow, lags: Sequence[int] | None = None) -> GrowthRate:
    """Fit ``log_norms ~ c + rate * lag``: by how much gradients grow or decay for each step back.

    ::

        slope[i,b] = sum_k (k - mean k) ln ||dl[i,b]/dh_{i-k}|| / sum_k (k - mean k)^2
        rate       = mean over sequences b of the mean over loss steps i
        error      = t_975(n - 1)/2 * deviation / sqrt(n) of the n sequences' means

    By least squares, over the loss steps that reach the last lag of the range and the sequences
    whose norm is above 0 through all of it: the same ones stand behind every lag. Sequences are
    drawn apart, the steps of one are not. So where a single one is left, n = 10 blocks of its steps
    stand for sequences, each no shorter than the last lag, else the error is not known. t_975 is
    the quantile of Student's distribution, so that two standard errors cover 95 % for few as well:
    measured 95 % of 300 draws of data for tanh and relu networks, 4 to 16 sequences. No error tells
    what none of its sequences shows: in small relu networks, whose slopes a few sequences rule, two
    may cover less (22 % of the draws for one of 24 units).

    Parameters
    ----------
    flow : GradientFlow
        With `per_sequence` for errors, and for rates where sequences die within the range.
    lags : (first, last), optional
        The range of lags, both included, at least 3 of them. Unless given, from a tenth of the
        last lag (the transient of the readout) up to the last, which half of the loss steps reach.

    Returns
    -------
    GrowthRate

    Raises
    ------
    TypeError, ValueError
        A range outside the flow's lags or with fewer than 3 of them.

    Examples
    --------
    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=8, n_outputs=2, scheme="orthogonal",
    ...                         gain=0.9, activation="linear", rng=0)
    >>> batch = rnnsim.Sequences(np.ones((40, 1, 1)), np.zeros((40, 1), int))
    >>> float(growth_rate(rnnsim.gradient_flow(rnn, batch)).rate[0].round(6))    # ln 0.9
    -0.105361
    """
    check_flow(flow)
    first, last = _range(flow, lags)
    middle = (first + last) // 2
    members = _members(flow, first, last)
    rate, slopes = _fit(flow, members, first, last)
    early, slopes_early = _fit(flow, members, first, middle)
    late, slopes_late = _fit(flow, members, middle, last)
    error, bend_error = members.error(slopes), members.error(slopes_late - slopes_early)
    rounding = _ROUNDING * flow.epsilon
    with np.errstate(invalid="ignore", divide="ignore"):
        single = ~(np.abs(late - early) > 2 * bend_error + 2 * rounding)
        known = (np.abs(rate) > 2 * error + rounding) & (single | (early * late > 0))
        half_life = np.where(known, np.log(2) / np.abs(rate), np.nan)
    found = GrowthRate(
        rate,
        error,
        first,
        last,
        half_life,
        n_steps_used=members.steps.size,
        live=flow.live[:, members.rows, last].mean(axis=1),
        halves=np.stack([early, late], axis=1),
        single=single,
    )
    return described(found, flow)


def log_changes(flow: GradientFlow, lags: Sequence[int]) -> Floats:
    """The change of the norm from lag 0 to each of some lags, for the loss of each step.

    ::

        change[i,k] = mean over sequences of ln(||dl_t/dh_{t-k}|| / ||dl_t/dh_t||),  t = steps[i]

    over the sequences whose norm is above 0 at lag k: each is compared with itself.

    Parameters
    ----------
    flow : GradientFlow
        With `per_sequence`, where some sequences die.
    lags : (L,) ints

    Returns
    -------
    (N, S, L) float64
        -inf where all norms are 0, NaN where t - k < 1.
    """
    at = list(lags)
    with np.errstate(invalid="ignore"):
        changes = flow.log_norms[:, :, at] - flow.log_norms[:, :, :1]
        if flow.per_sequence is None:
            return changes
        for n, i in np.argwhere((flow.live[:, :, at] < 1).any(axis=2)):
            logs = flow.per_sequence[n, i]
            alive = ~np.isneginf(logs[at])
            some = (flow.live[n, i, at] < 1) & alive.any(axis=1)
            changes[n, i, some] = _mean(logs[at] - logs[0], alive, 1)[some]
    return changes


def mean_over_steps(logs: Floats) -> Floats:
    """Means (N, K) of logs (N, S, K) over the loss steps that reach so far; of zeros alone -inf."""
    there = ~np.isnan(logs)
    live = there & ~np.isneginf(logs)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(live, logs, 0.0).sum(axis=1) / live.sum(axis=1)
    return np.where(live.any(axis=1), mean, np.where(there.any(axis=1), -np.inf, np.nan))


class _Members(NamedTuple):
    """What stands behind every lag of a range, of N networks, R loss steps and B sequences.

    rows (S,) bool: the loss steps that reach its last lag; steps (R,): their numbers; last: that
    lag; alive (N, R, B): where a norm is above 0 there; whole (N,): where that is everywhere. B is
    0 where a flow has no norms of its sequences; `whole` is then where none dies within the range.
    """

    rows: npt.NDArray[np.bool_]
    steps: npt.NDArray[np.int64]
    last: int
    alive: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]

    def of_sequences(self, values: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """From values (N, R, B): their means over steps (N, B), and where there are any."""
        return _mean(values, self.alive, 1), np.any(self.alive, axis=1)

    def mean(self, values: Floats) -> Floats:
        """From values (N, R, B): the mean over sequences (N,)."""
        return _mean(*self.of_sequences(values), 1)

    def error(self, values: Floats) -> Floats:
        """Half of what must be added to their mean to either side to cover 95 %, (N,)."""
        means, some = self.of_sequences(values)
        error = error_of_mean(means, some)
        for n in np.flatnonzero(some.sum(axis=1) == 1):
            b = int(some[n].argmax())
            known = self.alive[n, :, b]
            error[n] = self._of_stream(values[n, known, b], self.steps[known])
        return error

    def _of_stream(self, values: Floats, steps: npt.NDArray[np.int64]) -> float:
        """The same for the steps of one sequence, from means over blocks of them."""
        span = int(steps[-1] - steps[0]) + 1
        if span // _BLOCKS < max(self.last, 1):
            return float("nan")
        block = (steps - steps[0]) * _BLOCKS // span
        inside = block == np.arange(_BLOCKS)[:, None]
        if not inside.any(axis=1).all():
            return float("nan")
        means = _mean(np.broadcast_to(values, inside.shape), inside, 1)
        return float(error_of_mean(means[None], np.ones((1, _BLOCKS), bool))[0])


def _members(flow: GradientFlow, first: int, last: int) -> _Members:
    rows = flow.steps > last
    live = flow.live[:, rows]
    if flow.per_sequence is None:
        alive = np.empty((*live.shape[:2], 0), bool)
        whole = (live[:, :, first] == live[:, :, last]).all(axis=1)
    else:
        alive = ~np.isneginf(flow.per_sequence[:, rows, last])
        whole = alive.all(axis=(1, 2))
    return _Members(rows, flow.steps[rows], last, alive, whole)


def _fit(flow: GradientFlow, members: _Members, first: int, last: int) -> tuple[Floats, Floats]:
    """Slopes over lags first..last: their mean (N,), and those of steps and sequences (N, R, B)."""
    x = np.arange(first, last + 1) - 0.5 * (first + last)
    scatter = (x**2).sum()
    lags = slice(first, last + 1)
    with np.errstate(invalid="ignore"):
        curves = flow.log_norms[:, members.rows, lags].mean(axis=1)
        curves[~np.isfinite(curves)] = np.nan
        rate = (curves * x).sum(axis=1) / scatter  # the same bits beside any others
        if flow.per_sequence is None:
            slopes = np.empty(members.alive.shape)
        else:
            from_row = flow.steps.size - members.steps.size  # steps ascend: a view, no copy
            slopes = np.matmul(x, flow.per_sequence[:, from_row:, lags]) / scatter
    return np.where(members.whole, rate, members.mean(slopes)), slopes


def _mean(values: Floats, known: npt.NDArray[np.bool_], axis: int) -> Floats:
    """The mean of what is known, NaN where nothing is."""
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def error_of_mean(values: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """t_975(n - 1)/2 * deviation / sqrt(n) of the n known values of each row; NaN below two."""
    from scipy.special import stdtrit  # slow to import, needed here only

    count = known.sum(axis=1)
    apart = np.where(known, values - _mean(values, known, 1)[:, None], 0.0)
    freedom = np.maximum(count - 1, 1)
    deviation = np.sqrt((apart**2).sum(axis=1) / freedom)
    error = 0.5 * stdtrit(freedom, _QUANTILE) * deviation / np.sqrt(np.maximum(count, 1))
    return np.asarray(np.where(count > 1, error, np.nan))


def _range(flow: GradientFlow, lags: Sequence[int] | None) -> tuple[int, int]:
    reach = min(flow.n_lags, int(flow.steps[-1])) - 1
    if lags is None:
        last = min(reach, max(int(np.median(flow.steps)) - 1, 2))
        first = min(last // 10, last - 2)
    else:
        try:
            first, last = lags
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"`lags` must be a pair (first, last), got {checks.shown(lags)}"
            ) from error
        first = checks.whole_number("lags[0]", first, least=0)
        last = checks.whole_number("lags[1]", last, least=0)
    if not 0 <= first <= last - 2 or last > reach:
        came = f"({first}, {last})"
        if reach < 2:
            came = "fewer: give longer sequences, or gradient_flow a larger max_lag"
        raise ValueError(
            f"`lags` must be a range of at least 3 lags within 0..{reach}, the lags that a loss "
            f"step of this flow reaches, got {came}"
        )
    return first, last
