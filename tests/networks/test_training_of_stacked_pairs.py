"""Training of encoders and decoders of several layers, beside updates by complex steps."""

import numpy as np
import pytest
import reference
import reference_pairs
import reference_training
from builders import DTYPES, NOJIT
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case, plain_stacks, stacked_pair

import rnnsim
from rnnsim import train

pytestmark = pytest.mark.nojit
KINDS = [("lstm", "lstm"), ("gru", "gru"), ("tanh", "tanh"), ("lstm", "gru"), ("linear", "lstm")]


def plain_updates(made, n, n_updates, optimizer, clip_norm):
    """The weights of both by the definition; the bridge is held. Also the losses on the way."""
    encoders, decoders, source, target, cells = plain_stacks(made, n)
    L, losses = len(encoders), []
    for _ in range(n_updates):
        losses.append(reference_pairs.loss_of_stacks(encoders, decoders, source, target, cells))
        found = reference_pairs.gradients_of_stacks(encoders, decoders, source, target, cells)
        parts = [array for nets in found for net in nets for array in net]
        for bridge in (5 * L - 3, 5 * L - 1):  # W_hy and b_y of the encoder's top
            parts[bridge] = np.zeros_like(parts[bridge])
        parts, _, _ = reference_training.clipped(parts, clip_norm)
        arrays = [array for net in (*encoders, *decoders) for array in net]
        arrays = optimizer.step(arrays, parts)
        nets = [reference.Net(*arrays[i : i + 5]) for i in range(0, len(arrays), 5)]
        encoders, decoders = nets[:L], nets[L:]
    return encoders, decoders, losses


@pytest.mark.parametrize(
    ("cells", "n_layers", "H_e", "optimizer", "n_updates"),
    [
        (KINDS[0], 2, 2, "adam", 20),
        (KINDS[0], 3, 2, "sgd", 3),
        (KINDS[0], 2, 3, "sgd", 3),
        (KINDS[1], 2, 2, "adam", 20),
        (KINDS[2], 2, 2, "sgd", 20),
        (KINDS[2], 3, 3, "adam", 5),
        (KINDS[3], 2, 2, "sgd", 3),
        (KINDS[4], 2, 2, "adam", 3),
    ],
)
def test_updates_follow_complex_steps(cells, n_layers, H_e, optimizer, n_updates):
    made = stacked_pair(n_layers, cells=cells, H_e=H_e, H=2, N=2, T_s=2, T=2, B=2)
    rate, clip_norm = (0.01 if optimizer == "adam" else 0.1), np.array([0.5, 5.0])
    training = train(
        made.model, made.pairs, n_updates=n_updates, optimizer=optimizer, learning_rate=rate,
        clip_norm=clip_norm,
    )  # fmt: skip
    for n in range(2):
        rule = reference_training.Optimizer(optimizer, rate)
        *parts, losses = plain_updates(made, n, n_updates, rule, clip_norm[n])
        for part, nets in zip(("encoder", "decoder"), parts, strict=True):
            layers = getattr(training.model, part).layers
            for k, (layer, net) in enumerate(zip(layers, nets, strict=True)):
                for name, found, want in zip(net._fields, layer.weights, net, strict=True):
                    assert_allclose(found[n], want, atol=1e-9, err_msg=f"{part} {k} {name}")
        assert_allclose(training.record.training_loss[n, -1], np.mean(losses), rtol=1e-9)
        assert losses[-1] < losses[0]
    assert (training.final_c is None) == (cells[1] != "lstm")
    assert training.final_h.shape == (2, n_layers, 2, 2)
    assert_array_equal(training.model.encoder.layers[-1].W_hy, made.model.encoder.layers[-1].W_hy)


# Two cells of two kinds are machine code of their own in each dtype, the better part of a minute to
# compile: in float32 in plain Python alone, the same lines.
OF_BOTH = [(cells, dtype) for dtype in DTYPES for cells in KINDS
           if NOJIT or dtype == "float64" or cells in KINDS[:3]]  # fmt: skip


