"""What a person who waits is shown: the one progress bar, and what is compiled.

Nothing is shown unless it is asked for. Where there is no terminal, as in a log, the bar is a line
every ten seconds.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from numba.core import event

from rnnsim.kernels.cells.gru import Gru
from rnnsim.kernels.cells.lstm import Lstm

EVERY = 10.0  # seconds from one line to the next

_asked: ContextVar[bool] = ContextVar("asked", default=False)
_said: ContextVar[float] = ContextVar("said", default=0.0)  # when a line was written


def asked() -> bool:
    """Whether what runs here is part of something whose progress was asked for."""
    return _asked.get()


@contextmanager
def bar(
    total: int, *, show: bool, unit: str, description: str | None = None, done: int = 0
) -> Iterator[Callable[[int], object]]:
    """A bar of so many units; what it gives is called with the units that were done.

    Within, `asked` is `show`. A bar within another goes when it is full. Without a terminal it is
    lines: none of what is done within ten seconds, and one at the end of what is not.
    """
    outermost = not _asked.get()
    token = _asked.set(show)
    try:
        if not show:
            yield lambda _: None
            return
        if not sys.stderr.isatty():
            if outermost:
                _said.set(_clock())
            lines = _Lines(total, done, unit, description)
            yield lines.advance
            lines.end()
            return
        from tqdm.auto import tqdm

        with tqdm(
            total=total, initial=done, desc=description, unit=unit, disable=None, leave=None
        ) as shown:
            yield shown.update
    finally:
        _asked.reset(token)


class _Lines:
    """How far it is, in a line at a time."""

    def __init__(self, total: int, done: int, unit: str, name: str | None) -> None:
        self._total, self._first, self._done = total, done, done
        self._words = f"{unit}{'s' * (total != 1)}"
        self._name = name or "progress"
        self._began = _clock()

    def advance(self, units: int) -> None:
        """So many were done."""
        self._done += units
        if _clock() - _said.get() >= EVERY and self._done < self._total:
            per_unit = (_clock() - self._began) / max(self._done - self._first, 1)
            left = per_unit * (self._total - self._done)
            share = f"{100 * self._done // self._total}%"
            self._say(f"{self._done} of {self._total} {self._words}, {share}, {_time(left)} left")

    def end(self) -> None:
        """All were done; what took no time needs no line."""
        taken = _clock() - self._began
        if taken >= EVERY:
            self._say(f"{self._done} of {self._total} {self._words} done in {_time(taken)}")

    def _say(self, words: str) -> None:
        print(f"{self._name}: {words}", file=sys.stderr, flush=True)
        _said.set(_clock())


def _clock() -> float:
    return time.monotonic()


def _time(seconds: float) -> str:
    """ "1 min 40 s", in the two largest units."""
    whole = max(round(seconds), 1)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


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
