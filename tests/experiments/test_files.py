"""Files and folders whole or not at all, whatever fails or is killed; checksums that stay."""

import contextlib
import hashlib
import sys

import numpy as np
import pytest
import xarray as xr
from file_builders import NAMES, fill, names, put, texts

import rnnsim
from rnnsim import files
from rnnsim.experiments import store
from rnnsim.training import checkpoints

pytestmark = pytest.mark.lane

kinds = pytest.mark.parametrize("kind", NAMES)


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


@pytest.mark.parametrize("name", ["run.npz", "data.zarr", "a.b.svg", "run", 80 * "ö"])
def test_the_fresh_path_has_its_name_in_a_hidden_folder_of_its_own(name, tmp_path):
    path, seen = tmp_path / name, []
    for _ in range(2):
        with files.replacing(path) as fresh:
            assert not fresh.exists()
            fresh.touch()
            seen.append(fresh)
    assert len(set(seen)) == 2
    for fresh in seen:
        assert fresh.name == path.name
        assert fresh.parent.parent == tmp_path
        assert fresh.parent.name.startswith(f".{path.name[:40]}.")
        assert fresh.parent.suffix == ".partial"


def test_a_block_that_fails_leaves_no_folder_that_was_made_for_it(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyError), files.replacing(tmp_path / "mine" / "a" / "b" / "x.txt"):
        raise KeyError
    assert names(tmp_path) == ["mine"]
    assert names(tmp_path / "mine") == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"), files.replacing(tmp_path / "file" / "a" / "x.txt"):
        pass
    assert names(tmp_path) == ["file", "mine"]


def test_what_cannot_be_written_is_found_before_and_nothing_stays(tmp_path):
    files.check_writable("output", tmp_path / "a" / "b")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"`output` '.*file/below' cannot be written \(.+\); name"):
        files.check_writable("output", tmp_path / "file" / "below")
    assert names(tmp_path) == ["file"]


def test_anew_replaces_an_empty_folder_alone_and_loses_nothing(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    for text in ("old", "new"):
        come = contextlib.nullcontext() if text == "old" else pytest.raises(FileExistsError)
        with come as error, files.replacing(path, anew=True) as fresh:
            fill(fresh, "folder", text)
    assert texts(path) == {"old"}
    (kept,) = (each for each in tmp_path.iterdir() if each != path)
    assert texts(kept) == {"new"}
    assert str(kept) in str(error.value)


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


@pytest.fixture
def unswappable(monkeypatch):
    """As where a system cannot let two folders change places in one step."""
    monkeypatch.setattr(files, "_swapped", lambda *_: False)


def test_a_folder_that_cannot_get_into_place_leaves_the_old_one(unswappable, tmp_path, monkeypatch):
    path, rename = tmp_path / "data.zarr", files.os.rename
    fill(path, "folder", "old")

    def fail(source, target):
        fresh = ".partial" in source.parent.name and source.name == path.name
        if fresh and not target.exists():  # the old one is aside
            raise PermissionError("no")
        rename(source, target)

    monkeypatch.setattr(files.os, "rename", fail)
    with pytest.raises(PermissionError, match="no"):
        put(path, "folder", "new")
    assert texts(path) == {"old"}
    assert names(tmp_path) == ["data.zarr"]


@pytest.mark.parametrize("fails", [False, True])
def test_another_writer_who_comes_between_the_two_moves_is_the_old_one(
    fails, unswappable, tmp_path, monkeypatch
):
    path, rename, came = tmp_path / "data.zarr", files.os.rename, []
    fill(path, "folder", "old")

    def late(source, target):
        fresh = ".partial" in source.parent.name and source.name == path.name
        if fails and len(came) == 2 and fresh:
            raise PermissionError("no")
        rename(source, target)
        if "aside" in target.name:
            came.append(True)
            if len(came) == 1:
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
