"""Who waits for a compiler is told so, once for each dtype, on a terminal and nowhere else."""

import os
import subprocess
import sys

import pytest
from builders import NOJIT

pytestmark = pytest.mark.skipif(NOJIT, reason="nothing is compiled")
CODE = """
import sys
sys.stderr.isatty = lambda: {terminal}
import numpy as np
import rnnsim
from rnnsim.kernels.arithmetic.norms import frobenius
for dtype in ("float64", "float64", "float32", "float32"):
    assert frobenius(np.full((2, 2), 2.0, dtype)) == 4.0
    print(dtype, file=sys.stderr)
import numba
assert numba.njit(lambda a: a[0])(np.ones(1)) == 1.0   # one of the user's own
"""


def said(cache, terminal=True):
    """What a new process with this cache says, and where between its calls."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(terminal=terminal)],
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()


def notice(dtype):
    return f"rnnsim: compiling kernels for {dtype}, a minute or two"


def test_each_dtype_that_is_compiled_is_told_once(tmp_path):
    first, second = notice("float64"), notice("float32")
    calls = ["float64", "float64", "float32", "float32"]
    assert said(tmp_path / "a") == [first, *calls[:2], second, *calls[2:]]
    assert said(tmp_path / "a") == calls, "machine code from the cache is only loaded"
    assert said(tmp_path / "b", terminal=False) == calls
