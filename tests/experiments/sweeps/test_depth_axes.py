"""Stacks in sweeps: an axis of their own, paired draws, the numbers of single calls."""

import json
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import checks, tasks
from rnnsim.experiments import draws
from rnnsim.experiments.cells import cells_of
from rnnsim.networks.initialisation import INITIALISATIONS

H, T, L = 3, 6, 2
FEW = {"n_hidden": H, "network_seeds": 2, "n_threads": 1}
SWEPT = FEW | {"gain": [0.6, 1.4], "length": T, "batch_size": 2}
MEASURES = ("gradients", "steps", "lags", "truncation", "slopes", "spectrum", "map")
BOTH = ("sliding", "segments")


def stack(cell, task="adding", seed=1, gain=1.4, n_layers=L, scheme="gaussian"):
    """A network as the guide to draws says, by the public way alone."""
    D, V = tasks.sizes(task)
    key = [seed, zlib.crc32(scheme.encode()), D, H, V]
    key += [] if cell == "vanilla" else [zlib.crc32(cell.encode())]
    drawn = rnnsim.Stack.sample(
        n_layers=n_layers, n_inputs=D, n_hidden=H, n_outputs=V, cell=cell, scheme=scheme,
        rng=np.random.default_rng(key),
    )  # fmt: skip
    return drawn.with_weights(
        [layer.weights._replace(W_hh=gain * layer.W_hh) for layer in drawn.layers]
    )


def adding():
    return tasks.adding(T, 2, rng=np.random.default_rng([0, zlib.crc32(b"adding"), T, 2]))


def joined(found, names):
    """Gradients of all layers as one vector."""
    return np.concatenate([getattr(g, name).ravel() for g in found.layers for name in names])


@pytest.fixture(scope="module")
def dataset():
    return rnnsim.sweep(
        "adding", measures=MEASURES, truncation=BOTH, cell=["vanilla", "lstm"], n_layers=[1, L],
        **SWEPT,
    )  # fmt: skip


def point(dataset, cell, n_layers=L):
    at = {"cell": cell, "n_layers": n_layers, "gain": 1.4, "network_seed": 1}
    return dataset.sel(at).squeeze(drop=True)


def test_one_layer_is_what_it_was(dataset):
    usual = rnnsim.sweep("adding", measures=MEASURES, truncation=BOTH, **SWEPT)
    named = rnnsim.sweep("adding", measures=MEASURES, truncation=BOTH, n_layers=1, **SWEPT)
    assert usual.identical(named)
    assert not {"n_layers", "layer"} & {*usual.dims, *json.loads(usual.attrs["configuration"])}
    beside = dataset.sel(cell="vanilla", n_layers=1, drop=True)
    assert beside[list(usual.data_vars)].drop_attrs().equals(usual.drop_attrs())
    assert dataset.loss.dims[:2] == ("cell", "n_layers")
    settings = json.loads(dataset.attrs["configuration"])
    assert settings["n_layers"] == [1, L]
    assert not {"by_layer", "layer"} & settings.keys()


@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
def test_numbers_of_stacks_are_those_of_single_calls(dataset, cell):
    rnn, batch, got = stack(cell), adding(), point(dataset, cell)
    full = rnnsim.bptt(rnn, batch)
    assert float(got.loss) == pytest.approx(full.loss[0], rel=1e-12)
    g = joined(full, ["W_hh"])
    assert_allclose(np.exp(got.log_gradient_norm), np.linalg.norm(g), rtol=1e-12)
    every = [each.ravel() for layer in full.layers for each in layer]
    assert_allclose(np.exp(got.log_gradient_norm_all), np.linalg.norm(np.concatenate(every)))
    steps = np.linalg.norm(full.step_norms.W_hh[0], axis=0)
    assert_allclose(np.exp(got.log_step_norm), steps, rtol=1e-12)
    assert float(got.cancellation) == pytest.approx(np.linalg.norm(g) / steps.sum())
    norms = np.linalg.norm(full.state_norms[0, :, 1:], axis=0)
    assert_allclose(np.exp(got.log_state_norm), norms, rtol=1e-12)
    flow = rnnsim.gradient_flow(rnn, batch, per_sequence=True)
    assert_allclose(got.log_norm[2], flow.per_sequence[0, :, 2].mean(), atol=1e-12)
    layers = flow.log_norms_layers[0, :, :, 2].mean(axis=1)
    assert_allclose(got.log_norm_layers.sel(lag=2), layers, atol=1e-12)
    assert float(got.growth_rate) == pytest.approx(rnnsim.growth_rate(flow).rate[0], abs=1e-12)
    assert float(got.sufficient_window) == rnnsim.sufficient_window(flow)[0]
    assert_allclose(got.log_norm_map[-1], flow.log_norms[0, -1], atol=1e-12)
    assert np.isnan([got.spectral_radius, *got.singular_values]).all()
    assert np.isnan(got.mean_slope) == (cell == "lstm")


