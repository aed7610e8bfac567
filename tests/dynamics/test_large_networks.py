"""Large networks beside published and mean-field numbers; minutes, for `make test-slow`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rnnsim import RNN, forward, lyapunov_spectrum

pytestmark = pytest.mark.slow


def autonomous(H, gain, seed, n_networks=1):
    return RNN.sample(n_networks, n_inputs=1, n_hidden=H, n_outputs=1, gain=gain, rng=seed)


def test_the_measured_row_at_gain_2():
    # Another group's values at N = 4096; here N = 1024, whose seeds scatter by 0.5 to 1 %
    H = 1024
    rnn = autonomous(H, 2.0, 0)
    found = lyapunov_spectrum(rnn, n_steps=2000, burn_in=500, n_exponents=320, rng=1)
    assert_allclose(found.exponents[0, 0], 0.154249, rtol=0.03)
    assert_allclose(found.kaplan_yorke[0] / H, 0.256594, rtol=0.05)
    assert_allclose((found.exponents[0] > 0).mean() * 320 / H, 0.132568, rtol=0.05)
    assert_allclose(found.entropy_rate[0] / H, 0.0106076, rtol=0.06)
    h0 = np.random.default_rng(1).standard_normal((1, H))
    states = forward(rnn, np.zeros((2000, 1, 1)), h0=h0).states[0, 500:, 0]
    assert_allclose((states @ rnn.W_hh[0].T).var(), 2.12530, rtol=0.03)


def test_the_mean_of_all_exponents_at_gain_2():
    H = 512
    found = lyapunov_spectrum(autonomous(H, 2.0, 3), n_steps=700, burn_in=300, rng=1)
    assert_allclose(found.exponents.mean(), -1.150547, rtol=0.02)
