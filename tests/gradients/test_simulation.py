"""Forward passes and scores: the recurrence, laws of unfolding, and networks that overflow."""

import builders
import numpy as np
import pytest
import reference
from builders import ACTIVATIONS, DTYPES, NOJIT, case, cases, plain
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, bptt, evaluate, forward

pytestmark = pytest.mark.nojit
# Activations are good to 4 ulp, a step adds H products; tanh and gain below 2 keep both small.
ROUNDING = {"float64": 1e-12, "float32": 1e-4}


@given(cases(N=2, dtype=st.sampled_from(DTYPES), own=st.booleans()))
@example(case(N=2, T=1, B=1, D=1, H=1, V=1))
@example(case(N=2, T=150, B=2, dtype="float32"))
def test_states_and_outputs_follow_the_recurrence(made):
    result = forward(made.rnn, made.sequences.inputs, h0=made.h0)
    assert result.states.dtype == result.outputs.dtype == made.rnn.dtype
    tolerance = ROUNDING[made.rnn.dtype.name]
    for n in range(2):
        net, x, _, _, h0, activation = plain(made, n)
        states, _ = reference.unfold(net, x, h0, activation)
        outputs = states[1:] @ net.W_hy.T + net.b_y
        size = np.abs(states).max()
        assert_allclose(result.states[n], states, rtol=0, atol=tolerance * size)
        assert_allclose(result.outputs[n], outputs, rtol=0, atol=10 * tolerance * (1 + size))
    assert_array_equal(result.states[:, 0], np.broadcast_to(made.h0, result.states[:, 0].shape))


def test_the_initial_state_is_zero_unless_given():
    made = case(N=2)
    x = made.sequences.inputs
    builders.same_bits(forward(made.rnn, x), forward(made.rnn, x, h0=np.zeros((3, 4))))
    assert not forward(made.rnn, x).states[:, 0].any()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_longer_run_has_the_same_beginning(dtype, activation):
    T = 20 if NOJIT else 200
    made = case(1, N=2, T=T, activation=activation, dtype=dtype)
    x = made.sequences.inputs
    whole = forward(made.rnn, x, h0=made.h0)
    for steps in (1, 7, 64, 65, T - 1):
        begun = forward(made.rnn, x[:steps], h0=made.h0)
        # Blocks of other lengths may sum the input's products in another order.
        tolerance = {"rtol": 100 * np.finfo(dtype).eps, "atol": 100 * np.finfo(dtype).eps}
        count = min(steps, T)
        assert_allclose(begun.states, whole.states[:, : count + 1], **tolerance)
        assert_allclose(begun.outputs, whole.outputs[:, :count], **tolerance)


def test_a_run_continues_from_its_last_state():
    made = case(2, N=2, T=9, own=True)
    x = made.sequences.inputs
    whole = forward(made.rnn, x, h0=made.h0)
    rest = forward(made.rnn, x[:, 4:], h0=whole.states[:, 4])
    assert_allclose(rest.states, whole.states[:, 4:], rtol=1e-13, atol=1e-15)


