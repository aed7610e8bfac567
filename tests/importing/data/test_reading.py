"""Data from files: every format, names of arrays, and which axis is time."""

import hashlib
import io
import json
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import save_file

import rnnsim
from rnnsim import tasks
from rnnsim.importing.data_files import open_data

pytestmark = pytest.mark.nojit
T, B, D, V = 7, 4, 2, 3
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(T, B, D)), RNG.integers(0, V, (T, B))
Z = RNG.normal(size=(T, B, V))
MASK = np.arange(T)[:, None] < [7, 5, 1, 3]
IDS = RNG.integers(0, 5, (T, B))
IDS[3, 1] = 5


@pytest.fixture
def saved(tmp_path):
    """A file of arrays: .npz, .safetensors or .npy, by the name that it is to have."""

    def save(name="mine.npz", **arrays):
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file({key: np.ascontiguousarray(each) for key, each in arrays.items()}, path)
        elif path.suffix == ".npy":
            np.save(path, next(iter(arrays.values())))
        else:
            with path.open("wb") as file:
                np.savez(file, **arrays)
        return path

    return save


def turned(arrays):
    return {name: np.swapaxes(array, 0, 1) for name, array in arrays.items()}


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", [None, "tbd", "btd"])
def test_arrays_of_our_names_come_back(saved, layout, dtype, suffix):
    weights = RNG.uniform(0.5, 1, (T, B)).astype(dtype)
    for targets in (Y, Z.astype(dtype)):
        arrays = {"inputs": X.astype(dtype), "targets": targets, "weights": weights, "mask": MASK}
        given = turned(arrays) if layout == "btd" else arrays
        batch = rnnsim.read_sequences(saved(f"mine.{suffix}", **given), layout=layout)
        expected = rnnsim.Sequences(**arrays)
        assert batch.dtype == dtype
        for name in ("inputs", "targets", "weights"):
            assert_array_equal(getattr(batch, name), getattr(expected, name))


def test_the_other_layout_is_something_else(saved):
    square = X[:B]  # as many steps as sequences: nothing but the layout tells them apart
    path = saved(inputs=square)
    one, other = (rnnsim.read_sequences(path, layout=each) for each in ("tbd", "btd"))
    assert_array_equal(one.inputs, square[:-1])
    assert_array_equal(other.inputs, square.swapaxes(0, 1)[:-1])
    assert open_data(path, layout="btd").identity != open_data(path, layout="tbd").identity


@pytest.mark.parametrize(
    ("inputs", "targets"), [("X", "y"), ("x", "labels"), ("data", "target"), ("input", "label")]
)
def test_common_names_are_understood_once_the_layout_is_said(saved, inputs, targets):
    path = saved(**{inputs: X, targets: Y})
    with pytest.raises(ValueError, match=r"`path` 'mine.npz': `layout` must be given") as refusal:
        rnnsim.read_sequences(path)
    for words in (f"{inputs} (7, 4, 2)", "7 steps of 4 sequences", "7 sequences of 4 steps"):
        assert words in str(refusal.value)
    batch = rnnsim.read_sequences(path, layout="tbd")
    assert_array_equal(batch.inputs, X)
    assert_array_equal(batch.targets, Y)
    path = saved(**turned({inputs: X, targets: Y}))
    assert_array_equal(rnnsim.read_sequences(path, layout="btd").targets, Y)


def test_one_name_of_others_is_enough_to_ask(saved):
    with pytest.raises(ValueError, match=r"`layout` must be given: inputs \(7, 4, 2\)"):
        rnnsim.read_sequences(saved(inputs=X, labels=Y))
    with pytest.raises(ValueError, match=r"`layout` must be given: the array .* class ids"):
        rnnsim.read_sequences(saved("a.npy", x=IDS))


@pytest.mark.parametrize("targets", [Y[-1], Z[-1], Z[-1, :, 0]])
@pytest.mark.parametrize("layout", ["tbd", "btd"])
def test_one_target_for_each_sequence_is_that_of_its_last_step(saved, layout, targets):
    arrays = {"inputs": X, "mask": MASK}
    given = arrays if layout == "tbd" else turned(arrays)
    path = saved(**given, targets=targets, weights=np.array([1.0, 2.0, 3.0, 4.0]))
    batch = rnnsim.read_sequences(path, layout=layout)
    last = MASK.sum(axis=0) - 1
    expected = np.zeros((T, B))
    expected[last, np.arange(B)] = [1, 2, 3, 4]
    assert_array_equal(batch.weights, expected)
    answers = targets[:, None] if targets.shape == (B,) and targets.dtype.kind == "f" else targets
    assert_array_equal(batch.targets[last, np.arange(B)], answers)
    with pytest.raises(ValueError, match=r"`length` = 1 .* no step with loss"):
        rnnsim.read_sequences(saved(inputs=X, targets=targets), length=1, layout="tbd")


