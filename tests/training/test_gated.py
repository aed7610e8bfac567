"""Training of LSTMs and GRUs: against plain loops, and the laws that hold for every cell."""

import numpy as np
import pytest
import reference
import reference_cells
import reference_training
from builders import NOJIT, draws, gated
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case
from training_builders import assert_like_reference, pair_updates

import rnnsim
from rnnsim.training.train import train

pytestmark = pytest.mark.nojit
UPDATES = 3 if NOJIT else 100
CELLS = ("lstm", "gru")
WINDOWS = {
    "full": {},
    "segments": {"window": 3},
    "overlapping": {"window": 4, "stride": 2},
    "sliding": {"window": 3, "stride": 1},
}
CLIPS = {"clip_norm": 0.5, "clip_value": np.array([0.05, 0.1])}


def networks(cell, N=2, **sizes):
    return gated(cell, N=N, T=7, B=2, V=3, **sizes).rnn


@pytest.mark.parametrize("cell", reference_cells.CELLS)
def test_the_gradient_of_the_plain_loop_is_the_derivative_of_its_loss(cell):
    rng = np.random.default_rng(0)
    net, batch = reference.net_of(networks(cell, N=1)), draws(rng, T=5, silent=0.3)
    S = (1 + reference_cells.CELLS[cell].memories) * net.W_hh.shape[1]
    data = reference_training.Segment(
        batch.inputs, batch.targets, batch.weights, rng.random((5, 2)) < 0.4,
        *rng.normal(size=(2, 2, S)),
    )  # fmt: skip
    found = reference_training.gradient([net], data, cell)[0]
    for name in net._fields:
        expected = reference.derivative(
            lambda a, name=name: reference_training.loss([net._replace(**{name: a})], data, cell),
            getattr(net, name),
        )
        assert_allclose(getattr(found, name), expected, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop", "adagrad"])
@pytest.mark.parametrize("cell", CELLS)
def test_updates_follow_the_plain_loop(cell, optimizer, window):
    if NOJIT and (optimizer, window) not in {("sgd", "full"), ("adam", "overlapping")}:
        pytest.skip("left to compiled kernels")
    options = WINDOWS[window] | CLIPS
    assert_like_reference(networks(cell), draws, optimizer, options, n_updates=UPDATES)


@pytest.mark.parametrize("carry", ["sequence", "stream", "none"])
@pytest.mark.parametrize("window", ["segments", "overlapping", "sliding"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_whole_state_is_carried(cell, window, carry):
    options = WINDOWS[window] | {"carry": carry, "clip_norm": 1.0}
    n_updates = 4 if NOJIT else 20
    assert_like_reference(networks(cell), draws, "sgd", options, n_updates=n_updates)


def test_memories_alone_carry_a_stream_on():
    """An LSTM of one unit whose gates are open, f = 1, i = 1, o = 1/2: c_t = c_{t-1} + tanh x_t."""
    W_xh = np.zeros((4, 1))
    W_xh[2] = 1.0
    b_h = np.array([800.0, 40.0, 0.0, 0.0])
    rnn = rnnsim.RNN(W_xh, np.zeros((4, 1)), np.ones((1, 1)), b_h, cell="lstm")
    x = np.random.default_rng(0).normal(size=(12, 1, 1))
    batches = iter(
        [rnnsim.Sequences(part, np.zeros((3, 1, 1))) for part in np.split(x, 4)] * 2
    )  # the last is drawn once more, for what comes next
    made = train(
        rnn, lambda rng: next(batches), n_updates=4, carry="stream", learning_rate=0.0, rng=0
    )
    c = np.cumsum(np.tanh(x))
    assert_allclose(made.final_c, c[-1:].reshape(1, 1, 1), rtol=1e-14)
    h = 0.5 * np.tanh(c)
    assert_allclose(made.final_h, h[-1:].reshape(1, 1, 1), rtol=1e-14)
    assert_allclose(made.record["training_loss"][0, 1], 0.5 * (h**2).sum() / 4, rtol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_float32_stays_close_to_float64(cell):
    rnn = networks(cell)
    options = {"n_updates": 20, "optimizer": "adam", "window": 4, "stride": 2, "rng": 0}
    wide = train(rnn, draws, **options)
    single = train(rnn.astype("float32"), lambda rng: draws(rng).astype("float32"), **options)
    assert single.rnn.dtype == single.final_h.dtype == np.float32
    for a, b in zip(single.rnn.weights, wide.rnn.weights, strict=True):
        assert_allclose(a, b, atol=2e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_masks_and_ties_hold_weights_of_gates(cell):
    rnn = networks(cell)
    H, G = rnn.n_hidden, rnn.n_gates
    held = np.ones((G * H, H))
    held[:H] = 0  # the first gate hears no state anew
    trained = train(rnn, draws, n_updates=4, optimizer="adam", mask={"W_hh": held}, rng=0).rnn
    same = trained.W_hh == rnn.W_hh
    assert_array_equal(same, np.broadcast_to(held == 0, same.shape))
    equal = np.full(rnn.b_h.shape, 0.5)
    tied = rnn.with_weights(rnn.weights._replace(b_h=equal))
    labels = np.repeat(np.arange(1, equal.shape[1] // H + 1), H)  # one bias for each block
    after = train(tied, draws, n_updates=4, optimizer="adam", tie={"b_h": labels}, rng=0).rnn.b_h
    blocks = after.reshape(2, -1, H)
    assert_array_equal(blocks, np.broadcast_to(blocks[..., :1], blocks.shape))
    assert (np.ptp(blocks[..., 0], axis=1) > 0).all()


@pytest.mark.parametrize("cell", CELLS)
def test_one_update_is_the_gradient(cell):
    made = gated(cell, N=2, own=True)
    before = rnnsim.bptt(made.rnn, made.sequences, **made.start)
    after = train(made.rnn, made.sequences, n_updates=1, learning_rate=1.0, **made.start)
    for w, g, new in zip(made.rnn.weights, before.weights, after.rnn.weights, strict=True):
        assert_allclose(new, w - g, rtol=1e-12, atol=1e-13)
    run = rnnsim.forward(made.rnn, made.sequences.inputs, **made.start)
    assert_array_equal(after.final_h, run.final_h)
    assert (after.final_c is None) == (cell == "gru")
    if cell == "lstm":
        assert_array_equal(after.final_c, run.final_c)


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_depends_on_threads_neighbours_or_the_length_of_calls(cell, monkeypatch):
    rnn = networks(cell, N=5)
    options = {"n_updates": 9, "window": 4, "stride": 2, "optimizer": "adam", "rng": 0}
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


@pytest.mark.parametrize("cell", CELLS)
def test_a_network_that_diverges_is_frozen_and_harms_no_neighbour(cell):
    rnn = networks(cell)
    rates = np.array([1e308, 1e-3])
    training = train(rnn, draws, n_updates=9, learning_rate=rates, rng=0, carry="stream")
    assert training.diverged[0] > 0
    assert training.diverged[1] == -1
    assert all(np.isfinite(array).all() for array in training.rnn.weights)
    alone = train(rnn[1], draws, n_updates=9, learning_rate=1e-3, rng=0, carry="stream")
    assert_array_equal(training.rnn.W_hh[1:], alone.rnn.W_hh)
    assert_array_equal(training.final_h[1:], alone.final_h)


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
@pytest.mark.parametrize("cell", CELLS)
def test_the_record(cell):
    made = gated(cell, N=2, T=9, D=2, V=3)
    training = train(
        made.rnn, draws, n_updates=4, record_every=2, snapshot_every=4, test=made.sequences, rng=0
    )
    record, rnn = training.record, training.rnn
    evaluation = rnnsim.evaluate(rnn, made.sequences)
    assert_array_equal(record.loss.sel(updates=4), evaluation.loss)
    assert_array_equal(record.accuracy.sel(updates=4), evaluation.accuracy)
    gates = rnnsim.spectrum(rnn)
    assert tuple(record.gate.values) == gates.gates
    assert_array_equal(record.gate_spectral_norm.sel(updates=4), gates.spectral_norm)
    assert_allclose(
        record.spectral_norm.sel(updates=4), np.linalg.norm(rnn.W_hh, 2, axis=(1, 2)), rtol=1e-12
    )
    assert np.isnan(record.spectral_radius).all()
    assert np.isnan(record.eigenvalues).all()
    gradient = rnnsim.bptt(rnn, made.sequences).W_hh.reshape(2, len(gates.gates), -1)
    squares = (gradient**2).sum(axis=2)
    last = record.sel(snapshot=4)
    assert_allclose(last.gate_share, squares / squares.sum(axis=1, keepdims=True), rtol=1e-9)
    flow = rnnsim.gradient_flow(rnn, made.sequences)
    assert_allclose(last.log_norms, np.nanmean(flow.log_norms, axis=1))
    assert_array_equal(last.window_log_error, flow.window_log_error)
    assert np.isfinite(record.lyapunov_exponent).all()


def test_a_penalty_of_gated_cells_is_refused():
    with pytest.raises(ValueError, match=r"`penalty` must be 0 for gated cells, got 0.1 for cell="):
        train(networks("gru"), draws, n_updates=1, rng=0, penalty=[0.0, 0.1])
    made = pair_case(N=2, activations=("tanh", "lstm"))
    with pytest.raises(ValueError, match=r"`penalty` must be 0 for gated cells"):
        train(made.model, made.pairs, n_updates=1, penalty=0.1)


PAIRS = [("lstm", "lstm"), ("gru", "lstm"), ("lstm", "gru"), ("linear", "lstm"), ("gru", "tanh")]


@pytest.mark.parametrize("H_e", [3, 4])  # as many units as the decoder has: memories go over
@pytest.mark.parametrize("cells", PAIRS, ids=str)
def test_encoder_decoder_updates_follow_complex_steps(cells, H_e):
    made = pair_case(N=2, T_s=3, T=3, B=2, H_e=H_e, activations=cells)
    if not NOJIT and cells not in PAIRS[:2]:
        pytest.skip("each pair of cells compiles anew")
    clip_norm = np.array([0.8, 5.0])
    training = train(made.model, made.pairs, n_updates=2, learning_rate=0.1, clip_norm=clip_norm)
    for n in range(2):
        encoder, decoder = pair_updates(made, n, 2, 0.1, clip_norm[n])
        for part, expected in (("encoder", encoder), ("decoder", decoder)):
            for name in reference.Net._fields:
                found = getattr(getattr(training.model, part), name)[n]
                assert_allclose(found, getattr(expected, name), atol=1e-11, err_msg=name)
    assert (training.final_c is None) == (cells[1] != "lstm")


def test_an_update_of_long_pairs_is_their_gradient():
    made = pair_case(N=3, T_s=9, T=11, B=5, H_e=4, activations=("lstm", "lstm"))
    gradients = rnnsim.pairs_bptt(made.model, made.pairs)
    training = train(made.model, made.pairs, n_updates=1, learning_rate=1.0)
    for name in ("W_xh", "W_hh", "b_h"):
        for part in ("encoder", "decoder"):
            old, new = (getattr(getattr(m, part), name) for m in (made.model, training.model))
            assert_allclose(new - old, -getattr(getattr(gradients, part), name), atol=1e-12)
    evaluated = rnnsim.pairs_evaluate(made.model, made.pairs)
    assert_allclose(training.record["loss"][:, 0], evaluated.loss, rtol=1e-12)
