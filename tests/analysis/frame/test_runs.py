"""A run leaves a folder of its own, whole or not at all, and loses nothing that was there."""

import json
import os
import shutil
import threading
import time
import tomllib

import family
import numpy as np
import pytest
from family import ANALYSIS, Settings, assert_whole

import rnnsim
from analysis.frame import manifest, runs
from analysis.frame.places import Place
from rnnsim import files


def run(folder, *, source=None, usual=False, overwrite=False, analysis=ANALYSIS, **settings):
    place = Place(folder, usual=usual, overwrite=overwrite)
    return runs.run(analysis, Settings(**settings), output=place, source=source, progress=False)


def snapshot(folder):
    """Every file below a folder, hidden ones too, and every folder."""
    return {p: p.is_file() and p.read_bytes() for p in sorted(folder.rglob("*"))}


@pytest.fixture
def first(tmp_path):
    run(tmp_path / "first", value=1.0)
    return tmp_path / "first"


def test_a_run_is_whole_and_alone(first, capsys):
    assert assert_whole(first) == 1.0
    assert [each.name for each in first.parent.iterdir()] == ["first"]
    names = {each.name for each in first.iterdir()}
    words = ("captions.txt", "configuration.toml", "manifest.json", "summary.txt")
    files_of_all = {"data", *words}
    assert names == files_of_all | {f"{n}.{s}" for n in ("first", "second") for s in ("png", "svg")}


def test_what_is_printed_is_there(tmp_path, capsys):
    run(tmp_path / "out")
    *lines, space = capsys.readouterr().out.splitlines()
    assert space == ""  # what comes next is the summary
    assert lines == [str(tmp_path / "out" / f"{n}.{s}") for n in ("first", "second")
                     for s in ("png", "svg")]  # fmt: skip
    assert all(os.path.exists(line) for line in lines)


@pytest.mark.parametrize("where", ["compute", "draw"])
@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_fails_leaves_all_as_it_was(where, there, tmp_path):
    folder = tmp_path / "results" / "family"
    if there:
        run(folder, value=1.0)
    before = snapshot(tmp_path)
    with pytest.raises(ValueError, match=f"failed to {where}"):
        run(folder, value=2.0, overwrite=True, fail=where)
    assert snapshot(tmp_path) == before


def test_a_folder_that_is_used_is_refused_and_overwrite_replaces_it_whole(first):
    before = snapshot(first)
    with pytest.raises(FileExistsError, match="is used: it holds a run of family; name another"):
        run(first, value=2.0)
    assert snapshot(first) == before
    run(first, value=2.0, names=("third",), overwrite=True)
    assert assert_whole(first) == 2.0
    assert not (first / "first.png").exists()
    assert [each.name for each in (first / "data").iterdir()] == ["third.zarr"]
    assert [each.name for each in first.parent.iterdir()] == ["first"]


def test_the_usual_folder_is_replaced_where_it_is_an_earlier_run_of_the_same(first):
    run(first, value=2.0, usual=True)
    assert assert_whole(first) == 2.0
    other = type(ANALYSIS)(**vars(ANALYSIS) | {"__name__": "tests.other"})
    with pytest.raises(FileExistsError, match="it holds a run of family"):
        run(first, value=3.0, usual=True, analysis=other)
    assert assert_whole(first) == 2.0
    run(first, value=3.0, overwrite=True, analysis=other)
    assert manifest.read(first).analysis == "other"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("usual", [False, True])
@pytest.mark.parametrize(
    "name", ["notes.txt", "data/mine.nc", "data/first.zarr/notes.txt", ".git/x"]
)
def test_what_no_run_has_written_is_never_lost(name, usual, overwrite, first):
    (first / name).parent.mkdir(exist_ok=True)
    (first / name).write_text("keep")
    before = snapshot(first.parent)
    with pytest.raises(FileExistsError, match=f"holds {name}, which no run of rnnsim has written"):
        run(first, value=2.0, usual=usual, overwrite=overwrite)
    assert snapshot(first.parent) == before


