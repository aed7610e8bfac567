"""Lag-resolved gradient flow: dl_t/dh_{t-k} for every loss step t and lag k, and every window.

All loss steps move back together: at lag k row (i, b) holds d = dl[t_i, b]/dh_{t_i-k}, and one
matrix product takes all rows one step further. The outer products of a lag, added up over lags
0..k, are the gradient truncated at window k+1 and stride 1. Rows and sums carry powers of two of
their own, so that neither decay nor growth leaves the floating-point range.

Lags are treated in chunks: first the rows move (lags.py), then what they gave is summarised and
added to the windows. Sequences may be divided among several workspaces up to that point.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import add, fill
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    add_scaled,
    exponent_of,
    frobenius,
    log_add_squares,
    log_norm_scaled,
    times_power_of_two,
)
from rnnsim.kernels.arithmetic.products import (
    Rows,
    add_outer,
    empty_panels,
    multiply,
    pack,
    padded,
    rows_from,
    rows_of,
)
from rnnsim.kernels.cells.seam import lasting, slope_sums
from rnnsim.kernels.flow.lags import advance_rows, summarise
from rnnsim.kernels.flow.windows import compare_window, full_gradient, grow_window
from rnnsim.kernels.gradients.losses import score
from rnnsim.kernels.gradients.unfolding import (
    ForwardWork,
    batch_of,
    class_major,
    class_major_outputs,
    forward_work,
    gather_targets,
    memory_size,
    network,
    pack_forward,
    start_state,
    unfold,
)

LAGS_AT_ONCE = 32


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
    """Scratch of one thread, for one network at a time; S loss steps, C lags in a chunk.

    units: H; forward: ForwardWork of all T steps of the lasting cell; backward: packed
    [W_hh; W_hy]; rows (S, B, H'), dc (S, B, M*H') and deltas (S, B, A'): dl/dh_t, dl/dc_t and
    dl/da_t; exponents (S, B) int64 of rows and dc, squares (S, B) of the deltas; sizes (T, B, 2)
    and size_exponents (2,) int64: the norms of h_{t-1} and of the whole row of the trace. Of every
    lag of a chunk: parts (C, A, P'), its outer products in units of 2^tops (C,) int64, terms
    (C, 2), logs (C, S, B). window, window_lost (what rounding takes from it) and full (A, P)
    float64 with sum_exponents (2,) int64; dy (S*B, V') and readout (V, P').
    """

    units: int
    forward: ForwardWork
    backward: np.ndarray
    rows: np.ndarray
    dc: np.ndarray
    deltas: np.ndarray
    exponents: np.ndarray
    squares: np.ndarray
    sizes: np.ndarray
    size_exponents: np.ndarray
    parts: np.ndarray
    tops: np.ndarray
    terms: np.ndarray
    logs: np.ndarray
    window: np.ndarray
    window_lost: np.ndarray
    full: np.ndarray
    sum_exponents: np.ndarray
    dy: np.ndarray
    readout: np.ndarray


@allocator
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


@allocator
def lags_at_once(T, B, S):
    """How many lags make a chunk, so that their logs stay small."""
    return max(1, min(LAGS_AT_ONCE, T, 2**20 // (S * B)))


@allocator
def flow_work(weights, batch, S, C, cell=0):
    """Scratch for `gradient_flow` with S loss steps and C lags at once: one for each thread."""
    (_, A, D), H = weights.W_xh.shape, weights.W_hh.shape[2]
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    like, P, lasts = weights.W_hh, H + D + 1, lasting(cell)
    return FlowWork(
        H,
        forward_work(weights, T, B, T, lasts),
        empty_panels(A + V, H, like),
        np.zeros((S, B, padded(H, like)), like.dtype),
        np.zeros((S, B, memory_size(lasts, H, like)), like.dtype),
        np.zeros((S, B, padded(A, like)), like.dtype),
        np.zeros((S, B), np.int64),
        np.zeros((S, B), np.float64),
        np.zeros((T, B, 2), np.float64),
        np.zeros(2, np.int64),
        np.zeros((C, A, padded(P, like)), like.dtype),
        np.zeros(C, np.int64),
        np.zeros((C, 2), np.float64),
        np.zeros((C, S, B), np.float64),
        np.zeros((A, P), np.float64),
        np.zeros((A, P), np.float64),
        np.zeros((A, P), np.float64),
        np.zeros(2, np.int64),
        np.zeros((S * B, padded(V, like)), like.dtype),
        np.zeros((V, padded(P, like)), like.dtype),
    )


@kernel
def gradient_flow(weights, batch, cell, steps, start, stop, work, out):
    """Fill `out` for networks start..stop-1; `steps` (S,) int64 are the loss steps, ascending."""
    K, C = out.hidden_log_norm.shape[1], work.tops.size
    for n in range(start, stop):
        begin_flow(weights, batch, cell, steps, n, work, out)
        start_windows(n, work, out)
        for first in range(0, K, C):
            last = min(first + C, K)
            advance_rows(cell, steps, first, last, n, work, out)
            close_lags(steps, first, last, n, work.logs, work, out)


@kernel
def begin_flow(weights, batch, cell, steps, n, work, out):
    """States, what they keep, dl_t/dh_t and the full gradient of network n."""
    w, data, forward, lasts = network(weights, n), batch_of(batch, n), work.forward, lasting(cell)
    T, B, (A, H) = batch.inputs.shape[1], batch.inputs.shape[2], w.W_hh.shape
    pack_forward(w, forward)
    pack(w.W_hh, 0, work.backward)
    pack(w.W_hy, A, work.backward)
    start_state(lasts, forward, data.h0)
    out.first_nonfinite[n] = unfold(data.inputs, 0, T, 0, lasts, forward)
    total, saturated = 0.0, 0
    for t in range(1, T + 1):
        for b in range(B):
            slopes, dead = slope_sums(lasts, forward.kept, forward.trace, t, b, H)
            total += slopes
            saturated += dead
    out.mean_slope[n], out.saturated[n] = total / (T * B * H), saturated / (T * B * H)
    _measure_trace(work)
    _score_steps(data, steps, n, work, out)
    fill(work.exponents, 0)
    work.sum_exponents[1] = full_gradient(lasts, steps, work)


@kernel
def merge_full(work, other):
    """Add what another workspace has of the full gradient, for other sequences of the network."""
    work.sum_exponents[1] = add_scaled(
        work.full, work.window_lost, work.sum_exponents[1], other.full, other.sum_exponents[1]
    )
    add(other.readout, work.readout)


@kernel
def start_windows(n, work, out):
    """Clear the windows of network n; norms of its full gradient and of its readout's."""
    H = work.units
    fill(work.window, 0.0)
    fill(work.window_lost, 0.0)
    work.sum_exponents[0] = EMPTY
    W_hy, b_y = work.readout[:, :H], work.readout[:, H : H + 1]
    out.readout[n] = log_add_squares(log_norm_scaled(W_hy, 0), log_norm_scaled(b_y, 0))
    out.hidden_full[n] = log_norm_scaled(work.full[:, :H], work.sum_exponents[1])
    out.recurrent_full[n] = log_norm_scaled(work.full, work.sum_exponents[1])
    if out.first_nonfinite[n] < 0 and not out.recurrent_full[n] < np.inf:
        out.first_nonfinite[n] = 1


@kernel
def close_lags(steps, first, last, n, logs, work, out):
    """Statistics and windows of lags first..last-1 of network n, whose rows have moved."""
    for k in range(first, last):
        summarise(steps, k, n, logs[k - first], out)
        grow_window(k - first, n, work, out)
        compare_window(n, k, work, out)


@kernel
def _measure_trace(work):
    """Norms of h_t and of [h_t, 1, x_{t+1}], in units of 2^size_exponents: their squares fit."""
    T, B = work.sizes.shape[:2]
    H, P, trace = work.units, work.window.shape[1], work.forward.trace
    for m in range(2):
        peak = 0.0
        for t in range(T):
            for b in range(B):
                size = frobenius(trace[t, b, : (H, P)[m]].reshape(1, -1))
                work.sizes[t, b, m] = size
                peak = max(peak, size)
        exponent = exponent_of(peak) if 0.0 < peak < np.inf else 0
        work.size_exponents[m] = exponent
        for t in range(T):
            for b in range(B):
                work.sizes[t, b, m] = times_power_of_two(work.sizes[t, b, m], -exponent)


@kernel
def _score_steps(data, steps, n, work, out):
    """rows[i] = dl_t/dh_t at the loss steps; the gradient of the readout."""
    forward, dy = work.forward, work.dy
    S, B, _ = work.rows.shape
    V, A, H = work.readout.shape[0], work.window.shape[0], work.units
    longest, position = forward.score.losses.size // B, 0
    fill(work.readout, 0)
    while position < S:
        run, first = 1, steps[position]  # consecutive loss steps
        while run < longest and position + run < S and steps[position + run] == first + run:
            run += 1
        class_major_outputs(first, run, V, forward)
        outputs = class_major(V, run * B, forward)
        gather_targets(data, first - 1, run, forward)
        loss = score(outputs, data.loss, forward)
        if out.first_nonfinite[n] < 0 and not loss < np.inf:
            out.first_nonfinite[n] = first
        for r in range(run * B):
            for v in range(V):
                dy[position * B + r, v] = outputs[v, r]
        left = rows_of(dy, position * B)
        add_outer(left, rows_from(forward.trace, first), run * B, V, H + 1, work.readout)
        position += run
    # dl_t/dh_t = W_hy^T dl_t/dy_t: rows A.. of the packed [W_hh; W_hy]
    behind = Rows(dy.reshape(dy.size), -A, dy.shape[1])
    multiply(behind, S * B, A, A + V, work.backward, rows_from(work.rows, 0))
    fill(work.dc, 0)
