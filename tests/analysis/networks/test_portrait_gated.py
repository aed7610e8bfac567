"""Portraits of LSTMs and GRUs: what is computed, artists, every number of every sentence."""

import re
from dataclasses import replace

import numpy as np
import pytest
from artists import labelled, texts
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

import rnnsim
from analysis.frame import figures
from analysis.networks import portrait, portrait_gated, portrait_page, portrait_plots
from rnnsim import checks
from rnnsim.experiments.portraits.portrait import subject_of

H, T, B = 5, 30, 3
TINY = portrait.Settings(
    gain=1.2, n_hidden=H, length=T, batch_size=B, n_threads=1, cell="lstm", forget_bias=1.0
)
GATES = {"lstm": "ifgo", "gru": "rzn"}
CELLS = pytest.mark.parametrize("cell", GATES)
ENDS = ("h", "c", "path through c")


@pytest.fixture(scope="module")
def portraits():
    made = {cell: replace(TINY, cell=cell) for cell in GATES}
    return {c: portrait.compute(s, progress=False)["portrait"] for c, s in made.items()}


def network(cell):
    """The network of a portrait, and its batch."""
    found = subject_of(
        "characters", T, batch_size=B, networks=("gaussian", 1.2, H, 0), weights=None,
        activation="tanh", dtype="float64", cell=cell, forget_bias=1.0,
    )  # fmt: skip
    return found.rnn, found.sequences


@CELLS
def test_all_parts_are_those_of_the_library(portraits, cell):
    data, (rnn, batch) = portraits[cell], network(cell)
    flow = rnnsim.gradient_flow(rnn, batch, per_sequence=True)
    assert float(data.sufficient_window) == rnnsim.sufficient_window(flow)[0]
    by_gate = rnnsim.sufficient_window(flow, of="recurrent_gates")[0]
    assert_array_equal(data.sufficient_window_by_gate, by_gate)
    assert_array_equal(data.log_norm_map, flow.log_norms[0])
    known = flow.recurrent.log_error[0]
    assert_allclose(data.truncation_log_error[:10], known[:10], rtol=1e-12)
    assert_array_equal(data.gate_singular_values, rnnsim.spectrum(rnn).singular_values[0])
    found = rnnsim.lyapunov_spectrum(rnn, batch.inputs)
    assert_array_equal(data.exponents, np.where(found.resolved[0], found.exponents[0], np.nan))
    assert data.sizes["unit"] == (2 * H if cell == "lstm" else H)
    assert data.gate.values.tolist() == list(GATES[cell])


@CELLS
def test_jacobians_are_those_of_the_trajectory_from_its_beginning(portraits, cell):
    data, (rnn, batch) = portraits[cell], network(cell)
    whole = rnnsim.jacobian_spectrum(rnn, batch.inputs[:, :1])
    steps = data.point.values
    assert steps[0] > T // 2
    assert steps[-1] == T
    assert steps.size == 8
    expected = whole.singular_values[0, steps - 1, 0, 0]
    assert_allclose(data.jacobian_norm, expected, rtol=1e-12)
    assert_allclose(data.jacobian_radius, whole.spectral_radius[0, steps - 1, 0], rtol=1e-10)
    assert_allclose(np.abs(data.jacobian_eigenvalues[:, 0]), data.jacobian_radius)


def test_parts_of_the_state_are_relative_to_the_whole_at_lag_0(portraits):
    data, (rnn, batch) = portraits["lstm"], network("lstm")
    flow = rnnsim.gradient_flow(rnn, batch, per_sequence=True)
    last = int(data.growth_last_lag)
    start = flow.log_norms[0, last:, 0]
    for name, norms in zip(
        ENDS, (flow.log_norms_h, flow.log_norms_c, flow.log_norms_path_c), strict=True
    ):
        for k in (1, last):
            expected = (norms[0, last:, k] - start).mean()
            assert_allclose(data.log_norms_of_parts.sel(part=name, lag=k), expected, rtol=1e-10)
    assert np.isnan(data.log_norms_of_parts[:, last + 1 :]).all()
    assert np.isneginf(data.log_norms_of_parts.sel(lag=0, part=["c", "path through c"])).all()
    assert portraits["gru"].part.values.tolist() == ["h"]


@CELLS
def test_variables_say_their_units_and_what_is_of_vanilla_networks_is_not_there(portraits, cell):
    data = portraits[cell]
    for name in data.data_vars:
        assert data[name].attrs["units"], name
        assert data[name].attrs["long_name"], name
    assert not {"eigenvalues", "henrici", "theory_radius", "mean_slope"} & set(data.data_vars)
    settings = figures.configuration(data)
    assert (settings["cell"], settings["forget_bias"]) == (cell, 1.0)


@CELLS
def test_the_page(portraits, cell):
    with figures.style():
        page = portrait.draw({"portrait": portraits[cell]})["portrait"]
        page.draw_without_rendering()
    shown = " ".join(text.get_text() for text in page.findobj(Text))
    assert not re.search(r"\bnan\b|Pascanu|mean field|many units", shown)
    assert page.get_suptitle() == (
        f"gaussian, gain 1.2, {H} {cell.upper()} units, forget bias 1, seed 0, reading characters"
    )
    assert ("Norms are of the state $(h, c)$." in page.get_supxlabel()) == (cell == "lstm")


