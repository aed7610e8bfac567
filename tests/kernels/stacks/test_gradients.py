"""Gradients of stacks: complex steps, forward sensitivity, composition at the border, and laws."""

import dataclasses

import numpy as np
import pytest
import reference_stacks
from builders import TOLERANCE
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stack_builders import KINDS, stacked

from rnnsim import (
    RNN,
    Sequences,
    Stack,
    bptt,
    evaluate,
    forward,
    gradient_flow,
    kernels,
    parallel,
    truncated_bptt,
)
from rnnsim.kernels.arithmetic.jit import layer_of
from rnnsim.kernels.stacks.layers import layered, pack_above
from rnnsim.networks.binding import batch_for

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", KINDS)
KEEP = ("inputs", "states", "steps")
NAMES = ("W_xh", "W_hh", "W_hy", "b_h", "b_y")


def whole(result, n=0):
    """States or gradients (T+1, B, L*S) of network n, from fields with an axis of layers."""
    parts = [a[n] for a in (result.states, result.memories) if a is not None]
    _L, T, B, _ = parts[0].shape
    return np.concatenate(parts, axis=-1).transpose(1, 2, 0, 3).reshape(T, B, -1)


def assert_parts(found, parts, tolerance, n=0):
    """All gradients, norms and what is kept, against what each step contributes."""
    for k, (own, layer, steps) in enumerate(
        zip(found.layers, parts.layers, found.steps, strict=True)
    ):
        for name in NAMES:
            of_steps, given = getattr(layer, name), getattr(own, name)
            norms = np.array([np.linalg.norm(step) for step in of_steps])
            bound = tolerance * norms.sum()
            assert given[n].shape == of_steps.shape[1:], (k, name)
            assert np.linalg.norm(given[n] - of_steps.sum(0)) <= bound, (k, name)
            assert np.linalg.norm(getattr(steps, name)[n] - of_steps) <= bound, (k, name)
            if name in ("W_xh", "W_hh"):
                kept = getattr(found.step_norms, name)[n, k]
                assert np.linalg.norm(kept - norms) <= bound, (k, name)
    of_readout = np.array([np.linalg.norm(step) for step in parts.layers[-1].W_hy])
    assert np.linalg.norm(found.step_norms.W_hy[n] - of_readout) <= tolerance * of_readout.sum()
    size = sum(np.linalg.norm(a) for a in parts.by_paths)
    assert np.linalg.norm(whole(found, n) - parts.by_paths) <= tolerance * size
    L, S = len(parts.layers), parts.by_paths.shape[-1] // len(parts.layers)
    by_layer = parts.by_paths.reshape(*parts.by_paths.shape[:-1], L, S)
    norms = np.sqrt((by_layer**2).sum(axis=(1, 3))).T
    assert np.linalg.norm(found.state_norms[n] - norms) <= tolerance * size
    assert np.linalg.norm(found.inputs[n] - parts.x) <= tolerance * np.linalg.norm(parts.x)
    first = [a[n] for a in (found.h0, found.c0) if a is not None]
    first = np.concatenate(first, axis=-1).transpose(1, 0, 2).reshape(parts.by_paths[0].shape)
    assert np.linalg.norm(first - parts.by_paths[0]) <= tolerance * size


@EACH
@pytest.mark.parametrize("n_layers", [2, 3])
@pytest.mark.parametrize("classes", [True, False])
def test_the_gradient_is_that_of_complex_steps(cell, n_layers, classes):
    made = stacked(cell, n_layers, N=2, classes=classes)
    found = bptt(made.stack, made.sequences, keep=KEEP, **made.start)
    for n in range(2):
        parts = reference_stacks.within(made.temporal(n), 99, 1)
        assert_parts(found, parts, TOLERANCE["float64"], n)
    assert (found.first_nonfinite == -1).all()
    assert_array_equal(evaluate(made.stack, made.sequences, **made.start).loss, found.loss)


@EACH
def test_so_is_every_window_and_stride(cell):
    made = stacked(cell, 2, T=4, D=4, V=1, classes=False)
    parts = made.temporal()
    for window in range(1, 6):
        for stride in range(1, window + 1):
            options = {"window": window, "stride": stride, "keep": KEEP}
            found = truncated_bptt(made.stack, made.sequences, **options, **made.start)
            within = reference_stacks.within(parts, window, stride)
            assert_parts(found, within, TOLERANCE["float64"])


@given(
    cell=st.sampled_from(KINDS),
    n_layers=st.integers(2, 4),
    seed=st.integers(0, 2**16),
    T=st.integers(1, 4),
    B=st.integers(1, 3),
    D=st.integers(1, 4),
    H=st.integers(1, 3),
    V=st.integers(1, 4),
    silent=st.sampled_from([0.0, 0.9]),
    truncation=st.sampled_from([(1, 1), (2, 1), (3, 2), (9, 4)]),
)
def test_so_they_are_at_all_sizes(cell, n_layers, truncation, **sizes):
    made = stacked(cell, n_layers, **sizes)
    window, stride = truncation
    options = {"window": window, "stride": stride, "keep": KEEP}
    found = truncated_bptt(made.stack, made.sequences, **options, **made.start)
    within = reference_stacks.within(made.temporal(), window, stride)
    assert_parts(found, within, 4 * TOLERANCE["float64"])


