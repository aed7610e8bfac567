"""Captions of handwritten digits."""

import functools

import numpy as np
import numpy.typing as npt

from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Pairs
from rnnsim.tasks.alphabets import Alphabet, translated
from rnnsim.tasks.drawing import Dtype, Seed, border, drawn_once, part_of, provenance
from rnnsim.tasks.images import digit_images

_WORDS = "zero one two three four five six seven eight nine".split()


def captions(n_sequences: int, *, rng: Seed, dtype: Dtype = "float64", part: str = "all") -> Pairs:
    """Describe an 8x8 digit, seen in one step, in a few words, character by character.

    ::

        source    the 64 pixels in [0, 1]                  (1, B, 64)
        inputs    start a   b o l d   t h r e e ...        one-hot (T, B, m + 2), 0 behind the end
        targets   a   b o l d   t h r e e   l e a n i n g   l e f t end      classes (T, B)

    Every word can be seen in the picture. "bold" is a digit with more ink (sum of pixels) than the
    median of its class, all others are "thin"; one "leaning right" has a slant above the median of
    its class, all others lean left. The slant is how far the ink moves to the right for each row
    upwards: -cov(row, column) / var(row) of the ink. Forty captions in all; T is the longest and
    its end.

    Source: the images of ``sklearn.datasets.load_digits``; the captions are made here.

    Parameters
    ----------
    n_sequences : int
        B, at most the images of the part (1797, 1437, 180 or 180): none is drawn twice.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    part : {"all", "train", "test", "validation"}
        As in `digits`: all images, the first eight tenths of them, the last tenth, or the one
        before it.

    Raises
    ------
    ImportError, TypeError, ValueError
        No scikit-learn; more sequences than images, an unknown part or dtype, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> pairs = tasks.captions(2, rng=0)
    >>> tasks.caption_alphabet().decode(pairs.target.targets)
    ['a thin seven leaning left', 'a bold five leaning left']
    """
    B, kind, generator = border(n_sequences, dtype, rng)
    chosen = part_of(part, len(_captions()))
    images, texts = digit_images()[0][chosen], _captions()[chosen]
    drawn = drawn_once(generator, len(images), B, f"images of part={part!r}")
    longest = max(map(len, _captions()))
    origin = provenance("captions", "scikit-learn 8x8 digits, ink and slant", part=part)
    source = images[drawn][None].astype(kind)
    return translated(source, [texts[i] for i in drawn], caption_alphabet(), longest + 1, origin)


@functools.cache
def caption_alphabet() -> Alphabet:
    """The alphabet of `captions`.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> tasks.caption_alphabet().characters
    ' abdefghilnorstuvwxz'
    """
    return Alphabet("".join(sorted(set("".join(_captions())))))


@functools.cache
def _captions() -> list[str]:
    """One for each image, in their order."""
    images, labels = digit_images()
    bold, right = (_above_median(of(images), labels) for of in (_ink, _slant))
    return [
        f"a {'bold' if b else 'thin'} {_WORDS[label]} leaning {'right' if r else 'left'}"
        for label, b, r in zip(labels, bold, right, strict=True)
    ]


def _ink(images: FloatArray) -> FloatArray:
    return np.asarray(images.sum(axis=1))


def _slant(images: FloatArray) -> FloatArray:
    """Columns to the right for each row upwards: a regression weighted by ink."""
    ink = images.reshape(-1, 8, 8)
    total, places = ink.sum(axis=(1, 2)), np.arange(8)
    row = (ink.sum(axis=2) @ places / total)[:, None, None]
    column = (ink.sum(axis=1) @ places / total)[:, None, None]
    rows, columns = places[:, None] - row, places - column
    return np.asarray(-(ink * rows * columns).sum(axis=(1, 2)) / (ink * rows**2).sum(axis=(1, 2)))


def _above_median(values: FloatArray, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    medians = np.array([np.median(values[labels == label]) for label in range(10)])
    return np.asarray(values > medians[labels])
