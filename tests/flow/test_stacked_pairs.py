"""The flow map of stacked pairs: beside complex steps, the decoder's own map, laws."""

import numpy as np
import pytest
import reference
import reference_pairs
import reference_stacks
from numpy.testing import assert_allclose, assert_array_equal
from pair_builders import pair_case, plain_stacks, stacked_pair

import rnnsim

pytestmark = pytest.mark.nojit
CELLS = [("tanh", "tanh"), ("linear", "relu"), ("lstm", "lstm"), ("gru", "lstm"), ("lstm", "gru")]


def explicit(made, n):
    """Gradients of each loss (part, row, place): (B, .), by complex steps of whole states."""
    encoders, decoders, source, (x, targets, weights), cells = plain_stacks(made, n)
    (T_s, B, _), T = source.shape, len(x)
    rest = [reference_pairs.at_rest(net, cells[0], B) for net in encoders]
    read = reference_stacks.unfold(encoders, source, np.concatenate(rest, axis=1), cells[0])
    first = reference_pairs.crossed(encoders, decoders, read[-1], cells)
    written = reference_stacks.unfold(decoders, x, first, cells[1])

    def losses(j, state):
        """Of steps j..T, where it is not 0: the sum over sequences, none of which meets another."""
        states = reference_stacks.unfold(decoders, x[j:], state, cells[1])
        found = np.zeros(T + 1, complex)
        for t, b in zip(*np.nonzero(weights), strict=True):
            if t + 1 >= j:
                y = reference_stacks.read(decoders, states[t + 1 - j])[2][b]
                found[t + 1] += weights[t, b] * reference.step_loss(y, targets[t, b])
        return found

    def through(j, state, source=source):
        last = reference_stacks.unfold(encoders, source[j:], state, cells[0])[-1]
        return losses(0, reference_pairs.crossed(encoders, decoders, last, cells))

    def of_input(j):
        def moved(x_j):
            return through(0, read[0], [*source[:j], x_j, *source[j + 1 :]])

        return reference.derivative(moved, source[j])

    found = {}
    steps = made.pairs.target.loss_steps
    for j in range(T + 1):
        of_j = reference.derivative(lambda a, j=j: losses(j, a), written[j])
        found |= {("decoder", i, j): of_j[t] for i, t in enumerate(steps) if t >= j}
    for j in range(T_s + 1):
        of_j = reference.derivative(lambda a, j=j: through(j, a), read[j])
        found |= {("encoder", i, j): of_j[t] for i, t in enumerate(steps)}
    for j in range(T_s):
        of_j = of_input(j)
        found |= {("source", i, j): of_j[t] for i, t in enumerate(steps)}
    return found


