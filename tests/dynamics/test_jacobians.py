"""Jacobians and their products: brute force, the gradient flow, closed forms and laws."""

import dataclasses
import sys

import numpy as np
import pytest
import reference
from builders import (
    ACTIVATIONS,
    DTYPES,
    NOJIT,
    TOLERANCE,
    at_rest,
    case,
    cases,
    driven,
    network,
    plain,
)
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, forward, gradient_flow, jacobian_products, jacobians

pytestmark = pytest.mark.nojit
some_dtype = st.sampled_from(DTYPES)
FIELDS = ("log_singular_values", "leading_direction", "gradient_overlap", "log_gradient_norms")


def product(J, t, k):
    """J_t J_{t-1} ... J_{t-k+1} of Jacobians (T, H, H) of one sequence."""
    P = np.eye(J.shape[-1])
    for s in range(t - k + 1, t + 1):
        P = J[s - 1] @ P
    return P


@given(cases(N=2, dtype=some_dtype))
@example(case(N=2, T=1, B=1, D=1, H=1, V=1, activation="relu"))
def test_jacobians_follow_the_definition(made):
    found = jacobians(made.rnn, made.sequences.inputs, h0=made.h0)
    T, B, H = made.sequences.n_steps, made.sequences.n_sequences, made.rnn.n_hidden
    assert found.shape == (2, T, B, H, H)
    assert found.dtype == np.float64
    for n in range(2):
        net, x, _, _, h0, activation = plain(made, n)
        _, pre = reference.unfold(net, x, h0, activation)
        slopes = reference.slope(activation, pre)
        if activation == "relu":
            slopes[np.abs(pre) < 1e-5] = np.nan  # float32 may see the other sign
        expected = slopes[..., None] * net.W_hh
        where = np.isfinite(expected)
        tolerance = 100 * TOLERANCE[made.rnn.dtype.name]  # errors of states add up over steps
        assert_allclose(found[n][where], expected[where], rtol=tolerance, atol=tolerance)


@given(cases(T=st.integers(2, 7)))
def test_the_product_back_to_the_start_is_the_derivative_by_h0(made):
    """By complex steps through the whole trajectory: dh_T/dh_0 = P_{T,T}."""
    net, x, _, _, h0, activation = plain(made)
    T, H = len(x), made.rnn.n_hidden
    derivative = np.empty((h0.shape[0], H, H))
    for j in range(H):
        moved = h0.astype(complex)
        moved[:, j] += 1e-30j
        states, _ = reference.unfold(net, x.astype(complex), moved, activation)
        derivative[:, :, j] = states[-1].imag / 1e-30
    J = jacobians(made.rnn, made.sequences.inputs, h0=made.h0)[0]
    result = jacobian_products(made.rnn, made.sequences, lags=[T], step=T, h0=made.h0)
    for b, expected in enumerate(derivative):
        scale = np.prod([np.linalg.norm(factor, 2) for factor in J[:, b]])
        assert_allclose(product(J[:, b], T, T), expected, atol=1e-12 * scale)
        values = np.exp(result.log_singular_values[0, b, 0])
        assert_allclose(values, np.linalg.svd(expected, compute_uv=False), atol=1e-12 * scale)


