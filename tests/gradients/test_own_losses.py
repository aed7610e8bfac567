"""Gradients of a loss of one's own, given by its derivatives: of exactly that loss."""

import builders
import numpy as np
import pytest
import reference
from builders import DTYPES, TOLERANCE
from gated import GATED, assert_parts, gated, network
from numpy.testing import assert_allclose, assert_array_equal
from reference_cells import CELLS

from rnnsim import (
    Sequences,
    bptt,
    evaluate,
    forward,
    gradient_flow,
    jacobian_products,
    parallel,
    truncated_bptt,
)

pytestmark = pytest.mark.nojit
KINDS = ("lstm", "gru", "tanh", "sigmoid")
EACH = pytest.mark.parametrize("cell", KINDS)
DTYPE = pytest.mark.parametrize("dtype", DTYPES)
T, B, D, H, V = 5, 3, 2, 3, 2
NAMES = ("dL_dy", "dL_dh", "dL_dh_final", "dL_dc_final")
# Of y (T, B, V), h (T, B, H), h_T and c_T; they mix units, sequences and steps.
LOSSES = {
    "cubes of y": ("dL_dy", lambda y, h, h_T, c_T: np.sum(y**3)),
    "cubes of some h": ("dL_dh", lambda y, h, h_T, c_T: np.sum(h[1::2] ** 3)),
    "h at the end": ("dL_dh_final", lambda y, h, h_T, c_T: np.sum(h_T) ** 3),
    "c at the end": ("dL_dc_final", lambda y, h, h_T, c_T: np.sum(np.sin(c_T.sum(0)) ** 2)),
    "of all": (
        " ".join(NAMES),
        lambda y, h, h_T, c_T: (
            np.sum(y[0] * y[-1]) * np.sum(h**2) + np.sum(np.cos(h_T)) * (1 + np.sum(c_T**3))
        ),
    ),
}


def problem(cell, *, N=1, own=False, dtype="float64", n_outputs=V):
    """Networks, inputs (T, B, D) or one for each, whole first states, and these as options."""
    rng = np.random.default_rng(len(cell))
    rnn = network(cell, rng, N=N, D=D, H=H, V=n_outputs, dtype=dtype)
    lead, S = ((N,) if own else ()), (1 + CELLS[cell].memories) * H
    x, state = rng.normal(size=(*lead, T, B, D)), 0.7 * rng.normal(size=(*lead, B, S))
    x, state = x.astype(dtype), state.astype(dtype)
    parts = {"h0": state[..., :H], "c0": state[..., H:]}
    return rnn, x, state, {k: np.ascontiguousarray(a) for k, a in parts.items() if a.size}


def loss_of(function, net, x, state, cell):
    """The value of a loss, complex-safe."""
    states = reference.unfold(net, x, state, cell)[0]
    h, c = states[1:, :, :H], states[1:, :, H:]
    return function(h @ net.W_hy.T + net.b_y, h, h[-1], c[-1])


def derivatives(names, function, net, x, state, cell):
    """Of the function with respect to those of its four arguments that it reads."""
    states = reference.unfold(net, x, state, cell)[0]
    h, c = states[1:, :, :H], states[1:, :, H:]
    at = [h @ net.W_hy.T + net.b_y, h, h[-1], c[-1]]
    found = {}
    for i, name in enumerate(NAMES):
        if name in names and at[i].size:
            found[name] = reference.derivative(
                lambda a, i=i: function(*at[:i], a, *at[i + 1 :]), at[i]
            )
    return found


def data_of(rnn, x, state, cell, loss, dtype="float64"):
    """The derivatives of a loss, for every network with data of its own or for the only one."""
    names, function = LOSSES[loss]
    own = x.ndim == 4
    found = []
    for n in range(len(rnn)):
        of_n = (a[n] if own else a for a in (x, state))
        net = reference.net_of(rnn.astype("float64"), n)
        found.append(derivatives(names, function, net, *(a.astype(float) for a in of_n), cell))
    given = {name: np.array([each[name] for each in found]) for name in found[0]}
    return Sequences.from_gradients(
        x, **{name: (a if own else a[0]).astype(dtype) for name, a in given.items()}
    )


