"""What tests of files share: things that are whole or torn, and other processes."""

import subprocess
import sys
from pathlib import Path

from rnnsim import files

NAMES = {"file": "run.npz", "folder": "data.zarr"}


def fill(path, kind, text, n_parts=2):
    """A file, or a folder of a few, that says `text` in every part."""
    if kind == "file":
        path.write_text(text * n_parts)
        return
    path.mkdir()
    for part in range(n_parts):
        (path / str(part)).write_text(text)


def texts(path):
    """What `fill` wrote: one entry, or the thing is torn."""
    if path.is_file():
        content = path.read_text()
        return {content[i : i + 3] for i in range(0, len(content), 3)}
    return {part.read_text() for part in path.iterdir()}


def put(path, kind, text):
    with files.replacing(path) as fresh:
        fill(fresh, kind, text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# What another process does first; its arguments are the folder of this file, and others.
BEGIN = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import file_builders as tests
path, files = pathlib.Path(sys.argv[2]), tests.files
def wait(*_, **__):
    print("ready", flush=True)
    sys.stdin.readline()
"""


class Process(subprocess.Popen):
    """Another Python that begins as above, with a pipe to and from it, and nothing of it left."""

    def __init__(self, code, *arguments):
        here = Path(__file__).parent
        command = [sys.executable, "-c", BEGIN + code, *map(str, (here, *arguments))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        super().__init__(command, **pipes)

    def __exit__(self, *error):
        self.kill()
        super().__exit__(*error)

    def wait_until_ready(self):
        assert self.stdout.readline() == "ready\n"
