"""Flax' files, of linen and nnx, beside what Flax made of them; what is refused."""

import numpy as np
import oracles
import pytest
from numpy.testing import assert_array_equal
from oracles import FIXTURES

import rnnsim
from rnnsim.importing.contents import Entry
from rnnsim.importing.formats import flax_files
from rnnsim.importing.names import flax

msgpack = pytest.importorskip("msgpack")
pytestmark = pytest.mark.nojit
KNOWN = oracles.load("flax.npz")
CASES = [case for case in KNOWN if case not in ("half", "linen_ids")]
H = 3


def known(case):
    return oracles.time_first(KNOWN[case])


def contents(name):
    return flax_files.contents(FIXTURES / f"{name}.msgpack")


def test_every_cell_of_flax_is_there():
    assert len(CASES) == 8


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_flax(case):
    oracles.assert_agrees(rnnsim.read_network(FIXTURES / f"{case}.msgpack"), known(case))


def test_ids_go_through_the_embedding():
    rnn = rnnsim.read_network(FIXTURES / "linen_ids.msgpack", embedding="Embed_0")
    oracles.assert_agrees(rnn, known("linen_ids"))


@pytest.mark.parametrize("case", ["linen_rnn", "nnx_rnn"])
def test_a_square_kernel_is_turned(case):
    rnn = rnnsim.read_network(FIXTURES / f"{case}.msgpack")
    weights = {k: w[0] for k, w in rnn.weights._asdict().items() if w is not None}
    for name in ("W_xh", "W_hh"):
        turned = rnnsim.RNN(**(weights | {name: weights[name].T}))
        with pytest.raises(AssertionError):
            oracles.assert_agrees(turned, known(case))


@pytest.mark.parametrize("case", [c for c in CASES if not c.endswith("rnn")])
def test_square_kernels_of_gates_are_turned(case):
    rnn = rnnsim.read_network(FIXTURES / f"{case}.msgpack")
    weights = {k: w[0] for k, w in rnn.weights._asdict().items() if w is not None}
    blocks = np.split(weights["W_hh"], len(weights["W_hh"]) // H)
    weights["W_hh"] = np.concatenate([block.T for block in blocks])
    with pytest.raises(AssertionError):
        oracles.assert_agrees(rnnsim.RNN(**weights, cell=rnn.cell), known(case))


def test_bfloat16_becomes_float32():
    found = contents("linen_bfloat16")
    assert {entry.dtype for entry in found.entries.values()} == {"bfloat16"}
    (network,) = found.networks.values()
    for mine, name in zip(network.layers[0].weights(), ("W_xh", "W_hh", "b_h"), strict=True):
        assert mine.dtype == "float32"
        assert_array_equal(mine, KNOWN["half"][name])


def test_the_state_of_training_is_no_network():
    found = contents("linen_state")
    assert list(found.networks) == ["params.params.cell"]
    assert not any("opt_state" in name for name in found.entries)
    oracles.assert_agrees(rnnsim.read_network(FIXTURES / "linen_state.msgpack"), known("linen_gru"))


@pytest.mark.parametrize(
    ("name", "words"), [("linen_mgu", "an MGUCell has one gate"), ("linen_both", "bidirectional")]
)
def test_what_changes_the_recurrence_is_refused_by_name(name, words):
    with pytest.raises(ValueError, match=f"cannot be read: .*{words}"):
        rnnsim.read_network(FIXTURES / f"{name}.msgpack")


@pytest.mark.parametrize("case", ["linen_rnn", "nnx_gru"])
def test_parameters_in_memory(case):
    """Nested as Flax has them; the kernels of gates, square, are no readouts."""
    params = {}
    for name, entry in contents(case).entries.items():
        *modules, last = name.split(".")
        place = params
        for module in modules:
            place = place.setdefault(module, {})
        place[last] = entry.read()
    oracles.assert_agrees(rnnsim.from_state_dict(params), known(case))


def test_problems_that_names_alone_show():
    def problem(**shapes):
        entries = {
            f"cell/{name.replace('__', '/')}": Entry(shape, "float32", lambda: None)
            for name, shape in shapes.items()
        }
        (found,) = flax.found(entries)[0].values()
        return found.problem

    gates = {f"{side}{g}__kernel": (3, 3) for side in "ih" for g in "rzn"}
    assert not problem(**gates)
    assert "(D, 3 H) and (H, 3 H)" in problem(**(gates | {"ir__kernel": (2, 3)}))
    assert "cell/hn/bias must be (3,), got (4,)" in problem(**gates, hn__bias=(4,))
    assert "convolves" in problem(ih__kernel=(3, 3, 2, 16), hh__kernel=(3, 3, 4, 16))
    assert "(D, 4 H)" in problem(dense_i__kernel=(2, 10), dense_h__kernel=(5, 10))


def packed(shape, dtype, data):
    return msgpack.ExtType(1, msgpack.packb((shape, dtype, data)))


def test_an_array_in_chunks_is_put_together(tmp_path):
    whole = np.arange(18, dtype="float32").reshape(6, 3)
    flat = [whole.reshape(-1)[:10], whole.reshape(-1)[10:]]
    parts = {str(k): packed(a.shape, "float32", a.tobytes()) for k, a in enumerate(flat)}
    chunked = {"__msgpack_chunked_array__": True, "shape": {"0": 6, "1": 3}, "chunks": parts}
    path = tmp_path / "x.msgpack"
    path.write_bytes(msgpack.packb({"emb": {"embedding": chunked}, "step": 3, "lists": [1, {}]}))
    found = flax_files.contents(path)
    assert_array_equal(found.entries["emb.embedding"].read(), whole)
    assert found.tables["emb"].n_ids == 6
    chunked["shape"] = {"0": 7, "1": 3}
    path.write_bytes(msgpack.packb({"emb": {"embedding": chunked}}))
    with pytest.raises(ValueError, match=r"emb.embedding is \(7, 3\), which its chunks do not"):
        flax_files.contents(path)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ([1, 2], "must hold a tree of parameters, got list"),
        ({"a": packed((2, 2), "float32", b"123")}, r"\(2, 2\) of float32 has 3 bytes"),
        ({"a": packed((-1,), "float32", b"123")}, r"has the shape \[-1\]"),
        ({"a": packed((1,) * 2000, "int8", b"1")}, "a shape of a few axes"),
        ({"a": packed((1,), 3, b"1")}, "a shape, the name of a dtype, and bytes"),
        ({"a": msgpack.ExtType(1, b"\x93\x91")}, "cut off"),
    ],
)
def test_trees_that_hold_no_arrays(tree, words, tmp_path):
    path = tmp_path / "x.msgpack"
    path.write_bytes(msgpack.packb(tree))
    with pytest.raises(ValueError, match=words):
        flax_files.contents(path)


def test_a_dtype_that_numpy_has_not_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "x.msgpack"
    path.write_bytes(msgpack.packb({"a": {"kernel": packed((1,), "float8_e4m3fn", b"1")}}))
    entry = flax_files.contents(path).entries["a.kernel"]
    with pytest.raises(ValueError, match=r"a\.kernel is of float8_e4m3fn, which NumPy does not"):
        entry.read()
