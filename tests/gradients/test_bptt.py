"""Gradients: two independent routes, the definition of truncation, and laws that must hold."""

import builders
import numpy as np
import pytest
import reference
from builders import ACTIVATIONS, DTYPES, NOJIT, case, cases, plain
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, bptt, evaluate, truncated_bptt

pytestmark = [pytest.mark.nojit, pytest.mark.lane]


@given(cases())
@example(case(T=1, B=1, D=1, H=1, V=1))
@example(case(T=1, B=1, D=1, H=1, V=1, classes=False))
@example(case(activation="relu", classes=False, silent=0.0))
def test_bptt_is_the_complex_step_derivative(made):
    truth = reference.bptt(*plain(made))
    weights, h0 = reference.complex_step(*plain(made))
    result = bptt(made.rnn, made.sequences, h0=made.h0)
    builders.assert_gradients(result, weights, h0, truth)
    builders.assert_norms(result, truth)
    assert_allclose(result.loss[0], reference.loss(*plain(made)), rtol=1e-12, atol=1e-14)
    assert_array_equal(result.first_nonfinite, [-1])


@given(cases(dtype="float32"))
@example(case(T=1, B=1, D=1, H=1, V=1, dtype="float32"))
def test_bptt_in_float32_is_the_complex_step_derivative(made):
    truth = reference.bptt(*plain(made))
    weights, h0 = reference.complex_step(*plain(made))
    result = bptt(made.rnn, made.sequences, h0=made.h0)
    assert {a.dtype.name for a in (*result.weights, result.h0)} == {"float32"}
    builders.assert_gradients(result, weights, h0, truth)
    builders.assert_norms(result, truth)


@given(cases(dtype=st.sampled_from(DTYPES)))
@example(case(T=1, B=1, D=1, H=1, V=1))
def test_bptt_is_forward_sensitivity(made):
    truth = reference.bptt(*plain(made))
    result = bptt(made.rnn, made.sequences, h0=made.h0)
    builders.assert_gradients(result, reference.rtrl(*plain(made)), result.h0[0], truth)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("T", range(1, 5 if NOJIT else 9))
def test_every_window_and_stride_follows_the_definition(T, dtype):
    made = case(T, T=T, B=2, activation=ACTIVATIONS[T % 3], classes=T % 2 == 0, dtype=dtype)
    for window in range(1, T + 3):
        for stride in range(1, window + 1):
            truth = reference.truncated(*plain(made), window, stride)
            result = truncated_bptt(
                made.rnn, made.sequences, window=window, stride=stride, h0=made.h0
            )
            builders.assert_gradients(result, truth.weights, truth.h0, truth)
            builders.assert_norms(result, truth)


@given(cases(N=2, own=True), st.integers(1, 9), st.integers(1, 9))
def test_truncation_of_any_shape_follows_the_definition(made, window, stride):
    stride = min(stride, window)
    result = truncated_bptt(made.rnn, made.sequences, window=window, stride=stride, h0=made.h0)
    for n in range(2):
        truth = reference.truncated(*plain(made, n), window, stride)
        builders.assert_gradients(result, truth.weights, truth.h0, truth, n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [True, False])
def test_many_blocks_of_steps_give_what_one_would(classes, dtype):
    # Kernels treat at most 64 steps at a time: 150 steps are two full blocks and a ragged one.
    made = case(1, T=150, B=2, H=3, classes=classes, dtype=dtype)
    truth = reference.bptt(*plain(made))
    result = bptt(made.rnn, made.sequences, h0=made.h0)
    builders.assert_gradients(result, truth.weights, truth.h0, truth)
    builders.assert_norms(result, truth)
    truth = reference.truncated(*plain(made), 20, 7)
    result = truncated_bptt(made.rnn, made.sequences, window=20, stride=7, h0=made.h0)
    builders.assert_gradients(result, truth.weights, truth.h0, truth)
    builders.assert_norms(result, truth)


