"""What a sweep measures too has the name, axes, unit, words and values that it has there."""

import json

import numpy as np
import pytest
from every_result import batch, networks
from numpy.testing import assert_allclose

import rnnsim
from rnnsim import tasks
from rnnsim.experiments import draws

SEEDS, H, T, B = (0, 1), 5, 25, 3
SETTINGS = {"network_seeds": SEEDS, "n_hidden": H, "gain": 0.9}


def drawn(task="copy_memory", **options):
    """The networks and the data of a sweep."""
    usual = {"scheme": "gaussian", "activation": "tanh", "dtype": "float64"}
    rnn = draws.paired_networks(
        SEEDS, (0.9, 0.9), sizes=tasks.sizes(task), n_hidden=H, **usual | options
    )
    return rnn, draws.paired_data(task, T, batch_size=B, seed=0, dtype="float64", options={})


def assert_as_swept(result, swept, names):
    found, swept = result.to_xarray(), swept.squeeze(drop=True)
    for name in names.split():
        own, other = found[name], swept[name]
        assert own.attrs == other.attrs, name
        if "network" not in own.dims:  # a number of the result, of every network in a sweep
            own = own.broadcast_like(found["network"])
        own = own.rename(network="network_seed")
        assert own.dims == other.dims, name
        labels = {d: own[d] for d in own.dims if d in own.coords and d in other.coords}
        other = other.sel(labels) if labels else other
        for dim in labels:
            assert own[dim].attrs == other[dim].attrs or dim == "network_seed", dim
        assert_allclose(own.values, other.values, rtol=1e-6, atol=1e-9, err_msg=name)


def swept(measures, **options):
    common = {"length": T, "batch_size": B, "measures": measures}
    return rnnsim.sweep("copy_memory", **SETTINGS, **common, **options)


GROWTH = (
    "growth_rate growth_rate_error growth_first_lag growth_last_lag growth_live growth_single "
    "half_life"
)


@pytest.mark.parametrize(
    "options", [{}, {"cell": "lstm"}, {"n_layers": 2}, {"cell": "lstm", "n_layers": 2}]
)
def test_gradients_and_their_flow(options):
    data = swept(["gradients", "lags", "map", "slopes"], **options)
    rnn, batch = drawn(**options)
    flow = rnnsim.gradient_flow(rnn, batch)
    assert_as_swept(rnnsim.bptt(rnn, batch), data, "loss first_nonfinite")
    assert_as_swept(rnnsim.evaluate(rnn, batch), data, "loss")
    assert_as_swept(flow, data, "log_norm_map mean_slope saturated_fraction")
    assert_as_swept(rnnsim.growth_rate(flow), data, GROWTH)


def test_spectra():
    data, (rnn, _) = swept(["spectrum", "nonnormality"]), drawn()
    names = "eigenvalues singular_values spectral_radius spectral_norm henrici henrici_relative"
    assert_as_swept(rnnsim.spectrum(rnn), data, names)
    names = "numerical_radius numerical_abscissa kreiss eigenbasis_condition participation"
    assert_as_swept(rnnsim.nonnormality(rnn), data, names)


def test_a_loss_of_classes_is_in_nats_and_another_has_no_unit():
    for classes, unit in ((True, "nats"), (False, "1")):
        data, rnn = batch(classes=classes), networks("vanilla")
        assert rnnsim.bptt(rnn, data).to_xarray().loss.attrs["units"] == unit
        assert rnnsim.evaluate(rnn, data).to_xarray().loss.attrs["units"] == unit


def test_jacobians():
    options = {"scheme": "gaussian", "lags": [1, 3], "length": T, "batch_size": B}
    data = rnnsim.jacobian_sweep(**SETTINGS, **options, task="copy_memory", exponent_steps=50)
    rnn, batch = drawn()
    found = rnnsim.jacobian_products(rnn, batch, lags=[1, 3])
    assert_as_swept(found, data, "log_singular_value gradient_overlap")
    assert found.to_xarray().rounding.attrs == data.rounding.attrs


