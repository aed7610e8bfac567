"""Lyapunov exponents: spectra, the transition to chaos, convergence, finite-time exponents."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.settings import DRAW_HELP, TASK_HELP, Cells, Ensemble, Own, flag, of_files, with_own
from ..frame.words import counted, have
from . import words
from .lyapunov_plots import (
    DASHED,
    GROWING,
    at_rest,
    beyond_0,
    gain_at_rest,
    mean_field,
    plot_attractor,
    plot_convergence,
    plot_finite_time,
    plot_spectrum,
    plot_transition,
)

HELP = "Lyapunov spectra, the transition to chaos, convergence, finite-time exponents."

_GAINS = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0)
_SPECTRUM_GAINS = (0.5, 0.9, 1.5, 3.0)
_LEADING = 0.25
_SHOWN = (0.9, 1.5, 2.0)
_AROUND_1 = (0.9, 1.1, 1.5, 2.0)
_BINS = 48
_LEAST = 0.002  # nats/step


@dataclass(frozen=True)
class Settings(Own, Cells, Ensemble):
    """What to simulate."""

    task: Annotated[str, flag(f"{TASK_HELP} Its inputs are what --driven networks read.")] = (
        "characters"
    )
    n_hidden: Annotated[int, flag("Hidden units H of all figures but the transition.")] = 64
    network_seeds: Annotated[int, flag("Networks per gain.")] = 8
    batch_size: Annotated[int, flag("Sequences B: input sequences, or initial states.")] = 1
    gain: Annotated[tuple[float, ...], flag("Gains: factors of W_hh.")] = _GAINS
    transition_n_hidden: Annotated[tuple[int, ...], flag("Sizes H of the transition.")] = (
        32,
        64,
        128,
    )
    driven: Annotated[
        bool, flag("Read the task's inputs; without, and without --data, the input is 0.")
    ] = False
    n_steps: Annotated[int, flag("Steps, burn-in included.")] = 2500
    burn_in: Annotated[int, flag("Steps before measuring begins.")] = 500
    block_steps: Annotated[int, flag("Steps of a block, of finite-time exponents.")] = 20
    scheme: Annotated[str, flag(DRAW_HELP)] = "gaussian"


def compute(settings: Settings, progress: bool) -> Datasets:
    """Largest exponents of all sizes, and whole spectra of one."""
    names = ("gain", "scheme", "n_steps", "burn_in", "block_steps")
    wanted = {name: getattr(settings, name) for name in names}
    with of_files(settings):
        common = with_own(settings, settings.shared() | wanted) | {"progress": progress}
        common["driven"] = settings.driven or settings.data is not None
        several = common | {"n_exponents": 1}
        if settings.weights is None:
            several["n_hidden"] = settings.transition_n_hidden
        with checks.renamed(n_hidden="`--transition-n-hidden`"):
            transition = rnnsim.lyapunov_sweep(**several)
        return {"transition": transition, "spectra": rnnsim.lyapunov_sweep(**common)}


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family, those of each cell by themselves."""
    return cells.drawn(datasets, _figures, state=": exponents of %s")


def _figures(datasets: Datasets) -> dict[str, Figure]:
    return {
        "lyapunov-spectrum": _spectrum_figure(datasets["spectra"]),
        "transition": _transition_figure(datasets["transition"]),
        "convergence": _convergence_figure(datasets["spectra"]),
        "finite-time": _finite_time_figure(datasets["spectra"]),
        "attractor": _attractor_figure(datasets["spectra"]),
    }


def _spectrum_figure(dataset: xr.Dataset) -> Figure:
    gains = figures.nearest(dataset.gain.values, _SPECTRUM_GAINS)
    figure, axes = figures.new_figure(1, 2, figsize=(12, 5.8))
    plot_spectrum(dataset, gains=gains, ax=axes[0])
    plot_spectrum(dataset, gains=gains, leading=_LEADING, ax=axes[1])
    axes[0].set_title("All exponents")
    axes[1].set_title("The largest of them")
    figures.letter(axes)
    figures.caption(
        figure,
        f"Thin: {_networks(dataset)} at each gain, {_input(dataset)}, thick: their median. "
        f"{_known_spectrum(dataset, gains)}Above the horizontal line small distances grow, below "
        "it they shrink: of no network shown do more than "
        f"{_most_growing(dataset.sel(gain=gains)):.0%} of the directions grow.",
    )
    return figure


