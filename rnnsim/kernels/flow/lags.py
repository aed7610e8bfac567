"""Lags of the gradient flow: rows move back step by step, and every lag is summed up."""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill
from rnnsim.kernels.arithmetic.functions import exp, log_normal
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    LN2,
    frobenius,
    hypot,
    power_of_two,
    rescale,
    safe_exponent,
)
from rnnsim.kernels.arithmetic.products import add_outer, multiply, rows_from
from rnnsim.kernels.cells.seam import lasting, pull_back


@kernel
def advance_rows(cell, steps, first, last, n, work, out):
    """Norms and outer products of lags first..last-1, in order; rows end at lag `last`.

    Rows become the deltas of their step, and these times W_hh the rows of the next lag.
    """
    (S, B, _), A, begin, lasts = work.rows.shape, work.window.shape[0], 0, lasting(cell)
    for k in range(first, last):
        while begin < S and steps[begin] - k < 1:
            begin += 1
        work.tops[k - first] = EMPTY
        fill(work.parts[k - first], 0)
        work.terms[k - first, 0] = work.terms[k - first, 1] = 0.0
        if begin == S:
            continue
        work.tops[k - first] = top = _measure_rows(steps, begin, k, first, n, work, out)
        _pull_rows(lasts, steps, begin, k, work)
        deltas, rows = rows_from(work.deltas, begin), rows_from(work.rows, begin)
        multiply(deltas, (S - begin) * B, 0, A, work.backward, rows)
        if top > EMPTY:  # something is left
            _outer_products(steps, begin, k, k - first, top, work)


@kernel
def _measure_rows(steps, begin, k, first, n, work, out):
    """Norms of the rows at lag k, of h and memories. Returns the largest exponent of a live row."""
    rows, dc, H = work.rows, work.dc, work.units
    S, B, _ = rows.shape
    logs, exponents = work.logs[k - first], work.exponents
    top = np.int64(EMPTY)
    low, high = (2.0**-40, 2.0**40) if rows.itemsize == 4 else (2.0**-400, 2.0**400)
    for i in range(begin, S):
        for b in range(B):
            square = 0.0
            for j in range(H):
                square += np.float64(rows[i, b, j]) * np.float64(rows[i, b, j])
            for j in range(dc.shape[2]):
                square += np.float64(dc[i, b, j]) * np.float64(dc[i, b, j])
            if low < square < high:
                logs[i, b] = 0.5 * log_normal(square) + exponents[i, b] * LN2
                top = max(top, exponents[i, b])
                continue
            row, memories = rows[i, b].reshape(1, -1), dc[i, b].reshape(1, -1)
            norm = hypot(frobenius(row), frobenius(memories))
            if 0.0 < norm < np.inf:
                logs[i, b] = log_normal(norm) + exponents[i, b] * LN2
                shift = safe_exponent(norm, row.itemsize)
                rescale(row, -shift)
                rescale(memories, -shift)
                exponents[i, b] += shift
                top = max(top, exponents[i, b])
            else:
                logs[i, b] = -np.inf if norm == 0.0 else np.nan
                if norm != 0.0:
                    top = max(top, exponents[i, b])
                    if out.first_nonfinite[n] < 0:
                        out.first_nonfinite[n] = steps[i]
    return top


@kernel
def _pull_rows(cell, steps, begin, k, work):
    """deltas and their squared norms at lag k, from the rows; `cell` is the lasting one."""
    deltas, forward, A = work.deltas, work.forward, work.window.shape[0]
    S, B, _ = deltas.shape
    for i in range(begin, S):
        rows, memories, t = work.rows[i], work.dc[i], steps[i] - k
        pull_back(cell, rows, memories, forward.trace, forward.kept, t, deltas, i, 0, work.units)
        for b in range(B):
            square = 0.0
            for j in range(A):
                square += np.float64(deltas[i, b, j]) * np.float64(deltas[i, b, j])
            work.squares[i, b] = square


