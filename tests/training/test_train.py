"""Training: against plain loops and closed forms; what is carried, clipped, held, resumed."""

import itertools

import numpy as np
import pytest
from builders import NOJIT, case, draws
from numpy.testing import assert_allclose, assert_array_equal
from training_builders import assert_like_reference, plain_batches

import rnnsim
from rnnsim import tasks
from rnnsim.training.train import train

pytestmark = pytest.mark.nojit
UPDATES = 12 if NOJIT else 100


WINDOWS = {
    "full": {},
    "segments": {"window": 3},
    "overlapping": {"window": 4, "stride": 2},
    "sliding": {"window": 3, "stride": 1},
    "longer than the sequence": {"window": 9, "stride": 5},
}
CLIPS = {
    "free": {},
    "by norm": {"clip_norm": np.array([0.3, 1.0])},
    "by value": {"clip_value": 0.05},
    "both": {"clip_norm": 0.5, "clip_value": np.array([0.05, 0.1])},
}


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop", "adagrad"])
def test_updates_follow_the_plain_loop(optimizer, window, clip):
    if NOJIT and (window, clip) not in {("full", "both"), ("overlapping", "by norm")}:
        pytest.skip("left to compiled kernels")
    options = WINDOWS[window] | CLIPS[clip]
    assert_like_reference(case(N=2).rnn, draws, optimizer, options, n_updates=UPDATES)


@pytest.mark.parametrize("accumulate", [2, 3, 5])
@pytest.mark.parametrize("window", WINDOWS)
def test_gradients_of_several_segments_make_one_update(window, accumulate):
    """Groups end within batches and reach over their ends; the penalty is added up too."""
    options = WINDOWS[window] | {"accumulate": accumulate, "clip_norm": np.array([0.5, 1.0])}
    options |= {"carry": "stream", "penalty": np.array([0.1, 0.0])} if window == "segments" else {}
    n_updates = 4 if NOJIT or "penalty" in options else 30
    assert_like_reference(case(N=2).rnn, draws, "adam", options, n_updates=n_updates)


@pytest.mark.parametrize("carry", ["sequence", "stream", "none"])
@pytest.mark.parametrize(("windows", "stride"), [([3, 5], 2), ([9, 1], 1), ([4, 4], None)])
def test_a_window_for_each_network(windows, stride, carry):
    made = case(N=2)
    options = {"window": np.array(windows), "stride": stride, "carry": carry}
    options |= {"test": made.sequences} if carry == "stream" else {}
    assert_like_reference(made.rnn, draws, "sgd", options, n_updates=20)
    several = train(made.rnn, draws, n_updates=9, rng=0, **options)
    for n, window in enumerate(windows):
        alone = train(made.rnn[n], draws, n_updates=9, rng=0, **options | {"window": window})
        assert_array_equal(several.rnn.W_hh[n], alone.rnn.W_hh[0])
        assert_array_equal(several.final_h[n], alone.final_h[0])


@pytest.mark.parametrize("carry", ["sequence", "stream", "none"])
@pytest.mark.parametrize("window", ["segments", "overlapping", "sliding"])
def test_what_is_carried(window, carry):
    made = case(N=2, activation="relu" if carry == "stream" else "tanh")
    options = WINDOWS[window] | {"carry": carry, "clip_norm": 1.0}
    assert_like_reference(made.rnn, draws, "sgd", options, n_updates=20)


@pytest.mark.parametrize("window", ["full", "segments", "overlapping"])
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_penalty_follows_complex_steps_in_the_explicit_weights(variant, window):
    made = case(N=2)
    weight = {"penalty": np.array([0.5, 2.0]), "penalty_variant": variant}
    assert_like_reference(made.rnn, draws, "sgd", WINDOWS[window] | weight, n_updates=4)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_penalty_of_other_activations(activation):
    made = case(N=1, activation=activation, gain=0.7)
    weight = {"penalty": np.array([0.5]), "penalty_variant": "paper", "clip_norm": 1.0}
    assert_like_reference(made.rnn, draws, "sgd", weight, n_updates=3)


