"""Gradient flow of gated cells where it is known: products of gates, also beyond the range."""

import builders
import numpy as np
import pytest
import reference
from builders import DTYPES, NOJIT, gated
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import sigma

from rnnsim import RNN, Sequences, gradient_flow, growth_rate, jacobian_products, reach

pytestmark = pytest.mark.nojit
GATED = pytest.mark.parametrize("cell", ["lstm", "gru"])
LONG = 60 if NOJIT else 2000


def cell_of_units(cell, H=1, *, W_hh=None, dtype="float64", D=1, W_xh=None, **biases):
    """One network without weights but those given; biases by their gates: H numbers, or one."""
    names = ("i", "f", "g", "o") if cell == "lstm" else ("r", "z", "n_x", "n_h")
    assert set(biases) <= set(names)
    rows = (4 if cell == "lstm" else 3) * H
    b_h = np.concatenate([np.broadcast_to(biases.get(name, 0.0), H) for name in names])
    W_xh = np.zeros((rows, D)) if W_xh is None else W_xh
    W_hh = np.zeros((rows, H)) if W_hh is None else W_hh
    return RNN(*(a.astype(dtype) for a in (W_xh, W_hh)), b_h=b_h.astype(dtype), cell=cell)


def of_last_state(inputs, **gradients):
    """A loss of the last state; derivatives are multiplied by B, as those of one sequence are."""
    B = inputs.shape[1]
    arrays = {name: np.full((B, len(d)), d, inputs.dtype) / B for name, d in gradients.items()}
    return Sequences.from_gradients(inputs, **arrays)


@GATED
def test_without_recurrent_weights_gradients_are_products_of_one_gate(cell):
    """dc_t/dc_{t-k} = prod f, dh_t/dh_{t-k} = prod z, along any input."""
    made = gated(cell, 1, T=8, silent=0.0)
    w = made.rnn.weights
    rnn = made.rnn.with_weights(w._replace(W_hh=np.zeros_like(w.W_hh)))
    flow = gradient_flow(rnn, made.sequences, per_sequence=True, **made.start)
    net, x, targets, weights, start, name = made._replace(rnn=rnn).plain()
    states, pre = reference.unfold(net, x, start, name)
    gate = sigma(pre[..., 3:6])
    dh = reference.output_gradient(net, states[..., :3], targets, weights) @ net.W_hy
    for t in range(1, 9):
        row = dh[t - 1]
        if cell == "lstm":
            row = row * sigma(pre[t - 1, :, 9:]) * (1 - np.tanh(states[t, :, 3:]) ** 2)
            assert np.isneginf(flow.log_norms_h[0, t - 1, 1:t]).all()
        for k in range(1, t):
            row = row * gate[t - k]
            expected = np.log(np.linalg.norm(row, axis=1))
            assert_allclose(flow.per_sequence[0, t - 1, k], expected, atol=1e-12)
    if cell == "lstm":  # it is all on the path through c
        later = np.tril(np.ones((8, 8), bool), -1)
        found = flow.log_norms_path_c[0][later]
        assert_allclose(flow.log_norms_c[0][later], found, rtol=1e-13, atol=1e-14)


