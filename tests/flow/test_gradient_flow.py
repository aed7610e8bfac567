"""Gradient flow: the definition at every lag and window, closed forms beyond the float range."""

import builders
import numpy as np
import pytest
import reference
from builders import DTYPES, NOJIT, TOLERANCE, case, cases, plain
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, bptt, forward, gradient_flow, truncated_bptt

pytestmark = pytest.mark.nojit
LONG = 120 if NOJIT else 3000
some_dtype = st.sampled_from(DTYPES)


def expected_norms(made, n=0):
    """Logs (S, T, B) of ||dl[t,b]/dh_{t-k}|| at the loss steps, by the definition."""
    rows = reference.flow(*plain(made, n))[made.sequences.loss_steps - 1]
    with np.errstate(divide="ignore"):
        return np.log(np.linalg.norm(rows, axis=-1))


@given(cases(dtype=some_dtype, H=st.integers(2, 5)), st.integers(1, 8))
@example(case(T=1, B=1, D=1, H=1, V=2), 1)
@example(case(T=5, B=3, H=1, classes=False, activation="relu"), 3)
def test_norms_at_every_lag_follow_the_definition(made, max_lag):
    flow = gradient_flow(made.rnn, made.sequences, max_lag=max_lag, h0=made.h0, per_sequence=True)
    steps, K = made.sequences.loss_steps, min(max_lag, made.sequences.n_steps - 1) + 1
    logs = expected_norms(made)[:, :K]
    assert_array_equal(flow.steps, steps)
    assert flow.n_lags == K
    outside = np.arange(K) >= steps[:, None]
    for name in ("log_norms", "live", "log_rms"):
        assert_array_equal(np.isnan(getattr(flow, name)[0]), outside)
    # A norm may be small by cancellation: absolute tolerance against the lag-0 norm's size.
    tolerance = 1e-8 if made.rnn.dtype == np.float64 else 5e-3
    assert_array_equal(np.isnan(flow.per_sequence[0]), np.isnan(logs))
    assert_allclose(np.exp(flow.per_sequence[0]), np.exp(logs), rtol=tolerance, atol=1e-30)
    own = flow.per_sequence[0]
    live = np.isfinite(own)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(live, own, 0).sum(-1) / live.sum(-1)
        spread = np.sqrt((np.where(live, own - means[..., None], 0) ** 2).sum(-1) / live.sum(-1))
        rms = 0.5 * np.log(np.mean(np.exp(2 * own), axis=-1))
    alive = live.any(-1)
    assert_allclose(flow.live[0][~outside], live.mean(-1)[~outside])
    assert_allclose(flow.log_norms[0][alive], means[alive], rtol=1e-12, atol=1e-13)
    assert_allclose(flow.log_std[0][alive], spread[alive], rtol=1e-6, atol=1e-7)
    assert_allclose(flow.log_rms[0][alive], rms[alive], rtol=1e-12, atol=1e-13)
    dead = ~alive & ~outside
    assert np.isneginf(flow.log_norms[0][dead]).all()
    assert np.isneginf(flow.log_rms[0][dead]).all()


def joint(weights, n=0):
    return np.concatenate([np.asarray(a[n], float).ravel() for a in weights])


@given(cases(dtype=some_dtype, N=2))
@example(case(N=2, T=7, silent=0.9, classes=False))
@example(case(N=2, T=1, B=1, D=1, H=1, V=1))
def test_every_window_is_truncated_bptt_with_stride_one(made):
    flow = gradient_flow(made.rnn, made.sequences, h0=made.h0)
    full = bptt(made.rnn, made.sequences, h0=made.h0)
    assert_array_equal(flow.first_nonfinite, [-1, -1])
    for K in range(1, made.sequences.n_steps + 1):
        cut = truncated_bptt(made.rnn, made.sequences, window=K, stride=1, h0=made.h0)
        for n in range(2):
            sums = builders.scales(reference.bptt(*plain(made, n)))
            noise = 2 * TOLERANCE[made.rnn.dtype.name]
            part = np.asarray(cut.W_hh[n], float).ravel()
            whole = np.asarray(full.W_hh[n], float).ravel()
            found = (flow.window_log_norms, flow.window_cosine, flow.window_log_error)
            found = *(a[n, K - 1] for a in found), flow.full_log_norm[n]
            check_window(found, part, whole, noise * sums[1])
            found = (flow.joint_log_norms, flow.joint_cosine, flow.joint_log_error)
            found = *(a[n, K - 1] for a in found), flow.joint_full_log_norm[n]
            check_window(found, joint(cut.weights, n), joint(full.weights, n), noise * sum(sums))