@pytest.mark.parametrize("n_layers", [2, 3])
@pytest.mark.parametrize("H_e", [3, 2])  # memories go over where there are as many
@pytest.mark.parametrize("cells", CELLS)
def test_map_is_that_of_complex_steps(cells, H_e, n_layers):
    if n_layers == 3 and (H_e == 2 or cells[0] == "gru"):
        pytest.skip("seen with two layers")
    made = stacked_pair(n_layers, 3, cells=cells, H_e=H_e, N=2, T=4, silent=0.3)
    flow = rnnsim.pairs_flow(*made)
    assert flow.first_nonfinite.tolist() == [-1, -1]
    for n in range(2):
        for (part, i, j), rows in explicit(made, n).items():
            norms = np.linalg.norm(rows, axis=1)
            live = norms > 0
            found = getattr(flow, part)
            assert_allclose(found.live[n, i, j], live.mean())
            expected = np.log(norms[live]).mean() if live.any() else -np.inf
            assert_allclose(found.log_norms[n, i, j], expected, rtol=1e-9, atol=1e-10)
            with np.errstate(divide="ignore"):
                rms = 0.5 * np.log((norms**2).mean())
            assert_allclose(found.log_rms[n, i, j], rms, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_map_inside_the_decoder_is_that_of_gradient_flow(cells, dtype):
    made = stacked_pair(2, 5, cells=cells, T=6, dtype=dtype)
    flow = rnnsim.pairs_flow(*made)
    found = rnnsim.pairs_bptt(*made)
    decoder, start = made.model.decoder, {}
    states = rnnsim.forward(made.model.encoder, made.pairs.source)
    bridge = made.model.encoder.layers[-1]
    start["h0"] = states.final_h @ bridge.W_hy[:, None].mT + bridge.b_y[:, None, None]
    if cells[1] == "lstm":
        own = states.final_c if made.model.hands_over_c else np.zeros_like(found.c0)
        start["c0"] = own
    alone = rnnsim.gradient_flow(decoder, made.pairs.target, **start)
    for i, t in enumerate(flow.steps):
        expected = alone.log_norms[0, i, :t][::-1]
        tolerance = {"rtol": 1e-8, "atol": 1e-9} if dtype == "float64" else {"atol": 2e-5}
        assert_allclose(flow.decoder.log_norms[0, i, 1 : t + 1], expected, **tolerance)
    assert np.isnan(flow.decoder.log_norms[0, 0, flow.steps[0] + 1 :]).all()


def test_one_loss_adds_up_to_what_passes_the_boundary():
    made = stacked_pair(2, 6, cells=("lstm", "lstm"), B=1)
    target = made.pairs.target.last_loss_only()
    pairs = rnnsim.Pairs(made.pairs.source, target)
    flow, found = rnnsim.pairs_flow(made.model, pairs), rnnsim.pairs_bptt(made.model, pairs)
    norm = np.sqrt((found.h0**2).sum() + (found.c0**2).sum())
    assert_allclose(flow.decoder.log_norms[0, 0, 0], np.log(norm), rtol=1e-10)


def test_norms_beyond_the_range_of_floats():
    """Two layers of rho times the identity: C(k + d, d) rho^k, on both sides of the boundary."""
    one, T = np.eye(1), 400
    rho = 1e-3 * one
    below, top = (rnnsim.RNN(one, rho, *out, activation="linear") for out in ([], [one]))
    stack = rnnsim.Stack([below, top])
    target = rnnsim.Sequences(np.zeros((T, 1, 1)), np.ones((T, 1, 1))).last_loss_only()
    model = rnnsim.EncoderDecoder(stack, stack)
    flow = rnnsim.pairs_flow(model, rnnsim.Pairs(np.zeros((T, 1, 1)), target))
    change = flow.decoder.log_norms[0, 0, 1] - flow.decoder.log_norms[0, 0, T]
    assert_allclose(change, (T - 1) * np.log(1e-3) + np.log(np.hypot(1, T - 1)), rtol=1e-9)
    assert np.isfinite(flow.source.log_norms).all()
    assert flow.source.log_norms[0, 0, 0] < -5000


def test_stacks_of_one_layer_are_their_networks():
    made = pair_case()
    parts = made.model.encoder, made.model.decoder
    stacked = rnnsim.EncoderDecoder(*(rnnsim.Stack([part]) for part in parts))
    one, other = rnnsim.pairs_flow(*made), rnnsim.pairs_flow(stacked, made.pairs)
    for a, b in zip(one.encoder, other.encoder, strict=True):
        assert_array_equal(a, b)


def test_a_network_beyond_the_range_is_named_and_the_other_is_not_harmed():
    sizes = {"n_source_inputs": 1, "n_inputs": 1, "n_hidden": 2, "n_outputs": 1}
    model = rnnsim.EncoderDecoder.sample(
        2, **sizes, n_layers=2, gain=[0.5, 1e200], activation="linear", rng=0
    )
    target = rnnsim.Sequences(np.ones((4, 1, 1)), np.ones((4, 1, 1)))
    pairs = rnnsim.Pairs(np.ones((3, 1, 1)), target)
    flow = rnnsim.pairs_flow(model, pairs)
    assert flow.first_nonfinite[0] == -1
    assert flow.first_nonfinite[1] > 0
    alone = rnnsim.pairs_flow(model[0], pairs)
    for part in ("decoder", "encoder", "source"):
        assert_array_equal(getattr(flow, part).log_norms[:1], getattr(alone, part).log_norms)
        assert np.isnan(getattr(flow, part).log_norms[1]).all()


def test_gradient_map_puts_both_on_one_axis():
    made = stacked_pair(2, 7)
    found, flow = rnnsim.gradient_map(*made), rnnsim.pairs_flow(*made)
    T_s = made.pairs.n_source_steps
    assert_array_equal(found.log_norms[..., :T_s], flow.encoder.log_norms[:, :, 1:])
    assert_array_equal(found.log_norms[..., T_s:], flow.decoder.log_norms[:, :, 1:])
