"""Alphabets of written targets: class ids of characters, a start and an end symbol."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.pairs import Pairs
from rnnsim.data.sequences import Sequences


class Alphabet(NamedTuple):
    """Characters and their class ids: their places in `characters`, then `end`, then `start`.

    A decoder reads ``n_inputs`` = n + 2 classes and writes ``n_outputs`` = n + 1: the start symbol
    is never an answer. A source has the n characters alone.

    Examples
    --------
    >>> alphabet = Alphabet("abc")
    >>> alphabet.start, alphabet.end, alphabet.decode([[0, 1], [2, 3], [3, 3]])
    (4, 3, ['ac', 'b'])
    """

    characters: str

    def __repr__(self) -> str:
        return f"Alphabet({checks.shown(self.characters)}, n_outputs={self.n_outputs})"

    @property
    def end(self) -> int:
        """Class id of the end symbol."""
        return len(self.characters)

    @property
    def start(self) -> int:
        """Class id of the start symbol, an input only."""
        return len(self.characters) + 1

    @property
    def n_inputs(self) -> int:
        """Classes that a decoder reads."""
        return len(self.characters) + 2

    @property
    def n_outputs(self) -> int:
        """Classes that a decoder writes."""
        return len(self.characters) + 1

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """Class ids (T,) of a text.

        Raises
        ------
        ValueError
            A character that the alphabet does not have.
        """
        checks.text("text", text)
        if unknown := sorted(set(text) - set(self.characters)):
            raise ValueError(
                f"`text` must consist of {self.characters!r}, got also {unknown}; "
                "replace or drop those"
            )
        return np.array([self.characters.index(character) for character in text], np.int64)

    def decode(self, ids: npt.ArrayLike) -> list[str]:
        """The texts of class ids (T, B), each up to its end symbol; "?" for what is no character.

        `greedy_decode` returns ids of N networks, (N, T, B): decode those of one at a time.

        Raises
        ------
        TypeError, ValueError
            Ids that are not integers or not of two axes.
        """
        array = checks.plain_array("ids", ids)
        if array.dtype.kind not in "iu":
            raise TypeError(f"`ids` must hold class ids (integers), got {array.dtype}")
        if array.ndim != 2:
            raise ValueError(
                f"`ids` must be (n_steps, n_sequences), got shape {array.shape}; of (n_networks, "
                "n_steps, n_sequences) decode one network at a time"
            )
        texts = []
        for column in array.T.tolist():
            known = column[: column.index(self.end)] if self.end in column else column
            texts.append("".join(self._character(i) for i in known))
        return texts

    def _character(self, i: int) -> str:
        return self.characters[i] if 0 <= i < len(self.characters) else "?"


def written(texts: Sequence[str], alphabet: Alphabet, n_steps: int, dtype: Any) -> Sequences:
    """Targets of a decoder that is taught: it reads the start symbol, then the right answers.

    Weights are 1 up to the end symbol; behind it inputs and weights are 0.
    """
    T, B = n_steps, len(texts)
    targets = np.full((T, B), alphabet.end)
    weights = np.zeros((T, B), dtype)
    for b, text in enumerate(texts):
        targets[: len(text), b] = alphabet.encode(text)
        weights[: len(text) + 1, b] = 1
    read = np.concatenate([np.full((1, B), alphabet.start), targets[:-1]])
    inputs = np.eye(alphabet.n_inputs, dtype=dtype)[read] * weights[..., None]
    return Sequences(inputs, targets, weights)


def right_aligned(texts: Sequence[str], alphabet: Alphabet, n_steps: int, dtype: Any) -> Any:
    """One-hot inputs (T, B, n) of texts that end at the last step, behind zeros."""
    inputs = np.zeros((n_steps, len(texts), len(alphabet.characters)), dtype)
    for b, text in enumerate(texts):
        steps = np.arange(n_steps - len(text), n_steps)
        inputs[steps, b, alphabet.encode(text)] = 1
    return inputs


def translated(
    sources: Any, texts: Sequence[str], alphabet: Alphabet, n_steps: int, origin: dict[str, str]
) -> Pairs:
    """Pairs of what is read and the texts to be written, in the dtype of the sources."""
    return Pairs(sources, written(texts, alphabet, n_steps, sources.dtype), provenance=origin)