@given(cases(gain=0.8, H=5, activation="tanh"), st.permutations(range(5)))
def test_renaming_hidden_units_renames_states(made, order):
    w = made.rnn.weights
    renamed = RNN(
        w.W_xh[:, order], w.W_hh[:, order][:, :, order], w.W_hy[:, :, order], w.b_h[:, order],
        w.b_y,
    )  # fmt: skip
    one = forward(made.rnn, made.sequences.inputs, h0=made.h0)
    other = forward(renamed, made.sequences.inputs, h0=made.h0[:, order])
    # an entry may be near 0 where the terms of its sum are not: they are of order 1
    assert_allclose(other.states, one.states[..., order], rtol=1e-12, atol=1e-12)
    assert_allclose(other.outputs, one.outputs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_tanh_is_odd_and_bounded(scale):
    made = case(3, silent=0.0)
    W_hh, x = scale * made.rnn.W_hh, scale * made.sequences.inputs
    rnn = RNN(made.rnn.W_xh, W_hh, made.rnn.W_hy)
    states = forward(rnn, x, h0=made.h0).states
    assert_array_equal(forward(rnn, -x, h0=-made.h0).states, -states)
    assert np.abs(states).max() <= 1


@given(cases(N=2, own=st.booleans()))
def test_evaluation_follows_the_definition(made):
    result = evaluate(made.rnn, made.sequences, h0=made.h0)
    for n in range(2):
        net, x, targets, weights, h0, activation = plain(made, n)
        assert_allclose(result.loss[n], reference.loss(*plain(made, n)), rtol=1e-12, atol=1e-14)
        if made.sequences.has_classes:
            states, _ = reference.unfold(net, x, h0, activation)
            answers = (states[1:] @ net.W_hy.T + net.b_y).argmax(-1)
            counts = weights > 0
            expected = (answers == targets)[counts].mean() if counts.any() else np.nan
            assert_allclose(result.accuracy[n], expected)
        else:
            assert np.isnan(result.accuracy[n])
    assert_array_equal(result.first_nonfinite, [-1, -1])
    full = bptt(made.rnn, made.sequences, h0=made.h0)
    assert_allclose(full.loss, result.loss, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_evaluation_of_many_blocks_follows_the_definition(dtype):
    made = case(4, T=150, B=2, H=3, dtype=dtype)
    result = evaluate(made.rnn, made.sequences, h0=made.h0)
    tolerance = ROUNDING[dtype]
    assert_allclose(result.loss[0], reference.loss(*plain(made)), rtol=tolerance)
    outputs = forward(made.rnn, made.sequences.inputs, h0=made.h0).outputs[0]
    counts = made.sequences.weights > 0
    right = (outputs.argmax(-1) == made.sequences.targets)[counts].mean()
    assert_allclose(result.accuracy, [right])


def test_accuracy_counts_first_answers_of_ties_and_weighted_steps_only():
    rnn = RNN(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((3, 1)), b_y=np.array([2.0, 2.0, 1.0]))
    x, targets = np.zeros((4, 1, 1)), np.array([[0], [1], [2], [0]])
    assert_array_equal(evaluate(rnn, Sequences(x, targets)).accuracy, [0.5])
    weights = np.array([[1.0], [0.0], [0.5], [0.0]])
    assert_array_equal(evaluate(rnn, Sequences(x, targets, weights)).accuracy, [0.5])
    silent = evaluate(rnn, Sequences(x, targets, 0 * weights))
    assert_array_equal(silent.loss, [0.0])
    assert_array_equal(silent.accuracy, [np.nan])


def test_own_data_may_carry_loss_at_different_numbers_of_steps():
    made = case(5, N=2, own=True, silent=0.0)
    s = made.sequences
    weights = s.weights.copy()
    weights[1, 1:] = 0.0
    s = Sequences(s.inputs, s.targets, weights)
    result = evaluate(made.rnn, s, h0=made.h0)
    for n in range(2):
        data = Sequences(s.inputs[n], s.targets[n], s.weights[n])
        alone = evaluate(made.rnn[n], data, h0=made.h0[n])
        builders.same_bits(alone, builders.network_of(result, n))


def test_a_zero_readout_costs_the_logarithm_of_the_classes():
    made = case(6, V=5, silent=0.0)
    w = made.rnn.weights
    rnn = RNN(w.W_xh, w.W_hh, 0 * w.W_hy)
    s = made.sequences
    expected = np.log(5) * s.weights.sum() / s.n_sequences
    assert_allclose(evaluate(rnn, s).loss, [expected], rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_overflowing_network_leaves_the_others_alone(dtype):
    made = case(7, N=3, activation="linear", silent=0.0, dtype=dtype)
    w = [array.copy() for array in made.rnn.weights]
    w[0][1], w[3][1] = 0, 0
    w[1][1] = (1e200 if dtype == "float64" else 1e25) * np.eye(4)  # h_1 fits, h_2 does not
    rnn, x = RNN(*w, activation="linear"), made.sequences.inputs
    result = forward(rnn, x, h0=made.h0, n_threads=2)
    scores = evaluate(rnn, made.sequences, h0=made.h0, n_threads=2)
    assert np.isfinite(result.states[1, :2]).all()
    assert not np.isfinite(result.states[1, 2]).all()
    assert_array_equal(scores.first_nonfinite, [-1, 2, -1])
    assert not np.isfinite(scores.loss[1])
    for n in (0, 2):
        alone = forward(made.rnn[n], x, h0=made.h0)
        builders.same_bits(alone, builders.network_of(result, n))
        alone = evaluate(made.rnn[n], made.sequences, h0=made.h0)
        builders.same_bits(alone, builders.network_of(scores, n))


def test_outputs_that_are_not_finite_are_no_right_answers():
    rnn = RNN(np.ones((1, 1)), np.full((1, 1), 1e200), np.array([[1.0], [-1.0]]),
              activation="linear")  # fmt: skip
    s = Sequences(np.ones((6, 1, 1)), np.zeros((6, 1), int))  # class 0 is what no comparison gives
    result = evaluate(rnn, s)
    states = forward(rnn, s.inputs).states
    assert_array_equal(result.first_nonfinite, [3])
    assert np.isnan(states[0, 4:]).all() or np.isinf(states[0, 4:]).all()
    # Steps 1 and 2 are finite and right; beyond there is no largest output.
    assert np.isnan(result.accuracy[0]) or result.accuracy[0] <= 0.5


def test_arguments_that_make_no_sense():
    made = case(N=2)
    x = made.sequences.inputs
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim\.RNN, got Weights"):
        forward(made.rnn.weights, x)
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim\.RNN, got NoneType"):
        evaluate(None, made.sequences)
    with pytest.raises(ValueError, match=r"`inputs` must be .* n_networks = 2, got shape \(6, 3\)"):
        forward(made.rnn, x[..., 0])
    with pytest.raises(ValueError, match=r"`inputs` must have at least one entry .* T is 0"):
        forward(made.rnn, x[:0])
    with pytest.raises(TypeError, match=r"`inputs` .* must hold float32 or float64, got int64"):
        forward(made.rnn, np.zeros((6, 3, 2), int))
    bad = x.copy()
    bad[4, 1, 0] = np.inf
    with pytest.raises(ValueError, match=r"`inputs` must be finite, got inf at \[0, 4, 1, 0\]"):
        forward(made.rnn, bad)
    for n_threads, error in ((0, ValueError), (1.0, TypeError), (True, TypeError)):
        for call, data in ((forward, x), (evaluate, made.sequences)):
            with pytest.raises(error, match=r"`n_threads` must be"):
                call(made.rnn, data, n_threads=n_threads)
