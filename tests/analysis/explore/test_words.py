"""The sentence of a setting: every number in it is that of the dataset, at the edges too."""

import re

import explored
import numpy as np
import pytest

from analysis.explore import words

SAID = {
    "not known": (
        "how the gradient changes on its way back over 11 steps is not known.",
        "What a window of 4 of 12 steps misses of the gradient is not known; no shorter window is "
        "known to miss at most 2.5%.",
    ),
    "dead": (
        "nothing of the gradient is left 1 step back: it is exactly 0.",
        "A window of 4 of 12 steps misses nothing of the gradient that rounding does not hide; to "
        "miss at most 2.5% takes a window of 1 step.",
    ),
    "keeps": (
        "on its way back over 11 steps the gradient keeps its size.",
        "A window of 4 of 12 steps misses 10% of the gradient; to miss at most 2.5% takes a window "
        "of 9 steps.",
    ),
    "nearly keeps": (
        "on its way back over 11 steps the gradient keeps its size.",
        "A window of 4 of 12 steps misses 10% of the gradient; to miss at most 2.5% takes a window "
        "of 9.5 steps.",
    ),
    "shrinks": (
        "on its way back over 11 steps the gradient shrinks to 95% of its size, by less than 0.5% "
        "per step.",
        "A window of 4 of 12 steps misses 38% of the gradient; to miss at most 2.5% takes a window "
        "of 10 steps.",
    ),
    "shrinks a little": (
        "on its way back over 11 steps the gradient shrinks to 1% of its size, by a factor of 0.66 "
        "per step.",
        "A window of 4 of 12 steps misses more than 99% of the gradient; to miss at most 2.5% "
        "takes the whole sequence.",
    ),
    "shrinks much": (
        "on its way back over 11 steps the gradient shrinks to about 10⁻² of its size, by a factor "
        "of 0.59 per step.",
        "A window of 4 of 12 steps misses less than 0.1% of the gradient; to miss at most 2.5% "
        "takes a window of 2 steps.",
    ),
    "shrinks very much": (
        "on its way back over 11 steps the gradient shrinks to about 10⁻⁶⁰ of its size, by a "
        "factor of less than 0.01 per step.",
        "A window of 4 of 12 steps misses 0.1% of the gradient; to miss at most 2.5% takes a "
        "window of 2 steps.",
    ),
    "grows": (
        "on its way back over 11 steps the gradient grows to 1.0 times its size, by less than 0.5% "
        "per step.",
        "A window of 4 of 12 steps is off by 100% of the gradient, no better than no update; to "
        "miss at most 2.5% takes a window of 11 steps.",
    ),
    "grows more": (
        "on its way back over 11 steps the gradient grows to 10 times its size, by a factor of "
        "1.23 per step.",
        "A window of 4 of 12 steps is off by 140% of the gradient, no better than no update; to "
        "miss at most 2.5% takes the whole sequence.",
    ),
    "grows to a thousand": (
        "on its way back over 11 steps the gradient grows to about 10³ times its size, by a factor "
        "of 1.87 per step.",
        "A window of 4 of 12 steps is off by about 10³ times the gradient, no better than no "
        "update; to miss at most 2.5% takes the whole sequence.",
    ),
    "grows much": (
        "on its way back over 11 steps the gradient grows to about 10¹³ times its size, by a "
        "factor of 13.69 per step.",
        "A window of 4 of 12 steps is off by about 10⁸ times the gradient, no better than no "
        "update; to miss at most 2.5% takes the whole sequence.",
    ),
    "grows beyond all": (
        "on its way back over 11 steps the gradient grows to about 10⁴⁰⁰ times its size, by a "
        "factor of about 10³⁶ per step.",
        "A window of 4 of 12 steps is off by about 10³⁵⁰ times the gradient, no better than no "
        "update; to miss at most 2.5% takes the whole sequence.",
    ),
}


@pytest.mark.parametrize("name", explored.EDGES)
def test_edges_are_said_as_they_are(name):
    told = words.sentences(explored.edge(name), 4, 0.025)
    assert told == [f"Vanilla network, gain 1: {SAID[name][0]}", SAID[name][1]]


@pytest.mark.parametrize("window", [12, 13, 200])
def test_a_window_of_the_whole_sequence_is_exact(window):
    for name in explored.EDGES:
        told = words.sentences(explored.edge(name), window, 0.1)[1]
        start = f"A window of {window} steps spans the whole sequence, and its gradient is exact; "
        assert told.startswith(start)


def test_one_step_has_no_way_back():
    told = words.sentences(explored.one_step(explored.OPEN, 0.5), 1, 0.1)
    assert told == [
        "LSTM with forget bias 3, gain 0.5: with one step there is no way back.",
        "A window of 1 step spans the whole sequence, and its gradient is exact; to miss at most "
        "10% takes the whole sequence.",
    ]


def digits(text):
    return int(text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))


def read(pattern, text):
    found = re.search(pattern, text)
    return found and found[1]


@pytest.mark.parametrize("kind", explored.KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("window", [1, 3, 7, 29])
def test_every_number_is_that_of_the_dataset(kind, window):
    """What is said, read back and held against medians of the dataset itself."""
    data, found = explored.dataset().squeeze(drop=True), explored.numbers()
    read_back = 0
    for gain in found.gains:
        bias = kind.forget_bias or 0.0
        here = data.sel(cell=kind.cell, forget_bias=bias, gain=gain, length=30)
        first, second = words.sentences(found.at(kind, gain, 30), window, 0.1)
        assert first.startswith(f"{kind.name}, gain {gain:g}: ")
        with np.errstate(invalid="ignore"):
            logs = (here.log_norm - here.log_norm.sel(lag=0)).transpose("lag", ...).values
        change = np.sort(logs[29])[1]
        if share := read(r"shrinks to (\d+)% of its size", first):
            assert 100 * np.exp(change) == pytest.approx(int(share), abs=0.5 + 0.02)
        elif power := read(r"about 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", first):
            assert change / np.log(10) == pytest.approx(digits(power), abs=0.5 + 1e-4)
        elif times := read(r"grows to ([\d.]+) times", first):
            assert np.exp(change) == pytest.approx(float(times), rel=0.06)
        else:
            assert "nothing of the gradient is left 1 step back" in first
            assert (logs[1] == -np.inf).all()
        if factor := read(r"by a factor of ([\d.]+) per step", first):
            assert np.exp(change / 29) == pytest.approx(float(factor), abs=0.005 + 1e-4)
            read_back += 1
        errors = np.sort(np.exp(here.truncation_log_error.sel(window=window).values))
        if share := read(r"(?:misses|off by) ([\d.]+)% of the gradient", second):
            unit = 0.1 if "." in share else 1
            assert 100 * errors[1] == pytest.approx(
                float(share), abs=0.5 * unit + 2e-4 * 100 * errors[1]
            )
            read_back += 1
        assert ("no better than no update" in second) == (round(np.log10(errors[1]), 4) >= 0)
        needed = np.sort(here.sufficient_window.values)[1]
        takes = read(r"takes a window of (\d+) step", second)
        assert int(takes or 30) == needed
    assert read_back >= 2
