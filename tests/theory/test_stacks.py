"""Gradients of linear stacks: against the plain recursion of paths through layers and time."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rnnsim import theory


@pytest.mark.parametrize("rho", [0.5, 1.0, 1.3])
def test_paths_are_those_of_the_recursion(rho):
    """g_d(k) = rho g_d(k-1) + g_(d-1)(k): one step back within a layer, or down within a step."""
    K, D = 40, 5
    g = np.zeros((D, K))
    for d in range(D):
        for k in range(K):
            stay = rho * g[d, k - 1] if k else 0.0
            g[d, k] = stay + (g[d - 1, k] if d else float(k == 0))
    found = theory.stack_log_norm(np.log(rho), np.arange(D), np.arange(K))
    assert_allclose(np.exp(found), g, rtol=1e-11)


def test_shapes():
    rates = np.array([[0.0], [-1.0]])
    found = theory.stack_log_norm(rates, [0, 2], [0, 3])
    assert found.shape == (2, 2, 2)
    assert_allclose(found[0], [[0, 0], [0, np.log(10)]], atol=1e-12)
    assert_allclose(found[1], [[0, -3], [0, np.log(10) - 3]], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, -1, 3), ValueError, "`distance` must be at least 0"),
        ((0.0, 1, -3), ValueError, "`lags` must be at least 0"),
        ((-np.inf, 1, 3), ValueError, "`rate` must"),
        (("a", 1, 3), TypeError, "`rate` must be a real number"),
    ],
)
def test_misuse_teaches(arguments, error, message):
    with pytest.raises(error, match=message):
        theory.stack_log_norm(*arguments)
