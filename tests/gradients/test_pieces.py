"""No compiled call is long: passes come in pieces, to the same bits, and can be interrupted."""

import signal
import subprocess
import sys
import time

import pytest
from builders import NOJIT, case, same_bits

import rnnsim
from rnnsim import parallel

pytestmark = pytest.mark.nojit

CALLS = {
    "forward": lambda made: rnnsim.forward(made.rnn, made.sequences.inputs, n_threads=1),
    "evaluate": lambda made: rnnsim.evaluate(made.rnn, made.sequences, n_threads=1),
    "sliding": lambda made: rnnsim.truncated_bptt(made.rnn, made.sequences, window=5, stride=1),
    "blocks": lambda made: rnnsim.truncated_bptt(made.rnn, made.sequences, window=9, stride=4),
    "segments": lambda made: rnnsim.truncated_bptt(made.rnn, made.sequences, window=7),
}


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("flops", [1.0, 3e4, 1e5])
@pytest.mark.parametrize("name", CALLS)
def test_pieces_give_the_bits_of_the_whole(name, flops, classes, monkeypatch):
    made = case(seed=3, N=2, T=150, B=2, H=5, classes=classes)  # more than a block
    whole = CALLS[name](made)
    monkeypatch.setattr(parallel, "FLOPS_PER_CALL", flops)
    returns = count_returns(monkeypatch)
    pieces = CALLS[name](made)
    assert len(returns) > (2 if flops > 1e4 else 2 * 2)
    same_bits(pieces, whole)


def count_returns(monkeypatch):
    """A list that grows each time a pass comes back from compiled code."""
    returns, plain = [], parallel.over_networks

    def over_networks(n_networks, n_threads, prepare, *, flops):
        def counting():
            worker = prepare()

            def work(start, stop):
                for each in worker(start, stop):
                    returns.append(each)
                    yield

            return work

        plain(n_networks, 1, counting, flops=flops)

    monkeypatch.setattr(parallel, "over_networks", over_networks)
    return returns


def test_pieces_are_of_whole_blocks():
    assert parallel.pieces(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert parallel.pieces(10, 7, 3) == [(0, 6), (6, 10)]
    assert parallel.pieces(10, 0, 3) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert parallel.pieces(2, 100, 3) == [(0, 2)]


LONG = """
import signal, sys
import numpy as np
import rnnsim
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests ignore it
def problem(T, H):
    rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=H, n_outputs=1, rng=0)
    x = np.zeros((T, 1, 1))
    return rnn, rnnsim.Sequences(x, np.zeros((T, 1, 1)))
call = {
    "forward": lambda rnn, data: rnnsim.forward(rnn, data.inputs),
    "evaluate": rnnsim.evaluate,
    "truncated_bptt": lambda rnn, data: rnnsim.truncated_bptt(rnn, data, window=100, stride=1),
}[sys.argv[1]]
call(*problem(3, 2))
T, H = (1_000_000, 256) if sys.argv[1] != "truncated_bptt" else (200_000, 128)
rnn, data = problem(T, H)
print("ready", flush=True)
try:
    call(rnn, data)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(NOJIT, reason="plain Python comes back all the time")
@pytest.mark.parametrize("name", ["forward", "evaluate", "truncated_bptt"])
def test_a_long_call_is_interrupted(name):
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", LONG, name], **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        asked = time.perf_counter()
        assert process.stdout.readline() == "interrupted\n"
        assert time.perf_counter() - asked < 6  # a piece takes half a second of a free processor
        assert process.wait() == 0
