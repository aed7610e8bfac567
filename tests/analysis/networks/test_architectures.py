"""The figures of four architectures: artists, labels; and words that follow the data."""

import json

import numpy as np
import pytest
from artists import dashed, dotted, drawn_with_captions, faint, labelled, marked, texts
from recomputed import facts, told_as

from analysis.frame import figures
from analysis.frame.figures import decades
from analysis.frame.words import Answer
from analysis.networks import architecture_plots, architectures

NAMES = ("characters", "sentences", "translation", "captions")


def changed(data, **values):
    """The dataset with other values of some variables, of the same units and names."""
    return data.assign(
        {
            name: data[name].copy(data=np.broadcast_to(value, data[name].shape))
            for name, value in values.items()
        }
    )


@pytest.fixture(scope="module")
def datasets():
    found = {}
    for name in NAMES:
        settings = architectures.Settings(
            architecture=(name,),
            cell=("vanilla",),
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
    names = ["held-out-scores", *(f"gradient-flow-{name}" for name in NAMES), "pixels-captions"]
    drawn = drawn_with_captions(architectures, datasets, *names)
    data = datasets["captions"]
    pictures = [a for a in drawn["pixels-captions"].axes if a.images]
    assert len(pictures) == data.sizes["word"] == 3
    for picture, word in zip(pictures, data.word.values, strict=True):
        gradients = data.pixel_gradients.sel(moment="after", word=word).mean("network_seed")
        expected = (gradients * data.pixel_spread).values.reshape(8, 8)
        np.testing.assert_allclose(picture.images[0].get_array(), expected / expected.max())


@pytest.mark.parametrize("name", ["characters", "translation", "captions"])
def test_maps_that_are_compared_have_one_scale(datasets, name):
    figure = architectures.draw({name: datasets[name]})[f"gradient-flow-{name}"]
    limits = [ax.collections[0].get_clim() for ax in figure.axes[:2]]
    assert limits == [architecture_plots.map_limits(datasets[name])] * 2


def test_one_architecture_alone(datasets):
    alone = {"captions": datasets["captions"]}
    names = ("held-out-scores", "gradient-flow-captions", "pixels-captions")
    drawn_with_captions(architectures, alone, *names)


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
    (line,) = dotted(ax)
    assert not dashed(ax)
    x, y = line.get_xdata(), line.get_ydata()
    if name == "sentences":
        assert x.tolist() == [data.loss_step[-1] - K + 0.5] * 2
    else:
        np.testing.assert_array_equal(y - x, [K, K])  # between the places t - K and t - K + 1


def test_scores_every_network_median_and_level_baselines(datasets, ax):
    data = datasets["characters"]
    architecture_plots.plot_scores(data, ax=ax)
    np.testing.assert_allclose(np.array([line.get_ydata() for line in faint(ax)]), data.score)
    lines = labelled(ax)
    assert list(lines) == ["validation", "uniform", "unigram", "bigram"]
    np.testing.assert_allclose(lines.pop("validation").get_ydata(), data.score.median(axis=0))
    baselines = [line.get_ydata()[0] for line in lines.values()]
    np.testing.assert_allclose(baselines, data.baseline_score)
    assert not dashed(ax)
    (test,) = marked(ax, "D")
    np.testing.assert_array_equal(test.get_ydata(), data.test_score)
    np.testing.assert_array_equal(test.get_xdata(), [4, 4])
    assert texts(ax) == ["validation", "uniform", "unigram", "bigram"]
    assert ax.get_ylabel() == "bits per character"
    low, high = ax.get_ylim()
    assert low < 0 < data.score.max() < high


@pytest.mark.parametrize("name", ["characters", "captions"])
def test_scores_that_are_not_finite_leave_the_axis_as_it_is(datasets, ax, name):
    data = datasets[name]
    architecture_plots.plot_scores(data, ax=ax)
    expected = ax.get_ylim()
    score, test = data.score.values.copy(), data.test_score.values.copy()
    score[1, -1], test[1] = np.inf, np.nan
    _, other = figures.new_figure()
    architecture_plots.plot_scores(changed(data, score=score, test_score=test), ax=other)
    assert other.get_ylim() == pytest.approx(expected, rel=0.1)


def test_the_caption_says_how_rates_were_chosen(datasets):
    def caption(data):
        with figures.style():
            return architectures.draw({"captions": data})["held-out-scores"].get_supxlabel()

    data = datasets["captions"]
    assert "on validation data, which also chose the rates; thin" in caption(data)
    assert "Lines: scores on validation data; thin" in caption(changed(data, trial_updates=0))


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


def lines(data, name="captions"):
    """What is said of one architecture: score, rate, perhaps divergence, flow, example."""
    return facts(architectures, {name: data})


def test_words_follow_the_data(datasets):
    words = facts(architectures, datasets)
    assert words[0].startswith(
        "characters (many to many): cost of the next character, test part, median of 2 networks "
        "after 4 updates "
    )
    assert sum("of the losses miss the boundary" in word for word in words) == 2
    data = datasets["captions"]
    right = data.assign_attrs(examples=json.dumps([["(a picture)", "a six", "a six"]]))
    assert "(right)" in lines(right)[-1]
    wrong = data.assign_attrs(examples=json.dumps([["(a picture)", "a one", "a six"]]))
    assert "it should be 'a six'" in lines(wrong)[-1]
    grown = data.assign(log_norms=-data.log_norms)
    assert "grown to" in lines(grown)[-2]
    gone = data.assign(log_norms=data.log_norms.where(data.place == data.loss_step, -np.inf))
    assert "left with nothing of its size (nothing before training)" in lines(gone)[-2]


@pytest.mark.parametrize(("name", "best", "worst"), [("characters", 0, 9), ("captions", 1, 0)])
def test_the_verdict_is_of_the_test_part(datasets, name, best, worst):
    """Whatever the validation part says."""
    data = datasets[name]
    for score, words in ((best, "better than all of them"), (worst, "not better than: ")):
        said = lines(changed(data, test_score=score, score=best + worst - score))[0]
        assert words in said
        assert f" {score:.3g} ({score:.3g} to {score:.3g})" in said
        with_scores = {name: changed(data, test_score=score, score=best + worst - score)}
        beaten = ", ".join(data.baseline.values)
        answer = "beats every simple rule" if score == best else f"does not beat: {beaten}"
        assert told_as(architectures, with_scores, Answer) == [f"What was learned {answer}."]
    level = changed(data, test_score=data.baseline_score[0])
    assert f"not better than: {data.baseline.values[0]}" in lines(level)[0]


@pytest.mark.parametrize(("name", "worst"), [("characters", "inf"), ("captions", "0")])
def test_networks_without_a_score_count_as_the_worst(datasets, name, worst):
    data = datasets[name]
    none = lines(changed(data, test_score=np.nan))[0]
    assert f" updates {worst} ({worst} to {worst})" in none
    assert f"not better than: {', '.join(data.baseline.values)}" in none
    one = lines(changed(data, test_score=[np.nan, 0.9]))[0]
    assert f" updates {'inf (0.9 to inf)' if worst == 'inf' else '0.45 (0 to 0.9)'}" in one


def test_words_on_what_so_few_items_tell(datasets):
    data = changed(datasets["captions"], n_test=100, test_score=0.6, baseline_score=[0.1, 0.5, 0.7])
    names = data.baseline.values
    assert lines(data)[2] == (
        "  Of 100 test items a share of 0.6 may be 0.502 to 0.691 (95%); too few to tell it apart "
        f"from: {names[1]}, {names[2]}."
    )
    assert lines(changed(data, n_test=10000))[2] == (
        "  Of 10000 test items a share of 0.6 may be 0.59 to 0.61 (95%)."
    )
    assert "a share of 0 may be 0 to 0.037 " in lines(changed(data, test_score=np.nan))[2]
    assert not any("test items" in line for line in lines(datasets["characters"]))


@pytest.mark.parametrize(
    ("name", "train", "test", "words"),
    [
        ("captions", 0.9, 0.7, "it stops at what it has not seen, not at what it has not learned."),
        ("captions", 0.7, 0.6, "it stops at what it has seen and not learned."),
        ("captions", np.nan, np.nan, "it stops at what it has seen and not learned."),
        ("captions", 0.99, 1.0, "nothing is left to be learned."),
        ("characters", 2.0, 2.25, "what was not seen costs 0.25 more."),
        ("characters", 2.25, 2.0, "what was not seen costs 0.25 less."),
        ("characters", np.nan, np.nan, "what was not seen cannot be compared."),
    ],
)
def test_words_on_where_it_stops(datasets, name, train, test, words):
    data = changed(datasets[name], train_score=train, test_score=test)
    worst = {"captions": 0, "characters": np.inf}[name]
    seen, new = (worst if np.isnan(x) else x for x in (train, test))
    said = f"  The training part scores {seen:.3g}, the test part {new:.3g}: {words}"
    assert said in lines(data, name)


def test_words_on_divergence(datasets):
    data = datasets["captions"]
    assert not any("diverged" in line for line in lines(data))
    assert "  1 of 2 networks diverged." in lines(changed(data, diverged=[3, -1]))


def test_words_on_the_learning_rate(datasets):
    data, known = datasets["captions"], "0.004, 0.002, 0.001"
    tried = changed(data, trial_loss=[2.5, np.nan, 1.25], trial_updates=7, learning_rate=0.001)
    assert lines(tried)[1] == (
        f"  Learning rate 0.001: of {known} none had a lower loss on validation data (1.25 nats a "
        "sequence) after 7 updates of one network."
    )
    failed = changed(tried, trial_loss=np.nan, learning_rate=0.004)
    said = f"  Learning rate 0.004, the first of {known}: "
    assert lines(failed)[1] == f"{said}all trials diverged."
    assert lines(changed(failed, trial_updates=0))[1] == f"{said}none was tried."
    assert lines(failed.isel(rate=[0]))[1] == "  Learning rate 0.004, as given."


def test_settings_reach_the_experiment(tmp_path):
    """Rates and a text of one's own, which characters alone read."""
    path = tmp_path / "own.txt"
    letters = np.random.default_rng(0).choice([*"abcdefgh "], 3000)
    path.write_text(" ".join("".join(letters).split()))
    tiny = {"network_seeds": 1, "n_updates": 5, "n_hidden": 4, "batch_size": 2, "n_steps": 12}
    tiny["cell"] = ("vanilla",)
    settings = architectures.Settings(
        architecture=("characters", "sentences"), text=str(path), learning_rate=(0.01, 0.02), **tiny
    )
    found = architectures.compute(settings, progress=False)
    assert figures.configuration(found["characters"])["text"] == str(path)
    assert figures.configuration(found["sentences"])["text"] is None
    for data in found.values():
        assert data.rate.values.tolist() == [0.01, 0.02]
        assert float(data.learning_rate) == data.rate.values[np.argmin(data.trial_loss.values)]
        said = facts(architectures, {"any": data})[1]
        assert said.endswith("nats a sequence) after 1 updates of one network.")
    settings = architectures.Settings(architecture=("captions",), text=str(path), **tiny)
    with pytest.raises(ValueError, match=r"`text` is read by 'characters' alone, .* for captions"):
        architectures.compute(settings, progress=False)
