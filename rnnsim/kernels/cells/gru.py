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

from rnnsim.kernels.arithmetic.functions import (
    sigmoid_into,
    sigmoid_with_rest_into,
    sigmoid_with_slope_into,
    tanh_into,
    tanh_with_slope_into,
)
from rnnsim.kernels.cells.elementwise import (
    add_product,
    mix,
    product,
    scale,
    scale_by_difference,
)
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
        a, row, old, n = pre[b], kept[t, first + b], before[first + b], state[b, :H]
        z, by_r, by_z = row[:H], row[P : P + H], row[2 * P : 2 * P + H]
        by_x, by_h = row[3 * P : 3 * P + H], row[4 * P : 4 * P + H]
        # No array is read and written at once, so that all of it vectorises: r stands in by_h, 1-z
        # in the place of pre-activations that have been used.
        r, rest, of_input, of_state = by_h, a[:H], a[2 * H : 3 * H], a[3 * H : 4 * H]
        sigmoid_with_slope_into(rest, r, by_r)
        sigmoid_with_rest_into(a[H : 2 * H], z, rest, by_z)
        add_product(r, of_state, of_input, H)
        tanh_with_slope_into(of_input, n, by_x)
        scale(by_x, rest, H)
        scale(by_r, by_x, H)
        scale(by_r, of_state, H)
        scale(by_h, by_x, H)
        scale_by_difference(by_z, old, n, H)
        mix(n, rest, z, old, H)


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
    P = kept.shape[2] // _KEPT
    for b in range(gradient.shape[0]):
        row, dh, da = kept[t, first + b], gradient[b], errors[s, first + b]
        for block in range(4):
            product(dh, row[(1 + block) * P :], da[block * H :], H)
        product(dh, row, later[first + b], H)


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
