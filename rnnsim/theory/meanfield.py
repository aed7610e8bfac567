"""Mean field of large tanh networks: variance, Lyapunov exponents, the transition, lengths.

The states of H -> infinity units at one time are Gaussian, so a step of the network is a step of
one number, their variance; expectations are over z ~ N(0, 1) throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.labels import theory as labels
from rnnsim.data.labels.results import Labels, Result
from rnnsim.kernels.arithmetic.functions import tanh_with_slope_into
from rnnsim.theory.arithmetic import increasing_root

# Nodes are even in ln x. The integrands are analytic in ln x up to +-i pi/4, so that the sum over
# nodes errs by about exp(-2 pi (pi/4) / step), 1e-17; test_theory_meanfield.py checks it.
_STEP = 1 / 8
_FIRST, _LAST = -57.0, 17.0
_TINY = 1e-16  # a variance at and below which tanh is the identity to all digits
_MOST_GAIN, _MOST_VARIANCE = 1e3, 1e12  # what the nodes reach
_BLOCK = 1024  # variances at once, 5 MB


@dataclass(frozen=True, eq=False, repr=False)
class MeanField(Result):
    """What `mean_field` returns: fields of one shape (...,), that of the arguments broadcast.

    Attributes
    ----------
    gain, input_variance, bias_variance
        As given.
    variance
        q, of the pre-activation a: over units, at any one time.
    state_variance
        E[phi(a)^2], of the states h = tanh(a).
    chi
        ``g^2 E[phi'(a)^2]``, the factor per step of squared distances and squared gradient norms;
        above 1 in the chaotic phase, where gradients explode.
    largest_exponent
        lambda_1 = 1/2 ln chi, in nats per step.
    mean_exponent
        ``ln g - 1/2 + E[ln phi'(a)]``, the mean of all H Lyapunov exponents, in nats per step.
    """

    gain: FloatArray
    input_variance: FloatArray
    bias_variance: FloatArray
    variance: FloatArray
    state_variance: FloatArray
    chi: FloatArray
    largest_exponent: FloatArray
    mean_exponent: FloatArray

    @property
    def norm_length(self) -> FloatArray:
        """``-1/lambda_1 = -2/ln chi``: steps over which norms of gradients fall by a factor e.

        Negative where they grow by e instead (chi > 1), inf at the transition (chi = 1).
        """
        return 2.0 * self.squared_norm_length

    @property
    def squared_norm_length(self) -> FloatArray:
        """``-1/ln chi``: steps over which squared norms fall by a factor e; sign as `norm_length`.

        The depth scale xi of gradients in Schoenholz, Gilmer, Ganguli and Sohl-Dickstein (2017,
        arXiv 1611.01232), half the length over which the norms themselves do.
        """
        log_chi = 2.0 * self.largest_exponent
        with np.errstate(divide="ignore"):
            return np.where(log_chi == 0, np.inf, -1.0 / log_chi)

    def _labelling(self) -> Labels:
        return labels.mean_field(np.ndim(self.chi))


def mean_field(
    gain: npt.ArrayLike,
    *,
    input_variance: npt.ArrayLike = 0.0,
    bias_variance: npt.ArrayLike = 0.0,
    activation: str = "tanh",
) -> MeanField:
    """Variance and Lyapunov exponents of a large random tanh network.

    ::

        a_t = W_hh h_{t-1} + W_xh x_t + b_h,    h_t = tanh(a_t),    W_hh[i, j] ~ N(0, g^2/H)
        q = g^2 E[tanh(sqrt(q) z)^2] + var(W_xh x_t) + var(b_h)
        chi = g^2 E[sech(sqrt(q) z)^4],    lambda_1 = ln(g sqrt(E[sech(sqrt(q) z)^4])) = 1/2 ln chi
        mean exponent = ln g - 1/2 + E[ln sech(sqrt(q) z)^2]

    q has one stable solution, as tanh(sqrt(y))^2 is concave in y: without input and biases 0 up to
    g = 1 and the other one above. Where it is 0 the exponents are those of W_hh alone, ln g for the
    largest and ln g - 1/2 on average (see `circular_law_log_moduli`).

    Sources: Sompolinsky, Crisanti and Sommers (1988, Physical Review Letters 61, 259) for the
    transition at g = 1, in continuous time; Molgedey, Schuchhardt and Schuster (1992, Physical
    Review Letters 69, 3717) for white input in discrete time; Massar and Massar (2013, arXiv
    1210.8260) for driven networks; Poole et al. (2016, arXiv 1606.05340) for q and chi in depth,
    where they are the same. The mean exponent is the mean over time of ln |det J_t| / H with
    J_t = diag(phi'(a_t)) W_hh (exact at any H), and ln |det W_hh| / H -> ln g - 1/2.

    Validity: H -> infinity first, then many steps; tanh; independent entries of W_hh with mean 0
    and variance g^2/H (gaussian, or uniform at its effective gain; not orthogonal or identity).
    Inputs to the units of one step are Gaussian over units, and as spread in every step. Only the
    sum of the two variances counts, be they white or frozen in time: without a leak, the variance
    of a step and the distance of two trajectories depend on the step before alone. What differs
    between white and frozen input, autocorrelations, enters neither q nor chi, and ``1/2 ln chi``
    is exact in this limit; in continuous time they do enter and it is not (Schuecker, Goedeke and
    Helias 2018, arXiv 1603.01880).

    `RNN.sample` has var(W_xh x_t) = |x_t|^2/D: 1/D for one-hot inputs, about s^2 for many inputs of
    variance s^2. With a few such inputs it changes from step to step, and lambda_1 is the mean over
    time of 1/2 ln chi along the recursion of q (Massar and Massar 2013): at g = 1.5 and s = 1 it is
    -0.105 for D = 1, -0.130 for D = 4, -0.141 for D = 64, and -0.142 here.

    Finite networks lie below: without input at g = 5, lambda_1 of H units by 4.7/H (measured, H =
    64 to 256). They scatter, and more so with frozen biases: without input, at H = 64 and g = 1.5,
    lambda_1 is 0.005 +- 0.046 over seeds for 0.065 here; at H = 1024 and g = 2, 0.152 to 0.154 for
    0.155. What is chaotic over some thousand steps may be a transient, and come to rest or to a
    cycle, where lambda_1 is not above 0. Where biases alone lead to a fixed point, lambda_1 is the
    edge of a spectrum and lies above: at H = 256, g = 1.2 and bias variance 0.5 by 0.05 +- 0.02.

    Parameters
    ----------
    gain : float or array
        g, the effective gain: above 0, at most 1000.
    input_variance : float or array
        var(W_xh x_t) over units, from 0 to 1e12.
    bias_variance : float or array
        var(b_h) over units, from 0 to 1e12. The three are broadcast.
    activation : {"tanh"}
        phi of the networks that it is asked for, such as ``rnn.activation``; none but tanh is
        covered.

    Returns
    -------
    MeanField
        ``.variance``, ``.state_variance``, ``.chi``, ``.largest_exponent``, ``.mean_exponent``,
        ``.norm_length``, ``.squared_norm_length``. Exponents err by less than
        1e-12, or that much of themselves.

    Raises
    ------
    TypeError, ValueError
        A gain that is not a finite number above 0; a variance that is negative or not a finite
        number; either beyond its limit; another activation.

    Examples
    --------
    >>> result = mean_field([0.5, 1.5, 4.0])
    >>> result.variance.round(4)
    array([ 0.    ,  0.7934, 12.5006])
    >>> result.largest_exponent.round(4)
    array([-0.6931,  0.0652,  0.4329])
    >>> float(mean_field(1.5, input_variance=1.0).norm_length.round(2))
    7.05
    """
    _check_activation(activation)
    given = _gain(gain), _variance("input_variance", input_variance), _biases(bias_variance)
    g, inputs, biases = (array.copy() for array in np.broadcast_arrays(*given))
    q = _fixed_point(g, inputs + biases)
    square, slope_square, log_slope, _ = _expectations(q)
    return MeanField(
        g,
        inputs,
        biases,
        variance=q,
        state_variance=square,
        chi=g**2 * slope_square,
        largest_exponent=np.log(g) + 0.5 * np.log(slope_square),
        mean_exponent=np.log(g) - 0.5 + log_slope,
    )


def critical_gain(
    *,
    input_variance: npt.ArrayLike = 0.0,
    bias_variance: npt.ArrayLike = 0.0,
    activation: str = "tanh",
) -> FloatArray:
    """The gain where chi = 1: below it trajectories converge and gradients vanish.

    ::

        1 = g^2 E[sech(sqrt(q) z)^4],    q = g^2 E[tanh(sqrt(q) z)^2] + input + bias variance

    1 without input and biases; above 1 with them, as they saturate units: input suppresses chaos.
    The edge of chaos of Poole et al. (2016), also that of networks driven in discrete time
    (Molgedey, Schuchhardt and Schuster 1992). Validity as in `mean_field`. Absolute error below
    1e-8: for a small variance v it is 1 + (3 v/4)^(1/3), which shows little of v.

    Parameters
    ----------
    input_variance, bias_variance : float or array
        From 0 to 1e12, broadcast; only their sum counts.
    activation : {"tanh"}
        As in `mean_field`.

    Raises
    ------
    TypeError, ValueError
        A variance that is negative, not a finite number or beyond its limit; another activation.

    Examples
    --------
    >>> critical_gain(input_variance=[0.0, 0.1, 1.0]).round(4)
    array([1.    , 1.4093, 1.8556])
    """
    _check_activation(activation)
    total = _variance("input_variance", input_variance) + _biases(bias_variance)
    q = _log_root(lambda q: _critical_variance(q) - total, total, 4.0 * (total + 4.0))
    return np.where(total == 0, 1.0, 1.0 / np.sqrt(_expectations(q)[1]))


def critical_input_variance(
    gain: npt.ArrayLike, *, bias_variance: npt.ArrayLike = 0.0, activation: str = "tanh"
) -> FloatArray:
    """The variance of W_xh x_t over units that just stops the chaos of a network: chi = 1 there.

    ::

        E[sech(sqrt(q) z)^4] = 1/g^2,    input variance = q - g^2 E[tanh(sqrt(q) z)^2] - var(b_h)

    The other way to read `critical_gain`; sources and validity as there. Close to g = 1 it is
    (g - 1)^3 * 4/3, in absolute terms accurate to 1e-15.

    Parameters
    ----------
    gain : float or array
        g, the effective gain: at least 1, as below there is no chaos to stop, at most 1000.
    bias_variance : float or array
        At least 0; broadcast.
    activation : {"tanh"}
        As in `mean_field`.

    Raises
    ------
    TypeError, ValueError
        A gain that is not a finite number from 1 to 1000; a bias variance that is negative, not a
        finite number, or so large that it stops the chaos alone; another activation.

    Examples
    --------
    >>> critical_input_variance([1.0, 1.5, 2.0]).round(4)
    array([0.    , 0.1861, 1.636 ])
    """
    _check_activation(activation)
    g, biases = np.broadcast_arrays(_gain(gain), _biases(bias_variance))
    if (g < 1).any():
        raise ValueError(
            f"`gain` must be at least 1, got {g.min()}: below 1 there is no chaos to stop at any "
            "input; leave out what is below"
        )
    q = _log_root(lambda q: 1.0 / g**2 - _expectations(q)[1], np.zeros_like(g), g**4)
    needed = np.where(g == 1, 0.0, _critical_variance(q))
    if (biases > needed).any():
        at = checks.first_index(np.atleast_1d(biases > needed))
        bias, gain_there, most = (np.atleast_1d(array)[at] for array in (biases, g, needed))
        raise ValueError(
            f"`bias_variance` must be at most {most:.6g} at gain {gain_there:g}, got {bias:g}: the "
            "biases stop chaos alone; give less, or a larger gain"
        )
    return needed - biases


def _fixed_point(gain: FloatArray, outside: FloatArray) -> FloatArray:
    """The stable q = g^2 E[phi^2] + outside, 0 at g <= 1 without anything from outside.

    Newton's steps from above only fall, as the right side is concave in q; rounding ends them.
    """
    q = np.where((outside == 0) & (gain <= 1), 0.0, gain**2 + outside)
    moves = np.asarray(q > 0)
    while moves.any():
        g, now = gain[moves], q[moves]
        square, _, _, slope = _expectations(now)
        with np.errstate(divide="ignore", invalid="ignore"):  # the slope may round to 1
            step = (now - g**2 * square - outside[moves]) / (1.0 - g**2 * slope)
        q[moves] = np.where(step > 0, np.maximum(now - step, outside[moves]), now)
        moves[moves] = q[moves] < now
    return q


def _critical_variance(q: FloatArray) -> FloatArray:
    """What must come from outside for the variance q to be a fixed point with chi = 1."""
    square, slope_square, _, _ = _expectations(q)
    return q - square / slope_square


def _log_root(
    function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray
) -> FloatArray:
    """Where a function that increases with q crosses 0, bisected in ln q (0 becomes `_TINY`)."""
    start = np.where(low == 0, _TINY, low)
    return np.exp(
        increasing_root(lambda log_q: function(np.exp(log_q)), np.log(start), np.log(high))
    )


def _expectations(variance: FloatArray) -> FloatArray:
    """E[phi^2], E[phi'^2], E[ln phi'] and dE[phi^2]/dq over N(0, q), as (4, ...) for q (...,)."""
    x, values = _nodes()
    q = np.maximum(variance, _TINY).reshape(-1, 1)
    expected = np.empty((q.size, 4))
    for start in range(0, q.size, _BLOCK):
        part = q[start : start + _BLOCK]
        sums = np.exp(-(x**2) / (2.0 * part)) @ values
        expected[start : start + _BLOCK] = np.sqrt(2.0 / (np.pi * part)) * sums
    one = np.ones_like(variance)
    small = np.stack([variance, one, -variance, one])
    return np.where(variance <= _TINY, small, expected.T.reshape(small.shape))


@cache
def _nodes() -> tuple[FloatArray, FloatArray]:
    """Nodes x > 0 (K,); phi^2, phi'^2, ln phi', (phi^2)''/2 there times x * step, as (K, 4)."""
    x = np.exp(np.arange(_FIRST, _LAST, _STEP))
    phi, slope = np.empty_like(x), np.empty_like(x)
    tanh_with_slope_into(x, phi, slope)
    square = phi**2
    log_slope = np.where(x < 20.0, np.log(slope), np.log(4.0) - 2.0 * x)  # far out phi' is 0
    values = np.stack([square, slope**2, log_slope, slope * (1.0 - 3.0 * square)])
    return x, (values * x * _STEP).T


def _check_activation(activation: str) -> None:
    if checks.text("activation", activation) != "tanh":
        raise ValueError(
            f"`activation` must be 'tanh', got {activation!r}: the integrals of this mean field "
            "are those of tanh; leave the theory out for other networks"
        )


def _gain(gain: npt.ArrayLike) -> FloatArray:
    array = checks.positive("gain", gain)
    if (array > _MOST_GAIN).any():
        raise ValueError(
            f"`gain` must be at most {_MOST_GAIN:g}, got {array.max():g}; leave out what is above"
        )
    return array


def _biases(bias_variance: npt.ArrayLike) -> FloatArray:
    return _variance("bias_variance", bias_variance)


def _variance(name: str, value: npt.ArrayLike) -> FloatArray:
    array = checks.nonnegative(name, value)
    if (array > _MOST_VARIANCE).any():
        raise ValueError(
            f"`{name}` must be at most {_MOST_VARIANCE:g}, got {array.max():g}; "
            "leave out what is above"
        )
    return array
