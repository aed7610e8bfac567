"""Exponents of cells with gates: plain QR, determinants, eigenvalues at rest, predictions."""

import numpy as np
import pytest
import reference
from builders import DTYPES, NOJIT, gated, same_bits
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import sigma

from rnnsim import (
    RNN,
    Sequences,
    forward,
    gradient_flow,
    jacobians,
    lyapunov_spectrum,
    product_exponents,
)

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", ["lstm", "gru", "sigmoid"])
GATED = pytest.mark.parametrize("cell", ["lstm", "gru"])
compiled = pytest.mark.skipif(NOJIT, reason="too many steps without compilation")


def plain_qr(J, vectors, burn_in, every):
    """ln |R_ii| (M, k) of every QR, `every` steps apart, of Jacobians (T, S, S)."""
    Q, found = np.linalg.qr(vectors)[0], []
    for t in range(len(J)):
        Q = J[t] @ Q
        if (t + 1 - burn_in) % every == 0 or t + 1 == burn_in:
            Q, R = np.linalg.qr(Q)
            found += [np.log(np.abs(np.diag(R)))] if t >= burn_in else []
    return np.array(found)


@EACH
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("fewer", [0, 2])
def test_exponents_are_those_of_a_plain_qr_of_the_jacobians(cell, every, fewer):
    made = gated(cell, 1, N=2, T=45, B=2, silent=0.0)  # a burn-in that `every` does not divide
    J = jacobians(made.rnn, made.sequences.inputs, **made.start)
    S = J.shape[-1]
    options = {"n_exponents": S - fewer, "burn_in": 5, "block_steps": every,
               "reorthonormalise_every": every, "rng": 3}  # fmt: skip
    found = lyapunov_spectrum(made.rnn, made.sequences.inputs, **options, **made.start)
    vectors = np.random.default_rng(3).standard_normal((S, S))[: S - fewer].T
    assert found.exponents.shape == (2, S - fewer)
    atol = 1e-9 if every == 1 else 1e-6  # over two steps NumPy's QR, unsorted, loses some digits
    for n in range(2):
        expected = np.array([plain_qr(J[n, :, b], vectors, 5, every) for b in range(2)])
        order = np.argsort(-expected.mean(axis=(0, 1)))
        assert_allclose(found.finite_time[n] * every, expected[..., order], rtol=0, atol=atol)
        for b in range(2):
            again = product_exponents(J[n, :, b], **options)
            inverse = np.argsort(-again.exponents[0], kind="stable")
            mine = np.argsort(-found.per_sequence[n, b], kind="stable")
            assert_allclose(
                again.finite_time[0, 0][:, inverse], found.finite_time[n, b][:, mine], atol=atol
            )
    assert found.resolved.all() or every > 1


@GATED
def test_exponents_in_float32(cell):
    made = gated(cell, 2, N=2, T=60, B=2, H=4, silent=0.0)
    wide = lyapunov_spectrum(made.rnn, made.sequences.inputs, rng=0, **made.start)
    narrow = made.astype("float32")
    found = lyapunov_spectrum(narrow.rnn, narrow.sequences.inputs, rng=0, **narrow.start)
    assert found.exponents.dtype == np.float64
    # the smallest lose what the least of a step loses beside its largest: e^-10 or so
    leading = wide.exponents > wide.exponents[:, :1] - 4
    assert leading.sum() >= 4
    assert_allclose(found.exponents[leading], wide.exponents[leading], rtol=0, atol=1e-3)


@GATED
@pytest.mark.parametrize("own", [False, True])
def test_networks_sequences_and_threads_are_on_their_own(cell, own):
    made = gated(cell, 3, N=3, T=30, B=2, own=own, silent=0.0)
    x, start = made.sequences.inputs, made.start
    whole = lyapunov_spectrum(made.rnn, x, n_threads=1, **start)
    same_bits(lyapunov_spectrum(made.rnn, x, n_threads=3, **start), whole)
    for n in range(3):
        one = {name: a[n] if own else a for name, a in start.items()}
        alone = lyapunov_spectrum(made.rnn[n], x[n] if own else x, **one)
        assert_array_equal(alone.finite_time[0], whole.finite_time[n])
        assert_array_equal(alone.lost[0], whole.lost[n])


