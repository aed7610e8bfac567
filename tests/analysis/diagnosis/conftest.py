"""Diagnoses of small networks whose answer is known, and at every edge."""

from functools import cache

import numpy as np
import pytest
from known_networks import dead, driven, echo, linear, shift_register

import rnnsim
from analysis.frame import figures

SIZES = {"n_inputs": 2, "n_hidden": 6}
GIVEN = {"window": 6, "clip_norm": 1.0, "clip_value": 0.05}


def lstm():
    return rnnsim.Stack.sample(**SIZES, n_layers=2, n_outputs=1, cell="lstm", rng=0)


def gru():
    return rnnsim.RNN.sample(**SIZES, n_outputs=0, cell="gru", rng=0)


def from_gradients():
    x = np.random.default_rng(0).standard_normal((20, 8, 2))
    return rnnsim.Sequences.from_gradients(x, dL_dh_final=np.ones((8, 6)))


def nothing_recurrent():
    return rnnsim.RNN(np.ones((2, 2)), np.zeros((2, 2)), np.ones((1, 2)))


# A network, its data, and other options than usual.
CASES = {
    "vanishes": lambda: (linear(0.9), driven(n_steps=30, n_sequences=16), {}),
    "without a window": lambda: (linear(0.9), driven(n_steps=30, n_sequences=8), None),
    "holds": lambda: (linear(1.0), driven(n_steps=20, n_sequences=8), {}),
    "grows": lambda: (linear(1e3), driven(n_steps=20, n_sequences=8), {}),
    "echo": lambda: (shift_register(5), echo(5, n_steps=20, n_sequences=12), {}),
    "lstm": lambda: (lstm(), driven(n_steps=25, n_sequences=12), {"batch_size": 2}),
    "gru without readout": lambda: (gru(), driven(n_steps=25, n_sequences=8), {}),
    "inputs alone": lambda: (gru(), driven(n_steps=25, n_sequences=8).inputs, {}),
    "derivatives": lambda: (gru(), from_gradients(), {}),
    "dead": lambda: (dead(), driven(n_steps=25, n_sequences=8), {}),
    "nothing recurrent": lambda: (nothing_recurrent(), driven(n_steps=9, n_sequences=4), {}),
    "overflow": lambda: (linear(1e12), driven(), {}),
    "one unit": lambda: (linear(0.9, H=1), driven(n_steps=20, n_sequences=8), {}),
    "one sequence": lambda: (linear(0.9), driven(n_steps=25, n_sequences=1), {}),
    "one step": lambda: (linear(0.9), driven(n_steps=1, n_sequences=1), {}),
    "two steps": lambda: (linear(0.9), driven(n_steps=2, n_sequences=3), {}),
}


@cache
def diagnosed(name):
    network, data, more = CASES[name]()
    return rnnsim.diagnose(network, data, **({} if more is None else GIVEN | more))


@pytest.fixture(scope="session")
def case():
    """A diagnosis by the name of its case, made once."""
    return diagnosed


@pytest.fixture(params=CASES)
def found(request):
    """Each diagnosis in turn."""
    return diagnosed(request.param)


@pytest.fixture(autouse=True)
def house_style():
    with figures.style():
        yield
