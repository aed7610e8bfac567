"""Draws: what networks and data depend on. All keys of random generators are composed here.

Comparisons share their draws: whatever is not named in a key (gain, activation, window, order of
jobs, threads) changes nothing.
"""

import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import tasks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.experiments.own.data import Given, Source, label_of
from rnnsim.experiments.own.networks import Own
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
    own: Own | None = None,
) -> Any:
    """A network for each pair of a seed and a gain; `sizes` are (n_inputs, n_outputs).

    An RNN of one layer, a Stack of several. Each draw depends on (network seed, scheme, sizes,
    cell); gain scales W_hh, forget bias and chrono change one bias, and the layers of a deeper
    stack begin with those of a shallower one. Networks of one's `own` stand in place of draws, each
    where its number is among the seeds.
    """
    factors = np.array(gains)[:, None, None]
    if own is not None:
        layers = [_scaled(layer.astype(dtype), factors) for layer in own.drawn(tuple(seeds))]
        return Stack(layers) if isinstance(own.network, Stack) else layers[0]
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
    columns = zip(*(base[seed].layers for seed in seeds), strict=True)
    layers = [_scaled(joined(column), factors).astype(dtype) for column in columns]
    return layers[0] if n_layers == 1 else Stack(layers)


def _scaled(rnn: RNN, factors: FloatArray) -> RNN:
    W_hh = (factors * rnn.W_hh).astype(rnn.dtype)
    return rnn.with_weights(rnn.weights._replace(W_hh=W_hh))


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
    own: Own | None = None  # in place of draws

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
    task: str | Source,
    length: int,
    *,
    batch_size: int,
    seed: int,
    dtype: str,
    options: Mapping[str, Any] | None = None,
    own: Own | None = None,
    last_loss_only: bool = False,
    inputs_only: bool = False,
) -> Sequences:
    """A batch whose draw depends on (data seed, task, length, batch size), `batch` says of what.

    Which sequences are drawn from a batch that was given depends on no length.
    """
    if isinstance(task, Given):
        rng = _generator(seed, task.identity, batch_size)
    else:
        rng = _generator(seed, task if isinstance(task, str) else task.identity, length, batch_size)
    network = None if own is None else own.reader(inputs_only=inputs_only)
    drawn = batch(
        task, length, batch_size, rng=rng, dtype=dtype, options=options, network=network,
        inputs_only=inputs_only,
    )  # fmt: skip
    _check_fit(own, task, drawn, inputs_only=inputs_only)
    drawn = drawn.last_loss_only() if last_loss_only else drawn
    without_outputs = own is not None and own.sizes[1] == 0 and not drawn.has_gradients
    return _with_functional(drawn, own.network, seed) if own and without_outputs else drawn


def measured_on(
    draw: Callable[..., Sequences],
    task: str | Source,
    most: int,
    rng: np.random.Generator,
    own: Own | None = None,
) -> Sequences:
    """What trainings are measured on: `most` sequences of `draw(n, rng=)`, or all that there are.

    Networks of one's own are held against it.
    """
    held = None if isinstance(task, str) else task.n_sequences
    test = draw(most if held is None else min(most, held), rng=rng)
    _check_fit(own, task, test)
    return test


def _check_fit(
    own: Own | None, task: str | Source, drawn: Sequences, *, inputs_only: bool = False
) -> None:
    """Hold networks of one's own against all of a batch that was given, or what was drawn."""
    if own is not None:
        whole = task.sequences if isinstance(task, Given) else drawn
        own.check_fit(whole, label_of(task), inputs_only=inputs_only)


def batch(
    task: str | Source,
    length: int,
    batch_size: int,
    *,
    rng: np.random.Generator,
    dtype: str,
    options: Mapping[str, Any] | None = None,
    network: Network | None = None,
    inputs_only: bool = False,
) -> Sequences:
    """A batch of a task by name, or of data of one's own that fit a network, from a generator."""
    if isinstance(task, str):
        return tasks.TASKS[task](length, batch_size, rng=rng, dtype=dtype, **(options or {}))
    return task.draw(length, batch_size, rng, dtype=dtype, network=network, inputs_only=inputs_only)


def to_diagnose(
    data: Source | None, own: Own, length: int, n_sequences: int, seed: int
) -> Sequences | npt.NDArray[Any]:
    """Sequences of data that fit a network; without data inputs (T, B, D) from N(0, 1)."""
    rng, dtype = np.random.default_rng(seed), own.network.dtype
    if data is None:
        return rng.standard_normal((length, n_sequences, own.sizes[0])).astype(dtype)
    return data.draw(length, n_sequences, rng, dtype=dtype, network=own.network)


def _with_functional(data: Sequences, network: Network, seed: int) -> Sequences:
    """The inputs with a random linear functional of h as loss, for networks without outputs.

    ::

        L = (1/B) sum_b sum_t w[t,b] <xi[t,b], h_t>        xi[t,b] (H,) from N(0, 1)
    """
    shape = data.n_steps, data.n_sequences, network.n_hidden
    xi = _generator(seed, "functional", *shape).standard_normal(shape)
    dL_dh = (xi * data.weights[..., None] / data.n_sequences).astype(data.dtype)
    loss = "random linear functional of h: dl_t/dh_t from N(0, 1) at the steps with loss"
    with warnings.catch_warnings():  # of the data it was warned before
        warnings.simplefilter("ignore", UserWarning)
        return Sequences.from_gradients(
            data.inputs, dL_dh=dL_dh, provenance={**data.provenance, "functional": loss}
        )


class Data(NamedTuple):
    """A batch that `paired_data` draws, as plain data."""

    task: str | Source
    length: int
    batch_size: int
    seed: int
    dtype: str
    own: Own | None = None
    inputs_only: bool = False

    def draw(self) -> Sequences:
        """The batch."""
        return paired_data(**self._asdict())

    def sizes(self, batch: Sequences) -> tuple[int, int]:
        """(n_inputs, n_outputs) of the networks that read it; `batch` is one that it draws."""
        return sizes_of(self.task, [batch], self.own)


def sizes_of(
    task: str | Source,
    batches: Sequence[Sequences],
    own: Own | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[int, int]:
    """(n_inputs, n_outputs) of networks that read all of some batches of a task."""
    if own is not None:
        return own.sizes
    if isinstance(task, str):
        return tasks.sizes(task, **(options or {}))
    inputs, outputs = zip(*(task.sizes(each) for each in batches), strict=True)
    if len(set(inputs)) > 1:
        raise ValueError(
            f"`task` {task.label} must have as many inputs in every batch, got "
            f"{' and '.join(map(str, sorted(set(inputs))))}; make them of one size"
        )
    return inputs[0], max(outputs)


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


def training_batches(seed: int, *which: int | str) -> np.random.Generator:
    """Where a training draws its batches; `which` tells trainings of one data seed apart."""
    return _generator(seed, *which)


def test_batch(seed: int) -> np.random.Generator:
    """Where the test data of trainings with `training_batches(seed)` are drawn."""
    return _generator(seed, 1)


def shuffled(seed: int, items: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The items in another order."""
    return _generator(seed).permutation(items)


def published_draw(seed: int, *which: int) -> np.random.Generator:
    """Where a published result draws networks and data; `which` tells its draws apart."""
    return _generator(seed, *which)


def answers() -> np.random.Generator:
    """Where a network that writes draws what it says."""
    return _generator(0)
