"""Derivatives that arrive at h_T and c_T of every layer of a stack."""

import pickle

import numpy as np
import pytest
import reference
import reference_stacks
from builders import DTYPES, TOLERANCE, same_bits
from numpy.testing import assert_allclose, assert_array_equal
from stack_builders import stacked

import rnnsim
from rnnsim import Sequences, Stack, bptt, gradient_flow, truncated_bptt
from rnnsim.networks.binding import final_for

pytestmark = pytest.mark.nojit
KINDS = ("tanh", "relu", "sigmoid", "lstm", "gru")
T, B, H = 5, 2, 3
NAMES = ("dL_dh_final", "dL_dc_final")


def problem(cell, n_layers=2, names=NAMES, *, N=1, own=False, dtype="float64", seed=0, **given):
    """A stack with data whose loss is <a, h_T> + <e, c_T> over all layers; a and e by name."""
    made = stacked(cell, n_layers, seed, N=N, T=T, B=B, H=H, own=own, dtype=dtype)
    rng, lead = np.random.default_rng([seed, n_layers]), ((N,) if own else ())
    for name in names:
        if cell == "lstm" or name != "dL_dc_final":
            given[name] = rng.normal(size=(*lead, n_layers, B, H)).astype(dtype)
    return made, given, Sequences.from_gradients(made.sequences.inputs, **given)


def by_layer(made, given, n=0):
    """a and e together as a whole state (B, L*S)."""
    own = made.sequences.n_networks
    parts = []
    for name in NAMES[: 2 if made.cell == "lstm" else 1]:
        array = given.get(name, np.zeros((*made.state.shape[:-2], made.stack.n_layers, B, H)))
        array = np.asarray(array[n] if own else array, float)
        if array.ndim == 2:
            array = np.stack([*[0 * array] * (made.stack.n_layers - 1), array])
        parts.append(array)
    return np.concatenate(np.concatenate(parts, axis=2), axis=1)


def loss_of(nets, x, state, cell, along, more=0.0):
    states = reference_stacks.unfold(nets, x, state, cell)
    y = reference_stacks.read(nets, states[-1])[2]
    return np.sum(states[-1] * along) + np.sum(more * y)


def assert_near(found, expected, tolerance, scale):
    assert np.linalg.norm(found - expected) <= tolerance * scale


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("names", [NAMES, NAMES[:1], NAMES[1:]], ids=str)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", KINDS)
def test_bptt_is_the_gradient_of_exactly_that_loss(cell, n_layers, own, names, dtype):
    if names == NAMES[1:] and cell != "lstm":
        pytest.skip("memories are of LSTMs")
    made, given, s = problem(cell, n_layers, names, N=2 if own else 1, own=own, dtype=dtype)
    result, tolerance = bptt(made.stack, s, keep=("inputs",), **made.start), TOLERANCE[dtype]
    assert_array_equal(s.loss_steps, [T])
    for n in range(len(made.stack)):
        nets, x, _, _, state, _ = made.plain(n)
        along, scale = by_layer(made, given, n), 1 + result.state_norms[n].sum()
        for k, net in enumerate(nets):
            for name in ("W_xh", "W_hh", "b_h"):

                def loss(a, k=k, name=name, nets=nets, x=x, state=state, along=along):
                    changed = [m._replace(**{name: a}) if i == k else m for i, m in enumerate(nets)]
                    return loss_of(changed, x, state, cell, along)

                expected = reference.derivative(loss, getattr(net, name))
                assert_near(getattr(result.layers[k], name)[n], expected, tolerance, scale * T)
        fixed = nets, x, state, along
        of_x = reference.derivative(lambda a, f=fixed: loss_of(f[0], a, f[2], cell, f[3]), x)
        assert_near(result.inputs[n], of_x, tolerance, scale)
        of_state = reference.derivative(
            lambda a, f=fixed: loss_of(f[0], f[1], a, cell, f[3]), state
        )
        parts = [a[n] for a in (result.h0, result.c0) if a is not None]
        found = np.concatenate(np.concatenate(parts, axis=2), axis=1)
        assert_near(found, of_state, tolerance, scale)


