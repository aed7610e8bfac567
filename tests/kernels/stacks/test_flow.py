"""The gradient flow of stacks: norms by layer and of all, windows, shares, closed forms."""

import math

import numpy as np
import pytest
import reference_cells
from builders import TOLERANCE
from numpy.testing import assert_allclose, assert_array_equal
from stack_builders import KINDS, stacked

from rnnsim import (
    RNN,
    Sequences,
    Stack,
    bptt,
    forward,
    gradient_flow,
    growth_rate,
    kernels,
    reach,
    sufficient_window,
    truncated_bptt,
)

pytestmark = pytest.mark.nojit
EACH = pytest.mark.parametrize("cell", KINDS)
OF = {"W_hh": ("W_hh",), "recurrent": ("W_hh", "W_xh", "b_h")}


def norms_of(made, parts, S):
    """||dl_t/d.|| (T, T, .) at [t-1, k] of one sequence: whole state, layers by all paths, h, c."""
    T, L, H = len(parts.x), made.stack.n_layers, made.stack.n_hidden
    whole, layers, h, c = (np.full((T, T, size), np.nan) for size in (1, L, 1, 1))
    for t in range(1, T + 1):
        for k in range(t):
            fixed = parts.states[t - 1, t - k].reshape(L, S)
            paths = parts.by_paths[t - 1, t - k].reshape(L, S)
            whole[t - 1, k] = np.linalg.norm(fixed)
            h[t - 1, k], c[t - 1, k] = np.linalg.norm(fixed[:, :H]), np.linalg.norm(fixed[:, H:])
            layers[t - 1, k] = np.linalg.norm(paths[:, :H], axis=1)
    return whole[..., 0], layers, h[..., 0], c[..., 0]


@EACH
@pytest.mark.parametrize("n_layers", [2, 3])
def test_norms_at_every_lag_are_those_of_complex_steps(cell, n_layers):
    made = stacked(cell, n_layers, N=2, B=1, silent=0.0)
    flow = gradient_flow(made.stack, made.sequences, **made.start)
    for n in range(2):
        parts = made.temporal(n)
        S = made.state.shape[-1] // n_layers
        whole, layers, h, c = norms_of(made, parts, S)
        assert_allclose(np.exp(flow.log_norms[n]), whole, rtol=1e-10)
        found = np.moveaxis(np.exp(flow.log_norms_layers[n]), 0, -1)
        assert_allclose(found, layers, rtol=1e-10, atol=1e-14)
        assert_allclose(np.exp(flow.log_norms_h[n]), h, rtol=1e-10)
        if cell == "lstm":
            assert_allclose(np.exp(flow.log_norms_c[n]), c, rtol=1e-10)
        assert_array_equal(flow.per_sequence[n, :, :, 0], flow.log_norms[n])


@EACH
def test_norms_are_means_over_sequences(cell):
    made = stacked(cell, 2, B=3, silent=0.0)
    flow, alone = gradient_flow(made.stack, made.sequences, **made.start), []
    for b in range(3):
        one = slice(b, b + 1)
        s = made.sequences
        data = Sequences(s.inputs[:, one], s.targets[:, one], s.weights[:, one])
        start = {name: a[:, one] for name, a in made.start.items()}
        alone.append(gradient_flow(made.stack, data, **start).log_norms[0])
    assert_allclose(flow.per_sequence[0], np.stack(alone, axis=-1), rtol=1e-12, atol=1e-12)
    assert_allclose(flow.log_norms[0], np.mean(alone, axis=0), rtol=1e-12, atol=1e-12)
    rms = np.log(np.sqrt(np.mean(np.exp(2 * np.array(alone)), axis=0)))
    assert_allclose(flow.log_rms[0], rms, rtol=1e-12, atol=1e-12)


