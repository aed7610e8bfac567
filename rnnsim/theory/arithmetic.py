"""Arithmetic that several theories share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray

# Halvings of the bracket: from a width of 700, that of ln x over all of float64, to below 1e-16.
_HALVINGS = 64


def increasing_root(
    function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray
) -> FloatArray:
    """Where an elementwise increasing function crosses 0 between two arrays, by bisection.

    For all entries at once: SciPy's root finders of 1.14 take one at a time.
    """
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = function(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high)


def rate_times_lag(rate: FloatArray, lags: npt.NDArray[Any]) -> FloatArray:
    """rate (...,) times lags (K,) as (..., K), 0 at lag 0 even where the rate is -inf."""
    return np.where(lags == 0, 0.0, rate[..., None]) * lags
