"""Graded products: closed forms, exact decimals, laws, and what rounding hides."""

import numpy as np
import pytest
import reference
import scipy.linalg.lapack
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim.dynamics import graded

pytestmark = pytest.mark.lane

# ln sigma of a product of K factors: each is disturbed by some epsilons times its condition (up to
# some hundred here), and logs of size 1e3 to 1e4 have an epsilon of 1e-12 of their own.
TOLERANCE = 1e-10


def orthogonal(H, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((H, H)))[0]


def product_of(factors, basis=None):
    """Pairs (matrix, row sizes): matrix @ diag(sizes), the first pair rightmost."""
    H = len(factors[0][0])
    product = graded.orthogonal(np.eye(H) if basis is None else basis, 1)
    for matrix, sizes in factors:
        scaled = graded.scale_rows(product, np.asarray(sizes, float)[None])
        product = graded.multiply(np.asarray(matrix, float)[None], scaled)
    return product


def values_of(factors, basis=None):
    product = product_of(factors, basis)
    return graded.log_singular_values(product.logs[0], product.rows[0])


def dense(product, g=0):
    return product.basis[g] @ np.diag(np.exp(product.logs[g])) @ product.rows[g]


def random_factors(H, K, seed, saturation=0.0):
    """One matrix and slopes, a third of them down to 10^-saturation."""
    rng = np.random.default_rng([seed, H, K])
    matrix = rng.standard_normal((H, H)) / np.sqrt(H)
    slopes = np.exp(-rng.exponential(size=(K, H)))
    slopes *= 10.0 ** (-saturation * rng.random((K, H)) * (rng.random((K, H)) < 1 / 3))
    return [(matrix, row) for row in slopes]


@pytest.mark.parametrize("saturation", [0.0, 4.0])
def test_a_short_product_is_the_product(saturation):
    factors = random_factors(6, 4, 0, saturation)
    expected = np.eye(6)
    for matrix, sizes in factors:
        expected = matrix @ np.diag(sizes) @ expected
    for basis in (np.eye(6), orthogonal(6, 1)):
        product = product_of(factors, basis)
        assert_allclose(dense(product), expected @ basis, atol=1e-14 * np.linalg.norm(expected))
        assert_allclose(product.basis[0].T @ product.basis[0], np.eye(6), atol=1e-14)
        assert_allclose(np.abs(product.rows).max(axis=2), 1.0, rtol=1e-15)


@pytest.mark.parametrize(
    ("H", "K", "saturation", "digits"),
    [(2, 200, 30, 2000), (4, 60, 0, 150), (4, 40, 30, 1000), (5, 10, 250, 1800)],
)
def test_exact_decimals(H, K, saturation, digits):
    factors = random_factors(H, K, 1, saturation)
    chain = [part for matrix, sizes in factors for part in (np.diag(sizes), matrix)]
    expected = reference.log_singular_values(chain, digits)
    assert np.ptp(expected) < digits * np.log(10) - 60
    for basis in (np.eye(H), orthogonal(H, 2)):
        assert_allclose(values_of(factors, basis), expected, rtol=0, atol=TOLERANCE)


def test_the_reference_itself_on_a_closed_form():
    """R(a) diag(1e-400 as a product, 3) R(b): singular values 3^8 and 10^-400."""
    a, b = (np.linalg.matrix_power([[0.6, -0.8], [0.8, 0.6]], m) for m in (1, 3))
    found = reference.log_singular_values([b, *[np.diag([1e-50, 3.0])] * 8, a], 500)
    assert_allclose(found, [8 * np.log(3), 8 * np.log(1e-50)], rtol=1e-14)


@pytest.mark.parametrize("H", [3, 24])
def test_rotations_around_graded_diagonals(H):
    """Q_K D_K Q_{K-1}^T ... Q_1 D_1 Q_0^T has the singular values prod_k D_k, here over 10^-500."""
    K, slope = 150, np.logspace(0, -3.5, H)
    bases = [orthogonal(H, seed) for seed in range(K + 1)]
    factors = [
        (bases[k + 1] * slope ** (1 + 0.3 * (-1) ** k) @ bases[k].T, np.ones(H)) for k in range(K)
    ]
    expected = K * np.log(slope)
    assert expected[-1] < -500 * np.log(10)
    # sigma_min of each factor is 10^-4.5 of its norm: rounding moves it by 1e-11
    assert_allclose(values_of(factors), expected, rtol=0, atol=150 * 1e-11)


def test_diagonal_factors_are_exact_in_any_order():
    sizes = np.array([1e-3, 1.0, 1e-280, 10.0])
    factors = [(np.eye(4), np.roll(sizes, k % 2)) for k in range(200)]
    expected = 100 * (np.log(sizes) + np.log(np.roll(sizes, 1)))
    assert_allclose(values_of(factors), -np.sort(-expected), rtol=1e-13)


