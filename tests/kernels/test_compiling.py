"""Who waits for a compiler is told so, once for each dtype, on a terminal and nowhere else."""

import inspect
import os
import subprocess
import sys

import pytest
from builders import NOJIT

from rnnsim.kernels.gradients import backward, blocks, every_step, steps, unfolding

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


CELLS = """
import sys
sys.stderr.isatty = lambda: True
import numpy as np
from rnnsim import kernels
from rnnsim.kernels.gradients.steps import step_work, unfold
like = np.zeros((1, 1, 1))
for name in ("LINEAR", "LSTM", "LSTM", "GRU"):
    cell = getattr(kernels, name)
    rows = 1 if name == "LINEAR" else 4
    assert unfold(like, 0, 1, 0, cell, step_work(rows, 1, 1, 1, 1, like, cell)) == -1
    print(name, file=sys.stderr)
"""


def test_each_gated_cell_that_is_compiled_is_told_once(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CELLS],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines() == [
        notice("float64"),
        "LINEAR",
        "rnnsim: compiling LSTM kernels for float64",
        "LSTM",
        "LSTM",
        "rnnsim: compiling GRU kernels for float64",
        "GRU",
    ]


UNUSED = """
import numpy as np
import rnnsim
from rnnsim.kernels.cells import lstm
rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=2, n_outputs=1, rng=0)
rnnsim.forward(rnn, np.ones((3, 1, 1)))
from rnnsim.kernels.arithmetic.products import multiply
print(*(len(each.part().signatures) for each in (multiply, lstm.product, lstm.mix)))
"""


def test_a_cell_that_is_not_used_is_not_compiled():
    done = subprocess.run(
        [sys.executable, "-c", UNUSED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "0", "0"]


def test_of_a_second_cell_only_what_depends_on_it_is_compiled():
    """What has no cell among its arguments is compiled once for all: products, losses, norms."""
    depends = {
        name
        for module in (steps, unfolding, backward, blocks, every_step)
        for name, function in vars(module).items()
        if "cell" in inspect.signature(getattr(function, "py_func", len)).parameters
    }
    gradient = {"bptt", "forward_steps", "unfold", "backward_block", "backward_steps"}
    gradient |= {"unfold_stretch"}
    assert depends == gradient | {"forward", "forward_piece", "evaluate", "evaluate_piece"}
