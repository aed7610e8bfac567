"""Medians and quantiles over networks, in which what is 0, beyond a budget or not known counts so.

A log of -inf is an exact 0 and lies below all others; an infinite loss, or number of updates, lies
above all others; NaN is not known and left out.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

Floats = npt.NDArray[np.float64]
_Z = 1.959964  # a normal variable lies within, 95 times of 100


def quantiles(values: npt.ArrayLike, q: npt.ArrayLike, axis: int | tuple[int, ...] = 0) -> Floats:
    """Quantiles (q first) of what is known along the axes; NaN where nothing is.

    Between two numbers as NumPy's; between a number and an infinity, that infinity; between two
    infinities of different sign, NaN.
    """
    array, at = np.asarray(values, dtype=float), np.asarray(q, dtype=float)
    axes = tuple(a % array.ndim for a in np.atleast_1d(axis))
    rest = tuple(n for i, n in enumerate(array.shape) if i not in axes)
    found = np.full((*at.shape, *rest), np.nan)
    if array.size == 0 or np.isnan(array).all():
        return found
    array = np.moveaxis(array, axes, range(len(axes))).reshape(-1, *rest)
    some = ~np.isnan(array).all(axis=0)
    columns = array[:, some] if rest else array
    with np.errstate(invalid="ignore"):
        linear = np.nanquantile(columns, at, axis=0)
        low = np.nanquantile(columns, at, axis=0, method="lower")
        high = np.nanquantile(columns, at, axis=0, method="higher")
    ends = np.where(np.isfinite(high), low, np.where(np.isfinite(low), high, np.nan))
    finite = np.isfinite(low) & np.isfinite(high)
    result = np.where(low == high, low, np.where(finite, linear, ends))
    if not rest:
        return np.asarray(result)
    found[..., some] = result
    return found


def median(values: npt.ArrayLike, axis: int | tuple[int, ...] | None = None) -> Any:
    """The median of what is known, along the axes or of all."""
    array = np.asarray(values, dtype=float)
    over = tuple(range(array.ndim)) if axis is None else axis
    return quantiles(array, 0.5, over)[()]


def median_over(data: xr.DataArray, *dims: str) -> xr.DataArray:
    """The median of what is known over these dimensions."""
    found: xr.DataArray = data.reduce(median, dims)
    return found


def middles(values: npt.ArrayLike) -> tuple[float, float]:
    """The two known values that the median lies between: one and the same of an odd number."""
    array = np.asarray(values, dtype=float).ravel()
    known = np.sort(array[~np.isnan(array)])
    if known.size == 0:
        return np.nan, np.nan
    return float(known[(known.size - 1) // 2]), float(known[known.size // 2])


def told_apart(one: float, other: float, n: int) -> bool:
    """Whether an interval of 95% for the difference of two shares of n items leaves out 0.

    Newcombe 1998, Statistics in Medicine 17, method 10, from the ends l, u of `wilson`: 0 is left
    out where ``p - q > sqrt((p - l_p)^2 + (u_q - q)^2)``, p the larger. Of different items; of
    the same ones, where what is hard for one is hard for the other, the interval is too wide.
    """
    q, p = sorted((one, other))
    low, high = float(wilson(n * p, n)[0]), float(wilson(n * q, n)[1])
    return p - q > np.hypot(p - low, high - q)


def wilson(solved: npt.ArrayLike, n: int) -> tuple[Floats, Floats]:
    """Both ends of an interval of 95% for a share of which k of n were seen (Wilson 1927, JASA 22).

    ::

        (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)        p = k/n, z = 1.96
    """
    share, square = np.asarray(solved, dtype=float) / n, _Z * _Z / n
    middle = (share + 0.5 * square) / (1 + square)
    half = _Z * np.sqrt((share * (1 - share) + 0.25 * square) / n) / (1 + square)
    return np.where(share == 0, 0.0, middle - half), np.where(share == 1, 1.0, middle + half)
