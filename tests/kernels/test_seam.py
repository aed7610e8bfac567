"""Every cell of the table through every algorithm: complex steps and laws."""

import numpy as np
import pytest
import reference
from builders import DTYPES, TOLERANCE, network_of, same_bits
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import CELLS, step_derivatives

from rnnsim import kernels
from rnnsim.gradients import team
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.cells.seam import advance, along_memories, jacobian, lasting, sizes
from rnnsim.kernels.dynamics import trajectories
from rnnsim.kernels.gradients.steps import step_work

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("name", CELLS)
T, B, D, H, V = 7, 2, 2, 3, 2


def problem(name, dtype="float64", seed=0, B=B):
    """Weights of one network and a batch, as the kernels take them."""
    rng, rows = np.random.default_rng([seed, len(name)]), CELLS[name].gates * H
    A, S = CELLS[name].biases * H, state_size(name)
    shapes = ((1, rows, D), (1, rows, H), (1, V, H), (1, A), (1, V))
    weights = kernels.Weights(*(rng.normal(size=s, scale=0.7).astype(dtype) for s in shapes))
    loss_weights = rng.uniform(0.5, 1.5, (1, T, B)) * (rng.random((1, T, B)) > 0.3)
    loss_weights[0, -1] = 1.0
    batch = kernels.Batch(
        rng.normal(size=(1, T, B, D)).astype(dtype),
        rng.integers(0, V, (1, T, B)),
        np.empty((1, 0, 0, 0), dtype),
        loss_weights.astype(dtype),
        rng.normal(size=(1, B, S), scale=0.5).astype(dtype),
        kernels.CROSS_ENTROPY,
    )
    return weights, batch


def longer(batch, times):
    """The same steps so many times."""
    names = ("inputs", "classes", "loss_weights")
    arrays = {name: getattr(batch, name) for name in names}
    return batch._replace(**{k: np.concatenate([a] * times, axis=1) for k, a in arrays.items()})


def forward(name, weights, batch, cell=None):
    """Whole states (N, T+1, B, S) and outputs (N, T, B, V)."""
    cell = CELLS[name].code if cell is None else cell
    (n_steps, B), like = batch.inputs.shape[1:3], weights.W_hh
    block = kernels.block_steps(n_steps, B, H, like.itemsize)
    work = kernels.forward_work(weights, n_steps, B, block, cell)
    states = np.empty((1, n_steps + 1, B, state_size(name)), like.dtype)
    outputs = np.empty((1, n_steps, B, V), like.dtype)
    kernels.forward(weights, batch.inputs, batch.h0, cell, 0, 1, work, states, outputs)
    return states, outputs


def bptt(name, weights, batch, stored=T):
    cell, out = CELLS[name].code, kernels.gradient_arrays(weights, batch)
    work = kernels.backward_work(weights, batch, stored, cell)
    kernels.bptt(weights, batch, cell, 0, len(weights.W_hh), work, out)
    return out


def truncated(name, weights, batch, window, stride):
    cell, out = CELLS[name].code, kernels.gradient_arrays(weights, batch)
    work = kernels.truncated_work(weights, batch, stride, cell)
    networks = (0, len(weights.W_hh))
    kernels.truncated_bptt(weights, batch, cell, window, stride, *networks, work, out)
    return out


def flow(name, weights, batch):
    """The gradient flow over all lags, of every sequence."""
    cell, n_steps = CELLS[name].code, batch.inputs.shape[1]
    steps = np.flatnonzero(batch.loss_weights[0].any(axis=1)) + 1
    work = kernels.flow_work(weights, batch, steps.size, 3, cell)
    out = kernels.flow_arrays(weights, batch, steps.size, n_steps, True)
    kernels.gradient_flow(weights, batch, cell, steps, 0, len(weights.W_hh), work, out)
    return out


def plain(weights, batch):
    wide = [np.asarray(a[0], float) for a in weights]
    x, w, h0 = (np.asarray(a[0], float) for a in (batch.inputs, batch.loss_weights, batch.h0))
    return reference.Net(*wide), x, batch.classes[0], w, h0


