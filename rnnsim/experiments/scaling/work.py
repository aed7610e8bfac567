"""What a worker does: a few jobs after each other, what came of each, and where training rests."""

import contextlib
import itertools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim.data.datasets import versions
from rnnsim.experiments.study import Found

_LINES = 12  # of a traceback

_files: ContextVar[Iterator[Path] | None] = ContextVar("files", default=None)


class Outcome(NamedTuple):
    """What came of a job: values, or why there are none; seconds that it took."""

    found: Found | None
    failure: str
    seconds: float


class Task(NamedTuple):
    """All that a worker is sent: one argument, plain data that can be pickled.

    Attributes
    ----------
    measure : callable
        That of the study, by its name.
    parts : tuple of tuple of (int, job)
        The jobs of each part, with their numbers.
    checkpoints : pathlib.Path or None
        Folder for those of training runs.
    versions : mapping of str to str
        Those of who sends it: others could give other bits.
    """

    measure: Callable[[Any, int], Found]
    parts: tuple[tuple[tuple[int, Any], ...], ...]
    checkpoints: Path | None
    versions: Mapping[str, str]


class OtherVersionsError(RuntimeError):
    """A worker has other versions of what computes."""


def work(task: Task) -> list[list[Outcome]]:
    """The outcomes of every part, on one thread: workers are as many as there are cores."""
    ours = versions()
    if differing := [name for name in ours if ours[name] != task.versions.get(name)]:
        name = differing[0]
        raise OtherVersionsError(
            f"a worker has {name} {ours[name]}, the driver {task.versions.get(name)}: install the "
            "same on both"
        )
    return [
        [outcome_of(task.measure, job, 1, number, task.checkpoints) for number, job in part]
        for part in task.parts
    ]


def outcome_of(
    measure: Callable[[Any, int], Found],
    job: Any,
    n_threads: int,
    number: int,
    checkpoints: Path | None,
) -> Outcome:
    """What comes of a job; one that raises leaves the others alone."""
    started = time.perf_counter()
    try:
        with kept_in(checkpoints, number):
            found, failure = measure(job, n_threads), ""
    except Exception as error:  # whatever a job makes of it
        lines = traceback.format_exception(error)
        found, failure = None, "".join(lines[-_LINES:]).strip()
    return Outcome(found, failure, time.perf_counter() - started)


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
