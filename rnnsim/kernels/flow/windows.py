"""The windows of the gradient flow: sums over lags, beside the full gradient."""

import math

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, total_of
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    LN2,
    add_scaled,
    exponent_of,
    frobenius,
    hypot,
    log_add_squares,
    power_of_two,
    rescale,
    safe_exponent,
    times_power_of_two,
)
from rnnsim.kernels.arithmetic.products import add_outer, multiply, rows_from, rows_of
from rnnsim.kernels.cells.seam import pull_back
from rnnsim.kernels.gradients.steps import arrive, take_final


@kernel
def keep_weights(table, H, P, outer):
    """Of outer products (A, P'), 0 where no weight stands: a block may meet no state, or no input.

    Columns are those of the trace, [h, 1, x].
    """
    hidden, inputs = table[0], table[1]
    for i in range(outer.shape[0]):
        if hidden[i // H] < 0:
            for j in range(H):
                outer[i, j] = 0
        if inputs[i // H] < 0:
            for j in range(H + 1, P):
                outer[i, j] = 0


@kernel
def rows_of_gate(table, gate, H):
    """(first, last) of the rows of pre-activations that belong to a gate."""
    first, last = table.shape[1], 0
    for block in range(table.shape[1]):
        if max(table[0, block], table[1, block]) == gate:
            first, last = min(first, block), block + 1
    return first * H, last * H


@kernel
def full_gradient(cell, steps, n, work):
    """full * 2^sum_exponents[1] = B * dL/d[W_hh, b_h, W_xh] by backpropagation.

    `cell` is the lasting one. What goes back has one power of two of its own: gradient * 2^c = sum
    over losses of dl/dh_t, and so for the memories. rows[i] hold dl_t/dh_t.
    """
    B, H, gradient, memories = work.rows.shape[1], work.units, work.forward.state, work.dc[0]
    start_full(steps, n, work)
    c, i = np.int64(0), steps.size - 1
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
        c = take_full_back(cell, t, c, work)


@kernel
def start_full(steps, n, work):
    """The full gradient of network n is empty, and nothing is on its way back but what arrives."""
    fill(work.full, 0.0)
    fill(work.window_lost, 0.0)  # free until the windows grow
    fill(work.forward.state, 0)
    fill(work.dc[0], 0)
    work.sum_exponents[1] = EMPTY
    if steps[-1] == work.forward.trace.shape[0] - 1:
        take_final(work.final, n, work.units, 1.0, work.dc[0])


@kernel
def take_full_back(cell, t, c, work):
    """Step t of the full gradient, from dl/dh_t in units of 2^c; returns the next unit."""
    A, B, H = work.window.shape[0], work.rows.shape[1], work.units
    P = H + 1 + work.forward.sizes[1]
    trace, gradient, memories = work.forward.trace, work.forward.state, work.dc[0]
    deltas, part, exponent = work.deltas, work.outer[0], work.sum_exponents[1]
    pull_back(cell, gradient, memories, trace, work.forward.kept, t, deltas, 0, 0, H)
    fill(part, 0)
    add_outer(rows_from(deltas, 0), rows_from(trace, t - 1), B, A, P, part)
    keep_weights(work.forward.blocks, H, P, part)
    work.sum_exponents[1] = add_scaled(work.full, work.window_lost, exponent, part, c)
    multiply(rows_from(deltas, 0), B, 0, A, work.backward, rows_of(gradient, 0))
    arrive(gradient, memories, work.path.shape[2], 0, H)
    norm = hypot(frobenius(gradient), frobenius(memories))
    if 0.0 < norm < np.inf:
        shift = safe_exponent(norm, gradient.itemsize)
        if shift != 0:
            rescale(gradient, -shift)
            rescale(memories, -shift)
            c += shift
    return c


@kernel
def grow_window(lag, work):
    """Add the outer products of one lag of the chunk to the window."""
    if work.tops[lag] > EMPTY:
        work.sum_exponents[0] = add_scaled(
            work.window,
            work.window_lost,
            work.sum_exponents[0],
            work.outer[lag],
            work.tops[lag],
        )


@kernel
def grow_terms(lag, n, work, out):
    """Add the size of what one lag of the chunk adds to the sums."""
    top = work.tops[lag]
    if top == EMPTY:
        return
    of_states, of_rows = work.size_exponents
    hidden, recurrent = total_of(work.terms[lag, 0]), total_of(work.terms[lag, 1])
    out.hidden_terms[n] = _add_terms(out.hidden_terms[n], hidden, top, of_states)
    out.recurrent_terms[n] = _add_terms(out.recurrent_terms[n], recurrent, top, of_rows)
    for gate in range(out.hidden_gates.terms.shape[1]):
        terms = out.hidden_gates.terms[n]
        terms[gate] = _add_terms(terms[gate], work.terms[lag, 0, gate], top, of_states)
        terms = out.recurrent_gates.terms[n]
        terms[gate] = _add_terms(terms[gate], work.terms[lag, 1, gate], top, of_rows)


@kernel
def _add_terms(log_root, square, top, exponent):
    """ln sqrt(e^(2 log_root) + square * 4^(top + exponent))."""
    if square == 0.0:
        return log_root
    if abs(exponent_of(square) + 2 * top) < 1000:
        square, top = times_power_of_two(square, 2 * top), np.int64(0)
    return log_add_squares(log_root, 0.5 * math.log(square) + (top + exponent) * LN2)
