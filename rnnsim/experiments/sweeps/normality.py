"""Networks of the same eigenvalues, more or less normal: transients, gradients, pseudospectra."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks
from rnnsim.checks import FloatArray
from rnnsim.experiments import labels
from rnnsim.experiments.draws import paired_data, paired_networks
from rnnsim.experiments.sweeps.gradients import versions, with_progress
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.reach import sufficient_window
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import ACTIVATIONS, RNN
from rnnsim.parallel import thread_count
from rnnsim.spectra.departure import with_departure
from rnnsim.spectra.nonnormality import nonnormality
from rnnsim.spectra.powers import transient_growth
from rnnsim.spectra.pseudospectra import pseudospectrum
from rnnsim.spectra.spectrum import spectrum

_NETWORK = ("scale", "network_seed")
_RUN = ("activation", *_NETWORK)
_SWEEP: dict[str, tuple[tuple[str, ...], str, str]] = {
    "log_power_norm": ((*_NETWORK, "lag"), "nats", "ln ||W_hh^k||_2"),
    "peak": (_NETWORK, "nats", "largest ln ||W_hh^k||_2 over the lags"),
    "peak_lag": (_NETWORK, "steps", "lag of the peak"),
    "log_kreiss": (_NETWORK, "nats", "ln of the Kreiss constant for radius 1, below the peak"),
    "henrici_relative": (_NETWORK, "1", "departure from normality / ||W_hh||_F"),
    "spectral_radius": (_NETWORK, "1", "largest modulus of an eigenvalue of W_hh"),
    "log_gradient_norm": (
        (*_RUN, "lag"),
        "nats",
        "mean over sequences of ln ||dl_T/dh_{T-k}||, less its value at lag 0",
    ),
    "sufficient_window": (_RUN, "steps", "smallest window with an error within the tolerance"),
}
_PLANE: dict[str, tuple[tuple[str, ...], str, str]] = {
    "log_sigma_min": (("scale", "im", "re"), "nats", "ln sigma_min(z - W_hh)"),
    "eigenvalues": (("scale", "unit"), "1", "eigenvalues of W_hh, descending modulus"),
    "henrici_relative": (("scale",), "1", "departure from normality / ||W_hh||_F"),
}


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
    task: str = "characters",
    activation: str | Sequence[str] = ("linear", "tanh"),
    dtype: str = "float64",
    n_threads: int | None = None,
    progress: bool = False,
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
    task : str
        Of `rnnsim.tasks`.
    n_threads : int, optional
        All cores unless given.

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
        As in `sweep` and `with_departure`; a radius outside (0, 1).

    Examples
    --------
    >>> data = normality_sweep(
    ...     scale=[0, 2], length=30, task="adding", n_hidden=16, network_seeds=1
    ... )
    >>> data.peak.values.round(1).ravel()       # normal networks only shrink
    array([0. , 1.5])
    """
    axes, options, networks = _family(
        scale, radius, scheme=scheme, n_hidden=n_hidden, network_seeds=network_seeds, task=task,
        dtype=dtype,
    )  # fmt: skip
    axes["activation"] = labels.names("activation", activation, ACTIVATIONS)
    tolerance = checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    B = checks.whole_number("batch_size", batch_size, least=1)
    seed = checks.whole_number("data_seed", data_seed, least=0)
    steps = checks.whole_number("length", length, least=1)
    batch = paired_data(task, steps, batch_size=B, seed=seed, dtype=dtype)
    threads = thread_count(n_threads)
    axes["lag"] = tuple(range(int(batch.loss_steps[-1])))
    values = _empty(axes, _SWEEP)
    jobs = list(enumerate(axes["scale"]))
    for i, s in with_progress(jobs, progress, description="normality"):
        rnn = with_departure(networks, s)
        for name, array in _of_matrices(rnn, axes["lag"]).items():
            values[name][i] = array
        for j, phi in enumerate(axes["activation"]):
            flow = gradient_flow(RNN(*rnn.weights, activation=phi), batch, n_threads=threads)
            logs = flow.log_norms[:, -1, : len(axes["lag"])]
            values["log_gradient_norm"][j, i] = logs - logs[:, :1]
            values["sufficient_window"][j, i] = sufficient_window(flow, tolerance)
    configuration = options | {"batch_size": B, "seed": seed}
    configuration |= {"length": batch.n_steps, "tolerance": tolerance}
    return _dataset(axes, values, _SWEEP, configuration, batch.provenance)


