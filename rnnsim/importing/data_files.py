"""Data of one's own, from files of arrays, tables and text."""

import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.appearances import look_onehot, look_swapped
from rnnsim.data.own import OwnData
from rnnsim.data.sequences import Sequences
from rnnsim.files import checksum
from rnnsim.importing.data import arrays, tables
from rnnsim.importing.data.layouts import LAYOUTS, Fitted, Found, by_names, fitted, wanted
from rnnsim.networks.rnn import RNN
from rnnsim.networks.stack import Stack
from rnnsim.tasks.text import corpus, corpus_codes

_HEAD = 4096  # bytes, by which content is recognised
_PIECE = 2**20  # bytes that are read at once for a checksum
_KINDS = ".npz, .npy, .safetensors, .csv or .txt"
_SUFFIXES = {".csv": "table", ".tsv": "table", ".txt": "text"}
_OTHERS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file", b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive", b"\x28\xb5\x2f\xfd": "a zstd archive", b"PAR1": "a Parquet file",
    b"MATLAB ": "a file of MATLAB", b"\x89PNG": "an image", b"\xff\xd8\xff": "an image",
    b"%PDF": "a PDF file", b"ARROW1": "an Arrow file", b"OggS": "a sound", b"RIFF": "a sound",
    **{bytes([0x80, version]): "a pickle, which is never read" for version in range(2, 6)},
}  # fmt: skip


def read_sequences(
    path: str | PathLike[str],
    *,
    layout: str | None = None,
    network: RNN | Stack | None = None,
    length: int | None = None,
    batch_size: int | None = None,
    dtype: npt.DTypeLike | None = None,
    rng: int | np.random.Generator = 0,
) -> Sequences:
    """A batch of data of one's own, from a file that is recognised by its content.

    ============ =================================================================================
    .npz,        `inputs`: (T, B, D) numbers or (T, B) class ids (integers), or one long sequence
    .safetensors (S,) of either; `targets`, `weights`, `mask` as of `Sequences`, where there are
                 some. Targets may be one for each sequence, (B,) or (B, V): loss at its last step
    .npy         the inputs alone
    .csv, .tsv   a table of numbers: rows are steps of one long sequence, columns inputs, but for
                 those that a first row names target... (targets), weights or mask
    .txt         characters, as `tasks.characters` reads a text of one's own
    ============ =================================================================================

    Without targets the next step is predicted: class ids and characters are scored with
    cross-entropy, numbers with ``0.5*||y_t - x_{t+1}||^2``. Class ids become rows of the embedding
    of `network`, or one-hot inputs of its number of inputs, without it of the largest id and 1.

    Parameters
    ----------
    path : path
    layout : {"tbd", "btd"}, optional
        Whether steps or sequences come first, in all arrays. Arrays of the names above are
        time-major unless it is given; of others (x, data, y, labels, ...) it must be.
    network : RNN or Stack, optional
        Which network is to read them: what does not fit it is refused.
    length : int, optional
        T, the first steps of a batch; all unless given. One long sequence is cut: windows of this
        length from random places.
    batch_size : int, optional
        B sequences, drawn without replacement and kept in order; all unless given. Of one long
        sequence the number of windows, 1 unless given.
    dtype : {"float32", "float64"}, optional
        Unless given that of `network`, else of the file: float32 of float32 and float16.
    rng : int or numpy.random.Generator

    Returns
    -------
    Sequences
        `provenance` has the name of the file and the sha256 of its content.

    Raises
    ------
    FileNotFoundError
        No such file.
    TypeError, ValueError
        A file that is something else, damaged, empty or unpacks to much more than it is; no real
        numbers, NaN or infinity; axes that may be read in two ways; sizes or class ids that do not
        fit each other or the network; more steps or sequences than there are; no step with loss.

    Warns
    -----
    UserWarning
        Arrays of the file that are not read; axes that look swapped, and targets that look
        one-hot, as of `Sequences`.

    Examples
    --------
    >>> import os, tempfile, numpy as np, rnnsim
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "mine.npz")
    ...     np.savez(path, inputs=np.zeros((10, 4, 3)), targets=np.zeros((10, 4), int))
    ...     batch = rnnsim.read_sequences(path, length=5, batch_size=2)
    >>> batch.inputs.shape, batch.provenance["data"]
    ((5, 2, 3), 'mine.npz')
    """
    if network is not None and not isinstance(network, RNN | Stack):
        raise TypeError(
            f"`network` must be a rnnsim.RNN or rnnsim.Stack, got {type(network).__name__}"
        )
    generator = checks.generator(rng)
    data = _opened(path, layout, dtype, depth=3)
    kind = dtype if dtype is not None or network is None else network.dtype
    with checks.renamed(n_sequences="`batch_size`"):
        return data.draw(length, batch_size, generator, dtype=kind, network=network)


