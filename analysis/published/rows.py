"""Rows of a comparison: a published number, ours, how far apart they may be and why."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..frame.words import share


class Row(NamedTuple):
    """One number beside the published one.

    `published` is as it stands in the source, "" where none was printed. `allowed` is the greatest
    deviation with which both agree, and `because` where it comes from ("rounding of the printed
    number", "4 standard errors"); None where nothing is claimed.
    """

    quantity: str
    published: str
    ours: float
    allowed: float | None = None
    because: str = ""
    unit: str = ""

    @property
    def deviation(self) -> float:
        """Ours minus the published number; NaN where one of them is not known."""
        return self.ours - float(self.published) if self.published else math.nan

    @property
    def agrees(self) -> bool | None:
        """Whether the deviation is one that is allowed; None where nothing is claimed."""
        return None if self.allowed is None else bool(abs(self.deviation) <= self.allowed)


ERRORS = 4  # standard errors within which a sample agrees with what it is drawn from


def rounding(published: str) -> float:
    """Half a unit of the last printed digit: what a rounded number leaves open."""
    return 0.5 * 10.0 ** -_behind(published)


def rounded(quantity: str, published: str, ours: float, unit: str = "") -> Row:
    """Ours beside a number that is rounded, and nothing else than that."""
    return Row(
        quantity, published, ours, rounding(published), "the printed number is rounded", unit
    )


def sampled(
    quantity: str, published: str, ours: float, error: float, of: str, unit: str = ""
) -> Row:
    """The mean of a sample beside a number that is rounded; `error` is its standard error."""
    allowed = ERRORS * error + rounding(published)
    because = f"{ERRORS} standard errors, {of}, and rounding of the printed number"
    return Row(quantity, published, ours, allowed, because, unit)


HEADER = ("quantity", "published", "here", "deviation", "allowed", "allowed because of")


def cells(row: Row) -> tuple[str, ...]:
    """A row in words, with as many digits as say something."""
    unit = f" {row.unit}" * bool(row.unit)
    return (
        row.quantity,
        f"{row.published}{unit}" if row.published else "-",
        f"{_number(row.ours, _digits(row))}{unit}" if math.isfinite(row.ours) else "not known",
        "-" if math.isnan(row.deviation) else _deviation(row.deviation),
        "-" if row.allowed is None else f"{row.allowed:.2g}",
        row.because or "-",
    )


def verdict(rows: Sequence[Row]) -> str:
    """How many numbers agree, in a sentence, and which is the furthest off."""
    claimed = [row for row in rows if row.allowed is not None]
    if not claimed:
        return "Nothing is claimed to agree: the numbers stand beside each other to be looked at."
    far = [row for row in claimed if not row.agrees]
    if far:
        names = "; ".join(row.quantity for row in far[:3]) + "; and others" * (len(far) > 3)
        return f"{len(far)} of {len(claimed)} numbers deviate by more than is allowed: {names}."
    furthest = max(claimed, key=_share)
    off, all_of_them = _share(furthest), _all(len(claimed))
    if not off:
        return f"{all_of_them} to the last digit."
    how_far = f"deviates by {share(off)} of what is allowed."
    if len(claimed) == 1:
        return f"{all_of_them}: it {how_far}"
    return f"{all_of_them}; the furthest off, {furthest.quantity}, {how_far}"


def _all(n: int) -> str:
    return "The number agrees" if n == 1 else f"All {n} numbers agree"


def in_words(row: Row) -> str:
    """A row as a sentence."""
    _, published, ours, deviation, allowed, because = cells(row)
    if published == "-":
        return f"{row.quantity}: {ours} here; no number was published."
    limit = "" if allowed == "-" else f", where {allowed} is allowed ({because})"
    return f"{row.quantity}: {published} published, {ours} here, a deviation of {deviation}{limit}."


def _share(row: Row) -> float:
    """The deviation as a share of what is allowed."""
    assert row.allowed is not None
    return abs(row.deviation) / row.allowed if row.deviation else 0.0


def _digits(row: Row) -> int:
    """Digits behind the point: those of the published number, and two more."""
    return min(12, max(0, _behind(row.published)) + 2) if row.published else -1


def _behind(published: str) -> int:
    """Digits behind the point of a printed number; below 0 where its last one is before it."""
    mantissa, _, exponent = published.lower().partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)


def _number(value: float, digits: int) -> str:
    if digits < 0:
        return f"{value:.4g}"
    return f"{value:.{digits}f}" if 1e-4 <= abs(value) < 1e7 or not value else f"{value:.6g}"


def _deviation(value: float) -> str:
    return "0" if value == 0 else f"{value:+z.2g}"
