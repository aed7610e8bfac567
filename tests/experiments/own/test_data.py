"""Data of one's own in experiments: batches, functions, files, and what of them is refused."""

import functools
import importlib
import json
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.experiments.draws import Data, Networks
from rnnsim.experiments.own.data import Given, Made, label_of, sizes_of, source_of
from rnnsim.experiments.own.files import data_file, fitting

T, B, D = 24, 6, 3
RNG = np.random.default_rng(5)
FLOATS = rnnsim.Sequences(
    RNG.standard_normal((T, B, D)), RNG.standard_normal((T, B, 2)), provenance={"from": "a drawer"}
)
IDS = rnnsim.Sequences(RNG.standard_normal((T, B, D)), RNG.integers(0, 5, (T, B)))
LATE = rnnsim.Sequences(
    FLOATS.inputs, FLOATS.targets, (np.arange(T) >= 12)[:, None] * np.ones((T, B))
)
FEW = {"n_hidden": 4, "network_seeds": 2, "n_threads": 1}
SEEN = "edits of the function"


def mine(length, n_sequences, rng):
    x = rng.standard_normal((length, n_sequences, D))
    return rnnsim.Sequences(x, rng.integers(0, 3, (length, n_sequences)))


def shorter(length, n_sequences, rng):
    return mine(length - 1, n_sequences, rng)


def no_sequences(length, n_sequences, rng):
    return np.zeros((length, n_sequences))


def wider_later(length, n_sequences, rng):
    x = np.zeros((length, n_sequences, 2 if length < 10 else 3))
    return rnnsim.Sequences(x, np.zeros((length, n_sequences, 1)))


def sweep(task, **options):
    return rnnsim.sweep(task, **{"gain": [0.5, 1.5], "measures": "gradients"} | FEW | options)


def test_a_sweep_of_a_batch_is_what_backpropagation_says_of_it():
    data = sweep(FLOATS)
    (name,) = data.task.values
    assert name == f"data {source_of(FLOATS).identity[:8]}"
    assert (data.length.values, data.sizes["data_seed"]) == ([T], 1)
    for gain in (0.5, 1.5):
        for seed in (0, 1):
            found = rnnsim.bptt(_network(seed, gain), FLOATS)
            here = data.sel(gain=gain, network_seed=seed).squeeze()
            assert_allclose(here.loss, found.loss[0], rtol=1e-13)
            norm = np.linalg.norm(found.W_hh[0])
            assert_allclose(here.log_gradient_norm, np.log(norm), rtol=1e-12)
    where = json.loads(data.attrs["provenance"])
    assert where[f"{name}.from"] == "a drawer"
    assert where[f"{name}.data"] == f"sha256 {source_of(FLOATS).identity}"


def _network(seed, gain, sizes=(D, 2)):
    return Networks((seed,), (gain,), sizes, 4, "gaussian", "tanh", "float64").draw()


def test_fewer_steps_are_the_first_and_fewer_sequences_are_drawn_in_order():
    source = source_of(IDS)
    whole = source.draw(7, B, np.random.default_rng(0), dtype="float64")
    assert_array_equal(whole.inputs, IDS.inputs[:7])
    some = source.draw(7, 3, np.random.default_rng(0), dtype="float32")
    at = [np.flatnonzero((IDS.inputs[0] == x).all(axis=1)) for x in _wide(source, 7, 3)]
    assert some.dtype == np.float32
    assert np.ravel(at).tolist() == sorted(set(np.ravel(at).tolist()))
    assert len(np.ravel(at)) == 3


def _wide(source, length, number):
    return source.draw(length, number, np.random.default_rng(0), dtype="float64").inputs[0]


def test_some_sequences_are_the_same_at_every_length_and_others_for_another_seed():
    source = source_of(FLOATS)
    draw = {
        (length, seed): Data(source, length, 3, seed, "float64").draw().inputs
        for length in (5, 9)
        for seed in (0, 1)
    }
    assert_array_equal(draw[5, 0], draw[9, 0][:5])
    assert not np.array_equal(draw[5, 0], draw[5, 1])


def test_order_of_values_changes_nothing():
    one = sweep([FLOATS, LATE], length=[14, 20], gain=[0.5, 1.5])
    other = sweep([LATE, FLOATS], length=[20, 14], gain=[1.5, 0.5])
    like = {axis: one[axis] for axis in ("task", "length", "gain")}
    assert_array_equal(one.loss, other.loss.sel(like))
    assert one.loss.notnull().all()


