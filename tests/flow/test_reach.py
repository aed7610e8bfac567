"""Reach: the window that suffices by its definition, and rates of growth that are known."""

import dataclasses
import functools

import numpy as np
import pytest
from builders import NOJIT, case
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, gradient_flow, growth_rate, sufficient_window

pytestmark = pytest.mark.nojit


def flow_of(errors=None, floor=-30.0, curves=None, steps=None):
    """A GradientFlow with these window errors (not logs) or log norms (N, S, K), else made up."""
    made = case()
    flow = gradient_flow(made.rnn, made.sequences)
    changes = {}
    if errors is not None:
        with np.errstate(divide="ignore"):
            log_error = np.log(np.atleast_2d(np.asarray(errors, float)))
        changes["window_log_error"] = log_error
        changes["window_log_floor"] = np.broadcast_to(np.asarray(floor, float), len(log_error))
    if curves is not None:
        curves = np.asarray(curves, float)
        changes["log_norms"] = curves
        changes["steps"] = np.asarray(steps) if steps else np.arange(1, curves.shape[1] + 1)
    return dataclasses.replace(flow, **changes)


def test_the_smallest_window_within_tolerance_suffices():
    flow = flow_of([[0.9, 0.5, 0.2, 0.1, 0.0], [0.05, 0.04, 0.03, 0.02, 0.0]])
    assert_array_equal(sufficient_window(flow, 0.3), [3, 1])
    assert_array_equal(sufficient_window(flow, 0.15), [4, 1])
    assert_array_equal(sufficient_window(flow, 0.035), [5, 3])
    assert sufficient_window(flow, 0.3).dtype == np.float64


def test_the_tolerance_itself_is_within_tolerance():
    assert_array_equal(sufficient_window(flow_of([0.5, 0.1, 0.0]), 0.1), [2])


def test_an_error_that_returns_asks_for_the_window_behind_its_last_excess():
    flow = flow_of([0.05, 0.5, 0.01, 0.2, 0.02, 0.0])
    assert_array_equal(sufficient_window(flow), [5])
    assert_array_equal(sufficient_window(flow, 0.3), [3])
    assert_array_equal(sufficient_window(flow, 0.9), [1])


def test_unknown_errors_are_below_their_floor():
    errors = [0.5, 0.01, np.nan, np.nan, 0.0]
    assert_array_equal(sufficient_window(flow_of(errors, floor=np.log(1e-3)), 0.1), [2])
    # Between the floor and a smaller tolerance nothing is known until the error is exactly 0.
    assert_array_equal(sufficient_window(flow_of(errors, floor=np.log(1e-3)), 1e-4), [5])
    assert_array_equal(sufficient_window(flow_of(errors[:4], floor=np.log(1e-3)), 1e-4), [np.nan])
    assert_array_equal(sufficient_window(flow_of(errors[:4], floor=np.log(1e-5)), 1e-4), [3])


def test_no_window_suffices_where_the_error_stays_or_is_nowhere_known():
    assert_array_equal(sufficient_window(flow_of([0.9, 0.5, 0.2])), [np.nan])
    nowhere = flow_of([[np.nan] * 3, [0.5, 0.05, 0.0]], floor=[np.nan, -30.0])
    assert_array_equal(sufficient_window(nowhere), [np.nan, 2])


def test_full_windows_always_suffice_and_short_lags_may_not():
    made = case(1, N=3, T=8, gain=1.2)
    flow = gradient_flow(made.rnn, made.sequences)
    for tolerance in (0.5, 0.1, 1e-6):
        windows = sufficient_window(flow, tolerance)
        assert (windows >= 1).all()
        assert (windows <= 8).all()
        for n, K in enumerate(windows.astype(int)):
            # NaN is below the floor: h_0 = 0 leaves lag 7 without any contribution.
            assert not (np.exp(flow.window_log_error[n, K - 1 :]) > tolerance).any()
            assert K == 1 or np.exp(flow.window_log_error[n, K - 2]) > tolerance
    short = gradient_flow(made.rnn, made.sequences, max_lag=1)
    assert np.isnan(sufficient_window(short, 1e-9)).all()


def test_no_gradient_has_no_sufficient_window():
    rnn = RNN(np.ones((2, 1)), np.eye(2), np.zeros((2, 2)))
    s = Sequences(np.ones((4, 1, 1)), np.zeros((4, 1), int))
    assert_array_equal(sufficient_window(gradient_flow(rnn, s)), [np.nan])


@pytest.mark.parametrize(
    ("tolerance", "error", "message"),
    [
        (0.0, ValueError, r"`tolerance` must be a finite number between 0 and 1, got 0\.0"),
        (1.0, ValueError, r"`tolerance` must be a finite number between 0 and 1, got 1\.0"),
        (-0.1, ValueError, r"`tolerance` must be .* got -0\.1"),
        (np.nan, ValueError, r"`tolerance` must be .* got nan"),
        ("tiny", TypeError, r"`tolerance` must be a number, got 'tiny'"),
        (None, TypeError, r"`tolerance` must be a number, got None"),
    ],
)
def test_tolerances_that_make_no_sense(tolerance, error, message):
    with pytest.raises(error, match=message):
        sufficient_window(flow_of([0.5, 0.0]), tolerance)


def test_only_flows_have_a_reach():
    for call in (sufficient_window, growth_rate):
        with pytest.raises(
            TypeError, match=r"`flow` must be what gradient_flow returns.* got ndarray"
        ):
            call(np.zeros(3))


@functools.cache
def orthogonal_flow(gain, T=40, last=False, N=3):
    rnn = RNN.sample(N, n_inputs=1, n_hidden=5, n_outputs=2, scheme="orthogonal", gain=gain,
                     activation="linear", rng=0)  # fmt: skip
    s = Sequences(np.zeros((T, 2, 1)), np.ones((T, 2, 2)))
    return gradient_flow(rnn, s.last_loss_only() if last else s)


