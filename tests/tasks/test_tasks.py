"""Tasks: their layout by hand-checkable laws, their floors, and draws that a seed repeats."""

import sys

import numpy as np
import pytest

from rnnsim import tasks
from rnnsim.tasks.images import digit_images

# One call per task and option that changes the data.
CALLS = [
    ("copy_memory", 25, {}),
    ("copy_memory", 12, {"n_symbols": 3, "n_memory": 4, "loss": "recall"}),
    ("echo", 20, {}),
    ("echo", 9, {"n_symbols": 3, "delay": 5}),
    ("adding", 11, {}),
    ("temporal_order", 23, {}),
    ("characters", 9, {}),
    ("characters", 9, {"part": "test"}),
    ("characters", 9, {"part": "validation"}),
    ("sentences", 60, {}),
    ("sentences", 90, {"part": "test"}),
    ("sentences", 90, {"part": "validation"}),
    ("digits", 8, {}),
    ("digits", 64, {"order": "pixels", "permutation": 3, "part": "train"}),
]
each_call = pytest.mark.parametrize(("name", "n_steps", "options"), CALLS)


def draw(name, n_steps, options, rng=0, n_sequences=7, **more):
    return tasks.TASKS[name](n_steps, n_sequences, rng=rng, **options, **more)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("inputs", "targets", "weights")
    )


@each_call
def test_sizes_and_shapes(name, n_steps, options):
    batch = draw(name, n_steps, options)
    n_inputs, n_outputs = tasks.sizes(name, **options)
    assert (batch.n_steps, batch.n_sequences, batch.n_inputs) == (n_steps, 7, n_inputs)
    if batch.has_classes:
        assert batch.targets.shape == (n_steps, 7)
        assert 0 <= batch.targets.min() <= batch.targets.max() < n_outputs
    else:
        assert batch.targets.shape == (n_steps, 7, n_outputs)


@each_call
def test_a_seed_repeats_the_draw(name, n_steps, options):
    one = draw(name, n_steps, options, rng=5)
    assert same(one, draw(name, n_steps, options, rng=5))
    assert same(one, draw(name, n_steps, options, rng=np.random.default_rng(5)))
    assert not same(one, draw(name, n_steps, options, rng=6))


@each_call
def test_a_generator_moves_on_and_global_state_does_not_count(name, n_steps, options):
    rng = np.random.default_rng(5)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert not same(draw(name, n_steps, options, rng), draw(name, n_steps, options, rng))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@each_call
def test_dtype_only_rounds(name, n_steps, options):
    double = draw(name, n_steps, options, n_sequences=50)
    single = draw(name, n_steps, options, n_sequences=50, dtype="float32")
    assert (double.dtype, single.dtype) == (np.float64, np.float32)
    assert same(single, double.astype("float32"))


@each_call
def test_provenance_names_task_variant_and_options(name, n_steps, options):
    provenance = draw(name, n_steps, options).provenance
    assert provenance["task"] == name
    assert provenance["variant"]
    assert provenance.items() >= {key: str(value) for key, value in options.items()}.items()
    assert all(isinstance(value, str) for value in provenance.values())


@each_call
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_sequences": 0}, ValueError, "`n_sequences` must be at least 1, got 0"),
        ({"n_sequences": 1.5}, TypeError, "`n_sequences` must be an integer"),
        ({"n_steps": 0}, ValueError, "`n_steps` must be"),
        ({"n_steps": "8"}, TypeError, "`n_steps` must be an integer"),
        ({"dtype": "float16"}, TypeError, "`dtype` must be 'float32' or 'float64'"),
        ({"rng": None}, TypeError, "`rng` must be an int seed"),
    ],
)
def test_misuse_is_named(name, n_steps, options, change, error, message):
    arguments = {"n_steps": n_steps, "n_sequences": 7, "rng": 0} | options | change
    with pytest.raises(error, match=message):
        tasks.TASKS[name](**arguments)


@pytest.mark.parametrize("name", ["adding", "temporal_order", "digits"])
def test_many_to_one_carries_loss_at_the_last_step_only(name):
    batch = draw(name, 64, {"order": "pixels"} if name == "digits" else {})
    np.testing.assert_array_equal(batch.weights[:-1], 0)
    np.testing.assert_array_equal(batch.weights[-1], 1)


@pytest.mark.parametrize(
    ("name", "least", "reason"),
    [
        ("copy_memory", 21, "to show"),
        ("echo", 9, "so that"),
        ("adding", 2, "for a"),
        ("temporal_order", 10, "so that"),
    ],
)
def test_shortest_length(name, least, reason):
    assert draw(name, least, {}).n_steps == least
    with pytest.raises(ValueError, match=f"must be at least {least} {reason} .* got {least - 1}"):
        draw(name, least - 1, {})


