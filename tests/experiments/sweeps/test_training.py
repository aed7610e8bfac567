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


def test_cells_are_trained_each_with_its_gates():
    settings = {
        "length": T, "gain": [0.7], "network_seeds": [2], "batch_size": B, "data_seed": SEED,
        "n_updates": 2, "record_every": 2, "snapshot_every": 2, **LIKE,
    }  # fmt: skip
    cells = ["gru", "vanilla", "lstm"]
    data = rnnsim.training_sweep(cell=cells, forget_bias=[0.0, 1.0], **settings)
    assert data.gate.values.tolist() == ["r", "z", "n", "i", "f", "g", "o"]
    usual = rnnsim.training_sweep(**settings)
    assert "gate" not in usual.dims
    for name, variable in usual.data_vars.items():
        if name != "constant_loss":
            found = data[name].sel(cell="vanilla", forget_bias=0.0)
            assert_array_equal(found.values, variable.values, err_msg=name)
    assert data.loss.sel(cell="vanilla", forget_bias=1.0).isnull().all()
    for cell, others in (("lstm", ["r", "z", "n"]), ("gru", ["i", "f", "g", "o"])):
        like = LIKE | {"cell": cell, "forget_bias": 1.0}
        training = rnnsim.train(
            paired_networks([2], [0.7], sizes=(6, 4), **like),
            lambda rng: tasks.temporal_order(T, B, rng=rng), rng=stream(0), n_updates=2,
            test=tasks.temporal_order(T, 128, rng=stream(1)), record_every=2, snapshot_every=2,
            optimizer="adam", learning_rate=0.003, clip_norm=1.0,
        )  # fmt: skip
        here = data.sel(cell=cell, forget_bias=1.0, gain=0.7)
        for name in ("loss", "gate_share", "gate_spectral_norm", "log_norms"):
            recorded = training.record[name]
            found = here[name].sel(gate=recorded.gate) if "gate" in recorded.dims else here[name]
            assert_array_equal(found.values, recorded.values, err_msg=name)
        assert here.gate_share.sel(gate=others).isnull().all()
        assert here.spectral_radius.isnull().all()


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


def test_bias_variance_sweep_is_two_measurements_and_a_training_between_them():
    data = rnnsim.bias_variance_sweep(
        "adding", length=T, network_seeds=[2, 5], batch_size=B, data_seed=SEED, n_batches=5,
        n_updates=3, windows=[2, 5, 40], gain=0.9, **LIKE,
    )  # fmt: skip
    rnn = paired_networks([2, 5], [0.9, 0.9], sizes=(2, 1), **LIKE)
    training = rnnsim.train(
        rnn, lambda rng: tasks.adding(T, B, rng=rng), rng=stream(0),
        test=tasks.adding(T, 128, rng=stream(1)), n_updates=3, optimizer="adam",
        learning_rate=0.003, clip_norm=1.0,
    )  # fmt: skip
    assert data.window.values.tolist() == [2, 5, 12]
    assert data.batch.values.tolist() == [1, 4, 16, 64]
    assert data.lag.values.tolist() == list(range(T))
    assert_array_equal(data.loss.T, training.record.loss)
    for moment, networks in (("before", rnn), ("after", training.rnn)):
        found = rnnsim.window_bias_variance(
            networks, lambda rng: tasks.adding(T, B, rng=rng), 5, windows=[2, 5, 12],
            rng=stream(zlib.crc32(b"windows")),
        )  # fmt: skip
        here = data.sel(moment=moment)
        for name in ("bias2", "variance", "bias2_estimate", "variance_estimate", "bias2_error",
                     "variance_log_error", "lag_signal", "lag_noise", "log_norm"):  # fmt: skip
            assert_array_equal(here[name], getattr(found, name), err_msg=name)
        for size in data.batch.values.tolist():
            at, errors = here.sel(batch=size), found.mean_square_error(size)
            assert_array_equal(at.best_window, found.best_window(size))
            assert_array_equal(at.best_error, errors.min(axis=1))
            assert_array_equal(at.full_error, errors[:, -1])
            assert_array_equal(at.horizon, found.horizon(size))
            ends = np.stack([at.shortest_window, at.longest_window], axis=1)
            assert_array_equal(ends, found.as_good_windows(size))
            position = [[2, 5, 12].index(K) for K in at.best_window]
            assert_array_equal(at.best_error, errors[[0, 1], position])


def test_windows_two_per_octave_and_batches_from_a_sixteenth_on():
    few = {"n_hidden": 3, "network_seeds": 1, "n_updates": 0, "n_batches": 2}
    data = rnnsim.bias_variance_sweep("adding", length=9, batch_size=16, **few)
    assert data.window.values.tolist() == [1, 2, 3, 4, 6, 8, 9]
    assert data.batch.values.tolist() == [1, 4, 16, 64, 256]
    for name in ("loss", "bias2", "best_window"):  # nothing was learned in between
        assert_array_equal(data[name].sel(moment="before"), data[name].sel(moment="after"))
    one = rnnsim.bias_variance_sweep("adding", length=3, batch_size=1, windows=[7], **few)
    assert one.window.values.tolist() == [3]
    assert one.batch.values.tolist() == [1, 4, 16]
