"""Gradients clipped layer by layer."""

import numpy as np
import pytest
from builders import NOJIT, draws, gated
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case
from stack_builders import KINDS, stacked
from training_builders import assert_like_reference

import rnnsim
from rnnsim import Stack, train

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", KINDS)
UPDATES = 3 if NOJIT else 5


def case(cell="tanh", n_layers=2, N=2):
    return stacked(cell, n_layers, N=N, T=7, B=2, D=2, H=3, V=3)


def norms(layers):
    """||dL/dW|| of each layer and network (L, N)."""
    return np.array(
        [np.sqrt(sum((a**2).reshape(len(a), -1).sum(axis=1) for a in layer)) for layer in layers]
    )


def taken(before, after):
    """What an update with rate 1 took from the weights of each layer."""
    pairs = zip(before.layers, after.layers, strict=True)
    return [[w - v for w, v in zip(a.weights, b.weights, strict=True)] for a, b in pairs]


@EACH
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("clip_value", [np.inf, 0.05])
def test_updates_follow_the_plain_loop(cell, n_layers, clip_value):
    made = case(cell, n_layers)
    options = {
        "window": 4, "stride": 2, "clip_norm": np.array([0.5, 0.2]), "clip_by": "layer",
        "clip_value": clip_value,
    }  # fmt: skip
    for optimizer in ("sgd", "adam"):
        assert_like_reference(made.stack, draws, optimizer, options, n_updates=UPDATES)


@EACH
def test_layers_are_clipped_or_not_each_by_itself(cell):
    made = case(cell, 3)
    layers = rnnsim.bptt(made.stack, made.sequences).layers
    sizes = norms(layers)
    assert (sizes > 0).all()
    limit = np.median(sizes, axis=0)  # between: one layer is above it, one at it, one below
    options = {"n_updates": 1, "learning_rate": 1.0, "clip_norm": limit}
    after = train(made.stack, made.sequences, clip_by="layer", **options)
    found = norms(taken(made.stack, after.rnn))
    assert_allclose(found, np.minimum(sizes, limit), rtol=1e-9)
    assert_allclose(after.record.clipped[:, -1], 1.0)
    together = np.sqrt((sizes**2).sum(axis=0))
    assert_allclose(after.record.log_gradient_norm[:, -1], np.log(together), rtol=1e-9, atol=1e-12)
    whole = train(made.stack, made.sequences, **options)
    assert_allclose(norms(taken(made.stack, whole.rnn)), sizes * limit / together, rtol=1e-9)


def test_nothing_is_clipped_where_every_layer_is_below_and_all_together_above():
    made = case("lstm", 3)
    sizes = norms(rnnsim.bptt(made.stack, made.sequences).layers)
    limit = 0.5 * (sizes.max(axis=0) + np.sqrt((sizes**2).sum(axis=0)))
    options = {"n_updates": 2, "learning_rate": 0.0, "clip_norm": limit}
    for clip_by, share in (("layer", 0.0), ("all", 1.0)):
        record = train(made.stack, made.sequences, clip_by=clip_by, **options).record
        assert_array_equal(record.clipped[:, -1], [share, share])


@EACH
def test_of_one_layer_both_are_the_same_bits(cell):
    made = gated(cell, N=2, T=7, V=3)
    options = {"n_updates": UPDATES, "optimizer": "momentum", "clip_norm": 0.2, "window": 3}
    for model in (made.rnn, Stack([made.rnn])):
        one, other = (
            train(model, made.sequences, clip_by=clip_by, **options).rnn.layers[0].weights
            for clip_by in ("all", "layer")
        )
        for a, b in zip(one, other, strict=True):
            assert_array_equal(a, b)


def test_values_are_clipped_alike():
    made = case("gru")
    one, other = (
        train(made.stack, made.sequences, n_updates=2, clip_value=0.01, clip_by=clip_by).rnn
        for clip_by in ("all", "layer")
    )
    for parts in taken(one, other):
        assert all((part == 0).all() for part in parts)


