"""English text, character by character: the help topics of the standard library."""

import functools
import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.tasks.drawing import Dtype, Seed, border, part_of, provenance


def characters(
    n_steps: int, n_sequences: int, *, rng: Seed, dtype: Dtype = "float64", part: str = "all"
) -> Sequences:
    """Predict the next character of English text: the help topics of the standard library.

    ::

        x_t = onehot(c_t)     target_t = c_{t+1}     c: T + 1 characters from a random place

    One-hot inputs (T, B, V), class targets (T, B), loss at all steps; V and the class ids follow
    ``corpus().vocabulary``, whatever the part. A zero readout costs ln V a step. The text changes
    with the Python version, so `provenance` holds its sha256.

    Parameters
    ----------
    n_steps, n_sequences : int
        T, less than the characters of the part, and B. Windows may overlap.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    part : {"all", "train", "test"}
        The whole text, its first nine tenths, or the last tenth; windows stay inside.

    Raises
    ------
    TypeError, ValueError
        More steps than text, sizes below 1, an unknown part or dtype, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.characters(20, 1, rng=0)
    >>> bool((batch.inputs[1:].argmax(axis=-1) == batch.targets[:-1]).all())
    True
    """
    codes = corpus_codes()[part_of(part, len(corpus().text))]
    T = checks.whole_number("n_steps", n_steps, least=1)
    if len(codes) <= T:
        raise ValueError(
            f"`n_steps` must be at most {len(codes) - 1}, one less than the characters of "
            f"part={part!r}, got {T}; shorten the sequences"
        )
    B, kind, generator = border(n_sequences, dtype, rng)
    windows = codes[np.arange(T + 1)[:, None] + generator.integers(0, len(codes) - T, B)]
    source = {"corpus": "pydoc_data.topics", "corpus_sha256": corpus().sha256, "part": part}
    inputs = np.eye(len(corpus().vocabulary), dtype=kind)[windows[:-1]]
    origin = provenance("characters", "next character, one-hot", **source)
    return Sequences(inputs, windows[1:], provenance=origin)


class Corpus(NamedTuple):
    """A text, its characters in ascending order, and the sha256 of its UTF-8 bytes."""

    text: str
    vocabulary: str
    sha256: str


@functools.cache
def corpus() -> Corpus:
    """The text of `characters`: all of `pydoc_data.topics`, in alphabetical order of topic."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics))
    return Corpus(text, "".join(sorted(set(text))), hashlib.sha256(text.encode()).hexdigest())


@functools.cache
def corpus_codes() -> npt.NDArray[np.int64]:
    """The text as positions in the vocabulary."""
    position = {character: i for i, character in enumerate(corpus().vocabulary)}
    return np.array([position[character] for character in corpus().text])