def assert_gradients_of(result, n, function, net, x, state, cell):
    """Of network n with respect to all weights, inputs and the first state, by complex steps."""
    tolerance, norms = TOLERANCE[result.h0.dtype.name], result.step_norms
    # Nothing cancels by more than the sums of these norms are larger than what comes out.
    scale = max(np.sum(getattr(norms, name)[n]) for name in ("W_xh", "W_hh", "W_hy"))
    scale += result.state_norms[n].sum()
    for name in net._fields:
        expected = reference.derivative(
            lambda a, name=name: loss_of(function, net._replace(**{name: a}), x, state, cell),
            getattr(net, name),
        )
        assert np.linalg.norm(getattr(result, name)[n] - expected) <= tolerance * scale, name
    of_x = reference.derivative(lambda a: loss_of(function, net, a, state, cell), x)
    assert np.linalg.norm(result.inputs[n] - of_x) <= tolerance * scale
    of_state = reference.derivative(lambda a: loss_of(function, net, x, a, cell), state)
    assert np.linalg.norm(result.h0[n] - of_state[:, :H]) <= tolerance * scale
    if cell == "lstm":
        assert np.linalg.norm(result.c0[n] - of_state[:, H:]) <= tolerance * scale


# Memories are of LSTMs alone, and outputs of networks with a readout.
PROBLEMS = [
    (cell, loss, n_outputs)
    for cell in KINDS
    for loss in LOSSES
    for n_outputs in (V, 0)
    if (cell == "lstm" or loss != "c at the end") and (n_outputs or loss != "cubes of y")
]


@DTYPE
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("cell", "loss", "n_outputs"), PROBLEMS)
def test_bptt_is_the_gradient_of_exactly_that_loss(cell, loss, n_outputs, own, dtype):
    N = 2 if own else 1
    rnn, x, state, start = problem(cell, N=N, own=own, dtype=dtype, n_outputs=n_outputs)
    s = data_of(rnn, x, state, cell, loss, dtype)
    result = bptt(rnn, s, keep=("inputs",), **start)
    assert np.isnan(result.loss).all()
    assert_array_equal(result.first_nonfinite, -1)
    assert result.W_hy.shape == (N, n_outputs, H)
    for n in range(N):
        net = reference.net_of(rnn.astype("float64"), n)
        data = (x[n], state[n]) if own else (x, state)
        data = (a.astype(float) for a in data)
        assert_gradients_of(result, n, LOSSES[loss][1], net, *data, cell)


def drawn(cell, names=NAMES, *, N=1, own=False, dtype="float64", n_outputs=V, seed=0):
    """Any derivatives at all, some of them 0, and data that hold them."""
    made = problem(cell, N=N, own=own, dtype=dtype, n_outputs=n_outputs)
    rng, lead = np.random.default_rng(seed), ((N,) if own else ())
    shapes = (T, B, n_outputs), (T, B, H), (B, H), (B, H)
    given = {}
    for name, shape in zip(NAMES, shapes, strict=True):
        array = rng.normal(size=(*lead, *shape))
        if "final" not in name:
            array *= rng.random((*lead, T, B, 1)) > 0.4
        if name in names and (name, cell == "lstm") != ("dL_dc_final", False):
            given[name] = array.astype(dtype)
    return (*made, given, Sequences.from_gradients(made[1], **given))


def temporal(rnn, x, state, cell, given, n=0):
    """What every step's part of the loss owes to every step; the derivatives are held fixed."""

    def part(a):
        array = np.asarray(a, float)
        return array[n] if x.ndim == 4 else array

    fixed = {name: part(array) for name, array in given.items()}
    dy, dh = fixed.get("dL_dy"), fixed.get("dL_dh")
    dh_T, dc_T = fixed.get("dL_dh_final"), fixed.get("dL_dc_final")

    def loss_of_step(t, h, c, y):
        total = np.sum(0 * h)
        total += 0 if dy is None else np.sum(dy[t - 1] * y)
        total += 0 if dh is None else np.sum(dh[t - 1] * h)
        if t == T:
            total += 0 if dh_T is None else np.sum(dh_T * h)
            total += 0 if dc_T is None else np.sum(dc_T * c)
        return total

    net = reference.net_of(rnn.astype("float64"), n)
    return reference.temporal(net, part(x), part(state), cell, loss_of_step)


SUBSETS = [NAMES, ("dL_dy",), ("dL_dh",), ("dL_dh_final",), ("dL_dc_final",), NAMES[2:]]
GIVEN = pytest.mark.parametrize(
    ("cell", "names"),
    [(cell, names) for cell in KINDS for names in SUBSETS if cell == "lstm" or names != NAMES[3:]],
)


@DTYPE
@GIVEN
def test_every_step_and_every_window_of_such_a_loss(cell, names, dtype):
    rnn, x, state, start, given, s = drawn(cell, names, dtype=dtype)
    parts, keep = temporal(rnn, x, state, cell, given), ("inputs", "states", "steps")
    result = bptt(rnn, s, keep=keep, **start)
    assert_parts(result, reference.within(parts, T, 1))
    for window, stride in ((1, 1), (2, 1), (3, 3), (4, 2), (T, T), (9, 4)):
        result = truncated_bptt(rnn, s, window=window, stride=stride, keep=keep, **start)
        assert np.isnan(result.loss).all()
        assert_parts(result, reference.within(parts, window, stride))


