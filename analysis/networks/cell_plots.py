"""Plots of cells beside each other: a dataset in, Axes out; how to read is in docstrings."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..frame import figures
from ..frame.figures import decades, log_axis, powers, theory
from ..frame.statistics import median

NAMES = {"vanilla": "RNN", "gru": "GRU", "lstm": "LSTM"}
_COLORS = dict(zip(NAMES, figures.shades(3), strict=True))
_PATH: dict[str, Any] = {"color": "0.35", "ls": ":", "lw": 2.2, "zorder": 4}
_GUIDE: dict[str, Any] = {"color": "0.45", "lw": 1.2, "zorder": 1}
_BOX: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
_SHOWN = 8.0  # decades of norms, and of errors, that panels show at most


def start_in_words(start: str) -> str:
    """Of "bias 1" and "chrono 200", and of "own"."""
    if start == "own":
        return "as they are"
    kind, value = start.split()
    return f"forget bias {value}" if kind == "bias" else f"chrono to {value} steps"


def key(data: xr.Dataset, *, dashed: str = "", dotted: str = "") -> list[Any]:
    """Legend of these plots: the cells that are there, and what other lines are."""
    lines = [
        Line2D([], [], color=_COLORS[cell], marker=_marker(cell), label=NAMES[cell])
        for cell in data.cell.values
    ]
    lines += [Line2D([], [], label=dotted, **_PATH)] if dotted else []
    return lines + ([Line2D([], [], label=dashed, **theory())] if dashed else [])


def norm_range(data: xr.Dataset) -> tuple[float, float]:
    """The powers of ten between which all panels of norms lie."""
    values = decades(data.log_norm)
    low, high = np.nanmin(values, initial=-1.0), np.nanmax(values, initial=0.0)
    return max(-_SHOWN, float(low)), float(high) + 0.3


def _marker(cell: str) -> str:
    return figures.MARKERS[list(NAMES).index(cell)]


def _draw(ax: Axes, x: npt.ArrayLike, data: xr.DataArray, along: str, *, log: bool = False) -> None:
    """Every cell that is known: networks thin, their median thick."""
    for cell in data.cell.values:
        values = data.sel(cell=cell).transpose("network_seed", along).values
        if np.isnan(values).all():
            continue
        figures.seeds_and_median(
            ax, x, powers(values) if log else values, label=NAMES[cell], color=_COLORS[cell],
            index=list(NAMES).index(cell), lines=True,
        )  # fmt: skip


def plot_norm_against_lag(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/ds_{t-k} relative to lag 0 against lag k, s the whole state of a cell.

    Dotted: the path through c alone of LSTMs, their median. Dashed: what a gate keeps that hears
    nothing. A cell above the dashed line has other paths that help, one below it gates that close.
    """
    ax = figures.axes_or_new(ax)
    here = data.sel(start=start)
    _draw(ax, data.lag.values, here.log_norm, "lag", log=True)
    if "lstm" in data.cell.values:
        path = here.log_norm_path_c.sel(cell="lstm").transpose("network_seed", "lag").values
        middle = figures.finite(median(powers(path), 0))
        ax.plot(data.lag.values, middle, label="LSTM, path through c", **_PATH)
    guide = decades(here.theory_log_norm)
    ax.plot(data.lag.values, guide, label="a gate that hears nothing", **theory())
    ax.set_ylim(*norm_range(data))
    ax.set_xlim(0, data.lag.values[-1])
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(r"$\|\partial l_t/\partial s_{t-k}\|\;/\;\|\partial l_t/\partial s_t\|$")
    log_axis(ax)
    return ax


def plot_window_error(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Relative error of the gradient of all recurrent weights against window K.

    Where a line stays below the grey one, the tolerance, its window suffices.
    """
    ax = figures.axes_or_new(ax)
    _draw(ax, data.window.values, data.sel(start=start).window_log_error, "window", log=True)
    tolerance = np.log10(figures.configuration(data)["tolerance"])
    ax.axhline(tolerance, **_GUIDE)
    ax.set_ylim(tolerance - 3.0, 0.5)
    _window_axis(ax, data)
    ax.set_ylabel(r"error $\|g_K - g\|\,/\,\|g\|$")
    log_axis(ax)
    return ax


def plot_cumulative_share(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Share of dL/dW_hh that comes from lags below K: <g_K, g>/||g||^2.

    Grey: 1, where all of it is there, and the share that the reach keeps.
    """
    ax = figures.axes_or_new(ax)
    _draw(ax, data.window.values, data.sel(start=start).cumulative_share, "window")
    for level in (figures.configuration(data)["share"], 1.0):
        ax.axhline(level, **_GUIDE)
    _window_axis(ax, data)
    ax.set_ylabel(r"share of lags below $K$")
    return ax


def _window_axis(ax: Axes, data: xr.Dataset) -> None:
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, 1.1 * data.window.values[-1])
    ax.set_xlabel("window $K$ (steps)")


def plot_exponents(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """The H largest Lyapunov exponents of the state, descending; dashed: what gates alone predict.

    The prediction is the sorted mean of ln f (LSTM) or ln z (GRU) of the units, in the median. The
    axis holds the medians of cells with gates; what lies below it, or is -inf, is not shown, and of
    vanilla networks lambda_1 is written down.
    """
    ax = figures.axes_or_new(ax)
    here, index = data.sel(start=start), np.arange(1, data.sizes["unit"] + 1)
    _draw(ax, index, here.exponent.where(np.isfinite(here.exponent)), "unit")
    seen = []
    for cell in data.cell.values:
        measured, predicted = (
            figures.finite(median(each.sel(cell=cell).transpose("network_seed", "unit").values, 0))
            for each in (here.exponent, here.predicted_exponent)
        )
        if cell == "vanilla":
            _write_first(ax, measured[0])
            continue
        ax.plot(index, predicted, **theory() | {"color": _COLORS[cell], "lw": 2.0})
        seen += [measured, predicted]
    ax.axhline(0.0, **_GUIDE)
    if seen and np.isfinite(seen).any():
        low, high = float(np.nanmin(seen, initial=0.0)), float(np.nanmax(seen, initial=0.0))
        ax.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("index $i$")
    ax.set_ylabel(r"$\lambda_i$ (nats/step)")
    return ax


def _write_first(ax: Axes, exponent: float) -> None:
    """lambda_1 of vanilla networks, which may lie below the axis."""
    text = f"RNN: $\\lambda_1$ = {exponent:+z.2f}" if np.isfinite(exponent) else "RNN: not known"
    ax.text(0.04, 0.05, text, transform=ax.transAxes, fontsize=11.5, zorder=6, bbox=_BOX)


def plot_time_scales(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Time scales of units, descending: steps in which the gate alone shrinks its state by e.

    Dashed: of gates that hear nothing. Units above the grey line, the length of a sequence, forget
    less than 1/e of what they hold over a whole sequence.
    """
    ax = figures.axes_or_new(ax)
    here, index = data.sel(start=start), np.arange(1, data.sizes["unit"] + 1)
    _draw(ax, index, np.log(here.time_scale), "unit", log=True)
    ax.plot(index, powers(np.log(here.theory_time_scale.values)), **theory())
    ax.axhline(np.log10(data.lag.size), **_GUIDE)
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("unit, sorted")
    ax.set_ylabel("time scale (steps)")
    log_axis(ax)
    return ax
