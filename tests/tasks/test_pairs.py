"""Pairs to translate and to describe: targets that decode to their words, parts, alphabets."""

import sys

import numpy as np
import pytest

import rnnsim
from rnnsim import tasks
from rnnsim.tasks import image_captions, numerals

CALLS = [
    ("number_words", {"largest": 60}),
    ("number_words", {"largest": 60, "part": "train", "reverse": True}),
    ("captions", {}),
    ("captions", {"part": "test"}),
    ("captions", {"part": "validation"}),
]
each_call = pytest.mark.parametrize(("name", "options"), CALLS)


def draw(name, options, rng=0, n_sequences=5, **more):
    if name == "captions":
        pytest.importorskip("sklearn")
    else:
        pytest.importorskip("num2words")
    return tasks.PAIR_TASKS[name](n_sequences, rng=rng, **options, **more)


def alphabet_of(name, options):
    if name == "captions":
        return tasks.caption_alphabet()
    return tasks.number_alphabets(largest=options["largest"])[1]


def same(one, other):
    a, b = one.target, other.target
    arrays = [(one.source, other.source), (a.inputs, b.inputs), (a.targets, b.targets)]
    return all(np.array_equal(x, y) for x, y in [*arrays, (a.weights, b.weights)])


@each_call
def test_a_seed_repeats_the_draw(name, options):
    one = draw(name, options, rng=5)
    assert same(one, draw(name, options, rng=np.random.default_rng(5)))
    assert not same(one, draw(name, options, rng=6))
    single = draw(name, options, rng=5, dtype="float32")
    assert single.dtype == np.float32
    assert same(single, one.astype("float32"))


@each_call
def test_the_decoder_reads_what_it_should_have_written(name, options):
    """start, then every target but the end; behind the end no input and no weight."""
    pairs, alphabet = draw(name, options), alphabet_of(name, options)
    target = pairs.target
    assert target.n_inputs == alphabet.n_inputs
    for b, text in enumerate(alphabet.decode(target.targets)):
        n = len(text) + 1
        assert target.targets[n - 1, b] == alphabet.end
        np.testing.assert_array_equal(target.weights[:, b], np.arange(target.n_steps) < n)
        read = target.inputs[:n, b].argmax(axis=-1)
        np.testing.assert_array_equal(read, [alphabet.start, *alphabet.encode(text)])
        np.testing.assert_array_equal(target.inputs[:n, b].sum(axis=-1), 1)
        assert not target.inputs[n:, b].any()


@each_call
def test_provenance_and_parts(name, options):
    provenance = draw(name, options).provenance
    assert provenance["task"] == name
    assert provenance.items() >= {key: str(value) for key, value in options.items()}.items()


@each_call
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_sequences": 0}, ValueError, "`n_sequences` must be at least 1, got 0"),
        ({"n_sequences": 1800}, ValueError, "`n_sequences` must be at most .* draw several"),
        ({"dtype": "float16"}, TypeError, "`dtype` must be 'float32' or 'float64'"),
        ({"rng": None}, TypeError, "`rng` must be an int seed"),
        ({"part": "half"}, ValueError, "`part` must be one of 'all', 'train', 'test'"),
    ],
)
def test_misuse_is_named(name, options, change, error, message):
    with pytest.raises(error, match=message):
        draw(name, {}, **({"n_sequences": 5, "rng": 0} | options | change))


def english(pairs, largest, reverse=False):
    letters = tasks.number_alphabets(largest=largest)[0].characters
    words = []
    for b in range(pairs.n_sequences):
        shown = pairs.source[:, b]
        written = shown.any(axis=-1)
        assert (np.diff(written.astype(int)) >= 0).all()
        assert written[-1]
        words.append("".join(letters[i] for i in shown[written].argmax(axis=-1)))
    return [word[::-1] for word in words] if reverse else words


@pytest.mark.parametrize("reverse", [False, True])
def test_numbers_are_translated(reverse):
    """All numbers to 99 by num2words itself, and some by hand."""
    num2words = pytest.importorskip("num2words").num2words
    pairs = tasks.number_words(100, rng=0, largest=99, reverse=reverse)
    german = tasks.number_alphabets(largest=99)[1].decode(pairs.target.targets)
    found = dict(zip(english(pairs, 99, reverse), german, strict=True))
    assert found == {num2words(i): num2words(i, lang="de") for i in range(100)}
    by_hand = {"zero": "null", "seventeen": "siebzehn", "forty-two": "zweiundvierzig"}
    assert found.items() >= by_hand.items()
    assert (pairs.n_source_steps, pairs.n_steps) == (13, 17)  # seventy-seven, its German and end


