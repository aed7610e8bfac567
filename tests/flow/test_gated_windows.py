"""Windows of cells with gates, whole and by gate: truncation, shares of lags, what suffices."""

import dataclasses

import numpy as np
import pytest
import reference
from builders import DTYPES, TOLERANCE, gated
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import lag_gradients, step_derivatives

from rnnsim import RNN, Sequences, bptt, gradient_flow, reach, sufficient_window, truncated_bptt

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", ["lstm", "gru", "sigmoid"])
GATED = pytest.mark.parametrize("cell", ["lstm", "gru"])
GATES = {"lstm": 4, "gru": 3, "sigmoid": 1, "tanh": 1, "relu": 1}
OF = ("W_hh", "recurrent", "gates", "recurrent_gates")


def blocks(made, W_hh, W_xh, b_h):
    """Parts of gradients (..., of one network) as flat rows, by what a flow compares: {of: [...]}.

    The biases of n of a GRU, of the input and of the state, both belong to gate n.
    """
    G, H = GATES[made.plain()[-1]], made.rnn.n_hidden
    lead = W_hh.shape[:-2]

    def by_gate(array):
        split = np.split(array, G if array.shape[-2] == G * H else G + 1, axis=-2)
        last = np.concatenate(split[G - 1 :], axis=-2)
        return [a.reshape(*lead, -1) for a in (*split[: G - 1], last)]

    hidden = by_gate(W_hh)
    both = zip(hidden, by_gate(W_xh), by_gate(b_h[..., None]), strict=True)
    recurrent = [np.concatenate(parts, axis=-1) for parts in both]
    return {
        "W_hh": [np.concatenate(hidden, axis=-1)],
        "recurrent": [np.concatenate(recurrent, axis=-1)],
        "gates": hidden,
        "recurrent_gates": recurrent,
    }


def windows(flow, of):
    """log_norms, cosine, log_error (N, K, E), log_floor, full_log_norm (N, E) of one choice."""
    if of == "W_hh":
        names = ("log_norms", "cosine", "log_error", "log_floor")
        found = [getattr(flow, f"window_{name}") for name in names] + [flow.full_log_norm]
    else:
        found = list(getattr(flow, of))[:5]
    return [a[..., None] if of in ("W_hh", "recurrent") else a for a in found]


