"""A process that holds one library and one problem, and times contestants when told to.

Thread pools of different libraries disturb each other within a process; idle processes do not.
"""

import gc
import multiprocessing
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from ..peers.contestants import Arrays, Prepared, contestants_of
from ..peers.workloads import Problem


class _Desk:
    """What a worker process can be asked to do."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.prepared: dict[str, Prepared] = {}

    def prepare(self, problem: Problem) -> list[str]:
        """Take a problem in place of the last one; the names of the contestants for it."""
        self.prepared.clear()
        gc.collect()
        for name, contestant in contestants_of(self.library, problem.workload.kind).items():
            ready = contestant(problem)
            if ready is not None:
                self.prepared[name] = ready
        return list(self.prepared)

    def arrays(self, name: str) -> Arrays:
        """The numbers of one contestant; compiles what has to be compiled."""
        ready = self.prepared[name]
        return ready.arrays(ready.run())

    def seconds(self, name: str, n_calls: int, warm: bool) -> list[float]:
        """Time of each of `n_calls` calls, after one that is not timed where `warm`."""
        run, times = self.prepared[name].run, []
        gc.collect()
        if warm:
            run()
        for _ in range(n_calls):
            start = perf_counter()
            run()
            times.append(perf_counter() - start)
        return times


def _serve(library: str, connection: Connection) -> None:
    desk = _Desk(library)
    while True:
        try:
            method, *arguments = connection.recv()
            connection.send((True, getattr(desk, method)(*arguments)))
        except (EOFError, KeyboardInterrupt):
            return
        except Exception:
            connection.send((False, traceback.format_exc()))


class Worker:
    """The parent's end: ``worker.ask("prepare", problem)`` and so on, one question at a time."""

    def __init__(self, library: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.library = library
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(library, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Have the process run a method of its desk; what goes wrong there is raised here."""
        self._connection.send((method, *arguments))
        try:
            fine, answer = self._connection.recv()
        except EOFError:
            raise RuntimeError(f"the process of {self.library} ended during {method!r}") from None
        if not fine:
            raise RuntimeError(f"{self.library} failed in {method!r}:\n{answer}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


@contextmanager
def workers(libraries: tuple[str, ...]) -> Iterator[dict[str, Worker]]:
    """One process for each library, ended with the context."""
    started: dict[str, Worker] = {}
    try:
        for library in libraries:
            started[library] = Worker(library)
        yield started
    finally:
        for worker in started.values():
            worker.close()
