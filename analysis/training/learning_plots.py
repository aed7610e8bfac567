"""Plots of learning_sweep: columns in, Axes out. What each shows is in its docstring."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..frame import cells, figures
from ..frame.figures import pt
from ..frame.statistics import middles, wilson

Columns = Mapping[str, xr.Dataset]  # ways of training, or kinds of networks, by name

_CHANCE = 0.75  # of temporal order: four classes
_WIDTH = 0.04  # of the axis, between columns
_CELLS = {name: cell for cell, name in cells.NAMES.items()}


def updates_until_solved(data: xr.Dataset) -> xr.DataArray:
    """`solved_at`, infinite where the budget was too small."""
    return data.solved_at.fillna(np.inf)


def _each(columns: Columns) -> Iterator[tuple[str, xr.Dataset, Any, dict[str, Any]]]:
    """(name, data by length, its places, its colour and marker): lengths, a little apart."""
    styles = figures.categories([_CELLS.get(name, name) for name in columns])
    for i, (name, style) in enumerate(zip(columns, styles, strict=True)):
        data = columns[name].sortby("length")
        lengths = data.length.values.astype(float)
        apart = _WIDTH * (np.ptp(lengths) or 1.0) * min(1.0, 2 / max(len(columns) - 1, 1))
        yield name, data, lengths + (i - (len(columns) - 1) / 2) * apart, style


def _set_lengths(ax: Axes, columns: Columns) -> None:
    places = [at for _, _, at, _ in _each(columns)]
    low, high = float(np.min(places)), float(np.max(places))
    margin = 0.04 * ((high - low) or 1.0)
    ax.set_xlim(low - margin, high + margin)
    ax.set_xticks(np.unique(next(iter(columns.values())).length.values))
    ax.set_xlabel("sequence length $T$ (steps)")


def plot_solved(columns: Columns, *, ax: Axes | None = None) -> Axes:
    """Share of networks that have solved the task within the budget, against length.

    As figure 5 of Pascanu, Mikolov and Bengio (2013), at a smaller budget. Bars are intervals of
    95% for the share among all seeds (Wilson 1927); columns stand a little apart.
    """
    ax = figures.axes_or_new(ax)
    for name, data, places, style in _each(columns):
        solved = np.isfinite(data.solved_at.transpose("network_seed", "length").values)
        share = solved.mean(axis=0)
        low, high = wilson(solved.sum(axis=0), len(solved))
        ax.errorbar(
            places, share, yerr=[share - low, high - share], fmt="none", ecolor=style["color"],
            elinewidth=pt(1.2), capsize=pt(3), alpha=0.7,
        )  # fmt: skip
        marker = figures.marker(style["index"])
        ax.plot(places, share, color=style["color"], marker=marker, label=name, ms=pt(8))
    _set_lengths(ax, columns)
    ax.set_ylabel("share of networks that solve it")
    ax.set_ylim(-0.04, 1.04)
    return ax


def plot_within(columns: Columns, *, ax: Axes | None = None) -> Axes:
    """The number of updates after which each network has solved the task, against length.

    A network that has not within the budget (dotted) has no dot and counts as more than the budget.
    Where that leaves the median between a number and more than the budget, an arrow up from the
    number says "at least"; where it is more than the budget there is nothing.
    """
    ax = figures.axes_or_new(ax)
    for name, data, places, style in _each(columns):
        at = updates_until_solved(data).transpose("network_seed", "length").values
        figures.seeds_and_median(ax, places, at, label=name, **style)
        for place, column in zip(places, at.T, strict=True):
            low, high = middles(column)
            if np.isfinite(low) and not np.isfinite(high):
                ax.errorbar(
                    place, low, yerr=0.15 * low, lolims=True, marker="_", ms=pt(12),
                    color=style["color"],
                )  # fmt: skip
    updates = next(iter(columns.values())).updates
    _set_lengths(ax, columns)
    ax.set_yscale("log")
    ax.set_ylim(0.8 * float(updates[1]), 1.15 * float(updates[-1]))
    ax.axhline(float(updates[-1]), **figures.mark(label="budget"))
    ax.set_ylabel("updates until solved")
    return ax


def plot_error(columns: Columns, *, length: int, ax: Axes | None = None) -> Axes:
    """Share of wrong answers on the test data against updates, at one length.

    Thin lines are networks, thick ones their median. Dotted: chance, three quarters wrong, and the
    share below which a network has solved the task.
    """
    ax = figures.axes_or_new(ax)
    first = figures.configuration(next(iter(columns.values())))
    least = 0.5 / int(first["test_size"])  # no wrong answer at all
    for name, data, _, style in _each(columns):
        here = data.sel(length=length)
        errors = np.maximum(here.error.transpose("network_seed", "updates").values, least)
        figures.seeds_and_median(ax, here.updates, errors, label=name, lines=True, **style)
    for level, name in ((_CHANCE, "chance"), (first["tolerance"], "solved below")):
        ax.axhline(level, **figures.mark(label=name))
    ax.set_yscale("log")
    ax.set_xlabel("updates")
    ax.set_ylabel("share of wrong answers")
    return ax
