"""What a sweep can measure, and how one ensemble is measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.data.sequences import Sequences
from rnnsim.experiments.catalogue.sweeps import LAGS, SPECTRUM
from rnnsim.experiments.draws import paired_data, paired_networks
from rnnsim.experiments.own.data import Source
from rnnsim.experiments.own.networks import Own
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import growth_rate, log_changes, mean_over_steps
from rnnsim.flow.reach import sufficient_window
from rnnsim.flow.results import GradientFlow
from rnnsim.gradients.bptt import Gradients, bptt
from rnnsim.gradients.simulation import forward
from rnnsim.gradients.truncated import truncated_bptt
from rnnsim.networks.stack import Network
from rnnsim.spectra.nonnormality import scaled_nonnormality
from rnnsim.spectra.spectrum import matrix_spectrum

OF_NETWORK = frozenset({"spectrum", "nonnormality"})  # of W_hh alone: no data, no activation
_WINDOW_NAMES = ("truncated_log_norm", "truncation_log_error", "truncation_cosine")
_FLOW_MEASURES = {"truncation", "lags", "slopes", "map"}


@dataclass(frozen=True)
class Job:
    """One independent piece of a sweep: plain configuration in, small arrays out.

    An ensemble of networks (gains and network_seeds run in parallel) of one size on one batch.
    """

    task: str | Source
    task_options: tuple[tuple[str, Any], ...]
    scheme: str
    activation: str
    n_hidden: int
    gains: tuple[float, ...]
    network_seeds: tuple[int, ...]
    data_seed: int
    length: int
    batch_size: int
    dtype: str
    last_loss_only: bool
    measures: tuple[str, ...]
    truncation: tuple[str, ...]
    windows: tuple[int, ...]
    lags: tuple[int, ...]
    tolerance: float
    cell: str = "vanilla"
    forget_bias: float = 0.0
    n_layers: int = 1
    by_layer: bool = False
    sizes: tuple[int, int] = (0, 0)
    own: Own | None = None


def draw_networks(job: Job) -> Any:
    """The ensemble of a job."""
    return paired_networks(
        job.network_seeds,
        job.gains,
        sizes=job.sizes,
        n_hidden=job.n_hidden,
        scheme=job.scheme,
        activation=job.activation,
        dtype=job.dtype,
        cell=job.cell,
        forget_bias=job.forget_bias,
        n_layers=job.n_layers,
        own=job.own,
    )


def draw_data(job: Job) -> Sequences:
    """The batch of a job."""
    return paired_data(
        job.task,
        job.length,
        batch_size=job.batch_size,
        seed=job.data_seed,
        dtype=job.dtype,
        options=dict(job.task_options),
        own=job.own,
        last_loss_only=job.last_loss_only,
    )


def measure(job: Job, n_threads: int | None = None) -> dict[str, npt.NDArray[Any]]:
    """All quantities of the job's measures; each array has the network axis first."""
    rnn = draw_networks(job)
    result: dict[str, npt.NDArray[Any]] = {}
    if "spectrum" in job.measures:
        found = matrix_spectrum(rnn)
        result |= {name: getattr(found, name) for name in SPECTRUM}
    if "nonnormality" in job.measures:
        seeds = tuple(dict.fromkeys(job.network_seeds))
        unit = draw_networks(replace(job, network_seeds=seeds, gains=(1.0,) * len(seeds)))
        draws = [seeds.index(seed) for seed in job.network_seeds]
        result |= scaled_nonnormality(unit, draws, job.gains)
    if OF_NETWORK.issuperset(job.measures):
        return result
    sequences = draw_data(job)
    if n_lags := lags_needed(job):
        max_lag = max(1, n_lags - 1)
        of_all = "lags" in job.measures
        flow = gradient_flow(
            rnn,
            sequences,
            max_lag=max_lag,
            windows="all" if "truncation" in job.measures else (),
            n_threads=n_threads,
            per_sequence=of_all,
        )
        result |= _from_flow(job, flow)
    segments = "truncation" in job.measures and "segments" in job.truncation
    full = None
    if {"gradients", "steps"} & set(job.measures) or segments:
        full = bptt(rnn, sequences, n_threads=n_threads)
        result |= _from_gradients(job, full, sequences)
    if "truncation" in job.measures:
        errors = {"sliding": [result[name] for name in _WINDOW_NAMES]}
        if segments and full is not None:
            errors["segments"] = _segments(job, rnn, sequences, full, n_threads)
        result |= _by_truncation(job, errors, sequences)
        result["largest_state_norm"] = _largest_state_norm(rnn, sequences, n_threads)
    return result


def lags_needed(job: Job) -> int:
    """How many lags of gradient flow the job's measures need; 0 where they need none."""
    wanted = _FLOW_MEASURES & set(job.measures)
    if {"lags", "truncation"} & wanted:
        return job.length
    reach = max(job.lags) + 1 if "map" in wanted else 2  # the least that gradient_flow takes
    return min(job.length, reach) if wanted else 0


