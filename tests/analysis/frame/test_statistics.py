"""Medians, quantiles and their words, in which infinities count and NaN does not."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from analysis.frame import figures, statistics, words

pytestmark = pytest.mark.nojit
INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([3.0], 3.0),
        ([1.0, 2.0, 4.0, 9.0], 3.0),
        ([-0.5, -4.8, -INF, -INF, -INF], -INF),
        ([1.0, 2.0, -INF, -INF], -INF),  # half way between 0 and a number, as logs
        ([100.0, 500.0, INF, INF], INF),
        ([1.0, 2.0, 3.0, INF], 2.5),
        ([NAN, 1.0, NAN, 3.0], 2.0),
        ([-INF, INF], NAN),
        ([NAN, NAN], NAN),
        ([], NAN),
    ],
)
def test_median_counts_infinities_and_leaves_out_what_is_not_known(values, middle):
    assert_array_equal(statistics.median(values), middle)


def test_quantiles_of_finite_values_are_those_of_numpy():
    values = np.random.default_rng(0).standard_normal((7, 4, 3))
    for axis in (0, 1, (0, 2)):
        expected = np.quantile(values, [0.05, 0.5, 0.8], axis=axis)
        assert_array_equal(statistics.quantiles(values, [0.05, 0.5, 0.8], axis), expected)


def test_quantiles_next_to_infinities():
    column = np.array([[-INF, -INF, 0.0, 1.0, INF]]).T
    found = statistics.quantiles(column, [0.0, 0.25, 0.3, 0.5, 0.75, 0.8, 1.0])
    assert_array_equal(found[:, 0], [-INF, -INF, -INF, 0.0, 1.0, INF, INF])


def test_medians_over_a_dimension_keep_the_others():
    data = xr.DataArray([[1.0, -INF, NAN], [3.0, -INF, NAN]], dims=("network_seed", "lag"))
    assert_array_equal(statistics.median_over(data, "network_seed"), [2.0, -INF, NAN])


def test_a_drawn_median_counts_those_that_are_not_drawn(ax):
    curves = np.array([[0.0, 1.0, NAN], [0.0, -INF, NAN], [3.0, -INF, 2.0], [4.0, 7.0, NAN]])
    figures.seeds_and_median(ax, [1, 2, 3], curves, label="median", color="black", lines=True)
    assert_allclose(ax.lines[-1].get_ydata(), [1.5, NAN, NAN])
    assert_allclose(ax.lines[1].get_ydata(), [0.0, NAN, NAN])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([100, 200, 300, 400, 500, INF, INF, INF, INF, INF], "at least 500"),
        ([-INF, 2.0], "at most 2"),
        ([INF, INF, 1.0], "inf"),
        ([1.0, 2.0, NAN], "1.5"),
        ([NAN], "not known"),
        ([-INF, INF], "not known"),
    ],
)
def test_medians_in_words(values, text):
    assert words.middle(values, lambda x: f"{x:g}") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0%"),
        (0.004, "less than 1%"),
        (0.009, "less than 1%"),
        (0.01, "1%"),
        (0.137, "14%"),
        (0.995, "more than 99%"),
        (1.0, "100%"),
    ],
)
def test_shares_in_words(value, text):
    assert words.share(value) == text


def test_settings_and_listings_in_words():
    assert [words.percent(x) for x in (0.1, 0.005, 0.0025, 0.07)] == ["10%", "0.5%", "0.25%", "7%"]
    assert words.listing("gain", [], "none") == "none"
    assert words.listing("gain", [1.5], "none") == "gain 1.5"
    assert words.listing("gain", [1.0, 1.5], "none") == "gains 1, 1.5"
    assert words.known_of([1.0, NAN, -INF]) == " (known of 2 of 3 networks)"
    assert words.known_of([1.0, -INF]) == ""


@pytest.mark.parametrize("n", [1, 5, 40])
def test_an_interval_ends_where_a_share_would_be_two_errors_off(n):
    solved = np.arange(n + 1)
    low, high = statistics.wilson(solved, n)
    assert low[0] == 0
    assert high[-1] == 1
    for ends, inner in ((low, solved > 0), (high, solved < n)):
        errors = np.sqrt(ends * (1 - ends) / n)
        assert_allclose(np.abs(solved / n - ends)[inner], 1.959964 * errors[inner])
    assert_allclose(low, 1 - high[::-1], atol=1e-12)


@pytest.mark.parametrize("n", [1, 10, 150])
def test_shares_are_told_apart_when_0_lies_outside_their_interval(n):
    """Score intervals squared and added (Newcombe 1998), recomputed; of equal shares, rarely."""
    solved = np.arange(n + 1)
    low, high = statistics.wilson(solved, n)
    found = np.array([[statistics.told_apart(p / n, q / n, n) for q in solved] for p in solved])
    for p, q in np.ndindex(n + 1, n + 1):
        low_end = (p - q) / n - np.hypot(p / n - low[p], high[q] - q / n)
        high_end = (p - q) / n + np.hypot(high[p] - p / n, q / n - low[q])
        assert found[p, q] == (low_end > 0 or high_end < 0), (p, q)
    assert not found.diagonal().any()
    for share in (0.02, 0.3, 0.5, 0.66):
        mass = stats.binom.pmf(solved, n, share)
        assert mass @ found @ mass < 0.06


def test_contours_are_drawn_where_there_is_something_to_draw(ax):
    grid = np.add.outer(np.arange(4.0), np.arange(5.0))
    for shown in (grid * np.nan, grid * 0.0, grid[:1], grid + 100):
        places = np.arange(5), np.arange(len(shown))
        assert figures.contour(ax, *places, shown, levels=[1.0, 2.0]) is None
    drawn = figures.contour(ax, np.arange(5), np.arange(4), grid, levels=[-1.0, 2.0, 50.0])
    assert list(drawn.levels) == [2.0]
