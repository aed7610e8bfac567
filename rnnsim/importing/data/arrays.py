"""Arrays of .npy, .npz and .safetensors files; nothing in them is executed."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnsim.importing.formats.arrays_files import npz_entries, safetensors_entries
from rnnsim.importing.formats.damage import sound

Array = npt.NDArray[Any]
# Whether an array of this name, one of so many, is to be read.
Wanted = Callable[[str, int], bool]

_OBJECTS = "objects, as pickles, which are never read; convert it with astype('float64')"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def npy(place: Path) -> Array:
    """The array of a .npy file, read when its size is what its header says."""
    with place.open("rb") as file:
        with sound("its header is damaged"), warnings.catch_warnings(action="ignore"):
            shape, by_columns, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
        if dtype.kind not in "biuf":
            what = _OBJECTS if dtype.hasobject else f"{dtype}; convert it"
            raise ValueError(f"it must hold real numbers, got {what}")
        count, follow = math.prod(shape), place.stat().st_size - file.tell()
        if min(shape, default=0) < 0 or count * dtype.itemsize != follow:
            raise ValueError(
                f"its header says shape {shape} of {dtype}, {count * dtype.itemsize} bytes, and "
                f"{follow} follow; it is damaged, or holds more than one array"
            )
        flat = np.fromfile(file, dtype, count)
    array = flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def named(form: str, place: Path, wanted: Wanted) -> tuple[dict[str, Array], list[str]]:
    """The arrays of an .npz or .safetensors file that are wanted, and the names of the others."""
    entries = npz_entries(place) if form == "npz" else safetensors_entries(place)[0]
    if not entries:
        raise ValueError(
            "it holds no arrays of NumPy; save them with np.savez(path, inputs=..., targets=...)"
        )
    chosen = {name: each for name, each in entries.items() if wanted(name, len(entries))}
    for name, entry in chosen.items():
        if entry.dtype == "object":
            raise ValueError(f"{name} must hold real numbers, got {_OBJECTS}")
    return {name: each.read() for name, each in chosen.items()}, sorted({*entries} - {*chosen})
