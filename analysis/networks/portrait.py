"""A portrait: all that is known about one network, on one page."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks, tasks, theory
from rnnsim.experiments.sweeps.gradients import versions
from rnnsim.experiments.sweeps.measures import Job, draw_data, draw_networks
from rnnsim.importing.npz import load_network

from ..frame.runs import Analysis, Datasets
from ..frame.settings import SCHEME_HELP, flag
from . import portrait_plots

Variables = dict[str, tuple[tuple[str, ...], npt.ArrayLike, dict[str, str]]]

_LEAST_LENGTH = 22  # a burn-in and 20 blocks of one step for the exponents
_MOST_BYTES = 2e9
_RANDOM = ("gaussian", "uniform")  # schemes with independent entries


@dataclass(frozen=True)
class Settings:
    """Which network is portrayed, and what it reads."""

    task: Annotated[str, flag("Task of rnnsim.tasks; best with loss at all steps.")] = "characters"
    scheme: Annotated[str, flag(SCHEME_HELP)] = "gaussian"
    gain: Annotated[float, flag("Scale of W_hh.")] = 1.5
    n_hidden: Annotated[int, flag("Hidden units H.")] = 64
    seed: Annotated[int, flag("Seed of the network.")] = 0
    weights: Annotated[
        str | None,
        flag(
            "An .npz file with W_xh, W_hh, W_hy and, if any, b_h, b_y: your own network, in place "
            "of scheme, gain, n_hidden and seed. Reads the task if sizes fit, else white noise."
        ),
    ] = None
    activation: Annotated[str, flag("tanh, relu or linear.")] = "tanh"
    length: Annotated[int, flag("Sequence length T, in steps.")] = 200
    batch_size: Annotated[int, flag("Sequences B.")] = 16
    tolerance: Annotated[float, flag("Relative error at which a window suffices.")] = 0.1
    dtype: Annotated[str, flag("float64 or float32.")] = "float64"
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.")] = None


def compute(settings: Settings, progress: bool) -> Datasets:
    """One dataset of one network: spectra, exponents, and its gradients on one batch."""
    rnn, sequences, reads = subject(settings)
    _check_memory(sequences)
    stages: list[Callable[[], Variables]] = [
        lambda: _spectra(rnn),
        lambda: _theory(rnn, sequences, settings),
        lambda: _exponents(rnn, sequences, settings),
        lambda: _gradients(rnn, sequences, settings),
    ]
    variables: Variables = {}
    for stage in _with_progress(stages, progress):
        variables |= stage()
    configuration = asdict(settings) | {"n_hidden": rnn.n_hidden, "reads": reads}
    return {
        "portrait": xr.Dataset(
            variables,
            attrs={
                "configuration": json.dumps(configuration),
                "provenance": json.dumps(dict(sequences.provenance)),
                "versions": json.dumps(versions()),
            },
        )
    }


def subject(settings: Settings) -> tuple[rnnsim.RNN, rnnsim.Sequences, str]:
    """The network, its batch, and what that is in words; drawn as `rnnsim.sweep` draws them."""
    length = checks.whole_number("length", settings.length, least=_LEAST_LENGTH)
    job = Job(
        task=checks.one_of("task", settings.task, tasks.TASKS),
        task_options=(),
        scheme=settings.scheme,
        activation=settings.activation,
        n_hidden=settings.n_hidden,
        gains=(checks.real_number("gain", settings.gain),),
        network_seeds=(checks.whole_number("seed", settings.seed, least=0),),
        data_seed=0,
        length=length,
        batch_size=checks.whole_number("batch_size", settings.batch_size, least=1),
        dtype=checks.one_of("dtype", settings.dtype, ("float32", "float64")),
        last_loss_only=False,
        measures=(),
        truncation=(),
        windows=(),
        lags=(),
        tolerance=checks.real_number("tolerance", settings.tolerance, above=0.0, below=1.0),
    )
    if settings.n_threads is not None:
        checks.whole_number("n_threads", settings.n_threads, least=1)
    if settings.weights is None:
        return draw_networks(job), draw_data(job), settings.task
    own = load_network(settings.weights, activation=settings.activation, dtype=settings.dtype)
    if (own.n_inputs, own.n_outputs) == tasks.sizes(settings.task):
        return own, draw_data(job), settings.task
    return own, _white_noise(own, length, settings), "white noise"


def _white_noise(rnn: rnnsim.RNN, length: int, settings: Settings) -> rnnsim.Sequences:
    """Inputs and targets from N(0, 1), loss at all steps."""
    rng = np.random.default_rng(0)
    inputs, targets = (
        rng.standard_normal((length, settings.batch_size, size)).astype(rnn.dtype)
        for size in (rnn.n_inputs, rnn.n_outputs)
    )
    return rnnsim.Sequences(inputs, targets, provenance={"task": "white noise"})


def _check_memory(sequences: rnnsim.Sequences) -> None:
    needed = 8.0 * sequences.loss_steps.size * sequences.n_steps * (sequences.n_sequences + 4)
    if needed > _MOST_BYTES:
        raise MemoryError(
            f"the norms of all steps, lags and sequences need {needed / 1e9:.3g} GB, more than "
            f"{_MOST_BYTES / 1e9:g} GB; give a smaller `length` or `batch_size`"
        )


def _with_progress(stages: list[Any], progress: bool) -> Any:
    if not progress:
        return stages
    from tqdm.auto import tqdm

    return tqdm(stages, desc="portrait", unit="part", disable=None)


def _variable(dims: str, values: npt.ArrayLike, units: str, long_name: str) -> Any:
    return tuple(dims.split()), values, {"units": units, "long_name": long_name}


def _spectra(rnn: rnnsim.RNN) -> Variables:
    found = rnnsim.spectrum(rnn)
    return {
        "eigenvalues": _variable("unit", found.eigenvalues[0], "1", "eigenvalues of W_hh"),
        "singular_values": _variable(
            "unit", found.singular_values[0], "1", "singular values of W_hh, descending"
        ),
        "spectral_radius": _variable("", found.spectral_radius[0], "1", "largest modulus"),
        "spectral_norm": _variable("", found.spectral_norm[0], "1", "largest singular value"),
        "henrici": _variable("", found.henrici[0], "1", "departure from normality"),
        "henrici_relative": _variable(
            "", found.henrici_relative[0], "1", "departure from normality / ||W_hh||_F"
        ),
    }


def _theory(rnn: rnnsim.RNN, sequences: rnnsim.Sequences, settings: Settings) -> Variables:
    """What theory says of a large network of this kind; NaN where none applies.

    A network from a file is held against random ones with entries of the same size.
    """
    H = rnn.n_hidden
    values, radius, exponent = np.full(H, np.nan), np.nan, np.nan
    own = settings.weights is not None
    if own or settings.scheme in _RANDOM:
        size = float(np.std(rnn.W_hh.astype(np.float64)) * np.sqrt(H))
        gain = size if own else float(theory.effective_gain(settings.scheme, abs(settings.gain)))
        if gain > 0:
            radius = gain
            values = theory.singular_value_quantile(1 - (np.arange(H) + 0.5) / H, gain)
            if settings.activation == "tanh":
                exponent = _mean_field_exponent(rnn, sequences, gain)
    else:
        radius = float(theory.spectral_radius(settings.scheme, abs(settings.gain)))
        values = np.full(H, radius)
    return {
        "theory_radius": _variable("", radius, "1", "spectral radius, large H"),
        "theory_singular_values": _variable("unit", values, "1", "singular values, large H"),
        "theory_exponent": _variable("", exponent, "nats/step", "lambda_1, mean field"),
    }


def _mean_field_exponent(rnn: rnnsim.RNN, sequences: rnnsim.Sequences, gain: float) -> float:
    """lambda_1 for the mean variance over units of what drives this network."""
    drive = sequences.inputs.astype(np.float64) @ rnn.W_xh[0].T.astype(np.float64)
    inputs, biases = drive.var(axis=-1).mean(), rnn.weights.b_h[0].astype(np.float64).var()
    result = theory.mean_field(gain, input_variance=inputs, bias_variance=biases)
    return float(result.largest_exponent)


def _exponents(rnn: rnnsim.RNN, sequences: rnnsim.Sequences, settings: Settings) -> Variables:
    found = rnnsim.lyapunov_spectrum(rnn, sequences.inputs, n_threads=settings.n_threads)
    rate = "nats/step"
    return {
        "exponents": _variable("unit", found.exponents[0], rate, "Lyapunov exponents, descending"),
        "exponent_errors": _variable("unit", found.standard_error[0], rate, "standard errors"),
        "exponents_of_sequences": _variable(
            "sequence unit", found.per_sequence[0], rate, "Lyapunov exponents along each sequence"
        ),
        "kaplan_yorke": _variable("", found.kaplan_yorke[0], "1", "Kaplan-Yorke dimension"),
        "entropy_rate": _variable("", found.entropy_rate[0], rate, "sum of positive exponents"),
    }


def _gradients(rnn: rnnsim.RNN, sequences: rnnsim.Sequences, settings: Settings) -> Variables:
    flow = rnnsim.gradient_flow(rnn, sequences, n_threads=settings.n_threads, per_sequence=True)
    growth = rnnsim.growth_rate(flow)
    error = flow.window_log_error[0]
    floor = flow.window_log_floor[0]
    window = rnnsim.sufficient_window(flow, settings.tolerance)[0]
    step = "nats/step"
    return _map(flow, sequences.n_steps) | {
        "lag": _variable("lag", np.arange(flow.n_lags), "steps", "lag k"),
        "window": _variable("window", np.arange(1, flow.n_lags + 1), "steps", "window K"),
        "log_norms": _variable(
            "sequence lag",
            _lag_curves(flow, growth.last_lag),
            "nats",
            "mean over steps of ln ||dl_t/dh_{t-k}||/||dl_t/dh_t||, over those that all lags reach",
        ),
        "growth_rate": _variable("", growth.rate[0], step, "fitted change of log norms per lag"),
        "growth_rate_error": _variable("", growth.standard_error[0], step, "error of that fit"),
        "growth_first_lag": _variable("", growth.first_lag, "steps", "first lag of the fit"),
        "growth_last_lag": _variable("", growth.last_lag, "steps", "last lag of the fit"),
        "truncation_log_error": _variable(
            "window",
            np.fmax(error, np.where(np.isneginf(error), error, floor)),
            "nats",
            "ln(||g_K - g||_F/||g||_F) of dL/dW_hh, not below its rounding",
        ),
        "sufficient_window": _variable("", window, "steps", "smallest window within tolerance"),
        "mean_slope": _variable("", flow.mean_slope[0], "1", "phi' over steps, sequences, units"),
        "first_nonfinite": _variable("", flow.first_nonfinite[0], "step", "-1 if all is finite"),
    }


def _map(flow: rnnsim.GradientFlow, length: int) -> Variables:
    """Norms by step and lag; where few steps carry loss, by sequence and lag, at the last one."""
    if 4 * flow.steps.size >= length:
        column = _variable("column", flow.steps, "step", "step $t$ of the loss")
        values, over = flow.log_norms[0], "mean over sequences of ln ||dl_t/dh_{t-k}|| at step t"
    else:
        assert flow.per_sequence is not None
        values, over = flow.per_sequence[0, -1].T, "ln ||dl_t/dh_{t-k}|| of a sequence, t the last"
        column = _variable("column", np.arange(1, len(values) + 1), "1", "sequence")
    return {
        "column": column,
        "log_norm_map": _variable("column lag", values, "nats", f"{over}, lag k"),
    }


def _lag_curves(flow: rnnsim.GradientFlow, last: int) -> npt.NDArray[np.float64]:
    """(B, K): log norms relative to lag 0, averaged over the steps that reach the last lag.

    NaN beyond it, and where a norm is exactly 0 for one of the steps.
    """
    assert flow.per_sequence is not None
    rows = flow.per_sequence[0, flow.steps > last].transpose(2, 0, 1)
    curves = np.full((rows.shape[0], rows.shape[2]), np.nan)
    with np.errstate(invalid="ignore"):
        relative = rows[:, :, : last + 1] - rows[:, :, :1]
        curves[:, : last + 1] = relative.mean(axis=1)
    return np.where(np.isfinite(curves), curves, np.nan)


def draw(datasets: Datasets) -> dict[str, Figure]:
    """One page."""
    return {"portrait": portrait_plots.page(datasets["portrait"])}


def summarise(datasets: Datasets) -> list[str]:
    """What the page shows, in words, from the data alone."""
    data = datasets["portrait"]
    name = portrait_plots.subject_in_words(data)
    return [
        f"{name}: {_fate(data)}",
        _slope_in_words(data),
        f"W_hh has spectral radius {float(data.spectral_radius):.2f} and norm "
        f"{float(data.spectral_norm):.2f}, with a departure from normality of "
        f"{float(data.henrici_relative):.0%} of its size; the mean slope of the units is "
        f"{float(data.mean_slope):.2f}.",
        _chaos_in_words(data),
        _window_in_words(data),
    ]


def _fate(data: xr.Dataset) -> str:
    exponent, error = float(data.exponents[0]), float(data.exponent_errors[0])
    if not np.isfinite(exponent):
        return "lambda_1 is not a number: the states left the range, or a Jacobian is 0."
    value = f"lambda_1 is {_with_error(exponent, error)} nats/step"
    if abs(exponent) <= 2 * error:
        return f"{value}, not to be told from 0: gradients neither vanish nor explode clearly."
    steps = np.log(2) / abs(exponent)
    fate = "vanish, halving" if exponent < 0 else "explode, doubling"
    return f"{value}: gradients {fate} in {steps:.1f} steps."


def _slope_in_words(data: xr.Dataset) -> str:
    rate = float(data.growth_rate)
    if not np.isfinite(rate):
        return "No growth rate could be fitted to the norms of gradients."
    known = (
        ""
        if np.isnan(data.theory_exponent)
        else (f"; mean field says {float(data.theory_exponent):+.3f} for lambda_1")
    )
    return (
        f"Norms of gradients change by {_with_error(rate, float(data.growth_rate_error))} "
        f"nats/step over lags {int(data.growth_first_lag)} to {int(data.growth_last_lag)}{known}."
    )


def _with_error(value: float, error: float) -> str:
    """Two digits of the error, and the value to the same decimals; six at most."""
    if not (np.isfinite(error) and error > 0):
        return f"{value:+.3f} +- {error:.3g}"
    short = f"{error:.1e}"
    decimals = max(1 - int(short.split("e")[1]), 0)
    if decimals > 6:
        return f"{value:+.6f} +- {short}"
    return f"{value:+.{decimals}f} +- {error:.{decimals}f}"


def _chaos_in_words(data: xr.Dataset) -> str:
    positive = int((data.exponents > 0).sum())
    if not positive:
        return "No Lyapunov exponent is positive: trajectories that read the same input converge."
    return (
        f"{positive} of {data.unit.size} Lyapunov exponents are positive: Kaplan-Yorke dimension "
        f"{float(data.kaplan_yorke):.1f}, entropy rate {float(data.entropy_rate):.3f} nats/step."
    )


def _window_in_words(data: xr.Dataset) -> str:
    tolerance = portrait_plots.configuration(data)["tolerance"]
    window, length = float(data.sufficient_window), int(data.window[-1])
    if not np.isfinite(window):
        return f"No window is known to suffice for a gradient within {tolerance:.0%}."
    return f"A gradient within {tolerance:.0%} needs a window of {window:.0f} of {length} steps."


ANALYSIS = Analysis(
    "portrait",
    "All that is known about one network, drawn or from a file, on one page.",
    Settings,
    compute,
    draw,
    summarise,
)
