"""Bias and variance of every truncation window, before networks learn and after."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import BIAS_VARIANCE
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.own.border import check_varied, takes_own
from rnnsim.experiments.own.data import Source, Task
from rnnsim.experiments.own.networks import OwnWeights, check_readout, origin
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.scaling.work import checkpoint
from rnnsim.experiments.study import Found, Study
from rnnsim.flow.windows.bias_variance import OF, window_bias_variance
from rnnsim.flow.windows.results import WindowBiasVariance
from rnnsim.progress import asked
from rnnsim.training.records import with_loss_units
from rnnsim.training.settings import check_settings
from rnnsim.training.train import train

MOMENTS = ("before", "after")
_FACTORS = (1, 4, 16, 64, 256)  # of the batch sizes that are compared, a sixteenth of B the least
_TEST_SIZE = 128


class Job(NamedTuple):
    """Networks, the windows and batch sizes they are measured for, and the settings."""

    networks: draws.Networks
    task: str | Source
    windows: tuple[int, ...]
    batches: tuple[int, ...]
    settings: dict[str, Any]


@takes_own(scored=True, batches=True)
def bias_variance_sweep(
    task: Task = "characters",
    *,
    length: int = 100,
    gain: float = 1.0,
    scheme: str = "gaussian",
    activation: str = "tanh",
    cell: str | Sequence[str] = "vanilla",
    forget_bias: npt.ArrayLike = 0.0,
    n_layers: int | Sequence[int] = 1,
    network_seeds: int | Sequence[int] = 5,
    data_seed: int = 0,
    n_hidden: int = 64,
    batch_size: int = 16,
    n_batches: int = 16,
    windows: Sequence[int] | None = None,
    of: str = "recurrent",
    n_updates: int = 200,
    optimizer: str = "adam",
    learning_rate: float = 0.003,
    clip_norm: float = 1.0,
    weights: OwnWeights = None,
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """`window_bias_variance` of networks as they are drawn, and after they were trained.

    They are trained by full backpropagation through time, so that no window has formed them, and
    measured on the same batches before and after, which are others than those they learned from.

    Parameters
    ----------
    task : str, Sequences or callable
        As in `training_sweep`; of `Sequences` a batch must not be all, as all batches would be one.
    length, n_hidden, batch_size : int
        T, H, B, of training and of the batches that are measured.
    gain, scheme, activation, network_seeds, dtype
        As in `sweep`, one of each but for the seeds.
    cell, forget_bias, n_layers
        As in `sweep`, one or several.
    data_seed : int
        Of all batches.
    n_batches, of
        As in `window_bias_variance`.
    windows : sequence of int, optional
        K, two per octave unless given; the whole sequence, T, belongs to them always, longer ones
        never.
    n_updates, optimizer, learning_rate, clip_norm
        As in `train`; a clip_norm of 0 does not clip.
    weights : RNN, Stack or path, optional
        Networks of your own, as in `training_sweep`.
    n_threads, progress
        As in `train`.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        For each moment, "before" and "after", and each network, relative to ||mean g||^2 of that
        moment: ``bias2``, ``variance`` and their estimates and errors against ``window``;
        ``lag_signal`` and ``lag_noise`` against ``lag``; and against ``batch``, sizes from B/16 to
        16 B: ``best_window``, ``shortest_window`` and ``longest_window`` that are not known to be
        worse, ``best_error`` and ``full_error``, the mean square error there and of the full
        gradient, ``horizon``. ``loss`` on test data; ``diverged`` as in `train`. With axes cell,
        forget_bias and n_layers in front where they are given.

    Raises
    ------
    TypeError, ValueError
        As `train`, `window_bias_variance` and the tasks; windows below 1 or none.

    Examples
    --------
    >>> data = bias_variance_sweep("adding", length=8, network_seeds=1, n_hidden=4, n_updates=2)
    >>> data.window.values, data.bias2.dims
    (array([1, 2, 3, 4, 6, 8]), ('moment', 'network_seed', 'window'))
    """
    settings = labels.recorded(locals())
    cells = cells_of(cell, forget_bias, activation, n_layers)
    checked = labels.of_draws(weights, scheme=scheme, activation=activation, dtype=dtype)
    source = labels.task_of(task)
    check_readout(weights)
    H, B = checks.size("n_hidden", n_hidden), checks.size("batch_size", batch_size)
    checks.whole_number("data_seed", data_seed, least=0)
    checks.size("n_batches", n_batches)
    checks.size("n_updates", n_updates, least=0)
    checks.one_of("of", of, OF)
    T, seeds = checks.size("length", length), labels.seeds("network_seeds", network_seeds)
    gains = (checks.real_number("gain", gain),) * len(seeds)
    drawn = draws.Networks(seeds, gains, (0, 0), H, **checked, own=weights)
    limit = labels.clip_norm(clip_norm)
    check_settings(len(seeds), optimizer=optimizer, learning_rate=learning_rate, clip_norm=limit)
    chosen = _windows(windows, T)
    sizes = tuple(B * factor // 16 for factor in _FACTORS if B * factor >= 16)
    own = {name: value for name, value in settings.items() if name != "n_threads"}
    batches = tuple(dict.fromkeys(sizes))
    job = Job(drawn, source, chosen, batches, own)
    check_varied(source, B)
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        test = _test_data(job)
    networks = drawn._replace(sizes=draws.sizes_of(source, [test], weights))
    jobs = [
        (kind.place, job._replace(networks=networks._replace(**kind.options)))
        for kind in cells.kinds
    ]
    study = Study(
        name="bias and variance",
        axes={
            **cells.axes,
            "moment": MOMENTS,
            "network_seed": seeds,
            "window": chosen,
            "lag": tuple(range(T)),
            "batch": batches,
        },
        variables=cells.on_axes(with_loss_units(BIAS_VARIANCE, test.targets)),
        jobs=jobs,
        measure=measure,
        configuration=settings | cells.settings,
        provenance={**test.provenance, **origin(weights)},
    )
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def _windows(windows: Sequence[int] | None, length: int) -> tuple[int, ...]:
    if windows is None:
        wanted = {round(2.0 ** (half / 2)) for half in range(2 * length.bit_length())}
    else:
        wanted = set(labels.whole_numbers("windows", windows))
    return tuple(sorted({window for window in wanted if window < length} | {length}))


def measure(job: Job, n_threads: int) -> Found:
    """Both moments, and the training between them."""
    settings = job.settings
    training = train(
        job.networks.draw(),
        partial(_drawn, job),
        n_updates=settings["n_updates"],
        optimizer=settings["optimizer"],
        learning_rate=settings["learning_rate"],
        clip_norm=labels.clip_norm(settings["clip_norm"]),
        rng=draws.training_batches(settings["data_seed"], 0),
        test=_test_data(job),
        n_threads=n_threads,
        checkpoint=checkpoint(),
        progress=asked(),
    )
    found = [
        window_bias_variance(
            networks,
            partial(_drawn, job),
            settings["n_batches"],
            windows=job.windows,
            of=settings["of"],
            rng=draws.training_batches(settings["data_seed"], "windows"),
            n_threads=n_threads,
            progress=asked(),
        )
        for networks in (job.networks.draw(), training.rnn)
    ]
    each = [_of_moment(moment, job.batches) for moment in found]
    arrays = {name: np.stack([values[name] for values in each]) for name in each[0]}
    loss = training.record.loss.values
    return arrays | {"loss": loss[:, [0, -1]].T, "diverged": training.diverged}


_AS_THEY_ARE = (
    "log_norm bias2 variance bias2_estimate variance_estimate bias2_error variance_log_error "
    "lag_signal lag_noise floor"
).split()


def _of_moment(found: WindowBiasVariance, batches: tuple[int, ...]) -> Found:
    """The variables of one moment, network axis first."""
    errors = np.stack([found.mean_square_error(B) for B in batches], axis=1)
    best = np.stack([found.best_window(B) for B in batches], axis=1)
    ends = np.stack([found.as_good_windows(B) for B in batches], axis=1)
    least = np.where(np.isnan(errors), np.inf, errors).min(axis=2)
    return {name: getattr(found, name) for name in _AS_THEY_ARE} | {
        "best_window": best,
        "shortest_window": ends[..., 0],
        "longest_window": ends[..., 1],
        "best_error": np.where(np.isnan(best), np.nan, least),
        "full_error": errors[..., -1],
        "horizon": np.stack([found.horizon(B) for B in batches], axis=1),
    }


def _drawn(job: Job, rng: np.random.Generator) -> Sequences:
    return _batches(job)(job.settings["batch_size"], rng=rng)


def _batches(job: Job) -> "partial[Sequences]":
    own, settings = job.networks.own, job.settings
    network = None if own is None else own.network
    return partial(
        draws.batch, job.task, settings["length"], dtype=settings["dtype"], network=network
    )


def _test_data(job: Job) -> Sequences:
    rng = draws.test_batch(job.settings["data_seed"])
    return draws.measured_on(_batches(job), job.task, _TEST_SIZE, rng, job.networks.own)
