"""The page of benchmarks: what was measured is kept by machine, said in words and drawn."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose

from benchmarks.agreement.cells import CellAgreement
from benchmarks.agreement.training import Agreement
from benchmarks.harness import machine, plots, records, report, scaling
from benchmarks.harness.records import Agreed, Entry, Result, Section, Slope
from benchmarks.peers.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
NAMES = [workload.name for workload in WORKLOADS]


def named(name):
    return WORKLOADS[NAMES.index(name)]


def made_up(name, dtype, times, peak=None):
    """A result with the best times given, by (library, name); medians are a tenth longer."""
    w = named(name)
    entries = [Entry(*key, best, 1.1 * best, 3, 3, 1e-13) for key, best in times.items()]
    entries.sort(key=lambda entry: entry.best)
    return Result(name, dtype, (w.N, w.H, w.B, w.T, w.D, w.V), w.flops, peak, tuple(entries))


@pytest.fixture
def results():
    tiny = {
        ("rnnsim", "bptt"): 0.01,
        ("jax", "vmap"): 0.3,
        ("jax", "lax.map"): 0.15,
        ("torch", "baddbmm"): 0.2,
    }
    flow = {
        ("rnnsim", "gradient_flow"): 0.1,
        ("numpy", "lag recursion"): 0.25,
        ("jax", "vjp, vmap"): 0.55,
    }
    return made_up("tiny", "float32", tiny, 3e11), made_up("flow", "float64", flow)


@pytest.fixture
def section(results):
    return Section(
        "Made up, 2 cores",
        {"numba": "1.2"},
        results,
        agreed=(Agreed("lstm", 2, 3, 2e-15, "ln |dl/dh|", 45, 1e-14, "adam, K > S, not clipped"),),
        slopes=(Slope("bptt", "steps T", 1.0, "4 to 16", {"float32": "1.0", "float64": "1.1"}),),
        remarks=("Made up by a test.",),
    )


def cells(text, start):
    """The cells of the table lines that begin with a cell."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_times_stand_beside_the_limit_and_the_best_peer(results):
    (tiny,) = cells(report.goals(results), "tiny")
    fraction = named("tiny").flops / 3e11 / 0.01
    assert tiny[1:6] == ["1024, 16, 4, 100, 4, 4", "float32", "0.0100", f"{fraction:.2f}", "0.32"]
    assert tiny[6:] == ["jax: lax.map", "0.150", "15.00", "5"]
    own, ported = cells(report.goals(results), "flow")
    assert own[4:] == ["", "", "jax: vjp, vmap", "0.550", "5.50", "6"]
    assert ported[4:] == ["", "", "numpy: lag recursion", "0.250", "2.50", "1.6"]
    assert fraction < 0.32
    assert report.reached(results) == (
        f"2 of 4 goals are reached. Not reached: tiny in float32 (fraction {fraction:.2f}, goal "
        "0.32), flow in float64 (ratio 5.50, goal 6)."
    )
    assert report.peaks(results) == "The peak of all cores: 300 GFLOP/s in float32."
    assert report.peaks(results[1:]).startswith("The peak was not measured then")


def test_without_a_limit_there_are_no_fractions():
    times = {("rnnsim", "lyapunov_spectrum"): 0.1, ("torch", "linalg.qr"): 0.5}
    table = report.goals([made_up("spectra", "float64", times)])
    assert "limit" not in table
    assert cells(table, "spectra")[0][3:] == ["0.100", "torch: linalg.qr", "0.500", "5.00", "4"]


def test_the_page_is_written_from_the_data(section, tmp_path):
    ratios = plots.file_of(section.machine, plots.RATIOS)
    (tmp_path / ratios).touch()
    records.write(tmp_path, {section.machine: section})
    (back,) = records.read(tmp_path).values()
    pages = [report.write(tmp_path, [one], data="x.json").read_text() for one in (section, back)]
    assert pages[0] == pages[1]
    assert "## Made up, 2 cores\n\nMade up by a test.\n\n2 of 4 goals" in pages[0]
    assert f"]({ratios})" in pages[0]
    assert plots.LAWS + ".png" not in pages[0], "a figure that is not there"
    assert cells(pages[0], "bptt") == [["bptt", "steps T", "1", "4 to 16", "1.0", "1.1"]]
    assert cells(pages[0], "lstm") == [
        ["lstm", "2", "3", "2e-15", "ln \\|dl/dh\\|", "45", "1e-14", "adam, K > S, not clipped"]
    ]
    assert cells(pages[0], "numba") == [["numba", "1.2"]]
    assert "{" not in pages[0], "nothing is left out"


