"""A study on disk: its plan, one file for each part that is done, and what failed.

::

    mine.sweep/   plan.json                     what is measured; written once, compared afterwards
                  parts/00000042-<print>.npz    a part that is done: its name is there when it is
                  failed/00000042.json          why a job has no values; tried again by the next run
                  checkpoints/                  of training runs that are under way
                  .lock  owner.json             of who drives it
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from rnnsim import files
from rnnsim.experiments.placing import Values
from rnnsim.experiments.scaling import locks
from rnnsim.experiments.scaling.parts import Held, packed, unpacked
from rnnsim.experiments.scaling.plan import (
    Plan,
    check_same,
    has_plan,
    read_plan,
    write_plan,
)
from rnnsim.experiments.scaling.work import Outcome, forget
from rnnsim.experiments.study import Place

_PART = re.compile(r"(\d{8})-([0-9a-f]{12})(\.some)?\.npz")
_SOME = ".some"  # of a part of which a job failed: it is not done, and what is there counts
_OURS = re.compile(r"\..*|parts|failed|checkpoints|owner.*\.json")  # before there is a plan
_CHECKPOINTS = "checkpoints"
_SHORT = 12  # characters of a fingerprint in a name


class Folder:
    """A store that is open: `done` and `put` are what a driver needs."""

    def __init__(self, path: Path, plan: Plan, prints: Sequence[str], stage: Path) -> None:
        self.path, self.plan = path, plan
        self._prints, self._stage = prints, stage
        self.checkpoints = path / _CHECKPOINTS

    def done(self) -> set[int]:
        """The parts that are there."""
        return {
            part for part, name in parts_in(self.path).items() if name == self._name(part)
        }  # fmt: skip

    def put(self, part: int, places: Sequence[Place], outcomes: Sequence[Outcome]) -> None:
        """Keep a part, whole or not at all; one of which a job failed is not done.

        Raises
        ------
        OSError
            It cannot be written, as on a full disk; it says what to do.
        """
        jobs = self.plan.jobs_of(part)
        failures = {job: o.failure for job, o in zip(jobs, outcomes, strict=True) if o.failure}
        try:
            held = [each for each in zip(places, outcomes, strict=True) if not each[1].failure]
            whole, some = (self.path / "parts" / self._name(part, end) for end in ("", _SOME))
            if held:
                content = packed(self._prints[part], *zip(*held, strict=True))
                self._write(some if failures else whole, content)
            if not failures:
                some.unlink(missing_ok=True)
            for job in jobs:
                self._note(job, failures.get(job))
                if job not in failures:
                    forget(self.checkpoints, job)
        except OSError as error:
            raise OSError(
                f"`store` {str(self.path)!r} cannot be written ({error.strerror or error}); what "
                "is there stays: make room, and the same call goes on"
            ) from error

    def failures(self) -> dict[int, dict[str, Any]]:
        """The jobs that failed: exception, tries."""
        return failures_in(self.path)

    def dataset(self) -> tuple[xr.Dataset, list[int]]:
        """All that is there, and the parts that turned out to be damaged, which are deleted."""
        return assembled(self.path, self.plan, self._prints)

    def _name(self, part: int, end: str = "") -> str:
        return f"{part:08d}-{self._prints[part][:_SHORT]}{end}.npz"

    def _write(self, target: Path, content: bytes) -> None:
        files.put(target, content, self._stage)

    def _note(self, job: int, failure: str | None) -> None:
        """Why a job failed, or that it did not."""
        place = self.path / "failed" / f"{job:08d}.json"
        if failure is None:
            place.unlink(missing_ok=True)
            return
        tries = failures_in(self.path, job).get(job, {}).get("tries", 0) + 1
        said = {"job": job, "tries": tries, "exception": failure}
        self._write(place, (json.dumps(said, indent=1) + "\n").encode())


@contextlib.contextmanager
def opened(path: Path, plan: Plan, prints: Sequence[str], shard: str = "") -> Iterator[Folder]:
    """A store for the block: new, or one of the same study that is gone on with.

    Raises
    ------
    ValueError
        A file, or a folder of something else; another study; another driver.
    OSError
        It cannot be written.
    """
    _prepare(path)
    with locks.held(path, shard):
        _settle(path, plan)
        stage = path / f".writing{shard.replace('/', '-of-')}"
        try:
            stage.mkdir(exist_ok=True)
            for left in stage.iterdir():  # by a driver that was killed
                left.unlink(missing_ok=True)
            yield Folder(path, plan, prints, stage)
        finally:
            with contextlib.suppress(OSError):
                stage.rmdir()


def parts_in(path: Path) -> dict[int, str]:
    """The files of parts by their number."""
    found = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(path / "parts") as entries:
        for entry in entries:
            match = _PART.fullmatch(entry.name)
            if match and not (match[3] and int(match[1]) in found):
                found[int(match[1])] = entry.name
    return found


def failures_in(path: Path, job: int | None = None) -> dict[int, dict[str, Any]]:
    """What is written of jobs that failed, or of one of them."""
    found, pattern = {}, "*.json" if job is None else f"{job:08d}.json"
    for each in sorted((path / "failed").glob(pattern)):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(each.read_bytes())
            found[int(said["job"])] = {"tries": int(said["tries"]), "exception": said["exception"]}
    return found


def assembled(
    path: Path, plan: Plan, prints: Sequence[str] | None = None
) -> tuple[xr.Dataset, list[int]]:
    """The dataset of what is there, NaN elsewhere, and the numbers of damaged parts.

    With `prints`, a damaged part is deleted, so that it is measured again.
    """
    values, damaged = Values(plan.axes, plan.variables, plan.about), []
    for part, name in sorted(parts_in(path).items()):
        held = held_in(path / "parts" / name, plan, part, prints)
        if held is None:
            damaged.append(part)
            if prints is not None:
                (path / "parts" / name).unlink(missing_ok=True)
            continue
        for each in held:
            values.put(each.place, each.found)
    return values.dataset(), damaged


def held_in(
    file: Path, plan: Plan, part: int, prints: Sequence[str] | None = None
) -> list[Held] | None:
    """The jobs of a part, or None where the file is not theirs."""
    if part >= plan.n_parts:
        return None
    try:
        held = unpacked(file, None if prints is None else prints[part])
    except ValueError:
        return None
    all_of_it = len(held) == len(plan.jobs_of(part))
    return held if all_of_it or file.stem.endswith(_SOME) else None


def _prepare(path: Path) -> None:
    """A folder that is empty or a store, or an error."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"`store` {str(path)!r} is a file; name a folder")
    if path.is_dir() and not has_plan(path):
        strangers = [e.name for e in path.iterdir() if not _OURS.fullmatch(e.name)]
        if strangers:
            raise ValueError(
                f"`store` {str(path)!r} is a folder of something else, with {strangers[0]!r} in "
                "it; name a new folder, or an empty one"
            )
    try:
        for each in ("parts", "failed", _CHECKPOINTS):
            (path / each).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"`store` {str(path)!r} cannot be written ({error.strerror}); name another folder"
        ) from error


def _settle(path: Path, plan: Plan) -> None:
    """Write the plan, or hold it against the one that is there."""
    if has_plan(path):
        check_same(path, read_plan(path), plan)
    else:
        files.check_writable("store", path / "plan.json")
        write_plan(path, plan)
