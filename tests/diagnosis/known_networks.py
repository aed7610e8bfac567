"""Networks whose diagnosis is known beforehand, and their data."""

import numpy as np

import rnnsim

T, B = 40, 16


def driven(n_inputs=2, n_outputs=1, n_steps=T, n_sequences=B, seed=0):
    """White noise as inputs and targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_steps, n_sequences, n_inputs))
    return rnnsim.Sequences(x, rng.normal(size=(n_steps, n_sequences, n_outputs)))


def linear(gain=1.0, H=8, seed=0):
    """Orthogonal times a gain: every norm changes by exactly that at every lag."""
    return rnnsim.RNN.sample(
        n_inputs=2, n_hidden=H, n_outputs=1, scheme="orthogonal", gain=gain, activation="linear",
        rng=seed,
    )  # fmt: skip


def two_rates():
    """Parts of .5 and .99, the first a thousand times as loud: two rates, one after the other."""
    W_hh = np.diag([0.5, 0.99])
    return rnnsim.RNN(np.ones((2, 2)), W_hh, np.array([[1e3, 1.0]]), activation="linear")


def dead():
    """Relu units far below 0: nothing goes through."""
    b_h = np.full(4, -1e3)
    rng = np.random.default_rng(0)
    W = rng.normal(size=(4, 4))
    return rnnsim.RNN(rng.normal(size=(4, 2)), W, W[:1], b_h, np.ones(1), activation="relu")


def carousel(forget=10.0, H=4):
    """LSTMs without recurrent weights whose forget gate hears nothing: prod f alone."""
    rng = np.random.default_rng(0)
    W_xh = rng.normal(size=(4 * H, 2))
    W_xh[H : 2 * H] = 0.0
    b_h = np.zeros(4 * H)
    b_h[H : 2 * H] = forget
    W_hy = rng.normal(size=(1, H))
    return rnnsim.RNN(W_xh, np.zeros((4 * H, H)), W_hy, b_h, cell="lstm")


def shift_register(delay, V=3):
    """A linear network that hands one-hot inputs on, and says what came `delay` steps before."""
    H = V * (delay + 1)
    W_hh = np.zeros((H, H))
    W_hh[V:, :-V] = np.eye(H - V)
    W_xh = np.eye(H, V)
    W_hy = np.zeros((V, H))
    W_hy[:, -V:] = 8.0 * np.eye(V)
    return rnnsim.RNN(W_xh, W_hh, W_hy, activation="linear")


def echo(delay, n_steps=30, n_sequences=B, V=3):
    """Inputs to be said again after so many steps; no loss before there is one."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, V, (n_steps, n_sequences))
    targets = np.full_like(ids, -100)
    targets[delay:] = ids[: n_steps - delay]
    return rnnsim.Sequences(np.eye(V)[ids], targets)
