"""Bias and variance of windows over batches: definitions, closed forms, estimates, edges."""

import dataclasses

import numpy as np
import pytest
from builders import DTYPES, at_rest, draws, gated
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import RNN, Sequences, gradient_flow, truncated_bptt, window_bias_variance
from rnnsim.flow.windows import parts
from rnnsim.flow.windows.bias_variance import in_groups

CELLS = pytest.mark.parametrize("cell", ["tanh", "lstm", "gru"])
OF = ("recurrent", "W_hh", "W_xh")


class Drawing:
    """A draw that keeps its batches."""

    def __init__(self, **options):
        self.options, self.batches = options, []

    def __call__(self, rng):
        dtype = self.options.get("dtype", "float64")
        sizes = {name: value for name, value in self.options.items() if name != "dtype"}
        self.batches.append(draws(rng, **sizes).astype(dtype))
        return self.batches[-1]


def explicit(rnn, batches, of="recurrent"):
    """g_K of every batch and window, (N, T, M, Q), by truncated_bptt."""
    names = ("W_hh", "W_xh", "b_h") if of == "recurrent" else (of,)
    found = []
    for K in range(1, batches[0].n_steps + 1):
        each = [truncated_bptt(rnn, batch, window=K, stride=1) for batch in batches]
        rows = [[getattr(g, name).reshape(len(rnn), -1) for name in names] for g in each]
        found.append([np.concatenate(row, axis=1) for row in rows])
    return np.array(found, float).transpose(2, 0, 1, 3)


def squares(x):
    return (x * x).sum(axis=-1)


@pytest.mark.nojit
@CELLS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("of", OF)
def test_bias_and_variance_are_those_of_explicit_gradients(cell, dtype, of):
    made, draw = gated(cell, N=2, V=3, dtype=dtype), Drawing(dtype=dtype)
    found = window_bias_variance(made.rnn, draw, 4, of=of, rng=1)
    g = explicit(made.rnn, draw.batches, of)
    mean = g.mean(axis=2)
    unit = squares(mean[:, -1])[:, None]
    close = {"rtol": 1e-9, "atol": 1e-13} if dtype == "float64" else {"rtol": 1e-3, "atol": 1e-6}
    assert_allclose(found.bias2, squares(mean - mean[:, -1:]) / unit, **close)
    assert_allclose(found.variance, squares(g - mean[:, :, None]).mean(axis=2) / unit, **close)
    assert_allclose(found.log_norm, 0.5 * np.log(unit[:, 0]), **close)
    whole = squares(g - mean[:, -1:, None]).mean(axis=2) / unit
    assert_allclose(found.bias2 + found.variance, whole, **close)
    assert_array_equal(found.bias2[:, -1], 0)
    assert_array_equal(found.windows, np.arange(1, 8))
    assert (found.batch_size, found.n_batches) == (2, 4)
    assert (found.first_nonfinite == -1).all()
    assert (found.floor < (1e-20 if dtype == "float64" else 1e-4)).all()


@pytest.mark.nojit
@CELLS
def test_they_are_those_of_gradient_flows_of_all_batches_and_of_each(cell):
    """A second route: the pooled flow has the means, the flow of each batch the squares."""
    made, draw = gated(cell, N=2, V=3), Drawing()
    found = window_bias_variance(made.rnn, draw, 3, rng=1)
    pooled = gradient_flow(made.rnn, pool(draw.batches)).recurrent
    each = [gradient_flow(made.rnn, batch).recurrent.log_norms for batch in draw.batches]
    unit = 2 * pooled.full_log_norm[:, None]
    assert_allclose(found.bias2, np.exp(2 * pooled.log_error), rtol=1e-8)
    second = np.mean([np.exp(2 * logs - unit) for logs in each], axis=0)
    assert_allclose(found.variance, second - np.exp(2 * pooled.log_norms - unit), atol=1e-13)
    assert_allclose(found.log_norm, pooled.full_log_norm)


def pool(batches):
    return Sequences(
        *(np.concatenate([getattr(b, name) for b in batches], axis=1)
          for name in ("inputs", "targets", "weights"))
    )  # fmt: skip


@pytest.mark.nojit
@pytest.mark.parametrize("of", OF)
def test_parts_of_lags_have_the_signal_and_the_noise_of_differences_of_windows(of):
    made, draw, M = gated("lstm", V=3), Drawing(), 4
    found = window_bias_variance(made.rnn, draw, M, of=of, rng=2)
    g = explicit(made.rnn, draw.batches, of)[0]
    parts = np.diff(g, axis=0, prepend=np.zeros_like(g[:1]))
    unit = squares(g[-1].mean(axis=0))
    apart = squares(parts - parts.mean(axis=1, keepdims=True)).sum(axis=1)
    signal = squares(parts.mean(axis=1)) - apart / (M * (M - 1))
    assert_allclose(found.lag_noise[0], apart / (M - 1) / unit, rtol=1e-9, atol=1e-14)
    assert_allclose(found.lag_signal[0], signal / unit, rtol=1e-9, atol=1e-13)


