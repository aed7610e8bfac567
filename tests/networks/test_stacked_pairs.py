"""Encoders and decoders of several layers: gradients, answers, and what holds of one layer."""

import numpy as np
import pytest
import reference
import reference_pairs
import reference_stacks
from builders import DTYPES, TOLERANCE, same_bits
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case, plain_stacks, stacked_pair

import rnnsim
from rnnsim.experiments import draws
from rnnsim.experiments.architectures.problem import rescaled
from rnnsim.flow.maps import picture_gradients

pytestmark = pytest.mark.nojit
KINDS = [("tanh", "tanh"), ("lstm", "lstm"), ("gru", "gru"), ("lstm", "gru"), ("gru", "lstm"),
         ("linear", "lstm"), ("lstm", "tanh")]  # fmt: skip


def assert_layers(found, expected, tolerance, n=0):
    """Normwise, against the norm of all gradients of a part together."""
    scale = np.sqrt(sum(np.sum(array**2) for net in expected for array in net))
    for k, (layer, net) in enumerate(zip(found, expected, strict=True)):
        for name, a, b in zip(net._fields, layer, net, strict=True):
            assert np.linalg.norm(a[n] - b) <= tolerance * scale, (k, name)


@pytest.mark.parametrize("H_e", [2, 3])  # as many units as the decoder has: memories go over
@pytest.mark.parametrize("n_layers", [2, 3])
@pytest.mark.parametrize("cells", KINDS, ids=str)
def test_gradients_of_all_layers_equal_complex_steps(cells, n_layers, H_e):
    made = stacked_pair(n_layers, cells=cells, H_e=H_e)
    assert made.model.hands_over_c == (cells == ("lstm", "lstm") and H_e == 3)
    arguments = plain_stacks(made)
    encoder, decoder = reference_pairs.gradients_of_stacks(*arguments)
    start = reference_pairs.first_states(*arguments[:3], cells)
    of_start = reference.derivative(
        lambda state: reference_pairs.loss_from(arguments[1], *arguments[3], state, cells[1]), start
    )
    for dtype in DTYPES:
        result = rnnsim.pairs_bptt(*made.astype(dtype))
        assert result.h0.dtype == result.encoder[0].W_hh.dtype == dtype
        assert_layers(result.encoder, encoder, TOLERANCE[dtype])
        assert_layers(result.decoder, decoder, TOLERANCE[dtype])
        parts = [result.h0[0], *([] if result.c0 is None else [result.c0[0]])]
        found = np.concatenate(np.concatenate(parts, axis=2), axis=1)
        assert np.linalg.norm(found - of_start) <= TOLERANCE[dtype] * np.linalg.norm(of_start)
        assert (result.c0 is None) == (cells[1] != "lstm")


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("cells", KINDS[:3], ids=str)
def test_loss_and_networks_are_independent(cells, own):
    made = stacked_pair(2, N=3, cells=cells, own=own)
    result = rnnsim.pairs_bptt(*made, n_threads=2)
    for n in range(3):
        assert_allclose(result.loss[n], reference_pairs.loss_of_stacks(*plain_stacks(made, n)))
    evaluated = rnnsim.pairs_evaluate(*made)
    assert_allclose(evaluated.loss, result.loss, rtol=1e-12)
    pairs = made.pairs
    if own:
        s = pairs.target
        target = rnnsim.Sequences(s.inputs[1:2], s.targets[1:2], s.weights[1:2])
        pairs = rnnsim.Pairs(pairs.source[1:2], target)
    alone = rnnsim.pairs_bptt(made.model[1], pairs)
    for name in ("encoder", "decoder"):
        for one, all_ in zip(getattr(alone, name), getattr(result, name), strict=True):
            for a, b in zip(one, all_, strict=True):
                assert_array_equal(a[0], b[1])


