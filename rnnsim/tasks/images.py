"""Handwritten digits, read in pieces."""

import functools

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.data.sequences import Sequences
from rnnsim.tasks.drawing import (
    Dtype,
    Seed,
    border,
    drawn_once,
    many_to_one,
    part_of,
    provenance,
)

DIGIT_SHAPES = {"rows": (8, 8), "pixels": (64, 1)}  # (T, D)


def digits(
    n_steps: int | None,
    n_sequences: int,
    *,
    rng: Seed,
    dtype: Dtype = "float64",
    order: str = "rows",
    permutation: int | None = None,
    part: str = "all",
) -> Sequences:
    """Classify handwritten 8x8 digits that are read one row or one pixel at a time.

    ::

        order="rows"      x_t = pixels of row t         T = 8,  D = 8
        order="pixels"    x_t = pixel t, row by row     T = 64, D = 1

    Inputs (T, B, D) in [0, 1], class targets (T, B) of 0..9, loss at step T only.

    Variant: sequential and permuted digits after Le, Jaitly and Hinton 2015 (there MNIST), on the
    1797 images of ``sklearn.datasets.load_digits``.

    Parameters
    ----------
    n_steps, n_sequences : int
        T, fixed by `order`: 8 or 64, or None for either. B, at most the images of the part (1797,
        1437, 180 or 180): none is drawn twice.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    order : {"rows", "pixels"}
    permutation : int, optional
        Seed of one shuffle of the 64 pixels, the same in every image ("permuted digits").
    part : {"all", "train", "test", "validation"}
        All images, the first eight tenths of them, the last tenth, or the one before it.

    Raises
    ------
    ImportError, TypeError, ValueError
        No scikit-learn; another n_steps, more sequences than images, an unknown option, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.digits(64, 5, rng=0, order="pixels", permutation=1)
    >>> batch.inputs.shape, batch.targets[-1].tolist()
    ((64, 5, 1), [2, 2, 3, 9, 4])
    """
    T, D = DIGIT_SHAPES[checks.one_of("order", order, DIGIT_SHAPES)]
    if n_steps is not None and checks.size("n_steps", n_steps) != T:
        raise ValueError(
            f"`n_steps` must be {T} with order={order!r}, got {n_steps}; "
            "order='rows' has 8 steps, order='pixels' 64, and None takes what the order has"
        )
    B, kind, generator = border(n_sequences, dtype, rng)
    images, labels = (array[part_of(part, len(array))] for array in digit_images())
    drawn = drawn_once(generator, len(images), B, f"images of part={part!r}")
    pixels = images[drawn]
    if permutation is not None:
        seed = checks.whole_number("permutation", permutation, least=0)
        pixels = pixels[:, np.random.default_rng(seed).permutation(64)]
    inputs = pixels.reshape(B, T, D).swapaxes(0, 1).astype(kind)
    options = {"order": order, "permutation": permutation, "part": part}
    origin = provenance("digits", "scikit-learn 8x8 digits", **options)
    return many_to_one(inputs, labels[drawn], origin)


@functools.cache
def digit_images() -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Pixels in [0, 1], (1797, 64), and labels (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "digit images need scikit-learn; install the extra rnnsim-toolkit[digits]"
        ) from error
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels
