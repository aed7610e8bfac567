"""Series behind findings, recomputed: the gradient's curve and its errors, states, eigenvalues."""

import numpy as np
import pytest
from known_networks import dead, driven, linear, two_rates
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import diagnose, gradient_flow, growth_rate
from rnnsim.diagnosis.cases import error_of
from rnnsim.flow.growth import log_changes

T = 24
DATA = driven(n_steps=T, n_sequences=8)


def test_errors_of_the_curve_are_those_of_its_parts():
    tanh = rnnsim.RNN.sample(n_inputs=2, n_hidden=6, n_outputs=1, gain=1.3, rng=0)
    inputs, targets = DATA.inputs, np.array(DATA.targets)
    last = np.zeros((T, 8))
    last[-1] = 1
    data = rnnsim.Sequences(inputs, targets, last)
    rows = diagnose(tanh, data)["gradient_rate"].evidence
    parts = [
        log_changes(
            gradient_flow(tanh, rnnsim.Sequences(inputs[:, [b]], targets[:, [b]], last[:, [b]])),
            range(T),
        ).squeeze()
        for b in range(8)
    ]
    assert_allclose(rows["log_change"], np.mean(parts, axis=0), atol=1e-12)
    for k in (0, 1, 7, T - 1):
        each = [part[k] for part in parts]
        assert rows["log_error"][k] == pytest.approx(error_of(np.mean(each), each), abs=1e-12)
    assert rows["log_error"][0] == 0 < rows["log_error"][7]


def test_the_fit_is_a_line_of_its_rate_over_its_lags():
    found = diagnose(linear(0.9), DATA)
    line = np.array(found["gradient_rate"].evidence["fitted"])
    fit = growth_rate(gradient_flow(linear(0.9), DATA))
    known = np.flatnonzero(np.isfinite(line))
    assert_array_equal(known, np.arange(fit.first_lag, fit.last_lag + 1))
    assert_allclose(line[known], np.log(0.9) * known, atol=1e-9)


@pytest.mark.parametrize("network", [two_rates(), dead()], ids=["two rates", "dead"])
def test_without_one_rate_there_is_no_line(network):
    rows = diagnose(network, DATA)["gradient_rate"].evidence
    assert np.isnan(rows["fitted"]).all()
    assert len(rows["lag"]) == len(rows["log_change"]) == len(rows["log_error"])


def test_errors_are_not_known_of_one_sequence():
    rows = diagnose(linear(0.9), driven(n_steps=T, n_sequences=1))["gradient_rate"].evidence
    assert np.isnan(rows["log_error"]).all()


def test_parts_that_do_not_reach_a_lag_leave_its_error_open():
    weights = np.zeros((T, 4))
    weights[T - 1, :2] = weights[9, 2:] = 1.0
    data = rnnsim.Sequences(DATA.inputs[:, :4], np.array(DATA.targets)[:, :4], weights)
    error = np.array(diagnose(linear(0.9), data)["gradient_rate"].evidence["log_error"])
    assert np.isfinite(error[:10]).all()
    assert np.isnan(error[10:]).all()


@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
def test_states_after_each_round(cell):
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=5, n_outputs=1, cell=cell, gain=1.5, rng=0)
    rows = diagnose(rnn, DATA)["carried_state"].evidence
    assert_array_equal(rows["steps"], T * np.arange(1, 11))
    run = rnnsim.forward(rnn, np.tile(DATA.inputs, (10, 1, 1)))
    of = {"h": run.states, **({"c": run.memories} if cell == "lstm" else {})}
    for name, states in of.items():
        ends = states[0, T::T].astype(float)
        assert_allclose(rows[f"rms_{name}"], np.sqrt((ends**2).mean(axis=(1, 2))), rtol=1e-9)


def test_eigenvalues_layer_by_layer():
    stack = rnnsim.Stack.sample(n_layers=2, n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    found = diagnose(stack, DATA)
    rows = found["spectrum"].evidence
    assert_array_equal(rows["layer"], [1] * 4 + [2] * 4)
    for k, layer in enumerate(stack.layers):
        mine = np.array(rows["real"][4 * k : 4 * k + 4]) + 1j * np.array(
            rows["imag"][4 * k : 4 * k + 4]
        )
        assert_allclose(np.sort_complex(mine), np.sort_complex(np.linalg.eigvals(layer.W_hh[0])))
    assert max(np.hypot(rows["real"], rows["imag"])) == pytest.approx(found["spectrum"].number)
    by_layer = found["non_normality"].evidence
    assert max(by_layer["spectral_radius"]) == pytest.approx(found["spectrum"].number)


def test_the_error_of_every_window_also_without_one():
    found = diagnose(linear(0.9), DATA)
    assert not found["window_error"].known
    rows = found["window_for_10_percent"].evidence
    with_one = diagnose(linear(0.9), DATA, window=7)["window_error"]
    assert rows["error"][6] == pytest.approx(with_one.number)
    assert rows == dict(with_one.evidence)
    enough = found["window_for_10_percent"].number
    assert min(k for k, e in zip(rows["window"], rows["error"], strict=True)
               if max(rows["error"][k - 1 :]) <= 0.1) == enough  # fmt: skip
