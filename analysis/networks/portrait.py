"""A portrait: all that is known about one network, on one page."""

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim

from ..commands.networks import PORTRAIT, Portrait
from ..commands.own import of_files, with_own
from ..dynamics import words
from ..frame import cells
from ..frame.runs import Datasets
from ..frame.words import counted, part
from . import portrait_gated, portrait_plots
from .portrait_page import configuration, subject_in_words

HELP = PORTRAIT.help
Settings = Portrait


def compute(settings: Settings, progress: bool) -> Datasets:
    """One dataset of one network: spectra, exponents, and its gradients on one batch."""
    with of_files(settings):
        chosen = with_own(settings, vars(settings))
        if settings.gain is None:
            chosen.pop("gain", None)  # as usual, or as the file has it
        return {"portrait": rnnsim.portrait(progress=progress, **chosen)}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """One page."""
    data = datasets["portrait"]
    page = portrait_gated.page if portrait_gated.has_blocks(data) else portrait_plots.page
    return {"portrait": page(data)}


def summarise(datasets: Datasets) -> list[str]:
    """What the page shows, in words, from the data alone."""
    data = datasets["portrait"]
    lost = cells.lacks_outputs(data)
    without = ["It has no outputs, and its loss is a random linear functional of its states."]
    return [*_sentences(data), *without * lost]


_FATES = {
    -1.0: "Gradients vanish in this network.",
    0.0: "Gradients neither vanish nor explode clearly in this network.",
    1.0: "Gradients explode in this network.",
}


def _sentences(data: xr.Dataset) -> list[str]:
    verdict = sign(data)
    gated = portrait_gated.has_blocks(data)
    parts = portrait_gated.parts_in_words(data) if gated else []
    return [
        *part(
            "What becomes of gradients",
            [f"{subject_in_words(data)}: {_fate(data)}", _slope_in_words(data), *parts],
            answer=_FATES.get(verdict, ""),
            advice="clip gradients when this network is trained." * (verdict > 0),
        ),
        *part(
            "Weights and units",
            [portrait_gated.steps_in_words(data) if gated else _matrix_in_words(data)],
        ),
        *part("States", [_chaos_in_words(data)]),
        *part(
            "Truncation", [_window_in_words(data)], advice="" if gated else _window_to_take(data)
        ),
    ]


def _matrix_in_words(data: xr.Dataset) -> str:
    return (
        f"W_hh has spectral radius {float(data.spectral_radius):.2f} and norm "
        f"{float(data.spectral_norm):.2f}, with a departure from normality of "
        f"{float(data.henrici_relative):.0%} of its size; the mean slope of the units is "
        f"{float(data.mean_slope):.2f}."
    )


def sign(data: xr.Dataset) -> float:
    """Of lambda_1: 1 or -1 where two standard errors tell it from 0, else 0; NaN if not known."""
    signs = _signs(data)
    return 1.0 if np.isfinite(signs[0]) and (signs > 0).any() else float(signs[0])


def _signs(data: xr.Dataset) -> npt.NDArray[np.float64]:
    """Of all exponents."""
    dtype = configuration(data)["dtype"]
    return words.told_from_0(data.exponents, data.exponent_errors, dtype)


def _fate(data: xr.Dataset) -> str:
    exponent, error = float(data.exponents[0]), float(data.exponent_errors[0])
    if np.isneginf(exponent):
        return "the largest Lyapunov exponent is -inf: a Jacobian is 0, no gradient passes it."
    if not np.isfinite(exponent):
        return "the largest Lyapunov exponent is not a number: the states left the range."
    value = f"the largest Lyapunov exponent is {words.with_error(exponent, error)} nats/step"
    verdict = sign(data)
    if np.isnan(verdict):
        return f"{value}; its error is not known, nor whether gradients vanish or explode."
    if verdict == 0:
        return f"{value}, not to be told from 0: gradients neither vanish nor explode clearly."
    steps = np.log(2) / abs(exponent)
    fate = "vanish, halving" if verdict < 0 else "explode, doubling"
    return f"{value}: gradients {fate} in {steps:.1f} steps."


