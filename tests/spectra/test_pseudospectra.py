"""Pseudospectra against dense singular values, closed forms, and the laws of the resolvent."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.spectra import pseudospectra
from rnnsim.spectra.pseudospectra import Pseudospectrum, pseudospectrum

many = settings(derandomize=True, deadline=None, max_examples=40)


def gaussian(n_hidden, seed=0, gain=1.0):
    draw = np.random.default_rng(seed).standard_normal((n_hidden, n_hidden))
    return gain * draw / np.sqrt(n_hidden)


def grid(result):
    return result.real + 1j * result.imag[:, None]


def dense(matrix, points):
    """sigma_min(z - W) by a full decomposition at each point."""
    shifted = points[..., None, None] * np.eye(len(matrix)) - matrix
    return np.linalg.svd(shifted, compute_uv=False)[..., -1]


def test_shapes_dtypes_and_freezing():
    rnn = rnnsim.RNN.sample(2, n_inputs=1, n_hidden=5, n_outputs=1, dtype="float32", rng=0)
    result = pseudospectrum(rnn, real=[0.0, 0.5, 2.0], n_points=4)
    assert isinstance(result, Pseudospectrum)
    assert result.log_sigma_min.shape == result.converged.shape == (2, 4, 3)
    assert result.real.shape == (3,)
    assert result.imag.shape == (4,)
    assert result.log_sigma_min.dtype == np.float64
    assert result.converged.dtype == bool
    assert_array_equal(result.eigenvalues, rnnsim.spectrum(rnn).eigenvalues)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.real = None


def test_networks_and_their_matrices_are_the_same():
    rnn = rnnsim.RNN.sample(2, n_inputs=1, n_hidden=6, n_outputs=1, gain=[0.5, 2.0], rng=1)
    together = pseudospectrum(rnn, n_points=5)
    assert_array_equal(together.log_sigma_min, pseudospectrum(rnn.W_hh, n_points=5).log_sigma_min)
    for n in range(2):
        alone = pseudospectrum(rnn.W_hh[n], real=together.real, imag=together.imag)
        assert_array_equal(alone.log_sigma_min[0], together.log_sigma_min[n])


@many
@given(st.integers(1, 24), st.integers(0, 2**16), st.sampled_from([1e-150, 1e-3, 1.0, 1e150]))
def test_dense_singular_values(n_hidden, seed, gain):
    matrix = gaussian(n_hidden, seed, gain)
    result = pseudospectrum(matrix, n_points=9, tolerance=1e-4)
    assert result.converged.all()
    expected = dense(matrix / gain, grid(result) / gain)
    found = np.exp(result.log_sigma_min[0] - np.log(gain))
    # tolerance / 2, and rounding of a norm of 2 or 3
    assert_allclose(found, expected, rtol=5e-5, atol=1e-14 * n_hidden)


def test_the_error_goes_with_the_square_of_the_tolerance():
    """The bound is tolerance / 2; 2e-4 at 1e-2 and 1e-12 at 1e-6 were seen at H = 64."""
    matrix = gaussian(64, 1)
    for tolerance, bound in ((1e-2, 2e-3), (1e-6, 1e-11)):
        result = pseudospectrum(matrix, n_points=24, tolerance=tolerance)
        assert result.converged.all()
        error = result.log_sigma_min[0] - np.log(dense(matrix, grid(result)))
        assert np.abs(error).max() < bound
        assert error.min() > -1e-12  # Ritz values come from one side


def test_grcar_matrix():
    """-1 below the diagonal, 1 on it and on three above: a standard case far from normal."""
    matrix = sum(np.eye(48, k=k) for k in range(4)) - np.eye(48, k=-1)
    result = pseudospectrum(matrix, n_points=12)
    assert result.converged.all()
    expected = dense(matrix, grid(result))
    assert expected.min() < 1e-4
    distance = np.abs(grid(result)[..., None] - result.eigenvalues[0]).min(axis=-1)
    assert (distance / expected).max() > 1000.0  # perturbations far beyond what eigenvalues say
    # the Schur form rounds at 48 epsilons of a norm of 3.2
    assert_allclose(np.exp(result.log_sigma_min[0]), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("kind", ["symmetric", "skew", "orthogonal", "diagonal"])
def test_normal_matrices_see_the_distance_to_the_nearest_eigenvalue(kind):
    draw = gaussian(20, 3)
    matrix = {
        "symmetric": draw + draw.T,
        "skew": draw - draw.T,
        "orthogonal": np.linalg.qr(draw)[0],
        "diagonal": np.diag(np.arange(20.0) ** 2),
    }[kind]
    result = pseudospectrum(matrix, n_points=14)
    distance = np.abs(grid(result)[..., None] - np.linalg.eigvals(matrix)).min(axis=-1)
    assert result.converged.all()
    assert_allclose(np.exp(result.log_sigma_min[0]), distance, rtol=1e-6)  # the tolerance


def test_jordan_block_of_two():
    """z - [[a, c], [0, a]] has sigma_min = (sqrt(c^2 + 4 |z-a|^2) - |c|) / 2."""
    a, c = 0.5, 3.0
    result = pseudospectrum(np.array([[a, c], [0.0, a]]), n_points=20)
    distance = np.abs(grid(result) - a)
    expected = 2 * distance**2 / (np.sqrt(c**2 + 4 * distance**2) + c)
    assert_allclose(np.exp(result.log_sigma_min[0]), expected, rtol=1e-12)


def test_long_jordan_block():
    """For |z| < 1 the resolvent tends to one dyad: sigma_min = |z|^H (1 - |z|^2)."""
    n_hidden, z = 60, np.array([0.3, 0.5, 0.7])
    result = pseudospectrum(np.eye(n_hidden, k=1), real=z, imag=[0.0])
    expected = n_hidden * np.log(z) + np.log1p(-(z**2))
    assert result.converged.all()
    assert_allclose(result.log_sigma_min[0, 0], expected, atol=1e-6)  # 0.7^120 = 3e-19; tolerance


def test_at_an_eigenvalue():
    result = pseudospectrum(np.diag([1.0, -2.0]), real=[-2.0, 0.0, 1.0], imag=[0.0])
    assert_array_equal(result.log_sigma_min[0, 0], [-np.inf, 0.0, -np.inf])
    assert result.converged.all()


def test_zero_matrix_and_one_unit():
    result = pseudospectrum(np.zeros((3, 3)), n_points=4)
    assert_allclose(np.exp(result.log_sigma_min[0]), np.abs(grid(result)), rtol=1e-14)
    single = pseudospectrum(np.array([[-0.75]]), n_points=4)
    assert_allclose(np.exp(single.log_sigma_min[0]), np.abs(grid(single) + 0.75), rtol=1e-14)
    assert result.converged.all()
    assert single.converged.all()


def test_overflow_is_visible():
    """sigma_min is 1e-320 here, its inverse square beyond float64."""
    result = pseudospectrum(np.array([[0.0, 1.0], [0.0, 0.0]]), real=[1e-160, 1.0], imag=[0.0])
    assert_array_equal(result.converged[0, 0], [False, True])
    assert result.log_sigma_min[0, 0, 0] == -np.inf


def test_failure_to_converge_is_visible_and_leaves_an_upper_bound():
    matrix = gaussian(30, 5)
    full = pseudospectrum(matrix, n_points=10)
    short = pseudospectrum(matrix, n_points=10, max_iterations=5)
    assert full.converged.all()
    assert not short.converged.all()
    assert (short.log_sigma_min >= full.log_sigma_min - 1e-12).all()
    assert (short.log_sigma_min - full.log_sigma_min).max() > 1e-3
    agree = np.abs(short.log_sigma_min - full.log_sigma_min)[short.converged]
    assert (agree <= 1e-6).all()
    one = pseudospectrum(matrix, n_points=3, max_iterations=1)
    assert np.isfinite(one.log_sigma_min).all()


def test_conjugate_points_share_a_value():
    matrix = gaussian(12, 6)
    symmetric = pseudospectrum(matrix, n_points=7)
    assert_array_equal(symmetric.log_sigma_min, symmetric.log_sigma_min[:, ::-1])
    imag = [-0.7, -0.2, 0.3, 0.7]
    uneven = pseudospectrum(matrix, real=[0.1, 0.4], imag=imag)
    expected = np.log(dense(matrix, grid(uneven)))
    assert_allclose(uneven.log_sigma_min[0], expected, atol=1e-6)
    assert_array_equal(uneven.log_sigma_min[0, 0], uneven.log_sigma_min[0, 3])


def test_no_steeper_than_the_distance_between_points():
    result = pseudospectrum(gaussian(16, 7), n_points=30)
    sigma = np.exp(result.log_sigma_min[0])
    for axis, points in ((1, result.real), (0, result.imag)):
        step = points[1] - points[0]
        assert np.abs(np.diff(sigma, axis=axis)).max() <= step * (1 + 1e-5)


@many
@given(st.integers(2, 10), st.integers(0, 2**16), st.floats(-4, 4), st.floats(-2, 2))
def test_similarity_transposition_scale_and_shift(n_hidden, seed, log_factor, shift):
    matrix, factor = gaussian(n_hidden, seed), np.exp(log_factor)
    basis = np.linalg.qr(gaussian(n_hidden, seed + 1))[0]
    x, y = np.linspace(-1.5, 1.5, 5), np.array([0.0, 0.8])
    first = pseudospectrum(matrix, real=x, imag=y).log_sigma_min[0]
    same = np.stack([basis @ matrix @ basis.T, matrix.T])
    moved = matrix + shift * np.eye(n_hidden)
    cases = [
        *pseudospectrum(same, real=x, imag=y).log_sigma_min,
        pseudospectrum(factor * matrix, real=factor * x, imag=factor * y).log_sigma_min[0]
        - log_factor,
        pseudospectrum(moved, real=x + shift, imag=y).log_sigma_min[0],
    ]
    for case in cases:
        assert_allclose(np.exp(case), np.exp(first), rtol=2e-6, atol=1e-13)


def test_default_grid_holds_the_numerical_range():
    matrices = np.stack([gaussian(20, 8), 2 * np.eye(20, k=1), np.diag(np.arange(20.0))])
    result = pseudospectrum(matrices, n_points=11)
    assert result.real.shape == result.imag.shape == (11,)
    assert_array_equal(result.imag, -result.imag[::-1])
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 20)) + 1j * rng.standard_normal((500, 20))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    values = np.einsum("pi,nij,pj->np", x.conj(), matrices, x)
    values = np.concatenate([values, result.eigenvalues], axis=1)
    assert result.real[0] < values.real.min() < values.real.max() < result.real[-1]
    assert np.abs(values.imag).max() < result.imag[-1]
    # of diag(0..19): 20 percent of 19 on each side; of the Jordan block cos(pi/21) * 2 upwards
    assert_allclose(result.real[-1], 19 + 0.2 * (19 + 2 * np.cos(np.pi / 21)), rtol=1e-12)
    assert_allclose(pseudospectrum(np.diag([3.0, 3.0]), n_points=2).real, [2.4, 3.6], rtol=1e-14)
    assert_allclose(pseudospectrum(np.zeros((1, 1)), n_points=2).imag, [-0.2, 0.2], rtol=1e-14)


def test_repeats_to_the_same_bits_and_does_not_depend_on_groups(monkeypatch):
    matrix = gaussian(20, 9)
    first = pseudospectrum(matrix, n_points=24)
    assert_array_equal(pseudospectrum(matrix, n_points=24).log_sigma_min, first.log_sigma_min)
    monkeypatch.setattr(pseudospectra, "_ENTRIES", 1)  # groups of 128 points
    grouped = pseudospectrum(matrix, n_points=24)
    assert grouped.converged.all()
    assert_allclose(grouped.log_sigma_min, first.log_sigma_min, atol=1e-12)


@pytest.mark.parametrize("product", [1, 2_000, 1_000_000])
@pytest.mark.parametrize("n_hidden", [1, 7, 8, 9, 33])
def test_substitution_solves_the_system(n_hidden, product, monkeypatch):
    """Products of one piece, cut into groups, and too long to be cut."""
    monkeypatch.setattr(pseudospectra, "_PRODUCT", product)
    rng = np.random.default_rng(n_hidden)
    strict = np.triu(gaussian(n_hidden, 10) + 1j * gaussian(n_hidden, 11), 1)
    diagonal = 2.0 + rng.random((n_hidden, 50)) + 1j * rng.random((n_hidden, 50))
    right = rng.standard_normal((n_hidden, 50)) + 0j
    before = right.copy()
    x = pseudospectra._substitute(strict, 1 / diagonal, right)
    assert_allclose(diagonal * x - strict @ x, right, atol=1e-13)
    assert_array_equal(right, before)


def test_errors():
    matrix = np.eye(3)
    with pytest.raises(TypeError, match=r"`rnn` \(an RNN, or matrices\) must hold float32 or"):
        pseudospectrum(np.eye(3, dtype=int))
    with pytest.raises(ValueError, match=r"square matrices \(n_hidden, n_hidden\).*\(3, 2\)"):
        pseudospectrum(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"`rnn` must be a rnnsim.RNN, or square.*\(3,\)"):
        pseudospectrum(np.ones(3))
    with pytest.raises(ValueError, match=r"`rnn` must have at least one entry on each axis"):
        pseudospectrum(np.ones((0, 0)))
    with pytest.raises(ValueError, match=r"`rnn` must be finite, got nan at \[0, 1, 1\]"):
        pseudospectrum(np.diag([1.0, np.nan]))
    with pytest.raises(TypeError, match=r"`real` must be an array of real numbers, got 'x'"):
        pseudospectrum(matrix, real="x")
    with pytest.raises(ValueError, match=r"`real` must be one axis of the grid.*\(1, 2\)"):
        pseudospectrum(matrix, real=[[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"`imag` must be one axis of the grid.*\(0,\)"):
        pseudospectrum(matrix, imag=[])
    with pytest.raises(ValueError, match=r"`imag` must be finite, got inf at \[1\]"):
        pseudospectrum(matrix, imag=[0.0, np.inf])
    with pytest.raises(ValueError, match=r"`real` must be ascending.*sort it, as with np.unique"):
        pseudospectrum(matrix, real=[0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"`n_points` must be at least 2, got 1"):
        pseudospectrum(matrix, n_points=1)
    with pytest.raises(ValueError, match=r"`tolerance` must be a finite number between 0 and 1"):
        pseudospectrum(matrix, tolerance=1.0)
    with pytest.raises(ValueError, match=r"`max_iterations` must be at least 1, got 0"):
        pseudospectrum(matrix, max_iterations=0)
