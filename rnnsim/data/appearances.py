"""Data that are sound and look as if something else were meant: warnings, one for each batch."""

import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray

# Data made by hand in tests, notebooks and benchmarks have up to 30 sequences for each step; people
# may make by hand what experiments draw: 1000 in a test set of 10,000 sequences of ten steps, 2143
# in the 60,000 digits of MNIST read row by row.
_SEQUENCES_PER_STEP = 2500
# Batches have a power of two of sequences, and lengths are seldom one: where the axes look so the
# other way round, so many times as many sequences as steps are enough.
_TIMES_AS_LONG = 4


def warn_of(
    inputs: FloatArray, targets: npt.NDArray[Any], weights: FloatArray, *, depth: int
) -> None:
    """Warn of the first thing that looks wrong in data that a user makes `depth` calls above.

    Data that this package makes are not looked at: they were drawn time-major, or come from others.
    """
    if f"{sys._getframe(depth).f_globals.get('__name__')}.".startswith("rnnsim."):
        return
    message = ""
    if look_swapped(inputs):
        message = (
            f"axes of `inputs` look swapped: shape {inputs.shape} is read as {inputs.shape[-3]} "
            f"steps of {inputs.shape[-2]} sequences; if sequences come first, give "
            f"np.swapaxes(inputs, {inputs.ndim - 3}, {inputs.ndim - 2}), and all else likewise; "
            'if not, nothing needs to be done: warnings.filterwarnings("ignore", "axes of '
            '`inputs`") keeps this quiet'
        )
    elif look_onehot(targets, weights):
        message = (
            "`targets` look one-hot: class ids, targets.argmax(axis=-1), are scored with softmax "
            "cross-entropy; floats with squared error. If that is meant, nothing needs to be done: "
            'warnings.filterwarnings("ignore", "`targets` look one-hot") keeps this quiet'
        )
    if message:
        warnings.warn(message, UserWarning, stacklevel=depth + 1)


def look_swapped(inputs: FloatArray) -> bool:
    """Few steps of very many sequences each; or as many steps as a batch often has sequences."""
    T, B = inputs.shape[-3:-1]
    a_batch = T >= 4 and _power_of_2(T) and not _power_of_2(B)
    return (T >= 2 and B > _SEQUENCES_PER_STEP * T) or (a_batch and B >= _TIMES_AS_LONG * T)


def _power_of_2(size: int) -> bool:
    return size & (size - 1) == 0


def look_onehot(targets: npt.NDArray[Any], weights: FloatArray) -> bool:
    """Float targets of which every scored row is 0 but for a single 1, not always at one place."""
    counts = np.flatnonzero(weights > 0)
    if targets.ndim == weights.ndim or targets.size == 0 or counts.size == 0:
        return False  # class ids, derivatives, nothing scored
    rows = targets.reshape(-1, targets.shape[-1])
    if not _onehot(rows[counts[0]]).all():  # of other targets no more than a row is looked at
        return False
    scored = rows[counts]
    return bool(_onehot(scored).all() and np.ptp(scored.argmax(axis=-1)) > 0)


def _onehot(rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray(((rows == 0) | (rows == 1)).all(axis=-1) & (rows.sum(axis=-1) == 1))