def check_window(found, part, whole, noise):
    """Log norm, cosine, log error, full log norm against two gradients known up to `noise`."""
    log_norm, cosine, log_error, full = found
    size, norm = np.linalg.norm(part), np.linalg.norm(whole)
    assert abs(np.exp(log_norm) - size) <= noise
    assert abs(np.exp(full) - norm) <= noise
    if norm > 10 * noise:
        error = np.linalg.norm(part - whole) / norm
        known = np.exp(log_error) if not np.isnan(log_error) else 0.0
        assert abs(known - error) <= 2 * noise / norm
        if size > 10 * noise:
            assert abs(cosine - part @ whole / size / norm) <= 4 * noise / min(size, norm)
    if norm == 0.0:
        assert np.isnan(cosine)
        assert np.isnan(log_error)


@pytest.mark.parametrize("loss_at", [(5,), (2, 3, 7), (1, 9), (4, 5, 6, 7, 8, 9)])
def test_loss_at_few_steps_gives_their_rows(loss_at):
    made = case(1, T=9, silent=0.0)
    weights = np.zeros_like(made.sequences.weights)
    weights[np.array(loss_at) - 1] = made.sequences.weights[np.array(loss_at) - 1]
    s = Sequences(made.sequences.inputs, made.sequences.targets, weights)
    flow, every = (gradient_flow(made.rnn, q, h0=made.h0) for q in (s, made.sequences))
    assert_array_equal(flow.steps, loss_at)
    rows = np.array(loss_at) - 1
    assert_allclose(flow.log_norms, every.log_norms[:, rows], rtol=1e-12, atol=1e-13)
    for K in range(1, 10):
        cut = truncated_bptt(made.rnn, s, window=K, stride=1, h0=made.h0)
        assert_allclose(flow.window_log_norms[0, K - 1], np.log(np.linalg.norm(cut.W_hh)),
                        atol=1e-12)  # fmt: skip
    assert np.isneginf(flow.window_log_error[0, max(loss_at) - 1 :]).all()


def test_fewer_lags_are_the_beginning_of_all_lags():
    made = case(2, N=2, T=8)
    whole = gradient_flow(made.rnn, made.sequences, h0=made.h0)
    for max_lag in (1, 3, 7, 100):
        flow = gradient_flow(made.rnn, made.sequences, h0=made.h0, max_lag=max_lag)
        K = min(max_lag + 1, 8)
        for name in ("log_norms", "live", "log_rms", "log_std"):
            assert_array_equal(getattr(flow, name), getattr(whole, name)[:, :, :K])
        for name in ("window_log_norms", "window_cosine", "joint_log_norms", "joint_cosine"):
            assert_array_equal(getattr(flow, name), getattr(whole, name)[:, :K])
        assert_array_equal(flow.full_log_norm, whole.full_log_norm)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gain", [0.1, 1.0, 10.0])
