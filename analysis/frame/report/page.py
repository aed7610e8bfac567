"""The page of a report, and its file."""

from os import PathLike
from pathlib import Path

from .colours import on_dark
from .drawing import drawn
from .parts import Report, check
from .places import check_place, write_page
from .templates import rendered


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
    return rendered(
        "page.html",
        str(__package__),
        title=report.title,
        report=report,
        pictures=list(zip(report.pictures, drawings, strict=True)),
        colours=[(colour, f"#{colour}", on_dark(f"#{colour}")) for colour in colours],
        reproduce=report.reproduce,
        data=report.data,
    )


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
    check_place(path, overwrite=overwrite)
    return write_page(html(report), path, overwrite=overwrite)
