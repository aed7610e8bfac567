"""The page of a report, and its file."""

import math
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from rnnsim import checks, files

from .colours import on_dark
from .drawing import drawn
from .parts import Report, Table, check

_NUMBER = re.compile(r"[-+−]?(\d[\d.,]*(e[-+]?\d+)?|inf|nan)(\s?%)?|", re.IGNORECASE)
_QUANTITY = re.compile(r"[-+−]?\d.{,20}")  # a number with its error or unit, on one line
_LINE = 60  # characters of a cell that need more than one


def html(report: Report) -> str:
    """One page in which nothing is from elsewhere, the same for the same report.

    Words first, then numbers, figures, and how to reproduce them. The figures are SVG; a script
    says the values of their curves under the pointer and by keys; ``report.data`` stands in
    ``<script type="application/json" id="data">``, NaN as null and infinities as "inf" and
    "-inf". All texts stay text.

    Raises
    ------
    TypeError
        Something in `data` that JSON does not know.
    ValueError
        Parts that do not fit together, such as two pictures of one name.

    Examples
    --------
    >>> report = Report("Diagnosis of a.pt", "It vanishes.", "", (), (), (), {}, {"rate": -0.1})
    >>> '<script type="application/json" id="data">{"rate":-0.1}</script>' in html(report)
    True
    """
    check(report)
    drawings = [drawn(picture) for picture in report.pictures]
    colours = sorted({"000000"}.union(*(drawing.colours for drawing in drawings)))
    page = _template().render(
        report=report,
        pictures=list(zip(report.pictures, drawings, strict=True)),
        colours=[(colour, f"#{colour}", on_dark(f"#{colour}")) for colour in colours],
        data=_plain(report.data),
        kinds=_kinds,
        quantity=_QUANTITY.fullmatch,
        paragraphs=_paragraphs,
    )
    return page.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode("utf-8")


def write(report: Report, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the page to a file, whole or not at all, and say where.

    Parameters
    ----------
    report : Report
    path : path
        It ends in .html. Folders above it are made.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    TypeError, ValueError
        What `html` refuses; a path with another ending.
    FileExistsError
        Something is at `path`, and `overwrite` is False.
    OSError
        A folder is there, or the place cannot be written.
    """
    place = check_place(path, overwrite=overwrite)
    files.write_text(place, html(report))
    return place


def check_place(path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """The path of a page; what `write` would refuse of it is refused, before anything is computed.

    Raises
    ------
    TypeError, ValueError, OSError
        As of `write`.
    """
    place, replace = checks.path("path", path), checks.boolean("overwrite", overwrite)
    if place.suffix.lower() != ".html":
        raise ValueError(
            f"`path` {str(place)!r} must end in .html: a report is one page for a browser; name "
            f"it {str(place.with_suffix('.html')) if place.name else 'report.html'!r}"
        )
    files.check_writable("path", place)
    if place.is_dir():
        raise IsADirectoryError(f"`path` {str(place)!r} is a folder; name a file in it")
    if files.there(place) and not replace:
        raise FileExistsError(
            f"`path` {str(place)!r} is there already; name another file, or replace it with "
            "overwrite=True"
        )
    return place


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template("page.html")


def _plain(value: Any, name: str = "data") -> Any:
    """A value as JSON knows it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(each, f"{name}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{name}[{i}]") for i, each in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"`{name}` must be a mapping, a sequence, a number, a text or None, as JSON knows them, "
        f"got {checks.shown(value)} ({type(value).__name__})"
    )


def _kinds(table: Table) -> list[str]:
    """What each column of a table holds, by which its cells are set: numbers, prose, or names."""
    return [_kind([row[i].strip() for row in table.rows]) for i in range(len(table.heads))]


def _kind(cells: list[str]) -> str:
    if max(map(len, cells), default=0) > _LINE:
        return "prose"
    if any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells):
        return "number"
    return "name"


def _paragraphs(text: str) -> list[list[str]]:
    """For each line its first sentence, and the others where there are any."""
    return [re.split(r"(?<=[.!?]) (?=[A-Z])", line, maxsplit=1) for line in text.split("\n")]
