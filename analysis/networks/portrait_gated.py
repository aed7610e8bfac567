"""The page of an LSTM, a GRU or a stack: a dataset in, Axes out; how to read is in docstrings."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from ..frame import figures
from ..frame.figures import decades
from ..frame.statistics import median
from ..gradients.norm_plots import DECADE
from . import portrait_plots as plots
from .portrait_page import (
    GUIDE,
    MEASURED,
    RATIO,
    THEORY,
    THIN,
    configuration,
    filled,
    log_axis,
    nothing,
    write_strip,
)

_PARTS: dict[str, dict[str, Any]] = {
    "h": {"color": "#E69F00", "marker": "s"},
    "c": {"color": "#56B4E9", "marker": "^"},
    "path through c": {"color": "0.2", "marker": "v"},
}
_SHARES = (1.15, 1.15, 1.45, 1.45, 1.25, 1.0, 1.25, 1.6)  # of the page's width
_TOP, _ROW = 0.42, 0.075  # where the gates' rows begin, and their height, of the panel


def has_blocks(dataset: xr.Dataset) -> bool:
    """Whether a portrait is one of an LSTM, a GRU or a stack: there is no one W_hh."""
    return "gate" in dataset.dims


def n_layers(dataset: xr.Dataset) -> int:
    """L."""
    return int(dataset.sizes.get("layer", 1))


def page(dataset: xr.Dataset) -> Figure:
    """All panels, the numbers below them, and what to see."""
    panels = (
        plot_eigenvalues, plot_gates, plot_exponents, plots.plot_map, plot_lags, plot_truncation,
        write_numbers,
    )  # fmt: skip
    return filled(panels, dataset, _caption(dataset))


def _caption(dataset: xr.Dataset) -> str:
    settings, stacked = configuration(dataset), n_layers(dataset) > 1
    state = "the state $(h, c)$" if settings.get("cell") == "lstm" else "the state" * stacked
    state += " of all layers, in the lines of layers $h$ of that one by all paths" * stacked
    state = f"; $h$ in $\\partial h$: {state}" * bool(state)
    return (
        f"{settings['batch_size']} sequences of {settings['length']} steps; thin lines: sequences, "
        "thick lines and the map: their mean; logs are averaged. Dashed: the slope that "
        f"$\\lambda_1$ predicts{state}. Top: what single steps and "
        f"{'blocks' if stacked else 'gates'} do, and what many steps do. Bottom: what becomes of "
        "gradients on their way back, and the window that catches them "
        "(of $W_{hh}$, $W_{xh}$ and $b_h$ together)."
    )


def plot_eigenvalues(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Eigenvalues of the Jacobians of a few steps of the first sequence, in the complex plane.

    Circle: modulus 1. One step decides nothing: gradients go by the product of all steps.
    """
    ax = figures.axes_or_new(ax)
    values = dataset.jacobian_eigenvalues.values.ravel()
    known = values[np.isfinite(values)]
    ax.plot(known.real, known.imag, ls="", marker="o", ms=6, mew=0, color=MEASURED, alpha=0.5)
    ax.add_patch(Circle((0, 0), 1.0, fill=False, ec="0.35", lw=2.0, zorder=3))
    bound = 1.1 * max(1.0, float(np.abs(known).max(initial=0.0)))
    ax.set_aspect("equal")
    ax.set(xlim=(-bound, bound), ylim=(-bound, bound))
    ax.set_xlabel(r"Re $\lambda$")
    ax.set_ylabel(r"Im $\lambda$")
    ax.set_title(rf"Eigenvalues of $\partial h_t/\partial h_{{t-1}}$, {dataset.point.size} steps")
    return ax


