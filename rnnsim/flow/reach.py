"""How far back the gradient comes from: windows that suffice, and shares of lags."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.labels import flow as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.flow.results import GradientFlow, check_flow

Floats = npt.NDArray[np.float64]


class Between(NamedTuple):
    """Measured windows between which the one that suffices lies, each (N,) or (N, G).

    Attributes
    ----------
    above
        The largest that does not suffice, 0 where there is none: the answer is above it.
    upto
        The smallest from which on all that were measured suffice: `sufficient_window`.
    """

    above: Floats
    upto: Floats


def window_between(flow: GradientFlow, tolerance: float = 0.1, *, of: str | None = None) -> Between:
    """Between which measured windows the smallest one lies that suffices, where not all were.

    ::

        above < the smallest K with ||g_K' - g|| <= tolerance * ||g|| for all K' >= K

    That it is at most `upto` holds by the windows that were measured: of those in between nothing
    is known. Where all were, ``upto - above`` is 1.

    Parameters
    ----------
    flow, tolerance, of
        As in `sufficient_window`.

    Returns
    -------
    NamedTuple
        NaN, both, where the full gradient is exactly 0 or not finite; `upto` as well where no
        measured window is known to suffice.

    Raises
    ------
    TypeError, ValueError
        As in `sufficient_window`.

    Examples
    --------
    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=8, n_outputs=2, gain=0.5, rng=0)
    >>> batch = rnnsim.Sequences(np.ones((30, 1, 1)), np.zeros((30, 1), int))
    >>> window_between(rnnsim.gradient_flow(rnn, batch, windows=[1, 3, 10, 30]))
    Between(above=array([1.]), upto=array([3.]))
    """
    upto = sufficient_window(flow, tolerance, of=of)
    windows = flow.windows.astype(float)
    at = np.where(np.isnan(upto), windows.size, np.searchsorted(windows, upto))
    return Between(np.concatenate([[0.0], windows])[at.astype(int)], upto)


def sufficient_window(
    flow: GradientFlow, tolerance: float = 0.1, *, of: str | None = None
) -> Floats:
    """The smallest window K with ``||g_K' - g|| <= tolerance * ||g||`` for all K' >= K.

    Of chosen windows it is the smallest of these from which on all of them are as good; between
    which two the answer lies is what `window_between` says.

    Parameters
    ----------
    flow : GradientFlow
        With windows, all or chosen.
    tolerance : float
        Relative error of the gradient g, above 0 and below 1.
    of : {"W_hh", "recurrent", "gates", "recurrent_gates"}, optional
        What g is: dL/dW_hh; dL/d[W_hh, W_xh, b_h], which of gated cells and of stacks it is unless
        given; or the part of either that belongs to a gate, for every gate. Never the readout,
        whose gradient is the same in every window. Of a stack the largest over its layers: the
        window that suffices for each of them.

    Returns
    -------
    (N,) float64, or (N, G) for gates
        NaN where no window of the flow is known to suffice: max_lag was too short, the full
        gradient is exactly 0 or not finite, or the tolerance is below the rounding of the flow.

    Raises
    ------
    TypeError, ValueError
        Something else than a GradientFlow, or one without windows; a tolerance outside (0, 1),
        another `of`.

    Examples
    --------
    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=8, n_outputs=2, gain=0.5, rng=0)
    >>> batch = rnnsim.Sequences(np.ones((30, 1, 1)), np.zeros((30, 1), int))
    >>> sufficient_window(rnnsim.gradient_flow(rnn, batch)).shape
    (1,)
    """
    check_flow(flow)
    limit = np.log(checks.real_number("tolerance", tolerance, above=0.0, below=1.0))
    if not flow.windows.size:
        raise ValueError(
            "`flow` must have windows, got one of lags alone; give gradient_flow "
            'windows="all", or those among which to look'
        )
    if flow.of_layers:
        each = "recurrent" if of is None else of
        found = [sufficient_window(layer, tolerance, of=each) for layer in flow.of_layers]
        return np.asarray(np.max(found, axis=0))
    choices = {
        "W_hh": (flow.window_log_error, flow.window_log_floor),
        "recurrent": (flow.recurrent.log_error, flow.recurrent.log_floor),
        "gates": (flow.gates.log_error, flow.gates.log_floor),
        "recurrent_gates": (flow.recurrent_gates.log_error, flow.recurrent_gates.log_floor),
    }
    if of is None:
        of = "recurrent" if flow.gates.log_error.shape[2] > 1 else "W_hh"
    log_error, log_floor = choices[checks.one_of("of", of, choices)]
    # An error below the floor is unknown, but smaller than the floor.
    floor = np.broadcast_to(log_floor[:, None], log_error.shape)
    error = np.where(np.isnan(log_error), floor, log_error)
    return _from_then_on(error <= limit, flow.windows)


@dataclass(frozen=True, eq=False, repr=False)
class Reach(Result):
    """What `reach` returns, for each of N networks and K lags.

    Attributes
    ----------
    share : float
        q.
    W_hh, W_xh : (N,)
        The smallest window K from which on it holds a share of q of the gradient, within 1 - q:
        ``|1 - C_K'| <= 1 - q for all K' >= K``. NaN where no window of the flow is known to, as
        where max_lag was too short.
    cumulative_W_hh, cumulative_W_xh : (N, K)
        C_K, the sum of the shares of the first K lags.
    cancellation_W_hh, cancellation_W_xh : (N,) or None
        sum_k ||G_k|| / ||g||: 1 where all lags point the same way; far above, large parts of
        opposite sign make up a small gradient, and shares tell little. None of a flow with chosen
        windows, which has no ||G_k||.
    """

    _labels = labels.REACH

    share: float
    W_hh: Floats
    W_xh: Floats
    cumulative_W_hh: Floats
    cumulative_W_xh: Floats
    cancellation_W_hh: Floats | None
    cancellation_W_xh: Floats | None


def reach(flow: GradientFlow, share: float = 0.9) -> Reach:
    """The window that keeps a share of the gradient of these weights on these data.

    ::

        g = sum_k G_k                 G_k: what comes from lag k
        share_k = <G_k, g> / ||g||^2, which add up to 1 over lags, gates, losses and sequences
        C_K     = sum of share_k over k < K = cosine(g_K, g) ||g_K|| / ||g||
        reach   = the smallest K with |1 - C_K'| <= 1 - share for all K' >= K

    share_k is the part of the first-order decrease of the loss along g that is owed to lag k; it
    may be negative, and C_K may exceed 1 on its way. Shares of dL/dW_hh are no lengths of
    dependencies: a network uses W_hh at every step in between. Those of dL/dW_xh say which inputs
    count. Of the task they say nothing: a network that was trained with a window has adapted to it.

    Parameters
    ----------
    flow : GradientFlow
        With all lags; with fewer (max_lag), "all K'" are those of the flow, and what longer lags
        may take back is not seen. Shares are by lag: which windows it has does not matter.
    share : float
        q, above 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        Something else than a GradientFlow, a share outside (0, 1).

    Examples
    --------
    Zero weights but for the readout: all of the gradient comes from the step of the loss.

    >>> import rnnsim
    >>> rnn = rnnsim.RNN(np.zeros((2, 1)), np.zeros((2, 2)), np.ones((1, 2)), np.ones(2))
    >>> flow = rnnsim.gradient_flow(rnn, rnnsim.Sequences(np.ones((9, 1, 1)), np.ones((9, 1, 1))))
    >>> reach(flow).W_hh, reach(flow).cancellation_W_hh
    (array([1.]), array([1.]))
    """
    check_flow(flow)
    q = checks.real_number("share", share, above=0.0, below=1.0)
    windows, sums, cancellations = [], [], []
    for shares, sizes in ((flow.share, flow.lag_norms), (flow.share_W_xh, flow.lag_norms_W_xh)):
        total = np.cumsum(shares, axis=1)
        lags = np.arange(1, flow.n_lags + 1)
        windows.append(_from_then_on(np.abs(1.0 - total) <= 1.0 - q, lags))
        sums.append(total)
        cancellations.append(None if sizes is None else sizes.sum(axis=1))
    return described(Reach(q, *windows, *sums, *cancellations), flow)


def _from_then_on(holds: npt.NDArray[np.bool_], windows: npt.NDArray[np.int64]) -> Floats:
    """The smallest window from which on something holds (N, M, ...); NaN where it never does."""
    always = np.logical_and.accumulate(holds[:, ::-1], axis=1)[:, ::-1]
    return np.where(always.any(axis=1), windows[always.argmax(axis=1)], np.nan)