@given(cases(N=2, dtype=some_dtype, T=st.integers(3, 7)), st.integers(1, 3))
@example(case(N=2, T=4, activation="relu", own=True, silent=0.0), 2)
@example(case(N=2, T=4, B=1, D=1, H=1, V=1, activation="linear"), 4)
def test_products_agree_with_brute_force(made, depth):
    t = made.sequences.n_steps - 1
    lags = list(range(1, min(depth, t) + 1))
    result = jacobian_products(made.rnn, made.sequences, lags=lags, step=t, h0=made.h0)
    J = jacobians(made.rnn, made.sequences.inputs, h0=made.h0)
    assert_array_equal(result.lags, lags)
    assert result.step == t
    for n, b, i in np.ndindex(2, made.sequences.n_sequences, len(lags)):
        P = product(J[n, :, b], t, lags[i])
        values = np.linalg.svd(P, compute_uv=False)
        found = np.exp(result.log_singular_values[n, b, i])
        scale = np.prod([np.linalg.norm(factor, 2) for factor in J[n, t - lags[i] : t, b]])
        assert_allclose(found, values, rtol=1e-10, atol=1e-13 * scale)
        direction = result.leading_direction[n, b, i]
        if values[0] > 1e-9 * scale:
            assert_allclose(np.linalg.norm(direction), 1.0, rtol=1e-13)
            assert direction[np.abs(direction).argmax()] > 0
            assert_allclose(np.linalg.norm(P @ direction), values[0], rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_overlap_with_the_gradient(activation, dtype):
    made = case(3, N=2, T=7, H=5, activation=activation, silent=0.0, dtype=dtype)
    result = jacobian_products(made.rnn, made.sequences, lags=[1, 2, 4], step=6, h0=made.h0)
    J = jacobians(made.rnn, made.sequences.inputs, h0=made.h0)
    tolerance = 1e-9 if dtype == "float64" else 1e-3
    for n in range(2):
        rows = reference.flow(*plain(made, n))
        for b in range(3):
            for i, k in enumerate(result.lags):
                gradient = rows[5, k, b]
                direction = np.linalg.svd(product(J[n, :, b], 6, k))[2][0]
                expected = abs(direction @ gradient) / np.linalg.norm(gradient)
                assert_allclose(result.gradient_overlap[n, b, i], expected, atol=tolerance)


@given(cases(N=2, dtype=some_dtype, T=st.integers(2, 7)))
@example(case(N=2, T=5, own=True, classes=False, silent=0.5))
def test_gradient_norms_are_those_of_the_gradient_flow(made):
    flow = gradient_flow(made.rnn, made.sequences, h0=made.h0, per_sequence=True)
    for row, t in enumerate(flow.steps):
        if t == 1:
            continue
        lags = range(1, int(t))
        result = jacobian_products(made.rnn, made.sequences, lags=lags, step=int(t), h0=made.h0)
        expected = flow.per_sequence[:, row, 1:t].transpose(0, 2, 1)
        found, zero = result.log_gradient_norms, np.isneginf(expected)
        assert_array_equal(np.isneginf(found), zero)
        # A norm may be small by cancellation: float32 then has few digits of it.
        tolerance = 1e-9 if made.rnn.dtype == np.float64 else 2e-2
        assert_allclose(found[~zero], expected[~zero], rtol=0, atol=tolerance)
        assert_array_equal(np.isnan(result.gradient_overlap), zero)


def test_long_lags_agree_with_the_gradient_flow():
    made = case(4, T=400, B=2, H=12, gain=0.6, silent=0.0)
    data = made.sequences.last_loss_only()  # the flow costs T steps, not T^2
    flow = gradient_flow(made.rnn, data, h0=made.h0, per_sequence=True)
    lags = [10, 100, 399]
    result = jacobian_products(made.rnn, data, lags=lags, h0=made.h0)
    assert result.step == 400
    expected = flow.per_sequence[0, -1][lags].T
    assert expected[:, -1].max() < np.log(1e-90)
    assert_allclose(result.log_gradient_norms[0], expected, rtol=0, atol=1e-10)
    assert (result.log_gradient_norms[0, :, 1:] < result.log_singular_values[0, :, 1:, 0] + 9).all()


@pytest.mark.parametrize("gain", [0.05, 30.0])
def test_powers_of_a_normal_matrix(gain):
    """Singular values of W^k are |lambda|^k: far beyond 1e-308 and 1e308."""
    draw = np.random.default_rng(5).standard_normal((10, 10))
    W_hh, k = gain * (draw + draw.T) / 10, 400
    result = jacobian_products(network(W_hh), at_rest(network(W_hh), k), lags=[1, k])
    eigenvalues, vectors = np.linalg.eigh(W_hh)
    order = np.argsort(-np.abs(eigenvalues))
    logs = np.log(np.abs(eigenvalues[order]))
    assert_allclose(result.log_singular_values[0, 0], [logs, k * logs], rtol=1e-11, atol=1e-10)
    assert_allclose(abs(vectors[:, order[0]] @ result.leading_direction[0, 0, 1]), 1.0, rtol=1e-12)
    assert np.abs(result.log_singular_values[0, 0, 1, 0]) > 710
    assert result.rounding.max() < 1e-9


def test_orthogonal_linear_networks_stretch_nothing():
    H = 4 if NOJIT else 16
    rnn = network(0.1 * np.linalg.qr(np.random.default_rng(6).standard_normal((H, H)))[0])
    result = jacobian_products(rnn, at_rest(rnn, 500, 2), lags=[1, 30, 500])
    expected = result.lags[:, None] * np.full(H, np.log(0.1))
    assert_allclose(result.log_singular_values[0, 1], expected, rtol=1e-12)
    assert_allclose(np.linalg.norm(result.leading_direction, axis=-1), 1.0, rtol=1e-13)


@pytest.mark.parametrize("H", [3, 9 if NOJIT else 40])
def test_values_sum_to_the_determinant_and_squares_to_the_norm(H):
    """sum ln sigma = sum_s (ln |det W_hh| + sum ln phi'(a_s)), with units at phi' = 1e-30."""
    made = case(6, T=60, B=2, D=3, H=H, gain=1.5, silent=0.0)
    inputs = np.array(made.sequences.inputs)
    inputs[::5] *= 60.0
    data = Sequences(inputs, made.sequences.targets, made.sequences.weights)
    lags = [1, 7, 60]
    result = jacobian_products(made.rnn, data, lags=lags, h0=made.h0)
    J = jacobians(made.rnn, inputs, h0=made.h0)[0]
    slopes = J[:, :, :, 0] / made.rnn.W_hh[0, :, 0]
    assert slopes.min() < 1e-30
    determinants = np.log(slopes).sum(-1) + np.linalg.slogdet(made.rnn.W_hh[0])[1]
    for i, k in enumerate(lags):
        expected = determinants[60 - k :].sum(axis=0)
        assert_allclose(result.log_singular_values[0, :, i].sum(-1), expected, rtol=1e-12)
    for b in range(2):
        P, log = np.eye(H), 0.0
        for s in range(60, 0, -1):
            P = P @ J[s - 1, b]
            log += np.log(np.linalg.norm(P))
            P /= np.linalg.norm(P)
        squares = 0.5 * np.logaddexp.reduce(2 * result.log_singular_values[0, b, -1])
        assert_allclose(squares, log, rtol=0, atol=1e-11)
    assert result.resolved.all()


@pytest.mark.parametrize("a", [1.0, 20.0, 300.0])
def test_slopes_in_saturation(a):
    """ln phi' = ln 4 - 2|a| - 2 ln(1 + e^(-2|a|)), where 1 - h^2 is exactly 0."""
    rnn = network([[0.5, 0.0], [0.0, -2.0]], "tanh")
    s = driven(rnn, np.full((3, 2), [a, -a]))
    result = jacobian_products(rnn, s, lags=[1, 3])
    slope = np.log(4.0) - 2 * a - 2 * np.log1p(np.exp(-2 * a))
    expected = np.outer([1, 3], slope + np.log([2.0, 0.5]))
    assert_allclose(result.log_singular_values[0, 0], expected, rtol=1e-13)
    assert_allclose(result.leading_direction[0, 0], [[0, 1], [0, 1]], atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_at_rest_is_an_exact_zero(dtype):
    """Rank = the least number of live units; relu'(0) = 0."""
    rnn = network(np.random.default_rng(7).standard_normal((5, 5)), "relu", dtype=dtype)
    pre = np.array([[1, 1, 1, 1, -1], [1, -1, 1, 1, 1], [1, 1, -1, 0, -1], [1, 1, 1, 1, 1]])
    s = driven(rnn, pre.astype(float)).astype(dtype)
    result = jacobian_products(rnn, s, lags=[1, 2, 3, 4])
    zero = np.isneginf(result.log_singular_values[0, 0])
    assert_array_equal(zero.sum(axis=1), [0, 3, 3, 3])
    assert_array_equal(zero[1], [False, False, True, True, True])
    assert_array_equal(result.rounding[0, 0][zero], 0.0)
    J = jacobians(rnn, s.inputs)[0, :, 0]
    assert not J[2, [2, 3, 4]].any()
    values = np.linalg.svd(product(J, 4, 4), compute_uv=False)
    assert_allclose(np.exp(result.log_singular_values[0, 0, 3, :2]), values[:2], rtol=1e-12)


def test_rows_and_columns_of_any_size_and_of_zeros():
    draw = np.random.default_rng(8).standard_normal((4, 4))
    sizes = np.array([1e-200, 1.0, 1e60, 1e-9])
    for W_hh in (sizes[:, None] * draw, draw * sizes):
        rnn = network(W_hh)
        result = jacobian_products(rnn, at_rest(rnn, 6), lags=[1, 6])
        determinant = np.linalg.slogdet(draw)[1] + np.log(sizes).sum()
        expected = [determinant, 6 * determinant]
        assert_allclose(result.log_singular_values[0, 0].sum(-1), expected, rtol=1e-13)
        assert result.resolved.all()
    for W_hh in (draw * [[1], [0], [1], [1]], draw * [1, 1, 0, 1]):
        rnn = network(W_hh)
        result = jacobian_products(rnn, at_rest(rnn, 6), lags=[1])
        assert_array_equal(np.isneginf(result.log_singular_values[0, 0, 0]), [0, 0, 0, 1])
        assert result.resolved.all()


def test_nothing_left_at_all():
    rnn = network(np.zeros((3, 3)))
    result = jacobian_products(rnn, at_rest(rnn, 3), lags=[1, 2])
    assert np.isneginf(result.log_singular_values).all()
    assert np.isneginf(result.log_gradient_norms).all()
    assert np.isnan(result.leading_direction).all()
    assert np.isnan(result.gradient_overlap).all()
    assert result.resolved.all()


def test_which_step_is_meant():
    made = case(10, N=2, T=6, B=3, own=True, silent=0.0)
    weights = made.sequences.weights.copy()
    weights[1, 5, 2] = weights[0, 4, 0] = 0.0
    s = Sequences(made.sequences.inputs, made.sequences.targets, weights)
    result = jacobian_products(made.rnn, s, lags=[1, 3], h0=made.h0)
    assert result.step == 4
    later = jacobian_products(made.rnn, s, lags=[1, 3], h0=made.h0, step=6)
    assert_array_equal(np.argwhere(np.isneginf(later.log_gradient_norms[..., 0])), [[1, 2]])
    assert_array_equal(np.isnan(later.gradient_overlap[1]), [[0, 0], [0, 0], [1, 1]])
    weights[:, :, 1] = 0.0
    s = Sequences(made.sequences.inputs, made.sequences.targets, weights)
    assert jacobian_products(made.rnn, s, lags=[1]).step == 6


def test_permuted_units_change_names_only():
    made = case(11, T=20, B=2, H=6, silent=0.0)
    order = np.random.default_rng(0).permutation(6)
    W_xh, W_hh, W_hy, b_h, b_y = made.rnn.weights
    other = RNN(W_xh[:, order], W_hh[:, order][:, :, order], W_hy[:, :, order], b_h[:, order], b_y)
    one = jacobian_products(made.rnn, made.sequences, lags=[1, 5, 20], h0=made.h0)
    two = jacobian_products(other, made.sequences, lags=[1, 5, 20], h0=made.h0[:, order])
    assert_allclose(two.log_singular_values, one.log_singular_values, atol=1e-10)
    assert_allclose(two.leading_direction, one.leading_direction[..., order], atol=1e-9)
    assert_allclose(two.gradient_overlap, one.gradient_overlap, atol=1e-9)


@pytest.mark.parametrize("own", [False, True])
def test_networks_sequences_and_lags_are_on_their_own(own, monkeypatch):
    made = case(12, N=3, T=8, B=4, own=own, silent=0.0)
    s = made.sequences
    whole = jacobian_products(made.rnn, s, lags=[1, 2, 6], step=7, h0=made.h0)
    monkeypatch.setattr(
        sys.modules["rnnsim.dynamics.products"], "_CHUNK", 5 * 2 * 16
    )  # five sequences at once
    for n in range(3):
        data = Sequences(s.inputs[n], s.targets[n], s.weights[n]) if own else s
        h0 = made.h0[n] if own else made.h0
        alone = jacobian_products(made.rnn[n], data, lags=[2, 6], step=7, h0=h0)
        for name in FIELDS:
            part = getattr(whole, name)[n, :, 1:]
            assert_allclose(getattr(alone, name)[0], part, rtol=1e-9, atol=1e-9, err_msg=name)
    pieces = jacobian_products(made.rnn, s, lags=[1, 2, 6], step=7, h0=made.h0)
    for name in FIELDS:
        assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_beyond_the_range_is_named_and_leaves_the_others_alone(dtype):
    made = case(8, N=4, activation="linear", silent=0.0, dtype=dtype)
    w = [array.copy() for array in made.rnn.weights]
    w[0][1], w[3][1] = 0, 0
    w[1][1] = (1e200 if dtype == "float64" else 1e25) * np.eye(4)  # h_2 overflows
    w[2][3] = np.finfo(dtype).max / 2  # outputs overflow, states do not
    rnn = RNN(*w, activation="linear")
    result = jacobian_products(rnn, made.sequences, lags=[1, 5], h0=made.h0)
    assert_array_equal(result.first_nonfinite, [-1, 2, -1, -1])
    for name in (*FIELDS, "rounding"):
        assert np.isnan(getattr(result, name)[1]).all()
    assert not result.resolved[1].any()
    assert result.resolved[[0, 2, 3]].all()
    alone = jacobian_products(made.rnn[2], made.sequences, lags=[1, 5], h0=made.h0)
    for name in FIELDS:
        assert_allclose(getattr(alone, name)[0], getattr(result, name)[2], rtol=1e-9, err_msg=name)
    J = jacobians(rnn, made.sequences.inputs, h0=made.h0)  # NaN from the step on
    assert_array_equal(np.isnan(J[1]).all(axis=(1, 2, 3)), np.arange(1, 7) >= 2)
    assert np.isfinite(J[[0, 2, 3]]).all()


def test_results_are_frozen_and_of_the_shapes_that_are_promised():
    made = case(13, T=4, N=2)
    result = jacobian_products(made.rnn, made.sequences, lags=np.array([2, 3]), h0=made.h0)
    for name in (*FIELDS, "rounding"):
        norms = name in ("gradient_overlap", "log_gradient_norms")
        assert getattr(result, name).shape == ((2, 3, 2) if norms else (2, 3, 2, 4))
        assert getattr(result, name).dtype == np.float64
    assert result.lags.dtype == result.first_nonfinite.dtype == np.int64
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.step = 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lags": 3}, TypeError, r"`lags` must be a series of integers such as \[1, 10, 100\], "
         r"got 3 \(int\); for all up to k write range\(1, k \+ 1\)"),
        ({"lags": []}, ValueError, r"`lags` must hold one lag at least, got none"),
        ({"lags": [1, 2.5]}, TypeError, r"`lags\[1\]` must be an integer of at least 1, got 2\.5"),
        ({"lags": [0, 1]}, ValueError, r"`lags\[0\]` must be at least 1, got 0"),
        ({"lags": [1, 3, 3]}, ValueError, r"`lags` must ascend, got 3 after 3; sort them"),
        ({"lags": [1, 7]}, ValueError, r"`lags` must be at most the step t = 6 that they reach "
         r"back from, got 7; drop the longer ones or give a later `step`"),
        ({"lags": [1], "step": 7}, ValueError, r"`step` must be at most n_steps = 6, got 7; steps"),
        ({"lags": [1], "step": 0}, ValueError, r"`step` must be at least 1, got 0"),
        ({"lags": [1], "step": 2.0}, TypeError, r"`step` must be an integer of at least 1, got 2"),
        ({"lags": [1], "h0": np.zeros((2, 2))}, ValueError, r"`h0` must be \(n_sequences, n_hid"),
    ],
)  # fmt: skip
def test_lags_and_steps_that_make_no_sense(options, error, message):
    made = case(silent=0.0)
    with pytest.raises(error, match=message):
        jacobian_products(made.rnn, made.sequences, **options)


