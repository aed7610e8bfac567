"""Layers of several networks by hand in NumPy: forward, and back from gradients at their states.

Axes (n, t, b, unit), so that whatever need not wait for a step is one product over all of them.
"""

from typing import Any

import numpy as np

from .workloads import Floats

Steps = tuple[Floats, ...]  # what a cell keeps of all steps


class Layer:
    """One layer unfolded over inputs (T,B,D) or (n,T,B,D): ``states`` h_0..h_T (n,T+1,B,H)."""

    def __init__(
        self, cell: str, x: Floats, W_xh: Floats, W_hh: Floats, b_h: Floats, start: Any = 0.0
    ) -> None:
        (n, _, H), (T, B, D) = W_hh.shape, x.shape[-3:]
        self._cell, self._weights = _CELLS[cell], (W_xh, W_hh)
        self._rows = x.reshape(*x.shape[:-3], T * B, D)
        driven = W_xh.shape[1]
        drive = (self._rows @ W_xh.mT + b_h[:, None, :driven]).reshape(n, T, B, driven)
        self.states = np.empty((n, T + 1, B, H), W_hh.dtype)
        self.states[:, 0] = start
        self._kept = self._cell.forward(drive, W_hh, b_h[:, None, driven:], self.states)

    def back(self, from_above: Floats) -> tuple[Floats, Floats, Floats]:
        """dW_xh, dW_hh and db_h from dL/dh of the last steps, by all that lies above, (n,S,B,H).

        Leaves the gradients at the inputs within reach of `to_inputs`, at h_0 as `at_start`.
        """
        n, T, B, H = self.states[:, 1:].shape
        W_xh, W_hh = self._weights
        deltas, self.at_start = self._cell.back(from_above, W_hh, self.states, self._kept)
        deltas = deltas.reshape(n, T * B, -1)
        self._driven, recurrent = deltas[..., : W_xh.shape[1]], deltas
        if deltas.shape[2] > W_hh.shape[1]:  # of the n gate of GRUs: within reset, and outside
            recurrent = np.concatenate([deltas[..., : 2 * H], deltas[..., 3 * H :]], axis=2)
        before = self.states[:, :-1].reshape(n, T * B, H)
        return self._driven.mT @ self._rows, recurrent.mT @ before, deltas.sum(1)

    def to_inputs(self) -> Floats:
        """dL/dx (n,T,B,D)."""
        n, T, B, _ = self.states[:, 1:].shape
        return (self._driven @ self._weights[0]).reshape(n, T, B, -1)


class _Vanilla:
    @staticmethod
    def forward(drive: Floats, W_hh: Floats, _: Floats, states: Floats) -> Steps:
        for t in range(drive.shape[1]):
            summed = states[:, t] @ W_hh.mT
            summed += drive[:, t]
            np.tanh(summed, out=states[:, t + 1])
        return ()

    @staticmethod
    def back(from_above: Floats, W_hh: Floats, states: Floats, _: Steps) -> tuple[Floats, Floats]:
        T, first = states.shape[1] - 1, states.shape[1] - 1 - from_above.shape[1]
        deltas, carried = np.empty_like(states[:, 1:]), np.zeros_like(states[:, 0])
        for t in range(T - 1, -1, -1):
            if t >= first:
                carried += from_above[:, t - first]
            slope = states[:, t + 1] ** 2
            np.subtract(1, slope, out=slope)
            np.multiply(slope, carried, out=deltas[:, t])
            carried = deltas[:, t] @ W_hh
        return deltas, carried


class _LSTM:
    @staticmethod
    def forward(drive: Floats, W_hh: Floats, _: Floats, states: Floats) -> Steps:
        H, c = W_hh.shape[2], np.zeros_like(states)
        gates = drive  # i, f, g, o, each in its place
        for t in range(drive.shape[1]):
            a = gates[:, t]
            a += states[:, t] @ W_hh.mT
            for part in (a[..., : 2 * H], a[..., 3 * H :]):
                _sigmoid(part)
            np.tanh(a[..., 2 * H : 3 * H], out=a[..., 2 * H : 3 * H])
            i, f, g, o = np.split(a, 4, axis=2)
            c[:, t + 1] = f * c[:, t] + i * g
            np.multiply(o, np.tanh(c[:, t + 1]), out=states[:, t + 1])
        return gates, c

    @staticmethod
    def back(
        from_above: Floats, W_hh: Floats, states: Floats, kept: Steps
    ) -> tuple[Floats, Floats]:
        (gates, c), T = kept, states.shape[1] - 1
        first, deltas = T - from_above.shape[1], np.empty_like(gates)
        at_h, at_c = np.zeros_like(states[:, 0]), np.zeros_like(states[:, 0])
        for t in range(T - 1, -1, -1):
            if t >= first:
                at_h += from_above[:, t - first]
            i, f, g, o = np.split(gates[:, t], 4, axis=2)
            d_i, d_f, d_g, d_o = np.split(deltas[:, t], 4, axis=2)
            squashed = np.tanh(c[:, t + 1])
            at_c += at_h * o * (1 - squashed**2)
            d_i[...] = at_c * g * i * (1 - i)
            d_f[...] = at_c * c[:, t] * f * (1 - f)
            d_g[...] = at_c * i * (1 - g**2)
            d_o[...] = at_h * squashed * o * (1 - o)
            at_h, at_c = deltas[:, t] @ W_hh, at_c * f
        return deltas, at_h


class _GRU:
    @staticmethod
    def forward(drive: Floats, W_hh: Floats, bias: Floats, states: Floats) -> Steps:
        H, gates, inner = W_hh.shape[2], drive, np.empty_like(states[:, 1:])
        for t in range(drive.shape[1]):
            a, product = gates[:, t], states[:, t] @ W_hh.mT  # r, z, n, each in its place
            a[..., : 2 * H] += product[..., : 2 * H]
            _sigmoid(a[..., : 2 * H])
            r, z, n = np.split(a, 3, axis=2)
            np.add(product[..., 2 * H :], bias, out=inner[:, t])
            n += r * inner[:, t]
            np.tanh(n, out=n)
            np.add(n, z * (states[:, t] - n), out=states[:, t + 1])
        return gates, inner

    @staticmethod
    def back(
        from_above: Floats, W_hh: Floats, states: Floats, kept: Steps
    ) -> tuple[Floats, Floats]:
        (gates, inner), T, H = kept, states.shape[1] - 1, W_hh.shape[2]
        first, at_h = T - from_above.shape[1], np.zeros_like(states[:, 0])
        deltas = np.empty((*gates.shape[:3], 4 * H), gates.dtype)
        for t in range(T - 1, -1, -1):
            if t >= first:
                at_h += from_above[:, t - first]
            r, z, n = np.split(gates[:, t], 3, axis=2)
            d_r, d_z, d_n, d_inner = np.split(deltas[:, t], 4, axis=2)
            d_n[...] = at_h * (1 - z) * (1 - n**2)
            d_inner[...] = d_n * r
            d_r[...] = d_n * inner[:, t] * r * (1 - r)
            d_z[...] = at_h * (states[:, t] - n) * z * (1 - z)
            at_h = at_h * z + deltas[:, t, :, : 2 * H] @ W_hh[:, : 2 * H]
            at_h += d_inner @ W_hh[:, 2 * H :]
        return deltas, at_h


def _sigmoid(a: Floats) -> None:
    """In place, by way of tanh, which NumPy has in vectors."""
    a *= 0.5
    np.tanh(a, out=a)
    a *= 0.5
    a += 0.5


_CELLS: dict[str, Any] = {"vanilla": _Vanilla, "lstm": _LSTM, "gru": _GRU}
