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
from rnnsim.kernels.flow.chosen import (
    add_deltas,
    close_sums,
    lag_by_lag,
    merge_sums,
    scaling,
)
from rnnsim.kernels.flow.windows import keep_weights, rows_of_gate
from rnnsim.kernels.gradients.steps import arrive

_CACHED = 2**17  # bytes of rows and deltas that stay in the cache from one lag to the next


@kernel
def advance_rows(cell, steps, first, last, n, work, out):
    """Norms, and what is added up, of lags first..last-1, in order; rows end at lag `last`.

    Rows become the deltas of their step, and these times W_hh the rows of the next lag. No row
    needs another one: some at a time go through all these lags, while they are in the cache.
    """
    lasts, some = lasting(cell), steps_at_once(work)
    clear_lags(last - first, work)
    for begin in range(0, steps.size, some):
        end = min(begin + some, steps.size)
        for k in range(first, last):
            start = first_row(steps, k, begin, end)
            if start < end:
                top = measure_lag(steps, start, end, k, k - first, n, work, out)
                pull_rows(lasts, steps, start, end, k, work)
                push_rows(steps, start, end, k, k - first, top, work)
    close_sums(steps, last, work)


@kernel
def steps_at_once(work):
    """Of how many loss steps the rows go through several lags before those of the next do."""
    rows, deltas = work.rows, work.deltas
    numbers = rows.shape[1] * (rows.shape[2] + deltas.shape[2])
    return max(1, _CACHED // (rows.itemsize * numbers))


@kernel
def first_row(steps, k, begin, end):
    """The first row of begin..end-1 that reaches lag k, and `end` if none does."""
    while begin < end and steps[begin] - k < 1:
        begin += 1
    return begin


@kernel
def clear_lags(count, work):
    """Nothing is known yet of the first lags of the chunk."""
    for lag in range(count):
        work.tops[lag] = EMPTY
        fill(work.terms[lag], 0.0)
        fill(work.shares[lag], 0.0)
        if lag_by_lag(work):
            fill(work.outer[lag], 0)


@kernel
def measure_lag(steps, begin, end, k, lag, n, work, out):
    """Norms of rows at lag k. Returns the largest exponent of a live row, or EMPTY."""
    top = _measure_rows(steps, begin, end, lag, n, work, out)
    if work.part_logs.shape[3] > 0 or work.scales.size > 0:
        _measure_parts(begin, end, k, lag, n, work)
    return top


@kernel
def push_rows(steps, begin, end, k, lag, top, work):
    """From deltas to the rows of the next lag, and to the sums of this one."""
    B, A = work.rows.shape[1], work.window.shape[0]
    deltas, rows = rows_from(work.deltas, begin), rows_from(work.rows, begin)
    multiply(deltas, (end - begin) * B, 0, A, work.backward, rows)
    if work.dc.shape[2] > work.path.shape[2]:  # more than gradients of memories
        for i in range(begin, end):
            arrive(work.rows[i], work.dc[i], work.path.shape[2], 0, work.units)
    if top == EMPTY:  # nothing is left
        return
    raise_top(lag, top, work)
    if work.squares.shape[2] > 0:
        _sum_terms(steps, begin, end, k, lag, work)
    if lag_by_lag(work):
        _outer_products(steps, begin, end, k, lag, work)
    else:
        add_deltas(steps, begin, end, k, lag, work)


@kernel
def raise_top(lag, top, work):
    """Let the sums of a lag be in units of 2^top, if this is more than they are in."""
    before = work.tops[lag]
    if top <= before:
        return
    work.tops[lag] = top
    if before > EMPTY:
        factor = power_of_two(before - top)
        for m in range(2):
            for gate in range(work.shares.shape[2]):
                work.shares[lag, m, gate] *= factor
                work.terms[lag, m, gate] *= factor * factor
        if lag_by_lag(work):
            rescale(work.outer[lag], before - top)


@kernel
def _measure_rows(steps, begin, end, lag, n, work, out):
    """Norms of rows at a lag, of h and memories. Returns the largest exponent of a live row."""
    top, exponents = np.int64(EMPTY), work.exponents
    for i in range(begin, end):
        logs = work.logs[lag, i]
        if _squares_as_held(work.rows[i], work.dc[i], work.units, logs):
            for b in range(logs.size):
                logs[b] = _log_of_square(logs[b], exponents[i, b])
                top = max(top, exponents[i, b])
        else:
            top = max(top, _hold_rows(steps[i], i, n, logs, work, out))
    return top


@kernel
def _squares_as_held(rows, dc, H, squares):
    """Squares of the norms of rows and dc together, (B,); whether all are as rows are held."""
    held = True
    for b in range(squares.size):
        square = 0.0
        for j in range(H):
            square += np.float64(rows[b, j]) * np.float64(rows[b, j])
        for j in range(dc.shape[1]):
            square += np.float64(dc[b, j]) * np.float64(dc[b, j])
        squares[b] = square
        held &= _is_held(square, rows.itemsize)
    return held


@kernel
def _is_held(square, itemsize):
    """Whether a row of this squared norm stays as it is."""
    low, high = (2.0**4, 2.0**44) if itemsize == 4 else (2.0**40, 2.0**440)
    return low < square < high


@kernel
def _hold_rows(step, i, n, logs, work, out):
    """Bring rows [i] into the range in which they are held; logs (B,) come as squares of norms."""
    top, exponents = np.int64(EMPTY), work.exponents[i]
    single = work.rows.itemsize == 4
    least, greatest = (2.0**-40, 2.0**40) if single else (2.0**-400, 2.0**400)  # safe squares
    for b in range(logs.size):
        square = logs[b]
        if _is_held(square, work.rows.itemsize):
            logs[b] = _log_of_square(square, exponents[b])
            top = max(top, exponents[b])
            continue
        row, memories = work.rows[i, b].reshape(1, -1), work.dc[i, b].reshape(1, -1)
        norm = hypot(frobenius(row), frobenius(memories))
        if 0.0 < norm < np.inf:
            if least < square < greatest:
                logs[b] = _log_of_square(square, exponents[b])
            else:
                logs[b] = log_normal(norm) + exponents[b] * LN2
            shift = held_exponent(norm, row.itemsize)
            rescale(row, -shift)
            rescale(memories, -shift)
            exponents[b] += shift
            top = max(top, exponents[b])
        else:
            logs[b] = -np.inf if norm == 0.0 else np.nan
            if norm != 0.0:
                top = max(top, exponents[b])
                if out.first_nonfinite[n] < 0:
                    out.first_nonfinite[n] = step
    return top


@kernel
def _log_of_square(square, exponent):
    """ln(sqrt(square) * 2^exponent); of both together, as they may nearly cancel."""
    if abs(exponent) > 240:
        return 0.5 * log_normal(square) + exponent * LN2
    return 0.5 * log_normal(square * np.int64((1023 + 2 * exponent) << 52).view(np.float64))


@kernel
def _measure_parts(begin, end, k, lag, n, work):
    """Norms of h, of the memories and of the path through these alone, of rows at one lag.

    Where components are scaled, those of the whole state are taken anew.
    """
    B, H, memory = work.rows.shape[1], work.units, work.path.shape[2]
    scaled = work.scales.size > 0
    for i in range(begin, end):
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
def pull_rows(cell, steps, begin, end, k, work):
    """deltas at lag k, and where asked for their squared norms; `cell` is the lasting one."""
    deltas, forward, H = work.deltas, work.forward, work.units
    B, gates, table = deltas.shape[1], work.squares.shape[2], forward.blocks
    for i in range(begin, end):
        rows, memories, t = work.rows[i], work.dc[i], steps[i] - k
        entering = rows if k == 0 else rows[:0]
        along_memories(cell, entering, work.path[i], forward.kept, t, 0, H)
        pull_back(cell, rows, memories, forward.trace, forward.kept, t, deltas, i, 0, H)
        for b in range(B):
            for gate in range(gates):
                first, last = rows_of_gate(table, gate, H)
                own, square = deltas[i, b][first:last], 0.0
                for j in range(own.size):
                    square += np.float64(own[j]) * np.float64(own[j])
                work.squares[i, b, gate] = square


@kernel
def _outer_products(steps, begin, end, k, lag, work):
    """outer[lag] += the sum over rows of delta^T [h, 1, x] at lag k, in units of 2^tops[lag].

    Deltas of other exponents are scaled: nobody needs them behind this.
    """
    deltas, part, top = work.deltas, work.outer[lag], work.tops[lag]
    B, A = deltas.shape[1], work.window.shape[0]
    P = work.units + 1 + work.forward.sizes[1]
    for i in range(begin, end):
        for b in range(B):
            if work.exponents[i, b] != top:
                factor = scaling(work.exponents[i, b], top)
                for j in range(A):
                    deltas[i, b, j] = deltas[i, b, j] * factor
    i = begin
    while i < end:
        run = 1  # consecutive steps are one product
        while i + run < end and steps[i + run] == steps[i] + run:
            run += 1
        left, right = rows_from(deltas, i), rows_from(work.forward.trace, steps[i] - k - 1)
        add_outer(left, right, run * B, A, P, part)
        i += run
    keep_weights(work.forward.blocks, work.units, P, part)


@kernel
def _sum_terms(steps, begin, end, k, lag, work):
    """terms[lag] += sums over rows of ||delta||^2 ||h||^2 and ||delta||^2 ||[h, 1, x]||^2."""
    top, terms = work.tops[lag], work.terms[lag]
    for i in range(begin, end):
        for b in range(work.exponents.shape[1]):
            exponent, sizes = work.exponents[i, b], work.sizes[steps[i] - k - 1, b]
            factor = 1.0 if exponent == top else scaling(exponent, top)
            for gate in range(terms.shape[1]):
                square = work.squares[i, b, gate] * factor * factor
                terms[0, gate] += square * sizes[0] * sizes[0]
                terms[1, gate] += square * sizes[1] * sizes[1]


@kernel
def merge_lags(count, work, other):
    """Add what another workspace has of the lags of a chunk, for other sequences."""
    for lag in range(count):
        raise_top(lag, other.tops[lag], work)
        top = work.tops[lag]
        if other.tops[lag] == EMPTY:
            continue
        its = scaling(other.tops[lag], top)
        if lag_by_lag(work):
            for i in range(work.outer.shape[1]):
                for j in range(work.outer.shape[2]):
                    work.outer[lag, i, j] += other.outer[lag, i, j] * its
        for m in range(2):
            apart = power_of_two(other.size_exponents[m] - work.size_exponents[m]) * its
            for gate in range(work.terms.shape[2]):
                work.terms[lag, m, gate] += other.terms[lag, m, gate] * apart * apart
                work.shares[lag, m, gate] += other.shares[lag, m, gate] * its
    merge_sums(work, other)


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
