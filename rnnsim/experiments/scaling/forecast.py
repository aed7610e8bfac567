"""What a study will take, before it is started: jobs, memory, files, hours of a core."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from rnnsim.experiments.scaling.parts import jobs_in_part, packed
from rnnsim.experiments.scaling.work import Outcome
from rnnsim.experiments.study import Place, Study, dataset_bytes

_ALIKE = ("gain", "network_seed", "data_seed")  # jobs that differ in these alone cost the same

_found: ContextVar[list[Study] | None] = ContextVar("found", default=None)


@contextlib.contextmanager
def collected() -> Iterator[list[Study]]:
    """The studies that are rehearsed in the block."""
    studies: list[Study] = []
    token = _found.set(studies)
    try:
        yield studies
    finally:
        _found.reset(token)


def collect(study: Study) -> None:
    """Note a study that is rehearsed, where somebody asks."""
    studies = _found.get()
    if studies is not None:
        studies.append(study)


class Forecast(NamedTuple):
    """What a study will take, as one job of each kind tells.

    Attributes
    ----------
    name : str
    n_jobs, n_kinds : int
        All jobs; jobs of a kind differ in seeds and gains alone.
    memory : float
        Bytes of the dataset and of the working arrays of a job.
    disk, n_files : float, int
        Bytes and files of a store.
    seconds : float
        Of one core.
    """

    name: str
    n_jobs: int
    n_kinds: int
    memory: float
    disk: float
    n_files: int
    seconds: float


def forecast(study: Study, advance: Callable[[int], object] = lambda _: None) -> Forecast:
    """Measure one job of each kind, on one thread; `advance` is told of each."""
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, (place, _) in enumerate(study.jobs):
        kinds.setdefault(_kind(place), []).append(number)
    disk = seconds = 0.0
    for i, numbers in enumerate(kinds.values()):
        place, job = study.jobs[numbers[0]]
        if i == 0:
            study.measure(job, 1)  # what is compiled is not counted
        started = time.perf_counter()
        outcome = Outcome(study.measure(job, 1), "", 0.0)
        seconds += len(numbers) * (time.perf_counter() - started)
        disk += len(numbers) * len(packed("0" * 64, [place], [outcome]))
        advance(1)
    n_jobs = len(study.jobs)
    memory = dataset_bytes(study) + study.memory.job + study.memory.thread
    files = -(-n_jobs // jobs_in_part(n_jobs))
    return Forecast(study.name, n_jobs, len(kinds), memory, disk, files, seconds)


def _kind(place: Place) -> tuple[Any, ...]:
    return tuple(
        (axis, len(at) if isinstance(at, tuple) else at)
        for axis, at in place.items()
        if axis not in _ALIKE or isinstance(at, tuple)
    )
