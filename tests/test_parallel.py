"""Threads: the same bits on any number of them, and BLAS as it was, whatever happens."""

import os
import threading

import builders
import numpy as np
import pytest
import scipy.linalg.cython_blas  # noqa: F401  (the BLAS that compiled code calls)
from builders import DTYPES, case
from threadpoolctl import threadpool_info, threadpool_limits

from rnnsim import bptt, evaluate, forward, gradient_flow, parallel, truncated_bptt

CALLS = {
    "forward": lambda made, **k: forward(made.rnn, made.sequences.inputs, h0=made.h0, **k),
    "evaluate": lambda made, **k: evaluate(made.rnn, made.sequences, h0=made.h0, **k),
    "bptt": lambda made, **k: bptt(made.rnn, made.sequences, h0=made.h0, **k),
    "truncated_bptt": lambda made, **k: truncated_bptt(
        made.rnn, made.sequences, window=4, stride=3, h0=made.h0, **k
    ),
    "gradient_flow": lambda made, **k: gradient_flow(
        made.rnn, made.sequences, h0=made.h0, per_sequence=True, **k
    ),
}
several_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="BLAS has one thread anyway")


def blas_threads():
    return [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]


@pytest.mark.nojit
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
def test_any_number_of_threads_gives_the_same_bits(name, dtype, own):
    made = case(N=7, H=8, own=own, dtype=dtype)
    serial = CALLS[name](made, n_threads=1)
    for n_threads in (2, 3, 16, None):
        builders.same_bits(CALLS[name](made, n_threads=n_threads), serial)


@pytest.mark.nojit
@pytest.mark.parametrize("name", CALLS)
def test_short_compiled_calls_give_the_same_bits(name, monkeypatch):
    # Little arithmetic per call: one network, one lag or one depth at a time.
    made = case(N=3, T=9)
    whole = CALLS[name](made, n_threads=1)
    monkeypatch.setattr(parallel, "FLOPS_PER_CALL", 1.0)
    for n_threads in (1, 2):
        builders.same_bits(CALLS[name](made, n_threads=n_threads), whole)


@pytest.mark.nojit
def test_every_network_is_treated_exactly_once():
    for N in (1, 2, 5, 16):
        for n_threads in (1, 2, 3, 40):
            for flops in (1.0, 2e9, 1e12):
                seen, lock = [], threading.Lock()

                def prepare(seen=seen, lock=lock):
                    def worker(start, stop):
                        yield
                        with lock:
                            seen.extend(range(start, stop))

                    return worker

                parallel.over_networks(N, n_threads, prepare, flops=flops, n_hidden=4)
                assert sorted(seen) == list(range(N))


@pytest.mark.nojit
def test_every_thread_has_a_workspace_of_its_own():
    meeting, prepared, used = threading.Barrier(3, timeout=30), [], []

    def prepare():
        work = object()
        prepared.append(work)

        def worker(start, stop):
            used.append((threading.get_ident(), work))
            meeting.wait()  # three workers at once, or a timeout
            yield

        return worker

    parallel.over_networks(3, 3, prepare, flops=1e12, n_hidden=4)
    assert len(prepared) == len(set(used)) == 3
    assert len({thread for thread, _ in used}) == 3


def run(report, n_networks=2, n_threads=2, n_hidden=4):
    def prepare():
        def worker(start, stop):
            report()
            yield

        return worker

    parallel.over_networks(n_networks, n_threads, prepare, flops=1e12, n_hidden=n_hidden)


@several_cores
def test_blas_has_one_thread_inside_and_all_of_them_afterwards():
    before, inside = blas_threads(), []
    assert max(before) > 1
    run(lambda: inside.append(blas_threads()))
    assert inside == [[1] * len(before)] * 2
    assert blas_threads() == before


@several_cores
def test_one_large_network_leaves_the_threads_to_blas():
    before, inside = blas_threads(), []
    run(lambda: inside.append(blas_threads()), n_networks=1, n_hidden=512)
    run(lambda: inside.append(blas_threads()), n_networks=1, n_hidden=512, n_threads=1)
    run(lambda: inside.append(blas_threads()), n_networks=1, n_hidden=16)
    run(lambda: inside.append(blas_threads()), n_networks=2, n_hidden=512)
    ones = [1] * len(before)
    assert inside == [[min(2, n) for n in before], ones, ones, ones, ones]
    assert blas_threads() == before


