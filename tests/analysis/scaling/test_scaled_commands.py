"""Commands on workers and shards: the same data, what stores say, what contradicts itself."""

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rnnsim
from analysis.__main__ import ANALYSES, app
from rnnsim.experiments.scaling.engine import is_scaled

GUIDE = Path(__file__).parents[3] / "docs" / "scaling.md"
SMALL = ["--gain", "0.5", "1.5", "--length", "8", "12", "--n-hidden", "4", "--network-seeds", "2"]


def run(*words):
    with contextlib.suppress(SystemExit):  # as commands end
        app.meta([*map(str, words)])


def data(folder):
    return rnnsim.load(folder)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("usual") / "out"
    run("gradient-norms", *SMALL, "--output", folder)
    return data(folder)


def same(one, other):
    assert list(one) == list(other)
    return all(one[name].identical(other[name]) for name in one)


def test_a_store_changes_nothing_and_is_gone_on_with(tmp_path, usual, capsys):
    words = ["gradient-norms", *SMALL, "--store", tmp_path / "s"]
    run(*words, "--output", tmp_path / "a")
    times = {each: each.stat().st_mtime_ns for each in (tmp_path / "s").rglob("*.npz")}
    assert len(times) > 3
    run(*words, "--output", tmp_path / "b")
    assert times == {each: each.stat().st_mtime_ns for each in (tmp_path / "s").rglob("*.npz")}
    assert same(data(tmp_path / "a"), usual)
    assert same(data(tmp_path / "b"), usual)
    capsys.readouterr()
    run("status", tmp_path / "s")
    said = capsys.readouterr().out
    done = re.findall(r"(\d+) of (\d+) jobs are done", said)
    assert len(done) == len(list((tmp_path / "s").glob("*.sweep")))
    assert all(one == other for one, other in done)
    assert sum(int(one) for one, _ in done) == len(times)


def test_shards_are_merged_to_the_same_figures_and_data(tmp_path, usual, capsys):
    words = ["gradient-norms", *SMALL, "--store", tmp_path / "s"]
    run(*words, "--shard", "1/2", "--output", tmp_path / "never")
    assert not (tmp_path / "never").exists()
    with pytest.raises(ValueError, match=r"is not whole: \d+ of \d+ parts .* missing"):
        run("merge", tmp_path / "s", "--output", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    run(*words, "--shard", "2/2")
    assert "Share 2 of 2 is done" in capsys.readouterr().out
    run("merge", tmp_path / "s", "--output", tmp_path / "merged")
    assert same(data(tmp_path / "merged"), usual)
    assert (tmp_path / "merged" / "norm-against-lag.png").exists()


def test_processes_give_the_same_data(tmp_path, usual):
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "gradient-norms", *SMALL, "--workers", "2", "--output",
         str(tmp_path / "a")], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert same(data(tmp_path / "a"), usual)


def test_a_dry_run_counts_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("gradient-norms", *SMALL, "--dry-run")
    said = capsys.readouterr().out
    assert re.search(r"sweep: \d+ jobs of \d+ kinds?; .* of memory; a store of .* core-hours", said)
    assert not list(tmp_path.iterdir())
    jobs = sum(int(n) for n in re.findall(r"sweep: (\d+) job", said))
    run("gradient-norms", *SMALL, "--store", "s", "--output", "o")
    assert jobs == len(list((tmp_path / "s").rglob("*.npz")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "1/2"], "`--shard` needs `--store`"),
        (["--store", "s", "--shard", "0/4"], "`--shard` must be i/n.*got '0/4'"),
        (["--store", "s", "--shard", "5/4"], "`--shard` must be i/n.*got '5/4'"),
        (["--store", "s", "--shard", "x"], "`--shard` must be i/n.*got 'x'"),
        (["--workers", "0"], "`--workers` must be"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "`--workers` and `--scheduler`"),
        (["--scheduler-file", "nothing.json"], "nothing.json' does not exist"),
        (["--from", "x", "--workers", "2"], "`--from` computes nothing"),
        (["--store", "file"], "is a file; name a folder"),
        (["--store", "letters"], "a folder of something else"),
    ],
)
def test_flags_that_mean_nothing_are_refused(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("")
    before = sorted(map(str, tmp_path.rglob("*")))
    with pytest.raises((ValueError, OSError), match=said):
        run("gradient-norms", *SMALL if "--from" not in words else [], *words)
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_another_command_or_other_settings_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("gradient-norms", *SMALL, "--store", "s", "--shard", "1/9")
    with pytest.raises(ValueError, match="belongs to rnnsim gradient-norms, not to truncation"):
        run("truncation", *SMALL, "--store", "s")
    with pytest.raises(ValueError, match=r"begun with other settings: network-seeds = 2, now"):
        run("gradient-norms", *SMALL[:-1], "3", "--store", "s")


@pytest.mark.parametrize("words", [["merge", "nothing"], ["status", "nothing"], ["merge", "."]])
def test_what_is_no_store_is_refused(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="name the folder that --store"):
        run(*words)


def test_the_demo_takes_a_store_and_refuses_shares(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="`--shard` is of one analysis"):
        run("demo", "--store", "s", "--shard", "1/2")


def test_an_unreachable_scheduler_is_one_sentence():
    pytest.importorskip("distributed")
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "gradient-norms", *SMALL, "--scheduler",
         "tcp://127.0.0.1:9"], capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert re.search(r"no dask scheduler answers within 10 s", line)


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda each: each.name)
def test_every_analysis_has_the_flags(analysis, capsys):
    run("help", analysis.name)
    said = capsys.readouterr().out
    for flag in ("--store", "--workers", "--scheduler", "--scheduler-file", "--shard", "--dry-run"):
        assert flag in said


def test_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, GUIDE.name, "exec"), {"__name__": "guide"})
    assert rnnsim.load("mine.sweep").sizes["gain"] == 3


def test_the_guide_names_flags_that_there_are(capsys):
    run("help", "gradient-norms")
    known = capsys.readouterr().out
    said = re.findall(r"^\$ rnnsim gradient-norms (.*)$", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert len(said) == 2
    for flag in {flag for line in said for flag in re.findall(r"--[a-z-]+", line)}:
        assert flag in known


def test_what_is_around_counts_as_scaled():
    assert not is_scaled(None, None)
    assert is_scaled(None, "s")
    assert json.dumps(is_scaled(object(), None)) == "true"
