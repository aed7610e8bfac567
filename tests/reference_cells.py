"""One table of cells: what the kernels call a cell, and its step in plain NumPy.

A new cell is one row. A step takes its share of the input, W_xh x + what of the biases stands
there, that of the state, W_hh h + the rest, the state h (B, H) and the memories (B, M*H), and gives
the next of both, elementwise and complex-safe.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnsim import kernels


class Cell(NamedTuple):
    code: Any
    step: Callable
    gates: int = 1  # blocks of rows of W_xh and W_hh
    memories: int = 0
    biases: int = 1  # blocks of b_h
    slope: Callable | None = None  # phi' where there is one

    def pre(self, net, x, h):
        """The two shares of the pre-activations: of x (B, D), and of h (B, H)."""
        H = net.W_hh.shape[1]
        own, rest = net.b_h[: self.gates * H], np.zeros(self.gates * H, net.b_h.dtype)
        if self.biases > self.gates:
            rest[-H:] = net.b_h[self.gates * H :]
        return x @ net.W_xh.T + own, h @ net.W_hh.T + rest

    def advance(self, net, x, h, c):
        """(h_t, c_t) from x_t (B, D), h_{t-1} (B, H) and c_{t-1} (B, M*H)."""
        return self.step(*self.pre(net, x, h), h, c)


def vanilla(phi):
    return lambda of_x, of_h, h, c: (phi(of_x + of_h), c)


def sigma(a):
    """1/(1 + e^-a), by the side that does not overflow."""
    e = np.exp(np.where(a.real > 0, -a, a))
    return np.where(a.real > 0, 1 / (1 + e), e / (1 + e))


def _lstm(of_x, of_h, h, c):
    i, f, g, o = np.split(of_x + of_h, 4, axis=-1)
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(c), c


def _gru(of_x, of_h, h, c):
    (r, z, n), (r_h, z_h, n_h) = np.split(of_x, 3, axis=-1), np.split(of_h, 3, axis=-1)
    r, z = sigma(r + r_h), sigma(z + z_h)
    return (1 - z) * np.tanh(n + r * n_h) + z * h, c


CELLS = {
    "tanh": Cell(kernels.TANH, vanilla(np.tanh), slope=lambda a: 1 / np.cosh(a) ** 2),
    "relu": Cell(
        kernels.RELU,
        vanilla(lambda a: np.where(a.real > 0, a, 0)),
        slope=lambda a: np.where(a.real > 0, 1.0, 0.0),
    ),
    "linear": Cell(kernels.LINEAR, vanilla(lambda a: a), slope=np.ones_like),
    "sigmoid": Cell(kernels.SIGMOID, vanilla(sigma), slope=lambda a: sigma(a) * sigma(-a)),
    "lstm": Cell(kernels.LSTM, _lstm, gates=4, memories=1, biases=4),
    "gru": Cell(kernels.GRU, _gru, gates=3, biases=4),
}
VANILLA = tuple(name for name, cell in CELLS.items() if cell.slope)