def by_complex_steps(name, weights, batch, window, stride):
    """Truncated gradients by definition: of a sweep, the weights of steps lowest.. are moved."""
    net, x, classes, w, h0 = plain(weights, batch)
    arrays, eps = [*net, h0], 1e-30
    gradients = [np.zeros(array.shape) for array in arrays]
    for j in range(-(-T // stride)):
        last, lowest = min((j + 1) * stride, T), max((j + 1) * stride - window + 1, 1)
        for k, gradient in enumerate(gradients):
            if k == 5 and lowest > 1:  # h_0 is reached exactly where step 1 is
                continue
            for index in np.ndindex(*gradient.shape):
                moved = [array.astype(complex) for array in arrays]
                moved[k][index] += 1j * eps
                value = swept_loss(name, arrays, moved, x, classes, w, lowest, j * stride, last)
                gradient[index] += value.imag / eps
    return gradients


def swept_loss(name, fixed, moved, x, classes, w, lowest, first, last):
    """The loss of steps first+1..last, with moved weights from step `lowest` on."""
    h, c, total = moved[5][:, :H], moved[5][:, H:], 0.0
    for t in range(1, last + 1):
        net = reference.Net(*(moved if t >= lowest else fixed)[:5])
        h, c = CELLS[name].advance(net, x[t - 1], h, c)
        for b in range(B):
            if t > first and w[t - 1, b]:
                y = net.W_hy @ h[b] + net.b_y
                total = total + w[t - 1, b] * reference.step_loss(y, classes[t - 1, b])
    return total / B


def assert_close(found, expected, dtype):
    scale = sum(np.linalg.norm(array) for array in expected)
    for a, b in zip([*(g[0] for g in found.weights), found.h0[0]], expected, strict=True):
        assert np.linalg.norm(a - b) <= TOLERANCE[dtype] * scale


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_states_and_loss_follow_the_plain_step(name, dtype):
    weights, batch = problem(name, dtype)
    batch = longer(batch, 10)  # more than a block of steps
    net, x, classes, w, h0 = plain(weights, batch)
    states, _ = forward(name, weights, batch)
    expected = reference.unfold(net, x, h0, name)[0]
    # What rounding does to a state it does again at every later step, as much as the network grows.
    assert np.linalg.norm(states[0] - expected) <= TOLERANCE[dtype] * np.linalg.norm(expected)
    cell, size = CELLS[name].code, np.dtype(dtype).itemsize
    block = kernels.block_steps(len(x), B, H, size)
    assert block < len(x)
    work = kernels.forward_work(weights, len(x), B, block, cell)
    loss, correct, first = np.empty(1), np.empty(1, np.int64), np.empty(1, np.int64)
    kernels.evaluate(weights, batch, cell, 0, 1, work, loss, correct, first)
    assert_allclose(loss, reference.loss(net, x, classes, w, h0, name), rtol=TOLERANCE[dtype] * 10)
    assert first[0] == -1


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_those_of_complex_steps(name, dtype):
    weights, batch = problem(name, dtype)
    gradients, h0 = reference.complex_step(*plain(weights, batch), name)
    assert_close(bptt(name, weights, batch), [*gradients, h0], dtype)


@EACH
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 1), (3, 3), (5, 2), (9, 4)])
def test_truncated_gradients_follow_their_definition(name, window, stride):
    weights, batch = problem(name)
    expected = by_complex_steps(name, weights, batch, window, stride)
    assert_close(truncated(name, weights, batch, window, stride), expected, "float64")


@EACH
def test_states_and_memories_from_checkpoints_are_the_same_bits(name):
    weights, batch = problem(name)
    many = longer(batch, 20)
    n_steps = 20 * T
    assert kernels.block_steps(n_steps, B, H, 8) < n_steps // 2  # several stretches
    whole = bptt(name, weights, many, stored=n_steps)
    same_bits(bptt(name, weights, many, stored=1), whole)


