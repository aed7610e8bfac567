"""Plots of architecture_experiment: a dataset in, Axes out. What each shows is in its docstring."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes

from ..frame import figures
from ..frame.figures import decades, pt

NAMES = {"vanilla": "vanilla", "lstm": "LSTM", "gru": "GRU"}
_BASELINE: dict[str, Any] = {"color": "0.45", "zorder": 1}
_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
NORM_LABEL = r"norm of $\partial\ell_t/\partial h_s$ (powers of ten, mean of logs)"


def of_cells(data: xr.Dataset) -> dict[str, xr.Dataset]:
    """The dataset of each cell, in their order."""
    if "cell" not in data.dims:
        return {data.attrs.get("best_cell", "vanilla"): data}
    return {str(cell): data.sel(cell=cell, drop=True) for cell in data.cell.values}


def of_the_best(data: xr.Dataset) -> xr.Dataset:
    """The dataset of the cell that validates best."""
    cells = of_cells(data)
    return cells[data.attrs.get("best_cell", next(iter(cells)))]


def map_decades(data: xr.Dataset, moment: str) -> npt.NDArray[np.float64]:
    """log10 of ||dl_t/dh_s||, (loss_step, place): mean over networks and sequences; NaN for 0."""
    logs = data.log_norms.sel(moment=moment).transpose("network_seed", "loss_step", "place")
    return decades(logs.values.mean(axis=0))


def map_limits(
    data: xr.Dataset, moments: Sequence[str] = ("before", "after"), floor: float = 8.0
) -> tuple[float, float]:
    """Colours of maps: from the largest norm at these moments at most so many decades down."""
    shown = np.stack([map_decades(data, moment) for moment in moments])
    known = shown[np.isfinite(shown)]
    if known.size == 0:
        return -1.0, 0.0
    return max(float(known.min()), float(known.max()) - floor), float(known.max())


def plot_gradient_map(
    data: xr.Dataset, *, moment: str, limits: tuple[float, float], ax: Axes | None = None
) -> Axes:
    """Norm of dl_t/dh_s over the step s it has come back to and the step t that carries the loss.

    Read a row from right to left: how the gradient of one loss fares as it goes back. The vertical
    line is the boundary of an encoder-decoder; all that lies left of the slanted one is cut off by
    a truncation window K.
    """
    ax = figures.axes_or_new(ax)
    steps, places = data.loss_step.values, data.place.values
    ax.pcolormesh(
        np.append(places, places[-1] + 1) - 0.5,
        np.append(steps, steps[-1] + 1) - 0.5,
        np.ma.masked_invalid(map_decades(data, moment)),
        vmin=limits[0],
        vmax=limits[1],
        rasterized=True,
    )
    ax.grid(visible=False)
    ax.set_xlabel("step $s$ of the state")
    if steps.size == 1:
        ax.set_yticks(steps)
    _mark_boundary(ax, places)
    _mark_window(ax, data)
    ax.set_ylabel("step $t$ of the loss")
    return ax


def plot_row(data: xr.Dataset, *, moment: str, ax: Axes | None = None) -> Axes:
    """The last row of the map as a curve for each network, and their medians, against the step.

    Of several cells a line each. A straight slope is a constant factor for each step back; what
    lies left of the dotted line is cut off by a truncation window K.
    """
    ax = figures.axes_or_new(ax)
    for one, style in _each(data):
        logs = one.log_norms.sel(moment=moment).isel(loss_step=-1)
        values = decades(logs.transpose("network_seed", "place").values)
        figures.seeds_and_median(ax, data.place.values, values, lines=True, **style)
    K = int(figures.configuration(data)["window"])
    ax.axvline(float(data.loss_step[-1]) - K + 0.5, **figures.mark())
    ax.set_xlim(data.place.values[0] - 0.5, data.place.values[-1] + 0.5)
    figures.log_axis(ax)
    ax.set_xlabel("step $s$ of the state")
    ax.set_ylabel(r"norm of $\partial\ell_T/\partial h_s$")
    return ax


def _each(data: xr.Dataset) -> list[tuple[xr.Dataset, dict[str, Any]]]:
    """The data of each cell, and how its line is drawn: of one alone as what was measured."""
    cells = of_cells(data)
    if len(cells) == 1:
        return [(one, {"label": "median", "color": figures.MEASURED}) for one in cells.values()]
    return [(one, figures.category(cell) | {"label": NAMES[cell]}) for cell, one in cells.items()]


def plot_scores(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Validation score against updates, every network and the median; what the test part says.

    Diamonds at the end are the test scores of the networks of the cell that validates best, the
    level lines those of the baselines: compare these two. Lines are named at their ends.
    """
    ax = figures.axes_or_new(ax)
    test, several = of_the_best(data).test_score.values, len(of_cells(data)) > 1
    for one, style in _each(data):
        figures.seeds_and_median(
            ax,
            data.updates.values,
            figures.finite(one.score.transpose("network_seed", "updates").values),
            lines=True,
            **(style if several else style | {"label": "validation"}),
        )
    last = np.full(test.size, data.updates.values[-1])
    ax.plot(last, test, ls="", marker="D", ms=pt(6), mew=pt(1.2), mfc="none", mec="black", zorder=6)
    for name, value in zip(data.baseline.values, data.baseline_score.values, strict=True):
        ax.axhline(float(value), label=fill(str(name), 16), **_BASELINE, lw=pt(1.1))
    figures.name_lines(ax)
    found = np.concatenate([data.score.values.ravel(), test, data.baseline_score.values])
    high = 1.0 if is_fraction(data) else float(found[np.isfinite(found)].max())
    ax.set_ylim(-0.04 * high, 1.08 * high)
    ax.set_xlabel("updates")
    ax.set_ylabel(f"{data.score.attrs['units']}")
    return ax


