"""Files and folders written whole or not at all, and checksums: the one place for both."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy.typing as npt


@contextlib.contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """A fresh path to write a file or a folder to; it moves onto `path` when the block ends well.

    The fresh path lies beside `path`, ends in its suffix and has a hidden name,
    ``.<stem>.<unique>.partial<suffix>``. Folders above it are made. Where `path` is a link, what it
    names is replaced.

    - A block that fails leaves `path` as it was and nothing beside it.
    - A file is replaced in one step: at any moment the old or the new one is at `path`, whole.
    - A folder is replaced in two: the old one moves aside, to a hidden name with ``.replaced``, and
      the new one into its place. Between the two nothing is at `path`, and who reads the old
      folder just then may miss parts of it. Only when the new one is in place is the old one
      deleted; if it cannot get there, the old one moves back.
    - A process killed within the block leaves the old one and a partial one under its hidden name;
      killed between the two moves, both folders whole under their hidden names; killed later, the
      new one and what is left of the old one. Nobody deletes these: they may be of a live process.
    - Of several writers of one path each puts its own there whole; the last one stays.
    - A file does not replace a folder, nor a folder a file: OSError.

    This holds when processes are killed. Nothing is forced to the disk: after a power cut it holds
    as far as the file system keeps to the order of writes and moves.
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(target, "partial")
    try:
        yield partial
        if partial.is_dir():
            _put_folder(partial, target)
        else:
            os.replace(partial, target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """`replacing` for one file of bytes, open for the block."""
    with replacing(path) as partial, partial.open("wb") as file:
        yield file


def write_text(path: str | PathLike[str], text: str) -> None:
    """`replacing` for one file of text, in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def checksum(parts: Iterable[str | bytes | npt.NDArray[Any]]) -> str:
    """sha256, in hex, of parts in order: text in UTF-8, arrays by their values in C order.

    Where parts end does not count, nor do shapes and dtypes: who wants that puts them in as text.

    Raises
    ------
    TypeError
        An array of objects or of strings of variable width, whose bytes are places in memory.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_bytes(part))
    return digest.hexdigest()


def _bytes(part: str | bytes | npt.NDArray[Any]) -> bytes:
    if isinstance(part, str):
        return part.encode()
    if isinstance(part, bytes):
        return part
    if part.dtype.hasobject:
        raise TypeError(
            f"`parts` must be text, bytes or arrays of plain values, got dtype {part.dtype}; "
            "put the values in as text"
        )
    return part.tobytes()


def _beside(path: Path, word: str) -> Path:
    """A hidden name that nobody else has, with the same suffix: formats are told by it."""
    return path.with_name(f".{path.stem}.{uuid4().hex[:8]}.{word}{path.suffix}")


def _put_folder(folder: Path, target: Path) -> None:
    """Move a folder into place, over one that is there, also while others do the same."""
    asides: list[Path] = []  # more than one where another writer comes between the two moves
    try:
        while not _moved(folder, target):
            asides.append(_beside(target, "replaced"))
            with contextlib.suppress(FileNotFoundError):  # another writer has just moved it
                os.rename(target, asides[-1])
    except BaseException:
        for aside in reversed(asides):  # the newest moves back; older ones find its place taken
            with contextlib.suppress(OSError):
                os.rename(aside, target)
        if target.is_dir():
            _delete(asides)
        raise
    _delete(asides)


def _delete(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _moved(folder: Path, target: Path) -> bool:
    """Move a folder to where nothing is, or say that something is there."""
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or target.is_file():
            raise
        return False
    return True