def _from_flow(job: Job, flow: GradientFlow) -> dict[str, npt.NDArray[Any]]:
    result: dict[str, npt.NDArray[Any]] = {}
    if "slopes" in job.measures:
        result |= {"mean_slope": flow.mean_slope, "saturated_fraction": flow.saturated_fraction}
    if "lags" in job.measures:
        result |= _lag_curves(job, flow) | _growth(flow)
        if job.by_layer:
            result["log_norm_layers"] = _layer_curves(job, flow)
    if "map" in job.measures:
        lags = [lag for lag in job.lags if lag < flow.n_lags]
        full = np.full((len(flow.log_norms), job.length, len(job.lags)), np.nan)
        full[:, flow.steps - 1, : len(lags)] = flow.log_norms[:, :, lags]
        result["log_norm_map"] = full
    if "truncation" in job.measures:
        windows = np.array(job.windows) - 1
        inside = windows < flow.n_lags
        arrays = (flow.window_log_norms, flow.window_log_error, flow.window_cosine)
        if job.cell != "vanilla" or job.n_layers > 1:
            windows_of = flow.recurrent
            arrays = (windows_of.log_norms, windows_of.log_error, windows_of.cosine)
        for name, values in zip(_WINDOW_NAMES, arrays, strict=True):
            result[name] = np.full((len(values), windows.size), np.nan)
            result[name][:, inside] = values[:, windows[inside]]
        result["sufficient_window"] = sufficient_window(flow, job.tolerance)
    return result


def _lag_curves(job: Job, flow: GradientFlow) -> dict[str, npt.NDArray[Any]]:
    """Moments over loss steps and sequences at each lag, over the steps that reach back so far."""
    lags = [lag for lag in job.lags if lag < min(flow.n_lags, int(flow.steps[-1]))]
    shape = (len(flow.log_norms), len(job.lags))
    names = ("log_norm", "log_norm_std", "log_rms", "live", "loss_steps")
    curves = {name: np.full(shape, np.nan) for name in names}
    for i, lag in enumerate(lags):
        rows = flow.steps > lag
        live = flow.live[:, rows, lag]
        logs, stds, rms = (
            values[:, rows, lag] for values in (flow.log_norms, flow.log_std, flow.log_rms)
        )
        curves["live"][:, i] = live.mean(axis=1)
        curves["loss_steps"][:, i] = rows.sum()
        share = np.where(np.isneginf(logs), 0.0, live)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = share / share.sum(axis=1, keepdims=True)  # NaN where nothing is left
            dead = np.isneginf(logs)
            mean = np.where(dead, 0.0, share * np.where(dead, 0.0, logs)).sum(axis=1)
            spread = stds**2 + (logs - mean[:, None]) ** 2
            variance = np.where(dead, 0.0, share * spread).sum(axis=1)
            empty = dead.all(axis=1)
            curves["log_norm"][:, i] = np.where(empty, -np.inf, mean)
            curves["log_norm_std"][:, i] = np.where(empty, np.nan, np.sqrt(variance))
            curves["log_rms"][:, i] = 0.5 * (
                np.logaddexp.reduce(2 * rms, axis=1) - np.log(rows.sum())
            )
    return curves


def _layer_curves(job: Job, flow: GradientFlow) -> npt.NDArray[np.float64]:
    """Means over loss steps and sequences at each lag (N, L, lags), by layer and all paths."""
    lags = [lag for lag in job.lags if lag < flow.n_lags]
    found = np.full((len(flow.log_norms), len(flow.layers), len(job.lags)), np.nan)
    for i, layer in enumerate(flow.layers):
        found[:, i, : len(lags)] = mean_over_steps(layer.log_norms_h[:, :, lags])
    return found


def _growth(flow: GradientFlow) -> dict[str, npt.NDArray[Any]]:
    reach = min(flow.n_lags, int(flow.steps[-1]))
    n = len(flow.log_norms)
    change = log_changes(flow, [reach - 1])[:, -1, 0]
    if reach < 3:
        nothing = np.full(n, np.nan)
        names = [name for name in LAGS if name.startswith(("growth", "half"))]
        return dict.fromkeys(names, nothing) | {"log_change": change}
    fit = growth_rate(flow)
    return {
        "growth_rate": fit.rate,
        "growth_rate_error": fit.standard_error,
        "growth_first_lag": np.full(n, float(fit.first_lag)),
        "growth_last_lag": np.full(n, float(fit.last_lag)),
        "growth_live": fit.live,
        "growth_single": fit.single.astype(float),
        "half_life": fit.half_life,
        "log_change": change,
    }


