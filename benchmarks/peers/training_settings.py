"""What one training of the check is told: for rnnsim, for PyTorch and for plain loops alike."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .workloads import Floats


class Setting(NamedTuple):
    """One training; `window` and `stride` are both T for full BPTT."""

    optimizer: str
    rate: float
    clip_norm: float | None
    clip_value: float | None
    window: int
    stride: int


class Batch(NamedTuple):
    """Inputs (T,B,D), class ids (T,B), loss weights (T,B)."""

    inputs: Floats
    targets: np.ndarray
    weights: Floats


# From the five weights of one network to those after so many updates.
Trainer = Callable[[list[Floats], Iterator[Batch], Setting, int], list[Floats]]
