"""Small networks of any cell with data, and what their gradients are by complex steps."""

from typing import NamedTuple

import numpy as np
import reference
from builders import TOLERANCE
from hypothesis import strategies as st
from reference_cells import CELLS, VANILLA

import rnnsim

GATED = ("lstm", "gru")


class Made(NamedTuple):
    """Networks of one cell, data, and the whole first state (B, S) or (N, B, S)."""

    rnn: rnnsim.RNN
    sequences: rnnsim.Sequences
    state: np.ndarray
    cell: str

    @property
    def start(self):
        """h0, and c0 of LSTMs, as the public functions take them."""
        H = self.rnn.n_hidden
        parts = {"h0": self.state[..., :H], "c0": self.state[..., H:]}
        return {name: np.ascontiguousarray(a) for name, a in parts.items() if a.size}

    def of(self, n):
        """Network n with what it reads, in float64, and its data without a network axis."""
        s, own = self.sequences.astype("float64"), self.sequences.n_networks
        x, targets, weights = (a[n] if own else a for a in (s.inputs, s.targets, s.weights))
        state = np.asarray(self.state[n] if own else self.state, float)
        net = reference.Net(*(np.array(a[n], float) for a in self.rnn.weights))
        return net, x, targets, weights, state, self.cell

    def data_of(self, n):
        """Network n as an ensemble of one, with its data, for the public functions."""
        s = self.sequences
        if not s.n_networks:
            return self._replace(rnn=self.rnn[n])
        data = rnnsim.Sequences(s.inputs[n], s.targets[n], s.weights[n])
        return Made(self.rnn[n], data, self.state[n], self.cell)


def network(cell, rng, *, N=1, D=2, H=3, V=3, dtype="float64", gain=1.0):
    """Networks with all weights and biases drawn; V = 0 is no readout."""
    kind = {"activation": cell} if cell in VANILLA else {"cell": cell}
    gates, biases = CELLS[cell].gates, CELLS[cell].biases
    sizes = (gates * H, D), (gates * H, H), (V, H), (biases * H,), (V,)
    scales = 1 / np.sqrt(D), gain / np.sqrt(H), 1 / np.sqrt(H), 0.5, 0.5
    drawn = [s * rng.normal(size=(N, *size)) for s, size in zip(scales, sizes, strict=True)]
    return rnnsim.RNN(*(array.astype(dtype) for array in drawn), **kind)


def gated(
    cell="lstm",
    seed=0,
    *,
    N=1,
    T=6,
    B=2,
    D=2,
    H=3,
    V=3,
    classes=True,
    dtype="float64",
    silent=0.3,
    ragged=False,
    own=False,
):
    """Networks, data whose loss weights are 0 here and there, and first states.

    Of ragged data every sequence ends at a step of its own, behind which all weights are 0.
    """
    rng = np.random.default_rng([seed, T, B, D, H, V])
    lead = (N, T, B) if own else (T, B)
    weights = rng.uniform(0.2, 2.0, lead) * (rng.random(lead) >= silent)
    if ragged:
        weights *= np.arange(T)[:, None] < rng.integers(1, T + 1, lead[-1:])
    if not weights.any():
        weights[..., 0, :] = 1.0
    targets = rng.integers(0, V, lead) if classes else rng.normal(size=(*lead, V))
    S = (1 + CELLS[cell].memories) * H
    state = 0.7 * rng.normal(size=(*lead[:-2], B, S))
    sequences = rnnsim.Sequences(rng.normal(size=(*lead, D)), targets, weights).astype(dtype)
    rnn = network(cell, rng, N=N, D=D, H=H, V=V, dtype=dtype)
    return Made(rnn, sequences, state.astype(dtype), cell)


def cases(**fixed):
    """Hypothesis: both cells at every small size, with each keyword in `fixed` held."""
    free = {
        "cell": st.sampled_from(GATED),
        "seed": st.integers(0, 2**16),
        "T": st.integers(1, 6),
        "B": st.integers(1, 3),
        "D": st.integers(1, 3),
        "H": st.integers(1, 4),
        "V": st.integers(1, 4),
        "classes": st.booleans(),
        "silent": st.sampled_from([0.0, 0.4, 0.9]),
        "ragged": st.booleans(),
    }
    for name, value in fixed.items():
        free[name] = value if isinstance(value, st.SearchStrategy) else st.just(value)
    return st.builds(gated, **free)


def temporal(made, n=0):
    """Of network n, what the loss of every step owes to every step."""
    net, x, targets, weights, state, cell = made.of(n)

    def loss_of_step(t, h, c, y):
        terms = [
            w * reference.step_loss(y[b], targets[t - 1, b])
            for b, w in enumerate(weights[t - 1])
            if w
        ]
        return sum(terms, 0.0) / len(h)

    return reference.temporal(net, x, state, cell, loss_of_step)


def assert_parts(result, parts, n=0):
    """All gradients, norms and what is kept of network n, against what each step contributes.

    Normwise, to the tolerance of its dtype, relative to the sum of the norms of the contributions.
    """
    tolerance = TOLERANCE[result.h0.dtype.name]
    for name, of_steps in zip(reference.Net._fields, parts, strict=False):
        norms = np.array([np.linalg.norm(step) for step in of_steps])
        bound = tolerance * norms.sum()
        assert np.linalg.norm(getattr(result, name)[n] - of_steps.sum(0)) <= bound, name
        if result.steps is not None:
            kept = getattr(result.steps, name)[n]
            assert kept.shape == of_steps.shape
            assert np.linalg.norm(kept - of_steps) <= bound, name
        if name.startswith("W"):
            assert np.linalg.norm(getattr(result.step_norms, name)[n] - norms) <= bound, name
    blocks = np.array(np.split(parts.W_hh, result.step_norms.gates.shape[2], axis=1))
    of_gates = np.sqrt((blocks**2).sum((2, 3))).T
    assert np.linalg.norm(result.step_norms.gates[n] - of_gates) <= tolerance * of_gates.sum()
    H, norms = result.h0.shape[2], np.array([np.linalg.norm(state) for state in parts.state])
    bound = tolerance * norms.sum()
    assert np.linalg.norm(result.state_norms[n] - norms) <= bound
    assert np.linalg.norm(result.h0[n] - parts.state[0, :, :H]) <= bound
    assert (result.c0 is None) == (parts.state.shape[2] == H)
    if result.c0 is not None:
        assert np.linalg.norm(result.c0[n] - parts.state[0, :, H:]) <= bound
    if result.states is not None:
        assert np.linalg.norm(result.states[n] - parts.state[..., :H]) <= bound
        assert (result.memories is None) == (result.c0 is None)
    if result.memories is not None:
        assert np.linalg.norm(result.memories[n] - parts.state[..., H:]) <= bound
    if result.inputs is not None:
        bound = tolerance * sum(np.linalg.norm(step) for step in parts.x)
        assert np.linalg.norm(result.inputs[n] - parts.x) <= bound
