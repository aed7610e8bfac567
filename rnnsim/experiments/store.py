"""The one place where datasets are saved and loaded (zarr)."""

import json
import re
import warnings
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, files
from rnnsim.data.datasets import plain_attributes
from rnnsim.experiments.scaling.folder import assembled
from rnnsim.experiments.scaling.plan import has_plan, read_plan

_CHECKSUM = "content_sha256"  # names, axes, values, attributes of the whole
_LABELS = "labels_sha256"  # its kind; dtypes and attributes of variables. Older datasets have none
_ABOUT = ("kind", _CHECKSUM, _LABELS)
_OURS = re.compile(r"([^/]+/)?zarr\.json|[^/]+/c(/\d+)*")


def save(dataset: xr.Dataset, path: str | PathLike[str], *, kind: str = "sweep") -> Path:
    """Write a dataset to a zarr folder: all of it or nothing.

    It comes back as it is, but for what files do not tell apart: tuples and arrays among attributes
    come back as lists, NumPy's numbers as Python's, strings of fixed width as strings.

    Parameters
    ----------
    dataset : xarray.Dataset
    path : path
        The folder to write. A dataset that rnnsim saved there before is replaced in one step, and
        deleted only when the new one is in place; anything else is left alone.
    kind : str
        What the dataset is; `load` tells it from another kind where it is asked to.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    TypeError, ValueError
        Not a dataset; values, attributes or names that cannot be saved; a path that holds something
        else.
    OSError
        A folder that cannot be written.
    """
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"`dataset` must be an xarray.Dataset, got {type(dataset).__name__}")
    target = checks.path("path", path)
    checks.text("kind", kind)
    if files.there(target) and not _is_ours(target):
        raise ValueError(
            f"`path` {str(target)!r} exists and is not a saved dataset, or holds files beside it; "
            "choose another, or move it away"
        )
    described = _described(dataset)
    about = {"kind": kind, _CHECKSUM: _checksum(described), _LABELS: _labels(described, kind)}
    stored = _renamed(_as_stored(described).assign_attrs(about), _quoted)
    for variable in stored.variables.values():
        if variable.dtype.kind == "c":  # elsewhere 0.0 stands for chunks of -0.0
            variable.encoding["write_empty_chunks"] = True
    with files.replacing(target) as fresh:
        try:
            stored.to_zarr(fresh, mode="w-", consolidated=False, zarr_format=3)
            kept, _ = _opened(fresh)
        except OSError:
            raise
        except Exception as error:  # of xarray, zarr and the codecs, each with its own
            raise ValueError(f"`dataset` cannot be saved: {error}") from error
        _check_kept(kept, described)
    return target


def load(
    path: str | PathLike[str], *, kind: str | None = None
) -> xr.Dataset | dict[str, xr.Dataset]:
    """Read a dataset that `save` wrote, into memory; of a folder of datasets, all by their names.

    Parameters
    ----------
    path : path
        What `save` wrote; the `store` of a sweep, also while it runs: what is there so far, NaN
        elsewhere; or a folder of several whose names end in .zarr, such as the data/ of a
        command, or the folder that it left, with this data/ in it.
    kind : str, optional
        Refuse datasets of another kind; any will do unless given.

    Returns
    -------
    xarray.Dataset, or a dict of them for a folder of several

    Raises
    ------
    FileNotFoundError
        Nothing there.
    ValueError
        Not a saved dataset, damaged (its checksum differs), or of another kind.
    """
    source = checks.path("path", path)
    if kind is not None:
        checks.text("kind", kind)
    if not files.there(source):
        raise FileNotFoundError(f"`path` {str(source)!r} does not exist")
    if has_plan(source):
        return _load_store(source, kind)
    if not (source / "zarr.json").exists() and (several := _datasets_in(source)):
        return {each.stem: _load_one(each, kind) for each in several}
    return _load_one(source, kind)


def _load_store(source: Path, kind: str | None) -> xr.Dataset:
    """What is there so far of a sweep; a part that cannot be read is as one that is not there."""
    if kind not in (None, "sweep"):
        raise ValueError(f"`path` {str(source)!r} is the store of a sweep, expected {kind!r}")
    dataset, damaged = assembled(source, read_plan(source))
    if damaged:
        warnings.warn(
            f"`path` {str(source)!r} has {len(damaged)} damaged part"
            f"{'s' if len(damaged) > 1 else ''}, {checks.shown(damaged)}, without values here; the "
            "call that wrote it measures them again",
            UserWarning,
            stacklevel=3,
        )
    return dataset


def _load_one(source: Path, kind: str | None) -> xr.Dataset:
    """`load` for what is one dataset."""
    try:
        dataset, found = files.steadily(source, _read)
    except PermissionError:
        raise
    except Exception as error:  # of xarray, zarr and the codecs, each with its own
        raise ValueError(
            f"`path` {str(source)!r} is not a readable dataset of rnnsim, or it is damaged "
            f"({type(error).__name__}: {error}); compute it again"
        ) from error
    if kind not in (None, found):
        raise ValueError(
            f"`path` {str(source)!r} holds a dataset of kind {found!r}, expected {kind!r}; "
            "it was saved by another analysis, or `kind` is another"
        )
    return dataset


def _datasets_in(folder: Path) -> list[Path]:
    """The datasets in a folder, or in its data/."""
    return sorted(folder.glob("[!.]*.zarr")) or sorted((folder / "data").glob("[!.]*.zarr"))