def open_data(
    path: str | PathLike[str], *, layout: str | None = None, dtype: npt.DTypeLike | None = None
) -> OwnData:
    """What a file holds, of which batches are drawn; parameters are those of `read_sequences`."""
    return _opened(path, layout, dtype, depth=3)


def _opened(path: Any, layout: str | None, dtype: Any, *, depth: int) -> OwnData:
    place = checks.path("path", path)
    if layout is not None:
        checks.one_of("layout", layout, LAYOUTS)
    kind = None if dtype is None else checks.float_dtype("dtype", dtype)
    with _naming(place):
        form = _form(place)
        if form == "text":
            return _characters(place, kind)
        found, others = _found(form, place)
        data, sha256 = fitted(found, layout, kind), _sha256(place)
    for message in _odd(found, others, data, layout):
        warnings.warn(f"`path` {place.name!r}: {message}", UserWarning, stacklevel=depth)
    ids = data.inputs.ndim == 2
    made = "ids" if ids else "stream" if data.stream else "batch"
    n_ids, said = int(data.inputs.max()) + 1 if ids else 0, None if data.stream else layout
    return OwnData(place.name, sha256, made, *data, n_ids, said)


@contextmanager
def _naming(place: Path) -> Iterator[None]:
    """Whatever is wrong with a file is refused by its name."""
    try:
        yield
    except FileNotFoundError:
        raise
    except MemoryError as error:
        raise ValueError(f"`path` {place.name!r}: it is larger than the memory") from error
    except OSError as error:
        raise ValueError(f"`path` {str(place)!r} cannot be read ({error.strerror})") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"`path` {place.name!r}: {error}") from error


def _form(place: Path) -> str:
    """What kind of file it is: by its beginning, or else by its name."""
    try:
        mode, size = place.stat().st_mode, place.stat().st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"`path` {str(place)!r} is not there; name a file ({_KINDS})"
        ) from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ValueError(f"it is {what}; name a file ({_KINDS})")
    if size == 0:
        raise ValueError(f"it is empty; name a file ({_KINDS}) that holds data")
    with place.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "npz"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise ValueError(f"it is {what}; save the data as {_KINDS}")
    suffix = place.suffix.lower()
    if suffix not in _SUFFIXES:
        like = f"no {suffix} file, or a damaged one" if suffix and suffix in _KINDS else "none"
        raise ValueError(f"it must be a file {_KINDS}, got {like}; save the data anew")
    if b"\0" in head:
        raise ValueError("it must be text in UTF-8, got zero bytes; save the data anew")
    return _SUFFIXES[suffix]


def _found(form: str, place: Path) -> tuple[Found, list[str]]:
    """Arrays by what they are, and the names of those that are not read."""
    if form == "table":
        return Found(tables.table(place.read_bytes()), "the table", table=True), []
    if form == "npy":
        return Found({"inputs": arrays.npy(place)}), []
    read, others = arrays.named(form, place, wanted)
    found = by_names(read, others)
    return found, sorted([*others, *({*read} - found.names)])


def _sha256(place: Path) -> str:
    """Of the content, a piece at a time."""
    with place.open("rb") as file:
        return checksum(iter(lambda: file.read(_PIECE), b""))


def _characters(place: Path, kind: np.dtype[Any] | None) -> OwnData:
    """A text, as positions in the alphabet of its characters."""
    with checks.renamed(text="the text"):
        n_ids, codes = len(corpus(place).vocabulary), corpus_codes(place)
    weights = np.ones((len(codes) - 1, 1), kind or np.dtype("float64"))
    kept = (codes[:, None], None, weights, True, n_ids)
    return OwnData(place.name, _sha256(place), "characters", *kept)


def _odd(found: Found, others: list[str], data: Fitted, layout: str | None) -> Iterator[str]:
    """What is sound and may be meant in another way."""
    if others:
        listing = ", ".join(others[:8]) + (" and others" if len(others) > 8 else "")
        yield f"{listing} not read; inputs, targets, weights and mask are"
    room = data.inputs if data.inputs.ndim == 3 else data.inputs[..., None]
    if layout is None and found.by_name and not data.stream and look_swapped(room):
        T, B = data.inputs.shape[:2]
        yield (
            f"axes look swapped: {T} steps of {B} sequences; if sequences come first, give "
            "layout='btd', else layout='tbd'"
        )
    if data.targets is not None and look_onehot(data.targets, data.weights):
        yield "targets look one-hot: class ids, targets.argmax(axis=-1), are scored with softmax"
