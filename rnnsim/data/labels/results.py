"""What all results can do: become a labelled dataset, and say their sizes in a line."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from rnnsim.data.datasets import Variable, attributes, labelled
from rnnsim.data.labels.tables import LN, states_meant

if TYPE_CHECKING:
    import xarray as xr

R = TypeVar("R")

# Axes that are counted, from where.
_COUNTED = {
    "network": 0, "sequence": 0, "source_sequence": 0, "time": 1, "state_time": 0, "lag": 0,
    "window": 1, "layer": 1, "upper_layer": 2, "exponent": 1, "layer_exponent": 1,
    "source_time": 1, "source_state_time": 0,
}  # fmt: skip
# Axes whose length is shown, and as what.
_SIZES = {
    "network": "n_networks", "layer": "n_layers", "time": "n_steps", "loss_step": "n_loss_steps",
    "source_time": "n_source_steps", "lag": "n_lags", "window": "n_windows",
    "sequence": "n_sequences", "input": "n_inputs", "source_input": "n_source_inputs",
    "unit": "n_hidden", "output": "n_outputs", "gate": "n_gates", "exponent": "n_exponents",
    "place": "n_places", "draw": "n_batches", "level": "n_quantiles", "re": "n_real",
    "im": "n_imag",
}  # fmt: skip
_PARTS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "lowest": lambda layers: layers[0],
    "above": lambda layers: layers[1:],
    "top": lambda layers: layers[-1],
}


class About(NamedTuple):
    """What a result knows of where it comes from.

    `configuration` and `provenance` as datasets record them; `gates` are the names of a cell's
    gates; `in_nats` says that losses are cross-entropies.
    """

    configuration: Mapping[str, Any] = {}
    provenance: Mapping[str, str] = {}
    gates: tuple[str, ...] = ()
    in_nats: bool = False


NOTHING = About()


class Labels(NamedTuple):
    """How the arrays of one kind of result are labelled.

    Attributes
    ----------
    variables
        By their names in a dataset: those that sweeps have for the same quantity, else the names of
        the fields. An array with one axis more has it for layers, behind that of networks.
    paths
        Where the values of a variable are, unless in the attribute of its name: attributes, one
        inside the other. What stands in several layers is put on an axis of layers.
    axes
        Where the labels along an axis are: a path, or a function of the result.
    sizes
        What the length of an axis is called, where that is special; "" where it is not shown.
    of_state
        Variables whose h is the whole state of the networks.
    """

    variables: dict[str, Variable]
    paths: Mapping[str, str] = {}
    axes: Mapping[str, str | Callable[[Any], Any]] = {}
    sizes: Mapping[str, str] = {}
    of_state: tuple[str, ...] = ()


class Result:
    """A result with labels."""

    _labels: ClassVar[Labels]

    def to_xarray(self) -> "xr.Dataset":
        """A copy of all that is here as one labelled dataset, as a sweep returns it.

        Every array stands on named axes with its unit (``units``) and what it is (``long_name``).
        What a sweep measures too has the name that it has there, all else that of its field; which
        fields the others are is in the attribute ``configuration``, as "fields". What is None is
        left out. Layers are labelled 1..L, the lowest first.

        Returns
        -------
        xarray.Dataset
            With the attributes ``configuration``, ``provenance`` and ``versions``, each as JSON;
            `rnnsim.save` keeps it.
        """
        return dataset_of(self, self._labelling(), self._known())

    def __repr__(self) -> str:
        known = self._known().configuration
        kind = [{name: known[name]} for name in ("cell", "targets") if name in known]
        return in_a_line(self, self._labelling(), kind[0] if kind else {})

    def _labelling(self) -> Labels:
        return self._labels

    def _known(self) -> About:
        known: About = vars(self).get("_about", NOTHING)
        return known


def dataset_of(result: Any, labels: Labels, about: About = NOTHING) -> "xr.Dataset":
    """The labelled dataset of any result."""
    variables: dict[str, Variable] = {}
    values: dict[str, npt.NDArray[Any]] = {}
    for name, variable, array in _arrays(result, labels):
        variables[name] = _meant(name, variable, labels, about, layers="layer" in variable.dims)
        values[name] = np.array(array)
    lengths = _lengths((variables[name].dims, array) for name, array in values.items())
    named = {axis: _along(axis, n, result, labels, about) for axis, n in lengths.items()}
    variables |= {axis: labels.variables[axis] for axis in lengths if axis in labels.variables}
    renamed = {name: labels.paths[name] for name in values if name in labels.paths}
    configuration = {"result": type(result).__name__, **about.configuration}
    configuration |= {"fields": renamed} if renamed else {}
    return labelled(named, variables, values, attributes(configuration, about.provenance))


def in_a_line(result: Any, labels: Labels, said: Mapping[str, Any] = NOTHING.provenance) -> str:
    """What kind of result, how long its axes are, plain numbers, what else is `said`, the dtype."""
    arrays = list(_arrays(result, labels))
    shown = _SIZES | dict(labels.sizes)
    lengths = _lengths((variable.dims, array) for _, variable, array in arrays)
    words = [f"{shown[axis]}={n}" for axis, n in lengths.items() if shown.get(axis)]
    fields = dataclasses.fields(result) if dataclasses.is_dataclass(result) else ()
    names = [field.name for field in fields]
    plain = {name: getattr(result, name) for name in names if shown.get(name, name)}
    words += [
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value!r}"
        for name, value in plain.items()
        if isinstance(value, int | float | str | bool)
    ]
    words += [f"{name}={value!r}" for name, value in said.items()]
    kinds = [array.dtype for *_, array in arrays if array.dtype.kind == "f"]
    if kinds:  # that of the networks, where it is not that of everything
        words.append(f"dtype={min(kinds, key=lambda kind: kind.itemsize)}")
    return f"{type(result).__name__}({', '.join(words)})"


def _arrays(result: Any, labels: Labels) -> Iterator[tuple[str, Variable, npt.NDArray[Any]]]:
    """Name, variable and values of all that is there."""
    for name, variable in labels.variables.items():
        if variable.dims == (name,):
            continue  # says what an axis means
        value = _at(result, labels.paths.get(name, name))
        if value is None:
            continue
        array = np.asarray(value)
        if array.ndim == len(variable.dims) + 1:
            at = 1 if variable.dims[:1] == ("network",) else 0
            dims = (*variable.dims[:at], "layer", *variable.dims[at:])
            variable = variable._replace(dims=dims)
        yield name, variable, array


def _at(result: Any, path: str) -> Any:
    """What stands at the end of a path, of several layers on an axis behind that of networks."""
    value = result
    for key in path.split("."):
        several = type(value) is tuple
        if key in _PARTS:
            value = _PARTS[key](value if several else (value,))
        elif several:
            value = tuple(getattr(each, key) for each in value)
        else:
            value = None if value is None else getattr(value, key)
    if type(value) is not tuple:
        return value
    if not value or value[0] is None:
        return None
    if not isinstance(value[0], np.ndarray):
        return value
    alone = len(value) == 1 and "above" not in path.split(".")
    return value[0] if alone else np.stack(value, axis=1)


def _lengths(
    arrays: Iterator[tuple[tuple[str, ...], npt.NDArray[Any]]],
) -> dict[str, int]:
    """The length of every axis, networks and layers first."""
    found = {"network": -1, "layer": -1}
    for dims, array in arrays:
        found |= dict(zip(dims, array.shape, strict=True))
    return {axis: length for axis, length in found.items() if length >= 0}


def _along(axis: str, length: int, result: Any, labels: Labels, about: About) -> Any:
    """The labels along an axis, or its length where it has none."""
    if axis in labels.axes:
        where = labels.axes[axis]
        found = _at(result, where) if isinstance(where, str) else where(result)
        return tuple(np.asarray(found).tolist())
    if axis == "gate":
        return about.gates if len(about.gates) == length else length
    first = _COUNTED.get(axis)
    return length if first is None else tuple(range(first, first + length))


def _meant(
    name: str, variable: Variable, labels: Labels, about: About, *, layers: bool
) -> Variable:
    """A variable of these networks and of this loss."""
    if about.in_nats and name == "loss":
        variable = variable._replace(units=LN)
    if name not in labels.of_state:
        return variable
    cells = about.configuration
    deep = not layers and "n_layers" in cells
    meant = states_meant(lstm=cells.get("cell") == "lstm", stacks=deep)
    return variable._replace(long_name=variable.long_name + meant)


def described(result: R, *given: Any, **options: Any) -> R:
    """A result that knows what it was made of, and the options that were given.

    Networks, data and other results say of themselves what they know; all else says nothing.
    """
    about = About(options)
    for each in given:
        if hasattr(each, "_known"):
            known: About = each._known()
            about = About(
                {**known.configuration, **about.configuration},
                {**about.provenance, **known.provenance},
                known.gates or about.gates,
                known.in_nats or about.in_nats,
            )
    object.__setattr__(result, "_about", about)
    return result
