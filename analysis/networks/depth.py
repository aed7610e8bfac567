"""Stacks of one and more layers on the same data: gradients, exponents and windows by layer."""

from itertools import pairwise

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim

from ..commands.networks import DEPTH, Depth
from ..commands.own import of_files, with_own
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.statistics import median
from ..frame.words import counted, known_of, middle, part, percent
from . import depth_plots
from .cell_plots import NAMES
from .depth_plots import of_depth, shown_layers

HELP = DEPTH.help
Settings = Depth


def compute(settings: Settings, progress: bool) -> Datasets:
    """One sweep over depth."""
    with of_files(settings):
        chosen = with_own(settings, vars(settings))
        return {"depth": rnnsim.depth_sweep(progress=progress, **chosen)}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family."""
    data = datasets["depth"]
    return {
        "norm-against-lag": _norm_figure(data),
        "exponents": _exponent_figure(data),
        "window-errors": _error_figure(data),
        "window-by-depth": _window_figure(data),
    }


def _norm_figure(data: xr.Dataset) -> Figure:
    figure = _panels(data, depth_plots.plot_norm_against_lag)
    figures.caption(
        figure,
        f"{_networks(data)} Gradients into h of a layer by all paths, those up through the layers "
        "within a step as well, each relative to its own at lag 0. Thin: networks, thick: medians. "
        r"Dashed, for layer 1: $C(k+d, d)\,\rho^k$, $d$ layers below the top, $\ln\rho$ the "
        "largest exponent of all layers from this one up: exact for linear layers whose W_hh is "
        r"$\rho$ times the identity, else a guide. See whether the many paths to a lower layer "
        f"hold its gradient up at first, and how far it follows the guide.{_cut(data)}",
    )
    return figure


def _cut(data: xr.Dataset) -> str:
    low, high = depth_plots.norm_range(data)
    shown = figures.decades(data.log_norm)
    return " What lies outside the panels is not shown." * bool(
        ((shown < low) | (shown > high)).any()
    )


def _exponent_figure(data: xr.Dataset) -> Figure:
    depths = data.n_layers.values.tolist()
    figure, axes = figures.new_figure(
        2, len(depths), figsize=(_width(depths), 8.6), sharey="row", squeeze=False
    )  # fmt: skip
    for column, depth in zip(axes.T, depths, strict=True):
        depth_plots.plot_spectrum(data, depth=depth, ax=column[0])
        depth_plots.plot_rates(data, depth=depth, ax=column[1])
        column[0].set_title(layers_in_words(depth))
    for ax in axes[:, 1:].ravel():
        ax.set_ylabel("")
    axes[1, -1].legend(fontsize=10.5)
    several = data.sizes["network_seed"] > 1
    ranked = " of each rank, so marks may lie beside the line" * several
    figures.caption(
        figure,
        f"{_networks(data)} Top, medians{ranked}: the Lyapunov exponents of the stack (grey) are "
        "those of its layers, each driven by the one below: see which layers hold the largest. "
        "Bottom, dots networks, lines medians: slope of the log norm of the gradient into a layer; "
        "dashed: the largest exponent from that layer up to the top, the rate in the end; "
        "squares: its own largest exponent. "
        "See which of the two a slope follows, and how far the lags of these sequences are from "
        "the end.",
    )
    return figure


def _error_figure(data: xr.Dataset) -> Figure:
    figure = _panels(data, depth_plots.plot_window_error)
    tolerance = figures.configuration(data)["tolerance"]
    figures.caption(
        figure,
        f"{_networks(data)} Error of the gradient of the recurrent weights (W_hh, W_xh, b_h), "
        "truncated at window K: of a layer, and (thick grey, median) of all layers as one vector. "
        f"Thin: networks, thick: medians; grey: the tolerance of {percent(tolerance)}. See "
        "which layer needs the longest window, and which layers rule the error of all.",
    )
    return figure


def _window_figure(data: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(7.4, 5.6))
    depth_plots.plot_window_by_depth(data, ax=ax)
    tolerance = figures.configuration(data)["tolerance"]
    figures.caption(
        figure,
        f"{_networks(data)} The window from which on the gradient of a layer's recurrent weights "
        f"is within {percent(tolerance)}: of the lowest layer, of the top, and (thick grey) the "
        "largest of all layers. Dots: networks, lines: medians. See what depth does to the window, "
        "for these weights on these data.",
    )
    return figure


def _panels(data: xr.Dataset, plot: object) -> Figure:
    """A panel for each depth."""
    depths = data.n_layers.values.tolist()
    figure, axes = figures.new_figure(
        1, len(depths), figsize=(_width(depths), 5.6), sharey=True, squeeze=False
    )  # fmt: skip
    for ax, depth in zip(axes[0], depths, strict=True):
        plot(data, depth=depth, ax=ax)  # type: ignore[operator]
        ax.set_title(layers_in_words(depth))
        ax.label_outer()
    return figure


def _width(depths: list[int]) -> float:
    return max(4.6 * len(depths), 9.0)


def layers_in_words(depth: int) -> str:
    """ "1 layer", "2 layers"."""
    return f"{depth} layer{'s' if depth > 1 else ''}"


def _networks(data: xr.Dataset) -> str:
    settings = figures.configuration(data)
    seeds, B = data.network_seed.size, settings["batch_size"]
    bias = f", forget bias {settings['forget_bias']:g}" * (settings["cell"] != "vanilla")
    phi = f"{settings['activation']} " * (settings["cell"] == "vanilla")
    data_read = (
        f"{B} sequence{'s' if B > 1 else ''} of {data.lag.size} steps of "
        f"{cells.read_in_words(settings['task'])}."
    )
    if own := cells.own_of(data):
        return (
            f"{figures.plain(own)} ({phi}{NAMES[settings['cell']]}, {settings['n_hidden']} units a "
            f"layer, gain {settings['gain']:g}), {data_read}"
        )
    return (
        f"{seeds} {phi}{NAMES[settings['cell']]} stack{'s' if seeds > 1 else ''} of each depth "
        f"({settings['n_hidden']} units a layer, {settings['scheme']}, gain {settings['gain']:g}"
        f"{bias}), {data_read}"
    )


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    data = datasets["depth"]
    depths = data.n_layers.values.tolist()
    found = [*cells.own_in_words(data), *(_depth_in_words(data, depth) for depth in depths)]
    windows = {depth: of_depth(data, depth).largest_window for depth in sorted(depths)}
    known = {d: float(median(each)) for d, each in windows.items() if each.notnull().all()}
    return part(
        "Stacks, layer by layer",
        found,
        answer=_windows_in_words(known) if len(known) == len(depths) else "",
        advice=_window_to_choose(known, data.lag.size),
    )


def _windows_in_words(windows: dict[int, float]) -> str:
    """Whether windows grow with every layer."""
    row = list(windows.values())
    if len(row) < 2 or not all(a < b for a, b in pairwise(row)):
        return ""
    steps, depths = (", ".join(f"{x:g}" for x in each) for each in (row, windows))
    return f"Deeper stacks need longer windows: {steps} steps for {depths} layers."


def _window_to_choose(windows: dict[int, float], length: int) -> str:
    """The window of the deepest stack, where all its networks have one."""
    if not windows:
        return ""
    depth, window = max(windows), int(np.ceil(windows[max(windows)]))
    if window == length:
        return f"do not truncate {layers_in_words(depth)}."
    return f"train {layers_in_words(depth)} through {counted(window, 'step')} or more."


def _depth_in_words(data: xr.Dataset, depth: int) -> str:
    here, T = of_depth(data, depth), data.lag.size
    tolerance = percent(figures.configuration(data)["tolerance"])
    first = middle(here.exponent.isel(rank=0), lambda x: f"{x:+z.3g} nats/step")
    window = middle(here.largest_window, lambda K: f"{K:g}") + known_of(here.largest_window)
    rates = "; ".join(_layer_in_words(here.sel(layer=n), n) for n in shown_layers(depth))
    return (
        f"{layers_in_words(depth)}: the largest Lyapunov exponent is {first}; a gradient "
        f"within {tolerance} in every layer takes a window of {window} of {T} steps; {rates}."
    )


def _layer_in_words(here: xr.Dataset, layer: int) -> str:
    rate, slope = (middle(each, lambda x: f"{x:+z.3g}") for each in (here.rate, here.slope))
    window = middle(here.sufficient_window, lambda K: f"{K:g}") + known_of(here.sufficient_window)
    return (
        f"into layer {layer} the slope over these lags is {slope}, the rate in the end {rate}, the "
        f"window {window}"
    )
