"""`rnnsim explore`, as a user runs it."""

import json
import re
import sys

import explored
import pytest

from analysis import explore
from analysis.__main__ import main
from analysis.explore import command
from analysis.explore.tries import tries

SMALL = (
    "--n-hidden 5 --network-seeds 3 --batch-size 2 --gain 3 0 1 --length 30 1 8 --forget-bias 0 3"
)


def run(monkeypatch, *words):
    """Its exit status."""
    monkeypatch.setattr(sys, "argv", ["rnnsim", "explore", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def refused(monkeypatch, capsys, *words):
    assert run(monkeypatch, *words) == 2
    return capsys.readouterr().err


@pytest.fixture
def nothing_computed(monkeypatch):
    def compute(*_, **__):
        raise AssertionError("it was computed")

    monkeypatch.setattr(command, "compute", compute)


def test_it_writes_the_page_and_says_what_to_try(monkeypatch, capsys, tmp_path):
    place = tmp_path / "explore.html"
    assert run(monkeypatch, *SMALL.split(), "--output", str(place)) == 0
    said = capsys.readouterr().out
    text = place.read_text(encoding="utf-8")
    expected = explore.html(explored.numbers(), f"rnnsim explore {SMALL} --output {place}")
    assert text == expected
    for each in tries(explored.numbers()):
        assert each.words in said
    assert said.startswith("Each setting: 3 random networks of 5 units read 2 sequences")
    assert said.endswith(f"\nPage: {place}\n")


def test_without_a_place_it_replaces_the_usual_one(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    small = "--n-hidden 3 --network-seeds 1 --batch-size 1 --length 4 --cell vanilla".split()
    for gain in ("1", "2"):
        assert run(monkeypatch, *small, "--gain", gain) == 0
        assert capsys.readouterr().out.endswith("Page: results/explore.html\n")
        text = (tmp_path / "results/explore.html").read_text(encoding="utf-8")
        data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
        assert data["gains"] == [float(gain)]


@pytest.mark.usefixtures("nothing_computed")
def test_what_cannot_be_written_is_refused_before_anything_is_computed(
    monkeypatch, capsys, tmp_path
):
    there = tmp_path / "there.html"
    there.write_text("mine")
    said = refused(monkeypatch, capsys, "--output", str(there))
    assert "`--output`" in said
    assert "--overwrite" in said
    assert there.read_text() == "mine"
    said = refused(monkeypatch, capsys, "--output", str(tmp_path / "page.txt"))
    assert "must end in .html" in said


def test_a_page_is_replaced_when_asked(monkeypatch, capsys, tmp_path):
    there = tmp_path / "there.html"
    there.write_text("mine")
    small = "--n-hidden 3 --network-seeds 1 --batch-size 1 --length 4 --gain 1 --cell vanilla"
    assert run(monkeypatch, *small.split(), "--output", str(there), "--overwrite") == 0
    assert there.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--gain nan", "--gain"),
        ("--length 0", "--length"),
        ("--cell elman", "--cell"),
        ("--forget-bias 1", "--forget-bias"),
        ("--tolerance 2", "--tolerance"),
    ],
)
def test_settings_are_refused_by_their_flags(words, message, monkeypatch, capsys, tmp_path):
    place = tmp_path / "explore.html"
    said = refused(monkeypatch, capsys, *words.split(), "--output", str(place))
    assert said.startswith(f"rnnsim: {message}")
    assert not place.exists()
