"""Training of stacks: against plain loops, and what holds of networks of one layer."""

import numpy as np
import pytest
import reference
import reference_training
from builders import NOJIT, draws
from numpy.testing import assert_allclose, assert_array_equal
from stack_builders import KINDS, stacked
from training_builders import assert_like_reference, final_state, given_states

import rnnsim
from rnnsim import Stack, train

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", KINDS)
UPDATES = 3 if NOJIT else 5
WINDOWS = {
    "full": {},
    "segments": {"window": 3},
    "overlapping": {"window": 4, "stride": 2},
    "sliding": {"window": 3, "stride": 1},
}
CLIPS = {"clip_norm": np.array([0.5, 0.3]), "clip_value": np.array([0.05, 0.1])}


def stacks(cell, n_layers=2, N=2, dtype="float64"):
    """Stacks, and a whole first state (B, L*S), that fit `draws`."""
    made = stacked(cell, n_layers, N=N, T=7, B=2, D=2, H=3, V=3, dtype=dtype)
    return made.stack, made.state


def often(inputs):
    return inputs[..., 0] > 0.4


def assert_same_weights(a, b):
    for one, other in zip(a.layers, b.layers, strict=True):
        for first, second in zip(one.weights, other.weights, strict=True):
            assert_array_equal(first, second)


@EACH
@pytest.mark.parametrize("n_layers", [2, 3])
def test_the_gradient_of_the_plain_loop_is_the_derivative_of_its_loss(cell, n_layers):
    rng, made = np.random.default_rng(0), stacked(cell, n_layers, T=4, V=3)
    s = made.sequences
    data = reference_training.Segment(
        s.inputs, s.targets, s.weights, rng.random((4, 2)) < 0.4, made.state, 0.5 * made.state
    )
    assert data.anew[1:].any()
    nets = made.nets()
    for k, found in enumerate(reference_training.gradient(nets, data, cell)):
        for name in reference.Net._fields:

            def loss(array, k=k, name=name):
                changed = [n._replace(**{name: array}) if i == k else n for i, n in enumerate(nets)]
                return reference_training.loss(changed, data, cell)

            expected = reference.derivative(loss, getattr(nets[k], name))
            assert_allclose(getattr(found, name), expected, atol=1e-13, err_msg=f"{k}: {name}")


@EACH
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "rmsprop", "adagrad"])
def test_updates_follow_the_plain_loop(cell, n_layers, optimizer):
    windows = ["full", "overlapping"] if n_layers == 2 and not NOJIT else ["overlapping"]
    for window in windows:
        options = WINDOWS[window] | CLIPS
        stack, _ = stacks(cell, n_layers)
        assert_like_reference(stack, draws, optimizer, options, n_updates=UPDATES)


@EACH
@pytest.mark.parametrize("carry", ["sequence", "stream", "none"])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_states_of_all_layers_are_carried(cell, window, carry):
    if NOJIT and window in ("full", "sliding") and carry != "stream":
        pytest.skip("left to compiled kernels")
    stack, start = stacks(cell)
    options = WINDOWS[window] | {"carry": carry, "clip_norm": 1.0}
    assert_like_reference(stack, draws, "sgd", options, n_updates=UPDATES, start=start)


@EACH
@pytest.mark.parametrize("n_layers", [2, 3])
def test_starts_and_everything_else_at_once(cell, n_layers):
    stack, start = stacks(cell, n_layers)
    options = CLIPS | {
        "window": np.array([5, 3]), "stride": 2, "carry": "stream", "accumulate": 2,
    }  # fmt: skip
    assert_like_reference(
        stack, draws, "adagrad", options, n_updates=UPDATES, start=start, starts=often
    )


@EACH
def test_squared_errors_and_float32(cell):
    def draw(rng):
        batch = draws(rng)
        targets = rng.normal(size=(*batch.weights.shape, 3))
        return rnnsim.Sequences(batch.inputs, targets, batch.weights)

    stack, start = stacks(cell)
    assert_like_reference(stack, draw, "adam", {}, n_updates=UPDATES, start=start)
    options = {"n_updates": UPDATES, "window": 4, "stride": 2, "rng": 0}
    wide = train(stack, draw, **options)
    single = train(stack.astype("float32"), lambda rng: draw(rng).astype("float32"), **options)
    assert single.rnn.dtype == single.final_h.dtype == np.float32
    for a, b in zip(single.rnn.layers, wide.rnn.layers, strict=True):
        for first, second in zip(a.weights, b.weights, strict=True):
            assert_allclose(first, second, atol=1e-5)


