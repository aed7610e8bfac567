"""Gates that hear nothing, against known values, quadrature and networks."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad

from rnnsim import RNN, Sequences, gate_statistics, gradient_flow, theory


def test_biases_have_their_known_powers():
    found = theory.gate_log_norm([1.0, 2.0, 3.0, 5.0], [0, 1, 100])
    assert_allclose(np.exp(found[:, 1]), [0.731059, 0.880797, 0.952574, 0.993307], atol=1e-6)
    assert_allclose(found[:, 2] / np.log(10), [-13.605, -5.512, -2.110, -0.292], atol=5e-4)
    assert_allclose(found[:, 0], 0)
    assert_allclose(theory.gate_log_norm(40.0, [1]), -np.exp(-40.0), rtol=1e-12)


@pytest.mark.parametrize(
    ("longest", "values"),
    [(100, {1: 0.96185, 10: 0.76269, 50: 0.38684, 100: 0.19394}),
     (1000, {500: 0.38550, 1000: 0.19376})],
)  # fmt: skip
def test_chrono_has_its_known_values(longest, values):
    found = np.exp(theory.chrono_log_norm(longest, list(values)))
    assert_allclose(found, list(values.values()), atol=5e-6)


@pytest.mark.parametrize("longest", [2.5, 30.0, 5000.0])
@pytest.mark.parametrize("lag", [0, 1, 7, 300, 20000])
def test_chrono_is_a_root_mean_square_over_units(longest, lag):
    """Relative to the slowest unit, so that nothing underflows."""
    top = np.log1p(1 / (longest - 1))

    def integrand(u):
        return np.exp(2 * lag * (top - np.log1p(1 / u)))

    points = sorted({min(max(1.0, longest - 1 - d), longest - 1) for d in (1e-3, 0.1, 10, 1000)})
    ends = [1.0, *points, longest - 1]
    parts = [quad(integrand, a, b, epsabs=0, epsrel=1e-11)[0] for a, b in pairwise(ends)]
    expected = 0.5 * np.log(sum(parts) / (longest - 2)) - lag * top
    assert_allclose(theory.chrono_log_norm(longest, lag), [expected], rtol=1e-9, atol=1e-13)


def test_networks_without_recurrent_weights_follow():
    """c of LSTMs whose gates hear nothing, back from one loss through all units alike."""
    H, T = 300, 60
    rnn = RNN.sample(n_inputs=1, n_hidden=H, n_outputs=1, cell="lstm", gain=0.0, chrono=40, rng=0)
    zeros = {"W_xh": np.zeros_like(rnn.W_xh), "W_hy": np.ones_like(rnn.W_hy)}
    rnn = rnn.with_weights(rnn.weights._replace(**zeros))
    batch = Sequences(np.zeros((T, 1, 1)), np.ones((T, 1, 1))).last_loss_only()
    path = gradient_flow(rnn, batch).log_norms_path_c[0, 0]
    lags = np.arange(1, T)
    found = path[lags] - path[1] + theory.chrono_log_norm(40, 1)
    # S = o = 1/2 of every unit; 300 draws of f^2k
    assert_allclose(found, theory.chrono_log_norm(40, lags), rtol=0, atol=0.15)
    scales = np.sort(gate_statistics(rnn, batch).time_scale[0])
    expected = theory.chrono_time_scale(40, (np.arange(H) + 0.5) / H)
    assert_allclose(scales, expected, rtol=0, atol=4.0)  # 40 times .1: 300 uniforms


def test_misuse_teaches():
    with pytest.raises(ValueError, match=r"`chrono` must be a finite number.*2"):
        theory.chrono_log_norm(2.0, 1)
    with pytest.raises(ValueError, match=r"`fraction` must be from 0 to 1, got 1\.5"):
        theory.chrono_time_scale(9.0, [0.5, 1.5])
    with pytest.raises(ValueError, match="`lags` must be at least 0"):
        theory.gate_log_norm(1.0, -1)
