"""Captions of handwritten digits."""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.pairs import Pairs
from rnnsim.tasks.alphabets import Alphabet, translated
from rnnsim.tasks.drawing import Dtype, Seed, border, drawn_once, part_of, provenance
from rnnsim.tasks.images import digit_images

_WORDS = "zero one two three four five six seven eight nine".split()


_MIXED = 0.5  # of varied images
# Standard deviations of what varies: columns for each row; rows, columns; both sizes; brightness.
_SHEAR, _SHIFT, _STRETCH, _BRIGHTNESS = 0.1, 0.3, 0.1, 0.1


def captions(
    n_sequences: int,
    *,
    rng: Seed,
    dtype: Dtype = "float64",
    part: str = "all",
    varied: bool = False,
) -> Pairs:
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
    varied : bool
        Half of the images are mixed with another of their part and class, and all are slanted,
        shifted, stretched and made brighter or darker at random. They are captioned as they are
        then, by the medians of the images as they were. So there are as many images to learn from
        as one likes, of few hands (after Simard, Steinkraus and Platt 2003, sec. 2, and Zhang,
        Cisse, Dauphin and Lopez-Paz 2018; there the answers stay, or are mixed).

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
    images, labels = (array[chosen] for array in digit_images())
    drawn = drawn_once(generator, len(images), B, f"images of part={part!r}")
    seen, texts = images[drawn], [_captions()[chosen][i] for i in drawn]
    said = {"part": part}
    if checks.boolean("varied", varied):
        seen, said = _mixed(images, labels, drawn, generator), said | {"varied": "True"}
        seen = _varied(seen, generator)
        texts = _described(seen, labels[drawn])
    longest = max(map(len, _captions()))
    origin = provenance("captions", "scikit-learn 8x8 digits, ink and slant", **said)
    return translated(seen[None].astype(kind), texts, caption_alphabet(), longest + 1, origin)


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
    return _described(*digit_images())


def _described(images: FloatArray, labels: npt.NDArray[np.int64]) -> list[str]:
    """In words; more ink or slant than the median of all images of the class is bold or right."""
    bold, right = (of(images) > _medians(of)[labels] for of in (_ink, _slant))
    return [
        f"a {'bold' if b else 'thin'} {_WORDS[label]} leaning {'right' if r else 'left'}"
        for label, b, r in zip(labels, bold, right, strict=True)
    ]


@functools.cache
def _medians(of: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Of each class."""
    images, labels = digit_images()
    return np.array([np.median(of(images)[labels == label]) for label in range(10)])


def _mixed(
    images: FloatArray,
    labels: npt.NDArray[np.int64],
    drawn: npt.NDArray[np.int64],
    generator: np.random.Generator,
) -> FloatArray:
    """Those drawn (n, 64), half of them with a random share of another image of their class."""
    others = [generator.choice(np.flatnonzero(labels == labels[i])) for i in drawn]
    mixed, shares = generator.random((2, len(drawn), 1))
    share = np.where(mixed < _MIXED, shares, 0.0)
    return images[drawn] + share * (images[others] - images[drawn])


def _varied(images: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Images (n, 64) seen through a random affine map about their middle, bilinearly, and scaled.

    ``x'[p] = clip((1 + .1 u) x[A (p - m) + m + s], 0, 1)``, pixels p = (row, column), m the middle;
    0 beyond the edge.
    """
    from scipy.ndimage import map_coordinates  # slow to import, needed here only

    n, draw = len(images), generator.standard_normal
    A = np.eye(2) * (1 + _STRETCH * draw((n, 1, 2)))
    A[:, 1, 0] = _SHEAR * draw(n)
    middle, places = 3.5, np.indices((8, 8)).reshape(2, 64)
    at = A @ (places - middle) + middle + _SHIFT * draw((n, 2, 1))
    which = np.broadcast_to(np.arange(n)[:, None], (n, 64))
    framed = np.pad(images.reshape(n, 8, 8), ((0, 0), (1, 1), (1, 1)))
    seen = map_coordinates(framed, [which, at[:, 0] + 1, at[:, 1] + 1], order=1)
    return np.clip(seen * (1 + _BRIGHTNESS * draw((n, 1))), 0.0, 1.0)


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
