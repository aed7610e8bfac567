"""The experiment on four architectures: what it holds, and that networks learn."""

import dataclasses
import json
import re
import zlib

import numpy as np
import pytest

import rnnsim
from rnnsim import tasks
from rnnsim.experiments import architectures
from rnnsim.experiments.architectures import experiment, learning

TINY = {"n_updates": 10, "network_seeds": 2, "n_hidden": 6, "batch_size": 4, "dtype": "float64"}
TINY |= {"cell": "vanilla"}
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
    assert data.test_score.dims == ("network_seed",)
    fraction = data.score.attrs["units"].startswith("fraction")
    assert fraction == (settings_of(data)["name"] != "characters")
    for name in ("score", "train_score", "test_score", "baseline_score"):
        assert data[name].attrs["units"] == data.score.attrs["units"]
        assert np.isfinite(data[name]).all()
        if fraction:
            assert ((data[name] >= 0) & (data[name] <= 1)).all()


def test_the_rate_is_that_of_the_least_validation_loss_after_a_trial(data):
    """Recomputed: two trainings in a row of the first network at each rate, a fifth as long."""
    problem, settings = problem_of(data), settings_of(data)
    rates = np.array(settings["learning_rates"])
    assert data.rate.values.tolist() == rates.tolist()
    assert int(data.trial_updates) == 2
    model, crc = problem.draw([0] * rates.size, "vanilla"), zlib.crc32(settings["name"].encode())
    model = rnnsim.train(
        model, problem.task, n_updates=2, optimizer="adam", learning_rate=rates, clip_norm=1.0,
        rng=np.random.default_rng([0, crc, zlib.crc32(b"trial"), 0]),
        window=settings["window"] if settings["truncated"] else None,
    ).model  # fmt: skip
    np.testing.assert_array_equal(data.trial_loss, problem.loss(model))
    assert float(data.learning_rate) == rates[np.argmin(data.trial_loss.values)]


def test_the_test_part_is_looked_at_once(monkeypatch):
    """When everything is learned, and nothing but its score depends on it."""
    options = TINY | {"n_records": 2}
    plain = rnnsim.architecture_experiment("captions", **options)
    asked = []

    def problem(*arguments):
        found = architectures.captions(*arguments)

        def test(model):
            asked.append(problem_of(plain).measure(model))
            return np.array([0.25, 0.5])

        return dataclasses.replace(found, test=test)

    monkeypatch.setitem(architectures.PROBLEMS, "captions", problem)
    data = rnnsim.architecture_experiment("captions", **options)
    assert len(asked) == 1
    np.testing.assert_array_equal(asked[0], data.score.isel(updates=-1))
    assert data.test_score.values.tolist() == [0.25, 0.5]
    assert data.drop_vars("test_score").equals(plain.drop_vars("test_score"))


def test_test_scores_are_of_the_test_part():
    """Of the networks after the last update, recomputed from the parts of each task."""
    for name in experiment.ARCHITECTURES:
        options = TINY | SHORT.get(name, {}) | {"n_updates": 0, "learning_rate": 0.01}
        data = rnnsim.architecture_experiment(name, **options)
        model = problem_of(data).draw([0, 1], "vanilla")
        parts = {"train": data.train_score, "test": data.test_score}
        for part, found in (parts | {"validation": data.score[:, 0]}).items():
            np.testing.assert_allclose(found, scored(name, model, part), rtol=1e-14)
        shown, right = np.array(data.test_score) * int(data.n_test), data.score.attrs["units"]
        if right.startswith("fraction"):
            np.testing.assert_allclose(shown, np.round(shown), atol=1e-9)
        assert not np.array_equal(data.test_score, data.score.isel(updates=0)) or name in WRITING


WRITING = {"translation", "captions"}  # nothing right before training


def scored(name, model, part):
    """The score of a part, another way than the experiment's."""
    if name == "characters":
        batch = tasks.characters(24, 256, rng=0, part=part)
        return rnnsim.evaluate(model, batch).loss / 24 / np.log(2)
    if name == "sentences":
        return [share_right(model[i], part) for i in range(len(model))]
    if name == "captions":
        n = 1437 if part == "train" else 180
        pairs, alphabet = tasks.captions(n, rng=0, part=part), tasks.caption_alphabet()
    else:
        options = {"largest": 999, "reverse": True}
        pairs = tasks.number_words(800 if part == "train" else 100, rng=0, part=part, **options)
        alphabet = tasks.number_alphabets(largest=999)[1]
    ids = rnnsim.greedy_decode(
        model, pairs.source, start=alphabet.start, end=alphabet.end, n_steps=pairs.n_steps
    )
    return rnnsim.exact_match(ids, pairs)


def share_right(rnn, part, T=12):
    """Sentence by sentence, with a vocabulary of the training part."""
    data = tasks.sentence_corpus()
    words = [re.findall(r"\w+", sentence.lower()) for sentence in data.sentences]
    short = np.array([len(each) <= T for each in words])
    known = sorted({w for i in np.flatnonzero(short & data.of("train")) for w in words[i]})
    place = {word: i for i, word in enumerate(known)}
    right = []
    for i in np.flatnonzero(short & data.of(part)):
        inputs = np.zeros((T, 1, len(known)))
        for t, word in enumerate(words[i], start=T - len(words[i])):
            if word in place:
                inputs[t, 0, place[word]] = 20
        answer = rnnsim.forward(rnn, inputs).outputs[0, -1, 0].argmax()
        right.append(answer == data.classes[i])
    return np.mean(right)


@pytest.mark.parametrize(
    ("losses", "place"),
    [([3, 1, 2], 1), ([2, 1, 1], 1), ([np.nan, 2, 1], 2), ([np.nan, np.nan], 0), ([np.inf, 9], 1)],
)
def test_the_least_loss_is_chosen(losses, place):
    assert learning.chosen(np.array(losses, float)) == place