@EACH
@pytest.mark.parametrize("n_layers", [2, 3])
def test_windows_and_shares_are_those_of_truncated_gradients(cell, n_layers):
    made = stacked(cell, n_layers, N=2, B=3, D=4)
    G, T = made.stack.n_gates, made.sequences.n_steps
    flow = gradient_flow(made.stack, made.sequences, **made.start)
    full = bptt(made.stack, made.sequences, **made.start)
    cut = [
        truncated_bptt(made.stack, made.sequences, window=K + 1, stride=1, **made.start)
        for K in range(T)
    ]

    def vector(found, names, n, layers, gate=None):
        parts = [getattr(found.layers[k], name)[n] for k in layers for name in names]
        if gate is not None:
            parts = [np.split(part, G)[gate] for part in parts]
        return np.concatenate([part.ravel() for part in parts])

    everywhere = range(n_layers)
    for n in range(2):
        choices = [(flow, everywhere, None), *((flow.layers[k], [k], None) for k in everywhere)]
        choices += [(flow, everywhere, gate) for gate in range(G)]
        for of, layers, gate in choices:
            for name, names in OF.items() if gate is None else [("W_hh", ("W_hh",))]:
                if gate is not None:
                    field = type(of.gates)(
                        *(np.take(a[n], gate, axis=-1) for a in of.gates[:5]), of.windows
                    )
                elif name == "W_hh":
                    field = type(of.recurrent)(
                        of.window_log_norms[n],
                        of.window_cosine[n],
                        of.window_log_error[n],
                        of.window_log_floor[n],
                        of.full_log_norm[n],
                        of.windows,
                    )
                else:
                    field = type(of.recurrent)(*(a[n] for a in of.recurrent[:5]), of.windows)
                g = vector(full, names, n, layers, gate)
                size = np.linalg.norm(g)
                assert_allclose(np.exp(field.full_log_norm), size, rtol=1e-10)
                for K in range(T):
                    a = vector(cut[K], names, n, layers, gate)
                    assert_allclose(np.exp(field.log_norms[K]), np.linalg.norm(a), rtol=1e-9)
                    cosine = a @ g / (np.linalg.norm(a) * size)
                    assert_allclose(field.cosine[K], cosine, atol=1e-10)
                    error = np.linalg.norm(a - g) / size
                    floor, found = np.exp(field.log_floor), np.exp(field.log_error[K])
                    assert floor < 1e-9
                    assert error <= floor or not np.isnan(found)
                    assert np.isnan(found) or found == pytest.approx(error, rel=1e-6, abs=1e-9)
        for name, shares, norms in (
            ("W_hh", flow.share, flow.lag_norms),
            ("W_xh", flow.share_W_xh, flow.lag_norms_W_xh),
        ):
            g = vector(full, [name], n, everywhere)
            sums = np.array([vector(a, [name], n, everywhere) for a in cut])
            lags = np.diff(sums, axis=0, prepend=0 * sums[:1])
            assert_allclose(shares[n], lags @ g / (g @ g), atol=1e-10)
            assert_allclose(norms[n], np.linalg.norm(lags, axis=1) / np.linalg.norm(g), atol=1e-9)
            assert shares[n].sum() == pytest.approx(1.0, abs=1e-12)


@EACH
def test_the_window_that_suffices_is_the_largest_over_layers(cell):
    made = stacked(cell, 3, N=3, T=8, silent=0.0)
    flow = gradient_flow(made.stack, made.sequences, **made.start)
    by_layer = [sufficient_window(layer, 0.2, of="recurrent") for layer in flow.layers]
    gates = [sufficient_window(layer, 0.2, of="gates") for layer in flow.layers]
    assert_array_equal(sufficient_window(flow, 0.2, of="gates"), np.max(gates, axis=0))
    assert_array_equal(sufficient_window(flow, 0.2), np.max(by_layer, axis=0))
    assert reach(flow).W_hh.shape == (3,)


