"""Kernels: accuracy of their arithmetic over the whole range."""

import numba
import numpy as np
import pytest
from builders import DTYPES, NOJIT
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import kernels
from rnnsim.kernels.arithmetic import functions, norms
from rnnsim.kernels.arithmetic.arrays import residue

pytestmark = [pytest.mark.nojit, pytest.mark.filterwarnings("ignore::RuntimeWarning")]
FLOATS = [np.dtype(name) for name in DTYPES]
TINY = {"float64": 5e-324, "float32": 1.4e-45}


@njit
def tanh_of(x, out):
    functions.tanh_into(x, out)


@njit
def exp_of(x, out):
    functions.exp_into(x, out)


@njit
def log_of(x, out):
    for i in range(x.size):
        out[i] = functions.log_normal(x[i])


@njit
def slope_of(x, out, slope):
    functions.tanh_with_slope_into(x, out, slope)


def apply(function, x):
    out = np.empty_like(x)
    function(x, out)
    return out


def ulps(found, exact, dtype):
    """Distance in units of the last place of the exact value, in extended precision."""
    unit = np.spacing(np.maximum(np.abs(exact).astype(dtype), np.finfo(dtype).tiny))
    return np.abs(found.astype(np.longdouble) - exact) / unit


def grid(dtype, low, high):
    """Both signs, from 10^low to 10^high, and a dense linear part."""
    count = 500 if NOJIT else 200_000
    positive = np.concatenate(
        [np.logspace(low, np.log10(high), count), np.linspace(0, high, count)]
    )
    return np.concatenate([-positive[::-1], positive]).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("high", [0.5, 25.0, 800.0])
def test_tanh_is_within_four_ulp(high, dtype):
    x = grid(dtype, -37 if dtype == np.float32 else -300, high)
    assert ulps(apply(tanh_of, x), np.tanh(x.astype(np.longdouble)), dtype).max() <= 4


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_exp_is_within_four_ulp(dtype):
    top = 88.7 if dtype == np.float32 else 709.7
    for high in (1.0, top):
        x = grid(dtype, -37 if dtype == np.float32 else -300, high)
        exact = np.exp(x.astype(np.longdouble))
        # Below the normal range a unit of the last place is the smallest subnormal.
        assert ulps(apply(exp_of, x), exact, dtype).max() <= 4


def test_log_is_within_one_ulp_over_all_normal_numbers():
    x = np.concatenate([2.0 ** np.linspace(-1021, 1023, 2001), np.linspace(0.5, 2.0, 2001)])
    exact = np.log(x.astype(np.longdouble))
    # Around 1 the logarithm itself is tiny: there the unit is that of its argument's distance.
    assert np.max(ulps(apply(log_of, x), exact, np.dtype("float64"))) < 1.0
    assert np.isnan(apply(log_of, np.array([np.nan])))[0]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_exp_falls_through_the_subnormals_to_zero_and_rises_to_infinity(dtype):
    low, high = (-104.0, 88.8) if dtype == np.float32 else (-746.0, 709.8)
    x = np.linspace(low, low + 20, 5000).astype(dtype)
    with np.errstate(under="ignore"):
        exact = np.exp(x)
    assert np.abs(apply(exp_of, x).astype(float) - exact.astype(float)).max() <= 4 * float(
        np.spacing(exact.max())
    )
    beyond = np.array([low, 10 * low, -np.finfo(dtype).max, high, 1e3 * high, np.finfo(dtype).max])
    assert_array_equal(apply(exp_of, beyond.astype(dtype)), [0, 0, 0, np.inf, np.inf, np.inf])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("function", "truth"), [(tanh_of, np.tanh), (exp_of, np.exp)])
