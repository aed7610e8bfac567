"""Words in figures: lines that fit and end evenly, symbols as on paper."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.frame import figures
from analysis.frame.figures import texts

WORDS = st.lists(st.text("abcdefghij", min_size=1, max_size=12), min_size=1, max_size=40)


@given(words=WORDS, inches=st.floats(0.3, 8.0))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_lines_fit_and_lose_nothing(words, inches):
    text = " ".join(words)
    lines = figures.wrapped(text, inches, 10).split("\n")
    assert " ".join(lines) == text
    for line in lines:
        assert figures.width_of(line, 10) <= inches * 1.01 or " " not in line


@given(words=WORDS, inches=st.floats(0.5, 8.0))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_lines_are_as_few_as_can_be(words, inches):
    widths = [texts.width_of(word, 10) for word in words]
    space = texts.width_of("a a", 10) - 2 * texts.width_of("a", 10)
    few, used = 1, 0.0
    for width in widths:  # first come first served takes the fewest
        if used and used + space + width > inches:
            few, used = few + 1, width
        else:
            used += width + (space if used else 0.0)
    assert len(figures.wrapped(" ".join(words), inches, 10).split("\n")) == few


def test_no_word_stands_alone():
    text = "Thin: five networks each, thick: their median; means of logs over steps and sequences."
    for inches in (2.0, 2.5, 3.0, 4.0, 5.0):
        lines = figures.wrapped(text, inches, 11).split("\n")
        widths = [figures.width_of(line, 11) for line in lines]
        assert min(widths) > 0.5 * max(widths), lines


def test_formulas_are_not_broken():
    text = r"the norm $\| a + b + c \|$ of it"
    for inches in (0.3, 0.8, 1.5):
        assert r"$\| a + b + c \|$" in figures.wrapped(text, inches, 12)


def test_lines_that_were_meant_stay():
    assert figures.wrapped("one\ntwo", 9.0, 12) == "one\ntwo"


@pytest.mark.parametrize(
    ("raw", "set_"),
    [
        ("W_hh and W_xh", "$W_{hh}$ and $W_{xh}$"),
        ("lambda_1 < 0", r"$\lambda_{1}$ < 0"),
        ("sigma_max(W_hh)", r"$\sigma_{max}$($W_{hh}$)"),
        ("h_t of b_h.", "$h_{t}$ of $b_{h}$."),
        (r"$W_{hh}$ is set", r"$W_{hh}$ is set"),
        ("my_model.pt, W_hh_l0, all_W_hh", "my_model.pt, W_hh_l0, all_W_hh"),
        ("runs/W_hh.npz", "runs/W_hh.npz"),
        ("weight_hh", "weight_hh"),
    ],
)
def test_symbols_are_set_as_on_paper(raw, set_):
    assert figures.symbols(raw) == set_
    assert figures.symbols(set_) == set_


def test_the_width_of_formulas_is_that_of_what_is_drawn():
    with figures.style():
        figure, ax = figures.new_figure()
        for text in ("plain words", r"$\|\partial l_t/\partial h_{t-k}\|$", r"a \$ sign"):
            drawn = ax.text(0, 0, text, fontsize=12)
            figure.draw_without_rendering()
            inches = drawn.get_window_extent().width / figure.dpi
            assert figures.width_of(text, 12) == pytest.approx(inches, rel=0.06)


def test_strange_names_are_letters():
    assert figures.plain("a$b\n") == r"a\$b?"
