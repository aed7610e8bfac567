"""What one step does, at rest and along a trajectory: spectra of Jacobians of many networks."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.dynamics.eigenvalues import JacobianSpectrum, jacobian_spectrum
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.networks import STEPS_OF_NETWORKS
from rnnsim.experiments.cells import Kind, cells_of
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Task, label_of
from rnnsim.experiments.own.networks import OwnWeights, named, origin
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Found, Place, Study
from rnnsim.gradients.simulation import forward
from rnnsim.networks.cells import CELLS
from rnnsim.networks.stack import Network, has_layers
from rnnsim.spectra.spectrum import spectrum


class Job(NamedTuple):
    """Networks of one scheme and gain, what they read, and the places of their blocks of W_hh."""

    networks: draws.Networks
    batch: draws.Data
    blocks: tuple[int, ...]
    n_blocks: int


@takes_own(inputs_only=True)
def step_sweep(
    task: Task = "characters",
    *,
    gain: npt.ArrayLike | None = None,
    scheme: str | Sequence[str] = ("gaussian", "orthogonal", "identity"),
    length: int = 100,
    n_hidden: int = 64,
    network_seeds: int | Sequence[int] = 3,
    batch_size: int = 4,
    data_seed: int = 0,
    activation: str = "tanh",
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    weights: OwnWeights = None,
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Eigenvalues and singular values of one step, ``J = ds_t/ds_{t-1}``, of cells of any kind.

    ::

        at rest          s = 0, x = 0     of LSTMs f + i o lambda(W_g), and 0; of GRUs
                                          z + (1 - z) r lambda(W_n), where other biases are 0
                                          (with "pytorch" they are not, and nothing rests there)
        on a trajectory  t = T            of sequences of the task

    s is h, of an LSTM (h, c), of a stack the states of all layers; what W_hh alone says of gated
    networks are the singular values of its blocks (`spectrum`). At rest eigenvalues say whether
    s = 0 is stable; along a trajectory only products of many J do (`lyapunov_sweep`).

    Parameters
    ----------
    task, weights
        As in `sweep`.
    gain, scheme, network_seeds, activation, cell, forget_bias, n_layers, dtype, progress
        As in `sweep`, activation one of them.
    length, n_hidden, batch_size : int
        T, H, B.
    data_seed : int
    n_threads : int, optional
        For each job; all cores unless given.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        On (scheme, gain, network_seed): ``rest_eigenvalue`` (value), ``eigenvalue`` and
        ``singular_value`` (sequence, value), ``block_singular_value`` (block, unit) of each gate of
        each layer. With axes cell, forget_bias and n_layers in front where they are given; NaN
        where a cell has fewer numbers in its state, or no such block.

    Raises
    ------
    TypeError, ValueError
        As in `sweep`.

    Examples
    --------
    >>> data = step_sweep("adding", gain=1.0, scheme="orthogonal", length=5, n_hidden=4,
    ...                   network_seeds=1, cell="lstm", forget_bias=[0, 3])
    >>> abs(data.rest_eigenvalue).max("value").values.ravel() <= [0.75, 1.2026]
    array([ True,  True])
    >>> data.block.values.tolist()
    ['i', 'f', 'g', 'o']
    """
    cells = cells_of(cell, forget_bias, activation, n_layers)
    axes: dict[str, Any] = {
        "scheme": labels.schemes(scheme, weights),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    H, B = checks.size("n_hidden", n_hidden), checks.size("batch_size", batch_size)
    options = labels.of_draws(activation=activation, dtype=dtype)
    source = labels.task_of(task)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    data = draws.Data(source, checks.size("length", length), B, seed, dtype, weights, True)
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        batch = data.draw()
    sizes = data.sizes(batch)
    blocks = tuple(dict.fromkeys(itertools.chain.from_iterable(map(_blocks, cells.kinds))))
    axes |= {"sequence": tuple(range(B)), "block": blocks, "unit": H}
    axes["value"] = tuple(range(max(kind.state_size(H) for kind in cells.kinds)))
    seeds = axes["network_seed"]
    jobs: list[tuple[Place, Job]] = []
    for kind, (i, drawn), (j, g) in itertools.product(
        cells.kinds, enumerate(axes["scheme"]), enumerate(axes["gain"])
    ):
        networks = draws.Networks(
            seeds, (g,) * len(seeds), sizes, H, drawn, **options, **kind.options, own=weights
        )
        own = tuple(blocks.index(name) for name in _blocks(kind))
        place = {**kind.place, "scheme": i, "gain": j}
        jobs.append((place, Job(networks, data, own, len(blocks))))
    study = Study(
        "steps", cells.axes | axes, cells.on_axes(STEPS_OF_NETWORKS), jobs, measure,
        options | {"task": label_of(source), "n_hidden": H, "length": batch.n_steps,
                   "batch_size": B, "data_seed": seed} | cells.settings | named(weights),
        {**batch.provenance, **origin(weights)},
    )  # fmt: skip
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def _blocks(kind: Kind) -> list[str]:
    """The blocks of W_hh: gates, and where there are several layers the layer in front."""
    gates = CELLS[kind.options["cell"]].gates if kind.options["cell"] != "vanilla" else ("W_hh",)
    layers = [f"{layer}: " for layer in range(1, kind.n_layers + 1)] if kind.n_layers > 1 else [""]
    return [layer + gate for layer, gate in itertools.product(layers, gates)]


def measure(job: Job, n_threads: int) -> Found:
    """Spectra of one step, network axis first."""
    rnn, inputs = job.networks.draw(), job.batch.draw().inputs
    at_rest = jacobian_spectrum(rnn, np.zeros((1, 1, inputs.shape[-1]), rnn.dtype))
    last = _last_step(rnn, inputs, n_threads)
    own = [np.reshape(spectrum(layer).singular_values, (len(rnn), -1, rnn.n_hidden))
           for layer in rnn.layers]  # fmt: skip
    blocks = np.full((len(rnn), job.n_blocks, rnn.n_hidden), np.nan)
    blocks[:, job.blocks] = np.concatenate(own, axis=1)
    return {
        "rest_eigenvalue": at_rest.eigenvalues[:, 0, 0],
        "eigenvalue": last.eigenvalues[:, 0],
        "singular_value": last.singular_values[:, 0],
        "block_singular_value": blocks,
    }


def _last_step(rnn: Network, inputs: npt.NDArray[Any], n_threads: int) -> JacobianSpectrum:
    """Of the step T alone, from the states before it."""
    if len(inputs) == 1:
        return jacobian_spectrum(rnn, inputs)
    first = forward(rnn, inputs[:-1], n_threads=n_threads)
    return spectrum_from(rnn, inputs[-1:], first.final_h, first.final_c)


def spectrum_from(
    rnn: Network, inputs: FloatArray, h: FloatArray, c: FloatArray | None
) -> JacobianSpectrum:
    """`jacobian_spectrum` from states (B, H), (L, B, H), or with the networks in front.

    NaN where one of them has left the range.
    """
    lost = np.zeros((len(rnn), inputs.shape[1]), bool)
    for state in (h, c) if c is not None else (h,):
        bad = np.any(~np.isfinite(state), axis=-1)
        front = len(rnn) if bad.ndim > (2 if has_layers(rnn) else 1) else 1
        lost |= bad.reshape(front, -1, inputs.shape[1]).any(axis=1)
    known = [None if state is None else np.where(np.isfinite(state), state, 0) for state in (h, c)]
    found = jacobian_spectrum(rnn, inputs, h0=known[0], c0=known[1])
    for values in (found.eigenvalues, found.singular_values):
        np.moveaxis(values, 2, 1)[lost] = np.nan
    return found
