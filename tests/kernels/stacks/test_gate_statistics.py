"""Gates of stacks: each layer is a network driven by the states of the one below."""

import numpy as np
import pytest
from builders import NOJIT, same_bits
from numpy.testing import assert_array_equal
from stack_builders import stacked

from rnnsim import Stack, forward, gate_statistics, lyapunov_spectrum

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", ["lstm", "gru"])
LEVELS = [0.0, 0.3, 1.0]


def of_layer(made, k):
    """Layer k alone, its inputs and first states."""
    states = forward(made.stack, made.sequences.inputs, **made.start)
    x = made.sequences.inputs if k == 0 else states.layers[k - 1].states[:, 1:]
    own = bool(made.sequences.n_networks)
    return made.stack.layers[k], x, {n: a[:, k] if own else a[k] for n, a in made.start.items()}


@EACH
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("own", [False, True])
def test_every_layer_has_the_bits_of_a_network_driven_by_the_one_below(cell, n_layers, own):
    made = stacked(cell, n_layers, N=2, T=9, own=own)
    options = {"quantiles": LEVELS, "burn_in": 2}
    found = gate_statistics(made.stack, made.sequences, **options, **made.start)
    G = {"lstm": 4, "gru": 3}[cell]
    assert found.unit_mean.shape == found.unit_low.shape == (2, n_layers, G, 3)
    assert found.quantiles.shape == (2, n_layers, G, 3)
    assert found.mean.shape == found.low.shape == found.high.shape == (2, n_layers, G)
    assert found.time_scale.shape == found.mean_log.shape == (2, n_layers, 3)
    assert found.spectrum is found.deviation is None
    assert len(found.layers) == n_layers
    for k, layer in enumerate(found.layers):
        rnn, x, start = of_layer(made, k)
        alone = gate_statistics(rnn, x, **options, **start)
        same_bits(layer, alone)
        assert_array_equal(found.mean[:, k], alone.mean)
        assert_array_equal(found.time_scale[:, k], alone.time_scale)
        assert alone.layers == (alone,)


@EACH
def test_the_spectrum_is_that_of_the_whole_stack(cell):
    made = stacked(cell, 2, N=2, T=44, B=1)
    found = gate_statistics(made.stack, made.sequences, exponents=True, **made.start)
    x = made.sequences.inputs
    spectrum = lyapunov_spectrum(made.stack, x, n_exponents=6, **made.start)
    same_bits(found.spectrum, spectrum)
    assert found.burn_in == spectrum.burn_in
    expected = -np.sort(-found.mean_log.reshape(2, 6), axis=1)
    assert_array_equal(found.predicted_exponents, expected)
    known, apart = spectrum.resolved, np.abs(expected - spectrum.exponents)
    assert known.any()
    assert_array_equal(found.deviation, np.where(known, apart, 0).max(axis=1))
    assert found.layers[1].spectrum is None


@pytest.mark.skipif(NOJIT, reason="too many steps without compilation")
def test_without_recurrent_weights_the_gates_of_all_layers_predict_the_exponents():
    made = stacked("gru", 2, N=2, T=1500, B=1)
    biases = [3.0, 0.0, -3.0], [1.5, -1.5, -4.5]  # apart, so that the frame turns soon
    layers = []
    for layer, bias in zip(made.stack.layers, biases, strict=True):
        b_h = np.array(layer.b_h)
        b_h[:, 3:6] = bias
        own = layer.weights._replace(W_hh=np.zeros_like(layer.W_hh), b_h=b_h)
        layers.append(layer.with_weights(own._replace(W_xh=0.3 * layer.W_xh)))
    found = gate_statistics(Stack(layers), made.sequences, exponents=True, **made.start)
    # what goes up from layer to layer shears the frame: a length at either end of the steps
    assert (found.deviation < 0.02).all()
    apart = found.predicted_exponents
    assert (np.diff(apart, axis=1) < -0.1).all()


def test_where_any_layer_leaves_the_range_the_stack_is_unknown():
    made = stacked("gru", 2, N=3, T=6, own=True)
    start = {name: np.array(a) for name, a in made.start.items()}
    below, top = made.stack.layers
    W_hh = np.array(below.W_hh)
    W_hh[1, :3], W_hh[1, 6:], start["h0"][1, 0, :, 2] = -1e200, 1e200, 1e200
    wild = Stack([below.with_weights(below.weights._replace(W_hh=W_hh)), top])
    found = gate_statistics(wild, made.sequences, **start)
    sound = gate_statistics(made.stack, made.sequences, **made.start)
    assert_array_equal(found.first_nonfinite, [-1, 1, -1])
    for name in ("mean", "low", "high", "quantiles", "time_scale", "predicted_exponents"):
        values = getattr(found, name)
        assert np.isnan(values[1]).all(), name
        assert_array_equal(values[[0, 2]], getattr(sound, name)[[0, 2]])


def test_misuse_teaches():
    made = stacked("tanh", 2)
    with pytest.raises(ValueError, match=r"`rnn` must hold LSTMs or GRUs, got cell='vanilla'"):
        gate_statistics(made.stack, made.sequences)
    made = stacked("gru", 2)
    with pytest.raises(ValueError, match=r"`h0` must be \(n_layers, n_sequences, n_hidden\)"):
        gate_statistics(made.stack, made.sequences, h0=np.zeros((2, 3)))
    assert gate_statistics(made.stack, made.sequences.inputs).mean.shape == (1, 2, 3)
