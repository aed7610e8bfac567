"""Figures of temporal order: shares, updates until solved, curves, words from the data alone."""

import re
from dataclasses import replace

import numpy as np
import pytest
from artists import dashed, dotted, drawn_with_captions, labelled, thin, titled
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

from analysis.frame import figures, runs
from analysis.training import learning_plots, temporal_order

ANALYSED = temporal_order
TINY = temporal_order.Settings(
    length=(10, 12), network_seeds=3, n_updates=4, n_hidden=5, batch_size=2, test_size=20,
    record_every=1, tolerance=0.7, n_threads=1,
)  # fmt: skip


def columns(data):
    return {str(name): data.sel(training=name) for name in data.training.values}


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
    ax = learning_plots.plot_solved(columns(data))
    lines = labelled(ax)
    assert list(lines) == ["SGD", "clipping", "clipping + penalty"]
    assert_array_equal(lines["SGD"].get_ydata(), [0, 0])
    assert_allclose(lines["clipping"].get_ydata(), [2 / 3, 1 / 3])
    assert_allclose(lines["clipping + penalty"].get_ydata(), [1, 2 / 3])
    assert len({line.get_marker() for line in lines.values()}) == 3
    assert "steps" in ax.get_xlabel()
    for bars, name in zip(ax.containers, lines, strict=True):
        for line, x, at in zip(
            bars.lines[2][0].get_segments(), *lines[name].get_data(), strict=True
        ):
            assert_allclose(line[:, 0], x)
            for end in line[:, 1]:  # where a share lies 1.96 of its standard errors off
                assert 0 <= end <= 1
                if 0 < at < 1 or 0 < end < 1:
                    assert_allclose(abs(at - end), 1.959964 * np.sqrt(end * (1 - end) / 3))


def test_updates_until_solved(data):
    ax = learning_plots.plot_within(columns(data))
    assert [line.get_ydata()[0] for line in dotted(ax)] == [data.updates[-1]]
    assert_allclose(labelled(ax)["clipping + penalty"].get_ydata(), [1, 4])  # of 4, 3 and more
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < 1 < 4 < high


def test_unsolved_counts_as_more_than_the_budget(datasets):
    """Half of ten solved, at 100 to 500 updates: the median is at least 500."""
    cells = datasets["cells"]
    made = datasets["learning"].sel(length=[10]).isel(network_seed=[0] * 10)
    made = made.assign_coords(network_seed=range(10), updates=[0, 100, 300, 500, 1000])
    at = [100, 200, 300, 400, 500, *[np.nan] * 5]
    data = made.assign(solved_at=made.solved_at.copy(data=np.broadcast_to(at, (1, 3, 10))))
    ax = learning_plots.plot_within(columns(data))
    for name in data.training.values:
        assert np.isnan(labelled(ax)[name].get_ydata()).all()
    arrows = [bar.lines[0].get_ydata()[0] for bar in ax.containers]
    assert arrows == [500, 500, 500]
    words = facts(temporal_order, {"learning": data, "cells": cells})[0]
    assert words.endswith(
        "median updates (unsolved: more than 1000): SGD at least 500, clipping at least 500, "
        "clipping + penalty at least 500."
    )
    none = data.assign(solved_at=data.solved_at * np.nan)
    words = facts(temporal_order, {"learning": none, "cells": cells})[0]
    assert "SGD more than 1000, clipping more than 1000" in words
    assert not learning_plots.plot_within(columns(none)).containers


def test_curves_with_chance_and_tolerance(data):
    ax = learning_plots.plot_error(columns(data), length=12)
    errors = data.error.sel(length=12, training="SGD")
    median = labelled(ax)["SGD"].get_ydata()
    assert_allclose(median, np.maximum(errors.median("network_seed"), 0.025))
    levels = {line.get_label(): line.get_ydata()[0] for line in dotted(ax)}
    assert levels == {"chance": 0.75, "solved below": 0.7}
    assert not dashed(ax)
    assert len(thin(ax)) == 9


def test_every_figure_is_drawn_with_a_caption(datasets, data):
    made = datasets | {"learning": data}
    drawn_with_captions(temporal_order, made, "solved-against-length", "learning-curves")


