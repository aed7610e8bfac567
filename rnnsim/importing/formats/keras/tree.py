"""Arrays of an HDF5 file, of which nothing is followed out of the file or made up.

Soft and external links, external storage, virtual, chunked, compressed and vlen datasets are
refused: Keras writes none of them, and all are ways to other files or to memory without bound.
"""

import io
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rnnsim.importing.contents import Entry
from rnnsim.importing.formats.damage import RefusedError, sound
from rnnsim.importing.formats.extras import Array, from_bfloat16, package

MOST = 100_000  # objects of a file
_TRAINING = ("optimizer", "optimizer_weights", "_optimizer", "compile_metrics")
Source = Path | bytes
_HEAP = b"GCOL\x01\0\0\0"  # begins a heap of texts, version 1


@contextmanager
def opened(source: Source) -> Iterator[Any]:
    """The HDF5 file, of a path or of bytes."""
    h5py = package("h5py", "HDF5 files")
    with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
        yield file


def entries(source: Source, file: Any, size: int) -> dict[str, Entry]:
    """Every array by its path, but those of an optimiser, of metrics and the seeds of dropout.

    `size` is that of the file in bytes.
    """
    found: dict[str, Entry] = {}
    waiting, seen = [("", file)], 0
    addresses = set()
    while waiting:
        path, group = waiting.pop()
        for name, item in _members(path, group):
            seen += 1
            if seen > MOST:
                raise RefusedError(f"it holds more than {MOST} objects; no network does")
            place = f"{path}/{name}".lstrip("/")
            if not hasattr(item, "shape"):
                if item.id.__hash__() in addresses:
                    raise RefusedError(f"{place} is a group that stands in two places")
                addresses.add(item.id.__hash__())
                if name != "seed_generator" and (path or name not in _TRAINING):
                    waiting.append((place, item))
            else:
                found[place] = _entry(source, place, item, size)
    return {name: found[name] for name in sorted(found)}


def _members(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    """What a group holds by itself; links to elsewhere are refused before they are followed."""
    h5py = package("h5py", "HDF5 files")
    for name in group:
        if type(group.get(name, getlink=True)) is not h5py.HardLink:
            raise RefusedError(
                f"{path}/{name} is a link to another place, which is not followed; save the arrays "
                "themselves"
            )
        item = group[name]
        if isinstance(item, h5py.Group | h5py.Dataset):
            yield name, item


def _entry(source: Source, path: str, item: Any, size: int) -> Entry:
    """The array at a path, if it lies in the file as it is."""
    shape, dtype = item.shape, item.dtype
    # bfloat16 is two bytes of no type; what the attribute says is text, and is not read.
    brain = dtype.kind == "V" and dtype.itemsize == 2 and not dtype.names and "dtype" in item.attrs
    if item.is_virtual or item.external:
        raise RefusedError(f"{path} keeps its numbers in another file; save them in this one")
    if shape is None or (dtype.kind not in "fiub" and not brain):
        raise RefusedError(f"{path} must be an array of numbers, its dtype is {dtype}")
    if item.chunks is not None:
        raise RefusedError(
            f"{path} is chunked or compressed, which Keras' files never are; save it without"
        )
    if item.nbytes > max(item.id.get_storage_size(), 0) or item.nbytes > size:
        raise RefusedError(
            f"{path} says {shape} of {dtype}, {item.nbytes} bytes, which the file of {size} bytes "
            "does not hold"
        )
    name = "bfloat16" if brain else dtype.name
    return Entry(tuple(map(int, shape)), name, partial(_read, source, path, shape, brain))


def _read(source: Source, path: str, shape: tuple[int, ...], brain: bool) -> Array:
    with sound(f"{path} cannot be read"), opened(source) as file:
        array: Array = file[path][()]
    if array.shape != shape:
        raise RefusedError(f"{path} was {shape} and is {array.shape} now: the file was changed")
    return from_bfloat16(array) if brain else array


def texts(source: Path, file: Any, name: str) -> list[str]:
    """Texts of which one is this attribute of the whole file; none where there is no such one.

    HDF5 keeps texts of any length in heaps. They are taken from there, not by HDF5 itself, which a
    damaged heap sends round in circles or to anywhere in memory.
    """
    if name not in file.attrs:
        return []
    h5t = package("h5py", "HDF5 files").h5t
    kind = file.attrs.get_id(name).get_type()
    if not isinstance(kind, h5t.TypeStringID):
        return []
    if not kind.is_variable_str():
        return [bytes(file.attrs[name]).decode("utf-8", "replace")]
    with source.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [text.rstrip(b"\0").decode("utf-8", "replace") for text in _heaps(data)]


def _heaps(data: mmap.mmap) -> Iterator[bytes]:
    """Objects of all heaps: each has a number, 0 of free space, and its size before it."""
    start = data.find(_HEAP)
    while start >= 0:
        end = min(start + int.from_bytes(data[start + 8 : start + 16], "little"), len(data))
        place = start + 16
        while place + 16 <= end:
            free = data[place : place + 2] == b"\0\0"
            size = int.from_bytes(data[place + 8 : place + 16], "little")
            step = size if free else 16 + (size + 7) // 8 * 8
            if step < 16 or place + step > end:
                raise RefusedError("its attributes are damaged: a text has no end")
            if not free:
                yield data[place + 16 : place + 16 + size]
            place += step
        start = data.find(_HEAP, start + 8)
