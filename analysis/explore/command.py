"""The command `rnnsim explore`: a page with sliders over results computed beforehand."""

from pathlib import Path

from rnnsim import checks

from ..commands.explore import EXPLORE
from ..frame.console import say
from ..frame.report.places import check_output
from . import page
from .computing import Settings, compute
from .numbers import numbers_of

HELP = EXPLORE.help
USUAL = Path("results/explore.html")


def run(
    settings: Settings,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    progress: bool = False,
    command: str,
) -> None:
    """Compute all settings, write the page, and say where and what to try with it.

    Raises
    ------
    TypeError, ValueError, OSError
        Settings that cannot be computed, a page that cannot be written: before the computing.
    """
    place, replace = output or USUAL, overwrite or output is None
    check_output(place, overwrite=replace)
    numbers = numbers_of(compute(settings, progress=progress))
    with checks.renamed(path="`--output`"):
        page.write(numbers, place, overwrite=replace, command=command)
    say(page.networks(numbers))
    for each in page.tries(numbers):
        say(each.words)
    say(f"\nPage: {place}")
