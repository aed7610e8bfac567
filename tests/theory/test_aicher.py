"""Aicher, Foti and Fox: a bound that holds where gradients decay, and says so where they do not."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import theory

many = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**16)


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