def test_things_of_another_kind():
    made = case()
    with pytest.raises(TypeError, match=r"`sequences` must be a rnnsim.Sequences\(inputs, targets"):
        jacobian_products(made.rnn, made.sequences.inputs, lags=[1])
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim.RNN, got ndarray"):
        jacobian_products(made.rnn.W_hh, made.sequences, lags=[1])
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim.RNN, got ndarray"):
        jacobians(made.rnn.W_hh, made.sequences.inputs)
    with pytest.raises(ValueError, match=r"`inputs` must have n_inputs = 2 on the last axis"):
        jacobians(made.rnn, np.zeros((3, 1, 5)))


def test_gradients_keep_their_digits_through_the_flattest_slopes():
    """phi' of about 1e-307 times an entry of 1e-8: below the range, were rows not held above it."""
    a, small = 353.5, 1e-8
    W_hh = np.array([[0.0, 0.0], [0.3, 0.4]])
    rnn = RNN(np.eye(2), W_hh, np.array([[1.0, small]]))
    s = driven(rnn, np.full((2, 2), a))
    last = Sequences(s.inputs, np.zeros((2, 1, 1))).last_loss_only()
    result = jacobian_products(rnn, last, lags=[1])
    # The output is h_1 + small h_2 = 1 + small; of its gradient only the second entry goes back.
    log_slope = np.log(4.0) - 2 * a - 2 * np.log1p(np.exp(-2 * a))
    expected = np.log((1 + small) * small * 0.5) + log_slope
    assert_allclose(result.log_gradient_norms[0, 0, 0], expected, rtol=1e-12)


def test_slopes_of_relu_go_by_the_sign_of_the_state():
    """1 + 2^25 - 2^25 is 0 in float32 if added in this order, and 1 in float64."""
    W_xh = np.float32([[1.0, 1.0]])
    rnn = RNN(W_xh, np.float32([[1.0]]), np.float32([[1.0]]), np.float32([1.0]), activation="relu")
    inputs = np.float32([[[2.0**25, -(2.0**25)]], [[0.5, 0.0]]])
    states = forward(rnn, inputs).states
    assert_array_equal(jacobians(rnn, inputs)[..., 0, 0] > 0, states[:, 1:, :, 0] > 0)
