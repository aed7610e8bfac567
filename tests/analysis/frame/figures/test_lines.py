"""Names at the ends of lines: near where they belong, never over each other."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.frame import figures
from analysis.frame.figures.lines import apart

PIECES = st.lists(st.tuples(st.floats(-50, 150), st.floats(1, 20)), min_size=1, max_size=8).map(
    sorted
)


@given(pieces=PIECES)
@settings(max_examples=200, deadline=None, derandomize=True)
@example(pieces=[(0.0, 10.0), (0.0, 10.0), (100.0, 10.0), (100.0, 10.0)])
@example(pieces=[(50.0, 20.0), (50.0, 20.0), (50.0, 20.0), (50.0, 20.0), (50.0, 20.0)])
def test_pieces_keep_their_order_and_do_not_overlap(pieces):
    places, sizes = ([float(x) for x in each] for each in zip(*pieces, strict=True))
    found = apart(places, sizes, 0.0, 100.0)
    for i in range(1, len(found)):
        assert found[i] - found[i - 1] >= (sizes[i] + sizes[i - 1]) / 2 - 1e-6
    if sum(sizes) <= 100:
        assert found[0] - sizes[0] / 2 >= -1e-6
        assert found[-1] + sizes[-1] / 2 <= 100 + 1e-6


def test_pieces_with_room_stay_where_they_are():
    assert apart([10.0, 40.0, 80.0], [10.0, 10.0, 10.0], 0.0, 100.0) == [10.0, 40.0, 80.0]


def test_pieces_that_meet_part_evenly():
    assert apart([50.0, 50.0], [10.0, 10.0], 0.0, 100.0) == [45.0, 55.0]


@pytest.mark.parametrize("context", ["paper", "notebook", "talk"])
def test_names_stand_at_the_ends_of_their_lines(context):
    with figures.style(figures.Look(context=context)):
        figure, ax = figures.new_figure(figsize=(7, 5))
        ends = [0.0, 0.01, 0.02, 1.0]
        for end in ends:
            ax.plot([0, 1, 2], [0.5, 0.5, end], label=f"ends at {end:g}")
        ax.plot([0, 1, 2], [np.nan] * 3, label="nothing known")
        ax.plot([0, 1], [0.3, 0.3])
        names = figures.name_lines(ax)
        assert [name.get_text() for name in names] == [f"ends at {end:g}" for end in ends]
        figure.draw_without_rendering()
        boxes = [name.get_window_extent() for name in names]
        for low, high in pairwise(boxes):
            assert low.y1 <= high.y0 + 1.5
        assert min(box.x0 for box in boxes) >= ax.bbox.x1
        assert max(box.x1 for box in boxes) <= figure.bbox.x1 + 1
        top = ax.transData.transform((0, 1.0))[1]
        assert abs(0.5 * (boxes[-1].y0 + boxes[-1].y1) - top) < boxes[-1].height


def test_names_read_on_white():
    with figures.style():
        _, ax = figures.new_figure()
        for color in figures.shades(4):
            ax.plot([0, 1], [0, 1], color=color, label="x")
        for name in figures.name_lines(ax):
            assert np.dot(name.get_color(), (0.2126, 0.7152, 0.0722)) <= 0.46
