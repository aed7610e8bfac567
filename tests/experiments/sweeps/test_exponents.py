"""Sweeps of Lyapunov exponents: paired draws, closed forms, both directions of time, errors."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.experiments.draws import paired_data, paired_networks

SHORT = {"n_steps": 240, "burn_in": 40, "block_steps": 10, "n_threads": 1}
PLAIN = {"scheme": "gaussian", "activation": "tanh", "dtype": "float64"}
GAINS, H = (0.8, 2.0), 6


@pytest.fixture(scope="module")
def quiet():
    return rnnsim.lyapunov_sweep(
        gain=GAINS, n_hidden=(3, H), network_seeds=2, batch_size=2, **SHORT
    )


@pytest.fixture(scope="module")
def driven():
    settings = {"task": "adding", "driven": True, "batch_size": 3}
    return rnnsim.lyapunov_sweep(gain=1.5, n_hidden=H, network_seeds=2, **settings, **SHORT)


def test_axes_units_and_configuration(quiet):
    assert quiet.lyapunov_exponent.dims == ("n_hidden", "gain", "network_seed", "exponent")
    assert quiet.finite_time.dims[-2:] == ("sequence", "time")
    assert_array_equal(quiet.time, np.arange(10, 201, 10))
    assert {v.attrs["units"] for v in quiet.data_vars.values()} == {"nats/step", "1"}
    settings = json.loads(quiet.attrs["configuration"])
    assert settings["burn_in"] == 40
    assert settings["driven"] is False
    assert float(quiet.input_variance) == 0.0


def test_a_sweep_is_lyapunov_spectrum_on_the_networks_of_other_sweeps(driven):
    rnn = paired_networks((0, 1), (1.5, 1.5), sizes=(2, 1), n_hidden=H, **PLAIN)
    x = paired_data("adding", 240, batch_size=3, seed=0, dtype="float64").inputs
    expected = rnnsim.lyapunov_spectrum(rnn, x, burn_in=40, block_steps=10)
    assert_array_equal(driven.lyapunov_exponent[0, 0], expected.exponents)
    assert_array_equal(driven.standard_error[0, 0], expected.standard_error)
    assert_array_equal(driven.finite_time[0, 0], expected.finite_time[..., 0])
    assert_array_equal(driven.kaplan_yorke[0, 0], expected.kaplan_yorke)
    ends = (driven.kaplan_yorke_low[0, 0], driven.kaplan_yorke_high[0, 0])
    assert_array_equal(np.stack(ends, axis=1), expected.kaplan_yorke_interval)
    assert (ends[0] <= expected.kaplan_yorke).all()
    assert (ends[1] >= expected.kaplan_yorke).all()
    assert_array_equal(driven.entropy_rate[0, 0], expected.entropy_rate)
    # E |x|^2/D of the sequences: the variance of W_xh x_t over units with N(0, 1/D) entries
    assert_allclose(driven.input_variance, (x**2).sum(axis=2).mean() / 2, rtol=1e-12)


def test_one_point_of_a_sweep_alone_is_the_same(quiet):
    alone = rnnsim.lyapunov_sweep(gain=2.0, n_hidden=H, network_seeds=[1], batch_size=2, **SHORT)
    there = quiet.sel(gain=[2.0], n_hidden=[H], network_seed=[1])
    for name in ("lyapunov_exponent", "running", "finite_time", "entropy_rate"):
        assert_array_equal(alone[name], there[name])


def test_smaller_networks_have_fewer_exponents_and_a_dimension_of_their_own(quiet):
    known = np.isfinite(quiet.lyapunov_exponent)
    assert known.sel(n_hidden=3, exponent=slice(1, 3)).all()
    assert not known.sel(n_hidden=3, exponent=slice(4, None)).any()
    assert np.isfinite(quiet.kaplan_yorke).all()
    first = rnnsim.lyapunov_sweep(gain=2.0, n_hidden=H, network_seeds=1, n_exponents=1, **SHORT)
    assert first.exponent.size == 1
    assert np.isnan(first.kaplan_yorke).all()


def test_initial_states_are_drawn_and_differ(quiet):
    assert not np.allclose(quiet.finite_time[..., 0, :], quiet.finite_time[..., 1, :])


def test_linear_orthogonal_networks_have_the_log_of_their_gain():
    data = rnnsim.lyapunov_sweep(
        gain=(0.5, 1.5), n_hidden=4, scheme="orthogonal", activation="linear", **SHORT
    )
    expected = np.broadcast_to(np.log([0.5, 1.5])[None, :, None, None], (1, 2, 5, 4))
    assert_allclose(data.lyapunov_exponent, expected, atol=1e-12)  # rounding of one step
    assert_allclose(data.running, expected[..., :1] + np.zeros(20), atol=1e-12)


def test_running_estimates_are_means_of_the_blocks_so_far(driven):
    blocks = driven.finite_time.values[0, 0]  # seed, sequence, time
    for m in (1, 7, 20):
        pooled = blocks[:, :, :m].reshape(2, -1)
        error = pooled.std(axis=1, ddof=1) / np.sqrt(3 * m)
        assert_allclose(driven.running[0, 0, :, m - 1], pooled.mean(axis=1), rtol=1e-12)
        assert_allclose(driven.running_error[0, 0, :, m - 1], error, rtol=1e-9)
    last = driven.isel(time=-1, n_hidden=0, gain=0)
    assert_allclose(last.running, last.lyapunov_exponent.sel(exponent=1), rtol=1e-12)


def test_running_estimates_end_where_a_trajectory_leaves_the_range():
    rnn = rnnsim.RNN(np.ones((1, 1)), 2.0**20 * np.eye(1), np.ones((1, 1)), activation="linear")
    spectrum = rnnsim.lyapunov_spectrum(rnn, n_steps=100, burn_in=0, rng=0)
    mean, error = spectrum.running()
    left = int(spectrum.first_nonfinite[0]) // spectrum.block_steps
    assert 1 < left < 20
    assert_allclose(mean[0, : left - 1, 0], 20 * np.log(2))
    assert np.isnan(mean[0, left:, 0]).all()
    assert np.isnan(error[0, left:, 0]).all()


SMALL = {"n_steps": 240, "burn_in": 40, "n_threads": 1, "network_seeds": 3}


def one_unit(seed, gain):
    """Recurrent and input weight of a paired network of one unit."""
    rnn = paired_networks((seed,), (gain,), sizes=(1, 1), n_hidden=1, **PLAIN)
    return rnn.W_hh.item(), rnn.W_xh.item()


def log_slopes(w, drive):
    """ln |dh_t/dh_{t-1}| of one unit, step by step, from the state that the sweep begins with."""
    h, logs = np.random.default_rng([1, 1]).standard_normal(), []
    for value in drive:
        h = np.tanh(w * h + value)
        logs.append(np.log(abs(w) * (1 - h * h)))
    return np.array(logs)


def test_input_strength_is_the_deviation_of_what_reaches_a_unit():
    data = rnnsim.phase_sweep(gain=1.2, strength=0.7, n_hidden=1, batch_size=1, **SMALL)
    x = 0.7 * np.random.default_rng([0, 240, 1, 1]).standard_normal(240)
    for seed in range(3):
        w, u = one_unit(seed, 1.2)
        expected = log_slopes(w, u * x)[40:]
        assert_allclose(data.lyapunov_exponent[0, 0, seed], expected.mean(), rtol=1e-9)
        # one unit: the norm at lag k is the product of the last k slopes, fitted from lag 20 on
        curve = np.cumsum(expected[::-1])[19:]
        fitted = np.polyfit(np.arange(20, 201), curve, 1)[0]
        assert_allclose(data.growth_rate[0, 0, seed], fitted, rtol=1e-9)


def test_growth_has_an_error_from_two_sequences_on_and_says_who_lives():
    settings = {"gain": 1.2, "strength": 0.7, "n_hidden": H} | SMALL
    alone, both = (rnnsim.phase_sweep(batch_size=B, **settings) for B in (1, 2))
    assert np.isnan(alone.growth_rate_error).all()
    assert (both.growth_rate_error > 0).all()
    assert (both.growth_live == 1).all()
    dead = rnnsim.phase_sweep(batch_size=2, **settings | {"n_hidden": 1}, activation="relu")
    assert ((dead.growth_live == 0) == np.isnan(dead.growth_rate)).all()
    assert (dead.growth_live < 1).any()


def test_biases_lead_one_unit_where_plain_iteration_leads_it():
    data = rnnsim.phase_sweep(
        gain=0.9, strength=1.3, drive="bias", n_hidden=1, batch_size=1, **SMALL
    )
    for seed in range(3):
        b = 1.3 * np.random.default_rng([seed, 1]).standard_normal()
        expected = log_slopes(one_unit(seed, 0.9)[0], np.full(240, b))[40:]
        assert_allclose(data.lyapunov_exponent[0, 0, seed], expected.mean(), rtol=1e-9)


def test_at_strength_0_both_drives_are_the_same_network():
    settings = {"gain": GAINS, "strength": [0.0, 0.5], "n_hidden": H} | SMALL
    by_input, by_bias = (rnnsim.phase_sweep(drive=d, **settings) for d in ("input", "bias"))
    for name in ("lyapunov_exponent", "growth_rate"):
        assert_array_equal(by_input[name][0], by_bias[name][0])
        assert not np.isclose(by_input[name][1], by_bias[name][1]).any()


def test_both_directions_of_linear_orthogonal_networks_are_the_log_of_the_gain():
    data = rnnsim.phase_sweep(
        gain=GAINS, strength=[0, 1], n_hidden=4, scheme="orthogonal", activation="linear", **SMALL
    )
    expected = np.broadcast_to(np.log(GAINS)[None, :, None], (2, 2, 3))
    assert_allclose(data.lyapunov_exponent, expected, atol=1e-12)  # rounding of one step
    assert_allclose(data.growth_rate, expected, atol=1e-9)  # rounding of logs of about 100, fitted


def test_a_point_of_the_phase_diagram_alone_is_the_same():
    settings = {"n_hidden": H, "n_steps": 100, "burn_in": 20, "n_threads": 1}
    whole = rnnsim.phase_sweep(gain=GAINS, strength=[0.2, 1.0], network_seeds=2, **settings)
    alone = rnnsim.phase_sweep(gain=2.0, strength=1.0, network_seeds=[1], **settings)
    for name in ("lyapunov_exponent", "growth_rate", "growth_rate_error"):
        assert_array_equal(alone[name].squeeze(), whole[name][1, 1, 1])
    assert whole.growth_rate.dims == ("strength", "gain", "network_seed")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"gain": [1, 1]}, ValueError, "`gain` must hold at least one value and none twice"),
        ({"gain": np.nan}, ValueError, "`gain` must be a finite number"),
        ({"n_hidden": 0}, ValueError, "`n_hidden` must be at least 1"),
        ({"network_seeds": 0}, ValueError, "`network_seeds` must be at least 1"),
        ({"n_exponents": 7}, ValueError, "`n_exponents` must be at most the largest n_hidden 6"),
        ({"n_exponents": 0}, ValueError, "`n_exponents` must be at least 1"),
        ({"task": "rowing"}, ValueError, "`task` must be one of"),
        ({"n_steps": 100}, ValueError, "`n_steps` must be at least 240"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1"),
        ({"data_seed": -1}, ValueError, "`data_seed` must be at least 0"),
        ({"scheme": "glorot"}, ValueError, "`scheme` must be one of"),
        ({"activation": "step"}, ValueError, "`activation` must be one of"),
        ({"dtype": "float16"}, ValueError, "`dtype` must be one of"),
        ({"task": "digits", "driven": True}, ValueError, "`n_steps` must be 8"),
    ],
)
def test_misuse_of_lyapunov_sweep(change, error, message):
    with pytest.raises(error, match=message):
        rnnsim.lyapunov_sweep(**{"gain": 1.0, "n_hidden": H} | SHORT | change)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"strength": [0.5, -1]}, ValueError, "`strength` must not be negative, got -1"),
        ({"strength": "much"}, TypeError, "`strength` must be a number"),
        ({"drive": "wind"}, ValueError, "`drive` must be one of 'input', 'bias', got 'wind'"),
        ({"n_steps": 50}, ValueError, "`n_steps` must be at least 60"),
        ({"n_hidden": (4, 5)}, TypeError, "`n_hidden` must be an integer"),
        ({"scheme": "glorot"}, ValueError, "`scheme` must be one of"),
    ],
)
def test_misuse_of_phase_sweep(change, error, message):
    with pytest.raises(error, match=message):
        rnnsim.phase_sweep(**{"gain": 1.0, "strength": 0.5, "n_hidden": 4} | SMALL | change)
