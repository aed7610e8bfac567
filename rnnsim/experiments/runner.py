"""The one runner of studies: job after job, each into its place, as one labelled dataset."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import attributes, labelled, nothing_yet, sizes_of
from rnnsim.experiments.study import Place, Study, measured
from rnnsim.parallel import thread_count
from rnnsim.progress import bar


def run(study: Study, *, n_threads: int | None = None, progress: bool = False) -> xr.Dataset:
    """Measure all jobs of a study.

    Parameters
    ----------
    study : Study
    n_threads : int, optional
        For each job; all cores unless given.
    progress : bool
        Show a progress bar, on a terminal.

    Returns
    -------
    xarray.Dataset
        The study's variables on its axes, NaN where nothing was measured; attributes
        ``configuration``, ``provenance`` and ``versions``.

    Raises
    ------
    TypeError
        A configuration that JSON cannot hold; before anything is measured.
    """
    threads, shown = thread_count(n_threads), checks.boolean("progress", progress)
    about = attributes(study.configuration, study.provenance)
    variables = measured(study)
    if checks.rehearsing():
        nothing = {name: nothing_yet(v._replace(dims=()), {}) for name, v in variables.items()}
        missing = {
            name: np.broadcast_to(nothing[name], sizes_of(v, study.axes))
            for name, v in variables.items()
        }
        return labelled(study.axes, study.variables, missing, about)
    values = {name: nothing_yet(v, study.axes) for name, v in variables.items()}
    with bar(len(study.jobs), show=shown, unit="job", description=study.name) as advance:
        for place, job in study.jobs:
            for name, array in study.measure(job, threads).items():
                _put(values[name], variables[name].dims, place, array)
            advance(1)
    return labelled(study.axes, study.variables, values, about)


def _put(
    target: npt.NDArray[Any], dims: tuple[str, ...], place: Place, array: npt.NDArray[Any]
) -> None:
    """Write one result where it belongs: axes that are fixed first, then those of its own."""
    fixed = [axis for axis, dim in enumerate(dims) if dim in place]
    own = [axis for axis, dim in enumerate(dims) if dim not in place]
    sizes = array.shape[array.ndim - len(own) :]
    at: list[Any] = [np.array(place[dims[axis]]) for axis in fixed]
    target.transpose(*fixed, *own)[(*at, *map(slice, sizes))] = array