def _from_gradients(job: Job, full: Gradients, sequences: Sequences) -> dict[str, npt.NDArray[Any]]:
    weight = _loss_weight(sequences)
    result: dict[str, npt.NDArray[Any]] = {}
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if "gradients" in job.measures:
            log_norm = _log_norms(_joint([layer.W_hh for layer in full.layers]))
            total = _over_layers(full.step_norms.W_hh).sum(axis=1)
            each = [g for layer in full.layers for g in layer if g.size]
            result |= {
                "loss": full.loss,
                "loss_weight": np.full(full.loss.size, weight),
                "log_gradient_norm": log_norm,
                "log_gradient_norm_per_weight": log_norm - np.log(weight),
                "log_gradient_norm_all": 0.5
                * np.logaddexp.reduce([2 * _log_norms(g) for g in each], axis=0),
                "cancellation": np.exp(log_norm - np.log(total)),
                "first_nonfinite": full.first_nonfinite.astype(float),
            }
        if "steps" in job.measures:
            result["log_step_norm"] = np.log(_over_layers(full.step_norms.W_hh))
            result["log_state_norm"] = np.log(_over_layers(full.state_norms)[:, 1:])
    return result


def _over_layers(norms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Norms (N, T) of all layers together, from those of each (N, L, T), or of a single one."""
    return norms if norms.ndim == 2 else np.linalg.norm(norms, axis=1)


def _joint(gradients: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Several arrays of N networks as one vector each, (N, 1, .)."""
    flat = [part.reshape(len(part), 1, -1) for part in gradients]
    return flat[0] if len(flat) == 1 else np.concatenate(flat, axis=2)


def _segments(
    job: Job, rnn: Network, sequences: Sequences, full: Gradients, n_threads: int | None
) -> list[npt.NDArray[Any]]:
    """Norm, error and cosine of stride = window, a pass for each window; NaN beyond the length."""
    reference = _windowed(rnn, full)
    found = np.full((3, len(rnn), len(job.windows)), np.nan)
    for i, window in enumerate(job.windows):
        if window <= job.length:
            g = truncated_bptt(rnn, sequences, window=window, n_threads=n_threads)
            found[:, :, i] = _compare(_windowed(rnn, g), reference)
        if window == job.length:  # the full gradient, whose rounding is not an error
            found[1, :, i] = np.where(np.isnan(found[1, :, i]), np.nan, -np.inf)
    return list(found)


def _windowed(rnn: Network, gradients: Gradients) -> npt.NDArray[np.float64]:
    """The gradient that windows are held against, as matrices: W_hh, or all recurrent weights."""
    if rnn.cell == "vanilla" and len(rnn.layers) == 1:
        return gradients.W_hh.astype(float)
    return _joint([w for g in gradients.layers for w in (g.W_hh, g.W_xh, g.b_h)]).astype(float)


def _by_truncation(
    job: Job, errors: dict[str, list[npt.NDArray[Any]]], sequences: Sequences
) -> dict[str, npt.NDArray[Any]]:
    """The ways of truncating on one axis; norms also per unit of loss weight."""
    result = {
        name: np.stack([errors[way][i] for way in job.truncation], axis=1)
        for i, name in enumerate(_WINDOW_NAMES)
    }
    per_weight = result["truncated_log_norm"] - np.log(_loss_weight(sequences))
    return result | {"truncated_log_norm_per_weight": per_weight}


def _largest_state_norm(
    rnn: Network, sequences: Sequences, n_threads: int | None
) -> npt.NDArray[np.float64]:
    """Over steps, sequences and layers; one network at a time, as all states take much memory."""
    found = np.empty(len(rnn))
    for n in range(len(rnn)):
        states = forward(rnn[n], sequences.inputs, n_threads=n_threads).states.astype(float)
        with np.errstate(over="ignore", invalid="ignore"):
            found[n] = np.linalg.norm(states, axis=-1).max()
    return found


def _loss_weight(sequences: Sequences) -> float:
    """Loss weights, summed over steps, averaged over sequences."""
    return float(sequences.weights.sum(dtype=float)) / sequences.n_sequences


def _compare(part: npt.NDArray[Any], full: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """ln ||part||, ln(||part - full||/||full||) and cosine, per network; NaN for 0/0."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        log_part, log_full = _log_norms(part), _log_norms(full)
        unit_part = part * np.exp(-log_part)[:, None, None]
        unit_full = full * np.exp(-log_full)[:, None, None]
        cosine = np.clip((unit_part * unit_full).sum(axis=(1, 2)), -1.0, 1.0)
        error = _log_norms(part - full) - log_full
    return np.array([log_part, np.where(np.isneginf(log_full), np.nan, error), cosine])


def _log_norms(gradients: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """ln of the Frobenius norm for each network, over the whole float range; -inf for 0."""
    flat = gradients.reshape(len(gradients), -1).astype(float)
    peak = np.abs(flat).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = flat / np.where(peak > 0, peak, 1.0)[:, None]
        return np.log(peak) + np.where(peak > 0, 0.5 * np.log((scaled**2).sum(axis=1)), 0.0)
