"""What --help says: of every command and task, with calls that are understood, at once."""

import shlex
import subprocess
import sys

import pytest

import rnnsim
from analysis.__main__ import ANALYSES, app
from analysis.commands.demo import DEMO
from analysis.commands.diagnosis import DIAGNOSE
from analysis.commands.spectra import Spectra
from analysis.frame import runs
from analysis.frame.settings import TASKS
from analysis.scaling.settings import COMPILE
from rnnsim import tasks

HEAVY = {"matplotlib", "numba", "numpy", "pandas", "rnnsim", "scipy", "xarray", "zarr"}
LOADED = """
import sys
from analysis.__main__ import main
try:
    main()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments", ["--help", "help", "--version", "truncation --help", "help portrait", "demo -h"]
)
def test_nothing_that_computes_or_draws_is_loaded_for_help(arguments):
    command = [sys.executable, "-c", LOADED, *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip()
    loaded = set(done.stderr.split())
    assert "cyclopts" in loaded
    assert not HEAVY & loaded, "settings stand in analysis/commands, what computes in analyses"


@pytest.mark.parametrize("command", [*ANALYSES, DEMO], ids=lambda each: each.name)
def test_a_command_is_the_module_it_loads(command):
    module = command.load()
    assert runs.name_of(module) == command.name
    assert (module.Settings, module.HELP) == (command.settings, command.help)


def test_what_is_written_out_for_help_is_what_there_is():
    assert list(TASKS) == list(tasks.TASKS)
    assert Spectra.scheme == rnnsim.SCHEMES


@pytest.mark.parametrize(
    "command", [*ANALYSES, DEMO, DIAGNOSE, COMPILE], ids=lambda each: each.name
)
def test_every_example_is_understood(command, capsys):
    name = "diagnose" if command is DIAGNOSE else command.name
    assert 2 <= len(command.examples) <= 3
    app.help_print([name])
    said = " ".join(capsys.readouterr().out.split())
    for example in command.examples:
        assert f"rnnsim {example}" in said
        words = shlex.split(example)
        assert words[0] == name
        _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        assert bound.kwargs or bound.args or words == [name]


EXAMPLES = [
    (command, example)
    for command in ANALYSES
    for example in command.examples
    if not {"--weights", "--data", "--text"} & set(example.split())
]


@pytest.mark.parametrize(("command", "example"), EXAMPLES, ids=lambda each: str(each)[:60])
def test_no_example_is_refused(command, example):
    _, bound, _ = app.parse_args(shlex.split(example), exit_on_error=False, print_error=False)
    runs.rehearse(command.load(), bound.kwargs.get("settings") or command.settings())
