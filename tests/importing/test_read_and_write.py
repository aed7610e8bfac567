"""Networks in files of rnnsim's own names, written with PyTorch's, described; what is refused."""

import os
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnsim

pytestmark = pytest.mark.nojit
CELLS = ("vanilla", "lstm", "gru")


def network(cell="vanilla", n_layers=1, n_outputs=2, dtype="float64", **options):
    sizes = {"n_inputs": 3, "n_hidden": 4, "n_outputs": n_outputs}
    drawn = rnnsim.Stack.sample(
        n_layers=n_layers, **sizes, cell=cell, scheme="pytorch", dtype=dtype, rng=0, **options
    )
    return drawn if n_layers > 1 else drawn.layers[0]


def same(one, other):
    assert type(one) is type(other)
    assert (one.cell, one.activation, one.dtype) == (other.cell, other.activation, other.dtype)
    for a, b in zip(one.layers, other.layers, strict=True):
        for ours, theirs in zip(a.weights, b.weights, strict=True):
            assert_array_equal(ours, theirs)
    assert (one.embedding is None) == (other.embedding is None)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n_outputs", [0, 2])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_written_is_read_again(cell, n_layers, n_outputs, dtype, tmp_path):
    rnn = network(cell, n_layers, n_outputs, dtype)
    rnnsim.write_network(tmp_path / "net.safetensors", rnn)
    with warnings.catch_warnings(action="error"):
        same(rnnsim.read_network(tmp_path / "net.safetensors"), rnn)
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear"])
def test_the_activation_is_written_too(activation, tmp_path):
    rnn = network(activation=activation)
    rnnsim.write_network(tmp_path / "net", rnn, prefix="rnn.")
    same(rnnsim.read_network(tmp_path / "net"), rnn)
    assert list(rnnsim.describe(tmp_path / "net").networks) == ["rnn"]
    if activation not in ("tanh", "relu"):
        with pytest.raises(ValueError, match=f"`activation` is 'relu', and .* says {activation!r}"):
            rnnsim.read_network(tmp_path / "net", activation="relu")


def test_an_embedding_is_written_too(tmp_path):
    plain = network("gru")
    table = np.random.default_rng(0).normal(size=(7, 3))
    rnn = rnnsim.RNN(*plain.weights, cell="gru", embedding=table)
    rnnsim.write_network(tmp_path / "net", rnn)
    with pytest.warns(UserWarning, match=r"embedding\.weight \(7, 3\); give embedding='embedding'"):
        same(rnnsim.read_network(tmp_path / "net"), plain)
    again = rnnsim.read_network(tmp_path / "net", embedding="embedding")
    assert_array_equal(again.embedding[0], table)
    assert_array_equal(again.embed([[6, 0]]), [[table[6], table[0]]])


def test_several_networks_are_not_written(tmp_path):
    rnns = rnnsim.RNN.sample(2, n_inputs=1, n_hidden=2, n_outputs=1, rng=0)
    with pytest.raises(ValueError, match=r"`rnn` must be one network, .*got 2; write rnn\[n\]"):
        rnnsim.write_network(tmp_path / "net", rnns)
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim\.RNN"):
        rnnsim.write_network(tmp_path / "net", {"W_hh": 1})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cell", CELLS)
def test_own_names(cell, tmp_path):
    rnn = network(cell)
    arrays = {name: array[0] for name, array in rnn.weights._asdict().items()}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez(tmp_path / "said.npz", **arrays, cell=cell)
    np.savez(tmp_path / "several.npz", **rnn.weights._asdict())
    for name in ("plain", "said", "several"):  # the shape of W_hh says which cell it is
        same(rnnsim.read_network(tmp_path / f"{name}.npz"), rnn)
        same(rnnsim.read_network(tmp_path / f"{name}.npz", cell=cell), rnn)
    same(rnnsim.from_state_dict(arrays), rnn)
    assert rnnsim.read_network(tmp_path / "plain.npz", dtype="float32").dtype == "float32"


