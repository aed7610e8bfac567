"""What all figures share: style, colours and line styles, axes of logarithms, captions, files."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rnnsim.files import replacing

from .statistics import quantiles

STYLE = Path(__file__).with_name("rnnsim.mplstyle")
THEORY: dict[str, Any] = {"color": "black", "ls": "--", "lw": 1.6, "zorder": 5}
MARKERS = ("o", "s", "^", "D", "v", "P")
_LN10 = np.log(10.0)


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the house style without touching global settings."""
    with mpl.rc_context(fname=str(STYLE)):
        yield


def new_figure(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure outside pyplot, so that none stays open, and its Axes."""
    size = options.pop("figsize", (5.2 * columns, 4.4 * rows))
    figure = Figure(figsize=size)
    return figure, figure.subplots(rows, columns, **options)


def axes_or_new(ax: Axes | None) -> Axes:
    """`ax`, or the Axes of a new figure."""
    return new_figure()[1] if ax is None else ax


def shades(n: int) -> list[Any]:
    """n colours of one sequential map, dark to light: ordered in colour and in grey."""
    return [mpl.colormaps["cividis"](x) for x in np.linspace(0.0, 0.85, n)]


def powers(ln: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Natural logs as powers of ten, what `log_axis` labels; -inf stays, which a median counts."""
    return np.asarray(ln, dtype=float) / _LN10


def decades(ln: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Natural logs as powers of ten, infinities masked."""
    return finite(powers(ln))


def finite(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Values with infinities masked: what can be drawn."""
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array), array, np.nan)


def relative(logs: xr.DataArray, dim: str) -> xr.DataArray:
    """Logs less their first along an axis; NaN where that is an exact 0."""
    first = logs.isel({dim: 0})
    return logs - first.where(np.isfinite(first))


def log_axis(ax: Axes) -> None:
    """Label a y axis of powers of ten as 10^n: a log scale that reaches beyond the float range."""
    ax.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=2))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: _power_of_ten(x)))


def _power_of_ten(x: float) -> str:
    """10^x in words of an axis; ticks between whole powers, on short axes, with their factor."""
    whole = np.floor(x + 1e-6)
    factor = 10.0 ** (x - whole)
    if abs(factor - 1.0) < 1e-5:
        return f"$10^{{{whole:.0f}}}$"
    return f"{10.0**x:.3g}" if abs(x) < 3 else f"${factor:.1f}\\cdot10^{{{whole:.0f}}}$"


def ticks_between(low: float, high: float) -> npt.NDArray[np.float64]:
    """About six powers of ten between two decades; over less than two, 1, 2 and 5 times these."""
    if high - low >= 2:
        step = next(
            n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, np.inf) if n * 6 >= high - low
        )
        step = step if np.isfinite(step) else np.ceil((high - low) / 6)
        return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    fine = (np.arange(np.floor(low), high + 1)[:, None] + np.log10([1, 2, 5])).ravel()
    return fine[(fine >= low) & (fine <= high)]


def power(decade: float) -> str:
    """10^n, or the number itself where it is no power of ten."""
    n = round(float(decade))
    return f"$10^{{{n}}}$" if abs(decade - n) < 1e-9 else f"{10**decade:.2g}"