@pytest.mark.parametrize("suffix", ["npz", "npy", "safetensors"])
def test_one_long_sequence_is_cut_into_windows(saved, suffix):
    line = np.arange(50.0)
    batch = rnnsim.read_sequences(saved(f"a.{suffix}", inputs=line), length=9, batch_size=6)
    assert batch.inputs.shape == (9, 6, 1)
    assert_array_equal(batch.targets, batch.inputs + 1)
    assert len(set(batch.inputs[0, :, 0])) > 2
    whole = rnnsim.read_sequences(saved(f"a.{suffix}", inputs=line))
    assert_array_equal(whole.inputs[:, 0, 0], line[:-1])
    ids = rnnsim.read_sequences(saved(f"a.{suffix}", inputs=IDS[:, 1]))
    assert_array_equal(ids.inputs[:, 0], np.eye(6)[IDS[:-1, 1]])
    assert_array_equal(ids.targets[:, 0], IDS[1:, 1])


def test_targets_weights_and_mask_of_one_long_sequence(saved):
    for targets in (Y[:, 0], Z[:, 0], Z[:, 0, 0]):
        path = saved(inputs=X[:, 0, 0], targets=targets, weights=np.arange(T), mask=MASK[:, 1])
        batch = rnnsim.read_sequences(path)
        rows = targets if targets.dtype.kind == "i" or targets.ndim == 2 else targets[:, None]
        kept = np.where(MASK[:, 1], np.arange(T), 0)
        assert_array_equal(batch.weights[:, 0], kept)
        assert_array_equal(batch.targets[kept > 0, 0], rows[kept > 0])


def test_a_mask_leaves_out_what_has_no_valid_next_step(saved):
    batch = rnnsim.read_sequences(saved(inputs=X, mask=MASK))
    assert_array_equal(batch.weights, MASK[1:])
    ids = rnnsim.read_sequences(saved(inputs=IDS, mask=MASK))
    assert_array_equal(ids.weights, MASK[1:])


def test_ignored_class_ids_carry_no_loss(saved):
    batch = rnnsim.read_sequences(saved(inputs=X, targets=np.where(MASK, Y, -100)))
    assert_array_equal(batch.weights, MASK)


@pytest.mark.parametrize(
    ("kind", "became"),
    [("uint8", "float64"), ("int64", "float64"), ("bool", "float64"), ("float16", "float32")],
)
def test_numbers_of_other_kinds_become_floats(saved, kind, became):
    numbers = RNG.integers(0, 2, (T, B, D)).astype(kind)
    for name in ("a.npz", "a.safetensors"):
        batch = rnnsim.read_sequences(saved(name, inputs=numbers, targets=Y))
        assert batch.dtype == became
        assert_array_equal(batch.inputs, numbers)
    assert rnnsim.read_sequences(saved(inputs=numbers), dtype="float32").dtype == "float32"


def test_bfloat16_is_read(tmp_path):
    numbers = RNG.normal(size=(T, B, D)).astype("float32")
    bits = (numbers.view(np.uint32) >> 16).astype("<u2")
    tensor = {"dtype": "BF16", "shape": [T, B, D], "data_offsets": [0, bits.nbytes]}
    header = json.dumps({"inputs": tensor}).encode()
    raw = len(header).to_bytes(8, "little") + header + bits.tobytes()
    (tmp_path / "a.safetensors").write_bytes(raw)
    batch = rnnsim.read_sequences(tmp_path / "a.safetensors")
    assert batch.dtype == "float32"
    assert_array_equal(batch.inputs, (bits.astype("uint32") << 16).view("float32")[:-1])


def test_content_counts_and_not_the_name(saved, tmp_path):
    path = saved(inputs=X, targets=Y)
    other = tmp_path / "archive.csv"
    other.write_bytes(path.read_bytes())
    assert_array_equal(rnnsim.read_sequences(other).inputs, X)
    (tmp_path / "b").write_bytes(saved("a.safetensors", inputs=X).read_bytes())
    assert_array_equal(rnnsim.read_sequences(tmp_path / "b").inputs, X[:-1])


def test_arrays_by_columns_and_of_the_other_byte_order(saved):
    for given in (np.asfortranarray(X), X.astype(">f8")):
        assert_array_equal(rnnsim.read_sequences(saved(inputs=given)).inputs, X[:-1])
        path = saved("a.npy", x=given)
        assert_array_equal(rnnsim.read_sequences(path, layout="tbd").inputs, X[:-1])


def test_compressed_archives_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", inputs=np.eye(5)[IDS % 5], targets=Y)
    assert_array_equal(rnnsim.read_sequences(tmp_path / "a.npz").inputs, np.eye(5)[IDS % 5])


def test_arrays_that_are_not_read_are_named(saved):
    with pytest.warns(UserWarning, match=r"`path` 'mine.npz': lengths, y not read; inputs, tar"):
        batch = rnnsim.read_sequences(saved(inputs=X, targets=Y, y=Y, lengths=np.ones(B)))
    assert_array_equal(batch.targets, Y)


