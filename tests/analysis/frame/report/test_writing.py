"""The file of a report: its name, what it does not replace, whole or not at all."""

import os
import re
import signal
from pathlib import Path

import pytest
import reports

from analysis.frame.report import html, write
from analysis.frame.report.places import check_place
from rnnsim import files


@pytest.fixture
def report():
    return reports.report([])


def test_it_writes_the_page_and_says_where(report, tmp_path):
    path = tmp_path / "new" / "a\u2028<b>.html"
    assert write(report, str(path)) == path
    assert path.read_text(encoding="utf-8") == html(report)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_numbers_are_read_back_as_the_page_on_reports_says(tmp_path, monkeypatch):
    text = (Path(__file__).parents[4] / "docs/guide/report.md").read_text(encoding="utf-8")
    _, code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    hostile = reports.report([], reports.HOSTILE, data={"a": ["</script>", 1.5, None]})
    write(hostile, tmp_path / "report.html")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(code, "report.md", "exec"), found)
    assert found["data"] == hostile.data


def test_a_file_that_is_there_stays_unless_it_may_go(report, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"`path` '.*report.html' is there .*overwrite=True"):
        write(report, path)
    assert path.read_text() == "mine"
    write(report, path, overwrite=True)
    assert path.read_text(encoding="utf-8") == html(report)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("report", "report.html"), ("report.pdf", "report.html"), ("a.html.txt", "a.html.html")],
)
def test_another_ending_is_refused_with_one_that_is_right(name, instead, report, tmp_path):
    with pytest.raises(ValueError, match=rf"`path` '.*{name}' must end in \.html: .*{instead}'"):
        write(report, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_without_a_name_is_refused(path, report):
    with pytest.raises(ValueError, match=r"must end in \.html.*'report.html'"):
        write(report, path)


@pytest.mark.parametrize(
    ("path", "options", "kind", "message"),
    [
        (3, {}, TypeError, "`path` must be a path"),
        (b"a.html", {}, TypeError, "`path` must be a path"),
        ("a\0.html", {}, ValueError, "zero character"),
        ("a.html", {"overwrite": 1}, TypeError, "`overwrite` must be True or False"),
    ],
)
def test_what_is_no_path_is_refused_by_name(path, options, kind, message, report):
    with pytest.raises(kind, match=message):
        write(report, path, **options)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_not_replaced(overwrite, report, tmp_path):
    (tmp_path / "runs.html").mkdir()
    with pytest.raises(IsADirectoryError, match=r"`path` '.*runs.html' is a folder; name a file"):
        write(report, tmp_path / "runs.html", overwrite=overwrite)


def test_a_place_that_cannot_be_written_is_named(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"`path` '.*below.html' cannot be written \(.+\); name"):
        write(report, tmp_path / "file" / "below.html")


def test_without_permission_it_says_so(report, tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OSError, match=r"cannot be written \(Permission denied\); name another"):
        write(report, tmp_path / "report.html")


def test_a_place_is_checked_before_anything_is_drawn(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(FileExistsError):
        write("no report at all", tmp_path / "report.html")
    assert check_place(tmp_path / "other.HTML") == tmp_path / "other.HTML"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_is_refused_leaves_the_old_one(report, tmp_path):
    path = write(report, tmp_path / "report.html")
    with pytest.raises(TypeError, match="`data"):
        write(report._replace(data={"a": object()}), path, overwrite=True)
    assert path.read_text(encoding="utf-8") == html(report)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_killed_while_it_writes_it_leaves_the_old_one(report, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LONG", -1.0)
    path = tmp_path / "report.html"
    path.write_text("mine")
    half, child = Path.write_text, os.fork()
    if child == 0:

        def killed(self, text, **options):
            half(self, text[: len(text) // 2], **options)
            os.kill(os.getpid(), signal.SIGKILL)

        Path.write_text = killed
        try:
            write(report, path, overwrite=True)
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert path.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2  # and what the dead process had begun
    write(report, path, overwrite=True)
    assert path.read_text(encoding="utf-8") == html(report)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
