"""Benchmarks without the peers to be installed: NumPy agrees, reports say what was measured."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks import __main__ as command
from benchmarks.harness import plots, report, scaling, worker
from benchmarks.harness.runner import TOLERANCE, Comparison, Key, Timing, checked, compare
from benchmarks.peers import contestants
from benchmarks.peers.workloads import CLIP_NORM, LEARNING_RATE, WORKLOADS, draw
from rnnsim import RNN
from rnnsim.gradients.bptt import flops_per_network

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
    assert len(peers) == (2 if workload.kind in ("bptt", "updates") and workload.N > 1 else 1)
    for name, theirs in peers.items():
        assert checked(theirs, ours, TOLERANCE[dtype], Key("numpy", name)) > 0.0


def test_updates_begin_anew_in_every_call_and_each_counts(monkeypatch):
    monkeypatch.setattr(contestants, "cores", lambda: 2)
    workload = named("updates").shrunk()
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
    wide, narrow = (draw(named("training").shrunk(), dtype) for dtype in ("float64", "float32"))
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


def test_arithmetic_is_counted_as_rnnsim_counts_it():
    for workload in WORKLOADS:
        w = workload.shrunk()
        rnn = RNN.sample(w.N, n_inputs=w.D, n_hidden=w.H, n_outputs=w.V, rng=0)
        silent = 2.0 * w.N * w.B * w.H * 3 * w.V * w.first_loss  # readouts where there is no loss
        counted = w.N * flops_per_network(rnn, w.T * w.B) - silent
        assert w.flops == w.n_updates * counted


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


def made_up(workload, dtype, times, rates):
    """A comparison with the best times given, by (library, name); medians are a tenth longer."""
    timings = {
        Key(*key): Timing([best, 1.1 * best, 1.2 * best], rounds=3, deviation=1e-13)
        for key, best in times.items()
    }
    return Comparison(workload, dtype, timings, rates)


@pytest.fixture
def comparisons():
    tiny = {
        ("rnnsim", "bptt"): 0.01,
        ("jax", "vmap"): 0.3,
        ("jax", "lax.map"): 0.15,
        ("torch", "baddbmm"): 0.2,
        ("gemm", "recurrence"): 0.005,
    }
    flow = {
        ("rnnsim", "gradient_flow"): 0.1,
        ("numpy", "lag recursion"): 0.25,
        ("jax", "vjp, vmap"): 0.9,
    }
    found = [
        made_up(
            named("tiny"),
            "float32",
            tiny,
            {"recurrence": 80.0, "rnnsim's products": 120.0, "peak": 160.0},
        ),
        made_up(named("flow"), "float64", flow, {}),
    ]
    found[0].timings[Key("torch", "baddbmm")].dropped = True
    return found


def cells(text, start):
    """The cells of the table lines that begin with a cell."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_goals_are_compared_with_the_best_peer(comparisons):
    (tiny,) = cells(report.goals(comparisons), "tiny")
    sizes, rate = "1024, 16, 4, 100, 4, 4", named("tiny").flops / 0.01 / 1e9
    assert tiny[1:9] == [sizes, "float32", "0.0100", "jax: lax.map", "0.150", "15", "10", "yes"]
    assert tiny[9:] == [f"{rate:.3g}", "80", f"{rate / 80:.2f}", "120", "160"]
    best, other = cells(report.goals(comparisons), "flow")
    assert best[4:9] == ["numpy: lag recursion", "0.250", "2.5", "8", "no"]
    assert other[4:9] == ["jax: vjp, vmap", "0.900", "9", "8", "yes"]
    assert report.reached(comparisons) == (
        "1 of 2 goals are reached. "
        "Not reached: flow in float64 (2.5, goal 8; 9 without lag recursions)."
    )


def test_the_page_holds_what_was_measured(comparisons, tmp_path):
    law = scaling.laws()[0]
    seconds = {"float32": np.array(law.values) * 1e-3, "float64": np.array(law.values) * 2e-3}
    laws = [scaling.Measured(law, seconds)]
    path = report.write(tmp_path, comparisons, laws, facts={"processor": "made up"})
    text = path.read_text(encoding="utf-8")
    assert {p.name for p in tmp_path.iterdir()} == {report.PAGE, report.RATIOS, report.LAWS}
    assert all(f"]({name})" in text for name in (report.RATIOS, report.LAWS))
    assert "| processor | made up |" in text
    assert cells(text, "torch: baddbmm *") == [
        ["torch: baddbmm *", "0.200", "0.220", "20", "3 in 3", "1e-13"]
    ]
    assert cells(text, "bptt") == [
        ["bptt", "networks N", "1", "128 to 512", "1.00 ± 0.00", "1.00 ± 0.00"]
    ]
    assert not re.search(r"\b20\d\d-\d\d|/home|/work|\{", text), (
        "no dates, no paths, nothing left out"
    )