@EACH
def test_scratch_holds_nothing_over_from_the_network_before(name):
    weights, batch = problem(name)
    twice = kernels.Weights(*(np.concatenate([array, array]) for array in weights))
    results = bptt(name, twice, batch), truncated(name, twice, batch, 5, 2)
    for result in (*results, flow(name, twice, batch)):
        same_bits(network_of(result, 1), network_of(result, 0))


@EACH
def test_a_team_gives_the_gradient_of_one(name):
    weights, batch = problem(name, B=9)
    batch = longer(batch, 5)
    cell, found = CELLS[name].code, kernels.gradient_arrays(weights, batch)
    team.bptt(weights, batch, cell, 8, 2, np.zeros((0, 0, 0)), found)
    alone = bptt(name, weights, batch, stored=5 * T)
    # Rows of sequences never meet; what is summed over them comes in another order.
    assert_array_equal(found.h0, alone.h0)
    for a, b in zip(found.weights, alone.weights, strict=True):
        assert np.linalg.norm(a - b) <= TOLERANCE["float64"] * np.linalg.norm(b)


@EACH
def test_windows_of_the_flow_are_truncated_gradients(name):
    weights, batch = problem(name)
    out = flow(name, weights, batch)
    for k in range(T):
        window = B * truncated(name, weights, batch, k + 1, 1).weights.W_hh[0]
        assert_allclose(out.hidden_log_norm[0, k], np.log(np.linalg.norm(window)), atol=1e-10)
    full = B * bptt(name, weights, batch).weights.W_hh[0]
    assert_allclose(out.hidden_full[0], np.log(np.linalg.norm(full)), atol=1e-10)


@EACH
def test_norms_of_the_flow_are_of_the_whole_state(name):
    weights, batch = problem(name)
    net, x, classes, w, h0 = plain(weights, batch)
    out, J, S = flow(name, weights, batch), jacobians(name), state_size(name)
    states = reference.unfold(net, x, h0, name)[0][:, :, :H]
    dy = reference.output_gradient(net, states, classes, w)
    steps = np.flatnonzero(w.any(axis=1)) + 1
    for i, last in enumerate(steps):
        row = np.concatenate([dy[last - 1] @ net.W_hy, np.zeros((B, S - H))], axis=1)
        for k in range(last):
            with np.errstate(divide="ignore"):
                expected = np.log(np.linalg.norm(row, axis=1))
            assert_allclose(out.per_sequence[0, i, k], expected, atol=1e-10)
            row = np.einsum("bi,bij->bj", row, J[last - k - 1])


def test_memories_that_grow_beyond_what_is_kept_in_float32():
    """One unit at rest, all gates open: dc_t/dc_{t-1} = f + i o w = 1 + w, here 4."""
    n_steps, w = 60, 3.0
    W_hh, b_h = np.zeros((1, 4, 1), np.float32), np.full((1, 4), 40.0, np.float32)
    W_hh[0, 2], b_h[0, 2] = w, 0.0
    weights = kernels.Weights(
        np.zeros((1, 4, 1), np.float32), W_hh, np.ones((1, 1, 1), np.float32), b_h,
        np.zeros((1, 1), np.float32),
    )  # fmt: skip
    last = np.zeros((1, n_steps, 1), np.float32)
    last[0, -1] = 1.0
    batch = kernels.Batch(
        np.zeros((1, n_steps, 1, 1), np.float32), np.empty((1, 0, 0), np.int64),
        np.ones((1, n_steps, 1, 1), np.float32), last, np.zeros((1, 1, 2), np.float32),
        kernels.INNER_PRODUCT,
    )  # fmt: skip
    out = flow("lstm", weights, batch)
    # The loss is h_T, and all of its gradient is that of the bias of g: sum_k (1 + w)^k.
    sums = np.log(((1 + w) ** np.arange(1, n_steps + 1) - 1) / w)
    assert_allclose(out.recurrent_log_norm[0], sums, rtol=1e-5)
    assert_allclose(out.recurrent_full[0], sums[-1], rtol=1e-5)


