"""Four architectures learn real data: held-out scores, and how gradients cross the boundary."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..frame import figures
from ..frame.runs import Datasets
from ..frame.settings import flag
from .architecture_plots import (
    NORM_LABEL,
    is_fraction,
    kept,
    map_limits,
    plot_gradient_map,
    plot_picture,
    plot_row,
    plot_scores,
)

HELP = "Text, sentences, translation and captions: held-out scores, gradients across the boundary."

MOMENTS = ("before", "after")
_ALL = ("characters", "sentences", "translation", "captions")
_OWN = "that of each architecture unless given."


@dataclass(frozen=True)
class Settings:
    """What to train; each architecture has sizes of its own."""

    architecture: Annotated[tuple[str, ...], flag(f"Any of {', '.join(_ALL)}.")] = _ALL
    network_seeds: Annotated[int, flag("Networks trained side by side.")] = 3
    n_updates: Annotated[int | None, flag(f"Updates; {_OWN}")] = None
    n_hidden: Annotated[int | None, flag(f"Hidden units H; {_OWN}")] = None
    batch_size: Annotated[int | None, flag(f"Sequences B per batch; {_OWN}")] = None
    learning_rate: Annotated[
        tuple[float, ...] | None, flag(f"Rates of Adam, chosen from by the validation part; {_OWN}")
    ] = None
    n_steps: Annotated[int | None, flag(f"T of characters and sentences; {_OWN}")] = None
    window: Annotated[
        int | None, flag(f"Truncation window K: trains characters, marked in all; {_OWN}")
    ] = None
    text: Annotated[
        str | None, flag("A file in UTF-8 that characters reads; English unless given.")
    ] = None
    n_records: Annotated[int, flag("How often validation data are scored.")] = 10
    data_seed: Annotated[int, flag("Seed of batches and held-out data.")] = 0
    dtype: Annotated[str, flag("float32 or float64.")] = "float32"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.")] = None


def compute(settings: Settings, progress: bool) -> Datasets:
    """An ensemble for each architecture."""
    options = {k: v for k, v in vars(settings).items() if k not in ("architecture", "text")}
    if settings.text is not None and "characters" not in settings.architecture:
        raise ValueError(
            f"`text` is read by 'characters' alone, got {settings.text!r} for "
            f"{', '.join(settings.architecture)}; drop it or ask for characters"
        )
    with checks.renamed(name="`--architecture`: `name`"):
        return {
            name: rnnsim.architecture_experiment(
                name,
                text=settings.text if name == "characters" else None,
                progress=progress,
                **options,
            )
            for name in settings.architecture
        }


def draw(datasets: Datasets) -> dict[str, Figure]:
    """Scores of all, and the gradient flow of each."""
    drawn = {"held-out-scores": _score_figure(datasets)}
    for name, data in datasets.items():
        drawn[f"gradient-flow-{name}"] = _flow_figure(data)
    return drawn


def _score_figure(datasets: Datasets) -> Figure:
    n = len(datasets)
    columns = min(n, 2)
    rows = -(-n // columns)
    figure, axes = figures.new_figure(
        rows, columns, figsize=(6.2 * columns + 0.5, 4.3 * rows + 0.8), squeeze=False
    )
    for ax, (name, data) in zip(axes.flat, datasets.items(), strict=False):
        plot_scores(data, ax=ax)
        ax.set_title(f"{name}: {figures.configuration(data)['kind']}")
    for ax in axes.flat[n:]:
        ax.set_visible(False)
    tried = any(int(data.trial_updates) for data in datasets.values())
    figures.caption(
        figure,
        f"Lines: scores on validation data{', which also chose the rates' * tried}; thin: "
        "networks, thick: median. Diamonds: scores of the networks on test data, after the last "
        "update. Dashed: what answers without a recurrent network score on the same test data. Of "
        "costs diamonds should lie below the dashed lines, of fractions above.",
    )
    return figure


_NOTES = {
    "characters": "Every step carries a loss, so the map is a triangle; it was trained with this "
    "window.",
    "sentences": "Only the last step carries a loss: one row, drawn as a curve below (thin: "
    "networks). The gradient must come back through the whole sentence.",
    "translation": "Steps up to 0 are the encoder's. Colour scales differ: after training losses "
    "are small, and rows that stay light, across the boundary too, are letters that the networks "
    "are least sure of, where a word is decided.",
    "captions": "Step 0 is the picture's image in the decoder's first state; colour scales differ. "
    "Light rows after training are letters it is least sure of, where a word is decided. Below: "
    "the pixels whose usual changes matter most for each word of the caption (light).",
}


def _flow_figure(data: xr.Dataset) -> Figure:
    settings = figures.configuration(data)
    name = settings["name"]
    below = {"sentences": 1, "captions": 3}.get(name, 0)
    figure = Figure(figsize=(12.5, 5.6 + 2.6 * (below > 0)))
    rows: list[Any] = [[moment for moment in MOMENTS for _ in range(max(below, 1))]]
    if below:
        rows.append([f"{moment}{i}" for moment in MOMENTS for i in range(below)])
    ratios: list[float] = {0: [1.0], 1: [1.0, 2.4], 3: [2.2, 1.0]}[below]
    axes: dict[str, Axes] = figure.subplot_mosaic(rows, height_ratios=ratios)
    for moment in MOMENTS:
        ax = axes[moment]
        # Trained decoders have small losses and gradients: a scale of its own shows where.
        shared = MOMENTS if int(data.place[0]) > 0 else (moment,)
        plot_gradient_map(data, moment=moment, limits=map_limits(data, shared), ax=ax)
        ax.set_title(f"{name} ({settings['kind']}), {moment} training")
        under = [axes[f"{moment}{i}"] for i in range(below)]
        if below == 1:
            plot_row(data, moment=moment, ax=under[0])
            ax.set_xlabel("")
        elif below == 3:
            for word, picture in zip(data.word.values, under, strict=True):
                plot_picture(data, moment=moment, word=str(word), ax=picture)
        if len(shared) == 1 or moment == MOMENTS[-1]:
            around = [ax] if len(shared) == 1 else list(axes.values())
            bar = figure.colorbar(ax.collections[0], ax=around, extend="min")
            bar.set_label(NORM_LABEL)
    axes["after"].set_ylabel("")
    if below == 1:
        _same_height(axes["before0"], axes["after0"])
    figures.caption(
        figure,
        f"Mean over {data.sizes['network_seed']} networks and validation data. Read a row from "
        "right to left: the gradient of one loss on its way back. Left of the dashed line is what "
        f"a window of K = {settings['window']} steps cuts off. {_NOTES[name]}",
    )
    return figure


def _same_height(left: Axes, right: Axes) -> None:
    low, high = zip(left.get_ylim(), right.get_ylim(), strict=True)
    for ax in (left, right):
        ax.set_ylim(min(low), max(high))
    right.set_ylabel("")


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    sentences = []
    for name, data in datasets.items():
        sentences += [_score_words(name, data), _rate_words(data), *_diverged_words(data)]
        sentences += [_flow_words(data), *_example_words(data)]
    return sentences


def _score_words(name: str, data: xr.Dataset) -> str:
    others = dict(zip(data.baseline.values, data.baseline_score.values, strict=True))
    sign, worst = (1.0, 0.0) if is_fraction(data) else (-1.0, np.inf)
    test = data.test_score.fillna(worst)
    median = float(test.median())
    missed = [str(k) for k, v in others.items() if not sign * median > sign * v]
    listing = ", ".join(f"{k} {v:.3g}" for k, v in others.items())
    verdict = "better than all of them" if not missed else f"not better than: {', '.join(missed)}"
    return (
        f"{name} ({figures.configuration(data)['kind']}): {data.test_score.attrs['long_name']}, "
        f"median of {test.size} networks after {int(data.updates[-1])} updates {median:.3g} "
        f"({float(test.min()):.3g} to {float(test.max()):.3g}) {data.score.attrs['units']}; "
        f"{listing}: {verdict}."
    )


def _rate_words(data: xr.Dataset) -> str:
    rates, losses = data.rate.values, data.trial_loss.values
    words = f"  Learning rate {float(data.learning_rate):g}"
    if rates.size == 1:
        return f"{words}, as given."
    listing, updates = ", ".join(f"{rate:g}" for rate in rates), int(data.trial_updates)
    if np.isnan(losses).all():
        why = "all trials diverged" if updates else "none was tried"
        return f"{words}, the first of {listing}: {why}."
    return (
        f"{words}: of {listing} none had a lower loss on validation data "
        f"({np.nanmin(losses):.4g} nats a sequence) after {updates} updates of one network."
    )


def _diverged_words(data: xr.Dataset) -> list[str]:
    lost = int((data.diverged >= 0).sum())
    return [f"  {lost} of {data.diverged.size} networks diverged."] if lost else []


def _flow_words(data: xr.Dataset) -> str:
    K, after = kept(data, "after")
    _, before = kept(data, "before")
    way = "grown to" if after > 0 else "left with"
    sizes = [f"10^{size:.1f}" if np.isfinite(size) else "nothing" for size in (after, before)]
    words = f"  {K} steps back a gradient is {way} {sizes[0]} of its size ({sizes[1]} "
    words += "before training)"
    window = int(figures.configuration(data)["window"])
    if int(data.place[0]) <= 0:
        steps = data.loss_step.values
        cut = float(np.mean(steps >= window))
        words += f"; with a window of {window} steps {cut:.0%} of the losses miss the boundary"
    return words + "."


def _example_words(data: xr.Dataset) -> list[str]:
    source, answer, right = json.loads(data.attrs["examples"])[0]
    if not right:
        return [f"  Reads '{source}', goes on '{answer}'."]
    verdict = "right" if answer == right else f"it should be '{right}'"
    return [f"  Reads '{source}', says '{answer}' ({verdict})."]