@pytest.mark.nojit
def test_estimates_are_means_over_pairs_and_influences_those_of_the_jackknife():
    made, draw, M = gated("tanh", V=3), Drawing(), 5
    found = window_bias_variance(made.rnn, draw, M, rng=3)
    g = explicit(made.rnn, draw.batches)[0]
    unit = squares(g[-1].mean(axis=0))

    def estimates(g):
        d, n = g[-1] - g, g.shape[1]
        pairs = [(b, c) for b in range(n) for c in range(n) if b != c]
        bias2 = sum((d[:, b] * d[:, c]).sum(axis=-1) for b, c in pairs) / len(pairs)
        variance = sum(squares(g[:, b] - g[:, c]) for b, c in pairs) / (2 * len(pairs))
        return bias2 / unit, variance / unit

    own = estimates(g)
    without = [estimates(np.delete(g, b, axis=1)) for b in range(M)]
    for i, name in enumerate(("bias2", "variance")):
        assert_allclose(getattr(found, f"{name}_estimate")[0], own[i], atol=1e-13)
        pseudo = [M * own[i] - (M - 1) * each[i] for each in without]
        influence = np.array(pseudo).T - own[i][:, None]
        assert_allclose(getattr(found, f"{name}_influence")[0], influence, atol=1e-12)
    error = 2.7764451 / 2 * found.bias2_influence.std(axis=2, ddof=1) / np.sqrt(M)  # t, 4 degrees
    assert_allclose(found.bias2_error, error)
    logs = np.log([each[1] for each in without])
    error = 2.7764451 / 2 * np.sqrt((M - 1) / M * squares((logs - logs.mean(axis=0)).T))
    assert_allclose(found.variance_log_error[0], error)


@pytest.mark.parametrize(("weight", "size"), [(0.5, 1e-300), (8.0, 1.0)])
def test_gradients_whose_squares_or_they_themselves_leave_the_range(weight, size):
    """G_k = delta l^k h_{T-1-k} of a linear unit with states of integers: no rounding grows."""
    rnn, T, M = RNN([[1.0]], [[weight]], [[1.0]], activation="linear"), 400, 6
    rng = np.random.default_rng(0)
    h = rng.integers(1, 9, size=(M, T + 1, 1)).astype(float)
    h[:, 0] = 0
    delta = size * rng.random((M, 1, 1))
    batches = iter(zip(h, delta, strict=True))

    def draw(rng):
        h, delta = next(batches)
        x = h[1:] - weight * h[:-1]
        return Sequences.from_gradients(x[:, None], dL_dh_final=delta)

    found = window_bias_variance(rnn, draw, M, of="W_hh")
    k = np.arange(T)
    longest = T - 1.0 if weight > 1 else 0.0
    parts = delta[:, 0] / size * weight ** (k - longest) * h[:, T - 1 - k, 0]
    g = np.cumsum(parts, axis=1).T
    unit = g[-1].mean() ** 2
    assert_allclose(found.log_norm, 0.5 * np.log(unit) + longest * np.log(weight) + np.log(size))
    assert abs(found.log_norm[0]) > 680
    bias = abs(g - g[-1]).mean(axis=1) / np.sqrt(unit)  # all have one sign
    assert_allclose(np.sqrt(found.bias2[0]), bias, rtol=1e-9, atol=1e-15)
    assert (abs(np.sqrt(found.bias2[0]) - bias) <= np.sqrt(found.floor)).all()
    assert_allclose(found.variance[0], g.var(axis=1) / unit, rtol=1e-9, atol=1e-300)
    assert_allclose(found.lag_noise[0], parts.var(axis=0, ddof=1) / unit, rtol=1e-9, atol=1e-300)


@pytest.mark.nojit
def test_one_batch_two_batches_and_one_step():
    made = gated("gru", V=3)
    one = window_bias_variance(made.rnn, Drawing(), 1)
    assert np.isfinite(one.bias2).all()
    assert np.isnan(one.variance).all()
    assert np.isnan(one.best_window(4)).all()
    assert np.isnan(one.horizon(1)).all()
    for name in ("bias2_estimate", "variance_estimate", "bias2_error", "variance_log_error"):
        assert np.isnan(getattr(one, name)).all()
    two = window_bias_variance(made.rnn, Drawing(), 2)
    assert np.isfinite(two.bias2_estimate).all()
    assert np.isfinite(two.best_window(4)).all()
    assert np.isnan(two.bias2_error).all()
    assert np.isnan(two.as_good_windows(4)).all()
    step = window_bias_variance(made.rnn, Drawing(T=1), 3)
    assert_array_equal(step.bias2, [[0.0]])
    assert_array_equal(step.best_window(1), [1])
    assert_array_equal(step.best_split(5), [[1], [5]])


