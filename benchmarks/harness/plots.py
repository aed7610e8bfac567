"""Plots of measurements: data in, Axes out. What each shows is in its docstring."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from analysis.frame import figures
from analysis.frame.figures import pt

from ..peers.workloads import WORKLOADS
from .records import Result
from .scaling import Measured, fit

RATIOS, LAWS = "ratios", "laws"
_KNOWN = {workload.name: workload for workload in WORKLOADS}

# Dark, middle and light, in grey too; and markers of their own.
_LIBRARIES: dict[str, dict[str, Any]] = {
    "jax": {"color": "#0072B2", "marker": "o"},
    "torch": {"color": "#D55E00", "marker": "s"},
    "numpy": {"color": "#E69F00", "marker": "^"},
}
_HOLLOW: dict[str, Any] = {"mfc": "none", "mew": pt(1.8)}
_DTYPES: dict[str, dict[str, Any]] = {
    "float64": {"color": "#0072B2", "marker": "o"},
    "float32": {"color": "#E69F00", "marker": "s"},
}


def file_of(machine: str, form: str) -> str:
    """The name of a figure of a machine."""
    return f"{re.sub('[^a-z0-9]+', '-', machine.lower())}-{form}.png"


def plot_ratios(results: Sequence[Result], *, ax: Axes | None = None) -> Axes:
    """How many times as long as rnnsim each library takes, in its fastest way.

    One line for each workload and dtype. The bars are goals: reached where all dots lie on it or
    to its right. Hollow, with a dotted bar: peers that run rnnsim's own algorithm. Left of 1 a peer
    is faster.
    """
    ax = figures.axes_or_new(ax)
    for row, result in enumerate(results):
        workload, drawn = _KNOWN[result.workload], set()
        for entry in result.entries:
            if entry.library != "rnnsim" and (entry.library, entry.ported) not in drawn:
                drawn.add((entry.library, entry.ported))
                look = _LIBRARIES[entry.library] | (_HOLLOW if entry.ported else {})
                ax.plot([entry.best / result.ours.best], [row], ls="", ms=pt(9), zorder=3, **look)
        for goals, style in ((workload.ratio, "-"), (workload.ported, ":")):
            if result.dtype in goals:
                ends = [row - 0.32, row + 0.32]
                ax.plot([goals[result.dtype]] * 2, ends, color="black", ls=style, lw=pt(2.5))
    ax.axvline(1.0, color="0.45", lw=pt(1.4), zorder=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())  # labels between the decades would overlap
    ax.set_yticks(range(len(results)), [f"{r.workload}, {r.dtype}" for r in results])
    ax.set_ylim(len(results) - 0.5, -0.5)
    ax.set_xlabel("time of the library's fastest way / time of rnnsim")
    ax.legend(handles=_ratio_key(results), loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _ratio_key(results: Sequence[Result]) -> list[Line2D]:
    entries = [entry for result in results for entry in result.entries]
    present = {entry.library for entry in entries}
    handles = [
        Line2D([], [], ls="", ms=pt(9), label=library, **look)
        for library, look in _LIBRARIES.items()
        if library in present
    ]
    if any(entry.ported for entry in entries):
        hollow: dict[str, Any] = {"ls": "", "ms": pt(9), "marker": "o", "color": "0.3"} | _HOLLOW
        handles.append(Line2D([], [], label="with rnnsim's algorithm", **hollow))
    return [
        *handles,
        Line2D([], [], ls="", marker="|", ms=pt(14), mew=pt(2.5), color="black", label="goal"),
    ]


def plot_law(measured: Measured, *, ax: Axes | None = None) -> Axes:
    """Time against one size, both axes logarithmic; dashed: the slope that the algorithm has.

    The dashed line goes through the last point. Points above it at the small end are costs that do
    not grow; a steeper or flatter course at the large end would be a broken law.
    """
    ax = figures.axes_or_new(ax)
    law = measured.law
    x = np.array(law.values, dtype=float)
    for dtype, seconds in measured.seconds.items():
        ax.plot(x, seconds, label=f"{dtype}: {fit(x, seconds)}", **_DTYPES[dtype])
    for i, seconds in enumerate(measured.seconds.values()):
        expected = seconds[-1] * (x / x[-1]) ** law.expected
        label = f"expected: {law.expected:g}" if i == 0 else None
        ax.plot(x, expected, label=label, **figures.theory())
    ax.legend(title="slope")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel(law.label)
    ax.set_ylabel("time of a call (s)")
    ax.set_title(law.function)
    return ax


def draw_ratios(results: Sequence[Result], path: Path) -> None:
    """The figure of all results."""
    with figures.style():
        figure, ax = figures.new_figure(figsize=(9.5, 1.8 + 0.42 * len(results)))
        plot_ratios(results, ax=ax)
        figures.caption(
            figure,
            "Each dot: a library's fastest way, best call of several rounds taken in turns, all "
            "cores allowed. rnnsim is faster where dots lie right of 1; a goal is reached where "
            "the leftmost dot of its kind is on the bar or right of it.",
        )
        _save(figure, path)


def draw_laws(laws: Sequence[Measured], path: Path) -> None:
    """The figure of all cost laws."""
    columns = 3
    rows = -(-len(laws) // columns)
    with figures.style():
        figure, axes = figures.new_figure(rows, columns, figsize=(12, 3.9 * rows), squeeze=False)
        for ax, measured in zip(axes.flat, laws, strict=False):
            plot_law(measured, ax=ax)
        for ax in axes.flat[len(laws) :]:
            ax.set_visible(False)
        figures.caption(
            figure,
            "Best time of a call, everything else fixed. Measured courses should run parallel to "
            "the dashed lines at the large end (for threads: throughout). Slopes are fitted "
            "from a quarter of the largest value on.",
        )
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figures.settle(figure)
    figure.savefig(path, metadata={"Software": None})
