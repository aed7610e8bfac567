"""Maps: contours, and signed quantities that keep their sign in grey."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

# Blue below 0, white, red above; of equal lightness at both ends, and light enough for black text.
SIGNED = LinearSegmentedColormap.from_list(
    "rnnsim-signed", ["#4A90C8", "#A9CCE6", "#FFFFFF", "#F4B39A", "#DC6A4F"]
).with_extremes(bad="0.85")
HATCH = "////"
_INK = "0.25"


def contour(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, shown: Any, **options: Any) -> Any:
    """Contour lines at those of the `levels` that the values cross; None where they cross none."""
    low, high = np.nanmin(shown, initial=np.inf), np.nanmax(shown, initial=-np.inf)
    levels = [level for level in options.pop("levels") if low < level < high]
    if min(np.shape(shown)) < 2 or not levels:
        return None
    return ax.contour(x, y, shown, levels=levels, **options)


def signed_mesh(
    ax: Axes,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    bound: float,
    least: float | None = None,
) -> QuadMesh:
    """A map of a quantity with a sign: blue and hatched below 0, red and plain above.

    Colours end at `bound` to both sides of 0; what lies within `least` of 0 (a fiftieth of that,
    unless given) is not hatched. -inf and inf count as beyond the ends, NaN is grey.
    """
    shown = np.clip(np.asarray(values, dtype=float), -bound, bound)
    norm, columns, rows = Normalize(-bound, bound), edges(x), edges(y)
    mesh = ax.pcolormesh(columns, rows, shown, cmap=SIGNED, norm=norm, rasterized=True)
    below = shown < -(bound / 50 if least is None else least)
    _hatch(ax, columns, rows, below)
    return mesh


def edges(centres: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The borders of cells around their centres; a single one is a unit wide."""
    at = np.asarray(centres, dtype=float)
    if at.size == 1:
        return np.array([at[0] - 0.5, at[0] + 0.5])
    half = 0.5 * np.diff(at)
    return np.concatenate([at[:1] - half[:1], at[:-1] + half, at[-1:] + half[-1:]])


def _hatch(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, below: npt.NDArray[np.bool_]) -> None:
    """Hatch the cells (rows of y, columns of x): one rectangle for each run of them in a row."""
    x, y = np.asarray(x), np.asarray(y)
    runs = []
    for row, line in enumerate(below):
        ends = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(int)))
        for a, b in ends.reshape(-1, 2):
            corners = [(x[a], y[row]), (x[b], y[row]), (x[b], y[row + 1]), (x[a], y[row + 1])]
            runs.append(Path([*corners, corners[0]], closed=True))
    if runs:
        area = Path.make_compound_path(*runs)
        style = {"facecolor": "none", "edgecolor": _INK, "lw": 0.0, "hatch": HATCH}
        hatched = PathPatch(area, **style, zorder=1.5, gid="hatch")
        hatched.set_clip_path(ax.patch)
        ax.add_artist(hatched)


def colour_bar(
    figure: Figure,
    mesh: Any,
    axes: Axes | Sequence[Axes],
    label: str,
    *,
    extend: str = "neither",
    **options: Any,
) -> Colorbar:
    """The colour bar of one or several panels, beside them, or below where the figure is narrow.

    That of a signed map is hatched where the map is.
    """
    em = float(rcParams["font.size"]) / 72
    where = "right" if figure.get_figwidth() / em > 35 else "bottom"
    bar = figure.colorbar(mesh, ax=axes, extend=extend, location=where, **options)
    bar.set_label(label)
    if mesh.cmap.name == SIGNED.name:
        low, high = mesh.norm.vmin, 0.0
        corner, size = ((0.0, low), (1.0, high - low))
        if where == "bottom":
            corner, size = corner[::-1], size[::-1]
        bar.ax.add_patch(
            Rectangle(corner, *size, facecolor="none", edgecolor=_INK, lw=0.0, hatch=HATCH)
        )
    return bar
