"""Several cells side by side: figures, and what is said of the choice between them."""

import json

import numpy as np
import pytest
import xarray as xr
from artists import drawn_with_captions, labelled, marked
from recomputed import facts, median

from analysis.frame import figures
from analysis.networks import architecture_plots, architectures

SHOWN = {"vanilla": "vanilla", "lstm": "LSTM", "gru": "GRU"}
CELLS = tuple(SHOWN)
N, STEPS = 2, np.arange(1, 13)
BY_CELL = ("cell", "network_seed")


def made(name, units, best="lstm"):
    """A dataset as the experiment gives it, without the training."""
    rng = np.random.default_rng(3)
    first = {"translation": -5, "captions": 0}.get(name, 1)
    steps, places = STEPS[-1:] if name == "sentences" else STEPS, np.arange(first, 13)
    lags = steps[:, None] - places
    logs = np.where(lags < 0, np.nan, rng.normal(size=(3, N, 2, *lags.shape)) - 0.3 * lags)
    about = {"units": units, "long_name": "answers, test part"}
    test = np.full((3, N), np.nan)
    test[CELLS.index(best)] = 0.4, 0.6
    values = {
        "score": ((*BY_CELL, "updates"), rng.random((3, N, 3)), about),
        "test_score": (BY_CELL, test, about),
        "train_score": (BY_CELL, test + 0.1, about),
        "n_test": ((), 50),
        "baseline_score": (["baseline"], [0.45]),
        "trial_loss": (("cell", "rate"), rng.random((3, 2))),
        "trial_updates": ((), 1),
        "learning_rate": (["cell"], [0.1, 0.2, 0.1]),
        "diverged": (BY_CELL, np.full((3, N), -1)),
        "log_norms": ((*BY_CELL, "moment", "loss_step", "place"), logs),
    }
    axes = {"cell": list(CELLS), "updates": [0, 4, 5], "baseline": ["guesses"], "rate": [0.1, 0.2]}
    axes |= {"moment": ["before", "after"], "loss_step": steps, "place": places}
    if name == "captions":
        values["pixel_gradients"] = (
            (*BY_CELL, "moment", "word", "pixel"),
            rng.random((3, N, 2, 3, 64)),
        )
        values["pixel_spread"] = (["pixel"], rng.random(64))
        values["word_score"] = ((*BY_CELL, "word"), rng.random((3, N, 3)))
        axes["word"] = ["thin or bold", "the digit", "left or right"]
    settings = {"name": name, "kind": "kind", "window": 4, "cell": list(CELLS)}
    said = {"best_cell": best, "examples": json.dumps([["a", "b", "b"]])}
    return xr.Dataset(values, axes, {"configuration": json.dumps(settings), **said})


NAMES = {
    "characters": "bits per character",
    "sentences": "fraction of sentences",
    "translation": "fraction of numbers",
    "captions": "fraction of pictures",
}


@pytest.fixture(scope="module")
def side_by_side():
    return {name: made(name, units) for name, units in NAMES.items()}


def test_every_cell_has_its_maps(side_by_side):
    names = ["held-out-scores", *(f"gradient-flow-{name}" for name in NAMES), "pixels-captions"]
    drawn = drawn_with_captions(architectures, side_by_side, *names)
    at = [(cell, moment) for moment in ("before", "after") for cell in CELLS]
    titles = [f"{SHOWN[cell]}, {moment} training" for cell, moment in at]
    for name in ("characters", "translation", "captions"):
        axes = drawn[f"gradient-flow-{name}"].axes[: len(at)]
        assert [ax.get_title(loc="left") for ax in axes] == titles
        assert len({ax.collections[0].get_clim() for ax in axes}) == 1
        for ax, (cell, moment) in zip(axes, at, strict=True):
            one = side_by_side[name].sel(cell=cell)
            shown = ax.collections[0].get_array().compressed()
            expected = architecture_plots.map_decades(one, moment)
            np.testing.assert_allclose(shown, expected[np.isfinite(expected)])
    for ax, moment in zip(drawn["gradient-flow-sentences"].axes, ("before", "after"), strict=True):
        lines = labelled(ax)
        assert list(lines) == list(SHOWN.values())
        for cell, line in zip(CELLS, lines.values(), strict=True):
            logs = side_by_side["sentences"].log_norms.sel(cell=cell, moment=moment)
            expected = logs.isel(loss_step=-1).median("network_seed") / np.log(10.0)
            np.testing.assert_allclose(line.get_ydata(), expected)
    pictures = [ax for ax in drawn["pixels-captions"].axes if ax.images]
    assert len(pictures) == 3
    assert "mean over 2 LSTM networks" in figures.caption_of(drawn["pixels-captions"])


def test_one_gated_cell_is_named_where_it_is_alone(side_by_side):
    alone = {"captions": side_by_side["captions"].sel(cell=["lstm"])}
    names = ("held-out-scores", "gradient-flow-captions", "pixels-captions")
    drawn = drawn_with_captions(architectures, alone, *names)
    titles = [ax.get_title(loc="left") for ax in drawn["gradient-flow-captions"].axes]
    assert titles[:2] == ["LSTM, before training", "LSTM, after training"]
    assert "cell that validates best" not in drawn["held-out-scores"].get_supxlabel()
    assert not any("was taken" in line for line in facts(architectures, alone))


def test_scores_of_all_cells_and_the_test_of_one(side_by_side, ax):
    data = side_by_side["captions"]
    architecture_plots.plot_scores(data, ax=ax)
    curves = labelled(ax)
    assert list(curves) == [*SHOWN.values(), "guesses"]
    assert curves.pop("guesses").get_ydata()[0] == data.baseline_score
    for cell, line in zip(CELLS, curves.values(), strict=True):
        expected = data.score.sel(cell=cell).median("network_seed")
        np.testing.assert_allclose(line.get_ydata(), expected)
    assert len({line.get_marker() for line in curves.values()}) == 3
    (test,) = marked(ax, "D")
    assert test.get_ydata().tolist() == [0.4, 0.6]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("best", CELLS)
def test_what_is_said_is_of_the_cell_that_was_chosen(name, best):
    data = made(name, NAMES[name], best)
    words = facts(architectures, {name: data})
    assert words[0].startswith(f"{name} (kind): answers, test part, median of 2 {best} networks ")
    assert " 0.5 (0.4 to 0.6) " in words[0]
    last = {cell: median(data.score.sel(cell=cell)[:, -1].values) for cell in CELLS}
    listing = ", ".join(f"{cell} {value:.3g}" for cell, value in last.items())
    assert words[1] == f"  On the validation part {listing}: {best} was taken to the test."
    assert words[2].startswith(f"  Learning rate {float(data.learning_rate.sel(cell=best)):g}: ")
    lost = data.assign(diverged=data.diverged.where(data.cell != "gru", 3))
    assert "  2 of 2 gru networks diverged." in facts(architectures, {name: lost})


def test_what_is_most_often_wrong_in_captions(side_by_side):
    data = side_by_side["captions"]
    shares = data.word_score.copy(data=np.broadcast_to([0.9, 0.8, 1.0], (3, N, 3)))
    words = facts(architectures, {"captions": data.assign(word_score=shares)})
    assert (
        "  Right in captions of validation data: thin or bold 0.9, the digit 0.8, left or right 1; "
        "what is most often wrong: the digit."
    ) in words
    level = facts(architectures, {"captions": data.assign(word_score=shares * 0 + 1.0)})
    assert any(line.endswith("left or right 1: no word is ever wrong.") for line in level)
