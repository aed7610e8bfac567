"""The house style in the look of a run; how measured lines, theory and settings are drawn."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

from ..looks import CONTEXTS, Look, look, worn

STYLE = Path(__file__).with_name("rnnsim.mplstyle")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Colours of cells, and in this order their MARKERS: the same in all figures, told apart in grey.
_HOUSE = 12.0  # points that `rnnsim.mplstyle` and `pt` are meant for
_IN_POINTS = (
    "font.size axes.titlesize axes.labelsize legend.fontsize lines.linewidth lines.markersize "
    "grid.linewidth axes.linewidth patch.linewidth hatch.linewidth axes.labelpad axes.titlepad "
    "figure.titlesize figure.labelsize legend.title_fontsize lines.markeredgewidth "
    "xtick.major.size xtick.major.width xtick.major.pad xtick.minor.size xtick.minor.width "
    "ytick.major.size ytick.major.width ytick.major.pad ytick.minor.size ytick.minor.width"
).split()


@contextlib.contextmanager
def style(wanted: Look | None = None) -> Iterator[None]:
    """Draw in the house style without touching global settings.

    Type, lines and marks are of one scale, that of ``wanted.context``.
    """
    with worn(wanted or look()), mpl.rc_context(fname=str(STYLE)):
        context = CONTEXTS[look().context]
        settings: Any = mpl.rcParams
        for name in _IN_POINTS:
            settings[name] *= context.points / _HOUSE
        settings["savefig.dpi"] = context.dpi
        yield


def pt(points: float) -> float:
    """So many points of a notebook in those of this look: for widths of lines, sizes, distances."""
    return points * float(mpl.rcParams["font.size"]) / _HOUSE


def theory(**changes: Any) -> dict[str, Any]:
    """How a line of theory is drawn: dashed, which nothing else is."""
    return {"color": "black", "ls": "--", "lw": pt(1.6), "zorder": 5, "gid": "theory"} | changes


def mark(**changes: Any) -> dict[str, Any]:
    """How what was set is drawn, a threshold, a window, an end: dotted, which nothing else is."""
    return {"color": "0.3", "ls": ":", "lw": pt(2.0), "zorder": 4, "gid": "mark"} | changes


def guide(**changes: Any) -> dict[str, Any]:
    """How a level is drawn that curves are held against: 0 of rates, 1 of factors, modulus 1."""
    return {"color": "0.45", "ls": "-", "lw": pt(1.2), "zorder": 1} | changes


def shades(n: int) -> list[Any]:
    """n colours of one sequential map, dark to light: ordered in colour and in grey."""
    if n == 1:
        return [mpl.colormaps["cividis"](0.0)]
    return [mpl.colormaps["cividis"](0.85 * i / (n - 1)) for i in range(n)]
