"""Networks while they learn, over gains and seeds: what `train` records, as one dataset."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import Variable
from rnnsim.data.sequences import Sequences
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import TRAINING
from rnnsim.experiments.cells import Cells, cells_of
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Source, Task
from rnnsim.experiments.own.networks import OwnWeights, check_readout, origin
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.scaling.work import checkpoint
from rnnsim.experiments.study import Found, Study, grid
from rnnsim.progress import asked
from rnnsim.training.records import (
    gate_variables,
    of_layers,
    points,
    snapshot_axes,
    variables,
    with_loss_units,
)
from rnnsim.training.settings import check_settings
from rnnsim.training.train import train

_TEST_SIZE = 128


class Job(NamedTuple):
    """All networks, what they learn, and how: keywords of `train`."""

    networks: draws.Networks
    task: str | Source
    length: int
    batch_size: int
    data_seed: int
    options: dict[str, Any]
    axes: dict[str, tuple[Any, ...]]  # layers and gates, where there are any


@takes_own(scored=True, batches=True)
def training_sweep(
    task: Task = "temporal_order",
    *,
    length: int = 40,
    gain: npt.ArrayLike = (0.5, 1.0, 1.5),
    scheme: str = "gaussian",
    activation: str = "tanh",
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    network_seeds: int | Sequence[int] = 5,
    data_seed: int = 0,
    n_hidden: int = 32,
    batch_size: int = 16,
    window: int | None = None,
    stride: int | None = None,
    carry: str = "sequence",
    optimizer: str = "adam",
    learning_rate: float = 0.003,
    clip_norm: float = 1.0,
    penalty: float = 0.0,
    n_updates: int = 1600,
    record_every: int | None = 20,
    snapshot_every: int | None = 40,
    weights: OwnWeights = None,
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Train networks of several gains side by side, and record what becomes of them.

    All gains and seeds are one ensemble: networks of a seed are the same draw, scaled, and all learn
    from the same batches.

    Parameters
    ----------
    task : str, Sequences or callable
        One of `rnnsim.tasks`: copy_memory, echo, adding, temporal_order, characters, sentences,
        digits; or data of your own, as in `sweep`. Of `Sequences` every batch has others, drawn
        without replacement, 16 unless `batch_size` says otherwise, and what is measured are all of
        them, 128 at most.
    length, n_hidden, batch_size : int
        T, H, B.
    gain, scheme, activation, cell, forget_bias, n_layers, network_seeds, dtype
        As in `sweep`, scheme and activation one of each.
    data_seed : int
        Of batches and test data.
    window, stride, carry, optimizer, learning_rate, penalty, n_updates, record_every, snapshot_every
        As in `train`.
    clip_norm : float
        As in `train`; 0 does not clip.
    weights : RNN, Stack or path, optional
        Networks of your own that training starts from, as in `sweep`; they must have a readout.
    n_threads, progress
        As in `train`.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        The record of `train`, with axes gain (ascending) and network_seed in place of network; and
        ``constant_loss`` of the best answer that is always the same. Losses of classes are in nats
        per sequence, those of numbers, 0.5*||y - target||^2, have no unit. With axes cell,
        forget_bias and n_layers in front where they are given, an axis gate of LSTMs and GRUs, and
        one of layers where there are stacks: what `train` records of each, else NaN.

    Raises
    ------
    TypeError, ValueError
        As `train`; an unknown task, an axis that is empty or has a label twice.

    Examples
    --------
    >>> data = training_sweep("adding", length=8, gain=[1.2, 0.5], network_seeds=2, n_hidden=4,
    ...                       n_updates=4, record_every=2, snapshot_every=4)
    >>> data.loss.dims, data.loss.shape, data.gain.values.tolist()
    (('gain', 'network_seed', 'updates'), (2, 2, 3), [0.5, 1.2])
    """  # noqa: E501
    settings = labels.recorded(locals())
    cells = cells_of(cell, forget_bias, activation, n_layers)
    checked = labels.of_draws(weights, scheme=scheme, activation=activation, dtype=dtype)
    H = checks.size("n_hidden", n_hidden)
    checks.whole_number("data_seed", data_seed, least=0)
    source = labels.task_of(task)
    gains = labels.real_numbers("gain", gain)
    seeds = labels.seeds("network_seeds", network_seeds)
    total = checks.size("n_updates", n_updates)
    every = {key: settings[key] for key in ("record_every", "snapshot_every")}
    for key, number in every.items():
        if number is not None:
            checks.whole_number(key, number, least=1)
    axes: dict[str, Any] = {"gain": tuple(sorted(gains)), "network_seed": seeds}
    place, chosen = grid(axes, "gain", "network_seed")
    options = {key: settings[key] for key in _OPTIONS} | {"clip_norm": labels.clip_norm(clip_norm)}
    check_settings(
        len(gains) * len(seeds), window=window, stride=stride, carry=carry, optimizer=optimizer,
        learning_rate=learning_rate, clip_norm=options["clip_norm"], penalty=penalty,
    )  # fmt: skip
    check_readout(weights)
    T, B = checks.size("length", length), checks.size("batch_size", batch_size)
    parts = {"layer": cells.layers, "gate": cells.gates}
    drawn = draws.Networks(
        chosen["network_seed"], chosen["gain"], (0, 0), H, **checked, own=weights
    )
    job = Job(drawn, source, T, B, data_seed, options, parts)
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        test = _test_data(job)
        if not isinstance(source, str):  # of a task of ours it is known that there are such
            _batches(job)(B, rng=draws.training_batches(data_seed, 0))
    networks = drawn._replace(sizes=draws.sizes_of(source, [test], weights))
    axes |= {"updates": tuple(points(total, record_every or total)), "unit": H}
    axes |= snapshot_axes(points(total, snapshot_every), test.n_steps) | parts
    study = Study(
        name="training",
        axes=cells.axes | axes,
        variables=cells.on_axes(
            with_loss_units(_variables(cells, snapshot_every is not None), test.targets)
        ),
        jobs=[
            ({**kind.place, **place}, job._replace(networks=networks._replace(**kind.options)))
            for kind in cells.kinds
        ],
        measure=measure,
        configuration=settings | cells.settings,
        provenance={**test.provenance, **origin(weights)},
    )
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def _variables(cells: Cells, snapshots: bool) -> dict[str, Variable]:
    """What `train` records, with axes gain and network_seed in place of network."""
    usual, gated = variables(), gate_variables() if cells.gates else {}
    known = gated | usual if "vanilla" in cells.names else usual | gated
    found = {
        name: variable._replace(dims=("gain", "network_seed", *variable.dims[1:]))
        for name, variable in (of_layers(known) if cells.layers else known).items()
        if snapshots or "snapshot" not in variable.dims
    }
    return found | TRAINING


