"""Encoder-decoder networks: gradients, loss and exact sequences, beside plain loops and laws."""

import numpy as np
import pytest
import reference
import reference_pairs
from builders import DTYPES, TOLERANCE, same_bits
from numpy.testing import assert_allclose
from pair_builders import pair_case, plain

import rnnsim

pytestmark = pytest.mark.nojit
KINDS = [("tanh", "tanh"), ("linear", "tanh"), ("tanh", "linear"), ("linear", "linear")]
GATED = [("lstm", "lstm"), ("lstm", "gru"), ("gru", "lstm"), ("gru", "gru"), ("linear", "lstm"),
         ("lstm", "tanh")]  # fmt: skip


def assert_weights(found, expected, tolerance, n=0):
    """Normwise, against the norm of all gradients of one network together.

    The gradients of these small cases are of one size, so this is a bound for each.
    """
    scale = np.sqrt(sum(np.sum(array**2) for array in expected))
    for name, a, b in zip(expected._fields, found, expected, strict=True):
        assert np.linalg.norm(a[n] - b) <= tolerance * scale, name


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("activations", KINDS)
def test_gradients_of_all_weights_equal_complex_steps(activations, classes):
    made = pair_case(1, T_s=3, T=3, B=2, H_e=2, H=3, activations=activations, classes=classes)
    encoder, decoder = reference_pairs.complex_step(*plain(made))
    for dtype in DTYPES:
        result = rnnsim.pairs_bptt(*made.astype(dtype))
        assert result.h0.dtype == dtype
        assert_weights(result.encoder, encoder, TOLERANCE[dtype])
        assert_weights(result.decoder, decoder, TOLERANCE[dtype])


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("H_e", [2, 3])  # as many units as the decoder has: memories go over
@pytest.mark.parametrize("cells", GATED)
def test_gradients_of_gated_parts_equal_complex_steps(cells, H_e, classes):
    made = pair_case(1, T_s=3, T=3, B=2, H_e=H_e, H=3, activations=cells, classes=classes)
    assert made.model.hands_over_c == (cells == ("lstm", "lstm") and H_e == 3)
    arguments = plain(made)
    encoder, decoder = reference_pairs.complex_step(*arguments)
    start = reference_pairs.first_state(arguments[0], arguments[1], arguments[2], cells)
    _, of_start = reference.complex_step(arguments[1], *arguments[3], start, cells[1])
    for dtype in DTYPES:
        result = rnnsim.pairs_bptt(*made.astype(dtype))
        assert_weights(result.encoder, encoder, TOLERANCE[dtype])
        assert_weights(result.decoder, decoder, TOLERANCE[dtype])
        parts = [result.h0[0], *([] if result.c0 is None else [result.c0[0]])]
        found = np.concatenate(parts, axis=1)
        assert np.linalg.norm(found - of_start) <= TOLERANCE[dtype] * np.linalg.norm(of_start)
        assert (result.c0 is None) == (cells[1] != "lstm")


@pytest.mark.parametrize("kinds", [("relu", "relu"), ("relu", "tanh")])
def test_relu_gradients_by_the_chain_rule(kinds):
    """The decoder by its own plain BPTT, the encoder by its plain BPTT of <dL/dh_0, y_T_s>.

    0.5||y - (y* - g)||^2 has the gradient g at y = y*: squared error carries g back as well.
    """
    made = pair_case(2, N=2, activations=kinds)
    result = rnnsim.pairs_bptt(*made)
    for n in range(2):
        encoder, decoder, source, target, _ = plain(made, n)
        h0 = reference_pairs.first_state(encoder, decoder, source, kinds)
        truth = reference.bptt(decoder, *target, h0, kinds[1])
        last = np.zeros(source.shape[:2])
        last[-1] = 1
        B = source.shape[1]
        wanted = np.zeros((*source.shape[:2], h0.shape[1]))
        wanted[-1] = h0 - B * truth.h0
        begin = np.zeros((B, encoder.b_h.size))
        behind = reference.bptt(encoder, source, wanted, last, begin, kinds[0])
        assert_allclose(result.h0[n], truth.h0, atol=1e-12)
        assert_weights(result.decoder, truth.weights, 1e-12, n)
        assert_weights(result.encoder, behind.weights, 1e-12, n)


