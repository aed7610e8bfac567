"""PyTorch's files and names beside what torch made of them: outputs, gradients; refusals."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.importing.formats import torch_files
from rnnsim.kernels import Weights

pytestmark = pytest.mark.nojit
FIXTURES = Path(__file__).parent / "fixtures"
KINDS = [f"torch-{kind}-{L}" for kind in ("tanh", "relu", "lstm", "gru", "plain") for L in (1, 2)]
CELLS = {"RNNCell": "vanilla", "LSTMCell": "lstm", "GRUCell": "gru"}


def oracle(stem):
    with np.load(FIXTURES / f"{stem}-oracle.npz") as archive:
        return dict(archive)


def read(name, **options):
    if "relu" in name:
        options["activation"] = "relu"
    return rnnsim.read_network(FIXTURES / name, **options)


def outputs(rnn, x):
    states = rnnsim.forward(rnn, x)
    top = states.layers[-1].states if isinstance(rnn, rnnsim.Stack) else states.states
    last = rnn.layers[-1]
    return top[0, 1:] @ last.W_hy[0].T + last.b_y[0]


def torch_gradients(gradients, cell):
    """Our gradients of a layer under PyTorch's names."""
    b_h = gradients.b_h[0]
    rows = len(gradients.W_hh[0])
    outer = b_h[:rows].copy()
    outer[rows - (len(b_h) - rows) :] = b_h[rows:]
    return {
        "weight_ih": gradients.W_xh[0],
        "weight_hh": gradients.W_hh[0],
        "bias_ih": b_h[:rows],
        "bias_hh": outer,
    }


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("stem", KINDS)
def test_outputs_and_gradients_are_those_of_torch(stem, suffix):
    known, rnn = oracle(stem), read(stem + suffix)
    assert rnn.dtype == "float32"
    assert_allclose(outputs(rnn, known["x"]), known["y"], atol=1e-6 * np.abs(known["y"]).max())
    found = rnnsim.bptt(rnn, rnnsim.Sequences(known["x"], np.zeros_like(known["y"])))
    layers = found.layers if isinstance(rnn, rnnsim.Stack) else [found]
    assert len(layers) == int(stem[-1])
    for index, layer in enumerate(layers):
        for name, ours in torch_gradients(layer, rnn.cell).items():
            theirs = known.get(f"grad.rnn.{name}_l{index}")
            if theirs is None:
                assert "plain" in stem
                continue
            assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), err_msg=name)
    assert_allclose(layers[-1].W_hy[0], known["grad.fc.weight"], rtol=1e-5, atol=1e-6)
    assert_allclose(layers[-1].b_y[0], known["grad.fc.bias"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_cells_have_names_without_layers(name):
    known, rnn = oracle(f"torch-{name}"), read(f"torch-{name}.pt")
    assert (rnn.cell, rnn.n_outputs, rnn.dtype) == (CELLS[name], 0, "float64")
    assert_allclose(rnnsim.forward(rnn, known["x"]).states[0, 1:], known["h"], atol=1e-14)


def wrong_readings(rnn):
    """Readings that fit the shapes as well: each must be told from the right one by the outputs."""
    W_xh, W_hh, W_hy, b_h, b_y = rnn.weights
    G, H = rnn.n_gates, rnn.n_hidden

    def blocks(array, order):
        return np.concatenate([array[:, g * H : (g + 1) * H] for g in order], axis=1)

    yield (
        "W_hh transposed",
        (W_xh, blocks(W_hh, range(G)).reshape(1, G, H, H).mT.reshape(1, G * H, H), W_hy, b_h, b_y),
    )
    yield (
        "W_xh transposed",
        (W_xh.reshape(1, G, H, H).mT.reshape(1, G * H, H), W_hh, W_hy, b_h, b_y),
    )
    orders = {"lstm": [(0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2)], "gru": [(1, 0, 2)]}.get(
        rnn.cell, []
    )
    for order in orders:
        full = (*order, 3) if rnn.cell == "gru" else order
        yield (
            f"gates {order}",
            (blocks(W_xh, order), blocks(W_hh, order), W_hy, blocks(b_h, full), b_y),
        )
    if rnn.cell == "gru":
        yield "both biases of n inside the gate", (W_xh, W_hh, W_hy, blocks(b_h, (0, 1, 3, 2)), b_y)
    yield "no second bias", (W_xh, W_hh, W_hy, 0.5 * b_h, b_y)


@pytest.mark.parametrize("stem", [kind for kind in KINDS if kind.endswith("1")])
def test_a_wrong_layout_would_be_seen(stem):
    known, rnn = oracle(stem), read(f"{stem}.pt")
    for what, weights in wrong_readings(rnn):
        if what == "no second bias" and "plain" in stem:
            continue
        wrong = rnn.with_weights(Weights(*(np.ascontiguousarray(w) for w in weights)))
        assert np.abs(outputs(wrong, known["x"]) - known["y"]).max() > 1e-3, what


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_bfloat16_becomes_float32_exactly(suffix):
    known, rnn = oracle("torch-bfloat16"), read(f"torch-bfloat16{suffix}")
    assert rnn.dtype == "float32"
    assert_array_equal(rnn.W_hh[0], known["as32.rnn.weight_hh_l0"])
    assert_array_equal(rnn.W_hy[0], known["as32.fc.weight"])
    H = 3
    inner, outer = known["as32.rnn.bias_ih_l0"], known["as32.rnn.bias_hh_l0"]
    assert_array_equal(rnn.b_h[0], [*(inner + outer)[: 2 * H], *inner[2 * H :], *outer[2 * H :]])


def test_a_checkpoint_with_embedding_heads_and_an_optimiser():
    known = oracle("torch-reader")
    with pytest.raises(
        ValueError, match=r"several linear layers .*'model_state_dict\.head', 'model_s"
    ):
        read("torch-reader.pt")
    with pytest.warns(UserWarning, match="read .*; not used: ") as told:
        rnn = read("torch-reader.pt", readout="head", embedding="emb")
    assert len(told) == 1
    message = str(told[0].message)
    assert "model_state_dict.extra.weight (1, 3), model_state_dict.extra.bias (1,)" in message
    assert "exp_avg" in message
    assert "emb.weight" not in message
    assert "head" not in message
    assert rnn.embedding.shape == (1, 5, 3)
    x = rnn.embed(known["x"])
    assert_allclose(outputs(rnn, x), known["y"], atol=1e-6)
    batch = rnnsim.Sequences(x, np.zeros_like(known["y"]))
    found = rnnsim.bptt(rnn, batch)
    assert_allclose(found.W_hh[0], known["grad.lstm.weight_hh_l0"], atol=1e-6)
    with pytest.warns(UserWarning, match=r"give embedding='model_state_dict\.emb' to use it"):
        plain = read("torch-reader.pt", readout="extra")
    assert (plain.n_outputs, plain.embedding) == (1, None)
    with pytest.warns(UserWarning, match="head.weight"):
        assert read("torch-reader.pt", readout=False).n_outputs == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch-bidirectional.pt", "it is bidirectional .weight_hh_l0_reverse"),
        ("torch-projected.pt", "proj_size=0"),
        ("torch-normed.pt", "parametrized.*merge it into plain weights"),
        ("torch-whole.pt", r"'__main__\.Net'.*whole model was pickled.*save model\.state_dict\(\)"),
        (
            "torch-old.pt",
            r"before 1\.6.*torch\.save\(torch\.load\(path, weights_only=True\), new_path\)",
        ),
        ("torch-script.pt", r"TorchScript.*torch\.jit\.load\(path\)\.state_dict\(\)"),
    ],
)
def test_what_is_not_read_is_refused_by_name(name, message):
    with pytest.raises(ValueError, match=message) as refused:
        read(name)
    assert name in str(refused.value)


