"""The truncation figures: artists, labels and scales; and words that follow the data."""

import numpy as np
import pytest
import xarray as xr
from artists import dashed, drawn_with_captions, faint, labelled
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
    ("variable", "scale"), [("truncation_log_error", LN10), ("truncation_cosine", 1.0)]
)
def test_every_network_and_the_median_against_the_window(data, ax, variable, scale):
    assert truncation_plots.plot_against_window(data, variable, length=24, ax=ax) is ax
    chosen = norm_plots.one_network_set(data).sel(length=24, truncation="sliding", gain=1.0)
    values = chosen[variable].transpose("network_seed", "window").values / scale
    values = np.where(np.isfinite(values), values, np.nan)
    networks = faint(ax)
    assert len(networks) == 9
    np.testing.assert_allclose(np.array([line.get_ydata() for line in networks[3:6]]), values)
    assert ax.get_xlabel() == "window $K$ (steps)"
    assert ax.get_xscale() == "log"
    assert ("error" in ax.get_ylabel()) == (scale == LN10)


def test_sufficient_window_against_gain(data, ax):
    truncation_plots.plot_sufficient_window(data, ax=ax)
    data = norm_plots.one_network_set(data)
    medians = [line for line in ax.lines if line.get_label().startswith("T =")]
    assert [line.get_label() for line in medians] == ["T = 12", "T = 24"]
    expected = data.sufficient_window.sel(length=24).median("network_seed")
    np.testing.assert_allclose(medians[1].get_ydata(), expected)
    assert ax.get_ylabel() == "sufficient window at 10% (steps)"
    levels = [line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1]
    assert {12, 24} <= set(levels)


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


def test_segments_and_sliding_share_the_axes(data, ax):
    truncation_plots.plot_truncations(data, gain=1.0, against="reach", ax=ax)
    data = norm_plots.one_network_set(data)
    segments = labelled(ax)["segments (stride K)"]
    reach = truncation_plots.mean_reach(data.window.values, 24, "segments")
    np.testing.assert_allclose(segments.get_xdata(), reach)
    assert ax.get_xlabel() == "mean reach of a loss (steps)"


def test_the_bound_lies_above_the_exact_error(data, ax):
    truncation_plots.plot_bound(data, gain=0.5, ax=ax)
    bounds = dashed(ax)
    assert len(bounds) == 3
    exact = norm_plots.one_network_set(data).isel(length=-1).sel(gain=0.5, truncation="sliding")
    for seed, line in enumerate(bounds):
        errors = exact.truncation_log_error.isel(network_seed=seed).values / LN10
        bound = line.get_ydata()
        known = np.isfinite(bound) & np.isfinite(errors)
        assert known.sum() >= 3
        assert (bound[known] >= errors[known]).all()
    assert r"\beta" in ax.get_title()


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
    ax = truncation_plots.plot_bound(dataset, gain=0.95)
    assert ("sqrt{H}" in ax.get_title()) == (activation == "tanh")


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
    truncation_plots.plot_against_window(changed, "truncation_log_error", length=24, ax=ax)
    assert np.isnan(
        labelled(ax)["gain 1"].get_ydata()
    ).all()  # two of three lie below what is known


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
    assert ax.get_xlabel() == "window $K$ (steps)"
    assert ax.get_ylabel().startswith("squared error")


def test_the_horizon_is_drawn_where_there_is_one(batches, ax):
    some = batches.assign(horizon=batches.horizon * 0 + [[[3.0], [5.0], [4.0]]])
    bias_variance_plots.plot_bias_variance(some, moment="before", ax=ax)
    assert set(labelled(ax)["horizon"].get_xdata()) == {5.0}
    none = batches.assign(horizon=batches.horizon * 0 - 1)
    other = bias_variance_plots.plot_bias_variance(none, moment="before")
    assert "horizon" not in labelled(other)


def test_the_best_window_against_the_batch_size(batches, ax):
    assert bias_variance_plots.plot_best_window(batches, ax=ax) is ax
    lines = labelled(ax)
    assert list(lines) == ["before training", "after training"]
    for moment in ("before", "after"):
        medians = batches.best_window.sel(moment=moment).median("network_seed")
        np.testing.assert_allclose(lines[f"{moment} training"].get_ydata(), medians)
        assert lines[f"{moment} training"].get_xdata().tolist() == [2, 8, 32]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlabel() == "batch size $B$ (sequences)"
    assert ax.get_ylabel() == "best window (steps)"