@pytest.mark.parametrize("own", [False, True])
def test_loss_and_networks_are_independent(own):
    made = pair_case(3, N=3, own=own)
    result = rnnsim.pairs_bptt(*made, n_threads=2)
    for n in range(3):
        assert_allclose(result.loss[n], reference_pairs.loss(*plain(made, n)), rtol=1e-12)
    pairs = made.pairs
    if own:
        s = pairs.target
        target = rnnsim.Sequences(s.inputs[1:2], s.targets[1:2], s.weights[1:2])
        pairs = rnnsim.Pairs(pairs.source[1:2], target)
    alone = rnnsim.pairs_bptt(made.model[1], pairs)
    for name in ("encoder", "decoder"):
        for one, all_ in zip(getattr(alone, name), getattr(result, name), strict=True):
            np.testing.assert_array_equal(one[0], all_[1])


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru"])
def test_an_identity_bridge_makes_one_long_network(cell):
    """Equal weights in encoder and decoder: one RNN over T_s + T steps, loss in the last T."""
    rng = np.random.default_rng(0)
    rnn = rnnsim.RNN.sample(2, n_inputs=3, n_hidden=5, n_outputs=4, cell=cell, rng=1)
    encoder = rnn.with_weights(
        rnn.weights._replace(W_hy=np.stack([np.eye(5)] * 2), b_y=np.zeros((2, 5)))
    )
    x, targets = rng.normal(size=(9, 4, 3)), rng.integers(0, 4, (9, 4))
    weights = np.repeat([0.0, 1.0], [5, 4])[:, None] * np.ones(4)
    whole = rnnsim.bptt(rnn, rnnsim.Sequences(x, targets, weights))
    pairs = rnnsim.Pairs(x[:5], rnnsim.Sequences(x[5:], targets[5:]))
    parts = rnnsim.pairs_bptt(rnnsim.EncoderDecoder(encoder, rnn), pairs)
    assert_allclose(parts.loss, whole.loss, rtol=1e-13)
    for name in ("W_xh", "W_hh", "b_h"):
        both = getattr(parts.encoder, name) + getattr(parts.decoder, name)
        assert_allclose(both, getattr(whole.weights, name), atol=1e-13)
        if name != "b_h":
            steps = [getattr(s, name) for s in (parts.encoder_step_norms, parts.decoder_step_norms)]
            assert_allclose(np.hstack(steps), getattr(whole.step_norms, name), atol=1e-13)
    gates = [s.gates for s in (parts.encoder_step_norms, parts.decoder_step_norms)]
    assert_allclose(np.hstack(gates), whole.step_norms.gates, atol=1e-13)
    assert_allclose(parts.decoder.W_hy, whole.weights.W_hy, atol=1e-13)
    evaluated = rnnsim.pairs_evaluate(rnnsim.EncoderDecoder(encoder, rnn), pairs)
    assert_allclose(evaluated.loss, parts.loss, rtol=1e-13)


def test_in_a_captioner_recurrence_of_the_encoder_has_no_influence():
    model = rnnsim.EncoderDecoder.captioner(
        2, n_source_inputs=6, n_inputs=3, n_hidden=4, n_outputs=3, rng=0
    )
    made = pair_case(4, N=2, T_s=1, D_s=6)
    result = rnnsim.pairs_bptt(model, made.pairs)
    assert not result.encoder.W_hh.any()
    for n in range(2):  # h_0 = U x + c: plain outer products
        assert_allclose(
            result.encoder.W_xh[n], result.h0[n].T @ made.pairs.source[0], rtol=0, atol=1e-14
        )
        assert_allclose(result.encoder.b_h[n], result.h0[n].sum(axis=0), rtol=0, atol=1e-14)


def test_small_memory_changes_nothing(monkeypatch):
    made = pair_case(5, N=3, own=True)
    whole = rnnsim.pairs_bptt(*made), rnnsim.pairs_evaluate(*made)
    monkeypatch.setattr("rnnsim.gradients.pairs.STATE_MEMORY", 1.0)
    same_bits(whole[0], rnnsim.pairs_bptt(*made))
    same_bits(whole[1], rnnsim.pairs_evaluate(*made))


