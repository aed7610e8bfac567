"""Commands whose reader goes, that are interrupted, or that are told what they cannot use."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from family import assert_whole

from analysis import __main__ as commands
from analysis.frame import figures

ROOT = Path(__file__).parents[3]

# The command line with one more analysis, quick to run; the demo is made of it.
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests ignore it
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
import family
from analysis import __main__ as commands, demo
from analysis.scaling import running
from analysis.frame.settings import Ensemble

def slow(settings, progress):
    print("computing", file=sys.stderr, flush=True)
    time.sleep(300)

def add(name, **changes):
    analysis = type(family.ANALYSIS)(**vars(family.ANALYSIS) | changes | {"__name__": name})
    run, folder = partial(running.run, analysis), Path("results") / name
    commands._add_command(name, analysis.HELP, analysis.Settings, run, folder)
    return analysis

add("family")
add("slow", compute=slow)
parts = [add("one"), add("two")]
for part in parts:
    part.Settings = lambda part=part, **_: family.Settings()
demo.PARTS = parts
demo.replace = lambda settings, **_: settings
commands.main()
"""


def program(*arguments, cwd, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, **pipes)


def finished(*arguments, cwd, **options):
    with program(*arguments, cwd=cwd, **options) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize("command", ["family", "demo"])
def test_a_reader_who_goes_breaks_nothing_off(command, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)  # as of head, before it has read a line
    try:
        code, _, err = finished(command, cwd=tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert (code, err) == (0, "")
    parts = ["family"] if command == "family" else ["one", "two"]
    assert sorted(each.name for each in (tmp_path / "results").iterdir()) == parts
    for part in parts:
        assert_whole(tmp_path / "results" / part)


def test_help_may_be_cut_off_as_well(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        _, _, err = finished("--help", cwd=tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert err == ""


def test_an_interrupted_command_says_so_and_leaves_nothing(tmp_path):
    with program("slow", cwd=tmp_path) as process:
        assert process.stderr.readline() == "computing\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "rnnsim: interrupted\n")
    assert not list(tmp_path.iterdir())


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch):
    """A file of one call is not that of the next, in the same process."""
    monkeypatch.setattr(commands.app, "config", commands.app.config)


def refused(words, *arguments):
    """A command that ends with an error, without a process of its own."""
    with pytest.raises((ValueError, OSError), match=words):
        commands.app.meta([*map(str, arguments)])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--gain", "2"], "--gain"),
        (["--n-hidden", "3", "--seed", "5"], "--n-hidden, --seed"),
        (["--tolerance", "0.1"], "settings"),  # as it would be anyway, yet it means nothing
    ],
)
def test_settings_beside_from_are_refused(flags, named, tmp_path):
    words = f"`--from` draws data as they were .* takes no settings, got {named}; leave them out"
    refused(words, "portrait", "--from", tmp_path, *flags, "--output", tmp_path / "out")
    (tmp_path / "mine.toml").write_text("gain = 2.0\n")
    words = "takes no settings, got --gain; leave them out, also those in a file of --config"
    refused(words, "portrait", "--config", tmp_path / "mine.toml", "--from", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine.toml"]


def test_a_configuration_that_is_none_is_named(tmp_path):
    refused("`--config` '.*' is a folder; name a TOML file", "portrait", "--config", tmp_path)
    absent = tmp_path / "absent.toml"
    refused("absent.toml' does not exist; name a TOML file", "portrait", "--config", absent)
    for content in (b"gain = ", b"\xff\xfe", b"x = " + b"[" * 100_000, b"a = 1\na = 2"):
        (tmp_path / "bad.toml").write_bytes(content)
        refused(r"bad\.toml' is not a TOML file", "portrait", "--config", tmp_path / "bad.toml")


def test_a_used_folder_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    for part in ("gradient-norms", "spectra"):
        (tmp_path / "results" / part).mkdir(parents=True)
    (tmp_path / "results" / "spectra" / "notes.txt").write_text("keep")
    refused("holds notes.txt, which no run", "demo", "--output", tmp_path / "results")
    refused("holds notes.txt", "demo", "--output", tmp_path / "results", "--overwrite")
    assert not list((tmp_path / "results" / "gradient-norms").iterdir())
    monkeypatch.chdir(tmp_path)
    refused("holds notes.txt", "spectra")
    assert not list(tmp_path.rglob("*.png"))


def test_a_refusal_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused("must be one of", "portrait", "--scheme", "glorot")
    refused("must be one of", "portrait", "--scheme", "glorot", "--output", "a/b/c")
    refused("does not exist", "portrait", "--weights", "absent.npz", "--output", "a/b/c")
    refused("must name the folder", "demo", "--from", "absent")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flags",
    [["--n-layers", "0"], ["--cell", "tree"], ["--forget-bias", "1"], ["--task", "subtracting"]],
)
def test_a_refused_demo_prints_nothing(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused("must be|sets the bias", "demo", *flags)
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


def test_names_of_files_are_shown_letter_by_letter():
    figure, ax = figures.new_figure()
    for name in ("a$^$b", "$", "$$", "a_b", "c\x07\n", "\\$", "größte"):
        title = ax.set_title(figures.plain(name))
        figure.draw_without_rendering()
        shown = title._preprocess_math(title.get_text())
        assert shown == (name.replace("\x07\n", "??"), False) or "\\" in name


def test_the_makefile_replaces_its_own_folders():
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    runs = [line for line in lines if "/rnnsim" in line and "--output" in line]
    assert len(runs) == 1
    assert all("--overwrite" in line for line in runs)
