"""Sentences of a language reference, and which part of it each comes from."""

import functools
import hashlib
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.tasks.alphabets import Alphabet, right_aligned
from rnnsim.tasks.drawing import Dtype, Seed, border, drawn_once, many_to_one, provenance

# Which help topics make a class, in the order of class ids. A topic that this Python does not have
# is passed over, and so is one that no group names.
SENTENCE_GROUPS = {
    "data model": """types specialnames specialattrs objects attribute-access attribute-references
        customization callable-types sequence-types numeric-types context-managers id-classes
        bltin-code-objects bltin-ellipsis-object bltin-null-object bltin-type-objects del""",
    "built-in types": """typesseq typesseq-mutable typesmapping typesmethods typesmodules
        typesfunctions string-methods formatstrings truth""",
    "expressions": """atom-identifiers atom-literals await binary bitwise booleans calls comparisons
        conversions dict exprlists in lambda lists operator-summary power shifting slicings
        subscriptions unary floating identifiers imaginary integers numbers strings""",
    "statements": """assert assignment augassign async break class compound continue else for
        function global if nonlocal pass raise return try while with yield""",
    "execution": "debugger dynamic-features exceptions execmodel import naming",
}


class SentenceCorpus(NamedTuple):
    """Different sentences with class ids, which of them are for tests, and their characters.

    sentences (S,), in alphabetical order; classes (S,) int64, positions in `SENTENCE_GROUPS`; test
    (S,) bool; vocabulary in ascending order; sha256 of the sentences, joined by line feeds.
    """

    sentences: list[str]
    classes: npt.NDArray[np.int64]
    test: npt.NDArray[np.bool_]
    vocabulary: str
    sha256: str


def sentences(
    n_steps: int, n_sequences: int, *, rng: Seed, dtype: Dtype = "float64", part: str = "all"
) -> Sequences:
    """Tell which part of Python's language reference a sentence comes from.

    ::

        step      1..T-n     T-n+1..T
        input     zeros      the n characters of a sentence, one-hot      n <= T
        class     data model 0, built-in types 1, expressions 2, statements 3, execution 4; at T

    Inputs (T, B, V) follow ``sentence_corpus().vocabulary``, whatever the part; class targets
    (T, B), loss at step T only, where every sentence ends. The classes are those of
    `SENTENCE_GROUPS`, groups of the help topics in ``pydoc_data.topics``; in Python 3.11 they hold
    30, 21, 16, 20 and 13 % of the sentences. Sentences of several groups, examples of code and
    grammar rules are left out. The text changes with the Python version, so `provenance` holds a
    sha256 of the sentences.

    Parameters
    ----------
    n_steps, n_sequences : int
        T: longer sentences are not drawn (20 characters is the shortest, 150 hold four fifths).
        B, at most the sentences that are left: none is drawn twice.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    part : {"all", "train", "test"}
        All sentences, or nine or one of ten by a checksum of the sentence alone: a sentence keeps
        its part in another Python version. All are different, so no part holds one of the other.

    Raises
    ------
    TypeError, ValueError
        Fewer than 20 steps, more sequences than sentences, an unknown part or dtype, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.sentences(80, 3, rng=0)
    >>> batch.inputs.shape[:2], batch.loss_steps.tolist(), set(batch.targets[-1]) <= set(range(5))
    ((80, 3), [80], True)
    """
    data = sentence_corpus()
    T = checks.whole_number("n_steps", n_steps, least=1)
    B, kind, generator = border(n_sequences, dtype, rng)
    parts = {"all": data.test | True, "train": ~data.test, "test": data.test}
    chosen = parts[checks.one_of("part", part, parts)]
    fits = np.array([len(sentence) <= T for sentence in data.sentences])
    which = np.flatnonzero(chosen & fits)
    if which.size == 0:
        raise ValueError(
            f"`n_steps` must be at least {min(len(s) for s in data.sentences)}, the shortest "
            f"sentence, and some more for part={part!r}, got {T}"
        )
    left = f"sentences of part={part!r} within {T} characters"
    which = which[drawn_once(generator, len(which), B, left)]
    texts = [data.sentences[i] for i in which]
    source = {"corpus": "pydoc_data.topics", "sentences_sha256": data.sha256, "part": part}
    origin = provenance("sentences", "group of help topics, one-hot, right-aligned", **source)
    inputs = right_aligned(texts, Alphabet(data.vocabulary), T, kind)
    return many_to_one(inputs, data.classes[which], origin)


@functools.cache
def sentence_corpus() -> SentenceCorpus:
    """The sentences of `sentences`, each of one group of topics.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> data = tasks.sentence_corpus()
    >>> len(data.sentences) == len(set(data.sentences)) == len(data.classes) == len(data.test)
    True
    """
    from pydoc_data.topics import topics

    groups: dict[str, set[int]] = {}
    for group, names in enumerate(SENTENCE_GROUPS.values()):
        for name in names.split():
            for sentence in _split(topics.get(name, "")):
                groups.setdefault(sentence, set()).add(group)
    known = sorted(sentence for sentence, found in groups.items() if len(found) == 1)
    joined = "\n".join(known).encode()
    return SentenceCorpus(
        known,
        np.array([min(groups[sentence]) for sentence in known], np.int64),
        np.array([zlib.crc32(sentence.encode()) % 10 == 0 for sentence in known]),
        "".join(sorted(set("".join(known)))),
        hashlib.sha256(joined).hexdigest(),
    )


def _split(text: str) -> Iterator[str]:
    """Sentences of 20 characters and more from the prose paragraphs of a topic."""
    for paragraph in re.split(r"\n\s*\n", text):
        if re.search(r"::=|>>>|\*\*\*\*|====|----", paragraph):
            continue  # grammar, code, headings
        for sentence in re.split(r'(?<=[.!?:])\s+(?=[A-Z"“‘])', " ".join(paragraph.split())):
            if len(sentence) >= 20 and sentence[0].isupper() and sentence[-1] in ".!?:":
                yield sentence
