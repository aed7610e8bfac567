"""`rnnsim reproduce`: what it lists, writes, draws again and refuses."""

import pytest

from analysis.__main__ import app
from analysis.commands.published import ENTRIES, KINDS
from analysis.published import command

NAME = "influence-balancing"


@pytest.fixture
def one_result(monkeypatch):
    monkeypatch.setattr(command, "ENTRIES", tuple(e for e in ENTRIES if e.name == NAME))


def run(*words, capsys):
    app(["reproduce", *words], result_action="return_value")
    return capsys.readouterr().out


def test_without_a_name_all_are_listed_by_kind(capsys):
    said = run(capsys=capsys)
    places = [said.index(f"{kind.capitalize()} (") for kind in KINDS]
    assert places == sorted(places)
    for entry in ENTRIES:
        (line,) = [line for line in said.splitlines() if line.split()[:1] == [entry.name]]
        assert entry.title in line


def test_one_leaves_a_page_its_figure_and_its_data(capsys, tmp_path):
    said = run(
        NAME, "--reduced", "--output", str(tmp_path / "one"), "--format", "svg", capsys=capsys
    )
    assert "All 3 numbers agree" in said
    page = (tmp_path / "one/page.md").read_text(encoding="utf-8")
    assert "](slope-against-window.svg)" in page
    assert (tmp_path / "one/slope-against-window.svg").exists()
    assert "length = 200" in page


def test_it_is_drawn_again_from_its_data(capsys, tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"
    run(NAME, "--reduced", "--output", str(first), capsys=capsys)
    run(NAME, "--from", str(first), "--output", str(again), capsys=capsys)
    assert (again / "page.md").read_bytes() == (first / "page.md").read_bytes()
    png = "slope-against-window.png"
    assert (again / png).read_bytes() == (first / png).read_bytes()
    assert not (again / "data").exists()


def test_all_go_into_folders_of_their_own(one_result, capsys, tmp_path):
    run("all", "--reduced", "--output", str(tmp_path / "all"), capsys=capsys)
    assert (tmp_path / "all" / NAME / "page.md").exists()
    with pytest.raises(FileExistsError, match="is used"):
        run("all", "--reduced", "--output", str(tmp_path / "all"), capsys=capsys)


def test_another_name_is_refused_by_all_that_there_are(capsys, tmp_path):
    with pytest.raises(ValueError, match=f"`NAME` must be one of '{NAME}'.*'all', got 'pascanu'"):
        run("pascanu", capsys=capsys)
    assert not list(tmp_path.iterdir())
