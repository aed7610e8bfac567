"""Gradients of LSTMs and GRUs: three routes, truncation by its definition, and laws."""

import builders
import numpy as np
import pytest
import reference
from builders import DTYPES, NOJIT, TOLERANCE
from gated import GATED, assert_parts, cases, gated, temporal
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rnnsim import RNN, Sequences, bptt, evaluate, kernels, parallel, truncated_bptt
from rnnsim.gradients import team
from rnnsim.networks.binding import batch_for
from rnnsim.networks.rnn import originals
from rnnsim.networks.states import cell_of

pytestmark = pytest.mark.nojit
BOTH = pytest.mark.parametrize("cell", GATED)
CELLS = pytest.mark.parametrize("cell", [*GATED, "sigmoid"])
ONES = {"T": 1, "B": 1, "D": 1, "H": 1, "V": 1, "silent": 0.0}
GRADIENTS = {
    "bptt": bptt,
    "truncated": lambda *a, **k: truncated_bptt(*a, window=4, stride=2, **k),
}
EACH = pytest.mark.parametrize("gradient", GRADIENTS)


def assert_distances(result, weights, parts, n=0):
    """Gradients against those of another route, normwise relative to the contributions."""
    tolerance = TOLERANCE[result.h0.dtype.name]
    for name, expected, of_steps in zip(weights._fields, weights, parts, strict=False):
        scale = sum(np.linalg.norm(step) for step in of_steps)
        distance = np.linalg.norm(getattr(result, name)[n] - expected)
        assert distance <= tolerance * scale, name


@given(cases(dtype=st.sampled_from(DTYPES)))
@example(gated("lstm", **ONES))
@example(gated("gru", **ONES))
@example(gated("lstm", **ONES, classes=False, dtype="float32"))
@example(gated("gru", **ONES, classes=False, dtype="float32"))
@example(gated("lstm", T=6, B=3, ragged=True, silent=0.0))
@example(gated("gru", T=6, B=3, ragged=True, silent=0.0))
def test_bptt_by_two_other_routes(made):
    result, arguments = bptt(made.rnn, made.sequences, **made.start), made.of(0)
    parts = reference.within(temporal(made), made.sequences.n_steps, 1)
    assert_parts(result, parts)  # one complex step for each step of the network
    gradient, state = reference.complex_step(*arguments)  # one for all, as the loss is defined
    assert_distances(result, gradient, parts)
    assert_distances(result, reference.rtrl(*arguments), parts)
    scale = sum(np.linalg.norm(each) for each in parts.state)
    assert np.linalg.norm(parts.state[0] - state) <= 1e-12 * scale
    loss, tolerance = reference.loss(*arguments), TOLERANCE[made.rnn.dtype.name]
    assert_allclose(result.loss[0], loss, rtol=tolerance, atol=1e-14)
    assert {a.dtype for a in (*result.weights, result.h0)} == {made.rnn.dtype}
    assert_array_equal(result.first_nonfinite, [-1])


@BOTH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("H", [8, 9, 16, 17])  # whole vectors of units, and one more
def test_any_number_of_units(H, dtype, cell):
    made = gated(cell, H=H, T=2, B=2, dtype=dtype, silent=0.0)
    result = bptt(made.rnn, made.sequences, **made.start)
    gradient, state = reference.complex_step(*made.of(0))
    tolerance = TOLERANCE[dtype]
    for name, expected in zip(gradient._fields, gradient, strict=True):
        found, scale = getattr(result, name)[0], np.abs(expected).max()
        assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=name)
    whole = np.concatenate([result.h0[0], *([result.c0[0]] if made.rnn.cell == "lstm" else [])], 1)
    assert_allclose(whole, state, rtol=0, atol=tolerance * np.abs(state).max())


@CELLS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("T", [1, 3, 4] if NOJIT else range(1, 8))
def test_every_window_and_stride_follows_the_definition(T, dtype, cell):
    made = gated(cell, T, T=T, classes=T % 2 == 0, dtype=dtype)
    parts = temporal(made)
    for window in range(1, T + 3):
        for stride in range(1, window + 1):
            result = truncated_bptt(
                made.rnn, made.sequences, window=window, stride=stride, **made.start
            )
            assert_parts(result, reference.within(parts, window, stride))


@given(cases(N=2, own=True), st.integers(1, 8), st.integers(1, 8))
def test_truncation_of_any_shape_follows_the_definition(made, window, stride):
    stride = min(stride, window)
    result = truncated_bptt(made.rnn, made.sequences, window=window, stride=stride, **made.start)
    for n in range(2):
        assert_parts(result, reference.within(temporal(made, n), window, stride), n)


