"""The one place that spreads work over threads.

Kernels call no BLAS, so nothing that runs here starts threads of its own, and no limit of a
process-wide library is touched. Pools belong to a call, so that a forked child starts clean.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rnnsim import checks

# Arithmetic per compiled call: long enough to hide the call, short enough (well under a second on
# one core) for progress and Ctrl-C.
FLOPS_PER_CALL = 5e9

# What a step costs beside the arithmetic on its numbers: most of it where networks are tiny.
FLOPS_PER_STEP = 5e3

# A single network below this is done before threads have met at its phases.
_FLOPS_FOR_A_TEAM = 1e8

_VARIABLE = "RNNSIM_NUM_THREADS"

Worker = Callable[[int, int], Iterator[None]]


def thread_count(n_threads: Any) -> int:
    """`n_threads` as given, or the number of cores that this process may use.

    The variable RNNSIM_NUM_THREADS says it where the system does not know, as within the quota of
    a container.

    Raises
    ------
    TypeError, ValueError
        A number below 1.
    """
    if n_threads is None and (told := os.environ.get(_VARIABLE)):
        if not told.isdecimal() or int(told) < 1:
            raise ValueError(
                f"the environment variable {_VARIABLE} must be a number of threads, 1 or more, got "
                f"{checks.shown(told)}"
            )
        return int(told)
    if n_threads is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    return checks.whole_number("n_threads", n_threads, least=1)


def over_networks(
    n_networks: int, n_threads: Any, prepare: Callable[[], Worker], *, flops: float
) -> None:
    """Run compiled code over all networks of an ensemble.

    `prepare()` allocates the workspace of one thread and returns its worker; `worker(start, stop)`
    treats networks start..stop-1 and yields between compiled calls. `flops` is the arithmetic for
    one network. What a network gives does not depend on how many threads there are.
    """
    crew = min(thread_count(n_threads), n_networks)
    turns = iter(_turns(n_networks, crew, max(1, int(FLOPS_PER_CALL / max(flops, 1.0)))))
    lock, stop = threading.Lock(), threading.Event()

    def work() -> None:
        worker = prepare()
        with np.errstate(all="ignore"):  # threads do not inherit the caller's
            while not stop.is_set():
                with lock:
                    turn = next(turns, None)
                if turn is None:
                    return
                for _ in worker(*turn):
                    if stop.is_set():
                        return

    if crew == 1:
        work()
        return
    with ThreadPoolExecutor(crew) as pool:
        try:
            for future in [pool.submit(work) for _ in range(crew)]:
                future.result()
        finally:
            stop.set()


def _turns(n: int, crew: int, most: int) -> list[tuple[int, int]]:
    """Ranges of at most about `most` of n networks, as equal as can be, as many for each thread."""
    count = min(n, crew * -(-n // (crew * most)))
    return [(n * i // count, n * (i + 1) // count) for i in range(count)]


def pieces(n_steps: int, chunk: int, block: int = 1) -> list[tuple[int, int]]:
    """Ranges of about `chunk` steps, of whole blocks but for the last: one compiled call each."""
    whole = max(1, chunk // block) * block
    return [(first, min(first + whole, n_steps)) for first in range(0, n_steps, whole)]


def team_size(n_networks: int, n_threads: Any, n_sequences: int, flops: float) -> int:
    """How many threads divide the sequences of a single network among themselves.

    1 where there are several networks, or too little to do. Members get four sequences at least:
    matrix products go by four rows.
    """
    threads = thread_count(n_threads)
    if n_networks > 1 or flops < _FLOPS_FOR_A_TEAM:
        return 1
    return max(1, min(threads, n_sequences // 4))


def shares(n: int, members: int) -> list[tuple[int, int]]:
    """Ranges that divide n among the members, by fours as far as that goes."""
    cuts = [4 * (-(-n // 4) * member // members) for member in range(members)] + [n]
    return list(itertools.pairwise(cuts))


def in_step(members: int, phases: Iterable[Callable[[int], None]]) -> None:
    """Run every phase for members 0..members-1 at once; all end one before the next begins."""

    def run(phase: Callable[[int], None], member: int) -> None:
        with np.errstate(all="ignore"):
            phase(member)

    with ThreadPoolExecutor(members) as pool:
        for phase in phases:
            for future in [pool.submit(run, phase, member) for member in range(members)]:
                future.result()
