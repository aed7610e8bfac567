"""Figures of temporal order: shares, updates until solved, curves, words from the data alone."""

import numpy as np
import pytest
from artists import drawn_with_captions, labelled, thin
from numpy.testing import assert_allclose, assert_array_equal

from analysis.training import learning_plots, temporal_order

ANALYSED = temporal_order
TINY = temporal_order.Settings(
    length=(10, 12), network_seeds=3, n_updates=4, n_hidden=5, batch_size=2, test_size=20,
    record_every=1, tolerance=0.7, n_threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(datasets):
    """With times of solving written in, so that every case occurs."""
    made = datasets["learning"].copy(deep=True)
    made["solved_at"] = made.solved_at.copy(
        data=np.array(
            [
                [[np.nan, np.nan, np.nan], [2, np.nan, 3], [1, 1, 2]],
                [[np.nan, np.nan, np.nan], [np.nan, np.nan, 4], [4, 3, np.nan]],
            ]
        )
    )
    return made


def test_shares_of_networks_that_solve(data):
    ax = learning_plots.plot_solved(data)
    lines = labelled(ax)
    assert list(lines) == ["SGD", "clipping", "clipping + penalty"]
    assert_array_equal(lines["SGD"].get_ydata(), [0, 0])
    assert_allclose(lines["clipping"].get_ydata(), [2 / 3, 1 / 3])
    assert_allclose(lines["clipping + penalty"].get_ydata(), [1, 2 / 3])
    assert len({line.get_marker() for line in lines.values()}) == 3
    assert "steps" in ax.get_xlabel()


def test_updates_until_solved(data):
    ax = learning_plots.plot_within(data)
    assert_allclose(labelled(ax)["clipping + penalty"].get_ydata(), [1, 4])  # of 4, 3 and more
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < 1 < 4 < high


def test_unsolved_counts_as_more_than_the_budget(datasets):
    """Half of ten solved, at 100 to 500 updates: the median is at least 500."""
    made = datasets["learning"].sel(length=[10]).isel(network_seed=[0] * 10)
    made = made.assign_coords(network_seed=range(10), updates=[0, 100, 300, 500, 1000])
    at = [100, 200, 300, 400, 500, *[np.nan] * 5]
    data = made.assign(solved_at=made.solved_at.copy(data=np.broadcast_to(at, (1, 3, 10))))
    ax = learning_plots.plot_within(data)
    for name in data.training.values:
        assert np.isnan(labelled(ax)[name].get_ydata()).all()
    arrows = [bar.lines[0].get_ydata()[0] for bar in ax.containers]
    assert arrows == [500, 500, 500]
    words = temporal_order.summarise({"learning": data})[0]
    assert words.endswith(
        "median updates (unsolved: more than 1000): SGD at least 500, clipping at least 500, "
        "clipping + penalty at least 500."
    )
    none = data.assign(solved_at=data.solved_at * np.nan)
    words = temporal_order.summarise({"learning": none})[0]
    assert "SGD more than 1000, clipping more than 1000" in words
    assert not learning_plots.plot_within(none).containers


def test_curves_with_chance_and_tolerance(data):
    ax = learning_plots.plot_error(data, length=12)
    errors = data.error.sel(length=12, training="SGD")
    median = labelled(ax)["SGD"].get_ydata()
    assert_allclose(median, np.maximum(errors.median("network_seed"), 0.025))
    levels = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() in ("--", ":")]
    assert_allclose(levels, [0.75, 0.7])
    assert len(thin(ax)) == 9


def test_every_figure_is_drawn_with_a_caption(data):
    datasets = {"learning": data}
    drawn_with_captions(temporal_order, datasets, "solved-against-length", "learning-curves")


def test_words(data):
    sentences = temporal_order.summarise({"learning": data})
    assert "length 10, of 3 networks solved within 4 updates: SGD 0, clipping 2" in sentences[0]
    assert "Median share of wrong answers at length 12" in sentences[2]
    lost = data.copy(deep=True)
    lost["diverged"][0, 0, 0] = 3
    assert "1 networks left" in temporal_order.summarise({"learning": lost})[-1]
