"""Jacobians of stacks, their products and Lyapunov exponents."""

from functools import partial

import numpy as np
import pytest
import reference
import reference_stacks
from numpy.testing import assert_allclose, assert_array_equal
from stack_builders import KINDS, stacked

from rnnsim import (
    RNN,
    Stack,
    forward,
    gradient_flow,
    jacobian_products,
    jacobian_spectrum,
    jacobians,
    lyapunov_spectrum,
    product_exponents,
)

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", KINDS)


@EACH
@pytest.mark.parametrize("n_layers", [2, 3])
def test_jacobians_are_those_of_complex_steps(cell, n_layers):
    made = stacked(cell, n_layers, N=2, B=3, H=4 - n_layers)
    found = jacobians(made.stack, made.sequences.inputs, **made.start)
    for n in range(2):
        nets, x = made.nets(n), made.sequences.inputs
        states = reference_stacks.unfold(nets, x, made.state, cell)
        for t in range(len(x)):
            step = partial(reference_stacks.advance, nets, x[t], cell=cell)
            whole = reference.derivative(step, states[t])
            for b in range(3):
                assert_allclose(found[n, t, b], whole[b, :, b], rtol=1e-11, atol=1e-13)


@EACH
def test_products_agree_with_matrices_and_with_the_flow(cell):
    made = stacked(cell, 2, N=2, silent=0.0)
    found = jacobian_products(made.stack, made.sequences, lags=[1, 2, 4], step=5, **made.start)
    factors = jacobians(made.stack, made.sequences.inputs, **made.start)
    flow = gradient_flow(made.stack, made.sequences, **made.start)
    for at, k in enumerate(found.lags):
        for n, b in np.ndindex(2, 2):
            product = np.eye(factors.shape[-1])
            for t in range(5 - k, 5):
                product = factors[n, t, b] @ product
            values = np.linalg.svd(product, compute_uv=False)
            assert_allclose(
                np.exp(found.log_singular_values[n, b, at]), values, atol=1e-12 * values[0]
            )
            expected = flow.per_sequence[n, -1, k, b]
            assert found.log_gradient_norms[n, b, at] == pytest.approx(expected, abs=1e-10)


@EACH
@pytest.mark.parametrize("n_layers", [2, 3])
def test_each_layer_has_the_exponents_of_its_network_driven_by_the_one_below(cell, n_layers):
    made = stacked(cell, n_layers, N=2, T=60, B=2)
    x = made.sequences.inputs
    options = {"burn_in": 10, "block_steps": 2}
    found = lyapunov_spectrum(made.stack, x, **options, **made.start)
    states = forward(made.stack, x, **made.start)
    for k, (rnn, layer) in enumerate(zip(made.stack.layers, found.layers, strict=True)):
        start = {name: a[k] for name, a in made.start.items()}
        alone = lyapunov_spectrum(rnn, x, **options, **start)
        for name in ("exponents", "standard_error", "finite_time", "spread", "kaplan_yorke"):
            assert_allclose(getattr(layer, name), getattr(alone, name), rtol=1e-9, atol=1e-9)
        x = np.ascontiguousarray(states.layers[k].states[:, 1:])


@EACH
def test_the_spectrum_holds_those_of_all_layers_in_order(cell):
    made = stacked(cell, 3, N=2, T=44, B=2)
    found = lyapunov_spectrum(made.stack, made.sequences.inputs, burn_in=4, **made.start)
    for name in ("exponents", "standard_error", "spread", "lost", "per_sequence", "finite_time"):
        every = np.concatenate([getattr(layer, name) for layer in found.layers], axis=-1)
        assert_array_equal(np.sort(getattr(found, name), axis=-1), np.sort(every, axis=-1))
    assert (found.exponents[:, 1:] <= found.exponents[:, :-1]).all()
    total = np.where(found.exponents > 0, found.exponents, 0).sum(axis=1)
    assert_allclose(found.entropy_rate, total)
    S = found.layers[0].exponents.shape[1]
    for k in (1, 2, S + 1):
        few = lyapunov_spectrum(
            made.stack, made.sequences.inputs, burn_in=4, n_exponents=k, **made.start
        )
        assert_array_equal(few.exponents.shape, (2, k))
        assert_allclose(few.exponents, found.exponents[:, :k], rtol=1e-9, atol=1e-9)
        assert [layer.exponents.shape[1] for layer in few.layers] == [min(k, S)] * 3


@EACH
def test_their_sum_is_that_of_the_product_of_jacobians(cell):
    """Exactly, at any time: the Jacobian is block triangular; each within errors, with time."""
    made = stacked(cell, 2, T=700, B=1, H=2, gain=1.2)
    x = made.sequences.inputs
    found = lyapunov_spectrum(made.stack, x, burn_in=100)
    whole = product_exponents(jacobians(made.stack, x)[0, :, 0], burn_in=100)
    finite = np.isfinite(whole.exponents[0])
    assert_array_equal(np.isfinite(found.exponents[0]), finite)
    found_finite, expected = found.exponents[0][finite], whole.exponents[0][finite]
    assert found_finite.sum() == pytest.approx(expected.sum(), abs=1e-9)
    errors = np.hypot(found.standard_error, whole.standard_error)[0][finite]
    assert (np.abs(found_finite - expected) <= 4 * errors + 0.03).all()


