"""Gradients of stacks: the kernels of all layers together, and what people read of them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from rnnsim import kernels, parallel
from rnnsim.checks import FloatArray
from rnnsim.gradients.every_step import fields_of, gradient_arrays
from rnnsim.gradients.memory import steps_stored
from rnnsim.gradients.simulation import run_layers
from rnnsim.kernels import StepNorms, Weights
from rnnsim.kernels.arithmetic.jit import layer_of
from rnnsim.kernels.gradients.backward import sweep
from rnnsim.kernels.gradients.blocks import score_until
from rnnsim.kernels.gradients.truncated import (
    depths,
    end_products,
    end_steps,
    finish_truncated,
)
from rnnsim.kernels.stacks.gradients import (
    begin_stack,
    end_stack,
    of_one,
    stack_backward_steps,
    stack_backward_work,
    stack_bptt,
    stack_forward_steps,
    widest,
)
from rnnsim.kernels.stacks.layers import in_layers, layered
from rnnsim.kernels.stacks.truncated import (
    mark_stack,
    stack_truncated_work,
    start_stack,
    sweep_stack,
)
from rnnsim.networks.binding import weights_for
from rnnsim.networks.stack import Stack
from rnnsim.networks.states import by_layer, cell_of


class Bound(NamedTuple):
    """A stack as kernels take it: Weights of each layer, the same as one, and the cell's code."""

    layers: tuple[Weights, ...]
    weights: Weights
    cell: Any


def bound(stack: Stack, batch: kernels.Batch) -> Bound:
    """The weights of all layers, of which the top reads out what the batch scores."""
    layers = weights_for(stack, batch)
    return Bound(layers, layered(layers), cell_of(stack))


def result_arrays(
    stack: Bound, batch: kernels.Batch, kept: frozenset[str]
) -> kernels.GradientArrays:
    """Room for the gradients of all layers, and for what is kept."""
    one = gradient_arrays(widest(stack.layers), of_one(batch, stack.layers), kept)
    return in_layers(one, len(stack.layers))


def run_stack_bptt(
    stack: Stack,
    batch: kernels.Batch,
    n_threads: int | None,
    memory: float,
    *,
    flops: float,
    kept: frozenset[str],
    final: FloatArray,
) -> kernels.GradientArrays:
    """`bptt` of stacks below the border; flops: the arithmetic of one network."""
    given, T = bound(stack, batch), batch.inputs.shape[1]
    out = result_arrays(given, batch, kept)
    crew = min(parallel.thread_count(n_threads), len(stack))
    per_step = kernels.bytes_per_step(widest(given.layers), batch, given.cell) * stack.n_layers
    stored = steps_stored(len(stack), T, per_step, memory / crew, flops=flops / (3 * T))

    def prepare() -> parallel.Worker:
        work = stack_backward_work(given.layers, batch, stored, given.cell, final)

        def worker(start: int, stop: int) -> Iterator[None]:
            if flops <= parallel.FLOPS_PER_CALL:
                stack_bptt(given.weights, batch, given.cell, start, stop, work, out)
                yield
                return
            chunk = int(T * parallel.FLOPS_PER_CALL / flops)
            for n in range(start, stop):
                yield from _in_pieces(given, batch, n, chunk, work, out)

        return worker

    parallel.over_networks(len(stack), n_threads, prepare, flops=flops)
    return out


def _in_pieces(
    stack: Bound,
    batch: kernels.Batch,
    n: int,
    chunk: int,
    work: kernels.BackwardWork,
    out: kernels.GradientArrays,
) -> Iterator[None]:
    """`stack_bptt` of one long network, in compiled calls of about `chunk` steps."""
    T, block, stored = batch.inputs.shape[1], work.factors.shape[2], work.forward.trace.shape[1] - 1
    begin_stack(stack.weights, batch, n, work, out)
    for begin, end, back in sweep(T, stored):
        pieces = [(begin + a, begin + b) for a, b in parallel.pieces(end - begin, chunk, block)]
        for first, last in reversed(pieces) if back else pieces:
            if back:
                stack_backward_steps(batch, stack.cell, n, first, last, work, out)
            else:
                stack_forward_steps(batch, stack.cell, n, first, last, work)
            yield
    end_stack(n, work, out)


