"""Spectra: closed forms, laws of the decompositions, and random matrices against each other."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim.networks.rnn import RNN
from rnnsim.spectra.spectrum import Spectrum, by_modulus, spectrum

pytestmark = pytest.mark.lane
FIELDS = (
    "eigenvalues",
    "singular_values",
    "spectral_radius",
    "spectral_norm",
    "henrici",
    "henrici_relative",
)
EPS = np.finfo(float).eps
ROUNDING = 30 * 4 * EPS  # LAPACK's own tests allow 30 n epsilons, in units of the norm; n <= 4
many = settings(derandomize=True, deadline=None, max_examples=60)
draws = st.builds(
    lambda n_hidden, log_gain, seed: sample(n_hidden, gain=10.0**log_gain, rng=seed),
    st.integers(1, 12),
    st.integers(-8, 8),
    st.integers(0, 2**16),
)


def networks(W_hh):
    """Networks with these recurrent weights (N, H, H) or (H, H)."""
    W_hh = np.asarray(W_hh)
    n_networks, n_hidden = (1, *W_hh.shape)[-3], W_hh.shape[-1]
    shape = (n_networks, n_hidden, 1)
    return RNN(
        np.ones(shape, W_hh.dtype),
        W_hh.reshape(n_networks, n_hidden, n_hidden),
        np.ones((n_networks, 1, n_hidden), W_hh.dtype),
    )


def sample(n_hidden, n_networks=1, **options):
    return RNN.sample(n_networks, n_inputs=1, n_hidden=n_hidden, n_outputs=1, **options)


def test_one_unit():
    result = spectrum(networks([[-0.75]]))
    assert_array_equal(result.eigenvalues, [[-0.75]])
    assert_array_equal(result.singular_values, [[0.75]])
    assert_array_equal(result.spectral_radius, [0.75])
    assert_array_equal(result.spectral_norm, [0.75])
    assert_array_equal(result.henrici, [0.0])
    assert_array_equal(result.henrici_relative, [0.0])


def test_shapes_dtypes_and_freezing():
    result = spectrum(sample(5, 3, rng=0))
    assert isinstance(result, Spectrum)
    assert result.eigenvalues.shape == result.singular_values.shape == (3, 5)
    assert result.eigenvalues.dtype == np.complex128
    for name in FIELDS[1:]:
        assert getattr(result, name).dtype == np.float64
    for name in FIELDS[2:]:
        assert getattr(result, name).shape == (3,)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.henrici = None


@pytest.mark.parametrize("gain", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("scheme", ["orthogonal", "identity"])
def test_normal_matrices_have_all_moduli_at_the_gain(scheme, gain):
    result = spectrum(sample(24, 2, scheme=scheme, gain=gain, rng=1))
    assert_allclose(np.abs(result.eigenvalues), gain, rtol=1e-13)
    assert_allclose(result.singular_values, gain, rtol=1e-13)
    assert (result.henrici_relative < 1e-13).all()


def test_symmetric_matrix_is_normal_where_the_difference_of_squares_cancels():
    draw = sample(40, rng=2).W_hh[0]
    W_hh = draw + draw.T
    result = spectrum(networks(W_hh))
    assert result.henrici_relative[0] < 30 * 40 * EPS
    assert_allclose(np.sort(result.eigenvalues[0].real), np.linalg.eigvalsh(W_hh), atol=1e-13)
    assert_array_equal(result.eigenvalues.imag, 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_triangular_matrix_has_the_norm_of_its_strict_triangle(dtype):
    W_hh = np.array([[2.0, 3.0, 0.0], [0.0, -1.0, 4.0], [0.0, 0.0, 0.5]], dtype)
    result = spectrum(networks(W_hh))
    assert_allclose(result.henrici, [5.0], rtol=ROUNDING)
    assert_allclose(result.henrici_relative, [5.0 / np.sqrt(30.25)], rtol=ROUNDING)
    assert_allclose(result.eigenvalues, [[2.0, -1.0, 0.5]], rtol=ROUNDING)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-9, 1e-12])
def test_small_departures_keep_their_digits(epsilon):
    """||W||_F^2 - sum |lambda|^2 would lose epsilon^2 below 1e-16."""
    result = spectrum(networks([[1.0, epsilon], [0.0, 0.5]]))
    assert_allclose(result.henrici, [epsilon], rtol=ROUNDING)


def test_jordan_block_is_as_far_from_normal_as_can_be():
    result = spectrum(networks(np.diag(np.ones(3), 1)))
    assert_array_equal(result.eigenvalues, np.zeros((1, 4)))
    assert_allclose(result.henrici, [np.sqrt(3.0)], rtol=ROUNDING)
    assert_allclose(result.henrici_relative, [1.0], rtol=ROUNDING)


def test_rotation_and_shear_closed_form():
    """[[0, b], [-c, 0]]: eigenvalues +-i sqrt(bc), departure |b - c|."""
    result = spectrum(networks([[0.0, 4.0], [-1.0, 0.0]]))
    assert_allclose(result.eigenvalues, [[2j, -2j]], atol=2 * ROUNDING)
    assert_allclose(result.singular_values, [[4.0, 1.0]], rtol=ROUNDING)
    assert_allclose(result.henrici, [3.0], rtol=ROUNDING)


def test_zero_matrix():
    result = spectrum(networks(np.zeros((2, 2))))
    assert_array_equal(result.spectral_radius, [0.0])
    assert_array_equal(result.henrici, [0.0])
    assert np.isnan(result.henrici_relative[0])


def test_order_of_ties():
    ordered = np.array([[3 + 1j, 3 - 1j, 2, 2j, -2j, -2, 0], [5, 4j, -4j, -4, 1j, -1j, 0]])
    shuffled = ordered[:, [5, 1, 4, 6, 3, 0, 2]]
    assert_array_equal(by_modulus(shuffled), ordered)
    swap = spectrum(networks([[0.0, 1.0], [1.0, 0.0]]))
    assert_array_equal(swap.eigenvalues, [[1.0, -1.0]])


@many
@given(draws)
def test_schur_agrees_with_the_sum_rule(rnn):
    result, W_hh = spectrum(rnn), rnn.W_hh[0]
    total = np.sum(W_hh**2)
    remainder = total - np.sum(np.abs(result.eigenvalues) ** 2)
    assert_allclose(result.henrici[0] ** 2, remainder, atol=1e-13 * total)
    assert_allclose(np.sum(result.singular_values**2), total, rtol=1e-13)
    assert_allclose(result.henrici_relative, result.henrici / np.sqrt(total), rtol=1e-14)


@many
@given(draws)
def test_invariants_of_each_matrix(rnn):
    result, W_hh = spectrum(rnn), rnn.W_hh[0]
    values = result.eigenvalues[0]
    size = rnn.n_hidden * result.spectral_norm[0]
    assert_allclose(values.sum(), np.trace(W_hh), atol=1e-13 * size)
    assert_allclose(np.log(np.abs(values)).sum(), np.log(result.singular_values).sum(), atol=1e-9)
    assert result.spectral_radius[0] <= result.spectral_norm[0] * (1 + 1e-13)
    assert (np.diff(np.abs(values)) <= 0).all()
    assert (np.diff(result.singular_values) <= 0).all()
    pairs = np.flatnonzero(values.imag > 0)
    assert_array_equal(values[pairs + 1], values[pairs].conj())
    assert (values.imag > 0).sum() == (values.imag < 0).sum()


@many
@given(draws, st.integers(0, 2**16))
def test_what_leaves_the_spectrum_alone(rnn, seed):
    """Permuted units, an orthogonal basis change and transposition; scaling is linear."""
    W_hh, rng = rnn.W_hh[0], np.random.default_rng(seed)
    order = rng.permutation(len(W_hh))
    basis = np.linalg.qr(rng.standard_normal(W_hh.shape))[0]
    cases = np.stack([W_hh, W_hh[np.ix_(order, order)], basis @ W_hh @ basis.T, W_hh.T, -3 * W_hh])
    result, factor = spectrum(networks(cases)), np.array([1, 1, 1, 1, 3])
    size = np.linalg.norm(W_hh)
    for name in FIELDS[1:5]:
        # eigenvalues of nearly defective matrices move by more than one rounding
        tolerance = 1e-6 if name == "spectral_radius" else 1e-13
        value = getattr(result, name)
        expected = np.multiply.outer(factor, value[0])
        assert_allclose(value, expected, atol=3 * tolerance * size, err_msg=name)


def test_similarity_moves_singular_values_and_departure_but_not_eigenvalues():
    normal = np.diag([3.0, 2.0, 1.0])
    change = np.array([[1.0, 5.0, 0.0], [0.0, 1.0, 5.0], [0.0, 0.0, 1.0]])
    result = spectrum(networks(np.stack([normal, change @ normal @ np.linalg.inv(change)])))
    assert_allclose(result.eigenvalues[1], result.eigenvalues[0], rtol=1e-12)
    assert result.henrici[0] == 0.0
    assert result.henrici[1] > 1.0
    assert result.spectral_norm[1] > 2 * result.spectral_norm[0]


def test_powers_of_a_normal_matrix_have_the_power_of_the_radius_as_norm():
    draw = sample(16, rng=3).W_hh[0]
    W_hh = draw - draw.T
    power = np.linalg.matrix_power(W_hh, 20)
    radius = spectrum(networks(W_hh)).spectral_radius[0]
    assert_allclose(np.linalg.norm(power, 2), radius**20, rtol=1e-12)


def test_departure_of_large_gaussian_matrices():
    """Circular law: sum |lambda|^2 / H -> g^2/2 while ||W||_F^2 / H -> g^2."""
    relative = spectrum(sample(128, 4, gain=1.7, rng=4)).henrici_relative
    assert_allclose(relative, np.sqrt(0.5), atol=0.02)  # spread over draws 0.004


def test_each_network_of_an_ensemble_is_on_its_own():
    rnn = sample(9, 4, gain=[0.5, 1.0, 1.5, 2.0], rng=5)
    together = spectrum(rnn)
    for n in range(len(rnn)):
        alone = spectrum(rnn[n])
        for name in FIELDS:
            assert_array_equal(getattr(together, name)[n : n + 1], getattr(alone, name))


def test_float32_networks_are_computed_in_float64():
    rnn = sample(20, 2, dtype="float32", rng=6)
    narrow, wide = spectrum(rnn), spectrum(rnn.astype("float64"))
    for name in FIELDS:
        assert_array_equal(getattr(narrow, name), getattr(wide, name))


def test_only_the_recurrent_weights_count_and_they_stay_as_they_are():
    rnn = sample(6, rng=7)
    before = rnn.W_hh.copy()
    other = RNN(2 * rnn.W_xh, rnn.W_hh, -rnn.W_hy, activation="relu")
    assert_array_equal(spectrum(rnn).henrici, spectrum(other).henrici)
    assert_array_equal(rnn.W_hh, before)


def test_a_bare_matrix_is_refused():
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim.RNN, got ndarray; wrap weights"):
        spectrum(np.eye(3))


SCALES = (1e-300, 1e-200, 1e-160, 1e-8, 1.0, 1e8, 1e150, 1e160, 1e300)


@pytest.mark.parametrize("scale", SCALES)
def test_no_scale_of_the_weights_takes_squares_out_of_the_range(scale):
    result = spectrum(networks([[0.5 * scale, 2.0 * scale], [0.0, 0.5 * scale]]))
    assert_allclose(result.henrici, [2.0 * scale], rtol=ROUNDING)
    assert_allclose(result.henrici_relative, [2.0 / np.sqrt(4.5)], rtol=ROUNDING)
    assert_allclose(result.spectral_radius, [0.5 * scale], rtol=ROUNDING)
    assert_allclose(result.spectral_norm, [(2.0 + np.sqrt(5.0)) / 2 * scale], rtol=ROUNDING)


@pytest.mark.parametrize("power", [-1000, -500, 3, 500, 1000])
def test_powers_of_two_scale_every_field_exactly(power):
    W_hh = sample(9, 1, gain=1.0, rng=3).W_hh[0]
    before, after = spectrum(networks(W_hh)), spectrum(networks(np.ldexp(W_hh, power)))
    assert_array_equal(after.henrici_relative, before.henrici_relative)
    assert_array_equal(after.henrici, np.ldexp(before.henrici, power))


def test_a_departure_beyond_the_range_has_a_known_share():
    result = spectrum(networks(1.7e308 * np.triu(np.ones((4, 4)), 1)))
    assert_array_equal(result.henrici, [np.inf])
    assert_allclose(result.henrici_relative, [1.0], rtol=ROUNDING)
