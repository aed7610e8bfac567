"""Studies: jobs are plain data, datasets say what made them, one runner fills them."""

import json
import multiprocessing
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

import numpy as np
import pytest
from every_study import FEW, SHORT, STUDIES
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim import experiments, progress
from rnnsim.data.datasets import AXES, Variable
from rnnsim.experiments import draws, runner
from rnnsim.experiments.runner import run
from rnnsim.experiments.study import Memory, Study, check_memory, measured
from rnnsim.experiments.sweeps import gradients

MODULES = [  # all that hand a study to the runner
    module
    for module in (
        import_module(info.name)
        for info in pkgutil.walk_packages(experiments.__path__, f"{experiments.__name__}.")
    )
    if hasattr(module, "run") and hasattr(module, "Study") and module is not runner
]


@pytest.fixture(scope="module")
def elsewhere():
    """One spawned process: nothing of this one is there but what is sent."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=STUDIES)
def studied(request, monkeypatch):
    """The dataset of a study, and the study as it was handed to the runner."""
    found = []

    def recorded(study, **options):
        found.append(study)
        return run(study, **options)

    for module in MODULES:
        monkeypatch.setattr(module, "run", recorded)
    dataset = STUDIES[request.param]()
    (study,) = found
    return dataset, study


def test_a_job_gives_the_same_bits_in_another_process(studied, elsewhere):
    dataset, study = studied
    assert study.jobs
    for _, job in study.jobs:
        here = study.measure(pickle.loads(pickle.dumps(job)), 1)
        there = elsewhere.submit(study.measure, job, 2).result()
        assert list(here) == list(there)
        for name, array in here.items():
            assert array.dtype == there[name].dtype
            assert array.tobytes() == there[name].tobytes(), name
    assert set(dataset.data_vars) | {"examples", "best_cell"} >= set(measured(study))


def test_every_dataset_says_its_settings_origin_versions_units_and_names(studied):
    dataset, study = studied
    attributes = {name: json.loads(dataset.attrs[name]) for name in
                  ("configuration", "provenance", "versions")}  # fmt: skip
    assert attributes["configuration"]
    assert attributes["provenance"] == study.provenance
    assert {"python", "numba", "numpy", "rnnsim-toolkit"} <= set(attributes["versions"])
    for name, array in dataset.data_vars.items():
        assert array.attrs["units"], name
        assert len(array.attrs["long_name"]) > 3, name
        assert array.dims == study.variables[name].dims
        assert array.dtype == study.variables[name].dtype
    for axis in set(dataset.coords) & set(AXES):
        assert dataset[axis].attrs["units"]


def test_data_have_an_origin(studied):
    dataset, study = studied
    settings = json.loads(dataset.attrs["configuration"])
    at_rest = not settings.get("driven", True)
    silent = at_rest or study.name in ("pseudospectra", "phase diagram")  # no task is read
    assert bool(study.provenance) != silent, "a study of data says where these come from"


def test_initial_states_are_drawn_with_the_data_seed():
    first, again, other = (
        rnnsim.lyapunov_sweep(**SHORT, block_steps=2, data_seed=seed) for seed in (0, 0, 1)
    )
    assert_array_equal(first.lyapunov_exponent, again.lyapunov_exponent)
    assert (first.lyapunov_exponent != other.lyapunov_exponent).any()
    expected = np.random.default_rng([3, 4, 7]).standard_normal((3, 4))
    assert_array_equal(draws.initial_states(7, 3, 4, "float64"), expected)


# The runner alone.


def times(job, n_threads):
    """Of a job (numbers, factor): all of them times the factor, as many as there are."""
    numbers, factor = job
    return {
        "product": factor * np.array(numbers, float),
        "factor": np.array(factor),
        "threads": np.array(n_threads),
    }


VARIABLES = {
    "product": Variable(("row", "column"), "1", "product"),
    "factor": Variable(("row",), "1", "factor", np.int64),
    "threads": Variable((), "1", "threads"),
}


def study_of(jobs, **changes):
    axes = {"row": ("a", "b", "c"), "column": (10, 20)}
    return Study("products", axes, VARIABLES, jobs, times, {"n": 3})._replace(**changes)


def test_results_go_to_their_places_and_the_rest_is_missing():
    data = run(study_of([({"row": 2}, ([1, 2], 3)), ({"row": 0}, ([5], 2))]), n_threads=7)
    assert_array_equal(data["product"], [[10, np.nan], [np.nan, np.nan], [3, 6]])
    assert_array_equal(data["factor"], [2, -1, 3])
    assert data["factor"].dtype == np.int64
    assert float(data["threads"]) == 7
    assert data.row.values.tolist() == ["a", "b", "c"]
    assert json.loads(data.attrs["configuration"]) == {"n": 3}


def both(job, n_threads):
    return {"product": np.array(job, float)}


def test_a_place_of_several_tuples_is_filled_along_one_axis():
    job = ({"row": (2, 0, 2), "column": (0, 1, 1)}, [1, 2, 3])
    few = {"product": VARIABLES["product"]}
    data = run(study_of([job], measure=both, variables=few))
    assert_array_equal(data["product"], [[np.nan, 2], [np.nan, np.nan], [1, 3]])


def test_an_axis_may_have_a_number_of_entries_and_a_meaning_of_its_own():
    axes = {"row": 3, "column": (10, 20)}
    variables = VARIABLES | {"column": Variable(("column",), "m", "distance")}
    data = run(study_of([({"row": 0}, ([1, 2], 1))], axes=axes, variables=variables))
    assert "row" not in data.coords
    assert data.column.attrs == {"units": "m", "long_name": "distance"}
    assert "column" not in data.data_vars


def test_what_takes_too_much_is_refused_with_what_takes_how_much():
    study = study_of([], memory=Memory(job=1e9, thread=2e9, advice="ask for less"))
    message = (
        r"the products needs about 5 GB \(dataset 8e-08, results of a job 1, workspaces of 2 "
        r"threads 4\), more than `max_memory` = 4 GB; ask for less"
    )
    with pytest.raises(MemoryError, match=message):
        check_memory(study, 2, 4e9)
    check_memory(study, 2, 6e9)
    for limit, kind in ((0, ValueError), (None, TypeError)):
        with pytest.raises(kind, match="`max_memory` must be a"):
            check_memory(study, 2, limit)
    with pytest.raises(ValueError, match="`n_threads` must be at least 1"):
        check_memory(study, 0, 6e9)


def test_what_takes_too_much_is_refused_before_its_jobs_are_listed(monkeypatch):
    monkeypatch.setattr(gradients, "_jobs", lambda *_: pytest.fail("listed"))
    with pytest.raises(MemoryError, match="the sweep needs about"):
        rnnsim.sweep("adding", gain=1.0, length=5, data_seeds=1000, max_memory=1e4)


class Bars:
    """A stand-in for tqdm that remembers."""

    def __init__(self):
        self.made = []

    def __call__(self, **options):
        self.made.append(options | {"units": 0})
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def update(self, units):
        self.made[-1]["units"] += units


@pytest.fixture
def bars(monkeypatch):
    made = Bars()
    monkeypatch.setattr("tqdm.auto.tqdm", made)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    return made


def test_one_bar_counts_the_jobs(bars):
    jobs = [({"row": i}, ([i], i)) for i in range(3)]
    run(study_of(jobs))
    assert bars.made == []
    run(study_of(jobs), progress=True)
    (made,) = bars.made
    assert (made["total"], made["units"], made["desc"]) == (3, 3, "products")
    assert made["disable"] is None  # only on a terminal


def asks(job, n_threads):
    return {"threads": np.array(float(progress.asked()))}


@pytest.mark.parametrize("asked", [False, True])
def test_jobs_know_whether_progress_was_asked_for(asked, bars):
    few = {"threads": VARIABLES["threads"]}
    data = run(study_of([({}, None)], measure=asks, variables=few), progress=asked)
    assert bool(data["threads"]) == asked
    assert len(bars.made) == asked
    assert not progress.asked()


def fails(job, n_threads):
    raise KeyboardInterrupt


def test_an_interrupted_study_leaves_no_trace(bars):
    with pytest.raises(KeyboardInterrupt):
        run(study_of([({}, None)], measure=fails), progress=True)
    assert not progress.asked()


def test_a_training_within_a_study_shows_its_updates(bars):
    rnnsim.training_sweep("adding", length=8, n_updates=3, gain=1.0, progress=True, **FEW)
    jobs, updates = bars.made
    assert (jobs["total"], jobs["unit"]) == (1, "job")
    assert (updates["total"], updates["unit"]) == (3, "update")
    assert jobs["units"] + updates["units"] == 4
    assert updates["leave"] is None  # a bar within another goes when it is full


@pytest.mark.parametrize("series", [range(1, 4), (1, 2, 3), np.arange(1, 4)])
def test_series_of_all_kinds_are_recorded_alike(series):
    data = rnnsim.window_sweep(
        length=6, delay=2, windows=series, network_seeds=series, n_batches=1, n_hidden=np.int64(3)
    )
    settings = json.loads(data.attrs["configuration"])
    assert settings["windows"] == settings["network_seeds"] == [1, 2, 3]
    assert settings["n_hidden"] == 3
    data = rnnsim.training_sweep(
        "adding", length=6, gain=series, network_seeds=1, n_updates=1, n_hidden=np.int64(3)
    )
    assert json.loads(data.attrs["configuration"])["gain"] == [1, 2, 3]


def test_training_without_records_or_snapshots():
    sizes = {"length": 6, "gain": 1.0, "n_updates": 3} | FEW
    data = rnnsim.training_sweep("adding", **sizes, record_every=None, snapshot_every=None)
    assert data.updates.values.tolist() == [0, 3]
    assert not {"eigenvalues", "log_norms", "snapshot", "lag"} & set(data.variables)
    full = rnnsim.training_sweep("adding", **sizes, record_every=1, snapshot_every=9)
    assert full.snapshot.values.tolist() == [0, 3]
    assert_array_equal(data.loss, full.loss.sel(updates=[0, 3]))
    with pytest.raises(TypeError, match="`n_hidden` must be an integer"):
        rnnsim.training_sweep("adding", **sizes | {"n_hidden": 4.0})
    with pytest.raises(ValueError, match="`data_seed` must be at least 0"):
        rnnsim.training_sweep("adding", **sizes, data_seed=-1)


def test_settings_that_cannot_be_written_are_refused_before_the_first_job():
    study = study_of([({}, None)], measure=fails, configuration={"task": print})
    with pytest.raises(TypeError, match="not JSON serializable"):
        run(study)


def test_every_study_is_among_them():
    names = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert names >= set("gradients exponents jacobians normality learning windows training".split())
    assert names >= {"portrait", "experiment"}


def test_settings_of_numpy_are_written_as_json_knows_them():
    configuration = {"gain": np.array([0.5, 1.0]), "n": np.int64(3)}
    data = run(study_of([], configuration=configuration))
    assert json.loads(data.attrs["configuration"]) == {"gain": [0.5, 1.0], "n": 3}


def test_the_record_of_a_training_says_the_same_of_itself():
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=1, rng=0)
    training = rnnsim.train(rnn, rnnsim.tasks.adding(6, 2, rng=1), n_updates=1)
    found = {name: json.loads(training.record.attrs[name]) for name in training.record.attrs}
    assert found.keys() == {"configuration", "provenance", "versions"}
    assert found["provenance"]["task"] == "adding"
    for name, array in training.record.data_vars.items():
        assert array.attrs["units"], name
        assert len(array.attrs["long_name"]) > 3, name
