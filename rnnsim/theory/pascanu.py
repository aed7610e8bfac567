"""Pascanu, Mikolov and Bengio (2013): when gradients must vanish, and bounds at every lag."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.theory.arithmetic import rate_times_lag
from rnnsim.theory.random_matrices import singular_value_edge, spectral_radius


def pascanu_vanishes(spectral_norm: npt.ArrayLike, *, slope_bound: float = 1.0) -> FloatArray:
    """Where the gradient must vanish: the sufficient condition of Pascanu et al. (2013).

    ::

        sigma_max(W_hh) < 1/gamma  =>  dl_t/dh_{t-k} -> 0 over the lag k,     gamma = sup |phi'|

    Pascanu, Mikolov and Bengio (2013), Section 2.1; for every input, state and H. By the same
    inequality sigma_max > 1/gamma is necessary for explosion. Neither turns round: saturation
    shrinks phi', and the gradient may vanish at any norm. For linear networks both hold with the
    spectral radius in place of the norm too, but in the limit of long lags only: before it, a
    non-normal W_hh can amplify (see `rnnsim.spectrum`).

    Parameters
    ----------
    spectral_norm : float or array
        sigma_max(W_hh), at least 0, or the spectral radius of a linear network.
    slope_bound : float
        gamma above 0: 1 for tanh, relu and linear.

    Raises
    ------
    TypeError, ValueError
        A norm that is negative or not a finite number; a slope bound that is not above 0.

    Examples
    --------
    >>> pascanu_vanishes([0.9, 1.0, 1.1])
    array([ True, False, False])
    """
    slope = checks.real_number("slope_bound", slope_bound, above=0.0)
    return slope * checks.nonnegative("spectral_norm", spectral_norm) < 1.0


def pascanu_critical_gain(scheme: str, *, slope_bound: float = 1.0) -> float:
    """The gain below which `pascanu_vanishes` holds and above which gradients could explode.

    At gamma = 1: gaussian 1/2, uniform sqrt(3)/2, orthogonal and identity 1; else 1/gamma of that.

    It solves ``sigma_max(W_hh) = 1/gamma``, for gaussian and uniform with the large-H edge 2 g of
    `singular_value_edge`, at any length; exact for orthogonal and identity. Above it the condition
    is silent: typical random networks vanish well beyond it.

    Parameters
    ----------
    scheme : {"gaussian", "orthogonal", "identity", "uniform"}
    slope_bound : float
        gamma above 0: 1 for tanh, relu and linear.

    Raises
    ------
    TypeError, ValueError
        An unknown scheme; a slope bound that is not above 0.

    Examples
    --------
    >>> pascanu_critical_gain("gaussian")
    0.5
    """
    slope = checks.real_number("slope_bound", slope_bound, above=0.0)
    radius = spectral_radius(scheme, 1.0)
    edge = singular_value_edge(radius) if scheme in ("gaussian", "uniform") else radius
    return float(1.0 / (slope * edge))


def pascanu_log_bound(
    spectral_norm: npt.ArrayLike, lags: npt.ArrayLike, *, slope_bound: float = 1.0
) -> FloatArray:
    """Upper bound (..., K) on ``ln(||dl_t/dh_{t-k}|| / ||dl_t/dh_t||)`` at each lag k, in nats.

    ``k ln eta`` with eta = gamma * sigma_max(W_hh), gamma = sup |phi'| and l_t the loss of step t.
    Pascanu, Mikolov and Bengio (2013), Section 2.1, there for eta < 1; as a product of operator
    norms it holds for any eta, input, state and H.

    Parameters
    ----------
    spectral_norm : float or (...,) array
        sigma_max(W_hh), at least 0. The spectral radius will not do, not even for linear networks.
    lags : int or (K,) array
        k, at least 0.
    slope_bound : float
        gamma above 0: 1 for tanh, relu and linear.

    Raises
    ------
    TypeError, ValueError
        A norm or lag that is negative or not a finite number; a slope bound that is not above 0.

    Examples
    --------
    >>> pascanu_log_bound([0.5, 1.0], [0, 1, 10]).round(3)
    array([[ 0.   , -0.693, -6.931],
           [ 0.   ,  0.   ,  0.   ]])
    """
    slope = checks.real_number("slope_bound", slope_bound, above=0.0)
    norm, k = checks.nonnegative("spectral_norm", spectral_norm), checks.nonnegative("lags", lags)
    with np.errstate(divide="ignore"):  # ln 0 is -inf
        return rate_times_lag(np.log(norm) + np.log(slope), k)