def images_and_labels():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    return digits.images / 16, digits.target


def multiset(images, labels):
    """Images and labels as rows, in an order of their own."""
    rows = np.column_stack([images.reshape(len(images), 64), labels])
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize(("order", "n_steps"), [("rows", 8), ("pixels", 64)])
def test_digits_are_all_of_scikit_learns_once(order, n_steps):
    """The full draw, flattened again, is a permutation of the data set with its labels."""
    images, labels = images_and_labels()
    batch = tasks.digits(None, 1797, rng=0, order=order)
    assert batch.n_steps == n_steps
    drawn = batch.inputs.swapaxes(0, 1)
    assert drawn.max() == 1
    np.testing.assert_array_equal(
        multiset(drawn.reshape(1797, 64), batch.targets[-1]), multiset(images, labels)
    )


def test_digits_rows_are_rows():
    images, _ = images_and_labels()
    batch = tasks.digits(8, 5, rng=0)
    for b in range(5):
        assert (images == batch.inputs[:, b]).all(axis=(1, 2)).sum() == 1


def test_digits_parts_are_disjoint():
    images, labels = images_and_labels()
    cuts = {
        "train": slice(1437), "validation": slice(1437, 1617), "test": slice(1617, None),
    }  # fmt: skip
    for part, chosen in cuts.items():
        batch = tasks.digits(8, len(labels[chosen]), rng=0, part=part)
        np.testing.assert_array_equal(
            multiset(batch.inputs.swapaxes(0, 1), batch.targets[-1]),
            multiset(images[chosen], labels[chosen]),
        )


def test_digits_permutation_is_one_shuffle_of_the_pixels_for_all_images():
    plain = tasks.digits(64, 300, rng=0, order="pixels").inputs
    permuted = tasks.digits(64, 300, rng=0, order="pixels", permutation=1).inputs
    shuffle = np.random.default_rng(1).permutation(64)
    np.testing.assert_array_equal(permuted, plain[shuffle])


def test_digits_errors():
    with pytest.raises(ValueError, match=r"must be 8 with order='rows', got 64; .*'pixels' 64"):
        tasks.digits(64, 1, rng=0)
    with pytest.raises(ValueError, match="`order` must be one of 'rows', 'pixels', got 'columns'"):
        tasks.digits(8, 1, rng=0, order="columns")
    with pytest.raises(TypeError, match="`permutation` must be an integer of at least 0"):
        tasks.digits(8, 1, rng=0, permutation=np.arange(64))
    with pytest.raises(ValueError, match="at most 180, the images of part='test', got 181"):
        tasks.digits(8, 181, rng=0, part="test")
    with pytest.raises(ValueError, match="at most 1797"):
        tasks.digits(8, 1798, rng=0)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    digit_images.cache_clear()
    with pytest.raises(ImportError, match=r"install the extra rnnsim-toolkit\[digits\]"):
        tasks.digits(8, 1, rng=0)


def test_sizes_follow_the_options():
    assert tasks.sizes("copy_memory", n_symbols=3, loss="recall") == (5, 4)
    assert tasks.sizes("adding") == (2, 1)
    assert tasks.sizes("temporal_order") == (6, 4)
    assert tasks.sizes("digits", part="train") == (8, 10)
    assert tasks.sizes("digits", order="pixels", permutation=0) == (1, 10)
    assert tasks.sizes("characters") == (len(tasks.corpus().vocabulary),) * 2


def test_sizes_errors():
    with pytest.raises(ValueError, match="`name` must be one of 'copy_memory', 'echo', "):
        tasks.sizes("copy")
    with pytest.raises(
        TypeError, match=r"'characters' has the options \['part', 'text'\], got \['parts'\]"
    ):
        tasks.sizes("characters", parts="train")
    with pytest.raises(TypeError, match=r"'adding' has the options \[\], got \['dtype', 'rng'\]"):
        tasks.sizes("adding", rng=0, dtype="float32")
    with pytest.raises(ValueError, match="`order` must be one of"):
        tasks.sizes("digits", order="columns")


def test_every_task_is_public_and_says_its_sizes():
    assert tasks.TASKS.keys() | tasks.PAIR_TASKS.keys() <= set(tasks.__all__)
    for name in tasks.TASKS:
        assert len(tasks.sizes(name)) == 2, f"{name} needs a line in _SIZES"
