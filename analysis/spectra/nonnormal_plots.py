"""Plots of non-normality: a dataset in, Axes out. What each shows is in its docstring."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from ..frame import figures
from ..frame.figures import configuration, decades
from ..frame.statistics import median

_DASHED: dict[str, Any] = {"color": "black", "ls": "--", "lw": 1.6, "zorder": 5}
_CIRCLE: dict[str, Any] = {"color": "black", "lw": 1.6, "ls": "--"}
_CONTOURS: dict[int, dict[str, Any]] = {  # by power of ten
    -1: {"colors": "#D55E00", "linewidths": 3.0},
    -2: {"colors": "#0072B2", "linewidths": 1.5},
}
_EIGENVALUES: dict[str, Any] = {
    "ls": "", "marker": "o", "ms": 4.5, "color": "white", "mec": "black", "mew": 0.9, "zorder": 4,
}  # fmt: skip
_FLOOR = -7  # decades: smaller values are drawn as this
_COLORS = {"linear": "#0072B2", "tanh": "#D55E00", "relu": "#009E73", "sigmoid": "#CC79A7"}
_MARKERS = {"linear": "o", "tanh": "s", "relu": "^", "sigmoid": "D"}


def plot_pseudospectrum(dataset: xr.Dataset, *, scale: float, ax: Axes | None = None) -> Axes:
    """sigma_min(z - W_hh) in the complex plane: shades at powers of ten, contours, eigenvalues.

    The contour of 0.1 encloses all that changes of W_hh of 2-norm 0.1 can make of the eigenvalues,
    that of 0.01 likewise. The circle is modulus 1: contours far outside mean transient growth.
    """
    ax = figures.axes_or_new(ax)
    data = dataset.sel(scale=scale)
    shown = decades(data.log_sigma_min.transpose("im", "re"))
    x, y = data.re.values, data.im.values
    ax.pcolormesh(x, y, shown, norm=plane_norm(dataset), cmap="Greys_r", rasterized=True)
    for level, style in _CONTOURS.items():
        if np.nanmin(shown) < level < np.nanmax(shown):
            ax.contour(x, y, shown, levels=[level], linestyles="solid", **style)
    values = data.eigenvalues.values
    ax.plot(values.real, values.imag, **_EIGENVALUES)
    ax.add_patch(Circle((0, 0), 1.0, fill=False, zorder=3, **_CIRCLE))
    ax.set_aspect("equal")
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.grid(visible=False)
    ax.set_xlabel("Re $z$")
    ax.set_ylabel("Im $z$")
    return ax


def plane_norm(dataset: xr.Dataset) -> BoundaryNorm:
    """Shades of `plot_pseudospectrum`, the same for all scales: one for each power of ten."""
    lowest = float(np.nanquantile(decades(dataset.log_sigma_min), 0.001))
    floor = int(np.clip(np.floor(lowest), _FLOOR, -2))
    return BoundaryNorm(np.arange(floor, 2), 256, extend="min")


def plane_key() -> list[Line2D]:
    """Legend of `plot_pseudospectrum`."""
    contours = [
        Line2D([], [], color=style["colors"], lw=style["linewidths"],
               label=rf"$\sigma_{{min}}$ = {10.0**level:g}")
        for level, style in _CONTOURS.items()
    ]  # fmt: skip
    return [
        Line2D([], [], label="eigenvalues", **_EIGENVALUES),
        Line2D([], [], label="modulus 1", **_CIRCLE),
        *contours,
    ]


def plot_powers(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """ln ||W_hh^k|| against k for every scale of the departure from normality.

    Thin lines are networks, thick ones their median. Dashed: k ln rho, the line of a normal matrix.
    Diamonds: the Kreiss constant at the median lag of the peak, which lies at or above it.
    """
    ax = figures.axes_or_new(ax)
    for index, scale, color in figures.shaded(dataset.scale.values):
        data = dataset.sel(scale=scale)
        _curves(ax, data.lag, data.log_power_norm, scale, index, color)
        place = float(median(data.peak_lag)), float(median(data.log_kreiss))
        if scale > 0 and np.isfinite(place).all():
            ax.plot(*place, ls="", marker="D", ms=10, mfc="white", mec=color, mew=2.2, zorder=6)
    ax.plot([], [], ls="", marker="D", ms=9, mfc="white", mec="0.3", mew=2, label="Kreiss constant")
    _asymptote(ax, dataset)
    ax.set_xlabel("power $k$")
    ax.set_ylabel(r"$\ln\|W_{hh}^k\|_2$ (nats)")
    return ax


def plot_gradients(dataset: xr.Dataset, *, activation: str, ax: Axes | None = None) -> Axes:
    """ln of the norm of dl_T/dh_{T-k}, relative to lag 0, against lag k, for every scale.

    Thin lines are networks, thick ones their median; dashed: k ln rho.
    """
    ax = figures.axes_or_new(ax)
    for index, scale, color in figures.shaded(dataset.scale.values):
        data = dataset.sel(scale=scale, activation=activation)
        _curves(ax, data.lag, data.log_gradient_norm, scale, index, color)
    _asymptote(ax, dataset)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(
        r"$\ln(\|\partial l_T/\partial h_{T-k}\|\,/\,\|\partial l_T/\partial h_T\|)$ (nats)"
    )
    return ax


def _curves(
    ax: Axes, lag: xr.DataArray, values: xr.DataArray, scale: float, index: int, color: Any
) -> None:
    curves = values.transpose("network_seed", "lag").values
    label = f"s = {scale:g}"
    figures.seeds_and_median(ax, lag, curves, label=label, color=color, index=index, lines=True)


def _asymptote(ax: Axes, dataset: xr.Dataset) -> None:
    last = float(dataset.lag[-1])
    rate = np.log(configuration(dataset)["radius"])
    ax.plot([0, last], [0, rate * last], label=r"$k\,\ln\rho$ (eigenvalues)", **_DASHED)
    ax.axhline(0.0, color="0.45", lw=1.2, zorder=1)


def plot_peak(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Peak of ln ||W_hh^k|| against the departure from normality, with the Kreiss constant.

    Marks are networks, lines medians over networks of one scale. At 0: W_hh only shrinks.
    """
    ax = figures.axes_or_new(ax)
    departure = dataset.henrici_relative
    _marks(ax, departure, dataset.peak, "#0072B2", "o", "peak of the powers")
    _marks(ax, departure, dataset.log_kreiss, "#E69F00", "D", "Kreiss constant", ls="--")
    ax.set_xlabel(r"departure from normality $\|R\|_F\,/\,\|W_{hh}\|_F$")
    ax.set_ylabel(r"$\max_k\,\ln\|W_{hh}^k\|_2$ (nats)")
    return ax


