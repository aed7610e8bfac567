"""What a report is made of."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnsim import checks
from rnnsim.checks import FloatArray


class Table(NamedTuple):
    """Rows of text below a caption; the first cell of each row names it."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


class Curve(NamedTuple):
    """Points of a figure that say their values under the pointer; x and y as they are drawn.

    Name and texts are plain text: what figures set as formulas is not set here.
    """

    axes: Axes
    name: str
    x: FloatArray
    y: FloatArray
    texts: Sequence[str]


class Picture(NamedTuple):
    """A figure, what it shows in words, and its numbers.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and hyphens; each occurs once in a report.
    title, words : str
    figure : Figure
        Drawn in the house style, without a title of its own.
    curves : sequence of Curve
    table : Table
    """

    name: str
    title: str
    words: str
    figure: Figure
    curves: Sequence[Curve]
    table: Table


class Report(NamedTuple):
    """What one page holds, in the order in which it is read.

    Attributes
    ----------
    title, verdict, subject : str
        The first sentence of each line of the verdict stands out.
    to_try : sequence of str
    numbers : sequence of Table
    pictures : sequence of Picture
    reproduce : mapping of str to str
        The command, versions, checksums.
    data : mapping
        All numbers: mappings, sequences, arrays, texts, numbers and None.
    """

    title: str
    verdict: str
    subject: str
    to_try: Sequence[str]
    numbers: Sequence[Table]
    pictures: Sequence[Picture]
    reproduce: Mapping[str, str]
    data: Mapping[str, Any]


def check(report: Report) -> None:
    """Refuse parts that do not fit together.

    Raises
    ------
    ValueError
        It names the part.
    """
    pictures = report.pictures
    names = [picture.name for picture in pictures]
    for i, name in enumerate(names):
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or name in names[:i]:
            raise ValueError(
                f"`pictures[{i}].name` must be lower-case letters, digits and single hyphens, and "
                f"occur once in a report, got {checks.shown(name)}; name it as its question, such "
                "as 'share-by-lag'"
            )
    for table in [*report.numbers, *(picture.table for picture in pictures)]:
        for row in table.rows:
            if len(row) != len(table.heads):
                raise ValueError(
                    f"`rows` of table {checks.shown(table.caption)} must have a cell for each of "
                    f"{len(table.heads)} heads, got {checks.shown(list(row))}"
                )
    for picture in pictures:
        for curve in picture.curves:
            _check_curve(picture, curve)


def _check_curve(picture: Picture, curve: Curve) -> None:
    where = f"of picture {picture.name!r}, curve {checks.shown(curve.name)},"
    sizes = tuple(map(len, (curve.x, curve.y, curve.texts)))
    if len({*sizes}) > 1:
        raise ValueError(f"`x`, `y` and `texts` {where} must be of one length, got {sizes}")
    if curve.axes not in picture.figure.axes:
        raise ValueError(f"`axes` {where} must be in its figure; give the Axes it is drawn into")