def test_folders_of_others_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in "abcde":
        (tmp_path / "mine" / f"{name}.png").write_text("keep")
    for options in ({}, {"usual": True}, {"overwrite": True}):
        with pytest.raises(FileExistsError, match=r"holds a.png, b.png, c.png and others, which"):
            run(tmp_path / "mine", **options)
    (tmp_path / "file").write_text("keep")
    with pytest.raises(NotADirectoryError, match=r"`--output` '.*file' is a file"):
        run(tmp_path / "file", overwrite=True)
    with pytest.raises(OSError, match=r"`--output` '.*below' cannot be written \(.*\); name"):
        run(tmp_path / "file" / "below")
    with pytest.raises(OSError, match="is the folder you are in, above it, or a file system of"):
        run(tmp_path.cwd(), overwrite=True)
    with pytest.raises(OSError, match="is the folder you are in"):
        run(tmp_path.cwd().parent, overwrite=True)


def test_an_empty_folder_is_not_used(tmp_path):
    (tmp_path / "out").mkdir()
    run(tmp_path / "out")
    assert_whole(tmp_path / "out")


def test_a_run_of_an_earlier_version_has_no_manifest_and_is_replaced_on_demand(first):
    (first / "manifest.json").unlink()
    for usual in (False, True):
        with pytest.raises(FileExistsError, match="a run that was not finished, or is damaged"):
            run(first, value=2.0, usual=usual)
    run(first, value=2.0, overwrite=True)
    assert assert_whole(first) == 2.0


def test_of_two_runs_at_once_both_are_kept_whole(tmp_path):
    computing, go_on = threading.Event(), threading.Event()

    def slowly(settings, progress):
        computing.set()
        assert go_on.wait(60)
        return family.compute(settings, progress)

    slow = type(ANALYSIS)(**vars(ANALYSIS) | {"compute": slowly})
    errors = []

    def late():
        try:
            run(tmp_path / "out", value=2.0, analysis=slow)
        except FileExistsError as error:
            errors.append(str(error))

    thread = threading.Thread(target=late)
    thread.start()
    assert computing.wait(60)
    run(tmp_path / "out", value=1.0)
    go_on.set()
    thread.join()
    assert assert_whole(tmp_path / "out") == 1.0
    (kept,) = (each for each in tmp_path.iterdir() if each.name != "out")
    assert assert_whole(kept) == 2.0
    assert f"{str(kept)!r}" in errors[0]


