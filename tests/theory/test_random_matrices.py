"""Laws of large random matrices against draws at H = 256, closed forms, and each other."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

from rnnsim import theory
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import RNN


@pytest.fixture(scope="module")
def large():
    """W_hh, moduli of eigenvalues, singular values, at H = 256 and gain 1; 20 random draws."""
    result = {}
    for scheme in SCHEMES:
        n_draws = 20 if scheme in ("gaussian", "uniform") else 2
        W_hh = RNN.sample(
            n_draws, n_inputs=1, n_hidden=256, n_outputs=1, scheme=scheme, rng=11
        ).W_hh
        moduli = np.abs(np.linalg.eigvals(W_hh))
        result[scheme] = W_hh, moduli, np.linalg.svd(W_hh, compute_uv=False)
    return result


@pytest.mark.parametrize("scheme", ["gaussian", "uniform", "orthogonal"])
def test_effective_gain_is_the_spread_of_the_entries(scheme, large):
    W_hh, _, _ = large[scheme]
    # at least 2 x 65,536 entries: the standard error of their spread is at most 0.002
    assert_allclose(16 * W_hh.std(), theory.effective_gain(scheme, 1.0), atol=0.006)


def test_effective_gain_closed_forms():
    assert theory.effective_gain("gaussian", 1.5) == 1.5
    assert theory.effective_gain("orthogonal", 1.5) == 1.5
    assert_allclose(theory.effective_gain("uniform", [0.0, 3.0]), [0.0, np.sqrt(3.0)])
    with pytest.raises(ValueError, match=r"`scheme` must be one of 'gaussian', .*got 'identity'"):
        theory.effective_gain("identity", 1.0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spectral_radius(scheme, large):
    _, moduli, _ = large[scheme]
    ratio = moduli.max(axis=1) / theory.spectral_radius(scheme, 1.0)
    if scheme in ("orthogonal", "identity"):
        assert_allclose(moduli / theory.spectral_radius(scheme, 1.0), 1.0, rtol=1e-13)
    else:  # 1.034 +- 0.020 over draws, 0.0045 for the mean of 20
        assert_allclose(ratio.mean(), 1.034, atol=0.018)
        assert 0.01 < ratio.std() < 0.04


def test_spectral_radius_closed_forms():
    gain = np.array([0.0, 0.9, 2.0])
    for scheme in ("gaussian", "orthogonal", "identity"):
        assert_array_equal(theory.spectral_radius(scheme, gain), gain)
    assert_allclose(theory.spectral_radius("uniform", gain), gain / np.sqrt(3), rtol=1e-15)
    with pytest.raises(ValueError, match=r"`scheme` must be one of .*, got 'normal'"):
        theory.spectral_radius("normal", 1.0)


@pytest.mark.parametrize("scheme", ["gaussian", "uniform"])
def test_circular_law(scheme, large):
    _, moduli, _ = large[scheme]
    gain = theory.effective_gain(scheme, 1.0)
    for radius in (0.2, 0.4, 0.6, 0.8):
        # over draws the fraction scatters by up to 0.014, the mean of 20 by 0.003; 4 of those
        expected = theory.circular_law_fraction(radius * gain, gain)
        assert_allclose((moduli <= radius * gain).mean(), expected, atol=0.013)


def test_circular_law_closed_form():
    assert_allclose(
        theory.circular_law_fraction([0.0, 1.0, 2.0, 5.0], 2.0), [0, 0.25, 1, 1], rtol=1e-15
    )
    assert theory.circular_law_fraction([[0.5], [1.0]], [1.0, 2.0, 4.0]).shape == (2, 3)
    with pytest.raises(ValueError, match=r"`gain` must be above 0, got 0.0"):
        theory.circular_law_fraction(1.0, [1.0, 0.0])


@pytest.mark.parametrize("scheme", ["gaussian", "uniform"])
def test_singular_value_edge(scheme, large):
    norms = large[scheme][2][:, 0]
    edge = theory.singular_value_edge(theory.effective_gain(scheme, 1.0))
    # 1.980 +- 0.023 over draws where the edge is 2, 0.005 for the mean of 20
    assert_allclose(2 * norms.mean() / edge, 1.980, atol=0.02)
    assert 0.011 < 2 * norms.std() / edge < 0.046


def test_log_moduli_are_quantiles_of_the_circular_law():
    logs = theory.circular_law_log_moduli(50, [0.3, 2.0])
    assert logs.shape == (2, 50)
    fractions = theory.circular_law_fraction(np.exp(logs), [[0.3], [2.0]])
    assert_allclose(fractions, np.tile(1 - (np.arange(50) + 0.5) / 50, (2, 1)), rtol=1e-12)
    assert_allclose(theory.circular_law_log_moduli(1, 1.0), [0.5 * np.log(0.5)], rtol=1e-15)
    # the sum over middles misses ln(2)/4 of the integral at its end, where the log is singular
    for H in (10, 1000):
        mean = theory.circular_law_log_moduli(H, 2.0).mean()
        assert_allclose(H * (mean - np.log(2.0) + 0.5), 0.25 * np.log(2.0), rtol=0.02)


@pytest.mark.parametrize("scheme", ["gaussian", "uniform"])
def test_log_moduli_of_draws(scheme, large):
    logs = np.sort(np.log(large[scheme][1]), axis=1)[:, ::-1].mean(axis=0)
    expected = theory.circular_law_log_moduli(256, theory.effective_gain(scheme, 1.0))
    # a mean over 20 draws; the largest moduli lie up to 0.04 higher, small ones scatter
    assert_allclose(logs[10:200], expected[10:200], atol=0.02)


# --- singular values -----------------------------------------------------------------------------


def test_quarter_circle_has_mass_1_and_mean_square_g2():
    for gain in (0.4, 3.0):
        moments = [
            quad(lambda s, k=k, g=gain: s**k * theory.singular_value_density(s, g), 0, 2 * gain)[0]
            for k in (0, 1, 2, 4)
        ]
        expected = [1.0, 8 / (3 * np.pi) * gain, gain**2, 2 * gain**4]
        assert_allclose(moments, expected, rtol=1e-6)  # what quad reaches at the edge's root
    assert_allclose(theory.singular_value_density([0.0, 4.0, 9.0], 2.0), [1 / np.pi, 0, 0])


def test_fraction_is_the_integral_of_the_density():
    s, step = np.linspace(0.01, 2.9, 60), 1e-5
    slope = theory.singular_value_fraction(s + step, 1.5)
    slope -= theory.singular_value_fraction(s - step, 1.5)
    # truncation below step^2 p''/6 with p'' < 10 up to 2.9, rounding below 1e-16/step
    assert_allclose(slope / (2 * step), theory.singular_value_density(s, 1.5), atol=1e-9)
    quarter = (np.pi / 2 + 1) / np.pi
    assert_allclose(
        theory.singular_value_fraction([0.0, np.sqrt(2.0), 2.0, 5.0], 1.0), [0, quarter, 1, 1]
    )
    assert theory.singular_value_fraction(np.ones((3, 1)), np.ones(4)).shape == (3, 4)


def test_quantile_inverts_the_fraction():
    fraction = np.linspace(0.0, 1.0, 101)
    value = theory.singular_value_quantile(fraction, 0.7)
    assert_allclose(theory.singular_value_fraction(value, 0.7), fraction, atol=1e-14)
    assert (np.diff(value) > 0).all()
    assert_allclose(value[[0, -1]], [0.0, theory.singular_value_edge(0.7)], atol=1e-15)
    assert theory.singular_value_quantile(np.ones((3, 1)), np.ones(4)).shape == (3, 4)
    assert_allclose(theory.singular_value_quantile(0.3, [1.0, 2.0]) / [1.0, 2.0], value[30] / 0.7)


@pytest.mark.parametrize("scheme", ["gaussian", "uniform"])
def test_singular_values_of_draws(scheme, large):
    gain = theory.effective_gain(scheme, 1.0)
    values = large[scheme][2]
    expected = theory.singular_value_quantile(1 - (np.arange(256) + 0.5) / 256, gain)
    # singular values repel each other: the mean of 20 draws is within the distance of neighbours
    assert_allclose(values.mean(axis=0) / gain, expected / gain, atol=0.02)
    for s in (0.3, 1.0, 1.7):
        fraction = theory.singular_value_fraction(s * gain, gain)
        assert_allclose((values <= s * gain).mean(), fraction, atol=0.004)


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda gain: theory.circular_law_fraction(1.0, gain),
        lambda gain: theory.circular_law_log_moduli(3, gain),
        lambda gain: theory.singular_value_density(1.0, gain),
        lambda gain: theory.singular_value_fraction(1.0, gain),
        lambda gain: theory.singular_value_quantile(0.5, gain),
    ],
)
def test_laws_need_a_gain_above_0(call):
    with pytest.raises(ValueError, match=r"`gain` must be above 0, got 0.0; leave out what is 0"):
        call([1.0, 0.0])
    with pytest.raises(ValueError, match=r"`gain` must be at least 0, got -1.0"):
        call(-1.0)


def test_remaining_messages():
    for law in (theory.singular_value_density, theory.singular_value_fraction):
        with pytest.raises(ValueError, match=r"`value` must be at least 0, got -0.1"):
            law([-0.1, 1.0], 1.0)
    with pytest.raises(ValueError, match=r"`fraction` must be at least 0, got -0.1"):
        theory.singular_value_quantile(-0.1, 1.0)
    with pytest.raises(ValueError, match=r"`fraction` must be at most 1, got 1.5"):
        theory.singular_value_quantile([0.5, 1.5], 1.0)
    with pytest.raises(ValueError, match=r"`radius` must be finite, got inf"):
        theory.circular_law_fraction(np.inf, 1.0)
    with pytest.raises(ValueError, match=r"`n_hidden` must be at least 1, got 0"):
        theory.circular_law_log_moduli(0, 1.0)
    with pytest.raises(TypeError, match=r"`n_hidden` must be an integer of at least 1, got 2.5"):
        theory.circular_law_log_moduli(2.5, 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda gain: theory.effective_gain("gaussian", gain),
        lambda gain: theory.spectral_radius("identity", gain),
        lambda gain: theory.circular_law_fraction(1.0, gain),
        theory.singular_value_edge,
    ],
)
def test_gains_are_checked(call):
    with pytest.raises(ValueError, match=r"`gain` must be at least 0, got -0.5"):
        call([1.0, -0.5])
    with pytest.raises(ValueError, match=r"`gain` must be finite, got nan at \[0\]"):
        call(np.nan)
    with pytest.raises(TypeError, match=r"`gain` must be a real number or an array of them, got"):
        call("large")
    with pytest.raises(TypeError, match="`gain` must be a real number"):
        call([1j])
