"""The command `rnnsim diagnose`: what a network of a file does on data of a file."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rnnsim
from rnnsim import Comparison, Diagnosis, Finding, Sequences, checks

from ..commands.diagnosis import DIAGNOSE, Diagnose
from ..frame.console import say
from ..frame.report.places import check_output
from . import given, page

HELP = DIAGNOSE.help
Settings = Diagnose
_OPTIONS = "window batch_size clip_norm clip_value".split()
_WEIGHTS_ALONE = "the weights alone"


def run(
    files: Sequence[Path],
    settings: Settings,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    as_json: bool = False,
    progress: bool = False,
    command: str | None = None,
) -> None:
    """Diagnose one file, or two side by side: print what is found, and write the report.

    Raises
    ------
    TypeError, ValueError, OSError, ImportError
        Files that cannot be read, data that do not fit, a report that cannot be written: the last
        before anything is computed.
    """
    if output is not None:
        check_output(output, overwrite=overwrite)
    elif overwrite:
        raise ValueError("`--overwrite` replaces the report of --output, which is not given")
    found = diagnosed(files, settings, progress=progress)
    say(json.dumps(found.to_dict(), allow_nan=False) if as_json else found.summary())
    if output is not None:
        with checks.renamed(path="`--output`"):
            page.write(found, output, overwrite=overwrite, command=command)
        if not as_json:
            say(f"\nReport: {given.printable(str(output))}")


def diagnosed(
    files: Sequence[Path], settings: Settings, *, progress: bool = False
) -> Diagnosis | Comparison:
    """The diagnosis of one file, or of two side by side on the same data."""
    reader = {name: getattr(settings, name) for name in _READER}
    if reader["readout"] == "none":
        reader["readout"] = False
    for name in ("length", "n_sequences"):
        if (size := getattr(settings, name)) is not None:
            checks.size(name, size)
    reading = given.Reading(
        settings.length, settings.n_sequences, settings.window, checks.whole_number(
            "seed", settings.seed, least=0)
    )  # fmt: skip
    owns = given.networks(files, **reader)
    data = given.data_of(settings.data, settings.layout)
    found = []
    for own, label in zip(owns, given.labels(files), strict=True):
        sequences = given.batch(data, own, reading)
        if settings.mean_per_token and isinstance(sequences, Sequences):
            sequences = sequences.mean_per_token()
        options = {name: getattr(settings, name) for name in (*_OPTIONS, "n_threads")}
        with checks.renamed(network="`FILE`", sequences="`--data`"):
            one = rnnsim.diagnose(own, sequences, progress=progress, **options)
        found.append(_by_flags(replace(one, label=label), drawn=data is None, seed=reading.seed))
    return found[0] if len(found) == 1 else found[0].beside(found[1])


_READER = "prefix layer readout embedding activation".split()


def _by_flags(found: Diagnosis, *, drawn: bool, seed: int) -> Diagnosis:
    """The diagnosis with options called as on the command line; it says that inputs were drawn."""

    def of(finding: Finding) -> Finding:
        on_noise = drawn and finding.known and finding.over != _WEIGHTS_ALONE
        words = _noted(finding.words, on_noise)
        over = f"{finding.over} of {given.DRAWN}" if on_noise and finding.over else finding.over
        return replace(finding, words=words, over=over)

    about: dict[str, Any] = dict(found.about)
    if drawn:
        about["provenance"] = {"data": given.DRAWN, "seed": str(seed)}
    return replace(
        found,
        verdict=_noted(found.verdict, drawn),
        findings=tuple(map(of, found.findings)),
        to_try=tuple(_noted(each, drawn) for each in found.to_try),
        about=about,
    )


def _noted(words: str, drawn: bool) -> str:
    flags = "|".join(_OPTIONS)
    words = re.sub(rf"`({flags})`", lambda found: f"--{found[1].replace('_', '-')}", words)
    words = words.replace("targets, as `targets`, or data that hold them,", "--data with targets")
    return f"On {given.DRAWN}: {words}" if drawn else words
