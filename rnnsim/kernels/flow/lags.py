"""Lags of the gradient flow: rows move back step by step, and every lag is summed up."""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill
from rnnsim.kernels.arithmetic.functions import exp, log_normal
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    LN2,
    exponent_of,
    frobenius,
    held_exponent,
    hypot,
    power_of_two,
    rescale,
    times_power_of_two,
)
from rnnsim.kernels.arithmetic.products import add_outer, multiply, rows_from
from rnnsim.kernels.cells.seam import along_memories, lasting, pull_back
from rnnsim.kernels.flow.windows import keep_weights
from rnnsim.kernels.gradients.steps import arrive


@kernel
def advance_rows(cell, steps, first, last, n, work, out):
    """Norms and outer products of lags first..last-1, in order; rows end at lag `last`.

    Rows become the deltas of their step, and these times W_hh the rows of the next lag.
    """
    lasts = lasting(cell)
    for k in range(first, last):
        begin = first_row(steps, k)
        clear_lag(k - first, work)
        if begin == steps.size:
            continue
        top = measure_lag(steps, begin, k, k - first, n, work, out)
        pull_rows(lasts, steps, begin, k, work)
        push_rows(steps, begin, k, k - first, top, work)


@kernel
def first_row(steps, k):
    """The first row that reaches lag k, and the number of rows if none does."""
    begin = 0
    while begin < steps.size and steps[begin] - k < 1:
        begin += 1
    return begin


@kernel
def clear_lag(lag, work):
    """Nothing is known yet of one lag of the chunk."""
    work.tops[lag] = EMPTY
    fill(work.outer[lag], 0)
    fill(work.terms[lag], 0.0)


@kernel
def measure_lag(steps, begin, k, lag, n, work, out):
    """Norms of the rows at lag k. Returns the largest exponent of a live row, or EMPTY."""
    top = _measure_rows(steps, begin, k, lag, n, work, out)
    if work.part_logs.shape[3] > 0 or work.scales.size > 0:
        _measure_parts(begin, k, lag, n, work)
    return top


@kernel
def push_rows(steps, begin, k, lag, top, work):
    """From deltas to the rows of the next lag, and to the outer products of this one."""
    (S, B, _), A = work.rows.shape, work.window.shape[0]
    work.tops[lag] = top
    deltas, rows = rows_from(work.deltas, begin), rows_from(work.rows, begin)
    multiply(deltas, (S - begin) * B, 0, A, work.backward, rows)
    if work.dc.shape[2] > work.path.shape[2]:  # more than gradients of memories
        for i in range(begin, S):
            arrive(work.rows[i], work.dc[i], work.path.shape[2], 0, work.units)
    if top > EMPTY:  # something is left
        _outer_products(steps, begin, k, lag, top, work)


@kernel
def _measure_rows(steps, begin, k, lag, n, work, out):
    """Norms of the rows at lag k, of h and memories. Returns the largest exponent of a live row."""
    rows, dc, H = work.rows, work.dc, work.units
    S, B, _ = rows.shape
    logs, exponents = work.logs[lag], work.exponents
    top = np.int64(EMPTY)
    single = rows.itemsize == 4
    low, high = (2.0**4, 2.0**44) if single else (2.0**40, 2.0**440)  # squares of rows as held
    least, greatest = (2.0**-40, 2.0**40) if single else (2.0**-400, 2.0**400)  # safe squares
    for i in range(begin, S):
        for b in range(B):
            square = 0.0
            for j in range(H):
                square += np.float64(rows[i, b, j]) * np.float64(rows[i, b, j])
            for j in range(dc.shape[2]):
                square += np.float64(dc[i, b, j]) * np.float64(dc[i, b, j])
            if low < square < high:
                logs[i, b] = _log_of_square(square, exponents[i, b])
                top = max(top, exponents[i, b])
                continue
            row, memories = rows[i, b].reshape(1, -1), dc[i, b].reshape(1, -1)
            norm = hypot(frobenius(row), frobenius(memories))
            if 0.0 < norm < np.inf:
                if least < square < greatest:
                    logs[i, b] = _log_of_square(square, exponents[i, b])
                else:
                    logs[i, b] = log_normal(norm) + exponents[i, b] * LN2
                shift = held_exponent(norm, row.itemsize)
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
def _log_of_square(square, exponent):
    """ln(sqrt(square) * 2^exponent); of both together, as they may nearly cancel."""
    if abs(exponent) > 240:
        return 0.5 * log_normal(square) + exponent * LN2
    return 0.5 * log_normal(square * np.int64((1023 + 2 * exponent) << 52).view(np.float64))


