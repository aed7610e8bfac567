"""Plots of singular values of Jacobian products: a dataset in, Axes out."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..frame import cells, figures
from ..frame.statistics import median, median_over, quantiles
from ..spectra import spectrum_plots

COLORS = spectrum_plots.COLORS | {"pytorch": "#009E73"}
RESOLVED = 1e-6  # nats of rounding in ln sigma from which on a value is not drawn
_DASHED: dict[str, Any] = {"color": "black", "ls": "--", "lw": 1.5, "zorder": 5}
_ZERO: dict[str, Any] = {"color": "0.45", "lw": 1.2, "zorder": 1}
_BANDS = ((0.05, 0.95, 0.16), (0.25, 0.75, 0.28))  # of the singular values, and their opacity
_LINES = (("largest", "^"), ("median", "o"), ("smallest", "v"))
_BINS = 40
_BOX: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
_SEEN = 1.35  # an axis reaches so many times the lowest median


def schemes_of(dataset: xr.Dataset) -> list[str]:
    """The schemes of a dataset, in the order in which they are drawn."""
    return [scheme for scheme in COLORS if scheme in dataset.scheme.values]


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

    Thin lines are networks and sequences, thick ones their medians, bands the middle half and 90%
    of all singular values, those among them that are exactly 0; these have no place on the axis,
    so that lines and bands end where they come to them, and are counted in the panel, at the last
    lag, as are those that are not resolved. Dashed: the median Lyapunov exponents lambda_1 and
    lambda_H as slopes. The grey line is 0, dynamical isometry.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sel(scheme=scheme, gain=gain)
    lags, color = data.lag.values, COLORS[scheme]
    values = resolved(data).transpose("network_seed", "sequence", "unit", "lag").values
    for low, high, opacity in _BANDS:
        edges = figures.finite(quantiles(values, (low, high), (0, 1, 2)))
        ax.fill_between(lags, *edges, color=color, alpha=opacity, lw=0)
    for (name, marker), ranked in zip(_LINES, order_statistics(data).values(), strict=True):
        each = ranked.transpose("network_seed", "sequence", "lag").values.reshape(-1, lags.size)
        ax.plot(lags, figures.finite(each).T, color=color, alpha=0.4, lw=0.7)
        middle = figures.finite(quantiles(each, 0.5))
        ax.plot(lags, middle, color=color, marker=marker, label=name, ms=5, zorder=4)
    ax.axhline(0.0, **_ZERO)
    exponents = median_over(data.lyapunov_exponent, "network_seed").values
    for exponent in (exponents[0], exponents[-1]):
        if np.isfinite(exponent):
            ax.plot([0, lags[-1]], [0, exponent * lags[-1]], **_DASHED)
    text = "exponents not known"
    if not np.isnan(exponents).all():
        first, last = exponents[0], exponents[-1]
        index = f"{{{cells.last_index(dataset)}}}"
        text = f"$\\lambda_1$ = {first:+z.2f}, $\\lambda_{index}$ = {_known(last)} nats/step"
    if missing := lost(data.isel(lag=-1)):
        text = f"at lag {lags[-1]} {missing}\n{text}"
    ax.text(0.03, 0.04, text, transform=ax.transAxes, fontsize=11, zorder=6, bbox=_BOX)
    ax.set_xlim(0, lags[-1] * 1.02)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"$\ln\sigma_i(\partial h_t/\partial h_{t-k})$ (nats)")
    return ax


def _known(exponent: float) -> str:
    return "?" if np.isnan(exponent) else f"{exponent:+z.2f}"


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
    bands = [
        Patch(color=ink, alpha=opacity, lw=0, label=f"{high - low:.0%} of all values")
        for low, high, opacity in reversed(_BANDS)
    ]
    return [*lines, *bands, Line2D([], [], label="Lyapunov exponents as slopes", **_DASHED)]


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
    resolved, which the text counts. It also says where the middle 90% of all that are known lie.
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
        ax.hist(shown, edges, weights=weights, color=COLORS[scheme], edgecolor="0.2", lw=0.5)
    if np.isfinite(middle := median(values)):
        ax.plot(
            middle, 0.0, marker="^", ms=12, color="black", mec="white",
            clip_on=False, zorder=6, ls="",
        )  # fmt: skip
    low, high = quantiles(values, _BANDS[0][:2])
    text = [] if np.isnan(low) else [f"middle 90%: {low:+z.1f} to {high:+z.1f}"]
    text += [lost(data)] * bool(lost(data))
    ax.text(0.03, 0.93, "\n".join(text), transform=ax.transAxes, va="top", fontsize=12, bbox=_BOX)
    ax.axvline(0.0, color="black", lw=1.4, zorder=4)
    ax.margins(y=0.12)
    ax.set_xlabel(r"$\ln\sigma_i(\partial h_t/\partial h_{t-k})$ (nats)")
    ax.set_ylabel("share (%)")
    return ax


def plot_overlap(dataset: xr.Dataset, *, scheme: str, ax: Axes | None = None) -> Axes:
    """|cosine| of the gradient dl_t/dh_{t-k} and the leading singular direction, against lag k.

    Thin lines are networks and sequences, thick ones their median for each gain. 1: every gradient
    has turned into one direction. Dashed: sqrt(2/(pi H)), the mean for a random direction and
    large H.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sel(scheme=scheme)
    for index, gain, color in figures.shaded(data.gain.values):
        overlap = data.gradient_overlap.sel(gain=gain)
        values = overlap.transpose("network_seed", "sequence", "lag").values
        figures.seeds_and_median(
            ax,
            data.lag.values,
            values.reshape(-1, data.lag.size),
            label=f"gain {gain:g}",
            color=color,
            index=index,
            lines=True,
        )
    chance = np.sqrt(2.0 / (np.pi * data.unit.size))
    ax.axhline(min(chance, 1.0), label="random direction", **_DASHED)
    ax.set_ylim(0.0, 1.05)
    ax.set_xlim(left=0)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"overlap with the leading direction $|\cos|$")
    return ax
