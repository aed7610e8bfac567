"""Packages that only some files need, and bytes that NumPy has no number for."""

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def package(name: str, files: str) -> Any:
    """The package of this name, which reads `files`, or an ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{files} are read with {name}, which is not installed: "
            "pip install 'rnnsim-toolkit[files]'"
        ) from error


def from_bfloat16(bits: Array) -> Array:
    """float32 of the same value as numbers of 16 bits whose sign and exponent are float32's."""
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
