"""What `diagnose` is given: files, class ids, targets; and what does not fit."""

import numpy as np
import pytest
from known_networks import carousel, driven, linear, shift_register

import rnnsim
from rnnsim import diagnose

IDS = np.random.default_rng(0).integers(0, 3, (12, 8))


def embedded():
    """A network with a table for three ids, one of which only the table knows."""
    table = np.random.default_rng(1).normal(size=(3, 2))
    made = rnnsim.RNN.sample(n_inputs=2, n_hidden=5, n_outputs=3, cell="lstm", rng=0)
    weights = {name: getattr(made, name) for name in ("W_xh", "W_hh", "W_hy", "b_h", "b_y")}
    return rnnsim.RNN(**weights, cell="lstm", embedding=table)


def numbers(found):
    return {each.name: (each.number, each.error, each.words) for each in found}


def same(one, other):
    np.testing.assert_equal(numbers(one), numbers(other))


def test_class_ids_are_rows_of_the_embedding():
    rnn = embedded()
    data = rnnsim.Sequences(rnn.embed(IDS), IDS)
    same(diagnose(rnn, IDS, targets=IDS, window=4), diagnose(rnn, data, window=4))


def test_class_ids_are_one_hot_without_an_embedding():
    rnn = shift_register(2)
    data = rnnsim.Sequences(np.eye(3)[IDS], IDS)
    same(diagnose(rnn, IDS, targets=IDS, window=4), diagnose(rnn, data, window=4))
    assert not diagnose(rnn, IDS)["window_error"].known


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_targets_of_the_last_step(kind):
    rnn = embedded()
    targets = IDS[-1] if kind == "classes" else np.eye(3)[IDS[-1]] + 0.1
    every = np.stack([targets] * len(IDS))
    usual = rnnsim.Sequences(rnn.embed(IDS), every).last_loss_only()
    same(diagnose(rnn, IDS, targets=targets, window=4), diagnose(rnn, usual, window=4))


def test_targets_beside_numbers():
    data = driven()
    same(diagnose(linear(0.9), data.inputs, targets=data.targets), diagnose(linear(0.9), data))


def test_a_file_with_an_embedding(tmp_path):
    rnn, path = embedded(), tmp_path / "model.npz"
    table = np.asarray(rnn.embedding)[0]
    state = {
        "tokens.weight": table, "lstm.weight_ih_l0": rnn.W_xh[0], "lstm.weight_hh_l0": rnn.W_hh[0],
        "lstm.bias_ih_l0": rnn.b_h[0], "lstm.bias_hh_l0": np.zeros(20),
        "head.weight": rnn.W_hy[0], "head.bias": rnn.b_y[0],
    }  # fmt: skip
    np.savez(path, **state)
    found = diagnose(path, IDS, targets=IDS[-1], window=4, readout="head", embedding="tokens")
    same(found, diagnose(rnn, IDS, targets=IDS[-1], window=4))


def test_which_weights_are_clipped_is_said():
    given = {"targets": IDS, "clip_norm": 1.0}
    for rnn, words in (
        (shift_register(2), "of all weights together"),
        (embedded(), "and the readout (without an embedding"),
    ):
        assert words in diagnose(rnn, IDS, **given)["clipping_by_norm"].words


def test_what_does_not_fit_is_refused_by_name():
    rnn, data = embedded(), driven()
    for given, kind, words in (
        ({"sequences": IDS + 1}, ValueError, r"`sequences` must be from 0 to 2, the rows of the"),
        ({"sequences": IDS[0]}, ValueError, r"`sequences` of class ids must be \(n_steps, n_seq"),
        ({"targets": IDS[-1, :3]}, ValueError, r"`targets` of the last step must be one for each"),
        ({"sequences": data, "targets": IDS}, ValueError, "`targets` belong to inputs"),
        ({"targets": IDS[:3]}, ValueError, "`targets`"),
        ({"embedding": "x"}, ValueError, "`embedding` names a layer of a file, got 'x'"),
        ({"readout": 3}, TypeError, "`readout`"),
    ):
        with pytest.raises(kind, match=words):
            diagnose(**{"network": rnn, "sequences": IDS, "targets": IDS} | given)
    with pytest.raises(ValueError, match=r"class ids from 0 to 1, one-hot the 2 inputs .* got 2"):
        diagnose(carousel(), IDS)
    wide = rnnsim.RNN(np.zeros((1, 2**20)), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="more than 268435456; give fewer steps"):
        diagnose(wide, np.zeros((2**5, 2**4), int))
