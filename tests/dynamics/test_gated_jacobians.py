"""Jacobians of cells with gates, their spectra and products: plain definitions and closed forms."""

import sys

import numpy as np
import pytest
import reference
from builders import DTYPES, NOJIT, gated
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import sigma, step_derivatives

from rnnsim import (
    RNN,
    Sequences,
    forward,
    gradient_flow,
    jacobian_products,
    jacobian_spectrum,
    jacobians,
)

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", ["lstm", "gru", "sigmoid"])
GATED = pytest.mark.parametrize("cell", ["lstm", "gru"])


def whole(made, n=0):
    """States (T+1, B, S) of `forward`, in float64."""
    found = forward(made.rnn, made.sequences.inputs, **made.start)
    parts = [found.states] if made.c0 is None else [found.states, found.memories]
    return np.concatenate([part[n].astype(float) for part in parts], axis=-1)


def products(J, t, lags):
    """J_t ... J_{t-k+1} of one sequence (T, S, S), for each lag."""
    found, P = {}, np.eye(J.shape[-1])
    for k in range(1, max(lags) + 1):
        P = P @ J[t - k]
        found[k] = P
    return [found[k] for k in lags]


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("own", [False, True])
def test_jacobians_are_those_of_complex_steps(cell, dtype, own):
    made = gated(cell, 1, N=2, own=own, dtype=dtype)
    found = jacobians(made.rnn, made.sequences.inputs, **made.start)
    assert found.dtype == np.float64
    for n in range(2):
        net, x, _, _, _, name = made.plain(n)
        expected = step_derivatives(net, x, whole(made, n), name)[0]
        # pre-activations are taken anew, and relative to states that float32 has rounded
        assert_allclose(
            found[n],
            expected,
            rtol=1e-11 if dtype == "float64" else 1e-5,
            atol=1e-13 if dtype == "float64" else 1e-6,
        )


@GATED
def test_jacobians_are_those_of_differences(cell):
    """The other route: `forward` from states moved to either side."""
    made = gated(cell, 2, T=3, B=1, silent=0.0)
    found, states = jacobians(made.rnn, made.sequences.inputs, **made.start)[0, :, 0], whole(made)
    S, delta, s = states.shape[2], 1e-5, made.sequences
    steps = [Sequences(s.inputs[t : t + 1], s.targets[t : t + 1]) for t in range(3)]
    for t in range(3):
        for j in range(S):
            ends = []
            for side in (1, -1):
                moved = states[t].copy()
                moved[0, j] += side * delta
                c0 = moved[:, 3:] if cell == "lstm" else None
                one = made._replace(h0=moved[:, :3], c0=c0, sequences=steps[t])
                ends.append(whole(one)[-1, 0])
            assert_allclose(found[t, :, j], (ends[0] - ends[1]) / (2 * delta), atol=1e-9)


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_those_of_numpy(cell, dtype):
    made = gated(cell, 3, N=2, T=7, silent=0.0, dtype=dtype)
    t, lags = 6, [1, 2, 5]
    result = jacobian_products(made.rnn, made.sequences, lags=lags, step=t, **made.start)
    J = jacobians(made.rnn, made.sequences.inputs, **made.start)
    S = J.shape[-1]
    assert result.log_singular_values.shape == (2, 3, 3, S)
    for n, b in np.ndindex(2, 3):
        for i, P in enumerate(products(J[n, :, b], t, lags)):
            values = np.linalg.svd(P, compute_uv=False)
            found = np.exp(result.log_singular_values[n, b, i])
            assert_allclose(found, values, rtol=0, atol=1e-13)
            known = values > 1e-9
            assert_allclose(found[known], values[known], rtol=1e-5)
            direction = result.leading_direction[n, b, i]
            assert_allclose(np.linalg.norm(P @ direction), values[0], rtol=1e-9)
            assert_allclose(np.linalg.norm(direction), 1, rtol=1e-13)
            assert direction[np.abs(direction).argmax()] > 0


