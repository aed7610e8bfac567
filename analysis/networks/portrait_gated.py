"""The page of an LSTM or GRU: a dataset in, Axes out; how to read is in docstrings."""

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


def is_gated(dataset: xr.Dataset) -> bool:
    """Whether a portrait is one of an LSTM or GRU."""
    return "gate" in dataset.dims


def page(dataset: xr.Dataset) -> Figure:
    """All panels, the numbers below them, and what to see."""
    panels = (
        plot_eigenvalues, plot_gates, plot_exponents, plots.plot_map, plot_lags, plot_truncation,
        write_numbers,
    )  # fmt: skip
    return filled(panels, dataset, _caption(dataset))


def _caption(dataset: xr.Dataset) -> str:
    settings = configuration(dataset)
    state = "; $h$ in $\\partial h$: the state $(h, c)$" if settings["cell"] == "lstm" else ""
    return (
        f"{settings['batch_size']} sequences of {settings['length']} steps; thin lines: sequences, "
        "thick lines and the map: their mean; logs are averaged. Dashed: the slope that "
        f"$\\lambda_1$ predicts{state}. Top: what single steps and gates do, and what many steps "
        "do. Bottom: what becomes of gradients on their way back, and the window that catches them "
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
    """Singular values of the block of W_hh of each gate: how strongly states can move the gate."""
    ax = figures.axes_or_new(ax)
    index = np.arange(1, dataset.sizes["direction"] + 1)
    every = max(1, index.size // 8)
    gates = dataset.gate.values.tolist()
    for i, (gate, color) in enumerate(zip(gates, figures.shades(len(gates)), strict=True)):
        values = dataset.gate_singular_values.sel(gate=gate).values
        marker = figures.MARKERS[i]
        ax.plot(index, values, color=color, lw=2.5, marker=marker, markevery=every, label=gate)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("index $i$")
    ax.set_ylabel(r"singular value $\sigma_i$")
    ax.set_title("Blocks of $W_{hh}$, by gate")
    ax.legend()
    return ax


def plot_exponents(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """As of vanilla networks, without a theory; what precision does not resolve is not there."""
    return plots.plot_exponents(dataset.assign(theory_exponent=np.nan), ax=ax)


def plot_lags(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k} against lag k, relative to lag 0; of an LSTM also of its parts.

    Thin: sequences, thick: their mean, of the whole state. Beside it h alone, c alone, and what
    comes through c without ever leaving it: the product of forget gates. Where the path through c
    lies at the whole, the memory carries the gradient; what lies above it came through the gates.
    Dashed: the slope lambda_1, through the middle of the range of the fit.
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
    for name in _parts(dataset):
        values = decades(dataset.log_norms_of_parts.sel(part=name))
        style: dict[str, Any] = {"ms": 8, "lw": 2.2, "markevery": max(1, last // 8)}
        ax.plot(lag, values, label=name, **_PARTS[name], **style)
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


def _parts(dataset: xr.Dataset) -> list[str]:
    """Parts of the state that are not all of it."""
    names: list[str] = dataset.part.values.tolist()
    return names if len(names) > 1 else []


def plot_truncation(dataset: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Relative error of the gradient of all recurrent weights, truncated at window K, stride 1.

    The mark is the smallest window from which on the error stays below the thin horizontal; the
    letters below are where the rows of each gate alone have theirs.
    """
    ax = plots.plot_truncation(dataset, ax=ax)
    by_gate = dataset.sufficient_window_by_gate
    for i, (gate, window) in enumerate(zip(dataset.gate.values, by_gate.values, strict=True)):
        if np.isfinite(window):
            place = (window, _TOP - i * _ROW)
            where: dict[str, Any] = {"transform": ax.get_xaxis_transform()}
            ax.plot(*place, ls="", marker=figures.MARKERS[i], ms=8, color="0.3", **where)
            ax.annotate(
                gate, place, (-9, 0), xycoords=where["transform"], textcoords="offset points",
                ha="right", va="center",
            )  # fmt: skip
    return ax


def numbers(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """What the strip of numbers says: (name, value with unit) from left to right."""

    def of_steps(name: str) -> str:
        value = float(median(dataset[name]))
        return f"{value:.2f}" if np.isfinite(value) else "unknown"

    return [
        ("radius of a step\n(median)", of_steps("jacobian_radius")),
        ("norm of a step\n(median)", of_steps("jacobian_norm")),
        *plots.measured_numbers(dataset),
        ("windows of gates\n(steps)", " ".join(_windows(dataset))),
    ]


def _windows(dataset: xr.Dataset) -> list[str]:
    """The window of each gate."""
    by_gate = dataset.sufficient_window_by_gate.values.tolist()
    return [
        f"{gate} {f'{window:.0f}' if np.isfinite(window) else '?'}"
        for gate, window in zip(dataset.gate.values, by_gate, strict=True)
    ]


def window_in_words(dataset: xr.Dataset, tolerance: float) -> str:
    """The window that suffices, of all recurrent weights and of the rows of each gate."""
    window, length = float(dataset.sufficient_window), int(dataset.window[-1])
    gates = f"by gate: {', '.join(_windows(dataset))}"
    what = f"a gradient of W_hh, W_xh and b_h within {tolerance:.0%}"
    if not np.isfinite(window):
        return f"No window is known to suffice for {what} ({gates})."
    return f"A{what[1:]} needs a window of {window:.0f} of {length} steps ({gates})."


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
    """What comes to h, to c and through c, at the last lag of the fit; nothing of a GRU."""
    last = int(dataset.growth_last_lag)
    shown = [
        f"{name} {_factor(float(dataset.log_norms_of_parts.sel(part=name, lag=last)))}"
        for name in _parts(dataset)
    ]
    if not shown:
        return []
    return [
        f"At lag {last} gradients of parts of the state are, by the mean of logs and relative to "
        f"the state at lag 0: {', '.join(shown)}."
    ]


def _factor(log: float) -> str:
    """e^log, also beyond the range of numbers; 0 where it is exactly that."""
    if np.isnan(log):
        return "not known"
    decade = log / DECADE
    if np.isneginf(log) or abs(decade) < 3:
        return f"{np.exp(log):.2g}"
    return f"10^{decade:.1f}"
