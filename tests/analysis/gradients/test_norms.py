"""The gradient-norm figures: artists, labels and scales; and words that follow the data."""

import numpy as np
import pytest
import xarray as xr
from artists import (
    dashed,
    drawn_with_captions,
    faint,
    labelled,
    marked,
    named_at_the_end,
    texts,
    titled,
)
from recomputed import facts

from analysis.frame import figures
from analysis.frame.looks import worn
from analysis.gradients import gradient_norms, norm_plots, phase_plots

pytestmark = pytest.mark.lane
LN10 = np.log(10.0)
ANALYSED = gradient_norms
TINY = gradient_norms.Settings(
    gain=(0.5, 1.0, 2.0),
    length=(8, 16),
    n_hidden=8,
    network_seeds=3,
    batch_size=2,
    map_gain=(0.5, 2.0),
)


def test_all_figures_are_drawn_with_captions(datasets):
    drawn_with_captions(
        gradient_norms,
        datasets,
        "norm-against-lag",
        "norm-against-length",
        "contributions-against-time",
        "map-time-lag",
        "phase-gain-length",
    )


def test_captions_have_the_numbers_of_the_data(datasets):
    fits = norm_plots.one_network_set(datasets["all-steps"]).isel(length=-1)
    names = ("growth_first_lag", "growth_last_lag", "growth_rate_error")
    first, last, error = (np.nanmedian(fits[name].values) for name in names)
    caption = gradient_norms.draw(datasets)["norm-against-lag"].get_supxlabel()
    assert f"lags {first:g} to {last:g} (median standard error {error:.1g} " in caption
    nothing = {name: fits[name] * np.nan for name in names}
    short = datasets | {"all-steps": datasets["all-steps"].assign(nothing)}
    drawn = gradient_norms.draw(short)
    assert "No rate is fitted: too few lags." in drawn["norm-against-lag"].get_supxlabel()
    change = datasets["last-step"].log_change
    lost = datasets["last-step"].assign(log_change=change.where(change.network_seed > 0))
    drawn = gradient_norms.draw(datasets | {"last-step": lost})
    assert "(3 out of range at the longest length, left out)" in (
        drawn["phase-gain-length"].get_supxlabel()
    )


def test_few_losses_go_back_to_the_end_of_the_lags(datasets):
    steps = norm_plots.one_network_set(datasets["all-steps"]).isel(length=-1).loss_steps
    assert (steps.isel(lag=-1) == 1).all()
    assert (steps.isel(lag=0) == 16).all()
    caption = gradient_norms.draw(datasets)["norm-against-lag"].get_supxlabel()
    assert "few losses go as far back as its end" in " ".join(caption.split())


def test_a_gain_looks_the_same_against_lag_and_in_contributions(datasets):
    data = datasets["all-steps"]
    many = data.isel(gain=[0] * 8).assign_coords(gain=np.linspace(0.25, 2.0, 8))
    plots = norm_plots.plot_norm_against_lag, norm_plots.plot_contributions
    first, second = (
        [
            (label.split("\n")[0], line.get_color(), line.get_marker())
            for label, line in labelled(plot(many)).items()
        ]
        for plot in plots
    )
    assert first == second
    assert len(first) == 4


def test_norm_against_lag_shows_every_network_and_the_median(datasets, ax):
    data = datasets["all-steps"]
    assert norm_plots.plot_norm_against_lag(data, ax=ax) is ax
    chosen = norm_plots.one_network_set(data).isel(length=-1)
    relative = (chosen.log_norm - chosen.log_norm.sel(lag=0)).sel(gain=0.5) / LN10
    networks = faint(ax)
    assert len(networks) == 9  # 3 gains x 3 networks
    np.testing.assert_allclose(
        np.array([line.get_ydata() for line in networks[:3]]),
        relative.transpose("network_seed", "lag"),
        atol=1e-12,
    )
    medians = [line for line in ax.lines if line.get_label().startswith("gain")]
    np.testing.assert_allclose(medians[0].get_ydata(), relative.median("network_seed"), atol=1e-12)
    assert [line.get_marker() for line in medians] == ["o", "s", "^"]
    assert not dashed(ax)  # no theory in it
    assert ax.get_xlabel() == "lag $k$ (steps back from the loss)"
    assert ax.yaxis.get_major_formatter()(-3.0, 0) == "$10^{-3}$"


