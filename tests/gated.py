"""An LSTM for the kernels, in plain loops: a cell unlike vanilla that goes through the same seam.

    c' = f c + i g,   h' = o tanh(c'),   i, f, o = sigma and g = tanh of their pre-activations

Kept for each unit, in this order: c', i, f, g, o, tanh(c').
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.cells.seam import (
    advance,
    jacobian,
    lasting,
    pull_back,
    recall,
    sizes,
    slope_sums,
)


class Gated(NamedTuple):
    """No numbers of its own are needed; a NamedTuple wants one."""

    gates: int


@sizes.of(Gated)
def _sizes(cell):
    return 4, 1, 6


@lasting.of(Gated)
def _lasting(cell):
    return cell


@recall.of(Gated)
def _recall(cell, pre, after):
    pass


@slope_sums.of(Gated)
def _slope_sums(cell, kept, states, t, b, H):
    return np.nan, 0


@advance.of(Gated)
def _advance(cell, pre, state, kept, t, first, H):
    Hp = kept.shape[2] // 6
    for b in range(pre.shape[0]):
        now, before = kept[t, first + b], kept[t - 1, first + b]
        for j in range(H):
            i = 1 / (1 + math.exp(-pre[b, j]))
            f = 1 / (1 + math.exp(-pre[b, H + j]))
            g = math.tanh(pre[b, 2 * H + j])
            o = 1 / (1 + math.exp(-pre[b, 3 * H + j]))
            c = f * before[j] + i * g
            top = math.tanh(c)
            now[j], now[Hp + j], now[2 * Hp + j] = c, i, f
            now[3 * Hp + j], now[4 * Hp + j], now[5 * Hp + j] = g, o, top
            state[b, j] = o * top


@pull_back.of(Gated)
def _pull_back(cell, gradient, later, states, kept, t, errors, s, first, H):
    Hp = kept.shape[2] // 6
    for b in range(gradient.shape[0]):
        now, delta, after = kept[t, first + b], errors[s, first + b], later[first + b]
        for j in range(H):
            i, f, g = now[Hp + j], now[2 * Hp + j], now[3 * Hp + j]
            o, top, old = now[4 * Hp + j], now[5 * Hp + j], kept[t - 1, first + b, j]
            dh = gradient[b, j]
            dc = after[j] + dh * o * (1 - top * top)
            delta[j] = dc * g * i * (1 - i)
            delta[H + j] = dc * old * f * (1 - f)
            delta[2 * H + j] = dc * i * (1 - g * g)
            delta[3 * H + j] = dh * top * o * (1 - o)
            after[j] = dc * f


@jacobian.of(Gated)
def _jacobian(cell, W_hh, kept, t, b, scratch):
    """[[B + S A, S f], [A, f]] over (h, c); the scales, all 1, stand in the last row of scratch."""
    H, Hp = W_hh.shape[1], kept.shape[2] // 6
    now, matrix = kept[t, b], scratch[: 2 * H]
    for j in range(H):
        i, f, g = now[Hp + j], now[2 * Hp + j], now[3 * Hp + j]
        o, top, old = now[4 * Hp + j], now[5 * Hp + j], kept[t - 1, b, j]
        slope = o * (1 - top * top)
        for k in range(H):
            of_c = g * i * (1 - i) * W_hh[j, k] + old * f * (1 - f) * W_hh[H + j, k]
            of_c += i * (1 - g * g) * W_hh[2 * H + j, k]
            matrix[j, k] = top * o * (1 - o) * W_hh[3 * H + j, k] + slope * of_c
            matrix[H + j, k] = of_c
            matrix[j, H + k] = slope * f if j == k else 0
            matrix[H + j, H + k] = f if j == k else 0
    for j in range(2 * H):
        scratch[2 * H, j] = 1
    return matrix, scratch[2 * H]
