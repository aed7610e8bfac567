"""Plots of gradient norms: a dataset in, Axes out. What each shows is in its docstring."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from ..frame import figures
from ..frame.figures import decades, log_axis

DECADE = float(np.log(10.0))
MOST_DECADES = 12.0  # where the colours of a map end
_CONTOURS = 4  # to either side of 1


def one_network_set(dataset: xr.Dataset) -> xr.Dataset:
    """The first task, scheme, activation, size and data seed: axes gain, network_seed, length."""
    singles = ("task", "scheme", "activation", "n_hidden", "data_seed")
    return dataset.isel({axis: 0 for axis in singles if axis in dataset.dims})


def plot_norm_against_lag(
    dataset: xr.Dataset, *, gains: list[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Norm of dl_t/dh_{t-k} relative to lag 0, against lag k, for a range of gains.

    Thin lines are networks, thick ones their median; the dashed straight line is the median fitted
    rate, over the range of its fit. A falling line is a vanishing gradient, a rising one explodes.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1)
    wanted = gains or [0.5, 0.75, 1.0, 1.5, 2.0, 3.0]
    relative = data.log_norm - data.log_norm.sel(lag=0)
    for i, gain, color in figures.shaded(data.gain.values, wanted):
        curves = decades(relative.sel(gain=gain).transpose("network_seed", "lag"))
        rate, half_life = median_rate(data.sel(gain=gain))
        label = f"gain {gain:g}: {rate:+.3f} nats/step{half_life}"
        figures.seeds_and_median(
            ax, data.lag, curves, label=label, color=color, index=i, lines=True
        )
        _draw_fit(ax, data.sel(gain=gain), np.nanmedian(curves, axis=0), rate)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"$\|\partial l_t/\partial h_{t-k}\|\;/\;\|\partial l_t/\partial h_t\|$")
    log_axis(ax)
    ax.legend(title="median fitted rate", loc="best")
    return ax


def median_rate(data: xr.Dataset) -> tuple[float, str]:
    """Median rate over networks, and its half-life where most networks have one."""
    rate = float(data.growth_rate.median())
    spread = data.growth_rate.quantile([0.25, 0.75]).values
    known = int(data.half_life.notnull().sum()) * 2 > data.half_life.size
    differs = known and spread[0] * spread[1] > 0
    word = "halving" if rate < 0 else "doubling"
    return rate, f", {word} in {np.log(2) / abs(rate):.1f} steps" if differs else ""


def _draw_fit(ax: Axes, data: xr.Dataset, median: np.ndarray, rate: float) -> None:
    first, last = (float(data[name].median()) for name in ("growth_first_lag", "growth_last_lag"))
    if not np.isfinite([first, last, rate]).all():
        return
    lags = np.array([first, last])
    middle = np.nanmedian(median[int(first) : int(last) + 1])
    ax.plot(lags, middle + rate / DECADE * (lags - lags.mean()), "k--", lw=1.4, zorder=5)


def plot_norm_against_length(
    dataset: xr.Dataset,
    variable: str,
    *,
    gains: list[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Norm of dL/dW_hh against sequence length T; `variable` is a log norm of the dataset.

    Dots are networks, lines their median. A flat line: longer sequences add nothing.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset)
    wanted = gains or [0.5, 1.0, 1.5, 2.0, 3.0]
    for i, gain, color in figures.shaded(data.gain.values, wanted):
        values = decades(data[variable].sel(gain=gain).transpose("network_seed", "length"))
        figures.seeds_and_median(
            ax, data.length, values, label=f"gain {gain:g}", color=color, index=i
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks(data.length.values, [str(length) for length in data.length.values])
    ax.set_xlabel("sequence length $T$ (steps)")
    log_axis(ax)
    return ax


def plot_contributions(
    dataset: xr.Dataset, *, gains: list[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Norm of the temporal contribution dL/dW_hh^(t) against step t.

    Thin lines are networks, thick ones their median. Where gradients explode, early steps rule.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1)
    wanted = gains or [0.5, 1.0, 1.5, 2.0, 3.0]
    for i, gain, color in figures.shaded(data.gain.values, wanted):
        values = decades(data.log_step_norm.sel(gain=gain).transpose("network_seed", "time"))
        cancellation = float(data.cancellation.sel(gain=gain).median())
        label = f"gain {gain:g}: sum/terms {cancellation:.2g}"
        figures.seeds_and_median(
            ax, data.time, values, label=label, color=color, index=i, lines=True
        )
    ax.set_xlabel("step $t$")
    ax.set_ylabel(r"$\|\partial L/\partial W_{hh}^{(t)}\|_F$")
    log_axis(ax)
    ax.legend(title=r"$\|\sum_t\cdot\|\,/\,\sum_t\|\cdot\|$")
    return ax


def plot_map(
    dataset: xr.Dataset, *, gain: float, bound: float = 10.0, ax: Axes | None = None
) -> Axes:
    """Norm of dl_t/dh_{t-k}, relative to lag 0, over step t and lag k.

    Follow a column upwards: how the gradient of one loss fares as it goes back in time. Above the
    diagonal there is no step left. Colours end at a factor of 10^bound down and up.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1, network_seed=0).sel(gain=gain)
    values = data.log_norm_map - data.log_norm_map.sel(lag=0)
    shown = decades(values.transpose("lag", "time"))
    ax.pcolormesh(
        data.time,
        data.lag,
        shown,
        norm=TwoSlopeNorm(0.0, -bound, bound),
        cmap="RdBu_r",
        rasterized=True,
    )
    levels = np.setdiff1d(np.arange(-_CONTOURS, _CONTOURS + 1), 0) * max(
        1.0, np.round(bound / _CONTOURS)
    )
    ax.contour(
        data.time, data.lag, shown, levels=levels, colors="black", linewidths=0.9, linestyles="-"
    )
    _label_levels(ax, data.time.values, np.nanmedian(shown, axis=1), levels)
    ax.grid(visible=False)
    ax.set_xlabel("step $t$ of the loss")
    ax.set_ylabel("lag $k$ (steps)")
    ax.set_title(f"gain {gain:g}")
    return ax


