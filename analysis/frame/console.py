"""What commands say: to a reader who may have gone."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def say(text: str = "") -> None:
    """Print a line; where nobody reads any more (as after ``| head``), go on in silence."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        hush()


@contextmanager
def warnings_told() -> Iterator[None]:
    """Warnings in here are lines as refusals are, each once, without the place in the code."""
    told: set[str] = set()

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: Any = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if str(message) not in told:
            told.add(str(message))
            print(f"rnnsim: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def hush() -> None:
    """Send nowhere all that is printed from here on."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
