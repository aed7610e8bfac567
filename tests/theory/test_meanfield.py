"""Mean field: published numbers, the equations by another quadrature, limits, the transition."""

import re
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

from rnnsim import theory

pytestmark = [pytest.mark.nojit, pytest.mark.lane]

# A mean is a sum of 592 positive terms, each rounded a few times: whatever the order in which a
# processor adds, it errs by at most so much of itself.
ROUNDING = 600 * np.finfo(float).eps

CASES = [(0.7, 0.3, 0.0), (1.0, 1e-3, 0.0), (1.5, 0.0, 0.0), (1.5, 0.2, 0.7), (6.0, 3.0, 0.1)]


def normal_mean(function, variance):
    """E f(a) for even f and a ~ N(0, variance), piece by piece with SciPy's quadrature."""
    ends = np.array([0, 0.3, 1, 3, 6, 10]) * np.sqrt(variance)
    ends = np.unique([*ends, *(x for x in (0.5, 1, 2, 4, 8, 16) if x < ends[-1])])

    def weighted(a):
        return 2 * function(a) * np.exp(-(a**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    pieces = pairwise(ends)
    return sum(quad(weighted, low, high, epsabs=0, epsrel=1e-12)[0] for low, high in pieces)


def log_slope(a):
    return np.log(4) - 2 * abs(a) - 2 * np.log1p(np.exp(-2 * abs(a)))


def test_published_numbers_without_input():
    result = theory.mean_field([1.2, 1.5, 2.0, 4.0])
    variances = [0.24951, 0.79335, 2.12147, 12.5006]
    assert_allclose(result.variance[:3], variances[:3], atol=5e-6)
    assert_allclose(result.variance[3], variances[3], atol=5e-5)
    assert_allclose(result.largest_exponent, [0.016476, 0.065217, 0.154724, 0.432878], atol=5e-7)
    means = [-0.5431, -0.71435, -1.14902, -3.55102]
    assert_allclose(result.mean_exponent[0], means[0], atol=5e-5)
    assert_allclose(result.mean_exponent[1:], means[1:], atol=5e-6)


@pytest.mark.parametrize(("gain", "inputs", "biases"), CASES)
def test_equations_hold_by_another_quadrature(gain, inputs, biases):
    result = theory.mean_field(gain, input_variance=inputs, bias_variance=biases)
    q = float(result.variance)
    square = normal_mean(lambda a: np.tanh(a) ** 2, q)
    assert_allclose(q, gain**2 * square + inputs + biases, rtol=1e-11)
    assert_allclose(result.state_variance, square, rtol=1e-11)
    slope_square = normal_mean(lambda a: np.exp(2 * log_slope(a)), q)
    assert_allclose(result.chi, gain**2 * slope_square, rtol=1e-11)
    assert_allclose(result.largest_exponent, 0.5 * np.log(gain**2 * slope_square), atol=1e-11)
    expected = np.log(gain) - 0.5 + normal_mean(log_slope, q)
    assert_allclose(result.mean_exponent, expected, rtol=1e-11)


def test_quadrature_holds_from_tiny_to_huge_variances():
    # E tanh^2 = q - 2 q^2 and E sech^4 = 1 - 2 q from below; E|a| = sqrt(2 q / pi) from above
    small = theory.mean_field(1e-3, input_variance=[1e-300, 1e-17, 1e-15, 1e-9, 1e-6])
    q = small.variance
    assert_allclose(small.state_variance, q - 2 * q**2, rtol=1e-11)
    assert_allclose(small.chi, 1e-6 * (1 - 2 * q), rtol=1e-11)
    assert_allclose(small.mean_exponent, np.log(1e-3) - 0.5 - q, atol=1e-11)
    large = theory.mean_field(1000.0, input_variance=[1e10, 1e12])
    q = large.variance
    density = 1 / np.sqrt(2 * np.pi * q)  # of a at 0: sech^2 has the integral 2, sech^4 4/3
    assert_allclose(1 - large.state_variance, 2 * density, rtol=1e-6)
    assert_allclose(large.chi, 1e6 * 4 / 3 * density, rtol=1e-9)
    expected = np.log(1000.0) - 0.5 + np.log(4) - 2 * np.sqrt(2 * q / np.pi)
    assert_allclose(large.mean_exponent, expected, rtol=1e-9)


def test_below_the_transition_states_die_and_exponents_are_those_of_the_weights():
    gain = np.array([1e-6, 0.3, 0.999, 1.0])
    result = theory.mean_field(gain)
    assert_array_equal(result.variance, 0.0)
    assert_array_equal(result.state_variance, 0.0)
    assert_array_equal(result.largest_exponent, np.log(gain))
    assert_array_equal(result.mean_exponent, np.log(gain) - 0.5)
    assert_array_equal(result.chi, gain**2)
    spectra = theory.circular_law_log_moduli(4000, gain)
    assert_allclose(spectra[:, 0], result.largest_exponent, atol=1 / 4000)
    assert_allclose(spectra.mean(axis=1), result.mean_exponent, atol=1 / 4000)
    products = theory.newman_exponents(4000, gain)
    assert_allclose(products.mean(axis=1), result.mean_exponent, atol=1e-3)


def test_just_above_the_transition():
    # From E tanh^2 = q - 2 q^2 + 17/3 q^3 and E sech^4 = 1 - 2 q + 7 q^2, with g = 1 + e:
    # q = e + ..., lambda_1 = 2/3 e^2 + ...
    e = np.array([1e-4, 1e-3])
    result = theory.mean_field(1 + e)
    assert_allclose(result.variance, e, rtol=0.01)
    assert_allclose(result.largest_exponent, 2 / 3 * e**2, rtol=0.01)
    assert (theory.mean_field(1 + 1e-10).variance > 0.99e-10).all()


def test_weak_input_below_the_transition_is_filtered_linearly():
    result = theory.mean_field([0.2, 0.9], input_variance=1e-10)
    assert_allclose(result.variance, 1e-10 / (1 - np.array([0.2, 0.9]) ** 2), rtol=1e-7)
    # at the transition q = q - 2 q^2 + 17/3 q^3 + v, so that q = sqrt(v/2) to first order; a
    # rounded E tanh^2 = q (1 + e) - 2 q^2 puts the root of 2 q^2 = e q + v up to e/2 beside it
    at_1 = theory.mean_field(1.0, input_variance=[1e-300, 1e-16, 1e-8]).variance
    assert_allclose(at_1, np.sqrt([0.0, 0.5e-16, 0.5e-8]), rtol=2e-4, atol=ROUNDING / 2)


def test_rounding_at_the_transition_leaves_a_variance():
    gain = np.nextafter(1.0, [0.0, 1.0, 2.0])[:, None] + np.arange(-3, 4) * 2.0**-53
    input_variance = np.concatenate([[1e-300, 1e-100], np.geomspace(1e-40, 1e-12, 60)])
    result = theory.mean_field(gain[..., None], input_variance=input_variance)
    assert (result.variance >= input_variance).all()
    assert (result.variance <= 2e-6).all()  # sqrt(v/2) at the transition


def test_only_the_sum_of_the_variances_counts():
    one = theory.mean_field(1.7, input_variance=[0.5, 0.3, 0.0], bias_variance=[0.0, 0.2, 0.5])
    for name in ("variance", "chi", "largest_exponent", "mean_exponent"):
        assert_allclose(getattr(one, name), getattr(one, name)[0], rtol=ROUNDING, atol=ROUNDING)
    assert_array_equal(one.bias_variance, [0.0, 0.2, 0.5])
    assert_array_equal(one.gain, [1.7] * 3)


def test_the_exponents_of_few_inputs_are_those_of_the_recursion():
    """q_t = g^2 E[phi^2] + s^2 |x_t|^2/D with g = 1.5, s = 1: the mean of 1/2 ln chi over time."""
    grid = np.linspace(np.log(1e-6), np.log(60.0), 400)
    variance = np.exp(grid)
    square = [normal_mean(lambda a: np.tanh(a) ** 2, q) for q in variance]
    slope = [normal_mean(lambda a: np.exp(2 * log_slope(a)), q) for q in variance]
    log_chi = np.log(1.5**2 * np.array(slope))
    text = theory.mean_field.__doc__
    claimed = {int(D): float(x) for x, D in re.findall(r"(-0\.\d+) for D = (\d+)", text)}
    assert list(claimed) == [1, 4, 64]
    for D, value in claimed.items():
        rng, q, found = np.random.default_rng(D), np.ones(4000), []
        for t in range(400):
            q = 1.5**2 * np.interp(np.log(q), grid, square) + rng.chisquare(D, 4000) / D
            if t >= 30:
                found.append(0.5 * np.interp(np.log(q), grid, log_chi).mean())
        assert_allclose(np.mean(found), value, atol=7e-4)  # rounded, and four errors of the mean
    here = theory.mean_field(1.5, input_variance=1.0).largest_exponent
    assert f"and {here:.3f} here" in text


def test_input_suppresses_chaos_and_saturates():
    grid = theory.mean_field([[0.5], [1.0], [2.0], [5.0]], input_variance=np.linspace(0, 9, 40))
    assert grid.chi.shape == grid.norm_length.shape == grid.input_variance.shape == (4, 40)
    assert (np.diff(grid.variance, axis=1) > 0).all()
    assert (np.diff(grid.largest_exponent, axis=1) < 0).all()
    assert (np.diff(grid.mean_exponent, axis=1) < 0).all()
    assert (np.diff(grid.variance[:, 1:], axis=0) > 0).all()
    assert (grid.mean_exponent <= grid.largest_exponent - 0.5).all()  # Jensen; equal at q = 0
    assert_allclose(
        grid.state_variance * grid.gain**2, grid.variance - grid.input_variance, atol=1e-12
    )


def test_many_at_once_are_the_same_as_one_at_a_time():
    gain = np.linspace(0.01, 5.0, 2500).reshape(2, 1250)  # more than one block of the quadrature
    many = theory.mean_field(gain, input_variance=0.1)
    for at in [(0, 0), (0, 1023), (0, 1024), (1, 700), (1, 1249)]:
        one = theory.mean_field(gain[at], input_variance=0.1)
        assert one.variance.shape == ()
        assert_allclose(many.variance[at], one.variance, rtol=1e-13)
        assert_allclose(many.largest_exponent[at], one.largest_exponent, atol=1e-13)


def test_lengths_of_norms_and_of_squared_norms():
    result = theory.mean_field([0.5, 1.0, 2.0])
    assert_allclose(result.norm_length, [1 / np.log(2), np.inf, -1 / 0.154724], rtol=1e-5)
    assert_allclose(result.squared_norm_length, result.norm_length / 2, rtol=1e-15)
    driven = theory.mean_field(1.5, input_variance=1.0)
    assert_allclose(driven.squared_norm_length, -1 / np.log(driven.chi), rtol=1e-12)
    assert_allclose(np.exp(driven.largest_exponent * driven.norm_length), np.exp(-1), rtol=1e-12)


# --- the transition ------------------------------------------------------------------------------


def test_critical_gain_is_where_chi_is_1():
    inputs = np.array([0.0, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e5])
    gain = theory.critical_gain(input_variance=inputs, bias_variance=0.2 * inputs)
    at = theory.mean_field(gain, input_variance=inputs, bias_variance=0.2 * inputs)
    assert_allclose(at.chi, 1.0, rtol=1e-12)
    assert gain[0] == 1.0
    assert (np.diff(gain) > 0).all()
    assert theory.mean_field(0.99 * gain[3], input_variance=0.12).chi < 1
    assert theory.mean_field(1.01 * gain[3], input_variance=0.12).chi > 1
    assert theory.critical_gain().shape == ()


def test_critical_gain_under_weak_input():
    # q - E tanh^2 / E sech^4 = 4/3 q^3 + ..., and the gain is 1 + q + ...
    variance = np.array([1e-300, 1e-30, 1e-16, 1e-12, 1e-9])
    gain = theory.critical_gain(bias_variance=variance)
    assert_allclose(gain, 1 + np.cbrt(0.75 * variance), atol=1e-8, rtol=1e-6)
    assert_allclose(gain[3:] - 1, np.cbrt(0.75 * variance[3:]), rtol=1e-3)


def test_critical_input_inverts_the_critical_gain():
    gain = np.array([1.0, 1.01, 1.5, 2.0, 30.0, 1000.0])
    variance = theory.critical_input_variance(gain)
    assert variance[0] == 0.0
    assert_allclose(theory.critical_gain(input_variance=variance), gain, rtol=1e-10)
    with_biases = theory.critical_input_variance(gain[2:], bias_variance=0.1)
    assert_allclose(with_biases, variance[2:] - 0.1, rtol=1e-12)
    at = theory.mean_field(gain[2:], input_variance=with_biases, bias_variance=0.1)
    assert_allclose(at.largest_exponent, 0.0, atol=1e-12)
    assert_allclose(theory.critical_input_variance(1 + 1e-3), 4e-9 / 3, rtol=0.01)


def test_lines_lie_in_the_order_of_the_diagram():
    assert theory.pascanu_critical_gain("gaussian") < theory.critical_gain()
    assert theory.critical_gain() < theory.critical_gain(input_variance=0.1)


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [theory.mean_field, theory.critical_input_variance])
def test_gains_are_checked(call):
    with pytest.raises(ValueError, match=r"`gain` must be above 0, got 0.0; leave out"):
        call([0.0, 1.0])
    with pytest.raises(ValueError, match=r"`gain` must be at least 0, got -1.0; leave out"):
        call(-1.0)
    with pytest.raises(ValueError, match=r"`gain` must be finite, got inf at \[1\]"):
        call([1.0, np.inf])
    with pytest.raises(ValueError, match=r"`gain` must be at most 1000, got 1001; leave out"):
        call([1.0, 1001.0])
    with pytest.raises(TypeError, match="`gain` must be a real number or an array of them, got"):
        call("gaussian")


@pytest.mark.parametrize(
    "call", [lambda **given: theory.mean_field(1.0, **given), theory.critical_gain]
)
@pytest.mark.parametrize("name", ["input_variance", "bias_variance"])
def test_variances_are_checked(call, name):
    with pytest.raises(ValueError, match=rf"`{name}` must be at least 0, got -0.1; leave out"):
        call(**{name: -0.1})
    with pytest.raises(ValueError, match=rf"`{name}` must be finite, got nan at \[0\]"):
        call(**{name: np.nan})
    with pytest.raises(ValueError, match=rf"`{name}` must be at most 1e\+12, got 2e\+12"):
        call(**{name: [1.0, 2e12]})
    with pytest.raises(TypeError, match=f"`{name}` must be a real number"):
        call(**{name: [None]})


def test_lines_that_do_not_exist():
    with pytest.raises(ValueError, match=r"`gain` must be at least 1, got 0.5: below 1 there is"):
        theory.critical_input_variance([2.0, 0.5])
    message = r"`bias_variance` must be at most 0.186144 at gain 1.5, got 0.3: the biases stop"
    with pytest.raises(ValueError, match=message):
        theory.critical_input_variance([2.0, 1.5], bias_variance=0.3)
    with pytest.raises(ValueError, match=r"`bias_variance` must be at least 0, got -1.0"):
        theory.critical_input_variance(1.5, bias_variance=-1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda name: theory.mean_field(1.5, activation=name),
        lambda name: theory.critical_gain(activation=name),
        lambda name: theory.critical_input_variance(1.5, activation=name),
    ],
)
def test_other_activations_are_refused(call):
    assert call("tanh") is not None
    for name in ("relu", "linear"):
        with pytest.raises(ValueError, match=f"`activation` must be 'tanh', got '{name}': the"):
            call(name)
