"""Where a run goes: a folder of its own, that nothing is lost by writing it."""

import os
from dataclasses import dataclass
from pathlib import Path

from rnnsim import files

from . import manifest


@dataclass(frozen=True)
class Place:
    """A folder to write: one that was asked for, or the usual one of an analysis.

    What is used is replaced where the user says so, or where it is an earlier run in the usual one.
    """

    path: Path
    usual: bool = False
    overwrite: bool = False

    def below(self, name: str) -> "Place":
        """The same for one part of several."""
        return Place(self.path / name, self.usual, self.overwrite)

    def check(self, analysis: str, source: Path | None) -> None:
        """Refuse a folder that cannot be written, or that holds what should not be lost.

        Raises
        ------
        OSError
        """
        _check_movable(self.path)
        if not self.is_free():
            lost = manifest.strangers(self.path)
            if lost:
                raise FileExistsError(
                    f"`--output` {str(self.path)!r} holds {', '.join(lost[:3])}"
                    f"{' and others' if len(lost) > 3 else ''}, which no run of rnnsim has "
                    "written; move these away, or name another folder"
                )
            if not (self.overwrite or (self.usual and _is_earlier(self.path, analysis, source))):
                raise FileExistsError(
                    f"`--output` {str(self.path)!r} is used: it holds {_content(self.path)}; name "
                    "another folder, or replace it with --overwrite"
                )
        files.check_writable("--output", self.path)

    def is_free(self) -> bool:
        """Whether nothing is there, or nothing in it."""
        return not files.there(self.path) or not (self.path.is_dir() and any(self.path.iterdir()))


def _is_earlier(path: Path, analysis: str, source: Path | None) -> bool:
    """Whether a folder holds a run of the same analysis whose data are not lost without others."""
    try:
        found = manifest.read(path)
    except (OSError, ValueError):
        return False
    has_data = any(name.startswith("data/") for name in found.files)
    keeps_data = source is None or source.resolve() == path.resolve() or not has_data
    return found.analysis == analysis and keeps_data


def _content(path: Path) -> str:
    try:
        return f"a run of {manifest.read(path).analysis}"
    except (OSError, ValueError):
        return "a run that was not finished, or is damaged"


def _check_movable(path: Path) -> None:
    """Refuse what cannot be replaced by another folder."""
    place = path.resolve()
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"`--output` {str(path)!r} is a file; name another folder")
    if Path.cwd().is_relative_to(place) or os.path.ismount(place):
        raise OSError(
            f"`--output` {str(path)!r} is the folder you are in, above it, or a file system of its "
            "own, and cannot be replaced; name a folder in it"
        )
