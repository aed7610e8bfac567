"""Several sweeps as one dataset that knows the settings of all of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import joined
from rnnsim.experiments.cells import USUAL

_EACH = "configurations"  # of the datasets that were put together
_KEPT = ("configuration", "provenance", "versions")


def merge(datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put sweeps together along the axes whose labels differ, and keep the settings of each.

    `xarray.merge` and `xarray.concat` keep the attributes of the first dataset alone, and may turn
    integers into floats.

    Parameters
    ----------
    datasets : sequence of xarray.Dataset
        Of `sweep` and the like, one at least. Where two have the same labels, they have the same
        values, or one has none. Those without an axis cell are of vanilla networks.

    Returns
    -------
    xarray.Dataset
        All variables on all labels, ascending where they differ; missing where nothing was
        measured, NaN or of integers -1. Attributes as of each, as JSON: ``configuration`` has the
        settings that all share, and of those that are series all values; ``provenance`` and
        ``versions`` have all entries, several as a list; ``configurations`` the settings of each,
        in the order given.

    Raises
    ------
    TypeError, ValueError
        What are no datasets of rnnsim; none; other values at the same labels.

    Examples
    --------
    >>> import json, rnnsim
    >>> sizes = {"length": 4, "n_hidden": 3, "network_seeds": 1, "measures": "gradients"}
    >>> parts = [rnnsim.sweep("adding", gain=gain, **sizes) for gain in (0.5, 1.5)]
    >>> together = merge(parts)
    >>> together.gain.values, json.loads(together.attrs["configuration"])["gain"]
    (array([0.5, 1.5]), [0.5, 1.5])
    >>> [each["gain"] for each in json.loads(together.attrs["configurations"])]
    [[0.5], [1.5]]
    """
    given = checks.entries("datasets", datasets) if not isinstance(datasets, xr.Dataset) else None
    if given is None or not all(isinstance(each, xr.Dataset) for each in given):
        raise TypeError(
            "`datasets` must be a list of xarray.Dataset, such as [sweep(...), sweep(...)], got "
            f"{checks.shown(datasets)} ({type(datasets).__name__})"
        )
    if not given or not all("configuration" in each.attrs for each in given):
        raise ValueError(
            "`datasets` must hold one dataset at least, each with the settings that rnnsim records "
            f"as the attribute 'configuration', got {len(given)}"
        )
    named = _with_axes(given)
    try:
        # What variables mean is told in full by those that were measured of several cells.
        together = joined(sorted(named, key=lambda each: all(each is not one for one in given)))
    except ValueError as error:
        raise ValueError(
            "`datasets` must agree where they have the same labels; drop what is there twice, as "
            f"with .sel: {error}"
        ) from error
    return together.assign_attrs(given[0].attrs | _united(named))


def _with_axes(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Those without an axis of cells, where others have one, at the label of vanilla networks.

    Else their values would be taken for those of any cell.
    """
    found = list(datasets)
    for axis, usual in reversed(USUAL.items()):
        if any(axis in each.coords for each in datasets):
            found = [_with_axis(each, axis, usual) for each in found]
    return found


def _with_axis(dataset: xr.Dataset, axis: str, usual: tuple[Any, ...]) -> xr.Dataset:
    if axis in dataset.dims:
        return dataset
    if axis not in dataset.coords:
        settings = {axis: list(usual)} | json.loads(dataset.attrs["configuration"])
        dataset = dataset.assign_coords({axis: usual[0]}).assign_attrs(
            configuration=json.dumps(settings)
        )
    of_networks = {
        name: variable.expand_dims(axis)
        for name, variable in dataset.data_vars.items()
        if "network_seed" in variable.dims
    }
    return dataset.drop_vars([*of_networks, axis]).assign(of_networks)


def _united(datasets: Sequence[xr.Dataset]) -> dict[str, str]:
    """What the datasets say of themselves, together."""
    said = [{key: json.loads(each.attrs[key]) for key in _KEPT} for each in datasets]
    configurations: list[Any] = []
    for dataset, one in zip(datasets, said, strict=True):
        merged = _EACH in dataset.attrs
        configurations += json.loads(dataset.attrs[_EACH]) if merged else [one["configuration"]]
    shared = _shared([one["configuration"] for one in said])
    found = {key: _all([one[key] for one in said]) for key in _KEPT[1:]}
    return {
        key: json.dumps(value)
        for key, value in ({"configuration": shared, _EACH: configurations} | found).items()
    }


def _shared(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Those that are the same everywhere, and of series all values, each once."""
    found = {}
    for key, value in settings[0].items():
        values: list[Any] = [each.get(key) for each in settings]
        if all(each == value for each in values):
            found[key] = value
        elif all(isinstance(each, list) for each in values):
            found[key] = _once(entry for each in values for entry in each)
    return found


def _all(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every entry of all; where they differ, a list."""
    found = {}
    for key in _once(key for each in entries for key in each):
        values = _once(each[key] for each in entries if key in each)
        found[key] = values[0] if len(values) == 1 else values
    return found


def _once(values: Iterable[Any]) -> list[Any]:
    """In the order in which they first come."""
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