def truncated_of_stack(
    stack: Stack,
    batch: kernels.Batch,
    truncation: tuple[int, int],
    chunks: tuple[int, int],
    kept: frozenset[str],
    final: FloatArray,
) -> tuple[kernels.GradientArrays, Callable[[], parallel.Worker]]:
    """Results, and what makes the workers that fill them; chunks: of steps and of depths."""
    given, T, (K, S) = bound(stack, batch), batch.inputs.shape[1], truncation
    out, top = result_arrays(given, batch, kept), stack.n_layers - 1
    first, last = depths(T, K, S)

    def prepare() -> parallel.Worker:
        work = stack_truncated_work(given.layers, batch, S, given.cell, final)

        def worker(start: int, stop: int) -> Iterator[None]:
            for n in range(start, stop):
                start_stack(given.weights, batch, n, work, out)
                for a, b in parallel.pieces(T, chunks[0]):
                    stack_forward_steps(batch, given.cell, n, a, b, work.common)
                    yield
                found = layer_of(out, top)
                yield from score_all(batch, n, chunks[0], layer_of(work.common, top), found)
                for a, b in parallel.pieces(last - first, chunks[1]):
                    sweep_stack(given.cell, K, S, first + a, first + b, work)
                    yield
                for index in range(top, -1, -1):
                    own, found = layer_of(work, index), layer_of(out, index)
                    yield from end_truncated(given.cell, n, T, chunks[0], own, found)
                    finish_truncated(n, own, found)
                mark_stack(n, work.common.marks, out)

        return worker

    return out, prepare


def score_all(
    batch: kernels.Batch,
    n: int,
    chunk: int,
    work: kernels.BackwardWork,
    out: kernels.GradientArrays,
) -> Iterator[None]:
    """Losses of all steps of one network, in compiled calls of about `chunk` steps."""
    T, s = batch.inputs.shape[1], 1
    while s <= T:
        s = score_until(batch, 0, T, 0, s, s + chunk, n, work, out)
        yield


def end_truncated(
    cell: Any,
    n: int,
    T: int,
    chunk: int,
    work: kernels.TruncatedWork,
    out: kernels.GradientArrays,
) -> Iterator[None]:
    """Gradients of one network from the sums over its sweeps, likewise."""
    for first, last in parallel.pieces(T, chunk):
        end_steps(cell, n, first, last, work, out)
        yield
    for first, last in parallel.pieces(T, chunk, work.common.factors.shape[1]):
        end_products(n, first, last, work, out)
        yield


def layers_of(stack: Stack, out: kernels.GradientArrays) -> tuple[Weights, ...]:
    """dL/dW of each layer, in the shapes of its weights."""
    found = []
    for index, layer in enumerate(stack.layers):
        arrays = zip(layer_of(out.weights, index), layer.weights, strict=True)
        shaped = (a[tuple(slice(size) for size in w.shape)] for a, w in arrays)
        found.append(Weights(*map(np.ascontiguousarray, shaped)))
    return tuple(found)


def step_norms_of(out: kernels.GradientArrays) -> StepNorms:
    """(N, L, T), of the readout (N, T), and of gates (N, L, T, G)."""
    norms = out.step_norms
    W_xh, W_hh, gates = (np.moveaxis(a, 0, 1).copy() for a in (norms.W_xh, norms.W_hh, norms.gates))
    return StepNorms(W_xh, W_hh, norms.W_hy[-1], gates)


def kept_of(
    stack: Stack, batch: kernels.Batch, out: kernels.GradientArrays, kept: frozenset[str]
) -> dict[str, Any]:
    """What is kept of all layers, by the names of `Gradients`."""
    found: list[dict[str, Any]] = []
    starts, x = by_layer(stack, batch.h0), batch.inputs
    runs = run_layers(stack, x, batch.h0, None)
    for index, (layer, start) in enumerate(zip(stack.layers, starts, strict=True)):
        own = batch._replace(inputs=x, h0=start)
        asked = kept - {"inputs"} if index else kept
        found.append(fields_of(layer, own, layer_of(out.each, index), asked))
        if "steps" in kept and index + 1 < stack.n_layers:
            x = np.ascontiguousarray(next(runs)[1][:, 1:, :, : stack.n_hidden])
    fields: dict[str, Any] = {}
    for name in ("states", "memories"):
        if found[0].get(name) is not None:
            fields[name] = np.stack([each[name] for each in found], axis=1)
    if "inputs" in kept:
        fields["inputs"] = found[0]["inputs"]
    if "steps" in kept:
        fields["steps"] = tuple(each["steps"] for each in found)
    return fields
