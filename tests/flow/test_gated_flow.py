"""Gradient flow of cells with gates: norms at every lag by their definition, of h, of c, of both.

A gradient at lag k is that of a loss that begins anew from (h, c) of step t-k: each is moved with
the other held fixed.
"""

import dataclasses

import numpy as np
import pytest
import reference
from builders import DTYPES, gated, network_of, same_bits
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import sigma, step_derivatives

from rnnsim import RNN, Sequences, gradient_flow, parallel

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", ["lstm", "gru", "sigmoid"])
GATED = pytest.mark.parametrize("cell", ["lstm", "gru"])
SIZES = [
    {},
    {"T": 1, "B": 1, "D": 1, "H": 1, "V": 1, "classes": False},
    {"T": 4, "B": 1, "H": 2, "silent": 0.0},
    {"T": 5, "H": 1, "V": 3, "classes": False, "silent": 0.8},
]
# A norm may be small by cancellation: absolute, beside lag-0 norms of order 1.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}


def restarted(made, n=0):
    """dl[t,b]/ds_{t-k} (T, T, B, S), indices t-1 and k, by complex steps; NaN where t-k < 1."""
    net, x, targets, weights, start, name = made.plain(n)
    (T, B), H, eps = weights.shape, net.W_hh.shape[1], 1e-30
    states = reference.unfold(net, x, start, name)[0]
    rows = np.full((T, T, B, start.shape[1]), np.nan)
    for t in range(1, T + 1):
        for k in range(t):
            for j in range(start.shape[1]):
                moved = states[t - k].astype(complex)
                moved[:, j] += 1j * eps
                end = reference.unfold(net, x[t - k : t], moved, name)[0][-1]
                for b in range(B):
                    y = net.W_hy @ end[b, :H] + net.b_y
                    loss = weights[t - 1, b] * reference.step_loss(y, targets[t - 1, b])
                    rows[t - 1, k, b, j] = loss.imag / eps
    return rows


def path_of_memories(made, n=0):
    """The same of c by the path through c alone: S_t dl/dh_t f_t ... f_{t-k+1}; (T, T, B, H)."""
    net, x, targets, weights, start, name = made.plain(n)
    (T, B), H = weights.shape, net.W_hh.shape[1]
    states, pre = reference.unfold(net, x, start, name)
    f, o = sigma(pre[..., H : 2 * H]), sigma(pre[..., 3 * H :])
    dh = reference.output_gradient(net, states[..., :H], targets, weights) @ net.W_hy
    path = np.full((T, T, B, H), np.nan)
    for t in range(1, T + 1):
        path[t - 1, 0] = 0.0
        row = o[t - 1] * (1 - np.tanh(states[t, :, H:]) ** 2) * dh[t - 1]
        for k in range(1, t):
            row = row * f[t - k]
            path[t - 1, k] = row
    return path


def logs(rows):
    with np.errstate(divide="ignore"):
        return np.log(np.linalg.norm(rows, axis=-1))


def live_mean(values):
    """The mean over sequences, of what is not -inf; -inf where all is."""
    live = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean = np.where(live, values, 0).sum(-1) / live.sum(-1)
    return np.where(live.any(-1) | np.isnan(values).all(-1), mean, -np.inf)


def assert_logs(found, expected, tolerance):
    """Logs of norms: NaN and -inf where they are, norms within the tolerance."""
    assert_array_equal(np.isnan(found), np.isnan(expected))
    assert_array_equal(np.isneginf(found), np.isneginf(expected))
    assert_allclose(np.exp(found), np.exp(expected), rtol=tolerance, atol=tolerance)


