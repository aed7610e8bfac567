"""What readers stumble over in a figure, found by where its words and lines are drawn."""

import re
from itertools import combinations

import numpy as np
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.contour import ContourSet
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from analysis.frame import figures

LOOKS = {
    "notebook": figures.Look(),
    "one column": figures.Look(context="paper", width="89mm"),
    "two columns": figures.Look(context="paper", width="183mm"),
    "talk": figures.Look(context="talk"),
}
LEAST_POINTS = {"paper": 5.0, "notebook": 8.0, "talk": 12.0}
MOST_LINES = 4
_OF_ONE = re.compile(r"(?<![\w.])1 (networks|steps|sequences|units|layers|seeds|updates|batches)\b")
_MINUS_NOTHING = re.compile(r"[-\u2212]0(\.0+)?(?![\d.])")
_SIGNED = ("RdBu", "RdBu_r", "coolwarm", "bwr", "seismic", "PuOr", "PuOr_r", figures.SIGNED.name)


def faults(figure):
    """All of them, in words; `figure` is settled first, as if it were written."""
    figures.settle(figure)
    figure.draw_without_rendering()
    words = _words(figure)
    return [
        *_of_words(figure, words),
        *_collisions(words),
        *(fault for ax in _panels(figure) for fault in _of_panel(figure, ax)),
    ]


def _panels(figure):
    return [ax for ax in figure.axes if ax.get_visible()]


def _is_bar(ax):
    return ax.get_label() == "<colorbar>"


def _where(ax):
    place = f"{ax.get_gid() or ax.get_label() or 'axes'}"
    return f"{place} {ax.get_title(loc='left')!r}"


def _shown(artist):
    text = artist.get_text().strip()
    return bool(text) and artist.get_visible() and artist.get_alpha() != 0


def _ticks(axis):
    if not axis.get_visible():
        return []
    found = [axis.offsetText]
    for tick in axis._update_ticks():
        found += [label for label in (tick.label1, tick.label2) if label.get_visible()]
    return [text for text in found if _shown(text)]


def _words(figure):
    """Every text that is drawn, with its box in pixels."""
    found = [*figure.texts, figure._suptitle, figure._supxlabel, figure._supylabel]
    for legend in figure.legends:
        found += [*legend.get_texts(), legend.get_title()]
    for ax in _panels(figure):
        found += [ax.title, ax._left_title, ax._right_title]
        found += [child for child in ax.get_children() if isinstance(child, Text)]
        for legend in ax.findobj(Legend):
            found += [*legend.get_texts(), legend.get_title()]
        if ax.axison:
            for axis in (ax.xaxis, ax.yaxis):
                found += [axis.label] if axis.get_visible() else []
                found += _ticks(axis)
    once = dict.fromkeys(text for text in found if text is not None and _shown(text))
    return [(text, text.get_window_extent()) for text in once]


def _of_words(figure, words):
    least = LEAST_POINTS[figures.look().context]
    width, height = figure.bbox.size
    for text, box in words:
        what = text.get_text()
        if text.get_fontsize() < least - 1e-9:
            yield f"small: {what!r} is of {text.get_fontsize():.1f} points, less than {least}"
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            yield f"outside the canvas: {what!r}"
        if figures.symbols(what) != what:
            yield f"raw symbol: {what!r}"
        if _OF_ONE.search(what):
            yield f"one of several: {what!r}"
        if _MINUS_NOTHING.search(what):
            yield f"minus nothing: {what!r}"


def _smaller(box, share=0.12):
    """A box without the air around its letters."""
    x, y = 1.0, share * box.height
    return Bbox.from_extents(box.x0 + x, box.y0 + y, box.x1 - x, box.y1 - y)


def _collisions(words):
    level = [(text, _smaller(box)) for text, box in words if text.get_rotation() % 90 == 0]
    for (one, box), (other, beside) in combinations(level, 2):
        if box.overlaps(beside):
            yield f"over each other: {one.get_text()!r} and {other.get_text()!r}"


def _of_panel(figure, ax):
    where = _where(ax)
    if ax.axison:
        yield from (f"{fault} in {where}" for fault in _unnamed(figure, ax))
    if _is_bar(ax):
        return
    if ax.bbox.width < 9 * ax.xaxis.label.get_fontsize() * figure.dpi / 72 and ax.axison:
        yield f"narrow: {where}"
    yield from (f"{fault} in {where}" for fault in _styles(ax))
    yield from (f"{fault} in {where}" for fault in _maps(ax))
    lines = _prominent(ax)
    if len(lines) > MOST_LINES:
        yield f"{len(lines)} lines in {where}"
    yield from (f"{fault} in {where}" for fault in _struck(ax))


def _unnamed(figure, ax):
    if _is_bar(ax):
        if not (ax.get_xlabel() or ax.get_ylabel()):
            yield "no name of the colour bar"
        return
    for which in "xy":
        axis = getattr(ax, f"{which}axis")
        group = getattr(ax, f"get_shared_{which}_axes")().get_siblings(ax)
        side = [o for o in group if _beside(ax, o, which)]
        if not axis.get_visible() or any(getattr(o, f"get_{which}label")() for o in side):
            continue
        yield f"no name of the {which} axis"


