"""Parts of a study: the jobs that are stored together, and the file that holds them."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import files
from rnnsim.experiments.scaling.work import Outcome
from rnnsim.experiments.study import Found, Place

MOST_PARTS = 10_000  # files in a folder: more are slow to list

_NAMES = ("head", "values", "sha256")


class Held(NamedTuple):
    """A job that a part holds: where its values belong, what they are, seconds that it took."""

    place: Place
    found: Found
    seconds: float


def jobs_in_part(n_jobs: int) -> int:
    """How many jobs are stored together: one, up to `MOST_PARTS` of them."""
    return max(1, -(-n_jobs // MOST_PARTS))


def packed(fingerprint: str, places: Sequence[Place], outcomes: Sequence[Outcome]) -> bytes:
    """The file of a part: an .npz of a head as JSON, all values in a row, and their checksum."""
    jobs: list[dict[str, Any]] = []
    values: list[bytes] = []
    for place, outcome in zip(places, outcomes, strict=True):
        assert outcome.found is not None
        arrays = {name: _plain(array) for name, array in outcome.found.items()}
        about = [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()]
        jobs.append({"place": dict(place), "arrays": about, "seconds": outcome.seconds})
        values += [np.ascontiguousarray(a).tobytes() for a in arrays.values()]
    head = json.dumps({"fingerprint": fingerprint, "jobs": jobs}, default=int)
    data = b"".join(values)
    sha256 = files.checksum([head, data])
    with io.BytesIO() as file:
        np.savez(file, head=_bytes(head.encode()), values=_bytes(data),
                 sha256=_bytes(sha256.encode()))  # fmt: skip
        return file.getvalue()


def _bytes(content: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8)


def _plain(array: Any) -> npt.NDArray[Any]:
    """Texts with a width, whose bytes are theirs; all else as it is."""
    values = np.asarray(array)
    return values.astype(str) if values.dtype.hasobject else values


def unpacked(file: Path, fingerprint: str | None = None) -> list[Held]:
    """The jobs of a part.

    Raises
    ------
    ValueError
        A file that is damaged, or of other jobs.
    """
    try:
        found = files.read_arrays(file, _NAMES)
        head, data, sha256 = (found[name].tobytes() for name in _NAMES)
        intact = sha256.decode() == files.checksum([head, data])
        said = json.loads(head)
        if not intact or fingerprint not in (None, said["fingerprint"]):
            raise ValueError("its checksum differs" if not intact else "it is of other jobs")
        return _held(said["jobs"], data)
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _held(jobs: Sequence[Mapping[str, Any]], data: bytes) -> list[Held]:
    found, at = [], 0
    for job in jobs:
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, kind, shape in job["arrays"]:
            dtype, count = np.dtype(kind), int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(data, dtype, count, at) if count else np.empty(0, dtype)
            arrays[name] = array.reshape(shape)
            at += count * dtype.itemsize
        place = {k: tuple(v) if isinstance(v, list) else v for k, v in job["place"].items()}
        found.append(Held(place, arrays, job["seconds"]))
    return found
