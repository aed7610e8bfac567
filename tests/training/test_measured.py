"""What a record measures on: test data, the batch that comes next, or the rest of a stream."""

import numpy as np
import pytest
from builders import draws
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case

import rnnsim
from rnnsim import train

pytestmark = pytest.mark.nojit


def integrator():
    """h_t = x_t + h_{t-1}, y_t = h_t."""
    one = np.ones((1, 1))
    return rnnsim.RNN(one, one, one, activation="linear")


class Impulse:
    """Batches of 10 steps in a stream: a single 1 in the first step of the first; targets 1."""

    def __init__(self):
        self.n_drawn = 0

    def __call__(self, rng):
        inputs = np.zeros((10, 1, 1))
        inputs[0] = self.n_drawn == 0
        self.n_drawn += 1
        return rnnsim.Sequences(inputs, np.ones((10, 1, 1)))


@pytest.mark.parametrize(("window", "stride"), [(None, None), (5, None), (7, 5), (10, 2), (3, 2)])
def test_a_stream_is_measured_from_the_state_that_is_carried(window, stride):
    made = train(
        integrator(), Impulse(), n_updates=12, window=window, stride=stride, carry="stream",
        learning_rate=0.0, rng=0, record_every=1, snapshot_every=4,
    )  # fmt: skip
    assert_array_equal(made.record["training_loss"][0, 1:], np.zeros(12))
    assert_array_equal(made.record["loss"][0], np.zeros(13))
    name = "what comes next, from the carried state"
    assert made.record["loss"].long_name == f"loss on {name}"
    assert made.record["lyapunov_exponent"].long_name.endswith(f"on {name}, repeated")


def test_every_other_way_of_carrying_starts_from_zero():
    for carry in ("sequence", "none"):
        record = train(
            integrator(), Impulse(), n_updates=2, carry=carry, learning_rate=0.0, rng=0,
            record_every=1,
        ).record  # fmt: skip
        assert_array_equal(record["loss"][0], [0.0, 5.0, 5.0])
        assert record["loss"].long_name == "loss on the batch that comes next"
    test = Impulse()(None)
    record = train(
        integrator(), Impulse(), n_updates=2, carry="stream", learning_rate=0.0, rng=0, test=test
    ).record
    assert_array_equal(record["loss"][0], [0.0, 0.0])
    assert record["loss"].long_name == "loss on the test data"


