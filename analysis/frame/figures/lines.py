"""Lines: every network and their median, colours in order, names at the ends."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ..statistics import quantiles
from .house import MARKERS, pt, shades
from .scales import finite, nearest


def seeds_and_median(
    ax: Axes,
    x: npt.ArrayLike,
    values: npt.NDArray[np.float64],
    *,
    label: str,
    color: Any,
    index: int = 0,
    lines: bool = False,
) -> None:
    """Every seed (dots, or thin lines), their median (line with markers) and quartiles (band).

    values is (seeds, points). A median needs half of the seeds; those that are not known (NaN) are
    left out of it, infinite ones count as what they are, below or above all others, and are not
    drawn, nor are medians that are infinite. Lines are told apart in grey by their markers; dashes
    are left to theory.
    """
    x, values = np.asarray(x, dtype=float), np.asarray(values, dtype=float)
    drawn = finite(values)
    if lines:
        ax.plot(x, drawn.T, color=color, alpha=0.25, lw=pt(0.7))
    else:
        ax.plot(
            np.tile(x, len(drawn)),
            drawn.ravel(),
            ls="",
            marker=".",
            ms=pt(4),
            color=color,
            alpha=0.5,
        )
    enough = (~np.isnan(values)).sum(axis=0) * 2 >= len(values)
    low, middle, high = (np.full(x.size, np.nan) for _ in range(3))
    low[enough], middle[enough], high[enough] = finite(
        quantiles(values[:, enough], [0.25, 0.5, 0.75])
    )
    ax.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
    every = max(1, x.size // 8)
    ax.plot(
        x,
        middle,
        color=color,
        label=label,
        marker=MARKERS[index % len(MARKERS)],
        markevery=(index * every // 4 % every, every),
    )


def shaded(
    values: Sequence[float], wanted: Sequence[float] | None = None
) -> Iterator[tuple[int, float, Any]]:
    """(index, value, colour) of each value, or of those nearest to the wanted ones, ascending."""
    chosen = values if wanted is None else nearest(values, wanted)
    yield from zip(range(len(chosen)), chosen, shades(len(chosen)), strict=True)


class EndName(Text):
    """The name of a line, at its right end; the names of one panel make room for each other."""

    together: "list[EndName]"
    wanted: float

    def get_window_extent(self, renderer: Any = None, dpi: float | None = None) -> Any:
        """Where it stands, once all have made room."""
        self._make_room(renderer)
        return super().get_window_extent(renderer, dpi)

    def draw(self, renderer: Any) -> None:
        """Draw it there."""
        self._make_room(renderer)
        super().draw(renderer)

    def _make_room(self, renderer: Any) -> None:
        """Heights of all names of the panel: as wanted, moved as little as they have to be."""
        assert self.axes is not None
        names = sorted(self.together, key=lambda name: name.wanted)
        to_pixels = self.axes.transData.transform
        low, high = self.axes.bbox.intervaly
        places = [float(np.clip(to_pixels((0.0, n.wanted))[1], low, high)) for n in names]
        heights = [Text.get_window_extent(n, renderer).height + 1.0 for n in names]
        for name, place in zip(names, apart(places, heights, low, high), strict=True):
            name.set_y((place - low) / max(high - low, 1e-9))


def apart(places: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of pieces of these sizes, near ascending places, that do not overlap.

    Least squares: pieces that would overlap stand together around the mean of their places. All
    stay between low and high where there is room for them.
    """
    groups: list[tuple[list[int], float, float]] = []  # pieces, size, middle
    for i, (place, size) in enumerate(zip(places, sizes, strict=True)):
        groups.append(([i], size, place))
        while len(groups) > 1 and _overlap(groups[-2], groups[-1]):
            (a, size_a, _), (b, size_b, _) = groups[-2], groups[-1]
            groups[-2:] = [_joined([*a, *b], size_a + size_b, places, sizes)]
        # what was joined may reach the one before
    found = [0.0] * len(places)
    for pieces, size, middle in groups:
        start = float(np.clip(middle - size / 2, low, max(low, high - size)))
        for i in pieces:
            found[i] = start + sizes[i] / 2
            start += sizes[i]
    for i in range(1, len(found)):  # ends that were held inside push on
        found[i] = max(found[i], found[i - 1] + (sizes[i] + sizes[i - 1]) / 2)
    top = high
    for i in reversed(range(len(found))):
        found[i] = min(found[i], top - sizes[i] / 2)
        top = found[i] - sizes[i] / 2
    return found


def _overlap(one: tuple[Any, float, float], other: tuple[Any, float, float]) -> bool:
    return one[2] + one[1] / 2 > other[2] - other[1] / 2


def _joined(
    pieces: list[int], size: float, places: Sequence[float], sizes: Sequence[float]
) -> tuple[list[int], float, float]:
    """Several pieces as one: its middle is where each is nearest to its place on the whole."""
    before = np.cumsum([0.0, *(sizes[i] for i in pieces)])
    wanted = [places[i] - (b + sizes[i] / 2) for i, b in zip(pieces, before, strict=False)]
    return pieces, size, float(np.mean(wanted)) + size / 2


def name_lines(ax: Axes, lines: Sequence[Line2D] | None = None, **options: Any) -> list[Text]:
    """Write the label of each line at its right end, outside the axes, in its colour darkened.

    Of lines that have a label, in place of a legend; those without any point that is drawn get no
    name. The names of a panel do not overlap, whatever its size becomes.
    """
    chosen = [
        line
        for line in (ax.lines if lines is None else lines)
        if not str(line.get_label()).startswith("_")
    ]
    found: list[EndName] = []
    for line in chosen:
        x, y = (np.asarray(each, dtype=float) for each in line.get_data())
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if known.size == 0:
            continue
        end = known[np.argmax(x[known])]
        style = {"color": _dark(line), "fontsize": rcParams["legend.fontsize"]} | options
        name = EndName(
            1.02, 0.5, str(line.get_label()), transform=ax.transAxes, va="center", ha="left",
            linespacing=1.0, **style,
        )  # fmt: skip
        name.wanted = float(y[end])
        ax.add_artist(name)
        name.set_clip_on(False)
        found.append(name)
    for name in found:
        name.together = found
    return list(found)


def _dark(line: Line2D) -> Any:
    """A colour that reads as text on white: that of the line, darker where that is light."""
    rgb = np.array(to_rgb(line.get_color()))
    light = float(rgb @ (0.2126, 0.7152, 0.0722))
    return tuple(rgb * min(1.0, 0.45 / max(light, 1e-9)))