def test_all_exponents_add_up_to_the_determinant():
    """mean of ln|det W_ho| + sum ln(|tanh c'| o(1-o)) + sum ln f, of 2 H exponents."""
    made = gated("lstm", 4, N=2, T=40, B=2, H=4, scale=1.0, silent=0.0)
    found = lyapunov_spectrum(made.rnn, made.sequences.inputs, burn_in=0, **made.start)
    for n in range(2):
        net, x, _, _, start, name = made.plain(n)
        states, pre = reference.unfold(net, x, start, name)
        f, o = sigma(pre[..., 4:8]), sigma(pre[..., 12:])
        factors = np.log(np.abs(np.tanh(states[1:, :, 4:])) * o * (1 - o) * f).sum(axis=-1)
        expected = np.linalg.slogdet(net.W_hh[12:])[1] + factors.mean(axis=0)
        assert_allclose(found.per_sequence[n].sum(axis=-1), expected, rtol=0, atol=1e-9)


def still(cell, H, of_state, **biases):
    """At rest: one block of W_hh acts, that of g or of n; all others are drawn and have no say."""
    gates = "ifgo" if cell == "lstm" else "rzn"
    rng = np.random.default_rng(H)
    W_hh = np.concatenate([of_state if gate in "gn" else rng.normal(size=(H, H)) for gate in gates])
    b_h = np.zeros(4 * H)
    for gate, bias in biases.items():
        b_h[gates.index(gate) * H :][:H] = bias
    return RNN(np.zeros((len(W_hh), 1)), W_hh, b_h=b_h, cell=cell)


def similar(*eigenvalues):
    """A matrix with these eigenvalues, not a normal one."""
    V = np.random.default_rng(0).normal(size=(len(eigenvalues),) * 2)
    return V @ np.diag(eigenvalues) @ np.linalg.inv(V)


@pytest.mark.parametrize("every", [1, 2])
def test_an_lstm_at_rest_has_ln_eigenvalues_and_h_times_minus_infinity(every):
    rnn = still("lstm", 3, similar(1.6, 0.4, -1.2), f=1.0, i=0.5)
    i, f = sigma(np.float64(0.5)), sigma(np.float64(1.0))
    found = lyapunov_spectrum(rnn, np.zeros((160, 1, 1)), burn_in=120, reorthonormalise_every=every)
    multipliers = np.abs(f + i * 0.5 * np.array([1.6, 0.4, -1.2]))
    expected = np.sort(np.log(multipliers))[::-1]
    # directions settle as the powers of ratios of multipliers: .76^120 = 1e-14
    assert_allclose(found.exponents[0, :3], expected, rtol=0, atol=1e-9)
    assert np.isneginf(found.exponents[0, 3:]).all()
    assert np.isneginf(found.finite_time[..., 3:]).all()
    assert found.resolved.all()


def test_a_gru_at_rest_has_ln_eigenvalues():
    rnn = still("gru", 3, similar(1.6, 0.4, -1.2), r=0.7, z=-0.5)
    r, z = sigma(np.float64(0.7)), sigma(np.float64(-0.5))
    found = lyapunov_spectrum(rnn, np.zeros((160, 1, 1)), burn_in=120)
    multipliers = np.abs(z + (1 - z) * r * np.array([1.6, 0.4, -1.2]))
    expected = np.sort(np.log(multipliers))[::-1]
    assert_allclose(found.exponents[0], expected, rtol=0, atol=1e-9)
    assert found.resolved.all()


