"""A guard on cost that counts work, not seconds: products, their rows, and allocations."""

import os
import subprocess
import sys

import numpy as np
import pytest
from builders import NOJIT, case

from rnnsim import Sequences, bptt, evaluate, forward, gradient_flow, truncated_bptt
from rnnsim.kernels.flow import chosen, flow, lags, windows
from rnnsim.kernels.gradients import backward, blocks, steps, truncated, unfolding

T, B, H, D, V = 20, 5, 6, 2, 3
plain_python = pytest.mark.skipif(not NOJIT, reason="compiled calls cannot be counted")


@pytest.fixture
def products(monkeypatch):
    """Every product that is computed: (module, rows, depth, columns)."""
    seen = []

    def counting(module, name, what):
        original = getattr(module, name)

        def counted(*args):
            seen.append((module.__name__.rpartition(".")[2], *what(*args)))
            return original(*args)

        monkeypatch.setattr(module, name, counted)

    def product(left, count, first, last, panels, out):
        return count, last - first, panels.shape[0] * panels.shape[2]

    def outer(left, right, count, M, N, total):
        return count, M, N

    def outer_of_steps(left, right, shape, columns, factors, total, squares):
        return shape[0] * shape[1], shape[2], columns[1]

    for module in (backward, blocks, chosen, flow, lags, steps, truncated, unfolding, windows):
        for name, what in (
            ("multiply", product), ("add_outer", outer), ("add_outer_of_steps", outer_of_steps)
        ):  # fmt: skip
            if hasattr(module, name):
                counting(module, name, what)
    return seen


def made(loss_at=None):
    whole = case(T=T, B=B, H=H, D=D, V=V, silent=0.0)
    if loss_at is None:
        return whole
    s, weights = whole.sequences, np.zeros((T, B))
    weights[loss_at] = 1
    return whole._replace(sequences=Sequences(s.inputs, s.targets, weights))


def rows_by_depth(products, module):
    """How many rows went through products of each depth."""
    found = {}
    for place, rows, depth, _ in products:
        if place == module:
            found[depth] = found.get(depth, 0) + rows
    return found


@pytest.mark.nojit
@plain_python
def test_one_product_a_step_forward_and_one_back(products):
    m = made()
    bptt(m.rnn, m.sequences, h0=m.h0)
    assert rows_by_depth(products, "steps") == {H + 1 + D: T * B}
    assert rows_by_depth(products, "unfolding") == {H + 1: T * B}  # the readout
    # Back: [delta, dL/dy] at T steps, and delta alone to h_0; then the outer products of both.
    assert rows_by_depth(products, "blocks") == {H + V: T * B, H: T * B, V: T * B}
    assert rows_by_depth(products, "backward") == {H: B}
    assert len(products) == 2 * T + 4  # the readout and the outer products are one call each


@pytest.mark.nojit
@plain_python
def test_only_what_carries_loss_is_paid_for(products):
    m = made(loss_at=11)
    bptt(m.rnn, m.sequences, h0=m.h0)
    assert rows_by_depth(products, "steps") == {H + 1 + D: T * B}
    assert rows_by_depth(products, "unfolding") == {H + 1: B}
    # From step 12 down: one row with a loss, eleven and h_0 without, and outer products of twelve.
    assert rows_by_depth(products, "blocks") == {H + V: B, H: 11 * B + 12 * B, V: 12 * B}
    assert rows_by_depth(products, "backward") == {H: B}


@pytest.mark.nojit
@plain_python
def test_states_are_computed_twice_at_most(products):
    m = made()
    bptt(m.rnn, m.sequences, h0=m.h0, state_memory=1)
    assert rows_by_depth(products, "steps")[H + 1 + D] == T * B  # one block: nothing to repeat
    products.clear()
    long = case(T=150, B=B, H=H, D=D, V=V)
    bptt(long.rnn, long.sequences, state_memory=1)
    once = 150 * B
    assert once < rows_by_depth(products, "steps")[H + 1 + D] < 2 * once


@pytest.mark.nojit
@plain_python
def test_the_flow_moves_only_rows_that_exist(products):
    m = made()
    gradient_flow(m.rnn, m.sequences, h0=m.h0)
    triangle = B * T * (T + 1) // 2
    assert rows_by_depth(products, "lags") == {H: 2 * triangle}  # rows moved, and outer products
    products.clear()
    m = made(loss_at=11)
    gradient_flow(m.rnn, m.sequences, h0=m.h0)
    assert rows_by_depth(products, "lags") == {H: 2 * 12 * B}
    products.clear()
    gradient_flow(m.rnn, m.sequences, h0=m.h0, max_lag=3)
    assert rows_by_depth(products, "lags") == {H: 2 * 4 * B}


@pytest.mark.nojit
@plain_python
def test_a_chosen_window_takes_one_outer_product(products):
    m, triangle = made(), B * T * (T + 1) // 2
    gradient_flow(m.rnn, m.sequences, h0=m.h0, windows=())
    assert rows_by_depth(products, "lags") == {H: triangle}  # rows moved, and nothing else
    assert rows_by_depth(products, "chosen") == {H: T * B, D: T * B}  # g times h, and times x
    products.clear()
    gradient_flow(m.rnn, m.sequences, h0=m.h0, windows=[1, 4, 12])
    assert rows_by_depth(products, "lags") == {H: triangle}
    outer = rows_by_depth(products, "chosen")[H] - T * B
    assert outer == B * (T + (T - 1) + (T - 4))  # the steps that lags 0, 1..3, 4..11 stand at


@pytest.mark.nojit
@plain_python
def test_truncated_sweeps_stay_within_their_window(products):
    m = made()
    truncated_bptt(m.rnn, m.sequences, window=4, stride=1, h0=m.h0)
    found = rows_by_depth(products, "truncated")
    # Each of T sweeps goes back three times from its own step, or until step 1 and on to h_0.
    assert found == {V: T * B, H: B * (3 * (T - 4) + 3 + 4 + 3 + 2 + 1 - 3)}


@pytest.mark.nojit
@plain_python
def test_scores_alone_compute_no_gradient(products):
    m = made()
    evaluate(m.rnn, m.sequences, h0=m.h0)
    forward(m.rnn, m.sequences.inputs, h0=m.h0)
    assert {place for place, *_ in products} == {"steps", "unfolding"}
    assert rows_by_depth(products, "steps") == {H + 1 + D: 2 * T * B}
    assert rows_by_depth(products, "unfolding") == {H + 1: 2 * T * B}


@pytest.mark.skipif(NOJIT, reason="nothing is compiled")
def test_kernels_allocate_nothing():
    code = """
import numba, numpy as np, rnnsim
from numba.core.runtime import rtsys
from rnnsim import kernels
from rnnsim.networks.binding import batch_for
from rnnsim.networks.rnn import originals
rnn = rnnsim.RNN.sample(3, n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
batch = batch_for(rnn, rnnsim.tasks.adding(30, 5, rng=0), None)
weights = originals(rnn)
work = kernels.backward_work(weights, batch, 30)
out = kernels.gradient_arrays(weights, batch)
allocating = numba.njit(lambda n: np.zeros(n).sum())
def count(function, *args):
    function(*args)  # compiles, and starts the counting of allocations
    before = rtsys.get_allocation_stats().alloc
    function(*args)
    return rtsys.get_allocation_stats().alloc - before
print(count(allocating, 3), count(kernels.bptt, weights, batch, kernels.TANH, 0, 3, work, out))
"""
    environment = os.environ | {"NUMBA_NRT_STATS": "1"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split() == ["1", "0"]
