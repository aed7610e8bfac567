"""Newman (1986): Lyapunov exponents of products of fresh Gaussian matrices, exact at every size."""

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray


def newman_exponents(n: int, gain: npt.ArrayLike | None = None) -> FloatArray:
    """Lyapunov exponents (..., n) of a product of independent Gaussian n x n matrices, descending.

    ::

        lambda_i = (ln 2 + psi((n-i+1)/2)) / 2                    entries N(0, 1)
        lambda_i = that + ln g - (ln n)/2                         entries N(0, g^2/n)
        i = 1..n,  psi the digamma function, in nats per factor

    Newman (1986, Communications in Mathematical Physics 103, 121-126). Exact at every n for
    Gaussian entries and a fresh draw in every factor. A recurrent network multiplies one and the
    same W_hh, so this is the exact test of a program that computes exponents, and for networks a
    comparison: without input and at g <= 1, where exponents are ln |eigenvalue of W_hh|, both have
    the limit `circular_law_log_moduli` for large n. For products that is the triangle law, where
    the density of exp(lambda) rises linearly up to g (Isopi and Newman 1992, Communications in
    Mathematical Physics 143, 591-598). Orthogonal factors have other exponents at any n, uniform
    ones at finite n.

    Parameters
    ----------
    n : int
        At least 1.
    gain : float or (...,) array, optional
        g above 0, for entries of variance g^2/n; unless given, entries have variance 1.

    Raises
    ------
    TypeError, ValueError
        A size that is not an integer of at least 1; a gain that is not a finite number above 0.

    Examples
    --------
    >>> newman_exponents(5).round(5)
    array([ 0.69815,  0.55797,  0.36482,  0.05797, -0.63518])
    """
    from scipy.special import digamma  # slow to import, needed here only

    exponents: FloatArray = 0.5 * (np.log(2.0) + digamma(0.5 * _degrees_of_freedom(n)))
    if gain is None:
        return exponents
    return exponents + (np.log(checks.positive("gain", gain)) - 0.5 * np.log(n))[..., None]


def newman_variances(n: int) -> FloatArray:
    """Variance (n,) that one factor adds to each exponent's sum of logs: the sampling error.

    ::

        var_i = psi'((n-i+1)/2) / 4,    standard error of lambda_i after T factors sqrt(var_i / T)

    Of ln R_ii in the QR decomposition of each factor times the orthonormal frame before it: R_ii is
    chi-distributed with n-i+1 degrees of freedom and independent of all else (the argument of
    Newman 1986). So the mean of T logs has this error exactly, at every T, for a frame that starts
    anywhere; order by size and it is biased. In nats squared, whatever the variance of the entries.
    Validity as in `newman_exponents`.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        A size that is not an integer of at least 1.

    Examples
    --------
    >>> np.sqrt(newman_variances(5) / 20_000).round(4)
    array([0.0025, 0.0028, 0.0034, 0.0045, 0.0079])
    """
    from scipy.special import polygamma  # slow to import, needed here only

    variances: FloatArray = 0.25 * polygamma(1, 0.5 * _degrees_of_freedom(n))
    return variances


def _degrees_of_freedom(n: int) -> npt.NDArray[np.int64]:
    return np.arange(checks.size("n", n), 0, -1)
