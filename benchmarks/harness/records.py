"""What was measured, by machine: a small file beside the page, from which the page is written.

Each machine has a section. A run on a machine takes the place of what it measures anew and leaves
all else: the other sections, and of its own what was measured with the same versions.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..agreement.cells import CellAgreement
from ..agreement.training import Agreement as TrainingAgreement
from ..peers.contestants import PORTED
from .scaling import Measured, fit

DATA = "benchmarks.json"


class Entry(NamedTuple):
    """One contestant: its shortest and its median call (s), how many in how many rounds.

    `deviation` is the largest from rnnsim's numbers, 0 of rnnsim itself.
    """

    library: str
    name: str
    best: float
    median: float
    calls: int
    rounds: int
    deviation: float

    @property
    def ported(self) -> bool:
        """Whether it runs rnnsim's own algorithm."""
        return self.name.startswith(PORTED)


@dataclass(frozen=True, eq=False)
class Result:
    """All contestants of one workload and dtype, fastest first, and sizes N, H, B, T, D, V.

    `flops` is the useful arithmetic of a call and `peak` how much of it all cores could do in a
    second; None where it is not defined, or was not measured.
    """

    workload: str
    dtype: str
    sizes: tuple[int, ...]
    flops: float | None
    peak: float | None
    entries: tuple[Entry, ...]

    @property
    def ours(self) -> Entry:
        """rnnsim's."""
        return next(entry for entry in self.entries if entry.library == "rnnsim")

    def best_peer(self, *, ported: bool) -> Entry | None:
        """The fastest of the others: of those that run rnnsim's own algorithm, or of the rest."""
        peers = (entry for entry in self.entries if entry.library != "rnnsim")
        return next((entry for entry in peers if entry.ported == ported), None)

    @property
    def fraction(self) -> float | None:
        """Of the arithmetic limit, the time that the useful products take at the peak."""
        if self.flops is None or self.peak is None:
            return None
        return self.flops / self.peak / self.ours.best


class Agreed(NamedTuple):
    """One kind of network beside PyTorch: how many arrays and trainings, the worst of each."""

    cell: str
    n_layers: int
    arrays: int
    deviation: float
    array: str
    trainings: int
    trained: float
    training: str


class Slope(NamedTuple):
    """A cost law: what was varied, the slope expected, and those fitted by dtype, in words."""

    function: str
    against: str
    expected: float
    span: str
    fitted: dict[str, str]


@dataclass(frozen=True, eq=False)
class Section:
    """One machine: `facts` are its own and of versions, `remarks` what has to be said of it."""

    machine: str
    facts: Mapping[str, str]
    results: tuple[Result, ...] = ()
    agreed: tuple[Agreed, ...] = ()
    slopes: tuple[Slope, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    def updated(self, older: "Section | None", order: Iterable[str]) -> "Section":
        """With what an older section of the machine has besides, of the same versions."""
        if older is None or older.facts != self.facts:
            return self
        found = {(result.workload, result.dtype): result for result in older.results}
        found |= {(result.workload, result.dtype): result for result in self.results}
        place = {name: i for i, name in enumerate(order)}
        results = sorted(found.values(), key=lambda r: (place.get(r.workload, -1), r.dtype))
        return replace(
            self,
            results=tuple(results),
            agreed=self.agreed or older.agreed,
            slopes=self.slopes or older.slopes,
            remarks=self.remarks or older.remarks,
        )


def agreed(
    cells: Iterable[CellAgreement], training: Iterable[TrainingAgreement]
) -> tuple[Agreed, ...]:
    """The worst of every kind of network."""
    arrays: dict[tuple[str, int], list[CellAgreement]] = {}
    trainings: dict[tuple[str, int], list[TrainingAgreement]] = {}
    for each in cells:
        arrays.setdefault((each.cell, each.n_layers), []).append(each)
    for one in training:
        trainings.setdefault((one.cell, one.n_layers), []).append(one)
    found = []
    for cell, n_layers in arrays | trainings:
        own, trained = arrays.get((cell, n_layers), []), trainings.get((cell, n_layers), [])
        array = max(own, key=lambda a: a.deviation, default=None)
        case = max(trained, key=lambda a: a.deviation, default=None)
        of_arrays = (len(own), array.deviation, array.name) if array else (0, 0.0, "")
        name = f"{case.optimizer}, {case.segments}, {case.clip}" if case else ""
        of_trainings = len(trained), case.deviation if case else 0.0, name
        found.append(Agreed(cell, n_layers, *of_arrays, *of_trainings))
    return tuple(found)


def slopes(laws: Iterable[Measured]) -> tuple[Slope, ...]:
    """What is fitted to each law."""
    found = []
    for measured in laws:
        law = measured.law
        fits = {dtype: fit(law.values, seconds) for dtype, seconds in measured.seconds.items()}
        first = next(iter(fits.values()))
        words = {dtype: str(each) for dtype, each in fits.items()}
        span = f"{first.first:g} to {first.last:g}"
        found.append(Slope(law.function, law.label, law.expected, span, words))
    return tuple(found)


def read(folder: Path) -> dict[str, Section]:
    """The sections by machine; none where there is no file."""
    path = folder / DATA
    if not path.exists():
        return {}
    return {one["machine"]: _section(one) for one in json.loads(path.read_text(encoding="utf-8"))}


def _section(found: Mapping[str, Any]) -> Section:
    results = (
        Result(
            **each
            | {
                "sizes": tuple(each["sizes"]),
                "entries": tuple(Entry(*entry) for entry in each["entries"]),
            }
        )
        for each in found["results"]
    )
    return Section(
        machine=found["machine"],
        facts=found["facts"],
        results=tuple(results),
        agreed=tuple(Agreed(*each) for each in found["agreed"]),
        slopes=tuple(Slope(*each) for each in found["slopes"]),
        remarks=tuple(found["remarks"]),
    )


def write(folder: Path, sections: Mapping[str, Section]) -> Path:
    """Leave the file; a run that is ended by force leaves the one before."""
    path = folder / DATA
    part = path.with_suffix(".part")
    found = [asdict(section) for section in sections.values()]
    part.write_text(_broken(found, 5) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def _broken(value: Any, levels: int, margin: str = "") -> str:
    """JSON with a line for each item of so many outer levels."""
    named, inner = isinstance(value, dict), f"{margin} "
    nested = isinstance(value, list | tuple) and any(isinstance(x, dict | tuple) for x in value)
    if not levels or not value or not (named or nested):
        return json.dumps(value, ensure_ascii=False)
    items = value.items() if isinstance(value, dict) else (("", item) for item in value)
    lines = (
        f"{json.dumps(name) + ': ' if named else ''}{_broken(item, levels - 1, inner)}"
        for name, item in items
    )
    first, last = "{}" if named else "[]"
    return f"{first}\n{inner}" + f",\n{inner}".join(lines) + f"\n{margin}{last}"
