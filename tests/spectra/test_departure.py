"""The same eigenvalues at another departure from normality: closed forms and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import RNN, spectrum, with_departure


def networks(W_hh, **options):
    W_hh = np.asarray(W_hh)
    H = W_hh.shape[-1]
    return RNN(np.ones((H, 1), W_hh.dtype), W_hh, np.ones((1, H), W_hh.dtype), **options)


def sample(n_hidden, n_networks=1, **options):
    return RNN.sample(n_networks, n_inputs=1, n_hidden=n_hidden, n_outputs=1, **options)


def coefficients(W_hh):
    """Characteristic polynomials: what eigenvalues are, without their condition."""
    return np.array([np.poly(matrix) for matrix in W_hh])


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(0, 2**16), st.floats(0.0, 3.0))
def test_eigenvalues_stay_and_the_departure_scales(n_hidden, seed, scale):
    rnn = sample(n_hidden, rng=seed)
    changed = with_departure(rnn, scale)
    before, after = spectrum(rnn), spectrum(changed)
    # Rounding of the product of three matrices, in units of the norm to the power of the degree.
    size = max(1.0, float(after.spectral_norm[0])) ** n_hidden
    assert_allclose(coefficients(changed.W_hh), coefficients(rnn.W_hh), atol=1e-11 * size)
    norm = float(before.spectral_norm[0]) * (1 + scale)
    assert_allclose(after.henrici, scale * before.henrici, rtol=1e-9, atol=1e-12 * norm)


def test_at_0_powers_shrink_as_the_spectral_radius():
    rnn = sample(24, rng=3)
    normal = with_departure(rnn, 0.0)
    radius = spectrum(rnn).spectral_radius[0]
    W = normal.W_hh[0]
    assert_allclose(W @ W.T, W.T @ W, atol=1e-13)
    powers = [np.linalg.norm(np.linalg.matrix_power(W, k), 2) for k in (1, 2, 7, 30)]
    assert_allclose(powers, radius ** np.array([1, 2, 7, 30]), rtol=1e-11)


def test_at_1_nothing_changes():
    rnn = sample(20, 3, gain=1.7, rng=0)
    assert_allclose(with_departure(rnn, 1.0).W_hh, rnn.W_hh, atol=1e-13)


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 1e6])
def test_a_block_of_a_pair_by_hand(scale):
    b, c = 3.0, 0.25
    rnn = networks([[0.5, b], [-c, 0.5]])
    W = with_departure(rnn, scale).W_hh[0]
    assert_allclose(np.diag(W), 0.5, rtol=1e-12)
    assert_allclose(-W[0, 1] * W[1, 0], b * c, rtol=1e-12)  # the angular frequency, squared
    assert_allclose(abs(W[0, 1]) - abs(W[1, 0]), scale * (b - c), rtol=1e-12)


@pytest.mark.parametrize(("b", "c"), [(3.0, 0.25), (0.25, 3.0), (-3.0, -0.25), (-0.25, -3.0)])
def test_the_sense_of_rotation_and_the_larger_entry_stay(b, c):
    W = with_departure(networks([[0.5, b], [-c, 0.5]]), 2.0).W_hh[0]
    assert np.sign(W[0, 1]) == np.sign(b)
    assert np.sign(W[1, 0]) == -np.sign(c)
    assert (abs(W[0, 1]) > abs(W[1, 0])) == (abs(b) > abs(c))


def test_a_triangular_matrix_has_its_upper_part_scaled():
    W_hh = np.array([[0.9, 2.0, -1.0], [0.0, 0.5, 3.0], [0.0, 0.0, -0.2]])
    for scale in (0.0, 0.25, 4.0):
        expected = np.where(np.eye(3) == 1, W_hh, scale * W_hh)
        assert_allclose(with_departure(networks(W_hh), scale).W_hh[0], expected, rtol=1e-12)


@pytest.mark.parametrize("scheme", ["orthogonal", "identity"])
def test_normal_networks_stay_what_they_are(scheme):
    rnn = sample(12, 2, scheme=scheme, rng=1)
    assert_allclose(with_departure(rnn, 5.0).W_hh, rnn.W_hh, atol=1e-13)


def test_transients_grow_with_the_scale_although_eigenvalues_stay():
    rnn = sample(32, gain=0.7, rng=2)
    family = {s: with_departure(rnn, s).W_hh[0] for s in (0.0, 1.0, 2.0, 3.0)}
    growths = [
        max(np.linalg.norm(np.linalg.matrix_power(W, k), 2) for k in range(1, 30))
        for W in family.values()
    ]
    assert growths == sorted(growths)
    assert growths[0] < 1 < growths[-1] / 5


def test_each_network_has_its_own_scale_and_the_rest_stays():
    rnn = RNN.sample(
        3, n_inputs=2, n_hidden=5, n_outputs=4, activation="relu", dtype="float32", rng=0
    )
    changed = with_departure(rnn, [0.0, 1.0, 3.0])
    assert changed.activation == "relu"
    assert changed.dtype == np.float32
    for name in ("W_xh", "W_hy", "b_h", "b_y"):
        assert_array_equal(getattr(changed, name), getattr(rnn, name))
    ratio = spectrum(changed).henrici / spectrum(rnn).henrici
    assert_allclose(ratio, [0.0, 1.0, 3.0], atol=1e-5)  # a few epsilons of float32
    for i, scale in enumerate((0.0, 1.0, 3.0)):
        assert_array_equal(with_departure(rnn[i], scale).W_hh[0], changed.W_hh[i])


@pytest.mark.parametrize(
    ("scale", "error", "message"),
    [
        (-1.0, ValueError, "`scale` must be at least 0, got -1.0"),
        (np.nan, ValueError, "`scale` must be finite"),
        ("much", TypeError, "`scale` must be a real number"),
        ([1.0, 2.0, 3.0], ValueError, r"`scale` must be a number or of shape \(n_networks,\) = "),
        (1e300, ValueError, "`scale` must leave W_hh within the range of float32, got 1e\\+300"),
    ],
)
def test_refused_scales(scale, error, message):
    with pytest.raises(error, match=message):
        with_departure(sample(4, 2, dtype="float32", rng=0), scale)


def test_weights_alone_are_refused():
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim.RNN, got ndarray; wrap"):
        rnnsim.with_departure(np.eye(3), 1.0)
