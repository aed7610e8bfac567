"""The command line: ``python -m benchmarks`` from a checkout, in the environment of the peers."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from cyclopts import App, Parameter
from tqdm import tqdm

from .harness import check_cells, check_training, report, scaling
from .harness.runner import Comparison, compare
from .harness.worker import workers
from .peers.contestants import MODULES
from .peers.workloads import WORKLOADS, Workload

Dtype = Literal["float32", "float64"]
_PEERS = ("torch", "jax")  # installed for benchmarks only

app = App(
    name="benchmarks",
    help="rnnsim and its peers side by side: agreement, times, cost laws.",
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
)


@app.default
def run(
    *,
    workloads: tuple[str, ...] = tuple(workload.name for workload in WORKLOADS),
    dtypes: tuple[Dtype, ...] = ("float32", "float64"),
    libraries: tuple[str, ...] = tuple(MODULES),
    rounds: int = 5,
    cost_laws: bool = True,
    quick: bool = False,
    output: Path | None = None,
    progress: bool = True,
) -> None:
    """Check agreement, time everything, write the page and its figures.

    Parameters
    ----------
    workloads
        Which of them.
    dtypes
        Which of them.
    libraries
        Whose contestants take part, rnnsim among them; those not installed must not be named.
    rounds
        How many turns each contestant gets.
    cost_laws
        Measure how rnnsim's time grows with each size as well.
    quick
        Tiny sizes of everything, to see that it runs; the times mean nothing.
    output
        Folder to write; docs/benchmarks/general unless given, which --quick refuses to overwrite.
    progress
        Show what is going on, on a terminal.
    """
    folder = _folder(output, quick)
    chosen = [_shrunk(workload, quick) for workload in _chosen(workloads)]
    _check_libraries(libraries)
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1, got {rounds}")
    with _told(progress) as tell:
        checks = _training_checked(chosen, libraries, tell), _cells_checked(libraries, tell)
        comparisons: list[Comparison] = []
        with workers(libraries) as started:
            for workload in chosen:
                for dtype in [name for name in dtypes if name in workload.dtypes]:
                    found = compare(workload, dtype, started, rounds=rounds, tell=tell)
                    comparisons.append(found)
                    report.write(folder, comparisons, (), *checks)  # what a later one leaves
        sweeps = scaling.laws() if cost_laws else ()
        sweeps = tuple(law.shrunk() for law in sweeps) if quick else sweeps
        laws = scaling.measure(sweeps, dtypes, tell)
    path = report.write(folder, comparisons, laws, *checks)
    if comparisons:
        print(report.goals(comparisons))
        print(report.reached(comparisons))
    print(f"written: {path}")


def _folder(output: Path | None, quick: bool) -> Path:
    if output is None and quick:
        raise ValueError("`output` must be given with --quick: docs/ is for real measurements")
    return output or Path("docs/benchmarks/general")


def _chosen(names: tuple[str, ...]) -> list[Workload]:
    known = {workload.name: workload for workload in WORKLOADS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"`workloads` must be among {', '.join(known)}, got {unknown[0]!r}")
    return [known[name] for name in names]


def _check_libraries(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in MODULES:
            raise ValueError(f"`libraries` must be among {', '.join(MODULES)}, got {name!r}")
        if name in _PEERS and find_spec(name) is None:
            raise ValueError(
                f"`libraries` names {name}, which is not installed: install "
                "benchmarks/requirements.txt, or name the others with --libraries"
            )
    if "rnnsim" not in names:
        raise ValueError(f"`libraries` must have rnnsim among them, got {', '.join(names)}")


def _shrunk(workload: Workload, quick: bool) -> Workload:
    return workload.shrunk() if quick else workload


def _training_checked(
    chosen: list[Workload], libraries: tuple[str, ...], tell: Callable[[str], None]
) -> list[check_training.Agreement]:
    """Where updates are timed, or nothing is: that torch's optimisers make the same ones."""
    others = bool(chosen) and all(workload.kind != "updates" for workload in chosen)
    if "torch" not in libraries or others:
        return []
    tell("checking training beside torch.optim")
    return check_training.against_torch()


def _cells_checked(
    libraries: tuple[str, ...], tell: Callable[[str], None]
) -> list[check_cells.CellAgreement]:
    """Whatever is timed: that cells and stacks, and their gradients, are torch's."""
    if "torch" not in libraries:
        return []
    tell("checking cells and stacks beside torch.nn")
    return check_cells.against_torch()


@contextmanager
def _told(progress: bool) -> Iterator[Callable[[str], None]]:
    """A function that shows one line of text, on a terminal only."""
    with tqdm(bar_format="{elapsed} {desc}", disable=None if progress else True) as bar:
        yield lambda text: bar.set_description_str(text)


def main() -> None:
    """Entry point; misuse and disagreement end with a message, not a traceback."""
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
