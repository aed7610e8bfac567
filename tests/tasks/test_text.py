"""Text to predict: what is read, that parts share nothing, and texts of one's own."""

import hashlib
import json
import zlib

import numpy as np
import pytest
from builders import classes

import rnnsim
from rnnsim import tasks
from rnnsim.experiments import draws
from rnnsim.tasks import paragraphs
from rnnsim.tasks import text as text_module

PARTS = ("train", "validation", "test")


def part_of_text(part, text=None):
    read = tasks.corpus(text)
    return read.text[read.parts[part]]


def runs(text, length=50):
    return {text[i : i + length] for i in range(len(text) - length + 1)}


def shared(text=None, length=50):
    """What two parts have in common."""
    a, b, c = (runs(part_of_text(part, text), length) for part in PARTS)
    return (a & b) | (a & c) | (b & c)


def letters(seed, n):
    """Words of six letters that repeat no fifty characters, by chance."""
    found = np.random.default_rng(seed).choice([*"abcdefgh"], n)
    found[6::7] = " "
    return "".join(found).strip()


@pytest.fixture
def own(tmp_path):
    def write(content, name="own.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def decoded(codes, text=None):
    return "".join(tasks.corpus(text).vocabulary[code] for code in codes)


def test_corpus_is_the_listed_paragraphs_with_its_checksum():
    read = tasks.corpus()
    of_part = [
        "\n".join(p.text for p in paragraphs.reference().paragraphs if p.part == part)
        for part in PARTS
    ]
    assert [part_of_text(part) for part in PARTS] == of_part
    assert read.text == "\n".join(of_part) == part_of_text("all")
    assert len(read.text) == 251_753 + 1163
    assert list(read.vocabulary) == sorted(set(read.text))
    assert read.sha256 == hashlib.sha256(read.text.encode("utf-8")).hexdigest()
    provenance = tasks.characters(5, 1, rng=0).provenance
    assert provenance["corpus"] == "pydoc_data.topics"
    assert provenance["corpus_sha256"] == read.sha256
    assert provenance["corpus_share"] == "1164 of 1164 paragraphs"


def test_the_text_is_this_one():
    """Under every Python, see `test_paragraphs`: what is drawn from it stays comparable."""
    known = "46b45d3dc4cb1fa88a93b66754b67d50251f5bb6388bad2569a19252b380dc4d"
    assert tasks.corpus().sha256 == known


def test_no_fifty_characters_stand_in_two_parts():
    assert not shared()
    assert shared(length=30), "shorter ones do: the search finds what there is"


def test_no_paragraph_occurs_twice():
    lines = tasks.corpus().text.split("\n")
    assert len(lines) == len(set(lines)) == 1164


def test_characters_are_windows_of_the_text_and_targets_are_one_ahead():
    batch = tasks.characters(60, 20, rng=0)
    shown = classes(batch)
    np.testing.assert_array_equal(batch.targets[:-1], shown[1:])
    np.testing.assert_array_equal(batch.weights, 1)
    windows = [decoded(codes) for codes in np.vstack([shown, batch.targets[-1:]]).T]
    assert all(window in tasks.corpus().text for window in windows)
    assert len(set(windows)) == 20


@pytest.mark.parametrize("part", PARTS)
def test_windows_are_of_their_part_alone(part):
    batch = tasks.characters(60, 50, rng=0, part=part)
    windows = [decoded(codes) for codes in classes(batch).T]
    for each in PARTS:
        found = [window in part_of_text(each) for window in windows]
        assert all(found) if each == part else not any(found)


def test_codes_are_the_text():
    assert decoded(text_module.corpus_codes()) == tasks.corpus().text


def test_characters_windows_reach_both_ends_of_their_part(own):
    """Of 20 different characters sixteen are to learn from, and each other part has two."""
    path = own("abcdefghijklmnopqrst")
    for part, first in (("validation", 16), ("test", 18)):
        batch = tasks.characters(1, 3, rng=0, part=part, text=path)
        np.testing.assert_array_equal(classes(batch), [[first] * 3])
        np.testing.assert_array_equal(batch.targets, [[first + 1] * 3])
    train = tasks.characters(2, 500, rng=0, part="train", text=path)
    assert (classes(train).min(), train.targets.max()) == (0, 15)
    whole = tasks.characters(19, 1, rng=0, text=path)
    np.testing.assert_array_equal(whole.targets[:, 0], np.arange(1, 20))


@pytest.mark.parametrize("part", PARTS)
def test_characters_errors(part):
    n = len(part_of_text(part))
    with pytest.raises(ValueError, match=f"at most {n - 1}, .* part='{part}', got {n}"):
        tasks.characters(n, 1, rng=0, part=part)
    assert tasks.characters(n - 1, 1, rng=0, part=part, dtype="float32").n_steps == n - 1
    with pytest.raises(ValueError, match="`part` must be one of 'all', 'train', 'test', 'valid"):
        tasks.characters(5, 1, rng=0, part="half")


# A text of one's own.


def test_an_own_text_is_its_paragraphs_one_a_line(own):
    path = own("One  two\nthree.\n\n\n  Four\tfive é.\n \t\nOne two three.\n\nThe very end of it.")
    text = "One two three.\nFour five é.\nOne two three.\nThe very end of it."
    read = tasks.corpus(path)
    assert read.text == text
    assert read.vocabulary == "".join(sorted(set(text)))
    assert read.sha256 == hashlib.sha256(text.encode()).hexdigest()
    n = len(text)
    assert [len(part_of_text(part, path)) for part in PARTS] == [
        n * 8 // 10, n * 9 // 10 - n * 8 // 10, n - n * 9 // 10,
    ]  # fmt: skip
    assert "".join(part_of_text(part, path) for part in PARTS) == text


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_it_is_read_by_the_task_and_known_to_sizes(own, kind):
    path = kind(own(letters(0, 500)))
    batch = tasks.characters(30, 4, rng=0, text=path)
    assert (batch.n_inputs, batch.n_inputs) == tasks.sizes("characters", text=path) == (9, 9)
    assert batch.provenance["text"] == str(path)
    assert batch.provenance["corpus"] == "own.txt"
    assert batch.provenance["corpus_sha256"] == tasks.corpus(path).sha256
    assert all(decoded(codes, path) in tasks.corpus(path).text for codes in classes(batch).T)


@pytest.mark.parametrize(
    "content",
    [
        "\n\n".join(letters(i, 300) for i in range(20)) + "\n\n" + letters(3, 300),
        letters(1, 2000) * 2,
        letters(1, 2000) + " " + letters(2, 3000) + letters(1, 2000)[500:900] + letters(4, 1000),
        letters(1, 2000) + "\n\n" + letters(1, 2000).replace(" ", "\n"),
        letters(5, 3000) + "=" * 500 + letters(6, 3000) + "-=" * 300 + letters(7, 200) + "=" * 80,
        "\n".join([letters(i % 7, 120) for i in range(60)]),
    ],
    ids=["paragraphs", "twice", "a stretch", "wrapped anew", "rules", "lines"],
)
def test_parts_of_an_own_text_share_nothing(own, content):
    path = own(content)
    assert not shared(path)
    whole = tasks.corpus(path).text
    assert len(runs(whole)) == max(len(whole) - 49, 0), "each run of 50 occurs once"
    for line in whole.split("\n"):
        assert line in " ".join(content.split())


def test_what_repeats_less_than_fifty_characters_stays(own):
    again, text, more = letters(8, 48), letters(9, 400), letters(10, 200)
    kept = f"{text}1{again}2{more}3{again}2 end."
    assert tasks.corpus(own(kept)).text == kept, "49 characters"
    taken = f"{text}1{again}2{more}1{again}2 end."
    assert tasks.corpus(own(taken, "two.txt")).text == f"{text}1{again}2{more}\nend."


def test_a_file_that_changes_is_read_again(own):
    path = own(letters(0, 300))
    first = tasks.corpus(path).text
    own(letters(1, 301))
    assert tasks.corpus(path).text != first
    assert tasks.corpus(path).text == letters(1, 301)


def test_a_byte_order_mark_is_no_character(own):
    assert tasks.corpus(own(b"\xef\xbb\xbf" + letters(0, 100).encode())).text == letters(0, 100)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "at least 20 characters besides repeats and white space, got 0 in .*own.txt"),
        (" \n\n \t", "at least 20 characters .* got 0 .* give a longer text"),
        ("Too short a text.", "at least 20 characters .* got 17"),
        ("abc" * 1000, "at least 20 characters .* got [1-9]"),
        (letters(0, 50).encode() + b"\xff\xfe", r"in UTF-8, got .* at byte 50; convert it"),
    ],
)
def test_own_texts_that_cannot_be_read(own, content, message):
    path = own(content)
    with pytest.raises(ValueError, match=f"`text` must .*{message}"):
        tasks.characters(5, 1, rng=0, text=path)


