"""Figures of stacks by depth: artists and labels; its sentences are in test_every_summary."""

import numpy as np
import pytest
from artists import check_axes, dashed, drawn_with_captions, faint, labelled, texts
from numpy.testing import assert_allclose, assert_array_equal

from analysis.frame import figures
from analysis.networks import depth, depth_plots

ANALYSED = depth
LN10, T, H = np.log(10.0), 24, 3
TINY = depth.Settings(
    task="adding", n_layers=(1, 4), length=T, n_hidden=H, network_seeds=3, batch_size=2,
    n_threads=1,
)  # fmt: skip


def test_shown_are_the_lowest_the_middle_and_the_top():
    found = [depth_plots.shown_layers(L) for L in (1, 2, 3, 4, 7)]
    assert found == [[1], [1, 2], [1, 2, 3], [1, 2, 4], [1, 4, 7]]


def test_norms_are_medians_beside_the_guide(data):
    ax = depth_plots.plot_norm_against_lag(data, depth=4)
    here, lines = data.sel(n_layers=4), labelled(ax)
    for layer in (1, 2, 4):
        norms = here.log_norm.sel(layer=layer) / LN10
        assert_allclose(lines[f"layer {layer}"].get_ydata(), np.median(norms, axis=0))
        for seed in range(3):
            assert any(np.allclose(norms[seed], line.get_ydata()) for line in faint(ax))
    (guide,) = dashed(ax)
    rate = here.layer_exponent.isel(unit=0).max("layer").values
    k = np.arange(T)
    paths = np.log((k + 1) * (k + 2) * (k + 3) / 6)
    assert_allclose(guide.get_ydata(), (paths + k * np.median(rate)) / LN10, atol=1e-12)
    assert len(lines) == 4
    assert set(lines) == set(texts(ax))  # named at the line
    assert len({line.get_marker() for line in lines.values()}) == 4  # told apart in grey
    looks = depth_plots.looks(data)
    assert list(looks) == [1, 2, 4]
    assert [lines[f"layer {layer}"].get_color() for layer in looks] == figures.shades(3)
    one = labelled(depth_plots.plot_norm_against_lag(data, depth=1))
    assert one["layer 1"].get_color() == lines["layer 1"].get_color()
    assert "lag" in ax.get_xlabel()


def test_exponents_of_layers_stand_at_their_ranks(data):
    ax = depth_plots.plot_spectrum(data, depth=4)
    here, lines = data.sel(n_layers=4), labelled(ax)
    whole = np.median(here.exponent, axis=0)
    assert_allclose(lines["the stack"].get_ydata(), whole)
    middles = np.median(here.layer_exponent, axis=0)
    union = np.sort(middles.ravel())[::-1]
    for layer in (1, 2, 4):
        line = lines[f"layer {layer}"]
        assert_allclose(line.get_ydata(), middles[layer - 1])
        assert_allclose(union[line.get_xdata().astype(int) - 1], middles[layer - 1])
    assert "nats/step" in ax.get_ylabel()


def test_rates_are_beside_slopes(data):
    ax = depth_plots.plot_rates(data, depth=4)
    here, lines = data.sel(n_layers=4), labelled(ax)
    assert_allclose(lines["measured"].get_ydata(), np.median(here.slope, axis=0))
    assert_allclose(lines["in the end"].get_ydata(), np.median(here.rate, axis=0))
    alone = np.median(here.layer_exponent[..., 0], axis=0)
    assert_allclose(lines["of the layer alone"].get_ydata(), alone)
    assert dashed(ax) == [lines["in the end"]]


