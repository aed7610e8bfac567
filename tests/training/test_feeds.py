"""Batches on their way into training: looked through once, copied once, known again by a digest."""

from collections import Counter

import numpy as np
import pytest
from builders import case, draws
from pair_builders import pair_case

import rnnsim
from rnnsim import checks
from rnnsim.data.pairs import Pairs, arrays_of, stacked
from rnnsim.training import feeds
from rnnsim.training.train import train

pytestmark = pytest.mark.nojit
N = 3


def pairs_drawn(rng, *, classes=True):
    return Pairs(rng.normal(size=(4, 2, 2)), draws(rng, D=3, classes=classes))


TASKS = {
    "classes": (case(N=N).rnn, draws),
    "values": (case(N=N).rnn, lambda rng: draws(rng, classes=False)),
    "pairs": (pair_case(N=N).model, pairs_drawn),
    "pairs of values": (pair_case(N=N).model, lambda rng: pairs_drawn(rng, classes=False)),
}


@pytest.fixture
def drawn():
    """Every batch that a task of the test has drawn."""
    return []


@pytest.fixture
def task(request, drawn):
    """A model, and a task that remembers what it has drawn."""
    model, draw = TASKS[request.param]

    def remembered(rng):
        drawn.append(draw(rng))
        return drawn[-1]

    return model, remembered


@pytest.fixture
def work(monkeypatch):
    """How often each array was looked through for NaN, and how many batches were made."""
    seen = Counter()
    finite, made = checks.finite, rnnsim.Sequences.__post_init__

    def counted_finite(name, array, where=None):
        seen[name] += 1
        finite(name, array, where)

    def counted_made(sequences, *options):
        seen["batches"] += 1
        made(sequences, *options)

    monkeypatch.setattr(checks, "finite", counted_finite)
    monkeypatch.setattr(rnnsim.Sequences, "__post_init__", counted_made)
    return seen


@pytest.mark.parametrize("own_data", [False, True])
@pytest.mark.parametrize("task", TASKS, indirect=True)
def test_a_batch_is_looked_through_once(task, own_data, drawn, work):
    """By itself when it is made, one array after the other, and by nobody after that."""
    model, draw = task
    test = draw(np.random.default_rng(0))
    drawn.clear()
    options = {"n_updates": 5, "own_data": own_data, "test": test, "rng": 0}
    before = work.copy()
    train(model, draw, record_every=2, **options)
    made = work - before
    assert len(drawn) >= 5 * (N if own_data else 1)
    each = Counter()
    for batch in drawn:
        floats = [array.dtype.kind == "f" for array in arrays_of(batch)]
        each.update(["batches", "inputs", "weights"])
        each.update(["source"] * isinstance(batch, Pairs) + ["targets"] * floats[-2])
    for name in ("batches", "inputs", "weights", "targets", "source"):
        assert made[name] == each[name], name


@pytest.mark.parametrize("own_data", [False, True])
@pytest.mark.parametrize("task", TASKS, indirect=True)
def test_kernels_take_batches_from_where_they_were_drawn(task, own_data, drawn, monkeypatch):
    model, draw = task
    join, joined = feeds.join_batches, []

    def watched(bound, n_batches):
        joined.extend(bound)
        return join(bound, n_batches)

    monkeypatch.setattr(feeds, "join_batches", watched)
    test = draw(np.random.default_rng(0))
    drawn.clear()
    train(model, draw, n_updates=4, own_data=own_data, test=test, rng=0)
    assert len(joined) == 4 * (N if own_data else 1)
    for (batch, sources, _), data in zip(joined, drawn, strict=False):
        *read, inputs, targets, weights = arrays_of(data)
        taken = [*sources, batch.inputs, batch.loss_weights]
        taken.append(batch.values if targets.dtype.kind == "f" else batch.classes)
        for mine, given in zip(taken, [*read, inputs, weights, targets], strict=True):
            assert np.shares_memory(mine, given)


@pytest.mark.parametrize(("options", "copies"), [({}, 3), ({"n_updates": 0}, 1)])
def test_batches_of_all_networks_are_put_together_to_be_measured_on(options, copies, monkeypatch):
    put, together = feeds.stacked, []

    def counted(batches):
        together.append(len(batches))
        return put(batches)

    monkeypatch.setattr(feeds, "stacked", counted)
    settings = {"n_updates": 6, "record_every": 3, "own_data": True, "rng": 0} | options
    train(case(N=N).rnn, draws, **settings)
    assert together == [N] * copies


