"""Small networks with data, for tests; and what the plain versions in reference.py need of them."""

import hashlib
from typing import NamedTuple

import numba
import numpy as np
import reference
import reference_cells
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import rnnsim

NOJIT = bool(numba.config.DISABLE_JIT)
EXAMPLES = 6 if NOJIT else 40  # uncompiled kernels are about a thousand times slower
ACTIVATIONS = reference_cells.VANILLA
DTYPES = ("float64", "float32")
# Relative to the sum of the norms of what is added up: some 1e5 epsilons in float64 and 2e3 in
# float32, for sums over a few steps whose factors were rounded once per step.
TOLERANCE = {"float64": 1e-10, "float32": 2e-4}


class Case(NamedTuple):
    rnn: rnnsim.RNN
    sequences: rnnsim.Sequences
    h0: np.ndarray

    def astype(self, dtype):
        return Case(self.rnn.astype(dtype), self.sequences.astype(dtype), self.h0.astype(dtype))


def case(
    seed=0,
    *,
    N=1,
    T=6,
    B=3,
    D=2,
    H=4,
    V=3,
    activation="tanh",
    classes=True,
    gain=0.9,
    scheme="gaussian",
    dtype="float64",
    silent=0.3,
    own=False,
):
    """Networks with biases, initial states and data; a share `silent` of loss weights is 0."""
    rng = np.random.default_rng([seed, T, B, D, H, V])
    sampled = rnnsim.RNN.sample(
        N, n_inputs=D, n_hidden=H, n_outputs=V, gain=gain, scheme=scheme, rng=rng
    )
    rnn = rnnsim.RNN(
        sampled.W_xh,
        sampled.W_hh,
        sampled.W_hy,
        0.3 * rng.normal(size=(N, H)),
        0.3 * rng.normal(size=(N, V)),
        activation=activation,
    )
    lead = (N, T, B) if own else (T, B)
    weights = rng.uniform(0.2, 2.0, lead) * (rng.random(lead) >= silent)
    if not weights.any():
        weights[..., -1, :] = 1.0
    targets = rng.integers(0, V, lead) if classes else rng.normal(size=(*lead, V))
    sequences = rnnsim.Sequences(rng.normal(size=(*lead, D)), targets, weights)
    h0 = 0.5 * rng.normal(size=(N, B, H) if own else (B, H))
    return Case(rnn, sequences, h0).astype(dtype)


def network(W_hh, activation="linear", dtype="float64"):
    """One network whose inputs go straight to its units."""
    W_hh = np.asarray(W_hh, dtype)
    H = len(W_hh)
    W_hy = np.random.default_rng(H).standard_normal((2, H)).astype(dtype)
    return rnnsim.RNN(np.eye(H, dtype=dtype), W_hh, W_hy, activation=activation)


def driven(rnn, pre):
    """Inputs (T, 1, H) with which the pre-activations of `network(...)` are `pre` (T, H)."""
    inputs, state = np.empty((len(pre), 1, rnn.n_hidden)), np.zeros(rnn.n_hidden)
    for t, a in enumerate(pre):
        inputs[t, 0] = a - rnn.W_hh[0] @ state
        state = reference.phi(rnn.activation, a)
    return rnnsim.Sequences(inputs, np.ones((len(pre), 1, rnn.n_outputs)))


def at_rest(rnn, T, B=1):
    """Sequences of zeros, with loss."""
    return rnnsim.Sequences(np.zeros((T, B, rnn.n_inputs)), np.ones((T, B, rnn.n_outputs)))


class GatedCase(NamedTuple):
    rnn: rnnsim.RNN
    sequences: rnnsim.Sequences
    h0: np.ndarray
    c0: np.ndarray | None

    @property
    def start(self):
        """Initial states, by name."""
        return {"h0": self.h0} if self.c0 is None else {"h0": self.h0, "c0": self.c0}

    def astype(self, dtype):
        h0, c0 = (None if a is None else a.astype(dtype) for a in (self.h0, self.c0))
        return GatedCase(self.rnn.astype(dtype), self.sequences.astype(dtype), h0, c0)

    def plain(self, n=0):
        """(net, x, targets, weights, whole initial states, name) of network n, in float64."""
        wide = self.astype("float64")
        s, own = wide.sequences, wide.sequences.n_networks
        x, targets, weights = (a[n] if own else a for a in (s.inputs, s.targets, s.weights))
        parts = [a for a in (wide.h0, wide.c0) if a is not None]
        start = np.concatenate([a[n] if a.ndim == 3 else a for a in parts], axis=-1)
        name = wide.rnn.activation if wide.rnn.cell == "vanilla" else wide.rnn.cell
        return reference.net_of(wide.rnn, n), x, targets, weights, start, name


def gated(
    cell,
    seed=0,
    *,
    N=1,
    T=6,
    B=3,
    D=2,
    H=3,
    V=2,
    scale=0.7,
    classes=True,
    dtype="float64",
    silent=0.3,
    own=False,
):
    """As `case`, of any cell of the table by its name; weights and biases are N(0, scale^2)."""
    kind = reference_cells.CELLS[cell]
    like = case(seed, N=N, T=T, B=B, D=D, H=H, V=V, classes=classes, silent=silent, own=own)
    rng, rows = np.random.default_rng([seed, N, T, H]), kind.gates * H
    sizes = (N, rows, D), (N, rows, H), (N, V, H), (N, kind.biases * H), (N, V)
    options = {"cell": cell} if cell in ("lstm", "gru") else {"activation": cell}
    rnn = rnnsim.RNN(*(rng.normal(size=size, scale=scale) for size in sizes), **options)
    c0 = rng.normal(size=like.h0.shape) if kind.memories else None
    return GatedCase(rnn, like.sequences, like.h0, c0).astype(dtype)