@EACH
def test_one_update_is_the_gradient(cell):
    made = stacked(cell, 3, N=2, own=True)
    before = rnnsim.bptt(made.stack, made.sequences, **made.start)
    after = train(made.stack, made.sequences, n_updates=1, learning_rate=1.0, **made.start)
    for old, g, new in zip(made.stack.layers, before.layers, after.rnn.layers, strict=True):
        for w, dw, found in zip(old.weights, g, new.weights, strict=True):
            assert_allclose(found, w - dw, rtol=1e-12, atol=1e-13)
    run = rnnsim.forward(made.stack, made.sequences.inputs, **made.start)
    assert_array_equal(after.final_h, run.final_h)
    assert (after.final_c is None) == (cell != "lstm")
    if cell == "lstm":
        assert_array_equal(after.final_c, run.final_c)


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stack_of_one_layer_trains_to_the_bits_of_its_network(cell, dtype):
    stack, start = stacks(cell, 1, dtype=dtype)
    (rnn,) = stack.layers
    options = {
        "n_updates": UPDATES, "window": 4, "stride": 2, "carry": "stream", "optimizer": "adam",
        "accumulate": 2, "clip_norm": 0.5, "rng": 0,
        "test": draws(np.random.default_rng(1)).astype(dtype),
        "starts": lambda batch: often(batch.inputs),
    }  # fmt: skip

    def draw(rng):
        return draws(rng).astype(dtype)

    one = train(rnn, draw, **options, **given_states(rnn, start))
    found = train(stack, draw, **options, **given_states(stack, start))
    assert_same_weights(found.rnn, one.rnn)
    assert_array_equal(final_state(found), final_state(one))
    for name in one.record.data_vars:
        assert_array_equal(np.squeeze(found.record[name]), np.squeeze(one.record[name]))


@pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])  # relu units may have no gradient at all
def test_masks_and_ties_go_by_the_names_of_layers(cell):
    stack, _ = stacks(cell)
    G = stack.n_gates
    held = np.ones((G * 3, 3))
    held[:, 1] = 0
    mask = {"layers[0].W_hh": held, "layers[1].W_xh": 0}
    options = {"n_updates": UPDATES, "optimizer": "adam", "rng": 0}
    trained = train(stack, draws, mask=mask, **options).rnn
    pairs = list(zip(stack.layers, trained.layers, strict=True))
    same = [(old.W_hh == new.W_hh, old.W_xh == new.W_xh) for old, new in pairs]
    assert_array_equal(same[0][0], np.broadcast_to(held == 0, same[0][0].shape))
    assert same[1][1].all()
    assert not same[1][0].any()
    assert not same[0][1].any()
    equal = [layer.with_weights(layer.weights._replace(W_hh=stack.layers[0].W_hh))
             for layer in stack.layers]  # fmt: skip
    labels = np.arange(1, G * 9 + 1).reshape(G * 3, 3)
    tie = {"layers[0].W_hh": labels, "layers[1].W_hh": labels}
    tied = Stack(equal)
    after = train(tied, draws, tie=tie, n_updates=1, learning_rate=1.0, rng=0).rnn
    assert_array_equal(after.layers[0].W_hh, after.layers[1].W_hh)
    gradient = rnnsim.bptt(tied, draws(np.random.default_rng(0)))
    total = sum(layer.W_hh for layer in gradient.layers)
    assert_allclose(after.layers[0].W_hh, tied.layers[0].W_hh - total, rtol=1e-12, atol=1e-13)


@EACH
@pytest.mark.parametrize("name", ["adam", "stream", "starts"])
def test_resumed_equals_uninterrupted_bit_for_bit(cell, name, tmp_path):
    stack, start = stacks(cell)
    options = {
        "adam": {"optimizer": "adam"},
        "stream": {"optimizer": "momentum", "window": 3, "carry": "stream", "accumulate": 2},
        "starts": {
            "optimizer": "rmsprop", "window": 3, "stride": 2, "carry": "stream",
            "test": draws(np.random.default_rng(0)), "starts": lambda batch: often(batch.inputs),
            **given_states(stack, start),
        },
    }[name] | {"rng": 1, "record_every": 2, "learning_rate": 0.005}  # fmt: skip
    path = tmp_path / "run.npz"
    whole = train(stack, draws, n_updates=7, **options)
    for stop in (2, 5, 7):
        resumed = train(stack, draws, n_updates=stop, checkpoint=path, **options)
    assert_same_weights(resumed.rnn, whole.rnn)
    assert_array_equal(final_state(resumed), final_state(whole))
    assert resumed.record.identical(whole.record)


@EACH
def test_nothing_depends_on_threads_neighbours_or_the_length_of_calls(cell, monkeypatch):
    stack, _ = stacks(cell, N=4)
    options = {"n_updates": 5, "window": 4, "stride": 2, "optimizer": "adam", "rng": 0}
    whole = train(stack, draws, **options, n_threads=1)
    assert_same_weights(whole.rnn, train(stack, draws, **options, n_threads=2).rnn)
    assert_same_weights(whole.rnn[2], train(stack[2], draws, **options).rnn)
    monkeypatch.setattr("rnnsim.training.runs.FLOPS_PER_CALL", 1.0)  # one update a call
    assert_same_weights(whole.rnn, train(stack, draws, **options).rnn)


