"""A published result as an analysis: computed with the time it takes, drawn, compared, a page."""

import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rnnsim.data.datasets import Variable, attributes, labelled

from ..commands.published import KINDS, Entry
from ..frame.runs import Datasets
from ..frame.words import part
from . import page
from .rows import Row, in_words, verdict

COMPUTED = "computed"  # the dataset that says how long it took
_TIMES = {
    "seconds": Variable((), "s", "processor time that it took to compute, of all cores together"),
}


class Reproduction:
    """What `frame.runs.run` takes, of one entry."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.module: ModuleType = import_module(entry.module)
        self.__name__ = entry.module
        self.HELP = entry.title
        self.Settings: type[Any] = self.module.Settings

    def compute(self, settings: Any, progress: bool) -> Datasets:
        """Its datasets, and how long they took."""
        begun = time.process_time()
        datasets: Datasets = self.module.compute(settings, progress)
        values = {"seconds": np.array(time.process_time() - begun)}
        about = attributes({}, {"task": self.entry.name})
        return {**datasets, COMPUTED: labelled({}, _TIMES, values, about)}

    def draw(self, datasets: Datasets) -> Mapping[str, Figure]:
        """Its figures."""
        figures: Mapping[str, Figure] = self.module.draw(datasets)
        return figures

    def rows(self, datasets: Datasets) -> Sequence[Row]:
        """Published numbers beside those of the datasets."""
        rows: Sequence[Row] = self.module.rows(datasets)
        return rows

    def summarise(self, datasets: Datasets) -> list[str]:
        """Whether they agree, and the table in words."""
        rows = self.rows(datasets)
        lines = [in_words(row) for row in rows]
        kind = f"{self.entry.kind.capitalize()}: {KINDS[self.entry.kind]}. {self.entry.source}."
        missing = [f"Not compared: {each}" for each in self.module.MISSING]
        return [
            *part(self.entry.title, [kind, *lines], answer=verdict(rows)),
            *missing,
            took(datasets),
        ]

    def texts(
        self, datasets: Datasets, captions: Mapping[str, str], settings: str
    ) -> dict[str, str]:
        """The page of the result, as Markdown."""
        found = page.page(
            self.entry,
            claim=self.module.CLAIM,
            missing=self.module.MISSING,
            rows=self.rows(datasets),
            captions=captions,
            settings=settings,
            took=took(datasets),
        )
        return {"page.md": found}


def took(datasets: Datasets) -> str:
    """How much processor time it took to compute, which no other work on the machine changes."""
    seconds = float(datasets[COMPUTED].seconds)
    long = f"{seconds / 60:.1f} minutes" if seconds >= 120 else f"{_seconds(seconds)} seconds"
    return f"Computed in {long} of processor time, all cores together."


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
