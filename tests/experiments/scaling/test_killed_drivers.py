"""kill -9 of drivers, workers and schedulers: what is done stays, the same call goes on."""

import os
import signal

import fake_executors as fakes
import pytest
from processes import IN_FLIGHT, driver, kill, n_parts, needs_dask, runs, scheduler, until, worker

import rnnsim
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.status import status

N = 60
SECONDS = 0.05
LOST = IN_FLIGHT * 4  # jobs of such a length go four to a task


def whole():
    return run(fakes.study(N))


def gone_on_with(store, log):
    """The dataset of the same call, made here, and how often jobs ran in all."""
    return run(fakes.slow_study(N, SECONDS, log), store=store), runs(log)


@pytest.mark.parametrize(("engine", "parts"), [("serial", 1), ("serial", 17), ("pool", 5)])
def test_a_driver_is_killed(engine, parts, tmp_path):
    store, log = tmp_path / "s", tmp_path / "log"
    with driver(store, N, SECONDS, log, engine) as process:
        until(lambda: n_parts(store) >= parts, process)
        kill(process)
    so_far = status(store)
    assert so_far.n_done >= parts
    assert not so_far.drivers, "the system frees its lock"
    assert int(rnnsim.load(store).square.notnull().sum()) == so_far.n_done
    done = so_far.n_done
    dataset, times = gone_on_with(store, log)
    assert dataset.identical(whole())
    again = sum(times.values()) - N
    assert again <= LOST, "no more than what was in flight is done again"
    assert done + again <= N + LOST


def test_a_worker_of_a_pool_is_killed(tmp_path):
    store, log = tmp_path / "s", tmp_path / "log"
    with driver(store, N, SECONDS, log, "pool") as process:
        until(lambda: n_parts(store) >= 4, process)
        os.kill(next(int(line.split()[1]) for line in log.read_text().splitlines()), signal.SIGKILL)
        process.wait(30)
        said = process.stderr.read()
    assert "the executor runs no more jobs (BrokenProcessPool" in said
    assert "the same call goes on" in said
    dataset, times = gone_on_with(store, log)
    assert dataset.identical(whole())
    assert sum(times.values()) - N <= LOST


@needs_dask
def test_a_worker_of_dask_is_killed_and_the_other_goes_on(tmp_path):
    store, log, file = tmp_path / "s", tmp_path / "log", tmp_path / "scheduler.json"
    with scheduler(file) as boss:
        until(file.exists, boss)
        with (
            worker(file) as one,
            worker(file),
            driver(store, N, SECONDS, log, "dask", file) as drives,
        ):
            until(lambda: n_parts(store) >= 4, drives)
            kill(one)
            assert drives.wait(60) == 0, drives.stderr.read()
    assert rnnsim.load(store).identical(whole())
    assert sum(runs(log).values()) - N <= LOST


@needs_dask
def test_a_scheduler_of_dask_is_killed_and_the_same_call_goes_on(tmp_path):
    store, log, file = tmp_path / "s", tmp_path / "log", tmp_path / "scheduler.json"
    with scheduler(file) as boss:
        until(file.exists, boss)
        with worker(file), worker(file), driver(store, N, SECONDS, log, "dask", file) as drives:
            until(lambda: n_parts(store) >= 4, drives)
            kill(boss)
            assert drives.wait(60) != 0
            said = drives.stderr.read()
    assert "the executor runs no more jobs" in said
    assert "the same call goes on" in said
    dataset, times = gone_on_with(store, log)
    assert dataset.identical(whole())
    assert sum(times.values()) - N <= LOST