@pytest.mark.parametrize(("a", "b"), [(0.1, 10.0), (10.0, 0.1), (0.9, 1.0)])
def test_triangular_factors_with_the_large_value_on_either_side(a, b):
    """[[a, c], [0, b]]^k = [[a^k, c (b^k - a^k)/(b - a)], [0, b^k]]: norm and determinant."""
    k, c = 400, 0.7
    with np.errstate(over="ignore"):
        logs = np.array([k * np.log(a), np.log(c / abs(b - a)) + k * np.log(max(a, b))])
        logs = np.append(logs, k * np.log(b))
    logs[1] += np.log1p(-np.exp(-k * abs(np.log(a / b))))
    norm = 0.5 * np.logaddexp.reduce(2 * logs)
    values = values_of([([[a, c], [0.0, b]], [1.0, 1.0])] * k)
    assert_allclose(values.sum(), k * np.log(a * b), atol=1e-11)
    assert_allclose(0.5 * np.logaddexp.reduce(2 * values), norm, rtol=1e-13)


@pytest.mark.parametrize(("H", "K"), [(64, 40), (160, 6)])
def test_determinant_and_norm_at_full_size(H, K):
    """Slopes down to 1e-40: rows must be sorted for this (unsorted, the sum is off by 1e4)."""
    factors = random_factors(H, K, 3, 40.0)
    determinant = K * np.linalg.slogdet(factors[0][0])[1]
    determinant += sum(np.log(sizes).sum() for _, sizes in factors)
    values = values_of(factors)
    assert_allclose(values.sum(), determinant, rtol=1e-13)
    assert (np.diff(values) <= 0).all()
    columns, norm = np.eye(H), 0.0
    for matrix, sizes in factors:
        columns = matrix @ (sizes[:, None] * columns)
        norm += np.log(np.linalg.norm(columns))
        columns /= np.linalg.norm(columns)
    assert_allclose(0.5 * np.logaddexp.reduce(2 * values), norm, rtol=0, atol=1e-12)


@pytest.mark.parametrize("small", [1e-100, 1e-280])
def test_entries_next_to_zero_in_the_wrong_places(small):
    """diag(sizes) (I + E) with E of size 1e-16: columns sorted once would lose the least value."""
    sizes = np.array([[small, 1e-60, 1.0, 1e-69]])
    basis = np.eye(4) + 2e-16 * np.random.default_rng(5).standard_normal((4, 4))
    product = graded.scale_rows(graded.orthogonal(basis, 1), sizes)
    found = graded.log_singular_values(product.logs[0], product.rows[0])
    assert_allclose(found, -np.sort(-np.log(sizes[0])), rtol=1e-14, atol=1e-14)
    assert np.linalg.cond(product.rows[0]) < 10


@pytest.mark.parametrize("place", [0, 1])
def test_noise_disturbs_what_rounding_does(place):
    """Relative to rows, by the size asked for; rows that are exactly 0 stay 0."""
    rng, H = np.random.default_rng(6), 5
    noise = [np.zeros((1, H, H)), np.zeros((1, H, H))]
    noise[place] = 1e-9 * rng.standard_normal((1, H, H))
    start = graded.orthogonal(np.eye(H), 1)
    matrix, sizes = rng.standard_normal((1, H, H)), np.array([[1.0, 1e-40, 2.0, 1e-20, 0.5]])
    matrix *= np.array([1.0, 1e-30, 1.0, 1e-20, 1.0])[:, None]
    for change in (
        lambda noise: graded.scale_rows(graded.multiply(matrix, start), sizes, noise),
        lambda noise: graded.multiply(matrix, graded.scale_rows(start, sizes), noise),
    ):
        plain, noisy = (
            graded.log_singular_values(product.logs[0], product.rows[0])
            for product in (change((0.0, 0.0)), change(noise))
        )
        differences = np.abs(plain - noisy)
        assert (differences < 1e-7).all()
        assert (differences > 1e-12).all()
    sizes[0, 3] = 0.0
    diagonal = graded.scale_rows(start, sizes, noise)
    found = graded.log_singular_values(diagonal.logs[0], diagonal.rows[0])
    expected = np.log([2.0, 1.0, 0.5, 1e-40])
    assert_allclose(found, [*expected, -np.inf], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("step", [0.03, 0.7, 3.0, 40.0])
@pytest.mark.parametrize("H", [1, 7, 60])
def test_values_of_any_spacing(H, step):
    """Clusters, chains and wide gaps: D U with U = I, then U = I + 0.5 N, far beyond 1e308."""
    logs = 1000.0 - step * np.arange(H)
    values = graded.log_singular_values(logs, np.eye(H))
    assert_allclose(values, logs, rtol=1e-15)
    shuffled = np.random.default_rng(0).permutation(H)
    rows = np.eye(H) + 0.5 * np.diag(np.ones(H - 1), 1)
    values = graded.log_singular_values(logs[shuffled], rows[shuffled])
    assert_allclose(values.sum(), logs.sum(), rtol=1e-13)
    total = 0.5 * np.logaddexp.reduce(np.repeat(2 * logs, 2)[:-1] + np.append(
        np.tile([0.0, 2 * np.log(0.5)], H - 1), 0.0))  # fmt: skip
    assert_allclose(0.5 * np.logaddexp.reduce(2 * values), total, rtol=1e-14)


def test_spacings_in_exact_decimals():
    rng = np.random.default_rng(4)
    logs = np.array([0.0, -0.2, -0.2, -30.0, -31.0, -500.0])
    rows = rng.uniform(-1, 1, (6, 6))
    rows /= np.abs(rows).max(axis=1, keepdims=True)
    expected = reference.log_singular_values([rows, np.diag(np.exp(logs))], 500)
    assert_allclose(graded.log_singular_values(logs, rows), expected, rtol=1e-14, atol=1e-13)


def test_exact_zeros():
    """Rows of size 0, equal rows of U, and nothing left at all."""
    values = values_of([*random_factors(5, 3, 5), (np.eye(5), [1.0, 0.0, 2.0, 0.0, 1.0])])
    assert_array_equal(np.isneginf(values), [False, False, False, True, True])
    rank_one = graded.log_singular_values(np.array([0.0, -900.0]), np.array([[1.0, 0], [1.0, 0]]))
    assert_array_equal(rank_one, [0.0, -np.inf])
    product = product_of([(np.eye(3), np.zeros(3))] * 2)
    assert_array_equal(graded.log_singular_values(product.logs[0], product.rows[0]), [-np.inf] * 3)
    assert np.isnan(graded.leading_left_vector(product, 0)).all()


def test_tiny_rows_count_as_the_smallest_that_may_be():
    values = values_of([(np.eye(2), [1.0, 1e-300])])
    assert_allclose(values, [0.0, np.log(graded.SMALLEST_ROW)], rtol=1e-14)
    values = values_of([(np.eye(2), [1e-20, 1e-307])])  # relative to the largest
    assert_allclose(values, np.log([1e-20, 1e-307]), rtol=1e-14)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 2**16))
