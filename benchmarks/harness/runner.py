"""Agreement first, then time: contestants take turns, so that all see the same machine."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..peers.contestants import YARDSTICKS, Arrays
from ..peers.workloads import Problem, Workload, draw
from .records import Entry, Result
from .worker import Worker

# Largest deviation from rnnsim, relative to each network's norm of each array (of logs: absolute).
# Sums over 200 steps of factors that are each rounded once differ by about 1e-15 and 1e-6.
TOLERANCE = {"float64": 1e-10, "float32": 2e-4}

_TURN = 0.3  # seconds: contestants that take less get several calls in a turn
_MOST_CALLS = 10
_HOPELESS = 20.0  # times the best of the first round: no further rounds


class Key(NamedTuple):
    """A contestant: its library, and its name within that library."""

    library: str
    name: str


@dataclass(eq=False)
class Timing:
    """Seconds of one contestant in one comparison, and how far its numbers are from rnnsim's."""

    seconds: list[float] = field(default_factory=list)
    rounds: int = 0
    dropped: bool = False
    deviation: float = float("nan")

    @property
    def best(self) -> float:
        """The shortest call."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median call."""
        return float(np.median(self.seconds))


def compare(
    workload: Workload,
    dtype: str,
    workers: Mapping[str, Worker],
    *,
    rounds: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Result:
    """Draw the problem, check that all agree with rnnsim, time all; `tell` hears what is going on.

    Raises ValueError where a contestant's numbers differ: times of different computations mean
    nothing.
    """
    problem = draw(workload, dtype)
    keys = [
        Key(library, name)
        for library, worker in workers.items()
        for name in worker.ask("prepare", problem)
    ]
    timings = {key: Timing() for key in keys}
    reference = _reference(keys, workers)
    for key in keys:
        tell(f"{workload.name} {dtype}: checking {key.library} {key.name}")
        if key.library not in YARDSTICKS:
            found = workers[key.library].ask("arrays", key.name)
            timings[key].deviation = checked(found, reference, TOLERANCE[dtype], key)
    for number in range(rounds):
        for key in keys if number % 2 == 0 else reversed(keys):
            if not timings[key].dropped:
                tell(f"{workload.name} {dtype}: round {number + 1}, {key.library} {key.name}")
                _turn(timings[key], workers[key.library], key.name)
        if number == 0:
            _drop_hopeless(timings)
    return _result(problem, dtype, timings)


def _reference(keys: Iterable[Key], workers: Mapping[str, Worker]) -> Arrays:
    ours = [key for key in keys if key.library == "rnnsim"]
    if len(ours) != 1:
        raise ValueError(f"rnnsim must have one contestant to compare with, got {len(ours)}")
    found: Arrays = workers["rnnsim"].ask("arrays", ours[0].name)
    return found


def checked(found: Arrays, reference: Arrays, tolerance: float, key: Key) -> float:
    """The largest deviation of `found` from `reference`, network by network and normwise.

    Arrays have the network axis first. Names that begin with ``log_`` hold logs: the deviation is
    that of the numbers themselves, where both are finite.
    """
    worst = 0.0
    if found.keys() != reference.keys():
        raise ValueError(f"{key.library} {key.name} gives {list(found)}, not {list(reference)}")
    for name, theirs in found.items():
        ours = reference[name]
        if theirs.shape != ours.shape:
            raise ValueError(f"{key.library} {key.name}: {name} has shape {theirs.shape}")
        deviation = (_of_logs if name.startswith("log_") else _normwise)(theirs, ours)
        if not deviation <= tolerance:
            raise ValueError(
                f"{key.library} {key.name}: {name} deviates from rnnsim's by {deviation:.1e}, "
                f"more than {tolerance:.0e}"
            )
        worst = max(worst, deviation)
    return worst


def _normwise(theirs: np.ndarray, ours: np.ndarray) -> float:
    a, b = (np.float64(x).reshape(len(x), -1) for x in (theirs, ours))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())


def _of_logs(theirs: np.ndarray, ours: np.ndarray) -> float:
    both = np.isfinite(theirs) & np.isfinite(ours)
    # Every first lag is representable; a map of NaN would agree with anything.
    if not both[..., 0].all() or (np.isfinite(theirs) & ~np.isfinite(ours)).any():
        return float("inf")
    return float(np.abs(theirs - ours)[both].max())


def _turn(timing: Timing, worker: Worker, name: str) -> None:
    """One turn: a call to warm up where calls are short, then one timed call or several."""
    expected = timing.best if timing.seconds else worker.ask("seconds", name, 1, False)[0]
    n_calls = int(np.clip(_TURN / max(expected, 1e-9), 1, _MOST_CALLS))
    timing.seconds += worker.ask("seconds", name, n_calls, expected < _TURN)
    timing.rounds += 1


def _drop_hopeless(timings: Mapping[Key, Timing]) -> None:
    others = {key: timing for key, timing in timings.items() if key.library not in YARDSTICKS}
    best = min(timing.best for timing in others.values())
    for key, timing in others.items():
        timing.dropped = key.library != "rnnsim" and timing.best > _HOPELESS * best


def _result(problem: Problem, dtype: str, timings: Mapping[Key, Timing]) -> Result:
    w, peak = problem.workload, _peak(problem, timings)
    entries = (
        Entry(
            *key,
            best=_short(timing.best),
            median=_short(timing.median),
            calls=len(timing.seconds),
            rounds=timing.rounds,
            deviation=_short(timing.deviation),
        )
        for key, timing in timings.items()
        if key.library not in YARDSTICKS
    )
    return Result(
        workload=w.name,
        dtype=dtype,
        sizes=(w.N, w.H, w.B, w.T, w.D, w.V),
        flops=w.flops,
        peak=None if peak is None else _short(peak),
        entries=tuple(sorted(entries, key=lambda entry: entry.best)),
    )


def _short(value: float) -> float:
    """To four digits: more are not measured."""
    return float(f"{value:.4g}")


def _peak(problem: Problem, timings: Mapping[Key, Timing]) -> float | None:
    """The most arithmetic in a second that a yardstick has reached in the rounds."""
    yardsticks = {k.name: t for k, t in timings.items() if k.library in YARDSTICKS}
    if not yardsticks:
        return None
    from ..peers import gemm  # compiles: not for those who only read reports

    return max(gemm.flops(name, problem) / t.best for name, t in yardsticks.items())