def test_lines_are_named_at_their_ends_with_how_fast_they_change(datasets, ax):
    data = norm_plots.one_network_set(datasets["all-steps"])
    rates = xr.DataArray([-0.25, 0.0, 0.5], coords={"gain": data.gain})
    lives = rates.copy(data=np.log(2) / np.array([0.25, np.nan, 0.5]))
    known = data.assign(
        growth_rate=rates.broadcast_like(data.growth_rate),
        half_life=lives.broadcast_like(data.half_life),
    )
    norm_plots.plot_norm_against_lag(known, ax=ax)
    assert list(named_at_the_end(ax)) == [
        "gain 0.5\nhalving in 2.8 steps",
        "gain 1\n+0.000 nats a step",
        "gain 2\ndoubling in 1.4 steps",
    ]
    some = known.assign(growth_rate=known.growth_rate.where(known.network_seed > 0))
    names = list(named_at_the_end(norm_plots.plot_norm_against_lag(some)))
    assert names[1] == "gain 1\n+0.000 nats a step (known of 2 of 3 networks)"
    none = known.assign(growth_rate=known.growth_rate * np.nan)
    names = list(named_at_the_end(norm_plots.plot_norm_against_lag(none, gains=[1.0])))
    assert names == ["gain 1\nno rate known"]


def test_four_gains_at_most_unless_asked_for(datasets):
    data = datasets["all-steps"]
    many = data.isel(gain=[0] * 8).assign_coords(gain=np.linspace(0.25, 2.0, 8))
    plots = (
        norm_plots.plot_norm_against_lag,
        norm_plots.plot_contributions,
        lambda d, **more: norm_plots.plot_norm_against_length(
            d, variable="log_gradient_norm", **more
        ),
    )
    for plot in plots:
        assert len(named_at_the_end(plot(many))) == 4
        assert len(named_at_the_end(plot(many, gains=many.gain.values.tolist()))) == 8
        alone = named_at_the_end(plot(data.isel(gain=[0])))
        assert [name.split("\n")[0] for name in alone] == ["gain 0.5"]


def test_rates_come_with_a_half_life_only_where_they_differ_from_0(datasets):
    data = norm_plots.one_network_set(datasets["all-steps"]).isel(length=-1).sel(gain=0.5)
    rate, text = norm_plots.median_rate(data)
    assert rate < 0
    assert text == f", halving in {np.log(2) / -rate:.1f} steps"
    up = data.assign(growth_rate=-data.growth_rate)
    assert "doubling" in norm_plots.median_rate(up)[1]
    mixed = data.growth_rate * np.array([-1.0, 0.0, 1.0])
    assert norm_plots.median_rate(data.assign(growth_rate=mixed))[1] == ""
    unknown = data.assign(half_life=data.half_life * np.nan)
    assert norm_plots.median_rate(unknown)[1] == ""


def test_norm_against_length_has_a_dot_for_every_network(datasets, ax):
    data = datasets["all-steps"]
    plot = norm_plots.plot_norm_against_length
    assert plot(data, variable="log_gradient_norm", ax=ax) is ax
    dots = marked(ax, ".")
    assert [line.get_xdata().size for line in dots] == [6, 6, 6]  # 3 networks x 2 lengths
    values = norm_plots.one_network_set(data).log_gradient_norm.sel(gain=0.5)
    values = (values - values.sel(length=8)).transpose("network_seed", "length")
    np.testing.assert_allclose(dots[0].get_ydata(), values.values.ravel() / LN10)
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "sequence length $T$ (steps)"
    assert "(1 at $T$ = 8)" in ax.get_ylabel()


def test_both_losses_stand_on_one_scale(datasets):
    with figures.style():
        figure = gradient_norms.draw(datasets)["norm-against-length"]
    assert [titled(ax) for ax in figure.axes] == [
        "(a) loss summed over all steps", "(b) loss per step that carries loss",
    ]  # fmt: skip
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    per_weight = norm_plots.one_network_set(datasets["all-steps"]).log_gradient_norm_per_weight
    growth = (per_weight.sel(length=16) - per_weight.sel(length=8)).median("network_seed") / LN10
    for gain, line in zip(growth.gain.values, labelled(figure.axes[1]).values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), [0.0, growth.sel(gain=gain)], atol=1e-12)


