"""Networks: what is accepted, what is refused in which words, and the laws of random draws."""

import builders
import numpy as np
import pytest
from builders import ACTIVATIONS
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Weights
from rnnsim.networks.initialisation import SCHEMES
from rnnsim.networks.rnn import originals

SIZES = {"n_inputs": 3, "n_hidden": 8, "n_outputs": 2}


def arrays(N=2, D=3, H=4, V=2, dtype="float64"):
    shapes = {"W_xh": (N, H, D), "W_hh": (N, H, H), "W_hy": (N, V, H), "b_h": (N, H), "b_y": (N, V)}
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def test_weights_come_back_as_given_with_the_network_axis_first():
    given_arrays = arrays()
    rnn = RNN(**given_arrays, activation="relu")
    builders.same_bits(rnn.weights, Weights(**given_arrays))
    for name, array in given_arrays.items():
        assert_array_equal(getattr(rnn, name), array)
    assert (rnn.n_networks, rnn.n_inputs, rnn.n_hidden, rnn.n_outputs) == (2, 3, 4, 2)
    assert (len(rnn), rnn.activation, rnn.dtype) == (2, "relu", np.dtype("float64"))
    assert repr(rnn) == (
        "RNN(n_networks=2, n_inputs=3, n_hidden=4, n_outputs=2, cell='vanilla', activation='relu', "
        "dtype=float64)"
    )


def test_one_network_needs_no_network_axis_and_no_biases():
    given_arrays = {name: array[0] for name, array in arrays().items()}
    rnn = RNN(**given_arrays)
    for name, array in given_arrays.items():
        assert_array_equal(getattr(rnn, name), array[None])
    bare = RNN(given_arrays["W_xh"], given_arrays["W_hh"], given_arrays["W_hy"])
    assert_array_equal(bare.b_h, np.zeros((1, 4)))
    assert_array_equal(bare.b_y, np.zeros((1, 2)))
    assert bare.activation == "tanh"


def test_weights_are_private_and_contiguous():
    given_arrays = arrays()
    given_arrays["W_hh"] = np.asfortranarray(given_arrays["W_hh"])
    given_arrays["W_xh"].flags.writeable = False
    given_arrays["W_hy"] = np.repeat(given_arrays["W_hy"], 2, axis=2)[:, :, ::2]
    rnn = RNN(**given_arrays)
    for array in (*rnn.weights, *rnn[::-1].weights):
        assert array.flags.c_contiguous
    for array in (*originals(rnn), *originals(rnn[::-1])):
        assert array.flags.c_contiguous
        assert array.flags.writeable
    before = rnn.W_hh.copy()
    given_arrays["W_hh"][:] = 0.0
    assert_array_equal(rnn.W_hh, before)


def test_indexing_selects_networks():
    rnn = RNN(**arrays(N=4), activation="linear")
    for index, expected in (
        (0, [0]),
        (-1, [3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2]),
    ):
        part = rnn[index]
        assert part.activation == "linear"
        for a, b in zip(part.weights, rnn.weights, strict=True):
            assert_array_equal(a, b[expected])
    assert len(list(rnn)) == 4
    with pytest.raises(IndexError, match=r"\[4\] is beyond the 4 networks"):
        rnn[4]
    with pytest.raises(IndexError, match=r"selects none of the 4 networks"):
        rnn[4:]