def test_numbers_of_the_test_are_never_seen_in_training():
    pytest.importorskip("num2words")
    parts = {}
    for part, size in (("train", 160), ("validation", 20), ("test", 20), ("all", 200)):
        pairs = tasks.number_words(size, rng=0, part=part, largest=199)
        parts[part] = set(english(pairs, 199))
        assert len(parts[part]) == size
    held_out = parts["validation"] | parts["test"]
    assert len(held_out) == 40
    assert not parts["train"] & held_out
    assert parts["train"] | held_out == parts["all"]


def test_number_words_errors(monkeypatch):
    with pytest.raises(ValueError, match="`largest` must be at least 9, got 8"):
        tasks.number_words(1, rng=0, largest=8)
    monkeypatch.setitem(sys.modules, "num2words", None)
    numerals._numerals.cache_clear()
    with pytest.raises(ImportError, match=r"install the extra rnnsim-toolkit\[numbers\]"):
        tasks.number_words(1, rng=0, largest=9)


def test_captions_show_the_image_of_their_digit():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    pairs = tasks.captions(1797, rng=0)
    assert pairs.source.shape == (1, 1797, 64)
    labels = {
        image.tobytes(): label for image, label in zip(digits.data, digits.target, strict=True)
    }
    words = "zero one two three four five six seven eight nine".split()
    texts = tasks.caption_alphabet().decode(pairs.target.targets)
    for image, text in zip(16 * pairs.source[0], texts, strict=True):
        assert text.split()[2] == words[labels[image.tobytes()]]
    assert len(set(texts)) == 40
    assert max(map(len, texts)) + 1 == pairs.n_steps


def test_half_of_every_digit_is_bold_and_half_leans_right():
    """To the images at the median itself, which are ties."""
    pytest.importorskip("sklearn")
    texts = tasks.caption_alphabet().decode(tasks.captions(1797, rng=0).target.targets)
    for word in "zero one two three four five six seven eight nine".split():
        own = [text for text in texts if f" {word} " in text]
        assert sum("bold" in text for text in own) / len(own) == pytest.approx(0.5, abs=0.02)
        assert sum("right" in text for text in own) / len(own) == pytest.approx(0.5, abs=0.02)


def test_slant_of_drawn_lines():
    """A stroke / leans right by one column a row, a stroke | not at all, a stroke \\ left."""
    right, upright = np.fliplr(np.eye(8)), np.zeros((8, 8))
    upright[:, 3] = 1
    lines = np.array([right, upright, np.eye(8)]).reshape(3, 64)
    np.testing.assert_allclose(image_captions._slant(lines), [1, 0, -1], atol=1e-15)