def test_contributions_go_back_from_the_end(datasets, ax):
    norm_plots.plot_contributions(datasets["all-steps"], ax=ax)
    data = norm_plots.one_network_set(datasets["all-steps"]).isel(length=-1)
    line = labelled(ax)["gain 0.5"]
    np.testing.assert_array_equal(line.get_xdata(), 16 - data.time.values)
    steps = data.log_step_norm.sel(gain=0.5).median("network_seed") / LN10
    np.testing.assert_allclose(line.get_ydata(), np.where(np.isfinite(steps), steps, np.nan))
    assert ax.get_xlabel() == "steps from $t$ to the end of the sequence"


def test_the_caption_says_how_much_of_the_parts_is_left(datasets):
    data = norm_plots.one_network_set(datasets["all-steps"]).isel(length=-1)
    caption = gradient_norms.draw(datasets)["contributions-against-time"].get_supxlabel()
    parts = [
        f"{data.cancellation.sel(gain=gain).median().item():.0%} at gain {gain:g}"
        for gain in (0.5, 1.0, 2.0)
    ]
    assert f"the norm of their sum is {', '.join(parts)} of the sum of" in caption
    unknown = datasets["all-steps"].assign(cancellation=datasets["all-steps"].cancellation * np.nan)
    drawn = gradient_norms.draw(datasets | {"all-steps": unknown})
    assert "not known at gain 0.5" in drawn["contributions-against-time"].get_supxlabel()


def test_map_is_blank_above_the_diagonal(datasets, ax):
    norm_plots.plot_map(datasets["map"], gain=2.0, ax=ax)
    shown = np.ma.filled(ax.collections[0].get_array().reshape(16, 16), np.nan)
    k, t = np.indices(shown.shape)
    np.testing.assert_array_equal(np.isnan(shown), k > t)  # t from 0: step t+1 has lags 0..t
    np.testing.assert_allclose(shown[0], 0.0)
    assert ax.get_ylabel() == "lag $k$ (steps back)"
    assert texts(ax)[-1] == "before the\nfirst step"


def test_contours_are_named_at_the_lag_that_they_stand_at(datasets, ax):
    """A norm that falls tenfold every two steps, and colours that end at 10^-8."""
    norms = -datasets["map"].lag * LN10 / 2
    data = datasets["map"].assign(log_norm_map=norms.where(datasets["map"].log_norm_map < np.inf))
    norm_plots.plot_map(data, gain=2.0, bound=8.0, ax=ax)
    lines = labelled(ax)
    assert {name: line.get_ydata()[0] for name, line in lines.items()} == {
        "$10^{-6}$": 12.0, "$10^{-4}$": 8.0, "$10^{-2}$": 4.0,
    }  # fmt: skip
    assert set(named_at_the_end(ax)) == set(lines)
    assert {line.get_xdata()[0] for line in lines.values()} == {16.5}


def test_maps_of_all_gains_have_one_scale(datasets):
    with figures.style():
        figure = gradient_norms.draw(datasets)["map-time-lag"]
    panels = [ax for ax in figure.axes if titled(ax)]
    assert [titled(ax) for ax in panels] == ["gain 0.5", "gain 2"]
    limits = {ax.collections[0].get_clim() for ax in panels}
    ((low, high),) = limits
    assert low == -high


def numbers(ax):
    """What stands in cells, by their row (gain) and column (length)."""
    found = {text.get_position(): text.get_text() for text in ax.texts if text.get_bbox_patch()}
    size = len({row for _, row in found}), len({column for column, _ in found})
    return [[found[column, row] for column in range(size[1])] for row in range(size[0])]


