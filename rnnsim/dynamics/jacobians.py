"""Jacobians of the recurrence along a trajectory, and their products over many steps."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.labels import dynamics as labels
from rnnsim.data.labels.results import Result, described
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics.products import factors_at, gradients_of_stack, normalised, singular_values
from rnnsim.dynamics.trajectories import Trajectory, loss_gradients, trajectory_of
from rnnsim.kernels.dynamics.trajectories import (
    get_rows,
    row_work,
    set_rows,
    step_jacobians,
    take_back,
)
from rnnsim.networks.binding import bound_alone
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network, Stack
from rnnsim.networks.states import alone, cell_of, state_size

Floats = npt.NDArray[np.float64]

# Two computations that agree to this in ln sigma are taken for right; where rounding rules they
# agree by accident with about this probability.
_AGREEMENT = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class JacobianProducts(Result):
    """What `jacobian_products` returns. Sizes: N networks, B sequences, K lags.

    H is the number of hidden units, of an LSTM twice that: h is then the state (h, c). Of a stack
    it is that of all layers, L times as many.

    Attributes
    ----------
    lags : (K,) int64
        The lags k, ascending.
    step : int
        t: ``P_{t,k} = dh_t/dh_{t-k}``.
    log_singular_values : (N, B, K, H)
        ln of the singular values of P_{t,k}, descending; -inf where one is exactly 0.
    rounding : (N, B, K, H)
        By how much a second computation, with a few epsilons of noise in every step, disagrees in
        `log_singular_values`, in nats: a sample of the size of its numerical error, as long as that
        is small. inf where only one of the two found an exact 0; 0 where no unit of W_hh sends to
        several units or receives from several, since nothing is added up then.
    leading_direction : (N, B, K, H)
        The unit right singular vector of the largest singular value, a direction in the space of
        h_{t-k}: where the gradient points after k steps back, once one value stands out. Its
        largest entry is positive. NaN where P_{t,k} is exactly 0. Where the two largest values
        coincide, as for an orthogonal W_hh and a linear phi, it is one direction of many.
    gradient_overlap : (N, B, K)
        |cosine| between `leading_direction` and dl_t/dh_{t-k}, from 0 to 1; l_t is the weighted
        loss of step t and one sequence, without the factor 1/B. NaN where this gradient is exactly
        0, as where step t carries no loss, or the direction is NaN.
    log_gradient_norms : (N, B, K)
        ln ||dl_t/dh_{t-k}||, as in `gradient_flow` with ``per_sequence=True``; -inf for exact 0.
    first_nonfinite : (N,) int64
        The first step up to t whose state is not finite, -1 if none. The sequences that it
        concerns are NaN throughout.
    """

    _labels = labels.PRODUCTS

    lags: npt.NDArray[np.int64]
    step: int
    log_singular_values: Floats
    rounding: Floats
    leading_direction: Floats
    gradient_overlap: Floats
    log_gradient_norms: Floats
    first_nonfinite: npt.NDArray[np.int64]

    @property
    def resolved(self) -> npt.NDArray[np.bool_]:
        """Which singular values double precision resolves (N, B, K, H): `rounding` below 1e-6."""
        return self.rounding < _AGREEMENT


def jacobians(
    rnn: Network,
    inputs: npt.ArrayLike,
    *,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
) -> Floats:
    """The Jacobian of every step of a trajectory.

    ::

        vanilla    J_t = dh_t/dh_{t-1} = diag(phi'(a_t)) W_hh
        GRU        J_t = diag(z) + diag((h-n) z(1-z)) W_z
                         + diag((1-z)(1-n^2)) [diag(r) W_n + diag(a_nh r(1-r)) W_r]
        LSTM       J_t = [[R + diag(S) A, diag(S f)], [A, diag(f)]]       of the state (h, c)
                   A = diag(g i(1-i)) W_i + diag(c f(1-f)) W_f + diag(i(1-g^2)) W_g
                   R = diag(tanh(c_t) o(1-o)) W_o,   S = o (1 - tanh^2 c_t)

    with h, c the state before the step and W_* the blocks of W_hh. The trajectory is that of
    `forward`, in the networks' dtype; J_t is computed from it in float64.
    Slopes come from the pre-activations, so that saturation costs no digits up to |a| = 354 (units
    further out count as if they were there; gates from |a| = 708 on).

    Parameters
    ----------
    rnn, inputs, h0, c0
        As in `forward`.

    Returns
    -------
    (N, T, B, S, S) float64
        Entry ``[n, t-1, b, i, j]`` is ds_t[i]/ds_{t-1}[j] of the state s: h, S = H; of an LSTM h
        and then c, S = 2 H. Of a stack it is the states of its layers, the lowest first, as many
        times S, and J_t is block triangular: what is above the diagonal is 0. 8 N T B S^2 bytes, so
        take networks or sequences one by one where that is much. NaN from the step on whose state
        is not finite.

    Raises
    ------
    TypeError, ValueError
        As in `forward`.

    Examples
    --------
    >>> rnn = RNN.sample(n_inputs=1, n_hidden=3, n_outputs=1, gain=0.5, rng=0)
    >>> J = jacobians(rnn, np.zeros((4, 1, 1)))     # at rest phi' = 1
    >>> J.shape, bool((J == rnn.W_hh[:, None, None]).all())
    ((1, 4, 1, 3, 3), True)
    """
    rnn, h0, c0 = alone(rnn, h0, c0)
    trajectory = trajectory_of(rnn, inputs, h0, c0, first=1)
    kept, weights = trajectory.kept, trajectory.weights
    cell, S = cell_of(rnn), state_size(rnn)
    N, T, B = len(rnn), kept.shape[-3] - 1, kept.shape[-2]
    found = np.empty((N, T, B, S, S))
    if isinstance(rnn, Stack):
        fill = factors_at(rnn, trajectory, np.arange(N * B))
        for t in range(T):
            found[:, t] = fill(t + 1).reshape(N, B, S, S)
        found[np.isnan(found).any(axis=(3, 4))] = np.nan
        return found
    for n in range(N):
        step_jacobians(weights, kept, cell, n, np.empty((S + 1, S)), found)
        found[n][np.isnan(found[n]).any(axis=(2, 3))] = np.nan  # an LSTM's has zeros beside that
    return found


def jacobian_products(
    rnn: Network,
    sequences: Sequences,
    *,
    lags: Iterable[int],
    step: int | None = None,
    h0: npt.ArrayLike | None = None,
    c0: npt.ArrayLike | None = None,
) -> JacobianProducts:
    """Singular values and leading direction of dh_t/dh_{t-k} at many lags, to any depth.

    ::

        J_s     = dh_s/dh_{s-1} = diag(phi'(a_s)) W_hh
        P_{t,k} = dh_t/dh_{t-k} = J_t J_{t-1} ... J_{t-k+1}
        dl_t/dh_{t-k} = P_{t,k}^T dl_t/dh_t

    The singular values say by how much a disturbance k steps back, or a gradient on its way there,
    is stretched at most, at least and in between (Pascanu, Mikolov and Bengio 2013, section 2);
    (ln sigma_i)/k tends to the i-th Lyapunov exponent (Oseledets 1968). `gradient_overlap` near 1
    says that the gradient has turned into the one direction that survives, whatever the loss was.

    The transpose ``P_{t,k}^T = J_{t-k+1}^T ... J_t^T`` grows on the left with k, so one pass back
    from t gives all lags: each step is two QR decompositions, kept as ``P^T = Q D U`` with the logs
    of the diagonal D (`rnnsim.dynamics.graded`). Products of 10^-5000 or 10^+5000 are numbers, and
    the small singular values keep their digits beside the large ones.

    What double precision resolves: rounding disturbs every factor W_hh by about 1e-16 of its norm,
    which moves ln sigma by as much times the condition of W_hh (its rows brought to one size) per
    step. Slopes do not matter for that: units with phi' = 1e-30 cost no digits. Over 100 steps
    of Gaussian W_hh at H = 64, 1e-12 to 1e-10 is usual. Two things cannot be done: to tell the
    least values of a nearly singular W_hh from rounding, and to follow a direction that was
    squeezed by 1e-16 relative to another and is then stretched again by as much. So everything is
    computed twice, the second time with noise of a few epsilons in every step: `rounding` is the
    difference, and `resolved` says where it is below 1e-6. Elsewhere `log_singular_values` holds
    what rounding left, not a singular value. Units of relu at rest are exact zeros and give -inf.

    All this is about the product of the given factors; that phi' inherits the rounding of the
    trajectory, 1e-7 in float32 networks, is another matter. Directions that depend on the
    difference of two nearly equal singular values are not marked.

    Of LSTMs the products are of the state (h, c), 2 H numbers, and of theirs and GRUs' J_t, sums of
    several products, every step multiplies the whole: an exact 0 is then found only as a value that
    rounding rules, which `resolved` says.

    Parameters
    ----------
    rnn, sequences, h0, c0
        As in `bptt`.
    lags : iterable of int
        The lags k, ascending, each from 1 to t; lag t reaches h_0.
    step : int, optional
        t, from 1 to T. Unless given, the last step that carries loss in every sequence of every
        network, or T if there is none.

    Returns
    -------
    JacobianProducts
        Everything in float64, whatever the dtype of the networks. For one sequence of one network
        at H = 64 the pass took 2.3 ms for each step up to the largest lag, the singular values 2.7
        ms for each lag, on one core: half a second for 100 lags. Both grow as H^3.

    Raises
    ------
    TypeError, ValueError
        As in `bptt`; lags that are not ascending integers from 1 to t, or none; a step that is not
        an integer from 1 to T.

    Examples
    --------
    A linear network multiplies one and the same matrix, here 0.1 times an orthogonal one:

    >>> rnn = RNN.sample(n_inputs=1, n_hidden=8, n_outputs=2, scheme="orthogonal", gain=0.1,
    ...                  activation="linear", rng=0)
    >>> batch = Sequences(np.zeros((500, 1, 1)), np.ones((500, 1, 2)))
    >>> result = jacobian_products(rnn, batch, lags=[1, 400])     # 10^-400 is below 1e-308
    >>> bool(np.allclose(result.log_singular_values[0, 0, 1], 400 * np.log(0.1)))
    True
    >>> bool(result.resolved.all())
    True
    """
    _, batch, final = bound_alone(rnn, sequences, h0, c0)
    rnn, h0, c0 = alone(rnn, h0, c0)
    t = _checked_step(step, sequences)
    chosen = _checked_lags(lags, t)
    depth = int(chosen[-1])
    trajectory = trajectory_of(rnn, sequences.inputs[..., :t, :, :], h0, c0, first=t - depth + 1)
    first, lost = _nonfinite(trajectory.states)
    # What has left the range is computed with a harmless factor and marked at the end.
    there = lost[:, None, :, None] if isinstance(rnn, RNN) else lost[:, None, None, :, None]
    kept = np.where(there, 1.0, trajectory.kept)
    trajectory = trajectory._replace(kept=kept)
    values, rounding, leading = singular_values(rnn, trajectory, chosen)
    start = loss_gradients(trajectory, batch, t, final)
    if isinstance(rnn, Stack):
        log_norms, directions = gradients_of_stack(rnn, trajectory, start, chosen)
    else:
        log_norms, directions = _gradients(cell_of(rnn), trajectory, start, chosen)
    with np.errstate(invalid="ignore"):
        overlap = np.minimum(np.abs((leading * directions).sum(axis=-1)), 1.0)
    for field in (values, rounding, leading, overlap, log_norms):
        field[lost] = np.nan
    found = JacobianProducts(chosen, t, values, rounding, leading, overlap, log_norms, first)
    return described(found, rnn, sequences)


def _checked_step(step: Any, sequences: Sequences) -> int:
    T = sequences.n_steps
    if step is None:
        carries = sequences.weights > 0
        others = tuple(axis for axis in range(carries.ndim) if axis != carries.ndim - 2)
        everywhere = np.flatnonzero(carries.all(axis=others))
        return int(everywhere[-1]) + 1 if everywhere.size else T
    t = checks.whole_number("step", step, least=1)
    if t > T:
        raise ValueError(f"`step` must be at most n_steps = {T}, got {t}; steps count from 1")
    return t


def _checked_lags(lags: Any, t: int) -> npt.NDArray[np.int64]:
    listed = checks.whole_numbers("lags", lags, least=1, none="one lag at least, got none")
    if pair := checks.descent(listed):
        raise ValueError(f"`lags` must ascend, got {pair[1]} after {pair[0]}; sort them")
    if listed[-1] > t:
        raise ValueError(
            f"`lags` must be at most the step t = {t} that they reach back from, got {listed[-1]}; "
            "drop the longer ones or give a later `step`"
        )
    return listed


def _nonfinite(states: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The first step whose state is not finite (N,), -1 if none; the sequences concerned (N, B)."""
    bad = ~np.all(np.isfinite(states), axis=-1)
    steps = np.any(bad, axis=2)
    first = np.where(np.any(steps, axis=1), np.argmax(steps, axis=1), -1)
    return first.astype(np.int64), np.any(bad, axis=1)


def _gradients(
    cell: Any, trajectory: Trajectory, gradient: Floats, lags: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """ln ||dl_t/dh_{t-k}|| (N, B, K) and its direction (N, B, K, S), NaN where it is exactly 0."""
    N, B, S = gradient.shape
    depth, weights = int(lags[-1]), trajectory.weights
    states = np.ascontiguousarray(trajectory.states[:, -1 - depth :])
    norms, directions = np.empty((1, B, depth + 1)), np.empty((N, B, lags.size, S))
    log_norms, at = np.empty((N, B, lags.size)), np.array([depth])
    work, rows = row_work(weights, 1, B, cell), np.empty((1, B, S))
    with np.errstate(all="ignore"):
        for n in range(N):
            set_rows(weights, n, gradient[n][None], np.zeros((1, B), np.int64), work)
            for k, (before, lag) in enumerate(pairwise([0, *map(int, lags)])):
                along = (cell, states[n], trajectory.kept[n], at, depth - before, depth - lag)
                take_back(*along, work, norms, np.empty((1, B, 0)))
                get_rows(work, rows)
                directions[n, :, k] = normalised(rows[0])
            log_norms[n] = norms[0][:, depth - lags]
    directions[np.isneginf(log_norms)] = np.nan
    return log_norms, directions
