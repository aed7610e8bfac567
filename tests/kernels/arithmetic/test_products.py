"""Matrix products in register tiles: every size against NumPy, and what a tile must not touch."""

import numpy as np
import pytest
from builders import DTYPES, NOJIT
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim.kernels.arithmetic import products
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.products import Rows
from rnnsim.kernels.arithmetic.tiles import (
    add_squares,
    add_tile,
    breadth,
    height,
    no_tile,
    plus_outer,
    put_tile,
)
from rnnsim.kernels.arithmetic.vectors import BYTES, lanes, splat

pytestmark = [pytest.mark.nojit, pytest.mark.lane]
COUNTS = (1, 2, 3, 4, 5, 8, 11) if NOJIT else (*range(1, 14), 127, 128, 129, 261)
EPS = {name: np.finfo(name).eps for name in DTYPES}


def rows_of(array):
    """Rows of a C-contiguous 2-D array."""
    return Rows(array.reshape(-1), 0, array.shape[1])


def padded_rows(rng, count, width, dtype):
    """A matrix (count, width) inside rows that are whole vectors; padding is 0."""
    array = np.zeros((count, products.padded(width, np.empty(0, dtype))), dtype)
    array[:, :width] = rng.normal(size=(count, width))
    return array


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("K", "N"), [(1, 1), (3, 8), (17, 9), (16, 33), (5, 120)])
@pytest.mark.parametrize("count", COUNTS)
def test_products_are_those_of_numpy(count, K, N, dtype):
    rng = np.random.default_rng(count)
    left, matrix = padded_rows(rng, count, K, dtype), rng.normal(size=(K, N)).astype(dtype)
    panels = products.empty_panels(K, N, matrix)
    products.pack(matrix, 0, panels)
    turned = products.empty_panels(K, N, matrix)
    products.pack_transposed(np.ascontiguousarray(matrix.T), 0, 0, turned)
    assert_array_equal(panels, turned)
    half = N // 2  # in two parts, one beside the other
    turned[:] = 0
    for part in (slice(0, half), slice(half, N)):
        products.pack_transposed(np.ascontiguousarray(matrix.T[part]), 0, part.start, turned)
    assert_array_equal(panels, turned)
    out = np.full((count + 1, products.padded(N, matrix)), 7, dtype)
    for first, last in ((0, K), (0, max(1, K // 2)), (K // 2, K)):
        products.multiply(rows_of(left), count, first, last, panels, rows_of(out))
        a, b = left[:, first:last].astype(float), matrix[first:last].astype(float)
        bound = 2 * K * EPS[dtype] * (np.abs(a) @ np.abs(b))
        assert np.all(np.abs(out[:count, :N] - a @ b) <= bound)
        assert_array_equal(out[:count, N:], 0)  # what is padding stays so
        assert_array_equal(out[count], 7)  # nothing is written beyond the rows asked for


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_does_not_depend_on_how_many_there_are(dtype):
    # Tiles of four rows and of one add in the same order: shares of sequences give the same bits.
    rng = np.random.default_rng(0)
    left, matrix = padded_rows(rng, 11, 19, dtype), rng.normal(size=(19, 21)).astype(dtype)
    panels = products.empty_panels(19, 21, matrix)
    products.pack(matrix, 0, panels)
    whole, part = np.zeros((2, 11, products.padded(21, matrix)), dtype)
    products.multiply(rows_of(left), 11, 0, 19, panels, rows_of(whole))
    for i in range(11):
        width = part.shape[1]
        source = Rows(left.reshape(-1), i * left.shape[1], left.shape[1])
        products.multiply(source, 1, 0, 19, panels, Rows(part.reshape(-1), i * width, width))
    assert_array_equal(part, whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("M", "N"), [(1, 1), (4, 9), (7, 20), (23, 50)])
@pytest.mark.parametrize("count", COUNTS)
def test_outer_products_are_those_of_numpy(count, M, N, dtype):
    rng = np.random.default_rng(count)
    left, right = padded_rows(rng, count, M, dtype), padded_rows(rng, count, N, dtype)
    total = np.ones((M + 1, right.shape[1]), dtype)
    products.add_outer(rows_of(left), rows_of(right), count, M, N, total)
    a, b = left[:, :M].astype(float), right[:, :N].astype(float)
    bound = 2 * (count + 1) * EPS[dtype] * (1 + np.abs(a).T @ np.abs(b))
    assert np.all(np.abs(total[:M, :N] - 1 - a.T @ b) <= bound)
    assert_array_equal(total[M], 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("members", [1, 2, 3])
@pytest.mark.parametrize(("steps", "B", "M"), [(1, 1, 1), (5, 3, 6), (9, 40, 4), (2, 130, 23)])
def test_outer_products_of_steps_add_up_and_have_their_norms(steps, B, M, members, dtype):
    N, rng = 51, np.random.default_rng(steps)
    left, right = padded_rows(rng, steps * B, M, dtype), padded_rows(rng, steps * B, N, dtype)
    total, squares = np.zeros((M, right.shape[1]), dtype), np.zeros((steps, right.shape[1]), dtype)
    factors = (10.0 ** rng.uniform(-3, 3, steps)).astype(dtype)
    for member in range(members):
        columns = products.columns_between(0, N, member, members, total)
        products.add_outer_of_steps(
            rows_of(left), rows_of(right), (steps, B, M), columns, factors, total, squares
        )
    a = left[:, :M].astype(float).reshape(steps, B, M)
    b = right[:, :N].astype(float).reshape(steps, B, N)
    each = np.einsum("sbi,sbj->sij", a, b)
    rtol = 1e3 * EPS[dtype]  # sums over up to 360 rows
    assert_allclose(total[:, :N], each.sum(0), atol=rtol * np.abs(each).max())
    norms = np.sqrt(squares[:, :N].astype(float).sum(1)) / factors
    assert_allclose(norms, np.linalg.norm(each, axis=(1, 2)), rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_members_of_a_team_divide_the_columns_by_whole_vectors(dtype):
    like = np.empty(0, dtype)
    lanes = BYTES // like.itemsize
    places = [(0, N) for N in (1, lanes, lanes + 1, 5 * lanes, 100)]
    for lowest, highest in [*places, (3, 100), (lanes, lanes + 1), (2 * lanes - 1, 7 * lanes)]:
        for members in (1, 2, 3, 8):
            each = [(lowest, highest, m, members, like) for m in range(members)]
            ranges = [products.columns_between(*arguments) for arguments in each]
            treated = [column for first, last in ranges for column in range(first, last)]
            assert treated == list(range(lowest // lanes * lanes, highest))
            assert all(first % lanes == 0 for first, last in ranges)


def tile_of(rows, columns):
    """What a tile of this shape does, whether or not this processor's products use it."""

    @kernel
    def run(left, right, out, added, squares, shape):
        L = lanes(right)
        tile = no_tile(right, rows, columns)
        for k in range(left.shape[1]):
            at = k * columns * L
            tile = plus_outer(tile, left, k, left.shape[1], right, at, L)
        put_tile(tile, out, 0, columns * L, L)
        add_tile(tile, added, 0, columns * L, L)
        add_squares(tile, splat(right, 0), squares, 0, L)
        shape[0], shape[1] = height(tile), breadth(tile)

    return run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 2, 4])
@pytest.mark.parametrize("rows", [1, 2, 4, 6, 8])
def test_a_tile_is_a_product_of_its_shape(rows, columns, dtype):
    K, rng = 5, np.random.default_rng(rows)
    width = columns * BYTES // np.dtype(dtype).itemsize
    left = rng.normal(size=(rows, K)).astype(dtype)
    right = rng.normal(size=(K, width)).astype(dtype)
    out, added = np.full((2, rows + 1, width), 3, dtype)
    squares, shape = np.full(width, 2, dtype), np.zeros(2, np.int64)
    tile_of(rows, columns)(left, right, out, added, squares, shape)
    a, b = left.astype(float), right.astype(float)
    bound = 2 * K * EPS[dtype] * (np.abs(a) @ np.abs(b))
    assert np.all(np.abs(out[:rows] - a @ b) <= bound)
    assert_array_equal(added[:rows], out[:rows] + dtype_of(out, 3))
    assert_array_equal(out[rows], 3)
    assert_array_equal(added[rows], 3)
    scaled = b[0, 0] * out[:rows].astype(float)
    assert_allclose(squares, 2 + (scaled**2).sum(0), rtol=50 * EPS[dtype])
    assert_array_equal(shape, [rows, columns])


def dtype_of(array, value):
    return array.dtype.type(value)
