"""Where the points of curves are in a drawn figure, and what they say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from .parts import Curve
from .thinning import kept

MOST = 500  # of a curve: a page has no more pixels for it
_INCH = 72.0  # units of an SVG
_MARGIN = 1.0  # of them: points on the edge are in view


def located(figure: Figure, curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """For each curve with points in view its name, box of axes, x, y and texts.

    Places count from the upper left, in units of the SVG that was drawn last: Axes stay there.
    """
    scale, height = _INCH / figure.dpi, _INCH * figure.get_size_inches()[1]
    found = []
    for curve in curves:
        data = np.column_stack([np.asarray(each, dtype=float) for each in (curve.x, curve.y)])
        with np.errstate(all="ignore"):  # what a log axis cannot show
            place = curve.axes.transData.transform(data) * scale
        corners = np.array(curve.axes.bbox.extents).reshape(2, 2) * scale
        with np.errstate(invalid="ignore"):
            inside = (place >= corners[0] - _MARGIN) & (place <= corners[1] + _MARGIN)
        shown = np.flatnonzero(inside.all(axis=1))
        x, y = place[shown].T
        shown = shown[kept(x, y, MOST)]
        if shown.size:
            (left, bottom), (right, top) = corners
            found.append(
                {
                    "name": curve.name,
                    "box": _rounded([left, height - top, right, height - bottom]),
                    "x": _rounded(place[shown, 0]),
                    "y": _rounded(height - place[shown, 1]),
                    "texts": [curve.texts[i] for i in shown.tolist()],
                }
            )
    return found


def _rounded(values: npt.ArrayLike) -> list[float]:
    """To tenths, finer than a pixel."""
    return [round(float(each), 1) for each in np.asarray(values)]
