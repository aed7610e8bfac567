"""Flags and configuration files: nonsense ends with one message that names the flag, no traceback,
and nothing written; nothing is computed before all of it is found sound."""

import sys
from dataclasses import fields
from typing import get_args, get_origin, get_type_hints

import pytest

from analysis import __main__ as program
from analysis.frame import runs, settings

COMMANDS = {runs.name_of(analysis): analysis.Settings for analysis in program.ANALYSES}
COMMANDS["demo"] = settings.Ensemble
HUGE = "1" + "0" * 400
WRONG = {  # and what of it may be right for some flag of that type
    int: (["nan", "-1", "0", "12.6", HUGE, "", "abc"], {"-1", "0"}),
    float: (["nan", "inf", "-1", HUGE, "", "abc"], {"-1"}),
    str: (["", "abc"], set()),
    bool: (["abc", "12.6"], set()),
}
UNLIMITED = {"clip_norm"}  # infinity: not clipped


def kind_of(annotation):
    """The type of one value of a flag."""
    while get_origin(annotation) is not None or get_args(annotation):
        annotation = next(each for each in get_args(annotation) if each is not type(None))
    return annotation


class SoundError(Exception):
    """All flags were found sound; now something would be computed."""


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """The program, up to where it would compute: its exit code and all that it says."""

    def computing(*_, **__):
        raise SoundError

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rnnsim", *arguments])
        try:
            program.main()
            code = 0
        except SystemExit as end:
            code = end.code
        except SoundError:
            code = None
        found = capsys.readouterr()
        return code, " ".join((found.out + found.err).replace("│", " ").split())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "2000")
    monkeypatch.setattr(runs, "_run", computing)
    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_nonsense_in_any_flag_is_refused_by_its_name(command, call, tmp_path):
    hints, wrong = get_type_hints(COMMANDS[command]), []
    for field in fields(COMMANDS[command]):
        name, kind = f"--{field.name.replace('_', '-')}", kind_of(hints[field.name])
        values, perhaps = WRONG[kind]
        perhaps = perhaps | ({"inf", HUGE} if field.name in UNLIMITED else set())
        for value in values:
            code, said = call(command, f"{name}={value}")
            if code is None and value not in perhaps:
                wrong.append(f"{name}={value} is taken")
            if code is not None and (code == 0 or name not in said or "Traceback" in said):
                wrong.append(f"{name}={value} ends with {code}: {said[:300]}")
            if list(tmp_path.iterdir()):
                wrong.append(f"{name}={value} leaves {list(tmp_path.iterdir())}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_left_out_is_sound(command, call):
    code, said = call(command)
    assert code is None
    assert "`" not in said