def test_the_constant_error_carousel_has_exponents_of_0():
    """b_f = 40, b_i = -800 and no gate that hears h: c is kept, H exponents are 0."""
    made = gated("lstm", 5, T=40, silent=0.0)
    W_hh, W_xh, b_h = (np.array(a) for a in (made.rnn.W_hh, made.rnn.W_xh, made.rnn.b_h))
    W_hh[:, :6] = W_xh[:, :6] = 0
    b_h[:, :3], b_h[:, 3:6] = -800.0, 40.0
    rnn = made.rnn.with_weights(made.rnn.weights._replace(W_xh=W_xh, W_hh=W_hh, b_h=b_h))
    found = lyapunov_spectrum(rnn, made.sequences.inputs, **made.start)
    assert_allclose(found.exponents[0, :3], 0.0, atol=0.05)  # frames turn at first
    # dc_t/dc_{t-1} = 1, and R = diag(tanh c o(1-o)) W_o stands beside it: their sum is known
    net, x, _, _, start, name = made._replace(rnn=rnn).plain()
    states, pre = reference.unfold(net, x, start, name)
    o = sigma(pre[4:, :, 9:])
    factors = np.log(np.abs(np.tanh(states[5:, :, 3:])) * o * (1 - o)).sum(axis=-1)
    expected = np.linalg.slogdet(net.W_hh[9:])[1] + factors.mean()
    assert_allclose(found.exponents.sum(), expected, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("how", ["dependent rows", "saturated"])
def test_exponents_that_are_not_resolved_are_marked(how, dtype):
    """W_ho of rank H-1 has no exact zero, and o within 1e-20 of 1 makes rows of 1e-20 beside 1."""
    made = gated("lstm", 6, T=40, B=2, H=4, silent=0.0)
    W_hh, b_h = np.array(made.rnn.W_hh), np.array(made.rnn.b_h)
    if how == "dependent rows":
        W_hh[:, 15] = W_hh[:, 12] - W_hh[:, 13] + 0.3 * W_hh[:, 14]
    else:
        b_h[:, 15] = 46.0
    rnn = made.rnn.with_weights(made.rnn.weights._replace(W_hh=W_hh, b_h=b_h))
    made = made._replace(rnn=rnn).astype(dtype)
    found = lyapunov_spectrum(made.rnn, made.sequences.inputs, **made.start)
    assert_array_equal(found.resolved, [[True] * 7 + [False]])
    assert found.lost[0, 7] > 0.9
    if dtype == "float64":  # the others are as in any QR
        J = jacobians(made.rnn, made.sequences.inputs, **made.start)[0]
        vectors = np.random.default_rng(0).standard_normal((8, 8)).T
        for b in range(2):
            with np.errstate(divide="ignore"):
                expected = plain_qr(J[:, b], vectors, found.burn_in, 1)[:, :7].mean(axis=0)
            assert_allclose(np.sort(found.per_sequence[0, b, :7]), np.sort(expected), atol=1e-9)
    sound = gated("lstm", 6, T=40, B=2, H=4, silent=0.0).astype(dtype)
    resolved = lyapunov_spectrum(sound.rnn, sound.sequences.inputs, **sound.start).resolved
    assert resolved.all() or dtype == "float32"


def test_a_row_of_zeros_is_an_exact_zero():
    """W_ho with rows that are 0: as many exponents are -inf, and resolved."""
    made = gated("lstm", 7, T=40, H=4, silent=0.0)
    W_hh = np.array(made.rnn.W_hh)
    W_hh[:, 13:15] = 0
    rnn = made.rnn.with_weights(made.rnn.weights._replace(W_hh=W_hh))
    found = lyapunov_spectrum(rnn, made.sequences.inputs, **made.start)
    assert_array_equal(np.isneginf(found.exponents), [[False] * 6 + [True] * 2])
    assert found.resolved.all()


@compiled
def test_gradients_decay_at_the_first_exponent():
    T, made = 1500, gated("lstm", 8, T=1500, B=1, H=6, N=2, scale=0.4, silent=0.0)
    flow = gradient_flow(made.rnn, made.sequences.last_loss_only(), **made.start)
    logs = flow.log_norms[:, 0]
    first, last = 100, 1400
    rate = (logs[:, last] - logs[:, first]) / (last - first)
    found = lyapunov_spectrum(
        made.rnn, made.sequences.inputs, n_steps=T - first, burn_in=T - last, **made.start
    )
    # the same steps; both end within a few nats of where they would by their leading directions
    assert_allclose(rate, found.exponents[:, 0], rtol=0, atol=5 / (last - first))


def driven_lstm(forget_bias, seed, T=3000, H=24):
    """PyTorch's draw, driven: the spectrum, ln f of units, the exponent of h at fixed c."""
    rnn = RNN.sample(
        n_inputs=8, n_hidden=H, n_outputs=0, cell="lstm", scheme="pytorch",
        forget_bias=forget_bias, rng=seed,
    )  # fmt: skip
    x = np.random.default_rng(100).normal(size=(T, 1, 8))
    spectrum = lyapunov_spectrum(rnn, x, burn_in=500)
    J = np.ascontiguousarray(jacobians(rnn, x)[0, 500:, 0])
    of_h = product_exponents(np.ascontiguousarray(J[:, :H, :H]), burn_in=0, n_exponents=1)
    net, h = reference.net_of(rnn), forward(rnn, x).states[0, 500:-1, 0]
    pre = h @ net.W_hh[H : 2 * H].T + x[500:, 0] @ net.W_xh[H : 2 * H].T + net.b_h[H : 2 * H]
    predicted = np.sort(np.log(sigma(pre)).mean(axis=0))[::-1]
    return spectrum, predicted, of_h.exponents[0, 0]


@compiled
@pytest.mark.parametrize("seed", [0, 1])
def test_the_forget_gate_rules_the_exponents_of_lstms_but_not_those_of_h_alone(seed):
    """lambda_1 rises to 0 with the forget bias; R + S A, h at fixed c, stays at about -2."""
    results = [driven_lstm(bias, seed) for bias in (0.0, 1.0, 3.0)]
    first = [spectrum.exponents[0, 0] for spectrum, _, _ in results]
    assert -0.6 < first[0] < -0.4 < first[1] < -0.1 < first[2] < 0
    assert_allclose([alone for _, _, alone in results], -2.0, rtol=0, atol=0.25)
    # What gates alone predict for H exponents: better the more the gates are open.
    off = [np.abs(predicted - s.exponents[0, :24]).max() for s, predicted, _ in results]
    assert 0.3 > off[0] > off[1] > off[2]
    assert off[2] < 0.05
    # of lambda_1 it is too pessimistic: 20 to 30 % at 0, at 1 sometimes far more
    assert all(predicted[0] < 1.15 * s.exponents[0, 0] for s, predicted, _ in results[:2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_units_far_out(dtype):
    """sigma' = e^-|a| beyond |a| = 40, where h (1 - h) is exactly 0 on the upper side."""
    a = np.array([40.0, -40.0, 80.0, -60.0])
    rnn = RNN(np.eye(4), np.eye(4) * 1e-9, np.ones((1, 4)), activation="sigmoid")
    rnn, inputs = rnn.astype(dtype), np.broadcast_to(a, (5, 1, 4)).astype(dtype)
    slopes = np.exp(-np.abs(a))
    expected = np.diag(slopes) * rnn.W_hh[0].astype(float)
    J = jacobians(rnn, inputs)
    assert_allclose(J[0, :, 0], np.broadcast_to(expected, (5, 4, 4)), rtol=1e-6)
    data = Sequences(inputs, np.ones((5, 1, 1), dtype))
    flow = gradient_flow(rnn, data)
    assert_allclose(flow.mean_slope, slopes.mean(), rtol=1e-5)
    h = forward(rnn, inputs).states[0, 1:]
    expected_fraction = (h * (1 - h) == 0).mean()
    assert_allclose(flow.saturated_fraction, expected_fraction)
    assert expected_fraction == 0.5  # units 0 and 2: h is 1
    change = flow.log_norms[0, -1, 4] - flow.log_norms[0, -1, 0]
    start = flow.log_norms[0, -1, 0]
    rows = np.exp(start) / 2 * np.ones(4)  # dl/dh, four times the same
    gradient = np.log(np.linalg.norm(rows * (slopes * 1e-9) ** 4 / np.exp(start)))
    assert_allclose(change, gradient, rtol=1e-5)


def test_sigmoid_units_at_a_fixed_point():
    """h = sigma(W h + b): exponents are ln of the eigenvalues of diag(h (1-h)) W."""
    W = similar(3.0, -1.5, 0.7)
    h = np.array([0.3, 0.6, 0.45])
    b_h = np.log(h / (1 - h)) - W @ h
    rnn = RNN(np.zeros((3, 1)), W, b_h=b_h, activation="sigmoid")
    J = (h * (1 - h))[:, None] * W
    moduli = np.sort(np.abs(np.linalg.eigvals(J)))[::-1]
    assert moduli[0] < 1
    assert (moduli[1:] / moduli[:-1] < 0.9).all()
    found = lyapunov_spectrum(rnn, np.zeros((320, 1, 1)), h0=h[None], burn_in=240)
    assert_allclose(found.exponents[0], np.log(moduli), rtol=0, atol=1e-9)
    assert_allclose(jacobians(rnn, np.zeros((1, 1, 1)), h0=h[None])[0, 0, 0], J, atol=1e-14)
