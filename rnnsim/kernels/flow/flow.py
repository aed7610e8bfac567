"""Lag-resolved gradient flow: dl_t/dh_{t-k} for every loss step t and lag k, and every window.

All loss steps move back together: at lag k row (i, b) holds d = dl[t_i, b]/dh_{t_i-k}, and one
matrix product takes all rows one step further. The outer products of a lag, added up over lags
0..k, are the gradient truncated at window k+1 and stride 1. Rows and sums carry powers of two of
their own, so that neither decay nor growth leaves the floating-point range.

Lags are treated in chunks: first the rows move (lags.py), then what they gave is summarised and
added to the windows. Sequences may be divided among several workspaces up to that point. Of chosen
windows alone (chosen.py) no lag has outer products, and a chunk ends at each of them.
"""

import numpy as np

from rnnsim.kernels.arithmetic.arrays import add, fill
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    add_scaled,
    exponent_of,
    frobenius,
    log_add_squares,
    log_norm_scaled,
    times_power_of_two,
)
from rnnsim.kernels.arithmetic.products import Rows, add_outer, multiply, pack, rows_from, rows_of
from rnnsim.kernels.cells.seam import lasting, slope_sums
from rnnsim.kernels.flow.chosen import (
    end_of_chunk,
    lag_by_lag,
    place_of,
    share_sums,
    start_sums,
)
from rnnsim.kernels.flow.compare import compare_window, share_out
from rnnsim.kernels.flow.lags import advance_rows, summarise
from rnnsim.kernels.flow.windows import full_gradient, grow_terms, grow_window, rows_of_gate
from rnnsim.kernels.gradients.losses import score
from rnnsim.kernels.gradients.steps import network, pack_back, start_state, take_final, unfold
from rnnsim.kernels.gradients.unfolding import (
    batch_of,
    class_major,
    class_major_outputs,
    gather_targets,
    pack_forward,
)


@kernel
def gradient_flow(weights, batch, cell, steps, start, stop, work, out):
    """Fill `out` for networks start..stop-1; `steps` (S,) int64 are the loss steps, ascending."""
    K = out.log_norms.shape[2]
    for n in range(start, stop):
        begin_flow(weights, batch, cell, steps, n, work, out)
        start_windows(n, work, out)
        start_sums(work, work)
        first = 0
        while first < K:
            last = end_of_chunk(first, K, work)
            advance_rows(cell, steps, first, last, n, work, out)
            close_lags(steps, first, last, n, work.logs, work.part_logs, work, out)
            first = last


@kernel
def begin_flow(weights, batch, cell, steps, n, work, out):
    """States, what they keep, dl_t/dh_t and the full gradient of network n."""
    w, data, lasts = network(weights, n), batch_of(batch, n), lasting(cell)
    start_flow(w, data.h0, work)
    pack(w.W_hy, w.b_h.size, work.backward)
    run_flow(data.inputs, lasts, n, work, out)
    score_steps(data, steps, n, work, out)
    full_gradient(lasts, steps, n, work)
    start_rows(steps, n, work)


@kernel
def start_flow(w, h0, work):
    """Pack the weights of one network, and take its first state (B, S)."""
    pack_forward(w, work.forward)
    pack_back(w.W_hh, work.forward.blocks[0], work.units, 0, work.backward)
    start_state(work.forward, h0, work.units)


@kernel
def run_flow(inputs, cell, n, work, out):
    """States and what they keep, from inputs (T, B, D) or what stands in the trace."""
    forward, H, B = work.forward, work.units, work.rows.shape[1]
    T = forward.trace.shape[0] - 1
    out.first_nonfinite[n] = unfold(inputs, 0, T, 0, cell, forward)
    total, saturated = 0.0, 0
    for t in range(1, T + 1):
        for b in range(B):
            slopes, dead = slope_sums(cell, forward.kept, forward.trace, t, b, H)
            total += slopes
            saturated += dead
    out.mean_slope[n], out.saturated[n] = total / (T * B * H), saturated / (T * B * H)
    _measure_trace(work)


@kernel
def start_rows(steps, n, work):
    """What arrives at the memories of step T, beside the rows of the losses."""
    H, T = work.units, work.forward.trace.shape[0] - 1
    fill(work.exponents, 0)
    fill(work.dc, 0)
    if steps[-1] == T:
        take_final(work.final, n, H, 1.0, work.dc[-1])


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
    for m in range(2):
        work.full_norms[m] = frobenius(work.full[:, :H] if m == 0 else work.full[:, H + 1 :])
    out.inputs_full[n] = log_norm_scaled(work.full[:, H + 1 :], work.sum_exponents[1])
    nothing = -np.inf if out.hidden_log_norm.shape[1] > 0 else np.nan  # of no window none is known
    out.hidden_terms[n] = out.recurrent_terms[n] = nothing
    for gate in range(out.hidden_gates.full.shape[1]):
        first, last = rows_of_gate(work.forward.blocks, gate, H)
        full, exponent = work.full[first:last], work.sum_exponents[1]
        out.hidden_gates.full[n, gate] = log_norm_scaled(full[:, :H], exponent)
        out.recurrent_gates.full[n, gate] = log_norm_scaled(full, exponent)
        out.hidden_gates.terms[n, gate] = out.recurrent_gates.terms[n, gate] = nothing
    if out.first_nonfinite[n] < 0 and not out.recurrent_full[n] < np.inf:
        out.first_nonfinite[n] = 1


@kernel
def close_lags(steps, first, last, n, logs, part_logs, work, out):
    """Statistics and windows of lags first..last-1 of network n, whose rows have moved."""
    for k in range(first, last):
        summarise(steps, k, n, logs[k - first], part_logs[k - first], out)
        if work.squares.shape[2] > 0:
            grow_terms(k - first, n, work, out)
        if lag_by_lag(work):
            share_out(k - first, n, k, work, out)
            grow_window(k - first, work)
            compare_window(n, k, work, out)
        else:
            share_sums(k - first, n, k, work, out)
    place = place_of(work.windows, last)
    if place >= 0:
        compare_window(n, place, work, out)


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
def score_steps(data, steps, n, work, out):
    """rows[i] = dl_t/dh_t at the loss steps; the gradient of the readout."""
    forward, dy = work.forward, work.dy
    S, B, _ = work.rows.shape
    A, H = work.window.shape[0], work.units
    V, own = forward.sizes[2], forward.sizes[3]
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
        add_outer(left, rows_from(forward.trace, first), run * B, own, H + 1, work.readout)
        position += run
    # dl_t/dh_t = W_hy^T dl_t/dy_t: rows A.. of the packed [W_hh; W_hy]
    behind = Rows(dy.reshape(dy.size), -A, dy.shape[1])
    multiply(behind, S * B, A, A + V, work.backward, rows_from(work.rows, 0))