@pytest.mark.parametrize("cell", ["vanilla", "lstm"])
@pytest.mark.parametrize("stride", BOTH)
def test_windows_are_held_against_the_recurrent_weights_of_all_layers(dataset, cell, stride):
    rnn, batch, K = stack(cell), adding(), 3
    cut = rnnsim.truncated_bptt(rnn, batch, window=K, stride=1 if stride == "sliding" else None)
    names = ("W_hh", "W_xh", "b_h")
    g, part = joined(rnnsim.bptt(rnn, batch), names), joined(cut, names)
    got = point(dataset, cell).sel(truncation=stride, window=K)
    norms = np.linalg.norm(part), np.linalg.norm(part - g) / np.linalg.norm(g)
    assert_allclose(np.exp([got.truncated_log_norm, got.truncation_log_error]), norms, rtol=1e-8)
    text = dataset.truncation_cosine.attrs["long_name"]
    assert text.endswith("of gated cells and stacks of dL/d[W_hh, W_xh, b_h] of all layers")
    text = dataset.sufficient_window.attrs["long_name"]
    assert text.endswith("of dL/d[W_hh, W_xh, b_h] of each layer, the largest")


def test_norms_into_layers_are_there_where_there_are_layers(dataset):
    one = point(dataset, "vanilla", n_layers=1)
    assert_allclose(one.log_norm_layers.sel(layer=1), one.log_norm, atol=1e-12)
    assert one.log_norm_layers.sel(layer=2).isnull().all()
    assert dataset.log_norm_layers.attrs["long_name"].endswith("by layer, by all paths")
    assert dataset.log_state_norm.attrs["long_name"].endswith(
        "at step t; h: of an LSTM its state (h, c); of stacks of all layers, by all paths"
    )
    assert dataset.cancellation.attrs["long_name"].endswith("; of stacks of all layers together")
    assert dataset.log_norm.attrs["long_name"].endswith(
        "; h: of an LSTM its state (h, c), of stacks the states of all layers"
    )


@pytest.mark.parametrize("drive", ["input", "bias"])
def test_a_phase_diagram_of_stacks(drive):
    settings = {"gain": 1.2, "strength": 0.7, "n_steps": 60, "burn_in": 20, "batch_size": 1}
    data = rnnsim.phase_sweep(n_layers=[1, L], drive=drive, **settings, **FEW)
    alone = rnnsim.phase_sweep(drive=drive, **settings, **FEW)
    for name, values in alone.data_vars.items():
        assert_array_equal(data[name].sel(n_layers=1), values)
    D, V = H, 1
    key = [1, zlib.crc32(b"gaussian"), D, H, V]
    rnn = rnnsim.Stack.sample(
        n_layers=L, n_inputs=D, n_hidden=H, n_outputs=V, rng=np.random.default_rng(key)
    )
    changed = []
    for index, layer in enumerate(rnn.layers):
        beta = np.random.default_rng([1, H, index]).standard_normal(H) * (drive == "bias")
        changed.append(layer.weights._replace(W_hh=1.2 * layer.W_hh, b_h=layer.b_h + 0.7 * beta))
    rnn = rnn.with_weights(changed)
    xi = np.random.default_rng([0, 60, 1, H]).standard_normal((60, 1, H))
    x = 0.7 * xi * (drive == "input")
    h0 = np.random.default_rng([1, H, 0]).standard_normal((L, 1, H))
    found = rnnsim.lyapunov_spectrum(rnn, x, n_exponents=1, h0=h0, burn_in=20, block_steps=2)
    here = data.sel(n_layers=L, network_seed=1)
    assert_allclose(here.lyapunov_exponent.item(), found.exponents.item(), rtol=1e-9)
    last = rnnsim.Sequences(x, np.ones((60, 1, 1))).last_loss_only()
    flow = rnnsim.gradient_flow(rnn, last, max_lag=40, h0=h0)
    assert_allclose(here.growth_rate.item(), rnnsim.growth_rate(flow, (4, 40)).rate[0], rtol=1e-9)


