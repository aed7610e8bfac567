"""Vectors: some lanes, what is chosen lane by lane, and tanh and sigma to the last digits."""

import numpy as np
import pytest
from builders import DTYPES
from numpy.testing import assert_array_equal

from rnnsim.kernels.arithmetic.arrays import scratch
from rnnsim.kernels.arithmetic.functions import (
    sigmoid_into,
    sigmoid_with_slope_into,
    tanh_into,
    tanh_with_slope_into,
)
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.vectors import (
    BYTES,
    load,
    load_some,
    power_of_two,
    store,
    store_some,
    with_sign_of,
    within,
    without_below,
)

pytestmark = [pytest.mark.nojit, pytest.mark.lane]
EACH = pytest.mark.parametrize("dtype", DTYPES)
SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 40)


@kernel
def moved(source, at, count, target, to):
    """`count` entries, or a vector of them, from one array into another."""
    store_some(target, to, load_some(source, at, count), count)


@kernel
def spread(source, at, count, target):
    """The same, but all lanes are written."""
    store(target, 0, load_some(source, at, count))


@EACH
@pytest.mark.parametrize("count", range(1, 19))
def test_some_lanes_are_read_and_written_and_no_others(count, dtype):
    lanes = BYTES // np.dtype(dtype).itemsize
    source = np.arange(1, 60, dtype=dtype)
    taken = min(count, lanes)
    for at, to in ((0, 0), (3, 5)):
        target = np.full(60, -1, dtype)
        moved(source, at, count, target, to)
        assert_array_equal(target[to : to + taken], source[at : at + taken])
        assert_array_equal(np.delete(target, slice(to, to + taken)), -1)
        whole = np.full(lanes + 1, -1, dtype)
        spread(source, at, count, whole)
        assert_array_equal(whole[:taken], source[at : at + taken])
        assert_array_equal(whole[taken:lanes], 0)
        assert whole[lanes] == -1


@kernel
def chosen(x, limit, bounded, kept, signed):
    """What is chosen lane by lane, and plain arithmetic between vectors and numbers."""
    v = load(x, 0)
    store(bounded, 0, within(v, limit))
    store(kept, 0, without_below(v * 2.0, v, limit))
    store(signed, 0, with_sign_of((1.0 + v * v) / 2.0 - v, v))


@EACH
def test_lanes_choose_by_themselves(dtype):
    lanes = BYTES // np.dtype(dtype).itemsize
    x = np.resize(np.array([0.5, -0.5, 3.0, -3.0, 0.0, -0.0, np.inf, np.nan], dtype), lanes)
    bounded, kept, signed = np.empty((3, lanes), dtype)
    with np.errstate(invalid="ignore"):
        chosen(x, 1.5, bounded, kept, signed)
        assert_array_equal(bounded, np.clip(x, -1.5, 1.5))
        assert_array_equal(kept, np.where(x < 1.5, 0, 2 * x))
        assert_array_equal(np.signbit(signed), np.signbit(x))
        assert_array_equal(np.abs(signed), np.abs((1 + x * x) / 2 - x))


@kernel
def powers(rounded, out):
    """2^k in every lane."""
    store(out, 0, power_of_two(load(rounded, 0)))


@EACH
def test_powers_of_two(dtype):
    lanes, offset = BYTES // np.dtype(dtype).itemsize, 1.5 * 2.0 ** (np.finfo(dtype).nmant)
    lowest = np.finfo(dtype).minexp
    k = np.resize([0, 1, -1, lowest, -lowest, 10, -37, 100], lanes)
    out = np.empty(lanes, dtype)
    powers((k + offset).astype(dtype), out)
    assert_array_equal(out, 2.0 ** k.astype(float))


def points(dtype):
    """Where tanh and sigma are tried: close to 0, in between, far out and at the ends."""
    rng = np.random.default_rng(0)
    far = np.log(np.finfo(dtype).max) - 2
    drawn = [rng.normal(size=500, scale=s) for s in (1e-6, 1e-2, 1.0, 5.0)]
    ends = [0.0, -0.0, 0.9 * far, -0.9 * far, 2 * far, -2 * far, np.inf, -np.inf, np.nan]
    return np.concatenate([*drawn, rng.uniform(-far, far, 500), ends]).astype(dtype)


def ulps(found, exact, dtype):
    """The largest error, in units of the last place of what is exact and a normal number."""
    normal = np.abs(exact) > np.finfo(dtype).tiny
    wrong = np.abs(found[normal].astype(np.longdouble) - exact[normal])
    return float((wrong / np.abs(exact[normal])).max() / np.finfo(dtype).eps)


@EACH
def test_tanh_and_its_slope(dtype):
    x = points(dtype)
    wide = np.clip(x.astype(np.longdouble), -5000, 5000)
    value, slope, alone = np.empty((3, x.size), dtype)
    tanh_with_slope_into(x, value, slope)
    tanh_into(x, alone)
    assert_array_equal(alone, value)
    near = np.abs(wide) < np.log(np.finfo(dtype).max) / 2 - 1
    assert ulps(value, np.tanh(wide), dtype) < 2
    assert ulps(slope[near], 1 / np.cosh(wide[near]) ** 2, dtype) < 4
    known = ~np.isnan(x)
    assert_array_equal(np.signbit(value[known]), np.signbit(x[known]))
    assert np.all(np.abs(value[known]) <= 1)
    assert np.all(slope[known] > 0)
    assert np.isnan(value[~known]).all()
    assert np.isnan(slope[~known]).all()


@EACH
def test_sigma_and_its_slope(dtype):
    x = points(dtype)
    wide = x.astype(np.longdouble)
    value, slope, alone = np.empty((3, x.size), dtype)
    sigmoid_with_slope_into(x, value, slope)
    sigmoid_into(x, alone)
    assert_array_equal(alone, value)
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-wide))
        rest = 1 / (1 + np.exp(wide))
    near = np.abs(wide) < np.log(np.finfo(dtype).max) - 2
    assert ulps(value[near], exact[near], dtype) < 2
    assert ulps(slope[near], (exact * rest)[near], dtype) < 4
    known = ~np.isnan(x)
    assert np.all((value[known] >= 0) & (value[known] <= 1))
    assert np.all(slope[known] > 0)
    assert_array_equal(value[x == -np.inf], 0)
    assert_array_equal(value[x == np.inf], 1)
    assert np.isnan(value[~known]).all()


@EACH
@pytest.mark.parametrize("size", SIZES)
def test_loops_over_any_number_write_what_is_asked_for(size, dtype):
    x = np.linspace(-3, 3, size).astype(dtype)
    for loop, plain in ((tanh_into, np.tanh), (sigmoid_into, lambda v: 1 / (1 + np.exp(-v)))):
        out = np.full(size + 20, 9, dtype)
        loop(x, out[:size])
        assert np.abs(out[:size] - plain(x.astype(float))).max() < 2 * np.finfo(dtype).eps
        assert_array_equal(out[size:], 9)


@EACH
@pytest.mark.parametrize("shape", [(3,), (2, 5, 16), (0, 4), (1, 1000)])
def test_scratch_begins_where_vectors_do(shape, dtype):
    for _ in range(4):
        made = scratch(shape, np.empty(0, dtype))
        assert made.shape == shape
        assert made.dtype == dtype
        assert made.ctypes.data % BYTES == 0 or made.size == 0
        assert made.flags.c_contiguous
        assert not made.any()
