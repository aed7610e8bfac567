"""The one progress bar, silent unless it is asked for and there is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_asked: ContextVar[bool] = ContextVar("asked", default=False)


def asked() -> bool:
    """Whether what runs here is part of something whose progress is shown."""
    return _asked.get()


@contextmanager
def bar(
    total: int, *, show: bool, unit: str, description: str | None = None, done: int = 0
) -> Iterator[Callable[[int], object]]:
    """A bar of so many units; what it gives is called with the units that were done.

    Within, `asked` says whether it is shown; a bar within another goes when it is full. A bar of
    one unit is left out: what it is made of may have a bar of its own.
    """
    token = _asked.set(show)
    try:
        if not show or total - done <= 1:
            yield lambda _: None
            return
        from tqdm.auto import tqdm

        with tqdm(
            total=total, initial=done, desc=description, unit=unit, disable=None, leave=None
        ) as shown:
            yield shown.update
    finally:
        _asked.reset(token)
