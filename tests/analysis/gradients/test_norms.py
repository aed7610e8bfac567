"""The gradient-norm figures: artists, labels and scales; and words that follow the data."""

import numpy as np
import pytest
import xarray as xr
from artists import dashed, drawn_with_captions, faint, labelled, marked, texts
from recomputed import facts

from analysis.gradients import gradient_norms, norm_plots

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


def test_norm_against_lag_shows_every_network_the_median_and_the_fit(datasets, ax):
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
    fits = dashed(ax)
    assert len(fits) == 3
    x, y = fits[0].get_data()
    rate = float(chosen.growth_rate.sel(gain=0.5).median())
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(rate / LN10)
    assert "nats/step" in medians[0].get_label()
    assert ax.get_xlabel() == "lag $k$ (steps)"
    assert ax.yaxis.get_major_formatter()(-3.0, 0) == "$10^{-3}$"


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
    assert norm_plots.plot_norm_against_length(data, "log_gradient_norm", ax=ax) is ax
    dots = marked(ax, ".")
    assert [line.get_xdata().size for line in dots] == [6, 6, 6]  # 3 networks x 2 lengths
    values = norm_plots.one_network_set(data).log_gradient_norm.sel(gain=0.5)
    expected = values.transpose("network_seed", "length").values.ravel() / LN10
    np.testing.assert_allclose(dots[0].get_ydata(), expected)
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "sequence length $T$ (steps)"


def test_contributions_name_the_cancellation(datasets, ax):
    norm_plots.plot_contributions(datasets["all-steps"], ax=ax)
    data = norm_plots.one_network_set(datasets["all-steps"]).isel(length=-1)
    expected = float(data.cancellation.sel(gain=0.5).median())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == f"gain 0.5: sum/terms {expected:.2g}"
    assert ax.get_xlabel() == "step $t$"


def test_map_is_blank_above_the_diagonal(datasets, ax):
    norm_plots.plot_map(datasets["map"], gain=2.0, ax=ax)
    shown = np.ma.filled(ax.collections[0].get_array().reshape(16, 16), np.nan)
    k, t = np.indices(shown.shape)
    np.testing.assert_array_equal(np.isnan(shown), k > t)  # t from 0: step t+1 has lags 0..t
    np.testing.assert_allclose(shown[0], 0.0)
    assert ax.get_ylabel() == "lag $k$ (steps)"


def test_phase_cells_carry_the_mean_change_and_the_conditions(datasets, ax):
    data = datasets["last-step"]
    norm_plots.plot_phase(data, ax=ax)
    change = norm_plots.one_network_set(data).log_change.mean("network_seed") / LN10
    assert texts(ax) == [f"{v:+z.1f}" for v in change.transpose("length", "gain").values.ravel()]
    small = data.assign(log_change=xr.full_like(data.log_change, -0.1))
    assert {*texts(norm_plots.plot_phase(small))} == {"+0.0"}  # 0 of a power of ten, not -0
    lines = labelled(ax)
    assert any("Pascanu" in label for label in lines)
    assert any("rho" in label for label in lines)
    assert lines[r"$\sigma_{max}(W_{hh}) = 1$ (Pascanu)"].get_linestyle() == "--"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.5", "1", "2"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["8", "16"]


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
        lambda data: norm_plots.plot_norm_against_length(data, "loss"),
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
    norm_plots.plot_phase(split, ax=ax)
    assert texts(ax) == ["-3.0"] * 6


def test_phase_picture_tells_exact_zeros_from_what_is_not_known(datasets, ax):
    last = datasets["last-step"]
    by_gain = xr.DataArray([-np.inf, np.nan, 0.0], coords={"gain": last.gain})
    edge = last.assign(log_change=by_gain.broadcast_like(last.log_change))
    norm_plots.plot_phase(edge, ax=ax)
    assert texts(ax) == ["-inf", "?", "+0.0"] * 2
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
