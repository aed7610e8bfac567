"""Looks: what flags say, how wide figures become, that type, lines and marks grow together."""

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from analysis.frame import figures
from analysis.frame.looks import CONTEXTS, worn

SCALED = (
    "font.size lines.linewidth lines.markersize axes.titlesize legend.fontsize hatch.linewidth"
).split()


def drawn(rows=1, columns=1, **options):
    figure, axes = figures.new_figure(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.plot([0, 1], [0, 1])
        ax.set(xlabel="lag (steps)", ylabel="norm", title="a title")
    return figure, axes


@pytest.mark.parametrize(
    ("width", "inches"),
    [("89mm", 89 / 25.4), ("183 mm", 183 / 25.4), ("10cm", 10 / 2.54), ("7.2", 7.2), ("5in", 5.0)],
)
def test_widths_are_those_of_the_files(width, inches, tmp_path):
    wanted = figures.Look(format="png,svg,pdf", width=width, context="paper")
    with figures.style(wanted):
        figure, _ = drawn(1, 3)
        figures.caption(figure, "A caption of a few words that may stand in several lines.")
        paths = figures.save(figure, tmp_path, "one")
    assert [path.name for path in paths] == ["one.png", "one.svg", "one.pdf"]
    assert imread(paths[0]).shape[1] == pytest.approx(inches * 400, abs=1)
    svg = re.search(r'width="([\d.]+)pt"', paths[1].read_text(encoding="utf-8"))
    assert float(svg[1]) == pytest.approx(72 * inches, abs=0.1)
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", paths[2].read_bytes())
    assert float(box[1]) == pytest.approx(72 * inches, abs=0.1)


@pytest.mark.parametrize("context", CONTEXTS)
def test_type_lines_and_marks_are_of_one_scale(context):
    with figures.style():
        usual = {name: mpl.rcParams[name] for name in SCALED}
    with figures.style(figures.Look(context=context)):
        scale = {mpl.rcParams[name] / value for name, value in usual.items()}
        scale |= {figures.pt(3.0) / 3.0, figures.theory()["lw"] / 1.6, figures.mark()["lw"] / 2.0}
        assert mpl.rcParams["font.size"] == CONTEXTS[context].points
    assert np.ptp(list(scale)) < 1e-9
    assert min(scale) == pytest.approx(CONTEXTS[context].points / 12)


def test_global_settings_stay():
    before = dict(mpl.rcParams)
    with figures.style(figures.Look(context="talk", width="89mm")):
        assert mpl.rcParams["font.size"] == 18
    assert dict(mpl.rcParams) == before
    assert figures.look() == figures.Look()


def test_a_look_is_worn_by_what_is_drawn_in_it():
    with worn(figures.Look(context="talk")), figures.style():
        assert mpl.rcParams["font.size"] == 18
        with figures.style(figures.Look()):
            assert mpl.rcParams["font.size"] == 12
        assert figures.look().context == "talk"


@pytest.mark.parametrize("context", CONTEXTS)
def test_without_a_width_none_is_wider_than_its_page(context):
    with figures.style(figures.Look(context=context)):
        for columns in (1, 2, 3, 6):
            figure, _ = drawn(1, columns)
            assert figure.get_figwidth() <= CONTEXTS[context].width + 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": "poster"}, "`--context` must be one of paper, notebook, talk, got 'poster'"),
        ({"format": "jpg"}, "`--format` must be png, svg or pdf, .* got 'jpg'"),
        ({"format": "png,"}, "`--format` must be png, svg or pdf, .* got ''"),
        ({"format": ""}, "`--format` must be png"),
        ({"width": "wide"}, "`--width` must be a width such as 89mm, .* got 'wide'"),
        ({"width": "0"}, "`--width` must be"),
        ({"width": "-89mm"}, "`--width` must be"),
        ({"width": "nan"}, "`--width` must be"),
        ({"width": "1e9"}, "`--width` must be"),
        ({"width": "2000mm"}, "`--width` must be .* from 51 mm to 1016 mm"),
    ],
)
def test_what_is_no_look_is_refused(options, message):
    with pytest.raises(ValueError, match=message), figures.style(figures.Look(**options)):
        pass


def test_formats_are_taken_once_each():
    assert figures.Look(format="PDF, png,pdf").formats() == ("pdf", "png")


def test_no_caption_leaves_its_words(tmp_path):
    heights = {}
    for caption in (True, False):
        with figures.style(figures.Look(caption=caption)):
            figure, _ = drawn()
            figures.caption(figure, "What W_hh does. " * 12)
            heights[caption] = figure.get_figheight(), (figures.settle(figure), figure)[1]
        figure = heights[caption][1]
        assert figures.caption_of(figure) == ("What $W_{hh}$ does. " * 12).strip()
        assert (figure.get_figheight() > heights[caption][0]) == caption
        assert any(t.get_visible() for t in [figure._supxlabel]) == caption
