"""What a run's figures are for: a paper, a notebook or a talk; how wide, in which files."""

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from .settings import FIGURES

FORMATS = ("png", "svg", "pdf")
_MM = 25.4


class Context(NamedTuple):
    """Type size in points, greatest width in inches unless one is given, dots per inch of a PNG."""

    points: float
    width: float
    dpi: float


# Journals ask for 5 to 8 points, and for 89 or 183 mm; a slide is 13.33 inches wide.
CONTEXTS = {
    "paper": Context(7.5, 183 / _MM, 400),
    "notebook": Context(12.0, 12.0, 200),
    "talk": Context(18.0, 13.33, 150),
}


def _flag(text: str) -> Parameter:
    return Parameter(help=text, group=FIGURES)


@dataclass(frozen=True)
class Look:
    """The look of the figures of a run; nothing that is computed depends on it."""

    format: Annotated[
        str, _flag("Files of each figure: png, svg, pdf, one or several with commas between.")
    ] = "png,svg"
    width: Annotated[
        str | None,
        _flag(
            "Width of every figure: 89mm or 183mm (columns of journals), any other in mm, or in "
            "inches. Panels that would be too narrow go below each other."
        ),
    ] = None
    context: Annotated[
        str, _flag("Where figures are shown: paper, notebook or talk. Type, lines and marks.")
    ] = "notebook"
    caption: Annotated[
        bool, _flag("Captions below figures; captions.txt has them in any case.")
    ] = True

    def check(self) -> None:
        """Refuse what is no look.

        Raises
        ------
        ValueError
        """
        if self.context not in CONTEXTS:
            one_of = ", ".join(CONTEXTS)
            raise ValueError(f"`--context` must be one of {one_of}, got {self.context!r}")
        self.formats()
        self.inches()

    def formats(self) -> tuple[str, ...]:
        """The kinds of files, each once."""
        found = tuple(dict.fromkeys(each.strip().lower() for each in self.format.split(",")))
        strange = [each for each in found if each not in FORMATS]
        if strange:
            raise ValueError(
                f"`--format` must be png, svg or pdf, or several of them with commas between, got "
                f"{strange[0]!r}"
            )
        return found

    def inches(self) -> float | None:
        """The width that was asked for, in inches."""
        if self.width is None:
            return None
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(mm|cm|in)?\s*", self.width)
        size = float(found[1]) / {"mm": _MM, "cm": _MM / 10}.get(found[2], 1.0) if found else 0.0
        if not 2.0 <= size <= 40.0:
            raise ValueError(
                "`--width` must be a width such as 89mm, 183mm or 7.2 (inches), from 51 mm to "
                f"1016 mm, got {self.width!r}"
            )
        return size


_look: ContextVar[Look] = ContextVar("look", default=Look())  # noqa: B039 (it is frozen)


def look() -> Look:
    """The look that figures are drawn in."""
    return _look.get()


@contextlib.contextmanager
def worn(wanted: Look) -> Iterator[None]:
    """Figures that are drawn in here have this look.

    Raises
    ------
    ValueError
        It is none.
    """
    wanted.check()
    token = _look.set(wanted)
    try:
        yield
    finally:
        _look.reset(token)