def test_networks_have_as_many_outputs_as_there_are_ids_in_all_of_the_data():
    few = rnnsim.Sequences(IDS.inputs, np.where(np.arange(T)[:, None] < 20, 1, IDS.targets))
    assert sizes_of(few) == (D, 5)
    assert source_of(few).sizes(few) == (D, 5)
    assert_allclose(
        sweep(few, length=10, network_seeds=1, gain=1.0).loss.item(),
        rnnsim.bptt(
            _network(0, 1.0, (D, 5)), rnnsim.Sequences(few.inputs[:10], few.targets[:10])
        ).loss[0],
        rtol=1e-13,
    )
    ignored = rnnsim.Sequences(IDS.inputs, np.full((T, B), 7), np.zeros((T, B)))
    assert sizes_of(ignored) == (D, 1)


def test_identities_tell_data_apart_and_survive_a_pickle():
    changed = rnnsim.Sequences(FLOATS.inputs, FLOATS.targets, 0.5 * FLOATS.weights)
    sources = [source_of(each) for each in (FLOATS, IDS, LATE, changed)]
    assert len({source.identity for source in sources}) == 4
    assert source_of(FLOATS).identity == source_of(FLOATS.astype("float64")).identity
    ones = np.ones((T, B, 4))
    of_y = rnnsim.Sequences.from_gradients(FLOATS.inputs, dL_dy=ones)
    of_h = rnnsim.Sequences.from_gradients(FLOATS.inputs, dL_dh=ones)
    assert source_of(of_y).identity != source_of(of_h).identity
    again = pickle.loads(pickle.dumps(sources[0]))
    assert isinstance(again, Given)
    assert again.identity == sources[0].identity
    assert_array_equal(again.sequences.inputs, FLOATS.inputs)
    with pytest.warns(UserWarning, match=SEEN):
        made = source_of(mine)
    assert pickle.loads(pickle.dumps(made)) == Made(mine)
    assert label_of(made) == made.identity == f"{mine.__module__}.mine"


def test_a_function_is_called_with_sizes_and_draws_by_the_data_seed():
    with pytest.warns(UserWarning, match=SEEN):
        data = sweep(mine, length=[8, 12], batch_size=3, data_seeds=2)
    assert data.loss.notnull().all()
    assert not np.array_equal(data.loss.isel(data_seed=0), data.loss.isel(data_seed=1))
    with pytest.warns(UserWarning, match=SEEN):
        again = sweep(mine, length=12, batch_size=3, data_seeds=[1])
    assert_array_equal(again.loss.squeeze(), data.loss.sel(length=12, data_seed=1).squeeze())


LAMBDA = lambda length, n_sequences, rng: FLOATS  # noqa: E731


class Callable:
    def __call__(self, length, n_sequences, rng):
        return FLOATS

    def method(self, length, n_sequences, rng):
        return FLOATS


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (lambda length, n_sequences, rng: FLOATS, "`task` must be .*lambda.*top level of a module"),
        (LAMBDA, "`task` must be .*cannot be imported by that name"),
        (functools.partial(mine, 3), "cannot be imported by that name"),
        (Callable(), "cannot be imported by that name"),
        (Callable().method, "cannot be imported by that name"),
        (Callable, "takes other arguments"),
        (rnnsim.tasks.adding, "takes other arguments"),
        (12, "`task` must be a name of rnnsim.tasks, a rnnsim.Sequences, or a function .* got 12"),
        (
            rnnsim.Sequences(np.zeros((2, 8, 3, 2)), np.zeros((2, 8, 3, 1))),
            "`task` must be one batch that all networks read, .* N = 2",
        ),
    ],
)
def test_what_cannot_travel_is_refused(task, message):
    with pytest.raises((ValueError, TypeError), match=message):
        sweep(task, length=5)


