"""One large random W_hh: edges, circular law of eigenvalues, quarter circle of singular values."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.theory.arithmetic import increasing_root

# sqrt(H) * std of an entry of W_hh at gain 1
_EFFECTIVE_GAIN = {"gaussian": 1.0, "uniform": 1.0 / np.sqrt(3.0), "orthogonal": 1.0}


def effective_gain(scheme: str, gain: npt.ArrayLike) -> FloatArray:
    """Effective gain of a random W_hh: the g of mean-field and random-matrix results.

    ::

        g = sqrt(H) * std(W_hh[i, j])     gaussian gain, uniform gain/sqrt(3), orthogonal gain

    Exact at every H as an expectation over draws. The identity is not random, no such theory
    covers it, and it raises.

    Parameters
    ----------
    scheme : {"gaussian", "uniform", "orthogonal"}
    gain : float or array
        At least 0. The result has its shape and no unit.

    Raises
    ------
    TypeError, ValueError
        Another scheme, the identity included; a gain that is negative or not a finite number.

    Examples
    --------
    >>> effective_gain("uniform", [0.5, 3.0]).round(4)
    array([0.2887, 1.7321])
    """
    factor = _EFFECTIVE_GAIN[checks.one_of("scheme", scheme, _EFFECTIVE_GAIN)]
    return factor * checks.nonnegative("gain", gain)


def spectral_radius(scheme: str, gain: npt.ArrayLike) -> FloatArray:
    """Spectral radius of W_hh: the edge for large H, exact for orthogonal and identity.

    ::

        max_i |lambda_i| -> gain (gaussian), gain/sqrt(3) (uniform); = gain (orthogonal, identity)

    The edge of the circular law (Geman 1986; Bai and Yin 1986). At finite H the largest modulus
    scatters above it: 1.034 +- 0.020 over draws at H = 256, gaussian, gain 1.

    Parameters
    ----------
    scheme : {"gaussian", "orthogonal", "identity", "uniform"}
    gain : float or array
        At least 0. The result has its shape and no unit.

    Raises
    ------
    TypeError, ValueError
        An unknown scheme; a gain that is negative or not a finite number.

    Examples
    --------
    >>> float(spectral_radius("identity", 0.9))
    0.9
    """
    known = checks.one_of("scheme", scheme, SCHEMES)
    return effective_gain("orthogonal" if known == "identity" else known, gain)


def circular_law_fraction(radius: npt.ArrayLike, gain: npt.ArrayLike) -> FloatArray:
    """Fraction of the eigenvalues of W_hh with modulus up to r: ``min(1, (r/g)^2)``.

    The circular law: in the limit they fill the disc of radius g with uniform density.
    Ginibre (1965) for Gaussian entries, Girko (1984), in full generality Tao and Vu (2010, Annals
    of Probability 38). Holds for H -> infinity and independent entries of mean 0, variance g^2/H:
    the schemes gaussian and uniform, not orthogonal (all moduli are the gain) or identity.

    Parameters
    ----------
    radius : float or array
        r, at least 0.
    gain : float or array
        g above 0, the effective gain; broadcast against `radius`.

    Raises
    ------
    TypeError, ValueError
        A radius or gain that is negative or not a finite number; a gain of 0.

    Examples
    --------
    >>> circular_law_fraction([0.5, 1.0, 2.0], 1.0)
    array([0.25, 1.  , 1.  ])
    """
    r, g = checks.nonnegative("radius", radius), checks.positive("gain", gain)
    return np.minimum(r / g, 1.0) ** 2


def circular_law_log_moduli(n_hidden: int, gain: npt.ArrayLike) -> FloatArray:
    """Sorted ``ln |lambda_i|`` (..., H) of the eigenvalues of W_hh, by the circular law, in nats.

    ::

        ln |lambda_i| = ln g + 1/2 ln(1 - (i - 1/2)/H)      i = 1..H, descending; mean ln g - 1/2

    The quantiles of `circular_law_fraction` at the middles (i - 1/2)/H. Validity as there: H ->
    infinity and independent entries, the schemes gaussian and uniform. At finite H the first few
    lie higher (see `spectral_radius`) and the last few scatter.

    They are the whole Lyapunov spectrum of a linear network at any gain, and of a tanh network
    without input and biases at g <= 1, whose states go to 0: its Jacobian is W_hh itself. They are
    also the law of large n for products of fresh matrices: see `newman_exponents`. Other tanh
    networks have another spectrum; for two numbers of theirs see `mean_field`.

    Parameters
    ----------
    n_hidden : int
        H, at least 1.
    gain : float or (...,) array
        g above 0, the effective gain.

    Raises
    ------
    TypeError, ValueError
        An H that is not an integer of at least 1; a gain that is not a finite number above 0.

    Examples
    --------
    >>> circular_law_log_moduli(4, 0.9).round(4)
    array([-0.1721, -0.3404, -0.5958, -1.1451])
    """
    H = checks.size("n_hidden", n_hidden)
    g = checks.positive("gain", gain)
    return np.log(g)[..., None] + 0.5 * np.log1p(-(np.arange(H) + 0.5) / H)


def singular_value_edge(gain: npt.ArrayLike) -> FloatArray:
    """Largest singular value of W_hh for large H: ``sigma_max(W_hh) -> 2 g``.

    Geman (1980), Yin, Bai and Krishnaiah (1988): the Bai-Yin edge. Holds for H -> infinity and
    independent entries of mean 0, variance g^2/H and finite fourth moment: the schemes gaussian
    and uniform. Orthogonal and identity have sigma_max = gain exactly. At H = 256 and g = 1 draws
    have 1.980 +- 0.023.

    Parameters
    ----------
    gain : float or array
        g at least 0, the effective gain. The result has its shape and no unit.

    Raises
    ------
    TypeError, ValueError
        A gain that is negative or not a finite number.

    Examples
    --------
    >>> float(singular_value_edge(effective_gain("uniform", 1.0)).round(4))
    1.1547
    """
    return 2.0 * checks.nonnegative("gain", gain)


def singular_value_density(value: npt.ArrayLike, gain: npt.ArrayLike) -> FloatArray:
    """Density of the singular values of W_hh at s: the quarter circle of radius 2 g.

    ::

        p(s) = sqrt(4 g^2 - s^2) / (pi g^2)    0 <= s <= 2 g, else 0;    mean of s^2: g^2

    The law of Marchenko and Pastur (1967, Math. USSR-Sbornik 1, 457) for square matrices, written
    for sigma instead of sigma^2. Holds for H -> infinity and independent entries of mean 0,
    variance g^2/H: the schemes gaussian and uniform. The smallest are of order g/H (Edelman 1988,
    SIAM J. Matrix Anal. Appl. 9, 543). Orthogonal and identity have sigma = gain throughout.

    Parameters
    ----------
    value : float or array
        s, at least 0, in units of W_hh; the density is per such unit.
    gain : float or array
        g above 0, the effective gain; broadcast against `value`.

    Raises
    ------
    TypeError, ValueError
        A value that is negative or not a finite number; a gain that is not a finite number above 0.

    Examples
    --------
    >>> singular_value_density([0.0, 1.2, 2.0, 3.0], 1.0).round(4)
    array([0.6366, 0.5093, 0.    , 0.    ])
    """
    g = checks.positive("gain", gain)
    ratio = np.minimum(checks.nonnegative("value", value) / (2.0 * g), 1.0)
    return 2.0 / (np.pi * g) * np.sqrt((1.0 - ratio) * (1.0 + ratio))


def singular_value_fraction(value: npt.ArrayLike, gain: npt.ArrayLike) -> FloatArray:
    """Fraction of the singular values of W_hh up to s, the integral of `singular_value_density`.

    ::

        F(s) = (2 theta + sin 2 theta) / pi,    s = 2 g sin theta,    1 from s = 2 g on

    Parameters, source, validity and errors as in `singular_value_density`.

    Raises
    ------
    TypeError, ValueError
        A value that is negative or not a finite number; a gain that is not a finite number above 0.

    Examples
    --------
    >>> singular_value_fraction([0.0, 1.0, 2.0, 3.0], 1.0).round(4)
    array([0.   , 0.609, 1.   , 1.   ])
    """
    ratio = checks.nonnegative("value", value) / (2.0 * checks.positive("gain", gain))
    angle = 2.0 * np.arcsin(np.minimum(ratio, 1.0))
    return (angle + np.sin(angle)) / np.pi


def singular_value_quantile(fraction: npt.ArrayLike, gain: npt.ArrayLike) -> FloatArray:
    """The s below which a fraction F of the singular values of W_hh lies.

    The inverse of `singular_value_fraction`, by bisection; source and validity as there. The curve
    beside sorted singular values: F = 1 - (i - 1/2)/H for the i-th largest.

    Parameters
    ----------
    fraction : float or array
        F, from 0 to 1.
    gain : float or array
        g above 0, the effective gain; broadcast against `fraction`.

    Raises
    ------
    TypeError, ValueError
        A fraction outside 0 to 1 or not a number; a gain that is not a finite number above 0.

    Examples
    --------
    >>> H = 4
    >>> singular_value_quantile(1 - (np.arange(H) + 0.5) / H, 1.0).round(4)
    array([1.5468, 1.0292, 0.5981, 0.1967])
    """
    F, g = checks.nonnegative("fraction", fraction), checks.positive("gain", gain)
    if (F > 1).any():
        raise ValueError(f"`fraction` must be at most 1, got {F.max()}; 1 is the largest of all")
    angle = increasing_root(
        lambda w: w + np.sin(w) - np.pi * F, np.zeros_like(F), np.full_like(F, np.pi)
    )
    return 2.0 * g * np.sin(0.5 * angle)
