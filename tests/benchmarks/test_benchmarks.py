"""Benchmarks without the peers to be installed: NumPy agrees, reports say what was measured."""

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks import __main__ as command
from benchmarks.harness import machine, plots, records, report, scaling, worker
from benchmarks.harness.runner import TOLERANCE, Key, checked, compare
from benchmarks.peers import contestants, gemm
from benchmarks.peers.workloads import BLOCKS, CLIP_NORM, LEARNING_RATE, WORKLOADS, draw
from rnnsim import RNN
from rnnsim.gradients.bptt import flops_per_network
from rnnsim.kernels.arithmetic.vectors import lanes

NAMES = [workload.name for workload in WORKLOADS]
WEIGHTS = "W_xh W_hh W_hy b_h b_y".split()
NUMPY = Key("numpy", "by hand")


def named(name):
    return WORKLOADS[NAMES.index(name)]


def arrays_of(library, problem):
    """The numbers of every contestant of a library, by name."""
    found = {}
    for name, contestant in contestants.contestants_of(library, problem.workload.kind).items():
        ready = contestant(problem)
        if ready is not None:
            found[name] = ready.arrays(ready.run())
    return found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_numpy_agrees_with_rnnsim(workload, dtype, monkeypatch):
    monkeypatch.setattr(contestants, "cores", lambda: 2)
    problem = draw(workload.shrunk(), dtype)
    (ours,) = arrays_of("rnnsim", problem).values()
    peers = arrays_of("numpy", problem)
    ensemble = workload.kind in ("bptt", "pairs", "updates") and workload.N > 1
    assert len(peers) == (2 if ensemble else 1)
    for name, theirs in peers.items():
        assert checked(theirs, ours, TOLERANCE[dtype], Key("numpy", name)) > 0.0


def test_updates_begin_anew_in_every_call_and_each_counts(monkeypatch):
    monkeypatch.setattr(contestants, "cores", lambda: 2)
    workload = named("training").shrunk()
    problem = draw(workload, "float64")
    fewer = draw(replace(workload, n_updates=workload.n_updates - 1), "float64")
    (ours,) = arrays_of("rnnsim", problem).values()
    for contestant in contestants.contestants_of("numpy", "updates").values():
        ready = contestant(problem)
        first, again = (ready.arrays(ready.run()) for _ in range(2))
        assert all((first[name] == again[name]).all() for name in ours)
    for name, theirs in arrays_of("numpy", fewer).items():
        with pytest.raises(ValueError, match="loss deviates"):
            checked(theirs, ours, TOLERANCE["float32"], Key("numpy", name))
        with pytest.raises(ValueError, match="W_xh deviates"):  # the first of the weights
            checked(theirs | {"loss": ours["loss"]}, ours, TOLERANCE["float32"], NUMPY)
    assert all(np.abs(ours[name]).max() <= 3 * LEARNING_RATE * CLIP_NORM for name in WEIGHTS)


def test_both_dtypes_hold_the_same_problem():
    wide, narrow = (draw(named("update").shrunk(), dtype) for dtype in ("float64", "float32"))
    for a, b in zip(wide.weights, narrow.weights, strict=True):
        assert_array_equal(a.astype("float32"), b)
    assert_array_equal(wide.targets, narrow.targets)
    assert all(array.any() for array in wide.weights), "biases take part"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("W_hh", lambda a: a * (1 + 1e-9), "W_hh deviates from rnnsim's by 1.0e-09"),
        ("b_y", lambda a: a * np.nan, "b_y deviates from rnnsim's by nan"),
        ("loss", lambda a: a[:1], r"loss has shape \(1,\)"),
    ],
)
def test_disagreement_is_an_error(name, change, message):
    (ours,) = arrays_of("rnnsim", draw(named("tiny").shrunk(), "float64")).values()
    with pytest.raises(ValueError, match=f"numpy by hand: {message}"):
        checked(ours | {name: change(ours[name])}, ours, TOLERANCE["float64"], NUMPY)
    with pytest.raises(ValueError, match="gives \\['loss'\\], not"):
        checked({"loss": ours["loss"]}, ours, TOLERANCE["float64"], NUMPY)


def test_one_wrong_network_among_many_is_noticed():
    ours = {"W_hh": np.ones((1000, 2, 2))}
    theirs = {"W_hh": ours["W_hh"].copy()}
    theirs["W_hh"][500] *= 1 + 2e-10
    with pytest.raises(ValueError, match="deviates"):
        checked(theirs, ours, 1e-10, NUMPY)


