"""What pages of portraits share: panels, names, axes of decades, the tables of numbers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..frame import cells, figures
from ..frame.figures import power, pt, ticks_between

configuration = figures.configuration

NORM = "gradient norm, lag 0 = 1"


class Table(NamedTuple):
    """Some numbers that belong together: a title, (name, value) in rows."""

    title: str
    rows: list[tuple[str, str]]


def filled(
    panels: Sequence[Callable[..., Axes]],
    tables: Sequence[Table],
    dataset: xr.Dataset,
) -> Figure:
    """A page of six panels and three tables; three side by side where there is room."""
    figure, axes = figures.new_figure(3, 3, figsize=(12.6, 9.2), height_ratios=[1.0, 1.0, 0.33])
    for plot, ax in zip(panels, axes[:2].flat, strict=True):
        plot(dataset, ax=ax)
    figures.letter(axes[:2])
    n_rows = max(len(table.rows) for table in tables)
    for table, ax in zip(tables, axes[2], strict=True):
        write_table(table, n_rows=n_rows, ax=ax)
    figure.suptitle(figures.plain(subject_in_words(dataset)))
    return figure


def thin() -> dict[str, Any]:
    """How single sequences are drawn."""
    return {"color": figures.MEASURED, "alpha": 0.3, "lw": pt(0.8)}


def subject_in_words(dataset: xr.Dataset) -> str:
    """Which network it is, and what it reads."""
    settings = configuration(dataset)
    cell = settings.get("cell", "vanilla")
    kind = settings["activation"] if cell == "vanilla" else cells.NAMES[cell]
    H = settings["n_hidden"]
    units = f"{H} {kind} unit{'s' * (H > 1)}"
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
    return instead(ax, title, why)


def instead(ax: Axes, title: str, why: str) -> Axes:
    """A panel of words, without axes."""
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", wrap=False)
    ax.set_axis_off()
    ax.set_title(title)
    return ax


def write_table(table: Table, *, n_rows: int = 0, ax: Axes | None = None) -> Axes:
    """Names and values, one below the other, as if there were at least `n_rows` of them."""
    ax = figures.axes_or_new(ax)
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(max(n_rows, len(table.rows)), 0))
    ax.set_title(table.title, fontsize="medium")
    for i, (name, value) in enumerate(table.rows):
        ax.text(0.0, i + 0.5, name, va="center", fontsize="small", color="0.25")
        ax.text(1.0, i + 0.5, value, va="center", ha="right", fontsize="small", weight="bold")
        ax.axhline(i, color="0.8", lw=pt(0.8), clip_on=False)
    return ax
