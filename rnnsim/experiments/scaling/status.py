"""What a store says of itself: done, under way, failed, damaged, and what the rest will take."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnsim.experiments.scaling import locks
from rnnsim.experiments.scaling.folder import failures_in, held_in, parts_in
from rnnsim.experiments.scaling.plan import read_plan


@dataclass(frozen=True, eq=False)
class Status:
    """How far a store is.

    Attributes
    ----------
    name : str
        What is measured.
    n_jobs, n_done : int
        All jobs, and those that are there and whole.
    failed : dict of int to dict
        Jobs that raised, with ``exception`` and ``tries``; they are tried again by the next run.
    damaged : tuple of int
        Parts that cannot be read; they are measured again by the next run.
    drivers : dict of str to dict
        Who drives it now, with pid, host and since; by shard, "" is the whole.
    seconds : float
        Of one core for the jobs that are done.
    rest : float
        Seconds of one core that the others will take if they are like those done; NaN where none is
        done.
    """

    name: str
    n_jobs: int
    n_done: int
    failed: dict[int, dict[str, Any]]
    damaged: tuple[int, ...]
    drivers: dict[str, dict[str, Any]]
    seconds: float
    rest: float

    def summary(self) -> list[str]:
        """The same in sentences."""
        lines = [f"{self.name}: {self.n_done} of {self.n_jobs} jobs are done."]
        for shard, who in self.drivers.items():
            what = f"shard {shard}" if shard else "all of it"
            by = f"process {who['pid']} on {who['host']}, since {who['since']}" if who else "?"
            lines.append(f"Running: {what}, by {by}.")
        if not self.drivers and self.n_done < self.n_jobs:
            lines.append("Nothing runs: the call or command that wrote it goes on with it.")
        lines += [
            f"Failed: job {job}, {_failure(said)}" for job, said in list(self.failed.items())[:10]
        ]
        if len(self.failed) > 10:
            lines.append(f"... and {len(self.failed) - 10} more in failed/.")
        if self.damaged:
            lines.append(
                f"Damaged: {len(self.damaged)} of the parts, the first is number "
                f"{self.damaged[0]}; they will be measured again."
            )
        if 0 < self.n_done < self.n_jobs:
            lines.append(
                f"The rest takes about {in_words(self.rest)} of one core, if it is like what is "
                "done."
            )
        return lines


def status(path: Path) -> Status:
    """How far a store is; reads every part.

    Raises
    ------
    ValueError
        No store, or one whose plan is damaged.
    """
    plan = read_plan(path)
    seconds: list[float] = []
    damaged = []
    for part, name in sorted(parts_in(path).items()):
        held = held_in(path / "parts" / name, plan, part)
        if held is None:
            damaged.append(part)
        else:
            seconds += (each.seconds for each in held)
    rest = (plan.n_jobs - len(seconds)) * statistics.fmean(seconds) if seconds else float("nan")
    return Status(
        plan.name, plan.n_jobs, len(seconds), failures_in(path), tuple(damaged),
        locks.owners(path), sum(seconds), rest,
    )  # fmt: skip


def in_words(seconds: float) -> str:
    """A time in the unit that reads best."""
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} seconds"


def _failure(said: dict[str, Any]) -> str:
    """How often a job was tried, and the last line of why it has no values."""
    often = "once" if said["tries"] == 1 else f"{said['tries']} times"
    return f"tried {often}: {(said['exception'].splitlines() or [''])[-1]}"
