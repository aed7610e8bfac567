"""Flags and configuration files: nonsense ends with one message that names the flag, no traceback,
and nothing written; nothing is computed before all of it is found sound."""

import sys
from dataclasses import fields
from typing import get_args, get_origin, get_type_hints

import pytest

import rnnsim
from analysis import __main__ as program
from analysis import demo
from analysis.frame import runs
from rnnsim import files, tasks

COMMANDS = {analysis.name: analysis.settings for analysis in program.ANALYSES}
COMMANDS["demo"] = demo.Settings
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


@pytest.mark.parametrize(
    ("command", "line", "name"),
    [
        ("gradient-norms", "map-gain = nan", "--map-gain"),
        ("temporal-order", "n-hidden = 0", "--n-hidden"),
        ("truncation", "n-hidden = 12.6", "n-hidden"),
        ("truncation", "length = [5, 2.7]", "length"),
        ("truncation", "n-hidden = true", "n-hidden"),
        ("truncation", "gian = 1.0", "gian"),
        ("truncation", "gain = [[1.0], [2.0]]", "--gain"),
        ("truncation", "[truncation]\ngain = 1.0", "table or key [truncation]"),
        ("truncation", "[spectra]\ngain = 1.0", "table or key [spectra]"),
        ("truncation", "[mine]\ngain = 1.0", "table or key [mine]"),
        ("truncation", "spectra = 1", "table or key [spectra]"),
        ("lyapunov", 'driven = "abc"', "driven"),
    ],
)
def test_nonsense_in_a_configuration_file_is_refused(command, line, name, call, tmp_path):
    files.write_text(tmp_path / "mine.toml", f"{line}\n")
    code, said = call(command, "--config", "mine.toml")
    assert code
    assert name in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_a_file_of_one_call_is_not_read_by_the_next(call, tmp_path):
    files.write_text(tmp_path / "mine.toml", "n-hidden = 0\n")
    assert call("truncation", "--config", "mine.toml")[0] == 2
    assert call("truncation")[0] is None


@pytest.mark.parametrize("text", ["64", "64.", "64.0", "+64", "64e0"])
def test_whole_numbers_are_taken_however_they_are_written(text, call, monkeypatch):
    found = []
    monkeypatch.setattr(
        runs, "_run", lambda _, chosen, *__, **___: found.append(chosen.n_hidden) or []
    )
    assert call("truncation", f"--n-hidden={text}", "--network-seeds=1e1")[0] == 0
    assert found == [64]


def test_what_is_refused_while_it_computes_leaves_no_empty_folder(call, monkeypatch, tmp_path):
    def refused(*_, **__):
        raise ValueError("`gain` is refused late")

    monkeypatch.setattr(runs, "_run", refused)
    (tmp_path / "there").mkdir()
    for output in ("there", "there/below", "new/of/some/depth"):
        code, said = call("truncation", "--output", output)
        assert (code, said) == (2, "rnnsim: --gain: `gain` is refused late")
        assert [path.name for path in tmp_path.rglob("*")] == ["there"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["lyapunov", "--driven", "abc"], "--driven"),
        (["lyapunov", "--driven", "nan", "--n-hidden", "4"], "--driven"),
        (["truncation", "--progress", "0"], "--progress"),
        (["truncation", "--progress=abc"], "--progress"),
        (["truncation", "--length", "5", "2.7"], "--length"),
        (["truncation", "--gain", "0.5", "abc"], "--gain"),
        (["truncation", "--gain", "0.5", "nan"], "--gain"),
        (["truncation", "--gain"], "--gain"),
        (["truncation", "abc"], "abc"),
        (["truncation", "--gian", "1"], "--gian"),
        (["isometry", "--histogram-gain", "inf"], "--histogram-gain"),
        (["spectra", "--spectrum-gain", "nan"], "--spectrum-gain"),
        (["nonnormal", "--plane-scale", "-1"], "--plane-scale"),
        (["lyapunov", "--transition-n-hidden", "0"], "--transition-n-hidden"),
        (["architectures", "--architecture", "poems"], "--architecture"),
        (["architectures", "--cell", "elman"], "--cell"),
        (["architectures", "--n-layers", "0"], "--n-layers"),
        (["architectures", "--cell", "vanilla", "--forget-bias", "1"], "--forget-bias"),
        (["temporal-order", "--length", "5"], "--length"),
        (["training", "--length", "5"], "--length"),
        (["truncation", "--task", "digits", "--length", "9"], "--length"),
        (["isometry", "--task", "digits", "--length", "8"], "--exponent-steps"),
        (["window", "--length", "8"], "--length"),
        (["architectures", "--batch-size", "5000"], "--batch-size"),
    ],
)
def test_what_is_wrong_goes_by_the_name_of_its_flag(arguments, name, call, tmp_path):
    code, said = call(*arguments)
    assert code
    assert name in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["depth", "--cell", "lstm", "lstm"], "`--cell` takes one value, got 'lstm' as well"),
        (["depth", "--cell=lstm", "gru"], "`--cell` takes one value, got 'gru' as well"),
        (
            ["depth", "--network-seeds", "1", "--forget-bias", "1", "1"],
            "`--forget-bias` takes one value, got '1' as well",
        ),
        (["lyapunov", "--driven", "1", "--n-hidden", "1"], "`--driven` takes no value, got '1'"),
        (["truncation", "--no-progress", "1"], "`--no-progress` takes no value, got '1'"),
    ],
)
def test_a_word_too_many_goes_by_the_flag_before_it(arguments, message, call, tmp_path):
    code, said = call(*arguments)
    assert code
    assert message in said
    assert not list(tmp_path.iterdir())


def test_help_lists_all_tasks(call):
    for arguments in (["help"], ["--help"], ["help", "truncation"], ["truncation", "--help"]):
        code, said = call(*arguments)
        assert code == 0
        for name in tasks.TASKS:
            assert name in said, (arguments, name)
    assert call("help")[1] == call("--help")[1]
    code, said = call("help", "portrait-of-a-lady")
    assert code == 2
    assert "`command` must be one of 'gradient-norms'" in said


def test_docstrings_list_all_tasks():
    sweeps = "sweep training_sweep portrait lyapunov_sweep jacobian_sweep normality_sweep".split()
    for name in sweeps:
        words = " ".join(getattr(rnnsim, name).__doc__.split())
        assert f"`rnnsim.tasks`: {', '.join(tasks.TASKS)}" in words, name
    scored = ", ".join(name for name in tasks.TASKS if name != "adding")
    words = " ".join(rnnsim.learning_sweep.__doc__.split())
    assert f"`rnnsim.tasks` with class targets: {scored}." in words
