"""English text, character by character: the reference of the language, or a text of one's own."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.files import checksum
from rnnsim.tasks.drawing import PARTS, Dtype, Seed, border, part_of, provenance
from rnnsim.tasks.paragraphs import folded, reference

TextPath = str | os.PathLike[str]
_COPY = 50  # characters in a row that a text of one's own has once
_LEAST = 20  # characters, so that every part has two


def characters(
    n_steps: int,
    n_sequences: int,
    *,
    rng: Seed,
    dtype: Dtype = "float64",
    part: str = "all",
    text: TextPath | None = None,
) -> Sequences:
    """Predict the next character of a text: English, or one of your own.

    ::

        x_t = onehot(c_t)     target_t = c_{t+1}     c: T + 1 characters from a random place

    One-hot inputs (T, B, V), class targets (T, B), loss at all steps; V and the class ids follow
    ``corpus(text).vocabulary``, whatever the part. A zero readout costs ln V a step. What is read
    is described under `corpus`; its sha256 is in `provenance`.

    Parameters
    ----------
    n_steps, n_sequences : int
        T, less than the characters of the part, and B. Windows may overlap.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    part : {"all", "train", "test", "validation"}
        The whole text, about eight tenths of it to learn from, or one of the other two; windows
        stay inside, and no 50 characters in a row stand in two of the three.
    text : path, optional
        A file of text in UTF-8, in place of the help topics of Python.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        More steps than text, sizes below 1, an unknown part or dtype, no rng; a text that is not
        there, not UTF-8 or too short.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.characters(20, 1, rng=0)
    >>> bool((batch.inputs[1:].argmax(axis=-1) == batch.targets[:-1]).all())
    True
    """
    read = corpus(text)
    codes = corpus_codes(text)[read.parts[checks.one_of("part", part, PARTS)]]
    T = checks.size("n_steps", n_steps)
    if len(codes) <= T:
        raise ValueError(
            f"`n_steps` must be at most {len(codes) - 1}, one less than the characters of "
            f"part={part!r}, got {T}; shorten the sequences"
        )
    B, kind, generator = border(n_sequences, dtype, rng)
    windows = codes[np.arange(T + 1)[:, None] + generator.integers(0, len(codes) - T, B)]
    source = {"corpus": read.source, "corpus_sha256": read.sha256, "corpus_share": read.share}
    options = {"part": part} | ({} if text is None else {"text": os.fspath(text)})
    inputs = np.eye(len(read.vocabulary), dtype=kind)[windows[:-1]]
    origin = provenance("characters", "next character, one-hot", **source, **options)
    return Sequences(inputs, windows[1:], provenance=origin)


class Corpus(NamedTuple):
    """A text, its characters in ascending order, the sha256 of its UTF-8 bytes, and its parts.

    `parts` has a slice of the text for each of "all", "train", "test" and "validation"; `source` is
    where the text comes from, and `share` which share of it is there, in words.
    """

    text: str
    vocabulary: str
    sha256: str
    parts: dict[str, slice]
    source: str
    share: str = "all"

    def __repr__(self) -> str:
        return (
            f"Corpus(n_characters={len(self.text)}, n_classes={len(self.vocabulary)}, "
            f"sha256={self.sha256[:12]!r}..., parts={list(self.parts)}, "
            f"source={checks.shown(self.source)}, share={self.share!r})"
        )


def corpus(text: TextPath | None = None) -> Corpus:
    """The text of `characters`.

    Unless a path is given, it is the paragraphs of ``pydoc_data.topics``, the help topics of
    Python, that are the same in Python 3.11 to 3.13: 1164 different ones of more than 60
    characters, white space folded, one a line, 252,916 characters in all. Each topic goes whole to
    one part (train 82 %, validation 10 %, test 8 %). A Python that lacks some of them warns, and
    says how many it has in `share`, as it does in the `provenance` of what is drawn.

    A text of your own is read in the same way: paragraphs, which blank lines divide, one a line,
    with white space folded. Whatever repeats 50 characters or more that came before is taken out.
    Of what is left the first eight tenths are for training, the next for validation, the last for
    tests. So in both no 50 characters in a row stand in two parts.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        `text` that is no path, not there, not UTF-8, or shorter than 20 characters without repeats.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> english = tasks.corpus()
    >>> len(english.text), len(english.vocabulary), english.share
    (252916, 103, '1164 of 1164 paragraphs')
    """
    return _reference_corpus() if text is None else _own_corpus(*_on_disk(text))


def corpus_codes(text: TextPath | None = None) -> npt.NDArray[np.int64]:
    """The text as positions in the vocabulary."""
    return _codes(*corpus(text)[:2])


@functools.cache
def _reference_corpus() -> Corpus:
    paragraphs, share = reference()
    of_part = {part: [p.text for p in paragraphs if p.part == part] for part in PARTS[1:]}
    order = ("train", "validation", "test")
    texts = ["\n".join(of_part[part]) for part in order]
    ends = np.cumsum([len(text) + 1 for text in texts]).tolist()
    parts = {
        part: slice(end - len(text) - 1, end - 1)
        for part, text, end in zip(order, texts, ends, strict=True)
    }
    return _corpus("\n".join(texts), {"all": slice(None)} | parts, "pydoc_data.topics", share)


@functools.lru_cache(maxsize=4)
def _own_corpus(path: Path, stamp: tuple[int, int]) -> Corpus:
    """A file's; `stamp` tells whether it has changed since it was read."""
    try:
        raw = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"`text` must be a file in UTF-8, got {str(path)!r} with {error.reason} at byte "
            f"{error.start}; convert it, for example with iconv"
        ) from error
    text = _without_repeats("\n".join(folded(raw)))
    if len(text) < _LEAST:
        raise ValueError(
            f"`text` must have at least {_LEAST} characters besides repeats and white space, got "
            f"{len(text)} in {str(path)!r}; give a longer text"
        )
    return _corpus(text, {part: part_of(part, len(text)) for part in PARTS}, path.name)


