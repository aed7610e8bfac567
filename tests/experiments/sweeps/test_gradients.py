"""Sweeps: the same numbers as single calls, paired draws, labels, and refusals before the start."""

import json
import zlib

import numpy as np
import pytest

import rnnsim
from rnnsim import tasks
from rnnsim.experiments.catalogue.sweeps import MEASURES
from rnnsim.experiments.sweeps.gradients import sweep

GAINS, LENGTHS = (0.6, 1.4), (8, 12)
VARIABLES = {name: v for table in MEASURES.values() for name, v in table.items()}
ALL = ("gradients", "steps", "truncation", "lags", "slopes", "map", "spectrum", "nonnormality")


@pytest.mark.parametrize(
    ("task", "unit"),
    [
        ("echo", "nats"),
        ("adding", "1"),
        (("adding", "echo"), "nats (classes), 1 (numbers)"),
    ],
)
def test_losses_of_classes_are_in_nats_those_of_numbers_have_no_unit(task, unit):
    data = sweep(
        task, gain=1.0, length=10, n_hidden=3, network_seeds=1, batch_size=1, measures="gradients"
    )
    assert data.loss.attrs["units"] == unit
    assert data.log_gradient_norm.attrs["units"] == "nats"


@pytest.fixture(scope="module")
def dataset():
    return sweep(
        "characters",
        gain=GAINS,
        length=LENGTHS,
        n_hidden=6,
        network_seeds=2,
        data_seeds=2,
        batch_size=3,
        measures=ALL,
        truncation=("sliding", "segments"),
        windows=(1, 3, 8, 12),
    )


def one_run(gain, network_seed, data_seed, length, last_loss_only=False):
    """The network and the batch of one point of the sweep, drawn as documented."""
    D, V = tasks.sizes("characters")
    key = [network_seed, zlib.crc32(b"gaussian"), D, 6, V]
    rnn = rnnsim.RNN.sample(
        n_inputs=D, n_hidden=6, n_outputs=V, gain=gain, rng=np.random.default_rng(key)
    )
    key = [data_seed, zlib.crc32(b"characters"), length, 3]
    batch = tasks.characters(length, 3, rng=np.random.default_rng(key))
    return rnn, batch.last_loss_only() if last_loss_only else batch


def point(dataset, gain, network_seed, data_seed, length):
    return dataset.sel(
        task="characters",
        scheme="gaussian",
        activation="tanh",
        n_hidden=6,
        gain=gain,
        network_seed=network_seed,
        data_seed=data_seed,
        length=length,
    )


POINTS = [(0.6, 0, 0, 8), (1.4, 1, 0, 12), (0.6, 1, 1, 12), (1.4, 0, 1, 8)]


@pytest.mark.parametrize("at", POINTS)
def test_gradients_are_those_of_single_calls(dataset, at):
    rnn, batch = one_run(*at)
    got, full = point(dataset, *at), rnnsim.bptt(rnn, batch)
    norm = np.linalg.norm(full.W_hh[0])
    everything = np.sqrt(sum(np.sum(g[0] ** 2) for g in full.weights))
    assert float(got.loss) == pytest.approx(full.loss[0], rel=1e-12)
    assert float(got.loss_weight) == at[3]
    assert float(got.log_gradient_norm) == pytest.approx(np.log(norm), abs=1e-12)
    assert float(got.log_gradient_norm_per_weight) == pytest.approx(np.log(norm / at[3]))
    assert float(got.log_gradient_norm_all) == pytest.approx(np.log(everything), abs=1e-12)
    terms = full.step_norms.W_hh[0].sum()
    assert float(got.cancellation) == pytest.approx(norm / terms, rel=1e-10)
    assert float(got.first_nonfinite) == -1
    with np.errstate(divide="ignore"):
        steps, states = np.log(full.step_norms.W_hh[0]), np.log(full.state_norms[0, 1:])
    np.testing.assert_allclose(got.log_step_norm[: at[3]], steps, atol=1e-12)
    np.testing.assert_allclose(got.log_state_norm[: at[3]], states, atol=1e-12)
    assert np.isnan(got.log_step_norm[at[3] :]).all()