@kernel
def _measure_parts(begin, k, lag, n, work):
    """Norms of h, of the memories and of the path through these alone, at one lag of the chunk.

    Where components are scaled, those of the whole state are taken anew.
    """
    (S, B, _), H, memory = work.rows.shape, work.units, work.path.shape[2]
    scaled = work.scales.size > 0
    for i in range(begin, S):
        if k == 0:  # the path begins with what is there
            for b in range(B):
                work.path_exponents[i, b] = work.exponents[i, b]
                for j in range(memory):
                    work.path[i, b, j] = work.dc[i, b, j]
        for b in range(B):
            scales = work.scales[n] if scaled else work.logs[lag, i]  # any: they are not read then
            own = _size(work.rows[i, b], H, scales, 0, scaled)
            if memory > 0:
                of_memories = _size(work.dc[i, b], H, scales, H, scaled)
                logs, exponent = work.part_logs[lag, i, b], work.exponents[i, b]
                logs[0] = log_of(own, exponent)
                logs[1] = log_of(of_memories, exponent)
                along = _size(work.path[i, b], H, scales, H, scaled)
                logs[2] = log_of(along, work.path_exponents[i, b])
                if k > 0 and 0.0 < along < np.inf:  # what enters at lag 0 has the rows' exponents
                    shift = held_exponent(along, work.path.itemsize)
                    rescale(work.path[i, b].reshape(1, -1), -shift)
                    work.path_exponents[i, b] += shift
                own = hypot(own, of_memories)
            if scaled:
                work.logs[lag, i, b] = log_of(own, work.exponents[i, b])


@kernel
def _size(row, H, scales, first, scaled):
    """The norm of H components, scaled by scales[first..] where asked for."""
    if not scaled:
        return frobenius(row[:H].reshape(1, -1))
    square = size = 0.0
    for j in range(H):
        value = np.float64(row[j]) * scales[first + j]
        square += value * value
    if 2.0**-900 < square < 2.0**900:
        return np.sqrt(square)
    for j in range(H):
        size = hypot(size, abs(np.float64(row[j]) * scales[first + j]))
    return size


@kernel
def log_of(size, exponent):
    """ln(size * 2^exponent); -inf for an exact 0, NaN beyond the range."""
    if 0.0 < size < np.inf:
        own = exponent_of(size)  # sizes below the normal range are brought into it
        return log_normal(times_power_of_two(size, -own)) + (exponent + own) * LN2
    return -np.inf if size == 0.0 else np.nan


@kernel
def pull_rows(cell, steps, begin, k, work):
    """deltas and their squared norms at lag k, from the rows; `cell` is the lasting one."""
    deltas, forward, H = work.deltas, work.forward, work.units
    (S, B, _), table = deltas.shape, forward.blocks
    for i in range(begin, S):
        rows, memories, t = work.rows[i], work.dc[i], steps[i] - k
        entering = rows if k == 0 else rows[:0]
        along_memories(cell, entering, work.path[i], forward.kept, t, 0, H)
        pull_back(cell, rows, memories, forward.trace, forward.kept, t, deltas, i, 0, H)
        fill(work.squares[i], 0.0)
        for b in range(B):
            for block in range(table.shape[1]):
                square = 0.0
                for j in range(block * H, (block + 1) * H):
                    square += np.float64(deltas[i, b, j]) * np.float64(deltas[i, b, j])
                work.squares[i, b, max(table[0, block], table[1, block])] += square


@kernel
def _outer_products(steps, begin, k, lag, top, work):
    """outer[lag] = sum over rows of delta^T [h, 1, x] at lag k, in units of 2^top.

    terms[lag] are the sums over rows of ||delta||^2 times ||h||^2 and ||[h, 1, x]||^2. Deltas of
    other exponents than the top are scaled: nobody needs them behind this.
    """
    deltas, part = work.deltas, work.outer[lag]
    (S, B, _), A = deltas.shape, work.window.shape[0]
    P = work.units + 1 + work.forward.sizes[1]
    if not _sum_terms(steps, begin, k, lag, top, work):
        for i in range(begin, S):
            for b in range(B):
                if work.exponents[i, b] != top:
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
    keep_weights(work.forward.blocks, work.units, P, part)


@kernel
def _sum_terms(steps, begin, k, lag, top, work):
    """Fill terms[lag]; returns whether all rows have the exponent `top`."""
    S, B = work.exponents.shape
    same, terms = True, work.terms[lag]
    for i in range(begin, S):
        for b in range(B):
            exponent = work.exponents[i, b]
            same &= exponent == top
            factor = 1.0 if exponent == top else _factor(exponent, top)
            sizes = work.sizes[steps[i] - k - 1, b]
            for gate in range(terms.shape[1]):
                square = work.squares[i, b, gate] * factor * factor
                terms[0, gate] += square * sizes[0] * sizes[0]
                terms[1, gate] += square * sizes[1] * sizes[1]
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
        for i in range(work.outer.shape[1]):
            for j in range(work.outer.shape[2]):
                work.outer[lag, i, j] = work.outer[lag, i, j] * own + other.outer[lag, i, j] * its
        for m in range(2):
            apart = power_of_two(other.size_exponents[m] - work.size_exponents[m]) * its
            for gate in range(work.terms.shape[2]):
                work.terms[lag, m, gate] *= own * own
                work.terms[lag, m, gate] += other.terms[lag, m, gate] * apart * apart
        work.tops[lag] = top


@kernel
def summarise(steps, k, n, logs, part_logs, out):
    """Mean, spread and root mean square over sequences of the logs (S, B) of one lag."""
    S, B = logs.shape
    for i in range(S):
        if steps[i] - k < 1:
            continue
        for p in range(part_logs.shape[2]):
            out.parts[n, i, k, p] = _live_mean(part_logs[i, :, p])
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


@kernel
def _live_mean(logs):
    """The mean of a 1-D array over what is not -inf; -inf if all is."""
    live, total = 0, 0.0
    for b in range(logs.size):
        if logs[b] != -np.inf:
            live += 1
            total += logs[b]
    return total / live if live > 0 else -np.inf
