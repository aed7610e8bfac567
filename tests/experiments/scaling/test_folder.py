"""A store: parts that are done stay, damaged ones are done again, others are refused."""

import json
import os

import fake_executors as fakes
import numpy as np
import pytest

import rnnsim
from rnnsim import files
from rnnsim.experiments.runner import run
from rnnsim.experiments.scaling import parts
from rnnsim.experiments.scaling.engine import Engine, Shard, inside, shard_of
from rnnsim.experiments.scaling.status import status
from rnnsim.training import runs

N = 30


@pytest.fixture(autouse=True)
def _counted():
    fakes.CALLS.clear()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "mine.sweep"


def test_what_is_done_is_not_done_again(place):
    first = run(fakes.study(N), store=place)
    assert sum(fakes.CALLS.values()) == N
    again = run(fakes.study(N), store=place)
    assert sum(fakes.CALLS.values()) == N
    assert first.identical(again)
    assert first.identical(rnnsim.load(place))
    assert len(list((place / "parts").iterdir())) == N


def test_many_jobs_are_stored_in_few_files(place, monkeypatch):
    monkeypatch.setattr(parts, "MOST_PARTS", 7)
    found = run(fakes.study(N), store=place)
    assert len(list((place / "parts").iterdir())) == 6  # of 5 jobs each
    assert found.identical(run(fakes.study(N)))
    assert status(place).n_done == N


def test_a_job_that_fails_takes_no_neighbour_of_its_part_with_it(place, monkeypatch):
    monkeypatch.setattr(parts, "MOST_PARTS", 7)  # of 5 jobs each
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"1 of 30 jobs .* failed"):
            found = run(fakes.study(N, odd={6: "raise"}), store=place)
        assert np.flatnonzero(np.isnan(found.square.values)).tolist() == [6]
        assert status(place).n_done == N - 1
        assert len(list((place / "parts").iterdir())) == 6
    assert (fakes.CALLS[6], fakes.CALLS[7], fakes.CALLS[12]) == (2, 2, 1)
    monkeypatch.setattr(fakes, "FAILS", False)
    assert run(fakes.study(N, odd={6: "raise"}), store=place).square.values[6] == 36.0
    assert sorted(each.name.count(".some") for each in (place / "parts").iterdir()) == [0] * 6
    assert not status(place).failed


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "of other jobs", "a text"])
def test_a_damaged_part_is_measured_again(place, damage):
    whole = run(fakes.study(N), store=place)
    files = sorted((place / "parts").iterdir())
    content = files[3].read_bytes()
    at = content.index(b"sha256") // 2
    files[3].write_bytes({
        "truncated": content[: len(content) // 2],
        "flipped": content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
        "empty": b"",
        "of other jobs": files[4].read_bytes(),
        "a text": b"hello",
    }[damage])  # fmt: skip
    if damage != "of other jobs":
        with pytest.warns(UserWarning, match="1 damaged part"):
            so_far = rnnsim.load(place)
        assert np.flatnonzero(np.isnan(so_far.square.values)).tolist() == [3]
        assert status(place).damaged == (3,)
    fakes.CALLS.clear()
    assert run(fakes.study(N), store=place).identical(whole)
    assert dict(fakes.CALLS) == {3: 1}


def test_every_flipped_byte_is_noticed(place):
    run(fakes.study(2), store=place)
    file = sorted((place / "parts").iterdir())[1]
    content, whole = file.read_bytes(), parts.unpacked(file)
    silent = 0
    for at in range(len(content)):
        flipped = content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]
        try:
            file.write_bytes(flipped)
            held = parts.unpacked(file)
        except ValueError:
            continue
        silent += 1  # of the archive's dates and the like
        for one, other in zip(held, whole, strict=True):
            assert one.place == other.place
            assert all(np.array_equal(one.found[k], other.found[k]) for k in other.found)
    assert silent < len(content) / 2


def test_failures_are_recorded_and_tried_again(place):
    odd = fakes.study(N, odd={5: "raise"})
    for tries in (1, 2):
        with pytest.warns(UserWarning, match=r"1 of 30 jobs .* failed"):
            found = run(odd, store=place)
        assert np.flatnonzero(np.isnan(found.square.values)).tolist() == [5]
        said = json.loads((place / "failed" / "00000005.json").read_bytes())
        assert said["tries"] == tries
        assert said["exception"].endswith("ArithmeticError: job 5 cannot")
    assert fakes.CALLS[5] == 2
    assert fakes.CALLS[4] == 1
    assert status(place).failed[5]["tries"] == 2
    said = "Failed: job 5, tried 2 times: ArithmeticError: job 5 cannot"
    assert said in status(place).summary()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (fakes.study(N, name="cubes"), "its name is 'squares', now it is 'cubes'"),
        (fakes.study(N + 1), "configuration 'n_jobs' is 30, now it is 31"),
        (fakes.study(N, offset=1), "configuration 'offset' is 0, now it is 1"),
        (fakes.study(N, odd={2: "x"}), "jobs 'sha256'"),
    ],
    ids=["name", "jobs", "setting", "a job"],
)
def test_a_store_of_something_else_is_refused_by_the_first_difference(place, other, said):
    run(fakes.study(N), store=place)
    before = sorted(each.name for each in place.rglob("*"))
    with pytest.raises(ValueError, match=said):
        run(other, store=place)
    assert sorted(each.name for each in place.rglob("*")) == before


