"""Plots of cells beside each other: a dataset in, Axes out; how to read is in docstrings."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..frame import figures
from ..frame.figures import decades, log_axis, mark, powers, pt, theory
from ..frame.statistics import median

NAMES = {"vanilla": "RNN", "gru": "GRU", "lstm": "LSTM"}
PATH = "LSTM, path through c"
_SHOWN = 8.0  # decades of norms that panels show at most
_BELOW = 3.0  # decades of errors below the tolerance


def start_in_words(start: str) -> str:
    """Of "bias 1" and "chrono 200", and of "own"."""
    if start == "own":
        return "as they are"
    kind, value = start.split()
    return f"forget bias {value}" if kind == "bias" else f"chrono to {value} steps"


def key(data: xr.Dataset, *, path: bool = False, dashed: str = "", dotted: str = "") -> list[Any]:
    """What a legend names: the cells that there are, the path through c, and other lines."""
    lines = [Line2D([], [], label=NAMES[cell], **figures.marked(cell)) for cell in data.cell.values]
    lines += [Line2D([], [], label=PATH, **_path())] if path and has_path(data) else []
    lines += [Line2D([], [], label=dashed, **theory())] if dashed else []
    return lines + ([Line2D([], [], label=dotted, **mark())] if dotted else [])


def has_path(data: xr.Dataset) -> bool:
    """Whether there is a cell with a memory c, which gradients may never leave."""
    return "lstm" in data.cell.values


def _path() -> dict[str, Any]:
    return {"color": "0.4", "lw": pt(1.4), "marker": "v", "mfc": "white", "zorder": 3}


def _guide(level: float, ax: Axes) -> None:
    ax.axhline(level, **figures.guide())


def norm_range(data: xr.Dataset) -> tuple[float, float]:
    """The powers of ten between which all panels of norms lie."""
    values = decades(data.log_norm)
    low, high = np.nanmin(values, initial=-1.0), np.nanmax(values, initial=0.0)
    return max(-_SHOWN, float(low)), float(high) + 0.3


def exponent_range(data: xr.Dataset) -> tuple[float, float]:
    """What all panels of exponents show: those of gated cells, of the others the largest; and 0."""
    seen = [0.0]
    for cell in data.cell.values:
        here = data.sel(cell=cell)
        shown = [here.exponent, here.predicted_exponent]
        for each in shown if cell != "vanilla" else [here.exponent.isel(unit=slice(1))]:
            values = each.transpose("network_seed", "start", "unit").values
            seen += figures.finite(median(values, 0)).ravel().tolist()
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    room = 0.06 * (high - low or 1.0)
    return low - room, high + room


def _draw(ax: Axes, x: npt.ArrayLike, data: xr.DataArray, along: str, *, log: bool = False) -> None:
    """Every cell that is known: networks thin, their median thick."""
    for cell in data.cell.values:
        values = data.sel(cell=cell).transpose("network_seed", along).values
        if np.isnan(values).all():
            continue
        figures.seeds_and_median(
            ax, x, powers(values) if log else values, label=NAMES[cell],
            color=figures.CELLS[cell], index=figures.category(cell)["index"], lines=True,
        )  # fmt: skip


def plot_norm_against_lag(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/ds_{t-k} relative to lag 0 against lag k, s the whole state of a cell.

    Grey: the path through c alone of LSTMs, their median. Dashed: what a gate keeps that hears
    nothing. A cell above the dashed line has other paths that help, one below it gates that close.
    """
    ax = figures.axes_or_new(ax)
    here, lag = data.sel(start=start), data.lag.values
    _draw(ax, lag, here.log_norm, "lag", log=True)
    if has_path(data):
        path = here.log_norm_path_c.sel(cell="lstm").transpose("network_seed", "lag").values
        middle = figures.finite(median(powers(path), 0))
        ax.plot(lag, middle, label=PATH, markevery=max(1, lag.size // 8), **_path())
    ax.plot(lag, decades(here.theory_log_norm), label="a gate that hears nothing", **theory())
    ax.set_ylim(*norm_range(data))
    ax.set_xlim(0, lag[-1])
    ax.set_xlabel("lag $k$ (steps back from the loss)")
    ax.set_ylabel("norm of the gradient, lag 0 = 1")
    log_axis(ax)
    return ax


def plot_window_error(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Relative error of the gradient of all recurrent weights against window K.

    Where a line stays below the dotted one, the tolerance, its window suffices.
    """
    ax = figures.axes_or_new(ax)
    _draw(ax, data.window.values, data.sel(start=start).window_log_error, "window", log=True)
    tolerance = np.log10(figures.configuration(data)["tolerance"])
    ax.axhline(tolerance, **mark())
    ax.set_ylim(tolerance - _BELOW, 0.5)
    _window_axis(ax, data)
    ax.set_ylabel(r"relative error $\|g_K - g\|\,/\,\|g\|$")
    log_axis(ax)
    return ax


def plot_cumulative_share(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Share of dL/dW_hh that comes from lags below K: <g_K, g>/||g||^2.

    Grey: 1, where all of it is there; dotted: the share that the reach keeps.
    """
    ax = figures.axes_or_new(ax)
    _draw(ax, data.window.values, data.sel(start=start).cumulative_share, "window")
    ax.axhline(figures.configuration(data)["share"], **mark())
    _guide(1.0, ax)
    _window_axis(ax, data)
    ax.set_ylabel("share of the gradient kept")
    return ax


def _window_axis(ax: Axes, data: xr.Dataset) -> None:
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlim(0.9, 1.1 * data.window.values[-1])
    ax.set_xlabel("window $K$ (steps)")
    even_markers(ax)


def even_markers(ax: Axes) -> None:
    """Markers of lines as far apart as they are seen, which a log axis would crowd at its end."""
    lines = [line for line in ax.lines if line.get_markevery() is not None]
    lines = [line for line in lines if np.isfinite(line.get_ydata()).any()]
    for i, line in enumerate(lines):
        line.set_markevery((0.04 * (i % 4), 0.16))


def plot_exponents(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """The H largest Lyapunov exponents of the state, descending; dashed: what gates alone predict.

    The prediction is the sorted mean of ln f (LSTM) or ln z (GRU) of the units, in the median, in
    the colour of the cell. The axis holds the medians of cells with gates, at all starts, and the
    largest of vanilla networks; what lies below it, or is -inf, is not shown.
    """
    ax = figures.axes_or_new(ax)
    here, index = data.sel(start=start), np.arange(1, data.sizes["unit"] + 1)
    _draw(ax, index, here.exponent.where(np.isfinite(here.exponent)), "unit")
    for cell in data.cell.values[data.cell.values != "vanilla"]:
        predicted = here.predicted_exponent.sel(cell=cell).transpose("network_seed", "unit").values
        shown = figures.finite(median(predicted, 0))
        ax.plot(index, shown, **theory(color=figures.CELLS[cell]))
    _guide(0.0, ax)
    ax.set_ylim(*exponent_range(data))
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("index $i$, the largest first")
    ax.set_ylabel(r"Lyapunov exponent $\lambda_i$ (nats/step)")
    return ax


def plot_time_scales(data: xr.Dataset, *, start: str, ax: Axes | None = None) -> Axes:
    """Time scales of units, descending: steps in which the gate alone shrinks its state by e.

    Dashed: of gates that hear nothing. Units above the dotted line, the length of a sequence,
    forget less than 1/e of what they hold over a whole sequence.
    """
    ax = figures.axes_or_new(ax)
    here, index = data.sel(start=start), np.arange(1, data.sizes["unit"] + 1)
    _draw(ax, index, np.log(here.time_scale), "unit", log=True)
    ax.plot(index, powers(np.log(here.theory_time_scale.values)), **theory())
    ax.axhline(np.log10(data.lag.size), **mark())
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("unit, the slowest first")
    ax.set_ylabel("time scale (steps)")
    log_axis(ax)
    return ax
