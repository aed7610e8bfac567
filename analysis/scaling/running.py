"""A command on many cores or machines: all of it, a share of it, or what it would take."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from rnnsim.experiments.scaling.engine import Engine, inside
from rnnsim.experiments.scaling.forecast import Forecast, collected, forecast
from rnnsim.experiments.scaling.status import in_words
from rnnsim.progress import bar

from ..frame import runs
from ..frame.places import Place
from . import stores
from .engines import around
from .settings import Scaling

_whole: ContextVar[bool] = ContextVar("whole", default=False)


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Commands in the block measure nothing: a store that is not whole is refused."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def all_of(run_all: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """`run` of what is several analyses in one, which have no share and no forecast of their own.

    Raises
    ------
    ValueError
        One of them is asked for.
    """

    def run_them(
        settings: Any, *, output: Place, source: Path | None, progress: bool, scaling: Scaling
    ) -> list[str]:
        scaling.check(source)
        if scaling.dry_run or scaling.shard is not None:
            flag = "--dry-run" if scaling.dry_run else "--shard"
            raise ValueError(f"`{flag}` is of one analysis, and this runs several; run them alone")
        if scaling.store is not None:
            stores.record(scaling.store, "demo", settings)
        with around(scaling):
            return run_all(settings, output=output, source=source, progress=progress)

    return run_them


def run(
    analysis: runs.Analysis,
    settings: Any,
    *,
    output: Place,
    source: Path | None,
    progress: bool,
    scaling: Scaling,
) -> list[str]:
    """What `runs.run` does, as the flags say; the sentences that are printed."""
    scaling.check(source)
    if scaling.dry_run:
        return _forecast(analysis, settings, progress)
    if scaling == Scaling():
        return runs.run(analysis, settings, output=output, source=source, progress=progress)
    shard = scaling.share()
    if shard is None:  # refused before workers are started
        output.check(runs.name_of(analysis), source)
    if scaling.store is not None:
        runs.rehearse(analysis, settings)  # what is refused leaves no folder
        stores.record(scaling.store, runs.name_of(analysis), settings)
    with around(scaling, whole=_whole.get()):
        if shard is not None:
            analysis.compute(settings, progress)
            assert scaling.store is not None
            return [
                f"Share {shard.number} of {shard.of} is done, in {str(scaling.store)!r}; when all "
                f"are, rnnsim merge {scaling.store} draws the figures."
            ]
        return runs.run(analysis, settings, output=output, source=source, progress=progress)


def _forecast(analysis: runs.Analysis, settings: Any, progress: bool) -> list[str]:
    """What each study of a command takes, and all of them."""
    with inside(Engine(store=Path())), collected() as studies:  # cut as for a store
        runs.rehearse(analysis, settings)
    found = []
    with bar(len(studies), show=progress, unit="sweep") as advance:
        for study in studies:
            found.append(forecast(study))
            advance(1)
    total = sum(each.seconds for each in found)
    lines = [_in_words(each) for each in found]
    if len(found) != 1:
        lines.append(f"All together: {in_words(total)} of one core.")
    return lines


def _in_words(found: Forecast) -> str:
    kinds = f"{found.n_kinds} kind{'s' if found.n_kinds > 1 else ''}"
    jobs = f"{found.n_jobs} job{'s' if found.n_jobs > 1 else ''}"
    return (
        f"{found.name}: {jobs} of {kinds}; {_bytes(found.memory)} of memory; a store of "
        f"{_bytes(found.disk)} in {found.n_files} file{'s' if found.n_files > 1 else ''}; about "
        f"{in_words(found.seconds)} of one core, {found.seconds / 3600:.2g} core-hours, measured "
        "from one job of each kind."
    )


def _bytes(count: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
