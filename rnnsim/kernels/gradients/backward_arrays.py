"""What a backward pass fills, and the scratch that it works in."""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import scratch
from rnnsim.kernels.arithmetic.jit import allocator
from rnnsim.kernels.arithmetic.products import empty_panels, padded, spaced
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.gradients.steps import kept_size, later_size, memory_size
from rnnsim.kernels.gradients.unfolding import ForwardWork, block_steps, forward_work


@by_reference
class StepNorms(NamedTuple):
    """||dL/dW^(t)||_F for t = 1..T, each (N, T) float64; gates (N, T, G): of the blocks of W_hh."""

    W_xh: np.ndarray
    W_hh: np.ndarray
    W_hy: np.ndarray
    gates: np.ndarray


@by_reference
class GradientArrays(NamedTuple):
    """What a backward pass returns; `weights` holds dL/dW in the shapes of the weights.

    loss (N,) float64, h0 (N, B, S), step_norms, state_norms (N, T+1): the Frobenius norm of the
    gradient with respect to the whole state of step t = 0..T; first_nonfinite (N,) int64; each.
    """

    loss: np.ndarray
    weights: Weights
    h0: np.ndarray
    step_norms: StepNorms
    state_norms: np.ndarray
    first_nonfinite: np.ndarray
    each: "EachStep"


@by_reference
class EachStep(NamedTuple):
    """What a backward pass writes down of every step, where asked for: otherwise of size 0.

    states (N, T+1, B, S): dL/dh_t and dL/dc_t, of step 0..T; errors (N, T, B, A+V): dL/da_t and
    dL/dy_t of step t = 1..T.
    """

    states: np.ndarray
    errors: np.ndarray


@by_reference
class BackwardWork(NamedTuple):
    """Scratch of one thread, for one network at a time, C steps stored at once.

    forward: ForwardWork; errors (rows+1, B, Q'): row [s, b] is [delta_{t+1}, dL/dy_t] for step
    t = begin + s of a block, of A + V entries; backward: packed [W_hh; W_hy]; gradient (b, H'):
    dL/dh_t; dc (B, C*H'): dL/dc_t of the memories, or what else a step hands back. recurrent
    (A, P') and readout (V, P'): the gradients that a block adds; factors (2, block) and squares
    (A/H + 1, block, P') for their norms, recurrent first. checkpoints (stretches, B, H) and
    memories (stretches, B, M*H'); final (., B, M*H) float64: dl/dc_T of what follows the network,
    or of size 0; scored (T,) bool: whether a step has loss; marks (3,) int64: the
    last step with loss, the first state that is not finite, and 1 where the inputs of the network
    stand in the trace already.
    """

    forward: ForwardWork
    errors: np.ndarray
    backward: np.ndarray
    gradient: np.ndarray
    dc: np.ndarray
    recurrent: np.ndarray
    readout: np.ndarray
    squares: np.ndarray
    factors: np.ndarray
    checkpoints: np.ndarray
    memories: np.ndarray
    final: np.ndarray
    scored: np.ndarray
    marks: np.ndarray


@allocator
def gradient_arrays(weights, batch):
    """Results for an ensemble, to be filled by `bptt` or `truncated_bptt`."""
    (N, rows, H), T, B = weights.W_hh.shape, batch.inputs.shape[1], batch.inputs.shape[2]
    dtype = weights.W_hh.dtype
    return GradientArrays(
        np.empty(N, np.float64),
        Weights(
            np.empty_like(weights.W_xh),
            np.empty_like(weights.W_hh),
            np.empty((N, weights.b_y.shape[1], H), dtype),
            np.empty_like(weights.b_h),
            np.empty_like(weights.b_y),
        ),
        np.empty((N, B, batch.h0.shape[2]), dtype),
        StepNorms(
            np.empty((N, T)), np.empty((N, T)), np.empty((N, T)), np.empty((N, T, rows // H))
        ),
        np.empty((N, T + 1)),
        np.empty(N, np.int64),
        EachStep(np.empty((0, 0, 0, 0), dtype), np.empty((0, 0, 0, 0), dtype)),
    )


@allocator
def backward_work(weights, batch, stored, cell=0, above=0):
    """Scratch for `bptt`: one for each thread, reused for every network.

    It serves shorter batches too, where all states are stored.
    `stored` is how many steps of states are kept at once: T, or fewer to save memory.
    """
    T, B = batch.inputs.shape[1:3]
    block = block_steps(T, B, weights.W_hh.shape[2], weights.W_hh.itemsize)
    stored = min(T, -(-stored // block) * block)  # whole blocks, so that sums keep their order
    return allocate_backward(weights, batch, stored, block, block, cell, above)


@allocator
def bytes_per_step(weights, batch, cell=0):
    """What one stored step of states takes."""
    D, B = batch.inputs.shape[3], batch.inputs.shape[2]
    H, like = weights.W_hh.shape[2], weights.W_hh
    return B * (spaced(H + 1 + D, like) + kept_size(cell, H, like)) * like.itemsize


@allocator
def allocate_backward(weights, batch, stored, rows, block, cell, above=0):
    """Scratch that keeps the states of `stored` and the errors of `rows` steps.

    above: room for as many numbers that come back from a layer above, in place of outputs.
    """
    A, D, H = weights.b_h.shape[1], weights.W_xh.shape[2], weights.W_hh.shape[2]
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    like, stretches = weights.W_hh, -(-T // stored)
    width, memory = padded(H + 1 + D, like), memory_size(cell, H, like)
    return BackwardWork(
        forward_work(weights, T, B, stored, cell),
        scratch((rows + 1, B, spaced(A + max(V, above), like)), like),
        empty_panels(A + max(V, above), H, like),
        scratch((B, padded(H, like)), like),
        scratch((B, later_size(cell, H, like)), like),
        scratch((A, width), like),
        scratch((weights.b_y.shape[1], width), like),
        scratch((A // H + 1, block, width), like),
        scratch((2, block), like),
        np.empty((stretches, B, H), like.dtype),
        scratch((stretches, B, memory), like),
        np.zeros((0, 0, 0)),
        np.empty(T, np.bool_),
        np.empty(3, np.int64),
    )
