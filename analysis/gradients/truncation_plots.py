"""Plots of truncation: a dataset in, Axes out. What each shows is in its docstring."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from rnnsim import theory

from ..frame import figures
from ..frame.figures import log_axis, powers
from ..frame.statistics import median
from ..frame.words import middle, percent
from .norm_plots import one_network_set

TRUNCATIONS = ("sliding", "segments")
# Ways of truncating wherever they are compared: a colour, and the place of a marker.
LOOKS: dict[str, dict[str, Any]] = {
    "sliding": {"color": "#0072B2", "index": 0},
    "segments": {"color": "#E69F00", "index": 1},
    "overlapping": {"color": "#009E73", "index": 2},
}
_GAINS = (0.75, 1.0, 1.25, 2.0)
_TAU = 5  # from this lag on decay is taken to be geometric
_WITHIN_ONE = ("tanh", "sigmoid")  # activations whose units stay between -1 and 1
_ERROR_LABEL = r"relative error, $\|g_K - g\|_F\,/\,\|g\|_F$"
_LEAST_DECADE = -12.0  # errors below it are rounding


def known_errors(data: xr.Dataset) -> xr.DataArray:
    """ln of the relative error; -inf where rounding hides it or nothing is cut, below all others.

    NaN where the full gradient is exactly 0 or not finite, and beyond the length of the sequence.
    """
    errors = data.truncation_log_error
    hidden = errors.isnull() & np.isfinite(data.log_gradient_norm) & (data.window <= data.length)
    return xr.where(hidden, -np.inf, errors)


def plot_error(
    dataset: xr.Dataset, *, gains: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Relative error of the gradient through sliding windows against the window K.

    Of dL/dW_hh; of gated cells and stacks of dL/d[W_hh, W_xh, b_h]. Thin lines are networks, thick
    ones their median, in which what rounding hides lies below all else and is drawn as 0. Dotted:
    the tolerance. Read off where a line falls below it.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1).sel(truncation="sliding")
    _draw_gains(ax, data, xr.ufuncs.exp(known_errors(data)), gains)
    tolerance = figures.configuration(dataset)["tolerance"]
    line = ax.axhline(tolerance, **figures.mark(), label=f"{percent(tolerance)}:\ntolerance")
    figures.name_lines(ax, [line])
    figures.lower_end(ax, -0.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylabel(_ERROR_LABEL)
    return ax


def plot_cosine(
    dataset: xr.Dataset, *, gains: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Cosine of the gradient through sliding windows to the full one, against the window K.

    At 1 the direction is right, at 0 nothing of it is left, below 0 it leads uphill. Lines as in
    `plot_error`.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1).sel(truncation="sliding")
    _draw_gains(ax, data, data.truncation_cosine, gains)
    ax.set_ylim(min(-0.05, ax.get_ylim()[0]), 1.03, auto=None)
    ax.set_ylabel("cosine of $g_K$ and $g$")
    return ax


def _draw_gains(
    ax: Axes, data: xr.Dataset, values: xr.DataArray, gains: Sequence[float] | None
) -> None:
    """A line for each gain, against the window."""
    for i, gain, color in figures.shaded(data.gain.values, gains or _GAINS):
        here = values.sel(gain=gain).transpose("network_seed", "window").values
        figures.seeds_and_median(
            ax, data.window, here, label=f"gain {gain:g}", color=color, index=i, lines=True
        )
    _window_axis(ax, int(data.length))


def plot_one_error(
    dataset: xr.Dataset, *, length: int, gain: float, ax: Axes | None = None, **style: Any
) -> Axes:
    """The error for one gain; `style` as of `figures.seeds_and_median`."""
    ax = figures.axes_or_new(ax)
    look = {"label": f"gain {gain:g}", "color": "#0072B2"} | style
    data = one_network_set(dataset).sel(length=length, truncation="sliding", gain=gain)
    errors = powers(known_errors(data).transpose("network_seed", "window"))
    figures.seeds_and_median(ax, data.window, errors, lines=True, **look)
    _window_axis(ax, length)
    log_axis(ax)
    ax.set_ylabel(_ERROR_LABEL)
    return ax


def plot_sufficient_window(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """The smallest sufficient window against gain, one line for each sequence length.

    Dots are networks, lines their median, bands quartiles. Dotted: the whole sequence; a median on
    it means that no shorter window suffices.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset)
    tolerance = figures.configuration(dataset)["tolerance"]
    for i, length, color in figures.shaded(data.length.values.tolist()):
        values = data.sufficient_window.sel(length=length).transpose("network_seed", "gain").values
        ax.axhline(length, **figures.mark(color=color))
        figures.seeds_and_median(
            ax, data.gain, values, label=f"T = {length:g}", color=color, index=i
        )
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel(f"shortest window with an error of {percent(tolerance)} at most (steps)")
    figures.name_lines(ax)
    return ax


