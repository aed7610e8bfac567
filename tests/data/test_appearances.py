"""Data that look as if something else were meant: one warning, at the line that made them."""

import copy
import pickle
import re
import warnings
from functools import partial

import numpy as np
import pytest
from builders import case

import rnnsim
from rnnsim import Sequences

pytestmark = pytest.mark.nojit
SWAPPED = "axes of `inputs` look swapped"
ONEHOT = "`targets` look one-hot"
T, B, V = 3, 2, 4


def onehot(dtype="float64"):
    return np.eye(V, dtype=dtype)[np.arange(T * B).reshape(T, B) % V]


def batch(targets, weights=None):
    return Sequences(np.zeros((*targets.shape[:2], 1), targets.dtype), targets, weights)


def streams(steps=2, sequences=5001, lead=()):
    """So many numbers a step, and where they enter."""
    inputs = np.zeros((*lead, steps, sequences, 1))
    return inputs, np.zeros(inputs.shape[:-1], int)


MAKERS = {
    "swapped": (SWAPPED, lambda: Sequences(*streams())),
    "swapped, gradients": (SWAPPED, lambda: Sequences.from_gradients(streams()[0], streams()[0])),
    "one-hot": (ONEHOT, lambda: batch(onehot())),
    "both": (SWAPPED, lambda: batch(np.eye(2)[np.arange(12_000).reshape(2, 6000) % 2])),
    "both, partial": (ONEHOT, partial(Sequences, np.zeros((T, B, 1)), onehot())),
}


@pytest.mark.parametrize("name", MAKERS)
def test_one_warning_points_at_the_line(name):
    message, make = MAKERS[name]
    with pytest.warns(UserWarning, match="look") as seen:
        make()
    assert [message in str(each.message) for each in seen] == [True]
    assert seen[0].filename == __file__


@pytest.mark.parametrize("name", MAKERS)
def test_a_warning_says_how_to_keep_it_quiet(name):
    _, make = MAKERS[name]
    with pytest.warns(UserWarning, match="look") as seen:
        make()
    (said,) = re.findall(r"warnings\.filterwarnings\(.*?\)", str(seen[0].message))
    with warnings.catch_warnings():
        exec(said, {"warnings": warnings})
        make()


@pytest.mark.parametrize(("lead", "axes"), [((), r"\(inputs, 0, 1\)"), ((2,), r"\(inputs, 1, 2\)")])
def test_axes_that_look_swapped_are_named(lead, axes):
    with pytest.warns(UserWarning, match=rf"2 steps of 5001 sequences; .* np\.swapaxes{axes}"):
        Sequences(*streams(lead=lead))


@pytest.mark.parametrize(
    ("steps", "sequences"), [(32, 1000), (16, 200), (64, 784), (4, 17), (32, 129), (8, 1797)]
)
@pytest.mark.parametrize("lead", [(), (2,)])
def test_as_many_steps_as_a_batch_has_sequences_look_swapped(steps, sequences, lead):
    with pytest.warns(UserWarning, match=rf"{SWAPPED}: .*{steps} steps of {sequences} sequences"):
        Sequences(*streams(steps, sequences, lead=lead))


@pytest.mark.parametrize(
    ("steps", "sequences"),
    [
        (28, 60_000),
        (10, 512),
        (20, 5000),
        (32, 127),
        (32, 256),
        (2, 33),
        (30, 129),
        (1000, 32),
        (1, 10_000),
        (2, 5000),
        (10, 10_000),
        (10_000, 2),
        (1, 1),
    ],
)
def test_axes_of_batches_as_they_occur_do_not_look_swapped(steps, sequences):
    assert Sequences(*streams(steps, sequences)).n_sequences == sequences


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_one_hot_targets_are_seen(lead, dtype):
    targets = np.broadcast_to(onehot(dtype), (*lead, T, B, V))
    with pytest.warns(UserWarning, match=rf"{ONEHOT}: class ids, targets\.argmax\(axis=-1\)"):
        Sequences(np.zeros((*lead, T, B, 1), dtype), targets)


