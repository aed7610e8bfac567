"""Lag-resolved gradient flow: dl_t/dh_{t-k} for every loss step t and lag k, and every window.

All loss steps move back together: at lag k row (i, b) holds d = dl[t_i, b]/dh_{t_i-k}, and one
matrix product takes all rows one step further. The outer products of a lag, added up over lags
0..k, are the gradient truncated at window k+1 and stride 1. Rows and sums carry powers of two of
their own, so that neither decay nor growth leaves the floating-point range.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.activations import count_saturated
from rnnsim.kernels.arrays import add, copy, fill, total_of
from rnnsim.kernels.jit import kernel
from rnnsim.kernels.lags import measure_rows, outer_products
from rnnsim.kernels.norms import (
    EMPTY,
    exponent_of,
    frobenius,
    log_add_squares,
    log_norm_scaled,
    times_power_of_two,
)
from rnnsim.kernels.unfolding import (
    ReadoutWork,
    batch_of,
    block_steps,
    class_major_outputs,
    network,
    readout_work,
    score,
    unfold_with_slopes,
)
from rnnsim.kernels.windows import compare_window, full_gradient, grow_window


class FlowArrays(NamedTuple):
    """Results for an ensemble; S loss steps, K lags; logs are natural. All float64 but two.

    log_norms, live, log_rms, log_std (N, S, K); per_sequence (N, S, K, B), or of size 0.
    All gradients are B times dL/dW, as the batch average comes last.
    hidden_* are of dL/dW_hh, recurrent_* of dL/d[W_hh, W_xh, b_h] as one matrix: log_norm (N, K) of
    window k+1, cosine (N, K) and log_error (N, K) to the full gradient, full (N,) its log norm,
    terms (N,) the log of the root of the sum over lags and rows of ||delta||^2 ||presynaptic||^2.
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
    hidden_terms: np.ndarray
    recurrent_log_norm: np.ndarray
    recurrent_cosine: np.ndarray
    recurrent_log_error: np.ndarray
    recurrent_full: np.ndarray
    recurrent_terms: np.ndarray
    readout: np.ndarray
    mean_slope: np.ndarray
    saturated: np.ndarray
    first_nonfinite: np.ndarray


class FlowWork(NamedTuple):
    """Scratch of one thread, for one network at a time; P = H + D + 1.

    states (T+1, B, H), slopes (T, B, H), drive (B, H), presynaptic (T, B, P) = [h_{t-1}, x_t, 1],
    direct, rows, spare (S, B, H), exponents (S, B) int64, gathered (S*B, P), part (H, P),
    sizes (T, B, 2) and size_exponents (2,) int64: the norms of h_{t-1} and of the whole presynaptic
    vector; terms (2,); window, what rounding takes from it, and full (H, P) float64; sum_exponents
    (2,) int64, logs (B,), readout and its sums.
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
    sizes: np.ndarray
    size_exponents: np.ndarray
    terms: np.ndarray
    window: np.ndarray
    window_lost: np.ndarray
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
        np.empty((T, B, 2), np.float64),
        np.empty(2, np.int64),
        np.empty(2, np.float64),
        np.empty((H, P), np.float64),
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
    work.sum_exponents[1] = full_gradient(w, steps, work)
    fill(work.window, 0.0)
    fill(work.window_lost, 0.0)
    work.sum_exponents[0] = EMPTY
    out.hidden_full[n] = log_norm_scaled(work.full[:, :H], work.sum_exponents[1])
    out.recurrent_full[n] = log_norm_scaled(work.full, work.sum_exponents[1])
    if out.first_nonfinite[n] < 0 and not out.recurrent_full[n] < np.inf:
        out.first_nonfinite[n] = 1


@kernel
def _gather_presynaptic(inputs, work):
    """presynaptic[t] = [h_t, x_{t+1}, 1]: what step t+1 multiplies with its weights; and its norms.

    Norms are in units of 2^size_exponents, which keeps their squares in range.
    """
    T, B, H = work.slopes.shape
    D = inputs.shape[2]
    peaks = work.terms
    fill(peaks, 0.0)
    for t in range(T):
        for b in range(B):
            row = work.presynaptic[t, b]
            for i in range(H):
                row[i] = work.states[t, b, i]
            for j in range(D):
                row[H + j] = inputs[t, b, j]
            row[H + D] = 1
            for m in range(2):
                size = frobenius(row[: (H, H + D + 1)[m]].reshape(1, -1))
                work.sizes[t, b, m] = size
                peaks[m] = max(peaks[m], size)
    for m in range(2):
        inside = 0.0 < peaks[m] < np.inf
        work.size_exponents[m] = exponent_of(peaks[m]) if inside else 0
        for t in range(T):
            for b in range(B):
                size = work.sizes[t, b, m]
                work.sizes[t, b, m] = times_power_of_two(size, -work.size_exponents[m])


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
    return log_add_squares(log_norm_scaled(work.W_hy, 0), log_norm_scaled(work.b_y, 0))


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
            top = measure_rows(rows, steps[begin:], begin, n, k, work, out)
            if top > EMPTY:  # something is left
                outer_products(rows, spare, steps[begin:], begin, k, top, work)
                grow_window(n, top, work, out)
            np.dot(rows.reshape(R, H), weights.W_hh[n], spare.reshape(R, H))
        compare_window(n, k, work, out)
