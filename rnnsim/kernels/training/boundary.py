"""The boundary of an encoder and its decoder: the first state one way, its gradient the other.

The decoder's h_0 is the encoder's output at its last step; its memories are the encoder's last ones
where they are handed over, else 0.
"""

from rnnsim.kernels.arithmetic.arrays import copy, fill
from rnnsim.kernels.arithmetic.jit import kernel, layer_of, view
from rnnsim.kernels.cells.layout import Batch
from rnnsim.kernels.gradients.backward import end_bptt
from rnnsim.kernels.gradients.steps import gather_memories, spread_memories
from rnnsim.kernels.gradients.unfolding import class_major, class_major_outputs
from rnnsim.kernels.training.paths import forward_path, sum_gradients


@view
def _source(batches, batch, n, path):
    """The source of network n as the encoder's batch, with loss at its last step alone."""
    at = batch * batches.per_network + min(n, batches.per_network - 1)
    _, T, B, D = batches.sources.shape
    V = path.weights.W_hy.shape[2]
    inputs = path.inputs.reshape(1, T, B, D)
    copy(batches.sources[at], inputs)
    loss_weights = path.loss_weights.reshape(1, T, B)
    targets = path.targets.reshape(1, T, B, V)
    classes = path.classes.reshape(1, T, B)
    return Batch(inputs, classes, targets, loss_weights, path.h0, path.loss)


@kernel
def encode(batches, batch, n, handed, path, h0):
    """h0 (1, B, L*S) of the decoder, from what the encoder has read."""
    data, work = _source(batches, batch, n, path), path.work
    (T, B), L = data.inputs.shape[1:3], work.marks.shape[0]
    S = h0.shape[2] // L
    forward_path(data, T, path)
    fill(h0, 0)
    for layer in range(L):
        first = h0[0, :, layer * S : (layer + 1) * S]
        if layer == L - 1:
            _read_out(T, layer_of(work.forward, layer), first)
        else:
            _cross(work.forward.trace[layer, T], path, first)
        if handed > 0:
            for b in range(B):
                gather_memories(work.forward.kept[layer, T, b], handed, first, b)


@kernel
def _read_out(T, top, first):
    """first (B, S), its h = the output of the top layer at step T."""
    V = top.sizes[2]
    class_major_outputs(T, 1, V, top)
    outputs = class_major(V, first.shape[0], top)
    for b in range(first.shape[0]):
        for v in range(V):
            first[b, v] = outputs[v, b]


@kernel
def _cross(states, path, first):
    """The same of a layer below, whose h_T stands in states (B, P'): W_hy h + b_y of the top."""
    W_hy, b_y = path.weights.W_hy[-1, 0], path.weights.b_y[-1, 0]
    for b in range(first.shape[0]):
        for v in range(W_hy.shape[0]):
            total = b_y[v]
            for i in range(W_hy.shape[1]):
                total += W_hy[v, i] * states[b, i]
            first[b, v] = total


@kernel
def pull_back(batches, batch, n, variant, work):
    """The encoder's gradient, from that of the decoder's first state; after `encode`.

    That of the bridge is of the top layer alone: training holds it fixed.
    """
    path, main, n_0 = work.encoder, work.main, work.main.network
    data, L = _source(batches, batch, n, path), path.work.marks.shape[0]
    T, B = data.inputs.shape[1:3]
    for layer in range(L):
        end_bptt(n_0, layer_of(main.work, layer), layer_of(main.out, layer))
        gradient, dc = main.out.h0[layer, n_0], path.work.dc[layer]
        if work.handed > 0:
            for b in range(B):
                spread_memories(gradient, b, work.handed, dc[b])
        if layer < L - 1:
            _cross_back(gradient, path, dc)
            continue
        for b in range(B):
            for v in range(data.values.shape[3]):
                data.values[0, T - 1, b, v] = B * gradient[b, v]  # losses are divided by B
    sum_gradients(data, path, 0.0, variant, work.penalty)


@kernel
def _cross_back(gradient, path, dc):
    """What arrives at h_T of a layer below the top, behind the memories of dc: W_hy^T dL/dh_0."""
    W_hy, memory = path.weights.W_hy[-1, 0], path.work.memories.shape[3]
    for b in range(dc.shape[0]):
        for i in range(W_hy.shape[1]):
            total = dc[b, memory + i]  # 0 so far
            for v in range(W_hy.shape[0]):
                total += W_hy[v, i] * gradient[b, v]
            dc[b, memory + i] = total
