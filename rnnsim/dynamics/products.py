"""Products of the Jacobians of a trajectory: their singular values at many lags."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.dynamics import graded
from rnnsim.dynamics.trajectories import Trajectory
from rnnsim.kernels.cells.seam import lasting
from rnnsim.kernels.dynamics.trajectories import jacobians_at
from rnnsim.kernels.stacks.dynamics import stack_jacobian_work, stack_jacobians_at
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network
from rnnsim.networks.states import cell_of

Floats = npt.NDArray[np.float64]

# The noise of the second computation: more than rounding, so that one sample of it is rarely less.
_NOISE = 4.0 * float(np.finfo(np.float64).eps)

_TINY = float(np.finfo(np.float64).tiny)  # what is above 0 stays above 0

_CHUNK = 2**19  # numbers in one (G, H, H) array of a chunk: 4 MB


def singular_values(
    rnn: Network, trajectory: Trajectory, lags: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Logs of singular values, their rounding and leading directions, each (N, B, K, S)."""
    (N, _, B, H), weights = trajectory.states.shape, trajectory.weights
    values, leading = np.empty((2, N * B, lags.size, H)), np.empty((N * B, lags.size, H))
    count = max(1, _CHUNK // (2 * H * H))
    for begin in range(0, N * B, count):
        items = np.arange(begin, min(begin + count, N * B))
        if rnn.cell == "vanilla" and isinstance(rnn, RNN):
            slopes = trajectory.kept[:, 1:, :, :H]
            products = _transposed_products(weights.W_hh, slopes, items, lags)
        else:
            products = _dense_products(rnn, trajectory, items, lags)
        for at, product in products:
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


def _dense_products(
    rnn: Network, trajectory: Trajectory, items: npt.NDArray[np.int64], lags: npt.NDArray[np.int64]
) -> Iterator[tuple[int, graded.Graded]]:
    """The same for Jacobians that are sums of products: each step multiplies by the whole."""
    (_, _, B, S), W_hh, count = trajectory.states.shape, trajectory.weights.W_hh, items.size
    product = graded.orthogonal(np.eye(S), 2 * count)
    # Else no unit meets another.
    couples = np.any(W_hh != 0, axis=(1, 2)) if W_hh.ndim == 3 else np.ones(W_hh.shape[1], bool)
    epsilon = np.concatenate([np.zeros(count), np.where(couples[items // B], _NOISE, 0.0)])[
        :, None, None
    ]
    factors_of, last = factors_at(rnn, trajectory, items), trajectory.kept.shape[-3]
    rng, at = np.random.default_rng(0), 0
    for k in range(1, int(lags[-1]) + 1):
        factors = factors_of(last - k)
        noise = [epsilon * rng.standard_normal((S, S)) for _ in range(2)]
        both = np.concatenate([factors, factors]).mT
        product = graded.multiply(both, product, (noise[0], noise[1]))
        if k == lags[at]:
            yield at, product
            at += 1


def factors_at(
    rnn: Network, trajectory: Trajectory, items: npt.NDArray[np.int64]
) -> Callable[[int], Floats]:
    """What gives J of step t (1 is the first that is kept) of sequences `items` of N*B."""
    (_, _, B, S), kept, weights = trajectory.states.shape, trajectory.kept, trajectory.weights
    places, cell = (items // B, items % B), cell_of(rnn)
    stacked = not isinstance(rnn, RNN)
    scratch: Any = (
        stack_jacobian_work(len(rnn.layers), rnn.n_hidden, B, kept, lasting(cell))
        if stacked
        else np.empty((S + 1, S))
    )

    def at(t: int) -> Floats:
        factors, of = np.empty((items.size, S, S)), stack_jacobians_at if stacked else jacobians_at
        of(weights, kept, cell, *places, t, scratch, factors)
        return factors

    return at


def gradients_of_stack(
    rnn: Network, trajectory: Trajectory, gradient: Floats, lags: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """ln ||dl_t/ds_{t-k}|| (N, B, K) and its direction (N, B, K, S), NaN where it is exactly 0.

    gradient (N, B, S) = dl_t/ds_t.
    """
    N, B, S = gradient.shape
    factors, last = factors_at(rnn, trajectory, np.arange(N * B)), trajectory.kept.shape[-3]
    log_norms, directions = np.empty((N * B, lags.size)), np.empty((N * B, lags.size, S))
    row, log, at = gradient.reshape(N * B, S), np.zeros(N * B), 0
    with np.errstate(all="ignore"):
        for k in range(int(lags[-1]) + 1):
            if k > 0:
                row = np.einsum("gij,gi->gj", factors(last - k), row)
            size = np.linalg.norm(row, axis=1)
            log, row = log + np.log(size), normalised(row)
            if k == lags[at]:
                log_norms[:, at], directions[:, at] = log, row
                at += 1
    directions[np.isneginf(log_norms)] = np.nan
    return log_norms.reshape(N, B, -1), directions.reshape(N, B, -1, S)


def normalised(vectors: Floats) -> Floats:
    """Vectors (..., H) of norm 1, or 0 where they are."""
    largest = np.abs(vectors).max(axis=-1)
    relative = vectors / np.where(largest > 0, largest, 1.0)[..., None]  # squares stay in range
    norm = np.linalg.norm(relative, axis=-1)
    return relative / np.where(norm > 0, norm, 1.0)[..., None]


def _couples(W_hh: Floats) -> npt.NDArray[np.bool_]:
    """Whether a unit sends to several, or several to one: else nothing is added, nor rounded."""
    links = W_hh != 0
    return np.maximum(links.sum(axis=1), links.sum(axis=2)).max(axis=1) > 1
