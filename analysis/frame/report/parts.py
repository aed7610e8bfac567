"""What a report is made of."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnsim.checks import FloatArray


class Table(NamedTuple):
    """Rows of text below a caption; the first cell of each row names it."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


class Curve(NamedTuple):
    """Points of a figure that say their values under the pointer; x and y as they are drawn."""

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
    to_try : sequence of str
    numbers : sequence of Table
    pictures : sequence of Picture
    reproduce : mapping of str to str
        The command, versions, checksums.
    data : mapping
        All numbers as JSON knows them.
    """

    title: str
    verdict: str
    subject: str
    to_try: Sequence[str]
    numbers: Sequence[Table]
    pictures: Sequence[Picture]
    reproduce: Mapping[str, str]
    data: Mapping[str, Any]