def test_astype_rounds_and_widens():
    rnn = RNN(**arrays(), activation="relu")
    narrow = rnn.astype("float32")
    assert (narrow.dtype, narrow.activation) == (np.dtype("float32"), "relu")
    for a, b in zip(narrow.weights, rnn.weights, strict=True):
        assert_array_equal(a, b.astype("float32"))
    builders.same_bits(narrow.astype("float64").astype("float32").weights, narrow.weights)
    with pytest.raises(TypeError, match=r"`dtype` must be 'float32' or 'float64', got 'int64'"):
        rnn.astype(int)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W_hh": np.zeros((2, 4, 5))}, r"`W_hh` must be \(n_hidden, n_hidden\), got \(4, 5\)"),
        ({"W_hh": np.zeros(4)}, r"`W_hh` must be \(n_networks, .* got shape \(4,\)"),
        ({"W_hh": np.zeros((1, 2, 4, 4))}, r"`W_hh` must be .* got shape \(1, 2, 4, 4\)"),
        ({"W_xh": np.zeros((2, 5, 3))}, r"`W_xh` must be .* = \(2, 4, 3\) .* got \(2, 5, 3\)"),
        ({"W_xh": np.zeros((3, 4, 3))}, r"`W_xh` must be .* = \(2, 4, 3\) .* got \(3, 4, 3\)"),
        ({"W_hy": np.zeros((2, 2, 5))}, r"`W_hy` must be .* = \(2, 2, 4\) .* got \(2, 2, 5\)"),
        ({"b_h": np.zeros((2, 3))}, r"`b_h` must be .* = \(2, 4\) to fit .* got \(2, 3\)"),
        ({"b_h": np.zeros((2, 4, 1))}, r"`b_h` must be .* got shape \(2, 4, 1\)"),
        ({"b_y": np.zeros((2, 3))}, r"`b_y` must be .* = \(2, 2\) to fit .* got \(2, 3\)"),
        ({"W_xh": np.zeros((2, 4, 0))}, r"`W_xh` must have at least one entry.*n_inputs is 0"),
        ({"W_hy": np.zeros((2, 0, 4))}, r"`b_y` must be .* = \(2, 0\) to fit .* got \(2, 2\)"),
        ({"W_hy": None}, r"`b_y` is the bias of a readout: give `W_hy` too, or leave both out"),
        ({"activation": "gelu"}, r"`activation` must be one of 'tanh', .* got 'gelu'"),
        ({"activation": None}, r"`activation` must be one of 'tanh', .* got None"),
    ],
)  # fmt: skip
def test_shapes_that_disagree_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        RNN(**{**arrays(), **changes})


def test_an_ensemble_of_none_is_refused():
    with pytest.raises(ValueError, match=r"must have at least one entry .* n_networks is 0"):
        RNN(**arrays(N=0))
    with pytest.raises(ValueError, match=r"must have at least one entry .* n_hidden is 0"):
        RNN(**arrays(H=0))


