"""The steps of a network, states h_0..h_T and memories, without readout and losses.

What step t+1 multiplies stands in one row, [h_t, 1, x_{t+1}], so that one matrix product takes a
network one step further: a_{t+1} = [W_hh, b_h, W_xh] [h_t, 1, x_{t+1}]. These rows are the trace.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, scratch
from rnnsim.kernels.arithmetic.jit import allocator, kernel, view
from rnnsim.kernels.arithmetic.products import (
    Rows,
    empty_panels,
    multiply,
    pack,
    pack_transposed,
    padded,
    rows_of,
    spaced,
)
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.cells.seam import advance, blocks, sizes


@by_reference
class StepWork(NamedTuple):
    """What a network is unfolded in, C steps in a row, for one network at a time.

    trace (C+1, B, P'): row [t, b] is [h_t, 1, x_{t+1}] and padding; kept (C+1, B, K*H'): what each
    step keeps for its way back, the memories first; both may be shared by a team. share (2,) int64:
    the thread treats sequences share[0]..share[1]-1, b of them; blocks (2, A/H) int64: see
    `block_table`; sizes (4,) int64: H, D, V, the numbers that come back to a step beside its own
    (rows of W_hy, or those of a layer above), and how many rows of W_hy have a gradient;
    recurrent: packed [W_hh, b_h, W_xh]^T; pre (b, A') and state (b, H'): pre-activations and states
    of one step.
    """

    trace: np.ndarray
    kept: np.ndarray
    share: np.ndarray
    blocks: np.ndarray
    sizes: np.ndarray
    recurrent: np.ndarray
    pre: np.ndarray
    state: np.ndarray


@allocator
def block_table(cell):
    """(2, A/H) int64: which block of rows of W_hh, and of W_xh, makes each block of A; -1: none."""
    hidden, inputs = blocks(cell)
    table = np.empty((2, len(hidden)), np.int64)
    for block in range(len(hidden)):
        table[0, block], table[1, block] = hidden[block], inputs[block]
    return table


@allocator
def step_work(A, H, D, B, stored, like, cell):
    """Scratch to unfold `stored` steps of B sequences: A gate rows, H units, D inputs."""
    trace = scratch((stored + 1, B, spaced(H + 1 + D, like)), like)
    trace[:, :, H] = 1
    share, lengths = np.empty(2, np.int64), np.zeros(4, np.int64)
    share[0], share[1] = 0, B
    lengths[0], lengths[1] = H, D
    return StepWork(
        trace,
        scratch((stored + 1, B, kept_size(cell, H, like)), like),
        share,
        block_table(cell),
        lengths,
        empty_panels(H + 1 + D, A, like),
        scratch((B, padded(A, like)), like),
        scratch((B, padded(H, like)), like),
    )


@view
def network(weights, n):
    """The weights of network n, without the network axis."""
    return Weights(
        weights.W_xh[n], weights.W_hh[n], weights.W_hy[n], weights.b_h[n], weights.b_y[n]
    )


@kernel
def pack_steps(w, work):
    """Pack the weights of one network for its steps."""
    A, H, table = w.b_h.size, w.W_hh.shape[1], work.blocks
    for block in range(table.shape[1]):
        i, j = table[0, block] * H, table[1, block] * H
        if i >= 0:
            pack_transposed(w.W_hh[i : i + H], 0, block * H, work.recurrent)
        if j >= 0:
            pack_transposed(w.W_xh[j : j + H], H + 1, block * H, work.recurrent)
    pack_transposed(w.b_h.reshape(A, 1), H, 0, work.recurrent)


@kernel
def pack_back(weight, rows, H, first, panels):
    """A rows of the packed matrix, from `first` on: what takes dl/da_t back through W_hh or W_xh.

    rows (A/H,): the blocks of the weight that make each block of A.
    """
    for block in range(rows.size):
        i = rows[block] * H
        if i >= 0:
            pack(weight[i : i + H], first + block * H, panels)


@allocator
def kept_size(cell, H, like):
    """How many numbers a step keeps of a sequence: K blocks of H'."""
    return sizes(cell)[2] * padded(H, like)


@allocator
def memory_size(cell, H, like):
    """How many numbers of a row of `kept` are memories: M blocks of H'."""
    return sizes(cell)[0] * padded(H, like)


@allocator
def later_size(cell, H, like):
    """How many numbers a step hands back beside its products: C blocks of H'."""
    return sizes(cell)[1] * padded(H, like)


@kernel
def set_state(work, t, state, memories):
    """Step t takes over states (B, H) and memories (B, M*H') of the thread's share."""
    for b in range(work.share[0], work.share[1]):
        for i in range(state.shape[1]):
            work.trace[t, b, i] = state[b, i]
        for i in range(memories.shape[1]):
            work.kept[t, b, i] = memories[b, i]


@kernel
def get_state(work, t, state, memories):
    """state (B, H) and memories (B, M*H') = those of step t, for the sequences of the share."""
    for b in range(work.share[0], work.share[1]):
        for i in range(state.shape[1]):
            state[b, i] = work.trace[t, b, i]
        for i in range(memories.shape[1]):
            memories[b, i] = work.kept[t, b, i]