@GATED
@pytest.mark.parametrize(
    ("bias", "gate", "decades"),
    [(0, 0.5, None), (1, 0.731059, -13.605), (2, 0.880797, -5.512), (3, 0.952574, -2.110),
     (5, 0.993307, -0.292)],
)  # fmt: skip
def test_a_constant_bias_gives_its_gate_to_the_power_of_the_lag(cell, bias, gate, decades):
    """sigma(b)^k; the time scale 1/(1-f) is 1 + e^b."""
    T, B = 101, 2
    rnn = cell_of_units(cell, 2, **{"f" if cell == "lstm" else "z": bias})
    name = "dL_dc_final" if cell == "lstm" else "dL_dh_final"
    flow = gradient_flow(rnn, of_last_state(np.zeros((T, B, 1)), **{name: [0.6, 0.8]}))
    f, lags = 1 / (1 + np.exp(-float(bias))), np.arange(T)
    assert abs(f - gate) < 5e-7
    assert_allclose(flow.log_norms[0, 0], lags * np.log(f), rtol=1e-13, atol=1e-14)
    if decades is not None:
        assert abs(flow.log_norms[0, 0, 100] / np.log(10) - decades) < 5e-4
    rate = growth_rate(flow)
    assert_allclose(rate.rate, np.log(f), rtol=1e-12)
    assert_allclose(1 / (1 - np.exp(rate.rate)), 1 + np.exp(bias), rtol=1e-9)
    assert rate.single.all()
    assert_allclose(flow.log_rms, flow.log_norms, rtol=1e-13, atol=1e-14)  # all are alike


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_constant_error_carousel(dtype):
    """b_f = 40, b_i = -800: sigma is 1 and 0 in floating point, so c is kept and so is dl/dc."""
    H, T = 3, LONG
    rng = np.random.default_rng(0)
    W_hh, W_xh = rng.normal(size=(4 * H, H)), rng.normal(size=(4 * H, 1))
    W_hh[: 2 * H] = W_xh[: 2 * H] = 0
    rnn = cell_of_units("lstm", H, W_hh=W_hh, W_xh=W_xh, f=40, i=-800, dtype=dtype)
    inputs = rng.normal(size=(T, 2, 1)).astype(dtype)
    flow = gradient_flow(
        rnn, of_last_state(inputs, dL_dc_final=[0.48, 0.6, 0.64]), c0=np.ones((2, H), dtype)
    )
    assert_allclose(
        flow.log_norms_path_c[0, 0], np.zeros(T), atol=1e-7 if dtype == "float32" else 1e-14
    )
    assert_allclose(flow.log_norms_c, flow.log_norms_path_c, atol=1e-14)
    assert np.ptp(flow.log_norms_path_c) == 0
    # what goes by way of the gates is as small as f (1-f): 4e-18
    assert (flow.log_norms_h[0, 0, 1:] < np.log(1e-15)).all()


def beyond(cell, factor, dtype, H=2):
    """A network at rest whose only eigenvalue is `factor`: f + i o w, or z + (1-z) r w."""
    W_hh = np.zeros(((4 if cell == "lstm" else 3) * H, H))
    if factor < 1:
        gates = {"f": np.log(factor / (1 - factor))} if cell == "lstm" else {
            "z": np.log(factor / (1 - factor))
        }  # fmt: skip
        return cell_of_units(cell, H, dtype=dtype, **gates)
    W_hh[2 * H : 3 * H] = np.eye(H) * (factor - 1 if cell == "lstm" else factor)
    gates = {"i": 40, "f": 40, "o": 40} if cell == "lstm" else {"r": 40, "z": -800}
    return cell_of_units(cell, H, W_hh=W_hh, dtype=dtype, **gates)


@GATED
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1e-9, 0.03, 32.0, 1e6])
def test_norms_far_outside_the_range(cell, factor, dtype):
    """10^-1000 and 10^+1000 are numbers, of norms and of windows."""
    T = 200 if abs(np.log10(factor)) > 5 else 60 if NOJIT else 700
    rnn, B = beyond(cell, factor, dtype), 2
    name = "dL_dc_final" if cell == "lstm" else "dL_dh_final"
    data = of_last_state(np.zeros((T, B, 1), dtype), **{name: [0.6, 0.8]})
    flow = gradient_flow(rnn, data)
    lags = np.arange(T)
    tight = 1e-6 if dtype == "float32" else 1e-12  # float32 rounds a bias of -20 by 1e-6
    if cell == "lstm" and factor > 1:  # (dh, dc) of lag k is (w, 1) (1 + w)^(k-1)
        w, decay = factor - 1, np.where(lags, lags - 1, 0) * np.log(factor)
        expected = decay + np.where(lags, 0.5 * np.log1p(w * w), 0)
        assert_allclose(flow.log_norms_c[0, 0], decay, rtol=tight, atol=1e-6)
        assert_allclose(flow.log_norms_path_c[0, 0], np.zeros(T), atol=1e-6)
    else:
        expected = lags * np.log(factor)
    assert_allclose(flow.log_norms[0, 0], expected, rtol=tight, atol=1e-6)
    assert abs(expected[-1]) > 200 * np.log(10) / (4 if NOJIT else 1)
    assert_array_equal(flow.first_nonfinite, [-1])
    # dL/db of g, or of n: a geometric series in all windows, W_hh has none as h = 0 throughout
    a = np.log(factor)
    series = np.log(-np.expm1(a * (lags + 1)) / -np.expm1(a)) if factor < 1 else (
        a * (lags + 1) + np.log1p(-np.exp(-a * (lags + 1))) - np.log(np.expm1(a))
    )  # fmt: skip
    assert_allclose(np.diff(flow.recurrent.log_norms[0]), np.diff(series), rtol=1e-4, atol=2e-5)
    assert_array_equal(np.isneginf(flow.window_log_norms), True)
    assert_array_equal(np.isnan(reach(flow).W_hh), [True])


