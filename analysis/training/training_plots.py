"""Plots of networks while they learn: a dataset in, Axes out; docstrings say what each shows."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.patheffects import withStroke

from ..frame import figures
from ..frame.figures import decades, log_axis, powers, relative, theory
from ..frame.statistics import median_over

_COLOR = "#0072B2"
_LABELS = {
    "accuracy": "share of right answers",
    "spectral_radius": r"spectral radius of $W_{hh}$",
    "lyapunov_exponent": r"largest exponent $\lambda_1$ (nats/step)",
}
_BOUND = 8.0  # powers of ten where the colours of the map end
_CIRCLES = 20  # along each line


def losses_of(data: xr.Dataset) -> xr.DataArray:
    """Loss on the test data; infinite where it is not finite."""
    return data.loss.fillna(np.inf)


def known_errors(data: xr.Dataset) -> xr.DataArray:
    """ln of windows' relative errors; -inf where rounding hides them, NaN where g is not known.

    The longest window cuts nothing, so that its error is -inf wherever the full gradient is known.
    """
    errors = data.window_log_error
    hidden = errors.isnull() & np.isneginf(errors.isel(window=-1))
    return xr.where(hidden, -np.inf, errors)


def _axis(data: xr.Dataset, variable: str) -> str:
    return "snapshot" if "snapshot" in data[variable].dims else "updates"


def plot_against_updates(
    data: xr.Dataset, variable: str, *, gain: float, ax: Axes | None = None
) -> Axes:
    """Loss, accuracy, spectral radius or exponent against updates, of the networks of one gain.

    Thin lines are networks, the thick one their median, the band their quartiles.
    """
    ax = figures.axes_or_new(ax)
    axis = _axis(data, variable)
    shown = losses_of(data) if variable == "loss" else data[variable]
    values = shown.sel(gain=gain).transpose("network_seed", axis).values
    figures.seeds_and_median(
        ax, data[axis], values, label="median", color=_COLOR, index=0, lines=True
    )
    _plainer(ax)
    ax.set_xlabel("updates")
    ax.set_ylabel(_loss_label(data) if variable == "loss" else _LABELS[variable])
    return ax


def _loss_label(data: xr.Dataset) -> str:
    """The loss with its unit, which only classes have."""
    unit = data.loss.attrs.get("units", "1")
    return "loss per sequence" if unit == "1" else f"loss ({unit})"


def _plainer(ax: Axes) -> None:
    """Single networks well visible; no markers on the median."""
    for line in ax.lines:
        line.set(alpha=0.6, lw=1.0) if line.get_alpha() else line.set_marker("")


def plot_gradient_norm(data: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Norm of the gradient before clipping against updates, of the networks of one gain.

    Each circle is a record of one network. It is empty where no update since the record before was
    clipped, black where all were. Dashed: the norm at which gradients are clipped.
    """
    ax = figures.axes_or_new(ax)
    here = data.sel(gain=gain).isel(updates=slice(1, None))
    norms = powers(here.log_gradient_norm.transpose("network_seed", "updates"))
    figures.seeds_and_median(ax, here.updates, norms, label="median", color=_COLOR, lines=True)
    _plainer(ax)
    clipped = here.clipped.transpose("network_seed", "updates").values
    every = max(1, here.sizes["updates"] // _CIRCLES)
    for seed, (line, shares) in enumerate(zip(figures.finite(norms), clipped, strict=True)):
        shown = slice(seed * every // len(norms), None, every)
        ax.scatter(
            here.updates.values[shown],
            line[shown],
            c=1.0 - shares[shown],
            cmap="gray",
            vmin=0.0,
            vmax=1.0,
            s=34,
            edgecolors="black",
            linewidths=0.8,
            zorder=4,
        )
    limit = float(figures.configuration(data)["clip_norm"])
    if limit > 0:
        ax.axhline(np.log10(limit), **theory(), label="clipped above")
        for share, words in ((1.0, "all clipped"), (0.0, "none clipped")):
            face: dict[str, Any] = {"marker": "o", "mfc": str(1.0 - share), "mec": "black"}
            ax.plot([], [], ls="", label=words, **face)
    log_axis(ax)
    ax.set_xlabel("updates")
    ax.set_ylabel("norm of the gradient")
    return ax


def plot_eigenvalues(data: xr.Dataset, *, gain: float, index: int, ax: Axes | None = None) -> Axes:
    """Eigenvalues of W_hh in the complex plane at one snapshot, of all networks of one gain.

    Each network has a shade and a marker of its own. Dashed: the unit circle.
    """
    ax = figures.axes_or_new(ax)
    values = data.eigenvalues.sel(gain=gain).isel(snapshot=index)
    values = values.transpose("network_seed", ...).values
    for i, (row, color) in enumerate(zip(values, figures.shades(len(values)), strict=True)):
        marker: dict[str, Any] = {"marker": figures.MARKERS[i % len(figures.MARKERS)], "ms": 4.5}
        ax.plot(row.real, row.imag, ls="", color=color, mec="white", mew=0.3, **marker)
    angle = np.linspace(0.0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), **theory())
    ax.set_aspect("equal")
    reach = 1.05 * max(1.0, _largest(data))
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-reach, reach)
    ax.set_xlabel(r"Re $\lambda$")
    ax.set_ylabel(r"Im $\lambda$")
    return ax


