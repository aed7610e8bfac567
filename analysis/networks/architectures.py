"""Four architectures learn real data: held-out scores, and how gradients cross the boundary."""

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..commands.networks import ARCHITECTURES, Architectures
from ..frame import figures
from ..frame.runs import Datasets
from ..frame.statistics import told_apart, wilson
from ..frame.words import counted, part
from .architecture_plots import (
    NORM_LABEL,
    is_fraction,
    kept,
    map_limits,
    of_cells,
    of_the_best,
    plot_gradient_map,
    plot_picture,
    plot_row,
    plot_scores,
)

HELP = ARCHITECTURES.help
Settings = Architectures

MOMENTS = ("before", "after")


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
    several = any(data.sizes.get("cell", 1) > 1 for data in datasets.values())
    tried = any(int(data.trial_updates) for data in datasets.values())
    figures.caption(
        figure,
        f"Lines: scores on validation data{', which also chose the rates' * tried}; thin: "
        "networks, thick: median. Diamonds: scores on test data, after the last update, "
        f"of the networks{' of the cell that validates best' * several}. Dashed: what answers "
        "without a recurrent network score on the same test data. Of "
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
    """Of one cell both moments side by side; of several the cells, one row for each moment."""
    settings, cells = figures.configuration(data), of_cells(data)
    name, several = settings["name"], len(cells) > 1
    panels = [[(cell, moment) for cell in cells] for moment in MOMENTS]
    if not several:
        panels = [[row[0] for row in panels]]
    below = _below(name, data, panels[-1])
    width = math.lcm(len(panels[0]), max(len(below), 1))
    rows: list[Any] = [
        [_key(*at) for at in row for _ in range(width // len(row))] for row in panels
    ]
    ratios = [1.0 if name == "sentences" and not several else 2.2] * len(rows)
    if below:
        rows.append(
            [_key("below", i) for i in range(len(below)) for _ in range(width // len(below))]
        )
        ratios.append(2.4 if name == "sentences" and not several else 1.6 if several else 1.0)
    height = {1: 5.6, 2: 9.6}[len(panels)] + 2.6 * bool(below)
    figure = Figure(figsize=(12.5 + 2.5 * max(0, len(panels[0]) - 2), height))
    axes: dict[Any, Axes] = figure.subplot_mosaic(rows, height_ratios=ratios)
    shared = int(data.place[0]) > 0  # else trained decoders have small losses: a scale of their own
    limits = [map_limits(each) for each in cells.values()]
    whole = (min(low for low, _ in limits), max(high for _, high in limits))
    for cell, moment in (at for row in panels for at in row):
        one, ax = cells[cell], axes[_key(cell, moment)]
        span = whole if shared else map_limits(one, (moment,))
        plot_gradient_map(one, moment=moment, limits=span, ax=ax)
        ax.set_title(f"{cell if 'cell' in data.dims else name}, {moment} training")
        if not shared:
            bar = figure.colorbar(ax.collections[0], ax=ax, extend="min")
            if not several or cell == panels[0][-1][0]:
                bar.set_label(NORM_LABEL)
        if (cell, moment) not in [row[0] for row in panels]:
            ax.set_ylabel("")
    if shared:
        mesh = axes[_key(*panels[-1][-1])].collections[0]
        figure.colorbar(mesh, ax=list(axes.values()), extend="min").set_label(NORM_LABEL)
    for i, draw_in in enumerate(below):
        draw_in(axes[_key("below", i)])
    if name == "sentences":
        _same_height([axes[_key("below", i)] for i in range(len(below))])
    figure.suptitle(f"{name}: {settings['kind']}")
    figures.caption(figure, _flow_caption(data, several))
    return figure


def _key(*parts: object) -> str:
    """The name of a panel."""
    return " ".join(map(str, parts))


def _below(
    name: str, data: xr.Dataset, panels: list[tuple[str, str]]
) -> list[Callable[[Axes], object]]:
    """What is drawn under the maps: of sentences their row, of captions pictures."""
    cells = of_cells(data)
    if name == "sentences":
        return [partial(_row, cells[cell], moment) for cell, moment in panels]
    if name == "captions":
        moments = MOMENTS[len(cells) > 1 :]
        words = [(moment, str(word)) for moment in moments for word in data.word.values]
        best = of_the_best(data)
        return [partial(_picture, best, moment, word) for moment, word in words]
    return []


def _row(data: xr.Dataset, moment: str, ax: Axes) -> None:
    plot_row(data, moment=moment, ax=ax)
    ax.set_xlabel("")


def _picture(data: xr.Dataset, moment: str, word: str, ax: Axes) -> None:
    plot_picture(data, moment=moment, word=word, ax=ax)


def _flow_caption(data: xr.Dataset, several: bool) -> str:
    settings = figures.configuration(data)
    name, best = settings["name"], data.attrs.get("best_cell", "vanilla")
    words = (
        f"Mean over {data.sizes['network_seed']} networks and validation data. Read a row from "
        "right to left: the gradient of one loss on its way back. Left of the dashed line is what "
        f"a window of K = {settings['window']} steps cuts off. {_NOTES[name]}"
    )
    if not several:
        return words
    below = {"sentences": " The curves are those after training.", "captions": " These are of "
             f"{best}, which validates best, after training."}  # fmt: skip
    state = " The state of an LSTM is (h, c)." * ("lstm" in of_cells(data))
    return f"{words}{below.get(name, '')}{state}"


def _same_height(axes: list[Axes]) -> None:
    figures.on_one_scale(axes)
    for ax in axes[1:]:
        ax.set_ylabel("")


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    sentences = []
    for name, data in datasets.items():
        best = of_the_best(data)
        found = [_score_words(name, data), *_choice_words(data), _rate_words(best)]
        found += [*_error_words(best), _stop_words(best)]
        found += _diverged_words(data) + _word_words(best)
        found += [_flow_words(best), *_example_words(data)]
        missed = _not_beaten(data)
        answer = f"does not beat: {', '.join(missed)}" if missed else "beats every simple rule"
        answer = f"What was learned {answer}."
        sentences += part(name.capitalize(), found, answer=answer)
    return sentences


def _not_beaten(data: xr.Dataset) -> list[str]:
    """The simple rules that score as well as networks, or better."""
    median = float(_scores(data, of_the_best(data).test_score).median())
    sign = 1.0 if is_fraction(data) else -1.0
    pairs = zip(data.baseline.values, data.baseline_score.values, strict=True)
    return [str(name) for name, score in pairs if not sign * median > sign * score]


def _score_words(name: str, data: xr.Dataset) -> str:
    others = dict(zip(data.baseline.values, data.baseline_score.values, strict=True))
    test = _scores(data, of_the_best(data).test_score)
    median, missed = float(test.median()), _not_beaten(data)
    listing = ", ".join(f"{k} {v:.3g}" for k, v in others.items())
    verdict = "better than all of them" if not missed else f"not better than: {', '.join(missed)}"
    kind = f"{data.attrs['best_cell']} " * ("cell" in data.dims)
    return (
        f"{name} ({figures.configuration(data)['kind']}): {data.test_score.attrs['long_name']}, "
        f"median of {counted(test.size, f'{kind}network')} after {int(data.updates[-1])} updates "
        f"{median:.3g} ({float(test.min()):.3g} to {float(test.max()):.3g}) "
        f"{data.score.attrs['units']}; {listing}: {verdict}."
    )


def _error_words(data: xr.Dataset) -> list[str]:
    """How sure a share of so many items is, and which baselines it cannot be told apart from."""
    if not is_fraction(data):
        return []
    n, median = int(data.n_test), float(_scores(data, data.test_score).median())
    low, high = wilson(n * median, n)
    shares = dict(zip(data.baseline.values, data.baseline_score.values, strict=True))
    level = [name for name, share in shares.items() if not told_apart(median, float(share), n)]
    words = f"  Of {n} test items a share of {median:.3g} may be {low:.3g} to {high:.3g} (95%)"
    return [words + f"; too few to tell it apart from: {', '.join(level)}" * bool(level) + "."]


def _stop_words(data: xr.Dataset) -> str:
    """Whether what it has seen or what it has not sets the limit."""
    seen, new = (float(_scores(data, data[f"{part}_score"]).median()) for part in ("train", "test"))
    words = f"  The training part scores {seen:.3g}, the test part {new:.3g}: "
    if not is_fraction(data):
        more = new - seen
        way = f"costs {abs(more):.3g} {'less' if more < 0 else 'more'}"
        return f"{words}what was not seen {way if np.isfinite(more) else 'cannot be compared'}."
    if new == 1.0:
        return f"{words}nothing is left to be learned."
    if seen - new > 1.0 - seen:
        return f"{words}it stops at what it has not seen, not at what it has not learned."
    return f"{words}it stops at what it has seen and not learned."


def _choice_words(data: xr.Dataset) -> list[str]:
    """Which cell was taken, by which scores, where there were several."""
    if data.sizes.get("cell", 1) == 1:
        return []
    last = _scores(data, data.score.isel(updates=-1)).median("network_seed")
    listing = ", ".join(f"{cell} {float(last.sel(cell=cell)):.3g}" for cell in data.cell.values)
    return [f"  On the validation part {listing}: {data.attrs['best_cell']} was taken to the test."]


def _scores(data: xr.Dataset, scores: xr.DataArray) -> xr.DataArray:
    """Networks without a score count as the worst."""
    return scores.fillna(0.0 if is_fraction(data) else np.inf)


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
    found = []
    for cell, one in of_cells(data).items():
        kind = f"{cell} " * ("cell" in data.dims)
        if lost := int((one.diverged >= 0).sum()):
            found.append(f"  {lost} of {counted(one.diverged.size, f'{kind}network')} diverged.")
    return found


def _word_words(data: xr.Dataset) -> list[str]:
    """Of captions: which words are hard."""
    if "word_score" not in data:
        return []
    shares = data.word_score.fillna(0.0).median("network_seed")
    listing = ", ".join(f"{word} {float(shares.sel(word=word)):.3g}" for word in data.word.values)
    words = f"  Right in captions of validation data: {listing}"
    if float(shares.min()) == 1.0:
        return [f"{words}: no word is ever wrong."]
    hardest = ", ".join(data.word.values[(shares == shares.min()).values])
    return [f"{words}; what is most often wrong: {hardest}."]


def _flow_words(data: xr.Dataset) -> str:
    K, after = kept(data, "after")
    _, before = kept(data, "before")
    way = "grown to" if after > 0 else "left with"
    sizes = [f"10^{size:z.1f}" if np.isfinite(size) else "nothing" for size in (after, before)]
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