def _read(source: Path) -> tuple[xr.Dataset, str]:
    """A dataset and its kind, or an error if it is not as it was saved."""
    dataset, about = _opened(source)
    same = about[_CHECKSUM] == _checksum(dataset)
    if not same or about.get(_LABELS) not in (None, _labels(dataset, about["kind"])):
        raise ValueError("its checksum differs from the one recorded when it was saved")
    return dataset, about["kind"]


def _opened(source: Path) -> tuple[xr.Dataset, dict[str, str]]:
    """What stands in a folder, and what it says of itself."""
    with xr.open_zarr(source, consolidated=False, zarr_format=3) as opened:
        dataset = _renamed(opened.load(), unquote).drop_encoding()
    about = {name: dataset.attrs.pop(name) for name in _ABOUT if name in dataset.attrs}
    for name, variable in dataset.variables.items():
        if _is_text(variable):
            text = np.array([str(value) for value in variable.values.flat], str)
            _set(dataset, name, text.reshape(variable.shape))
    return dataset, about


def _is_ours(folder: Path) -> bool:
    """Whether a folder is a dataset that `save` wrote, and nothing else is in there."""
    try:
        about = json.loads((folder / "zarr.json").read_bytes())["attributes"]
        written = [each for each in folder.rglob("*") if not each.is_dir()]
        names = [each.relative_to(folder).as_posix() for each in written]
        return {"kind", _CHECKSUM} <= set(about) and all(map(_OURS.fullmatch, names))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _described(dataset: xr.Dataset) -> xr.Dataset:
    """The same dataset with attributes as JSON knows them and numbers in the machine's order."""
    for name in (*dataset.variables, *dataset.dims):
        if not isinstance(name, str):
            raise TypeError(
                f"`dataset` must have names that are text, got {name!r}; rename it to save it"
            )
    described = dataset.copy().drop_encoding()
    described.attrs = plain_attributes("`dataset`", dataset.attrs)
    for name, variable in dataset.variables.items():
        described[name].attrs = plain_attributes(f"`dataset` variable {name!r}", variable.attrs)
        if not variable.dtype.isnative:
            _set(described, name, variable.values.astype(variable.dtype.newbyteorder("=")))
        if variable.dtype.kind == "f":  # zarr fills in NaN of one kind where there is nothing else
            values = described.variables[name].values
            _set(described, name, np.where(np.isnan(values), values.dtype.type(np.nan), values))
    return described


def _as_stored(dataset: xr.Dataset) -> xr.Dataset:
    """Strings of variable width, the only ones that have a type in zarr 3."""
    stored = dataset.copy()
    for name, variable in dataset.variables.items():
        if _is_text(variable) and all(isinstance(value, str) for value in variable.values.flat):
            _set(stored, name, variable.values.astype(np.dtypes.StringDType()))
    return stored


def _check_kept(kept: xr.Dataset, dataset: xr.Dataset) -> None:
    """Refuse to leave a dataset that would not come back as it is."""
    if kept.identical(dataset) and _labels(kept, "") == _labels(dataset, ""):
        return
    changed = [f"variable {n!r}" for n in dataset.variables if not _same(kept, dataset, n)]
    changed += [f"attribute {n!r}" for n in dataset.attrs if n not in kept.attrs or n in _ABOUT]
    raise ValueError(
        f"`dataset` cannot be saved: {', '.join(changed) or 'something'} would come back changed, "
        "for a file does not hold such values, or a name of an attribute has a meaning there; "
        "convert or rename it"
    )


def _same(kept: xr.Dataset, dataset: xr.Dataset, name: Any) -> bool:
    """Whether one variable came back."""
    came = name in kept and kept.variables[name].identical(dataset.variables[name])
    return came and _labels(kept[[name]], "") == _labels(dataset[[name]], "")


def _set(dataset: xr.Dataset, name: Any, values: npt.NDArray[Any]) -> None:
    """Other values for a variable, in place."""
    variable = dataset.variables[name]
    dataset[name] = (variable.dims, values, variable.attrs)


def _is_text(variable: xr.Variable) -> bool:
    return variable.dtype.kind in "OUT"


def _renamed(dataset: xr.Dataset, rename: Callable[[str], str]) -> xr.Dataset:
    """Other names for variables and axes."""
    names = {str(name): rename(str(name)) for name in (*dataset.variables, *dataset.dims)}
    return dataset.rename(name_dict={old: new for old, new in names.items() if old != new})


def _quoted(name: str) -> str:
    """A name as that of a folder, with %2F for / and the like; `unquote` undoes it."""
    special = r"[%/\\ ]" if name not in (".", "..", "zarr.json") else r"\."
    return re.sub(special, lambda found: f"%{ord(found[0]):02X}", name)


def _checksum(dataset: xr.Dataset) -> str:
    """sha256 over names, axes, values and attributes of all variables, in alphabetical order."""
    return files.checksum(_content(dataset))


def _content(dataset: xr.Dataset) -> Iterator[str | npt.NDArray[Any]]:
    yield repr(sorted(dataset.attrs.items()))
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        yield repr((name, variable.dims, variable.shape))
        if variable.dtype.kind in "biufc":
            yield variable.values
        else:
            yield repr([str(value) for value in variable.values.ravel()])


def _labels(dataset: xr.Dataset, kind: str) -> str:
    """sha256 over what `_checksum` leaves out."""
    found: list[Any] = [kind]
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        dtype = "text" if _is_text(variable) else variable.dtype.str
        found.append((name, dtype, name in dataset.coords, sorted(variable.attrs.items())))
    return files.checksum([repr(found)])
