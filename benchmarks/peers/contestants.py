"""What a contestant is, where each library keeps its own, and what several of them need."""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .workloads import Problem

Arrays = dict[str, npt.NDArray[Any]]

# Each module has CONTESTANTS: {kind of workload: {name: function of a problem}}.
MODULES = {
    "rnnsim": "ours",
    "numpy": "in_numpy",
    "torch": "in_torch",
    "jax": "in_jax",
    "gemm": "gemm",
}
PORTED = "lag recursion"  # so begin the names of peers that run rnnsim's own algorithm
YARDSTICKS = ("gemm",)  # timed in the same rounds, but no peers: they compute something else
PEAKS = ("peak of 5", "peak of 10")  # the yardsticks: multiply-adds by how many sums are in flight


class Prepared(NamedTuple):
    """A contestant ready to run.

    `run()` is what is timed; `arrays(result)` names its numbers for the check of agreement, and is
    not timed. Contestants of one kind of workload give the same names and shapes.
    """

    run: Callable[[], Any]
    arrays: Callable[[Any], Arrays]


Contestant = Callable[[Problem], Prepared | None]  # None: of no use for such a problem


def contestants_of(library: str, kind: str) -> Mapping[str, Contestant]:
    """The contestants of one library for one kind of workload; imports the library."""
    module = importlib.import_module(f".{MODULES[library]}", __package__)
    table: Mapping[str, Contestant] = module.CONTESTANTS.get(kind, {})
    return table


def weight_arrays(problem: Problem, loss: Any, found: Any) -> Arrays:
    """Loss (N,) and what was found for the weights, each (N, ...), by name: dL/dW.

    Of a workload of updates: the mean loss of all updates, and how far each weight has moved from
    where it began, which is small beside the weight itself and would hide in it.
    """
    names = "W_xh W_hh W_hy b_h b_y".split()
    names += ["W_xh before", "W_hh before", "b_h before"] if problem.before else []
    arrays = {name: np.asarray(array) for name, array in zip(names, found, strict=True)}
    if problem.workload.kind == "updates":
        first = zip(names, problem.weights, strict=True)
        arrays = {name: arrays[name] - array for name, array in first}
    return {"loss": np.asarray(loss)} | arrays


def lag_map(norms: npt.NDArray[np.floating]) -> Arrays:
    """Mean over sequences of ln of (S, K, B) norms by step and lag, as `rnnsim.gradient_flow` has.

    NaN where a norm is 0 or so small that the squares of its parts may leave the normal range,
    which some libraries flush to 0: not to be compared.
    """
    least = 1e4 * np.sqrt(np.finfo(norms.dtype).tiny)
    logs = np.log(np.where(norms > least, norms, np.nan).astype(np.float64))
    return {"log_norms": logs.mean(axis=2)[None]}


def flow_arrays(n_sequences: int, norms: npt.NDArray[np.floating], windows: Any) -> Arrays:
    """`lag_map`, and where there are windows, of losses summed over sequences, the same of these.

    windows: norms (T,) of dL/d[W_hh, W_xh, b_h] truncated at each, and cosines to the full one.
    """
    found = lag_map(norms)
    if windows is not None:
        lengths, cosines = (np.asarray(part, np.float64)[None] for part in windows)
        found["log_window_norms"] = np.log(lengths / n_sequences)
        found["window_cosine"] = cosines
    return found


def exponents(logs: npt.NDArray[np.floating], steps: int) -> Arrays:
    """Lyapunov exponents (N, H), descending, from sums (N, H) of ln |R_ii| over the steps."""
    return {"exponents": -np.sort(-np.asarray(logs, dtype=np.float64) / steps, axis=1)}


def by_lag(norms: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """(S, T, B) norms of dl[t,b]/dh_s at [t, s] rearranged to [t, t-s]; 0 where s < 1."""
    moved = np.zeros_like(norms)
    for t in range(norms.shape[0]):
        moved[t, : t + 1] = norms[t, t::-1]
    return moved


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shares(n_networks: int) -> list[slice]:
    """The ensemble in one piece for each core, as equal as can be."""
    bounds = np.linspace(0, n_networks, min(cores(), n_networks) + 1).round().astype(int)
    return [slice(a, b) for a, b in pairwise(bounds)]


def in_threads(
    tasks: Sequence[Callable[[], Any]], begin: Callable[[], Any] | None = None
) -> list[Any]:
    """Run every task in a Python thread of its own, as an expert allowed all cores would."""
    with ThreadPoolExecutor(len(tasks), initializer=begin) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]
