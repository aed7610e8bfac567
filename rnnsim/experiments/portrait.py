"""All that is known about one network: spectra, theory, exponents, and its gradients on a batch."""

from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import checks, tasks, theory
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.eigenvalues import jacobian_spectrum
from rnnsim.dynamics.lyapunov import lyapunov_spectrum
from rnnsim.experiments import draws, labels
from rnnsim.experiments.catalogue.networks import PORTRAIT, PORTRAIT_BY_SEQUENCE, of_gated
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.runner import run
from rnnsim.experiments.study import Found, Memory, Study, check_memory, flow_bytes
from rnnsim.flow.gradient_flow import gradient_flow
from rnnsim.flow.growth import growth_rate, log_changes
from rnnsim.flow.reach import sufficient_window
from rnnsim.flow.results import GradientFlow
from rnnsim.gradients.simulation import forward
from rnnsim.importing.npz import load_network
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import RNN
from rnnsim.networks.states import state_size
from rnnsim.spectra.spectrum import matrix_spectrum, spectrum

_LEAST_LENGTH = 22  # a burn-in and 20 blocks of one step for the exponents
_STATE_PARTS = ("h", "c", "path through c")
_RANDOM = ("gaussian", "uniform")  # schemes with independent entries


class Subject(NamedTuple):
    """One network, what it reads, and what that is in words."""

    rnn: RNN
    sequences: Sequences
    reads: str


class Job(NamedTuple):
    """One part of a portrait; scheme ("" for none) and gain say how the network was drawn."""

    part: str
    subject: Subject
    scheme: str
    gain: float
    tolerance: float