def test_a_store_of_another_version_is_refused(place):
    run(fakes.study(N), store=place)
    plan = json.loads((place / "plan.json").read_bytes())
    plan["versions"]["rnnsim-toolkit"] = "0.0.1"
    del plan["sha256"]
    from rnnsim.experiments.scaling.plan import Plan, write_plan

    write_plan(place, Plan(plan))
    with pytest.raises(ValueError, match=r"versions 'rnnsim-toolkit' is '0\.0\.1', now it is"):
        run(fakes.study(N), store=place)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 9, "sha256": ""}', "\x00"])
def test_a_damaged_plan_is_said_to_be_one(place, text):
    run(fakes.study(N), store=place)
    (place / "plan.json").write_text(text)
    with pytest.raises(ValueError, match="not a readable plan"):
        run(fakes.study(N), store=place)
    with pytest.raises(ValueError, match="not a readable plan"):
        rnnsim.load(place)


def test_files_and_strange_folders_are_refused(place, tmp_path):
    place.write_text("hello")
    with pytest.raises(ValueError, match="is a file; name a folder"):
        run(fakes.study(2), store=place)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"a folder of something else, with 'a\.txt' in it"):
        run(fakes.study(2), store=tmp_path / "letters")
    assert [each.name for each in (tmp_path / "letters").iterdir()] == ["a.txt"]


def test_a_second_driver_is_refused_and_the_first_is_named(place):
    jobs = fakes.study(3)

    def inner(job, n_threads):
        with pytest.raises(ValueError, match=rf"in use: process {os.getpid()} on .* since"):
            run(fakes.study(3), store=place)
        assert status(place).drivers[""]["pid"] == os.getpid()
        return fakes.measure(job, n_threads)

    run(jobs._replace(measure=inner), store=place)
    assert not status(place).drivers
    assert not (place / "owner.json").exists()


def test_a_full_disk_is_said_and_what_is_there_stays(place, monkeypatch):
    written = files.put

    def full(target, content, stage):
        if target.name.startswith("00000004"):
            raise OSError(28, "No space left on device")
        written(target, content, stage)

    monkeypatch.setattr(files, "put", full)
    with pytest.raises(OSError, match=r"No space left on device.*the same call goes on"):
        run(fakes.study(N), store=place)
    monkeypatch.undo()
    assert len(list((place / "parts").iterdir())) == 4
    fakes.CALLS.clear()
    assert run(fakes.study(N), store=place).identical(run(fakes.study(N)))
    assert fakes.CALLS[0] == 1  # of the serial run alone


def test_shards_together_are_the_whole(place):
    whole = run(fakes.study(N))
    fakes.CALLS.clear()
    for i in (1, 2, 3):
        with inside(Engine(store=place, shard=Shard(i, 3))):
            part = run(fakes.study(N))
        assert int(np.isnan(part.square.values).sum()) == N - N // 3 * i
    assert set(fakes.CALLS.values()) == {1}
    folder_of_study = place / "01-squares.sweep"
    assert rnnsim.load(folder_of_study).identical(whole)
    assert run(fakes.study(N), store=folder_of_study).identical(whole)
    assert set(fakes.CALLS.values()) == {1}


@pytest.mark.parametrize("text", ["0/4", "5/4", "x", "1", "1/0", "-1/4", "1/4/2", "", "1.0/4"])
def test_shares_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="`shard` must be i/n"):
        shard_of(text)


def test_what_the_rest_takes_is_told_from_what_is_done(place):
    with inside(Engine(store=place.parent, shard=Shard(1, 2))):
        run(fakes.study(N))
    found = status(place.parent / "01-squares.sweep")
    assert (found.n_done, found.n_jobs) == (15, 30)
    assert found.rest == pytest.approx(found.seconds)
    said = " ".join(found.summary())
    assert "15 of 30 jobs are done" in said
    assert "Nothing runs" in said


def test_training_that_was_stopped_goes_on_from_its_checkpoint(place, monkeypatch):
    settings = {"length": 10, "n_updates": 1100, "n_hidden": 3, "network_seeds": 1, "test_size": 20,
                "batch_size": 2, "methods": "SGD"}  # fmt: skip
    whole = rnnsim.learning_sweep(**settings)
    written, made = runs.write_checkpoint, []

    def stopped(path, checkpoint):
        written(path, checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "write_checkpoint", stopped)
    with pytest.raises(KeyboardInterrupt):
        rnnsim.learning_sweep(**settings, store=place)
    (file,) = (place / "checkpoints").iterdir()
    assert file.name == "00000000-0.npz"
    monkeypatch.setattr(runs, "write_checkpoint", lambda *given: made.append(written(*given)))
    assert rnnsim.learning_sweep(**settings, store=place).identical(whole)
    assert len(made) == 1, "the 1000 updates of before are not made again"
    assert not list((place / "checkpoints").iterdir())


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"`store` .* cannot be written .* name another folder"):
        run(fakes.study(2), store=tmp_path / "file" / "s")
