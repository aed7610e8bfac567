"""Leading eigenvalues and singular values against the whole spectrum, and how failures show."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.spectra.leading import LeadingSpectrum, leading_spectrum
from rnnsim.spectra.spectrum import by_modulus


def gaussian(n_hidden, seed=0):
    return np.random.default_rng(seed).standard_normal((n_hidden, n_hidden)) / np.sqrt(n_hidden)


def sparse(n_hidden, seed, connections=20):
    return scipy.sparse.random(
        n_hidden,
        n_hidden,
        density=connections / n_hidden,
        random_state=seed,
        data_rvs=np.random.default_rng(seed).standard_normal,
        format="coo",
    ) / np.sqrt(connections)


def assert_leading(result, matrix, k):
    values = by_modulus(np.linalg.eigvals(matrix).astype(complex))[:k]
    assert result.converged.all()
    assert_allclose(result.eigenvalues[0], values, atol=1e-10)
    sigmas = np.linalg.svd(matrix, compute_uv=False)[:k]
    assert_allclose(result.singular_values[0], sigmas, atol=1e-12 * sigmas[0])


def test_shapes_dtypes_and_freezing():
    rnn = rnnsim.RNN.sample(2, n_inputs=1, n_hidden=30, n_outputs=1, dtype="float32", rng=0)
    result = leading_spectrum(rnn, 4)
    assert isinstance(result, LeadingSpectrum)
    assert result.eigenvalues.shape == result.singular_values.shape == (2, 4)
    assert result.eigenvalues.dtype == np.complex128
    assert result.singular_values.dtype == np.float64
    assert_array_equal(result.converged, [True, True])
    whole = rnnsim.spectrum(rnn)
    assert_allclose(result.eigenvalues, whole.eigenvalues[:, :4], atol=1e-12)
    assert_allclose(result.singular_values, whole.singular_values[:, :4], rtol=1e-12)
    assert_allclose(result.spectral_radius, whole.spectral_radius, rtol=1e-12)
    assert_allclose(result.spectral_norm, whole.spectral_norm, rtol=1e-12)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.converged = None


@pytest.mark.parametrize("seed", range(6))
def test_sparse_networks(seed):
    """Moduli at the edge of the disc are close together, none may be passed over."""
    matrix = sparse(250, seed)
    assert_leading(leading_spectrum(matrix, 6), matrix.toarray(), 6)


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, np.asarray])
def test_sparse_and_dense_forms_are_the_same(make):
    matrix = sparse(60, 1).toarray()
    assert_leading(leading_spectrum(make(matrix), 5), matrix, 5)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_every_k_of_a_small_network(k):
    """From 1 to H - 2; a pair cut in two keeps its positive half."""
    for seed in range(8):
        matrix = gaussian(7, seed)
        assert_leading(leading_spectrum(matrix, k), matrix, k)
    assert_leading(leading_spectrum(gaussian(3, 2), 1), gaussian(3, 2), 1)


def test_a_pair_cut_at_the_last_value_that_arpack_gives():
    """k = H - 2 leaves no spare values: of the second pair one comes, whichever it is."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    matrix = np.zeros((5, 5))
    matrix[:2, :2], matrix[2:4, 2:4] = 3 * turn, 2 * turn
    basis = np.linalg.qr(gaussian(5, 1))[0]
    found = leading_spectrum(basis @ matrix @ basis.T, 3).eigenvalues[0]
    assert_allclose(found, [3j, -3j, 2j], atol=1e-13)


def test_thousands_of_units_with_known_values():
    """Lower triangular: the eigenvalues are the diagonal. A rank of one: |u| |v| and v^T u."""
    keep = 0.9 ** np.arange(3000)
    chain = scipy.sparse.diags([keep, np.full(2999, 0.1)], [0, -1])
    found = leading_spectrum(chain, 8)
    assert found.converged.all()
    assert_allclose(found.eigenvalues, keep[None, :8], rtol=1e-10)
    u, v = np.random.default_rng(0).standard_normal((2, 800))
    single = leading_spectrum(np.outer(u, v), 3)
    assert_allclose(single.eigenvalues[0], [u @ v, 0, 0], atol=1e-11)
    norm = np.linalg.norm(u) * np.linalg.norm(v)
    assert_allclose(single.singular_values[0], [norm, 0, 0], atol=1e-12 * norm)


def test_matrices_that_arpack_alone_finds_hard():
    zero = leading_spectrum(np.zeros((2, 6, 6)), 3)
    assert_array_equal(zero.eigenvalues, np.zeros((2, 3)))
    assert_array_equal(zero.singular_values, np.zeros((2, 3)))
    assert zero.converged.all()
    empty = leading_spectrum(scipy.sparse.csr_array((6, 6)), 3)
    assert_array_equal(empty.eigenvalues, np.zeros((1, 3)))
    identity = leading_spectrum(scipy.sparse.eye_array(50), 4)
    assert_allclose(identity.eigenvalues, np.ones((1, 4)), rtol=1e-14)
    one_entry = scipy.sparse.coo_array(([2.0], ([0], [1])), shape=(50, 50))
    nilpotent = leading_spectrum(one_entry, 3)
    assert_allclose(nilpotent.eigenvalues, np.zeros((1, 3)), atol=1e-12)
    assert_allclose(nilpotent.singular_values, [[2.0, 0.0, 0.0]], atol=1e-14)


