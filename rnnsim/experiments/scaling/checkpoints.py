"""Where the training runs of a job go on from when the job is done again."""

import contextlib
import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

_files: ContextVar[Iterator[Path] | None] = ContextVar("files", default=None)


@contextlib.contextmanager
def kept_in(folder: Path | None, job: int) -> Iterator[None]:
    """Training runs in the block have checkpoints in a folder; none where it is not there."""
    names = None
    if folder is not None and folder.is_dir():  # which it is not on another machine
        names = (folder / f"{job:08d}-{i}.npz" for i in itertools.count())
    token = _files.set(names)
    try:
        yield
    finally:
        _files.reset(token)


def checkpoint() -> Path | None:
    """The file of the next training run of a job, for `train`; None where none is kept."""
    names = _files.get()
    return None if names is None else next(names)


def forget(folder: Path, job: int) -> None:
    """Delete the checkpoints of a job that is done."""
    for file in folder.glob(f"{job:08d}-*.npz"):
        file.unlink(missing_ok=True)
