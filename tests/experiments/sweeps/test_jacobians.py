"""Sweeps of Jacobian products: paired with other sweeps, labelled, refused before computing."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import jacobian_sweep
from rnnsim.experiments import draws

TINY = {"length": 12, "lags": [1, 3, 8], "n_hidden": 5, "exponent_steps": 40, "n_threads": 1}


@pytest.fixture(scope="module")
def data():
    return jacobian_sweep(gain=[0.5, 1.2], network_seeds=[3, 1], batch_size=2, **TINY)


def test_axes_units_and_configuration(data):
    assert dict(data.sizes) == {
        "scheme": 3, "gain": 2, "network_seed": 2, "sequence": 2, "lag": 3, "unit": 5,
    }  # fmt: skip
    assert_array_equal(data.network_seed, [3, 1])
    assert_array_equal(data.lag, [1, 3, 8])
    assert data.log_singular_value.attrs["units"] == "nats"
    assert data.lyapunov_exponent.attrs["units"] == "nats/step"
    assert json.loads(data.attrs["configuration"])["step"] == 12
    assert data.notnull().all().to_array().all()


def test_networks_are_those_of_sweep(data):
    other = rnnsim.sweep(
        "characters", gain=1.2, length=12, n_hidden=5, network_seeds=[3, 1], batch_size=2,
        measures=("lags", "spectrum"), activation="linear", scheme="gaussian", lags=[8],
    )  # fmt: skip
    linear = jacobian_sweep(
        gain=1.2, network_seeds=[3, 1], scheme="gaussian", activation="linear", batch_size=2, **TINY
    )
    # One step of a linear network is W_hh itself.
    expected = np.log(other.singular_values.values.reshape(2, 5))
    found = linear.log_singular_value.sel(lag=1).values[0, 0]
    assert_allclose(found, np.repeat(expected[:, None], 2, axis=1), rtol=1e-10, atol=1e-12)


def test_linear_orthogonal_networks_are_an_isometry_of_their_gain():
    data = jacobian_sweep(
        gain=[0.8, 1.0], scheme=["orthogonal", "identity"], activation="linear",
        network_seeds=1, batch_size=1, **TINY,
    )  # fmt: skip
    expected = np.log(data.gain) * data.lag
    assert_allclose(data.log_singular_value - expected, 0.0, atol=1e-12)  # rounding of 8 steps
    assert_allclose(data.lyapunov_exponent - np.log(data.gain), 0.0, atol=1e-12)


def test_one_sequence_of_the_sweep_is_what_jacobian_products_says(data):
    rnn = draws.paired_networks(
        [1], [1.2], sizes=rnnsim.tasks.sizes("characters"), n_hidden=5, scheme="identity",
        activation="tanh", dtype="float64",
    )  # fmt: skip
    batch = draws.paired_data("characters", 12, batch_size=2, seed=0, dtype="float64")
    found = rnnsim.jacobian_products(rnn, batch, lags=[1, 3, 8])
    part = data.sel(scheme="identity", gain=1.2, network_seed=1)
    assert_array_equal(part.log_singular_value, found.log_singular_values[0])
    assert_array_equal(part.gradient_overlap, found.gradient_overlap[0])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"lags": [3, 1]}, ValueError, "`lags` must ascend and end at 12 at most"),
        ({"lags": [13]}, ValueError, "`lags` must ascend and end at 12 at most"),
        ({"lags": 2.5}, TypeError, "`lags` must be an integer"),
        ({"lags": []}, ValueError, "`lags` must hold at least one value"),
        ({"exponent_steps": 22}, ValueError, "`exponent_steps` must be at least 23"),
        ({"scheme": "glorot"}, ValueError, "`scheme` must be one of"),
        ({"task": "subtracting"}, ValueError, "`task` must be one of"),
        ({"gain": [1.0, 1.0]}, ValueError, "`gain` must hold at least one value and none twice"),
        ({"n_threads": 0}, ValueError, "`n_threads` must be at least 1"),
        ({"dtype": "float16"}, ValueError, "`dtype` must be one of"),
    ],
)
def test_misuse_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        jacobian_sweep(**{"gain": 1.0} | TINY | changes)


def test_the_least_number_of_exponent_steps_works():
    data = jacobian_sweep(gain=1.0, network_seeds=1, **TINY | {"exponent_steps": 23})
    assert np.isfinite(data.lyapunov_exponent).all()
