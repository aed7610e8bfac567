"""Sentence classification: where sentences come from, how they stand, and that parts are apart."""

import zlib

import numpy as np
import pytest

import rnnsim
from rnnsim import tasks
from rnnsim.experiments import draws
from rnnsim.tasks import sentence_classes


def texts(batch):
    """The sentences of a batch, and checks that zeros stand in front and nothing behind."""
    vocabulary = np.array(list(tasks.sentence_corpus().vocabulary))
    shown = batch.inputs.sum(axis=-1)
    assert set(np.unique(shown)) <= {0.0, 1.0}
    assert (np.diff(shown, axis=0) >= 0).all(), "zeros come first"
    letters = vocabulary[batch.inputs.argmax(axis=-1)]
    columns = zip(letters.T, shown.T > 0, strict=True)
    return ["".join(column[written]) for column, written in columns]


def whole(part):
    """Every sentence of a part within 100 characters, each once, with its class."""
    data = tasks.sentence_corpus()
    chosen = {"all": data.test | True, "train": ~data.test, "test": data.test}[part]
    count = sum(len(s) <= 100 for s, one in zip(data.sentences, chosen, strict=True) if one)
    batch = tasks.sentences(100, count, rng=0, part=part, dtype="float32")
    return dict(zip(texts(batch), batch.targets[-1].tolist(), strict=True))


def test_sentences_are_those_of_their_topics():
    from pydoc_data.topics import topics

    groups = list(tasks.SENTENCE_GROUPS.values())
    batch = tasks.sentences(90, 20, rng=1)
    for sentence, group in zip(texts(batch), batch.targets[-1], strict=True):
        places = [
            g
            for g, names in enumerate(groups)
            if any(sentence in " ".join(topics.get(n, "").split()) for n in names.split())
        ]
        assert group in places
        assert 20 <= len(sentence) <= 90
        assert sentence[-1] in ".!?:"


def test_loss_is_at_the_last_step_only():
    batch = tasks.sentences(60, 5, rng=0)
    np.testing.assert_array_equal(batch.loss_steps, [60])
    np.testing.assert_array_equal(batch.weights[-1], 1)
    np.testing.assert_array_equal(batch.inputs[-1].sum(axis=-1), 1)


def test_no_sentence_is_in_both_parts():
    train, test = whole("train"), whole("test")
    assert not train.keys() & test.keys()
    assert train | test == whole("all")
    assert len(train) > 7 * len(test) > 0
    assert set(train.values()) == set(test.values()) == set(range(5))
    assert all(zlib.crc32(sentence.encode()) % 10 == 0 for sentence in test)


def test_groups_are_about_balanced_and_share_no_topic():
    shares = np.bincount(tasks.sentence_corpus().classes) / len(tasks.sentence_corpus().classes)
    assert shares.min() > 0.1
    assert shares.max() < 0.33
    names = " ".join(tasks.SENTENCE_GROUPS.values()).split()
    assert len(names) == len(set(names))


def test_a_small_corpus_by_hand(monkeypatch):
    """Shared sentences, headings, code, short ones and topics of no group are left out."""
    topics = {
        "types": "Types\n*****\n\nEvery object has a type here. Shared by two of the groups.\n",
        "import": "The import system finds modules.\nShared by two of the groups. Short one.",
        "while": 'while_stmt ::= "while" and so on.\n\n>>> Code is no sentence at all.',
        "news": "A topic that no group of ours names.",
    }
    monkeypatch.setattr("pydoc_data.topics.topics", topics)
    data = tasks.sentence_corpus.__wrapped__()
    assert data.sentences == ["Every object has a type here.", "The import system finds modules."]
    assert data.classes.tolist() == [0, 4]
    assert set(data.vocabulary) == set("".join(data.sentences))


def test_a_network_can_be_drawn_before_the_data():
    D, V = tasks.sizes("sentences", part="train")
    batch = tasks.sentences(40, 2, rng=0, part="train")
    rnn = rnnsim.RNN.sample(n_inputs=D, n_hidden=2, n_outputs=V, rng=0)
    assert np.isfinite(rnnsim.evaluate(rnn, batch).loss).all()


def test_sweeps_can_draw_sentences():
    """A sweep draws its data by name, length and batch size."""
    batch = draws.paired_data("sentences", 25, batch_size=2, seed=0, dtype="float32")
    assert (batch.n_inputs, batch.dtype) == (tasks.sizes("sentences")[0], np.float32)
    assert all(20 <= len(sentence) <= 25 for sentence in texts(batch))


def test_errors():
    with pytest.raises(ValueError, match=r"`n_steps` must be at least 2., the shortest .* got 19"):
        tasks.sentences(19, 1, rng=0)
    with pytest.raises(ValueError, match="`part` must be one of 'all', 'train', 'test'"):
        tasks.sentences(60, 1, rng=0, part="validation")
    with pytest.raises(ValueError, match="sentences of part='test' within 60 characters, got 9999"):
        tasks.sentences(60, 9999, rng=0, part="test")


def test_splitting_keeps_abbreviations_and_quotes():
    paragraph = 'Use "x" (e.g. in a loop) or not. "Quoted words" may begin a sentence: yes they do.'
    assert list(sentence_classes._split(paragraph)) == ['Use "x" (e.g. in a loop) or not.']
