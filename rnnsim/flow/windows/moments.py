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

_AT_HAND = 2**15  # numbers, a quarter of a megabyte


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
    M, own, others = len(x), 0.0, np.zeros(len(x))
    for part in _blocks(x):
        mean = part.mean(axis=0)
        own += float((mean * mean).sum())
        # the sum over c != b of <x_b, x_c>
        others += M * np.einsum("bq,q->b", part, mean) - _squares(part)
    estimate = _ratio(others.sum(), M * (M - 1))
    return Moment(own, estimate, _ratio(2 * _apart(others), M - 2))


def scatter(x: Floats) -> Moment:
    """E||x - E x||^2 from x (M, Q); NaN of one batch, no influence of two.

    ::

        estimate = 1/(M-1) sum over b of ||x_b - mean||^2
    """
    M, squares = len(x), np.zeros(len(x))
    for part in _blocks(x):
        squares += _squares(_apart(part))
    own = float(squares.mean()) if M > 1 else np.nan
    return Moment(own, _ratio(squares.sum(), M - 1), _ratio(M * _apart(squares), M - 2))


def _blocks(x: Floats) -> list[Floats]:
    """Columns of x that a processor keeps at hand, as each is read several times."""
    wide = max(1, _AT_HAND // len(x))
    return [x[:, a : a + wide] for a in range(0, x.shape[1], wide)]


def _squares(rows: Floats) -> Floats:
    """||x||^2 of each row; einsum makes no copy of them, and starts no threads as BLAS does."""
    return np.asarray(np.einsum("bq,bq->b", rows, rows))


def _apart(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=0))


def _ratio(value: Any, n: int) -> Any:
    return value / n if n > 0 else value * np.nan
