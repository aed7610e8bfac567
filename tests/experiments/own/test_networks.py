"""Networks of one's own in experiments: in memory, in files, and what contradicts them."""

import json
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.experiments.draws import Data, Networks
from rnnsim.experiments.own.files import data_file
from rnnsim.experiments.own.networks import own_of

T, B = 24, 3
SIZES = {"n_inputs": 2, "n_hidden": 4, "n_outputs": 1, "rng": 0}
RNN = rnnsim.RNN.sample(3, **SIZES)
LSTM = rnnsim.RNN.sample(cell="lstm", forget_bias=1.0, **SIZES)
STACK = rnnsim.Stack.sample(2, n_layers=2, cell="gru", **SIZES)
MUTE = rnnsim.RNN(RNN.W_xh, RNN.W_hh, b_h=RNN.b_h)
BATCH = rnnsim.tasks.adding(T, B, rng=1)
FEW = {"measures": "gradients", "n_threads": 1}


@pytest.fixture
def saved(tmp_path):
    def save(rnn, name="mine.npz"):
        arrays = {key: array[0] for key, array in rnn.weights._asdict().items()}
        np.savez(tmp_path / name, cell=rnn.cell, **arrays)
        return tmp_path / name

    return save


@pytest.mark.parametrize("network", [RNN, LSTM, STACK], ids=["RNN", "LSTM", "Stack"])
def test_a_sweep_of_networks_is_what_backpropagation_says_of_them(network):
    data = rnnsim.sweep(BATCH, weights=network, **FEW).squeeze(drop=True)
    found = rnnsim.bptt(network, BATCH)
    assert_allclose(np.ravel(data.loss), found.loss, rtol=1e-13)
    norms = [np.linalg.norm([np.linalg.norm(g.W_hh[n]) for g in found.layers])
             for n in range(len(network))]  # fmt: skip
    assert_allclose(np.exp(np.ravel(data.log_gradient_norm)), norms, rtol=1e-12)


def test_a_network_says_what_it_is():
    data = rnnsim.sweep(BATCH, weights=STACK, **FEW)
    labels = {axis: data[axis].values.tolist() for axis in ("cell", "n_layers", "n_hidden")}
    assert labels == {"cell": ["gru"], "n_layers": [2], "n_hidden": [4]}
    assert data.scheme.values.tolist() == ["own"]
    assert data.gain.values.tolist() == [1.0]
    assert data.network_seed.values.tolist() == [0, 1]
    assert json.loads(data.attrs["configuration"])["weights"] == "Stack"
    where = json.loads(data.attrs["provenance"])
    assert where["weights.sha256"] == own_of(STACK).identity


def test_gain_scales_its_recurrent_weights():
    data = rnnsim.sweep(BATCH, weights=RNN, gain=[0.5, 2.0], network_seeds=[2, 0], **FEW)
    for gain in (0.5, 2.0):
        scaled = RNN.with_weights(RNN.weights._replace(W_hh=gain * RNN.W_hh))
        losses = rnnsim.bptt(scaled, BATCH).loss
        assert_allclose(data.loss.sel(gain=gain).squeeze(), losses[[2, 0]], rtol=1e-13)


def test_dtype_is_that_of_the_network_unless_told():
    single = RNN.astype("float32")
    batch = BATCH.astype("float32")
    data = rnnsim.sweep(batch, weights=single, **FEW)
    assert json.loads(data.attrs["configuration"])["dtype"] == "float32"
    assert_allclose(data.loss.squeeze(), rnnsim.bptt(single, batch).loss, rtol=1e-12)
    wide = rnnsim.sweep(BATCH, weights=single, dtype="float64", **FEW)
    assert_allclose(wide.loss.squeeze(), rnnsim.bptt(single.astype("float64"), BATCH).loss)


