"""Norms and sums that hold over and beyond the floating-point range.

A quantity beyond the range is an array and an integer exponent: value = array * 2^exponent. Powers
of two beyond the range come as two factors, which must be multiplied in the order written.
"""

import math

import numpy as np

from rnnsim.kernels.arithmetic.jit import exact, kernel
from rnnsim.kernels.arithmetic.vectors import single

LN2 = math.log(2.0)
EMPTY = -(2**40)  # the exponent of a sum to which nothing has been added

# Sums of squares between these bounds lost nothing to overflow or underflow that would matter.
_LEAST_SQUARE, _GREATEST_SQUARE = 2.0**-900, 2.0**900
_LEAST_SQUARE_32, _GREATEST_SQUARE_32 = 2.0**-80, 2.0**80
_HEADROOM = 200  # how far, in powers of two, a running sum may outgrow its exponent


@kernel
def holds(square, itemsize):
    """Whether a sum of squares, summed up in a dtype of that size, is what it seems to be."""
    if itemsize == 4:
        return _LEAST_SQUARE_32 < square < _GREATEST_SQUARE_32
    return _LEAST_SQUARE < square < _GREATEST_SQUARE


@kernel
def square_of(row):
    """The sum of squares of a 1-D array, in its dtype: a row is short."""
    total = row.dtype.type(0)
    for i in range(row.size):
        total += row[i] * row[i]
    return np.float64(total)


@kernel
def wide_square_of(row):
    """The same in float64, where squares of float32 neither overflow nor underflow."""
    total = 0.0
    for i in range(row.size):
        total += np.float64(row[i]) * np.float64(row[i])
    return total


@kernel
def frobenius(array):
    """||array||_F of a 2-D array in float64; right for entries anywhere in the range."""
    total = 0.0
    for i in range(array.shape[0]):
        total += square_of(array[i])
    if holds(total, array.itemsize):
        return math.sqrt(total)
    if not single(array):
        return _scaled_frobenius(array)
    total = 0.0
    for i in range(array.shape[0]):
        total += wide_square_of(array[i])
    return math.sqrt(total)


@exact
def _scaled_frobenius(array):
    """The same by way of the largest entry; slower."""
    peak = 0.0
    for i in range(array.shape[0]):
        for j in range(array.shape[1]):
            size = abs(np.float64(array[i, j]))
            if size > peak or size != size:
                peak = size
    if not 0.0 < peak < np.inf:
        return peak
    exponent = exponent_of(peak)
    total = 0.0
    for i in range(array.shape[0]):
        for j in range(array.shape[1]):
            value = times_power_of_two(np.float64(array[i, j]), -exponent)
            total += value * value
    return times_power_of_two(math.sqrt(total), exponent)


@kernel
def slab_norm(array, s, start, width):
    """||array[s, :, start:start+width]||_F of a C-contiguous 3-D array, likewise."""
    total = 0.0
    for b in range(array.shape[1]):
        total += square_of(array[s, b, start : start + width])
    if holds(total, array.itemsize):
        return math.sqrt(total)
    norm = total = 0.0
    if single(array):
        for b in range(array.shape[1]):
            total += wide_square_of(array[s, b, start : start + width])
        return math.sqrt(total)
    for b in range(array.shape[1]):
        for i in range(width):
            norm = hypot(norm, abs(np.float64(array[s, b, start + i])))
    return norm


@kernel
def hypot(a, b):
    """sqrt(a^2 + b^2) without leaving the range on the way."""
    high, low = max(a, b), min(a, b)
    if a != a or b != b or not 0.0 < high < np.inf:
        return a + b
    return high * math.sqrt(1.0 + (low / high) * (low / high))


@kernel
def inverse_size(size, itemsize):
    """The power of two by which `size` becomes 1..2, within the dtype; 1 where that has no sense.

    Scaling by powers of two is exact, so results do not depend on what `size` was taken from.
    """
    if not 0.0 < size < np.inf:
        return 1.0
    limit = 100 if itemsize == 4 else 960
    exponent = (np.float64(size).view(np.int64) >> 52) - 1023
    exponent = min(max(exponent, -limit), limit)
    return np.int64((1023 - exponent) << 52).view(np.float64)


@kernel
def exponent_of(positive):
    """The e for which 2^(e-1) <= positive < 2^e."""
    return np.int64(math.frexp(positive)[1])


@exact
def rescale(array, exponent):
    """array *= 2^exponent for a 2-D array."""
    first, second = two_factors(exponent)
    for i in range(array.shape[0]):
        for j in range(array.shape[1]):
            array[i, j] = array[i, j] * first * second


