"""Lag-resolved gradient flow: dl_t/dh_{t-k} for every loss step t and lag k, and every window.

All loss steps move back together: at lag k row (i, b) holds d = dl[t_i, b]/dh_{t_i-k}, and one
matrix product takes all rows one step further. The outer products of a lag, added up over lags
0..k, are the gradient truncated at window k+1 and stride 1. Rows and sums carry powers of two of
their own, so that neither decay nor growth leaves the floating-point range.
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.activations import count_saturated
from rnnsim.kernels.arrays import add, copy, fill, total_of
from rnnsim.kernels.forward import (
    ReadoutWork,
    batch_of,
    block_steps,
    class_major_outputs,
    network,
    readout_work,
    score,
    unfold_with_slopes,
)
from rnnsim.kernels.jit import kernel
from rnnsim.kernels.norms import (
    EMPTY,
    LN2,
    add_scaled,
    compare_scaled,
    frobenius,
    log_norm_scaled,
    power_of_two,
    rescale,
    safe_exponent,
)


class FlowArrays(NamedTuple):
    """Results for an ensemble; S loss steps, K lags; logs are natural. All float64 but two.

    log_norms, live, log_rms, log_std (N, S, K); per_sequence (N, S, K, B), or of size 0.
    All gradients are B times dL/dW, as the batch average comes last.
    hidden_* are of dL/dW_hh, recurrent_* of dL/d[W_hh, W_xh, b_h] as one matrix: log_norm (N, K) of
    window k+1, cosine (N, K) and log_error (N, K) to the full gradient, full (N,) its log norm,
    lag_sum (N,) the log of the sum over lags of the norms of their contributions.
    readout (N,) is the log norm of dL/d[W_hy, b_y], the same in every window.
    mean_slope (N,), saturated (N,) over all steps, sequences and units; first_nonfinite (N,) int64.
    """

    log_norms: np.ndarray
    live: np.ndarray
    log_rms: np.ndarray
    log_std: np.ndarray
    per_sequence: np.ndarray
    hidden_log_norm: np.ndarray
    hidden_cosine: np.ndarray
    hidden_log_error: np.ndarray
    hidden_full: np.ndarray
    hidden_lag_sum: np.ndarray
    recurrent_log_norm: np.ndarray
    recurrent_cosine: np.ndarray
    recurrent_log_error: np.ndarray
    recurrent_full: np.ndarray
    recurrent_lag_sum: np.ndarray
    readout: np.ndarray
    mean_slope: np.ndarray
    saturated: np.ndarray
    first_nonfinite: np.ndarray


class FlowWork(NamedTuple):
    """Scratch of one thread, for one network at a time; P = H + D + 1.

    states (T+1, B, H), slopes (T, B, H), drive (B, H), presynaptic (T, B, P) = [h_{t-1}, x_t, 1],
    direct, rows, spare (S, B, H), exponents (S, B) int64, gathered (S*B, P), part (H, P),
    window and full (H, P) float64, sum_exponents (2,) int64, logs (B,), readout and its sums.
    """

    states: np.ndarray
    slopes: np.ndarray
    drive: np.ndarray
    presynaptic: np.ndarray
    direct: np.ndarray
    rows: np.ndarray
    spare: np.ndarray
    exponents: np.ndarray
    gathered: np.ndarray
    part: np.ndarray
    window: np.ndarray
    full: np.ndarray
    sum_exponents: np.ndarray
    logs: np.ndarray
    readout: ReadoutWork
    W_hy: np.ndarray
    W_hy_part: np.ndarray
    b_y: np.ndarray


@kernel
def flow_arrays(weights, batch, S, K, per_sequence):
    """Results for an ensemble with S loss steps and K lags, to be filled by `gradient_flow`."""
    N, B = weights.W_hh.shape[0], batch.inputs.shape[2]
    return FlowArrays(
        np.full((N, S, K), np.nan),
        np.full((N, S, K), np.nan),
        np.full((N, S, K), np.nan),
        np.full((N, S, K), np.nan),
        np.full((N, S, K, B) if per_sequence else (0, 0, 0, 0), np.nan),
        np.empty((N, K)),
        np.empty((N, K)),
        np.empty((N, K)),
        np.empty(N),
        np.full(N, -np.inf),
        np.empty((N, K)),
        np.empty((N, K)),
        np.empty((N, K)),
        np.empty(N),
        np.full(N, -np.inf),
        np.empty(N),
        np.empty(N),
        np.empty(N),
        np.empty(N, np.int64),
    )


@kernel
def flow_work(weights, batch, S):
    """Scratch for `gradient_flow` with S loss steps: one for each thread."""
    _, H, D = weights.W_xh.shape
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    dtype, P = weights.W_hh.dtype, H + D + 1
    return FlowWork(
        np.empty((T + 1, B, H), dtype),
        np.empty((T, B, H), dtype),
        np.empty((B, H), dtype),
        np.empty((T, B, P), dtype),
        np.empty((S, B, H), dtype),
        np.empty((S, B, H), dtype),
        np.empty((S, B, H), dtype),
        np.empty((S, B), np.int64),
        np.empty((S * B, P), dtype),
        np.empty((H, P), dtype),
        np.empty((H, P), np.float64),
        np.empty((H, P), np.float64),
        np.empty(2, np.int64),
        np.empty(B, np.float64),
        readout_work(block_steps(T, B, H, weights.W_hh.itemsize) * B, V, weights.W_hh),
        np.empty((V, H), dtype),
        np.empty((V, H), dtype),
        np.empty((V, 1), dtype),
    )


@kernel
def gradient_flow(weights, batch, activation, steps, start, stop, work, out):
    """Fill `out` for networks start..stop-1; `steps` (S,) int64 are the loss steps, ascending."""
    for n in range(start, stop):
        begin_flow(weights, batch, activation, steps, n, work, out)
        advance_flow(weights, steps, n, 0, out.hidden_log_norm.shape[1], work, out)


@kernel
def begin_flow(weights, batch, activation, steps, n, work, out):
    """States, slopes, dl_t/dh_t and the full gradient of network n."""
    w, data = network(weights, n), batch_of(batch, n)
    out.first_nonfinite[n] = unfold_with_slopes(
        w, data.inputs, data.h0, activation, work.states, work.slopes, work.drive
    )
    T, B, H = work.slopes.shape
    flat = work.slopes.reshape(T * B * H)
    out.mean_slope[n] = total_of(flat) / flat.size
    visited = work.states[1:].reshape(T * B * H)
    out.saturated[n] = count_saturated(activation, visited) / flat.size
    _gather_presynaptic(data.inputs, work)
    out.readout[n] = _score_steps(w, data, steps, work, out.first_nonfinite, n)
    copy(work.direct, work.rows)
    fill(work.exponents, 0)
    fill(work.window, 0.0)
    fill(work.full, 0.0)
    work.sum_exponents[0] = EMPTY
    work.sum_exponents[1] = _full_gradient(w, steps, work)
    out.hidden_full[n] = log_norm_scaled(work.full[:, :H], work.sum_exponents[1])
    out.recurrent_full[n] = log_norm_scaled(work.full, work.sum_exponents[1])
    if out.first_nonfinite[n] < 0 and not out.recurrent_full[n] < np.inf:
        out.first_nonfinite[n] = 1


@kernel
def _gather_presynaptic(inputs, work):
    """presynaptic[t] = [h_t, x_{t+1}, 1]: what step t+1 multiplies with its weights."""
    T, B, H = work.slopes.shape
    D = inputs.shape[2]
    for t in range(T):
        for b in range(B):
            row = work.presynaptic[t, b]
            for i in range(H):
                row[i] = work.states[t, b, i]
            for j in range(D):
                row[H + j] = inputs[t, b, j]
            row[H + D] = 1


@kernel
def _score_steps(w, data, steps, work, first_nonfinite, n):
    """direct[i] = dl_t/dh_t at the loss steps; returns ln ||dL/d[W_hy, b_y]||."""
    V, H = work.W_hy.shape
    B = work.logs.size
    block = work.readout.peak.size // B
    fill(work.W_hy, 0)
    fill(work.b_y, 0)
    position = 0
    while position < steps.size:
        # A run of consecutive loss steps, at most one block long.
        count = 1
        while (
            count < block
            and position + count < steps.size
            and steps[position + count] == steps[position] + count
        ):
            count += 1
        first = steps[position]
        R = count * B
        states = work.states[first : first + count].reshape(R, H)
        outputs = class_major_outputs(w, states, work.readout)
        loss_weights = data.loss_weights[first - 1 : first - 1 + count].reshape(R)
        losses = score(outputs, data, (first - 1, first - 1 + count), loss_weights, work.readout)
        if first_nonfinite[n] < 0 and not total_of(losses) < np.inf:
            first_nonfinite[n] = first
        np.dot(outputs, states, work.W_hy_part)
        add(work.W_hy_part, work.W_hy)
        for v in range(V):
            work.b_y[v, 0] += total_of(outputs[v])
        np.dot(outputs.T, w.W_hy, work.direct[position : position + count].reshape(R, H))
        position += count
    return _log_add_squares(log_norm_scaled(work.W_hy, 0), log_norm_scaled(work.b_y, 0))


@kernel
def _full_gradient(w, steps, work):
    """full * 2^exponent = B * dL/d[W_hh, W_xh, b_h] by backpropagation; returns the exponent.

    The carried gradient has one power of two of its own: carry * 2^c = sum over losses of dl/dh_t.
    """
    _, B, H = work.slopes.shape
    carry, delta = work.drive, work.spare[0]
    fill(carry, 0)
    c, exponent, i = np.int64(0), np.int64(EMPTY), steps.size - 1
    for t in range(steps[-1], 0, -1):
        if i >= 0 and steps[i] == t:
            if c < 0:
                rescale(carry, c)
                c = np.int64(0)
            factor = power_of_two(-c)
            for b in range(B):
                for j in range(H):
                    carry[b, j] += work.direct[i, b, j] * factor
            i -= 1
        for b in range(B):
            for j in range(H):
                delta[b, j] = carry[b, j] * work.slopes[t - 1, b, j]
        np.dot(delta.T, work.presynaptic[t - 1], work.part)
        exponent = add_scaled(work.full, exponent, work.part, c)
        np.dot(delta, w.W_hh, carry)
        norm = frobenius(carry)
        if 0.0 < norm < np.inf:
            shift = safe_exponent(norm, carry.itemsize)
            if shift != 0:
                rescale(carry, -shift)
                c += shift
    return exponent


@kernel
def advance_flow(weights, steps, n, first_lag, last_lag, work, out):
    """Lags first_lag..last_lag-1 of network n; to be called in order, after `begin_flow`."""
    S, B, H = work.rows.shape
    begin = 0
    for k in range(first_lag, last_lag):
        while begin < S and steps[begin] - k < 1:
            begin += 1
        if begin < S:
            R = (S - begin) * B
            # Rows move from one buffer to the other; the free one first serves as scratch.
            rows = work.rows[begin:] if k % 2 == 0 else work.spare[begin:]
            spare = work.spare[begin:] if k % 2 == 0 else work.rows[begin:]
            top = _measure_rows(rows, steps[begin:], begin, n, k, work, out)
            _outer_products(rows, spare, steps[begin:], begin, k, top, work)
            _grow_window(n, top, work, out)
            np.dot(rows.reshape(R, H), weights.W_hh[n], spare.reshape(R, H))
        _compare_window(n, k, work, out)


@kernel
def _measure_rows(rows, steps, begin, n, k, work, out):
    """Norms of the rows at lag k; then rows *= phi'. Returns the largest exponent of a live row."""
    S, B, H = rows.shape
    top = np.int64(EMPTY)
    for i in range(S):
        for b in range(B):
            row, exponents = rows[i, b].reshape(1, H), work.exponents[begin + i]
            norm = frobenius(row)
            if 0.0 < norm < np.inf:
                shift = safe_exponent(norm, row.itemsize)
                if shift != 0:
                    rescale(row, -shift)
                    exponents[b] += shift
                work.logs[b] = math.log(norm) + (exponents[b] - shift) * LN2
            else:
                work.logs[b] = -np.inf if norm == 0.0 else np.nan
                if norm != 0.0 and out.first_nonfinite[n] < 0:
                    out.first_nonfinite[n] = steps[i]
            if norm != 0.0:
                top = max(top, exponents[b])
            slope = work.slopes[steps[i] - k - 1, b]
            for j in range(H):
                row[0, j] *= slope[j]
        if out.per_sequence.size > 0:
            copy(work.logs, out.per_sequence[n, begin + i, k])
        _summarise(work.logs, n, begin + i, k, out)
    return top


