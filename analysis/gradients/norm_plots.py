"""Plots of gradient norms: a dataset in, Axes out. What each shows is in its docstring."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from ..frame import cells, figures
from ..frame.figures import decades, log_axis, powers, relative
from ..frame.statistics import median, quantiles
from ..frame.words import known_of, middle

DECADE = float(np.log(10.0))
MOST_DECADES = 12.0  # where the colours of a map end
_CONTOURS = 4  # to either side of 1


def one_network_set(dataset: xr.Dataset) -> xr.Dataset:
    """The first task, scheme, activation, size and data seed: axes gain, network_seed, length.

    Gains and lengths ascend, in whatever order they were asked for.
    """
    singles = ("task", "scheme", "activation", "n_hidden", "data_seed")
    chosen = dataset.isel({axis: 0 for axis in singles if axis in dataset.dims})
    return chosen.sortby([axis for axis in ("gain", "length") if axis in chosen.dims])


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
    norms = relative(data.log_norm, "lag")
    for i, gain, color in figures.shaded(data.gain.values, wanted):
        curves = powers(norms.sel(gain=gain).transpose("network_seed", "lag"))
        label = f"gain {gain:g}: {rate_in_words(data.sel(gain=gain))}"
        figures.seeds_and_median(
            ax, data.lag, curves, label=label, color=color, index=i, lines=True
        )
        _draw_fit(ax, data.sel(gain=gain), median(curves, 0))
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"$\|\partial l_t/\partial h_{t-k}\|\;/\;\|\partial l_t/\partial h_t\|$")
    log_axis(ax)
    ax.legend(title="median fitted rate", loc="best")
    return ax


def plot_one_against_lag(
    dataset: xr.Dataset, *, gain: float, ax: Axes | None = None, **style: Any
) -> Axes:
    """The same for one gain, without its fit; `style` as of `figures.seeds_and_median`."""
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1).sel(gain=gain)
    curves = powers(relative(data.log_norm, "lag").transpose("network_seed", "lag"))
    figures.seeds_and_median(ax, data.lag, curves, lines=True, **style)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"$\|\partial l_t/\partial h_{t-k}\|\;/\;\|\partial l_t/\partial h_t\|$")
    log_axis(ax)
    return ax


def median_rate(data: xr.Dataset) -> tuple[float, str]:
    """Median rate over networks, and its half-life where most networks have one."""
    rate = float(median(data.growth_rate))
    spread = quantiles(data.growth_rate.values.ravel(), [0.25, 0.75])
    known = int(data.half_life.notnull().sum()) * 2 > data.half_life.size
    differs = known and spread[0] * spread[1] > 0
    word = "halving" if rate < 0 else "doubling"
    return rate, f", {word} in {np.log(2) / abs(rate):.1f} steps" if differs else ""


def rate_in_words(data: xr.Dataset, unit: str = "nats/step") -> str:
    """The median rate and its half-life, with the number of networks behind it if not all."""
    rate, half_life = median_rate(data)
    if np.isnan(rate):
        return "no rate known"
    return f"{rate:+z.3f} {unit}{half_life}{known_of(data.growth_rate)}"


def _draw_fit(ax: Axes, data: xr.Dataset, curve: np.ndarray) -> None:
    names = ("growth_rate", "growth_first_lag", "growth_last_lag")
    rate, first, last = (float(median(data[name])) for name in names)
    if not np.isfinite([first, last, rate]).all():
        return
    lags = np.array([first, last])
    middle = median(figures.finite(curve[int(first) : int(last) + 1]))
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
        values = powers(data[variable].sel(gain=gain).transpose("network_seed", "length"))
        figures.seeds_and_median(
            ax, data.length, values, label=f"gain {gain:g}", color=color, index=i
        )
    ax.set_xscale("log", base=2)
    if not np.isfinite(ax.dataLim.minposx):  # nothing to draw, so that no limits are known
        ax.set_xlim(data.length.values[0] / 2, 2 * data.length.values[-1])
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
        values = powers(data.log_step_norm.sel(gain=gain).transpose("network_seed", "time"))
        cancellation = middle(data.cancellation.sel(gain=gain), lambda x: f"{x:.2g}")
        label = f"gain {gain:g}: sum/terms {cancellation}"
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
    shown = decades(relative(data.log_norm_map, "lag").transpose("lag", "time"))
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
    lines = {"levels": levels, "colors": "black", "linewidths": 0.9, "linestyles": "-"}
    figures.contour(ax, data.time, data.lag, shown, **lines)
    _label_levels(ax, data.time.values, median(shown, 1), levels)
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


def change_over_networks(dataset: xr.Dataset) -> xr.DataArray:
    """Powers of ten by which a gradient's norm changes from the last step to the first.

    Of the loss at the last step; mean over networks and sequences of the log. -inf where a network
    has none left at all; networks that left the floating-point range are left out, NaN where all
    did.
    """
    change = one_network_set(dataset).log_change.mean("network_seed") / DECADE
    return change.assign_attrs(units="powers of ten")


def regime(change: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """-1 where gradients vanish, 0 where they arrive, 1 where they explode, NaN if not known.

    `change` is in powers of ten; gradients arrive within one up or down, both included.
    """
    change = np.asarray(change, dtype=float)
    return np.asarray(np.sign(change) * np.where(np.abs(change) <= 1.0, 0.0, 1.0))


def plot_phase(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Gain x length, coloured and labelled by the mean log10 change of the gradient norm.

    The change is `change_over_networks`; -inf where it is an exact 0, "?" where it is not known.
    Thick borders lie at a factor of 10 down and up: between them gradients arrive. Dashed:
    Pascanu's condition, the gain at which the median sigma_max(W_hh) is 1; below it gradients of
    such a network must vanish. Dotted: median spectral radius 1. Of gated cells and stacks, to
    which neither applies, dotted: where rest without input loses stability.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset)
    change = change_over_networks(dataset).transpose("length", "gain").values
    x, y = np.arange(data.gain.size), np.arange(data.length.size)
    norm = TwoSlopeNorm(0.0, -MOST_DECADES, MOST_DECADES)
    mesh = ax.pcolormesh(x, y, np.clip(change, norm.vmin, norm.vmax), cmap="RdBu_r", norm=norm)
    for row, column in np.ndindex(*change.shape):
        value = change[row, column]
        known = not np.isnan(value)
        color = mesh.cmap(norm(np.clip(value, norm.vmin, norm.vmax))) if known else (1.0,) * 4
        ink = "white" if np.dot(color[:3], (0.3, 0.6, 0.1)) < 0.5 else "black"
        box = {"facecolor": color, "edgecolor": "none", "pad": 1.5}
        text = f"{value:+z.1f}" if known else "?"
        ax.text(
            column, row, text, ha="center", va="center", fontsize=10, color=ink, bbox=box, zorder=4
        )
    _draw_borders(ax, change)
    for style, label, gain in _critical_lines(data):
        position = np.interp(gain, data.gain.values, x, left=np.nan, right=np.nan)
        ax.axvline(position, color="black", ls=style, label=label)
    ax.set_xticks(x, [f"{gain:g}" for gain in data.gain.values])
    ax.set_yticks(y, [str(length) for length in data.length.values])
    ax.grid(visible=False)
    ax.set_xlabel("gain of $W_{hh}$")
    ax.set_ylabel("sequence length $T$ (steps)")
    return ax


def _draw_borders(ax: Axes, change: np.ndarray) -> None:
    """Thick lines between cells of different regime: vanishing, arriving, exploding."""
    cells = np.nan_to_num(regime(change), nan=2.0)  # what is not known is one more
    for row, column in np.argwhere(cells[:, 1:] != cells[:, :-1]):
        ax.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], "k-", lw=2.5, zorder=3)
    for row, column in np.argwhere(cells[1:] != cells[:-1]):
        ax.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, "k-", lw=2.5, zorder=3)


def _critical_lines(data: xr.Dataset) -> list[tuple[str, str, float]]:
    """Styles, labels and gains of what theory says."""
    if not cells.is_plain(data):
        label = r"no input: $\rho(\partial h_t/\partial h_{t-1}) = 1$ at rest, large $H$"
        critical = gain_at_rest(data)
        return [] if critical is None else [(":", label, critical)]
    norm, radius = (critical_gain(data, name) for name in ("spectral_norm", "spectral_radius"))
    return [
        ("--", r"$\sigma_{max}(W_{hh}) = 1$ (Pascanu)", norm),
        (":", r"$\rho(W_{hh}) = 1$", radius),
    ]


def gain_at_rest(data: xr.Dataset) -> float | None:
    """The gain at which large networks of one kind and scheme, without input, leave rest."""
    return cells.gain_at_rest(data, str(data["scheme"].item()), str(data["activation"].item()))


def critical_gain(data: xr.Dataset, measure: str) -> float:
    """The gain at which the median over networks of a spectral measure is 1; NaN if none is known.

    The measure grows with the size of the gain.
    """
    scaled = (data[measure] / np.abs(data.gain)).where(data.gain != 0)
    return float(1.0 / scaled.median())
