"""Windows and lags of the gradient flow beside the full gradient: sizes, cosines, errors, shares.

Every entry is read once where squares stay within the range, whatever is compared: sums of the
columns of W_hh and of the others, gate by gate, make up all that is asked for.
"""

import math

import numpy as np

from rnnsim.kernels.arithmetic.jit import exact, kernel
from rnnsim.kernels.arithmetic.norms import (
    LN2,
    compare_scaled,
    exponent_of,
    frobenius,
    power_of_two,
    times_power_of_two,
)
from rnnsim.kernels.flow.windows import rows_of_gate

_LEAST, _GREATEST = 2.0**-400, 2.0**400  # squares that may be added up as they are


@kernel
def compare_window(n, k, work, out):
    """The window as it is beside the full gradient; its place among windows is k."""
    A, P = work.window.shape
    H, table, several = work.units, work.forward.blocks, out.hidden_gates.full.shape[1]
    hidden, recurrent = _compare(0, A, H, P, work)
    out.hidden_log_norm[n, k], out.hidden_cosine[n, k], out.hidden_log_error[n, k] = hidden
    log_norm, cosine, log_error = recurrent
    out.recurrent_log_norm[n, k], out.recurrent_cosine[n, k] = log_norm, cosine
    out.recurrent_log_error[n, k] = log_error
    for gate in range(several):
        first, last = rows_of_gate(table, gate, H)
        hidden, recurrent = _compare(first, last, H, P, work)
        _put(hidden, out.hidden_gates, n, k, gate)
        _put(recurrent, out.recurrent_gates, n, k, gate)


@kernel
def _put(found, gates, n, k, gate):
    gates.log_norm[n, k, gate], gates.cosine[n, k, gate], gates.log_error[n, k, gate] = found


@kernel
def _compare(first, last, H, P, work):
    """Log norm, cosine and log error of rows first..last-1 of the window: of H columns, of all."""
    shift = work.sum_exponents[0] - work.sum_exponents[1]
    apart = power_of_two(shift) if abs(shift) < 300 else np.nan
    product = part = full = difference = 0.0
    for i in range(first, last):
        found = _sums(work.window[i][:H], work.full[i][:H], apart)
        product += found[0]
        part += found[1]
        full += found[2]
        difference += found[3]
    hidden = _ratios(product, part, full, difference, work.sum_exponents[0])
    for i in range(first, last):
        found = _sums(work.window[i][H:P], work.full[i][H:P], apart)
        product += found[0]
        part += found[1]
        full += found[2]
        difference += found[3]
    recurrent = _ratios(product, part, full, difference, work.sum_exponents[0])
    e_window, e_full = work.sum_exponents[0], work.sum_exponents[1]
    if hidden[0] != hidden[0]:
        window, whole = work.window[first:last, :H], work.full[first:last, :H]
        hidden = compare_scaled(window, e_window, whole, e_full)
    if recurrent[0] != recurrent[0]:
        window, whole = work.window[first:last, :P], work.full[first:last, :P]
        recurrent = compare_scaled(window, e_window, whole, e_full)
    return hidden, recurrent


@kernel
def _sums(window, full, apart):
    """Sums over a row of window*full, window^2, full^2 and (window*apart - full)^2."""
    product = part = whole = difference = 0.0
    for j in range(window.size):
        product += window[j] * full[j]
        part += window[j] * window[j]
        whole += full[j] * full[j]
        difference += (window[j] * apart - full[j]) * (window[j] * apart - full[j])
    return product, part, whole, difference


@kernel
def _ratios(product, part, full, difference, exponent):
    """Log norm, cosine and log error from these sums; NaN where they are not to be trusted."""
    if not (_LEAST < part < _GREATEST and _LEAST < full < _GREATEST and difference < _GREATEST):
        return np.nan, np.nan, np.nan
    cosine = min(max(product / math.sqrt(part * full), -1.0), 1.0)
    log_error = -np.inf if difference == 0.0 else 0.5 * math.log(difference / full)
    return 0.5 * math.log(part) + exponent * LN2, cosine, log_error


@kernel
def share_out(lag, n, k, work, out):
    """What lag k adds to dL/dW_hh and dL/dW_xh: its norm, and its share of the whole by gate.

    Shares are <G_k, g> / ||g||^2, so that those of all lags and gates add up to 1.
    """
    H, P, top, e_full = work.units, work.window.shape[1], work.tops[lag], work.sum_exponents[1]
    for m in range(2):
        first, last = (0, H) if m == 0 else (H + 1, P)
        norm, squares = work.full_norms[m], 0.0
        for gate in range(out.shares.shape[3]):
            begin, end = rows_of_gate(work.forward.blocks, gate, H)
            product = square = 0.0
            for i in range(begin, end):
                found = _product_and_square(
                    work.outer[lag, i][first:last], work.full[i][first:last]
                )
                product += found[0]
                square += found[1]
            if 2.0**-900 < square < 2.0**900 and 2.0**-400 < norm < 2.0**400:
                share = times_power_of_two(product / (norm * norm), max(top - e_full, -4000))
            else:
                added, full = work.outer[lag][:, first:last], work.full[:, first:last]
                share = _share(added[begin:end], top, full[begin:end], e_full, norm)
            out.shares[n, k, m, gate] = share
            squares += square
        if not 2.0**-900 < squares < 2.0**900:
            size = frobenius(work.outer[lag][:, first:last])
        else:
            size = math.sqrt(squares)
        relative = np.nan if norm == 0.0 else size / norm
        out.lag_norms[n, k, m] = times_power_of_two(relative, max(top - e_full, -4000))


@kernel
def _product_and_square(part, full):
    """<part, full> and ||part||^2 of a row, right where these stay within the range."""
    product = square = 0.0
    for j in range(part.size):
        p = np.float64(part[j])
        product += p * full[j]
        square += p * p
    return product, square


@exact
def _share(part, part_exponent, full, full_exponent, norm):
    """<part, full> / norm^2, of arrays with an exponent; norm has that of `full`."""
    size = frobenius(part)
    if norm == 0.0 or not size < np.inf or not norm < np.inf:
        return np.nan
    if size == 0.0:
        return 0.0
    scale_part, scale_full = -exponent_of(size), -exponent_of(norm)
    product, whole = 0.0, times_power_of_two(norm, scale_full)
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            p = times_power_of_two(np.float64(part[i, j]), scale_part)
            product += p * times_power_of_two(full[i, j], scale_full)
    shift = part_exponent - full_exponent - scale_part + scale_full
    return times_power_of_two(product / (whole * whole), max(shift, -4000))
