"""Non-normality of W_hh: numerical range, Kreiss constant, eigenvectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels import spectra as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.networks.rnn import RNN
from rnnsim.spectra.powers import kreiss
from rnnsim.spectra.pseudospectra import ComplexArray
from rnnsim.spectra.spectrum import by_modulus, exponents_of, matrices_of

_NORMAL = 1e-13  # departures from normality, relative to the norm, that are rounding
_ANGLES = 65  # over half a turn: at worst the numerical radius is 1/cos(pi/128) = 1.0003 larger
_MAXIMA = 3  # of these angles that are refined
_SHAPE = ("kreiss", "eigenbasis_condition", "participation")  # what no multiple of W_hh changes


@dataclass(frozen=True, eq=False, repr=False)
class NonNormality(Result):
    """What `nonnormality` returns; sizes: N networks, H hidden units, everything from float64.

    Attributes
    ----------
    eigenvalues : (N, H) complex128 array
        Of W_hh, in the order of `Spectrum.eigenvalues`.
    participation : (N, H) array
        Of the right eigenvector of each eigenvalue: how many units it involves, from 1 to H.
    eigenvalue_condition : (N, H) array
        How far a small change of W_hh moves each eigenvalue, as a multiple of its norm: 1 at best,
        inf for a defective eigenvalue.
    eigenbasis_condition : (N,) array
        Condition number of the matrix of unit-norm eigenvectors: 1 where W_hh is normal, inf where
        it has no basis of eigenvectors.
    numerical_abscissa, numerical_radius : (N,) arrays
        Largest real part and largest modulus in the numerical range, in units of W_hh.
    kreiss : (N,) array
        Kreiss constant at `radius`, a lower bound on transient growth; at least 1.
    kreiss_point : (N,) complex128 array
        The point of the upper half plane where it was found; inf where 1 is reached far out only.
    radius : (N,) array
        The growth per step to which `kreiss` compares: the spectral radius unless given.
    """

    _labels = labels.NONNORMALITY

    eigenvalues: ComplexArray
    participation: FloatArray
    eigenvalue_condition: FloatArray
    eigenbasis_condition: FloatArray
    numerical_abscissa: FloatArray
    numerical_radius: FloatArray
    kreiss: FloatArray
    kreiss_point: ComplexArray
    radius: FloatArray


def nonnormality(rnn: RNN | npt.ArrayLike, *, radius: npt.ArrayLike | None = None) -> NonNormality:
    """How much of each W_hh its eigenvalues do not tell: transient growth, skewed eigenvectors.

    ::

        numerical_abscissa   = largest eigenvalue of (W + W^T) / 2
        numerical_radius     = max over theta of the largest eigenvalue of
                               (e^(i theta) W + e^(-i theta) W^T) / 2
        kreiss               = sup over |z| > R of (|z| - R) ||(z - W)^-1||_2,     R = radius
        participation        = (sum_j |v_j|^2)^2 / sum_j |v_j|^4
        eigenvalue_condition = 1 / |u^* v|,   u, v the unit left and right eigenvectors
        eigenbasis_condition = ||V||_2 ||V^-1||_2,   V the unit right eigenvectors

    **Numerical range**, the set of all ``x^* W x`` with ``||x|| = 1``; for a normal matrix the
    convex hull of the eigenvalues. The abscissa is the initial growth rate of
    ``||exp(t W)||_2`` and what ``x^T W x`` can reach. The numerical radius r bounds all powers,
    ``||W^k||_2 <= 2 r^k``: no transient exceeds 2 where r is below 1 (Horn and Johnson 1991, Topics
    in Matrix Analysis, chapter 1). It is found at 65 angles, and the highest three of them
    refined; as the numerical range is convex and lies within the tangents at these angles, it is
    larger than reported by a factor of at most 1.0003, and by rounding alone in all cases
    with a known answer.

    **Kreiss constant** (Kreiss 1962, BIT 2, 153-181; Spijker 1991, BIT 31, 551-555)::

        kreiss <= sup over k >= 0 of ||W^k||_2 / R^k <= e H kreiss

    By default R is the spectral radius, whatever it is: the transient growth of the powers relative
    to their asymptotic growth, which does not depend on the gain. It is inf where the leading
    eigenvalue is defective or nearly so (still rising at 1e-7 R from the circle), and for nilpotent
    W. With ``radius=1`` it is the textbook constant of W itself, inf where the spectral radius is
    above 1. The supremum is searched from a polar grid; what is reported is its value at
    `kreiss_point` and with it a lower bound, of the constant and of transient growth, in any case
    (for algorithms that certify it: Mitchell 2020, SIAM Journal on Matrix Analysis and
    Applications 41, 1944-1975). `transient_growth` computes the powers themselves.

    **Eigenvectors.** Where an eigenvalue is repeated they are not determined by W, and those that
    LAPACK returns count; for a W that is normal to rounding, an orthonormal set. Rounding splits
    a defective eigenvalue unless W is triangular as given: condition numbers of 1e7 and more then
    stand for inf.

    Everything is computed in float64, whatever the dtype of the networks.

    Parameters
    ----------
    rnn : RNN, or (N, H, H) or (H, H) array
        Networks, of which only W_hh is read, or any real matrices.
    radius : float or (N,) array, optional
        R of the Kreiss constant, above 0, in units of W_hh. The spectral radius unless given.

    Returns
    -------
    NonNormality
        ``.eigenvalues``, ``.participation`` and ``.eigenvalue_condition`` (N, H); all others (N,).
        Henrici's departure from normality is in `spectrum`.

    Raises
    ------
    TypeError, ValueError
        Neither vanilla networks nor square matrices of float32 or float64; a radius that is not a
        positive finite number or of another shape.

    Examples
    --------
    A feed-forward link of 0.8 between units that keep 0.6 and 0.5:

    >>> import numpy as np
    >>> W_hh = np.array([[0.6, 0.8], [0.0, 0.5]])
    >>> result = nonnormality(W_hh)
    >>> result.numerical_abscissa.round(3), result.numerical_radius.round(3)
    (array([0.953]), array([0.953]))
    >>> result.kreiss.round(3), result.eigenvalue_condition.round(3)
    (array([8.062]), array([[8.062, 8.062]]))
    >>> nonnormality(W_hh, radius=1.0).kreiss.round(3)
    array([1.])
    """
    matrices = matrices_of(rnn)
    radii = _radii(radius, len(matrices))
    eigenvalues = by_modulus(np.linalg.eigvals(matrices).astype(np.complex128))
    exponents = exponents_of(matrices)
    scale = np.ldexp(1.0, exponents)  # undone at the end
    scaled = np.ldexp(matrices, -exponents[:, None, None])
    values = np.ldexp(eigenvalues.view(float), -exponents[:, None]).view(complex)
    with np.errstate(over="ignore"):
        limits = [None] * len(matrices) if radii is None else radii / scale
    rows = [_of_one(*each) for each in zip(scaled, values, limits, strict=True)]
    vectors, conditions, bases, abscissas, ranges, constants, points = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    points[constants > 1.0] *= scale[constants > 1.0]
    found = NonNormality(
        eigenvalues,
        vectors,
        conditions,
        bases,
        abscissas * scale,
        ranges * scale,
        constants,
        points,
        np.abs(eigenvalues[:, 0]) if radii is None else radii,
    )
    return described(found, rnn)


def _radii(radius: Any, n_networks: int) -> FloatArray | None:
    if radius is None:
        return None
    radii = checks.per_network("radius", radius, n_networks)
    checks.finite("radius", radii)
    if (radii <= 0).any():
        raise ValueError(
            f"`radius` must be above 0, got {radius!r}; leave it out to compare with the "
            "spectral radius of each network"
        )
    return radii


def _of_one(matrix: FloatArray, eigenvalues: ComplexArray, radius: float | None) -> tuple[Any, ...]:
    """The fields of one network, in their order."""
    triangular, left, right = _eigenvectors(matrix, eigenvalues)
    rounding = len(matrix) * np.finfo(np.float64).eps
    power, overlap = np.abs(right) ** 2, np.abs((left.conj() * right).sum(axis=0))
    conditions = np.full(len(matrix), np.inf)
    np.divide(1.0, np.minimum(overlap, 1.0), out=conditions, where=overlap > rounding)
    stretch = np.linalg.svd(right, compute_uv=False)
    symmetric = np.linalg.eigvalsh(0.5 * (matrix + matrix.T))
    outermost = float(np.abs(eigenvalues[0]))
    return (
        power.sum(axis=0) ** 2 / (power**2).sum(axis=0),
        conditions,
        stretch[0] / stretch[-1] if stretch[-1] > rounding * stretch[0] else np.inf,
        symmetric[-1],
        max(_numerical_radius(matrix), outermost),
        *kreiss(triangular, radius),
    )


def _eigenvectors(
    matrix: FloatArray, eigenvalues: ComplexArray
) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
    """Schur triangle, unit left and right eigenvectors as columns in the order of `eigenvalues`."""
    import scipy.linalg  # slow to import, needed here only
    from scipy.optimize import linear_sum_assignment

    if np.tril(matrix, -1).any():
        triangular, basis = scipy.linalg.schur(matrix, output="complex")
    else:
        triangular, basis = matrix.astype(np.complex128), np.eye(len(matrix), dtype=np.complex128)
    departure = np.linalg.norm(np.triu(triangular, 1))
    if departure <= _NORMAL * np.linalg.norm(triangular):
        values, left, right = np.diag(triangular), basis, basis
    else:
        values, left, right = scipy.linalg.eig(matrix, left=True, right=True)
    _, order = linear_sum_assignment(np.abs(eigenvalues[:, None] - values))
    return triangular, left[:, order], right[:, order]


def _numerical_radius(matrix: FloatArray) -> float:
    """The largest support of the numerical range in any direction; by conjugation half suffice."""
    from scipy.optimize import minimize_scalar  # slow to import, needed here only

    symmetric, skew = 0.5 * (matrix + matrix.T), 0.5j * (matrix - matrix.T)

    def support(angle: float) -> float:
        turned = np.cos(angle) * symmetric + np.sin(angle) * skew
        return float(np.linalg.eigvalsh(turned)[-1])

    angles = np.linspace(0.0, np.pi, _ANGLES)
    heights = np.array([support(angle) for angle in angles])
    around = np.pad(heights, 1, mode="reflect")  # even about 0 and pi
    peaks = np.flatnonzero((heights >= around[:-2]) & (heights >= around[2:]))
    best = float(heights.max())
    for peak in peaks[np.argsort(-heights[peaks], kind="stable")][:_MAXIMA]:
        bounds = angles[max(peak - 1, 0)], angles[min(peak + 1, _ANGLES - 1)]
        found = minimize_scalar(
            lambda angle: -support(angle), bounds=bounds, method="bounded", options={"xatol": 1e-9}
        )
        best = max(best, float(-found.fun))
    return best


def scaled_nonnormality(
    unit: RNN, draws: Sequence[int], gains: Sequence[float]
) -> dict[str, npt.NDArray[Any]]:
    """`nonnormality` of ``W_hh[n] = gains[n] * V[draws[n]]``, V those of `unit`, by quantity.

    The Kreiss constant (at the spectral radius), eigenvectors and their condition are those of V,
    and all 1 for the matrix 0; the numerical radius is ``|gain|`` times that of V.
    """
    found, of = nonnormality(unit), np.asarray(draws)
    scale = np.asarray(gains, np.float64)
    V = unit.W_hh.astype(np.float64)
    bounds = np.linalg.eigvalsh(0.5 * (V + V.mT))[:, [0, -1]]
    result = {}
    for name in _SHAPE:
        values = getattr(found, name)[of]
        values[scale == 0.0] = 1.0
        result[name] = values
    return result | {
        "numerical_radius": np.abs(scale) * found.numerical_radius[of],
        "numerical_abscissa": (scale[:, None] * bounds[of]).max(axis=1),
    }
