"""The wheel: built, installed somewhere else, and a figure drawn with it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_it_carries_both_packages_and_their_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "rnnsim/py.typed",
        "analysis/py.typed",
        "analysis/frame/figures/rnnsim.mplstyle",
    } <= names
    assert "rnnsim/tasks/paragraphs.txt" in names
    report = {"page.html", "page.css", "page.js", "base.html", "table.html", "values.js"}
    assert {f"analysis/frame/report/{name}" for name in report} <= names
    sliders = {"explore.html", "explore.css", "explore.js", "pictures.js", "words.js"}
    assert {f"analysis/explore/{name}" for name in sliders} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "notebooks/")) for name in names)


def test_installed_elsewhere_it_draws_a_figure(wheel, tmp_path):
    place = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, str(place), str(wheel)], check=True, capture_output=True)
    # Compiled anew for another path the kernels would take minutes; as Python they take seconds.
    environment = os.environ | {"PYTHONPATH": str(place), "NUMBA_DISABLE_JIT": "1"}
    settings = "--gain 0.5 1 --length 8 --n-hidden 4 --network-seeds 2 --batch-size 2".split()
    command = [sys.executable, "-m", "analysis", "gradient-norms", *settings, "--output", "out"]
    found = [sys.executable, "-c", "import rnnsim; print(rnnsim.__file__)"]
    where = subprocess.run(
        found, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert where.stdout.startswith(str(place))
    result = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "phase-gain-length.png").stat().st_size > 10_000