@pytest.mark.parametrize(
    ("mean", "deviation", "log_mean", "log_rms"),
    [(0, 1, -0.80606, -0.61314), (1, 1, -0.40686, -0.32813), (2, 1, -0.18274, -0.15819),
     (3, 1, -0.07503, -0.06914), (1, 0.5, -0.33755, -0.31872), (0, 3, -1.39408, -0.47705)],
)  # fmt: skip
def test_gates_that_are_drawn_afresh_each_step(mean, deviation, log_mean, log_rms):
    """a_f ~ N(b, s^2), one unit: after k steps E ln f and ln(E f^2)/2, each times k."""
    k, B = 3, 400 if NOJIT else 8000
    W_xh = np.array([0, deviation, 0, 0])[:, None]
    rnn = cell_of_units("lstm", W_xh=W_xh, f=mean)
    inputs = np.random.default_rng(0).normal(size=(21, B, 1))
    data = of_last_state(inputs, dL_dc_final=[1.0])
    flow = gradient_flow(rnn, data, per_sequence=True, max_lag=k)
    logs = flow.per_sequence[0, 0, k]
    squares = np.exp(2 * logs)
    # four standard errors of each mean, from the sample itself
    error, error_rms = logs.std(), squares.std() / squares.mean() / 2
    assert abs(flow.log_norms[0, 0, k] - k * log_mean) < 4 * error / np.sqrt(B)
    assert abs(flow.log_rms[0, 0, k] - k * log_rms) < 4 * error_rms / np.sqrt(B)


TABLE = [(100, 1, 0.96185), (100, 10, 0.76269), (100, 50, 0.38684), (100, 100, 0.19394),
         (1000, 500, 0.38550), (1000, 1000, 0.19376)]  # fmt: skip


@GATED
@pytest.mark.parametrize(("longest", "k", "norm"), TABLE)
def test_chrono_gates_keep_what_their_time_scales_say(cell, longest, k, norm):
    """Without recurrent weights a norm over units is sqrt(E f^2k), 1/(1-f) uniform on [2, T]."""
    N, H = (40, 10) if NOJIT else (400, 50)
    drawn = RNN.sample(N, n_inputs=1, n_hidden=H, n_outputs=0, cell=cell, chrono=longest, rng=0)
    f = sigma(drawn.b_h[:, H : 2 * H])
    squares = f ** (2 * k)
    error = squares.std() / squares.mean() / 2 / np.sqrt(squares.size)
    assert abs(np.sqrt(squares.mean()) / norm - 1) < 4 * error + 5e-5
    if k <= 10 or (k == 100 and not NOJIT):  # the flow has what the gates say, network by network
        few = drawn[:4]
        still = few.with_weights(few.weights._replace(W_hh=np.zeros_like(few.W_hh)))
        name = "dL_dc_final" if cell == "lstm" else "dL_dh_final"
        data = of_last_state(np.zeros((k + 1, 1, 1)), **{name: np.full(H, H**-0.5)})
        flow = gradient_flow(still, data)
        expected = 0.5 * np.log(squares[:4].mean(axis=1))
        assert_allclose(flow.log_norms[:, 0, k], expected, rtol=1e-11)


@pytest.mark.parametrize(("longest", "mean"), [(100, 0.14965), (1000, 0.14861)])
def test_chrono_gates_on_average_at_the_longest_lag(longest, mean):
    """E f^T tends to the integral of exp(-1/x) over x from 0 to 1, .1485, whatever T is."""
    drawn = RNN.sample(200, n_inputs=1, n_hidden=50, n_outputs=0, cell="gru", chrono=longest, rng=1)
    kept = sigma(drawn.b_h[:, 50:100]) ** longest
    assert abs(kept.mean() - mean) < 4 * kept.std() / np.sqrt(kept.size)