def test_only_scored_rows_count():
    weights = np.ones((T, B))
    weights[0], weights[2, 1] = 0, 0
    targets = onehot()
    targets[0] = 0.5
    with pytest.warns(UserWarning, match=ONEHOT):
        batch(targets, weights)


def changed(place, value):
    targets = onehot()
    targets[place] = value
    return targets


@pytest.mark.parametrize(
    ("targets", "weights"),
    [
        (changed((2, 1, 0), 1.0), None),  # two ones
        (changed((2, 1), 0.0), None),  # none
        (changed((2, 1, 1), 0.999), None),
        (changed((2, 1), [2.0, -1.0, 0.0, 0.0]), None),
        (changed((0, 0, 0), 0.5), None),
        (np.tile(np.eye(V)[1], (T, B, 1)), None),  # one class
        (np.ones((T, B, 1)), None),  # one output
        (onehot(), np.eye(1, T * B).reshape(T, B)),  # one row
        (onehot(), np.zeros((T, B))),
    ],
)
def test_other_values_do_not_look_one_hot(targets, weights):
    assert not batch(targets, weights).has_classes


def test_what_is_made_of_other_data_is_not_looked_at_again():
    with pytest.warns(UserWarning, match="look"):
        both = [Sequences(*streams()), batch(onehot())]
    with pytest.warns(UserWarning, match="look"):
        both += [MAKERS["swapped, gradients"][1]()]
    for data in both:  # warnings are errors here
        assert data.astype("float32").dtype == "float32"
        for again in (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
            assert again(data).n_steps == data.n_steps
    assert [each.last_loss_only().loss_steps.size for each in both[:2]] == [1, 1]
    rnnsim.train(
        rnnsim.RNN.sample(n_inputs=1, n_hidden=2, n_outputs=V, rng=0), both[1], n_updates=2,
        window=1, carry="stream",
    )  # fmt: skip


def test_tasks_draw_what_they_are_asked_for():
    assert rnnsim.tasks.adding(2, 6001, rng=0).n_sequences == 6001


def test_a_task_of_ones_own_is_named_once_for_each_batch():
    rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=2, n_outputs=V, rng=0)
    with pytest.warns(UserWarning, match=ONEHOT) as seen:
        rnnsim.train(rnn, lambda rng: batch(onehot()), n_updates=1, rng=0)
    assert {each.filename for each in seen} == {__file__}


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((4, 3, 2), r"axis -2 has 3: .*np\.moveaxis\(inputs, -2, -1\)"),
        ((3, 4, 2), r"axis -3 has 3: .*np\.moveaxis\(inputs, -3, -1\)"),
        ((2, 4, 3, 5), r"axis -2 has 3: "),
    ],
)
def test_inputs_on_another_axis_are_found(shape, hint):
    rnn = case(N=2, D=3).rnn
    with pytest.raises(ValueError, match=rf"`inputs` must have n_inputs = 3 .*, got .; {hint}"):
        rnnsim.forward(rnn, np.zeros(shape))


def test_inputs_that_are_nowhere_get_no_advice():
    with pytest.raises(ValueError, match=r"as in the network, got 2$"):
        rnnsim.forward(case(N=2, D=3).rnn, np.zeros((2, 4, 5, 2)))


@pytest.mark.parametrize("lead", [(), (1,), (2,)])
def test_states_for_another_axis_say_how_inputs_are_read(lead):
    rnn = case(N=2, D=3, H=4).rnn
    with pytest.raises(ValueError, match=r"got shape .*read as \(n_steps.*swapaxes\(inputs, -3, "):
        rnnsim.forward(rnn, np.zeros((5, 2, 3)), h0=np.zeros((*lead, 5, 4)))


@pytest.mark.parametrize("shape", [(2, 3), (5, 3), (3, 2, 4), (4,)])
def test_states_of_other_shapes_get_no_such_advice(shape):
    rnn = case(N=2, D=3, H=4).rnn
    with pytest.raises(ValueError, match=r"`h0` must be .*got shape \([\d, ]*\)$"):
        rnnsim.forward(rnn, np.zeros((5, 2, 3)), h0=np.zeros(shape))
