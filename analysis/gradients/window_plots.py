"""Plots of training through windows: a dataset in, Axes out; docstrings say what each shows."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..frame import figures
from .truncation_plots import LOOKS


def losses_of(data: xr.Dataset) -> xr.DataArray:
    """Loss on the test data; of networks that left the floating-point range infinite."""
    return data.loss.fillna(np.inf)


def plot_share(data: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Share of answers whose gradient reaches what they depend on, against the window.

    0 up to the dependency; segments of K steps cut a share of answers off from their cause that
    falls as 1/K, so that they rise to 1 late.
    """
    ax = figures.axes_or_new(ax)
    for name in data.truncation.values.tolist():
        shares, look = data.reaching.sel(truncation=name), LOOKS[name]
        marker = figures.MARKERS[look["index"]]
        ax.plot(data.window, shares, color=look["color"], marker=marker, label=_label(data, name))
    _window_axis(ax, data)
    ax.set_ylim(-0.04, 1.04)
    ax.set_ylabel("share of answers that reach their cause")
    return ax


def plot_score(data: xr.Dataset, *, budget: str, ax: Axes | None = None) -> Axes:
    """Final loss against the window, at one budget: "sequences" or "updates".

    Dots are networks, lines their median, bands quartiles. Dotted: chance, and the first window
    that reaches the dependency.
    """
    ax = figures.axes_or_new(ax)
    final = losses_of(data).sel(budget=budget).isel(share=-1)
    for name in data.truncation.values.tolist():
        values = final.sel(truncation=name).transpose("network_seed", "window").values
        figures.seeds_and_median(ax, data.window, values, label=_label(data, name), **LOOKS[name])
        ax.lines[-2].set_markersize(figures.pt(8))
        ax.lines[-1].set_markevery(1)
    _window_axis(ax, data)
    _chance(ax, data)
    ax.set_ylabel("final loss (nats per answer)")
    return ax


def plot_curves(data: xr.Dataset, *, truncation: str, ax: Axes | None = None) -> Axes:
    """Loss against sequences seen; thin: networks, thick: median; dotted: chance.

    Of a window much too short, one that just fails to reach an answer's cause, the first that does,
    and the longest.
    """
    ax = figures.axes_or_new(ax)
    batches, B = float(data.n_batches), figures.configuration(data)["batch_size"]
    seen = data.share.values * batches * B
    here = losses_of(data).sel(truncation=truncation, budget="sequences")
    far = float(data.dependency)
    wanted = [far / 4, far, far + 1, float(data.window.max())]
    for i, window, color in figures.shaded(data.window.values, wanted):
        values = here.sel(window=window).transpose("network_seed", "share").values
        figures.seeds_and_median(
            ax, seen, values, label=f"window {window:g}", color=color, index=i, lines=True
        )
    _chance(ax, data)
    ax.set_xlabel("sequences seen")
    ax.set_ylabel("loss (nats per answer)")
    return ax


def _label(data: xr.Dataset, truncation: str) -> str:
    most = f"at most {figures.configuration(data)['stride']}"  # no stride exceeds its window
    return f"{truncation} (stride {'$K$' if truncation == 'segments' else most})"


def _chance(ax: Axes, data: xr.Dataset) -> None:
    """Chance, named at its right end."""
    loss = float(np.log(figures.configuration(data)["n_symbols"]))
    line = ax.axhline(loss, **figures.mark(), label="chance")
    figures.name_lines(ax, [line])
    figures.lower_end(ax, min(-0.03, ax.get_ylim()[0]))


def _window_axis(ax: Axes, data: xr.Dataset) -> None:
    needed = int(data.dependency) + 1
    ax.axvline(needed, **figures.mark(), label=f"window {needed}: the first to reach a cause")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.set_xlabel("window $K$ (steps)")
