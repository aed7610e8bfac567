"""Matrix products for small matrices, in tiles that stay in registers.

At the sizes of recurrent networks these are 1.2 to 3 times as fast as calls into BLAS, and 6 times
and more at 16 units (docs/benchmarks/general); BLAS spends its time on packing and dispatch. The
right-hand matrix is packed once for many products: panel p holds its columns p*L..p*L+L-1, row
after row, L lanes wide and padded with zeros. Rows of the other matrices have strides that are
multiples of L, so nothing has a tail.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import scratch
from rnnsim.kernels.arithmetic.jit import allocator, inlined, kernel, view
from rnnsim.kernels.arithmetic.tiles import (
    AVX512,
    TALL,
    add_squares,
    add_tile,
    breadth,
    height,
    no_tile,
    plus_outer,
    put_tile,
)
from rnnsim.kernels.arithmetic.vectors import lanes, splat

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
    return scratch((padded(N, like) // lanes(like), K, lanes(like)), like)


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


@view
def _tiles(like, tall, columns):
    """Tiles of zeros for rows that come in any number: of `tall`, 4, 2 and 1 rows."""
    return (
        no_tile(like, tall, columns),
        no_tile(like, 4, columns),
        no_tile(like, 2, columns),
        no_tile(like, 1, columns),
    )


@kernel
def multiply(left, count, first, last, panels, out):
    """out[i, j] = sum over first <= k < last of left[i, k] * matrix[k, j], for i < count.

    left and out are Rows of 1-D arrays; `panels` hold the matrix. Every entry is summed up in the
    same order, whatever tile it is in.
    """
    for begin in range(0, count, _CHUNK):
        given = _Products(left, begin, min(begin + _CHUNK, count), first, last, panels, out)
        p = 0
        if AVX512:  # several vectors a row: fewer loads
            p = _strips(_tiles(panels, 4, 4), given, p)
            p = _strips(_tiles(panels, 4, 2), given, p)
        _strips(_tiles(panels, TALL, 1), given, p)


class _Products(NamedTuple):
    """A product of rows begin..end-1 and the rows first..last-1 of a packed matrix."""

    left: Rows
    begin: int
    end: int
    first: int
    last: int
    panels: np.ndarray
    out: Rows


@inlined
def _strips(tiles, given, p):
    """Panels p.. as many at once as the tiles are broad; the next panel."""
    while p + breadth(tiles[0]) <= given.panels.shape[0]:
        i = _products(tiles[0], given, given.begin, p)
        i = _products(tiles[1], given, i, p)
        i = _products(tiles[2], given, i, p)
        _products(tiles[3], given, i, p)
        p += breadth(tiles[0])
    return p


@inlined
def _products(nothing, given, i, p):
    """Rows i.. in whole tiles, of panel p and those beside it; the next row."""
    left, panels, out = given.left, given.panels, given.out
    _, K, L = panels.shape
    while i + height(nothing) <= given.end:
        tile, at = nothing, left.start + i * left.stride
        for k in range(given.first, given.last):
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
    tiles = _tiles(right, TALL, 1)
    i = _add_products(tiles[0], left, 0, count, right, at, step, out)
    i = _add_products(tiles[1], left, i, count, right, at, step, out)
    i = _add_products(tiles[2], left, i, count, right, at, step, out)
    _add_products(tiles[3], left, i, count, right, at, step, out)


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
        given = _Outer(left, right, begin, min(begin + _CHUNK, count), M, N, total)
        j = 0
        if AVX512:
            j = _columns(_tiles(total, 8, 2), given, j)
        _columns(_tiles(total, TALL, 1), given, j)


class _Outer(NamedTuple):
    """Outer products of rows begin..end-1, M by N, and what they are added to."""

    left: Rows
    right: Rows
    begin: int
    end: int
    M: int
    N: int
    total: np.ndarray


@inlined
def _columns(tiles, given, j):
    """The same for columns j.., as many at once as the tiles are broad; the next column."""
    L = lanes(given.total)
    while j + (breadth(tiles[0]) - 1) * L < given.N:
        i = _outer(tiles[0], given, 0, j)
        i = _outer(tiles[1], given, i, j)
        i = _outer(tiles[2], given, i, j)
        _outer(tiles[3], given, i, j)
        j += breadth(tiles[0]) * L
    return j


@inlined
def _outer(nothing, given, i, j):
    """The same for rows i.. of the total in whole tiles, from column j on; the next row."""
    total, width = given.total, given.total.shape[1]
    while i + height(nothing) <= given.M:
        tile = summed_outer(nothing, given.left, given.right, given.begin, given.end, i, j)
        add_tile(tile, total, i * width + j, width, lanes(total))
        i += height(nothing)
    return i


@inlined
def summed_outer(tile, left, right, begin, end, i, j):
    """The tile plus the sum over begin <= r < end of left[r]^T right[r], from [i, j] on."""
    a, b = left.start + begin * left.stride + i, right.start + begin * right.stride + j
    for _ in range(begin, end):
        tile = plus_outer(tile, left.values, a, 1, right.values, b, lanes(right.values))
        a += left.stride
        b += right.stride
    return tile


class _Steps(NamedTuple):
    """Outer products of steps begin..end-1 of B rows each, M by `last`, and what they add to."""

    left: Rows
    right: Rows
    begin: int
    end: int
    B: int
    M: int
    last: int
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
        given = _Steps(left, right, begin, end, B, M, columns[1], factors, total, squares)
        j = columns[0]
        if AVX512:
            j = _columns_of_steps(_tiles(total, 8, 2), given, j)
        _columns_of_steps(_tiles(total, TALL, 1), given, j)


@inlined
def _columns_of_steps(tiles, given, j):
    """The same for columns j.., as many at once as the tiles are broad; the next column."""
    L = lanes(given.total)
    while j + (breadth(tiles[0]) - 1) * L < given.last:
        i = _outer_of_steps(tiles[0], given, 0, j)
        i = _outer_of_steps(tiles[1], given, i, j)
        i = _outer_of_steps(tiles[2], given, i, j)
        _outer_of_steps(tiles[3], given, i, j)
        j += breadth(tiles[0]) * L
    return j


@inlined
def _outer_of_steps(nothing, given, i, j):
    """The same for rows i.. of the total in whole tiles, from column j on; the next row."""
    left, right, B, total, squares = given.left, given.right, given.B, given.total, given.squares
    L, width = lanes(total), total.shape[1]
    while i + height(nothing) <= given.M:
        for s in range(given.begin, given.end):
            tile = summed_outer(nothing, left, right, s * B, (s + 1) * B, i, j)
            add_squares(tile, splat(given.factors, s), squares, s * squares.shape[1] + j, L)
            add_tile(tile, total, i * width + j, width, L)
        i += height(nothing)
    return i
