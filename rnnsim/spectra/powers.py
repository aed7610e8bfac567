"""Transient growth of the powers of W_hh: their norms, and the bound that the resolvent sets."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.networks.rnn import RNN
from rnnsim.spectra.pseudospectra import ComplexArray, log_sigma_min
from rnnsim.spectra.spectrum import matrices_of

_CLOSEST = 1e-7  # to the circle, in radii: nearer still, rounding of the eigenvalues shows
_DEFECTIVE = 0.5  # a rise with 1/distance to this power, that close, has no end
_RAYS = 32  # at equal angles over the upper half plane, and as many through eigenvalues
_STARTS = 3  # highest points of the grid that are improved


def transient_growth(rnn: RNN | npt.ArrayLike, lags: Iterable[int]) -> FloatArray:
    """Logarithm of the norm of the powers of each W_hh: how far a linear network can amplify.

    ::

        growth[n, i] = ln ||W_hh^k||_2        k = lags[i]

    The largest factor by which k steps of ``h_t = W_hh h_{t-1}``, or of the gradient on its way
    back, change a norm. For a normal matrix it is ``k ln rho``, rho the spectral radius, at every
    k. Otherwise it lies above this line, which it follows in the end, and the height of the hump
    ``growth - k ln rho`` is the logarithm of the transient growth. `NonNormality.kreiss` bounds
    that from below.

    Powers are rescaled as they go, so that nothing overflows or underflows. A power that is exactly
    0 gives -inf. Rounding: a few 1e-16 for each lag, times the square of the transient growth.

    Parameters
    ----------
    rnn : RNN, or (N, H, H) or (H, H) array
        Networks, of which only W_hh is read, or any real matrices.
    lags : (K,) integers
        At least 0, in any order; they may be far apart, as gaps are crossed by repeated squaring.

    Returns
    -------
    (N, K) float64
        In nats.

    Raises
    ------
    TypeError, ValueError
        Neither vanilla networks nor square matrices of float32 or float64; no lags, or one that is
        not an integer of at least 0.

    Examples
    --------
    Two units that decay by a half and feed one another: 4 times larger before it gets smaller.

    >>> import numpy as np
    >>> W_hh = np.array([[0.5, 8.0], [0.0, 0.5]])
    >>> np.exp(transient_growth(W_hh, [0, 1, 2, 10, 10_000])).round(3)
    array([[1.   , 8.031, 8.008, 0.156, 0.   ]])
    """
    matrices = matrices_of(rnn)
    none = "at least one lag, got none; pass, say, range(100)"
    kind = "integers such as range(100)"
    wanted = checks.whole_numbers("lags", lags, least=0, kind=kind, none=none)
    growth = np.empty((len(matrices), wanted.size))
    for lag, power in _powers(matrices, np.unique(wanted)):
        with np.errstate(divide="ignore"):
            norms = np.log(np.linalg.norm(power.matrix, 2, axis=(1, 2)))
        growth[:, wanted == lag] = (norms + np.log(2.0) * power.exponent)[:, None]
    return growth


class _Scaled(NamedTuple):
    """matrix * 2**exponent, an (N, H, H) array with its largest entry near 1 and N exponents."""

    matrix: FloatArray
    exponent: FloatArray


def _scaled(matrix: FloatArray, exponent: FloatArray) -> _Scaled:
    _, shift = np.frexp(np.abs(matrix).max(axis=(1, 2)))
    return _Scaled(np.ldexp(matrix, -shift[:, None, None]), exponent + shift)


def _product(a: _Scaled, b: _Scaled) -> _Scaled:
    return _scaled(a.matrix @ b.matrix, a.exponent + b.exponent)


def _powers(
    matrices: FloatArray, lags: npt.NDArray[np.int64]
) -> Iterator[tuple[np.int64, _Scaled]]:
    """The powers at ascending lags; a gap costs as many products as it has binary digits."""
    N, H, _ = matrices.shape
    power = _Scaled(np.broadcast_to(np.eye(H), (N, H, H)), np.zeros(N))
    doubled = [_scaled(matrices, np.zeros(N))]  # W^(2^j)
    for gap, lag in zip(np.diff(lags, prepend=0), lags, strict=True):
        for j in range(int(gap).bit_length()):
            if j == len(doubled):
                doubled.append(_product(doubled[-1], doubled[-1]))
            if int(gap) >> j & 1:
                power = _product(power, doubled[j])
        yield lag, power


class Kreiss(NamedTuple):
    """A bound on transient growth, and the point of the plane that gives it."""

    constant: float
    point: complex


def kreiss(triangular: ComplexArray, radius: float | None = None) -> Kreiss:
    """sup of ``(|z| - radius) / sigma_min(z - W)`` over ``|z| > radius`` for one real W.

    `triangular` is the Schur form of W, whose spectral radius counts unless one is given. The
    largest values on a polar grid of the upper half plane are improved by a quasi-Newton method.
    Every value is a lower bound; a maximum that is narrower than the grid can be missed.
    """
    eigenvalues = np.diag(triangular)
    largest = float(np.abs(eigenvalues).max())
    radius = largest if radius is None else radius
    if radius < largest * (1 - 1e-12) or (radius == 0 and triangular.any()):
        leading = eigenvalues[np.abs(eigenvalues).argmax()]
        return Kreiss(np.inf, complex(leading.real, abs(leading.imag)))
    radius = max(radius, largest)
    norm = float(np.linalg.norm(triangular, 2))
    best = Kreiss(1.0, complex(np.inf, 0.0))
    if norm <= radius * (1 + 1e-12):
        return best
    for distance, angle in _starts(triangular, radius, norm):
        found = _climb(triangular, radius, norm, distance, angle)
        best = found if found.constant > best.constant else best
    return best


def _starts(triangular: ComplexArray, radius: float, norm: float) -> list[tuple[float, float]]:
    """(|z| - radius, arg z) of the highest local maxima on a polar grid.

    Rays pass through the outermost eigenvalues, near which maxima are as narrow as the distance to
    them, and lie in between.
    """
    eigenvalues = np.diag(triangular)
    outer = eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")][: 2 * _RAYS]
    angles = np.union1d(np.abs(np.angle(outer)), np.linspace(0.0, np.pi, _RAYS))
    first, last = np.log10(1e-4 * radius), np.log10(10 * norm)
    distances = np.logspace(first, last, int(4 * (last - first)) + 2)
    distances = np.append(_CLOSEST * radius, distances)  # where suprema on the circle end up
    z = ((radius + distances[:, None]) * np.exp(1j * angles)).astype(np.complex128)
    logs, _ = log_sigma_min(triangular, z.ravel(), 1e-2, 100)
    height = np.log(distances)[:, None] - logs.reshape(z.shape)
    padded = np.pad(height, 1, constant_values=-np.inf)
    beside = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    peaks = np.argwhere(height >= np.max(beside, axis=0))
    order = np.argsort(-height[tuple(peaks.T)], kind="stable")[:_STARTS]
    return [(float(distances[d]), float(angles[a])) for d, a in peaks[order]]


def _climb(
    triangular: ComplexArray, radius: float, norm: float, distance: float, angle: float
) -> Kreiss:
    """The maximum that is reached from one point; inf where it rises on towards the circle."""
    from scipy.optimize import minimize  # slow to import, needed here only

    def descend(at: FloatArray) -> tuple[float, FloatArray]:
        """-ln((|z| - radius) / sigma_min) and its derivatives by ln(|z| - radius) and arg z."""
        gap, direction = np.exp(at[0]), np.exp(1j * at[1])
        z = (radius + gap) * direction
        left, sigma, right = np.linalg.svd(z * np.eye(len(triangular)) - triangular)
        turn = np.vdot(left[:, -1], right[-1].conj())  # d sigma = Re(turn dz)
        by_gap = gap * (direction * turn).real / sigma[-1] - 1.0
        by_angle = (1j * z * turn).real / sigma[-1]
        return float(np.log(sigma[-1]) - at[0]), np.array([by_gap, by_angle])

    lowest, highest = np.log(_CLOSEST * radius), np.log(1e3 * norm)
    found = minimize(
        descend,
        [np.log(distance), angle],
        jac=True,
        method="L-BFGS-B",
        bounds=[(lowest, highest), (None, None)],
        options={"ftol": 1e-14, "gtol": 1e-9},
    )
    z = complex((radius + np.exp(found.x[0])) * np.exp(1j * found.x[1]))
    at_the_circle = radius <= np.abs(np.diag(triangular)).max() and found.x[0] <= lowest + 1e-3
    endless = at_the_circle and found.jac[0] > _DEFECTIVE
    return Kreiss(np.inf if endless else float(np.exp(-found.fun)), complex(z.real, abs(z.imag)))
