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
from ..frame.words import have
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
from .lyapunov_words import chaotic, sentences
from .lyapunov_words import steps as _steps

HELP = LYAPUNOV.help
Settings = Lyapunov

_SPECTRUM_GAINS = (0.5, 0.7, 0.9, 1.5, 2.0, 3.0)
_LEADING = 0.25
_SHOWN = (0.9, 1.1, 1.5, 2.0)
_AROUND_1 = (0.9, 1.0, 1.1, 1.3, 1.5, 2.0)
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
    rest = [gain for gain in gains if at_rest(dataset, gain)]
    active = [gain for gain in gains if gain not in rest]
    linear = figures.configuration(dataset)["activation"] == "linear"
    resting = "linear" if linear else "at rest"
    others = "active, " if cells.is_plain(dataset) else ""  # of others it is not known
    wanted = [
        (rest, f"{resting}, {_input(dataset)}", None),
        (active, f"{others}{_input(dataset)}", None),
        (active, "the largest exponents", _LEADING),
    ]
    panels = [panel for panel in wanted if panel[0]]
    size = (5.4 * max(len(panels), 2), 6.2)
    figure, axes = figures.new_figure(1, len(panels), figsize=size, squeeze=False)
    for ax, (group, title, leading) in zip(axes[0], panels, strict=True):
        plot_spectrum(dataset, gains=group, leading=leading, ax=ax)
        ax.set_title(title)
        if leading is None:
            ax.legend(loc="lower left", fontsize=12)
    for ax in axes[0, 1:]:
        ax.set_ylabel("")
    known = []
    if rest:
        known.append(f"Dashed, {resting}: ln |eigenvalue| by the circular law.")
    if active and mean_field(dataset, 1.0) is not None:
        known.append(
            "Theory knows two numbers of active networks: the mean of all exponents (dashed) and "
            "the largest (stars)."
        )
    figures.caption(
        figure,
        f"Thin: {_networks(dataset)} at each gain, thick: their median. {' '.join([*known, ''])}"
        "Above the horizontal line small distances grow, below it they shrink: of no network shown "
        f"do more than {_most_growing(dataset.sel(gain=gains)):.0%} of the directions grow.",
    )
    return figure


def _most_growing(dataset: xr.Dataset) -> float:
    """The largest share of a network's exponents that are above 0."""
    above = (dataset.isel(n_hidden=-1).lyapunov_exponent > 0).sum("exponent")
    return float(above.max()) / cells.state_size(dataset, int(dataset.n_hidden[-1]))


def _transition_figure(dataset: xr.Dataset) -> Figure:
    sizes = [int(H) for H in dataset.n_hidden]
    figure, axes = figures.new_figure(
        1, len(sizes), figsize=(4.9 * max(len(sizes), 2), 5.6), sharey=True, squeeze=False
    )
    for ax, H in zip(axes[0], sizes, strict=True):
        plot_transition(dataset, n_hidden=H, ax=ax)
    for ax in axes[0, 1:]:
        ax.set_ylabel("")
    axes[0, 0].legend(fontsize=12)
    drawn = {line.get_label() for line in axes[0, 0].lines}
    theirs = "".join(f" Dashed: {text}." for name, text in DASHED.items() if name in drawn)
    figures.caption(
        figure,
        f"Dots: {dataset.network_seed.size} networks at each gain and size, {_input(dataset)}, "
        f"{_steps(dataset)}; band: their quartiles. Dots more than two standard errors above the "
        f"horizontal line are {beyond_0(dataset)} networks; {_mixed(dataset)} some are and others "
        f"are not.{theirs}",
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
        1, len(gains), figsize=(4.2 * max(len(gains), 2), 5.2), squeeze=False
    )
    for ax, gain in zip(axes[0], gains, strict=True):
        plot_convergence(dataset, gain=gain, ax=ax)
        ax.locator_params(axis="x", nbins=4)
    for ax in axes[0, 1:]:
        ax.set_ylabel("")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=12)
    figures.caption(
        figure,
        f"Each line one of {_networks(dataset)}, {_input(dataset)}: mean over all blocks of "
        f"{_block(dataset)} steps so far. Band: one standard error of the first network. Scales "
        "differ. More steps narrow the band, not the distance between networks.",
    )
    return figure


def _finite_time_figure(dataset: xr.Dataset) -> Figure:
    gains = figures.nearest(dataset.gain.values, _AROUND_1)
    figure, axes = figures.new_figure(
        len(gains), 1, figsize=(9, 1.5 * len(gains) + 2.2), sharex=True, squeeze=False
    )
    shown = dataset.finite_time.isel(n_hidden=-1).sel(gain=gains).values
    shown = shown[np.isfinite(shown)]
    low, high = np.quantile(shown, [0.002, 0.998]) if shown.size else (-1.0, 1.0)
    margin = max(0.05 * (high - low), 0.01)
    bins = np.linspace(min(low, 0.0) - margin, max(high, 0.0) + margin, _BINS + 1)
    for ax, gain in zip(axes[:, 0], gains, strict=True):
        plot_finite_time(dataset, gain=gain, bins=bins, ax=ax)
        ax.set_ylabel(f"gain {gain:g}", rotation=0, ha="right", va="center")
        if ax is not axes[-1, 0]:
            ax.set_xlabel("")
    dashed = " Dashed: mean field." if mean_field(dataset, 1.0) is not None else ""
    axes[0, 0].set_title(f"How distances grow and shrink within {_block(dataset)} steps")
    figures.caption(
        figure,
        f"Heights: share of the blocks of {_block(dataset)} steps of {_networks(dataset)}, "
        f"{_input(dataset)}, one shade each; ticks: their means over all blocks.{dashed} "
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
    axes[0].legend(fontsize=12)
    figures.caption(
        figure,
        f"Dots: {_networks(dataset)} at each gain, {_input(dataset)}; band: quartiles. Left: "
        f"{left} Right: {right} (the sum of its positive exponents).",
    )
    return figure


def _networks(dataset: xr.Dataset) -> str:
    units = f"{int(dataset.n_hidden[-1])} units{cells.in_each_layer(dataset)}"
    return f"{dataset.network_seed.size} networks of {units}"


def _block(dataset: xr.Dataset) -> int:
    return int(figures.configuration(dataset)["block_steps"])


def _input(dataset: xr.Dataset) -> str:
    settings = figures.configuration(dataset)
    reads = cells.read_in_words(settings["task"])
    return f"reading {reads}" if settings["driven"] else "no input"


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    return cells.told(datasets, sentences)
