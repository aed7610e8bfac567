"""What a person who waits is shown, on a terminal: the one progress bar, and what is compiled.

The bar is silent unless it is asked for.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from numba.core import event

from rnnsim.kernels.cells.gru import Gru
from rnnsim.kernels.cells.lstm import Lstm

_asked: ContextVar[bool] = ContextVar("asked", default=False)


def asked() -> bool:
    """Whether what runs here is part of something whose progress was asked for."""
    return _asked.get()


@contextmanager
def bar(
    total: int, *, show: bool, unit: str, description: str | None = None, done: int = 0
) -> Iterator[Callable[[int], object]]:
    """A bar of so many units; what it gives is called with the units that were done.

    Within, `asked` is `show`. A bar within another goes when it is full.
    """
    token = _asked.set(show)
    try:
        if not show:
            yield lambda _: None
            return
        from tqdm.auto import tqdm

        with tqdm(
            total=total, initial=done, desc=description, unit=unit, disable=None, leave=None
        ) as shown:
            yield shown.update
    finally:
        _asked.reset(token)


class _Compiling(event.Listener):
    """Says of each dtype that kernels are compiled for it, when the first of them is.

    And so of each gated cell in a dtype that is known, which takes less. Numba tells when it
    compiles; what it finds in a cache it only loads.
    """

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def on_start(self, told: Any) -> None:
        """A function is about to be compiled."""
        function = told.data["dispatcher"].py_func
        if function.__module__.partition(".")[0] != "rnnsim" or not sys.stderr.isatty():
            return
        cell, known = _gated_cell(told.data["args"]), {dtype for _, dtype in self._said}
        for dtype in sorted(_dtypes(told.data["args"])):
            if dtype not in known:
                print(f"rnnsim: compiling kernels for {dtype}, a minute or two", file=sys.stderr)
            elif cell and (cell, dtype) not in self._said:
                print(f"rnnsim: compiling {cell} kernels for {dtype}", file=sys.stderr)
            self._said |= {("", dtype), (cell, dtype)}

    def on_end(self, told: Any) -> None:
        """It has been compiled."""


def _dtypes(types: Any) -> set[str]:
    """The dtypes of the arrays among Numba's types, those in tuples included."""
    found: set[str] = set()
    for each in types:
        if hasattr(each, "types"):
            found |= _dtypes(each.types)
        found |= {str(getattr(each, "dtype", ""))}
    return found & {"float32", "float64"}


def _gated_cell(types: Any) -> str:
    """The gated cell among Numba's types, or nothing."""
    kinds = {getattr(each, "instance_class", None) for each in types}
    return next((name for kind, name in ((Lstm, "LSTM"), (Gru, "GRU")) if kind in kinds), "")


def announce_compiling() -> None:
    """From now on say so, once for each dtype and cell."""
    event.register("numba:compile", _Compiling())