@EACH
def test_gradients_of_products_are_those_of_the_flow(cell):
    made = gated(cell, 4, N=2, T=6, silent=0.0)
    flow = gradient_flow(made.rnn, made.sequences, per_sequence=True, **made.start)
    J = jacobians(made.rnn, made.sequences.inputs, **made.start)
    for t in (3, 6):
        lags = list(range(1, t))
        result = jacobian_products(made.rnn, made.sequences, lags=lags, step=t, **made.start)
        expected = flow.per_sequence[:, t - 1, 1:t].transpose(0, 2, 1)
        assert_allclose(result.log_gradient_norms, expected, rtol=0, atol=1e-10)
        for n in range(2):
            net, _, targets, weights, _, _ = made.plain(n)
            states = whole(made, n)
            dh = reference.output_gradient(net, states[..., :3], targets, weights) @ net.W_hy
            row = np.zeros(states.shape[1:])
            row[:, :3] = dh[t - 1]
            for b in range(3):
                for i, P in enumerate(products(J[n, :, b], t, lags)):
                    gradient, leading = row[b] @ P, np.linalg.svd(P)[2][0]
                    cosine = abs(leading @ gradient) / np.linalg.norm(gradient)
                    assert_allclose(result.gradient_overlap[n, b, i], cosine, atol=1e-8)


@GATED
@pytest.mark.parametrize("own", [False, True])
def test_networks_sequences_and_lags_are_on_their_own(cell, own, monkeypatch):
    made = gated(cell, 9, N=3, T=7, own=own, silent=0.0)
    s, options = made.sequences, {"step": 6}
    plain = jacobian_products(made.rnn, s, lags=[1, 2, 5], **options, **made.start)
    S = plain.leading_direction.shape[-1]
    monkeypatch.setattr(sys.modules["rnnsim.dynamics.products"], "_CHUNK", 4 * 2 * S * S)
    fours = jacobian_products(made.rnn, s, lags=[1, 2, 5], **options, **made.start)
    for n in range(3):
        data = Sequences(s.inputs[n], s.targets[n], s.weights[n]) if own else s
        start = {name: a[n] if own else a for name, a in made.start.items()}
        alone = jacobian_products(made.rnn[n], data, lags=[2, 5], **options, **start)
        for name in ("log_singular_values", "leading_direction", "gradient_overlap"):
            part = getattr(plain, name)[n, :, 1:]
            assert_allclose(getattr(alone, name)[0], part, rtol=1e-9, atol=1e-9)
            assert_allclose(getattr(fours, name)[n, :, 1:], part, rtol=1e-9, atol=1e-9)
        assert_array_equal(alone.log_gradient_norms[0], plain.log_gradient_norms[n, :, 1:])


def test_products_of_a_loss_of_the_last_memories():
    made, rng = gated("lstm", 5, T=5), np.random.default_rng(0)
    dh, dc = rng.normal(size=(2, 3, 3))
    data = Sequences.from_gradients(made.sequences.inputs, dL_dh_final=dh, dL_dc_final=dc)
    found = jacobian_products(made.rnn, data, lags=[1, 4], **made.start)
    J = jacobians(made.rnn, data.inputs, **made.start)[0]
    assert found.step == 5
    for b in range(3):
        row = 3 * np.concatenate([dh[b], dc[b]])  # B times the loss, as that of one sequence
        norms = [np.linalg.norm(row @ P) for P in products(J[:, b], 5, [1, 4])]
        assert_allclose(found.log_gradient_norms[0, b], np.log(norms), atol=1e-12)
    flow = gradient_flow(made.rnn, data, per_sequence=True, **made.start)
    expected = flow.per_sequence[0, 0, [1, 4]].T
    assert_allclose(found.log_gradient_norms[0], expected, atol=1e-12)