def _largest(data: xr.Dataset) -> float:
    """Largest modulus in all of training; networks that left the range do not count."""
    sizes = np.abs(data.eigenvalues.where(data.diverged < 0)).values
    return float(sizes[np.isfinite(sizes)].max(initial=0.0))


def eigenvalue_film(data: xr.Dataset) -> figures.Film:
    """The eigenvalues of all networks, a panel for each gain, above the loss; a frame a snapshot.

    The vertical line shows where in training a frame is.
    """
    gains = data.gain.values
    figure, axes = figures.new_figure(
        2,
        len(gains),
        figsize=(3.7 * max(len(gains), 2) + 0.4, 6.0),
        squeeze=False,
        sharey="row",
        height_ratios=(3, 1.3),
    )
    cursors = []
    for ax, gain in zip(axes[1], gains, strict=True):
        plot_against_updates(data, "loss", gain=gain, ax=ax)
        figures.lower_end(ax)
        ax.set_ylabel("loss")
        cursors.append(ax.axvline(0.0, color="black", lw=1.5))
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")

    def show(index: int) -> None:
        for column, gain in enumerate(gains):
            ax = axes[0, column]
            ax.clear()
            plot_eigenvalues(data, gain=gain, index=index, ax=ax)
            ax.set_title(f"gain {gain:g}, {int(data.snapshot[index])} updates")
            if column:
                ax.set_ylabel("")
            cursors[column].set_xdata([float(data.snapshot[index])] * 2)

    return figures.Film(figure, show, data.sizes["snapshot"])


def plot_bias(
    data: xr.Dataset, *, gain: float, trained: int | None, ax: Axes | None = None
) -> Axes:
    """Exact relative error of dL/dW_hh from sliding windows against updates, at one gain.

    With truncated training the window that was `trained` with, else a few. Dashed: an error of 1.
    """
    ax = figures.axes_or_new(ax)
    longest = int(data.window[-1])
    wanted = [1.0, longest / 4, longest / 2, 0.75 * longest, 0.9 * longest]
    wanted = wanted if trained is None else [trained]
    for i, window, color in figures.shaded(data.window.values, wanted):
        errors = known_errors(data).sel(gain=gain, window=window)
        figures.seeds_and_median(
            ax,
            data.snapshot,
            powers(errors.transpose("network_seed", "snapshot")),
            label=f"{window:g}",
            color=color,
            index=i,
            lines=True,
        )
    ax.axhline(0.0, **theory())
    log_axis(ax)
    ax.set_xlabel("updates")
    ax.set_ylabel(r"relative error $\|g_K - g\|_F\,/\,\|g\|_F$")
    return ax


def plot_reach(data: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k}, relative to lag 0, over updates and lag k: median over networks.

    Colours end at a factor of 10^8 down and up; contours are powers of ten. Blank: nothing is left
    at all, or nothing is known.
    """
    ax = figures.axes_or_new(ax)
    kept = median_over(relative(data.log_norms, "lag").sel(gain=gain), "network_seed")
    shown = decades(kept.transpose("lag", "snapshot"))
    norm = TwoSlopeNorm(0.0, -_BOUND, _BOUND)
    ax.pcolormesh(data.snapshot, data.lag, shown, norm=norm, cmap="RdBu_r", rasterized=True)
    levels = np.setdiff1d(np.arange(-_BOUND, _BOUND + 1), 0.0)
    lines: dict[str, Any] = {"colors": "black", "linewidths": 0.8, "linestyles": "-"}
    drawn = figures.contour(ax, data.snapshot, data.lag, shown, levels=levels, **lines)
    if drawn is not None:
        named = [level for level in drawn.levels if level % 2 == 0]
        for text in ax.clabel(drawn, named, fmt=lambda x: f"$10^{{{x:.0f}}}$", fontsize=11):
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    ax.grid(visible=False)
    ax.set_xlabel("updates")
    ax.set_ylabel("lag $k$ (steps)")
    return ax