def test_a_run_leaves_other_machines_and_what_it_does_not_measure(section, results, tmp_path):
    other = replace(section, machine="Another, 4 cores")
    faster = made_up("flow", "float64", {("rnnsim", "gradient_flow"): 0.05}, 1e11)
    again = Section(section.machine, section.facts, (faster,)).updated(section, NAMES)
    assert again.results == (results[0], faster)
    assert (again.agreed, again.slopes) == (section.agreed, section.slopes)
    records.write(tmp_path, {one.machine: one for one in (section, other)})
    found = records.read(tmp_path)
    assert list(found) == [section.machine, other.machine]
    newer = Section(section.machine, {"numba": "1.3"}, (faster,))
    assert newer.updated(section, NAMES) is newer, "numbers of other versions do not stay"
    assert newer.updated(None, NAMES) is newer


@pytest.mark.parametrize("room", ["general", "lyapunov"])
def test_committed_pages_say_what_the_data_say(room, tmp_path):
    folder = ROOT / "docs/benchmarks" / room
    for figure in folder.glob("*.png"):
        (tmp_path / figure.name).touch()
    sections = records.read(folder)
    path = report.write(tmp_path, sections.values(), data=records.DATA)
    assert path.read_text(encoding="utf-8") == (folder / report.PAGE).read_text(encoding="utf-8")
    records.write(tmp_path, sections)
    data = [
        place.joinpath(records.DATA).read_text(encoding="utf-8") for place in (folder, tmp_path)
    ]
    assert data[0] == data[1]
    assert not re.search(r"/home|/work|/tmp|\b20\d\d-\d\d", data[0]), "no paths, no dates"
    drawn = {
        plots.file_of(section.machine, form)
        for section in sections.values()
        for form, has in ((plots.RATIOS, section.results), (plots.LAWS, section.slopes))
        if has
    }
    assert drawn == {figure.name for figure in folder.glob("*.png")}


def test_the_worst_of_each_kind_is_kept():
    arrays = [CellAgreement("gru", 1, name, d) for name, d in (("loss", 2e-16), ("h_T", 3e-16))]
    case = Agreement("gru", 1, "sgd", "K = S", "not clipped", 100, 4e-15, 0.0)
    alone = case._replace(cell="lstm", deviation=5e-15)
    assert records.agreed(arrays, [case, case._replace(deviation=1e-15), alone]) == (
        Agreed("gru", 1, 2, 3e-16, "h_T", 2, 4e-15, "sgd, K = S, not clipped"),
        Agreed("lstm", 1, 0, 0.0, "", 1, 5e-15, "sgd, K = S, not clipped"),
    )
    text = report.agreements(records.agreed(arrays, [alone]))
    assert cells(text, "gru")[0][2:] == ["2", "3e-16", "h_T", "", "", ""]
    assert cells(text, "lstm")[0][2:] == ["", "", "", "1", "5e-15", "sgd, K = S, not clipped"]


def test_facts_of_this_machine_name_no_path():
    facts = machine.facts()
    assert {"numpy", "numba", "rnnsim-toolkit", "BLAS"} <= set(facts)
    assert not any(re.search(r"/(home|usr|tmp|work)", value) for value in facts.values())
    assert re.search(r"\d+ cores?$", machine.name())


def test_ratios_and_goals_are_drawn(results):
    ax = plots.plot_ratios(results)
    dots = {
        (line.get_marker(), line.get_ydata()[0]): (line.get_xdata()[0], line.get_markerfacecolor())
        for line in ax.lines
        if line.get_linestyle() == "None"
    }
    assert {key: round(x, 6) for key, (x, _) in dots.items()} == {
        ("o", 0): 15.0,  # the faster of JAX's two ways
        ("s", 0): 20.0,
        ("^", 1): 2.5,
        ("o", 1): 5.5,
    }
    assert dots["^", 1][1] == "none", "hollow: rnnsim's own algorithm"
    bars = [
        (line.get_xdata()[0], line.get_linestyle())
        for line in ax.lines
        if to_rgb(line.get_color()) == (0, 0, 0)
    ]
    assert bars == [(5.0, "-"), (6.0, "-"), (1.6, ":")]
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