def test_squared_error():
    def draw(rng):
        return draws(rng, classes=False)

    made = case(N=2, classes=False)
    assert_like_reference(made.rnn, draw, "adam", {"window": 3}, n_updates=20)


def test_float32_stays_close_to_float64():
    made = case(N=2)
    options = {"n_updates": 20, "optimizer": "adam", "window": 4, "stride": 2, "rng": 0}
    wide = train(made.rnn, draws, **options)
    single = train(made.rnn.astype("float32"), lambda rng: draws(rng).astype("float32"), **options)
    assert single.rnn.dtype == np.float32
    for a, b in zip(single.rnn.weights, wide.rnn.weights, strict=True):
        assert_allclose(a, b, atol=2e-4)


def test_long_blocks_add_up_like_short_ones():
    """More steps than one block of errors holds."""
    T = 40 if NOJIT else 300

    def draw(rng):
        return draws(rng, T=T, silent=0.9)

    options = {"penalty": np.array([0.1, 0.0]), "clip_norm": 1.0}
    if NOJIT:
        options = {"clip_norm": 1.0}
    assert_like_reference(case(N=2).rnn, draw, "sgd", options, n_updates=2)


def test_the_given_network_is_unchanged():
    rnn = case(N=2).rnn
    before = [array.copy() for array in rnn.weights]
    train(rnn, draws, n_updates=3, rng=0)
    for a, b in zip(rnn.weights, before, strict=True):
        assert_array_equal(a, b)


def test_nothing_depends_on_threads_neighbours_or_the_length_of_calls(monkeypatch):
    rnn = rnnsim.RNN.sample(5, n_inputs=2, n_hidden=6, n_outputs=3, rng=0)
    options = {"n_updates": 15, "window": 4, "stride": 2, "optimizer": "adam", "rng": 0}
    whole = train(rnn, draws, **options, n_threads=1)
    for n_threads in (2, 5):
        other = train(rnn, draws, **options, n_threads=n_threads)
        for a, b in zip(whole.rnn.weights, other.rnn.weights, strict=True):
            assert_array_equal(a, b)
    alone = train(rnn[3], draws, **options)
    assert_array_equal(whole.rnn.W_hh[3:4], alone.rnn.W_hh)
    monkeypatch.setattr("rnnsim.training.runs.FLOPS_PER_CALL", 1.0)  # one update a call
    short = train(rnn, draws, **options)
    assert_array_equal(whole.rnn.W_hh, short.rnn.W_hh)
    dense = train(rnn, draws, **options, record_every=1)
    assert_array_equal(whole.rnn.W_hh, dense.rnn.W_hh)


def test_data_of_their_own():
    rnn = rnnsim.RNN.sample(3, n_inputs=2, n_hidden=4, n_outputs=3, rng=0)
    own = train(rnn, draws, n_updates=6, window=3, own_data=True, rng=0)
    generators = np.random.default_rng(0).spawn(3)
    for n, generator in enumerate(generators):
        alone = train(rnn[n], draws, n_updates=6, window=3, rng=generator)
        assert_array_equal(own.rnn.W_hh[n : n + 1], alone.rnn.W_hh)


def test_a_fixed_batch_with_a_network_axis():
    made = case(N=2, own=True)
    training = train(made.rnn, made.sequences, n_updates=5, window=4)
    s = made.sequences
    for n in range(2):
        mine = rnnsim.Sequences(s.inputs[n], s.targets[n], s.weights[n])
        alone = train(made.rnn[n], mine, n_updates=5, window=4)
        # A segment may be silent for one network only: it counts, and is no update of that one.
        if (s.weights > 0).any(axis=2).all():
            assert_array_equal(training.rnn.W_hh[n : n + 1], alone.rnn.W_hh)


def test_one_update_is_the_gradient():
    made = case(N=2)
    before = rnnsim.bptt(made.rnn, made.sequences)
    after = train(made.rnn, made.sequences, n_updates=1, learning_rate=1.0)
    for w, g, new in zip(made.rnn.weights, before.weights, after.rnn.weights, strict=True):
        assert_allclose(new, w - g, rtol=1e-12, atol=1e-13)


