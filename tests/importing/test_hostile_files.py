"""Damaged and hostile files: one ValueError each, nothing run, no memory beyond twice the file."""

import collections
import copyreg
import io
import os
import pickle
import re
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import rnnsim

FIXTURES = Path(__file__).parent / "fixtures"
GOOD = ("torch-gru-1.pt", "torch-lstm-1.safetensors", "own.npz")
RAN = []


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("hostile")
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=2, cell="lstm", rng=0)
    arrays = {name: array[0] for name, array in rnn.weights._asdict().items()}
    np.savez(made / "own.npz", **arrays)
    return made


def data_of(name, folder):
    return ((folder if name == "own.npz" else FIXTURES) / name).read_bytes()


def outcome(data, path):
    """The network, or the message of the one ValueError."""
    path.write_bytes(data)
    with warnings.catch_warnings(action="ignore"):
        try:
            return rnnsim.read_network(path)
        except ValueError as error:
            message = str(error)
            assert path.name in message
            assert len(message) < 1500
            assert "Traceback" not in message
            return message


@pytest.mark.parametrize("name", GOOD)
def test_every_truncation(name, folder):
    data = data_of(name, folder)
    for length in range(0, len(data) - 1, 7):
        assert isinstance(outcome(data[:length], folder / "cut"), str), length


@pytest.mark.parametrize("name", GOOD)
def test_every_byte_damaged(name, folder):
    """What a checksum covers is noticed; the rest is noticed or gives numbers of the same shape."""
    data = data_of(name, folder)
    noticed = 0
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0xFF
        found = outcome(bytes(changed), folder / "flipped")
        noticed += isinstance(found, str)
        if not isinstance(found, str):
            assert found.n_hidden == 3
    assert noticed > len(data) / 10


@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_bytes_replaced_inserted_and_taken_out(name, folder, data):
    bytes_ = bytearray(data_of(name, folder))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(bytes_) - 1))
        how = data.draw(st.sampled_from(["replace", "insert", "delete"]))
        new = data.draw(st.binary(min_size=1, max_size=9))
        bytes_[at : at + (0 if how == "insert" else len(new))] = b"" if how == "delete" else new
    outcome(bytes(bytes_), folder / "mixed")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(min_size=0, max_size=200))
@example(b"\x08\x07")
@example(b"\x81")
@example(b"\xdf\xff\xff\xff\xff")
@example(b"PK\x03\x04")
@example(b"\x89HDF\r\n\x1a\n")
@example(struct.pack("<Q", 2**63) + b"{")
@example(struct.pack("<Q", 2) + b"{}")
def test_any_bytes(folder, data):
    assert isinstance(outcome(data, folder / "any"), str)


class Run:
    """What a pickle would do, were it unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def ran(*_):
    RAN.append(True)


def archive(
    pickled, storages=(("0", b"\0" * 16),), order=b"little", compression=zipfile.ZIP_STORED
):
    """A file as torch.save lays it out."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        out.writestr("net/data.pkl", pickled)
        out.writestr("net/byteorder", order)
        for key, data in storages:
            out.writestr(f"net/data/{key}", data)
    return file.getvalue()


HOSTILE = {
    "a system call": Run(os.system, "touch ran"),
    "evaluation": Run(eval, "ran()"),
    "execution": Run(exec, "ran()"),
    "a function of ours": Run(ran),
    "an attribute": Run(getattr, collections.OrderedDict, "fromkeys"),
    "reconstruction": Run(copyreg._reconstructor, dict, object, None),
    "an import": Run(__import__, "os"),
    "opening a file": Run(open, "ran", "w"),
    "a class with a state": type("Thing", (), {})(),
    "an array of NumPy": np.ones(3),
    "a set": {1, 2},
    "bytes that grow": bytearray(3),
}
HOSTILE["a class with a state"].x = 1


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_pickle_that_would_run_something(what, protocol, folder, monkeypatch):
    monkeypatch.chdir(folder)
    thing = HOSTILE[what]
    try:
        pickled = pickle.dumps({"lstm.weight_hh_l0": thing}, protocol)
    except (pickle.PicklingError, AttributeError):  # classes that are local
        pickled = pickle.dumps({"lstm.weight_hh_l0": Run(os.getenv, "HOME")}, protocol)
    message = outcome(archive(pickled), folder / "hostile.pt")
    assert isinstance(message, str)
    assert "save model.state_dict()" in message
    assert not RAN
    assert not (folder / "ran").exists()


ROADS = [
    ("torch", "load"),
    ("torch._utils", "_rebuild_tensor"),
    ("collections", "OrderedDict.fromkeys"),
    ("torch", "FloatStorage.__init__"),
    ("builtins", "getattr"),
    ("torch.storage", "_load_from_bytes"),
    ("torch.serialization", "load"),
    ("os", "system"),
    ("", "x"),
]


