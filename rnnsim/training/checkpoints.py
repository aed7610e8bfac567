"""A training run on disk: one file, written whole or not at all, that says when it is damaged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import files

Arrays = dict[str, npt.NDArray[Any]]

_KIND = "rnnsim training checkpoint 1"


class Checkpoint(NamedTuple):
    """The settings that a run must share to go on, where it stands, and its arrays."""

    configuration: dict[str, Any]
    place: dict[str, Any]
    arrays: Arrays


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file at `path` in one step: at any moment the old or the new one is there."""
    head = {"configuration": checkpoint.configuration, "place": checkpoint.place}
    text = json.dumps({"kind": _KIND, **head}, sort_keys=True)
    header = np.array([text, _checksum(text, checkpoint.arrays)])
    arrays: dict[str, Any] = {"__header__": header, **checkpoint.arrays}
    with files.writing(path) as file:
        np.savez(file, **arrays)


def read_checkpoint(path: Path) -> Checkpoint:
    """What `write_checkpoint` left.

    Raises
    ------
    ValueError
        A file that is damaged, or not a checkpoint of rnnsim.
    OSError
        A file that the system does not open.
    """
    try:
        arrays = files.read_arrays(path)
        text, checksum = map(str, arrays.pop("__header__"))
        head = json.loads(text)
        kind, found = head["kind"], Checkpoint(head["configuration"], head["place"], arrays)
        intact = checksum == _checksum(text, arrays)
    except (IsADirectoryError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"`checkpoint` {str(path)!r} is not a readable checkpoint of rnnsim, or it is damaged "
            f"({error}); move it away to begin anew"
        ) from error
    if not intact or kind != _KIND:
        raise ValueError(
            f"`checkpoint` {str(path)!r} is damaged: its checksum differs from the one recorded "
            "when it was saved; move it away to begin anew"
        )
    return found


def check_same(path: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to go on with other settings, and say which differ."""
    for name in wanted:
        if saved.get(name) != wanted[name]:
            raise ValueError(
                f"`checkpoint` {str(path)!r} was saved with another `{name}`: {saved.get(name)!r}, "
                f"now {wanted[name]!r}; use the same to go on, or another file to begin anew"
            )


def check_arrays(path: Path, saved: Arrays, like: Arrays) -> None:
    """Refuse a file without the arrays that a run needs, each of the shape and dtype of its own."""
    for name, array in like.items():
        found = saved.get(name)
        if found is None or (found.shape, found.dtype) != (array.shape, array.dtype):
            came = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise ValueError(
                f"`checkpoint` {str(path)!r} must hold `{name}`, {array.dtype} {array.shape}, got "
                f"{came}; move it away to begin anew"
            )


def _checksum(text: str, arrays: Arrays) -> str:
    return files.checksum(_content(text, arrays))


def _content(text: str, arrays: Arrays) -> Iterator[str | npt.NDArray[Any]]:
    yield text
    for name in sorted(arrays):
        yield repr((name, arrays[name].dtype.str, arrays[name].shape))
        yield arrays[name]
