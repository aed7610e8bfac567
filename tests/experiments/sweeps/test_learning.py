"""Sweeps over ways of training: paired networks and batches, labels, what counts as solved."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import learning_sweep, tasks
from rnnsim.experiments.draws import paired_data, sparse_networks

pytestmark = pytest.mark.nojit
SMALL = {"n_hidden": 6, "batch_size": 4, "test_size": 30, "network_seeds": 2}


def test_methods_start_from_the_same_networks_and_see_the_same_batches():
    data = learning_sweep(length=[10, 12], n_updates=6, record_every=3, penalty=0.0, **SMALL)
    assert dict(data.sizes) == {"length": 2, "training": 3, "network_seed": 2, "updates": 3}
    # without a penalty the last two methods are one
    first, second = (data.sel(training=name) for name in ("clipping", "clipping + penalty"))
    assert_array_equal(first.loss, second.loss)
    at_start = data.loss.isel(updates=0)
    assert_array_equal(at_start.isel(training=0), at_start.isel(training=1))
    assert (data.clipped.sel(training="SGD").isel(updates=-1) == 0).all()
    assert np.isnan(data.omega.sel(training="SGD")).all()


def test_one_method_equals_a_training_of_its_own():
    data = learning_sweep(
        length=10, n_updates=5, record_every=5, penalty=0.5, penalty_variant="paper", **SMALL
    )
    rnn = sparse_networks((0, 1), sizes=(6, 4), n_hidden=6, dtype="float32")
    test = paired_data("temporal_order", 10, batch_size=30, seed=0, dtype="float32")
    training = rnnsim.train(
        rnn,
        lambda rng: tasks.temporal_order(10, 4, rng=rng, dtype="float32"),
        n_updates=5,
        learning_rate=0.01,
        clip_norm=1.0,
        penalty=0.5,
        rng=np.random.default_rng([0, 10]),
        test=test,
    )
    found = data.sel(length=10, training="clipping + penalty").loss
    assert_array_equal(found, training.record["loss"])


def test_gated_cells_learn_without_the_penalty():
    """Omega is of one W_hh without gates; the methods may stand in any order."""
    methods = ("clipping + penalty", "clipping", "SGD")
    settings = {"length": 10, "n_updates": 2, "methods": methods, **SMALL}
    data = learning_sweep(cell=["vanilla", "gru"], **settings)
    assert_array_equal(data.sel(cell="vanilla").error, learning_sweep(**settings).error)
    assert np.isnan(data.error.sel(cell="gru", training=methods[0])).all()
    assert (data.diverged.sel(cell="gru", training=methods[0]) == -1).all()
    rnn = sparse_networks((0, 1), sizes=(6, 4), n_hidden=6, cell="gru", dtype="float32")
    for name, clip_norm in (("clipping", 1.0), ("SGD", np.inf)):
        training = rnnsim.train(
            rnn,
            lambda rng: tasks.temporal_order(10, 4, rng=rng, dtype="float32"),
            n_updates=2,
            learning_rate=0.01,
            clip_norm=clip_norm,
            rng=np.random.default_rng([0, 10]),
            test=paired_data("temporal_order", 10, batch_size=30, seed=0, dtype="float32"),
        )
        found = data.sel(cell="gru", length=10, training=name).loss.isel(updates=[0, -1])
        assert_array_equal(found, training.record["loss"])
    with pytest.raises(ValueError, match="`methods` must hold"):
        learning_sweep(cell="lstm", **settings | {"methods": methods[:1]})


def test_another_optimizer_is_that_of_train():
    settings = {"optimizer": "adam", "learning_rate": 0.02, "methods": ("clipping",)}
    data = learning_sweep(length=10, n_updates=3, **settings, **SMALL)
    training = rnnsim.train(
        sparse_networks((0, 1), sizes=(6, 4), n_hidden=6, dtype="float32"),
        lambda rng: tasks.temporal_order(10, 4, rng=rng, dtype="float32"),
        n_updates=3,
        optimizer="adam",
        learning_rate=0.02,
        clip_norm=1.0,
        rng=np.random.default_rng([0, 10]),
        test=paired_data("temporal_order", 10, batch_size=30, seed=0, dtype="float32"),
    )
    assert_array_equal(data.loss.values[0, 0, :, [0, -1]].T, training.record["loss"])
    assert json.loads(data.attrs["configuration"])["optimizer"] == "adam"


def test_solved_is_the_first_time_below_the_tolerance():
    data = learning_sweep(length=10, n_updates=8, record_every=2, tolerance=0.7, **SMALL)
    for index in np.ndindex(1, 3, 2):
        errors = data.error.values[index]
        below = np.flatnonzero(errors < 0.7)
        expected = data.updates.values[below[0]] if below.size else np.nan
        assert_array_equal(data.solved_at.values[index], expected)
    assert ((data.error >= 0) & (data.error <= 1)).all()


def test_networks_are_sparse_and_of_the_stated_radius():
    rnn = sparse_networks((3, 4), sizes=(6, 4), n_hidden=30)
    assert ((rnn.W_hh != 0).sum(axis=2) == 15).all()
    radii = np.abs(np.linalg.eigvals(rnn.W_hh)).max(axis=1)
    assert_allclose(radii, 0.95, rtol=1e-10)
    assert_array_equal(rnn.W_hh[1:], sparse_networks((4,), sizes=(6, 4), n_hidden=30).W_hh)
    assert 0.005 < rnn.W_xh.std() < 0.015
    assert (sparse_networks((0,), sizes=(6, 4), n_hidden=5).W_hh != 0).all()


def test_the_configuration_is_kept():
    data = learning_sweep(length=10, n_updates=1, methods=("SGD",), **SMALL)
    assert json.loads(data.attrs["configuration"])["batch_size"] == 4
    assert data.training.values.tolist() == ["SGD"]


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="`methods` must be one of 'SGD'"):
        learning_sweep(length=10, n_updates=1, methods=("Adam",), **SMALL)
    with pytest.raises(ValueError, match="`task` must be one of"):
        learning_sweep("order", length=10, n_updates=1, **SMALL)
    with pytest.raises(ValueError, match="`n_updates` must be at least 1"):
        learning_sweep(length=10, n_updates=0, **SMALL)