@pytest.mark.parametrize("at", POINTS)
def test_flow_measures_are_those_of_single_calls(dataset, at):
    rnn, batch = one_run(*at)
    T = at[3]
    got, flow = point(dataset, *at), rnnsim.gradient_flow(rnn, batch, per_sequence=True)
    for lag in (0, 3, T - 1):
        logs = flow.per_sequence[0, lag:, lag]
        assert float(got.log_norm.sel(lag=lag)) == pytest.approx(logs.mean(), abs=1e-12)
        assert float(got.log_norm_std.sel(lag=lag)) == pytest.approx(logs.std(), abs=1e-10)
        rms = 0.5 * np.log(np.mean(np.exp(2 * logs)))
        assert float(got.log_rms.sel(lag=lag)) == pytest.approx(rms, abs=1e-12)
        assert float(got.live.sel(lag=lag)) == 1.0
    change = (flow.per_sequence[0, -1, -1] - flow.per_sequence[0, -1, 0]).mean()
    assert float(got.log_change) == pytest.approx(change, abs=1e-12)
    fit = rnnsim.growth_rate(flow)
    assert float(got.growth_rate) == pytest.approx(fit.rate[0], abs=1e-12)
    assert float(got.growth_rate_error) == pytest.approx(fit.standard_error[0], abs=1e-12)
    assert (float(got.growth_live), bool(got.growth_single)) == (fit.live[0], fit.single[0])
    assert (float(got.growth_first_lag), float(got.growth_last_lag)) == (
        fit.first_lag,
        fit.last_lag,
    )
    assert float(got.mean_slope) == pytest.approx(flow.mean_slope[0])
    assert float(got.saturated_fraction) == flow.saturated_fraction[0]
    np.testing.assert_allclose(got.log_norm_map[:T, :T], flow.log_norms[0], atol=1e-12)
    assert np.isnan(got.log_norm_map[T:]).all()
    assert float(got.sufficient_window) == rnnsim.sufficient_window(flow)[0]


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize("scheme", ["sliding", "segments"])
def test_truncation_is_that_of_single_calls(dataset, at, scheme):
    rnn, batch = one_run(*at)
    full = rnnsim.bptt(rnn, batch).W_hh[0]
    got = point(dataset, *at).sel(truncation=scheme)
    for window in (1, 3, 8, 12):
        values = got.sel(window=window)
        if window > at[3]:
            assert np.isnan(float(values.truncation_log_error))
            continue
        stride = 1 if scheme == "sliding" else None
        g = rnnsim.truncated_bptt(rnn, batch, window=window, stride=stride).W_hh[0]
        assert float(values.truncated_log_norm) == pytest.approx(np.log(np.linalg.norm(g)))
        per_weight = np.log(np.linalg.norm(g) / at[3])
        assert float(values.truncated_log_norm_per_weight) == pytest.approx(per_weight)
        cosine = (g * full).sum() / np.linalg.norm(g) / np.linalg.norm(full)
        assert float(values.truncation_cosine) == pytest.approx(cosine, abs=1e-10)
        error = np.linalg.norm(g - full) / np.linalg.norm(full)
        if window >= at[3]:
            assert float(values.truncation_log_error) == -np.inf
        else:
            assert float(values.truncation_log_error) == pytest.approx(np.log(error), abs=1e-8)


def test_spectrum_is_that_of_the_network_and_has_no_data_axes(dataset):
    rnn, _ = one_run(1.4, 1, 0, 8)
    found = rnnsim.spectrum(rnn)
    got = dataset.sel(task="characters", scheme="gaussian", n_hidden=6, gain=1.4, network_seed=1)
    np.testing.assert_array_equal(got.eigenvalues, found.eigenvalues[0])
    np.testing.assert_array_equal(got.singular_values, found.singular_values[0])
    for name in ("spectral_radius", "spectral_norm", "henrici", "henrici_relative"):
        assert dataset[name].dims == ("task", "scheme", "n_hidden", "gain", "network_seed")
        assert float(got[name]) == getattr(found, name)[0]


