"""Truncation: what a window loses, which window suffices, and what the geometric bound says."""

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import rnnsim

from ..commands.gradients import TRUNCATION, Truncation
from ..commands.own import of_files, with_own
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.words import networks_of
from .bias_variance_plots import plot_best_window, plot_bias_variance
from .truncation_plots import (
    TRUNCATIONS,
    bounds_of,
    decay,
    plot_bound,
    plot_cosine,
    plot_error,
    plot_one_error,
    plot_sufficient_window,
    plot_truncations,
)
from .truncation_words import sentences

HELP = TRUNCATION.help
Settings = Truncation


def compute(settings: Settings, progress: bool) -> Datasets:
    """One sweep with sliding windows and segments; bias and variance at one gain and length.

    These take batches that differ and a loss that can be learned: white noise has none, nor has a
    network of one's own without outputs.
    """
    names = ("gain", "length", "scheme", "windows")
    shared = settings.shared() | {name: getattr(settings, name) for name in names}
    with of_files(settings):
        common = with_own(settings, shared) | {"progress": progress}
        windows = rnnsim.sweep(
            measures=("gradients", "lags", "truncation"),
            truncation=TRUNCATIONS,
            tolerance=settings.tolerance,
            **common,
        )
        if not _can_learn(common, windows):
            return {"windows": windows}
        chosen = with_own(settings, shared, batches=True) | {"progress": progress}
        chosen["length"] = int(figures.nearest(chosen["length"], [100.0])[0])
        chosen["gain"] = figures.nearest(windows.gain.values, [1.0])[0]
        bias_variance = rnnsim.bias_variance_sweep(
            n_batches=settings.n_batches, n_updates=settings.n_updates, **chosen
        )
    return {"windows": windows, "bias-variance": bias_variance}


