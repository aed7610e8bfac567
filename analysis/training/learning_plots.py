"""Plots of learning_sweep: columns in, Axes out. What each shows is in its docstring."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..frame import figures
from ..frame.statistics import middles, wilson

Columns = Mapping[str, xr.Dataset]  # ways of training, or kinds of networks, by name

_COLORS = ("#D55E00", "#0072B2", "#000000")
_CHANCE = 0.75  # of temporal order: four classes
_WIDTH = 0.04  # of the axis, between columns


def updates_until_solved(data: xr.Dataset) -> xr.DataArray:
    """`solved_at`, infinite where the budget was too small."""
    return data.solved_at.fillna(np.inf)


def _colors(columns: Columns) -> list[Any]:
    n = len(columns)
    return list(_COLORS[:n]) if n <= len(_COLORS) else figures.shades(n)


def _places(columns: Columns) -> list[np.ndarray[Any, Any]]:
    """Where the points of each column stand: lengths, a little apart."""
    lengths = next(iter(columns.values())).length.values.astype(float)
    apart = _WIDTH * (np.ptp(lengths) or 1.0) * min(1.0, 2 / max(len(columns) - 1, 1))
    return [lengths + (i - (len(columns) - 1) / 2) * apart for i in range(len(columns))]


def _set_lengths(ax: Axes, places: list[np.ndarray[Any, Any]]) -> None:
    low, high = float(np.min(places)), float(np.max(places))
    margin = 0.04 * ((high - low) or 1.0)
    ax.set_xlim(low - margin, high + margin)
    ax.set_xlabel("sequence length $T$ (steps)")


def plot_solved(columns: Columns, *, ax: Axes | None = None) -> Axes:
    """Share of networks that have solved the task within the budget, against length.

    As figure 5 of Pascanu, Mikolov and Bengio (2013), at a smaller budget. Bars are intervals of
    95% for the share among all seeds (Wilson 1927); columns stand a little apart.
    """
    ax = figures.axes_or_new(ax)
    columns = {name: data.sortby("length") for name, data in columns.items()}
    places, colors = _places(columns), _colors(columns)
    for i, (name, data) in enumerate(columns.items()):
        solved = np.isfinite(data.solved_at.transpose("network_seed", "length").values)
        share = solved.mean(axis=0)
        low, high = wilson(solved.sum(axis=0), len(solved))
        ax.errorbar(
            places[i], share, yerr=[share - low, high - share], fmt="none", ecolor=colors[i],
            elinewidth=1.2, capsize=3, alpha=0.7,
        )  # fmt: skip
        marker = figures.MARKERS[i % len(figures.MARKERS)]
        ax.plot(places[i], share, color=colors[i], marker=marker, label=name, ms=9)
    _set_lengths(ax, places)
    ax.set_ylabel("share of networks that solve the task")
    ax.set_ylim(-0.04, 1.04)
    ax.legend(loc="best")
    return ax


def plot_within(columns: Columns, *, ax: Axes | None = None) -> Axes:
    """The number of updates after which each network has solved the task, against length.

    A network that has not within the budget has no dot and counts as more than the budget. Where
    that leaves the median between a number and more than the budget, an arrow up from the number
    says "at least"; where it is more than the budget there is nothing.
    """
    ax = figures.axes_or_new(ax)
    columns = {name: data.sortby("length") for name, data in columns.items()}
    places, colors = _places(columns), _colors(columns)
    for i, (name, data) in enumerate(columns.items()):
        at = updates_until_solved(data).transpose("network_seed", "length").values
        figures.seeds_and_median(ax, places[i], at, label=name, color=colors[i], index=i)
        for place, column in zip(places[i], at.T, strict=True):
            low, high = middles(column)
            if np.isfinite(low) and not np.isfinite(high):
                ax.errorbar(
                    place, low, yerr=0.15 * low, lolims=True, marker="_", ms=12, color=colors[i]
                )
    updates = next(iter(columns.values())).updates
    _set_lengths(ax, places)
    ax.set_yscale("log")
    ax.set_ylim(0.8 * float(updates[1]), 1.15 * float(updates[-1]))
    ax.axhline(float(updates[-1]), color="0.5", lw=0.8)
    ax.annotate(
        "budget", (0.01, float(updates[-1])), xycoords=("axes fraction", "data"), va="bottom"
    )
    ax.set_ylabel("updates until solved")
    return ax


def plot_error(columns: Columns, *, length: int, ax: Axes | None = None) -> Axes:
    """Share of wrong answers on the test data against updates, at one length."""
    ax = figures.axes_or_new(ax)
    first = figures.configuration(next(iter(columns.values())))
    least = 0.5 / int(first["test_size"])  # no wrong answer at all
    for i, (name, color) in enumerate(zip(columns, _colors(columns), strict=True)):
        here = columns[name].sel(length=length)
        errors = np.maximum(here.error.transpose("network_seed", "updates").values, least)
        figures.seeds_and_median(
            ax, here.updates, errors, label=name, color=color, index=i, lines=True
        )
    ax.axhline(_CHANCE, color="k", ls="--", lw=1.0)
    ax.axhline(first["tolerance"], color="k", ls=":", lw=1.0)
    ax.set_yscale("log")
    ax.set_xlabel("updates")
    ax.set_ylabel("share of wrong answers")
    return ax
