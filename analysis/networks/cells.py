"""RNN, GRU and LSTM side by side on the same data, against where their gates begin."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import xarray as xr
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
    """All figures of this family."""
    data = datasets["cells"]
    return {
        "norm-against-lag": _norm_figure(data),
        "windows": _window_figure(data),
        "exponents-and-time-scales": _exponent_figure(data),
    }


def _norm_figure(data: xr.Dataset) -> Figure:
    starts = data.start.values
    columns = min(2, len(starts))
    rows = -(-len(starts) // columns)
    figure, axes = figures.new_figure(
        rows, columns, figsize=(max(5.4 * columns, 9.0), 3.5 * rows + 2.2),
        sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for ax in axes.ravel()[len(starts) :]:
        ax.set_axis_off()
    for ax, start in zip(axes.ravel(), starts, strict=False):
        cell_plots.plot_norm_against_lag(data, start=start, ax=ax)
        ax.set_title(start_in_words(start))
        ax.label_outer()
    for ax in axes.ravel()[len(starts) - columns : len(starts)]:  # the lowest of each column
        ax.set_xlabel("lag $k$ (steps)")
        ax.xaxis.set_tick_params(labelbottom=True)
    dotted = "LSTM, path through c" if "lstm" in data.cell.values else ""
    path = ", and how much of an LSTM's gradient takes the path through c alone (dotted)"
    own = frame.own_of(data)
    guide = "" if own else "a gate that hears nothing"
    handles = cell_plots.key(data, dashed=guide, dotted=dotted)
    figure.legend(handles=handles, loc="outside upper center", ncols=5, fontsize=11.5)
    figures.caption(
        figure,
        f"{_networks(data)} Norms are of the whole state, (h, c) of LSTMs{_of_layers(data)}"
        f"{_units(data)}, each "
        "relative to its own at lag 0. Thin: networks, thick: medians. "
        f"{'' if own else _GUIDED}"
        f"See how far {'gradients go' if own else 'each cell follows it'}{path if dotted else ''}."
        f"{_cut(data)}",
    )
    return figure


_GUIDED = (
    r"Dashed, as a guide: what a gate keeps that hears nothing, $\sigma(b)^k$, of chrono "
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
    settings = figures.configuration(data)
    figure, axes = _grid(data)
    for j, start in enumerate(data.start.values):
        cell_plots.plot_window_error(data, start=start, ax=axes[0, j])
        cell_plots.plot_cumulative_share(data, start=start, ax=axes[1, j])
        axes[0, j].set_title(start_in_words(start))
    _finish(figure, axes, cell_plots.key(data))
    figures.caption(
        figure,
        f"{_networks(data)} Thin: networks, thick: medians. Top: error of the gradient of all "
        "recurrent weights, truncated at window K; grey: the tolerance of "
        f"{percent(settings['tolerance'])}. Bottom: share of dL/dW_hh that comes from lags below "
        f"K, which may exceed 1 on its way; grey: 1, and {percent(settings['share'])}. See which "
        f"window a cell needs for these weights on these data{_moved(data)}.",
    )
    return figure


def _moved(data: xr.Dataset) -> str:
    return ", and how that moves with its gates" * (not frame.own_of(data))


def _gates_alone(data: xr.Dataset) -> str:
    """What the dashed lines of time scales say of networks that were drawn."""
    return "dashed: of gates that hear nothing; " * (not frame.own_of(data))


def _exponent_figure(data: xr.Dataset) -> Figure:
    figure, axes = _grid(data)
    for j, start in enumerate(data.start.values):
        cell_plots.plot_exponents(data, start=start, ax=axes[0, j])
        cell_plots.plot_time_scales(data, start=start, ax=axes[1, j])
        axes[0, j].set_title(start_in_words(start))
    _finish(figure, axes, cell_plots.key(data, dashed="gates alone"))
    figures.caption(
        figure,
        f"{_networks(data)} Thin: networks, thick: medians. Top, on axes of their own: the "
        f"{_times(data)}H largest Lyapunov exponents of the state; dashed: what gates alone "
        "predict, <ln f> of LSTMs and <ln z> of GRUs, sorted. See where the two part: there more "
        "than the gate acts. Bottom: time scales of units, -1/<ln f> or -1/<ln z>, sorted; "
        f"{_gates_alone(data)}grey: the {data.lag.size} steps of a sequence.",
    )
    return figure


def _grid(data: xr.Dataset) -> tuple[Figure, npt.NDArray[np.object_]]:
    columns = len(data.start.values)
    return figures.new_figure(
        2, columns, figsize=(max(4.3 * columns, 9.0), 9.0), sharex="row", squeeze=False
    )  # fmt: skip


def _finish(figure: Figure, axes: npt.NDArray[np.object_], handles: list[object]) -> None:
    for ax in axes[:, 1:].ravel():
        ax.set_ylabel("")
    figures.on_one_scale(axes[1])
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=12)


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
