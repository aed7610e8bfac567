"""What a job is, as a checksum: the same job has the same one in every process."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from rnnsim import files


def fingerprint(job: Any) -> str:
    """sha256, in hex, of a job as text.

    Examples
    --------
    >>> fingerprint({"gain": (0.5, 1.0)}) == fingerprint({"gain": (0.5, 1.0)})
    True
    """
    return files.checksum([_said(job)])


def _said(value: Any) -> str:
    """Plain data as text; data and networks of one's own by their identity."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, np.generic):
        return repr(value.item())
    kind = type(value).__qualname__
    if isinstance(identity := getattr(value, "identity", None), str):
        return f"{kind}<{identity}>"
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}{files.checksum([np.ascontiguousarray(value)])}"
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{_said(k)}:{_said(v)}' for k, v in value.items()))}}}"
    if isinstance(value, tuple | list):
        return f"{kind}({','.join(map(_said, value))})"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{kind}({','.join(_said(getattr(value, f.name)) for f in fields(value))})"
    if type(value).__reduce__ is not object.__reduce__:  # says itself what it is made of
        return f"{kind}{_said(value.__reduce__())}"
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"a job must be plain data, got {value!r:.80} ({kind}) in it")