def test_a_file_is_the_network_in_it(saved):
    path = saved(LSTM)
    data = rnnsim.sweep(BATCH, weights=path, **FEW)
    assert_array_equal(data.loss.squeeze(), rnnsim.sweep(BATCH, weights=LSTM, **FEW).loss.squeeze())
    assert json.loads(data.attrs["configuration"])["weights"] == "mine.npz"
    assert own_of(path).identity == json.loads(data.attrs["provenance"])["weights.sha256"]
    assert_array_equal(
        rnnsim.sweep(BATCH, weights=str(path), activation="tanh", cell="lstm", **FEW).loss,
        data.loss,
    )
    again = pickle.loads(pickle.dumps(own_of(path)))
    assert_array_equal(again.network.W_hh, LSTM.W_hh)


def test_a_stack_of_one_layer_is_its_layer():
    one = rnnsim.Stack([LSTM])
    assert_array_equal(
        rnnsim.sweep(BATCH, weights=one, **FEW).loss, rnnsim.sweep(BATCH, weights=LSTM, **FEW).loss
    )


def test_it_reads_the_usual_task_where_sizes_fit_else_white_noise():
    usual = rnnsim.RNN.sample(n_inputs=6, n_hidden=3, n_outputs=4, rng=0)
    options = {"n_updates": 1, "snapshot_every": None, "record_every": None, "length": 10}
    data = rnnsim.training_sweep(weights=usual, **options)
    assert json.loads(data.attrs["configuration"])["task"] == "temporal_order"
    with pytest.raises(
        ValueError, match="'temporal_order' has 6 inputs a step and `weights` 'RNN'"
    ):
        rnnsim.training_sweep(weights=RNN, **options)
    noise = rnnsim.sweep(weights=RNN, length=9, batch_size=2, **FEW)
    assert noise.task.values.tolist() == ["white noise"]
    batch = Data(own_noise(), 9, 2, 0, "float64", own_of(RNN)).draw()
    assert batch.inputs.shape == (9, 2, 2)
    assert batch.loss_steps.size == 9
    assert_allclose(noise.loss.squeeze(), rnnsim.bptt(RNN, batch).loss, rtol=1e-13)


def own_noise():
    from rnnsim.experiments.own.data import Noise

    return Noise(2, 1)


def test_without_outputs_the_loss_is_a_random_linear_functional():
    data = rnnsim.sweep(BATCH, weights=MUTE, measures=("gradients", "lags"), n_threads=1)
    assert data.loss.isnull().all()
    batch = Data(_given(BATCH), T, B, 0, "float64", own_of(MUTE)).draw()
    drawn = batch.gradients.dL_dh * B
    assert drawn.shape == (T, B, 4)
    assert_array_equal(batch.loss_steps, BATCH.loss_steps)
    assert not drawn[: T - 1].any()  # adding has its loss at the last step
    assert 0.2 < np.std(drawn[-1]) < 2.0
    found = rnnsim.bptt(MUTE, batch)
    norms = np.log(np.linalg.norm(found.W_hh.reshape(3, -1), axis=1))
    assert_allclose(data.log_gradient_norm.squeeze(), norms, rtol=1e-12)
    name = data.task.values[0]
    where = json.loads(data.attrs["provenance"])
    assert where[f"{name}.functional"].startswith(
        "random linear functional of h: dl_t/dh_t from N(0, 1)"
    )
    last = rnnsim.sweep(BATCH, weights=MUTE, last_loss_only=True, **FEW)
    assert_allclose(last.log_gradient_norm, data.log_gradient_norm, rtol=1e-12)
    with pytest.raises(ValueError, match="`weights` 'RNN' has no readout, and training needs"):
        rnnsim.training_sweep(BATCH, weights=MUTE)


def test_the_functional_is_standard_normal_and_weighted():
    long = rnnsim.Sequences(np.zeros((500, 2, 2)), np.zeros((500, 2, 1)), np.full((500, 2), 0.5))
    drawn = Data(_given(long), 500, 2, 0, "float64", own_of(MUTE)).draw().gradients.dL_dh
    xi = drawn * 2 / 0.5  # B over the weight
    assert abs(xi.mean()) < 4 / np.sqrt(xi.size)
    assert abs(xi.var() - 1) < 4 * np.sqrt(2 / xi.size)
    other = Data(_given(long), 500, 2, 1, "float64", own_of(MUTE)).draw().gradients.dL_dh
    assert not np.array_equal(drawn, other)


