"""Bias and variance of truncated gradients: which window learns best from batches of a size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.labels.results import described
from rnnsim.data.sequences import Sequences
from rnnsim.flow.chosen import ascending_windows
from rnnsim.flow.team import sequences_of
from rnnsim.flow.windows.collected import Groups, Moments
from rnnsim.flow.windows.parts import Bound, move
from rnnsim.flow.windows.results import WindowBiasVariance
from rnnsim.networks.binding import bound_alone, check_kinds, weights_for
from rnnsim.networks.stack import Network, check_network
from rnnsim.progress import bar

OF = ("recurrent", "W_hh", "W_xh")
_OTHERWISE = ", or a callable that draws one from a Generator"


def window_bias_variance(
    rnn: Network,
    draw: Sequences | Callable[[np.random.Generator], Sequences],
    n_batches: int,
    *,
    windows: npt.ArrayLike | None = None,
    of: str = "recurrent",
    max_lag: int | None = None,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
    rng: int | np.random.Generator = 0,
    n_threads: int | None = None,
    progress: bool = False,
) -> WindowBiasVariance:
    """Bias and variance of the truncated gradient for every window, over batches.

    ::

        g_K        gradient of the mean loss of a batch, truncated at window K, stride 1; g = g_T
        G_k        what lag k adds: g_K = sum of G_k over k < K
        bias^2     = ||E g_K - E g||^2,   variance = E||g_K - E g_K||^2,   E: over batches
        E||g_K - E g||^2 = bias^2 + variance

    A short window cuts off part of the gradient, the same part in every batch; a long one adds
    parts that differ from batch to batch and may be noise. Learning takes both as one error: with
    batches of B independent sequences, where B' were drawn at once, it is

    ::

        error(K, B) = bias^2 + variance B'/B              mean_square_error(B), best_window(B)
        horizon(B)  = max { k : ||E G_k||^2 > tr Cov(G_k) B'/B }

    where behind the horizon each lag by itself brings more noise than gradient.

    All is exact for the batches at hand (`bias2`, `variance`: E is their mean). What they say of
    the distribution that they were drawn from are estimates, free of bias in the unit ||mean g||^2
    (`*_estimate`; ``bias2_estimate = bias2 - scatter of (g_K - g) / (n_batches - 1)``, where noise
    may leave less than 0), with errors from the jackknife over batches, which take the unit as it
    is. Gradients may lie beyond the range of floating-point numbers: all is relative to
    ||mean g||, and parts of lags carry powers of two of their own. Deviations are taken before
    they are squared, so that nothing cancels but the rounding of gradients themselves. Batches go
    back in step: this takes the time and the memory of a `gradient_flow` of them all, and some
    arrays of the size of W_hh and W_xh for each batch, however many windows are asked for.

    Parameters
    ----------
    rnn : RNN or Stack
        N networks of any cell.
    draw : callable or Sequences
        ``draw(rng) -> Sequences`` draws batches independently of each other, all of one length and
        number of sequences (pad shorter ones at the end with steps of weight 0: what follows the
        last loss has no gradient), as ``task`` of `train` does. Or a sample, whose sequences are
        cut into n_batches in their order.
    n_batches : int
        M. One has no variance (NaN) and no estimates, two have estimates without errors.
    windows : series of int, optional
        K, ascending, from 1 to T; all of them unless given, or those that `max_lag` leaves.
    of : {"recurrent", "W_hh", "W_xh"}
        What g is the gradient of: [W_hh, W_xh, b_h] as one vector, or one of the two, of all layers
        together. Never of the readout, whose gradient is the same in every window.
    max_lag : int, optional
        The largest lag, as in `gradient_flow`: windows end at max_lag + 1, and of longer lags
        nothing is measured but what all of them together leave of g. All T unless given.
    h0, c0 : (B, H) or (N, B, H) arrays, of stacks (L, B, H) or (N, L, B, H), optional
        First states of every batch that is drawn, or of the sample, as in `forward`.
    rng : int or numpy.random.Generator
        What `draw` draws from.
    n_threads : int, optional
        All cores unless given; it does not change the result.
    progress : bool
        Show a progress bar, on a terminal.

    Raises
    ------
    TypeError, ValueError
        A `draw` that is neither, or gives something else or batches of different shapes, without
        loss or that do not fit the networks; sequences that cannot be cut into n_batches alike;
        windows that do not ascend or exceed T; another `of`.

    Examples
    --------
    The longer the window, the less bias and the more variance: for small batches a short one is
    best.

    >>> import rnnsim
    >>> rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=16, n_outputs=1, gain=1.0, rng=0)
    >>> draw = lambda rng: rnnsim.tasks.adding(40, 8, rng=rng)
    >>> found = window_bias_variance(rnn, draw, 20, windows=[1, 10, 40])
    >>> found.bias2[0].round(2), found.variance[0].round(2)
    (array([0.71, 0.01, 0.  ]), array([0.07, 0.18, 0.2 ]))
    >>> found.best_window(1), found.best_window(8), found.best_window(1000)
    (array([1.]), array([10.]), array([40.]))
    """
    check_network(rnn)
    M = checks.size("n_batches", n_batches)
    of, show = checks.one_of("of", of, OF), checks.boolean("progress", progress)
    bound = _batches(rnn, draw, M, checks.generator(rng), (h0, c0))
    K = _lags(max_lag, bound)
    moments = _moments(rnn, M, K, _checked(windows, K, _shape(bound)[0]))
    with bar(len(rnn) * K, show=show, unit="lag", description="windows") as shown:
        first = move(rnn, bound, of, n_threads, moments, shown, K)
    return described(moments.result(_shape(bound)[1], first), rnn, draw, of=of)


def in_groups(
    rnn: Network,
    sequences: Sequences,
    groups: list[tuple[int, int]],
    *,
    windows: npt.ArrayLike,
    max_lag: int | None,
    h0: npt.ArrayLike | None,
    c0: npt.ArrayLike | None,
    n_threads: int | None,
) -> list[WindowBiasVariance]:
    """`window_bias_variance` of several groups of the batches, from one way back through them all.

    The batches are as many as the largest end in `groups`, each of which is a range of them.
    """
    M = max(end for _, end in groups)
    bound = _batches(rnn, sequences, M, checks.generator(0), (h0, c0))
    K = _lags(max_lag, bound)
    listed = _checked(windows, K, _shape(bound)[0])
    each = [_moments(rnn, b - a, K, listed) for a, b in groups]
    together = Groups([slice(*group) for group in groups], each)
    first = move(rnn, bound, "recurrent", n_threads, together, lambda _: None, K)
    found = [moments.result(_shape(bound)[1], first) for moments in each]
    return [described(one, rnn, sequences, of="recurrent") for one in found]


def _lags(max_lag: int | None, bound: list[Bound]) -> int:
    T = _shape(bound)[0]
    return (
        T if max_lag is None else min(checks.whole_number("max_lag", max_lag, least=1), T - 1) + 1
    )


def _shape(bound: list[Bound]) -> tuple[int, int]:
    """(T, B') of every batch."""
    T, B = bound[0].batch.inputs.shape[1:3]
    return T, B


def _moments(rnn: Network, M: int, K: int, windows: npt.NDArray[np.int64]) -> Moments:
    return Moments(len(rnn), K, M, windows, float(np.finfo(rnn.dtype).eps))


def _batches(
    rnn: Network, draw: Any, M: int, rng: np.random.Generator, start: tuple[Any, Any]
) -> list[Bound]:
    """M batches of one shape, drawn or cut, as kernels read them."""
    if not callable(draw):
        check_kinds(rnn, draw, "draw", otherwise=_OTHERWISE)
        B = draw.n_sequences
        if B % M:
            raise ValueError(
                f"`n_batches` must divide the {B} sequences of `draw` into batches of one size, "
                f"got {M}; give a divisor of {B}, or a callable that draws batches"
            )
        whole = _bound(rnn, draw, start)
        return [_part(whole, (a, a + B // M)) for a in range(0, B, B // M)]
    if not checks.can_be_called(draw, 1):
        raise TypeError(
            "`draw` must be a rnnsim.Sequences, or a callable that draws one from a Generator, as "
            f"in lambda rng: rnnsim.tasks.adding(10, 20, rng=rng), got {checks.shown(draw)}"
        )
    drawn = [draw(rng) for _ in range(M)]
    bound = [_bound(rnn, data, start) for data in drawn]
    shape = drawn[0].inputs.shape
    if other := next((data for data in drawn if data.inputs.shape != shape), None):
        raise ValueError(
            f"`draw` must give batches of one shape, got inputs {other.inputs.shape} after "
            f"{shape}; pad shorter sequences at the end with steps of weight 0, which change no "
            "gradient"
        )
    return bound


def _bound(rnn: Network, data: Any, start: tuple[Any, Any]) -> Bound:
    check_kinds(rnn, data, "draw", otherwise=_OTHERWISE)
    with checks.renamed(inputs="`inputs` of `draw`", targets="`targets` of `draw`"):
        rnn, batch, final = bound_alone(rnn, data, *start)
    if data.loss_steps.size == 0:
        raise ValueError(
            "`draw` must give batches with loss at one step at least, got one whose `weights`, or "
            "derivatives of a loss of one's own, are all 0"
        )
    return Bound(weights_for(rnn, batch), batch, data.loss_steps, final)


def _part(whole: Bound, share: tuple[int, int]) -> Bound:
    """Some sequences of a batch."""
    a, b = share
    final = np.ascontiguousarray(whole.final[..., a:b, :])
    return whole._replace(batch=sequences_of(whole.batch, share), final=final)


def _checked(windows: Any, K: int, T: int) -> npt.NDArray[np.int64]:
    if windows is None:
        return np.arange(1, K + 1)
    return ascending_windows(windows, K, T)
