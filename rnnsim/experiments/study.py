"""A study as data: its axes and variables, the jobs that fill them, and what measures a job."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.datasets import Axes, Variable, sizes_of
from rnnsim.parallel import thread_count

Found = dict[str, npt.NDArray[Any]]
Place = Mapping[str, int | tuple[int, ...]]


class Memory(NamedTuple):
    """Bytes of working arrays, of a job and of each thread; what to do where it is too much."""

    job: float = 0.0
    thread: float = 0.0
    advice: str = "ask for fewer or shorter axes"


class Study(NamedTuple):
    """Measurements on labelled axes, before any is taken.

    Attributes
    ----------
    name : str
        What it is, in a word or two.
    axes : mapping of str to tuple or int
        The labels along each axis, or their number where it has none.
    variables : mapping of str to Variable
        What is measured, and what is special about an axis.
    jobs : sequence of (Place, job)
        A job is plain data: it can be pickled, and says by itself all that is to be measured. Its
        place fixes some of the axes by an index. Where it fixes several by tuples, results have in
        their place one axis, the first, which runs along all of these together.
    measure : callable
        ``measure(job, n_threads) -> {variable: array}``, a function of a module. An array has the
        axes of its variable that the place does not fix; where it is shorter than an axis, the rest
        stays NaN.
    configuration, provenance : mapping
        The settings, and where data come from; attributes of the dataset.
    memory : Memory
    """

    name: str
    axes: Axes
    variables: Mapping[str, Variable]
    jobs: Sequence[tuple[Place, Any]]
    measure: Callable[[Any, int], Found]
    configuration: Mapping[str, Any]
    provenance: Mapping[str, str] = {}
    memory: Memory = Memory()


def measured(study: Study) -> dict[str, Variable]:
    """The variables that jobs measure, without those that tell what an axis is."""
    return {name: v for name, v in study.variables.items() if name not in study.axes}


def grid(axes: Axes, *names: str) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[Any, ...]]]:
    """All combinations of labels along some axes, the last fastest: their place, and the labels.

    Examples
    --------
    >>> grid({"gain": (0.5, 2.0), "network_seed": (7, 8)}, "gain", "network_seed")[1]
    {'gain': (0.5, 0.5, 2.0, 2.0), 'network_seed': (7, 8, 7, 8)}
    """
    labels = {name: tuple(axes[name]) for name in names}  # type: ignore[arg-type]
    columns = zip(*np.ndindex(*map(len, labels.values())), strict=True)
    place = dict(zip(names, columns, strict=True))
    return place, {name: tuple(labels[name][i] for i in at) for name, at in place.items()}


def dataset_bytes(study: Study) -> float:
    """Bytes of the dataset that a study fills."""
    shapes = ((sizes_of(v, study.axes), np.dtype(v.dtype)) for v in measured(study).values())
    return float(sum(math.prod(shape) * dtype.itemsize for shape, dtype in shapes))


def check_memory(study: Study, n_threads: int | None, max_memory: float) -> None:
    """Refuse a study whose dataset and working arrays take more bytes; jobs need not be there yet.

    Raises
    ------
    MemoryError
        With what takes how much.
    TypeError, ValueError
        A limit that is not a number above 0; n_threads below 1.
    """
    limit = checks.real_number("max_memory", max_memory, above=0.0)
    crew = thread_count(n_threads)
    dataset = dataset_bytes(study)
    threads = crew * study.memory.thread
    total = dataset + study.memory.job + threads
    if total > limit:
        raise MemoryError(
            f"the {study.name} needs about {total / 1e9:.3g} GB (dataset {dataset / 1e9:.3g}, "
            f"results of a job {study.memory.job / 1e9:.3g}, workspaces of {crew} threads "
            f"{threads / 1e9:.3g}), more than `max_memory` = {limit / 1e9:.3g} GB; "
            f"{study.memory.advice}"
        )


def flow_bytes(
    n_lags: int, n_loss_steps: int, n_sequences: int = 0, *, cell: str = "vanilla"
) -> float:
    """Results of one network's gradient flow: four arrays (S, K), ten (K,), one (S, K, B).

    Of LSTMs three more (S, K): norms of h, of c and of the path through c.
    """
    arrays = 4 + n_sequences + 3 * (cell == "lstm")
    return 8.0 * n_lags * (arrays * n_loss_steps + 10)
