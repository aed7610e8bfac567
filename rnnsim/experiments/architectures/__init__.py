"""Four architectures, each with real data, a held-out score and what it must beat."""

from collections.abc import Callable

from rnnsim.experiments.architectures.problem import Example, Options, Problem
from rnnsim.experiments.architectures.reading import characters, sentences
from rnnsim.experiments.architectures.writing import captions, translation

__all__ = [
    "PROBLEMS", "Example", "Options", "Problem", "captions", "characters", "sentences",
    "translation",
]  # fmt: skip

PROBLEMS: dict[str, Callable[[Options, int, str], Problem]] = {
    "characters": characters,
    "sentences": sentences,
    "translation": translation,
    "captions": captions,
}
