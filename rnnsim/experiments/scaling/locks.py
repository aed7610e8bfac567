"""One driver for a store, or shards of it side by side: locks that the system frees at any end."""

import contextlib
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnnsim import files

_LOCK = ".lock"


@contextlib.contextmanager
def held(folder: Path, shard: str = "") -> Iterator[None]:
    """The lock of a store, or of one shard of it, for the block.

    Raises
    ------
    ValueError
        Another process has it; it is named.
    """
    if not shard:
        for other in _shards(folder):
            _refuse_if_held(folder, other)
    else:
        _refuse_if_held(folder, "")
    lock = _acquired(folder, shard)
    owner = _owner_file(folder, shard)
    files.write_text(owner, json.dumps(_myself()) + "\n")
    try:
        yield
    finally:
        owner.unlink(missing_ok=True)
        if lock is not None:
            lock.release()


def owners(folder: Path) -> dict[str, dict[str, Any]]:
    """Who drives a store now, by shard; "" is the whole."""
    found = {}
    for shard in ["", *_shards(folder)]:
        if _is_held(folder, shard):
            found[shard] = _owner(folder, shard)
    return found


def _acquired(folder: Path, shard: str) -> Any:
    lock = _lock(folder, shard)
    import filelock

    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(_taken(folder, shard)) from None
    except NotImplementedError:
        warnings.warn(
            f"`store` {str(folder)!r} is on a file system without locks: a second driver would not "
            "be noticed; start no other one",
            UserWarning,
            stacklevel=2,
        )
        return None
    return lock


def _refuse_if_held(folder: Path, shard: str) -> None:
    if _is_held(folder, shard):
        raise ValueError(_taken(folder, shard))


def _is_held(folder: Path, shard: str) -> bool:
    import filelock

    if not _lock_file(folder, shard).exists():
        return False
    lock = _lock(folder, shard)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except (NotImplementedError, OSError):
        return False
    lock.release()
    return False


def _lock(folder: Path, shard: str) -> Any:
    import filelock

    return filelock.FileLock(_lock_file(folder, shard), thread_local=False)


def _taken(folder: Path, shard: str) -> str:
    who = _owner(folder, shard)
    part = f"shard {shard} of " if shard else ""
    by = (
        f"process {who['pid']} on {who['host']}, since {who['since']}" if who else "another process"
    )
    return (
        f"`store` {str(folder)!r} is in use: {by} drives {part}it; wait for it, stop it, or choose "
        "another folder"
    )


def _myself() -> dict[str, Any]:
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return {"pid": os.getpid(), "host": platform.node(), "since": since}


def _owner(folder: Path, shard: str) -> dict[str, Any]:
    try:
        said = json.loads(_owner_file(folder, shard).read_bytes())
        return {name: said[name] for name in ("pid", "host", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _lock_file(folder: Path, shard: str) -> Path:
    return folder / (f"{_LOCK}-{shard.replace('/', '-of-')}" if shard else _LOCK)


def _owner_file(folder: Path, shard: str) -> Path:
    return folder / (f"owner-{shard.replace('/', '-of-')}.json" if shard else "owner.json")


def _shards(folder: Path) -> list[str]:
    names = [each.name.removeprefix(f"{_LOCK}-") for each in folder.glob(f"{_LOCK}-*")]
    return sorted(name.replace("-of-", "/") for name in names)