def check_norms(flow, made, n, dtype):
    """All norms of network n, from the rows of the definition."""
    chosen, H, tolerance = flow.steps - 1, made.rnn.n_hidden, TOLERANCE[dtype]
    rows = restarted(made, n)[chosen]
    own = logs(rows)
    outside = np.isnan(own[..., 0])
    assert_logs(flow.per_sequence[n], own, tolerance)
    assert_logs(flow.log_norms[n], live_mean(own), tolerance)
    assert_allclose(flow.live[n][~outside], np.isfinite(own).mean(-1)[~outside])
    rms = np.sqrt(np.mean(np.exp(2 * own), axis=-1))
    assert_allclose(np.exp(flow.log_rms[n]), rms, rtol=tolerance, atol=tolerance)
    assert_logs(flow.log_norms_h[n], live_mean(logs(rows[..., :H])), tolerance)
    if made.c0 is not None:
        assert_logs(flow.log_norms_c[n], live_mean(logs(rows[..., H:])), tolerance)
        path = live_mean(logs(path_of_memories(made, n)[chosen]))
        assert_logs(flow.log_norms_path_c[n], path, tolerance)


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_norms_at_every_lag_follow_the_definition(cell, dtype, sizes):
    made = gated(cell, 1, dtype=dtype, **sizes)
    flow = gradient_flow(made.rnn, made.sequences, per_sequence=True, **made.start)
    assert_array_equal(flow.steps, made.sequences.loss_steps)
    check_norms(flow, made, 0, dtype)
    assert_array_equal(flow.first_nonfinite, [-1])


@EACH
def test_networks_with_data_of_their_own(cell):
    made = gated(cell, 2, N=2, own=True, silent=0.0)
    flow = gradient_flow(made.rnn, made.sequences, per_sequence=True, n_threads=2, **made.start)
    for n in range(2):
        check_norms(flow, made, n, "float64")


