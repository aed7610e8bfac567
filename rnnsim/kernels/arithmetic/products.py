"""Matrix products for small matrices, in tiles of four rows by one vector held in registers.

At the sizes of recurrent networks these are 1.2 to 3 times as fast as calls into BLAS, and 6 times
and more at 16 units (docs/benchmarks/general); BLAS spends its time on packing and dispatch. The
right-hand matrix is packed once for many products: panel p holds its columns p*L..p*L+L-1, row
after row, L lanes wide and padded with zeros. Rows of the other matrices have strides that are
multiples of L, so nothing has a tail.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.jit import allocator, inlined, kernel, view
from rnnsim.kernels.arithmetic.vectors import (
    lanes,
    load,
    multiply_add,
    plus,
    splat,
    store,
    times,
    zeros,
)

_TILE = 4  # rows: with 64-byte vectors eight sums in flight, what two FMA units of latency 4 need
_CHUNK = 128  # rows whose pieces of 64 bytes stay in the L1 cache from tile to tile


class Rows(NamedTuple):
    """Rows in the memory of a C-contiguous array: row i begins at entry start + i*stride."""

    values: np.ndarray
    start: int
    stride: int


@view
def rows_from(array, s):
    """The rows [s, 0], [s, 1], ... of a C-contiguous 3-D array, those of later s behind them."""
    _, B, width = array.shape
    return Rows(array.reshape(array.size), s * B * width, width)


@view
def rows_of(matrix, i):
    """The rows i, i+1, ... of a C-contiguous 2-D array."""
    width = matrix.shape[1]
    return Rows(matrix.reshape(matrix.size), i * width, width)


@allocator
def padded(size, like):
    """The least multiple of the lanes of `like` that holds `size` entries."""
    return -(-size // lanes(like)) * lanes(like)


@inlined
def columns_between(lowest, highest, member, members, like):
    """(first, last) of these columns of a matrix that a member of a team treats: whole lanes."""
    L = lanes(like)
    begin = lowest // L
    groups = -(-highest // L) - begin
    first, last = member * groups // members, (member + 1) * groups // members
    return (begin + first) * L, min((begin + last) * L, highest)


@allocator
def empty_panels(K, N, like):
    """Panels (n, K, L), all 0, for a matrix (K, N) in the dtype of `like`."""
    return np.zeros((padded(N, like) // lanes(like), K, lanes(like)), like.dtype)


@kernel
def pack(matrix, first, panels):
    """Rows first, first+1, ... of the packed matrix become those of `matrix` (K, N)."""
    L = panels.shape[2]
    for k in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            panels[j // L, first + k, j % L] = matrix[k, j]


@kernel
def pack_transposed(matrix, first, column, panels):
    """Rows first, first+1, ... of the packed matrix become the columns of `matrix` (N, K).

    They begin at a column of the packed matrix.
    """
    L = panels.shape[2]
    for j in range(matrix.shape[0]):
        place = column + j
        for k in range(matrix.shape[1]):
            panels[place // L, first + k, place % L] = matrix[j, k]


@kernel
def multiply(left, count, first, last, panels, out):
    """out[i, j] = sum over first <= k < last of left[i, k] * matrix[k, j], for i < count.

    left and out are Rows of 1-D arrays; `panels` hold the matrix.
    """
    n, K, L = panels.shape
    for begin in range(0, count, _CHUNK):
        end = min(begin + _CHUNK, count)
        for p in range(n):
            at = p * K * L
            for i in range(begin, end - _TILE + 1, _TILE):
                _product_of_four(left, i, first, last, panels, at, out, p * L)
            for i in range(end - (end - begin) % _TILE, end):
                _product_of_one(left, i, first, last, panels, at, out, p * L)


@inlined
def _product_of_four(left, i, first, last, panels, at, out, column):
    a, values, L = left.start + i * left.stride, left.values, lanes(panels)
    b, c, d = a + left.stride, a + 2 * left.stride, a + 3 * left.stride
    sum_a = sum_b = sum_c = sum_d = zeros(panels)
    for k in range(first, last):
        row = load(panels, at + k * L)
        sum_a = multiply_add(splat(values, a + k), row, sum_a)
        sum_b = multiply_add(splat(values, b + k), row, sum_b)
        sum_c = multiply_add(splat(values, c + k), row, sum_c)
        sum_d = multiply_add(splat(values, d + k), row, sum_d)
    to = out.start + i * out.stride + column
    store(out.values, to, sum_a)
    store(out.values, to + out.stride, sum_b)
    store(out.values, to + 2 * out.stride, sum_c)
    store(out.values, to + 3 * out.stride, sum_d)


@inlined
def _product_of_one(left, i, first, last, panels, at, out, column):
    a, values, L = left.start + i * left.stride, left.values, lanes(panels)
    total = zeros(panels)
    for k in range(first, last):
        total = multiply_add(splat(values, a + k), load(panels, at + k * L), total)
    store(out.values, out.start + i * out.stride + column, total)


@inlined
def add_product(left, count, right, at, step, out):
    """out[i, :L] += sum over k < L of left[i, k] * right[k, :L], for i < count and L lanes.

    left and out are Rows of 1-D arrays; row k of `right` begins at its entry at + k*step.
    """
    L, i = lanes(right), 0
    a, b = left.start, out.start
    while i + _TILE <= count:
        to_b, to_c, to_d = b + out.stride, b + 2 * out.stride, b + 3 * out.stride
        sum_a, sum_b = load(out.values, b), load(out.values, to_b)
        sum_c, sum_d = load(out.values, to_c), load(out.values, to_d)
        for k in range(L):
            row = load(right, at + k * step)
            sum_a = multiply_add(splat(left.values, a + k), row, sum_a)
            sum_b = multiply_add(splat(left.values, a + left.stride + k), row, sum_b)
            sum_c = multiply_add(splat(left.values, a + 2 * left.stride + k), row, sum_c)
            sum_d = multiply_add(splat(left.values, a + 3 * left.stride + k), row, sum_d)
        store(out.values, b, sum_a)
        store(out.values, to_b, sum_b)
        store(out.values, to_c, sum_c)
        store(out.values, to_d, sum_d)
        a, b, i = a + _TILE * left.stride, b + _TILE * out.stride, i + _TILE
    while i < count:
        total = load(out.values, b)
        for k in range(L):
            total = multiply_add(splat(left.values, a + k), load(right, at + k * step), total)
        store(out.values, b, total)
        a, b, i = a + left.stride, b + out.stride, i + 1


@kernel
def add_outer(left, right, count, M, N, total):
    """total[:M, :N] += sum over r < count of left[r]^T right[r], Rows of 1-D arrays.

    Rows of `total` have a stride that is a multiple of the lanes, and whole vectors are written.
    """
    width = total.shape[1]
    for begin in range(0, count, _CHUNK):
        rows = min(_CHUNK, count - begin)
        for j in range(0, N, lanes(total)):
            for i in range(0, M - _TILE + 1, _TILE):
                a, b, c, d = outer_of_four(left, right, begin, rows, i, j)
                _add(total, i * width + j, a)
                _add(total, (i + 1) * width + j, b)
                _add(total, (i + 2) * width + j, c)
                _add(total, (i + 3) * width + j, d)
            for i in range(M - M % _TILE, M):
                _add(total, i * width + j, _outer_of_one(left, right, begin, rows, i, j))


@kernel
def add_outer_of_steps(left, right, shape, columns, factors, total, squares):
    """The same over the rows r = s*B + b of steps s, and how much each step adds.

    shape = (steps, B, M); columns = (first, last) of those of `total` to treat, first a multiple of
    the lanes. squares (steps, .) += column by column the sums of (factors[s] * X_s)^2, where X_s is
    what step s adds to the total.
    """
    steps, B, M = shape
    width, at_once = total.shape[1], max(1, _CHUNK // B)
    for begin in range(0, steps, at_once):
        end = min(begin + at_once, steps)
        for j in range(columns[0], columns[1], lanes(total)):
            for i in range(0, M - _TILE + 1, _TILE):
                for s in range(begin, end):
                    a, b, c, d = outer_of_four(left, right, s * B, B, i, j)
                    at, factor = s * squares.shape[1] + j, splat(factors, s)
                    square = _add_squared(total, i * width + j, a, factor, load(squares, at))
                    square = _add_squared(total, (i + 1) * width + j, b, factor, square)
                    square = _add_squared(total, (i + 2) * width + j, c, factor, square)
                    square = _add_squared(total, (i + 3) * width + j, d, factor, square)
                    store(squares, at, square)
            for i in range(M - M % _TILE, M):
                for s in range(begin, end):
                    row = _outer_of_one(left, right, s * B, B, i, j)
                    at, factor = s * squares.shape[1] + j, splat(factors, s)
                    square = _add_squared(total, i * width + j, row, factor, load(squares, at))
                    store(squares, at, square)


@inlined
def outer_of_four(left, right, first, count, i, j):
    """Rows i..i+3, one vector of columns from j, of the sum of left[r]^T right[r]."""
    a, b = left.start + first * left.stride + i, right.start + first * right.stride + j
    sum_0 = sum_1 = sum_2 = sum_3 = zeros(right.values)
    for _ in range(count):
        row = load(right.values, b)
        sum_0 = multiply_add(splat(left.values, a), row, sum_0)
        sum_1 = multiply_add(splat(left.values, a + 1), row, sum_1)
        sum_2 = multiply_add(splat(left.values, a + 2), row, sum_2)
        sum_3 = multiply_add(splat(left.values, a + 3), row, sum_3)
        a += left.stride
        b += right.stride
    return sum_0, sum_1, sum_2, sum_3


@inlined
def _outer_of_one(left, right, first, count, i, j):
    a, b = left.start + first * left.stride + i, right.start + first * right.stride + j
    total = zeros(right.values)
    for _ in range(count):
        total = multiply_add(splat(left.values, a), load(right.values, b), total)
        a += left.stride
        b += right.stride
    return total


@inlined
def _add(total, at, row):
    store(total, at, plus(load(total, at), row))


@inlined
def _add_squared(total, at, row, factor, square):
    """total += row; returns square + (factor * row)^2."""
    store(total, at, plus(load(total, at), row))
    scaled = times(factor, row)
    return multiply_add(scaled, scaled, square)