def test_kinds_stand_beside_the_methods(datasets, data):
    cells = datasets["cells"]
    solved = np.array([[[1, np.nan, np.nan]] * 2, [[2, 2, 4]] * 2, [[np.nan, 3, 3]] * 2])
    made = {"learning": data, "cells": cells.assign(solved_at=cells.solved_at.copy(
        data=solved[:, :, None]))}  # fmt: skip
    figure = temporal_order.draw(made)["solved-against-length"]
    (theirs, ours), (_, updates) = np.reshape(figure.axes, (2, 2))
    assert list(labelled(theirs)) == ["SGD", "clipping", "clipping + penalty"]
    for ax in (ours, updates):
        assert list(labelled(ax))[:3] == ["vanilla networks", "GRU", "LSTM"]
    colors = [line.get_color() for ax in (theirs, ours) for line in labelled(ax).values()]
    assert len({tuple(np.atleast_1d(color)) for color in colors}) == 6  # one meaning each
    assert_allclose([line.get_ydata()[1] for line in labelled(ours).values()], [1 / 3, 1, 2 / 3])
    assert_array_equal(labelled(updates)["LSTM"].get_ydata(), [3, 3])
    assert "those of Pascanu et al. (2013); the kinds" in figures.caption_of(figure)
    assert "are our own" in figures.caption_of(figure)
    assert "adam at rate 0.003, clipped at norm 1" in figures.caption_of(figure)
    words = facts(temporal_order, made)
    assert words[3].startswith("Kinds of networks beside each other, our own and not of Pascanu")
    assert "At length 12, of 3 networks of each kind" in words[5]
    assert "vanilla networks 1, GRU 3, LSTM 2; median" in words[5]


def test_a_run_of_before_is_drawn_without_our_columns(data, tmp_path, monkeypatch):
    """One that was saved when there were no kinds of networks beside the methods."""
    with monkeypatch.context() as before:
        before.setattr(temporal_order, "compute", lambda settings, progress: {"learning": data})
        runs.run(temporal_order, TINY, output=tmp_path / "old", source=None, progress=False)
    assert [path.stem for path in (tmp_path / "old" / "data").iterdir()] == ["learning"]
    again = {"output": tmp_path / "new", "source": tmp_path / "old"}
    words = runs.run(temporal_order, TINY, **again, progress=False)
    assert len(words) == 5  # with the heading and the answer
    assert not [each for each in words if "our own" in each or "kind" in each]
    drawn = temporal_order.draw({"learning": data})
    for figure, panels in ((drawn["solved-against-length"], 2), (drawn["learning-curves"], 2)):
        assert len(figure.axes) == panels
        titles = [titled(ax) for ax in figure.axes]
        said = figure.get_supxlabel() + "".join(titles)
        assert not re.search("our own|kinds", said, re.IGNORECASE)
        assert "ays of training" in said


def test_kinds_are_paired_with_the_methods_and_trained_as_told():
    settings = replace(TINY, cell=("vanilla", "lstm"), forget_bias=(0.0, 2.0),
                       cell_optimizer="sgd", cell_learning_rate=TINY.learning_rate)  # fmt: skip
    made = temporal_order.compute(settings, progress=False)
    here = made["cells"].sel(cell="vanilla", forget_bias=0.0, training="clipping")
    assert_array_equal(here.loss, made["learning"].loss.sel(training="clipping"))
    words = facts(temporal_order, made)
    assert "sgd at rate 0.01" in words[3]
    for name in ("vanilla networks", "LSTM (forget bias 0)", "LSTM (forget bias 2)"):
        assert words[4].count(f"{name} ") == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cell_optimizer": "newton"}, "`--cell-optimizer` must be one of"),
        ({"cell_learning_rate": np.nan}, "`--cell-learning-rate`"),
        ({"cell": ("tree",)}, "`cell` must be one of"),
        ({"n_layers": (0,)}, "`n_layers` must be at least 1"),
        ({"cell": ("vanilla",), "forget_bias": (1.0,)}, "`forget_bias` sets the bias of a gate"),
    ],
)
def test_misuse_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        temporal_order.compute(replace(TINY, **wrong), progress=False)


def test_words(datasets, data):
    cells = datasets["cells"]
    sentences = facts(temporal_order, {"learning": data, "cells": cells})
    assert "length 10, of 3 networks solved within 4 updates: SGD 0, clipping 2" in sentences[0]
    assert "Median share of wrong answers at length 12" in sentences[2]
    lost = data.copy(deep=True)
    lost["diverged"][0, 0, 0] = 3
    assert "1 network left" in facts(temporal_order, {"learning": lost, "cells": cells})[3]