@pytest.mark.parametrize("gain", GAINS)
def test_nonnormality_is_that_of_the_network_although_each_draw_is_looked_at_once(dataset, gain):
    rnn, _ = one_run(gain, 1, 0, 8)
    found = rnnsim.nonnormality(rnn)
    got = dataset.sel(task="characters", scheme="gaussian", n_hidden=6, gain=gain, network_seed=1)
    # Rounding of the draw times its gain; the search for suprema ends within 1e-6 of them.
    for name in ("numerical_radius", "numerical_abscissa", "kreiss", "eigenbasis_condition"):
        assert dataset[name].dims == ("task", "scheme", "n_hidden", "gain", "network_seed")
        assert float(got[name]) == pytest.approx(getattr(found, name)[0], rel=1e-6)
    np.testing.assert_allclose(got.participation, found.participation[0], rtol=1e-8)


def test_nonnormality_at_gain_0_and_below():
    data = sweep(
        "characters", gain=[-2.0, 0.0, 1.0], length=3, n_hidden=5, network_seeds=2,
        measures="nonnormality",
    ).squeeze(drop=True)  # fmt: skip
    positive, negative, nothing = (data.sel(gain=gain) for gain in (1.0, -2.0, 0.0))
    np.testing.assert_allclose(negative.numerical_radius, 2 * positive.numerical_radius)
    np.testing.assert_array_equal(negative.kreiss, positive.kreiss)
    assert (nothing.numerical_radius == 0).all()
    assert (nothing.kreiss == 1).all()
    assert (nothing.participation == 1).all()
    assert (negative.numerical_abscissa != 2 * positive.numerical_abscissa).all()


def test_last_loss_only_keeps_one_loss():
    data = sweep(
        "characters",
        gain=0.9,
        length=7,
        n_hidden=6,
        network_seeds=1,
        batch_size=3,
        measures=("gradients",),
        last_loss_only=True,
    )
    rnn, batch = one_run(0.9, 0, 0, 7, last_loss_only=True)
    assert float(data.loss_weight.squeeze()) == 1.0
    assert float(data.loss.squeeze()) == pytest.approx(rnnsim.bptt(rnn, batch).loss[0])


def test_every_variable_has_units_and_a_long_name(dataset):
    assert set(dataset.data_vars) == set(VARIABLES)
    for name, array in dataset.data_vars.items():
        assert array.dims == VARIABLES[name].dims
        assert array.attrs["units"]
        assert len(array.attrs["long_name"]) > 3
    assert dataset.lag.attrs["units"] == "steps"


def test_configuration_provenance_and_versions_are_recorded(dataset):
    configuration = json.loads(dataset.attrs["configuration"])
    assert configuration["gain"] == list(GAINS)
    assert configuration["network_seed"] == [0, 1]
    assert configuration["batch_size"] == 3
    provenance = json.loads(dataset.attrs["provenance"])
    assert provenance["characters.corpus_sha256"] == tasks.corpus().sha256
    assert {"python", "numba", "numpy", "rnnsim-toolkit"} <= set(
        json.loads(dataset.attrs["versions"])
    )


def test_threads_and_order_of_values_change_nothing(dataset):
    again = sweep(
        "characters",
        gain=GAINS[::-1],
        length=LENGTHS[::-1],
        n_hidden=6,
        network_seeds=[1, 0],
        data_seeds=[1, 0],
        batch_size=3,
        measures=ALL,
        truncation=("sliding", "segments"),
        windows=(1, 3, 8, 12),
        n_threads=1,
    )
    assert (
        again.sortby(["gain", "length", "network_seed", "data_seed"])
        .drop_attrs()
        .equals(dataset.drop_attrs())
    )


def test_large_ensembles_are_cut_without_changing_the_result(dataset, monkeypatch):
    monkeypatch.setattr("rnnsim.experiments.sweeps.gradients._JOB_BYTES", 1.0)
    again = sweep(
        "characters",
        gain=GAINS,
        length=LENGTHS,
        n_hidden=6,
        network_seeds=2,
        data_seeds=2,
        batch_size=3,
        measures=("gradients", "lags"),
    )
    for name in again.data_vars:
        np.testing.assert_allclose(again[name], dataset[name], rtol=1e-12, err_msg=name)


def test_a_truncation_scheme_without_the_measure_changes_nothing():
    arguments = {"gain": 1.0, "length": 10, "n_hidden": 3, "measures": ("gradients",)}
    data = sweep("adding", truncation="segments", **arguments)
    assert data.drop_attrs().equals(sweep("adding", **arguments).drop_attrs())


