"""RNN, GRU and LSTM side by side on the same data, against where their gates begin."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..commands.networks import CELLS, ComparedCells
from ..commands.own import of_files, with_own
from ..frame import cells as frame
from ..frame import figures
from ..frame.runs import Datasets
from ..frame.statistics import middles
from ..frame.words import known_of, middle, part, percent
from . import cell_plots
from .cell_plots import NAMES, start_in_words

HELP = CELLS.help
Settings = ComparedCells

_TENTH = np.log(10.0)


def compute(settings: Settings, progress: bool) -> Datasets:
    """One sweep over cells and starts."""
    unit = checks.one_of("state_scale", settings.state_scale, ("std", "none"))
    options = vars(settings) | {"state_scale": None if unit == "none" else unit}
    options["chrono"] = settings.chrono or None
    with of_files(settings):
        chosen = with_own(settings, options)
        return {"cells": rnnsim.cell_sweep(progress=progress, **chosen)}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family; those of gates where a cell has any."""
    data = datasets["cells"]
    found = {
        "norm-against-lag": _norm_figure(data),
        "windows": _window_figure(data),
        "shares": _share_figure(data),
        "exponents": _exponent_figure(data),
    }
    return found | ({"time-scales": _time_figure(data)} if _gated(data) else {})


def _panels(
    data: xr.Dataset, plot: Callable[..., Axes], handles: list[Any], question: str
) -> Figure:
    """A panel for each start, two side by side, on the same axes; above them what lines are."""
    starts = data.start.values
    columns = min(2, len(starts))
    rows = -(-len(starts) // columns)
    figure, axes = figures.new_figure(
        rows, columns, figsize=(max(5.4 * columns, 7.5), 3.6 * rows + 0.8),
        sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for ax in axes.ravel()[len(starts) :]:
        ax.remove()
    for ax, start in zip(axes.ravel(), starts, strict=False):
        plot(data, start=start, ax=ax)
        ax.set_title(start_in_words(start))
    figures.label_outer(figure)
    figures.legend_above(figure, handles, title=question)
    return figure


def _gated(data: xr.Dataset) -> bool:
    return any(cell != "vanilla" for cell in data.cell.values)


def _guided(data: xr.Dataset) -> bool:
    """Whether there is a theory of where gates begin."""
    return _gated(data) and not frame.own_of(data)


def _ungated(data: xr.Dataset) -> str:
    """Why a cell without gates is drawn in panels that differ in gates."""
    twice = _gated(data) and "vanilla" in data.cell.values and data.start.size > 1
    return " RNNs have no gates: they are the same in all panels." * twice


def _chrono(data: xr.Dataset) -> str:
    """What the panel of chrono initialisation has."""
    longest = [s.split()[1] for s in data.start.values if s.startswith("chrono")]
    texts = [f" Chrono: biases for time scales drawn evenly up to {T} steps." for T in longest]
    return "".join(texts) * _gated(data)


def _norm_figure(data: xr.Dataset) -> Figure:
    guide = "a gate that hears nothing" * _guided(data)
    figure = _panels(
        data, cell_plots.plot_norm_against_lag, cell_plots.key(data, path=True, dashed=guide),
        "How far back does the gradient reach?",
    )  # fmt: skip
    path = " The path through c is what of an LSTM's gradient never leaves its memory."
    figures.caption(
        figure,
        f"{_networks(data)}{_ungated(data)} Norm of the gradient of a loss with respect to the "
        f"state k steps before it, (h, c) of LSTMs{_of_layers(data)}{_units(data)}. "
        f"{_GUIDED * _guided(data)}A line that falls slowly reaches far."
        f"{path * cell_plots.has_path(data)}{_cut(data)}",
    )
    return figure


_GUIDED = (
    r"Dashed: what a gate keeps that hears nothing, $\sigma(b)^k$ at bias $b$, of chrono "
    "initialisation the root mean square over units. "
)


def _depth(data: xr.Dataset) -> int:
    return int(figures.configuration(data).get("n_layers", 1))


def _times(data: xr.Dataset) -> str:
    return f"{_depth(data)}" * (_depth(data) > 1)


def _of_layers(data: xr.Dataset) -> str:
    """Curves of stacks may rise from lag 0."""
    return ", of all layers (at lag 0 the top alone has a gradient)" * (_depth(data) > 1)


def _units(data: xr.Dataset) -> str:
    scaled = figures.configuration(data)["state_scale"] is not None
    return ", in units of what each component varies by" if scaled else ""


def _cut(data: xr.Dataset) -> str:
    lowest = cell_plots.norm_range(data)[0]
    below = bool((figures.decades(data.log_norm) < lowest).any())
    return f" What lies below $10^{{{lowest:.0f}}}$ is not shown." if below else ""


def _window_figure(data: xr.Dataset) -> Figure:
    tolerance = percent(figures.configuration(data)["tolerance"])
    figure = _panels(
        data, cell_plots.plot_window_error, cell_plots.key(data, dotted=f"error of {tolerance}"),
        "Which window does the gradient need?",
    )  # fmt: skip
    figures.caption(
        figure,
        f"{_networks(data)}{_ungated(data)} Error of the gradient of all recurrent weights "
        "when it goes back only K steps from every loss. The window suffices from where on a line "
        f"stays below the dotted one: see how far right that is for each cell{_moved(data)}.",
    )
    return figure


def _share_figure(data: xr.Dataset) -> Figure:
    share = percent(figures.configuration(data)["share"])
    figure = _panels(
        data, cell_plots.plot_cumulative_share, cell_plots.key(data, dotted=f"share of {share}"),
        "How much of the gradient is near?",
    )  # fmt: skip
    figures.caption(
        figure,
        f"{_networks(data)}{_ungated(data)} Share of the gradient of W_hh that comes from the "
        "last K steps before a loss; it may exceed 1 on its way, where later parts cancel. A line "
        "that rises late has much of its gradient far back.",
    )
    return figure


def _moved(data: xr.Dataset) -> str:
    return ", and how it moves with the gates" * _guided(data)


def _exponent_figure(data: xr.Dataset) -> Figure:
    gates = "what gates alone predict" * _gated(data)
    figure = _panels(
        data, cell_plots.plot_exponents, cell_plots.key(data, dashed=gates),
        "How fast does a state forget?",
    )  # fmt: skip
    alone = (
        " Dashed: what gates alone predict, the mean log of the gate that keeps, f of LSTMs and z "
        "of GRUs, sorted; where the two part, more than the gate acts."
    )
    below = bool((data.exponent < cell_plots.exponent_range(data)[0]).any())
    figures.caption(
        figure,
        f"{_networks(data)}{_ungated(data)} The {_times(data)}H largest Lyapunov exponents of the "
        "state: a difference along direction i grows by $\\lambda_i$ nats a step, and dies the "
        f"slower the closer that is to 0 from below.{alone * _gated(data)}"
        f"{' What lies below the panels is not shown.' * below}",
    )
    return figure


def _time_figure(data: xr.Dataset) -> Figure:
    gated = data.sel(cell=data.cell != "vanilla")
    key = cell_plots.key(
        gated, dashed="gates that hear nothing" * _guided(data),
        dotted=f"the {data.lag.size} steps of a sequence",
    )  # fmt: skip
    figure = _panels(
        gated, cell_plots.plot_time_scales, key, "How long do gates hold what they have?"
    )
    figures.caption(
        figure,
        f"{_networks(data)} The steps in which the gate of a unit shrinks its state by a factor e, "
        "-1/<ln f> of LSTMs and -1/<ln z> of GRUs, <> the mean over steps and sequences; units "
        "sorted. Units above the dotted line hold "
        "on for longer than a sequence lasts.",
    )
    return figure


def _networks(data: xr.Dataset) -> str:
    settings, layers = figures.configuration(data), _depth(data)
    seeds, B = data.network_seed.size, settings["batch_size"]
    each = f" in each of {layers} layers" * (layers > 1)
    own = frame.own_of(data)
    drawn = f"{seeds} network{'s' if seeds > 1 else ''} of each kind"
    how = "" if own else f", {settings['scheme']}"
    return (
        f"{figures.plain(own) or drawn} ({settings['n_hidden']} units"
        f"{each}{how}, gain {settings['gain']:g}), "
        f"{B} sequence{'s' if B > 1 else ''} of {data.lag.size} "
        f"steps of {frame.read_in_words(settings['task'])}."
        f"{' Thin lines: networks, thick: medians, bands: quartiles.' * (seeds > 1)}"
        f"{_chrono(data)}"
    )


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    data = datasets["cells"]
    found, tenths = frame.own_in_words(data), {}
    for cell in data.cell.values:
        gated = cell != "vanilla"
        for start in data.start.values if gated else data.start.values[:1]:
            here = data.sel(cell=cell, start=start)
            name = NAMES[cell] + f" of {_depth(data)} layers" * (_depth(data) > 1)
            name += f", {start_in_words(start)}" * (gated and start != "own")
            gates = _gates_in_words(here) if gated else ""
            found.append(f"{name}: {_gradient_in_words(here)}{gates}.")
            tenths[name] = min(middles(tenth_lags(here)))
    return part("Cells side by side", found, answer=_farthest_in_words(tenths))


def _farthest_in_words(tenths: Mapping[str, float]) -> str:
    """Whose gradients take longest to fall to a tenth, where that differs."""
    known = {name: lag for name, lag in tenths.items() if not np.isnan(lag)}
    farthest = [name for name, lag in known.items() if lag == max(known.values())]
    if len(farthest) == len(known):
        return ""
    return f"Gradients reach farthest back in {' and in '.join(farthest)}."


def tenth_lags(data: xr.Dataset) -> npt.NDArray[np.float64]:
    """The first lag (networks,) at which a norm is a tenth or less; infinite where none is."""
    norms = data.log_norm.transpose("network_seed", "lag").values
    below = norms <= -_TENTH
    first = np.where(below.any(axis=1), below.argmax(axis=1), np.inf)
    return np.where(np.isnan(norms).all(axis=1), np.nan, first)


def _gradient_in_words(data: xr.Dataset) -> str:
    settings, T = figures.configuration(data), data.lag.size
    everywhere = " in every layer" * (_depth(data) > 1)
    tenth = middle(tenth_lags(data), lambda k: f"{k:g}" if np.isfinite(k) else f"beyond {T - 1}")
    window, reach = (
        f"{middle(each, lambda K: f'{K:g}')}{known_of(each)}"
        for each in (data.sufficient_window, data.reach)
    )
    exponent = middle(data.exponent.isel(unit=0), lambda x: f"{x:+z.3g} nats/step")
    return (
        f"the first lag with a tenth of the norm is {tenth}; a gradient within "
        f"{percent(settings['tolerance'])}{everywhere} takes a window of {window} of {T} steps, "
        f"{percent(settings['share'])} of dL/dW_hh a window of {reach}; the largest "
        f"Lyapunov exponent is {exponent}"
    )


def _gates_in_words(data: xr.Dataset) -> str:
    predicted = middle(data.predicted_exponent.isel(unit=0), lambda x: f"{x:+z.3g}")
    apart = middle(data.deviation, lambda x: f"{x:.3g}")
    scale = middle(data.time_scale, lambda x: f"{x:.3g}")
    return (
        f", where gates alone predict {predicted}, with a largest deviation of {apart} over "
        f"{data.sizes['unit']} exponents; the median unit forgets by e in {scale} steps"
    )
