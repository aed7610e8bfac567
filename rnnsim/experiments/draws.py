"""Draws: what networks and data depend on. All keys of random generators are composed here.

Comparisons share their draws: whatever is not named in a key (gain, activation, window, order of
jobs, threads) changes nothing.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import tasks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.networks.cells import CELLS
from rnnsim.networks.encoder_decoder import EncoderDecoder
from rnnsim.networks.rnn import RNN, joined
from rnnsim.networks.stack import Network, Stack, joined_networks


def _generator(*key: int | str) -> np.random.Generator:
    """The generator of a key; names enter as their crc32.

    Zeros that fill a key up to four numbers below 2^32 change nothing.
    """
    return np.random.default_rng([zlib.crc32(k.encode()) if isinstance(k, str) else k for k in key])


def paired_networks(
    seeds: Sequence[int],
    gains: Sequence[float],
    *,
    sizes: tuple[int, int],
    n_hidden: int,
    scheme: str,
    activation: str,
    dtype: str,
    cell: str = "vanilla",
    forget_bias: float = 0.0,
    chrono: float | None = None,
    n_layers: int = 1,
) -> Any:
    """A network for each pair of a seed and a gain; `sizes` are (n_inputs, n_outputs).

    An RNN of one layer, a Stack of several. Each draw depends on (network seed, scheme, sizes,
    cell); gain scales W_hh, forget bias and chrono change one bias, and the layers of a deeper
    stack begin with those of a shallower one.
    """
    D, V = sizes
    gated = () if cell == "vanilla" else (cell,)
    base: dict[int, Stack] = {}
    for seed in seeds:
        if seed not in base:
            base[seed] = Stack.sample(
                n_layers=n_layers,
                n_inputs=D,
                n_hidden=n_hidden,
                n_outputs=V,
                cell=cell,
                scheme=scheme,
                forget_bias=forget_bias,
                chrono=chrono,
                activation=activation,
                rng=_generator(seed, scheme, D, n_hidden, V, *gated),
            )
    factors = np.array(gains)[:, None, None]
    columns = zip(*(base[seed].layers for seed in seeds), strict=True)
    layers = [_scaled(joined(column), factors).astype(dtype) for column in columns]
    return layers[0] if n_layers == 1 else Stack(layers)


def _scaled(rnn: RNN, factors: FloatArray) -> RNN:
    return rnn.with_weights(rnn.weights._replace(W_hh=factors * rnn.W_hh))


class Networks(NamedTuple):
    """An ensemble that `paired_networks` draws, as plain data."""

    seeds: tuple[int, ...]
    gains: tuple[float, ...]
    sizes: tuple[int, int]
    n_hidden: int
    scheme: str
    activation: str
    dtype: str
    cell: str = "vanilla"
    forget_bias: float = 0.0
    chrono: float | None = None
    n_layers: int = 1

    def draw(self) -> Any:
        """The networks, one after the other: an RNN, of several layers a Stack."""
        return paired_networks(**self._asdict())


def sparse_networks(
    seeds: Sequence[int],
    *,
    sizes: tuple[int, int],
    n_hidden: int,
    connections: int = 15,
    radius: float = 0.95,
    deviation: float = 0.01,
    dtype: str = "float64",
    cell: str = "vanilla",
    forget_bias: float = 0.0,
    n_layers: int = 1,
) -> Network:
    """A sparse tanh network for each seed, drawn as for the experiments of Pascanu et al. (2013).

    Every unit hears `connections` others (or all, where there are fewer) with Gaussian weights, and
    W_hh is rescaled to the spectral radius; W_xh and W_hy are Gaussian with standard deviation
    `deviation`; biases are 0. "smart_tanh" of their code, pascanur/trainingRNNs, up to the draw
    itself. They had neither gates nor several layers: here each gate has a block, and each layer of
    a `Stack` weights, that are drawn in this way, those of a deeper one beginning with those of a
    shallower.
    """
    D, V = sizes
    kind, gated = CELLS[cell], () if cell == "vanilla" else (cell,)
    b_h = [np.full(n_hidden, forget_bias * (name == kind.keeps)) for name in kind.biases]
    options: dict[str, Any] = {"b_h": np.concatenate(b_h), "cell": cell}
    layers = []
    for layer in range(n_layers):
        networks = []
        for seed in seeds:
            rng = _generator(seed, D, n_hidden, V, connections, *gated, *[layer] * (layer > 0))
            blocks = [_sparse_block(rng, n_hidden, connections, radius) for _ in kind.gates]
            rows = len(kind.gates) * n_hidden, n_hidden if layer else D
            weights = [deviation * rng.standard_normal(rows), np.concatenate(blocks)]
            if layer == n_layers - 1:
                weights.append(deviation * rng.standard_normal((V, n_hidden)))
            networks.append(RNN(*weights, **options).astype(dtype))
        layers.append(joined(networks))
    return layers[0] if n_layers == 1 else Stack(layers)


def _sparse_block(
    rng: np.random.Generator, n_hidden: int, connections: int, radius: float
) -> FloatArray:
    """W_hh of one gate."""
    matrix = rng.standard_normal((n_hidden, n_hidden))
    for row in matrix:
        row[rng.permutation(n_hidden)[connections:]] = 0.0
    scaled: FloatArray = radius * matrix / np.abs(np.linalg.eigvals(matrix)).max()
    return scaled


def encoder_decoders(
    seeds: Sequence[int], *, captioner: bool = False, **options: Any
) -> EncoderDecoder:
    """A pair of networks for each seed, by `EncoderDecoder.sample` or `captioner`."""
    sample = EncoderDecoder.captioner if captioner else EncoderDecoder.sample
    models = [sample(rng=_generator(seed), **options) for seed in seeds]
    encoders, decoders = zip(*((model.encoder, model.decoder) for model in models), strict=True)
    return EncoderDecoder(joined_networks(encoders), joined_networks(decoders))


def paired_data(
    task: str,
    length: int,
    *,
    batch_size: int,
    seed: int,
    dtype: str,
    options: Mapping[str, Any] | None = None,
) -> Sequences:
    """A batch whose draw depends on (data seed, task, length, batch size)."""
    rng = _generator(seed, task, length, batch_size)
    return tasks.TASKS[task](length, batch_size, rng=rng, dtype=dtype, **(options or {}))


class Data(NamedTuple):
    """A batch that `paired_data` draws, as plain data."""

    task: str
    length: int
    batch_size: int
    seed: int
    dtype: str

    def draw(self) -> Sequences:
        """The batch."""
        return paired_data(**self._asdict())


def initial_states(
    seed: int, n_sequences: int, n_hidden: int, dtype: npt.DTypeLike, n_layers: int = 1
) -> FloatArray:
    """h_0 (B, H), of several layers (L, B, H), from N(0, 1), the same for all networks of a size.

    Those of a deeper stack begin with those of a shallower one.
    """
    rng = _generator(n_sequences, n_hidden, seed)
    states = rng.standard_normal((n_layers, n_sequences, n_hidden)).astype(dtype)
    return states if n_layers > 1 else states[0]


def white_inputs(seed: int, shape: tuple[int, int, int]) -> FloatArray:
    """Inputs (T, B, D) from N(0, 1)."""
    return _generator(seed, *shape).standard_normal(shape)


def frozen_biases(seeds: Sequence[int], number: int, layer: int = 0) -> FloatArray:
    """Biases (N, number) from N(0, 1), those of a network by its seed, of each layer others."""
    key = (number, layer) if layer else (number,)
    return np.array([_generator(seed, *key).standard_normal(number) for seed in seeds])


def white_noise(shape: tuple[int, int], sizes: tuple[int, int], dtype: npt.DTypeLike) -> Sequences:
    """Inputs and targets from N(0, 1), loss at all steps; shape (T, B), sizes (D, V)."""
    rng = _generator(0)
    inputs, targets = (rng.standard_normal((*shape, size)).astype(dtype) for size in sizes)
    return Sequences(inputs, targets, provenance={"task": "white noise"})


def training_batches(seed: int, *which: int | str) -> np.random.Generator:
    """Where a training draws its batches; `which` tells trainings of one data seed apart."""
    return _generator(seed, *which)


def test_batch(seed: int) -> np.random.Generator:
    """Where the test data of trainings with `training_batches(seed)` are drawn."""
    return _generator(seed, 1)


def shuffled(seed: int, items: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The items in another order."""
    return _generator(seed).permutation(items)


def answers() -> np.random.Generator:
    """Where a network that writes draws what it says."""
    return _generator(0)
