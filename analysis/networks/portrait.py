"""A portrait: all that is known about one network, on one page."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim

from ..frame.runs import Datasets
from ..frame.settings import SCHEME_HELP, TASK_HELP, flag
from . import portrait_plots

HELP = "All that is known about one network, drawn or from a file, on one page."


@dataclass(frozen=True)
class Settings:
    """Which network is portrayed, and what it reads."""

    task: Annotated[str, flag(f"{TASK_HELP} Best with loss at all steps.")] = "characters"
    scheme: Annotated[str, flag(SCHEME_HELP)] = "gaussian"
    gain: Annotated[float, flag("Gain: factor of W_hh.")] = 1.5
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
    return {"portrait": rnnsim.portrait(progress=progress, **vars(settings))}


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