def _beside(ax, other, which):
    """Whether two panels stand in one row (of a y axis), or one column."""
    if ax is other:
        return True
    if which == "y":
        return ax.bbox.y0 < other.bbox.y1 and other.bbox.y0 < ax.bbox.y1
    return ax.bbox.x0 < other.bbox.x1 and other.bbox.x0 < ax.bbox.x1


def _dashes(artist):
    """ "--", ":", "-." or "-" of a line, a patch or a collection."""
    style = artist.get_linestyle()
    if isinstance(artist, LineCollection | ContourSet):
        patterns = {pattern is None for _, pattern in style}
        return "-" if patterns <= {True} else "--"
    return style if isinstance(style, str) else "--"


def _styles(ax):
    wanted = {"theory": ("--",), "mark": (":",)}
    artists = [each for each in ax.get_children() if isinstance(each, Line2D | Patch)]
    artists += [each for each in ax.collections if isinstance(each, LineCollection | ContourSet)]
    for artist in artists:
        if not artist.get_visible():
            continue
        style, gid = _dashes(artist), artist.get_gid()
        if style in ("None", "", " "):
            continue
        if style not in wanted.get(gid, ("-", "solid")):
            yield f"a line {style!r} that is {gid or 'measured'}"


def _maps(ax):
    for mesh in ax.findobj(lambda a: isinstance(a, QuadMesh | AxesImage)):
        if mesh.get_cmap().name in _SIGNED:
            if mesh.get_cmap().name != figures.SIGNED.name:
                yield f"a signed map in {mesh.get_cmap().name}"
            elif not np.isclose(mesh.norm.vmin, -mesh.norm.vmax):
                yield f"a signed map from {mesh.norm.vmin:g} to {mesh.norm.vmax:g}"
            hatched = any(each.get_gid() == "hatch" for each in ax.get_children())
            if np.nanmin(mesh.get_array()) < -0.1 * abs(mesh.norm.vmax) and not hatched:
                yield "a signed map that grey takes the sign of"


def _prominent(ax):
    """Solid measured lines of full strength, with more than two points."""
    return [
        line
        for line in ax.lines
        if line.get_visible()
        and line.get_linestyle() in ("-", "solid")
        and line.get_alpha() in (None, 1)
        and line.get_linewidth() >= figures.pt(1.2)
        and np.isfinite(np.asarray(line.get_xydata(), dtype=float)).all(axis=1).sum() > 2
    ]


def _struck(ax):
    """Words and legends that lines go through, or marks lie under."""
    boxes = [(f"{t.get_text()!r}", t) for t in ax.get_children() if isinstance(t, Text)]
    titles = {ax.title, ax._left_title, ax._right_title}
    boxes = [
        (name, _smaller(text.get_window_extent(), 0.2))
        for name, text in boxes
        if text not in titles and _shown(text) and text.get_gid() != "inline"
    ]
    boxes += [("a legend", each.get_window_extent()) for each in ax.findobj(Legend)]
    if not boxes:
        return
    for line in ax.lines:
        if not line.get_visible() or str(line.get_gid()) == "behind":
            continue
        points = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
        drawn = line.get_linestyle() not in ("None", "", " ")
        for name, box in boxes:
            if (drawn and _crosses(points, box, ax.bbox)) or (
                line.get_marker() not in ("None", "", None) and _within(points, box)
            ):
                yield f"a line through {name}"
    for marks in ax.collections:
        if isinstance(marks, PathCollection):
            points = marks.get_offset_transform().transform(marks.get_offsets())
            yield from (f"marks under {name}" for name, box in boxes if _within(points, box))


def _within(points, box):
    inside = (points[:, 0] > box.x0) & (points[:, 0] < box.x1)
    return bool((inside & (points[:, 1] > box.y0) & (points[:, 1] < box.y1)).any())


def _crosses(points, box, panel):
    """Whether any piece of a line, where the panel shows it, goes through a box."""
    box = Bbox.intersection(box, panel) if box.overlaps(panel) else None
    if box is None:
        return False
    starts, ends = points[:-1], points[1:]
    known = np.isfinite(starts).all(axis=1) & np.isfinite(ends).all(axis=1)
    starts, steps = starts[known], (ends - starts)[known]
    low, high = np.zeros(len(starts)), np.ones(len(starts))
    for axis, (least, most) in enumerate(((box.x0, box.x1), (box.y0, box.y1))):
        with np.errstate(divide="ignore", invalid="ignore"):
            one = (least - starts[:, axis]) / steps[:, axis]
            other = (most - starts[:, axis]) / steps[:, axis]
        level = steps[:, axis] == 0
        beside = level & ((starts[:, axis] < least) | (starts[:, axis] > most))
        one, other = np.where(level, 0.0, one), np.where(level, 1.0, other)
        low = np.maximum(low, np.minimum(one, other))
        high = np.minimum(high, np.maximum(one, other))
        high = np.where(beside, -1.0, high)
    return bool((low < high).any())
