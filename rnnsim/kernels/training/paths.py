"""One network, of one layer or several, on its way through a segment: states, loss, gradient.

A segment is copied into a place of its own, so that the kernels of full BPTT serve any window: the
steps before the segment's own carry no loss, and the first state, memories included, is the one
that was kept. Layers stand in front of every array, as in `rnnsim.kernels.stacks`; a network is a
stack of one.

A sequence that begins anew within a segment cuts the loops over time there, for all sequences: its
state is put aside and replaced by the one to start from, and no gradient goes back across. Both
ways the pieces are those of full BPTT; without such sequences there is one piece.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.jit import kernel, layer_of
from rnnsim.kernels.arithmetic.products import Rows, add_outer, rows_from
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.gradients.backward_arrays import BackwardWork, GradientArrays
from rnnsim.kernels.gradients.blocks import add_block, backward_block, score_block
from rnnsim.kernels.gradients.steps import gather_memories, spread_memories
from rnnsim.kernels.stacks.gradients import begin_stack, stack_forward_steps
from rnnsim.kernels.stacks.layers import pass_down
from rnnsim.kernels.training.penalty import add_penalty, clear_penalty, close_penalty


@by_reference
class Path(NamedTuple):
    """One network with its cell, its gradient and a place for one segment; L layers in front.

    weights (L, 1, ...) and out.weights: views of `spread` and `gathered` (Q,), where all layers are
    as wide as the widest; places (P,) int64: where each of the P entries of a flat vector stands
    there. Of one layer places is of size 0, and the views are of the flat vectors themselves.
    inputs, classes, targets, loss_weights are 1-D and long enough for the longest segment; h0
    (1, B, L*S). network is 0, the only one there (a literal 0 would be a type of its own to Numba).

    starts (steps * B,) bool: where a sequence begins anew before a step, with start (B, L*S); ended
    (steps, B, L*S): the states that it leaves. All of size 0 where none does.
    """

    network: int
    cell: Any
    loss: int
    weights: Weights
    out: GradientArrays
    work: BackwardWork
    spread: np.ndarray
    gathered: np.ndarray
    places: np.ndarray
    inputs: np.ndarray
    classes: np.ndarray
    targets: np.ndarray
    loss_weights: np.ndarray
    h0: np.ndarray
    starts: np.ndarray
    start: np.ndarray
    ended: np.ndarray


@kernel
def spread_weights(values, path):
    """The weights of all layers from a flat vector."""
    for i in range(path.places.size):
        path.spread[path.places[i]] = values[i]


@kernel
def gather_gradient(path, gradient):
    """The gradients of all layers into a flat vector."""
    for i in range(path.places.size):
        gradient[i] = path.gathered[path.places[i]]


@kernel
def forward_path(data, steps, path):
    """Pack the weights, find the steps with loss, and compute the states of a segment."""
    n, begin, work = path.network, path.network, path.work
    begin_stack(path.weights, data, n, work, path.out)
    while begin < steps:
        end = begin + 1
        while end < steps and not _any_starts(end, path):
            end += 1
        stack_forward_steps(data, path.cell, n, begin, end, work)
        if end < steps:
            _put_starts(end, path)
        begin = end


@kernel
def kept_state(t, path, state):
    """state (B, L*S) = what step t of a segment ended with; its states are known."""
    B, S = state.shape
    for b in range(B):
        if t * B + b < path.starts.size and path.starts[t * B + b]:
            for i in range(S):
                state[b, i] = path.ended[t, b, i]
        else:
            _get_state(t, b, path, state)


@kernel
def _get_state(t, b, path, state):
    """state[b] = that of step t, layer after layer."""
    forward, H = path.work.forward, path.weights.W_hh.shape[3]
    S = state.shape[1] // forward.trace.shape[0]
    for layer in range(forward.trace.shape[0]):
        part = state[:, layer * S : (layer + 1) * S]
        for i in range(H):
            part[b, i] = forward.trace[layer, t, b, i]
        gather_memories(forward.kept[layer, t, b], H, part, b)


@kernel
def _put_state(t, b, path, state):
    """The other way round."""
    forward, H = path.work.forward, path.weights.W_hh.shape[3]
    S = state.shape[1] // forward.trace.shape[0]
    for layer in range(forward.trace.shape[0]):
        part = state[:, layer * S : (layer + 1) * S]
        for i in range(H):
            forward.trace[layer, t, b, i] = part[b, i]
        spread_memories(part, b, H, forward.kept[layer, t, b])


@kernel
def sum_gradients(data, path, weight, variant, penalty):
    """The gradient of a segment whose states are known, without norms of single steps.

    With a weight above 0 the penalty's is added, of networks of one layer; returns Omega.
    """
    n, work, out, omega = path.network, path.work, path.out, 0.0
    block, L = work.factors.shape[2], work.marks.shape[0]
    end = work.marks[0, 0]  # nothing flows back from beyond the last loss
    if weight > 0.0:
        clear_penalty(penalty)
    _take_back_starts(end, path)
    while end > 0:
        first = (end - 1) // block * block
        for t in range(first + 1, end):
            first = t if _any_starts(t, path) else first
        count = end - first
        _join(count, path)
        for layer in range(L - 1, -1, -1):
            own = layer_of(work, layer)
            if layer == L - 1:
                score_block(data, first, count, 0, n, own, layer_of(out, layer))
            else:
                A = own.forward.sizes[2]
                pass_down(work.errors[layer + 1], 0, count, work.errors[layer], 1, A)
            backward_block(path.cell, first, count, n, own, layer_of(out, layer))
            if weight > 0.0:
                H, V = own.checkpoints.shape[2], own.forward.sizes[3]
                add_penalty(variant, count, H, V, own, penalty)
            _outer_products(first, count, own)
        _take_back_starts(first, path)
        end = first
    for layer in range(L):  # of no steps: their norms are not asked for
        add_block(n, n, n, n, layer_of(work, layer), layer_of(out, layer))
    if weight > 0.0:
        B, dW_hh = work.errors.shape[2], out.weights.W_hh[L - 1, n]
        omega = close_penalty(variant, weight, B, penalty, dW_hh)
    return omega


@kernel
def _outer_products(first, count, work):
    """Add errors times trace of a block's steps, all rows at once."""
    errors, trace = work.errors, work.forward.trace
    B, width = errors.shape[1:]
    A, low = work.recurrent.shape[0], 0
    H, D, _, V = work.forward.sizes
    left, right = rows_from(errors, 0), rows_from(trace, first)
    add_outer(left, right, count * B, A, H + 1 + D, work.recurrent)
    while low < count and not work.scored[first + low]:
        low += 1
    if V > 0 and low < count:
        dy = Rows(errors.reshape(errors.size), (low + 1) * B * width + A, width)
        states = rows_from(trace, first + low + 1)
        add_outer(dy, states, (count - low) * B, V, H + 1, work.readout)


