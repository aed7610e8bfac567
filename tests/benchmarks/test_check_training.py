"""The check of training beside torch.optim, with plain loops in the place of torch."""

import numpy as np
import pytest
import reference
import reference_training
from builders import NOJIT

from benchmarks import __main__ as command
from benchmarks.agreement import training as check_training
from benchmarks.agreement.training import Agreement
from benchmarks.peers.workloads import WORKLOADS

pytestmark = pytest.mark.nojit
FINE = Agreement("gru", 2, "adam", "K > S", "clipped by norm", 100, 1e-15, 0.5)


def plain(layers, batches, setting, n_updates, *, rate=1.0):
    return reference_training.train(
        [reference.Net(*weights) for weights in layers],
        batches,
        reference_training.Optimizer(setting.optimizer, rate * setting.rate),
        n_updates,
        activation="tanh" if setting.cell == "vanilla" else setting.cell,
        window=setting.window,
        stride=setting.stride,
        clip_norm=setting.clip_norm or float("inf"),
        clip_value=setting.clip_value or float("inf"),
    ).nets


@pytest.fixture(autouse=NOJIT)
def few(monkeypatch):
    """Uncompiled kernels take their time."""
    monkeypatch.setattr(check_training, "CELLS", ("gru",))
    monkeypatch.setattr(check_training, "SEGMENTS", {"K > S": (6, 4)})


def test_plain_loops_pass():
    found = check_training.compare(plain, n_updates=1 if NOJIT else 4)
    kinds = check_training.CELLS, check_training.DEPTHS, check_training.SEGMENTS
    assert len(found) == np.prod([len(each) for each in kinds]) * 5 * 3
    assert {case.n_layers for case in found} == {1, 2}
    assert all(0.0 <= case.deviation < check_training.TOLERANCE for case in found)
    assert {case.clip for case in found if case.clipped} == {"clipped by norm", "clipped by value"}


def test_another_rate_is_noticed():
    def faster(*arguments):
        return plain(*arguments, rate=1.0 + 1e-9)

    found = check_training.compare(faster, n_updates=1)
    assert all(case.deviation > check_training.TOLERANCE for case in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"deviation": 2e-9},
            "of gru, n_layers=2, by adam, K > S, clipped by norm: torch's weights .* 2.0e-09",
        ),
        ({"deviation": float("nan")}, "deviate from rnnsim's by nan"),
        ({"clipped": 0.0}, "clipped by norm: no update was clipped"),
    ],
)
def test_what_stops_the_run(change, message):
    check_training.check([FINE])
    with pytest.raises(ValueError, match=message):
        check_training.check([FINE, FINE._replace(**change)])


def test_the_check_comes_before_updates_are_timed_beside_torch(monkeypatch):
    monkeypatch.setattr(check_training, "against_torch", lambda: [FINE])
    monkeypatch.setattr(command.cells, "against_torch", list)
    by_name = {workload.name: workload for workload in WORKLOADS}
    told = []
    for names, libraries, trainings in (
        (["tiny", "training"], ("rnnsim", "torch"), 1),
        (["tiny", "training"], ("rnnsim", "jax"), 0),
        (["tiny"], ("rnnsim", "torch"), 0),
        ([], ("rnnsim", "torch"), 1),
    ):
        chosen = [by_name[name] for name in names]
        assert len(command._agreed(chosen, libraries, told.append)) == trainings
    assert told.count("checking training beside torch.optim") == 2
