"""The trajectories of networks, with what differentiating them needs: slopes and loss gradients."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import kernels
from rnnsim.checks import FloatArray
from rnnsim.gradients.simulation import run_layers
from rnnsim.kernels.arithmetic.jit import layer_of
from rnnsim.kernels.cells.seam import lasting
from rnnsim.kernels.dynamics.trajectories import kept_arrays, retrace
from rnnsim.kernels.gradients.steps import step_work
from rnnsim.kernels.stacks.layers import layered
from rnnsim.networks.binding import checked_inputs
from rnnsim.networks.rnn import RNN, originals
from rnnsim.networks.stack import Network, check_network
from rnnsim.networks.states import cell_of, initial_states

Floats = npt.NDArray[np.float64]


class Trajectory(NamedTuple):
    """Whole states (N, t+1, B, S), what the last R steps keep (N, R+1, B, .), weights; float64.

    Row s of `kept` is step t - R + s; of vanilla networks it begins with phi'(a) of the H units. Of
    stacks the states of all layers (N, t+1, B, L*S), kept (N, L, R+1, B, .), Weights (L, N, ...).
    """

    states: Floats
    kept: Floats
    weights: kernels.Weights


def trajectory_of(
    rnn: Network,
    inputs: npt.ArrayLike,
    h0: npt.ArrayLike | None,
    c0: npt.ArrayLike | None = None,
    *,
    first: int,
) -> Trajectory:
    """What `forward` passes through, and what its steps from `first` on keep; NaN if not finite.

    The sign that relu goes by is that of the state, so that rounding of a cannot change it.
    """
    check_network(rnn)
    x = checked_inputs(rnn, inputs)
    start = initial_states(rnn, h0, x.shape[2], c0)
    found = []
    for layer, own, _ in run_layers(rnn, x, start, None):
        states = own.astype(np.float64)
        found.append(_of_layer(layer, x, states, first))
        x = states[:, 1:, :, : rnn.n_hidden]
    if isinstance(rnn, RNN):
        return found[0]
    return Trajectory(
        np.concatenate([each.states for each in found], axis=-1),
        np.stack([each.kept for each in found], axis=1),
        layered([each.weights for each in found]),
    )


def _of_layer(rnn: RNN, x: FloatArray, states: Floats, first: int) -> Trajectory:
    """From inputs (1 or N, T, B, D) and states (N, T+1, B, S) of one layer."""
    x = np.ascontiguousarray(x[:, first - 1 :], np.float64)
    weights, cell = originals(rnn.astype("float64")), cell_of(rnn)
    along = np.ascontiguousarray(states[:, first - 1 :])
    N, T, B, H = len(rnn), *along[:, 1:].shape[1:3], rnn.n_hidden
    kept = kept_arrays(N, T, B, H, along, cell)
    work = step_work(weights.b_h.shape[1], H, rnn.n_inputs, B, 1, along, lasting(cell))
    with np.errstate(all="ignore"):
        for n in range(N):
            retrace(weights, x, along, cell, n, work, kept)
    finite: npt.NDArray[np.bool_] = np.all(np.isfinite(along), axis=-1)
    kept[:, 1:][~(finite[:, :-1] & finite[:, 1:])] = np.nan
    return Trajectory(states, kept, weights)


def loss_gradients(
    trajectory: Trajectory, batch: kernels.Batch, t: int, final: Floats | None = None
) -> Floats:
    """dl_t/d(h_t, c_t) (N, B, S) from the states, without the factor 1/B; 0 where weight is 0.

    final: what arrives at the states of step T, as `final_for` has it.
    """
    states, weights = trajectory.states[:, t], trajectory.weights
    found = np.zeros(states.shape)
    layers, H = [found], weights.W_hy.shape[-1]
    if weights.W_hy.ndim == 4:  # the loss is of the top layer
        L = len(weights.W_hy)
        states, layers = np.split(states, L, axis=-1)[-1], np.split(found, L, axis=-1)
        weights = layer_of(weights, L - 1)
    with np.errstate(all="ignore"):
        layers[-1][..., :H] = _of_h(states[..., :H], weights, batch, t)
    if final is not None and final.size > 0 and t == batch.inputs.shape[1]:
        M = states.shape[-1] - H
        for own, arriving in zip(layers, final if len(layers) > 1 else [final], strict=True):
            own[..., H:] = arriving[..., :M]
            own[..., :H] += arriving[..., M:] if arriving.shape[-1] > M else 0
    return found


def _of_h(states: Floats, weights: kernels.Weights, batch: kernels.Batch, t: int) -> Floats:
    """dl_t/dh_t (N, B, H) from the states h_t (N, B, H)."""
    N, B, _ = states.shape
    if batch.loss == kernels.INNER_PRODUCT:  # derivatives of outputs, and then of h
        values, V = batch.values[:, t - 1].astype(np.float64), weights.b_y.shape[1]
        of_outputs = values[..., :V] @ weights.W_hy
        return of_outputs + values[..., V:] if values.shape[-1] > V else of_outputs
    outputs = states @ weights.W_hy.mT + weights.b_y[:, None]
    columns = np.ascontiguousarray(outputs.reshape(N * B, -1).T)
    counts = np.broadcast_to(batch.loss_weights[:, t - 1], (N, B)).astype(np.float64).ravel()
    losses = np.empty(N * B)
    if batch.loss == kernels.CROSS_ENTROPY:
        classes = np.broadcast_to(batch.classes[:, t - 1], (N, B)).ravel()
        scratch = np.empty((3, N * B))
        kernels.softmax_cross_entropy(columns, classes, counts, *scratch, losses)
    else:
        V = weights.W_hy.shape[1]
        values = np.broadcast_to(batch.values[:, t - 1], (N, B, V)).astype(np.float64)
        kernels.squared_error(columns, values.reshape(N * B, V), counts, losses)
    return columns.T.reshape(N, B, -1) @ weights.W_hy