def test_lines_of_gates_and_of_parts(portraits):
    data = portraits["lstm"]
    gates = labelled(portrait_gated.plot_gates(data))
    assert list(gates) == list("ifgo")
    assert len({(line.get_color(), line.get_marker()) for line in gates.values()}) == 4
    for gate, line in gates.items():
        assert_array_equal(line.get_ydata(), data.gate_singular_values.sel(gate=gate))
    assert texts(portrait_gated.plot_gates(data)) == list("ifgo")  # at their ends
    lines = labelled(portrait_gated.plot_lags(data))
    assert list(lines) == ["state", portrait_plots.RATE, "h", "c", "through c"]
    for name, short in zip(ENDS, ("h", "c", "through c"), strict=True):
        expected = data.log_norms_of_parts.sel(part=name).values[1:] / np.log(10)
        assert_allclose(lines[short].get_ydata()[1:], expected)
    names = list(labelled(portrait_gated.plot_lags(portraits["gru"])))
    assert names == ["mean", portrait_plots.RATE]


@CELLS
def test_tables_have_the_windows_of_gates(portraits, cell):
    data = portraits[cell].copy(deep=True)
    data.sufficient_window_by_gate[0] = np.nan
    steps, _, windows = portrait_gated.numbers(data)
    assert dict(steps.rows)["norm (median)"] == f"{float(data.jacobian_norm.median()):.2f}"
    assert dict(steps.rows)["radius (median)"] == f"{float(data.jacobian_radius.median()):.2f}"
    (whole, of_all), *rows = windows.rows
    assert (whole, of_all) == ("of all", f"{float(data.sufficient_window):.0f} of {T}")
    names = ", ".join(name.partition(" ")[2] for name, _ in rows)
    assert names == ", ".join(GATES[cell])
    found = ", ".join(value for _, value in rows).split(", ")
    assert found == ["?", *(f"{K:.0f}" for K in data.sufficient_window_by_gate.values[1:])]
    assert "gates" in rows[0][0]


def numbers(text):
    return [float(x) for x in re.findall(r"[-+]?\d+(?:\.\d+)?", text)]


@CELLS
def test_sentences(portraits, cell):
    data = portraits[cell]
    said = facts(portrait, {"portrait": data})
    assert len(said) == (6 if cell == "lstm" else 5)
    assert said[0].startswith(f"gaussian, gain 1.2, {H} {cell.upper()} units, forget bias 1, seed")
    assert f"the largest Lyapunov exponent is {float(data.exponents[0]):+z.2f}"[:-1] in said[0]
    assert "mean field" not in said[1]
    steps = said[-3]
    ranges = [f(data[n]) for n in ("jacobian_radius", "jacobian_norm") for f in (np.min, np.max)]
    blocks = [data.gate_singular_values.sel(gate=gate)[0] for gate in GATES[cell]]
    assert_allclose(numbers(steps), [8, *ranges, *blocks], atol=0.005)
    assert re.findall(r"norms (.*)\.", steps)[0].split(" ")[::2] == list(GATES[cell])
    windows = data.sufficient_window_by_gate.values
    assert_allclose(numbers(said[-1]), [10, float(data.sufficient_window), T, *windows])
    if cell == "lstm":
        last = int(data.growth_last_lag)
        sizes = np.exp(data.log_norms_of_parts.sel(lag=last).values)
        text = f"At lag {last} gradients of parts of the state are"
        assert said[2].startswith(text)
        for name, size in zip(ENDS, sizes, strict=True):
            assert f" {name} {size:.2g}" in said[2]


def test_sentences_at_the_edges(portraits):
    data = portraits["lstm"]
    last = int(data.growth_last_lag)
    parts = data.log_norms_of_parts.copy(deep=True)
    parts.loc[{"lag": last}] = [-2000.0, -np.inf, np.nan]
    lost = data.assign(
        log_norms_of_parts=parts,
        jacobian_norm=data.jacobian_norm * np.nan,
        sufficient_window=np.nan,
        sufficient_window_by_gate=data.sufficient_window_by_gate * np.nan,
    )
    _, _, of_parts, steps, _, window = facts(portrait, {"portrait": lost})
    assert of_parts.endswith(": h 10^-868.6, c 0, path through c not known.")  # e^-2000
    assert "a norm of unknown size" in steps
    assert window == (
        "No window is known to suffice for a gradient of W_hh, W_xh and b_h within 10% (by gate: "
        "i ?, f ?, g ?, o ?)."
    )
    with figures.style():
        portrait.draw({"portrait": lost})["portrait"].draw_without_rendering()


def test_a_network_of_ones_own_is_read_with_its_cell(tmp_path):
    rnn, _ = network("gru")
    arrays = {name: array[0] for name, array in rnn.weights._asdict().items()}
    np.savez(tmp_path / "mine.npz", cell="gru", **arrays)
    own = replace(
        TINY, cell="vanilla", gain=None, forget_bias=0.0, weights=str(tmp_path / "mine.npz")
    )
    data = portrait.compute(own, progress=False)["portrait"]
    assert portrait_page.subject_in_words(data) == f"mine.npz, {H} GRU units, reading characters"
    assert_array_equal(data.gate_singular_values, rnnsim.spectrum(rnn).singular_values[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "tree"}, "`cell` must be one of 'vanilla', 'lstm', 'gru', got 'tree'"),
        ({"cell": "vanilla"}, "`forget_bias` sets the bias of a gate, which cell='vanilla' has"),
        ({"activation": "relu"}, "`activation` is phi of vanilla networks"),
        ({"forget_bias": np.nan}, "`forget_bias` must be a finite number"),
    ],
)
def test_misuse(changes, message):
    with pytest.raises(checks.REFUSALS, match=message):
        portrait.compute(replace(TINY, **changes), progress=False)
