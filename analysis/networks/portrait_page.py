"""What pages of portraits share: layout, names, styles, axes of decades, the strip of numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..frame import cells, figures
from ..frame.figures import power, ticks_between

configuration = figures.configuration

MEASURED = "#0072B2"
THIN: dict[str, Any] = {"color": MEASURED, "alpha": 0.3, "lw": 0.8}
THEORY: dict[str, Any] = {"color": "black", "ls": "--", "lw": 2.0, "zorder": 5}
GUIDE: dict[str, Any] = {"color": "0.45", "lw": 1.4}
_PAGE: Any = {"font.size": 15, "axes.titlesize": 16.5, "axes.labelsize": 16, "legend.fontsize": 14}
RATIO = r"$\|\partial l_t/\partial h_{t-k}\|\,/\,\|\partial l_t/\partial h_t\|$"


def filled(panels: Sequence[Callable[..., Axes]], dataset: xr.Dataset, caption: str) -> Figure:
    """A page of six panels in two rows, a strip below them, and a caption."""
    with mpl.rc_context(_PAGE):
        figure = Figure(figsize=(17.5, 12.2))
        axes = figure.subplot_mosaic(
            [list("abc"), list("def"), list("ttt")],
            height_ratios=[1.0, 1.0, 0.3],
            gridspec_kw={"wspace": 0.06, "hspace": 0.05},
        )
        for plot, place in zip(panels, "abcdeft", strict=True):
            plot(dataset, ax=axes[place])
        figure.suptitle(figures.plain(subject_in_words(dataset)), fontsize=21, wrap=True)
        figure.supxlabel(caption, fontsize=14, color="0.2", wrap=True)
    return figure


def subject_in_words(dataset: xr.Dataset) -> str:
    """Which network it is, and what it reads."""
    settings = configuration(dataset)
    cell = settings.get("cell", "vanilla")
    kind = settings["activation"] if cell == "vanilla" else cells.NAMES[cell]
    units = f"{settings['n_hidden']} {kind} units"
    layers = settings.get("n_layers", 1)
    each = f" in each of {layers} layers" * (layers > 1)
    if settings.get("weights") is not None:
        name = f"{settings['weights'].rsplit('/', 1)[-1]}, {units}{each}"
        name += f", gain {settings['gain']:g}" * (
            settings.get("scheme") == "own" and settings["gain"] != 1
        )
    else:
        if bias := settings.get("forget_bias", 0.0):
            each = f"{each}, forget bias {bias:g}"
        drawn = f"{settings['scheme']}, gain {settings['gain']:g}"
        name = f"{drawn}, {units}{each}, seed {settings['seed']}"
    return f"{name}, reading {settings['reads'].replace('_', ' ')}"


def log_axis(ax: Axes, low: float, high: float) -> None:
    """A y axis of decades from low to high, labelled as numbers."""
    ax.set_ylim(low, high)
    ticks = ticks_between(low, high)
    ax.set_yticks(ticks, [power(tick) for tick in ticks])


def nothing(ax: Axes, title: str, dataset: xr.Dataset) -> Axes:
    """Say why a panel has nothing to show."""
    step = int(dataset.first_nonfinite)
    why = f"step {step} left the\nfloating-point range" if step >= 0 else "exactly 0 throughout"
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title)
    return ax


def write_strip(
    entries: list[tuple[str, str]], shares: tuple[float, ...], *, ax: Axes | None = None
) -> Axes:
    """(name, value) from left to right, each on its share of the width."""
    ax = figures.axes_or_new(ax)
    ax.set_axis_off()
    ax.set(xlim=(0, sum(shares)), ylim=(0, 1))
    edges = np.cumsum((0.0, *shares))
    for (name, value), low, high in zip(entries, edges, edges[1:], strict=False):
        middle = 0.5 * (low + high)
        ax.text(middle, 0.72, name, ha="center", va="center", fontsize=13.5, color="0.25")
        ax.text(middle, 0.22, value, ha="center", va="center", fontsize=17.5, weight="bold")
        if low:
            ax.axvline(low, 0.05, 0.95, color="0.7", lw=1.0)
    return ax