@pytest.mark.parametrize("scheme", INITIALISATIONS)
def test_products_of_jacobians_of_all_cells_and_depths(scheme):
    data = rnnsim.jacobian_sweep(
        gain=1.4, scheme=scheme, lags=[1, 3], length=5, exponent_steps=24, batch_size=2,
        task="adding", cell=["vanilla", "lstm", "gru"], n_layers=[1, L], **FEW,
    )  # fmt: skip
    assert data.sizes["unit"] == L * 2 * H
    batch = draws.paired_data("adding", 5, batch_size=2, seed=0, dtype="float64")
    for cell, S in (("vanilla", L * H), ("lstm", L * 2 * H), ("gru", L * H)):
        found = rnnsim.jacobian_products(stack(cell, scheme=scheme), batch, lags=[1, 3])
        got = data.sel(cell=cell, n_layers=L, network_seed=1).squeeze(drop=True)
        known = found.resolved[0]
        values = got.log_singular_value.transpose(..., "unit").values
        assert_allclose(values[..., :S][known], found.log_singular_values[0][known], atol=1e-9)
        assert np.isnan(values[..., S:]).all()


def test_draws_of_sparse_networks_begin_with_those_of_fewer_layers():
    few = {"sizes": (2, 1), "n_hidden": 20, "connections": 5}
    one, three = (draws.sparse_networks([3, 4], **few, n_layers=n) for n in (1, 3))
    assert_array_equal(three.layers[0].W_hh, one.W_hh)
    assert_array_equal(three.layers[0].W_xh, one.W_xh)
    two = draws.sparse_networks([3, 4], **few, n_layers=2)
    assert_array_equal(three.layers[1].W_hh, two.layers[1].W_hh)
    assert three.layers[2].W_xh.shape == (2, 20, 20)
    assert [layer.n_outputs for layer in three.layers] == [0, 0, 1]
    for layer in three.layers:
        for W_hh in layer.W_hh:
            assert ((W_hh != 0).sum(axis=1) == 5).all()
            assert np.abs(np.linalg.eigvals(W_hh)).max() == pytest.approx(0.95)


def test_a_record_has_layers_and_gates_where_there_are_any():
    settings = FEW | {"length": 10, "gain": 1.0, "n_updates": 1, "batch_size": 2}
    settings |= {"record_every": 1, "snapshot_every": 1, "network_seeds": 1}
    data = rnnsim.training_sweep(cell=["vanilla", "gru"], n_layers=[1, L], **settings)
    usual = rnnsim.training_sweep(**settings)
    one = data.sel(cell="vanilla", n_layers=1)
    assert_array_equal(one.loss, usual.loss)
    assert_array_equal(one.spectral_radius.sel(layer=1), usual.spectral_radius)
    assert one.spectral_radius.sel(layer=2).isnull().all()
    assert one.gate_share.isnull().all()
    assert not {"gate", "layer"} & {*usual.dims}
    gru = data.sel(cell="gru")
    assert gru.gate.values.tolist() == ["r", "z", "n"]
    assert gru.gate_share.sel(n_layers=1, layer=2).isnull().all()
    there = gru.gate_share.where(gru.layer <= gru.n_layers, 1 / 3)
    assert_allclose(there.sum("gate"), 1.0)
    assert_allclose(gru.layer_share.sel(n_layers=L).sum("layer"), 1.0)
    assert gru.spectral_radius.isnull().all()
    assert gru.gate_spectral_norm.sel(n_layers=L).notnull().all()
    rnn = draws.Networks(
        (0,), (1.0,), tasks.sizes("temporal_order"), H, "gaussian", "tanh", "float64", "gru",
        n_layers=L,
    ).draw()  # fmt: skip
    task, test = tasks.temporal_order, draws.test_batch(0)
    training = rnnsim.train(
        rnn, lambda rng: task(10, 2, rng=rng), n_updates=1, optimizer="adam", learning_rate=0.003,
        clip_norm=1.0, rng=draws.training_batches(0, 0), test=task(10, 128, rng=test),
        record_every=1, snapshot_every=1,
    )  # fmt: skip
    here = gru.sel(n_layers=L, gain=1.0, network_seed=0)
    for name, values in training.record.data_vars.items():
        assert_array_equal(here[name], values.isel(network=0), err_msg=name)


