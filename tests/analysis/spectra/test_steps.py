"""Figures of one step: circles of closed forms, dots and lines from the data, all kinds."""

import numpy as np
import pytest
import xarray as xr
from artists import dashed, drawn_with_captions, labelled
from matplotlib.patches import Circle
from numpy.testing import assert_allclose, assert_array_equal

from analysis.frame import cells
from analysis.spectra import spectra, step_plots, steps

ANALYSED = spectra
TINY = spectra.Settings(
    gain=(0.5, 2.5), spectrum_gain=1.5, length=4, n_hidden=4, network_seeds=3, batch_size=2,
    scheme=("orthogonal", "gaussian"), cell=("lstm", "gru"), forget_bias=(0.0, 1.0), task="adding",
    n_threads=1,
)  # fmt: skip


def of(data, cell, bias=0.0):
    kinds = cells.kinds_of({"steps": data})
    names = [("lstm", 0.0), ("lstm", 1.0), ("gru", 0.0), ("gru", 1.0)]
    return step_plots.of_one_kind(kinds[names.index((cell, bias))].datasets["steps"])


@pytest.mark.parametrize(
    ("cell", "bias", "middle", "radius"),
    [
        ("lstm", 0.0, 0.5, 0.25 * 1.5),
        ("lstm", 1.0, 0.731059, 0.25 * 1.5),
        ("gru", 0.0, 0.5, 0.25 * 1.5),
        ("gru", 1.0, 0.731059, 0.268941 * 0.5 * 1.5),
    ],
)
def test_the_dashed_circle_is_where_eigenvalues_at_rest_lie(data, cell, bias, middle, radius):
    here = of(data, cell, bias)
    ax = step_plots.plot_step(here, scheme="orthogonal", gain=1.5)
    unit, circle = (patch for patch in ax.patches if isinstance(patch, Circle))
    assert unit.radius == 1.0
    assert_allclose([circle.center[0], circle.center[1], circle.radius], [middle, 0, radius], 1e-5)
    dots, circles = (line.get_xdata() + 1j * line.get_ydata() for line in ax.lines)
    place = here.sel(scheme="orthogonal", gain=1.5)
    assert_array_equal(circles, place.rest_eigenvalue.values.ravel())
    assert_array_equal(dots, place.eigenvalue.values.ravel())
    apart = np.abs(circles - middle)  # orthogonal blocks: on the border, or 0
    assert_allclose(np.where(np.abs(circles) < 1e-6, radius, apart), radius, 1e-5)


def test_radii_and_their_theory_against_gain(data):
    here = of(data, "lstm", 1.0)
    ax = step_plots.plot_radius(
        here, "rest_eigenvalue", scheme="orthogonal", index=0,
        ax=step_plots.figures.axes_or_new(None),
    )  # fmt: skip
    keep = 1 / (1 + np.exp(-1.0))
    (line,) = dashed(ax)
    assert_allclose(line.get_ydata(), keep + 0.25 * here.gain.values)
    moduli = np.abs(here.rest_eigenvalue.sel(scheme="orthogonal")).max("value")
    assert_allclose(labelled(ax)["orthogonal"].get_ydata(), moduli.median("network_seed"))
    crossed = step_plots.crossing(here, "orthogonal")
    assert 0.5 < crossed < 1.5  # 1.07577 in closed form, between gains that are far apart


def test_blocks_are_told_apart(data):
    ax = step_plots.plot_blocks(of(data, "gru"), scheme="orthogonal", gain=1.5)
    assert list(labelled(ax)) == ["r", "z", "n"]
    for line in labelled(ax).values():
        assert_allclose(line.get_ydata(), 1.5)
    ax = step_plots.plot_stretch(of(data, "lstm"), scheme="gaussian", gain=1.5)
    here = of(data, "lstm").singular_value.sel(scheme="gaussian", gain=1.5)
    expected = here.median(["network_seed", "sequence"])
    assert_allclose(labelled(ax)["median"].get_ydata(), expected)


def test_no_panel_is_cut_off_where_one_before_it_ends(data):
    later = xr.DataArray([1.0, 3.0], {"scheme": data.scheme.values})
    steep = of(data, "lstm").assign(singular_value=later * of(data, "lstm").singular_value)
    drawn = steps.step_figures({"steps": steep})
    for ax in drawn["step-singular-values"].axes:
        heights = np.concatenate([line.get_ydata() for line in labelled(ax).values()])
        assert ax.get_ylim()[0] == 0
        assert heights.max() < ax.get_ylim()[1]


def test_every_kind_has_its_figures(datasets):
    figures = ("step-eigenvalues", "step-singular-values", "step-radius")
    ends = [f"-{cell}-forget-bias-{bias}" for cell in ("lstm", "gru") for bias in (0, 1)]
    drawn_with_captions(spectra, datasets, *(name + end for end in ends for name in figures))


def test_a_forget_bias_of_networks_without_gates_is_refused():
    with pytest.raises(ValueError, match="`forget_bias` sets the bias of a gate"):
        spectra.compute(spectra.Settings(forget_bias=(1.0,)), progress=False)