@pytest.mark.parametrize("n_layers", [2, 3])
@pytest.mark.parametrize("cell", KINDS)
def test_they_add_to_the_loss_of_outputs_and_of_the_top(cell, n_layers):
    rng = np.random.default_rng(1)
    dy, dh = np.zeros((T, B, 2)), np.zeros((T, B, H))
    dy[-1], dh[-1] = rng.normal(size=(B, 2)), rng.normal(size=(B, H))
    made, given, s = problem(cell, n_layers, dL_dy=dy, dL_dh=dh)
    nets, x, _, _, state, _ = made.plain()
    along, S = by_layer(made, given), made.state.shape[-1] // n_layers
    along[:, (n_layers - 1) * S : (n_layers - 1) * S + H] += dh[-1]
    result = bptt(made.stack, s, **made.start)
    of_state = reference.derivative(lambda a: loss_of(nets, x, a, cell, along, dy[-1]), state)
    parts = [a[0] for a in (result.h0, result.c0) if a is not None]
    found = np.concatenate(np.concatenate(parts, axis=2), axis=1)
    assert_near(found, of_state, 1e-12, 1 + result.state_norms.sum())
    last = reference_stacks.unfold(nets, x, state, cell)[-1]
    h_top = np.split(last, n_layers, axis=1)[-1][:, :H]
    assert_allclose(result.layers[-1].W_hy[0], dy[-1].T @ h_top, atol=1e-13)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", KINDS)
def test_windows_reach_back_from_the_end_through_all_layers(cell, n_layers):
    """<a, s_T> differentiated with the states of step T-K held: sweeps of K steps."""
    made, given, s = problem(cell, n_layers)
    nets, x, _, _, state, _ = made.plain()
    states, along = reference_stacks.unfold(nets, x, state, cell), by_layer(made, given)
    for window in (1, 2, 4, T):
        begin = T - window
        results = [truncated_bptt(made.stack, s, window=window, stride=1, **made.start)]
        if T % window == 0:  # segments of which one ends, and begins, there
            results.append(truncated_bptt(made.stack, s, window=window, **made.start))
        for k, net in enumerate(nets):
            for name in ("W_xh", "W_hh", "b_h"):

                def loss(a, k=k, name=name, begin=begin):
                    changed = [m._replace(**{name: a}) if i == k else m for i, m in enumerate(nets)]
                    return loss_of(changed, x[begin:], states[begin], cell, along)

                expected = reference.derivative(loss, getattr(net, name))
                for result in results:
                    assert_allclose(getattr(result.layers[k], name)[0], expected, atol=1e-12)
    full = bptt(made.stack, s, keep=("states", "steps"), **made.start)
    cut = truncated_bptt(made.stack, s, window=T, keep=("states", "steps"), **made.start)
    assert_allclose(cut.states, full.states, atol=1e-13)
    assert_allclose(cut.h0, full.h0, atol=1e-13)
    assert_allclose(cut.state_norms, full.state_norms, atol=1e-13)
    # At step T by all paths: what was given, and what comes down from the layers above.
    assert_allclose(full.states[0, -1, -1], np.asarray(given["dL_dh_final"])[-1], atol=1e-13)


def joined(parts, name):
    return sum(getattr(each, name) for each in parts)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cut", [1, 3, 6])
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", KINDS)
def test_two_segments_joined_by_their_states_are_the_whole(cell, n_layers, cut, dtype):
    made = stacked(cell, n_layers, 3, N=2, T=7, B=B, H=H, own=True, dtype=dtype)
    s, start = made.sequences, made.start
    whole = bptt(made.stack, s, keep=("inputs", "states"), **start)
    earlier = Sequences(s.inputs[:, :cut], s.targets[:, :cut], s.weights[:, :cut])
    later = Sequences(s.inputs[:, cut:], s.targets[:, cut:], s.weights[:, cut:])
    run = rnnsim.forward(made.stack, earlier.inputs, **start)
    on = {"h0": run.final_h} if run.final_c is None else {"h0": run.final_h, "c0": run.final_c}
    behind = bptt(made.stack, later, keep=("inputs", "states"), **on)
    given = {"dL_dh_final": behind.h0}
    given |= {} if behind.c0 is None else {"dL_dc_final": behind.c0}
    ends = Sequences.from_gradients(earlier.inputs, **given)
    before = bptt(made.stack, ends, keep=("inputs", "states"), **start)
    own = bptt(made.stack, earlier, keep=("inputs", "states"), **start)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for k in range(n_layers):
        parts = [each.layers[k] for each in (behind, before, own)]
        for name in ("W_xh", "W_hh", "W_hy", "b_h", "b_y"):
            expected = getattr(whole.layers[k], name)
            assert_allclose(joined(parts, name), expected, atol=tolerance, err_msg=name)
    assert_allclose(before.h0 + own.h0, whole.h0, atol=tolerance)
    if cell == "lstm":
        assert_allclose(before.c0 + own.c0, whole.c0, atol=tolerance)
    inputs = np.concatenate([before.inputs + own.inputs, behind.inputs], axis=1)
    assert_allclose(inputs, whole.inputs, atol=tolerance)
    # By all paths, up through the layers within the step too, but for the step of the cut itself.
    assert_allclose(
        (before.states + own.states)[:, :, :cut], whole.states[:, :, :cut], atol=tolerance
    )


