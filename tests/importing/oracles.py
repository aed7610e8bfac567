"""Networks read from files beside what their frameworks made of them: outputs and gradients."""

from pathlib import Path

import numpy as np
from numpy.testing import assert_allclose

import rnnsim

FIXTURES = Path(__file__).parent / "fixtures"


def load(file, folder=FIXTURES):
    """What is stored of every case, by its name and the name of the array."""
    found = {}
    with np.load(folder / file) as archive:
        for key in archive:
            case, _, name = key.partition(".")
            found.setdefault(case, {})[name] = archive[key]
    return found


def time_major(array):
    return np.ascontiguousarray(np.swapaxes(array, 0, 1))


def time_first(arrays):
    """What is stored batch first, as Keras and Flax have it."""
    return arrays | {k: time_major(a) for k, a in arrays.items() if k in ("x", "y", "dx")}


def outputs(rnn, inputs):
    """y (T, B, V) of the one network."""
    found = rnnsim.forward(rnn, inputs)
    top = found.layers[-1] if isinstance(rnn, rnnsim.Stack) else found
    return top.outputs[0]


def assert_agrees(rnn, known):
    """Outputs to 1e-6 and gradients of L = 1/(2B) sum y^2 to 1e-5 of the largest entry."""
    inputs, y = known["x"], known["y"]
    if inputs.dtype.kind == "i":
        inputs = rnn.embed(inputs)
    last = y.ndim == 2
    found = outputs(rnn, inputs)
    _assert_close(found[-1] if last else found, y, 1e-6)
    weights = np.zeros(inputs.shape[:2], inputs.dtype)
    weights[-1 if last else slice(None)] = 1
    batch = rnnsim.Sequences(inputs, np.zeros_like(found), weights)
    gradients = rnnsim.bptt(rnn, batch, keep=("inputs",))
    layers = gradients.layers if isinstance(rnn, rnnsim.Stack) else [gradients]
    for index, layer in enumerate(layers):
        for name in ("W_xh", "W_hh", "b_h"):
            if f"{name}{index}" in known:
                stored = known[f"{name}{index}"]  # nnx' GRU has no bias of the state
                _assert_close(getattr(layer, name)[0][: len(stored)], stored, 1e-5)
    for name in ("W_hy", "b_y"):
        _assert_close(getattr(layers[-1], name)[0], known[name], 1e-5)
    if "dx" in known:
        _assert_close(gradients.inputs[0], known["dx"], 1e-5)


def _assert_close(found, known, share):
    assert found.shape == known.shape
    assert_allclose(found, known, rtol=0, atol=share * np.abs(known).max())
