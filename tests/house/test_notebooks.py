"""The notebooks run from a clean start, and are committed as a clean run left them."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|Users|tmp|var)/|[A-Z]:\\{1,2}Users")

# In a process of its own: the notebook libraries warn, and leave sockets to the garbage collector.
RUN = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.execute(notebook, timeout=900, kernel_name="python3")
nbformat.write(notebook, sys.argv[2])
"""


def code_cells(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def kinds(cell):
    """What a cell shows: ("stream", "stdout"), or the formats of a figure or value.

    Text that a slow cell prints comes in one piece or in several, as it happens.
    """
    shown = [
        (output["output_type"], output.get("name") or sorted(output.get("data", {})))
        for output in cell["outputs"]
    ]
    return [kind for kind, _ in itertools.groupby(shown)]


def texts(cell):
    """All that a cell shows besides images."""
    shown = [
        {key: value for key, value in output.get("data", {}).items() if "image/" not in key}
        | {"text": output.get("text", "")}
        for output in cell["outputs"]
    ]
    return json.dumps(shown, ensure_ascii=False)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_shows_what_is_committed(path, tmp_path):
    # A kernel named python3 that is this interpreter, whatever the user has installed.
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    settings = {
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    executed = tmp_path / path.name
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(executed)],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert run.returncode == 0, run.stderr[-5000:]
    for now, committed in zip(code_cells(executed), code_cells(path), strict=True):
        assert kinds(now) == kinds(committed), "".join(committed["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_as_one_clean_run(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for kind, name in kinds(cell):
            assert kind != "error"
            assert name != "stderr"
        assert "Warning" not in texts(cell)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_small_and_free_of_machine_paths(path):
    assert path.stat().st_size < 1_500_000
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook["metadata"]["kernelspec"]["display_name"] == "Python 3"
    for cell in notebook["cells"]:
        shown = "".join(cell["source"]) + (texts(cell) if cell["cell_type"] == "code" else "")
        assert not MACHINE_PATH.search(shown)
