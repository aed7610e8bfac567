"""Lyapunov exponents: a frame is carried along a trajectory by the Jacobians J_t of its steps.

Every few steps the frame Q becomes the Q of J ... J Q = Q' R; the exponents are the means over time
of ln |R_ii| (Benettin et al. 1980, Meccanica 15, 9-20 and 21-30; Shimada and Nagashima 1979).
"""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill, scratch
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.seam import blocks, jacobian, lasting, sizes
from rnnsim.kernels.dynamics.frames import (
    FrameWork,
    frame_work,
    keep_image,
    orthonormalise,
    scale_rows,
    start_from,
    transform,
)
from rnnsim.kernels.gradients.steps import (
    StepWork,
    carry_state,
    network,
    pack_steps,
    start_state,
    step_work,
    unfold,
)

STEPS_AT_ONCE = 16  # that are unfolded at once, before the frame follows
_ROUNDING = 64.0  # epsilons, that a vector may be lost in beside the longest


@by_reference
class LyapunovArrays(NamedTuple):
    """Results for an ensemble: B sequences, M blocks of steps, k exponents.

    block_sums (N, B, M, k) float64: sums of ln |R_ii| over the steps of a block, NaN where the
    trajectory left the range before its end; lost (N, B, k) int64: how often a vector had shrunk
    beside the longest one, since they were orthonormal, by more than the root of the precision (by
    more than the precision, over a single step of a cell whose Jacobian is a sum of products);
    first_nonfinite (N, B) int64: the first step whose state is not finite, -1 if none.
    """

    block_sums: np.ndarray
    lost: np.ndarray
    first_nonfinite: np.ndarray


@by_reference
class LyapunovWork(NamedTuple):
    """Scratch of one thread, for one sequence of one network at a time.

    frame: FrameWork; steps: StepWork of a few steps of the lasting cell; jacobian (S+1, S): room
    for the Jacobian of a step, S numbers of a state (none where it is W_hh with rows scaled); logs
    (2, k) float64: of one orthonormalisation, and their sum; rank (1,) int64: the least of the
    Jacobians since the last one.
    """

    frame: FrameWork
    steps: StepWork
    jacobian: np.ndarray
    logs: np.ndarray
    rank: np.ndarray


@allocator
def lyapunov_arrays(N, B, M, k):
    """Results to be filled by `lyapunov_sums`."""
    return LyapunovArrays(
        np.full((N, B, M, k), np.nan),
        np.zeros((N, B, k), np.int64),
        np.full((N, B), -1, np.int64),
    )


@allocator
def lyapunov_work(H, D, k, like, cell=0):
    """Scratch for k exponents of networks with H units and D inputs: one for each thread."""
    (M, C, _), gates = sizes(cell), len(blocks(cell)[0])
    S = (1 + M) * H  # numbers of a state
    return LyapunovWork(
        frame_work(S, k, like),
        step_work(gates * H, H, D, 1, STEPS_AT_ONCE, like, lasting(cell)),
        scratch((S + 1 if C > 0 else 0, S), like),
        np.zeros((2, k)),
        np.zeros(1, np.int64),
    )


@kernel
def lyapunov_sums(weights, inputs, h0, cell, vectors, ends, every, start, stop, work, out):
    """Sums over blocks of steps, for networks start..stop-1 along every sequence.

    inputs (1 or N, T or 1, B, D), where a single step is repeated; h0 (1 or N, B, S); vectors
    (S, k) span the first frame; ends (M+1,) int64: the last step of the burn-in and of every block;
    the frame is made orthonormal after `every` steps. work from `lyapunov_work`, out from
    `lyapunov_arrays`.
    """
    for n in range(start, stop):
        for b in range(inputs.shape[2]):
            begin_lyapunov(weights, h0, vectors, n, b, work)
            begin = 0
            for m in range(ends.size):
                lyapunov_steps(weights, inputs, cell, n, b, begin, ends[m], every, work, out)
                close_block(n, b, m - 1, work, out)
                begin = ends[m]