@GATED
def test_long_products_leave_the_range(cell):
    """At rest, gates of e^-20: 1e-520 after 60 steps, where LSTMs lose a rank at once."""
    b_h = np.zeros(16)
    b_h[4:8] = -20.0
    W_hh, f = np.zeros(((4 if cell == "lstm" else 3) * 4, 4)), sigma(np.array(-20.0))
    rnn = RNN(np.zeros((len(W_hh), 1)), W_hh, np.ones((1, 4)), b_h, cell=cell)
    data = Sequences(np.zeros((60, 1, 1)), np.ones((60, 1, 1)))
    found = jacobian_products(rnn, data, lags=[1, 60])
    logs = found.log_singular_values[0, 0]
    expected = np.array([1, 60]) * np.log(f)
    if cell == "lstm":  # [[0, S f], [0, f]]: f sqrt(1 + S^2) once, S = o = 1/2
        expected = expected + 0.5 * np.log(1.25)
        assert np.isneginf(logs[:, 4:]).all()
    assert_allclose(logs[:, :4], np.repeat(expected[:, None], 4, axis=1), rtol=1e-12)
    assert found.resolved.all()
    assert logs[1, 0] < np.log(10) * -500


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_spectra_are_those_of_numpy(cell, dtype):
    made = gated(cell, 6, N=2, dtype=dtype)
    found = jacobian_spectrum(made.rnn, made.sequences.inputs, **made.start)
    J = jacobians(made.rnn, made.sequences.inputs, **made.start)
    assert_allclose(found.singular_values, np.linalg.svd(J, compute_uv=False), atol=1e-13)
    moduli = np.abs(found.eigenvalues)
    assert_allclose(moduli, -np.sort(-np.abs(np.linalg.eigvals(J))), atol=1e-12)
    assert_array_equal(found.spectral_radius, moduli[..., 0])
    assert_array_equal(found.spectral_norm, found.singular_values[..., 0])
    assert_allclose(np.prod(found.eigenvalues, axis=-1).real, np.linalg.det(J), atol=1e-12)


def test_the_determinant_of_a_step_of_an_lstm():
    """ln|det J| = ln|det W_ho| + sum ln(|tanh c'| o(1-o)) + sum ln f."""
    made = gated("lstm", 7, N=2, H=4, scale=1.0)
    J = jacobians(made.rnn, made.sequences.inputs, **made.start)
    for n in range(2):
        net, x, _, _, start, name = made.plain(n)
        states, pre = reference.unfold(net, x, start, name)
        f, o = sigma(pre[..., 4:8]), sigma(pre[..., 12:])
        factors = np.abs(np.tanh(states[1:, :, 4:])) * o * (1 - o) * f
        expected = np.linalg.slogdet(net.W_hh[12:])[1] + np.log(factors).sum(axis=-1)
        assert_allclose(np.linalg.slogdet(J[n])[1], expected, rtol=0, atol=1e-10)


def at_rest(cell, blocks, n_hidden=None, **biases):
    """Zero input and state; `blocks` of W_hh and biases by their gate, 0 but for those given."""
    gates = "ifgo" if cell == "lstm" else "rzn"
    H = n_hidden or next(iter(blocks.values())).shape[0]
    W_hh = np.concatenate([blocks.get(gate, np.zeros((H, H))) for gate in gates])
    b_h = np.zeros(4 * H)
    for gate, bias in biases.items():
        at = gates.index(gate) * H
        b_h[at : at + H] = bias
    return RNN(np.zeros((len(gates) * H, 1)), W_hh, b_h=b_h, cell=cell)


def spectrum_at_rest(rnn):
    return jacobian_spectrum(rnn, np.zeros((1, 1, 1))).eigenvalues[0, 0, 0]


def sorted_complex(values):
    return np.sort_complex(np.round(values, 9))


