"""The flow map through the boundary: beside explicit Jacobians, the decoder's own map, laws."""

import numpy as np
import pytest
import reference
import reference_pairs
from builders import DTYPES
from numpy.testing import assert_allclose
from pair_builders import pair_case, plain

import rnnsim

pytestmark = pytest.mark.nojit
KINDS = [("tanh", "tanh"), ("linear", "tanh"), ("relu", "relu"), ("tanh", "linear")]
GATED = [("lstm", "lstm"), ("lstm", "gru"), ("gru", "lstm"), ("gru", "gru"), ("linear", "lstm")]


def log_norm(vector):
    norm = np.linalg.norm(vector)
    return np.log(norm) if norm else -np.inf


def statistics(logs):
    """log_norms, live, log_rms, log_std of a list of logs, as they are defined."""
    logs = np.array(logs)
    live = logs[np.isfinite(logs)]
    if live.size == 0:
        return -np.inf, 0.0, -np.inf, np.nan
    return live.mean(), live.size / logs.size, 0.5 * np.log(np.mean(np.exp(2 * logs))), live.std()


def explicit(made, n):
    """{(part, row, place): logs of all sequences}, from products of Jacobians, one by one."""
    encoder, decoder, source, (x, targets, weights), kinds = plain(made, n)
    T_s, B = source.shape[:2]
    begin = reference_pairs.at_rest(encoder, kinds[0], B)
    first = reference_pairs.first_state(encoder, decoder, source, kinds)
    H = decoder.W_hh.shape[1]
    states, _ = reference.unfold(decoder, x, first, kinds[1])
    dy = reference.output_gradient(decoder, states[..., :H], targets, weights)
    J, _ = reference_pairs.jacobians(decoder, x, first, kinds[1])
    G, G_x = reference_pairs.jacobians(encoder, source, begin, kinds[0])
    found = {}
    for i, t in enumerate(made.pairs.target.loss_steps):
        for b in range(B):
            start = np.zeros(first.shape[1])
            start[:H] = dy[t - 1, b] @ decoder.W_hy
            for j in range(t, -1, -1):  # the last is the product all the way to h_0
                product = np.eye(start.size)
                for s in range(t, j, -1):
                    product = product @ J[s - 1, b]
                found.setdefault(("decoder", i, j), []).append(log_norm(start @ product))
            at_h0 = start @ product
            for j in range(T_s + 1):
                behind = reference_pairs.bridge(encoder, decoder, kinds)
                for s in range(T_s, j, -1):
                    behind = behind @ G[s - 1, b]
                found.setdefault(("encoder", i, j), []).append(log_norm(at_h0 @ behind))
                if j:
                    log = log_norm(at_h0 @ behind @ G_x[j - 1, b])
                    found.setdefault(("source", i, j - 1), []).append(log)
    return found


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("H_e", [3, 4])  # as many units as the decoder has: memories go over
@pytest.mark.parametrize("activations", [*KINDS, *GATED])
def test_map_equals_explicit_products_of_jacobians(activations, H_e, own):
    if activations in KINDS and H_e == 4:
        pytest.skip("no memories")
    made = pair_case(11, N=2, T_s=3, T=4, H_e=H_e, activations=activations, own=own, silent=0.4)
    flow = rnnsim.pairs_flow(*made)
    assert flow.first_nonfinite.tolist() == [-1, -1]
    assert flow.decoder.log_norms.shape == (2, len(flow.steps), 5)
    assert flow.encoder.log_norms.shape == (2, len(flow.steps), 4)
    assert flow.source.log_norms.shape == (2, len(flow.steps), 3)
    for n in range(2):
        places = explicit(made, n)
        for (part, i, j), logs in places.items():
            found = [field[n, i, j] for field in getattr(flow, part)]
            assert_allclose(found, statistics(logs), rtol=1e-9, atol=1e-9)
        for i, t in enumerate(flow.steps):  # behind the loss there is nothing
            for field in flow.decoder:
                assert np.isnan(field[n, i, t + 1 :]).all()


def test_some_sequences_of_those_cases_are_dead():
    flow = rnnsim.pairs_flow(*pair_case(11, N=2, T_s=3, T=4, silent=0.4))
    assert (flow.decoder.live[:, :, 0] < 1).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_map_inside_the_decoder_is_that_of_gradient_flow(dtype):
    """To 1e-10 in the log; in float32 rows and states were rounded at each of 6 steps."""
    made = pair_case(12, N=2, T=6).astype(dtype)
    flow = rnnsim.pairs_flow(*made)
    h0 = rnnsim.forward(made.model.encoder, made.pairs.source).outputs[:, -1]
    inside = rnnsim.gradient_flow(made.model.decoder, made.pairs.target, h0=h0)
    np.testing.assert_array_equal(flow.steps, inside.steps)
    tolerance = {"float64": 1e-10, "float32": 1e-4}[dtype]
    for i, t in enumerate(flow.steps):
        for name in ("log_norms", "live", "log_rms", "log_std"):
            found = getattr(flow.decoder, name)[:, i, t:0:-1]
            assert_allclose(found, getattr(inside, name)[:, i, :t], rtol=0, atol=tolerance)


