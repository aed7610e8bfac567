"""One network on its way through a segment: its states, its loss, its gradient.

A segment is copied into a place of its own, so that the kernels of full BPTT serve any window: the
steps before the segment's own carry no loss, and the first state, memories included, is the one
that was kept.

A sequence that begins anew within a segment cuts the loops over time there, for all sequences: its
state is put aside and replaced by the one to start from, and no gradient goes back across. Both
ways the pieces are those of full BPTT; without such sequences there is one piece.
"""

from typing import Any, NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.jit import inlined, kernel
from rnnsim.kernels.arithmetic.products import Rows, add_outer, rows_from
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.gradients.backward import (
    add_block,
    backward_block,
    begin_bptt,
    forward_steps,
    score_block,
)
from rnnsim.kernels.gradients.backward_arrays import BackwardWork, GradientArrays
from rnnsim.kernels.gradients.steps import gather_memories, spread_memories
from rnnsim.kernels.training.penalty import add_penalty, clear_penalty, close_penalty


class Path(NamedTuple):
    """One recurrent network with its cell, its gradient and a place for one segment.

    weights and out.weights are views, N = 1, of LearnWork's values and gradient; inputs, classes,
    targets, loss_weights are 1-D and long enough for the longest segment; h0 (1, B, S). network is
    0, the only one there (a literal 0 would be a type of its own to Numba).

    starts (steps * B,) bool: where a sequence begins anew before a step, with start (B, S); ended
    (steps, B, S): the states that it leaves. All of size 0 where none does.
    """

    network: int
    cell: Any
    loss: int
    weights: Weights
    out: GradientArrays
    work: BackwardWork
    inputs: np.ndarray
    classes: np.ndarray
    targets: np.ndarray
    loss_weights: np.ndarray
    h0: np.ndarray
    starts: np.ndarray
    start: np.ndarray
    ended: np.ndarray


@kernel
def forward_path(data, steps, path):
    """Pack the weights, find the steps with loss, and compute the states of a segment."""
    n, begin, work = path.network, path.network, path.work
    begin_bptt(path.weights, data, n, work, path.out)
    while begin < steps:
        end = begin + 1
        while end < steps and not _any_starts(end, path):
            end += 1
        forward_steps(data, path.cell, n, begin, end, work)
        if end < steps:
            _put_starts(end, path)
        begin = end


@kernel
def kept_state(t, path, state):
    """state (B, S) = that of step t of a segment whose states are known."""
    forward, H = path.work.forward, path.weights.W_hh.shape[2]
    for b in range(state.shape[0]):
        for i in range(H):
            state[b, i] = forward.trace[t, b, i]
        gather_memories(forward.kept[t, b], H, state, b)


@kernel
def sum_gradients(data, path, weight, variant, penalty):
    """The gradient of a segment whose states are known, without norms of single steps.

    With a weight above 0 the penalty's is added; returns Omega.
    """
    n, work, out, omega = path.network, path.work, path.out, 0.0
    block, H, V = work.factors.shape[1], work.checkpoints.shape[2], work.readout.shape[0]
    end = work.marks[0]  # nothing flows back from beyond the last loss
    if weight > 0.0:
        clear_penalty(penalty)
    _take_back_starts(end, path)
    while end > 0:
        first = (end - 1) // block * block
        for t in range(first + 1, end):
            first = t if _any_starts(t, path) else first
        count = end - first
        _join(count, path)
        score_block(data, first, count, 0, n, work, out)
        backward_block(path.cell, first, count, n, work, out)
        if weight > 0.0:
            add_penalty(variant, count, H, V, work, penalty)
        _outer_products(first, count, work)
        _take_back_starts(first, path)
        end = first
    add_block(n, n, n, work, out)  # of no steps: their norms are not asked for
    if weight > 0.0:
        B, dW_hh = work.errors.shape[1], out.weights.W_hh[n]
        omega = close_penalty(variant, weight, B, penalty, dW_hh)
    return omega


@inlined
def _outer_products(first, count, work):
    """Add errors times trace of a block's steps, all rows at once."""
    errors, trace = work.errors, work.forward.trace
    B, width = errors.shape[1:]
    A, V, P = work.recurrent.shape[0], work.readout.shape[0], work.forward.recurrent.shape[1]
    H, low = work.checkpoints.shape[2], 0
    add_outer(rows_from(errors, 0), rows_from(trace, first), count * B, A, P, work.recurrent)
    while low < count and not work.scored[first + low]:
        low += 1
    if low < count:
        dy = Rows(errors.reshape(errors.size), (low + 1) * B * width + A, width)
        states = rows_from(trace, first + low + 1)
        add_outer(dy, states, (count - low) * B, V, H + 1, work.readout)


# Sequences that begin anew before step t+1 of a segment.


@inlined
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
    forward, H, B = path.work.forward, path.weights.W_hh.shape[2], path.h0.shape[1]
    for b in range(B):
        if path.starts[t * B + b]:
            for i in range(H):
                path.ended[t, b, i] = forward.trace[t, b, i]
                forward.trace[t, b, i] = path.start[b, i]
            gather_memories(forward.kept[t, b], H, path.ended[t], b)
            spread_memories(path.start, b, H, forward.kept[t, b])


@kernel
def _take_back_starts(t, path):
    """On the way back: the states that they ended with, which no gradient reaches from later."""
    work, H, B = path.work, path.weights.W_hh.shape[2], path.h0.shape[1]
    if path.starts.size == 0 or t == 0 or t * B >= path.starts.size:
        return
    for b in range(B):
        if path.starts[t * B + b]:
            for i in range(H):
                work.forward.trace[t, b, i] = path.ended[t, b, i]
            spread_memories(path.ended[t], b, H, work.forward.kept[t, b])
            for i in range(work.recurrent.shape[0]):
                work.errors[0, b, i] = 0
            for i in range(work.dc.shape[1]):
                work.dc[b, i] = 0


@inlined
def _join(count, path):
    """A piece of `count` steps goes on where the one behind it has ended: dL/da of its first."""
    errors = path.work.errors
    if path.starts.size > 0:
        for b in range(errors.shape[1]):
            for i in range(path.work.recurrent.shape[0]):
                errors[count, b, i] = errors[0, b, i]
