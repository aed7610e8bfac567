"""One large network on several threads: its sequences are divided among the members of a team.

Rows of different sequences never meet in the recurrence, so members run it without waiting for one
another; they meet where gradients are summed over sequences, and there each takes some columns.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from rnnsim import kernels, parallel
from rnnsim.kernels.gradients.backward import (
    begin_bptt,
    end_bptt,
    forward_steps,
    mark_nonfinite,
    sweep,
)
from rnnsim.kernels.gradients.backward_arrays import allocate_backward
from rnnsim.kernels.gradients.blocks import (
    add_block,
    backward_block,
    outer_block,
    score_block,
    set_factors,
)

_MOST_STEPS = 256  # between two meetings
_BLOCK_BYTES = 2**22  # of errors: they are still in the cache when their outer products are taken

Phase = Callable[[int], None]


def bptt(
    weights: kernels.Weights,
    batch: kernels.Batch,
    cell: Any,
    stored: int,
    members: int,
    final: np.ndarray,
    out: kernels.GradientArrays,
) -> None:
    """`kernels.bptt` of a single network by a team; equal to it up to the order of sums."""
    T, B = batch.inputs.shape[1:3]
    A, V, itemsize = weights.b_h.shape[1], weights.W_hy.shape[1], weights.W_hh.itemsize
    block = min(_MOST_STEPS, max(8, _BLOCK_BYTES // (B * (A + V) * itemsize)), T)
    stored = min(T, -(-stored // block) * block)
    common = allocate_backward(weights, batch, stored, block, block, cell)._replace(final=final)
    works = [_member(weights, cell, common, share, T) for share in parallel.shares(B, members)]
    outs = [
        out._replace(loss=np.zeros(1), state_norms=np.zeros((1, T + 1))) for _ in range(members)
    ]
    begin_bptt(weights, batch, 0, common, out)
    for work in works:
        work.marks[:] = common.marks
    parallel.in_step(members, _phases(batch, cell, stored, block, works, outs))
    out.loss[0] = sum(part.loss[0] for part in outs)
    out.state_norms[0] = 0.0
    for part in outs:
        np.hypot(out.state_norms, part.state_norms, out=out.state_norms)
    steps = [int(work.marks[1]) for work in works if work.marks[1] >= 0]
    mark_nonfinite(0, min(steps, default=-1), out)


def _member(
    weights: kernels.Weights,
    cell: Any,
    common: kernels.BackwardWork,
    share: tuple[int, int],
    T: int,
) -> kernels.BackwardWork:
    """The common workspace with a member's own share and scratch for it."""
    B = share[1] - share[0]
    own = kernels.forward_work(weights, T, B, 0, cell)
    forward = common.forward._replace(
        share=np.array(share), pre=own.pre, state=own.state, score=own.score
    )
    gradient = np.zeros((B, common.gradient.shape[1]), common.gradient.dtype)
    return common._replace(forward=forward, gradient=gradient, marks=common.marks.copy())


def _phases(
    batch: kernels.Batch,
    cell: Any,
    stored: int,
    block: int,
    works: list[kernels.BackwardWork],
    outs: list[kernels.GradientArrays],
) -> Iterator[Phase]:
    """Forward through all stretches; back through them, block by block."""
    T, last = batch.inputs.shape[1], int(works[0].marks[0])
    for begin, end, back in sweep(T, stored):
        if not back:
            for first in range(begin, end, block):
                yield partial(_forward, batch, cell, first, min(first + block, end), works)
            continue
        for first in reversed(range(begin, min(end, last), block)):
            count = min(first + block, last) - first
            yield partial(_take_back, batch, cell, first, count, works, outs)
            yield partial(_multiply, first, count, works)
            yield partial(_add, first, count, works, outs)
    yield lambda m: end_bptt(0, works[m], outs[m])


# What one member does in a phase.


def _forward(
    batch: kernels.Batch, cell: Any, begin: int, end: int, works: list[kernels.BackwardWork], m: int
) -> None:
    forward_steps(batch, cell, 0, begin, end, works[m])


def _take_back(
    batch: kernels.Batch,
    cell: Any,
    first: int,
    count: int,
    works: list[kernels.BackwardWork],
    outs: list[kernels.GradientArrays],
    m: int,
) -> None:
    score_block(batch, first, count, 0, 0, works[m], outs[m])
    backward_block(cell, first, count, 0, works[m], outs[m])
    if m == 0:  # of one share as good as of all
        set_factors(first, count, 0, works[0], outs[0])


def _multiply(first: int, count: int, works: list[kernels.BackwardWork], m: int) -> None:
    outer_block(first, count, 0, m, len(works), works[m])


def _add(
    first: int,
    count: int,
    works: list[kernels.BackwardWork],
    outs: list[kernels.GradientArrays],
    m: int,
) -> None:
    if m == 0:  # too little to divide
        add_block(first, count, 0, 0, works[0], outs[0])
