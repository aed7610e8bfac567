"""What the gates of a cell do along its trajectories: sums and counts, no value is kept."""

import math
from typing import NamedTuple

import numpy as np

from rnnsim.kernels.arithmetic.arrays import fill
from rnnsim.kernels.arithmetic.functions import exp
from rnnsim.kernels.arithmetic.jit import allocator, kernel
from rnnsim.kernels.arithmetic.products import multiply, rows_from, rows_of
from rnnsim.kernels.arithmetic.references import by_reference
from rnnsim.kernels.cells.seam import advance, blocks, gates
from rnnsim.kernels.gradients.steps import (
    StepWork,
    carry_state,
    keep_state,
    network,
    pack_steps,
    put_inputs,
    start_state,
    step_work,
)

# Log odds are counted in bins of 1/PER_UNIT from -FURTHEST to FURTHEST; the last take the rest.
FURTHEST, PER_UNIT = 40, 512


@by_reference
class GateArrays(NamedTuple):
    """Results for an ensemble with G gates.

    sums (N, G, H) float64: of the values; low, high (N, G, H) int64: how many of them are extreme;
    logs (N, H) float64: the sum of ln of the gate that keeps the state; first_nonfinite (N,) int64:
    the first step whose state is not finite, -1 if none, where all of this ends.
    """

    sums: np.ndarray
    low: np.ndarray
    high: np.ndarray
    logs: np.ndarray
    first_nonfinite: np.ndarray


@by_reference
class GateWork(NamedTuple):
    """Scratch of one thread, for one network at a time.

    steps: StepWork of one step; values, odds (B, G*H): of its gates; counts (G, bins) int64: of log
    odds since `begin_gates`; extremes (2, G): the least and the largest of them.
    """

    steps: StepWork
    values: np.ndarray
    odds: np.ndarray
    counts: np.ndarray
    extremes: np.ndarray


@allocator
def gate_arrays(N, G, H):
    """Results to be filled by `gate_steps`."""
    return GateArrays(
        np.zeros((N, G, H)),
        np.zeros((N, G, H), np.int64),
        np.zeros((N, G, H), np.int64),
        np.zeros((N, H)),
        np.full(N, -1, np.int64),
    )


@allocator
def gate_work(G, H, D, B, like, cell):
    """Scratch for B sequences of networks with G gates, H units and D inputs."""
    return GateWork(
        step_work(len(blocks(cell)[0]) * H, H, D, B, 1, like, cell),
        np.zeros((B, G * H), like.dtype),
        np.zeros((B, G * H), like.dtype),
        np.zeros((G, 2 * FURTHEST * PER_UNIT), np.int64),
        np.zeros((2, G)),
    )


@kernel
def begin_gates(weights, h0, n, work):
    """Pack the weights of network n, set its states, and count from 0."""
    pack_steps(network(weights, n), work.steps)
    start_state(work.steps, h0[min(n, h0.shape[0] - 1)], weights.W_hh.shape[2])
    fill(work.counts, 0)
    fill(work.extremes[0], np.inf)
    fill(work.extremes[1], -np.inf)


@kernel
def gate_steps(inputs, cell, keeps, bounds, n, first, last, skipped, work, out):
    """Steps first+1..last of network n, of which those up to `skipped` do not count.

    inputs (1 or N, T, B, D); keeps: the gate whose ln is added up; bounds (G, 2) float64: values
    below the one and above the other are extreme. work after `begin_gates`, out from `gate_arrays`.
    """
    steps, H = work.steps, out.logs.shape[1]
    data, P, B = inputs[min(n, inputs.shape[0] - 1)], steps.recurrent.shape[1], inputs.shape[2]
    for t in range(first, last):
        if out.first_nonfinite[n] >= 0:
            return
        put_inputs(data, t, steps, 0, H)
        multiply(rows_from(steps.trace, 0), B, 0, P, steps.recurrent, rows_of(steps.pre, 0))
        gates(cell, steps.pre, work.values, work.odds, H)
        advance(cell, steps.pre, steps.trace[0], steps.state, steps.kept, 1, 0, H)
        if keep_state(steps, 1, H) != 0:
            out.first_nonfinite[n] = t + 1
        elif t >= skipped:
            _count(keeps, bounds, n, work, out)
        carry_state(steps, 1, H)


@kernel
def _count(keeps, bounds, n, work, out):
    """Add up one step."""
    G, H = out.sums.shape[1:]
    top = work.counts.shape[1] - 1
    for b in range(work.values.shape[0]):
        for gate in range(G):
            low, high = bounds[gate, 0], bounds[gate, 1]
            least, most = work.extremes[0, gate], work.extremes[1, gate]
            for j in range(H):
                value, odds = work.values[b, gate * H + j], work.odds[b, gate * H + j]
                out.sums[n, gate, j] += value
                out.low[n, gate, j] += value < low
                out.high[n, gate, j] += value > high
                least, most = min(least, odds), max(most, odds)
                place = (min(max(odds, -FURTHEST), FURTHEST) + FURTHEST) * PER_UNIT
                work.counts[gate, min(int(place), top)] += 1
            work.extremes[0, gate], work.extremes[1, gate] = least, most
        for j in range(H):
            odds = np.float64(work.odds[b, keeps * H + j])  # ln sigma, also near 0 and 1
            out.logs[n, j] += min(odds, 0.0) - math.log1p(exp(-abs(odds)))
