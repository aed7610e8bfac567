"""What figures mark beside their curves: windows, rates, horizons, limits; two networks at once."""

from dataclasses import replace

import numpy as np
import pytest
from artists import check_axes, dashed, labelled, marked, texts
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

from analysis.diagnosis.plots import lag_plots, noise_plots, state_plots, window_plots
from analysis.diagnosis.plots.pictures import KINDS, pictures
from analysis.frame import figures

LN10 = np.log(10)
PLOTS = [panel.plot for kind in KINDS for panel in kind.panels]


def shaded(ax):
    """Where an axes is shaded, from and to."""
    return [(p.get_x(), p.get_x() + p.get_width()) for p in ax.patches if p.get_alpha()]


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_plots_take_axes_or_make_them(plot, case):
    check_axes(lambda ax: plot(case("vanishes"), ax=ax))
    check_axes(lambda ax: plot([case("lstm"), case("dead")], ax=ax))


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_nothing_known_draws_nothing_and_does_not_fail(plot, case):
    ax = plot(case("overflow"))
    ax.figure.draw_without_rendering()


def fitted(ax):
    """Lines of rates that were fitted."""
    return [line for label, line in labelled(ax).items() if label.endswith("nats/step")]


def dotted(ax):
    """Lines of what was set."""
    return [line for line in ax.lines if line.get_linestyle() == ":"]


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
@pytest.mark.parametrize("name", ["vanishes", "lstm", "dead"])
def test_nothing_that_is_measured_or_set_looks_like_theory(plot, name, case):
    ax = plot(case(name))
    assert not dashed(ax)
    assert all(line.get_gid() == "mark" for line in dotted(ax))


def test_the_fitted_rate_is_drawn_over_its_lags(case):
    found = case("vanishes")
    (line,) = fitted(lag_plots.plot_gradient(found))
    x, y = np.array(line.get_xdata(), float), np.array(line.get_ydata(), float)
    known = np.isfinite(y)
    assert f"lags {x[known][0]:.0f} to {x[known][-1]:.0f}." in found["gradient_rate"].words
    slope, at_0 = np.polyfit(x[known], y[known], 1)
    assert slope == pytest.approx(found["gradient_rate"].number / LN10)
    curve = np.array(found["gradient_rate"].evidence["log_change"]) / LN10
    assert_allclose(curve, at_0 + slope * x, atol=1e-9)  # of one rate alone
    assert f"{found['gradient_rate'].number:.3g} nats/step" in line.get_label()


def test_no_line_where_there_is_no_single_rate(case):
    found = case("lstm")
    assert found["gradient_rate"].says == "no single rate"
    assert not fitted(lag_plots.plot_gradient(found))


def test_the_band_holds_the_errors(case):
    rows = case("lstm")["gradient_rate"].evidence
    (band,) = lag_plots.plot_gradient(case("lstm")).collections
    corners = band.get_paths()[0].vertices
    for k in (3, 9, 20):
        low, high = (corners[corners[:, 0] == k, 1].min(), corners[corners[:, 0] == k, 1].max())
        change, error = rows["log_change"][k], rows["log_error"][k]
        assert error > 0
        assert_allclose([low, high], np.array([change - error, change + error]) / LN10)


def test_what_is_beyond_the_window_is_grey(case):
    found = case("vanishes")
    for plot, begins in (
        (lag_plots.plot_gradient, 5.5), (noise_plots.plot_horizon, 5.5),  # lags 0 to 5 are in it
        (lag_plots.plot_memory, 6), (window_plots.plot_shares, 6),
        (window_plots.plot_window_errors, 6), (noise_plots.plot_bias_and_variance, 6),
    ):  # fmt: skip
        ax = plot(found)
        ((start, end),) = shaded(ax)
        assert start == pytest.approx(begins)
        assert end >= ax.get_xlim()[1]
        assert "beyond the window, $K$ = 6" in ax.get_legend_handles_labels()[1]
        assert not shaded(plot(case("without a window")))
    assert not shaded(lag_plots.plot_memory(case("two steps")))


def test_where_the_gradient_dies(case):
    ax = lag_plots.plot_gradient(case("dead"))
    line = labelled(ax)["exactly 0 from lag 1 on"]
    assert_array_equal(line.get_xdata(), [1, 1])
    low, high = ax.get_ylim()
    assert high - low >= 1
    assert not [label for label in labelled(lag_plots.plot_gradient(case("holds")))
                if "exactly" in label]  # fmt: skip


def test_an_even_gradient_is_drawn_level(case):
    low, high = lag_plots.plot_gradient(case("holds")).get_ylim()
    assert high - low >= 1  # a decade: noise of rounding is none to the eye


def test_memory_has_bars_the_full_loss_and_where_it_is_back(case):
    found = case("echo")
    back, rows = found["forward_memory"], found["forward_memory"].evidence
    ax = lag_plots.plot_memory(found)
    full = rows["loss"][0] - rows["rise"][0]
    assert_allclose(labelled(ax)["after all steps"].get_ydata(), full)
    assert_allclose(full, rows["loss"][-1])
    ring = labelled(ax)[f"back from there on, $K$ = {back.number:.0f}"]
    assert_allclose(ring.get_xdata(), back.number)
    assert back.number == 6  # what came five steps before, and the five after it
    (bars,) = [each for each in ax.collections if len(each.get_segments()) > 1]
    for segment, loss, error in zip(bars.get_segments(), rows["loss"], rows["error"], strict=True):
        assert_allclose(segment[:, 1], [loss - error, loss + error])
    assert not [label for label in labelled(lag_plots.plot_memory(case("dead"))) if "back" in label]


