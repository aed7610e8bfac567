"""Pages of the documentation: their code runs and prints what they say, their commands exist."""

import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import matplotlib.pyplot as plt
import pytest
from house_plan import ROOT

from analysis.__main__ import app

MADE = {"auto_gallery", "generated", "tutorials"}  # by Sphinx, or copies
WRITTEN = {"docs/api/commands.md", "docs/published/list.md"}  # while the site is built
PAGES = [
    ROOT / "README.md",
    *sorted(
        path
        for path in ROOT.glob("docs/**/*.md")
        if not any(part in MADE or part.startswith("_") for part in path.parts)
        and path.relative_to(ROOT).as_posix() not in WRITTEN
    ),
]
NAMES = {path: path.relative_to(ROOT).as_posix() for path in PAGES}
FRAMEWORKS = r"^\s*(?:import|from) (?:torch|keras|flax|jax|lightning|tensorboard)\b"
FENCE = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOLLOWED = "docs/start/first-steps.md"  # its commands are run too, between its code


class Block(NamedTuple):
    """A fenced block: its language, what else stands on its first line, its text, its place."""

    language: str
    rest: str
    text: str
    line: int
    start: int
    end: int


def blocks(text):
    return [
        Block(m[1], m[2].strip(), m[3], text[: m.start(3)].count("\n"), m.start(), m.end())
        for m in FENCE.finditer(text)
    ]


def statements(block, page):
    """Each statement of a block, compiled, and the comment behind it."""
    lines = block.text.splitlines()
    for node in ast.parse(block.text).body:
        behind = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode().strip()
        is_print = isinstance(node, ast.Expr) and ast.unparse(node).startswith("print(")
        comment = behind.removeprefix("# ") if is_print and behind.startswith("# ") else None
        ast.increment_lineno(node, block.line)
        yield compile(ast.Module([node], []), page, "exec"), comment


def said(printed, comment):
    """Whether a comment begins with what was printed; words may follow behind a : or a =."""
    printed, comment = (" ".join(each.split()) for each in (printed, comment))
    return comment == printed or comment.startswith((f"{printed}:", f"{printed} ="))


def execute(block, page, names):
    """Run a block: pairs of what was printed and its comment, and what was printed without one."""
    held, loose = [], io.StringIO()
    for code, comment in statements(block, page):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, names)
        if comment is None:
            loose.write(out.getvalue())
        else:
            held.append((out.getvalue(), comment))
    return held, loose.getvalue()


def commands(block):
    """The calls of rnnsim in a block, as words."""
    if block.language == "{drawn}":
        words = shlex.split(block.rest)
        return [words] if words[0] == "rnnsim" else []
    if block.language not in {"", "console", "bash"}:
        return []
    text = block.text.replace("$SLURM_ARRAY_TASK_ID", "1").replace("\\\n", " ")
    calls = [line.removeprefix("$ ") for line in text.splitlines()]
    return [shlex.split(call, comments=True) for call in calls if call.startswith("rnnsim ")]


def follow(path, folder):
    """Run a page as a reader does: (language, what it printed, what the page says) in its order."""
    found, loose, end = [], "", 0
    text = path.read_text(encoding="utf-8")
    names = {"__name__": "page"}
    for block in blocks(text):
        if block.language == "text" and not text[end : block.start].strip():
            found.append(("text", loose, block.text))
        loose = ""
        if block.language == "python":
            held, loose = execute(block, NAMES[path], names)
            found += [("print", *pair) for pair in held]
        elif NAMES[path] == FOLLOWED:
            for words in commands(block):
                call = [sys.executable, "-m", "analysis", *words[1:], "--no-progress"]
                call = call if words[1] in RUNS else call[:-1]
                done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
                loose += done.stdout
        end = block.end
    plt.close("all")
    return found


RUNS = {"demo", "gradient-norms", "portrait", "truncation"}  # commands that have a bar


def marked(path):
    """Pages on frameworks run where those are, whatever they warn of: make test-frameworks."""
    code = "\n".join(b.text for b in blocks(path.read_text("utf-8")) if b.language == "python")
    theirs = [pytest.mark.frameworks, pytest.mark.filterwarnings("default")]
    marks = theirs if re.search(FRAMEWORKS, code, re.MULTILINE) else []
    return pytest.param(path, marks=marks, id=NAMES[path])


@pytest.mark.parametrize("path", [marked(path) for path in PAGES])
def test_code_of_a_page_runs_and_prints_what_the_page_says(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for kind, printed, page in follow(path, tmp_path):
        if kind == "text":
            assert page.split("\n") == [line.rstrip() for line in printed.split("\n")]
        else:
            assert said(printed, page), f"{NAMES[path]} prints {printed!r}, and says {page!r}"


CALLS = [
    pytest.param(words, id=f"{NAMES[path]}-{' '.join(words)}")
    for path in PAGES
    for block in blocks(path.read_text("utf-8"))
    for words in commands(block)
]


@pytest.mark.parametrize("words", CALLS)
def test_commands_of_pages_are_understood(words):
    words = words[1:] if words[0] == "rnnsim" else words
    if "--config" in words:  # read before all others, by the command line itself
        at = words.index("--config")
        words = words[:at] + words[at + 2 :]
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert bound.kwargs or bound.args or len(words) == 1 or words[1:] == ["--help"]


def test_pages_link_to_files_that_are_there():
    for path in PAGES:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            assert (path.parent / link).exists(), f"{NAMES[path]} links to {link}"


@pytest.mark.parametrize(
    ("printed", "comment", "held"),
    [
        ("(2, 3)\n", "(2, 3)", True),
        ("(2, 3)\n", "(2, 3): networks, units", True),
        ("[ 1.  3.]\n", "[1. 3.] = C(k+1, 1)", False),
        ("[ 1.  3.]\n", "[ 1. 3.] = C(k+1, 1)", True),
        ("0.1\n", "0.12", False),
        ("0.12\n", "0.1", False),
        ("\n", "a word", False),
    ],
)
def test_a_comment_holds_what_is_printed(printed, comment, held):
    assert said(printed, comment) == held


def test_a_block_is_read_statement_by_statement():
    text = "print(1)  # 1: one\nfor i in (2, 3):\n    print(i)  # in a loop: not held\nprint(4)\n"
    block = Block("python", "", text, 0, 0, 0)
    assert execute(block, "page.md", {}) == ([("1\n", "1: one")], "2\n3\n4\n")