@pytest.mark.parametrize("n_layers", [2, 3, 4])
def test_in_linear_identity_stacks_norms_are_binomials(n_layers):
    """By all paths C(k+d, d) at distance d from the top; with upper states fixed C(k+d-1, d)."""
    identity = [np.eye(1)] * 2
    layers = [RNN(*identity, activation="linear") for _ in range(n_layers - 1)]
    stack = Stack([*layers, RNN(*identity, np.eye(1), activation="linear")])
    T = 60
    flow = gradient_flow(stack, Sequences(np.zeros((T, 1, 1)), np.ones((T, 1, 1))).last_loss_only())
    for k in range(T):
        paths = [math.comb(k + d, d) for d in range(n_layers - 1, -1, -1)]
        assert_allclose(np.exp(flow.log_norms_layers[0, :, 0, k]), paths, rtol=1e-11)
        fixed = [math.comb(k + d - 1, d) if d else 1 for d in range(n_layers)]
        assert_allclose(np.exp(flow.log_norms[0, 0, k]), np.linalg.norm(fixed), rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lower", [0.5, 0.9])
def test_each_layer_has_a_range_of_its_own(dtype, lower):
    """.5 and .9, one above the other: into the lower layer sum_j .5^j .9^(k-j), whichever is it."""
    upper, T = 1.4 - lower, 3000
    made = [
        RNN(*np.array([[[1.0]], [[a]]], dtype), W_hy, activation="linear")
        for a, W_hy in ((lower, None), (upper, np.ones((1, 1), dtype)))
    ]
    data = Sequences(np.zeros((T, 1, 1), dtype), np.ones((T, 1, 1), dtype)).last_loss_only()
    flow = gradient_flow(Stack(made), data)
    k = np.arange(T)
    own = float(np.asarray(upper, dtype))
    below = (k + 1) * np.log(0.9) - np.log(0.4) + np.log1p(-((0.5 / 0.9) ** (k + 1)))
    loose = 1e-11 if dtype == "float64" else 1e-6 * (1 + k)
    assert (np.abs(flow.log_norms_layers[0, 1, 0] - k * np.log(own)) <= loose).all()
    assert (np.abs(flow.log_norms_layers[0, 0, 0] - below) <= loose).all()
    rate = growth_rate(flow.layers[0], (2000, 2999)).rate[0]
    assert rate == pytest.approx(np.log(0.9), abs=1e-6)


def test_memories_alone_carry_what_their_gates_keep():
    """The path through c is S_t dl/dh_t prod f in each layer, dl/dh_t by all paths."""
    made = stacked("lstm", 2, T=6, B=1, H=1, silent=0.0)
    flow = gradient_flow(made.stack, made.sequences.last_loss_only(), **made.start)
    along = forward(made.stack, made.sequences.inputs, **made.start)
    x = made.sequences.inputs
    for net, layer, seen in zip(made.nets(), flow.layers, along.layers, strict=True):
        h, c = seen.states[0, :, 0, 0], seen.memories[0, :, 0, 0]
        a = x[:, 0] @ net.W_xh.T + h[:-1, None] * net.W_hh[:, 0] + net.b_h
        f, o = (reference_cells.sigma(a[:, gate]) for gate in (1, 3))
        log = layer.log_norms[0, 0, 0] + np.log(o[-1] * (1 - np.tanh(c[-1]) ** 2))
        expected = log + np.cumsum(np.log(f[::-1]))[:-1]
        assert_allclose(layer.log_norms_path_c[0, 0, 1:], expected, rtol=1e-11)
        x = seen.states[0, 1:]


@EACH
def test_scaled_norms_and_few_lags_agree_with_all(cell):
    made = stacked(cell, 2, N=2, B=4, silent=0.0)
    flow = gradient_flow(made.stack, made.sequences, **made.start)
    scaled = gradient_flow(made.stack, made.sequences, state_scale="std", **made.start)
    assert scaled.state_scale.shape == (2, made.state.shape[-1])
    assert_array_equal(scaled.window_cosine, flow.window_cosine)
    few = gradient_flow(made.stack, made.sequences, max_lag=2, **made.start)
    assert_array_equal(few.log_norms, flow.log_norms[..., :3])
    assert_array_equal(few.window_cosine, flow.window_cosine[:, :3])
    one = gradient_flow(made.stack, made.sequences, n_threads=1, **made.start)
    assert_array_equal(one.log_norms_layers, flow.log_norms_layers)


def test_chunks_of_lags_change_no_bit(monkeypatch):
    made = stacked("gru", 2, N=2, T=12, silent=0.0)
    flow = gradient_flow(made.stack, made.sequences, **made.start)
    monkeypatch.setattr(kernels, "lags_at_once", lambda T, B, S: 5)
    other = gradient_flow(made.stack, made.sequences, **made.start)
    for name in ("log_norms", "window_cosine", "share", "log_norms_layers"):
        assert_array_equal(getattr(other, name), getattr(flow, name))


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_flow_of_one_layer_is_that_of_its_network(cell, dtype):
    made = stacked(cell, 1, N=2, dtype=dtype)
    (rnn,), start = made.stack.layers, {name: a[0] for name, a in made.start.items()}
    one = gradient_flow(rnn, made.sequences, **start)
    found = gradient_flow(made.stack, made.sequences, **made.start)
    for name in ("log_norms", "window_log_error", "share", "lag_norms_W_xh"):
        assert_array_equal(getattr(found, name), getattr(one, name))
    assert found.log_norms_layers.shape == (2, 1, *one.log_norms.shape[1:])


def test_single_precision_is_near_double():
    made = stacked("lstm", 2, B=3, D=4)
    single = stacked("lstm", 2, B=3, D=4, dtype="float32")
    flow = gradient_flow(made.stack, made.sequences, **made.start)
    found = gradient_flow(single.stack, single.sequences, **single.start)
    for name in ("log_norms", "window_cosine", "share", "log_norms_layers"):
        a, b = getattr(flow, name), getattr(found, name)
        assert_allclose(a[np.isfinite(a)], b[np.isfinite(a)], atol=TOLERANCE["float32"])


def test_layers_without_a_gradient_have_no_share():
    """A readout of zeros: all is 0; an upper layer that reads nothing: the lower one is."""
    made = stacked("tanh", 2, silent=0.0)
    below, top = made.stack.layers
    still = Stack([below, top.with_weights(top.weights._replace(W_xh=0 * top.W_xh))])
    flow = gradient_flow(still, made.sequences, **made.start)
    assert np.isneginf(flow.log_norms_layers[0, 0, :, 0]).all()
    assert np.isnan(flow.layers[0].share).all()
    assert_allclose(flow.share, flow.layers[1].share, rtol=1e-12)
    assert_allclose(flow.window_cosine, flow.layers[1].window_cosine, rtol=1e-12)
    none = Stack([below, top.with_weights(top.weights._replace(W_hy=0 * top.W_hy))])
    nothing = gradient_flow(none, made.sequences, **made.start)
    assert np.isneginf(nothing.full_log_norm).all()
    assert np.isnan(nothing.share).all()
    assert np.isnan(sufficient_window(nothing)).all()


def test_a_stack_that_leaves_the_range_harms_no_neighbour():
    made = stacked("linear", 2, N=2, T=400, B=1, silent=0.0)
    wild = [
        layer.with_weights(
            layer.weights._replace(W_hh=np.array([1e3, 0.3])[:, None, None] * layer.W_hh)
        )
        for layer in made.stack.layers
    ]
    with np.errstate(all="ignore"):
        flow = gradient_flow(Stack(wild), made.sequences, max_lag=20, **made.start)
        alone = gradient_flow(Stack(wild)[1], made.sequences, max_lag=20, **made.start)
    assert flow.first_nonfinite[0] > 0
    assert flow.first_nonfinite[1] == -1
    assert_array_equal(flow.log_norms[1], alone.log_norms[0])
