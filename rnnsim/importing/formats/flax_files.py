"""Flax' files: parameters as msgpack, written by flax.serialization.to_bytes.

An array is an extension of type 1, which is msgpack again: shape, name of dtype, bytes.
"""

from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnsim.importing.contents import Contents, Entry
from rnnsim.importing.formats.damage import RefusedError, sound
from rnnsim.importing.formats.extras import Array, from_bfloat16, package
from rnnsim.importing.names import flax
from rnnsim.importing.names.parts import TRAINING

_ARRAY = 1
_CHUNKED = "__msgpack_chunked_array__"
_SPARE = 1 << 20
_HEADER = 1024  # bytes in which shape and dtype stand
_BIN = {0xC4: 2, 0xC5: 3, 0xC6: 5}  # bytes before bytes
# Kinds of objects by their first byte: bytes of the length that follows, and what it counts.
_LENGTHS = {
    **{0xC4: (1, "bytes"), 0xC5: (2, "bytes"), 0xC6: (4, "bytes")},
    **{0xC7: (1, "extension"), 0xC8: (2, "extension"), 0xC9: (4, "extension")},
    **{0xD9: (1, "bytes"), 0xDA: (2, "bytes"), 0xDB: (4, "bytes")},
    **{0xDC: (2, "items"), 0xDD: (4, "items"), 0xDE: (2, "pairs"), 0xDF: (4, "pairs")},
}
# Bytes that follow the first one of numbers and of short extensions.
_FIXED = {
    **{0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8},
    **{0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17},
}


class _Stored(NamedTuple):
    """An array as the file has it."""

    shape: tuple[int, ...]
    dtype: str
    buffer: memoryview


def contents(path: Path) -> Contents:
    """What a msgpack file of parameters holds, but an optimiser's state and single numbers.

    Raises
    ------
    ValueError
        A damaged file, or msgpack that is no tree of arrays.
    ImportError
        msgpack is not installed.
    """
    msgpack = package("msgpack", "Flax' files")
    with sound("it cannot be read as msgpack"):
        data = path.read_bytes()
        _check(data)
        hook = partial(_extension, msgpack)
        tree = msgpack.unpackb(data, strict_map_key=False, ext_hook=hook)  # keys may be numbers
        del data
        entries = dict(_entries(tree))
    networks, linears, tables = flax.found(entries)
    return Contents("Flax msgpack file", entries, networks, linears, tables)


def _extension(msgpack: Any, code: int, data: bytes) -> Any:
    """An array; numbers of other types are left as they are."""
    if code != _ARRAY:
        return None
    _check(data)
    header = msgpack.Unpacker()
    header.feed(data[:_HEADER])
    try:
        parts, shape, dtype = header.read_array_header(), header.unpack(), header.unpack()
    except msgpack.OutOfData as error:
        raise RefusedError("an array must have a shape of a few axes") from error
    first = data[header.tell()]
    if parts != 3 or not isinstance(shape, list) or not isinstance(dtype, str) or first not in _BIN:
        raise RefusedError("an array must be a shape, the name of a dtype, and bytes")
    buffer = memoryview(data)[header.tell() + _BIN[first] :]  # no copy: it may be all of the file
    if not all(type(n) is int and n >= 0 for n in shape):
        raise RefusedError(f"an array has the shape {shape}")
    size = _itemsize(dtype)
    if size and prod(shape) * size != len(buffer):
        raise RefusedError(f"an array {tuple(shape)} of {dtype} has {len(buffer)} bytes")
    return _Stored(tuple(shape), dtype, buffer)


def _itemsize(dtype: str) -> int:
    """Bytes of a number, 0 of dtypes that NumPy does not know."""
    if dtype == "bfloat16":
        return 2
    known = dtype.startswith(("float", "int", "uint", "bool", "complex")) and "_" not in dtype
    return np.dtype(dtype).itemsize if known else 0


def _entries(tree: Any) -> Iterator[tuple[str, Entry]]:
    """Arrays by their names, `params.cell.hi.kernel`, in the order of the file."""
    waiting: list[tuple[str, Any]] = [("", tree)]
    if not isinstance(tree, dict):
        raise RefusedError(f"it must hold a tree of parameters, got {type(tree).__name__}")
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, _Stored):
            if node.shape:
                yield name, Entry(node.shape, node.dtype, partial(_read, name, (node,), node.shape))
        elif isinstance(node, dict) and _CHUNKED in node:
            yield name, _chunked(name, node)
        elif isinstance(node, dict | list):
            pairs = node.items() if isinstance(node, dict) else enumerate(node)
            inside = [(f"{name}.{key}".lstrip("."), each) for key, each in pairs]
            waiting += [each for each in inside[::-1] if each[0].split(".")[-1] not in TRAINING]


def _chunked(name: str, node: dict[str, Any]) -> Entry:
    """An array that was too large for one object."""
    shape = tuple(node["shape"][str(k)] for k in range(len(node["shape"])))
    parts = tuple(node["chunks"][str(k)] for k in range(len(node["chunks"])))
    if not parts or not all(isinstance(part, _Stored) for part in parts):
        raise RefusedError(f"{name} must be in chunks that are arrays")
    if prod(shape) != sum(prod(part.shape) for part in parts) or len({p.dtype for p in parts}) > 1:
        raise RefusedError(f"{name} is {shape}, which its chunks do not make up")
    return Entry(shape, parts[0].dtype, partial(_read, name, parts, shape))


def _read(name: str, parts: tuple[_Stored, ...], shape: tuple[int, ...]) -> Array:
    if not _itemsize(parts[0].dtype):
        raise RefusedError(f"{name} is of {parts[0].dtype}, which NumPy does not have")
    return np.concatenate([_flat(part) for part in parts]).reshape(shape)


def _flat(part: _Stored) -> Array:
    if part.dtype == "bfloat16":
        return from_bfloat16(np.frombuffer(part.buffer, np.uint16))
    return np.frombuffer(part.buffer, part.dtype)


def _check(data: bytes) -> None:
    """Refuse what claims more than it holds, or would take far more memory, before it is read."""
    place, left, cost = 0, 1, 0
    while left:
        if left > len(data) - place:
            raise RefusedError("it is cut off")
        first = data[place]
        place, left, cost = place + 1, left - 1, cost + 8
        items, skip = 0, _FIXED.get(first, 0)
        if first in _LENGTHS:
            width, kind = _LENGTHS[first]
            length = int.from_bytes(data[place : place + width], "big")
            place += width
            items = length * {"items": 1, "pairs": 2}.get(kind, 0)
            skip = 0 if items or kind in ("items", "pairs") else length + (kind == "extension")
            cost += 64 if kind in ("bytes", "extension") else 64 + 64 * items
        elif 0x80 <= first <= 0x9F:
            items = (first & 0x0F) * (2 if first < 0x90 else 1)
            cost += 64 + 64 * items
        elif 0xA0 <= first <= 0xBF:
            skip = first & 0x1F
            cost += 64
        elif first == 0xC1:
            raise RefusedError("it is no msgpack")
        place += skip
        left += items
        if cost > len(data) + _SPARE:
            raise RefusedError(f"its {len(data)} bytes stand for far more objects than arrays need")
    if place != len(data):
        raise RefusedError("it is cut off" if place > len(data) else "something follows its tree")
