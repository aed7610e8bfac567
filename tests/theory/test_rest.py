"""Where rest loses stability: closed numbers, and the Jacobians of networks just there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnnsim
from rnnsim import theory


def test_numbers():
    biases = [0.0, 1.0, 2.0, 5.0]
    expected = [2.0, 1.07577, 0.47681, 0.02677]
    assert_allclose(theory.critical_gain_at_rest("lstm", forget_bias=biases), expected, atol=5e-6)
    assert_allclose(theory.critical_gain_at_rest("gru", forget_bias=biases), 2.0)
    assert theory.critical_gain_at_rest("vanilla") == 1.0
    far = theory.critical_gain_at_rest("lstm", forget_bias=[-800.0, 700.0])
    assert_allclose(far, [4.0, 4.0 * np.exp(-700.0)])


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru"])
@pytest.mark.parametrize("bias", [0.0, -1.0, 2.0])
@pytest.mark.parametrize("scheme", ["orthogonal", "identity"])
def test_there_the_largest_multiplier_is_1(cell, bias, scheme):
    bias = 0.0 if cell == "vanilla" else bias
    gain = float(theory.critical_gain_at_rest(cell, forget_bias=bias))
    rnn = rnnsim.RNN.sample(
        n_inputs=1, n_hidden=7, n_outputs=1, cell=cell, forget_bias=bias, gain=gain, scheme=scheme,
        rng=0,
    )  # fmt: skip
    if scheme == "orthogonal":  # of odd size, so 1 or -1 is an eigenvalue; with 1 it touches
        rnn = rnn.with_weights(rnn.weights._replace(W_hh=rnn.W_hh * _towards_1(rnn)))
    radius = rnnsim.jacobian_spectrum(rnn, np.zeros((1, 1, 1))).spectral_radius
    assert radius.item() == pytest.approx(1.0, abs=1e-12)


def _towards_1(rnn):
    """The sign that turns the real eigenvalue of the block of g or n to 1."""
    H = rnn.n_hidden
    block = rnn.W_hh[0, 2 * H : 3 * H] if rnn.n_gates > 1 else rnn.W_hh[0]
    return np.sign(np.linalg.det(block))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"cell": "tree"}, ValueError, "`cell` must be one of 'vanilla', 'lstm', 'gru'"),
        ({"cell": "vanilla", "forget_bias": 1.0}, ValueError, "`forget_bias` sets the bias of a"),
        ({"cell": "gru", "forget_bias": np.nan}, ValueError, "`forget_bias` must be finite"),
        ({"cell": "gru", "forget_bias": "much"}, TypeError, "`forget_bias` must be"),
    ],
)
def test_misuse(arguments, error, message):
    with pytest.raises(error, match=message):
        theory.critical_gain_at_rest(**arguments)
