"""Beside the frameworks themselves: files that they write now, and what they load of ours."""

import subprocess
import sys

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose

import rnnsim

pytestmark = pytest.mark.frameworks
MODULES = {"tanh": "RNN", "relu": "RNN", "lstm": "LSTM", "gru": "GRU"}
SUFFIXES = {"keras": ".keras", "flax": ".msgpack", "onnx": ".onnx"}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with the fixtures that each script makes anew."""
    folder = tmp_path_factory.mktemp("made")
    for name in SUFFIXES:
        script = oracles.FIXTURES / f"make_{name}.py"
        done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
    return folder


@pytest.mark.parametrize("name", SUFFIXES)
def test_files_that_are_made_anew_are_read(name, made):
    cases = oracles.load(f"{name}.npz", made)
    stored = oracles.load(f"{name}.npz")
    assert cases.keys() == stored.keys()
    for case, known in cases.items():
        if case == "half":  # weights alone
            continue
        ids = {"embedding": "embedding", "linen_ids": "Embed_0", "ids_legacy": "emb"}.get(case)
        rnn = rnnsim.read_network(made / f"{case}{SUFFIXES[name]}", embedding=ids)
        oracles.assert_agrees(rnn, known if name == "onnx" else oracles.time_first(known))


@pytest.mark.parametrize("name", sorted(p.name for p in oracles.FIXTURES.glob("*.keras")))
def test_files_that_are_stored_hold_what_those_made_anew_do(name, made):
    old, new = (rnnsim.describe(folder / name) for folder in (oracles.FIXTURES, made))
    assert str(old).replace(str(oracles.FIXTURES), "") == str(new).replace(str(made), "")


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("kind", MODULES)
def test_torch_loads_what_is_written_and_puts_out_the_same(kind, n_layers, tmp_path):
    import safetensors.torch
    import torch

    D, H, V, rng = 3, 3, 2, np.random.default_rng(n_layers)  # D = H: square
    cell = {"cell": kind} if kind in ("lstm", "gru") else {"activation": kind}
    sizes = [(D, 0)] + [(H, 0)] * (n_layers - 1)
    sizes[-1] = (sizes[-1][0], V)
    layers = [
        rnnsim.RNN.sample(n_inputs=n, n_hidden=H, n_outputs=v, scheme="pytorch", rng=rng, **cell)
        for n, v in sizes
    ]
    rnn = layers[0] if n_layers == 1 else rnnsim.Stack(layers)
    path = tmp_path / "x.safetensors"
    rnnsim.write_network(path, rnn)
    arrays = safetensors.torch.load_file(path)
    head = {k: arrays.pop(f"readout.{k}") for k in ("weight", "bias")}
    options = {} if kind in ("lstm", "gru") else {"nonlinearity": kind}
    module = getattr(torch.nn, MODULES[kind])(D, H, n_layers, dtype=torch.float64, **options)
    module.load_state_dict(arrays)
    readout = torch.nn.Linear(H, V, dtype=torch.float64)
    readout.load_state_dict(head)
    x = rng.standard_normal((7, 2, D))
    with torch.no_grad():
        y = readout(module(torch.from_numpy(x))[0]).numpy()
    assert_allclose(oracles.outputs(rnn, x), y, rtol=0, atol=1e-12)
    arrays = {**module.state_dict(), "fc.weight": head["weight"]}
    again = rnnsim.from_state_dict(arrays, activation=kind if kind == "relu" else "tanh")
    assert_allclose(oracles.outputs(again, x), y - head["bias"].numpy(), rtol=0, atol=1e-12)


def test_weights_in_memory_of_keras_and_flax():
    """`{w.path: w for w in model.weights}` and params as they are."""
    code = """
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
import jax, keras, numpy as np, rnnsim, torch
from flax import linen
x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(3, return_sequences=True),
                          keras.layers.Dense(2)])
rnn = rnnsim.from_state_dict({w.path: w.value for w in model.weights})
y = rnnsim.forward(rnn, np.swapaxes(x, 0, 1).copy()).outputs[0]
np.testing.assert_allclose(np.swapaxes(y, 0, 1), model(x).detach().numpy(), atol=1e-6)
class Model(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(linen.RNN(linen.LSTMCell(3))(x))
params = Model().init(jax.random.key(0), x)
rnn = rnnsim.from_state_dict(params)
y = rnnsim.forward(rnn, np.swapaxes(x, 0, 1).copy()).outputs[0]
np.testing.assert_allclose(np.swapaxes(y, 0, 1), Model().apply(params, x), atol=1e-6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
