"""The one place that compiles: how every kernel is decorated and where its machine code is kept.

Numba keys a cached kernel by the file that defines it and misses edits in helpers from other
files (numba#9304), so all kernels share a cache folder named by a hash of all kernel sources: an
edited helper is a new folder. Where no folder can be written, kernels compile without a cache.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

config: Any = numba.config


def _cache_root() -> Path:
    """The user's choice (NUMBA_CACHE_DIR), or the usual per-user cache folder."""
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rnnsim"


def _cache_folder() -> Path | None:
    """The writable folder for this version of the kernels, or None."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(source.read_bytes())
    try:
        folder = _cache_root() / f"kernels-{digest.hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None


_FOLDER = _cache_folder()


Function = Callable[..., Any]


def _compile(fastmath: set[str], *, inlined: bool = False) -> Callable[[Function], Function]:
    options: Any = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": fastmath,
        "inline": "always" if inlined else "never",
        "no_cfunc_wrapper": True,
        "_nrt": False,  # no reference counting: less code, and no allocation by accident
        "cache": _FOLDER is not None,
    }

    def decorate(function: Function) -> Function:
        before = config.CACHE_DIR
        config.CACHE_DIR = str(_FOLDER or before)
        try:
            compiled: Function = numba.njit(**options)(function)
        finally:
            config.CACHE_DIR = before
        return compiled

    return decorate


# Sums may be reordered, so that they vectorise; NaN, infinities and signed zeros keep their sense.
kernel = _compile({"reassoc", "contract"})

# For what allocates: plain Python outside compiled code, so that it costs no compilation there.
allocator: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.extending.register_jitable

# The same, put into the caller's loop: for bodies too short to be worth a call.
inlined = _compile({"reassoc", "contract"}, inlined=True)

# Operations stay in the order written: error-compensated arithmetic depends on it.
exact = _compile({"contract"})