@pytest.mark.parametrize("gain", [0.1, 0.9, 1.2, 5.0])
@pytest.mark.parametrize("last", [True, False])
def test_the_rate_of_orthogonal_linear_networks_is_the_log_of_their_gain(last, gain):
    for lags in (None, (0, 2), (5, 30)):
        rate = growth_rate(orthogonal_flow(gain, last=last), lags)
        assert_allclose(rate.rate, [np.log(gain)] * 3, rtol=1e-12)
        assert (rate.standard_error < 1e-12).all()
        assert_allclose(rate.half_life, [np.log(2) / abs(np.log(gain))] * 3, rtol=1e-12)


def test_the_default_range_ends_where_half_of_the_loss_steps_end():
    many, one = growth_rate(orthogonal_flow(0.9)), growth_rate(orthogonal_flow(0.9, last=True))
    # Steps 1..40: their median 20.5 gives lag 19, which steps 20..40 reach.
    assert (many.first_lag, many.last_lag, many.n_steps_used) == (1, 19, 21)
    assert (one.first_lag, one.last_lag, one.n_steps_used) == (3, 39, 1)
    given_range = growth_rate(orthogonal_flow(0.9), (4, 38))
    assert (given_range.first_lag, given_range.last_lag, given_range.n_steps_used) == (4, 38, 2)
    three = growth_rate(orthogonal_flow(0.9, T=3))
    assert (three.first_lag, three.last_lag, three.n_steps_used) == (0, 2, 1)


def test_only_steps_that_reach_the_last_lag_enter():
    curves = np.full((1, 6, 6), np.nan)
    for i in range(6):
        curves[0, i, : i + 1] = 100.0 * (i < 5) - 0.5 * np.arange(i + 1)
    rate = growth_rate(flow_of(curves=curves), (0, 5))
    assert_allclose(rate.rate, [-0.5])
    assert rate.n_steps_used == 1


def test_the_fit_is_least_squares_and_its_error_allows_for_correlation():
    rng = np.random.default_rng(0)
    x, noise = np.arange(50.0), rng.normal(size=(2, 50))
    noise[1] = np.cumsum(noise[1])
    curves = (-0.3 * x + noise)[:, None, :]
    rate = growth_rate(flow_of(curves=curves, steps=[60]), (0, 49))
    for n in range(2):
        (slope, _), covariance = np.polyfit(x, curves[n, 0], 1, cov="unscaled")
        residuals = curves[n, 0] - np.polyval(np.polyfit(x, curves[n, 0], 1), x)
        plain = np.sqrt(covariance[0, 0] * (residuals**2).sum() / 48)
        r = np.clip((residuals[1:] @ residuals[:-1]) / (residuals @ residuals), 0.0, 0.99)
        assert_allclose(rate.rate[n], slope, rtol=1e-10)
        assert_allclose(rate.standard_error[n], plain * np.sqrt((1 + r) / (1 - r)), rtol=1e-8)
    assert rate.standard_error[1] > 2 * rate.standard_error[0]


def test_a_rate_that_may_be_zero_has_no_half_life():
    noise = np.random.default_rng(1).normal(size=200)
    x = np.arange(200.0)
    curves = np.stack([noise, noise - 0.1 * x, np.zeros(200)])[:, None, :]
    rate = growth_rate(flow_of(curves=curves, steps=[300]), (0, 199))
    assert np.isnan(rate.half_life[[0, 2]]).all()
    assert_allclose(rate.half_life[1], np.log(2) / abs(rate.rate[1]))
    assert abs(rate.rate[1] + 0.1) < 4 * rate.standard_error[1]


def test_orthogonal_networks_of_gain_one_have_no_half_life():
    rate = growth_rate(orthogonal_flow(1.0, N=5 if NOJIT else 20))
    assert np.abs(rate.rate).max() < 1e-14
    assert np.isnan(rate.half_life).all()


def test_a_norm_that_is_exactly_zero_has_no_rate():
    curves = np.zeros((2, 1, 6))
    curves[0, 0, 4:] = -np.inf
    rate = growth_rate(flow_of(curves=curves, steps=[9]), (0, 5))
    assert_array_equal(np.isnan(rate.rate), [True, False])
    assert_array_equal(np.isnan(rate.standard_error), [True, False])
    assert np.isnan(rate.half_life).all()


@pytest.mark.parametrize(
    ("lags", "error", "message"),
    [
        (
            (0, 1),
            ValueError,
            r"`lags` must be a range of at least 3 lags within 0\.\.39.* got \(0, 1\)",
        ),
        ((5, 2), ValueError, r"`lags` must be a range .* got \(5, 2\)"),
        ((0, 40), ValueError, r"`lags` must be a range .* within 0\.\.39.* got \(0, 40\)"),
        ((-1, 5), ValueError, r"`lags\[0\]` must be at least 0, got -1"),
        ((0, 5.0), TypeError, r"`lags\[1\]` must be an integer of at least 0, got 5\.0"),
        (5, TypeError, r"`lags` must be a pair \(first, last\), got 5"),
        ((1, 2, 3), TypeError, r"`lags` must be a pair \(first, last\), got \(1, 2, 3\)"),
    ],
)
def test_ranges_that_make_no_sense(lags, error, message):
    with pytest.raises(error, match=message):
        growth_rate(orthogonal_flow(0.9), lags)


def test_fewer_than_three_lags_have_no_rate():
    with pytest.raises(
        ValueError, match=r"`lags` must be a range of at least 3 lags within 0\.\.1"
    ):
        growth_rate(orthogonal_flow(0.9, T=2))