@kernel
def begin_lyapunov(weights, h0, vectors, n, b, work):
    """Pack the weights of network n, set the state of sequence b, and the frame."""
    pack_steps(network(weights, n), work.steps)
    start_state(work.steps, h0[min(n, h0.shape[0] - 1), b : b + 1], weights.W_hh.shape[2])
    begin_frame(vectors, work)


@kernel
def begin_frame(vectors, work):
    """The frame that the first vectors span, and no sums."""
    start_from(vectors, work.frame, work.logs[0])
    fill(work.logs, 0.0)
    work.rank[0] = vectors.shape[0]


@kernel
def lyapunov_steps(weights, inputs, cell, n, b, first, last, every, work, out):
    """Steps first+1..last; the frame becomes orthonormal after every few, and after the last."""
    data = inputs[min(n, inputs.shape[0] - 1), :, b : b + 1]
    steps = work.steps
    lasts, longest = lasting(cell), steps.trace.shape[0] - 1
    for begin in range(first, last, longest):
        if out.first_nonfinite[n, b] >= 0:
            return
        count = min(longest, last - begin)
        nonfinite = unfold(data, begin, begin + count, 0, lasts, steps)
        if nonfinite >= 0:
            out.first_nonfinite[n, b] = nonfinite
            count = nonfinite - 1 - begin  # steps before it
        follow(lasts, weights.W_hh[n], begin - first, count, last - first, every, n, b, work, out)


@kernel
def follow(cell, W_hh, done, count, whole, every, n, b, work, out):
    """The frame follows `count` steps of the lasting cell, which stand in work.steps.

    done of the `whole` steps of this call lie behind it.
    """
    for s in range(1, count + 1):
        matrix, scales, rank = jacobian(cell, W_hh, work.steps.kept, s, 0, work.jacobian)
        work.rank[0] = min(work.rank[0], rank)
        transform(matrix, work.logs.shape[1], work.frame)
        scale_rows(scales, work.frame)
        settle(done + s, done + s == whole, every, n, b, work, out)
    carry_state(work.steps, count, W_hh.shape[1])


@kernel
def product_steps(jacobians, first, last, every, work, out):
    """The same for given matrices (T, H, H), from a frame of `begin_frame`."""
    for t in range(first, last):
        transform(jacobians[t], work.logs.shape[1], work.frame)
        keep_image(work.frame)
        settle(t + 1 - first, t + 1 == last, every, 0, 0, work, out)


@kernel
def settle(steps, final, every, n, b, work, out):
    """Make the frame orthonormal if it is time to, and add up what came out."""
    if steps % every != 0 and not final:
        return
    k = work.logs.shape[1]
    now, total = work.logs[0], work.logs[1]
    fill(now, 0.0)
    orthonormalise(k, work.frame, now)
    longest = -np.inf
    for i in range(k):
        longest = max(longest, now[i])
    single, dense = work.steps.trace.itemsize == 4, work.jacobian.size > 0
    if every > 1:
        limit = longest + math.log(3.5e-4 if single else 1.5e-8)
    else:  # rows of one matrix with scales keep their digits, sums of several do not
        limit = longest + math.log(_ROUNDING * (1.2e-7 if single else 2.2e-16))
    for i in range(k):
        if i >= work.rank[0]:  # no more directions are left
            now[i] = -np.inf
        elif now[i] < limit and (every > 1 or dense):
            out.lost[n, b, i] += 1
        total[i] += now[i]
    work.rank[0] = work.frame.order.size


@kernel
def close_block(n, b, m, work, out):
    """The sums since the last call become those of block m; of the burn-in (-1) they are dropped.

    NaN where the trajectory has left the range.
    """
    if m >= 0 and out.first_nonfinite[n, b] < 0:
        for i in range(work.logs.shape[1]):
            out.block_sums[n, b, m, i] = work.logs[1, i]
    fill(work.logs, 0.0)
