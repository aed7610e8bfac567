"""Figures in a page: light, in its colours, their points where they are drawn."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import reports
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.collections import QuadMesh

from analysis.frame import figures
from analysis.frame.report import Curve, Picture, Table, html
from analysis.frame.report.colours import on_dark
from analysis.frame.report.drawing import drawn
from analysis.frame.report.thinning import MOST, kept, light

NOTHING = Table("t", ("a",), ())


def pictured(figure, *curves):
    return Picture("name", "Title", "Words.", figure, curves, NOTHING)


def paths(drawing):
    """The corners of every path that is a line."""
    found = []
    for path in ElementTree.fromstring(drawing.svg).iter("path"):
        if "clip-path" in path.attrib:
            numbers = re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])
            found.append(np.array(numbers, dtype=float))
    return found


@given(st.integers(3, 4000), st.integers(12, 300), st.integers(0, 2**32 - 1), st.floats(0.0, 0.5))
def test_points_that_stay_look_like_all_of_them(n, most, seed, share):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, n)).cumsum(axis=1)
    y[rng.random(n) < share] = np.nan
    indices = kept(x, y, most)
    assert len(indices) <= most
    assert (np.diff(indices) > 0).all()
    assert indices[0] == 0
    assert indices[-1] == n - 1
    for values in (x, y):
        shown = values[indices]
        assert np.nanmin(shown) == np.nanmin(values)
        assert np.nanmax(shown) == np.nanmax(values)
    # Gaps stay gaps: a run of known values is never joined to the next but one.
    assert np.isnan(y).any() == np.isnan(y[indices]).any()


def test_points_that_are_few_all_stay():
    assert list(kept(np.zeros(7), np.arange(7.0), 7)) == list(range(7))


def test_a_peak_of_one_point_in_a_million_stays():
    y = np.zeros(1_000_000)
    y[123_456] = 1.0
    assert 123_456 in kept(np.arange(1_000_000.0), y)


def test_lines_are_thinned_for_the_time_of_drawing():
    n = 30_001
    figure, ax = figures.new_figure()
    (line,) = ax.plot(np.arange(n), np.sin(np.arange(n)), marker="o", markevery=(7, 10_000))
    (short,) = ax.plot(np.arange(9), marker="o", markevery=2)
    with light(figure):
        x = line.get_xdata()
        assert len(x) <= MOST
        assert np.abs(x[line.get_markevery()] - [7, 10_007, 20_007]).max() <= n / MOST * 5
        assert (len(short.get_xdata()), short.get_markevery()) == (9, 2)
    assert len(line.get_xdata()) == n
    assert line.get_markevery() == (7, 10_000)


@pytest.mark.parametrize(
    ("every", "marked"),
    [(None, MOST), (15_000, 3), (slice(0, None, 15_000), 3), ([0, 15_000], 2), (0.5, None)],
)
def test_marks_of_thinned_lines_stay_as_many(every, marked):
    figure, ax = figures.new_figure()
    (line,) = ax.plot(np.arange(30_001.0), marker="o", markevery=every)
    with light(figure):
        found = line.get_markevery()
        assert found == every if marked in (None, MOST) else len(found) == marked
    assert line.get_markevery() == every


def test_no_path_of_a_page_has_more_points_and_maps_are_images():
    figure, ax = figures.new_figure()
    ax.plot(np.random.default_rng(0).random(100_000))
    page = html(reports.report([reports.mapped(), pictured(figure)]))
    longest = max(len(re.findall("[ML]", d)) for d in re.findall(r' d="([^"]*)"', page))
    assert 1000 < longest <= MOST
    assert page.count("data:image/png;base64") == 2  # the map and its colour bar


def test_crowds_of_marks_are_images():
    figure, ax = figures.new_figure()
    ax.scatter(*np.random.default_rng(0).random((2, 3000)))
    crowd = drawn(pictured(figure)).svg
    assert "<image" in crowd
    assert crowd.count("<use") < 100
    assert not ax.collections[0].get_rasterized()


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_points_of_curves_are_where_matplotlib_draws_them(scale):
    with figures.style():
        figure, (ax, other) = figures.new_figure(1, 2)
        x, y = np.arange(1, 60), np.exp(np.sin(np.arange(1, 60)) * 3)
        ax.plot(x, y)
        ax.set(yscale=scale, xscale=scale)
        ax.grid(False)
        other.plot([3.0, 1.0], [0.2, 0.4])
        other.grid(False)
    texts = [str(each) for each in x]
    curves = [Curve(ax, "a", x, y, texts), Curve(other, "b", [3.0, 1.0], [0.2, 0.4], ["p", "q"])]
    drawing = drawn(pictured(figure, *curves))
    assert len(drawing.points) == 2
    for points, path in zip(drawing.points, paths(drawing), strict=True):
        placed = np.column_stack([points["x"], points["y"]])
        if len(path) < len(placed):  # matplotlib leaves out what lies on a straight line
            placed = placed[[np.abs(placed - each).sum(axis=1).argmin() for each in path]]
        assert np.abs(placed - path).max() < 0.15
    assert drawing.points[0]["texts"] == texts
    assert (drawing.width, drawing.height) == pytest.approx(72 * figure.get_size_inches())
    left, top, right, bottom = drawing.points[0]["box"]
    assert 0 < left < right < drawing.points[1]["box"][0]
    assert 0 < top < bottom < drawing.height


def test_of_a_long_curve_at_most_500_points_say_their_values():
    x = np.arange(20_000.0)
    y = np.sin(x)
    y[777] = 9.0
    figure, ax = figures.new_figure()
    ax.plot(x, y)
    (points,) = drawn(pictured(figure, Curve(ax, "c", x, y, [str(each) for each in y]))).points
    assert 300 < len(points["x"]) == len(points["y"]) == len(points["texts"]) <= 500
    assert "9.0" in points["texts"]  # no peak is lost


def test_points_out_of_view_say_nothing():
    figure, ax = figures.new_figure()
    ax.set(xlim=(0, 2), ylim=(0.1, 10), yscale="log")
    x = np.array([0.0, 1.0, 1.0, 1.0, np.nan, 3.0, 2.0])
    y = np.array([1.0, 0.0, -1.0, np.inf, 1.0, 1.0, 10.0])
    (points,) = drawn(pictured(figure, Curve(ax, "c", x, y, list("abcdefg")))).points
    assert points["texts"] == ["a", "g"]
    none = Curve(ax, "none", x[1:4], y[1:4], list("bcd"))
    assert drawn(pictured(figure, none, Curve(ax, "empty", [], [], []))).points == []


def test_things_on_a_map_keep_their_colours_and_others_take_those_of_the_page():
    drawing = drawn(reports.mapped())
    root = ElementTree.fromstring(drawing.svg)
    styles = {text.text: text.get("style") for text in root.iter("text")}
    assert "#ffffff" in styles["on the map"]
    dashed = [p.get("style") for p in root.iter("path") if "stroke-dasharray" in p.get("style", "")]
    assert dashed
    assert all("stroke: #000000" in style for style in dashed)
    # Ticks, labels and spines are around the map.
    around = [each.get("style", "") for each in root.iter("use")]
    assert around
    assert all("#" not in style and "var(--c-000000)" in style for style in around)
    assert {"000000", "ffffff", "b0b0b0"} <= drawing.colours


def test_hatched_areas_take_the_colours_of_the_page():
    with figures.style():
        figure, ax = figures.new_figure()
        ax.bar([0], [1], color="#e69f00", hatch="//", edgecolor="#123456")
    drawing = drawn(pictured(figure))
    assert {"e69f00", "123456"} <= drawing.colours
    assert not re.search("(?<!--c-)(e69f00|123456)", drawing.svg)


def test_black_that_matplotlib_does_not_name_is_that_of_the_map():
    with figures.style():
        figure, ax = figures.new_figure()
        ax.imshow(np.eye(3))
        ax.text(1, 1, "black")
    (text,) = (
        e for e in ElementTree.fromstring(drawn(pictured(figure)).svg).iter() if e.text == "black"
    )
    assert "fill" not in text.get("style")
    root = ElementTree.fromstring(drawn(pictured(figure)).svg)
    holders = [g for g in root.iter("g") if text.text in {e.text for e in g.iter()}]
    assert any(g.get("style") == "fill: #000000" for g in holders)


def test_marks_on_a_map_and_beside_it_are_of_one_colour_each():
    """A mark is defined once; each of its uses has its own colour."""
    with figures.style():
        figure, (ax, other) = figures.new_figure(1, 2)
        ax.imshow(np.eye(3))
        ax.plot([1], [1], "ko")
        other.plot([1], [1], "ko")
    root = ElementTree.fromstring(drawn(pictured(figure)).svg)
    uses = [
        use.get("style") for use in root.iter("use") if "stroke-width: 0.8" not in use.get("style")
    ]
    assert [("#000000" in style, "var(--c-000000)" in style) for style in uses] == [
        (True, False), (False, True)
    ]  # fmt: skip
    assert not any("style" in path.attrib for path in root.iter("path") if "id" in path.attrib)


def luminance(colour):
    shown = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, two):
    """Of the accessibility guidelines (WCAG): 1 to 21."""
    low, high = sorted(map(luminance, (one, two)))
    return (high + 0.05) / (low + 0.05)


def test_a_white_figure_is_the_dark_page_and_black_its_ink():
    page = html(reports.report([]))
    papers = re.findall(r"--paper: (#\w+)", page)
    assert papers == ["#ffffff", on_dark("#ffffff")]
    assert contrast(on_dark("#000000"), papers[1]) > 12


@pytest.mark.parametrize("colour", "0072b2 e69f00 009e73 d55e00 56b4e9 cc79a7 000000".split())
def test_colours_of_lines_stand_out_from_a_dark_page(colour):
    assert contrast(on_dark(f"#{colour}"), on_dark("#ffffff")) > 3


def test_shades_stand_out_and_keep_their_order():
    """Those of ordered lines, dark to light on white: on a dark page light to dark."""
    shades = [
        on_dark("#" + "".join(f"{round(255 * c):02x}" for c in s[:3])) for s in figures.shades(9)
    ]
    light_to_dark = list(map(luminance, shades))
    assert light_to_dark == sorted(light_to_dark, reverse=True)
    assert min(contrast(shade, on_dark("#ffffff")) for shade in shades) > 3


@given(st.integers(0, 255), st.integers(0, 255))
def test_greys_stay_grey_and_turn_their_order_round(one, two):
    assume(abs(one - two) > 3)
    turned = [on_dark(f"#{grey:02x}{grey:02x}{grey:02x}") for grey in (one, two)]
    assert all(len({t[1:3], t[3:5], t[5:7]}) == 1 for t in turned)
    assert (luminance(turned[0]) > luminance(turned[1])) == (one < two)


@given(st.text("0123456789abcdef", min_size=6, max_size=6))
def test_every_colour_has_another(colour):
    assert re.fullmatch("#[0-9a-f]{6}", on_dark(f"#{colour}"))


def test_a_figure_is_left_as_it_was():
    picture = reports.mapped()
    ax = picture.figure.axes[0]
    before = [
        (type(a), a.get_gid(), a.get_rasterized(), a.get_visible()) for a in ax.get_children()
    ]
    data = [line.get_xydata().copy() for line in ax.lines]
    drawn(picture)
    after = [(type(a), a.get_gid(), a.get_rasterized(), a.get_visible()) for a in ax.get_children()]
    assert before == after
    assert all((line.get_xydata() == xy).all() for line, xy in zip(ax.lines, data, strict=True))
    assert any(isinstance(each, QuadMesh) for each in ax.collections)
