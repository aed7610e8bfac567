"""Killed at any moment, a command and a training leave what is whole and of one run."""

import os
import signal
import time

import numpy as np
import pytest
from builders import case, draws
from family import ANALYSIS, Settings, assert_whole
from numpy.testing import assert_array_equal

import rnnsim
from analysis.frame import manifest, runs
from analysis.frame.places import Place
from analysis.networks import portrait
from rnnsim import files
from rnnsim.training.checkpoints import read_checkpoint
from rnnsim.training.train import train

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")


@pytest.fixture(autouse=True)
def long_ago(monkeypatch):
    """Stages that a killed process had not even locked count as old at once."""
    monkeypatch.setattr(files, "_LONG", -1.0)


def killed(work, after):
    """Do some work in a process of its own and kill it; whether it was still at work."""
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work()
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def duration(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def moments(n, longest):
    return np.random.default_rng(0).uniform(0.0, longest, n)


def family(folder, value):
    place = Place(folder, overwrite=True)
    settings = Settings(value=float(value), size=1000)
    runs.run(ANALYSIS, settings, output=place, source=None, progress=False)


def test_a_command_killed_while_it_replaces_a_run(tmp_path):
    folder, n = tmp_path / "out", 25
    longest = duration(lambda: family(folder, 0))
    cut_short, found = 0, 0.0
    for value, after in enumerate(moments(n, 1.2 * longest), 1):
        cut_short += killed(lambda value=value: family(folder, value), after)
        before, found = found, assert_whole(folder)
        assert found in (before, float(value))
    assert cut_short > n // 3
    family(folder, -1)
    assert assert_whole(folder) == -1.0
    assert [each.name for each in tmp_path.iterdir()] == ["out"]  # all leftovers are swept up


def test_a_real_command_killed_leaves_nothing_or_all(tmp_path):
    settings = portrait.Settings(length=22, n_hidden=4, batch_size=2, n_threads=1, task="adding")

    def draw(folder):
        place = Place(folder, usual=True)
        runs.run(portrait, settings, output=place, source=None, progress=False)

    longest, n = duration(lambda: draw(tmp_path / "first")), 8
    expected = rnnsim.load(tmp_path / "first")["portrait"]
    cut_short = 0
    for after in moments(n, longest):
        cut_short += killed(lambda: draw(tmp_path / "out"), after)
        if (tmp_path / "out").exists():
            manifest.check(tmp_path / "out", "portrait")
            assert rnnsim.load(tmp_path / "out")["portrait"].identical(expected)
    assert cut_short > n // 3
    draw(tmp_path / "out")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["first", "out"]


def test_a_training_killed_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("rnnsim.training.runs.FLOPS_PER_CALL", 1.0)  # one update a call
    rnn, path, n = case(N=2).rnn, tmp_path / "run.npz", 20
    options = {"n_updates": 60, "rng": 1, "optimizer": "adam", "record_every": 20, "n_threads": 1}
    whole = train(rnn, draws, **options)

    def go_on():
        return train(rnn, draws, checkpoint=path, checkpoint_every=1, **options)

    longest, done, cut_short = duration(go_on), 0, 0
    path.unlink()
    for after in moments(n, longest / 4):
        cut_short += killed(go_on, after)
        if path.exists():
            before, done = done, read_checkpoint(path).place["done"]
            assert done >= before
    assert cut_short > n // 4
    assert done > 0
    resumed = go_on()
    assert resumed.record.identical(whole.record)
    assert_array_equal(resumed.rnn.W_hh, whole.rnn.W_hh)
    assert [each.name for each in tmp_path.iterdir()] == ["run.npz"]