@kernel
def step(cell, pre, before, state, kept, t, first, H):
    """A step by itself, for Python."""
    advance(cell, pre, before, state, kept, t, first, H)


@EACH
def test_a_step_of_some_sequences_leaves_the_others_alone(name):
    rng, width = np.random.default_rng(0), 8
    for cell in (CELLS[name].code, lasting(CELLS[name].code)):
        pre = rng.normal(size=(3, CELLS[name].biases * width))
        before, kept = rng.normal(size=(3, width)), np.zeros((2, 3, sizes(cell)[2] * width))
        kept[0] = rng.normal(size=kept[0].shape)
        parts, state, part = kept.copy(), np.empty((3, width)), np.empty((1, width))
        singly = pre.copy()  # a step may work in its pre-activations
        step(cell, pre, before, state, kept, 1, 0, width)
        for b in (2, 0, 1):
            step(cell, singly[b : b + 1], before, part, parts, 1, b, width)
            assert_array_equal(part[0], state[b])
        assert_array_equal(parts, kept)


def trajectory(name):
    """Weights, states (1, T+1, B, H) and what the steps keep."""
    weights, batch = problem(name)
    cell, (net, x, _, _, h0) = CELLS[name].code, plain(weights, batch)
    states = reference.unfold(net, x, h0, name)[0][None]
    kept = trajectories.kept_arrays(1, T, B, H, states, cell)
    work = step_work(CELLS[name].biases * H, H, D, B, 1, states, trajectories.lasting(cell))
    trajectories.retrace(weights, batch.inputs, states, cell, 0, work, kept)
    return weights, batch, states, kept


def state_size(name):
    return (1 + CELLS[name].memories) * H


def jacobians(name):
    """The Jacobian of every step (T, B, S, S)."""
    weights, _, _, kept = trajectory(name)
    S = state_size(name)
    out = np.empty((1, T, B, S, S))
    trajectories.step_jacobians(weights, kept, CELLS[name].code, 0, np.zeros((S + 1, S)), out)
    return out[0]


@EACH
def test_jacobians_of_the_whole_state_are_those_of_complex_steps(name):
    weights, batch = problem(name)
    net, x, _, _, h0 = plain(weights, batch)
    found, S, eps, step = jacobians(name), state_size(name), 1e-30, CELLS[name].advance
    state = h0
    for t in range(T):
        for j in range(S):
            moved = state.astype(complex)
            moved[:, j] += 1j * eps
            column = np.concatenate(step(net, x[t], moved[:, :H], moved[:, H:]), axis=1)
            assert_allclose(found[t, :, :, j], column.imag / eps, rtol=1e-11, atol=1e-14)
        state = column.real


@EACH
def test_gradients_taken_back_are_products_of_jacobians(name):
    weights, _, states, kept = trajectory(name)
    J, S, cell = jacobians(name), state_size(name), CELLS[name].code
    net, x, *_ = plain(weights, problem(name)[1])
    of_pre = step_derivatives(net, x, states[0], name)[1][..., : len(net.W_xh)]  # input's blocks
    steps, start = np.array([4, T]), np.random.default_rng(0).normal(size=(2, B, S))
    work = trajectories.row_work(weights, 2, B, cell)
    norms, arriving = np.full((2, B, T + 1), np.nan), np.full((2, B, T), np.nan)
    for _ in range(2):  # the second time in scratch that has been used
        trajectories.set_rows(weights, 0, start, np.zeros((2, B), np.int64), work)
        trajectories.take_back(cell, states[0], kept[0], steps, T, 0, work, norms, arriving)
    for i, last in enumerate(steps):
        assert np.isnan(norms[i, :, last + 1 :]).all()
        row = start[i]
        for t in range(last, -1, -1):
            with np.errstate(divide="ignore"):
                expected = np.log(np.linalg.norm(row, axis=1))
            assert_allclose(norms[i, :, t], expected, atol=1e-11)
            if t > 0:
                of_input = np.einsum("bi,bia->ba", row, of_pre[t - 1]) @ net.W_xh
                with np.errstate(divide="ignore"):
                    expected = np.log(np.linalg.norm(of_input, axis=1))
                assert_allclose(arriving[i, :, t - 1], expected, atol=1e-11)
                row = np.einsum("bi,bij->bj", row, J[t - 1])


