"""One place where files are written and moved and where checksums are taken: rnnsim/files.py."""

import ast

import pytest
from house_plan import NAMES, ROOT, SOURCES, below, imports, tree

PLACE = "rnnsim/files.py"
OTHERS = [
    path
    for path in SOURCES
    if NAMES[path].startswith(("rnnsim/", "analysis/")) and NAMES[path] != PLACE
]
# Own sources, and the names of types in machine code; whence a corpus is.
HASHING = tuple(f"rnnsim/kernels/arithmetic/{name}.py" for name in ("jit", "references"))
HASHING += ("rnnsim/tasks/",)

# Modules that move files, by what they call it, however they are imported.
MOVERS = {"os": {"rename", "renames", "replace"}, "shutil": {"move", "copy", "copy2", "copyfile"}}
# Calls of other packages that write to the path they are given.
WRITERS = {"savefig", "saving", "savetxt", "savez", "savez_compressed", "to_zarr", "tofile"}


GUARDS = {"replacing", "writing", "BytesIO", "StringIO"}


def calls(node):
    """Every call below a node as (module or object, function, call)."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            owner = call.func.value
            yield owner.id if isinstance(owner, ast.Name) else "", call.func.attr, call
        elif isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            yield "", call.func.id, call


def moves(module):
    """Calls that move files: of os and shutil, and methods of paths, which take one argument.

    str.replace and dataclasses.replace take more; `rename` of xarray takes a dict or keywords.
    """
    found = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    taken = [(node.module, alias.name) for node in found for alias in node.names]
    lines = [f"from {name}: {each}" for name, each in taken if each in MOVERS.get(name, ())]
    for owner, function, call in calls(module):
        path = function in {"rename", "replace"} and isinstance(call.func, ast.Attribute)
        path = path and len(call.args) == 1 and not call.keywords
        if function in MOVERS.get(owner, ()) or (path and not isinstance(call.args[0], ast.Dict)):
            lines.append(ast.unparse(call))
    return lines


def writes(module):
    """Calls that write a file of their own: write_text, write_bytes, open but for reading."""
    lines = []
    for owner, function, call in calls(module):
        if function == "open":
            first = 1 if isinstance(call.func, ast.Name) else 0  # path.open(mode), io.open(path, …)
            given = [*call.args[first:2], *(k.value for k in call.keywords if k.arg == "mode")]
            modes = [str(each.value) for each in given if isinstance(each, ast.Constant)]
            if any(not set(mode) - set("rwaxbt+") and set(mode) & set("wax+") for mode in modes):
                lines.append(ast.unparse(call))
        elif function in {"write_text", "write_bytes"} and owner != "files":
            lines.append(ast.unparse(call))
    return lines


def unguarded(module):
    """Calls of WRITERS outside of a block of `replacing` or `writing`, or of a file in memory."""
    guarded = {
        call
        for block in ast.walk(module)
        if isinstance(block, ast.With)
        and {function for _, function, _ in calls(block.items[0])} & GUARDS
        for _, _, call in calls(block)
    }
    found = [call for _, function, call in calls(module) if function in WRITERS]
    return [ast.unparse(call) for call in found if call not in guarded]


@pytest.mark.parametrize("path", OTHERS, ids=NAMES.get)
def test_files_are_moved_written_and_hashed_in_one_place(path):
    module = tree(path)
    assert not moves(module)
    assert not writes(module)
    assert not unguarded(module)
    if not NAMES[path].startswith(HASHING):
        assert not below(imports(path), "hashlib")


def test_the_one_place_does_what_no_other_may():
    module = tree(ROOT / PLACE)
    assert moves(module)
    assert writes(module)
    assert "hashlib" in imports(ROOT / PLACE)


FORBIDDEN = [
    (moves, "os.replace(a, b)"),
    (moves, "os.rename(a, b)"),
    (moves, "shutil.move(a, b)"),
    (moves, "from os import replace"),
    (moves, "from shutil import move as put"),
    (moves, "partial.rename(path)"),
    (moves, "partial.replace(path)"),
    (moves, "(folder / 'x').replace(folder / 'y')"),
    (writes, "path.write_text(text, encoding='utf-8')"),
    (writes, "(output / 'summary.txt').write_bytes(b'')"),
    (writes, "open(path, 'w')"),
    (writes, "open(path, mode='ab')"),
    (writes, "open(path, 'r+b')"),
    (writes, "path.open('wb')"),
    (writes, "path.open(mode='x')"),
    (writes, "gzip.open(path, 'wt')"),
    (unguarded, "figure.savefig(path)"),
    (unguarded, "with replacing(path) as partial: pass\nnp.savez(partial)"),
    (unguarded, "with other(path) as partial: dataset.to_zarr(partial)"),
]
ALLOWED = [
    (moves, "text.replace('_', ' ')"),
    (moves, "text.replace('_', ' ', 1)"),
    (moves, "dataclasses.replace(settings, gain=1.0)"),
    (moves, "replace(settings)"),
    (moves, "dataset.rename({'a': 'b'})"),
    (moves, "dataset.rename(a='b')"),
    (moves, "from dataclasses import replace"),
    (writes, "open(path)"),
    (writes, "open('wax')"),
    (writes, "open(path, 'rb')"),
    (writes, "path.open('rb')"),
    (writes, "path.open(encoding='utf-8')"),
    (writes, "files.write_text(path, text)"),
    (unguarded, "with files.replacing(path) as partial: dataset.to_zarr(partial)"),
    (unguarded, "with replacing(path) as p, writer.saving(figure, str(p)): pass"),
]


@pytest.mark.parametrize(("rule", "text"), FORBIDDEN)
def test_what_is_forbidden_is_found(rule, text):
    assert rule(ast.parse(text))


@pytest.mark.parametrize(("rule", "text"), ALLOWED)
def test_what_is_allowed_is_not(rule, text):
    assert not rule(ast.parse(text))
