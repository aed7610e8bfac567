"""Portraits of stacks: what is computed, artists, every number of every sentence."""

import re
from dataclasses import replace

import numpy as np
import pytest
from artists import labelled
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

import rnnsim
from analysis.frame import figures
from analysis.networks import portrait, portrait_gated, portrait_plots
from rnnsim.experiments.portraits.portrait import subject_of

H, T, B = 4, 26, 2
KINDS = {("vanilla", 4), ("lstm", 2), ("gru", 3)}
EACH = pytest.mark.parametrize("kind", sorted(KINDS), ids=str)


def settings(kind):
    cell, L = kind
    return portrait.Settings(
        gain=1.2, n_hidden=H, length=T, batch_size=B, n_threads=1, cell=cell, n_layers=L,
        forget_bias=0.0 if cell == "vanilla" else 1.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def portraits():
    return {kind: portrait.compute(settings(kind), progress=False)["portrait"] for kind in KINDS}


def network(kind):
    """The network of a portrait, and its batch."""
    cell, L = kind
    found = subject_of(
        "characters", T, batch_size=B, networks=("gaussian", 1.2, H, 0), weights=None,
        activation="tanh", dtype="float64", cell=cell, n_layers=L,
        forget_bias=0.0 if cell == "vanilla" else 1.0,
    )  # fmt: skip
    return found.rnn, found.sequences


def shown(kind):
    """Layers that are drawn."""
    L = kind[1]
    return sorted({1, (1 + L) // 2, L})


@EACH
def test_all_parts_are_those_of_the_library(portraits, kind):
    data, (rnn, batch), (cell, L) = portraits[kind], network(kind), kind
    assert rnn.n_layers == L
    flow = rnnsim.gradient_flow(rnn, batch, per_sequence=True)
    windows = [rnnsim.sufficient_window(layer, of="recurrent")[0] for layer in flow.layers]
    assert_array_equal(data.sufficient_window_by_layer, windows)
    assert_array_equal(data.sufficient_window, np.max(windows))
    assert_array_equal(data.log_norm_map, flow.log_norms[0])
    known = flow.recurrent.log_error[0]
    assert_allclose(data.truncation_log_error[:10], known[:10], rtol=1e-12)
    for error, layer in zip(data.truncation_log_error_of_layers, flow.layers, strict=True):
        assert_allclose(error[:10], layer.recurrent.log_error[0, :10], rtol=1e-12)
    last = int(data.growth_last_lag)
    start = flow.log_norms[0, last:, 0]
    for norms, parts in zip(flow.log_norms_layers[0], data.log_norms_of_parts, strict=True):
        assert_allclose(parts[last], (norms[last:, last] - start).mean(), rtol=1e-10)
    found = rnnsim.lyapunov_spectrum(rnn, batch.inputs)
    assert_array_equal(data.exponents, np.where(found.resolved[0], found.exponents[0], np.nan))
    assert data.sizes["unit"] == L * H * (2 if cell == "lstm" else 1)
    gates = {"lstm": "ifgo", "gru": "rzn", "vanilla": ""}[cell]
    names = [f"{k}: {gate}" for k in range(1, L + 1) for gate in gates]
    assert data.gate.values.tolist() == (names or [f"layer {k}" for k in range(1, L + 1)])
    blocks = [layer.W_hh[0].reshape(-1, H, H) for layer in rnn.layers]
    values = np.linalg.svd(np.concatenate(blocks), compute_uv=False)
    assert_allclose(data.gate_singular_values, values, rtol=1e-10, atol=1e-14)


@EACH
def test_jacobians_are_those_of_the_trajectory_from_its_beginning(portraits, kind):
    data, (rnn, batch) = portraits[kind], network(kind)
    whole = rnnsim.jacobian_spectrum(rnn, batch.inputs[:, :1])
    steps = data.point.values
    assert_allclose(data.jacobian_norm, whole.singular_values[0, steps - 1, 0, 0], rtol=1e-10)
    assert_allclose(data.jacobian_radius, whole.spectral_radius[0, steps - 1, 0], rtol=1e-10)


@EACH
def test_variables_say_their_units_and_the_depth_is_recorded(portraits, kind):
    data = portraits[kind]
    for name in data.data_vars:
        assert data[name].attrs["units"], name
        assert data[name].attrs["long_name"], name
    assert not {"eigenvalues", "mean_slope", "sufficient_window_by_gate"} & set(data.data_vars)
    assert figures.configuration(data)["n_layers"] == kind[1]


@EACH
def test_the_page(portraits, kind):
    cell, L = kind
    with figures.style():
        page = portrait.draw({"portrait": portraits[kind]})["portrait"]
        page.draw_without_rendering()
    shown = " ".join(text.get_text() for text in page.findobj(Text))
    assert not re.search(r"\bnan\b|Pascanu|mean field|many units", shown)
    units = {"vanilla": "tanh", "lstm": "LSTM", "gru": "GRU"}[cell]
    bias = "" if cell == "vanilla" else ", forget bias 1"
    assert page.get_suptitle() == (
        f"gaussian, gain 1.2, {H} {units} units in each of {L} layers{bias}, seed 0, reading "
        "characters"
    )
    assert ("the state $(h, c)$ of all layers" in page.get_supxlabel()) == (cell == "lstm")
    assert "of all layers" in page.get_supxlabel()


@EACH
def test_lines_of_blocks_and_of_layers(portraits, kind):
    data, (cell, L) = portraits[kind], kind
    ax = portrait_gated.plot_gates(data)
    blocks, rows = labelled(ax), data.gate.values.reshape(L, -1)
    assert list(blocks) == [f"layer {k}" for k in shown(kind)]
    for k, line in zip(shown(kind), blocks.values(), strict=True):
        values = data.gate_singular_values.sel(gate=rows[k - 1])
        expected = values[0] if cell == "vanilla" else values[:, 0]  # all of one, or all largest
        assert_array_equal(line.get_ydata(), expected)
    if cell != "vanilla":
        assert "".join(tick.get_text() for tick in ax.get_xticklabels()) in ("ifgo", "rzn")
    assert ax.get_ylim()[1] > max(line.get_ydata().max() for line in blocks.values())
    looks = {(line.get_color(), line.get_marker()) for line in blocks.values()}
    assert len(looks) == len(blocks)
    lines = labelled(portrait_gated.plot_lags(data))
    layers = [f"layer {k}" for k in shown(kind)]
    assert list(lines) == ["state", portrait_plots.RATE, *layers]
    for name in layers:
        expected = data.log_norms_of_parts.sel(part=name).values / np.log(10)
        assert_allclose(lines[name].get_ydata(), expected)


@EACH
def test_errors_of_layers_and_a_table_of_their_windows(portraits, kind):
    data, L = portraits[kind].copy(deep=True), kind[1]
    data.sufficient_window_by_layer[0] = np.nan
    lines = labelled(portrait_gated.plot_truncation(data))
    for k in shown(kind):
        expected = data.truncation_log_error_of_layers.sel(layer=k)[:10] / np.log(10)
        assert_allclose(lines[f"layer {k}"].get_ydata()[:10], expected)
    (_, whole), *rows = portrait_gated.numbers(data)[2].rows
    assert whole == f"{float(data.sufficient_window):.0f} of {T}"
    assert rows[0][0].startswith("layers 1, ")
    found = ", ".join(value for _, value in rows).split(", ")
    assert found == ["?", *(f"{K:.0f}" for K in data.sufficient_window_by_layer.values[1:])]
    assert len(found) == L


def test_of_many_layers_the_table_has_the_ends(portraits):
    data = portraits["vanilla", 4]
    many = data.isel(layer=[0, 1, 2, 2, 2, 3]).assign_coords(layer=range(1, 7))
    (row,) = portrait_gated._in_short(many)
    windows = data.sufficient_window_by_layer.values
    assert row == ("layers 1, 6", f"{windows[0]:.0f}, {windows[-1]:.0f}")


def numbers(text):
    return [float(x) for x in re.findall(r"[-+]?\d+(?:\.\d+)?", text)]


@EACH
def test_sentences(portraits, kind):
    data, (_, L) = portraits[kind], kind
    said = facts(portrait, {"portrait": data})
    assert f"in each of {L} layers" in said[0]
    assert f"the largest Lyapunov exponent is {float(data.exponents[0]):+z.2f}"[:-1] in said[0]
    last = int(data.growth_last_lag)
    assert said[2].startswith(f"At lag {last} gradients of h of each layer, by all paths, are")
    factors = np.exp(data.log_norms_of_parts.sel(lag=last))
    given = re.findall(r"layer (\d) ([\d.e+-]+)", said[2].removesuffix("."))
    assert [int(k) for k, _ in given] == list(range(1, L + 1))
    assert_allclose([float(x) for _, x in given], factors, rtol=0.051)
    norms = [float(x) for x in re.findall(r" (\d+\.\d\d)(?=,|\.$)", said[-3].split("norms")[1])]
    assert_allclose(norms, data.gate_singular_values[:, 0], atol=0.0051)
    window = data.sufficient_window_by_layer.values
    assert said[-1].startswith("A gradient of W_hh, W_xh and b_h within 10% in every layer needs")
    assert numbers(said[-1].split("window of")[1]) == [
        window.max(), T, *(x for k, w in enumerate(window, 1) for x in (k, w))
    ]  # fmt: skip


def test_of_one_layer_nothing_changes():
    one = portrait.compute(replace(settings(("vanilla", 4)), n_layers=1), progress=False)[
        "portrait"
    ]
    assert "henrici" in one.data_vars
    assert "layer" not in one.dims


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "two"])
def test_layers_that_there_cannot_be(wrong):
    with pytest.raises((TypeError, ValueError), match="`n_layers` must be"):
        rnnsim.portrait(n_layers=wrong)


def test_states_that_leave_the_range_have_a_page():
    data = portrait.compute(
        replace(settings(("vanilla", 4)), activation="linear", gain=1e20, n_layers=2),
        progress=False,
    )["portrait"]
    with figures.style():
        portrait.draw({"portrait": data})["portrait"].draw_without_rendering()
    assert all(isinstance(sentence, str) for sentence in facts(portrait, {"portrait": data}))
