"""Gradient flow: how much of every loss reaches every earlier step, and what truncation loses."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnsim import checks, kernels, parallel
from rnnsim.data.sequences import Sequences
from rnnsim.flow import team
from rnnsim.kernels.flow.arrays import FlowArrays
from rnnsim.kernels.flow.flow import begin_flow, close_lags, start_windows
from rnnsim.kernels.flow.lags import advance_rows
from rnnsim.networks.binding import batch_for, cell_of
from rnnsim.networks.rnn import RNN, originals

Floats = npt.NDArray[np.float64]

# Rounding of a gradient in units of epsilon: times the root sum of squares of its terms (errors at
# random), and times its own norm (errors of one sign, over the rows that a product adds at once and
# the lags that a row has gone). Where ||g_K - g|| is smaller, it is not known.
# tests/flow/test_gradient_flow.py holds it against sums of the tail in extended precision.
_RANDOM_ROUNDING = 64.0
_COMMON_ROUNDING = 1024.0
_KEPT = 2**26  # norms of single sequences that are kept without being asked for, half a GB


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """Norms over lags and windows of N networks. All logs are natural, all arrays float64.

    l[t,b] is the weighted loss of one step and one sequence, without the factor 1/B; norms of
    dl[t,b]/dh_{t-k} are over the H units of one sequence.

    Attributes
    ----------
    steps : (S,) int64
        The steps 1..T that carry loss, ascending. Row i below is step ``steps[i]``.
    log_norms : (N, S, K)
        Mean over sequences of ln ||dl[t,b]/dh_{t-k}||, lag k = 0..K-1, over the sequences where it
        is not exactly 0 (-inf where none is left). NaN where t-k < 1.
    live : (N, S, K)
        Fraction of sequences where it is not exactly 0. NaN where t-k < 1.
    log_rms : (N, S, K)
        ln of the root mean square over all B sequences: what a summed gradient feels.
    log_std : (N, S, K)
        Standard deviation over live sequences (divisor: their number) of the log.
    per_sequence : (N, S, K, B) or None
        ln ||dl[t,b]/dh_{t-k}|| of every sequence, where kept.
    window_log_norms : (N, K)
        ln ||g_K||_F, g_K = dL/dW_hh truncated at window K = k+1, stride 1.
    window_cosine : (N, K)
        Cosine between g_K and the full gradient g; NaN where one of them is exactly 0.
    window_log_error : (N, K)
        ln(||g_K - g||_F / ||g||_F). NaN where it is below `window_log_floor` (for medians over
        networks put the floor in its place), or g is exactly 0; -inf from the window on that
        reaches step 1 from everywhere.
    window_log_floor : (N,)
        ln of the rounding in that error, relative to ||g||: the least that can be told from 0.
    full_log_norm : (N,)
        ln ||g||_F.
    joint_log_norms, joint_cosine, joint_log_error : (N, K)
        The same for all five weights and biases together, as one vector.
    joint_log_floor, joint_full_log_norm : (N,)
        Likewise.
    mean_slope : (N,)
        phi' averaged over steps, sequences and units.
    saturated_fraction : (N,)
        Fraction of steps, sequences and units where phi' = 1 - h^2 (relu: h > 0) is exactly 0 in
        this dtype. (The flow itself takes phi' from the pre-activation.)
    first_nonfinite : (N,) int64
        -1 where everything is finite. Else the first step whose state, loss or gradient is not.
    epsilon : float
        Machine epsilon of the networks' dtype.
    """

    steps: npt.NDArray[np.int64]
    log_norms: Floats
    live: Floats
    log_rms: Floats
    log_std: Floats
    per_sequence: Floats | None
    window_log_norms: Floats
    window_cosine: Floats
    window_log_error: Floats
    window_log_floor: Floats
    full_log_norm: Floats
    joint_log_norms: Floats
    joint_cosine: Floats
    joint_log_error: Floats
    joint_log_floor: Floats
    joint_full_log_norm: Floats
    mean_slope: Floats
    saturated_fraction: Floats
    first_nonfinite: npt.NDArray[np.int64]
    epsilon: float = float(np.finfo("float64").eps)

    @property
    def n_lags(self) -> int:
        """K."""
        return int(self.log_norms.shape[2])


def gradient_flow(
    rnn: RNN,
    sequences: Sequences,
    *,
    max_lag: int | None = None,
    h0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    per_sequence: bool | None = None,
) -> GradientFlow:
    """Gradient norms at every lag and the truncated gradient of every window, in one pass.

    ::

        d_0[t,b] = dl[t,b]/dh_t               one row for every step t that carries loss
        e_k      = phi'(a_{t-k}) * d_k        dl[t,b]/da_{t-k}
        d_{k+1}  = W_hh^T e_k                 dl[t,b]/dh_{t-k-1}
        g_K      = (1/B) sum_{k<K} sum_{t,b} e_k h_{t-k-1}^T

    Each lag is one matrix product over all rows. Rows and sums are rescaled by powers of two as
    they go, so that norms of 10^-2000 or 10^+2000 are right, and phi' comes from the
    pre-activation a, so that saturation costs no digits up to |a| = 354 (43 in float32; units
    further out count as if they were there). That g_K equals truncated BPTT with window
    K and stride 1 follows from the definition.

    Parameters
    ----------
    rnn, sequences, h0, n_threads
        As in `bptt`.
    max_lag : int, optional
        The largest lag; K = min(max_lag, T - 1) + 1 lags and windows. All T unless given.
    per_sequence : bool, optional
        Whether to keep the norms of every sequence, (N, S, K, B), from which `growth_rate` has its
        errors; unless given, where these are at most 2^26 numbers, 0.5 GB.

    Raises
    ------
    TypeError, ValueError
        As in `bptt`; max_lag below 1 or not an integer; sequences without any loss.

    Examples
    --------
    >>> rnn = RNN.sample(n_inputs=1, n_hidden=8, n_outputs=2, scheme="orthogonal", gain=0.1,
    ...                  activation="linear", rng=0)
    >>> batch = Sequences(np.zeros((3000, 1, 1)), np.ones((3000, 1, 2))).last_loss_only()
    >>> flow = gradient_flow(rnn, batch)
    >>> decay = flow.log_norms[0, 0, 2999] - flow.log_norms[0, 0, 0]    # far below 1e-308
    >>> bool(np.isclose(decay, 2999 * np.log(0.1)))
    True
    """
    batch = batch_for(rnn, sequences, h0)
    T, B = sequences.n_steps, sequences.n_sequences
    K = T if max_lag is None else min(checks.whole_number("max_lag", max_lag, least=1), T - 1) + 1
    steps = sequences.loss_steps
    if steps.size == 0:
        raise ValueError(
            "`sequences` must carry loss at one step at least, but all `weights` are 0"
        )
    weights, cell = originals(rnn), cell_of(rnn)
    kept = (
        len(rnn) * steps.size * K * B <= _KEPT
        if per_sequence is None
        else checks.boolean("per_sequence", per_sequence)
    )
    out = kernels.flow_arrays(weights, batch, steps.size, K, kept)
    H, P = rnn.n_hidden, rnn.n_hidden + rnn.n_inputs + 1
    flops = K * (2.0 * steps.size * B * H * (H + P) + 60.0 * H * P)
    members = parallel.team_size(len(rnn), n_threads, B, flops)
    if members > 1:
        team.gradient_flow(weights, batch, cell, steps, members, out)
        return _result(out, steps, B, K, rnn.dtype)
    lags = kernels.lags_at_once(T, B, steps.size)

    def prepare() -> parallel.Worker:
        work = kernels.flow_work(weights, batch, steps.size, lags, cell)

        def worker(start: int, stop: int) -> Iterator[None]:
            for n in range(start, stop):
                begin_flow(weights, batch, cell, steps, n, work, out)
                start_windows(cell, n, work, out)
                for first in range(0, K, lags):
                    yield
                    last = min(first + lags, K)
                    advance_rows(cell, steps, first, last, n, work, out)
                    logs = work.logs, work.part_logs
                    close_lags(cell, steps, first, last, n, *logs, work, out)

        return worker

    parallel.over_networks(len(rnn), n_threads, prepare, flops=flops)
    return _result(out, steps, B, K, rnn.dtype)


def _result(
    out: FlowArrays, steps: npt.NDArray[np.int64], B: int, K: int, dtype: np.dtype[np.floating]
) -> GradientFlow:
    """Bring sums over sequences to averages, add the readout, and mark what rounding hides."""
    batch_log = np.log(B)
    exact_from = int(steps[-1]) - 1  # at this lag every row has reached step 1
    with np.errstate(invalid="ignore", divide="ignore"):
        floor = _floor(out.hidden_terms, out.hidden_full, out.hidden_full, dtype)
        error = _masked(out.hidden_log_error, floor, out.hidden_full, exact_from)
        # All weights: the readout's gradient is the same in every window.
        joint_full = 0.5 * np.logaddexp(2 * out.recurrent_full, 2 * out.readout)
        readout = out.readout[:, None]
        joint = 0.5 * np.logaddexp(2 * out.recurrent_log_norm, 2 * readout)
        scale = joint + joint_full[:, None]
        cross = out.recurrent_log_norm + out.recurrent_full[:, None] - scale
        cosine = np.where(np.isneginf(cross), 0.0, out.recurrent_cosine * np.exp(cross))
        joint_cosine = np.clip(cosine + np.exp(2 * readout - scale), -1.0, 1.0)
        joint_cosine[np.isneginf(scale)] = np.nan
        share = (out.recurrent_full - joint_full)[:, None]
        raw_error = np.where(np.isneginf(share), -np.inf, out.recurrent_log_error + share)
        joint_floor = _floor(out.recurrent_terms, out.recurrent_full, joint_full, dtype)
        joint_error = _masked(raw_error, joint_floor, joint_full, exact_from)
    return GradientFlow(
        steps=steps,
        log_norms=out.log_norms,
        live=out.live,
        log_rms=out.log_rms,
        log_std=out.log_std,
        per_sequence=out.per_sequence if out.per_sequence.size else None,
        window_log_norms=out.hidden_log_norm - batch_log,
        window_cosine=out.hidden_cosine,
        window_log_error=error,
        window_log_floor=floor,
        full_log_norm=out.hidden_full - batch_log,
        joint_log_norms=joint - batch_log,
        joint_cosine=joint_cosine,
        joint_log_error=joint_error,
        joint_log_floor=joint_floor,
        joint_full_log_norm=joint_full - batch_log,
        mean_slope=out.mean_slope,
        saturated_fraction=out.saturated,
        first_nonfinite=out.first_nonfinite,
        epsilon=float(np.finfo(dtype).eps),
    )


def _floor(terms: Floats, own_full: Floats, full: Floats, dtype: np.dtype[np.floating]) -> Floats:
    """ln of the rounding of the windows' sums relative to the full gradient; NaN if that is 0."""
    size = np.logaddexp(terms + np.log(_RANDOM_ROUNDING), own_full + np.log(_COMMON_ROUNDING))
    floor = np.log(np.finfo(dtype).eps) + size - full
    return np.where(np.isneginf(full), np.nan, floor)


def _masked(log_error: Floats, floor: Floats, full: Floats, exact_from: int) -> Floats:
    error = np.where(log_error < floor[:, None], np.nan, log_error)
    known = np.isfinite(full)  # a full gradient of exactly 0, or beyond even scaled range, has none
    error[known, exact_from:] = -np.inf
    return error


def check_flow(flow: GradientFlow) -> None:
    """Refuse what is no gradient flow.

    Raises
    ------
    TypeError
        Something else.
    """
    if not isinstance(flow, GradientFlow):
        raise TypeError(
            f"`flow` must be what gradient_flow returns, a GradientFlow, got {type(flow).__name__}"
        )
