"""The command `rnnsim reproduce`: one published result, or all of them."""

from pathlib import Path

from rnnsim import checks

from ..commands.published import ENTRIES, EPILOGUE, Entry, Reproduce
from ..frame import runs
from ..frame.console import say
from ..frame.places import Place
from .reproduction import Reproduction

ALL = "all"


def run(
    name: str | None, settings: Reproduce, *, output: Place, source: Path | None, progress: bool
) -> list[str]:
    """Compute, draw and compare; of all, each goes into a folder of its own below `output`.

    Raises
    ------
    ValueError, OSError
        A name that is none, a folder that cannot be written: before anything is computed.
    """
    if name is None:
        return [EPILOGUE]
    known = {entry.name: entry for entry in ENTRIES}
    checks.one_of("NAME", name, (*known, ALL))
    if name != ALL:
        return _one(
            known[name], settings, output.below(name) if output.usual else output, source, progress
        )
    below = {entry: source and source / entry.name for entry in ENTRIES}
    for entry, earlier in below.items():
        output.below(entry.name).check(entry.name, earlier)
    said: list[str] = []
    for entry, earlier in below.items():
        say(f"{entry.name}:")
        found = _one(entry, settings, output.below(entry.name), earlier, progress)
        said += ["", *found] if said else found
    return said


def _one(
    entry: Entry, settings: Reproduce, place: Place, source: Path | None, progress: bool
) -> list[str]:
    reproduction = Reproduction(entry)
    module = reproduction.module
    wanted = module.REDUCED if settings.reduced else module.Settings()
    return runs.run(
        reproduction, wanted, output=place, source=source, progress=progress, rehearsed=False
    )
