"""The one runner of studies: job after job, each into its place, as one labelled dataset."""

import warnings
from collections.abc import Iterator

import numpy as np
import xarray as xr

from rnnsim import checks
from rnnsim.data.datasets import attributes, labelled, nothing_yet, sizes_of
from rnnsim.experiments.placing import Values
from rnnsim.experiments.scaling.dispatch import Dispatch, Finished, check_sendable
from rnnsim.experiments.scaling.engine import Engine, Executor, Store, checked, engine_of
from rnnsim.experiments.scaling.folder import Folder, opened
from rnnsim.experiments.scaling.forecast import collect
from rnnsim.experiments.scaling.plan import plan_of
from rnnsim.experiments.scaling.work import outcome_of
from rnnsim.experiments.study import Study, measured
from rnnsim.parallel import thread_count
from rnnsim.progress import bar

_SHOWN = 3  # jobs that failed, in a warning


def run(
    study: Study,
    *,
    n_threads: int | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    store: Store | None = None,
) -> xr.Dataset:
    """Measure all jobs of a study.

    Parameters
    ----------
    study : Study
    n_threads : int, optional
        For each job; all cores unless given. Jobs of an executor run on one.
    progress : bool
        Show a progress bar, on a terminal.
    executor : concurrent.futures.Executor, optional
        What runs the jobs; this process unless given.
    store : path, optional
        A folder that keeps every job that is done: the same call goes on where it was stopped.

    Returns
    -------
    xarray.Dataset
        The study's variables on its axes, NaN where nothing was measured; attributes
        ``configuration``, ``provenance`` and ``versions``. It does not depend on executor and
        store.

    Raises
    ------
    TypeError
        A configuration that JSON cannot hold; before anything is measured. No executor.
    ValueError
        Jobs that cannot be sent; a store of something else, or one that is in use.
    EngineError
        The executor broke down.
    OSError
        The store cannot be written.

    Warns
    -----
    UserWarning
        Of an executor or a store: jobs that failed, and why; their values are NaN. Elsewhere what
        a job raises is raised.
    """
    threads, shown = thread_count(n_threads), checks.boolean("progress", progress)
    about = attributes(study.configuration, study.provenance)
    if checks.rehearsing():
        checked(executor, store)
        collect(study)
        return _nothing(study, about)
    engine = engine_of(study.name, executor, store)
    if engine.executor is not None:
        check_sendable(study)
    if engine.store is not None:
        return _into_store(study, engine, threads, shown)
    values = Values(study.axes, study.variables, about)
    with bar(len(study.jobs), show=shown, unit="job", description=study.name) as advance:
        if engine.executor is None:
            for place, job in study.jobs:
                values.put(place, study.measure(job, threads))
                advance(1)
            return values.dataset()
        each = [range(i, i + 1) for i in range(len(study.jobs))]
        failed: dict[int, str] = {}
        for i, (outcome,) in Dispatch(engine.executor, study, each).run(range(len(each))):
            if outcome.found is None:
                failed[i] = outcome.failure
            else:
                values.put(study.jobs[i][0], outcome.found)
            advance(1)
    _say_failed(study, failed)
    return values.dataset()


def _into_store(study: Study, engine: Engine, n_threads: int, shown: bool) -> xr.Dataset:
    """Measure what is not in the store yet, until all of the share is there and whole."""
    assert engine.store is not None
    plan, prints = plan_of(study)
    shard = engine.shard
    mine = [part for part in range(plan.n_parts) if shard is None or shard.has(part)]
    with opened(engine.store, plan, prints, str(shard or "")) as folder:
        while True:
            there = folder.done()
            todo = [part for part in mine if part not in there]
            if todo and engine.whole:
                raise ValueError(_not_whole(study, engine, len(todo), len(mine)))
            total = sum(len(plan.jobs_of(part)) for part in mine)
            done = total - sum(len(plan.jobs_of(part)) for part in todo)
            with bar(total, show=shown, unit="job", description=study.name, done=done) as advance:
                for part, outcomes in _measured(study, engine, folder, todo, n_threads):
                    folder.put(part, [study.jobs[i][0] for i in plan.jobs_of(part)], outcomes)
                    advance(len(outcomes))
            dataset, damaged = folder.dataset()
            if not set(damaged) & set(mine):
                break
        failed = {job: said["exception"] for job, said in folder.failures().items()}
    _say_failed(study, failed)
    return dataset


def _not_whole(study: Study, engine: Engine, missing: int, of: int) -> str:
    return (
        f"{str(engine.store)!r} is not whole: {missing} of {of} parts of the {study.name} are "
        "missing; finish its shards, or run the command again with --store alone"
    )


def _measured(
    study: Study, engine: Engine, folder: Folder, todo: list[int], n_threads: int
) -> Iterator[Finished]:
    """The outcomes of parts, by the executor or one after the other here."""
    jobs, kept = {part: folder.plan.jobs_of(part) for part in todo}, folder.checkpoints
    if engine.executor is not None:
        yield from Dispatch(engine.executor, study, jobs, kept).run(todo)
        return
    for part in todo:
        yield (
            part,
            [outcome_of(study.measure, study.jobs[i][1], n_threads, i, kept) for i in jobs[part]],
        )


def _say_failed(study: Study, failed: dict[int, str]) -> None:
    """Warn of jobs without values: how many, which, and why."""
    if not failed:
        return
    why = "; ".join(
        f"job {i} ({_placed(study, i)}): {failed[i].splitlines()[-1]}"
        for i in sorted(failed)[:_SHOWN]
    )
    more = "; ..." if len(failed) > _SHOWN else ""
    warnings.warn(
        f"{len(failed)} of {len(study.jobs)} jobs of the {study.name} failed and have no values: "
        f"{why}{more}",
        UserWarning,
        stacklevel=4,
    )


def _placed(study: Study, job: int) -> str:
    """Where the values of a job belong, in words."""
    place = study.jobs[job][0]
    found = []
    for axis, at in place.items():
        labels = study.axes[axis]
        first = at if isinstance(at, int) else at[0]
        found.append(f"{axis} {labels[first] if isinstance(labels, tuple) else first}")
    return ", ".join(found)


def _nothing(study: Study, about: dict[str, str]) -> xr.Dataset:
    """The dataset of a rehearsal: its shapes, and nothing in it."""
    variables = measured(study)
    nothing = {name: nothing_yet(v._replace(dims=()), {}) for name, v in variables.items()}
    missing = {
        name: np.broadcast_to(nothing[name], sizes_of(v, study.axes))
        for name, v in variables.items()
    }
    return labelled(study.axes, study.variables, missing, about)
