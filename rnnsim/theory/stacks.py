"""Stacks of linear layers: the paths through layers and time that add up in a gradient."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.theory.arithmetic import rate_times_lag


def stack_log_norm(rate: npt.ArrayLike, distance: npt.ArrayLike, lags: npt.ArrayLike) -> FloatArray:
    """ln (..., K) of what a gradient into a lower layer is over k steps, relative to lag 0.

    ::

        ln [ C(k+d, d) rho^k ],    rho = e^rate        C: the ways to go down d layers in k steps

    Exact, by all paths (those through the layers within a step as well), for linear layers with
    W_hh = rho I and any W_xh between them. Else a guide: layers differ in their rates, and paths
    do not all point the same way. C grows as k^d, so that the rate is still `rate` in the end.

    Parameters
    ----------
    rate : float or (...,) array
        ln rho, in nats per step.
    distance : int or (...,) array
        d, layers between this one and the top: 0 at the top.
    lags : int or (K,) array
        k, at least 0.

    Raises
    ------
    TypeError, ValueError
        What is not a finite number; a negative distance or lag.

    Examples
    --------
    >>> np.exp(stack_log_norm(0.0, 2, [0, 1, 2, 3, 4, 5])).round(9)
    array([ 1.,  3.,  6., 10., 15., 21.])
    """
    from scipy.special import gammaln  # slow to import, needed here only

    rates = checks.real_array("rate", rate)
    checks.finite("rate", np.atleast_1d(rates))
    d = checks.nonnegative("distance", distance)[..., None]
    k = np.atleast_1d(checks.nonnegative("lags", lags))
    found: FloatArray = rate_times_lag(rates, k) + gammaln(k + d + 1) - gammaln(k + 1)
    return found - gammaln(d + 1)
