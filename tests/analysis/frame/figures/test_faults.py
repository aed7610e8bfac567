"""The finder of faults: a sound figure has none, and each fault in it is found."""

import faults
import numpy as np
import pytest
from matplotlib.patches import Circle

from analysis.frame import figures


def sound():
    """Two panels and a map, with all that a figure may have."""
    figure, axes = figures.new_figure(1, 3, figsize=(13, 4.4))
    x = np.linspace(0, 10, 40)
    for ax in axes[:2]:
        for i, color in enumerate(figures.shades(3)):
            ax.plot(x, (i - 1) * x, color=color, label=f"gain {i:g}")
        ax.plot(x, 0.5 * x, **figures.theory())
        ax.axvline(5, **figures.mark())
        ax.set(xlabel="lag (steps)", ylabel="norm", title="a title")
        figures.name_lines(ax)
    values = np.linspace(-2, 2, 30).reshape(5, 6)
    mesh = figures.signed_mesh(axes[2], np.arange(6), np.arange(5), values, bound=2.0)
    axes[2].set(xlabel="step", ylabel="lag (steps)")
    figures.colour_bar(figure, mesh, axes[2], "change (powers of ten)")
    figures.caption(figure, "What is shown, and what to see in it, of W_hh.")
    return figure, axes, mesh


@pytest.mark.parametrize("name", faults.LOOKS)
def test_a_sound_figure_has_none(name):
    with figures.style(faults.LOOKS[name]):
        assert faults.faults(sound()[0]) == []


def spoiled(spoil):
    with figures.style():
        figure, axes, mesh = sound()
        spoil(figure, axes, mesh)
        return faults.faults(figure)


def _dash_a_measurement(figure, axes, mesh):
    axes[0].lines[0].set_linestyle("--")


def _dash_dots(figure, axes, mesh):
    axes[0].lines[0].set_linestyle("-.")


def _solid_theory(figure, axes, mesh):
    axes[0].lines[3].set_linestyle("-")


def _dashed_circle(figure, axes, mesh):
    axes[0].add_patch(Circle((5, 0), 1, fill=False, ls="--"))


def _dashed_contour(figure, axes, mesh):
    axes[2].contour(np.arange(6), np.arange(5), np.random.default_rng(0).random((5, 6)),
                    levels=[0.5], linestyles="--")  # fmt: skip


def _many_lines(figure, axes, mesh):
    for i in range(3):
        axes[1].plot([0, 5, 10], [i, 2 * i, 5 * i], label=f"another {i}")


def _asymmetric(figure, axes, mesh):
    mesh.set_clim(-2, 1)


def _without_hatching(figure, axes, mesh):
    for each in axes[2].get_children():
        if each.get_gid() == "hatch":
            each.remove()


def _another_map(figure, axes, mesh):
    mesh.set_cmap("RdBu_r")


def _bare_bar(figure, axes, mesh):
    bar = next(ax for ax in figure.axes if ax.get_label() == "<colorbar>")
    bar.set(xlabel="", ylabel="")


SPOILED = {
    "no name of the x axis": lambda f, a, m: a[0].set_xlabel(""),
    "no name of the y axis": lambda f, a, m: a[1].set_ylabel(""),
    "no name of the colour bar": _bare_bar,
    "over each other": lambda f, a, m: [a[0].text(1, 8, "one"), a[0].text(1.1, 8.2, "two")],
    "outside the canvas": lambda f, a, m: a[0].text(-8, 0, "far away").set_in_layout(False),
    "small": lambda f, a, m: a[0].set_title("tiny", fontsize=5),
    "raw symbol": lambda f, a, m: a[0].set_title("W_hh"),
    "one of several": lambda f, a, m: a[0].set_title("1 networks"),
    "minus nothing": lambda f, a, m: a[0].set_title("a change of -0.0"),
    "a line through 'struck'": lambda f, a, m: a[0].text(4, -4, "struck", va="center"),
    "a line through a legend": lambda f, a, m: a[0].legend(loc="center"),
    "marks under 'over marks'": lambda f, a, m: [
        a[0].scatter([2.5], [-8]), a[0].text(2, -8, "over marks", va="center")
    ],
    "a line '--' that is measured": _dash_a_measurement,
    "a line '-.' that is measured": _dash_dots,
    "a line '-' that is theory": _solid_theory,
    "a line '--' that is measured in panel 0 0": _dashed_circle,
    "a line '--' that is measured in panel 0 2": _dashed_contour,
    "6 lines": _many_lines,
    "a signed map from -2 to 1": _asymmetric,
    "a signed map that grey takes the sign of": _without_hatching,
    "a signed map in RdBu_r": _another_map,
}  # fmt: skip


@pytest.mark.parametrize("fault", SPOILED)
def test_each_fault_is_found(fault):
    found = spoiled(SPOILED[fault])
    assert any(fault in each for each in found), found


def test_what_is_meant_is_no_fault():
    def spoil(figure, axes, mesh):
        axes[0].set_title("gain -0.05: 27.1 steps, 11 networks, -0.02")
        axes[0].text(0.5, -9, "in the clear")

    assert spoiled(spoil) == []


def test_panels_that_are_too_narrow_are_found():
    with figures.style(figures.Look(width="100mm")):
        figure, axes = figures.new_figure(1, 3, figsize=(3, 3))
        for ax in axes:
            ax.set(xlabel="x", ylabel="y")
        assert any(each.startswith("narrow") for each in faults.faults(figure))
