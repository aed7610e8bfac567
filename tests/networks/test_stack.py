"""Stacks: what is accepted, what is refused in which words, and the laws of their draws."""

import copy
import pickle

import builders
import numpy as np
import pytest
from builders import ACTIVATIONS
from calls import WRONG
from numpy.testing import assert_array_equal
from stack_builders import KINDS, stacked

import rnnsim
from rnnsim import RNN, Pairs, Sequences, Stack
from rnnsim.networks.initialisation import SCHEMES

pytestmark = pytest.mark.nojit
SIZES = {"n_inputs": 3, "n_hidden": 4, "n_outputs": 2}
CELLS = ("vanilla", "lstm", "gru")
BATCH = Sequences(np.ones((25, 2, 3)), np.zeros((25, 2), int))
EACH_CELL = pytest.mark.parametrize("cell", CELLS)


def sample(n_networks=1, n_layers=2, **changes):
    return Stack.sample(n_networks, n_layers=n_layers, **{**SIZES, "rng": 0, **changes})


def layer(D=4, V=0, N=1, **options):
    sizes = {"n_inputs": D, "n_hidden": 4, "n_outputs": V, "rng": 1}
    return RNN.sample(N, **{**sizes, **options})


def same(one, other):
    """Equal to the bit, with the same cell and phi."""
    for a, b in zip(one.layers, other.layers, strict=True):
        assert (a.cell, a.activation) == (b.cell, b.activation)
        builders.same_bits(a.weights, b.weights)


def test_layers_are_kept_as_given_and_tell_the_sizes():
    lower, upper = layer(3, N=2, cell="lstm"), layer(4, 5, N=2, cell="lstm")
    stack = Stack(each for each in (lower, upper))
    assert stack.layers == (lower, upper)
    sizes = (stack.n_layers, stack.n_networks, stack.n_inputs, stack.n_hidden, stack.n_outputs)
    assert sizes == (2, 2, 3, 4, 5)
    assert (stack.cell, stack.n_gates, stack.activation, len(stack)) == ("lstm", 4, "tanh", 2)
    assert stack.dtype == np.float64
    assert Stack([layer(3)]).n_outputs == 0


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"cell": "gru"}, "cell='gru'"),
        ({"activation": "relu"}, "cell='vanilla', activation='relu'"),
    ],
)
@pytest.mark.parametrize("D", [3, 4, 40])  # fewer, as many and more than the units
def test_repr_has_the_inputs_of_the_lowest_and_the_outputs_of_the_top(options, kind, D):
    assert repr(sample(2, 3, **options, n_inputs=D, dtype="float32")) == (
        f"Stack(n_layers=3, n_networks=2, n_inputs={D}, n_hidden=4, n_outputs=2, {kind}, "
        "dtype=float32)"
    )


@pytest.mark.parametrize("value", [None, 3, "ab", {1: 2}, layer(3).weights.W_xh[0, 0, 0]])
def test_what_is_no_series_is_refused(value):
    with pytest.raises(TypeError, match=r"`layers` must be a series of rnnsim.RNN, the lowest"):
        Stack(value)


