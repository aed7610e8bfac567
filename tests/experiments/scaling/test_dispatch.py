"""Studies through executors that are late, lose tasks, cancel, duplicate and break."""

import re
import warnings
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor

import fake_executors as fakes
import numpy as np
import pytest

from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling.dispatch import PER_SLOT, TRIES, EngineError
from rnnsim.experiments.scaling.work import OtherVersionsError, Task, work

N = 40


@pytest.fixture(autouse=True)
def _counted():
    fakes.CALLS.clear()


@pytest.mark.parametrize(
    "executor",
    [fakes.Fake(), fakes.Late(), fakes.Loses(TRIES - 1), fakes.Loses(1, only={3, 17}),
     fakes.Cancels(2), fakes.Duplicates(), ThreadPoolExecutor(3)],
    ids=["plain", "late", "loses all", "loses two", "cancels", "duplicates", "threads"],
)  # fmt: skip
@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "stored"])
def test_every_executor_gives_the_serial_dataset(executor, stored, tmp_path):
    place = tmp_path / "mine.sweep" if stored else None
    found = run(fakes.study(N), executor=executor, store=place)
    assert found.identical(run(fakes.study(N)))


class Watched(ThreadPoolExecutor):
    """Counts the tasks in flight."""

    flying = most = 0

    def submit(self, function, /, *args):
        self.flying += 1
        self.most = max(self.most, self.flying)
        future = super().submit(function, *args)
        future.add_done_callback(self._came)
        return future

    def _came(self, future):
        self.flying -= 1


def test_a_sliding_window_is_in_flight_and_no_more(tmp_path):
    with Watched(3) as executor:
        run(fakes.slow_study(40, 0.02, tmp_path / "log"), executor=executor)
    assert PER_SLOT * 2 < executor.most <= PER_SLOT * 3


def test_short_jobs_are_sent_in_groups_and_none_is_lost_or_done_twice():
    executor = fakes.Fake(slots=1)
    run(fakes.study(400), executor=executor)
    assert len(executor.tasks) < 40
    assert set(fakes.CALLS.values()) == {1}
    assert len(fakes.CALLS) == 400


def test_groups_grow_with_the_workers():
    """So that a scheduler hands out as many tasks a second, however many take them."""
    few, many = fakes.Timed(0.01, slots=1), fakes.Timed(0.01, slots=200)
    for executor in (few, many):  # 800 jobs are in flight before any of them has told its time
        run(fakes.study(1600), executor=executor)
    longest = [max(sum(map(len, task.parts)) for task in each.tasks) for each in (few, many)]
    assert longest == [20, 40]  # 0.2 s, and 2 ms for each of 200


def test_a_job_that_raises_is_told_and_the_rest_goes_on():
    with pytest.warns(UserWarning, match=r"2 of 40 jobs of the squares failed") as told:
        found = run(fakes.study(N, odd={3: "raise", 9: "raise"}), executor=fakes.Fake())
    assert re.search(r"job 3 \(gain 3\.0\): ArithmeticError: job 3 cannot", str(told[0].message))
    missing = np.isnan(found.square.values)
    assert np.flatnonzero(missing).tolist() == [3, 9]
    with warnings.catch_warnings(action="ignore"):
        assert found.sel(gain=4.0).square == 16.0


def test_without_an_executor_or_a_store_what_a_job_raises_is_raised():
    with pytest.raises(ArithmeticError, match="job 3 cannot"):
        run(fakes.study(N, odd={3: "raise"}))


def test_a_task_that_is_lost_too_often_has_failed_and_its_neighbours_have_not():
    executor = fakes.Loses(TRIES, only={7})
    with pytest.warns(UserWarning, match=rf"job 7 \(gain 7\.0\): lost {TRIES} times"):
        found = run(fakes.study(N), executor=executor)
    assert np.flatnonzero(np.isnan(found.square.values)).tolist() == [7]
    assert executor.seen[7] == TRIES


@pytest.mark.parametrize(
    "executor",
    [fakes.Loses(99), fakes.Loses(1, error=BrokenExecutor), fakes.Cancels(99)],
    ids=["all workers alike", "broken pool", "lost scheduler"],
)
def test_an_executor_that_is_gone_ends_with_one_sentence(executor, tmp_path):
    with pytest.raises(EngineError, match=r"runs no more jobs .* the same call goes on"):
        run(fakes.study(N), executor=executor, store=tmp_path / "s")
    assert run(fakes.study(N), store=tmp_path / "s").identical(run(fakes.study(N)))


@pytest.mark.parametrize("wrong", [3, "pool", ThreadPoolExecutor, object()])
def test_what_is_no_executor_is_refused(wrong):
    with pytest.raises(TypeError, match=r"`executor` must be a concurrent\.futures\.Executor"):
        run(fakes.study(2), executor=wrong)


def test_one_that_is_shut_down_is_refused():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ValueError, match=r"`executor` takes no jobs .* not shut down"):
        run(fakes.study(2), executor=pool)


def test_jobs_that_cannot_be_pickled_are_refused_before_anything_starts():
    executor = fakes.Fake()
    jobs = fakes.study(3)
    jobs = jobs._replace(jobs=[(place, (i, lambda: 0)) for i, (place, _) in enumerate(jobs.jobs)])
    with pytest.raises(ValueError, match=r"cannot be pickled .* top level"):
        run(jobs, executor=executor)
    assert not executor.tasks


def test_a_worker_of_other_versions_does_nothing():
    task = Task(fakes.measure, (((0, (0, "")),),), None, {"rnnsim-toolkit": "0.0"})
    with pytest.raises(OtherVersionsError, match="install the same on both"):
        work(task)
    assert not fakes.CALLS
