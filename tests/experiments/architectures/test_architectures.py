"""The experiment on four architectures: what it holds, and that networks learn."""

import json
import zlib

import numpy as np
import pytest

import rnnsim
from rnnsim import tasks
from rnnsim.experiments import architectures
from rnnsim.experiments.architectures import experiment

TINY = {"n_updates": 10, "network_seeds": 2, "n_hidden": 6, "batch_size": 4, "dtype": "float64"}
SHORT = {"characters": {"n_steps": 24}, "sentences": {"n_steps": 12}}


@pytest.fixture(scope="module", params=experiment.ARCHITECTURES)
def data(request):
    options = TINY | SHORT.get(request.param, {})
    return rnnsim.architecture_experiment(request.param, n_records=2, **options)


def settings_of(data):
    return json.loads(data.attrs["configuration"])


def problem_of(data):
    settings = settings_of(data)
    options = architectures.Options(**{k: settings[k] for k in architectures.Options._fields})
    draw = architectures.PROBLEMS[settings["name"]]
    return draw(options, settings["data_seed"], settings["dtype"])


def test_scores_beside_baselines(data):
    assert data.updates.values.tolist() == [0, 5, 8, 10]
    assert data.score.dims == ("network_seed", "updates")
    assert np.isfinite(data.score).all()
    assert np.isfinite(data.baseline_score).all()
    assert (data.diverged == -1).all()
    fraction = data.score.attrs["units"].startswith("fraction")
    assert fraction == (settings_of(data)["name"] != "characters")
    if fraction:
        assert ((data.score >= 0) & (data.score <= 1)).all()


def test_maps_reach_from_each_loss_back_to_the_first_step(data):
    assert data.log_norms.dims == ("network_seed", "moment", "loss_step", "place")
    ahead = data.place > data.loss_step
    assert np.isnan(data.log_norms.where(ahead)).all()
    assert not np.isnan(data.log_norms.where(~ahead, 0.0)).any()
    name = settings_of(data)["name"]
    assert (int(data.place[0]) <= 0) == (name in {"translation", "captions"})
    assert (data.sizes["loss_step"] == 1) == (name == "sentences")


def test_scores_before_are_those_of_the_networks_drawn(data):
    problem = problem_of(data)
    drawn = problem.draw([0, 1])
    np.testing.assert_array_equal(problem.measure(drawn), data.score.sel(updates=0))
    second = problem.draw([1])
    np.testing.assert_array_equal(problem.measure(second), data.score.sel(updates=0)[1:])


def test_training_and_held_out_data_share_nothing(data):
    problem = problem_of(data)
    rng = np.random.default_rng(0)
    if settings_of(data)["name"] in {"translation", "captions"}:
        seen = {tuple(problem.task(rng).source[:, b].ravel()) for _ in range(50) for b in range(4)}
        source = problem.shown.source
        assert not seen & {tuple(source[:, b].ravel()) for b in range(source.shape[1])}


def test_examples_are_read_by_the_first_network(data):
    examples = json.loads(data.attrs["examples"])
    assert len(examples) == 3
    for source, answer, right in examples:
        assert source
        assert isinstance(answer, str)
        assert bool(right) == (settings_of(data)["name"] != "characters")


def test_characters_are_learned():
    options = {"network_seeds": 2, "n_hidden": 24, "batch_size": 8, "learning_rate": 0.01}
    data = rnnsim.architecture_experiment(
        "characters", n_updates=60, n_steps=40, window=10, dtype="float64", n_records=2, **options
    )
    baselines = dict(zip(data.baseline.values, data.baseline_score.values, strict=True))
    assert baselines["uniform"] == pytest.approx(np.log2(len(tasks.corpus().vocabulary)))
    assert baselines["bigram"] < baselines["unigram"] < baselines["uniform"]
    assert (data.score.isel(updates=-1) < baselines["unigram"]).all()


def test_the_nearest_number_is_never_the_same_number():
    problem = architectures.translation(experiment.DEFAULTS["translation"], 0, "float32")
    assert problem.baselines["answer of the nearest"] == 0.0
    assert 0.1 < problem.baselines["word by word"] < 0.5


def test_left_out_words_are_zeros_in_training_alone():
    options = experiment.DEFAULTS["sentences"]
    all_kept = architectures.sentences(options._replace(left_out=0.0), 0, "float64")
    half = architectures.sentences(options._replace(left_out=0.5), 0, "float64")
    counts = [
        float(problem.task(np.random.default_rng(3)).inputs.sum()) for problem in (all_kept, half)
    ]
    assert 0.4 < counts[1] / counts[0] < 0.6
    np.testing.assert_array_equal(all_kept.shown.inputs, half.shown.inputs)


def test_a_run_without_updates_has_its_first_score_only():
    options = TINY | {"n_updates": 0}
    data = rnnsim.architecture_experiment("captions", **options)
    assert data.updates.values.tolist() == [0]
    np.testing.assert_array_equal(data.log_norms[:, 0], data.log_norms[:, 1])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("haiku", {}, "`name` must be one of 'characters'"),
        ("captions", {"n_updates": -1}, "`n_updates` must be at least 0"),
        ("captions", {"n_hidden": 0}, "`n_hidden` must be at least 1"),
        ("captions", {"n_records": 0}, "`n_records` must be at least 1"),
        ("captions", {"window": 0}, "`window` must be at least 1"),
        ("captions", {"network_seeds": [1, 1]}, "none twice"),
    ],
)
def test_misuse(name, options, message):
    with pytest.raises(ValueError, match=message):
        rnnsim.architecture_experiment(name, **(TINY | options))


def test_the_slower_part_learns_from_batches_of_its_own():
    """Two trainings in a row, drawn as documented: the last fifth at a fifth of the rate."""
    options = TINY | {"n_updates": 5, "learning_rate": 0.01}
    data = rnnsim.architecture_experiment("captions", data_seed=7, n_records=1, **options)
    problem, name = problem_of(data), zlib.crc32(b"captions")
    model = problem.draw([0, 1])
    for late, (n_updates, rate) in enumerate([(4, 0.01), (1, 0.002)]):
        model = rnnsim.train(
            model, problem.task, n_updates=n_updates, optimizer="adam", learning_rate=rate,
            clip_norm=1.0, rng=np.random.default_rng([7, name, late]),
        ).model  # fmt: skip
    np.testing.assert_array_equal(data.score.sel(updates=5), problem.measure(model))
    found = rnnsim.gradient_map(model, problem.shown).log_norms
    np.testing.assert_array_equal(data.log_norms.sel(moment="after"), found)