def portrait(
    task: str = "characters",
    *,
    scheme: str = "gaussian",
    gain: float = 1.5,
    n_hidden: int = 64,
    seed: int = 0,
    weights: str | PathLike[str] | None = None,
    activation: str = "tanh",
    cell: str = "vanilla",
    forget_bias: float = 0.0,
    length: int = 200,
    batch_size: int = 16,
    tolerance: float = 0.1,
    dtype: str = "float64",
    max_memory: float = 2e9,
    n_threads: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Spectra, Lyapunov exponents and gradient flow of one network, beside what theory says.

    Parameters
    ----------
    task : str
        One of `rnnsim.tasks`: copy_memory, echo, adding, temporal_order, characters, sentences,
        digits.
    scheme, gain, n_hidden, seed
        The network, drawn as `sweep` draws it.
    weights : path, optional
        An .npz file with a network of your own, in place of these; activation, dtype and cell
        apply, unless an entry `cell` of the file says what it is. It reads the task if its sizes
        fit, else white noise.
    activation, cell, forget_bias, dtype
        As in `RNN.sample`.
    length, batch_size : int
        T, at least 22, and B.
    tolerance : float
        As in `sufficient_window`.
    max_memory : float
        Bytes that the dataset and the norms of all steps, lags and sequences may take together.
    n_threads, progress
        As in `sweep`.

    Returns
    -------
    xarray.Dataset
        Spectra (unit), exponents (unit; also by sequence), log_norms (sequence, lag), log_norm_map
        (column, lag): a column is a step that carries loss, or a sequence where few steps do.
        truncation_log_error (window), and single numbers; each says what it is and its unit. Of an
        LSTM or GRU unit counts the numbers of its state (h, c), and in place of what W_hh of a
        vanilla network says: singular values of each gate's block (gate, direction), eigenvalues
        of the Jacobians of 8 steps (point, unit), windows by gate; norms of h, of c and of the path
        through c (part, lag).

    Raises
    ------
    TypeError, ValueError
        As `sweep`; a file that holds no network.
    MemoryError
        The estimate exceeds `max_memory`.

    Examples
    --------
    >>> data = portrait(n_hidden=8, length=30, batch_size=2)
    >>> data.log_norms.dims, data.log_norms.shape, data.attrs["provenance"][:21]
    (('sequence', 'lag'), (2, 30), '{"task": "characters"')
    """
    weights = None if weights is None else str(checks.path("weights", weights))
    settings = labels.recorded(locals())
    labels.of_draws(scheme=scheme, activation=activation, dtype=dtype)
    checks.one_of("cell", cell, CELLS)
    bias = checks.real_number("forget_bias", forget_bias)
    cells_of(cell, bias, activation)
    H = checks.size("n_hidden", n_hidden)
    subject = subject_of(
        checks.one_of("task", task, tasks.TASKS),
        checks.size("length", length, least=_LEAST_LENGTH),
        batch_size=checks.size("batch_size", batch_size),
        networks=(scheme, checks.real_number("gain", gain), H, seed),
        weights=weights, activation=activation, dtype=dtype, cell=cell, forget_bias=bias,
    )  # fmt: skip
    checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    rnn, batch = subject.rnn, subject.sequences
    T, B, steps = batch.n_steps, batch.n_sequences, batch.loss_steps
    by_step = _by_step(batch)
    columns = steps.tolist() if by_step else range(1, B + 1)
    job = Job("", subject, "" if weights is not None else scheme, gain, tolerance)
    gated = rnn.cell != "vanilla"
    variables = PORTRAIT if by_step else PORTRAIT_BY_SEQUENCE
    own = {"cell": rnn.cell, "forget_bias": bias} if gated else {}
    study = Study(
        name="portrait",
        axes={
            "unit": state_size(rnn),
            "gate": CELLS[rnn.cell].gates,
            "direction": rnn.n_hidden,
            "part": _STATE_PARTS if rnn.cell == "lstm" else _STATE_PARTS[:1],
            "point": tuple(_points(T)),
            "sequence": B,
            "lag": tuple(range(T)),
            "window": tuple(range(1, T + 1)),
            "column": tuple(columns),
        },
        variables=of_gated(variables) if gated else variables,
        jobs=[({}, job._replace(part=part)) for part in (GATED_PARTS if gated else PARTS)],
        measure=measure,
        configuration=settings | own | {"n_hidden": rnn.n_hidden, "reads": subject.reads},
        provenance=batch.provenance,
        memory=Memory(
            job=flow_bytes(T, steps.size, B, cell=rnn.cell),
            advice="give a smaller `length` or `batch_size`, or raise `max_memory`",
        ),
    )
    check_memory(study, n_threads, max_memory)
    return run(study, n_threads=n_threads, progress=progress)


def subject_of(
    task: str,
    length: int,
    *,
    batch_size: int,
    networks: tuple[str, float, int, int],
    weights: str | None,
    activation: str,
    dtype: str,
    cell: str = "vanilla",
    forget_bias: float = 0.0,
) -> Subject:
    """The network and its batch; networks are (scheme, gain, n_hidden, seed) of a draw."""
    scheme, gain, H, seed = networks
    sizes, data = tasks.sizes(task), draws.Data(task, length, batch_size, 0, dtype)
    seeds = (checks.whole_number("seed", seed, least=0),)
    if weights is None:
        drawn = draws.Networks(
            seeds, (gain,), sizes, H, scheme, activation, dtype, cell, forget_bias
        )
        return Subject(drawn.draw(), _drawn(data), task)
    own = load_network(weights, activation=activation, dtype=dtype, cell=cell)
    if (own.n_inputs, own.n_outputs) == sizes:
        return Subject(own, _drawn(data), task)
    noise = draws.white_noise((length, batch_size), (own.n_inputs, own.n_outputs), own.dtype)
    return Subject(own, noise, "white noise")


def _drawn(data: draws.Data) -> Sequences:
    with checks.renamed(n_steps="`length`", n_sequences="`batch_size`"):
        return data.draw()


def measure(job: Job, n_threads: int) -> Found:
    """One part of the portrait."""
    found = (PARTS | GATED_PARTS)[job.part](job, n_threads)
    return {name: np.asarray(value) for name, value in found.items()}


def _spectra(job: Job, n_threads: int) -> dict[str, Any]:
    found = matrix_spectrum(job.subject.rnn)
    names = "eigenvalues singular_values spectral_radius spectral_norm henrici henrici_relative"
    return {name: getattr(found, name)[0] for name in names.split()}


def _theory(job: Job, n_threads: int) -> dict[str, Any]:
    """What theory says of a large network of this kind; NaN where none applies.

    A network that was not drawn is held against random ones with entries of the same size.
    """
    rnn, sequences, _ = job.subject
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
    by_step = _by_step(sequences)
    last = flow.per_sequence[0, -1].T
    with np.errstate(invalid="ignore"):
        changes = log_changes(flow, range(flow.n_lags))[0] if by_step else last - last[:, :1]
    return {
        "log_norm_map": flow.log_norms[0] if by_step else last,
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


def _by_step(sequences: Sequences) -> bool:
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
    """What single steps do: Jacobians along the first sequence, and the blocks of the gates."""
    rnn, sequences, _ = job.subject
    inputs = sequences.inputs[:, :1]
    found = forward(rnn, inputs, n_threads=n_threads)
    before = np.array(_points(sequences.n_steps)) - 1  # the states that these steps start from
    memories = None if found.memories is None else found.memories[0, before, 0]
    here = jacobian_spectrum(
        rnn, inputs[before].swapaxes(0, 1), h0=found.states[0, before, 0], c0=memories
    )
    blocks = spectrum(rnn)
    return {
        "jacobian_eigenvalues": here.eigenvalues[0, 0],
        "jacobian_radius": here.spectral_radius[0, 0],
        "jacobian_norm": here.spectral_norm[0, 0],
        "gate_singular_values": blocks.singular_values[0],
    }


def _points(n_steps: int) -> list[int]:
    """Some steps of the second half."""
    return sorted({*np.linspace(n_steps // 2 + 1, n_steps, 8).round().astype(int).tolist()})


def _gated_gradients(job: Job, n_threads: int) -> dict[str, Any]:
    """Of the whole state, of its parts, and of windows by gate."""
    flow = _flow(job, n_threads)
    found, windows = _of_flow(job, flow), flow.recurrent
    del found["mean_slope"]
    error, floor = windows.log_error[0], windows.log_floor[0]
    by_gate = sufficient_window(flow, job.tolerance, of="recurrent_gates")
    rows = flow.steps > found["growth_last_lag"]
    parts = (flow.log_norms_h, flow.log_norms_c, flow.log_norms_path_c)
    known = [each[0, rows] for each in parts if each is not None]
    with np.errstate(invalid="ignore"):
        curves = np.array([(each - flow.log_norms[0, rows, :1]).mean(axis=0) for each in known])
    curves[:, found["growth_last_lag"] + 1 :] = np.nan
    return found | {
        "truncation_log_error": np.fmax(error, np.where(np.isneginf(error), error, floor)),
        "sufficient_window_by_gate": by_gate[0],
        "log_norms_of_parts": curves,
    }


GATED_PARTS = {"steps": _steps, "exponents": _exponents, "gated gradients": _gated_gradients}
PARTS = {
    "spectra": _spectra,
    "theory": _theory,
    "exponents": _exponents,
    "gradients": _gradients,
}