@pytest.mark.parametrize("cell", KINDS)
def test_the_flow_begins_at_every_layer(cell):
    made, given, s = problem(cell, 3)
    nets, x, _, _, state, _ = made.plain()
    states, along = reference_stacks.unfold(nets, x, state, cell), by_layer(made, given)
    flow = gradient_flow(made.stack, s, per_sequence=True, **made.start)
    for lag in range(T):
        of_state = reference.derivative(
            lambda a, lag=lag: loss_of(nets, x[T - lag :], a, cell, along), states[T - lag]
        ) if lag else along  # fmt: skip
        with np.errstate(divide="ignore"):
            logs = np.log(B * np.linalg.norm(of_state, axis=1))
        assert_allclose(flow.per_sequence[0, 0, lag], logs, atol=1e-9)
        assert_allclose(flow.log_norms[0, 0, lag], logs.mean(), atol=1e-9)
    full = bptt(made.stack, s, **made.start)
    for k, layer in enumerate(flow.layers):
        for window in range(1, T + 1):
            cut = truncated_bptt(made.stack, s, window=window, stride=1, **made.start)
            expected = np.log(np.linalg.norm(cut.layers[k].W_hh[0]))
            assert_allclose(layer.window_log_norms[0, window - 1], expected, atol=1e-9)
        expected = np.log(np.linalg.norm(full.layers[k].W_hh[0]))
        assert_allclose(layer.full_log_norm[0], expected, atol=1e-9)
    products = rnnsim.jacobian_products(made.stack, s, lags=[1, 2, 4], step=T, **made.start)
    for i, lag in enumerate((1, 2, 4)):
        expected = flow.per_sequence[0, 0, lag]
        assert_allclose(products.log_gradient_norms[0, :, i], expected, atol=1e-9)


@pytest.mark.parametrize("cell", KINDS)
def test_checkpoints_threads_and_pieces_change_nothing(cell, monkeypatch):
    made = stacked(cell, 2, N=3, T=150, B=3, H=H)
    rng = np.random.default_rng(0)
    given = {"dL_dh_final": rng.normal(size=(2, 3, H))}
    given |= {"dL_dc_final": rng.normal(size=(2, 3, H))} if cell == "lstm" else {}
    s = Sequences.from_gradients(made.sequences.inputs, **given)
    alone = bptt(made.stack, s, n_threads=1, **made.start)
    cut = truncated_bptt(made.stack, s, window=9, stride=4, n_threads=1, **made.start)
    same_bits(bptt(made.stack, s, n_threads=3, state_memory=1, **made.start), alone)
    monkeypatch.setattr("rnnsim.parallel.FLOPS_PER_CALL", 1e4)
    same_bits(bptt(made.stack, s, **made.start), alone)
    same_bits(truncated_bptt(made.stack, s, window=9, stride=4, **made.start), cut)


def test_without_an_axis_of_layers_they_are_of_the_top():
    made = stacked("lstm", 2, T=T, B=B, H=H)
    x, rng = made.sequences.inputs, np.random.default_rng(0)
    h, c = rng.normal(size=(B, H)), rng.normal(size=(B, H))
    top = Sequences.from_gradients(x, dL_dh_final=h, dL_dc_final=c)
    layers = [np.stack([0 * a, a]) for a in (h, c)]
    both = Sequences.from_gradients(x, dL_dh_final=layers[0], dL_dc_final=layers[1])
    assert top.gradients.dL_dh_final is None
    assert both.gradients.dL_dh is None
    assert both.gradients.dL_dh_final.shape == (2, B, H)
    one, other = (bptt(made.stack, s, **made.start) for s in (top, both))
    for a, b in zip(one.layers, other.layers, strict=True):
        for first, second in zip(a, b, strict=True):
            assert_allclose(first, second, atol=1e-14)
    assert_array_equal(both.astype("float32").gradients.dL_dh_final, layers[0].astype("float32"))


