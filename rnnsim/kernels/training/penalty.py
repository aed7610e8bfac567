"""The penalty Omega that keeps gradients from vanishing (Pascanu, Mikolov and Bengio 2013).

With g_t = dL/dh_t of one sequence and u_t = W_hh^T (phi'(a_t) * g_t), what g_t becomes one step
back, the paper sums (||u_t||/||g_t|| - 1)^2 over steps. Only the W_hh written here is
differentiated; phi' and g_t are held constant, so that, for vanilla cells (A = H gate rows),

    d||u_t||/dW_hh = delta_t (u_t/||u_t||)^T,    delta_t = phi'(a_t) * g_t
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, scratch
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.products import add_outer, multiply, padded, rows_from, rows_of
from rnnsim.kernels.arithmetic.references import by_reference

PAPER, CODE = 0, 1
_DEAD = 1e-20  # of CODE: below this ||g_t||^2 counts as 0


@by_reference
class PenaltyWork(NamedTuple):
    """Scratch: left and right (R, H') for the R rows of a block; total (H, H') = dOmega/dW_hh.

    sums (2,) float64: Omega and how many (step, sequence) pairs it counts.
    """

    left: np.ndarray
    right: np.ndarray
    total: np.ndarray
    sums: np.ndarray


@allocator
def penalty_work(H, rows, like):
    """Scratch for blocks of `rows` = steps * sequences, in the dtype of `like`."""
    width = padded(H, like)
    return PenaltyWork(
        scratch((rows, width), like),
        scratch((rows, width), like),
        scratch((H, width), like),
        np.zeros(2),
    )


@kernel
def clear_penalty(penalty):
    """Begin a new gradient."""
    fill(penalty.total, 0)
    fill(penalty.sums, 0.0)


@kernel
def add_penalty(variant, count, H, V, work, penalty):
    """Add the `count` steps of a block whose errors are known; `work` is a BackwardWork."""
    errors, left, right = work.errors, penalty.left, penalty.right
    B = errors.shape[1]
    rows, into_left, into_right = count * B, rows_of(left, 0), rows_of(right, 0)
    # g_t = [delta_{t+1}, dL/dy_t] [W_hh; W_hy] and u_t = delta_t W_hh, for all rows at once
    multiply(rows_from(errors, 1), rows, 0, H + V, work.backward, into_left)
    multiply(rows_from(errors, 0), rows, 0, H, work.backward, into_right)
    for r in range(rows):
        s, b, g, u = r // B, r % B, 0.0, 0.0
        for i in range(H):
            g += np.float64(left[r, i]) * np.float64(left[r, i])
            u += np.float64(right[r, i]) * np.float64(right[r, i])
        factor = _factor(variant, g, u, penalty.sums)
        by_g = factor / math.sqrt(g) if factor != 0.0 else 0.0
        by_u = 1.0 / math.sqrt(u) if factor != 0.0 else 0.0
        for i in range(H):  # delta/||g|| and u/||u||: no larger than 1
            left[r, i] = by_g * errors[s, b, i]
            right[r, i] = by_u * right[r, i]
    add_outer(into_left, into_right, rows, H, H, penalty.total)


@kernel
def _factor(variant, g, u, sums):
    """What multiplies (delta/||g||) (u/||u||)^T in the gradient, from squared norms g and u.

    PAPER: Omega += (r - 1)^2 with r = ||u||/||g||, where g is not 0.
    CODE: Omega += (q - 1)^2 with q = r^2, where ||g||^2 is not below 1e-20.
    """
    if not (g > 0.0 if variant == PAPER else g >= _DEAD):
        return 0.0
    q = u / g
    r = math.sqrt(q)
    sums[0] += (r - 1.0) ** 2 if variant == PAPER else (q - 1.0) ** 2
    sums[1] += 1.0
    if u == 0.0:
        return 0.0
    return 2.0 * (r - 1.0) if variant == PAPER else 4.0 * (q - 1.0) * r


@kernel
def close_penalty(variant, weight, B, penalty, gradient):
    """gradient (H, H) += weight * dOmega/dW_hh; returns Omega.

    PAPER: the mean over sequences of the sum over steps. CODE: the sum over steps of the mean over
    sequences, divided by the sum over steps of the fraction of sequences that count.
    """
    H, counted = gradient.shape[0], penalty.sums[1]
    scale = 1.0 / B if variant == PAPER else (1.0 / counted if counted > 0.0 else 0.0)
    for i in range(H):
        for j in range(H):
            gradient[i, j] += weight * scale * penalty.total[i, j]
    return scale * penalty.sums[0]
