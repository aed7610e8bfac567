"""A comparison says what its numbers say: deviations, what agrees, what is furthest off."""

import math

import numpy as np
import pytest

from analysis.commands.published import ENTRIES
from analysis.published import page
from analysis.published.rows import HEADER, Row, cells, rounded, rounding, sampled, verdict

SOUND = Row("slope", "-6.000", -6.0004, 5e-4, "rounding")
FAR = Row("rate", ".154249", 0.16, 0.001, "standard error", "nats per step")
BARE = Row("share", "", 0.25)


def test_a_deviation_is_ours_minus_theirs():
    assert SOUND.deviation == pytest.approx(-4e-4)
    assert FAR.deviation == pytest.approx(0.16 - 0.154249)
    assert math.isnan(BARE.deviation)


def test_what_agrees_is_within_what_is_allowed():
    assert SOUND.agrees
    assert not FAR.agrees
    assert BARE.agrees is None
    assert Row("bound", "1", 1.0, 0.0).agrees
    assert not Row("unknown", "1", math.nan, 10.0).agrees
    assert Row("of NumPy", "1", 2.0, np.float64(0.5)).agrees is False  # and no bool of NumPy's


def test_a_row_keeps_the_published_digits_and_has_two_more():
    assert cells(SOUND) == ("slope", "-6.000", "-6.00040", "-0.0004", "0.0005", "rounding")
    assert cells(FAR)[1:3] == (".154249 nats per step", "0.16000000 nats per step")
    assert cells(BARE) == ("share", "-", "0.25", "-", "-", "-")
    assert cells(Row("dead", "1", math.nan, 1.0))[2:4] == ("not known", "-")
    assert cells(Row("small", "4e-16", 4.1e-16))[2] == "4.1e-16"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([SOUND, FAR, BARE], "1 of 2 numbers deviate by more than is allowed: rate."),
        ([SOUND, BARE], "The number agrees: it deviates by 80% of what is allowed."),
        (
            [SOUND, SOUND._replace(quantity="other", ours=-6.0001)],
            "All 2 numbers agree; the furthest off, slope, deviates by 80% of what is allowed.",
        ),
        ([SOUND._replace(ours=-6.0)], "The number agrees to the last digit."),
        ([SOUND._replace(ours=-6.0)] * 2, "All 2 numbers agree to the last digit."),
        ([SOUND._replace(ours=math.nan)], "1 of 1 numbers deviate by more than is allowed: slope."),
    ],
)  # fmt: skip
def test_the_verdict_is_borne_out_by_the_rows(rows, words):
    assert verdict(rows) == words


@pytest.mark.parametrize(
    ("published", "half"), [("1.1353", 5e-5), (".64434", 5e-6), ("2", 0.5), ("4e-16", 5e-17)]
)
def test_a_rounded_number_leaves_half_of_its_last_digit_open(published, half):
    assert rounding(published) == pytest.approx(half)
    assert rounded("it", published, float(published) + 0.9 * half).agrees
    assert not rounded("it", published, float(published) + 1.1 * half).agrees


def test_a_sample_agrees_within_four_standard_errors():
    assert sampled("it", "1.00", 1.104, 0.025, "of 3").agrees
    assert not sampled("it", "1.00", 1.106, 0.025, "of 3").agrees
    assert "4 standard errors, of 3" in sampled("it", "1.00", 1.0, 0.025, "of 3").because


def test_without_claims_none_is_made():
    assert "Nothing is claimed" in verdict([BARE])
    assert "Nothing is claimed" in verdict([])


def test_a_page_holds_all_of_it():
    captions = {"slope-against-window": "What $s_0$ does, at s* and -s*."}
    found = page.page(
        ENTRIES[0], claim="Claimed.", missing=["The curves."], rows=[SOUND, BARE],
        captions=captions, settings="length = 400\n", took="Computed in 3 seconds on 2 cores.",
    )  # fmt: skip
    assert found.startswith(f"# {ENTRIES[0].title}\n")
    assert "| " + " | ".join(HEADER) + " |" in found
    assert "| slope | -6.000 | -6.00040 | -0.0004 | 0.0005 | rounding |" in found
    assert "![slope against window](slope-against-window.png)" in found
    assert "- The curves." in found
    assert "length = 400" in found
    assert r"*What $s_0$ does, at s\* and -s\*.*" in found
    assert f"rnnsim reproduce {ENTRIES[0].name}" in found