def test_zero_updates_measure_and_change_nothing():
    made = case(N=2)
    training = train(made.rnn, made.sequences, n_updates=0)
    assert_array_equal(training.rnn.W_hh, made.rnn.W_hh)
    assert_allclose(training.record.loss[:, 0], rnnsim.evaluate(made.rnn, made.sequences).loss)


def test_mask_holds_weights_and_leaves_them_out_of_the_norm():
    made = case(N=2)
    zero = {name: 0 for name in ("W_xh", "W_hy", "b_h", "b_y")}
    training = train(
        made.rnn, made.sequences, n_updates=1, learning_rate=1.0, clip_norm=0.01, mask=zero
    )
    for name in zero:
        assert_array_equal(getattr(training.rnn, name), getattr(made.rnn, name))
    moved = np.linalg.norm(training.rnn.W_hh - made.rnn.W_hh, axis=(1, 2))
    assert_allclose(moved, 0.01, rtol=1e-10)


def test_masked_entries_stay_under_every_optimizer():
    made = case(N=2)
    held = np.ones((4, 4))
    held[1, 2] = held[3] = 0
    for optimizer in ("sgd", "momentum", "adam", "rmsprop", "adagrad"):
        trained = train(
            made.rnn, made.sequences, n_updates=4, optimizer=optimizer, mask={"W_hh": held}
        ).rnn
        same = trained.W_hh == made.rnn.W_hh
        assert_array_equal(same, np.broadcast_to(held == 0, same.shape))


def test_tied_weights_move_as_one_parameter():
    """A ring: every unit hears its left neighbour with theta and its right one with -theta."""
    H, theta = 4, 0.3
    left, right = np.roll(np.eye(H), 1, axis=0), np.roll(np.eye(H), -1, axis=0)
    rng = np.random.default_rng(0)
    rnn = rnnsim.RNN(rng.normal(size=(H, 2)), theta * (left - right), rng.normal(size=(3, H)))
    batch = draws(rng)
    labels = (7 * left - 7 * right).astype(int)
    zero = {name: 0 for name in ("W_xh", "W_hy", "b_h", "b_y")} | {"W_hh": labels != 0}
    training = train(rnn, batch, n_updates=1, learning_rate=1.0, tie={"W_hh": labels}, mask=zero)
    gradient = rnnsim.bptt(rnn, batch).W_hh[0]
    slope = (gradient * (left - right)).sum()  # dL/dtheta
    assert_allclose(training.rnn.W_hh[0], (theta - slope) * (left - right), atol=1e-13)
    assert_allclose(training.record.log_gradient_norm[0, -1], np.log(abs(slope)), rtol=1e-10)


def test_a_network_that_diverges_is_frozen_and_harms_no_neighbour():
    made = case(N=2, activation="linear", classes=False, silent=0.0)
    rates = np.array([1e200, 1e-3])
    training = train(made.rnn, made.sequences, n_updates=9, learning_rate=rates, record_every=1)
    assert training.diverged[0] > 0
    assert training.diverged[1] == -1
    assert all(np.isfinite(array).all() for array in training.rnn.weights)
    alone = train(made.rnn[1], made.sequences, n_updates=9, learning_rate=1e-3)
    assert_array_equal(training.rnn.W_hh[1:], alone.rnn.W_hh)
    after = training.record.training_loss[0].values
    made_updates = int(training.diverged[0]) - 1
    assert np.isfinite(after[1 : made_updates + 1]).all()
    assert np.isnan(after[made_updates + 1 :]).all()
    assert_array_equal(training.record.diverged, training.diverged)


def test_a_step_that_overflows_is_not_taken():
    """Loss and gradient are finite; the new weights would not be."""
    made = case(N=1, activation="linear", classes=False)
    batch = rnnsim.Sequences(
        made.sequences.inputs, 1e20 + made.sequences.targets, made.sequences.weights
    )
    training = train(made.rnn, batch, n_updates=3, learning_rate=1e300)
    assert training.diverged.tolist() == [1]
    assert_array_equal(training.rnn.W_hh, made.rnn.W_hh)


