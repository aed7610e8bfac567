"""The one progress bar, silent unless it is asked for and there is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