def test_a_local_function_is_refused():
    def local(length, n_sequences, rng):
        return FLOATS

    with pytest.raises(ValueError, match="local function"):
        sweep(local, length=5)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (FLOATS, {"length": T + 1}, f"`length` must be at most {T}, .*{T} steps of {B} sequences"),
        (FLOATS, {"batch_size": B + 1}, f"`batch_size` must be at most {B}, .* got {B + 1}"),
        (LATE, {"length": 12}, "`task` has no loss in its first 12 steps; give a larger `length`"),
        (FLOATS, {"data_seeds": 2}, f"`data_seeds` must be one where .* same {B} sequences, got 2"),
        (FLOATS, {"task_options": {"a": 1}}, "`task_options` are keywords of named tasks"),
        ([FLOATS, FLOATS], {}, "`task` must hold at least one value and none twice"),
        ([FLOATS, "nothing"], {"length": 3}, "`task` must be one of .*'nothing'"),
    ],
)
def test_more_than_there_is_is_refused(task, options, message):
    with pytest.raises(ValueError, match=message):
        sweep(task, **options)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (shorter, r"shorter\(9, 2, rng\) returned 8 steps of 2 sequences"),
        (no_sequences, r"`task` must return a rnnsim.Sequences, .*no_sequences returned .*ndarray"),
        (wider_later, "`task` .*wider_later must have as many inputs in every batch, got 2 and 3"),
    ],
)
@pytest.mark.filterwarnings(f"ignore:.*{SEEN}")
def test_what_a_function_returns_is_checked(task, message):
    with pytest.raises(ValueError, match=message):
        sweep(task, length=[9, 12] if task is wider_later else 9, batch_size=2)


def test_derivatives_are_read_whole_and_have_no_loss():
    inputs = FLOATS.inputs
    given = rnnsim.Sequences.from_gradients(inputs, dL_dh=RNG.standard_normal((T, B, 4)))
    data = sweep(given)
    assert data.loss.isnull().all()
    assert_allclose(
        data.sel(gain=1.5, network_seed=1).log_gradient_norm.item(),
        np.log(np.linalg.norm(rnnsim.bptt(_network(1, 1.5, (D, 0)), given).W_hh)),
        rtol=1e-12,
    )
    with pytest.raises(
        ValueError, match=r"`task` made by Sequences.from_gradients must be read wh"
    ):
        sweep(given, length=5)
    with pytest.raises(ValueError, match=r"`task` made by Sequences.from_gradients has no loss"):
        rnnsim.training_sweep(given, n_updates=1)


OTHERS = {
    "cell_sweep": {"forget_bias": 0.0},
    "depth_sweep": {"n_layers": [1, 2]},
    "step_sweep": {"gain": 1.0, "scheme": "gaussian"},
    "jacobian_sweep": {"gain": 1.0, "scheme": "gaussian", "exponent_steps": 23},
    "normality_sweep": {"scale": 1.0},
    "lyapunov_sweep": {"gain": 1.0},
    "training_sweep": {"n_updates": 2, "record_every": 1, "snapshot_every": None},
    "bias_variance_sweep": {"n_updates": 1, "n_batches": 2, "batch_size": 2},
    "learning_sweep": {"n_updates": 1, "test_size": 50, "methods": ("SGD",), "batch_size": 2},
}
_THREADS = {"n_hidden": 3, "network_seeds": 1, "n_threads": 1}


@pytest.mark.parametrize("name", OTHERS)
def test_every_experiment_takes_a_batch(name):
    batch = IDS if name == "learning_sweep" else FLOATS
    data = getattr(rnnsim, name)(task=batch, **OTHERS[name], **_THREADS)
    settings = json.loads(data.attrs["configuration"])
    assert settings["task"] == source_of(batch).label
    length = settings.get("length", settings.get("n_steps", data.get("length")))
    assert np.ravel(length) == [T]
    if "batch_size" in settings and "batch_size" not in OTHERS[name]:
        assert settings["batch_size"] == B
    assert source_of(batch).identity in data.attrs["provenance"]


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.filterwarnings(f"ignore:.*{SEEN}")
def test_every_experiment_takes_a_function(name):
    sizes = (
        {"n_steps": 24, "burn_in": 2, "block_steps": 1}
        if name == "lyapunov_sweep"
        else {"length": 24}
    )
    options = OTHERS[name] | {"batch_size": 2} | sizes
    data = getattr(rnnsim, name)(task=mine, **options, **_THREADS)
    assert json.loads(data.attrs["configuration"])["task"] == f"{mine.__module__}.mine"


def test_exponents_are_those_of_the_batch_and_of_nothing_where_told():
    options = {"gain": 1.2, "n_hidden": 4, "network_seeds": 1, "n_threads": 1}
    data = rnnsim.lyapunov_sweep(task=FLOATS, **options)
    rnn = _network(0, 1.2)
    found = rnnsim.lyapunov_spectrum(rnn, FLOATS.inputs, n_threads=1)
    assert_allclose(data.lyapunov_exponent.squeeze(), found.exponents[0], rtol=1e-12)
    alone = rnnsim.lyapunov_sweep(task=FLOATS, driven=False, **options)
    assert alone.input_variance.item() == 0
    assert alone.attrs["provenance"] == "{}"


