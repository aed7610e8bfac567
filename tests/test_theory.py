"""Theory: closed forms, random matrices against their limits, bounds that hold and that fail."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import theory
from rnnsim.network import RNN, SCHEMES

pytestmark = pytest.mark.nojit

many = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**16)


@pytest.fixture(scope="module")
def large():
    """W_hh, eigenvalue moduli, largest singular values at H = 256, gain 1; 20 random draws."""
    result = {}
    for scheme in SCHEMES:
        n_draws = 20 if scheme in ("gaussian", "uniform") else 2
        W_hh = RNN.sample(
            n_draws, n_inputs=1, n_hidden=256, n_outputs=1, scheme=scheme, rng=11
        ).W_hh
        moduli = np.abs(np.linalg.eigvals(W_hh))
        result[scheme] = W_hh, moduli, np.linalg.norm(W_hh, 2, axis=(1, 2))
    return result


# --- random matrices -----------------------------------------------------------------------------


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
    _, _, norms = large[scheme]
    edge = theory.singular_value_edge(theory.effective_gain(scheme, 1.0))
    # 1.980 +- 0.023 over draws where the edge is 2, 0.005 for the mean of 20
    assert_allclose(2 * norms.mean() / edge, 1.980, atol=0.02)
    assert 0.011 < 2 * norms.std() / edge < 0.046


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


# --- Pascanu, Mikolov and Bengio -----------------------------------------------------------------


def test_pascanu_condition_is_strict():
    norms = [0.0, 0.999, 1.0, 1.001]
    assert_array_equal(theory.pascanu_vanishes(norms), [True, True, False, False])
    assert theory.pascanu_vanishes(3.9, slope_bound=0.25)
    assert not theory.pascanu_vanishes(4.0, slope_bound=0.25)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("gaussian", 0.5), ("uniform", np.sqrt(0.75)), ("orthogonal", 1.0), ("identity", 1.0)],
)
def test_pascanu_critical_gain(scheme, expected, large):
    critical = theory.pascanu_critical_gain(scheme)
    assert_allclose(critical, expected, rtol=1e-15)
    assert_allclose(theory.pascanu_critical_gain(scheme, slope_bound=0.25), 4 * expected)
    _, _, norms = large[scheme]
    assert theory.pascanu_vanishes(0.95 * critical * norms).all()
    assert not theory.pascanu_vanishes(1.05 * critical * norms).any()


@many
@given(seeds, st.integers(1, 8), st.floats(0.05, 5.0), st.floats(0.1, 1.0))
@example(0, 1, 1.0, 1.0)
def test_pascanu_bound_holds_for_any_slopes(seed, n_hidden, gain, slope_bound):
    rng = np.random.default_rng(seed)
    W_hh = gain * rng.standard_normal((n_hidden, n_hidden)) / np.sqrt(n_hidden)
    delta = rng.standard_normal(n_hidden)
    logs = [np.log(np.linalg.norm(delta))]
    for _ in range(30):
        slopes = slope_bound * rng.uniform(0.2, 1.0, n_hidden)
        delta = W_hh.T @ (slopes * delta)
        logs.append(np.log(np.linalg.norm(delta)))
    bound = theory.pascanu_log_bound(
        np.linalg.norm(W_hh, 2), np.arange(31), slope_bound=slope_bound
    )
    assert (np.array(logs) - logs[0] <= bound + 1e-12).all()


def test_pascanu_bound_is_reached_by_orthogonal_linear_networks():
    rnn = RNN.sample(1, n_inputs=1, n_hidden=10, n_outputs=1, scheme="orthogonal", gain=0.7, rng=2)
    delta = np.linalg.matrix_power(rnn.W_hh[0].T, 50) @ np.ones(10)
    expected = theory.pascanu_log_bound(0.7, 50)
    assert_allclose(np.log(np.linalg.norm(delta) / np.sqrt(10.0)), expected[0], rtol=1e-13)


def test_pascanu_bound_closed_forms():
    assert_array_equal(theory.pascanu_log_bound(0.0, [0, 1, 2]), [0.0, -np.inf, -np.inf])
    far = theory.pascanu_log_bound([np.exp(-2.0), np.exp(2.0)], [0, 5000])
    assert_allclose(far, [[0.0, -10000.0], [0.0, 10000.0]], rtol=1e-15)
    assert_allclose(theory.pascanu_log_bound(3.0, 2, slope_bound=0.25), [2 * np.log(0.75)])
    assert theory.pascanu_log_bound(np.ones((2, 3)), np.arange(4)).shape == (2, 3, 4)


@pytest.mark.parametrize("call", [theory.pascanu_vanishes, theory.pascanu_log_bound])
def test_pascanu_arguments_are_checked(call):
    rest = ([1, 2],) if call is theory.pascanu_log_bound else ()
    with pytest.raises(ValueError, match=r"`spectral_norm` must be at least 0, got -1.0"):
        call(-1.0, *rest)
    with pytest.raises(ValueError, match=r"`slope_bound` must be a finite number between 0 and"):
        call(1.0, *rest, slope_bound=0.0)
    with pytest.raises(TypeError, match=r"`slope_bound` must be a number, got 'tanh'"):
        call(1.0, *rest, slope_bound="tanh")


def test_pascanu_remaining_messages():
    with pytest.raises(ValueError, match=r"`lags` must be at least 0, got -1"):
        theory.pascanu_log_bound(1.0, [0, -1])
    with pytest.raises(ValueError, match=r"`scheme` must be one of .*, got 'normal'"):
        theory.pascanu_critical_gain("normal")
    with pytest.raises(ValueError, match="`slope_bound` must be"):
        theory.pascanu_critical_gain("gaussian", slope_bound=-1.0)


# --- Aicher, Foti and Fox ------------------------------------------------------------------------


def log_tails(log_norms, windows):
    """ln sum_{k >= K} phi_k over the lags at hand, by plain summation in logs."""
    return np.array([np.logaddexp.reduce(log_norms[..., K:], axis=-1) for K in windows]).T


@pytest.mark.parametrize("log_start", [0.0, -5000.0, 5000.0])
@pytest.mark.parametrize("log_beta", [-0.01, -0.7, -30.0, -2000.0])
def test_aicher_bound_is_tight_for_a_geometric_series(log_start, log_beta):
    tau = 3
    lags = np.arange(6000 if log_beta == -0.01 else 200)
    log_norms = log_start + log_beta * (lags - tau)
    log_norms[:tau] = log_start + np.array([1.0, -2.0, 0.5])  # before tau anything goes
    windows = np.array([3, 4, 10, 50])
    result = theory.aicher_log_bound(log_norms, windows, tau=tau, log_M=0.0)
    assert_allclose(result.log_beta, log_beta, rtol=1e-10)
    assert np.isfinite(result.log_bound).all()
    assert_allclose(result.log_bound, log_tails(log_norms, windows), rtol=1e-9, atol=1e-9)


def test_aicher_bound_closed_form():
    log_norms = np.log([9.0, 4.0, 1.0, 0.25])
    result = theory.aicher_log_bound(log_norms, [1, 2, 3, 20], tau=1, log_M=np.log(6.0))
    expected = np.log(6.0 * 4.0 / 0.75) + np.array([0, 1, 2, 19]) * np.log(0.25)
    assert_allclose(result.log_bound, expected, rtol=1e-14)
    assert_allclose(result.beta, 0.25, rtol=1e-14)
    assert (result.tau, result.log_M) == (1, np.log(6.0))


@many
@given(seeds, st.integers(0, 6), st.floats(-3.0, -0.2))
def test_aicher_bound_holds_on_the_observed_lags(seed, tau, slope):
    """Whatever the wiggles, "max" bounds every observed norm and so their sums."""
    rng = np.random.default_rng(seed)
    lags = np.arange(25)
    log_norms = slope * lags + rng.normal(0.0, 0.5, (4, 25))
    windows = np.arange(1, 26)
    result = theory.aicher_log_bound(log_norms, windows, tau=tau, log_M=0.0)
    tails = log_tails(log_norms, windows)
    covered = np.broadcast_to((windows >= tau) & (result.log_beta < 0)[:, None], tails.shape)
    assert_array_equal(np.isnan(result.log_bound), ~covered)
    assert (result.log_bound[covered] >= tails[covered] - 1e-12).all()
    norms_bound = log_norms[:, tau, None] + result.log_beta[:, None] * (lags[tau:] - tau)
    assert (log_norms[:, tau:] <= norms_bound + 1e-12).all()
    # the smallest such beta: some lag after tau touches
    gap = (norms_bound - log_norms[:, tau:])[:, 1:].min(axis=-1)
    assert_allclose(gap, 0.0, atol=1e-12)


def test_aicher_bound_covers_the_truncation_error_of_a_linear_network():
    """g_K - g for l_T = u.h_T in h_t = W h_{t-1} + x_t, with M from the states themselves."""
    rng = np.random.default_rng(5)
    T, H = 60, 6
    W_hh = rng.standard_normal((H, H))
    W_hh += W_hh.T  # symmetric: ln phi_k is convex, and the largest slope is the last
    W_hh *= 0.8 / np.linalg.norm(W_hh, 2)
    states = np.zeros((T + 1, H))
    for t in range(1, T + 1):
        states[t] = W_hh @ states[t - 1] + rng.standard_normal(H)
    deltas = [rng.standard_normal(H)]
    for _ in range(T - 1):
        deltas.append(W_hh.T @ deltas[-1])
    terms = np.array([np.outer(deltas[k], states[T - k - 1]) for k in range(T)])
    log_norms = np.log(np.linalg.norm(deltas, axis=1))
    log_M = np.log(np.linalg.norm(states, axis=1).max())
    windows = np.arange(8, T - 1)
    result = theory.aicher_log_bound(log_norms, windows, tau=8, log_M=log_M)
    errors = [np.log(np.linalg.norm(terms[K:].sum(axis=0))) for K in windows]
    assert (errors <= result.log_bound).all()
    assert (result.log_bound - errors < 4).all()  # and not by being vacuous


def test_aicher_bound_fails_where_nothing_decays():
    lags = np.arange(10.0)
    log_norms = np.stack([0.1 * lags, 0 * lags, -0.1 * lags, 900.0 * lags])
    result = theory.aicher_log_bound(log_norms, [5, 10], tau=2, log_M=0.0)
    assert_array_equal(np.isnan(result.log_bound[:, 0]), [True, True, False, True])
    assert_allclose(result.log_beta, [0.1, 0.0, -0.1, 900.0], atol=1e-15)
    assert result.beta[3] == np.inf
    for beta in (1.0, 1.5):
        given_beta = theory.aicher_log_bound(log_norms, 5, tau=2, log_M=0.0, beta=beta)
        assert np.isnan(given_beta.log_bound).all()
        assert_allclose(given_beta.beta, beta)


def test_aicher_windows_below_tau_are_not_bounded():
    result = theory.aicher_log_bound(-np.arange(9.0), [1, 3, 4, 5], tau=4, log_M=0.0)
    assert_array_equal(np.isnan(result.log_bound), [True, True, False, False])


def test_aicher_beta_may_be_given():
    log_norms = np.log([[4.0, 2.0], [40.0, 2.0]])
    result = theory.aicher_log_bound(log_norms, [1, 3], tau=1, log_M=0.0, beta=0.5)
    assert_allclose(np.exp(result.log_bound), [[4.0, 1.0]] * 2, rtol=1e-14)
    none_left = theory.aicher_log_bound(log_norms, [1, 3], tau=1, log_M=0.0, beta=0.0)
    assert_allclose(none_left.log_bound, [[np.log(2.0), -np.inf]] * 2)
    assert_array_equal(none_left.beta, [0.0, 0.0])


def test_aicher_zeros_and_missing_norms():
    log_norms = np.array(
        [
            [0.0, -1.0, np.nan, -3.0],  # a gap is left out
            [0.0, -1.0, -np.inf, -np.inf],  # vanishes exactly, from lag 2 on
            [0.0, -np.inf, -np.inf, -np.inf],  # nothing to extrapolate from
            [0.0, -1.0, np.nan, np.inf],  # no data after tau
            [0.0, np.inf, -2.0, -3.0],  # no data at tau
        ]
    )
    result = theory.aicher_log_bound(log_norms, [1, 2], tau=1, log_M=0.0)
    assert_array_equal(result.log_beta, [-1.0, -np.inf, np.nan, np.nan, np.nan])
    assert_allclose(result.log_bound[0, 0], -1.0 - np.log(1 - np.exp(-1.0)))
    assert_array_equal(result.log_bound[1], [-1.0, -np.inf])
    assert np.isnan(result.log_bound[2:]).all()


def test_aicher_shapes():
    log_norms = -np.ones((2, 3, 7)) * np.arange(7)
    result = theory.aicher_log_bound(log_norms, np.arange(1, 5), tau=0, log_M=1.0)
    assert result.log_bound.shape == (2, 3, 4)
    assert result.log_beta.shape == result.beta.shape == (2, 3)
    assert theory.aicher_log_bound(log_norms[0, 0], 3, tau=0, log_M=0.0).log_bound.shape == (1,)


@pytest.mark.parametrize(
    ("error", "message", "changes"),
    [
        (ValueError, "`tau` must be at most 2 with these `log_norms`, got 3", {"tau": 3}),
        (ValueError, "`tau` must be at most 3 with", {"tau": 4, "beta": 0.5}),
        (ValueError, "`tau` must be at least 0, got -1", {"tau": -1}),
        (TypeError, "`tau` must be an integer of at least 0, got 1.5", {"tau": 1.5}),
        (ValueError, "`windows` must be integers of at least 1, got [0, 1]", {"windows": [0, 1]}),
        (ValueError, "`windows` must be integers of at least 1, got 1.5", {"windows": 1.5}),
        (ValueError, "`windows` must be integers of", {"windows": np.ones((2, 2), int)}),
        (ValueError, "`log_M` must be a finite number, got -inf", {"log_M": -np.inf}),
        (ValueError, "`beta` must be at least 0, got -0.5", {"beta": -0.5}),
        (ValueError, "`beta` must be a finite number, got nan", {"beta": np.nan}),
        (TypeError, "`beta` must be a number, got 'max'", {"beta": "max"}),
        (ValueError, "`log_norms` must have one entry per lag on its", {"log_norms": 1.0}),
        (TypeError, "`log_norms` must be a real number or an array", {"log_norms": ["a", "b"]}),
    ],
)
def test_aicher_arguments_are_checked(error, message, changes):
    arguments = {"log_norms": -np.arange(4.0), "windows": 3, "tau": 1, "log_M": 0.0} | changes
    with pytest.raises(error, match=re.escape(message)):
        theory.aicher_log_bound(arguments.pop("log_norms"), arguments.pop("windows"), **arguments)


def test_aicher_decay_rate_needs_a_later_lag():
    assert theory.aicher_decay_rate([0.0, -2.0], tau=0) == -2.0
    with pytest.raises(ValueError, match="`tau` must be at most 0"):
        theory.aicher_decay_rate([0.0, -2.0], tau=1)
