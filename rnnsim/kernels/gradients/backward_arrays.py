"""What a backward pass fills, and the scratch that it works in."""

from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.jit import allocator
from rnnsim.kernels.arithmetic.products import empty_panels, padded
from rnnsim.kernels.cells.layout import Weights
from rnnsim.kernels.cells.seam import sizes
from rnnsim.kernels.gradients.unfolding import ForwardWork, block_steps, forward_work, memory_size


class StepNorms(NamedTuple):
    """||dL/dW^(t)||_F for t = 1..T, each (N, T) float64."""

    W_xh: np.ndarray
    W_hh: np.ndarray
    W_hy: np.ndarray


class GradientArrays(NamedTuple):
    """What a backward pass returns; `weights` holds dL/dW in the shapes of the weights.

    loss (N,) float64, h0 (N, B, H), step_norms, state_norms (N, T+1) = ||dL/dh_t||_F for t = 0..T,
    first_nonfinite (N,) int64.
    """

    loss: np.ndarray
    weights: Weights
    h0: np.ndarray
    step_norms: StepNorms
    state_norms: np.ndarray
    first_nonfinite: np.ndarray


class BackwardWork(NamedTuple):
    """Scratch of one thread, for one network at a time, C steps stored at once.

    forward: ForwardWork; errors (rows+1, B, Q'): row [s, b] is [delta_{t+1}, dL/dy_t] for step
    t = begin + s of a block, of A + V entries; backward: packed [W_hh; W_hy]; gradient (b, H'):
    dL/dh_t; dc (B, M*H'): dL/dc_t of the memories. recurrent (A, P') and readout (V, P'): the
    gradients that a block adds; squares (2, block, P') and factors (2, block) for their norms,
    recurrent first. checkpoints (stretches, B, H) and memories (stretches, B, M*H'); scored (T,)
    bool: whether a step has loss; marks (2,) int64: the last step with loss, and the first state
    that is not finite.
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
    scored: np.ndarray
    marks: np.ndarray


@allocator
def gradient_arrays(weights, batch):
    """Results for an ensemble, to be filled by `bptt` or `truncated_bptt`."""
    (N, A, D), H = weights.W_xh.shape, weights.W_hh.shape[2]
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    dtype = weights.W_hh.dtype
    return GradientArrays(
        np.empty(N, np.float64),
        Weights(
            np.empty((N, A, D), dtype),
            np.empty((N, A, H), dtype),
            np.empty((N, V, H), dtype),
            np.empty((N, A), dtype),
            np.empty((N, V), dtype),
        ),
        np.empty((N, B, H), dtype),
        StepNorms(np.empty((N, T)), np.empty((N, T)), np.empty((N, T))),
        np.empty((N, T + 1)),
        np.empty(N, np.int64),
    )


@allocator
def backward_work(weights, batch, stored, cell=0):
    """Scratch for `bptt`: one for each thread, reused for every network.

    It serves shorter batches too, where all states are stored.
    `stored` is how many steps of states are kept at once: T, or fewer to save memory.
    """
    T, B = batch.inputs.shape[1:3]
    block = block_steps(T, B, weights.W_hh.shape[2], weights.W_hh.itemsize)
    stored = min(T, -(-stored // block) * block)  # whole blocks, so that sums keep their order
    return allocate_backward(weights, batch, stored, block, block, cell)


@allocator
def bytes_per_step(weights, batch, cell=0):
    """What one stored step of states takes."""
    D, B = batch.inputs.shape[3], batch.inputs.shape[2]
    H, like = weights.W_hh.shape[2], weights.W_hh
    return B * (padded(H + 1 + D, like) + sizes(cell)[2] * padded(H, like)) * like.itemsize


@allocator
def allocate_backward(weights, batch, stored, rows, block, cell):
    """Scratch that keeps the states of `stored` and the errors of `rows` steps."""
    (_, A, D), H = weights.W_xh.shape, weights.W_hh.shape[2]
    V, T, B = weights.W_hy.shape[1], batch.inputs.shape[1], batch.inputs.shape[2]
    like, stretches = weights.W_hh, -(-T // stored)
    width, memory = padded(H + 1 + D, like), memory_size(cell, H, like)
    return BackwardWork(
        forward_work(weights, T, B, stored, cell),
        np.zeros((rows + 1, B, padded(A + V, like)), like.dtype),
        empty_panels(A + V, H, like),
        np.zeros((B, padded(H, like)), like.dtype),
        np.zeros((B, memory), like.dtype),
        np.zeros((A, width), like.dtype),
        np.zeros((V, width), like.dtype),
        np.zeros((2, block, width), like.dtype),
        np.zeros((2, block), like.dtype),
        np.empty((stretches, B, H), like.dtype),
        np.zeros((stretches, B, memory), like.dtype),
        np.empty(T, np.bool_),
        np.empty(2, np.int64),
    )
