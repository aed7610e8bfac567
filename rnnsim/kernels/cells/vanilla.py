"""The vanilla cell: h_t = phi(a_t), with phi tanh, relu, sigma or the identity.

It comes in two kinds. The plain one, an int, takes phi' from the states that are there anyway and
keeps nothing: (1 - h)(1 + h), h > 0, h (1 - h), or 1. `Sloped` keeps phi' as computed from the
pre-activation, which is exact where units saturate and 1 - h^2 is 0.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import total_of
from rnnsim.kernels.arithmetic.functions import (
    sigmoid_into,
    sigmoid_with_slope_into,
    tanh_into,
    tanh_with_slope_into,
)
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.cells.elementwise import product
from rnnsim.kernels.cells.layout import RELU, SIGMOID, TANH
from rnnsim.kernels.cells.seam import (
    advance,
    along_memories,
    blocks,
    jacobian,
    lasting,
    pull_back,
    recall,
    sizes,
    slope_sums,
)


class Sloped(NamedTuple):
    """Vanilla with phi'(a_t) kept for every step."""

    activation: int


@sizes.of(int)
def _plain_sizes(cell):
    return 0, 0, 0


@sizes.of(Sloped)
def _sloped_sizes(cell):
    return 0, 0, 1


@blocks.of(int)
@blocks.of(Sloped)
def _blocks(cell):
    return (0,), (0,)


@along_memories.of(int)
@along_memories.of(Sloped)
def _along_memories(cell, gradient, path, kept, t, first, H):
    pass


@advance.of(int)
def _advance(cell, pre, before, state, kept, t, first, H):
    a, h = pre.reshape(pre.size), state.reshape(state.size)
    if cell == TANH:
        tanh_into(a, h)
    elif cell == SIGMOID:
        sigmoid_into(a, h)
    elif cell == RELU:
        for i in range(a.size):
            h[i] = 0 if a[i] < 0 else a[i]
    else:
        for i in range(a.size):
            h[i] = a[i]


@advance.of(Sloped)
def _advance_with_slope(cell, pre, before, state, kept, t, first, H):
    a, h, width = pre.reshape(pre.size), state.reshape(state.size), kept.shape[2]
    slope = kept[t].reshape(kept.shape[1] * width)[first * width : first * width + a.size]
    if cell.activation == TANH:
        tanh_with_slope_into(a, h, slope)
    elif cell.activation == SIGMOID:
        sigmoid_with_slope_into(a, h, slope)
    elif cell.activation == RELU:
        for i in range(a.size):
            slope[i] = 1 if a[i] > 0 else 0
            h[i] = 0 if a[i] < 0 else a[i]
    else:
        for i in range(a.size):
            slope[i] = 1
            h[i] = a[i]


@pull_back.of(int)
def _pull_back(cell, gradient, later, states, kept, t, errors, s, first, H):
    one = gradient.dtype.type(1)
    for b in range(gradient.shape[0]):
        dh, h, da = gradient[b], states[t, first + b], errors[s, first + b]
        if cell == TANH:
            for i in range(H):
                da[i] = dh[i] * ((one - h[i]) * (one + h[i]))
        elif cell == RELU:
            for i in range(H):
                da[i] = dh[i] if h[i] > 0 else 0
        elif cell == SIGMOID:
            for i in range(H):
                da[i] = dh[i] * (h[i] * (one - h[i]))
        else:
            for i in range(H):
                da[i] = dh[i]


@pull_back.of(Sloped)
def _pull_back_by_slope(cell, gradient, later, states, kept, t, errors, s, first, H):
    for b in range(gradient.shape[0]):
        product(gradient[b], kept[t, first + b], errors[s, first + b], H)


@jacobian.of(Sloped)
def _jacobian(cell, W_hh, kept, t, b, scratch):
    return W_hh, kept[t, b], W_hh.shape[0]


@lasting.of(int)
def _lasting(cell):
    return Sloped(np.int64(cell))


@recall.of(Sloped)
def _recall(cell, pre, after):
    if cell.activation == RELU:  # relu goes by the sign of its state
        for b in range(after.shape[0]):
            for i in range(after.shape[1]):
                pre[b, i] = after[b, i]


@slope_sums.of(Sloped)
def _slope_sums(cell, kept, states, t, b, H):
    return total_of(kept[t, b, :H]), _count_saturated(cell.activation, states[t, b, :H])


@kernel
def _count_saturated(activation, states):
    """How many entries of a 1-D array of states have phi' exactly 0, as computed from the state."""
    count = 0
    if activation == TANH:
        for i in range(states.size):
            count += 1 - states[i] * states[i] == 0
    elif activation == RELU:
        for i in range(states.size):
            count += not states[i] > 0
    elif activation == SIGMOID:
        for i in range(states.size):
            count += states[i] * (1 - states[i]) == 0
    return count
