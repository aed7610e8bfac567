"""Which ways of training solve a task, at which length: seeds side by side, as one dataset."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import Variable
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import LEARNING
from rnnsim.experiments.cells import USUAL, Cells, Kind, cells_of
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Source, Task, label_of
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.scaling.work import checkpoint
from rnnsim.experiments.study import Found, Place, Study
from rnnsim.progress import asked
from rnnsim.training.records import VARIABLES, points, with_loss_units
from rnnsim.training.settings import check_settings
from rnnsim.training.train import train

METHODS = ("SGD", "clipping", "clipping + penalty")

_RECORDED = ("loss", "log_gradient_norm", "clipped", "omega", "spectral_radius")


class Job(NamedTuple):
    """The same networks, trained with each method on sequences of one length."""

    task: str | Source
    sizes: tuple[int, int]
    length: int
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    options: dict[str, Any]  # the configuration, one cell, forget bias and depth
    record_every: int
    by_layer: bool  # whether there are stacks


@takes_own(scored=True, batches=True)
def learning_sweep(
    task: Task = "temporal_order",
    *,
    length: npt.ArrayLike | None = None,
    network_seeds: int | list[int] = 10,
    n_updates: int,
    methods: tuple[str, ...] = METHODS,
    n_hidden: int = 50,
    batch_size: int = 20,
    optimizer: str = "sgd",
    learning_rate: float = 0.01,
    clip_norm: float = 1.0,
    penalty: float = 4.0,
    penalty_variant: str = "code",
    test_size: int = 10_000,
    tolerance: float = 0.01,
    record_every: int | None = None,
    data_seed: int = 0,
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    dtype: str = "float32",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
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
    task : str, Sequences or callable
        One of `rnnsim.tasks` with class targets: copy_memory, echo, temporal_order, characters,
        sentences, digits. Or classes of your own, as in `training_sweep`.
    length : int or list of int
        Sequence lengths T, which must be given for all but `Sequences`.
    network_seeds : int or list of int
        Seeds of the initial networks. All methods start from the same networks and see the same
        batches.
    n_updates, n_hidden, batch_size, learning_rate, clip_norm, penalty, penalty_variant
        As in `train`.
    optimizer : str
        As in `train`, of all methods; theirs is "sgd", and "SGD" the one that does not clip.
    methods : tuple of str
        Among "SGD", "clipping", "clipping + penalty".
    test_size, tolerance
        Sequences tested on (of data of your own no more than there are), and the fraction of wrong
        answers below which a task is solved.
    record_every : int, optional
        Updates between tests; a twentieth of all unless given.
    data_seed : int
    cell, forget_bias, n_layers
        As in `sweep`; each gate has a block of W_hh, and each layer weights, drawn like those of a
        network without. The penalty is defined by one W_hh: networks with gates or several layers
        are not trained with it, and have NaN there.
    dtype : {"float32", "float64"}
    n_threads, progress
        As in `train`.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        Of dims length, training, network_seed, updates: error, loss, log_gradient_norm, clipped,
        omega, spectral_radius. Without updates: solved_at, the first tested number of updates with
        an error below the tolerance (NaN if none), and diverged. With axes cell, forget_bias and
        n_layers in front where they are given; spectral_radius is then by layer too, where there
        are stacks.

    Raises
    ------
    TypeError, ValueError
        As `train`; an unknown task or method; the penalty alone, where no network can have it.

    Examples
    --------
    >>> data = learning_sweep(length=10, network_seeds=2, n_updates=4, test_size=50)
    >>> dict(data.sizes)
    {'length': 1, 'training': 3, 'network_seed': 2, 'updates': 5}
    """
    source = labels.task_of(task)
    cells = cells_of(cell, forget_bias, n_layers=n_layers)
    lengths = labels.sizes("length", length)
    seeds = labels.seeds("network_seeds", network_seeds)
    chosen = labels.names("methods", methods, METHODS)
    total = checks.size("n_updates", n_updates)
    checks.size("n_hidden", n_hidden)
    checks.whole_number("data_seed", data_seed, least=0)
    B, tests = checks.size("batch_size", batch_size), checks.size("test_size", test_size)
    checks.real_number("tolerance", tolerance)
    labels.of_draws(dtype=dtype)
    check_settings(
        len(seeds),
        optimizer=optimizer,
        learning_rate=learning_rate,
        clip_norm=checks.limit("clip_norm", clip_norm),
        penalty=checks.real_number("penalty", penalty),
        penalty_variant=penalty_variant,
    )
    every = (
        max(total // 20, 1) if record_every is None else checks.size("record_every", record_every)
    )
    options = {
        "task": label_of(source), "n_hidden": n_hidden, "batch_size": B, "n_updates": total,
        "optimizer": optimizer, "learning_rate": learning_rate, "clip_norm": clip_norm,
        "penalty": penalty, "penalty_variant": penalty_variant, "test_size": tests,
        "tolerance": tolerance, "data_seed": data_seed, "dtype": dtype,
        "initialisation": "sparse, radius 0.95",
    }  # fmt: skip
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):  # refused here, if at all
        few = 1 if isinstance(source, str) else tests
        batches = [_test_data(source, T, few, options).draw() for T in lengths]
        _test_data(source, lengths[0], B, options).draw()
    sizes = draws.sizes_of(source, batches)
    jobs: list[tuple[Place, Job]] = []
    for kind, (i, T) in itertools.product(cells.kinds, enumerate(lengths)):
        at, own = _of_kind(kind, chosen)
        job = Job(source, sizes, T, seeds, own, options | kind.options, every, bool(cells.layers))
        jobs.append(({**kind.place, "length": i, "training": at}, job))
    axes = {"length": lengths, "training": chosen, "network_seed": seeds, "layer": cells.layers}
    study = Study(
        name="learning",
        axes=cells.axes | axes | {"updates": tuple(points(total, every))},
        variables=cells.on_axes(with_loss_units(_variables(cells), batches[0].targets)),
        jobs=jobs,
        measure=measure,
        configuration=options | cells.settings,
        provenance=batches[0].provenance,
    )
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def _variables(cells: Cells) -> dict[str, Variable]:
    dims = ("length", "training", "network_seed", "updates")
    recorded = {name: VARIABLES[name]._replace(dims=dims) for name in _RECORDED}
    if cells.layers:
        recorded["spectral_radius"] = recorded["spectral_radius"]._replace(dims=(*dims, "layer"))
    return recorded | LEARNING


