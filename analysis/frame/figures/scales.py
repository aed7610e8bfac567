"""Numbers as they are drawn: powers of ten beyond the float range, axes of these, of counts."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, MaxNLocator

_LN10 = np.log(10.0)


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


def nearest(values: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """For each wanted value the nearest that there is, without repeats, ascending."""
    array = np.asarray(values, dtype=float)
    return sorted({float(array[np.abs(array - w).argmin()]) for w in wanted})


def few(values: npt.ArrayLike, most: int = 4) -> list[float]:
    """At most so many of the values, ascending: all, or evenly spread from the least on."""
    array = np.unique(np.asarray(values, dtype=float))
    at = np.linspace(0, array.size - 1, min(most, array.size)).round().astype(int)
    return [float(value) for value in array[at]]


def configuration(dataset: xr.Dataset) -> dict[str, Any]:
    """The settings of the sweep that made a dataset."""
    settings: dict[str, Any] = json.loads(dataset.attrs["configuration"])
    return settings
