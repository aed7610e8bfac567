"""Truncated backpropagation through time of stacks, with any window K and stride S.

As in the kernels of one layer all sweeps move together, a step at each depth. Within a step they go
down through the layers: what a sweep hands to the layer below at depth d is used there at the same
depth, so that every path stays within the window of its own sweep.
"""

from rnnsim.kernels.arithmetic.arrays import add, fill
from rnnsim.kernels.arithmetic.jit import kernel, layer_of
from rnnsim.kernels.arithmetic.products import multiply, rows_from
from rnnsim.kernels.cells.seam import pull_back
from rnnsim.kernels.gradients.blocks import score_block
from rnnsim.kernels.gradients.steps import arrive, take_final
from rnnsim.kernels.gradients.truncated import (
    add_direct,
    depths,
    end_truncated,
    truncated_work,
)
from rnnsim.kernels.stacks.gradients import (
    above_of,
    begin_stack,
    mark_stack,
    receiving,
    stack_forward_steps,
    widest,
)
from rnnsim.kernels.stacks.layers import in_layers, pass_down, set_sizes, wide_enough


def stack_truncated_work(layers, batch, stride, cell=0, final=None):
    """Scratch for `stack_truncated_bptt`; arguments as of `stack_backward_work`."""
    work = truncated_work(widest(layers), batch, stride, cell, above_of(layers))
    whole = in_layers(work, len(layers))
    set_sizes(whole.common.forward.sizes, layers)
    if final is None:
        return whole
    H = whole.common.checkpoints.shape[3]
    dc, memories = (wide_enough(a, final, H) for a in (whole.dc, whole.memories))
    return whole._replace(common=receiving(whole.common, final), dc=dc, memories=memories)


@kernel
def stack_truncated_bptt(weights, batch, cell, window, stride, start, stop, work, out):
    """Loss and truncated gradient of stacks start..stop-1; arguments as in `stack_bptt`."""
    T = batch.inputs.shape[1]
    first, last = depths(T, window, stride)
    for n in range(start, stop):
        start_stack(weights, batch, n, work, out)
        stack_forward_steps(batch, cell, n, 0, T, work.common)
        top = work.total.shape[0] - 1
        score_block(batch, 0, T, 0, n, layer_of(work.common, top), layer_of(out, top))
        sweep_stack(cell, window, stride, first, last, work)
        for layer in range(top, -1, -1):
            end_truncated(batch, cell, n, layer_of(work, layer), layer_of(out, layer))
        mark_stack(n, work.common.marks, out)


@kernel
def start_stack(weights, batch, n, work, out):
    """Nothing is done yet for network n."""
    begin_stack(weights, batch, n, work.common, out)
    for array in (work.total, work.memories, work.rows, work.dc, work.deltas):
        fill(array, 0)
    B, H = work.dc.shape[2], work.common.checkpoints.shape[3]
    for layer in range(work.dc.shape[0]):  # of the last sweep: it is at T
        take_final(work.common.final[layer], n, H, 1.0 / B, work.dc[layer, -1])


@kernel
def sweep_stack(cell, window, stride, first, last, work):
    """Move all sweeps of a network from depth `first` up to, not including, depth `last`."""
    L, J = work.rows.shape[:2]
    T = work.common.scored.shape[1]
    for d in range(first, last):
        lowest = d // stride  # the first block whose sweep is still at step 1 or later
        highest = min((T + d) // stride, J)  # the last whose sweep has begun, plus 1
        for layer in range(L - 1, -1, -1):
            _step_back(cell, stride, d, lowest, highest, layer, work)
        if lowest < highest and (lowest + 1) * stride - d == 1:
            for layer in range(L):
                _arrive_at_start(lowest, layer_of(work, layer))


@kernel
def _step_back(cell, stride, d, lowest, highest, layer, work):
    """Layer layer at depth d: what has come down its own way, and from the layer above, goes on."""
    own, L = layer_of(work, layer), work.rows.shape[0]
    common, rows, dc, deltas = own.common, own.rows, own.dc, own.deltas
    B, A, H = rows.shape[1], common.recurrent.shape[0], common.checkpoints.shape[2]
    trace, kept, memory = common.forward.trace, common.forward.kept, common.memories.shape[2]
    depth = A if layer == L - 1 else A + common.forward.sizes[2]
    count = (highest - lowest) * B
    multiply(rows_from(deltas, lowest), count, 0, depth, common.backward, rows_from(rows, lowest))
    for j in range(lowest, highest):
        t = (j + 1) * stride - d
        arrive(rows[j], dc[j], memory, 0, H)
        if layer == L - 1 and d < stride and common.scored[t - 1]:
            add_direct(t, j, own)
        add(rows[j], own.total[t])
        add(dc[j], own.memories[t])
        pull_back(cell, rows[j], dc[j], trace, kept, t, deltas, j, 0, H)
    if layer > 0:
        pass_down(deltas, lowest, highest - lowest, work.deltas[layer - 1], lowest, A)


@kernel
def _arrive_at_start(j, work):
    """The sweep of block j has been at step 1, and comes to the first state of a layer."""
    common, rows, dc = work.common, work.rows, work.dc
    A, H = common.recurrent.shape[0], common.checkpoints.shape[2]
    source, into = rows_from(work.deltas, j), rows_from(rows, j)
    multiply(source, rows.shape[1], 0, A, common.backward, into)
    arrive(rows[j], dc[j], common.memories.shape[2], 0, H)
    add(rows[j], work.total[0])
    add(dc[j], work.memories[0])
