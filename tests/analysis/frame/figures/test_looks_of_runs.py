"""The flags of looks, as a user gives them: which files a run leaves, its data as before."""

import re
import sys

import pytest
from matplotlib.image import imread

from analysis import __main__ as program
from analysis.frame import figures, manifest

TINY = "--n-hidden 4 --length 24 --batch-size 2 --n-threads 1 --no-progress".split()


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """The program: its exit code and what it says."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rnnsim", *map(str, arguments)])
        try:
            program.main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    return run


def left(folder):
    """Files of a run beside its data."""
    return {path.name for path in folder.iterdir() if path.is_file()}


WORDS = {"captions.txt", "summary.txt", "configuration.toml", "manifest.json"}


def test_a_run_leaves_what_its_look_says(call, tmp_path):
    assert call("portrait", *TINY, "--output", "usual")[0] == 0
    assert left(tmp_path / "usual") == {"portrait.png", "portrait.svg", *WORDS}
    again = ["portrait", "--from", "usual", "--no-progress", "--output"]
    look = ["--format", "pdf,png", "--width", "89mm", "--context", "paper", "--no-caption"]
    code, told = call(*again, "paper", *look)
    assert code == 0, told.err
    paper = tmp_path / "paper"
    assert left(paper) == {"portrait.pdf", "portrait.png", *WORDS}
    assert imread(paper / "portrait.png").shape[1] == pytest.approx(89 / 25.4 * 400, abs=1)
    manifest.check(tmp_path / "usual", "portrait")
    captions = {
        name: (tmp_path / name / "captions.txt").read_text(encoding="utf-8")
        for name in ("usual", "paper")
    }
    assert captions["usual"] == captions["paper"], "with the words of the caption in any case"
    assert re.match(r"portrait: \w.{60,}\n$", captions["usual"])
    assert figures.look() == figures.Look(), "one call's look is not the next one's"


def test_the_same_look_gives_the_same_files(call, tmp_path):
    assert call("portrait", *TINY, "--output", "one")[0] == 0
    for name in ("two", "three"):
        look = ["--format", "svg,pdf,png", "--context", "talk"]
        assert call("portrait", "--from", "one", *look, "--output", name)[0] == 0
    for suffix in ("svg", "pdf", "png"):
        two, three = (tmp_path / name / f"portrait.{suffix}" for name in ("two", "three"))
        assert two.read_bytes() == three.read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--context", "poster"], "`--context` must be one of paper, notebook, talk, got 'poster'"),
        (["--format", "gif"], "`--format` must be png, svg or pdf"),
        (["--width", "12m"], "`--width` must be a width such as 89mm"),
    ],
)
def test_no_look_is_refused_before_anything_is_computed(call, tmp_path, flags, message):
    code, told = call("portrait", *TINY, *flags, "--output", "one")
    assert code == 2
    assert told.err.startswith(f"rnnsim: {message}")
    assert not (tmp_path / "one").exists()


def test_looks_may_stand_in_a_file(call, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'context = "paper"\nwidth = "89mm"\nformat = "svg"\nn_hidden = 4\nlength = 24\n'
    )
    code, told = call("portrait", "--config", "mine.toml", "--output", "one", "--no-progress")
    assert code == 0, told.err
    assert left(tmp_path / "one") == {"portrait.svg", *WORDS}
