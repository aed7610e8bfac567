"""The windows of the gradient flow: sums over lags, beside the full gradient."""

import math

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    LN2,
    add_scaled,
    compare_scaled,
    frobenius,
    hypot,
    log_add_squares,
    power_of_two,
    rescale,
    safe_exponent,
)
from rnnsim.kernels.arithmetic.products import add_outer, multiply, rows_from, rows_of
from rnnsim.kernels.cells.seam import pull_back


@kernel
def full_gradient(cell, steps, work):
    """full * 2^exponent = B * dL/d[W_hh, b_h, W_xh] by backpropagation; returns the exponent.

    `cell` is the lasting one. What goes back has one power of two of its own: gradient * 2^c = sum
    over losses of dl/dh_t, and so for the memories. rows[i] hold dl_t/dh_t.
    """
    (A, P), B, H = work.window.shape, work.rows.shape[1], work.units
    trace, kept, gradient = work.forward.trace, work.forward.kept, work.forward.state
    memories, deltas, part = work.dc[0], work.deltas, work.parts[0]
    into = rows_of(gradient, 0)
    fill(work.full, 0.0)
    fill(work.window_lost, 0.0)  # free until the windows grow
    fill(gradient, 0)
    c, exponent, i = np.int64(0), np.int64(EMPTY), steps.size - 1
    for t in range(steps[-1], 0, -1):
        if i >= 0 and steps[i] == t:
            if c < 0:
                rescale(gradient, c)
                rescale(memories, c)
                c = np.int64(0)
            factor = power_of_two(-c)
            for b in range(B):
                for j in range(H):
                    gradient[b, j] += work.rows[i, b, j] * factor
            i -= 1
        pull_back(cell, gradient, memories, trace, kept, t, deltas, 0, 0, H)
        fill(part, 0)
        add_outer(rows_from(deltas, 0), rows_from(trace, t - 1), B, A, P, part)
        exponent = add_scaled(work.full, work.window_lost, exponent, part, c)
        multiply(rows_from(deltas, 0), B, 0, A, work.backward, into)
        norm = hypot(frobenius(gradient), frobenius(memories))
        if 0.0 < norm < np.inf:
            shift = safe_exponent(norm, gradient.itemsize)
            if shift != 0:
                rescale(gradient, -shift)
                rescale(memories, -shift)
                c += shift
    fill(memories, 0)
    return exponent


@kernel
def grow_window(lag, n, work, out):
    """Add the outer products of one lag of the chunk to the window, and their size to the sums."""
    top = work.tops[lag]
    if top == EMPTY:
        return
    work.sum_exponents[0] = add_scaled(
        work.window, work.window_lost, work.sum_exponents[0], work.parts[lag], top
    )
    out.hidden_terms[n] = _add_terms(
        out.hidden_terms[n], work.terms[lag, 0], top + work.size_exponents[0]
    )
    out.recurrent_terms[n] = _add_terms(
        out.recurrent_terms[n], work.terms[lag, 1], top + work.size_exponents[1]
    )


@kernel
def _add_terms(log_root, square, exponent):
    """ln sqrt(e^(2 log_root) + square * 4^exponent)."""
    if square == 0.0:
        return log_root
    return log_add_squares(log_root, 0.5 * math.log(square) + exponent * LN2)


@kernel
def compare_window(n, k, work, out):
    """The window of lags 0..k beside the full gradient."""
    H, P = work.units, work.window.shape[1]
    e_window, e_full = work.sum_exponents[0], work.sum_exponents[1]
    log_norm, cosine, log_error = compare_scaled(
        work.window[:, :H], e_window, work.full[:, :H], e_full
    )
    out.hidden_log_norm[n, k] = log_norm
    out.hidden_cosine[n, k] = cosine
    out.hidden_log_error[n, k] = log_error
    log_norm, cosine, log_error = compare_scaled(
        work.window[:, :P], e_window, work.full[:, :P], e_full
    )
    out.recurrent_log_norm[n, k] = log_norm
    out.recurrent_cosine[n, k] = cosine
    out.recurrent_log_error[n, k] = log_error
