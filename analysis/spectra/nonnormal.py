"""Departure from normality: the same eigenvalues, other transients, other gradients."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import rnnsim
from rnnsim import checks

from ..commands.spectra import NONNORMAL, Nonnormal
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.statistics import median_over
from ..frame.words import counted, known_of, middle, part, percent, share
from .nonnormal_plots import (
    asymptote_key,
    plane_key,
    plane_norm,
    plot_gradients,
    plot_peak,
    plot_powers,
    plot_pseudospectrum,
    plot_windows,
)

HELP = NONNORMAL.help
Settings = Nonnormal

_SEEN_LAGS = 80  # where the axis of lags ends

_SHOWN_SCALES = (0.0, 1.0, 2.0, 3.0)


def compute(settings: Settings, progress: bool) -> Datasets:
    """Transients and gradients of all networks, pseudospectra of the first."""
    _check_kind(settings)
    shared = settings.shared() | {"cell": "vanilla", "n_layers": 1}
    del shared["forget_bias"]
    family: dict[str, Any] = {"radius": settings.radius, "scheme": settings.scheme}
    alike = {name: shared[name] for name in ("n_hidden", "task", "dtype")}
    with checks.renamed(scale="`--plane-scale`"):
        planes = rnnsim.pseudospectrum_sweep(
            scale=settings.plane_scale, n_points=settings.n_points, **family, **alike
        )
    transients = rnnsim.normality_sweep(
        scale=sorted(settings.scale),
        length=settings.length,
        tolerance=settings.tolerance,
        progress=progress,
        **family,
        **shared,
    )
    return {"pseudospectra": planes, "transients": transients}


def _check_kind(settings: Settings) -> None:
    """What is studied here is powers of one W_hh, which no other networks are."""
    for name, known in (("cell", ("vanilla",)), ("n_layers", (1,)), ("forget_bias", (0.0,))):
        given = getattr(settings, name)
        if tuple(given) == known:
            continue
        for each in given:  # what no command takes is not sent on to others
            if name == "cell":
                checks.one_of("cell", each, tuple(cells.NAMES))
            elif name == "n_layers":
                checks.size("n_layers", each)
        why = {
            "cell": "a step of gated cells is more than a W_hh whose powers and pseudospectra say "
            "how it ends, and no scaling of blocks of gates keeps its eigenvalues",
            "n_layers": "a step of a stack is no power of one W_hh",
            "forget_bias": "networks without gates have none",
        }[name]
        flags = f"--{name.replace('_', '-')} {' '.join(map(str, given))}"
        others = (
            f", or see `rnnsim spectra {flags}` (what one step does) and `rnnsim isometry {flags}` "
            "(products of many)"
        )
        raise ValueError(
            f"`{name}` must be {known[0]} here, got {checks.shown(list(given))}: {why}; leave it "
            f"out{others * (name != 'forget_bias')}"
        )


def draw(datasets: Datasets) -> dict[str, Figure]:
    """All figures of this family."""
    return {
        "pseudospectra": _plane_figure(datasets["pseudospectra"]),
        "transient-growth": _transient_figure(datasets["transients"]),
        "peak-and-window": _peak_figure(datasets["transients"]),
    }


def _plane_figure(dataset: xr.Dataset) -> Figure:
    scales = dataset.scale.values
    figure, axes = figures.new_figure(
        1, len(scales), figsize=(max(4.2 * len(scales), 6.0), 5.2), sharey=True, squeeze=False
    )
    for ax, scale in zip(axes[0], scales, strict=True):
        plot_pseudospectrum(dataset, scale=scale, ax=ax)
        departure = float(dataset.henrici_relative.sel(scale=scale))
        ax.set_title(f"{_name(scale)}:\ndeparture {share(departure)}")
    figures.label_outer(figure)
    shades = ScalarMappable(plane_norm(dataset), "Greys_r")
    label = r"$\sigma_{min}(zI - W_{hh})$: how far $z$ is from being an eigenvalue"
    scale = {"format": lambda x, _: f"$10^{{{x:.0f}}}$", "ticks": MaxNLocator(integer=True)}
    figures.colour_bar(figure, shades, list(axes[0]), label, extend="min", shrink=0.85, **scale)
    figures.legend_above(figure, plane_key())
    radius = figures.configuration(dataset)["radius"]
    figures.caption(
        figure,
        f"One network of {counted(dataset.unit.size, 'unit')}, spectral radius {radius:g}: s "
        "scales its departure from normality and leaves the eigenvalues as they are. A contour of "
        "0.1 encloses all that changes of W_hh of that size (2-norm) can make of them: points "
        "within 0.1 of an eigenvalue where W_hh is normal. Those of 0.01 may hide behind the dots. "
        "Where a contour lies far outside the circle, powers of W_hh can grow before they shrink.",
    )
    return figure


def _transient_figure(dataset: xr.Dataset) -> Figure:
    kinds = list(dataset.activation.values)
    columns = 1 + len(kinds)
    figure, axes = figures.new_figure(
        1, columns, figsize=(max(4.8 * columns, 9.0), 6.0), sharey=True, squeeze=False
    )
    seen = dataset.sel(scale=figures.nearest(dataset.scale.values, _SHOWN_SCALES))
    seen = seen.sel(lag=slice(None, _SEEN_LAGS))
    plot_powers(seen, ax=axes[0, 0])
    axes[0, 0].set_title("Powers of $W_{hh}$")
    for ax, kind in zip(axes[0, 1:], kinds, strict=True):
        plot_gradients(seen, activation=kind, ax=ax)
        ax.set_title(f"Gradients, {kind} networks")
    figures.letter(axes)
    figures.label_outer(figure)
    figures.legend_above(figure, asymptote_key())
    settings = figures.configuration(dataset)
    sequences = counted(settings["batch_size"], "sequence")
    networks = counted(dataset.network_seed.size, "network")
    figures.caption(
        figure,
        f"Thin: {networks} of {counted(settings['n_hidden'], 'unit')}, thick: medians, bands: "
        f"quartiles; gradients: means of ln over {sequences} of {settings['task']}, loss at the "
        "last step. s scales the departure from normality and leaves the eigenvalues as they are: "
        "the dashed line holds for powers of s = 0 at once, of others only in the end. The slopes "
        "of units multiply W_hh and change its eigenvalues, which a W_hh far from normal feels "
        "most.",
    )
    return figure


def _peak_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(13, 5.8))
    plot_peak(dataset, ax=axes[0])
    plot_windows(dataset, ax=axes[1])
    axes[0].set_title("How far a linear network can amplify")
    axes[1].set_title("How far truncation has to reach")
    figures.letter(axes)
    settings = figures.configuration(dataset)
    networks = counted(dataset.network_seed.size, "network")
    figures.caption(
        figure,
        f"Small marks: {networks} at each of {counted(dataset.scale.size, 'scale')} of the "
        f"departure, lines: medians. All have spectral radius {settings['radius']:g}. (a): the "
        "largest norm of powers, and the Kreiss constant, a lower bound of it. (b): windows "
        "at which the truncated gradient of all losses is within "
        f"{percent(settings['tolerance'])} of the full one. Dashed: the window at which "
        "$\\rho^K$ is that small, as eigenvalues alone would have it. Dotted: no window shorter "
        "than the sequence suffices.",
    )
    return figure


def _name(scale: float) -> str:
    names = {0.0: "normal", 1.0: "as drawn"}
    return f"s = {scale:g}" + (f" ({names[scale]})" if scale in names else "")


def summarise(datasets: Datasets) -> list[str]:
    """What the figures show, in words, from the data alone."""
    data = datasets["transients"]
    settings = figures.configuration(data)
    sentences = [
        f"All networks have spectral radius {settings['radius']:g} and, at each scale s of their "
        "departure from normality, the eigenvalues of the same draws."
    ]
    sentences += [_scale_in_words(data.sel(scale=scale), settings) for scale in data.scale.values]
    return part("The same eigenvalues, less and less normal", sentences, answer=_longer(data))


def _longer(data: xr.Dataset) -> str:
    """Whether windows never shrink with the departure, and grow in the end."""
    ends = median_over(data.sufficient_window, "network_seed").sortby("scale")
    rows = ends.transpose("activation", "scale").values
    if not ((np.diff(rows) >= 0).all() and (rows[:, -1] > rows[:, 0]).all()):
        return ""
    return (
        "With the same eigenvalues gradients need longer windows, the farther W_hh is from normal."
    )


def _scale_in_words(data: xr.Dataset, settings: dict[str, Any]) -> str:
    windows = ", ".join(_window_in_words(data.sel(activation=kind)) for kind in data.activation)
    departure = middle(data.henrici_relative, share)
    peak, kreiss = (
        middle(data[name], lambda x: f"{np.exp(x):.3g}") for name in ("peak", "log_kreiss")
    )
    return (
        f"{_name(float(data.scale))}: departure {departure} of the norm; powers of W_hh grow by a "
        f"factor of {peak} at most, at step {middle(data.peak_lag, lambda x: f'{x:g}')} (Kreiss "
        f"constant {kreiss}); windows for {percent(settings['tolerance'])} error: {windows} "
        "(medians)."
    )


def _window_in_words(data: xr.Dataset) -> str:
    windows = data.sufficient_window
    found = middle(windows, lambda x: f"{x:g}", unknown="none found")
    return (
        f"{found} ({data.activation.item()}{known_of(windows) if windows.notnull().any() else ''})"
    )
