"""Sweeps over cells: paired, labelled, the numbers of the functions that they call."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import cell_sweep
from rnnsim.experiments import draws

TINY = {"task": "adding", "length": 25, "n_hidden": 4, "batch_size": 2, "n_threads": 1}


@pytest.fixture(scope="module")
def data():
    return cell_sweep(forget_bias=[0, 2], chrono=9, network_seeds=[3, 1], **TINY)


def test_axes_units_and_configuration(data):
    assert dict(data.sizes) == {
        "cell": 3, "start": 3, "network_seed": 2, "lag": 25, "window": 25, "unit": 4,
    }  # fmt: skip
    assert data.cell.values.tolist() == ["vanilla", "gru", "lstm"]
    assert data.start.values.tolist() == ["bias 0", "bias 2", "chrono 9"]
    assert data.time_scale.attrs["units"] == "steps"
    assert data.deviation.attrs["units"] == "nats/step"
    assert json.loads(data.attrs["configuration"])["scheme"] == "pytorch"
    assert json.loads(data.attrs["provenance"])["task"] == "adding"
    of_gates = ["predicted_exponent", "time_scale", "deviation", "gate_mean", "gate_low"]
    for name in of_gates:
        assert data[name].sel(cell="vanilla").isnull().all()
        assert data[name].sel(cell=["gru", "lstm"]).notnull().all()
    assert data.log_norm_path_c.sel(cell=["vanilla", "gru"]).isnull().all()
    others = data.drop_vars([*of_gates, "gate_high", "log_norm_path_c"])
    assert others.notnull().all().to_array().all()


def test_vanilla_networks_are_the_same_at_every_start(data):
    for variable in data.sel(cell="vanilla").data_vars.values():
        if "network_seed" in variable.dims:
            for start in (1, 2):
                assert_array_equal(variable.isel(start=start), variable.isel(start=0))


def test_numbers_are_those_of_one_network(data):
    networks = draws.Networks((1,), (1.0,), (2, 1), 4, "pytorch", "tanh", "float64", "lstm", 2.0)
    rnn, batch = networks.draw(), draws.Data("adding", 25, 2, 0, "float64").draw()
    here = data.sel(cell="lstm", start="bias 2", network_seed=1)
    flow = rnnsim.gradient_flow(rnn, batch, state_scale="std")
    (steps,) = flow.log_norms.shape[1:2]
    assert steps == 1  # of adding the last step has loss, so that means are over sequences alone
    assert_allclose(here.log_norm, flow.log_norms[0, 0] - flow.log_norms[0, 0, 0])
    path = flow.log_norms_path_c[0, 0] - flow.log_norms[0, 0, 0]
    assert_allclose(here.log_norm_path_c, path)
    assert_allclose(here.cumulative_share, rnnsim.reach(flow).cumulative_W_hh[0])
    assert here.reach == rnnsim.reach(flow).W_hh[0]
    assert here.sufficient_window == rnnsim.sufficient_window(flow, of="recurrent")[0]
    known = np.isfinite(flow.recurrent.log_error[0])
    assert_allclose(here.window_log_error[known], flow.recurrent.log_error[0, known])
    gates = rnnsim.gate_statistics(rnn, batch, exponents=True)
    assert_allclose(here.exponent, gates.spectrum.exponents[0])
    assert_allclose(here.predicted_exponent, gates.predicted_exponents[0])
    assert_allclose(here.deviation, gates.deviation[0])
    assert_allclose(here.time_scale, np.sort(gates.time_scale[0])[::-1])
    assert_allclose(here.gate_mean, gates.mean[0, 1])


@pytest.mark.parametrize("scale", ["std", None])
def test_means_are_over_the_steps_that_reach_back(scale):
    options = TINY | {"task": "characters", "network_seeds": [5], "state_scale": scale}
    data = cell_sweep(cell="gru", forget_bias=1, **options).squeeze(("cell", "start"))
    networks = draws.Networks(
        (5,), (1.0,), rnnsim.tasks.sizes("characters"), 4, "pytorch", "tanh", "float64", "gru", 1.0
    )
    batch = draws.Data("characters", 25, 2, 0, "float64").draw()
    logs = rnnsim.gradient_flow(networks.draw(), batch, state_scale=scale).log_norms[0]
    for lag in (0, 1, 7, 24):
        expected = (logs[lag:, lag] - logs[lag:, 0]).mean()
        assert_allclose(data.log_norm.sel(lag=lag)[0], expected, atol=1e-12)


def test_without_recurrent_weights_all_goes_through_c():
    data = cell_sweep(cell=["lstm"], forget_bias=3, scheme="gaussian", gain=0.0, **TINY)
    whole, path = data.log_norm[..., 1:], data.log_norm_path_c[..., 1:]
    assert_allclose(whole, path, atol=1e-12)
    assert np.isneginf(data.log_norm_path_c[..., 0]).all()


def test_theory_is_of_the_starts(data):
    lags = np.arange(25)
    assert_allclose(data.theory_log_norm[0], lags * np.log(0.5))
    assert_allclose(data.theory_log_norm[1], lags * -np.log1p(np.exp(-2)))
    assert_allclose(data.theory_log_norm[2], rnnsim.theory.chrono_log_norm(9, lags))
    assert_allclose(data.theory_time_scale[1], 1 / np.log1p(np.exp(-2)))
    tau = 2 + 7 * np.array([0.875, 0.625, 0.375, 0.125])
    assert_allclose(data.theory_time_scale[2], -1 / np.log(1 - 1 / tau))


def test_draws_are_paired():
    """Biases and chrono change one gate alone, depth none of the layers that there are."""
    ones, like = (1.0, 1.0), ("pytorch", "tanh", "float64", "lstm")
    one, two = (
        draws.Networks((4, 0), ones, (3, 2), 5, *like, *start).draw()
        for start in ((0.0,), (0.0, 30.0))
    )
    assert_array_equal(one.W_hh, two.W_hh)
    assert_array_equal(one.b_h[:, 10:], two.b_h[:, 10:])
    assert (one.b_h[:, :10] != two.b_h[:, :10]).all()
    deep, deeper = (
        draws.Networks((4, 0), (0.5, 2.0), (3, 2), 5, *like, n_layers=L).draw() for L in (2, 3)
    )
    factors = np.reshape([0.5, 2.0], (2, 1, 1))
    assert_array_equal(deep.layers[0].W_hh, factors * one.W_hh)
    assert_array_equal(deep.layers[0].W_xh, one.W_xh)
    for a, b in zip(deep.layers, deeper.layers, strict=False):
        assert_array_equal(a.W_hh, b.W_hh)
        assert_array_equal(a.b_h, b.b_h)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cell": "transformer"}, ValueError, "`cell` must be one of 'vanilla', 'lstm', 'gru'"),
        ({"chrono": 2.0}, ValueError, "`chrono` must be a finite number"),
        (
            {"cell": ["lstm", "gru"], "activation": "relu"},
            ValueError,
            "`activation` is phi of vanilla networks, and an LSTM has its own",
        ),
        ({"forget_bias": []}, ValueError, "`forget_bias` must hold at least one value"),
        ({"length": 21}, ValueError, "`length` must be at least 22"),
        ({"scheme": "glorot"}, ValueError, "`scheme` must be one of"),
        ({"task": "subtracting"}, ValueError, "`task` must be one of"),
        ({"share": 1.0}, ValueError, "`share` must be a finite number between 0 and 1"),
        ({"state_scale": "max"}, ValueError, "`state_scale` must be one of 'std', got 'max'"),
        ({"max_memory": 1.0}, MemoryError, "more than `max_memory`"),
    ],
)
def test_misuse_teaches(options, error, message):
    with pytest.raises(error, match=message):
        cell_sweep(**TINY | options)
