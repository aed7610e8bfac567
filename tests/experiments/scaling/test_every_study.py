"""Every sweep and experiment takes an executor and a store, and gives the same bits."""

import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest
from every_study import STUDIES

import rnnsim
from rnnsim.experiments.catalogue.sweeps import MEASURES
from rnnsim.experiments.scaling.engine import Engine, inside

NAMES = [
    name
    for name in rnnsim.__all__
    if name.endswith(("sweep", "_experiment")) or name in ("portrait",)
]


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_takes_both(name):
    parameters = inspect.signature(getattr(rnnsim, name)).parameters
    assert parameters["executor"].default is None
    assert parameters["store"].default is None


@pytest.mark.parametrize("name", STUDIES)
def test_bits_do_not_depend_on_executor_and_store(name, tmp_path):
    serial = STUDIES[name]()
    with ThreadPoolExecutor(2) as executor, inside(Engine(executor, tmp_path)):
        scaled = STUDIES[name]()
    assert scaled.identical(serial)
    with inside(Engine(store=tmp_path)):
        again = STUDIES[name]()
    assert again.identical(serial)


def test_a_sweep_that_is_cut_into_more_jobs_has_the_same_bits(tmp_path):
    settings = {"gain": [0.5, 0.9, 1.5], "length": [8, 12], "n_hidden": 4, "network_seeds": 3,
                "measures": tuple(MEASURES), "truncation": ("sliding", "segments")}  # fmt: skip
    whole = rnnsim.sweep("characters", **settings)
    cut = rnnsim.sweep("characters", **settings, store=tmp_path / "s")
    assert len(list((tmp_path / "s" / "parts").iterdir())) == 3 * 2
    assert cut.identical(whole)