def test_the_path_through_memories_alone_leaves_out_all_others():
    _, _, _, kept = trajectory("lstm")
    J, cell, rng = jacobians("lstm"), CELLS["lstm"].code, np.random.default_rng(0)
    width, first = kept.shape[3] // sizes(cell)[2], 1  # of two sequences the second
    path, entering = rng.normal(size=(1, width)), rng.normal(size=(1, width))
    for t in (T, 2):
        forget, by_h = np.diag(J[t - 1, first, H:, H:]), np.diag(J[t - 1, first, :H, H:])
        expected = path[0, :H] * forget
        along_memories(cell, np.empty((0, 0)), path, kept[0], t, first, H)
        assert_allclose(path[0, :H], expected, rtol=1e-14)
        expected = path[0, :H] * forget + entering[0, :H] * by_h
        along_memories(cell, entering, path, kept[0], t, first, H)
        assert_allclose(path[0, :H], expected, rtol=1e-13)


@pytest.mark.parametrize(("closed", "expected"), [([0, 1], 4), ([1], 5)])
def test_ranks_leave_out_what_is_exactly_zero(closed, expected):
    """Nothing feeds c but in the second unit, nothing reaches o of the third."""
    width, scratch = 8, np.full((2 * H + 1, 2 * H), np.nan)
    W_hh, pre = np.zeros((4, H, H)), np.full((1, 4, width), 0.3)
    W_hh[2, 1, 0] = W_hh[3, 0] = W_hh[3, 1, 1] = 1.0  # of g and o
    pre[0, 1, closed] = -800.0  # f is 0
    steps, kept = 2, np.zeros((3, 1, 7 * width))
    pre = np.ascontiguousarray(pre[:, :, :H].reshape(1, 4 * H))
    cell, state = CELLS["lstm"].code, np.empty((1, width))
    step(cell, pre, np.zeros((1, width)), state, kept, steps, 0, H)
    matrix, scales, rank = jacobian(cell, W_hh.reshape(4 * H, H), kept, steps, 0, scratch)
    assert rank == np.linalg.matrix_rank(matrix) == expected
    assert_array_equal(scales, 1)
    assert_array_equal(matrix[H:, H:], np.diag(kept[steps, 0, width : width + H]))
    assert_array_equal(np.flatnonzero(np.diag(matrix[H:, H:]) == 0), closed)


@EACH
def test_exponents_add_up_to_the_log_determinants(name):
    if name == "relu":
        pytest.skip("units at rest have determinant 0")
    weights, batch = problem(name)
    S, cell = state_size(name), CELLS[name].code
    out = kernels.lyapunov_arrays(1, B, 1, S)
    work = kernels.lyapunov_work(H, D, S, weights.W_hh, cell)
    vectors = np.random.default_rng(0).normal(size=(S, S))
    ends = np.array([0, T])
    kernels.lyapunov_sums(weights, batch.inputs, batch.h0, cell, vectors, ends, 1, 0, 1, work, out)
    expected = np.log(np.abs(np.linalg.det(jacobians(name)))).sum(axis=0)
    assert_allclose(out.block_sums[0, :, 0].sum(axis=1), expected, rtol=1e-9)


@EACH
def test_arrays_may_be_read_only(name):
    weights, batch = problem(name)
    expected = bptt(name, weights, batch)
    for array in (*weights, *batch[:5]):
        array.setflags(write=False)
    same_bits(bptt(name, weights, batch), expected)


def test_an_unknown_cell_is_named():
    class Unknown(tuple):
        __slots__ = ()

    with pytest.raises(TypeError, match=r"`sizes` knows the cells .*int, .*got Unknown"):
        sizes(Unknown())
    with pytest.raises(TypeError, match=r"`jacobian` knows the cells .*Sloped, .*got int"):
        jacobian(kernels.TANH, None, None, 0, 0, None)