def test_an_infinite_loss_freezes_where_clipping_would_hide_it():
    made = case(N=1, activation="linear", classes=False)
    batch = rnnsim.Sequences(
        made.sequences.inputs, 1e160 + made.sequences.targets, made.sequences.weights
    )
    training = train(made.rnn, batch, n_updates=3, clip_norm=1.0)
    assert training.diverged.tolist() == [1]
    assert_array_equal(training.rnn.W_hh, made.rnn.W_hh)


def test_a_frozen_network_stays_so_when_data_are_harmless_again():
    made = case(N=1, activation="linear", classes=False)
    seen = []

    def draw(rng):
        batch = draws(rng, classes=False)
        seen.append(batch)
        if len(seen) == 3:
            return rnnsim.Sequences(1e200 * batch.inputs, batch.targets, batch.weights)
        return batch

    training = train(made.rnn, draw, n_updates=6, record_every=1, learning_rate=1e-3, rng=0)
    assert training.diverged.tolist() == [3]
    seen.clear()
    before = train(made.rnn, draw, n_updates=2, learning_rate=1e-3, rng=0)
    assert_array_equal(training.rnn.W_hh, before.rnn.W_hh)


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
def test_the_record():
    made = case(N=2, T=9)
    training = train(
        made.rnn, draws, n_updates=7, record_every=3, snapshot_every=4, clip_norm=0.7,
        test=made.sequences, rng=0, max_lag=4,
    )  # fmt: skip
    record = training.record
    assert record.updates.values.tolist() == [0, 3, 6, 7]
    assert record.snapshot.values.tolist() == [0, 4, 7]
    halfway = train(made.rnn, draws, n_updates=6, clip_norm=0.7, rng=0).rnn
    evaluation = rnnsim.evaluate(halfway, made.sequences)
    assert_array_equal(record.loss.sel(updates=6), evaluation.loss)
    assert_array_equal(record.accuracy.sel(updates=6), evaluation.accuracy)
    flow = rnnsim.gradient_flow(training.rnn, made.sequences, max_lag=4)
    last = record.sel(snapshot=7)
    assert_array_equal(last.window_log_error, flow.window_log_error)
    assert_array_equal(last.window_cosine, flow.window_cosine)
    assert_allclose(last.log_norms, np.nanmean(flow.log_norms, axis=1))
    spectra = rnnsim.spectrum(training.rnn)
    assert_array_equal(record.spectral_radius.sel(updates=7), spectra.spectral_radius)
    assert_array_equal(last.eigenvalues, spectra.eigenvalues)
    assert ((record.clipped[:, 1:] >= 0) & (record.clipped[:, 1:] <= 1)).all()
    assert np.isnan(record.clipped[:, 0]).all()
    assert np.isnan(record.omega).all()
    assert record.lyapunov_exponent.shape == (2, 3)


def test_clipped_fraction_counts():
    made, limit = case(N=1), 4.5
    norms = []
    for n_updates in range(6):
        rnn = train(made.rnn, draws, n_updates=n_updates, rng=0, clip_norm=limit).rnn
        batches = plain_batches(draws, 0)
        batch = rnnsim.Sequences(*next(itertools.islice(batches, n_updates, None)))
        g = rnnsim.bptt(rnn, batch).weights
        norms.append(np.sqrt(sum((array**2).sum() for array in g)))
    record = train(made.rnn, draws, n_updates=6, rng=0, clip_norm=limit).record
    assert_allclose(record.clipped[0, -1], np.mean(np.array(norms) > limit))
    assert 0 < record.clipped[0, -1] < 1


def test_batches_of_different_lengths():
    def draw(rng):
        return draws(rng, T=int(rng.integers(3, 9)), B=int(rng.integers(1, 4)))

    assert_like_reference(case(N=2).rnn, draw, "sgd", {"window": 4, "stride": 2}, n_updates=15)


def test_a_task_from_the_library():
    rnn = rnnsim.RNN.sample(2, n_inputs=6, n_hidden=8, n_outputs=4, rng=0)
    training = train(
        rnn, lambda rng: tasks.temporal_order(10, 4, rng=rng), n_updates=3, window=5, rng=1
    )
    assert training.rnn.n_hidden == 8
    assert training.record.attrs["configuration"]