def plot_gates(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Singular values of the block of W_hh of each gate: how strongly states can move the gate.

    Of stacks those of some layers, each in a colour of its own.
    """
    ax = figures.axes_or_new(ax)
    index = np.arange(1, dataset.sizes["direction"] + 1)
    every, L = max(1, index.size // 8), n_layers(dataset)
    names = np.reshape(dataset.gate.values, (L, -1))  # by layer, gates
    shown = names if L == 1 else names[np.array(_shown(dataset, len(names[0]))) - 1]
    colors = figures.shades(shown.size if L == 1 else len(shown))
    for k, (layer, gate) in enumerate(np.ndindex(*shown.shape)):
        values = dataset.gate_singular_values.sel(gate=shown[layer, gate]).values
        marker = figures.MARKERS[gate if names.shape[1] > 1 else layer]
        color = colors[k if L == 1 else layer]
        ax.plot(
            index, values, color=color, lw=2.5, marker=marker, markevery=every,
            label=shown[layer, gate],
        )  # fmt: skip
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("index $i$")
    ax.set_ylabel(r"singular value $\sigma_i$")
    ax.set_title("Blocks of $W_{hh}$, by " + ("gate" if L == 1 else "layer"))
    ax.legend(ncols=len(shown) if shown.size > 4 else 1)
    return ax


def _shown(dataset: xr.Dataset, n_blocks: int = 1) -> list[int]:
    """Layers that are drawn: the lowest, the middle and the top; of many blocks no middle."""
    L = n_layers(dataset)
    return sorted({1, L} if n_blocks > 1 else {1, (1 + L) // 2, L})


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
    lag, last = dataset.lag.values, int(dataset.growth_last_lag)
    curves = decades(dataset.log_norms.transpose("sequence", "lag"))
    if not np.isfinite(curves[:, 1:]).any():
        return nothing(ax, "Gradients against lag", dataset)
    known = np.asarray(np.isfinite(curves).all(axis=0))
    mean = np.where(known, np.where(known, curves, 0.0).mean(axis=0), np.nan)
    ax.plot(lag, curves.T, **THIN)
    ax.plot(lag, mean, color=MEASURED, lw=3.5, label="state" if _parts(dataset) else "measured")
    styles = _PARTS if n_layers(dataset) == 1 else _layer_styles(dataset)
    for name in [name for name in _parts(dataset) if name in styles]:
        values = decades(dataset.log_norms_of_parts.sel(part=name))
        style: dict[str, Any] = {"ms": 8, "lw": 2.2, "markevery": max(1, last // 8)}
        ax.plot(lag, values, label=name, **styles[name], **style)
    first, slope = int(dataset.growth_first_lag), float(dataset.exponents[0]) / DECADE
    middle = float(median(mean[first : last + 1]))
    if np.isfinite([slope, middle]).all():
        line = middle + slope * (lag - 0.5 * (first + last))
        ax.plot(lag[: last + 1], line[: last + 1], **THEORY, label=r"slope $\lambda_1$")
    ax.set_xlim(0, last)
    low, high = ax.get_ylim()
    log_axis(ax, min(low, -0.5), max(high, 0.5) + 0.1 * max(high - low, 1.0))
    ax.axhline(0.0, **GUIDE, zorder=1)
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(RATIO)
    ax.legend(loc="best")
    ax.set_title("Gradients on their way back")
    return ax


def _layer_styles(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """How the layers that are drawn look, by name."""
    looks = zip(_shown(dataset), list(_PARTS.values()), strict=False)
    return {f"layer {layer}": look for layer, look in looks}


def _parts(dataset: xr.Dataset) -> list[str]:
    """Parts of the state that are not all of it."""
    names: list[str] = dataset.part.values.tolist()
    return names if len(names) > 1 else []


def plot_truncation(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Relative error of the gradient of all recurrent weights, truncated at window K, stride 1.

    The mark is the smallest window from which on the error stays below the thin horizontal; the
    letters below are where the rows of each gate alone have theirs. Of stacks the numbers below are
    the layers, thin lines are errors of some of them, and the mark is the window that suffices in
    each.
    """
    ax = plots.plot_truncation(dataset, ax=ax)
    if n_layers(dataset) > 1 and np.isfinite(decades(dataset.truncation_log_error)).any():
        for layer in _shown(dataset):
            error = decades(dataset.truncation_log_error_of_layers.sel(layer=layer))
            ax.plot(dataset.window, error, color="0.3", lw=1.2, label=f"_layer {layer}")
    marked = _windows(dataset)
    if n_layers(dataset) > 1:
        marked = [marked[layer - 1] for layer in _shown(dataset)]
    for i, (name, window) in enumerate(marked):
        if np.isfinite(window):
            place = (window, _TOP - i * _ROW)
            where: dict[str, Any] = {"transform": ax.get_xaxis_transform()}
            marker = figures.MARKERS[i % len(figures.MARKERS)]
            ax.plot(*place, ls="", marker=marker, ms=8, color="0.3", **where)
            ax.annotate(
                name, place, (-9, 0), xycoords=where["transform"], textcoords="offset points",
                ha="right", va="center",
            )  # fmt: skip
    return ax


def _windows(dataset: xr.Dataset) -> list[tuple[str, float]]:
    """The window of each gate, or of each layer, by name."""
    windows = dataset[f"sufficient_window_by_{_rooms(dataset)}"]
    names = map(str, dataset[_rooms(dataset)].values)
    return list(zip(names, windows.values.tolist(), strict=True))


def numbers(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """What the strip of numbers says: (name, value with unit) from left to right."""

    def of_steps(name: str) -> str:
        value = float(median(dataset[name]))
        return f"{value:.2f}" if np.isfinite(value) else "unknown"

    return [
        ("radius of a step\n(median)", of_steps("jacobian_radius")),
        ("norm of a step\n(median)", of_steps("jacobian_norm")),
        *plots.measured_numbers(dataset),
        (f"windows of {_rooms(dataset)}s\n(steps)", _in_short(dataset)),
    ]


def _in_short(dataset: xr.Dataset) -> str:
    """As many as the strip has room for: of many layers the lowest and the top."""
    words = _in_words(dataset)
    if n_layers(dataset) > 3:
        words = [words[0], words[-1]]
    return " ".join(words) if n_layers(dataset) == 1 else ", ".join(words)


def _rooms(dataset: xr.Dataset) -> str:
    """What windows are given by, beside the one that suffices."""
    return "gate" if n_layers(dataset) == 1 else "layer"


def _in_words(dataset: xr.Dataset) -> list[str]:
    """The window of each gate or layer."""
    between = " " if n_layers(dataset) == 1 else ": "
    return [
        f"{name}{between}{f'{window:.0f}' if np.isfinite(window) else '?'}"
        for name, window in _windows(dataset)
    ]


def window_in_words(dataset: xr.Dataset, tolerance: float) -> str:
    """The window that suffices, of all recurrent weights and of the rows of each gate."""
    window, length = float(dataset.sufficient_window), int(dataset.window[-1])
    rooms = f"by {_rooms(dataset)}: {', '.join(_in_words(dataset))}"
    whose = " in every layer" * (n_layers(dataset) > 1)
    what = f"a gradient of W_hh, W_xh and b_h within {tolerance:.0%}{whose}"
    if not np.isfinite(window):
        return f"No window is known to suffice for {what} ({rooms})."
    return f"A{what[1:]} needs a window of {window:.0f} of {length} steps ({rooms})."


def write_numbers(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """A strip of the numbers that say it all: names above, values below."""
    return write_strip(numbers(dataset), _SHARES, ax=ax)


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
    decade = log / DECADE
    if np.isneginf(log) or abs(decade) < 3:
        return f"{np.exp(log):.2g}"
    return f"10^{decade:.1f}"
