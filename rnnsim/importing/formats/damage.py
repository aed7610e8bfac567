"""Damaged files: whatever their readers make of them, in one sentence."""

import contextlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator

from rnnsim import checks

_KINDS = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError, OSError,
    RuntimeError, SyntaxError, MemoryError, struct.error, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class RefusedError(ValueError):
    """What is said already, in a sentence of our own."""


@contextlib.contextmanager
def sound(what: str) -> Iterator[None]:
    """What is raised in here is a ValueError that begins with `what`, such as "it is damaged"."""
    try:
        yield
    except RefusedError:
        raise
    except _KINDS as error:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise RefusedError(f"{what} ({checks.shown(why)[1:-1]})") from error
