"""The figures of four architectures: artists, labels; and words that follow the data."""

import json

import numpy as np
import pytest
from artists import dashed, drawn_with_captions, faint, texts

from analysis.frame import figures
from analysis.frame.figures import decades
from analysis.networks import architecture_plots, architectures

NAMES = ("characters", "sentences", "translation", "captions")


@pytest.fixture(scope="module")
def datasets():
    found = {}
    for name in NAMES:
        settings = architectures.Settings(
            architecture=(name,),
            network_seeds=2,
            n_updates=4,
            n_hidden=5,
            batch_size=3,
            n_steps={"characters": 30, "sentences": 15}.get(name),
            n_records=2,
            dtype="float64",
        )
        found |= architectures.compute(settings, progress=False)
    return found


def test_all_figures_are_drawn_with_captions(datasets):
    names = ["held-out-scores", *(f"gradient-flow-{name}" for name in NAMES)]
    drawn = drawn_with_captions(architectures, datasets, *names)
    pictures = [a for a in drawn["gradient-flow-captions"].axes if a.images]
    assert len(pictures) == 6


def test_one_architecture_alone(datasets):
    alone = {"captions": datasets["captions"]}
    drawn_with_captions(architectures, alone, "held-out-scores", "gradient-flow-captions")


@pytest.mark.parametrize("name", NAMES)
def test_map_shows_the_mean_over_networks(datasets, ax, name):
    data = datasets[name]
    assert architecture_plots.plot_gradient_map(data, moment="after", limits=(-5, 0), ax=ax) is ax
    shown = ax.collections[0].get_array()
    expected = decades(data.log_norms.sel(moment="after").mean("network_seed", skipna=False))
    known = np.isfinite(expected)
    np.testing.assert_array_equal(~np.ma.getmaskarray(shown), known)
    np.testing.assert_allclose(np.asarray(shown)[known], expected[known])
    assert ax.get_xlabel().startswith("step $s$ of the state")
    assert ax.get_ylabel() == "step $t$ of the loss"
    assert ("decoder" in texts(ax)) == (name in {"translation", "captions"})
    assert ("encoder" in texts(ax)) == (name == "translation")


@pytest.mark.parametrize("name", NAMES)
def test_the_window_divides_what_is_kept_from_what_is_cut_off(datasets, ax, name):
    data = datasets[name]
    K = figures.configuration(data)["window"]
    architecture_plots.plot_gradient_map(data, moment="before", limits=(-5, 0), ax=ax)
    assert f"K = {K}" in texts(ax)
    line = dashed(ax)[0]
    x, y = line.get_xdata(), line.get_ydata()
    if name == "sentences":
        assert x.tolist() == [data.loss_step[-1] - K + 0.5] * 2
    else:
        np.testing.assert_array_equal(y - x, [K, K])  # between the places t - K and t - K + 1


def test_scores_every_network_median_and_dashed_baselines(datasets, ax):
    data = datasets["characters"]
    architecture_plots.plot_scores(data, ax=ax)
    np.testing.assert_allclose(np.array([line.get_ydata() for line in faint(ax)]), data.score)
    baselines = [line.get_ydata()[0] for line in dashed(ax)]
    np.testing.assert_allclose(baselines, data.baseline_score)
    assert texts(ax) == ["uniform", "unigram", "bigram"]
    assert ax.get_ylabel() == "bits per character"


def test_the_one_row_of_sentences_as_curves(datasets, ax):
    data = datasets["sentences"]
    architecture_plots.plot_row(data, moment="before", ax=ax)
    expected = decades(data.log_norms.sel(moment="before").isel(loss_step=0))
    np.testing.assert_allclose(np.array([line.get_ydata() for line in faint(ax)]), expected)


def test_pictures_weigh_gradients_by_the_spread_of_pixels(datasets, ax):
    data = datasets["captions"]
    architecture_plots.plot_picture(data, moment="after", word="the digit", ax=ax)
    gradients = data.pixel_gradients.sel(moment="after", word="the digit").mean("network_seed")
    expected = (gradients * data.pixel_spread).values.reshape(8, 8)
    np.testing.assert_allclose(ax.images[0].get_array(), expected / expected.max())


def test_colours_span_both_moments_down_to_a_floor(datasets):
    data = datasets["translation"]
    both = decades(data.log_norms.mean("network_seed", skipna=False))
    low, high = architecture_plots.map_limits(data, floor=3.0)
    assert high == np.nanmax(both)
    assert low == max(np.nanmin(both), high - 3.0)
    one = decades(data.log_norms.sel(moment="before").mean("network_seed", skipna=False))
    assert architecture_plots.map_limits(data, ["before"])[1] == np.nanmax(one)
    assert architecture_plots.map_limits(data.assign(log_norms=data.log_norms * np.nan)) == (-1, 0)


def test_what_is_left_some_steps_back(datasets):
    data = datasets["characters"]
    lags = data.loss_step - data.place
    rate = data.assign(log_norms=(data.log_norms * 0.0 - 0.1 * np.log(10.0) * lags))
    K, left = architecture_plots.kept(rate, "after")
    assert (K, left) == (25, pytest.approx(-2.5))


def test_words_follow_the_data(datasets):
    words = architectures.summarise(datasets)
    assert words[0].startswith("characters (many to many): cost of the next character, median of 2")
    assert sum("of the losses miss the boundary" in word for word in words) == 2
    for name, better in (("characters", 0.0), ("captions", 1.0)):
        data = datasets[name]
        best = architectures.summarise({name: data.assign(score=data.score * 0 + better)})
        assert "better than all of them" in best[0]
        worst = architectures.summarise({name: data.assign(score=data.score * 0 + 9 - 9 * better)})
        assert "not better than" in worst[0]
    data = datasets["captions"]
    right = data.assign_attrs(examples=json.dumps([["(a picture)", "a six", "a six"]]))
    assert "(right)" in architectures.summarise({"captions": right})[2]
    wrong = data.assign_attrs(examples=json.dumps([["(a picture)", "a one", "a six"]]))
    assert "it should be 'a six'" in architectures.summarise({"captions": wrong})[2]
    grown = data.assign(log_norms=-data.log_norms)
    assert "grown to" in architectures.summarise({"captions": grown})[1]
