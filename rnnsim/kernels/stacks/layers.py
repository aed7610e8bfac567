"""Layers as arrays: every array of weights, scratch and results has the layers on its first axis.

What one layer needs is `layer_of` these, and serves the kernels of single networks. Layers of other
sizes than the largest leave the end of an axis unused: what counts is in `StepWork.sizes`. To a
layer below the top, the one above is its readout: A numbers for each step, dl/da of that layer,
come back through W_xh of that layer as dl/dy comes back through W_hy.
"""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import scratch
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.products import pack, padded
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.gradients.steps import pack_back


def layered(layers):
    """Weights of a stack (L, N, ...) from those of its layers, the lowest first."""
    columns = zip(*layers, strict=True)
    return Weights(*(_padded(arrays) for arrays in columns))


def _padded(arrays):
    """Arrays along a new first axis, with zeros where the largest is larger."""
    shape = np.max([array.shape for array in arrays], axis=0)
    whole = scratch((len(arrays), *shape), arrays[0])
    for layer, array in zip(whole, arrays, strict=True):
        layer[tuple(slice(size) for size in array.shape)] = array
    return whole


def in_layers(one, n_layers):
    """As many copies of what one layer works in, or gives, along a first axis."""
    if isinstance(one, tuple):
        return type(one)(*(in_layers(field, n_layers) for field in one))
    if not isinstance(one, np.ndarray):
        return one
    whole = scratch((n_layers, *one.shape), one)
    with np.errstate(invalid="ignore"):  # whatever stands where nothing has been computed yet
        if one.any():
            whole[:] = one
    return whole


def set_sizes(sizes, layers):
    """Fill `StepWork.sizes` (L, 4) of scratch that serves the weights `layers`, lowest first."""
    for layer, w in enumerate(layers):
        above = w.b_h.shape[1]
        own = w.W_hy.shape[1], w.b_y.shape[1]
        sizes[layer] = w.W_hh.shape[2], w.W_xh.shape[2], *(own if w is layers[-1] else (above, 0))


def wide_enough(array, final, H):
    """Scratch (..., C*H') of what a step hands back, with room for what `take_final` puts there.

    final (L, ., B, M*H), or (L, ., B, M*H + H): what arrives at h_T stands behind the memories,
    where `arrive` finds what a step hands back to h beside its products.
    """
    width = final.shape[-1] // H * padded(H, array)
    if array.shape[-1] >= width:
        return array
    return scratch((*array.shape[:-1], width), array)


@kernel
def pack_above(W_xh, work):
    """What takes the errors of a layer back into the one below, whose scratch is `work`.

    Of W_xh (A, max(D, H)) the H columns that read states: where D > H there are more.
    """
    H, A = work.forward.sizes[0], work.forward.sizes[2]
    pack_back(W_xh[:, :H], work.forward.blocks[1], H, A, work.backward)


@kernel
def pass_up(lower, upper, at, count, H):
    """h_{at+1}..h_{at+count} of the trace `lower` become the inputs of the same steps in `upper`.

    Both (C+1, B, .); the row of step t-1 holds the inputs of step t.
    """
    for t in range(at, at + count):
        for b in range(lower.shape[1]):
            for i in range(H):
                upper[t, b, H + 1 + i] = lower[t + 1, b, i]


@kernel
def pass_down(errors, row, count, below, row_below, A):
    """Errors of a layer become what comes back to the one below: its columns A..2A-1."""
    for s in range(count):
        for b in range(errors.shape[1]):
            for i in range(A):
                below[row_below + s, b, A + i] = errors[row + s, b, i]


@kernel
def copy_part(whole, part, layer):
    """part (B, S) = the state of one layer, of whole (B, L*S)."""
    S = part.shape[1]
    for b in range(part.shape[0]):
        for i in range(S):
            part[b, i] = whole[b, layer * S + i]


@kernel
def pack_readout(w, work):
    """The readout of the top layer, as scores and gradients take it."""
    pack(w.W_hy, w.b_h.size, work.backward)
