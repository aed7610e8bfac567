"""The window figures: artists, labels and scales; and words that follow the data."""

import itertools

import numpy as np
import pytest
from artists import dashed, dotted, drawn_with_captions, faint, labelled, named_at_the_end, titled
from recomputed import facts

from analysis.frame import figures
from analysis.gradients import truncation_plots, window, window_plots
from rnnsim.experiments.sweeps import windows

SIZES = {"length": 12, "delay": 3, "network_seeds": 2, "n_hidden": 6, "batch_size": 3, "stride": 2}
WINDOWS = (2, 4, 6, 12)
ANALYSED = window
TINY = window.Settings(**SIZES, windows=WINDOWS, n_batches=23)


@pytest.mark.nojit
@pytest.mark.parametrize(("length", "dependency"), [(12, 3), (13, 5), (9, 1)])
def test_share_of_losses_that_reach_their_cause(length, dependency):
    """Against steps counted one by one: block, its first step, the window's last step back."""
    steps = np.arange(dependency + 1, length + 1)
    for K, S in itertools.product(range(1, length + 2), repeat=2):
        if S > K:
            continue
        reached = 0
        for t in steps:
            block_end = min(-(-t // S) * S, length)  # a shorter last block ends with the sequence
            last_back = -(-t // S) * S - K + 1
            assert block_end >= t
            reached += t - dependency >= last_back
        found = windows.reaching_share(length, K, S, dependency, steps)
        assert found == pytest.approx(reached / steps.size), (K, S)


def test_both_budgets_of_the_same_training(data):
    assert dict(data.sizes) == {
        "truncation": 2, "window": 4, "network_seed": 2, "budget": 2, "share": 11,
    }  # fmt: skip
    expected = {"segments": [5, 3, 2, 1], "overlapping": [5, 5, 5, 5]}  # no loss in steps 1..3
    for name, numbers in expected.items():
        np.testing.assert_array_equal(data.updates_per_batch.sel(truncation=name), numbers)
    start = data.loss.isel(share=0).values
    assert np.ptp(start, axis=(0, 1)).max() == 0.0  # paired: one set of networks and test data
    full = data.loss.sel(truncation="segments", window=12)
    np.testing.assert_array_equal(full.sel(budget="sequences"), full.sel(budget="updates"))
    short = data.loss.sel(truncation="segments", window=2)
    assert (short.sel(budget="sequences") != short.sel(budget="updates"))[:, 1:].all()


def test_copy_memory_is_its_recall():
    settings = window.Settings(
        **SIZES, task="copy_memory", n_memory=2, windows=(3, 12), n_batches=4
    )
    data = window.compute(settings, progress=False)["window"]
    assert int(data.dependency) == 10
    np.testing.assert_array_equal(data.reaching, [[0, 1], [0, 1]])
    np.testing.assert_array_equal(data.updates_per_batch, [[1, 1], [1, 1]])


@pytest.mark.nojit
def test_windows_to_both_sides_of_the_dependency():
    chosen = windows.windows_around(8, window.Settings().length)
    assert chosen == (2, 4, 6, 8, 9, 10, 12, 16, 24, 48)
    assert windows.windows_around(9, 10)[-1] == 10


def test_all_figures_are_drawn_with_captions(datasets):
    drawn = drawn_with_captions(window, datasets, "score-against-window", "learning-curves")
    assert [titled(ax) for ax in drawn["score-against-window"].axes] == [
        "(a) what the gradient can see", "(b) after 60 sequences", "(c) after 20 updates",
    ]  # fmt: skip
    assert [titled(ax) for ax in drawn["learning-curves"].axes] == [
        "(a) segments, stride $K$", "(b) overlapping, stride at most 2",
    ]  # fmt: skip
    caption = drawn["learning-curves"].get_supxlabel()
    assert "2 networks, thick: their median, bands: quartiles." in " ".join(caption.split())
    assert "Windows of more than 3 steps" in " ".join(caption.split())
    legends = {
        name: [text.get_text() for text in figure.legends[0].get_texts()]
        for name, figure in drawn.items()
    }
    assert legends["score-against-window"] == [
        "segments (stride $K$)", "overlapping (stride at most 2)",
        "window 4: the first to reach a cause",
    ]  # fmt: skip
    assert legends["learning-curves"] == ["window 2", "window 4", "window 12"]


def test_losses_of_later_panels_are_not_cut_off(data):
    steep = data.assign(loss=data.loss * (1.0 + 2.0 * (data.budget == "updates")))
    axes = window.draw({"window": steep})["score-against-window"].axes[1:]
    low, high = axes[0].get_ylim()
    assert axes[1].get_ylim() == (low, high)
    for ax in axes:
        for line in labelled(ax).values():
            assert low < np.nanmin(line.get_ydata())
            assert np.nanmax(line.get_ydata()) < high


def test_final_scores_chance_and_the_window_that_reaches(data, ax):
    assert window_plots.plot_score(data, budget="updates", ax=ax) is ax
    final = data.loss.sel(budget="updates", truncation="segments").isel(share=-1)
    median = labelled(ax)["segments (stride $K$)"]
    np.testing.assert_allclose(median.get_ydata(), final.median("network_seed"))
    np.testing.assert_array_equal(median.get_xdata(), WINDOWS)
    assert not dashed(ax)  # no theory in it
    first, chance = dotted(ax)
    assert set(first.get_xdata()) == {4}
    assert list(named_at_the_end(ax)) == ["chance"]
    assert chance.get_ydata()[0] == pytest.approx(np.log(4))
    assert ax.get_xscale() == "log"
    assert ax.get_ylabel() == "final loss (nats per answer)"


def test_ways_of_truncating_look_alike_wherever_they_are_drawn(data):
    for plot in (window_plots.plot_share, lambda d: window_plots.plot_score(d, budget="updates")):
        lines = [line for name, line in labelled(plot(data)).items() if "stride" in name]
        for line, name in zip(lines, ("segments", "overlapping"), strict=True):
            look = truncation_plots.LOOKS[name]
            assert line.get_label().startswith(name)
            assert line.get_color() == look["color"]
            assert line.get_marker() == figures.MARKERS[look["index"]]
    looks = truncation_plots.LOOKS.values()
    assert len({look["color"] for look in looks}) == len({look["index"] for look in looks}) == 3


def test_the_share_that_reaches_is_the_schedules(data, ax):
    assert window_plots.plot_share(data, ax=ax) is ax
    for name in ("segments", "overlapping"):
        (line,) = (line for label, line in labelled(ax).items() if label.startswith(name))
        np.testing.assert_allclose(line.get_ydata(), data.reaching.sel(truncation=name))


def test_curves_against_sequences_seen(data, ax):
    window_plots.plot_curves(data, truncation="overlapping", ax=ax)
    assert [line.get_ydata()[0] for line in dotted(ax)] == [pytest.approx(np.log(4))]
    networks = faint(ax)
    expected = data.loss.sel(truncation="overlapping", budget="sequences", window=2)
    np.testing.assert_allclose([line.get_ydata() for line in networks[:2]], expected)
    np.testing.assert_allclose(networks[0].get_xdata()[-1], 60)
    assert ax.get_xlabel() == "sequences seen"


def test_words_follow_the_data(datasets, data):
    sentences = facts(window, datasets)
    assert "a window of 4 steps reaches it" in sentences[0]
    assert len(sentences) == 6
    assert sentences[1].startswith("At equal sequences, segments: K = 2:")
    worse = data.assign(loss=data.share + data.loss.isel(share=0) * (data.window < 4))
    assert "100% of networks end more than 0.1" in facts(window, {"window": worse})[5]
    better = data.assign(loss=data.loss * 0 - data.share * (data.window < 4) + data.share)
    words = facts(window, {"window": better})[5]
    assert words.startswith("Below 4 steps, 0% of networks")
    assert words.endswith("from there on 100%.")


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "adding"}, "`task` must be one of 'echo', 'copy_memory'"),
        ({"delay": 12}, "`length` must be at least 13"),
        ({"windows": ()}, "`windows` must hold at least one value"),
        ({"windows": (0, 3)}, "`windows` must be at least 1"),
        ({"stride": 0}, "`stride` must be at least 1"),
        ({"n_batches": 0}, "`n_batches` must be at least 1"),
    ],
)
def test_misuse_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        window.compute(window.Settings(**SIZES | options), progress=False)
