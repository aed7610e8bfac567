"""What is said of how far it is where there is no terminal, by a clock that the tests turn."""

import pytest

from rnnsim import progress


class Clock:
    """A clock that stands still unless it is turned."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "_clock", made)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    return made


def said(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_line_every_ten_seconds_and_one_at_the_end(clock, capsys):
    with progress.bar(100, show=True, unit="job", description="gradient sweep") as advance:
        for _ in range(100):
            clock.now += 1.0
            advance(1)
    lines = said(capsys)
    assert lines[0] == "gradient sweep: 10 of 100 jobs, 10%, 1 min 30 s left"
    assert lines[8] == "gradient sweep: 90 of 100 jobs, 90%, 10 s left"
    assert lines[9:] == ["gradient sweep: 100 of 100 jobs done in 1 min 40 s"]


def test_what_is_done_at_once_needs_no_line(clock, capsys):
    with progress.bar(3, show=True, unit="job") as advance:
        for _ in range(3):
            clock.now += 3.0
            advance(1)
    assert said(capsys) == []


def test_nothing_is_said_unless_it_is_asked_for(clock, capsys):
    with progress.bar(3, show=False, unit="job") as advance:
        clock.now += 100.0
        advance(3)
    assert said(capsys) == []


def test_what_was_done_before_says_nothing_of_the_time_that_is_left(clock, capsys):
    with progress.bar(100, show=True, unit="job", description="goes on", done=80) as advance:
        clock.now += 3600.0
        advance(10)
    assert said(capsys) == [
        "goes on: 90 of 100 jobs, 90%, 1 h 0 min left",
        "goes on: 90 of 100 jobs done in 1 h 0 min",
    ]


def test_one_of_one_is_no_plural_and_an_end_is_no_step_on_the_way(clock, capsys):
    with progress.bar(1, show=True, unit="job", description="portrait") as advance:
        clock.now += 12.4
        advance(1)
    assert said(capsys) == ["portrait: 1 of 1 job done in 12 s"]


def test_bars_within_another_share_the_ten_seconds(clock, capsys):
    with progress.bar(4, show=True, unit="job", description="outer") as outer:
        for _ in range(4):
            with progress.bar(3, show=True, unit="update", description="inner") as inner:
                for _ in range(3):
                    clock.now += 2.0
                    inner(1)
            outer(1)
    assert said(capsys) == [
        "inner: 2 of 3 updates, 66%, 2 s left",
        "inner: 1 of 3 updates, 33%, 4 s left",
        "outer: 4 of 4 jobs done in 24 s",
    ]


def test_what_fails_has_no_end(clock, capsys):
    def fails():
        with progress.bar(2, show=True, unit="job", description="sweep") as advance:
            clock.now += 20.0
            advance(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert said(capsys) == ["sweep: 1 of 2 jobs, 50%, 20 s left"]
    assert not progress.asked()
