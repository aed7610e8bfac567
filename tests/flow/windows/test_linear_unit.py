"""Bias and variance of windows of a linear unit: closed forms, coverage, the best window."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rnnsim import RNN, Sequences, window_bias_variance

LEAK, TAUGHT, STEPS = 0.8, 0.5, 10


def squares(x):
    return (x * x).sum(axis=-1)


def forms(steps=STEPS):
    """u (T,), V and parts (T, T): h_T - tau = u x, and l^k h_{T-1-k} = parts_k x, summed up V_K x.

    The unit is h <- l h + x with white x and loss (h_T - tau)^2 / 2, tau = sum of m^j x_{T-j}.
    """
    s = np.arange(1, steps + 1)
    h = np.array([np.where(s <= t, LEAK ** np.maximum(t - s, 0), 0) for t in range(steps + 1)])
    parts = np.array([LEAK**k * h[steps - 1 - k] for k in range(steps)])
    return h[-1] - TAUGHT ** (steps - s), np.cumsum(parts, axis=0), parts


def mean_and_variance(u, v):
    """Of the product of u x and v x for normal x: by Isserlis (1918)."""
    return v @ u, squares(u) * squares(v) + (v @ u) ** 2


def units(N, B):
    """N such units, and a draw of data of their own for each."""
    one = np.ones((N, 1, 1))
    filter_ = TAUGHT ** np.arange(STEPS)[::-1]

    def draw(rng):
        x = rng.standard_normal((N, STEPS, B, 1))
        targets, weights = np.zeros_like(x), np.zeros(x.shape[:3])
        targets[:, -1], weights[:, -1] = np.einsum("t,ntbd->nbd", filter_, x), 1
        return Sequences(x, targets, weights)

    return RNN(one, LEAK * one, one, activation="linear"), draw


def test_closed_forms_of_a_linear_unit():
    """Means over 400 units, of 10 batches of 16 sequences each; errors of these means times 4."""
    N, B = 400, 16
    found = window_bias_variance(*units(N, B), 10, of="W_hh", rng=5)
    u, V, parts = forms()
    (mean, variance), (signal, noise) = mean_and_variance(u, V), mean_and_variance(u, parts)
    unit = np.exp(2 * found.log_norm)[:, None]
    expected = {
        "bias2_estimate": (mean - mean[-1]) ** 2,
        "variance_estimate": variance / B,
        "lag_signal": signal**2,
        "lag_noise": noise / B,
    }
    for name, value in expected.items():
        own = getattr(found, name) * unit
        error = own.std(axis=0) / np.sqrt(N)
        assert (abs(own.mean(axis=0) - value) <= 4 * error).all(), name
        assert (4 * error[:6] <= 0.2 * value[:6]).all(), name
    # the empirical bias^2 is too large by the variance of g_K - g over the number of batches
    rest = mean_and_variance(u, V - V[-1])[1] / B
    own = found.bias2 * unit
    assert_allclose(own.mean(axis=0), (mean - mean[-1]) ** 2 + rest / 10, rtol=0.1, atol=1e-12)


def test_the_sensitivity_of_a_linear_unit():
    """E (dh_T/dl)^2 = (1 + l^2) / (1 - l^2)^3, the variance at dL/dh_T = +-1 in a long sequence."""
    expected = (1 + LEAK**2) / (1 - LEAK**2) ** 3
    assert_allclose(squares(forms(200)[1][-1]), expected)
    N, T, B = 300, 60, 16
    one = np.ones((N, 1, 1))

    def draw(rng):
        signs = rng.choice([-1.0, 1.0], size=(N, B, 1))
        return Sequences.from_gradients(rng.standard_normal((N, T, B, 1)), dL_dh_final=signs)

    rnn = RNN(one, LEAK * one, one, activation="linear")
    found = window_bias_variance(rnn, draw, 4, windows=[T], of="W_hh")
    variance = found.variance_estimate[:, 0] * np.exp(2 * found.log_norm) / B  # of a sum over B
    error = variance.std() / np.sqrt(N)
    assert abs(variance.mean() - expected) <= 4 * error <= 0.25 * expected


def test_errors_cover():
    """Intervals of two errors, of 400 units: standard error .011 at .95."""
    N, B = 400, 16
    u, V, _ = forms()
    mean, variance = mean_and_variance(u, V)
    for M in (5, 20):
        found = window_bias_variance(*units(N, B), M, of="W_hh", rng=6)
        unit = np.exp(2 * found.log_norm)[:, None]
        apart = abs(found.bias2_estimate * unit - (mean - mean[-1]) ** 2)
        covered = (apart <= 2 * found.bias2_error * unit).mean(axis=0)
        assert (covered >= 0.83).all()
        assert (covered[:3] >= 0.88).all()
        apart = abs(np.log(found.variance_estimate * unit * B / variance))
        covered = (apart <= 2 * found.variance_log_error).mean(axis=0)
        assert (covered >= 0.89).all()
        assert (covered <= 0.97).all()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_the_best_window_of_a_linear_unit(batch_size):
    u, V, parts = forms()
    (mean, variance), (signal, noise) = mean_and_variance(u, V), mean_and_variance(u, parts)
    found = window_bias_variance(*units(200, 16), 40, of="W_hh", rng=7)
    truth = (mean - mean[-1]) ** 2 + variance / batch_size
    best = 1 + truth.argmin()
    chosen = truth[found.best_window(batch_size).astype(int) - 1]
    assert (chosen <= 1.25 * truth.min()).mean() >= 0.95
    low, high = found.as_good_windows(batch_size).T
    assert ((low <= best) & (best <= high)).mean() >= 0.95
    assert (high - low < STEPS - 1).mean() > 0.5
    lags = np.flatnonzero(signal**2 > noise / batch_size)
    horizon = found.horizon(batch_size)
    assert np.median(horizon) == (lags[-1] if lags.size else -1)