def test_a_global_by_another_road(folder):
    """Names put together on the stack, dotted ones, and those of allowed modules."""
    for module, name in ROADS:
        long = [b"\x8c" + bytes([len(each)]) + each.encode() for each in (module, name)]
        pickled = b"\x80\x04" + long[0] + long[1] + b"\x93)R."
        message = outcome(archive(pickled), folder / "road.pt")
        assert "it refers to" in message, name
        old = f"c{module}\n{name}\n".encode()
        assert isinstance(outcome(archive(b"\x80\x02" + old + b")R."), folder / "road.pt"), str)


def tensor(shape, strides, offset=0, size=4, key="0", kind="FloatStorage"):
    """A pickle of one tensor, by hand."""

    def number(n):
        return b"\x8a\x08" + struct.pack("<q", n)

    def series(numbers):
        return b"(" + b"".join(map(number, numbers)) + b"t"

    def text(words):
        return b"X" + struct.pack("<I", len(words)) + words.encode()

    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
    storage += number(size) + b"tQ"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + series(shape)
    rebuilt += series(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}" + text("weight_hh_l0") + rebuilt + b"s."


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (tensor((2, 2), (2, 1)), "lacks weight_ih_l0"),
        (tensor((2, 2), (2, 1), offset=1), "reaches beyond its 4 numbers"),
        (tensor((2, 2), (3, 1)), "reaches beyond its 4 numbers"),
        (tensor((10**9, 10**9), (0, 0)), "larger than its 4 numbers"),
        (tensor((2, 2), (-1, 1)), "damaged"),
        (tensor((2, 2), (1,)), "damaged"),
        (tensor((2, 2), (2, 1), offset=2**62), "reaches beyond"),
        (tensor((2, 2), (2, 1), size=10**12), "its storage has 16 bytes"),
        (tensor((2, 2), (2, 1), key="../../../etc/passwd"), "its storage has 0 bytes"),
        (tensor((1,) * 40, (1,) * 40), "reaches beyond"),
        (tensor((2, 2), (2, 1), kind="UntypedStorage"), "refers to 'torch.UntypedStorage'"),
        (b"\x80\x02]q\x00h\x00a.", "nested more than 40 deep"),
        (b"\x80\x02}}s.", "damaged"),
        (b"\x80\x02" + b"(" * 1000 + b".", "holds no recurrent network|damaged"),
        (b"\x80\x02r\xff\xff\xff\x7f}.", "damaged"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "damaged"),
        (b"\x80\x02}ctorch\nSize\n}b.", "dictionary|damaged"),
        (b"", "damaged"),
    ],
)  # fmt: skip
def test_tensors_that_reach_where_they_should_not(pickled, message, folder):
    found = outcome(archive(pickled), folder / "beyond.pt")
    assert isinstance(found, str)
    assert re.search(message, found), found


def test_lists_that_share_grow_no_further(folder):
    """A list of two of the same list, sixty times: 2^60 entries were it walked through."""
    pickled = b"\x80\x02]" + b"".join(
        b"q" + bytes([i]) + b"](h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(60)
    )
    assert "deep" in outcome(archive(pickled + b"."), folder / "laughs.pt")
    wide = b"\x80\x02]" + b"".join(
        b"q" + bytes([i]) + b"](" + (b"h" + bytes([i])) * 100 + b"e" for i in range(8)
    )
    assert "more than" in outcome(archive(wide + b"."), folder / "laughs.pt")


def test_archives_that_are_not_what_torch_writes(folder):
    good = tensor((2, 2), (2, 1))
    assert "compressed" in outcome(archive(good, compression=zipfile.ZIP_DEFLATED), folder / "z.pt")
    assert "byte order" in outcome(archive(good, order=b"middle"), folder / "z.pt")
    bomb = archive(good, [("0", b"\0" * 2**24)], compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in outcome(bomb, folder / "z.pt")
    inner = archive(archive(good))
    assert "damaged" in outcome(inner, folder / "z.pt")


def peak(path):
    tracemalloc.start()
    try:
        with warnings.catch_warnings(action="ignore"), pytest.raises(ValueError, match=path.name):
            rnnsim.read_network(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_memory_beyond_twice_the_file(folder):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((700, 700))
    cases = {
        "nan.npz": lambda p: np.savez(p, W_xh=matrix, W_hh=np.full((700, 700), np.nan)),
        "zeros.npz": lambda p: np.savez_compressed(p, W_hh=np.zeros((20000, 20000), bool)),
        "bomb.npz": lambda p: np.savez_compressed(
            p, W_xh=np.zeros((10**4, 3)), W_hh=np.zeros((3000, 3001))
        ),
        "cut.npz": lambda p: p.write_bytes(b"PK\x03\x04" + bytes(10**7)),
        "long.safetensors": lambda p: p.write_bytes(struct.pack("<Q", 10**7) + b"{" + b" " * 10**7),
        "pickle.pt": lambda p: p.write_bytes(
            archive(b"\x80\x02r\x00\x00\x00\x40}.", [("0", bytes(10**6))])
        ),
    }
    rnnsim.read_network(FIXTURES / "torch-gru-1.pt")  # what is loaded once
    for name, write in cases.items():
        path = folder / name
        write(path)
        assert peak(path) < 2.2 * path.stat().st_size + 2e6, name
