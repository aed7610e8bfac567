"""Memory problems: copying, an echo, adding, the order of two marks."""

import numpy as np

from rnnsim import checks
from rnnsim.data.sequences import Sequences
from rnnsim.tasks.drawing import Dtype, Seed, border, length, many_to_one, provenance


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
    K = checks.size("n_memory", n_memory)
    T = length(n_steps, 2 * K + 1, f"to show {K} symbols, a delimiter and {K} steps of recall")
    B, kind, generator = border(n_sequences, dtype, rng)
    D, V = copy_memory_sizes(n_symbols)
    checks.one_of("loss", loss, ("all", "recall"))
    classes, targets = np.zeros((T, B), np.int64), np.zeros((T, B), np.int64)
    classes[:K] = targets[T - K :] = generator.integers(1, V, (K, B))
    classes[T - K - 1] = D - 1
    weights = np.ones((T, B), kind)
    weights[: T - K] = loss == "all"
    options = {"n_symbols": V - 1, "n_memory": K, "loss": loss}
    origin = provenance("copy_memory", "Arjovsky, Shah and Bengio 2016", **options)
    return Sequences(np.eye(D, dtype=kind)[classes], targets, weights, provenance=origin)


def echo(
    n_steps: int,
    n_sequences: int,
    *,
    rng: Seed,
    dtype: Dtype = "float64",
    n_symbols: int = 4,
    delay: int = 8,
) -> Sequences:
    """Repeat every symbol after a fixed number of steps: one dependency, of known length.

    ::

        x_t = onehot(s_t)     target_t = s_{t-delay}     s_t uniform

    One-hot inputs (T, B, n_symbols), class targets (T, B), loss at steps delay + 1..T. Chance is
    ln(n_symbols) nats a step; a gradient reaches the symbol with a window of delay + 1 steps.

    Parameters
    ----------
    n_steps, n_sequences : int
        T, at least delay + 1, and B.
    rng : int or numpy.random.Generator
    dtype : {"float64", "float32"}
    n_symbols, delay : int
        Size of the alphabet, at least 1, and steps from a symbol to its echo, at least 1.

    Raises
    ------
    TypeError, ValueError
        Too few steps, sizes below 1, an unknown dtype, no rng.

    Examples
    --------
    >>> from rnnsim import tasks
    >>> batch = tasks.echo(6, 1, rng=0, delay=2)
    >>> batch.inputs[:, 0].argmax(axis=-1).tolist(), batch.targets[2:, 0].tolist()
    ([3, 2, 2, 1, 1, 0], [3, 2, 2, 1])
    """
    lag = checks.size("delay", delay)
    V = checks.size("n_symbols", n_symbols)
    T = length(n_steps, lag + 1, f"so that a symbol returns after {lag} steps")
    B, kind, generator = border(n_sequences, dtype, rng)
    symbols = generator.integers(0, V, (T, B))
    targets, weights = np.zeros((T, B), np.int64), np.zeros((T, B), kind)
    targets[lag:], weights[lag:] = symbols[:-lag], 1
    origin = provenance("echo", "fixed delay", n_symbols=V, delay=lag)
    return Sequences(np.eye(V, dtype=kind)[symbols], targets, weights, provenance=origin)


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
    T = length(n_steps, 2, "for a marker in each half")
    B, kind, generator = border(n_sequences, dtype, rng)
    marked = np.stack([generator.integers(0, T // 2, B), generator.integers(T // 2, T, B)])
    values, marks = generator.uniform(size=(T, B)), np.zeros((T, B))
    marks[marked, np.arange(B)] = 1
    sums = values[marked, np.arange(B)].sum(axis=0)
    origin = provenance("adding", "Arjovsky, Shah and Bengio 2016")
    inputs = np.stack([values, marks], axis=-1).astype(kind)
    return many_to_one(inputs, sums[:, None].astype(kind), origin)


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
    T = length(n_steps, 10, "so that each window of n_steps//10 steps has room for a mark")
    B, kind, generator = border(n_sequences, dtype, rng)
    marked = np.array([[T // 10], [T // 2]]) + generator.integers(0, T // 10, (2, B))
    marks = generator.integers(0, 2, (2, B))
    classes = generator.integers(2, 6, (T, B))
    classes[marked, np.arange(B)] = marks
    origin = provenance("temporal_order", "Pascanu, Mikolov and Bengio 2013")
    return many_to_one(np.eye(6, dtype=kind)[classes], 2 * marks[0] + marks[1], origin)


def copy_memory_sizes(n_symbols: int) -> tuple[int, int]:
    """(n_inputs, n_outputs): symbols and blank are read and written, the delimiter is read."""
    n = checks.size("n_symbols", n_symbols)
    return n + 2, n + 1
