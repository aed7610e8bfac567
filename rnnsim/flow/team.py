"""The gradient flow of one large network on several threads: its sequences are divided.

Members move the rows of their own sequences; they meet where lags are summed up.
"""

from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import kernels, parallel
from rnnsim.flow.chosen import Given, chunks
from rnnsim.kernels.flow.chosen import start_sums
from rnnsim.kernels.flow.flow import begin_flow, close_lags, merge_full, start_windows
from rnnsim.kernels.flow.lags import advance_rows, merge_lags


def gradient_flow(
    weights: kernels.Weights,
    batch: kernels.Batch,
    cell: Any,
    steps: npt.NDArray[np.int64],
    members: int,
    given: Given,
    out: kernels.FlowArrays,
) -> None:
    """`kernels.gradient_flow` of a single network by a team; equal up to the order of sums."""
    T, B = batch.inputs.shape[1:3]
    K, S, lags = out.log_norms.shape[2], steps.size, kernels.lags_at_once(T, B, steps.size)
    parts = [sequences_of(batch, share) for share in parallel.shares(B, members)]
    givens = [given.of_sequences(a, b) for a, b in parallel.shares(B, members)]
    works = [
        each.put_into(kernels.flow_work(weights, part, S, lags, cell))
        for part, each in zip(parts, givens, strict=True)
    ]
    outs = [kernels.flow_arrays(weights, part, S, 1, False) for part in parts]
    sizes = np.array([part.inputs.shape[2] for part in parts])

    def begin(m: int) -> None:
        begin_flow(weights, parts[m], cell, steps, 0, works[m], outs[m])

    def join(m: int) -> None:
        if m == 0:
            for other in works[1:]:
                merge_full(works[0], other)
            out.mean_slope[0] = sizes @ [part.mean_slope[0] for part in outs] / B
            out.saturated[0] = sizes @ [part.saturated[0] for part in outs] / B
            out.first_nonfinite[0] = _earliest(outs)
            start_windows(0, works[0], out)

    def start(m: int) -> None:
        start_sums(works[m], works[0])

    def advance(first: int, last: int, m: int) -> None:
        advance_rows(cell, steps, first, last, 0, works[m], outs[m])

    def close(first: int, last: int, m: int) -> None:
        if m == 0:
            for other in works[1:]:
                merge_lags(last - first, works[0], other)
            logs = np.concatenate([work.logs for work in works], axis=2)
            part_logs = np.concatenate([work.part_logs for work in works], axis=2)
            if out.first_nonfinite[0] < 0:
                out.first_nonfinite[0] = _earliest(outs)
            close_lags(steps, first, last, 0, logs, part_logs, works[0], out)

    lagged = chunks(K, lags, given.windows)
    phases = (partial(phase, *ends) for ends in lagged for phase in (advance, close))
    parallel.in_step(members, chain([begin, join, start], phases))


def sequences_of(batch: kernels.Batch, share: tuple[int, int]) -> kernels.Batch:
    """The part of a batch that holds sequences share[0]..share[1]-1, in memory of its own."""
    a, b = share

    def of(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(array[:, :, a:b])

    return batch._replace(
        inputs=of(batch.inputs),
        classes=of(batch.classes),
        values=of(batch.values),
        loss_weights=of(batch.loss_weights),
        h0=np.ascontiguousarray(batch.h0[:, a:b]),
    )


def _earliest(outs: list[kernels.FlowArrays]) -> int:
    steps = [int(part.first_nonfinite[0]) for part in outs if part.first_nonfinite[0] >= 0]
    return min(steps, default=-1)
