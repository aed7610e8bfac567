"""A guard on the cost of training that counts work: products, compiled calls, compiled copies."""

import numba
import numpy as np
import pytest
from builders import DTYPES, NOJIT, case, gated

import rnnsim
from rnnsim import tasks
from rnnsim.kernels.gradients import unfolding
from rnnsim.kernels.training import paths, penalty
from rnnsim.training import learners
from rnnsim.training.train import train

plain_python = pytest.mark.skipif(not NOJIT, reason="compiled calls cannot be counted")
T, B, H, D, V = 20, 5, 6, 2, 3


@pytest.fixture
def calls(monkeypatch):
    """How many segments each call of the kernel has gone through."""
    seen = []
    original = learners.learn

    def counted(ensemble, batches, schedules, *rest):
        seen.append(schedules.shape[1])
        return original(ensemble, batches, schedules, *rest)

    monkeypatch.setattr(learners, "learn", counted)
    return seen


@pytest.mark.nojit
def test_python_is_left_alone_between_records(calls):
    """Neither steps, nor networks, nor updates bring calls of their own."""
    rnn = rnnsim.RNN.sample(4, n_inputs=6, n_hidden=4, n_outputs=4, rng=0)
    options = {"n_updates": 12, "window": 5, "n_threads": 1, "rng": 0}
    train(rnn, lambda rng: tasks.temporal_order(15, 2, rng=rng), **options)
    assert calls == [12 + 2 * 12]  # two of three segments carry their state only
    calls.clear()
    train(rnn, lambda rng: tasks.temporal_order(15, 2, rng=rng), record_every=6, **options)
    assert calls == [18, 18]
    calls.clear()
    train(rnn, lambda rng: tasks.temporal_order(15, 2, rng=rng), **options | {"n_threads": 2})
    assert calls == [36] * 4  # portions of networks, so that threads end together


@pytest.fixture
def products(monkeypatch):
    """Rows and depth of every product of a training."""
    seen = []
    for module in (unfolding, penalty, paths):
        for name in ("multiply", "add_outer"):
            original = getattr(module, name, None)
            if original is None:
                continue

            def counted(*args, original=original, place=(module.__name__, name)):
                seen.append((place[0].rpartition(".")[2], place[1], *args[1:4]))
                return original(*args)

            monkeypatch.setattr(module, name, counted)
    return seen


@pytest.mark.nojit
@plain_python
def test_gradients_are_summed_over_all_steps_at_once(products):
    made = case(T=T, B=B, H=H, D=D, V=V, silent=0.0)
    train(made.rnn, made.sequences, n_updates=1, mask=None)
    sums = [entry for entry in products if entry[:2] == ("paths", "add_outer")]
    assert len(sums) == 2 * -(-T // 20)  # recurrent and readout of each block
    assert not [entry for entry in products if entry[0] == "penalty"]


@pytest.mark.nojit
@plain_python
def test_readouts_are_computed_where_there_is_loss(products):
    made = case(T=T, B=B, H=H, D=D, V=V, silent=0.0)
    last = made.sequences.last_loss_only()
    train(made.rnn, last, n_updates=3, learning_rate=0.0, test=case(T=2, B=1, H=H, D=D, V=V)[1])
    readouts = [e for e in products if e[0] == "unfolding" and e[4] == H + 1 and e[2] == B]
    assert len(readouts) >= 3
    rows = sum(e[2] for e in products if e[0] == "unfolding" and e[4] == H + 1)
    assert rows <= 3 * B + 2 * 2  # one step an update, and two tests of two steps


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
def test_training_compiles_once_for_each_cell_and_dtype(cell, dtype, monkeypatch):
    """Whatever is asked for, arguments are of one type to Numba: layout and protection count."""
    seen, original = set(), learners.learn

    def typed(*arguments):
        seen.add(tuple(map(numba.typeof, arguments)))
        return original(*arguments)

    monkeypatch.setattr(learners, "learn", typed)
    made = gated(cell, N=2, T=6).astype(dtype)
    starts = np.random.default_rng(0).random((6, 3)) < 0.5
    for options in (
        {"penalty": 0.1} if cell == "tanh" else {},
        {"optimizer": "adam", "mask": {"b_h": 0}, "clip_value": 0.1},
        {"optimizer": "adagrad", "accumulate": 2, "window": [3, 4], "stride": 2},
        {"starts": starts, "test": made.sequences, **made.start},
        {"starts": lambda batch: batch.weights > 1, "test": made.sequences},
        {"carry": "stream", "window": 3, **made.start},
    ):
        train(made.rnn, made.sequences, n_updates=2, **options)
    own = gated(cell, N=2, T=6, own=True, classes=False).astype(dtype)
    train(own.rnn, own.sequences, n_updates=2, **own.start)
    assert len(seen) == 1