def test_varied_captions_say_what_is_seen():
    """By the medians of the images as they are, recomputed here by loops; other draws each time."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    ink, slant = (
        np.array([of(image.reshape(8, 8)) for image in digits.data]) for of in (np.sum, _slant)
    )
    kinds = "zero one two three four five six seven eight nine".split()
    plain = tasks.captions(200, rng=3, part="train")
    pairs = tasks.captions(200, rng=3, part="train", varied=True)
    texts, before = (
        tasks.caption_alphabet().decode(each.target.targets) for each in (pairs, plain)
    )
    for image, text in zip(pairs.source[0], texts, strict=True):
        _, weight, kind, _, side = text.split()
        own = digits.target == kinds.index(kind)
        assert (weight == "bold") == (16 * image.sum() > np.median(ink[own]))
        assert (side == "right") == (_slant(image.reshape(8, 8)) > np.median(slant[own]))
    assert [text.split()[2] for text in texts] == [text.split()[2] for text in before]
    assert 0.05 < np.mean([a != b for a, b in zip(texts, before, strict=True)]) < 0.6
    assert pairs.source.min() >= 0
    assert pairs.source.max() <= 1
    assert not (pairs.source == plain.source).all(axis=-1).any()
    assert pairs.provenance["varied"] == "True"
    assert "varied" not in plain.provenance
    with pytest.raises(TypeError, match="`varied` must be True or False"):
        tasks.captions(1, rng=0, varied=1)


def _slant(image):
    """-cov(row, column) / var(row) of the ink, by loops."""
    total = image.sum()
    row = sum(i * image[i, j] for i in range(8) for j in range(8)) / total
    column = sum(j * image[i, j] for i in range(8) for j in range(8)) / total
    up = sum((i - row) * (j - column) * image[i, j] for i in range(8) for j in range(8))
    return -up / sum((i - row) ** 2 * image[i, j] for i in range(8) for j in range(8))


def test_images_vary_by_an_affine_map(monkeypatch):
    """Against bilinear interpolation by loops, for each way to vary alone and all at once."""
    images = np.random.default_rng(0).random((3, 64))
    ways = ("_SHEAR", "_SHIFT", "_STRETCH", "_BRIGHTNESS")
    for kept in (*((way,) for way in ways), ways, ()):
        for way in ways:
            monkeypatch.setattr(image_captions, way, 0.3 if way in kept else 0.0)
        seen = image_captions._varied(images, np.random.default_rng(1))
        shear, shift, stretch, bright = (0.3 * (way in kept) for way in ways)
        draw = np.random.default_rng(1).standard_normal
        sizes, shears = 1 + stretch * draw((3, 1, 2))[:, 0], shear * draw(3)
        shifts, light = shift * draw((3, 2, 1))[..., 0], 1 + bright * draw((3, 1))[:, 0]
        for n, i, j in np.ndindex(3, 8, 8):
            y = sizes[n, 0] * (i - 3.5) + 3.5 + shifts[n, 0]
            x = shears[n] * (i - 3.5) + sizes[n, 1] * (j - 3.5) + 3.5 + shifts[n, 1]
            value = light[n] * _between(images[n].reshape(8, 8), y, x)
            assert seen[n, 8 * i + j] == pytest.approx(min(max(value, 0), 1), abs=1e-12)
        if not kept:
            np.testing.assert_array_equal(seen, images)


def test_half_of_varied_images_are_mixed_within_their_class():
    """Shares are uniform, and nothing else of an image changes."""
    images, labels = np.eye(8), np.arange(8) % 3
    drawn = np.repeat(np.arange(8), 500)
    mixed = image_captions._mixed(images, labels, drawn, np.random.default_rng(0))
    np.testing.assert_allclose(mixed.sum(axis=1), 1)
    assert (labels == labels[drawn][:, None])[mixed > 0].all()
    shares = 1 - mixed[np.arange(drawn.size), drawn]
    others = shares[shares > 0]  # where the other is the image itself, too, nothing changes
    assert others.mean() == pytest.approx(0.5, abs=0.03)
    same = np.mean([1 / np.sum(labels == label) for label in labels[drawn]])
    assert others.size / drawn.size == pytest.approx(0.5 * (1 - same), abs=0.03)


def _between(image, y, x):
    """Bilinear; 0 beyond the edge."""
    value = 0.0
    for i, j in np.ndindex(8, 8):
        value += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * image[i, j]
    return value


def test_caption_parts_are_those_of_the_digits():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    cuts = {"train": slice(1437), "validation": slice(1437, 1617), "test": slice(1617, None)}
    for part, chosen in cuts.items():
        images = digits.data[chosen] / 16
        drawn = tasks.captions(len(images), rng=0, part=part).source[0]
        assert {image.tobytes() for image in drawn} == {image.tobytes() for image in images}


def test_a_model_for_each_task():
    pairs, options = draw("number_words", {"largest": 9}), {"rng": 0, "n_hidden": 3}
    alphabet = tasks.number_alphabets(largest=9)[1]
    model = rnnsim.EncoderDecoder.sample(
        n_source_inputs=pairs.n_source_inputs,
        n_inputs=alphabet.n_inputs,
        n_outputs=alphabet.n_outputs,
        **options,
    )
    assert np.isfinite(rnnsim.pairs_evaluate(model, pairs).loss).all()
    ids = rnnsim.greedy_decode(
        model, pairs.source, start=alphabet.start, end=alphabet.end, n_steps=pairs.n_steps
    )
    assert len(alphabet.decode(ids[0])) == 5
    assert 0 <= rnnsim.exact_match(ids, pairs)[0] <= 1


def test_alphabet():
    alphabet = tasks.Alphabet("abc")
    assert (alphabet.n_inputs, alphabet.n_outputs, alphabet.end, alphabet.start) == (5, 4, 3, 4)
    assert alphabet.encode("cab").tolist() == [2, 0, 1]
    assert alphabet.decode(np.array([[2, 3, -1], [0, 0, 1], [1, 0, 4]])) == ["cab", "", "?b?"]
    assert alphabet.decode(np.empty((0, 2), int)) == ["", ""]
    with pytest.raises(ValueError, match=r"`text` must consist of 'abc', got also \['d', 'e'\]"):
        alphabet.encode("bed")
    with pytest.raises(TypeError, match=r"`ids` must hold class ids \(integers\), got float64"):
        alphabet.decode([[1.0]])
    with pytest.raises(ValueError, match=r"got shape \(1, 1, 1\); of .* one network at a time"):
        alphabet.decode([[[1]]])