@EACH
def test_forward_sensitivity_agrees(cell):
    made = stacked(cell, 3, T=4, H=2)
    found = bptt(made.stack, made.sequences, **made.start)
    for own, plain in zip(found.layers, reference_stacks.rtrl(*made.plain()), strict=True):
        for name in NAMES:
            assert_allclose(getattr(own, name)[0], getattr(plain, name), rtol=1e-11, atol=1e-13)


@EACH
def test_so_does_the_composition_of_layers_at_the_border(cell):
    """Of full gradients: what a layer gives back to its inputs is the loss of the one below."""
    made = stacked(cell, 2, N=2, own=True)
    below, top = made.stack.layers
    start = [{name: a[:, k] for name, a in made.start.items()} for k in range(2)]
    inputs = forward(below, made.sequences.inputs, **start[0]).states[:, 1:]
    s = made.sequences
    upper = bptt(top, Sequences(inputs, s.targets, s.weights), keep=["inputs"], **start[1])
    lower = bptt(below, Sequences.from_gradients(s.inputs, dL_dh=upper.inputs), **start[0])
    found = bptt(made.stack, s, **made.start)
    for own, one in zip(found.layers, (lower, upper), strict=True):
        for a, b in zip(own, one.weights, strict=True):
            assert_allclose(a, b, rtol=1e-11, atol=1e-14)
    assert_allclose(found.h0[:, 0], lower.h0, rtol=1e-11, atol=1e-14)


@EACH
def test_forward_runs_layer_by_layer(cell):
    made = stacked(cell, 3, N=2)
    found = forward(made.stack, made.sequences.inputs, **made.start)
    assert len(found.layers) == 3
    assert found.layers[-1].states is found.states
    for n in range(2):
        states = reference_stacks.unfold(made.nets(n), made.sequences.inputs, made.state, cell)
        layers = [
            np.concatenate([a[n] for a in (own.states, own.memories) if a is not None], axis=-1)
            for own in found.layers
        ]
        assert_allclose(np.concatenate(layers, axis=-1), states, rtol=1e-13, atol=1e-14)
    more = forward(made.stack, made.sequences.inputs, h0=found.final_h, c0=found.final_c)
    assert found.final_h.shape == (2, 3, 2, 3)
    assert more.states.shape == found.states.shape
    both = np.concatenate([made.sequences.inputs] * 2)
    assert_array_equal(forward(made.stack, both, **made.start).outputs[:, 5:], more.outputs)


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stack_of_one_layer_gives_the_bits_of_its_network(cell, dtype):
    made = stacked(cell, 1, N=2, D=3, dtype=dtype)
    (rnn,), start = made.stack.layers, {name: a[0] for name, a in made.start.items()}
    pairs = [(bptt, {}), (bptt, {"state_memory": 1.0}), (truncated_bptt, {"window": 3})]
    for function, options in pairs:
        one = function(rnn, made.sequences, keep=KEEP, **options, **start)
        found = function(made.stack, made.sequences, keep=KEEP, **options, **made.start)
        for a, b in zip(found.weights, one.weights, strict=True):
            assert_array_equal(a, b)
        assert_array_equal(found.h0[:, 0], one.h0)
        assert_array_equal(found.inputs, one.inputs)
        assert_array_equal(found.loss, one.loss)
    found = forward(made.stack, made.sequences.inputs, **made.start)
    assert_array_equal(found.outputs, forward(rnn, made.sequences.inputs, **start).outputs)


@EACH
def test_memory_threads_and_pieces_change_no_bit(cell, monkeypatch):
    made = stacked(cell, 2, N=3, T=40, B=1, own=True)
    s = made.sequences
    found = bptt(made.stack, s, **made.start)
    cut = truncated_bptt(made.stack, s, window=7, stride=3, **made.start)

    def same(one, other):
        fields = (f.name for f in dataclasses.fields(one) if f.name not in ("layers", "step_norms"))
        pairs = [(getattr(one, name), getattr(other, name)) for name in fields]
        pairs += [
            pair
            for a, b in zip(one.layers, other.layers, strict=True)
            for pair in zip(a, b, strict=True)
        ]
        pairs += zip(one.step_norms, other.step_norms, strict=True)
        for a, b in pairs:
            assert (a is None and b is None) or np.array_equal(a, b)

    same(bptt(made.stack, s, state_memory=1.0, **made.start), found)
    same(bptt(made.stack, s, n_threads=1, **made.start), found)
    monkeypatch.setattr(parallel, "FLOPS_PER_CALL", 5e4)
    same(bptt(made.stack, s, **made.start), found)
    same(truncated_bptt(made.stack, s, window=7, stride=3, **made.start), cut)