def _given(batch):
    from rnnsim.experiments.own.data import source_of

    return source_of(batch)


IDS = rnnsim.Sequences(np.zeros((5, 2, 2)), np.full((5, 2), 3))
THREE = rnnsim.Sequences(np.zeros((5, 2, 2)), np.zeros((5, 2, 3)))
WIDE = rnnsim.Sequences(np.zeros((5, 2, 7)), np.zeros((5, 2, 1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_hidden": 64}, "`n_hidden` must be 4, as `weights` 'RNN' has it, got 64; leave it out"),
        ({"n_hidden": [4, 8]}, r"`n_hidden` must be 4, .* got \[4, 8\]"),
        ({"cell": "lstm"}, "`cell` must be 'vanilla', as `weights` 'RNN' has it, got 'lstm'"),
        ({"n_layers": 2}, "`n_layers` must be 1, as `weights`"),
        ({"activation": "relu"}, "`activation` must be 'tanh', as `weights`"),
        ({"scheme": "gaussian"}, "`scheme` says how networks are drawn, and `weights` 'RNN' stan"),
        ({"forget_bias": 1.0}, "`forget_bias` says how networks are drawn"),
        ({"network_seeds": 4}, "`network_seeds` counts the networks of `weights` .* are 3, from 0"),
        ({"network_seeds": [3]}, r"`network_seeds` counts .* got \[3\]"),
        ({"task": WIDE}, "`task` 'data .*' has 7 inputs a step and `weights` 'RNN' reads 2"),
        ({"task": IDS}, "`task` .* class ids up to 3 as targets and `weights` 'RNN' has 1 outputs"),
        ({"task": THREE}, "`task` .* targets of 3 numbers and `weights` 'RNN' has 1 outputs"),
        ({"task": "characters", "length": 5}, "`task` 'characters' has .* inputs a step and"),
        ({"weights": 3}, "`weights` must be a rnnsim.RNN, a rnnsim.Stack or the path .* got 3"),
        ({"weights": "absent.npz"}, "`weights` 'absent.npz' does not exist"),
        ({"weights": None}, "`gain` must be"),
    ],
)
def test_what_contradicts_it_is_refused(options, message):
    given = {"task": BATCH, "weights": RNN, "n_threads": 1} | options
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        rnnsim.sweep(given.pop("task"), **given)


@pytest.mark.parametrize(
    "options",
    [{"n_hidden": 4}, {"n_hidden": [4]}, {"cell": "vanilla"}, {"forget_bias": 0.0},
     {"scheme": "own"}, {"network_seeds": 3}, {"network_seeds": range(3)}],
)  # fmt: skip
def test_what_agrees_with_it_may_be_said(options):
    data = rnnsim.sweep(BATCH, weights=RNN, **FEW, **options)
    assert_allclose(data.loss.squeeze(), rnnsim.bptt(RNN, BATCH).loss, rtol=1e-13)


ALL = {
    "cell_sweep": {},
    "depth_sweep": {},
    "step_sweep": {},
    "jacobian_sweep": {"exponent_steps": 23},
    "lyapunov_sweep": {},
    "training_sweep": {"n_updates": 1, "record_every": 1, "snapshot_every": None},
    "bias_variance_sweep": {"n_updates": 1, "n_batches": 2, "batch_size": 2},
    "portrait": {},
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("network", [RNN[1], LSTM, STACK[0]], ids=["RNN", "LSTM", "Stack"])
def test_every_experiment_takes_networks(name, network):
    data = getattr(rnnsim, name)(task=BATCH, weights=network, n_threads=1, **ALL[name])
    settings = json.loads(data.attrs["configuration"])
    kind = "Stack" if isinstance(network, rnnsim.Stack) else "RNN"
    assert settings["weights"] == kind
    assert np.ravel(settings["n_hidden"]) == [4]
    where = json.loads(data.attrs["provenance"])
    assert where["weights.sha256"] == own_of(network).identity


def test_depth_and_cells_have_one_place_for_it():
    deep = rnnsim.depth_sweep(BATCH, weights=STACK, n_threads=1)
    assert deep.n_layers.values.tolist() == [2]
    found = rnnsim.lyapunov_spectrum(STACK, BATCH.inputs, n_threads=1)
    assert_allclose(deep.exponent.squeeze(), found.exponents, rtol=1e-10)
    cells = rnnsim.cell_sweep(BATCH, weights=LSTM, n_threads=1)
    assert cells.start.values.tolist() == ["own"]
    assert cells.cell.values.tolist() == ["lstm"]
    assert cells.theory_log_norm.isnull().all()
    gates = rnnsim.gate_statistics(LSTM, BATCH, exponents=True, n_threads=1)
    assert_allclose(cells.predicted_exponent.squeeze(), gates.predicted_exponents[0])


def test_training_starts_from_it():
    options = {"n_updates": 3, "record_every": 1, "snapshot_every": None, "n_threads": 1}
    data = rnnsim.training_sweep(BATCH, weights=RNN, clip_norm=0, batch_size=B, **options)
    trained = rnnsim.train(
        RNN, BATCH, n_updates=3, optimizer="adam", learning_rate=0.003, test=BATCH, rng=0,
        record_every=1, n_threads=1,
    )  # fmt: skip
    assert_allclose(data.loss.squeeze(), trained.record.loss, rtol=1e-12)


def test_a_portrait_is_of_the_network_that_the_seed_names():
    data = rnnsim.portrait(BATCH, weights=RNN, seed=2, n_threads=1)
    values = np.linalg.svd(RNN.W_hh[2], compute_uv=False)
    assert_allclose(data.singular_values, values)
    twice = rnnsim.portrait(BATCH, weights=RNN, seed=2, gain=2.0, n_threads=1)
    assert_allclose(twice.singular_values, 2 * values)
    with pytest.raises(ValueError, match="`seed` counts the networks of `weights` 'RNN'"):
        rnnsim.portrait(BATCH, weights=RNN, seed=3)


def test_class_ids_go_through_the_embedding(tmp_path):
    table = np.random.default_rng(0).standard_normal((6, 2))
    first = RNN[0]
    rnn = rnnsim.RNN(*first.weights, embedding=table[None])
    ids = np.random.default_rng(1).integers(0, 6, (T, B))
    targets = np.random.default_rng(2).standard_normal((T, B, 1))
    np.savez(tmp_path / "ids.npz", inputs=ids, targets=targets)
    data = rnnsim.sweep(data_file(tmp_path / "ids.npz"), weights=rnn, length=T, **FEW)
    batch = rnnsim.Sequences(table[ids], targets)
    assert_allclose(data.loss.squeeze(), rnnsim.bptt(first, batch).loss[0], rtol=1e-13)
    np.savez(tmp_path / "more.npz", inputs=ids + 1, targets=targets)
    with pytest.raises(ValueError, match=r"class ids 0..5 of the embedding of `network`, got 6"):
        rnnsim.sweep(data_file(tmp_path / "more.npz"), weights=rnn, length=T, **FEW)


def test_what_is_drawn_is_what_it_was():
    plain = Networks((3,), (1.5,), (2, 1), 4, "gaussian", "tanh", "float64")
    assert plain.own is None
    own = plain._replace(own=own_of(RNN), seeds=(1,))
    assert_allclose(own.draw().W_hh, 1.5 * RNN.W_hh[[1]])


def test_ids_beyond_the_outputs_are_refused_wherever_they_stand():
    targets = np.zeros((5, 200), int)
    targets[4, 199] = 4
    batch = rnnsim.Sequences(np.zeros((5, 200, 2)), targets)
    four = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=4, rng=0)
    message = "class ids up to 4 as targets and `weights` 'RNN' has 4 outputs"
    with pytest.raises(ValueError, match=message):
        rnnsim.training_sweep(batch, weights=four, n_updates=1)
    with pytest.raises(ValueError, match=message):
        rnnsim.sweep(batch, weights=four, batch_size=2, **FEW)