def test_special_values_are_those_of_numpy(function, truth, dtype):
    tiny = TINY[str(dtype)]
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny, 3 * tiny, 1e-30, -1e-30], dtype)
    for size in (1, 2, 3, 10):  # vector loops and their remainders
        for begin in range(0, 10, size):
            part = x[begin : begin + size]
            found, expected = apply(function, part.copy()), truth(part)
            assert_array_equal(found, expected)
            assert_array_equal(np.signbit(found), np.signbit(expected) & ~np.isnan(part)
                               | np.signbit(found) & np.isnan(part))  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_slopes_keep_their_digits_far_into_saturation(dtype):
    top = 43.0 if dtype == np.float32 else 353.0
    x = grid(dtype, -30, top)
    value, slope = np.empty_like(x), np.empty_like(x)
    slope_of(x, value, slope)
    assert_array_equal(value, apply(tanh_of, x))
    wide = x.astype(np.longdouble)
    exact = 4 / (np.exp(wide) + np.exp(-wide)) ** 2
    assert_allclose((slope / exact).astype(float), 1.0, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_residue_finds_a_single_entry_that_is_not_finite(value, dtype):
    for size in (1, 5, 64, 1000):
        array = np.full((size, 1), np.finfo(dtype).max, dtype)
        assert residue(array) == 0.0
        for place in {0, size // 2, size - 1}:
            bad = array.copy()
            bad[place] = value
            assert np.isnan(residue(bad))


SIZES = [1e-320, 1e-300, 1e-160, 1e-30, 1.0, 1e30, 1e160, 1e300, 1.7e308]


@pytest.mark.parametrize("size", SIZES)
def test_norms_hold_over_the_whole_range(size):
    rng = np.random.default_rng(0)
    array = rng.uniform(-1, 1, (5, 3)) * size / 4
    exact = np.sqrt((array.astype(np.longdouble) ** 2).sum())
    # Subnormal entries have few digits; the norm of what they are still has all of its own.
    rtol = 1e-14 if size > 1e-310 else 1e-3
    assert_allclose(norms.frobenius(array), float(exact), rtol=rtol)
    assert_allclose(norms.frobenius(array[:, :1]), float(np.sqrt(
        (array[:, :1].astype(np.longdouble) ** 2).sum())), rtol=rtol)  # fmt: skip
    assert_allclose(norms.log_norm_scaled(array, 5000), float(np.log(exact)) + 5000 * np.log(2),
                    rtol=rtol)  # fmt: skip


@pytest.mark.parametrize("size", [1e-45, 1e-30, 1.0, 1e30, 3e38])
def test_norms_of_float32_are_taken_in_float64(size):
    array = np.full((3, 4), size, np.float32)
    assert_allclose(norms.frobenius(array), float(array[0, 0]) * np.sqrt(12), rtol=1e-14)


def test_norms_of_special_arrays():
    for shape in ((1, 1), (3, 2)):
        assert norms.frobenius(np.zeros(shape)) == 0.0
        assert norms.log_norm_scaled(np.zeros(shape), 10) == -np.inf
        for value, expected in ((np.nan, np.nan), (np.inf, np.inf), (-np.inf, np.inf)):
            array = np.ones(shape)
            array[-1, -1] = value
            assert_array_equal(norms.frobenius(array), expected)
            assert_array_equal(norms.log_norm_scaled(array, 3), expected)
    assert np.isnan(norms.frobenius(np.array([[np.inf, np.nan, 1.0], [np.nan, np.inf, 2.0]])))


@pytest.mark.parametrize("size", SIZES)
def test_norms_of_slabs_and_their_inverses_hold_over_the_whole_range(size):
    rng = np.random.default_rng(3)
    array = rng.uniform(-1, 1, (3, 4, 7)) * size / 8
    exact = float(np.sqrt((array[1, :, 2:6].astype(np.longdouble) ** 2).sum()))
    found = norms.slab_norm(array, 1, 2, 4)
    assert_allclose(found, exact, rtol=1e-14 if size > 1e-310 else 1e-3)
    for itemsize, limit in ((4, 100), (8, 960)):
        inverse = norms.inverse_size(found, itemsize)
        assert np.frexp(inverse)[0] == 0.5  # a power of two
        if abs(np.log2(found)) < limit:
            assert 1.0 <= found * inverse < 2.0
        else:
            assert abs(np.log2(inverse)) == limit
    for nothing in (0.0, np.inf, np.nan):
        assert norms.inverse_size(nothing, 8) == 1.0
    array[1, 3, 5] = np.nan
    assert np.isnan(norms.slab_norm(array, 1, 2, 4))
    assert np.isfinite(norms.slab_norm(array, 1, 2, 3))


@pytest.mark.parametrize(
    "exponents", [(0, 0), (900, -900), (-5000, 5000), (3000, 3500), (0, -4000)]
)
@pytest.mark.parametrize("sizes", [(1.0, 1.0), (1e-300, 1e300), (1e150, 1e-150)])
def test_scaled_sums_and_comparisons_hold_beyond_the_range(sizes, exponents):
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(3, 2)) * size for size in sizes]
    total, lost, exponent = np.zeros((3, 2)), np.zeros((3, 2)), norms.EMPTY
    for part, power in zip(parts, exponents, strict=True):
        exponent = norms.add_scaled(total, lost, exponent, part, power)
    wide = [np.ldexp(p.astype(np.longdouble), e) for p, e in zip(parts, exponents, strict=True)]
    exact = wide[0] + wide[1]

    def log_norm(a):
        peak = np.abs(a).max()
        return float(np.log(peak) + 0.5 * np.log(((a / peak) ** 2).sum()))

    assert_allclose(norms.log_norm_scaled(total, exponent), log_norm(exact), rtol=1e-13, atol=1e-13)
    part = (parts[0], exponents[0])
    log_part, cosine, log_error = norms.compare_scaled(*part, total, exponent)
    a, b = wide[0] / np.abs(wide[0]).max(), exact / np.abs(exact).max()
    assert_allclose(log_part, log_norm(wide[0]), rtol=1e-13, atol=1e-13)
    assert_allclose(
        cosine, float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())), atol=1e-13
    )
    error = log_norm(wide[1]) - log_norm(exact)
    if error > np.log(1e-12):  # below, the difference of the two is rounding
        assert_allclose(log_error, error, atol=1e-2)
    else:
        assert log_error < np.log(1e-12)