@pytest.mark.nojit
def test_a_network_without_gradient_and_one_that_is_lost_leave_the_others_alone():
    made = gated("relu", N=3, V=3)
    W_xh, W_hh, W_hy, b_h, b_y = (np.array(w) for w in made.rnn.weights)
    W_hy[0] = 0  # no gradient arrives
    W_xh[1], W_hh[1] = 1e200, 1e200
    rnn = RNN(W_xh, W_hh, W_hy, b_h, b_y, activation="relu")
    found = window_bias_variance(rnn, Drawing(), 4)
    alone = window_bias_variance(rnn[2:], Drawing(), 4)
    for name in ("log_norm", "bias2", "variance", "bias2_estimate", "variance_influence", "floor",
                 "lag_signal", "lag_noise"):  # fmt: skip
        value = getattr(found, name)
        assert_array_equal(value[2:], getattr(alone, name))
        assert name == "log_norm" or np.isnan(value[:2]).all()
    assert found.log_norm[0] == -np.inf
    assert np.isnan(found.log_norm[1])
    assert found.first_nonfinite[0] == found.first_nonfinite[2] == -1 < found.first_nonfinite[1]
    assert_array_equal(np.isnan(found.best_window(1)), [True, True, False])
    assert_array_equal(np.isnan(found.horizon(1)), [True, True, False])


@pytest.mark.nojit
def test_batches_cut_from_a_sample_threads_windows_and_chunks_change_nothing(monkeypatch):
    made, draw = gated("lstm", N=2, V=3), Drawing()
    drawn = window_bias_variance(made.rnn, draw, 4, rng=8, n_threads=1)
    threads = window_bias_variance(
        made.rnn, Drawing(), 4, rng=np.random.default_rng(8), n_threads=3
    )
    some = window_bias_variance(made.rnn, Drawing(), 4, rng=8, windows=[2, 7])
    cut = window_bias_variance(made.rnn, pool(draw.batches), 4)
    for field in dataclasses.fields(drawn):
        value = getattr(drawn, field.name)
        assert_array_equal(getattr(threads, field.name), value)
        if value is not drawn.batch_size and value.shape[1:2] == (7,) and "lag" not in field.name:
            assert_array_equal(getattr(some, field.name), value[:, [1, 6]])
        assert_allclose(getattr(cut, field.name), value, rtol=1e-12, atol=1e-15)
    assert_array_equal(some.windows, [2, 7])
    monkeypatch.setattr(parts, "_KEPT", 0)
    single = window_bias_variance(made.rnn, Drawing(), 4, rng=8)
    for field in dataclasses.fields(drawn):
        assert_array_equal(getattr(single, field.name), getattr(drawn, field.name))


@pytest.mark.nojit
def test_losses_of_ones_own_are_cut_into_batches_with_a_mean_of_their_own():
    made, rng = gated("lstm", V=3), np.random.default_rng(9)
    x, dL_dy, dL_dc = (rng.normal(size=shape) for shape in ((5, 6, 2), (5, 6, 3), (6, 3)))
    sample = Sequences.from_gradients(x, dL_dy, dL_dc_final=dL_dc)
    parts = [slice(0, 2), slice(2, 4), slice(4, 6)]
    batches = [  # each of a mean over 2 sequences where the whole was of one over 6
        Sequences.from_gradients(x[:, s], 3 * dL_dy[:, s], dL_dc_final=3 * dL_dc[s]) for s in parts
    ]
    found = window_bias_variance(made.rnn, sample, 3)
    again = iter(batches)
    drawn = window_bias_variance(made.rnn, lambda rng: next(again), 3)
    assert_allclose(found.variance, drawn.variance)
    assert_allclose(found.bias2, drawn.bias2, atol=1e-15)
    g = rnnsim.bptt(made.rnn, sample)
    flat = np.concatenate([getattr(g, n).ravel() for n in ("W_hh", "W_xh", "b_h")])
    assert_allclose(found.log_norm, np.log(np.linalg.norm(flat)))