def cases(**fixed):
    """Hypothesis: cases of every small size, with each keyword in `fixed` held."""
    free = {
        "seed": st.integers(0, 2**16),
        "T": st.integers(1, 7),
        "B": st.integers(1, 3),
        "D": st.integers(1, 3),
        "H": st.integers(1, 5),
        "V": st.integers(1, 4),
        "activation": st.sampled_from(ACTIVATIONS),
        "classes": st.booleans(),
        "gain": st.floats(0.1, 1.8),
        "silent": st.sampled_from([0.0, 0.4, 0.9]),
    }
    for name, value in fixed.items():
        free[name] = value if isinstance(value, st.SearchStrategy) else st.just(value)
    return st.builds(case, **free)


def draws(rng, *, T=7, B=2, D=2, V=3, classes=True, silent=0.3):
    """A batch whose silent steps differ from draw to draw."""
    weights = rng.uniform(0.5, 2.0, (T, B)) * (rng.random((T, B)) >= silent)
    weights[-1] = 1.0
    targets = rng.integers(0, V, (T, B)) if classes else rng.normal(size=(T, B, V))
    return rnnsim.Sequences(rng.normal(size=(T, B, D)), targets, weights)


def classes(sequences):
    """Input classes (T, B) of one-hot inputs."""
    assert set(np.unique(sequences.inputs)) == {0.0, 1.0}
    np.testing.assert_array_equal(sequences.inputs.sum(axis=-1), 1)
    return sequences.inputs.argmax(axis=-1)


def digest_of_gradients():
    """A checksum of what two threads compute for a small ensemble."""
    made = case(N=4, H=8, T=12)
    result = rnnsim.bptt(made.rnn, made.sequences, h0=made.h0, n_threads=2)
    return hashlib.sha256(b"".join(array.tobytes() for array in result.weights)).hexdigest()


def put_digest_of_gradients(queue):
    """The same, for a process of its own."""
    queue.put(digest_of_gradients())


def plain(made, n=0):
    """The arguments of reference.* for network n, in float64."""
    wide = made.astype("float64")
    s, own = wide.sequences, wide.sequences.n_networks
    x, targets, weights = (a[n] if own else a for a in (s.inputs, s.targets, s.weights))
    h0 = wide.h0[n] if wide.h0.ndim == 3 else wide.h0
    return reference.net_of(wide.rnn, n), x, targets, weights, h0, wide.rnn.activation


def scales(truth):
    """For each gradient the sum over steps of the norms of what is added up: weights, then h0."""
    steps = truth.step_W_xh, truth.step_W_hh, truth.step_W_hy, truth.step_b_h, truth.step_b_y
    sums = [sum(np.linalg.norm(part) for part in step) for step in steps]
    return [*sums, sum(np.linalg.norm(state) for state in truth.state)]


def assert_gradients(result, weights, h0, truth, n=0, tolerance=None):
    """Every gradient of network n within the tolerance of its dtype, normwise."""
    tolerance = tolerance or TOLERANCE[result.h0.dtype.name]
    found, expected = [*(a[n] for a in result.weights), result.h0[n]], [*weights, h0]
    names = "W_xh W_hh W_hy b_h b_y h0".split()
    for name, a, b, scale in zip(names, found, expected, scales(truth), strict=True):
        assert np.linalg.norm(a - b) <= tolerance * scale, name


def assert_norms(result, truth, n=0):
    """step_norms and state_norms of network n, to the tolerance of its dtype."""
    tolerance = TOLERANCE[result.h0.dtype.name]
    pairs = [
        (result.step_norms.W_xh, truth.step_W_xh),
        (result.step_norms.W_hh, truth.step_W_hh),
        (result.step_norms.W_hy, truth.step_W_hy),
        (result.state_norms, truth.state),
    ]
    for found, terms in pairs:
        norms = [np.linalg.norm(term) for term in terms]
        assert_allclose(found[n], norms, rtol=10 * tolerance, atol=tolerance * sum(norms))


def same_bits(a, b):
    """Equal to the last bit, NaN included, through nested results."""
    if isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    elif type(a) is tuple:
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same_bits(one, other)
    elif a is None or isinstance(a, int | float | str):
        assert a == b
    else:
        fields = a._fields if isinstance(a, tuple) else a.__dataclass_fields__
        for name in fields:
            same_bits(getattr(a, name), getattr(b, name))


def network_of(result, n):
    """The part of a result that belongs to network n, as an ensemble of one."""
    if isinstance(result, np.ndarray):
        return result[n : n + 1]
    if type(result) is tuple:
        return tuple(network_of(part, n) for part in result)
    if isinstance(result, tuple):
        of_all = getattr(result, "windows", None)
        return type(result)(*(a if a is of_all else network_of(a, n) for a in result))
    parts = {}
    for name in result.__dataclass_fields__:
        value = getattr(result, name)
        parts[name] = (
            value
            if value is None or name in ("steps", "epsilon", "windows")
            else network_of(value, n)
        )
    return type(result)(**parts)
