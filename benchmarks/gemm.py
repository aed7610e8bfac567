"""How fast this machine multiplies matrices: the yardstick for the rate of the kernels."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from rnnsim import parallel
from rnnsim.kernels.jit import kernel

from .contestants import PEAK, RECURRENCE, Arrays, Contestant, Prepared, cores
from .workloads import Floats, Problem

_RING = 16  # steps' worth of states that a thread works through: they stay in its cache
PEAK_SIZE = 1024


@kernel
def _multiply(states: Floats, weights: Floats, products: Floats, repeats: int) -> None:
    for i in range(repeats):
        slot = i % states.shape[0]
        np.dot(states[slot], weights, products[slot])


def sizes(name: str, problem: Problem) -> tuple[int, int, int, int]:
    """Rows, columns, slots and repeats of the products (rows,columns) @ (columns,columns)."""
    w = problem.workload
    if name == PEAK:
        size = PEAK_SIZE if w.flops > 1e8 else 64  # shrunk workloads are for tests
        return size, size, 1, 2
    return w.B, w.H, _RING, max(1, int(w.flops / (cores() * 2.0 * w.B * w.H**2)))


def flops(name: str, problem: Problem) -> float:
    """The arithmetic of one call, all threads together."""
    rows, columns, _, repeats = sizes(name, problem)
    return 2.0 * cores() * repeats * rows * columns**2


def _products(name: str, problem: Problem) -> Prepared:
    """Products of matrices, each thread with its own, BLAS with one thread as in rnnsim."""
    rows, columns, slots, repeats = sizes(name, problem)
    rng, dtype = np.random.default_rng(0), problem.W_hh.dtype

    def prepare() -> parallel.Worker:
        states = rng.normal(size=(slots, rows, columns)).astype(dtype)
        weights = rng.normal(size=(columns, columns)).astype(dtype)
        products = np.empty_like(states)

        def worker(start: int, stop: int) -> Iterator[None]:
            for _ in range(start, stop):
                _multiply(states, weights, products, repeats)
                yield

        return worker

    n_threads = cores()

    def run() -> None:
        parallel.over_networks(
            n_threads, n_threads, prepare, flops=parallel.FLOPS_PER_CALL
        )

    return Prepared(run, lambda _: Arrays())


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "bptt": {name: partial(_products, name) for name in (RECURRENCE, PEAK)},
}