def test_orthogonal_linear_networks_change_norms_by_the_gain(gain, dtype):
    rnn = RNN.sample(2, n_inputs=1, n_hidden=6, n_outputs=2, scheme="orthogonal", gain=gain,
                     activation="linear", dtype=dtype, rng=0)  # fmt: skip
    zero = np.zeros((LONG, 2, 1), dtype)
    s = Sequences(zero, np.ones((LONG, 2, 2), dtype)).last_loss_only()
    flow = gradient_flow(rnn, s)
    lags = np.arange(LONG)
    change = flow.log_norms[:, 0] - flow.log_norms[:, 0, :1]
    if dtype == "float64":
        assert_allclose(change, [lags * np.log(gain)] * 2, rtol=1e-9, atol=1e-11)
    else:  # the weights themselves are rounded, by 3e-8 each, the same way at each step
        assert np.abs(change - lags * np.log(gain)).max() < 1e-6 * LONG
    assert_array_equal(flow.first_nonfinite, [-1, -1])
    assert_array_equal(flow.log_rms, flow.log_norms)  # both sequences are alike


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("w", [0.1, 0.9, 1.0, 1.1, 10.0])
@pytest.mark.parametrize("last", [True, False])
def test_windows_beyond_the_range_follow_the_geometric_series(last, w, dtype):
    # Unit 0 holds 1; unit 1 holds 0, multiplies gradients by w and is read out with dl/dh = 1:
    # lag k adds w^k for each loss step that reaches it, and nothing else, to dL/dW_hh[1, 0].
    T = LONG
    weights = [np.zeros((2, 1)), np.diag([1.0, w]), np.array([[0.0, 1.0]])]
    rnn = RNN(*(a.astype(dtype) for a in weights), activation="linear")
    s = Sequences(np.zeros((T, 1, 1), dtype), np.full((T, 1, 1), -1, dtype))
    s = s.last_loss_only() if last else s
    flow = gradient_flow(rnn, s, h0=np.array([[1, 0]], dtype))
    k = np.arange(T, dtype=np.longdouble)
    log_w = np.log(np.longdouble(rnn.W_hh[0, 1, 1]))
    terms = k * log_w + (0 if last else np.log(T - k))
    windows = np.logaddexp.accumulate(terms)
    tails = np.logaddexp.accumulate(terms[::-1])[::-1]
    # float32 weights give products within 1e-7 of each other per step.
    atol = 1e-9 if dtype == "float64" else 3e-7 * T
    assert_allclose(flow.window_log_norms[0], windows.astype(float), rtol=1e-12, atol=atol)
    assert_allclose(flow.full_log_norm[0], float(windows[-1]), rtol=1e-12, atol=atol)
    assert_allclose(flow.window_cosine, np.ones((1, T)), rtol=1e-14)
    log_error = (tails[1:] - windows[-1]).astype(float)
    known = log_error > flow.window_log_floor[0] + 0.1
    found = flow.window_log_error[0]
    assert_allclose(found[:-1][known], log_error[known], atol=0.1)
    assert np.isnan(found[:-1][log_error < flow.window_log_floor[0] - 0.1]).all()
    assert np.isneginf(found[-1])
    # The bias of unit 1 receives the same, and the readout sees h = (1, 0) once per loss step.
    readout = 0.5 * np.log(2.0) + (0 if last else np.log(T))
    both = np.logaddexp(2 * windows + np.log(2), 2 * np.longdouble(readout)) / 2
    assert_allclose(flow.joint_log_norms[0], both.astype(float), rtol=1e-12, atol=atol)
    assert_array_equal(flow.first_nonfinite, [-1])


@pytest.mark.parametrize(
    ("gain", "T", "dtype"),
    [(0.1, LONG, "float64"), (0.1, LONG, "float32"), (10.0, 200, "float64"), (10.0, 25, "float32")],
)
def test_driven_windows_agree_with_extended_precision(gain, T, dtype):
    # At gain 10 states grow to 1e200 (1e25 in float32), gradients as much again.
    made = case(3, T=T, B=2, H=4, activation="linear", gain=gain, scheme="orthogonal",
                silent=0.0, dtype=dtype)  # fmt: skip
    answers = forward(made.rnn, made.sequences.inputs, h0=made.h0).outputs[0].argmax(-1)
    wrong = Sequences(made.sequences.inputs, (answers + 1) % 3)  # right ones have no gradient left
    last = wrong.last_loss_only()
    flow = gradient_flow(made.rnn, last, h0=made.h0, max_lag=200)
    if gain > 1:
        parts = reference.lag_gradients(*plain(made._replace(sequences=last)))
        windows = np.cumsum(parts[:, :, :4], axis=0)
        norms = np.log(np.sqrt((windows**2).sum((1, 2)))).astype(float)
        assert_allclose(flow.window_log_norms[0], norms, atol=1e-9 if dtype == "float64" else 1e-2)
    full = bptt(made.rnn, last, h0=made.h0)
    norm = np.linalg.norm(full.W_hh.astype(np.longdouble))
    assert_allclose(flow.full_log_norm[0], float(np.log(norm)), rtol=1e-4, atol=1e-4)
    assert np.isfinite(flow.window_log_norms).all()
    assert np.isfinite(flow.joint_log_norms).all()
    assert_array_equal(flow.first_nonfinite, [-1])