def test_pairs_that_nearly_meet_do_not_repel():
    """Two LSTM layers of one unit: each keeps the mean of ln|det| of its own block at any length.

    A frame for the state of both layers keeps that of all only.
    """
    made = stacked("lstm", 2, T=1500, B=1, H=1)
    x = made.sequences.inputs
    found = lyapunov_spectrum(made.stack, x, burn_in=0, block_steps=1)
    factors = jacobians(made.stack, x)[0, :, 0]
    for k, layer in enumerate(found.layers):
        own = factors[:, 2 * k : 2 * k + 2, 2 * k : 2 * k + 2]
        logs = np.linalg.slogdet(own)[1]
        assert_allclose(layer.finite_time[0, 0].sum(axis=-1), logs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("bad", [0, 1])
def test_a_layer_that_leaves_the_range_ends_the_measurement_of_all(bad):
    """h_t = 2 h_{t-1} leaves float32's range near step 128; the other network is not harmed."""
    gains = [[[0.5]], [[2.0]]], [[[0.5]], [[0.5]]]
    below, top = (
        RNN(np.ones((2, 1, 1), "f"), np.array(gains[k != bad], "f"), activation="linear")
        for k in (0, 1)
    )
    stack = Stack([below, top])
    x = np.ones((400, 1, 1), "f")
    found = lyapunov_spectrum(stack, x, burn_in=0, block_steps=20)
    states = np.stack([layer.states[1, :, 0, 0] for layer in forward(stack, x).layers])
    first = int(np.argmin(np.isfinite(states).all(axis=0)))
    assert 100 < first < 150
    assert_array_equal(found.first_nonfinite, [-1, first])
    for spectrum in (found, *found.layers):
        assert np.isfinite(spectrum.finite_time[0]).all()
        ends = 20 * np.arange(1, 21)
        known = np.isfinite(spectrum.finite_time[1, 0]).all(axis=-1)
        assert_array_equal(known, ends < first)
    expected = np.log([0.5, 0.5]), np.log([2.0, 0.5])
    assert_allclose(found.exponents, expected, rtol=1e-6)
    alone = lyapunov_spectrum(stack[1], x[:120], burn_in=0, block_steps=6)
    assert_allclose(alone.layers[bad].exponents, np.log([[2.0]]), rtol=1e-6)


def test_exponents_of_linear_stacks_are_those_of_their_eigenvalues():
    """.5 under .9 and .9 under .5: the exponents are ln .9 and ln .5 either way."""
    for lower, upper in ((0.5, 0.9), (0.9, 0.5)):
        stack = Stack([RNN([[1.0]], [[a]], activation="linear") for a in (lower, upper)])
        found = lyapunov_spectrum(stack, np.zeros((600, 1, 1)), burn_in=300)
        assert_allclose(found.exponents[0], np.log([0.9, 0.5]), atol=1e-9)


def test_layers_without_recurrence_have_no_finite_exponent():
    """J = [[J_1, 0], [X J_1, 0]]: the upper layer has none, the lower keeps its own."""
    made = stacked("tanh", 2, T=80, H=2)
    below, top = made.stack.layers
    stack = Stack([below, top.with_weights(top.weights._replace(W_hh=0 * top.W_hh))])
    found = lyapunov_spectrum(stack, made.sequences.inputs, burn_in=20)
    assert np.isneginf(found.exponents[0, 2:]).all()
    alone = lyapunov_spectrum(below, made.sequences.inputs, burn_in=20)
    assert_array_equal(found.layers[0].exponents, alone.exponents)
    assert_array_equal(found.exponents[:, :2], alone.exponents)


@EACH
def test_one_layer_gives_the_bits_of_its_network(cell):
    made = stacked(cell, 1, N=2, T=60)
    (rnn,), x = made.stack.layers, made.sequences.inputs
    start = {name: a[0] for name, a in made.start.items()}
    one, found = (
        lyapunov_spectrum(net, x, burn_in=10, **s)
        for net, s in ((rnn, start), (made.stack, made.start))
    )
    assert_array_equal(one.exponents, found.exponents)
    assert_array_equal(jacobians(rnn, x, **start), jacobians(made.stack, x, **made.start))
    one, found = (
        jacobian_products(net, made.sequences, lags=[1, 5], **s)
        for net, s in ((rnn, start), (made.stack, made.start))
    )
    assert_array_equal(one.log_singular_values, found.log_singular_values)


def test_eigenvalues_of_a_step_are_those_of_the_layers():
    made = stacked("gru", 2, T=3)
    found = jacobian_spectrum(made.stack, made.sequences.inputs, **made.start)
    factors = jacobians(made.stack, made.sequences.inputs, **made.start)
    blocks = [np.linalg.eigvals(factors[0, 1, 0][k : k + 3, k : k + 3]) for k in (0, 3)]
    expected = np.sort(np.abs(np.concatenate(blocks)))[::-1]
    assert_allclose(np.abs(found.eigenvalues[0, 1, 0]), expected, rtol=1e-9, atol=1e-12)


def test_a_drawn_state_has_one_for_each_layer():
    stack = Stack.sample(n_layers=2, n_inputs=1, n_hidden=3, n_outputs=1, gain=0.5, rng=0)
    found = lyapunov_spectrum(stack, n_steps=200, burn_in=50, rng=1, n_exponents=2)
    assert found.exponents.shape == (1, 2)
    with pytest.raises(ValueError, match=r"at most 2\*n_hidden = 6"):
        lyapunov_spectrum(stack, n_steps=200, rng=1, n_exponents=7)
