"""Batched experiments: arrange many ensembles into one labelled dataset."""

import itertools
import json
import math
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks
from rnnsim.experiments import labels
from rnnsim.experiments.sweeps.measures import (
    MEASURES,
    OF_NETWORK,
    VARIABLES,
    Job,
    dims_of,
    draw_data,
    lags_needed,
    measure,
)
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import ACTIVATIONS
from rnnsim.parallel import thread_count

TRUNCATIONS = ("sliding", "segments")
_JOB_BYTES = 200e6  # results of one ensemble call; larger ensembles are cut
_UNITS = {"gain": "1", "length": "steps", "window": "steps", "lag": "steps", "time": "step"}


def sweep(
    task: str | Sequence[str],
    *,
    gain: npt.ArrayLike,
    length: int | Sequence[int],
    n_hidden: int | Sequence[int] = 64,
    network_seeds: int | Sequence[int] = 5,
    data_seeds: int | Sequence[int] = 1,
    batch_size: int = 16,
    scheme: str | Sequence[str] = "gaussian",
    activation: str | Sequence[str] = "tanh",
    measures: str | Sequence[str] = ("gradients", "lags", "truncation", "slopes", "spectrum"),
    truncation: str | Sequence[str] = "sliding",
    windows: Sequence[int] | None = None,
    lags: Sequence[int] | None = None,
    tolerance: float = 0.1,
    last_loss_only: bool = False,
    task_options: Mapping[str, Any] | None = None,
    dtype: str = "float64",
    max_memory: float = 8e9,
    n_threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Measure gradients over gain x network seed x data seed x length x window (and more).

    Comparisons are paired: the network draw depends on (network seed, scheme, sizes), the data
    draw on (data seed, task, length, batch size); gain scales the same draw; activation, windows,
    the order of values and the number of threads change nothing. Networks that share a length and
    a batch run as one ensemble, and all sliding windows come from one pass.

    Parameters
    ----------
    task : str or several
        Of `rnnsim.tasks`: "copy_memory", "adding", "temporal_order", "characters", "digits".
    gain, length, n_hidden : number or several
        Scale of W_hh, T, H.
    network_seeds, data_seeds : int or sequence of int
        A number n stands for seeds 0..n-1.
    batch_size : int
        B.
    scheme, activation : str or several
        As in `RNN.sample`.
    measures : str or several
        "gradients": loss, full norms, per unit of loss weight, cancellation, overflow flag.
        "steps": norms of the temporal contributions and of dL/dh_t against t.
        "truncation": norm, error and cosine of every window, and the window that suffices.
        "lags": norms against lag with their spread, fitted growth rate, change over all lags.
        "map": norms by step and lag. "slopes": mean phi', saturated fraction.
        "spectrum": eigenvalues, singular values, radius, norm, departure from normality of W_hh.
        "nonnormality": numerical radius and abscissa, Kreiss constant, condition and participation
        of eigenvectors of W_hh (`rnnsim.nonnormality`); a tenth to half a second for each
        draw of 64 units, at any number of gains.
    truncation : {"sliding", "segments"} or both
        Stride 1, or stride = window.
    windows : sequence of int, optional
        Truncation windows; every one up to the longest length unless given, and with segments,
        each of which costs a pass of its own, two per octave.
    lags : sequence of int, optional
        Lags to keep; every one unless given.
    tolerance : float
        Relative error at which a window suffices.
    last_loss_only : bool
        Keep only the loss of the last step that carries loss.
    task_options : mapping, optional
        Further keywords of the task, such as ``{"order": "pixels"}``.
    dtype : {"float64", "float32"}
    max_memory : float
        Bytes that dataset and working arrays may take together; more is refused at the start.
    n_threads : int, optional
        All cores unless given.
    progress : bool
        Show a progress bar (only on a terminal).

    Returns
    -------
    xarray.Dataset
        Axes task, scheme, activation, n_hidden, gain, network_seed, data_seed, length, and where
        they apply truncation, window, lag, time, unit; NaN where a shorter length does not reach.
        Units and long names are attributes of the variables; configuration, provenance of the
        data and versions are attributes of the dataset.

    Raises
    ------
    TypeError, ValueError
        Unknown names, empty or repeated axes, sizes below 1, a length that a task cannot have.
    MemoryError
        The estimate exceeds `max_memory`; nothing has been computed.

    Examples
    --------
    >>> data = sweep("adding", gain=[0.5, 1.0], length=20, n_hidden=8, network_seeds=2)
    >>> data.log_gradient_norm.sizes["gain"], data.window.size
    (2, 20)
    """
    measures = labels.names("measures", measures, MEASURES)
    truncation = labels.names("truncation", truncation, TRUNCATIONS)
    checks.one_of("dtype", dtype, ("float32", "float64"))
    lengths = labels.whole_numbers("length", length)
    axes: dict[str, tuple[Any, ...]] = {
        "task": labels.names("task", task, tasks.TASKS),
        "scheme": labels.names("scheme", scheme, SCHEMES),
        "activation": labels.names("activation", activation, ACTIVATIONS),
        "n_hidden": labels.whole_numbers("n_hidden", n_hidden),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
        "data_seed": labels.seeds("data_seeds", data_seeds),
        "length": lengths,
        "truncation": truncation,
        "window": _windows(windows, max(lengths), truncation),
        "lag": tuple(range(max(lengths)))
        if lags is None
        else labels.whole_numbers("lags", lags, least=0),
        "time": tuple(range(1, max(lengths) + 1)),
    }
    axes["unit"] = tuple(range(max(axes["n_hidden"])))
    template = Job(
        task="",
        task_options=tuple(sorted((task_options or {}).items())),
        scheme="",
        activation="",
        n_hidden=0,
        gains=(),
        network_seeds=(),
        data_seed=0,
        length=0,
        batch_size=checks.whole_number("batch_size", batch_size, least=1),
        dtype=dtype,
        last_loss_only=bool(last_loss_only),
        measures=measures,
        truncation=truncation,
        windows=axes["window"],
        lags=axes["lag"],
        tolerance=checks.real_number("tolerance", tolerance, above=0.0, below=1.0),
    )
    provenance, loss_steps = _try_data(axes, template)
    threads = thread_count(n_threads)
    _check_memory(axes, template, loss_steps, threads, max_memory)
    values = _empty_arrays(axes, measures)
    jobs = list(_jobs(axes, template, loss_steps))
    for place, job in with_progress(jobs, progress):
        for name, array in measure(job, threads).items():
            _put(values[name], VARIABLES[name].measure in OF_NETWORK, place, array)
    return _dataset(axes, values, template, provenance)


Place = tuple[dict[str, int], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _jobs(
    axes: Mapping[str, tuple[Any, ...]], template: Job, loss_steps: Mapping[tuple[str, int], int]
) -> Iterator[tuple[Place, Job]]:
    """All ensembles of the sweep, each with its place: fixed axes, gain indices, seed indices."""
    outer = ("task", "scheme", "activation", "n_hidden", "data_seed", "length")
    networks = list(itertools.product(*(range(len(axes[a])) for a in ("gain", "network_seed"))))
    for indices in itertools.product(*(range(len(axes[axis])) for axis in outer)):
        fixed = dict(zip(outer, indices, strict=True))
        values = {axis: axes[axis][i] for axis, i in fixed.items()}
        # What W_hh alone says depends on neither data nor activation: the first job measures it.
        first = all(fixed[axis] == 0 for axis in ("activation", "data_seed", "length"))
        kept = tuple(m for m in template.measures if m not in OF_NETWORK or first)
        if not kept:
            continue
        per_network = _flow_bytes(
            template, loss_steps[values["task"], values["length"]], values["length"]
        )
        size = max(1, int(_JOB_BYTES / per_network))
        for start in range(0, len(networks), size):
            chunk = np.array(networks[start : start + size])
            yield (
                (fixed, chunk[:, 0], chunk[:, 1]),
                replace(
                    template,
                    **values,
                    measures=kept,
                    gains=tuple(axes["gain"][g] for g in chunk[:, 0]),
                    network_seeds=tuple(axes["network_seed"][s] for s in chunk[:, 1]),
                ),
            )


def _put(target: npt.NDArray[Any], of_network: bool, place: Place, array: npt.NDArray[Any]) -> None:
    """Write one ensemble's results, network axis first, into their place of the whole array."""
    fixed, gains, seeds = place
    lead: tuple[int, ...] = (fixed["task"], fixed["scheme"])
    if not of_network:
        lead = (*lead, fixed["activation"])
    tail = () if of_network else (fixed["data_seed"], fixed["length"])
    inner = tuple(slice(size) for size in array.shape[1:])
    for row, g, s in zip(array, gains, seeds, strict=True):
        target[(*lead, fixed["n_hidden"], g, s, *tail, *inner)] = row


def with_progress(jobs: list[Any], progress: bool, *, description: str = "sweep") -> Iterable[Any]:
    """The jobs, with a bar on a terminal where it is asked for."""
    if not progress:
        return jobs
    from tqdm.auto import tqdm

    return tqdm(jobs, desc=description, unit="ensemble", disable=None)


def _try_data(
    axes: Mapping[str, tuple[Any, ...]], template: Job
) -> tuple[dict[str, str], dict[tuple[str, int], int]]:
    """Draw every kind of batch once: what a task cannot do is refused before anything starts."""
    provenance: dict[str, str] = {}
    loss_steps = {}
    for name, length in itertools.product(axes["task"], axes["length"]):
        job = replace(template, task=name, length=length, data_seed=axes["data_seed"][0])
        sequences = draw_data(job)
        provenance |= {f"{name}.{key}": value for key, value in sequences.provenance.items()}
        loss_steps[name, length] = int(sequences.loss_steps.size)
    return provenance, loss_steps


def _flow_bytes(template: Job, loss_steps: int, length: int) -> float:
    """Results of one network's gradient flow: four arrays (S, K), and six (K,)."""
    return 8.0 * lags_needed(replace(template, length=length)) * (4 * loss_steps + 6) + 1


def _check_memory(
    axes: Mapping[str, tuple[Any, ...]],
    template: Job,
    loss_steps: Mapping[tuple[str, int], int],
    threads: int,
    max_memory: float,
) -> None:
    limit = checks.real_number("max_memory", max_memory, above=0.0)
    dataset = 0.0
    for name, variable in VARIABLES.items():
        if variable.measure in template.measures:
            count = math.prod(len(axes[dim]) for dim in dims_of(name))
            dataset += count * (16 if name == "eigenvalues" else 8)
    networks = len(axes["gain"]) * len(axes["network_seed"])
    ensemble = max(
        min(networks, max(1, _JOB_BYTES / _flow_bytes(template, s, length)))
        * _flow_bytes(template, s, length)
        for (_, length), s in loss_steps.items()
    )
    D, V = np.max([tasks.sizes(t, **dict(template.task_options)) for t in axes["task"]], axis=0)
    H, T, B = max(axes["n_hidden"]), max(axes["length"]), template.batch_size
    itemsize = np.dtype(template.dtype).itemsize
    per_thread = itemsize * T * B * (8.0 * H + 2 * (H + D) + V)
    networks_bytes = 8.0 * networks * H * (2 * H + D + V)
    total = dataset + ensemble + networks_bytes + threads * per_thread
    if total > limit:
        raise MemoryError(
            f"the sweep needs about {total / 1e9:.3g} GB (dataset {dataset / 1e9:.3g}, an ensemble "
            f"{(ensemble + networks_bytes) / 1e9:.3g}, workspaces of {threads} threads "
            f"{threads * per_thread / 1e9:.3g}), more than `max_memory` = {limit / 1e9:.3g} GB; "
            "ask for fewer lags, windows or measures, or shorter lengths, or raise `max_memory`"
        )


def _empty_arrays(
    axes: Mapping[str, tuple[Any, ...]], measures: tuple[str, ...]
) -> dict[str, npt.NDArray[Any]]:
    return {
        name: np.full(
            [len(axes[dim]) for dim in dims_of(name)],
            np.nan,
            dtype=complex if name == "eigenvalues" else float,
        )
        for name, variable in VARIABLES.items()
        if variable.measure in measures
    }


def _dataset(
    axes: Mapping[str, tuple[Any, ...]],
    values: Mapping[str, npt.NDArray[Any]],
    template: Job,
    provenance: Mapping[str, str],
) -> xr.Dataset:
    used = {dim for name in values for dim in dims_of(name)}
    coords = {
        axis: (axis, list(labels), {"units": _UNITS[axis]} if axis in _UNITS else {})
        for axis, labels in axes.items()
        if axis in used
    }
    data = {}
    for name, array in values.items():
        variable = VARIABLES[name]
        attributes = {"units": variable.units, "long_name": variable.long_name}
        data[name] = (dims_of(name), array, attributes)
    configuration = asdict(template) | {axis: labels for axis, labels in axes.items()}
    for name in ("gains", "network_seeds", "windows", "lags", "time", "unit"):
        configuration.pop(name, None)
    return xr.Dataset(
        data,
        coords,
        {
            "configuration": json.dumps(configuration),
            "provenance": json.dumps(dict(provenance)),
            "versions": json.dumps(versions()),
        },
    )


def versions() -> dict[str, str]:
    """What computed a result: Python and the packages that its numbers come from."""
    packages = ("rnnsim-toolkit", "numba", "numpy", "scipy", "xarray")
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in packages}


def _windows(
    windows: Sequence[int] | None, longest: int, truncation: tuple[str, ...]
) -> tuple[int, ...]:
    if windows is not None:
        return tuple(sorted(labels.whole_numbers("windows", windows)))
    if truncation == ("sliding",):
        return tuple(range(1, longest + 1))
    octaves = np.round(2.0 ** np.arange(0.0, np.log2(longest) + 0.01, 0.5)).astype(int)
    return tuple(sorted({*octaves[octaves < longest].tolist(), longest}))
