"""Jacobians of stacks, and the Lyapunov exponents of their layers.

The state of a stack is that of its layers, the lowest first. Its Jacobian is block triangular: a
layer's own block is that of the layer alone, and what comes from below is X J, with X the
derivative of its state with respect to its input and J the rows of h of the layer below. The
exponents of a product of such matrices are those of the blocks on its diagonal (Oseledets 1968), so
that each layer has a frame of its own, which the others never touch.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, scratch
from rnnsim.kernels.arithmetic.jit import allocator, kernel, layer_of
from rnnsim.kernels.arithmetic.products import empty_panels, multiply, pack, padded, rows_of
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.seam import jacobian, lasting, pull_back, sizes
from rnnsim.kernels.dynamics.lyapunov import (
    LyapunovArrays,
    begin_frame,
    close_block,
    follow,
    lyapunov_work,
)
from rnnsim.kernels.gradients.steps import (
    block_table,
    later_size,
    network,
    pack_steps,
    start_state,
    unfold,
)
from rnnsim.kernels.stacks.layers import in_layers, pass_up, set_sizes


@by_reference
class StackJacobianWork(NamedTuple):
    """Room for the Jacobian of one step of one sequence, S numbers of the state of a layer.

    matrix (L*S, .): the Jacobian, with columns to spare; scratch (S+1, S): the block of a layer;
    across (S, H'): X of a layer; panels: rows of h, packed; gradient (1, H'), later (B, C*H') and
    errors (1, B, A') for a step back; blocks: `block_table`.
    """

    matrix: np.ndarray
    scratch: np.ndarray
    across: np.ndarray
    panels: np.ndarray
    gradient: np.ndarray
    later: np.ndarray
    errors: np.ndarray
    blocks: np.ndarray


@allocator
def stack_jacobian_work(L, H, B, like, cell):
    """Scratch for `stack_jacobian`; cell: the lasting one."""
    (M, _, _), table = sizes(cell), block_table(cell)
    S = (1 + M) * H
    return StackJacobianWork(
        scratch((L * S, padded(L * S, like)), like),
        scratch((S + 1, S), like),
        scratch((S, padded(H, like)), like),
        empty_panels(H, padded(L * S, like), like),
        scratch((1, padded(H, like)), like),
        scratch((B, later_size(cell, H, like)), like),
        scratch((1, B, padded(table.shape[1] * H, like)), like),
        table,
    )


@kernel
def stack_jacobian(cell, weights, n, kept, t, b, work):
    """work.matrix = the Jacobian of step t and sequence b of network n.

    weights: Weights (L, N, ...); kept (L, T+1, B, .) of the network and the lasting cell.
    """
    matrix, W_xh, W_hh = work.matrix, weights.W_xh, weights.W_hh
    L, S, H = W_hh.shape[0], work.scratch.shape[1], W_hh.shape[3]
    fill(matrix, 0)
    for layer in range(L):
        first = layer * S
        if layer > 0:
            _of_inputs(cell, W_xh[layer, n], kept[layer], t, b, H, work)
            pack(matrix[first - S : first - S + H], 0, work.panels)
            columns = -(-first // work.panels.shape[2])
            into = rows_of(matrix, first)
            multiply(rows_of(work.across, 0), S, 0, H, work.panels[:columns], into)
        block, scales, _ = jacobian(cell, W_hh[layer, n], kept[layer], t, b, work.scratch)
        for i in range(S):
            for j in range(S):
                matrix[first + i, first + j] = scales[i] * block[i, j]


@kernel
def _of_inputs(cell, W_xh, kept, t, b, H, work):
    """across (S, H) = ds_t/dx_t: a step back from all units at once, as none meets another."""
    across, inputs, width = work.across, work.blocks[1], work.gradient.shape[1]
    fill(across, 0)
    for m in range(across.shape[0] // H):
        fill(work.gradient, 0)
        fill(work.later, 0)
        for j in range(H):
            if m == 0:
                work.gradient[0, j] = 1
            else:
                work.later[b, (m - 1) * width + j] = 1
        pull_back(cell, work.gradient, work.later, kept, kept, t, work.errors, 0, b, H)
        for block in range(inputs.size):
            if inputs[block] < 0:
                continue
            for j in range(H):
                delta, row = work.errors[0, b, block * H + j], inputs[block] * H + j
                for d in range(H):
                    across[m * H + j, d] += delta * W_xh[row, d]


@allocator
def stack_lyapunov_arrays(L, N, B, M, k):
    """`LyapunovArrays` with layers in front: of k exponents of each, M blocks of B sequences."""
    return LyapunovArrays(
        np.full((L, N, B, M, k), np.nan),
        np.zeros((L, N, B, k), np.int64),
        np.full((L, N, B), -1, np.int64),
    )


def stack_lyapunov_work(layers, k, cell=0):
    """`LyapunovWork` with layers in front; layers: the Weights of each, the lowest first."""
    like, D = layers[0].W_hh, max(w.W_xh.shape[2] for w in layers)
    work = in_layers(lyapunov_work(like.shape[2], D, k, like, cell), len(layers))
    set_sizes(work.steps.sizes, layers)
    return work


@kernel
def stack_lyapunov_sums(weights, inputs, h0, cell, vectors, ends, every, start, stop, work, out):
    """`lyapunov_sums` of each layer of stacks start..stop-1, driven by the states of the one below.

    weights: Weights (L, N, ...) from `layered`, h0 (1 or N, B, L*S), vectors (S, k) for the frame
    of every layer; work from `stack_lyapunov_work`, out from `stack_lyapunov_arrays`.
    """
    for n in range(start, stop):
        for b in range(inputs.shape[2]):
            begin_stack_lyapunov(weights, h0, vectors, n, b, work)
            begin = 0
            for m in range(ends.size):
                last = ends[m]
                stack_lyapunov_steps(weights, inputs, cell, n, b, begin, last, every, work, out)
                close_stack_block(n, b, m - 1, work, out)
                begin = last


@kernel
def begin_stack_lyapunov(weights, h0, vectors, n, b, work):
    """Pack the weights of network n, set the states of sequence b, and a frame for each layer."""
    L, S = weights.W_hh.shape[0], vectors.shape[0]
    whole = h0[min(n, h0.shape[0] - 1), b : b + 1]
    for layer in range(L):
        own = layer_of(work, layer)
        pack_steps(network(layer_of(weights, layer), n), own.steps)
        start_state(own.steps, whole[:, layer * S : (layer + 1) * S], weights.W_hh.shape[3])
        begin_frame(vectors, own)


@kernel
def stack_lyapunov_steps(weights, inputs, cell, n, b, first, last, every, work, out):
    """Steps first+1..last, as in `lyapunov_steps`."""
    data = inputs[min(n, inputs.shape[0] - 1), :, b : b + 1]
    lasts, trace = lasting(cell), work.steps.trace
    L, longest, H = trace.shape[0], trace.shape[1] - 1, weights.W_hh.shape[3]
    for begin in range(first, last, longest):
        if out.first_nonfinite[0, n, b] >= 0:
            return
        count = min(longest, last - begin)
        for layer in range(L):
            own = layer_of(work.steps, layer)
            if layer == 0:
                nonfinite = unfold(data, begin, begin + count, 0, lasts, own)
            else:
                pass_up(trace[layer - 1], trace[layer], 0, count, H)
                nonfinite = unfold(data[:0], begin, begin + count, 0, lasts, own)
            if nonfinite >= 0:
                out.first_nonfinite[:, n, b] = nonfinite
                count = nonfinite - 1 - begin  # steps before it
        done, whole = begin - first, last - first
        for layer in range(L):
            W_hh, own, found = weights.W_hh[layer, n], layer_of(work, layer), layer_of(out, layer)
            follow(lasts, W_hh, done, count, whole, every, n, b, own, found)


@kernel
def close_stack_block(n, b, m, work, out):
    """`close_block` of every layer."""
    for layer in range(work.rank.shape[0]):
        close_block(n, b, m, layer_of(work, layer), layer_of(out, layer))


@kernel
def stack_jacobians_at(weights, kept, cell, networks, sequences, t, work, out):
    """out (G, L*S, L*S): the Jacobians of step t of these networks and sequences, (G,) int64 each.

    kept (N, L, T+1, B, .).
    """
    lasts = lasting(cell)
    for g in range(out.shape[0]):
        n = networks[g]
        stack_jacobian(lasts, weights, n, kept[n], t, sequences[g], work)
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[g, i, j] = work.matrix[i, j]
