"""Gates that hear nothing: what a bias alone, or chrono initialisation, makes of a gradient."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.theory.arithmetic import rate_times_lag

_NODES = 200
_SEEN = 60.0  # nats below its largest value, where an integrand counts as 0


def gate_log_norm(forget_bias: npt.ArrayLike, lags: npt.ArrayLike) -> FloatArray:
    """ln (..., K) of what a gate of this bias keeps of a gradient over k steps, in nats.

    ``k ln sigma(b)``, exactly ln |dc_t/dc_{t-k}| of an LSTM and ln |dh_t/dh_{t-k}| of a GRU whose
    gate f, or z, hears neither input nor state. Else a guide: f varies, and there are other paths.

    Parameters
    ----------
    forget_bias : float or (...,) array
        b.
    lags : int or (K,) array
        k, at least 0.

    Raises
    ------
    TypeError, ValueError
        What is not a finite number; a negative lag.

    Examples
    --------
    >>> (gate_log_norm([1.0, 5.0], 100) / np.log(10)).round(3).ravel()         # in powers of 10
    array([-13.605,  -0.292])
    """
    bias, k = checks.real_array("forget_bias", forget_bias), checks.nonnegative("lags", lags)
    checks.finite("forget_bias", np.atleast_1d(bias))
    return rate_times_lag(-np.logaddexp(0.0, -bias), np.atleast_1d(k))


def chrono_log_norm(chrono: float, lags: npt.ArrayLike) -> FloatArray:
    """ln (K,) of the same of many units of chrono initialisation, in nats: ``ln sqrt(E f^2k)``.

    ::

        E f^2k = mean over u from 1 to T_max - 1 of (u/(1+u))^2k             b = ln u, f = sigma(b)

    Tallec and Ollivier (2018) draw biases so that 1/(1-f) is uniform on [2, T_max]. The norm over
    units is their root mean square, so that units of long memory rule it: it bends, with no rate.

    Parameters
    ----------
    chrono : float
        T_max, above 2.
    lags : int or (K,) array
        k, at least 0.

    Raises
    ------
    TypeError, ValueError
        T_max that is not above 2; lags that are negative or not finite.

    Examples
    --------
    >>> np.exp(chrono_log_norm(100, [0, 1, 10, 100])).round(5)
    array([1.     , 0.96185, 0.76269, 0.19394])
    """
    largest = checks.real_number("chrono", chrono, above=2.0) - 1.0
    k = np.atleast_1d(checks.nonnegative("lags", lags))
    x, weights = np.polynomial.legendre.leggauss(_NODES)
    top = -np.log1p(1 / largest)  # ln f of the slowest unit
    with np.errstate(divide="ignore"):
        lowest = 1 / np.expm1(np.minimum(_SEEN / (2 * k) - top, np.log(2.0)))
    width = 0.5 * np.log(largest / lowest)  # of b = ln u, du = u db
    u = largest * np.exp(-width[..., None] * (1 + x))
    logs = 2 * k[..., None] * (-np.log1p(1 / u) - top)
    mean = ((u * np.exp(logs)) @ weights) * width / (largest - 1)
    return np.asarray(k * top + 0.5 * np.log(mean))


def chrono_time_scale(chrono: float, fraction: npt.ArrayLike) -> FloatArray:
    """The time scale -1/ln f below which a fraction of units lies, in steps; as of `chrono`.

    ``-1/ln(1 - 1/tau)`` at ``tau = 2 + (T_max - 2) fraction``, nearly tau - 1/2.

    Parameters
    ----------
    chrono : float
        T_max, above 2.
    fraction : float or array
        From 0 to 1.

    Raises
    ------
    TypeError, ValueError
        T_max that is not above 2; fractions that are no numbers from 0 to 1.

    Examples
    --------
    >>> chrono_time_scale(100, [0.0, 0.5, 1.0]).round(2)
    array([ 1.44, 50.5 , 99.5 ])
    """
    longest = checks.real_number("chrono", chrono, above=2.0)
    share = checks.nonnegative("fraction", fraction)
    if (share > 1).any():
        raise ValueError(f"`fraction` must be from 0 to 1, got {share.max():g}")
    return np.asarray(-1 / np.log1p(-1 / (2 + (longest - 2) * share)))
