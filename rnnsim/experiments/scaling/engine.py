"""How a study is run: by which executor, into which folder, which share of it."""

import contextlib
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim import checks
from rnnsim.experiments.scaling.dispatch import check_executor

Store = str | PathLike[str]  # a folder


class Shard(NamedTuple):
    """Share `number` of `of`, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, part: int) -> bool:
        """Whether a part is in it."""
        return part % self.of == self.number - 1


class Engine(NamedTuple):
    """Where jobs run and where their results stay; None is in this process.

    With `whole`, nothing is measured: a store that is not whole is refused.
    """

    executor: Executor | None = None
    store: Path | None = None
    shard: Shard | None = None
    whole: bool = False


@dataclass
class _Around:
    """The engine of everything that runs inside of a block, and how many studies there were."""

    engine: Engine
    stores: list[str] = field(default_factory=list)

    def next(self, name: str) -> Engine:
        if self.engine.store is None:
            return self.engine
        self.stores.append(f"{len(self.stores) + 1:02d}-{name.replace(' ', '-')}.sweep")
        return self.engine._replace(store=self.engine.store / self.stores[-1])


_around: ContextVar[_Around | None] = ContextVar("around", default=None)


@contextlib.contextmanager
def inside(engine: Engine) -> Iterator[None]:
    """Every study in the block is run by this engine, each in a numbered folder of its store."""
    token = _around.set(_Around(engine))
    try:
        yield
    finally:
        _around.reset(token)


def checked(executor: Any, store: Any) -> Engine:
    """The two as experiments take them.

    Raises
    ------
    TypeError, ValueError
    """
    if executor is not None:
        check_executor(executor)
    place = None if store is None else checks.path("store", store)
    if store == "":
        raise ValueError("`store` must name a folder, got ''; '.' is the one you are in")
    if place is not None and place.exists() and not place.is_dir():
        raise ValueError(f"`store` {str(place)!r} is a file; name a folder")
    return Engine(executor, place)


def is_scaled(executor: Any, store: Any) -> bool:
    """Whether jobs are spread or kept, and so should be many and short."""
    return executor is not None or store is not None or _around.get() is not None


def engine_of(name: str, executor: Any, store: Any) -> Engine:
    """What a study of this name is run by: what was asked for, else what is around it."""
    given = checked(executor, store)
    around = _around.get()
    return given if around is None or given != Engine() else around.next(name)


def shard_of(value: str) -> Shard:
    """A share as text, "2/8".

    Raises
    ------
    ValueError
        Not two numbers, the first from 1 to the second.
    """
    match = re.fullmatch(r"(\d{1,7})/(\d{1,7})", value.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(
            "`shard` must be i/n, share i of n with 1 <= i <= n, such as 2/8, got "
            f"{checks.shown(value)}"
        )
    return Shard(int(match[1]), int(match[2]))
