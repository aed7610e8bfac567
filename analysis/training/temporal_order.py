"""Temporal order: which way of training solves it, at which length (Pascanu et al. 2013)."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..commands.training import TEMPORAL_ORDER, TemporalOrder
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.settings import Cells
from ..frame.words import counted, middle, part, percent, share, were
from .learning_plots import Columns, plot_error, plot_solved, plot_within, updates_until_solved

HELP = TEMPORAL_ORDER.help
Settings = TemporalOrder


def compute(settings: Settings, progress: bool) -> Datasets:
    """All methods and seeds of one length are one ensemble, and so are those of one cell."""
    shared = {name: value for name, value in vars(settings).items() if name not in _OF_CELLS}
    kinds = {field.name: getattr(settings, field.name) for field in fields(Cells)}
    names = {"optimizer": "`--cell-optimizer`", "learning_rate": "`--cell-learning-rate`"}
    train = partial(rnnsim.learning_sweep, progress=progress)
    ours: dict[str, Any] = {"optimizer": settings.cell_optimizer, "methods": ("clipping",)}
    ours |= {"learning_rate": settings.cell_learning_rate} | kinds
    with checks.renamed(**names):
        compared = train(**shared | ours)
    return {"learning": train(**shared), "cells": compared}


_OF_CELLS = ("cell", "forget_bias", "n_layers", "cell_optimizer", "cell_learning_rate")


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family."""
    return {"solved-against-length": _solved_figure(datasets), "learning-curves": _curves(datasets)}


def _methods(datasets: Datasets) -> Columns:
    """What the paper compares, ways of training."""
    data = datasets["learning"]
    return {str(name): data.sel(training=name) for name in data.training.values}


def _kinds(datasets: Datasets) -> Columns:
    """What we set beside it, kinds of networks; nothing where a run of before has none."""
    if "cells" not in datasets:
        return {}
    return {
        _bracketed(kind.name or cells.NAMES["vanilla"]): kind.datasets["cells"].isel(training=0)
        for kind in cells.kinds_of({"cells": datasets["cells"]})
    }


def _bracketed(name: str) -> str:
    """ "LSTM (forget bias 1)", to stand before a number."""
    cell, _, more = name.partition(", ")
    return f"{cell} ({more})" if more else cell


def _ours(data: xr.Dataset) -> str:
    """How our own columns were made."""
    settings = figures.configuration(data)
    return (
        f"trained by {settings['optimizer']} at rate {settings['learning_rate']:g}, clipped at "
        f"norm {settings['clip_norm']:g}"
    )


def _compared(datasets: Datasets) -> list[Columns]:
    """Each comparison that there is."""
    return [columns for columns in (_methods(datasets), _kinds(datasets)) if columns]


_TITLES = ("Ways of training", "Kinds of networks")


def _solved_figure(datasets: Datasets) -> Figure:
    compared = _compared(datasets)
    figure, axes = figures.new_figure(
        2, len(compared), figsize=(5.5 * len(compared), 8.0), sharey="row", squeeze=False
    )
    for columns, pair in zip(compared, axes.T, strict=True):
        plot_solved(columns, ax=pair[0])
        plot_within(columns, ax=pair[1])
        for ax in pair:
            figures.name_lines(ax)
    titles = [f"by {title.lower()}" for title in _TITLES[: len(compared)]]
    figures.entitle(axes, titles, ["Share solved", "Updates needed"])
    figures.letter(axes)
    data = datasets["learning"]
    figures.caption(
        figure,
        f"How many of {_networks(data)} answer all but "
        f"{percent(figures.configuration(data)['tolerance'])} of the test sequences within the "
        "budget (bars: 95% intervals of Wilson 1927), and after how many updates (dots; none where "
        "unsolved) with their medians, in which unsolved counts as more than the budget (arrow up: "
        "at least so many). All start from the same seeds and see the same batches. "
        f"{_sources(datasets)}",
    )
    return figure


def _networks(data: xr.Dataset) -> str:
    n = data.sizes["network_seed"]
    return f"{n} initial network{'s' * (n > 1)}"


