"""Small encoder-decoder networks with data, for tests."""

from typing import NamedTuple

import numpy as np
import reference
from reference_cells import CELLS, VANILLA

import rnnsim
from rnnsim.networks.stack import of_drawn


class PairCase(NamedTuple):
    model: rnnsim.EncoderDecoder
    pairs: rnnsim.Pairs

    def astype(self, dtype):
        return PairCase(self.model.astype(dtype), self.pairs.astype(dtype))


def network(rng, N, D, H, V, cell, gain=0.9):
    """Random networks with biases, of a cell of the table by its name."""
    kind = {"activation": cell} if cell in VANILLA else {"cell": cell}
    options = {} if cell in VANILLA else kind
    drawn = rnnsim.RNN.sample(N, n_inputs=D, n_hidden=H, n_outputs=V, gain=gain, rng=rng, **options)
    rows = CELLS[cell].biases * H
    biases = {"b_h": 0.3 * rng.normal(size=(N, rows)), "b_y": 0.3 * rng.normal(size=(N, V))}
    return rnnsim.RNN(*drawn.weights._replace(**biases), **kind)


def pair_case(
    seed=0,
    *,
    N=1,
    T_s=4,
    T=5,
    B=3,
    D_s=2,
    D=3,
    H_e=3,
    H=4,
    V=3,
    activations=("tanh", "tanh"),
    classes=True,
    silent=0.3,
    own=False,
    dtype="float64",
):
    """Networks with biases and a bridge of their own; a share `silent` of loss weights is 0."""
    rng = np.random.default_rng([seed, T_s, T, B, D_s, D, H_e, H, V])
    encoder = network(rng, N, D_s, H_e, H, activations[0])
    decoder = network(rng, N, D, H, V, activations[1])
    lead = (N,) if own else ()
    shape = (*lead, T, B)
    weights = rng.uniform(0.5, 1.5, shape) * (rng.uniform(size=shape) >= silent)
    targets = rng.integers(0, V, shape) if classes else rng.normal(size=(*shape, V))
    target = rnnsim.Sequences(rng.normal(size=(*shape, D)), targets, weights)
    source = rng.normal(size=(*lead, T_s, B, D_s))
    made = PairCase(rnnsim.EncoderDecoder(encoder, decoder), rnnsim.Pairs(source, target))
    return made.astype(dtype)


def plain(made, n=0):
    """The arguments of reference_pairs.loss for pair n, in float64."""
    wide = made.astype("float64")
    model, pairs, own = wide.model, wide.pairs, wide.pairs.n_networks
    s = pairs.target
    target = tuple(a[n] if own else a for a in (s.inputs, s.targets, s.weights))
    source = pairs.source[n] if own else pairs.source
    nets = reference.net_of(model.encoder, n), reference.net_of(model.decoder, n)
    return *nets, source, target, tuple(map(cell_name, (model.encoder, model.decoder)))


def cell_name(rnn):
    """The name of its cell in the table."""
    return rnn.activation if rnn.cell == "vanilla" else rnn.cell


def stack_of(rng, N, D, H, V, cell, n_layers):
    """Layers with biases, of which the top has a readout of V."""
    layers = [network(rng, N, H if k else D, H, V, cell) for k in range(n_layers)]
    return of_drawn(layers)


def stacked_pair(n_layers=2, seed=0, *, cells=("tanh", "tanh"), H_e=3, H=3, **options):
    """A pair case whose parts are stacks of `n_layers` layers."""
    sizes = {"N": 1, "D_s": 2, "D": 3, "V": 3, "T_s": 3, "T": 3, "B": 2} | options
    made = pair_case(seed, H_e=H_e, H=H, activations=cells, **sizes)
    rng = np.random.default_rng([seed, n_layers])
    N, D_s, D, V = (sizes[name] for name in ("N", "D_s", "D", "V"))
    encoder = stack_of(rng, N, D_s, H_e, H, cells[0], n_layers)
    decoder = stack_of(rng, N, D, H, V, cells[1], n_layers)
    model = rnnsim.EncoderDecoder(encoder, decoder)
    return PairCase(model.astype(made.pairs.dtype), made.pairs)


def plain_stacks(made, n=0):
    """The arguments of reference_pairs.loss_of_stacks for pair n, in float64."""
    wide = made.astype("float64")
    parts = (wide.model.encoder, wide.model.decoder)
    nets = [[reference.net_of(layer, n) for layer in part.layers] for part in parts]
    s, own = wide.pairs.target, wide.pairs.n_networks
    target = tuple(a[n] if own else a for a in (s.inputs, s.targets, s.weights))
    return (
        *nets,
        wide.pairs.source[n] if own else wide.pairs.source,
        target,
        tuple(map(cell_name, parts)),
    )
