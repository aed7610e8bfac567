"""Lyapunov exponents: exact identities at any size, closed forms, and the plain loop."""

import re

import numpy as np
import pytest
import reference
from builders import ACTIVATIONS, DTYPES, NOJIT, case, same_bits
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import (
    RNN,
    Sequences,
    forward,
    gradient_flow,
    kernels,
    lyapunov_spectrum,
    product_exponents,
)
from rnnsim.networks.rnn import originals

pytestmark = pytest.mark.lane
nojit = pytest.mark.nojit
compiled = pytest.mark.skipif(NOJIT, reason="too many steps without compilation")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}  # of an exponent: QR loses some epsilons a step


def steps(T, H=6, B=2, N=2, *, activation="tanh", gain=1.2, dtype="float64", seed=0):
    """Driven networks with biases: (rnn, inputs, h0)."""
    made = case(seed, N=N, T=T, B=B, H=H, gain=gain, activation=activation, dtype=dtype)
    return made.rnn, made.sequences.inputs, made.h0


def slopes(rnn, inputs, h0):
    """ln tanh'(a_t) (N, T, B, H) from the pre-activations."""
    states = forward(rnn, inputs, h0=h0).states
    a = np.einsum("nij,ntbj->ntbi", rnn.W_hh, states[:, :-1])
    a += np.einsum("nid,tbd->ntbi", rnn.W_xh, inputs) + rnn.b_h[:, None, None]
    return np.log(4) - 2 * np.abs(a) - 2 * np.log1p(np.exp(-2 * np.abs(a)))


def log_determinants(rnn, inputs, h0):
    """ln |det J_t| (N, T, B)."""
    return np.linalg.slogdet(rnn.W_hh)[1][:, None, None] + slopes(rnn, inputs, h0).sum(axis=-1)


@nojit
@pytest.mark.parametrize("activation", ["tanh", "linear"])
@pytest.mark.parametrize("every", [1, 3])
def test_the_plain_loop_gives_the_same(activation, every):
    T, H, k = (66, 4, 3) if NOJIT else (66, 11, 9)
    rnn, inputs, h0 = steps(T, H, activation=activation)
    found = lyapunov_spectrum(
        rnn,
        inputs,
        h0=h0,
        n_exponents=k,
        burn_in=6,
        block_steps=every,
        reorthonormalise_every=every,
        rng=3,
    )
    vectors = np.random.default_rng(3).standard_normal((H, H))[:k].T
    for n in range(len(rnn)):
        expected = reference.lyapunov(
            reference.net_of(rnn, n), inputs, h0, activation, vectors, found.burn_in, every
        )
        order = np.argsort(-expected.mean(axis=(0, 1)))
        assert_allclose(found.finite_time[n] * every, expected[..., order], rtol=0, atol=1e-10)


@nojit
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("H", [1, 2, 5, 9] if NOJIT else [1, 3, 8, 9, 24, 33, 65])
def test_exponents_add_up_to_the_determinant(H, dtype):
    rnn, inputs, h0 = steps(40, H, dtype=dtype)
    found = lyapunov_spectrum(rnn, inputs, h0=h0, burn_in=0)
    wide = rnn.astype("float64"), inputs.astype(float), h0.astype(float)
    expected = log_determinants(*wide).mean(axis=1)
    assert_allclose(found.per_sequence.sum(axis=-1), expected, rtol=0, atol=TOLERANCE[dtype] * H)
    assert_allclose(found.exponents.sum(axis=-1), expected.mean(axis=-1), atol=TOLERANCE[dtype] * H)


@compiled
def test_mean_exponent_is_that_of_the_slopes():
    rnn, inputs, h0 = steps(400, 32, gain=2.5)
    found = lyapunov_spectrum(rnn, inputs, h0=h0, burn_in=0)
    mean = slopes(rnn, inputs, h0).mean(axis=(1, 2, 3))
    expected = np.linalg.slogdet(rnn.W_hh)[1] / 32 + mean
    assert_allclose(found.exponents.mean(axis=-1), expected, rtol=0, atol=1e-9)


@nojit
def test_saturation_costs_nothing():
    # phi' of some units is around 1e-40: far below what 1 - h^2 or an unsorted QR can tell from 0
    rnn, inputs, h0 = steps(20, 5 if NOJIT else 20)
    b_h = rnn.b_h.copy()
    b_h[:, ::3] = 46.0
    rnn = rnn.with_weights(rnn.weights._replace(b_h=b_h))
    found = lyapunov_spectrum(rnn, inputs, h0=h0, burn_in=0)
    assert_allclose(
        found.per_sequence.sum(axis=-1),
        log_determinants(rnn, inputs, h0).mean(axis=1),
        rtol=0,
        atol=1e-9,
    )
    assert found.exponents[:, -1].max() < -80