@kernel
def _summarise(logs, n, i, k, out):
    """Mean, spread and root mean square over sequences of the logs at one step and lag."""
    B, live, mean, peak = logs.size, 0, 0.0, -np.inf
    for b in range(B):
        if logs[b] != -np.inf:
            live += 1
            mean += logs[b]
            peak = max(peak, logs[b])
    out.live[n, i, k] = live / B
    if live == 0 or mean != mean:
        out.log_norms[n, i, k] = out.log_rms[n, i, k] = -np.inf if live == 0 else np.nan
        return
    mean /= live
    spread = square = 0.0
    for b in range(B):
        if logs[b] != -np.inf:
            spread += (logs[b] - mean) * (logs[b] - mean)
            square += math.exp(2.0 * (logs[b] - peak))
    out.log_norms[n, i, k] = mean
    out.log_std[n, i, k] = math.sqrt(spread / live)
    out.log_rms[n, i, k] = peak + 0.5 * math.log(square / B)


@kernel
def _outer_products(rows, spare, steps, begin, k, top, work):
    """part (H, P) = sum over rows of delta^T presynaptic at lag k, in units of 2^top."""
    S, B, H = rows.shape
    P, R = work.presynaptic.shape[2], S * B
    same = True
    for i in range(S):
        for b in range(B):
            same &= work.exponents[begin + i, b] == top
    deltas = rows.reshape(R, H)
    if not same:
        deltas = spare.reshape(R, H)
        for i in range(S):
            for b in range(B):
                factor = power_of_two(work.exponents[begin + i, b] - top)
                for j in range(H):
                    spare[i, b, j] = rows[i, b, j] * factor
    if steps[S - 1] - steps[0] == S - 1:
        presynaptic = work.presynaptic[steps[0] - k - 1 : steps[S - 1] - k].reshape(R, P)
    else:
        for i in range(S):
            copy(work.presynaptic[steps[i] - k - 1], work.gathered[i * B : (i + 1) * B])
        presynaptic = work.gathered[:R]
    np.dot(deltas.T, presynaptic, work.part)


