"""What is written: examples run, public names are explained, pins are pins, no machine is named."""

import doctest
import importlib
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
from house_plan import FILES, ROOT
from packaging.requirements import Requirement
from packaging.version import Version

import analysis
import rnnsim


def modules():
    for package in (rnnsim, analysis):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                yield info.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module)
    assert result.failed == 0


def test_every_public_name_is_documented():
    for name in rnnsim.__all__:
        documented = getattr(rnnsim, name).__doc__
        assert documented, name
        assert len(documented) > 40, name


def test_every_public_name_is_listed():
    assert set(rnnsim.__all__) <= set(dir(rnnsim))  # those that are imported on use included


def test_public_functions_have_an_example():
    for name in rnnsim.__all__:
        member = getattr(rnnsim, name)
        if callable(member) and not isinstance(member, type) and name not in {"save", "load"}:
            assert ">>>" in member.__doc__, name


def test_code_in_the_readme_runs(capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})  # as a reader would
    printed = capsys.readouterr().out
    assert "(2, 64, 64) (2, 100)" in printed
    assert "('network', 'updates') ('network', 'snapshot', 'window')" in printed
    assert printed.strip().endswith("True")


def test_nothing_committed_names_this_machine():
    for path in [
        *FILES,
        *ROOT.glob("docs/*.md"),
        ROOT / "README.md",
        ROOT / "constraints.txt",
        ROOT / "oldest.txt",
        ROOT / "pyproject.toml",
    ]:
        if path != Path(__file__):
            assert not re.search(r"/home/|/root/|/work/|file://", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["constraints.txt", "oldest.txt"])
def test_every_pin_is_a_name_and_a_version(name):
    lines = (ROOT / name).read_text(encoding="utf-8").split()
    assert len(lines) > 30
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)


def test_the_oldest_pins_are_the_lower_bounds_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    pins = dict(line.split("==") for line in (ROOT / "oldest.txt").read_text("utf-8").split())
    for line in [*project["dependencies"], *extras["digits"], *extras["numbers"]]:
        requirement = Requirement(line)
        (bound,) = requirement.specifier
        assert bound.operator == ">=", line
        assert Version(pins[requirement.name]) == Version(bound.version), line


def test_continuous_integration_runs_the_test_command_alone():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith("#")]
    assert commands[-1] == "make test"
    assert "make test " in (ROOT / "README.md").read_text(encoding="utf-8")
