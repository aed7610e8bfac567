"""The flags that say where jobs run and where their results stay."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..frame.settings import CORES, Command, flag

if TYPE_CHECKING:
    from rnnsim.experiments.scaling.engine import Shard

_WHERE = ("workers", "scheduler", "scheduler_file")


@dataclass(frozen=True)
class Scaling:
    """Where jobs run, and where their results stay."""

    store: Annotated[
        Path | None,
        flag("Folder that keeps every job that is done: the same command goes on with it.", CORES),
    ] = None
    workers: Annotated[int | None, flag("Processes that run jobs, each on one thread.", CORES)] = (
        None
    )
    scheduler: Annotated[
        str | None, flag("Address of a dask scheduler that runs jobs, as tcp://host:8786.", CORES)
    ] = None
    scheduler_file: Annotated[
        Path | None, flag("The file that it wrote its address to.", CORES)
    ] = None
    shard: Annotated[
        str | None, flag("i/n: share i of n alone, into --store, for rnnsim merge.", CORES)
    ] = None
    dry_run: Annotated[
        bool, flag("Print jobs, memory, bytes and hours of a core, from a job of each kind.", CORES)
    ] = False

    def share(self) -> "Shard | None":
        """The share as numbers.

        Raises
        ------
        ValueError
        """
        from rnnsim import checks
        from rnnsim.experiments.scaling.engine import shard_of

        with checks.renamed(shard="`--shard`"):
            return None if self.shard is None else shard_of(self.shard)

    def check(self, source: Path | None) -> None:
        """Refuse flags that contradict each other.

        Raises
        ------
        TypeError, ValueError
        """
        from rnnsim import checks

        given = [name for name in _WHERE if getattr(self, name) is not None]
        flags = [f"--{name.replace('_', '-')}" for name in given]
        if len(given) > 1:
            raise ValueError(f"`{flags[0]}` and `{flags[1]}` both say where jobs run; give one")
        if self.workers is not None:
            with checks.renamed(workers="`--workers`"):
                checks.size("workers", self.workers)
        if self.share() is not None and self.store is None:
            raise ValueError(
                "`--shard` needs `--store`, the folder that all shares write to; give one"
            )
        asked = [*flags, *["--store"] * (self.store is not None), *["--dry-run"] * self.dry_run]
        if source is not None and asked:
            raise ValueError(f"`--from` computes nothing, so that `{asked[0]}` means nothing")


@dataclass(frozen=True)
class Compile:
    """What kernels are compiled for."""

    cell: Annotated[tuple[str, ...], flag("Cells: vanilla, lstm, gru, one or several.")] = (
        "vanilla",
        "lstm",
        "gru",
    )
    dtype: Annotated[tuple[str, ...], flag("float64, float32 or both.")] = ("float64", "float32")


COMPILE = Command(
    "analysis.scaling.compile",
    Compile,
    (
        "Compile all kernels now, on all cores, and leave their machine code where every later "
        "call finds it. What is not compiled before is compiled when it is first called."
    ),
    ("compile", "compile --cell lstm gru --dtype float32"),
)
