"""Threads and processes: the same bits on any number of them, and BLAS left alone."""

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import builders
import numpy as np
import pytest
from builders import DTYPES, NOJIT, case
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_info

import rnnsim
from rnnsim import bptt, evaluate, forward, gradient_flow, parallel, truncated_bptt
from rnnsim.gradients import team

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
    for n_threads in (2, 16) if NOJIT else (2, 3, 16, None):
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
@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
@pytest.mark.parametrize("n_networks", [1, 5, 64, 255, 256])
def test_threads_get_equal_turns(n_networks, n_threads):
    for most in (1, 7, 52, 1000):
        flops, seen, lock = parallel.FLOPS_PER_CALL / most, [], threading.Lock()

        def prepare(seen=seen, lock=lock):
            def worker(start, stop):
                yield
                with lock:
                    seen.append(stop - start)

            return worker

        parallel.over_networks(n_networks, n_threads, prepare, flops=flops)
        crew = min(n_threads, n_networks)
        assert sum(seen) == n_networks
        assert max(seen) <= most
        assert max(seen) - min(seen) <= 1
        assert len(seen) % crew == 0 or len(seen) == n_networks


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

                parallel.over_networks(N, n_threads, prepare, flops=flops)
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

    parallel.over_networks(3, 3, prepare, flops=1e12)
    assert len(prepared) == len(set(used)) == 3
    assert len({thread for thread, _ in used}) == 3


def run(report, n_networks=2, n_threads=2):
    def prepare():
        def worker(start, stop):
            report()
            yield

        return worker

    parallel.over_networks(n_networks, n_threads, prepare, flops=1e12)


@pytest.mark.parametrize("name", CALLS)
def test_threads_of_blas_are_left_alone(name, monkeypatch):
    # Kernels call no BLAS: no limit is set, nothing has to be restored, also after an exception.
    before, inside = blas_threads(), []
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    for N in (1, 3):
        CALLS[name](case(N=N, B=9), n_threads=2)
        run(lambda: inside.append(blas_threads()), n_networks=N)
    assert inside == [before] * 4
    assert blas_threads() == before


@pytest.mark.nojit
def test_calls_load_no_blas_of_scipy():
    code = (
        "import sys, rnnsim; rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=3, n_outputs=1, rng=0);"
        "batch = rnnsim.tasks.adding(6, 2, rng=0); rnnsim.bptt(rnn, batch);"
        "rnnsim.gradient_flow(rnn, batch); rnnsim.truncated_bptt(rnn, batch, window=2);"
        "print('scipy.linalg' in sys.modules or 'threadpoolctl' in sys.modules)"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.strip() == "False"


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
            parallel.over_networks(4, n_threads, prepare, flops=1.0)
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
        parallel.over_networks(2, 2, prepare, flops=1e12)
    assert len(stopped) < 10**6


@pytest.mark.nojit
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("T", "B", "loss_at"), [(9, 13, None), (3, 8, None), (40, 9, 25)])
def test_a_team_on_one_network_gives_what_one_thread_gives(T, B, loss_at, dtype, own, monkeypatch):
    made = case(N=1, T=T, B=B, D=3, H=9, V=3, dtype=dtype, own=own)
    if loss_at is not None:  # loss at one step only, not the last one
        weights = np.zeros_like(made.sequences.weights)
        weights[..., loss_at, :] = 1
        s = made.sequences
        made = made._replace(sequences=rnnsim.Sequences(s.inputs, s.targets, weights))
    serial = {name: CALLS[name](made, n_threads=1) for name in ("bptt", "gradient_flow")}
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    for n_threads in (2, 3):
        # Only the order of sums over sequences differs.
        tolerance = 1e-12 if dtype == "float64" else 1e-4
        found = CALLS["bptt"](made, n_threads=n_threads)
        for a, b in zip(found.weights, serial["bptt"].weights, strict=True):
            assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)
        assert_array_equal(found.h0, serial["bptt"].h0)  # rows of sequences never meet
        assert_allclose(found.loss, serial["bptt"].loss, rtol=tolerance)
        assert_allclose(found.state_norms, serial["bptt"].state_norms, rtol=tolerance)
        for a, b in zip(found.step_norms, serial["bptt"].step_norms, strict=True):
            assert_allclose(a, b, rtol=tolerance)
        flow, alone = CALLS["gradient_flow"](made, n_threads=n_threads), serial["gradient_flow"]
        for name in ("log_norms", "live", "log_rms", "log_std", "per_sequence"):
            assert_array_equal(getattr(flow, name), getattr(alone, name), err_msg=name)
        for name in ("window_log_norms", "joint_log_norms", "window_cosine", "joint_cosine"):
            assert_allclose(getattr(flow, name), getattr(alone, name), atol=tolerance * 10)
        known = alone.window_log_error > alone.window_log_floor[:, None] + 5
        assert_allclose(flow.window_log_error[known], alone.window_log_error[known], atol=1e-2)
        for name in ("window_log_floor", "full_log_norm", "mean_slope", "saturated_fraction"):
            assert_allclose(getattr(flow, name), getattr(alone, name), atol=tolerance * 10)


