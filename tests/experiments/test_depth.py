"""Sweeps over depth: paired, labelled, the numbers of the functions that they call."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import depth_sweep
from rnnsim.experiments import draws

T, H = 25, 3
TINY = {"task": "adding", "length": T, "n_hidden": H, "batch_size": 2, "n_threads": 1}


@pytest.fixture(scope="module")
def data():
    return depth_sweep(n_layers=[1, 3], cell="lstm", forget_bias=1.0, network_seeds=[3, 1], **TINY)


def test_axes_and_what_a_stack_has_not(data):
    assert dict(data.sizes) == {
        "n_layers": 2, "network_seed": 2, "layer": 3, "lag": T, "window": T, "unit": 2 * H,
        "rank": 6 * H,
    }  # fmt: skip
    assert data.rate.attrs["units"] == "nats/step"
    deep, shallow = data.sel(n_layers=3), data.sel(n_layers=1)
    for name in ("log_norm", "layer_exponent", "rate", "slope", "sufficient_window"):
        assert deep[name].notnull().all()
        assert shallow[name].sel(layer=1).notnull().all()
        assert shallow[name].sel(layer=[2, 3]).isnull().all()
    assert shallow.exponent[:, 2 * H :].isnull().all()
    assert deep.exponent.notnull().all()


def test_numbers_are_those_of_one_stack(data):
    networks = draws.Networks(
        (1,), (1.0,), (2, 1), H, "gaussian", "tanh", "float64", "lstm", 1.0, n_layers=3
    )
    stack, batch = networks.draw(), draws.Data("adding", T, 2, 0, "float64").draw()
    here = data.sel(n_layers=3, network_seed=1)
    flow = rnnsim.gradient_flow(stack, batch)
    norms = flow.log_norms_layers[0, :, 0]
    assert_allclose(here.log_norm, norms - norms[:, :1])
    slopes = [rnnsim.growth_rate(layer) for layer in flow.layers]
    assert_allclose(here.slope, [found.rate[0] for found in slopes])
    assert_allclose(here.slope_error, [found.standard_error[0] for found in slopes])
    assert here.largest_window == rnnsim.sufficient_window(flow)[0]
    assert here.sufficient_window.max() == here.largest_window
    for found, flown in (
        (here.joint_window_log_error, flow),
        *zip(here.window_log_error, flow.layers, strict=True),
    ):
        known = np.isfinite(flown.recurrent.log_error[0])
        assert_allclose(found[known], flown.recurrent.log_error[0, known])
    assert_allclose(here.exponent, rnnsim.lyapunov_spectrum(stack, batch.inputs).exponents[0])
    states = rnnsim.forward(stack, batch.inputs).layers[0].states[0, 1:]
    second = rnnsim.lyapunov_spectrum(stack.layers[1], states).exponents[0]
    assert_allclose(here.layer_exponent[1], second)
    largest = here.layer_exponent.values[:, 0]
    assert_array_equal(here.rate, [largest.max(), largest[1:].max(), largest[2]])
    union = np.sort(here.layer_exponent.values.ravel())[::-1]
    assert_array_equal(here.exponent, union)


def test_in_linear_identity_stacks_the_guide_is_exact():
    """And lambda of the layers ln rho, whatever W_xh between them is drawn."""
    options = TINY | {"scheme": "identity", "activation": "linear", "gain": 0.9}
    data = depth_sweep(n_layers=[2, 3], network_seeds=2, **options)
    assert_allclose(data.log_norm, data.theory_log_norm, atol=1e-12)
    known = data.layer_exponent.notnull()
    assert known.sum() == 2 * (2 + 3) * H
    assert_allclose(data.layer_exponent.values[known.values], np.log(0.9))
    lags = np.arange(T)
    expected = np.log((lags + 1) * (lags + 2) / 2) + lags * np.log(0.9)
    assert_allclose(data.log_norm.sel(n_layers=3, layer=1)[0], expected, atol=1e-12)


def test_exact_zeros_are_said():
    data = depth_sweep(n_layers=2, gain=0.0, network_seeds=1, **TINY)
    assert np.isneginf(data.exponent).all()
    assert np.isneginf(data.log_norm[..., 1, 1:]).all()
    assert data.theory_log_norm.isnull().all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_layers": 0}, ValueError, "`n_layers` must be at least 1"),
        ({"n_layers": [2, 2]}, ValueError, "`n_layers` must hold at least one value and none twi"),
        ({"cell": "transformer"}, ValueError, "`cell` must be one of 'vanilla', 'lstm', 'gru'"),
        ({"forget_bias": 1.0}, ValueError, "`forget_bias` sets the bias of a gate"),
        ({"cell": "gru", "activation": "relu"}, ValueError, "`activation` is phi of vanilla"),
        ({"length": 21}, ValueError, "`length` must be at least 22"),
        ({"scheme": "glorot"}, ValueError, "`scheme` must be one of"),
        ({"tolerance": 0.0}, ValueError, "`tolerance` must be a finite number between 0 and 1"),
        ({"max_memory": 1.0}, MemoryError, "more than `max_memory`"),
    ],
)
def test_misuse_teaches(options, error, message):
    with pytest.raises(error, match=message):
        depth_sweep(**TINY | options)
