"""The files of the project and what they import, for the tests of the house."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("rnnsim", "analysis", "benchmarks")
SOURCES = sorted(path for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py"))
TESTS = sorted(ROOT.glob("tests/**/*.py"))
FILES = [*SOURCES, *TESTS]
NAMES = {path: path.relative_to(ROOT).as_posix() for path in FILES}


@cache
def tree(path):
    """What a file says; whoever reads it leaves it as it is."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules(path):
    """The dotted names of the modules of these packages that a file imports, wherever in it.

    ``from package import name`` counts as the module package.name where there is one.
    """
    here = NAMES[path].removesuffix(".py").split("/")
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else module for name in names}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def is_module(name):
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


@cache
def imports(path):
    """Everything that a file imports, as it is written."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} if not node.level else {f".{node.module or ''}"}
    return found


def below(found, *packages):
    return {name for name in found if any(f"{name}.".startswith(f"{p}.") for p in packages)}


@cache
def names_used(path):
    nodes = list(ast.walk(tree(path)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in nodes if isinstance(node, ast.Name)}
