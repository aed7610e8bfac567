"""The sliders of a notebook: the same numbers and words, without a browser."""

import sys

import explored
import numpy as np
import pytest
from artists import titled
from matplotlib.figure import Figure

from analysis import explore
from analysis.explore import plots, widgets, words


def parts(box):
    *controls, sentence, picture = box.children
    return {each.description.lower(): each for each in controls}, sentence, picture


def test_it_begins_where_the_page_does():
    numbers = explored.numbers()
    controls, sentence, picture = parts(explore.widget(numbers))
    kind, gain, length, window = numbers.start
    assert [controls[name].value for name in ("network", "gain", "length", "window")] == [
        kind, gain, length, window,
    ]  # fmt: skip
    told = words.sentences(numbers.at(kind, gain, length), window, numbers.tolerance)
    assert sentence.value == f"<p>{told[0]}</p><p>{told[1]}</p>"
    assert bytes(picture.value).startswith(b"\x89PNG")
    assert picture.alt == " ".join(told)


def test_sliders_move_the_sentence_and_the_picture():
    numbers = explored.numbers()
    controls, sentence, picture = parts(explore.widget(explored.dataset()))
    seen = {bytes(picture.value)}
    for name, value in (
        ("network", numbers.kinds[2]), ("gain", 3.0), ("length", 30), ("window", 9),
    ):  # fmt: skip
        controls[name].value = value
        seen.add(bytes(picture.value))
    assert len(seen) == 5
    told = words.sentences(numbers.at(numbers.kinds[2], 3.0, 30), 9, numbers.tolerance)
    assert sentence.value == f"<p>{told[0]}</p><p>{told[1]}</p>"


def test_every_edge_is_drawn():
    numbers = explored.at_edges()
    for name, gain in zip(explored.EDGES, numbers.gains, strict=True):
        figure = widgets.pictures(numbers, numbers.at(explored.VANILLA, gain, explored.T), 4)
        figure.draw_without_rendering()
        title = titled(figure.axes[1])
        assert title == f"window 4: {words.missed(explored.edge(name).error_at(4))}", name


def test_one_step_is_drawn():
    numbers = explored.at_edges()
    figure = widgets.pictures(numbers, numbers.at(explored.OPEN, 0.25, 1), 1)
    figure.draw_without_rendering()
    (line,) = (each for each in figure.axes[0].lines if each.get_marker() == ".")
    assert line.get_xydata().tolist() == [[0.0, 0.0]]


def test_lines_are_the_medians_and_the_mark_is_at_the_window(ax):
    numbers = explored.numbers()
    setting = numbers.at(numbers.kinds[0], 1.0, 30)
    plots.plot_norm(setting, 5, decades=numbers.decades, ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), setting.norm[0])
    ax = plots.plot_error(setting, 5, top=numbers.largest_error, ax=Figure().subplots())
    np.testing.assert_allclose(ax.lines[0].get_ydata()[:-1], 10 ** setting.error[0][:-1])
    assert ax.lines[0].get_ydata()[-1] == 0
    (mark,) = ax.lines[2].get_xydata()
    assert mark.tolist() == [5, min(10 ** setting.error_at(5), numbers.largest_error)]
    assert ax.get_xlabel() == "window (steps)"


def test_the_phase_picture_holds_every_change_and_tells_signs_apart_without_colour():
    numbers = explored.at_edges()
    setting = numbers.at(explored.VANILLA, 0.0, explored.T)
    ax = plots.plot_phase(numbers, setting)
    shown = [text.get_text() for text in ax.texts]
    assert shown == [
        plots.exponent(numbers.at(explored.VANILLA, gain, length).change)
        for gain in numbers.gains
        for length in numbers.lengths
    ]
    assert {"?", "−∞", "0", "−60", "+13", "+400"} <= set(shown)
    *cells, frame = ax.patches
    for words_, cell in zip(shown, cells, strict=True):
        assert (cell.get_hatch() is not None) == words_.startswith("−")
    assert frame.get_xy() == (-0.5, 0.5)


@pytest.mark.parametrize("plot", ["plot_norm", "plot_error"])
def test_no_line_is_dashed(plot):
    scale = {"plot_norm": {"decades": 6.0}, "plot_error": {"top": 1.0}}[plot]
    ax = getattr(plots, plot)(explored.edge("shrinks"), 4, **scale)
    dotted = [line for line in ax.lines if line.get_gid() == "mark"]
    assert {line.get_linestyle() for line in ax.lines} <= {"-", "None", ":"}
    assert [line for line in ax.lines if line.get_linestyle() == ":"] == dotted


def test_without_ipywidgets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"pip install 'rnnsim-toolkit\[notebooks\]'"):
        explore.widget(explored.numbers())
