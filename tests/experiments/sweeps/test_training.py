"""Sweeps that train: the same numbers as trainings of their own, drawn as documented."""

import zlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim import tasks
from rnnsim.experiments.draws import paired_networks

SEED, T, B = 3, 12, 4
LIKE = {"n_hidden": 5, "scheme": "orthogonal", "activation": "tanh", "dtype": "float64"}


def stream(which):
    """The generator of batches (0) or of test data (1)."""
    return np.random.default_rng([SEED, which])


def test_networks_are_drawn_by_seed_scheme_and_sizes():
    key = [2, zlib.crc32(b"orthogonal"), 6, 5, 4]
    drawn = rnnsim.RNN.sample(
        n_inputs=6, n_hidden=5, n_outputs=4, scheme="orthogonal", rng=np.random.default_rng(key)
    )
    assert_array_equal(paired_networks([2], [1.0], sizes=(6, 4), **LIKE).W_hh, drawn.W_hh)


def test_training_sweep_is_one_training_of_all_networks():
    data = rnnsim.training_sweep(
        length=T, gain=[1.3, 0.7], network_seeds=[2, 5], batch_size=B, data_seed=SEED,
        n_updates=6, record_every=2, snapshot_every=3, window=4, penalty=0.1, **LIKE,
    )  # fmt: skip
    rnn = paired_networks([2, 5, 2, 5], [1.3, 1.3, 0.7, 0.7], sizes=(6, 4), **LIKE)
    training = rnnsim.train(
        rnn, lambda rng: tasks.temporal_order(T, B, rng=rng), rng=stream(0),
        test=tasks.temporal_order(T, 128, rng=stream(1)), n_updates=6, record_every=2,
        snapshot_every=3, window=4, penalty=0.1, optimizer="adam", learning_rate=0.003,
        clip_norm=1.0,
    )  # fmt: skip
    for name, variable in training.record.data_vars.items():
        found = data[name].sel(gain=[1.3, 0.7]).values.reshape(variable.shape)
        assert_array_equal(found, variable.values, err_msg=name)


@pytest.mark.parametrize(("truncation", "stride"), [("segments", 6), ("overlapping", 2)])
def test_window_sweep_is_a_training_for_each_window(truncation, stride):
    data = rnnsim.window_sweep(
        length=T, delay=3, windows=[6, 9], stride=2, network_seeds=[2, 5], batch_size=B,
        data_seed=SEED, n_batches=2, gain=0.9, **LIKE,
    ).sel(truncation=truncation, window=6)  # fmt: skip
    test = tasks.echo(T, 64, rng=stream(1), delay=3)
    per_batch = int(data.updates_per_batch)
    training = rnnsim.train(
        paired_networks([2, 5], [0.9, 0.9], sizes=(4, 4), **LIKE),
        lambda rng: tasks.echo(T, B, rng=rng, delay=3), rng=stream(0), test=test,
        n_updates=2 * per_batch, record_every=1, window=6, stride=stride, optimizer="adam",
        learning_rate=0.003, clip_norm=1.0,
    )  # fmt: skip
    loss = training.record.loss / (T - 3)  # for each answer
    assert_array_equal(
        data.loss.sel(budget="sequences"), loss.sel(updates=per_batch * np.arange(3))
    )
    assert_array_equal(data.loss.sel(budget="updates"), loss.sel(updates=np.arange(3)))