def arrays(**changes):
    """A state dict of an LSTM of 3 units that reads 2 numbers, in float64."""
    rng = np.random.default_rng(0)
    shapes = {
        "weight_ih_l0": (12, 2), "weight_hh_l0": (12, 3), "bias_ih_l0": (12,), "bias_hh_l0": (12,),
    }  # fmt: skip
    made = {name: rng.standard_normal(shape) for name, shape in shapes.items()} | changes
    return {name: array for name, array in made.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_ih_l0": None}, "lacks weight_ih_l0"),
        ({"bias_hh_l0": None}, "lacks bias_hh_l0"),
        ({"weight_hh_l2": np.ones((12, 3)), "weight_ih_l2": np.ones((12, 3))}, "weight_ih_l1"),
        (
            {"weight_hh_l0": np.ones((6, 3))},
            r"\(H, H\), \(3 H, H\) of a GRU or \(4 H, H\).*\(6, 3\)",
        ),
        ({"weight_hh_l0": np.ones((3, 12))}, r"\(H, H\), \(3 H, H\).*\(3, 12\)"),
        ({"weight_ih_l0": np.ones((2, 12))}, r"weight_ih_l0 must be \(12, n_inputs\)"),
        ({"bias_ih_l0": np.ones(3)}, r"bias_ih_l0 must be \(12,\)"),
        ({"weight_hh_l0": np.full((12, 3), np.nan)}, r"`W_hh` must be finite.*weight_hh_l0"),
        ({"weight_hh_l0": np.full((12, 3), 1e300)}, r"`W_hh` must be finite"),
        ({"weight_hh_l0": np.ones((12, 3), complex)}, "real numbers, got complex128"),
        ({"weight_hr_l0": np.ones((2, 3))}, "projections"),
        ({"weight_hh_l0_raw": np.ones((12, 3))}, "weight drop"),
        ({"weight_hh_l0_g": np.ones((12, 1))}, "weight normalisation"),
        ({"weight_hh": np.ones((12, 3))}, "side by side"),
    ],
)
def test_state_dicts_that_do_not_fit(changes, message):
    large = any(np.abs(array).max() > 1e200 for array in changes.values() if array is not None)
    dtype = "float32" if large else None
    with pytest.raises(ValueError, match=message):
        rnnsim.from_state_dict(arrays(**changes), dtype=dtype)