def test_several_tasks_schemes_activations_and_sizes():
    data = sweep(
        ["adding", "temporal_order"],
        gain=1.0,
        length=10,
        n_hidden=[4, 5],
        network_seeds=1,
        batch_size=2,
        scheme=["gaussian", "orthogonal", "identity", "uniform"],
        activation=["tanh", "relu", "linear"],
        measures=("gradients", "spectrum"),
    )
    assert data.loss.shape == (2, 4, 3, 2, 1, 1, 1, 1)
    assert data.loss.notnull().all()
    radius = data.spectral_radius.sel(scheme="orthogonal")
    np.testing.assert_allclose(radius, 1.0, rtol=1e-12)
    assert data.singular_values.sel(n_hidden=4).isnull().sum() == 8  # units 4 of 0..4


def test_overflow_is_flagged_for_its_network_alone():
    data = sweep(
        "adding",
        gain=[0.5, 1e4],
        length=120,
        n_hidden=4,
        network_seeds=1,
        batch_size=2,
        activation="linear",
        measures=("gradients",),
    ).squeeze()
    assert float(data.first_nonfinite.sel(gain=0.5)) == -1
    assert float(data.first_nonfinite.sel(gain=1e4)) > 0
    assert np.isfinite(float(data.log_gradient_norm.sel(gain=0.5)))


def test_float32_is_close_to_float64():
    arguments = {"gain": 0.9, "length": 9, "n_hidden": 6, "network_seeds": 1, "batch_size": 3}
    single, double = (
        sweep("characters", dtype=dtype, measures=("gradients", "lags"), **arguments)
        for dtype in ("float32", "float64")
    )
    np.testing.assert_allclose(single.log_norm, double.log_norm, atol=1e-4)
    np.testing.assert_allclose(single.loss, double.loss, rtol=1e-5)


def test_what_does_not_fit_is_refused_before_anything_is_computed(monkeypatch):
    measured = "rnnsim.experiments.sweeps.gradients.measure"
    monkeypatch.setattr(measured, lambda *_: pytest.fail("computed"))
    with pytest.raises(
        MemoryError, match=r"needs about .* GB .* more than `max_memory` = 0.001 GB"
    ):
        sweep("adding", gain=1.0, length=500, n_hidden=4, max_memory=1e6)


def test_only_what_is_measured_counts_as_memory():
    # The norms of all lags would take 128 MB; without them nothing does.
    data = sweep(
        "characters",
        gain=1.0,
        length=2000,
        n_hidden=4,
        network_seeds=1,
        batch_size=1,
        measures=("gradients",),
        max_memory=1e8,
    )
    assert data.loss.notnull().all()


SMALL = {"gain": 1.0, "length": 10, "n_hidden": 3}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"task": "subtracting"}, ValueError, "`task` must be one of 'copy_memory'"),
        ({"scheme": "glorot"}, ValueError, "`scheme` must be one of"),
        ({"activation": "sin"}, ValueError, "`activation` must be one of"),
        ({"measures": "everything"}, ValueError, "`measures` must be one of"),
        ({"truncation": "random"}, ValueError, "`truncation` must be one of"),
        ({"gain": []}, ValueError, "`gain` must hold at least one value"),
        ({"gain": [1.0, 1.0]}, ValueError, "`gain` must hold at least one value and none twice"),
        ({"gain": np.nan}, ValueError, "`gain` must be a finite number"),
        ({"length": 0}, ValueError, "`length` must be at least 1"),
        ({"length": 2.5}, TypeError, "`length` must be an integer"),
        ({"windows": [0]}, ValueError, "`windows` must be at least 1"),
        ({"network_seeds": 0}, ValueError, "`network_seeds` must be at least 1"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1"),
        ({"dtype": "float16"}, ValueError, "`dtype` must be one of"),
        ({"tolerance": 0}, ValueError, "`tolerance` must be a finite number between 0 and 1"),
        ({"n_threads": 0}, ValueError, "`n_threads` must be at least 1"),
        ({"task_options": {"order": "pixels"}}, TypeError, "order"),
    ],
)
def test_bad_arguments_are_named(change, kind, message):
    with pytest.raises(kind, match=message):
        sweep(**({"task": "adding"} | SMALL | change))
