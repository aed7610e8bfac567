"""Plots of stacks layer by layer: a dataset in, Axes out; how to read is in docstrings."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..frame import figures
from ..frame.figures import decades, log_axis, mark, powers, pt, theory
from ..frame.statistics import median
from .cell_plots import even_markers

_SHOWN = 8.0  # decades of norms that panels show at most
_BELOW = 3.0  # decades of errors below the tolerance

Floats = npt.NDArray[np.float64]


def shown_layers(depth: int) -> list[int]:
    """The lowest, the middle and the top layer."""
    return sorted({1, (1 + depth) // 2, depth})


def of_depth(data: xr.Dataset, depth: int) -> xr.Dataset:
    """Stacks of one depth, without the layers that they have not."""
    here = data.sel(n_layers=depth, layer=slice(1, depth))
    return here.isel(rank=slice(depth * data.sizes["unit"]))


def norm_range(data: xr.Dataset) -> tuple[float, float]:
    """The powers of ten between which all panels of norms lie."""
    values = np.concatenate([decades(data[f"{a}log_norm"]).ravel() for a in ("", "theory_")])
    low, high = np.nanmin(values, initial=-1.0), np.nanmax(values, initial=0.0)
    return max(-_SHOWN, float(low)) - 0.3, min(_SHOWN, float(high)) + 0.3


def looks(data: xr.Dataset) -> dict[int, dict[str, Any]]:
    """Colour and index, for a marker, of each layer that any panel shows: dark ones are low."""
    layers = sorted({layer for depth in data.n_layers.values for layer in shown_layers(int(depth))})
    colors = figures.shades(len(layers))
    return {layer: {"color": colors[i], "index": i} for i, layer in enumerate(layers)}


def key(data: xr.Dataset, *more: Line2D, marks: bool = False) -> list[Line2D]:
    """What a legend names: the layers, and other lines."""
    handles = [
        Line2D([], [], color=look["color"], label=f"layer {layer}",
               marker=figures.MARKERS[look["index"] % len(figures.MARKERS)],
               ls="" if marks else "-")
        for layer, look in looks(data).items()
    ]  # fmt: skip
    return [*handles, *more]


def whole() -> dict[str, Any]:
    """How what is of all layers is drawn: wide, behind their lines, in a colour of no layer."""
    return {"color": "#CC79A7", "lw": pt(4.5), "zorder": 1.5}


def _by_seed(values: xr.DataArray, along: str) -> Floats:
    return values.transpose("network_seed", along).values


def plot_norm_against_lag(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} of layers, relative to lag 0, against lag k.

    Dashed, for the lowest layer: C(k+d, d) rho^k, d layers below the top, ln rho the largest
    exponent of all layers, in the median: exact for linear layers with W_hh = rho I.
    """
    ax = figures.axes_or_new(ax)
    here, lags = of_depth(data, depth), data.lag.values
    for layer in shown_layers(depth):
        norms = powers(_by_seed(here.log_norm.sel(layer=layer), "lag"))
        look = looks(data)[layer]
        figures.seeds_and_median(ax, lags, norms, label=f"layer {layer}", lines=True, **look)
    guide = median(powers(_by_seed(here.theory_log_norm.sel(layer=1), "lag")), 0)
    ax.plot(lags, figures.finite(guide), label="layer 1,\nif linear", **theory())
    ax.set_ylim(*norm_range(data))
    ax.set_xlim(0, lags[-1])
    ax.set_xlabel("lag $k$ (steps back from the loss)")
    ax.set_ylabel("norm of the gradient, lag 0 = 1")
    log_axis(ax)
    figures.name_lines(ax)
    return ax