def test_exponents():
    options = {"n_steps": 300, "burn_in": 100, "block_steps": 10}
    data = rnnsim.lyapunov_sweep(**SETTINGS, **options)
    found = rnnsim.lyapunov_spectrum(drawn("characters")[0], **options, rng=0).to_xarray()
    for name in ("lyapunov_exponent", "standard_error", "kaplan_yorke", "entropy_rate", "time"):
        assert found[name].attrs == data[name].attrs, name
        assert found[name].dims[-1:] == data[name].dims[-1:] or name.startswith(("kap", "ent"))
    assert found.time.values.tolist() == data.time.values.tolist()
    assert found.exponent.values.tolist() == data.exponent.values.tolist()


def test_reach_gates_and_windows():
    data = rnnsim.cell_sweep(
        "copy_memory", cell="lstm", forget_bias=1.0, n_hidden=H, network_seeds=2, length=T
    )
    flow = rnnsim.gradient_flow(networks("lstm"), batch())
    gates = rnnsim.gate_statistics(networks("lstm"), batch(), exponents=True).to_xarray()
    shares = rnnsim.reach(flow).to_xarray()
    for found, names in (
        (shares, "reach cumulative_share cancellation"),
        (gates, "predicted_exponent deviation"),
    ):
        for name in names.split():
            assert found[name].attrs == data[name].attrs, name
            assert found[name].dims[1:] == tuple(
                d for d in data[name].dims if d not in ("cell", "start", "network_seed")
            )
    record = rnnsim.train(networks("vanilla"), batch(), n_updates=1, snapshot_every=1).record
    flow = rnnsim.gradient_flow(networks("vanilla"), batch()).to_xarray()
    for name in ("window_log_error", "window_cosine"):
        assert flow[name].attrs == record[name].attrs
        assert flow[name].dims == ("network", "window")


def test_configuration_provenance_and_versions():
    rnn, data = networks("lstm"), batch()
    flow = rnnsim.gradient_flow(rnn, data)
    swept_versions = rnnsim.jacobian_sweep(
        gain=1.0, n_hidden=3, lags=[1], length=3, network_seeds=1, exponent_steps=23
    ).versions
    for result in (flow, rnnsim.reach(flow), rnnsim.truncated_bptt(rnn, data, window=2)):
        attributes = {k: json.loads(v) for k, v in result.to_xarray().attrs.items()}
        assert attributes["versions"] == json.loads(swept_versions)
        assert attributes["provenance"] == {"task": "made"}
        known = attributes["configuration"]
        assert known["result"] == type(result).__name__
        assert (known["cell"], known["n_hidden"], known["dtype"]) == ("lstm", 3, "float64")
    assert (known["window"], known["stride"]) == (2, 2)
    assert known["fields"]["W_hh"] == "layers.W_hh"


def test_axes_have_labels_that_select():
    rnn, data = networks("lstm stack"), batch()
    flow = rnnsim.gradient_flow(rnn, data)
    found = flow.to_xarray()
    one = found.gates_log_error_layers.sel(layer=2, gate="f", window=3, network=1)
    assert one == flow.layers[1].gates.log_error[1, 2, 1]
    assert found.log_norm_map.sel(time=9, lag=4, network=0) == flow.log_norms[0, 8, 4]
    gradients = rnnsim.bptt(rnn, data)
    found = gradients.to_xarray()
    assert found.W_xh.shape == (2, 12, 2)
    np.testing.assert_array_equal(found.W_xh_above.sel(upper_layer=2), gradients.layers[1].W_xh)
    np.testing.assert_array_equal(found.W_hh.sel(layer=2), gradients.layers[1].W_hh)
    last = rnnsim.Sequences(data.inputs, data.targets).last_loss_only()
    assert rnnsim.gradient_flow(rnn, last).to_xarray().time.values.tolist() == [25]