@nojit
def test_orthogonal_networks_keep_every_length():
    H = 4 if NOJIT else 20
    rnn = RNN.sample(
        n_inputs=1, n_hidden=H, n_outputs=1, scheme="orthogonal", activation="linear", rng=0
    )
    found = lyapunov_spectrum(rnn, n_steps=40, rng=1)
    assert_allclose(found.finite_time, 0.0, atol=1e-13 * H)


@compiled
def test_a_network_at_rest_has_the_eigenvalues_of_its_weights():
    rnn = RNN.sample(3, n_inputs=1, n_hidden=12, n_outputs=1, gain=[0.3, 0.6, 0.8], rng=2)
    found = lyapunov_spectrum(rnn, n_steps=20_000, burn_in=2000, rng=0)
    moduli = np.sort(np.abs(np.linalg.eigvals(rnn.W_hh)), axis=1)[:, ::-1]
    assert_allclose(found.exponents, np.log(moduli), rtol=0, atol=2e-3)  # O(1/T), and turning pairs


@compiled
def test_rare_orthonormalisation_agrees_until_it_says_so():
    rnn, inputs, h0 = steps(1200, 16, gain=3.0)
    options = {"h0": h0, "burn_in": 200}
    each = lyapunov_spectrum(rnn, inputs, **options)
    fifth = lyapunov_spectrum(rnn, inputs, reorthonormalise_every=5, **options)
    near = 5 * (each.exponents[:, :1] - each.exponents) < 15
    assert 0 < near.sum() < near.size
    assert_allclose(fifth.exponents[near], each.exponents[near], rtol=0, atol=1e-6)
    assert_array_equal(each.lost, 0.0)
    far = 5 * (each.exponents[:, :1] - each.exponents) > 25
    assert far.any()
    assert fifth.lost[far].min() > 0.5
    assert fifth.lost[:, 0].max() == 0


def sums(rnn, inputs, h0, vectors, ends, every=1):
    """Block sums (N, B, M, k) of the kernel itself, in the order of the vectors."""
    N, B, k = len(rnn), inputs.shape[1], vectors.shape[1]
    out = kernels.lyapunov_arrays(N, B, len(ends) - 1, k)
    weights = originals(rnn)
    work = kernels.lyapunov_work(rnn.n_hidden, rnn.n_inputs, k, weights.W_hh)
    phi = ACTIVATIONS.index(rnn.activation)
    kernels.lyapunov_sums(
        weights,
        np.array(inputs[None]),
        h0[None],
        phi,
        vectors,
        np.array(ends),
        every,
        0,
        N,
        work,
        out,
    )
    assert (out.first_nonfinite == -1).all()
    return out.block_sums


@nojit
def test_leading_exponents_are_the_first_of_all():
    H = 5 if NOJIT else 21
    rnn, inputs, h0 = steps(12, H)
    vectors = np.random.default_rng(0).normal(size=(H, H))
    whole = sums(rnn, inputs, h0, vectors, [2, 7, 12])
    for k in (1, 2, 4) if NOJIT else (1, 7, 8, 9, 20):
        leading = sums(rnn, inputs, h0, np.ascontiguousarray(vectors[:, :k]), [2, 7, 12])
        assert_allclose(leading, whole[..., :k], rtol=0, atol=1e-11)


@nojit
def test_the_order_of_units_does_not_matter():
    H = 5 if NOJIT else 20
    rnn, inputs, h0 = steps(20, H, gain=1.3)
    rng = np.random.default_rng(0)
    order, vectors = rng.permutation(H), rng.normal(size=(H, H))
    w = rnn.weights
    turned = rnn.with_weights(
        w._replace(
            W_xh=w.W_xh[:, order],
            W_hh=w.W_hh[:, order][:, :, order],
            W_hy=w.W_hy[:, :, order],
            b_h=w.b_h[:, order],
        )
    )
    # rounding grows by a factor of e^5 at most in 20 steps
    before = sums(rnn, inputs, h0, vectors, [4, 12, 20])
    after = sums(turned, inputs, h0[:, order], vectors[order], [4, 12, 20])
    assert_allclose(after, before, rtol=0, atol=1e-10)


@nojit
def test_the_first_frame_is_forgotten_but_its_volume_counts():
    H = 4 if NOJIT else 16
    rnn, inputs, h0 = steps(30, H)
    rng = np.random.default_rng(1)
    a = sums(rnn, inputs, h0, rng.normal(size=(H, H)), [10, 30])
    b = sums(rnn, inputs, h0, rng.normal(size=(H, H)), [10, 30])
    assert_allclose(a.sum(axis=-1), b.sum(axis=-1), rtol=0, atol=1e-10)


