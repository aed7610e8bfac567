"""What the plots of a diagnosis share: lines, windows, axes of steps and decades, legends."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ...frame import figures
from .points import Points
from .sides import Found, Side, sides

_CUT: dict[str, Any] = {"color": "0.5", "alpha": 0.16, "lw": 0}
ABOVE: dict[str, Any] = {"ncols": 3, "loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}


def decade_axis(ax: Axes) -> None:
    """A y axis of decades: powers of ten, on short axes 1, 2 and 5 times these."""
    low, high = ax.get_ylim()
    ticks = figures.ticks_between(low, high)
    if len(ticks) < 2:
        figures.log_axis(ax)
        return
    ax.set_yticks(ticks, [figures.power(tick) for tick in ticks])
    ax.set_ylim(low, high)


def of_steps(ax: Axes, found: Found) -> None:
    """An x axis from 0 to the length of the data."""
    T = max(side.n_steps for side in sides(found))
    ax.set_xlim(-0.5 - 0.015 * T, T + 0.5 + 0.015 * T)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))


def once(ax: Axes, label: str) -> str | None:
    """What a legend names once, whichever side has it."""
    return None if label in ax.get_legend_handles_labels()[1] else label


def line(
    ax: Axes, side: Side, drawn: Points, label: str, *, hollow: bool = False, every: int = 0
) -> None:
    """A curve with markers, which tell it from others in grey: a few of them, or all.

    A point that stands alone between gaps has one, or it would not be seen.
    """
    step = every or max(1, drawn.x.size // 8)
    known = np.isfinite(drawn.y)
    gaps = ~np.pad(known, 1)
    alone = known & gaps[:-2] & gaps[2:]
    at = np.flatnonzero(alone | (np.arange(known.size) % step == 0))
    faced: dict[str, Any] = {"mfc": "white", "lw": figures.pt(1.4)} if hollow else {}
    ax.plot(drawn.x, drawn.y, color=side.color, marker=side.marker, markevery=at.tolist(),
            label=label, **faced)  # fmt: skip


def beyond_window(ax: Axes, found: Found, half: float) -> None:
    """Shade what is further back than the window; `half` a step more of it is in front."""
    for window in sorted({side.window for side in sides(found) if side.window is not None}):
        low, high = ax.get_xlim()
        if window - half < high:
            label = f"beyond the window, $K$ = {window}"
            ax.axvspan(window - half, high, label=label, zorder=0, **_CUT)
            ax.set_xlim(low, high)


def a_decade_at_least(ax: Axes) -> None:
    """What hardly changes is drawn level, not as noise of rounding."""
    _widen(ax, 1.0)


def some_room(ax: Axes) -> None:
    """The same on a linear axis: a hundredth of the value at least."""
    low, high = ax.get_ylim()
    _widen(ax, 0.02 * max(abs(low), abs(high)))


def _widen(ax: Axes, least: float) -> None:
    low, high = ax.get_ylim()
    if high - low < least:
        middle = 0.5 * (low + high)
        ax.set_ylim(middle - 0.5 * least, middle + 0.5 * least)


def level(ax: Axes, y: float, **options: Any) -> None:
    """A thin line across that curves are held against."""
    look: dict[str, Any] = {"color": "0.35", "lw": figures.pt(0.9), "zorder": 1}
    ax.axhline(y, **look | options)


def found_at(ax: Axes, side: Side, x: float, label: str) -> None:
    """A line upwards where something was found."""
    ax.axvline(x, color=side.color, lw=figures.pt(1.4), label=label)


def legend(ax: Axes, **options: Any) -> Axes:
    """A legend where something has a label."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=True, framealpha=0.75, edgecolor="none", **options)
    return ax