def test_held_weights_have_no_part_and_tied_ones_count_once():
    made = case("tanh", 2, N=1)
    below, top = made.stack.layers
    top = top.with_weights(top.weights._replace(b_h=np.full((1, 3), 0.2)))
    stack, held = Stack([below, top]), np.array([0, 1, 1])
    gradient = rnnsim.bptt(stack, made.sequences).layers
    first = gradient[0]._replace(b_h=gradient[0].b_h * held)
    bias = gradient[1].b_h.sum()
    others = gradient[1]._replace(b_h=np.array([[bias]]))
    sizes = norms([first, others])[:, 0]
    options = {
        "n_updates": 1, "learning_rate": 1.0, "clip_norm": 0.01, "clip_by": "layer",
        "mask": {"layers[0].b_h": held}, "tie": {"layers[1].b_h": np.array([7, 7, 7])},
    }  # fmt: skip
    assert (sizes > 0.01).all()
    after = train(stack, made.sequences, **options)
    moved = taken(stack, after.rnn)
    for name, a, b in zip(first._fields, moved[0], first, strict=True):
        assert_allclose(a, b * 0.01 / sizes[0], rtol=1e-9, atol=1e-15, err_msg=name)
    expected = others._replace(b_h=np.full((1, 3), bias))
    for name, a, b in zip(first._fields, moved[1], expected, strict=True):
        assert_allclose(a, b * 0.01 / sizes[1], rtol=1e-9, atol=1e-15, err_msg=name)
    known = after.record.log_gradient_norm[0, -1]
    assert_allclose(known, np.log(np.hypot(*sizes)), rtol=1e-9)


def test_a_parameter_of_two_layers_is_refused():
    made = case("tanh", 3)
    below, middle, top = made.stack.layers
    middle = middle.with_weights(middle.weights._replace(b_h=below.b_h))
    stack, labels = Stack([below, middle, top]), np.array([1, -2, 3])
    tie = {"layers[0].b_h": np.abs(labels), "layers[1].b_h": np.abs(labels)}
    message = (
        r"`tie` must join weights of one layer where clip_by = 'layer'.*one parameter for "
        r"'layers\[0\].b_h' and 'layers\[1\].b_h'; use clip_by='all'"
    )
    with pytest.raises(ValueError, match=message):
        train(stack, made.sequences, n_updates=1, tie=tie, clip_by="layer")
    train(stack, made.sequences, n_updates=1, tie=tie)
    mask = {"layers[1].b_h": 0}  # held weights are no parameter
    train(stack, made.sequences, n_updates=1, tie=tie, mask=mask, clip_by="layer")
    with pytest.raises(ValueError, match="`clip_by` must be one of 'all', 'layer', got 'layers'"):
        train(stack, made.sequences, n_updates=1, clip_by="layers")


@pytest.mark.parametrize("cells", [("tanh", "tanh"), ("lstm", "lstm")])
def test_encoder_and_decoder_are_two_layers(cells):
    made = pair_case(N=2, activations=cells)
    gradients = rnnsim.pairs_bptt(made.model, made.pairs)
    free = gradients.encoder._replace(
        W_hy=np.zeros_like(gradients.encoder.W_hy), b_y=np.zeros_like(gradients.encoder.b_y)
    )
    parts = {"decoder": gradients.decoder, "encoder": free}
    sizes = norms(list(parts.values()))
    limit = 0.5 * sizes.min(axis=0)
    after = train(
        made.model, made.pairs, n_updates=1, learning_rate=1.0, clip_norm=limit, clip_by="layer"
    ).model
    for (name, part), size in zip(parts.items(), sizes, strict=True):
        old, new = (getattr(model, name).weights for model in (made.model, after))
        for field, g, a, b in zip(part._fields, part, old, new, strict=True):
            factor = (limit / size).reshape(-1, *[1] * (g.ndim - 1))
            assert_allclose(a - b, factor * g, rtol=1e-8, atol=1e-13, err_msg=f"{name} {field}")


def test_checkpoints_go_on_with_the_same(tmp_path):
    stack, path = case("lstm").stack, tmp_path / "run.npz"
    options = {"optimizer": "adam", "clip_norm": 0.2, "rng": 1, "clip_by": "layer"}
    whole = train(stack, draws, n_updates=5, **options)
    for stop in (2, 5):
        resumed = train(stack, draws, n_updates=stop, checkpoint=path, **options)
    assert all((part == 0).all() for parts in taken(whole.rnn, resumed.rnn) for part in parts)
    assert resumed.record.identical(whole.record)
    message = r"was saved with another `clip_by`: 'layer', now 'all'"
    with pytest.raises(ValueError, match=message):
        train(stack, draws, n_updates=5, checkpoint=path, **options | {"clip_by": "all"})


def test_a_stack_that_diverges_harms_no_neighbour():
    stack, rates = case("gru").stack, np.array([1e308, 1e-3])
    options = {"n_updates": 6, "clip_norm": 5.0, "clip_by": "layer", "rng": 0}
    training = train(stack, draws, learning_rate=rates, **options)
    assert training.diverged[0] > 0
    assert training.diverged[1] == -1
    alone = train(stack[1], draws, learning_rate=1e-3, **options)
    assert all((p == 0).all() for parts in taken(training.rnn[1], alone.rnn) for p in parts)