def by_lag(made, n=0, dtype=float):
    """G_k of every lag: W_hh (T, G*H, H), W_xh (T, G*H, D), b_h (T, A), as part of dL/dW."""
    net, x, targets, weights, start, name = made.plain(n)
    net = reference.Net(*(a.astype(dtype) for a in net))
    x, weights, start = (a.astype(dtype) for a in (x, weights, start))
    states, (T, B), H = reference.unfold(net, x, start, name)[0], weights.shape, net.W_hh.shape[1]
    rows = np.zeros((T, B, start.shape[1]), dtype)
    rows[..., :H] = reference.output_gradient(net, states[..., :H], targets, weights) @ net.W_hy
    return lag_gradients(net, x, states, rows / B, name)


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "sizes",
    [{}, {"T": 1, "B": 1, "D": 1, "H": 1}, {"H": 1, "T": 4}, {"T": 8, "silent": 0.85}],
    ids=str,
)
def test_every_window_is_truncated_bptt_with_stride_one(cell, dtype, sizes):
    made = gated(cell, 1, N=2, dtype=dtype, **sizes)
    s, start = made.sequences, made.start
    flow, full = gradient_flow(made.rnn, s, **start), bptt(made.rnn, s, **start)
    wholes = blocks(made, full.W_hh, full.W_xh, full.b_h)
    scales = [[np.linalg.norm(p) for p in by_lag(made, n)] for n in range(2)]
    noise = 10 * TOLERANCE[dtype] * np.array(scales).sum(axis=1)[:, None]
    for K in range(1, s.n_steps + 1):
        cut = truncated_bptt(made.rnn, s, window=K, stride=1, **start)
        parts = blocks(made, cut.W_hh, cut.W_xh, cut.b_h)
        for of in OF:
            log_norms, cosine, log_error, floor, full_log_norm = windows(flow, of)
            assert log_norms.shape == (2, s.n_steps, len(wholes[of]))
            for e, (part, whole) in enumerate(zip(parts[of], wholes[of], strict=True)):
                size, norm = (np.linalg.norm(a, axis=1) for a in (part, whole))
                error, at = np.linalg.norm(part - whole, axis=1), (slice(None), K - 1, e)
                assert np.all(abs(np.exp(log_norms[at]) - size) <= noise[:, 0])
                assert np.all(abs(np.exp(full_log_norm[:, e]) - norm) <= noise[:, 0])
                known = np.where(np.isnan(log_error[at]), 0, np.exp(log_error[at]) * norm)
                assert np.all(abs(known - error) <= noise[:, 0])
                assert np.all(np.exp(floor[:, e]) * norm <= noise[:, 0] * 1e3)
                inner = np.einsum("ni,ni->n", part, whole)
                found = np.where(size * norm > 0, cosine[at] * size * norm, 0)
                assert np.all(abs(found - inner) <= noise[:, 0] * (size + norm))


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_reported_errors_are_right_down_to_their_floor(cell, dtype):
    """Against sums of the tail in extended precision, as far as they are above the floor."""
    made = gated(cell, 2, T=30, B=2, D=1, H=2, scale=0.3, silent=0.0, dtype=dtype)
    rnn = made.rnn.with_weights(made.rnn.weights._replace(b_h=made.rnn.b_h - 1))  # gates near .27
    made = made._replace(rnn=rnn)
    flow = gradient_flow(made.rnn, made.sequences, **made.start)
    tails = [np.cumsum(part[::-1], axis=0)[::-1] for part in by_lag(made, dtype=np.longdouble)]
    for of, rows in blocks(made, *tails).items():
        _, _, log_error, log_floor, _ = windows(flow, of)
        for e, tail in enumerate(rows):
            norms = np.sqrt((tail**2).sum(axis=1))
            expected = np.log(norms[1:] / norms[0]).astype(float)
            found, floor = log_error[0, :, e], log_floor[0, e]
            assert np.isneginf(found[-1])
            reported = ~np.isnan(found[:-1])
            assert (found[:-1][reported] >= floor).all()
            assert_allclose(np.exp(found[:-1][reported] - expected[reported]), 1.0, rtol=0.1)
            assert reported[expected > floor + 0.1].all()
            assert floor < np.log(1e-11 if dtype == "float64" else 1e-2)
            assert not reported.all()  # the last ones are below


@EACH
@pytest.mark.parametrize(("dtype", "power"), [("float64", 20), ("float32", 4), ("float32", -16)])
def test_losses_in_another_unit_change_only_the_unit(cell, dtype, power):
    """Rows are held in units of their own: here some lie in one, and some in the next."""
    made = gated(cell, 10, T=5, dtype=dtype, silent=0.0)
    s = made.sequences
    scaled = Sequences(s.inputs, s.targets, s.weights * s.dtype.type(2.0**power))
    flow = gradient_flow(made.rnn, s, per_sequence=True, **made.start)
    other = gradient_flow(made.rnn, scaled, per_sequence=True, **made.start)
    unit, tolerance = power * np.log(2), {"float64": 1e-11, "float32": 1e-5}[dtype]
    assert_allclose(other.per_sequence - unit, flow.per_sequence, rtol=0, atol=tolerance)
    for of in OF:
        log_norms, cosine, _, log_floor, full = windows(flow, of)
        found = windows(other, of)
        assert_allclose(found[0] - unit, log_norms, rtol=0, atol=tolerance)
        assert_allclose(found[1], cosine, rtol=0, atol=tolerance)
        assert_allclose(found[3], log_floor, rtol=0, atol=tolerance)
        assert_allclose(found[4] - unit, full, rtol=0, atol=tolerance)
    for name in ("share_gates", "share_gates_W_xh", "lag_norms", "lag_norms_W_xh"):
        assert_allclose(getattr(other, name), getattr(flow, name), rtol=0, atol=tolerance)


