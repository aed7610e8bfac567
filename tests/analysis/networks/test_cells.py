"""Figures of cells side by side: artists and labels; its sentences are in test_every_summary."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from artists import check_axes, dashed, drawn_with_captions, faint, labelled, titled
from numpy.testing import assert_allclose, assert_array_equal

from analysis.frame import figures
from analysis.networks import cell_plots, cells

ANALYSED = cells
LN10, T, H = np.log(10.0), 24, 5
TINY = cells.Settings(
    task="adding", forget_bias=(0.0, 2.0), chrono=9.0, length=T, n_hidden=H, network_seeds=3,
    batch_size=2, n_threads=1,
)  # fmt: skip
CHRONO = xr.DataArray([0, 0, 1], {"start": ["bias 0", "bias 2", "chrono 9"]})


def dotted(ax):
    """Lines of what was set."""
    return [line for line in ax.lines if line.get_linestyle() == ":"]


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
    through_c = lines[cell_plots.PATH]
    assert_allclose(through_c.get_ydata()[1:], path[1:])
    assert np.isnan(through_c.get_ydata()[0])  # an exact 0
    assert through_c.get_linestyle() == "-"  # it is measured
    (guide,) = dashed(ax)
    assert_allclose(guide.get_ydata(), -np.arange(T) * np.log1p(np.exp(-2)) / LN10)
    assert "lag" in ax.get_xlabel()
    markers = [lines[name].get_marker() for name in cell_plots.NAMES.values()]
    assert markers == list(figures.MARKERS[:3])  # told apart in grey
    colors = [lines[name].get_color() for name in cell_plots.NAMES.values()]
    assert colors == [figures.CELLS[cell] for cell in cell_plots.NAMES]


def test_windows_have_error_tolerance_and_share(data):
    ax = cell_plots.plot_window_error(data, start="bias 0")
    line = labelled(ax)["GRU"]
    error = data.sel(start="bias 0", cell="gru").window_log_error
    known = np.isfinite(line.get_ydata())
    assert_allclose(line.get_ydata()[known], np.median(error, axis=0)[known] / LN10)
    assert_array_equal(line.get_xdata(), data.window)
    (tolerance,) = dotted(ax)
    assert list(tolerance.get_ydata()) == [-1.0, -1.0]
    ax = cell_plots.plot_cumulative_share(data, start="bias 0")
    share = data.sel(start="bias 0", cell="lstm").cumulative_share
    assert_allclose(labelled(ax)["LSTM"].get_ydata(), np.median(share, axis=0))
    levels = [each.get_ydata()[0] for each in ax.lines if len(each.get_ydata()) == 2]
    assert levels == [0.9, 1.0]
    assert [each.get_ydata()[0] for each in dotted(ax)] == [0.9]


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
    assert {line.get_color() for line in dashed(ax)} == {
        figures.CELLS[cell] for cell in ("gru", "lstm")
    }
    assert "nats/step" in ax.get_ylabel()


@pytest.mark.parametrize("cells_there", [["vanilla"], ["vanilla", "lstm"], ["gru"]])
def test_panels_of_exponents_hold_the_largest_of_every_cell(data, cells_there):
    here = data.sel(cell=cells_there)
    low, high = cell_plots.exponent_range(here)
    assert low < 0 < high
    for cell, start in ((cell, start) for cell in cells_there for start in here.start.values):
        ax = cell_plots.plot_exponents(here, start=start)
        assert ax.get_ylim() == (low, high)
        shown = labelled(ax)[cell_plots.NAMES[cell]].get_ydata()
        assert low < shown[0] < high
        if cell != "vanilla":
            assert (shown > low).all()
    dead = here.assign(
        exponent=here.exponent * 0 - np.inf, predicted_exponent=np.nan * here.exponent
    )
    assert cell_plots.plot_exponents(dead, start="bias 0").get_ylim() == (-0.06, 0.06)


def test_time_scales_are_sorted_beside_those_of_deaf_gates(data):
    ax = cell_plots.plot_time_scales(data, start="chrono 9")
    here = data.sel(start="chrono 9")
    scales = np.log10(here.time_scale.sel(cell="lstm"))
    assert_allclose(labelled(ax)["LSTM"].get_ydata(), np.median(scales, axis=0))
    assert "RNN" not in labelled(ax)
    (guide,) = dashed(ax)
    assert_allclose(guide.get_ydata(), np.log10(here.theory_time_scale))
    (length,) = dotted(ax)
    assert_allclose(length.get_ydata(), np.log10(T))
    assert "steps" in ax.get_ylabel()


def test_panels_show_what_all_of_them_hold(data):
    """On one scale, and the lags of every column have numbers, also above an empty place."""
    drawn = cells.draw({"cells": data.assign(time_scale=data.time_scale * (1 + 99 * CHRONO))})
    panels = drawn["time-scales"].axes
    assert len(panels) == 3
    assert len({ax.get_ylim() for ax in panels}) == 1
    low, high = panels[0].get_ylim()
    shown = np.concatenate([line.get_ydata() for ax in panels for line in ax.lines])
    assert low <= np.nanmin(shown)
    assert np.nanmax(shown) <= high
    lags = [ax for ax in drawn["norm-against-lag"].axes if ax.get_xlabel()]
    assert [titled(ax) for ax in lags] == ["forget bias 2", "chrono to 9 steps"]
    for ax in lags:
        ax.figure.draw_without_rendering()
        assert any(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks())


def named(figure):
    """What the legend of a figure names."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_legends_name_what_is_drawn_and_nothing_else(datasets):
    drawn = cells.draw(datasets)
    three = ["RNN", "GRU", "LSTM"]
    assert named(drawn["norm-against-lag"]) == [
        *three, cell_plots.PATH, "a gate that hears nothing",
    ]  # fmt: skip
    assert named(drawn["windows"]) == [*three, "error of 10%"]
    assert named(drawn["shares"]) == [*three, "share of 90%"]
    assert named(drawn["exponents"]) == [*three, "what gates alone predict"]
    assert named(drawn["time-scales"]) == [
        "GRU", "LSTM", "gates that hear nothing", f"the {T} steps of a sequence",
    ]  # fmt: skip
    one = cells.draw({"cells": datasets["cells"].sel(cell=["vanilla"])})
    assert "time-scales" not in one
    assert named(one["norm-against-lag"]) == named(one["exponents"]) == ["RNN"]
    for figure in one.values():
        assert not any(word in figure.get_supxlabel() for word in ("Dashed", "path", "gates"))


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
    names = "norm-against-lag", "windows", "shares", "exponents", "time-scales"
    drawn = drawn_with_captions(cells, datasets, *names)
    for figure in drawn.values():
        assert figure.get_supxlabel().startswith("3 networks of each kind (5 units, pytorch, gain")
        assert "Thin lines: networks, thick: medians, bands: quartiles." in figure.get_supxlabel()
        titles = {ax.get_title(loc="left") for ax in figure.axes}
        assert {"forget bias 0", "forget bias 2", "chrono to 9 steps"} <= titles
    data = datasets["cells"]
    for slope, cut in ((-0.5, False), (-2.0, True)):
        steep = data.assign(log_norm=slope * data.lag + 0 * data.log_norm)
        caption = cells.draw({"cells": steep})["norm-against-lag"].get_supxlabel()
        assert (slope * (T - 1) < -8 * LN10) == cut
        assert ("What lies below $10^{-8}$ is not shown." in caption) is cut
    for shift, cut in ((0.0, False), (-9.0, True)):
        flat = data.assign(exponent=0 * data.exponent - 1.0, predicted_exponent=data.exponent * 0)
        lower = flat.assign(
            exponent=flat.exponent + shift * (flat.cell == "vanilla") * (flat.unit > 0)
        )
        caption = cells.draw({"cells": lower})["exponents"].get_supxlabel()
        assert ("What lies below the panels is not shown." in caption) is cut


