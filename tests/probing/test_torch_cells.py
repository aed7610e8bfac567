"""Beside PyTorch itself: cells in a loop."""

import numpy as np
import pytest
from torch_builders import (
    HEADS,
    KINDS,
    TOLERANCES,
    B,
    D,
    H,
    T,
    assert_as_autograd,
    assert_close,
    in_a_loop,
    last,
    normal,
    recurrent,
)

import rnnsim

pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_cells_in_a_loop_are_one_record(kind, unbatched, started, dtype):
    cell = recurrent(kind, dtype=dtype, cell=True)
    lead = () if unbatched else (B,)
    for head in ("output", "h_n", "c_n", "all"):
        cell.zero_grad()
        x = normal(T, *lead, D, dtype=dtype).requires_grad_()
        h0, c0 = (normal(*lead, H, dtype=dtype, seed=s) for s in (1, 2))
        start = ((h0, c0) if kind == "lstm" else h0) if started else None
        with rnnsim.probe(cell) as seen:
            output, states = in_a_loop(cell, x, start)
            h, c = last(states)
            HEADS[head](output, h, c, normal(*output.shape, dtype=dtype, seed=3)).backward()
        (record,) = seen.records
        assert (record.n_steps, record.n_sequences) == (T, 1 if unbatched else B)
        grad = x.grad.numpy().reshape(T, -1, D)
        assert_as_autograd([record], cell, dtype, grad)
        direct = record.sequences.gradients.dL_dh
        if head == "h_n":  # nothing that comes back through time
            assert not direct[:-1].any()
            assert direct[-1].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_of_a_model_are_bit_for_bit_the_same(kind):
    for cell in (False, True):
        found = []
        for probed in (False, True):
            module = recurrent(kind, dtype="float32", cell=cell)
            seen = rnnsim.probe(module)
            x = normal(T, B, D, dtype="float32").requires_grad_()
            if probed:
                seen.__enter__()
            output, states = in_a_loop(module, x, None) if cell else module(x)
            h, c = last(states)
            HEADS["output"](output, h, c, normal(*output.shape, dtype="float32")).backward()
            if probed:
                seen.__exit__(None, None, None)
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
            tensors = (output.detach(), h.detach(), x.grad, *(p.grad for p in module.parameters()))
            found.append([each.numpy() for each in tensors])
        same = [a.tobytes() == b.tobytes() for a, b in zip(*found, strict=True)]
        if cell and kind == "gru":  # h is read twice there: three gradients in another order
            assert all(same[:2])
            for a, b in zip(*found, strict=True):
                assert_close(a, b, 1e-6)
        else:
            assert all(same)


def test_states_that_change_between_calls_are_records_of_their_own():
    cell = recurrent("lstm", cell=True)
    x = normal(T, B, D).requires_grad_()
    with rnnsim.probe(cell) as seen:
        output, (_, c) = in_a_loop(
            cell, x, None, lambda states: states and (states[0] * 0.5, states[1])
        )
        (output.sin().sum() + c.sum()).backward()
    assert [(each.call, each.n_steps) for each in seen.records] == [(t, 1) for t in range(T)]
    assert_as_autograd(seen.records, cell)
    cell = recurrent("lstm", cell=True)
    with rnnsim.probe(cell) as seen:
        states = cell(x[0])
        for x_t in x[1:]:
            states[0].mul_(0.5)
            states = cell(x_t, states)
        states[0].sin().sum().backward()
    assert len(seen.records) == T


def test_a_state_that_goes_two_ways_begins_a_second_record():
    cell = recurrent("gru", cell=True)
    x = normal(T, B, D)
    with rnnsim.probe(cell) as seen:
        _, middle = in_a_loop(cell, x[:3], None)
        one, _ = in_a_loop(cell, x[3:], middle)
        other, _ = in_a_loop(cell, -x[3:], middle)
        (one.sin().sum() + (other.cos() * 2).sum()).backward()
    assert [each.n_steps for each in seen.records] == [T, T - 3]
    assert_as_autograd(seen.records, cell)


def test_no_gradient_goes_into_steps_without_a_graph():
    import torch

    cell, x = recurrent("lstm", cell=True), normal(T, B, D)
    with rnnsim.probe(cell) as seen:
        with torch.no_grad():
            _, states = in_a_loop(cell, x[:3], None)
        output, _ = in_a_loop(cell, x[3:], states)
        output.sin().sum().backward()
    assert [(each.n_steps, each.is_sound) for each in seen.records] == [(3, False), (T - 3, True)]
    assert_as_autograd(seen.records[1:], cell)


def test_cells_one_above_the_other():
    import torch

    lower, upper = recurrent("lstm", cell=True), torch.nn.GRUCell(H, H, dtype=torch.float64)
    x, state, above, loss = normal(T, B, D), None, None, 0
    with rnnsim.probe(torch.nn.ModuleList([lower, upper])) as seen:
        for x_t in x:
            state = lower(x_t, state)
            above = upper(state[0], above)
            loss = loss + above.sin().sum() + state[0].cos().sum()
        loss.backward()
    assert repr(seen) == "Probe(0: 1 call, 1: 1 call)"
    assert_as_autograd([seen.record("0")], lower)
    assert_as_autograd([seen.record("1")], upper)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_at_every_state_are_those_of_autograd(kind, dtype):
    cell, states, kept = recurrent(kind, dtype=dtype, cell=True), None, []
    x = normal(T, B, D, dtype=dtype)

    def loss_of(outputs):
        return sum((t * h.sin()).sum() for t, h in enumerate(outputs))

    for x_t in x:
        states = cell(x_t, states)
        kept.append(last(states)[0])
        kept[-1].retain_grad()
    loss_of(kept).backward()
    with rnnsim.probe(cell) as seen:
        loss_of(in_a_loop(cell, x, None)[0]).backward()
    record = seen.record()
    found = rnnsim.bptt(
        record.network, record.sequences, h0=record.h0, c0=record.c0, keep=["states"]
    )
    assert_close(found.states[0, 1:], np.stack([h.grad for h in kept]), TOLERANCES[dtype])
