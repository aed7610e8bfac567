"""Figures of commands, drawn while the site is built: `drawn` runs a command, `shown` has a figure.

A page says::

    ```{drawn} rnnsim truncation --network-seeds 3
    ```

    ```{shown} truncation/error-against-window
    ```

The name of a run is that of its command, or what stands behind `:as:` in the next line, where a
page has two of one command. What no command draws a script beside the page does, given the folder::

    ```{drawn} python diagnose.py
    ```

Runs are in `figures/_drawn/`, and are made anew when the command or any source has changed.
"""

import hashlib
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util.display import status_iterator
from sphinx.util.docutils import SphinxDirective

from rnnsim import parallel

_DRAWN = re.compile(r"^```\{drawn\} (.+)\n(?::as: (\S+)\n)?```$", re.MULTILINE)
_SCRIPT = "python"
_OPTIONS = (
    "--overwrite",
    "--format",
    "png",
    "--no-caption",
    "--no-progress",
)  # pages have captions
_SOURCE = Path(__file__).parents[2]


def place_of(app_or_env):
    """Where runs are kept."""
    return Path(app_or_env.srcdir) / "figures" / "_drawn"


class Drawn(SphinxDirective):
    """The command that draws what follows."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"as": directives.unchanged}

    def run(self):
        """The command as a reader types it, or the script."""
        words = self.arguments[0]
        first, _, rest = words.partition(" ")
        if first != _SCRIPT:
            return [nodes.literal_block(words, words, language="none")]
        script = Path(self.env.srcdir) / "figures" / rest
        self.env.note_dependency(str(script))
        code = script.read_text(encoding="utf-8")
        return [nodes.literal_block(code, code, language="python")]


class Shown(SphinxDirective):
    """A figure of a run, with the caption that it was given."""

    required_arguments = 1

    def run(self):
        """The picture and its caption."""
        name = self.arguments[0]
        run, figure = name.split("/")
        folder = place_of(self.env) / run
        if not (folder / "captions.txt").exists():
            raise self.error(f"{run} is not drawn: no page has a command of that name")
        captions = dict(_captions(folder / "captions.txt"))
        if figure not in captions:
            raise self.error(f"{name} is no figure of that run: {', '.join(captions)}")
        picture = nodes.figure()
        alt = figure.replace("-", " ").capitalize()
        picture += nodes.image(uri=f"/figures/_drawn/{name}.png", alt=alt)
        words, _ = self.state.inline_text(captions[figure], self.lineno)
        picture += nodes.caption(captions[figure], "", *words)
        self.env.note_dependency(str(folder / "captions.txt"))
        return [picture]


def _captions(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if line:
            name, _, words = line.partition(": ")
            yield name, words


def commands(pages):
    """The commands of all pages in a folder, by the names of their runs."""
    found = {}
    for page in sorted(Path(pages).glob("*.md")):
        for words, name in _DRAWN.findall(page.read_text(encoding="utf-8")):
            run = name or Path(shlex.split(words)[1]).stem
            if found.setdefault(run, words) != words:
                raise ExtensionError(
                    f"{page}: `{words}` is the second of its name; give it another, :as:"
                )
    return found


def draw(app):
    """Run every command of the pages that is not drawn yet as it stands, several at a time."""
    found = commands(Path(app.srcdir) / "figures")
    sources = _sources()
    with ThreadPoolExecutor(parallel.thread_count(None)) as pool:
        runs = {
            pool.submit(_draw, place_of(app) / name, words, sources): name
            for name, words in found.items()
        }
        done = (runs[run] for run in as_completed(runs) if run.result() is None)
        for _ in status_iterator(done, "drawing figures... ", "brown", len(runs), app.verbosity):
            pass


def _sources():
    found = hashlib.sha256()
    for folder in ("rnnsim", "analysis"):
        for path in sorted((_SOURCE / folder).rglob("*")):
            if path.suffix in (".py", ".mplstyle", ".txt"):
                found.update(path.read_bytes())
    return found.hexdigest()


def _draw(folder, words, sources):
    first, *rest = shlex.split(words)
    if first == _SCRIPT:
        script = folder.parents[1] / rest[0]
        command = [sys.executable, str(script), str(folder)]
        of = hashlib.sha256(script.read_bytes()).hexdigest()
    else:
        command = [sys.executable, "-m", "analysis", *rest, "--output", str(folder), *_OPTIONS]
        of = " ".join(_OPTIONS)
    tag = f"{words}\n{of}\n{sources}\n"
    mark = folder.with_suffix(".tag")
    if mark.exists() and mark.read_text(encoding="utf-8") == tag:
        return
    done = subprocess.run(command, cwd=_SOURCE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExtensionError(f"{words}: {done.stderr[-2000:]}")
    mark.write_text(tag, encoding="utf-8")


def setup(app):
    """What Sphinx calls."""
    app.add_directive("drawn", Drawn)
    app.add_directive("shown", Shown)
    app.connect("builder-inited", draw, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
