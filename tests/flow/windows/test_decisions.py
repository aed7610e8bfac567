"""What follows from bias and variance, by hand: best window, split of a budget, horizon."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim


def made_up(bias2, variance, batch_size=2, lags=((1.0, 1.0),)):
    """A result with these squares, and influences of twelve batches that are 0."""
    bias2, variance = np.atleast_2d(bias2).astype(float), np.atleast_2d(variance).astype(float)
    nothing, (signal, noise) = np.zeros((*bias2.shape, 12)), np.array(lags).T[:, None]
    return rnnsim.WindowBiasVariance(
        np.arange(1, bias2.shape[1] + 1), batch_size, np.zeros(len(bias2)), bias2, variance, bias2,
        variance, nothing, nothing, np.zeros(len(bias2)), signal, noise, np.full(len(bias2), -1),
    )  # fmt: skip


def test_the_best_window_and_split_by_hand():
    found = made_up([0.9, 0.4, -0.1, 0.0], [0.1, 0.2, 0.4, 0.9])
    assert_allclose(found.mean_square_error(2), [[1.0, 0.6, 0.4, 0.9]])
    assert_allclose(found.mean_square_error(1), [[1.1, 0.8, 0.8, 1.8]])
    assert_array_equal(found.best_window(2), [3])
    assert_array_equal(made_up([0.5, 0.25], [0.5, 0.75]).best_window(2), [1])  # of equals
    # budget 4: (1, 4) .95, (2, 2) .6, (3, 1) .8, (4, 1) 1.8
    assert_array_equal(found.best_split(4), [[2], [2]])
    assert_array_equal(found.best_split(1), [[1], [1]])
    assert_array_equal(found.best_split(30), [[3], [10]])  # .08 against .4 + .4/15, .9 * 2/7
    assert_array_equal(made_up([np.nan, 0.0], [1, 1]).best_window(1), [2])
    unknown = made_up([np.nan, np.nan], [1, 1])
    assert_array_equal(unknown.best_window(1), [np.nan])
    assert_array_equal(unknown.best_split(9), [[np.nan], [np.nan]])
    assert_array_equal(unknown.as_good_windows(1), [[np.nan, np.nan]])


def test_windows_that_are_not_known_to_be_worse():
    found = made_up([0.9, 0.4, 0.1, 0.0], [0.1, 0.2, 0.4, 0.9])
    assert_array_equal(found.as_good_windows(2), [[3, 3]])
    influence = np.array([[[-1, 0, 1], [-0.06, 0, 0.06], [0, 0, 0], [-0.1, 0, 0.1]]])
    unsure = dataclasses.replace(found, bias2_influence=influence, variance_influence=0 * influence)
    # two errors are t_975(2)/sqrt 3 = 2.48 times the deviation: 2.48, .149, .248 for the .5, .1, .4
    # that windows 1, 2 and 4 have too much
    assert_array_equal(unsure.as_good_windows(2), [[1, 3]])
    influence[0, 0] *= 0.01
    assert_array_equal(unsure.as_good_windows(2), [[2, 3]])
    influence[0] += np.array([-5, 0, 5])  # what all share leaves no doubt about the best
    assert_array_equal(unsure.as_good_windows(2), [[2, 3]])


def test_the_horizon_by_hand():
    found = made_up([0.5, 0.0], [1, 1], lags=((4.0, 1.0), (0.3, 1.0), (0.6, 1.0), (-0.1, 0.0)))
    assert_array_equal(found.horizon(1), [0])  # noise of one sequence is twice that of two
    assert_array_equal(found.horizon(2), [0])
    assert_array_equal(found.horizon(4), [2])
    assert_array_equal(found.horizon(6), [2])
    assert_array_equal(found.horizon(7), [np.nan])  # above a quarter of twelve batches of two
    assert_array_equal(made_up([0.5], [1], lags=((1.0, 1.0),)).horizon(2), [-1])
    assert_array_equal(made_up([0.5], [1], lags=((np.nan, np.nan),)).horizon(2), [np.nan])


def test_a_budget_below_the_shortest_window_is_refused():
    found = dataclasses.replace(made_up([0.5, 0.1], [1, 1]), windows=np.array([3, 5]))
    with pytest.raises(ValueError, match="`budget` must be at least 3, the shortest of the win"):
        found.best_split(2)
    with pytest.raises(TypeError, match="`batch_size` must be"):
        found.best_window("8")