def test_phase_cells_carry_the_mean_change_and_the_conditions(datasets, ax):
    data = datasets["last-step"]
    phase_plots.plot_phase(data, ax=ax)
    change = norm_plots.one_network_set(data).log_change.mean("network_seed") / LN10
    change = change.transpose("gain", "length").values
    assert numbers(ax) == [[f"{v:+z.1f}" for v in row] for row in change]
    np.testing.assert_allclose(ax.collections[0].get_array().reshape(3, 2), change)
    small = data.assign(log_change=xr.full_like(data.log_change, -0.1))
    assert numbers(phase_plots.plot_phase(small)) == [["+0.0"] * 2] * 3  # 0 of a power of ten
    large = data.assign(log_change=xr.full_like(data.log_change, -123.4 * LN10))
    assert numbers(phase_plots.plot_phase(large)) == [["-123"] * 2] * 3
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.5", "1", "2"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8", "16"]


def test_numbers_stand_in_cells_that_have_room_for_them(datasets):
    data = norm_plots.one_network_set(datasets["last-step"])
    many = data.isel(length=[0] * 30).assign_coords(length=np.arange(30) + 1)
    ax = phase_plots.plot_phase(many)
    assert not [text for text in ax.texts if text.get_bbox_patch()]
    assert ax.collections[0].get_array().size == 90
    with worn(figures.Look(context="paper", width="89mm")), figures.style():
        assert numbers(phase_plots.plot_phase(data))


def test_theory_and_eigenvalues_are_marked_beside_the_axis(datasets, ax):
    data = norm_plots.one_network_set(datasets["last-step"])
    measures = {"spectral_norm": data.gain / 0.75, "spectral_radius": data.gain / 1.5}
    measures = {name: value.broadcast_like(data[name]) for name, value in measures.items()}
    phase_plots.plot_phase(data.assign(measures), ax=ax)
    norm, radius = labelled(ax).values()
    assert (norm.get_ydata()[0], radius.get_ydata()[0]) == (0.5, 1.5)  # between rows 0, 1 and 1, 2
    assert "must vanish" in norm.get_label()
    assert "rho" in radius.get_label()
    assert (norm.get_gid(), radius.get_gid()) == ("theory", None)
    assert norm.get_markerfacecolor() != radius.get_markerfacecolor()
    marks = [text for text in ax.texts if text.get_bbox_patch()]
    assert norm.get_xdata()[0] < 0.1 < min(text.get_position()[0] + 0.5 for text in marks)
    caption = gradient_norms.draw(datasets | {"last-step": data.assign(measures)})
    assert "Marks at the left" in caption["phase-gain-length"].get_supxlabel()
    far = data.assign({name: value * 100 for name, value in measures.items()})
    assert not labelled(phase_plots.plot_phase(far))
    caption = gradient_norms.draw(datasets | {"last-step": far})
    assert "Marks" not in caption["phase-gain-length"].get_supxlabel()


def test_borders_stand_where_gradients_begin_to_arrive_and_are_named(datasets, ax):
    last = norm_plots.one_network_set(datasets["last-step"])
    change = xr.DataArray(
        np.array([[-0.5, -3.0], [0.2, 0.9], [0.3, 1.5]]) * LN10,
        coords={"gain": last.gain, "length": last.length},
    )
    data = last.assign(log_change=change.broadcast_like(last.log_change))
    phase_plots.plot_phase(data, ax=ax)
    borders = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert sorted((*line.get_xdata(), *line.get_ydata()) for line in borders) == [
        (0.5, 0.5, -0.5, 0.5), (0.5, 0.5, 1.5, 2.5),
        (0.5, 1.5, 0.5, 0.5), (0.5, 1.5, 1.5, 1.5),
    ]  # fmt: skip
    names = [text for text in ax.texts if text.get_text() in {*named_at_the_end(ax)}]
    assert [(text.get_text().split()[0], text.wanted) for text in names] == [
        ("vanishes", 0.0), ("arrives:", 1.0), ("explodes", 2.0),
    ]  # fmt: skip
    one = phase_plots.plot_phase(data.isel(gain=[1], length=[0]))
    assert [name.split()[0] for name in named_at_the_end(one)] == ["arrives:"]


def test_critical_gain_is_where_the_measure_is_one(datasets):
    data = norm_plots.one_network_set(datasets["last-step"])
    gain = norm_plots.critical_gain(data, "spectral_norm")
    per_gain = data.spectral_norm.sel(gain=1.0)
    assert gain == pytest.approx(1 / float(per_gain.median()))


