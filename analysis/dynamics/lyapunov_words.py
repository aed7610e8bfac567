"""What exponents say, in words: where they are above 0, how networks differ, attractors."""

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.words import counted, part
from . import words
from .lyapunov_plots import beyond_0, gain_at_rest, mean_field

LEAST = 0.002  # nats/step


def chaotic(dataset: xr.Dataset) -> xr.DataArray:
    """Whether the largest exponent lies above 0 by two standard errors and what a cycle may show.

    Along a cycle it tends to 0 as 1/time, and its standard error is small. States that left the
    floating-point range have no exponent: they grow.
    """
    first = dataset.sel(exponent=1)
    above = first.lyapunov_exponent > np.maximum(2 * first.standard_error, LEAST)
    return above | first.lyapunov_exponent.isnull()


def steps(dataset: xr.Dataset) -> str:
    """The steps that exponents are of."""
    settings = figures.configuration(dataset)
    return f"{settings['n_steps'] - settings['burn_in']} steps after {settings['burn_in']}"


def sentences(datasets: Datasets) -> list[str]:
    """What the figures of one kind of networks show, in words."""
    transition, spectra = datasets["transition"], datasets["spectra"]
    sizes = [transition.sel(n_hidden=H) for H in transition.n_hidden]
    found = part(
        "Where exponents are above 0",
        [_criterion_in_words(transition), *(_transition_in_words(data) for data in sizes)],
        answer=_onset_in_words(sizes[-1]),
    )
    gain = figures.nearest(transition.gain.values, [1.5])[0]
    around = [_mixture_in_words(data.sel(gain=gain)) for data in sizes]
    if (known := mean_field(transition, gain)) is not None:
        value = float(known.largest_exponent)
        around.append(f"Mean field says {value:+z.3f} at gain {gain:g} for large networks.")
    if (critical := gain_at_rest(transition)) is not None:
        around.append(f"Rest of large networks loses stability at gain {critical:.3g}.")
    found += part(f"Networks of gain {gain:g}", around)
    return found + part("Attractors", [_attractor_in_words(spectra)])


def _most(dataset: xr.Dataset) -> words.Ranges:
    """At which gains half of the networks or more are chaotic."""
    most = chaotic(dataset).mean("network_seed") >= 0.5
    return words.ranges_where(most.gain.values, most.values)


def _onset_in_words(dataset: xr.Dataset) -> str:
    """From which gain on, where there is one such gain."""
    ranges, units = _most(dataset), counted(int(dataset.n_hidden), "unit")
    if not ranges:
        return f"Trajectories part in fewer than half of the networks at every gain ({units})."
    low, high = ranges[0]
    if len(ranges) > 1 or np.isfinite(high) or not np.isfinite(low):
        return ""
    return f"From gain {low:g} on trajectories part in half of the networks or more ({units})."


def _criterion_in_words(dataset: xr.Dataset) -> str:
    word = beyond_0(dataset)
    text = (
        f"{word.capitalize()}: the largest Lyapunov exponent lies more than two standard errors, "
        f"and {LEAST:g} nats/step, above 0"
    )
    if word == "unstable":
        return f"{text}, or the states left the floating-point range."
    return f"{text} over {steps(dataset)}; that may be a transient."


def _transition_in_words(dataset: xr.Dataset) -> str:
    ranges = _most(dataset)
    where = words.at_gains(ranges, none="at no gain")
    if ranges and np.isfinite(ranges[-1][1]):
        where = f"at no gain above {ranges[-1][1]:g}, but {where}"
    return (
        f"H = {int(dataset.n_hidden)}: half of the networks or more are {beyond_0(dataset)} "
        f"{where}."
    )


def _mixture_in_words(dataset: xr.Dataset) -> str:
    values = dataset.lyapunov_exponent.sel(exponent=1)
    name = f"H = {int(dataset.n_hidden)}, gain {float(dataset.gain):g}"
    many, of = int(chaotic(dataset).sum()), counted(values.size, "network")
    count = f"{many} of {of} {'is' if values.size == 1 else 'are'} {beyond_0(dataset)}"
    if values.isnull().all():
        return f"{name}: the largest exponents are not known; {count}."
    low, middle, high = _quartiles(values.values)
    return (
        f"{name}: the largest exponent is {middle:+z.3f} nats/step (quartiles {low:+z.3f} to "
        f"{high:+z.3f}); {count}."
    )


def _quartiles(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Quartiles of what is known; -inf counts as lowest."""
    lowest = -1e300
    found = np.nanquantile(np.where(np.isneginf(values), lowest, values), [0.25, 0.5, 0.75])
    return np.where(found < 0.1 * lowest, -np.inf, found)


def _attractor_in_words(dataset: xr.Dataset) -> str:
    """Dimension and entropy rate of the median network at the largest gain, where it has them."""
    last = dataset.isel(n_hidden=-1).sel(gain=dataset.gain.max())
    activation = figures.configuration(dataset)["activation"]
    which = f"At gain {float(last.gain):g}"
    units = f"{int(last.n_hidden)} units{cells.in_each_layer(last)}"
    network = f"the median network of {units}"
    rate, mean_text = _median(last.entropy_rate), _mean_in_words(last)
    unstable, size = int(chaotic(last).sum()), last.network_seed.size
    if activation == "linear" and unstable:
        return (
            f"{which} {unstable} of {counted(size, 'linear network')} of {units} are unstable and "
            f"have no attractor; of {network} the positive exponents add up to {rate:.2f} "
            f"nats/step; {mean_text}."
        )
    point, low, high = (
        _median(last[name]) for name in ("kaplan_yorke", "kaplan_yorke_low", "kaplan_yorke_high")
    )
    dimension = f"{point:.1f}" if np.isfinite(point) else "unknown"
    given = ", given the input," if figures.configuration(dataset)["driven"] else ""
    kind = (
        "a Kaplan-Yorke dimension, that of an attractor only where states stay bounded, of"
        if activation == "relu"
        else "an attractor of dimension"
    )
    return (
        f"{which} {network} has {kind} {dimension}{given} and an entropy rate of {rate:.2f} "
        f"nats/step; {mean_text}. Within two standard errors the dimension is "
        f"{words.between(low, high)}."
    )


def _mean_in_words(data: xr.Dataset) -> str:
    """The mean of all exponents; of gates and stacks precision may not resolve all of them."""
    known = data.lyapunov_exponent.notnull().sum("exponent")
    if not cells.is_plain(data) and int(known.min()) < data.exponent.size:
        return (
            "the mean of its exponents is not known, as precision does not resolve all of them "
            f"({int(known.min())} to {int(known.max())} of {data.exponent.size})"
        )
    mean = _median(data.lyapunov_exponent.mean("exponent"))
    return f"the mean of its exponents is {mean:+z.2f} nats/step"


def _median(values: xr.DataArray) -> float:
    return float(values.median("network_seed"))