@pytest.mark.parametrize(("cells", "dtype"), OF_BOTH, ids=str)
def test_an_update_is_the_gradient(cells, dtype):
    made = stacked_pair(3, N=2, cells=cells, T_s=4, T=5, B=3, own=True, dtype=dtype)
    gradients = rnnsim.pairs_bptt(*made)
    training = train(made.model, made.pairs, n_updates=1, learning_rate=1.0)
    for part in ("encoder", "decoder"):
        models = (getattr(m, part).layers for m in (made.model, training.model))
        for old, new, found in zip(*models, getattr(gradients, part), strict=True):
            for name in ("W_xh", "W_hh", "b_h"):
                moved = getattr(new, name) - getattr(old, name)
                atol = 1e-12 if dtype == "float64" else 1e-5
                assert_allclose(moved, -getattr(found, name), atol=atol, err_msg=name)
    evaluated = rnnsim.pairs_evaluate(*made)
    assert_allclose(training.record["loss"][:, 0], evaluated.loss, rtol=1e-12)


@pytest.mark.parametrize("cells", KINDS[:3], ids=str)
def test_one_layer_and_threads_and_pieces_give_the_same_bits(cells, monkeypatch):
    made = pair_case(N=3, H_e=4, activations=cells)
    one = rnnsim.EncoderDecoder(
        rnnsim.Stack([made.model.encoder]), rnnsim.Stack([made.model.decoder])
    )
    options = {"n_updates": 3, "optimizer": "adam", "clip_norm": 0.5}
    expected = train(made.model, made.pairs, **options).model
    found = train(one, made.pairs, **options).model
    for part in ("encoder", "decoder"):
        (layer,) = getattr(found, part).layers
        for a, b in zip(layer.weights, getattr(expected, part).weights, strict=True):
            assert_array_equal(a, b)
    deep = stacked_pair(2, N=3, cells=cells)
    whole = train(*deep, n_threads=1, **options).model
    shared = train(*deep, n_threads=3, **options).model
    monkeypatch.setattr("rnnsim.training.learners.FLOPS_PER_CALL", 1.0)
    cut = train(*deep, n_threads=1, record_every=1, **options).model
    for other in (shared, cut):
        for part in ("encoder", "decoder"):
            layers = (getattr(m, part).layers for m in (whole, other))
            for one_layer, same_layer in zip(*layers, strict=True):
                for a, b in zip(one_layer.weights, same_layer.weights, strict=True):
                    assert_array_equal(a, b)


@pytest.mark.parametrize("cells", KINDS[:3], ids=str)
def test_a_run_goes_on_from_its_checkpoint(cells, tmp_path):
    made, path = stacked_pair(2, N=2, cells=cells), tmp_path / "run"
    options = {"optimizer": "adam", "record_every": 2}
    whole = train(*made, n_updates=6, **options)
    train(*made, n_updates=4, checkpoint=path, **options)
    resumed = train(*made, n_updates=6, checkpoint=path, **options)
    for part in ("encoder", "decoder"):
        layers = (getattr(t.model, part).layers for t in (whole, resumed))
        for a, b in zip(*layers, strict=True):
            for one, other in zip(a.weights, b.weights, strict=True):
                assert_array_equal(one, other)
    assert whole.record.equals(resumed.record)
    shallow = stacked_pair(3, N=2, cells=cells)
    with pytest.raises(ValueError, match="`checkpoint`"):
        train(*shallow, n_updates=8, checkpoint=path, **options)


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
def test_snapshots_are_of_the_decoder_by_layer():
    made = stacked_pair(2, N=2, cells=("lstm", "lstm"))
    record = train(*made, n_updates=2, snapshot_every=2).record
    assert record.log_norms_layers.dims == ("network", "snapshot", "layer", "lag")
    assert record.gate_share.shape == (2, 2, 2, 4)
    assert_allclose(record.layer_share.sum("layer"), 1.0, rtol=1e-12)


def test_masks_and_ties_name_the_layers():
    made = stacked_pair(2)
    mask = {"encoder.layers[0].W_hh": 0, "decoder.layers[1].b_h": 0}
    trained = train(*made, n_updates=2, mask=mask).model
    layers = made.model.encoder.layers[0], trained.encoder.layers[0]
    assert_array_equal(*(layer.W_hh for layer in layers))
    assert (layers[0].W_xh != layers[1].W_xh).any()
    with pytest.raises(ValueError, match=r"one of 'decoder.layers\[0\].W_xh'.*, got 'encoder.W"):
        train(*made, n_updates=1, mask={"encoder.W_hh": 0})
