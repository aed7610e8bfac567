"""One diagnosis or two side by side: what their findings rest on, and how each side looks."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from rnnsim import Diagnosis, Finding

from ...frame import figures

Floats = npt.NDArray[np.float64]
Found: TypeAlias = Diagnosis | Sequence[Diagnosis]

_LOOKS = (("#0072B2", "o"), ("#E69F00", "s"))  # dark and light, also in grey
_WHICH = ("first", "second")
_MOST_CHARACTERS = 30  # of a name in a legend; tables have it whole


class Side(NamedTuple):
    """A diagnosis in a figure; `label` is empty where it stands alone."""

    diagnosis: Diagnosis
    label: str
    color: str
    marker: str

    @property
    def first(self) -> bool:
        """Whether it is the first of two, or alone."""
        return self.marker == _LOOKS[0][1]

    def rows(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """The evidence of a finding as arrays; of one that is not known, or has none, nothing."""
        return {key: np.asarray(row) for key, row in self.diagnosis[name].evidence.items()}

    def finding(self, name: str) -> Finding:
        """The finding of this name."""
        return self.diagnosis[name]

    def named(self, what: str) -> str:
        """What a curve is called in a legend: by the network too where there are two."""
        label = self.brief
        return f"{label}: {what}" if label and what else label or what

    @property
    def brief(self) -> str:
        """The label as a figure has room for it."""
        text = figures.plain(self.label)
        if len(text) <= _MOST_CHARACTERS:
            return text
        return f"{_WHICH[not self.first]}: …{text[-_MOST_CHARACTERS:]}"

    def told(self, what: str) -> str:
        """The same as plain text."""
        return f"{self.label}: {what}" if self.label and what else self.label or what

    @property
    def window(self) -> int | None:
        """The window that one trains with, where it was given."""
        window: int | None = self.diagnosis.about["window"]
        return window

    @property
    def n_steps(self) -> int:
        """T of the data."""
        return int(self.diagnosis.about["n_steps"])


def sides(found: Found) -> Iterator[Side]:
    """Each diagnosis with its label, colour and marker."""
    if isinstance(found, Diagnosis):
        yield Side(found, "", *_LOOKS[0])
        return
    labels = [each.label for each in found] if len(found) > 1 else [""]
    if len({*labels}) < len(labels):
        labels = [f"{label} ({which})" for label, which in zip(labels, _WHICH, strict=False)]
    for each, label, look in zip(found, labels, _LOOKS, strict=False):
        yield Side(each, label, *look)
