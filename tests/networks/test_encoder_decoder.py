"""Encoder-decoder networks and pairs: how they are drawn, cut and checked."""

import numpy as np
import pytest
from builders import DTYPES
from pair_builders import pair_case

import rnnsim
from rnnsim import EncoderDecoder, Pairs, Sequences

SIZES = {"n_source_inputs": 5, "n_inputs": 3, "n_hidden": 4, "n_outputs": 2}
DRAWS = (EncoderDecoder.sample, EncoderDecoder.captioner)


def all_weights(model):
    return [*model.encoder.weights, *model.decoder.weights]


def same(one, other):
    return all(map(np.array_equal, all_weights(one), all_weights(other)))


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_dtype_and_the_identity_bridge(draw, dtype):
    model = draw(3, **SIZES, dtype=dtype, rng=0)
    assert (len(model), model.n_networks, model.dtype) == (3, 3, dtype)
    assert {name: getattr(model, name) for name in SIZES} == SIZES
    np.testing.assert_array_equal(model.encoder.W_hy, np.stack([np.eye(4)] * 3))
    assert not model.encoder.b_y.any()
    assert repr(model) == (
        "EncoderDecoder(n_networks=3, n_source_inputs=5, n_inputs=3, n_hidden=4, n_outputs=2, "
        f"cell='vanilla', dtype={dtype})"
    )


@pytest.mark.parametrize("draw", DRAWS)
def test_a_seed_repeats_the_draw_and_larger_ensembles_begin_alike(draw):
    model = draw(3, **SIZES, rng=1)
    assert same(model, draw(3, **SIZES, rng=np.random.default_rng(1)))
    assert same(model[:2], draw(2, **SIZES, rng=1))
    assert not same(model, draw(3, **SIZES, rng=2))
    assert same(model.astype("float32"), draw(3, **SIZES, rng=1, dtype="float32"))


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("scheme", ["pytorch", lambda rng, shape: rng.normal(size=shape)])
def test_whatever_the_scheme_the_bridge_is_the_identity(draw, scheme):
    model = draw(3, **SIZES, scheme=scheme, rng=1)
    np.testing.assert_array_equal(model.encoder.W_hy, np.stack([np.eye(4)] * 3))
    assert not model.encoder.b_y.any()
    assert same(model[:2], draw(2, **SIZES, scheme=scheme, rng=1))
    assert model.decoder.b_h.any() == (scheme == "pytorch")


def test_gain_scales_the_recurrence_of_both():
    one = EncoderDecoder.sample(2, **SIZES, rng=0)
    two = EncoderDecoder.sample(2, **SIZES, rng=0, gain=[1.0, 2.0])
    for part in ("encoder", "decoder"):
        a, b = getattr(one, part), getattr(two, part)
        np.testing.assert_array_equal(b.W_hh, a.W_hh * np.array([1.0, 2.0])[:, None, None])
        np.testing.assert_array_equal(b.W_xh, a.W_xh)


