"""Networks of one's own from .npz files: what they hold, what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnnsim
from rnnsim.importing.npz import load_network


@pytest.fixture
def own(tmp_path):
    rng = np.random.default_rng(3)
    arrays = {
        "W_xh": rng.standard_normal((4, 2)),
        "W_hh": 0.3 * rng.standard_normal((4, 4)),
        "W_hy": rng.standard_normal((1, 4)),
        "b_h": rng.standard_normal(4),
        "b_y": np.ones(1),
    }

    def save(**changes):
        kept = {k: v for k, v in (arrays | changes).items() if v is not None}
        np.savez(tmp_path / "mine.npz", **kept)
        return str(tmp_path / "mine.npz")

    save.arrays = arrays
    return save


def test_biases_may_be_left_out(own):
    rnn = load_network(own(b_h=None, b_y=None, other=np.array("text")))
    assert not rnn.weights.b_h.any()
    assert not rnn.weights.b_y.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W_hh": None}, r"it lacks W_hh \(it holds W_hy, W_xh, b_h, b_y\); save it with np.savez"),
        ({"W_hh": np.ones((4, 3))}, r"W_hh must be \(n_hidden, n_hidden\) with n_hidden = 4 as in"),
        ({"W_xh": np.ones((2, 4))}, r"n_hidden = 4 as in W_hh, got shape \(2, 4\).*transposed"),
        ({"b_h": np.ones(3)}, r"b_h must be \(n_hidden,\) with n_hidden = 4 as in W_hh, got"),
        ({"b_y": np.ones(2)}, r"b_y must be \(n_outputs,\) with n_outputs = 1 as in W_hy"),
        ({"W_hy": np.ones((1, 1, 4))}, r"W_hy must be \(n_outputs, n_hidden\), got shape .*axis"),
        ({"W_hh": np.full((4, 4), np.nan)}, "W_hh must be finite, got 16 entries"),
        ({"W_hy": np.full((1, 4), "a")}, "W_hy must hold real numbers, got"),
        ({"W_hy": np.full((1, 4), None)}, "is not an .npz file of arrays"),
    ],
)
def test_files_that_do_not_hold_a_network(own, changes, message):
    with pytest.raises(ValueError, match=message):
        load_network(own(**changes))


def test_files_that_are_no_files_of_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"name an \.npz file"):
        load_network(str(tmp_path / "absent.npz"))
    (tmp_path / "text.npz").write_text("text")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04broken")
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("text.npz", "broken.npz", "array.npy"):
        with pytest.raises(ValueError, match=r"not an \.npz file of arrays; save it with"):
            load_network(str(tmp_path / name))


def test_arrays_under_other_names_are_listed_with_their_shapes(tmp_path):
    path = str(tmp_path / "other.npz")
    names = {"a": (4, 2), "recurrent": (4, 4), "c": (1, 4), "d": (4,), "e": (1,), "f": ()}
    np.savez(path, **{name: np.ones(shape) for name, shape in names.items()})
    with pytest.raises(ValueError, match=r"it lacks W_xh, W_hh, W_hy \(it holds a") as error:
        load_network(path)
    for name, shape in names.items():
        assert f"{name} {shape}" in str(error.value)
    np.savez(path)
    with pytest.raises(ValueError, match=r"\(it holds nothing\)"):
        load_network(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (1, "PyTorch's names: W_xh is weight_ih_l0, W_hh is weight_hh_l0, b_h the sum of both"),
        (3, r"names of a GRU \(3 H, H\): W_xh is weight_ih_l0, W_hh is weight_hh_l0"),
        (4, r"names of an LSTM \(4 H, H\): W_xh is weight_ih_l0, W_hh is weight_hh_l0"),
    ],
)
def test_the_arrays_of_a_state_dict_are_told(rows, words, tmp_path):
    shapes = {"weight_ih_l0": (4 * rows, 2), "weight_hh_l0": (4 * rows, 4)}
    np.savez(tmp_path / "x.npz", **{f"rnn.{name}": np.ones(s) for name, s in shapes.items()})
    with pytest.raises(ValueError, match=words):
        load_network(str(tmp_path / "x.npz"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"W_hh": np.ones((12, 4))}, r"of a GRU \(3 H, H\); if .* with cell='gru'"),
        ({"W_hh": np.ones((16, 4))}, r"of an LSTM \(4 H, H\); if .* with cell='lstm'"),
        ({"W_hh": np.ones((4, 16))}, r"of an LSTM \(4 H, H\); if .* with cell='lstm'"),
        ({"W_hh": np.ones((8, 4))}, "this is the shape of a cell of 2 gates$"),
        ({"W_hh": np.ones((4, 3))}, "one W_hh of units by units"),
        ({"W_xh": np.ones((3, 2))}, "all arrays of a file are of one network"),
        ({"b_h": np.ones(8)}, "all arrays of a file are of one network"),
    ],
)
def test_what_does_not_fit_is_not_said_to_be_transposed(changes, words, own):
    with pytest.raises(ValueError, match=words) as error:
        load_network(own(**changes))
    assert "transposed" not in str(error.value)


def test_what_is_ignored_is_not_read(own):
    assert len(load_network(own(other=np.array([object()], object)))) == 1


@pytest.fixture
def lstm(tmp_path):
    rnn = rnnsim.RNN.sample(
        n_inputs=2, n_hidden=4, n_outputs=1, cell="lstm", scheme="pytorch", rng=0
    )

    def save(**changes):
        arrays = {name: array[0] for name, array in rnn.weights._asdict().items()} | changes
        np.savez(tmp_path / "lstm.npz", **arrays)
        return str(tmp_path / "lstm.npz")

    save.rnn = rnn
    return save


@pytest.mark.parametrize("said", ["by the file", "by the caller", "by both"])
def test_the_cell_is_said_by_the_file_or_the_caller(said, lstm):
    entry = {} if said == "by the caller" else {"cell": "lstm"}
    asked = {} if said == "by the file" else {"cell": "lstm"}
    read = load_network(lstm(**entry), **asked)
    assert read.cell == "lstm"
    for mine, saved in zip(read.weights, lstm.rnn.weights, strict=True):
        assert_array_equal(mine, saved)


@pytest.mark.parametrize(
    ("changes", "asked", "message"),
    [
        ({"cell": "tree"}, "vanilla", r"cell must be one of 'vanilla', 'lstm', 'gru', got 'tree'"),
        ({"cell": ["lstm"]}, "vanilla", r"cell must be one of 'vanilla', 'lstm', 'gru', got"),
        ({"cell": "lstm"}, "gru", "`cell` must be the 'lstm' that `weights` .* names, got 'gru'"),
        ({}, "gru", r"lstm.npz': `W_hh` must be \(3\*n_hidden, n_hidden\) for cell='gru'"),
        ({"b_h": np.ones(8)}, "lstm", r"lstm.npz': `b_h` must be"),
        ({"b_h": np.full(16, np.inf)}, "lstm", "b_h must be finite, got 16 entries"),
        ({"W_xh": np.full((16, 2), "a")}, "lstm", "W_xh must hold real numbers"),
        ({}, "vanilla", r"this is the shape of an LSTM .* with cell='lstm'"),
    ],
)
def test_files_that_do_not_hold_such_a_cell(changes, asked, message, lstm):
    with pytest.raises(ValueError, match=message):
        load_network(lstm(**changes), cell=asked)
