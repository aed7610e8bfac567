"""Tensors as time-major arrays, however they are laid out; by their own methods alone."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray

Ints = npt.NDArray[np.int64]


def copied(tensor: Any) -> FloatArray:
    """The numbers of a tensor, wherever they are: float64 as it is, all others as float32."""
    value = tensor.detach().cpu()
    if not str(value.dtype).endswith(("float32", "float64")):
        value = value.float()
    return np.array(value.numpy(), order="C")


def oddity(tensor: Any) -> str:
    """What has to be said of a tensor that is not of float32 or float64 in main memory."""
    kind = str(tensor.dtype).removeprefix("torch.")
    device = str(getattr(tensor, "device", "cpu"))
    words = [] if kind in ("float32", "float64") else [kind]
    return " on ".join([*words, *([] if device == "cpu" else [f"device {device}"])])


def version(tensor: Any) -> int:
    """How often a tensor was changed in place; 0 where that is not counted."""
    try:
        return int(tensor._version)
    except (AttributeError, RuntimeError):  # tensors made in inference mode
        return 0


class Layout(NamedTuple):
    """How a call lays out its sequences.

    Attributes
    ----------
    batched : bool
        Whether there is an axis of sequences.
    batch_first : bool
        Whether it stands before that of steps.
    sizes : (T,) array or None
        The number of sequences at each step where they are packed, the longest first.
    order : (B,) array or None
        Which of the packed sequences each of the caller's is; None where they are sorted.
    """

    batched: bool
    batch_first: bool = False
    sizes: Ints | None = None
    order: Ints | None = None

    def steps(self, array: FloatArray) -> FloatArray:
        """What is of every step, (T, B, ...); zeros behind packed sequences that have ended."""
        if self.sizes is not None:
            return self._unpacked(array, self.sizes)
        if not self.batched:
            return array[:, None]
        return np.ascontiguousarray(np.swapaxes(array, 0, 1)) if self.batch_first else array

    def states(self, array: FloatArray) -> FloatArray:
        """What is of every layer, (L, B, H)."""
        return array if self.batched else array[:, None]

    def lengths(self, n_steps: int, n_sequences: int) -> Ints:
        """The steps of each sequence (B,)."""
        if self.sizes is None:
            return np.full(n_sequences, n_steps, np.int64)
        found = (self.sizes[:, None] > np.arange(n_sequences)).sum(axis=0)
        return found if self.order is None else found[self.order]

    def _unpacked(self, data: FloatArray, sizes: Ints) -> FloatArray:
        whole = np.zeros((len(sizes), sizes[0], *data.shape[1:]), data.dtype)
        whole[np.arange(sizes[0]) < sizes[:, None]] = data
        return whole if self.order is None else np.ascontiguousarray(whole[:, self.order])


def is_packed(value: Any) -> bool:
    """Whether this is a PackedSequence: tensors have `data`, and no `batch_sizes`."""
    return hasattr(value, "batch_sizes") and hasattr(value, "data")


def layout_of(inputs: Any, batch_first: bool) -> Layout:
    """How the inputs of a recurrent module are laid out; its outputs are like them."""
    if not is_packed(inputs):
        return Layout(len(inputs.shape) == 3, batch_first)
    order = inputs.unsorted_indices
    return Layout(
        True, sizes=_ints(inputs.batch_sizes), order=None if order is None else _ints(order)
    )


def _ints(tensor: Any) -> Ints:
    return np.array(tensor.detach().cpu().numpy(), np.int64)
