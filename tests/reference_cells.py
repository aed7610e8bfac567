"""One table of cells: what the kernels call a cell, and its step in plain NumPy.

A new cell is one row. A step takes pre-activations (B, G*H) and memories (B, M*H) and gives states
(B, H) and the next memories, elementwise and complex-safe.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gated import Gated

from rnnsim import kernels


class Cell(NamedTuple):
    code: Any
    step: Callable
    gates: int = 1
    memories: int = 0
    slope: Callable | None = None  # phi' where there is one


def _lstm(a, c):
    i, f, g, o = np.split(a, 4, axis=-1)
    c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    return np.tanh(c) / (1 + np.exp(-o)), c


CELLS = {
    "tanh": Cell(kernels.TANH, lambda a, c: (np.tanh(a), c), slope=lambda a: 1 / np.cosh(a) ** 2),
    "relu": Cell(
        kernels.RELU,
        lambda a, c: (np.where(a.real > 0, a, 0), c),
        slope=lambda a: np.where(a.real > 0, 1.0, 0.0),
    ),
    "linear": Cell(kernels.LINEAR, lambda a, c: (a, c), slope=np.ones_like),
    "gated": Cell(Gated(4), _lstm, gates=4, memories=1),
}
VANILLA = tuple(name for name, cell in CELLS.items() if cell.slope)
