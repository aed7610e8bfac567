"""Values of a study while they come in: an array for each variable, filled place by place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim.data.datasets import Axes, Variable, labelled, nothing_yet
from rnnsim.experiments.study import Found, Place


class Values:
    """Where results belong: NaN where none is known.

    Parameters
    ----------
    axes, variables
        Of the study.
    about : mapping of str to str
        Attributes of the dataset.
    """

    def __init__(
        self, axes: Axes, variables: Mapping[str, Variable], about: Mapping[str, str]
    ) -> None:
        self._axes, self._variables, self._about = axes, variables, about
        self._values = {
            name: nothing_yet(v, axes) for name, v in variables.items() if name not in axes
        }

    def put(self, place: Place, found: Found) -> None:
        """Write the results of a job where they belong."""
        for name, array in found.items():
            _put(self._values[name], self._variables[name].dims, place, array)

    def dataset(self) -> xr.Dataset:
        """All that is there so far."""
        return labelled(self._axes, self._variables, self._values, self._about)


def _put(
    target: npt.NDArray[Any], dims: tuple[str, ...], place: Place, array: npt.NDArray[Any]
) -> None:
    """Write one result where it belongs: axes that are fixed first, then those of its own."""
    fixed = [axis for axis, dim in enumerate(dims) if dim in place]
    own = [axis for axis, dim in enumerate(dims) if dim not in place]
    sizes = array.shape[array.ndim - len(own) :]
    at: list[Any] = [np.array(place[dims[axis]]) for axis in fixed]
    target.transpose(*fixed, *own)[(*at, *map(slice, sizes))] = array