@pytest.mark.parametrize("name", ["W_xh", "W_hh", "W_hy", "b_h", "b_y"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_located(name, value):
    given_arrays = arrays()
    place = tuple(size - 1 for size in given_arrays[name].shape)
    given_arrays[name][place] = value
    where = ", ".join(map(str, place))
    with pytest.raises(ValueError, match=rf"`{name}` must be finite, got {value} at \[{where}\]"):
        RNN(**given_arrays)


@pytest.mark.parametrize("kind", ["int64", "complex128", "object", "float16", ">f8", "bool"])
def test_weights_of_other_kinds_are_refused(kind):
    given_arrays = arrays()
    given_arrays["W_hy"] = np.zeros((2, 2, 4), kind)
    with pytest.raises(TypeError, match=r"`W_hy` .* must hold float32 or float64, got"):
        RNN(**given_arrays)


def test_mixed_precision_is_refused():
    given_arrays = arrays()
    given_arrays["b_h"] = given_arrays["b_h"].astype("float32")
    with pytest.raises(
        TypeError, match=r"must share one dtype, got .*W_hh: float64, .*b_h: float32"
    ):
        RNN(**given_arrays)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gain_scales_the_same_draw(scheme):
    one = RNN.sample(3, **SIZES, scheme=scheme, rng=1)
    other = RNN.sample(3, **SIZES, scheme=scheme, gain=[0.5, 0.0, -4.0], rng=1)
    assert_array_equal(other.W_hh, np.array([0.5, 0.0, -4.0])[:, None, None] * one.W_hh)
    assert_array_equal(other.W_xh, one.W_xh)
    assert_array_equal(other.W_hy, one.W_hy)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_larger_ensemble_begins_with_the_smaller_one(scheme, activation):
    small = RNN.sample(2, **SIZES, scheme=scheme, activation=activation, rng=2)
    large = RNN.sample(5, **SIZES, scheme=scheme, activation=activation, rng=2)
    builders.same_bits(large[:2].weights, small.weights)
    again = RNN.sample(2, **SIZES, scheme=scheme, rng=np.random.default_rng(2))
    builders.same_bits(again.weights, small.weights)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_dtype_only_rounds_the_draw(scheme):
    wide = RNN.sample(2, **SIZES, scheme=scheme, gain=0.7, rng=3)
    narrow = RNN.sample(2, **SIZES, scheme=scheme, gain=0.7, dtype="float32", rng=3)
    builders.same_bits(narrow.weights, wide.astype("float32").weights)


def test_sampling_leaves_the_global_state_of_numpy_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    RNN.sample(**SIZES, rng=0)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("scheme", SCHEMES)
def test_entries_have_the_documented_spread(scheme):
    rnn = RNN.sample(20, n_inputs=9, n_hidden=64, n_outputs=25, scheme=scheme, gain=2.0, rng=4)
    H = 64
    # Relative standard error of a standard deviation: 1/sqrt(2 n), for 11520 and 32000 entries.
    assert_allclose(rnn.W_xh.std(), 1 / 3, rtol=4 / np.sqrt(2 * rnn.W_xh.size))
    assert_allclose(rnn.W_hy.std(), 1 / 8, rtol=4 / np.sqrt(2 * rnn.W_hy.size))
    spread = {
        "uniform": 2 / np.sqrt(3 * H),
        "gaussian": 2 / np.sqrt(H),
        "orthogonal": 2 / np.sqrt(H),
    }
    if scheme in spread:
        assert_allclose(rnn.W_hh.std(), spread[scheme], rtol=4 / np.sqrt(2 * rnn.W_hh.size))
        assert abs(rnn.W_hh.mean()) < 4 * spread[scheme] / np.sqrt(rnn.W_hh.size)
    else:
        assert_array_equal(rnn.W_hh, [2 * np.eye(H)] * 20)
    if scheme == "uniform":
        assert np.abs(rnn.W_hh).max() <= 2 / np.sqrt(H)
        assert np.abs(rnn.W_hh).max() > 1.999 / np.sqrt(H)
    assert not rnn.b_h.any()
    assert not rnn.b_y.any()


@given(st.integers(1, 12), st.integers(0, 1000))
def test_orthogonal_draws_are_orthogonal(H, seed):
    W = RNN.sample(n_inputs=1, n_hidden=H, n_outputs=1, scheme="orthogonal", rng=seed).W_hh[0]
    assert_allclose(W @ W.T, np.eye(H), atol=30 * H * np.finfo(float).eps)  # as LAPACK promises


def test_orthogonal_draws_are_haar_distributed():
    # For Haar measure E tr W = 0 and E (tr W)^2 = 1, and both determinants are equally frequent.
    # QR without the correction of signs gives a mean trace away from 0.
    rnn = RNN.sample(2000, n_inputs=1, n_hidden=5, n_outputs=1, scheme="orthogonal", rng=5)
    trace = np.trace(rnn.W_hh, axis1=1, axis2=2)
    assert abs(trace.mean()) < 4 / np.sqrt(2000)
    assert abs((trace**2).mean() - 1) < 4 * np.sqrt(2 / 2000)
    assert abs(np.linalg.det(rnn.W_hh).mean()) < 4 / np.sqrt(2000)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scheme": "xavier"}, ValueError, r"`scheme` must be one of 'gaussian', .* got 'xavier'"),
        ({"activation": "gelu"}, ValueError, r"`activation` must be one of .* got 'gelu'"),
        ({"gain": [1.0, 2.0]}, ValueError, r"`gain` must be .* \(3,\), got shape \(2,\)"),
        ({"gain": [[1.0] * 3]}, ValueError, r"`gain` must be .* \(3,\), got shape \(1, 3\)"),
        ({"gain": "big"}, TypeError, r"`gain` must be a number or .* got 'big'"),
        ({"gain": [1.0, np.nan, 1.0]}, ValueError, r"`gain` must be finite, got nan at \[1\]"),
        ({"gain": np.inf}, ValueError, r"`gain` must be finite, got inf at \[0\]"),
        ({"dtype": "float16"}, TypeError, r"`dtype` must be 'float32' or 'float64', got 'float16'"),
        ({"dtype": "nonsense"}, TypeError, r"`dtype` must be .* got 'nonsense'"),
        ({"n_networks": 0}, ValueError, r"`n_networks` must be at least 1, got 0"),
        ({"n_inputs": 0}, ValueError, r"`n_inputs` must be at least 1, got 0"),
        ({"n_hidden": -1}, ValueError, r"`n_hidden` must be at least 1, got -1"),
        ({"n_outputs": 1.5}, TypeError, r"`n_outputs` must be an integer of at least 0, got 1\.5"),
        ({"rng": None}, TypeError, r"`rng` must be an int seed or .* got None; pass a seed"),
        ({"rng": "0"}, TypeError, r"`rng` must be an integer of at least 0, got '0' \(str\)"),
        ({"rng": -1}, ValueError, r"`rng` must be at least 0, got -1"),
        ({"rng": 0.5}, TypeError, r"`rng` must be an integer of at least 0, got 0\.5"),
    ],
)
def test_samples_that_make_no_sense(changes, error, message):
    with pytest.raises(error, match=message):
        RNN.sample(**{"n_networks": 3, **SIZES, "rng": 0, **changes})


def test_a_gain_beyond_the_range_of_the_dtype_is_refused():
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"`W_hh` must be finite, got"):
        RNN.sample(**SIZES, gain=1e39, dtype="float32", rng=0)