@compiled
def test_gradients_grow_at_the_rate_of_the_first_exponent():
    T, H = 1200, 24
    rnn, inputs, h0 = steps(T, H, B=1, N=3, gain=1.4, seed=5)
    weights = np.zeros((T, 1))
    weights[-1] = 1.0
    data = Sequences(inputs, np.zeros((T, 1), int), weights)
    flow = gradient_flow(rnn, data, h0=h0)
    logs = flow.log_norms[:, 0]  # of one loss at the end, lags 0..T-1
    first, last = 100, 1100
    rate = (logs[:, last] - logs[:, first]) / (last - first)
    # the same steps: lags 100..1100 are the steps from T-1100 to T-100
    exponents = lyapunov_spectrum(
        rnn, inputs, h0=h0, n_steps=T - first, burn_in=T - last, n_exponents=2
    )
    allowed = 4 * exponents.standard_error[:, 0] + 5.0 / (last - first)
    assert np.all(np.abs(rate - exponents.exponents[:, 0]) < allowed)
    assert np.ptp(rate) > 0.02  # three networks that differ


@nojit
def test_sequences_are_kept_apart_and_averaged():
    rnn, inputs, h0 = steps(45, 4 if NOJIT else 12, B=3)
    found = lyapunov_spectrum(rnn, inputs, h0=h0, burn_in=2)
    assert (found.burn_in, found.block_steps) == (3, 2)  # one step more, as 43 are 21 blocks of 2
    N, B, k = found.per_sequence.shape
    assert found.finite_time.shape == (N, B, 21, k)
    assert_allclose(found.finite_time.mean(axis=2), found.per_sequence, atol=1e-14)
    assert_allclose(found.per_sequence.mean(axis=1), found.exponents, atol=1e-14)
    assert_allclose(found.per_sequence.std(axis=1, ddof=1), found.spread, atol=1e-14)
    pooled = found.finite_time.reshape(N, -1, k)
    errors = pooled.std(axis=1, ddof=1) / np.sqrt(B * 21), found.spread / np.sqrt(B)
    assert_allclose(found.standard_error, np.maximum(*errors), atol=1e-14)
    assert np.all(np.diff(found.exponents, axis=1) <= 0)
    alone = lyapunov_spectrum(rnn, inputs[:, 1:2].copy(), h0=h0[1:2], burn_in=2)
    assert_array_equal(np.sort(alone.per_sequence[:, 0]), np.sort(found.per_sequence[:, 1]))
    assert np.isnan(alone.spread).all()


@compiled
def test_threads_and_company_change_no_bit():
    rnn, inputs, h0 = steps(60, 17, N=5)
    one = lyapunov_spectrum(rnn, inputs, h0=h0, n_threads=1)
    same_bits(one, lyapunov_spectrum(rnn, inputs, h0=h0, n_threads=3))
    alone = lyapunov_spectrum(rnn[2], inputs, h0=h0)
    assert_array_equal(alone.finite_time[0], one.finite_time[2])


@nojit
def test_without_inputs_the_state_is_drawn():
    rnn = RNN.sample(2, n_inputs=3, n_hidden=4, n_outputs=1, gain=1.5, rng=0)
    free = lyapunov_spectrum(rnn, n_steps=40, rng=5)
    h0 = np.random.default_rng(5).standard_normal((1, 4))
    driven = lyapunov_spectrum(rnn, np.zeros((40, 1, 3)), h0=h0, burn_in=4)
    # the frames differ, the volume does not
    total = free.finite_time.sum(axis=-1), driven.finite_time.sum(axis=-1)
    assert_allclose(*total, rtol=0, atol=1e-10)
    given = lyapunov_spectrum(rnn, n_steps=40, h0=h0, rng=7)
    assert_allclose(given.finite_time.sum(axis=-1), total[0], rtol=0, atol=1e-10)


