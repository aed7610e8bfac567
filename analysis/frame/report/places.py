"""The file that a page is: where it may stand, and how it gets there."""

from os import PathLike
from pathlib import Path

from rnnsim import checks, files


def write_page(text: str, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a page, whole or not at all, and say where.

    Raises
    ------
    TypeError, ValueError, OSError
        As of `check_place`.
    """
    place = check_place(path, overwrite=overwrite)
    files.write_text(place, text)
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


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """What `check_place` refuses, in the words of a command with --output and --overwrite.

    Raises
    ------
    TypeError, ValueError, OSError
        As of `check_place`.
    """
    try:
        with checks.renamed(path="`--output`"):
            check_place(path, overwrite=overwrite)
    except OSError as error:
        raise OSError(str(error).replace("overwrite=True", "--overwrite")) from error
