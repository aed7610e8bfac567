"""The gradient flow of stacks: every lag and every window, layer by layer.

At each lag the rows of the top layer go back first; its deltas, taken through W_xh, come down to
the layer below within the same step and join the rows there. Every layer has powers of two of its
own: a layer whose gradients vanish takes no digits from another. What comes of a lag is summed up
layer by layer; only norms of the whole state join them.

Two norms of a layer differ. The state of all layers has a gradient at which the states of the other
layers are held fixed: its norms make up `whole`. dl_t/dh_{t-k} of one layer by all paths, those up
through the layers within step t-k as well, is what a framework gives for that layer's output.
"""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import add, copy, fill, scratch
from rnnsim.kernels.arithmetic.jit import kernel, layer_of
from rnnsim.kernels.arithmetic.norms import (
    EMPTY,
    exponent_of,
    frobenius,
    held_exponent,
    hypot,
    log_add_squares,
    rescale,
)
from rnnsim.kernels.arithmetic.products import Rows, multiply, rows_from
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.seam import lasting, sizes
from rnnsim.kernels.flow.arrays import (
    FlowArrays,
    FlowWork,
    flow_arrays,
    flow_work,
    window_work,
)
from rnnsim.kernels.flow.chosen import close_sums, end_of_chunk, start_sums
from rnnsim.kernels.flow.flow import (
    close_lags,
    run_flow,
    score_steps,
    start_flow,
    start_rows,
    start_windows,
)
from rnnsim.kernels.flow.lags import (
    clear_lags,
    first_row,
    log_of,
    measure_lag,
    pull_rows,
    push_rows,
    steps_at_once,
    summarise,
)
from rnnsim.kernels.flow.windows import start_full, take_full_back
from rnnsim.kernels.gradients.steps import network
from rnnsim.kernels.gradients.unfolding import batch_of
from rnnsim.kernels.stacks.gradients import above_of, of_one, widest
from rnnsim.kernels.stacks.layers import (
    copy_part,
    in_layers,
    pack_above,
    pack_readout,
    pass_up,
    set_sizes,
)


@by_reference
class StackFlowArrays(NamedTuple):
    """layers: FlowArrays with layers in front, norms of h by all paths; whole: of all states."""

    layers: FlowArrays
    whole: FlowArrays


@by_reference
class StackFlowWork(NamedTuple):
    """Scratch of one thread: layers, FlowWork with layers in front; carried (S, B, H'), what comes
    down from a layer; units (L,) int64: of the full gradient on its way back; logs (C, S, B) and
    part_logs (C, S, B, 3 or 0) of the whole state; h0 (B, S) of one layer; final_h (L, ., B, H)
    float64: what arrives at h of step T, where it carries loss, or of size 0.
    """

    layers: FlowWork
    carried: np.ndarray
    units: np.ndarray
    logs: np.ndarray
    part_logs: np.ndarray
    h0: np.ndarray
    final_h: np.ndarray


def stack_flow_arrays(layers, batch, S, K, per_sequence, M=-1):
    """Results for stacks, to be filled by `stack_gradient_flow`.

    layers: the Weights of each, the lowest first; batch: Batch with h0 (., B, L*S); M: as in
    `flow_arrays`.
    """
    w, L, one = widest(layers), len(layers), of_one(batch, layers)
    of_layers = in_layers(flow_arrays(w, one, S, K, False, M), L)
    return StackFlowArrays(of_layers, flow_arrays(w, one, S, K, per_sequence, M))


