"""What double precision resolves of products of Jacobians, and whether the result says so."""

import numpy as np
import pytest
import reference
from builders import at_rest, driven, network
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import jacobian_products, jacobians

pytestmark = pytest.mark.nojit


def test_rounding_is_the_size_of_the_error_until_nothing_is_left():
    """Directions squeezed by 10^-30 and stretched again, in a turning basis, against decimals."""
    near, far = 0.0, np.arccosh(10**1.5)  # phi' = 1 and 1e-3
    one, both, other = [near, far], [near, near], [far, near]
    rnn = network(np.sqrt(0.5) * np.array([[1.0, -1.0], [1.0, 1.0]]), "tanh")
    s = driven(rnn, np.array([one, both, other, both] * 5 + [other, both, one, both] * 5))
    result = jacobian_products(rnn, s, lags=range(1, 41))
    J = jacobians(rnn, s.inputs)[0, :, 0]
    true = [reference.log_singular_values(J[40 - k :], 200) for k in result.lags]
    errors = np.abs(true - result.log_singular_values[0, 0])
    resolved, rounding = result.resolved[0, 0], result.rounding[0, 0]
    assert_array_equal(resolved.all(axis=1), np.arange(1, 41) < 30)
    assert (errors[resolved] <= 10 * rounding[resolved] + 1e-13).all()
    assert errors[~resolved].max() > 1e-3


def test_a_singular_matrix_has_values_that_cannot_be_told_from_rounding():
    """Rank 4 of 6, rows and columns full: four values are right, two are noise and said to be."""
    rng = np.random.default_rng(9)
    W_hh = rng.standard_normal((6, 4)) @ rng.standard_normal((4, 6)) / 4
    result = jacobian_products(network(W_hh), at_rest(network(W_hh), 3), lags=[1, 3])
    assert_array_equal(result.resolved[0, 0], [[True] * 4 + [False] * 2] * 2)
    values = np.linalg.svd(np.linalg.matrix_power(W_hh, 3), compute_uv=False)
    assert_allclose(np.exp(result.log_singular_values[0, 0, 1, :4]), values[:4], rtol=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("W_hh", [np.diag([1.0, -0.5, 2.0]), np.eye(3)[[1, 2, 0]] * 0.7])
def test_units_that_are_not_coupled_are_exact(W_hh, activation):
    """Squeezed by 10^-200 and back, or at rest in turn: nothing is added up, nothing rounded."""
    low, high = (-1.0, 1.0) if activation == "relu" else (9.0, 0.0)
    pre = np.where(np.arange(60)[:, None] // 20 == np.arange(3), low, high)
    rnn = network(W_hh, activation)
    s = driven(rnn, pre)
    result = jacobian_products(rnn, s, lags=[20, 40, 60])
    J = jacobians(rnn, s.inputs)[0, :, 0]
    for i, k in enumerate(result.lags):
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(J[60 - k :].sum(axis=2)))  # one entry in each row
        source = np.abs(W_hh).argmax(axis=1)
        total, unit = np.zeros(3), np.arange(3)
        for row in logs[::-1]:
            total, unit = total + row[unit], source[unit]
        found = result.log_singular_values[0, 0, i]
        assert_allclose(found, -np.sort(-total), rtol=1e-13, atol=1e-13)
    assert_array_equal(result.rounding, 0.0)


def test_triangular_matrices_hide_more_than_they_show():
    """Exact zeros appear where something below rounding was lost: decimals against `resolved`."""
    rng = np.random.default_rng(3)
    hidden = 0
    for _ in range(12):
        W_hh = np.triu(rng.standard_normal((3, 3)))
        rnn = network(W_hh, "tanh")
        s = driven(rnn, 30.0 * rng.standard_normal((9, 3)))
        result = jacobian_products(rnn, s, lags=[9])
        J = jacobians(rnn, s.inputs)[0, :, 0]
        true = reference.log_singular_values(J, 900)
        errors = np.abs(true - result.log_singular_values[0, 0, 0])
        resolved = result.resolved[0, 0, 0]
        assert (errors[resolved] < 1e-5).all()
        hidden += np.count_nonzero(errors > 1e-5)
    assert hidden >= 2
