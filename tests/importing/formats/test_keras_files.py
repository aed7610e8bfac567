"""Keras' files beside what Keras made of them; what they hold; what is refused."""

import json
import shutil
import zipfile

import numpy as np
import oracles
import pytest
from numpy.testing import assert_array_equal
from oracles import FIXTURES

import rnnsim
from rnnsim.importing.contents import Entry
from rnnsim.importing.formats import keras_files
from rnnsim.importing.names import keras

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.nojit
KNOWN = oracles.load("keras.npz")
D, H, V = 2, 3, 2


def known(case):
    return oracles.time_first(KNOWN[case])


def contents(name):
    return keras_files.contents(FIXTURES / name)


@pytest.mark.parametrize("case", ["rnn_tanh", "rnn_relu", "lstm", "gru", "lstm2"])
def test_outputs_and_gradients_are_those_of_keras(case):
    rnn = rnnsim.read_network(FIXTURES / f"{case}.keras")
    oracles.assert_agrees(rnn, known(case))
    if case.startswith("rnn"):
        assert rnn.activation == case.removeprefix("rnn_")


def test_ids_go_through_the_embedding():
    rnn = rnnsim.read_network(FIXTURES / "embedding.keras", embedding="embedding")
    oracles.assert_agrees(rnn, known("embedding"))


def test_weights_alone_and_the_older_format_are_the_same_network():
    for name in ("gru.weights.h5", "gru.h5"):
        oracles.assert_agrees(rnnsim.read_network(FIXTURES / name), known("gru"))
    stack = rnnsim.read_network(FIXTURES / "lstm2.weights.h5", prefix=("lstm", "lstm_1"))
    oracles.assert_agrees(stack, known("lstm2"))


def test_a_square_kernel_is_turned():
    """A SimpleRNN of as many inputs as units passes as it is, and is another network."""
    rnn = rnnsim.read_network(FIXTURES / "rnn_tanh.keras")
    weights = {k: w[0] for k, w in rnn.weights._asdict().items() if w is not None}
    for name in ("W_xh", "W_hh"):
        wrong = rnnsim.RNN(**(weights | {name: weights[name].T}))
        with pytest.raises(AssertionError):
            oracles.assert_agrees(wrong, known("rnn_tanh"))


@pytest.mark.parametrize(
    ("case", "order"), [("lstm", (1, 0, 2, 3)), ("lstm", (0, 1, 3, 2)), ("gru", (1, 0, 2))]
)
def test_gates_in_another_order_are_another_network(case, order):
    rnn = rnnsim.read_network(FIXTURES / f"{case}.keras")
    weights = {k: w[0] for k, w in rnn.weights._asdict().items() if w is not None}
    for name in ("W_xh", "W_hh", "b_h"):
        blocks = [weights[name][H * k : H * (k + 1)] for k in order]
        weights[name] = np.concatenate([*blocks, weights[name][H * len(order) :]])
    with pytest.raises(AssertionError):
        oracles.assert_agrees(rnnsim.RNN(**weights, cell=case), known(case))


def test_both_biases_of_a_gru_have_their_place():
    rnn = rnnsim.read_network(FIXTURES / "gru.keras")
    weights = {k: w[0] for k, w in rnn.weights._asdict().items() if w is not None}
    b_h = weights["b_h"]
    swapped = np.concatenate([b_h[: 2 * H], b_h[3 * H :], b_h[2 * H : 3 * H]])
    wrong = rnnsim.RNN(**(weights | {"b_h": swapped}), cell="gru")
    with pytest.raises(AssertionError):
        oracles.assert_agrees(wrong, known("gru"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("both", "it is bidirectional"),
        ("before", r"resets before the product \(reset_after=False\).*train it with"),
        ("hard", "recurrent_activation is 'hard_sigmoid'"),
        ("rectified", "activation is 'relu', and rnnsim's LSTM has tanh"),
        ("backwards", r"backwards in time \(go_backwards=True\)"),
        ("exponential", "activation 'elu' is none of tanh, sigmoid, relu, linear"),
    ],
)
def test_what_changes_the_recurrence_is_refused_by_name(name, problem):
    with pytest.raises(ValueError, match=f"'{name}' cannot be read: .*{problem}"):
        rnnsim.read_network(FIXTURES / "refused.keras", prefix=name)
    assert contents("refused.keras").networks[name].arrays