@EACH
def test_floors_are_the_rounding_of_all_terms(cell):
    """eps (64 sqrt(sum of ||delta||^2 ||before||^2) + 1024 ||g||) / ||g||, by gate and as a whole.

    The sum is over lags, steps and sequences; gate n of a GRU has deltas of input and of state.
    """
    made = gated(cell, 2, silent=0.0)
    flow, H = gradient_flow(made.rnn, made.sequences, **made.start), 3
    net, x, targets, weights, start, name = made.plain()
    states = reference.unfold(net, x, start, name)[0]
    rows = np.zeros(states[1:].shape)
    rows[..., :H] = reference.output_gradient(net, states[..., :H], targets, weights) @ net.W_hy
    of_state, of_pre = step_derivatives(net, x, states, name)
    h, G = (states[:-1, :, :H] ** 2).sum(axis=2), GATES[cell]
    sizes = h, h + 1 + (x**2).sum(axis=2)
    terms = np.zeros((2, of_pre.shape[3] // H))
    for k in range(6):
        deltas = np.einsum("tbi,tbia->tba", rows, of_pre[: 6 - k])
        squares = (deltas.reshape(6 - k, 3, -1, H) ** 2).sum(axis=3)
        terms += [np.einsum("tb,tba->a", size[: 6 - k], squares) for size in sizes]
        rows = np.einsum("tbi,tbij->tbj", rows, of_state[: 6 - k])[1:]
    terms = np.concatenate([terms[:, : G - 1], terms[:, G - 1 :].sum(axis=1, keepdims=True)], 1)
    for of in OF:
        own = terms[int("recurrent" in of)]
        own = own if "gates" in of else own.sum(keepdims=True)
        *_, log_floor, full = windows(flow, of)
        relative = np.sqrt(own) / np.exp(full[0]) / 3  # g is a mean over sequences
        expected = np.finfo(float).eps * (64 * relative + 1024)
        assert_allclose(log_floor[0], np.log(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("own", [False, True])
def test_shares_follow_their_definition_and_add_up(cell, own):
    """share_k = <G_k, g> / ||g||^2, G_k the step from one window of truncated BPTT to the next."""
    made = gated(cell, 3, N=2, own=own, T=7)
    s, start = made.sequences, made.start
    flow, T, G = gradient_flow(made.rnn, s, **start), 7, GATES[cell]
    cuts = [truncated_bptt(made.rnn, s, window=K, stride=1, **start) for K in range(1, T + 1)]
    full = bptt(made.rnn, s, **start)
    for name, suffix in (("W_hh", ""), ("W_xh", "_W_xh")):
        g, cut = getattr(full, name), np.array([getattr(one, name) for one in cuts])
        added = np.diff(cut, axis=0, prepend=0.0)
        norm = np.linalg.norm(g, axis=(1, 2))
        gates = np.array([np.split(a * g, G, axis=1) for a in added]).sum(axis=(3, 4))
        share, by_gate = getattr(flow, f"share{suffix}"), getattr(flow, f"share_gates{suffix}")
        expected = np.moveaxis(gates, 2, 0) / norm[:, None, None] ** 2
        assert_allclose(by_gate, expected, rtol=0, atol=1e-12)
        assert_allclose(by_gate.sum(axis=2), share, rtol=0, atol=1e-14)
        assert_allclose(share.sum(axis=1), 1.0, rtol=0, atol=1e-12)
        sizes = np.linalg.norm(added, axis=(2, 3)).T / norm[:, None]
        assert_allclose(getattr(flow, f"lag_norms{suffix}"), sizes, rtol=0, atol=1e-12)
    # C_K = cosine(g_K, g) ||g_K|| / ||g||
    sums = flow.window_cosine * np.exp(flow.window_log_norms - flow.full_log_norm[:, None])
    assert_allclose(np.cumsum(flow.share, axis=1), sums, rtol=0, atol=1e-12)


@GATED
def test_shares_in_float32(cell):
    made = gated(cell, 3, N=2, T=7)
    narrow = made.astype("float32")
    wide = gradient_flow(made.rnn, made.sequences, **made.start)
    flow = gradient_flow(narrow.rnn, narrow.sequences, **narrow.start)
    for name in ("share_gates", "share_gates_W_xh", "lag_norms", "lag_norms_W_xh"):
        assert_allclose(getattr(flow, name), getattr(wide, name), rtol=0, atol=1e-4)
    # they are of a sum and its parts that were added in other orders
    assert_allclose(flow.share.sum(axis=1), 1.0, rtol=0, atol=1e-5)


@EACH
@pytest.mark.parametrize("tolerance", [0.5, 0.1, 1e-3])
def test_the_window_that_suffices_is_that_of_brute_force(cell, tolerance):
    made = gated(cell, 4, N=2, T=9, silent=0.0)
    s, start = made.sequences, made.start
    flow, full = gradient_flow(made.rnn, s, **start), bptt(made.rnn, s, **start)
    cuts = [truncated_bptt(made.rnn, s, window=K, stride=1, **start) for K in range(1, 10)]
    wholes = blocks(made, full.W_hh, full.W_xh, full.b_h)
    parts = [blocks(made, cut.W_hh, cut.W_xh, cut.b_h) for cut in cuts]
    found = {}
    for of in OF:
        errors = np.array(
            [
                [np.linalg.norm(p - w, axis=1) / np.linalg.norm(w, axis=1) for p, w in pairs]
                for pairs in (list(zip(part[of], wholes[of], strict=True)) for part in parts)
            ]
        )  # (K, E, N)
        assert np.abs(np.log(errors[:-1] / tolerance)).min() > 1e-9
        expected = [
            [1 + max([k for k in range(9) if errors[k, e, n] > tolerance], default=-1) + 1
             for e in range(errors.shape[1])] for n in range(2)
        ]  # fmt: skip
        found[of] = sufficient_window(flow, tolerance, of=of)
        assert_array_equal(found[of], np.squeeze(expected, 1) if of in OF[:2] else expected)
    default = found["recurrent" if GATES[cell] > 1 else "W_hh"]
    assert_array_equal(sufficient_window(flow, tolerance), default)
    assert len({tuple(np.ravel(a)) for a in found.values()}) > 1 or GATES[cell] == 1


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_reach_is_that_of_brute_force(cell, share):
    made = gated(cell, 5, N=3, T=12, scale=1.0)
    flow = gradient_flow(made.rnn, made.sequences, **made.start)
    found = reach(flow, share)
    assert found.share == share
    for name, suffix in (("W_hh", ""), ("W_xh", "_W_xh")):
        shares = getattr(flow, f"share{suffix}")
        for n in range(3):
            sums = [shares[n, :K].sum() for K in range(1, 13)]
            least = [K for K in range(1, 13) if all(abs(1 - C) <= 1 - share for C in sums[K - 1 :])]
            assert getattr(found, name)[n] == min(least)
            assert_allclose(getattr(found, f"cumulative_{name}")[n], sums, rtol=0, atol=1e-13)
        sizes = getattr(flow, f"lag_norms{suffix}").sum(axis=1)
        assert_allclose(getattr(found, f"cancellation_{name}"), sizes, rtol=1e-14)
        assert (sizes >= 1 - 1e-12).all()
    assert_array_equal(reach(flow).W_hh, reach(flow, 0.9).W_hh)


def test_a_cumulative_share_may_overshoot_and_return():
    """Two losses that pull the same weight: lag 0 gives 2, lag 1 takes 1 away."""
    # Unit 0 holds 1. dL/dW[1, 0] is what arrives at unit 1: 2, and a step before -1/2 of that.
    W_hh = np.array([[[1.0, 0.0], [0.0, -0.5]]])
    rnn = RNN(np.zeros((1, 2, 1)), W_hh, activation="linear")
    dh = np.zeros((2, 1, 2))
    dh[1, 0, 1] = 2.0
    data = Sequences.from_gradients(np.ones((2, 1, 1)), dL_dh=dh)
    flow = gradient_flow(rnn, data, h0=np.array([[1.0, 0.0]]))
    # G_0 = 2, G_1 = -1, g = 1
    assert_allclose(flow.share, [[2.0, -1.0]], rtol=1e-15)
    assert_allclose(flow.lag_norms, [[2.0, 1.0]], rtol=1e-15)
    found = reach(flow)
    assert_allclose(found.cumulative_W_hh, [[2.0, 1.0]])
    assert_array_equal(found.W_hh, [2.0])
    assert_array_equal(found.cancellation_W_hh, [3.0])


def test_a_share_itself_is_within_reach():
    """C_1 = 1/2 of a share of 1/2; and what comes late counts, whatever was there before."""
    made = gated("gru", 5, N=3, T=3)
    flow = gradient_flow(made.rnn, made.sequences, **made.start)
    shares = np.array([[0.5, 0.25, 0.25], [1.0, -0.75, 0.75], [0.0, 0.0, 1.0]])
    found = reach(dataclasses.replace(flow, share=shares, share_W_xh=shares[::-1]), 0.5)
    assert_array_equal(found.W_hh, [1, 3, 3])
    assert_array_equal(found.W_xh, [3, 3, 1])
    assert_array_equal(found.cumulative_W_hh[1], [1.0, 0.25, 1.0])


@GATED
def test_edges_of_reach(cell):
    made = gated(cell, 6, N=2, T=8, silent=0.0)
    data = made.sequences.last_loss_only()
    short = gradient_flow(made.rnn, data, max_lag=1, **made.start)
    assert np.isnan(reach(short, 0.999).W_hh).all()  # max_lag too short
    assert short.share.shape == (2, 2)
    one = gated(cell, 7, T=1, B=1)
    alone = reach(gradient_flow(one.rnn, one.sequences, **one.start))
    for name in ("W_hh", "W_xh", "cancellation_W_hh", "cancellation_W_xh"):
        assert_allclose(getattr(alone, name), [1.0], rtol=1e-14)
    assert_allclose(alone.cumulative_W_xh, [[1.0]], rtol=1e-14)
    # h_0 = 0: nothing reaches W_hh within one step, something W_xh
    rest = reach(gradient_flow(one.rnn, one.sequences))
    assert np.isnan([rest.W_hh[0], rest.cancellation_W_hh[0], rest.cumulative_W_hh[0, 0]]).all()
    assert rest.W_xh == 1


@pytest.mark.parametrize("cell", GATES)
def test_no_gradient_has_no_shares_and_no_window(cell):
    made = gated(cell, 8, T=4)
    w = made.rnn.weights
    silent = made.rnn.with_weights(w._replace(W_hy=np.zeros_like(w.W_hy)))
    flow = gradient_flow(silent, made.sequences, **made.start)
    assert np.isneginf(flow.log_norms[~np.isnan(flow.log_norms)]).all()
    for name in ("share", "share_gates", "share_W_xh", "share_gates_W_xh", "lag_norms"):
        assert np.isnan(getattr(flow, name)).all()
    for part in (flow.gates, flow.recurrent, flow.recurrent_gates):
        assert np.isneginf(part.log_norms).all()
        assert np.isneginf(part.full_log_norm).all()
        assert np.isnan(part.cosine).all()
        assert np.isnan(part.log_error).all()
        assert np.isnan(part.log_floor).all()
    for of in OF:
        assert np.isnan(sufficient_window(flow, of=of)).all()
    assert np.isnan(reach(flow).W_hh).all()
    assert np.isnan(reach(flow).W_xh).all()


def test_a_gate_without_gradient_says_nothing_and_the_others_do():
    """o saturated at 1: its slope is 0 for all that a float64 can tell beside the others."""
    made = gated("lstm", 9, N=2, silent=0.0)
    W_xh, W_hh, b_h = (np.array(a) for a in (made.rnn.W_xh, made.rnn.W_hh, made.rnn.b_h))
    W_xh[1, 3:6] = W_hh[1, 3:6] = b_h[1, 3:6] = 0  # f of network 1 is 1/2
    c0 = np.zeros_like(made.c0)
    W_xh[1, 6:9] = W_hh[1, 6:9] = b_h[1, 6:9] = 0  # and g is 0, so that c stays 0
    rnn = made.rnn.with_weights(made.rnn.weights._replace(W_xh=W_xh, W_hh=W_hh, b_h=b_h))
    flow = gradient_flow(rnn, made.sequences, h0=made.h0, c0=c0)
    assert_array_equal(np.isneginf(flow.gates.full_log_norm), [[0] * 4, [1, 1, 0, 1]])
    windows = sufficient_window(flow, of="gates")
    assert_array_equal(np.isnan(windows), [[0] * 4, [1, 1, 0, 1]])
    assert_array_equal(np.isnan(flow.share).any(axis=1), [False, False])
    assert_allclose(flow.share.sum(axis=1), 1.0, rtol=1e-12)
    assert_array_equal(flow.share_gates[1][:, [0, 1, 3]], 0.0)


@pytest.mark.parametrize(
    ("share", "error", "message"),
    [
        (0.0, ValueError, r"`share` must be a finite number between 0 and 1, got 0\.0"),
        (1.0, ValueError, r"`share` must be .* got 1\.0"),
        ("most", TypeError, r"`share` must be a number, got 'most'"),
    ],
)
def test_shares_that_make_no_sense(share, error, message):
    made = gated("gru")
    flow = gradient_flow(made.rnn, made.sequences)
    with pytest.raises(error, match=message):
        reach(flow, share)
    with pytest.raises(TypeError, match=r"`flow` must be what gradient_flow returns"):
        reach(made.rnn)
    with pytest.raises(ValueError, match=r"`of` must be one of .*'recurrent_gates', got 'gate'"):
        sufficient_window(flow, of="gate")