@pytest.mark.nojit
@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_first_states_are_those_of_every_batch(cell):
    made, rng = gated(cell, V=3), np.random.default_rng(0)
    H, whole = made.rnn.n_hidden, draws(rng, B=6)
    names = ("h0", "c0") if cell == "lstm" else ("h0",)
    start = {name: rng.normal(size=(6, H)) for name in names}
    found = window_bias_variance(made.rnn, whole, 3, **start)
    g = []
    for a in (0, 2, 4):
        part = Sequences(*(x[:, a : a + 2] for x in (whole.inputs, whole.targets, whole.weights)))
        rows = {name: first[a : a + 2] for name, first in start.items()}
        layer = rnnsim.bptt(made.rnn, part, **rows)
        g.append(np.concatenate([getattr(layer, n).ravel() for n in ("W_hh", "W_xh", "b_h")]))
    mean = np.mean(g, axis=0)
    unit = squares(mean)
    assert_allclose(found.log_norm, 0.5 * np.log(unit))
    assert_allclose(found.variance[0, -1], squares(np.array(g) - mean).mean() / unit)
    again = iter([part] * 3)
    same = window_bias_variance(made.rnn, lambda rng: next(again), 3, **rows)
    assert_allclose(same.log_norm, np.log(np.linalg.norm(g[-1])))


@pytest.mark.nojit
def test_fewer_lags_are_the_first_of_all():
    made = gated("lstm", V=3)
    sample = draws(np.random.default_rng(0), B=6)
    whole, short = (window_bias_variance(made.rnn, sample, 3, max_lag=k) for k in (None, 2))
    assert short.windows.tolist() == [1, 2, 3]
    assert short.lag_signal.shape == (1, 3)
    for name in ("bias2", "variance", "bias2_estimate", "lag_signal", "lag_noise", "log_norm"):
        every = getattr(whole, name)
        assert_allclose(getattr(short, name), every[:, :3] if every.ndim > 1 else every)
    assert short.horizon(1)[0] <= 2
    with pytest.raises(ValueError, match=r"`windows` must be at most max_lag \+ 1 = 3, got 4"):
        window_bias_variance(made.rnn, sample, 3, windows=[4], max_lag=2)


def test_groups_are_as_if_measured_alone():
    made = gated("gru", V=3)
    sample = draws(np.random.default_rng(0), B=8)
    groups = [(0, 8), (0, 3), (3, 8)]
    given = {"windows": [1, 3, 7], "max_lag": None, "h0": None, "c0": None, "n_threads": 1}
    together = in_groups(made.rnn, sample, groups, **given)
    for (a, b), found in zip(groups, together, strict=True):
        part = Sequences(*(x[:, a:b] for x in (sample.inputs, sample.targets, sample.weights)))
        alone = window_bias_variance(made.rnn, part, b - a, windows=[1, 3, 7])
        for name in (field.name for field in dataclasses.fields(alone)):
            one, other = getattr(found, name), getattr(alone, name)
            assert_allclose(one, other, rtol=1e-9, atol=1e-14, err_msg=name)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        (TypeError, {"draw": 3}, "`draw` must be a rnnsim.Sequences for a model of type RNN, or a"),
        (TypeError, {"draw": lambda: 3}, "a callable that draws one from a Generator"),
        (TypeError, {"draw": lambda rng: 3}, "`draw` must be a rnnsim.Sequences .* got int"),
        (ValueError, {"n_batches": 3}, "`n_batches` must divide the 4 sequences .* got 3"),
        (ValueError, {"windows": [2, 1]}, "`windows` must ascend, got 1 after 2"),
        (ValueError, {"windows": [1, 8]}, "`windows` must be at most n_steps = 7.* got 8"),
        (ValueError, {"windows": [0]}, r"`windows\[0\]` must be at least 1"),
        (ValueError, {"windows": []}, "`windows` must hold at least one value"),
        (ValueError, {"of": "W_hy"}, "`of` must be one of 'recurrent', 'W_hh', 'W_xh'"),
        (ValueError, {"draw": at_rest(RNN(*np.ones((3, 1, 1))), 7, 4)}, "n_inputs = 2"),
        (ValueError, {"draw": lambda rng: draws(rng, T=int(rng.integers(2, 99)))}, "of one shape"),
        (ValueError, {"draw": lambda rng: silent()}, "`draw` must give batches with loss"),
    ],
)
def test_what_is_wrong_is_refused_by_name(kind, given, words):
    sample = draws(np.random.default_rng(0), B=4)
    arguments = {"draw": sample, "n_batches": 2} | given
    with pytest.raises(kind, match=words):
        window_bias_variance(gated("tanh", V=3).rnn, **arguments)


def silent():
    return Sequences(np.zeros((3, 1, 2)), np.zeros((3, 1), int), np.zeros((3, 1)))
