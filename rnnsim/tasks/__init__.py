"""Tasks: seeded draws of data, from published memory problems to text, digits and translation.

Several papers give one name to different tasks; each docstring says which variant is drawn here,
and `provenance` records it. `n_steps` is always the total T. Every draw is made in float64 and
rounded to `dtype`; it depends on seed, length, batch size and options only. The functions of
`TASKS` return `Sequences`, for an RNN; those of `PAIR_TASKS` return `Pairs`, for an EncoderDecoder.
"""

import inspect
from collections.abc import Callable
from typing import Any

from rnnsim import checks
from rnnsim.data.pairs import Pairs
from rnnsim.data.sequences import Sequences
from rnnsim.tasks.alphabets import Alphabet
from rnnsim.tasks.image_captions import caption_alphabet, captions
from rnnsim.tasks.images import DIGIT_SHAPES, digits
from rnnsim.tasks.memory import adding, copy_memory, copy_memory_sizes, echo, temporal_order
from rnnsim.tasks.numerals import number_alphabets, number_words
from rnnsim.tasks.sentence_classes import SENTENCE_GROUPS, sentence_corpus, sentences
from rnnsim.tasks.text import Corpus, characters, corpus

__all__ = [
    "DIGIT_SHAPES",
    "PAIR_TASKS",
    "SENTENCE_GROUPS",
    "TASKS",
    "Alphabet",
    "Corpus",
    "adding",
    "caption_alphabet",
    "captions",
    "characters",
    "copy_memory",
    "corpus",
    "digits",
    "echo",
    "number_alphabets",
    "number_words",
    "sentence_corpus",
    "sentences",
    "sizes",
    "temporal_order",
]

TASKS: dict[str, Callable[..., Sequences]] = {
    task.__name__: task
    for task in (copy_memory, echo, adding, temporal_order, characters, sentences, digits)
}
# (n_inputs, n_outputs) of each, from its options.
_SIZES: dict[str, Callable[[dict[str, Any]], tuple[int, int]]] = {
    "copy_memory": lambda options: copy_memory_sizes(options["n_symbols"]),
    "echo": lambda options: (checks.size("n_symbols", options["n_symbols"]),) * 2,
    "adding": lambda _: (2, 1),
    "temporal_order": lambda _: (6, 4),
    "characters": lambda options: (len(corpus(options["text"]).vocabulary),) * 2,
    "sentences": lambda _: (len(sentence_corpus().vocabulary), len(SENTENCE_GROUPS)),
    "digits": lambda options: (
        DIGIT_SHAPES[checks.one_of("order", options["order"], DIGIT_SHAPES)][1],
        10,
    ),
}
PAIR_TASKS: dict[str, Callable[..., Pairs]] = {
    task.__name__: task for task in (number_words, captions)
}


def sizes(name: str, **options: Any) -> tuple[int, int]:
    """(n_inputs, n_outputs) of a task of `TASKS`, so that networks can be drawn before the data.

    `options` are those of the task besides rng and dtype; a TypeError lists them if one is unknown.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> tasks.sizes("copy_memory"), tasks.sizes("digits", order="pixels")
    ((10, 9), (1, 10))
    """
    parameters = inspect.signature(TASKS[checks.one_of("name", name, TASKS)]).parameters
    known = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    del known["dtype"]
    if unknown := sorted(options.keys() - known.keys()):
        raise TypeError(
            f"`options`: task {name!r} has the options {list(known)}, got {unknown}; drop or "
            "rename those"
        )
    chosen = known | options
    return _SIZES[name](chosen)
