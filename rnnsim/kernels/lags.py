"""One lag of the gradient flow: norms of all rows, and the sum of their outer products."""

import math

import numpy as np

from rnnsim.kernels.arrays import copy
from rnnsim.kernels.jit import kernel
from rnnsim.kernels.norms import EMPTY, LN2, frobenius, power_of_two, rescale, safe_exponent


@kernel
def measure_rows(rows, steps, begin, n, k, work, out):
    """Norms of the rows at lag k; then rows *= phi'. Returns the largest exponent of a live row."""
    S, B, H = rows.shape
    top = np.int64(EMPTY)
    for i in range(S):
        for b in range(B):
            row, exponents = rows[i, b].reshape(1, H), work.exponents[begin + i]
            norm = frobenius(row)
            if 0.0 < norm < np.inf:
                shift = safe_exponent(norm, row.itemsize)
                if shift != 0:
                    rescale(row, -shift)
                    exponents[b] += shift
                work.logs[b] = math.log(norm) + (exponents[b] - shift) * LN2
            else:
                work.logs[b] = -np.inf if norm == 0.0 else np.nan
                if norm != 0.0 and out.first_nonfinite[n] < 0:
                    out.first_nonfinite[n] = steps[i]
            if norm != 0.0:
                top = max(top, exponents[b])
            slope = work.slopes[steps[i] - k - 1, b]
            for j in range(H):
                row[0, j] *= slope[j]
        if out.per_sequence.size > 0:
            copy(work.logs, out.per_sequence[n, begin + i, k])
        _summarise(work.logs, n, begin + i, k, out)
    return top


@kernel
def _summarise(logs, n, i, k, out):
    """Mean, spread and root mean square over sequences of the logs at one step and lag."""
    B, live, mean, peak = logs.size, 0, 0.0, -np.inf
    for b in range(B):
        if logs[b] != -np.inf:
            live += 1
            mean += logs[b]
            peak = max(peak, logs[b])
    out.live[n, i, k] = live / B
    if live == 0 or mean != mean:
        out.log_norms[n, i, k] = out.log_rms[n, i, k] = -np.inf if live == 0 else np.nan
        return
    mean /= live
    spread = square = 0.0
    for b in range(B):
        if logs[b] != -np.inf:
            spread += (logs[b] - mean) * (logs[b] - mean)
            square += math.exp(2.0 * (logs[b] - peak))
    out.log_norms[n, i, k] = mean
    out.log_std[n, i, k] = math.sqrt(spread / live)
    out.log_rms[n, i, k] = peak + 0.5 * math.log(square / B)


@kernel
def outer_products(rows, spare, steps, begin, k, top, work):
    """part (H, P) = sum over rows of delta^T presynaptic at lag k, in units of 2^top.

    work.terms (2,) become the sums over rows of ||delta||^2 times ||h||^2 and ||presynaptic||^2.
    """
    S, B, H = rows.shape
    P, R = work.presynaptic.shape[2], S * B
    same = _sum_terms(rows, steps, begin, k, top, work)
    deltas = rows.reshape(R, H)
    if not same:
        deltas = spare.reshape(R, H)
        for i in range(S):
            for b in range(B):
                factor = _factor(work.exponents[begin + i, b], top)
                for j in range(H):
                    spare[i, b, j] = rows[i, b, j] * factor
    if steps[S - 1] - steps[0] == S - 1:
        presynaptic = work.presynaptic[steps[0] - k - 1 : steps[S - 1] - k].reshape(R, P)
    else:
        for i in range(S):
            copy(work.presynaptic[steps[i] - k - 1], work.gathered[i * B : (i + 1) * B])
        presynaptic = work.gathered[:R]
    np.dot(deltas.T, presynaptic, work.part)


@kernel
def _sum_terms(rows, steps, begin, k, top, work):
    """Fill work.terms; returns whether all rows have the exponent `top`."""
    S, B, H = rows.shape
    same = True
    work.terms[0] = work.terms[1] = 0.0
    for i in range(S):
        for b in range(B):
            exponent = work.exponents[begin + i, b]
            same &= exponent == top
            square = frobenius(rows[i, b].reshape(1, H)) * _factor(exponent, top)
            square *= square
            sizes = work.sizes[steps[i] - k - 1, b]
            work.terms[0] += square * sizes[0] * sizes[0]
            work.terms[1] += square * sizes[1] * sizes[1]
    return same


@kernel
def _factor(exponent, top):
    """2^(exponent - top); rows above the top are exactly 0, whatever their exponent."""
    return power_of_two(exponent - top) if exponent <= top else 0.0