def test_captioner_begins_in_a_linear_image_of_the_source():
    model = EncoderDecoder.captioner(2, **SIZES, rng=0, activation="relu", scheme="identity")
    assert (model.encoder.activation, model.decoder.activation) == ("linear", "relu")
    assert not model.encoder.W_hh.any()
    x = np.random.default_rng(0).normal(size=(1, 6, 5))
    h0 = rnnsim.forward(model.encoder, x).outputs[:, -1]
    U = model.encoder.W_xh.swapaxes(1, 2)
    bound = 2 * x.shape[-1] * np.finfo(float).eps * (np.abs(x) @ np.abs(U))  # in any order
    assert (np.abs(h0 - x @ U) <= bound).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_draws_of_gated_cells(cell):
    options = SIZES | {"cell": cell, "scheme": "orthogonal"}
    model = EncoderDecoder.sample(2, **options, forget_bias=1.5, rng=0)
    assert (model.encoder.cell, model.decoder.cell) == (cell, cell)
    assert model.hands_over_c == (cell == "lstm")
    generator = np.random.default_rng(0)
    alone = {"n_hidden": 4, "cell": cell, "scheme": "orthogonal", "forget_bias": 1.5}
    drawn = [rnnsim.RNN.sample(n_inputs=D, n_outputs=V, **alone, rng=generator)
             for D, V in ((5, 1), (3, 2))]  # fmt: skip
    np.testing.assert_array_equal(model.encoder.W_hh[0], drawn[0].W_hh[0])
    np.testing.assert_array_equal(model.encoder.b_h[0], drawn[0].b_h[0])
    for one, other in zip(model.decoder.weights, drawn[1].weights, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(model.encoder.W_hy, np.stack([np.eye(4)] * 2))
    captioner = EncoderDecoder.captioner(2, **options, chrono=10.0, rng=0)
    assert (captioner.encoder.activation, captioner.decoder.cell) == ("linear", cell)
    assert not captioner.hands_over_c
    keeps = captioner.decoder.b_h.reshape(2, 4, 4)[:, 1]
    assert ((keeps >= 0) & (keeps <= np.log(9))).all()
    assert np.ptp(keeps) > 0
    assert EncoderDecoder.sample(2, **options, rng=1).with_weights(
        model.encoder.weights, model.decoder.weights
    )[1].decoder.cell == cell  # fmt: skip


def test_memories_are_handed_over_between_lstms_of_one_size_alone():
    def lstm(H, V):
        return rnnsim.RNN.sample(n_inputs=2, n_hidden=H, n_outputs=V, cell="lstm", rng=0)

    assert EncoderDecoder(lstm(4, 4), lstm(4, 2)).hands_over_c
    assert not EncoderDecoder(lstm(3, 4), lstm(4, 2)).hands_over_c
    assert not EncoderDecoder(lstm(4, 4), rnn()).hands_over_c
    assert not EncoderDecoder(rnn(), lstm(4, 2)).hands_over_c


def test_parts_of_an_ensemble():
    model = EncoderDecoder.sample(4, **SIZES, rng=0)
    assert same(model[1], model[1:2])
    assert len(model[::2]) == 2
    assert same(model[-1], model[3])
    with pytest.raises(IndexError, match="selects none of the 4"):
        model[4:]


def test_with_weights_keeps_activations():
    model = EncoderDecoder.captioner(2, **SIZES, rng=0, activation="relu")
    other = EncoderDecoder.sample(2, **SIZES, rng=1)
    moved = model.with_weights(other.encoder.weights, other.decoder.weights)
    assert same(moved, other)
    assert (moved.encoder.activation, moved.decoder.activation) == ("linear", "relu")


def rnn(N=1, D=2, H=4, V=4, dtype="float64"):
    return rnnsim.RNN.sample(N, n_inputs=D, n_hidden=H, n_outputs=V, dtype=dtype, rng=0)


def test_misuse_of_encoder_decoder_is_named():
    with pytest.raises(TypeError, match=r"`decoder` must be a rnnsim.RNN, got list"):
        EncoderDecoder(rnn(), [])
    with pytest.raises(ValueError, match="equally many networks, one pair each, got 1 and 2"):
        EncoderDecoder(rnn(), rnn(2))
    with pytest.raises(ValueError, match=r"n_outputs must be n_hidden = 4 .* got 3; an encoder of"):
        EncoderDecoder(rnn(V=3), rnn())
    with pytest.raises(TypeError, match="one dtype, got encoder: float64, decoder: float32"):
        EncoderDecoder(rnn(), rnn(dtype="float32"))


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_source_inputs": 0}, ValueError, "`n_source_inputs` must be at least 1, got 0"),
        ({"n_hidden": 2.5}, TypeError, "`n_hidden` must be an integer"),
        ({"n_networks": 0}, ValueError, "`n_networks` must be at least 1"),
        ({"rng": None}, TypeError, "`rng` must be an int seed"),
        ({"gain": [1.0, 2.0]}, ValueError, "`gain` must be a number or of shape"),
        ({"scheme": "sparse"}, ValueError, "`scheme` must be one of"),
        ({"activation": "gelu"}, ValueError, "`activation` must be one of"),
        ({"dtype": "float16"}, TypeError, "`dtype` must be"),
        ({"cell": "rwa"}, ValueError, "`cell` must be one of"),
        ({"cell": "lstm", "activation": "relu"}, ValueError, "`activation` is phi of vanilla"),
        ({"chrono": 9.0}, ValueError, "`chrono` sets the bias of a gate"),
        ({"forget_bias": 1.0}, ValueError, "`forget_bias` sets the bias of a g"),
    ],
)
def test_misuse_of_draws_is_named(draw, change, error, message):
    with pytest.raises(error, match=message):
        draw(**(SIZES | {"n_networks": 1, "rng": 0} | change))


def test_pairs_know_their_sizes():
    pairs = pair_case(N=2, own=True).pairs
    assert (pairs.n_networks, pairs.n_source_steps, pairs.n_steps) == (2, 4, 5)
    assert (pairs.n_sequences, pairs.n_source_inputs, pairs.dtype) == (3, 2, np.float64)
    single = pairs.astype("float32")
    assert (single.dtype, single.target.dtype) == (np.float32, np.float32)
    assert pair_case().pairs.n_networks is None


def test_astype_keeps_provenance():
    target = Sequences(np.zeros((4, 2, 3)), np.zeros((4, 2), int))
    pairs = Pairs(np.zeros((5, 2, 1)), target, provenance={"task": "none"})
    assert pairs.astype("float32").provenance == {"task": "none"}


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (np.zeros((5, 3, 1)), ValueError, "one sequence for each of the 2 of `target`, got 3"),
        (np.zeros((5, 2)), ValueError, r"`source` must be \(n_steps, n_sequences, n_inputs\), got"),
        (np.zeros((1, 5, 2, 1)), ValueError, "the network axis belongs to both or neither"),
        (np.zeros((0, 2, 1)), ValueError, "`source` must have at least one entry on each axis"),
        (np.zeros((5, 2, 1), int), TypeError, "`source` .* must hold float32 or float64"),
        (np.zeros((5, 2, 1), "float32"), TypeError, "source: float32, target: float64"),
        (np.full((5, 2, 1), np.nan), ValueError, "`source` must be finite, got nan"),
    ],
)
def test_misuse_of_pairs_is_named(source, error, message):
    target = Sequences(np.zeros((4, 2, 3)), np.zeros((4, 2), int))
    with pytest.raises(error, match=message):
        Pairs(source, target)


def test_pairs_need_sequences_and_one_network_axis():
    with pytest.raises(TypeError, match=r"`target` must be a rnnsim.Sequences.*, got ndarray"):
        Pairs(np.zeros((5, 2, 1)), np.zeros((4, 2, 3)))
    target = Sequences(np.zeros((3, 4, 2, 3)), np.zeros((3, 4, 2), int))
    with pytest.raises(ValueError, match="a leading axis of n_networks = 3, as in `target`"):
        Pairs(np.zeros((5, 2, 1)), target)
