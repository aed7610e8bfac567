"""Networks of the same eigenvalues, more or less normal: transients, gradients, pseudospectra."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.sweeps import NORMALITY, PSEUDOSPECTRA
from rnnsim.experiments.cells import one_matrix_alone
from rnnsim.experiments.own.border import takes_own
from rnnsim.experiments.own.data import Source, Task, label_of
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.engine import Executor, Store
from rnnsim.experiments.study import Found, Study
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import log_changes
from rnnsim.flow.reach import sufficient_window
from rnnsim.networks.rnn import ACTIVATIONS, RNN
from rnnsim.spectra.departure import with_departure
from rnnsim.spectra.nonnormality import nonnormality
from rnnsim.spectra.powers import transient_growth
from rnnsim.spectra.pseudospectra import pseudospectrum
from rnnsim.spectra.spectrum import matrix_spectrum


class Family(NamedTuple):
    """Networks brought to one spectral radius, with departures from normality scaled alike."""

    networks: draws.Networks
    radius: float
    scale: float

    def draw(self) -> RNN:
        """The networks: W_hh = with_departure(radius / spectral_radius(V) * V, scale)."""
        drawn = self.networks.draw()
        factors = (self.radius / matrix_spectrum(drawn).spectral_radius)[:, None, None]
        W_hh = (factors * drawn.W_hh).astype(drawn.dtype)
        return with_departure(drawn.with_weights(drawn.weights._replace(W_hh=W_hh)), self.scale)


class Job(NamedTuple):
    """Networks of one scale, what they read, and with which activations."""

    family: Family
    batch: draws.Data
    activations: tuple[str, ...]
    lags: tuple[int, ...]
    tolerance: float


class PlaneJob(NamedTuple):
    """One network, and the lines of real and imaginary parts of the points z."""

    family: Family
    line: tuple[float, ...]


@takes_own()
def normality_sweep(
    *,
    scale: npt.ArrayLike,
    radius: float = 0.9,
    scheme: str = "gaussian",
    length: int = 150,
    n_hidden: int = 64,
    network_seeds: int | Sequence[int] = 5,
    batch_size: int = 16,
    data_seed: int = 0,
    tolerance: float = 0.1,
    task: Task = "characters",
    activation: str | Sequence[str] = ("linear", "tanh"),
    cell: str = "vanilla",
    n_layers: int = 1,
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """What a departure from normality does to gradients, at the same eigenvalues.

    ::

        W_hh = with_departure(radius / spectral_radius(V) * V, scale)      V as drawn at gain 1

    Scale 0 is normal, 1 as drawn. All networks have one spectral radius, below 1: their powers
    vanish as ``radius^k`` in the end, whatever they do before. The draws V are those of `sweep`
    with the same task, scheme, sizes and seeds. A matrix that is normal as drawn (orthogonal,
    identity) stays what it is.

    Parameters
    ----------
    scale : float or several
        s of `with_departure`, at least 0.
    radius : float
        Spectral radius of all W_hh, above 0 and below 1.
    scheme, network_seeds, activation, dtype, progress
        As in `sweep`, scheme one of them.
    length : int
        T of the sequences of the task; lags run from 0 to the last step with loss, less one.
    n_hidden, batch_size : int
        H and B.
    data_seed : int
    tolerance : float
        As in `sufficient_window`.
    task : str, Sequences or callable
        One of `rnnsim.tasks`: copy_memory, echo, adding, temporal_order, characters, sentences,
        digits; or data of your own, as in `sweep`.
    cell : {"vanilla"}
        W_hh of LSTMs and GRUs stacks the blocks of gates: it has no eigenvalues to keep.
    n_layers : {1}
        Each layer of a stack has a W_hh of its own: take its layers one by one.
    n_threads : int, optional
        All cores unless given.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        ``log_power_norm`` (scale, network_seed, lag): `transient_growth`; its ``peak`` and
        ``peak_lag`` and, below the peak, ``log_kreiss`` (`nonnormality` at radius 1);
        ``henrici_relative``; for each activation ``log_gradient_norm`` (..., lag) for the loss of
        the last step alone, and ``sufficient_window`` for the losses of all steps. Nats and steps.

    Raises
    ------
    TypeError, ValueError
        As in `sweep` and `with_departure`; a radius outside (0, 1); a gated cell or a stack.

    Examples
    --------
    >>> data = normality_sweep(
    ...     scale=[0, 2], length=30, task="adding", n_hidden=16, network_seeds=1
    ... )
    >>> data.peak.values.round(1).ravel()       # normal networks only shrink
    array([0. , 1.5])
    """
    one_matrix_alone(cell, n_layers)
    labels.of_draws(dtype=dtype)
    kinds = labels.names("activation", activation, ACTIVATIONS)
    tolerance = checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    B = checks.size("batch_size", batch_size)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    steps = checks.size("length", length)
    data = draws.Data(labels.task_of(task), steps, B, seed, dtype)
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        batch = data.draw()
    axes, options, families = _families(
        scale, radius, scheme=scheme, n_hidden=n_hidden, network_seeds=network_seeds,
        sizes=data.sizes(batch), dtype=dtype,
    )  # fmt: skip
    axes |= {"activation": kinds, "lag": tuple(range(int(batch.loss_steps[-1])))}
    configuration = options | {"batch_size": B, "seed": seed, "task": label_of(data.task)}
    study = Study(
        name="normality",
        axes=axes,
        variables=NORMALITY,
        jobs=[
            ({"scale": i}, Job(family, data, kinds, axes["lag"], tolerance))
            for i, family in enumerate(families)
        ],
        measure=measure,
        configuration=configuration | {"length": batch.n_steps, "tolerance": tolerance},
        provenance=batch.provenance,
    )
    return run(study, n_threads=n_threads, progress=progress, executor=executor, store=store)


def measure(job: Job, n_threads: int) -> Found:
    """What W_hh alone says, network axis first, and gradients, activation axis first."""
    rnn, batch = job.family.draw(), job.batch.draw()
    gradients, windows = [], []
    for activation in job.activations:
        networks = RNN(*rnn.weights, activation=activation)
        flow = gradient_flow(networks, batch, n_threads=n_threads, per_sequence=True)
        gradients.append(log_changes(flow, job.lags)[:, -1])
        windows.append(sufficient_window(flow, job.tolerance))
    return _of_matrices(rnn, job.lags) | {
        "log_gradient_norm": np.stack(gradients),
        "sufficient_window": np.stack(windows),
    }


@takes_own()
def pseudospectrum_sweep(
    *,
    scale: npt.ArrayLike,
    radius: float = 0.9,
    scheme: str = "gaussian",
    n_hidden: int = 64,
    network_seed: int = 0,
    extent: float = 1.6,
    n_points: int = 81,
    task: Task = "characters",
    cell: str = "vanilla",
    n_layers: int = 1,
    dtype: str = "float64",
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Pseudospectra of one network of `normality_sweep` at several departures from normality.

    Parameters
    ----------
    scale, radius, scheme, n_hidden, task, cell, n_layers, dtype
        As in `normality_sweep`.
    network_seed : int
    extent : float
        Real and imaginary parts run from -extent to extent; above 0.
    n_points : int
        Points on each axis, at least 2.
    executor, store
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        ``log_sigma_min`` (scale, im, re) in nats, NaN where the iteration did not converge;
        ``eigenvalues`` (scale, unit); ``henrici_relative`` (scale).

    Raises
    ------
    TypeError, ValueError
        As in `normality_sweep` and `pseudospectrum`; an extent that is not above 0.

    Examples
    --------
    >>> data = pseudospectrum_sweep(scale=[0, 3], n_hidden=8, n_points=5)
    >>> data.log_sigma_min.sel(re=1.6, im=0.0).diff("scale").values < 0
    array([ True])
    """
    one_matrix_alone(cell, n_layers)
    seed = checks.whole_number("network_seed", network_seed, least=0)
    labels.of_draws(dtype=dtype)
    source = labels.task_of(task)
    axes, options, families = _families(
        scale, radius, scheme=scheme, n_hidden=n_hidden, network_seeds=[seed],
        sizes=_sizes_alone(source, dtype), dtype=dtype,
    )  # fmt: skip
    end = checks.real_number("extent", extent, above=0.0)
    points = checks.size("n_points", n_points, least=2)
    line = tuple(np.linspace(-end, end, points).tolist())
    axes |= {"re": line, "im": line, "unit": tuple(range(options["n_hidden"]))}
    jobs = [({"scale": i}, PlaneJob(family, line)) for i, family in enumerate(families)]
    configuration = options | {"network_seed": seed, "task": label_of(source)}
    study = Study("pseudospectra", axes, PSEUDOSPECTRA, jobs, measure_plane, configuration)
    return run(study, executor=executor, store=store)