@pytest.mark.parametrize("ensemble", [layer(4, N=2), sample(2)])
def test_the_networks_of_an_ensemble_are_no_layers(ensemble):
    with pytest.raises(TypeError, match=r"`layers` must be .*, got .*; give \[rnn\] for one"):
        Stack(ensemble)


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([], ValueError, "`layers` must hold one RNN at least, got none"),
        ([None], TypeError, r"`layers\[0\]` must be a rnnsim.RNN, got NoneType; wrap weights"),
        ([layer(3), np.eye(4)], TypeError, r"`layers\[1\]` must be a rnnsim.RNN, got ndarray"),
        ([layer(3), sample(n_inputs=4)], TypeError,
         r"`layers\[1\]` .* got Stack; .* its .layers\[l\] is the RNN of a layer"),
        ([layer(3), layer(N=2)], ValueError,
         r"`layers` must agree in n_networks: layers\[0\] has 1, layers\[1\] has 2"),
        ([layer(3), layer(), layer(n_hidden=5)], ValueError,
         r"agree in n_hidden: layers\[0\] has 4, layers\[2\] has 5"),
        ([layer(3), layer(cell="gru")], ValueError, "agree in cell: .* vanilla, .* has gru"),
        ([layer(3), layer(activation="relu")], ValueError, "agree in activation: .* has relu"),
        ([layer(3), layer(dtype="float32")], ValueError, "agree in dtype: .* has float32"),
        ([layer(3), layer(3)], ValueError,
         r"`layers\[1\]` must read the states of the layer below, n_inputs = n_hidden = 4, got "
         r"n_inputs = 3; layers go from the lowest"),
        ([layer(4, 2), layer(3)], ValueError, r"`layers\[1\]` must read"),  # the wrong way round
        ([layer(3, 2), layer(4, 2)], ValueError,
         r"`layers\[0\]` must have no readout, .*got n_outputs = 2; leave out its W_hy and b_y"),
    ],
)  # fmt: skip
def test_layers_that_make_no_stack_are_refused(layers, error, message):
    with pytest.raises(error, match=message):
        Stack(layers)


@EACH_CELL
@pytest.mark.parametrize("scheme", [*SCHEMES, "pytorch"])
def test_a_deeper_draw_begins_with_the_shallower_and_one_layer_is_an_rnn(cell, scheme):
    options = {"cell": cell, "scheme": scheme, "gain": 0.7}
    one = RNN.sample(2, **SIZES, **options, rng=0)
    builders.same_bits(sample(2, 1, **options).layers[0].weights, one.weights)
    shallow, deep = (sample(2, n, **options) for n in (2, 4))
    for a, b in zip(shallow.layers, deep.layers, strict=False):
        for name in ("W_xh", "W_hh", "b_h"):
            builders.same_bits(getattr(a, name), getattr(b, name))
    builders.same_bits(deep.layers[0].W_hh, one.W_hh)
    assert [each.n_outputs for each in deep.layers] == [0, 0, 0, 2]
    distinct = {each.W_hh.tobytes() for each in deep.layers}
    assert len(distinct) == (1 if scheme == "identity" else 4)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gain_dtype_activation_and_size_of_the_ensemble_leave_the_draw(activation):
    one = sample(2)
    scaled = sample(3, gain=2.0, activation=activation, dtype="float32")
    for a, b in zip(one.layers, scaled[:2].layers, strict=True):
        assert_array_equal((2.0 * a.W_hh).astype("float32"), b.W_hh)
        assert_array_equal(a.W_xh.astype("float32"), b.W_xh)
    same(sample(2, rng=np.random.default_rng(0)), one)


def test_forget_bias_and_chrono_reach_every_layer():
    biased = sample(n_layers=3, cell="lstm", forget_bias=2.0)
    for each in biased.layers:
        assert_array_equal(each.b_h[0].reshape(4, 4), [[0] * 4, [2] * 4, [0] * 4, [0] * 4])
    slow = sample(n_layers=2, cell="lstm", chrono=100)
    for each in slow.layers:
        i, f = each.b_h[0, :4], each.b_h[0, 4:8]
        assert_array_equal(i, -f)
        assert (f >= 0).all()
        assert (f <= np.log(99)).all()
        assert np.ptp(f) > 0


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "2"])
def test_numbers_of_layers_that_are_none(value):
    with pytest.raises((TypeError, ValueError), match=r"`n_layers` must be"):
        sample(n_layers=value)


