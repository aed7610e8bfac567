"""Reach: the window that suffices by its definition."""

import dataclasses

import numpy as np
import pytest
from builders import case
from numpy.testing import assert_array_equal

from rnnsim import RNN, Sequences, gradient_flow, growth_rate, sufficient_window

pytestmark = pytest.mark.nojit


def flow_of(errors, floor=-30.0):
    """A GradientFlow with these window errors (not logs), else made up."""
    made = case()
    flow = gradient_flow(made.rnn, made.sequences)
    with np.errstate(divide="ignore"):
        log_error = np.log(np.atleast_2d(np.asarray(errors, float)))
    floors = np.broadcast_to(np.asarray(floor, float), len(log_error))
    return dataclasses.replace(flow, window_log_error=log_error, window_log_floor=floors)


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
