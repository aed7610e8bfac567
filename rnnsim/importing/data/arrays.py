"""Named arrays of .npy, .npz and .safetensors files, from their bytes; nothing is executed."""

import io
import math
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Whether an array of this name, one of so many, is to be read.
Wanted = Callable[[str, int], bool]

# Archives hold up to 64 MB, or 20 times their own size: what is packed more tightly may be a bomb.
_ALWAYS, _RATIO = 2**26, 20
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "|u1", "U8": "|u1",
    "U16": "<u2", "U32": "<u4", "U64": "<u8", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
}  # fmt: skip


def npy(raw: bytes) -> Array:
    """The array of a .npy file."""
    file = io.BytesIO(raw)
    try:
        with warnings.catch_warnings(action="ignore"):  # of files of Python 2
            shape, by_columns, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:
        raise ValueError(f"its header is damaged ({_said(error)}); save it anew") from error
    if dtype.kind not in "biuf":
        what = "objects, as pickles, which are not read" if dtype.hasobject else str(dtype)
        raise ValueError(
            f"it must hold real numbers, got {what}; convert it with astype('float64')"
        )
    count, start = math.prod(shape), file.tell()
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(raw) - start:
        raise ValueError(
            f"its header says shape {shape} of {dtype}, {count * dtype.itemsize} bytes, and "
            f"{len(raw) - start} follow; it is damaged, or holds more than one array"
        )
    flat = np.frombuffer(raw, dtype, count, start) if count else np.empty(0, dtype)
    array = flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def npz(raw: bytes, wanted: Wanted) -> tuple[dict[str, Array], list[str]]:
    """The arrays of an .npz file that are wanted, and the names of the others."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
    except Exception as error:
        raise ValueError(f"it is a damaged archive ({_said(error)}); save it anew") from error
    with archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        infos = {info.filename.removesuffix(".npy"): info for info in members}
        if not infos:
            torch = any(name.endswith("data.pkl") for name in archive.namelist())
            what = "a file of PyTorch" if torch else "an archive without arrays"
            raise ValueError(
                f"it is {what}; save arrays with np.savez(path, inputs=..., targets=...)"
            )
        if len(infos) < len(members):
            raise ValueError("it holds several arrays of one name; save it anew")
        chosen = {name: info for name, info in infos.items() if wanted(name, len(infos))}
        _check_sizes(list(chosen.values()), len(raw))
        arrays = {name: _member(archive, info) for name, info in chosen.items()}
    return arrays, [name for name in infos if name not in chosen]


def _check_sizes(infos: list[zipfile.ZipInfo], n_bytes: int) -> None:
    """Refuse before reading what would unpack to more than an archive of this size justifies."""
    total, most = sum(info.file_size for info in infos), max(_ALWAYS, _RATIO * n_bytes)
    if total > most:
        raise ValueError(
            f"its {n_bytes} bytes unpack to {total}, more than {most}; if it is sound, save it "
            "with np.savez, not compressed"
        )
    for info in infos:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{info.filename} is packed in a way unlike NumPy's; use np.savez")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    try:
        with archive.open(info) as file:
            raw = file.read()
    except Exception as error:
        raise ValueError(f"{info.filename} is damaged ({_said(error)}); save it anew") from error
    try:
        return npy(raw)
    except ValueError as error:
        raise ValueError(f"of {info.filename}: {error}") from error


def tensors(raw: bytes, wanted: Wanted) -> tuple[dict[str, Array], list[str]]:
    """The arrays of a .safetensors file that are wanted, and the names of the others."""
    import safetensors  # not before it is needed

    try:
        found = dict(safetensors.deserialize(raw))
    except Exception as error:
        raise ValueError(f"it is a damaged .safetensors file ({_said(error)})") from error
    if not found:
        raise ValueError("it holds no arrays; save `inputs`, and `targets` where there are some")
    chosen = {name: each for name, each in found.items() if wanted(name, len(found))}
    arrays = {name: _tensor(name, each) for name, each in chosen.items()}
    return arrays, [name for name in found if name not in chosen]


def _tensor(name: str, found: dict[str, Any]) -> Array:
    kind = found["dtype"]
    if kind not in _DTYPES:
        raise ValueError(f"{name} must hold real numbers of a plain dtype, got {kind}; convert it")
    flat = np.frombuffer(found["data"], _DTYPES[kind]) if found["data"] else np.empty(0)
    if kind == "BF16":
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    if kind == "BOOL":
        flat = flat != 0
    return flat.reshape(found["shape"]).astype(flat.dtype.newbyteorder("="), copy=False)


def _said(error: Exception) -> str:
    """An error of others, short."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:100]}"