@pytest.mark.parametrize("n_outputs", [V, 0])
@EACH
def test_each_network_has_derivatives_of_its_own(cell, n_outputs):
    names = NAMES if n_outputs else NAMES[1:]
    rnn, x, state, start, given, s = drawn(cell, names, N=3, own=True, n_outputs=n_outputs)
    full = bptt(rnn, s, **start)
    cut = truncated_bptt(rnn, s, window=3, stride=2, **start)
    for n in range(3):
        parts = temporal(rnn, x, state, cell, given, n)
        assert_parts(full, reference.within(parts, T, 1), n)
        assert_parts(cut, reference.within(parts, 3, 2), n)
        one = Sequences.from_gradients(x[n], **{name: a[n] for name, a in given.items()})
        begin = {name: array[n] for name, array in start.items()}
        builders.same_bits(builders.network_of(full, n).weights, bptt(rnn[n], one, **begin).weights)


@EACH
def test_checkpoints_and_teams_carry_derivatives_of_the_end(cell, monkeypatch):
    rng, steps, many = np.random.default_rng(5), 150, 13
    rnn = network(cell, rng, D=D, H=H, V=V)
    given = {"dL_dh_final": rng.normal(size=(many, H)), "dL_dc_final": rng.normal(size=(many, H))}
    given = given if cell == "lstm" else {"dL_dh_final": given["dL_dh_final"]}
    s = Sequences.from_gradients(rng.normal(size=(steps, many, D)), **given)
    alone = bptt(rnn, s, keep=("states",), n_threads=1)
    assert alone.step_norms.W_hh[0, -1] > 0
    builders.same_bits(bptt(rnn, s, keep=("states",), n_threads=1, state_memory=1), alone)
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    shared = bptt(rnn, s, keep=("states",), n_threads=3)
    builders.same_bits(shared.states, alone.states)
    builders.same_bits(shared.memories, alone.memories)
    for a, b in zip(shared.weights, alone.weights, strict=True):
        assert np.linalg.norm(a - b) <= 1e-12 * np.linalg.norm(b)


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("cell", [*GATED, "tanh"])
def test_derivatives_of_the_usual_losses_give_the_usual_gradients(cell, own, classes):
    made = gated(cell, 3, N=2, classes=classes, own=own)
    dy = []
    for n in range(2):
        net, x, targets, weights, state, _ = made.of(n)
        states = reference.unfold(net, x, state, cell)[0][:, :, : made.rnn.n_hidden]
        dy.append(reference.output_gradient(net, states, targets, weights) / weights.shape[1])
    inputs = made.sequences.inputs
    shared = np.broadcast_to(inputs, (2, *inputs.shape[-3:]))  # outputs differ between networks
    given = Sequences.from_gradients(shared, np.array(dy))
    for gradient in (bptt, lambda *a, **k: truncated_bptt(*a, window=4, stride=2, **k)):
        usual = gradient(made.rnn, made.sequences, **made.start)
        found = gradient(made.rnn, given, **made.start)
        bounds = {"state_norms": usual.state_norms.sum(), "h0": usual.state_norms.sum()}
        bounds |= {name: getattr(usual.step_norms, name).sum() for name in ("W_xh", "W_hh", "W_hy")}
        for name, bound in bounds.items():
            distance = np.linalg.norm(getattr(found, name) - getattr(usual, name))
            assert distance <= 1e-12 * bound, name
    usual = gradient_flow(made.rnn, made.sequences, per_sequence=True, **made.start)
    found = gradient_flow(made.rnn, given, per_sequence=True, **made.start)
    assert_array_equal(found.steps, usual.steps)
    for name in ("per_sequence", "window_log_norms", "window_cosine", "joint_full_log_norm"):
        assert_allclose(getattr(found, name), getattr(usual, name), rtol=1e-9, atol=1e-10)


