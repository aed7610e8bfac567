"""Singular values of products of Jacobians of many networks, arranged into a labelled dataset."""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks
from rnnsim.checks import FloatArray
from rnnsim.dynamics.jacobians import jacobian_products
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments import labels
from rnnsim.experiments.draws import paired_data, paired_networks
from rnnsim.experiments.sweeps.gradients import versions, with_progress
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import ACTIVATIONS
from rnnsim.parallel import thread_count

_NETWORK = ("scheme", "gain", "network_seed")
_PRODUCT = (*_NETWORK, "sequence", "lag")
_VARIABLES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "log_singular_value": ((*_PRODUCT, "unit"), "nats", "ln sigma_i(dh_t/dh_{t-k}), descending"),
    "rounding": ((*_PRODUCT, "unit"), "nats", "numerical error of log_singular_value"),
    "gradient_overlap": (_PRODUCT, "1", "|cosine| of dl_t/dh_{t-k} and the leading direction"),
    "lyapunov_exponent": ((*_NETWORK, "unit"), "nats/step", "Lyapunov exponents, descending"),
}


def jacobian_sweep(
    *,
    gain: npt.ArrayLike,
    scheme: str | Sequence[str] = ("gaussian", "orthogonal", "identity"),
    lags: Iterable[int] = (1, 2, 5, 10, 20, 50, 100),
    length: int = 200,
    n_hidden: int = 64,
    network_seeds: int | Sequence[int] = 3,
    batch_size: int = 2,
    data_seed: int = 0,
    exponent_steps: int = 1000,
    task: str = "characters",
    activation: str = "tanh",
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """How products of Jacobians stretch and shrink, for several initialisations and gains.

    ::

        P_{t,k} = dh_t/dh_{t-k} = J_t ... J_{t-k+1}      ln sigma_1 >= ... >= ln sigma_H
        (ln sigma_i) / k -> lambda_i                     k -> infinity

    t is the last step that carries loss. Dynamical isometry is ln sigma_i = 0 for all i. The
    networks are those of `sweep` with the same task, scheme, sizes and seeds; gain scales the same
    draw. `jacobian_products` says how the singular values are found and what rounding leaves of
    them. The Lyapunov exponents come from B longer sequences of the same task, other ones, without
    their first tenth (`lyapunov_spectrum`).

    Parameters
    ----------
    gain, scheme, network_seeds, activation, dtype, progress
        As in `sweep`, activation one of them.
    lags : iterable of int
        k, ascending, from 1 to the last step with loss.
    length : int
        T of the sequences of the task.
    n_hidden, batch_size : int
        H and B.
    data_seed : int
        Of all sequences.
    exponent_steps : int
        Length of the sequences that the Lyapunov exponents come from, at least 23.
    task : str
        Of `rnnsim.tasks`; it must have sequences of both lengths.
    n_threads : int, optional
        Of the Lyapunov exponents; all cores unless given.

    Returns
    -------
    xarray.Dataset
        ``log_singular_value`` and ``rounding`` (scheme, gain, network_seed, sequence, lag, unit)
        in nats, ``gradient_overlap`` (..., lag), and ``lyapunov_exponent`` (scheme, gain,
        network_seed, unit) in nats per step; the attribute ``configuration`` has the rest.

    Raises
    ------
    TypeError, ValueError
        As in `sweep`, `jacobian_products` and `lyapunov_spectrum`; before anything is computed.

    Examples
    --------
    >>> data = jacobian_sweep(scheme="orthogonal", gain=[0.9, 2], activation="linear", length=30,
    ...                       lags=[1, 20], n_hidden=6, network_seeds=1, exponent_steps=50)
    >>> data.log_singular_value.sel(lag=20).max(["sequence", "unit"]).values.round(3).ravel()
    array([-2.107, 13.863])
    """
    axes: dict[str, Any] = {
        "scheme": labels.names("scheme", scheme, SCHEMES),
        "gain": labels.real_numbers("gain", gain),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    H = checks.whole_number("n_hidden", n_hidden, least=1)
    options = {
        "activation": checks.one_of("activation", activation, ACTIVATIONS),
        "dtype": checks.one_of("dtype", dtype, ("float32", "float64")),
    }
    sizes = tasks.sizes(checks.one_of("task", task, tasks.TASKS))
    B = checks.whole_number("batch_size", batch_size, least=1)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    threads = thread_count(n_threads)
    steps = checks.whole_number("exponent_steps", exponent_steps, least=23)  # 20 blocks and a tenth
    draw: dict[str, Any] = {"batch_size": B, "seed": seed, "dtype": dtype}
    batch = paired_data(task, checks.whole_number("length", length, least=1), **draw)
    drive = paired_data(task, steps, **draw).inputs
    axes |= {
        "sequence": tuple(range(B)),
        "lag": _lags(lags, int(batch.loss_steps[-1])),
        "unit": tuple(range(H)),
    }
    values = {
        name: np.full([len(axes[dim]) for dim in dims], np.nan)
        for name, (dims, _, _) in _VARIABLES.items()
    }
    seeds = axes["network_seed"]
    jobs = list(itertools.product(*(range(len(axes[axis])) for axis in ("scheme", "gain"))))
    for i, j in with_progress(jobs, progress, description="Jacobian products"):
        rnn = paired_networks(
            seeds,
            [axes["gain"][j]] * len(seeds),
            sizes=sizes,
            n_hidden=H,
            scheme=axes["scheme"][i],
            **options,
        )
        found = jacobian_products(rnn, batch, lags=axes["lag"])
        values["log_singular_value"][i, j] = found.log_singular_values
        values["rounding"][i, j] = found.rounding
        values["gradient_overlap"][i, j] = found.gradient_overlap
        exponents = lyapunov_spectrum(rnn, drive, n_threads=threads).exponents
        values["lyapunov_exponent"][i, j] = exponents
    configuration = options | {
        "task": task, "n_hidden": H, "length": batch.n_steps, "batch_size": B,
        "data_seed": seed, "exponent_steps": steps, "step": int(batch.loss_steps[-1]),
    }  # fmt: skip
    return _dataset(axes, values, configuration, batch.provenance)


def _lags(lags: Any, last: int) -> tuple[int, ...]:
    """Refused here, before the first of many networks is drawn."""
    wanted = labels.whole_numbers("lags", list(lags) if np.iterable(lags) else lags)
    if list(wanted) != sorted(wanted) or wanted[-1] > last:
        raise ValueError(
            f"`lags` must ascend and end at {last} at most, the last step that carries loss, got "
            f"{list(wanted)}; sort them, drop the longer ones or give a larger `length`"
        )
    return wanted


def _dataset(
    axes: dict[str, Any],
    values: dict[str, FloatArray],
    configuration: dict[str, Any],
    provenance: Any,
) -> xr.Dataset:
    units = {"gain": "1", "lag": "steps"}
    coords = {
        axis: (axis, list(entries), {"units": units[axis]} if axis in units else {})
        for axis, entries in axes.items()
    }
    data = {
        name: (dims, values[name], {"units": unit, "long_name": long_name})
        for name, (dims, unit, long_name) in _VARIABLES.items()
    }
    attributes = {
        "configuration": json.dumps(configuration),
        "provenance": json.dumps(dict(provenance)),
        "versions": json.dumps(versions()),
    }
    return xr.Dataset(data, coords, attributes)