_OPTIONS = (
    "window stride carry optimizer learning_rate penalty n_updates record_every snapshot_every"
).split()


def measure(job: Job, n_threads: int) -> Found:
    """The record of a training, network axis first."""
    draw_batch, test = _batches(job), _test_data(job)
    training = train(
        job.networks.draw(),
        lambda rng: draw_batch(job.batch_size, rng=rng),
        rng=draws.training_batches(job.data_seed, 0),
        test=test,
        n_threads=n_threads,
        checkpoint=checkpoint(),
        progress=asked(),
        **job.options,
    )
    deep = of_layers(variables() | gate_variables()) if job.axes["layer"] else {}
    layered = {name for name, variable in deep.items() if "layer" in variable.dims}
    found: Found = {
        str(name): _on_axes(v, job.axes["gate"], name in layered).values
        for name, v in training.record.data_vars.items()
    }
    return found | {"constant_loss": np.array(constant_loss(test))}


def _on_axes(variable: xr.DataArray, gates: tuple[str, ...], layered: bool) -> xr.DataArray:
    """What was recorded of a network's own gates, on an axis of those of all cells.

    What has an axis of layers in a stack is of layer 1 where there is a single one.
    """
    if "gate" in variable.dims:
        variable = variable.reindex(gate=list(gates))
    if layered and "layer" not in variable.dims:
        variable = variable.expand_dims(layer=[1]).transpose(*variable.dims[:2], "layer", ...)
    return variable


def _batches(job: Job) -> "partial[Sequences]":
    own = job.networks.own
    network = None if own is None else own.network
    return partial(draws.batch, job.task, job.length, dtype=job.networks.dtype, network=network)


def _test_data(job: Job) -> Sequences:
    rng = draws.test_batch(job.data_seed)
    return draws.measured_on(_batches(job), job.task, _TEST_SIZE, rng, job.networks.own)


def constant_loss(data: Sequences) -> float:
    """Loss of the best answer that is always the same, per sequence: class frequencies or mean."""
    weights = np.asarray(data.weights, float)
    if data.targets.dtype.kind in "iu":
        counts = np.bincount(data.targets.ravel(), weights=weights.ravel())
        shares = counts[counts > 0] / counts.sum()
        return float(-(counts[counts > 0] * np.log(shares)).sum() / data.n_sequences)
    targets = np.asarray(data.targets, float)
    mean = (weights[..., None] * targets).sum((0, 1)) / weights.sum()
    return float(0.5 * (weights[..., None] * (targets - mean) ** 2).sum() / data.n_sequences)
