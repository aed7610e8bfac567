"""Words of ranges and numbers: every way in which a curve can cross 0, and dimensions."""

import re

import numpy as np
import pytest
from house_plan import NAMES, SOURCES

from analysis.dynamics import words

GAINS = [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("values", "ranges", "text"),
    [
        ([1, 1, 1, 1, 1], [(-np.inf, np.inf)], "at all of these gains"),
        ([-1, -1, -1, -1, -1], [], "nowhere"),
        ([0, 0, 0, 0, 0], [], "nowhere"),
        ([-1, -1, 1, 1, 1], [(2.5, np.inf)], "from gain 2.50 on"),
        ([3, 1, -1, -1, -1], [(-np.inf, 2.5)], "up to gain 2.50"),
        ([-1, 1, 1, -3, -1], [(1.5, 3.25)], "from gain 1.50 to 3.25"),
        ([-1, 1, -1, -1, 3], [(1.5, 2.5), (4.25, np.inf)],
         "from gain 4.25 on and from gain 1.50 to 2.50"),
        ([1, -1, -1, -1, 1], [(-np.inf, 1.5), (4.5, np.inf)],
         "from gain 4.50 on and up to gain 1.50"),
        ([-1e9, 1, -1e9, -1, -1], [(2.0, 2.0)], "at gain 2.00"),
        ([np.nan, np.nan, 1, 1, 1], [(3.0, np.inf)], "from gain 3.00 on"),
        ([-np.inf, 1, 1, np.nan, np.nan], [(2.0, 3.0)], "from gain 2.00 to 3.00"),
        ([np.nan] * 5, [], "nowhere"),
    ],
)  # fmt: skip
def test_every_way_to_cross_0_is_told_apart(values, ranges, text):
    found = words.ranges_above(GAINS, values)
    np.testing.assert_allclose(found, ranges, atol=1e-8)
    assert words.at_gains(found, none="nowhere", form=".2f") == text
    backwards = words.ranges_above(GAINS[::-1], values[::-1])
    np.testing.assert_allclose(backwards, found)


def test_one_gain_is_all_or_none():
    assert words.ranges_above([2.0], [1.0]) == [(-np.inf, np.inf)]
    assert words.ranges_above([2.0], [-1.0]) == []


@pytest.mark.parametrize(
    ("holds", "text"),
    [
        ([True] * 5, "at all of these gains"),
        ([False] * 5, "at no gain"),
        ([False, False, True, True, True], "from gain 3 on"),
        ([True, True, False, False, False], "up to gain 2"),
        ([True, False, True, False, True], "from gain 5 on and at gain 3 and up to gain 1"),
        ([False, True, True, False, False], "from gain 2 to 3"),
    ],
)
def test_ranges_of_what_holds_end_at_values(holds, text):
    assert words.at_gains(words.ranges_where(GAINS, holds), none="at no gain") == text


@pytest.mark.parametrize(
    ("ends", "between", "short"),
    [
        ((0.0, 1.0, 1.003), "0 to 1, undecided", "0 to 1"),
        ((0.0, 3.0, 12.44), "0 to 12.4, undecided", "0 to 12"),
        ((0.0, 0.0, 1.2), "0 to 1.2, undecided", "0"),
        ((11.9, 12.2, 12.5), "11.9 to 12.5", "12.2"),
        ((12.21, 12.22, 12.23), "12.2", "12.2"),
        ((0.0, 0.0, 0.0), "0", "0"),
        ((np.nan, np.nan, np.nan), "not known", "unknown"),
    ],
)
def test_dimensions_in_words(ends, between, short):
    low, _, high = ends
    assert words.between(low, high) == between
    assert words.dimension(*ends) == short


def test_an_error_that_is_not_known_is_no_number():
    assert words.plus_minus(-0.1054, np.nan) == "-0.105 ± ?"
    assert words.with_error(-0.1054, np.nan) == "-0.105"
    assert words.plus_minus(0.12345, 3e-5) == "+0.12345 ± 0.00003"


def test_what_rounds_to_0_is_not_below_it():
    assert words.with_error(-1e-5, 0.01) == "+0.000 +- 0.010"
    assert words.with_error(-0.3, 12.3) == "+0 +- 12"
    assert words.plus_minus(-1e-5, np.nan) == "+0.000 ± ?"
    assert words.plus_minus(-1e-5, 0.01) == "+0.000 ± 0.010"
    analyses = [path for path in SOURCES if NAMES[path].startswith("analysis/")]
    signed = [path for path in analyses if re.search(r"\+\.\{?[\da-z]", path.read_text("utf-8"))]
    assert not signed  # in place of "+.1f": "+z.1f", which has no -0.0


def test_what_two_errors_and_rounding_tell_from_0():
    values = [0.1, 0.1, -0.1, -0.1, 0.0, 1e-15, -np.inf, np.nan, 0.1, 1e-6, -1e-6]
    errors = [0.04, 0.06, 0.04, 0.06, 0.0, 1e-17, np.nan, 0.1, np.nan, 1e-9, 1e-9]
    told = [1, 0, -1, 0, 0, 0, -1, np.nan, np.nan, 1, -1]
    np.testing.assert_array_equal(words.told_from_0(values, errors, "float64"), told)
    told[-2:] = [0, 0]
    np.testing.assert_array_equal(words.told_from_0(values, errors, "float32"), told)
