"""Batches drawn of data of one's own: which steps and sequences, and what does not fit."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim.data.own import OwnData

pytestmark = pytest.mark.nojit
T, B, D, V = 9, 5, 2, 3
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(T, B, D)), RNG.integers(0, V, (T, B))
IDS = RNG.integers(0, 4, (T, B))
IDS[4, 2] = 3


def batch(inputs=X, targets=Y, weights=None, **more):
    there = np.ones((T, B)) if weights is None else weights
    kind = "batch" if inputs.ndim == 3 else "ids"
    n_ids = 0 if inputs.ndim == 3 else int(inputs.max()) + 1
    ahead = 1 if targets is None else 0
    fields = {"kind": kind, "stream": False, "n_ids": n_ids} | more
    return OwnData("a.npz", "12ab", fields.pop("kind"), inputs, targets, there[ahead:], **fields)


def stream(inputs=X[:, :1], targets=Y[:, :1], **more):
    return batch(inputs, targets, np.ones((T, 1)), **{"stream": True, "kind": "stream"} | more)


def network(n_inputs=D, n_outputs=V, **more):
    return rnnsim.RNN.sample(n_inputs=n_inputs, n_hidden=3, n_outputs=n_outputs, rng=0, **more)


class Embedding:
    """What data ask of networks with embeddings."""

    def __init__(self, table, n_outputs=4):
        self.embedding, self.n_inputs, self.n_outputs = table, table.shape[-1], n_outputs

    def embed(self, ids):
        rows = self.embedding[:, ids]
        return rows[0] if len(rows) == 1 else rows


def alike(one, other):
    for name in ("inputs", "targets", "weights"):
        assert_array_equal(getattr(one, name), getattr(other, name))


def test_the_first_steps_of_all_or_of_some():
    data = batch()
    assert (data.longest, data.n_sequences, data.sizes()) == (T, B, (D, V))
    whole = data.draw()
    assert_array_equal(whole.inputs, X)
    assert_array_equal(whole.targets, Y)
    assert_array_equal(data.draw(4, B).inputs, X[:4])
    some = data.draw(4, 3, 7)
    chosen = [int(np.flatnonzero((X[0] == x).all(axis=-1))[0]) for x in some.inputs[0]]
    assert chosen == sorted(set(chosen))
    assert_array_equal(some.inputs, X[:4, chosen])
    assert_array_equal(some.targets, Y[:4, chosen])
    alike(some, data.draw(4, 3, np.random.default_rng(7)))
    others = {data.draw(1, 3, seed).inputs.tobytes() for seed in range(20)}
    assert len(others) > 5


def test_windows_of_one_long_sequence():
    data = stream()
    assert (data.longest, data.n_sequences, data.sizes()) == (T, None, (D, V))
    assert_array_equal(data.draw().inputs, X[:, :1])
    windows = data.draw(T - 2, 200, 0)
    starts = [int(np.flatnonzero((X[:, 0] == x).all(axis=-1))[0]) for x in windows.inputs[0]]
    assert set(starts) == {0, 1, 2}  # the last one ends where the data end
    for b, start in enumerate(starts):
        assert_array_equal(windows.inputs[:, b], X[start : start + T - 2, 0])
        assert_array_equal(windows.targets[:, b], Y[start : start + T - 2, 0])


@pytest.mark.parametrize("make", [batch, stream])
def test_without_targets_the_next_input_is_predicted(make):
    data = make(targets=None)
    assert (data.longest, data.sizes()) == (T - 1, (D, D))
    drawn = data.draw()
    assert drawn.n_steps == T - 1
    x = X if make is batch else X[:, :1]
    assert_array_equal(drawn.inputs, x[:-1])
    assert_array_equal(drawn.targets, x[1:])
    windows = data.draw(3, 4, 1)
    assert_array_equal(windows.targets[:-1], windows.inputs[1:])
    assert not (windows.targets[-1] == windows.inputs[-1]).any()


def test_ids_become_one_hot_and_predict_the_next_id():
    data = batch(IDS, None)
    assert data.sizes() == (4, 4)
    drawn = data.draw(dtype="float32")
    assert drawn.dtype == "float32"
    assert_array_equal(drawn.inputs, np.eye(4)[IDS[:-1]])
    assert_array_equal(drawn.targets, IDS[1:])
    wide = data.draw(network=network(6, 5))
    assert_array_equal(wide.inputs, np.eye(6)[IDS[:-1]])
    assert data.sizes(network(6, 5)) == (6, 5)


@pytest.mark.parametrize("n_networks", [1, 3])
def test_ids_go_through_the_embedding(n_networks):
    table = RNG.normal(size=(n_networks, 4, 2))
    data = batch(IDS, None)
    assert data.sizes(Embedding(table)) == (2, 4)
    drawn = data.draw(5, 3, network=Embedding(table))
    assert drawn.n_networks == (None if n_networks == 1 else n_networks)
    plain = data.draw(5, 3).inputs.argmax(axis=-1)
    expected = table[:, plain] if n_networks > 1 else table[0, plain]
    assert_array_equal(drawn.inputs, expected)
    if n_networks == 1:
        rnn = network(2, 4)
        assert np.isfinite(rnnsim.bptt(rnn, drawn).loss).all()


def test_provenance_and_identity_say_where_data_come_from():
    assert batch().identity == "a.npz sha256:12ab"
    assert batch(layout="btd").identity == "a.npz sha256:12ab read as btd"
    origin = dict(batch(layout="btd").draw().provenance)
    assert origin == {
        "data": "a.npz", "data_sha256": "12ab", "layout": "btd",
        "variant": "batch, targets of its own",
    }  # fmt: skip
    assert stream(targets=None).draw().provenance["variant"] == "stream, next step"


def test_data_can_be_pickled():
    again = pickle.loads(pickle.dumps(batch(layout="tbd")))
    alike(again.draw(4, 3, 7), batch(layout="tbd").draw(4, 3, 7))


def test_repr_is_short():
    assert len(repr(batch())) < 200


def test_networks_without_a_readout_read_inputs_only():
    assert batch().sizes(network(D, 0)) == (D, V)
    assert batch().draw(network=network(D, 0)).n_inputs == D


LATE = np.zeros((T, B))
LATE[6, 2] = 1


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (batch(), {"length": T + 1}, r"`length` must be at most 9, the steps of 'a.npz', got 10"),
        (batch(targets=None), {"length": T}, "`length` must be at most 8, .* a next one, got 9"),
        (batch(), {"n_sequences": 6}, "`n_sequences` must be at most 5, the sequences .* got 6"),
        (batch(weights=LATE), {"length": 5}, "`length` = 5 leaves no step with loss .* step 7 of"),
        (batch(weights=LATE), {"n_sequences": 1, "rng": 0}, "`n_sequences` = 1 drawn of 5 in"),
        (batch(), {"network": network(4)}, "inputs have n_inputs = 2 and `network` 4"),
        (batch(targets=None), {"network": network(2, 3)}, "targets have 2 outputs and `network` 3"),
        (batch(IDS), {"network": network(3)},
         r"inputs must be class ids 0\.\.2 of the inputs of `network`, got 3 at \[.*\] \(step, "),
        (batch(IDS, None), {"network": network(4, 2)},
         r"targets must be class ids 0\.\.1 of the readout of `network`, got [23] at"),
        (batch(), {"network": network(D, 2)}, r"ids 0\.\.1 of the readout of `network`, got 2 at"),
        (batch(IDS), {"network": Embedding(np.ones((1, 3, 2)))},
         r"inputs must be class ids 0\.\.2 of the embedding of `network`, got 3 at"),
        (batch(IDS, kind="characters"), {"network": network(5)},
         "the text has 4 different characters and the inputs of `network` 5; their ids"),
        (batch(IDS * 10**6), {}, "class ids up to 3000000 would be one-hot .* save them as floats"),
        (batch(IDS * 3 * 10**5), {"network": network(10**6), "length": 7 * 10**8}, "`length`"),
        (batch(X * 1e40), {"dtype": "float32"}, "inputs hold .*e.39, outside the range of float32"),
    ],
)  # fmt: skip
def test_what_is_not_there_or_does_not_fit_is_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        data.draw(**options)


def test_one_hot_inputs_that_take_all_memory_are_refused():
    wide = np.full((T, B), 2**20 - 1)
    data = OwnData("a", "b", "ids", np.tile(wide, (1, 8)), None, np.ones((T - 1, 40)), False, 2**20)
    with pytest.raises(ValueError, match=r"one-hot inputs of 8 steps, 40 .* more than 268435456"):
        data.draw()