def _on_disk(text: TextPath) -> tuple[Path, tuple[int, int]]:
    """Where the file is, and when it was written and how long it is."""
    try:
        path = Path(text).resolve()
    except TypeError as error:
        raise TypeError(
            f"`text` must be the path of a file, got {type(text).__name__}; write the text to a "
            "file in UTF-8 and give its path"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(
            f"`text` must be the path of a file in UTF-8, got {os.fspath(text)!r}, which is none"
        )
    found = path.stat()
    return path, (found.st_mtime_ns, found.st_size)


def _corpus(text: str, parts: dict[str, slice], source: str, share: str = "all") -> Corpus:
    return Corpus(text, "".join(sorted(set(text))), checksum([text]), parts, source, share)


@functools.lru_cache(maxsize=4)
def _codes(text: str, vocabulary: str) -> npt.NDArray[np.int64]:
    position = {character: i for i, character in enumerate(vocabulary)}
    return np.array([position[character] for character in text])


def _without_repeats(text: str) -> str:
    """What is left when all that repeats `_COPY` characters in a row from before is taken out.

    A line feed stands in its place. Once more where pieces that meet make such a repeat again.
    """
    while (left := "\n".join(_unrepeated(text))) != text:
        text = left
    return text


def _unrepeated(text: str) -> Iterator[str]:
    """The pieces between repeats."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    if len(codes) < _COPY:
        yield text
        return
    _, first, group = np.unique(_ranks(codes, _COPY), return_index=True, return_inverse=True)
    again = np.flatnonzero(first[group] < np.arange(len(group)))
    inside = np.zeros(len(codes) + 1, np.int64)
    np.add.at(inside, again, 1)
    np.add.at(inside, again + _COPY, -1)
    kept = np.r_[False, np.cumsum(inside[:-1]) == 0, False]
    edges = np.flatnonzero(kept[1:] != kept[:-1])
    for start, end in edges.reshape(-1, 2).tolist():
        if piece := text[start:end].strip():
            yield piece


def _ranks(codes: npt.NDArray[np.uint32], length: int) -> npt.NDArray[np.int64]:
    """A number for each run of so many codes, the same for the same runs: by doubling."""
    ranks, reach = np.unique(codes, return_inverse=True)[1].astype(np.int64), 1
    while reach < length:
        step = min(reach, length - reach)
        pairs = ranks[:-step] * (ranks.max() + 1) + ranks[step:]
        ranks, reach = np.unique(pairs, return_inverse=True)[1].astype(np.int64), reach + step
    return ranks
