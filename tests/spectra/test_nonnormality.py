"""Non-normality: closed forms, normal matrices, plain definitions, and what leaves it alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim.spectra.nonnormality import NonNormality, nonnormality
from rnnsim.spectra.powers import transient_growth

some = settings(derandomize=True, deadline=None, max_examples=12)
draws = st.tuples(st.integers(2, 9), st.integers(0, 2**16))
PER_NETWORK = (
    "eigenbasis_condition",
    "numerical_abscissa",
    "numerical_radius",
    "kreiss",
    "kreiss_point",
    "radius",
)
PER_EIGENVALUE = ("eigenvalues", "participation", "eigenvalue_condition")


def gaussian(n_hidden, seed=0, gain=1.0):
    draw = np.random.default_rng(seed).standard_normal((n_hidden, n_hidden))
    return gain * draw / np.sqrt(n_hidden)


def orthogonal(n_hidden, seed=0):
    return np.linalg.qr(gaussian(n_hidden, seed))[0]


def test_shapes_dtypes_and_freezing():
    rnn = rnnsim.RNN.sample(2, n_inputs=1, n_hidden=5, n_outputs=1, dtype="float32", rng=0)
    result = nonnormality(rnn)
    assert isinstance(result, NonNormality)
    for name in PER_NETWORK:
        assert getattr(result, name).shape == (2,), name
    for name in PER_EIGENVALUE:
        assert getattr(result, name).shape == (2, 5), name
    for field in dataclasses.fields(result):
        expected = np.complex128 if field.name in ("eigenvalues", "kreiss_point") else np.float64
        assert getattr(result, field.name).dtype == expected, field.name
    assert_array_equal(result.radius, rnnsim.spectrum(rnn).spectral_radius)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.kreiss = None


def test_one_unit():
    result = nonnormality(np.array([[-0.75]]))
    assert result.numerical_abscissa == -0.75
    assert result.numerical_radius == result.radius == 0.75
    ones = [result.kreiss, result.eigenbasis_condition, result.participation[0]]
    assert_array_equal([*ones, result.eigenvalue_condition[0]], 1.0)


@pytest.mark.parametrize("kind", ["symmetric", "skew", "orthogonal", "shift", "identity", "zero"])
def test_normal_matrices(kind):
    draw = gaussian(12, 1)
    basis = orthogonal(12, 2)
    matrix = {
        "symmetric": basis @ np.diag([3.0, 3.0, 3.0, *np.arange(-4.0, 5.0)]) @ basis.T,
        "skew": draw - draw.T,
        "orthogonal": 0.7 * basis,
        "shift": np.roll(np.eye(12), 1, axis=0),
        "identity": 1.3 * np.eye(12),
        "zero": np.zeros((12, 12)),
    }[kind]
    values, result = np.linalg.eigvals(matrix), nonnormality(matrix)
    assert_allclose(result.numerical_abscissa, values.real.max(), atol=1e-13)
    assert_allclose(result.numerical_radius, np.abs(values).max(), rtol=1e-13)
    assert result.kreiss == 1.0
    assert result.kreiss_point == np.inf
    assert_allclose(result.eigenvalue_condition, 1.0, rtol=1e-12)
    assert_allclose(result.eigenbasis_condition, 1.0, rtol=1e-12)
    if kind == "shift":  # Fourier modes
        assert_allclose(result.participation, 12.0, rtol=1e-12)
    if kind == "identity":
        assert_array_equal(result.participation, 1.0)


@pytest.mark.parametrize("n_hidden", [2, 5, 20])
def test_jordan_block(n_hidden):
    """Its numerical range is the disc of radius cos(pi / (H + 1))."""
    result = nonnormality(3.0 * np.eye(n_hidden, k=1))
    expected = 3.0 * np.cos(np.pi / (n_hidden + 1))
    assert_allclose(result.numerical_abscissa, expected, rtol=1e-14)
    assert_allclose(result.numerical_radius, expected, rtol=1e-14)
    assert_array_equal(result.kreiss, np.inf)
    assert_array_equal(result.eigenbasis_condition, np.inf)
    assert_array_equal(result.eigenvalue_condition, np.inf)
    assert_allclose(result.participation, 1.0, rtol=1e-14)


@pytest.mark.parametrize(("a", "b", "c"), [(0.6, 0.5, 0.8), (2.0, -1.0, 3.0), (-1.0, 0.3, 0.01)])
def test_two_units_closed_forms(a, b, c):
    """[[a, c], [0, b]]: the numerical range is an ellipse with foci a, b and minor axis |c|."""
    result = nonnormality(np.array([[a, c], [0.0, b]]))
    centre, half_axis = (a + b) / 2, np.hypot(a - b, c) / 2
    assert_allclose(result.numerical_abscissa, centre + half_axis, rtol=1e-14)
    assert_allclose(result.numerical_radius, abs(centre) + half_axis, rtol=1e-14)
    condition = np.hypot(1.0, c / (a - b))
    assert_allclose(result.eigenvalue_condition, [[condition] * 2], rtol=1e-14)
    assert_allclose(result.eigenbasis_condition, condition + abs(c / (a - b)), rtol=1e-12)
    ordered = [1.0, (c**2 + (b - a) ** 2) ** 2 / (c**4 + (b - a) ** 4)]
    if abs(b) > abs(a):
        ordered.reverse()
    assert_allclose(result.participation, [ordered], rtol=1e-13)


def test_rotation_and_shear():
    """[[0, b], [-c, 0]]: an ellipse upright on the imaginary axis, (b + c)/2 by |b - c|/2."""
    result = nonnormality(np.array([[0.0, 4.0], [-1.0, 0.0]]))
    assert_allclose(result.numerical_abscissa, 1.5, rtol=1e-14)
    assert_allclose(result.numerical_radius, 2.5, rtol=1e-14)
    assert_allclose(result.eigenvalue_condition, 1.25, rtol=1e-14)  # (b + c) / (2 sqrt(b c))
    assert_allclose(result.eigenbasis_condition, 2.0, rtol=1e-14)  # sqrt(b / c)


@some
@given(draws)
def test_numerical_radius_by_many_angles(draw):
    matrix = gaussian(*draw)
    turned = np.exp(1j * np.linspace(0, np.pi, 4001))[:, None, None] * matrix
    highest = np.linalg.eigvalsh(0.5 * (turned + turned.conj().mT))[:, -1].max()
    found = nonnormality(matrix).numerical_radius[0]
    assert highest * (1 - 1e-14) <= found <= highest / np.cos(np.pi / 8000)


@some
@given(draws)
def test_eigenvectors_by_their_definitions(draw):
    matrix = gaussian(*draw)
    result = nonnormality(matrix)
    assert_array_equal(result.eigenvalues, rnnsim.spectrum(as_rnn(matrix)).eigenvalues)
    for i, value in enumerate(result.eigenvalues[0]):
        # null vectors of W - lambda from both sides
        left, sigma, right = np.linalg.svd(matrix - value * np.eye(len(matrix)))
        assert sigma[-1] < 1e-13
        power = np.abs(right[-1]) ** 2
        condition = 1 / np.abs(left[:, -1].conj() @ right[-1].conj())
        # vectors move by rounding over the distance to the next eigenvalue
        assert_allclose(result.participation[0, i], 1 / (power**2).sum(), rtol=1e-8)
        assert_allclose(result.eigenvalue_condition[0, i], condition, rtol=1e-8)
    _, vectors = np.linalg.eig(matrix)
    assert_allclose(result.eigenbasis_condition, np.linalg.cond(vectors), rtol=1e-8)
    assert result.eigenvalue_condition.max() <= result.eigenbasis_condition * (1 + 1e-9)


def as_rnn(matrix):
    n_hidden = len(matrix)
    return rnnsim.RNN(np.ones((n_hidden, 1)), matrix, np.ones((1, n_hidden)))


@some
@given(draws)
def test_inequalities_that_always_hold(draw):
    matrix = gaussian(*draw)
    result, norm = nonnormality(matrix), np.linalg.norm(matrix, 2)
    r = result.numerical_radius[0]
    assert result.numerical_abscissa[0] <= r * (1 + 1e-14)
    assert max(result.radius[0], norm / 2) <= r * (1 + 1e-14)
    assert r <= norm * (1 + 1e-14)
    lags = np.arange(400)
    growth = transient_growth(matrix, lags)[0]
    assert (growth[1:] <= np.log(2) + lags[1:] * np.log(r) + 1e-12).all()
    # the supremum at the spectral radius may lie far out: allow for 400 lags
    reached = np.exp((growth - lags * np.log(result.radius[0])).max())
    assert 1.0 <= result.kreiss[0] <= reached * 1.05
    assert result.kreiss[0] >= result.eigenvalue_condition[0, 0] * (1 - 1e-4)
    assert (
        (result.participation >= 1 - 1e-12) & (result.participation <= len(matrix) + 1e-9)
    ).all()


@some
@given(draws, st.sampled_from([1e-300, 1e-9, 1.0, 1e300]))
def test_what_leaves_it_alone(draw, factor):
    """Orthogonal changes of basis, permuted units, transposition; scale is linear or nothing."""
    matrix, H = gaussian(*draw), draw[0]
    order = np.random.default_rng(draw[1]).permutation(H)
    basis = orthogonal(H, draw[1] + 1)
    moved = [matrix, basis @ matrix @ basis.T, matrix[np.ix_(order, order)], matrix.T]
    result = nonnormality(np.stack([*moved, factor * matrix, -matrix]))
    linear = np.array([1, 1, 1, 1, factor, 1])
    # the eigenbasis of W and W^T has the same condition only up to a factor of H
    for name, rows, scale in (
        ("numerical_abscissa", [1, 2, 3, 4], linear),
        ("numerical_radius", [1, 2, 3, 4, 5], linear),
        ("radius", [1, 2, 3, 4, 5], linear),
        ("kreiss", [1, 2, 3, 4, 5], np.ones(6)),
        ("eigenvalue_condition", [1, 2, 3, 4], np.ones(6)),
        ("eigenbasis_condition", [1, 2, 4, 5], np.ones(6)),
        ("participation", [2, 4], np.ones(6)),
    ):
        value = getattr(result, name)
        for row in rows:
            assert_allclose(value[row] / scale[row], value[0], rtol=1e-6, err_msg=name)


def test_grcar_matrix():
    """The Toeplitz matrix of f(z) = -z + 1 + 1/z + 1/z^2 + 1/z^3."""
    matrix = sum(np.eye(40, k=k) for k in range(4)) - np.eye(40, k=-1)
    result = nonnormality(matrix)
    # its numerical range lies in the hull of the curve f(|z| = 1) and fills it as H grows
    angle = np.linspace(0, np.pi, 20_001)
    curve = 1 - np.exp(1j * angle) + sum(np.exp(-1j * k * angle) for k in (1, 2, 3))
    limit = np.abs(curve).max()
    assert 0.98 * limit < result.numerical_radius[0] < limit
    assert 0.98 * curve.real.max() < result.numerical_abscissa[0] < curve.real.max()
    assert result.eigenbasis_condition > 1e5
    lags = np.arange(400)
    growth = transient_growth(matrix, lags)[0] - lags * np.log(result.radius[0])
    assert 1e4 < result.kreiss[0] < np.exp(growth.max()) < 1e6


def test_localised_and_spread_eigenvectors():
    """Two uncoupled groups: one unit, and eight that are driven alike."""
    matrix = np.zeros((9, 9))
    matrix[0, 0] = 2.0
    matrix[1:, 1:] = 1.0 / 8
    result = nonnormality(matrix)
    assert_allclose(result.eigenvalues[0, :2], [2.0, 1.0], rtol=1e-14)
    assert_allclose(result.participation[0, :2], [1.0, 8.0], rtol=1e-13)


def test_radius_of_the_kreiss_constant():
    matrices = np.stack([np.array([[0.5, 4.0], [0.0, 0.5]])] * 3)
    both = nonnormality(matrices, radius=[0.4, 0.6, 5.0])
    assert_array_equal(both.radius, [0.4, 0.6, 5.0])
    assert_array_equal(both.kreiss[[0, 2]], [np.inf, 1.0])
    assert 1.0 < both.kreiss[1] < np.inf
    assert_array_equal(nonnormality(matrices, radius=0.6).kreiss, [both.kreiss[1]] * 3)
    assert_array_equal(nonnormality(matrices).kreiss, [np.inf] * 3)  # defective
    # (|z| - R) ||(z - W)^-1|| at the reported point
    z = both.kreiss_point[1]
    sigma = np.linalg.svd(z * np.eye(2) - matrices[1], compute_uv=False)[-1]
    assert_allclose(both.kreiss[1], (abs(z) - 0.6) / sigma, rtol=1e-12)


def test_the_point_has_the_scale_of_the_weights():
    matrix = np.array([[0.5, 40.0], [0.0, 0.2]])
    small, large = nonnormality(matrix), nonnormality(1000 * matrix)
    assert_allclose(large.kreiss_point, 1000 * small.kreiss_point, rtol=1e-6)
    assert_allclose(small.kreiss_point, 0.5, rtol=1e-6)


def test_each_network_of_an_ensemble_is_on_its_own():
    rnn = rnnsim.RNN.sample(
        3, n_inputs=1, n_hidden=6, n_outputs=1, gain=[0.5, 1.0, 2.0], dtype="float32", rng=5
    )
    together = nonnormality(rnn)
    for n in range(3):
        alone = nonnormality(rnn[n].astype("float64"))
        for field in dataclasses.fields(together):
            both = getattr(together, field.name)[n : n + 1], getattr(alone, field.name)
            assert_array_equal(*both, err_msg=field.name)


def test_errors():
    matrix = np.eye(2)
    with pytest.raises(ValueError, match=r"`rnn` must be a rnnsim.RNN, or square.*\(1, 2\)"):
        nonnormality(np.ones((1, 2)))
    with pytest.raises(TypeError, match=r"`rnn` .* must hold float32 or float64, got int64"):
        nonnormality(np.eye(2, dtype=np.int64))
    with pytest.raises(TypeError, match=r"`radius` must be a number or an \(n_networks,\) array"):
        nonnormality(matrix, radius="one")
    with pytest.raises(ValueError, match=r"of shape \(n_networks,\) = \(1,\), got shape \(2,\)"):
        nonnormality(matrix, radius=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"`radius` must be finite, got nan"):
        nonnormality(matrix, radius=np.nan)
    with pytest.raises(ValueError, match=r"`radius` must be above 0, got 0; leave it out"):
        nonnormality(matrix, radius=0)


@pytest.mark.parametrize("power", [-1040, -700, 700, 1000])
def test_no_scale_of_the_matrix_changes_its_shape(power):
    W_hh = np.array([[0.5, 2.0], [0.0, 0.25]])  # its entries stay exact also where subnormal
    before, after = nonnormality(W_hh), nonnormality(np.ldexp(W_hh, power))
    for name in ("participation", "eigenvalue_condition", "eigenbasis_condition", "kreiss"):
        assert_array_equal(getattr(after, name), getattr(before, name))
    for name in ("numerical_abscissa", "numerical_radius", "radius"):
        expected = np.ldexp(getattr(before, name), power)
        assert_allclose(getattr(after, name), expected, rtol=1e-8 if power == -1040 else 1e-15)
