"""`rnnsim compile`: what it says is so, and what it cannot do it refuses."""

import contextlib
import os
import re
import subprocess
import sys
from concurrent.futures import Future

import pytest
from builders import NOJIT

from analysis.__main__ import app
from analysis.scaling import compile as command
from rnnsim.compiling import calls, counting


class Here:
    """Runs what it is given at once, in this process."""

    def submit(self, function, *arguments):
        done = Future()
        done.set_result(function(*arguments))
        return done


@pytest.fixture
def made(monkeypatch, tmp_path):
    """The pieces that are made; each of a list compiles so many kernels, all others none."""
    seen, kernels = [], []

    def make(piece):
        seen.append(piece)
        return kernels[len(seen) - 1] if len(seen) <= len(kernels) else 0

    monkeypatch.setattr(command, "processes", lambda n: contextlib.nullcontext(Here()))
    monkeypatch.setattr(counting, "make", make)
    monkeypatch.setattr(counting, "folder", lambda: tmp_path)
    return seen, kernels


def said(*words, capsys):
    app(["compile", *words, "--no-progress"], result_action="return_value")
    return capsys.readouterr().out.splitlines()


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("compiled", "told"),
    [
        ([3, 0, 4], "7 kernels compiled"),
        ([1], "1 kernel compiled"),
        ([], "all kernels were compiled already"),
    ],
)
def test_it_says_what_was_compiled_for_what_and_where_it_is(compiled, told, made, capsys, tmp_path):
    seen, kernels = made
    kernels += compiled
    first, second = said("--cell", "gru", "lstm", "--dtype", "float32", capsys=capsys)
    assert seen == calls.pieces(("gru", "lstm"), ("float32",))
    assert re.fullmatch(rf"gru, lstm in float32: {told}, in \d+ s\.", first)
    assert second == f"Machine code is in {tmp_path}"


@pytest.mark.nojit
def test_without_flags_it_is_everything(made, capsys):
    first, _ = said(capsys=capsys)
    assert made[0] == calls.pieces(calls.CELLS, calls.DTYPES)
    assert first.startswith("vanilla, lstm, gru in float64, float32: ")


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cell", "vanilla", "rnn"], "--cell: `cell` must be one of .*gru.*, got 'rnn'"),
        (["--dtype", "float16"], "--dtype: `dtype` must be one of .*float32.*, got 'float16'"),
    ],
)
def test_what_is_not_known_is_refused(words, told, made, capsys):
    with pytest.raises(ValueError, match=told):
        said(*words, capsys=capsys)
    assert not made[0]


def refused(**environment):
    """The line that the command ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "compile"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    told = refused(NUMBA_CACHE_DIR=str(occupied))
    assert str(occupied) in told
    assert "name one in the environment variable NUMBA_CACHE_DIR" in told


def test_where_nothing_is_compiled_that_is_said():
    told = refused(NUMBA_DISABLE_JIT="1")
    assert "NUMBA_DISABLE_JIT must not be set" in told
    assert "got '1'; unset it" in told
