"""Tasks: seeded draws of `Sequences`, from published memory problems to text and digits.

Several papers give one name to different tasks; each docstring says which variant is drawn here,
and `Sequences.provenance` records it. `n_steps` is always the total T. Every draw is made in
float64 and rounded to `dtype`; it depends on seed, length, batch size and options only.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnnsim import checks
from rnnsim.checks import FloatArray
from rnnsim.sequences import Sequences

Seed = int | np.random.Generator
Dtype = npt.DTypeLike
DIGIT_SHAPES = {"rows": (8, 8), "pixels": (64, 1)}  # (T, D)


def copy_memory(
    n_steps: int,
    n_sequences: int,
    *,
    rng: Seed,
    dtype: Dtype = "float64",
    n_symbols: int = 8,
    n_memory: int = 10,
    loss: str = "all",
) -> Sequences:
    """Recall the first symbols of a sequence, in order, after a long blank.

    ::

        step      1..K        K+1..T-K-1   T-K         T-K+1..T      K = n_memory
        input     s_1..s_K    blank        delimiter   blank
        target    blank       blank        blank       s_1..s_K

    One-hot inputs (T, B, n_symbols + 2), class targets (T, B). Class 0 is the blank,
    1..n_symbols are the symbols, drawn uniformly, n_symbols + 1 is the delimiter, never a target.
    Without memory the loss of a sequence is at best n_memory*ln(n_symbols) nats (20.79 as
    published); a zero readout costs ln(n_symbols + 1) at each step that carries loss.

    Variant: Arjovsky, Shah and Bengio 2016, scored at all steps; their lag T_A makes
    T = T_A + 20, with T_A - 1 blanks. Others repeat the delimiter until the end.

    Parameters
    ----------
    n_steps, n_sequences : int
        T, at least 2*n_memory + 1, and B.
    rng : int or numpy.random.Generator
        One seed shows the same symbols at every length.
    dtype : {"float64", "float32"}
    n_symbols, n_memory : int
        Size of the alphabet and number of symbols to recall.
    loss : {"all", "recall"}
        Weight 1 at all steps, as published, or at the last n_memory steps only.

    Raises
    ------
    TypeError, ValueError
        Too few steps, sizes below 1, an unknown loss or dtype, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.copy_memory(7, 1, rng=0, n_memory=2)
    >>> batch.inputs[:, 0].argmax(axis=-1).tolist(), batch.targets[:, 0].tolist()
    ([7, 6, 0, 0, 9, 0, 0], [0, 0, 0, 0, 0, 7, 6])
    """
    K = checks.whole_number("n_memory", n_memory, least=1)
    T = _length(n_steps, 2 * K + 1, f"to show {K} symbols, a delimiter and {K} steps of recall")
    B, kind, generator = _border(n_sequences, dtype, rng)
    D, V = sizes("copy_memory", n_symbols=n_symbols)
    checks.one_of("loss", loss, ("all", "recall"))
    classes, targets = np.zeros((T, B), np.int64), np.zeros((T, B), np.int64)
    classes[:K] = targets[T - K :] = generator.integers(1, V, (K, B))
    classes[T - K - 1] = D - 1
    weights = np.ones((T, B), kind)
    weights[: T - K] = loss == "all"
    options = {"n_symbols": V - 1, "n_memory": K, "loss": loss}
    provenance = _provenance("copy_memory", "Arjovsky, Shah and Bengio 2016", **options)
    return Sequences(np.eye(D, dtype=kind)[classes], targets, weights, provenance=provenance)


def adding(n_steps: int, n_sequences: int, *, rng: Seed, dtype: Dtype = "float64") -> Sequences:
    """Add the two marked numbers of a sequence; the answer is due at the last step.

    ::

        x_t = (u_t, m_t)     u_t ~ U[0, 1],  m_t = 1 at one step in 1..T//2 and one in T//2+1..T
        target_T = sum_t m_t u_t

    Inputs (T, B, 2), float targets (T, B, 1) scored with 0.5*(y - target)^2 at step T only. Always
    answering 1 has a mean squared error of 1/6, so a loss of 1/12.

    Variant: Arjovsky, Shah and Bengio 2016. Hochreiter and Schmidhuber 1997 draw from U[-1, 1],
    vary the length and rescale the sum; Pascanu, Mikolov and Bengio 2013 take the mean.

    Parameters
    ----------
    n_steps, n_sequences : int
        T, at least 2, and B.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}

    Raises
    ------
    TypeError, ValueError
        Too few steps, no sequences, an unknown dtype, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.adding(4, 1, rng=0)
    >>> batch.inputs[:, 0].round(2).T.tolist(), batch.targets[-1].round(2).item()
    ([[0.27, 0.04, 0.02, 0.81], [0.0, 1.0, 0.0, 1.0]], 0.85)
    """
    T = _length(n_steps, 2, "for a marker in each half")
    B, kind, generator = _border(n_sequences, dtype, rng)
    marked = np.stack([generator.integers(0, T // 2, B), generator.integers(T // 2, T, B)])
    values, marks = generator.uniform(size=(T, B)), np.zeros((T, B))
    marks[marked, np.arange(B)] = 1
    sums = values[marked, np.arange(B)].sum(axis=0)
    provenance = _provenance("adding", "Arjovsky, Shah and Bengio 2016")
    inputs = np.stack([values, marks], axis=-1).astype(kind)
    return _many_to_one(inputs, sums[:, None].astype(kind), provenance)


def temporal_order(
    n_steps: int, n_sequences: int, *, rng: Seed, dtype: Dtype = "float64"
) -> Sequences:
    """Tell in which order two marks, each A or B, appeared among distractors.

    ::

        steps L+1..2L             one mark, A or B       L = T//10
        steps T//2+1..T//2+L      one mark, A or B
        all others                c, d, e or f, uniformly
        class                     AA 0, AB 1, BA 2, BB 3

    One-hot inputs (T, B, 6) in the order A, B, c, d, e, f; class targets (T, B), loss at step T
    only. Chance is ln 4 nats and 75 % wrong.

    Variant: Pascanu, Mikolov and Bengio 2013, windows as in their code, pascanur/trainingRNNs
    (whose class ids swap AB and BA). Hochreiter and Schmidhuber 1997, task 6a, have 8 symbols.

    Parameters
    ----------
    n_steps, n_sequences : int
        T, at least 10, and B.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}

    Raises
    ------
    TypeError, ValueError
        Too few steps, no sequences, an unknown dtype, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.temporal_order(10, 1, rng=0)
    >>> "".join("ABcdef"[i] for i in batch.inputs[:, 0].argmax(axis=-1)), int(batch.targets[-1, 0])
    ('eBdccBcfef', 3)
    """
    T = _length(n_steps, 10, "so that each window of n_steps//10 steps has room for a mark")
    B, kind, generator = _border(n_sequences, dtype, rng)
    marked = np.array([[T // 10], [T // 2]]) + generator.integers(0, T // 10, (2, B))
    marks = generator.integers(0, 2, (2, B))
    classes = generator.integers(2, 6, (T, B))
    classes[marked, np.arange(B)] = marks
    provenance = _provenance("temporal_order", "Pascanu, Mikolov and Bengio 2013")
    return _many_to_one(np.eye(6, dtype=kind)[classes], 2 * marks[0] + marks[1], provenance)


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
    codes = _corpus_codes()[_part(part, len(corpus().text))]
    T = checks.whole_number("n_steps", n_steps, least=1)
    if len(codes) <= T:
        raise ValueError(
            f"`n_steps` must be at most {len(codes) - 1}, one less than the characters of "
            f"part={part!r}, got {T}; shorten the sequences"
        )
    B, kind, generator = _border(n_sequences, dtype, rng)
    windows = codes[np.arange(T + 1)[:, None] + generator.integers(0, len(codes) - T, B)]
    origin = {"corpus": "pydoc_data.topics", "corpus_sha256": corpus().sha256, "part": part}
    inputs = np.eye(len(corpus().vocabulary), dtype=kind)[windows[:-1]]
    provenance = _provenance("characters", "next character, one-hot", **origin)
    return Sequences(inputs, windows[1:], provenance=provenance)


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
        1617 or 180): none is drawn twice.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    order : {"rows", "pixels"}
    permutation : int, optional
        Seed of one shuffle of the 64 pixels, the same in every image ("permuted digits").
    part : {"all", "train", "test"}
        All images, the first nine tenths of them, or the last tenth.

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
    if n_steps is not None and checks.whole_number("n_steps", n_steps, least=1) != T:
        raise ValueError(
            f"`n_steps` must be {T} with order={order!r}, got {n_steps}; "
            "order='rows' has 8 steps, order='pixels' 64, and None takes what the order has"
        )
    B, kind, generator = _border(n_sequences, dtype, rng)
    images, labels = (array[_part(part, len(array))] for array in _digit_images())
    if len(images) < B:
        raise ValueError(
            f"`n_sequences` must be at most {len(images)}, the images of part={part!r}, got {B}; "
            "draw several batches"
        )
    drawn = generator.choice(len(images), B, replace=False)
    pixels = images[drawn]
    if permutation is not None:
        seed = checks.whole_number("permutation", permutation, least=0)
        pixels = pixels[:, np.random.default_rng(seed).permutation(64)]
    inputs = pixels.reshape(B, T, D).swapaxes(0, 1).astype(kind)
    options = {"order": order, "permutation": permutation, "part": part}
    provenance = _provenance("digits", "scikit-learn 8x8 digits", **options)
    return _many_to_one(inputs, labels[drawn], provenance)


TASKS: dict[str, Callable[..., Sequences]] = {
    task.__name__: task for task in (copy_memory, adding, temporal_order, characters, digits)
}


def sizes(name: str, **options: Any) -> tuple[int, int]:
    """(n_inputs, n_outputs) of a task of `TASKS`, so that networks can be drawn before the data.

    `options` are those of the task besides rng and dtype; a TypeError lists them if one is unknown.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> tasks.sizes("copy_memory"), tasks.sizes("digits", order="pixels")
    ((10, 9), (1, 10))
    """
    parameters = inspect.signature(TASKS[checks.one_of("name", name, TASKS)]).parameters
    known = {k: p.default for k, p in parameters.items() if p.default is not p.empty}
    del known["dtype"]
    if unknown := sorted(options.keys() - known.keys()):
        raise TypeError(
            f"task {name!r} has the options {list(known)}, got {unknown}; drop or rename those"
        )
    chosen = known | options
    if name == "copy_memory":
        n_symbols = checks.whole_number("n_symbols", chosen["n_symbols"], least=1)
        return n_symbols + 2, n_symbols + 1
    if name == "characters":
        return len(corpus().vocabulary), len(corpus().vocabulary)
    if name == "digits":
        return DIGIT_SHAPES[checks.one_of("order", chosen["order"], DIGIT_SHAPES)][1], 10
    return {"adding": (2, 1), "temporal_order": (6, 4)}[name]


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
def _corpus_codes() -> npt.NDArray[np.int64]:
    """The text as positions in the vocabulary."""
    position = {character: i for i, character in enumerate(corpus().vocabulary)}
    return np.array([position[character] for character in corpus().text])


@functools.cache
def _digit_images() -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Pixels in [0, 1], (1797, 64), and labels (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the digits task needs scikit-learn; install the extra rnnsim-toolkit[digits]"
        ) from error
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def _part(part: str, n_items: int) -> slice:
    cut = n_items * 9 // 10
    parts = {"all": slice(n_items), "train": slice(cut), "test": slice(cut, n_items)}
    return parts[checks.one_of("part", part, parts)]


def _length(n_steps: int, least: int, reason: str) -> int:
    steps = checks.whole_number("n_steps", n_steps, least=1)
    if steps < least:
        raise ValueError(f"`n_steps` must be at least {least} {reason}, got {steps}")
    return steps


def _border(n_sequences: int, dtype: Any, rng: Any) -> tuple[int, np.dtype[Any], Any]:
    B = checks.whole_number("n_sequences", n_sequences, least=1)
    return B, checks.float_dtype("dtype", dtype), checks.generator(rng)


def _provenance(task: str, variant: str, **options: Any) -> dict[str, str]:
    return {"task": task, "variant": variant} | {key: str(v) for key, v in options.items()}


def _many_to_one(inputs: FloatArray, answers: npt.NDArray[Any], provenance: Any) -> Sequences:
    """Loss at the last step only, where the answers, (B,) classes or (B, V) values, are due."""
    targets = np.zeros((len(inputs), *answers.shape), answers.dtype)
    weights = np.zeros(inputs.shape[:2], inputs.dtype)
    targets[-1], weights[-1] = answers, 1
    return Sequences(inputs, targets, weights, provenance=provenance)
