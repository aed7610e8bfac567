"""Sequences of several lengths: padded at the end with zeros, which carry no loss."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray

Array = npt.NDArray[Any]


class Padded(NamedTuple):
    """Inputs (T, B, D), targets (T, B) or (T, B, V) and loss weights (T, B)."""

    inputs: FloatArray
    targets: Array
    weights: FloatArray


def padded(inputs: Any, targets: Any, weights: Any) -> Padded:
    """A batch as long as its longest sequence."""
    x = _inputs(inputs)
    y, carries = _next(x) if targets is None else _targets(targets, x)
    given = [None] * len(x) if weights is None else _each("weights", weights, len(x))
    w = [_weighted(b, each, carries[b], x[b]) for b, each in enumerate(given)]
    return Padded(_together(x), _together(y), _together(w))


def _together(parts: list[Array]) -> Array:
    """Side by side, zeros behind the shorter ones."""
    T = max(map(len, parts))
    whole = np.zeros((T, len(parts), *parts[0].shape[1:]), parts[0].dtype)
    for b, part in enumerate(parts):
        whole[: len(part), b] = part
    return whole


def _each(name: str, value: Any, n_sequences: int | None = None) -> list[Array]:
    """One array for each sequence."""
    found = checks.entries(name, value)
    if found is None:
        raise TypeError(
            f"`{name}` must be a list with an array for each sequence, got {checks.shown(value)} "
            f"({type(value).__name__})"
        )
    if n_sequences is not None and len(found) != n_sequences:
        raise ValueError(
            f"`{name}` must have an entry for each of the {n_sequences} sequences of `inputs`, "
            f"got {len(found)}"
        )
    return [checks.plain_array(f"{name}[{b}]", each) for b, each in enumerate(found)]


def _inputs(value: Any) -> list[FloatArray]:
    """Arrays (T_b, D) of one D and dtype."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        raise TypeError(
            f"`inputs` must be a list of (n_steps, n_inputs) arrays, one for each sequence, got an "
            f"array of shape {value.shape}; give list(inputs) if its first axis is that of "
            "sequences, Sequences(inputs, ...) if it is that of steps"
        )
    arrays = _each("inputs", value)
    if not arrays:
        raise ValueError("`inputs` must hold at least one sequence, got an empty list")
    x: list[FloatArray] = []
    for b, array in enumerate(arrays):
        if array.dtype.kind in "iu" and array.ndim == 1:
            raise TypeError(
                f"`inputs[{b}]` must be (n_steps, n_inputs) floats, got {len(array)} integers; "
                "class ids become one-hot inputs, as in np.eye(n_ids)[ids], or rows of an "
                "embedding, as in embedding[ids]"
            )
        found = checks.float_array(f"inputs[{b}]", array, shape="(n_steps, n_inputs)")
        found = found[:, None] if found.ndim == 1 else found
        D = x[0].shape[-1] if x else found.shape[-1] if found.ndim else 0
        if found.ndim != 2 or 0 in found.shape or found.shape[-1] != D:
            known = f" with n_inputs = {D} as in `inputs[0]`" if x else ""
            raise ValueError(
                f"`inputs[{b}]` must be (n_steps, n_inputs){known}, at least 1 of both, got shape "
                f"{array.shape}"
            )
        x.append(found)
    checks.same_dtype(**{f"inputs[{b}]": x[b] for b in _odd_one([each.dtype for each in x])})
    return x


def _odd_one(kinds: list[Any]) -> list[int]:
    """The first sequence and the first that differs from it."""
    return [0, *[b for b, kind in enumerate(kinds) if kind != kinds[0]][:1]]


def _next(x: list[FloatArray]) -> tuple[list[Array], list[FloatArray]]:
    """The next inputs, and where there is one."""
    if max(map(len, x)) == 1:
        raise ValueError(
            "`targets` must be given, got None where all of `inputs` have one step: there is no "
            "next input to predict"
        )
    y = [np.concatenate([each[1:], np.zeros_like(each[:1])]) for each in x]
    return y, [(np.arange(1, len(each) + 1) < len(each)).astype(each.dtype) for each in x]


def _targets(value: Any, x: list[FloatArray]) -> tuple[list[Array], list[FloatArray]]:
    """Targets of every step, and which of them count: all, or the last."""
    arrays = _each("targets", value, len(x))
    classes = arrays[0].dtype.kind in "iu"
    for b, array in enumerate(arrays):
        of_classes = array.dtype.kind in "iu"
        if of_classes != classes or not (of_classes or array.dtype in checks.DTYPES):
            raise TypeError(
                f"`targets[{b}]` must be class ids (integers) or float32/float64 values, the same "
                f"for all sequences, got {array.dtype}"
            )
        if not of_classes:
            checks.same_dtype(**{f"inputs[{b}]": x[b], f"targets[{b}]": array})
    last = _last_only(arrays, classes, [len(each) for each in x], isinstance(value, np.ndarray))
    y: list[Array] = []
    carries: list[FloatArray] = []
    for b, array in enumerate(arrays):
        ones = np.ones(len(x[b]), x[b].dtype)
        if last and array.ndim == arrays[0].ndim:
            array = np.stack([*[np.zeros_like(array)] * (len(ones) - 1), array])
            ones[:-1] = 0
        if not classes and array.ndim == 1:  # one output
            array = array[:, None]
        fits = array.ndim == (1 if classes else 2) and len(array) == len(ones)
        if not fits or 0 in array.shape or (y and array.shape[1:] != y[0].shape[1:]):
            wanted = "(n_steps,) class ids" if classes else "(n_steps, n_outputs) floats"
            known = f" and n_outputs = {y[0].shape[1]} as in `targets[0]`" if y and fits else ""
            raise ValueError(
                f"`targets[{b}]` must be {wanted} with n_steps = {len(ones)} as in `inputs[{b}]`"
                f"{known}, or all `targets` one answer, for the last step, got shape "
                f"{arrays[b].shape}"
            )
        y.append(array.astype(np.int64) if classes else array)
        carries.append(ones)
    return y, carries


def _last_only(arrays: list[Array], classes: bool, lengths: list[int], stacked: bool) -> bool:
    """Whether each sequence has one target, for its last step, and not one for every step."""
    if arrays[0].ndim == 0:
        return True
    if classes or arrays[0].ndim > 1:
        return False
    of_steps = [array.shape for array in arrays] == [(length,) for length in lengths]
    if of_steps and not stacked and len(set(lengths)) == 1:
        T = lengths[0]
        raise ValueError(
            f"`targets` of ({T},) floats for sequences of {T} steps may be one value for each step "
            f"or {T} for the last one; give ({T}, 1) arrays for each step, one (n_sequences, {T}) "
            "array for the last"
        )
    return stacked or not of_steps


def _weighted(b: int, given: Array | None, carries: FloatArray, x: FloatArray) -> FloatArray:
    """Loss weights (T_b,) of a sequence: what is given where a step counts."""
    if given is None:
        return carries
    if given.dtype.kind in "biu":
        given = given.astype(x.dtype)
    given = checks.float_array(f"weights[{b}]", given, shape="(n_steps,)")
    if given.shape not in ((), (len(x),)):
        raise ValueError(
            f"`weights[{b}]` must be (n_steps,) = ({len(x)},) as in `inputs[{b}]`, or one number, "
            f"got shape {given.shape}"
        )
    checks.same_dtype(**{f"inputs[{b}]": x, f"weights[{b}]": given})
    return carries * given
