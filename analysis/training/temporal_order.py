"""Temporal order: which way of training solves it, at which length (Pascanu et al. 2013)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim

from ..frame import figures
from ..frame.runs import Datasets
from ..frame.settings import flag
from ..frame.words import middle, percent, share
from .learning_plots import plot_error, plot_solved, plot_within, updates_until_solved

HELP = "Share of networks that solve temporal order: SGD, clipping, clipping with a penalty."


@dataclass(frozen=True)
class Settings:
    """What to train; the defaults are a fraction of the published budget."""

    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (20, 30, 50)
    network_seeds: Annotated[int, flag("Initial networks, the same for all methods.")] = 5
    n_updates: Annotated[int, flag("Updates of every network.")] = 6000
    n_hidden: Annotated[int, flag("Hidden units H.")] = 50
    batch_size: Annotated[int, flag("Sequences B per batch.")] = 20
    learning_rate: Annotated[float, flag("Rate of all methods.")] = 0.01
    clip_norm: Annotated[float, flag("Norm at which gradients are clipped.")] = 1.0
    penalty: Annotated[float, flag("Weight of Omega.")] = 4.0
    penalty_variant: Annotated[str, flag("code or paper, see rnnsim.train.")] = "code"
    test_size: Annotated[int, flag("Sequences tested on.")] = 10_000
    tolerance: Annotated[float, flag("Share of wrong answers below which it is solved.")] = 0.01
    record_every: Annotated[
        int | None, flag("Updates between tests; a twentieth of all unless given.")
    ] = None
    data_seed: Annotated[int, flag("Seed of batches and test data.")] = 0
    dtype: Annotated[str, flag("float32 or float64.")] = "float32"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.")] = None


def compute(settings: Settings, progress: bool) -> Datasets:
    """All methods and seeds of one length are one ensemble."""
    return {"learning": rnnsim.learning_sweep(progress=progress, **vars(settings))}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family."""
    data = datasets["learning"]
    return {"solved-against-length": _solved_figure(data), "learning-curves": _curves_figure(data)}


def _solved_figure(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(12, 5.6))
    plot_solved(data, ax=axes[0])
    plot_within(data, ax=axes[1])
    figures.caption(
        figure,
        f"Left: share of {data.sizes['network_seed']} initial networks that answer all but "
        f"{percent(figures.configuration(data)['tolerance'])} of the test sequences within the "
        "budget. Right: the updates each took (dots; none where unsolved) and their medians, in "
        "which unsolved counts as more than the budget (arrow up: at least so many). All methods "
        "start from the same networks and see the same batches.",
    )
    return figure


def _curves_figure(data: xr.Dataset) -> Figure:
    lengths = sorted(data.length.values.tolist())
    figure, axes = figures.new_figure(
        1, len(lengths), figsize=(4.7 * len(lengths) + 0.5, 5.4), sharey=True, squeeze=False
    )
    for ax, length in zip(axes[0], lengths, strict=True):
        plot_error(data, length=length, ax=ax)
        ax.set_title(f"T = {length} steps")
        if ax is not axes[0, 0]:
            ax.set_ylabel("")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    figures.caption(
        figure,
        "Thin: networks, thick: median. Dashed: chance, three quarters wrong; dotted: the share "
        "below which a network has solved the task. Look for where the thick lines leave chance.",
    )
    return figure


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    data = datasets["learning"].sortby("length")
    budget, seeds = int(data.updates[-1]), data.sizes["network_seed"]
    until = updates_until_solved(data)
    sentences = []
    for length in data.length.values:
        here = until.sel(length=length)
        counts = _of_each(here, lambda each: f"{int(np.isfinite(each).sum())}")
        medians = _of_each(here, lambda each: middle(each, partial(_updates, budget)))
        sentences.append(
            f"At length {length}, of {seeds} networks solved within {budget} updates: {counts}; "
            f"median updates (unsolved: more than {budget}): {medians}."
        )
    last = data.error.isel(updates=-1, length=-1)
    errors = _of_each(last, lambda each: middle(each, share))
    sentences.append(
        f"Median share of wrong answers at length {int(last.length)}, at the end: {errors}."
    )
    if (lost := int((data.diverged >= 0).sum())) > 0:
        sentences.append(
            f"{lost} networks left the floating-point range and were frozen, of "
            f"{data.diverged.size} (one for each length, method and seed)."
        )
    return sentences


def _of_each(data: xr.DataArray, form: Callable[[xr.DataArray], str]) -> str:
    """A number for each way of training."""
    return ", ".join(f"{name} {form(data.sel(training=name))}" for name in data.training.values)


def _updates(budget: int, number: float) -> str:
    return f"{number:g}" if np.isfinite(number) else f"more than {budget}"
