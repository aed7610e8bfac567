"""Labelled datasets: what a variable is, and the one place that puts variables on their axes."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import xarray as xr

# The labels along an axis, or their number where it needs none.
Axes = Mapping[str, tuple[Any, ...] | int]

# Axes that mean the same in every dataset: units, what they are.
AXES = {
    "network": ("1", "network of the ensemble, counted from 0"),
    "n_hidden": ("1", "hidden units H"),
    "cell": ("1", "equations of the recurrence"),
    "forget_bias": ("1", "what is added to the bias of the gate that keeps the state"),
    "n_layers": ("1", "layers L"),
    "layer": ("1", "layer, 1 the lowest"),
    "upper_layer": ("1", "layer, 2 the lowest but one"),
    "gate": ("1", "gate of the cell"),
    "unit": ("1", "hidden unit, or number of what there are as many of"),
    "sequence": ("1", "sequence of the batch, counted from 0"),
    "exponent": ("1", "number i of an exponent, 1 the largest"),
    "layer_exponent": ("1", "number of an exponent of a layer, 1 the largest"),
    "bound": ("1", "end of the interval"),
    "half": ("1", "half of the lags"),
    "level": ("1", "level of a quantile"),
    "gain": ("1", "factor of W_hh"),
    "scale": ("1", "factor of the departure from normality"),
    "strength": ("1", "standard deviation over units of what drives the network"),
    "length": ("steps", "sequence length T"),
    "window": ("steps", "window K"),
    "lag": ("steps", "lag k"),
    "time": ("step", "step t"),
    "state_time": ("step", "step t of a state, 0 the first"),
    "source_time": ("step", "step of the encoder"),
    "source_state_time": ("step", "step of a state of the encoder, 0 the first"),
    "loss_step": ("step", "step t of the loss"),
    "place": ("step", "step s of the gradient, 0 and below in the encoder"),
    "updates": ("updates", "updates made"),
    "snapshot": ("updates", "updates made"),
    "re": ("1", "real part"),
    "im": ("1", "imaginary part"),
}
_MISSING = {"f": np.nan, "c": np.nan, "i": -1}


class Variable(NamedTuple):
    """One quantity: its axes, its unit ("1": none), what it is, and the dtype of its values."""

    dims: tuple[str, ...]
    units: str
    long_name: str
    dtype: Any = float


def sizes_of(variable: Variable, axes: Axes) -> tuple[int, ...]:
    """The shape of a variable."""
    sizes = (axes[dim] for dim in variable.dims)
    return tuple(size if isinstance(size, int) else len(size) for size in sizes)


def nothing_yet(variable: Variable, axes: Axes) -> npt.NDArray[Any]:
    """Its values where none is known: NaN, of integers -1."""
    return np.full(sizes_of(variable, axes), missing(variable.dtype), variable.dtype)


def missing(dtype: Any) -> Any:
    """What stands where nothing is known."""
    return _MISSING.get(np.dtype(dtype).kind, "")


def labelled(
    axes: Axes,
    variables: Mapping[str, Variable],
    values: Mapping[str, npt.NDArray[Any]],
    about: Mapping[str, str],
) -> "xr.Dataset":
    """Values on their axes, with units and names; `about` comes from `attributes`.

    Only axes that a variable has are there. What an axis means stands in `AXES`, or in `variables`
    under the name of the axis where it means something else here.
    """
    import xarray as xr

    used = {dim for name in values for dim in variables[name].dims}
    coordinates = {
        axis: (axis, list(entries), _meaning(axis, variables))
        for axis, entries in axes.items()
        if axis in used and not isinstance(entries, int)
    }
    data = {
        name: (variables[name].dims, array, _attributes(*variables[name][1:3]))
        for name, array in values.items()
    }
    return xr.Dataset(data, coordinates, about)


def joined(datasets: Sequence["xr.Dataset"]) -> "xr.Dataset":
    """All variables of some datasets on all their labels, without attributes of their own.

    Raises
    ------
    ValueError
        Other values at the same labels.
    """
    import xarray as xr

    together = xr.merge(datasets, join="outer", compat="no_conflicts", combine_attrs="drop")
    for name in together.variables:
        like = next(each[name] for each in datasets if name in each.variables)
        if together[name].dtype != like.dtype and name in together.data_vars:
            # xarray makes floats or objects of what is missing in parts
            together[name] = together[name].fillna(missing(like.dtype)).astype(like.dtype)
        together[name].attrs = like.attrs
    return together


def attributes(configuration: Mapping[str, Any], provenance: Mapping[str, str]) -> dict[str, str]:
    """What a dataset says of itself, each as JSON: its settings, where data come from, versions.

    Raises
    ------
    TypeError
        A setting that JSON cannot hold.
    """
    for name, value in configuration.items():
        try:
            json.dumps(value, default=_plain)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"`{name}` must be a setting that can be recorded, a number, a text or a list of "
                f"them, got {type(value).__name__}: {error}"
            ) from error
    return {
        "configuration": json.dumps(dict(configuration), default=_plain),
        "provenance": json.dumps(dict(provenance)),
        "versions": json.dumps(versions()),
    }


@cache
def versions() -> dict[str, str]:
    """What computed a result: Python and the packages that its numbers come from."""
    packages = ("rnnsim-toolkit", "numba", "numpy", "scipy", "xarray")
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in packages}


def plain_attributes(owner: str, attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON knows them: tuples and arrays are lists, NumPy's numbers are Python's.

    Raises
    ------
    TypeError
        An attribute that JSON cannot hold; it names `owner`.
    """
    try:
        plain: dict[str, Any] = _as_json(dict(attributes))
    except TypeError as error:
        raise TypeError(
            f"{owner} must have attributes of numbers, text, and lists and dicts of these, by "
            f"names that are text, got {error}; convert it or leave it out"
        ) from None
    return plain


def _as_json(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _as_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(entry) for entry in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{value!r:.80}" if not isinstance(value, Mapping) else f"{list(value)!r:.80}")


def _plain(value: Any) -> Any:
    """Numbers and arrays of NumPy, and paths, as JSON knows them."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable: {value!r}")


def _meaning(axis: str, variables: Mapping[str, Variable]) -> dict[str, str]:
    if axis in variables:
        return _attributes(*variables[axis][1:3])
    return _attributes(*AXES[axis]) if axis in AXES else {}


def _attributes(units: str, long_name: str) -> dict[str, str]:
    return {"units": units, "long_name": long_name}