def test_own_names_of_two_networks():
    rnn = network()
    arrays = {f"encoder.{name}": a[0] for name, a in rnn.weights._asdict().items()}
    arrays |= {f"decoder.{name}": 2 * a[0] for name, a in rnn.weights._asdict().items()}
    with pytest.warns(UserWarning, match=r"not used: encoder\.W_xh"):
        found = rnnsim.from_state_dict(arrays, prefix="decoder")
    assert_array_equal(found.W_hy, 2 * rnn.W_hy)


def test_the_activation_of_an_npz_file(tmp_path):
    arrays = {name: array[0] for name, array in network().weights._asdict().items()}
    np.savez(tmp_path / "net.npz", **arrays, activation="relu")
    assert rnnsim.read_network(tmp_path / "net.npz").activation == "relu"
    with pytest.raises(ValueError, match=r"`activation` is 'sigmoid', and .*'relu'; leave it out"):
        rnnsim.read_network(tmp_path / "net.npz", activation="sigmoid")


@pytest.mark.parametrize("kind", ["float16", "int32", "uint8"])
def test_other_numbers(kind):
    arrays = {"W_xh": np.ones((2, 1), kind), "W_hh": np.eye(2, dtype=kind)}
    assert rnnsim.from_state_dict(arrays).dtype == ("float32" if kind == "float16" else "float64")
    mixed = arrays | {"W_xh": np.ones((2, 1), "float32"), "W_hh": np.eye(2)}
    assert rnnsim.from_state_dict(mixed).dtype == "float64"


def test_what_was_read_is_a_copy():
    arrays = {"W_xh": np.ones((2, 1)), "W_hh": np.eye(2)}
    rnn = rnnsim.from_state_dict(arrays)
    arrays["W_hh"][:] = 7
    assert rnn.W_hh.max() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W_hh": np.ones((4, 3))}, r"W_hh must be \(H, H\), .*got \(4, 3\)"),
        ({"W_hh": np.ones((4, 16))}, r"W_hh must be \(H, H\), .*looks transposed"),
        ({"W_hh": np.ones(4)}, "W_hh must have 2 axes"),
        ({"W_xh": None}, "W_hh is there without W_xh"),
        ({"W_xh": np.ones((3, 4))}, r"W_xh must be \(4, n_inputs\) .*looks transposed"),
        ({"W_xh": np.ones((5, 3))}, r"W_xh must be \(4, n_inputs\)"),
        ({"b_h": np.ones(8)}, "two biases, as PyTorch has them"),
        ({"b_h": np.ones((8, 4)), "W_hh": np.ones((16, 4))}, "W_xh must be"),
        ({"W_hy": np.ones((2, 5))}, None),
        ({"b_y": np.ones(3)}, "`b_y` must be"),
        ({"W_hh": np.full((4, 4), np.inf)}, "`W_hh` must be finite"),
        ({"W_hh": np.ones((4, 4), complex)}, "W_hh must hold real numbers, got complex128"),
        ({"W_hh": np.full((4, 4), "a")}, "W_hh must hold real numbers"),
        (
            {"cell": "transformer"},
            "cell must be one of 'vanilla', 'lstm', 'gru', got 'transformer'",
        ),
        ({"cell": "lstm"}, r"here of an LSTM, got \(4, 4\)"),
        ({"cell": np.array(["lstm"])}, "cell must be one text"),
        ({"W_hh": None}, r"holds no recurrent network .*W_xh \(4, 3\)"),
    ],
)
def test_arrays_that_do_not_fit(changes, message, tmp_path):
    arrays = {name: array[0] for name, array in network().weights._asdict().items()} | changes
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(tmp_path / "net.npz", **arrays)
    if message is None:  # a readout of other units is none of this network
        with pytest.warns(UserWarning, match=r"not used: W_hy \(2, 5\)"):
            assert rnnsim.read_network(tmp_path / "net.npz").n_outputs == 0
        return
    for read in (rnnsim.from_state_dict, lambda _: rnnsim.read_network(tmp_path / "net.npz")):
        with pytest.raises(ValueError, match=message):
            read(arrays)


