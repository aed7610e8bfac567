"""Files and folders whole or not at all, whatever fails or is killed; checksums that stay."""

import contextlib
import hashlib
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import rnnsim
from analysis.frame import runs
from rnnsim import files
from rnnsim.experiments import store
from rnnsim.training import checkpoints

pytestmark = pytest.mark.lane

NAMES = {"file": "run.npz", "folder": "data.zarr"}
kinds = pytest.mark.parametrize("kind", NAMES)


def fill(path, kind, text, n_parts=2):
    """A file, or a folder of a few, that says `text` in every part."""
    if kind == "file":
        path.write_text(text * n_parts)
        return
    path.mkdir()
    for part in range(n_parts):
        (path / str(part)).write_text(text)


def texts(path):
    """What `fill` wrote: one entry, or the thing is torn."""
    if path.is_file():
        content = path.read_text()
        return {content[i : i + 3] for i in range(0, len(content), 3)}
    return {part.read_text() for part in path.iterdir()}


def put(path, kind, text):
    with files.replacing(path) as partial:
        fill(partial, kind, text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@kinds
def test_what_is_new_is_put_in_place_and_its_folders_made(kind, tmp_path):
    path = tmp_path / "some" / "where" / NAMES[kind]
    put(path, kind, "new")
    assert texts(path) == {"new"}
    assert names(path.parent) == [path.name]


@kinds
def test_the_new_one_replaces_the_old_one_all_of_it(kind, tmp_path):
    path = tmp_path / NAMES[kind]
    fill(path, kind, "old", n_parts=5)
    put(path, kind, "new")
    assert texts(path) == {"new"}
    assert path.is_file() or names(path) == ["0", "1"]
    assert names(tmp_path) == [path.name]


@kinds
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("there", [True, False])
def test_a_block_that_fails_leaves_all_as_it_was(kind, error, there, tmp_path):
    path = tmp_path / NAMES[kind]
    if there:
        fill(path, kind, "old")

    def write_and_fail():
        with files.replacing(path) as partial:
            fill(partial, kind, "new")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert names(tmp_path) == [path.name] * there
    assert not there or texts(path) == {"old"}


@kinds
def test_a_block_that_writes_nothing_leaves_all_as_it_was(kind, tmp_path):
    path = tmp_path / NAMES[kind]
    fill(path, kind, "old")
    with pytest.raises(OSError, match="partial"), files.replacing(path):
        pass
    assert names(tmp_path) == [path.name]
    assert texts(path) == {"old"}


@pytest.mark.parametrize("name", ["run.npz", "data.zarr", "a.b.svg", "run"])
def test_the_fresh_path_is_hidden_unique_and_of_the_same_suffix(name, tmp_path):
    path, seen = tmp_path / name, []
    for _ in range(2):
        with files.replacing(path) as partial:
            assert not partial.exists()
            partial.touch()
            seen.append(partial)
    assert len(set(seen)) == 2
    for partial in seen:
        assert partial.parent == tmp_path
        assert partial.name.startswith(f".{path.stem}.")
        assert ".partial" in partial.name
        assert path.suffix in (partial.suffix, "")


def test_a_file_and_a_folder_do_not_replace_each_other(tmp_path):
    for kind, other in [("file", "folder"), ("folder", "file")]:
        path = tmp_path / kind / "x"
        path.parent.mkdir()
        fill(path, kind, "old")
        with pytest.raises(OSError, match="x"):
            put(path, other, "new")
        assert texts(path) == {"old"}
        assert names(path.parent) == ["x"]


@kinds
def test_what_a_link_names_is_replaced_and_the_link_stays(kind, tmp_path):
    path, link = tmp_path / "disk" / NAMES[kind], tmp_path / "link"
    put(path, kind, "old")
    try:
        link.symlink_to(path)
    except OSError:
        pytest.skip("this system makes no links")
    put(link, kind, "new")
    assert link.is_symlink()
    assert texts(path) == {"new"}
    assert names(path.parent) == [path.name]


def test_a_folder_that_cannot_get_into_place_leaves_the_old_one(tmp_path, monkeypatch):
    path, rename = tmp_path / "data.zarr", files.os.rename
    fill(path, "folder", "old")

    def fail(source, target):
        if ".partial" in source.name and not target.exists():  # the old one is aside
            raise PermissionError("no")
        rename(source, target)

    monkeypatch.setattr(files.os, "rename", fail)
    with pytest.raises(PermissionError, match="no"):
        put(path, "folder", "new")
    assert texts(path) == {"old"}
    assert names(tmp_path) == ["data.zarr"]


@pytest.mark.parametrize("fails", [False, True])
def test_another_writer_who_comes_between_the_two_moves_is_the_old_one(
    fails, tmp_path, monkeypatch
):
    path, rename, came = tmp_path / "data.zarr", files.os.rename, []
    fill(path, "folder", "old")

    def late(source, target):
        if fails and came and ".partial" in source.name and not target.exists():
            raise PermissionError("no")
        rename(source, target)
        if ".replaced" in target.name and not came:
            came.append(True)
            fill(path, "folder", "his")

    monkeypatch.setattr(files.os, "rename", late)
    with pytest.raises(PermissionError) if fails else contextlib.nullcontext():
        put(path, "folder", "new")
    assert came
    assert texts(path) == {"his" if fails else "new"}
    assert names(tmp_path) == ["data.zarr"]


def test_text_and_bytes(tmp_path):
    files.write_text(tmp_path / "a" / "x.txt", "größte\n")
    assert (tmp_path / "a" / "x.txt").read_text(encoding="utf-8") == "größte\n"
    with files.writing(tmp_path / "a" / "x.bin") as file:
        file.write(b"\0\1")
        assert not (tmp_path / "a" / "x.bin").exists()
    assert (tmp_path / "a" / "x.bin").read_bytes() == b"\0\1"
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "a" / "x.txt", "a\ud800")
    assert (tmp_path / "a" / "x.txt").read_text(encoding="utf-8") == "größte\n"
    assert names(tmp_path / "a") == ["x.bin", "x.txt"]


