"""The page of an LSTM, a GRU or a stack: a dataset in, Axes out; how to read is in docstrings."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..frame import figures
from ..frame.figures import decades, powers, pt
from ..frame.statistics import median
from . import portrait_plots as plots
from .cell_plots import even_markers
from .portrait_page import Table, configuration, filled

# How h, c and the path through c look, and of stacks the layers that are drawn.
_PARTS: dict[str, dict[str, Any]] = {
    "h": {"color": "#E69F00", "marker": "s"},
    "c": {"color": "#56B4E9", "marker": "^"},
    "path through c": {"color": "0.2", "marker": "v"},
}
_SHORT = {"path through c": "through c"}


def has_blocks(dataset: xr.Dataset) -> bool:
    """Whether a portrait is one of an LSTM, a GRU or a stack: there is no one W_hh."""
    return "gate" in dataset.dims


def n_layers(dataset: xr.Dataset) -> int:
    """L."""
    return int(dataset.sizes.get("layer", 1))


def page(dataset: xr.Dataset) -> Figure:
    """All panels, the numbers below them, and what to see."""
    panels = (
        plot_eigenvalues, plot_gates, plot_exponents, plots.plot_map, plot_lags, plot_truncation
    )  # fmt: skip
    figure = filled(panels, numbers(dataset), dataset)
    figures.caption(figure, _caption(dataset))
    return figure


def _caption(dataset: xr.Dataset) -> str:
    settings, stacked = configuration(dataset), n_layers(dataset) > 1
    state = "the state $(h, c)$" if settings.get("cell") == "lstm" else "the state" * stacked
    state += " of all layers, in the lines of layers $h$ of that one by all paths" * stacked
    state = f" Norms are of {state}." * bool(state)
    rooms = "of layers, (a) of a whole step" if stacked else "of gates, (a) of a step"
    return (
        f"{plots.sequences_in_words(dataset)} (b) The blocks of $W_{{hh}}$ {rooms}, (c) what many "
        f"steps do. {plots.gradients_in_words(dataset)}{state} Dashed: the rate $\\lambda_1$."
    )


def plot_eigenvalues(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of the Jacobians of a few steps of the first sequence, in the complex plane.

    Circle: modulus 1. One step decides nothing: gradients go by the product of all steps.
    """
    ax = figures.axes_or_new(ax)
    values = dataset.jacobian_eigenvalues.values.ravel()
    known = values[np.isfinite(values)]
    plots.circle(ax, 1.0)
    plots.draw_plane(ax, known, float(np.abs(known).max(initial=0.0)), alpha=0.5)
    n = dataset.point.size
    ax.set_title(f"Eigenvalues of {n} step{'s' * (n > 1)} {plots.UNIT}")
    return ax


