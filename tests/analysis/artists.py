"""Artists found by how they look, and what holds for the figures and plots of every analysis."""

import json

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.frame import figures
from analysis.frame.figures.lines import EndName


def labelled(ax):
    """The lines that a legend would name, by label."""
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def only_line(ax, *, style=None, label=None):
    """The one line that has this style, or this label."""
    (found,) = [
        line
        for line in ax.lines
        if style in (None, line.get_linestyle()) and label in (None, line.get_label())
    ]
    return found


def dashed(ax):
    return [line for line in ax.lines if line.get_linestyle() == "--"]


def dotted(ax):
    return [line for line in ax.lines if line.get_linestyle() == ":"]


def thin(ax):
    return [line for line in ax.lines if line.get_linewidth() < 1]


def faint(ax):
    """The lines that others show through."""
    return [line for line in ax.lines if line.get_alpha()]


def marked(ax, marker):
    return [line for line in ax.lines if line.get_marker() == marker]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def titled(ax):
    """The title of a panel, wherever the style puts it."""
    return "".join(ax.get_title(loc=where) for where in ("left", "center", "right"))


def named_at_the_end(ax):
    """The names that stand beside lines, and their colours."""
    return {text.get_text(): text.get_color() for text in ax.texts if isinstance(text, EndName)}


def drawn_with_captions(analysis, datasets, *names):
    """The figures of an analysis, after seeing that these are drawn, each with a caption."""
    with figures.style():
        drawn = analysis.draw(datasets)
        assert tuple(drawn) == names
        for figure in drawn.values():
            assert isinstance(figure, Figure)
            figure.draw_without_rendering()
            assert len(figure.get_supxlabel()) > 60
    return drawn


def check_axes(plot):
    """`plot(ax)` draws on the given Axes; `plot(None)` on new ones."""
    _, ax = figures.new_figure()
    assert plot(ax) is ax
    fresh = plot(None)
    assert isinstance(fresh, Axes)
    assert fresh is not ax


def configured(dataset, **changes):
    """The dataset as other settings would have made it."""
    settings = figures.configuration(dataset) | changes
    return dataset.assign_attrs(configuration=json.dumps(settings))
