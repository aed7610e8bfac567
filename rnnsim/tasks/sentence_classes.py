"""Sentences of a language reference, and which part of it each comes from."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.files import checksum
from rnnsim.tasks.alphabets import Alphabet, right_aligned
from rnnsim.tasks.drawing import PARTS, Dtype, Seed, border, drawn_once, many_to_one, provenance
from rnnsim.tasks.paragraphs import reference

# Which help topics make a class, in the order of class ids.
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
    """Different sentences with class ids, which of them are not for training, their characters.

    sentences (S,), in alphabetical order; classes (S,) int64, positions in `SENTENCE_GROUPS`; test
    and validation (S,) bool; vocabulary in ascending order; sha256 of the sentences, joined by line
    feeds; share, in words, of the paragraphs that they come from (see `corpus`).
    """

    sentences: list[str]
    classes: npt.NDArray[np.int64]
    test: npt.NDArray[np.bool_]
    vocabulary: str
    sha256: str
    validation: npt.NDArray[np.bool_]
    share: str

    def __repr__(self) -> str:
        return (
            f"SentenceCorpus(n_sentences={len(self.sentences)}, n_groups={len(SENTENCE_GROUPS)}, "
            f"n_characters={len(self.vocabulary)}, sha256={self.sha256[:12]!r}..., "
            f"share={self.share!r})"
        )

    def of(self, part: str) -> npt.NDArray[np.bool_]:
        """Which sentences a part has, (S,)."""
        train = ~(self.test | self.validation)
        parts = dict(zip(PARTS, (train | True, train, self.test, self.validation), strict=True))
        return parts[checks.one_of("part", part, parts)]


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
    `SENTENCE_GROUPS`, groups of the help topics in ``pydoc_data.topics``; they hold 26, 23, 17, 22
    and 12 % of the sentences. These are of the paragraphs that several Pythons share (see
    `corpus`). Sentences of several groups, examples of code and grammar rules are left out.
    `provenance` holds a sha256 of the sentences.

    Parameters
    ----------
    n_steps, n_sequences : int
        T: longer sentences are not drawn (20 characters is the shortest, 150 hold four fifths).
        B, at most the sentences that are left: none is drawn twice.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    part : {"all", "train", "test", "validation"}
        All sentences, about eight tenths of them to learn from, or one of the other two tenths.
        Paragraphs go whole to a part, with all others that hold a sentence which is nearly the
        same (`difflib` finds four fifths of the characters in order) or shares 50 characters in a
        row. Topics do not: whoever is to tell which topics a sentence is from must know them.

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
    T = checks.size("n_steps", n_steps)
    B, kind, generator = border(n_sequences, dtype, rng)
    fits = np.array([len(sentence) <= T for sentence in data.sentences])
    which = np.flatnonzero(data.of(part) & fits)
    if which.size == 0:
        raise ValueError(
            f"`n_steps` must be at least {min(len(s) for s in data.sentences)}, the shortest "
            f"sentence, and some more for part={part!r}, got {T}"
        )
    left = f"sentences of part={part!r} within {T} characters"
    which = which[drawn_once(generator, len(which), B, left)]
    texts = [data.sentences[i] for i in which]
    origin = provenance(
        "sentences",
        "group of help topics, one-hot, right-aligned",
        corpus="pydoc_data.topics",
        sentences_sha256=data.sha256,
        corpus_share=data.share,
        part=part,
    )
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
    of_topic = {
        name: g for g, names in enumerate(SENTENCE_GROUPS.values()) for name in names.split()
    }
    groups: dict[str, set[int]] = {}
    part: dict[str, str] = {}
    paragraphs, share = reference()
    for paragraph in paragraphs:
        for sentence in _split(paragraph.text):
            found = {of_topic[name] for name in paragraph.topics if name in of_topic}
            groups.setdefault(sentence, set()).update(found)
            part[sentence] = paragraph.sentences
    known = sorted(sentence for sentence, found in groups.items() if len(found) == 1)
    return SentenceCorpus(
        known,
        np.array([min(groups[sentence]) for sentence in known], np.int64),
        np.array([part[sentence] == "test" for sentence in known]),
        "".join(sorted(set("".join(known)))),
        checksum(["\n".join(known)]),
        np.array([part[sentence] == "validation" for sentence in known]),
        share,
    )


def _split(paragraph: str) -> Iterator[str]:
    """Sentences of 20 characters and more from a paragraph of prose."""
    if re.search(r"::=|>>>|\*\*\*\*|====|----", paragraph):
        return  # grammar, code, headings
    for sentence in re.split(r'(?<=[.!?:])\s+(?=[A-Z"“‘])', paragraph):
        if len(sentence) >= 20 and sentence[0].isupper() and sentence[-1] in ".!?:":
            yield sentence
