"""Small stacks of any cell with data, and what their plain twins say of them."""

from typing import NamedTuple

import numpy as np
import reference
import reference_stacks
from gated import network
from reference_cells import CELLS

import rnnsim

KINDS = ("tanh", "relu", "lstm", "gru")


class Stacked(NamedTuple):
    """Stacks of one cell, data, and the whole first state (B, L*S) or (N, B, L*S)."""

    stack: rnnsim.Stack
    sequences: rnnsim.Sequences
    state: np.ndarray
    cell: str

    @property
    def start(self):
        """h0, and c0 of LSTMs, as the public functions take them."""
        L, H = self.stack.n_layers, self.stack.n_hidden
        by_layer = np.moveaxis(self.state.reshape(*self.state.shape[:-1], L, -1), -2, -3)
        parts = {"h0": by_layer[..., :H], "c0": by_layer[..., H:]}
        return {name: np.ascontiguousarray(a) for name, a in parts.items() if a.size}

    def nets(self, n=0):
        return [reference.net_of(layer, n) for layer in self.stack.layers]

    def plain(self, n=0):
        """(nets, x, targets, weights, state, cell) of network n, in float64."""
        s, own = self.sequences.astype("float64"), self.sequences.n_networks
        x, targets, weights = (a[n] if own else a for a in (s.inputs, s.targets, s.weights))
        state = np.asarray(self.state[n] if own else self.state, float)
        nets = [
            reference.Net(*(np.array(a[n], float) for a in layer.weights))
            for layer in self.stack.layers
        ]
        return nets, x, targets, weights, state, self.cell

    def temporal(self, n=0):
        """What the loss of every step owes to every step, by complex steps."""
        nets, x, targets, weights, state, cell = self.plain(n)

        def loss_of_step(t, h, c, y):
            terms = [
                w * reference.step_loss(y[b], targets[t - 1, b])
                for b, w in enumerate(weights[t - 1])
                if w
            ]
            return sum(terms, 0.0) / len(h)

        return reference_stacks.temporal(nets, x, state, cell, loss_of_step)


def stacked(
    cell="tanh",
    n_layers=2,
    seed=0,
    *,
    N=1,
    T=5,
    B=2,
    D=2,
    H=3,
    V=2,
    classes=True,
    dtype="float64",
    silent=0.3,
    own=False,
    gain=1.0,
):
    """Stacks whose biases are not 0, data whose loss weights are 0 here and there, first states."""
    rng = np.random.default_rng([seed, n_layers, T, B, D, H, V])
    lead = (N, T, B) if own else (T, B)
    weights = rng.uniform(0.2, 2.0, lead) * (rng.random(lead) >= silent)
    if not weights.any():
        weights[..., -1, :] = 1.0
    targets = rng.integers(0, V, lead) if classes else rng.normal(size=(*lead, V))
    sequences = rnnsim.Sequences(rng.normal(size=(*lead, D)), targets, weights).astype(dtype)
    S = (1 + CELLS[cell].memories) * H
    state = 0.7 * rng.normal(size=(*lead[:-2], B, n_layers * S))
    top, sizes = n_layers - 1, {"N": N, "H": H, "dtype": dtype, "gain": gain}
    layers = [
        network(cell, rng, D=D if k == 0 else H, V=V if k == top else 0, **sizes)
        for k in range(n_layers)
    ]
    return Stacked(rnnsim.Stack(layers), sequences, state.astype(dtype), cell)