def test_maps_are_compared_where_the_peers_norms_are_in_range():
    ours = {"log_norms": np.log([[[1.0, 1e-300], [2.0, 1e-3]]])}
    norms = np.array([[1.0, 1e-300], [2.0, 1e-3]])[..., None]
    assert np.isnan(contestants.lag_map(norms)["log_norms"][0, 0, 1])
    assert checked(contestants.lag_map(norms), ours, 1e-10, NUMPY) < 1e-15
    norms[1, 1] *= 1.001
    with pytest.raises(ValueError, match=r"log_norms deviates from rnnsim's by 1\.0e-03"):
        checked(contestants.lag_map(norms), ours, 1e-10, NUMPY)
    with pytest.raises(ValueError, match="deviates from rnnsim's by inf"):
        checked({"log_norms": np.full((1, 2, 2), np.nan)}, ours, 1e-10, NUMPY)


def test_steps_become_lags():
    at = np.array([[[11], [0], [0]], [[21], [22], [0]], [[31], [32], [33]]])
    lags = np.array([[[11], [0], [0]], [[22], [21], [0]], [[33], [32], [31]]])
    assert_array_equal(contestants.by_lag(at), lags)


def test_shares_cover_the_ensemble(monkeypatch):
    monkeypatch.setattr(contestants, "cores", lambda: 4)
    for n in (1, 3, 10):
        parts = contestants.shares(n)
        assert len(parts) == min(n, 4)
        assert [i for part in parts for i in range(n)[part]] == list(range(n))


def products(w):
    """Multiplications of one sequence of one network, product by product."""
    H, G, readouts = w.H, BLOCKS[w.cell], w.T - w.first_loss
    if w.kind in ("flow", "windows"):
        moved = sum(range(w.T)) * H * H  # at lag k the T-k-1 rows that have a step before
        outer = sum(range(1, w.T + 1)) * H * (H + w.D + 1)
        return moved + (outer if w.kind == "windows" else 0)
    total = 3 * readouts * w.V * H
    for level in range(w.n_layers):
        inputs, of_inputs = (H, 3) if level else (w.D, 2)
        total += w.T * (3 * G * H * H + of_inputs * G * H * inputs)
    if w.kind == "pairs":
        total += w.T * (3 * H * H + 2 * H * w.D)
    return total * w.n_updates


@pytest.mark.parametrize("workload", WORKLOADS, ids=NAMES)
def test_useful_arithmetic(workload):
    if workload.kind == "lyapunov":
        assert workload.flops is None
    else:
        counted = 2.0 * workload.N * workload.B * products(workload)
        assert_allclose(
            workload.flops, counted, rtol=1.01 / workload.T if "w" in workload.kind else 0
        )


def test_arithmetic_of_vanilla_networks_is_counted_as_rnnsim_counts_it():
    for name in ("tiny", "ensemble", "update", "training"):
        w = named(name).shrunk()
        rnn = RNN.sample(w.N, n_inputs=w.D, n_hidden=w.H, n_outputs=w.V, rng=0)
        silent = 2.0 * w.N * w.B * w.H * 3 * w.V * w.first_loss  # readouts where there is no loss
        counted = w.N * flops_per_network(rnn, w.T * w.B) - silent
        assert w.flops == w.n_updates * counted


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("function", "chains"), [(gemm.peak_of_5, 5), (gemm.peak_of_10, 10)])
def test_the_yardstick_does_its_multiply_adds(function, chains, dtype):
    factors = np.array([2.0, 1.0], dtype)  # x <- 2 x + 1 is 2^n - 1 after n of them
    out = np.zeros(lanes(factors), dtype)
    function(factors, 7, out)
    assert_array_equal(out, chains * 127.0)


def test_the_peak_is_counted_over_all_threads(monkeypatch):
    monkeypatch.setattr(gemm, "cores", lambda: 3)
    problem = draw(named("tiny").shrunk(), "float32")
    for name, chains in zip(contestants.PEAKS, (5, 10), strict=True):
        repeats = gemm.flops(name, problem) / (3 * 2 * chains * 16)
        assert repeats == int(2**20 / (2 * chains * 16))