def test_captions_say_in_which_units_norms_are(datasets):
    words = "(h, c) of LSTMs, in units of what each component varies by. Dashed"
    assert words in cells.draw(datasets)["norm-against-lag"].get_supxlabel()
    plain = cells.compute(replace(TINY, state_scale="none", forget_bias=(0.0,)), progress=False)
    assert "(h, c) of LSTMs. Dashed" in cells.draw(plain)["norm-against-lag"].get_supxlabel()


def test_captions_say_what_all_panels_share_and_what_chrono_is(datasets):
    data = datasets["cells"]
    for variable in ("log_norm", "window_log_error", "cumulative_share", "exponent"):
        plain = data[variable].sel(cell="vanilla").transpose("start", ...).values
        assert_array_equal(plain, np.broadcast_to(plain[:1], plain.shape))
    same, chrono = "RNNs have no gates: they are the same", "time scales drawn evenly up to 9 steps"
    for name, figure in cells.draw(datasets).items():
        assert (same in figure.get_supxlabel()) is (name != "time-scales")
        assert chrono in figure.get_supxlabel()
    for chosen in ({"start": [0]}, {"cell": data.cell == "lstm"}, {"cell": data.cell == "vanilla"}):
        words = cells.draw({"cells": data.isel(chosen)})["windows"].get_supxlabel()
        assert same not in words
        assert (chrono in words) is (list(chosen) == ["cell"] and "lstm" in data.isel(chosen).cell)


def test_no_chrono_is_a_start_less():
    data = cells.compute(replace(TINY, chrono=0.0, cell=("gru",)), progress=False)["cells"]
    assert data.start.values.tolist() == ["bias 0", "bias 2"]
    figure = cells.draw({"cells": data})["norm-against-lag"]
    assert named(figure) == ["GRU", "a gate that hears nothing"]
    assert "path through c" not in figure.get_supxlabel()
    assert "Chrono" not in figure.get_supxlabel()
