"""Figures and their panels: how many side by side, which names what they share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend

from ..looks import CONTEXTS, look
from .house import pt
from .texts import width_of, wrapped

Panels = npt.NDArray[np.object_]
_SQUEEZE = 1.3  # how much narrower than they were meant panels may stand side by side
_ROW, _COLUMN = "_rnnsim_row", "_rnnsim_column"


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    figsize: tuple[float, float] | None = None,
    sharex: bool | str = False,
    sharey: bool | str = False,
    squeeze: bool = True,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, Any]:
    """A figure outside pyplot, so that none stays open, and its Axes (rows, columns).

    `figsize` is in inches of a notebook, without the caption. In another look the figure is as wide
    as that says, and panels that would be too narrow side by side go below each other, row by row.
    The Axes are returned in the shape that was asked for, whichever way they stand; sharing is
    meant in that shape too.
    """
    meant = figsize or (5.2 * columns, 4.4 * rows)
    width, fit = _fitting(columns, pt(meant[0]))
    shape = (rows, columns) if fit == columns else (-(-rows * columns // fit), fit)
    narrower = (width / fit) / (pt(meant[0]) / columns)
    ratios = list(height_ratios or [1.0] * rows)
    heights = [pt(meant[1]) * ratio / sum(ratios) for ratio in ratios]  # of logical rows
    places = [divmod(i, shape[1]) for i in range(rows * columns)]
    tall = [0.0] * shape[0]
    for i, (row, _) in enumerate(places):
        tall[row] = max(tall[row], heights[i // columns] * float(np.clip(narrower, 0.85, 1.1)))
    figure = Figure(figsize=(width, sum(tall)))
    grid = figure.add_gridspec(*shape, height_ratios=tall)
    axes: Panels = np.empty((rows, columns), dtype=object)
    for i, place in enumerate(places):
        at = divmod(i, columns)
        shared = {"sharex": _first(axes, at, sharex), "sharey": _first(axes, at, sharey)}
        axes[at] = figure.add_subplot(grid[place], **shared)
        axes[at].set_gid(f"panel {at[0]} {at[1]}")
    if not squeeze:
        return figure, axes
    return figure, axes.item() if axes.size == 1 else axes.squeeze()


def _fitting(columns: int, natural: float) -> tuple[float, int]:
    """The width of a figure, and how many of its columns stand side by side."""
    wanted = look().inches()
    width = min(natural, CONTEXTS[look().context].width) if wanted is None else wanted
    return width, int(np.clip(columns * width * _SQUEEZE / natural, 1, columns))


def _first(axes: Panels, at: tuple[int, int], shared: bool | str) -> Axes | None:
    """The panel, drawn before, that one shares an axis with."""
    row, column = at
    first = {"row": (row, 0), "col": (0, column), "all": (0, 0), True: (0, 0)}.get(shared)
    return None if first is None or first == at else axes[first]


def axes_or_new(ax: Axes | None) -> Axes:
    """`ax`, or the Axes of a new figure."""
    return new_figure()[1] if ax is None else ax


def entitle(axes: Panels, columns: Sequence[str], rows: Sequence[str] | None = None) -> None:
    """Titles of a grid of panels: of the columns on top, or of each panel where they are moved.

    With several rows their names stand first in the panels on the left.
    """
    names = [""] * len(axes) if rows is None else list(rows)
    moved = not _as_asked(axes)
    for (i, j), ax in np.ndenumerate(axes):
        column = columns[j] if moved or i == 0 or rows is None else ""
        row = names[i] if moved or j == 0 else ""
        ax.set_title(", ".join(filter(None, (row, column))))


def _as_asked(axes: Panels) -> bool:
    return axes[0, 0].get_subplotspec().get_gridspec().ncols == axes.shape[1]


def label_outer(figure: Figure) -> None:
    """Take names and numbers of axes out between panels that share them, as they stand.

    Of panels with the same name and scale those on the left and those lowest keep theirs.
    """
    panels = [ax for ax in figure.axes if str(ax.get_gid()).startswith("panel")]
    place = {ax: _place(ax) for ax in panels}
    for ax in panels:
        row, column = place[ax]
        left = [o for o in panels if place[o][0] == row and place[o][1] < column]
        below = [o for o in panels if place[o][1] == column and place[o][0] > row]
        if any(_shared(ax, o, "y") for o in left):
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if any(_shared(ax, o, "x") for o in below):
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)


def _place(ax: Axes) -> tuple[int, int]:
    spec = ax.get_subplotspec()
    assert spec is not None
    return spec.rowspan.start, spec.colspan.start


def _shared(one: Axes, other: Axes, which: str) -> bool:
    group = getattr(one, f"get_shared_{which}_axes")()
    names = {str(getattr(ax, f"get_{which}label")()) for ax in (one, other)} - {""}
    return bool(group.joined(one, other)) and len(names) <= 1


def letter(axes: Panels | Sequence[Axes]) -> None:
    """(a), (b), (c) in front of titles, for captions to refer to."""
    flat = list(np.ravel(np.asarray(axes, dtype=object)))
    for name, ax in zip("abcdefghijklmnopqrstuvwxyz"[: len(flat)], flat, strict=True):
        title = ax.get_title(loc=rcParams["axes.titlelocation"])
        ax.set_title(f"({name}) {title}".rstrip())


def legend_above(
    figure: Figure,
    handles: Sequence[Any],
    labels: Sequence[str] | None = None,
    *,
    title: str = "",
    **options: Any,
) -> Legend:
    """A legend above all panels, in as many columns as the width of the figure has room for.

    `title` is what the figure asks or says, above it, in the type of titles of figures.
    """
    names = [str(each.get_label()) for each in handles] if labels is None else list(labels)
    size = _points(rcParams["legend.fontsize"])
    room = max((width_of(name, size) for name in names), default=0.0) + 4.2 * size / 72
    columns = int(np.clip((figure.get_figwidth() - 0.3) // room, 1, max(len(names), 1)))
    rows = -(-len(names) // columns)
    columns = -(-len(names) // rows) if rows else 1
    if title:
        large = _points(rcParams["figure.titlesize"])
        words = wrapped(title, figure.get_figwidth() - 0.3, large)
        options = {"title": words, "title_fontsize": large} | options
    return figure.legend(
        handles, names, loc="outside upper center", ncols=columns, fontsize=size, **options
    )


def _points(size: Any) -> float:
    """A size of type in points, which settings may have by a name."""
    return float(FontProperties(size=size).get_size_in_points())
