"""How networks with gates begin, and the schemes that draw more than W_hh."""

import builders
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from rnnsim import RNN
from rnnsim.networks.cells import CELLS
from rnnsim.networks.initialisation import INITIALISATIONS, SCHEMES

GATED = ("lstm", "gru")
SIZES = {"n_inputs": 3, "n_hidden": 8, "n_outputs": 2}
EPS = np.finfo(float).eps


def blocks(rnn, name):
    """Weights by gate: (G, N, H, .), of biases (blocks, N, H)."""
    array = getattr(rnn, name)
    return np.stack(np.split(array, array.shape[1] // rnn.n_hidden, axis=1))


def biases(rnn):
    return dict(zip(CELLS[rnn.cell].biases, blocks(rnn, "b_h"), strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_draws_of_vanilla_networks_are_what_they_were(scheme):
    # Written out as they were drawn before there were other cells.
    rng, H = np.random.default_rng(3), 8
    drawn = RNN.sample(2, **SIZES, scheme=scheme, gain=0.7, rng=3)
    for n in range(2):
        W_xh = rng.standard_normal((H, 3)) / np.sqrt(3)
        if scheme == "identity":
            W_hh = np.eye(H)
        elif scheme == "uniform":
            W_hh = rng.uniform(-1.0, 1.0, (H, H)) / np.sqrt(H)
        else:
            W_hh = rng.standard_normal((H, H))
            q, r = np.linalg.qr(W_hh)
            W_hh = W_hh / np.sqrt(H) if scheme == "gaussian" else q * np.sign(np.diag(r))
        assert_array_equal(drawn.W_xh[n], W_xh)
        assert_array_equal(drawn.W_hh[n], 0.7 * W_hh)
        assert_array_equal(drawn.W_hy[n], rng.standard_normal((2, H)) / np.sqrt(H))


@pytest.mark.parametrize("scheme", INITIALISATIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_draws_are_paired(cell, scheme):
    options = {**SIZES, "cell": cell, "scheme": scheme, "rng": 2}
    large, small = RNN.sample(5, **options), RNN.sample(2, **options)
    builders.same_bits(large[:2].weights, small.weights)
    gains = np.array([0.5, -4.0])
    scaled = RNN.sample(2, **options, gain=gains)
    same = small.weights._replace(W_hh=gains[:, None, None] * small.W_hh)
    builders.same_bits(scaled.weights, same)
    narrow = RNN.sample(2, **options, dtype="float32")
    builders.same_bits(narrow.weights, small.astype("float32").weights)
    assert (small.cell, small.n_hidden, small.n_inputs, small.n_outputs) == (cell, 8, 3, 2)


@pytest.mark.parametrize("scheme", INITIALISATIONS)
@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("starts", [{"forget_bias": 1.0}, {"chrono": 50}], ids=str)
def test_where_gates_begin_changes_no_other_number(starts, cell, scheme):
    options = {**SIZES, "cell": cell, "scheme": scheme, "rng": 4}
    plain, other = RNN.sample(3, **options), RNN.sample(3, **options, **starts)
    moved = {CELLS[cell].keeps, CELLS[cell].takes if "chrono" in starts else ""}
    for name in ("W_xh", "W_hh", "W_hy", "b_y"):
        assert_array_equal(getattr(other, name), getattr(plain, name))
    before, after = biases(plain), biases(other)
    for name, bias in before.items():
        assert (bias == after[name]).all() == (name not in moved), name
    if "forget_bias" in starts:
        keeps = CELLS[cell].keeps
        assert_array_equal(after[keeps], before[keeps] + 1.0)


@pytest.mark.parametrize("scheme", ["gaussian", "pytorch"])
@pytest.mark.parametrize("cell", GATED)
def test_chrono_time_scales_are_uniform(cell, scheme):
    T_max = 100
    rnn = RNN.sample(
        40, n_inputs=1, n_hidden=50, n_outputs=1, cell=cell, scheme=scheme, chrono=T_max, rng=5
    )
    found = biases(rnn)
    b = found[CELLS[cell].keeps]
    gate = 1 / (1 + np.exp(-b))
    scales = 1 / (1 - gate)
    assert_allclose(scales, 1 + np.exp(b), rtol=100 * T_max * EPS)  # 1 - gate cancels
    assert 2 <= scales.min() < 2.5
    assert 99.5 < scales.max() <= T_max * (1 + 100 * EPS)
    assert stats.kstest(scales.ravel(), "uniform", (2, T_max - 2)).pvalue > 1e-3
    if cell == "lstm":
        assert_array_equal(found["i"], -b)
    longer = RNN.sample(
        40, n_inputs=1, n_hidden=50, n_outputs=1, cell=cell, scheme=scheme, chrono=199, rng=5
    )
    uniform = (np.exp(b) - 1) / (T_max - 2)
    assert_allclose((np.exp(biases(longer)[CELLS[cell].keeps]) - 1) / 197, uniform, rtol=1e-10)


@pytest.mark.parametrize(
    ("k", "norm"), [(1, 0.96185), (10, 0.76269), (50, 0.38684), (100, 0.19394)]
)
def test_norms_decay_as_the_closed_form(k, norm):
    # Without recurrent weights dh_t/dh_{t-k} is z^k: a norm over units is sqrt(E z^2k), with
    # 1/(1-z) uniform on [2, T_max].
    rnn = RNN.sample(500, n_inputs=1, n_hidden=40, n_outputs=0, cell="gru", chrono=100, rng=0)
    powers = (1 / (1 + np.exp(-biases(rnn)["z"]))) ** (2 * k)
    error = powers.std() / np.sqrt(powers.size)
    assert abs(powers.mean() - norm**2) < 4 * error + 2e-5 * norm


@pytest.mark.parametrize("cell", GATED)
def test_blocks_are_orthogonal_each(cell):
    rnn = RNN.sample(3, **SIZES, cell=cell, scheme="orthogonal", rng=6)
    for block in blocks(rnn, "W_hh").reshape(-1, 8, 8):
        assert_allclose(block @ block.T, np.eye(8), atol=30 * 8 * EPS)  # as LAPACK promises
    first, second = blocks(rnn, "W_hh")[:2]
    assert np.abs(first - second).max() > 0.1
    identity = RNN.sample(**SIZES, cell=cell, scheme="identity", gain=2.0, rng=6)
    for block in blocks(identity, "W_hh")[:, 0]:
        assert_array_equal(block, 2 * np.eye(8))


@pytest.mark.parametrize("cell", GATED)
def test_entries_have_the_documented_spread(cell):
    rnn = RNN.sample(10, n_inputs=9, n_hidden=64, n_outputs=25, cell=cell, rng=7)
    # Relative standard error of a standard deviation: 1/sqrt(2 n).
    for name, spread in (("W_xh", 1 / 3), ("W_hh", 1 / 8), ("W_hy", 1 / 8)):
        array = getattr(rnn, name)
        assert_allclose(array.std(), spread, rtol=4 / np.sqrt(2 * array.size))
    assert not rnn.b_h.any()
    assert not rnn.b_y.any()


@pytest.mark.parametrize("cell", CELLS)
def test_pytorch_draws_everything_from_one_range(cell):
    H = 100
    rnn = RNN.sample(6, n_inputs=20, n_hidden=H, n_outputs=30, cell=cell, scheme="pytorch", rng=8)
    bound = 1 / np.sqrt(H)
    single = {name: getattr(rnn, name) for name in ("W_xh", "W_hh", "W_hy", "b_y")}
    found = biases(rnn)
    if cell == "gru":
        single |= {name: found.pop(name) for name in ("n_x", "n_h")}
    for name, array in single.items():
        scaled = array.ravel() / bound
        assert np.abs(scaled).max() <= 1, name
        assert stats.kstest(scaled, "uniform", (-1, 2)).pvalue > 1e-3, name
    for name, array in found.items():  # sums of two: a triangle on [-2, 2] with variance 2/3
        scaled = array.ravel() / bound
        assert 1 < np.abs(scaled).max() <= 2, name
        assert stats.kstest(scaled, "triang", (0.5, -2, 4)).pvalue > 1e-3, name
    if cell == "gru":
        a, b = single["n_x"].ravel(), single["n_h"].ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(a.size)


@pytest.mark.parametrize("cell", CELLS)
def test_a_function_draws_each_block(cell):
    asked = []

    def scheme(rng, shape):
        asked.append(shape)
        return np.full(shape, len(asked), "float32")

    rnn = RNN.sample(2, **SIZES, cell=cell, scheme=scheme, gain=[1.0, 0.5], rng=9)
    G = rnn.n_gates
    assert asked == [(8, 8)] * (2 * G)
    values = blocks(rnn, "W_hh")[:, :, 0, 0].T
    assert_array_equal(values, [np.arange(1, G + 1), 0.5 * np.arange(G + 1, 2 * G + 1)])
    assert rnn.dtype == np.float64
    gaussian = RNN.sample(**SIZES, cell=cell, rng=9)
    by_hand = RNN.sample(
        **SIZES, cell=cell, scheme=lambda rng, shape: rng.standard_normal(shape) / np.sqrt(8), rng=9
    )
    builders.same_bits(by_hand.weights, gaussian.weights)


@pytest.mark.parametrize("scheme", INITIALISATIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_draw_may_have_no_readout(cell, scheme):
    rnn = RNN.sample(2, **SIZES | {"n_outputs": 0}, cell=cell, scheme=scheme, rng=1)
    assert (rnn.n_outputs, rnn.W_hy.shape, rnn.b_y.shape) == (0, (2, 0, 8), (2, 0))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"cell": "rnn"}, ValueError, "`cell` must be one of 'vanilla', 'lstm', 'gru', got 'rnn'"),
        ({"activation": "relu"}, ValueError, "`activation` is phi of vanilla networks, and an L"),
        ({"cell": "vanilla", "forget_bias": 1.0}, ValueError,
         "`forget_bias` sets the bias of a gate, and a network of cell='vanilla' has none; leave"),
        ({"cell": "vanilla", "chrono": 10}, ValueError, "`chrono` sets the bias of a gate"),
        ({"forget_bias": 1.0, "chrono": 10}, ValueError,
         "`forget_bias` and `chrono` set the same bias, got 1 and 10; give one of them"),
        ({"forget_bias": np.inf}, ValueError, "`forget_bias` must be a finite number, got inf"),
        ({"forget_bias": None}, TypeError, "`forget_bias` must be a number, got None"),
        ({"chrono": 2}, ValueError, r"`chrono` must be .* between 2 and inf, got 2\.0"),
        ({"chrono": "long"}, TypeError, "`chrono` must be a number, got 'long'"),
        ({"scheme": "keras"}, ValueError, "`scheme` must be one of 'gaussian', .* 'pytorch', got"),
        ({"scheme": lambda rng: 1}, TypeError,
         r"`scheme` must be a name, or a function that draws one block .* lambda rng, shape: "),
        ({"scheme": int}, TypeError, "`scheme` must be a name, or a function .* got <class 'int'>"),
        ({"scheme": lambda rng, shape: np.eye(7)}, ValueError,
         r"`scheme` must return float32 or float64 of shape \(8, 8\), .* float64 of shape \(7, 7"),
        ({"scheme": lambda rng, shape: np.eye(8, dtype=int)}, ValueError,
         r"`scheme` must return float32 or float64 of shape \(8, 8\), .* got int64 of .*\(8, 8\)"),
        ({"scheme": lambda rng, shape: np.full(shape, np.nan)}, ValueError,
         "`scheme` must return finite numbers, got nan"),
        ({"n_outputs": -1}, ValueError, "`n_outputs` must be at least 0, got -1"),
    ],
)  # fmt: skip
def test_samples_that_make_no_sense(changes, error, message):
    with pytest.raises(error, match=message):
        RNN.sample(**{**SIZES, "cell": "lstm", "rng": 0, **changes})
