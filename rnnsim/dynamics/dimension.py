"""Kaplan-Yorke dimension from Lyapunov exponents, and the range that their errors leave it."""

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray


def kaplan_yorke(
    exponents: FloatArray, errors: FloatArray, H: int, rounding: float, *, bounded: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Dimension (N,) and its interval (N, 2) from exponents (N, k), descending, of H in all.

    ::

        D(lambda) = j + (lambda_1 + ... + lambda_j) / |lambda_{j+1}|

    j is the largest number of exponents whose sum is not negative. D grows with each exponent, and
    is continuous but where lambda_1 is 0, where it leaps from 0. The interval is D of all exponents
    less and plus two errors and `rounding`. Where lambda_1 is within these of 0, and no exponent
    above, those within count as 0, so that their number is the dimension: 1 along a cycle, m on a
    torus of m frequencies, whatever the sign of what was measured.

    Parameters
    ----------
    exponents, errors : (N, k)
    H : int
    rounding : float
        What rounding may add to an exponent.
    bounded : bool
        Whether states stay finite where lambda_1 > 0. Otherwise an attractor is known only where
        lambda_1 lies below 0, and its dimension is 0.

    Returns
    -------
    dimension, interval
        NaN where not known: more exponents than the k < H given are needed.
    """
    with np.errstate(invalid="ignore"):
        apart = np.where(np.isneginf(exponents), 0.0, 2 * errors + rounding)
        dimension = np.array(
            [_point(row, least, H) for row, least in zip(exponents, apart, strict=True)]
        )
        ends = [[_formula(row, H) for row in exponents + sign * apart] for sign in (-1, 1)]
        interval = np.array(ends).T
        if not bounded:
            known = exponents[:, 0] < -apart[:, 0]
            dimension = np.where(known, dimension, np.nan)
            interval = np.where(known[:, None], interval, np.nan)
    return dimension, interval


def _point(exponents: FloatArray, apart: FloatArray, H: int) -> float:
    vanish = np.abs(exponents) <= apart
    if not vanish[0] or (exponents > apart).any():
        return _formula(exponents, H)
    count = int(np.logical_and.accumulate(vanish).sum())
    return float(count) if count < exponents.size or count == H else float("nan")


def _formula(exponents: npt.NDArray[np.float64], H: int) -> float:
    if np.isnan(exponents).any():
        return float("nan")
    ordered = np.sort(exponents)[::-1]
    sums = np.cumsum(ordered)
    if sums[0] < 0:
        return 0.0
    j = int((sums >= 0).sum())  # sums rise, then fall
    if j == ordered.size:
        return float(H) if j == H else float("nan")
    return j + float(sums[j - 1] / -ordered[j])
