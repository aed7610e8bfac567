"""Points of a curve and what each says, as the pointer and the table below a figure tell it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from rnnsim.diagnosis.findings import short

from ...frame.figures import finite
from ...frame.report import Curve, Table

Floats = npt.NDArray[np.float64]

_MOST_POINTS = 2000
_MOST_ROWS = 50
_LN10 = math.log(10.0)


class Points(NamedTuple):
    """A curve as it is drawn: where each point stands, and its value, in words.

    NaN among `x` or `y` is not drawn; what it stands for is still a row of the table.
    """

    name: str
    x: Floats
    y: Floats
    at: Sequence[str]
    values: Sequence[str]

    def curve(self, ax: Axes) -> Curve:
        """What the pointer finds on these Axes."""
        drawn = np.flatnonzero(np.isfinite(self.x) & np.isfinite(self.y)).tolist()
        texts = [f"{self.at[k]}: {self.values[k]}" for k in drawn]
        return Curve(ax, self.name, self.x[drawn], self.y[drawn], texts)


def points(
    name: str, x: npt.ArrayLike, y: npt.ArrayLike, at: Sequence[str], values: Sequence[str]
) -> Points:
    """Points, infinities masked; of very many some, evenly spaced. `y` is as it is drawn."""
    here, there = finite(x), finite(y)
    some = spaced(here.size, _MOST_POINTS)
    return Points(name, here[some], there[some], [at[k] for k in some], [values[k] for k in some])


def spaced(n: int, most: int) -> list[int]:
    """0 .. n-1, or `most` of them, evenly spaced, both ends among them."""
    if n <= most:
        return list(range(n))
    return [round(float(k)) for k in np.linspace(0, n - 1, most)]


def table(caption: str, head: str, curves: Sequence[Points]) -> Table:
    """What curves say, a row for each place and a column for each curve."""
    cells: dict[str, dict[str, str]] = {}
    for each in curves:
        some = spaced(len(each.at), _MOST_ROWS)
        cells[each.name] = {each.at[k]: each.values[k] for k in some}
    places = list(dict.fromkeys(at for column in cells.values() for at in column))
    if any(len(each.at) > _MOST_ROWS for each in curves):
        caption += f" {_MOST_ROWS} of each curve; the JSON of this page has all of them."
    rows = [[at, *(column.get(at, "") for column in cells.values())] for at in places]
    return Table(caption, [head, *cells], rows)


def factor(log: float) -> str:
    """e^log as a number, or as a power of ten where it is far from 1."""
    if math.isnan(log):
        return "not known"
    if math.isinf(log):
        return "0" if log < 0 else "infinite"
    return short(math.exp(log)) if abs(log) < 14 else f"10^{log / _LN10:.1f}"


def factor_between(log: float, error: float) -> str:
    """The same with where it lies within the error of the log."""
    if math.isfinite(log) and math.isfinite(error) and error > 1e-9:
        return f"{factor(log)} ({factor(log - error)} to {factor(log + error)})"
    return factor(log)


def number(value: Any, error: float = math.nan) -> str:
    """A number, with its error where that is known and not 0."""
    if math.isnan(value):
        return "not known"
    return f"{short(value)} +- {short(error)}" if math.isfinite(error) and error else short(value)


def logs(values: npt.ArrayLike) -> Floats:
    """Natural logs; of 0 -inf, of what is below NaN."""
    array = np.asarray(values, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(np.where(array < 0, np.nan, array)))
