"""The command `rnnsim diagnose`: what a network of a file does on data of a file."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import rnnsim
from rnnsim import Comparison, Diagnosis, Finding, Sequences, checks

from ..frame.console import say
from ..frame.report.places import check_output
from ..frame.settings import flag
from . import given, page

HELP = (
    "What a network does with gradients and states on its data, with evidence and errors. Two "
    "files are compared. The exit status is 0 whatever is found."
)
_OPTIONS = "window batch_size clip_norm clip_value".split()
_WEIGHTS_ALONE = "the weights alone"


@dataclass(frozen=True)
class Settings:
    """What is diagnosed, on what, and how one trains it."""

    data: Annotated[
        str | None,
        flag(
            "A file of data: .npz, .npy, .csv, .txt or .safetensors. Class ids go through the "
            "network's embedding. Unless given inputs are drawn from N(0, 1), and nothing can be "
            "said of a loss."
        ),
    ] = None
    layout: Annotated[
        str | None, flag("Axes of --data, where names do not say it: tbd or btd.")
    ] = None
    window: Annotated[int | None, flag("The window K that one trains with, in steps.")] = None
    batch_size: Annotated[
        int | None, flag("Sequences of a minibatch; an eighth of those that are read unless given.")
    ] = None
    clip_norm: Annotated[
        float | None, flag("The norm that gradients are clipped at, of all weights together.")
    ] = None
    clip_value: Annotated[
        float | None, flag("The value that entries of gradients are clipped at.")
    ] = None
    mean_per_token: Annotated[
        bool,
        Parameter(
            help="Take the mean of the loss over all steps that carry it, as frameworks do, and "
            "not over sequences: for --clip-norm and --clip-value.",
            negative=(),
        ),
    ] = False
    length: Annotated[
        int | None,
        flag(
            "Steps that are read, from the first; all unless given. Of one long sequence, of a "
            f"text and without --data {given.USUAL_LENGTH} or four windows."
        ),
    ] = None
    n_sequences: Annotated[
        int | None,
        flag(f"Sequences that are read; {given.USUAL_SEQUENCES} or all there are, unless given."),
    ] = None
    seed: Annotated[int, flag("Seed of which sequences are read, or drawn.")] = 0
    prefix: Annotated[
        tuple[str, ...] | None, flag("Module of FILE that is the network, of several.")
    ] = None
    layer: Annotated[int | None, flag("One layer of FILE only, from 0.")] = None
    readout: Annotated[
        str | None, flag("Readout of FILE by name, of several; none to leave it out.")
    ] = None
    embedding: Annotated[str | None, flag("Embedding of FILE by name, for class ids.")] = None
    activation: Annotated[
        str | None, flag("tanh, sigmoid, relu or linear, where FILE does not say it.")
    ] = None
    n_threads: Annotated[int | None, flag("Threads; all cores unless given.")] = None


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
