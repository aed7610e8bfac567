"""Files that are no data, damaged or hostile: one clear error, nothing run, little memory."""

import io
import os
import pickle
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import rnnsim
from rnnsim.importing.data_files import open_data

T, B, D, V = 7, 4, 2, 3
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(T, B, D)), RNG.integers(0, V, (T, B))
IDS = RNG.integers(0, 5, (T, B))


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header(shape, dtype="<f8", rest=b""):
    """A .npy file that says what it has."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-len(text) - 11 % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


def archive(method=zipfile.ZIP_STORED, **members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members.items():
            made.writestr(name.replace("__", "."), content)
    return file.getvalue()


@pytest.fixture
def write(tmp_path):
    def made(content, name="mine.npz"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return made


class Hostile:
    def __reduce__(self):
        return os.system, ("touch was_run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # not data at all
        (b"", "it is empty; name a file"),
        (b"PK\x03\x04", "it is damaged"),
        (b"nothing", r"it must be a file .* got no \.npz file, or a damaged one; save"),
        (pickle.dumps(Hostile()), "it is a pickle, which is never read; save the data as"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file; save the data as"),
        (b"\x1f\x8b\x08", "it is a gzip archive"),
        (archive(a="b"), "it holds no arrays of NumPy; save them with np.savez"),
        (archive(m__data="a", data__pkl="b"), "it holds no arrays of NumPy; save them"),
        # objects, text, complex numbers
        (npz(inputs=np.array([Hostile()])), "inputs must hold real numbers, got objects, as pick"),
        (npy(np.array([Hostile()])), "it must hold real numbers, got objects, as pickles"),
        (npz(inputs=X.astype(complex)), "inputs must hold real numbers, got complex128"),
        (npz(inputs=X.astype(str)), "inputs must hold real numbers, got <U"),
        (npz(inputs=np.zeros(3, "M8[s]")), "inputs must hold real numbers, got datetime"),
        # damage, and headers that promise what does not follow
        (npz(inputs=X)[:-30], "it is damaged"),
        (npy(X)[:-1], "its header says shape .* 448 bytes, and 447 follow; it is damaged"),
        (npy(X) + npy(X), "its header says .* it is damaged, or holds more than one array"),
        (header((10**12,)), "its header says shape .* and 0 follow"),
        (header((2**62, 4)), "its header says shape .* and 0 follow"),
        (header((-1, -8), rest=bytes(64)), r"its header says shape \(-1, -8\)"),
        (header("()", dtype="|O"), "it must hold real numbers, got objects|its header is damaged"),
        (archive(inputs__npy=header((10**10,))), "it is damaged .*inputs.npy does not have"),
        (archive(inputs__npy=b"abc"), "it is damaged"),
        (archive(inputs__npy=header("((((")), "it is damaged"),  # no end of a bracket
        (header("(((("), "its header is damaged"),
        (b"\x93NUMPY\x03\x00\x00\x00", "its header is damaged"),
        ((2).to_bytes(8, "little") + b"{}", "it holds no arrays of NumPy"),
        ((50).to_bytes(8, "little") + b'{"inputs":' + b" " * 50, "it is damaged .*deserializing"),
        # names
        (npz(a=X, b=Y), "it must hold `inputs`, got a, b; save np.savez"),
        (npz(targets=Y), "it must hold `inputs`, got targets"),
        (npz(X=X, x=X, y=Y), "X and x may all be the inputs; leave one of them under the name"),
        (npz(weight_hh_l0=np.eye(3), weight_ih_l0=np.eye(3)), "it must hold .*; these are weights"),
        # shapes
        (npz(inputs=X[0]), r"inputs of floats \(4, 2\) may be steps and inputs of one sequence"),
        (npz(inputs=X[None]), r"inputs must have 1 to 3 axes.* got shape \(1, 7, 4, 2\)"),
        (npz(inputs=np.array(1.0)), r"inputs must have 1 to 3 axes.* got shape \(\)"),
        (npz(inputs=X[:0]), "`inputs` must have at least one entry on each axis .*: T is 0"),
        (npz(inputs=X[:, :0]), "`inputs` must have at least one entry on each axis .*: B is 0"),
        (npz(inputs=IDS[:, :0]), "inputs must have at least one step and sequence"),
        (npz(inputs=X[:1]), "it must hold targets, as one step has no next input"),
        (npz(inputs=X, targets=Y.T), r"targets must be .* = \(7, 4\) class ids, or one "
         r"answer for each sequence .* got \(4, 7\), which are the axes of layout='btd'; save"),
        (npz(inputs=X, targets=Y[:5]), r"targets must be .* got \(5, 4\); save them like"),
        (npz(inputs=X, targets=Y[..., None]), r"targets must be .* \(7, 4, 1\); one-hot integers"),
        (npz(inputs=X, targets=X[..., 0]), r"targets must be .*; add an axis of outputs, as in"),
        (npz(inputs=X, targets=Y[0, :3]), r"targets must be .* or one answer for each .* \(3,\)"),
        (npz(inputs=X, weights=np.ones((B, T))), r"weights must be .* of layout='btd'"),
        (npz(inputs=X, mask=np.ones((T, B, 1))), r"mask must be \(n_steps, n_sequences\) = \(7, 4"),
        (npz(inputs=X[:, 0, 0], targets=Y), r"targets must be \(n_steps,\) = \(7,\) class ids as"),
        # values
        (npz(inputs=np.where(X[3, 1, 0] == X, np.nan, X)),
         r"`inputs` must be finite, got nan at \[3, 1, 0\]"),
        (npz(inputs=X, targets=X * np.inf), "`targets` must be finite"),
        (npz(inputs=X, weights=-np.ones((T, B))), "`weights` must not be negative"),
        (npz(inputs=X, targets=Y - 5), "`targets` must be class ids"),
        (npz(inputs=X, targets=Y > 0), "targets must be class ids or floats, got booleans"),
        (npz(inputs=IDS - 5), r"inputs of integers are class ids, 0 or more, got -\d at \[0, 0\]"),
        (npz(inputs=IDS * 10**12), "inputs of integers are class ids, .* got .*000000000000 at"),
        (npz(inputs=X, mask=np.zeros((T, B))), "it must hold a step with loss"),
        (npz(inputs=X, targets=np.full((T, B), -100)), "it must hold a step with loss"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_refused_by_name(content, message, write, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = write(content)
    with pytest.raises(ValueError, match=f"^`path` 'mine.npz': ({message})"):
        rnnsim.read_sequences(path)
    assert os.listdir(tmp_path) == ["mine.npz"]


def test_places_without_a_file_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` .*none.npz' is not there; name a file"):
        rnnsim.read_sequences(tmp_path / "none.npz")
    (tmp_path / "file").write_text("a")
    with pytest.raises(FileNotFoundError, match=r"`path` .* is not there"):
        rnnsim.read_sequences(tmp_path / "file" / "below.npz")
    with pytest.raises(ValueError, match=r"`path` .*: it is a folder; name a file"):
        rnnsim.read_sequences(tmp_path)
    with pytest.raises(ValueError, match=r"`path` .* cannot be read \(File name too long\)"):
        rnnsim.read_sequences(tmp_path / ("a" * 400))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="it is no regular file"):
            rnnsim.read_sequences(tmp_path / "pipe")
    for wrong in (3, None, b"a.npz"):
        with pytest.raises(TypeError, match="`path` must be a path"):
            rnnsim.read_sequences(wrong)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"layout": "TBD"}, ValueError, "`layout` must be one of 'tbd', 'btd', got 'TBD'"),
        ({"length": 8}, ValueError, "`length` must be at most 7, the steps of 'mine.npz', got 8"),
        ({"batch_size": 5}, ValueError, "`batch_size` must be at most 4, the sequences .* got 5"),
        ({"length": 0}, ValueError, "`length` must be at least 1"),
        ({"dtype": "int64"}, TypeError, "`dtype` must be 'float32' or 'float64'"),
        ({"rng": None}, TypeError, "`rng` must be an int seed"),
        ({"network": "rnn"}, TypeError, "`network` must be a rnnsim.RNN or rnnsim.Stack, got str"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(options, kind, message, write):
    with pytest.raises(kind, match=message):
        rnnsim.read_sequences(write(npz(inputs=X, targets=Y)), **options)


def test_texts_that_are_none_are_refused(write):
    for content, message in (
        (b"short", "the text must have at least 20 characters besides repeats"),
        (b"\xff" * 40, "the text must be a file in UTF-8, got 'mine.txt'|the text must be a file"),
        (b"a\0" * 40, "it must be text in UTF-8, got zero bytes"),
    ):
        with pytest.raises(ValueError, match=f"`path` 'mine.txt': {message}"):
            rnnsim.read_sequences(write(content, "mine.txt"))


def test_numbers_that_leave_the_range_are_named(write):
    path = write(npz(inputs=X * 1e200, targets=Y))
    with pytest.raises(ValueError, match=r"inputs hold .* outside the range of float32; use dtype"):
        rnnsim.read_sequences(path, dtype="float32")


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_what_unpacks_to_much_more_than_it_is_is_refused_before(write, size):
    path = write(archive(zipfile.ZIP_DEFLATED, inputs__npy=header((size,), "|b1", bytes(size))))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"its .* MB unpack to 1.* MB; save it without comp"):
            rnnsim.read_sequences(path)
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()


def test_headers_of_too_much_allocate_nothing(write):
    for content in (header((10**10,)), archive(inputs__npy=header((10**10,)))):
        path = write(content)
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=r"its header says|it is damaged"):
                rnnsim.read_sequences(path)
            assert tracemalloc.get_traced_memory()[1] < 1e6
        finally:
            tracemalloc.stop()


FILES = {
    "a.npz": npz(inputs=X, targets=Y),
    "a.npy": npy(IDS[:, 0]),
    "a.safetensors": save({"inputs": X, "targets": Y}),
    "a.csv": b"a,b,target\n1,2,0\n3,4.5,1\n-5e-1,6,2\n",
    "a.txt": b"Whatever can be said at all can be said clearly; and so on.",
}


def refused_or_read(path):
    """What is wrong is a ValueError, and nothing else, that names what it is of."""
    message = ""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            assert np.isfinite(open_data(path).draw().inputs).all()
    except ValueError as error:
        message = str(error)
    assert not message or message.startswith(("`path` 'a.", "`length`"))
    assert len(message) < 700


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_damage_is_refused_or_harmless(name, data, tmp_path_factory):
    raw = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    kept = raw[: data.draw(st.integers(1, len(raw)))] if data.draw(st.booleans()) else raw
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(kept)
    refused_or_read(path)


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_refused_or_harmless(name, tmp_path):
    for length in range(1, len(FILES[name])):
        path = tmp_path / name
        path.write_bytes(FILES[name][:length])
        refused_or_read(path)
        if name in ("a.npz", "a.npy", "a.safetensors"):
            with pytest.raises(ValueError, match="`path` 'a"):
                open_data(path)


@pytest.mark.parametrize("name", FILES)
def test_the_whole_files_are_read(name, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    assert open_data(tmp_path / name).draw().n_steps > 1


def test_huge_files_are_refused_before_they_are_read(tmp_path):
    """Sparse ones, of a terabyte, which take no room on the disk."""
    for name, start, message in (
        ("a.npz", b"", "got no .npz file, or a damaged one"),
        ("a.npy", npy(X), "its header says .* it is damaged, or holds more than one array"),
        ("a.csv", b"1,2\n", "it must be text in UTF-8, got zero bytes"),
        ("a.txt", b"abc", "it must be text in UTF-8, got zero bytes"),
        ("a.safetensors", b"", "got no .safetensors file"),
    ):
        path = tmp_path / name
        path.write_bytes(start)
        os.truncate(path, 10**12)
        with pytest.raises(ValueError, match=f"`path` '{name}': .*{message}"):
            rnnsim.read_sequences(path)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.safetensors"])
def test_arrays_take_little_more_than_twice_their_file(name, tmp_path):
    wide = np.zeros((1000, 10, 100))
    content = {"a.npz": npz, "a.npy": lambda inputs: npy(inputs)}.get(name)
    (tmp_path / name).write_bytes(content(inputs=wide) if content else save({"inputs": wide}))
    tracemalloc.start()
    try:
        open_data(tmp_path / name, layout="tbd")
        assert tracemalloc.get_traced_memory()[1] < 2.5 * wide.nbytes
    finally:
        tracemalloc.stop()
