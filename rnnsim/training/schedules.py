"""The segments of truncated BPTT as an update rule: what each computes, and where it starts.

With stride S and window K, block j holds steps jS+1..min((j+1)S, T) and brings one update: from the
loss of that block alone, propagated back to step (j+1)S-K+1.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks

CARRIES = ("sequence", "stream", "none")


class Segment(NamedTuple):
    """Steps begin+1..end are computed; loss counts from step first+1 on.

    `keep` is the step whose state the next segment starts from, `fresh` says that this one starts
    from zero, `scored` that there is loss, so that an update follows.
    """

    begin: int
    first: int
    end: int
    keep: int
    fresh: bool
    scored: bool


def window_and_stride(
    window: int | None, stride: int | None, carry: str
) -> tuple[int | None, int | None]:
    """The settings of truncated BPTT, checked; None, None is full BPTT."""
    checks.one_of("carry", carry, CARRIES)
    if window is None:
        if stride is not None:
            raise ValueError(f"`stride` = {stride} needs a `window`; give both or neither")
        return None, None
    return checks.window_and_stride(window, stride)


def segments(
    n_steps: int,
    window: int | None,
    stride: int | None,
    carry: str,
    loss_steps: npt.NDArray[np.int64],
) -> list[Segment]:
    """The segments of one batch of T steps, in order.

    ::

        carry         a segment starts from                                 a batch starts from
        "sequence"    the state that was kept, as a value                   zero
        "stream"      the state that was kept, as a value                   where the last one ended
        "none"        zero                                                  zero

    The kept state is that of the step before the segment's first, as last computed. Segments that
    neither have loss nor lead to one are left out.

    Examples
    --------
    >>> for segment in segments(5, 2, 2, "sequence", np.arange(1, 6)):
    ...     print(segment.begin, segment.first, segment.end, segment.fresh)
    0 0 2 True
    2 2 4 False
    4 4 5 False
    """
    T = n_steps
    S = T if stride is None else min(stride, T)
    K = T if window is None else min(window, T + S)
    starts = range(0, T, S)
    begins = [max(0, start + S - K) for start in starts]
    found = []
    for start, begin, following in zip(starts, begins, [*begins[1:], T], strict=True):
        end = min(start + S, T)
        scored = bool(((loss_steps > start) & (loss_steps <= end)).any())
        fresh = carry == "none" or (carry == "sequence" and start == 0)
        found.append(Segment(begin, start, end, following, fresh, scored))
    if carry == "none":
        return [segment for segment in found if segment.scored]
    while carry == "sequence" and found and not found[-1].scored:
        found.pop()
    return found
