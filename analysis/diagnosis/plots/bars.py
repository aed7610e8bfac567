"""Bars of layers and gates, one below the other; of two networks in pairs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from ...frame import figures
from .axes import ABOVE, legend
from .points import Points, points
from .sides import Floats, Found, Side, sides

Bars: TypeAlias = Callable[[Side], tuple[Sequence[str], npt.ArrayLike]]


class Rungs(NamedTuple):
    """Where the bars of a side stand, and how high each is."""

    side: Side
    y: Floats
    height: float


def rungs(found: Found, labels: Callable[[Side], Sequence[str]]) -> Iterator[Rungs]:
    """Of each side that has bars; those of one label stand next to each other."""
    steps = {name: k for k, name in enumerate(names(found, labels))}
    in_pairs = len(steps) < sum(len(labels(side)) for side in sides(found))
    for side in sides(found):
        if labels(side):
            y = np.array([steps[name] for name in labels(side)], float)
            shift = 0.2 * (1, -1)[side.first] if in_pairs else 0.0
            yield Rungs(side, y + shift, 0.38 if in_pairs else 0.7)


def names(found: Found, labels: Callable[[Side], Sequence[str]]) -> list[str]:
    """The labels of all sides, each once."""
    return list(dict.fromkeys(name for side in sides(found) for name in labels(side)))


def bar_points(found: Found, read: Bars, name: str, value: Callable[[float], str]) -> list[Points]:
    """The ends of the bars that `read` finds of each side."""
    curves = []
    for side, y, _ in rungs(found, lambda side: read(side)[0]):
        labels, widths = read(side)[0], np.asarray(read(side)[1], float)
        said = [value(float(width)) for width in widths]
        curves.append(points(side.told(name), widths, y, labels, said))
    return curves


def draw_bars(ax: Axes, found: Found, read: Bars) -> Axes:
    """Bars from 0, with a line between layers."""
    for side, y, height in rungs(found, lambda side: read(side)[0]):
        ax.barh(y, read(side)[1], height, color=side.color, label=side.named(""), zorder=2)
    label_rungs(ax, names(found, lambda side: read(side)[0]))
    ax.axvline(0.0, color="0.2", lw=figures.pt(1.0))
    return legend(ax, **ABOVE)


def label_rungs(ax: Axes, labels: Sequence[str]) -> None:
    """The first label on top, and lines between layers."""
    ax.set_yticks(range(len(labels)), labels)
    layers = [label.partition(",")[0] if "," in label else "" for label in labels]
    for k, (one, other) in enumerate(pairwise(layers)):
        if one != other:
            ax.axhline(k + 0.5, color="0.6", lw=figures.pt(0.8))
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")


def by_layer(rows: Mapping[str, npt.NDArray[np.float64]]) -> tuple[list[str], list[float]]:
    """Columns by gate over layers as labels and values in one row; without rows none."""
    layers = rows.get("layer", np.array([]))
    gates = [name for name in rows if name != "layer"]
    several = len(layers) > 1
    labels = [f"layer {n}, {gate}" if several else gate for n in layers for gate in gates]
    return labels, [float(rows[gate][k]) for k in range(len(layers)) for gate in gates]