def as_stacks(model):
    return rnnsim.EncoderDecoder(rnnsim.Stack([model.encoder]), rnnsim.Stack([model.decoder]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cells", KINDS, ids=str)
def test_stacks_of_one_layer_give_the_bits_of_their_networks(cells, dtype):
    made = pair_case(N=2, H_e=4, activations=cells, dtype=dtype)
    one, pairs = as_stacks(made.model), made.pairs
    expected, found = rnnsim.pairs_bptt(*made), rnnsim.pairs_bptt(one, pairs)
    for part in ("encoder", "decoder"):
        (layer,) = getattr(found, part)
        same_bits(layer, getattr(expected, part))
        norms = getattr(found, f"{part}_step_norms")
        for name, wanted in getattr(expected, f"{part}_step_norms")._asdict().items():
            own = getattr(norms, name)
            assert_array_equal(own if name == "W_hy" else own[:, 0], wanted)
    assert_array_equal(found.h0[:, 0], expected.h0)
    if expected.c0 is not None:
        assert_array_equal(found.c0[:, 0], expected.c0)
    same_bits(rnnsim.pairs_evaluate(one, pairs), rnnsim.pairs_evaluate(*made))
    mixed = rnnsim.EncoderDecoder(made.model.encoder, one.decoder)
    same_bits(rnnsim.pairs_bptt(mixed, pairs).encoder, expected.encoder)


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru"])
def test_an_identity_bridge_makes_one_long_stack(cell):
    """Equal weights in encoder and decoder: one stack over T_s + T steps, loss in the last T."""
    rng = np.random.default_rng(0)
    stack = rnnsim.Stack.sample(
        2, n_layers=2, n_inputs=3, n_hidden=4, n_outputs=4, cell=cell, rng=1
    )
    below, top = stack.layers
    bridge = top.weights._replace(W_hy=np.stack([np.eye(4)] * 2), b_y=np.zeros((2, 4)))
    encoder = rnnsim.Stack([below, top.with_weights(bridge)])
    x, targets = rng.normal(size=(9, 3, 3)), rng.integers(0, 4, (9, 3))
    weights = np.repeat([0.0, 1.0], [5, 4])[:, None] * np.ones(3)
    whole = rnnsim.bptt(stack, rnnsim.Sequences(x, targets, weights), keep=("states",))
    pairs = rnnsim.Pairs(x[:5], rnnsim.Sequences(x[5:], targets[5:]))
    parts = rnnsim.pairs_bptt(rnnsim.EncoderDecoder(encoder, stack), pairs)
    assert_allclose(parts.loss, whole.loss, rtol=1e-13)
    for k in range(2):
        for name in ("W_xh", "W_hh", "b_h"):
            both = getattr(parts.encoder[k], name) + getattr(parts.decoder[k], name)
            assert_allclose(both, getattr(whole.layers[k], name), atol=1e-13)
    norms = [s.W_hh for s in (parts.encoder_step_norms, parts.decoder_step_norms)]
    assert_allclose(np.concatenate(norms, axis=2), whole.step_norms.W_hh, atol=1e-13)
    bridge = np.linalg.norm(parts.encoder[1].W_hy, axis=(1, 2))
    assert_allclose(parts.encoder_step_norms.W_hy[:, -1], bridge, rtol=1e-13)
    assert not parts.encoder_step_norms.W_hy[:, :-1].any()


@pytest.mark.parametrize("cells", KINDS[:3], ids=str)
def test_small_memory_and_threads_change_nothing(cells, monkeypatch):
    made = stacked_pair(2, N=3, cells=cells, T_s=70, own=True)
    whole = rnnsim.pairs_bptt(*made, n_threads=1), rnnsim.pairs_evaluate(*made)
    same_bits(whole[0], rnnsim.pairs_bptt(*made, n_threads=3))
    monkeypatch.setattr("rnnsim.gradients.pairs.STATE_MEMORY", 1.0)
    same_bits(whole[0], rnnsim.pairs_bptt(*made))
    same_bits(whole[1], rnnsim.pairs_evaluate(*made))
    monkeypatch.setattr("rnnsim.parallel.FLOPS_PER_CALL", 1.0)
    same_bits(whole[0], rnnsim.pairs_bptt(*made))


@pytest.mark.parametrize("cells", [*KINDS[:3], ("linear", "lstm")], ids=str)
def test_decoders_go_on_from_their_own_answers(cells):
    made = stacked_pair(2, N=2, cells=cells, B=4)
    found = rnnsim.greedy_decode(made.model, made.pairs.source, start=0, end=1, n_steps=6)
    for n in range(2):
        encoders, decoders, source, _, kinds = plain_stacks(made, n)
        first = reference_pairs.first_states(encoders, decoders, source, kinds)
        expected = np.full((6, 4), 1)
        for b in range(4):
            state, read = first[b : b + 1], 0
            for t in range(6):
                state = reference_stacks.advance(decoders, np.eye(3)[[read]], state, kinds[1])
                expected[t, b] = read = reference_stacks.read(decoders, state)[2][0].argmax()
                if read == 1:
                    break
        assert_array_equal(found[n], expected)


def test_the_first_step_beyond_the_range_is_named():
    """States of the upper layer of the encoder leave the range at step 2, though all is linear."""
    one = np.ones((1, 1, 1))
    lower = rnnsim.RNN(one, one, activation="linear")
    encoder = rnnsim.Stack([lower, rnnsim.RNN(1e200 * one, 1e200 * one, one, activation="linear")])
    decoder = rnnsim.Stack([lower, rnnsim.RNN(one, one, one, activation="linear")])
    target = rnnsim.Sequences(np.ones((4, 1, 1)), np.zeros((4, 1, 1)))
    pairs, model = rnnsim.Pairs(np.ones((3, 1, 1)), target), rnnsim.EncoderDecoder(encoder, decoder)
    for result in (rnnsim.pairs_bptt(model, pairs), rnnsim.pairs_evaluate(model, pairs)):
        assert result.first_nonfinite[0] == 2


def test_unequal_depths_are_refused():
    two, three = stacked_pair(2).model, stacked_pair(3).model
    message = "`encoder` and `decoder` must have equally many layers, each of .*, got 2 and 3"
    with pytest.raises(ValueError, match=message):
        rnnsim.EncoderDecoder(two.encoder, three.decoder)
    with pytest.raises(ValueError, match=r"equally many layers.*, got 1 and 2"):
        rnnsim.EncoderDecoder(pair_case(H_e=3, H=3).model.encoder, two.decoder)


SIZES = {"n_source_inputs": 5, "n_inputs": 3, "n_hidden": 4, "n_outputs": 2}
DRAWS = (rnnsim.EncoderDecoder.sample, rnnsim.EncoderDecoder.captioner)


def same_layers(one, other):
    for a, b in zip(one, other, strict=True):
        for name in ("W_xh", "W_hh", "b_h"):
            assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru"])
def test_draws_of_several_layers(draw, cell):
    model = draw(3, **SIZES, cell=cell, n_layers=3, rng=0)
    assert (model.n_layers, model.encoder.n_layers, model.decoder.n_layers) == (3, 3, 3)
    assert {name: getattr(model, name) for name in SIZES} == SIZES
    assert repr(model).startswith("EncoderDecoder(n_layers=3, n_networks=3, n_source_inputs=5, ")
    assert_array_equal(model.encoder.layers[-1].W_hy, np.stack([np.eye(4)] * 3))
    assert not model.encoder.layers[-1].b_y.any()
    for part in ("encoder", "decoder"):
        layers = getattr(model, part).layers
        for depth in (1, 2):  # the layers of a deeper draw begin with those of a shallower one
            shallower = draw(3, **SIZES, cell=cell, n_layers=depth, rng=0)
            same_layers(getattr(shallower, part).layers, layers[:depth])
        fewer = draw(2, **SIZES, cell=cell, n_layers=3, rng=0)
        same_layers(getattr(fewer, part).layers, getattr(model[:2], part).layers)
        assert (layers[1].W_xh != layers[2].W_xh).all()
    assert model.astype("float32").dtype == np.float32
    moved = model.with_weights(*([n.weights for n in part.layers] for part in (
        model.encoder, model.decoder)))  # fmt: skip
    same_layers(moved.decoder.layers, model.decoder.layers)


def test_a_captioner_begins_in_linear_images():
    model = rnnsim.EncoderDecoder.captioner(2, **SIZES, cell="gru", n_layers=2, rng=0)
    assert (model.encoder.cell, model.encoder.activation, model.decoder.cell) == (
        "vanilla", "linear", "gru",
    )  # fmt: skip
    assert not any(layer.W_hh.any() for layer in model.encoder.layers)
    x = np.random.default_rng(0).normal(size=(1, 6, 5))
    states = rnnsim.forward(model.encoder, x).final_h
    below, top = model.encoder.layers
    assert_allclose(states[:, 0], x[0] @ below.W_xh.mT, atol=1e-14)
    assert_allclose(states[:, 1], x[0] @ below.W_xh.mT @ top.W_xh.mT, atol=1e-14)


def test_pictures_of_stacked_captioners():
    """|dl/dx| of the only source step, by complex steps through both layers and the bridge."""
    made = stacked_pair(2, cells=("linear", "gru"), T_s=1, B=3, N=2)
    found = picture_gradients(made.model, made.pairs)
    for n in range(2):
        encoders, decoders, source, target, cells = plain_stacks(made, n)
        still = [net._replace(W_hh=0 * net.W_hh) for net in encoders]
        of_x = reference.derivative(
            lambda x, n=still, d=decoders, t=target, c=cells: reference_pairs.loss_of_stacks(
                n, d, x, t, c
            ),
            source,
        )
        assert_allclose(found[n], np.abs(3 * of_x[0]).mean(axis=0), rtol=1e-10)


def test_misuse_of_depth_is_named():
    made = stacked_pair(2)
    for draw in DRAWS:
        with pytest.raises(ValueError, match="`n_layers` must be at least 1, got 0"):
            draw(**SIZES, n_layers=0, rng=0)
    with pytest.raises(ValueError, match="`encoder_weights` must hold one "):
        made.model.with_weights([], [])
    assert rnnsim.pairs_flow(as_stacks(pair_case().model), pair_case().pairs).steps.size


def test_last_states_of_a_stack_of_one_layer_go_on():
    stack = rnnsim.Stack.sample(2, n_layers=1, n_inputs=3, n_hidden=4, n_outputs=2, cell="lstm",
                                rng=0)  # fmt: skip
    x = np.random.default_rng(0).normal(size=(6, 2, 3))
    whole, first = rnnsim.forward(stack, x), rnnsim.forward(stack, x[:4])
    assert first.final_h.shape == first.final_c.shape == (2, 1, 2, 4)
    on = rnnsim.forward(stack, x[4:], h0=first.final_h, c0=first.final_c)
    assert_array_equal(on.states[:, 1:], whole.states[:, 5:])
    assert first.layers[0].final_h.shape == (2, 2, 4)


def test_experiments_draw_and_rescale_stacked_pairs():
    both = draws.encoder_decoders([3, 4], **SIZES, cell="gru", n_layers=2)
    alone = draws.encoder_decoders([4], **SIZES, cell="gru", n_layers=2)
    same_layers(both[1].encoder.layers, alone.encoder.layers)
    same_layers(both[1].decoder.layers, alone.decoder.layers)
    scaled = rescaled(both.decoder, 0.5)
    factor = 0.5 * np.sqrt(SIZES["n_inputs"])
    assert_allclose(scaled.layers[0].W_xh, factor * both.decoder.layers[0].W_xh, rtol=1e-15)
    same_layers(scaled.layers[1:], both.decoder.layers[1:])