def test_nothing_flows_back_from_beyond_the_last_loss():
    made = case(T=30, silent=0.0)
    weights = np.array(made.sequences.weights)
    weights[11:] = 0
    late = Sequences(made.sequences.inputs, made.sequences.targets, weights)
    early = Sequences(made.sequences.inputs[:11], made.sequences.targets[:11], weights[:11])
    long, short = bptt(made.rnn, late, h0=made.h0), bptt(made.rnn, early, h0=made.h0)
    for a, b in zip(long.weights, short.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(long.step_norms, short.step_norms, strict=True):
        np.testing.assert_array_equal(a[:, :11], b)
        assert not a[:, 11:].any()
    assert not long.state_norms[:, 12:].any()


@pytest.mark.parametrize("sizes", [(20, 2, 1, 9, 2), (1, 6, 5, 2, 1), (7, 1, 8, 3, 9)])
def test_norms_of_steps_are_right_for_wide_and_narrow_batches(sizes):
    B, D, H, V, T = sizes
    made = case(2, T=T, B=B, D=D, H=H, V=V)
    builders.assert_norms(bptt(made.rnn, made.sequences, h0=made.h0), reference.bptt(*plain(made)))


@given(cases(N=2), st.integers(0, 5))
def test_a_window_of_all_steps_is_full_backpropagation(made, more):
    T = made.sequences.n_steps
    full = bptt(made.rnn, made.sequences, h0=made.h0)
    for stride in {1, max(1, T // 2), T}:
        result = truncated_bptt(
            made.rnn, made.sequences, window=T + max(more, stride), stride=stride, h0=made.h0
        )
        for n in range(2):
            truth = reference.bptt(*plain(made, n))
            weights = [a[n] for a in full.weights]
            builders.assert_gradients(result, weights, full.h0[n], truth, n)
    assert_allclose(result.loss, full.loss, rtol=1e-13)


def test_window_one_touches_only_the_step_of_the_loss():
    made = case(3, T=6, silent=0.0)
    weights = np.zeros((6, 3))
    weights[3] = 1.0
    at_step_4 = Sequences(made.sequences.inputs, made.sequences.targets, weights)
    result = truncated_bptt(made.rnn, at_step_4, window=1, h0=made.h0)
    for norms in result.step_norms:
        assert_array_equal(np.flatnonzero(norms[0]), [3])
    assert_array_equal(np.flatnonzero(result.state_norms[0]), [4])
    assert not result.h0.any()


def test_the_initial_state_receives_gradient_exactly_when_step_one_does():
    made = case(4, T=6, silent=0.0)
    last = made.sequences.last_loss_only()
    for window in range(1, 8):
        result = truncated_bptt(made.rnn, last, window=window, stride=1, h0=made.h0)
        assert bool(result.h0.any()) == bool(result.step_norms.W_hh[0, 0]) == (window >= 6)


def test_segments_do_not_look_across_their_cuts():
    made = case(5, T=7, silent=0.0)
    whole = truncated_bptt(made.rnn, made.sequences, window=3, h0=made.h0)
    states = reference.unfold(*plain(made)[:2], *plain(made)[4:])[0]
    s, total = made.sequences, 0.0
    for begin, end in ((0, 3), (3, 6), (6, 7)):  # the last one is shorter
        part = Sequences(s.inputs[begin:end], s.targets[begin:end], s.weights[begin:end])
        total = total + bptt(made.rnn, part, h0=states[begin]).W_hh
    # each of seven steps rounds its state, its row and its product some ten times
    bound = 100 * np.finfo(float).eps * whole.step_norms.W_hh.sum()
    assert np.linalg.norm(whole.W_hh - total) <= bound


def test_scalar_network_repeats_the_published_numbers():
    # x_t = w x_{t-1}, w = .2, x_0 = .9: dx_t/dw = t w^(t-1) x_0 = .9, .36, .108.
    rnn = RNN([[1.0]], [[0.2]], [[1.0]], activation="linear")
    for t, expected in ((1, 0.9), (2, 0.36), (3, 0.108)):
        target = np.full((t, 1, 1), 0.2**t * 0.9 - 1.0)  # so that dL/dx_t = 1
        last = Sequences(np.zeros((t, 1, 1)), target).last_loss_only()
        h0 = np.array([[0.9]])
        assert_allclose(bptt(rnn, last, h0=h0).W_hh, [[[expected]]], rtol=1e-14)
        truncated = truncated_bptt(rnn, last, window=1, stride=1, h0=h0).W_hh
        assert_allclose(truncated, [[[0.9 * 0.2 ** (t - 1)]]], rtol=1e-14)


def test_influence_balancing_has_the_wrong_sign_until_the_window_is_long():
    # s <- A s + theta*sign at its fixed point; theta enters as the input weight of x = 1.
    n, theta, T = 23, 0.5, 100 if NOJIT else 200
    sign = np.where(np.arange(n) < 10, 1.0, -1.0)
    A = 0.5 * (np.eye(n) + np.eye(n, k=1))
    fixed = np.linalg.solve(np.eye(n) - A, theta * sign)
    rnn = RNN(theta * sign[:, None], A, np.eye(n)[:1], activation="linear")
    targets = np.full((T, 1, 1), fixed[0] - 1.0)  # dL/ds_0 = 1 at the last step
    last = Sequences(np.ones((T, 1, 1)), targets).last_loss_only()
    for window, expected in {1: 1.0, 10: 10.0, 100: -6.0, T: -6.0}.items():
        result = truncated_bptt(rnn, last, window=window, stride=1, h0=fixed[None])
        by_theta = sign @ result.W_xh[0, :, 0]
        assert_allclose(by_theta, expected, atol=1e-6)  # 0.5^100 with its binomials is below 1e-9
        assert_allclose(sign @ result.b_h[0], expected, atol=1e-6)


def test_leaky_memory_of_white_noise_has_the_known_variances():
    # h <- l h + x: E h^2 = 1/(1-l^2), E (dh/dl)^2 = (1+l^2)/(1-l^2)^3, each network one sample.
    leak, samples, T = 0.9, 40 if NOJIT else 20000, 5 if NOJIT else 150
    x = np.random.default_rng(0).normal(size=(samples, T, 1, 1))
    ones = np.ones((samples, 1, 1))
    rnn = RNN(ones, leak * ones, ones, activation="linear")
    h = x[:, 0, 0, 0]
    for t in range(1, T):
        h = leak * h + x[:, t, 0, 0]
    targets = np.zeros((samples, T, 1, 1))
    targets[:, -1, 0, 0] = h - 1.0  # dL/dh_T = 1
    result = bptt(rnn, Sequences(x, targets).last_loss_only(), n_threads=1)
    if NOJIT:
        lags = np.arange(1, T)
        variance, slope = sum(leak ** (2 * np.arange(T))), sum((lags * leak ** (lags - 1)) ** 2)
    else:
        variance, slope = 1 / (1 - leak**2), (1 + leak**2) / (1 - leak**2) ** 3
        assert_allclose([variance, slope], [5.2632, 263.887], rtol=1e-5)
    error = np.sqrt(2 / samples)  # relative standard error of the variance of a Gaussian
    assert_allclose(np.mean(h**2), variance, rtol=4 * error)
    assert_allclose(np.mean(result.W_hh**2), slope, rtol=4 * error)


def test_orthogonal_linear_networks_keep_the_norm_of_the_gradient():
    rnn = RNN.sample(3, n_inputs=2, n_hidden=6, n_outputs=2, scheme="orthogonal",
                     activation="linear", rng=0)  # fmt: skip
    batch = Sequences(np.ones((30, 2, 2)), np.zeros((30, 2), int)).last_loss_only()
    norms = bptt(rnn, batch).state_norms
    assert_allclose(norms, norms[:, -1:] * np.ones(31), rtol=1e-13)


@given(cases(N=2), st.floats(0.0, 100.0))
def test_gradients_scale_with_the_loss_weights(made, factor):
    s = made.sequences
    scaled = Sequences(s.inputs, s.targets, factor * s.weights)
    one, other = bptt(made.rnn, s, h0=made.h0), bptt(made.rnn, scaled, h0=made.h0)
    for n in range(2):
        sums = builders.scales(reference.bptt(*plain(made, n)))
        pairs = zip((*one.weights, one.h0), (*other.weights, other.h0), sums, strict=True)
        for a, b, scale in pairs:
            assert np.linalg.norm(factor * a[n] - b[n]) <= 1e-13 * factor * scale
    assert_allclose(factor * one.loss, other.loss, rtol=1e-13)


@given(cases(B=2, N=2))
def test_a_batch_of_two_is_the_mean_of_two_batches_of_one(made):
    s, both = made.sequences, bptt(made.rnn, made.sequences, h0=made.h0)
    single = [
        bptt(
            made.rnn,
            Sequences(s.inputs[:, b : b + 1], s.targets[:, b : b + 1], s.weights[:, b : b + 1]),
            h0=made.h0[b : b + 1],
        )
        for b in range(2)
    ]
    assert_allclose(both.loss, (single[0].loss + single[1].loss) / 2, rtol=1e-13, atol=1e-15)
    for a, b, c in zip(both.weights, single[0].weights, single[1].weights, strict=True):
        # Normwise: the two halves may cancel.
        assert np.linalg.norm(a - (b + c) / 2) <= 1e-12 * (np.linalg.norm(b) + np.linalg.norm(c))


@given(cases(gain=0.7, H=5, activation="tanh"), st.permutations(range(5)))
def test_renaming_hidden_units_changes_nothing(made, order):
    w = made.rnn.weights
    renamed = RNN(
        w.W_xh[:, order], w.W_hh[:, order][:, :, order], w.W_hy[:, :, order], w.b_h[:, order],
        w.b_y,
    )  # fmt: skip
    one = bptt(made.rnn, made.sequences, h0=made.h0)
    other = bptt(renamed, made.sequences, h0=made.h0[:, order])
    scale = builders.scales(reference.bptt(*plain(made)))[1]
    assert np.linalg.norm(one.W_hh[0][np.ix_(order, order)] - other.W_hh[0]) <= 1e-12 * scale
    assert_allclose(one.loss, other.loss, rtol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("own", [False, True])
def test_a_network_of_an_ensemble_gives_what_it_gives_alone(own, dtype):
    made = case(7, N=4, own=own, dtype=dtype)
    s = made.sequences
    for gradient in (bptt, lambda *a, **k: truncated_bptt(*a, window=4, stride=2, **k)):
        whole = gradient(made.rnn, s, h0=made.h0)
        for n in range(4):
            data = Sequences(s.inputs[n], s.targets[n], s.weights[n]) if own else s
            alone = gradient(made.rnn[n], data, h0=made.h0[n] if own else made.h0)
            builders.same_bits(alone, builders.network_of(whole, n))


def test_the_loss_of_bptt_is_the_loss_of_evaluate():
    made = case(8, N=3, T=9)
    loss = evaluate(made.rnn, made.sequences, h0=made.h0).loss
    assert_allclose(bptt(made.rnn, made.sequences, h0=made.h0).loss, loss, rtol=1e-14)
    result = truncated_bptt(made.rnn, made.sequences, window=2, h0=made.h0)
    assert_allclose(result.loss, loss, rtol=1e-14)


def overflowing(made, kind):
    """The same ensemble with network 1 beyond the range of its dtype, and the step that says so."""
    huge, T = (1e200 if made.rnn.dtype == "float64" else 1e25), made.sequences.n_steps
    w = [array.copy() for array in made.rnn.weights]
    w[1][1] = huge * np.eye(made.rnn.n_hidden)
    if kind == "forward":
        # h_0 is of order 1: h_1 is near 1e200, h_2 overflows.
        w[0][1], w[3][1] = 0.0, 0.0
        return RNN(*w, activation="linear"), made.sequences, 2
    # States stay 0, outputs too; dL/dh_T is of order 1, dL/dh_{T-2} overflows.
    w[0][1], w[3][1] = 0.0, 0.0
    return RNN(*w, activation="linear"), made.sequences.last_loss_only(), T - 2


@pytest.mark.parametrize("kind", ["forward", "backward"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [True, False])
def test_an_overflowing_network_is_named_and_leaves_the_others_alone(classes, dtype, kind):
    made = case(9, N=4, activation="linear", classes=classes, silent=0.0, dtype=dtype)
    rnn, sequences, step = overflowing(made, kind)
    h0 = made.h0 if kind == "forward" else None
    for gradient in (bptt, lambda *a, **k: truncated_bptt(*a, window=6, stride=2, **k)):
        for threads in (1, 2):
            result = gradient(rnn, sequences, h0=h0, n_threads=threads)
            assert_array_equal(result.first_nonfinite, [-1, step, -1, -1])
            for n in (0, 2, 3):
                alone = gradient(made.rnn[n], sequences, h0=h0)
                builders.same_bits(alone, builders.network_of(result, n))


def test_a_sum_over_steps_that_overflows_is_named_by_step_one():
    # Both contributions are 2.25e38, inside float32; their sum is not.
    one = np.ones((1, 1), np.float32)
    rnn = RNN(one, one, one, activation="linear")
    batch = Sequences(np.zeros((2, 1, 1), np.float32), np.zeros((2, 1, 1), np.float32))
    result = bptt(rnn, batch.last_loss_only(), h0=np.float32(1.5e19) * one)
    assert_allclose(result.step_norms.W_hh, [[2.25e38, 2.25e38]], rtol=1e-6)
    assert_array_equal(result.first_nonfinite, [1])
    assert np.isinf(result.W_hh)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("B", [1, 3])
def test_gradients_that_vanish_pass_through_the_subnormals_to_zero(B, dtype):
    gain, T = (1e-8, 50) if dtype == "float64" else (1e-2, 40)
    rnn = RNN.sample(n_inputs=1, n_hidden=4, n_outputs=2, scheme="orthogonal", gain=gain,
                     activation="linear", dtype=dtype, rng=0)  # fmt: skip
    s = Sequences(np.ones((T, B, 1)), np.ones((T, B, 2))).astype(dtype).last_loss_only()
    for result in (bptt(rnn, s), truncated_bptt(rnn, s, window=T, stride=3)):
        norms = result.state_norms[0]
        assert_array_equal(result.first_nonfinite, [-1])
        assert (np.diff(norms) >= 0).all()
        least = 4 * np.finfo(dtype).smallest_subnormal
        expected = norms[-1] * float(rnn.dtype.type(gain)) ** np.arange(T, -1.0, -1.0)
        assert_allclose(norms, expected, rtol=1e-5, atol=float(least))
        for step in result.step_norms:
            assert np.isfinite(step).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e10, 1e30])
def test_enormous_weights_saturate_tanh_without_nan(dtype, size):
    made = case(10, N=3, T=8, dtype=dtype)
    W_hh = made.rnn.W_hh.copy()
    W_hh[1] *= W_hh.dtype.type(size)
    rnn = RNN(*made.rnn.weights._replace(W_hh=W_hh))
    result = bptt(rnn, made.sequences, h0=made.h0, n_threads=2)
    assert result.first_nonfinite[0] == result.first_nonfinite[2] == -1
    for part in (*result.weights, result.h0, result.state_norms, *result.step_norms):
        assert np.isfinite(part[[0, 2]]).all()
        assert result.first_nonfinite[1] >= 0 or np.isfinite(part[1]).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": 0}, ValueError, r"`window` must be at least 1, got 0"),
        ({"window": -3}, ValueError, r"`window` must be at least 1, got -3"),
        ({"window": 2.5}, TypeError, r"`window` must be an integer of at least 1, got 2\.5"),
        ({"window": "3"}, TypeError, r"`window` must be an integer of at least 1, got '3' \(str\)"),
        ({"window": True}, TypeError, r"`window` must be an integer of at least 1, got True"),
        ({"window": None}, TypeError, r"`window` must be an integer of at least 1, got None"),
        ({"window": 3, "stride": 0}, ValueError, r"`stride` must be at least 1, got 0"),
        ({"window": 3, "stride": 1.0}, TypeError, r"`stride` must be an integer .* got 1\.0"),
        ({"window": 3, "stride": 4}, ValueError, r"`stride` must be at most `window` = 3, got 4"),
        ({"window": 3, "n_threads": 0}, ValueError, r"`n_threads` must be at least 1, got 0"),
        ({"window": 3, "n_threads": 1.5}, TypeError, r"`n_threads` must be an integer .* got 1\.5"),
    ],
)
def test_windows_strides_and_threads_that_make_no_sense(options, error, message):
    made = case()
    with pytest.raises(error, match=message):
        truncated_bptt(made.rnn, made.sequences, **options)


def test_integers_of_numpy_are_windows_too():
    made = case()
    one = truncated_bptt(made.rnn, made.sequences, window=np.int64(3), stride=np.uint8(2))
    builders.same_bits(one, truncated_bptt(made.rnn, made.sequences, window=3, stride=2))


def test_arguments_of_the_wrong_kind_are_named():
    made = case()
    with pytest.raises(TypeError, match=r"`rnn` must be a rnnsim\.RNN, got Weights"):
        bptt(made.rnn.weights, made.sequences)
    with pytest.raises(TypeError, match=r"`sequences` must be a rnnsim\.Sequences.*got ndarray"):
        bptt(made.rnn, made.sequences.inputs)
    with pytest.raises(ValueError, match=r"`n_threads` must be at least 1, got -1"):
        bptt(made.rnn, made.sequences, n_threads=-1)
