"""Figures of non-normality: artists, theory beside measurement, words from data."""

from dataclasses import replace

import numpy as np
import pytest
from artists import check_axes, dashed, drawn_with_captions, labelled, texts, thin
from matplotlib.patches import Circle
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

from analysis.frame import figures
from analysis.spectra import nonnormal, nonnormal_plots
from rnnsim.networks.rnn import ACTIVATIONS

ANALYSED = nonnormal
SCALES = (0.0, 1.0, 3.0)
TINY = nonnormal.Settings(
    scale=SCALES,
    plane_scale=(0.0, 2.0),
    radius=0.8,
    length=15,
    n_points=9,
    n_hidden=6,
    network_seeds=2,
    batch_size=2,
    n_threads=1,
)


@pytest.fixture(scope="module")
def data(datasets):
    return datasets["transients"]


def test_pseudospectrum_shows_eigenvalues_the_unit_circle_and_the_values(datasets):
    plane = datasets["pseudospectra"]
    ax = nonnormal_plots.plot_pseudospectrum(plane, scale=2.0)
    (line,) = ax.lines
    values = plane.eigenvalues.sel(scale=2.0).values
    assert_array_equal(line.get_xdata() + 1j * line.get_ydata(), values)
    (circle,) = (patch for patch in ax.patches if isinstance(patch, Circle))
    assert circle.radius == 1.0
    shades = ax.collections[0].get_array()
    expected = plane.log_sigma_min.sel(scale=2.0).transpose("im", "re").values / np.log(10)
    assert_allclose(shades, expected)
    assert ax.get_aspect() == 1.0


def test_contours_lie_where_sigma_min_is_a_tenth(datasets):
    plane = datasets["pseudospectra"].copy(deep=True)
    distance = np.log(np.hypot(plane.re, plane.im).where(lambda r: r > 0, 1e-3))
    plane["log_sigma_min"] = distance.broadcast_like(plane.log_sigma_min) + np.log(0.1)
    ax = nonnormal_plots.plot_pseudospectrum(plane, scale=0.0)
    paths = [c.get_paths()[0].vertices for c in ax.collections[1:]]
    radii = [np.hypot(*path.T) for path in paths]
    # sigma_min = 0.1 |z|: 0.1 at radius 1, up to the coarse grid; 0.01 at radius 0.1
    assert any(np.allclose(each, 1.0, atol=0.1) for each in radii)
    assert any(each.max() < 0.35 for each in radii)


def test_shades_are_the_same_for_all_scales_and_end_at_whole_decades(datasets):
    plane = datasets["pseudospectra"]
    norm = nonnormal_plots.plane_norm(plane)
    assert norm.vmax == 1
    assert norm.vmin == int(norm.vmin) <= -2
    for scale in plane.scale.values:
        mesh = nonnormal_plots.plot_pseudospectrum(plane, scale=scale).collections[0]
        assert (mesh.norm.vmin, mesh.norm.vmax) == (norm.vmin, norm.vmax)


@pytest.mark.parametrize("lost", [-np.inf, np.nan])
def test_an_eigenvalue_on_the_grid_is_drawn_darkest(datasets, lost):
    plane = datasets["pseudospectra"].copy(deep=True)
    plane.log_sigma_min.loc[{"scale": 0.0}] = lost
    mesh = nonnormal_plots.plot_pseudospectrum(plane, scale=0.0).collections[0]
    assert_array_equal(mesh.get_array(), mesh.norm.vmin)


@pytest.mark.parametrize(
    ("plot", "variable"),
    [
        (lambda d, ax=None: nonnormal_plots.plot_powers(d, ax=ax), "log_power_norm"),
        (
            lambda d, ax=None: nonnormal_plots.plot_gradients(d, activation="tanh", ax=ax),
            "log_gradient_norm",
        ),
    ],
)
def test_curves_are_medians_beside_the_line_of_the_eigenvalues(data, plot, variable):
    ax = plot(data)
    values = data[variable]
    if "activation" in values.dims:
        values = values.sel(activation="tanh")
    for scale in SCALES:
        line = labelled(ax)[f"s = {scale:g}"]
        assert_allclose(line.get_ydata(), values.sel(scale=scale).median("network_seed"))
        assert_array_equal(line.get_xdata(), data.lag)
    (theory,) = dashed(ax)
    assert_allclose(theory.get_ydata(), np.log(0.8) * theory.get_xdata())
    assert len(thin(ax)) == 2 * len(SCALES)
    assert "nats" in ax.get_ylabel()


