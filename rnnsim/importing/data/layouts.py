"""What arrays of a file are, by their names, and which of their axes is time."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.border import checked_inputs, checked_targets, checked_weights
from rnnsim.data.counting import leave_out

Array = npt.NDArray[Any]

LAYOUTS = ("tbd", "btd")
# Names of arrays; those that are called as here are time-major, as everything in rnnsim.
_NAMES = {
    "inputs": ("inputs", "input", "x", "data", "input_ids", "tokens", "ids"),
    "targets": ("targets", "target", "y", "labels", "label"),
    "weights": ("weights", "weight", "w", "sample_weight", "sample_weights"),
    "mask": ("mask", "masks", "attention_mask"),
}
_KNOWN = {name for names in _NAMES.values() for name in names}


class Found(NamedTuple):
    """Arrays of a file by what they are, and how messages call the inputs.

    `names`: what they are called in the file. `by_name`: all have rnnsim's own names. `table`:
    inputs are (S, D), one long sequence.
    """

    arrays: dict[str, Array]
    called: str = "the array"
    names: frozenset[str] = frozenset()
    by_name: bool = False
    table: bool = False


class Fitted(NamedTuple):
    """Time-major arrays that fit each other; inputs are (T, B, D), or (T, B) class ids."""

    inputs: Array
    targets: Array | None
    weights: FloatArray
    stream: bool


def wanted(name: str, n_arrays: int) -> bool:
    """Whether an array of this name is read; the only one of a file is."""
    return n_arrays == 1 or name.lower() in _KNOWN


def by_names(arrays: dict[str, Array], others: Iterable[str]) -> Found:
    """What arrays are, from their names; where several may be the same, which is asked."""
    chosen: dict[str, str] = {}
    for role, names in _NAMES.items():
        alike = [name for name in arrays if name.lower() in names]
        alike = [name for name in alike if name == role] or alike
        if len(alike) > 1:
            raise ValueError(
                f"{' and '.join(alike)} may all be the {role}; leave one of them under the name "
                f"{role!r}"
            )
        if alike:
            chosen[role] = alike[0]
    if "inputs" not in chosen:
        if len(arrays) == 1 and not chosen:
            name, only = next(iter(arrays.items()))
            return Found({"inputs": only}, name, frozenset([name]))
        there = sorted([*arrays, *others])
        words = f"{', '.join(there[:8])}{' and others' if len(there) > 8 else ''}"
        network = any("weight_hh" in name or "W_hh" in name for name in there)
        advice = (
            "these are weights of a network, which rnnsim.read_network reads"
            if network
            else ("save np.savez(path, inputs=..., targets=...)")
        )
        raise ValueError(f"it must hold `inputs`, got {words}; {advice}")
    found = {role: arrays[name] for role, name in chosen.items()}
    by_name = all(role == name for role, name in chosen.items())
    return Found(found, chosen["inputs"], frozenset(chosen.values()), by_name)


def fitted(found: Found, layout: str | None, kind: np.dtype[Any] | None) -> Fitted:
    """Arrays as rnnsim has them: time first, one dtype, everything of one length."""
    arrays = {name: _numbers(name, array) for name, array in found.arrays.items()}
    x = arrays.pop("inputs")
    ids = x.dtype.kind in "iu" and x.ndim < 3 and not found.table
    axes = _axes(x, found, layout)
    x = axes.time_first(x)
    kind = kind or np.dtype("float32" if x.dtype in ("float16", "float32") else "float64")
    if ids:
        inputs, room = _ids(x), np.zeros((*x.shape, 1), kind)
    else:
        inputs = room = checked_inputs(_floats("inputs", x if x.ndim == 3 else x[..., None], kind))
    mask = axes.of_steps("mask", arrays.get("mask"))
    weights = axes.of_steps("weights", arrays.get("weights"))
    if weights is not None:
        weights = _floats("weights", weights, kind)
    targets, last = axes.targets(arrays.get("targets"))
    if targets is not None and targets.dtype.kind == "f":
        targets = _floats("targets", targets, kind)
    w = checked_weights(weights, room)
    leave_out(w, mask, np.empty(0) if targets is None else targets, -100)
    if targets is None:
        if len(w) == 1:
            raise ValueError("it must hold targets, as one step has no next input to predict")
        w = w[:-1] if mask is None else np.where(mask[1:] != 0, w[:-1], 0)
    else:
        if last:
            w[np.arange(len(w))[:, None] != _last(mask, w.shape)] = 0
        targets = checked_targets(targets, room, w)
    if not w.any():
        raise ValueError(
            "it must hold a step with loss, but weights, mask and targets of -100 leave none; "
            "leave them out where only inputs are needed"
        )
    return Fitted(inputs, targets, w, axes.stream)


class _Axes(NamedTuple):
    """The axes of a batch, or of one long sequence, in the order of the file."""

    T: int
    B: int
    stream: bool
    sequences_first: bool

    def time_first(self, array: Array) -> Array:
        if self.stream:
            return array[:, None]
        return array.swapaxes(0, 1) if self.sequences_first else array

    @property
    def lead(self) -> tuple[int, ...]:
        """Sizes of the first axes of whatever has a value for each step."""
        if self.stream:
            return (self.T,)
        return (self.B, self.T) if self.sequences_first else (self.T, self.B)

    @property
    def words(self) -> str:
        order = "n_sequences, n_steps" if self.sequences_first else "n_steps, n_sequences"
        return "n_steps," if self.stream else order

    def of_steps(self, name: str, array: Array | None) -> Array | None:
        """Weights or a mask, (T, B); numbers of each sequence are those of all of its steps."""
        if array is None:
            return None
        if not self.stream and array.shape == (self.B,):
            return np.repeat(array[None], self.T, axis=0)
        if array.shape != self.lead:
            raise self._misfit(name, f"({self.words}) = {self.lead}", array)
        return self.time_first(array)

    def targets(self, array: Array | None) -> tuple[Array | None, bool]:
        """Targets of every step, and whether they are only meant for the last."""
        if array is None:
            return None, False
        kind = array.dtype.kind
        if kind == "b":
            raise ValueError("targets must be class ids or floats, got booleans; convert them")
        n_axes = len(self.lead) + (kind == "f")
        if self.stream and kind == "f" and array.ndim == 1:
            array = array[:, None]
        if array.ndim == n_axes and array.shape[: len(self.lead)] == self.lead:
            return self.time_first(array), False
        clear = kind != "f" or array.shape not in (self.lead, self.lead[::-1])
        if not self.stream and array.ndim in (1, n_axes - 1) and len(array) == self.B and clear:
            rows = array[:, None] if kind == "f" and array.ndim == 1 else array
            return np.repeat(rows[None], self.T, axis=0), True
        wanted = f"({self.words}) = {self.lead} class ids"
        if kind == "f":
            wanted = f"({self.words.rstrip(',')}, n_outputs) floats with {self.lead} first"
        each = "" if self.stream else ", or one answer for each sequence"
        raise self._misfit("targets", wanted + each, array)

    def _misfit(self, name: str, wanted: str, array: Array) -> ValueError:
        more = "; save them like the inputs"
        if not self.stream and array.shape[:2] == self.lead[::-1] != self.lead:
            other = "tbd" if self.sequences_first else "btd"
            more = (
                f", which are the axes of layout={other!r}; save both alike or give the other one"
            )
        elif array.dtype.kind == "f" and array.shape == self.lead and name == "targets":
            more = "; add an axis of outputs, as in targets[..., None]"
        elif name == "targets" and array.dtype.kind != "f" and array.ndim == len(self.lead) + 1:
            more = "; one-hot integers become class ids with argmax(axis=-1), values floats"
        return ValueError(f"{name} must be {wanted} as in the inputs, got {array.shape}{more}")


def _axes(x: Array, found: Found, layout: str | None) -> _Axes:
    """Which axis of the inputs is time; asked for where nothing says it."""
    if found.table or x.ndim == 1:
        return _Axes(len(x), 1, True, False)
    called, ids = found.called, x.dtype.kind in "iu"
    if x.ndim == 2 and not ids:
        raise ValueError(
            f"{called} of floats {x.shape} may be steps and inputs of one sequence, or of several "
            f"sequences with one input; save it with three axes, as {called}[:, None, :] or "
            f"{called}[:, :, None]; class ids must be integers"
        )
    if x.ndim not in (2, 3):
        raise ValueError(
            f"{called} must have 1 to 3 axes, of steps, sequences and inputs, got shape {x.shape}; "
            "further axes of inputs can be made one with reshape"
        )
    if layout is None and not found.by_name:
        a, b = x.shape[:2]
        of = "class ids" if x.ndim == 2 else f"{x.shape[2]} inputs"
        raise ValueError(
            f"`layout` must be given: {called} {x.shape} may be {a} steps of {b} sequences of {of} "
            f"(layout='tbd'), or {a} sequences of {b} steps (layout='btd')"
        )
    T, B = x.shape[1::-1] if layout == "btd" else x.shape[:2]
    return _Axes(T, B, False, layout == "btd")


def _numbers(name: str, array: Array) -> Array:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}; convert it")
    return array


def _ids(array: Array) -> Array:
    """Class ids, at least 0."""
    if 0 in array.shape:
        raise ValueError(f"inputs must have at least one step and sequence, got {array.shape}")
    odd = (array < 0) | (array >= checks.MOST)
    if odd.any():
        index = checks.first_index(odd)
        raise ValueError(
            f"inputs of integers are class ids, 0 or more, got {array[index]} at {list(index)} "
            "(step, sequence); save measurements as floats, and mark padding in a `mask`"
        )
    return np.array(array, np.int64, order="C")


def _floats(name: str, array: Array, kind: np.dtype[Any]) -> FloatArray:
    with np.errstate(over="ignore"):
        cast = array.astype(kind, copy=False)
    lost = np.isinf(cast)
    if array.dtype.kind == "f":
        lost &= np.isfinite(array)
    if lost.any():
        index = checks.first_index(lost)
        raise ValueError(
            f"{name} hold {array[index]} at {list(index)}, outside the range of {kind}; use "
            "dtype='float64', or scale the data"
        )
    return cast


def _last(mask: Array | None, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """The last valid step of each sequence."""
    if mask is None:
        return np.full(shape[1], shape[0] - 1)
    return shape[0] - 1 - np.argmax(mask[::-1] != 0, axis=0)
