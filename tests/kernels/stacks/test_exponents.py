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
def test_exponents_are_those_of_the_product_of_jacobians(cell):
    made = stacked(cell, 2, N=2, T=120, B=2)
    x = made.sequences.inputs
    found = lyapunov_spectrum(made.stack, x, burn_in=20, **made.start)
    factors = jacobians(made.stack, x, **made.start)
    for n, b in np.ndindex(2, 2):
        alone = product_exponents(factors[n, :, b], burn_in=20)
        of_both = (np.sort(a) for a in (found.per_sequence[n, b], alone.exponents[0]))
        assert_allclose(*of_both, rtol=1e-9, atol=1e-9)


@EACH
def test_the_spectrum_is_the_union_of_those_of_the_layers(cell):
    """Their sum at any time: the Jacobian is block triangular; each within errors, with time."""
    made = stacked(cell, 2, T=700, B=1, H=2, gain=1.2)
    x = made.sequences.inputs
    found = lyapunov_spectrum(made.stack, x, burn_in=100)
    union, errors = [], []
    for layer in made.stack.layers:
        alone = lyapunov_spectrum(layer, x, burn_in=100)
        union += list(alone.exponents[0])
        errors += list(alone.standard_error[0])
        x = np.ascontiguousarray(forward(layer, x).states[0, 1:])
    order = np.argsort(union)[::-1]  # as they come, largest first
    union, errors = np.array(union)[order], np.array(errors)[order]
    finite = np.isfinite(union)
    assert_array_equal(np.isfinite(found.exponents[0]), finite)
    assert found.exponents[0][finite].sum() == pytest.approx(union[finite].sum(), abs=1e-9)
    apart = np.abs(found.exponents[0][finite] - union[finite])
    assert (apart <= 4 * np.hypot(errors, found.standard_error[0])[finite] + 0.03).all()


def test_exponents_of_linear_stacks_are_those_of_their_eigenvalues():
    """.5 under .9 and .9 under .5: the exponents are ln .9 and ln .5 either way."""
    for lower, upper in ((0.5, 0.9), (0.9, 0.5)):
        stack = Stack([RNN([[1.0]], [[a]], activation="linear") for a in (lower, upper)])
        found = lyapunov_spectrum(stack, np.zeros((600, 1, 1)), burn_in=300)
        assert_allclose(found.exponents[0], np.log([0.9, 0.5]), atol=1e-9)


def test_layers_without_recurrence_have_no_finite_exponent():
    """J = [[J_1, 0], [X J_1, 0]] has the rank of J_1."""
    made = stacked("tanh", 2, T=80, H=2)
    below, top = made.stack.layers
    stack = Stack([below, top.with_weights(top.weights._replace(W_hh=0 * top.W_hh))])
    found = lyapunov_spectrum(stack, made.sequences.inputs, burn_in=20)
    assert np.isneginf(found.exponents[0, 2:]).all()
    alone = lyapunov_spectrum(below, made.sequences.inputs, burn_in=20)
    assert found.exponents[0, :2].sum() == pytest.approx(alone.exponents[0].sum(), abs=0.01)


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
