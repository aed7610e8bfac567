"""Plots of learning_sweep: a dataset in, Axes out. What each shows is in its docstring."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..frame import figures
from ..frame.statistics import middles

_COLORS = ("#D55E00", "#0072B2", "#000000")
_CHANCE = 0.75  # of temporal order: four classes


def updates_until_solved(data: xr.Dataset) -> xr.DataArray:
    """`solved_at`, infinite where the budget was too small."""
    return data.solved_at.fillna(np.inf)


def plot_solved(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Share of networks that have solved the task within the budget, against length.

    As figure 5 of Pascanu, Mikolov and Bengio (2013), at a smaller budget.
    """
    ax = figures.axes_or_new(ax)
    data = data.sortby("length")
    for i, name in enumerate(data.training.values):
        share = np.isfinite(data.solved_at.sel(training=name)).mean("network_seed")
        ax.plot(
            data.length, share, color=_COLORS[i], marker=figures.MARKERS[i], label=str(name), ms=9
        )
    ax.set_xlabel("sequence length $T$ (steps)")
    ax.set_ylabel("share of networks that solve the task")
    ax.set_ylim(-0.04, 1.04)
    ax.legend(loc="best")
    return ax


def plot_within(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """The number of updates after which each network has solved the task, against length.

    A network that has not within the budget has no dot and counts as more than the budget. Where
    that leaves the median between a number and more than the budget, an arrow up from the number
    says "at least"; where it is more than the budget there is nothing.
    """
    ax = figures.axes_or_new(ax)
    data = data.sortby("length")
    lengths = data.length.values.astype(float)
    width = 0.04 * (np.ptp(lengths) or 1.0)
    for i, name in enumerate(data.training.values):
        at = updates_until_solved(data).sel(training=name).transpose("network_seed", "length")
        x = lengths + (i - 1) * width
        figures.seeds_and_median(ax, x, at.values, label=str(name), color=_COLORS[i], index=i)
        for place, column in zip(x, at.values.T, strict=True):
            low, high = middles(column)
            if np.isfinite(low) and not np.isfinite(high):
                ax.errorbar(
                    place, low, yerr=0.15 * low, lolims=True, marker="_", ms=12, color=_COLORS[i]
                )
    ax.set_xlim(lengths[0] - 2 * width, lengths[-1] + 2 * width)
    ax.set_yscale("log")
    ax.set_ylim(0.8 * float(data.updates[1]), 1.15 * float(data.updates[-1]))
    ax.axhline(float(data.updates[-1]), color="0.5", lw=0.8)
    ax.annotate(
        "budget", (0.01, float(data.updates[-1])), xycoords=("axes fraction", "data"), va="bottom"
    )
    ax.set_xlabel("sequence length $T$ (steps)")
    ax.set_ylabel("updates until solved")
    return ax


def plot_error(data: xr.Dataset, *, length: int, ax: Axes | None = None) -> Axes:
    """Share of wrong answers on the test data against updates, at one length."""
    ax = figures.axes_or_new(ax)
    here = data.sel(length=length)
    least = 0.5 / int(figures.configuration(data)["test_size"])  # no wrong answer at all
    for i, name in enumerate(here.training.values):
        errors = here.error.sel(training=name).transpose("network_seed", "updates").values
        figures.seeds_and_median(
            ax,
            here.updates,
            np.maximum(errors, least),
            label=str(name),
            color=_COLORS[i],
            index=i,
            lines=True,
        )
    ax.axhline(_CHANCE, color="k", ls="--", lw=1.0)
    ax.axhline(figures.configuration(data)["tolerance"], color="k", ls=":", lw=1.0)
    ax.set_yscale("log")
    ax.set_xlabel("updates")
    ax.set_ylabel("share of wrong answers")
    return ax
