"""What a study will take, from one job of each kind."""

import time

import fake_executors as fakes
import numpy as np

import rnnsim
from rnnsim import checks
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.forecast import collected, forecast


def rehearsed(make):
    with checks.rehearsal(), collected() as studies:
        make()
    (study,) = studies
    return study


def test_one_job_of_each_kind_is_measured():
    fakes.CALLS.clear()
    found = forecast(rehearsed(lambda: run(fakes.study(50))))
    assert (found.n_jobs, found.n_kinds, found.n_files) == (50, 1, 50)
    assert dict(fakes.CALLS) == {0: 2}  # the first is for what is compiled


def test_bytes_on_disk_are_those_of_a_store(tmp_path):
    study = rehearsed(lambda: run(fakes.study(50)))
    run(study, store=tmp_path / "s")
    real = sum(each.stat().st_size for each in (tmp_path / "s" / "parts").iterdir())
    assert abs(forecast(study).disk / real - 1) < 0.1


def test_memory_is_that_of_the_dataset_and_more():
    found = forecast(rehearsed(lambda: run(fakes.study(50))))
    assert found.memory >= run(fakes.study(50)).nbytes - 50 * 8 - 3 * 8


def test_hours_come_from_kinds_that_cost_more(monkeypatch):
    clock = [0.0]

    def measure(job, n_threads):
        clock[0] += job
        return {"square": np.array(job)}

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    jobs = [({"gain": i, "length": i // 10}, 0.5 * (1 + i // 10)) for i in range(40)]
    found = forecast(fakes.study(40)._replace(jobs=jobs, measure=measure))
    assert (found.n_jobs, found.n_kinds) == (40, 4)
    assert found.seconds == 10 * 0.5 * (1 + 2 + 3 + 4)


def test_sweeps_are_collected_as_they_are():
    study = rehearsed(
        lambda: rnnsim.sweep("adding", gain=[0.5, 1.0], length=[6, 8], n_hidden=3, data_seeds=3)
    )
    found = forecast(study)
    assert (found.n_jobs, found.n_kinds) == (6, 2)
    assert np.isfinite(found.seconds)
