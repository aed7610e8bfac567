"""Things to try with the sliders; each is there only where the numbers bear it out."""

from collections.abc import Iterator
from typing import NamedTuple

from ..frame.words import percent
from .numbers import Kind, Numbers, Setting
from .words import counted


class Try(NamedTuple):
    """What to do, what is seen then, and the settings that show it, each under its name."""

    words: str
    settings: tuple[tuple[str, Setting], ...]


def tries(numbers: Numbers) -> list[Try]:
    """What these numbers show, three things at most."""
    found = (_length(numbers), _gain(numbers), _gate(numbers))
    return [each for each in found if each is not None]


def _length(numbers: Numbers) -> Try | None:
    """Where gradients vanish, longer sequences need no longer window."""
    if len(numbers.lengths) < 2:
        return None
    *_, before, last = numbers.lengths
    for kind, gain in _both(numbers):
        short, long = numbers.at(kind, gain, before), numbers.at(kind, gain, last)
        windows = short.sufficient, long.sufficient
        same = abs(windows[1] - windows[0]) <= 0.1 * windows[1] <= 0.1 * last / 4
        if gain > 0 and long.change < 0 and same:
            return Try(
                f"Choose {_article(kind)} and gain {gain:g}, and move the length from {before} to "
                f"{counted(last)}. {_takes(numbers)} a window of {counted(windows[0])} before and "
                f"of {counted(windows[1])} after: what vanishes on its way needs no longer window.",
                ((f"{before} steps", short), (f"{last} steps", long)),
            )
    return None


def _gain(numbers: Numbers) -> Try | None:
    """Where gradients explode, nearly the whole sequence is needed."""
    last = numbers.lengths[-1]
    for kind in numbers.kinds:
        row = [numbers.at(kind, gain, last) for gain in numbers.gains if gain > 0]
        low = next((s for s in row if s.change < 0 and s.sufficient <= last / 4), None)
        if low and row[-1].change > 0 and row[-1].sufficient >= 0.9 * last:
            return Try(
                f"Choose {_article(kind)} and {counted(last)}, and move the gain from {low.gain:g} "
                f"to {row[-1].gain:g}. The gradient shrinks at first and grows in the end, and the "
                f"window that it takes to miss at most {percent(numbers.tolerance)} goes from "
                f"{low.sufficient:g} to {counted(row[-1].sufficient)}: what explodes needs nearly "
                "the whole sequence.",
                ((f"gain {low.gain:g}", low), (f"gain {row[-1].gain:g}", row[-1])),
            )
    return None


def _gate(numbers: Numbers) -> Try | None:
    """A gate that is held open lets gradients through."""
    last = numbers.lengths[-1]
    for cell in dict.fromkeys(kind.cell for kind in numbers.kinds if kind.forget_bias is not None):
        kinds = [kind for kind in numbers.kinds if kind.cell == cell]
        for gain in sorted(numbers.gains, key=lambda gain: abs(gain - 1)):
            shut, held = (numbers.at(kinds[i], gain, last) for i in (0, -1))
            if held.sufficient >= 2 * shut.sufficient and held.change > shut.change:
                return Try(
                    f"Choose {_article(Kind(cell, None))}, gain {gain:g} and {counted(last)}, and "
                    f"move the forget bias from {kinds[0].forget_bias:g} to "
                    f"{kinds[-1].forget_bias:g}. More of the gradient arrives, and the window that "
                    f"it takes to miss at most {percent(numbers.tolerance)} goes from "
                    f"{shut.sufficient:g} to {counted(held.sufficient)}: a gate that is held open "
                    "lets the past through.",
                    tuple((f"forget bias {s.kind.forget_bias:g}", s) for s in (shut, held)),
                )
    return None


def _both(numbers: Numbers) -> Iterator[tuple[Kind, float]]:
    return ((kind, gain) for kind in numbers.kinds for gain in numbers.gains)


def _takes(numbers: Numbers) -> str:
    return f"To miss at most {percent(numbers.tolerance)} takes"


def _article(kind: Kind) -> str:
    name = kind.name if kind.cell != "vanilla" else "vanilla network"
    return f"{'an' if kind.cell == 'lstm' else 'a'} {name}"
