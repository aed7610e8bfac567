"""Formulas from the literature, each with its source and the range in which it holds.

Gains are those of `RNN.sample`: they multiply W_hh as drawn at gain 1. Logs are natural.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.network import SCHEMES

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
    return factor * _nonnegative("gain", gain)


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
    r, g = _nonnegative("radius", radius), _nonnegative("gain", gain)
    if (g == 0).any():
        raise ValueError("`gain` must be above 0, got 0.0, where all eigenvalues are 0; drop it")
    return np.minimum(r / g, 1.0) ** 2


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
    return 2.0 * _nonnegative("gain", gain)


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
    return slope * _nonnegative("spectral_norm", spectral_norm) < 1.0


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
    norm, k = _nonnegative("spectral_norm", spectral_norm), _nonnegative("lags", lags)
    with np.errstate(divide="ignore"):  # ln 0 is -inf
        return _rate_times_lag(np.log(norm) + np.log(slope), k)


@dataclass(frozen=True, eq=False)
class AicherBound:
    """What `aicher_log_bound` returns: ln of the bound, and what went into it.

    ``.log_bound`` (..., W), one for each window, is NaN where the window is below tau or beta is
    >= 1 or unknown. ``.log_beta`` and ``.beta`` (...,) are the decay per lag, given or estimated,
    NaN where nothing could be estimated; ``.tau`` and ``.log_M`` as given.
    """

    log_bound: FloatArray
    log_beta: FloatArray
    tau: int
    log_M: float

    @property
    def beta(self) -> FloatArray:
        """The decay per lag (...,); 0 or inf where that is beyond float64."""
        with np.errstate(over="ignore"):
            return np.exp(self.log_beta)


def aicher_decay_rate(log_norms: npt.ArrayLike, tau: int) -> FloatArray:
    """ln beta (...,), the geometric decay per lag of gradient norms from lag `tau` on, in nats.

    ``max_{k > tau} (ln phi_k - ln phi_tau) / (k - tau)``: the smallest beta with
    phi_k <= phi_tau beta^(k-tau) at every observed lag. It is `estimate_logbeta_max` in the code of
    Aicher, Foti and Fox (2019), aicherc/adaptive_tbptt; the default there is a least-squares slope
    over all lags, which the norms may exceed (`rnnsim.growth_rate` fits one).

    Parameters
    ----------
    log_norms : (..., K) array
        ln E[phi_k] at lags k = 0..K-1. NaN or inf (no data) is left out; -inf is a norm of 0.
    tau : int
        From 0 to K-2. The result is at or above 0 where nothing decays from there, and NaN where
        phi_tau is 0 or there are no data at it or after it.

    Raises
    ------
    TypeError, ValueError
        Norms that are not real or have no lag axis; `tau` out of range.

    Examples
    --------
    >>> float(aicher_decay_rate([3.0, 0.0, -0.5, -1.0, -1.5], tau=1))
    -0.5
    """
    norms = _lag_norms(log_norms)
    tail = norms[..., _lag(tau, most=norms.shape[-1] - 2) :]
    start = np.where(np.isfinite(tail[..., :1]), tail[..., :1], np.nan)
    return np.fmax.reduce((tail - start)[..., 1:] / np.arange(1, tail.shape[-1]), axis=-1)


def aicher_log_bound(
    log_norms: npt.ArrayLike,
    windows: npt.ArrayLike,
    *,
    tau: int,
    log_M: float,
    beta: float | None = None,
) -> AicherBound:
    """ln of the bound of Aicher et al. (2019) on the error of a gradient truncated at window K.

    ::

        ||g_K - g|| <= M sum_{k >= K} E[phi_k] <= M E[phi_tau] beta^(K-tau) / (1-beta),  K >= tau
        phi_k = ||dl_t/dh_{t-k}||,   E[phi_{k+1}] <= beta E[phi_k] for k >= tau,   beta < 1
        M >= ||dh_t/dtheta|| for all t, where h_{t-1} is held constant

    Aicher, Foti and Fox (2019, arXiv 1905.07473), Section 3, Theorem 1 under assumptions (A-1) and
    (A-2), with window K = lags 0..K-1 and stride 1; their g_K keeps lags 0..K, which is window K+1
    here. E is the mean over loss steps t and sequences, g the gradient of the mean loss of one
    step: for a sum over S loss steps add ln S to `log_M`. M = sqrt(H) holds for W_hh and tanh.

    The bound fails where the estimate of beta is >= 1 (NaN) and is as good as that estimate beyond
    the observed lags; on them it holds. E[phi_k] is a mean of norms: a root mean square is never
    below it and keeps the bound, a mean of logs is never above it and may break it.

    Parameters
    ----------
    log_norms : (..., K) array
        ln E[phi_k] at lags k = 0..K-1, however far outside the range of float64 the norms are.
    windows : int or (W,) array of int
        At least 1, also beyond the observed lags.
    tau : int
        The lag from which decay is geometric; from 0 to K-2, or K-1 with `beta` given.
    log_M : float
        ln M.
    beta : float, optional
        At least 0; unless given, estimated by `aicher_decay_rate`.

    Raises
    ------
    TypeError, ValueError
        Norms that are not real or have no lag axis; windows that are not integers of at least 1;
        `tau` out of range; a negative beta; an M or beta that is not a finite number.

    Examples
    --------
    >>> norms = 0.5 ** np.arange(10)
    >>> result = aicher_log_bound(np.log(norms), [1, 3], tau=1, log_M=0.0)
    >>> np.exp(result.log_bound)  # the series sums to 1 from lag 1, to 1/4 from lag 3
    array([1.  , 0.25])
    """
    norms, K = _lag_norms(log_norms), _windows(windows)
    scale = checks.real_number("log_M", log_M)
    start = norms[..., _lag(tau, most=norms.shape[-1] - 1)]
    with np.errstate(divide="ignore"):  # ln 0 is -inf
        if beta is None:
            log_beta = aicher_decay_rate(norms, tau)
        else:
            log_beta = np.full(
                start.shape, np.log(_nonnegative("beta", checks.real_number("beta", beta)))
            )
    decay = np.where(log_beta < 0, log_beta, np.nan)
    first = scale + start - np.log(-np.expm1(decay))
    bound = first[..., None] + _rate_times_lag(decay, np.maximum(K - tau, 0))
    return AicherBound(np.where(tau <= K, bound, np.nan), log_beta, int(tau), scale)


def _rate_times_lag(rate: FloatArray, lags: npt.NDArray[Any]) -> FloatArray:
    """rate (...,) times lags (K,) as (..., K), 0 at lag 0 even where the rate is -inf."""
    return np.where(lags == 0, 0.0, rate[..., None]) * lags


def _real(name: str, value: Any) -> FloatArray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be a real number or an array of them, got {value!r}")
    return array.astype(np.float64)


def _nonnegative(name: str, value: Any) -> FloatArray:
    array = _real(name, value)
    checks.finite(name, np.atleast_1d(array))
    if (array < 0).any():
        raise ValueError(f"`{name}` must be at least 0, got {array.min()}; leave out what is below")
    return array


def _lag_norms(log_norms: npt.ArrayLike) -> FloatArray:
    """(..., K) logs, with +inf as NaN: no data."""
    array = _real("log_norms", log_norms)
    if array.ndim == 0:
        raise ValueError("`log_norms` must have one entry per lag on its last axis, got a number")
    return np.where(array == np.inf, np.nan, array)


def _windows(windows: npt.ArrayLike) -> npt.NDArray[np.int64]:
    array = np.atleast_1d(windows)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 1).any():
        raise ValueError(
            f"`windows` must be integers of at least 1, got {windows!r}; window 1 is lag 0 alone"
        )
    return array.astype(np.int64)


def _lag(tau: int, *, most: int) -> int:
    lag = checks.whole_number("tau", tau, least=0)
    if lag > most:
        raise ValueError(
            f"`tau` must be at most {most} with these `log_norms`, got {lag}; give more lags"
        )
    return lag