@pytest.mark.parametrize(
    ("options", "updates"),
    [({"learning_rate": 0.02}, 0), ({"n_updates": 0}, 0), ({"n_updates": 1}, 1)],
)
def test_trials_only_where_there_is_something_to_choose(options, updates):
    data = rnnsim.architecture_experiment("captions", **(TINY | {"n_records": 1} | options))
    assert int(data.trial_updates) == updates
    assert np.isnan(data.trial_loss).all() == (updates == 0)
    if updates == 0:
        assert float(data.learning_rate) == data.rate[0]


def test_a_rate_at_which_the_first_network_diverges_is_not_chosen(monkeypatch):
    rates = (0.01, 0.001)

    def diverging(model, *arguments, **options):
        found = train(model, *arguments, **options)
        if not np.ndim(options["learning_rate"]):
            return found
        return dataclasses.replace(found, diverged=np.array([1, -1]))

    train = learning.train
    monkeypatch.setattr(learning, "train", diverging)
    options = TINY | {"n_records": 1, "learning_rate": rates}
    data = rnnsim.architecture_experiment("captions", **options)
    assert np.isnan(data.trial_loss).values.tolist() == [True, False]
    assert float(data.learning_rate) == 0.001


def test_characters_read_a_text_of_ones_own(tmp_path):
    path = tmp_path / "own.txt"
    letters = np.random.default_rng(0).choice([*"abcdefgh "], 4000)
    path.write_text(" ".join("".join(letters).split()))
    data = rnnsim.architecture_experiment("characters", text=path, n_steps=24, **TINY)
    baselines = dict(zip(data.baseline.values, data.baseline_score.values, strict=True))
    assert baselines["uniform"] == pytest.approx(np.log2(9))
    assert settings_of(data)["text"] == str(path)
    assert json.loads(data.attrs["provenance"])["corpus_sha256"] == tasks.corpus(path).sha256
    for source, answer, _ in json.loads(data.attrs["examples"]):
        assert set(source + answer) <= set("abcdefgh ")


def test_what_is_read_says_which_share_of_the_text_it_is(data):
    provenance = json.loads(data.attrs["provenance"])
    text = settings_of(data)["name"] in {"characters", "sentences"}
    assert provenance.get("corpus_share") == ("1164 of 1164 paragraphs" if text else None)


def test_the_others_read_no_text(tmp_path):
    for name in ("sentences", "translation", "captions"):
        with pytest.raises(ValueError, match=f"`text` is read by 'characters' alone, .* '{name}'"):
            rnnsim.architecture_experiment(name, text="own.txt", **TINY)
    with pytest.raises(FileNotFoundError, match="`text` must be the path of a file"):
        rnnsim.architecture_experiment("characters", text=tmp_path / "none.txt", **TINY)


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
    drawn = problem.draw([0, 1], "vanilla")
    np.testing.assert_array_equal(problem.measure(drawn), data.score.sel(updates=0))
    second = problem.draw([1], "vanilla")
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
    options["cell"] = "vanilla"
    data = rnnsim.architecture_experiment(
        "characters", n_updates=60, n_steps=40, window=10, dtype="float64", n_records=2, **options
    )
    baselines = dict(zip(data.baseline.values, data.baseline_score.values, strict=True))
    assert baselines["uniform"] == pytest.approx(np.log2(len(tasks.corpus().vocabulary)))
    assert baselines["bigram"] < baselines["unigram"] < baselines["uniform"]
    assert (data.score.isel(updates=-1) < baselines["unigram"]).all()
    assert (data.test_score < baselines["unigram"]).all()


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
        ("captions", {"learning_rate": [0.1, 0.1]}, "none twice"),
        ("captions", {"learning_rate": []}, "`learning_rate`"),
        ("captions", {"learning_rate": -0.1}, "`learning_rate`"),
        ("captions", {"learning_rate": [0.1, -0.1]}, "`learning_rate`"),
        ("captions", {"cell": "elman"}, "`cell` must be one of 'vanilla'"),
        ("captions", {"cell": ["gru", "gru"]}, "none twice"),
        ("captions", {"cell": []}, "`cell` must hold at least one value"),
        ("captions", {"forget_bias": 1.0}, "`forget_bias` sets the bias of a gate, which"),
        ("sentences", {"n_layers": 0}, "`n_layers` must be at least 1"),
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
    model = problem.draw([0, 1], "vanilla")
    for late, (n_updates, rate) in enumerate([(4, 0.01), (1, 0.002)]):
        model = rnnsim.train(
            model, problem.task, n_updates=n_updates, optimizer="adam", learning_rate=rate,
            clip_norm=1.0, rng=np.random.default_rng([7, name, late]),
        ).model  # fmt: skip
    np.testing.assert_array_equal(data.score.sel(updates=5), problem.measure(model))
    found = rnnsim.gradient_map(model, problem.shown).log_norms
    np.testing.assert_array_equal(data.log_norms.sel(moment="after"), found)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sentences", {"n_steps": 1}, "`n_steps` must be at least [2-9], the words of"),
        ("characters", {"n_steps": 10**6}, "`n_steps` must be at most"),
        ("translation", {"batch_size": 801}, "`batch_size` must be at most 800, the numbers"),
        ("captions", {"batch_size": 1438}, "`batch_size` must be at most 1437, the images"),
    ],
)
def test_what_data_cannot_give_is_refused_before_anything_is_drawn(
    name, options, message, monkeypatch
):
    monkeypatch.setattr(experiment, "run", lambda *_, **__: pytest.fail("run"))
    with pytest.raises(ValueError, match=message):
        rnnsim.architecture_experiment(name, **options)