def _sources(datasets: Datasets) -> str:
    """Whose the ways of training are."""
    theirs = "The ways of training are those of Pascanu et al. (2013)"
    if "cells" not in datasets:
        return f"{theirs}."
    return f"{theirs}; the kinds of networks, {_ours(datasets['cells'])}, are our own."


def _curves(datasets: Datasets) -> Figure:
    lengths = [int(each) for each in figures.few(datasets["learning"].length.values, _PANELS)]
    compared = _compared(datasets)
    figure, axes = figures.new_figure(
        len(compared), len(lengths), figsize=(4.2 * len(lengths), 3.9 * len(compared)),
        sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for columns, row in zip(compared, axes, strict=True):
        for ax, length in zip(row, lengths, strict=True):
            plot_error(columns, length=length, ax=ax)
            figures.name_lines(ax)
    names = [f"T = {length} steps" for length in lengths]
    figures.entitle(axes, names, _TITLES[: len(compared)])
    figures.label_outer(figure)
    figures.caption(
        figure,
        f"Wrong answers on the test data while learning: thin, of {_networks(datasets['learning'])}"
        "; thick, their median. Look for where the thick lines leave chance, three quarters wrong. "
        f"{_sources(datasets)}",
    )
    return figure


_PANELS = 3  # lengths that have a panel


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    methods = _methods(datasets)
    found = part(
        "Ways of training, as Pascanu et al. (2013) compare them",
        _in_words(methods, "", "method"),
        answer=_best_in_words(methods),
    )
    if "cells" not in datasets:
        return found
    kinds = _kinds(datasets)
    ours = (
        "Kinds of networks beside each other, our own and not of Pascanu et al. (2013): "
        f"{_ours(datasets['cells'])}, from the same seeds, with the same batches."
    )
    sentences = [ours, *_in_words(kinds, " of each kind", "kind")]
    return found + part("Kinds of networks", sentences, answer=_best_in_words(kinds))


def _best_in_words(columns: Columns) -> str:
    """What solves the longest sequences most often, where that differs."""
    last = {name: data.sortby("length").isel(length=-1) for name, data in columns.items()}
    counts = {n: int(np.isfinite(updates_until_solved(each)).sum()) for n, each in last.items()}
    first = next(iter(last.values()))
    length, most = int(first.length), max(counts.values())
    if most == 0:
        return f"At length {length} nothing is solved."
    best = [name for name, count in counts.items() if count == most]
    if len(best) == len(counts):
        return ""
    solved = f"{most} of {counted(first.sizes['network_seed'], 'network')}"
    return f"At length {length} most is solved by {' and '.join(best)}: {solved}."


def _in_words(columns: Columns, networks: str, axis: str) -> list[str]:
    columns = {name: data.sortby("length") for name, data in columns.items()}
    data = next(iter(columns.values()))
    budget, seeds = int(data.updates[-1]), data.sizes["network_seed"]
    sentences = []
    for length in data.length.values:
        here = {n: updates_until_solved(c.sel(length=length)) for n, c in columns.items()}
        counts = _of_each(here, lambda each: f"{int(np.isfinite(each).sum())}")
        medians = _of_each(here, lambda each: middle(each, partial(_updates, budget)))
        sentences.append(
            f"At length {length}, of {counted(seeds, 'network')}{networks} solved within {budget} "
            f"updates: {counts}; median updates (unsolved: more than {budget}): {medians}."
        )
    last = {name: column.error.isel(updates=-1, length=-1) for name, column in columns.items()}
    errors = _of_each(last, lambda each: middle(each, share))
    sentences.append(
        f"Median share of wrong answers at length {int(data.length[-1])}, at the end: {errors}."
    )
    lost = sum(int((column.diverged >= 0).sum()) for column in columns.values())
    if lost > 0:
        trained = sum(column.diverged.size for column in columns.values())
        sentences.append(
            f"{counted(lost, 'network')} left the floating-point range and {were(lost)} frozen, of "
            f"{trained} (one for each length, {axis} and seed)."
        )
    return sentences


def _of_each(columns: Mapping[str, xr.DataArray], form: Callable[[xr.DataArray], str]) -> str:
    """A number for each column."""
    return ", ".join(f"{name} {form(data)}" for name, data in columns.items())


def _updates(budget: int, number: float) -> str:
    return f"{number:g}" if np.isfinite(number) else f"more than {budget}"
