"""Chosen windows of the gradient flow, and what lags add to the gradient, without their products.

Of lag k all that windows need are its deltas, added up by the step at which they stand: the sum of
outer products over many lags is one outer product of such sums. How much of the full gradient g
comes from a lag needs none: <sum_r e_r z_r^T, g> = sum_r e_r . (g z_r), and g z_r is the same at
every lag. Sums of a step carry powers of two of their own, as rows do; beside what is larger by
2^100 and more at the same step, in another loss or lag, float32 may lose a delta.
"""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, total_of
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    add_scaled,
    exponent_of,
    power_of_two,
    rescale,
    times_power_of_two,
    two_factors,
)
from rnnsim.kernels.arithmetic.products import Rows, add_outer, multiply, rows_from
from rnnsim.kernels.arithmetic.vectors import lanes, load, multiply_add, store
from rnnsim.kernels.flow.windows import keep_weights, rows_of_gate


@kernel
def lag_by_lag(work):
    """Whether each lag has outer products of its own, as all windows need them."""
    return work.along.size == 0


@kernel
def scaling(exponent, top):
    """2^(exponent - top); rows above the top are exactly 0, whatever their exponent."""
    return power_of_two(exponent - top) if exponent <= top else 0.0


@kernel
def place_of(windows, last):
    """Where `last` stands among ascending windows, -1 where it does not."""
    begin, end = 0, windows.size
    while begin < end:
        middle = (begin + end) // 2
        if windows[middle] < last:
            begin = middle + 1
        else:
            end = middle
    return begin if begin < windows.size and windows[begin] == last else -1


@kernel
def end_of_chunk(first, K, work):
    """Where a chunk of lags from `first` on ends: at a chosen window, if one comes before."""
    end, windows = min(first + work.tops.size, K), work.windows
    place = 0
    while place < windows.size and windows[place] <= first:
        place += 1
    return min(end, windows[place]) if place < windows.size else end


