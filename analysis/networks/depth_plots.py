"""Plots of stacks layer by layer: a dataset in, Axes out; how to read is in docstrings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes

from ..frame import figures
from ..frame.figures import decades, log_axis, powers, theory
from ..frame.statistics import median

_COLORS = figures.shades(3)
_WHOLE: dict[str, Any] = {"color": "0.55", "lw": 4.0, "zorder": 1}
_LEVEL: dict[str, Any] = {"color": "0.45", "lw": 1.2, "zorder": 1}
_SHOWN = 8.0  # decades of norms that panels show at most
_APART = 0.065  # of the height of a panel, between names of lines
_ROOM = 0.3  # of the width of a panel, for names of lines

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


def _layer(ax: Axes, x: npt.ArrayLike, values: Floats, index: int, name: str, **more: Any) -> None:
    figures.seeds_and_median(
        ax, x, values, label=name, color=_COLORS[index], index=index, **more
    )  # fmt: skip


def _by_seed(values: xr.DataArray, along: str) -> Floats:
    return values.transpose("network_seed", along).values


def name_lines(ax: Axes) -> None:
    """Write the label of every line at its end, apart from each other; limits are set before."""
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    low, high = ax.get_ylim()
    ends = {}
    for line in lines:
        y = np.asarray(line.get_ydata(), dtype=float)
        known = np.flatnonzero(np.isfinite(y))
        if known.size:
            ends[line] = float(np.clip((y[known[-1]] - low) / (high - low), 0.03, 0.97))
    left, right = ax.get_xlim()
    ax.set_xticks([tick for tick in ax.get_xticks() if left <= tick <= right])
    ax.set_xlim(left, right + _ROOM * (right - left))
    for line, place in _spread(ends).items():
        ax.text(
            1.0 - 0.96 * _ROOM / (1.0 + _ROOM), place, line.get_label(), transform=ax.transAxes,
            va="center", fontsize=10.5, color=line.get_color(),
        )  # fmt: skip


def _spread(ends: Mapping[Any, float]) -> dict[Any, float]:
    """Places from 0 to 1, moved apart, in their order."""
    order = sorted(ends, key=lambda line: ends[line])
    places = [ends[line] for line in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + _APART)
    over = max(places[-1] - 0.97, 0.0) if places else 0.0
    if over:
        places[-1] -= over
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], places[i + 1] - _APART)
    return dict(zip(order, places, strict=True))


def plot_norm_against_lag(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} of layers, relative to lag 0, against lag k.

    Dashed, for the lowest layer: C(k+d, d) rho^k, d layers below the top, ln rho the largest
    exponent of all layers, in the median: exact for linear layers with W_hh = rho I.
    """
    ax = figures.axes_or_new(ax)
    here, lags = of_depth(data, depth), data.lag.values
    for index, layer in enumerate(shown_layers(depth)):
        norms = powers(_by_seed(here.log_norm.sel(layer=layer), "lag"))
        _layer(ax, lags, norms, index, f"layer {layer}", lines=True)
    guide = median(powers(_by_seed(here.theory_log_norm.sel(layer=1), "lag")), 0)
    ax.plot(lags, figures.finite(guide), label="linear, layer 1", **theory())
    ax.set_ylim(*norm_range(data))
    ax.set_xlim(0, lags[-1])
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"$\|\partial l_t/\partial h_{t-k}\|\;/\;\|\partial l_t/\partial h_t\|$")
    log_axis(ax)
    name_lines(ax)
    return ax


