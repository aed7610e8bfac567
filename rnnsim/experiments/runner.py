"""The one runner of studies: job after job, each into its place, as one labelled dataset."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import labelled, nothing_yet
from rnnsim.experiments.study import Place, Study, check_memory, measured
from rnnsim.parallel import thread_count
from rnnsim.progress import bar


def run(
    study: Study,
    *,
    n_threads: int | None = None,
    progress: bool = False,
    max_memory: float | None = None,
) -> xr.Dataset:
    """Measure all jobs of a study.

    Parameters
    ----------
    study : Study
    n_threads : int, optional
        For each job; all cores unless given.
    progress : bool
        Show a progress bar, on a terminal.
    max_memory : float, optional
        Bytes; a study that needs more is refused.

    Returns
    -------
    xarray.Dataset
        The study's variables on its axes, NaN where nothing was measured; attributes
        ``configuration``, ``provenance`` and ``versions``.

    Raises
    ------
    MemoryError
        The estimate exceeds `max_memory`; nothing has been computed.
    """
    threads = thread_count(n_threads)
    if max_memory is not None:
        check_memory(study, threads, checks.real_number("max_memory", max_memory, above=0.0))
    variables = measured(study)
    values = {name: nothing_yet(v, study.axes) for name, v in variables.items()}
    with bar(len(study.jobs), show=progress, unit="job", description=study.name) as advance:
        for place, job in study.jobs:
            for name, array in study.measure(job, threads).items():
                _put(values[name], variables[name].dims, place, array)
            advance(1)
    return labelled(
        study.axes,
        study.variables,
        values,
        configuration=study.configuration,
        provenance=study.provenance,
    )


def _put(
    target: npt.NDArray[Any], dims: tuple[str, ...], place: Place, array: npt.NDArray[Any]
) -> None:
    """Write one result where it belongs."""
    fixed = [place.get(dim) for dim in dims]
    rows = list(array) if any(isinstance(at, tuple) for at in fixed) else [array]
    for i, row in enumerate(rows):
        sizes = iter(np.shape(row))
        index = (
            slice(next(sizes)) if at is None else at[i] if isinstance(at, tuple) else at
            for at in fixed
        )
        target[tuple(index)] = row
