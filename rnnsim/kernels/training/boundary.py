"""The boundary of an encoder and its decoder: the first state one way, its gradient the other.

The decoder's h_0 is the encoder's output at its last step; its memories are the encoder's last ones
where they are handed over, else 0.
"""

from rnnsim.kernels.arithmetic.arrays import copy, fill
from rnnsim.kernels.arithmetic.jit import inlined, kernel, layer_of
from rnnsim.kernels.cells.layout import Batch
from rnnsim.kernels.gradients.backward import end_bptt
from rnnsim.kernels.gradients.steps import gather_memories, spread_memories
from rnnsim.kernels.gradients.unfolding import class_major, class_major_outputs
from rnnsim.kernels.training.paths import forward_path, sum_gradients


@inlined
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
    """h0 (1, B, S) of the decoder, from what the encoder has read."""
    data, work = _source(batches, batch, n, path), path.work
    T, B, V = data.inputs.shape[1], data.inputs.shape[2], path.weights.W_hy.shape[2]
    forward_path(data, T, path)
    top = layer_of(work.forward, work.marks.shape[0] - 1)
    class_major_outputs(T, 1, V, top)
    outputs = class_major(V, B, top)
    fill(h0, 0)
    for b in range(B):
        for v in range(V):
            h0[0, b, v] = outputs[v, b]
        if handed > 0:
            gather_memories(top.kept[T, b], V, h0[0], b)


@kernel
def pull_back(batches, batch, n, variant, work):
    """The encoder's gradient, from that of the decoder's first state; after `encode`."""
    path, main = work.encoder, work.main
    top, n_0 = path.work.marks.shape[0] - 1, main.network
    end_bptt(n_0, layer_of(main.work, n_0), layer_of(main.out, n_0))
    gradient = main.out.h0[n_0]
    data = _source(batches, batch, n, path)
    T, B = data.inputs.shape[1:3]
    for b in range(B):
        for v in range(path.weights.W_hy.shape[2]):
            data.values[0, T - 1, b, v] = B * gradient[0, b, v]  # losses are divided by B
        if work.handed > 0:
            spread_memories(gradient[0], b, path.weights.W_hh.shape[3], path.work.dc[top, b])
    sum_gradients(data, path, 0.0, variant, work.penalty)
