"""Parts of a study through an Executor: a few at a time, again where they were lost."""

import math
import pickle
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future
from concurrent.futures import wait as first_of
from pathlib import Path
from typing import Any

from rnnsim import checks
from rnnsim.data.datasets import versions
from rnnsim.experiments.scaling.work import Outcome, Task, work
from rnnsim.experiments.study import Study
from rnnsim.parallel import thread_count

TRIES = 5  # of a part that does not come back, until it counts as failed
PER_SLOT = 4  # tasks in flight for each worker: enough to keep it busy, few enough to stop at once
_LOOK_EVERY = 1.0  # seconds, for a scheduler that is lost
_PATIENCE = 10.0  # seconds
_LEAST_SECONDS = 0.2  # of a task: shorter jobs are sent in groups,
_A_SLOT = 0.002  # seconds, for each slot: a scheduler hands out some thousand tasks a second
_MOST_JOBS = 256  # of a task

_GOES_ON = "with a `store`, the same call goes on where this one stopped"

_Parts = Mapping[int, range] | Sequence[range]  # the numbers of the jobs of each
Finished = tuple[int, list[Outcome]]


class EngineError(RuntimeError):
    """What runs the jobs is gone: a broken pool, a lost scheduler, workers that all fail alike."""


def check_executor(executor: Any) -> None:
    """Refuse what is no Executor.

    Raises
    ------
    TypeError
    """
    if isinstance(executor, type) or not (
        callable(getattr(executor, "submit", None))
        and callable(getattr(executor, "shutdown", None))
    ):
        raise TypeError(
            "`executor` must be a concurrent.futures.Executor, such as ProcessPoolExecutor(4) or "
            f"dask's client.get_executor(), got {checks.shown(executor)} "
            f"({type(executor).__name__})"
        )


def check_sendable(study: Study) -> None:
    """Refuse jobs that no other process could be sent, before any is.

    Raises
    ------
    ValueError
    """
    try:
        pickle.dumps((study.measure, *(job for _, job in study.jobs[:1])))
    except Exception as error:  # whatever an object makes of it
        raise ValueError(
            f"`executor` sends jobs to other processes, and this {study.name} cannot be pickled "
            f"({error}); use functions at the top level of a module, and data that pickle knows"
        ) from error


class Dispatch:
    """Parts of a study that are measured by an Executor, as they come back.

    A task that is lost with its worker is sent again, up to `TRIES` times; then its jobs have
    failed. Where the executor itself is gone, an `EngineError` says so.
    """

    def __init__(
        self, executor: Executor, study: Study, parts: _Parts, checkpoints: Path | None = None
    ) -> None:
        self._executor, self._study, self._jobs = executor, study, parts
        self._checkpoints = checkpoints
        self._tries: Counter[int] = Counter()
        self._seconds: deque[float] = deque(maxlen=32)  # of recent jobs
        self._flying: dict[Future[Any], tuple[int, ...]] = {}
        slots = _slots(executor)
        self._most, self._least = PER_SLOT * slots, max(_LEAST_SECONDS, _A_SLOT * slots)
        self._came = False
        self._seen_alive = time.monotonic()

    def run(self, todo: Sequence[int]) -> Iterator[Finished]:
        """The outcomes of parts, in the order in which they come."""
        waiting = deque(todo)
        try:
            while waiting or self._flying:
                while waiting and len(self._flying) < self._most:
                    self._send(self._group(waiting))
                done, _ = first_of(self._flying, _LOOK_EVERY, return_when=FIRST_COMPLETED)
                self._check_alive()
                for future in done:
                    parts = self._flying.pop(future)
                    outcomes, lost = self._result(future, parts)
                    waiting.extendleft(reversed(lost))
                    yield from outcomes
        finally:
            for future in self._flying:
                future.cancel()

    def _check_alive(self) -> None:
        """Of dask: a scheduler that does not come back, whose client would wait on and on."""
        state = getattr(getattr(self._executor, "_client", None), "status", "running")
        if state == "running":
            self._seen_alive = time.monotonic()
        elif state == "closed" or time.monotonic() - self._seen_alive > _PATIENCE:
            raise _gone(ConnectionError("the scheduler is lost"))

    def _group(self, waiting: deque[int]) -> tuple[int, ...]:
        """Parts that are sent together: one, and of short jobs some more; of lost ones alone."""
        first = waiting.popleft()
        found = [first]
        if not self._seconds or self._tries[first]:
            return (first,)
        mean = max(sum(self._seconds) / len(self._seconds), 1e-6)
        n_jobs = min(_MOST_JOBS, math.ceil(self._least / mean))
        held = len(self._jobs[first])
        while waiting and held + len(self._jobs[waiting[0]]) <= n_jobs:
            if self._tries[waiting[0]]:
                break
            held += len(self._jobs[waiting[0]])
            found.append(waiting.popleft())
        return tuple(found)

    def _send(self, parts: tuple[int, ...]) -> None:
        jobs = tuple(tuple((i, self._study.jobs[i][1]) for i in self._jobs[p]) for p in parts)
        task = Task(self._study.measure, jobs, self._checkpoints, versions())
        try:
            future = self._executor.submit(work, task)
        except BrokenExecutor as error:
            raise _gone(error) from error
        except RuntimeError as error:
            raise ValueError(
                f"`executor` takes no jobs ({error}); give one that is not shut down"
            ) from error
        self._flying[future] = parts

    def _result(
        self, future: Future[Any], parts: tuple[int, ...]
    ) -> tuple[list[Finished], list[int]]:
        """What came of a task: outcomes of parts, and those that are to be sent again."""
        try:
            outcomes = future.result()
        except BrokenExecutor as error:
            raise _gone(error) from error
        except (CancelledError, Exception) as error:  # of the executor: jobs raise nothing
            return self._lost(parts, error)
        self._came = True
        self._seconds.extend(each.seconds for part in outcomes for each in part)
        return list(zip(parts, outcomes, strict=True)), []

    def _lost(
        self, parts: tuple[int, ...], error: BaseException
    ) -> tuple[list[Finished], list[int]]:
        self._tries.update(parts)
        spent = [part for part in parts if self._tries[part] >= TRIES]
        if spent and (not self._came or isinstance(error, CancelledError)):
            raise _gone(error) from error
        said = f"lost {TRIES} times with its worker: {type(error).__name__}: {error}"
        failed = [(p, [Outcome(None, said, 0.0)] * len(self._jobs[p])) for p in spent]
        return failed, [part for part in parts if part not in spent]


def _gone(error: BaseException) -> EngineError:
    said = f": {error}" if str(error) else ""
    return EngineError(f"the executor runs no more jobs ({type(error).__name__}{said}); {_GOES_ON}")


def _slots(executor: Any) -> int:
    """How many tasks run at once, as far as an executor says; else as many as there are cores."""
    if isinstance(most := getattr(executor, "_max_workers", None), int):
        return max(1, most)
    client = getattr(executor, "_client", None)  # of dask
    if client is not None and callable(getattr(client, "nthreads", None)):
        return max(1, sum(client.nthreads().values()))
    return thread_count(None)
