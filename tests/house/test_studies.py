"""A study is data: one place composes draw keys, builds datasets, loops over jobs, shows a bar."""

import ast
import json
import re

import pytest
from house_plan import NAMES, ROOT, SOURCES, modules, names_used, tree

import rnnsim

PLACES = [path for path in SOURCES if not NAMES[path].startswith(("rnnsim/kernels", "benchmarks"))]
ABOVE = [p for p in PLACES if NAMES[p].startswith(("rnnsim/experiments", "analysis"))]
STUDIES = [path for path in ABOVE if "/sweeps/" in NAMES[path] or "portrait.py" in NAMES[path]]


def iterated(path):
    """What loops and comprehensions of a file run over, as source."""
    nodes = list(ast.walk(tree(path)))
    loops = [node.iter for node in nodes if isinstance(node, (ast.For, ast.comprehension))]
    return {ast.unparse(loop) for loop in loops}


def calls(path):
    """The names, without what stands before the dot, of all that a file calls."""
    found = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return {getattr(func, "attr", getattr(func, "id", "")) for func in found}


@pytest.mark.parametrize("path", ABOVE, ids=NAMES.get)
def test_draw_keys_are_composed_in_one_place(path):
    if NAMES[path] != "rnnsim/experiments/draws.py":
        assert not names_used(path) & {"default_rng", "SeedSequence", "crc32", "spawn"}


@pytest.mark.parametrize("path", PLACES, ids=NAMES.get)
def test_datasets_are_built_in_one_place(path):
    if NAMES[path] != "rnnsim/data/datasets.py":
        assert not calls(path) & {"Dataset", "DataArray", "concat", "merge", "combine_by_coords"}
        assert "versions" not in calls(path) or NAMES[path] in {
            "rnnsim/experiments/scaling/dispatch.py",  # what a worker must have too
            "rnnsim/experiments/scaling/work.py",
        }


@pytest.mark.parametrize("path", PLACES, ids=NAMES.get)
def test_jobs_are_run_in_one_place(path):
    if NAMES[path] != "rnnsim/experiments/runner.py" and "/scaling/" not in NAMES[path]:
        assert not any(re.search(r"\bjobs\b", loop) for loop in iterated(path))
        assert not {"measure"} & calls(path) or NAMES[path] in {
            "rnnsim/experiments/architectures/experiment.py",  # `Problem.measure` gives a score
            "rnnsim/training/runs.py",  # `Record.measure`
        }


@pytest.mark.parametrize("path", PLACES, ids=NAMES.get)
def test_progress_is_shown_in_one_place(path):
    if NAMES[path] != "rnnsim/progress.py":
        assert "tqdm" not in ast.unparse(tree(path))


# What a room of the analyses shows to people, and so knows by heart. Published results are small
# experiments of their own: they draw and label by the two places that do so.
BESIDE = {
    "published": ("data.datasets", "experiments.draws", "progress"),
    "diagnosis": ("diagnosis.findings", "diagnosis.result", "experiments.draws", "experiments.own"),
    "scaling": ("compiling", "experiments.scaling", "parallel", "progress"),
    "__main__.py": ("experiments.scaling",),
}
PUBLIC = {"rnnsim", "rnnsim.tasks", "rnnsim.theory"}


@pytest.mark.parametrize("path", ABOVE, ids=NAMES.get)
def test_analyses_use_public_names(path):
    if NAMES[path].startswith("analysis/"):
        used = {name for name in modules(path) if name.startswith("rnnsim")}
        # The one place that writes, for figures too, the one that refuses, for flags too, and the
        # one that reads what is one's own, for `--data` and `--weights`.
        known = {"rnnsim.files", "rnnsim.checks", "rnnsim.experiments.own.files"}
        room = NAMES[path].removeprefix("analysis/").partition("/")[0]
        beside = tuple(f"rnnsim.{name}" for name in BESIDE.get(room, ()))
        known |= {name for name in used if beside and name.startswith(beside)}
        assert used <= PUBLIC | known


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda p: p.stem)
def test_notebooks_use_public_names(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    imported = set(re.findall(r"^(?:from|import) (rnnsim[\w.]*)", code, re.MULTILINE))
    assert imported <= PUBLIC | {"rnnsim.kernels"}
    assert set(re.findall(r"\brnnsim\.(\w+)", code)) <= {*rnnsim.__all__, "kernels"}


@pytest.mark.parametrize("path", ABOVE, ids=NAMES.get)
def test_what_measures_is_a_function_of_a_module(path):
    """A study can be sent elsewhere: no closure, no lambda, no method measures its jobs."""
    functions = {node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)}
    known = functions | {
        alias.name
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Study":
            given = {word.arg: word.value for word in node.keywords}
            measure = given["measure"] if "measure" in given else node.args[4]
            assert isinstance(measure, ast.Name)
            assert measure.id in known


def test_every_study_is_found():
    made = {NAMES[path] for path in ABOVE if "Study" in calls(path)}
    assert {NAMES[path] for path in STUDIES if "measures.py" not in NAMES[path]} <= made | {
        "analysis/networks/portrait.py",
        "rnnsim/experiments/sweeps/__init__.py",
    }
    assert "rnnsim/experiments/architectures/experiment.py" in made
