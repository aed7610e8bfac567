"""Pascanu, Mikolov and Bengio: the condition for vanishing, its gain, the bound at every lag."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import theory
from rnnsim.networks.rnn import RNN

many = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**16)


def test_pascanu_condition_is_strict():
    norms = [0.0, 0.999, 1.0, 1.001]
    assert_array_equal(theory.pascanu_vanishes(norms), [True, True, False, False])
    assert theory.pascanu_vanishes(3.9, slope_bound=0.25)
    assert not theory.pascanu_vanishes(4.0, slope_bound=0.25)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("gaussian", 0.5), ("uniform", np.sqrt(0.75)), ("orthogonal", 1.0), ("identity", 1.0)],
)
def test_pascanu_critical_gain(scheme, expected):
    critical = theory.pascanu_critical_gain(scheme)
    assert_allclose(critical, expected, rtol=1e-15)
    assert_allclose(theory.pascanu_critical_gain(scheme, slope_bound=0.25), 4 * expected)
    rnn = RNN.sample(4, n_inputs=1, n_hidden=256, n_outputs=1, scheme=scheme, rng=11)
    norms = np.linalg.norm(rnn.W_hh, 2, axis=(1, 2))  # within 0.023 of 1.980 where the edge is 2
    assert theory.pascanu_vanishes(0.95 * critical * norms).all()
    assert not theory.pascanu_vanishes(1.05 * critical * norms).any()


@many
@given(seeds, st.integers(1, 8), st.floats(0.05, 5.0), st.floats(0.1, 1.0))
@example(0, 1, 1.0, 1.0)
def test_pascanu_bound_holds_for_any_slopes(seed, n_hidden, gain, slope_bound):
    rng = np.random.default_rng(seed)
    W_hh = gain * rng.standard_normal((n_hidden, n_hidden)) / np.sqrt(n_hidden)
    delta = rng.standard_normal(n_hidden)
    logs = [np.log(np.linalg.norm(delta))]
    for _ in range(30):
        slopes = slope_bound * rng.uniform(0.2, 1.0, n_hidden)
        delta = W_hh.T @ (slopes * delta)
        logs.append(np.log(np.linalg.norm(delta)))
    bound = theory.pascanu_log_bound(
        np.linalg.norm(W_hh, 2), np.arange(31), slope_bound=slope_bound
    )
    assert (np.array(logs) - logs[0] <= bound + 1e-12).all()


def test_pascanu_bound_is_reached_by_orthogonal_linear_networks():
    rnn = RNN.sample(1, n_inputs=1, n_hidden=10, n_outputs=1, scheme="orthogonal", gain=0.7, rng=2)
    delta = np.linalg.matrix_power(rnn.W_hh[0].T, 50) @ np.ones(10)
    expected = theory.pascanu_log_bound(0.7, 50)
    assert_allclose(np.log(np.linalg.norm(delta) / np.sqrt(10.0)), expected[0], rtol=1e-13)


def test_pascanu_bound_closed_forms():
    assert_array_equal(theory.pascanu_log_bound(0.0, [0, 1, 2]), [0.0, -np.inf, -np.inf])
    far = theory.pascanu_log_bound([np.exp(-2.0), np.exp(2.0)], [0, 5000])
    assert_allclose(far, [[0.0, -10000.0], [0.0, 10000.0]], rtol=1e-15)
    assert_allclose(theory.pascanu_log_bound(3.0, 2, slope_bound=0.25), [2 * np.log(0.75)])
    assert theory.pascanu_log_bound(np.ones((2, 3)), np.arange(4)).shape == (2, 3, 4)


@pytest.mark.parametrize("call", [theory.pascanu_vanishes, theory.pascanu_log_bound])
def test_pascanu_arguments_are_checked(call):
    rest = ([1, 2],) if call is theory.pascanu_log_bound else ()
    with pytest.raises(ValueError, match=r"`spectral_norm` must be at least 0, got -1.0"):
        call(-1.0, *rest)
    with pytest.raises(ValueError, match=r"`slope_bound` must be a finite number between 0 and"):
        call(1.0, *rest, slope_bound=0.0)
    with pytest.raises(TypeError, match=r"`slope_bound` must be a number, got 'tanh'"):
        call(1.0, *rest, slope_bound="tanh")


def test_pascanu_remaining_messages():
    with pytest.raises(ValueError, match=r"`lags` must be at least 0, got -1"):
        theory.pascanu_log_bound(1.0, [0, -1])
    with pytest.raises(ValueError, match=r"`scheme` must be one of .*, got 'normal'"):
        theory.pascanu_critical_gain("normal")
    with pytest.raises(ValueError, match="`slope_bound` must be"):
        theory.pascanu_critical_gain("gaussian", slope_bound=-1.0)
