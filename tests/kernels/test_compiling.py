"""Compiling: who waits is told so; structures come by reference, and what is called is a part.

Once for each dtype, on a terminal and nowhere else.
"""

import inspect
import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from builders import NOJIT, case
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from rnnsim import bptt, kernels
from rnnsim.kernels.arithmetic import parts
from rnnsim.kernels.arithmetic.jit import kernel
from rnnsim.kernels.arithmetic.references import Reference, by_reference
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
print(*(len(each.part().signatures) for each in (multiply, lstm.product, lstm.add_product)))
"""


def test_a_cell_that_is_not_used_is_not_compiled(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", UNUSED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
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


@by_reference
class Inner(NamedTuple):
    values: np.ndarray
    factor: float


@by_reference
class Outer(NamedTuple):
    count: int
    inner: Inner
    marks: np.ndarray


@kernel
def scale_all(outer):
    inner = outer.inner
    for i in range(outer.count):
        inner.values[i] *= inner.factor
        outer.marks[0] += 1


@kernel
def scale_twice(outer):
    scale_all(outer)
    scale_all(Outer(outer.count - 1, Inner(outer.inner.values, 10.0), outer.marks))


def made():
    return Outer(3, Inner(np.arange(4.0), 2.0), np.zeros(1, np.int64))


def test_fields_are_read_through_the_reference():
    outer = made()
    scale_all(outer)
    assert_array_equal(outer.inner.values, [0, 2, 4, 3])
    assert outer.marks[0] == 3


def test_a_tuple_made_in_compiled_code_is_taken_by_reference_too():
    outer = made()
    scale_twice(outer)
    assert_array_equal(outer.inner.values, [0, 20, 4, 3])
    assert outer.marks[0] == 5


@njit
def fields_of(outer):
    return outer.count, outer.inner.values[1:], outer


@njit
def from_parts(values, marks):
    outer = Outer(2, Inner(values, 3.0), marks)
    scale_all(outer)
    return outer


def test_callers_own_compiled_code_reads_makes_and_returns_them():
    outer = made()
    count, tail, same = fields_of(outer)
    del outer
    assert count == 3
    assert_array_equal(tail, [1, 2, 3])
    assert isinstance(same, Outer)
    assert isinstance(same.inner, Inner)
    assert_array_equal(same.inner.values, np.arange(4.0))
    values = np.ones(3)
    built = from_parts(values, np.zeros(1, np.int64))
    assert isinstance(built, Outer)
    assert_array_equal(values, [3, 3, 1])


def test_every_signature_of_a_kernel_takes_structures_by_reference():
    m = case(N=2)
    bptt(m.rnn, m.sequences, h0=m.h0)
    assert kernels.bptt.signatures
    for weights, batch, *numbers, work, out in kernels.bptt.signatures:
        assert all(isinstance(kind, Reference) for kind in (weights, batch, work, out))
        assert "Literal" not in str(numbers)


def test_a_kernel_is_compiled_in_one_with_what_it_calls(tmp_path):
    """Of two dozen kernels only the one that Python calls has machine code and files."""
    assert parts.known(), "Numba makes its libraries of code in another way: see parts.py"
    code = """
import numpy as np, rnnsim
from rnnsim import kernels
from rnnsim.kernels.arithmetic.norms import frobenius
from rnnsim.kernels.arithmetic.products import multiply
from rnnsim.kernels.gradients import backward, blocks
rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=2, n_outputs=2, rng=0)
data = rnnsim.Sequences(np.ones((3, 1, 1)), np.zeros((3, 1), int))
rnnsim.bptt(rnn, data)
inner = backward.unfold_stretch, blocks.backward_block, multiply, frobenius
print(len(kernels.bptt.signatures), *(len(each.signatures) for each in inner))
print(*(len(each.part().signatures) for each in inner))
assert frobenius(np.ones((1, 4))) == 2
print(len(frobenius.signatures))
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    whole, inner, called = done.stdout.splitlines()
    assert whole.split() == ["1", "0", "0", "0", "0"]
    assert all(int(count) >= 1 for count in inner.split())
    assert called == "1"
    cached = {path.name.split("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert cached == {"backward.bptt", "norms.frobenius"}


ONE_BY_ONE = """
from numba.core import codegen
codegen.JITCodeLibrary = None  # as if Numba had no such class
from rnnsim.kernels.arithmetic import parts
from rnnsim.kernels.arithmetic.products import multiply
assert not parts.known() and not hasattr(multiply, "part")
import numpy as np
import rnnsim
rnn = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=9, n_outputs=2, rng=0)
data = rnnsim.Sequences(np.ones((5, 3, 2)), np.zeros((5, 3), int))
gradient = rnnsim.bptt(rnn, data).W_hh
assert len(multiply.signatures) == 1
print(*gradient.ravel())
"""


def test_where_numba_makes_its_libraries_otherwise_kernels_compile_one_by_one(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", ONE_BY_ONE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    rnn = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=9, n_outputs=2, rng=0)
    data = rnnsim.Sequences(np.ones((5, 3, 2)), np.zeros((5, 3), int))
    found = np.array([float(word) for word in done.stdout.split()])
    expected = bptt(rnn, data).W_hh.ravel()
    # LLVM may put operations together in another way: no bits, but all digits that count.
    assert_allclose(found, expected, rtol=0, atol=1e-14 * np.abs(expected).max())