@pytest.mark.parametrize("biases", [{}, {"i": 0.3, "f": 1.0, "o": -0.7}])
def test_eigenvalues_of_an_lstm_at_rest(biases):
    """f + i o times those of W_hg, whatever the other blocks are, and H zeros."""
    rng = np.random.default_rng(0)
    blocks = {gate: rng.normal(size=(5, 5)) for gate in "ifgo"}
    i, f, o = (sigma(np.float64(biases.get(gate, 0.0))) for gate in "ifo")
    found = spectrum_at_rest(at_rest("lstm", blocks, **biases))
    expected = f + i * o * np.linalg.eigvals(blocks["g"])
    assert_allclose(sorted_complex(found[:5]), sorted_complex(expected), atol=1e-8)
    assert_allclose(np.abs(found[5:]), 0.0, atol=1e-8)


@pytest.mark.parametrize("biases", [{}, {"r": 0.8, "z": -1.2}])
def test_eigenvalues_of_a_gru_at_rest(biases):
    """z + (1-z) r times those of W_hn, whatever the other blocks are."""
    rng = np.random.default_rng(1)
    blocks = {gate: rng.normal(size=(5, 5)) for gate in "rzn"}
    r, z = (sigma(np.float64(biases.get(gate, 0.0))) for gate in "rz")
    found = spectrum_at_rest(at_rest("gru", blocks, **biases))
    expected = z + (1 - z) * r * np.linalg.eigvals(blocks["n"])
    assert_allclose(sorted_complex(found), sorted_complex(expected), atol=1e-8)


@pytest.mark.parametrize(("bias", "gain"), [(0, 2.0), (2, 1.1353)])
@pytest.mark.parametrize("b_z", [-3.0, 0.0, 4.0])
def test_the_critical_gain_of_a_gru(bias, gain, b_z):
    """1/sigma(b_r), whatever b_z is: the multiplier of a block g I is 1 there."""
    critical = 1 + np.exp(-bias)
    assert abs(critical - gain) < 5e-5
    for g, sign in ((critical, 0), (0.99 * critical, -1), (1.01 * critical, 1)):
        found = spectrum_at_rest(at_rest("gru", {"n": g * np.eye(2)}, r=bias, z=b_z))
        growth = np.log(np.abs(found[0]))
        assert abs(growth) < 1e-14 if sign == 0 else np.sign(growth) == sign


@pytest.mark.parametrize(("bias", "gain"), [(0, 2.0), (1, 1.07577), (2, 0.47681), (5, 0.02677)])
def test_the_critical_gain_of_an_lstm(bias, gain):
    """(1-f)/(i o)."""
    critical = 4 / (1 + np.exp(bias))
    assert abs(critical - gain) < 5e-6
    for g, sign in ((critical, 0), (0.99 * critical, -1), (1.01 * critical, 1)):
        found = spectrum_at_rest(at_rest("lstm", {"g": g * np.eye(2)}, f=bias))
        growth = np.log(np.abs(found[0]))
        assert abs(growth) < 1e-14 if sign == 0 else np.sign(growth) == sign


@pytest.mark.skipif(NOJIT, reason="matrices of hundreds of rows")
@GATED
def test_pytorchs_draw_without_biases_forgets_in_two_steps(cell):
    """rho = .5 + .25/sqrt 3 = .64434: the gain of a block is 1/sqrt 3."""
    rnn = RNN.sample(8, n_inputs=1, n_hidden=150, n_outputs=0, cell=cell, scheme="pytorch", rng=0)
    still = rnn.with_weights(rnn.weights._replace(b_h=np.zeros_like(rnn.b_h)))
    radius = jacobian_spectrum(still, np.zeros((1, 1, 1))).spectral_radius
    # radii of random matrices lie about H^(-1/2) around their limit, of either sign
    assert abs(radius.mean() - 0.64434) < 0.02
    assert abs(-1 / np.log(0.5 + 0.25 / np.sqrt(3)) - 2.3) < 0.05