def test_indexing_selects_networks_in_every_layer():
    stack = sample(4, 3, cell="gru")
    for index, expected in ((1, [1]), (-1, [3]), (slice(1, None, 2), [1, 3])):
        part = stack[index]
        assert (part.n_layers, part.n_networks) == (3, len(expected))
        for a, b in zip(part.layers, stack.layers, strict=True):
            assert_array_equal(a.W_hh, b.W_hh[expected])
    assert [len(each) for each in stack] == [1, 1, 1, 1]
    with pytest.raises(IndexError, match=r"is beyond the 4 networks"):
        stack[4]
    with pytest.raises(IndexError, match=r"selects none of the 4 networks"):
        stack[4:]


@pytest.mark.parametrize("cell", KINDS)
def test_it_comes_back_from_a_pickle_and_as_a_copy(cell):
    stack = stacked(cell, 3, N=2).stack
    for again in (pickle.loads(pickle.dumps(stack)), copy.copy(stack), copy.deepcopy(stack)):
        assert type(again) is Stack
        same(again, stack)


def test_astype_rounds_every_layer():
    stack = sample(2, cell="lstm")
    narrow = stack.astype("float32")
    assert narrow.dtype == np.float32
    for a, b in zip(narrow.layers, stack.layers, strict=True):
        assert_array_equal(a.W_hh, b.W_hh.astype("float32"))
    same(narrow.astype("float64").astype("float32"), narrow)
    with pytest.raises(TypeError, match=r"`dtype` must be 'float32' or 'float64', got 'int64'"):
        stack.astype(int)


def test_with_weights_takes_one_set_for_each_layer():
    stack = sample(2, 3, activation="relu")
    weights = [each.weights for each in stack.layers]
    same(stack.with_weights(weights), stack)
    same(stack.with_weights(w for w in weights), stack)
    twice = [w._replace(W_hh=2 * w.W_hh) for w in weights]
    assert_array_equal(stack.with_weights(twice).layers[2].W_hh, 2 * stack.layers[2].W_hh)
    with pytest.raises(ValueError, match=r"`weights` must hold one .* each of 3 layers, got 2"):
        stack.with_weights(weights[:2])
    with pytest.raises(ValueError, match=r"`weights` must hold one .* each of 3 layers, got None"):
        stack.with_weights(None)
    with pytest.raises(TypeError, match=r"`weights` must be a rnnsim.Weights.*got array"):
        stack.with_weights([*weights[:2], np.ones(3)])


RUNS = {
    "forward": lambda stack, **s: rnnsim.forward(stack, BATCH.inputs, **s),
    "evaluate": lambda stack, **s: rnnsim.evaluate(stack, BATCH, **s),
    "bptt": lambda stack, **s: rnnsim.bptt(stack, BATCH, **s),
    "truncated_bptt": lambda stack, **s: rnnsim.truncated_bptt(stack, BATCH, window=2, **s),
    "gradient_flow": lambda stack, **s: rnnsim.gradient_flow(stack, BATCH, **s),
    "jacobians": lambda stack, **s: rnnsim.jacobians(stack, BATCH.inputs, **s),
    "lyapunov_spectrum": lambda stack, **s: rnnsim.lyapunov_spectrum(stack, BATCH.inputs, **s),
}


@pytest.mark.parametrize("name", ["h0", "c0"])
@pytest.mark.parametrize("shape", [(4,), (2, 4), (3, 2, 4), (2, 3, 4), (2, 2, 5), (3, 2, 2, 4)])
@pytest.mark.parametrize("run", RUNS)
def test_first_states_of_other_shapes_are_refused(run, name, shape):
    with pytest.raises(
        ValueError,
        match=rf"`{name}` must be .*\(n_layers, n_sequences, n_hidden\)( = \(2, 2, 4\))?.* got "
        "shape",
    ):
        RUNS[run](sample(5, cell="lstm"), **{name: np.zeros(shape)})


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 5), (2, 2, 4), (3, 1, 2, 4)])
@pytest.mark.parametrize("run", RUNS)
def test_so_they_are_of_a_stack_of_one_layer(run, shape):
    with pytest.raises(ValueError, match=r"`h0` must be .*\(n_layers, n_sequences, n_hidden\)"):
        RUNS[run](sample(5, 1), h0=np.zeros(shape))