def test_paths_that_are_none(tmp_path):
    for path in (tmp_path, tmp_path / "missing.txt"):
        with pytest.raises(FileNotFoundError, match=r"`text` must be the path of a file in UTF-8"):
            tasks.characters(5, 1, rng=0, text=path)
    for text in (3, ["a.txt"], 2.5):
        with pytest.raises(
            TypeError, match=r"`text` must be the path of a file, got (int|list|float);"
        ):
            tasks.corpus(text)


def test_sweeps_read_it(own):
    path = own(letters(0, 600))
    data = rnnsim.sweep(
        "characters", gain=1.0, length=12, n_hidden=5, network_seeds=1, batch_size=3,
        measures="gradients", task_options={"text": path, "part": "train"},
    )  # fmt: skip
    settings = json.loads(data.attrs["configuration"])
    assert dict(settings["task_options"]) == {"text": str(path), "part": "train"}
    provenance = json.loads(data.attrs["provenance"])
    assert provenance["characters.corpus_sha256"] == tasks.corpus(path).sha256
    key = [0, zlib.crc32(b"characters"), 12, 3]
    batch = tasks.characters(12, 3, rng=np.random.default_rng(key), text=path, part="train")
    rnn = draws.paired_networks(
        [0], [1.0], sizes=(9, 9), n_hidden=5, scheme="gaussian", activation="tanh", dtype="float64"
    )
    assert float(data.loss.squeeze()) == rnnsim.evaluate(rnn, batch).loss[0]
