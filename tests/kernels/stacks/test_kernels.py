"""Kernels of stacks as people call them themselves, and what `check` refuses."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stack_builders import stacked

from rnnsim import Sequences, bptt, gradient_flow, kernels, lyapunov_spectrum, truncated_bptt
from rnnsim.networks.binding import batch_for
from rnnsim.networks.states import cell_of

pytestmark = pytest.mark.nojit


@pytest.fixture(scope="module", params=["tanh", "lstm"])
def made(request):
    return stacked(request.param, 2, N=3, T=30, B=2, own=True, silent=0.0)


@pytest.fixture(scope="module")
def given(made):
    """(layers, weights, batch, cell) as kernels take them."""
    layers = [kernels.Weights(*map(np.array, rnn.weights)) for rnn in made.stack.layers]
    start = made.start
    batch = batch_for(made.stack, made.sequences, start["h0"], start.get("c0"))
    return layers, kernels.layered(layers), batch, cell_of(made.stack)


def test_gradients(made, given):
    layers, weights, batch, cell = given
    work = kernels.stack_backward_work(layers, batch, 30, cell)
    out = kernels.stack_gradient_arrays(layers, batch)
    kernels.check(layers, batch, work, out, cell=cell)
    kernels.stack_bptt(weights, batch, cell, 0, 3, work, out)
    found = bptt(made.stack, made.sequences, **made.start)
    assert_array_equal(out.weights.W_hh[0], found.layers[0].W_hh)
    assert_array_equal(out.weights.W_xh[0, :, :, :2], found.layers[0].W_xh)
    assert_array_equal(out.loss[-1], found.loss)
    work = kernels.stack_truncated_work(layers, batch, 2, cell)
    kernels.check(layers, batch, work, cell=cell)
    kernels.stack_truncated_bptt(weights, batch, cell, 3, 2, 0, 3, work, out)
    found = truncated_bptt(made.stack, made.sequences, window=3, stride=2, **made.start)
    assert_array_equal(out.weights.W_xh[1], found.layers[1].W_xh)
    assert_array_equal(out.weights.W_hy[1], found.layers[1].W_hy)


def test_flow(made, given):
    layers, weights, batch, cell = given
    steps = np.arange(1, 31)
    work = kernels.stack_flow_work(layers, batch, 30, 8, cell)
    out = kernels.stack_flow_arrays(layers, batch, 30, 30, True)
    kernels.check(layers, batch, work, out, cell=cell)
    kernels.stack_gradient_flow(weights, batch, cell, steps, 0, 3, work, out)
    found = gradient_flow(made.stack, made.sequences, **made.start)
    assert_array_equal(out.whole.log_norms, found.log_norms)
    assert_array_equal(out.layers.hidden_cosine[0], found.layers[0].window_cosine)


def test_exponents(made, given):
    layers, weights, batch, cell = given
    S = batch.h0.shape[2] // 2
    rng = np.random.default_rng(0)
    vectors = np.ascontiguousarray(rng.standard_normal((S, S)).T)
    work = kernels.stack_lyapunov_work(layers, S, cell)
    out = kernels.stack_lyapunov_arrays(2, 3, 2, 25, S)
    kernels.check(layers, batch, work, out, cell=cell)
    ends = np.arange(5, 31)
    inputs, h0 = batch.inputs, batch.h0
    kernels.stack_lyapunov_sums(weights, inputs, h0, cell, vectors, ends, 1, 0, 3, work, out)
    found = lyapunov_spectrum(
        made.stack, made.sequences.inputs, burn_in=5, block_steps=1, **made.start
    )
    for layer, sums in zip(found.layers, out.block_sums, strict=True):
        assert_array_equal(np.sort(sums.mean(axis=2)), np.sort(layer.per_sequence))


def test_check_refuses_what_makes_no_stack(given):
    layers, _, batch, cell = given
    low, top = layers
    whole = kernels.stack_gradient_arrays(layers, batch)
    cases = [
        ([], ValueError, "must hold one kernels.Weights at least"),
        ([low, "top"], TypeError, r"`weights\[1\]` must be a kernels.Weights, got str"),
        ([low, low], ValueError, r"`weights\[1\].W_xh` must read the H = 3 states"),
        ([top, top], ValueError, r"`weights\[0\].W_hy` and `.b_y` must be empty below the top"),
        (
            [low, kernels.Weights(*(a[:2] for a in top))],
            ValueError,
            r"`weights\[1\]` must have N = 3",
        ),
        (
            [low, kernels.Weights(*(a.astype("float32") for a in top))],
            TypeError,
            r"`weights\[1\]` must hold float64 as the lowest layer, got float32",
        ),
    ]
    for weights, error, message in cases:
        with pytest.raises(error, match=message):
            kernels.check(weights, batch, cell=cell)
    with pytest.raises(ValueError, match=r"`batch.h0` must be \(1 or N, B, S\)"):
        kernels.check(layers, batch._replace(h0=batch.h0[:, :, :2].copy()), cell=cell)
    wrong = whole._replace(loss=np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"`GradientArrays\.loss` must be of shape"):
        kernels.check(layers, batch, wrong, cell=cell)


def test_losses_of_ones_own_reach_a_stack_of_kernels():
    """Rows of W_hy beyond those of b_y read the top's state out."""
    made = stacked("gru", 2, T=4)
    gradients = np.random.default_rng(1).normal(size=(4, 2, 3))
    data = Sequences.from_gradients(made.sequences.inputs, dL_dh=gradients)
    found = bptt(made.stack, data, **made.start)
    assert [layer.W_hy.shape[1] for layer in found.layers] == [0, 2]
    assert not found.layers[1].W_hy.any()
