"""The command line: ``python -m benchmarks`` from a checkout, in the environment of the peers."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from cyclopts import App, Parameter
from tqdm import tqdm

from .agreement import cells, training
from .harness import machine, plots, records, report, scaling
from .harness.runner import compare
from .harness.worker import workers
from .peers.contestants import MODULES
from .peers.workloads import WORKLOADS, Workload

Dtype = Literal["float32", "float64"]
_PEERS = ("torch", "jax")  # installed for benchmarks only
_ORDER = tuple(workload.name for workload in WORKLOADS)
PAGES = Path("docs/benchmarks/general")

app = App(
    name="benchmarks",
    help="rnnsim beside the arithmetic limit and its peers: agreement, times, cost laws.",
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
)


@app.default
def run(
    *,
    workloads: tuple[str, ...] = tuple(w.name for w in WORKLOADS if w.kind != "lyapunov"),
    dtypes: tuple[Dtype, ...] = ("float32", "float64"),
    libraries: tuple[str, ...] = tuple(MODULES),
    rounds: int = 3,
    cost_laws: bool = True,
    quick: bool = False,
    output: Path | None = None,
    progress: bool = True,
) -> None:
    """Check agreement, time everything, print the table, renew this machine's section of a page.

    Parameters
    ----------
    workloads
        Which of them; all but those of Lyapunov exponents (spectra, spectrum) unless given.
    dtypes
        Which of them.
    libraries
        Whose contestants take part, rnnsim among them; those not installed must not be named.
        "rnnsim gemm" gives time and fraction of the limit alone, in minutes.
    rounds
        How many turns each contestant gets.
    cost_laws
        Measure how rnnsim's time grows with each size as well, where all libraries take part.
    quick
        Tiny sizes of everything, to see that it runs; the times mean nothing.
    output
        Folder to write: the page, its data, its figures. Unless given docs/benchmarks/general
        where all libraries take part, in full size, and nowhere else.
    progress
        Show what is going on, on a terminal.
    """
    chosen = [_shrunk(workload, quick) for workload in _chosen(workloads)]
    _check_libraries(libraries)
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1, got {rounds}")
    complete = set(libraries) == set(MODULES)
    folder = output or (PAGES if complete and not quick else None)
    with _told(progress) as tell:
        section = records.Section(
            machine.name(), machine.facts(), agreed=_agreed(chosen, libraries, tell)
        )
        with workers(libraries) as started:
            for workload in chosen:
                for dtype in [name for name in dtypes if name in workload.dtypes]:
                    found = compare(workload, dtype, started, rounds=rounds, tell=tell)
                    section = replace(section, results=(*section.results, found))
                    _kept(folder, section)  # what a later one leaves
        sweeps = scaling.laws() if cost_laws and complete else ()
        sweeps = tuple(law.shrunk() for law in sweeps) if quick else sweeps
        laws = scaling.measure(sweeps, dtypes, tell)
        section = replace(section, slopes=records.slopes(laws))
    if laws and folder:
        folder.mkdir(parents=True, exist_ok=True)
        plots.draw_laws(laws, folder / plots.file_of(section.machine, plots.LAWS))
    path = _kept(folder, section)
    if section.results:
        print(report.goals(section.results))
        print(report.peaks(section.results))
        print(report.reached(section.results))
    print(f"written: {path}" if path else "nothing is written without --output")


def _kept(folder: Path | None, section: records.Section) -> Path | None:
    """Renew the section of its machine; the path of the page."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    sections = records.read(folder)
    mine = section.updated(sections.get(section.machine), _ORDER)
    sections[section.machine] = mine
    data = records.write(folder, sections)
    if mine.results:
        plots.draw_ratios(mine.results, folder / plots.file_of(mine.machine, plots.RATIOS))
    return report.write(folder, sections.values(), data=data.name)


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


def _agreed(
    chosen: list[Workload], libraries: tuple[str, ...], tell: Callable[[str], None]
) -> tuple[records.Agreed, ...]:
    """That cells and stacks are torch's; training where updates are timed, or nothing is."""
    gradients = not chosen or any(workload.kind != "lyapunov" for workload in chosen)
    if "torch" not in libraries or not gradients:
        return ()
    tell("checking cells and stacks beside torch.nn")
    arrays = cells.against_torch()
    trained = not chosen or any(workload.kind == "updates" for workload in chosen)
    if trained:
        tell("checking training beside torch.optim")
    return records.agreed(arrays, training.against_torch() if trained else ())


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