def test_windows_have_error_and_tolerance(data):
    ax = depth_plots.plot_window_error(data, depth=4)
    here, lines = data.sel(n_layers=4), labelled(ax)
    for layer in (1, 2, 4):
        error = np.median(here.window_log_error.sel(layer=layer), axis=0) / LN10
        shown = lines[f"layer {layer}"].get_ydata()
        assert_allclose(shown[np.isfinite(shown)], error[np.isfinite(shown)])
    joint = np.median(here.joint_window_log_error, axis=0) / LN10
    shown = lines["all layers"].get_ydata()
    assert_allclose(shown[:-1], joint[:-1])
    (tolerance,) = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert list(tolerance.get_ydata()) == [-1.0, -1.0]
    ax = depth_plots.plot_window_by_depth(data)
    lines = labelled(ax)
    for name, values in (
        ("lowest layer", data.sufficient_window.sel(layer=1)),
        ("every layer", data.largest_window),
    ):
        assert_array_equal(lines[name].get_ydata(), np.median(values, axis=1))
    top = [data.sufficient_window.sel(n_layers=L, layer=L) for L in (1, 4)]
    assert_array_equal(lines["top layer"].get_ydata(), np.median(top, axis=1))
    assert "steps" in ax.get_ylabel()


@pytest.mark.parametrize(
    "plot",
    [
        depth_plots.plot_norm_against_lag,
        depth_plots.plot_spectrum,
        depth_plots.plot_rates,
        depth_plots.plot_window_error,
    ],
)
def test_plots_draw_on_the_given_axes_or_on_new_ones(data, plot):
    check_axes(lambda ax: plot(data, depth=4, ax=ax))
    check_axes(lambda ax: depth_plots.plot_window_by_depth(data, ax=ax))


def named(figure):
    """What the legend of a figure names."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_legends_name_what_is_drawn(datasets):
    drawn = depth.draw(datasets)
    layers = ["layer 1", "layer 2", "layer 4"]
    assert named(drawn["exponents"]) == [*layers, "the stack"]
    assert named(drawn["window-errors"]) == [*layers, "all layers", "error of 10%"]
    assert len(named(drawn["rates"])) == 3
    (ax,) = drawn["window-by-depth"].axes
    assert set(texts(ax)) == set(labelled(ax)) == {"every layer", "lowest layer", "top layer"}


def test_one_network_has_no_medians(datasets):
    one = datasets["depth"].isel(network_seed=slice(1))
    for figure in depth.draw({"depth": one}).values():
        words = figure.get_supxlabel()
        assert words.startswith("1 tanh RNN stack of each depth")
        assert not any(word in words for word in ("median", "thick", "dots", "Dots", "bands"))


def test_captions_say_which_layers_are_left_out(datasets):
    layers = ("norm-against-lag", "exponents", "window-errors")
    for depths in ([1], [1, 4]):
        chosen = datasets["depth"].sel(n_layers=depths)
        for name, figure in depth.draw({"depth": chosen}).items():
            said = "the lowest, the middle and the top one are drawn." in figure.get_supxlabel()
            assert said is (name in layers and 4 in depths)
    assert [depth_plots.shown_layers(n) for n in (1, 2, 3, 4)] == [
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 4],
    ]


def test_figures_have_a_panel_for_each_depth_and_say_what_is_cut(datasets):
    names = "norm-against-lag", "exponents", "rates", "window-errors", "window-by-depth"
    drawn = drawn_with_captions(depth, datasets, *names)
    for name, figure in drawn.items():
        words = figure.get_supxlabel()
        assert words.startswith("3 tanh RNN stacks of each depth (3 units a layer, gaussian, gain")
        if name != "window-by-depth":
            assert {"1 layer", "4 layers"} <= {ax.get_title(loc="left") for ax in figure.axes}
    data = datasets["depth"]
    for slope, cut in ((-0.5, False), (-2.0, True), (2.0, True)):
        steep = data.assign(log_norm=slope * data.lag + 0 * data.log_norm)
        caption = depth.draw({"depth": steep})["norm-against-lag"].get_supxlabel()
        assert (abs(slope) * (T - 1) > 8.3 * LN10) == cut
        assert ("What lies outside the panels is not shown." in caption) is cut
