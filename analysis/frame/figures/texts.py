"""Words in figures: captions, symbols as on paper, lines that fit a width."""

import re
from collections.abc import Sequence
from math import ceil

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from ..looks import look
from .house import pt

_GREEK = "lambda|sigma|rho|phi|tau|beta"
_INDEXED = rf"(?:({_GREEK})|([WbhxyLlcTHN]))_([a-z]{{1,3}}|[0-9])"
_SYMBOL = re.compile(rf"(?<![\w$\\{{}}/]){_INDEXED}(?![\w/])")
_MATH = re.compile(r"(\$[^$]*\$)")
CAPTION = 11.5  # points in a notebook


def caption(figure: Figure, text: str) -> None:
    """A caption below the figure: what is shown, averaged over what, and what to see.

    Symbols are set as on paper; `settle` breaks its lines and gives it room.
    """
    words = symbols(text)
    label = figure.supxlabel(words, fontsize=pt(CAPTION), color="0.2", wrap=True)
    label.set_gid("caption")
    if not look().caption:
        label.set_visible(False)
        label.set_in_layout(False)


def caption_of(figure: Figure) -> str:
    """The caption as one line, whether it is drawn or not."""
    return " ".join(figure.get_supxlabel().split())


def symbols(text: str) -> str:
    """Text in which W_hh, lambda_1 and their like are set as on paper."""
    parts = _MATH.split(text)
    return "".join(part if part.startswith("$") else _SYMBOL.sub(_set, part) for part in parts)


def _set(found: re.Match[str]) -> str:
    greek, latin, index = found.groups()
    return f"$\\{greek}_{{{index}}}$" if greek else f"${latin}_{{{index}}}$"


def plain(text: str) -> str:
    """Text that is not ours, such as the name of a file, as figures show it letter by letter."""
    return "".join(each if each.isprintable() else "?" for each in text).replace("$", r"\$")


def width_of(text: str, points: float | None = None, weight: str = "normal") -> float:
    """The width of text, its longest line, in inches."""
    size = rcParams["font.size"] if points is None else points
    properties = FontProperties(size=size, weight=weight)
    widths = [
        text_to_path.get_text_width_height_descent(
            line.replace(r"\$", "$"), properties, "$" in line.replace(r"\$", "")
        )[0]
        for line in text.split("\n")
    ]
    return max(widths) / 72


def wrapped(text: str, inches: float, points: float | None = None) -> str:
    """Text in as few lines as fit the width, all of about one length: no word stands alone.

    Lines break between words, never inside a formula; a word that is wider stands by itself.
    """
    return "\n".join(_balanced(line, inches, points) for line in text.split("\n"))


def _balanced(text: str, inches: float, points: float | None) -> str:
    words = _words(text)
    widths = [width_of(word, points) for word in words]
    space = width_of("a a", points) - 2 * width_of("a", points)
    most = _lines(widths, space, inches)
    low, high = 0.0, inches
    for _ in range(12):  # the narrowest width that takes no more lines
        middle = 0.5 * (low + high)
        low, high = (
            (low, middle) if len(_lines(widths, space, middle)) <= len(most) else (middle, high)
        )
    lines = _lines(widths, space, high)
    return "\n".join(" ".join(words[a:b]) for a, b in lines)


def _lines(widths: Sequence[float], space: float, inches: float) -> list[tuple[int, int]]:
    """Which words stand in which line, first come first served."""
    found, start, used = [], 0, 0.0
    for i, width in enumerate(widths):
        if i > start and used + space + width > inches:
            found.append((start, i))
            start, used = i, width
        else:
            used += width + (space if i > start else 0.0)
    return [*found, (start, len(widths))]


def _words(text: str) -> list[str]:
    """Split at spaces outside of formulas."""
    parts = [
        part.replace(" ", "\x00") if part.startswith("$") else part for part in _MATH.split(text)
    ]
    return [word.replace("\x00", " ") for word in "".join(parts).split(" ")]


def height_of(n_lines: int, points: float) -> float:
    """The height of so many lines of text, in inches."""
    return ceil(n_lines) * 1.25 * points / 72
