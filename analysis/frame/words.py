"""What summaries are made of: parts with a heading, answer, numbers, advice; numbers in words.

A summary is a list of sentences. Some of them are marked by their type, and look like it in print.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from .statistics import middles


class Heading(str):
    """The title of a part, or of a kind of networks."""

    __slots__ = ()


class Answer(str):
    """What a part says, in a sentence without jargon."""

    __slots__ = ()


class Advice(str):
    """What to do, where the data bear it out."""

    __slots__ = ()


def part(title: str, numbers: Iterable[str], *, answer: str = "", advice: str = "") -> list[str]:
    """A part of a summary: its title, the plain answer, the numbers behind it, one line of advice.

    An answer, or advice, that the data do not bear out is "".
    """
    first, last = [Answer(answer)] * bool(answer), [Advice(advice)] * bool(advice)
    return [Heading(title), *first, *numbers, *last]


def lines(summary: Sequence[str]) -> list[str]:
    """A summary as it is printed: a blank line before every heading but the first."""
    found: list[str] = []
    for each in summary:
        if isinstance(each, Heading) and found:
            found.append("")
        found.append(f"Advice: {each}" if isinstance(each, Advice) else str(each))
    return found


def counted(n: int, noun: str) -> str:
    """ "1 network", "2 networks"."""
    return f"{n} {noun}{'s' * (n != 1)}"


def percent(value: float) -> str:
    """A setting, in per cent, with all its digits."""
    return f"{100 * value:.10g}%"


def share(value: float) -> str:
    """A fraction in whole per cent; what is neither none nor all is not called so."""
    if 0 < value < 0.01:
        return "less than 1%"
    if 0.99 < value < 1:
        return "more than 99%"
    return f"{value:.0%}"


def have(n: int) -> str:
    """ "1 has", "2 have"."""
    return f"{n} has" if n == 1 else f"{n} have"


def were(n: int) -> str:
    """ "was" of one, "were" of several."""
    return "was" if n == 1 else "were"


def networks_of(data: xr.Dataset) -> str:
    """How many networks of each kind a dataset has: "1 network", "2 networks"."""
    return counted(data.sizes["network_seed"], "network")


def middle(
    values: npt.ArrayLike, form: Callable[[float], str], *, unknown: str = "not known"
) -> str:
    """The median of what is known, infinities included: where it lies beside one, its bound.

    `form` puts one number, or infinity, in words.
    """
    low, high = middles(values)
    if np.isnan(low):
        return unknown
    if low == high:
        return form(low)
    if np.isfinite([low, high]).all():
        return form(float(np.mean([low, high])))
    if np.isfinite(low):
        return f"at least {form(low)}"
    return f"at most {form(high)}" if np.isfinite(high) else unknown


def known_of(values: npt.ArrayLike) -> str:
    """ " (of k of n networks)" where some values are not known, else nothing."""
    array = np.asarray(values, dtype=float)
    known = int((~np.isnan(array)).sum())
    return "" if known == array.size else f" (known of {known} of {counted(array.size, 'network')})"


def listing(name: str, values: Sequence[float], none: str) -> str:
    """ "gain 1" or "gains 1, 2", or what stands for none."""
    if len(values) == 0:
        return none
    numbers = ", ".join(f"{value:g}" for value in values)
    return f"{name}{'s' if len(values) > 1 else ''} {numbers}"
