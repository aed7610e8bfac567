"""What one step does: eigenvalues at rest in closed form, those of trajectories by single calls."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.experiments.draws import paired_data, paired_networks

pytestmark = pytest.mark.nojit
FEW = {"n_hidden": 4, "network_seeds": [3, 5], "batch_size": 2, "length": 3}
SIZES = {"sizes": (2, 1), "n_hidden": 4, "activation": "tanh", "dtype": "float64"}


@pytest.fixture(scope="module")
def data():
    return rnnsim.step_sweep(
        "adding", gain=[1.5, 0.5], scheme=["gaussian", "orthogonal"], n_layers=[1, 2],
        cell=["gru", "vanilla", "lstm"], forget_bias=[0.0, 2.0], **FEW,
    )  # fmt: skip


def networks(**options):
    return paired_networks([3, 5], [1.5, 1.5], scheme="gaussian", **SIZES, **options)


def by_parts(values):
    """Complex numbers in an order that rounding does not change."""
    return np.sort_complex(np.round(values, 9))


def at(data, cell, forget_bias=0.0, n_layers=1):
    place = {"cell": cell, "forget_bias": forget_bias, "n_layers": n_layers}
    return data.sel(gain=1.5, scheme="gaussian", **place)


@pytest.mark.parametrize("bias", [0.0, 2.0])
def test_eigenvalues_at_rest_are_those_of_closed_forms(data, bias):
    keep = 1 / (1 + np.exp(-bias))
    for cell, block, share in (("lstm", slice(8, 12), 0.25), ("gru", slice(8, 12), (1 - keep) / 2)):
        rnn = networks(cell=cell, forget_bias=bias)
        for n, seed in enumerate([3, 5]):
            found = at(data, cell, bias).rest_eigenvalue.sel(network_seed=seed).values
            expected = keep + share * np.linalg.eigvals(rnn.W_hh[n, block])
            if cell == "lstm":
                expected = np.concatenate([expected, np.zeros(4)])
            assert_allclose(by_parts(found[: expected.size]), by_parts(expected), atol=1e-8)
    found = at(data, "vanilla").rest_eigenvalue.sel(network_seed=3).values[:4]
    assert_allclose(by_parts(found), by_parts(np.linalg.eigvals(networks().W_hh[0])), atol=1e-8)


@pytest.mark.parametrize(
    ("cell", "n_layers"), [("vanilla", 1), ("lstm", 1), ("gru", 2), ("lstm", 2)]
)
def test_the_last_step_is_that_of_the_whole_trajectory(data, cell, n_layers):
    rnn = networks(cell=cell, n_layers=n_layers)
    batch = paired_data("adding", 3, batch_size=2, seed=0, dtype="float64")
    found = rnnsim.jacobian_spectrum(rnn, batch.inputs)
    here = at(data, cell, n_layers=n_layers)
    S = found.eigenvalues.shape[-1]
    assert 4 * n_layers * (2 if cell == "lstm" else 1) == S
    assert_allclose(here.singular_value[..., :S], found.singular_values[:, -1], atol=1e-12)
    assert_allclose(here.eigenvalue[..., :S], found.eigenvalues[:, -1], atol=1e-6)
    assert here.singular_value[..., S:].isnull().all()


def test_blocks_of_every_layer_have_their_names(data):
    names = data.block.values.tolist()
    assert names[:3] == ["r", "z", "n"]
    assert {"W_hh", "i", "o", "1: r", "2: n", "1: W_hh", "2: o"} <= set(names)
    stack = networks(cell="lstm", n_layers=2)
    here = at(data, "lstm", n_layers=2).block_singular_value
    for layer, rnn in enumerate(stack.layers, 1):
        for i, gate in enumerate("ifgo"):
            expected = np.linalg.svd(rnn.W_hh[:, 4 * i : 4 * i + 4], compute_uv=False)
            assert_allclose(here.sel(block=f"{layer}: {gate}"), expected, atol=1e-12)
    assert here.sel(block=["i", "1: r", "W_hh"]).isnull().all()


def test_axes_are_there_where_they_are_given(data):
    assert data.eigenvalue.dims[:6] == (
        "cell", "forget_bias", "n_layers", "scheme", "gain", "network_seed",
    )  # fmt: skip
    assert data.rest_eigenvalue.sel(cell="vanilla", forget_bias=2.0).isnull().all()
    usual = rnnsim.step_sweep("adding", gain=1.5, scheme="gaussian", **FEW)
    assert usual.eigenvalue.dims == ("scheme", "gain", "network_seed", "sequence", "value")
    assert usual.block.values.tolist() == ["W_hh"]
    assert_array_equal(usual.eigenvalue[0, 0], at(data, "vanilla").eigenvalue[..., :4])
    settings = json.loads(data.attrs["configuration"])
    assert settings["length"] == 3
    assert settings["cell"] == ["gru", "vanilla", "lstm"]
    one = rnnsim.step_sweep(gain=1.5, scheme="gaussian", **FEW | {"length": 1})
    assert one.eigenvalue.notnull().all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_layers": 0}, "`n_layers` must be at least 1"),
        ({"cell": "tree"}, "`cell` must be one of"),
        ({"forget_bias": 1.0}, "`forget_bias` sets the bias of a gate"),
        ({"scheme": []}, "`scheme` must hold at least one value"),
        ({"length": 0}, "`length` must be at least 1"),
    ],
)
def test_misuse_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        rnnsim.step_sweep("adding", **{"gain": 1.0, "scheme": "gaussian", **FEW, **wrong})


@pytest.mark.parametrize("n_layers", [1, 2])
def test_networks_beyond_the_range_are_nan_and_harm_no_other(n_layers):
    options = {"length": 6, "n_hidden": 3, "network_seeds": 1, "batch_size": 2}
    options |= {"activation": "linear", "scheme": "orthogonal", "n_layers": n_layers}
    data = rnnsim.step_sweep("adding", gain=[0.5, 1e300], **options)
    alone = rnnsim.step_sweep("adding", gain=0.5, **options)
    for name in ("eigenvalue", "singular_value"):
        assert np.isnan(data[name].sel(gain=1e300)).all()
        assert_array_equal(data[name].sel(gain=0.5), alone[name].sel(gain=0.5))
    assert np.isfinite(data.rest_eigenvalue).all()