def test_facts_of_this_machine_name_no_path():
    facts = report.machine.facts()
    assert {"processor", "numpy", "numba", "BLAS"} <= set(facts)
    assert not any(re.search(r"/(home|usr|tmp|work)", value) for value in facts.values())


def test_ratios_and_goals_are_drawn(comparisons):
    ax = plots.plot_ratios(comparisons)
    dots = {
        (line.get_marker(), line.get_ydata()[0]): (line.get_xdata()[0], line.get_markerfacecolor())
        for line in ax.lines
        if line.get_linestyle() == "None"
    }
    assert {key: round(x, 6) for key, (x, _) in dots.items()} == {
        ("o", 0): 15.0,  # the faster of JAX's two ways
        ("s", 0): 20.0,
        ("^", 1): 2.5,
        ("o", 1): 9.0,
    }
    assert dots["^", 1][1] == "none", "hollow: rnnsim's own algorithm"
    bars = [line.get_xdata()[0] for line in ax.lines if to_rgb(line.get_color()) == (0, 0, 0)]
    assert bars == [10.0, 8.0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["tiny, float32", "flow, float64"]


def test_laws_are_drawn_beside_the_expected_slope():
    law = scaling.laws()[3]  # H, expected slope 2
    x = np.array(law.values, dtype=float)
    ax = plots.plot_law(scaling.Measured(law, {"float64": 1e-5 * x**1.5}))
    measured, expected = ax.lines
    assert expected.get_linestyle() == "--"
    assert_allclose(expected.get_ydata(), 1e-5 * x[-1] ** 1.5 * (x / x[-1]) ** 2)
    assert measured.get_label().startswith("float64: 1.50")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("hidden units H", "time of a call (s)")
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_contestants_take_turns_in_processes_of_their_own():
    told = []
    with worker.workers(("rnnsim", "numpy", "gemm")) as started:
        found = compare(named("ensemble").shrunk(), "float64", started, rounds=2, tell=told.append)
        with pytest.raises(RuntimeError, match=r"(?s)numpy failed in 'arrays'.*KeyError: 'nobody'"):
            started["numpy"].ask("arrays", "nobody")
    assert all(timing.best > 0 for timing in found.timings.values())
    assert found.ours.rounds == 2
    assert found.timings[NUMPY].deviation < 1e-10
    assert found.rates["recurrence"] > 0
    assert found.rates["peak"] > 0
    turns = [line.split(", ")[1] for line in told if "round 1" in line]
    assert turns[0] == "rnnsim bptt"
    assert [line.split(", ")[1] for line in told if "round 2" in line][-1] == "rnnsim bptt"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quick": True}, "`output` must be given with --quick"),
        ({"workloads": ("huge",)}, "`workloads` must be among tiny, .*, got 'huge'"),
        ({"libraries": ("numpy",)}, "`libraries` must have rnnsim among them, got numpy"),
        ({"libraries": ("rnnsim", "keras")}, "`libraries` must be among rnnsim, .*, got 'keras'"),
        ({"libraries": ("rnnsim", "torch")}, "names torch, which is not installed: install"),
        ({"libraries": ("rnnsim",), "rounds": 0}, "`rounds` must be at least 1, got 0"),
    ],
)
def test_misuse_of_the_command(options, message, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    given = {"output": None if "quick" in options else tmp_path} | options
    with pytest.raises(ValueError, match=message):
        command.run(**given)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_where_it_is_told(tmp_path, capsys):
    tokens = "--quick --workloads tiny --dtypes float64 --libraries rnnsim --rounds 1".split()
    tokens += ["--no-cost-laws", "--no-progress", "--output", str(tmp_path / "out")]
    command.app(tokens, result_action="return_value")
    assert "0 of 0 goals" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {report.PAGE, report.RATIOS}
