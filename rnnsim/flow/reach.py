"""What a gradient flow says in two numbers: the window that suffices, and the rate of growth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.flow.gradient_flow import GradientFlow

Floats = npt.NDArray[np.float64]

_ROUNDING = 64.0  # what the products of one step may add to a log norm, in units of epsilon


@dataclass(frozen=True, eq=False)
class GrowthRate:
    """What `growth_rate` returns, for each of N networks.

    Attributes
    ----------
    rate : (N,)
        Change of the log norm per step of lag, in nats; negative where gradients vanish.
    standard_error : (N,)
        Of the fit, allowing for the correlation of neighbouring lags. It does not contain the
        spread between networks or batches: repeat with other seeds for that.
    first_lag, last_lag : int
        The range of the fit, both included.
    half_life : (N,)
        ln 2 / |rate|: steps in which the norm halves or doubles; NaN where the rate is within two
        standard errors of 0, or within rounding.
    n_steps_used : int
        How many loss steps entered: those that reach `last_lag`.
    """

    rate: Floats
    standard_error: Floats
    first_lag: int
    last_lag: int
    half_life: Floats
    n_steps_used: int


def sufficient_window(flow: GradientFlow, tolerance: float = 0.1) -> Floats:
    """The smallest window K with ``||g_K' - g|| <= tolerance * ||g||`` for all K' >= K.

    Parameters
    ----------
    flow : GradientFlow
    tolerance : float
        Relative error of dL/dW_hh, above 0 and below 1.

    Returns
    -------
    (N,) float64
        NaN where no window of the flow is known to suffice: max_lag was too short, the full
        gradient is exactly 0 or not finite, or the tolerance is below the rounding of the flow.

    Raises
    ------
    TypeError, ValueError
        Something else than a GradientFlow, a tolerance outside (0, 1).

    Examples
    --------
    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=8, n_outputs=2, gain=0.5, rng=0)
    >>> batch = rnnsim.Sequences(np.ones((30, 1, 1)), np.zeros((30, 1), int))
    >>> sufficient_window(rnnsim.gradient_flow(rnn, batch)).shape
    (1,)
    """
    _check_flow(flow)
    limit = np.log(checks.real_number("tolerance", tolerance, above=0.0, below=1.0))
    # An error below the floor is unknown, but smaller than the floor.
    floor = np.broadcast_to(flow.window_log_floor[:, None], flow.window_log_error.shape)
    error = np.where(np.isnan(flow.window_log_error), floor, flow.window_log_error)
    suffices = np.logical_and.accumulate((error <= limit)[:, ::-1], axis=1)[:, ::-1]
    return np.where(suffices.any(axis=1), suffices.argmax(axis=1) + 1.0, np.nan)


def growth_rate(flow: GradientFlow, lags: Sequence[int] | None = None) -> GrowthRate:
    """Fit ``log_norms ~ c + rate * lag``: by how much gradients grow or decay for each step back.

    The mean over loss steps of `log_norms` is fitted by least squares; only steps that reach the
    last lag of the range enter, so that the same steps stand behind every lag.

    Parameters
    ----------
    flow : GradientFlow
    lags : (first, last), optional
        The range of lags, both included, at least 3 of them. Unless given, from a tenth of the
        last lag (the transient of the readout) up to the last, which half of the loss steps reach.

    Returns
    -------
    GrowthRate
        NaN where a norm in the range is exactly 0 or not finite. The standard error is of the
        slope, widened by sqrt((1 + r)/(1 - r)) for the correlation r of neighbouring residuals.

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
    _check_flow(flow)
    first, last = _range(flow, lags)
    rows = flow.steps > last
    with np.errstate(invalid="ignore"):
        curves = flow.log_norms[:, rows, first : last + 1].mean(axis=1)
    curves[~np.isfinite(curves)] = np.nan
    x = np.arange(first, last + 1) - 0.5 * (first + last)
    scatter = (x**2).sum()
    rate = curves @ x / scatter
    residuals = curves - curves.mean(axis=1, keepdims=True) - rate[:, None] * x
    square = (residuals**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (residuals[:, 1:] * residuals[:, :-1]).sum(axis=1) / square
        r = np.clip(np.nan_to_num(r), 0.0, 0.99)
        standard_error = np.sqrt(square / (x.size - 2) / scatter * (1 + r) / (1 - r))
        differs = np.abs(rate) > 2 * standard_error + _ROUNDING * flow.epsilon
        half_life = np.where(differs, np.log(2) / np.abs(rate), np.nan)
    return GrowthRate(rate, standard_error, first, last, half_life, int(rows.sum()))


def _range(flow: GradientFlow, lags: Sequence[int] | None) -> tuple[int, int]:
    reach = min(flow.n_lags, int(flow.steps[-1])) - 1
    if lags is None:
        last = min(reach, max(int(np.median(flow.steps)) - 1, 2))
        first = min(last // 10, last - 2)
    else:
        try:
            first, last = lags
        except (TypeError, ValueError) as error:
            raise TypeError(f"`lags` must be a pair (first, last), got {lags!r}") from error
        first = checks.whole_number("lags[0]", first, least=0)
        last = checks.whole_number("lags[1]", last, least=0)
    if not 0 <= first <= last - 2 or last > reach:
        raise ValueError(
            f"`lags` must be a range of at least 3 lags within 0..{reach}, the lags that a loss "
            f"step of this flow reaches, got ({first}, {last})"
        )
    return first, last


def _check_flow(flow: GradientFlow) -> None:
    if not isinstance(flow, GradientFlow):
        raise TypeError(
            f"`flow` must be what gradient_flow returns, a GradientFlow, got {type(flow).__name__}"
        )
