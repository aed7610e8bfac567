"""What a phase diagram says in words: where states part, where gradients grow, what theory says."""

import numpy as np
import numpy.typing as npt
import xarray as xr

from rnnsim import theory

from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.words import counted, have, part
from . import words
from .lyapunov_plots import RANDOM_ENTRIES

RATES = ("lyapunov_exponent", "growth_rate")  # forwards and backwards in time


def gain_at_rest(dataset: xr.Dataset) -> float | None:
    """The gain at which gated networks and stacks leave rest at strength 0; None of others."""
    settings = figures.configuration(dataset)
    if cells.is_plain(dataset):
        return None
    return cells.gain_at_rest(dataset, settings["scheme"], settings["activation"])


def in_theory(
    dataset: xr.Dataset, strength: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    """The critical gain of mean field at each strength; None where it does not hold."""
    settings = figures.configuration(dataset)
    if not cells.is_plain(dataset):
        return None
    if settings["activation"] != "tanh" or settings["scheme"] not in RANDOM_ENTRIES:
        return None
    if settings["drive"] == "input":
        critical = theory.critical_gain(input_variance=strength**2)
    else:
        critical = theory.critical_gain(bias_variance=strength**2)
    return critical / theory.effective_gain(settings["scheme"], 1.0)


def medians(dataset: xr.Dataset, variable: str) -> xr.DataArray:
    """Over networks, where half of them or more are known.

    The rate of a network all of whose gradients die is -inf: it is none that grows.
    """
    values = dataset[variable]
    if variable == "growth_rate" and "growth_live" in dataset:
        values = values.where(dataset.growth_live != 0, -np.inf)
    known = values.notnull().mean("network_seed") >= 0.5
    return values.median("network_seed").where(known)


def sentences(datasets: Datasets) -> list[str]:
    """Those of one kind of networks."""
    data = datasets["phase"]
    strengths = data.strength.values
    wanted = [strengths.min(), float(np.median(strengths)), strengths.max()]
    shown = figures.nearest(strengths, wanted)
    return [
        *part(
            "Where states part and gradients grow",
            [_strength_in_words(data.sel(strength=strength)) for strength in shown],
            answer=_parting_in_words(data),
        ),
        *part(
            "Forwards beside backwards",
            [_agreement_in_words(data)],
            answer=_together_in_words(data),
        ),
    ]


def _parting_in_words(data: xr.Dataset) -> str:
    """At how many gains neighbouring states part, with the least and the most of a drive."""
    word, strengths = figures.configuration(data)["drive"], data.strength.values
    counts = []
    for strength in dict.fromkeys((float(strengths.min()), float(strengths.max()))):
        exponents = medians(data.sel(strength=strength), "lyapunov_exponent").values
        known, above = int((~np.isnan(exponents)).sum()), int((exponents > 0).sum())
        if known:
            gains = counted(known, "gain")
            counts.append(f"at {above} of {gains} at {word} strength {strength:g}")
    return f"Neighbouring states part, in the median, {', '.join(counts)}." * bool(counts)


def _together_in_words(data: xr.Dataset) -> str:
    """In how many networks both rates say the same; "" where none has both."""
    forth, back = (data[name].values for name in ("lyapunov_exponent", "growth_rate"))
    known = np.isfinite(forth) & np.isfinite(back)
    same = int(((forth > 0) == (back > 0))[known].sum())
    return (
        f"States part and gradients grow, or neither of both, in {same} of "
        f"{counted(int(known.sum()), 'network')}."
    ) * bool(known.any())


def _strength_in_words(data: xr.Dataset) -> str:
    word, strength = figures.configuration(data)["drive"], float(data.strength)
    where = {variable: _where(medians(data, variable)) for variable in RATES}
    critical = in_theory(data, np.array([strength]))
    theirs = "" if critical is None else f"; mean field for large networks: {critical[0]:.2f}"
    if strength == 0 and (rest := gain_at_rest(data)) is not None:
        theirs = f"; rest of large networks loses stability at {rest:.3g}"
    dtype = figures.configuration(data)["dtype"]
    close = words.told_from_0(data.lyapunov_exponent, data.standard_error, dtype) == 0
    return (
        f"At {word} strength {strength:g} the median largest Lyapunov exponent is above 0 "
        f"{where['lyapunov_exponent']}, gradients grow {where['growth_rate']}{theirs}. Of "
        f"{counted(close.size, 'network')} there, {have(int(close.sum()))} an exponent within two "
        "standard errors of 0."
    )


def _where(row: xr.DataArray) -> str:
    """At which gains a median is above 0, and at which it is not known."""
    ranges = words.ranges_above(row.gain.values, row.values)
    text = words.at_gains(ranges, none="from none of these gains on", form=".2f")
    unknown = np.sort(row.gain.values[np.isnan(row.values)])
    if unknown.size == 0:
        return text
    listing = ", ".join(f"{gain:g}" for gain in unknown)
    return f"{text} (not known at {listing})"


def _agreement_in_words(data: xr.Dataset) -> str:
    forth, back, error = (
        data[name].values.ravel() for name in ("lyapunov_exponent", "growth_rate", "standard_error")
    )
    known = np.isfinite(forth) & np.isfinite(back)
    forth, back, error = forth[known], back[known], error[known]
    if forth.size == 0:
        return "No network has both rates."
    apart = np.abs(forth - back)
    differ = (forth > 0) != (back > 0)
    largest = np.abs(forth[differ]).max(initial=0.0)
    dtype = figures.configuration(data)["dtype"]
    told = int(np.abs(words.told_from_0(forth, error, dtype)[differ]).sum())
    where = (
        f", all with a largest exponent within {largest:.3f} of 0, {told} of them more than two "
        "standard errors from it"
        if differ.any()
        else ""
    )
    return (
        f"Both rates of a network differ by {np.median(apart):.4f} nats/step in the median and "
        f"{apart.max():.3f} at most; their signs differ in {int(differ.sum())} of "
        f"{counted(forth.size, 'network')}{where}."
    )
