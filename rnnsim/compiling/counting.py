"""What a call compiles, and where machine code is kept."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import numba
from numba.core import event

from rnnsim import kernels
from rnnsim.compiling.calls import CALLS, Piece


class Compiled(event.Listener):
    """Counts the kernels that Numba compiles; what it finds in its cache it only loads."""

    def __init__(self) -> None:
        self.kernels = 0

    def on_start(self, told: Any) -> None:
        """A function is about to be compiled."""
        self.kernels += told.data["dispatcher"].py_func.__module__.startswith("rnnsim.")

    def on_end(self, told: Any) -> None:
        """It has been compiled."""


def make(piece: Piece) -> int:
    """Make a call of the table, in silence; how many kernels it compiled."""
    counted = Compiled()
    with (
        contextlib.redirect_stderr(io.StringIO()),  # of several processes that say what they do
        event.install_listener("numba:compile", counted),
    ):
        CALLS[piece.name](piece.tiny)
    return counted.kernels


def folder() -> Path:
    """Where machine code is kept.

    Raises
    ------
    ValueError
        Nothing is compiled, since NUMBA_DISABLE_JIT is set.
    OSError
        There is no folder that can be written.
    """
    config: Any = numba.config
    if config.DISABLE_JIT:
        raise ValueError(
            "the environment variable NUMBA_DISABLE_JIT must not be set where kernels are to be "
            f"compiled, got {os.environ.get('NUMBA_DISABLE_JIT', '1')!r}; unset it"
        )
    forward: Any = kernels.forward
    found = forward.stats.cache_path
    if found is None:
        root = config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        raise OSError(
            "machine code must be kept in a folder that can be written, and none can be made in "
            f"{root}; name one in the environment variable NUMBA_CACHE_DIR"
        )
    return Path(found).parent
