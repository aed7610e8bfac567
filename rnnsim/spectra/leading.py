"""The leading part of the spectrum of a large W_hh, dense or sparse, by ARPACK."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels import spectra as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.spectra.spectrum import by_modulus, exponents_of, matrices_of

_SPARE = 8  # values beyond the k wanted: ARPACK may pass over one whose neighbours are as large
_BASIS = 60  # Krylov vectors at least, for the same reason


@dataclass(frozen=True, eq=False, repr=False)
class LeadingSpectrum(Result):
    """What `leading_spectrum` returns; sizes: N networks, the leading k of H values each.

    Attributes
    ----------
    eigenvalues : (N, k) complex128 array
        The largest in modulus, in the order of `Spectrum.eigenvalues`. A conjugate pair that the
        end of the list cuts is there with its positive imaginary part. NaN where not found.
    singular_values : (N, k) array
        The largest, descending; NaN where not found.
    converged : (N,) bool array
        Whether all of them have converged. Otherwise a larger value may be missing.
    """

    _labels = labels.LEADING

    eigenvalues: npt.NDArray[np.complex128]
    singular_values: FloatArray
    converged: npt.NDArray[np.bool_]

    @property
    def spectral_radius(self) -> FloatArray:
        """Largest modulus of an eigenvalue (N,)."""
        return np.abs(self.eigenvalues[:, 0])

    @property
    def spectral_norm(self) -> FloatArray:
        """Largest singular value (N,)."""
        return self.singular_values[:, 0]


def leading_spectrum(
    rnn: Any, k: int = 6, *, tolerance: float = 0.0, max_iterations: int = 300
) -> LeadingSpectrum:
    """The k leading eigenvalues and singular values of W_hh, without its whole spectrum.

    ::

        |lambda_1| >= |lambda_2| >= ... >= |lambda_k|        sigma_1 >= sigma_2 >= ... >= sigma_k

    Restarted Krylov iterations (ARPACK: Lehoucq, Sorensen and Yang 1998, ARPACK Users' Guide),
    which need nothing of W_hh but products with vectors: for thousands of units, of which a sparse
    matrix may connect few. The start vector is fixed, so that results repeat.

    Eigenvalues of nearly the same modulus, as at the edge of the disc of a random W_hh, converge
    slowly and can be passed over; k + 8 of them in a basis of 60 vectors or more are
    computed to make that unlikely, and the rest left out. Where all moduli are the same, as in a
    large orthogonal matrix, none may converge: see `converged`.

    Everything is computed in float64. Units: those of W_hh.

    Parameters
    ----------
    rnn : RNN, (N, H, H) or (H, H) array, or an (H, H) matrix of scipy.sparse
        Networks, of which only W_hh is read, or any real matrices.
    k : int
        From 1 to H - 2.
    tolerance : float
        Relative accuracy at which ARPACK stops, at least 0 and below 1; 0 is that of float64.
    max_iterations : int
        Restarts, at least 1.

    Returns
    -------
    LeadingSpectrum
        ``.eigenvalues`` and ``.singular_values`` (N, k); ``.spectral_radius``, ``.spectral_norm``
        and ``.converged`` (N,).

    Raises
    ------
    TypeError, ValueError
        Neither vanilla networks nor square matrices of float32 or float64; NaN or infinity; k out
        of range; a tolerance outside [0, 1); max_iterations below 1.

    Examples
    --------
    A chain of 2000 units with 3999 connections:

    >>> import numpy as np
    >>> import scipy.sparse
    >>> keep = 0.9 ** np.arange(2000)
    >>> W_hh = scipy.sparse.diags([keep, np.full(1999, 0.1)], [0, -1])
    >>> result = leading_spectrum(W_hh, k=3)
    >>> result.eigenvalues.real.round(6), result.converged
    (array([[1.  , 0.9 , 0.81]]), array([ True]))
    """
    matrices = _operators(rnn)
    H = matrices[0].shape[0]
    k = checks.whole_number("k", k, least=1)
    if k > H - 2:
        raise ValueError(
            f"`k` must be at most n_hidden - 2 = {H - 2} for ARPACK, got {k}; "
            "rnnsim.spectrum takes networks and gives all values"
        )
    if checks.real_number("tolerance", tolerance) != 0:
        tolerance = checks.real_number("tolerance", tolerance, above=0.0, below=1.0)
    max_iterations = checks.size("max_iterations", max_iterations)
    eigenvalues = np.full((len(matrices), k), complex(np.nan, np.nan))
    singular_values = np.full((len(matrices), k), np.nan)
    converged = np.zeros(len(matrices), bool)
    for n, matrix in enumerate(matrices):
        exponent = _to_unit_size(matrix)
        values, all_values = _eigenvalues(matrix, k, tolerance, max_iterations)
        sigmas, all_sigmas = _singular_values(matrix, k, tolerance, max_iterations)
        with np.errstate(over="ignore"):
            eigenvalues[n, : values.size].view(float)[:] = np.ldexp(values.view(float), exponent)
            singular_values[n, : sigmas.size] = np.ldexp(sigmas, exponent)
        converged[n] = all_values and all_sigmas
    found = LeadingSpectrum(eigenvalues, singular_values, converged)
    return described(found, rnn, tolerance=tolerance)


def _operators(rnn: Any) -> list[Any]:
    """One matrix for each network, in float64: arrays, or a sparse matrix by rows."""
    import scipy.sparse  # slow to import, needed here only

    if not scipy.sparse.issparse(rnn):
        return list(matrices_of(rnn))
    if rnn.ndim != 2 or rnn.shape[0] != rnn.shape[1] or rnn.shape[0] == 0:
        raise ValueError(
            f"`rnn` must be a square sparse matrix (n_hidden, n_hidden), got {rnn.shape}"
        )
    if rnn.dtype not in checks.DTYPES:
        raise TypeError(
            f"`rnn` must hold float32 or float64, got {rnn.dtype}; convert it with "
            "astype('float64')"
        )
    matrix = rnn.tocsr().astype(np.float64)
    checks.finite("rnn", matrix.data)
    return [matrix]


def _to_unit_size(matrix: Any) -> int:
    """Scale a matrix in place by the power of two returned: the sums of ARPACK are of squares."""
    entries = matrix if isinstance(matrix, np.ndarray) else matrix.data
    exponent = int(exponents_of(entries.reshape(1, 1, -1))[0]) if entries.size else 0
    np.ldexp(entries, -exponent, out=entries)
    return exponent


def _eigenvalues(
    matrix: Any, k: int, tolerance: float, max_iterations: int
) -> tuple[npt.NDArray[np.complex128], bool]:
    """The leading eigenvalues of one matrix, at most k, and whether these are all."""
    from scipy.sparse.linalg import eigs

    options = {"tol": tolerance, "maxiter": max_iterations, "return_eigenvectors": False}
    found, done = _arpack(eigs, matrix, k, largest_basis=matrix.shape[0], **options)
    values = by_modulus(found.astype(np.complex128))[:k]
    cut = values.size > 0 and values[-1].imag < 0 and not (values[:-1] == values[-1].conj()).any()
    if cut:  # one of a pair alone: both are eigenvalues of a real matrix
        values[-1] = values[-1].conj()
    return values, done


def _singular_values(
    matrix: Any, k: int, tolerance: float, max_iterations: int
) -> tuple[FloatArray, bool]:
    """The same for singular values: square roots of eigenvalues of W^T W only where it failed."""
    from scipy.sparse.linalg import svds

    options = {"tol": tolerance, "maxiter": max_iterations, "return_singular_vectors": False}
    found, done = _arpack(svds, matrix, k, largest_basis=matrix.shape[0] - 1, **options)
    values: FloatArray = -np.sort(-(found.real if done else np.sqrt(np.maximum(found.real, 0.0))))
    return values[:k], done


def _arpack(
    solve: Any, matrix: Any, k: int, *, largest_basis: int, **options: Any
) -> tuple[npt.NDArray[Any], bool]:
    """What `eigs` or `svds` finds, with spare values, then without where these do not converge."""
    from scipy.sparse.linalg import ArpackError

    H = matrix.shape[0]
    if abs(matrix).max() == 0:  # an error of ARPACK's
        return np.zeros(k), True
    start = np.random.default_rng(0).standard_normal(H)
    found = np.zeros(0)
    for wanted in sorted({min(k + _SPARE, H - 2), k}, reverse=True):
        basis = min(largest_basis, max(2 * wanted + 2, _BASIS))
        try:
            return solve(matrix, wanted, ncv=basis, v0=start, **options), True
        except ArpackError as error:  # the part that converged, if any
            found = np.asarray(getattr(error, "eigenvalues", found))
    return found, False
