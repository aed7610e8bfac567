"""The yardstick: how many multiply-adds this machine can do, on all cores, out of registers alone.

No product of matrices can be faster, whoever writes it. Vectors have 64 bytes: of AVX-512 one
register each, of which ten are in flight, since two units of latency 4 want eight; of AVX2 two
each, so that five leave registers for the factors. Both are timed and the faster one counts.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from rnnsim import parallel
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.vectors import lanes, multiply_add, splat, store, zeros

from .contestants import PEAKS, Arrays, Contestant, Prepared, cores
from .workloads import Floats, Problem

_FLOPS = 2.0**30  # of one call of one thread: some 10 ms


@kernel
def peak_of_5(factors: Floats, repeats: int, out: Floats) -> None:
    """Five chains of x <- x * factors[0] + factors[1]; their sum goes to out."""
    a, b = splat(factors, 0), splat(factors, 1)
    s = t = u = v = w = zeros(factors)
    for _ in range(repeats):
        s, t = multiply_add(s, a, b), multiply_add(t, a, b)
        u, v, w = multiply_add(u, a, b), multiply_add(v, a, b), multiply_add(w, a, b)
    store(out, 0, s + t + u + v + w)


@kernel
def peak_of_10(factors: Floats, repeats: int, out: Floats) -> None:
    """Ten such chains."""
    a, b = splat(factors, 0), splat(factors, 1)
    s = t = u = v = w = c = d = e = f = g = zeros(factors)
    for _ in range(repeats):
        s, t = multiply_add(s, a, b), multiply_add(t, a, b)
        u, v, w = multiply_add(u, a, b), multiply_add(v, a, b), multiply_add(w, a, b)
        c, d = multiply_add(c, a, b), multiply_add(d, a, b)
        e, f, g = multiply_add(e, a, b), multiply_add(f, a, b), multiply_add(g, a, b)
    first, second = s + t + u + v + w, c + d + e + f + g
    store(out, 0, first + second)


_KERNELS = dict(zip(PEAKS, ((peak_of_5, 5), (peak_of_10, 10)), strict=True))


def _repeats(name: str, problem: Problem) -> int:
    flops = _FLOPS if problem.workload.H > 4 else 2.0**20  # shrunk workloads are for tests
    return int(flops / (2 * _KERNELS[name][1] * lanes(problem.W_hh)))


def flops(name: str, problem: Problem) -> float:
    """The arithmetic of one call, all threads together: two for each lane of a multiply-add."""
    chains = _KERNELS[name][1]
    return 2.0 * cores() * _repeats(name, problem) * chains * lanes(problem.W_hh)


def _peak(name: str, problem: Problem) -> Prepared:
    """One thread a core, through rnnsim's own division of work."""
    function, repeats, n_threads = _KERNELS[name][0], _repeats(name, problem), cores()
    factors = np.array([0.5, 1.0], problem.W_hh.dtype)  # every chain ends at 2

    def prepare() -> parallel.Worker:
        out = np.zeros(lanes(factors), factors.dtype)

        def worker(start: int, stop: int) -> Iterator[None]:
            for _ in range(start, stop):
                function(factors, repeats, out)
                yield

        return worker

    def run() -> None:
        parallel.over_networks(n_threads, n_threads, prepare, flops=parallel.FLOPS_PER_CALL)

    return Prepared(run, lambda _: Arrays())


_YARDSTICKS: dict[str, Contestant] = {name: partial(_peak, name) for name in PEAKS}
CONTESTANTS = dict.fromkeys(("bptt", "updates", "pairs", "flow", "windows"), _YARDSTICKS)
