"""Several cells side by side: the one that validates best, and it alone, goes to the test part."""

import dataclasses
import json
import types

import numpy as np
import pytest

import rnnsim
from rnnsim.experiments import architectures
from rnnsim.experiments.architectures import experiment, learning

CELLS = ("vanilla", "lstm", "gru")
TINY = {"n_updates": 2, "network_seeds": 2, "n_hidden": 3, "batch_size": 2, "n_records": 1}
TINY |= {"learning_rate": 0.01, "dtype": "float64"}


@pytest.fixture(scope="module")
def data():
    return rnnsim.architecture_experiment("captions", cell=CELLS, **TINY)


@pytest.mark.parametrize("best", CELLS)
def test_the_choice_is_by_validation_and_never_by_test(monkeypatch, best):
    """The better a cell validates here, the worse it is on the test part, which one cell sees."""
    rank = {cell: (i - CELLS.index(best)) % 3 for i, cell in enumerate(CELLS)}
    asked = []

    def problem(*arguments):
        def test(model):
            asked.append(model.decoder.cell)
            return np.full(len(model), 0.1 + 0.3 * rank[model.decoder.cell])

        def measure(model):
            return np.full(len(model), 0.9 - 0.3 * rank[model.decoder.cell])

        said = {"examples": lambda model: [], "word_shares": None}  # nothing is learned here
        return dataclasses.replace(found, test=test, measure=measure, **said)

    found = architectures.captions(experiment.DEFAULTS["captions"], 0, "float64")
    monkeypatch.setitem(architectures.PROBLEMS, "captions", problem)
    monkeypatch.setattr(experiment, "_flow", lambda models, problem: flow(models))
    data = rnnsim.architecture_experiment("captions", cell=CELLS, **TINY | {"n_updates": 0})
    assert data.attrs["best_cell"] == best
    assert asked == [best]
    assert data.test_score.dims == ("cell", "network_seed")
    assert (data.test_score.sel(cell=best) == 0.1).all()
    assert np.isnan(data.test_score.drop_sel(cell=best)).all()


def flow(models):
    """Nothing, in the shape of maps and pictures."""
    return {
        "log_norms": np.zeros((2, len(models), 1, 1)),
        "pixel_gradients": np.zeros((2, len(models), 3, 64)),
    }


@pytest.mark.parametrize(
    ("scores", "more", "place"),
    [
        ([[0.1, 0.9], [0.6, 0.6]], True, 1),
        ([[0.1, 0.9], [0.6, 0.6]], False, 0),
        ([[0.5, 0.5], [0.5, 0.5]], True, 0),
        ([[np.nan, 0.4], [0.3, 0.3]], True, 1),
        ([[np.nan, 0.4], [9.0, 9.0]], False, 1),
    ],
)
def test_the_best_median_is_taken(scores, more, place):
    """The first in a tie; networks without a score are the worst."""
    problem = types.SimpleNamespace(more_is_better=more)
    assert learning.best_cell(problem, np.array(scores)) == place


def test_each_cell_learns_as_it_does_alone(data):
    assert data.cell.values.tolist() == list(CELLS)
    for cell in ("vanilla", "gru"):
        alone = rnnsim.architecture_experiment("captions", cell=cell, **TINY)
        one = alone if cell == "vanilla" else alone.sel(cell=cell)
        assert ("cell" in alone.dims) == (cell != "vanilla")
        for name in ("score", "log_norms", "pixel_gradients", "learning_rate", "diverged"):
            np.testing.assert_array_equal(one[name], data[name].sel(cell=cell), err_msg=name)
        assert alone.attrs["best_cell"] == cell
        assert json.loads(alone.attrs["configuration"])["cell"] == [cell]


def test_every_number_says_of_which_cell_it_is(data):
    axes = {name: "cell" in data[name].dims for name in data.data_vars}
    general = {"baseline_score", "pixel_spread", "trial_updates", "n_test"}
    assert {name for name, by_cell in axes.items() if not by_cell} == general
    assert json.loads(data.attrs["configuration"])["cell"] == list(CELLS)
    known = ~np.isnan(data.test_score).all("network_seed")
    assert data.cell[known].values.tolist() == [data.attrs["best_cell"]]


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("name", ["sentences", "translation"])
def test_draws_follow_cell_forget_bias_and_layers(name, n_layers):
    options = experiment.DEFAULTS[name]._replace(n_steps=12, n_hidden=4, n_layers=n_layers)
    biases = {}
    for bias in (0.0, 2.5):
        problem = architectures.PROBLEMS[name](options._replace(forget_bias=bias), 0, "float64")
        for cell in CELLS:
            model = problem.draw([0], cell)
            pair = (model.encoder, model.decoder) if name == "translation" else (model,)
            parts = [layer for part in pair for layer in part.layers]
            assert [rnn.cell for rnn in parts] == [cell] * n_layers * len(pair)
            biases[cell, bias] = np.array([rnn.b_h[0] for rnn in parts])
    H = options.n_hidden
    for cell, gate in (("lstm", slice(H, 2 * H)), ("gru", slice(H, 2 * H))):
        moved = biases[cell, 2.5] - biases[cell, 0.0]
        assert (moved[:, gate] == 2.5).all()
        assert np.count_nonzero(moved) == len(moved) * H
    np.testing.assert_array_equal(biases["vanilla", 2.5], biases["vanilla", 0.0])


@pytest.mark.parametrize("name", ["translation", "captions"])
def test_encoders_and_decoders_of_several_layers(name):
    data = rnnsim.architecture_experiment(name, cell="gru", n_layers=2, **TINY)
    assert json.loads(data.attrs["configuration"])["n_layers"] == 2
    assert np.isfinite(data.score).all()
    assert np.isfinite(data.test_score).all()
    assert np.isfinite(data.log_norms).any()
    if name == "captions":
        assert (data.pixel_gradients > 0).any()


def test_a_stack_of_lstms_reads_sentences():
    data = rnnsim.architecture_experiment("sentences", cell="lstm", n_layers=2, n_steps=6, **TINY)
    assert json.loads(data.attrs["configuration"])["n_layers"] == 2
    assert np.isfinite(data.score).all()
    assert np.isfinite(data.log_norms).all()
