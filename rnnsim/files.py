"""Files and folders written whole or not at all, read whole, and checksums: the one place for all.

What is being written stands in a stage, a hidden folder beside its place,
``.<name>.<unique>.partial``, which holds a lock as long as its writer lives.
"""

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

import numpy as np
import numpy.typing as npt

_STAGE = re.compile(r"\..+\.[0-9a-f]{8}\.partial", re.DOTALL)
_MAKING = re.compile(r"\..+\.[0-9a-f]{8}\.making", re.DOTALL)
_LOCK = "rnnsim.lock"
_ASIDE = "rnnsim.aside"  # the folder that was in place, where it cannot be swapped
_ATTEMPTS = 100
_LONG = 60.0  # seconds, for what takes less than a thousandth of one

_Read = TypeVar("_Read")


@contextlib.contextmanager
def replacing(path: str | PathLike[str], *, anew: bool = False) -> Iterator[Path]:
    """A fresh path to write a file or a folder to; it moves onto `path` when the block ends well.

    The fresh path has the name of `path`, in a stage beside it. Folders above it are made. Where
    `path` is a link, what it names is replaced.

    - A block that fails leaves `path` as it was and nothing beside it, nor folders made for it.
    - It is replaced in one step: at any moment the old or the new one is at `path`, whole. Only
      when the new one is there is the old one deleted.
    - Where the system cannot swap folders (neither Linux nor macOS, or an old file system), a
      folder is replaced in two steps. A process killed between them leaves both whole in its
      stage, and whoever asks next (`there`, `replacing`) puts the new one in place.
    - The stage of a process that was killed is deleted by the next writer in the same folder, or,
      where it had not been locked yet, by one a minute later. One that is being written to is left
      alone; so are all where files cannot be locked.
    - Of several writers of one path each puts its own there whole; the last one stays.
    - A file does not replace a folder, nor a folder a file: OSError.
    - With `anew` a folder replaces nothing but an empty one: where another writer was faster, it is
      kept whole beside `path`, and a FileExistsError says where.

    This holds when processes are killed. Nothing is forced to the disk: after a power cut it holds
    as far as the file system keeps to the order of writes and moves.
    """
    target = Path(path).resolve()
    with _made(target.parent):
        _sweep(target.parent)
        with _stage(target) as stage:
            fresh = stage / target.name
            yield fresh
            if anew:
                _put_beside(fresh, target)
            elif fresh.is_dir():
                _put_folder(fresh, target)
            else:
                os.replace(fresh, target)


@contextlib.contextmanager
def writing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """`replacing` for one file of bytes, open for the block."""
    with replacing(path) as fresh, fresh.open("wb") as file:
        yield file


def put(path: Path, content: bytes, stage: Path) -> None:
    """Write one of thousands of files, whole or not at all, by way of a stage that is there.

    Nobody else writes to the stage, and who owns it deletes what a killed process left in it.
    """
    fresh = stage / uuid4().hex
    try:
        fresh.write_bytes(content)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def write_text(path: str | PathLike[str], text: str) -> None:
    """`replacing` for one file of text, in UTF-8."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def there(path: str | PathLike[str]) -> bool:
    """Whether something is at `path`, also where a killed process was just about to put it."""
    target = Path(path).resolve()
    if not target.exists():
        _sweep(target.parent)
    return target.exists()


def check_writable(name: str, path: str | PathLike[str]) -> None:
    """Refuse a place that cannot be written, before an hour of computing and not after.

    Raises
    ------
    OSError
        It names the parameter.
    """
    try:
        with contextlib.suppress(InterruptedError), replacing(path):
            raise InterruptedError  # as a block that fails: nothing stays
    except OSError as error:
        raise OSError(
            f"`{name}` {str(path)!r} cannot be written ({error.strerror}); name another place"
        ) from error


def steadily(path: Path, read: Callable[[Path], _Read]) -> _Read:
    """`read(path)`, which raises what is not whole; again where another was put there meanwhile."""
    for _ in range(_ATTEMPTS):
        before = _identity(path)
        try:
            return read(path)
        except Exception:
            if before == _identity(path):
                raise
    return read(path)


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file, or those of some names that it has; nothing in it is executed.

    Raises
    ------
    ValueError
        A file that is no such archive, damaged, or with objects in it; it says why.
    OSError
        A file that the system does not open.
    """
    with path.open("rb") as file:
        try:
            with warnings.catch_warnings(action="ignore"), np.load(file) as archive:
                wanted = archive.files if names is None else {*names} & {*archive.files}
                return {name: archive[name] for name in wanted}
        except Exception as error:  # whatever zipfile, zlib, ast, NumPy or an allocation make of it
            raise ValueError(f"{type(error).__name__}: {error}") from error


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


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder, made with all above it; where the block fails, what was made for it goes again."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:
            with contextlib.suppress(OSError):  # others have put something there
                each.rmdir()
        raise