def test_axes_that_look_swapped_and_one_hot_targets_warn(saved):
    wide = saved(inputs=np.ones((8, 100, 2)))
    with pytest.warns(UserWarning, match="axes look swapped: 8 steps of 100 .* layout='btd'") as w:
        rnnsim.read_sequences(wide)
    assert w[0].filename == __file__
    rnnsim.read_sequences(wide, layout="tbd")  # said, so no doubt
    with pytest.warns(UserWarning, match="targets look one-hot: class ids, targets.argmax"):
        rnnsim.read_sequences(saved(inputs=X, targets=np.eye(V)[Y]))


def test_the_only_array_of_a_file_is_its_inputs(saved):
    path = saved(arr_0=X)
    with pytest.raises(ValueError, match=r"`layout` must be given: arr_0 \(7, 4, 2\)"):
        rnnsim.read_sequences(path)
    assert_array_equal(rnnsim.read_sequences(path, layout="tbd").inputs, X[:-1])


def test_a_network_says_dtype_and_sizes(saved):
    rnn = rnnsim.RNN.sample(n_inputs=8, n_hidden=3, n_outputs=6, rng=0).astype("float32")
    batch = rnnsim.read_sequences(saved(inputs=IDS), network=rnn, length=4, batch_size=2)
    assert batch.inputs.shape == (4, 2, 8)
    assert np.isfinite(rnnsim.bptt(rnn, batch).loss).all()
    wide = rnnsim.read_sequences(saved(inputs=IDS), network=rnn, dtype="float64")
    assert wide.dtype == "float64"
    with pytest.raises(ValueError, match="inputs have n_inputs = 2 and `network` 8"):
        rnnsim.read_sequences(saved(inputs=X), network=rnn)


TEXT = "Of all that is written I love only what a man has written with his blood. ö\n\n" * 2


def test_text_is_read_as_the_task_of_characters_reads_it(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text(TEXT, encoding="utf-8")
    batch = rnnsim.read_sequences(path, length=10, batch_size=5, rng=3)
    task = tasks.characters(10, 5, rng=3, text=path)
    assert_array_equal(batch.inputs, task.inputs)
    assert_array_equal(batch.targets, task.targets)
    data = open_data(path)
    V = len(tasks.corpus(path).vocabulary)
    assert (data.kind, data.n_sequences, data.sizes()) == ("characters", None, (V, V))
    assert data.longest == len(tasks.corpus(path).text) - 1
    assert len(rnnsim.read_sequences(path).targets) == data.longest
    with pytest.raises(ValueError, match=f"the text has {V} different characters and the inputs"):
        rnnsim.read_sequences(
            path, network=rnnsim.RNN.sample(n_inputs=V + 1, n_hidden=2, n_outputs=V, rng=0)
        )


def test_what_is_opened_says_what_it_is_and_travels(saved):
    path = saved(inputs=X, targets=Y)
    data = open_data(str(path))
    assert (data.kind, data.sizes(), data.longest, data.n_sequences) == ("batch", (D, V), T, B)
    assert data.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert data.identity == f"mine.npz sha256:{data.sha256}"
    path.unlink()
    again = pickle.loads(pickle.dumps(data))
    batch = again.draw(3, 2, 1, dtype="float32")
    assert batch.provenance["data_sha256"] == data.sha256
    assert_array_equal(batch.targets, data.draw(3, 2, 1).targets)
    assert open_data(saved(inputs=X), dtype="float32").dtype == "float32"
    assert open_data(saved(inputs=IDS)).kind == "ids"
    assert open_data(saved(inputs=X[:, 0, 0])).kind == "stream"


def test_files_written_to_memory_are_the_same(tmp_path):
    file = io.BytesIO()
    np.save(file, X[:, 0, 0])
    (tmp_path / "a.bin").write_bytes(file.getvalue())
    assert open_data(tmp_path / "a.bin").kind == "stream"


@pytest.mark.parametrize("n_networks", [1, 3])
@pytest.mark.parametrize("stacked", [False, True])
def test_class_ids_go_through_the_embedding_of_a_network(saved, stacked, n_networks):
    table = RNG.normal(size=(n_networks, 6, 2)).astype("float32")
    sizes = {"n_inputs": 2, "n_hidden": 3, "n_outputs": 6, "rng": 0}
    plain = rnnsim.RNN.sample(n_networks, **sizes).astype("float32")
    rnn = rnnsim.RNN(*plain.weights, embedding=table)
    model = rnnsim.Stack([rnn]) if stacked else rnn
    batch = rnnsim.read_sequences(saved(inputs=IDS), network=model)
    rows = table[:, IDS[:-1]]
    assert_array_equal(batch.inputs, rows if n_networks > 1 else rows[0])
    assert_array_equal(batch.targets, np.broadcast_to(IDS[1:], batch.targets.shape))
    by_hand = rnnsim.Sequences(batch.inputs, batch.targets)
    assert_array_equal(rnnsim.evaluate(model, batch).loss, rnnsim.evaluate(model, by_hand).loss)
    short = rnnsim.RNN(*plain.weights, embedding=table[:, :5])
    with pytest.raises(
        ValueError, match=r"0\.\.4 of the embedding of `network`, got 5 at \[3, 1\]"
    ):
        rnnsim.read_sequences(saved(inputs=IDS), network=short)