@several_cores
def test_a_limit_of_the_caller_is_kept():
    with threadpool_limits(1, user_api="blas"):
        inside = []
        run(lambda: inside.append(blas_threads()), n_networks=1, n_hidden=512)
        assert max(inside[0]) == 1
        assert max(blas_threads()) == 1
    assert max(blas_threads()) > 1


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_exception_in_a_worker_reaches_the_caller_and_blas_is_restored(n_threads):
    before, begun = blas_threads(), []

    def fail():
        begun.append(blas_threads())
        raise ZeroDivisionError("in a worker")

    with pytest.raises(ZeroDivisionError, match="in a worker"):
        run(fail, n_networks=50, n_threads=n_threads)
    assert len(begun) <= n_threads  # nobody starts another network
    assert blas_threads() == before


def test_an_exception_while_preparing_reaches_the_caller():
    before = blas_threads()

    def prepare():
        raise MemoryError("no workspace")

    for n_threads in (1, 2):
        with pytest.raises(MemoryError, match="no workspace"):
            parallel.over_networks(4, n_threads, prepare, flops=1.0, n_hidden=4)
    assert blas_threads() == before


@pytest.mark.nojit
def test_after_an_exception_the_other_workers_stop():
    stopped, go = [], threading.Event()

    def prepare():
        def worker(start, stop):
            if start == 0:
                go.wait(30)
                raise ZeroDivisionError
            go.set()
            for _ in range(10**6):
                stopped.append(start)
                yield

        return worker

    with pytest.raises(ZeroDivisionError):
        parallel.over_networks(2, 2, prepare, flops=1e12, n_hidden=4)
    assert len(stopped) < 10**6


@several_cores
def test_overlapping_calls_restore_what_was_there_before_the_first():
    before, first_inside, second_done = blas_threads(), threading.Event(), threading.Event()
    inside = []

    def wait_for_the_other():
        first_inside.set()
        assert second_done.wait(30)
        inside.append(blas_threads())

    first = threading.Thread(target=run, args=(wait_for_the_other, 1))
    first.start()
    assert first_inside.wait(30)
    # The second call begins and ends within the first, which keeps its limit.
    run(lambda: inside.append(blas_threads()), n_networks=1)
    second_done.set()
    first.join(30)
    assert inside == [[1] * len(before)] * 2
    assert blas_threads() == before


@several_cores
def test_calls_from_any_python_thread_are_limited():
    # threadpoolctl 3.8 obeys, for OpenBLAS, only the first thread that ever set a limit.
    before, inside = blas_threads(), []
    run(lambda: inside.append(blas_threads()), n_networks=1)
    other = threading.Thread(target=run, args=(lambda: inside.append(blas_threads()), 1))
    other.start()
    other.join(30)
    assert inside == [[1] * len(before)] * 2
    assert blas_threads() == before


@several_cores
def test_calls_that_end_in_the_order_they_began_restore_too():
    before = blas_threads()
    events = [threading.Event() for _ in range(3)]

    def first():
        events[0].set()
        assert events[1].wait(30)

    def second():
        events[1].set()
        assert events[2].wait(30)

    threads = [threading.Thread(target=run, args=(first, 1))]
    threads[0].start()
    assert events[0].wait(30)
    threads.append(threading.Thread(target=run, args=(second, 1)))
    threads[1].start()
    threads[0].join(30)
    assert max(blas_threads()) == 1  # the second one still runs
    events[2].set()
    threads[1].join(30)
    assert blas_threads() == before


@pytest.mark.nojit
def test_the_arithmetic_of_callers_threads_stays_silent():
    # Overflow in uncompiled kernels would warn, and threads do not inherit errstate.
    old = np.geterr()
    run(lambda: np.float64(1e300) * np.float64(1e300))
    assert np.geterr() == old


@pytest.mark.nojit
def test_numbers_of_threads_that_make_no_sense():
    for n_threads, error, message in (
        (0, ValueError, r"`n_threads` must be at least 1, got 0"),
        (-2, ValueError, r"`n_threads` must be at least 1, got -2"),
        (2.0, TypeError, r"`n_threads` must be an integer of at least 1, got 2\.0"),
        ("2", TypeError, r"`n_threads` must be an integer of at least 1, got '2'"),
    ):
        with pytest.raises(error, match=message):
            run(lambda: None, n_threads=n_threads)
    assert parallel.thread_count(None) >= 1
    assert parallel.thread_count(np.int64(3)) == 3
