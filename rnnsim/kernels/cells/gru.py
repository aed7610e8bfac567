"""The GRU cell (Cho et al. 2014), reset after the product, as PyTorch and Keras 3 have it.

    r, z = sigma(a_r), sigma(a_z);   n = tanh(a_nx + r a_nh);   h' = (1-z) n + z h

The pre-activations have four blocks of rows, r, z, n of the input and n of the state, of which the
third meets no state and the fourth no input. A step keeps the factors of its way back, as computed
from the pre-activations. With dh the gradient of h':

    da_nx = dh (1-z)(1-n^2);   da_nh = r da_nx;   da_r = a_nh r(1-r) da_nx
    da_z = dh (h-n) z(1-z);    beside the products h has the gradient z dh

Kept for each unit: z, and the four factors in the order of the blocks.
"""

from typing import NamedTuple

from rnnsim.kernels.arithmetic.functions import sigmoid_into, sigmoid_of, tanh_into, tanh_of
from rnnsim.kernels.arithmetic.vectors import lanes, load, load_some, store, store_some
from rnnsim.kernels.cells.elementwise import product
from rnnsim.kernels.cells.seam import (
    advance,
    along_memories,
    blocks,
    gates,
    jacobian,
    lasting,
    pull_back,
    recall,
    sizes,
    slope_sums,
)

_KEPT = 5


class Gru(NamedTuple):
    """The cell as kernels take it; it needs no number of its own, and a NamedTuple wants one."""

    gates: int


GRU = Gru(3)


@sizes.of(Gru)
def _sizes(cell):
    return 0, 1, _KEPT


@blocks.of(Gru)
def _blocks(cell):
    return (0, 1, -1, 2), (0, 1, 2, -1)


@lasting.of(Gru)
def _lasting(cell):
    return cell


@recall.of(Gru)
def _recall(cell, pre, after):
    pass


@slope_sums.of(Gru)
def _slope_sums(cell, kept, states, t, b, H):
    return float("nan"), float("nan")


@along_memories.of(Gru)
def _along_memories(cell, gradient, path, kept, t, first, H):
    pass


@advance.of(Gru)
def _advance(cell, pre, before, state, kept, t, first, H):
    P = kept.shape[2] // _KEPT
    for b in range(pre.shape[0]):
        at, row = b * pre.shape[1], (t * kept.shape[1] + first + b) * kept.shape[2]
        for j in range(0, H, lanes(pre)):
            r, _, of_r = sigmoid_of(load_some(pre, at + j, H - j))
            z, rest, of_z = sigmoid_of(load_some(pre, at + H + j, H - j))
            of_state = load_some(pre, at + 3 * H + j, H - j)
            n, of_n = tanh_of(load_some(pre, at + 2 * H + j, H - j) + r * of_state)
            old = load_some(before, (first + b) * before.shape[1] + j, H - j)
            by_input = rest * of_n
            store(state, b * state.shape[1] + j, rest * n + z * old)
            store(kept, row + j, z)
            store(kept, row + P + j, by_input * of_state * of_r)
            store(kept, row + 2 * P + j, (old - n) * of_z)
            store(kept, row + 3 * P + j, by_input)
            store(kept, row + 4 * P + j, by_input * r)


@gates.of(Gru)
def _gates(cell, pre, values, odds, H):
    for b in range(pre.shape[0]):
        v, n, of_input = values[b], odds[b, 2 * H : 3 * H], pre[b, 2 * H : 3 * H]
        for j in range(2 * H):
            odds[b, j] = pre[b, j]
        sigmoid_into(odds[b, : 2 * H], v[: 2 * H])
        product(v, pre[b, 3 * H :], n, H)
        for j in range(H):
            n[j] += of_input[j]
        tanh_into(n, v[2 * H :])
        for j in range(H):
            n[j] *= 2


@pull_back.of(Gru)
def _pull_back(cell, gradient, later, states, kept, t, errors, s, first, H):
    P, B, width = kept.shape[2] // _KEPT, kept.shape[1], errors.shape[2]
    for b in range(gradient.shape[0]):
        row, into = (t * B + first + b) * kept.shape[2], (s * B + first + b) * width
        for j in range(0, H, lanes(errors)):
            dh = load(gradient, b * gradient.shape[1] + j)
            for block in range(4):
                by = load(kept, row + (1 + block) * P + j)
                store_some(errors, into + block * H + j, dh * by, H - j)
            store(later, (first + b) * later.shape[1] + j, dh * load(kept, row + j))


@jacobian.of(Gru)
def _jacobian(cell, W_hh, kept, t, b, scratch):
    """diag(z) + diag(by_r) W_r + diag(by_z) W_z + diag(by_h) W_n."""
    H, P = W_hh.shape[1], kept.shape[2] // _KEPT
    row, matrix, scales = kept[t, b], scratch[:H], scratch[H]
    for j in range(H):
        by_r, by_z, by_h = row[P + j], row[2 * P + j], row[4 * P + j]
        for k in range(H):
            matrix[j, k] = by_r * W_hh[j, k] + by_z * W_hh[H + j, k] + by_h * W_hh[2 * H + j, k]
        matrix[j, j] += row[j]
        scales[j] = 1
    return matrix, scales, H
