"""The one table of what is compiled: tiny calls that meet every kernel which public functions use.

Numba compiles what is called with the types of a call: those of a cell, of one layer or of several,
and of a dtype. Sizes, losses and options change no types.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnsim.data.pairs import Pairs
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.eigenvalues import jacobian_spectrum
from rnnsim.dynamics.gates import gate_statistics
from rnnsim.dynamics.jacobians import jacobian_products, jacobians
from rnnsim.dynamics.lyapunov import lyapunov_spectrum, product_exponents
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.maps import gradient_map
from rnnsim.flow.pairs import pairs_flow
from rnnsim.flow.windows.bias_variance import window_bias_variance
from rnnsim.gradients.bptt import bptt
from rnnsim.gradients.decoding import greedy_decode
from rnnsim.gradients.pairs import pairs_bptt, pairs_evaluate
from rnnsim.gradients.simulation import evaluate, forward
from rnnsim.gradients.truncated import truncated_bptt
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Stack
from rnnsim.theory.meanfield import mean_field
from rnnsim.training.train import train

CELLS = ("vanilla", "lstm", "gru")
DTYPES = ("float64", "float32")
_LAYERS = (1, 2)  # of one layer, and of several


class Tiny(NamedTuple):
    """Networks of one cell, of one layer or of two, in a dtype, and what they read."""

    cell: str
    n_layers: int
    dtype: str

    def network(self, n_hidden: int = 2) -> RNN | Stack:
        """One network."""
        sizes: dict[str, Any] = {"n_inputs": 2, "n_hidden": n_hidden, "n_outputs": 2}
        sizes |= {"cell": self.cell, "dtype": self.dtype, "rng": 0}
        return RNN.sample(**sizes) if self.n_layers == 1 else Stack.sample(n_layers=2, **sizes)

    def data(self, n_steps: int = 3, n_sequences: int = 2) -> Sequences:
        """Sequences with a class at every step."""
        inputs = np.ones((n_steps, n_sequences, 2), self.dtype)
        return Sequences(inputs, np.zeros((n_steps, n_sequences), int))

    def model(self) -> EncoderDecoder:
        """An encoder and a decoder."""
        return EncoderDecoder.sample(
            n_source_inputs=2, n_inputs=2, n_hidden=2, n_outputs=2, n_layers=self.n_layers,
            cell=self.cell, dtype=self.dtype, rng=0,
        )  # fmt: skip

    def pairs(self) -> Pairs:
        """What these read."""
        return Pairs(np.ones((3, 2, 2), self.dtype), self.data())


def _run(tiny: Tiny) -> None:
    forward(tiny.network(), tiny.data().inputs)
    evaluate(tiny.network(), tiny.data())


def _differentiate(tiny: Tiny) -> None:
    bptt(tiny.network(), tiny.data())
    bptt(tiny.network(), tiny.data(), keep=("inputs", "states", "steps"))


def _truncate(tiny: Tiny) -> None:
    truncated_bptt(tiny.network(), tiny.data(), window=2)
    truncated_bptt(tiny.network(), tiny.data(), window=2, keep=("inputs", "states", "steps"))


def _as_a_team(tiny: Tiny) -> None:
    """Work enough for several threads on one network."""
    large, data = tiny.network(n_hidden=64), tiny.data(n_steps=400, n_sequences=16)
    bptt(large, data, n_threads=2)
    gradient_flow(large, data, n_threads=2)


def _take_exponents(tiny: Tiny) -> None:
    rnn = tiny.network()
    lyapunov_spectrum(rnn, n_steps=25, burn_in=1, block_steps=1, rng=0)
    if tiny == Tiny("vanilla", 1, "float64"):
        product_exponents(np.broadcast_to(np.eye(2), (25, 2, 2)), burn_in=1, block_steps=1)
        mean_field(1.5)


def _take_jacobians(tiny: Tiny) -> None:
    rnn, data = tiny.network(), tiny.data()
    jacobians(rnn, data.inputs)
    jacobian_spectrum(rnn, data.inputs)
    jacobian_products(rnn, data, lags=[1, 2])
    jacobian_products(rnn, Sequences(data.inputs, data.inputs), lags=[1])  # other losses


def _watch_gates(tiny: Tiny) -> None:
    if tiny.cell != "vanilla":
        gate_statistics(tiny.network(), tiny.data())


def _train(tiny: Tiny) -> None:
    data = tiny.data()
    train(tiny.network(), data, n_updates=1, test=data, max_lag=2, rng=0)
    train(tiny.network(), data, n_updates=1, window=2, carry="stream", rng=0)


def _pair(tiny: Tiny) -> None:
    model, pairs = tiny.model(), tiny.pairs()
    pairs_bptt(model, pairs)
    pairs_evaluate(model, pairs)
    greedy_decode(model, pairs.source, start=0, end=1, n_steps=2)


def _train_pairs(tiny: Tiny) -> None:
    train(tiny.model(), tiny.pairs(), n_updates=1, test=tiny.pairs(), rng=0)


CALLS: dict[str, Callable[[Tiny], object]] = {
    "training": _train,
    "training of pairs": _train_pairs,
    "flow": lambda tiny: gradient_flow(tiny.network(), tiny.data()),
    "gradient": _differentiate,
    "truncated gradient": _truncate,
    "pairs": _pair,
    "flow of pairs": lambda tiny: pairs_flow(tiny.model(), tiny.pairs()),
    "exponents": _take_exponents,
    "jacobians": _take_jacobians,
    "one large network": _as_a_team,
    "windows": lambda tiny: window_bias_variance(tiny.network(), tiny.data(), n_batches=2),
    "map": lambda tiny: gradient_map(tiny.network(), tiny.data()),
    "gates": _watch_gates,
    "run": _run,
}


class Piece(NamedTuple):
    """One call of the table, for a process to make."""

    name: str
    tiny: Tiny


def pieces(cells: tuple[str, ...], dtypes: tuple[str, ...]) -> list[Piece]:
    """All calls for these cells and dtypes, long ones first; neighbours have little in common."""
    of = [Tiny(cell, layers, dtype) for layers in _LAYERS for dtype in dtypes for cell in cells]
    return [Piece(name, tiny) for name in CALLS for tiny in of]
