"""Plots of gradient norms: a dataset in, Axes out. What each shows is in its docstring."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.markers import TICKRIGHT

from ..frame import cells, figures
from ..frame.figures import decades, log_axis, powers, relative
from ..frame.statistics import median, quantiles
from ..frame.words import known_of

DECADE = float(np.log(10.0))
MOST_DECADES = 12.0  # where the colours of a map end
_CONTOURS = 4  # to either side of 1
FEW_GAINS = (0.75, 1.0, 1.5, 2.0)  # of lags and of contributions: a gain looks the same in both
_LENGTH_GAINS = (0.5, 1.0, 1.25, 1.6)  # the last is 1.5, or 2, where there is one
_OF_LAG_0 = r"$\|\partial l_t/\partial h_{t-k}\|\,/\,\|\partial l_t/\partial h_t\|$"


def one_network_set(dataset: xr.Dataset) -> xr.Dataset:
    """The first task, scheme, activation, size and data seed: axes gain, network_seed, length.

    Gains and lengths ascend, in whatever order they were asked for.
    """
    singles = ("task", "scheme", "activation", "n_hidden", "data_seed")
    chosen = dataset.isel({axis: 0 for axis in singles if axis in dataset.dims})
    return chosen.sortby([axis for axis in ("gain", "length") if axis in chosen.dims])


def plot_norm_against_lag(
    dataset: xr.Dataset, *, gains: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Norm of dl_t/dh_{t-k} relative to lag 0, against lag k, for a range of gains.

    Thin lines are networks, thick ones their median; how fast they change is named at their ends. A
    falling line is a vanishing gradient, a rising one explodes.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1)
    for i, gain, color in figures.shaded(data.gain.values, gains or FEW_GAINS):
        here = data.sel(gain=gain)
        label = f"gain {gain:g}\n{_pace(here)}"
        plot_one_against_lag(dataset, gain=gain, ax=ax, label=label, color=color, index=i)
    figures.name_lines(ax)
    return ax


def plot_one_against_lag(
    dataset: xr.Dataset, *, gain: float, ax: Axes | None = None, **style: Any
) -> Axes:
    """The same for one gain, without its name; `style` as of `figures.seeds_and_median`."""
    ax = figures.axes_or_new(ax)
    look = {"label": f"gain {gain:g}", "color": "#0072B2"} | style
    data = one_network_set(dataset).isel(length=-1).sel(gain=gain)
    curves = powers(relative(data.log_norm, "lag").transpose("network_seed", "lag"))
    figures.seeds_and_median(ax, data.lag, curves, lines=True, **look)
    ax.set_xlabel("lag $k$ (steps back from the loss)")
    ax.set_ylabel(f"norm of the gradient ({_OF_LAG_0})")
    log_axis(ax)
    return ax


def _pace(data: xr.Dataset) -> str:
    """The median half-life; the rate where most networks have none, or they go both ways."""
    rate, half_life = median_rate(data)
    if np.isnan(rate):
        return "no rate known"
    known = known_of(data.growth_rate)
    return (half_life.removeprefix(", ") or f"{rate:+z.3f} nats a step") + known


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


def plot_norm_against_length(
    dataset: xr.Dataset,
    *,
    variable: str,
    gains: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Norm of dL/dW_hh, relative to that of the shortest sequences, against sequence length T.

    `variable` is a log norm of the dataset. Dots are networks, lines their median. A flat line:
    longer sequences add nothing.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset)
    growth = relative(data[variable], "length")
    for i, gain, color in figures.shaded(data.gain.values, gains or _LENGTH_GAINS):
        values = powers(growth.sel(gain=gain).transpose("network_seed", "length"))
        figures.seeds_and_median(
            ax, data.length, values, label=f"gain {gain:g}", color=color, index=i
        )
    lengths = data.length.values
    ax.set_xscale("log", base=2)
    ax.set_xlim(lengths[0] / 1.2, 1.2 * lengths[-1])
    ax.set_xticks(lengths, [str(length) for length in lengths])
    ax.set_xlabel("sequence length $T$ (steps)")
    ax.set_ylabel(r"norm of $\partial L/\partial W_{hh}$" + f" (1 at $T$ = {lengths[0]})")
    log_axis(ax)
    figures.name_lines(ax)
    return ax


def plot_contributions(
    dataset: xr.Dataset, *, gains: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Norm of the temporal contribution dL/dW_hh^(t) against the steps from t to the end.

    Thin lines are networks, thick ones their median. Where gradients explode, early steps, on the
    right, rule.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1)
    for i, gain, color in figures.shaded(data.gain.values, gains or FEW_GAINS):
        values = powers(data.log_step_norm.sel(gain=gain).transpose("network_seed", "time"))
        figures.seeds_and_median(
            ax, int(data.length) - data.time, values, label=f"gain {gain:g}", color=color, index=i,
            lines=True,
        )  # fmt: skip
    ax.set_xlabel("steps from $t$ to the end of the sequence")
    ax.set_ylabel(r"norm of step $t$'s part of $\partial L/\partial W_{hh}$")
    log_axis(ax)
    figures.name_lines(ax)
    return ax


def plot_map(
    dataset: xr.Dataset, *, gain: float, bound: float = 10.0, ax: Axes | None = None
) -> Axes:
    """Norm of dl_t/dh_{t-k}, relative to lag 0, over step t and lag k.

    Follow a column upwards: how the gradient of one loss fares as it goes back in time. Above the
    diagonal there is no step left. Blue and hatched is less than at lag 0, red more; colours end at
    a factor of 10^bound down and up. Contours are named at their right ends.
    """
    ax = figures.axes_or_new(ax)
    data = one_network_set(dataset).isel(length=-1, network_seed=0).sel(gain=gain)
    shown = decades(relative(data.log_norm_map, "lag").transpose("lag", "time"))
    figures.signed_mesh(ax, data.time, data.lag, shown, bound=bound)
    step = max(1.0, np.round(bound / _CONTOURS))
    levels = [n * step for n in range(-_CONTOURS, _CONTOURS + 1) if n and abs(n * step) < bound]
    lines = {"levels": levels, "colors": "black", "linestyles": "-"}
    figures.contour(ax, data.time, data.lag, shown, **lines, linewidths=figures.pt(0.9))
    _name_levels(ax, float(data.time[-1]), median(shown, 1), levels)
    ax.text(
        0.03, 0.97, "before the\nfirst step", transform=ax.transAxes, ha="left", va="top",
        fontsize="small",
    )  # fmt: skip
    ax.grid(visible=False)
    ax.set_xlabel("step $t$ of the loss")
    ax.set_ylabel("lag $k$ (steps back)")
    ax.set_title(f"gain {gain:g}")
    return ax


def _name_levels(ax: Axes, end: float, by_lag: np.ndarray, levels: list[float]) -> None:
    """Name each contour at its right end: at the lag where the median over steps crosses it."""
    for level in levels:
        beyond = np.flatnonzero(by_lag * np.sign(level) >= abs(level))
        if beyond.size and beyond[0] > 0:
            style: dict[str, Any] = {
                "ls": "",
                "marker": TICKRIGHT,
                "color": "black",
                "clip_on": False,
            }
            ax.plot(end + 0.5, float(beyond[0]), label=f"$10^{{{level:.0f}}}$", **style)
    figures.name_lines(ax)


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


def gain_at_rest(data: xr.Dataset) -> float | None:
    """The gain at which large networks of one kind and scheme, without input, leave rest."""
    return cells.gain_at_rest(data, str(data["scheme"].item()), str(data["activation"].item()))


def critical_gain(data: xr.Dataset, measure: str) -> float:
    """The gain at which the median over networks of a spectral measure is 1; NaN if none is known.

    The measure grows with the size of the gain.
    """
    scaled = (data[measure] / np.abs(data.gain)).where(data.gain != 0)
    return float(1.0 / scaled.median())
