"""ONNX's own test vectors of RNN, LSTM and GRU: those that are read give what ONNX expects."""

import copy
import importlib
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnnsim

onnx = pytest.importorskip("onnx")


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
    assert len(CASES) >= 13
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


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("test_gru")])
def test_a_gru_that_resets_after_gives_what_onnx_computes(name, tmp_path):
    """The vectors reset before; ONNX's reference runs them with linear_before_reset=1."""
    if any(part in name for part in REFUSED if part != "gru"):
        return
    path = tmp_path / "x.onnx"
    x, _ = constant(CASES[name], path)
    made = onnx.load(path)
    made.graph.node[0].attribute.append(onnx.helper.make_attribute("linear_before_reset", 1))
    onnx.save(made, path)
    states = rnnsim.forward(rnnsim.read_network(path), x).states[0]
    from onnx.reference import ReferenceEvaluator

    last = ReferenceEvaluator(made).run(["Y_h"], {"X": x})[0]
    assert_allclose(states[-1], last[0], rtol=1e-5, atol=1e-6)
