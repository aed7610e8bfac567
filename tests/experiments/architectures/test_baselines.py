"""Baselines, by hand."""

import numpy as np
import pytest

from rnnsim.experiments.architectures import baselines


def test_n_grams_are_counted_in_training_plus_one():
    train = np.array([0, 0, 1, 0, 2])
    before, after = np.array([[0, 1]]), np.array([[1, 2]])
    found = baselines.n_gram_bits(train, before, after, 4)
    single = np.array([4, 2, 2, 1]) / 9
    assert found["uniform"] == 2.0
    assert found["unigram"] == pytest.approx(-np.log2(single[[1, 2]]).mean())
    # after 0: once 0, once 1, once 2; after 1: once 0
    assert found["bigram"] == pytest.approx(-np.log2([2 / 7, 1 / 5]).mean())


def test_the_most_frequent_answer_is_that_of_training():
    assert baselines.most_frequent(["a", "b", "b"], ["a", "a", "b", "c"]) == 0.25


def test_naive_bayes_weighs_words_and_classes():
    train = ["red red sea", "blue sea", "blue sky", "blue"]
    test = ["red", "sky sky", "Blue", "unheard"]
    assert baselines.naive_bayes(train, [0, 1, 1, 1], test, [0, 1, 1, 1]) == 1.0
    assert baselines.naive_bayes(train, [0, 1, 1, 1], test, [1, 1, 1, 0]) == 0.5


def test_nearest_by_distance():
    train = np.array([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]])
    test = np.random.default_rng(0).normal(size=(20, 2)) * 5
    distance = ((test[:, None] - train) ** 2).sum(axis=2)
    expected = ["xyz"[i] for i in distance.argmin(axis=1)]
    assert baselines.nearest(train, list("xyz"), test) == expected


def test_a_dictionary_keeps_the_order_of_the_source():
    words = {"forty": "vierzig", "two": "zwei"}
    assert baselines.word_by_word("forty-two", words) == "vierzigzwei"
    assert baselines.word_by_word("two and forty", words) == "zweivierzig"


def test_each_word_has_a_machine_of_its_own():
    """Two words that depend on two axes of a square, one that never changes; ties of none."""
    corners = np.array([[x, y] for x in (0.0, 4.0) for y in (0.0, 4.0)] * 3)
    texts = [f"a {'thin' if x < 2 else 'bold'} {'left' if y < 2 else 'right'}" for x, y in corners]
    new = np.array([[0.5, 3.5], [3.5, 0.5]])
    assert baselines.word_for_word(corners, texts, new) == ["a thin right", "a bold left"]


def test_shares_of_words_that_are_right():
    right = ["a bold six", "a thin two"]
    assert baselines.shares_of_words(["a bold two", "a bold two"], right, [1, 2]) == [0.5, 0.5]
    assert baselines.shares_of_words(["", "a thin two more"], right, [0, 1, 2]) == [0.5, 0.5, 0.5]
