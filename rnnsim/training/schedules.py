"""The segments of truncated BPTT as an update rule: what each computes, and where it starts.

With stride S and window K, block j holds steps jS+1..min((j+1)S, T) and brings one update: from the
loss of that block alone, propagated back to step (j+1)S-K+1.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.kernels.training.learning import Segment

CARRIES = ("sequence", "stream", "none")


def truncation_of(
    window: int | None, stride: int | None, carry: str
) -> tuple[int | None, int | None]:
    """The settings of truncated BPTT, checked; None, None is full BPTT."""
    checks.one_of("carry", carry, CARRIES)
    if window is None:
        if stride is not None:
            raise ValueError(f"`stride` = {stride} needs a `window`; give both or neither")
        return None, None
    return checks.window_and_stride(window, stride)


def truncations_of(
    window: Any, stride: int | None, carry: str, n_networks: int
) -> tuple[list[int] | None, int | None]:
    """The same with one window for all networks, [K], or one for each, (N,)."""
    given = checks.entries("window", window)
    if given is None:
        K, S = truncation_of(window, stride, carry)
        return None if K is None else [K], S
    checks.one_of("carry", carry, CARRIES)
    kind = "an integer, or an (n_networks,) array of integers"
    windows = checks.whole_numbers("window", given, least=1, kind=kind).tolist()
    if len(windows) != n_networks:
        raise ValueError(
            f"`window` must be an integer or of shape (n_networks,) = ({n_networks},), got "
            f"{len(windows)} values; give one for each network"
        )
    if stride is None and len(set(windows)) > 1:
        raise ValueError(
            f"`window` differs between networks ({min(windows)} to {max(windows)}), which make "
            f"their updates after the same blocks: give `stride`, {min(windows)} or less"
        )
    _, S = checks.window_and_stride(min(windows), stride)
    return windows, S


def truncation_schedule(
    n_steps: int,
    window: int | None = None,
    stride: int | None = None,
    *,
    carry: str = "sequence",
    loss_steps: Iterable[int] | None = None,
) -> list[Segment]:
    """What `train` computes of one batch, segment by segment, with truncated BPTT.

    ::

        block j      steps jS+1..min((j+1)S, T); its loss, and no other, brings one update
        segment j    from step max((j+1)S-K, 0) + 1 to the end of block j: what is computed

    Where a segment starts from, and what is left out, depends on `carry`::

        carry         a segment starts from                                 a batch starts from
        "sequence"    the state that was kept, as a value                   zero
        "stream"      the state that was kept, as a value                   where the last one ended
        "none"        zero                                                  zero

    The kept state is that of the step before the segment's first, as last computed. Segments that
    neither have loss nor lead to one are left out.

    Parameters
    ----------
    n_steps : int
        T.
    window, stride : int, optional
        K and S, as in `train`: S = K unless given, and one segment for all T without a window.
    carry : {"sequence", "stream", "none"}
    loss_steps : iterable of int, optional
        The steps 1..T that carry loss, as `Sequences.loss_steps`; all unless given.

    Returns
    -------
    list of Segment
        In order. Steps ``begin + 1`` to ``end`` are computed, and loss counts from step
        ``first + 1`` on; ``scored`` says that there is some, so that an update follows; ``fresh``
        that the segment starts from zero; ``keep`` is the step whose state the next one starts
        from; ``closes`` that an update follows at once (see `accumulate` of `train`).

    Raises
    ------
    TypeError, ValueError
        n_steps, a window or a stride below 1 or not an integer, a stride without a window or above
        it, an unknown carry, loss steps outside 1..T.

    Examples
    --------
    >>> for segment in truncation_schedule(5, window=2):
    ...     print(segment.begin, segment.first, segment.end, segment.fresh)
    0 0 2 True
    2 2 4 False
    4 4 5 False
    """
    T = checks.size("n_steps", n_steps)
    K, S = truncation_of(window, stride, carry)
    if loss_steps is None:
        return segments(T, K, S, carry, np.arange(1, T + 1))
    steps = checks.whole_numbers("loss_steps", loss_steps, least=1)
    if steps.max() > T:
        raise ValueError(
            f"`loss_steps` must be at most n_steps = {T}, got {steps.max()}; steps count from 1"
        )
    return segments(T, K, S, carry, steps)


def schedules(
    n_steps: int,
    windows: list[int] | None,
    stride: int | None,
    carry: str,
    loss_steps: npt.NDArray[np.int64],
) -> list[list[Segment]]:
    """Segments of all networks, or of each; they differ in where they begin and what they keep."""
    if windows is None:
        return [segments(n_steps, None, None, carry, loss_steps)]
    return [segments(n_steps, K, stride, carry, loss_steps) for K in windows]


def segments(
    n_steps: int,
    window: int | None,
    stride: int | None,
    carry: str,
    loss_steps: npt.NDArray[np.int64],
) -> list[Segment]:
    """`truncation_schedule` below the border: of settings that are known to be sound."""
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
        found.append(Segment(0, begin, start, end, following, fresh, 0 if scored else -1))
    if carry == "none":
        return [segment for segment in found if segment.scored]
    while carry == "sequence" and found and not found[-1].scored:
        found.pop()
    return found
