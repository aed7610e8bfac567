"""Plots of measurements: data in, Axes out. What each shows is in its docstring."""

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

from ..peers.contestants import PORTED
from .runner import Comparison
from .scaling import Measured, fit

# Dark, middle and light, in grey too; and markers of their own.
_LIBRARIES: dict[str, dict[str, Any]] = {
    "jax": {"color": "#0072B2", "marker": "o"},
    "torch": {"color": "#D55E00", "marker": "s"},
    "numpy": {"color": "#E69F00", "marker": "^"},
}
_DTYPES: dict[str, dict[str, Any]] = {
    "float64": {"color": "#0072B2", "marker": "o"},
    "float32": {"color": "#E69F00", "marker": "s"},
}


def plot_ratios(comparisons: Sequence[Comparison], *, ax: Axes | None = None) -> Axes:
    """How many times as long as rnnsim each library takes, in its fastest way.

    One line for each workload and dtype. The bar is the goal: reached where all dots lie on it or
    to its right. Hollow: a peer that runs rnnsim's own algorithm. Left of 1 a peer is faster.
    """
    ax = figures.axes_or_new(ax)
    for row, comparison in enumerate(comparisons):
        ours = comparison.ours.best
        drawn = set()
        for key, timing in comparison.peers.items():
            ported = key.name.startswith(PORTED)
            if (key.library, ported) not in drawn:
                drawn.add((key.library, ported))
                look = _LIBRARIES[key.library] | ({"mfc": "none", "mew": pt(1.8)} if ported else {})
                ax.plot([timing.best / ours], [row], ls="", ms=pt(9), zorder=3, **look)
        ax.plot([comparison.workload.goal] * 2, [row - 0.32, row + 0.32], color="black", lw=pt(2.5))
    ax.axvline(1.0, color="0.45", lw=pt(1.4), zorder=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())  # labels between the decades would overlap
    ax.set_yticks(range(len(comparisons)), [f"{c.workload.name}, {c.dtype}" for c in comparisons])
    ax.set_ylim(len(comparisons) - 0.5, -0.5)
    ax.set_xlabel("time of the library's fastest way / time of rnnsim")
    ax.legend(handles=_ratio_key(comparisons), loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _ratio_key(comparisons: Sequence[Comparison]) -> list[Line2D]:
    keys = [key for comparison in comparisons for key in comparison.peers]
    present = {key.library for key in keys}
    handles = [
        Line2D([], [], ls="", ms=pt(9), label=library, **look)
        for library, look in _LIBRARIES.items()
        if library in present
    ]
    if any(key.name.startswith(PORTED) for key in keys):
        hollow: dict[str, Any] = {"ls": "", "ms": pt(9), "marker": "o", "mfc": "none"}
        hollow |= {"mew": pt(1.8)}
        handles.append(Line2D([], [], color="0.3", label="with rnnsim's algorithm", **hollow))
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
    ax.set_title("gradient_flow" if law.setting.flow else "bptt")
    return ax


def draw_ratios(comparisons: Sequence[Comparison], path: Path) -> None:
    """The figure of all comparisons."""
    with figures.style():
        figure, ax = figures.new_figure(figsize=(9.5, 1.8 + 0.42 * len(comparisons)))
        plot_ratios(comparisons, ax=ax)
        figures.caption(
            figure,
            "Each dot: a library's fastest way, best call of several rounds taken in turns, all "
            "cores allowed. rnnsim is faster where dots lie right of 1; a goal is reached where "
            "the leftmost dot of its line is on the bar or right of it.",
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