def test_peak_and_kreiss_constant_against_departure(data):
    ax = nonnormal_plots.plot_peak(data)
    median = data.median("network_seed")
    lines = labelled(ax)
    for label, variable in (("peak", "peak"), ("Kreiss\nconstant", "log_kreiss")):
        assert_allclose(lines[label].get_xdata(), median.henrici_relative)
        assert_allclose(lines[label].get_ydata(), median[variable])
    clouds = [line for line in ax.lines if line.get_linestyle() == "None"]
    assert_array_equal(
        clouds[0].get_ydata(), data.peak.transpose("network_seed", "scale").values.ravel()
    )
    assert not dashed(ax), "both are measured"
    linear = labelled(nonnormal_plots.plot_windows(data))["linear"]
    same = [(line.get_color(), line.get_marker()) for line in (lines["peak"], linear)]
    assert same[0] == same[1], "powers are what gradients of linear networks meet"
    assert texts(ax) == list(lines)
    assert (data.log_kreiss <= data.peak + 1e-9).all(), "as the caption says"


def test_windows_beside_what_eigenvalues_say(data):
    ax = nonnormal_plots.plot_windows(data)
    for kind in ("linear", "tanh"):
        expected = data.sufficient_window.sel(activation=kind).median("network_seed")
        assert_allclose(labelled(ax)[kind].get_ydata(), expected)
    (alone,) = dashed(ax)
    assert_allclose(alone.get_ydata(), np.log(0.1) / np.log(0.8))
    (end,) = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert_allclose(end.get_ydata(), 15)
    assert texts(ax) == ["linear", "tanh", "eigenvalues\nalone", "whole\nsequence"]
    assert "steps" in ax.get_ylabel()


def test_each_activation_has_a_colour_and_a_mark_of_its_own():
    styles = [figures.marked(name) for name in ACTIVATIONS]
    for part in ("color", "marker"):
        assert len({style[part] for style in styles}) == len(ACTIVATIONS)


@pytest.mark.parametrize(
    "plot", [nonnormal_plots.plot_powers, nonnormal_plots.plot_peak, nonnormal_plots.plot_windows]
)
def test_plots_draw_on_the_given_axes_or_on_new_ones(data, plot):
    check_axes(lambda ax: plot(data, ax=ax))


def test_draw_makes_all_figures_without_a_warning(datasets):
    drawn = drawn_with_captions(
        nonnormal, datasets, "pseudospectra", "transient-growth", "peak-and-window"
    )
    assert "spectral radius 0.8" in drawn["pseudospectra"].get_supxlabel()
    powers, linear, tanh = drawn["transient-growth"].axes
    assert powers.get_ylim() == linear.get_ylim() == tanh.get_ylim()
    for ax, variable in ((powers, "log_power_norm"), (linear, "log_gradient_norm")):
        values = datasets["transients"][variable]
        values = values.sel(activation="linear") if "activation" in values.dims else values
        low, high = ax.get_ylim()
        assert low < float(values.min())
        assert high > float(values.max())


def test_summary_has_the_numbers(datasets, data):
    first, *others = facts(nonnormal, datasets)
    assert "spectral radius 0.8" in first
    assert [text.split(":")[0] for text in others] == [
        "s = 0 (normal)",
        "s = 1 (as drawn)",
        "s = 3",
    ]
    median = data.sel(scale=3.0).median("network_seed")
    assert f"grow by a factor of {np.exp(float(median.peak)):.3g} at most" in others[2]
    window = float(median.sufficient_window.sel(activation="linear"))
    assert f"{window:g} (linear)" in others[2]
    lost = data.assign(sufficient_window=data.sufficient_window * np.nan)
    assert "none found (linear)" in facts(nonnormal, {"transients": lost})[1]


def test_one_unit_one_scale_one_step():
    settings = nonnormal.Settings(
        scale=(1.0,), plane_scale=(1.0,), length=1, n_points=2, n_hidden=1, network_seeds=1,
        batch_size=1, activation=("relu",), n_threads=1,
    )  # fmt: skip
    datasets = nonnormal.compute(settings, progress=False)
    for figure in nonnormal.draw(datasets).values():
        figure.draw_without_rendering()
    assert len(facts(nonnormal, datasets)) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": ("tree",)}, "`cell` must be one of 'vanilla', 'lstm', 'gru', got 'tree'"),
        ({"n_layers": (0,)}, "`n_layers` must be at least 1, got 0"),
    ],
)
def test_what_no_command_takes_is_not_sent_on_to_others(given, message):
    with pytest.raises(ValueError, match=message):
        nonnormal.compute(replace(TINY, **given), progress=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": ("lstm",)}, "`cell` must be vanilla here, got .'lstm'.: a step of gated cells"),
        ({"n_layers": (2,)}, "`n_layers` must be 1 here, got .2.: a step of a stack is no power"),
        ({"forget_bias": (1.0,)}, "`forget_bias` must be 0.0 here, got .1.0.: networks without"),
    ],
)
def test_other_networks_are_refused_with_the_command_that_answers(given, message):
    with pytest.raises(ValueError, match=message) as refusal:
        nonnormal.compute(replace(TINY, **given), progress=False)
    ((name, (value,)),) = given.items()
    flag = f"--{name.replace('_', '-')} {value}"
    if name != "forget_bias":
        assert f"`rnnsim spectra {flag}`" in str(refusal.value)
        assert f"`rnnsim isometry {flag}`" in str(refusal.value)