def check_against_tails(made):
    """Every reported error within 10 % of the tail sum; returns the smallest one reported."""
    flow = gradient_flow(made.rnn, made.sequences, h0=made.h0)
    parts = reference.lag_gradients(*plain(made))
    H = made.rnn.n_hidden
    tails = np.cumsum(parts[::-1, :, :], axis=0)[::-1]
    hidden = np.sqrt((tails[:, :, :H] ** 2).sum((1, 2)))
    log_error = np.log(hidden[1:] / hidden[0]).astype(float)
    truth = reference.bptt(*plain(made)).weights
    readout = np.linalg.norm(truth.W_hy) ** 2 + np.linalg.norm(truth.b_y) ** 2
    every = np.sqrt((tails**2).sum((1, 2)))
    joint_log_error = np.log(every[1:] / np.sqrt(every[0] ** 2 + readout)).astype(float)
    pairs = (
        (flow.window_log_error[0], log_error, flow.window_log_floor[0]),
        (flow.joint_log_error[0], joint_log_error, flow.joint_log_floor[0]),
    )
    for found, expected, floor in pairs:
        reported = ~np.isnan(found[:-1])
        assert (found[:-1][reported] >= floor).all()
        assert_allclose(np.exp(found[:-1][reported] - expected[reported]), 1.0, rtol=0.1)
        assert reported[expected > floor + 0.1].all()
        assert np.isneginf(found[-1])
    return np.fmin.reduce(flow.window_log_error[0, :-1]), flow.window_log_floor[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gain", [0.3, 0.7, 1.0, 1.4])
@pytest.mark.parametrize("seed", range(1 if NOJIT else 4))
def test_reported_errors_are_right_down_to_their_floor(seed, gain, dtype):
    activation = builders.ACTIVATIONS[seed % 3] if gain < 1.1 else "tanh"
    T, H = (30, 4) if NOJIT else (60, 12)
    made = case(seed, T=T, H=H, gain=gain, activation=activation, dtype=dtype,
                classes=seed % 2 == 0)  # fmt: skip
    least, floor = check_against_tails(made)
    if gain == 0.3:  # steep decay: errors are seen down to just above the floor
        assert least < floor + 4
        assert floor < np.log(1e-12 if dtype == "float64" else 1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("imbalance", [1e-2, 1e-4, 1e-6])
def test_the_floor_is_honest_where_sequences_cancel(imbalance, dtype):
    # Near a minimum the gradients of sequences are large and their sum is small.
    made = case(4, T=30, B=1, H=6, gain=0.5, classes=False, silent=0.0)
    s, net = made.sequences, plain(made)[0]
    states, _ = reference.unfold(*plain(made)[:2], *plain(made)[4:])
    y, residual = states[1:] @ net.W_hy.T + net.b_y, s.targets
    targets = np.concatenate([y + residual, y - (1 + imbalance * residual[::-1]) * residual], 1)
    pair = Sequences(np.repeat(s.inputs, 2, 1), targets, np.repeat(s.weights, 2, 1))
    check_against_tails(made._replace(sequences=pair, h0=np.repeat(made.h0, 2, 0)).astype(dtype))


def chain(length, factor, dtype="float64"):
    """Gradients move down a chain of units, `factor` each, and die exactly at its end; beside it
    one unit whose gradient stays as it is. Two outputs, one reads each."""
    W = np.zeros((length + 1, length + 1))
    W[np.arange(1, length), np.arange(length - 1)] = factor  # from unit i-1 to unit i
    W[length, length] = 1.0
    readout = np.zeros((2, length + 1))
    readout[0, length - 1] = readout[1, length] = 1.0
    arrays = (np.ones((length + 1, 1)), W, readout)
    return RNN(*(a.astype(dtype) for a in arrays), activation="linear")


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_that_die_exactly_add_nothing(dtype):
    # Only output 0 is wrong, so at lag 3 nothing is left anywhere.
    targets = np.zeros((8, 2, 2), dtype)
    targets[:, :, 0] = 1
    rnn = chain(3, 1.0, dtype)
    s = Sequences(np.zeros((8, 2, 1), dtype), targets)
    flow = gradient_flow(rnn, s, h0=np.array([[1, 1, 1, 0]] * 2, dtype))
    assert np.isneginf(flow.log_norms[0, -1, 3:]).all()
    assert_array_equal(flow.live[0, -1], [1, 1, 1, 0, 0, 0, 0, 0])
    for norms in (flow.window_log_norms[0], flow.joint_log_norms[0]):
        assert_allclose(norms[3:], norms[2], rtol=1e-14)
        assert np.isfinite(norms).all()
    assert_allclose(flow.full_log_norm, flow.window_log_norms[:, -1], rtol=1e-12)
    assert_array_equal(flow.first_nonfinite, [-1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sequence_that_explodes_and_dies_leaves_the_others_alone(dtype):
    # Sequence 0 grows to 1e390 and dies at lag 40, sequence 1 stays at 1.
    T = 60
    targets = np.zeros((T, 2, 2), dtype)
    targets[:, 0, 0] = targets[:, 1, 1] = -1
    s = Sequences(np.zeros((T, 2, 1), dtype), targets).last_loss_only()
    flow = gradient_flow(chain(40, 1e10, dtype), s, per_sequence=True)
    grown = np.where(np.arange(T) < 40, np.arange(T) * np.log(1e10), -np.inf)
    assert_allclose(flow.per_sequence[0, 0, :, 0], grown, rtol=1e-6)
    assert_array_equal(flow.per_sequence[0, 0, :, 1], np.zeros(T))
    assert_allclose(flow.log_norms[0, 0, 40:], np.zeros(20))
    assert_allclose(flow.joint_log_norms[0, 40:], 39 * np.log(1e10) - np.log(2), rtol=1e-6)
    assert_array_equal(flow.first_nonfinite, [-1])


def test_saturation_costs_no_digits_in_float32():
    made = case(5, T=12, H=5, gain=10.0, scheme="identity", silent=0.0)
    narrow = made.astype("float32")
    wide = gradient_flow(made.rnn, made.sequences, h0=made.h0)
    flow = gradient_flow(narrow.rnn, narrow.sequences, h0=narrow.h0)
    assert flow.saturated_fraction[0] > 0.3  # 1 - h^2 is exactly 0 there
    assert wide.log_norms[0, -1, -1] < -100
    # Slopes are 4 exp(-2|a|) with a near 10, known to 1e-6 each; there are up to 11 of them.
    assert_allclose(flow.log_norms, wide.log_norms, rtol=1e-4, atol=1e-4)


@given(cases(dtype=some_dtype))
@example(case(T=9, activation="relu"))
@example(case(T=9, gain=60.0, scheme="identity"))
@example(case(T=9, activation="sigmoid"))
def test_slopes_are_averaged_and_saturated_units_counted(made):
    flow = gradient_flow(made.rnn, made.sequences, h0=made.h0)
    net, x, _, _, h0, activation = plain(made)
    slopes = reference.slope(activation, reference.unfold(net, x, h0, activation)[1])
    assert_allclose(flow.mean_slope[0], slopes.mean(), rtol=1e-4, atol=1e-5)
    h = forward(made.rnn, made.sequences.inputs, h0=made.h0).states[0, 1:]
    saturated = {
        "tanh": 1 - h * h == 0, "sigmoid": h * (1 - h) == 0, "relu": h <= 0, "linear": h != h,
    }[activation]  # fmt: skip
    assert_allclose(flow.saturated_fraction[0], saturated.mean(), rtol=1e-12)


@given(cases(B=1, N=2))
def test_one_sequence_is_its_own_average(made):
    flow = gradient_flow(made.rnn, made.sequences, h0=made.h0, per_sequence=True)
    # The mean of one log is the log; the spread of one is 0.
    assert_array_equal(flow.log_norms, flow.per_sequence[..., 0])
    assert_array_equal(flow.log_rms, flow.log_norms)
    assert not flow.log_std[np.isfinite(flow.log_norms)].any()


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_of_an_ensemble_gives_what_it_gives_alone(dtype, own):
    made = case(6, N=3, own=own, silent=0.0, dtype=dtype)
    s, whole = made.sequences, gradient_flow(made.rnn, made.sequences, h0=made.h0)
    for n in range(3):
        data = Sequences(s.inputs[n], s.targets[n], s.weights[n]) if own else s
        alone = gradient_flow(made.rnn[n], data, h0=made.h0[n] if own else made.h0)
        builders.same_bits(alone, builders.network_of(whole, n))


def test_steps_are_those_that_carry_loss_in_any_network():
    made = case(7, N=2, own=True, T=5, silent=0.0)
    weights = made.sequences.weights.copy()
    weights[0, :3], weights[1, 2:] = 0.0, 0.0
    s = Sequences(made.sequences.inputs, made.sequences.targets, weights)
    flow = gradient_flow(made.rnn, s, h0=made.h0)
    assert_array_equal(flow.steps, [1, 2, 4, 5])
    assert_array_equal(flow.live[:, :, 0], [[0, 0, 1, 1], [1, 1, 0, 0]])
    for n, rows in ((0, [2, 3]), (1, [0, 1])):
        data = Sequences(s.inputs[n], s.targets[n], s.weights[n])
        alone = gradient_flow(made.rnn[n], data, h0=made.h0[n])
        assert_array_equal(alone.log_norms[0], flow.log_norms[n, rows])
        assert_allclose(alone.window_log_norms[0], flow.window_log_norms[n], rtol=1e-12)
        assert_allclose(alone.full_log_norm[0], flow.full_log_norm[n], rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_beyond_the_range_is_named_and_leaves_the_others_alone(dtype):
    made = case(8, N=4, activation="linear", silent=0.0, dtype=dtype)
    w = [array.copy() for array in made.rnn.weights]
    w[0][1], w[3][1] = 0, 0
    w[1][1] = (1e200 if dtype == "float64" else 1e25) * np.eye(4)  # h_2 overflows
    w[2][3] = np.finfo(dtype).max / 2  # outputs overflow from step 1 on, states do not
    rnn = RNN(*w, activation="linear")
    flow = gradient_flow(rnn, made.sequences, h0=made.h0, n_threads=2)
    assert_array_equal(flow.first_nonfinite, [-1, 2, -1, 1])
    for n in (0, 2):
        alone = gradient_flow(made.rnn[n], made.sequences, h0=made.h0)
        builders.same_bits(alone, builders.network_of(flow, n))


def test_lags_and_losses_that_make_no_sense():
    made = case()
    for max_lag, error, message in (
        (0, ValueError, r"`max_lag` must be at least 1, got 0"),
        (2.5, TypeError, r"`max_lag` must be an integer of at least 1, got 2\.5"),
        ("3", TypeError, r"`max_lag` must be an integer of at least 1, got '3'"),
        (True, TypeError, r"`max_lag` must be an integer of at least 1, got True"),
    ):
        with pytest.raises(error, match=message):
            gradient_flow(made.rnn, made.sequences, max_lag=max_lag)
    s = made.sequences
    silent = Sequences(s.inputs, s.targets, np.zeros_like(s.weights))
    with pytest.raises(ValueError, match=r"`sequences` must carry loss at one step at least"):
        gradient_flow(made.rnn, silent)
    with pytest.raises(ValueError, match=r"`n_threads` must be at least 1, got 0"):
        gradient_flow(made.rnn, s, n_threads=0)