def test_failure_to_converge_is_visible():
    result = leading_spectrum(gaussian(120, 3), 3, max_iterations=1)
    assert_array_equal(result.converged, [False])
    assert np.isnan(result.eigenvalues).any()
    enough = leading_spectrum(gaussian(120, 3), 3)
    assert_leading(enough, gaussian(120, 3), 3)
    known = np.isfinite(result.singular_values)  # these had converged: they are singular values
    whole = np.linalg.svd(gaussian(120, 3), compute_uv=False)
    for value in result.singular_values[known]:
        assert np.abs(whole - value).min() < 1e-8


def test_outliers_converge_though_the_rest_does_not():
    """All moduli but one are equal; the spare values fail, the one wanted does not."""
    matrix = np.linalg.qr(gaussian(300, 4))[0]
    matrix = matrix + 6.0 * np.outer(np.ones(300), np.ones(300)) / 300
    result = leading_spectrum(matrix, 1, max_iterations=8)
    assert result.converged.all()
    expected = by_modulus(np.linalg.eigvals(matrix).astype(complex))[0]
    assert_allclose(result.eigenvalues[0, 0], expected, rtol=1e-12)


def test_a_loose_tolerance_is_passed_on():
    matrix = sparse(400, 7)
    loose, tight = leading_spectrum(matrix, 4, tolerance=1e-2), leading_spectrum(matrix, 4)
    difference = np.abs(loose.eigenvalues - tight.eigenvalues).max()
    assert 1e-12 < difference < 1e-2


def test_repeats_to_the_same_bits_and_leaves_the_matrix_alone():
    matrix = sparse(200, 8).tocsr()
    before = matrix.data.copy()
    first, second = leading_spectrum(matrix, 5), leading_spectrum(matrix, 5)
    assert_array_equal(first.eigenvalues, second.eigenvalues)
    assert_array_equal(first.singular_values, second.singular_values)
    assert_array_equal(matrix.data, before)


@pytest.mark.parametrize("power", [-1060, -1000, -700, -500, 500, 700, 1000])
@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_no_scale_of_the_matrix_takes_squares_out_of_the_range(power, make):
    matrix = gaussian(12)
    before = leading_spectrum(make(matrix), 3)
    after = leading_spectrum(make(np.ldexp(matrix, power)), 3)
    rounding = 2.0**-1074 / np.ldexp(1.0, max(power, -1060))  # of subnormal entries
    tolerance = {"rtol": 1e-12 + 100 * rounding}
    assert_allclose(
        after.eigenvalues * 2.0 ** min(-power, 1000),
        before.eigenvalues * 2.0 ** (power + min(-power, 1000)),
        **tolerance,
    )
    assert_allclose(np.ldexp(after.singular_values, -power), before.singular_values, **tolerance)
    assert after.converged.all()


def test_errors():
    matrix = np.eye(5)
    with pytest.raises(ValueError, match=r"`k` must be at most n_hidden - 2 = 3 for ARPACK, got 4"):
        leading_spectrum(matrix, 4)
    with pytest.raises(ValueError, match=r"rnnsim.spectrum takes networks and gives all values"):
        leading_spectrum(np.eye(2), 1)
    with pytest.raises(ValueError, match=r"`k` must be at least 1, got 0"):
        leading_spectrum(matrix, 0)
    with pytest.raises(ValueError, match=r"`tolerance` must be a finite number between 0 and 1"):
        leading_spectrum(matrix, 1, tolerance=-1e-3)
    with pytest.raises(ValueError, match=r"`max_iterations` must be at least 1, got 0"):
        leading_spectrum(matrix, 1, max_iterations=0)
    with pytest.raises(
        ValueError, match=r"square sparse matrix \(n_hidden, n_hidden\), got \(3, 4"
    ):
        leading_spectrum(scipy.sparse.csr_array((3, 4)), 1)
    with pytest.raises(TypeError, match=r"`rnn` must hold float32 or float64, got int64; convert"):
        leading_spectrum(scipy.sparse.eye_array(5, dtype=np.int64), 1)
    with pytest.raises(ValueError, match=r"`rnn` must be finite, got nan"):
        leading_spectrum(scipy.sparse.csr_array(np.diag([1.0, np.nan, 0.0])), 1)
    with pytest.raises(ValueError, match=r"`rnn` must be a rnnsim.RNN, or square matrices"):
        leading_spectrum(np.ones((2, 3)), 1)
