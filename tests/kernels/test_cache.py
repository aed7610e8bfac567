"""Where machine code is kept: in a folder for these sources, and nowhere if that cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import NOJIT

from rnnsim.kernels.arithmetic import jit

CODE = """
import numpy as np
from rnnsim.kernels.arithmetic import jit
from rnnsim.kernels.arithmetic.norms import frobenius
print(frobenius(np.full((2, 2), 2.0)), sum(frobenius.stats.cache_hits.values()), jit._FOLDER)
"""
COUNT = """
import gc, sys
import numpy as np
from numba.core.registry import CPUDispatcher
from rnnsim import kernels
sys.stdin.readline()  # until both processes are here
columns, losses = np.ones((3, 4)), np.empty(4)
kernels.softmax_cross_entropy(columns, np.zeros(4, int), np.ones(4), *np.empty((3, 4)), losses)
for kernel in gc.get_objects():
    if isinstance(kernel, CPUDispatcher):
        for signature in kernel.stats.cache_misses:
            print(kernel.py_func.__name__, signature)
print("loss", losses[0])
"""
pytestmark = pytest.mark.skipif(NOJIT, reason="nothing is compiled")


def run(cache):
    """Norm, cache hits and folder as a new process with this user cache has them."""
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(cache)
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


def printed(code, cache, *, timeout=None, **environment):
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)} | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout,
    )
    return found.stdout.split()


def test_the_second_process_loads_what_the_first_compiled(tmp_path):
    folder = str(tmp_path / "rnnsim" / jit._FOLDER.name)
    assert run(tmp_path) == ["4.0", "0", folder]
    assert run(tmp_path) == ["4.0", "1", folder]


def test_no_use_depends_on_a_writable_cache(tmp_path):
    occupied = tmp_path / "a file, not a folder"
    occupied.write_text("")
    assert run(occupied) == ["4.0", "0", "None"]


def test_of_two_processes_at_once_one_compiles_and_the_other_waits(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    lines = [process.communicate()[0].split("\n") for process in both]
    compiled = sorted(line for each in lines for line in each if line and "loss" not in line)
    assert len(compiled) > 3
    assert len(set(compiled)) == len(compiled), "a kernel was compiled twice"
    assert lines[0][-2] == lines[1][-2]
    assert float(lines[0][-2].split()[1]) == pytest.approx(np.log(3.0))


def test_a_process_that_dies_while_it_compiles_leaves_no_lock_behind(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    held = """
import os
from rnnsim.kernels.arithmetic import norms
norms.frobenius._cache.save_overload = lambda *_: os.kill(os.getpid(), 9)
import numpy as np
norms.frobenius(np.full((2, 2), 2.0))
"""
    killed = subprocess.run([sys.executable, "-c", held], env=environment, check=False)
    assert killed.returncode == -9
    assert printed(CODE, tmp_path, timeout=120)[:2] == ["4.0", "0"]


HOLDING = """
import sys, time, filelock
from rnnsim.kernels.arithmetic import jit
with filelock.FileLock(jit._FOLDER / "rnnsim.kernels.arithmetic.norms.frobenius.lock"):
    print("held", flush=True)
    sys.stdin.readline()
"""
IMPATIENT = """
import numpy as np
from rnnsim.kernels.arithmetic import jit
from rnnsim.kernels.arithmetic.norms import frobenius
jit._PATIENCE = 0.3
print(frobenius(np.full((2, 2), 2.0)))
"""


def test_a_process_that_was_stopped_holds_up_nobody_for_ever(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLDING], env=environment, **pipes) as holding:
        assert holding.stdout.readline() == "held\n"
        assert printed(IMPATIENT, tmp_path) == ["4.0"]
        holding.communicate("enough\n")


BOTH = """
import test_seam
from stranger import Softsign
from rnnsim.kernels.gradients import unfolding
for cell in (0, Softsign(1.0)):
    for writable in (True, False):
        weights, batch = test_seam.problem("tanh")
        for array in (*weights, *batch[:5]):
            array.setflags(write=writable)
        print(test_seam.forward("tanh", weights, batch, cell)[1].sum())
print(sum(unfolding.forward.stats.cache_hits.values()))
"""
VANILLA = """
import numpy as np
import rnnsim
from rnnsim.kernels.gradients import unfolding
rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=2, rng=0)
rnnsim.forward(rnn, np.zeros((4, 2, 2)))
print(sum(unfolding.forward.stats.cache_hits.values()))
"""


def test_other_processes_find_the_code_of_both_kinds_of_cell(tmp_path):
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    first, second = (printed(BOTH, tmp_path, PYTHONPATH=paths) for _ in range(2))
    assert first[:4] == second[:4]
    assert first[0] == first[1]
    assert (first[4], second[4]) == ("0", "4")
    # Where the module of the other cell is not to be had, code for vanilla is found all the same.
    assert printed(VANILLA, tmp_path) == ["1"]


FULL = """
import resource
from rnnsim.kernels.arithmetic import norms
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as a disk without room: every write fails
"""
GONE = """
import shutil
from rnnsim.kernels.arithmetic import jit, norms
shutil.rmtree(jit._FOLDER)
"""


@pytest.mark.parametrize("trouble", [FULL, GONE])
def test_a_folder_that_is_full_or_gone_ends_no_call(trouble, tmp_path):
    if trouble == FULL:
        pytest.importorskip("resource")
    assert printed(trouble + CODE, tmp_path)[:2] == ["4.0", "0"]


def test_machine_code_that_is_damaged_is_compiled_anew(tmp_path):
    assert printed(CODE, tmp_path)[:2] == ["4.0", "0"]
    kept = [each for each in tmp_path.rglob("*") if each.suffix in (".nbi", ".nbc")]
    assert kept
    for each in kept:
        each.write_bytes(b"no machine code")
    assert printed(CODE, tmp_path)[:2] == ["4.0", "0"]
