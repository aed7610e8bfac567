"""Inputs, loss weights and targets at the border: checked, copied and fitted to each other."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray


def checked_inputs(inputs: Any) -> FloatArray:
    """Inputs that are sound in themselves, a copy."""
    shape = "(n_steps, n_sequences, n_inputs)"
    array = checks.float_array("inputs", inputs, shape=shape, own=True)
    if array.ndim not in (3, 4):
        raise ValueError(
            "`inputs` must be (n_steps, n_sequences, n_inputs), or with a leading network "
            f"axis, got shape {array.shape}"
        )
    checks.positive_sizes("inputs", array, "N T B D" if array.ndim == 4 else "T B D")
    checks.finite("inputs", array)
    return array


def checked_weights(weights: Any, inputs: FloatArray) -> FloatArray:
    """Loss weights that fit the inputs, a copy; 1 everywhere where none are given."""
    shape = inputs.shape[:-1]
    if weights is None:
        return np.ones(shape, inputs.dtype)
    array = checks.plain_array("weights", weights)
    if array.dtype.kind in "biu":
        array = array.astype(inputs.dtype)
    array = checks.float_array("weights", array, shape="(n_steps, n_sequences)", own=True)
    if array.shape != shape:
        raise ValueError(
            f"`weights` must be (n_steps, n_sequences) = {shape} as in `inputs` "
            f"(with the network axis on both or neither), got {array.shape}"
        )
    checks.same_dtype(inputs=inputs, weights=array)
    checks.finite("weights", array)
    if (array < 0).any():
        index = checks.first_index(array < 0)
        raise ValueError(
            f"`weights` must not be negative, got {array[index]} at {list(index)}; "
            "use 0 where a step carries no loss"
        )
    return array


def checked_targets(targets: Any, inputs: FloatArray, weights: FloatArray) -> npt.NDArray[Any]:
    """Targets that fit; entries at weight 0 become 0, so that nothing is ever read from them."""
    array, counts = checks.plain_array("targets", targets), weights > 0
    if array.dtype.kind in "iu":
        if array.shape != weights.shape:
            raise ValueError(
                f"`targets` of class ids must be (n_steps, n_sequences) = {weights.shape} as in "
                f"`inputs` (with the network axis on both or neither), got {array.shape}"
            )
        classes = np.ascontiguousarray(np.where(counts, array, 0), np.int64)
        if (classes < 0).any():
            index = checks.first_index(classes < 0)
            raise ValueError(
                f"`targets` must be class ids 0..n_outputs-1 where the weight is above 0, got "
                f"{classes[index]} at {list(index)}; give that step weight 0 or a class"
            )
        return classes
    if array.dtype not in checks.DTYPES:
        raise TypeError(
            "`targets` must be class ids (integers, (n_steps, n_sequences)) or float32/float64 "
            f"values (n_steps, n_sequences, n_outputs), got {array.dtype}"
        )
    if array.ndim != inputs.ndim or array.shape[:-1] != weights.shape or array.shape[-1] == 0:
        raise ValueError(
            f"`targets` of floats must be (n_steps, n_sequences, n_outputs) with the first axes "
            f"{weights.shape} as in `inputs`, got {array.shape}; class ids must be integers"
        )
    checks.same_dtype(inputs=inputs, targets=array)
    checks.finite("targets", array, where=counts[..., None])
    return np.ascontiguousarray(np.where(counts[..., None], array, array.dtype.type(0)))
