"""Pseudospectra of W_hh: how close z - W_hh is to singular, all over the plane."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels import spectra as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.networks.rnn import RNN
from rnnsim.spectra.spectrum import by_modulus, matrices_of

ComplexArray = npt.NDArray[np.complex128]

_BLOCK = 8  # rows of a diagonal block in a substitution
_PRODUCT = 48_000  # multiplications in one matrix product; BLAS starts threads above 65,536
_ENTRIES = 65_536  # in one array of vectors: points are treated in groups that stay in cache


@dataclass(frozen=True, eq=False, repr=False)
class Pseudospectrum(Result):
    """What `pseudospectrum` returns; sizes: N networks, X by Y points, H hidden units.

    Attributes
    ----------
    real : (X,) array
        Real parts of the points, ascending.
    imag : (Y,) array
        Imaginary parts of the points, ascending.
    log_sigma_min : (N, Y, X) array
        ln sigma_min(z - W_hh) at z = real[x] + i imag[y], natural logarithm of a number in units of
        W_hh; -inf at an eigenvalue. Rows are imaginary parts, as ``contour(real, imag, ...)`` and
        ``imshow`` want them.
    converged : (N, Y, X) bool array
        Where the iteration reached its tolerance. Elsewhere the value is an upper bound, or -inf
        where squares overflow, below about 1e-154 of the largest entry of W_hh.
    eigenvalues : (N, H) complex128 array
        Of W_hh, in the order of `Spectrum.eigenvalues`.
    """

    _labels = labels.PSEUDOSPECTRUM

    real: FloatArray
    imag: FloatArray
    log_sigma_min: FloatArray
    converged: npt.NDArray[np.bool_]
    eigenvalues: ComplexArray


def pseudospectrum(
    rnn: RNN | npt.ArrayLike,
    *,
    real: npt.ArrayLike | None = None,
    imag: npt.ArrayLike | None = None,
    n_points: int = 100,
    tolerance: float = 1e-6,
    max_iterations: int | None = None,
) -> Pseudospectrum:
    """Smallest singular value of z - W_hh on a grid of the complex plane, for each network.

    ::

        sigma_min(z - W) = 1 / ||(z - W)^-1||_2
                         = min { ||E||_2 : z is an eigenvalue of W + E }

    The epsilon-pseudospectrum is the set where it is below epsilon: all that perturbations of that
    size can make of the eigenvalues. For a normal matrix it is the distance to the nearest
    eigenvalue. Where it is much smaller than that distance, eigenvalues say little: the powers of W
    can grow although the spectral radius is below 1, by at least ``(|z| - 1) / sigma_min(z - W)``
    for every z outside the unit circle (see `nonnormality`).

    One complex Schur form ``W = Q T Q^*`` serves all points, sigma_min(z - W) = sigma_min(z - T).
    Inverse Lanczos iteration, two triangular solves a step, finds the largest eigenvalue of
    ``((z - T) (z - T)^*)^-1`` at each point (Lui 1997, SIAM Journal on Scientific Computing 18,
    565-573; Trefethen and Embree 2005, Spectra and Pseudospectra, section 39), many points at
    once; the start vector is fixed. W is real, so z and its conjugate have the same value and are
    computed once.

    A point has converged when the residual of its Ritz value is below ``tolerance`` of that value.
    This bounds the relative error of sigma_min by ``tolerance / 2`` at worst, and it is far smaller
    where the two smallest singular values differ, as the error goes with the square of the
    residual. The Schur form itself rounds: whatever the tolerance, sigma_min is off by some
    ``1e-16 ||W||_2``, and values not far above that are noise unless W is triangular as given.

    Everything is computed in float64, whatever the dtype of the networks.

    Parameters
    ----------
    rnn : RNN, or (N, H, H) or (H, H) array
        Networks, of which only W_hh is read, or any real matrices.
    real, imag : (X,) and (Y,) arrays, optional
        Ascending. Unless given, `n_points` that span the numerical ranges of all the networks,
        which hold the eigenvalues, and a fifth of the larger extent more on each side.
    n_points : int
        Length of each axis that is not given, at least 2.
    tolerance : float
        Above 0 and below 1.
    max_iterations : int, optional
        Of the Lanczos iteration; 2 H + 20 unless given.

    Returns
    -------
    Pseudospectrum
        ``.real`` (X,), ``.imag`` (Y,), ``.log_sigma_min`` and ``.converged`` (N, Y, X),
        ``.eigenvalues`` (N, H).

    Raises
    ------
    TypeError, ValueError
        Neither vanilla networks nor square matrices of float32 or float64; an axis that is not
        ascending, finite and one-dimensional; n_points below 2; a tolerance outside (0, 1);
        max_iterations below 1.

    Examples
    --------
    Both eigenvalues are 0.5; a change of 0.24 puts one at 1 where W_hh is far from normal, and it
    takes 0.5 where it is normal:

    >>> import numpy as np
    >>> from rnnsim.spectra.pseudospectra import pseudospectrum
    >>> W_hh = np.array([[[0.5, 0.8], [0.0, 0.5]], [[0.5, 0.0], [0.0, 0.5]]])
    >>> result = pseudospectrum(W_hh, real=[0.5, 1.0], imag=[0.0])
    >>> np.exp(result.log_sigma_min[:, 0]).round(3)
    array([[0.  , 0.24],
           [0.  , 0.5 ]])
    """
    matrices = matrices_of(rnn)
    n_points = checks.size("n_points", n_points, least=2)
    tolerance = checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    if max_iterations is None:
        max_iterations = 2 * matrices.shape[-1] + 20
    max_iterations = checks.size("max_iterations", max_iterations)
    x, y = _axes(matrices, real, imag, n_points)
    upper, row = np.unique(np.abs(y), return_inverse=True)
    points = (x + 1j * upper[:, None]).ravel()
    logs = np.empty((len(matrices), y.size, x.size))
    converged = np.empty(logs.shape, bool)
    for n, matrix in enumerate(matrices):
        found = log_sigma_min(schur_triangle(matrix), points, tolerance, max_iterations)
        logs[n], converged[n] = (part.reshape(upper.size, x.size)[row] for part in found)
    eigenvalues = by_modulus(np.linalg.eigvals(matrices).astype(np.complex128))
    result = Pseudospectrum(x, y, logs, converged, eigenvalues)
    return described(result, rnn, tolerance=tolerance)


def _axes(
    matrices: FloatArray, real: Any, imag: Any, n_points: int
) -> tuple[FloatArray, FloatArray]:
    """The axes as given, or around the numerical ranges: boxes known from W + W^T and W - W^T."""
    symmetric = np.linalg.eigvalsh(0.5 * (matrices + matrices.mT))
    skew = np.linalg.eigvalsh(0.5j * (matrices - matrices.mT))
    left, right, top = symmetric.min(), symmetric.max(), skew.max()
    margin = 0.2 * (max(right - left, 2 * top) or abs(right) or 1.0)
    x = np.linspace(left - margin, right + margin, n_points)
    y = np.arange(1 - n_points, n_points, 2) * ((top + margin) / (n_points - 1))  # even to the bit
    return _axis("real", real, x), _axis("imag", imag, y)


def _axis(name: str, value: Any, default: FloatArray) -> FloatArray:
    if value is None:
        return default
    given = checks.plain_array(name, value)
    if given.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be an array of real numbers, got {checks.shown(value)}")
    axis = given.astype(np.float64)
    if axis.ndim != 1 or axis.size == 0:
        raise ValueError(
            f"`{name}` must be one axis of the grid, an array of one dimension with at least one "
            f"entry, got shape {axis.shape}"
        )
    checks.finite(name, axis)
    if checks.descent(axis):
        raise ValueError(
            f"`{name}` must be ascending, got {checks.shown(value)}; sort it, as with np.unique"
        )
    return axis


def schur_triangle(matrix: FloatArray) -> ComplexArray:
    """T of the complex Schur form ``Q T Q^*``; a matrix that is upper triangular stays as it is."""
    import scipy.linalg  # slow to import, needed here only

    if not np.tril(matrix, -1).any():
        return matrix.astype(np.complex128)
    triangular, _ = scipy.linalg.schur(matrix, output="complex")
    return np.asarray(triangular, np.complex128)


def log_sigma_min(
    triangular: ComplexArray, points: ComplexArray, tolerance: float, max_iterations: int
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """ln sigma_min(z - T) at P points z, and where it converged to `tolerance`.

    T and z are scaled by a power of two, so that squares stay in range.
    """
    shift = int(np.frexp(np.abs(triangular).max() or np.abs(points).max())[1])
    T, z = (np.ldexp(a.real, -shift) + 1j * np.ldexp(a.imag, -shift) for a in (triangular, points))
    logs, converged = np.empty(z.size), np.empty(z.size, bool)
    for part in _groups(z.size, max(128, _ENTRIES // len(T))):
        with np.errstate(all="ignore"):
            logs[part], converged[part] = _inverse_lanczos(T, z[part], tolerance, max_iterations)
    return logs + shift * np.log(2.0), converged


def _inverse_lanczos(
    T: ComplexArray, z: ComplexArray, tolerance: float, max_iterations: int
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Lanczos iteration with ``((z - T) (z - T)^*)^-1``, a column for each point.

    Points leave as they converge. -inf where z is an eigenvalue, or so close that the inverse
    overflows; then it does not count as converged.
    """
    strict, H = np.triu(T, 1), len(T)
    turned = np.ascontiguousarray(strict.conj().T[::-1, ::-1])  # (z - T)^* is upper from the end
    distances = z - np.diag(T)[:, None]
    logs, inverse = np.full(z.size, -np.inf), 1.0 / distances
    converged = (distances == 0).any(axis=0)
    active = np.flatnonzero(np.isfinite(inverse).all(axis=0))
    inverse = inverse[:, active]
    rng = np.random.default_rng(0)
    start = rng.standard_normal(H) + 1j * rng.standard_normal(H)
    q = np.repeat((start / np.linalg.norm(start))[:, None], active.size, axis=1)
    previous, beta = np.zeros_like(q), np.zeros(active.size)
    alphas, betas = np.zeros((2, active.size, max_iterations))
    check = 1
    for k in range(max_iterations):
        if not active.size:
            break
        u = _substitute(strict, inverse, q)
        w = _substitute(turned, inverse[::-1].conj(), u[::-1])[::-1]
        alphas[:, k] = _squares(u)  # q^* ((z - T) (z - T)^*)^-1 q
        w = w - alphas[:, k] * q - beta * previous
        beta = np.sqrt(_squares(w))
        betas[:, k] = beta
        previous, q = q, np.where(beta > 0, w / beta, 0.0)
        if k + 1 not in (check, max_iterations):
            continue
        check = k + 1 + max(1, k // 3)
        value, residual = _largest_ritz(alphas[:, : k + 1], betas[:, : k + 1])
        logs[active] = -0.5 * np.log(value)
        done = residual <= tolerance * value
        converged[active] = done & np.isfinite(value)
        keep = ~done & np.isfinite(value)
        active, beta, alphas, betas = active[keep], beta[keep], alphas[keep], betas[keep]
        q, previous, inverse = q[:, keep], previous[:, keep], inverse[:, keep]
    return logs, converged


def _squares(columns: ComplexArray) -> FloatArray:
    """The squared norm of each column."""
    total: FloatArray = (columns.real**2 + columns.imag**2).sum(axis=0)
    return total


def _largest_ritz(alphas: FloatArray, betas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Largest eigenvalue of each tridiagonal matrix (P, k), and its residual |beta_k s_k|."""
    P, k = alphas.shape
    overflown = ~(np.isfinite(alphas) & np.isfinite(betas)).all(axis=1)
    tridiagonal = np.zeros((P, k, k))
    inner = np.arange(k - 1)
    tridiagonal[:, np.arange(k), np.arange(k)] = alphas
    tridiagonal[:, inner + 1, inner] = betas[:, :-1]  # eigh reads the lower triangle
    tridiagonal[overflown] = 0.0
    values, vectors = np.linalg.eigh(tridiagonal)
    largest = np.where(overflown, np.inf, values[:, -1])
    return largest, betas[:, -1] * np.abs(vectors[:, -1, -1])


def _substitute(strict: ComplexArray, inverse: ComplexArray, right: ComplexArray) -> ComplexArray:
    """x with ``(D - S) x = right`` for each column: S strictly upper, ``inverse`` = 1/D.

    S is the same for all columns, so that all but the diagonal blocks is a matrix product. These
    are cut small, as BLAS would put threads on larger ones: no gain at this size, and with other
    work on the same cores 24 ms a product instead of 0.02.
    """
    x = np.array(right)
    for stop in range(len(x), 0, -_BLOCK):
        start, below = max(stop - _BLOCK, 0), len(x) - stop
        width = _PRODUCT // (_BLOCK * max(below, 1))
        for group in _groups(x.shape[1], width if width >= 16 else x.shape[1]):
            x[start:stop, group] += strict[start:stop, stop:] @ x[stop:, group]
        for i in range(stop - 1, start - 1, -1):
            x[i] *= inverse[i]
            x[start:i] += strict[start:i, i, None] * x[i]
    return x


def _groups(n: int, width: int) -> Iterator[slice]:
    """Slices of at most `width` that cover 0..n-1."""
    return (slice(start, start + width) for start in range(0, n, max(width, 1)))