def mean_reach(window: npt.ArrayLike, length: int, truncation: str) -> npt.NDArray[np.float64]:
    """Steps that a loss is propagated, its own included, averaged over steps 1..T.

    Sliding: the mean of min(K, t). Segments: the mean of (t - 1) mod K + 1, about (K + 1)/2.
    """
    K, t = np.atleast_1d(np.asarray(window))[:, None], np.arange(1, length + 1)
    steps = np.minimum(K, t) if truncation == "sliding" else (t - 1) % K + 1
    return np.asarray(steps.mean(axis=1))


def plot_truncations(
    dataset: xr.Dataset, *, gain: float, against: str = "window", ax: Axes | None = None
) -> Axes:
    """Error of segments and of sliding windows, against the window or against the mean reach.

    At equal window segments lose more, since a loss early in a segment goes back few steps.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1).sel(gain=gain)
    length = int(data.length)
    for name in TRUNCATIONS:
        errors = known_errors(data.sel(truncation=name))
        x = data.window.values if against == "window" else mean_reach(data.window, length, name)
        figures.seeds_and_median(
            ax,
            x,
            powers(errors.transpose("network_seed", "window")),
            label=f"{name} (stride {'1' if name == 'sliding' else 'K'})",
            lines=True,
            **LOOKS[name],
        )
    _window_axis(ax, length)
    if against == "reach":
        ax.set_xlabel("mean reach of a loss (steps)")
    log_axis(ax)
    ax.set_ylabel(_ERROR_LABEL)
    return ax


def log_bound(dataset: xr.Dataset, *, gain: float, seed: int) -> theory.AicherBound:
    """Aicher's bound on the relative error of one network, at the dataset's windows.

    E[phi_k] is the root mean square over all loss steps and sequences at lag k, 0 for steps that do
    not reach so far; all lags enter the estimate of beta, so that the bound holds at every window.
    M bounds ||dh_t/dW_hh|| for |phi'| <= 1, which is ||h_{t-1}||: sqrt(H) where |h| <= 1, else the
    largest norm of a state. The bound is added up over all loss steps and divided by ||dL/dW_hh||.
    """
    data = one_network_set(dataset).isel(length=-1, network_seed=seed).sel(gain=gain)
    reached = data.isel(lag=np.flatnonzero(data.loss_steps.values > 0))
    n_steps = float(reached.loss_steps[0])
    norms = (reached.log_rms + np.log(reached.loss_steps / n_steps)).values
    log_M = np.log(state_bound(dataset, float(data.largest_state_norm)))
    log_M += np.log(n_steps) - float(data.log_gradient_norm)
    tau = max(min(_TAU, norms.size - 2), 0)
    if norms.size < 2 or not np.isfinite(log_M):
        nothing = np.full(data.window.size, np.nan)
        return theory.AicherBound(nothing, np.asarray(np.nan), tau, log_M)
    return theory.aicher_log_bound(norms, data.window.values, tau=tau, log_M=log_M)


def state_bound(dataset: xr.Dataset, largest: float) -> float:
    """What no ||h_t|| exceeds: sqrt(H) for units between -1 and 1, else the largest that is."""
    within = str(np.asarray(dataset.activation)[0]) in _WITHIN_ONE
    return float(np.sqrt(int(np.asarray(dataset.n_hidden)[0]))) if within else largest


def bounds_of(dataset: xr.Dataset, gain: float) -> list[theory.AicherBound]:
    """The bounds of all networks of one gain."""
    seeds = range(dataset.sizes["network_seed"])
    return [log_bound(dataset, gain=gain, seed=seed) for seed in seeds]


def decay(dataset: xr.Dataset, gain: float) -> str:
    """The median of the estimates of beta, "not known" where there is none, in words."""
    return middle([bound.beta for bound in bounds_of(dataset, gain)], lambda x: f"{x:.2f}")


def plot_bound(dataset: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Exact relative error of sliding windows beside Aicher's geometric bound (dashed).

    Thin lines are networks, thick ones their median. The bound is the median of those of all
    networks; one that has none counts as infinite. No exact error lies above its bound, so that the
    medians keep their order too.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1).sel(gain=gain, truncation="sliding")
    figures.seeds_and_median(
        ax,
        data.window,
        powers(known_errors(data).transpose("network_seed", "window")),
        label="exact error (measured)",
        color="#0072B2",
        lines=True,
    )
    bounds = powers([bound.log_bound for bound in bounds_of(dataset, gain)])
    middles = figures.finite(median(np.where(np.isnan(bounds), np.inf, bounds), 0))
    ax.plot(data.window, middles, **figures.theory(), label="geometric bound")
    _window_axis(ax, int(data.length))
    ax.set_ylim(bottom=_LEAST_DECADE)
    log_axis(ax)
    ax.set_ylabel(_ERROR_LABEL)
    return ax


def _window_axis(ax: Axes, length: int) -> None:
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, length * 1.1)
    ax.set_xlabel("window $K$ (steps)")