@kernel
def power_of_two(exponent):
    """2^exponent; 0 far below the range, and infinity far above it."""
    return math.ldexp(1.0, int(max(exponent, -2000))) if exponent < 1024 else np.inf


@kernel
def two_factors(exponent):
    """Two powers of two whose product is 2^exponent, each within the range where one may not be."""
    half = exponent // 2
    return power_of_two(half), power_of_two(exponent - half)


@exact
def times_power_of_two(value, exponent):
    """value * 2^exponent."""
    first, second = two_factors(exponent)
    return value * first * second


@kernel
def safe_exponent(norm, itemsize):
    """0 while arrays of this norm can be squared in their dtype, else the exponent to remove."""
    limit = 20 if itemsize == 4 else 200
    exponent = exponent_of(norm)
    return exponent if abs(exponent) > limit else np.int64(0)


@kernel
def held_exponent(norm, itemsize):
    """The exponent to remove from rows of this norm, so that they are well above 1: 2^20 to 2^220.

    (float32: 2^2 to 2^22.) They can be squared then, and times a slope of 2^-1021 (2^-125), the
    least there is, they keep their digits. Rows of about one norm have the same exponent.
    """
    first, width = (3, 20) if itemsize == 4 else (21, 200)
    return width * ((exponent_of(norm) - first) // width)


@exact
def add_scaled(total, lost, total_exponent, part, part_exponent):
    """total * 2^total_exponent += part * 2^part_exponent; returns the new exponent of the total.

    All are (P, Q); total and lost are float64. `lost` keeps what rounding took from the total
    (Kahan 1965), so that many terms of one sign add up to full precision. Start from zeros, EMPTY.
    """
    norm = frobenius(part)
    if norm == 0.0:
        return total_exponent
    if norm < np.inf:
        exponent = part_exponent + exponent_of(norm)
        if exponent > total_exponent + _HEADROOM:
            rescale(total, total_exponent - exponent)
            rescale(lost, total_exponent - exponent)
            total_exponent = exponent
    first, second = two_factors(part_exponent - total_exponent)
    for i in range(total.shape[0]):
        for j in range(total.shape[1]):
            term = np.float64(part[i, j]) * first * second - lost[i, j]
            added = total[i, j] + term
            lost[i, j] = (added - total[i, j]) - term
            total[i, j] = added
    return total_exponent


@kernel
def log_norm_scaled(array, exponent):
    """ln ||array * 2^exponent||_F; -inf for an exact zero, inf or NaN where that is the norm."""
    norm = frobenius(array)
    if norm == 0.0:
        return -np.inf
    if not norm < np.inf:
        return norm
    return math.log(norm) + exponent * LN2


@exact
def compare_scaled(part, part_exponent, full, full_exponent):
    """ln ||part||, the cosine between part and full, and ln(||part - full|| / ||full||).

    Both are (P, Q) with an exponent. Where `full` is exactly 0 cosine and error are NaN; where only
    `part` is, the cosine is NaN and the error 1.
    """
    norm_part, norm_full = frobenius(part), frobenius(full)
    log_norm = log_norm_scaled(part, part_exponent)
    if norm_full == 0.0 or norm_part != norm_part or norm_full != norm_full:
        return log_norm, np.nan, np.nan
    if norm_part == 0.0:
        return log_norm, np.nan, 0.0
    # Both are brought to norm 1/2..1 before anything is squared.
    scale_part, scale_full = -exponent_of(norm_part), -exponent_of(norm_full)
    shift = part_exponent - full_exponent + scale_full - scale_part
    apart = power_of_two(shift)
    part_1, part_2 = two_factors(scale_part)
    full_1, full_2 = two_factors(scale_full)
    product = difference = square_part = square_full = 0.0
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            p = part[i, j] * part_1 * part_2
            f = full[i, j] * full_1 * full_2
            product += p * f
            square_part += p * p
            square_full += f * f
            difference += (p * apart - f) * (p * apart - f)
    cosine = product / math.sqrt(square_part * square_full)
    cosine = min(max(cosine, -1.0), 1.0)
    if difference == 0.0:
        return log_norm, cosine, -np.inf
    if difference < np.inf:
        return log_norm, cosine, 0.5 * math.log(difference / square_full)
    # The truncated gradient is larger than the full one by more than the range.
    return log_norm, cosine, log_norm - log_norm_scaled(full, full_exponent)


@kernel
def log_add(a, b):
    """ln(e^a + e^b)."""
    high, low = max(a, b), min(a, b)
    return high if low == -np.inf else high + math.log(1.0 + math.exp(low - high))


@kernel
def log_add_squares(a, b):
    """ln sqrt(e^(2a) + e^(2b))."""
    return 0.5 * log_add(2.0 * a, 2.0 * b)