def plot_gates(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Singular values of the block of W_hh of each gate: how strongly states can move the gate.

    Of stacks of vanilla networks those of some layers. Of stacks with gates the largest alone, for
    each gate of the lowest, the middle and the top layer.
    """
    ax = figures.axes_or_new(ax)
    names = np.reshape(dataset.gate.values, (n_layers(dataset), -1))  # by layer, gates
    if min(names.shape) > 1:
        _draw_norms(ax, dataset, names)
    else:
        shown = names.ravel() if len(names) == 1 else names[_shown(dataset), 0]
        _draw_spectra(ax, dataset, shown)
    most = float(np.nanmax(dataset.gate_singular_values.values, initial=0.0))
    ax.set_ylim(0.0, 1.1 * most or 1.0)
    ax.set_ylabel(r"stretches by $\sigma_i$")
    ax.set_title("Blocks of $W_{hh}$, by " + ("gate" if len(names) == 1 else "layer"))
    return ax


def _draw_spectra(ax: Axes, dataset: xr.Dataset, names: Any) -> None:
    """A line for each block, named at its end."""
    index = np.arange(1, dataset.sizes["direction"] + 1)
    every = max(1, index.size // 8)
    for k, (name, color) in enumerate(zip(names, figures.shades(len(names)), strict=True)):
        values = dataset.gate_singular_values.sel(gate=name).values
        ax.plot(
            index, values, color=color, marker=figures.MARKERS[k], label=name,
            markevery=(k * every // len(names), every),
        )  # fmt: skip
    figures.count_axis(ax.xaxis)
    ax.set_xlabel("index $i$, the largest first")
    figures.name_lines(ax)


def _draw_norms(ax: Axes, dataset: xr.Dataset, names: Any) -> None:
    """The largest singular value of each gate, a mark for each layer."""
    gates = [str(name).rpartition(" ")[2] for name in names[0]]
    rows = _shown(dataset)
    for k, (row, color) in enumerate(zip(rows, figures.shades(len(rows)), strict=True)):
        values = dataset.gate_singular_values.sel(gate=names[row]).isel(direction=0).values
        ax.plot(
            range(len(gates)), values, ls="", color=color, marker=figures.MARKERS[k], ms=pt(8),
            label=f"layer {row + 1}",
        )  # fmt: skip
    ax.set_xticks(range(len(gates)), gates)
    ax.set_xlim(-0.5, len(gates) - 0.5)
    ax.set_xlabel("gate; the largest $\\sigma_i$ of its block")
    figures.name_lines(ax)


def _shown(dataset: xr.Dataset) -> list[int]:
    """Indices of layers that are drawn: the lowest, the middle and the top."""
    L = n_layers(dataset)
    return sorted({0, (1 + L) // 2 - 1, L - 1})


def plot_exponents(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """As of vanilla networks, without a theory; what precision does not resolve is not there."""
    return plots.plot_exponents(dataset.assign(theory_exponent=np.nan), ax=ax)


def plot_lags(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} against lag k, relative to lag 0; of an LSTM also of its parts.

    Thin: sequences, thick: their mean, of the whole state. Beside it h alone, c alone, and what
    comes through c without ever leaving it: the product of forget gates. Where the path through c
    lies at the whole, the memory carries the gradient; what lies above it came through the gates.
    Of stacks h of some layers, by all paths. Dashed: the slope lambda_1, through the middle of the
    range of the fit.
    """
    ax = figures.axes_or_new(ax)
    if plots.draw_lags(ax, dataset, "state" if _parts(dataset) else "mean") is None:
        return ax
    every = max(1, int(dataset.growth_last_lag) // 6)
    for k, (name, look) in enumerate(_looks(dataset).items()):
        values = decades(dataset.log_norms_of_parts.sel(part=name))
        ax.plot(
            dataset.lag.values, values, label=_SHORT.get(name, name), lw=pt(1.7),
            markevery=(k * every // 3, every), **look,
        )  # fmt: skip
    plots.finish_lags(ax, *plots.lag_limits(ax))
    return ax


def _looks(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """How the parts that are drawn look, by name."""
    if n_layers(dataset) == 1:
        return {name: _PARTS[name] for name in _parts(dataset)}
    names = [f"layer {row + 1}" for row in _shown(dataset)]
    colors = figures.shades(len(names))
    return {
        name: {"color": color, "marker": marker}
        for name, color, marker in zip(names, colors, figures.MARKERS, strict=False)
    }


def _parts(dataset: xr.Dataset) -> list[str]:
    """Parts of the state that are not all of it."""
    names: list[str] = dataset.part.values.tolist()
    return names if len(names) > 1 else []


def plot_truncation(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Relative error of the gradient of all recurrent weights, truncated at window K, stride 1.

    The mark is the smallest window from which on the error stays below the dotted line. Of stacks
    thin lines are errors of some layers, and the window is the one that suffices in each.
    """
    ax = plots.plot_truncation(dataset, ax=ax)
    if n_layers(dataset) > 1 and np.isfinite(decades(dataset.truncation_log_error)).any():
        every = max(1, dataset.sizes["window"] // 8)
        for name, look in _looks(dataset).items():
            layer = int(name.rpartition(" ")[2])
            error = decades(dataset.truncation_log_error_of_layers.sel(layer=layer))
            ax.plot(dataset.window, error, lw=pt(1.4), markevery=every, label=name, **look)
        even_markers(ax)
        ax.legend(loc="lower left")
    return ax


def _windows(dataset: xr.Dataset) -> list[tuple[str, float]]:
    """The window of each gate, or of each layer, by name."""
    windows = dataset[f"sufficient_window_by_{_rooms(dataset)}"]
    names = map(str, dataset[_rooms(dataset)].values)
    return list(zip(names, windows.values.tolist(), strict=True))


def numbers(dataset: xr.Dataset) -> list[Table]:
    """What the tables of a page say; of steps medians."""

    def of_steps(name: str) -> str:
        number = float(median(dataset[name]))
        return f"{number:.2f}" if np.isfinite(number) else "unknown"

    length, H = int(dataset.window[-1]), dataset.unit.size
    steps = [
        ("radius (median)", of_steps("jacobian_radius")),
        ("norm (median)", of_steps("jacobian_norm")),
        ("Kaplan-Yorke dim.", f"{plots.dimension(dataset)} of {H}"),
    ]
    whole = f"{plots.value(dataset, 'sufficient_window', '.0f')} of {length}"
    return [
        Table("Single steps", steps),
        plots.rates(dataset),
        Table("Windows (steps)", [("of all", whole), *_in_short(dataset)]),
    ]


def _in_short(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """Windows of all gates, or layers, two in a row; of many layers of the lowest and the top."""
    found = _windows(dataset)
    found = [found[0], found[-1]] if len(found) > 4 else found
    rows = [found[i : i + 2] for i in range(0, len(found), 2)]
    return [
        (
            f"{_rooms(dataset)}{'s' * (len(row) > 1)} {', '.join(name for name, _ in row)}",
            ", ".join(_whole(window) for _, window in row),
        )
        for row in rows
    ]


def _whole(window: float) -> str:
    return f"{window:.0f}" if np.isfinite(window) else "?"


def _rooms(dataset: xr.Dataset) -> str:
    """What windows are given by, beside the one that suffices."""
    return "gate" if n_layers(dataset) == 1 else "layer"


def _in_words(dataset: xr.Dataset) -> list[str]:
    """The window of each gate or layer."""
    between = " " if n_layers(dataset) == 1 else ": "
    return [f"{name}{between}{_whole(window)}" for name, window in _windows(dataset)]


def window_in_words(dataset: xr.Dataset, tolerance: float) -> str:
    """The window that suffices, of all recurrent weights and of the rows of each gate."""
    window, length = float(dataset.sufficient_window), int(dataset.window[-1])
    rooms = f"by {_rooms(dataset)}: {', '.join(_in_words(dataset))}"
    whose = " in every layer" * (n_layers(dataset) > 1)
    what = f"a gradient of W_hh, W_xh and b_h within {tolerance:.0%}{whose}"
    if not np.isfinite(window):
        return f"No window is known to suffice for {what} ({rooms})."
    return f"A{what[1:]} needs a window of {window:.0f} of {length} steps ({rooms})."


def steps_in_words(dataset: xr.Dataset) -> str:
    """What single steps and gates do."""
    radius, norm = (_span(dataset[name].values) for name in ("jacobian_radius", "jacobian_norm"))
    blocks = ", ".join(
        f"{gate} {value:.2f}"
        for gate, value in zip(
            dataset.gate.values, dataset.gate_singular_values.values[:, 0], strict=True
        )
    )
    return (
        f"At {dataset.point.size} steps of the first sequence the Jacobian of one step has a "
        f"spectral radius of {radius} and a norm of {norm}; the blocks of W_hh have norms "
        f"{blocks}."
    )


def _span(values: Any) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.2f} to {known.max():.2f}" if known.size else "unknown size"


def parts_in_words(dataset: xr.Dataset) -> list[str]:
    """What comes to h, to c and through c, or to each layer, at the last lag of the fit.

    Nothing of a GRU of one layer.
    """
    last = int(dataset.growth_last_lag)
    shown = [
        f"{name} {_factor(float(dataset.log_norms_of_parts.sel(part=name, lag=last)))}"
        for name in _parts(dataset)
    ]
    if not shown:
        return []
    whose = "parts of the state" if n_layers(dataset) == 1 else "h of each layer, by all paths,"
    return [
        f"At lag {last} gradients of {whose} are, by the mean of logs and relative to the state at "
        f"lag 0: {', '.join(shown)}."
    ]


def _factor(log: float) -> str:
    """e^log, also beyond the range of numbers; 0 where it is exactly that."""
    if np.isnan(log):
        return "not known"
    decade = float(powers(log))
    if np.isneginf(log) or abs(decade) < 3:
        return f"{np.exp(log):.2g}"
    return f"10^{decade:.1f}"
