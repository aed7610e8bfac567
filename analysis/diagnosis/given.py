"""What is diagnosed on the command line: networks of files, their names, and what they read."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim import Sequences, checks
from rnnsim.checks import FloatArray
from rnnsim.experiments.draws import to_diagnose
from rnnsim.experiments.own.data import File, usual_sequences
from rnnsim.experiments.own.files import data_file, network_file
from rnnsim.experiments.own.networks import Own

from ..commands.diagnosis import USUAL_LENGTH, USUAL_SEQUENCES

_WINDOWS = 4  # that data, where they are cut or drawn, are long at least
_OPTION = re.compile(r"\b(embedding|readout|prefix|layer)=(\S+)")
DRAWN = "inputs from N(0, 1)"


class Reading(NamedTuple):
    """How much of the data is read; None for as much as usual."""

    length: int | None
    n_sequences: int | None
    window: int | None
    seed: int

    @property
    def usual_length(self) -> int:
        """Steps of what has no length of its own."""
        window = 0 if self.window is None else checks.size("window", self.window)
        return max(USUAL_LENGTH, _WINDOWS * window)


def networks(files: Sequence[Path], **options: Any) -> list[Own]:
    """The network of each file; `options` are those of `rnnsim.read_network`, None for not given.

    Raises
    ------
    TypeError, ValueError, OSError, ImportError
        As of `rnnsim.read_network`; a file of several networks.
    """
    found = []
    for file in files:
        with checks.renamed(weights="`FILE`"), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found.append(network_file(file, **options))
        for each in said:
            text = str(each.message).replace("`weights`", "`FILE`")
            warnings.warn(_OPTION.sub(r"--\1 \2", text), each.category, stacklevel=2)
        if len(found[-1].network) > 1:
            raise ValueError(
                f"`FILE` {str(file)!r} holds {len(found[-1].network)} networks, and one is "
                "diagnosed; write one of them to a file of its own, as "
                "rnnsim.write_network(path, network[0])"
            )
    return found


def labels(files: Sequence[Path]) -> list[str]:
    """Names of files, with as many folders in front, of those that were typed, as tell them apart.

    One line each, whatever the names hold.
    """
    longest = max(len(file.parts) for file in files)
    for n in range(1, longest + 1):
        found = [printable("/".join(file.parts[-n:])) for file in files]
        if len({*found}) == len(found):
            return found
    return [f"{name} ({k})" for k, name in enumerate(found, start=1)]


def printable(text: str) -> str:
    """Text of others as a terminal and a page may show it."""
    return "".join(each if each.isprintable() else "?" for each in text)


def data_of(path: str | None, layout: str | None) -> File | None:
    """The data of a file; None for none."""
    if path is None and layout is not None:
        raise ValueError("`layout` says how --data is read, which is not given; give both")
    return None if path is None else data_file(path, layout)


def batch(data: File | None, own: Own, reading: Reading) -> Sequences | FloatArray:
    """What a network reads: sequences of its data, or without data inputs that are drawn."""
    length, n = reading.length or reading.usual_length, reading.n_sequences or USUAL_SEQUENCES
    if data is not None:
        longest = data.longest or 1
        usual = min(reading.usual_length, longest) if data.stream else longest
        length = reading.length or usual
        n = reading.n_sequences or usual_sequences(data, USUAL_SEQUENCES, length)
    with checks.renamed(path="`--data`", network="`FILE`"):
        return to_diagnose(data, own, length, n, reading.seed)