def test_map_adds_up_to_the_gradient_of_the_source():
    """One sequence, one loss: the norm at x_1 by finite differences of the loss itself."""
    made = pair_case(13, T_s=3, T=2, B=1, silent=0.0)
    target = made.pairs.target.last_loss_only()
    flow = rnnsim.pairs_flow(made.model, rnnsim.Pairs(made.pairs.source, target))
    gradient = np.zeros_like(made.pairs.source)
    for index in np.ndindex(*gradient.shape):
        losses = []
        for sign in (1, -1):
            moved = made.pairs.source.copy()
            moved[index] += sign * 1e-6
            losses.append(rnnsim.pairs_evaluate(made.model, rnnsim.Pairs(moved, target)).loss[0])
        gradient[index] = (losses[0] - losses[1]) / 2e-6
    logs = np.log(np.linalg.norm(gradient[:, 0], axis=-1))
    assert_allclose(flow.source.log_norms[0, 0], logs, atol=1e-6)  # differences: 1e-12/1e-6


@pytest.mark.parametrize("gain", [1e-3, 1e3])
def test_norms_beyond_the_range_of_floats(gain):
    """An orthogonal matrix times the gain: 10^(+-3) a step, over 150 + 150 steps."""
    model = rnnsim.EncoderDecoder.sample(
        n_source_inputs=2,
        n_inputs=1,
        n_hidden=3,
        n_outputs=2,
        scheme="orthogonal",
        gain=gain,
        activation="linear",
        rng=0,
    )
    target = rnnsim.Sequences(np.zeros((150, 1, 1)), np.ones((150, 1, 2))).last_loss_only()
    flow = rnnsim.pairs_flow(model, rnnsim.Pairs(np.zeros((150, 1, 2)), target))
    start = flow.decoder.log_norms[0, 0, 150]
    lags = np.arange(150, -1, -1) * np.log(gain)
    assert_allclose(flow.decoder.log_norms[0, 0], start + lags, rtol=1e-12)
    assert_allclose(flow.encoder.log_norms[0, 0], start + 150 * np.log(gain) + lags, rtol=1e-12)
    assert flow.first_nonfinite[0] == -1


def test_an_identity_bridge_and_a_captioner():
    model = rnnsim.EncoderDecoder.captioner(
        n_source_inputs=4, n_inputs=3, n_hidden=4, n_outputs=3, rng=0
    )
    made = pair_case(14, T_s=1, D_s=4)
    flow = rnnsim.pairs_flow(model, made.pairs)
    assert_allclose(flow.encoder.log_norms[:, :, 1], flow.decoder.log_norms[:, :, 0], rtol=1e-12)
    assert np.isneginf(flow.encoder.log_norms[:, :, 0]).all()  # W_hh = 0
    assert not flow.encoder.live[:, :, 0].any()
    assert np.isfinite(flow.source.log_norms).all()


def test_saturation_costs_no_digits():
    """At a = 30, 1 - tanh(a)^2 is 0 in floating point, and 1/cosh(a)^2 is 4 e^-60."""
    one = np.ones((1, 1, 1))
    encoder = rnnsim.RNN(30 * one, one, one)
    decoder = rnnsim.RNN(one, one, one, activation="linear")
    target = rnnsim.Sequences(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)))
    flow = rnnsim.pairs_flow(rnnsim.EncoderDecoder(encoder, decoder), rnnsim.Pairs(one, target))
    slope = np.log(4) - 60
    assert flow.source.log_norms[0, 0, 0] == pytest.approx(np.log(30) + slope, abs=1e-9)


@pytest.mark.parametrize(("gains", "first"), [((1e200, 1.0), 3), ((1.0, 1e160), 5)])
def test_a_network_beyond_the_range_is_named_and_the_other_is_not_affected(gains, first):
    one = np.ones((2, 1, 1))
    up = [np.array([1.0, g])[:, None, None] for g in gains]
    encoder = rnnsim.RNN(one, up[0], one, activation="linear")
    decoder = rnnsim.RNN(one, up[1], one, activation="linear")
    model = rnnsim.EncoderDecoder(encoder, decoder)
    target = rnnsim.Sequences(np.ones((4, 1, 1)), np.zeros((4, 1, 1)))
    flow = rnnsim.pairs_flow(model, rnnsim.Pairs(np.ones((3, 1, 1)), target))
    assert flow.first_nonfinite.tolist() == [-1, first]
    alone = rnnsim.pairs_flow(model[0], rnnsim.Pairs(np.ones((3, 1, 1)), target))
    np.testing.assert_array_equal(flow.encoder.log_norms[0], alone.encoder.log_norms[0])
    assert np.isfinite(flow.source.log_norms[0]).all()
    assert np.isnan(flow.source.log_norms[1, -1]).all()


def test_pairs_without_loss_are_refused():
    model, pairs = pair_case()
    s = pairs.target
    silent = rnnsim.Sequences(s.inputs, s.targets, 0 * s.weights)
    with pytest.raises(ValueError, match="`pairs` must carry loss at one step of the target"):
        rnnsim.pairs_flow(model, rnnsim.Pairs(pairs.source, silent))
    with pytest.raises(TypeError, match=r"`model` must be a rnnsim.EncoderDecoder, got RNN"):
        rnnsim.pairs_flow(model.decoder, pairs)