def measure_plane(job: PlaneJob, n_threads: int) -> Found:
    """The pseudospectrum of one network; it takes one thread."""
    rnn = job.family.draw()
    found = pseudospectrum(rnn.W_hh, real=job.line, imag=job.line)
    return {
        "log_sigma_min": np.where(found.converged, found.log_sigma_min, np.nan)[0],
        "eigenvalues": found.eigenvalues[0],
        "henrici_relative": matrix_spectrum(rnn).henrici_relative[0],
    }


def _families(
    scale: npt.ArrayLike,
    radius: float,
    *,
    scheme: str,
    n_hidden: int,
    network_seeds: Any,
    sizes: tuple[int, int],
    dtype: str,
) -> tuple[dict[str, Any], dict[str, Any], list[Family]]:
    """Axes, configuration, and a family for each scale."""
    axes: dict[str, Any] = {
        "scale": labels.real_numbers("scale", scale),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    checks.nonnegative("scale", list(axes["scale"]))
    options: dict[str, Any] = labels.of_draws(scheme=scheme, dtype=dtype)
    options |= {"n_hidden": checks.size("n_hidden", n_hidden)}
    edge = checks.real_number("radius", radius, above=0.0, below=1.0)
    seeds = axes["network_seed"]
    gains = (1.0,) * len(seeds)
    networks = draws.Networks(seeds, gains, sizes, activation="tanh", **options)
    families = [Family(networks, edge, s) for s in axes["scale"]]
    return axes, options | {"radius": edge}, families


def _sizes_alone(source: str | Source, dtype: str) -> tuple[int, int]:
    """Sizes of networks that read a task, of which the shortest batch is drawn if any."""
    if isinstance(source, str):
        return draws.sizes_of(source, [])
    data = draws.Data(source, source.usual_length or 1, source.n_sequences or 1, 0, dtype)
    return data.sizes(data.draw())


def _of_matrices(rnn: RNN, lags: Sequence[int]) -> Found:
    """Variables that need W_hh alone, network axis first."""
    growth, found = transient_growth(rnn, lags), matrix_spectrum(rnn)
    with np.errstate(divide="ignore"):
        log_kreiss = np.log(nonnormality(rnn, radius=1.0).kreiss)
    return {
        "log_power_norm": growth,
        "peak": growth.max(axis=1),
        "peak_lag": np.asarray(lags, float)[growth.argmax(axis=1)],
        "log_kreiss": log_kreiss,
        "henrici_relative": found.henrici_relative,
        "spectral_radius": found.spectral_radius,
    }
