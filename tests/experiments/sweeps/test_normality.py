"""Sweeps over the departure from normality: eigenvalues kept, paired draws, clear refusals."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import normality_sweep, pseudospectrum_sweep
from rnnsim.experiments import draws

TINY = {"length": 20, "n_hidden": 6, "network_seeds": [2, 0], "batch_size": 2, "n_threads": 1}


@pytest.fixture(scope="module")
def data():
    return normality_sweep(scale=[0.0, 1.0, 4.0], radius=0.8, **TINY)


def as_drawn(seed, radius=0.8):
    """Of the same network, W_hh at this spectral radius."""
    rnn = draws.paired_networks(
        [seed], [1.0], sizes=rnnsim.tasks.sizes("characters"), n_hidden=6, scheme="gaussian",
        activation="tanh", dtype="float64",
    )  # fmt: skip
    return rnn.W_hh[0] * radius / np.abs(np.linalg.eigvals(rnn.W_hh[0])).max()


def test_axes_units_and_configuration(data):
    assert dict(data.sizes) == {"scale": 3, "network_seed": 2, "lag": 20, "activation": 2}
    assert_array_equal(data.network_seed, [2, 0])
    assert data.peak.attrs["units"] == "nats"
    assert json.loads(data.attrs["configuration"])["radius"] == 0.8


def test_all_have_the_spectral_radius_and_one_departure_times_the_scale(data):
    assert_allclose(data.spectral_radius, 0.8, rtol=1e-9)
    share = data.henrici_relative
    ratio = share / np.sqrt(1 - share**2)  # departure / norm of the eigenvalues, which stay
    assert_allclose(ratio.sel(scale=0.0), 0.0, atol=1e-12)
    assert_allclose(ratio.sel(scale=4.0), 4 * ratio.sel(scale=1.0), rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 2])
def test_powers_are_those_of_the_draw(data, seed):
    W = as_drawn(seed)
    powers = [np.log(np.linalg.norm(np.linalg.matrix_power(W, k), 2)) for k in range(20)]
    part = data.sel(scale=1.0, network_seed=seed)
    assert_allclose(part.log_power_norm, powers, atol=1e-10)
    assert_allclose(part.peak, max(powers), atol=1e-10)
    assert int(part.peak_lag) == int(np.argmax(powers))
    assert 0 <= float(part.log_kreiss) <= float(part.peak) + 1e-9


def test_normal_networks_have_the_line_of_their_radius(data):
    part = data.sel(scale=0.0)
    line = np.log(0.8) * np.arange(20)
    assert_allclose(part.log_power_norm, np.tile(line, (2, 1)), atol=1e-10)
    assert_allclose(part.log_kreiss, 0.0, atol=1e-12)


def test_gradients_of_linear_networks_by_hand(data):
    part = data.sel(scale=1.0, network_seed=0, activation="linear")
    rnn = draws.paired_networks(
        [0], [1.0], sizes=rnnsim.tasks.sizes("characters"), n_hidden=6, scheme="gaussian",
        activation="linear", dtype="float64",
    )  # fmt: skip
    rnn = rnn.with_weights(rnn.weights._replace(W_hh=as_drawn(0)[None]))
    batch = draws.paired_data("characters", 20, batch_size=2, seed=0, dtype="float64")
    outputs = rnnsim.forward(rnn, batch.inputs).outputs[0, -1]
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    p[np.arange(2), batch.targets[-1]] -= 1
    gradients, logs = p @ rnn.W_hy[0], []
    for _ in range(20):
        logs.append(np.log(np.linalg.norm(gradients, axis=1)).mean())
        gradients = gradients @ rnn.W_hh[0]
    assert_allclose(part.log_gradient_norm, np.array(logs) - logs[0], atol=1e-9)


def test_orthogonal_networks_are_normal_at_any_scale():
    data = normality_sweep(scale=[1.0, 3.0], scheme="orthogonal", **TINY)
    assert_allclose(data.henrici_relative, 0.0, atol=1e-12)
    assert_allclose(data.log_power_norm.sel(lag=7), 7 * np.log(0.9), atol=1e-10)


def test_pseudospectra_are_smallest_singular_values_of_the_same_networks():
    data = pseudospectrum_sweep(
        scale=[1.0, 3.0], radius=0.8, n_hidden=6, network_seed=2, extent=1.2, n_points=5
    )
    W = as_drawn(2)
    assert_allclose(data.re, np.linspace(-1.2, 1.2, 5))
    for im, re in np.ndindex(5, 5):
        z = data.re.values[re] + 1j * data.im.values[im]
        smallest = np.linalg.svd(z * np.eye(6) - W, compute_uv=False)[-1]
        found = data.log_sigma_min.sel(scale=1.0).values[im, re]
        assert_allclose(found, np.log(smallest), atol=1e-5)  # its own tolerance is 1e-6
    found = np.sort_complex(data.eigenvalues.sel(scale=3.0).values)
    assert_allclose(found, np.sort_complex(np.linalg.eigvals(W)), atol=1e-10)
    assert data.henrici_relative[1] > data.henrici_relative[0]


@pytest.mark.parametrize("sweep", [normality_sweep, pseudospectrum_sweep])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"radius": 1.0}, ValueError, "`radius` must be a finite number between 0 and 1"),
        ({"scale": [-1.0]}, ValueError, "`scale` must be at least 0"),
        ({"scale": [1.0, 1.0]}, ValueError, "`scale` must hold at least one value and none twice"),
        ({"scheme": "glorot"}, ValueError, "`scheme` must be one of"),
        ({"task": "subtracting"}, ValueError, "`task` must be one of"),
        ({"n_hidden": 0}, ValueError, "`n_hidden` must be at least 1"),
        ({"dtype": "float16"}, ValueError, "`dtype` must be one of"),
    ],
)
def test_misuse_is_refused(sweep, changes, error, message):
    with pytest.raises(error, match=message):
        sweep(**{"scale": 1.0} | changes)


@pytest.mark.parametrize(
    ("sweep", "changes", "message"),
    [
        (normality_sweep, {"tolerance": 1.0}, "`tolerance` must be a finite number between"),
        (normality_sweep, {"batch_size": 0}, "`batch_size` must be at least 1"),
        (normality_sweep, {"activation": "sine"}, "`activation` must be one of"),
        (pseudospectrum_sweep, {"extent": 0.0}, "`extent` must be a finite number between"),
        (pseudospectrum_sweep, {"n_points": 1}, "`n_points` must be at least 2"),
        (pseudospectrum_sweep, {"network_seed": -1}, "`network_seed` must be at least 0"),
    ],
)
def test_their_own_options_are_checked(sweep, changes, message):
    with pytest.raises(ValueError, match=message):
        sweep(**{"scale": 1.0} | changes)


@pytest.mark.parametrize("activation", ["linear", "tanh"])
@pytest.mark.parametrize("scale", [0.0, 4.0])
def test_gradients_and_windows_of_each_activation_are_those_of_single_calls(
    data, scale, activation
):
    batch = draws.paired_data("characters", 20, batch_size=2, seed=0, dtype="float64")
    for seed in (0, 2):
        drawn = draws.paired_networks(
            [seed], [1.0], sizes=rnnsim.tasks.sizes("characters"), n_hidden=6, scheme="gaussian",
            activation=activation, dtype="float64",
        )  # fmt: skip
        rnn = drawn.with_weights(drawn.weights._replace(W_hh=as_drawn(seed)[None]))
        flow = rnnsim.gradient_flow(rnnsim.with_departure(rnn, scale), batch)
        part = data.sel(scale=scale, activation=activation, network_seed=seed)
        logs = flow.log_norms[0, -1, :20]
        assert_allclose(part.log_gradient_norm, logs - logs[0], atol=1e-8)
        assert float(part.sufficient_window) == rnnsim.sufficient_window(flow, 0.1)[0]
