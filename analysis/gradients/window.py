"""Window: how well networks learn that were trained through truncation windows of many lengths."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim

from ..commands.gradients import WINDOW, Window
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.statistics import median_over
from ..frame.words import counted, middle, networks_of, part, share
from .window_plots import losses_of, plot_curves, plot_score, plot_share

HELP = WINDOW.help
Settings = Window

_WORSE = 0.1  # nats per answer


def compute(settings: Settings, progress: bool) -> Datasets:
    """One training for each way of truncating and window; networks and batches are the same."""
    return {"window": rnnsim.window_sweep(progress=progress, **vars(settings))}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family, those of each cell by themselves."""
    return cells.drawn(datasets, _figures, state="")


def _figures(datasets: Datasets) -> dict[str, Figure]:
    data = datasets["window"]
    return {"score-against-window": _score_figure(data), "learning-curves": _curves_figure(data)}


def _score_figure(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 3, figsize=(15.5, 5.0))
    plot_share(data, ax=axes[0])
    for ax, budget in zip(axes[1:], data.budget.values, strict=True):
        plot_score(data, budget=budget, ax=ax)
    batches, B = int(data.n_batches), figures.configuration(data)["batch_size"]
    axes[0].set_title("what the gradient can see")
    axes[1].set_title(f"after {batches * B} sequences")
    axes[2].set_title(f"after {batches} updates")
    figures.letter(axes)
    figures.on_one_scale(axes[1:])
    figures.legend_above(figure, axes[0].get_legend_handles_labels()[0])
    figures.caption(
        figure,
        f"{_what(data)}. (a) By the schedule alone: how many answers reach what they depend on. "
        f"(b), (c) After training: dots: {networks_of(data)}, lines: median, bands: quartiles. "
        "States are carried across cuts at all windows; only gradients are cut.",
    )
    return figure


def _curves_figure(data: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(11.5, 5.0), sharey=True)
    for ax, name in zip(axes, data.truncation.values, strict=True):
        plot_curves(data, truncation=name, ax=ax)
    axes[0].set_title("segments, stride $K$")
    axes[1].set_title(f"overlapping, stride at most {figures.configuration(data)['stride']}")
    figures.letter(axes)
    figures.label_outer(figure)
    lines = [line for line in axes[0].lines if str(line.get_label()).startswith("window")]
    figures.legend_above(figure, lines)
    figures.caption(
        figure,
        f"{_what(data)}. Thin: {networks_of(data)}, thick: their median, bands: quartiles. Windows "
        f"of more than {int(data.dependency)} steps reach from an answer to its cause. "
        "Networks start out with some memory of their own and first learn to read it: look at what "
        "becomes of it at shorter windows, and at longer ones.",
    )
    return figure


def _what(data: xr.Dataset) -> str:
    s = figures.configuration(data)
    what = "Echo" if s["task"] == "echo" else "Copy memory"
    return (
        f"{what} of {s['n_symbols']} symbols after {int(data.dependency)} steps, T = {s['length']},"
        f" H = {s['n_hidden']}, {s['optimizer']}"
    )


def chance(data: xr.Dataset) -> float:
    """Loss of guessing, in nats per answer."""
    return float(np.log(figures.configuration(data)["n_symbols"]))


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, _sentences)


def _sentences(datasets: Datasets) -> list[str]:
    data = datasets["window"]
    needed = int(data.dependency) + 1
    task = (
        f"An answer depends on what was shown {counted(needed - 1, 'step')} before: a window of "
        f"{counted(needed, 'step')} reaches it. Chance is {chance(data):.2f} nats per answer."
    )
    losses = losses_of(data)
    ends = []
    for budget in data.budget.values:
        for name in data.truncation.values:
            final = losses.sel(budget=budget, truncation=name).isel(share=-1)
            ends.append(f"At equal {budget}, {name}: {_around(final, needed)}.")
    if (frozen := int((data.diverged >= 0).sum())) > 0:
        ends.append(
            f"{frozen} of {counted(data.diverged.size, 'network')} left the floating-point range "
            "and were frozen (one for each seed, window and way of truncating)."
        )
    worse = _worse_in_words(losses.sel(budget="sequences"), needed)
    answer, advice = _shortest_in_words(data, losses, needed)
    return [
        *part("How long a window must be", [task], answer=answer, advice=advice),
        *part("Losses at the end", ends),
        *(part("Losses on the way", worse) if worse else []),
    ]


def _shortest_in_words(data: xr.Dataset, losses: xr.DataArray, needed: int) -> tuple[str, str]:
    """The shortest window that ends as well as the best, of segments at equal sequences."""
    way = str(data.truncation.values[0])
    final = losses.sel(budget="sequences", truncation=way).isel(share=-1)
    medians = median_over(final, "network_seed").sortby("window")
    best = float(medians.min())
    if best > chance(data) - _WORSE:
        return f"Nothing is learned through any window ({way}) in this time.", ""
    good = (medians <= best + _WORSE).values
    shortest = int(medians.window[good][0])
    reach = "shorter than the dependency" if shortest < needed else "as the dependency asks for"
    answer = (
        f"Through {way}, {counted(shortest, 'step')} are enough to learn as well as through any "
        f"window, {reach}."
    )
    more = " or more" * bool(good[medians.window.values >= shortest].all())
    return answer, f"train through {counted(shortest, 'step')}{more}."


def _worse_in_words(losses: xr.DataArray, needed: int) -> list[str]:
    """How many networks end above what they had reached, on both sides of the dependency."""
    worse = losses.isel(share=-1) > losses.min("share") + _WORSE
    sides = {False: losses.window < needed, True: losses.window >= needed}
    shares = {
        far: share(float(worse.sel(window=losses.window[mask]).mean()))
        for far, mask in sides.items()
        if mask.any()
    }
    what = (
        f"of networks end more than {_WORSE:g} nats above the lowest loss that they had on the way"
    )
    each = "(equal sequences; one network for each seed, window and way of truncating)"
    if len(shares) == 2:
        below, above = shares.values()
        return [f"Below {needed} steps, {below} {what} {each}, from there on {above}."]
    if False in shares:
        return [f"Below {needed} steps, {shares[False]} {what} {each}."]
    return []


def _around(final: xr.DataArray, needed: int) -> str:
    """The median at the windows next to the dependency, at the best and at the longest."""
    medians = median_over(final, "network_seed").sortby("window")
    below, above = (
        medians.where(mask, drop=True)
        for mask in (medians.window < needed, medians.window >= needed)
    )
    best, longest = medians[int(medians.values.argmin())], medians[-1]
    shown = [(f"K = {int(m.window)}", m) for m in (*below[-1:], *above[:1])]
    shown += [(f"lowest at K = {int(best.window)}", best)]
    shown += [(f"longest, K = {int(longest.window)}", longest)]
    parts = [
        f"{name}: {middle(final.sel(window=m.window), lambda x: f'{x:.2g}')}" for name, m in shown
    ]
    return ", ".join(parts) + " nats per answer"
