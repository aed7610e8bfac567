"""The rules of the house: what may import what, the size of things, and that all examples run."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import analysis
import rnnsim

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("rnnsim/**/*.py"), *ROOT.glob("analysis/**/*.py")])
BENCHMARKS = sorted(ROOT.glob("benchmarks/**/*.py"))
FILES = [*SOURCES, *BENCHMARKS, *sorted(ROOT.glob("tests/**/*.py"))]
NAMES = {path: str(path.relative_to(ROOT)) for path in FILES}


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path):
    """Modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} if not node.level else {f".{node.module or ''}"}
    return found


def below(found, *packages):
    return {name for name in found if any(f"{name}.".startswith(f"{p}.") for p in packages)}


def names_used(path):
    nodes = list(ast.walk(tree(path)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in nodes if isinstance(node, ast.Name)}


@pytest.mark.parametrize("path", SOURCES, ids=NAMES.get)
def test_imports_run_one_way(path):
    found, name = imports(path), NAMES[path]
    if name.startswith("rnnsim/kernels/"):
        allowed = below(found, "rnnsim.kernels", "numba", "numpy", "math", "typing", "collections")
        if name.endswith("jit.py"):
            allowed |= below(found, "hashlib", "os", "pathlib", "tempfile")
        if name.endswith("vectors.py"):  # the one place that writes LLVM's own code
            allowed |= below(found, "llvmlite")
        assert found == allowed
    if name.startswith("rnnsim/"):
        assert not below(found, "matplotlib", "analysis", "benchmarks", "cyclopts")
    if name.startswith("analysis/"):
        assert not below(found, "analysis"), "relative imports inside analysis"
        assert not below(found, "matplotlib.pyplot")
        assert not below(found, "numba", "rnnsim.kernels"), "plotting code computes no science"


@pytest.mark.parametrize("path", SOURCES, ids=NAMES.get)
def test_one_place_for_each_decision(path):
    found, used, name = imports(path), names_used(path), NAMES[path]
    if name != "rnnsim/kernels/arithmetic/jit.py":
        assert not used & {"njit", "jit", "vectorize"}
    if name != "rnnsim/kernels/arithmetic/functions.py":
        assert "tanh" not in used, "phi and phi' live in functions.py"
    if name != "rnnsim/parallel.py":
        assert not below(found, "threading", "concurrent", "threadpoolctl", "multiprocessing")
    if name != "rnnsim/experiments/store.py":
        assert not used & {"to_zarr", "open_zarr"}


def test_there_is_only_one_njit_call():
    text = (ROOT / "rnnsim/kernels/arithmetic/jit.py").read_text(encoding="utf-8")
    assert len(re.findall(r"njit\(", text)) == 1


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_files_and_functions_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and not NAMES[path].startswith("tests/"):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{node.name} has {length} lines"


def test_kernels_call_no_blas():
    for path in ROOT.glob("rnnsim/kernels/**/*.py"):
        nodes = list(ast.walk(tree(path)))
        assert not any(isinstance(node, ast.MatMult) for node in nodes), path.name
        assert not names_used(path) & {"dot", "matmul", "einsum", "linalg", "vdot"}, path.name


def test_kernels_do_not_raise():
    for path in ROOT.glob("rnnsim/kernels/**/*.py"):
        assert not any(isinstance(node, ast.Raise) for node in ast.walk(tree(path))), path.name


def test_import_loads_nothing_that_can_wait():
    code = "import sys, rnnsim; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "xarray",
        "zarr",
        "pandas",
        "matplotlib",
        "scipy.linalg",
        "threadpoolctl",
        "sklearn",
        "num2words",
        "tqdm",
        "cyclopts",
    }
    assert not heavy & set(loaded)


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
        ROOT / "pyproject.toml",
    ]:
        if path != Path(__file__):
            assert not re.search(r"/home/|/root/|/work/|file://", path.read_text(encoding="utf-8"))


def test_every_pin_is_a_name_and_a_version():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert len(lines) > 30
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)


def test_continuous_integration_runs_the_test_command_alone():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith("#")]
    assert commands[-1] == "make test"
    assert "make test " in (ROOT / "README.md").read_text(encoding="utf-8")
