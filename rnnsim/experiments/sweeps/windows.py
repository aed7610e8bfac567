"""How well networks learn that were trained through truncation windows of many lengths."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks
from rnnsim.data.sequences import Sequences
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import WINDOWS
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.scaling.work import checkpoint
from rnnsim.experiments.study import Found, Place, Study
from rnnsim.progress import asked
from rnnsim.training.schedules import truncation_schedule
from rnnsim.training.settings import check_settings
from rnnsim.training.train import train

TRUNCATIONS = ("segments", "overlapping")
BUDGETS = ("sequences", "updates")
_TEST_SIZE = 64
_POINTS = 10


class Problem(NamedTuple):
    """A task whose answers depend on what was shown exactly `dependency` steps before."""

    draw: Callable[[Any, int], Sequences]
    sizes: tuple[int, int]
    dependency: int


class Job(NamedTuple):
    """Networks trained through one window, with so many records, `every` updates apart."""

    networks: draws.Networks
    window: int
    stride: int
    points: int
    every: int
    settings: dict[str, Any]  # those of `window_sweep`, but for threads


def window_sweep(
    *,
    task: str = "echo",
    length: int = 48,
    delay: int = 8,
    n_symbols: int = 4,
    n_memory: int = 2,
    windows: Sequence[int] | None = None,
    stride: int = 4,
    gain: float = 0.9,
    scheme: str = "gaussian",
    activation: str = "tanh",
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    network_seeds: int | Sequence[int] = 5,
    data_seed: int = 0,
    n_hidden: int = 32,
    batch_size: int = 16,
    n_batches: int = 600,
    optimizer: str = "adam",
    learning_rate: float = 0.003,
    clip_norm: float = 1.0,
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Train the same networks on the same batches through truncation windows of many lengths.

    The task has a dependency of known length: an answer depends on what was shown exactly so many
    steps before, and a window K reaches it where K is longer. Each window is trained twice over:
    in "segments", stride K, and "overlapping", stride at most S. What a window costs is told apart
    from what it loses by two budgets: equally many sequences, and equally many updates.

    Parameters
    ----------
    task : {"echo", "copy_memory"}
        `tasks.echo` of n_symbols, each to be repeated `delay` steps later; or `tasks.copy_memory`,
        whose last n_memory steps ask for what the first have shown.
    length : int
        T.
    delay, n_symbols, n_memory : int
        Of the tasks.
    windows : sequence of int, optional
        K; some below, at and above the dependency unless given.
    stride : int
        S of the overlapping windows.
    gain, scheme, activation, cell, forget_bias, n_layers, network_seeds, n_hidden, dtype
        The networks, drawn as in `sweep`; one of each but for cells, forget biases, layers and
        seeds.
    data_seed : int
        Of batches and test data.
    batch_size, n_batches : int
        B; the batches, and updates, that are compared: rounded down to tens.
    optimizer, learning_rate, clip_norm
        As in `train`; a clip_norm of 0 does not clip.
    n_threads, progress
        As in `train`.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        ``loss`` (truncation, window, network_seed, budget, share) in nats per answer and
        ``accuracy``, on test data after a share of each budget; ``updates_per_batch`` and
        ``reaching`` (truncation, window), the share of answers whose gradient goes back to what
        they depend on; ``diverged`` (truncation, window, network_seed), as in `train`;
        ``dependency`` in steps, ``n_batches``. With axes cell, forget_bias and n_layers in front
        where they are given.

    Raises
    ------
    TypeError, ValueError
        As `train` and the tasks; windows below 1 or none.

    Examples
    --------
    >>> data = window_sweep(length=8, delay=3, windows=[2, 4], network_seeds=1, n_batches=1)
    >>> data.reaching.values                # an echo after 3 steps, windows of 2 and 4
    array([[0. , 0.4],
           [0. , 0.4]])
    """
    settings = labels.recorded(locals())
    cells = cells_of(cell, forget_bias, activation, n_layers)
    checked = labels.of_draws(scheme=scheme, activation=activation, dtype=dtype)
    H = checks.size("n_hidden", n_hidden)
    checks.whole_number("data_seed", data_seed, least=0)
    known = problem(settings)
    chosen = windows_around(known.dependency, length, windows)
    checks.whole_number("stride", stride, least=1)
    number = checks.size("n_batches", n_batches)
    points = min(_POINTS, number)
    seeds = labels.seeds("network_seeds", network_seeds)
    gains = (checks.real_number("gain", gain),) * len(seeds)
    networks = draws.Networks(seeds, gains, known.sizes, H, **checked)
    checks.size("batch_size", batch_size)
    check_settings(
        len(seeds),
        optimizer=optimizer,
        learning_rate=learning_rate,
        clip_norm=labels.clip_norm(clip_norm),
    )
    own = {name: value for name, value in settings.items() if name != "n_threads"}
    jobs: list[tuple[Place, Job]] = []
    for kind, (i, name), (j, K) in itertools.product(
        cells.kinds, enumerate(TRUNCATIONS), enumerate(chosen)
    ):
        S = K if name == "segments" else min(stride, K)
        job = Job(networks._replace(**kind.options), K, S, points, number // points, own)
        jobs.append(({**kind.place, "truncation": i, "window": j}, job))
    with checks.renamed(n_steps="`length`"):
        test = _test_data(known, data_seed)
    study = Study(
        name="window",
        axes={
            **cells.axes,
            "truncation": TRUNCATIONS,
            "window": chosen,
            "budget": BUDGETS,
            "network_seed": seeds,
            "share": tuple(np.arange(points + 1) / points),
        },
        variables=cells.on_axes(WINDOWS),
        jobs=jobs,
        measure=measure,
        configuration=settings | cells.settings,
        provenance=test.provenance,
    )
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def problem(settings: dict[str, Any]) -> Problem:
    """The task of the settings, with loss where an answer is due and nowhere else."""
    T, V = settings["length"], settings["n_symbols"]
    M = checks.size("n_memory", settings["n_memory"])
    options: dict[str, Any] = {"n_symbols": V, "dtype": settings["dtype"]}
    if checks.one_of("task", settings["task"], ("echo", "copy_memory")) == "echo":
        delay = checks.size("delay", settings["delay"])
        checks.size("length", T, least=delay + 1)
        checks.size("n_symbols", V, least=2)
        options |= {"delay": delay}
        return Problem(lambda rng, B: tasks.echo(T, B, rng=rng, **options), (V, V), delay)
    options |= {"n_memory": M, "loss": "recall"}
    sizes = tasks.sizes("copy_memory", n_symbols=V)
    dependency = checks.size("length", T) - M
    return Problem(lambda rng, B: tasks.copy_memory(T, B, rng=rng, **options), sizes, dependency)


def windows_around(
    dependency: int, length: int, windows: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Those given, or some below, at and above the dependency, and the whole sequence."""
    if windows is not None:
        return tuple(sorted(labels.whole_numbers("windows", windows)))
    T, d = length, dependency
    factors = (0.25, 0.5, 0.75, 1.5, 2.0, 3.0)
    wanted = {*(round(f * d) for f in factors), d, d + 1, d + 2}
    return tuple(sorted({window for window in wanted if 1 <= window < T} | {T}))


def measure(job: Job, n_threads: int) -> Found:
    """Both budgets of one window: so many batches, and so many updates."""
    settings, known = job.settings, problem(job.settings)
    T, test = settings["length"], _test_data(known, settings["data_seed"])
    schedule = truncation_schedule(T, job.window, job.stride, loss_steps=test.loss_steps)
    per_batch = sum(segment.scored for segment in schedule)
    training = train(
        job.networks.draw(),
        lambda rng: known.draw(rng, settings["batch_size"]),
        n_updates=job.points * job.every * per_batch,
        window=job.window,
        stride=job.stride,
        optimizer=settings["optimizer"],
        learning_rate=settings["learning_rate"],
        clip_norm=labels.clip_norm(settings["clip_norm"]),
        rng=draws.training_batches(settings["data_seed"], 0),
        test=test,
        record_every=job.every,
        n_threads=n_threads,
        checkpoint=checkpoint(),
        progress=asked(),
    )
    updates = job.every * np.arange(job.points + 1)
    records = [training.record.sel(updates=updates * n) for n in (per_batch, 1)]
    answers = float(test.weights.sum()) / test.n_sequences
    reaching = reaching_share(T, job.window, job.stride, known.dependency, test.loss_steps)
    return {
        "loss": np.stack([record.loss.values for record in records], axis=1) / answers,
        "accuracy": np.stack([record.accuracy.values for record in records], axis=1),
        "updates_per_batch": np.array(per_batch),
        "reaching": np.array(reaching),
        "dependency": np.array(known.dependency),
        "n_batches": np.array(job.points * job.every),
        "diverged": training.diverged,
    }


def _test_data(known: Problem, seed: int) -> Sequences:
    return known.draw(draws.test_batch(seed), _TEST_SIZE)


def reaching_share(
    n_steps: int, window: int, stride: int, dependency: int, loss_steps: npt.NDArray[np.int64]
) -> float:
    """Share of the losses whose gradient goes back `dependency` steps, by the schedule itself.

    Examples
    --------
    >>> reaching_share(8, 4, 4, 2, np.arange(1, 9))  # steps 3, 4, 7, 8
    0.5
    """
    reached = 0
    for segment in truncation_schedule(n_steps, window, stride, loss_steps=loss_steps):
        own = loss_steps[(loss_steps > segment.first) & (loss_steps <= segment.end)]
        reached += int((own - dependency > segment.begin).sum())
    return reached / loss_steps.size
