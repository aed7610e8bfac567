"""What the gradient flow fills, and the scratch that it works in."""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import scratch
from rnnsim.kernels.arithmetic.jit import allocator
from rnnsim.kernels.arithmetic.products import empty_panels, padded
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.seam import lasting
from rnnsim.kernels.gradients.steps import later_size, memory_size
from rnnsim.kernels.gradients.unfolding import ForwardWork, forward_work

LAGS_AT_ONCE = 32
PARTS = 3  # of a state with memories: h, c, and the path through c alone


@by_reference
class GateArrays(NamedTuple):
    """Windows by gate, G gates (0 where there is one alone), fields as in `FlowArrays`.

    log_norm, cosine, log_error (N, M, G), full, terms (N, G).
    """

    log_norm: np.ndarray
    cosine: np.ndarray
    log_error: np.ndarray
    full: np.ndarray
    terms: np.ndarray


@by_reference
class FlowArrays(NamedTuple):
    """Results for an ensemble; S loss steps, K lags, M windows; natural logs. All float64 but one.

    log_norms, live, log_rms, log_std (N, S, K), of whole states; per_sequence (N, S, K, B), or of
    size 0; parts (N, S, K, 3): log_norms of h, of the memories, and of the path through these
    alone, or (N, S, K, 0) of cells without.
    All gradients are B times dL/dW, as the batch average comes last.
    hidden_* are of dL/dW_hh, recurrent_* of dL/d[W_hh, W_xh, b_h] as one matrix: log_norm (N, M) of
    each window, cosine (N, M) and log_error (N, M) to the full gradient, full (N,) its log norm,
    terms (N,) the log of the root of the sum over lags and rows of ||delta||^2 ||presynaptic||^2,
    NaN where M is 0; *_gates: GateArrays. shares (N, K, 2, G): of W_hh and of W_xh, <G_k, g> /
    ||g||^2 for what lag k adds, by gate; lag_norms (N, K, 2), or (N, 0, 2) of chosen windows:
    ||G_k|| / ||g||; inputs_full (N,): ln ||g|| of W_xh.
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
    parts: np.ndarray
    hidden_gates: GateArrays
    recurrent_gates: GateArrays
    shares: np.ndarray
    lag_norms: np.ndarray
    inputs_full: np.ndarray


@by_reference
class FlowWork(NamedTuple):
    """Scratch of one thread, for one network at a time; S loss steps, C lags in a chunk, G gates.

    units: H; forward: ForwardWork of all T steps of the lasting cell; backward: packed
    [W_hh; W_hy]; rows (S, B, H'), dc (S, B, .) and deltas (S, B, A'): dl/dh_t, dl/dc_t (or what
    else a step hands back) and dl/da_t; exponents (S, B) int64 of rows and dc, squares (S, B, G) of
    the deltas; path (S, B, M*H') through the memories alone, path_exponents (S, B) int64; scales
    (N, .) or of size 0: what multiplies the components of a gradient in its norm; final as in
    BackwardWork, where step T carries loss; sizes (T, B, 2)
    and size_exponents (2,) int64: the norms of h_{t-1} and of the whole row of the trace. Of every
    lag of a chunk: outer (C, A, P'), its outer products in units of 2^tops (C,) int64, terms and
    shares (C, 2, G), logs (C, S, B) and part_logs (C, S, B, 3 or 0). window, window_lost (what
    rounding takes from it) and full (A, P) float64 with sum_exponents (2,) int64; full_norms (2,):
    of the columns of W_hh and of W_xh of the latter; dy (S*B, V') and readout (V, P').
    Of size 0 unless windows are chosen (`window_work`): windows (M,) int64, ascending; sums
    (T, B, A'), deltas added up by the step that they stand at, in units of 2^sum_units (T, B)
    int64; along (2, T, B, A'), the trace through W_hh's and W_xh's part of the full gradient, which
    is packed in panels; products (2, A') of these and the deltas of a lag. outer has one place
    then, and squares none where M is 0.
    """

    units: int
    forward: ForwardWork
    backward: np.ndarray
    rows: np.ndarray
    dc: np.ndarray
    deltas: np.ndarray
    exponents: np.ndarray
    squares: np.ndarray
    path: np.ndarray
    path_exponents: np.ndarray
    scales: np.ndarray
    final: np.ndarray
    sizes: np.ndarray
    size_exponents: np.ndarray
    outer: np.ndarray
    tops: np.ndarray
    terms: np.ndarray
    logs: np.ndarray
    part_logs: np.ndarray
    window: np.ndarray
    window_lost: np.ndarray
    full: np.ndarray
    sum_exponents: np.ndarray
    full_norms: np.ndarray
    dy: np.ndarray
    readout: np.ndarray
    shares: np.ndarray
    windows: np.ndarray
    sums: np.ndarray
    sum_units: np.ndarray
    along: np.ndarray
    products: np.ndarray
    panels: np.ndarray


@allocator
def flow_arrays(weights, batch, S, K, per_sequence, M=-1):
    """Results for an ensemble with S loss steps and K lags, to be filled by `gradient_flow`.

    M: how many windows are chosen; unless given there is one for every lag.
    """
    (N, rows, H), B = weights.W_hh.shape, batch.inputs.shape[2]
    G, parts = rows // H, PARTS if batch.h0.shape[2] > H else 0
    several = G if G > 1 else 0
    known, M = (K, K) if M < 0 else (0, M)
    return FlowArrays(
        np.full((N, S, K), np.nan),
        np.full((N, S, K), np.nan),
        np.full((N, S, K), np.nan),
        np.full((N, S, K), np.nan),
        np.full((N, S, K, B) if per_sequence else (0, 0, 0, 0), np.nan),
        np.empty((N, M)),
        np.empty((N, M)),
        np.empty((N, M)),
        np.empty(N),
        np.full(N, -np.inf),
        np.empty((N, M)),
        np.empty((N, M)),
        np.empty((N, M)),
        np.empty(N),
        np.full(N, -np.inf),
        np.empty(N),
        np.empty(N),
        np.empty(N),
        np.empty(N, np.int64),
        np.full((N, S, K, parts), np.nan),
        _gate_arrays(N, M, several),
        _gate_arrays(N, M, several),
        np.empty((N, K, 2, G)),
        np.empty((N, known, 2)),
        np.empty(N),
    )


@allocator
def _gate_arrays(N, M, G):
    return GateArrays(
        np.empty((N, M, G)),
        np.empty((N, M, G)),
        np.empty((N, M, G)),
        np.empty((N, G)),
        np.full((N, G), -np.inf),
    )


@allocator
def lags_at_once(T, B, S):
    """How many lags make a chunk, so that their logs stay small."""
    return max(1, min(LAGS_AT_ONCE, T, 2**20 // (S * B)))


@allocator
def flow_work(weights, batch, S, C, cell=0, above=0):
    """Scratch for `gradient_flow` with S loss steps and C lags at once: one for each thread.

    For all windows; `window_work` makes that of chosen ones. above: as in `allocate_backward`.
    """
    A, D, H = weights.b_h.shape[1], weights.W_xh.shape[2], weights.W_hh.shape[2]
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    like, P, lasts, G = weights.W_hh, H + D + 1, lasting(cell), weights.W_hh.shape[1] // H
    memory = memory_size(lasts, H, like)
    parts = PARTS if memory > 0 else 0  # not below: Numba knows no choice among so many arguments
    return FlowWork(
        H,
        forward_work(weights, T, B, T, lasts),
        empty_panels(A + max(V, above), H, like),
        scratch((S, B, padded(H, like)), like),
        scratch((S, B, later_size(lasts, H, like)), like),
        scratch((S, B, padded(A, like)), like),
        np.zeros((S, B), np.int64),
        np.zeros((S, B, G), np.float64),
        scratch((S, B, memory), like),
        np.zeros((S, B), np.int64),
        np.zeros((0, 0), np.float64),
        np.zeros((0, 0, 0), np.float64),
        np.zeros((T, B, 2), np.float64),
        np.zeros(2, np.int64),
        scratch((C, A, padded(P, like)), like),
        np.zeros(C, np.int64),
        np.zeros((C, 2, G), np.float64),
        np.zeros((C, S, B), np.float64),
        np.zeros((C, S, B, parts), np.float64),
        np.zeros((A, P), np.float64),
        np.zeros((A, P), np.float64),
        np.zeros((A, P), np.float64),
        np.zeros(2, np.int64),
        np.zeros(2, np.float64),
        scratch((S * B, padded(V, like)), like),
        scratch((weights.b_y.shape[1], padded(P, like)), like),
        np.zeros((C, 2, G), np.float64),
        np.zeros(0, np.int64),
        scratch((0, 0, 0), like),
        np.zeros((0, 0), np.int64),
        scratch((2, 0, 0, 0), like),
        scratch((2, 0), like),
        scratch((0, 0, 0), like),
    )


def window_work(work, windows):
    """The scratch of `flow_work` for chosen windows (M,) int64, ascending in 1..K, or none."""
    (T, B, _), (A, P), width = work.sizes.shape, work.window.shape, work.deltas.shape[2]
    S, _, G = work.squares.shape
    some = min(windows.size, 1)
    return work._replace(
        outer=scratch((1, *work.outer.shape[1:]), work.rows),
        squares=np.zeros((S, B, some * G)),
        windows=windows,
        sums=scratch((some * T, B, width), work.rows),
        sum_units=np.zeros((some * T, B), np.int64),
        along=scratch((2, T, B, width), work.rows),
        products=scratch((2, width), work.rows),
        panels=empty_panels(P, A, work.rows),
    )
