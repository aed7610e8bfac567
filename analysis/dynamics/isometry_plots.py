"""Plots of singular values of Jacobian products: a dataset in, Axes out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..frame import figures
from ..frame.statistics import median, median_over, quantiles
from ..frame.words import counted

RESOLVED = 1e-6  # nats of rounding in ln sigma from which on a value is not drawn
_BAND, _OPACITY = (0.05, 0.95), 0.2  # of the singular values
_LINES = (("largest", "^"), ("median", "o"), ("smallest", "v"))
_BINS = 40
_SEEN = 1.35  # an axis reaches so many times the lowest median


def schemes_of(dataset: xr.Dataset) -> list[str]:
    """The schemes of a dataset, in the order in which they are drawn."""
    return [scheme for scheme in figures.SCHEMES if scheme in dataset.scheme.values]


def resolved(data: xr.Dataset) -> xr.DataArray:
    """ln singular values; -inf where exactly 0, NaN where double precision does not know them."""
    return data.log_singular_value.where(data.rounding < RESOLVED)


def order_statistics(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """The largest, median and smallest ln singular value of each product, by rank.

    Ranks count all H values, so that one that is exactly 0, or not known, keeps its place.
    """
    values, H = resolved(data), data.sizes["unit"]
    low, high = values.isel(unit=H // 2), values.isel(unit=(H - 1) // 2)
    middle = xr.where(low == high, low, 0.5 * (low + high))
    return {"largest": values.isel(unit=0), "median": middle, "smallest": values.isel(unit=-1)}


def lost(data: xr.Dataset) -> str:
    """How many singular values have no place on a logarithmic axis, and why; "" where none."""
    values, raw = resolved(data).values, data.log_singular_value.values
    counts = {
        "exactly 0": np.isneginf(values),
        "not resolved": np.isnan(values) & ~np.isnan(raw),
        "out of range": np.isnan(raw),
    }
    return ", ".join(
        f"{name}: {int(found.sum())} of {found.size}"
        for name, found in counts.items()
        if found.any()
    )


def plot_singular_values_against_lag(
    dataset: xr.Dataset, *, scheme: str, gain: float, ax: Axes | None = None
) -> Axes:
    """ln of the largest, median and smallest singular value of dh_t/dh_{t-k} against lag k.

    Thin lines are networks and sequences, thick ones their medians, the band the middle 90% of all
    singular values, those among them that are exactly 0; these have no place on the axis, so that
    lines and band end where they come to them, and are counted in the title, at the last lag, as
    are those that are not resolved. Dashed: the median Lyapunov exponents lambda_1 and lambda_H as
    slopes. The grey line is 0, dynamical isometry.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sel(scheme=scheme, gain=gain)
    lags, color = data.lag.values, figures.SCHEMES[scheme]
    values = resolved(data).transpose("network_seed", "sequence", "unit", "lag").values
    edges = figures.finite(quantiles(values, _BAND, (0, 1, 2)))
    ax.fill_between(lags, *edges, color=color, alpha=_OPACITY, lw=0)
    for (name, marker), ranked in zip(_LINES, order_statistics(data).values(), strict=True):
        each = ranked.transpose("network_seed", "sequence", "lag").values.reshape(-1, lags.size)
        ax.plot(lags, figures.finite(each).T, color=color, alpha=0.4, lw=figures.pt(0.7))
        middle: dict[str, Any] = {"marker": marker, "ms": figures.pt(5), "zorder": 4}
        ax.plot(lags, figures.finite(quantiles(each, 0.5)), color=color, label=name, **middle)
    ax.axhline(0.0, **figures.guide())
    exponents = median_over(data.lyapunov_exponent, "network_seed").values
    for exponent in (exponents[0], exponents[-1]):
        if np.isfinite(exponent):
            ax.plot([0, lags[-1]], [0, exponent * lags[-1]], **figures.theory())
    missing = lost(data.isel(lag=-1))
    more = f"\n(at lag {lags[-1]} {missing})" * bool(missing)
    ax.set_title(f"{scheme}, gain {gain:g}{more}")
    ax.set_xlim(0, lags[-1] * 1.02)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"$\ln\sigma_i(\partial h_t/\partial h_{t-k})$ (nats)")
    return ax


def seen_range(dataset: xr.Dataset, gain: float) -> tuple[float, float]:
    """Bounds for the panels of one gain: the largest values, and a third below the lowest median.

    The median of those above 0: what is exactly 0 has no place on the axis.

    The smallest values of independent entries fall many times faster than all others: with them in
    full the rest would be one line.
    """
    values = resolved(dataset.sel(gain=gain))
    values = values.where(np.isfinite(values))
    middle = float(values.median(["network_seed", "sequence", "unit"]).min())
    top = max(float(values.max()), 0.0) if np.isfinite(middle) else 1.0
    bottom = min(_SEEN * middle, -1.0) if np.isfinite(middle) else -1.0
    return bottom, top + 0.08 * (top - bottom)