def test_layers_of_unequal_sizes_are_named():
    upper = {"weight_ih_l1": np.ones((8, 3)), "weight_hh_l1": np.ones((8, 2)),
             "bias_ih_l1": np.ones(8), "bias_hh_l1": np.ones(8)}  # fmt: skip
    with pytest.raises(ValueError, match="layer 1 reads 3 numbers and has 2 units, layer 0 has 3"):
        rnnsim.from_state_dict(arrays(**upper))


def test_equinox_names():
    """One bias of each gate, and one of n apart: n = tanh(W_in x + bias + r (W_hn h + bias_n))."""
    rng = np.random.default_rng(0)
    lstm = {"weight_ih": rng.normal(size=(12, 2)), "weight_hh": rng.normal(size=(12, 3)),
            "bias": rng.normal(size=12)}  # fmt: skip
    assert_array_equal(rnnsim.from_state_dict({"cell": lstm}).b_h[0], lstm["bias"])
    gru = {"weight_ih": rng.normal(size=(9, 2)), "weight_hh": rng.normal(size=(9, 3)),
           "bias": rng.normal(size=9), "bias_n": rng.normal(size=3)}  # fmt: skip
    found = rnnsim.from_state_dict(gru)
    assert found.cell == "gru"
    assert_array_equal(found.b_h[0], [*gru["bias"], *gru["bias_n"]])
    del gru["bias_n"]
    with pytest.raises(ValueError, match="bias and bias_n of a GRU one is missing"):
        rnnsim.from_state_dict(gru)


def test_wrappers_are_part_of_the_name():
    plain = rnnsim.from_state_dict(arrays())
    for wrapped in (
        {"state_dict": {f"model.lstm.{name}": a for name, a in arrays().items()}, "epoch": 1},
        {f"module._orig_mod.lstm.{name}": a for name, a in arrays().items()},
    ):
        with warnings.catch_warnings(action="error"):
            assert_array_equal(rnnsim.from_state_dict(wrapped, prefix="lstm").W_hh, plain.W_hh)
            assert_array_equal(rnnsim.from_state_dict(wrapped).W_hh, plain.W_hh)


def test_one_of_several_networks():
    both = {f"encoder.lstm.{n}": a for n, a in arrays().items()}
    both |= {f"decoder.lstm.{n}": 2 * a for n, a in arrays().items()}
    with pytest.raises(
        ValueError, match=r"several networks: 'encoder\.lstm', 'decoder\.lstm'.*prefix="
    ):
        rnnsim.from_state_dict(both)
    with pytest.raises(ValueError, match=r"`prefix` .*'lstm', which may be 'encoder"):
        rnnsim.from_state_dict(both, prefix="lstm")
    with pytest.raises(ValueError, match=r"`prefix` must name one of the networks .*got 'coder'"):
        rnnsim.from_state_dict(both, prefix="coder")
    for prefix in ("decoder", "decoder.", "decoder.lstm", "decoder.lstm."):
        with pytest.warns(UserWarning, match="encoder.lstm.weight_hh_l0"):
            found = rnnsim.from_state_dict(both, prefix=prefix)
        assert_array_equal(found.W_hh[0], both["decoder.lstm.weight_hh_l0"])


def test_several_modules_make_a_stack():
    both = {f"lower.{n}": a for n, a in arrays().items()}
    upper = arrays(weight_ih_l0=np.ones((12, 3)))
    both |= {f"upper.{n}": a for n, a in upper.items()}
    stack = rnnsim.from_state_dict(both, prefix=["lower", "upper"])
    assert (stack.n_layers, stack.n_inputs) == (2, 2)
    assert_array_equal(stack.layers[1].W_xh[0], upper["weight_ih_l0"])
    with pytest.raises(ValueError, match=r"`mapping`: `layers\[1\]` must read"):
        rnnsim.from_state_dict(both, prefix=["upper", "lower"])


def test_one_layer_of_a_stack():
    stack = read("torch-gru-2.pt")
    for index in (0, 1):
        with pytest.warns(UserWarning, match=f"weight_ih_l{1 - index}"):
            layer = read("torch-gru-2.pt", layer=index)
        assert_array_equal(layer.W_hh, stack.layers[index].W_hh)
        assert layer.n_outputs == (0, 2)[index]
    with pytest.raises(ValueError, match=r"`readout` reads the top layer .* got layer=0"):
        read("torch-gru-2.pt", layer=0, readout="fc")
    with pytest.raises(ValueError, match=r"`layer` must be below 2, the layers of 'rnn'.*got 2"):
        read("torch-gru-2.pt", layer=2)


def test_arrays_of_one_storage_read_it_once(monkeypatch):
    """As those of a network that was on a GPU, or whose weights were slices of one array."""
    calls = []
    flat = torch_files._flat
    monkeypatch.setattr(torch_files, "_flat", lambda *a: calls.append(a[2]) or flat(*a))
    known = oracle("torch-shared")
    rnn = read("torch-shared.pt")
    assert_array_equal(rnn.W_xh[0], known["weight_ih"])
    assert_array_equal(rnn.W_hh[0], known["weight_hh"])
    assert len(calls) == 1
