"""Kaplan-Yorke dimension: cycles and tori at any length, its interval, networks without one."""

import numpy as np
import pytest
from builders import NOJIT
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, lyapunov_spectrum, product_exponents
from rnnsim.dynamics.dimension import kaplan_yorke

nojit = pytest.mark.nojit
compiled = pytest.mark.skipif(NOJIT, reason="too many steps without compilation")


def dimension(exponents, errors=0.01, H=None, **options):
    exponents = np.atleast_2d(np.asarray(exponents, float))
    errors = np.broadcast_to(errors, exponents.shape)
    found = kaplan_yorke(exponents, errors, H or exponents.shape[1], 1e-14, **options)
    return [values[0] for values in found]


def rotation(radians, factor):
    c, s = np.cos(radians), np.sin(radians)
    return factor * np.array([[c, -s], [s, c]])


@compiled
@pytest.mark.parametrize("n_steps", [1000, 2000, 5000, 20_000, 100_000])
def test_a_network_that_turns_for_ever_has_dimension_1_at_any_length(n_steps):
    rnn = RNN(np.zeros((2, 1)), rotation(1.0, 1.2), np.ones((1, 2)))
    for seed in range(3):
        found = lyapunov_spectrum(rnn, n_steps=n_steps, rng=seed)
        assert found.kaplan_yorke[0] == 1.0
        low, high = found.kaplan_yorke_interval[0]
        assert low == 0.0
        assert 1.0 < high < 1.01


@compiled
def test_two_rotations_apart_fill_a_torus():
    W_hh = np.zeros((4, 4))
    W_hh[:2, :2], W_hh[2:, 2:] = rotation(1.0, 1.2), rotation(2.3, 1.5)
    rnn = RNN(np.zeros((4, 1)), W_hh, np.ones((1, 4)))
    for n_steps in (2000, 20_000):
        found = lyapunov_spectrum(rnn, n_steps=n_steps, rng=0)
        assert found.kaplan_yorke[0] == 2.0
        assert found.kaplan_yorke_interval[0, 0] == 0.0


@nojit
def test_what_is_told_from_0_is_told_by_the_formula():
    assert_allclose(dimension([0.3, 0.1, -0.5, -1.0])[0], 2 + 0.4 / 0.5)
    low, high = dimension([0.3, 0.1, -0.5, -1.0])[1]
    assert_allclose([low, high], [2 + 0.36 / 0.52, 2 + 0.44 / 0.48], rtol=1e-9)
    assert dimension([-0.1, -0.5])[0] == 0.0
    assert_array_equal(dimension([-0.1, -0.5])[1], 0.0)
    assert dimension([0.5, -0.1])[0] == 2.0


@nojit
@pytest.mark.parametrize("largest", [-0.019, -1e-9, 0.0, 1e-9, 0.019])
def test_what_is_not_told_from_0_counts_as_0(largest):
    point, (low, high) = dimension([largest, -0.4])
    assert (point, low) == (1.0, 0.0)
    assert_allclose(high, 1 + (largest + 0.02) / 0.38, rtol=1e-9)
    both, _ = dimension([largest, largest, -0.4])
    assert both == 2.0
    later, _ = dimension([0.5, largest, -0.4])  # lambda_1 is told
    sums = 0.5 + largest
    assert_allclose(later, 3.0 if sums >= 0.4 else 2 + sums / 0.4)


@nojit
def test_the_point_lies_in_its_interval():
    rng = np.random.default_rng(0)
    for _ in range(300):
        exponents = np.sort(rng.normal(rng.normal(), 0.3, 6))[::-1] * 0.1
        point, (low, high) = dimension(exponents, rng.uniform(0, 0.02, 6))
        assert low <= point <= high
        assert low >= 0
        assert high <= 6


@nojit
def test_the_ends_hold_where_errors_differ_or_directions_die():
    # with errors added the second exponent is the larger one
    _, (low, high) = dimension([0.1, 0.09, -0.3], [0.0, 0.05, 0.0])
    assert_allclose([low, high], [2 + 0.09 / 0.3, 2 + 0.29 / 0.3], rtol=1e-9)
    point, ends = dimension([0.1, -0.5, -np.inf], [0.01, 0.01, np.nan])
    assert_allclose([point, *ends], [1.2, 1 + 0.08 / 0.52, 1 + 0.12 / 0.48], rtol=1e-9)
    point, ends = dimension([0.1, -0.5], np.nan)  # no errors known
    assert point == 1.2
    assert np.isnan(ends).all()


@nojit
def test_too_few_exponents_do_not_tell():
    assert np.isnan(dimension([0.5, 0.2], H=4)[0])
    assert np.isnan(dimension([0.5, 0.2], H=4)[1]).all()
    assert np.isnan(dimension([0.001, -0.001], H=4)[0])
    point, (low, high) = dimension([0.001, -0.001], H=2)
    assert (point, low, high) == (2.0, 0.0, 2.0)
    assert np.isnan(dimension([np.nan, np.nan])[0])
    assert np.isnan(dimension([np.nan, np.nan])[1]).all()


@nojit
def test_networks_whose_states_grow_have_no_dimension_unless_they_rest():
    assert dimension([-0.1, -0.5], bounded=False)[0] == 0.0
    for largest in (0.5, 0.001, -0.001):
        point, ends = dimension([largest, -2.0], bounded=False)
        assert np.isnan([point, *ends]).all()


@compiled
def test_an_unstable_linear_network_has_no_attractor():
    rnn = RNN.sample(
        2, n_inputs=1, n_hidden=16, n_outputs=1, gain=[0.8, 1.3], activation="linear", rng=0
    )
    found = lyapunov_spectrum(rnn, n_steps=1000, rng=0)
    assert_array_equal(found.kaplan_yorke, [0.0, np.nan])
    assert_array_equal(found.kaplan_yorke_interval, [[0.0, 0.0], [np.nan, np.nan]])
    assert found.entropy_rate[0] == 0.0
    logs = np.log(np.abs(np.linalg.eigvals(rnn.W_hh[1])))
    assert_allclose(found.entropy_rate[1], logs[logs > 0].sum(), atol=0.02)
    same = product_exponents(np.broadcast_to(rnn.W_hh[1], (200, 16, 16)), burn_in=20)
    assert same.kaplan_yorke[0] > 1  # any product may be that along an attractor


@nojit
def test_orthogonal_matrices_keep_all_dimensions_whatever_rounding_does():
    rng = np.random.default_rng(1)
    for dtype in ("float64", "float32"):
        turns = np.linalg.qr(rng.normal(size=(60, 3, 3)))[0].astype(dtype)
        found = product_exponents(turns, burn_in=10)
        assert found.kaplan_yorke[0] == 3.0
        assert_array_equal(found.kaplan_yorke_interval, [[0.0, 3.0]])
