"""A finding: a number, how well it is known, what it rests on, and what it says in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Evidence = Mapping[str, tuple[Any, ...]]

OURS = "ours"  # a threshold that nobody but this package sets
DEFINITION = "definition"
UNKNOWN = "not known"
SHARED = "these weights on these data"


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """One thing that was measured of these weights on these data.

    Attributes
    ----------
    name : str
        What was measured, such as "gradient_rate"; each occurs once in a diagnosis.
    says : str
        The outcome in a word or two, such as "vanishes"; "not known" where it could not be had.
    words : str
        The same in a sentence or two, with numbers; where it is not known, what it would need.
    number : float
        NaN where there is none.
    error : float
        ``number - error .. number + error`` holds the number of many such sequences 95 times in a
        hundred, by the scatter of the parts of the data; NaN where that is not known, as of one
        sequence, and 0 of what does not depend on data.
    unit : str
        "1" where it has none.
    threshold : float
        The limit that the number or `says` rests on; NaN without one.
    source : str
        Where the threshold comes from: "ours", "definition", "given", or "" without one.
    over : str
        What was averaged over, in words.
    parts : tuple of float
        The number in each part of the data by itself.
    evidence : mapping of str to tuple
        Series behind it, all of one length: the first is what the others stand over, such as lags.
    """

    name: str
    says: str
    words: str
    number: float = math.nan
    error: float = math.nan
    unit: str = "1"
    threshold: float = math.nan
    source: str = ""
    over: str = ""
    parts: tuple[float, ...] = ()
    evidence: Evidence = field(default_factory=lambda: MappingProxyType({}))

    @property
    def known(self) -> bool:
        """Whether it could be measured."""
        return self.says != UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON knows it: NaN is None, infinities are "inf" and "-inf"."""
        found = {name: plain(value) for name, value in vars(self).items() if name != "evidence"}
        return found | {"evidence": {name: plain(row) for name, row in self.evidence.items()}}

    def __repr__(self) -> str:
        number = f", {told(self.number, self.error)} {self.unit}" if self.number_known else ""
        return f"Finding({self.name}: {self.says}{number})"

    @property
    def number_known(self) -> bool:
        """Whether there is a number, infinite ones included."""
        return not math.isnan(self.number)


def unknown(name: str, needs: str) -> Finding:
    """What cannot be said, and what it would need."""
    return Finding(name, UNKNOWN, f"Not known: {needs}.")


def series(**rows: Any) -> Evidence:
    """Evidence: texts as they are, all else as numbers of Python."""
    found = {name: tuple(np.asarray(row).tolist()) for name, row in rows.items()}
    return MappingProxyType(found)


def plain(value: Any) -> Any:
    """Numbers, texts and series of them as JSON knows them."""
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def short(number: float) -> str:
    """A number with three digits."""
    return f"{number:.3g}" if abs(number) < 1000 or abs(number) >= 1e6 else f"{number:.0f}"


def told(number: float, error: float) -> str:
    """A number with its error, both to the second digit of the error."""
    if math.isnan(error) or not math.isfinite(number):
        return f"{short(number)}{' (error not known)' if math.isnan(error) else ''}"
    if error <= 1e-12 * max(abs(number), 1.0):
        return short(number)
    if math.isinf(error):
        return f"{short(number)} (error without bound)"
    digits = 1 - math.floor(math.log10(error))
    if digits > 5 or abs(number) >= 1e6 or error >= 1e6:
        return f"{number:.3g} +- {error:.1e}"
    digits = max(digits, 0)
    return f"{number:.{digits}f} +- {error:.{digits}f}"


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{short(100 * share)} %"


def counted(count: float, error: float) -> str:
    """A number of steps with its error."""
    alone = steps(count)
    return alone if error == 0 else f"{told(count, error)} steps"


def steps(count: float) -> str:
    """A number of steps."""
    return f"{short(count)} step{'' if count == 1 else 's'}"