def direction_key() -> list[Any]:
    """Legend of `plot_singular_values_against_lag`."""
    ink = "0.35"
    lines = [
        Line2D([], [], color=ink, marker=marker, label=f"{name} singular value")
        for name, marker in _LINES
    ]
    band = Patch(color=ink, alpha=_OPACITY, lw=0, label=f"{_BAND[1] - _BAND[0]:.0%} of all values")
    return [*lines, band, Line2D([], [], label="Lyapunov exponents as slopes", **figures.theory())]


def plot_histogram(
    dataset: xr.Dataset,
    *,
    scheme: str,
    gain: float,
    lag: int,
    bounds: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Share of the singular values of dh_t/dh_{t-k} by their logarithm, at one lag k.

    All networks and sequences together; the bars add up to 100% less what is exactly 0 or not
    resolved, which the title counts. It also says where the middle 90% of all that are known lie.
    The black line is 0, where dynamical isometry puts all of them; the triangle at the bottom is
    the median of all that are known, where it is above 0.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sel(scheme=scheme, gain=gain, lag=lag)
    values = resolved(data).values.ravel()
    shown = values[np.isfinite(values)]
    if shown.size:
        first, last = bounds or (min(shown.min(), 0.0) - 0.5, max(shown.max(), 0.0) + 0.5)
        weights = np.full(shown.size, 100.0 / values.size)
        edges = np.linspace(first, last, _BINS + 1).tolist()
        bars: dict[str, Any] = {
            "color": figures.SCHEMES[scheme],
            "edgecolor": "0.2",
            "lw": figures.pt(0.5),
        }
        ax.hist(shown, edges, weights=weights, **bars)
    if np.isfinite(middle := median(values)):
        triangle: dict[str, Any] = {
            "marker": "^",
            "ms": figures.pt(11),
            "color": "black",
            "mec": "white",
        }
        ax.plot(middle, 0.0, ls="", clip_on=False, zorder=6, **triangle)
    low, high = quantiles(values, _BAND)
    lines = [f"{scheme}, {counted(lag, 'step')}"]
    lines += [] if np.isnan(low) else [f"middle 90%: {_rounded(low)} to {_rounded(high)}"]
    ax.set_title("\n".join([*lines, *[lost(data)] * bool(lost(data))]), fontsize="medium")
    ax.axvline(0.0, color="black", lw=figures.pt(1.4), zorder=4)
    ax.margins(y=0.12)
    ax.set_xlabel(r"$\ln\sigma_i(\partial h_t/\partial h_{t-k})$ (nats)")
    ax.set_ylabel("share (%)")
    return ax


def _rounded(x: float) -> str:
    """One digit after the point; what rounds to nothing has no sign."""
    text = f"{x:+z.1f}"
    return "0.0" if text == "+0.0" else text


def plot_overlap(
    dataset: xr.Dataset,
    *,
    scheme: str,
    lags: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """|cosine| of the gradient dl_t/dh_{t-k} and the leading singular direction, against lag k.

    At all lags, or those nearest to `lags`. Dots are networks and sequences, lines their median for
    each gain, named at the right, bands the quartiles. 1: every gradient has turned into one
    direction. Dashed: sqrt(2/(pi H)), the mean for a random direction and large H.
    """
    ax = figures.axes_or_new(ax)
    seen = dataset.lag.values if lags is None else figures.nearest(dataset.lag.values, lags)
    data = dataset.sel(scheme=scheme, lag=seen)
    lines = []
    for index, gain, color in figures.shaded(data.gain.values):
        overlap = data.gradient_overlap.sel(gain=gain).transpose("network_seed", "sequence", "lag")
        values = overlap.values.reshape(-1, data.lag.size)
        style = {"label": f"gain {gain:g}", "color": color, "index": index}
        figures.seeds_and_median(ax, data.lag.values, values, **style)
        ax.lines[-1].set_markevery(1)
        lines.append(ax.lines[-1])
    chance = np.sqrt(2.0 / (np.pi * data.unit.size))
    lines.append(ax.axhline(min(chance, 1.0), label="chance", **figures.theory()))
    ax.set_ylim(0.0, 1.05)
    ax.set_xscale("log")
    ax.set_xticks(data.lag.values, [f"{lag:g}" for lag in data.lag.values], minor=False)
    ax.set_xticks([], minor=True)
    figures.name_lines(ax, lines)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel("gradient along the leading direction, $|\\cos|$")
    return ax
