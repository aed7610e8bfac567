"""Lyapunov exponents: spectra, the transition to chaos, convergence, finite-time exponents."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..commands.dynamics import LYAPUNOV, Lyapunov
from ..commands.own import of_files, with_own
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.words import counted, have
from .lyapunov_plots import (
    DASHED,
    GROWING,
    at_rest,
    beyond_0,
    mean_field,
    plot_attractor,
    plot_convergence,
    plot_finite_time,
    plot_spectrum,
    plot_transition,
)
from .lyapunov_words import LEAST, chaotic, sentences
from .lyapunov_words import steps as _steps

HELP = LYAPUNOV.help
Settings = Lyapunov

_SPECTRUM_GAINS = (0.5, 0.9, 1.5, 3.0)
_LEADING = 0.25
_SHOWN = (0.9, 1.5, 2.0)
_AROUND_1 = (0.9, 1.1, 1.5, 2.0)
_BINS = 48


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
        f"Thin: {_networks(dataset)} at each gain, {_input(dataset)}, thick: their median, "
        f"bands: quartiles. {_known_spectrum(dataset, gains)}Above the horizontal line small "
        "distances grow, below it they shrink: of no network shown do more than "
        f"{_most_growing(dataset.sel(gain=gains)):.0%} of the directions grow.",
    )
    return figure


def _known_spectrum(dataset: xr.Dataset, gains: list[float]) -> str:
    """What is dashed, if anything."""
    rest = [at_rest(dataset, gain) for gain in gains]
    resting = "linear" if figures.configuration(dataset)["activation"] == "linear" else "at rest"
    known = [f"ln |eigenvalue| by the circular law ({resting})"] * any(rest)
    if mean_field(dataset, gains) is not None and not all(rest):
        known.append("short, on the left, mean field of the largest" + " (others)" * any(rest))
    return f"Dashed, of large networks: {'; '.join(known)}. " if known else ""


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
        "their quartiles. Dots more than two standard errors, and "
        f"{LEAST:g} nats/step, above the horizontal line are "
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
        ax.set_title(f"gain {gain:g}", pad=figures.pt(9))  # above the ticks
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
        return "No tick, a network at a gain, is above 0."
    return (
        f"Of {counted(int(grow.sum()), 'tick')} above 0, a network at a gain each, "
        f"{have(int((grow & shrink).sum()))} blocks in which distances shrink."
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


def _input(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    reads = cells.read_in_words(settings["task"])
    return f"reading {reads}" if settings["driven"] else "no input"


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, sentences)
