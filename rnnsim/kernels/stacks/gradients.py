"""Backpropagation through time and layers.

Forward a stretch of steps goes through one layer after the other; back a block of steps does, from
the top: what a layer hands down at a step is complete once the layer has gone back over it. Every
array of weights, work and out has the layers in front.
"""

from rnnsim.kernels.arithmetic.jit import kernel, layer_of
from rnnsim.kernels.gradients.backward import (
    begin_network,
    end_bptt,
    mark_losses,
    mark_nonfinite,
    pass_of,
    passes,
    unfold_stretch,
)
from rnnsim.kernels.gradients.backward_arrays import backward_work, gradient_arrays
from rnnsim.kernels.gradients.blocks import (
    add_block,
    backward_block,
    outer_block,
    score_block,
    set_factors,
)
from rnnsim.kernels.gradients.steps import network
from rnnsim.kernels.gradients.unfolding import batch_of
from rnnsim.kernels.stacks.layers import (
    copy_part,
    in_layers,
    pack_above,
    pack_readout,
    pass_down,
    pass_up,
    set_sizes,
    wide_enough,
)


def stack_gradient_arrays(layers, batch):
    """Results for stacks, to be filled by `stack_bptt` or `stack_truncated_bptt`.

    layers: the Weights of each, the lowest first; batch: Batch with h0 (., B, L*S), the states of
    all layers likewise. The fields of GradientArrays, with layers in front and axes as long as the
    longest layer needs; loss and dL/dW_hy are the top's.
    """
    return in_layers(gradient_arrays(widest(layers), of_one(batch, layers)), len(layers))


def of_one(batch, layers):
    """The batch with room for the states of one layer."""
    return batch._replace(h0=batch.h0[:, :, : batch.h0.shape[2] // len(layers)])


def stack_backward_work(layers, batch, stored, cell=0, final=None):
    """Scratch for `stack_bptt`: one for each thread. layers: the Weights of each, lowest first.

    final: what arrives at the states of step T, see `wide_enough`.
    """
    work = backward_work(widest(layers), batch, stored, cell, above_of(layers))
    whole = in_layers(work, len(layers))
    set_sizes(whole.forward.sizes, layers)
    return whole if final is None else receiving(whole, final)


def receiving(work, final):
    """The same scratch, at whose step T `final` arrives."""
    return work._replace(final=final, dc=wide_enough(work.dc, final, work.checkpoints.shape[3]))


def above_of(layers):
    """How many numbers come back to a layer from the one above."""
    return layers[0].b_h.shape[1] if len(layers) > 1 else 0


def widest(layers):
    """The lowest layer's weights as wide as the widest layer's, with the readout of the top."""
    wide = max(layers, key=lambda w: w.W_xh.shape[2])
    return wide._replace(W_hy=layers[-1].W_hy, b_y=layers[-1].b_y)


@kernel
def stack_bptt(weights, batch, cell, start, stop, work, out):
    """Loss and full gradient of stacks start..stop-1.

    weights: Weights (L, N, ...) from `layered`, batch: Batch with h0 (., B, L*S), work from
    `stack_backward_work`, out from `stack_gradient_arrays`.
    """
    T, stored = batch.inputs.shape[1], work.forward.trace.shape[1] - 1
    for n in range(start, stop):
        begin_stack(weights, batch, n, work, out)
        for i in range(passes(T, stored)):
            begin, end, back = pass_of(i, T, stored)
            if back:
                stack_backward_steps(batch, cell, n, begin, end, work, out)
            else:
                stack_forward_steps(batch, cell, n, begin, end, work)
        end_stack(n, work, out)


@kernel
def begin_stack(weights, batch, n, work, out):
    """Pack the weights of all layers of network n, and clear their results."""
    data, L = batch_of(batch, n), work.marks.shape[0]
    for layer in range(L - 1, -1, -1):
        own, found = layer_of(work, layer), layer_of(out, layer)
        w, h0 = network(layer_of(weights, layer), n), found.h0[n]
        copy_part(data.h0, h0, layer)  # a place that is free until the end
        begin_network(w, h0, n, own, found)
        if layer == L - 1:
            pack_readout(w, own)
            mark_losses(data.loss_weights, own)
        else:
            pack_above(weights.W_xh[layer + 1, n], own)
    _mark_below(work)


@kernel
def _mark_below(work):
    """What comes back from above carries loss at every step up to the last with loss anywhere."""
    L = work.marks.shape[0]
    last = work.marks[L - 1, 0]
    if work.final.size > 0:
        last = work.scored.shape[1]
    for layer in range(L):
        work.marks[layer, 0] = last
        for t in range(work.scored.shape[1]):
            if layer < L - 1:
                work.scored[layer, t] = t < last


@kernel
def stack_forward_steps(batch, cell, n, begin, end, work):
    """States of steps begin+1..end of all layers, which lie in one stretch; h_begin are known."""
    inputs = batch_of(batch, n).inputs
    stored, H = work.forward.trace.shape[1] - 1, work.checkpoints.shape[3]
    unfold_stretch(inputs, cell, begin, end, layer_of(work, 0))
    for layer in range(1, work.marks.shape[0]):
        trace = work.forward.trace
        pass_up(trace[layer - 1], trace[layer], begin % stored, end - begin, H)
        unfold_stretch(inputs[:0], cell, begin, end, layer_of(work, layer))


@kernel
def stack_backward_steps(batch, cell, n, begin, end, work, out):
    """Gradients of steps begin+1..end, whose states are in the trace; later steps are done."""
    block, L = work.factors.shape[2], work.marks.shape[0]
    end = min(end, work.marks[0, 0])  # nothing flows back from beyond the last loss
    for first in range((end - 1) // block * block, begin - 1, -block):
        count = min(first + block, end) - first
        for layer in range(L - 1, -1, -1):
            own, found = layer_of(work, layer), layer_of(out, layer)
            if layer == L - 1:
                score_block(batch, first, count, 0, n, own, found)
            else:
                A = own.forward.sizes[2]
                pass_down(work.errors[layer + 1], 0, count, work.errors[layer], 1, A)
            backward_block(cell, first, count, n, own, found)
            set_factors(first, count, n, own, found)
            outer_block(first, count, 0, 0, 1, own)
            add_block(first, count, 0, n, own, found)


@kernel
def end_stack(n, work, out):
    """The gradients at the first states of network n, and where it left the range."""
    for layer in range(work.marks.shape[0]):
        end_bptt(n, layer_of(work, layer), layer_of(out, layer))
    mark_stack(n, work.marks, out)


@kernel
def mark_stack(n, marks, out):
    """first_nonfinite of all layers: where a state left the range, else where a gradient did."""
    L, forward_step, first = marks.shape[0], -1, -1
    for layer in range(L):
        if marks[layer, 1] >= 0 and (forward_step < 0 or marks[layer, 1] < forward_step):
            forward_step = marks[layer, 1]
    for layer in range(L):
        mark_nonfinite(n, forward_step, layer_of(out, layer))
        first = max(first, out.first_nonfinite[layer, n])
    for layer in range(L):
        out.first_nonfinite[layer, n] = first
