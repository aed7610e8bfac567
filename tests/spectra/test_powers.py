"""Norms of powers and the Kreiss constant: closed forms, plain powers, the Kreiss inequality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar

import rnnsim
from rnnsim.spectra.powers import kreiss, transient_growth
from rnnsim.spectra.pseudospectra import schur_triangle

many = settings(derandomize=True, deadline=None, max_examples=40)
some = settings(derandomize=True, deadline=None, max_examples=15)
draws = st.tuples(st.integers(2, 10), st.integers(0, 2**16))


def gaussian(n_hidden, seed=0, gain=1.0):
    draw = np.random.default_rng(seed).standard_normal((n_hidden, n_hidden))
    return gain * draw / np.sqrt(n_hidden)


def spectral_radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


def constant(matrix, radius):
    return kreiss(schur_triangle(matrix), radius).constant


def triangle(a, b, c):
    return np.array([[a, c], [0.0, b]])


# Norms of powers


@many
@given(draws)
def test_growth_is_the_norm_of_the_power(draw):
    matrix, lags = gaussian(*draw), [7, 0, 3, 30, 1, 3]
    norms = [np.linalg.norm(np.linalg.matrix_power(matrix, k), 2) for k in lags]
    assert_allclose(transient_growth(matrix, lags), [np.log(norms)], atol=1e-10)


def test_shape_ensembles_and_float32():
    rnn = rnnsim.RNN.sample(
        3, n_inputs=1, n_hidden=6, n_outputs=1, gain=[0.5, 1.0, 2.0], dtype="float32", rng=0
    )
    together = transient_growth(rnn, range(40))
    assert together.shape == (3, 40)
    assert together.dtype == np.float64
    assert_array_equal(together[:, 0], 0.0)
    for n in range(3):
        alone = transient_growth(rnn[n].astype("float64"), range(40))
        assert_allclose(alone, together[n : n + 1], atol=1e-12)


@pytest.mark.parametrize("scheme", ["orthogonal", "identity"])
def test_normal_matrices_follow_the_spectral_radius(scheme):
    rnn = rnnsim.RNN.sample(
        2, n_inputs=1, n_hidden=12, n_outputs=1, scheme=scheme, gain=[0.1, 3.0], rng=1
    )
    lags = np.array([0, 1, 10, 1000, 100_000])
    expected = np.log([[0.1], [3.0]]) * lags
    assert_allclose(transient_growth(rnn, lags), expected, rtol=1e-12, atol=1e-12)


def test_two_decays_and_a_link():
    """W^k = [[a^k, c (a^k - b^k)/(a - b)], [0, b^k]]: a hump, then the line k ln a."""
    a, b, c = 0.9, 0.5, 20.0
    k = np.arange(60)
    found = transient_growth(triangle(a, b, c), k)[0]
    powers = np.stack([triangle(a**j, b**j, c * (a**j - b**j) / (a - b)) for j in k])
    assert_allclose(found, np.log(np.linalg.norm(powers, 2, axis=(1, 2))), atol=1e-13)
    hump = found - k * np.log(a)
    assert hump.max() > 3.0
    # in the end the norm of the projector on the leading eigenvector
    assert_allclose(hump[-1], 0.5 * np.log1p((c / (a - b)) ** 2), atol=1e-10)


@pytest.mark.parametrize("a", [1e-3, 0.5, 1.0, 40.0])
def test_jordan_block_at_lags_beyond_any_float(a):
    """[[a, c], [0, a]]^k = a^(k-1) [[a, k c], [0, a]]."""
    c, lags = 2.0, np.array([1, 10, 1000, 10**6, 10**12])
    inner = [np.log(np.linalg.norm(triangle(a, a, k * c), 2)) for k in lags.astype(float)]
    expected = np.array(inner) + (lags - 1) * np.log(a)
    found = transient_growth(triangle(a, a, c), lags)[0]
    # repeated squaring doubles a rounding with the power
    assert (np.abs(found - expected) <= 1e-13 + 4e-15 * lags).all()


def test_nilpotent_matrices_end():
    found = transient_growth(np.diag([3.0, 2.0], 1), range(5))[0]
    assert_allclose(found[:3], np.log([1.0, 3.0, 6.0]), atol=1e-15)
    assert_array_equal(found[3:], -np.inf)
    assert_array_equal(transient_growth(np.zeros((1, 1)), [0, 1]), [[0.0, -np.inf]])


@many
@given(draws, st.integers(0, 40), st.integers(0, 40))
def test_submultiplicative_and_above_the_spectral_radius(draw, j, k):
    matrix = gaussian(*draw)
    first, second, both = transient_growth(matrix, [j, k, j + k])[0]
    assert both <= first + second + 1e-9
    assert first >= j * np.log(spectral_radius(matrix)) - 1e-9


@pytest.mark.parametrize("factor", [1e-300, 1e-20, 1e300])
def test_scale(factor):
    lags = np.array([0, 1, 2, 50, 1000])
    shifted = transient_growth(factor * gaussian(7, 3), lags) - lags * np.log(factor)
    assert_allclose(shifted, transient_growth(gaussian(7, 3), lags), atol=1e-9)


def test_lags_are_refused():
    matrix = np.eye(2)
    with pytest.raises(TypeError, match=r"`lags` must be integers such as range\(100\), got 5"):
        transient_growth(matrix, 5)
    with pytest.raises(ValueError, match=r"`lags` must hold at least one lag.*pass, say, range"):
        transient_growth(matrix, [])
    with pytest.raises(ValueError, match=r"`lags\[1\]` must be at least 0, got -1"):
        transient_growth(matrix, [0, -1])
    with pytest.raises(TypeError, match=r"`lags\[0\]` must be an integer of at least 0, got 0.5"):
        transient_growth(matrix, [0.5])
    with pytest.raises(ValueError, match=r"`rnn` must be a rnnsim.RNN, or square matrices"):
        transient_growth(np.ones((2, 3)), [1])


# Kreiss constant


@some
@given(draws, st.sampled_from([1.02, 1.2, 1.6]))
def test_kreiss_inequality(draw, excess):
    """K <= sup ||W^k|| / R^k <= e H K; above the spectral radius some hundred lags show the sup."""
    matrix = gaussian(*draw)
    radius = excess * spectral_radius(matrix)
    lags = np.arange(500)
    highest = np.exp((transient_growth(matrix, lags)[0] - lags * np.log(radius)).max())
    found = constant(matrix, radius)
    assert 1.0 <= found <= highest * (1 + 1e-9)
    assert highest <= np.e * len(matrix) * found


@some
@given(draws, st.sampled_from([1.0, 1.02, 1.2]))
def test_no_point_of_a_fine_grid_is_higher(draw, excess):
    matrix = gaussian(*draw)
    radius = excess * spectral_radius(matrix)
    gaps = np.geomspace(1e-5, 30.0, 60)[:, None] * radius
    rays = np.union1d(np.linspace(0, np.pi, 60), np.abs(np.angle(np.linalg.eigvals(matrix))))
    z = (radius + gaps) * np.exp(1j * rays)
    sigma = np.linalg.svd(z[..., None, None] * np.eye(len(matrix)) - matrix, compute_uv=False)
    assert constant(matrix, radius) >= (gaps / sigma[..., -1]).max() * (1 - 1e-9)


@pytest.mark.parametrize("c", [1.5, 4.0, 100.0])
@pytest.mark.parametrize("radius", [0.1, 0.9])
def test_nilpotent_two_units_closed_form(radius, c):
    """sigma_min(z - W) = (sqrt(c^2 + 4 |z|^2) - c) / 2: one variable to maximise over."""
    ratio = lambda r: (r - radius) * (np.sqrt(c**2 + 4 * r**2) + c) / (2 * r**2)  # noqa: E731
    best = minimize_scalar(
        lambda r: -ratio(r), bounds=(radius, 10 * c), method="bounded", options={"xatol": 1e-12}
    )
    # at least 1, which is reached far out
    assert_allclose(constant(triangle(0.0, 0.0, c), radius), max(-best.fun, 1.0), rtol=1e-11)


def test_at_the_spectral_radius_at_least_the_condition_of_the_leading_eigenvalue():
    """(|z| - rho) ||(z - W)^-1|| tends to 1/|u^* v| on the way to a simple eigenvalue."""
    a, b, c = 0.6, 0.5, 0.8
    condition = np.sqrt(1 + (c / (a - b)) ** 2)
    found = kreiss(schur_triangle(triangle(a, b, c)), a)
    assert_allclose(found.constant, condition, rtol=1e-5)  # the circle is left by 1e-7 radii
    assert_allclose(found.point, a, rtol=1e-6)


def test_normal_matrices_have_no_transients():
    draw = gaussian(9, 4)
    for matrix in (
        draw + draw.T,
        draw - draw.T,
        np.linalg.qr(draw)[0],
        np.eye(3),
        np.zeros((2, 2)),
    ):
        found = kreiss(schur_triangle(matrix), spectral_radius(matrix))
        assert found.constant == 1.0
        assert found.point == np.inf


def test_defective_and_nilpotent_matrices_have_no_bound():
    basis = np.linalg.qr(gaussian(2, 5))[0]
    defective = triangle(0.5, 0.5, 2.0)
    assert constant(defective, 0.5) == np.inf
    turned = basis @ defective @ basis.T  # rounding splits the eigenvalue by 1e-8
    assert constant(turned, None) == np.inf
    assert constant(np.eye(4, k=1), 0.0) == np.inf
    assert constant(np.eye(4, k=1), 1.0) == 1.0


def test_a_radius_below_the_spectral_radius_is_outgrown():
    matrix = np.diag([0.5, -0.8])
    found = kreiss(schur_triangle(matrix), 0.7)
    assert found.constant == np.inf
    assert found.point == -0.8
    assert constant(matrix, 0.8 * (1 - 1e-15)) == 1.0  # equal to rounding


def test_the_point_shows_the_rotation_of_the_transient():
    """A rotation by 60 degrees with two units ahead of it: the growth is along that angle."""
    turn = 0.7 * np.array([[0.5, -np.sqrt(0.75)], [np.sqrt(0.75), 0.5]])
    matrix = np.block([[turn, 5 * np.eye(2)], [np.zeros((2, 2)), turn]])
    found = kreiss(schur_triangle(matrix), 1.0)
    assert_allclose(np.angle(found.point), np.pi / 3, rtol=1e-5)
    assert found.constant > 4.0
