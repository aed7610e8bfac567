"""Numbers in words: where along an axis a curve lies above 0, values and dimensions with errors."""

import numpy as np
import numpy.typing as npt

_ROUNDING = 64.0  # of a rate per step, in units of epsilon

Ranges = list[tuple[float, float]]  # ascending; -inf and inf: from the first, up to the last value


def ranges_above(x: npt.ArrayLike, values: npt.ArrayLike) -> Ranges:
    """Where a curve lies above 0; borders are interpolated.

    A value that is not known, or -inf, is not above: the next one that is begins the range.

    Examples
    --------
    >>> ranges_above([1, 2, 3, 4], [-1, 1, 1, -3])
    [(1.5, 3.25)]
    >>> ranges_above([1, 2], [1, 1])
    [(-inf, inf)]
    """
    ascending, y = _sorted(x, values)
    found = []
    for first, last in _runs(y > 0):
        low = -np.inf if first == 0 else _border(ascending, y, first, first - 1)
        high = np.inf if last == y.size - 1 else _border(ascending, y, last, last + 1)
        found.append((low, high))
    return found


def ranges_where(x: npt.ArrayLike, holds: npt.ArrayLike) -> Ranges:
    """From and up to which of the values x something holds."""
    ascending, true = _sorted(x, holds)
    return [
        (
            -np.inf if first == 0 else float(ascending[first]),
            np.inf if last == true.size - 1 else float(ascending[last]),
        )
        for first, last in _runs(true > 0)
    ]


def at_gains(ranges: Ranges, *, none: str, form: str = "g") -> str:
    """Ranges of gains in words, the largest first; `none` where there is none."""
    if not ranges:
        return none
    return " and ".join(_range(low, high, form) for low, high in reversed(ranges))


def told_from_0(
    values: npt.ArrayLike, errors: npt.ArrayLike, dtype: str
) -> npt.NDArray[np.float64]:
    """The sign of rates that two standard errors, and rounding, tell from 0; 0 of others.

    -1 for -inf, NaN where a value or its error is not known.
    """
    x, error = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    least = 2 * np.where(np.isneginf(x), 0.0, error) + _ROUNDING * np.finfo(dtype).eps
    with np.errstate(invalid="ignore"):
        sign = np.sign(x) * (np.abs(x) > least)
    return np.where(np.isnan(x) | np.isnan(least), np.nan, sign)


def with_error(value: float, error: float) -> str:
    """Two digits of the error, and the value to the same decimals; six at most.

    The value alone where its error is not known.
    """
    if np.isnan(error):
        return f"{value:+z.3f}"
    if not (np.isfinite(error) and error > 0):
        return f"{value:+z.3f} +- {error:.3g}"
    short = f"{error:.1e}"
    decimals = max(1 - int(short.split("e")[1]), 0)
    if decimals > 6:
        return f"{value:+z.6f} +- {short}"
    return f"{value:+z.{decimals}f} +- {error:.{decimals}f}"


def plus_minus(value: float, error: float) -> str:
    """At least three decimals, more where the error has more; "?" for one that is not known."""
    if np.isnan(error):
        return f"{value:+z.3f} ± ?"
    digits = 3 if not 0 < error < 5e-4 else min(6, int(np.ceil(-np.log10(error))))
    return f"{value:+z.{digits}f} ± {error:.{digits}f}"


def dimension(low: float, point: float, high: float) -> str:
    """A Kaplan-Yorke dimension, or its interval where it is not decided whether there is any."""
    if low == 0 < point:
        return f"0 to {high:.2g}"
    return f"{point:.3g}" if np.isfinite(point) else "unknown"


def between(low: float, high: float) -> str:
    """The interval of a Kaplan-Yorke dimension; from 0 on it is not decided whether there is any.

    Examples
    --------
    >>> between(0.0, 1.004), between(11.96, 12.44), between(0.0, 0.0)
    ('0 to 1, undecided', '12 to 12.4', '0')
    """
    if not np.isfinite([low, high]).all():
        return "not known"
    ends = _short(low), _short(high)
    if low == 0 < high:
        return f"0 to {ends[1]}, undecided"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _sorted(x: npt.ArrayLike, values: npt.ArrayLike) -> tuple[npt.NDArray, npt.NDArray]:
    places, y = np.asarray(x, dtype=float), np.asarray(values, dtype=float)
    order = np.argsort(places)
    return places[order], y[order]


def _runs(true: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _border(x: npt.NDArray, y: npt.NDArray, above: int, below: int) -> float:
    """Where the line between two neighbours crosses 0, one of them above and the other not."""
    if not np.isfinite(y[[above, below]]).all():
        return float(x[above])
    return float(x[below] - y[below] * (x[above] - x[below]) / (y[above] - y[below]))


def _range(low: float, high: float, form: str) -> str:
    if np.isneginf(low) and np.isposinf(high):
        return "at all of these gains"
    if np.isposinf(high):
        return f"from gain {low:{form}} on"
    if np.isneginf(low):
        return f"up to gain {high:{form}}"
    ends = f"{low:{form}}", f"{high:{form}}"
    return f"at gain {ends[0]}" if ends[0] == ends[1] else f"from gain {' to '.join(ends)}"


def _short(value: float) -> str:
    """One decimal, none where it is close to a whole number."""
    return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"
