"""Aicher, Foti and Fox (2019): the error of a truncated gradient under geometric decay."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels.results import Labels, Result
from rnnsim.data.labels.theory import aicher
from rnnsim.theory.arithmetic import rate_times_lag


@dataclass(frozen=True, eq=False, repr=False)
class AicherBound(Result):
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

    def _labelling(self) -> Labels:
        return aicher(self.log_bound.ndim)


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
    step: for a sum over S loss steps add ln S to `log_M`. For W_hh and |phi'| <= 1, M is the
    largest ||h_t||: at most sqrt(H) where |h| <= 1 (tanh), without a bound elsewhere (relu,
    linear). A step that does not reach back to lag k counts as 0 in E[phi_k].

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
                start.shape, np.log(checks.nonnegative("beta", checks.real_number("beta", beta)))
            )
    decay = np.where(log_beta < 0, log_beta, np.nan)
    first = scale + start - np.log(-np.expm1(decay))
    bound = first[..., None] + rate_times_lag(decay, np.maximum(K - tau, 0))
    return AicherBound(np.where(tau <= K, bound, np.nan), log_beta, int(tau), scale)


def _lag_norms(log_norms: npt.ArrayLike) -> FloatArray:
    """(..., K) logs, with +inf as NaN: no data."""
    array = checks.real_array("log_norms", log_norms)
    if array.ndim == 0:
        raise ValueError("`log_norms` must have one entry per lag on its last axis, got a number")
    return np.where(array == np.inf, np.nan, array)


def _windows(windows: npt.ArrayLike) -> npt.NDArray[np.int64]:
    array = np.atleast_1d(checks.plain_array("windows", windows))
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 1).any():
        raise ValueError(
            f"`windows` must be integers of at least 1, got {checks.shown(windows)}; window 1 is "
            "lag 0 alone"
        )
    return array.astype(np.int64)


def _lag(tau: int, *, most: int) -> int:
    lag = checks.whole_number("tau", tau, least=0)
    if lag > most:
        raise ValueError(
            f"`tau` must be at most {most} with these `log_norms`, got {lag}; give more lags"
        )
    return lag
