"""Which steps carry loss, and how much of it: masks, classes that are ignored, means per token."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray


def leave_out(weights: FloatArray, mask: Any, targets: Any, ignore_index: Any) -> None:
    """Set loss weights of one's own to 0 at steps that are not valid, and where a class says so."""
    if mask is not None:
        weights[~_checked_mask(mask, weights.shape)] = 0
    if ignore_index is not None:
        ignored = checks.whole_number("ignore_index", ignore_index, least=-checks.LARGEST - 1)
        ids = checks.plain_array("targets", targets)
        if ids.dtype.kind in "iu" and ids.shape == weights.shape:
            weights[ids == ignored] = 0


def _checked_mask(mask: Any, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """True where a step is valid."""
    array = checks.plain_array("mask", mask)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"`mask` (n_steps, n_sequences) must hold booleans, or 0 and 1, got {array.dtype}; "
            "give True where a step is valid"
        )
    if array.shape != shape:
        raise ValueError(
            f"`mask` must be (n_steps, n_sequences) = {shape} as in `inputs` (with the network "
            f"axis on both or neither), got {array.shape}"
        )
    odd = (array != 0) & (array != 1)
    if odd.any():
        index = checks.first_index(odd)
        raise ValueError(
            f"`mask` must hold booleans, or 0 and 1, got {array[index]} at {list(index)}; "
            "weights other than 0 and 1 go into `weights`"
        )
    return array.astype(bool)


def last_step(weights: FloatArray) -> FloatArray:
    """Loss weights of the last step that has any; elsewhere 0."""
    others = tuple(axis for axis in range(weights.ndim) if axis != weights.ndim - 2)
    kept = np.zeros_like(weights)
    for last in np.flatnonzero((weights > 0).any(axis=others))[-1:]:
        kept[..., last, :] = weights[..., last, :]
    return kept


def per_token(weights: FloatArray) -> FloatArray:
    """Loss weights times B and divided by their sum, for each network that has its own."""
    sums = weights.sum(axis=(-2, -1), keepdims=True, dtype=np.float64)
    if (sums == 0).any():
        where = "" if weights.ndim == 2 else f" of network {int(np.flatnonzero(sums == 0)[0])}"
        raise ValueError(
            f"`weights` must be above 0 somewhere for a mean per token, all{where} are 0; give "
            "data with loss at one step at least"
        )
    return (weights * (weights.shape[-1] / sums)).astype(weights.dtype)
