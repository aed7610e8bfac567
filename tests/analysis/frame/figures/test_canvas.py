"""Panels: how many stand side by side, what they share, which of them names it."""

from itertools import permutations

import pytest

from analysis.frame import figures

PAPER = figures.Look(context="paper", width="89mm")


def physical(axes):
    """Columns and rows as they stand."""
    places = [ax.get_subplotspec() for ax in axes.flat]
    columns = 1 + max(p.colspan.start for p in places)
    return 1 + max(p.rowspan.start for p in places), columns


@pytest.mark.parametrize(
    ("look", "shape", "stand"),
    [
        (figures.Look(), (1, 3), (1, 3)),
        (figures.Look(), (2, 2), (2, 2)),
        (PAPER, (1, 3), (3, 1)),
        (PAPER, (2, 2), (4, 1)),
        (figures.Look(context="paper", width="183mm"), (1, 3), (1, 3)),
        (figures.Look(context="talk"), (1, 3), (2, 2)),
        (figures.Look(context="talk"), (1, 2), (1, 2)),
    ],
)
def test_panels_that_would_be_too_narrow_go_below_each_other(look, shape, stand):
    with figures.style(look):
        _, axes = figures.new_figure(*shape, figsize=(4.2 * shape[1], 4 * shape[0]), squeeze=False)
    assert axes.shape == shape
    assert physical(axes) == stand
    order = [ax.get_subplotspec().num1 for ax in axes.flat]
    assert order == sorted(set(order)), "row by row"


@pytest.mark.parametrize("look", [figures.Look(), PAPER])
@pytest.mark.parametrize("share", ["row", "col", "all", True, False])
def test_axes_are_shared_as_asked_wherever_panels_stand(look, share):
    with figures.style(look):
        _, axes = figures.new_figure(2, 3, sharex=share, sharey=share, squeeze=False)
    together = {
        "row": lambda a, b: a[0] == b[0],
        "col": lambda a, b: a[1] == b[1],
        "all": lambda a, b: True,
        True: lambda a, b: True,
        False: lambda a, b: False,
    }[share]
    for a, b in permutations(range(6), 2):
        one, other = divmod(a, 3), divmod(b, 3)
        for which in "xy":
            group = getattr(axes[one], f"get_shared_{which}_axes")()
            assert group.joined(axes[one], axes[other]) == together(one, other)


def named(axes, which):
    return [bool(getattr(ax, f"get_{which}label")()) for ax in axes.flat]


def with_names(rows, columns, **options):
    figure, axes = figures.new_figure(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.plot([0, 1], [0, 1])
        ax.set(xlabel="lag", ylabel="norm")
    figures.label_outer(figure)
    return axes


def test_inner_panels_leave_names_to_outer_ones():
    with figures.style():
        axes = with_names(2, 2, sharex=True, sharey=True)
        assert named(axes, "x") == [False, False, True, True]
        assert named(axes, "y") == [True, False, True, False]
        axes = with_names(2, 2)
        assert all(named(axes, "x"))
        assert all(named(axes, "y"))


def test_panels_that_moved_keep_the_names_that_nobody_else_has():
    with figures.style(PAPER):
        axes = with_names(1, 3, sharex=True, sharey=True)
        assert named(axes, "x") == [False, False, True]
        assert all(named(axes, "y"))
    with figures.style(figures.Look(context="paper", width="120mm")):
        axes = with_names(1, 3, sharex=True, sharey=True, figsize=(13.0, 4.0))
        assert physical(axes) == (2, 2)
        assert named(axes, "x") == [False, True, True], "nothing stands below the second"
        assert named(axes, "y") == [True, False, True]


def test_different_names_are_all_kept():
    with figures.style():
        figure, axes = figures.new_figure(1, 2, sharey=True, squeeze=False)
        axes[0, 0].set_ylabel("bias")
        axes[0, 1].set_ylabel("variance")
        figures.label_outer(figure)
    assert [ax.get_ylabel() for ax in axes.flat] == ["bias", "variance"]


def test_titles_of_a_grid_stand_where_they_are_needed():
    for look, first, last in ((figures.Look(), "A, x", ""), (PAPER, "A, x", "B, y")):
        with figures.style(look):
            _, axes = figures.new_figure(2, 2, squeeze=False)
            figures.entitle(axes, ["x", "y"], ["A", "B"])
            figures.letter(axes)
        titles = [ax.get_title(loc="left") for ax in axes.flat]
        assert titles[0] == f"(a) {first}"
        assert titles[3] == f"(d) {last}".rstrip()


def test_a_legend_has_as_many_columns_as_there_is_room_for():
    names = [f"a rather long name of line {i}" for i in range(5)]
    for look in (figures.Look(), PAPER, figures.Look(context="talk")):
        with figures.style(look):
            figure, ax = figures.new_figure(figsize=(9, 4))
            lines = [ax.plot([0, 1], [i, i], label=name)[0] for i, name in enumerate(names)]
            legend = figures.legend_above(figure, lines)
            figure.draw_without_rendering()
            box = legend.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1
            assert [text.get_text() for text in legend.get_texts()] == names