def test_what_weights_alone_show_is_refused_as_well(tmp_path):
    with zipfile.ZipFile(FIXTURES / "refused.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    found = keras_files.contents(tmp_path / "model.weights.h5").networks
    assert "bidirectional" in found["bidirectional"].problem
    assert "reset_after=False" in found["gru"].problem


def test_models_inside_models_stacked_cells_and_readouts():
    found = contents("nested.keras")
    assert {name: len(each.layers) for name, each in found.networks.items()} == {
        "enc/deep": 1,
        "cells": 2,
        "top": 1,
    }
    assert [layer.n_inputs for layer in found.networks["cells"].layers] == [D, H]
    assert all(layer.weights()[2] is None for layer in found.networks["cells"].layers)
    assert found.linears["each"].likely
    assert "activation 'relu'" in found.linears["dense"].problem
    assert found.tables["letters"].likely
    assert found.tables["letters"].rows().shape == (5, D)
    (note,) = found.notes
    assert note.startswith("letters masks steps")
    with pytest.warns(UserWarning, match="masks steps|not used"):
        rnn = rnnsim.read_network(FIXTURES / "nested.keras", prefix="top", readout="each")
    assert rnn.n_outputs == V


def edited(tmp_path, name, change):
    """A .keras file with another configuration."""
    with zipfile.ZipFile(FIXTURES / name) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"]["layers"])
    parts["config.json"] = json.dumps(config).encode()
    path = tmp_path / "edited.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in parts.items():
            archive.writestr(each, data)
    return path


def layer(layers, kind):
    return next(each for each in layers if each["class_name"] == kind)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda layers: layer(layers, "LSTM").update(class_name="CuDNNLSTM"), "a CuDNN layer"),
        (lambda layers: layer(layers, "LSTM").update(class_name="ConvLSTM2D"), "it convolves"),
        (
            lambda layers: layer(layers, "LSTM").update(class_name="GRU"),
            "holds the weights of 0 cells",
        ),
        (
            lambda layers: layer(layers, "LSTM").update(
                class_name="RNN", config={"name": "x", "cell": {"class_name": "NASCell"}}
            ),
            "its cell NASCell is none of LSTM, GRU and SimpleRNN",
        ),
    ],
)
def test_other_classes_are_refused_by_name(change, words, tmp_path):
    path = edited(tmp_path, "lstm.keras", change)
    with pytest.raises(ValueError, match=f"cannot be read: .*{words}"):
        rnnsim.read_network(path)


def test_layers_are_one_network_only_where_one_reads_the_other(tmp_path):
    def names(change):
        return list(keras_files.contents(edited(tmp_path, "lstm2.keras", change)).networks)

    def between(layers, kind, **config):
        layer(layers, "Dropout").update(class_name=kind, config={"name": "between", **config})

    assert names(lambda layers: None) == ["low+high"]
    assert names(lambda layers: between(layers, "Identity")) == ["low+high"]
    assert names(lambda layers: between(layers, "Activation", activation="linear")) == ["low+high"]
    apart = ["low", "high"]
    assert names(lambda layers: between(layers, "Activation", activation="relu")) == apart
    assert names(lambda layers: between(layers, "LayerNormalization")) == apart
    assert names(lambda layers: between(layers, "Lambda", function="os.system")) == apart


def test_a_readout_with_an_activation_is_no_linear_one(tmp_path):
    def activated(by):
        change = lambda layers: layer(layers, "Dense")["config"].update(activation=by)  # noqa: E731
        return keras_files.contents(edited(tmp_path, "gru.keras", change))

    assert "'tanh'" in activated("tanh").linears["out"].problem
    assert not activated("softmax").linears["out"].problem
    assert activated("sigmoid").notes == (
        "out ends in a sigmoid, which is left out: outputs are logits.",
    )


def test_an_older_folder_whose_numbers_have_gaps(tmp_path):
    """Keras 2.12 to 2.15 counted layers with weights twice."""
    path = tmp_path / "old.weights.h5"
    shutil.copy(FIXTURES / "lstm2.weights.h5", path)
    with h5py.File(path, "r+") as file:
        file.move("layers/lstm_1", "layers/lstm_2")
        file.move("layers", "_layer_checkpoint_dependencies")
    stack = rnnsim.read_network(path, prefix=("lstm", "lstm_2"))
    oracles.assert_agrees(stack, known("lstm2"))
    whole = tmp_path / "old.keras"
    with zipfile.ZipFile(FIXTURES / "lstm2.keras") as given, zipfile.ZipFile(whole, "w") as put:
        put.writestr("config.json", given.read("config.json"))
        put.write(path, "model.weights.h5")
    assert list(keras_files.contents(whole).networks) == ["low+high"]
    oracles.assert_agrees(rnnsim.read_network(whole), known("lstm2"))


def test_weights_of_an_old_keras_are_told(tmp_path):
    path = tmp_path / "old.weights.h5"
    old = (("2.2.4", True), (np.bytes_(b"2.2.4"), True), ("2.3.0", False), ("3.15.1", False))
    for version, told in old:
        shutil.copy(FIXTURES / "gru.weights.h5", path)
        with h5py.File(path, "r+") as file:
            file.attrs["keras_version"] = version
        notes = keras_files.contents(path).notes
        assert ["hard_sigmoid" in note for note in notes] == [True] * told


