"""Numbers in words, from English to German."""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.data.pairs import Pairs
from rnnsim.tasks.alphabets import Alphabet, right_aligned, translated
from rnnsim.tasks.drawing import Dtype, Seed, border, drawn_once, part_of, provenance


class _Numerals(NamedTuple):
    """The numbers 0..largest in words, their alphabets, and the numbers in a fixed random order."""

    english: list[str]
    german: list[str]
    alphabets: tuple[Alphabet, Alphabet]
    shuffled: npt.NDArray[np.int64]


def number_words(
    n_sequences: int,
    *,
    rng: Seed,
    dtype: Dtype = "float64",
    part: str = "all",
    largest: int = 9999,
    reverse: bool = False,
) -> Pairs:
    """Translate numbers in words from English to German, character by character.

    ::

        source    0..0 f o r t y - t w o              zeros in front, one-hot (T_s, B, n)
        inputs    start z w e i u n d v i e r z i g   one-hot (T, B, m + 2), 0 behind the end
        targets   z w e i u n d v i e r z i g end     classes (T, B), weight 0 behind the end

    German says units before tens ("two and forty"), so that the order of the parts changes and
    nearly everything must be known at the boundary. T_s is the longest English numeral up to
    `largest`, T the longest German one and its end, whatever is drawn. A zero readout costs
    ln(m + 1) nats a character.

    Source: the package num2words, after the setting of Sutskever, Vinyals and Le 2014.

    Parameters
    ----------
    n_sequences : int
        B, at most the numbers of the part: none is drawn twice.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    part : {"all", "train", "test", "validation"}
        All numbers, or of one fixed shuffle the first eight tenths, the last tenth or the one
        before it: by number, so that no number of the test is ever seen in training.
    largest : int
        The numbers are 0..largest. Words are made once a process: some seconds for 10,000.
    reverse : bool
        Show the source from its last character to its first (as Sutskever et al. did), which
        brings its beginning near the boundary.

    Raises
    ------
    ImportError, TypeError, ValueError
        No num2words; more sequences than numbers, a largest below 9, an unknown part or dtype,
        no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> pairs = tasks.number_words(3, rng=0, largest=99)
    >>> english, german = tasks.number_alphabets(largest=99)
    >>> german.decode(pairs.target.targets)
    ['siebenundsechzig', 'drei', 'einunddreißig']
    """
    B, kind, generator = border(n_sequences, dtype, rng)
    backwards = checks.boolean("reverse", reverse)
    numerals = _numerals(checks.size("largest", largest, least=9))
    numbers = numerals.shuffled[part_of(part, len(numerals.shuffled))]
    drawn = numbers[drawn_once(generator, len(numbers), B, f"numbers of part={part!r}")]
    english, german = ([words[i] for i in drawn] for words in (numerals.english, numerals.german))
    if reverse:
        english = [word[::-1] for word in english]
    T_s, T = (max(map(len, words)) for words in (numerals.english, numerals.german))
    source = right_aligned(english, numerals.alphabets[0], T_s, kind)
    options = {"part": part, "largest": largest, "reverse": backwards}
    origin = provenance("number_words", "English to German, num2words", **options)
    return translated(source, german, numerals.alphabets[1], T + 1, origin)


def number_alphabets(*, largest: int = 9999) -> tuple[Alphabet, Alphabet]:
    """The alphabets of `number_words`, English and German: the characters of all of 0..largest.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> english, german = tasks.number_alphabets(largest=99)
    >>> english.characters, german.n_outputs
    ('-efghilnorstuvwxyz', 22)
    """
    return _numerals(checks.size("largest", largest, least=9)).alphabets


@functools.cache
def _numerals(largest: int) -> _Numerals:
    try:
        from num2words import num2words
    except ImportError as error:
        raise ImportError(
            "numbers in words need num2words; install the extra rnnsim-toolkit[numbers]"
        ) from error
    english, german = (
        [str(num2words(i, lang=language)) for i in range(largest + 1)] for language in ("en", "de")
    )
    alphabets = Alphabet(_letters(english)), Alphabet(_letters(german))
    return _Numerals(english, german, alphabets, np.random.default_rng(0).permutation(largest + 1))


def _letters(words: list[str]) -> str:
    return "".join(sorted(set("".join(words))))