@GATED
def test_rates_do_not_depend_on_the_scale_of_states(cell):
    """One unit whose gate alone carries the gradient: the same slope in units of its deviation."""
    made = gated(cell, 2, T=40, B=4, H=1, silent=0.0)
    w = made.rnn.weights
    rnn = made.rnn.with_weights(w._replace(W_hh=np.zeros_like(w.W_hh)))
    plain, scaled = (
        growth_rate(gradient_flow(rnn, made.sequences, state_scale=scale, **made.start), (1, 12))
        for scale in (None, "std")
    )
    assert_allclose(scaled.rate, plain.rate, rtol=1e-10)
    assert_allclose(scaled.standard_error, plain.standard_error, rtol=1e-8)
    net, x, _, _, start, name = made._replace(rnn=rnn).plain()
    gate = np.log(sigma(reference.unfold(net, x, start, name)[1][..., 1]))  # (T, B)
    # slopes are weighted means of ln f at steps t-1 .. t-11: their weights add up to 1
    assert gate.min() < plain.rate[0] < gate.max()
    assert abs(plain.rate[0] - gate.mean()) < 6 * plain.standard_error[0]


SHUT = {"float64": [0.0, -10.0, -700.0, -130.0], "float32": [0.0, -3.0, -86.0, -12.0]}


@GATED
@pytest.mark.parametrize("dtype", DTYPES)
def test_gates_that_all_but_shut_are_no_exact_zeros(cell, dtype):
    """A norm that is small already, then a gate near the end of the range: e^-700 of e^-130."""
    a = np.array(SHUT[dtype])
    W_xh = np.zeros((4 if cell == "lstm" else 3, 1))
    W_xh[1] = 1.0
    name = "dL_dc_final" if cell == "lstm" else "dL_dh_final"
    data = of_last_state(a[:, None, None].astype(dtype), **{name: [1.0]})
    flow = gradient_flow(cell_of_units(cell, W_xh=W_xh, dtype=dtype), data)
    expected = np.concatenate([[0], np.cumsum(-np.log1p(np.exp(-a[::-1])))])[:4]
    assert_allclose(flow.log_norms[0, 0], expected, rtol=1e-6 if dtype == "float32" else 1e-13)
    if cell == "lstm":
        # Squares of a row are summed up in its dtype; the path has squares of its own.
        rtol = 1e-7 if dtype == "float32" else 1e-13
        assert_allclose(flow.log_norms_path_c, flow.log_norms, rtol=rtol)
    assert_array_equal(flow.live, 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_saturated_units_are_no_exact_zeros(dtype):
    """Of tanh units likewise: ln tanh' = ln 4 - 2|a| of pre-activations that follow each other."""
    a = np.array([0.0, 350.0, 65.0, 5.0] if dtype == "float64" else [0.0, 42.0, 6.9, 5.0])
    rnn = builders.network(np.eye(1), "tanh")
    data = builders.driven(rnn, a[:, None]).last_loss_only()
    flow = gradient_flow(rnn.astype(dtype), data.astype(dtype))
    slopes = np.log(4) - 2 * a[:0:-1] - 2 * np.log1p(np.exp(-2 * a[:0:-1]))
    rtol = 1e-6 if dtype == "float32" else 1e-12
    assert_allclose(np.diff(flow.log_norms[0, 0]), slopes, rtol=rtol)
    wide = jacobian_products(rnn, data, lags=[1, 2, 3]).log_gradient_norms[0, 0]
    assert_allclose(np.diff(wide), slopes[1:], rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-70, 1e-8, 1.0, 1e8, 1e70])
def test_the_path_through_memories_adds_what_enters_at_any_size(size, dtype):
    """f (dL/dc + S dL/dh) at lag 1, however small or large dL/dc is beside dL/dh."""
    if dtype == "float32" and not 1e-30 < size < 1e30:
        pytest.skip("beyond the range of float32")
    rnn = cell_of_units("lstm", f=2.0, dtype=dtype)
    data = of_last_state(np.zeros((3, 1, 1), dtype), dL_dh_final=[1.0], dL_dc_final=[size])
    flow = gradient_flow(rnn, data, c0=np.zeros((1, 1), dtype))
    both = np.log(0.5 + size) + np.log(sigma(np.float64(2.0))) * np.array([1, 2])
    expected = np.concatenate([[np.log(size)], both])
    rtol = 1e-6 if dtype == "float32" else 1e-13
    assert_allclose(flow.log_norms_path_c[0, 0], expected, rtol=rtol, atol=rtol)
