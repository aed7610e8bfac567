"""What truncated training carries from segment to segment, drawn from the schedule itself."""

from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rnnsim

from ..frame import figures

_LENGTH = 12
_CARRIES = ("sequence", "stream", "none")
_CASES = {"segments: window 4, stride 4": (4, 4), "overlapping: window 6, stride 3": (6, 3)}
_DARK, _LIGHT, _STATE, _GRADIENT = "#0072B2", "#A8D0EE", "black", "#D55E00"
_GAP = 1.6  # between the two batches


def carry_figure() -> Figure:
    """Rows: the three ways to carry the state; columns: segments and overlapping windows."""
    figure, axes = figures.new_figure(
        len(_CARRIES), len(_CASES), figsize=(11.5, 9.6), sharex=True, sharey="col"
    )
    for row, carry in enumerate(_CARRIES):
        for column, (window, stride) in enumerate(_CASES.values()):
            plot_carry(carry, window=window, stride=stride, ax=axes[row, column])
    figures.entitle(axes, list(_CASES), [f"carry {carry}" for carry in _CARRIES])
    figures.label_outer(figure)
    figures.legend_above(figure, _legend())
    figures.caption(
        figure,
        f"Two batches of {_LENGTH} steps, from left to right; each bar is one update. States flow "
        "forward along black arrows, as values. Gradients flow back along the arrow below a bar "
        "and never leave it. Only its dark steps bring loss, so that each loss counts once.",
    )
    return figure


def plot_carry(
    carry: str,
    *,
    window: int,
    stride: int,
    length: int = _LENGTH,
    ax: Axes | None = None,
) -> Axes:
    """Two batches as bars, one for each update: light steps are computed, dark ones bring loss.

    A circle before a bar is a state of zero; a black arrow is a state that is carried.
    """
    ax = figures.axes_or_new(ax)
    plan = rnnsim.truncation_schedule(length, window, stride, carry=carry)
    bars = [(s, batch * (length + _GAP)) for batch in range(2) for s in plan]
    for lane, (segment, offset) in enumerate(bars):
        _draw_bar(ax, segment, offset, -lane)
        if segment.fresh or lane == 0:  # a stream, too, begins somewhere
            ax.plot(offset + segment.begin - 0.35, -lane, **_zero())
    for lane, ((before, at), (after, then)) in enumerate(pairwise(bars)):
        if not after.fresh:
            start = (at + before.keep, -lane - 0.3)
            end = (then + after.begin, -lane - 1.0 + 0.1)
            _arrow(ax, start, end, _STATE)
    for batch in range(2):
        middle = batch * (length + _GAP) + length / 2
        ax.text(middle, 0.8, f"batch {batch + 1}", ha="center")
    steps = [1, *range(4, length + 1, 4)]
    ax.set_xticks(
        [batch * (length + _GAP) + step - 0.5 for batch in range(2) for step in steps],
        [str(step) for _ in range(2) for step in steps],
    )
    ax.yaxis.set_visible(False)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    ax.set_xlim(-1.0, 2 * length + _GAP + 0.3)
    ax.set_ylim(-len(bars) + 0.3, 1.3)
    ax.set_xlabel("step $t$ of each batch")
    return ax


def _draw_bar(ax: Axes, segment: rnnsim.Segment, offset: float, y: float) -> None:
    edge: dict[str, Any] = {"height": 0.5, "edgecolor": "white", "linewidth": figures.pt(1.5)}
    for step in range(segment.begin, segment.end):
        color = _DARK if step >= segment.first else _LIGHT
        ax.barh(y, 1.0, left=offset + step, align="center", color=color, **edge)
    _arrow(ax, (offset + segment.end, y - 0.36), (offset + segment.begin, y - 0.36), _GRADIENT)


def _zero() -> dict[str, Any]:
    pt = figures.pt
    return {"marker": "o", "ms": pt(8), "mfc": "white", "mec": "black", "mew": pt(1.4)}


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], color: str) -> None:
    style = {"arrowstyle": "-|>", "color": color, "lw": figures.pt(1.6), "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style, zorder=5)


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(color=_DARK, label="steps whose loss this update uses"),
        Patch(color=_LIGHT, label="earlier steps, computed again"),
        Line2D([], [], ls="", **_zero(), label="starts from zero"),
        Line2D([], [], color=_STATE, marker=">", label="state carried, as a value"),
        Line2D([], [], color=_GRADIENT, marker="<", label="gradient, cut at the end"),
    ]