WRITERS, ROUNDS = 3, 40


def write_often(path, kind, writer):
    for turn in range(ROUNDS):
        put(path, kind, f"{writer}{turn:02d}")


def assert_one_whole_result(path):
    assert len(texts(path)) == 1
    assert texts(path) <= {f"{writer}{ROUNDS - 1:02d}" for writer in range(WRITERS)}
    assert names(path.parent) == [path.name]


@kinds
def test_threads_that_write_one_path_leave_one_whole_result(kind, tmp_path):
    path, torn, failures = tmp_path / NAMES[kind], [], []
    if kind == "file":
        fill(path, kind, "old")

    def write(writer):
        try:
            write_often(path, kind, writer)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if kind == "file" and len(texts(path)) != 1:  # there, and whole, at any moment
            torn.append(path.read_text())
    for thread in threads:
        thread.join()
    assert not failures
    assert not torn
    assert_one_whole_result(path)


class Process(subprocess.Popen):
    """Another Python, with a pipe to and from it, and nothing of it left."""

    def __init__(self, code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        super().__init__(command, **pipes)

    def __exit__(self, *error):
        self.kill()
        super().__exit__(*error)

    def wait_until_ready(self):
        assert self.stdout.readline() == "ready\n"


# What another process does first; its arguments are the folder of this file, and others.
BEGIN = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import test_files as tests
path, files = pathlib.Path(sys.argv[2]), tests.files
def wait(*_, **__):
    print("ready", flush=True)
    sys.stdin.readline()
"""
HERE = Path(__file__).parent
WRITE = """
wait()
for kind, name in tests.NAMES.items():
    tests.write_often(path / kind / name, kind, sys.argv[3])
"""


def test_processes_that_write_one_path_leave_one_whole_result(tmp_path):
    with contextlib.ExitStack() as stack:
        writers = [Process(BEGIN + WRITE, HERE, tmp_path, writer) for writer in range(WRITERS)]
        for process in map(stack.enter_context, writers):
            process.wait_until_ready()
        for process in writers:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait() for process in writers] == [0] * WRITERS
    for kind, name in NAMES.items():
        assert_one_whole_result(tmp_path / kind / name)


# Where a process is killed, and what is there then: at the path, and beside it under hidden names.
WITHIN = """
with files.replacing(path) as partial:
    tests.fill(partial, sys.argv[3], "new")
    wait()
"""
BETWEEN = """
rename = files.os.rename
def stop(source, target):
    rename(source, target)
    if ".replaced" in target.name: wait()
files.os.rename = stop
tests.put(path, "folder", "new")
"""
LATER = "files.shutil.rmtree = wait; tests.put(path, 'folder', 'new')"
KILLS = {
    "a file": ("file", WITHIN, "old", {"partial": "new"}),
    "a folder": ("folder", WITHIN, "old", {"partial": "new"}),
    "between the moves": ("folder", BETWEEN, None, {"partial": "new", "replaced": "old"}),
    "before deletion": ("folder", LATER, "new", {"replaced": "old"}),
}


@pytest.mark.parametrize("where", KILLS)
def test_a_killed_process_leaves_what_the_docstring_says(where, tmp_path):
    kind, code, at_path, beside = KILLS[where]
    path = tmp_path / NAMES[kind]
    fill(path, kind, "old")
    with Process(BEGIN + code, HERE, path, kind) as process:
        process.wait_until_ready()
        process.kill()
        assert process.wait() != 0
    assert path.exists() == (at_path is not None)
    assert at_path is None or texts(path) == {at_path}
    hidden = [each for each in tmp_path.iterdir() if each != path]
    assert all(each.name.startswith(".") and each.suffix == path.suffix for each in hidden)
    assert {each.name.split(".")[3]: texts(each) for each in hidden} == {
        word: {text} for word, text in beside.items()
    }
    put(path, kind, "end")  # and the next writer is not disturbed
    assert texts(path) == {"end"}


def test_what_a_killed_process_left_is_not_loaded(tmp_path):
    loaded = SimpleNamespace(__name__="analysis.family")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".steps.0a1b2c3d.partial.zarr").mkdir()
    with pytest.raises(FileNotFoundError, match="there is no dataset"):
        runs._load(loaded, tmp_path)
    rnnsim.save(dataset(), tmp_path / "data" / "steps.zarr", kind="family/steps")
    assert list(runs._load(loaded, tmp_path)) == ["steps"]


def test_a_checksum_is_that_of_all_parts_in_order():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    parts = ["größte", b"\0\xff", array.T, array[:, ::2], np.array(1.5), np.zeros((0, 3))]
    joined = "größte".encode() + b"\0\xff"
    joined += b"".join(int(v).to_bytes(2, sys.byteorder) for v in array.T.ravel())
    joined += array[:, ::2].copy().data.tobytes() + np.float64(1.5).tobytes()
    assert files.checksum(iter(parts)) == hashlib.sha256(joined).hexdigest()
    assert files.checksum([]) == hashlib.sha256().hexdigest()
    assert files.checksum(parts[::-1]) != files.checksum(parts)


@pytest.mark.parametrize("dtype", [object, np.dtypes.StringDType()])
def test_arrays_without_values_of_their_own_have_no_checksum(dtype):
    with pytest.raises(TypeError, match="`parts` must be text, bytes or arrays of plain values"):
        files.checksum([np.array(["a"], dtype=dtype)])


def arrays():
    steps = np.arange(24.0).reshape(2, 3, 4)
    return {
        "turned": steps.T,
        "W_hh": steps[:, :, ::2].astype(np.float32),
        "done": np.array(17, np.int64),
        "labels": np.array(["a", "ö"]),
        "empty": np.zeros((0, 3), np.int32),
    }


def dataset():
    steps = np.arange(24.0).reshape(2, 3, 4)
    odd = steps.copy()
    odd[0, 1] = [np.nan, np.inf, -np.inf, -0.0]
    return xr.Dataset(
        {
            "loss": (("gain", "seed", "step"), odd),
            "turned": (("step", "seed", "gain"), steps.T),
            "every_other": (("gain", "half"), steps[:, 0, ::2].astype(np.float32)),
            "clipped": (("seed",), np.array([True, False, True])),
            "modes": (("gain",), np.array([1 + 2j, -3j])),
            "count": ((), np.int64(7)),
        },
        coords={
            "gain": [0.5, 1.0],
            "seed": np.arange(3, dtype=np.int64),
            "measure": (("half",), ["mean", "größte"]),
        },
        attrs={"configuration": '{"length": 6}', "version": 1},
    )


def test_checksums_of_datasets_and_checkpoints_stay_what_they_were(tmp_path):
    """Another digest would refuse every file that an earlier version wrote."""
    of_dataset = "6877ab5f86f74827b1625b6c2f6759b9e399533ba5f83f037fe4389b5dfd51c2"
    of_checkpoint = "396b9936bb6198c8c418b3e4e5afbf7f79072eae3e0e9e377afb9c886a23b625"
    assert store._checksum(dataset()) == of_dataset
    assert checkpoints._checksum('{"ö": 1}', arrays()) == of_checkpoint
    path = rnnsim.save(dataset(), tmp_path / "data.zarr")
    assert xr.open_zarr(path, consolidated=False).attrs["content_sha256"] == of_dataset
    assert rnnsim.load(path).identical(dataset())