@pytest.mark.parametrize("cell", KINDS)
def test_however_they_are_given_the_windows_are_those_of_the_same_loss(cell):
    """Of the top alone in either shape, and mixed, after pickling."""
    made = stacked(cell, 2, T=T, B=B, H=H)
    x, rng = made.sequences.inputs, np.random.default_rng(0)
    h, c = rng.normal(size=(B, H)), rng.normal(size=(B, H))
    deep = [np.stack([0 * a, a]) for a in (h, c)]
    ways = [(h, c), deep, (h, deep[1]), (deep[0], c)]
    found = []
    for of_h, of_c in ways:
        given = {"dL_dh_final": of_h} | ({"dL_dc_final": of_c} if cell == "lstm" else {})
        s = pickle.loads(pickle.dumps(Sequences.from_gradients(x, **given)))
        cut = truncated_bptt(made.stack, s, window=2)
        spread = rnnsim.window_bias_variance(made.stack, s, 2)
        found.append((cut.layers[0].W_hh, cut.layers[1].W_xh, spread.log_norm))
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            assert_allclose(a, b, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("more", [(), ("dL_dy", "dL_dh")])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("cell", "names"),
    [("tanh", NAMES[:1]), ("gru", NAMES), *(("lstm", n) for n in (NAMES, NAMES[:1], NAMES[1:]))],
    ids=str,
)
def test_the_flow_and_windows_of_one_layer_are_those_of_its_network(cell, own, names, more):
    """B is a power of two, so that sums of derivatives are the same bits in either order."""
    shape = (3, T, B) if own else (T, B)
    others = {name: np.ones((*shape, 2 if name == "dL_dy" else H)) for name in more}
    made, given, s = problem(cell, 1, names, N=3, own=own, **others)
    (rnn,) = made.stack.layers
    flat = {name: a[..., 0, :, :] if name in NAMES else a for name, a in given.items()}
    as_network = Sequences.from_gradients(made.sequences.inputs, **flat)
    start = {name: a[..., 0, :, :] for name, a in made.start.items()}
    found = gradient_flow(made.stack, s, **made.start)
    expected = gradient_flow(rnn, as_network, **start)
    for name in ("log_norms", "window_log_norms", "share", "first_nonfinite"):
        assert_array_equal(getattr(found, name), getattr(expected, name))
    assert_array_equal(found.recurrent.log_norms, expected.recurrent.log_norms)
    windows = (
        rnnsim.window_bias_variance(network, data, 2)
        for network, data in ((made.stack, s), (rnn, as_network))
    )
    found, expected = windows
    for name in ("log_norm", "bias2", "variance"):
        assert_array_equal(getattr(found, name), getattr(expected, name))
    found = rnnsim.jacobian_products(made.stack, s, lags=[1, T], **made.start, step=T)
    expected = rnnsim.jacobian_products(rnn, as_network, lags=[1, T], **start, step=T)
    assert_array_equal(found.log_gradient_norms, expected.log_gradient_norms)
    with pytest.raises(ValueError, match="with an axis of layers is for"):
        gradient_flow(rnn, s)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("cell", KINDS)
def test_kernels_get_them_in_one_layout(cell, own):
    """Another order of axes would be another type to Numba, and compile everything again."""
    made, _, s = problem(cell, 2, N=2, own=own)
    final = final_for(made.stack, s)
    assert final.shape == (2, 2 if own else 1, B, H * (2 if cell == "lstm" else 1))
    assert final.dtype == np.float64
    assert final.flags.c_contiguous
    assert final.flags.writeable


def test_misuse_is_named():
    made, given, s = problem("lstm", 2)
    rnn, x = made.stack.layers[-1], made.sequences.inputs
    deeper = stacked("lstm", 3, T=T, B=B, H=H).stack
    with pytest.raises(ValueError, match=r"`dL_dc_final` must be .* n_layers = 3 .* 2;"):
        bptt(deeper, s)
    own = Sequences.from_gradients(np.ones((T, B, H)), dL_dh_final=given["dL_dh_final"])
    with pytest.raises(ValueError, match=r"`dL_dh_final` with an axis of layers is for a rnnsim.S"):
        bptt(rnn, own)
    with pytest.raises(ValueError, match="n_layers may stand before the sequences"):
        Sequences.from_gradients(x, dL_dh_final=np.ones((2, B + 1, H)))
    with pytest.raises(ValueError, match="got shape"):
        Sequences.from_gradients(x, dL_dh_final=np.ones((0, B, H)))
    with pytest.raises(ValueError, match="one n_hidden on the last axis"):
        Sequences.from_gradients(
            x, dL_dh_final=np.ones((2, B, H)), dL_dc_final=np.ones((2, B, H + 1))
        )
    assert isinstance(made.stack, Stack)
