"""What may import what: floors without a circle, kernels on the ground, one place for each."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest
from house_plan import (
    NAMES,
    ROOT,
    SOURCES,
    below,
    imports,
    is_module,
    modules,
    names_used,
    tree,
)

# A room imports from the floors below its own, and from itself.
FLOORS = (
    "rnnsim/kernels/arithmetic rnnsim/checks",
    "rnnsim/kernels/cells",
    "rnnsim/kernels/gradients",
    "rnnsim/kernels/flow rnnsim/kernels/dynamics",
    "rnnsim/kernels/stacks",
    "rnnsim/kernels/training",
    "rnnsim/kernels rnnsim/files rnnsim/progress",
    "rnnsim/parallel rnnsim/data",
    "rnnsim/networks rnnsim/tasks",
    "rnnsim/gradients rnnsim/spectra rnnsim/theory rnnsim/importing",
    "rnnsim/dynamics",
    "rnnsim/flow",
    "rnnsim/training",
    "rnnsim/experiments",
    "rnnsim/diagnosis",
    "rnnsim/probing rnnsim/compiling",
    "rnnsim",
    "analysis/frame",
    "analysis/commands analysis/scaling",
    "analysis/gradients",
    "analysis/spectra",
    "analysis/dynamics analysis/training",
    "analysis/networks analysis/diagnosis analysis/explore analysis/published",
    "analysis",
    "benchmarks/peers",
    "benchmarks/agreement",
    "benchmarks/harness",
    "benchmarks",
)
LIBRARY = [path for path in SOURCES if not NAMES[path].startswith("benchmarks/")]
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms.split()}


def room_of(module):
    """The room of a module or of a file: the longest name of a room that it begins with."""
    place = module.removesuffix(".py").removesuffix("/__init__").replace(".", "/")
    while place not in HEIGHT:
        place = place.rpartition("/")[0]
        assert place, f"{module} stands in no room of FLOORS"
    return place


def climbs(name, found):
    """Which of the modules that a file imports stand no lower than it, in another room."""
    room = room_of(name)
    return {
        each
        for each in found
        if room_of(each) != room
        and HEIGHT[room_of(each)] >= HEIGHT[room]
        # the names of a package, which is on top of its rooms, stand for those of its files
        and each != room.rpartition("/")[0].replace("/", ".")
    }


@pytest.mark.parametrize("path", SOURCES, ids=NAMES.get)
def test_imports_go_downstairs(path):
    assert not climbs(NAMES[path], modules(path))


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("rnnsim/kernels/gradients/unfolding.py", "rnnsim.networks.rnn"),
        ("rnnsim/kernels/cells/vanilla.py", "rnnsim.kernels.gradients.unfolding"),
        ("rnnsim/data/sequences.py", "rnnsim.networks.rnn"),
        ("rnnsim/networks/binding.py", "rnnsim.gradients.bptt"),
        ("rnnsim/gradients/bptt.py", "rnnsim.experiments.draws"),
        ("rnnsim/experiments/store.py", "analysis.frame.runs"),
        ("analysis/frame/figures.py", "analysis.gradients.norm_plots"),
    ],
)
def test_an_import_upstairs_is_found(name, module):
    assert climbs(name, {module}) == {module}


def test_no_file_imports_itself_by_way_of_others():
    files = {path: name.removesuffix(".py").replace("/", ".") for path, name in NAMES.items()}
    known = {files[path].removesuffix(".__init__"): path for path in SOURCES}
    graph = {name: modules(path) & known.keys() - {name} for name, path in known.items()}
    for name, found in graph.items():  # a file may use its own package, which is loading already
        graph[name] = {each for each in found if not name.startswith(f"{each}.")}
    assert list(TopologicalSorter(graph).static_order())


def public_names(path):
    """What a file imports from rnnsim itself that is no module of it."""
    nodes = (node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom))
    names = {a.name for node in nodes if node.module == "rnnsim" for a in node.names}
    return {name for name in names if not is_module(f"rnnsim.{name}")}


@pytest.mark.parametrize("path", SOURCES, ids=NAMES.get)
def test_imports_run_one_way(path):
    found, name = imports(path), NAMES[path]
    if name.startswith("rnnsim/kernels/"):
        allowed = below(found, "rnnsim.kernels", "numba", "numpy", "math", "typing", "collections")
        if name.endswith("jit.py"):
            allowed |= below(found, "contextlib", "functools", "hashlib", "os", "pathlib")
            allowed |= below(found, "filelock", "tempfile")
        if name.endswith("parts.py"):
            allowed |= below(found, "contextlib", "functools", "gc", "llvmlite")
        if name.endswith("references.py"):
            allowed |= below(found, "hashlib")
        if name == "rnnsim/kernels/checking.py":  # is called before kernels, and from none
            allowed |= below(found, "rnnsim.checks")
        if name.endswith(("vectors.py", "tiles.py")):  # what is written in LLVM's own code
            allowed |= below(found, "llvmlite", "operator")
        assert found == allowed
    if name.startswith("rnnsim/"):
        assert not below(found, "matplotlib", "analysis", "benchmarks", "cyclopts")
        assert not below(found, "torch", "keras", "tensorflow", "jax", "flax"), "read without them"
        if name != "rnnsim/__init__.py":
            assert not public_names(path), "import from the module that defines the name"
    if name.startswith("analysis/"):
        assert not below(found, "analysis"), "relative imports inside analysis"
        assert not below(found, "matplotlib.pyplot")
        assert not below(found, "numba", "rnnsim.kernels"), "plotting code computes no science"


@pytest.mark.parametrize("path", LIBRARY, ids=NAMES.get)
def test_one_place_for_each_decision(path):
    found, used, name = imports(path), names_used(path), NAMES[path]
    if name != "rnnsim/kernels/arithmetic/jit.py":
        assert not used & {"njit", "jit", "vectorize"}
    if name != "rnnsim/kernels/arithmetic/functions.py":
        assert "tanh" not in used, "kernels take tanh_into and others from arithmetic/functions.py"
    if not name.startswith(("rnnsim/kernels/cells/", "rnnsim/kernels/__init__")):
        codes = used & {"TANH", "SIGMOID", "RELU", "LINEAR"}
        assert not codes or name == "rnnsim/networks/rnn.py", "cells are told apart by the seam"
    if name != "rnnsim/parallel.py" and "/scaling/" not in name:  # executors of other processes
        assert not below(found, "threading", "concurrent", "threadpoolctl", "multiprocessing")
    if name.startswith("rnnsim/training/"):
        assert "isinstance" not in used, "data/ and networks/ tell one network from two"
    if name != "rnnsim/experiments/store.py":
        assert not used & {"to_zarr", "open_zarr"}


def test_there_is_only_one_njit_call():
    text = (ROOT / "rnnsim/kernels/arithmetic/jit.py").read_text(encoding="utf-8")
    assert len(re.findall(r"njit\(", text)) == 1


def test_kernels_call_no_blas():
    for path in ROOT.glob("rnnsim/kernels/**/*.py"):
        nodes = list(ast.walk(tree(path)))
        assert not any(isinstance(node, ast.MatMult) for node in nodes), path.name
        assert not names_used(path) & {"dot", "matmul", "einsum", "linalg", "vdot"}, path.name


def test_kernels_do_not_raise():
    for path in ROOT.glob("rnnsim/kernels/**/*.py"):
        if path.name in ("jit.py", "checking.py"):  # compiles kernels, and checks; are none
            continue
        assert not any(isinstance(node, ast.Raise) for node in ast.walk(tree(path))), path.name


def test_import_loads_nothing_that_can_wait():
    code = (
        "import sys, numba; known = {*sys.modules}; import rnnsim; print(*{*sys.modules} - known)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "xarray",
        "zarr",
        "pandas",
        "matplotlib",
        "scipy",
        "threadpoolctl",
        "sklearn",
        "num2words",
        "tqdm",
        "cyclopts",
    }
    packages = {name.partition(".")[0] for name in loaded}
    assert "rnnsim" in packages
    assert not heavy & packages, "names that need these go into _LAZY of rnnsim/__init__.py"
