"""LSTMs and GRUs as arrays: what is accepted, what is refused in which words, and what is kept."""

import copy
import pickle
import re

import builders
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim import RNN, EncoderDecoder, Weights
from rnnsim.networks.cells import CELLS
from rnnsim.networks.rnn import joined

GATED = ("lstm", "gru")
N, D, H, V = 2, 3, 4, 2
SIZES = {"n_inputs": D, "n_hidden": H, "n_outputs": V}


def arrays(cell, dtype="float64"):
    G = {"vanilla": 1, "lstm": 4, "gru": 3}[cell]
    entries = 16 if cell == "gru" else G * H
    shapes = {
        "W_xh": (N, G * H, D), "W_hh": (N, G * H, H), "W_hy": (N, V, H), "b_h": (N, entries),
        "b_y": (N, V),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def test_the_table_agrees_with_the_frameworks_order():
    assert CELLS["lstm"].gates == ("i", "f", "g", "o")
    assert CELLS["gru"].gates == ("r", "z", "n")
    assert CELLS["gru"].biases == ("r", "z", "n_x", "n_h")
    assert {name: cell.keeps for name, cell in CELLS.items()} == {
        "vanilla": "", "lstm": "f", "gru": "z",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", builders.DTYPES)
@pytest.mark.parametrize(("cell", "gates"), [("vanilla", 1), ("lstm", 4), ("gru", 3)])
def test_weights_come_back_as_given(cell, gates, dtype):
    given = arrays(cell, dtype)
    rnn = RNN(**given, cell=cell)
    builders.same_bits(rnn.weights, Weights(**given))
    assert (rnn.cell, rnn.n_gates, rnn.activation, rnn.dtype) == (cell, gates, "tanh", dtype)
    assert (rnn.n_networks, rnn.n_inputs, rnn.n_hidden, rnn.n_outputs) == (N, D, H, V)
    one = RNN(**{name: array[1] for name, array in given.items()}, cell=cell)
    builders.same_bits(one.weights, rnn[1].weights)
    bare = RNN(given["W_xh"], given["W_hh"], given["W_hy"], cell=cell)
    assert bare.b_h.shape == given["b_h"].shape
    assert not bare.b_h.any()
    assert bare.b_h.dtype == dtype


def test_the_cell_is_shown():
    sizes = "n_networks=2, n_inputs=3, n_hidden=4, n_outputs=2"
    assert repr(RNN(**arrays("gru"), cell="gru")) == f"RNN({sizes}, cell='gru', dtype=float64)"
    assert repr(RNN(**arrays("vanilla"), activation="sigmoid")) == (
        f"RNN({sizes}, cell='vanilla', activation='sigmoid', dtype=float64)"
    )


CHANGES = {
    "slice": lambda rnn: rnn[::-1][::-1],
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda rnn: pickle.loads(pickle.dumps(rnn)),
    "with_weights": lambda rnn: rnn.with_weights(rnn.weights),
    "astype": lambda rnn: rnn.astype(rnn.dtype),
    "joined": lambda rnn: joined([rnn[:1], rnn[1:]]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("readout", [True, False])
@pytest.mark.parametrize("dtype", builders.DTYPES)
@pytest.mark.parametrize(
    "kind",
    [{"cell": "lstm"}, {"cell": "gru"}, {"activation": "sigmoid"}, {"activation": "relu"}],
    ids=str,
)
def test_what_is_made_of_a_network_has_its_cell(kind, dtype, readout, change):
    given = arrays(kind.get("cell", "vanilla"), dtype)
    if not readout:
        del given["W_hy"], given["b_y"]
    rnn = RNN(**given, **kind)
    other = CHANGES[change](rnn)
    assert repr(other) == repr(rnn)
    assert (other.cell, other.activation) == (rnn.cell, rnn.activation)
    builders.same_bits(other.weights, rnn.weights)


@pytest.mark.parametrize("cell", CELLS)
def test_a_network_may_have_no_readout(cell):
    given = arrays(cell)
    rnn = RNN(given["W_xh"], given["W_hh"], b_h=given["b_h"], cell=cell)
    assert (rnn.n_outputs, rnn.W_hy.shape, rnn.b_y.shape) == (0, (N, 0, H), (N, 0))
    again = RNN(given["W_xh"], given["W_hh"], np.zeros((N, 0, H)), given["b_h"], cell=cell)
    builders.same_bits(again.weights, rnn.weights)
    assert rnn.astype("float32").W_hy.dtype == np.float32


def zeros(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("cell", "changes", "message"),
    [
        ("vanilla", {"W_hh": zeros(16, 4)},
         r"`W_hh` must be \(n_hidden, n_hidden\), got \(16, 4\), which is 4\*4 rows: an LSTM\? "
         "give cell='lstm'"),
        ("vanilla", {"W_hh": zeros(12, 4)}, r"which is 3\*4 rows: a GRU\? give cell='gru'"),
        ("gru", {"W_hh": zeros(2, 16, 4)},
         r"`W_hh` must be \(3\*n_hidden, n_hidden\) for cell='gru', got \(16, 4\), which is 4\*4 "
         r"rows: an LSTM\? give cell='lstm'"),
        ("lstm", {"W_hh": zeros(12, 4)}, r"which is 3\*4 rows: a GRU\? give cell='gru'"),
        ("lstm", {"W_hh": zeros(4, 4)},
         r"got \(4, 4\), which is square: a vanilla network\? give cell='vanilla'"),
        ("gru", {"W_hh": zeros(4, 4)}, r"a vanilla network\? give cell='vanilla'"),
        ("lstm", {"W_hh": zeros(20, 4)},
         r"`W_hh` must be \(4\*n_hidden, n_hidden\) for cell='lstm', got \(20, 4\)$"),
        ("lstm", {"W_hh": zeros(2, 4, 16)},
         r"got \(4, 16\), which looks transposed: give its \.mT, with the blocks in the order i"),
        ("gru", {"W_hh": zeros(3, 4, 4)},
         r"got \(4, 4\), 3 of them, one for each gate\? np\.concatenate them: r, z, n"),
        ("lstm", {"W_xh": zeros(2, 3, 16)},
         r"`W_xh` .* = \(2, 16, 16\) .* got \(2, 3, 16\), which looks transposed: give W_xh\.mT"),
        ("vanilla", {"W_xh": zeros(2, 3, 4)}, r"got \(2, 3, 4\), .* transposed: give W_xh\.mT"),
        ("lstm", {"W_hy": zeros(2, 4, 2)}, r"`W_hy` .* got \(2, 4, 2\), .* give W_hy\.mT"),
        ("lstm", {"W_hh": zeros(4)},
         r"`W_hh` must be \(n_networks, 4\*n_hidden, n_hidden\), or without .* got shape \(4,\)"),
        ("lstm", {"W_xh": zeros(2, 4, 3)},
         r"`W_xh` must be \(n_networks, 4\*n_hidden, n_inputs\) = \(2, 16, 3\) to fit `W_hh` of "
         r"shape \(2, 16, 4\) for cell='lstm', got \(2, 4, 3\)"),
        ("lstm", {"b_h": zeros(2, 32)},
         r"`b_h` must be \(n_networks, 4\*n_hidden\) = \(2, 16\) .* got \(2, 32\): two biases, as "
         r"PyTorch's bias_ih and bias_hh\? add them"),
        ("vanilla", {"b_h": zeros(2, 8)}, r"`b_h` .* got \(2, 8\): two biases, .* add them"),
        ("gru", {"b_h": zeros(2, 24)},
         r"`b_h` must be \(n_networks, 4\*n_hidden\) = \(2, 16\) .* got \(2, 24\): two biases of "
         r"each gate\? add those of r and z, and keep the two of n apart, .* 4\*4"),
        ("gru", {"b_h": zeros(2, 12)},
         r"`b_h` .* got \(2, 12\): the n gate has two biases, of the input and of the state: 4\*4"),
        ("gru", {"b_h": zeros(2, 5)}, r"`b_h` must be .* got \(2, 5\)$"),
        ("lstm", {"W_hy": zeros(2, 0, 5)}, r"`W_hy` must be .* = \(2, 0, 4\) .* got \(2, 0, 5\)"),
        ("lstm", {"W_hy": None}, "`b_y` is the bias of a readout: give `W_hy` too"),
        ("lstm", {"activation": "relu"},
         r"`activation` is phi of vanilla networks, and an LSTM has its own .* got 'relu'; leave"),
        ("gru", {"activation": "sigmoid"}, r"`activation` .* a GRU has its own .* got 'sigmoid'"),
        ("LSTM", {}, "`cell` must be one of 'vanilla', 'lstm', 'gru', got 'LSTM'"),
        (None, {}, "`cell` must be one of 'vanilla', 'lstm', 'gru', got None"),
    ],
)  # fmt: skip
def test_shapes_that_disagree_teach(cell, changes, message):
    with pytest.raises(ValueError, match=message):
        RNN(**{**arrays(cell if cell in CELLS else "lstm"), **changes}, cell=cell)


@pytest.mark.parametrize(
    ("cell", "message"), [("lstm", "bias_hh? add them"), ("gru", "keep the two of n apart")]
)
def test_two_biases_behind_each_other_are_told(cell, message):
    one = {name: array[0] for name, array in arrays(cell).items()}
    rows = len(one["W_hh"])
    with pytest.raises(ValueError, match=rf"`b_h` .* got \(2, {rows}\): .*{re.escape(message)}"):
        RNN(**one | {"b_h": zeros(2, rows)}, cell=cell)


def test_both_first_states_as_pytorch_has_them_are_told_apart():
    both = zeros(2, H), zeros(2, H)
    with pytest.raises(TypeError, match=r"`h0` must be h alone, .* c as `c0`"):
        rnnsim.forward(gated(), zeros(3, 2, D), h0=both)
    assert rnnsim.forward(gated("gru"), zeros(3, 2, D), h0=both).states.shape == (2, 4, 2, H)


@pytest.mark.parametrize(("cell", "most"), [("lstm", r"2\*n_hidden = 8"), ("gru", "n_hidden = 4")])
def test_exponents_are_as_many_as_the_state_has_numbers(cell, most):
    with pytest.raises(ValueError, match=rf"`n_exponents` must be at most {most}, got 9"):
        rnnsim.lyapunov_spectrum(gated(cell), n_steps=60, rng=0, n_exponents=9)


def test_c0_alone_says_how_many_sequences_there_are():
    found = rnnsim.lyapunov_spectrum(gated(), n_steps=60, rng=0, c0=zeros(3, H))
    assert found.finite_time.shape[:2] == (2, 3)
    with pytest.raises(ValueError, match=r"`c0` must be \(n_sequences, .* got shape \(2, 4\)"):
        rnnsim.lyapunov_spectrum(gated(), n_steps=60, h0=zeros(3, H), c0=zeros(2, H))


@pytest.mark.parametrize("cell", GATED)
def test_gates_without_units_are_refused(cell):
    with pytest.raises(ValueError, match=r"must have at least one entry .*n_hidden is 0"):
        RNN(zeros(1, 0, 2), zeros(1, 0, 0), cell=cell)


def gated(cell="lstm", n_outputs=V):
    return RNN.sample(2, **SIZES | {"n_outputs": n_outputs}, cell=cell, rng=0)


SEQUENCES = rnnsim.Sequences(zeros(3, 2, D), np.zeros((3, 2, V)))
REFUSING = {
    "transient_growth": lambda rnn: rnnsim.transient_growth(rnn, [1]),
    "nonnormality": rnnsim.nonnormality,
    "pseudospectrum": rnnsim.pseudospectrum,
    "leading_spectrum": lambda rnn: rnnsim.leading_spectrum(rnn, 1),
}


@pytest.mark.parametrize("name", REFUSING)
@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3)])
def test_what_is_of_one_matrix_asks_for_one(name, cell, gates):
    rnn = gated(cell)
    message = (
        rf"`rnn` must hold vanilla networks here, got cell='{cell}': W_hh stacks the blocks of "
        rf"{gates} gates; give one, such as rnn.W_hh\[:, :4\], or look at the Jacobians along"
    )
    with pytest.raises(ValueError, match=message):
        REFUSING[name](rnn)
    assert REFUSING[name](rnn.W_hh[:, :4]) is not None


@pytest.mark.parametrize("cell", GATED)
def test_what_is_of_vanilla_networks_refuses_others(cell):
    rnn = gated(cell)
    with pytest.raises(ValueError, match=rf"`rnn` must .* got cell='{cell}': .* no eigenvalues"):
        rnnsim.with_departure(rnn, 1.0)
    with pytest.raises(ValueError, match=rf"`penalty` must be 0 for gated cells, .* cell='{cell}'"):
        rnnsim.train(rnn, SEQUENCES, n_updates=1, penalty=1.0)


def test_what_carries_a_loss_needs_a_readout():
    bare = gated("vanilla", n_outputs=0)
    with pytest.raises(ValueError, match=r"`model` must have a readout, .* got n_outputs = 0; g"):
        rnnsim.train(bare, SEQUENCES, n_updates=1)
    with pytest.raises(ValueError, match=r"`decoder` must have a readout, .* got n_outputs = 0"):
        EncoderDecoder(gated("vanilla", n_outputs=H), bare)


@pytest.mark.parametrize("dtype", builders.DTYPES)
@pytest.mark.parametrize("cell", GATED)
def test_spectrum_of_gates(cell, dtype):
    rnn = RNN(**arrays(cell, dtype), cell=cell)
    found = rnnsim.spectrum(rnn)
    assert isinstance(found, rnnsim.GateSpectrum)
    assert found.gates == CELLS[cell].gates
    assert found.singular_values.shape == (N, rnn.n_gates, H)
    assert found.singular_values.dtype == np.float64
    for g in range(rnn.n_gates):
        block = rnn.W_hh[:, g * H : (g + 1) * H]
        alone = rnnsim.spectrum(RNN(zeros(N, H, 1).astype(dtype), block))
        assert_array_equal(found.singular_values[:, g], alone.singular_values)
        assert_array_equal(found.spectral_norm[:, g], alone.spectral_norm)
    with pytest.raises(AttributeError):
        found.gates = ()
    assert not hasattr(found, "eigenvalues")