# Sequences that begin anew before step t+1 of a segment.


@kernel
def _any_starts(t, path):
    """Whether one does."""
    B, found = path.h0.shape[1], False
    if path.starts.size > 0:
        for b in range(B):
            found |= path.starts[t * B + b]
    return found


@kernel
def _put_starts(t, path):
    """The states of step t that they end with are put aside, and replaced by the start."""
    B = path.h0.shape[1]
    for b in range(B):
        if path.starts[t * B + b]:
            _get_state(t, b, path, path.ended[t])
            _put_state(t, b, path, path.start)


@kernel
def _take_back_starts(t, path):
    """On the way back: the states that they ended with, which no gradient reaches from later."""
    work, B = path.work, path.h0.shape[1]
    if path.starts.size == 0 or t == 0 or t * B >= path.starts.size:
        return
    for b in range(B):
        if path.starts[t * B + b]:
            _put_state(t, b, path, path.ended[t])
            for layer in range(work.marks.shape[0]):
                for i in range(work.recurrent.shape[1]):
                    work.errors[layer, 0, b, i] = 0
                for i in range(work.dc.shape[2]):
                    work.dc[layer, b, i] = 0


@kernel
def _join(count, path):
    """A piece of `count` steps goes on where the one behind it has ended: dL/da of its first."""
    errors = path.work.errors
    if path.starts.size > 0:
        for layer in range(errors.shape[0]):
            for b in range(errors.shape[2]):
                for i in range(path.work.recurrent.shape[1]):
                    errors[layer, count, b, i] = errors[layer, 0, b, i]
