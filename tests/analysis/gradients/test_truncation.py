"""The truncation figures: artists, labels and scales; and words that follow the data."""

import numpy as np
import pytest
import xarray as xr
from artists import (
    configured,
    dashed,
    dotted,
    drawn_with_captions,
    faint,
    labelled,
    named_at_the_end,
    titled,
)
from recomputed import facts

import rnnsim
from analysis.frame import figures
from analysis.gradients import bias_variance_plots, norm_plots, truncation, truncation_plots
from rnnsim import tasks
from rnnsim.experiments import draws

LN10 = np.log(10.0)
ANALYSED = truncation
TINY = truncation.Settings(
    gain=(0.5, 1.0, 2.0), length=(12, 24), n_hidden=8, network_seeds=3, batch_size=2, n_batches=8,
    n_updates=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(datasets):
    return datasets["windows"]


@pytest.fixture(scope="module")
def batches(datasets):
    return datasets["bias-variance"]


def test_all_figures_are_drawn_with_captions(datasets):
    drawn_with_captions(
        truncation,
        datasets,
        "error-against-window",
        "sufficient-window",
        "segments-and-sliding",
        "geometric-bound",
        "bias-and-variance",
    )


@pytest.mark.parametrize(
    ("plot", "variable"),
    [("plot_error", "truncation_log_error"), ("plot_cosine", "truncation_cosine")],
)
def test_every_network_and_the_median_against_the_window(data, ax, plot, variable):
    assert getattr(truncation_plots, plot)(data, ax=ax) is ax
    chosen = norm_plots.one_network_set(data).sel(length=24, truncation="sliding")
    values = chosen[variable].transpose("gain", "network_seed", "window").values
    if plot == "plot_error":  # what rounding hides, and the whole sequence, are 0
        values = np.exp(np.where(np.isnan(values), -np.inf, values))
    networks = faint(ax)
    assert len(networks) == 9
    np.testing.assert_allclose([line.get_ydata() for line in networks], values.reshape(9, -1))
    medians = [line for name, line in labelled(ax).items() if name.startswith("gain")]
    np.testing.assert_allclose([line.get_ydata() for line in medians], np.median(values, axis=1))
    assert ax.get_xlabel() == "window $K$ (steps)"
    assert ax.get_xscale() == "log"
    assert ("error" in ax.get_ylabel()) == (plot == "plot_error")


def test_errors_stand_beside_the_tolerance(data, ax):
    truncation_plots.plot_error(data, ax=ax)
    (line,) = dotted(ax)
    assert set(line.get_ydata()) == {0.1}
    assert list(named_at_the_end(ax)) == ["10%:\ntolerance"]
    assert ax.yaxis.get_major_formatter()(0.25, 0) == "25%"
    low, high = ax.get_ylim()
    assert low < 0.0
    assert high >= np.exp(data.truncation_log_error.sel(length=24, truncation="sliding").max())
    strict = truncation_plots.plot_error(configured(data, tolerance=0.02))
    assert list(named_at_the_end(strict)) == ["2%:\ntolerance"]


def test_four_gains_at_most_unless_asked_for(data):
    many = data.isel(gain=[0] * 8).assign_coords(gain=np.linspace(0.25, 2.0, 8))
    for plot in (truncation_plots.plot_error, truncation_plots.plot_cosine):
        for expected, gains in ((4, None), (8, many.gain.values.tolist())):
            lines = labelled(plot(many, gains=gains))
            assert sum(name.startswith("gain") for name in lines) == expected
        assert "gain 0.5" in labelled(plot(data.isel(gain=[0])))


def test_what_is_named_above_the_panels_is_drawn_in_them(datasets):
    with figures.style():
        drawn = truncation.draw(datasets)
    names = {
        name: [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        for name, figure in drawn.items()
    }
    assert names["error-against-window"] == ["gain 0.5", "gain 1", "gain 2"]
    assert names["segments-and-sliding"] == ["sliding (stride 1)", "segments (stride K)"]
    assert names["geometric-bound"] == ["exact error (measured)", "geometric bound"]
    assert names["bias-and-variance"][:4] == [
        "bias$^2$", "variance ($B$ = 2)", "sum", "best window",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("window", "truncation", "expected"),
    [
        (1, "sliding", 1.0),
        (1, "segments", 1.0),
        (4, "segments", 2.5),
        (8, "segments", 4.5),
        (8, "sliding", 4.5),
        (3, "segments", (1 + 2 + 3 + 1 + 2 + 3 + 1 + 2) / 8),
        (3, "sliding", (1 + 2 + 3 * 6) / 8),
    ],
)
def test_mean_reach(window, truncation, expected):
    assert truncation_plots.mean_reach(window, 8, truncation)[0] == pytest.approx(expected)


def test_no_mean_reach_is_longer_than_the_caption_says(datasets):
    windows = np.arange(1, 25)
    most = {"segments": (windows + 1) / 2, "sliding": windows}
    for name, reach in most.items():
        assert (truncation_plots.mean_reach(windows, 24, name) <= reach).all()
    words = truncation.draw(datasets)["segments-and-sliding"].get_supxlabel()
    assert "at most (K + 1)/2 steps in segments" in " ".join(words.split())


def test_bias_and_variance_are_of_one_scale_before_and_after_training(datasets):
    figure = truncation.draw(datasets)["bias-and-variance"]
    (low, high), after = (ax.get_ylim() for ax in figure.axes[:2])
    assert after == (low, high)
    for moment in ("before", "after"):
        alone = bias_variance_plots.plot_bias_variance(datasets["bias-variance"], moment=moment)
        assert low <= alone.get_ylim()[0]
        assert high >= alone.get_ylim()[1]


def test_segments_and_sliding_share_the_axes(data, ax):
    truncation_plots.plot_truncations(data, gain=1.0, against="reach", ax=ax)
    data = norm_plots.one_network_set(data)
    segments = labelled(ax)["segments (stride K)"]
    reach = truncation_plots.mean_reach(data.window.values, 24, "segments")
    np.testing.assert_allclose(segments.get_xdata(), reach)
    assert ax.get_xlabel() == "mean reach of a loss (steps)"


def test_the_bound_lies_above_the_exact_error(data, ax):
    """For every network, and so in the medians that are drawn."""
    truncation_plots.plot_bound(data, gain=0.5, ax=ax)
    (line,) = dashed(ax)
    exact = norm_plots.one_network_set(data).isel(length=-1).sel(gain=0.5, truncation="sliding")
    bounds = [bound.log_bound / LN10 for bound in truncation_plots.bounds_of(data, 0.5)]
    for seed, bound in enumerate(bounds):
        errors = exact.truncation_log_error.isel(network_seed=seed).values / LN10
        known = np.isfinite(bound) & np.isfinite(errors)
        assert known.sum() >= 3
        assert (bound[known] >= errors[known]).all()
    expected = np.median(bounds, axis=0)
    expected = np.where(np.isfinite(expected), expected, np.nan)
    np.testing.assert_allclose(line.get_ydata(), expected)
    middles = labelled(ax)["exact error (measured)"].get_ydata()
    known = np.isfinite(middles) & np.isfinite(expected)
    assert known.sum() >= 3
    assert (expected[known] >= middles[known]).all()


def test_a_network_without_a_bound_counts_as_infinite(data, ax):
    """Of three: where one has none the median is the larger of the others, where two, none."""
    own = [bound.log_bound / LN10 for bound in truncation_plots.bounds_of(data, 0.5)]
    one = data.assign(log_rms=data.log_rms.where(data.network_seed > 0, data.lag * 1.0))
    (line,) = dashed(truncation_plots.plot_bound(one, gain=0.5, ax=ax))
    expected = np.maximum(*own[1:])
    np.testing.assert_allclose(line.get_ydata(), np.where(np.isfinite(expected), expected, np.nan))
    two = data.assign(log_rms=data.log_rms.where(data.network_seed > 1, data.lag * 1.0))
    (line,) = dashed(truncation_plots.plot_bound(two, gain=0.5))
    assert np.isnan(line.get_ydata()).all()


def test_panels_of_the_bound_say_the_decay(datasets, data):
    with figures.style():
        panels = truncation.draw(datasets)["geometric-bound"].axes
    betas = [bound.beta for bound in truncation_plots.bounds_of(data, 0.5)]
    assert titled(panels[0]) == f"gain 0.5: decay factor {np.median(betas):.2f}"
    caption = panels[0].figure.get_supxlabel()
    assert f"from lag {truncation_plots.bounds_of(data, 0.5)[0].tau} on" in caption
    dead = datasets | {"windows": data.assign(log_rms=data.log_rms * np.nan)}
    with figures.style():
        panels = truncation.draw(dead)["geometric-bound"].axes
    assert titled(panels[0]) == "gain 0.5: decay factor not known"


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
@pytest.mark.parametrize("task", ["adding", "echo"])
def test_no_exact_error_lies_above_its_bound(activation, task):
    """The identity at gain 0.95 keeps states of relu and linear units far above 1."""
    settings = truncation.Settings(
        task=task, activation=activation, scheme="identity", gain=(0.5, 0.95), length=(24,),
        n_hidden=8, network_seeds=4, batch_size=2, n_threads=1, windows=tuple(range(1, 25)),
        n_batches=2, n_updates=0,
    )  # fmt: skip
    dataset = truncation.compute(settings, progress=False)["windows"]
    exact = norm_plots.one_network_set(dataset).isel(length=-1).sel(truncation="sliding")
    compared = 0
    for gain in (0.5, 0.95):
        for seed, bound in enumerate(truncation_plots.bounds_of(dataset, gain)):
            errors = exact.truncation_log_error.sel(gain=gain, network_seed=seed).values
            known = np.isfinite(bound.log_bound) & np.isfinite(errors)
            assert (errors[known] <= bound.log_bound[known]).all()
            compared += known.sum()
    assert compared > 50


@pytest.mark.parametrize(
    ("activation", "bound"), [("tanh", 4.0), ("sigmoid", 4.0), ("relu", 7.5), ("linear", 7.5)]
)
def test_states_are_bounded_where_their_units_are(activation, bound):
    dataset = xr.Dataset(coords={"activation": [activation], "n_hidden": [16]})
    assert truncation_plots.state_bound(dataset, largest=7.5) == bound


def test_largest_norm_of_a_state_and_steps_that_reach_a_lag(data):
    job = norm_plots.one_network_set(data).isel(length=-1)
    assert (job.loss_steps == 24 - job.lag).all()
    short = norm_plots.one_network_set(data).isel(length=0, network_seed=0, gain=0).loss_steps
    assert np.isnan(short.values[12:]).all()
    assert short.values[:12].tolist() == list(range(12, 0, -1))
    networks = draws.paired_networks(
        [0, 1, 2], [2.0] * 3, sizes=tasks.sizes("characters"), n_hidden=8, scheme="gaussian",
        activation="tanh", dtype="float64",
    )  # fmt: skip
    batch = draws.paired_data("characters", 24, batch_size=2, seed=0, dtype="float64", options={})
    states = rnnsim.forward(networks, batch.inputs).states
    largest = np.sqrt((states**2).sum(axis=-1)).max(axis=(1, 2))
    np.testing.assert_allclose(job.largest_state_norm.sel(gain=2.0), largest)


def test_where_the_bound_says_nothing_is_said_of_all_networks(datasets, data):
    rising = data.assign(log_rms=data.lag * (1.0 - 2.0 * (data.network_seed > 0)))
    words = facts(truncation, datasets | {"windows": rising})[4]
    assert words.endswith("none of the gains; for some networks at gain 0.5 (1 of 3), 1 (1 of 3), "
                          "2 (1 of 3).")  # fmt: skip
    alone = facts(truncation, datasets | {"windows": rising.isel(network_seed=[0])})[4]
    assert alone.endswith("at gains 0.5, 1, 2.")


def test_medians_count_errors_that_rounding_hides(data, ax):
    hidden = data.truncation_log_error.where(data.network_seed == 0)
    changed = data.assign(truncation_log_error=hidden)
    truncation_plots.plot_error(changed, ax=ax)
    assert not labelled(ax)["gain 1"].get_ydata().any()  # two of three lie below what is known
    logs = truncation_plots.plot_one_error(changed, length=24, gain=1.0)
    assert np.isnan(labelled(logs)["gain 1"].get_ydata()).all()
    nothing = data.assign(log_gradient_norm=data.log_gradient_norm * np.nan)
    nothing = nothing.assign(truncation_log_error=data.truncation_log_error * np.nan)
    lines = labelled(truncation_plots.plot_error(nothing))
    assert np.isnan(lines["gain 1"].get_ydata()).all()  # not known is not 0


def test_words_follow_the_data(datasets, data):
    sentences = facts(truncation, datasets)
    assert sentences[0].startswith("At gain 0.5 a gradient within 10% needs a window of")
    altered = data.assign(
        sufficient_window=data.length + 1 - data.sufficient_window,
        truncation_log_error=data.truncation_log_error.isel(
            truncation=slice(None, None, -1)
        ).assign_coords(truncation=data.truncation),
        log_rms=-data.log_rms,
    )
    opposite = facts(truncation, datasets | {"windows": altered})
    assert all(a != b for a, b in zip(sentences[:1], opposite[:1], strict=True))
    assert "segments err more" in sentences[3]
    assert "segments err no more" in opposite[3]
    assert sentences[4] != opposite[4]
    unknown = data.assign(sufficient_window=data.sufficient_window * np.nan)
    assert "no window that is known" in facts(truncation, datasets | {"windows": unknown})[0]


def test_settings_go_to_both_sweeps(batches):
    settings = figures.configuration(batches)
    assert (settings["length"], settings["gain"]) == (24, 1.0)
    assert (settings["n_batches"], settings["n_updates"]) == (8, 3)
    assert batches.window.values.tolist() == [1, 2, 3, 4, 6, 8, 11, 16, 23, 24]
    assert batches.batch.values.tolist() == [2, 8, 32]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_bias_variance_and_their_sum_against_the_window(batches, moment, ax):
    assert bias_variance_plots.plot_bias_variance(batches, moment=moment, ax=ax) is ax
    here = batches.sel(moment=moment)
    bias2 = here.bias2_estimate.transpose("network_seed", "window").values
    variance = here.variance_estimate.transpose("network_seed", "window").values
    lines = labelled(ax)
    assert list(lines)[:4] == ["bias$^2$", "variance ($B$ = 2)", "sum", "best window"]
    for i, values in enumerate([bias2, variance, np.maximum(bias2, 0) + variance]):
        drawn = np.array([line.get_ydata() for line in faint(ax)[3 * i : 3 * i + 3]])
        known = values > 0
        np.testing.assert_allclose(drawn[known], np.log10(values[known]))
        assert np.isnan(drawn[~known]).all()
    at = here.sel(batch=2)
    star = lines["best window"]
    assert star.get_marker() == "*"
    np.testing.assert_allclose(star.get_xdata(), [np.median(at.best_window)])
    np.testing.assert_allclose(star.get_ydata(), [np.log10(np.median(at.best_error))])
    horizon = float(np.median(at.horizon))
    assert ("horizon" in lines) == (horizon >= 0)
    if horizon >= 0:
        assert set(lines["horizon"].get_xdata()) == {horizon + 1}
    assert not dotted(ax)  # nothing in it was set
    assert ax.get_xlabel() == "window $K$ (steps)"
    assert ax.get_ylabel().startswith("squared error")


def test_the_horizon_is_drawn_where_there_is_one(batches, ax):
    some = batches.assign(horizon=batches.horizon * 0 + [[[3.0], [5.0], [4.0]]])
    bias_variance_plots.plot_bias_variance(some, moment="before", ax=ax)
    horizon = labelled(ax)["horizon"]
    assert (horizon.get_xdata()[0], horizon.get_ydata()[0]) == (5.0, 0.0)
    assert horizon.get_transform() == ax.get_xaxis_transform()  # on the axis
    none = batches.assign(horizon=batches.horizon * 0 - 1)
    other = bias_variance_plots.plot_bias_variance(none, moment="before")
    assert "horizon" not in labelled(other)


def test_the_best_window_against_the_batch_size(batches, ax):
    assert bias_variance_plots.plot_best_window(batches, ax=ax) is ax
    lines = labelled(ax)
    assert list(lines) == ["before\ntraining", "after\ntraining", "whole\nsequence"]
    assert set(named_at_the_end(ax)) == set(lines)
    for moment in ("before", "after"):
        medians = batches.best_window.sel(moment=moment).median("network_seed")
        np.testing.assert_allclose(lines[f"{moment}\ntraining"].get_ydata(), medians)
        assert lines[f"{moment}\ntraining"].get_xdata().tolist() == [2, 8, 32]
    assert [line.get_ydata()[0] for line in dotted(ax)] == [24]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlabel() == "batch size $B$ (sequences)"
    assert ax.get_ylabel() == "best window (steps)"
