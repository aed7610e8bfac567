"""Figures of cells side by side: artists and labels; its sentences are in test_every_summary."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from artists import check_axes, dashed, drawn_with_captions, faint, labelled, texts
from numpy.testing import assert_allclose, assert_array_equal

from analysis.networks import cell_plots, cells

ANALYSED = cells
LN10, T, H = np.log(10.0), 24, 5
TINY = cells.Settings(
    task="adding", forget_bias=(0.0, 2.0), chrono=9.0, length=T, n_hidden=H, network_seeds=3,
    batch_size=2, n_threads=1,
)  # fmt: skip
CHRONO = xr.DataArray([0, 0, 1], {"start": ["bias 0", "bias 2", "chrono 9"]})


def test_norms_are_medians_beside_the_path_and_the_guide(data):
    ax = cell_plots.plot_norm_against_lag(data, start="bias 2")
    here, lines = data.sel(start="bias 2"), labelled(ax)
    for cell, name in cell_plots.NAMES.items():
        middle = np.median(here.log_norm.sel(cell=cell), axis=0) / LN10
        assert_allclose(lines[name].get_ydata(), middle)
        for seed in range(3):
            norms = here.log_norm.sel(cell=cell)[seed] / LN10
            assert any(np.allclose(norms, line.get_ydata()) for line in faint(ax))
    path = np.median(here.log_norm_path_c.sel(cell="lstm"), axis=0) / LN10
    assert_allclose(lines["LSTM, path through c"].get_ydata()[1:], path[1:])
    assert np.isnan(lines["LSTM, path through c"].get_ydata()[0])  # an exact 0
    (guide,) = dashed(ax)
    assert_allclose(guide.get_ydata(), -np.arange(T) * np.log1p(np.exp(-2)) / LN10)
    assert "lag" in ax.get_xlabel()
    markers = [lines[name].get_marker() for name in cell_plots.NAMES.values()]
    assert len(set(markers)) == 3  # told apart in grey


def test_windows_have_error_tolerance_and_share(data):
    ax = cell_plots.plot_window_error(data, start="bias 0")
    line = labelled(ax)["GRU"]
    error = data.sel(start="bias 0", cell="gru").window_log_error
    known = np.isfinite(line.get_ydata())
    assert_allclose(line.get_ydata()[known], np.median(error, axis=0)[known] / LN10)
    assert_array_equal(line.get_xdata(), data.window)
    assert any(list(each.get_ydata()) == [-1.0, -1.0] for each in ax.lines)
    ax = cell_plots.plot_cumulative_share(data, start="bias 0")
    share = data.sel(start="bias 0", cell="lstm").cumulative_share
    assert_allclose(labelled(ax)["LSTM"].get_ydata(), np.median(share, axis=0))
    levels = [each.get_ydata()[0] for each in ax.lines if len(each.get_ydata()) == 2]
    assert levels == [0.9, 1.0]


def test_exponents_stand_beside_what_gates_predict(data):
    ax = cell_plots.plot_exponents(data, start="chrono 9")
    here = data.sel(start="chrono 9")
    for cell in ("gru", "lstm"):
        middle = np.median(here.exponent.sel(cell=cell), axis=0)
        assert_allclose(labelled(ax)[cell_plots.NAMES[cell]].get_ydata(), middle)
        predicted = np.median(here.predicted_exponent.sel(cell=cell), axis=0)
        assert any(np.allclose(line.get_ydata(), predicted) for line in dashed(ax))
        for shown in (middle, predicted):
            assert (shown > ax.get_ylim()[0]).all()
            assert (shown < ax.get_ylim()[1]).all()
    assert len(dashed(ax)) == 2
    first = np.median(here.exponent.sel(cell="vanilla")[:, 0])
    assert texts(ax) == [f"RNN: $\\lambda_1$ = {first:+z.2f}"]
    assert "nats/step" in ax.get_ylabel()


def test_time_scales_are_sorted_beside_those_of_deaf_gates(data):
    ax = cell_plots.plot_time_scales(data, start="chrono 9")
    here = data.sel(start="chrono 9")
    scales = np.log10(here.time_scale.sel(cell="lstm"))
    assert_allclose(labelled(ax)["LSTM"].get_ydata(), np.median(scales, axis=0))
    assert "RNN" not in labelled(ax)
    (guide,) = dashed(ax)
    assert_allclose(guide.get_ydata(), np.log10(here.theory_time_scale))
    assert any(np.allclose(line.get_ydata(), np.log10(T)) for line in ax.lines)
    assert "steps" in ax.get_ylabel()


def test_panels_of_a_row_show_what_all_of_them_hold(data):
    """On one scale, and the lags of every column have numbers, also above an empty place."""
    drawn = cells.draw({"cells": data.assign(time_scale=data.time_scale * (1 + 99 * CHRONO))})
    for name in ("windows", "exponents-and-time-scales"):
        bottom = drawn[name].axes[3:]
        assert len({ax.get_ylim() for ax in bottom}) == 1
        low, high = bottom[0].get_ylim()
        shown = np.concatenate(
            [y for ax in bottom for line in ax.lines for y in [line.get_ydata()]]
        )
        assert low <= np.nanmin(shown)
        assert np.nanmax(shown) <= high
    lags = [ax for ax in drawn["norm-against-lag"].axes if ax.get_xlabel()]
    assert [ax.get_title() for ax in lags] == ["forget bias 2", "chrono to 9 steps"]
    for ax in lags:
        ax.figure.draw_without_rendering()
        assert any(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks())


def test_indices_are_whole_numbers(data):
    for plot in (cell_plots.plot_exponents, cell_plots.plot_time_scales):
        ticks = plot(data.isel(unit=slice(2)), start="bias 0").get_xticks()
        assert_array_equal(ticks, np.round(ticks))


@pytest.mark.parametrize(
    "plot",
    [
        cell_plots.plot_norm_against_lag,
        cell_plots.plot_window_error,
        cell_plots.plot_cumulative_share,
        cell_plots.plot_exponents,
        cell_plots.plot_time_scales,
    ],
)
def test_plots_draw_on_the_given_axes_or_on_new_ones(data, plot):
    check_axes(lambda ax: plot(data, start="bias 0", ax=ax))


def test_figures_have_a_panel_for_each_start_and_say_what_is_cut(datasets):
    names = "norm-against-lag", "windows", "exponents-and-time-scales"
    drawn = drawn_with_captions(cells, datasets, *names)
    for figure in drawn.values():
        assert figure.get_supxlabel().startswith("3 networks of each kind (5 units, pytorch, gain")
        titles = {ax.get_title() for ax in figure.axes}
        assert {"forget bias 0", "forget bias 2", "chrono to 9 steps"} <= titles
    data = datasets["cells"]
    for slope, cut in ((-0.5, False), (-2.0, True)):
        steep = data.assign(log_norm=slope * data.lag + 0 * data.log_norm)
        caption = cells.draw({"cells": steep})["norm-against-lag"].get_supxlabel()
        assert (slope * (T - 1) < -8 * LN10) == cut
        assert ("What lies below $10^{-8}$ is not shown." in caption) is cut


def test_captions_say_in_which_units_norms_are(datasets):
    words = "(h, c) of LSTMs, in units of what each component varies by, each relative"
    assert words in cells.draw(datasets)["norm-against-lag"].get_supxlabel()
    plain = cells.compute(replace(TINY, state_scale="none", forget_bias=(0.0,)), progress=False)
    assert "(h, c) of LSTMs, each" in cells.draw(plain)["norm-against-lag"].get_supxlabel()


def test_no_chrono_is_a_start_less():
    data = cells.compute(replace(TINY, chrono=0.0, cell=("gru",)), progress=False)["cells"]
    assert data.start.values.tolist() == ["bias 0", "bias 2"]
    figure = cells.draw({"cells": data})["norm-against-lag"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["GRU", "a gate that hears nothing"]
    assert "dotted" not in figure.get_supxlabel()
