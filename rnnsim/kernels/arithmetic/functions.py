"""tanh, sigma, exp and ln as plain arithmetic, of vectors, or so that loops over it vectorise.

libm's scalar calls cost ten times as much. e^x = 2^k e^r with x = k ln 2 + r and |r| <= ln(2)/2,
e^r - 1 by its Taylor polynomial, k from the bits of x/ln 2 + 1.5*2^52 (which NaN passes unharmed).
All of this needs the order of operations as written.
"""

import numpy as np

from rnnsim.kernels.arithmetic.jit import exact, formula, kernel
from rnnsim.kernels.arithmetic.vectors import (
    lanes,
    load_some,
    magnitude,
    power_of_two,
    single,
    store_some,
    with_sign_of,
    within,
    without_below,
)

# ln 2 in two parts (Cody and Waite): k times the high part is exact.
_LOG2E = 1.4426950408889634
_HIGH, _LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer

_f = np.float32
_LOG2E_32 = _f(1.4426950408889634)
_HIGH_32, _LOW_32 = _f(0.693359375), _f(-2.12194440e-4)
_ROUND_32 = _f(12582912.0)  # 1.5 * 2^23
_A7, _A6, _A5, _A4, _A3 = _f(1 / 5040), _f(1 / 720), _f(1 / 120), _f(1 / 24), _f(1 / 6)
_HALF = _f(0.5)
_CAP, _CAP_32 = 354.0, _f(43.5)  # exp(-2 * cap) is still a normal number
_TOP, _BOTTOM, _TOP_32, _BOTTOM_32 = 710.0, -746.0, _f(89.0), _f(-104.0)
_FAR, _FAR_32 = 708.0, _f(87.0)  # exp(-far) is still a normal number
_ONE_BITS, _ROOT_HALF_BITS, _MANTISSA = 0x3FF0 << 48, 0x3FE6A09E << 32, (1 << 52) - 1
_BIAS, _SHIFT, _BIAS_32, _SHIFT_32 = 1023, 52, np.int32(127), np.int32(23)


@exact
def _power_of_two(rounded):
    """2^k from `rounded` = k + 1.5*2^52; normal numbers only."""
    return np.int64((np.float64(rounded).view(np.int64) + _BIAS) << _SHIFT).view(np.float64)


@exact
def _power_of_two_32(rounded):
    """2^k from `rounded` = k + 1.5*2^23; normal numbers only."""
    bits = np.int32(np.float32(rounded).view(np.int32) + _BIAS_32)
    return np.int32(bits << _SHIFT_32).view(np.float32)


@exact
def _expm1_reduced(r):
    """e^r - 1 for |r| <= ln(2)/2, to 1e-17 of r before rounding."""
    p = 1 / 6227020800.0
    p = p * r + 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    return r + r * r * p


@exact
def _expm1_reduced_32(r):
    """e^r - 1 for |r| <= ln(2)/2 in float32."""
    p = _A7 * r + _A6
    p = p * r + _A5
    p = p * r + _A4
    p = p * r + _A3
    p = p * r + _HALF
    return r + r * r * p


@formula
def _exponential(y):
    """(s, q) for which e^y = s + s*q, of vectors of y for which that is a normal number."""
    rounding = _ROUND_32 if single(y) else _ROUND
    high, low = (_HIGH_32, _LOW_32) if single(y) else (_HIGH, _LOW)
    rounded = y * _LOG2E + rounding
    k = rounded - rounding
    r = (y - k * high) - k * low
    return power_of_two(rounded), _expm1_reduced_32(r) if single(y) else _expm1_reduced(r)


@formula
def tanh_of(x):
    """tanh(x) and 1/cosh(x)^2 of vectors, the slope without the cancellation of 1 - tanh(x)^2."""
    scale, q = _exponential(magnitude(within(x, _CAP_32 if single(x) else _CAP)) * -2.0)
    e = scale + scale * q  # e^(-2|x|)
    t = scale * q + (scale - 1.0)  # e^(-2|x|) - 1
    r = 1.0 / (1.0 + e)
    return with_sign_of(t * r, x), (4.0 * e) * (r * r)