@BOTH
def test_many_blocks_of_steps_give_what_one_would(cell):
    # Kernels treat at most 64 steps at a time: 70 steps are a full block and a ragged one.
    made = gated(cell, 1, T=70, H=1, D=1, V=2)
    parts = temporal(made)
    result = bptt(made.rnn, made.sequences, **made.start)
    assert_parts(result, reference.within(parts, 70, 1))
    result = truncated_bptt(made.rnn, made.sequences, window=20, stride=7, **made.start)
    assert_parts(result, reference.within(parts, 20, 7))


@pytest.mark.parametrize("sizes", [(9, 2, 1, 5, 2), (1, 6, 5, 2, 1), (7, 1, 8, 3, 4)])
@BOTH
def test_wide_and_narrow_networks_and_batches(cell, sizes):
    B, D, H, V, T = sizes
    made = gated(cell, 2, T=T, B=B, D=D, H=H, V=V)
    result = bptt(made.rnn, made.sequences, **made.start)
    assert_parts(result, reference.within(temporal(made), T, 1))


@given(cases(N=2, own=st.booleans()), st.integers(0, 5))
def test_a_window_of_all_steps_is_full_backpropagation(made, more):
    T = made.sequences.n_steps
    full = bptt(made.rnn, made.sequences, **made.start)
    for stride in {1, max(1, T // 2), T}:
        window = T + max(more, stride)
        cut = truncated_bptt(made.rnn, made.sequences, window=window, stride=stride, **made.start)
        bounds = [*(norms.sum() for norms in full.step_norms[:3]), full.state_norms.sum()]
        for name, bound in zip(("W_xh", "W_hh", "W_hy", "h0"), bounds, strict=True):
            assert np.linalg.norm(getattr(cut, name) - getattr(full, name)) <= 1e-12 * bound
        if made.cell == "lstm":
            assert np.linalg.norm(cut.c0 - full.c0) <= 1e-12 * full.state_norms.sum()
        assert_allclose(cut.state_norms, full.state_norms, rtol=1e-10, atol=1e-12 * bounds[-1])
        assert_allclose(cut.loss, full.loss, rtol=1e-13)


@pytest.mark.parametrize("stride", [1, 3])
@BOTH
def test_first_states_receive_gradients_exactly_when_step_one_does(cell, stride):
    made = gated(cell, 4, T=6, silent=0.0)
    last = made.sequences.last_loss_only()
    for window in range(stride, 9):
        result = truncated_bptt(made.rnn, last, window=window, stride=stride, **made.start)
        reached = bool(result.step_norms.W_hh[0, 0])
        assert reached == (window >= 6)
        assert result.h0.any() == reached
        assert bool(result.state_norms[0, 0]) == reached
        if cell == "lstm":
            assert result.c0.any() == reached


@BOTH
def test_segments_do_not_look_across_their_cuts(cell):
    made = gated(cell, 5, T=7, silent=0.0)
    whole = truncated_bptt(made.rnn, made.sequences, window=3, **made.start)
    net, x, *_, state, _ = made.of(0)
    states, H = reference.unfold(net, x, state, cell)[0], made.rnn.n_hidden
    s, total = made.sequences, 0.0
    for begin, end in ((0, 3), (3, 6), (6, 7)):  # the last one is shorter
        part = Sequences(s.inputs[begin:end], s.targets[begin:end], s.weights[begin:end])
        h, c = (np.ascontiguousarray(a) for a in np.split(states[begin], [H], axis=1))
        start = {"h0": h, "c0": c} if cell == "lstm" else {"h0": h}
        total = total + bptt(made.rnn, part, **start).W_hh
    bound = 100 * np.finfo(float).eps * whole.step_norms.W_hh.sum()
    assert np.linalg.norm(whole.W_hh - total) <= bound


@BOTH
def test_nothing_flows_back_from_beyond_the_last_loss(cell):
    made = gated(cell, T=30, silent=0.0)
    s, weights = made.sequences, np.array(made.sequences.weights)
    weights[11:] = 0
    late = Sequences(s.inputs, s.targets, weights)
    early = Sequences(s.inputs[:11], s.targets[:11], weights[:11])
    long, short = (bptt(made.rnn, each, **made.start) for each in (late, early))
    builders.same_bits(long.weights, short.weights)
    builders.same_bits(long.h0, short.h0)
    if cell == "lstm":
        builders.same_bits(long.c0, short.c0)
    for a, b in zip(long.step_norms, short.step_norms, strict=True):
        assert_array_equal(a[:, :11], b)
        assert not a[:, 11:].any()
    assert not long.state_norms[:, 12:].any()


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("own", [False, True])
@BOTH
def test_a_network_of_an_ensemble_gives_what_it_gives_alone(cell, own, dtype, gradient):
    made = gated(cell, 7, N=3, own=own, dtype=dtype)
    keep = ("inputs", "states", "steps")
    whole = GRADIENTS[gradient](made.rnn, made.sequences, keep=keep, **made.start)
    for n in range(3):
        one = made.data_of(n)
        alone = GRADIENTS[gradient](one.rnn, one.sequences, keep=keep, **one.start)
        for name in whole.__dataclass_fields__:
            found = getattr(whole, name)
            part = None if found is None else builders.network_of(found, n)
            builders.same_bits(part, getattr(alone, name))


@EACH
@BOTH
def test_any_number_of_threads_gives_the_same_bits(cell, gradient, monkeypatch):
    made = gated(cell, 8, N=3, T=9)
    serial = GRADIENTS[gradient](made.rnn, made.sequences, n_threads=1, **made.start)
    for flops in (parallel.FLOPS_PER_CALL, 1.0):  # and in compiled calls of a step or so
        monkeypatch.setattr(parallel, "FLOPS_PER_CALL", flops)
        for n_threads in (1, 2, 5):
            shared = GRADIENTS[gradient](
                made.rnn, made.sequences, n_threads=n_threads, **made.start
            )
            builders.same_bits(shared, serial)


@pytest.mark.parametrize("dtype", DTYPES)
@BOTH
def test_states_computed_twice_change_no_bit(cell, dtype, monkeypatch):
    made = gated(cell, 9, T=150, H=2, dtype=dtype)
    keep = ("inputs", "states", "steps")
    whole = bptt(made.rnn, made.sequences, keep=keep, **made.start)
    batch = batch_for(made.rnn, made.sequences, **made.start)
    step = kernels.bytes_per_step(originals(made.rnn), batch, cell_of(made.rnn))
    for flops in (parallel.FLOPS_PER_CALL, 1.0):
        monkeypatch.setattr(parallel, "FLOPS_PER_CALL", flops)
        for memory in (1, 100.0 * step):  # one block of 64 steps, two of them
            cut = bptt(made.rnn, made.sequences, state_memory=memory, keep=keep, **made.start)
            builders.same_bits(cut, whole)


@pytest.mark.parametrize("members", [2, 3])
@BOTH
def test_a_team_gives_the_gradient_of_one(cell, members, monkeypatch):
    made = gated(cell, 10, T=20, B=13, H=5)
    keep = ("inputs", "states", "steps")
    alone = bptt(made.rnn, made.sequences, n_threads=1, keep=keep, **made.start)
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    teams, of_one = [], team.bptt
    monkeypatch.setattr(team, "bptt", lambda *a: teams.append(a[4]) or of_one(*a))
    found = bptt(made.rnn, made.sequences, n_threads=members, keep=keep, **made.start)
    assert teams == [members]
    # Rows of sequences never meet; what is summed over them comes in another order.
    for name in ("h0", "c0", "states", "memories", "inputs"):
        builders.same_bits(getattr(found, name), getattr(alone, name))
    for a, b in zip((*found.weights, *found.steps), (*alone.weights, *alone.steps), strict=True):
        assert np.linalg.norm(a - b) <= TOLERANCE["float64"] * np.linalg.norm(b)
    for a, b in zip(found.step_norms, alone.step_norms, strict=True):
        assert_allclose(a, b, rtol=1e-11)
    assert_allclose(found.state_norms, alone.state_norms, rtol=1e-13)
    assert_allclose(found.loss, alone.loss, rtol=1e-13)


@BOTH
def test_the_loss_of_bptt_is_the_loss_of_evaluate(cell):
    made = gated(cell, 8, N=3, T=9)
    loss = evaluate(made.rnn, made.sequences, **made.start).loss
    for gradient in GRADIENTS.values():
        assert_allclose(gradient(made.rnn, made.sequences, **made.start).loss, loss, rtol=1e-14)


@given(cases(H=4), st.permutations(range(4)))
def test_renaming_hidden_units_renames_gradients(made, order):
    def renamed(a):  # within each block
        blocks = np.arange(a.shape[1]).reshape(-1, 4)[:, order].ravel()
        return a[:, blocks]

    w, kind = made.rnn.weights, made.cell
    other = RNN(
        renamed(w.W_xh), renamed(w.W_hh)[:, :, order], w.W_hy[:, :, order], renamed(w.b_h), w.b_y,
        cell=kind,
    )  # fmt: skip
    start = {name: array[..., order] for name, array in made.start.items()}
    one = bptt(made.rnn, made.sequences, **made.start)
    two = bptt(other, made.sequences, **start)
    pairs = (
        (renamed(one.W_hh)[:, :, order], two.W_hh, one.step_norms.W_hh),
        (renamed(one.W_xh), two.W_xh, one.step_norms.W_xh),
        (one.h0[..., order], two.h0, one.state_norms),
    )
    for a, b, norms in pairs:
        assert np.linalg.norm(a - b) <= 1e-12 * norms.sum()


def in_trouble(made, kind):
    """The same ensemble with network 1 beyond the range of its dtype, and the step that says so."""
    dtype, T = made.rnn.dtype, made.sequences.n_steps
    w = [array.copy() for array in made.rnn.weights]
    x, largest = np.zeros(made.sequences.inputs.shape, dtype), np.finfo(dtype).max
    if kind == "outputs":  # states are in range, W_hy^T dL/dy is not
        w[2][1], step = largest / 8, T
    else:  # units at rest, gates half open: dL/dh_T is of order 1, dL/dh_{T-2} overflows
        w[0][1], w[3][1] = 0.0, 0.0
        w[1][1] = np.tile(1e200 if dtype == "float64" else 1e25, w[1][1].shape)
        step = T - 2
    s = Sequences(x, made.sequences.targets, made.sequences.weights)
    s = s.last_loss_only() if kind == "gradients" else s
    return made.rnn.with_weights(type(made.rnn.weights)(*w)), s, step


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_state_that_leaves_the_range_is_named(dtype, gradient):
    """r = 0 times an infinite sum; no LSTM's state does, whose gates only saturate."""
    rnn = RNN.sample(2, n_inputs=1, n_hidden=2, n_outputs=1, cell="gru", dtype=dtype, rng=0)
    w = [array.copy() for array in rnn.weights]
    w[1][1, 4:], w[3][1, :2] = np.finfo(dtype).max, -1000.0
    s = Sequences(np.zeros((4, 1, 1), dtype), np.ones((4, 1, 1), dtype))
    found = GRADIENTS[gradient](
        rnn.with_weights(type(rnn.weights)(*w)), s, h0=np.ones((1, 2), dtype)
    )
    assert_array_equal(found.first_nonfinite, [-1, 1])
    assert np.isfinite(found.W_hh[0]).all()


@EACH
@pytest.mark.parametrize("kind", ["outputs", "gradients"])
@pytest.mark.parametrize("dtype", DTYPES)
@BOTH
def test_a_network_that_leaves_the_range_is_named_and_harms_no_other(cell, dtype, kind, gradient):
    made = gated(cell, 11, N=4, classes=False, silent=0.0, dtype=dtype)
    rnn, s, step = in_trouble(made, kind)
    start, keep = ({} if kind == "gradients" else made.start), ("inputs", "states", "steps")
    for threads in (1, 2):
        result = GRADIENTS[gradient](rnn, s, n_threads=threads, keep=keep, **start)
        assert_array_equal(result.first_nonfinite, [-1, step, -1, -1])
        for n in (0, 2, 3):
            alone = GRADIENTS[gradient](made.rnn[n], s, keep=keep, **start)
            assert np.isfinite(alone.W_hh).all()
            for name in ("weights", "h0", "c0", "step_norms", "inputs", "memories", "steps"):
                whole = getattr(result, name)
                part = None if whole is None else builders.network_of(whole, n)
                builders.same_bits(part, getattr(alone, name))


@pytest.mark.parametrize("dtype", DTYPES)
@BOTH
def test_enormous_weights_close_and_open_gates_without_nan(cell, dtype):
    made = gated(cell, 12, T=8, dtype=dtype)
    w = made.rnn.weights
    size = made.rnn.dtype.type(1e30)
    rnn = made.rnn.with_weights(w._replace(W_xh=w.W_xh * size, W_hh=w.W_hh * size))
    result = bptt(rnn, made.sequences, keep=("inputs", "states"), **made.start)
    assert_array_equal(result.first_nonfinite, [-1])
    for part in (*result.weights, result.h0, result.inputs, result.state_norms):
        assert np.isfinite(part).all()