@kernel
def spread_memories(state, b, H, memories):
    """A row of memories (M*H'), from those of a whole state (B, S) of sequence b."""
    width = padded(H, memories)
    for i in range(state.shape[1] - H):
        memories[i // H * width + i % H] = state[b, H + i]


@kernel
def gather_memories(memories, H, state, b):
    """The other way round."""
    width = padded(H, memories)
    for i in range(state.shape[1] - H):
        state[b, H + i] = memories[i // H * width + i % H]


@kernel
def start_state(work, state, H):
    """Step 0 takes over whole states (B, S)."""
    for b in range(work.share[0], work.share[1]):
        for i in range(H):
            work.trace[0, b, i] = state[b, i]
        spread_memories(state, b, H, work.kept[0, b])


@kernel
def carry_state(work, t, H):
    """Step 0 becomes step t: the next steps go on from there."""
    for b in range(work.share[0], work.share[1]):
        for i in range(H):
            work.trace[0, b, i] = work.trace[t, b, i]
        for i in range(work.kept.shape[2]):
            work.kept[0, b, i] = work.kept[t, b, i]


@kernel
def arrive(gradient, later, memory, first, H):
    """gradient (b, H') = dl/dh_{t-1}: what step t hands back to h beside its products is added.

    It stands in later[first + b] behind the `memory` = M*H' numbers of the memories, and goes.
    """
    if later.shape[1] > memory:
        for b in range(gradient.shape[0]):
            for i in range(H):
                gradient[b, i] += later[first + b, memory + i]
                later[first + b, memory + i] = 0


@kernel
def put_inputs(inputs, step, work, t, H):
    """trace[t] takes over the inputs of one step, for the sequences of the share.

    What lies beyond the inputs reads the last of them again. No steps at all: they are there.
    """
    if inputs.shape[0] == 0:
        return
    step = min(step, inputs.shape[0] - 1)
    for b in range(work.share[0], work.share[1]):
        for d in range(inputs.shape[2]):
            work.trace[t, b, H + 1 + d] = inputs[step, b, d]


@kernel
def unfold(inputs, begin, end, at, cell, work):
    """trace[at+t] = h_{begin+t} for t = 1..end-begin, from trace[at] = h_begin; inputs (T, B, D).

    work: ForwardWork or StepWork. Returns the first step whose state is not finite, or -1.
    """
    B, width, pre = work.trace.shape[1], work.trace.shape[2], work.pre
    b_0, b_1 = work.share
    H, D, nonfinite = work.sizes[0], work.sizes[1], -1
    P = H + 1 + D
    trace, out = work.trace.reshape(work.trace.size), rows_of(pre, 0)
    whole = _all_there(work.blocks)
    for t in range(at, at + end - begin):
        put_inputs(inputs, begin + t - at, work, t, H)
        # a_{t+1} = W_hh h_t + b_h + W_xh x_{t+1}; of vanilla h_{t+1} = phi(a_{t+1})
        rows = Rows(trace, (t * B + b_0) * width, width)
        if whole:
            multiply(rows, b_1 - b_0, 0, P, work.recurrent, out)
        else:
            _multiply_blocks(rows, b_1 - b_0, H, P, work.blocks, work.recurrent, out)
        advance(cell, pre, work.trace[t], work.state, work.kept, t + 1, b_0, H)
        if keep_state(work, t + 1, H) != 0 and nonfinite < 0:
            nonfinite = begin + t - at + 1
    return nonfinite


@kernel
def _all_there(blocks):
    """Whether states and inputs both have weights in every block of pre-activations."""
    there = True
    for block in range(blocks.shape[1]):
        there &= blocks[0, block] >= 0 and blocks[1, block] >= 0
    return there


@kernel
def _multiply_blocks(rows, count, H, P, blocks, panels, out):
    """Pre-activations block by block: what a block has no weights of is not multiplied by 0.

    Panels across two blocks are multiplied as a whole.
    """
    p, (n, _, L) = 0, panels.shape
    while p < n:
        block = p * L // H
        end = max((block + 1) * H // L, p + 1)
        inside = end * L <= (block + 1) * H
        first = H if inside and blocks[0, block] < 0 else 0
        last = H + 1 if inside and blocks[1, block] < 0 else P
        into = Rows(out.values, out.start + p * L, out.stride)
        multiply(rows, count, first, last, panels[p:end], into)
        p = end


@kernel
def keep_state(work, t, H):
    """trace[t] = state; returns 0 if all of it is finite, else NaN."""
    b_0, residue = work.share[0], work.state.dtype.type(0)
    for b in range(work.pre.shape[0]):
        source, target = work.state[b], work.trace[t, b_0 + b]
        for i in range(H):
            target[i] = source[i]
            residue += source[i] - source[i]
    return residue


@kernel
def take_final(final, n, H, scale, dc):
    """dc (B, C*H') = scale * dl/dc_T of network n, from final (., B, M*H); 0 if that is empty."""
    fill(dc, 0)
    if final.size > 0:
        given, width = final[min(n, final.shape[0] - 1)], padded(H, dc)
        for b in range(given.shape[0]):
            for i in range(given.shape[1]):
                dc[b, i // H * width + i % H] = given[b, i] * scale