def test_small_floats(tmp_path):
    path = tmp_path / "small.weights.h5"
    for dtype, stored in (("float16", "f2"), ("bfloat16", "V2")):
        shutil.copy(FIXTURES / "gru.weights.h5", path)
        with h5py.File(path, "r+") as file:
            cell = file["layers/gru/cell/vars"]
            values = cell["1"][()]
            bits = np.ascontiguousarray(values).view(np.uint32) >> 16
            del cell["1"]
            small = values.astype("f2") if stored == "f2" else bits.astype("u2").view(stored)
            cell["1"] = small
            if dtype == "bfloat16":
                cell["1"].attrs["dtype"] = "bfloat16"
        entry = keras_files.contents(path).entries["layers/gru/cell/vars/1"]
        assert entry.dtype == dtype
        rounded = values.astype(dtype) if dtype == "float16" else (bits << 16).view("float32")
        assert_array_equal(entry.read(), rounded)


@pytest.mark.parametrize("form", ["sequential/{}", "{}:0", "{}"])
def test_names_of_weights_in_memory(form):
    """`{w.path: w for w in model.weights}`, with the number of older files and a model's name."""
    held = contents("gru.weights.h5").entries
    names = ("gru/gru_cell/kernel", "gru/gru_cell/recurrent_kernel", "gru/gru_cell/bias")
    mapping = {form.format(n): held[f"layers/gru/cell/vars/{k}"] for k, n in enumerate(names)}
    networks, linears, tables = keras.found(mapping)
    assert list(networks) == [form.format("gru").removesuffix(":0")]
    (found,) = networks.values()
    for mine, other in zip(found.layers[0].weights(), known_weights(), strict=True):
        assert_array_equal(mine, other)
    assert not linears
    assert not tables


def test_other_names_in_an_hdf5_file(tmp_path):
    """Arrays by PyTorch's names, put into HDF5 by hand."""
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, shape in (("weight_ih_l0", (H, D)), ("weight_hh_l0", (H, H))):
            file[f"rnn.{name}"] = rng.standard_normal(shape)
        turned = file["rnn.weight_ih_l0"][()]
    rnn = rnnsim.read_network(tmp_path / "x.h5")
    assert_array_equal(rnn.W_xh[0], turned)


def known_weights():
    return contents("gru.keras").networks["gru"].layers[0].weights()


def test_problems_that_names_alone_show():
    def entry(*shape):
        return Entry(shape, "float32", lambda: np.zeros(shape, "float32"))

    def problem(kernel, recurrent, bias, cell="lstm_cell"):
        arrays = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
        mapping = {f"a/{cell}/{name}": entry(*shape) for name, shape in arrays.items()}
        return keras.found(mapping)[0]["a"].problem

    assert not problem((2, 12), (3, 12), (12,))
    assert "reset_after=False" in problem((2, 9), (3, 9), (9,), "gru_cell")
    assert "CuDNN" in problem((2, 12), (3, 12), (24,))
    assert "(D, 4 H) and (H, 4 H), got (2, 9) and (3, 9)" in problem((2, 9), (3, 9), (9,))
    assert "these are (2, 6) and (3, 6)" in problem((2, 6), (3, 6), (6,), "my_cell")
    assert "must be (12,), got (11,)" in problem((2, 12), (3, 12), (11,))
    peeping = {f"a/cell/{n}": entry(3, 3) for n in ("kernel", "recurrent_kernel", "peephole")}
    assert "a/cell/peephole belongs to no LSTM" in keras.found(peeping)[0]["a"].problem


def test_a_gru_without_biases_is_told(tmp_path):
    path = tmp_path / "bare.weights.h5"
    shutil.copy(FIXTURES / "gru.weights.h5", path)
    with h5py.File(path, "r+") as file:
        del file["layers/gru/cell/vars/2"]
    (note,) = keras_files.contents(path).notes
    assert note.startswith("gru has no biases")


def test_training_and_dropout_leave_arrays_that_are_no_network(tmp_path):
    path = tmp_path / "trained.weights.h5"
    shutil.copy(FIXTURES / "gru.weights.h5", path)
    known = set(keras_files.contents(path).entries)
    with h5py.File(path, "r+") as file:
        file["optimizer/vars/0"] = np.ones(2)
        file["layers/gru/cell/seed_generator/vars/0"] = np.ones(2, "u4")
        file["layers/other/vars/0"] = np.ones(2)
    assert set(keras_files.contents(path).entries) - known == {"layers/other/vars/0"}
