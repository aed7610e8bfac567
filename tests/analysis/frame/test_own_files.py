"""Commands on a person's own data and network: what they read, say, leave behind and refuse."""

import contextlib
import json
import re
import tomllib
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from recomputed import facts

import rnnsim
from analysis.__main__ import app, main
from analysis.dynamics import lyapunov
from analysis.frame import figures, runs
from analysis.gradients import gradient_norms, truncation
from analysis.networks import cells, depth, portrait
from analysis.spectra import spectra
from analysis.training import training
from rnnsim import files

T, B, D = 40, 6, 3
COMMANDS = {
    "portrait": portrait.Settings(n_hidden=5),
    "gradient-norms": gradient_norms.Settings(n_hidden=5, network_seeds=2, gain=(0.5, 1.5)),
    "truncation": truncation.Settings(
        n_hidden=5, network_seeds=2, gain=(0.5, 1.0), n_batches=2, n_updates=1
    ),
    "lyapunov": lyapunov.Settings(
        n_hidden=5, network_seeds=2, gain=(0.5, 1.5), transition_n_hidden=(4, 5)
    ),
    "spectra": spectra.Settings(n_hidden=5, network_seeds=2, gain=(0.5, 1.5), cell=("gru",)),
    "training": training.Settings(
        n_hidden=5, network_seeds=2, gain=(0.5, 1.5), n_updates=4, record_every=2, snapshot_every=4
    ),
    "cells": cells.Settings(n_hidden=5, network_seeds=2, forget_bias=(0.0,), chrono=0.0),
    "depth": depth.Settings(n_hidden=5, network_seeds=2, n_layers=(1, 2)),
}
MODULES = {
    "portrait": portrait, "gradient-norms": gradient_norms, "truncation": truncation,
    "lyapunov": lyapunov, "spectra": spectra, "training": training, "cells": cells, "depth": depth,
}  # fmt: skip
# What is said of networks that were drawn alone.
OF_DRAWS = re.compile(
    "theory|in theory|gaussian|orthogonal|mean field|circular law|large H|large networks|pytorch"
)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder of files: data of several kinds, networks of several cells."""
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    x, y = rng.standard_normal((T, B, D)), rng.integers(0, 4, (T, B))
    np.savez(folder / "batch.npz", inputs=x, targets=y)
    np.savez(folder / "turned.npz", x=x.swapaxes(0, 1), y=y.T)
    table = rng.standard_normal((90, 3))
    np.savetxt(folder / "stream.csv", table, "%.17g", ",", header="a,b,target", comments="")
    lines = rng.choice(list("abcd "), (40, 50))
    (folder / "letters.txt").write_text("\n".join("".join(line) for line in lines))
    kinds = {"n_inputs": D, "n_hidden": 4, "n_outputs": 4, "rng": 0}
    for cell in ("vanilla", "lstm", "gru"):
        rnn = rnnsim.RNN.sample(cell=cell, **kinds)
        arrays = {name: array[0] for name, array in rnn.weights._asdict().items()}
        np.savez(folder / f"{cell}.npz", cell=cell, **arrays)
        del arrays["W_hy"], arrays["b_y"]
        np.savez(folder / f"mute_{cell}.npz", cell=cell, **arrays)
    return folder


def settings(name, here, **paths):
    usual = {"n_hidden", "network_seeds", "gain", "cell", "forget_bias", "chrono", "n_layers",
             "transition_n_hidden"}  # fmt: skip
    chosen = COMMANDS[name]
    if "weights" in paths:  # what these stand in place of is left as it is
        plain = type(chosen)()
        known = {key: getattr(plain, key) for key in usual if hasattr(plain, key)}
        chosen = replace(chosen, **known)
    chosen = replace(chosen, **{key: str(here / path) for key, path in paths.items()})
    return replace(chosen, n_threads=1)


def words_in(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("data", ["batch.npz", "stream.csv", "letters.txt"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_reads_data(name, data, here):
    datasets = MODULES[name].compute(settings(name, here, data=data), progress=False)
    words = facts(MODULES[name], datasets)
    assert any(f"reads {data}" in each or f"reading {data}" in each for each in words)
    for dataset in datasets.values():
        configuration = figures.configuration(dataset)
        assert np.ravel(configuration["task"]).tolist() == [data]
        where = json.loads(dataset.attrs["provenance"])
        (found,) = {value for key, value in where.items() if key.endswith("data_sha256")}
        assert found == files.checksum([(here / data).read_bytes()])
        if data == "batch.npz":
            lengths = configuration.get("length", configuration.get("n_steps"))
            assert np.max(lengths) == T
            assert configuration["batch_size"] <= B


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_reads_a_network(name, cell, here):
    file = f"{cell}.npz"
    chosen = settings(name, here, weights=file, data="batch.npz")
    datasets = MODULES[name].compute(chosen, progress=False)
    words = " ".join(facts(MODULES[name], datasets))
    assert file in words
    assert not OF_DRAWS.search(words), words
    for dataset in datasets.values():
        configuration = figures.configuration(dataset)
        assert configuration["weights"] == file
        assert np.ravel(configuration["n_hidden"]).tolist() == [4]
        where = json.loads(dataset.attrs["provenance"])
        assert where["weights.sha256"] == files.checksum([(here / file).read_bytes()])
    if cell == "gru":
        return
    called = {"vanilla": "vanilla|RNN|tanh", "lstm": "LSTM"}[cell]
    with figures.style():
        for title, figure in MODULES[name].draw(datasets).items():
            if title == "what-is-carried":  # of no network
                continue
            text = words_in(figure)
            assert file in text, title
            assert str(here) not in text
            assert re.search(called, text), title
            if name != "portrait":  # whose page holds W_hh against random entries of this size
                assert not OF_DRAWS.search(text), f"{title}: {OF_DRAWS.search(text)}"


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"training"}))
def test_a_network_without_outputs_and_data_reads_noise(name, here):
    chosen = replace(settings(name, here, weights="mute_gru.npz"), batch_size=2)
    options = {"n_steps": 60} if name == "lyapunov" else {"length": 30}
    if name in ("gradient-norms", "truncation"):
        options = {"length": (30,)}
    if name == "lyapunov":
        options |= {"burn_in": 10, "block_steps": 2}
    datasets = MODULES[name].compute(replace(chosen, **options), progress=False)
    words = " ".join(facts(MODULES[name], datasets))
    if name == "lyapunov":  # whose networks read nothing unless told
        assert "The network is that of mute_gru.npz and has no input." in words
        return
    assert "white noise" in words
    if name != "spectra":  # which takes no gradient
        assert "its loss is a random linear functional of its states" in words
    assert "bias-variance" not in datasets


def test_the_exponents_of_a_network_that_reads_data_are_those_of_the_library(here):
    chosen = settings("lyapunov", here, weights="lstm.npz", data="batch.npz")
    data = lyapunov.compute(chosen, progress=False)["spectra"]
    rnn = rnnsim.read_network(here / "lstm.npz")
    batch = rnnsim.read_sequences(here / "batch.npz")
    found = rnnsim.lyapunov_spectrum(rnn, batch.inputs[:, :1], n_threads=1)
    assert data.sizes["sequence"] == 1
    assert data.lyapunov_exponent.shape[-1] == 8
    assert figures.configuration(data)["driven"] is True
    every = rnnsim.lyapunov_spectrum(rnn, batch.inputs, n_threads=1)
    known = np.sort(every.per_sequence[0, :, 0])
    assert known[0] - 1e-9 <= data.lyapunov_exponent.values.ravel()[0] <= known[-1] + 1e-9
    assert found.exponents.shape == (1, 8)


@pytest.mark.filterwarnings("ignore:.*not used. W_hy")
def test_a_readout_may_be_left_out(here):
    chosen = replace(
        settings("portrait", here, weights="gru.npz", data="batch.npz"), readout="none"
    )
    words = facts(portrait, portrait.compute(chosen, progress=False))
    assert words[-1].startswith("It has no outputs")


def test_a_layout_says_how_data_are_read(here):
    plain = portrait.compute(settings("portrait", here, data="batch.npz"), progress=False)
    chosen = replace(settings("portrait", here, data="turned.npz"), layout="btd")
    turned = portrait.compute(chosen, progress=False)
    np.testing.assert_array_equal(plain["portrait"].log_norms, turned["portrait"].log_norms)


def run(*arguments):
    with contextlib.suppress(SystemExit):  # as commands end
        app.meta([*map(str, arguments), "--no-progress"])


def test_a_run_leaves_its_files_behind_and_is_drawn_and_made_again(here, tmp_path, capsys):
    paths = ("--weights", here / "lstm.npz", "--data", here / "batch.npz")
    run("depth", *paths, "--batch-size", 2, "--output", tmp_path / "run")
    text = (tmp_path / "run" / "configuration.toml").read_text()
    recorded = tomllib.loads(text)
    assert recorded["weights"] == str(here / "lstm.npz")
    assert recorded["data"] == str(here / "batch.npz")
    said = (tmp_path / "run" / "summary.txt").read_text()
    run("depth", "--from", tmp_path / "run", "--output", tmp_path / "again")
    assert (tmp_path / "again" / "summary.txt").read_text() == said
    capsys.readouterr()
    config = ("--config", tmp_path / "run" / "configuration.toml")
    run(*config, "depth", "--output", tmp_path / "same")
    assert (tmp_path / "same" / "configuration.toml").read_text() == text
    assert (tmp_path / "same" / "summary.txt").read_text() == said


def test_what_is_not_read_of_a_file_is_said_once(here, monkeypatch, tmp_path, capsys):
    rnn = rnnsim.RNN.sample(n_inputs=D, n_hidden=4, n_outputs=4, rng=0)
    arrays = {name: array[0] for name, array in rnn.weights._asdict().items()}
    np.savez(tmp_path / "more.npz", **arrays, other=np.ones(3))
    words = ("portrait", "--weights", tmp_path / "more.npz", "--data", here / "batch.npz")
    arguments = map(str, ("rnnsim", *words, "--output", tmp_path / "out"))
    monkeypatch.setattr("sys.argv", [*arguments, "--no-progress"])
    with contextlib.suppress(SystemExit), warnings.catch_warnings():
        warnings.simplefilter("default")
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rnnsim: `weights` ")
    assert "not used: other (3,)" in line


REFUSED = {
    "--prefix: `prefix` says what is read of --weights, which is not given":
        ("portrait", "--prefix", "lstm"),
    "--layout: `layout` says how --data is read, which is not given":
        ("cells", "--layout", "btd"),
    "--data: `data` .* stands in place of a task, got --task adding as well":
        ("truncation", "--task", "adding", "--data", "batch.npz"),
    "--data: `data` 'absent.npz' is not there": ("spectra", "--data", "absent.npz"),
    "--weights: `weights` 'absent.pt' does not exist": ("lyapunov", "--weights", "absent.pt"),
    "--n-hidden: `n_hidden` must be 4, as `weights` 'lstm.npz' has it, got 7":
        ("cells", "--weights", "lstm.npz", "--n-hidden", 7),
    "--n-layers: `n_layers` must be 1, as `weights` 'lstm.npz' has it":
        ("depth", "--weights", "lstm.npz", "--n-layers", 2),
    "--scheme: `scheme` says how networks are drawn":
        ("gradient-norms", "--weights", "lstm.npz", "--scheme", "orthogonal"),
    "--forget-bias: `forget_bias` says how": ("cells", "--weights", "lstm.npz", "--forget-bias", 2),
    "--network-seeds: `network_seeds` counts the networks of `weights` 'lstm.npz'":
        ("truncation", "--weights", "lstm.npz", "--network-seeds", 2),
    "--cell: `cell` is 'gru', and `weights` 'lstm.npz' holds an LSTM":
        ("portrait", "--weights", "lstm.npz", "--cell", "gru"),
    "--cell: `cell` must be one where":
        ("spectra", "--weights", "gru.npz", "--cell", "gru", "lstm"),
    "--data: `data` 'stream.csv': inputs have n_inputs = 2 and `weights` 3":
        ("gradient-norms", "--weights", "lstm.npz", "--data", "stream.csv"),
    "--task: `task` 'temporal_order' has 6 inputs a step and `weights` 'lstm.npz' reads 3":
        ("training", "--weights", "lstm.npz"),
    "--weights: `weights` 'mute_gru.npz' has no readout, and training needs":
        ("training", "--weights", "mute_gru.npz", "--data", "batch.npz"),
    "--length: `length` must be at most 40, the steps of 'batch.npz', got 50":
        ("depth", "--data", "batch.npz", "--length", 50),
    "--batch-size: `batch_size` must be at most 6, the sequences of 'batch.npz', got 7":
        ("cells", "--data", "batch.npz", "--batch-size", 7),
    "--batch-size: `batch_size` must be 1 where a window is all 90 steps of 'stream.csv'":
        ("portrait", "--data", "stream.csv", "--batch-size", 4, "--length", 90),
    "--n-steps: `n_steps` must be at most 40": (
        *("lyapunov", "--data", "batch.npz", "--n-steps", 99),
        *("--burn-in", 9, "--block-steps", 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_is_refused_and_leaves_nothing_behind(message, here, monkeypatch, tmp_path):
    monkeypatch.chdir(here)
    with pytest.raises((ValueError, TypeError, OSError), match=message):
        run(*REFUSED[message], "--output", tmp_path / "out" / "deep")
    assert not list(tmp_path.iterdir())


def test_runs_of_data_and_networks_that_were_drawn_are_as_before(tmp_path):
    chosen = replace(COMMANDS["depth"], length=22, batch_size=2, n_threads=1)
    datasets = depth.compute(chosen, progress=False)
    assert "weights" not in figures.configuration(datasets["depth"])
    assert not any("reads" in each for each in facts(depth, datasets))
    assert "weights" not in tomllib.loads(runs.to_toml(chosen))
