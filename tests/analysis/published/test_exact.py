"""Exact reproductions: printed numbers are those of their closed forms, and every row can fail."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from reproduced import done
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar

import rnnsim
from analysis.commands.published import ENTRIES
from analysis.frame import figures
from analysis.published.exact import (
    chaotic_spectra,
    chrono_curves,
    critical_noise,
    gated_eigenvalues,
    linear_unit,
    newman_products,
    one_unit_latch,
)
from analysis.published.rows import rounding
from rnnsim import theory

EXACT = [entry for entry in ENTRIES if entry.kind == "exact"]
WHAT_IS_ALLOWED = ("_error", "rounding")  # ends of variables that widen what is allowed


def as_printed(printed, value):
    assert_allclose(float(printed), value, rtol=0, atol=1.001 * rounding(printed))


@pytest.mark.parametrize("entry", EXACT, ids=lambda entry: entry.name)
def test_every_row_can_fail(entry):
    """Where one measured variable is half as large again, or 1 more, its rows fail."""
    reproduction, datasets = done(entry)
    failed = set()
    for name, data in datasets.items():
        for variable in data.data_vars:
            if data[variable].dtype.kind in "fc" and not variable.endswith(WHAT_IS_ALLOWED):
                for wrong in (1.5 * data[variable], data[variable] + 1):
                    changed = {**datasets, name: data.assign({variable: wrong})}
                    failed |= {row.quantity for row in reproduction.rows(changed) if not row.agrees}
    assert {row.quantity for row in reproduction.rows(datasets)} == failed


@pytest.mark.parametrize("case", gated_eigenvalues.CASES, ids=lambda case: case.name)
def test_gains_at_which_rest_is_lost(case):
    if case.gain == "2":
        assert_allclose(case.critical, 2.0, rtol=1e-14)
    as_printed(case.gain, case.critical)
    if not case.reset:
        known = theory.critical_gain_at_rest(case.cell, forget_bias=case.kept)
        assert_allclose(case.critical, known, rtol=1e-13)


def test_radii_of_frameworks():
    keras = 1 / (1 + np.exp(-1)) + 0.25 / np.sqrt(4)  # a block of a fused orthogonal matrix
    pytorch = 0.5 + 0.25 / np.sqrt(3)
    for name, printed in gated_eigenvalues._DEFAULTS.items():
        as_printed(printed, keras if name.startswith("Keras") else pytorch)
        reach = (keras - 1 / (1 + np.exp(-1))) if name.startswith("Keras") else pytorch - 0.5
        assert_allclose(gated_eigenvalues._REACH[name], reach)


@pytest.mark.parametrize("longest", chrono_curves.NORMS)
def test_chrono_means(longest):
    def mean(power):
        return quad(lambda u: (u / (1 + u)) ** power, 1, longest - 1)[0] / (longest - 2)

    for lag, printed in chrono_curves.NORMS[longest].items():
        as_printed(printed, np.sqrt(mean(2 * lag)))
    as_printed(chrono_curves.MEANS[longest], mean(longest))


def test_chrono_limit():
    assert_allclose(quad(lambda x: np.exp(-1 / x), 0, 1)[0], chrono_curves.LIMIT, atol=5e-5)


def test_critical_noise_is_that_of_the_theory():
    for gain, printed in critical_noise.PRINTED.items():
        noise = float(np.sqrt(theory.critical_input_variance(gain)))
        as_printed(printed, noise)
        found = theory.mean_field(gain, input_variance=noise**2)
        as_printed(critical_noise.VARIANCES[gain], float(found.variance))


@pytest.mark.parametrize(("gain", "strength"), [(1.5, 0.43), (4.0, 7.6)])
def test_the_shift_of_finite_networks_is_that_of_drawn_steps(gain, strength):
    H, draws = 100, 40_000
    q = float(theory.mean_field(gain, input_variance=strength**2).variance)
    rng = np.random.default_rng(0)
    slopes = 1 / np.cosh(np.sqrt(q) * rng.standard_normal((draws, H))) ** 2
    stretched = ((slopes * rng.standard_normal((draws, H))) ** 2).mean(axis=1)
    logs = 0.5 * np.log(stretched / stretched.mean())
    shift = critical_noise.shift(gain, strength, H)
    error = logs.std() / np.sqrt(draws)
    assert error < 0.07 * abs(shift)  # so that the next line can fail
    # the next order in 1/H is smaller by about 1/H over the shift itself
    assert abs(logs.mean() - shift) < 4 * error + 4 * shift**2


def test_finite_networks_need_less_noise():
    large = float(np.sqrt(theory.critical_input_variance(3.0)))
    own = [critical_noise.critical_of(3.0, H) for H in (50, 500, 50_000)]
    assert own[0] < own[1] < own[2] < large
    assert_allclose(own[2], large, rtol=1e-3)


@pytest.mark.parametrize("weight", one_unit_latch.WEIGHTS)
def test_the_latch_in_closed_form(weight):
    state = brentq(lambda h: np.tanh(weight * h) - h, one_unit_latch.border(weight), 1)
    assert_allclose(one_unit_latch.attractor(weight), state, atol=1e-10)
    least = minimize_scalar(
        lambda h: np.arctanh(h) - weight * h, bounds=(0, 0.999999), options={"xatol": 1e-12}
    )
    assert_allclose(one_unit_latch.limit(weight), -least.fun, atol=1e-10)
    assert_allclose(one_unit_latch.border(weight), least.x, atol=1e-5)
    for printed, value in (
        (one_unit_latch.STATES.get(weight), state),
        (one_unit_latch.LIMITS.get(weight), -least.fun),
    ):
        if printed is not None:
            as_printed(printed, value)


def test_rates_of_the_latch():
    for noise, printed in one_unit_latch.RATES.items():
        adverse = noise * one_unit_latch.limit(one_unit_latch.SHOWN)
        h = one_unit_latch.attractor(one_unit_latch.SHOWN, adverse)
        assert_allclose(np.tanh(one_unit_latch.SHOWN * h - adverse), h)
        as_printed(printed, np.log(one_unit_latch.SHOWN * (1 - h**2)))


def test_exponents_of_products():
    for printed, value in zip(newman_products.PRINTED, theory.newman_exponents(5), strict=True):
        as_printed(printed, value)


def test_numbers_of_large_chaotic_networks():
    found = theory.mean_field(chaotic_spectra.GAIN)
    known = {
        "variance": found.variance, "largest": found.largest_exponent, "mean": found.mean_exponent
    }  # fmt: skip
    for name, printed in chaotic_spectra.THEORY.items():
        as_printed(printed, float(known[name]))


def test_the_mean_exponent_is_that_of_the_whole_spectrum():
    settings = chaotic_spectra.Settings(burn_in=50, steps=200)
    numbers, _ = chaotic_spectra._measured(16, 3, settings)
    rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=16, n_outputs=0, gain=2.0, rng=3)
    whole = rnnsim.lyapunov_spectrum(rnn, n_steps=250, burn_in=50, rng=3)
    assert_allclose(numbers["mean"], whole.exponents.mean(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("weight", linear_unit.WEIGHTS)
@pytest.mark.parametrize("window", [1, 2, 7, 40])
def test_moments_of_windows_are_sums_of_covariances(weight, window):
    lags = np.arange(window)
    covariance = weight ** np.abs(lags[:, None] - lags) / (1 - weight**2)
    expected = weight**lags @ covariance @ weight**lags
    assert_allclose(linear_unit.windowed_square(weight, window), expected, rtol=1e-12)


def test_moments_as_printed():
    weight = linear_unit.LISTED
    as_printed(linear_unit.PRINTED["state"], linear_unit.state_square(weight))
    as_printed(linear_unit.PRINTED["full"], (1 + weight**2) / (1 - weight**2) ** 3)
    for window, printed in linear_unit.WINDOWED.items():
        as_printed(printed, float(linear_unit.windowed_square(weight, window)))
    assert all(linear_unit.LENGTH % window == 0 for window in linear_unit.WINDOWS)


def captions(name, change):
    """Captions of a reproduction whose one dataset is changed."""
    reproduction, datasets = done(next(entry for entry in EXACT if entry.name == name))
    changed = {key: change(data) for key, data in datasets.items()}
    with figures.style():
        drawn = reproduction.draw(changed)
    return " ".join(figures.caption_of(figure) for figure in drawn.values())


def _with(**values):
    def change(data: xr.Dataset) -> xr.Dataset:
        there = {name: data[name] * 0 + value for name, value in values.items() if name in data}
        return data.assign(there)

    return change


def test_the_caption_of_the_latch_says_what_is_lost():
    assert "All bits are kept" in captions("one-unit-latch", lambda data: data)
    lost = captions("one-unit-latch", _with(kept=0.5))
    assert "50% of bits are kept" in lost
    assert "All bits" not in lost
    assert "vanishes" not in captions("one-unit-latch", _with(log_slope=0.5))


def _with_line(data):
    """lambda_1 that is 0 at the noise of large networks."""
    return data.assign(exponent=0 * data.exponent + 1 - data.noise) if "noise" in data else data


def test_the_caption_of_noise_says_where_chaos_stops():
    said = captions("critical-noise", _with_line)
    assert "at 1.00 times the noise of large networks. (b)" in said


def test_networks_that_noise_wakes_fall_once_for_good():
    at = np.array([0.5, 1.0, 1.5, 2.0])
    assert critical_noise._last_fall(np.array([0.3, 0.1, -0.1, -0.2]), at) == pytest.approx(1.25)
    assert critical_noise._last_fall(np.array([-0.3, 0.3, -0.1, -0.2]), at) == pytest.approx(1.375)
    assert critical_noise._last_fall(np.array([-0.3, -0.2, -0.1, -0.2]), at) == 0.5
    assert critical_noise._last_fall(np.array([0.4, 0.3, 0.2, 0.1]), at) == 2.0
    said = captions("critical-noise", _with_one_asleep)
    assert "one is below 0 at weaker noise too" in said


def _with_one_asleep(data):
    if "noise" not in data:
        return data
    data = _with_line(data)
    asleep = (data.gain == 2) & (data.network_seed == 0) & (data.noise < 0.6)
    return data.assign(exponent=data.exponent.where(~asleep, -0.1))


def test_the_caption_of_chrono_has_the_ends():
    assert "0.250 and 0.250 are left" in captions("chrono-curves", _with(mean=0.25))
