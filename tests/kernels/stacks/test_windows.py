"""Windows over batches of stacks: explicit gradients of all layers, flows, and laws."""

import numpy as np
import pytest
from builders import draws, same_bits
from numpy.testing import assert_allclose, assert_array_equal
from stack_builders import KINDS, stacked

from rnnsim import Sequences, Stack, gradient_flow, truncated_bptt, window_bias_variance

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", KINDS)


def stack(cell, n_layers=2, N=2, dtype="float64"):
    return stacked(cell, n_layers, N=N, T=7, D=2, V=3, dtype=dtype).stack


def batches(M, dtype="float64", seed=1):
    rng = np.random.default_rng(seed)
    return [draws(rng).astype(dtype) for _ in range(M)]


def explicit(stack, found, of="recurrent"):
    """g_K of every batch and window, all layers as one vector, (N, T, M, Q)."""
    names = ("W_hh", "W_xh", "b_h") if of == "recurrent" else (of,)
    windows = []
    for K in range(1, found[0].n_steps + 1):
        each = [truncated_bptt(stack, batch, window=K, stride=1).layers for batch in found]
        rows = [
            np.concatenate(
                [getattr(g, name).reshape(len(stack), -1) for g in layers for name in names], axis=1
            )
            for layers in each
        ]
        windows.append(rows)
    return np.array(windows, float).transpose(2, 0, 1, 3)


def squares(x):
    return (x * x).sum(axis=-1)


@EACH
@pytest.mark.parametrize(
    ("n_layers", "of"), [(2, "recurrent"), (2, "W_hh"), (2, "W_xh"), (3, "recurrent")]
)
def test_bias_and_variance_are_those_of_explicit_gradients(cell, n_layers, of):
    given, drawn = stack(cell, n_layers), iter(data := batches(3))
    found = window_bias_variance(given, lambda rng: next(drawn), 3, of=of)
    g = explicit(given, data, of)
    mean = g.mean(axis=2)
    unit = squares(mean[:, -1])[:, None]
    close = {"rtol": 1e-9, "atol": 1e-13}
    assert_allclose(found.bias2, squares(mean - mean[:, -1:]) / unit, **close)
    assert_allclose(found.variance, squares(g - mean[:, :, None]).mean(axis=2) / unit, **close)
    assert_allclose(found.log_norm, 0.5 * np.log(unit[:, 0]), **close)
    assert_array_equal(found.bias2[:, -1], 0)
    assert (found.first_nonfinite == -1).all()
    assert (found.floor < 1e-20).all()


@EACH
def test_they_are_those_of_gradient_flows_of_all_batches_and_of_each(cell):
    given, drawn = stack(cell), iter(data := batches(3))
    found = window_bias_variance(given, lambda rng: next(drawn), 3)
    pool = Sequences(
        *(np.concatenate([getattr(b, name) for b in data], axis=1)
          for name in ("inputs", "targets", "weights"))
    )  # fmt: skip
    pooled = gradient_flow(given, pool).recurrent
    unit = 2 * pooled.full_log_norm[:, None]
    assert_allclose(found.bias2, np.exp(2 * pooled.log_error), rtol=1e-8)
    each = [gradient_flow(given, batch).recurrent.log_norms for batch in data]
    second = np.mean([np.exp(2 * logs - unit) for logs in each], axis=0)
    assert_allclose(found.variance, second - np.exp(2 * pooled.log_norms - unit), atol=1e-13)
    cut = window_bias_variance(given, pool, 3)  # into the same three
    assert_allclose(cut.bias2, found.bias2, rtol=1e-12, atol=1e-15)
    assert_allclose(cut.variance, found.variance, rtol=1e-12, atol=1e-15)


@EACH
def test_a_stack_of_one_layer_has_the_bits_of_its_network(cell):
    given, data = stack(cell, 1), draws(np.random.default_rng(2), B=6)
    one = window_bias_variance(given.layers[0], data, 3, windows=[1, 3, 7])
    same_bits(window_bias_variance(given, data, 3, windows=[1, 3, 7]), one)


@EACH
def test_threads_and_neighbours_change_no_bit(cell):
    given, data = stack(cell, 2, N=3), draws(np.random.default_rng(2), B=6)
    found = window_bias_variance(given, data, 3, n_threads=1)
    same_bits(window_bias_variance(given, data, 3, n_threads=2), found)
    alone = window_bias_variance(given[1], data, 3)
    assert_array_equal(alone.bias2, found.bias2[1:2])
    assert_array_equal(alone.variance, found.variance[1:2])


def test_the_gradient_of_one_layer_may_lie_beyond_the_range_of_the_other():
    """A lower layer whose gradient is 2^-600 of the upper one's changes nothing that is seen."""
    given, data = stack("lstm", 2), draws(np.random.default_rng(2), B=6)
    below, top = given.layers
    deaf = top.with_weights(top.weights._replace(W_xh=0 * top.W_xh + 2.0**-600))
    zero = top.with_weights(top.weights._replace(W_xh=0 * top.W_xh))
    found = window_bias_variance(Stack([below, deaf]), data, 3)
    expected = window_bias_variance(Stack([below, zero]), data, 3)
    for name in ("bias2", "variance", "log_norm"):
        assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-300)
    g = explicit(Stack([below, zero]), [data])[:, -1, 0]
    assert_allclose(expected.log_norm, 0.5 * np.log(squares(g)), rtol=1e-12)


def test_float32_and_losses_of_ones_own():
    given, data = stack("gru", dtype="float32"), draws(np.random.default_rng(2), B=6)
    single = window_bias_variance(given, data.astype("float32"), 3)
    wide = window_bias_variance(given.astype("float64"), data, 3)
    assert_allclose(single.bias2, wide.bias2, rtol=1e-3, atol=1e-6)
    lstms = stack("lstm")
    rng = np.random.default_rng(0)
    own = Sequences.from_gradients(
        data.inputs, dL_dh=rng.normal(size=(7, 6, 3)), dL_dc_final=rng.normal(size=(6, 3))
    )
    found = window_bias_variance(lstms, own, 1)
    g = explicit(lstms, [own])[:, :, 0]
    unit = squares(g[:, -1:])
    assert_allclose(found.bias2, squares(g - g[:, -1:]) / unit, rtol=1e-9, atol=1e-13)


def test_a_stack_that_leaves_the_range_is_told():
    given = stack("relu", 2, N=2)
    below, top = given.layers
    W_hh = np.array([[[1.0]], [[1e200]]]) * np.abs(below.W_hh)
    wild = Stack([below.with_weights(below.weights._replace(W_hh=W_hh)), top])
    data = draws(np.random.default_rng(2), B=6)
    found = window_bias_variance(wild, data, 3)
    assert found.first_nonfinite[1] > 0
    assert found.first_nonfinite[0] == -1
    alone = window_bias_variance(wild[0], data, 3)
    assert_array_equal(alone.bias2[0], found.bias2[0])
