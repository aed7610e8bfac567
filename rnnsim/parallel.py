"""The one place that spreads networks over threads and limits the threads of BLAS."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rnnsim import checks

# Arithmetic per compiled call: long enough to hide the call, short enough (well under a second on
# one core) for progress and Ctrl-C.
FLOPS_PER_CALL = 5e9

# Below this many hidden units threads inside BLAS wait for each other longer than they compute.
_LARGE = 256

Worker = Callable[[int, int], Iterator[None]]


def thread_count(n_threads: Any) -> int:
    """`n_threads` as given, or the number of cores that this process may use."""
    if n_threads is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    return checks.whole_number("n_threads", n_threads, least=1)


def over_networks(
    n_networks: int,
    n_threads: Any,
    prepare: Callable[[], Worker],
    *,
    flops: float,
    n_hidden: int,
) -> None:
    """Run compiled code over all networks of an ensemble.

    `prepare()` allocates the workspace of one thread and returns its worker; `worker(start, stop)`
    treats networks start..stop-1 and yields between compiled calls. `flops` is the arithmetic for
    one network. Networks are spread over threads and BLAS runs on one; a single network of many
    hidden units leaves the threads to BLAS. What a network gives does not depend on how many
    threads there are, except for rounding where BLAS splits one large network.
    """
    threads = thread_count(n_threads)
    crew = min(threads, n_networks)
    grain = min(-(-n_networks // crew), max(1, int(FLOPS_PER_CALL / max(flops, 1.0))))
    starts = iter(range(0, n_networks, grain))
    lock, stop = threading.Lock(), threading.Event()

    def work() -> None:
        worker = prepare()
        with np.errstate(all="ignore"):  # threads do not inherit the caller's
            while not stop.is_set():
                with lock:
                    start = next(starts, None)
                if start is None:
                    return
                for _ in worker(start, min(start + grain, n_networks)):
                    if stop.is_set():
                        return

    with _blas_limit(threads if n_networks == 1 and n_hidden >= _LARGE else 1):
        if crew == 1:
            work()
            return
        with ThreadPoolExecutor(crew) as pool:
            try:
                for future in [pool.submit(work) for _ in range(crew)]:
                    future.result()
            finally:
                stop.set()


class _BlasLimiter:
    """Reference-counted limit on BLAS threads: the smallest request in force wins.

    Limits that overlap from several threads must not restore one another's (two nested
    `threadpool_limits` can leave a process at one thread for good), so one object counts them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[int] = []
        self._libraries: list[Any] | None = None
        self._originals: list[int] = []

    def _load(self) -> list[Any]:
        if self._libraries is None:
            # Compiled np.dot calls SciPy's BLAS; it must be loaded before it can be limited.
            import scipy.linalg.cython_blas  # noqa: F401
            from threadpoolctl import ThreadpoolController

            controllers = ThreadpoolController().lib_controllers
            self._libraries = [library for library in controllers if library.user_api == "blas"]
        return self._libraries

    def _apply(self) -> None:
        libraries = self._load()
        for library, original in zip(libraries, self._originals, strict=True):
            # threadpoolctl lets only the thread that set OpenBLAS's limit first set it again.
            release = getattr(library, "clear_controlling_thread", lambda **_: None)
            release(force=True)
            library.set_num_threads(min([original, *self._requests]))
            release(force=True)

    def enter(self, n_threads: int) -> None:
        with self._lock:
            if not self._requests:
                self._originals = [library.num_threads for library in self._load()]
            self._requests.append(n_threads)
            self._apply()

    def leave(self, n_threads: int) -> None:
        with self._lock:
            self._requests.remove(n_threads)
            self._apply()


_limiter = _BlasLimiter()


def _after_fork() -> None:
    """A forked child starts with no request of its own and with its parent's original limits."""
    global _limiter
    inherited, _limiter = _limiter, _BlasLimiter()
    if inherited._requests:
        inherited._requests.clear()
        inherited._apply()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def _blas_limit(n_threads: int) -> Iterator[None]:
    limiter = _limiter
    limiter.enter(n_threads)
    try:
        yield
    finally:
        limiter.leave(n_threads)
