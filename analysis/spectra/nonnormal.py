"""Departure from normality: the same eigenvalues, other transients, other gradients."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

import rnnsim
from rnnsim import checks

from ..commands.spectra import NONNORMAL, Nonnormal
from ..frame import cells, figures
from ..frame.runs import Datasets
from ..frame.statistics import median_over
from ..frame.words import known_of, middle, part, percent, share
from .nonnormal_plots import (
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
        1, len(scales), figsize=(max(4.6 * len(scales), 9.0), 5.3), sharey=True, squeeze=False
    )
    for ax, scale in zip(axes[0], scales, strict=True):
        plot_pseudospectrum(dataset, scale=scale, ax=ax)
        departure = float(dataset.henrici_relative.sel(scale=scale))
        ax.set_title(f"{_name(scale)}, departure {share(departure)}")
        ax.label_outer()
    shades = ScalarMappable(plane_norm(dataset), "Greys_r")
    bar = figure.colorbar(
        shades, ax=list(axes[0]), shrink=0.75, label=r"$\sigma_{min}(z - W_{hh})$"
    )
    bar.ax.yaxis.set_major_formatter(lambda x, _: f"$10^{{{x:.0f}}}$")
    figure.legend(handles=plane_key(), loc="outside upper center", ncols=4, fontsize=12)
    figures.caption(
        figure,
        f"One network of {dataset.unit.size} units, spectral radius "
        f"{figures.configuration(dataset)['radius']:g}: the same eigenvalues in all panels. A "
        "contour of 0.1 encloses all that changes of W_hh of that size (2-norm) can make of "
        "them: points within 0.1 of an eigenvalue where W_hh is normal. Far from normal, the same "
        "changes carry eigenvalues across the unit circle, and powers of W_hh can grow.",
    )
    return figure


def _transient_figure(dataset: xr.Dataset) -> Figure:
    kinds = list(dataset.activation.values)
    figure, axes = figures.new_figure(
        1, 1 + len(kinds), figsize=(max(5.0 * (1 + len(kinds)), 9.0), 6.6), squeeze=False
    )
    plot_powers(dataset, ax=axes[0, 0])
    axes[0, 0].set_title("powers of $W_{hh}$")
    for ax, kind in zip(axes[0, 1:], kinds, strict=True):
        plot_gradients(dataset, activation=kind, ax=ax)
        ax.set_title(f"gradients, {kind} networks")
    for ax in axes[0]:
        ax.set_xlim(-1.5, min(_SEEN_LAGS, float(dataset.lag[-1])) or 1.0)
        _fit_to_seen(ax)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, fontsize=12)
    settings = figures.configuration(dataset)
    figures.caption(
        figure,
        f"Thin: {dataset.network_seed.size} networks of {settings['n_hidden']} units at each "
        "scale s of their departure from normality, thick: medians; gradients: means of ln over "
        f"{settings['batch_size']} sequences of {settings['task']}, loss at the last step. All "
        "have the same eigenvalues: dashed, k ln rho, is what these alone say, and it holds for "
        "s = 0 at once, for others only in the end. Diamonds: Kreiss constant, which the peak "
        "must reach. The slopes of tanh units multiply W_hh and change its eigenvalues: what a "
        "normal W_hh hardly feels can make others chaotic, and their gradients explode.",
    )
    return figure


def _peak_figure(dataset: xr.Dataset) -> Figure:
    figure, axes = figures.new_figure(1, 2, figsize=(13, 6.0))
    plot_peak(dataset, ax=axes[0])
    plot_windows(dataset, ax=axes[1])
    axes[0].set_title("How far a linear network can amplify")
    axes[1].set_title("How far truncation has to reach")
    axes[0].legend(fontsize=12, loc="upper left")
    axes[1].legend(fontsize=12, loc="upper left", bbox_to_anchor=(0.0, 0.93))  # below a line
    settings = figures.configuration(dataset)
    figures.caption(
        figure,
        f"Each mark a network ({dataset.network_seed.size} at each of {dataset.scale.size} "
        f"scales), lines: medians. All have spectral radius {settings['radius']:g}. Left: the peak "
        "and the Kreiss constant below it. Right: windows at which the truncated gradient of all "
        f"losses is within {percent(settings['tolerance'])} of the full one; dashed: where rho^K "
        "is that small, all that eigenvalues say. At the dotted line no window shorter than the "
        "sequence suffices.",
    )
    return figure


def _fit_to_seen(ax: Axes) -> None:
    """End the y axis at what the x axis shows."""
    left, right = ax.get_xlim()
    seen = [
        figures.finite(y[(x >= left) & (x <= right)])
        for x, y in (np.asarray(line.get_xydata()).T for line in ax.lines)
        if x.size > 2
    ]
    values = np.concatenate([np.zeros(1), *seen])
    low, high = np.nanmin(values), np.nanmax(values)
    margin = 0.06 * (high - low) or 0.5
    ax.set_ylim(low - margin, high + margin)


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