def _label_levels(ax: Axes, time: np.ndarray, by_lag: np.ndarray, levels: np.ndarray) -> None:
    """Name each contour near the right edge, at the lag where the median over steps crosses it."""
    for level in levels:
        beyond = np.flatnonzero(by_lag * np.sign(level) >= abs(level))
        if beyond.size and beyond[0] > 0:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
            place = (float(time[-1]) * 0.97, float(beyond[0]))
            text = f"$10^{{{level:.0f}}}$"
            ax.text(*place, text, ha="right", va="center", fontsize=10, bbox=box)


def plot_phase(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Gain x length, coloured and labelled by the mean log10 change of the gradient norm.

    The change is from the last to the first step, for a loss at the last step, averaged over
    networks and sequences. Thick borders lie at a factor of 10 down and up: between them gradients
    arrive. Dashed: Pascanu's condition, the gain at which the median sigma_max(W_hh) is 1; below it
    gradients must vanish. Dotted: spectral radius 1.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset)
    change = decades(data.log_change.mean("network_seed").transpose("length", "gain"))
    x, y = np.arange(data.gain.size), np.arange(data.length.size)
    norm = TwoSlopeNorm(0.0, -MOST_DECADES, MOST_DECADES)
    mesh = ax.pcolormesh(x, y, change, cmap="RdBu_r", norm=norm)
    for row, column in np.ndindex(*change.shape):
        value = change[row, column]
        color = mesh.cmap(norm(value))
        ink = "white" if np.dot(color[:3], (0.3, 0.6, 0.1)) < 0.5 else "black"
        box = {"facecolor": color, "edgecolor": "none", "pad": 1.5}
        text = f"{value:+.1f}" if np.isfinite(value) else "?"
        ax.text(
            column, row, text, ha="center", va="center", fontsize=10, color=ink, bbox=box, zorder=4
        )
    _draw_borders(ax, change)
    gains = [critical_gain(data, measure) for measure in ("spectral_norm", "spectral_radius")]
    positions = np.interp(gains, data.gain.values, x, left=np.nan, right=np.nan)
    ax.axvline(positions[0], color="black", ls="--", label=r"$\sigma_{max}(W_{hh}) = 1$ (Pascanu)")
    ax.axvline(positions[1], color="black", ls=":", label=r"$\rho(W_{hh}) = 1$")
    ax.set_xticks(x, [f"{gain:g}" for gain in data.gain.values])
    ax.set_yticks(y, [str(length) for length in data.length.values])
    ax.grid(visible=False)
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel("sequence length $T$ (steps)")
    return ax


def _draw_borders(ax: Axes, change: np.ndarray) -> None:
    """Thick lines between cells of different regime: vanishing, arriving, exploding."""
    regime = np.sign(change) * (np.abs(change) > 1.0)
    for row, column in np.argwhere(regime[:, 1:] != regime[:, :-1]):
        ax.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], "k-", lw=2.5, zorder=3)
    for row, column in np.argwhere(regime[1:] != regime[:-1]):
        ax.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, "k-", lw=2.5, zorder=3)


def critical_gain(data: xr.Dataset, measure: str) -> float:
    """The gain at which the median of a spectral measure, which grows with the gain, is 1."""
    scaled = (data[measure] / data.gain).where(data.gain > 0)
    return float(1.0 / scaled.median())