@pytest.mark.skipif(NOJIT, reason="matrices of hundreds of rows")
def test_an_orthogonal_matrix_of_all_gates_as_keras_draws_it():
    """A block has gain 1/2, so with forget bias 1 rho = .73106 + .125 = .85606: 6.4 steps."""
    H, radii = 120, []
    for seed in range(6):
        q = np.linalg.qr(np.random.default_rng(seed).standard_normal((4 * H, H)))[0]
        radii.append(
            np.abs(
                spectrum_at_rest(
                    at_rest("lstm", dict(zip("ifgo", np.split(q, 4), strict=True)), f=1.0)
                )[0]
            )
        )
    assert abs(np.mean(radii) - 0.85606) < 0.01
    assert abs(-1 / np.log(0.85606) - 6.4) < 0.05


def test_a_gru_that_leaves_the_range_leaves_other_sequences_alone():
    """r = 0 times infinity, in sequence 1 alone, which begins at 1e200."""
    made = gated("gru", 8, T=6, silent=0.0)
    W_hh, h0 = np.zeros_like(made.rnn.W_hh), made.h0.copy()
    W_hh[:, :3], W_hh[:, 6:], h0[1] = -1e200 * np.eye(3), 1e200 * np.eye(3), 1e200
    made = made._replace(rnn=made.rnn.with_weights(made.rnn.weights._replace(W_hh=W_hh)), h0=h0)
    J = jacobians(made.rnn, made.sequences.inputs, **made.start)[0]
    spectrum = jacobian_spectrum(made.rnn, made.sequences.inputs, **made.start)
    result = jacobian_products(made.rnn, made.sequences, lags=[1, 6], **made.start)
    for array in (J, spectrum.eigenvalues[0], spectrum.singular_values[0]):
        assert np.isnan(array[:, 1]).all()
        assert np.isfinite(array[:, [0, 2]]).all()
    assert np.isnan(result.log_singular_values[0, 1]).all()
    assert np.isnan(result.leading_direction[0, 1]).all()
    assert not np.isnan(result.log_singular_values[0, [0, 2]]).any()
    assert_array_equal(result.first_nonfinite, [1])


@pytest.mark.skipif(not NOJIT, reason="fused, infinity less what would be infinite is infinity")
@GATED
def test_a_step_that_leaves_the_range_leaves_the_others_alone(cell):
    """Inputs of 1e200 of either sign to rows of 1e200: infinity less infinity."""
    made = gated(cell, 8, T=6, silent=0.0)
    W_xh = np.array(made.rnn.W_xh)
    W_xh[:, 1] = [1e200, -1e200]
    rnn = made.rnn.with_weights(made.rnn.weights._replace(W_xh=W_xh))
    inputs = np.array(made.sequences.inputs)
    inputs[..., 1] = inputs[..., 0]  # they cancel but for one step of one sequence
    inputs[3, 1] = 1e200
    data = Sequences(inputs, made.sequences.targets, made.sequences.weights)
    J = jacobians(rnn, inputs, **made.start)[0]
    spectrum = jacobian_spectrum(rnn, inputs, **made.start)
    lost = np.zeros((6, 3), bool)
    lost[3:, 1] = True
    assert_array_equal(np.isnan(J).all(axis=(2, 3)), lost)
    assert_array_equal(np.isnan(J).any(axis=(2, 3)), lost)
    assert_array_equal(np.isnan(spectrum.spectral_radius[0]), lost)
    assert_array_equal(np.isnan(spectrum.singular_values[0]).any(axis=2), lost)
    result = jacobian_products(rnn, data, lags=[1, 4], **made.start)
    assert_array_equal(np.isnan(result.log_singular_values[0]).any(axis=(1, 2)), [0, 1, 0])
    assert result.first_nonfinite == 4
    early = jacobian_products(rnn, data, lags=[1, 3], step=3, **made.start)
    assert np.isfinite(early.log_singular_values).all()
