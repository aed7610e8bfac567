"""The LSTM cell (Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000, no peepholes).

    i, f, o = sigma(a_i), sigma(a_f), sigma(a_o);   g = tanh(a_g)
    c' = f c + i g;   h' = o tanh(c')

A step keeps c' and the factors of its way back, as computed from the pre-activations, so that
saturated gates cost no digits. With dc the gradient of c' and dh that of h', S = o (1 - tanh^2 c'):

    dc + S dh = e;   da_i = e g i(1-i);   da_f = e c f(1-f);   da_g = e i(1-g^2)
    da_o = dh tanh(c') o(1-o);   the gradient of c is e f

Kept for each unit: c', f, S, and the four factors in the order of the gates.
"""

from typing import NamedTuple

from rnnsim.kernels.arithmetic.functions import (
    sigmoid_into,
    sigmoid_of,
    tanh_into,
    tanh_of,
)
from rnnsim.kernels.arithmetic.vectors import lanes, load, load_some, store, store_some
from rnnsim.kernels.cells.elementwise import add_product, product
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

_KEPT = 7


class Lstm(NamedTuple):
    """The cell as kernels take it; it needs no number of its own, and a NamedTuple wants one."""

    gates: int


LSTM = Lstm(4)


@sizes.of(Lstm)
def _sizes(cell):
    return 1, 1, _KEPT


@blocks.of(Lstm)
def _blocks(cell):
    return (0, 1, 2, 3), (0, 1, 2, 3)


@lasting.of(Lstm)
def _lasting(cell):
    return cell


@recall.of(Lstm)
def _recall(cell, pre, after):
    pass


@slope_sums.of(Lstm)
def _slope_sums(cell, kept, states, t, b, H):
    return float("nan"), float("nan")


@advance.of(Lstm)
def _advance(cell, pre, before, state, kept, t, first, H):
    P, B, width = kept.shape[2] // _KEPT, kept.shape[1], kept.shape[2]
    for b in range(pre.shape[0]):
        at, row = b * pre.shape[1], (t * B + first + b) * width
        for j in range(0, H, lanes(pre)):
            i, _, of_i = sigmoid_of(load_some(pre, at + j, H - j))
            f, _, of_f = sigmoid_of(load_some(pre, at + H + j, H - j))
            g, of_g = tanh_of(load_some(pre, at + 2 * H + j, H - j))
            o, _, of_o = sigmoid_of(load_some(pre, at + 3 * H + j, H - j))
            old = load(kept, row - B * width + j)
            c = f * old + i * g
            tanh_c, of_c = tanh_of(c)
            store(state, b * state.shape[1] + j, o * tanh_c)
            store(kept, row + j, c)
            store(kept, row + P + j, f)
            store(kept, row + 2 * P + j, o * of_c)
            store(kept, row + 3 * P + j, g * of_i)
            store(kept, row + 4 * P + j, old * of_f)
            store(kept, row + 5 * P + j, i * of_g)
            store(kept, row + 6 * P + j, tanh_c * of_o)


@gates.of(Lstm)
def _gates(cell, pre, values, odds, H):
    for b in range(pre.shape[0]):
        a, v, g = odds[b], values[b], odds[b, 2 * H : 3 * H]
        for j in range(4 * H):
            a[j] = pre[b, j]
        sigmoid_into(a, v)
        tanh_into(g, v[2 * H : 3 * H])
        for j in range(H):
            g[j] *= 2


@pull_back.of(Lstm)
def _pull_back(cell, gradient, later, states, kept, t, errors, s, first, H):
    P, B, width = kept.shape[2] // _KEPT, kept.shape[1], errors.shape[2]
    for b in range(gradient.shape[0]):
        row, into = (t * B + first + b) * kept.shape[2], (s * B + first + b) * width
        for j in range(0, H, lanes(errors)):
            dh = load(gradient, b * gradient.shape[1] + j)
            at = (first + b) * later.shape[1] + j
            dc = load(later, at) + dh * load(kept, row + 2 * P + j)
            for gate in range(3):
                by = load(kept, row + (3 + gate) * P + j)
                store_some(errors, into + gate * H + j, dc * by, H - j)
            store_some(errors, into + 3 * H + j, dh * load(kept, row + 6 * P + j), H - j)
            store(later, at, dc * load(kept, row + P + j))


@along_memories.of(Lstm)
def _along_memories(cell, gradient, path, kept, t, first, H):
    P = kept.shape[2] // _KEPT
    for b in range(path.shape[0]):
        row = kept[t, first + b]
        if gradient.size > 0:
            add_product(gradient[b], row[2 * P :], path[b], H)
        product(path[b], row[P:], path[b], H)


@jacobian.of(Lstm)
def _jacobian(cell, W_hh, kept, t, b, scratch):
    """[[R + diag(S) A, S f], [A, f]] over (h, c), A = dc'/dh and R = diag(tanh(c') o(1-o)) W_o.

    It is a unit triangular matrix times [[R, 0], [A, f]]: a row of 0 there is one of rank.
    """
    H, P = W_hh.shape[1], kept.shape[2] // _KEPT
    row, matrix, rank = kept[t, b], scratch[: 2 * H], 0
    for j in range(H):
        f, S, by_i, by_f = row[P + j], row[2 * P + j], row[3 * P + j], row[4 * P + j]
        by_g, by_o = row[5 * P + j], row[6 * P + j]
        for k in range(2 * H):
            matrix[j, k] = matrix[H + j, k] = 0
        upper, lower = 0, f != 0
        for k in range(H):
            of_c = by_i * W_hh[j, k] + by_f * W_hh[H + j, k] + by_g * W_hh[2 * H + j, k]
            of_o = by_o * W_hh[3 * H + j, k]
            upper |= of_o != 0
            lower |= of_c != 0
            matrix[j, k] = of_o + S * of_c
            matrix[H + j, k] = of_c
        matrix[j, H + j] = S * f
        matrix[H + j, H + j] = f
        rank += upper + lower
    scales = scratch[2 * H]
    for j in range(2 * H):
        scales[j] = 1
    return matrix, scales, rank
