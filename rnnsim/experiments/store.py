"""The one place where datasets are saved and loaded (zarr)."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import files

_CHECKSUM = "content_sha256"


def save(dataset: xr.Dataset, path: str | PathLike[str], *, kind: str = "sweep") -> Path:
    """Write a dataset to a zarr folder: all of it or nothing.

    Parameters
    ----------
    dataset : xarray.Dataset
    path : path
        The folder to write. A dataset that rnnsim saved there before is replaced, and deleted
        only when the new one is in place; anything else is left alone.
    kind : str
        What the dataset is; `load` refuses another kind.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    TypeError, ValueError
        Not a dataset; a path that holds something else.
    OSError
        A folder that cannot be written.
    """
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"`dataset` must be an xarray.Dataset, got {type(dataset).__name__}")
    target = Path(path)
    if target.exists() and not (target / "zarr.json").is_file():
        raise ValueError(
            f"`path` {str(target)!r} exists and is not a saved dataset; choose another"
        )
    stored = dataset.assign_attrs({"kind": kind, _CHECKSUM: _checksum(dataset)})
    for name, coordinate in stored.coords.items():
        if coordinate.dtype.kind in "UO":  # only strings of variable width have a zarr 3 type
            text = coordinate.values.astype(np.dtypes.StringDType())
            stored = stored.assign_coords({name: (coordinate.dims, text, coordinate.attrs)})
    with files.replacing(target) as partial:
        stored.to_zarr(partial, mode="w-", consolidated=False, zarr_format=3)
    return target


def load(path: str | PathLike[str], *, kind: str = "sweep") -> xr.Dataset:
    """Read a dataset that `save` wrote, into memory.

    Raises
    ------
    FileNotFoundError
        Nothing there.
    ValueError
        Not a saved dataset, damaged (its checksum differs), or of another kind.
    """
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"`path` {str(source)!r} does not exist")
    try:
        with xr.open_zarr(source, consolidated=False) as opened:
            dataset = opened.load()
        found = {name: dataset.attrs.pop(name) for name in ("kind", _CHECKSUM)}
        text = [name for name, c in dataset.coords.items() if c.dtype.kind not in "biufc"]
        dataset = dataset.assign_coords(
            {
                n: (dataset[n].dims, [str(v) for v in dataset[n].values], dataset[n].attrs)
                for n in text
            }
        )
        intact = _checksum(dataset) == found[_CHECKSUM]
    except Exception as error:
        raise ValueError(
            f"`path` {str(source)!r} is not a readable dataset of rnnsim, or it is damaged "
            f"({type(error).__name__}: {error}); compute it again"
        ) from error
    if not intact:
        raise ValueError(
            f"`path` {str(source)!r} is damaged: its checksum differs from the one recorded when "
            "it was saved; compute it again"
        )
    if found["kind"] != kind:
        raise ValueError(
            f"`path` {str(source)!r} holds a dataset of kind {found['kind']!r}, expected {kind!r}; "
            "it was saved by another analysis"
        )
    return dataset


def _checksum(dataset: xr.Dataset) -> str:
    """sha256 over names, axes, values and attributes of all variables, in alphabetical order."""
    return files.checksum(_content(dataset))


def _content(dataset: xr.Dataset) -> Iterator[str | npt.NDArray[Any]]:
    attributes = {k: v for k, v in dataset.attrs.items() if k not in ("kind", _CHECKSUM)}
    yield repr(sorted(attributes.items()))
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        yield repr((name, variable.dims, variable.shape))
        if variable.dtype.kind in "biufc":
            yield variable.values
        else:
            yield repr([str(value) for value in variable.values.ravel()])
