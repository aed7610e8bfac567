"""LSTMs and GRUs in sweeps: axes of their own, paired draws, the numbers of single calls."""

import json
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import checks, tasks
from rnnsim.experiments import draws
from rnnsim.experiments.cells import cells_of
from rnnsim.experiments.study import flow_bytes
from rnnsim.networks.cells import CELLS

FEW = {"n_hidden": 4, "network_seeds": 2, "n_threads": 1}
SWEPT = FEW | {"gain": [0.6, 1.4], "length": [6, 9], "batch_size": 2}
MEASURES = ("gradients", "lags", "truncation", "slopes", "spectrum", "nonnormality")
ALL = {"cell": ["vanilla", "lstm", "gru"], "forget_bias": [0.0, 1.5]}
H = 4


def network(cell, seed=0, gain=1.4, bias=0.0, sizes=None, scheme="gaussian"):
    """A network as the guide to draws says, by the public way alone."""
    D, V = sizes or tasks.sizes("characters")
    key = [seed, zlib.crc32(scheme.encode()), D, H, V]
    key += [] if cell == "vanilla" else [zlib.crc32(cell.encode())]
    return rnnsim.RNN.sample(
        n_inputs=D, n_hidden=H, n_outputs=V, cell=cell, scheme=scheme, gain=gain, forget_bias=bias,
        rng=np.random.default_rng(key),
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset():
    return rnnsim.sweep(
        "characters", measures=MEASURES, truncation=("sliding", "segments"), **ALL, **SWEPT
    )


def point(dataset, cell, bias, gain=1.4, seed=1, length=9):
    """One network and batch of a dataset."""
    at = {"cell": cell, "forget_bias": bias, "gain": gain, "network_seed": seed, "length": length}
    return dataset.sel(at).squeeze(drop=True)


def test_datasets_of_vanilla_networks_have_no_axes_more():
    small = {"gain": 1.0, "length": 4, "measures": "gradients"} | FEW
    usual, named = rnnsim.sweep("adding", **small), rnnsim.sweep("adding", cell="vanilla", **small)
    assert usual.drop_attrs().identical(named.drop_attrs())
    assert not {"cell", "forget_bias"} & {*usual.dims, *json.loads(usual.attrs["configuration"])}


def test_axes_are_there_where_they_are_given(dataset):
    assert dataset.loss.dims[:2] == ("cell", "forget_bias")
    assert dataset.cell.values.tolist() == ALL["cell"]
    settings = json.loads(dataset.attrs["configuration"])
    assert {name: settings[name] for name in ALL} == ALL
    one = rnnsim.sweep("adding", cell="gru", measures="gradients", **SWEPT)
    assert one.loss.dims[:2] == ("cell", "task")


def test_vanilla_networks_beside_gated_ones_are_those_of_other_sweeps(dataset):
    alone = rnnsim.sweep(
        "characters", measures=MEASURES, truncation=("sliding", "segments"), **SWEPT
    )
    beside = dataset.sel(cell="vanilla", forget_bias=0.0, drop=True)
    assert beside.drop_attrs().equals(alone.drop_attrs())


def test_where_there_is_no_network_there_is_nothing(dataset):
    nothing = dataset.sel(cell="vanilla", forget_bias=1.5)
    assert all(v.isnull().all() for v in nothing.data_vars.values() if "network_seed" in v.dims)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("bias", [0.0, 1.5])
def test_numbers_are_those_of_single_calls(dataset, cell, bias):
    rnn = network(cell, seed=1, bias=bias)
    batch = tasks.characters(9, 2, rng=np.random.default_rng([0, zlib.crc32(b"characters"), 9, 2]))
    full, got = rnnsim.bptt(rnn, batch), point(dataset, cell, bias)
    assert float(got.loss) == pytest.approx(full.loss[0], rel=1e-12)
    assert_allclose(np.exp(got.log_gradient_norm), np.linalg.norm(full.W_hh), rtol=1e-12)
    flow = rnnsim.gradient_flow(rnn, batch, per_sequence=True)
    assert_allclose(got.log_norm[3], flow.per_sequence[0, 3:, 3].mean(), atol=1e-12)
    assert float(got.growth_rate) == pytest.approx(rnnsim.growth_rate(flow).rate[0], abs=1e-12)
    assert float(got.sufficient_window) == rnnsim.sufficient_window(flow)[0]
    assert np.isnan([got.mean_slope, got.saturated_fraction, got.spectral_radius]).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("stride", ["sliding", "segments"])
def test_windows_of_gated_cells_are_held_against_all_recurrent_weights(dataset, cell, stride):
    rnn = network(cell, seed=1, bias=1.5)
    batch = tasks.characters(9, 2, rng=np.random.default_rng([0, zlib.crc32(b"characters"), 9, 2]))
    K = 4
    full = rnnsim.bptt(rnn, batch)
    cut = rnnsim.truncated_bptt(rnn, batch, window=K, stride=1 if stride == "sliding" else None)
    g, part = (np.concatenate([x.W_hh.ravel(), x.W_xh.ravel(), x.b_h.ravel()]) for x in (full, cut))
    got = point(dataset, cell, 1.5).sel(truncation=stride, window=K)
    norms = np.linalg.norm(part), np.linalg.norm(part - g) / np.linalg.norm(g)
    assert_allclose(np.exp([got.truncated_log_norm, got.truncation_log_error]), norms, rtol=1e-9)
    cosine = part @ g / np.linalg.norm(g) / np.linalg.norm(part)
    assert float(got.truncation_cosine) == pytest.approx(cosine, abs=1e-10)
    assert dataset.truncation_cosine.attrs["long_name"].endswith("of dL/d[W_hh, W_xh, b_h]")


def test_gain_and_forget_bias_change_nothing_else():
    shared = {"sizes": (3, 2), "n_hidden": H, "scheme": "orthogonal", "activation": "tanh"}
    shared |= {"dtype": "float64", "cell": "lstm"}
    one, other = (
        draws.paired_networks([7], [gain], forget_bias=bias, **shared)
        for gain, bias in ((1.0, 0.0), (2.0, 3.0))
    )
    assert_array_equal(2.0 * one.W_hh, other.W_hh)
    assert_array_equal(one.W_xh, other.W_xh)
    assert_array_equal(one.W_hy, other.W_hy)
    assert_array_equal((other.b_h - one.b_h)[0], np.repeat([0.0, 3.0, 0.0, 0.0], H))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_exponents_at_rest_are_those_of_the_jacobian_there(cell):
    gain, b = 0.4, 1.0
    data = rnnsim.lyapunov_sweep(
        gain=gain, cell=cell, forget_bias=b, task="adding", n_steps=700, burn_in=200, **FEW
    )
    f = 1 / (1 + np.exp(-b))
    for seed in range(2):
        block = network(cell, seed, gain, sizes=(2, 1)).W_hh[0, 2 * H : 3 * H]  # of g, or of n
        scale = 0.25 if cell == "lstm" else 0.5 * (1 - f)
        expected = np.sort(np.log(np.abs(f + scale * np.linalg.eigvals(block))))[::-1]
        found = data.lyapunov_exponent.sel(network_seed=seed).values.ravel()
        assert_allclose(found[:H], expected, atol=0.01)  # complex pairs turn, a block sees a part
        assert found.size == (2 * H if cell == "lstm" else H)
        assert not np.isfinite(found[H:]).any()


def test_a_cell_with_smaller_states_has_fewer_exponents_and_all_have_a_dimension():
    data = rnnsim.lyapunov_sweep(
        gain=1.5, driven=True, task="adding", n_steps=300, burn_in=40, block_steps=2, **ALL, **FEW
    ).sel(forget_bias=0.0)
    assert data.lyapunov_exponent.sizes["exponent"] == 2 * H
    counts = np.isfinite(data.lyapunov_exponent).sum("exponent").values.reshape(3, -1)
    assert (counts == [[H], [2 * H], [H]]).all()
    assert np.isfinite(data.kaplan_yorke).all()
    rnn = network("lstm", 1, 1.5, sizes=(2, 1))
    x = draws.paired_data("adding", 300, batch_size=1, seed=0, dtype="float64").inputs
    expected = rnnsim.lyapunov_spectrum(rnn, x, burn_in=40, block_steps=2)
    assert_array_equal(
        data.lyapunov_exponent.sel(cell="lstm", network_seed=1).values.ravel(),
        expected.exponents[0],
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_biases_of_a_phase_diagram_are_added_to_that_of_the_gate(cell):
    settings = {"gain": 1.2, "cell": cell, "forget_bias": 1.0, "n_steps": 140, "burn_in": 40} | FEW
    by_bias = rnnsim.phase_sweep(strength=[0.0, 0.7], drive="bias", batch_size=1, **settings)
    by_input = rnnsim.phase_sweep(strength=0.0, batch_size=1, **settings)
    assert_array_equal(by_bias.growth_rate.sel(strength=0.0), by_input.growth_rate[..., 0, :, :])
    rnn = network(cell, 1, 1.2, bias=1.0, sizes=(H, 1))
    number = rnn.b_h.size
    beta = np.random.default_rng([1, number]).standard_normal(number)
    rnn = rnn.with_weights(rnn.weights._replace(b_h=rnn.b_h + 0.7 * beta))
    h0 = np.random.default_rng([1, H, 0]).standard_normal((1, H))
    found = rnnsim.lyapunov_spectrum(rnn, n_steps=140, burn_in=40, n_exponents=1, h0=h0)
    got = by_bias.lyapunov_exponent.sel(strength=0.7, network_seed=1)
    assert got.item() == pytest.approx(found.exponents.item(), rel=1e-12)


def test_one_product_of_jacobians_is_what_jacobian_products_says():
    data = rnnsim.jacobian_sweep(
        gain=1.2, scheme="orthogonal", lags=[1, 5], length=9, exponent_steps=40, batch_size=2,
        **ALL, **FEW,
    )  # fmt: skip
    batch = draws.paired_data("characters", 9, batch_size=2, seed=0, dtype="float64")
    for cell, S in (("lstm", 2 * H), ("gru", H)):
        rnn = network(cell, 1, 1.2, bias=1.5, scheme="orthogonal")
        found = rnnsim.jacobian_products(rnn, batch, lags=[1, 5])
        got = data.sel(cell=cell, forget_bias=1.5, network_seed=1).squeeze(drop=True)
        assert_array_equal(got.log_singular_value[..., :S], found.log_singular_values[0])
        assert got.log_singular_value[..., S:].isnull().all()
        assert_array_equal(got.gradient_overlap, found.gradient_overlap[0])


def test_sparse_networks_have_a_sparse_block_of_the_radius_for_each_gate():
    for cell, kind in CELLS.items():
        bias = 0.0 if cell == "vanilla" else 2.0
        rnn = draws.sparse_networks(
            [3], sizes=(2, 1), n_hidden=20, connections=5, cell=cell, forget_bias=bias
        )
        for block in np.split(rnn.W_hh[0], len(kind.gates)):
            assert ((block != 0).sum(axis=1) == 5).all()
            assert np.abs(np.linalg.eigvals(block)).max() == pytest.approx(0.95)
        biases = dict(zip(kind.biases, rnn.b_h.reshape(len(kind.biases), -1), strict=True))
        assert {name for name, b in biases.items() if (b == 2).all()} == set(kind.keeps)
        assert rnn.b_h.sum() == 20 * bias


@pytest.mark.parametrize(
    ("study", "settings"),
    [
        (rnnsim.learning_sweep, {"length": 10, "n_updates": 1, "test_size": 5}),
        (rnnsim.training_sweep, {"length": 10, "n_updates": 1}),
        (rnnsim.window_sweep, {"length": 10, "delay": 3, "n_batches": 1}),
    ],
)
def test_studies_that_train_have_the_axes(study, settings):
    with checks.rehearsal():
        data = study(**ALL, **settings, **FEW)
        usual = study(**settings, **FEW)
    assert data.loss.dims == ("cell", "forget_bias", *usual.loss.dims)
    assert {name: json.loads(data.attrs["configuration"])[name] for name in ALL} == ALL
    assert not {"cell", "forget_bias"} & json.loads(usual.attrs["configuration"]).keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "tree"}, "`cell` must be one of 'vanilla', 'lstm', 'gru'"),
        ({"cell": ["lstm", "lstm"]}, "`cell` must hold at least one value and none twice"),
        ({"forget_bias": 1.0}, "`forget_bias` sets the bias of a gate, which cell='vanilla' has"),
        ({"forget_bias": np.inf}, "`forget_bias` must be a finite number"),
        (
            {"cell": ["vanilla", "lstm"], "forget_bias": [1, 2]},
            "`forget_bias` must hold 0 where `cell` holds 'vanilla'.* add 0",
        ),
        ({"cell": "gru", "activation": "relu"}, "`activation` is phi of vanilla .* a GRU has its"),
        (
            {"cell": ["vanilla", "lstm"], "activation": ["relu"]},
            "`activation` is phi of vanilla .* an LSTM has its own",
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        cells_of(**{"cell": "vanilla", "forget_bias": 0.0} | settings)


def test_gated_cells_stand_at_tanh_alone():
    data = rnnsim.sweep(
        "adding", cell=["vanilla", "gru"], activation=["relu", "tanh"], measures="gradients",
        **SWEPT | {"length": 5},
    )  # fmt: skip
    known = data.loss.notnull().all([dim for dim in data.loss.dims[2:] if dim != "activation"])
    assert known.squeeze().values.tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize("study", [rnnsim.normality_sweep, rnnsim.pseudospectrum_sweep])
def test_departures_from_normality_are_of_vanilla_networks(study):
    with pytest.raises(ValueError, match=r"`cell` must be 'vanilla' here.*`jacobian_sweep` says"):
        study(scale=1.0, cell="lstm")


@pytest.mark.parametrize("cell", CELLS)
def test_estimates_of_memory_are_those_of_the_results(cell):
    batch = tasks.characters(90, 3, rng=0)
    flow = rnnsim.gradient_flow(network(cell), batch, per_sequence=True)
    arrays = [value for value in vars(flow).values() if isinstance(value, np.ndarray)]
    total = sum(array.nbytes for array in {id(array): array for array in arrays}.values())
    estimate = flow_bytes(90, 90, 3, cell=cell)
    assert estimate == pytest.approx(total, rel=0.1)  # windows by gate and the like are left out


def test_exponents_of_several_layers():
    """One layer as ever; of more those of the stack that starts in states drawn for each layer."""
    few = FEW | {"gain": [0.9], "n_steps": 60, "burn_in": 20, "block_steps": 2}
    data = rnnsim.lyapunov_sweep(n_layers=[1, 2], cell=["vanilla", "lstm"], **few)
    assert data.lyapunov_exponent.dims[:2] == ("cell", "n_layers")
    assert data.sizes["exponent"] == 2 * 2 * H
    alone = rnnsim.lyapunov_sweep(**few)
    one = data.sel(cell="vanilla", n_layers=1)
    assert_array_equal(one.lyapunov_exponent[..., :H], alone.lyapunov_exponent)
    assert one.lyapunov_exponent[..., H:].isnull().all()
    assert "n_layers" not in {*alone.dims, *json.loads(alone.attrs["configuration"])}
    stack = draws.Networks(
        (1,), (0.9,), tasks.sizes("characters"), H, "gaussian", "tanh", "float64", "lstm",
        n_layers=2,
    ).draw()  # fmt: skip
    states = draws.initial_states(0, 1, H, "float64", n_layers=2)
    assert_array_equal(states[0], draws.initial_states(0, 1, H, "float64"))
    found = rnnsim.lyapunov_spectrum(stack, n_steps=60, burn_in=20, block_steps=2, h0=states)
    here = data.sel(cell="lstm", n_layers=2, network_seed=1).squeeze()
    known = found.resolved[0]
    assert_allclose(here.lyapunov_exponent[known], found.exponents[0, known])
    assert_allclose(here.kaplan_yorke, found.kaplan_yorke[0])
    with pytest.raises(ValueError, match="at most 4 times the largest n_hidden, 16, got 17"):
        rnnsim.lyapunov_sweep(n_layers=[1, 2], cell="lstm", n_exponents=17, **few)


def test_bias_and_variance_of_several_cells():
    few = FEW | {"length": 5, "n_batches": 2, "n_updates": 1, "batch_size": 2}
    data = rnnsim.bias_variance_sweep("adding", **ALL, **few)
    assert data.bias2.dims == ("cell", "forget_bias", "moment", "network_seed", "window")
    assert data.bias2.sel(cell="vanilla", forget_bias=1.5).isnull().all()
    alone = rnnsim.bias_variance_sweep("adding", **few)
    here = data.sel(cell="vanilla", forget_bias=0.0)
    assert_array_equal(here.bias2, alone.bias2)
    assert "cell" not in alone.dims
    gru = network("gru", seed=1, gain=1.0, bias=1.5, sizes=(2, 1))
    found = rnnsim.window_bias_variance(
        gru, lambda rng: tasks.adding(5, 2, rng=rng), 2, windows=data.window.values.tolist(),
        rng=draws.training_batches(0, "windows"),
    )  # fmt: skip
    point = data.sel(cell="gru", forget_bias=1.5, network_seed=1, moment="before")
    assert_allclose(point.bias2, found.bias2[0])
    assert_allclose(point.variance, found.variance[0])
