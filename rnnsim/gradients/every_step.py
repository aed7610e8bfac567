"""What a backward pass keeps of every step, beside norms, where it is asked to."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnsim import checks, kernels
from rnnsim.checks import FloatArray
from rnnsim.gradients.simulation import run_states
from rnnsim.kernels import Weights
from rnnsim.kernels.cells.seam import blocks
from rnnsim.kernels.gradients.backward_arrays import EachStep
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Network
from rnnsim.networks.states import apart, cell_of, state_size

MAX_MEMORY = 8e9
_KEPT = ("inputs", "states", "steps")


def checked_keep(
    rnn: Network, batch: kernels.Batch, keep: Iterable[str], max_memory: float
) -> frozenset[str]:
    """The names of what is to be kept, if it fits.

    Raises
    ------
    MemoryError
        It takes more than `max_memory` bytes.
    TypeError, ValueError
        Another name, or no names; a limit that is not above 0.
    """
    limit = checks.real_number("max_memory", max_memory, above=0.0)
    names = checks.entries("keep", keep)
    if names is None:
        raise TypeError(
            f"`keep` must be a series of names from {_KEPT}, as in keep=['inputs'], got "
            f"{checks.shown(keep)}"
        )
    kept = frozenset(checks.one_of("keep", name, _KEPT) for name in names)
    needed = 0.0
    for layer in rnn.layers:
        sizes = _sizes(layer, batch)
        needed += sum(size for name, size in sizes.items() if name in kept)
        if kept & {"inputs", "steps"}:
            needed += sizes["errors"]
    if needed > limit:
        raise MemoryError(
            f"`keep` = {sorted(kept)} of {batch.inputs.shape[1]} steps needs about "
            f"{needed / 1e9:.3g} GB, more than `max_memory` = {limit / 1e9:.3g} GB; keep less, "
            "take networks or sequences one by one, or raise `max_memory`"
        )
    return kept


def _sizes(rnn: RNN, batch: kernels.Batch) -> dict[str, float]:
    """Bytes of each kind of result, and of the errors that two of them come from."""
    N, (T, B), S, itemsize = len(rnn), batch.inputs.shape[1:3], state_size(rnn), rnn.dtype.itemsize
    A, D, V, H = rnn.b_h.shape[1], rnn.n_inputs, rnn.n_outputs, rnn.n_hidden
    weights = sum(array[0].size for array in rnn.weights)
    counts = {
        "inputs": T * B * D,
        "states": 2 * (T + 1) * B * S,
        "steps": T * weights + (T + 1) * B * (S + V),
        "errors": T * B * (A + V + H + rnn.W_hh.shape[1]),
    }
    return {name: float(N) * itemsize * count for name, count in counts.items()}


def gradient_arrays(
    weights: Weights, batch: kernels.Batch, kept: frozenset[str]
) -> kernels.GradientArrays:
    """Results with room for what is kept."""
    out = kernels.gradient_arrays(weights, batch)
    (N, A), (T, B), S = weights.b_h.shape, batch.inputs.shape[1:3], batch.h0.shape[2]
    states, errors = out.each
    if "states" in kept:
        states = np.empty((N, T + 1, B, S), states.dtype)
    if kept & {"inputs", "steps"}:
        errors = np.empty((N, T, B, A + weights.W_hy.shape[1]), errors.dtype)
    return out._replace(each=EachStep(states, errors))


def fields_of(
    rnn: RNN, batch: kernels.Batch, each: EachStep, kept: frozenset[str]
) -> dict[str, Any]:
    """What is kept, by the names of `Gradients`.

    ::

        dL/dx_t = W_xh^T dL/da_t      dL/dW_hh^(t) = sum_b dL/da_t h_{t-1}^T, and so for the others
    """
    found: dict[str, Any] = {}
    if "states" in kept:
        found["states"], found["memories"] = apart(rnn, each.states)
    if not kept & {"inputs", "steps"}:
        return found
    A, V, H = rnn.b_h.shape[1], rnn.n_outputs, rnn.n_hidden
    deltas, dy = each.errors[..., :A], each.errors[..., A : A + V]
    hidden, inputs = (_by_gate(deltas, order, H) for order in blocks(cell_of(rnn)))
    with np.errstate(all="ignore"):
        if "inputs" in kept:
            found["inputs"] = np.matmul(inputs, rnn.W_xh[:, None])
        if "steps" in kept:
            states = run_states(rnn, batch.inputs, batch.h0, None)[0][..., :H]
            found["steps"] = Weights(
                np.matmul(inputs.mT, batch.inputs),
                np.matmul(hidden.mT, states[:, :-1]),
                np.matmul(dy.mT, states[:, 1:]),
                deltas.sum(axis=2),
                dy.sum(axis=2),
            )
    return found


def _by_gate(deltas: FloatArray, order: tuple[int, ...], H: int) -> FloatArray:
    """The blocks of dL/da that belong to rows of a weight, in the order of these rows."""
    if order == tuple(range(len(order))):
        return deltas
    places = sorted(block for block, row in enumerate(order) if row >= 0)
    columns = [deltas[..., block * H : (block + 1) * H] for block in places]
    return np.concatenate(columns, axis=-1)
