"""The page of a report, and its file."""

from os import PathLike
from pathlib import Path

from rnnsim import checks, files

from .parts import Report


def html(report: Report) -> str:
    """One page without anything from elsewhere: the verdict, numbers, figures, how to reproduce."""
    raise NotImplementedError


def write(report: Report, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the page to a file that ends in .html, whole or not at all, and say where.

    Raises
    ------
    TypeError, ValueError
        Another ending; a folder.
    FileExistsError
        The file is there, and `overwrite` is False.
    OSError
        The place cannot be written.
    """
    place = check_place(path, overwrite=overwrite)
    files.write_text(place, html(report))
    return place


def check_place(path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Refuse what `write` would refuse, before anything is computed; the path of the file."""
    return checks.path("path", path)