def test_batches_of_all_networks_are_measured_each_on_its_own():
    rnn = case(N=N).rnn
    record = train(rnn, draws, n_updates=0, own_data=True, rng=0).record
    for n, generator in enumerate(np.random.default_rng(0).spawn(N)):
        expected = rnnsim.evaluate(rnn[n], draws(generator))
        np.testing.assert_array_equal(record["loss"][n, 0], expected.loss[0])


@pytest.mark.parametrize("first", range(N + 1))
def test_parts_of_an_ensemble_learn_as_the_whole_where_rng_has_spawned_those_before(first):
    rnn = case(N=N).rnn
    options = {"n_updates": 3, "own_data": True, "optimizer": "adam"}
    together = train(rnn, draws, rng=np.random.default_rng(0), **options)
    for begin, end in ((0, first), (first, N)):
        if begin < end:
            rng = np.random.default_rng(0)
            rng.spawn(begin)
            part = train(rnn[begin:end], draws, rng=rng, **options)
            for a, b in zip(part.rnn.weights, together.rnn.weights, strict=True):
                np.testing.assert_array_equal(a, b[begin:end])


def test_a_segment_counts_where_one_network_has_loss():
    """Data of their own, drawn or given with a network axis, are the same data."""

    def draw(rng):  # loss at one step, in another segment for each network
        batch = draws(rng, T=9)
        weights = np.zeros_like(batch.weights)
        weights[rng.integers(9)] = 1.0
        return rnnsim.Sequences(batch.inputs, batch.targets, weights)

    rnn = case(N=N).rnn
    together = stacked([draw(generator) for generator in np.random.default_rng(1).spawn(N)])
    segments = {(step - 1) // 3 for step in together.loss_steps}
    assert len(segments) > 1
    options = {"n_updates": len(segments), "window": 3}
    own = train(rnn, draw, own_data=True, rng=1, **options)
    given = train(rnn, together, **options)
    for a, b in zip(own.rnn.weights, given.rnn.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def of_many_shapes(rng):
    return draws(rng, B=int(rng.integers(1, 50)))


def with_a_network_axis(rng):
    return stacked([draws(rng) for _ in range(N)])


@pytest.mark.parametrize("draw", [of_many_shapes, with_a_network_axis])
def test_batches_that_do_not_go_together_are_refused(draw):
    message = "`task` must draw batches of one shape for all networks with `own_data`, each without"
    with pytest.raises(ValueError, match=message):
        train(case(N=N).rnn, draw, n_updates=1, own_data=True, rng=0)


def test_what_is_no_batch_is_refused_with_data_of_their_own_too():
    with pytest.raises(TypeError, match=r"`task` must be a rnnsim.Sequences for .*, got int"):
        train(case(N=N).rnn, lambda rng: 3, n_updates=1, own_data=True, rng=0)


def numbered(first, V=None):
    targets = np.arange(6).reshape(3, 2) % 3
    if V is not None:
        targets = np.arange(6.0 * V).reshape(3, 2, V)
    inputs = np.arange(first, first + 12.0).reshape(3, 2, 2)
    return rnnsim.Sequences(inputs, targets, np.linspace(0, 1, 6).reshape(3, 2))


def test_digests_are_those_of_earlier_versions():
    """Checkpoints that were saved with them are accepted."""
    both = [numbered(0), numbered(5)]
    pairs = [Pairs(np.arange(8.0).reshape(2, 2, 2) + i, both[i]) for i in range(2)]
    assert feeds.digest(both[0]) == "351945e682cfa700"
    assert feeds.digest(numbered(0, V=2).astype("float32")) == "0075fef020c73aa1"
    assert feeds.digest(pairs[0]) == "5d0b7f0fd80d6a97"
    assert feeds.digest(*both) == feeds.digest(stacked(both)) == "88d67e2cd654d881"
    assert feeds.digest(*pairs) == feeds.digest(stacked(pairs)) == "1ee17459ea08e437"


@pytest.mark.parametrize("options", [{}, {"window": 2}, {"own_data": True}, {"record_every": 2}])
def test_no_batch_is_drawn_that_is_not_learned_from(options, drawn):
    def remembered(rng):
        drawn.append(draws(rng))
        return drawn[-1]

    test = draws(np.random.default_rng(9))
    batches = 1 if "window" in options else 4  # of four segments, or one
    training = train(case(N=N).rnn, remembered, n_updates=4, rng=0, test=test, **options)
    assert len(drawn) == batches * (N if "own_data" in options else 1)
    assert training.record.attrs["provenance"] == "{}"