def test_a_cell_that_it_is_not():
    arrays = {name: array[0] for name, array in network("gru").weights._asdict().items()}
    with pytest.raises(ValueError, match="`cell` is 'lstm', and `mapping` holds a GRU"):
        rnnsim.from_state_dict(arrays, cell="lstm")
    with pytest.raises(ValueError, match=r"`activation` is phi of vanilla networks"):
        rnnsim.from_state_dict(arrays, activation="relu")


def test_no_arrays_of_objects_are_read(tmp_path):
    np.savez(tmp_path / "net.npz", W_xh=np.ones((2, 1)), W_hh=np.array([[object()] * 2] * 2))
    with pytest.raises(ValueError, match=r"'W_hh' in it cannot be read .*allow_pickle=False"):
        rnnsim.read_network(tmp_path / "net.npz")


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` .*absent\.pt' does not exist"):
        rnnsim.read_network(tmp_path / "absent.pt")
    with pytest.raises(ValueError, match="is a folder; name a file"):
        rnnsim.read_network(tmp_path)
    (tmp_path / "orbax").mkdir()
    (tmp_path / "orbax/_CHECKPOINT_METADATA").touch()
    with pytest.raises(ValueError, match="is a folder, an Orbax checkpoint; restore it and save"):
        rnnsim.read_network(tmp_path / "orbax")
    (tmp_path / "empty.pt").touch()
    with pytest.raises(ValueError, match=r"empty\.pt' is empty"):
        rnnsim.read_network(tmp_path / "empty.pt")
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"it is one array \(\.npy\)"):
        rnnsim.read_network(tmp_path / "one.npy")
    (tmp_path / "text.pt").write_text("weights = 3")
    with pytest.raises(ValueError, match=r"its format is not known; known are \.pt"):
        rnnsim.read_network(tmp_path / "text.pt")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no regular file"):
        rnnsim.read_network(tmp_path / "pipe")
    (tmp_path / "p.pkl").write_bytes(b"\x80\x04]\x94.")
    with pytest.raises(ValueError, match=r"it is a pickle, which could run anything"):
        rnnsim.read_network(tmp_path / "p.pkl")


def test_a_huge_file_of_nothing(tmp_path):
    with (tmp_path / "huge.pt").open("wb") as file:
        file.truncate(10**12)  # sparse
    with pytest.raises(ValueError, match="its format is not known"):
        rnnsim.read_network(tmp_path / "huge.pt")


def test_the_suffix_says_nothing(tmp_path):
    rnn = network("lstm")
    rnnsim.write_network(tmp_path / "net.onnx", rnn)
    same(rnnsim.read_network(tmp_path / "net.onnx"), rnn)


def test_a_description_says_what_is_understood_and_what_is_not(tmp_path):
    arrays = {"lstm.weight_ih_l0": np.ones((8, 3)), "lstm.weight_hh_l0": np.ones((8, 2)),
              "emb.weight": np.ones((5, 3)), "fc.weight": np.ones((4, 2)), "fc.bias": np.ones(4),
              "norm.weight": np.ones(2)}  # fmt: skip
    np.savez(tmp_path / "net.npz", **arrays)
    found = rnnsim.describe(tmp_path / "net.npz")
    assert found.format == ".npz file"
    assert found.networks["lstm"].words == "an LSTM, 1 layer, n_inputs=3, n_hidden=2"
    assert found.readouts["fc"] == ("2 to 4", ("fc.weight", "fc.bias"), "")
    assert found.embeddings["emb"].words == "5 rows of 3"
    assert found.unknown == ("norm.weight",)
    assert found.arrays["fc.weight"] == ((4, 2), "float64")
    assert len(repr(found)) < 300
    text = str(found)
    for name in (*arrays, "6 arrays", "networks (prefix=)", "not understood"):
        assert name in text
    arrays["lstm.weight_hh_l0_reverse"] = np.ones((8, 2))
    np.savez(tmp_path / "net.npz", **arrays)
    refused = rnnsim.describe(tmp_path / "net.npz")
    assert "bidirectional" in refused.networks["lstm"].problem
    assert "cannot be read: it is bidirectional" in str(refused)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, "`cell` must be one of"),
        ({"activation": "gelu"}, "`activation` must be one of"),
        ({"prefix": 3}, "`prefix` must be the name of a module or several"),
        ({"prefix": []}, "`prefix` must be the name of a module or several"),
        ({"prefix": [1]}, r"`prefix\[0\]` must be a text"),
        ({"layer": -1}, "`layer` must be"),
        ({"readout": True}, "`readout` must be the name of a module, False for none"),
        ({"readout": 3}, "`readout` must be a text"),
        ({"embedding": 3}, "`embedding` must be a text"),
        ({"embedding": "emb"}, "`embedding` must name one of the embeddings .*there are none"),
        ({"readout": "head"}, "`readout` must name one of the linear layers .*'W_hy', got 'head'"),
        ({"dtype": "float16"}, "`dtype` must be 'float32' or 'float64'"),
        ({"layer": 1}, "`layer` must be below 1"),
    ],
)
def test_parameters_that_mean_nothing(options, message):
    arrays = {name: array[0] for name, array in network().weights._asdict().items()}
    with pytest.raises((TypeError, ValueError), match=message):
        rnnsim.from_state_dict(arrays, **options)


def test_readouts_and_embeddings_of_other_sizes():
    arrays = {"rnn.weight_ih_l0": np.ones((4, 3)), "rnn.weight_hh_l0": np.ones((4, 4)),
              "fc.weight": np.ones((2, 8)), "emb.weight": np.ones((9, 5))}  # fmt: skip
    with pytest.raises(ValueError, match=r"`readout` must read the 4 units of 'rnn' .*reads 8"):
        rnnsim.from_state_dict(arrays, readout="fc")
    with pytest.raises(ValueError, match=r"rows of the 3 inputs of 'rnn' .*got 'emb' \(9, 5\)"):
        rnnsim.from_state_dict(arrays, embedding="emb")


def test_tied_weights_are_read_when_they_are_asked_for():
    arrays = {"rnn.weight_ih_l0": np.ones((4, 4)), "rnn.weight_hh_l0": np.ones((4, 4)),
              "emb.weight": np.arange(36.0).reshape(9, 4)}  # fmt: skip
    rnn = rnnsim.from_state_dict(arrays, readout="emb", embedding="emb")
    assert_array_equal(rnn.W_hy[0], arrays["emb.weight"])
    assert_array_equal(rnn.embedding[0], arrays["emb.weight"])
    with pytest.raises(TypeError, match="`mapping` must be a mapping from names to arrays"):
        rnnsim.from_state_dict([np.ones(3)])


def test_kernels_of_gates_are_no_readouts():
    """Flax keeps a kernel for each gate, (units, units): none of them is a layer behind."""
    gates = {f"{side}{gate}": {"kernel": np.eye(3)} for side in "ih" for gate in "ifgo"}
    biases = {f"h{gate}": {"kernel": np.eye(3), "bias": np.ones(3)} for gate in "ifgo"}
    params = {"params": {"LSTMCell_0": gates | biases}}
    with warnings.catch_warnings(action="error"):
        rnn = rnnsim.from_state_dict(params)
        assert (rnn.cell, rnn.n_outputs) == ("lstm", 0)
        head = {"Dense_0": {"kernel": np.ones((3, 2)), "bias": np.ones(2)}}
        assert rnnsim.from_state_dict({"params": params["params"] | head}).n_outputs == 2
