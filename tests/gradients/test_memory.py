"""Long sequences: states computed twice from checkpoints, and flows over very many steps."""

import builders
import numpy as np
import pytest
from builders import DTYPES, NOJIT, case
from numpy.testing import assert_allclose

from rnnsim import RNN, Sequences, bptt, gradient_flow, kernels, parallel
from rnnsim.gradients import memory
from rnnsim.gradients.memory import steps_stored
from rnnsim.networks.binding import batch_for
from rnnsim.networks.rnn import originals

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss_at", [None, 40])
def test_states_computed_twice_change_no_bit(loss_at, dtype, monkeypatch):
    made = case(2, N=1 if NOJIT else 2, T=150, B=2, H=3, dtype=dtype)
    if loss_at is not None:
        weights = np.zeros_like(made.sequences.weights)
        weights[loss_at] = 1
        sequences = Sequences(made.sequences.inputs, made.sequences.targets, weights)
        made = made._replace(sequences=sequences)
    whole = bptt(made.rnn, made.sequences, h0=made.h0)
    for state_memory in (1, 2e4, 4e4, 1e9):  # 64 steps (one block), 128, all
        cut = bptt(made.rnn, made.sequences, h0=made.h0, state_memory=state_memory)
        builders.same_bits(cut, whole)
    monkeypatch.setattr(parallel, "FLOPS_PER_CALL", 1.0)  # one block in a compiled call
    for state_memory in (1, 1e9):
        cut = bptt(made.rnn, made.sequences, h0=made.h0, state_memory=state_memory)
        builders.same_bits(cut, whole)


@pytest.mark.parametrize("bytes_", [0, -1.0, np.nan, np.inf])
def test_memory_that_makes_no_sense(bytes_):
    made = case()
    with pytest.raises(ValueError, match=r"`state_memory` must be a finite number"):
        bptt(made.rnn, made.sequences, state_memory=bytes_)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_states_stay_within_their_memory(n_threads, monkeypatch):
    made, seen = case(N=3, T=300, B=2, H=3), []
    batch = batch_for(made.rnn, made.sequences, made.h0)
    step = kernels.bytes_per_step(originals(made.rnn), batch)
    assert step == kernels.backward_work(originals(made.rnn), batch, 64).forward.trace[0].nbytes

    def recorded(*args):
        work = allocate(*args)
        seen.append(work)
        return work

    allocate = kernels.backward_work
    monkeypatch.setattr(kernels, "backward_work", recorded)
    bptt(made.rnn, made.sequences, n_threads=n_threads, state_memory=130.0 * step * n_threads)
    assert len(seen) == n_threads
    for work in seen:
        block = work.factors.shape[1]
        assert work.forward.trace.shape[0] - 1 <= 130 + block  # whole blocks
        assert work.checkpoints.nbytes < 0.1 * 300 * step


@pytest.mark.parametrize(
    ("N", "T", "flops", "expected"),
    [
        (1, 20_000, 1e5, 209),  # a small network: stretches of 2 MiB
        (1, 3_000, 1e5, 20_000),  # what a cache holds stays
        (2, 20_000, 1e5, 20_000),  # an ensemble has other networks to compute meanwhile
        (1, 20_000, 1e7, 20_000),  # dear to compute again
    ],
)
def test_states_of_one_small_network_go_in_stretches_that_a_cache_holds(N, T, flops, expected):
    per_step = 10_000
    assert steps_stored(N, T, per_step, 2e8, flops=flops) == expected
    assert steps_stored(N, T, per_step, 1e6, flops=flops) == 100  # the limit is one
    assert steps_stored(N, T, per_step, 1.0, flops=flops) == 1


@pytest.mark.skipif(NOJIT, reason="two million bytes need compiled kernels")
def test_a_long_sequence_gives_the_same_bits_in_stretches(monkeypatch):
    made = case(T=9000, B=16, H=30, dtype="float64")
    step = kernels.bytes_per_step(originals(made.rnn), batch_for(made.rnn, made.sequences, made.h0))
    assert 9000 * step > memory._CACHE
    cut = bptt(made.rnn, made.sequences, h0=made.h0, n_threads=1)
    monkeypatch.setattr(memory, "_CACHE", np.inf)
    builders.same_bits(bptt(made.rnn, made.sequences, h0=made.h0, n_threads=1), cut)


@pytest.mark.skipif(NOJIT, reason="a hundred thousand steps need compiled kernels")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gain", [0.1, 10.0])
def test_one_loss_reaches_back_a_hundred_thousand_steps(gain, dtype):
    T = 100_000
    rnn = RNN.sample(n_inputs=1, n_hidden=3, n_outputs=1, scheme="orthogonal", gain=gain,
                     activation="linear", rng=0, dtype=dtype)  # fmt: skip
    zeros = np.zeros((T, 1, 1), dtype)
    batch = Sequences(zeros, np.ones((T, 1, 1), dtype)).last_loss_only()
    flow = gradient_flow(rnn, batch)
    lags = np.arange(T)
    # W_hh itself is orthogonal only to rounding, the same factors at every step, and every step
    # adds three products.
    sizes = np.log(np.linalg.svd(rnn.W_hh[0].astype(float), compute_uv=False))[[-1, 0], None]
    rate = sizes + 4 * np.finfo(dtype).eps * np.array([-1, 1])[:, None]
    moved = flow.log_norms[0, 0] - flow.log_norms[0, 0, 0]
    low, high = rate * lags - 1e-9
    assert np.all(moved >= low - 1e-9)
    assert np.all(moved <= high + 2e-9)
    assert_allclose(flow.live, 1.0)