@EACH
def test_a_stack_that_diverges_is_frozen_and_harms_no_neighbour(cell):
    stack, _ = stacks(cell)
    options = {"n_updates": 6, "rng": 0, "carry": "stream"}
    training = train(stack, draws, learning_rate=np.array([1e308, 1e-3]), **options)
    assert training.diverged[0] > 0
    assert training.diverged[1] == -1
    assert all(np.isfinite(a).all() for layer in training.rnn.layers for a in layer.weights)
    alone = train(stack[1], draws, learning_rate=1e-3, **options)
    assert_same_weights(training.rnn[1], alone.rnn)
    assert_array_equal(final_state(training)[1:], final_state(alone))


def mean_of_finite(logs):
    """Over loss steps (..., S, K), of norms that are not 0; -inf where all are."""
    finite = np.isfinite(logs)
    count = finite.sum(axis=-2)
    mean = np.where(finite, logs, 0.0).sum(axis=-2) / np.where(count > 0, count, np.nan)
    return np.where((count == 0) & np.isneginf(logs).any(axis=-2), -np.inf, mean)


@pytest.mark.skipif(NOJIT, reason="snapshots take seconds uncompiled")
@EACH
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_the_record(cell, n_layers):
    made = stacked(cell, n_layers, N=2, T=7, V=3)
    training = train(
        made.stack, draws, n_updates=4, record_every=2, snapshot_every=4, test=made.sequences, rng=0
    )
    record, stack = training.record, training.rnn
    assert_array_equal(record.layer, np.arange(1, n_layers + 1))
    for name in ("spectral_radius", "spectral_norm"):
        assert record[name].dims == ("network", "updates", "layer")
    for name in ("eigenvalues", "singular_values"):
        assert record[name].dims == ("network", "snapshot", "layer", "unit")
    assert record.log_norms_layers.dims == ("network", "snapshot", "layer", "lag")
    assert record.layer_share.dims == ("network", "snapshot", "layer")
    last = record.sel(updates=4, snapshot=4)
    for k, layer in enumerate(stack.layers):
        norms = np.linalg.norm(layer.W_hh, 2, axis=(1, 2))
        assert_allclose(last.spectral_norm[:, k], norms, rtol=1e-12)
        assert_allclose(last.singular_values[:, k, 0], norms, rtol=1e-12)
    gates = {"lstm": 4, "gru": 3}.get(cell)
    assert ("gate_spectral_norm" in record) == (gates is not None)
    if gates:
        assert record.gate_spectral_norm.shape == (2, 3, n_layers, gates)
        assert record.gate_share.dims == ("network", "snapshot", "layer", "gate")
        for k, own in enumerate(rnnsim.bptt(stack, made.sequences).layers):
            parts = (own.W_hh.reshape(2, gates, -1) ** 2).sum(axis=2)
            expected = parts / parts.sum(axis=1, keepdims=True)
            assert_allclose(last.gate_share[:, k], expected, rtol=1e-9)
        assert np.isnan(record.spectral_radius).all()
    else:
        largest = np.abs(np.linalg.eigvals(stack.layers[-1].W_hh)).max(axis=1)
        assert_allclose(last.spectral_radius[:, -1], largest, rtol=1e-9)
    assert_allclose(record.layer_share.sum("layer"), 1.0, rtol=1e-9)
    gradient = rnnsim.bptt(stack, made.sequences)
    squares = np.array([(own.W_hh**2).sum(axis=(1, 2)) for own in gradient.layers]).T
    assert_allclose(last.layer_share, squares / squares.sum(axis=1, keepdims=True), rtol=1e-9)
    flow = rnnsim.gradient_flow(stack, made.sequences)
    assert_allclose(last.log_norms, mean_of_finite(flow.log_norms))
    assert_allclose(last.log_norms_layers, mean_of_finite(flow.log_norms_layers))
    assert_array_equal(last.window_log_error, flow.window_log_error)
    assert_array_equal(last.window_cosine, flow.window_cosine)
    evaluation = rnnsim.evaluate(stack, made.sequences)
    assert_array_equal(last.loss, evaluation.loss)
    assert_array_equal(last.accuracy, evaluation.accuracy)
    assert np.isfinite(record.lyapunov_exponent).all()


def test_what_stacks_do_not_have_is_refused():
    stack, _ = stacks("tanh")
    with pytest.raises(ValueError, match=r"`penalty` must be 0 for stacks of several layers, got "):
        train(stack, draws, n_updates=1, rng=0, penalty=0.1)
    below = rnnsim.RNN(np.ones((3, 2)), np.eye(3))
    with pytest.raises(ValueError, match=r"`model` must have a readout.*got n_outputs = 0"):
        train(Stack([below, rnnsim.RNN(np.eye(3), np.eye(3))]), draws, n_updates=1, rng=0)
    with pytest.raises(ValueError, match=r"`h0` must be \(n_layers, n_sequences, n_hidden\)"):
        train(stack, draws, n_updates=1, rng=0, h0=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"`mask name` must be one of 'layers\[0\].W_xh', .*"):
        train(stack, draws, n_updates=1, rng=0, mask={"W_hh": 0})
