"""Files of named arrays and nothing else: .npz of NumPy, .safetensors."""

import contextlib
import math
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize, safe_open

from rnnsim import checks, files
from rnnsim.importing.contents import Entry
from rnnsim.importing.formats.damage import RefusedError, sound
from rnnsim.importing.formats.torch_files import numbers

_HARMLESS = 64e6  # bytes that a small file may unpack to
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32",
    "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def npz_entries(path: Path) -> dict[str, Entry]:
    """The arrays of an .npz file; nothing in it is executed.

    Raises
    ------
    ValueError
        A file that is no such archive, damaged, or larger inside than any file compresses to.
    """
    found = {}
    with sound("it is damaged"), zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        _check_growth(infos, path.stat().st_size)
        for info in infos:
            with archive.open(info) as member, warnings.catch_warnings(action="ignore"):
                shape, dtype = _header(member, info)
            name = info.filename.removesuffix(".npy")
            kind = "str" if dtype.kind == "U" else str(dtype)
            found[name] = Entry(shape, kind, _npz_reader(path, name))
    return found


def _check_growth(infos: Iterable[zipfile.ZipInfo], size: int) -> None:
    """Refuse what small files unpack to, where that is much."""
    total = sum(info.file_size for info in infos)
    if total > max(2 * size, _HARMLESS):
        raise RefusedError(
            f"its {size / 1e6:.3g} MB unpack to {total / 1e6:.3g} MB; save it without compression, "
            "with np.savez"
        )


def _header(member: Any, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype, where the bytes behind them are as many as they say."""
    version = np.lib.format.read_magic(member)
    header = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}", None)
    if header is None:
        raise ValueError(f"{info.filename} is of version {version}")
    shape, _, dtype = header(member)
    said = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and said != info.file_size - member.tell():
        raise ValueError(f"{info.filename} does not have the {said} bytes of {shape} {dtype}")
    return shape, dtype


def _npz_reader(path: Path, name: str) -> Callable[[], npt.NDArray[Any]]:
    def read() -> npt.NDArray[Any]:
        with sound(f"{checks.shown(name)} in it cannot be read"):
            return files.read_arrays(path, [name])[name]

    return read


def safetensors_entries(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """The arrays of a .safetensors file, and what its header says besides.

    Raises
    ------
    ValueError
        A file that is damaged.
    """
    found: dict[str, Entry] = {}
    with sound("it is damaged"), _told(), safe_open(path, "np") as archive:
        for name in archive.keys():  # noqa: SIM118  it is no mapping
            part = archive.get_slice(name)
            kind = _DTYPES.get(part.get_dtype(), part.get_dtype())
            found[name] = Entry(tuple(part.get_shape()), kind, _reader(path, name, kind))
        return found, dict(archive.metadata() or {})


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The library's own kind of error as one of Python's."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _reader(path: Path, name: str, dtype: str) -> Callable[[], npt.NDArray[Any]]:
    def read() -> npt.NDArray[Any]:
        if dtype not in _DTYPES.values():
            raise RefusedError(f"{checks.shown(name)} is of dtype {dtype}, which is not read")
        with sound(f"{checks.shown(name)} in it cannot be read"), _told():
            if dtype == "bfloat16":  # unknown to NumPy
                part = dict(deserialize(path.read_bytes()))[name]
                return numbers(bytes(part["data"]), dtype).reshape(part["shape"])
            with safe_open(path, "np") as archive:
                array: npt.NDArray[Any] = archive.get_tensor(name)
                return array

    return read