def stack_flow_work(layers, batch, S, C, cell=0, final=None, windows=None):
    """Scratch for `stack_gradient_flow`, as `flow_work`: one for each thread.

    final: what arrives at the states of step T, as in `stack_backward_work`; windows: those that
    are chosen, as in `window_work`, unless there is one for every lag.
    """
    w, L, B = widest(layers), len(layers), batch.inputs.shape[2]
    one = flow_work(w, batch, S, C, cell, above_of(layers))
    of_layers = in_layers(one if windows is None else window_work(one, windows), L)
    set_sizes(of_layers.forward.sizes, layers)
    final = np.zeros((L, 0, 0, 0)) if final is None else final
    memory = sizes(cell)[0] * w.W_hh.shape[2]
    of_layers = of_layers._replace(final=np.ascontiguousarray(final[..., :memory]))
    return StackFlowWork(
        of_layers,
        np.zeros_like(one.rows),
        np.zeros(L, np.int64),
        np.zeros_like(one.logs),
        np.zeros_like(one.part_logs),
        scratch((B, batch.h0.shape[2] // L), w.W_hh),
        np.ascontiguousarray(final[..., memory:]),
    )


@kernel
def stack_gradient_flow(weights, batch, cell, steps, start, stop, work, out):
    """Fill `out` for stacks start..stop-1; `steps` (S,) int64 are the loss steps, ascending.

    weights: Weights (L, N, ...) from `layered`.
    """
    K, lowest = out.whole.log_norms.shape[2], layer_of(work.layers, 0)
    for n in range(start, stop):
        begin_stack_flow(weights, batch, cell, steps, n, work, out)
        first = 0
        while first < K:
            last = end_of_chunk(first, K, lowest)
            advance_stack(cell, steps, first, last, n, work, out)
            close_stack_lags(steps, first, last, n, work, out)
            first = last


@kernel
def begin_stack_flow(weights, batch, cell, steps, n, work, out):
    """States, dl_t/dh_t of the top layer and the full gradients of all layers of network n."""
    data, L, lasts = batch_of(batch, n), work.units.size, lasting(cell)
    T, first = batch.inputs.shape[1], np.int64(-1)
    for layer in range(L):
        own, found = layer_of(work.layers, layer), layer_of(out.layers, layer)
        w = network(layer_of(weights, layer), n)
        copy_part(data.h0, work.h0, layer)
        start_flow(w, work.h0, own)
        if layer == 0:
            run_flow(data.inputs, lasts, n, own, found)
        else:
            trace = work.layers.forward.trace
            pass_up(trace[layer - 1], trace[layer], 0, T, own.units)
            run_flow(data.inputs[:0], lasts, n, own, found)
        if layer < L - 1:
            pack_above(weights.W_xh[layer + 1, n], own)
            fill(own.rows, 0)
            fill(own.readout, 0)
        else:
            pack_readout(w, own)
            score_steps(data, steps, n, own, found)
        if work.final_h.size > 0 and steps[-1] == T:
            _arrive_at_end(work.final_h[layer], n, own.rows[-1])
        first = _earlier(first, found.first_nonfinite[n])
    full_gradients(lasts, steps, n, work)
    for layer in range(L):
        own, found = layer_of(work.layers, layer), layer_of(out.layers, layer)
        start_rows(steps, n, own)
        start_windows(n, own, found)
        start_sums(own, own)
        first = _earlier(first, found.first_nonfinite[n])
    out.whole.first_nonfinite[n] = first


@kernel
def _arrive_at_end(final, n, rows):
    """rows (B, H') += dl/dh_T of network n, from final (., B, H)."""
    given = final[min(n, final.shape[0] - 1)]
    for b in range(given.shape[0]):
        for i in range(given.shape[1]):
            rows[b, i] += given[b, i]


@kernel
def _earlier(one, other):
    """The lesser of two steps, of which -1 is none."""
    return other if one < 0 or 0 <= other < one else one


@kernel
def full_gradients(cell, steps, n, work):
    """The full gradient of every layer, by backpropagation through time and layers."""
    L, i, unit_above = work.units.size, steps.size - 1, np.int64(0)
    for layer in range(L):
        own, work.units[layer] = layer_of(work.layers, layer), 0
        start_full(steps, n, own)
        if layer < L - 1:
            copy(own.rows[-1], own.forward.state)  # 0 but for what arrives at the end
    for t in range(steps[-1], 0, -1):
        for layer in range(L - 1, -1, -1):
            own, come = layer_of(work.layers, layer), work.carried[0]
            gradient, memories, unit = own.forward.state, own.dc[0], work.units[layer]
            if layer < L - 1:
                _carry(work.layers.deltas[layer + 1], 0, 1, own, work.carried)
                unit = join(come, unit_above, gradient, memories, unit)
            elif i >= 0 and steps[i] == t:
                copy(own.rows[i], come)
                unit = join(come, np.int64(0), gradient, memories, unit)
                i -= 1
            unit_above = unit  # what deltas are in, which take_full_back leaves
            work.units[layer] = take_full_back(cell, t, unit, own)


@kernel
def _carry(deltas, begin, end, below, carried):
    """carried[begin..end-1] (., B, H') = the deltas of a layer through its W_xh."""
    B, width, A = deltas.shape[1], deltas.shape[2], below.window.shape[0]
    source = Rows(deltas.reshape(deltas.size), begin * B * width - A, width)
    into = rows_from(carried, begin)
    multiply(source, (end - begin) * B, A, 2 * A, below.backward, into)


@kernel
def join(part, unit, total, memories, own_unit):
    """total += part, in units of 2^own_unit and 2^unit; returns the unit of total and memories.

    That of the larger one is kept, so that nothing but what is negligible leaves the range.
    """
    size, own = frobenius(part), hypot(frobenius(total), frobenius(memories))
    if size == 0.0:
        return own_unit
    if 0.0 < own < np.inf and size < np.inf:
        if own_unit + exponent_of(own) >= unit + exponent_of(size):
            rescale(part, unit - own_unit)
            unit = own_unit
        else:
            rescale(total, own_unit - unit)
            rescale(memories, own_unit - unit)
    add(part, total)
    return unit


@kernel
def advance_stack(cell, steps, first, last, n, work, out):
    """Lags first..last-1, in order: norms, what is added up, and the rows of lag `last`."""
    L, lowest = work.units.size, layer_of(work.layers, 0)
    some = max(1, steps_at_once(lowest) // L)
    for layer in range(L):
        clear_lags(last - first, layer_of(work.layers, layer))
    for begin in range(0, steps.size, some):
        end = min(begin + some, steps.size)
        for k in range(first, last):
            start = first_row(steps, k, begin, end)
            if start < end:
                _advance_layers(cell, steps, start, end, k, k - first, n, work, out)
    for layer in range(L):
        close_sums(steps, last, layer_of(work.layers, layer))


@kernel
def _advance_layers(cell, steps, begin, end, k, lag, n, work, out):
    """Rows begin..end-1 of all layers, from lag k to the next."""
    L, lasts = work.units.size, lasting(cell)
    for layer in range(L - 1, -1, -1):
        own, found = layer_of(work.layers, layer), layer_of(out.layers, layer)
        top = measure_lag(steps, begin, end, k, lag, n, own, found)
        _join_whole(begin, end, lag, layer == L - 1, own, work)
        if layer < L - 1:
            exponents = work.layers.exponents[layer + 1]
            top = _take_over(steps, begin, end, exponents, work.carried, n, own, found)
        _measure_layer(begin, end, k, lag, own)
        pull_rows(lasts, steps, begin, end, k, own)
        if layer > 0:
            below = layer_of(work.layers, layer - 1)
            _carry(own.deltas, begin, end, below, work.carried)
        push_rows(steps, begin, end, k, lag, top, own)


@kernel
def _join_whole(begin, end, lag, new, own, work):
    """Norms of the whole state: those of a layer at which the states of the others are fixed."""
    logs, parts = work.logs[lag], work.part_logs[lag]
    for i in range(begin, end):
        for b in range(logs.shape[1]):
            found = own.logs[lag, i, b]
            logs[i, b] = found if new else _both(logs[i, b], found)
            for p in range(parts.shape[2]):
                found = own.part_logs[lag, i, b, p]
                parts[i, b, p] = found if new else _both(parts[i, b, p], found)


@kernel
def _both(a, b):
    """ln of the norm of two parts; NaN where one of them is."""
    return log_add_squares(a, b) if a == a and b == b else np.nan


@kernel
def _take_over(steps, begin, end, exponents, carried, n, own, out):
    """Rows take over what has come from the layer above, and are held in their range again.

    Returns the largest exponent of a live row, or EMPTY.
    """
    rows, dc, top = own.rows, own.dc, np.int64(EMPTY)
    for i in range(begin, end):
        for b in range(rows.shape[1]):
            row, memories = rows[i, b].reshape(1, -1), dc[i, b].reshape(1, -1)
            come, unit = carried[i, b].reshape(1, -1), own.exponents[i, b]
            unit = join(come, exponents[i, b], row, memories, unit)
            norm = hypot(frobenius(row), frobenius(memories))
            if 0.0 < norm < np.inf:
                shift = held_exponent(norm, row.itemsize)
                rescale(row, -shift)
                rescale(memories, -shift)
                unit += shift
            own.exponents[i, b] = unit
            if norm != 0.0:
                top = max(top, unit)
                if not norm < np.inf and out.first_nonfinite[n] < 0:
                    out.first_nonfinite[n] = steps[i]
    return top


@kernel
def _measure_layer(begin, end, k, lag, own):
    """Norms of h by all paths, in place of those of the state; a path along memories begins."""
    for i in range(begin, end):
        for b in range(own.rows.shape[1]):
            size = frobenius(own.rows[i, b].reshape(1, -1))
            own.logs[lag, i, b] = log_of(size, own.exponents[i, b])
            if own.part_logs.shape[3] > 0:
                own.part_logs[lag, i, b, 0] = own.logs[lag, i, b]
            if k == 0:
                own.path_exponents[i, b] = own.exponents[i, b]
                for j in range(own.path.shape[2]):
                    own.path[i, b, j] = own.dc[i, b, j]


@kernel
def close_stack_lags(steps, first, last, n, work, out):
    """Statistics and windows of lags first..last-1 of network n, whose rows have moved."""
    for layer in range(work.units.size):
        own, found = layer_of(work.layers, layer), layer_of(out.layers, layer)
        close_lags(steps, first, last, n, own.logs, own.part_logs, own, found)
        missed = found.first_nonfinite[n]
        out.whole.first_nonfinite[n] = _earlier(out.whole.first_nonfinite[n], missed)
    for k in range(first, last):
        lag = k - first
        summarise(steps, k, n, work.logs[lag], work.part_logs[lag], out.whole)
