"""One table of cells: what the kernels call a cell, and its step in plain NumPy.

A new cell is one row. A step takes its share of the input, W_xh x + what of the biases stands
there, that of the state, W_hh h + the rest, the state h (B, H) and the memories (B, M*H), and gives
the next of both, elementwise and complex-safe. A tangent takes small changes of these four beside
them, and gives those of the next state and memories, written out by hand.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnsim import kernels


class Cell(NamedTuple):
    code: Any
    step: Callable
    tangent: Callable
    gates: int = 1  # blocks of rows of W_xh and W_hh
    memories: int = 0
    biases: int = 1  # blocks of b_h
    slope: Callable | None = None  # phi' where there is one
    gate_values: Callable | None = None  # of the two shares, side by side

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


def vanilla(code, phi, slope):
    def step(of_x, of_h, h, c):
        return phi(of_x + of_h), c

    def tangent(at, moved):
        (of_x, of_h, _, _), (d_x, d_h, _, dc) = at, moved
        return slope(of_x + of_h) * (d_x + d_h), dc

    return Cell(code, step, tangent, slope=slope)


def sigma(a):
    """1/(1 + e^-a), by the side that does not overflow."""
    e = np.exp(np.where(a.real > 0, -a, a))
    return np.where(a.real > 0, 1 / (1 + e), e / (1 + e))


def _lstm(of_x, of_h, h, c):
    i, f, g, o = np.split(of_x + of_h, 4, axis=-1)
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(c), c


def _lstm_tangent(at, moved):
    (of_x, of_h, _, c), (d_x, d_h, _, dc) = at, moved
    i, f, g, o = np.split(of_x + of_h, 4, axis=-1)
    di, df, dg, do = np.split(d_x + d_h, 4, axis=-1)
    i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
    top = np.tanh(f * c + i * g)
    dc = f * (1 - f) * df * c + f * dc + i * (1 - i) * di * g + i * (1 - g**2) * dg
    return o * (1 - o) * do * top + o * (1 - top**2) * dc, dc


def _lstm_gates(of_x, of_h):
    i, f, g, o = np.split(of_x + of_h, 4, axis=-1)
    return np.concatenate([sigma(i), sigma(f), np.tanh(g), sigma(o)], axis=-1)


def _gru(of_x, of_h, h, c):
    (r, z, n), (r_h, z_h, n_h) = np.split(of_x, 3, axis=-1), np.split(of_h, 3, axis=-1)
    r, z = sigma(r + r_h), sigma(z + z_h)
    return (1 - z) * np.tanh(n + r * n_h) + z * h, c


def _gru_tangent(at, moved):
    (of_x, of_h, h, _), (d_x, d_h, dh, dc) = at, moved
    (r, z, n), (r_h, z_h, n_h) = np.split(of_x, 3, axis=-1), np.split(of_h, 3, axis=-1)
    (dr, dz, dn), (dr_h, dz_h, dn_h) = np.split(d_x, 3, axis=-1), np.split(d_h, 3, axis=-1)
    r, z = sigma(r + r_h), sigma(z + z_h)
    dr, dz = r * (1 - r) * (dr + dr_h), z * (1 - z) * (dz + dz_h)
    n = np.tanh(n + r * n_h)
    dn = (1 - n**2) * (dn + dr * n_h + r * dn_h)
    return (1 - z) * dn + dz * (h - n) + z * dh, dc


def _gru_gates(of_x, of_h):
    (r, z, n), (r_h, z_h, n_h) = np.split(of_x, 3, axis=-1), np.split(of_h, 3, axis=-1)
    r = sigma(r + r_h)
    return np.concatenate([r, sigma(z + z_h), np.tanh(n + r * n_h)], axis=-1)


CELLS = {
    "tanh": vanilla(kernels.TANH, np.tanh, lambda a: 1 / np.cosh(a) ** 2),
    "relu": vanilla(
        kernels.RELU,
        lambda a: np.where(a.real > 0, a, 0),
        lambda a: np.where(a.real > 0, 1.0, 0.0),
    ),
    "linear": vanilla(kernels.LINEAR, lambda a: a, np.ones_like),
    "sigmoid": vanilla(kernels.SIGMOID, sigma, lambda a: sigma(a) * sigma(-a)),
    "lstm": Cell(
        kernels.LSTM, _lstm, _lstm_tangent, gates=4, memories=1, biases=4, gate_values=_lstm_gates
    ),
    "gru": Cell(kernels.GRU, _gru, _gru_tangent, gates=3, biases=4, gate_values=_gru_gates),
}
VANILLA = tuple(name for name, cell in CELLS.items() if cell.slope)


def step_derivatives(net, x, states, cell):
    """By complex steps, at given states (T+1, B, S): ds_t/ds_{t-1} (T, B, S, S), ds_t/da_t.

    The second is (T, B, S, A), of the A pre-activations, in the order of the blocks of b_h.
    """
    (T, B, S), H, A = states[1:].shape, net.W_hh.shape[1], net.b_h.size
    of_state, of_pre = np.empty((2, T, B, S, max(S, A)), states.dtype)
    eps, advance = states.dtype.type(1e-30) * 1j, CELLS[cell].advance
    for t in range(T):
        h, c = states[t, :, :H] + 0j, states[t, :, H:] + 0j
        for j in range(S):
            moved = np.concatenate([h, c], axis=1)
            moved[:, j] += eps
            after = np.concatenate(advance(net, x[t], moved[:, :H], moved[:, H:]), axis=1)
            of_state[t, :, :, j] = after.imag / eps.imag
        for j in range(A):
            bias = net.b_h + 0j
            bias[j] += eps
            after = np.concatenate(advance(net._replace(b_h=bias), x[t], h, c), axis=1)
            of_pre[t, :, :, j] = after.imag / eps.imag
    return of_state[..., :S], of_pre[..., :A]


def lag_gradients(net, x, states, gradients, cell):
    """What each lag gives to W_hh (T, G*H, H), W_xh (T, G*H, D) and b_h (T, A), over all sequences.

    `gradients` (T, B, S) are dl_t/ds_t. The gradient truncated at window K and stride 1 is the sum
    over lags k < K, its error that over k >= K: no difference of nearly equal numbers is taken.
    """
    T, H = len(gradients), net.W_hh.shape[1]
    of_state, of_pre = step_derivatives(net, x, states, cell)
    rows, parts = gradients, []
    for k in range(T):  # row i is step i+1+k, standing at step i+1
        errors = np.einsum("tbi,tbia->tba", rows, of_pre[: T - k])
        of_hidden = of_input = errors
        if CELLS[cell].biases > CELLS[cell].gates:  # blocks r, z, n of the input, n of the state
            of_input = errors[..., : 3 * H]
            of_hidden = np.delete(errors, np.s_[2 * H : 3 * H], axis=2)
        parts.append(
            (
                np.einsum("tbi,tbj->ij", of_hidden, states[: T - k, :, :H]),
                np.einsum("tbi,tbj->ij", of_input, x[: T - k]),
                errors.sum(axis=(0, 1)),
            )
        )
        rows = np.einsum("tbi,tbij->tbj", rows, of_state[: T - k])[1:]
    return [np.array(part) for part in zip(*parts, strict=True)]