def test_a_network_that_leaves_the_range_harms_no_neighbour():
    made = stacked("relu", 2, N=3, T=30, B=2)
    wild = [
        layer.with_weights(
            layer.weights._replace(W_hh=np.array([1, 1e200, 1])[:, None, None] * np.abs(layer.W_hh))
        )
        for layer in made.stack.layers
    ]
    stack = Stack(wild)
    with np.errstate(all="ignore"):
        found = bptt(stack, made.sequences, **made.start)
        assert found.first_nonfinite[1] > 0
        first = evaluate(stack, made.sequences, **made.start).first_nonfinite
        assert first[1] > 0
        assert (first[[0, 2]] == -1).all()
        for n in (0, 2):
            alone = bptt(stack[n], made.sequences, **made.start)
            assert alone.first_nonfinite[0] == found.first_nonfinite[n] == -1
            for own, one in zip(found.layers, alone.layers, strict=True):
                assert all(np.array_equal(a[n], b[0]) for a, b in zip(own, one, strict=True))


def test_where_a_lower_layer_leaves_the_range_it_is_said():
    """Its infinite states may be finite again above: relu of minus infinity is 0."""
    below = RNN([[1.0]], [[1e200]], activation="relu")
    top = RNN([[-1.0]], [[0.0]], [[1.0]], activation="relu")
    s = Sequences(np.ones((6, 1, 1)), np.zeros((6, 1, 1)))
    found = bptt(Stack([below, top]), s)
    assert found.first_nonfinite[0] == evaluate(Stack([below, top]), s).first_nonfinite[0] == 3


def test_weights_of_several_layers_are_in_layers():
    made = stacked("tanh", 2)
    found = bptt(made.stack, made.sequences)
    with pytest.raises(AttributeError, match=r"stack of 2 layers.*`layers`"):
        _ = found.W_hh
    assert [own.W_xh.shape for own in found.layers] == [(1, 3, 2), (1, 3, 3)]
    assert [own.W_hy.shape for own in found.layers] == [(1, 0, 3), (1, 2, 3)]
    assert found.h0.shape == (1, 2, 2, 3)
    assert found.step_norms.gates.shape == (1, 2, 5, 1)


@EACH
def test_losses_of_ones_own_arrive_at_the_top(cell):
    """dL/dy, dL/dh_t and, of LSTMs, dL/dc_T of the top layer."""
    made = stacked(cell, 2, T=4)
    rng = np.random.default_rng(3)
    given = {"dL_dy": rng.normal(size=(4, 2, 2)), "dL_dh": rng.normal(size=(4, 2, 3))}
    if cell == "lstm":
        given["dL_dc_final"] = rng.normal(size=(2, 3))
    nets, x, _, _, state, _ = made.plain()

    def loss_of_step(t, h, c, y):
        found = np.sum(given["dL_dy"][t - 1] * y) + np.sum(given["dL_dh"][t - 1] * h)
        return found + (np.sum(given["dL_dc_final"] * c) if cell == "lstm" and t == 4 else 0.0)

    parts = reference_stacks.temporal(nets, x, state, cell, loss_of_step)
    data = Sequences.from_gradients(x, **given)
    found = bptt(made.stack, data, keep=KEEP, **made.start)
    assert_parts(found, reference_stacks.within(parts, 99, 1), TOLERANCE["float64"])
    found = truncated_bptt(made.stack, data, window=3, stride=2, keep=KEEP, **made.start)
    assert_parts(found, reference_stacks.within(parts, 3, 2), TOLERANCE["float64"])
    assert np.isnan(found.loss).all()


def test_scratch_of_a_layer_ends_where_its_states_do():
    """Inputs wider than states: the layer above has columns that nobody reads, and none is packed.

    The scratch lies within a larger array, of which nothing else may change.
    """
    made = stacked("tanh", 2, D=40, H=3)
    layers = [kernels.Weights(*map(np.array, each.weights)) for each in made.stack.layers]
    batch = batch_for(made.stack, made.sequences, None, None)
    own = layer_of(kernels.stack_backward_work(layers, batch, 1), 0)
    size = own.backward.size
    around = np.full(3 * size, 7.0)
    inside = around[:size].reshape(own.backward.shape)
    inside[:] = 0.0
    W_xh = layered(layers).W_xh[1, 0]
    assert W_xh.shape == (3, 40)
    pack_above(W_xh, own._replace(backward=inside))
    assert (around[size:] == 7.0).all()
    assert np.count_nonzero(inside) == 9  # W_xh (H, H) of the layer above
    full = bptt(made.stack, made.sequences)
    flow = gradient_flow(made.stack, made.sequences)
    for layer, gradient in zip(flow.layers, full.layers, strict=True):
        assert_allclose(np.exp(layer.full_log_norm), np.linalg.norm(gradient.W_hh), rtol=1e-10)