@pytest.mark.parametrize(
    "plot",
    [
        norm_plots.plot_norm_against_lag,
        norm_plots.plot_contributions,
        lambda data: norm_plots.plot_norm_against_length(data, variable="log_gradient_norm"),
        lambda data: norm_plots.plot_one_against_lag(data, gain=1.0),
    ],
)
def test_without_axes_a_figure_is_made(datasets, plot):
    assert plot(datasets["all-steps"]).figure is not None


def changed(datasets, decades, rate):
    """The same data with these changes over a sequence, one for each gain, and one growth rate."""
    last, every = datasets["last-step"], datasets["all-steps"]
    by_gain = xr.DataArray(np.array(decades) * LN10, dims="gain", coords={"gain": last.gain})
    fits = {"growth_rate": rate, "half_life": np.log(2) / abs(rate)}
    fits = {name: xr.full_like(every[name], value) for name, value in fits.items()}
    return datasets | {
        "last-step": last.assign(log_change=by_gain.broadcast_like(last.log_change)),
        "all-steps": every.assign(fits),
    }


def test_words_follow_the_data(datasets):
    sentences = facts(gradient_norms, changed(datasets, [-1.5, 0.5, 2.0], -0.25))
    assert sentences[0].endswith("vanish (shrink more than tenfold) at gain 0.5.")
    assert sentences[1].endswith("arrive within a factor of ten at gain 1.")
    assert sentences[2].endswith("explode (grow more than tenfold) at gain 2.")
    assert sentences[3] == "At gain 0.5 norms change by -0.250 nats a step, halving in 2.8 steps."
    opposite = facts(gradient_norms, changed(datasets, [1.5, -0.5, -2.0], 0.25))
    assert opposite[0].endswith("vanish (shrink more than tenfold) at gain 2.")
    assert opposite[2].endswith("explode (grow more than tenfold) at gain 0.5.")
    assert opposite[4] == "At gain 2 norms change by +0.250 nats a step, doubling in 2.8 steps."


def test_summary_and_phase_picture_use_one_statistic(datasets, ax):
    """Of three networks one loses nearly all: the mean of logs vanishes, the median does not."""
    last = datasets["last-step"]
    by_seed = xr.DataArray([-9.0 * LN10, 0.0, 0.0], coords={"network_seed": last.network_seed})
    split = last.assign(log_change=by_seed.broadcast_like(last.log_change))
    assert facts(gradient_norms, datasets | {"last-step": split})[0].endswith("gains 0.5, 1, 2.")
    phase_plots.plot_phase(split, ax=ax)
    assert numbers(ax) == [["-3.0"] * 2] * 3


def test_phase_picture_tells_exact_zeros_from_what_is_not_known(datasets, ax):
    last = datasets["last-step"]
    by_gain = xr.DataArray([-np.inf, np.nan, 0.0], coords={"gain": last.gain})
    edge = last.assign(log_change=by_gain.broadcast_like(last.log_change))
    phase_plots.plot_phase(edge, ax=ax)
    assert numbers(ax) == [["-inf"] * 2, ["?"] * 2, ["+0.0"] * 2]
    assert [name.split()[0] for name in named_at_the_end(ax)] == ["vanishes", "arrives:"]
    words = facts(gradient_norms, datasets | {"last-step": edge})
    assert words[3].startswith("What they do is not known at gain 1")
    assert words[4:6] == [
        "  Of 3 networks at gain 0.5: 3 exactly 0.",
        "  Of 3 networks at gain 1: 3 out of range and left out.",
    ]


def test_the_longest_length_is_meant_in_any_order(datasets):
    backwards = {
        name: data.isel(length=slice(None, None, -1), gain=slice(None, None, -1))
        for name, data in datasets.items()
    }
    assert facts(gradient_norms, backwards) == facts(gradient_norms, datasets)


def test_words_name_no_gain_where_there_is_none(datasets):
    flat = {name: data.copy() for name, data in datasets.items()}
    flat["last-step"] = flat["last-step"].assign(log_change=0 * flat["last-step"].log_change)
    sentences = facts(gradient_norms, flat)
    assert sentences[0].endswith("vanish (shrink more than tenfold) at no gain of this sweep.")
    assert sentences[1].endswith("at gains 0.5, 1, 2.")
