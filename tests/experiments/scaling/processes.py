"""Drivers, schedulers and workers as processes of their own, that can be killed at any moment."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rnnsim.experiments.scaling.dispatch import PER_SLOT

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds
IN_FLIGHT = PER_SLOT * 2  # tasks of two workers

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="dask.distributed is not installed"
)


def environment():
    """What lets workers import the jobs."""
    return os.environ | {"PYTHONPATH": str(HERE), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}


@contextlib.contextmanager
def started(*words, **options):
    """A process for the block; killed after it, with its children."""
    process = subprocess.Popen(
        [sys.executable, *map(str, words)], env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


def driver(*arguments):
    """A driver of `driver.py`."""
    return started(HERE / "driver.py", *arguments)


def scheduler(file):
    """A scheduler of dask on the loopback interface, which writes its address to a file."""
    return started(
        "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
        "--no-dashboard", "--scheduler-file", file,
    )  # fmt: skip


def worker(file):
    """A worker of dask, one thread."""
    return started(
        "-m", "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", "1",
        "--no-dashboard", "--no-nanny", "--host", "127.0.0.1", "--death-timeout", "60",
    )  # fmt: skip


def kill(process):
    """kill -9, of it and its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until(what, process=None):
    """Wait until something holds, or fail."""
    end = time.monotonic() + PATIENCE
    while not what():
        if process is not None and process.poll() not in (None, 0):
            raise AssertionError(process.stderr.read())
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def n_parts(store):
    """How many parts are there."""
    with contextlib.suppress(FileNotFoundError):
        return sum(name.endswith(".npz") for name in os.listdir(store / "parts"))
    return 0


def runs(log):
    """How often each job ran."""
    return Counter(int(line.split()[0]) for line in log.read_text().splitlines())
