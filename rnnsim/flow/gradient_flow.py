"""Gradient flow: how much of every loss reaches every earlier step, and what truncation loses."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rnnsim import checks, kernels, parallel
from rnnsim.data.labels.results import described
from rnnsim.data.sequences import Sequences
from rnnsim.flow import team
from rnnsim.flow.chosen import Choice, Given, chunks, windows_or_none
from rnnsim.flow.results import GradientFlow, flow_of
from rnnsim.flow.stacked import flow_of_stack
from rnnsim.gradients.simulation import run_layers
from rnnsim.kernels.flow.arrays import FlowArrays
from rnnsim.kernels.flow.chosen import start_sums
from rnnsim.kernels.flow.flow import begin_flow, close_lags, start_windows
from rnnsim.kernels.flow.lags import advance_rows
from rnnsim.networks.binding import bound_alone, weights_for
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, Stack
from rnnsim.networks.states import cell_of

Floats = npt.NDArray[np.float64]

_KEPT = 2**26  # norms of single sequences that are kept without being asked for, half a GB


def gradient_flow(
    rnn: Network,
    sequences: Sequences,
    *,
    max_lag: int | None = None,
    windows: Choice = "all",
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    per_sequence: bool | None = None,
    state_scale: str | None = None,
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
    K and stride 1 follows from the definition. LSTMs and GRUs go the same way, with dl/da of all
    their gates in place of e_k, and the state (h, c) of an LSTM as a whole. In a stack rows go down
    through the layers at every lag; `GradientFlow.layers` has what is of each layer.

    Parameters
    ----------
    rnn, sequences, h0, c0, n_threads
        As in `bptt`. Of `Sequences.from_gradients` l is B times the loss that was differentiated,
        and a loss of c_T enters at step T, lag 0.
    max_lag : int, optional
        The largest lag; K = min(max_lag, T - 1) + 1 lags and windows. All T unless given.
    windows : "all" or ints
        Which truncated gradients g_K are measured: of all windows 1..K, of M ascending ones, or,
        with (), of none. A chosen window costs one outer product over all steps, where all of them
        take one of every lag: twenty cost little more than none, and none half of all. Norms at
        lags are the same numbers, whatever is chosen.
    per_sequence : bool, optional
        Whether to keep the norms of every sequence, (N, S, K, B), from which `growth_rate` has its
        errors; unless given, where these are at most 2^26 numbers, 0.5 GB.
    state_scale : {None, "std"}
        "std" multiplies every component of a gradient by the standard deviation of that component
        of the state over steps and sequences: the change of the loss for a typical fluctuation,
        where h and c, or units, differ in size. Rates do not depend on it, norms at single lags do.

    Raises
    ------
    TypeError, ValueError
        As in `bptt`; max_lag below 1 or not an integer; windows that do not ascend, or lie
        outside 1..K; sequences without any loss; another state_scale.

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
    rnn, batch, final = bound_alone(rnn, sequences, h0, c0)
    T, B = sequences.n_steps, sequences.n_sequences
    K = T if max_lag is None else min(checks.whole_number("max_lag", max_lag, least=1), T - 1) + 1
    steps = sequences.loss_steps
    if steps.size == 0:
        raise ValueError(
            "`sequences` must carry loss at one step at least, but all `weights`, or all "
            "derivatives of a loss of one's own, are 0"
        )
    kept = (
        len(rnn) * steps.size * K * B <= _KEPT
        if per_sequence is None
        else checks.boolean("per_sequence", per_sequence)
    )
    scales = np.empty((0, 0))
    if state_scale is not None:
        checks.one_of("state_scale", state_scale, ("std",))
        scales = _deviations(rnn, batch)
    given = Given(scales, final, windows_or_none(windows, K, T))
    if isinstance(rnn, Stack):
        of_stack = flow_of_stack(rnn, batch, steps, n_threads, given, (K, kept))
        return described(of_stack, rnn, sequences, state_scale=state_scale)
    (weights,) = weights_for(rnn, batch)
    out = kernels.flow_arrays(weights, batch, steps.size, K, kept, given.n_windows)
    _run(rnn, weights, batch, steps, n_threads, given, out)
    flow = flow_of(out, steps, given.windows, B, rnn.dtype, given.state_scale)
    return described(flow, rnn, sequences, state_scale=state_scale)


def _run(
    rnn: RNN,
    weights: kernels.Weights,
    batch: kernels.Batch,
    steps: npt.NDArray[np.int64],
    n_threads: int | None,
    given: Given,
    out: FlowArrays,
) -> None:
    """Fill the arrays, by a team or network by network."""
    cell, (T, B) = cell_of(rnn), batch.inputs.shape[1:3]
    A, H, P = rnn.b_h.shape[1], rnn.n_hidden, rnn.n_hidden + rnn.n_inputs + 1
    K, lags = out.log_norms.shape[2], kernels.lags_at_once(T, B, steps.size)
    flops = K * 2.0 * steps.size * B * A * H + given.flops(K, steps.size, T) * B * A * P
    members = parallel.team_size(len(rnn), n_threads, B, flops)
    if members > 1:
        team.gradient_flow(weights, batch, cell, steps, members, given, out)
        return

    def prepare() -> parallel.Worker:
        work = given.put_into(kernels.flow_work(weights, batch, steps.size, lags, cell))

        def worker(start: int, stop: int) -> Iterator[None]:
            for n in range(start, stop):
                begin_flow(weights, batch, cell, steps, n, work, out)
                start_windows(n, work, out)
                start_sums(work, work)
                for first, last in chunks(K, lags, given.windows):
                    yield
                    advance_rows(cell, steps, first, last, n, work, out)
                    logs = work.logs, work.part_logs
                    close_lags(steps, first, last, n, *logs, work, out)

        return worker

    parallel.over_networks(len(rnn), n_threads, prepare, flops=flops)


def _deviations(rnn: Network, batch: kernels.Batch) -> Floats:
    """The standard deviation of each component of the state (N, S) over steps 1..T and sequences.

    Network by network: their states together may be much.
    """
    found = []
    for n in range(len(rnn)):
        one = slice(n, n + 1)
        x, start = (a if len(a) == 1 else a[one] for a in (batch.inputs, batch.h0))
        with np.errstate(all="ignore"):
            layers = [
                states[0, 1:].astype(np.float64).std(axis=(0, 1))
                for _, states, _ in run_layers(rnn[n], x, start, None)
            ]
        found.append(np.concatenate(layers))
    return np.array(found)