def seeds_and_median(
    ax: Axes,
    x: npt.ArrayLike,
    values: npt.NDArray[np.float64],
    *,
    label: str,
    color: Any,
    index: int = 0,
    lines: bool = False,
) -> None:
    """Every seed (dots, or thin lines), their median (line with markers) and quartiles (band).

    values is (seeds, points). A median needs half of the seeds; those that are not known (NaN) are
    left out of it, infinite ones count as what they are, below or above all others, and are not
    drawn, nor are medians that are infinite. Lines are told apart in grey by their markers; dashes
    are left to theory.
    """
    x, values = np.asarray(x, dtype=float), np.asarray(values, dtype=float)
    drawn = finite(values)
    if lines:
        ax.plot(x, drawn.T, color=color, alpha=0.25, lw=0.7)
    else:
        ax.plot(
            np.tile(x, len(drawn)), drawn.ravel(), ls="", marker=".", ms=4, color=color, alpha=0.5
        )
    enough = (~np.isnan(values)).sum(axis=0) * 2 >= len(values)
    low, middle, high = (np.full(x.size, np.nan) for _ in range(3))
    low[enough], middle[enough], high[enough] = finite(
        quantiles(values[:, enough], [0.25, 0.5, 0.75])
    )
    ax.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
    every = max(1, x.size // 8)
    ax.plot(
        x,
        middle,
        color=color,
        label=label,
        marker=MARKERS[index % len(MARKERS)],
        markevery=(index * every // 4 % every, every),
    )


def contour(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, shown: Any, **options: Any) -> Any:
    """Contour lines at those of the `levels` that the values cross; None where they cross none."""
    low, high = np.nanmin(shown, initial=np.inf), np.nanmax(shown, initial=-np.inf)
    levels = [level for level in options.pop("levels") if low < level < high]
    if min(np.shape(shown)) < 2 or not levels:
        return None
    return ax.contour(x, y, shown, levels=levels, **options)


def lower_end(ax: Axes, bottom: float = 0.0) -> None:
    """Where a y axis begins. Its upper end stays free, for panels on the same axis that follow."""
    ax.set_ylim(bottom=bottom, auto=None)


def on_one_scale(axes: Sequence[Axes] | npt.NDArray[np.object_]) -> None:
    """The y axes of panels that are drawn, from the lowest of their ends to the highest."""
    low, high = zip(*(ax.get_ylim() for ax in axes), strict=True)
    for ax in axes:
        ax.set_ylim(min(low), max(high))


def count_axis(axis: Axis) -> None:
    """Whole numbers alone on an axis that counts: indices, ranks, windows."""
    axis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))


def caption(figure: Figure, text: str) -> None:
    """A caption below the figure: what is shown, averaged over what, and what to see."""
    figure.supxlabel(text, fontsize=11.5, color="0.2", wrap=True)


def plain(text: str) -> str:
    """Text that is not ours, such as the name of a file, as figures show it letter by letter."""
    return "".join(each if each.isprintable() else "?" for each in text).replace("$", r"\$")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write name.png and name.svg, each whole or not at all."""
    paths = []
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        path = folder / f"{name}{suffix}"
        with replacing(path) as partial:
            figure.savefig(partial, metadata=metadata)
        paths.append(path)
    return paths


@dataclass(frozen=True, eq=False)
class Film:
    """A figure that moves: `show(i)` draws frame i of `n_frames` into it."""

    figure: Figure
    show: Callable[[int], None]
    n_frames: int
    frames_per_second: int = 8


def save_film(film: Film, folder: Path, name: str) -> Path:
    """Write name.gif, whole or not at all; the last frame stays for two seconds."""
    path = folder / f"{name}.gif"
    writer = PillowWriter(fps=film.frames_per_second)
    film.show(0)
    film.figure.draw_without_rendering()
    film.figure.set_layout_engine("none")  # else panels move from frame to frame
    with replacing(path) as partial, writer.saving(film.figure, str(partial), dpi=80):
        for index in range(film.n_frames):
            film.show(index)
            for _ in range(1 if index + 1 < film.n_frames else 2 * film.frames_per_second):
                writer.grab_frame()
    return path


def configuration(dataset: xr.Dataset) -> dict[str, Any]:
    """The settings of the sweep that made a dataset."""
    settings: dict[str, Any] = json.loads(dataset.attrs["configuration"])
    return settings


def nearest(values: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """For each wanted value the nearest that there is, without repeats, ascending."""
    array = np.asarray(values, dtype=float)
    return sorted({float(array[np.abs(array - w).argmin()]) for w in wanted})


def shaded(
    values: Sequence[float], wanted: Sequence[float] | None = None
) -> Iterator[tuple[int, float, Any]]:
    """(index, value, colour) of each value, or of those nearest to the wanted ones, ascending."""
    chosen = values if wanted is None else nearest(values, wanted)
    yield from zip(range(len(chosen)), chosen, shades(len(chosen)), strict=True)