def test_drawn_again_is_of_the_run_of_its_data(first, tmp_path):
    words = run(tmp_path / "again", source=first)
    assert words == ["first is 1.0", "second is 1.0"]
    assert assert_whole(tmp_path / "again") == 1.0
    assert not (tmp_path / "again" / "data").exists()
    assert manifest.read(tmp_path / "again").run == manifest.read(first).run
    for name in ("first.svg", "configuration.toml", "summary.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (first / name).read_bytes()
    with pytest.raises(FileNotFoundError, match=r"there is no dataset in '.*again/data'"):
        run(tmp_path / "third", source=tmp_path / "again")
    assert not (tmp_path / "third").exists()


def test_drawing_never_mixes_with_what_is_there(first, tmp_path):
    other = tmp_path / "other"
    run(other, value=2.0)
    for options in ({}, {"usual": True}):
        with pytest.raises(FileExistsError, match="is used: it holds a run of family"):
            run(other, source=first, **options)
    assert assert_whole(other) == 2.0
    run(other, source=first, overwrite=True)
    assert assert_whole(other) == 1.0
    assert not (other / "data").exists()
    run(other, source=first, usual=True)  # figures alone may go
    assert assert_whole(other) == 1.0


@pytest.mark.parametrize("option", ["usual", "overwrite"])
def test_drawn_in_its_own_place_a_run_keeps_its_data(option, first):
    before, number = rnnsim.load(first), manifest.read(first).run
    run(first, source=first, **{option: True})
    assert assert_whole(first) == 1.0
    assert manifest.read(first).run == number
    after = rnnsim.load(first)
    assert before.keys() == after.keys()
    assert all(after[name].identical(before[name]) for name in before)


def spoil(name, change):
    def do(folder):
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.unlink() if change is None else path.write_text(change)

    return do


SPOILED = {
    "a chunk is lost": (spoil("data/first.zarr/first/c/0", None), "data/first.zarr/first/c/0"),
    "a dataset is lost": (
        lambda folder: shutil.rmtree(folder / "data" / "first.zarr"),
        "another run: data/first.zarr/first/c/0, data/first.zarr/first/zarr.json, data/first.zarr",
    ),
    "a dataset of another run": (
        lambda folder: rnnsim.save(
            rnnsim.load(folder)["first"] + 1, folder / "data" / "first.zarr", kind="family/first"
        ),
        "is damaged, or holds files of another run: data/first.zarr",
    ),
    "one dataset too many": (
        lambda folder: rnnsim.save(rnnsim.load(folder)["first"], folder / "data" / "third.zarr"),
        "holds files of another run: data/third.zarr",
    ),
    "the configuration is another": (spoil("configuration.toml", "value = 2.0"), "configuration"),
    "the configuration is lost": (spoil("configuration.toml", None), "configuration.toml differ"),
    "a figure is another": (spoil("first.svg", "<svg/>"), "first.svg differ"),
    "the summary is another": (spoil("summary.txt", "first is 2.0\n"), "summary.txt differ"),
    "no manifest": (spoil("manifest.json", None), "has no manifest.json: its run was not finished"),
    "another manifest": (spoil("manifest.json", "{}"), r"manifest.json' is damaged \(KeyError"),
    "a manifest of nothing": (spoil("manifest.json", "null"), "manifest.json' is damaged"),
    "a broken manifest": (spoil("manifest.json", "{"), "manifest.json' is damaged"),
    "a deep manifest": (spoil("manifest.json", "[" * 100_000), "manifest.json' is damaged"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_run_that_is_not_as_it_was_left_is_not_drawn(name, first, tmp_path):
    change, words = SPOILED[name]
    change(first)
    with pytest.raises(ValueError, match=words) as error:
        run(tmp_path / "again", source=first)
    assert "`--from`" in str(error.value)
    assert "first" in str(error.value)
    assert not (tmp_path / "again").exists()


def test_figures_that_are_gone_are_drawn_again(first, tmp_path):
    for path in [*first.glob("*.png"), *first.glob("*.svg"), first / "summary.txt"]:
        path.unlink()
    run(tmp_path / "again", source=first)
    assert_whole(tmp_path / "again")


def test_a_forged_manifest_is_noticed(first, tmp_path):
    content = json.loads((first / "manifest.json").read_text())
    content["run"] = "mine"
    (first / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"manifest\.json' is damaged: its checksum differs"):
        run(tmp_path / "again", source=first)


def test_another_analysis_and_nothing_are_refused(first, tmp_path):
    other = type(ANALYSIS)(**vars(ANALYSIS) | {"__name__": "tests.other_thing"})
    words = "holds a run of family, expected other-thing; it was saved by another analysis"
    with pytest.raises(ValueError, match=words):
        run(tmp_path / "again", source=first, analysis=other)
    with pytest.raises(FileNotFoundError, match="must name the folder of an earlier run of family"):
        run(tmp_path / "again", source=tmp_path / "absent")
    assert not (tmp_path / "again").exists()


def test_a_run_drawn_while_it_is_replaced_is_one_of_them(first, tmp_path):
    stop, failures = threading.Event(), []

    def write():
        try:
            for value in range(2, 12):
                run(first, value=float(value), overwrite=True)
        except Exception as error:
            failures.append(error)
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    number = 0
    while not stop.is_set():
        number += 1
        run(tmp_path / f"again-{number}", source=first)
        assert_whole(tmp_path / f"again-{number}")
        time.sleep(0.01)
    thread.join()
    assert not failures
    assert number


TEXTS = ["\U0001f600", "größte\n", 'a "quoted" \\ one', "\x7f\x00", "nan", "$^$", "#", "a=b"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 5e-324, -0.0, 3])
def test_every_configuration_is_read_back(text, value):
    read = tomllib.loads(runs.to_toml(Settings(value=value, text=text, names=(text, text))))
    assert read["text"] == text
    assert read["names"] == [text, text]
    np.testing.assert_equal(read["value"], value)
    assert type(read["value"]) is type(value)


def test_text_that_no_file_holds_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(ValueError, match=r"`--text` 'a\\udcff.npz' must be text that UTF-8 holds"):
        run(tmp_path / "out", text="a\udcff.npz", fail="compute")
    assert not (tmp_path / "out").exists()


def test_a_run_killed_between_two_moves_is_found(first, tmp_path):
    stage = tmp_path / ".first.0a1b2c3d.partial"
    stage.mkdir()
    (stage / "rnnsim.lock").touch()
    first.rename(stage / "first")
    (stage / "rnnsim.aside0").mkdir()
    run(tmp_path / "again", source=first)
    assert assert_whole(first) == assert_whole(tmp_path / "again") == 1.0
    assert files.there(first)