@compiled
def test_divergence_is_reported_and_harms_no_neighbour():
    rnn = RNN.sample(
        3, n_inputs=1, n_hidden=6, n_outputs=1, gain=[0.9, 3.0, 0.9], activation="linear", rng=0
    )
    found = lyapunov_spectrum(rnn, n_steps=2000, burn_in=100, block_steps=50, rng=0)
    first = found.first_nonfinite
    assert first[0] == first[2] == -1
    assert 300 < first[1] < 1500
    whole = (first[1] - 1 - 100) // 50  # blocks that ended before
    assert np.isfinite(found.finite_time[1, 0, :whole]).all()
    assert np.isnan(found.finite_time[1, 0, whole:]).all()
    expected = np.log(np.abs(np.linalg.eigvals(rnn.W_hh[1]))).sum()
    assert_allclose(found.exponents[1].sum(), expected, rtol=0, atol=1e-10)
    alone = lyapunov_spectrum(rnn[2], n_steps=2000, burn_in=100, block_steps=50, rng=0)
    assert_array_equal(alone.exponents[0], found.exponents[2])
    early = lyapunov_spectrum(rnn[1], n_steps=6000, burn_in=3000, rng=0)
    assert np.isnan(early.exponents).all()
    assert np.isnan(early.kaplan_yorke[0])
    assert np.isnan(early.entropy_rate[0])


@nojit
def test_silent_units_have_exponents_of_minus_infinity():
    W_hh = np.array([[0.5, 0.2, 0.1], [0.1, 0.4, 0.0], [0.3, 0.3, 0.3]])
    rnn = RNN(np.zeros((3, 1)), W_hh, np.ones((1, 3)), [1.0, 1.0, -9.0], activation="relu")
    found = lyapunov_spectrum(rnn, n_steps=120, burn_in=60, rng=0)
    moduli = np.abs(np.linalg.eigvals(W_hh[:2, :2]))
    assert_allclose(found.exponents[0, :2], np.log(np.sort(moduli)[::-1]), rtol=0, atol=1e-6)
    assert found.exponents[0, 2] == -np.inf


RNN_3 = RNN.sample(n_inputs=2, n_hidden=3, n_outputs=1, rng=0)
X = np.zeros((50, 1, 2))
BAD = np.ones((60, 2, 2))
BAD[7, 0, 1] = np.nan


@nojit
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lyapunov_spectrum(X, n_steps=50), TypeError, "`rnn` must be a rnnsim.RNN"),
        (lambda: lyapunov_spectrum(RNN_3, X, n_exponents=4), ValueError, "at most n_hidden = 3"),
        (lambda: lyapunov_spectrum(RNN_3, X, n_exponents=0), ValueError, "`n_exponents` must be"),
        (lambda: lyapunov_spectrum(RNN_3, X, n_steps=51), ValueError, "at most the 50 steps"),
        (lambda: lyapunov_spectrum(RNN_3, X, burn_in=31), ValueError, "at least 51, a burn-in"),
        (lambda: lyapunov_spectrum(RNN_3, X, burn_in=-1), ValueError, "`burn_in` must be at least"),
        (
            lambda: lyapunov_spectrum(RNN_3, X, reorthonormalise_every=3),
            ValueError,
            "at least 65, a burn-in of 5 steps and 20 blocks of 3, got 50",
        ),
        (
            lambda: lyapunov_spectrum(RNN_3, X, block_steps=3, reorthonormalise_every=2),
            ValueError,
            "`block_steps` must be a multiple of `reorthonormalise_every` = 2, got 3",
        ),
        (lambda: lyapunov_spectrum(RNN_3, rng=0), ValueError, "`n_steps` must be given"),
        (lambda: lyapunov_spectrum(RNN_3, n_steps=50), ValueError, "`rng` or `h0` must be given"),
        (lambda: lyapunov_spectrum(RNN_3, X[..., :1]), ValueError, "n_inputs = 2"),
        (lambda: lyapunov_spectrum(RNN_3, X.astype("float32")), TypeError, "one dtype"),
        (lambda: lyapunov_spectrum(RNN_3, X, h0=np.zeros((2, 3))), ValueError, "`h0` must be"),
        (lambda: product_exponents(BAD), ValueError, "first at step index 7 (1 such steps)"),
        (lambda: product_exponents(BAD[:, :1]), ValueError, "`jacobians` must be (n_steps,"),
        (lambda: product_exponents(BAD[0]), ValueError, "`jacobians` must be (n_steps,"),
        (
            lambda: product_exponents(np.ones((9, 2, 2))),
            ValueError,
            "`n_steps` must be at least 20",
        ),
    ],
)
def test_misuse_is_explained(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.nojit
@pytest.mark.parametrize("growth", [1e200, 1e25, 1e15, 1e10])
def test_the_step_that_leaves_the_range_is_named(growth):
    rnn = RNN(np.ones((1, 1)), [[growth]], np.ones((1, 1)), activation="linear")
    inputs, h0 = np.zeros((40, 1, 1)), np.ones((1, 1))
    states = forward(rnn, inputs, h0=h0).states[0, :, 0, 0]
    found = lyapunov_spectrum(rnn, inputs, h0=h0, burn_in=0)
    assert found.first_nonfinite[0] == np.argmin(np.isfinite(states))