@GIVEN
def test_the_flow_of_such_a_loss_has_no_mean_over_sequences(cell, names):
    rnn, x, state, start, given, s = drawn(cell, names)
    parts = temporal(rnn, x, state, cell, given)
    flow = gradient_flow(rnn, s, per_sequence=True, **start)
    assert_array_equal(flow.steps, s.loss_steps)
    for i, t in enumerate(flow.steps):
        for k in range(t):
            with np.errstate(divide="ignore"):
                logs = np.log(B * np.linalg.norm(parts.state[t - 1, t - k], axis=1))
            assert_allclose(flow.per_sequence[0, i, k], logs, atol=1e-9)
    for k in range(T):
        cut = truncated_bptt(rnn, s, window=k + 1, stride=1, **start)
        expected = np.log(np.linalg.norm(cut.W_hh[0]))
        assert_allclose(flow.window_log_norms[0, k], expected, atol=1e-9)
    full = np.concatenate([a.ravel() for a in bptt(rnn, s, **start).weights])
    assert_allclose(flow.joint_full_log_norm[0], np.log(np.linalg.norm(full)), atol=1e-9)


@pytest.mark.parametrize("step", [T, T - 2])
@GIVEN
def test_products_of_jacobians_start_from_these_derivatives(cell, names, step):
    rnn, x, state, start, given, s = drawn(cell, names, seed=1)
    parts = temporal(rnn, x, state, cell, given)
    lags = np.arange(1, step + 1)
    found = jacobian_products(rnn, s, lags=lags, step=step, **start).log_gradient_norms[0]
    with np.errstate(divide="ignore"):
        logs = np.log(B * np.linalg.norm(parts.state[step - 1, step - lags], axis=2)).T
    assert_allclose(found, logs, atol=1e-9)


@pytest.mark.parametrize(
    ("bias", "exponent"), [(1.0, -13.605), (2.0, -5.512), (3.0, -2.110), (5.0, -0.292)]
)
@pytest.mark.parametrize("cell", GATED)
def test_without_recurrent_weights_gradients_decay_by_the_gate_that_keeps(cell, bias, exponent):
    # dc_t/dc_{t-k} = f^k of LSTMs, dh_t/dh_{t-k} = z^k of GRUs; sigma(bias)^100 is 10^exponent.
    rnn, steps = network(cell, np.random.default_rng(0), D=1, H=2, V=0), 100
    w = [np.zeros_like(array) for array in rnn.weights]
    w[3][0, 2:4] = bias  # the second block of two: f, or z
    end = {"lstm": "dL_dc_final", "gru": "dL_dh_final"}[cell]
    s = Sequences.from_gradients(np.zeros((steps, 1, 1)), **{end: np.array([[1.0, -2.0]])})
    result = bptt(rnn.with_weights(type(rnn.weights)(*w)), s, keep=("states",))
    kept = result.memories if cell == "lstm" else result.states
    decay = (1 + np.exp(-bias)) ** -np.arange(steps, -1.0, -1.0)
    assert_allclose(kept[0, :, 0], decay[:, None] * [1.0, -2.0], rtol=1e-13)
    assert_allclose(np.log10(kept[0, 0, 0, 0]), exponent, atol=5e-4)


@pytest.mark.parametrize("gradient", [bptt, gradient_flow])
def test_derivatives_that_fit_other_networks_are_refused(gradient):
    for cell in KINDS:
        rnn, x, *_, given, _ = drawn(cell)
        for name, of in (("dL_dy", "n_outputs = 2"), ("dL_dh", "n_hidden = 3")):
            wide = np.concatenate([given[name]] * 2, axis=-1)
            other = Sequences.from_gradients(x, **{name: wide})
            with pytest.raises(ValueError, match=rf"`{name}` must have {of} on the last .* got"):
                gradient(rnn, other)
        if cell != "lstm":
            of_c = Sequences.from_gradients(x, dL_dc_final=np.ones((B, H)))
            with pytest.raises(ValueError, match=r"`dL_dc_final` .* memories of LSTMs, .* leave"):
                gradient(rnn, of_c)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("classes", [False, True])
@EACH
def test_networks_without_a_readout_have_states_and_no_loss_on_outputs(cell, classes, own):
    rnn, x, state, start = problem(cell, N=2, own=own, n_outputs=0)
    found = forward(rnn, x, **start)
    assert found.outputs.shape == (2, T, B, 0)
    for n in range(2):
        data = (x[n], state[n]) if own else (x, state)
        states = reference.unfold(reference.net_of(rnn, n), *data, cell)[0]
        assert_allclose(found.states[n], states[..., :H], rtol=1e-12, atol=1e-14)
        if cell == "lstm":
            assert_allclose(found.memories[n], states[..., H:], rtol=1e-12, atol=1e-14)
    targets = np.zeros(x.shape[:-1], int) if classes else np.ones((*x.shape[:-1], 1))
    usual = Sequences(x, targets)
    for call in (bptt, evaluate, gradient_flow, lambda *a: truncated_bptt(*a, window=2)):
        with pytest.raises(ValueError, match=r"`rnn` must have a readout .* n_outputs = 0; give "):
            call(rnn, usual)
