"""Studies of tiny jobs that count their calls, and executors that misbehave on purpose."""

import os
from collections import Counter
from concurrent.futures import CancelledError, Executor, Future

import numpy as np

from rnnsim.data.datasets import Variable
from rnnsim.experiments.study import Study

FAILS = True  # whether jobs that are to raise do
CALLS = Counter()  # of jobs, in this process


def measure(job, n_threads):
    """A job is (number, what to do)."""
    number, what = job
    CALLS[number] += 1
    if what == "raise" and FAILS:
        raise ArithmeticError(f"job {number} cannot")
    return {"square": np.array(number**2.0), "row": np.arange(3.0) * number}


def study(n_jobs, odd=None, name="squares", offset=0):
    """Jobs 0..n-1; `odd` says of some what they do else."""
    odd = odd or {}
    return Study(
        name,
        {"gain": tuple(float(i + offset) for i in range(n_jobs)), "unit": (0, 1, 2)},
        {
            "square": Variable(("gain",), "1", "the square"),
            "row": Variable(("gain", "unit"), "1", "a row"),
        },
        [({"gain": i}, (i, odd.get(i, ""))) for i in range(n_jobs)],
        measure,
        {"n_jobs": n_jobs, "offset": offset},
    )


class Fake(Executor):
    """Runs what it is sent at once, and keeps the tasks."""

    def __init__(self, slots=2):
        self._max_workers = slots
        self.tasks, self.flying, self.most = [], 0, 0

    def submit(self, function, /, *args, **kwargs):
        assert not kwargs, "schedulers swallow keywords"
        assert len(args) == 1, "one argument alone"
        self.tasks.append(args[0])
        future = Future()
        future.set_running_or_notify_cancel()
        self.answer(future, function, args[0])
        return future

    def answer(self, future, function, task):
        future.set_result(function(task))


class Timed(Fake):
    """Says of every job that it took so many seconds."""

    def __init__(self, seconds, slots=2):
        super().__init__(slots)
        self.seconds = seconds

    def answer(self, future, function, task):
        found = [[job._replace(seconds=self.seconds) for job in part] for part in function(task)]
        future.set_result(found)


class Late(Fake):
    """Answers when nobody is left to be sent: in reverse order."""

    def __init__(self, slots=2):
        super().__init__(slots)
        self.waiting = []

    def answer(self, future, function, task):
        self.waiting.append((future, function, task))
        if len(self.waiting) >= 3 or len(self.tasks) > 6:
            for one, run, what in reversed(self.waiting):
                one.set_result(run(what))
            self.waiting = []


class Loses(Fake):
    """Loses every task the first few times that one of its jobs comes, as a dying worker does."""

    def __init__(self, times, error=ConnectionResetError, only=None, slots=2):
        super().__init__(slots)
        self.times, self.error, self.only = times, error, only
        self.seen = Counter()

    def answer(self, future, function, task):
        numbers = [number for part in task.parts for number, _ in part]
        meant = [n for n in numbers if self.only is None or n in self.only]
        if meant and all(self.seen[n] < self.times for n in meant):
            self.seen.update(meant)
            future.set_exception(self.error("the worker died"))
        else:
            future.set_result(function(task))


class Cancels(Loses):
    """The same, by cancelling."""

    def __init__(self, times, **options):
        super().__init__(times, lambda text: CancelledError(text), **options)


class Duplicates(Fake):
    """Runs everything twice, as a scheduler may."""

    def answer(self, future, function, task):
        function(task)
        future.set_result(function(task))


def slow_measure(job, n_threads):
    """Sleeps as long as the job says, and leaves a line in a file for each time that it ran."""
    import time

    number, seconds, log = job
    time.sleep(seconds)
    with open(log, "a") as file:
        file.write(f"{number} {os.getpid()}\n")
    return {"square": np.array(number**2.0), "row": np.arange(3.0) * number}


def slow_study(n_jobs, seconds, log):
    """Jobs that take a while."""
    jobs = [({"gain": i}, (i, seconds, str(log))) for i in range(n_jobs)]
    return study(n_jobs)._replace(jobs=jobs, measure=slow_measure)
