"""tanh, sigma, exp and ln as plain arithmetic, so that loops over them vectorise.

libm's scalar calls cost ten times as much. e^x = 2^k e^r with x = k ln 2 + r and |r| <= ln(2)/2,
e^r - 1 by its Taylor polynomial, k from the bits of x/ln 2 + 1.5*2^52 (which NaN passes unharmed).
All of this needs the order of operations as written.
"""

import numpy as np

from rnnsim.kernels.arithmetic.jit import exact
from rnnsim.kernels.arithmetic.vectors import single

# ln 2 in two parts (Cody and Waite): k times the high part is exact.
_LOG2E = 1.4426950408889634
_HIGH, _LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer

_f = np.float32
_LOG2E_32 = _f(1.4426950408889634)
_HIGH_32, _LOW_32 = _f(0.693359375), _f(-2.12194440e-4)
_ROUND_32 = _f(12582912.0)  # 1.5 * 2^23
_A7, _A6, _A5, _A4, _A3 = _f(1 / 5040), _f(1 / 720), _f(1 / 120), _f(1 / 24), _f(1 / 6)
_NONE, _HALF, _ONE, _TWO, _FOUR = _f(0.0), _f(0.5), _f(1.0), _f(2.0), _f(4.0)
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


@exact
def _tanh_and_slope(x):
    """tanh(x) and 1/cosh(x)^2, the slope without the cancellation of 1 - tanh(x)^2."""
    a = abs(x)
    if a > _CAP:
        a = _CAP
    y = -2.0 * a
    rounded = y * _LOG2E + _ROUND
    k = rounded - _ROUND
    q = _expm1_reduced((y - k * _HIGH) - k * _LOW)
    scale = _power_of_two(rounded)
    e = scale + scale * q  # e^(-2|x|)
    t = scale * q + (scale - 1.0)  # e^(-2|x|) - 1
    return np.copysign(-t / (2.0 + t), x), 4.0 * e / ((1.0 + e) * (1.0 + e))


@exact
def _tanh_and_slope_32(x):
    """The same in float32."""
    a = abs(x)
    if a > _CAP_32:
        a = _CAP_32
    y = -_TWO * a
    rounded = y * _LOG2E_32 + _ROUND_32
    k = rounded - _ROUND_32
    q = _expm1_reduced_32((y - k * _HIGH_32) - k * _LOW_32)
    scale = _power_of_two_32(rounded)
    e = scale + scale * q
    t = scale * q + (scale - _ONE)
    return np.copysign(-t / (_TWO + t), x), _FOUR * e / ((_ONE + e) * (_ONE + e))


@exact
def _sigmoid_parts(x):
    """sigma(x) = 1/(1 + e^-x), sigma(-x) and sigma'(x) = sigma(x) sigma(-x), none by cancellation.

    What rounds to 0 is 0, but for the slope: that of units further out than 708 is as if there.
    """
    a = abs(x)
    beyond = a > -_BOTTOM
    if a > _FAR:
        a = _FAR
    rounded = -a * _LOG2E + _ROUND
    k = rounded - _ROUND
    q = _expm1_reduced((-a - k * _HIGH) - k * _LOW)
    scale = _power_of_two(rounded)
    e = scale + scale * q  # e^-|x|
    large = 1.0 / (1.0 + e)
    small = e * large
    slope = small * large
    small = 0.0 if beyond else small
    return (small, large, slope) if x < 0 else (large, small, slope)


@exact
def _sigmoid_parts_32(x):
    """The same in float32; the slope is as at 87 beyond."""
    a = abs(x)
    beyond = a > -_BOTTOM_32
    if a > _FAR_32:
        a = _FAR_32
    rounded = -a * _LOG2E_32 + _ROUND_32
    k = rounded - _ROUND_32
    q = _expm1_reduced_32((-a - k * _HIGH_32) - k * _LOW_32)
    scale = _power_of_two_32(rounded)
    e = scale + scale * q
    large = _ONE / (_ONE + e)
    small = e * large
    slope = small * large
    small = _NONE if beyond else small
    return (small, large, slope) if x < 0 else (large, small, slope)


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


@exact
def tanh_into(x, out):
    """out = tanh(x), elementwise over 1-D arrays of one dtype."""
    if single(x):
        for i in range(x.size):
            out[i] = _tanh_and_slope_32(x[i])[0]
    else:
        for i in range(x.size):
            out[i] = _tanh_and_slope(x[i])[0]


@exact
def tanh_with_slope_into(x, out, slope):
    """out = tanh(x), slope = tanh'(x), elementwise over 1-D arrays of one dtype."""
    if single(x):
        for i in range(x.size):
            out[i], slope[i] = _tanh_and_slope_32(x[i])
    else:
        for i in range(x.size):
            out[i], slope[i] = _tanh_and_slope(x[i])


@exact
def sigmoid_into(x, out):
    """out = sigma(x), elementwise over 1-D arrays of one dtype."""
    if single(x):
        for i in range(x.size):
            out[i] = _sigmoid_parts_32(x[i])[0]
    else:
        for i in range(x.size):
            out[i] = _sigmoid_parts(x[i])[0]


@exact
def sigmoid_with_slope_into(x, out, slope):
    """out = sigma(x), slope = sigma'(x), elementwise over 1-D arrays of one dtype."""
    if single(x):
        for i in range(x.size):
            out[i], _, slope[i] = _sigmoid_parts_32(x[i])
    else:
        for i in range(x.size):
            out[i], _, slope[i] = _sigmoid_parts(x[i])


@exact
def sigmoid_with_rest_into(x, out, rest, slope):
    """out = sigma(x), rest = 1 - sigma(x), slope = sigma'(x), elementwise likewise."""
    if single(x):
        for i in range(x.size):
            out[i], rest[i], slope[i] = _sigmoid_parts_32(x[i])
    else:
        for i in range(x.size):
            out[i], rest[i], slope[i] = _sigmoid_parts(x[i])
