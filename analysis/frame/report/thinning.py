"""Figures light enough for a page: lines of 2,000 points, what has more as an image."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import Collection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MOST = 2000  # points of a line


def kept(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], most: int = MOST
) -> npt.NDArray[np.intp]:
    """Indices of at most `most` points that look like all of them.

    Of each run of consecutive points those with the least and the greatest x and y stay, and the
    first gap (NaN) of it; so do the first and the last point of all.
    """
    n = len(x)
    if n <= most:
        return np.arange(n)
    chosen = {0, n - 1}
    for run in np.array_split(np.arange(n), max(1, (most - 2) // 5)):
        for values in (x[run], y[run]):
            known = np.flatnonzero(np.isfinite(values))
            if known.size:
                chosen |= {int(run[known[values[known].argmin()]])}
                chosen |= {int(run[known[values[known].argmax()]])}
        gaps = run[~(np.isfinite(x[run]) & np.isfinite(y[run]))]
        chosen |= {int(each) for each in gaps[:1]}
    return np.array(sorted(chosen))


@contextlib.contextmanager
def light(figure: Figure) -> Iterator[None]:
    """A figure for the time of drawing: lines thinned, maps and crowds of marks rasterised."""
    with contextlib.ExitStack() as after:
        for line in figure.findobj(Line2D):
            _thin(line, after)
        for artist in figure.findobj(Collection):
            if not artist.get_rasterized() and (is_map(artist) or _n_points(artist) > MOST):
                artist.set_rasterized(True)
                after.callback(artist.set_rasterized, False)
        yield


def has_map(ax: Axes) -> bool:
    """Whether there is an image or a mesh in it."""
    return bool(ax.images) or any(map(is_map, ax.collections))


def is_map(artist: Any) -> bool:
    """Whether it colours an area cell by cell."""
    return isinstance(artist, QuadMesh)


def _n_points(artist: Collection) -> int:
    """Marks that it draws, or corners of its areas."""
    corners = sum(np.shape(path.vertices)[0] for path in artist.get_paths())
    return max(corners, np.shape(artist.get_offsets())[0])


def _thin(line: Line2D, after: contextlib.ExitStack) -> None:
    x, y = (np.asarray(each, dtype=float) for each in line.get_data(orig=False))
    if len(x) <= MOST:
        return
    given, marks = line.get_data(orig=True), line.get_markevery()
    indices = kept(x, y)
    marked = _marked(len(x), marks)
    if marked is not None:  # by the points next to those that were
        line.set_markevery(np.unique(np.searchsorted(indices, marked)).tolist())
        after.callback(line.set_markevery, marks)
    line.set_data(x[indices], y[indices])
    after.callback(lambda: line.set_data(*given))


def _marked(n: int, marks: Any) -> npt.NDArray[np.intp] | None:
    """Which of n points have a mark; None where that does not hang on their number."""
    if isinstance(marks, int):
        marks = slice(None, None, marks)
    elif isinstance(marks, tuple) and all(isinstance(each, int) for each in marks):
        marks = slice(marks[0], None, marks[1])
    if not isinstance(marks, slice | list | np.ndarray):
        return None
    return np.arange(n)[marks]
