"""Means and scatter of gradients over batches, empirical and of the distribution they came from.

Of M batches, x of each a vector: ||mean x||^2 estimates ||E x||^2 too high, by Var x / M. What is
unbiased is a mean over pairs of different batches (Hoeffding 1948), as is the scatter. Influences
are those of the jackknife (Efron and Stein 1981): how far the pseudovalue of a batch, M times the
estimate minus M - 1 times that without it, is from the estimate.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Moment(NamedTuple):
    """Of the batches at hand, an unbiased estimate, and what each batch does to it (M,)."""

    own: float
    estimate: float
    influence: Floats


def squared_mean(x: Floats) -> Moment:
    """||E x||^2 from x (M, Q); no estimate of one batch, no influence of two.

    ::

        estimate = 1/(M (M-1)) sum over b != c of <x_b, x_c>
    """
    M, mean = len(x), x.mean(axis=0)
    others = M * (x * mean).sum(axis=1) - (x * x).sum(axis=1)  # sum over c != b of <x_b, x_c>
    estimate = _ratio(others.sum(), M * (M - 1))
    return Moment(float((mean * mean).sum()), estimate, _ratio(2 * _apart(others), M - 2))


def scatter(x: Floats) -> Moment:
    """E||x - E x||^2 from x (M, Q); NaN of one batch, no influence of two.

    ::

        estimate = 1/(M-1) sum over b of ||x_b - mean||^2
    """
    M, apart = len(x), _apart(x)
    squares = (apart * apart).sum(axis=1)
    own = float(squares.mean()) if M > 1 else np.nan
    return Moment(own, _ratio(squares.sum(), M - 1), _ratio(M * _apart(squares), M - 2))


def _apart(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=0))


def _ratio(value: Any, n: int) -> Any:
    return value / n if n > 0 else value * np.nan
