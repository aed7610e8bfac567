"""What the checks beside PyTorch are told: for rnnsim, for PyTorch and for plain loops alike."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ..peers.workloads import Floats


class Setting(NamedTuple):
    """One training; `window` and `stride` are both T for full BPTT; cell: vanilla, lstm or gru."""

    optimizer: str
    rate: float
    clip_norm: float | None
    clip_value: float | None
    window: int
    stride: int
    cell: str = "vanilla"


class Batch(NamedTuple):
    """Inputs (T,B,D), class ids (T,B), loss weights (T,B)."""

    inputs: Floats
    targets: np.ndarray
    weights: Floats


Layers = list[list[Floats]]  # the weights of each, the lowest first
# From the five weights of each layer of one network to those after so many updates.
Trainer = Callable[[Layers, Iterator[Batch], Setting, int], Layers]


class Built(NamedTuple):
    """A network of L layers as PyTorch holds it, with a readout of the top, data, first states.

    layers: weight_ih (G*H,D or H), weight_hh (G*H,H) and two biases (G*H,) of each, the lowest
    first; weight_hy (V,H), bias_hy (V,); inputs (T,B,D), class ids (T,B); h0 and c0 (L,B,H), of
    which only LSTMs have use for c0. `window` is the length of the segments of truncated BPTT.
    """

    cell: str
    layers: Layers
    weight_hy: Floats
    bias_hy: Floats
    inputs: Floats
    targets: np.ndarray
    h0: Floats
    c0: Floats
    window: int


# Its numbers by name: states, loss, gradients, logs of the norms of every lag.
Differentiator = Callable[[Built], dict[str, np.ndarray]]
