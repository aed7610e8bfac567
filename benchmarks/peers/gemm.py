"""How fast this machine multiplies matrices: the yardstick for the rate of the kernels."""

from collections.abc import Iterator
from functools import partial

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  (the BLAS that np.dot calls; loaded to be limited)
from threadpoolctl import threadpool_limits

from rnnsim import parallel
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.products import Rows, empty_panels, multiply, pack, padded

from .contestants import OWN, PEAK, RECURRENCE, Arrays, Contestant, Prepared, cores
from .workloads import Floats, Problem

_RING = 16  # steps' worth of states that a thread works through: they stay in its cache
PEAK_SIZE = 1024


@numba.njit(nogil=True)
def _multiply(states: Floats, weights: Floats, products: Floats, repeats: int) -> None:
    for i in range(repeats):
        slot = i % states.shape[0]
        np.dot(states[slot], weights, products[slot])


@kernel
def _multiply_packed(states: Floats, panels: Floats, products: Floats, repeats: int) -> None:
    slots, rows, columns = states.shape
    left, out = states.reshape(states.size), products.reshape(products.size)
    width = products.shape[2]
    for i in range(repeats):
        slot = i % slots
        source = Rows(left, slot * rows * columns, columns)
        multiply(source, rows, 0, columns, panels, Rows(out, slot * rows * width, width))


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
        panels = empty_panels(columns, columns, weights)
        pack(weights, 0, panels)
        width = padded(columns, weights) if name == OWN else columns
        products = np.zeros((slots, rows, width), dtype)

        def worker(start: int, stop: int) -> Iterator[None]:
            for _ in range(start, stop):
                if name == OWN:
                    _multiply_packed(states, panels, products, repeats)
                else:
                    _multiply(states, weights, products, repeats)
                yield

        return worker

    n_threads = cores()

    def run() -> None:
        with threadpool_limits(1, user_api="blas"):
            parallel.over_networks(n_threads, n_threads, prepare, flops=parallel.FLOPS_PER_CALL)

    return Prepared(run, lambda _: Arrays())


_YARDSTICKS: dict[str, Contestant] = {
    name: partial(_products, name) for name in (RECURRENCE, OWN, PEAK)
}
CONTESTANTS = {"bptt": _YARDSTICKS, "updates": _YARDSTICKS}