@GATED
def test_ragged_sequences(cell):
    """Sequences of 2, 4 and 6 steps with loss; each has the norms that it has alone."""
    made, lengths = gated(cell, 3, silent=0.0), np.array([2, 4, 6])
    s = made.sequences
    ragged = Sequences(s.inputs, s.targets, s.weights * (np.arange(6)[:, None] < lengths))
    made = made._replace(sequences=ragged)
    flow = gradient_flow(made.rnn, ragged, per_sequence=True, **made.start)
    assert_allclose(flow.live[0, :, 0], [1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    check_norms(flow, made, 0, "float64")
    for b, T in enumerate(lengths):
        one = np.s_[:T, b : b + 1]
        alone = Sequences(ragged.inputs[one], ragged.targets[one], ragged.weights[one])
        start = {name: a[b : b + 1] for name, a in made.start.items()}
        found = gradient_flow(made.rnn, alone, per_sequence=True, **start).per_sequence
        assert_allclose(flow.per_sequence[:, :T, :T, b], found[..., 0], rtol=1e-12, atol=1e-12)


def test_the_parts_of_a_state_add_up_to_the_whole():
    made = gated("lstm", 4, N=2, B=1, silent=0.0)
    flow = gradient_flow(made.rnn, made.sequences, **made.start)
    assert np.isneginf(flow.log_norms_c[:, :, 0]).all()  # lag 0: c_t meets the loss through h_t
    assert np.isneginf(flow.log_norms_path_c[:, :, 0]).all()
    with np.errstate(invalid="ignore"):  # NaN where t-k < 1
        both = np.logaddexp(2 * flow.log_norms_h, 2 * flow.log_norms_c) / 2
    assert_allclose(both, flow.log_norms, rtol=1e-12, atol=1e-13)
    gru = gated("gru", 4, N=2)
    alone = gradient_flow(gru.rnn, gru.sequences, **gru.start)
    assert_array_equal(alone.log_norms_h, alone.log_norms)
    assert (alone.log_norms_c, alone.log_norms_path_c, alone.state_scale) == (None, None, None)
    assert np.isnan([flow.mean_slope, alone.mean_slope]).all()  # no single slope
    assert np.isnan([flow.saturated_fraction, alone.saturated_fraction]).all()


@pytest.mark.parametrize("beside", [False, True])
def test_a_loss_of_the_last_memories_begins_at_lag_0(beside):
    """dL/dc_T at fixed h_T, without and with dL/dh_T; l is B times the loss."""
    made, (T, B, H) = gated("lstm", 5), (6, 3, 3)
    rng = np.random.default_rng(0)
    dc, dh = rng.normal(size=(B, H)), rng.normal(size=(B, H)) * beside
    data = Sequences.from_gradients(made.sequences.inputs, dL_dh_final=dh, dL_dc_final=dc)
    flow = gradient_flow(made.rnn, data, per_sequence=True, **made.start)
    assert_array_equal(flow.steps, [T])
    net, x, _, _, start, name = made.plain()
    states, pre = reference.unfold(net, x, start, name)
    J = step_derivatives(net, x, states, name)[0]
    f, o = sigma(pre[..., H : 2 * H]), sigma(pre[..., 3 * H :])
    row = B * np.concatenate([dh, dc], axis=1)
    path, S = B * dc, o[-1] * (1 - np.tanh(states[-1, :, H:]) ** 2)
    for k in range(T):
        assert_allclose(flow.per_sequence[0, 0, k], logs(row), atol=1e-11)
        assert_allclose(flow.log_norms_path_c[0, 0, k], logs(path).mean(), atol=1e-11)
        assert_allclose(flow.log_norms_c[0, 0, k], logs(row[:, H:]).mean(), atol=1e-11)
        path = (path + (B * S * dh if k == 0 else 0)) * f[T - 1 - k]
        row = np.einsum("bi,bij->bj", row, J[T - 1 - k])


@GATED
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("state_scale", [None, "std"])
def test_a_network_of_an_ensemble_gives_what_it_gives_alone(cell, own, dtype, state_scale):
    made = gated(cell, 6, N=3, own=own, silent=0.0, dtype=dtype)
    s, options = made.sequences, {"state_scale": state_scale}
    whole = gradient_flow(made.rnn, s, n_threads=2, **options, **made.start)
    same_bits(gradient_flow(made.rnn, s, n_threads=1, **options, **made.start), whole)
    for n in range(3):
        data = Sequences(s.inputs[n], s.targets[n], s.weights[n]) if own else s
        start = {name: a[n] if own else a for name, a in made.start.items()}
        alone = gradient_flow(made.rnn[n], data, **options, **start)
        same_bits(alone, network_of(whole, n))


@EACH
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("state_scale", [None, "std"])
def test_a_team_gives_what_one_thread_gives(cell, last, state_scale, monkeypatch):
    """Sequences never meet; what is summed over them comes in another order."""
    made = gated(cell, 7, T=5, B=13)
    if last and cell == "lstm":
        data = Sequences.from_gradients(
            made.sequences.inputs, dL_dc_final=np.random.default_rng(0).normal(size=(13, 3))
        )
    else:
        data = made.sequences.last_loss_only() if last else made.sequences
    if not last:  # four sequences so loud that their rows are held in other units
        loud = np.where(np.arange(13) < 4, 2.0**21, 1.0)
        data = Sequences(data.inputs, data.targets, data.weights * loud)
    options = {"per_sequence": True, "state_scale": state_scale, **made.start}
    alone = gradient_flow(made.rnn, data, n_threads=1, **options)
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    team = gradient_flow(made.rnn, data, n_threads=3, **options)
    assert_array_equal(team.per_sequence, alone.per_sequence)
    for field in dataclasses.fields(alone):
        found, expected = (getattr(flow, field.name) for flow in (team, alone))
        if isinstance(expected, tuple):
            for a, b in zip(found, expected, strict=True):
                assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        elif expected is not None:
            assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def deviations(made, n=0):
    net, x, _, _, start, name = made.plain(n)
    return reference.unfold(net, x, start, name)[0][1:].std(axis=(0, 1))


@pytest.mark.parametrize("cell", ["lstm", "gru", "sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_components_may_be_measured_in_their_standard_deviations(cell, dtype):
    made, tolerance = gated(cell, 8, N=2, dtype=dtype), TOLERANCE[dtype]
    options = {"per_sequence": True, **made.start}
    flow = gradient_flow(made.rnn, made.sequences, state_scale="std", **options)
    plain = gradient_flow(made.rnn, made.sequences, **options)
    for n in range(2):
        scale, H = deviations(made, n), made.rnn.n_hidden
        assert_allclose(flow.state_scale[n], scale, rtol=tolerance)
        rows = (restarted(made, n) * scale)[flow.steps - 1]
        assert_logs(flow.per_sequence[n], logs(rows), tolerance)
        assert_logs(flow.log_norms[n], live_mean(logs(rows)), tolerance)
        if cell == "lstm":
            assert_logs(flow.log_norms_h[n], live_mean(logs(rows[..., :H])), tolerance)
            assert_logs(flow.log_norms_c[n], live_mean(logs(rows[..., H:])), tolerance)
            path = (path_of_memories(made, n) * scale[H:])[flow.steps - 1]
            assert_logs(flow.log_norms_path_c[n], live_mean(logs(path)), tolerance)
    for name in ("window_log_norms", "window_cosine", "share", "lag_norms"):
        assert_array_equal(getattr(flow, name), getattr(plain, name))  # of weights, not of states


def test_what_never_moves_contributes_nothing():
    """Unit 0 of an LSTM rests at (0, 0): its part of the gradient is not counted."""
    made = gated("lstm", 9, silent=0.0)
    W_xh, W_hh, b_h = (np.array(a) for a in (made.rnn.W_xh, made.rnn.W_hh, made.rnn.b_h))
    for a in (W_xh, W_hh, b_h):
        a[:, 6] = 0.0  # row g of unit 0
    W_hh[:, :, 0] = 0.0
    rnn = RNN(W_xh, W_hh, made.rnn.W_hy, b_h, made.rnn.b_y, cell="lstm")
    rest = made._replace(rnn=rnn, h0=made.h0 * [0, 1, 1], c0=made.c0 * [0, 1, 1])
    flow = gradient_flow(rnn, rest.sequences, per_sequence=True, state_scale="std", **rest.start)
    assert_array_equal(flow.state_scale[0, [0, 3]], [0, 0])
    assert (flow.state_scale[0, [1, 2, 4, 5]] > 0.01).all()
    silent = RNN(W_xh, W_hh, np.array(rnn.W_hy) * [0, 1, 1], b_h, rnn.b_y, cell="lstm")
    without = gradient_flow(
        silent, rest.sequences, per_sequence=True, state_scale="std", **rest.start
    )
    assert_allclose(flow.per_sequence, without.per_sequence, rtol=1e-12, atol=1e-12)
    plain = gradient_flow(rnn, rest.sequences, per_sequence=True, **rest.start)
    assert np.nanmax(np.abs(plain.per_sequence - flow.per_sequence)) > 0.1


@GATED
def test_a_network_beyond_the_range_is_named_and_leaves_the_others_alone(cell):
    """Outputs of 1e200 have a loss, and gradients, of 1e400."""
    made = gated(cell, 10, N=3, silent=0.0, classes=False)
    W_hy = np.array(made.rnn.W_hy)
    W_hy[1] *= 1e200
    rnn, data = made.rnn.with_weights(made.rnn.weights._replace(W_hy=W_hy)), made.sequences
    flow = gradient_flow(rnn, data, n_threads=2, **made.start)
    assert_array_equal(flow.first_nonfinite, [-1, 1, -1])
    assert np.isnan(flow.full_log_norm[1])
    for n in (0, 2):
        alone = gradient_flow(rnn[n], data, **made.start)
        same_bits(alone, network_of(flow, n))
        assert np.isfinite(alone.recurrent.full_log_norm).all()


@pytest.mark.parametrize("wrong", ["sd", 1.0, True])
def test_other_scales_are_refused(wrong):
    made = gated("gru")
    with pytest.raises((TypeError, ValueError), match=r"`state_scale` must be one of 'std', got"):
        gradient_flow(made.rnn, made.sequences, state_scale=wrong)


def test_only_lstms_have_memories_to_begin_with():
    made = gated("gru")
    with pytest.raises(ValueError, match=r"`c0` is the first memory of LSTMs, .* a GRU carries h"):
        gradient_flow(made.rnn, made.sequences, h0=made.h0, c0=made.h0)