def _known_spectrum(dataset: xr.Dataset, gains: list[float]) -> str:
    """What is dashed, if anything."""
    rest = [at_rest(dataset, gain) for gain in gains]
    resting = "linear" if figures.configuration(dataset)["activation"] == "linear" else "at rest"
    known = [f"ln |eigenvalue| by the circular law ({resting})"] * any(rest)
    if mean_field(dataset, gains) is not None and not all(rest):
        known.append("short, on the left, mean field of the largest" + " (active)" * any(rest))
    return f"Dashed: {'; '.join(known)}. " if known else ""


def _most_growing(dataset: xr.Dataset) -> float:
    """The largest share of a network's exponents that are above 0."""
    above = (dataset.isel(n_hidden=-1).lyapunov_exponent > 0).sum("exponent")
    return float(above.max()) / cells.state_size(dataset, int(dataset.n_hidden[-1]))


def _transition_figure(dataset: xr.Dataset) -> Figure:
    sizes = [int(H) for H in dataset.n_hidden]
    figure, axes = figures.new_figure(
        1, len(sizes), figsize=(4.6 * max(len(sizes), 2), 5.2), sharey=True, squeeze=False
    )
    for ax, H in zip(axes[0], sizes, strict=True):
        plot_transition(dataset, n_hidden=H, ax=ax)
    figures.label_outer(figure)
    figures.legend_above(figure, *axes[0, 0].get_legend_handles_labels())
    drawn = {line.get_label() for line in axes[0, 0].lines}
    theirs = "".join(f" Dashed: {text}." for name, text in DASHED.items() if name in drawn)
    networks = counted(dataset.network_seed.size, "network")
    figures.caption(
        figure,
        f"Dots: {networks} at each gain and size, {_input(dataset)}, {_steps(dataset)}; band: "
        "their quartiles. Dots more than two standard errors above the horizontal line are "
        f"{beyond_0(dataset)} networks; {_mixed(dataset)} some are and others are not.{theirs}",
    )
    return figure


def _mixed(dataset: xr.Dataset) -> str:
    """At how many gains of each size networks are of both kinds."""
    share = chaotic(dataset).mean("network_seed")
    mixed = int(((share > 0) & (share < 1)).sum())
    return f"at {mixed} of {share.size} points, a gain and a size each,"


def _convergence_figure(dataset: xr.Dataset) -> Figure:
    gains = figures.nearest(dataset.gain.values, _SHOWN)
    figure, axes = figures.new_figure(
        1, len(gains), figsize=(4.4 * max(len(gains), 2), 5.0), sharey=True, squeeze=False
    )
    for ax, gain in zip(axes[0], gains, strict=True):
        plot_convergence(dataset, gain=gain, ax=ax)
        ax.locator_params(axis="x", nbins=4)
    figures.label_outer(figure)
    figures.legend_above(figure, *axes[0, 0].get_legend_handles_labels())
    figures.caption(
        figure,
        f"Each line one of {_networks(dataset)}, {_input(dataset)}: mean over all blocks of "
        f"{counted(_block(dataset), 'step')} so far. Band: one standard error of the first "
        "network. More steps narrow the band, not the distance between networks.",
    )
    return figure


