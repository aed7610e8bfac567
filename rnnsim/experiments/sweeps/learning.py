"""Which ways of training solve a task, at which length: seeds side by side, as one dataset."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks
from rnnsim.data.sequences import Sequences
from rnnsim.experiments import labels
from rnnsim.experiments.draws import paired_data, sparse_networks
from rnnsim.networks.rnn import RNN
from rnnsim.training.train import train

METHODS = ("SGD", "clipping", "clipping + penalty")

_RECORDED = ("loss", "log_gradient_norm", "clipped", "omega", "spectral_radius")


def learning_sweep(
    task: str = "temporal_order",
    *,
    length: npt.ArrayLike,
    network_seeds: int | list[int] = 10,
    n_updates: int,
    methods: tuple[str, ...] = METHODS,
    n_hidden: int = 50,
    batch_size: int = 20,
    learning_rate: float = 0.01,
    clip_norm: float = 1.0,
    penalty: float = 4.0,
    penalty_variant: str = "code",
    test_size: int = 10_000,
    tolerance: float = 0.01,
    record_every: int | None = None,
    data_seed: int = 0,
    dtype: str = "float32",
    n_threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Train the same networks with plain SGD, with clipping, and with clipping and a penalty.

    As in the experiments of Pascanu, Mikolov and Bengio 2013 on temporal order, whose settings are
    the defaults: 50 tanh units, batches of 20, rate 0.01, clipping at norm 1, penalty 4 in the
    variant of their code; a seed has solved the task when less than `tolerance` of `test_size` test
    answers are wrong. Networks are drawn sparse with spectral radius 0.95
    (`rnnsim.experiments.draws.sparse_networks`); theirs are sampled the same way, and trained
    longer (up to 5 million updates; they stop when solved).

    Parameters
    ----------
    task : str
        A task of `rnnsim.tasks` with class targets.
    length : int or list of int
        Sequence lengths T.
    network_seeds : int or list of int
        Seeds of the initial networks. All methods start from the same networks and see the same
        batches.
    n_updates, n_hidden, batch_size, learning_rate, clip_norm, penalty, penalty_variant
        As in `train`.
    methods : tuple of str
        Among "SGD", "clipping", "clipping + penalty".
    test_size, tolerance
        Sequences tested on, and the fraction of wrong answers below which a task is solved.
    record_every : int, optional
        Updates between tests; a twentieth of all unless given.
    data_seed : int
    dtype : {"float32", "float64"}
    n_threads, progress
        As in `train`.

    Returns
    -------
    xarray.Dataset
        Of dims length, training, network_seed, updates: error, loss, log_gradient_norm, clipped,
        omega, spectral_radius. Without updates: solved_at, the first tested number of updates with
        an error below the tolerance (NaN if none), and diverged.

    Raises
    ------
    TypeError, ValueError
        As `train`; an unknown task or method.

    Examples
    --------
    >>> data = learning_sweep(length=10, network_seeds=2, n_updates=4, test_size=50)
    >>> dict(data.sizes)
    {'length': 1, 'training': 3, 'network_seed': 2, 'updates': 5}
    """
    checks.one_of("task", task, tasks.TASKS)
    lengths, seeds = labels.whole_numbers("length", length), labels.seeds("seeds", network_seeds)
    chosen = labels.names("methods", methods, METHODS)
    total = checks.whole_number("n_updates", n_updates, least=1)
    rnn = sparse_networks(seeds, sizes=tasks.sizes(task), n_hidden=n_hidden, dtype=dtype)
    networks = RNN(*(np.concatenate([array] * len(chosen)) for array in rnn.weights))
    clips = [np.inf if name == "SGD" else clip_norm for name in chosen]
    penalties = [penalty if name == "clipping + penalty" else 0.0 for name in chosen]
    parts = []
    for T in lengths:
        training = train(
            networks,
            partial(_draw, tasks.TASKS[task], T, batch_size, dtype),
            n_updates=total,
            learning_rate=learning_rate,
            clip_norm=np.repeat(clips, len(seeds)),
            penalty=np.repeat(penalties, len(seeds)),
            penalty_variant=penalty_variant,
            rng=np.random.default_rng([data_seed, T]),
            test=paired_data(task, T, batch_size=test_size, seed=data_seed, dtype=dtype),
            record_every=record_every or max(total // 20, 1),
            n_threads=n_threads,
            progress=progress,
        )
        parts.append(_labelled(training.record, chosen, seeds, tolerance))
    dataset = xr.concat(parts, dim=xr.Variable("length", list(lengths)))
    dataset["error"].attrs.update(long_name="fraction of wrong answers on the test data", units="1")
    configuration = {
        "task": task, "n_hidden": n_hidden, "batch_size": batch_size, "n_updates": total,
        "learning_rate": learning_rate, "clip_norm": clip_norm, "penalty": penalty,
        "penalty_variant": penalty_variant, "test_size": test_size, "tolerance": tolerance,
        "data_seed": data_seed, "dtype": dtype, "initialisation": "sparse, radius 0.95",
    }  # fmt: skip
    return dataset.assign_attrs(configuration=json.dumps(configuration))


def _draw(
    task: Callable[..., Sequences], T: int, B: int, dtype: str, rng: np.random.Generator
) -> Sequences:
    return task(T, B, rng=rng, dtype=dtype)


def _labelled(
    record: xr.Dataset, methods: tuple[str, ...], seeds: tuple[int, ...], tolerance: float
) -> xr.Dataset:
    """Networks as methods and seeds, and when each solved the task."""
    dims = ("training", "network_seed", "updates")
    shape = (len(methods), len(seeds), record.sizes["updates"])
    variables: dict[str, Any] = {
        name: (dims, record[name].values.reshape(shape), record[name].attrs) for name in _RECORDED
    }
    error = 1.0 - record["accuracy"].values.reshape(shape)
    solved = error < tolerance
    at = record["updates"].values[solved.argmax(axis=2)]
    variables["error"] = (dims, error)
    variables["solved_at"] = (dims[:2], np.where(solved.any(axis=2), at, np.nan))
    variables["diverged"] = (dims[:2], record["diverged"].values.reshape(shape[:2]))
    coordinates = {"training": list(methods), "network_seed": list(seeds)}
    return xr.Dataset(variables, coordinates | {"updates": record["updates"].values})
