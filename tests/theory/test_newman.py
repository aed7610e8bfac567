"""Newman's exponents: closed forms, products multiplied out, and the limit of large matrices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rnnsim import theory


def test_exponents_of_5_by_5_to_all_printed_digits():
    expected = [0.69815, 0.55797, 0.36482, 0.05797, -0.63518]
    assert_allclose(theory.newman_exponents(5), expected, atol=5e-6)


def test_closed_forms():
    # E ln|z| of a normal z is -(gamma + ln 2)/2, and ln of a chi with 2 degrees (ln 2 - gamma)/2
    single = -0.5 * (np.euler_gamma + np.log(2.0))
    assert_allclose(theory.newman_exponents(1), [single], rtol=1e-14)
    double = 0.5 * (np.log(2.0) - np.euler_gamma)
    assert_allclose(theory.newman_exponents(2), [double, single], rtol=1e-14)
    assert_allclose(theory.newman_variances(2), np.pi**2 / np.array([24, 8]), rtol=1e-14)


def test_gain_shifts_every_exponent():
    shifted = theory.newman_exponents(8, [0.5, 2.0])
    assert shifted.shape == (2, 8)
    plain = theory.newman_exponents(8)
    assert_allclose(shifted - plain, np.log([[0.5], [2.0]]) - 0.5 * np.log(8.0) + 0 * plain)
    assert_allclose(theory.newman_exponents(8, np.sqrt(8.0)), plain, rtol=1e-14)  # variance 1


def test_products_multiplied_out():
    rng = np.random.default_rng(3)
    T, n, gain = 20_000, 5, 1.3
    frame, logs = np.eye(n), np.empty((T, n))
    for t in range(T):
        factor = gain / np.sqrt(n) * rng.standard_normal((n, n))
        frame, triangle = np.linalg.qr(factor @ frame)
        logs[t] = np.log(np.abs(np.diag(triangle)))
    variances = theory.newman_variances(n)
    errors = np.abs(logs.mean(axis=0) - theory.newman_exponents(n, gain))
    assert (errors < 4 * np.sqrt(variances / T)).all()
    # ln of chi has at most 7 times its variance squared as fourth moment: 1.8 % standard error
    assert_allclose(logs.var(axis=0), variances, rtol=0.07)


def test_standard_errors_after_20000_factors():
    errors = np.sqrt(theory.newman_variances(5) / 20_000)
    assert_allclose(errors[[0, -1]], [0.0025, 0.0079], atol=5e-5)


def test_large_matrices_follow_the_triangle_law():
    gaps = []
    for n in (100, 1000):
        gap = theory.newman_exponents(n, 1.7) - theory.circular_law_log_moduli(n, 1.7)
        gaps.append(np.abs(gap[: int(0.9 * n)]).max())
    assert gaps[0] < 0.03
    assert_allclose(gaps[0] / gaps[1], 10.0, rtol=0.1)  # the correction is of order 1/n


def test_the_largest_stays_below_the_growth_of_the_mean_square():
    # E||W v||^2 = g^2 ||v||^2 exactly, and a mean of logs is below the log of a mean, by 1/(2 n)
    for n in (1, 4, 1000):
        assert theory.newman_exponents(n, 1.2)[0] < np.log(1.2)
    assert_allclose(2000 * (np.log(1.2) - theory.newman_exponents(1000, 1.2)[0]), 1.0, rtol=0.01)


def test_messages():
    for law in (theory.newman_exponents, theory.newman_variances):
        with pytest.raises(ValueError, match=r"`n` must be at least 1, got 0"):
            law(0)
        with pytest.raises(TypeError, match=r"`n` must be an integer of at least 1, got 5.0"):
            law(5.0)
    with pytest.raises(ValueError, match=r"`gain` must be above 0, got 0.0"):
        theory.newman_exponents(5, 0.0)
    with pytest.raises(ValueError, match=r"`gain` must be finite, got nan at \[0\]"):
        theory.newman_exponents(5, np.nan)
