"""Where things are: rooms of few files, short files, tests in the same rooms."""

import ast

import pytest
from house_plan import FILES, NAMES, PACKAGES, ROOT, TESTS, names_used, tree

FOLDERS = sorted({path.parent for path in FILES})
PLACES = {folder: folder.relative_to(ROOT).as_posix() for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=PLACES.get)
def test_a_folder_holds_ten_files_at_most(folder):
    files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= 10, f"make a room below {PLACES[folder]} for some of them"


@pytest.mark.parametrize("folder", FOLDERS, ids=PLACES.get)
def test_every_package_says_what_it_holds(folder):
    if PLACES[folder].startswith(PACKAGES):
        assert ast.get_docstring(tree(folder / "__init__.py"))


def test_the_library_itself_holds_rooms_only():
    files = {path.name for path in (ROOT / "rnnsim").glob("*.py")}
    assert files == {"__init__.py", "checks.py", "files.py", "parallel.py", "progress.py"}


def test_tests_stand_in_the_rooms_of_what_they_test():
    for folder in FOLDERS:
        place = PLACES[folder]
        if not place.startswith("tests/") or place == "tests/house":
            continue
        room = place.removeprefix("tests/").removesuffix("/fixtures")
        assert (ROOT / room).is_dir() or (ROOT / "rnnsim" / room).is_dir(), place
    shared = {path.name for path in (ROOT / "tests").glob("test_*.py")}
    assert not shared, "tests stand in rooms, what they share at the root"


@pytest.mark.parametrize("mark", ["lane", "nojit"])
def test_files_with_tests_of_a_lane_name_its_mark(mark):
    """The Makefile finds them so, and collects no others."""
    marked = [path for path in TESTS if mark in names_used(path)]
    assert len(marked) > 10
    for path in marked:
        assert path.name.startswith("test_"), "marks stand in the file of the tests that have them"
        assert f"mark.{mark}" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_files_and_functions_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and not NAMES[path].startswith("tests/"):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{node.name} has {length} lines"
