"""Which windows a flow has: all of them, or those that were chosen."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks, kernels

Floats = npt.NDArray[np.float64]
Windows = npt.NDArray[np.int64]
Choice = Literal["all"] | Sequence[int] | npt.NDArray[np.integer[Any]]


class Given(NamedTuple):
    """What a flow is asked for: scales and final of `FlowWork`, and windows, None for all."""

    scales: Floats
    final: Floats
    windows: Windows | None

    @property
    def state_scale(self) -> Floats | None:
        """The scales as a result has them."""
        return self.scales if self.scales.size else None

    @property
    def n_windows(self) -> int:
        """How many windows are chosen, -1 for all of them."""
        return -1 if self.windows is None else len(self.windows)

    def flops(self, K: int, S: int, T: int) -> float:
        """What windows cost for each sequence and weight: an outer product of each lag, or each."""
        return 2.0 * (K * S if self.windows is None else len(self.windows) * T)

    def of_sequences(self, first: int, last: int) -> "Given":
        """The same for sequences first..last-1 alone."""
        return self._replace(final=np.ascontiguousarray(self.final[:, first:last]))

    def put_into(self, work: kernels.FlowWork) -> kernels.FlowWork:
        """The scratch for what is asked for."""
        work = work._replace(scales=self.scales, final=self.final)
        return work if self.windows is None else kernels.window_work(work, self.windows)


def windows_or_none(windows: Any, K: int, T: int) -> Windows | None:
    """Chosen windows (M,), of which there may be none; None for all windows, 1..K.

    Raises
    ------
    TypeError, ValueError
        Another text than "all", what `ascending_windows` refuses.
    """
    if isinstance(windows, str) and windows == "all":
        return None
    given = checks.entries("windows", windows)
    if given is None:
        raise TypeError(
            '`windows` must be "all", () for none, or ascending integers such as [1, 10, 100], '
            f"got {checks.shown(windows)} ({type(windows).__name__})"
        )
    if not given:
        return np.empty(0, np.int64)
    listed = ascending_windows(given, K, T)
    return None if len(listed) == K else listed


def ascending_windows(windows: Any, K: int, T: int) -> Windows:
    """Windows (M,), one or more, of a sequence of T steps of which K windows are measured.

    Raises
    ------
    TypeError, ValueError
        Something else than ascending integers from 1 to K.
    """
    listed = checks.whole_numbers("windows", windows, least=1)
    if pair := checks.descent(listed):
        raise ValueError(f"`windows` must ascend, got {pair[1]} after {pair[0]}; sort them")
    if listed[-1] > K:
        most = f"n_steps = {T}, which is the whole sequence" if K == T else f"max_lag + 1 = {K}"
        raise ValueError(
            f"`windows` must be at most {most}, got {listed[-1]}; leave the longer ones out"
        )
    return listed


def chunks(K: int, at_once: int, windows: Windows | None) -> Iterator[tuple[int, int]]:
    """Ranges of lags, each at most `at_once`; chosen windows end where one of them does.

    As the kernels cut them: `rnnsim.kernels.flow.chosen.end_of_chunk`.
    """
    first, ends = 0, list(() if windows is None else map(int, windows))
    while first < K:
        last = min([first + at_once, K, *ends[:1]])
        yield first, last
        first = last
        ends = ends[1:] if ends[:1] == [last] else ends