def plot_picture(data: xr.Dataset, *, moment: str, word: str, ax: Axes | None = None) -> Axes:
    """Mean of |dl/dpixel|, times the pixel's spread, for the loss of one word of the caption.

    Relative to the largest; light pixels are those whose usual changes matter most for the word.
    """
    ax = figures.axes_or_new(ax)
    gradients = data.pixel_gradients.sel(moment=moment, word=word).mean("network_seed")
    pixels = (gradients * data.pixel_spread).values
    largest = float(pixels.max()) or 1.0
    ax.imshow(pixels.reshape(8, 8) / largest, vmin=0.0, vmax=1.0)
    ax.grid(visible=False)
    ax.set_xticks([])
    ax.yaxis.set_visible(False)
    ax.set_title(word)
    ax.set_xlabel(f"largest: {largest:.1g} nats")
    return ax


def is_fraction(data: xr.Dataset) -> bool:
    """Whether more is better, up to 1; otherwise it is a cost."""
    return str(data.score.attrs["units"]).startswith("fraction")


def kept(data: xr.Dataset, moment: str) -> tuple[int, float]:
    """A number of steps back, K or as far as there are, and log10 of what is left there.

    Relative to the step of the loss; mean over networks, sequences and all losses that reach as far
    back.
    """
    found, steps = map_decades(data, moment), data.loss_step.values
    first = int(data.place.values[0])
    K = min(int(figures.configuration(data)["window"]), int(steps[-1]) - first)
    rows = np.flatnonzero(steps - K >= first)
    own, back = (found[rows, steps[rows] - lag - first] for lag in (0, K))
    ratio = back - own
    return K, float(ratio[np.isfinite(ratio)].mean()) if np.isfinite(ratio).any() else -np.inf


def _mark_boundary(ax: Axes, places: npt.NDArray[np.int64]) -> None:
    """Between place 0, where the encoder or the picture hands over a state, and the decoder."""
    if places[0] > 0:
        return
    ax.axvline(0.5, color="white", lw=pt(3.5))
    ax.axvline(0.5, color="black", lw=pt(1.6))
    ax.set_xlabel("step $s$ of the state (0: handed to the decoder)")
    names = [("encoder", -6, "right", 0.97), ("decoder", 6, "left", 0.03)]
    for text, x, side, y in names[int(places[0] == 0) :]:  # a picture is one step
        ax.annotate(
            text,
            (0.5, y),
            xycoords=("data", "axes fraction"),
            xytext=(pt(x), 0),
            textcoords="offset points",
            ha=side,
            va="top" if y > 0.5 else "bottom",
            fontsize="small",
            bbox=_BOX,
        )


def _mark_window(ax: Axes, data: xr.Dataset) -> None:
    """What a window keeps are the states s > t - K."""
    K, places = int(figures.configuration(data)["window"]), data.place.values
    steps = data.loss_step.values
    if steps[-1] - K < places[0]:
        return  # nothing is cut off
    x_limits, y_limits = (places[0] - 0.5, places[-1] + 0.5), ax.get_ylim()
    if steps.size == 1:
        y = np.array(y_limits)
        x = np.full(2, steps[0] - K + 0.5)
    else:
        y = np.array([max(steps[0], places[0] + K) - 0.5, steps[-1] + 0.5])
        x = y - K
    ax.plot(x, y, color="white", lw=pt(5.0), solid_capstyle="butt")
    ax.plot(x, y, **figures.mark(color="black", lw=pt(2.4)))
    ax.annotate(
        f"K = {K}",
        (float(x[1]), float(y[1])),
        xytext=(pt(8), -pt(6)),
        textcoords="offset points",
        ha="left",
        va="top",
        fontsize="small",
        bbox=_BOX,
    )
    ax.set_xlim(*x_limits)
    ax.set_ylim(*y_limits)
