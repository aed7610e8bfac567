"""What runs jobs: processes of this machine, or a dask scheduler's workers."""

import contextlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

from rnnsim.experiments.scaling.engine import Engine, inside

from .settings import Scaling

_SECONDS = 10  # for a scheduler to answer


@contextlib.contextmanager
def around(scaling: Scaling, *, whole: bool = False) -> Iterator[None]:
    """Every study in the block runs as the flags say.

    Raises
    ------
    OSError
        A scheduler that does not answer.
    ImportError
        dask.distributed is not installed.
    """
    with _executor(scaling) as executor:
        engine = Engine(executor, scaling.store, scaling.share(), whole)
        with inside(engine):
            yield


@contextlib.contextmanager
def _executor(scaling: Scaling) -> Iterator[Executor | None]:
    if scaling.workers is not None:
        with processes(scaling.workers) as pool:
            yield pool
    elif scaling.scheduler is not None or scaling.scheduler_file is not None:
        with _of_dask(scaling) as executor:
            yield executor
    else:
        yield None


@contextlib.contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """Processes of this machine, which begin nothing more when the block ends."""
    context = multiprocessing.get_context("spawn")  # a fork would copy threads that are gone
    pool = ProcessPoolExecutor(workers, mp_context=context)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _of_dask(scaling: Scaling) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError(
            "`--scheduler` needs dask.distributed; install it with: pip install "
            "'rnnsim-toolkit[cluster]'"
        ) from error
    file = scaling.scheduler_file
    if file is not None and not file.is_file():
        raise FileNotFoundError(
            f"`--scheduler-file` {str(file)!r} does not exist; name the file that dask scheduler "
            "--scheduler-file wrote"
        )
    try:
        client = Client(
            scaling.scheduler, scheduler_file=None if file is None else str(file),
            timeout=_SECONDS, set_as_default=False,
        )  # fmt: skip
    except Exception as error:  # of sockets, addresses and JSON, each with its own
        named = f"`--scheduler` {scaling.scheduler!r}" if file is None else (
            f"`--scheduler-file` {str(file)!r}"
        )  # fmt: skip
        raise ConnectionError(
            f"{named}: no dask scheduler answers within {_SECONDS} s ({type(error).__name__}); "
            "start one with: dask scheduler"
        ) from error
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close(timeout=2)