@contextlib.contextmanager
def _stage(target: Path) -> Iterator[Path]:
    """A stage of one's own beside `target`, locked, gone after the block."""
    stage, lock = _locked(target)
    try:
        yield stage
    finally:
        if target.exists() or not _asides(stage):  # else the only whole ones are in there
            _remove(stage)
        if lock is not None:
            lock.release()
        if stage.exists() and not _asides(stage):  # some systems delete no file that is locked
            _remove(stage)


def _locked(target: Path) -> tuple[Path, Any]:
    """A new stage and its lock; None where the file system has no locks.

    It has its name, by which others find it, only when it is locked.
    """
    import filelock  # not before something is written

    name = f".{target.name[:40]}.{uuid4().hex[:8]}"
    making, stage = (target.with_name(f"{name}.{word}") for word in ("making", "partial"))
    making.mkdir()
    lock: Any = filelock.FileLock(making / _LOCK, thread_local=False)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        lock = None
    os.rename(making, stage)
    return stage, lock


def _sweep(folder: Path) -> None:
    """Delete the stages in a folder whose writers are dead; put in place what they had finished."""
    import filelock

    for making in [each for each in folder.glob(".*.making") if _MAKING.fullmatch(each.name)]:
        with contextlib.suppress(OSError):  # long ago: killed before it was locked
            if time.time() - making.stat().st_mtime > _LONG:
                (making / _LOCK).unlink(missing_ok=True)
                making.rmdir()
    for stage in [each for each in folder.glob(".*.partial") if _STAGE.fullmatch(each.name)]:
        with contextlib.suppress(OSError, NotImplementedError):  # of a live one, or just gone
            if stage.is_symlink() or not (stage / _LOCK).is_file():
                if time.time() - stage.lstat().st_mtime > _LONG:
                    stage.rmdir()  # if empty: killed as the last thing in it was deleted
                continue
            swept = folder / f".swept.{uuid4().hex[:8]}.partial"  # a name that nobody waits for
            with filelock.FileLock(stage / _LOCK, timeout=0, thread_local=False):
                _recover(stage)
                os.rename(stage, swept)
                _remove(swept)
            if swept.exists():  # some systems delete no file that is locked
                _remove(swept)


def _remove(stage: Path) -> None:
    """Delete a stage, its lock last: what a killed process leaves of it is swept up."""
    with contextlib.suppress(OSError):
        for each in [each for each in stage.iterdir() if each.name != _LOCK]:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)
    shutil.rmtree(stage, ignore_errors=True)


def _recover(stage: Path) -> None:
    """Finish what was killed between its two moves."""
    if _asides(stage):
        for fresh in stage.iterdir():
            if not fresh.name.startswith((_LOCK, _ASIDE)):
                _moved(fresh, stage.with_name(fresh.name))


def _asides(stage: Path) -> list[Path]:
    """The folders that were in place; of a stage that is gone none."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(stage.glob(f"{_ASIDE}*"))
    return []


def _put_folder(fresh: Path, target: Path) -> None:
    """Move a folder into place, over one that is there, also while others do the same."""
    while not _moved(fresh, target):
        try:
            if _swapped(fresh, target) or _put_aside(fresh, target):
                return
        except FileNotFoundError:  # another writer has just moved it
            continue


def _put_beside(fresh: Path, target: Path) -> None:
    """Move a folder to where nothing is, or next to what is there and say so."""
    place = target
    while not _moved(fresh, place):
        place = target.with_name(f"{target.name}-{uuid4().hex[:4]}")
    if place != target:
        raise FileExistsError(
            f"{str(target)!r} was written by another process meanwhile; what was to go there is "
            f"in {str(place)!r}"
        )


def _put_aside(fresh: Path, target: Path) -> bool:
    """Make place for a folder and move it there at once, or say that another is there again."""
    asides = _asides(fresh.parent)  # one where another writer came between the two moves
    aside = fresh.with_name(f"{_ASIDE}{len(asides)}")
    os.rename(target, aside)
    try:
        os.rename(fresh, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        with contextlib.suppress(OSError):
            os.rename(aside, target)
        raise
    return True


def _moved(folder: Path, target: Path) -> bool:
    """Move a folder to where nothing is, or say that something is there."""
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or target.is_file():
            raise
        return False
    return True


def _swapped(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, or say that this system cannot."""
    library: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    paths, swap = (os.fsencode(one), os.fsencode(other)), 2  # RENAME_EXCHANGE, RENAME_SWAP
    if hasattr(library, "renameat2"):
        here = -100  # AT_FDCWD
        failed = library.renameat2(here, paths[0], here, paths[1], swap)
    elif hasattr(library, "renamex_np"):
        failed = library.renamex_np(*paths, swap)
    else:
        return False
    if failed and ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    return not failed


def _identity(path: Path) -> tuple[int, ...] | None:
    """What tells the thing at a path from one that was there before."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns
