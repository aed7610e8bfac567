"""Damaged and hostile files of Keras, ONNX and Flax: one ValueError each, nothing run."""

import json
import os
import sys
import warnings
import zipfile

import bombs
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import FIXTURES

import rnnsim
from rnnsim.importing.formats import flax_files, keras_files, onnx_files
from rnnsim.importing.formats.keras import tree
from rnnsim.importing.formats.onnx import scan

h5py, onnx, msgpack = map(pytest.importorskip, ("h5py", "onnx", "msgpack"))
READERS = {
    "gru.keras": keras_files,
    "gru.weights.h5": keras_files,
    "gru.h5": keras_files,
    "lstm2_legacy.onnx": onnx_files,
    "gru_dynamo.onnx": onnx_files,
    "linen_ids.msgpack": flax_files,
    "nnx_gru.msgpack": flax_files,
}


def outcome(name, data, path):
    """Contents with all their numbers, or the message of the one ValueError."""
    path.write_bytes(data)
    try:
        found = READERS[name].contents(path)
        _read_all(found)
    except ValueError as error:
        return str(error)
    return found


def _read_all(found):
    for entry in found.entries.values():
        assert entry.read().shape == entry.shape
    for network in found.networks.values():
        for layer in network.layers:
            assert layer.weights()[1].shape[1] == layer.n_hidden
    for linear in found.linears.values():
        assert linear.weights()[0].shape == (linear.n_outputs, linear.n_inputs)


@pytest.mark.lane
@pytest.mark.parametrize("name", READERS)
def test_whole_files_are_read(name, tmp_path):
    found = outcome(name, (FIXTURES / name).read_bytes(), tmp_path / name)
    assert found.networks
    assert not any(network.problem for network in found.networks.values())


@pytest.mark.parametrize("name", READERS)
def test_truncations(name, tmp_path):
    """At every fiftieth; what lies behind the last array of an ONNX file may be missed."""
    data = (FIXTURES / name).read_bytes()
    for k in range(50):
        found = outcome(name, data[: len(data) * k // 50], tmp_path / name)
        assert isinstance(found, str), k


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_bytes_that_are_changed(name, tmp_path_factory, data):
    changed = bytearray((FIXTURES / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] ^= data.draw(st.integers(1, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN where bits of numbers changed
        outcome(name, bytes(changed), tmp_path_factory.getbasetemp() / f"changed-{name}")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\x81\xc1")
@example(b"\xc9\xff\xff\xff\xff\x01")
def test_any_bytes(tmp_path_factory, data):
    for name in ("gru.keras", "gru_dynamo.onnx", "nnx_gru.msgpack"):
        assert not getattr(
            outcome(name, data, tmp_path_factory.getbasetemp() / "any"), "linears", {}
        )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(
                        ["layers", "config", "class_name", "name", "cell", "inbound_nodes",
                         "output_layers", "activation", "module", "layer", "registered_name"]),
                        inner, max_size=6), max_leaves=25))  # fmt: skip
def test_any_configuration(tmp_path_factory, config):
    path = tmp_path_factory.getbasetemp() / "any.keras"
    with zipfile.ZipFile(FIXTURES / "gru.keras") as given_, zipfile.ZipFile(path, "w") as put:
        put.writestr("model.weights.h5", given_.read("model.weights.h5"))
        put.writestr("config.json", json.dumps({"class_name": "Functional", "config": config}))
    outcome("gru.keras", path.read_bytes(), path)


def hdf5(path, make):
    with h5py.File(path, "w") as file:
        make(file)
    return path


def lstm(file):
    for name, shape in (("0", (2, 12)), ("1", (3, 12)), ("2", (12,))):
        file[f"layers/lstm/cell/vars/{name}"] = np.ones(shape, "f4")


def replaced(file, make):
    lstm(file)
    cell = file["layers/lstm/cell/vars"]
    del cell["1"]
    make(file, cell)


def compound(file, cell):
    cell.create_dataset("1", data=np.zeros((3, 12), [("a", "f4"), ("b", "f4")]))


def text(file, cell):
    cell.create_dataset("1", data=["a", "b"], dtype=h5py.string_dtype())


def references(file, cell):
    cell.create_dataset("1", data=[cell.ref], dtype=h5py.ref_dtype)


def external_numbers(file, cell):
    cell.create_dataset("1", (3, 12), "f4", external=[("/etc/passwd", 0, 144)])


def virtual(file, cell):
    layout = h5py.VirtualLayout((3, 12), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 12))
    cell.create_virtual_dataset("1", layout)


HOSTILE = [
    (lambda f, c: c.__setitem__("1", h5py.SoftLink("/layers/lstm/cell/vars/0")), "is a link to"),
    (lambda f, c: c.__setitem__("1", h5py.ExternalLink("/etc/passwd", "/x")), "is a link to"),
    (lambda f, c: f.__setitem__("a", h5py.SoftLink("/layers")), "/a is a link to another place"),
    (lambda f, c: f["layers"].__setitem__("loop", f["layers"]), "stands in two places"),
    (external_numbers, "keeps its numbers in another file"),
    (virtual, "keeps its numbers in another file"),
    (lambda f, c: c.create_dataset("1", (3, 12), "f4", compression="gzip"), "chunked or compre"),
    (lambda f, c: c.create_dataset("1", (1 << 20, 1 << 20), "f4"), "which the file of"),
    (compound, "must be an array of numbers"),
    (text, "must be an array of numbers"),
    (references, "must be an array of numbers"),
]


@pytest.mark.parametrize(("make", "words"), HOSTILE)
def test_hdf5_that_leads_elsewhere_or_lies(make, words, tmp_path):
    path = hdf5(tmp_path / "x.weights.h5", lambda file: replaced(file, make))
    with pytest.raises(ValueError, match=words):
        rnnsim.read_network(path)
    whole = tmp_path / "x.keras"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(path, "model.weights.h5")
    with pytest.raises(ValueError, match=words):
        rnnsim.read_network(whole)


def test_a_text_without_a_size(tmp_path):
    """HDF5 itself would not come back from it."""
    data = bytearray((FIXTURES / "gru.h5").read_bytes())
    heap = data.index(b"GCOL\x01\0\0\0")
    for place in (heap + 16, heap + 24):  # number and size of the first object
        data[place : place + 8] = bytes(8)
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(ValueError, match="its attributes are damaged: a text has no end"):
        rnnsim.read_network(tmp_path / "x.h5")


def test_a_text_that_is_damaged(tmp_path):
    data = bytearray((FIXTURES / "gru.h5").read_bytes())
    place = data.index(b'"class_name"')
    data[place : place + 12] = b"x" * 12
    data = data.replace(b'"class_name"', b'"x___x_name"')
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(ValueError, match="its configuration, model_config, is damaged"):
        rnnsim.read_network(tmp_path / "x.h5")


def test_many_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "MOST", 5)
    path = hdf5(tmp_path / "x.weights.h5", lstm)
    with pytest.raises(ValueError, match="more than 5 objects"):
        rnnsim.read_network(path)


