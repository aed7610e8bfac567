"""Where machine code is kept: in a folder for these sources, and nowhere if that cannot be."""

import os
import subprocess
import sys

import pytest
from builders import NOJIT

from rnnsim.kernels.arithmetic import jit

CODE = """
import numpy as np
from rnnsim.kernels import jit
from rnnsim.kernels.norms import frobenius
print(frobenius(np.full((2, 2), 2.0)), sum(frobenius.stats.cache_hits.values()), jit._FOLDER)
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


def test_the_second_process_loads_what_the_first_compiled(tmp_path):
    folder = str(tmp_path / "rnnsim" / jit._FOLDER.name)
    assert run(tmp_path) == ["4.0", "0", folder]
    assert run(tmp_path) == ["4.0", "1", folder]


def test_no_use_depends_on_a_writable_cache(tmp_path):
    occupied = tmp_path / "a file, not a folder"
    occupied.write_text("")
    assert run(occupied) == ["4.0", "0", "None"]
