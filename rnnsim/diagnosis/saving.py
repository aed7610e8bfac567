"""Reports: written by what draws them, which stands above this package and is found by its name."""

from importlib.metadata import entry_points
from os import PathLike
from pathlib import Path
from typing import Any

_GROUP, _NAME = "rnnsim.reports", "html"


def save(found: Any, path: str | PathLike[str], *, overwrite: bool) -> Path:
    """Write a diagnosis, or two side by side, as one HTML file.

    Raises
    ------
    ImportError
        What draws reports is not installed.
    TypeError, ValueError, OSError
        A path that does not end in .html, that is there already, or that cannot be written.
    """
    writers = entry_points(group=_GROUP, name=_NAME)
    if not writers:
        raise ImportError(
            "`save` needs what draws reports, and this installation of rnnsim does not say where "
            "it is; install the whole distribution anew: pip install --force-reinstall "
            "rnnsim-toolkit, or in a checkout pip install -e ."
        )
    write = next(iter(writers)).load()
    place: Path = write(found, path, overwrite=overwrite)
    return place
