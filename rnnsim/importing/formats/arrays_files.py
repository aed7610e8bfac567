"""Files of named arrays and nothing else: .npz of NumPy, .safetensors."""

import math
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize, safe_open

from rnnsim import checks, files
from rnnsim.importing.contents import Entry
from rnnsim.importing.formats.torch_files import numbers

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
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings(action="ignore"):
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        shape, dtype = _header(member, info)
                    name = info.filename.removesuffix(".npy")
                    found[name] = Entry(shape, str(dtype), _npz_reader(path, name))
    except Exception as error:  # whatever zipfile, zlib, ast and NumPy make of damaged bytes
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error
    return found


def _header(member: Any, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype, where the bytes behind them are as many as they say."""
    version = np.lib.format.read_magic(member)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"{info.filename} is of version {version}")
    shape, _, dtype = read[version](member)
    said = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and said != info.file_size - member.tell():
        raise ValueError(f"{info.filename} does not have the {said} bytes of {shape} {dtype}")
    return shape, dtype


def _npz_reader(path: Path, name: str) -> Callable[[], npt.NDArray[Any]]:
    def read() -> npt.NDArray[Any]:
        try:
            return files.read_arrays(path, [name])[name]
        except (ValueError, KeyError) as error:
            raise ValueError(f"{checks.shown(name)} in it cannot be read ({error})") from error

    return read


def safetensors_entries(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """The arrays of a .safetensors file, and what its header says besides.

    Raises
    ------
    ValueError
        A file that is damaged.
    """
    found: dict[str, Entry] = {}
    try:
        with safe_open(path, "np") as archive:
            for name in archive.keys():  # noqa: SIM118  it is no mapping
                part = archive.get_slice(name)
                kind = _DTYPES.get(part.get_dtype(), part.get_dtype())
                found[name] = Entry(tuple(part.get_shape()), kind, _reader(path, name, kind))
            return found, dict(archive.metadata() or {})
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise ValueError(f"it is damaged ({error})") from error


def _reader(path: Path, name: str, dtype: str) -> Callable[[], npt.NDArray[Any]]:
    def read() -> npt.NDArray[Any]:
        if dtype not in _DTYPES.values():
            raise ValueError(f"{checks.shown(name)} is of dtype {dtype}, which is not read")
        if dtype == "bfloat16":  # unknown to NumPy
            parts = dict(deserialize(path.read_bytes()))
            return numbers(bytes(parts[name]["data"]), dtype).reshape(parts[name]["shape"])
        with safe_open(path, "np") as archive:
            array: npt.NDArray[Any] = archive.get_tensor(name)
            return array

    return read
