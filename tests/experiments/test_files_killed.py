"""Many writers, and processes that are killed: what is at a path is whole, and nothing stays."""

import contextlib
import sys
import threading

import pytest
from file_builders import NAMES, Process, fill, names, put, texts

from rnnsim import files

pytestmark = pytest.mark.lane

kinds = pytest.mark.parametrize("kind", NAMES)
WRITERS, ROUNDS = 3, 40


def assert_one_whole_result(path):
    assert len(texts(path)) == 1
    assert texts(path) <= {f"{writer}{ROUNDS - 1:02d}" for writer in range(WRITERS)}
    assert names(path.parent) == [path.name]


def whole(path):
    """What is in a folder or a file; refuses what is torn, as a checksum does."""
    content = texts(path)
    if len(content) != 1:
        raise ValueError(f"torn: {content}")
    return content


@kinds
def test_threads_that_write_one_path_leave_one_whole_result(kind, tmp_path):
    path, torn, failures = tmp_path / NAMES[kind], [], []
    fill(path, kind, "old")

    def write(writer):
        try:
            for turn in range(ROUNDS):
                put(path, kind, f"{writer}{turn:02d}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:  # there, and whole, at any moment
            files.steadily(path, whole)
        except (OSError, ValueError) as error:
            torn.append(error)
    for thread in threads:
        thread.join()
    assert not failures
    assert not torn
    assert_one_whole_result(path)


WRITE = f"""
wait()
for kind, name in tests.NAMES.items():
    for turn in range({ROUNDS}):
        tests.put(path / kind / name, kind, f"{{sys.argv[3]}}{{turn:02d}}")
"""


def test_processes_that_write_one_path_leave_one_whole_result(tmp_path):
    with contextlib.ExitStack() as stack:
        writers = [Process(WRITE, tmp_path, writer) for writer in range(WRITERS)]
        for process in map(stack.enter_context, writers):
            process.wait_until_ready()
        for process in writers:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait() for process in writers] == [0] * WRITERS
    for kind, name in NAMES.items():
        assert_one_whole_result(tmp_path / kind / name)


# Where a process is killed, and what is there then: at the path, and in its stage.
WITHIN = """
with files.replacing(path) as fresh:
    tests.fill(fresh, sys.argv[3], "new")
    wait()
"""
BETWEEN = """
files._swapped = lambda *_: False
rename = files.os.rename
def stop(source, target):
    rename(source, target)
    if "aside" in target.name: wait()
files.os.rename = stop
tests.put(path, "folder", "new")
"""
LATER = "files.shutil.rmtree = wait; tests.put(path, 'folder', 'new')"
EMPTY = "import filelock; filelock.FileLock = wait; tests.put(path, 'folder', 'new')"
KILLS = {
    "a file": ("file", WITHIN, "old", {"new"}),
    "a folder": ("folder", WITHIN, "old", {"new"}),
    "before the lock": ("folder", EMPTY, "old", set()),
    "between the moves": ("folder", BETWEEN, None, {"new", "old"}),
    "before deletion": ("folder", LATER, "new", {"old"}),
}


def kill_in(where, path):
    kind, code, *_ = KILLS[where]
    fill(path, kind, "old")
    with Process(code, path, kind) as process:
        process.wait_until_ready()
        process.kill()
        assert process.wait() != 0


@pytest.mark.parametrize("where", KILLS)
def test_a_killed_process_leaves_what_the_docstring_says(where, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LONG", -1.0)  # so long ago
    kind, _, at_path, in_stage = KILLS[where]
    path = tmp_path / NAMES[kind]
    kill_in(where, path)
    assert path.exists() == (at_path is not None)
    assert at_path is None or texts(path) == {at_path}
    (stage,) = (each for each in tmp_path.iterdir() if each != path)
    assert stage.name.startswith(f".{path.name}.")
    assert stage.suffix == (".making" if where == "before the lock" else ".partial")
    found = [texts(each) for each in stage.iterdir() if each.name != "rnnsim.lock"]
    assert set().union(*found) == in_stage
    assert all(len(each) == 1 for each in found)
    put(path, kind, "end")  # the next writer sweeps up
    assert texts(path) == {"end"}
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("where", KILLS)
def test_a_writer_of_another_file_sweeps_up_too_and_a_reader_finds_all(
    where, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "_LONG", -1.0)  # so long ago
    kind, _, at_path, _ = KILLS[where]
    path = tmp_path / NAMES[kind]
    kill_in(where, path)
    assert files.there(path)
    assert texts(path) == {at_path or "new"}
    files.write_text(tmp_path / "other.txt", "")
    assert texts(path) == {at_path or "new"}
    assert names(tmp_path) == sorted([path.name, "other.txt"])


def test_what_is_being_written_is_not_swept(tmp_path):
    with files.replacing(tmp_path / "x.txt") as fresh:
        fresh.write_text("x")
        files.write_text(tmp_path / "y.txt", "y")
        put(tmp_path / "x.txt", "file", "old")
        assert fresh.read_text() == "x"
    assert names(tmp_path) == ["x.txt", "y.txt"]
    assert (tmp_path / "x.txt").read_text() == "x"


def test_a_stage_that_is_just_being_made_is_left_alone(tmp_path, monkeypatch):
    making = tmp_path / ".x.12345678.making"
    making.mkdir()
    (making / "rnnsim.lock").touch()
    files.write_text(tmp_path / "x", "")
    assert names(tmp_path) == [making.name, "x"]
    monkeypatch.setattr(files, "_LONG", -1.0)
    (making / "notes.txt").write_text("keep")
    files.write_text(tmp_path / "x", "")
    assert (making / "notes.txt").read_text() == "keep"
    (making / "notes.txt").unlink()
    files.write_text(tmp_path / "x", "")
    assert names(tmp_path) == ["x"]


def test_folders_of_others_with_such_names_are_left_alone(tmp_path):
    mine = [".x.partial", ".x.12345678.partial", ".data.zarr.0a1b2c3d.partial"]
    for name in mine:
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("keep")
    files.write_text(tmp_path / "x", "")
    assert names(tmp_path) == sorted([*mine, "x"])
    assert all((tmp_path / name / "notes.txt").read_text() == "keep" for name in mine)


def test_where_files_cannot_be_locked_nothing_is_swept_and_all_is_written(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with files.replacing(tmp_path / "x.txt") as fresh:
        fresh.write_text("x")
        put(tmp_path / "data.zarr", "folder", "new")
        assert fresh.exists()
    assert names(tmp_path) == ["data.zarr", "x.txt"]


def test_the_swap_is_one_step_where_the_system_has_it(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, "folder", 3 * name)
    if not files._swapped(tmp_path / "a", tmp_path / "b"):
        assert sys.platform not in ("linux", "darwin")
        pytest.skip("this system swaps no folders")
    assert [texts(tmp_path / name) for name in ("a", "b")] == [{"bbb"}, {"aaa"}]
    with pytest.raises(FileNotFoundError):
        files._swapped(tmp_path / "a", tmp_path / "absent")
