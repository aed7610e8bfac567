"""Truncation: what a window loses, which window suffices, and what the geometric bound says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import rnnsim

from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.settings import DRAW_HELP, Cells, Ensemble, Own, flag, of_files, with_own
from ..frame.statistics import median
from ..frame.words import known_of, listing, middle, networks_of, percent, share
from .bias_variance_plots import plot_best_window, plot_bias_variance
from .norm_plots import one_network_set
from .truncation_plots import (
    TRUNCATIONS,
    bounds_of,
    decay,
    known_errors,
    plot_bound,
    plot_cosine,
    plot_error,
    plot_one_error,
    plot_sufficient_window,
    plot_truncations,
)

HELP = "Error and cosine of truncated gradients; the window that suffices."

_GAINS = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)


@dataclass(frozen=True)
class Settings(Own, Cells, Ensemble):
    """What to simulate."""

    gain: Annotated[tuple[float, ...], flag("Gains: factors of W_hh.")] = _GAINS
    length: Annotated[tuple[int, ...], flag("Sequence lengths T, in steps.")] = (50, 100, 200)
    windows: Annotated[
        tuple[int, ...] | None, flag("Truncation windows K; two per octave unless given.")
    ] = None
    tolerance: Annotated[float, flag("Relative error at which a window suffices.")] = 0.1
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"
    n_batches: Annotated[int, flag("Batches for bias and variance of windows.")] = 16
    n_updates: Annotated[int, flag("Updates of full BPTT between their two moments.")] = 200


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
        f"Thin: {networks_of(first)} of each kind, thick: median; sliding windows, "
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
        f"{networks_of(dataset)} of each gain, thick: their median. Where gradients vanish a short "
        f"window does; where they {_last(dataset)}explode the error stays near 100% until the "
        "window is nearly the whole sequence.",
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
        "median. (a) A loss in a segment reaches (K + 1)/2 steps on average, in a sliding window "
        "K. (b) At equal mean reach what is left of the difference is due to the cuts.",
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
        "How far theory is from what a window loses. Dashed: the bound of Aicher, Foti and Fox "
        f"(2019), from the size of states and from gradients that decay by a constant factor a "
        f"step from lag {bounds_of(dataset, gains[0])[0].tau} on (estimated; medians over "
        "networks, of which one without a bound counts as infinite). Thin: "
        f"{networks_of(dataset)}, thick: their median. Compare slopes; the "
        "distance is the price of adding up norms.",
    )
    return figure


def _bias_variance_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 3, figsize=(15, 5.0))
    settings = figures.configuration(dataset)
    moments = [str(moment) for moment in dataset.moment.values]
    for ax, moment in zip(axes, moments, strict=False):
        plot_bias_variance(dataset, moment=moment, ax=ax)
        ax.set_title(f"{moment} training")
    plot_best_window(dataset, ax=axes[2])
    axes[2].set_title("best window")
    figures.letter(axes)
    figures.legend_above(figure, _named(axes[:2]))
    figures.caption(
        figure,
        f"Gain {settings['gain']:g}, T = {settings['length']}, {settings['n_batches']} batches of "
        f"{settings['batch_size']}, before and after {settings['n_updates']} updates of full BPTT; "
        f"{networks_of(dataset)}. A window cuts off gradient (bias) and noise (variance): where "
        "their sum is least (star: medians) steps along the gradient are best. From the horizon on "
        "lags by themselves bring more noise than gradient. (c) The best window for batches of "
        "other sizes.",
    )
    return figure


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, _sentences)


def _sentences(datasets: Datasets) -> list[str]:
    data = one_network_set(datasets["windows"]).isel(length=-1)
    gains = figures.nearest(data.gain.values, [0.5, 1.0, 2.0])
    tolerance = percent(figures.configuration(datasets["windows"])["tolerance"])
    sentences = [
        f"At gain {gain:g} a gradient within {tolerance} {_sufficient(data.sel(gain=gain))}."
        for gain in gains
    ]
    sentences.append(_segments_in_words(data))
    if cells.is_plain(data):
        sentences.append(_bounds_in_words(datasets["windows"]))
    if "bias-variance" in datasets:
        sentences += _bias_variance_in_words(datasets["bias-variance"])
    return sentences


def _sufficient(data: xr.Dataset) -> str:
    """The median window, of the networks that have one."""
    windows, length = data.sufficient_window, int(data.length)
    window = float(median(windows))
    if np.isnan(window):
        return "has no window that is known to suffice"
    part = "the whole sequence" if window == length else f"{share(window / length)} of the sequence"
    return f"needs a window of {window:g} of {length} steps ({part}){known_of(windows)}"


def _segments_in_words(data: xr.Dataset) -> str:
    gain = figures.nearest(data.gain.values, [1.0])[0]
    length = int(data.length)
    window = int(figures.nearest(data.window.values, [length / 8])[0])
    errors = known_errors(data.sel(gain=gain, window=window))
    sliding, segments = (np.exp(median(errors.sel(truncation=name))) for name in TRUNCATIONS)
    start = f"At gain {gain:g} and window {window}, "
    if np.isnan([sliding, segments]).any():
        return f"{start}no error is known."
    words = [f"{x:.2g}" if x > 0 else "less than is known" for x in (segments, sliding)]
    comparison = "more" if segments > sliding else "no more"
    return (
        f"{start}segments err {comparison} than sliding windows: {words[0]} against {words[1]} of "
        f"the full gradient (medians){known_of(errors.sel(truncation='sliding'))}."
    )


def _bounds_in_words(dataset: xr.Dataset) -> str:
    """Where the bound says nothing, counted over all networks of each gain."""
    n = dataset.sizes["network_seed"]
    silent = {
        float(gain): sum(not bound.beta < 1 for bound in bounds)
        for gain, bounds in (
            (gain, bounds_of(dataset, float(gain))) for gain in one_network_set(dataset).gain.values
        )
    }
    everywhere = [gain for gain, count in silent.items() if count == n]
    partly = [f"{gain:g} ({count} of {n})" for gain, count in silent.items() if 0 < count < n]
    words = [listing("gain", everywhere, "none of the gains")]
    words += [f"for some networks at gain {', '.join(partly)}"] if partly else []
    return (
        "The geometric bound says nothing (decay beta not known to be below 1) at "
        f"{'; '.join(words)}."
    )


def _bias_variance_in_words(dataset: xr.Dataset) -> list[str]:
    """Best window and horizon, for the batches that were drawn and for others."""
    settings = figures.configuration(dataset)
    T, B = settings["length"], settings["batch_size"]
    sentences = []
    for moment in dataset.moment.values:
        data = dataset.sel(moment=moment, batch=B)
        start = f"{str(moment).capitalize()} training, with batches of {B}, "
        sentences.append(f"{start}{_best_in_words(data, T)}.")
        sentences.append(f"{start}{_horizon_in_words(data.horizon)}.")
    for moment in dataset.moment.values:
        windows = dataset.best_window.sel(moment=moment).transpose("batch", "network_seed")
        if np.isnan(windows).all():
            continue
        best = ", ".join(middle(row, lambda x: f"{x:g}") for row in windows.values)
        sizes = ", ".join(f"{size}" for size in dataset.batch.values)
        sentences.append(f"Best windows {moment} training for batches of {sizes}: {best} steps.")
    if frozen := int((dataset.diverged >= 0).sum()):
        sentences.append(
            f"{frozen} of {dataset.diverged.size} networks left the floating-point range while "
            "they were trained and stayed with their last finite weights."
        )
    return sentences


def _best_in_words(data: xr.Dataset, length: int) -> str:
    """Medians over networks: the best window, what it saves, which others may be as good."""
    if np.isnan(data.best_window).all():
        return "no best window is known"
    low, best, high = (
        middle(data[name], lambda x: f"{x:g}")
        for name in ("shortest_window", "best_window", "longest_window")
    )
    words = f"the best window is {best} of {length} steps"
    ratios = (data.best_error / data.full_error.where(data.full_error > 0)).values
    if not np.isnan(ratios).all():
        words += f", its squared error {middle(ratios, share)} of that of the full gradient"
    if not np.isnan(data.shortest_window).all():
        words += f", and windows from {low} to {high} are not known to be worse"
    return f"{words} (medians){known_of(data.best_window)}"


def _horizon_in_words(horizon: xr.DataArray) -> str:
    lag = float(median(horizon))
    if np.isnan(lag):
        return "it is not known from which lag on noise prevails"
    if lag < 0:
        return f"even lag 0 brings more noise than gradient (median){known_of(horizon)}"
    return f"the last lag with more gradient than noise is {lag:g} (median){known_of(horizon)}"
