"""A hundred kills at random moments, of driver, worker and scheduler in turn."""

import contextlib

import fake_executors as fakes
import numpy as np
import pytest
from processes import IN_FLIGHT, driver, kill, n_parts, needs_dask, runs, scheduler, until, worker

import rnnsim
from rnnsim.experiments.runner import run

N, SECONDS, KILLS = 4000, 0.02, 100


@pytest.mark.slow
@needs_dask
def test_a_hundred_kills_lose_no_more_than_what_was_in_flight(tmp_path):
    store, log = tmp_path / "s", tmp_path / "log"
    rng = np.random.default_rng(0)
    for kills in range(KILLS):
        file = tmp_path / f"scheduler-{kills}.json"
        with contextlib.ExitStack() as stack:
            boss = stack.enter_context(scheduler(file))
            until(file.exists, boss)
            crew = [stack.enter_context(worker(file)) for _ in range(2)]
            drives = stack.enter_context(driver(store, N, SECONDS, log, "dask", file))
            wanted = min(n_parts(store) + int(rng.integers(1, 40)), N)
            until(lambda wanted=wanted: n_parts(store) >= wanted, drives)
            kill([drives, crew[0], boss][kills % 3])
    whole = run(fakes.study(N))
    assert run(fakes.slow_study(N, SECONDS, log), store=store).identical(whole)
    assert rnnsim.load(store).identical(whole)
    groups = 10  # jobs of SECONDS that are sent together
    assert sum(runs(log).values()) - N <= KILLS * IN_FLIGHT * groups
