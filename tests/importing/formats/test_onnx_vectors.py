"""ONNX's own test vectors of RNN, LSTM and GRU: those that are read give what ONNX expects."""

import copy
import importlib
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnnsim

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.nojit


def vectors():
    """Cases of the three operators; importing their modules makes them."""
    place = "onnx.backend.test.case.node"
    for name in ("rnn", "lstm", "gru"):
        importlib.import_module(f"{place}.{name}")
    for case in sys.modules[place]._NodeTestCases:
        if case.name.startswith(("test_gru_", "test_lstm_", "test_rnn_", "test_simple_rnn_")):
            yield case


REFUSED = {
    "bidirectional": r"bidirectional \(direction",
    "reverse": r"backwards in time \(direction=reverse\)",
    "batchwise": r"batch first \(layout=1\)",
    "peephole": "peepholes",
    "gru": "linear_before_reset=0",
}


def refusal(name):
    return next((words for part, words in REFUSED.items() if part in name), "")


CASES = {case.name: case for case in vectors()}


def constant(case, path):
    """The model of a case with all its inputs but x as constants."""
    inputs, outputs = case.data_sets[0]
    made = copy.deepcopy(case.model)
    names = [each.name for each in made.graph.input]
    for name, value in zip(names[1:], inputs[1:], strict=True):
        made.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    del made.graph.input[1:]
    onnx.save(made, path)
    return np.asarray(inputs[0]), dict(
        zip([o.name for o in made.graph.output], outputs, strict=True)
    )


def test_all_of_them_are_here():
    assert len(CASES) >= 12
    assert sum(not refusal(name) for name in CASES) >= 4


@pytest.mark.parametrize("name", CASES)
def test_vector(name, tmp_path):
    path = tmp_path / "x.onnx"
    x, outputs = constant(CASES[name], path)
    words = refusal(name)
    if words:
        with pytest.raises(ValueError, match=f"cannot be read: .*({words})"):
            rnnsim.read_network(path)
        return
    network = rnnsim.read_network(path)
    states = rnnsim.forward(network, x).states[0]
    if "Y" in outputs:
        assert_allclose(states[1:], outputs["Y"][:, 0], rtol=1e-5, atol=1e-6)
    if "Y_h" in outputs:
        assert_allclose(states[-1], outputs["Y_h"][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("LSTM", 4), ("GRU", 3)])
def test_random_weights_give_what_onnx_computes(kind, gates, tmp_path):
    """The vectors have equal weights in all gates; ONNX's reference runs these, D = H."""
    from onnx.reference import ReferenceEvaluator

    rng, H = np.random.default_rng(1), 3
    x, sizes = rng.standard_normal((5, 2, H), "f4"), {"W": H, "R": H, "B": 2}
    weights = {k: rng.standard_normal((1, gates * H, n), "f4") for k, n in sizes.items()}
    weights["B"] = weights["B"].reshape(1, 2 * gates * H)
    options = {"hidden_size": H} | ({"linear_before_reset": 1} if kind == "GRU" else {})
    node = onnx.helper.make_node(kind, ["X", "W", "R", "B"], ["", "Y_h"], **options)
    kept = [onnx.numpy_helper.from_array(a, k) for k, a in weights.items()]
    types = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("X", x.shape), ("Y_h", (1, 2, H)))
    ]
    made = onnx.helper.make_model(onnx.helper.make_graph([node], "g", types[:1], types[1:], kept))
    onnx.save(made, tmp_path / "x.onnx")
    states = rnnsim.forward(rnnsim.read_network(tmp_path / "x.onnx"), x).states[0]
    (last,) = ReferenceEvaluator(made).run(["Y_h"], {"X": x})
    assert_allclose(states[-1], last[0], rtol=1e-5, atol=1e-6)