def test_short_products_agree_with_a_dense_decomposition(H, K, seed):
    factors = random_factors(H, K, seed)
    product = product_of(factors, orthogonal(H, seed))
    left, values, _ = np.linalg.svd(dense(product))
    found = graded.log_singular_values(product.logs[0], product.rows[0])
    noise = 1e-13 * values[0] / values
    assert (np.abs(found - np.log(values)) <= noise).all()
    vector = graded.leading_left_vector(product, 0)
    assert_allclose(np.linalg.norm(vector), 1.0, rtol=1e-14)
    assert vector[np.abs(vector).argmax()] > 0
    assert_allclose(np.linalg.norm(dense(product).T @ vector), values[0], rtol=1e-13)
    gap = 1 - values[1] / values[0] if H > 1 else 1.0
    assert abs(vector @ left[:, 0]) >= 1 - 1e-13 / gap


def test_two_equal_leading_values_give_one_direction_of_their_plane():
    product = product_of([(np.eye(3), [2.0, 2.0, 1e-3])], orthogonal(3, 6))
    vector = graded.leading_left_vector(product, 0)
    assert_allclose(np.linalg.norm(vector[:2]), 1.0, rtol=1e-13)


def test_squeezed_and_stretched_again():
    """diag(10, .1)^k diag(.1, 10)^k is 1; in a turned basis its memory fades as 10^2k epsilons."""
    errors = []
    for k in (2, 4, 6, 9):
        factors = [(np.eye(2), [10.0, 0.1])] * k + [(np.eye(2), [0.1, 10.0])] * k
        assert_allclose(values_of(factors), [0.0, 0.0], atol=1e-13)
        errors.append(np.abs(values_of(factors, orthogonal(2, 7))).max())
    assert errors[0] < 1e-11
    assert (np.diff(np.log10(errors)) > 2).all()
    assert errors[-1] > 1e-3


def test_products_of_a_batch_are_on_their_own():
    chains = [random_factors(4, 3, seed, 20.0) for seed in range(3)]
    product = graded.orthogonal(np.eye(4), 3)
    for k in range(3):
        sizes = np.stack([chain[k][1] for chain in chains])
        matrices = np.stack([chain[k][0] for chain in chains])
        product = graded.multiply(matrices, graded.scale_rows(product, sizes))
    for g, chain in enumerate(chains):
        alone = product_of(chain)
        for whole, part in zip(product, alone, strict=True):
            assert_allclose(whole[g], part[0], rtol=1e-11, atol=1e-14)


def test_rotations_without_end_are_told(monkeypatch):
    def unfinished(a, **options):
        return np.ones(len(a)), None, None, np.ones(7), np.zeros(3), 1

    monkeypatch.setattr(scipy.linalg.lapack, "dgejsv", unfinished)
    values = graded.log_singular_values(np.array([0.0, 0.0]), np.array([[1.0, 0.5], [0.5, 1.0]]))
    assert np.isnan(values).all()
