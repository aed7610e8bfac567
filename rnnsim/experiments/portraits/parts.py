"""The parts of a portrait: spectra, theory, exponents, gradients, what single steps do."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import theory
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments.steps import spectrum_from
from rnnsim.experiments.study import Found
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import growth_rate, log_changes
from rnnsim.flow.reach import sufficient_window
from rnnsim.flow.results import GradientFlow, Windows
from rnnsim.gradients.simulation import forward
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, has_layers
from rnnsim.spectra.spectrum import matrix_spectrum, spectrum

Floats = npt.NDArray[np.float64]

_RANDOM = ("gaussian", "uniform")  # schemes with independent entries


class Subject(NamedTuple):
    """One network, what it reads, and what that is in words."""

    rnn: Network
    sequences: Sequences
    reads: str


class Job(NamedTuple):
    """One part of a portrait; scheme ("" for none) and gain say how the network was drawn."""

    part: str
    subject: Subject
    scheme: str
    gain: float
    tolerance: float


def measure(job: Job, n_threads: int) -> Found:
    """One part of the portrait."""
    found = EVERY[job.part](job, n_threads)
    return {name: np.asarray(value) for name, value in found.items()}


def _spectra(job: Job, n_threads: int) -> dict[str, Any]:
    (rnn,) = job.subject.rnn.layers
    found = matrix_spectrum(rnn)
    names = "eigenvalues singular_values spectral_radius spectral_norm henrici henrici_relative"
    return {name: getattr(found, name)[0] for name in names.split()}


def _theory(job: Job, n_threads: int) -> dict[str, Any]:
    """What theory says of a large network of this kind; NaN where none applies.

    A network that was not drawn is held against random ones with entries of the same size.
    """
    (rnn,), sequences = job.subject.rnn.layers, job.subject.sequences
    H = rnn.n_hidden
    values, radius, exponent = np.full(H, np.nan), np.nan, np.nan
    own = job.scheme == ""
    scheme = "uniform" if job.scheme == "pytorch" else job.scheme  # the same entries of W_hh
    if own or scheme in _RANDOM:
        size = float(np.std(rnn.W_hh.astype(np.float64)) * np.sqrt(H))
        gain = size if own else float(theory.effective_gain(scheme, abs(job.gain)))
        if gain > 0:
            radius = gain
            values = theory.singular_value_quantile(1 - (np.arange(H) + 0.5) / H, gain)
            if rnn.activation == "tanh":
                exponent = _mean_field_exponent(rnn, sequences, gain)
    else:
        radius = float(theory.spectral_radius(job.scheme, abs(job.gain)))
        values = np.full(H, radius)
    return {
        "theory_radius": radius,
        "theory_singular_values": values,
        "theory_exponent": exponent,
    }


def _mean_field_exponent(rnn: RNN, sequences: Sequences, gain: float) -> float:
    """lambda_1 for the mean variance over units of what drives this network."""
    drive = sequences.inputs.astype(np.float64) @ rnn.W_xh[0].T.astype(np.float64)
    inputs, biases = drive.var(axis=-1).mean(), rnn.weights.b_h[0].astype(np.float64).var()
    result = theory.mean_field(gain, input_variance=inputs, bias_variance=biases)
    return float(result.largest_exponent)


def _exponents(job: Job, n_threads: int) -> dict[str, Any]:
    rnn, sequences, _ = job.subject
    found = lyapunov_spectrum(rnn, sequences.inputs, n_threads=n_threads)
    known = found.resolved[0]  # of vanilla networks all
    return {
        "exponents": np.where(known, found.exponents[0], np.nan),
        "exponent_errors": found.standard_error[0],
        "exponents_of_sequences": np.where(known, found.per_sequence[0], np.nan),
        "kaplan_yorke": found.kaplan_yorke[0],
        "kaplan_yorke_low": found.kaplan_yorke_interval[0, 0],
        "kaplan_yorke_high": found.kaplan_yorke_interval[0, 1],
        "entropy_rate": found.entropy_rate[0],
    }


def _gradients(job: Job, n_threads: int) -> dict[str, Any]:
    return _of_flow(job, _flow(job, n_threads))


def _flow(job: Job, n_threads: int) -> GradientFlow:
    rnn, sequences, _ = job.subject
    return gradient_flow(rnn, sequences, n_threads=n_threads, per_sequence=True)


def _of_flow(job: Job, flow: GradientFlow) -> dict[str, Any]:
    sequences = job.subject.sequences
    growth = growth_rate(flow)
    error, floor = flow.window_log_error[0], flow.window_log_floor[0]
    assert flow.per_sequence is not None
    stepwise = by_step(sequences)
    last = flow.per_sequence[0, -1].T
    with np.errstate(invalid="ignore"):
        changes = log_changes(flow, range(flow.n_lags))[0] if stepwise else last - last[:, :1]
    return {
        "log_norm_map": flow.log_norms[0] if stepwise else last,
        "log_change_map": changes,
        "log_norms": _lag_curves(
            flow.per_sequence[0, flow.steps > growth.last_lag], growth.last_lag
        ),
        "growth_rate": growth.rate[0],
        "growth_rate_error": growth.standard_error[0],
        "growth_first_lag": growth.first_lag,
        "growth_last_lag": growth.last_lag,
        "growth_live": growth.live[0],
        "growth_early": growth.halves[0, 0],
        "growth_late": growth.halves[0, 1],
        "growth_single": growth.single[0],
        "truncation_log_error": np.fmax(error, np.where(np.isneginf(error), error, floor)),
        "sufficient_window": sufficient_window(flow, job.tolerance)[0],
        "mean_slope": flow.mean_slope[0],
        "first_nonfinite": flow.first_nonfinite[0],
    }


def by_step(sequences: Sequences) -> bool:
    """Whether enough steps carry loss for a map of steps and lags."""
    return bool(4 * sequences.loss_steps.size >= sequences.n_steps)


def _lag_curves(per_sequence: npt.NDArray[np.float64], last: int) -> npt.NDArray[np.float64]:
    """(B, K): log norms relative to lag 0, averaged over steps that all reach the last lag.

    From norms (S, K, B). NaN beyond it, and where a norm is exactly 0 for one of the steps.
    """
    rows = per_sequence.transpose(2, 0, 1)
    curves = np.full((rows.shape[0], rows.shape[2]), np.nan)
    with np.errstate(invalid="ignore"):
        relative = rows[:, :, : last + 1] - rows[:, :, :1]
        curves[:, : last + 1] = relative.mean(axis=1)
    return np.where(np.isfinite(curves), curves, np.nan)


def _steps(job: Job, n_threads: int) -> dict[str, Any]:
    """What single steps do: Jacobians along the first sequence, and the blocks of W_hh."""
    rnn, sequences, _ = job.subject
    inputs = sequences.inputs[:, :1]
    before = np.array(points(sequences.n_steps)) - 1  # the states that these steps start from
    layers = forward(rnn, inputs, n_threads=n_threads).layers
    h0 = np.stack([layer.states[0, before, 0] for layer in layers])
    memories = [layer.memories[0, before, 0] for layer in layers if layer.memories is not None]
    c0 = np.stack(memories) if memories else None
    if not has_layers(rnn):
        h0, c0 = h0[0], None if c0 is None else c0[0]
    here = spectrum_from(rnn, inputs[before].swapaxes(0, 1), h0, c0)
    return {
        "jacobian_eigenvalues": here.eigenvalues[0, 0],
        "jacobian_radius": here.spectral_radius[0, 0],
        "jacobian_norm": here.spectral_norm[0, 0],
        "gate_singular_values": np.concatenate([_blocks(layer) for layer in rnn.layers]),
    }


def _blocks(layer: RNN) -> Floats:
    """Singular values of the blocks of W_hh (G, H)."""
    if layer.cell != "vanilla":
        return np.asarray(spectrum(layer).singular_values[0])
    return np.asarray(matrix_spectrum(layer).singular_values)


def points(n_steps: int) -> list[int]:
    """Some steps of the second half."""
    return sorted({*np.linspace(n_steps // 2 + 1, n_steps, 8).round().astype(int).tolist()})


def _gated_gradients(job: Job, n_threads: int) -> dict[str, Any]:
    """Of the whole state, of its parts, and of windows by gate."""
    flow = _flow(job, n_threads)
    found, by_gate = (
        _recurrent(job, flow),
        sufficient_window(flow, job.tolerance, of="recurrent_gates"),
    )
    parts = (flow.log_norms_h, flow.log_norms_c, flow.log_norms_path_c)
    known = [each[0] for each in parts if each is not None]
    return found | {
        "sufficient_window_by_gate": by_gate[0],
        "log_norms_of_parts": _relative(flow, known, found["growth_last_lag"]),
    }


def _stack_gradients(job: Job, n_threads: int) -> dict[str, Any]:
    """Of the states of all layers, into h of each, and of windows by layer."""
    flow = _flow(job, n_threads)
    found = _recurrent(job, flow)
    windows = [sufficient_window(layer, job.tolerance, of="recurrent")[0] for layer in flow.layers]
    return found | {
        "sufficient_window_by_layer": windows,
        "truncation_log_error_of_layers": [_error(layer.recurrent) for layer in flow.layers],
        "log_norms_of_parts": _relative(
            flow, list(flow.log_norms_layers[0]), found["growth_last_lag"]
        ),
    }


def _recurrent(job: Job, flow: GradientFlow) -> dict[str, Any]:
    """As `_of_flow`, with the windows of all recurrent weights."""
    found = _of_flow(job, flow)
    del found["mean_slope"]
    return found | {"truncation_log_error": _error(flow.recurrent)}


def _error(windows: Windows) -> Floats:
    """Of the one network, not below its rounding."""
    error, floor = windows.log_error[0], windows.log_floor[0]
    return np.asarray(np.fmax(error, np.where(np.isneginf(error), error, floor)))


def _relative(flow: GradientFlow, parts: list[Floats], last: int) -> Floats:
    """(part, K): means over the steps that all lags reach, less the whole state's at lag 0.

    parts (S, K) each; NaN beyond the last lag.
    """
    rows = flow.steps > last
    with np.errstate(invalid="ignore"):
        curves = np.array(
            [(each[rows] - flow.log_norms[0, rows, :1]).mean(axis=0) for each in parts]
        )
    curves[:, last + 1 :] = np.nan
    return curves


PARTS = {
    "spectra": _spectra,
    "theory": _theory,
    "exponents": _exponents,
    "gradients": _gradients,
}
GATED_PARTS = {"steps": _steps, "exponents": _exponents, "gated gradients": _gated_gradients}
STACK_PARTS = {"steps": _steps, "exponents": _exponents, "gradients of a stack": _stack_gradients}
EVERY = PARTS | GATED_PARTS | STACK_PARTS
