"""Compile kernels in several processes: the calls of a table that meets every one of them."""

import time
from concurrent.futures import as_completed

from rnnsim import checks, parallel, progress
from rnnsim.compiling import calls, counting

from .engines import processes
from .settings import COMPILE, Compile

HELP = COMPILE.help
Settings = Compile


def run(settings: Compile, *, show: bool) -> list[str]:
    """Compile what is not compiled yet; what was compiled, in how long, and where it is.

    Raises
    ------
    ValueError, OSError
        A cell or dtype that is not known; nothing to compile for; no folder that can be written.
    """
    for name, given, known in (
        ("cell", settings.cell, calls.CELLS),
        ("dtype", settings.dtype, calls.DTYPES),
    ):
        for each in given:
            checks.one_of(name, each, known)
    folder = counting.folder()
    pieces = calls.pieces(settings.cell, settings.dtype)
    workers, began, compiled = parallel.thread_count(None), time.perf_counter(), 0
    with (
        processes(workers) as pool,
        progress.bar(len(pieces), show=show, unit="call", description="compiling") as advance,
    ):
        for done in as_completed([pool.submit(counting.make, piece) for piece in pieces]):
            compiled += done.result()
            advance(1)
    return _sentences(settings, compiled, time.perf_counter() - began, str(folder))


def _sentences(settings: Compile, compiled: int, seconds: float, folder: str) -> list[str]:
    of = f"{', '.join(settings.cell)} in {', '.join(settings.dtype)}"
    kernels = f"{compiled} kernel{'s' * (compiled != 1)}"
    said = f"{kernels} compiled" if compiled else "all kernels were compiled already"
    return [f"{of}: {said}, in {seconds:.0f} s.", f"Machine code is in {folder}"]