def _of_kind(kind: Kind, methods: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Methods that such networks can be trained with, their places first; Omega needs one W_hh."""
    at = tuple(i for i, name in enumerate(methods) if kind.has_matrix or name != METHODS[-1])
    if not at:
        raise ValueError(
            f"`methods` must hold 'SGD' or 'clipping' where networks have gates or several layers, "
            f"got {checks.shown(list(methods))}: the penalty is defined by one W_hh"
        )
    return at, tuple(methods[i] for i in at)


def measure(job: Job, n_threads: int) -> Found:
    """What was recorded while networks learned, (method, network seed, updates)."""
    options, n_methods = job.options, len(job.methods)
    dtype, H = options["dtype"], options["n_hidden"]
    kind = {name: options[name] for name in USUAL if name in options}
    clips = [np.inf if name == "SGD" else options["clip_norm"] for name in job.methods]
    penalised = [name == "clipping + penalty" for name in job.methods]
    draw = partial(draws.batch, job.task, job.length, options["batch_size"], dtype=dtype)
    training = train(
        draws.sparse_networks(
            job.seeds * n_methods, sizes=job.sizes, n_hidden=H, dtype=dtype, **kind
        ),
        lambda rng: draw(rng=rng),
        n_updates=options["n_updates"],
        optimizer=options["optimizer"],
        learning_rate=options["learning_rate"],
        clip_norm=np.repeat(clips, len(job.seeds)),
        penalty=np.repeat(np.where(penalised, options["penalty"], 0.0), len(job.seeds)),
        penalty_variant=options["penalty_variant"],
        rng=draws.training_batches(options["data_seed"], job.length),
        test=_test_data(job.task, job.length, options["test_size"], options).draw(),
        record_every=job.record_every,
        n_threads=n_threads,
        checkpoint=checkpoint(),
        progress=asked(),
    )
    return _by_method(training.record, job)


def _test_data(task: str | Source, T: int, size: int, options: dict[str, Any]) -> draws.Data:
    held = None if isinstance(task, str) else task.n_sequences
    size = size if held is None or size <= options["batch_size"] else min(size, held)
    return draws.Data(task, T, size, options["data_seed"], options["dtype"])


def _by_method(record: xr.Dataset, job: Job) -> Found:
    """Networks as methods and seeds, and when each solved the task."""
    shape = len(job.methods), len(job.seeds), record.sizes["updates"]
    found: Found = {
        name: record[name].values.reshape(*shape, *record[name].shape[2:]) for name in _RECORDED
    }
    if job.by_layer and found["spectral_radius"].ndim == 3:
        found["spectral_radius"] = found["spectral_radius"][..., None]
    error = 1.0 - record["accuracy"].values.reshape(shape)
    solved = error < job.options["tolerance"]
    at = record["updates"].values[solved.argmax(axis=2)]
    return found | {
        "error": error,
        "solved_at": np.where(solved.any(axis=2), at, np.nan),
        "diverged": record["diverged"].values.reshape(shape[:2]),
    }