def test_gates_of_several_cells_stand_side_by_side():
    settings = FEW | {"length": 10, "gain": 1.0, "n_updates": 1, "batch_size": 2}
    settings |= {"record_every": 1, "snapshot_every": None, "network_seeds": 1}
    data = rnnsim.training_sweep(cell=["lstm", "gru"], **settings)
    assert data.gate.values.tolist() == ["i", "f", "g", "o", "r", "z", "n"]
    known = data.gate_spectral_norm.notnull().all(["gain", "network_seed", "updates"])
    assert known.sel(cell="lstm").values.tolist() == [True] * 4 + [False] * 3
    assert known.sel(cell="gru").values.tolist() == [False] * 4 + [True] * 3
    gru = rnnsim.training_sweep(cell="gru", **settings)
    assert_array_equal(
        gru.gate_spectral_norm.sel(cell="gru"),
        data.gate_spectral_norm.sel(cell="gru", gate=["r", "z", "n"]),
    )


def test_the_penalty_is_for_one_matrix():
    few = FEW | {"length": 10, "n_updates": 1, "test_size": 5, "batch_size": 2}
    data = rnnsim.learning_sweep(
        cell=["vanilla", "gru"], n_layers=[1, L],
        methods=["clipping + penalty", "clipping", "SGD"], **few,
    )  # fmt: skip
    known = data.error.notnull().all(["length", "network_seed", "updates"])
    assert known.sel(training=["clipping", "SGD"]).all()
    assert known.sel(training="clipping + penalty").values.tolist() == [[True, False], [False] * 2]
    alone = rnnsim.learning_sweep(**few)
    order = list(alone.training.values)
    here = data.sel(cell="vanilla", n_layers=1, training=order)
    assert_array_equal(here.loss, alone.loss)
    assert_array_equal(here.spectral_radius.sel(layer=1), alone.spectral_radius)
    with pytest.raises(ValueError, match="`methods` must hold 'SGD' or 'clipping' where networks"):
        rnnsim.learning_sweep(n_layers=2, methods=["clipping + penalty"], **few)


def test_windows_and_their_bias_for_stacks():
    few = FEW | {"batch_size": 2, "n_batches": 2}
    data = rnnsim.window_sweep(n_layers=[1, L], length=5, delay=3, windows=[2], **few)
    alone = rnnsim.window_sweep(length=5, delay=3, windows=[2], **few)
    assert_array_equal(data.loss.sel(n_layers=1), alone.loss)
    assert (data.loss.sel(n_layers=L) != alone.loss).any()
    few |= {"length": 4, "n_updates": 1}
    moments = rnnsim.bias_variance_sweep("adding", n_layers=[1, L], **few)
    alone = rnnsim.bias_variance_sweep("adding", **few)
    assert_array_equal(moments.bias2.sel(n_layers=1), alone.bias2)
    found = rnnsim.window_bias_variance(
        stack("vanilla", gain=1.0), lambda rng: tasks.adding(4, 2, rng=rng), 2,
        windows=moments.window.values.tolist(), rng=draws.training_batches(0, "windows"),
    )  # fmt: skip
    here = moments.sel(n_layers=L, network_seed=1, moment="before")
    assert_allclose(here.bias2, found.bias2[0])