@pytest.mark.parametrize("own_data", [False, True])
@pytest.mark.parametrize(("window", "stride"), [(3, 2), (4, None), (None, None)])
def test_what_is_left_of_a_batch_is_measured(window, stride, own_data):
    """Loss and flow of the steps that are not learned yet, recomputed from the stream as one."""
    T, n_updates = 7, 9
    rnn = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=4, n_outputs=3, rng=1)
    made = train(
        rnn, draws, n_updates=n_updates, window=window, stride=stride, carry="stream",
        learning_rate=0.0, rng=3, own_data=own_data, record_every=1, snapshot_every=n_updates,
    )  # fmt: skip
    blocks = -(-T // (stride or window or T))
    generator = np.random.default_rng(3)
    generators = generator.spawn(2) if own_data else [generator] * 2
    for n in range(2):
        batches = [draws(generators[n]) for _ in range(n_updates // blocks + 1)]
        if not own_data:
            generators = [np.random.default_rng(3)] * 2
        stream = [np.concatenate([getattr(b, name) for b in batches]) for name in
                  ("inputs", "targets", "weights")]  # fmt: skip
        for update in range(n_updates + 1):
            batch, block = divmod(update, blocks)
            start = batch * T + block * (stride or window or T)
            weights = np.zeros_like(stream[2])
            weights[start : (batch + 1) * T] = stream[2][start : (batch + 1) * T]
            whole = rnnsim.Sequences(*(a[: (batch + 1) * T] for a in (*stream[:2], weights)))
            found = made.record["loss"][n, update]
            assert_allclose(found, rnnsim.evaluate(rnn[n], whole).loss[0], rtol=1e-12)
    assert np.isfinite(made.record["log_norms"][:, -1, 0]).all()


def test_steps_without_loss_behind_an_update_only_carry_the_state():
    """The last loss is at step 3 of 6: what is left would carry none."""

    def draw(rng):
        inputs, weights = rng.normal(size=(6, 1, 1)), np.zeros((6, 1))
        weights[2] = 1.0
        return rnnsim.Sequences(inputs, np.ones((6, 1, 1)), weights)

    made = train(
        integrator(), draw, n_updates=3, window=1, carry="stream", learning_rate=0.0, rng=0,
        record_every=1, snapshot_every=1,
    )  # fmt: skip
    generator = np.random.default_rng(0)
    x = np.concatenate([draw(generator).inputs[:, 0, 0] for _ in range(4)])
    states = np.cumsum(x)[[2, 8, 14, 20]]
    assert_allclose(made.record["loss"][0], 0.5 * (states - 1) ** 2)
    assert_allclose(made.record["training_loss"][0, 1:], 0.5 * (states[:3] - 1) ** 2)


def test_a_resumed_stream_is_measured_alike(tmp_path):
    rnn = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=4, n_outputs=3, rng=1)
    options = {"window": 3, "stride": 2, "carry": "stream", "rng": 3, "record_every": 1}
    whole = train(rnn, draws, n_updates=9, **options).record
    for n_updates in (2, 5, 9):
        path = tmp_path / "run.npz"
        parts = train(rnn, draws, n_updates=n_updates, checkpoint=path, **options).record
        assert_array_equal(parts["loss"], whole["loss"][:, : n_updates + 1])


def test_a_network_that_left_the_range_is_measured_from_zero():
    """Its frozen weights are finite, the state that it reached is not."""
    big = rnnsim.RNN(*(np.array([[[w]], [[w]]]) for w in (1.0, 1.0, 1.0)), activation="linear")
    big = big.with_weights(big.weights._replace(W_hh=np.array([[[1.0]], [[1e200]]])))
    made = train(
        big, Impulse(), n_updates=3, carry="stream", learning_rate=0.0, rng=0, record_every=1
    )
    assert made.diverged.tolist() == [-1, 1]
    assert_array_equal(made.record["loss"][0], np.zeros(4))
    assert_array_equal(made.record["loss"][1, 1:], np.full(3, 5.0))


def test_omega_is_measured_with_a_penalty_and_nan_without():
    rnn = rnnsim.RNN.sample(3, n_inputs=2, n_hidden=4, n_outputs=3, rng=1)
    record = train(rnn, draws, n_updates=2, penalty=[0.0, 1e-3, 2.0], rng=0, record_every=1).record
    assert np.isnan(record["omega"][0]).all()
    assert (record["omega"][1:, 1:] > 0).all()
    assert "NaN without a penalty" in record["omega"].long_name


@pytest.mark.parametrize("classes", [True, False])
def test_losses_of_classes_are_in_nats_those_of_numbers_have_no_unit(classes):
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=2, rng=0)
    targets = np.zeros((4, 1), int) if classes else np.zeros((4, 1, 2))
    batch = rnnsim.Sequences(np.ones((4, 1, 2)), targets)
    record = rnnsim.train(rnn, batch, n_updates=1, snapshot_every=1).record
    assert record.loss.attrs["units"] == ("nats per sequence" if classes else "1")
    assert record.training_loss.attrs["units"] == ("nats per update" if classes else "1")
    for name in ("log_gradient_norm", "largest_log_gradient_norm", "log_norms", "window_log_error"):
        assert record[name].attrs["units"] == "nats"


def test_a_gradient_that_is_exactly_0_has_a_log_of_minus_infinity():
    """Units of relu at rest: the loss reaches h_t, and nothing before it."""
    rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=3, n_outputs=1, activation="relu", rng=0)
    rnn = rnn.with_weights(rnn.weights._replace(b_h=np.full((1, 3), -9.0)))
    batch = rnnsim.Sequences(np.zeros((4, 2, 1)), np.ones((4, 2, 1)))
    record = rnnsim.train(rnn, batch, n_updates=1, snapshot_every=1).record
    first = record.log_norms.isel(network=0, snapshot=0).values
    assert np.isfinite(first[0])
    assert (first[1:] == -np.inf).all()


def test_decoders_begin_where_encoders_end_and_nowhere_else():
    from pair_builders import pair_case

    made = pair_case()
    for carry in ("stream", "none"):
        with pytest.raises(ValueError, match=f"`carry` = '{carry}': decoders begin where"):
            train(made.model, made.pairs, n_updates=1, carry=carry)


