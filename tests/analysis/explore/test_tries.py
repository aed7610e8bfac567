"""Things to try are there where the numbers bear them out, and nowhere else."""

import re

import explored
import numpy as np
import pytest

from analysis import explore
from analysis.explore.numbers import Kind, Numbers, Setting
from analysis.explore.tries import tries

VANILLA, SHUT, OPEN = Kind("vanilla", None), Kind("gru", 0.0), Kind("gru", 2.0)


def setting(kind, gain, length, change, sufficient):
    rows = [np.stack([np.linspace(0.0, change, length)] * 3) for _ in range(2)]
    return Setting(kind, gain, length, *rows, sufficient)


def made(seen):
    """Numbers of (change, sufficient window) by kind, gain and length."""
    kinds, gains, lengths = (tuple(dict.fromkeys(each)) for each in zip(*seen, strict=True))
    settings = {at: setting(*at, *values) for at, values in seen.items()}
    return Numbers(kinds, gains, lengths, 0.2, settings, explored.ABOUT)


def textbook():
    return {
        (VANILLA, 0.5, 50): (-10.0, 5.0), (VANILLA, 0.5, 100): (-20.0, 5.0),
        (VANILLA, 2.0, 50): (3.0, 48.0), (VANILLA, 2.0, 100): (6.0, 97.0),
        (SHUT, 0.5, 50): (-12.0, 7.0), (SHUT, 0.5, 100): (-25.0, 8.0),
        (SHUT, 2.0, 50): (-9.0, 10.0), (SHUT, 2.0, 100): (-15.0, 12.0),
        (OPEN, 0.5, 50): (-2.0, 30.0), (OPEN, 0.5, 100): (-4.0, 60.0),
        (OPEN, 2.0, 50): (-1.0, 40.0), (OPEN, 2.0, 100): (-3.0, 70.0),
    }  # fmt: skip


def test_the_textbook_shows_all_three():
    found = tries(made(textbook()))
    assert [each.words for each in found] == [
        "Choose a vanilla network and gain 0.5, and move the length from 50 to 100 steps. To miss "
        "at most 20% takes a window of 5 steps before and of 5 steps after: what vanishes on its "
        "way needs no longer window.",
        "Choose a vanilla network and 100 steps, and move the gain from 0.5 to 2. The gradient "
        "shrinks at first and grows in the end, and the window that it takes to miss at most 20% "
        "goes from 5 to 97 steps: what explodes needs nearly the whole sequence.",
        "Choose a GRU, gain 0.5 and 100 steps, and move the forget bias from 0 to 2. More of the "
        "gradient arrives, and the window that it takes to miss at most 20% goes from 8 to 60 "
        "steps: a gate that is held open lets the past through.",
    ]
    names = [[name for name, _ in each.settings] for each in found]
    assert names == [["50 steps", "100 steps"], ["gain 0.5", "gain 2"],
                     ["forget bias 0", "forget bias 2"]]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "value", "left"),
    [
        ((VANILLA, 0.5, 100), (-20.0, 9.0), ["gain 0.5", "forget bias 0"]),  # a longer window
        ((VANILLA, 0.5, 100), (0.5, 5.0), ["forget bias 0"]),  # it does not vanish
        ((VANILLA, 0.5, 100), (np.nan, np.nan), ["forget bias 0"]),
        ((VANILLA, 2.0, 100), (6.0, 80.0), ["50 steps", "forget bias 0"]),  # a window will do
        ((VANILLA, 2.0, 100), (-1.0, 97.0), ["50 steps", "forget bias 0"]),  # it does not explode
        ((VANILLA, 2.0, 100), (np.nan, np.nan), ["50 steps", "forget bias 0"]),
    ],
)
def test_what_is_not_seen_is_not_said(at, value, left):
    seen = textbook() | {at: value}
    for length in (50, 100):  # of the GRU nothing but its gate
        seen[SHUT, 0.5, length] = (-2.0, length / 2)
        seen[SHUT, 2.0, length] = (-2.0, length / 2)
        seen[OPEN, 0.5, length] = seen[OPEN, 2.0, length] = (-1.0, float(length))
    assert [each.settings[0][0] for each in tries(made(seen))] == left


@pytest.mark.parametrize("open_", [(-25.0, 60.0), (-30.0, 60.0), (-4.0, 15.0), (np.nan, 60.0)])
def test_a_gate_that_lets_nothing_more_through_is_not_praised(open_):
    seen = textbook() | {(OPEN, gain, 100): open_ for gain in (0.5, 2.0)}
    seen[SHUT, 2.0, 100] = (-25.0, 8.0)
    assert [each.settings[0][0] for each in tries(made(seen))] == ["50 steps", "gain 0.5"]


def test_one_value_of_everything_leaves_nothing_to_try():
    assert tries(made({(VANILLA, 1.0, 20): (-3.0, 2.0)})) == []


def test_edges_are_no_trouble():
    for each in tries(explored.at_edges()):
        assert "nan" not in each.words


@pytest.mark.slow
def test_the_usual_settings_show_all_three_in_a_small_file():
    numbers = explore.numbers_of(explore.compute(explore.Settings()))
    found = tries(numbers)
    assert [len(each.settings) for each in found] == [2, 2, 2]
    for each in found:
        for _, seen in each.settings:
            window = f"{seen.sufficient:g}"
            assert re.search(rf"\b{re.escape(window)}\b", each.words)
    assert len(explore.html(numbers, "").encode()) < 2e6
