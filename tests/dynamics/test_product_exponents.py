"""Exponents of products of given matrices: closed forms and published numbers."""

import itertools

import numpy as np
import pytest
from builders import NOJIT
from numpy.testing import assert_allclose

from rnnsim import product_exponents

nojit = pytest.mark.nojit
compiled = pytest.mark.skipif(NOJIT, reason="too many steps without compilation")
HENON = (0.41924, -1.62321)  # a = 1.4, b = 0.3


def matrices(diagonal, T=60, seed=0):
    """Fresh random rotations around a triangular matrix: the same exponents, all exact."""
    H = len(diagonal)
    rng = np.random.default_rng(seed)
    triangular = np.triu(rng.normal(size=(H, H)), 1) + np.diag(diagonal)
    turns = [np.eye(H)] + [np.linalg.qr(rng.normal(size=(H, H)))[0] for _ in range(T)]
    return np.array([b @ triangular @ a.T for a, b in itertools.pairwise(turns)])


@nojit
def test_diagonal_map():
    steps = np.broadcast_to(np.diag([0.5, -2.0, 1.0]), (120, 3, 3))
    found = product_exponents(steps, burn_in=100)
    assert_allclose(found.exponents, [np.log([2.0, 1.0, 0.5])], rtol=0, atol=1e-12)
    assert_allclose(found.kaplan_yorke, 3.0, atol=1e-9)  # their sum is 0
    assert_allclose(found.entropy_rate, [np.log(2.0)], atol=1e-12)
    assert not found.entropy_is_lower_bound[0]
    assert_allclose(found.standard_error, 0.0, atol=1e-12)


@nojit
def test_triangular_maps_between_rotations():
    found = product_exponents(matrices([3.0, 1.0, 0.3, 0.1]), burn_in=40)
    assert_allclose(found.exponents, [np.log([3.0, 1.0, 0.3, 0.1])], rtol=0, atol=1e-9)


@compiled
def test_henon():
    x = y = 0.1
    jacobians = np.empty((200_000, 2, 2))
    for t in range(len(jacobians)):
        jacobians[t] = [[-2.8 * x, 1.0], [0.3, 0.0]]
        x, y = 1.0 - 1.4 * x * x + y, 0.3 * x
    found = product_exponents(jacobians, burn_in=1000)
    assert_allclose(found.exponents.sum(), np.log(0.3), rtol=0, atol=1e-12)
    assert np.all(np.abs(found.exponents[0] - HENON) < 4 * found.standard_error[0] + 1e-5)
    assert found.standard_error.max() < 2e-3
    assert_allclose(found.kaplan_yorke, 1 + HENON[0] / -HENON[1], atol=2e-3)


@compiled
def test_products_of_fresh_gaussian_matrices():
    # Newman (1986): exponent i is (ln 2 + psi((N-i+1)/2))/2, with variance psi'/4 a step
    from scipy.special import polygamma, psi

    N, T = 5, 20_000
    half = (N - np.arange(N)) / 2
    found = product_exponents(np.random.default_rng(0).normal(size=(T, N, N)), burn_in=100)
    error = np.sqrt(polygamma(1, half) / (4 * T))
    assert np.all(np.abs(found.exponents[0] - (np.log(2) + psi(half)) / 2) < 4 * error)
    assert np.all((found.standard_error[0] > error / 2) & (found.standard_error[0] < 2 * error))


@nojit
def test_kaplan_yorke_and_entropy():
    def of(*logs, **options):
        J = np.broadcast_to(np.diag(np.exp(logs)), (200, len(logs), len(logs)))
        return product_exponents(J, burn_in=180, **options)

    found = of(0.3, 0.1, -0.5, -1.0)
    assert_allclose(found.kaplan_yorke, 2 + 0.4 / 0.5, atol=1e-6)
    assert_allclose(found.entropy_rate, 0.4, atol=1e-6)
    assert of(-0.1, -0.5).kaplan_yorke == 0.0
    assert of(-0.1, -0.5).entropy_rate == 0.0
    assert of(0.5, -0.1).kaplan_yorke == 2.0
    part = of(0.5, 0.2, -0.1, -3.0, n_exponents=2)
    assert np.isnan(part.kaplan_yorke[0])
    assert part.entropy_is_lower_bound[0]
    assert_allclose(part.entropy_rate, 0.7, atol=1e-6)
    assert_allclose(of(0.5, 0.2, -1.5, -3.0, n_exponents=3).kaplan_yorke, 2 + 0.7 / 1.5, atol=1e-6)
