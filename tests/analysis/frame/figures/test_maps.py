"""Maps of what has a sign: symmetric, hatched below 0, also in grey and in the bar."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

from analysis.frame import figures

X, Y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0])
VALUES = np.array([[-3.0, -0.01, 0.0, 2.0], [-np.inf, np.nan, np.inf, -1.0]])


def signed(values=VALUES, **options):
    figure, ax = figures.new_figure(figsize=(6, 4))
    mesh = figures.signed_mesh(ax, X, Y, values, bound=4.0, **options)
    return figure, ax, mesh


def hatched(ax):
    """The area that is hatched, from the corners of its pieces."""
    found = [each for each in ax.get_children() if each.get_gid() == "hatch"]
    return found[0].get_path() if found else None


def lightness(color):
    return float(np.dot(np.asarray(color)[:3], (0.2126, 0.7152, 0.0722)))


def test_both_signs_have_one_scale():
    with figures.style():
        _, _, mesh = signed()
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-4.0, 4.0)
    shown = mesh.get_array()
    np.testing.assert_array_equal(shown[1, [0, 2]], [-4.0, 4.0])
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown))[1, 1]


def test_what_is_below_0_is_hatched_and_nothing_else():
    with figures.style():
        _, ax, _ = signed()
    area = hatched(ax)
    for (row, column), value in np.ndenumerate(VALUES):
        inside = area.contains_point((X[column] + 0.02, Y[row] + 0.02))
        assert inside == (value < -4.0 / 50), (row, column)


def test_how_much_is_hatched_can_be_said():
    with figures.style():
        _, ax, _ = signed(least=2.0)
        assert not hatched(ax).contains_point((3.0, 1.0)), "-1 lies within 2 of 0"
        assert hatched(ax).contains_point((0.02, 0.02))


def test_a_map_without_a_negative_value_has_no_hatching():
    with figures.style():
        _, ax, _ = signed(np.abs(VALUES))
    assert hatched(ax) is None


def test_colours_tell_signs_apart_and_let_numbers_be_read():
    low, middle, high = (figures.SIGNED(x) for x in (0.0, 0.5, 1.0))
    assert low[2] > low[0], "blue below"
    assert high[0] > high[2], "red above"
    assert lightness(middle) > 0.95
    assert min(lightness(low), lightness(high)) > 0.35, "black numbers are read on it"


@pytest.mark.parametrize("width", [None, "80mm"])
def test_the_bar_is_hatched_where_the_map_is(width):
    with figures.style(figures.Look(width=width)):
        figure, ax, mesh = signed()
        bar = figures.colour_bar(figure, mesh, ax, "change (powers of ten)")
        (patch,) = (each for each in bar.ax.patches if each.get_hatch())
        box = patch.get_bbox()
    side = (box.y0, box.y1) if width is None else (box.x0, box.x1)
    assert side == (-4.0, 0.0)
    names = {bar.ax.get_xlabel(), bar.ax.get_ylabel()}
    assert "change (powers of ten)" in names


def test_a_bar_of_what_has_no_sign_is_plain():
    with figures.style():
        figure, ax = figures.new_figure()
        mesh = ax.pcolormesh(X, Y, np.abs(np.nan_to_num(VALUES, posinf=1, neginf=1)))
        bar = figures.colour_bar(figure, mesh, ax, "window (steps)")
    assert not any(each.get_hatch() for each in bar.ax.patches)


def test_sign_survives_grey():
    """Cells of -v and v print alike but for the hatching, which makes one darker."""
    with figures.style():
        figure, ax = figures.new_figure(figsize=(4, 2))
        figures.signed_mesh(ax, [0.0, 1.0], [0.0], [[-3.0, 3.0]], bound=4.0)
        ax.set_axis_off()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        grey = np.asarray(canvas.buffer_rgba())[..., :3] @ (0.2126, 0.7152, 0.0722)
        height, width = grey.shape
        rows = slice(int(0.4 * height), int(0.6 * height))
        left = grey[rows, int(0.2 * width) : int(0.4 * width)]
        right = grey[rows, int(0.6 * width) : int(0.8 * width)]
    assert np.ptp(left) > 60, "lines of the hatching"
    assert np.ptp(right) < 5, "plain"


def test_black_is_told_from_its_ground():
    for position in np.linspace(0, 1, 21):
        assert lightness(figures.SIGNED(position)) - lightness(to_rgb("0.0")) > 0.3
