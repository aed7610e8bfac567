"""Lags of the gradient flow: rows move back step by step, and every lag is summed up."""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill
from rnnsim.kernels.arithmetic.functions import exp, log_normal
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    LN2,
    frobenius,
    power_of_two,
    rescale,
    safe_exponent,
)
from rnnsim.kernels.arithmetic.products import Rows, add_outer, multiply


@kernel
def advance_rows(steps, first, last, n, work, out):
    """Norms and outer products of lags first..last-1; rows end at lag `last`.

    To be called in order. Rows move from one of two buffers to the other; the one that is free
    first serves as scratch.
    """
    S, B, width = work.rows.shape
    H, begin = work.window.shape[0], 0
    for k in range(first, last):
        while begin < S and steps[begin] - k < 1:
            begin += 1
        work.tops[k - first] = EMPTY
        fill(work.parts[k - first], 0)
        work.terms[k - first, 0] = work.terms[k - first, 1] = 0.0
        if begin == S:
            continue
        rows = work.rows if k % 2 == 0 else work.spare
        spare = work.spare if k % 2 == 0 else work.rows
        work.tops[k - first] = top = _measure_rows(rows, steps, begin, k, first, n, work, out)
        if top > EMPTY:  # something is left
            _outer_products(rows, spare, steps, begin, k, k - first, top, work)
        flat_rows, flat_spare = rows.reshape(rows.size), spare.reshape(spare.size)
        at, count = begin * B * width, (S - begin) * B
        source, target = Rows(flat_rows, at, width), Rows(flat_spare, at, width)
        multiply(source, count, 0, H, work.backward, target)


@kernel
def _measure_rows(rows, steps, begin, k, first, n, work, out):
    """Norms of the rows at lag k; then rows *= phi'. Returns the largest exponent of a live row."""
    S, B, _ = rows.shape
    H, logs, exponents = work.window.shape[0], work.logs[k - first], work.exponents
    top = np.int64(EMPTY)
    low, high = (2.0**-40, 2.0**40) if rows.itemsize == 4 else (2.0**-400, 2.0**400)
    for i in range(begin, S):
        for b in range(B):
            square = 0.0
            for j in range(H):
                square += np.float64(rows[i, b, j]) * np.float64(rows[i, b, j])
            if low < square < high:
                logs[i, b] = 0.5 * log_normal(square) + exponents[i, b] * LN2
                top = max(top, exponents[i, b])
                continue
            row = rows[i, b].reshape(1, rows.shape[2])
            norm = frobenius(row)
            if 0.0 < norm < np.inf:
                logs[i, b] = log_normal(norm) + exponents[i, b] * LN2
                shift = safe_exponent(norm, row.itemsize)
                rescale(row, -shift)
                exponents[i, b] += shift
                top = max(top, exponents[i, b])
            else:
                logs[i, b] = -np.inf if norm == 0.0 else np.nan
                if norm != 0.0:
                    top = max(top, exponents[i, b])
                    if out.first_nonfinite[n] < 0:
                        out.first_nonfinite[n] = steps[i]
    for i in range(begin, S):
        t = steps[i] - k - 1
        for b in range(B):
            square = 0.0
            for j in range(H):
                rows[i, b, j] *= work.slopes[t, b, j]
                square += np.float64(rows[i, b, j]) * np.float64(rows[i, b, j])
            work.squares[i, b] = square
    return top


@kernel
def _outer_products(rows, spare, steps, begin, k, lag, top, work):
    """parts[lag] = sum over rows of delta^T [h, 1, x] at lag k, in units of 2^top.

    terms[lag] are the sums over rows of ||delta||^2 times ||h||^2 and ||[h, 1, x]||^2.
    """
    S, B, width = rows.shape
    H, P, stride = work.window.shape[0], work.window.shape[1], work.forward.trace.shape[2]
    trace = work.forward.trace.reshape(work.forward.trace.size)
    deltas, part = rows, work.parts[lag]
    if not _sum_terms(steps, begin, k, lag, top, work):
        deltas = spare
        for i in range(begin, S):
            for b in range(B):
                factor = _factor(work.exponents[i, b], top)
                for j in range(H):
                    spare[i, b, j] = rows[i, b, j] * factor
    flat = deltas.reshape(deltas.size)
    i = begin
    while i < S:
        run = 1  # consecutive steps are one product
        while i + run < S and steps[i + run] == steps[i] + run:
            run += 1
        left = Rows(flat, i * B * width, width)
        right = Rows(trace, (steps[i] - k - 1) * B * stride, stride)
        add_outer(left, right, run * B, H, P, part)
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
