"""Memory tasks: their layout by hand-checkable laws, and their floors."""

import numpy as np
import pytest
from builders import classes

from rnnsim import tasks


@pytest.mark.parametrize(("n_steps", "n_memory"), [(3, 1), (7, 3), (30, 10), (40, 4)])
def test_copy_memory_layout(n_steps, n_memory):
    batch = tasks.copy_memory(n_steps, 50, rng=1, n_memory=n_memory)
    shown, delimiter = classes(batch), n_steps - n_memory - 1
    symbols = shown[:n_memory]
    assert symbols.min() == 1
    assert symbols.max() == 8
    np.testing.assert_array_equal(np.argwhere((shown == 9).all(axis=1)), [[delimiter]])
    np.testing.assert_array_equal(shown[n_memory:delimiter], 0)
    np.testing.assert_array_equal(shown[delimiter + 1 :], 0)
    np.testing.assert_array_equal(batch.targets[-n_memory:], symbols)
    np.testing.assert_array_equal(batch.targets[:-n_memory], 0)
    np.testing.assert_array_equal(batch.weights, 1)


@pytest.mark.parametrize("delay", [1, 5])
def test_echo_repeats_each_symbol_after_its_delay(delay):
    batch = tasks.echo(12, 40, rng=1, delay=delay, n_symbols=5)
    shown = classes(batch)
    assert (shown.min(), shown.max()) == (0, 4)
    np.testing.assert_array_equal(batch.targets[delay:], shown[:-delay])
    np.testing.assert_array_equal(batch.weights[delay:], 1)
    np.testing.assert_array_equal(batch.weights[:delay], 0)


def test_copy_memory_as_published():
    """Lag 100: 120 steps, 99 blanks before the delimiter, 10 input and 9 output classes."""
    shown = classes(tasks.copy_memory(120, 3, rng=0))
    np.testing.assert_array_equal(np.flatnonzero(shown[10:].any(axis=1)), [99])
    assert tasks.sizes("copy_memory") == (10, 9)


@pytest.mark.parametrize(("lag", "floor"), [(100, 0.17329), (200, 0.09452), (500, 0.03999)])
def test_copy_memory_floor(lag, floor):
    """Uniform over the symbols in the recall, sure of the blank before: 10 ln 8 nats a sequence.

    The best such guess from 3000 drawn symbols is within (8 - 1)/(2*3000) = 0.0012 of ln 8.
    """
    batch = tasks.copy_memory(lag + 20, 300, rng=2)
    recalled = np.bincount(batch.targets[-10:].ravel())[1:] / 3000
    entropy = -(recalled * np.log(recalled)).sum()
    assert entropy == pytest.approx(np.log(8), abs=5e-3)
    assert 10 * entropy / batch.n_steps == pytest.approx(floor, rel=3e-3)
    assert not batch.targets[:-10].any()


def test_copy_memory_recall_scores_the_last_steps_of_the_same_data():
    everywhere = tasks.copy_memory(30, 4, rng=3)
    recall = tasks.copy_memory(30, 4, rng=3, loss="recall")
    np.testing.assert_array_equal(recall.inputs, everywhere.inputs)
    np.testing.assert_array_equal(recall.targets[-10:], everywhere.targets[-10:])
    np.testing.assert_array_equal(recall.loss_steps, np.arange(21, 31))


def test_copy_memory_shows_the_same_symbols_at_every_length():
    short, long = (classes(tasks.copy_memory(T, 4, rng=3))[:10] for T in (21, 500))
    np.testing.assert_array_equal(short, long)


def test_copy_memory_errors():
    with pytest.raises(ValueError, match="`n_memory` must be at least 1, got 0"):
        tasks.copy_memory(20, 1, rng=0, n_memory=0)
    with pytest.raises(ValueError, match="`n_symbols` must be at least 1, got 0"):
        tasks.copy_memory(30, 1, rng=0, n_symbols=0)
    with pytest.raises(ValueError, match="`loss` must be one of 'all', 'recall', got 'last'"):
        tasks.copy_memory(30, 1, rng=0, loss="last")


@pytest.mark.parametrize("n_steps", [2, 3, 10, 11])
def test_adding_marks_one_step_in_each_half(n_steps):
    """Each step of a half is equally likely: all are marked among 400 sequences."""
    batch = tasks.adding(n_steps, 400, rng=0)
    values, marks = batch.inputs[..., 0], batch.inputs[..., 1]
    assert set(np.unique(marks)) <= {0.0, 1.0}
    np.testing.assert_array_equal(marks[: n_steps // 2].sum(axis=0), 1)
    np.testing.assert_array_equal(marks[n_steps // 2 :].sum(axis=0), 1)
    assert marks.any(axis=1).all()
    np.testing.assert_allclose(batch.targets[-1, :, 0], (values * marks).sum(axis=0), rtol=1e-15)


def test_adding_floor():
    """Always answering 1 errs by 1/6 on average: sum of two U[0, 1].

    (s - 1)^2 has variance 1/15 - 1/36, so 20,000 draws have a standard error of 0.0014; 4 of those.
    """
    batch = tasks.adding(4, 20_000, rng=1)
    values = batch.inputs[..., 0]
    error = np.mean((batch.targets[-1] - 1) ** 2)
    assert error == pytest.approx(1 / 6, abs=4 * np.sqrt((1 / 15 - 1 / 36) / 20_000))
    assert 0 <= values.min() < 0.001
    assert 0.999 < values.max() <= 1


@pytest.mark.parametrize("n_steps", [10, 19, 20, 57, 100])
def test_temporal_order_marks_lie_in_their_windows(n_steps):
    """Two marks a sequence, everywhere in [L/10, 2L/10) and [5L/10, 6L/10), and nowhere else."""
    shown = classes(tasks.temporal_order(n_steps, 400, rng=0))
    width = n_steps // 10
    windows = np.r_[width : 2 * width, n_steps // 2 : n_steps // 2 + width]
    marked = shown < 2
    np.testing.assert_array_equal(np.flatnonzero(marked.any(axis=1)), windows)
    np.testing.assert_array_equal(marked[: n_steps // 2].sum(axis=0), 1)
    np.testing.assert_array_equal(marked[n_steps // 2 :].sum(axis=0), 1)


def test_temporal_order_class_is_the_order_of_the_marks():
    batch = tasks.temporal_order(50, 200, rng=1)
    for shown, label in zip(classes(batch).T, batch.targets[-1], strict=True):
        marks = "".join("AB"[symbol] for symbol in shown if symbol < 2)
        assert ["AA", "AB", "BA", "BB"][label] == marks


def test_temporal_order_chance():
    """Four equally likely classes, four equally likely distractors; 4 standard errors."""
    batch = tasks.temporal_order(20, 10_000, rng=2)
    shares = np.bincount(batch.targets[-1]) / 10_000
    np.testing.assert_allclose(shares, 0.25, atol=4 * np.sqrt(3 / 16 / 10_000))
    distractors = np.bincount(classes(batch)[5:10].ravel(), minlength=6)[2:] / 50_000
    np.testing.assert_allclose(distractors, 0.25, atol=4 * np.sqrt(3 / 16 / 50_000))
