"""What is written: examples run, public names are explained, pins are pins, no machine is named."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from house_plan import FILES, ROOT
from packaging.requirements import Requirement
from packaging.version import Version

import analysis
import rnnsim


def modules():
    for package in (rnnsim, analysis):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                yield info.name


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module)
    assert result.failed == 0


def test_every_public_name_is_documented():
    for name in rnnsim.__all__:
        assert hasattr(rnnsim, name), f"{name} is neither imported nor in _LAZY"
        documented = getattr(rnnsim, name).__doc__
        assert documented, name
        assert len(documented) > 40, name


def test_every_public_name_is_listed():
    assert set(rnnsim.__all__) <= set(dir(rnnsim))  # those that are imported on use included


def test_public_functions_have_an_example():
    for name in rnnsim.__all__:
        member = getattr(rnnsim, name)
        if callable(member) and not isinstance(member, type) and name not in {"save", "load"}:
            assert ">>>" in member.__doc__, name


def test_examples_of_where_to_add_work():
    """Uncompiled, in a process of its own: a cell is there for all that follows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 6
    result = subprocess.run(
        [sys.executable, "-c", "\n".join([*blocks, _USED])],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


_USED = """
import rnnsim, tempfile
from pathlib import Path
from rnnsim.importing.contents import Entry
from analysis.frame import runs
from rnnsim import kernels
from rnnsim.networks.binding import batch_for
batch = parity(5, 3, rng=0)
assert (batch.targets[-1] == batch.inputs.sum(axis=(0, 2)) % 2).all()
rnn = rnnsim.RNN.sample(2, n_inputs=1, n_hidden=4, n_outputs=2, rng=0)
kernels_of = {"net.W": rnn.W_xh[0].T, "net.U": rnn.W_hh[0].T}
entries = {n: Entry(a.shape, "float64", lambda a=a: a) for n, a in kernels_of.items()}
W_xh, W_hh, _ = found(entries)[0]["net"].layers[0].weights()
assert (W_hh == rnn.W_hh[0]).all() and (W_xh == rnn.W_xh[0]).all()
gradient = rnnsim.bptt(rnn, batch).weights
exact = sum((g**2).sum(axis=tuple(range(1, g.ndim))) for g in gradient)
assert np.allclose(slope_along(rnn, batch, gradient).slope, exact, rtol=1e-6)

def loss(weights, cell=Sine(1)):
    out = kernels.gradient_arrays(weights, kernels_batch)
    work = kernels.backward_work(weights, kernels_batch, 5, cell)
    kernels.bptt(weights, kernels_batch, cell, 0, 2, work, out)
    return out

kernels_batch = batch_for(rnn, batch, None)
weights = kernels.Weights(*map(np.array, rnn.weights))
out = loss(weights)
for name in ("W_xh", "W_hh", "b_h"):
    moved = [getattr(weights, name).copy() for _ in range(2)]
    moved[0][0].flat[2] += 1e-6
    moved[1][0].flat[2] -= 1e-6
    up, down = (loss(weights._replace(**{name: each})).loss[0] for each in moved)
    assert np.isclose((up - down) / 2e-6, getattr(out.weights, name)[0].flat[2], atol=1e-8), name

class here:
    __name__ = "analysis.gradients.radius"
    HELP, Settings = HELP, Settings
    compute, draw, summarise = map(staticmethod, (compute, draw, summarise))

with tempfile.TemporaryDirectory() as folder:
    words = runs.run(here, Settings(), output=Path(folder), source=None, progress=False)
    assert {p.name for p in Path(folder).glob("*.png")} == {"radius-against-gain.png"}
assert words[0].startswith("At gain 2 the median radius is ")
"""


def written(folder):
    """Texts of a folder that are not made while the site is built."""
    kinds = (".md", ".py", ".rst", ".yml", ".css", ".js", ".txt")
    made = ("_build", "auto_gallery", "generated", "backreferences", "tutorials", "_drawn")
    found = [path for path in (ROOT / folder).rglob("*") if path.suffix in kinds]
    return [p for p in found if not {*p.parts} & {*made} and p.name != "mathjax.js"]


def test_nothing_committed_names_this_machine():
    for path in [
        *FILES,
        *written("docs"),
        *written(".github"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff")),
        ROOT / "constraints.txt",
        ROOT / "oldest.txt",
        ROOT / "pyproject.toml",
    ]:
        if path != Path(__file__):
            assert not re.search(r"/home/|/root/|/work/|file://", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["constraints.txt", "oldest.txt"])
def test_every_pin_is_a_name_and_a_version(name):
    lines = (ROOT / name).read_text(encoding="utf-8").split()
    assert len(lines) > 30
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)


def test_the_oldest_pins_are_the_lower_bounds_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    pins = dict(line.split("==") for line in (ROOT / "oldest.txt").read_text("utf-8").split())
    for line in [*project["dependencies"], *extras["digits"], *extras["numbers"]]:
        requirement = Requirement(line)
        (bound,) = requirement.specifier
        assert bound.operator == ">=", line
        assert Version(pins[requirement.name]) == Version(bound.version), line


def test_continuous_integration_runs_the_test_command_alone():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith("#")]
    assert commands[-1] == "make test"
    assert "make test " in (ROOT / "README.md").read_text(encoding="utf-8")
