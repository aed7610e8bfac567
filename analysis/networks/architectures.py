"""Four architectures learn real data: held-out scores, and how gradients cross the boundary."""

import json

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..commands.networks import ARCHITECTURES, Architectures
from ..frame import figures
from ..frame.runs import Datasets
from ..frame.statistics import told_apart, wilson
from ..frame.words import counted, part
from .architecture_plots import (
    NAMES,
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
    """Scores of all, the gradient flow of each, and the pixels that words of captions hang on."""
    drawn = {"held-out-scores": _score_figure(datasets)}
    for name, data in datasets.items():
        drawn[f"gradient-flow-{name}"] = (
            _row_figure(data) if data.sizes["loss_step"] == 1 else _map_figure(data)
        )
        if "word" in data.dims:
            drawn[f"pixels-{name}"] = _pixel_figure(data)
    return drawn


def _score_figure(datasets: Datasets) -> Figure:
    n = len(datasets)
    columns = min(n, 2)
    rows = -(-n // columns)
    figure, axes = figures.new_figure(
        rows, columns, figsize=(5.8 * columns, 4.0 * rows), squeeze=False
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
        f"of the networks{' of the cell that validates best' * several}. Level grey lines: what "
        "answers without a recurrent network score on the same test data. Of costs diamonds should "
        "lie below them, of fractions above.",
    )
    return figure


_NOTES = {
    "characters": "Every step carries a loss; it was trained with this window.",
    "translation": "Steps up to 0 are the encoder's. Rows that stay light after training, across "
    "the boundary too, are letters that the networks are least sure of.",
    "captions": "Step 0 is the picture's image in the decoder's first state. Rows that are light "
    "after training are letters that the networks are least sure of.",
}


def _map_figure(data: xr.Dataset) -> Figure:
    """A column for each cell, a row for each moment; of one cell the moments side by side."""
    settings, cells = figures.configuration(data), of_cells(data)
    shape = (len(MOMENTS), len(cells)) if len(cells) > 1 else (1, len(MOMENTS))
    figure, axes = figures.new_figure(
        *shape, figsize=(4.0 * shape[1], 3.9 * shape[0]), sharex=True, sharey=True, squeeze=False
    )
    limits = [map_limits(each) for each in cells.values()]
    whole = (min(low for low, _ in limits), max(high for _, high in limits))
    at = [(cell, moment) for moment in MOMENTS for cell in cells]
    for ax, (cell, moment) in zip(axes.flat, at, strict=True):
        plot_gradient_map(cells[cell], moment=moment, limits=whole, ax=ax)
        cell_name = NAMES.get(cell, cell) if "cell" in data.dims else settings["name"]
        ax.set_title(f"{cell_name}, {moment} training")
    figures.label_outer(figure)
    mesh = axes.flat[-1].collections[0]
    figures.colour_bar(figure, mesh, list(axes.flat), NORM_LABEL, extend="min")
    figures.caption(
        figure,
        f"{_means(data)} Read a row from right to left: the gradient of one loss on its way back. "
        f"Left of the dotted line is what a window of K = {settings['window']} steps cuts off. "
        f"{_NOTES[settings['name']]}{_pairs(data)}",
    )
    return figure


def _row_figure(data: xr.Dataset) -> Figure:
    """Of one loss at the last step: a panel for each moment, a line for each cell."""
    figure, axes = figures.new_figure(1, len(MOMENTS), figsize=(11.0, 4.4), sharex=True)
    for ax, moment in zip(axes, MOMENTS, strict=True):
        plot_row(data, moment=moment, ax=ax)
        ax.set_title(f"{moment} training")
        if len(of_cells(data)) > 1:
            figures.name_lines(ax)
    figures.on_one_scale(axes)
    figures.caption(
        figure,
        f"{_over(data)} Only the last step carries a loss: read from right to left how its "
        "gradient fares on its way back through the whole sentence. Thin: networks, thick: median. "
        "Left of the dotted line is what a window of K = "
        f"{figures.configuration(data)['window']} steps cuts off.{_pairs(data)}",
    )
    return figure


def _pixel_figure(data: xr.Dataset) -> Figure:
    """The words of a caption, side by side, by the cell that validates best, after training."""
    words, best = data.word.values, of_the_best(data)
    figure, axes = figures.new_figure(1, len(words), figsize=(3.6 * len(words), 3.8), squeeze=False)
    for ax, word in zip(axes[0], words, strict=True):
        plot_picture(best, moment=MOMENTS[-1], word=str(word), ax=ax)
    bar = "effect on the loss / the largest"
    figures.colour_bar(figure, axes[0, 0].images[0], axes[0].tolist(), bar)
    cell = data.attrs.get("best_cell", "vanilla")
    several = f" {NAMES[cell]}" * (len(of_cells(data)) > 1)
    figures.caption(
        figure,
        f"Which pixels of a picture the words of its caption hang on: |dl/dpixel| times the "
        f"pixel's spread, mean over {_networks(data, several)} and validation data, after "
        "training. Light pixels are those whose usual changes matter most for the word.",
    )
    return figure


def _networks(data: xr.Dataset, kind: str = "") -> str:
    n = data.sizes["network_seed"]
    return f"{n}{kind} network{'s' * (n > 1)}"


def _means(data: xr.Dataset) -> str:
    return f"Means of logs over {_networks(data)} and validation data."


def _over(data: xr.Dataset) -> str:
    cells = " of each cell" * (len(of_cells(data)) > 1)
    return f"{_networks(data)}{cells}; means of logs over validation data."


def _pairs(data: xr.Dataset) -> str:
    return " The state of an LSTM is (h, c)." * ("lstm" in of_cells(data))


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
