"""Sentence classification: where sentences come from, how they stand, and that parts are apart."""

import difflib
import hashlib

import numpy as np
import pytest

import rnnsim
from rnnsim import tasks
from rnnsim.experiments import draws
from rnnsim.tasks import paragraphs, sentence_classes


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
    chosen = data.of(part)
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


def test_no_sentence_is_in_two_parts():
    train, validation, test = (whole(part) for part in ("train", "validation", "test"))
    assert len(train) + len(validation) + len(test) == len(train | validation | test)
    assert train | validation | test == whole("all")
    assert len(train) > 7 * len(test) > 0
    assert len(train) > 6 * len(validation) > 0
    classes = [set(part.values()) for part in (train, validation, test)]
    assert classes == [set(range(5))] * 3


def near_copies(ones, others, least):
    """Pairs of which `difflib` finds more than this share of characters in order."""
    for one in ones:
        match = difflib.SequenceMatcher(None, "", one, autojunk=False)
        for other in others:
            match.set_seq1(other)
            bounds = (match.real_quick_ratio, match.quick_ratio, match.ratio)
            if all(bound() > least for bound in bounds):
                yield one, other


def test_no_sentence_is_nearly_one_of_another_part():
    data = tasks.sentence_corpus()
    train, validation, test = (
        [s for s, one in zip(data.sentences, data.of(part), strict=True) if one]
        for part in ("train", "validation", "test")
    )
    assert not list(near_copies(test, train + validation, 0.82))
    assert not list(near_copies(validation, train, 0.82))
    changed = [f"{sentence[:-4]} so." for sentence in test if len(sentence) > 60]
    assert len({one for one, _ in near_copies(test, changed, 0.82)}) >= len(changed) > 50


def test_parts_share_no_fifty_characters_of_a_sentence():
    data = tasks.sentence_corpus()
    train, validation, test = (
        {
            s[i : i + 50]
            for s, one in zip(data.sentences, data.of(part), strict=True) if one
            for i in range(len(s) - 49)
        }
        for part in ("train", "validation", "test")
    )  # fmt: skip
    assert not train & test | train & validation | validation & test


def test_paragraphs_go_whole_to_a_part():
    data = tasks.sentence_corpus()
    of_part = {
        s: part
        for part in ("train", "validation", "test")
        for s, one in zip(data.sentences, data.of(part), strict=True) if one
    }  # fmt: skip
    for paragraph in paragraphs.reference().paragraphs:
        found = {of_part.get(s) for s in sentence_classes._split(paragraph.text)} - {None}
        assert found <= {paragraph.sentences}


def test_groups_are_about_balanced_and_share_no_topic():
    data = tasks.sentence_corpus()
    shares = np.bincount(data.classes) / len(data.classes)
    assert (100 * shares).round().tolist() == [26, 23, 17, 22, 12]
    for part in ("train", "validation", "test"):
        own = np.bincount(data.classes[data.of(part)]) / data.of(part).sum()
        np.testing.assert_allclose(own, shares, atol=0.08)
    names = " ".join(tasks.SENTENCE_GROUPS.values()).split()
    assert len(names) == len(set(names))


def test_the_sentences_are_these():
    """Under every Python, since their paragraphs are: see `test_paragraphs`."""
    data = tasks.sentence_corpus()
    assert (
        len(data.sentences),
        [int(data.of(p).sum()) for p in ("train", "validation", "test")],
    ) == (1638, [1274, 189, 175])
    assert data.sha256 == hashlib.sha256("\n".join(data.sentences).encode()).hexdigest()
    assert data.sha256.startswith("c03a0ea9ea85")
    provenance = tasks.sentences(60, 2, rng=0).provenance
    assert provenance["sentences_sha256"] == data.sha256
    assert provenance["corpus_share"] == "1164 of 1164 paragraphs"


def test_a_small_corpus_by_hand(monkeypatch):
    """Shared sentences, headings, code, short ones and topics of no group are left out."""
    listed = [
        ("Types *****", "train", "train", ("types",)),
        ("Every object has a type here. Shared by two of the groups.", "train", "test", ("types",)),
        ("The import system finds modules.", "train", "validation", ("import", "naming")),
        ("Shared by two of the groups. Short one.", "train", "test", ("import",)),
        ('while_stmt ::= "while" and so on.', "train", "train", ("while",)),
        (">>> Code is no sentence at all.", "train", "train", ("while",)),
        ("A paragraph of two of the groups.", "train", "train", ("while", "import")),
        ("A topic that no group of ours names.", "train", "train", ("news",)),
        ("Named here and not there as well.", "train", "train", ("news", "while")),
    ]
    found = paragraphs.Reference([paragraphs.Paragraph(*each) for each in listed], "9 of 10")
    monkeypatch.setattr(sentence_classes, "reference", lambda: found)
    data = tasks.sentence_corpus.__wrapped__()
    assert data.sentences == [
        "Every object has a type here.",
        "Named here and not there as well.",
        "The import system finds modules.",
    ]
    assert data.classes.tolist() == [0, 3, 4]
    for i, part in enumerate(("test", "train", "validation")):
        assert data.of(part).tolist() == [j == i for j in range(3)]
    assert set(data.vocabulary) == set("".join(data.sentences))
    assert data.share == "9 of 10"


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
    with pytest.raises(ValueError, match="`part` must be one of 'all', 'train', 'test', 'valid"):
        tasks.sentences(60, 1, rng=0, part="half")
    with pytest.raises(ValueError, match="sentences of part='test' within 60 characters, got 9999"):
        tasks.sentences(60, 9999, rng=0, part="test")


def test_splitting_keeps_abbreviations_and_quotes():
    paragraph = 'Use "x" (e.g. in a loop) or not. "Quoted words" may begin a sentence: yes they do.'
    assert list(sentence_classes._split(paragraph)) == ['Use "x" (e.g. in a loop) or not.']