def test_many_terms_of_one_sign_add_up_to_full_precision():
    # Plain addition of 3000 terms loses some 1e-13, in one direction.
    total, lost, exponent = np.zeros((1, 2)), np.zeros((1, 2)), norms.EMPTY
    part = np.array([[0.1, 1e3 / 3]])
    for _ in range(3000):
        exponent = norms.add_scaled(total, lost, exponent, part, 700)
    exact = 3000 * part.astype(np.longdouble)
    assert_allclose(np.ldexp(total, exponent - 700), exact.astype(float), rtol=4e-16)


def test_comparisons_of_special_arrays():
    one, zero = np.ones((2, 2)), np.zeros((2, 2))
    assert_array_equal(norms.compare_scaled(one, 7, one, 7)[1:], [1.0, -np.inf])
    assert_array_equal(norms.compare_scaled(-one, 7, one, 7)[1], -1.0)
    assert_array_equal(norms.compare_scaled(one, 0, zero, norms.EMPTY)[1:], [np.nan, np.nan])
    assert_array_equal(norms.compare_scaled(zero, norms.EMPTY, one, 0), [-np.inf, np.nan, 0.0])
    bad = one.copy()
    bad[0, 1] = np.nan
    assert np.isnan(norms.compare_scaled(bad, 0, one, 0)).all()
    assert np.isnan(norms.compare_scaled(one, 0, bad, 0)[1:]).all()
    # A window larger than the full gradient by more than the range.
    assert_allclose(norms.compare_scaled(one, 5000, one, 0)[2], 5000 * np.log(2))
    mixed = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert_allclose(norms.compare_scaled(mixed, 5000, one, 0)[2], 5000 * np.log(2) - np.log(2))


def cross_entropy(logits, classes, weights):
    losses, R = np.empty(logits.shape[1]), logits.shape[1]
    peak, total, shifted = (np.empty(R, logits.dtype) for _ in range(3))
    kernels.softmax_cross_entropy(logits, classes, weights, peak, total, shifted, losses)
    return losses


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_cross_entropy_of_enormous_logits(dtype):
    logits = np.array([[1e4, -1e4, 1e4, 0.0], [-1e4, 1e4, 1e4, 0.0], [0.0, 0.0, 1e4, 0.0]], dtype)
    classes, weights = np.array([0, 0, 2, 1]), np.array([1, 0.5, 1, 2], dtype)
    losses = cross_entropy(logits, classes, weights)
    assert_allclose(losses, [0.0, 1e4, np.log(3), 2 * np.log(3)], rtol=1e-6)
    third = np.full(3, 1 / 3)
    expected = [[0, 0, 0], [-0.5, 0.5, 0], third - [0, 0, 1], 2 * (third - [0, 1, 0])]
    assert_allclose(logits.T, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_columns_of_weight_zero_are_never_read(dtype):
    weights = np.array([1, 0, 1, 0, 0], dtype)
    logits = np.array([[1, np.nan, 2, np.inf, -np.inf], [0, 1, 2, np.inf, np.nan]], dtype)
    losses = cross_entropy(logits, np.zeros(5, np.int64), weights)
    assert_array_equal(losses[[1, 3, 4]], 0.0)
    assert_array_equal(logits[:, [1, 3, 4]], 0.0)
    assert np.isfinite(losses).all()
    outputs = np.array([[1, np.nan, 2, np.inf, -np.inf]], dtype)
    values = np.array([[0, 1, np.nan, 1, np.nan]], dtype).T.copy()
    values[2] = 1
    kernels.squared_error(outputs, values, weights, losses)
    assert_array_equal(losses, [0.5, 0, 0.5, 0, 0])
    assert_array_equal(outputs, [[1, 0, 1, 0, 0]])


@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
def test_kernels_release_the_interpreter_and_raise_nothing():
    for name in ("forward", "evaluate", "bptt", "truncated_bptt", "gradient_flow"):
        options = getattr(kernels, name).targetoptions
        assert options["nogil"]
        assert options["nopython"]
        assert not options["_nrt"]  # no reference counting, so no allocation either
        assert options["error_model"] == "numpy"
    assert numba.config.DISABLE_JIT == 0