def gated_networks(cell, n_layers):
    sizes = {"n_inputs": 2, "n_hidden": 3, "n_outputs": 3, "cell": cell, "rng": 0}
    return (
        rnnsim.Stack.sample(2, n_layers=n_layers, **sizes)
        if n_layers
        else rnnsim.RNN.sample(2, **sizes)
    )


@pytest.mark.parametrize("n_layers", [None, 1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_snapshots_measure_gates(cell, n_layers):
    test = draws(np.random.default_rng(1))
    made = train(
        gated_networks(cell, n_layers), draws, n_updates=2, snapshot_every=2, test=test, rng=0,
        max_lag=2,
    )  # fmt: skip
    layers = () if n_layers is None else ("layer",)
    assert made.record.gate_mean.dims == ("network", "snapshot", *layers, "gate")
    assert made.record.gate_time_scale.dims == ("network", "snapshot", *layers, "unit")
    assert made.record.gate_time_scale.units == "steps"
    assert made.record.gate_time_scale.long_name.endswith(
        "of each unit on the test data, descending"
    )
    found, last = rnnsim.gate_statistics(made.rnn, test), made.record.sel(snapshot=2)
    assert tuple(last.gate.values) == found.gates
    assert_array_equal(last.gate_mean, found.mean)
    assert_array_equal(last.gate_time_scale, np.flip(np.sort(found.time_scale, axis=-1), axis=-1))


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(("cell", "bias"), [("lstm", 2.0), ("gru", 1.0)])
def test_gates_that_hear_nothing_have_the_time_scale_of_their_bias(cell, bias, stacked):
    """-1/ln sigma(b), and sigma(b) for the gate itself, in every layer; nothing is learned."""
    blocks = {"lstm": 4, "gru": 4}[cell]
    b_h = np.zeros(3 * blocks)
    b_h[3:6] = bias
    rows = {"lstm": 12, "gru": 9}[cell]
    top = rnnsim.RNN(np.zeros((rows, 2)), np.zeros((rows, 3)), np.ones((3, 3)), b_h, cell=cell)
    model = top
    if stacked:
        below = rnnsim.RNN(top.W_xh, top.W_hh, b_h=b_h, cell=cell)
        over = rnnsim.RNN(np.zeros((rows, 3)), np.zeros((rows, 3)), np.ones((3, 3)), b_h, cell=cell)
        model = rnnsim.Stack([below, over])
    made = train(model, draws, n_updates=1, learning_rate=0.0, snapshot_every=1, rng=0, max_lag=1)
    f = 1 / (1 + np.exp(-bias))
    assert_allclose(made.record.gate_time_scale, -1 / np.log(f), rtol=1e-12)
    keeps = {"lstm": "f", "gru": "z"}[cell]
    assert_allclose(made.record.gate_mean.sel(gate=keeps), f, rtol=1e-12)


def test_gates_of_a_decoder_are_measured_behind_its_encoder():
    made = pair_case(N=2, H_e=4, activations=("lstm", "lstm"))
    trained = train(made.model, made.pairs, n_updates=1, snapshot_every=1, max_lag=1)
    encoder, target = trained.model.encoder, made.pairs.target
    read = rnnsim.forward(encoder, made.pairs.source)
    found = rnnsim.gate_statistics(
        trained.rnn, target, h0=read.outputs[:, -1], c0=read.memories[:, -1]
    )
    assert_allclose(trained.record.gate_mean[:, -1], found.mean, rtol=1e-13)


def test_gates_are_recorded_where_there_are_any():
    vanilla, gated = integrator(), gated_networks("lstm", None)
    options = {"n_updates": 1, "rng": 0, "max_lag": 1}
    message = "`gates` = True asks for a record of gates, got networks with cell='vanilla'"
    with pytest.raises(ValueError, match=message):
        train(vanilla, Impulse(), **options, gates=True, snapshot_every=1)
    with pytest.raises(ValueError, match="got no `snapshot_every`; give it"):
        train(gated, draws, **options, gates=True)
    with pytest.raises(TypeError, match="`gates` must be"):
        train(gated, draws, **options, gates="all")
    record = train(vanilla, Impulse(), **options, snapshot_every=1).record
    assert "gate_mean" not in record
    record = train(gated, draws, **options, snapshot_every=1, gates=False).record
    assert "gate_time_scale" not in record
    assert "gate_share" in record
    record = train(gated, draws, **options, snapshot_every=1, gates=True).record
    assert "gate_time_scale" in record
