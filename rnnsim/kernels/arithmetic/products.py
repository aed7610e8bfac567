"""Matrix products for small matrices, in tiles that stay in registers.

At the sizes of recurrent networks these are 1.2 to 3 times as fast as calls into BLAS, and 6 times
and more at 16 units (docs/benchmarks/general); BLAS spends its time on packing and dispatch. The
right-hand matrix is packed once for many products: panel p holds its columns p*L..p*L+L-1, row
after row, L lanes wide and padded with zeros. Rows of the other matrices have strides that are
multiples of L, so nothing has a tail.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.jit import allocator, inlined, kernel, view
from rnnsim.kernels.arithmetic.tiles import (
    AVX512,
    TALL,
    add_tile,
    height,
    no_tile,
    plus_outer,
    plus_squares,
    put_tile,
)
from rnnsim.kernels.arithmetic.vectors import lanes, load, splat, store

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


@allocator
def spaced(size, like):
    """The same, and one vector more where long rows would begin in few of a cache's places."""
    n = padded(size, like) // lanes(like)
    return (n + (n > 8 and n % 2 == 0)) * lanes(like)


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

    left and out are Rows of 1-D arrays; `panels` hold the matrix. Every entry is summed up in the
    same order, whatever tile it is in.
    """
    n, ks = panels.shape[0], (first, last)
    paired = n - n % 2 if AVX512 else 0
    for begin in range(0, count, _CHUNK):
        end = min(begin + _CHUNK, count)
        for p in range(0, paired, 2):  # two vectors a row: fewer loads
            i = _products(no_tile(panels, 4, 2), left, begin, end, ks, panels, p, out)
            i = _products(no_tile(panels, 2, 2), left, i, end, ks, panels, p, out)
            _products(no_tile(panels, 1, 2), left, i, end, ks, panels, p, out)
        for p in range(paired, n):
            i = _products(no_tile(panels, TALL, 1), left, begin, end, ks, panels, p, out)
            i = _products(no_tile(panels, 4, 1), left, i, end, ks, panels, p, out)
            i = _products(no_tile(panels, 2, 1), left, i, end, ks, panels, p, out)
            _products(no_tile(panels, 1, 1), left, i, end, ks, panels, p, out)


@inlined
def _products(nothing, left, i, end, ks, panels, p, out):
    """Rows i.. before `end` in whole tiles, of panel p and those beside it; the next row."""
    _, K, L = panels.shape
    while i + height(nothing) <= end:
        tile, at = nothing, left.start + i * left.stride
        for k in range(ks[0], ks[1]):
            place = (p * K + k) * L
            tile = plus_outer(tile, left.values, at + k, left.stride, panels, place, K * L)
        put_tile(tile, out.values, out.start + i * out.stride + p * L, out.stride, L)
        i += height(nothing)
    return i


@kernel
def add_product(left, count, right, at, step, out):
    """out[i, :L] += sum over k < L of left[i, k] * right[k, :L], for i < count and L lanes.

    left and out are Rows of 1-D arrays; row k of `right` begins at its entry at + k*step.
    """
    i = _add_products(no_tile(right, TALL, 1), left, 0, count, right, at, step, out)
    i = _add_products(no_tile(right, 4, 1), left, i, count, right, at, step, out)
    i = _add_products(no_tile(right, 2, 1), left, i, count, right, at, step, out)
    _add_products(no_tile(right, 1, 1), left, i, count, right, at, step, out)


@inlined
def _add_products(nothing, left, i, count, right, at, step, out):
    """The same for rows i.. in whole tiles; the next row."""
    while i + height(nothing) <= count:
        tile, a = nothing, left.start + i * left.stride
        for k in range(lanes(right)):
            tile = plus_outer(tile, left.values, a + k, left.stride, right, at + k * step, 0)
        add_tile(tile, out.values, out.start + i * out.stride, out.stride, 0)
        i += height(nothing)
    return i


@kernel
def add_outer(left, right, count, M, N, total):
    """total[:M, :N] += sum over r < count of left[r]^T right[r], Rows of 1-D arrays.

    Rows of `total` have a stride that is a multiple of the lanes, and whole vectors are written.
    """
    for begin in range(0, count, _CHUNK):
        rows = (begin, min(begin + _CHUNK, count))
        for j in range(0, N, lanes(total)):
            i = _outer(no_tile(total, TALL, 1), left, right, rows, 0, M, j, total)
            i = _outer(no_tile(total, 4, 1), left, right, rows, i, M, j, total)
            i = _outer(no_tile(total, 2, 1), left, right, rows, i, M, j, total)
            _outer(no_tile(total, 1, 1), left, right, rows, i, M, j, total)


@inlined
def _outer(nothing, left, right, rows, i, M, j, total):
    """The same for rows i.. of the total in whole tiles, and one column; the next row."""
    width = total.shape[1]
    while i + height(nothing) <= M:
        tile = summed_outer(nothing, left, right, rows[0], rows[1], i, j)
        add_tile(tile, total, i * width + j, width, 0)
        i += height(nothing)
    return i


@inlined
def summed_outer(tile, left, right, begin, end, i, j):
    """The tile plus the sum over begin <= r < end of left[r]^T right[r], from [i, j] on."""
    a, b = left.start + begin * left.stride + i, right.start + begin * right.stride + j
    for _ in range(begin, end):
        tile = plus_outer(tile, left.values, a, 1, right.values, b, 0)
        a += left.stride
        b += right.stride
    return tile


class _Steps(NamedTuple):
    """Outer products of steps begin..end-1 of B rows each: what they are added to, and how."""

    left: Rows
    right: Rows
    begin: int
    end: int
    B: int
    factors: np.ndarray
    total: np.ndarray
    squares: np.ndarray


@kernel
def add_outer_of_steps(left, right, shape, columns, factors, total, squares):
    """The same over the rows r = s*B + b of steps s, and how much each step adds.

    shape = (steps, B, M); columns = (first, last) of those of `total` to treat, first a multiple of
    the lanes. squares (steps, .) += column by column the sums of (factors[s] * X_s)^2, where X_s is
    what step s adds to the total.
    """
    steps, B, M = shape
    at_once = max(1, _CHUNK // B)
    for begin in range(0, steps, at_once):
        end = min(begin + at_once, steps)
        given = _Steps(left, right, begin, end, B, factors, total, squares)
        for j in range(columns[0], columns[1], lanes(total)):
            i = _outer_of_steps(no_tile(total, TALL, 1), given, 0, M, j)
            i = _outer_of_steps(no_tile(total, 4, 1), given, i, M, j)
            i = _outer_of_steps(no_tile(total, 2, 1), given, i, M, j)
            _outer_of_steps(no_tile(total, 1, 1), given, i, M, j)


@inlined
def _outer_of_steps(nothing, given, i, M, j):
    """The same for rows i.. of the total in whole tiles, and one column; the next row."""
    B, total, squares, width = given.B, given.total, given.squares, given.total.shape[1]
    while i + height(nothing) <= M:
        for s in range(given.begin, given.end):
            tile = summed_outer(nothing, given.left, given.right, s * B, (s + 1) * B, i, j)
            at = s * squares.shape[1] + j
            store(squares, at, plus_squares(tile, splat(given.factors, s), load(squares, at)))
            add_tile(tile, total, i * width + j, width, 0)
        i += height(nothing)
    return i
