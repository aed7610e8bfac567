"""A report is asked for by its path; what writes it is found by its name."""

import subprocess
import sys

import pytest
from known_networks import driven, linear

from analysis.diagnosis import page
from rnnsim import diagnose
from rnnsim.diagnosis import saving


@pytest.fixture(scope="module")
def found():
    return diagnose(linear(0.9), driven(n_steps=12, n_sequences=4), window=4)


def test_the_path_is_given_back(found, tmp_path):
    for each in (found, found.beside(found)):
        for path in (tmp_path / "new" / f"{type(each).__name__}.html", str(tmp_path / "a.html")):
            place = each.save(path, overwrite=True)
            assert place.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
            assert str(place) == str(path)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("report.pdf", ValueError, r"`path` '.*report.pdf' must end in .html"),
        ("report", ValueError, r"name it '.*report.html'"),
        ("there.html", FileExistsError, "there already; name another file, or replace it with"),
        ("folder.html", IsADirectoryError, "is a folder; name a file in it"),
        ("there.html/a.html", OSError, "`path` .* cannot be written"),
    ],
)
def test_misuse(name, error, message, both, found, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "report", None)  # what is refused is refused before it is drawn
    (tmp_path / "there.html").write_text("mine")
    (tmp_path / "folder.html").mkdir()
    each = found.beside(found) if both else found
    with pytest.raises(error, match=message):
        each.save(tmp_path / name)
    assert (tmp_path / "there.html").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "there.html"]


def test_without_what_draws_reports_it_says_how_to_get_it(found, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "entry_points", lambda **asked: ())
    with pytest.raises(ImportError, match=r"`save` needs .*pip install .*rnnsim-toolkit"):
        found.save(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_nothing_is_drawn_before_it_is_asked_for():
    code = "import sys, rnnsim.diagnosis.result; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