def test_a_configuration_without_end(tmp_path):
    deep = "[" * 20_000
    layers = '{"class_name": "Sequential", "config": {"layers": [' * 60 + "{}" + "]}}" * 60
    cut = "cannot be read"
    for config, words in ((deep, cut), (layers, "models inside models"), ("{", cut)):
        path = tmp_path / "x.keras"
        with zipfile.ZipFile(FIXTURES / "gru.keras") as given, zipfile.ZipFile(path, "w") as put:
            put.writestr("model.weights.h5", given.read("model.weights.h5"))
            put.writestr("config.json", config)
        with pytest.raises(ValueError, match=words):
            rnnsim.read_network(path)


def test_nothing_of_a_configuration_is_run(tmp_path):
    """A Lambda whose function would be imported and called by a framework."""
    made = tmp_path / "made"
    function = {"module": "os", "class_name": "function", "config": "mkdir"}
    lambda_ = {
        "class_name": "Lambda",
        "module": "os",
        "config": {"name": str(made), "function": function, "arguments": [str(made)]},
    }
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(FIXTURES / "gru.keras") as given, zipfile.ZipFile(path, "w") as put:
        config = json.loads(given.read("config.json"))
        config["config"]["layers"].append(lambda_)
        put.writestr("model.weights.h5", given.read("model.weights.h5"))
        put.writestr("config.json", json.dumps(config))
    before = set(sys.modules)
    assert rnnsim.read_network(path).n_hidden == 3
    assert not made.exists()
    assert not {name.split(".")[0] for name in set(sys.modules) - before} & {"keras", "tensorflow"}


def test_an_onnx_file_that_is_nested():
    graph = b""
    for _ in range(300):
        graph = bombs.field(1, bombs.field(5, bombs.field(6, graph)))
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        scan.check(bombs.field(7, graph))


@pytest.mark.parametrize(
    ("package", "name"),
    [("h5py", "gru.keras"), ("onnx", "gru_dynamo.onnx"), ("msgpack", "nnx_gru.msgpack")],
)
def test_a_package_that_is_not_installed(package, name, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'rnnsim-toolkit\[files\]'"):
        rnnsim.read_network(FIXTURES / name)


def test_nothing_is_left_open(tmp_path):
    path = tmp_path / "x.keras"
    path.write_bytes((FIXTURES / "gru.keras").read_bytes())
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    rnnsim.read_network(path)
    assert before in (0, len(os.listdir("/proc/self/fd")) if before else 0)
    path.unlink()
