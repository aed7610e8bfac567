"""The page with sliders: one HTML file in which all numbers are, and its file."""

import math
from os import PathLike
from pathlib import Path

from ..frame.cells import read_in_words
from ..frame.report import Table
from ..frame.report.colours import on_dark
from ..frame.report.places import check_place, write_page
from ..frame.report.templates import rendered
from ..frame.words import percent
from . import words
from .numbers import NAMES, Numbers, Setting
from .plots import COLOURS
from .tries import Try, tries

TITLE = "Vanishing and exploding gradients, and what a window misses"


def write(
    numbers: Numbers,
    path: str | PathLike[str],
    *,
    overwrite: bool = False,
    command: str = "explore.write(numbers, ...)",
) -> Path:
    """Write the page to a file that ends in .html, whole or not at all, and say where.

    Raises
    ------
    TypeError, ValueError, OSError
        As of `frame.report.places.check_place`.
    """
    check_place(path, overwrite=overwrite)
    return write_page(html(numbers, command), path, overwrite=overwrite)


def html(numbers: Numbers, command: str) -> str:
    """One page in which nothing is from elsewhere, the same for the same numbers."""
    at = numbers.start
    return rendered(
        "explore.html",
        str(__package__),
        title=TITLE,
        numbers=numbers,
        cells={kind.cell: NAMES[kind.cell] for kind in numbers.kinds},
        biases=[f"{each:g}" for each in _biases(numbers)],
        networks=networks(numbers),
        start=words.sentences(numbers.at(*at[:3]), at[3], numbers.tolerance),
        captions=captions(numbers),
        tries=[(each.words, _places(numbers, each)) for each in tries(numbers)],
        table=table(numbers),
        colours=[(name, colour, _dark(name, colour)) for name, colour in COLOURS.items()],
        reproduce={"command": command, "versions": _versions(numbers)},
        data=numbers.to_dict(),
    )


def _dark(name: str, colour: str) -> str:
    """A colour on a dark page: lines are brighter, areas below light letters stay as they are."""
    return on_dark(colour) if name == "window" else colour


def _biases(numbers: Numbers) -> list[float]:
    """The places of their slider, each once; vanilla networks alone have one place."""
    known = [kind.forget_bias for kind in numbers.kinds if kind.forget_bias is not None]
    return list(dict.fromkeys(known)) or [0.0]


def networks(numbers: Numbers) -> str:
    """What was measured, and over what it is averaged."""
    about = numbers.about
    count, batch = about["networks"], about["batch_size"]
    return (
        f"Each setting: {_some(count, 'random network')} of {_some(about['n_hidden'], 'unit')} "
        f"{'reads' if count == 1 else 'read'} {_some(batch, 'sequence')} of "
        f"{read_in_words(about['task'])}. All numbers were computed beforehand by exact "
        f"backpropagation through time{_medians(count)}."
    )


def captions(numbers: Numbers) -> dict[str, str]:
    """Under each picture: what is shown, and what to see."""
    whole = percent(numbers.tolerance)
    band = "" if _count(numbers) == 1 else " Band: quartiles over networks."
    return {
        "norm": "How large the gradient of a loss is, so many steps before it, as a part of its "
        f"size at the loss: a straight line down is a vanishing gradient, a line up explodes.{band}"
        " The shaded part is what the window cuts off. The axis ends at "
        f"{words.power(-numbers.decades)} and {words.power(numbers.decades)}.",
        "error": "What a window of so many steps misses of the gradient of the recurrent weights"
        f"{_joined(numbers)}: the distance from the exact one, in per cent of its size. See from "
        f"which window on it stays below {whole}.{band}",
        "phase": "The change of the gradient over the whole sequence, as a power of ten: −3 is a "
        "thousandth, 0 less than a factor of 3.2 either way. Blue with stripes shrinks, orange "
        "grows. The frame is the setting above; click another cell to go there.",
    }


def _joined(numbers: Numbers) -> str:
    """What gated cells are held against besides."""
    gated = any(kind.forget_bias is not None for kind in numbers.kinds)
    return " (of gated cells with those of inputs, and biases)" * gated


def table(numbers: Numbers) -> Table:
    """All kinds and gains at the longest length."""
    last = numbers.lengths[-1]
    window = max(1, last // 10)
    most = percent(numbers.tolerance)
    return Table(
        f"Sequences of {words.counted(last)}",
        (
            "network", "gain", "gradient at the first step, of its size at the loss",
            f"missed by a window of {words.counted(window)}", f"window that misses at most {most}",
        ),
        [_row(numbers.at(kind, gain, last), window) for kind in numbers.kinds
         for gain in numbers.gains],
    )  # fmt: skip


def _row(setting: Setting, window: int) -> tuple[str, ...]:
    change, needed = setting.change, setting.sufficient
    arrives = "not known" if math.isnan(change) else "nothing"
    if math.isfinite(change):
        arrives = f"10^{change:.1f}"
    takes = "not known" if math.isnan(needed) else f"{needed:g}"
    missed = words.missed(setting.error_at(window))
    return setting.kind.name, f"{setting.gain:g}", arrives, missed, takes


def _places(numbers: Numbers, found: Try) -> list[tuple[str, list[int]]]:
    """The settings of something to try, by their places on the sliders."""
    return [
        (name, [numbers.kinds.index(s.kind), numbers.gains.index(s.gain),
                numbers.lengths.index(s.length)])
        for name, s in found.settings
    ]  # fmt: skip


def _count(numbers: Numbers) -> int:
    return int(numbers.about["networks"])


def _medians(count: int) -> str:
    return "" if count == 1 else "; they are medians over networks"


def _some(n: int, name: str) -> str:
    return f"{n} {name}{'s' * (n != 1)}"


def _versions(numbers: Numbers) -> str:
    return ", ".join(f"{name} {value}" for name, value in numbers.about["versions"].items())