def test_training_learns_from_some_and_is_measured_on_all():
    options = {"n_updates": 1, "record_every": 1, "snapshot_every": None, "gain": 1.0} | FEW
    data = rnnsim.training_sweep(FLOATS, batch_size=2, **options)
    first = data.loss.isel(updates=0).sel(network_seed=1).item()
    assert_allclose(first, rnnsim.bptt(_network(1, 1.0), FLOATS).loss[0], rtol=1e-13)
    with pytest.raises(ValueError, match=f"`batch_size` must be at most {B}"):
        rnnsim.training_sweep(FLOATS, batch_size=B + 1, **options)
    with pytest.raises(ValueError, match=f"`batch_size` must be below {B}, the sequences"):
        rnnsim.bias_variance_sweep(FLOATS, batch_size=B)


def test_windows_of_a_stream_differ(tmp_path):
    np.savetxt(tmp_path / "stream.csv", RNG.standard_normal((50, 2)), "%.17g", ",", header="a,b")
    source = data_file(tmp_path / "stream.csv")
    assert (source.label, source.longest, source.n_sequences) == ("stream.csv", 49, None)
    assert fitting(source, 100, 16) == (49, 1)
    assert fitting(source, (10, 30, 100), 16) == ((10, 30, 49), 1)
    assert fitting(source, 10, 16) == (10, 4)
    assert fitting(source, 100, 16, batches=True) == (24, 16)
    with pytest.raises(ValueError, match="`batch_size` must be 1 where a window is all 49 steps"):
        sweep(source, length=49, batch_size=2)
    data = sweep(source, length=12)
    assert json.loads(data.attrs["configuration"])["batch_size"] == 4
    assert data.task.values == ["stream.csv"]
    rng = np.random.default_rng(0)
    again = pickle.loads(pickle.dumps(source)).draw(12, 2, rng, dtype="float64")
    assert_array_equal(again.targets[:-1], again.inputs[1:])


def test_data_of_one_network_are_as_good_as_shared():
    one = rnnsim.Sequences(FLOATS.inputs[None], FLOATS.targets[None], FLOATS.weights[None])
    assert_array_equal(sweep(one).loss, sweep(FLOATS).loss)
    assert source_of(one).identity == source_of(FLOATS).identity


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_data_are_converted_to_the_dtype_of_a_sweep(name):
    data = sweep(FLOATS.astype("float32"), dtype=name, gain=1.0, network_seeds=1)
    rnn = _network(0, 1.0).astype(name)
    found = rnnsim.bptt(rnn, FLOATS.astype("float32").astype(name))
    assert_allclose(data.loss.item(), found.loss[0], rtol=1e-6 if name == "float32" else 1e-13)


STUDIES = {
    "sweep": "sweeps.gradients", "cell_sweep": "sweeps.cells", "depth_sweep": "depth",
    "step_sweep": "steps", "jacobian_sweep": "sweeps.jacobians",
    "normality_sweep": "sweeps.normality", "lyapunov_sweep": "sweeps.exponents",
    "training_sweep": "sweeps.training", "bias_variance_sweep": "sweeps.bias_variance",
    "learning_sweep": "sweeps.learning",
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.filterwarnings(f"ignore:.*{SEEN}")
def test_all_jobs_can_be_sent_elsewhere(name, monkeypatch):
    """What a job measures after a pickle is what it measured, to the bit."""
    studies = []

    def caught(study, **_):
        studies.append(study)

    module = importlib.import_module(f"rnnsim.experiments.{STUDIES[name]}")
    monkeypatch.setattr(module, "run", caught)
    options = OTHERS.get(name, {"gain": 1.0}) | {"batch_size": 2, "n_hidden": 3}
    sizes = (
        {"n_steps": 24, "burn_in": 2, "block_steps": 1} if "lyapunov" in name else {"length": 24}
    )
    for task in (IDS, mine):
        getattr(rnnsim, name)(task=task, network_seeds=1, **options, **sizes)
    for study in studies:
        _, job = study.jobs[-1]
        here, there = study.measure(job, 1), study.measure(pickle.loads(pickle.dumps(job)), 1)
        for variable, values in here.items():
            assert_array_equal(values, there[variable])
