"""Paragraphs of Python's help topics that several versions share: one text under all of them.

`pydoc_data.topics` changes from version to version. ``paragraphs.txt`` beside this file names what
does not: a line for each of the 1164 different paragraphs of more than 60 characters, white space
folded, that Python 3.11.2, 3.11.7, 3.12.1 and 3.13.0 have (251,753 characters), in the order of
3.11.2: the first `HASH_DIGITS` hex digits of the sha256 of its UTF-8 bytes, its part of the text,
the part that its sentences go to, and the topics that hold it in any of the four.

- Parts of the text: families of topics go whole to one part. Topics are of a family if they share a
  paragraph, or 50 characters in a row, also by way of others; the largest has 27. So no paragraph
  had to be dropped, and no 50 characters stand in two parts.
- Parts of the sentences: families of paragraphs, by a checksum. Paragraphs are of a family if they
  share a sentence, 50 characters of one, or have two sentences that are nearly the same.
"""

import functools
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import NamedTuple

HASH_DIGITS = 12
_LEAST = 61  # characters


class Paragraph(NamedTuple):
    """A paragraph, its part of the text, the part of its sentences, the topics that hold it."""

    text: str
    part: str
    sentences: str
    topics: tuple[str, ...]


class Reference(NamedTuple):
    """The listed paragraphs that this Python has, in order, and which share of the list they are.

    The share is in words: "1164 of 1164 paragraphs".
    """

    paragraphs: list[Paragraph]
    share: str


@functools.cache
def reference() -> Reference:
    """The paragraphs of the list that this Python has; a warning where it lacks some.

    Raises
    ------
    ValueError
        A Python without any of them, or without its help topics.
    """
    known = {short_hash(text): text for text in topics_of_paragraphs(_help_topics())}
    lines = [line.split() for line in _list().splitlines()]
    found = [
        Paragraph(known[name], part, sentences, tuple(names.split(",")))
        for name, part, sentences, names in lines
        if name in known
    ]
    share = f"{len(found)} of {len(lines)} paragraphs"
    if {paragraph.part for paragraph in found} != {"train", "validation", "test"}:
        raise ValueError(
            f"`pydoc_data.topics` of this Python has {share} of the text, too few to draw from; "
            "use another Python, or a text of your own with text=PATH"
        )
    if len(found) < len(lines):
        warnings.warn(
            f"this Python has {share} of the text: what is drawn from it differs from other "
            "Pythons; compare results whose `provenance` has the same sha256 only",
            stacklevel=2,
        )
    return Reference(found, share)


def folded(text: str) -> Iterator[str]:
    """Its paragraphs, which blank lines divide, with all white space as single spaces."""
    for paragraph in re.split(r"\n\s*\n", text):
        if words := paragraph.split():
            yield " ".join(words)


def topics_of_paragraphs(topics: Mapping[str, str]) -> dict[str, list[str]]:
    """The different paragraphs of more than 60 characters, each with the topics that hold it.

    In alphabetical order of topics.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(topics):
        for paragraph in folded(topics[name]):
            holders = found.setdefault(paragraph, [])
            if name not in holders:
                holders.append(name)
    return {text: names for text, names in found.items() if len(text) >= _LEAST}


def short_hash(text: str) -> str:
    """What the list calls a paragraph."""
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def _help_topics() -> Mapping[str, str]:
    """None where a distribution leaves them out."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return {}
    return topics


def _list() -> str:
    return resources.files(__package__).joinpath("paragraphs.txt").read_text(encoding="utf-8")
