"""Products of many matrices whose singular values span hundreds of orders of magnitude.

A batch of G products of H x H matrices that grow on the left is kept as ``Q D U``: Q orthogonal, D
a diagonal that is stored as its logs, U with rows of size 1. All is float64, logs are natural.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Below this share of the largest row, rows of one factor count as if they had it: squares of
# smaller ones leave the range of float64 inside a QR decomposition.
SMALLEST_ROW = 1e-290

_LED = 1e-4  # a row of R D that its diagonal leads less than this asks for true pivoting
_SPLIT = 1e-12  # what an off-diagonal entry of relative size below it does is lost in rounding
_WIDEST = 200.0  # nats: the spread of a block that a dense decomposition is given
_HIDDEN = 40.0  # nats: rows this far below the largest do not show in the leading vector
_MOST_SQUARES = 60  # eigenvalues that 2^60 factors do not tell apart are one


class Graded(NamedTuple):
    """G products ``basis @ diag(exp(logs)) @ rows``.

    basis (G, H, H) is orthogonal, logs (G, H) are -inf where a row is exactly 0, rows (G, H, H)
    have a largest entry of size 1.
    """

    basis: Floats
    logs: Floats
    rows: Floats


# Rounding that is put in on purpose, two arrays (G, H, H) of some epsilons: what is added to a
# matrix before its QR decomposition, and to R after it. Entries that are exactly 0 get theirs as
# well, as many are only since something below rounding was lost there.
Noise = tuple[Floats | float, Floats | float]


def orthogonal(basis: Floats, count: int) -> Graded:
    """`count` products that are all the orthogonal (H, H) matrix `basis`, to begin with."""
    H = len(basis)
    return Graded(
        np.tile(basis, (count, 1, 1)), np.zeros((count, H)), np.tile(np.eye(H), (count, 1, 1))
    )


def split_row_sizes(matrices: Floats) -> tuple[Floats, Floats]:
    """Sizes s (N, H), powers of two or 0, and matrices / s (N, H, H) with rows of size 1 to 2 or 0.

    Nothing is rounded.
    """
    largest = np.abs(matrices).max(axis=2)
    exponents = np.where(largest > 0, np.frexp(largest)[1] - 1, 0)
    sizes = np.where(largest > 0, np.ldexp(1.0, exponents), 0.0)
    return sizes, np.ldexp(matrices, -exponents[:, :, None])


def scale_rows(product: Graded, sizes: Floats, noise: Noise = (0.0, 0.0)) -> Graded:
    """``diag(sizes) @ product`` for sizes (G, H) >= 0 of any ratio, in which no row loses digits.

    Noise is relative to the entries of a unit vector.
    """
    largest = sizes.max(axis=1, keepdims=True)
    relative = np.divide(sizes, largest, out=np.zeros_like(sizes), where=largest > 0)
    relative[(sizes > 0) & (relative < SMALLEST_ROW)] = SMALLEST_ROW
    left = relative[:, :, None] * (product.basis + noise[0])
    result = _absorb(left, product.logs, product.rows, noise[1])
    with np.errstate(divide="ignore"):
        return result._replace(logs=result.logs + np.log(largest))


def multiply(matrices: Floats, product: Graded, noise: Noise = (0.0, 0.0)) -> Graded:
    """``matrices @ product`` for matrices (G, H, H) with rows of any size.

    What a matrix does to a direction is lost where it is below rounding in every row. Noise is
    relative to the largest entry of a row.
    """
    left = matrices @ product.basis
    sizes = np.abs(left).max(axis=2, keepdims=True)
    return _absorb(left + noise[0] * sizes, product.logs, product.rows, noise[1])


def _absorb(left: Floats, logs: Floats, rows: Floats, noise: Floats | float) -> Graded:
    """``left @ diag(exp(logs)) @ rows`` as Q D U.

    ``left = Q R`` gives ``D U`` with rows ``(R D)_i U``, whose size goes into the logs.

    Householder's QR keeps the relative accuracy of small rows of `left` where they come last
    (Powell and Reid 1969; Cox and Higham 1998, Stability of Householder QR factorization for
    weighted least squares problems), so rows are sorted before it.

    Its columns are put in order of what they weigh together with D, so that a row of R D is led by
    its diagonal and U stays well conditioned (as in the products of determinant Monte Carlo, Loh et
    al. 1989). To sort them once is enough for all but matrices with entries next to 0 in the wrong
    places; these get pivots one by one.
    """
    down = np.argsort(-np.abs(left).max(axis=2), axis=1, kind="stable")[:, :, None]
    left = np.take_along_axis(left, down, axis=1)
    noise = np.broadcast_to(noise, left.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        order = np.argsort(-np.log(np.abs(left).max(axis=1)) - logs, axis=1, kind="stable")
        sorted_basis, weights, factors = _decompose(left, logs, order, noise)
        diagonal = np.abs(np.diagonal(factors, axis1=1, axis2=2))
        for g in np.flatnonzero(((diagonal < _LED) & np.isfinite(weights)).any(axis=1)):
            order[g] = _pivots(left[g], logs[g])
            one = slice(g, g + 1)
            again = _decompose(left[one], logs[one], order[one], noise[one])
            sorted_basis[g], weights[g], factors[g] = (part[0] for part in again)
        rows = factors @ np.take_along_axis(rows, order[:, :, None], axis=1)
        largest = np.abs(rows).max(axis=2)
        logs = weights + np.log(largest)
    basis = np.empty_like(left)
    np.put_along_axis(basis, down, sorted_basis, axis=1)
    return Graded(basis, logs, rows / np.where(largest > 0, largest, 1.0)[:, :, None])


def _decompose(
    left: Floats, logs: Floats, order: npt.NDArray[np.int64], noise: Floats
) -> tuple[Floats, Floats, Floats]:
    """Q of ``left = Q R`` with columns in this order, ln of the row sizes of R D, and R D by these.

    A row is divided by its entry p of most weight: exp(logs_j - logs_p) r_j / |r_p|. Noise in R is
    relative to what bounds its errors: the size of a column, or of a row where that is less.
    """
    left = np.take_along_axis(left, order[:, None, :], axis=2)
    basis, R = np.linalg.qr(left)
    sizes = np.abs(left).max(axis=2)[:, :, None], np.abs(left).max(axis=1)[:, None, :]
    R = R + np.triu(noise * np.minimum(*sizes))
    logs = np.take_along_axis(logs, order, axis=1)
    p = (np.log(np.abs(R)) + logs[:, None, :]).argmax(axis=2)
    lead = np.abs(np.take_along_axis(R, p[:, :, None], axis=2))
    of_lead = np.take_along_axis(logs, p, axis=1)
    live = (lead[:, :, 0] > 0) & np.isfinite(of_lead)
    # The exponent is positive only where r_j is small; where r_j is 0 it must not be infinite.
    shifts = np.minimum(logs[:, None, :] - of_lead[:, :, None], 700.0)
    factors = np.where(live[:, :, None], R / lead * np.exp(shifts), 0.0)
    return basis, np.where(live, np.log(lead[:, :, 0]) + of_lead, -np.inf), factors


def _pivots(left: Floats, logs: Floats) -> npt.NDArray[np.int64]:
    """The order in which Householder's QR takes the column that weighs most, with exp(logs).

    Rows come from large to small.
    """
    rest, order = left.copy(), np.arange(logs.size)
    for i in range(logs.size - 1):
        sizes = np.abs(rest[i:, i:]).max(axis=0)
        swap = [i, i + int(np.argmax(np.log(sizes) + logs[order[i:]]))]
        order[swap], rest[:, swap] = order[swap[::-1]], rest[:, swap[::-1]]
        v = rest[i:, i].copy()
        if v.any():
            v /= np.abs(v).max()
            v[0] += np.copysign(np.linalg.norm(v), v[0])
            rest[i:, i:] -= np.outer(v, 2.0 / (v @ v) * (v @ rest[i:, i:]))
    return order


def log_singular_values(logs: Floats, rows: Floats) -> Floats:
    """Logs of the H singular values of ``diag(exp(logs)) @ rows``, descending; -inf for exact 0.

    Small ones are as accurate as large ones, up to the condition of the rows::

        A = D U,  U^T = X R    =>    A^T = X (R D),  R D = D (D^-1 R D) = D' U'

    D' U' has the singular values of A, and its U' is upper triangular with entries
    exp(log_d_j - log_d_i) smaller than before: an implicit QR iteration. Turn by turn U' gets
    diagonal between values that differ, and falls into blocks. Each block is left to the Jacobi
    method of Drmac and Veselic (2008, SIAM J. Matrix Anal. Appl. 29, 1322-1362; LAPACK's dgejsv),
    which has the same kind of accuracy within the range of float64.
    """
    H = logs.size
    found = np.full(H, -np.inf)
    # A block of the widest spread has a gap of _WIDEST/H nats at least, which gives way in time.
    for _ in range(20 + H // 10):
        logs, rows = _turn(logs, rows)
        blocks = _blocks(rows)
        if all(np.ptp(logs[a:b]) < _WIDEST for a, b in pairwise(blocks)):
            break
    extra = rows.shape[1] - rows.shape[0]
    for a, b in pairwise(blocks):
        found[a:b] = _block(logs[a:b], rows[a:b, a : b + extra])
    return -np.sort(-found)


def _turn(logs: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """D' and U' of one step of the iteration; rows that are exactly 0 are left out."""
    order = np.argsort(-logs, kind="stable")
    order = order[np.isfinite(logs[order])]
    logs = logs[order]
    R = np.asarray(np.linalg.qr(rows[order].T, mode="r"))
    rows = R * np.exp(np.minimum(logs[None, :] - logs[:, None], 0.0))
    largest = np.abs(rows).max(axis=1, initial=0.0)
    kept = largest > 0
    return logs[kept] + np.log(largest[kept]), rows[kept] / largest[kept, None]


def _blocks(rows: Floats) -> npt.NDArray[np.int64]:
    """Where blocks begin, and the end: entries above and right of each place are negligible.

    Where a row was exactly 0 and is gone, the rest is not square until the next turn: one block.
    """
    m, n = rows.shape
    if n > m or m == 0:
        return np.array([0, m] if m else [0])
    reach = np.maximum.accumulate(np.abs(rows)[:, ::-1], axis=1)[:, ::-1]
    reach = np.maximum.accumulate(reach, axis=0)  # the largest entry in rows <= i, columns >= j
    inner = 1 + np.flatnonzero(np.diagonal(reach, 1) < _SPLIT)
    return np.concatenate([[0], inner, [m]])


def _block(logs: Floats, rows: Floats) -> Floats:
    """Logs of the singular values of one block."""
    if logs.size == 1:
        return logs + np.log(np.linalg.norm(rows))
    from scipy.linalg.lapack import dgejsv  # slow to import, needed here only

    columns = rows.T * np.exp(logs - logs.max())
    # columns scaled at will, no vectors, small columns kept, neither transposed nor perturbed
    values, _, _, scales, _, info = dgejsv(columns, joba=0, jobu=3, jobv=3, jobr=0, jobt=0, jobp=0)
    if info:  # rotations that do not end: nothing is known of these values
        return np.full(logs.size, np.nan)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values) + np.log(scales[0] / scales[1]) + logs.max())


def leading_left_vector(product: Graded, g: int) -> Floats:
    """The unit left singular vector (H,) of product g; NaN where the product is exactly 0.

    Its largest entry is positive. Where two singular values lead it is one of their plane.
    """
    logs = product.logs[g]
    top = logs.max()
    if np.isneginf(top):
        return np.full(logs.size, np.nan)
    seen = np.flatnonzero(logs > top - _HIDDEN)
    weighed = np.exp(logs[seen] - top)[:, None] * product.rows[g, seen]
    vector = product.basis[g][:, seen] @ _leading_eigenvector(weighed @ weighed.T)
    vector = vector / np.linalg.norm(vector)
    return np.asarray(vector * np.sign(vector[np.abs(vector).argmax()]))


def _leading_eigenvector(square: Floats) -> Floats:
    """Of a symmetric matrix without negative eigenvalues, by squaring it until one is left.

    An eigenvalue smaller than the first by a factor of 1 - 2^-m is gone after m + 5 products.
    (LAPACK's drivers for vectors start threads even at 64 x 64: on busy cores they took a hundred
    times as long.)
    """
    square = square / np.trace(square)
    for _ in range(_MOST_SQUARES):
        square = square @ square
        alone = np.trace(square)  # sum of squares of eigenvalues whose sum is 1
        square = square / alone
        if alone > 1.0 - 1e-9:  # and after this square 1 - 1e-18
            break
    return np.asarray(square[:, np.diagonal(square).argmax()])
