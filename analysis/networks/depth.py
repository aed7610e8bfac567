"""Stacks of one and more layers on the same data: gradients, exponents and windows by layer."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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
        "rates": _rate_figure(data),
        "window-errors": _error_figure(data),
        "window-by-depth": _window_figure(data),
    }


def _norm_figure(data: xr.Dataset) -> Figure:
    figure = _panels(data, depth_plots.plot_norm_against_lag)
    figures.caption(
        figure,
        f"{_networks(data)} {_lines(data)}Norm of the gradient of a loss with respect to h of a "
        "layer k steps before it, by all paths, those up through the layers as well. "
        r"Dashed: $C(k+d, d)\,\rho^k$ for layer 1, $d$ layers below the top, $\ln\rho$ the largest "
        r"exponent of all layers; exact for linear layers whose W_hh is $\rho$ times the identity, "
        f"else a guide. See whether the many paths hold the gradient of low layers up.{_cut(data)}"
        f"{_chosen(data)}",
    )
    return figure


def _cut(data: xr.Dataset) -> str:
    low, high = depth_plots.norm_range(data)
    shown = figures.decades(data.log_norm)
    return " What lies outside the panels is not shown." * bool(
        ((shown < low) | (shown > high)).any()
    )


def _chosen(data: xr.Dataset) -> str:
    """Which layers are drawn, where not all are."""
    left_out = any(len(shown_layers(int(depth))) < depth for depth in data.n_layers.values)
    return " Of more than three layers the lowest, the middle and the top one are drawn." * left_out


def _exponent_figure(data: xr.Dataset) -> Figure:
    figure = _panels(
        data, depth_plots.plot_spectrum,
        depth_plots.key(data, Line2D([], [], label="the stack", **depth_plots.whole()), marks=True),
        "Which layer forgets slowest?", sharex=False,
    )  # fmt: skip
    ranked = ", of each rank, so marks may lie beside the line" * _several(data)
    figures.caption(
        figure,
        f"{_networks(data)} Lyapunov exponents{', medians' * _several(data)}{ranked}. Those of a "
        "stack (wide line) are those of its layers, each driven by the one below: see which "
        f"layers hold the largest, on the left.{_chosen(data)}",
    )
    return figure


def _rate_figure(data: xr.Dataset) -> Figure:
    handles = [
        Line2D([], [], color=figures.MEASURED, marker="o", label="measured over these lags"),
        Line2D([], [], label="predicted in the end", **figures.theory()),
        Line2D([], [], label="of the layer alone", **depth_plots.own()),
    ]
    figure = _panels(
        data, depth_plots.plot_rates, handles, "How fast does the gradient of a layer change?",
        sharex=False,
    )  # fmt: skip
    dots = "Dots: networks, line: their median, band: quartiles. " * _several(data)
    figures.caption(
        figure,
        f"{_networks(data)} {dots}Slope of the log norm of the gradient into h of each layer. "
        "Dashed: the largest Lyapunov exponent from that layer up to the top, which rules in the "
        "end; squares: that of the layer alone. Where the two part, see which one the gradient "
        "follows.",
    )
    return figure


def _error_figure(data: xr.Dataset) -> Figure:
    tolerance = percent(figures.configuration(data)["tolerance"])
    figure = _panels(
        data, depth_plots.plot_window_error,
        depth_plots.key(
            data, Line2D([], [], label="all layers", **depth_plots.whole()),
            Line2D([], [], label=f"error of {tolerance}", **figures.mark()),
        ),
        "Which window does each layer need?",
    )  # fmt: skip
    figures.caption(
        figure,
        f"{_networks(data)} {_lines(data)}Error of the gradient of the recurrent weights (W_hh, "
        "W_xh, b_h) when it goes back only K steps from every loss, layer by layer and of all "
        "layers as one vector (wide line). A window suffices from where on a line stays below the "
        f"dotted one.{_chosen(data)}",
    )
    return figure


def _window_figure(data: xr.Dataset) -> Figure:
    figure, ax = figures.new_figure(figsize=(7.4, 5.0))
    depth_plots.plot_window_by_depth(data, ax=ax)
    ax.set_title("What depth does to the window")
    tolerance = figures.configuration(data)["tolerance"]
    dots = "Dots: networks, lines: their medians, bands: quartiles. " * _several(data)
    figures.caption(
        figure,
        f"{_networks(data)} {dots}The window from which on the gradient of the recurrent weights "
        f"is within {percent(tolerance)}: of the lowest layer, of the top one, and of every layer "
        "(wide line), which the slowest of them decides.",
    )
    return figure


def _panels(
    data: xr.Dataset,
    plot: Callable[..., Axes],
    handles: Sequence[Line2D] = (),
    question: str = "How far back does the gradient of a layer reach?",
    *,
    sharex: bool = True,
) -> Figure:
    """A panel for each depth, all with one y axis; above them what lines are."""
    depths = data.n_layers.values.tolist()
    figure, axes = figures.new_figure(
        1, len(depths), figsize=(max(4.6 * len(depths), 7.0), 4.8),
        sharex=sharex, sharey=True, squeeze=False,
    )  # fmt: skip
    for ax, depth in zip(axes[0], depths, strict=True):
        plot(data, depth=depth, ax=ax)
        ax.set_title(layers_in_words(depth))
    figures.label_outer(figure)
    if handles:
        figures.legend_above(figure, handles, title=question)
    else:
        figure.suptitle(question)
    return figure


def _several(data: xr.Dataset) -> bool:
    return bool(data.sizes["network_seed"] > 1)


def _lines(data: xr.Dataset) -> str:
    return "Thin lines: networks, thick: medians, bands: quartiles. " * _several(data)


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