@kernel
def _outer_products(steps, begin, k, lag, top, work):
    """parts[lag] = sum over rows of delta^T [h, 1, x] at lag k, in units of 2^top.

    terms[lag] are the sums over rows of ||delta||^2 times ||h||^2 and ||[h, 1, x]||^2. Deltas of
    other exponents than the top are scaled: nobody needs them behind this.
    """
    deltas, part = work.deltas, work.parts[lag]
    (S, B, _), (A, P) = deltas.shape, work.window.shape
    if not _sum_terms(steps, begin, k, lag, top, work):
        for i in range(begin, S):
            for b in range(B):
                factor = _factor(work.exponents[i, b], top)
                for j in range(A):
                    deltas[i, b, j] = deltas[i, b, j] * factor
    i = begin
    while i < S:
        run = 1  # consecutive steps are one product
        while i + run < S and steps[i + run] == steps[i] + run:
            run += 1
        left, right = rows_from(deltas, i), rows_from(work.forward.trace, steps[i] - k - 1)
        add_outer(left, right, run * B, A, P, part)
        i += run


@kernel
def _sum_terms(steps, begin, k, lag, top, work):
    """Fill terms[lag]; returns whether all rows have the exponent `top`."""
    S, B = work.exponents.shape
    same, hidden, whole = True, 0.0, 0.0
    for i in range(begin, S):
        for b in range(B):
            exponent = work.exponents[i, b]
            same &= exponent == top
            factor = 1.0 if exponent == top else _factor(exponent, top)
            square = work.squares[i, b] * factor * factor
            sizes = work.sizes[steps[i] - k - 1, b]
            hidden += square * sizes[0] * sizes[0]
            whole += square * sizes[1] * sizes[1]
    work.terms[lag, 0], work.terms[lag, 1] = hidden, whole
    return same


@kernel
def _factor(exponent, top):
    """2^(exponent - top); rows above the top are exactly 0, whatever their exponent."""
    return power_of_two(exponent - top) if exponent <= top else 0.0


@kernel
def merge_lags(count, work, other):
    """Add the outer products of a chunk that another workspace has for other sequences."""
    for lag in range(count):
        top = max(work.tops[lag], other.tops[lag])
        if top == EMPTY:
            continue
        own, its = _factor(work.tops[lag], top), _factor(other.tops[lag], top)
        for i in range(work.parts.shape[1]):
            for j in range(work.parts.shape[2]):
                work.parts[lag, i, j] = work.parts[lag, i, j] * own + other.parts[lag, i, j] * its
        for m in range(2):
            apart = power_of_two(other.size_exponents[m] - work.size_exponents[m]) * its
            work.terms[lag, m] *= own * own
            work.terms[lag, m] += other.terms[lag, m] * apart * apart
        work.tops[lag] = top


@kernel
def summarise(steps, k, n, logs, out):
    """Mean, spread and root mean square over sequences of the logs (S, B) of one lag."""
    S, B = logs.shape
    for i in range(S):
        if steps[i] - k < 1:
            continue
        live, mean, peak = 0, 0.0, -np.inf
        for b in range(B):
            if out.per_sequence.size > 0:
                out.per_sequence[n, i, k, b] = logs[i, b]
            if logs[i, b] != -np.inf:
                live += 1
                mean += logs[i, b]
                peak = max(peak, logs[i, b])
        out.live[n, i, k] = live / B
        if live == 0 or mean != mean:
            out.log_norms[n, i, k] = out.log_rms[n, i, k] = -np.inf if live == 0 else np.nan
            continue
        mean /= live
        spread = square = 0.0
        for b in range(B):
            if logs[i, b] != -np.inf:
                spread += (logs[i, b] - mean) * (logs[i, b] - mean)
                square += exp(2.0 * (logs[i, b] - peak))
        out.log_norms[n, i, k] = mean
        out.log_std[n, i, k] = np.sqrt(spread / live)
        out.log_rms[n, i, k] = peak + 0.5 * log_normal(square / B)