@formula
def sigmoid_of(x):
    """sigma(x) = 1/(1 + e^-x), sigma(-x) and sigma'(x) = sigma(x) sigma(-x), none by cancellation.

    Of vectors. What rounds to 0 is 0, but for the slope: that of units further out than 708, 87 of
    float32, is as if there.
    """
    scale, q = _exponential(within(x, _FAR_32 if single(x) else _FAR) * -1.0)
    e = scale + scale * q  # e^-x
    value = 1.0 / (1.0 + e)
    rest = e * value
    bottom = _BOTTOM_32 if single(x) else _BOTTOM
    return (
        without_below(value, x, bottom),
        without_below(rest, x * -1.0, bottom),
        rest * value,
    )


@exact
def exp(x):
    """e^x over the whole range: 2^k in two factors, so that the result may over- or underflow."""
    if x > _TOP:
        x = _TOP
    if x < _BOTTOM:
        x = _BOTTOM
    rounded = x * _LOG2E + _ROUND
    k = rounded - _ROUND
    q = _expm1_reduced((x - k * _HIGH) - k * _LOW)
    half = k * 0.5 + _ROUND
    rest = (k - (half - _ROUND)) + _ROUND
    scale = _power_of_two(half)
    return (scale + scale * q) * _power_of_two(rest)


@exact
def _exp_32(x):
    """The same in float32."""
    if x > _TOP_32:
        x = _TOP_32
    if x < _BOTTOM_32:
        x = _BOTTOM_32
    rounded = x * _LOG2E_32 + _ROUND_32
    k = rounded - _ROUND_32
    q = _expm1_reduced_32((x - k * _HIGH_32) - k * _LOW_32)
    half = k * _HALF + _ROUND_32
    rest = (k - (half - _ROUND_32)) + _ROUND_32
    scale = _power_of_two_32(half)
    return (scale + scale * q) * _power_of_two_32(rest)


@exact
def log_normal(x):
    """ln x of a normal x > 0, within 1 ulp; NaN for NaN (fdlibm e_log.c, Sun Microsystems 1993).

    x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2); s = f/(2+f), ln(1+f) by an odd
    polynomial in s.
    """
    bits = np.float64(x).view(np.int64) + (_ONE_BITS - _ROOT_HALF_BITS)
    k = np.float64((bits >> _SHIFT) - _BIAS)
    mantissa = np.int64((bits & _MANTISSA) + _ROOT_HALF_BITS).view(np.float64)
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = 1.479819860511658591e-01
    r = r * z + 1.531383769920937332e-01
    r = r * z + 1.818357216161805012e-01
    r = r * z + 2.222219843214978396e-01
    r = r * z + 2.857142874366239149e-01
    r = r * z + 3.999999999940941908e-01
    r = r * z + 6.666666666666735130e-01
    half = 0.5 * f * f
    log = k * _HIGH - ((half - (s * (half + r * z) + k * _LOW)) - f)
    return log + (x - x)


@exact
def exp_into(x, out):
    """out = e^x, elementwise over 1-D arrays of one dtype."""
    if single(x):
        for i in range(x.size):
            out[i] = _exp_32(x[i])
    else:
        for i in range(x.size):
            out[i] = exp(x[i])


@kernel
def tanh_into(x, out):
    """out = tanh(x), elementwise over 1-D arrays of one dtype."""
    for i in range(0, x.size, lanes(x)):
        value, _ = tanh_of(load_some(x, i, x.size - i))
        store_some(out, i, value, x.size - i)


@kernel
def tanh_with_slope_into(x, out, slope):
    """out = tanh(x), slope = tanh'(x), elementwise over 1-D arrays of one dtype."""
    for i in range(0, x.size, lanes(x)):
        value, derivative = tanh_of(load_some(x, i, x.size - i))
        store_some(out, i, value, x.size - i)
        store_some(slope, i, derivative, x.size - i)


@kernel
def sigmoid_into(x, out):
    """out = sigma(x), elementwise over 1-D arrays of one dtype."""
    for i in range(0, x.size, lanes(x)):
        value, _, _ = sigmoid_of(load_some(x, i, x.size - i))
        store_some(out, i, value, x.size - i)


@kernel
def sigmoid_with_slope_into(x, out, slope):
    """out = sigma(x), slope = sigma'(x), elementwise over 1-D arrays of one dtype."""
    for i in range(0, x.size, lanes(x)):
        value, _, derivative = sigmoid_of(load_some(x, i, x.size - i))
        store_some(out, i, value, x.size - i)
        store_some(slope, i, derivative, x.size - i)
