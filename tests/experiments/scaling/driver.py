"""A driver of its own process: python driver.py STORE N SECONDS LOG [serial|pool|dask FILE]."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import fake_executors as fakes

from rnnsim.experiments.runner import run


def main(store, n, seconds, log, engine="serial", file=""):
    jobs = fakes.slow_study(int(n), float(seconds), log)
    if engine == "serial":
        run(jobs, store=store)
    elif engine == "pool":
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            run(jobs, store=store, executor=executor)
    else:
        from distributed import Client

        with Client(scheduler_file=file, timeout="20s", set_as_default=False) as client:
            run(jobs, store=store, executor=client.get_executor(pure=False))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
