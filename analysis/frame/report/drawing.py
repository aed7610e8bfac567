"""Figures as SVG that stands in a page: by itself, light, in the colours of the page."""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from .. import figures
from .parts import Picture
from .points import located
from .thinning import has_map, is_map, light

_FIXED = "in-its-own-colours"
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_COLOUR = re.compile(r"#([0-9a-f]{6})\b")
_LINK = re.compile(r"(^|url\()#([^)]+)")
_DECIMALS = re.compile(r"(\.\d\d)\d+")


class Drawing(NamedTuple):
    """An SVG element, its size, the colours that a page has to name, and points that say values."""

    svg: str
    width: float
    height: float
    colours: set[str]
    points: list[dict[str, Any]]


def drawn(picture: Picture) -> Drawing:
    """A picture as an SVG element: every id begins with the name of the picture.

    Colours are names, ``var(--c-0072b2)``, that a page gives by light and by dark; what lies on a
    map keeps its own. Nothing in it is from elsewhere.
    """
    figure = picture.figure
    text = _as_matplotlib_draws(figure, picture.name)
    points = located(figure, picture.curves)
    root = ElementTree.fromstring(_NO_XML.sub("\ufffd", text))
    _strip(root)
    colours = _name_colours(root)
    _own_ids(root, picture.name)
    _describe(root, picture)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    svg = ElementTree.tostring(root, encoding="unicode")
    return Drawing(svg, width, height, colours, points)


def _as_matplotlib_draws(figure: Figure, salt: str) -> str:
    target = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": salt, "savefig.bbox": "standard"}
    with figures.style(), mpl.rc_context(settings), light(figure), _told_apart(figure):
        figure.canvas.print_figure(target, format="svg")
    figure.set_layout_engine("none")  # another layout would start from this one, and end elsewhere
    return target.getvalue()


@contextlib.contextmanager
def _told_apart(figure: Figure) -> Iterator[None]:
    """Mark what lies on maps: these look the same on a dark page, and so must what is on them."""
    with contextlib.ExitStack() as after:
        for ax in filter(has_map, figure.axes):
            above: list[Artist] = [*ax.lines, *ax.texts, *ax.patches]
            above += [each for each in ax.collections if not is_map(each)]
            legend = ax.get_legend()
            for artist in [*above, *([legend] if legend else [])]:
                after.callback(artist.set_gid, artist.get_gid())
                artist.set_gid(_FIXED)
        yield


def _strip(root: Element) -> None:
    """Take out names of namespaces, which HTML knows, and what the page says once for all."""
    for parent in root.iter():
        parent.tag = parent.tag.rpartition("}")[2]
        for name in [name for name in parent.attrib if "}" in name]:
            parent.attrib[name.rpartition("}")[2]] = parent.attrib.pop(name)
        for name in {"d", "x", "y"} & {*parent.attrib}:
            places = " ".join(parent.attrib[name].split())
            parent.attrib[name] = _DECIMALS.sub(r"\1", places)  # hundredths of a point
        if parent.tag not in ("text", "tspan") and not (parent.text or "").strip():
            parent.text = None
        for child in list(parent):
            child.tail = None
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)


def _name_colours(root: Element) -> set[str]:
    """Colours by names of the page, but for what lies on a map; which there are."""
    groups = [each for each in root.iter("g") if each.get("id") == _FIXED]
    fixed = {each for group in groups for each in group.iter()}
    for group in groups:
        group.set("style", "fill: #000000")  # what matplotlib leaves out
    found = {"000000"}
    for element in root.iter():
        style = re.sub(r"font-family: [^;]*(; |$)", "", element.get("style", ""))
        for name in [name for name in ("fill", "stroke") if name in element.attrib]:
            style = f"{name}: {element.attrib.pop(name)}; {style}"  # attributes know no names
        if element not in fixed:
            found |= {*_COLOUR.findall(style)}
            style = _COLOUR.sub(r"var(--c-\1)", style)
        if style:
            element.set("style", style)
    return found


def _own_ids(root: Element, name: str) -> None:
    """Ids that something refers to, with the name in front; the others are of no use."""
    used: set[str] = set()
    for element in root.iter():
        for key, value in element.items():
            if key == "href" or "url(" in value:
                used |= {found[1] for found in _LINK.findall(value)}
                element.set(key, _LINK.sub(rf"\1#{name}.\2", value))
    for element in root.iter():
        given = element.attrib.pop("id", None)
        if given in used:
            element.set("id", f"{name}.{given}")
            element.attrib.pop("style", None)  # of a mark: each of its uses has one


def _describe(root: Element, picture: Picture) -> None:
    """What it shows, for those who do not see it."""
    root.set("role", "img")
    for place, (tag, text) in enumerate((("title", picture.title), ("desc", picture.words))):
        element = Element(tag, {"id": f"{picture.name}.{tag}"})
        element.text = _NO_XML.sub("\ufffd", text)
        root.insert(place, element)
    root.set("aria-labelledby", f"{picture.name}.title")
    root.set("aria-describedby", f"{picture.name}.desc")