@kernel
def start_sums(work, whole):
    """Clear the sums by step, and take the trace through the full gradient, which `whole` has.

    along[0] and along[1]: W_hh's part of g times h_{t-1}, and W_xh's times x_t, in units of
    2^(sum_exponents[1] + e) with e the exponent of the part's norm.
    """
    if lag_by_lag(work):
        return
    fill(work.window, 0.0)
    fill(work.window_lost, 0.0)
    work.sum_exponents[0] = EMPTY
    fill(work.sums, 0)
    fill(work.sum_units, EMPTY)
    H, (A, P), L = work.units, work.window.shape, lanes(work.panels)
    for j in range(P):
        norm = whole.full_norms[0 if j < H else 1]
        first, second = two_factors(-exponent_of(norm) if 0.0 < norm < np.inf else 0)
        for i in range(A):
            work.panels[i // L, j, i % L] = whole.full[i, j] * first * second
    left, count = rows_from(work.forward.trace, 0), work.along.shape[1] * work.along.shape[2]
    multiply(left, count, 0, H, work.panels, rows_from(work.along[0], 0))
    multiply(left, count, H + 1, P, work.panels, rows_from(work.along[1], 0))


@kernel
def add_deltas(steps, begin, end, k, lag, work):
    """Add rows of deltas to the shares of their lag, and to the sums of the steps they stand at."""
    top, windows, B = work.tops[lag], work.windows, work.deltas.shape[1]
    fill(work.products, 0)
    for i in range(begin, end):
        s = steps[i] - k - 1
        for b in range(B):
            exponent = work.exponents[i, b]
            if exponent == top:
                _multiply_along(i * B + b, s * B + b, work)
            elif exponent < top:
                _share_far_below(i, s, b, power_of_two(exponent - top), lag, work)
            if windows.size > 0 and k < windows[-1]:
                if work.sum_units[s, b] != exponent:
                    exponent = _meet(work.deltas[i, b], exponent, s, b, work)
                if exponent > EMPTY:
                    _add_row(work.deltas, i * B + b, work.sums, s * B + b)
    for gate in range(work.shares.shape[2]):
        first, last = rows_of_gate(work.forward.blocks, gate, work.units)
        for m in range(2):
            work.shares[lag, m, gate] += np.float64(total_of(work.products[m][first:last]))


@kernel
def _multiply_along(row, place, work):
    """products[m] += a row of deltas times that of along[m], entry by entry."""
    width = work.deltas.shape[2]
    at, one = row * width, place * width
    other = one + work.along.size // 2
    for j in range(0, width, lanes(work.deltas)):
        delta = load(work.deltas, at + j)
        sums, own = load(work.products, j), load(work.along, one + j)
        store(work.products, j, multiply_add(delta, own, sums))
        sums, own = load(work.products, width + j), load(work.along, other + j)
        store(work.products, width + j, multiply_add(delta, own, sums))


@kernel
def _add_row(rows, row, sums, place):
    """A row of `sums` += one of `rows`."""
    width = rows.shape[2]
    for j in range(0, width, lanes(rows)):
        at = place * width + j
        store(sums, at, load(sums, at) + load(rows, row * width + j))


@kernel
def _share_far_below(i, s, b, factor, lag, work):
    """The part in the shares of a lag of a row whose exponent is below that of others."""
    for gate in range(work.shares.shape[2]):
        first, last = rows_of_gate(work.forward.blocks, gate, work.units)
        delta = work.deltas[i, b][first:last]
        for m in range(2):
            along, product = work.along[m, s, b][first:last], 0.0
            for j in range(delta.size):
                product += np.float64(delta[j]) * np.float64(along[j])
            work.shares[lag, m, gate] += product * factor


@kernel
def _meet(delta, exponent, s, b, work):
    """Bring a delta and the sum it goes to into one unit, the larger; EMPTY for a delta of 0."""
    zero = True
    for j in range(delta.size):
        zero &= delta[j] == 0
    if zero:
        return np.int64(EMPTY)
    unit = work.sum_units[s, b]
    if unit > exponent:
        factor = power_of_two(exponent - unit)
        for j in range(delta.size):
            delta[j] = delta[j] * factor
        return unit
    if unit > EMPTY:
        rescale(work.sums[s, b].reshape(1, -1), unit - exponent)
    work.sum_units[s, b] = exponent
    return exponent


@kernel
def close_sums(steps, last, work):
    """Where `last` is a chosen window, the outer products of all sums by step go to the windows."""
    place = place_of(work.windows, last)
    if place < 0:
        return
    B = work.rows.shape[1]
    before = work.windows[place - 1] if place > 0 else 0
    begin, end = max(steps[0] - last, 0) * B, (steps[-1] - before) * B
    blocks, H, P = work.forward.blocks, work.units, work.window.shape[1]
    units, part = work.sum_units.reshape(work.sum_units.size), work.outer[0]
    while True:
        top = np.int64(EMPTY)
        for r in range(begin, end):
            top = max(top, units[r])
        if top == EMPTY:
            return
        fill(part, 0)
        _products_near(begin, end, top, units, part, work)
        keep_weights(blocks, H, P, part)
        work.sum_exponents[0] = add_scaled(
            work.window, work.window_lost, work.sum_exponents[0], part, top
        )


@kernel
def _products_near(begin, end, top, units, part, work):
    """part += outer products of the sums whose unit is near 2^top, in this unit; these are cleared.

    Those far below have a product of their own: float32 would not hold them in this unit.
    """
    near = top - (60 if part.itemsize == 4 else 400)
    (A, P), width, states = work.window.shape, work.sums.shape[2], work.forward.trace
    sums, trace = work.sums.reshape(work.sums.size), states.reshape(states.size)
    r = begin
    while r < end:
        run = 0
        while r + run < end and units[r + run] > near:
            factor, at = power_of_two(units[r + run] - top), (r + run) * width
            if factor != 1.0:
                for j in range(at, at + width):
                    sums[j] = sums[j] * factor
            run += 1
        if run > 0:
            left = Rows(sums, r * width, width)
            right = Rows(trace, r * states.shape[2], states.shape[2])
            add_outer(left, right, run, A, P, part)
            fill(sums[r * width : (r + run) * width], 0)
            fill(units[r : r + run], EMPTY)
        r += run + 1


@kernel
def merge_sums(work, other):
    """Add the windows that another workspace has for other sequences, which it forgets."""
    if lag_by_lag(work) or other.sum_exponents[0] == EMPTY:
        return
    work.sum_exponents[0] = add_scaled(
        work.window, work.window_lost, work.sum_exponents[0], other.window, other.sum_exponents[0]
    )
    fill(other.window, 0.0)
    fill(other.window_lost, 0.0)
    other.sum_exponents[0] = EMPTY


@kernel
def share_sums(lag, n, k, work, out):
    """What lag k adds to dL/dW_hh and dL/dW_xh along the full gradient g: <G_k, g> / ||g||^2."""
    top, e_full = work.tops[lag], work.sum_exponents[1]
    for m in range(2):
        norm = work.full_norms[m]
        known = 0.0 < norm < np.inf
        unit = exponent_of(norm) if known else np.int64(0)
        scaled = times_power_of_two(norm, -unit)
        for gate in range(out.shares.shape[3]):
            share = work.shares[lag, m, gate] / (scaled * scaled) if known else np.nan
            out.shares[n, k, m, gate] = times_power_of_two(share, max(top - e_full - unit, -4000))
