"""The table of what is compiled meets every kernel, and other processes find what it compiled."""

import ast
import inspect
import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest
from builders import NOJIT
from house_plan import NAMES, ROOT, SOURCES, tree

from rnnsim import kernels, parallel
from rnnsim.compiling import calls
from rnnsim.compiling.calls import CALLS, CELLS, DTYPES, Tiny

KERNELS = ROOT / "rnnsim/kernels"
COMPILED = {"kernel", "exact", "inlined"}  # decorators, of kernels/arithmetic/jit.py


def entries():
    """Every kernel that code above the kernels calls: its file and its name."""
    found = set()
    for path in SOURCES:
        if NAMES[path].startswith("rnnsim/") and KERNELS not in path.parents:
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                    "rnnsim.kernels"
                ):
                    module = import_module(node.module)
                    found |= {getattr(module, each.name) for each in node.names}
                elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "kernels":
                    found |= {getattr(kernels, node.attr)}
    functions = {each for each in found if inspect.isfunction(each)}
    return {_place(each.__code__) for each in functions if _is_compiled(each)}


def _place(code):
    return Path(code.co_filename).relative_to(KERNELS).as_posix(), code.co_name


def _is_compiled(function):
    (node,) = ast.parse(inspect.getsource(function)).body
    return bool({ast.unparse(each) for each in node.decorator_list} & COMPILED)


@pytest.mark.nojit
@pytest.mark.skipif(not NOJIT, reason="calls of kernels are seen in plain Python")
def test_the_table_meets_every_kernel_that_public_functions_call(monkeypatch):
    expected, met = entries(), set()
    assert len(expected) > 30

    def seen(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(KERNELS)):
            met.add(_place(frame.f_code))

    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    sizes = {"n_steps": 6, "n_sequences": 8}
    original = Tiny.data
    monkeypatch.setattr(Tiny, "data", lambda tiny, **given: original(tiny, **(given and sizes)))
    small = Tiny.network
    monkeypatch.setattr(Tiny, "network", lambda tiny, **_: small(tiny))
    pieces = [each for each in calls.pieces(("vanilla", "lstm"), ("float64",))]
    threading.setprofile(seen)
    sys.setprofile(seen)
    try:
        for piece in pieces:
            CALLS[piece.name](piece.tiny)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    missed = sorted(expected - met)
    assert not missed, f"what of CALLS in rnnsim/compiling/calls.py meets these? {missed}"


@pytest.mark.nojit
def test_pieces_are_all_calls_for_all_that_is_asked_and_each_once():
    pieces = calls.pieces(CELLS, DTYPES)
    assert len(set(pieces)) == len(pieces) == len(CALLS) * 2 * 3 * 2
    assert {each.tiny.cell for each in calls.pieces(("gru",), DTYPES)} == {"gru"}
    assert {each.tiny.dtype for each in calls.pieces(CELLS, ("float32",))} == {"float32"}


COUNTED = """
import sys
from rnnsim.compiling import counting
from rnnsim.compiling.calls import Piece, Tiny
print(counting.make(Piece({name!r}, Tiny("vanilla", 1, "float32"))), counting.folder())
"""
CALLED = """
import numpy as np, sys
from numba.core import event
import rnnsim
from rnnsim.compiling.counting import Compiled
cell, dtype = sys.argv[1:]
counted = Compiled()
with event.install_listener("numba:compile", counted):
    for layers in (1, 2):
        sizes = dict(n_inputs=3, n_hidden=5, n_outputs=2, cell=cell, dtype=dtype, rng=1)
        made = rnnsim.RNN if layers == 1 else rnnsim.Stack
        rnn = made.sample(3, **sizes, **({} if layers == 1 else {"n_layers": 3}))
        x = np.ones((7, 4, 3), dtype)
        for targets in (np.zeros((7, 4), int), np.zeros((7, 4, 2), dtype)):
            data = rnnsim.Sequences(x, targets)
            rnnsim.evaluate(rnn, data)
            if "all" in FUNCTIONS:
                rnnsim.bptt(rnn, data, keep=("steps",))
                rnnsim.truncated_bptt(rnn, data, window=3, stride=2)
                rnnsim.gradient_flow(rnn, data, per_sequence=True)
                rnnsim.train(rnn, data, n_updates=2, window=3, optimizer="adam", test=data)
                rnnsim.lyapunov_spectrum(rnn, n_steps=40, rng=0)
        rnnsim.forward(rnn, x)
        if "one layer" in FUNCTIONS:
            break
print(counted.kernels)
"""


def printed(code, cache, *arguments):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", code, *arguments]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
def test_what_a_call_has_compiled_other_processes_only_load(tmp_path):
    code = COUNTED.format(name="run")
    first, place = printed(code, tmp_path)
    assert int(first) > 5
    assert Path(place).parent == tmp_path
    assert list(Path(place).rglob("*.nbc"))
    assert printed(code, tmp_path) == ["0", place]
    running = "FUNCTIONS = ('one layer',)\n" + CALLED
    assert printed(running, tmp_path, "vanilla", "float32") == ["0"]


@pytest.mark.slow
@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_after_the_command_public_functions_compile_nothing(cell, dtype, tmp_path):
    command = [sys.executable, "-m", "analysis", "compile", "--cell", cell, "--dtype", dtype]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    told = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert "kernels compiled, in" in told[0]
    assert "all kernels were compiled already" in told[1]
    assert printed("FUNCTIONS = ('all',)\n" + CALLED, tmp_path, cell, dtype) == ["0"]