@pytest.mark.parametrize("name", ["h0", "c0"])
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("run", RUNS)
def test_whatever_is_given_for_first_states_is_refused_by_name(run, n_layers, name):
    stack = sample(5, n_layers, cell="lstm")
    for value, make in WRONG.items():
        if value != "None":
            with pytest.raises((ValueError, TypeError), match=f"`{name}` ") as refused:
                RUNS[run](stack, **{name: make()})
            assert len(str(refused.value)) < 700, value


@EACH_CELL
def test_states_come_layer_by_layer_and_go_on(cell):
    stack = sample(5, 3, cell=cell)
    found = rnnsim.forward(stack, BATCH.inputs)
    assert len(found.below) == 2
    assert found.layers[2].states is found.states
    assert [each.states.shape for each in found.layers] == [(5, 26, 2, 4)] * 3
    assert all(each.outputs.shape == (5, 25, 2, 0) for each in found.below)
    ends = [each.states[:, -1] for each in found.layers]
    assert_array_equal(found.final_h, np.stack(ends, axis=1))
    assert (found.final_c is None) == (cell != "lstm")
    first = rnnsim.forward(stack, BATCH.inputs[:10])
    on = rnnsim.forward(stack, BATCH.inputs[10:], h0=first.final_h, c0=first.final_c)
    assert_array_equal(on.outputs, found.outputs[:, 10:])


@pytest.mark.parametrize("cell", ["vanilla", "gru"])
def test_memories_are_of_lstms(cell):
    with pytest.raises(ValueError, match=r"`c0` is the first memory of LSTMs, got `rnn` with"):
        RUNS["bptt"](sample(cell=cell), c0=np.zeros((2, 2, 4)))


PAIRS = Pairs(np.ones((3, 2, 3)), Sequences(np.ones((4, 2, 2)), np.ones((4, 2), int)))
OF_ONE_LAYER = {
    "spectrum": rnnsim.spectrum,
    "leading_spectrum": lambda stack: rnnsim.leading_spectrum(stack, k=1),
    "nonnormality": rnnsim.nonnormality,
    "pseudospectrum": lambda stack: rnnsim.pseudospectrum(stack, n_points=2),
    "transient_growth": lambda stack: rnnsim.transient_growth(stack, lags=[1]),
    "with_departure": lambda stack: rnnsim.with_departure(stack, 1.0),
}


@pytest.mark.parametrize("name", OF_ONE_LAYER)
def test_what_is_of_one_layer_says_where_the_layers_are(name):
    with pytest.raises(
        TypeError,
        match=r"^`rnn` must be a rnnsim.RNN, got Stack; a stack is more than one "
        r"network; its .layers\[l\] is the RNN of a layer$",
    ):
        OF_ONE_LAYER[name](sample())


@pytest.mark.parametrize("run", [rnnsim.pairs_bptt, rnnsim.pairs_evaluate, rnnsim.pairs_flow])
def test_pairs_are_of_two_networks(run):
    with pytest.raises(TypeError, match=r"EncoderDecoder, got Stack; one RNN or Stack and its"):
        run(sample(), PAIRS)


def test_a_penalty_is_of_one_matrix():
    with pytest.raises(ValueError, match="`penalty` must be 0 for stacks of several layers"):
        rnnsim.train(sample(), BATCH, n_updates=1, penalty=1.0, rng=0)


def test_a_loss_needs_a_readout_on_top():
    lower, upper = sample().layers
    without = RNN(upper.W_xh, upper.W_hh, b_h=upper.b_h)
    with pytest.raises(ValueError, match="`rnn` must have a readout for a loss on its outputs"):
        rnnsim.bptt(Stack([lower, without]), BATCH)