def _finite_time_figure(dataset: xr.Dataset) -> Figure:
    gains = figures.nearest(dataset.gain.values, _AROUND_1)
    figure, axes = figures.new_figure(
        len(gains), 1, figsize=(8.5, 1.75 * len(gains) + 1.2), sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    shown = dataset.finite_time.isel(n_hidden=-1).sel(gain=gains).values
    shown = shown[np.isfinite(shown)]
    low, high = np.quantile(shown, [0.002, 0.998]) if shown.size else (-1.0, 1.0)
    margin = max(0.05 * (high - low), 0.01)
    bins = np.linspace(min(low, 0.0) - margin, max(high, 0.0) + margin, _BINS + 1)
    for ax, gain in zip(axes[:, 0], gains, strict=True):
        plot_finite_time(dataset, gain=gain, bins=bins, ax=ax)
        ax.set_title(f"gain {gain:g}")
    figures.label_outer(figure)
    figures.legend_above(figure, *axes[0, 0].get_legend_handles_labels())
    block = counted(_block(dataset), "step")
    figures.caption(
        figure,
        f"How distances grow (right of the vertical line) and shrink (left of it) within {block}: "
        f"share of all blocks of {_networks(dataset)}, {_input(dataset)}. "
        f"{_shrinking(dataset.isel(n_hidden=-1).sel(gain=gains))}",
    )
    return figure


def _shrinking(dataset: xr.Dataset) -> str:
    """How many of the networks whose distances grow have blocks in which they shrink."""
    grow = dataset.lyapunov_exponent.sel(exponent=1) > 0
    shrink = (dataset.finite_time < 0).any(["sequence", "time"])
    if not grow.any():
        return "None has a mean above 0."
    return (
        f"Of {int(grow.sum())} with a mean above 0, {have(int((grow & shrink).sum()))} blocks in "
        "which distances shrink."
    )


def _attractor_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(12, 5.6))
    activation = figures.configuration(dataset)["activation"]
    bounded = activation not in GROWING
    titles = {
        "kaplan_yorke": "Dimension of the attractor" if bounded else "Kaplan-Yorke dimension",
        "entropy_rate": "Entropy rate, at most" if bounded else "Growth of volumes",
    }
    left = {
        "relu": "the dimension of an attractor, as a share of the units, if states stay bounded.",
        "linear": "0 where a network comes to rest; an unstable one has no attractor, and no dot.",
    }.get(activation, "how many directions the attractor fills, as a share of the units.")
    right = (
        "how fast a network tells states apart that were too close to see, at most"
        if bounded
        else "how fast volumes grow in the directions that grow"
    )
    for ax, (variable, title) in zip(axes, titles.items(), strict=True):
        plot_attractor(dataset, variable, ax=ax)
        ax.set_title(title)
    figures.letter(axes)
    figures.legend_above(figure, *axes[0].get_legend_handles_labels())
    figures.caption(
        figure,
        f"Dots: {_networks(dataset)} at each gain, {_input(dataset)}; band: quartiles. (a): "
        f"{left} (b): {right} (the sum of its positive exponents).",
    )
    return figure


def _networks(dataset: xr.Dataset) -> str:
    units = counted(int(dataset.n_hidden[-1]), "unit") + cells.in_each_layer(dataset)
    return f"{counted(dataset.network_seed.size, 'network')} of {units}"


def _block(dataset: xr.Dataset) -> int:
    return int(figures.configuration(dataset)["block_steps"])


def _steps(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    return f"{settings['n_steps'] - settings['burn_in']} steps after {settings['burn_in']}"


def _input(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    reads = cells.read_in_words(settings["task"])
    return f"reading {reads}" if settings["driven"] else "no input"


def chaotic(dataset: xr.Dataset) -> xr.DataArray:
    """Whether the largest exponent lies above 0 by two standard errors and what a cycle may show.

    Along a cycle it tends to 0 as 1/time, and its standard error is small. States that left the
    floating-point range have no exponent: they grow.
    """
    first = dataset.sel(exponent=1)
    above = first.lyapunov_exponent > np.maximum(2 * first.standard_error, _LEAST)
    return above | first.lyapunov_exponent.isnull()


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, _sentences)


def _sentences(datasets: Datasets) -> list[str]:
    transition, spectra = datasets["transition"], datasets["spectra"]
    sizes = [transition.sel(n_hidden=H) for H in transition.n_hidden]
    sentences = [_criterion_in_words(transition), *(_transition_in_words(data) for data in sizes)]
    gain = figures.nearest(transition.gain.values, [1.5])[0]
    sentences += [_mixture_in_words(data.sel(gain=gain)) for data in sizes]
    if (known := mean_field(transition, gain)) is not None:
        value = float(known.largest_exponent)
        sentences.append(f"Mean field says {value:+z.3f} at gain {gain:g} for large networks.")
    if (critical := gain_at_rest(transition)) is not None:
        sentences.append(f"Rest of large networks loses stability at gain {critical:.3g}.")
    sentences.append(_attractor_in_words(spectra))
    return sentences


def _criterion_in_words(dataset: xr.Dataset) -> str:
    word = beyond_0(dataset)
    text = (
        f"{word.capitalize()}: the largest Lyapunov exponent lies more than two standard errors, "
        f"and {_LEAST:g} nats/step, above 0"
    )
    if word == "unstable":
        return f"{text}, or the states left the floating-point range."
    return f"{text} over {_steps(dataset)}; that may be a transient."


def _transition_in_words(dataset: xr.Dataset) -> str:
    most = chaotic(dataset).mean("network_seed") >= 0.5
    ranges = words.ranges_where(most.gain.values, most.values)
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
    count = f"{int(chaotic(dataset).sum())} of {values.size} networks are {beyond_0(dataset)}"
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
            f"{which} {unstable} of {size} linear networks of {units} are unstable and have no "
            f"attractor; of {network} the positive exponents add up to {rate:.2f} nats/step; "
            f"{mean_text}."
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
