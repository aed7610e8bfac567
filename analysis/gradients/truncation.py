"""Truncation: what a window loses, which window suffices, and what the geometric bound says."""

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim

from ..commands.gradients import TRUNCATION, Truncation
from ..commands.own import of_files, with_own
from ..frame import cells, figures
from ..frame.runs import Datasets
from .bias_variance_plots import plot_best_window, plot_bias_variance
from .truncation_plots import (
    TRUNCATIONS,
    plot_against_window,
    plot_bound,
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
        f"Thin: {first.network_seed.size} networks of each kind, thick: median; sliding windows, "
        f"T = {length}. Gradients are of W_hh for vanilla networks, of W_hh, W_xh and b_h together "
        f"for {_together(kinds)}.",
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
        return "dL/dW_hh"
    return "dL/d[W_hh, W_xh, b_h]" + " of every layer" * (cells.layers_of(dataset) > 1)


def _window_figure(dataset: xr.Dataset) -> Figure:
    lengths = sorted(dataset.length.values.tolist())
    figure, axes = figures.new_figure(
        2, len(lengths), figsize=(4.7 * len(lengths) + 0.5, 8.4), sharey="row", squeeze=False
    )
    for column, length in enumerate(lengths):
        for row, variable in enumerate(("truncation_log_error", "truncation_cosine")):
            ax = plot_against_window(dataset, variable, length=length, ax=axes[row, column])
            if column:
                ax.set_ylabel("")
        axes[0, column].set_title(f"T = {length} steps")
        axes[0, column].set_xlabel("")
    axes[0, 0].legend(loc="lower left")
    figures.caption(
        figure,
        "Thin: networks, thick: median, in which what rounding hides lies below all else. Sliding "
        f"windows (stride 1) beside the full gradient of {_weights(dataset)}. Where gradients "
        f"vanish a short window does; where they {_last(dataset)}explode the error stays near 1 "
        "until the window is nearly the whole sequence.",
    )
    return figure


def _sufficient_figure(dataset: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(8.5, 5.8))
    plot_sufficient_window(dataset, ax=ax)
    figures.caption(
        figure,
        "Dots: networks, lines: median, bands: quartiles; the smallest sliding window from which "
        f"on the relative error of {_gradient(dataset)} stays in tolerance. Thin horizontal lines: "
        "the whole sequence. Where a line meets its horizontal, no shorter window suffices.",
    )
    return figure


def _truncations_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(12, 5.6), sharey=True)
    gain = figures.nearest([float(g) for g in dataset.gain], [1.0])[0]
    for ax, against in zip(axes, ("window", "reach"), strict=True):
        plot_truncations(dataset, gain=gain, against=against, ax=ax)
    axes[0].set_title("equal window")
    axes[1].set_title("equal mean reach")
    axes[1].set_ylabel("")
    axes[0].legend(loc="lower left")
    figures.caption(
        figure,
        f"Gain {gain:g}, T = {int(dataset.length.max())}. Thin: networks, thick: median. A loss "
        "in a segment reaches (K + 1)/2 steps on average, in a sliding window K: left at equal "
        "window, right at equal mean reach, where what is left of the difference is due to the "
        "cuts.",
    )
    return figure


def _bound_figure(dataset: xr.Dataset) -> Figure:
    gains = figures.nearest([float(g) for g in dataset.gain], [0.5, 0.75, 0.9])
    figure, axes = figures.new_figure(
        1, len(gains), figsize=(4.7 * len(gains) + 0.5, 5.2), sharey=True, squeeze=False
    )
    for ax, gain in zip(axes[0], gains, strict=True):
        plot_bound(dataset, gain=gain, ax=ax)
        if ax is not axes[0, 0]:
            ax.set_ylabel("")
    axes[0, 0].legend(loc="upper right")
    figures.caption(
        figure,
        "Solid: exact relative error (thin: networks, thick: median). Dashed: the bound of Aicher, "
        "Foti and Fox (2019) for geometric decay, one line for each network that has one, its "
        "parameters in each panel (beta: median). Compare slopes; the distance is the price of "
        "adding up norms.",
    )
    return figure


def _bias_variance_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 3, figsize=(15, 5.4))
    settings = figures.configuration(dataset)
    for ax, moment in zip(axes, dataset.moment.values, strict=False):
        plot_bias_variance(dataset, moment=str(moment), ax=ax)
        ax.set_title(f"{moment} training")
    axes[0].legend(loc="lower left")
    axes[1].set_ylabel("")
    plot_best_window(dataset, ax=axes[2])
    figures.caption(
        figure,
        f"Gain {settings['gain']:g}, T = {settings['length']}, {settings['n_batches']} batches of "
        f"{settings['batch_size']}, before and after {settings['n_updates']} updates of full BPTT. "
        "Thin: networks, thick: median. A window cuts off gradient (bias) and noise (variance): "
        "where the sum of a network is least (star: in the median) its steps along the gradient "
        "are best. Behind the horizon (dotted) lags by themselves bring more noise than gradient. "
        "Right: the best window for batches of other sizes (dots: networks, bands: quartiles).",
    )
    return figure


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, sentences)