@pytest.mark.parametrize("cells", [("tanh", "tanh"), ("lstm", "lstm"), ("tanh", "lstm")])
def test_accuracy_and_exact_are_counted(cells):
    made = pair_case(6, N=2, T=2, B=60, H_e=4, V=2, silent=0.6, activations=cells)
    result = rnnsim.pairs_evaluate(*made)
    for n in range(2):
        encoder, decoder, source, (x, targets, weights), kinds = plain(made, n)
        first = reference_pairs.first_state(encoder, decoder, source, kinds)
        states = reference.unfold(decoder, x, first, kinds[1])[0][..., :4]
        right = (states[1:] @ decoder.W_hy.T + decoder.b_y).argmax(axis=-1) == targets
        scored = weights > 0
        assert result.accuracy[n] == pytest.approx(right[scored].mean())
        exact = [right[scored[:, b], b].all() for b in range(60) if scored[:, b].any()]
        assert result.exact[n] == pytest.approx(np.mean(exact))
        assert 0 < result.exact[n] < 1
    floats = rnnsim.pairs_evaluate(*pair_case(6, classes=False))
    assert np.isnan(floats.exact[0])
    assert np.isnan(floats.accuracy[0])


def exploding(encoder_gain, decoder_gain, bridge=1.0):
    """Two linear pairs of one unit; the first is tame."""
    one = np.ones((2, 1, 1))
    gains = [np.array([1.0, g])[:, None, None] for g in (encoder_gain, decoder_gain, bridge)]
    encoder = rnnsim.RNN(one, gains[0], gains[2], activation="linear")
    decoder = rnnsim.RNN(one, gains[1], one, activation="linear")
    target = rnnsim.Sequences(np.ones((4, 1, 1)), np.zeros((4, 1, 1)))
    return rnnsim.EncoderDecoder(encoder, decoder), rnnsim.Pairs(np.ones((3, 1, 1)), target)


@pytest.mark.parametrize(
    ("gains", "first"),
    [((1e200, 1.0), 3), ((1.0, 1e160), 5), ((1e150, 1.0, 1e300), 3), ((1e50, 1e70), -1)],
)
def test_the_first_step_beyond_the_range_is_named(gains, first):
    """States 1, 1e200, 1e400 in the encoder; or 1e160, 1e320 in steps 4 and 5; or the bridge."""
    model, pairs = exploding(*gains)
    result, evaluated = rnnsim.pairs_bptt(model, pairs), rnnsim.pairs_evaluate(model, pairs)
    assert result.first_nonfinite[0] == -1
    assert np.isfinite(result.loss[0])
    assert evaluated.first_nonfinite[0] == -1
    if first > 0:
        assert result.first_nonfinite[1] == first
        assert evaluated.first_nonfinite[1] == first
        assert not np.isfinite(result.loss[1])


def test_gradients_beyond_the_range_in_the_encoder_are_named():
    """States stay small, but the gradient grows by 1e200 in each of two steps of the encoder."""
    one = np.ones((1, 1, 1))
    encoder = rnnsim.RNN(one, 1e200 * one, one, activation="linear")
    decoder = rnnsim.RNN(one, one, one, activation="linear")
    source = np.zeros((3, 1, 1))
    target = rnnsim.Sequences(np.ones((1, 1, 1)), np.zeros((1, 1, 1)))
    result = rnnsim.pairs_bptt(
        rnnsim.EncoderDecoder(encoder, decoder), rnnsim.Pairs(source, target)
    )
    assert np.isfinite(result.loss[0])
    assert result.first_nonfinite[0] == 1


def test_misuse_is_named():
    model, pairs = pair_case()
    with pytest.raises(TypeError, match=r"`model` must be a rnnsim.EncoderDecoder, got RNN; "):
        rnnsim.pairs_bptt(model.decoder, pairs)
    with pytest.raises(TypeError, match=r"`pairs` must be a rnnsim.Pairs.*, got Sequences"):
        rnnsim.pairs_evaluate(model, pairs.target)
    with pytest.raises(ValueError, match=r"`source` must have n_inputs = 2 .*, got 3"):
        rnnsim.pairs_bptt(model, pair_case(D_s=3).pairs)
    with pytest.raises(ValueError, match=r"`source` must be .* n_networks = 1, got shape"):
        rnnsim.pairs_bptt(model, pair_case(N=2, own=True).pairs)
    with pytest.raises(TypeError, match="must share one dtype, got rnn: float64, source: float32"):
        rnnsim.pairs_bptt(model, pairs.astype("float32"))
    with pytest.raises(ValueError, match="`inputs` must have n_inputs = 3"):
        rnnsim.pairs_bptt(model, pair_case(D=2).pairs)
    with pytest.raises(ValueError, match=r"class ids 0\.\.2"):
        rnnsim.pairs_bptt(model, pair_case(V=9, silent=0).pairs)