def _slope_in_words(data: xr.Dataset) -> str:
    rate, error, live = (
        float(data[name]) for name in ("growth_rate", "growth_rate_error", "growth_live")
    )
    last = int(data.growth_last_lag)
    if not np.isfinite(rate):
        why = f": all are exactly 0 at lag {last}" if live == 0 else ""
        return f"No growth rate could be fitted to the norms of gradients{why}."
    silent = portrait_gated.has_blocks(data) or cells.own_of(data)  # which was not drawn
    known = (
        ""
        if silent or np.isnan(data.theory_exponent)
        else f"; mean field says {float(data.theory_exponent):+z.3f} for the largest exponent"
    )
    sentence = (
        f"Norms of gradients change by {words.with_error(rate, error)} nats/step over lags "
        f"{int(data.growth_first_lag)} to {last}, for this network{known}"
    )
    return ". ".join([sentence, *_how_sure(data, rate, error, live)]) + "."


def _how_sure(data: xr.Dataset, rate: float, error: float, live: float) -> list[str]:
    """What a reader of the growth rate must know, without full stops."""
    found = []
    if live < 1:
        share = "more than 99.9%" if live > 0.9995 else f"{live:.1%}"
        found.append(f"Meant are those that are not 0 at the last of these lags, {share} of them")
    if np.isnan(error):
        found.append(
            "Its error is not known: that takes two sequences, or a stream of ten times these lags"
        )
    elif words.told_from_0(rate, error, configuration(data)["dtype"]) == 0:
        found.append("That is not to be told from 0")
    if not bool(data.growth_single):
        early, late = float(data.growth_early), float(data.growth_late)
        found.append(
            f"There is no single rate: it is {early:+z.3f} in the first half of these lags and "
            f"{late:+z.3f} in the second"
        )
    return found


def _chaos_in_words(data: xr.Dataset) -> str:
    verdict, count = sign(data), int((_signs(data) > 0).sum())
    if np.isnan(verdict):
        return "Whether trajectories that read the same input converge is not known."
    if verdict < 0:
        return "No Lyapunov exponent is positive: trajectories that read the same input converge."
    between = words.between(float(data.kaplan_yorke_low), float(data.kaplan_yorke_high))
    if verdict == 0:
        return (
            "Whether trajectories that read the same input converge is not to be told: no Lyapunov "
            "exponent lies more than two standard errors above 0; Kaplan-Yorke dimension given the "
            f"input {between}."
        )
    dimension = (
        f"Kaplan-Yorke dimension given the input {float(data.kaplan_yorke):.1f}, within two errors "
        f"{between}"
    )
    activation = configuration(data)["activation"]
    if activation == "linear":
        dimension = "the states grow, there is no attractor"
    elif activation == "relu":
        dimension += ", of an attractor only if the states stay bounded"
    return (
        f"{count} of {data.unit.size} Lyapunov exponents lie more than two standard errors above "
        f"0: {dimension}; the positive ones add up to {float(data.entropy_rate):.3f} nats/step."
    )


def _window_to_take(data: xr.Dataset) -> str:
    """Whether to truncate, and through which window; "" where none is known."""
    window, length = float(data.sufficient_window), int(data.window[-1])
    if not np.isfinite(window):
        return ""
    if window >= length:
        return "do not truncate."
    return f"train through {counted(int(window), 'step')} or more."


def _window_in_words(data: xr.Dataset) -> str:
    tolerance = configuration(data)["tolerance"]
    window, length = float(data.sufficient_window), int(data.window[-1])
    if portrait_gated.has_blocks(data):
        return portrait_gated.window_in_words(data, tolerance)
    if not np.isfinite(window):
        return f"No window is known to suffice for a gradient within {tolerance:.0%}."
    return f"A gradient within {tolerance:.0%} needs a window of {window:.0f} of {length} steps."
