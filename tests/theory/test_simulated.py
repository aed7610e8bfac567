"""Mean field beside simulated networks: variance of `forward`, decay of `gradient_flow`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rnnsim import (
    RNN,
    Sequences,
    forward,
    gradient_flow,
    growth_rate,
    lyapunov_spectrum,
    theory,
)

H = 512
SEEDS = 8


def driven(gain, input_variance, bias_variance, *, n_steps, n_hidden=H, n_inputs=256):
    """Networks and the inputs (N, T, 1, D) that they read, the variances as in mean_field."""
    rng = np.random.default_rng(5)
    made = RNN.sample(SEEDS, n_inputs=n_inputs, n_hidden=n_hidden, n_outputs=1, gain=gain, rng=rng)
    biases = np.sqrt(bias_variance) * rng.standard_normal((SEEDS, n_hidden))
    x = np.sqrt(input_variance) * rng.standard_normal((SEEDS, n_steps, 1, n_inputs))
    return RNN(made.W_xh, made.W_hh, made.W_hy, biases, made.b_y), x


@pytest.mark.parametrize(
    ("gain", "input_variance", "bias_variance"),
    [(0.8, 0.3, 0.0), (1.5, 1.0, 0.0), (1.5, 0.4, 0.6), (2.0, 0.0, 0.0)],
)
def test_variance_of_pre_activations(gain, input_variance, bias_variance):
    rnn, x = driven(gain, input_variance, bias_variance, n_steps=300)
    start = np.random.default_rng(6).standard_normal((1, H))  # without input 0 stays 0
    states = forward(rnn, x, h0=start).states[:, :, 0]
    pre = np.einsum("nij,ntj->nti", rnn.W_hh, states[:, :-1])
    pre += np.einsum("nid,ntd->nti", rnn.W_xh, x[:, :, 0]) + rnn.b_h[:, None]
    assert_allclose(np.tanh(pre), states[:, 1:], atol=1e-12)
    measured = (pre[:, 100:] ** 2).mean(axis=(1, 2))  # one for each network
    expected = theory.mean_field(gain, input_variance=input_variance, bias_variance=bias_variance)
    error = measured.std(ddof=1) / np.sqrt(SEEDS)
    assert error < 0.02 * expected.variance  # so that the next line can fail
    # 3 standard errors of this sample, and a shift of order 1/H
    assert abs(measured.mean() - expected.variance) < 3 * error + 2 / H


@pytest.mark.parametrize(("gain", "input_variance"), [(0.9, 0.5), (1.6, 1.5)])
def test_gradients_decay_at_the_largest_exponent(gain, input_variance):
    rnn, x = driven(gain, input_variance, 0.0, n_steps=220, n_hidden=256)
    loss = np.zeros((SEEDS, 220, 1))
    loss[:, -1] = 1.0
    batch = Sequences(x, np.ones((SEEDS, 220, 1, 1)), loss)
    rate = growth_rate(gradient_flow(rnn, batch, max_lag=120), lags=(20, 120)).rate
    expected = theory.mean_field(gain, input_variance=input_variance).largest_exponent
    assert expected < -0.05
    # over 100 lags a rate scatters by about 0.01 between networks, and lies some 1/H below
    assert rate.std(ddof=1) < 0.02
    assert abs(rate.mean() - expected) < 3 * rate.std(ddof=1) / np.sqrt(SEEDS) + 2.5 / 256


def test_the_largest_exponent_of_finite_networks_lies_below_by_4_7_over_their_size():
    units, number = 64, 32
    rnn = RNN.sample(number, n_inputs=1, n_hidden=units, n_outputs=1, gain=5.0, rng=1)
    found = lyapunov_spectrum(rnn, n_steps=1500, burn_in=200, n_exponents=1, rng=0).exponents
    apart = units * (found[:, 0] - theory.mean_field(5.0).largest_exponent)
    error = apart.std(ddof=1) / np.sqrt(number)
    assert error < 0.3  # so that the next line can fail
    assert abs(apart.mean() + 4.7) < 3 * error
    assert "4.7/H" in theory.mean_field.__doc__