@pytest.mark.nojit
def test_a_team_recomputes_states_too(monkeypatch):
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    monkeypatch.setattr(team, "_MOST_STEPS", 8)
    made = case(N=1, T=45, B=8)
    whole = bptt(made.rnn, made.sequences, h0=made.h0, n_threads=2)
    cut = bptt(made.rnn, made.sequences, h0=made.h0, n_threads=2, state_memory=1.0)
    builders.same_bits(cut, whole)


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_team_names_the_network_that_overflows(dtype, monkeypatch):
    made = case(N=1, T=6, B=8, activation="linear", gain=1e30 if dtype == "float32" else 1e250,
                dtype=dtype)  # fmt: skip
    serial = {name: CALLS[name](made, n_threads=1) for name in ("bptt", "gradient_flow")}
    monkeypatch.setattr(parallel, "_FLOPS_FOR_A_TEAM", 0.0)
    for name, alone in serial.items():
        found = CALLS[name](made, n_threads=2)
        assert alone.first_nonfinite[0] > 0
        assert_array_equal(found.first_nonfinite, alone.first_nonfinite)


@pytest.mark.nojit
def test_small_work_and_ensembles_need_no_team():
    assert parallel.team_size(1, 4, 64, 1e10) == 4
    assert parallel.team_size(1, 4, 9, 1e10) == 2  # four sequences at least for each
    assert parallel.team_size(1, 4, 3, 1e10) == 1
    assert parallel.team_size(1, 1, 64, 1e10) == 1
    assert parallel.team_size(1, 4, 64, 1e5) == 1
    assert parallel.team_size(2, 4, 64, 1e10) == 1


@pytest.mark.nojit
def test_shares_cover_everything_once_and_go_by_fours():
    for n in (4, 5, 8, 11, 64, 67):
        for members in range(1, n // 4 + 1):
            shares = parallel.shares(n, members)
            assert [i for a, b in shares for i in range(a, b)] == list(range(n))
            assert all(b > a and a % 4 == 0 for a, b in shares)


@pytest.mark.nojit
def test_phases_wait_for_all_members_and_errors_end_them():
    seen = []
    parallel.in_step(3, [lambda m: seen.append(("a", m)), lambda m: seen.append(("b", m))])
    assert sorted(seen[:3]) == [("a", 0), ("a", 1), ("a", 2)]
    assert sorted(seen[3:]) == [("b", 0), ("b", 1), ("b", 2)]
    after = []
    with pytest.raises(ZeroDivisionError):
        parallel.in_step(2, [lambda m: 1 // m, after.append])
    assert not after


@pytest.mark.parametrize("name", CALLS)
def test_calls_from_several_python_threads_at_once_give_the_same_bits(name):
    made = case(N=5, H=8, T=12)
    expected = CALLS[name](made, n_threads=1)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: CALLS[name](made, n_threads=2), range(8)):
            builders.same_bits(found, expected)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_forked_and_spawned_processes_give_the_same_bits(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    expected = builders.digest_of_gradients()  # threads have run here before the fork
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=builders.put_digest_of_gradients, args=(results,))
    child.start()
    try:
        assert results.get(timeout=300) == expected
    finally:
        child.join(30)
    assert child.exitcode == 0


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