@pytest.mark.parametrize("power", [-1.0, 1.0, 2.0])
def test_slopes_of_exact_powers(power):
    x = np.array([1, 2, 4, 8, 16])
    found = scaling.fit(x, 3e-4 * x**power)
    assert_allclose(found.slope, power, atol=1e-12)
    assert_allclose(found.error, 0.0, atol=1e-12)
    assert (found.first, found.last) == (4, 16)


def test_slopes_are_those_of_the_large_end():
    x = np.array([1.0, 10.0, 1000.0, 2000.0, 4000.0])
    assert_allclose(scaling.fit(x, 1.0 + x).slope, 1.0, atol=1e-3)
    noisy = scaling.fit([1, 2, 4], [1.0, 2.2, 4.0])
    assert_allclose(noisy.error, np.log(1.1) / np.log(2) / np.sqrt(3), rtol=1e-12)
    assert np.isnan(scaling.fit([1, 2], [1, 2]).error)
    assert np.isnan(scaling.fit([1], [1]).slope)


@pytest.mark.parametrize("law", scaling.laws(), ids=lambda law: law.title)
def test_every_law_can_be_called(law):
    assert len(law.values) == len(set(law.values))
    small = law.shrunk()
    changed = {law.field: small.values[-1]}
    result = scaling.call(scaling.replace(small.setting, **changed), "float32")()
    if small.setting.flow:
        K = small.values[-1] if law.field == "n_lags" else small.setting.n_lags or small.setting.T
        S = changed.get("loss_steps", small.setting.loss_steps) or small.setting.T
        T = changed.get("T", small.setting.T)
        assert result.log_norms.shape == (2, min(S, T), min(K, T))
    else:
        assert result.loss.shape == (changed.get("N", 2),)


def test_contestants_take_turns_in_processes_of_their_own():
    told = []
    with worker.workers(("rnnsim", "numpy", "gemm")) as started:
        found = compare(named("ensemble").shrunk(), "float64", started, rounds=2, tell=told.append)
        with pytest.raises(RuntimeError, match=r"(?s)numpy failed in 'arrays'.*KeyError: 'nobody'"):
            started["numpy"].ask("arrays", "nobody")
    assert [entry.best for entry in found.entries] == sorted(e.best for e in found.entries)
    assert {entry.library for entry in found.entries} == {"rnnsim", "numpy"}
    assert found.ours.rounds == 2
    assert found.ours.deviation == 0.0
    assert 0.0 < found.best_peer(ported=False).deviation < 1e-10
    assert found.fraction > 0.0
    turns = [line.split(", ")[1] for line in told if "round 1" in line]
    assert turns[0] == "rnnsim bptt"
    assert [line.split(", ")[1] for line in told if "round 2" in line][-1] == "rnnsim bptt"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workloads": ("huge",)}, "`workloads` must be among tiny, .*, got 'huge'"),
        ({"libraries": ("numpy",)}, "`libraries` must have rnnsim among them, got numpy"),
        ({"libraries": ("rnnsim", "keras")}, "`libraries` must be among rnnsim, .*, got 'keras'"),
        ({"libraries": ("rnnsim", "torch")}, "names torch, which is not installed: install"),
        ({"libraries": ("rnnsim",), "rounds": 0}, "`rounds` must be at least 1, got 0"),
    ],
)
def test_misuse_of_the_command(options, message, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    given = {"output": tmp_path} | options
    with pytest.raises(ValueError, match=message):
        command.run(**given)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_where_it_is_told(tmp_path, capsys):
    tokens = "--quick --workloads tiny --dtypes float64 --libraries rnnsim --rounds 1".split()
    tokens += ["--no-progress", "--output", str(tmp_path / "out")]
    command.app(tokens, result_action="return_value")
    assert "0 of 0 goals" in capsys.readouterr().out
    names = {report.PAGE, records.DATA, plots.file_of(machine.name(), plots.RATIOS)}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names


def test_limits_alone_are_printed_and_not_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "PAGES", tmp_path)
    tokens = "--quick --workloads update flow --libraries rnnsim gemm --rounds 1 --no-progress"
    command.app(tokens.split(), result_action="return_value")
    printed = capsys.readouterr().out
    assert "nothing is written without --output" in printed
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| update")]
    assert [row[2] for row in rows] == ["float32", "float64"]
    assert all(re.fullmatch(r"0\.\d\d", row[4]) for row in rows)
    assert "The peak of all cores: " in printed
    assert not list(tmp_path.iterdir())
