"""Jacobians of the recurrence along a trajectory, and their products over many steps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.dynamics import graded
from rnnsim.dynamics.trajectories import Trajectory, loss_gradients, trajectory_of
from rnnsim.kernels.dynamics.trajectories import row_work, set_rows, step_jacobians, take_back
from rnnsim.networks.binding import batch_for, cell_of
from rnnsim.networks.rnn import RNN

Floats = npt.NDArray[np.float64]

# Two computations that agree to this in ln sigma are taken for right; where rounding rules they
# agree by accident with about this probability.
_AGREEMENT = 1e-6

# The noise of the second computation: more than rounding, so that one sample of it is rarely less.
_NOISE = 4.0 * float(np.finfo(np.float64).eps)

_TINY = float(np.finfo(np.float64).tiny)  # what is above 0 stays above 0

_CHUNK = 2**19  # numbers in one (G, H, H) array of a chunk: 4 MB


@dataclass(frozen=True, eq=False)
class JacobianProducts:
    """What `jacobian_products` returns. Sizes: N networks, B sequences, K lags, H hidden units.

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


def jacobians(rnn: RNN, inputs: npt.ArrayLike, *, h0: npt.ArrayLike | None = None) -> Floats:
    """The Jacobian of every step of a trajectory.

    ::

        J_t = dh_t/dh_{t-1} = diag(phi'(a_t)) W_hh      a_t = W_xh x_t + W_hh h_{t-1} + b_h

    The trajectory is that of `forward`, in the networks' dtype; J_t is computed from it in float64.
    phi' comes from the pre-activation a_t, so that saturation costs no digits up to |a| = 354
    (units further out count as if they were there).

    Parameters
    ----------
    rnn, inputs, h0
        As in `forward`.

    Returns
    -------
    (N, T, B, H, H) float64
        Entry ``[n, t-1, b, i, j]`` is dh_t[i]/dh_{t-1}[j]: 8 N T B H^2 bytes, so take
        networks or sequences one by one where that is much. NaN from the step on whose state
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
    _, kept, weights = trajectory_of(rnn, inputs, h0, first=1)
    cell, H = cell_of(rnn), rnn.n_hidden
    N, T, B = len(rnn), kept.shape[1] - 1, kept.shape[2]
    found = np.empty((N, T, B, H, H))
    for n in range(N):
        step_jacobians(weights, kept, cell, n, np.empty((H + 1, H)), found)
    return found


def jacobian_products(
    rnn: RNN,
    sequences: Sequences,
    *,
    lags: Iterable[int],
    step: int | None = None,
    h0: npt.ArrayLike | None = None,
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

    Parameters
    ----------
    rnn, sequences, h0
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
    batch = batch_for(rnn, sequences, h0)
    t = _checked_step(step, sequences)
    chosen = _checked_lags(lags, t)
    depth = int(chosen[-1])
    trajectory = trajectory_of(rnn, sequences.inputs[..., :t, :, :], h0, first=t - depth + 1)
    first, lost = _nonfinite(trajectory.states)
    # What has left the range is computed with a harmless factor and marked at the end.
    kept = np.where(lost[:, None, :, None], 1.0, trajectory.kept)
    trajectory = trajectory._replace(kept=kept)
    slopes = kept[:, 1:, :, : rnn.n_hidden]
    values, rounding, leading = _singular_values(trajectory.weights.W_hh, slopes, chosen)
    start = loss_gradients(trajectory, batch, t)
    log_norms, directions = _gradients(cell_of(rnn), trajectory, start, chosen)
    with np.errstate(invalid="ignore"):
        overlap = np.minimum(np.abs((leading * directions).sum(axis=-1)), 1.0)
    for field in (values, rounding, leading, overlap, log_norms):
        field[lost] = np.nan
    return JacobianProducts(chosen, t, values, rounding, leading, overlap, log_norms, first)


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
    """ln ||dl_t/dh_{t-k}|| (N, B, K) and its direction (N, B, K, H), NaN where it is exactly 0."""
    N, B, H = gradient.shape
    depth, weights = int(lags[-1]), trajectory.weights
    states = np.ascontiguousarray(trajectory.states[:, -1 - depth :])
    norms, directions = np.empty((1, B, depth + 1)), np.empty((N, B, lags.size, H))
    log_norms, at = np.empty((N, B, lags.size)), np.array([depth])
    work = row_work(weights, 1, B, cell)
    with np.errstate(all="ignore"):
        for n in range(N):
            set_rows(cell, weights, n, gradient[n][None], np.zeros((1, B), np.int64), work)
            for k, (before, lag) in enumerate(pairwise([0, *map(int, lags)])):
                along = (cell, states[n], trajectory.kept[n], at, depth - before, depth - lag)
                take_back(*along, work, norms, np.empty((1, B, 0)))
                directions[n, :, k] = normalised(work.rows[0, :, :H])
            log_norms[n] = norms[0][:, depth - lags]
    directions[np.isneginf(log_norms)] = np.nan
    return log_norms, directions


def normalised(vectors: Floats) -> Floats:
    """Vectors (..., H) of norm 1, or 0 where they are."""
    largest = np.abs(vectors).max(axis=-1)
    relative = vectors / np.where(largest > 0, largest, 1.0)[..., None]  # squares stay in range
    norm = np.linalg.norm(relative, axis=-1)
    return relative / np.where(norm > 0, norm, 1.0)[..., None]


def _singular_values(
    W_hh: Floats, slopes: Floats, lags: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Logs of singular values, their rounding and leading directions, each (N, B, K, H)."""
    N, _, B, H = slopes.shape
    values, leading = np.empty((2, N * B, lags.size, H)), np.empty((N * B, lags.size, H))
    count = max(1, _CHUNK // (2 * H * H))
    for begin in range(0, N * B, count):
        items = np.arange(begin, min(begin + count, N * B))
        for at, product in _transposed_products(W_hh, slopes, items, lags):
            for g, item in enumerate(items):
                leading[item, at] = graded.leading_left_vector(product, g)
                for run in range(2):
                    of_run = g + run * items.size
                    values[run, item, at] = graded.log_singular_values(
                        product.logs[of_run], product.rows[of_run]
                    )
    same = values[0] == values[1]  # also where both are -inf
    with np.errstate(invalid="ignore"):
        rounding = np.where(same, 0.0, np.abs(values[0] - values[1]))
    shape = (N, B, lags.size, H)
    return values[0].reshape(shape), rounding.reshape(shape), leading.reshape(shape)


def _transposed_products(
    W_hh: Floats, slopes: Floats, items: npt.NDArray[np.int64], lags: npt.NDArray[np.int64]
) -> Iterator[tuple[int, graded.Graded]]:
    """P_{t,k}^T at each of the lags for sequence `items` (of N*B), then again with noise.

    The rows of W_hh may differ in size as the slopes do, so their sizes go with these:
    J^T = V^T diag(s * phi'), V = diag(1/s) W_hh with powers of two s, exactly. The noise is that
    of Monte Carlo arithmetic (Parker 1997): an epsilon of random sign and size in every step.
    Another basis to begin with would not do, as both soon round the same directions alike.
    """
    B, H = slopes.shape[2:]
    network, sequence = np.tile(items // B, 2), np.tile(items % B, 2)
    sizes, V = graded.split_row_sizes(W_hh)
    sizes, V = sizes[network], V[network]
    largest = sizes.max(axis=1, keepdims=True)
    relative = sizes / np.where(largest > 0, largest, 1.0)
    product = graded.orthogonal(np.eye(H), network.size)
    epsilon = np.where(_couples(V) & (np.arange(network.size) >= items.size), _NOISE, 0.0)
    rng, at = np.random.default_rng(0), 0  # the same for all sequences, so that each is on its own
    for k in range(1, int(lags[-1]) + 1):
        slope = slopes[network, -k, sequence]
        rows = np.where((slope > 0) & (relative > 0), np.maximum(slope * relative, _TINY), 0.0)
        noise = [epsilon[:, None, None] * rng.standard_normal((H, H)) for _ in range(4)]
        product = graded.scale_rows(product, rows, (noise[0], noise[1]))
        product = graded.multiply(V.mT, product, (noise[2], noise[3]))
        if k == lags[at]:
            with np.errstate(divide="ignore"):
                yield at, product._replace(logs=product.logs + k * np.log(largest))
            at += 1


def _couples(W_hh: Floats) -> npt.NDArray[np.bool_]:
    """Whether a unit sends to several, or several to one: else nothing is added, nor rounded."""
    links = W_hh != 0
    return np.maximum(links.sum(axis=1), links.sum(axis=2)).max(axis=1) > 1