def plot_spectrum(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """Lyapunov exponents of the stack (grey), and those of its layers where they fall among all.

    Medians over networks. The spectrum of a stack is that of all its layers, each driven by the one
    below: of one network the markers lie on the line, of several but for medians of sorted ranks.
    """
    ax = figures.axes_or_new(ax)
    here = of_depth(data, depth)
    whole = figures.finite(median(_by_seed(here.exponent, "rank"), 0))
    ax.plot(np.arange(1, whole.size + 1), whole, label="the stack", **_WHOLE)
    layers = median(here.layer_exponent.transpose("network_seed", "layer", "unit").values, 0)
    ranks = np.argsort(np.argsort(-layers.ravel(), kind="stable")).reshape(layers.shape) + 1
    for index, layer in enumerate(shown_layers(depth)):
        ax.plot(
            ranks[layer - 1], figures.finite(layers[layer - 1]), ls="", ms=4.5, alpha=0.9,
            color=_COLORS[index], marker=figures.MARKERS[index], label=f"layer {layer}",
        )  # fmt: skip
    ax.axhline(0.0, **_LEVEL)
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("rank $i$")
    ax.set_ylabel(r"$\lambda_i$ (nats/step)")
    ax.legend(fontsize=10.5, loc="lower left")
    return ax


def plot_rates(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """The rate at which a gradient decays on its way into each layer: measured, and predicted.

    Dashed: the largest exponent of the layers from this one up to the top, which rules in the end;
    squares: the largest of the layer itself. Where slopes lie above the dashed line, the lags that
    are fitted are too few for it.
    """
    ax = figures.axes_or_new(ax)
    here, layers = of_depth(data, depth), np.arange(1, depth + 1)
    _layer(ax, layers, _by_seed(here.slope, "layer"), 0, "slope")
    own = _by_seed(here.layer_exponent.isel(unit=0), "layer")
    ax.plot(
        layers, figures.finite(median(own, 0)), ls="", marker="s", mfc="none", ms=9, label="own",
        color=_COLORS[1],
    )  # fmt: skip
    rates = figures.finite(median(_by_seed(here.rate, "layer"), 0))
    ax.plot(layers, rates, label="predicted", marker="_", ms=12, **theory())
    ax.set_xlim(0.7, depth + 0.3)
    ax.set_xticks(layers)
    ax.set_xlabel("layer, 1 the lowest")
    ax.set_ylabel("rate (nats/step)")
    return ax


def plot_window_error(data: xr.Dataset, *, depth: int, ax: Axes | None = None) -> Axes:
    """Relative error of the recurrent weights' gradient against window K: of layers and of all.

    Where a line stays below the thin grey one, the tolerance, its window suffices. Thick grey: of
    all layers as one vector, in the median.
    """
    ax = figures.axes_or_new(ax)
    here, windows = of_depth(data, depth), data.window.values
    for index, layer in enumerate(shown_layers(depth)):
        errors = powers(_by_seed(here.window_log_error.sel(layer=layer), "window"))
        _layer(ax, windows, errors, index, f"layer {layer}", lines=True)
    joint = median(powers(_by_seed(here.joint_window_log_error, "window")), 0)
    ax.plot(windows, figures.finite(joint), label="all", **_WHOLE)
    tolerance = np.log10(figures.configuration(data)["tolerance"])
    ax.axhline(tolerance, **_LEVEL)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, 1.1 * windows[-1])
    ax.set_ylim(tolerance - 3.0, 0.5)
    ax.set_xlabel("window $K$ (steps)")
    ax.set_ylabel(r"error $\|g_K - g\|\,/\,\|g\|$")
    log_axis(ax)
    ax.legend(fontsize=10.5, loc="lower left")
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
    largest = _by_seed(ordered.largest_window, "n_layers")
    whole = figures.finite(median(largest, 0))
    ax.plot(depths, whole, label="every layer", marker="o", ms=11, **_WHOLE)
    for index, (name, values) in enumerate((("lowest layer", lowest), ("top layer", top))):
        _layer(ax, depths, values, index, name)
    ax.set_ylim(bottom=0.0)
    figures.count_axis(ax.yaxis)
    ax.set_xticks(depths)
    ax.set_xlabel("layers $L$")
    ax.set_ylabel("sufficient window (steps)")
    ax.legend(fontsize=11)
    return ax