def test_cells_of_several_layers():
    few = FEW | {"length": 22, "forget_bias": 1.0, "batch_size": 2, "scheme": "gaussian"}
    data = rnnsim.cell_sweep("adding", cell=["vanilla", "lstm"], n_layers=L, **few)
    assert data.sizes["unit"] == L * H
    assert json.loads(data.attrs["configuration"])["n_layers"] == L
    drawn = draws.Networks(
        (1,), (1.0,), (2, 1), H, "gaussian", "tanh", "float64", "lstm", 1.0, n_layers=L
    ).draw()
    batch = draws.paired_data("adding", 22, batch_size=2, seed=0, dtype="float64")
    here = data.sel(cell="lstm", network_seed=1).squeeze()
    flow = rnnsim.gradient_flow(drawn, batch)
    assert here.sufficient_window == rnnsim.sufficient_window(flow)[0]
    gates = rnnsim.gate_statistics(drawn, batch, exponents=True)
    assert_allclose(here.time_scale, -np.sort(-gates.time_scale.ravel()))
    assert_allclose(here.predicted_exponent, gates.predicted_exponents[0])
    assert_allclose(here.gate_mean, gates.mean[0, :, 1].mean())
    assert "2*H largest" in data.exponent.attrs["long_name"]
    usual = rnnsim.cell_sweep("adding", cell="lstm", **few)
    assert "n_layers" not in json.loads(usual.attrs["configuration"])


STUDIES = {
    rnnsim.sweep: {"task": "adding", "gain": 1.0, "length": 3},
    rnnsim.cell_sweep: {"length": 22},
    rnnsim.depth_sweep: {"length": 22},
    rnnsim.lyapunov_sweep: {"gain": 1.0, "n_steps": 30, "burn_in": 5},
    rnnsim.phase_sweep: {"gain": 1.0, "strength": 1.0, "n_steps": 30, "burn_in": 5},
    rnnsim.jacobian_sweep: {"gain": 1.0, "lags": [1], "length": 3},
    rnnsim.learning_sweep: {"length": 10, "n_updates": 1},
    rnnsim.training_sweep: {"length": 10, "n_updates": 1},
    rnnsim.window_sweep: {"length": 5, "delay": 3},
    rnnsim.bias_variance_sweep: {"length": 4},
    rnnsim.normality_sweep: {"scale": 1.0},
    rnnsim.pseudospectrum_sweep: {"scale": 1.0},
}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.__name__)
@pytest.mark.parametrize(
    ("n_layers", "message"),
    [
        (0, "`n_layers` must be .*got 0"),
        (1.5, "`n_layers` must be .*got 1.5"),
        ([], "`n_layers` must .*got \\[\\]"),
    ],
)
def test_numbers_of_layers_that_are_none_are_refused(study, n_layers, message):
    with checks.rehearsal(), pytest.raises(checks.REFUSALS, match=message):
        study(n_layers=n_layers, **STUDIES[study])


@pytest.mark.parametrize("study", [rnnsim.normality_sweep, rnnsim.pseudospectrum_sweep])
def test_departures_from_normality_are_of_one_matrix(study):
    with pytest.raises(ValueError, match=r"`n_layers` must be 1 here, got 2: .* one by one"):
        study(scale=1.0, n_layers=2)


def test_estimates_of_memory_count_layers():
    few = {"task": "characters", "length": 100, "gain": 1.0, "n_hidden": 3, "network_seeds": 1}
    few |= {"n_threads": 1, "max_memory": 6e6}
    with checks.rehearsal():
        rnnsim.sweep(**few)
        with pytest.raises(MemoryError, match="max_memory"):
            rnnsim.sweep(**few, n_layers=3)


def test_kinds_of_networks_know_their_states():
    found = cells_of(["vanilla", "lstm"], [0.0], n_layers=[1, 3])
    assert [kind.state_size(4) for kind in found.kinds] == [4, 12, 8, 24]
    assert [kind.has_matrix for kind in found.kinds] == [True, False, False, False]
    assert found.layers == (1, 2, 3)
    assert found.gates == ("i", "f", "g", "o")