def pseudospectrum_sweep(
    *,
    scale: npt.ArrayLike,
    radius: float = 0.9,
    scheme: str = "gaussian",
    n_hidden: int = 64,
    network_seed: int = 0,
    extent: float = 1.6,
    n_points: int = 81,
    task: str = "characters",
    dtype: str = "float64",
) -> xr.Dataset:
    """Pseudospectra of one network of `normality_sweep` at several departures from normality.

    Parameters
    ----------
    scale, radius, scheme, n_hidden, task, dtype
        As in `normality_sweep`.
    network_seed : int
    extent : float
        Real and imaginary parts run from -extent to extent; above 0.
    n_points : int
        Points on each axis, at least 2.

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
    seed = checks.whole_number("network_seed", network_seed, least=0)
    axes, options, network = _family(
        scale, radius, scheme=scheme, n_hidden=n_hidden, network_seeds=[seed], task=task,
        dtype=dtype,
    )  # fmt: skip
    end = checks.real_number("extent", extent, above=0.0)
    line = np.linspace(-end, end, checks.whole_number("n_points", n_points, least=2))
    axes |= {"re": tuple(line), "im": tuple(line), "unit": tuple(range(network.n_hidden))}
    rows = [with_departure(network, s) for s in axes["scale"]]
    found = pseudospectrum(np.concatenate([rnn.W_hh for rnn in rows]), real=line, imag=line)
    values = {
        "log_sigma_min": np.where(found.converged, found.log_sigma_min, np.nan),
        "eigenvalues": found.eigenvalues,
        "henrici_relative": np.array([spectrum(rnn).henrici_relative[0] for rnn in rows]),
    }
    return _dataset(axes, values, _PLANE, options | {"network_seed": seed}, {})


def _family(
    scale: npt.ArrayLike,
    radius: float,
    *,
    scheme: str,
    n_hidden: int,
    network_seeds: Any,
    task: str,
    dtype: str,
) -> tuple[dict[str, Any], dict[str, Any], RNN]:
    """Axes, configuration and the networks as drawn, brought to one spectral radius."""
    axes: dict[str, Any] = {
        "scale": labels.real_numbers("scale", scale),
        "network_seed": labels.seeds("network_seeds", network_seeds),
    }
    checks.nonnegative("scale", list(axes["scale"]))
    options: dict[str, Any] = {
        "scheme": checks.one_of("scheme", scheme, SCHEMES),
        "n_hidden": checks.whole_number("n_hidden", n_hidden, least=1),
        "dtype": checks.one_of("dtype", dtype, ("float32", "float64")),
    }
    sizes = tasks.sizes(checks.one_of("task", task, tasks.TASKS))
    edge = checks.real_number("radius", radius, above=0.0, below=1.0)
    seeds = axes["network_seed"]
    drawn = paired_networks(seeds, [1.0] * len(seeds), sizes=sizes, activation="tanh", **options)
    factors = (edge / spectrum(drawn).spectral_radius)[:, None, None]
    W_hh = (factors * drawn.W_hh).astype(drawn.dtype)
    networks = drawn.with_weights(drawn.weights._replace(W_hh=W_hh))
    return axes, options | {"task": task, "radius": edge}, networks


def _of_matrices(rnn: RNN, lags: Sequence[int]) -> dict[str, FloatArray]:
    """Variables of `_SWEEP` that need W_hh alone, network axis first."""
    growth, found = transient_growth(rnn, lags), spectrum(rnn)
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


def _empty(
    axes: Mapping[str, Any], variables: Mapping[str, tuple[tuple[str, ...], str, str]]
) -> dict[str, FloatArray]:
    return {
        name: np.full([len(axes[dim]) for dim in dims], np.nan)
        for name, (dims, _, _) in variables.items()
    }


def _dataset(
    axes: Mapping[str, Any],
    values: Mapping[str, npt.NDArray[Any]],
    variables: Mapping[str, tuple[tuple[str, ...], str, str]],
    configuration: Mapping[str, Any],
    provenance: Mapping[str, str],
) -> xr.Dataset:
    used = {dim for dims, _, _ in variables.values() for dim in dims}
    units = {"lag": "steps", "scale": "1", "re": "1", "im": "1"}
    coords = {
        axis: (axis, list(entries), {"units": units[axis]} if axis in units else {})
        for axis, entries in axes.items()
        if axis in used
    }
    data = {
        name: (dims, values[name], {"units": unit, "long_name": long_name})
        for name, (dims, unit, long_name) in variables.items()
    }
    attributes = {
        "configuration": json.dumps(dict(configuration)),
        "provenance": json.dumps(dict(provenance)),
        "versions": json.dumps(versions()),
    }
    return xr.Dataset(data, coords, attributes)
