"""Plots of networks while they learn: a dataset in, Axes out; docstrings say what each shows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ..frame import figures
from ..frame.figures import decades, guide, log_axis, powers, pt, relative
from ..frame.statistics import median_over

_LABELS = {
    "accuracy": "share of right answers",
    "clipped": "share of updates clipped",
    "spectral_radius": r"spectral radius of $W_{hh}$",
    "lyapunov_exponent": r"largest Lyapunov exponent $\lambda_1$ (nats/step)",
}
_BOUND = 8.0  # powers of ten where the colours of the map end
_MOMENTS: dict[str, dict[str, Any]] = {
    "at the start": {"color": "#E69F00", "marker": "o", "mfc": "none"},
    "at the end": {"color": figures.MEASURED, "marker": "x"},
}


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


def _lines(data: xr.Dataset, gain: float | None) -> Iterator[tuple[float, dict[str, Any]]]:
    """The one gain, or at most four, and how each is drawn."""
    if gain is not None:
        yield gain, {"label": "median", "color": figures.MEASURED, "index": 0}
        return
    for i, each, color in figures.shaded(figures.few(data.gain.values)):
        yield each, {"label": f"gain {each:g}", "color": color, "index": i}


def plot_against_updates(
    data: xr.Dataset, variable: str, *, gain: float | None = None, ax: Axes | None = None
) -> Axes:
    """Loss, accuracy, share of clipped updates, spectral radius or exponent against updates.

    Of one gain, or unless it is given of at most four. Thin lines are networks, the thick one their
    median, the band their quartiles. Clipped are those of the updates since the record before.
    """
    ax = figures.axes_or_new(ax)
    axis = _axis(data, variable)
    shown = losses_of(data) if variable == "loss" else data[variable]
    for each, style in _lines(data, gain):
        values = shown.sel(gain=each).transpose("network_seed", axis).values
        figures.seeds_and_median(ax, data[axis], values, lines=True, **style)
    ax.set_xlabel("updates")
    ax.set_ylabel(_loss_label(data) if variable == "loss" else _LABELS[variable])
    if variable in ("accuracy", "clipped"):
        ax.set_ylim(-0.03, 1.03)
    return ax


def _loss_label(data: xr.Dataset) -> str:
    """The loss with its unit, which only classes have."""
    unit = data.loss.attrs.get("units", "1")
    return "loss per sequence" if unit == "1" else f"loss ({unit})"


def plot_gradient_norm(
    data: xr.Dataset, *, gain: float | None = None, ax: Axes | None = None
) -> Axes:
    """Norm of the gradient before clipping against updates, mean of logs since the record before.

    Of one gain, or unless it is given of at most four. Thin lines are networks, the thick one their
    median. Dotted: the norm at which gradients are clipped.
    """
    ax = figures.axes_or_new(ax)
    here = data.isel(updates=slice(1, None))
    for each, style in _lines(data, gain):
        norms = here.log_gradient_norm.sel(gain=each).transpose("network_seed", "updates")
        figures.seeds_and_median(ax, here.updates, powers(norms), lines=True, **style)
    limit = float(figures.configuration(data)["clip_norm"])
    if limit > 0:
        ax.axhline(np.log10(limit), **figures.mark(), label=f"clipped\nabove {limit:g}")
    log_axis(ax)
    ax.set_xlabel("updates")
    ax.set_ylabel("norm of the gradient")
    return ax


def plot_eigenvalues(
    data: xr.Dataset, *, gain: float, index: int | None = None, ax: Axes | None = None
) -> Axes:
    """Eigenvalues of W_hh in the complex plane, of all networks of one gain.

    At the snapshot of that index; unless it is given at the first (circles) and at the last
    (crosses): what learning moves. Grey: the unit circle, where a linear network neither grows
    nor shrinks.
    """
    ax = figures.axes_or_new(ax)
    last = data.sizes["snapshot"] - 1
    shown = {"at the start": 0, "at the end": last} if index is None else {"at the end": index}
    for label, i in shown.items():
        values = data.eigenvalues.sel(gain=gain).isel(snapshot=i).values.ravel()
        style: dict[str, Any] = {"ls": "", "ms": pt(4.5), "mew": pt(1.0)} | _MOMENTS[label]
        ax.plot(values.real, values.imag, label=label, **style)
    angle = np.linspace(0.0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), **guide())
    ax.set_aspect("equal")
    reach = 1.05 * max(1.0, _largest(data))
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-reach, reach)
    ax.set_xlabel(r"real part of $\lambda$")
    ax.set_ylabel(r"imaginary part of $\lambda$")
    return ax


def _largest(data: xr.Dataset) -> float:
    """Largest modulus in all of training; networks that left the range do not count."""
    sizes = np.abs(data.eigenvalues.where(data.diverged < 0)).values
    return float(sizes[np.isfinite(sizes)].max(initial=0.0))


def eigenvalue_film(data: xr.Dataset) -> figures.Film:
    """The eigenvalues of all networks, a panel for each gain, above the loss; a frame a snapshot.

    The vertical line shows where in training a frame is.
    """
    gains = figures.few(data.gain.values)
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
        cursors.append(ax.axvline(0.0, color="black", lw=pt(1.5)))
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

    With truncated training the window that was `trained` with, else four. Grey: an error of 1,
    all of the gradient lost.
    """
    ax = figures.axes_or_new(ax)
    longest = int(data.window[-1])
    wanted = [1.0, longest / 4, longest / 2, 0.9 * longest]
    wanted = wanted if trained is None else [trained]
    for i, window, color in figures.shaded(data.window.values, wanted):
        errors = known_errors(data).sel(gain=gain, window=window)
        figures.seeds_and_median(
            ax,
            data.snapshot,
            powers(errors.transpose("network_seed", "snapshot")),
            label=f"K = {window:g}",
            color=color,
            index=i,
            lines=True,
        )
    ax.axhline(0.0, **guide())
    log_axis(ax)
    ax.set_xlabel("updates")
    ax.set_ylabel(r"relative error $\|g_K - g\|\,/\,\|g\|$ of window $K$")
    return ax


def plot_reach(data: xr.Dataset, *, gain: float, ax: Axes | None = None) -> Axes:
    """Norm of dl_t/dh_{t-k}, relative to lag 0, over updates and lag k: median over networks.

    Blue and hatched: less arrives than at lag 0; red: more. Colours end at a factor of 10^8 down
    and up; contours are factors of 100. Grey: nothing is left at all, or nothing is known.
    """
    ax = figures.axes_or_new(ax)
    kept = median_over(relative(data.log_norms, "lag").sel(gain=gain), "network_seed")
    shown = decades(kept.transpose("lag", "snapshot"))
    figures.signed_mesh(ax, data.snapshot, data.lag, shown, bound=_BOUND)
    levels = np.setdiff1d(np.arange(-_BOUND, _BOUND + 1, 2), 0.0)
    lines: dict[str, Any] = {"colors": "black", "linewidths": pt(1.0), "linestyles": "-"}
    drawn = figures.contour(ax, data.snapshot, data.lag, shown, levels=levels, **lines)
    if drawn is not None:
        for text in ax.clabel(drawn, fmt=lambda x: f"$10^{{{x:.0f}}}$", fontsize="small"):
            text.set(gid="inline", path_effects=[withStroke(linewidth=pt(3), foreground="white")])
    ax.grid(visible=False)
    ax.set_xlabel("updates")
    ax.set_ylabel("lag $k$ (steps)")
    return ax