def plot_windows(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Window that suffices against the departure from normality, for each activation.

    Marks are networks, lines medians. Dashed: ln(tolerance) / ln(rho), what eigenvalues alone say.
    """
    ax = figures.axes_or_new(ax)
    for kind in dataset.activation.values:
        windows = dataset.sufficient_window.sel(activation=kind)
        _marks(ax, dataset.henrici_relative, windows, _COLORS[kind], _MARKERS[kind], str(kind))
    settings = configuration(dataset)
    alone = np.log(settings["tolerance"]) / np.log(settings["radius"])
    ax.axhline(alone, label=r"$\rho^K$ = tolerance", **_DASHED)
    longest = settings["length"]
    ax.axhline(longest, color="0.45", lw=1.2, ls=":", label="whole sequence")
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    ax.set_xlabel(r"departure from normality $\|R\|_F\,/\,\|W_{hh}\|_F$")
    ax.set_ylabel("sufficient window $K$ (steps)")
    return ax


def _marks(
    ax: Axes, x: xr.DataArray, y: xr.DataArray, color: str, marker: str, label: str, ls: str = "-"
) -> None:
    dims = ("network_seed", "scale")
    places, values = x.transpose(*dims).values, y.transpose(*dims).values
    shown = figures.finite(values)
    ax.plot(places.ravel(), shown.ravel(), ls="", marker=marker, ms=4, color=color, alpha=0.5)
    enough = (~np.isnan(values)).sum(axis=0) * 2 >= len(values)
    middle = np.full((2, len(enough)), np.nan)
    middle[0] = median(places, 0)
    middle[1, enough] = figures.finite(median(values[:, enough], 0))
    ax.plot(*middle, color=color, marker=marker, ms=9, ls=ls, label=label)