def plot_spectrum(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """Lyapunov exponents of the stack (wide line), and where those of its layers fall among all.

    Medians over networks. The spectrum of a stack is that of all its layers, each driven by the one
    below: of one network the markers lie on the line, of several but for medians of sorted ranks.
    """
    ax = figures.axes_or_new(ax)
    here = of_depth(data, depth)
    values = figures.finite(median(_by_seed(here.exponent, "rank"), 0))
    ax.plot(np.arange(1, values.size + 1), values, label="the stack", **whole())
    layers = median(here.layer_exponent.transpose("network_seed", "layer", "unit").values, 0)
    ranks = np.argsort(np.argsort(-layers.ravel(), kind="stable")).reshape(layers.shape) + 1
    for layer in shown_layers(depth):
        look = looks(data)[layer]
        ax.plot(
            ranks[layer - 1], figures.finite(layers[layer - 1]), ls="", ms=pt(5),
            color=look["color"], marker=figures.MARKERS[look["index"] % len(figures.MARKERS)],
            label=f"layer {layer}",
        )  # fmt: skip
    ax.axhline(0.0, **figures.guide())
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("rank $i$, the largest first")
    ax.set_ylabel(r"Lyapunov exponent $\lambda_i$ (nats/step)")
    return ax


def own() -> dict[str, Any]:
    """How the largest exponent of a layer by itself is drawn."""
    return {"ls": "", "marker": "s", "mfc": "none", "mec": "#D55E00", "ms": pt(10), "mew": pt(1.5)}


def plot_rates(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """The rate at which a gradient decays on its way into each layer: measured, and predicted.

    Dashed: the largest exponent of the layers from this one up to the top, which rules in the end;
    squares: the largest of the layer itself. Where slopes lie above the dashed line, the lags that
    are fitted are too few for it.
    """
    ax = figures.axes_or_new(ax)
    here, layers = of_depth(data, depth), np.arange(1, depth + 1)
    slopes = _by_seed(here.slope, "layer")
    figures.seeds_and_median(ax, layers, slopes, label="measured", color=figures.MEASURED)
    alone = _by_seed(here.layer_exponent.isel(unit=0), "layer")
    ax.plot(layers, figures.finite(median(alone, 0)), label="of the layer alone", **own())
    rates = figures.finite(median(_by_seed(here.rate, "layer"), 0))
    ax.plot(layers, rates, label="in the end", marker="_", ms=pt(12), **theory())
    ax.set_xlim(0.7, depth + 0.3)
    ax.set_xticks(layers)
    ax.set_xlabel("layer, 1 the lowest")
    ax.set_ylabel("growth of the gradient (nats/step)")
    return ax


def plot_window_error(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """Relative error of the recurrent weights' gradient against window K: of layers and of all.

    Where a line stays below the dotted one, the tolerance, its window suffices. Wide line: of
    all layers as one vector, in the median.
    """
    ax = figures.axes_or_new(ax)
    here, windows = of_depth(data, depth), data.window.values
    for layer in shown_layers(depth):
        errors = powers(_by_seed(here.window_log_error.sel(layer=layer), "window"))
        look = looks(data)[layer]
        figures.seeds_and_median(ax, windows, errors, label=f"layer {layer}", lines=True, **look)
    joint = median(powers(_by_seed(here.joint_window_log_error, "window")), 0)
    ax.plot(windows, figures.finite(joint), label="all layers", **whole())
    tolerance = np.log10(figures.configuration(data)["tolerance"])
    ax.axhline(tolerance, **mark())
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, 1.1 * windows[-1])
    ax.set_ylim(tolerance - _BELOW, 0.5)
    ax.set_xlabel("window $K$ (steps)")
    ax.set_ylabel(r"relative error $\|g_K - g\|\,/\,\|g\|$")
    log_axis(ax)
    even_markers(ax)
    return ax


def plot_window_by_depth(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """The window that suffices against depth: for the lowest layer, for the top, for each of all.

    Dots are networks, lines medians of those where one is known.
    """
    ax = figures.axes_or_new(ax)
    ordered = data.sortby("n_layers")
    depths = ordered.n_layers.values
    lowest = _by_seed(ordered.sufficient_window.sel(layer=1), "n_layers")
    tops = [_by_seed(ordered.sufficient_window.sel(layer=L), "n_layers") for L in depths]
    top = np.stack([each[:, i] for i, each in enumerate(tops)], axis=1)
    every = figures.finite(median(_by_seed(ordered.largest_window, "n_layers"), 0))
    ax.plot(depths, every, label="every layer", marker="o", **whole() | {"ms": pt(11)})
    ends = (("lowest layer", lowest), ("top layer", top))
    for index, ((name, values), color) in enumerate(zip(ends, figures.shades(2), strict=True)):
        figures.seeds_and_median(ax, depths, values, label=name, color=color, index=index)
    ax.set_ylim(bottom=0.0)
    figures.count_axis(ax.yaxis)
    ax.set_xticks(depths)
    ax.set_xlabel("layers $L$")
    ax.set_ylabel("sufficient window (steps)")
    figures.name_lines(ax)
    return ax