def _can_learn(keywords: dict[str, Any], windows: xr.Dataset) -> bool:
    """Whether training has a meaning: for all but some networks of one's own."""
    own = keywords.get("weights")
    return own is None or (own.sizes[1] > 0 and "white noise" not in windows.task.values)


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family, those of each cell by themselves."""
    return cells.drawn(datasets, _figures, _beside)


def _beside(kinds: Sequence[cells.Kind]) -> dict[str, Figure]:
    """Which window suffices for which cell, for a few gains."""
    first = kinds[0].datasets["windows"]
    length = int(first.length.max())

    def plot(kind: cells.Kind, gain: float, ax: Axes, style: dict[str, Any]) -> None:
        plot_one_error(kind.datasets["windows"], length=length, gain=gain, ax=ax, **style)

    figure, _ = cells.beside(kinds, figures.nearest(first.gain.values, [0.5, 1.0, 2.0]), plot)
    figures.caption(
        figure,
        f"Thin: {networks_of(first)} of each kind, thick: median, bands: quartiles; sliding "
        f"windows, T = {length}. Gradients are of W_hh for vanilla networks, of W_hh, W_xh and "
        f"b_h together for {_together(kinds)}.",
    )
    return {"cells-beside-each-other": figure}


def _together(kinds: Sequence[cells.Kind]) -> str:
    """Whose recurrent weights are taken together."""
    if all(kind.n_layers == 1 for kind in kinds):
        return "LSTMs and GRUs"
    gated = "LSTMs, GRUs and " * any(kind.cell != "vanilla" for kind in kinds)
    return f"{gated}stacks, of all layers"


def _figures(datasets: Datasets) -> dict[str, Figure]:
    data = datasets["windows"]
    found = {
        "error-against-window": _window_figure(data),
        "sufficient-window": _sufficient_figure(data),
        "segments-and-sliding": _truncations_figure(data),
    }
    # The bound is made of ||dh_t/dW_hh|| <= ||h_{t-1}||, which neither gates nor stacks keep.
    if cells.is_plain(data):
        found["geometric-bound"] = _bound_figure(data)
    if "bias-variance" in datasets:
        found["bias-and-variance"] = _bias_variance_figure(datasets["bias-variance"])
    return found


def _weights(dataset: xr.Dataset) -> str:
    """The weights whose gradients are compared."""
    if cells.is_plain(dataset):
        return "W_hh"
    return "W_hh, W_xh and b_h" + " of all layers" * (cells.layers_of(dataset) > 1)


def _last(dataset: xr.Dataset) -> str:
    return "last or " * (not cells.is_plain(dataset))


def _gradient(dataset: xr.Dataset) -> str:
    if cells.is_plain(dataset):
        return r"$\partial L/\partial W_{hh}$"
    return r"$\partial L/\partial(W_{hh}, W_{xh}, b_h)$" + " of every layer" * (
        cells.layers_of(dataset) > 1
    )


def _named(axes: Sequence[Axes]) -> list[Line2D]:
    """The lines of panels that a legend names, each once; what is set is named where it stands."""
    lines = [line for ax in axes for line in ax.lines if line.get_gid() != "mark"]
    named = {str(line.get_label()): line for line in reversed(lines)}
    return [line for name, line in reversed(named.items()) if not name.startswith("_")]


def _window_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(11.5, 5.0))
    plot_error(dataset, ax=axes[0])
    plot_cosine(dataset, ax=axes[1])
    axes[0].set_title("what a window loses")
    axes[1].set_title("whether it points the right way")
    figures.letter(axes)
    figures.legend_above(figure, _named(axes[:1]))
    figures.caption(
        figure,
        f"The gradient $g$ of {_weights(dataset)} (T = {int(dataset.length.max())}) and what is "
        "left of it, $g_K$, where each loss goes back $K$ steps (sliding windows). Thin: "
        f"{networks_of(dataset)} of each gain, thick: their median, bands: quartiles. Where "
        f"gradients vanish a short window does; where they {_last(dataset)}explode the "
        "error stays near 100% until the window is nearly the whole sequence.",
    )
    return figure


def _sufficient_figure(dataset: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(8.5, 5.6))
    plot_sufficient_window(dataset, ax=ax)
    ax.set_title("Which window suffices?")
    figures.caption(
        figure,
        f"From this window on the relative error of {_gradient(dataset)} stays in tolerance "
        f"(sliding windows). Dots: {networks_of(dataset)} for each gain and T, lines: median, "
        "bands: quartiles. Dotted: the whole sequence; a line that meets it says that no shorter "
        "window suffices.",
    )
    return figure


def _truncations_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(11.5, 5.2), sharey=True)
    gain = figures.nearest([float(g) for g in dataset.gain], [1.0])[0]
    for ax, against in zip(axes, ("window", "reach"), strict=True):
        plot_truncations(dataset, gain=gain, against=against, ax=ax)
    axes[0].set_title("at equal window")
    axes[1].set_title("at equal mean reach")
    figures.letter(axes)
    figures.label_outer(figure)
    figures.legend_above(figure, _named(axes[:1]))
    figures.caption(
        figure,
        f"Gain {gain:g}, T = {int(dataset.length.max())}. Thin: {networks_of(dataset)}, thick: "
        "median, bands: quartiles. (a) On average a loss reaches at most (K + 1)/2 steps in "
        "segments, at most K in sliding windows. (b) At equal mean reach what is left "
        "of the difference is due to the cuts.",
    )
    return figure


def _bound_figure(dataset: xr.Dataset) -> Figure:
    gains = figures.nearest([float(g) for g in dataset.gain], [0.5, 0.9])
    figure, axes = figures.new_figure(
        1, len(gains), figsize=(5.75 * len(gains), 5.2), sharey=True, squeeze=False
    )
    for ax, gain in zip(axes[0], gains, strict=True):
        plot_bound(dataset, gain=gain, ax=ax)
        ax.set_title(f"gain {gain:g}: decay factor {decay(dataset, gain)}")
    figures.label_outer(figure)
    figures.legend_above(figure, _named(axes[0]))
    figures.caption(
        figure,
        "How far a bound is from what a window loses. Dashed: that of Aicher, Foti and Fox "
        f"(2019), from the size of states and from gradients that decay by a constant factor a "
        f"step from lag {bounds_of(dataset, gains[0])[0].tau} on (estimated; medians over "
        "networks, of which one without a bound counts as infinite). Thin: "
        f"{networks_of(dataset)}, thick: their median, bands: quartiles, as far as "
        "rounding hides no error. Compare slopes; the distance is the price of adding up norms.",
    )
    return figure


def _bias_variance_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 3, figsize=(15, 5.0))
    settings = figures.configuration(dataset)
    moments = [str(moment) for moment in dataset.moment.values]
    for ax, moment in zip(axes, moments, strict=False):
        plot_bias_variance(dataset, moment=moment, ax=ax)
        ax.set_title(f"{moment} training")
    figures.on_one_scale(axes[: len(moments)])
    plot_best_window(dataset, ax=axes[2])
    axes[2].set_title("best window")
    figures.letter(axes)
    figures.legend_above(figure, _named(axes[:2]))
    figures.caption(
        figure,
        f"Gain {settings['gain']:g}, T = {settings['length']}, {settings['n_batches']} batches of "
        f"{settings['batch_size']}, before and after {settings['n_updates']} updates of full BPTT. "
        f"Thin: {networks_of(dataset)}, thick: median, bands: quartiles; "
        r"$\overline{g}$: the mean full gradient. A window cuts off gradient (bias) and "
        "noise (variance): where their sum is least, steps along the gradient are best (star: the "
        "median of these windows). From the horizon on lags by themselves bring more noise than "
        "gradient. (c) The best window for batches of other sizes.",
    )
    return figure


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, sentences)