def test_windows_that_keep_90_percent_and_that_are_off_by_10_and_1(case):
    found = case("vanishes")
    large = [line for line in window_plots.plot_shares(found).lines
             if line.get_markersize() == figures.pt(11)]  # fmt: skip
    reach = [found[f"reach_{of}"] for of in ("W_hh", "W_xh")]
    assert [float(line.get_xdata()[0]) for line in large] == [each.number for each in reach]
    assert all(float(line.get_ydata()[0]) == 0.9 for line in large)
    ax = window_plots.plot_window_errors(found)
    large = [line for line in ax.lines if line.get_markersize() == figures.pt(11)]
    windows = [found[f"window_for_{n}_percent"] for n in (10, 1)]
    assert [float(line.get_xdata()[0]) for line in large] == [each.number for each in windows]
    assert_allclose([line.get_ydata()[0] for line in large], [-1, -2])
    spans = [c.get_segments()[0][:, 0] for c in ax.collections if len(c.get_segments()) == 1]
    for (low, high), each in zip(spans, windows, strict=True):
        assert high == pytest.approx(each.number + each.error)
        assert low == pytest.approx(max(each.number - each.error, 1))


def test_the_star_is_where_the_sum_is_least(case):
    found = case("lstm")
    (star,) = marked(noise_plots.plot_bias_and_variance(found), "*")
    rows = found["best_window"].evidence
    least = int(np.argmin(rows["mean_square_error"]))
    assert_allclose(star.get_xdata(), rows["window"][least])
    assert_allclose(star.get_ydata(), np.log10(rows["mean_square_error"][least]))
    assert rows["window"][least] == found["best_window"].number


def test_the_horizon_stands_behind_its_lag(case):
    found = case("lstm")
    inside = replace(found["horizon"], number=7.0)
    others = tuple(inside if each.name == "horizon" else each for each in found)
    lines = labelled(noise_plots.plot_horizon(replace(found, findings=others)))
    assert_array_equal(lines["horizon, lag 7"].get_xdata(), [7.5, 7.5])
    for number in (-1.0, found.about["n_steps"] - 1.0):  # no lag, all lags
        end = tuple(replace(each, number=number) if each.name == "horizon" else each
                    for each in found)  # fmt: skip
        lines = labelled(noise_plots.plot_horizon(replace(found, findings=end)))
        assert not [label for label in lines if "horizon" in label]


def test_the_limit_of_clipping(case):
    (line,) = dotted(noise_plots.plot_norms(case("vanishes")))
    assert_allclose(line.get_ydata(), 0.0)  # log10 of 1
    assert line.get_label() == "clipped at 1"
    low, high = noise_plots.plot_cosines(case("vanishes")).get_ylim()
    assert low < min(case("vanishes")["clipping_by_value"].evidence["cosine"])
    assert high > 1


def test_gates_fill_their_bars_and_say_their_means(case):
    rows = case("lstm")["gates"].evidence
    ax = state_plots.plot_gates(case("lstm"))
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, -1)
    assert_allclose(widths[0], rows["low"])
    assert_allclose(widths[2], rows["high"])
    assert_allclose(widths.sum(axis=0), 1)
    assert texts(ax) == [f"mean {mean:.2f}" for mean in rows["mean"]]


def test_the_unit_circle_and_the_length_of_the_data(case):
    circle = state_plots.plot_eigenvalues(case("vanishes")).lines[0]
    assert circle.get_linestyle() == "-"
    assert_allclose(np.hypot(circle.get_xdata(), circle.get_ydata()), 1)
    (line,) = dotted(state_plots.plot_time_scales(case("lstm")))
    assert line.get_label() == "length of the data, 25"
    assert_allclose(line.get_ydata(), np.log10(25))


NAME = "a$b<i>\x1b[2J " + "long" * 20


def test_two_networks_in_every_figure(case):
    one, two = (replace(case(name), label=label)
                for name, label in (("vanishes", "before"), ("lstm", "after")))  # fmt: skip
    for picture in pictures([one, two]):
        picture.figure.draw_without_rendering()
        names = {curve.name.partition(":")[0] for curve in picture.curves}
        known = {each.label for each in (one, two) if [p for p in pictures(each)
                 if p.name == picture.name]}  # fmt: skip
        assert names == known
        assert all(f"{label}: " in picture.words for label in known)
    ax = lag_plots.plot_gradient([one, two])
    first, second = labelled(ax)["before"], labelled(ax)["after"]
    assert first.get_marker() != second.get_marker()
    assert first.get_color() != second.get_color()


@pytest.mark.parametrize("label", ["model.pt", NAME])
def test_names_that_are_the_same_are_told_apart(label, case):
    both = [replace(case("vanishes"), label=label)] * 2
    for picture in pictures(both):
        assert isinstance(picture.figure, Figure)
        picture.figure.draw_without_rendering()
        names = [curve.name for curve in picture.curves]
        assert len({*names}) == len(names)
        assert all(label in name for name in names)
        heads = picture.table.heads
        assert len({*heads}) == len(heads)
    labels = lag_plots.plot_gradient(both).get_legend_handles_labels()[1]
    assert len({*labels}) == len(labels)
    assert all(each.isprintable() for each in labels)


def test_names_do_not_take_the_figure(case):
    """A name of any length leaves the bars their room."""
    one = replace(case("lstm"), label=NAME)
    (picture,) = [p for p in pictures([one, case("lstm")]) if p.name == "gates"]
    picture.figure.draw_without_rendering()
    boxes = [ax.get_position() for ax in picture.figure.axes]
    assert all(box.width > 0.2 for box in boxes)