@kernel
def _grow_window(n, top, work, out):
    """Add the outer products of one lag to the window, and their norm to the sum of norms."""
    H = work.part.shape[0]
    work.sum_exponents[0] = add_scaled(work.window, work.sum_exponents[0], work.part, top)
    hidden = log_norm_scaled(work.part[:, :H], top)
    out.hidden_lag_sum[n] = _log_add(out.hidden_lag_sum[n], hidden)
    recurrent = log_norm_scaled(work.part[:, :], top)
    out.recurrent_lag_sum[n] = _log_add(out.recurrent_lag_sum[n], recurrent)


@kernel
def _log_add_squares(a, b):
    """ln sqrt(e^(2a) + e^(2b))."""
    return 0.5 * _log_add(2.0 * a, 2.0 * b)


@kernel
def _log_add(a, b):
    """ln(e^a + e^b)."""
    high, low = max(a, b), min(a, b)
    return high if low == -np.inf else high + math.log(1.0 + math.exp(low - high))


@kernel
def _compare_window(n, k, work, out):
    """The window of lags 0..k beside the full gradient."""
    H, P = work.part.shape
    e_window, e_full = work.sum_exponents[0], work.sum_exponents[1]
    log_norm, cosine, log_error = compare_scaled(
        work.window[:, :H], e_window, work.full[:, :H], e_full
    )
    out.hidden_log_norm[n, k] = log_norm
    out.hidden_cosine[n, k] = cosine
    out.hidden_log_error[n, k] = log_error
    log_norm, cosine, log_error = compare_scaled(
        work.window[:, :P], e_window, work.full[:, :P], e_full
    )
    out.recurrent_log_norm[n, k] = log_norm
    out.recurrent_cosine[n, k] = cosine
    out.recurrent_log_error[n, k] = log_error
