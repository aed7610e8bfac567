"""Beside PyTorch itself: what a probe sees gives the gradients that autograd has."""

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
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["plain", "batch_first", "unbatched", "started", "one alone"])
def test_layers(form, kind, n_layers, dtype):
    for head in HEADS:
        check_layers(form, kind, n_layers, dtype, head)


def check_layers(form, kind, n_layers, dtype, head):
    module = recurrent(kind, n_layers, dtype, batch_first=form == "batch_first")
    shape = {"batch_first": (B, T, D), "unbatched": (T, D), "one alone": (T, D)}
    shape = shape.get(form, (T, B, D))
    x = normal(*shape, dtype=dtype).requires_grad_()
    starts = ()
    if form in ("started", "one alone"):
        lead = (n_layers, B) if form == "started" else (n_layers,)
        h, c = (normal(*lead, H, dtype=dtype, seed=s) for s in (1, 2))
        starts = ((h, c) if kind == "lstm" else h,)
    seen = rnnsim.probe(module)
    with seen:
        output, states = module(x, *starts)
        h, c = last(states)
        HEADS[head](output, h, c, normal(*output.shape, dtype=dtype, seed=3)).backward()
    (record,) = seen.records
    grad = x.grad.numpy()
    grad = grad.swapaxes(0, 1) if form == "batch_first" else grad.reshape(T, -1, D)
    assert_as_autograd([record], module, dtype, grad)
    assert (record.module, record.call) == (type(module).__name__, 0)
    assert (record.n_steps, record.n_sequences) == grad.shape[:2]
    assert seen.flow().log_norms.shape[2] == T


LENGTHS = {"sorted": [7, 5, 5, 2], "unsorted": [2, 7, 5, 4], "equal": [7, 7, 7, 7]}


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_end_at_their_own_lengths(kind, n_layers, lengths):
    from torch.nn.utils import rnn

    module, T_b = recurrent(kind, n_layers), LENGTHS[lengths]
    for head in ("output", "top of h_n", "both", *(("h_n", "c_n") if lengths == "equal" else ())):
        module.zero_grad()
        x = normal(T, B, D).requires_grad_()
        h0, c0 = (normal(n_layers, B, H, seed=s) for s in (1, 2))
        with rnnsim.probe(module) as seen:
            packed = rnn.pack_padded_sequence(x, T_b, enforce_sorted=lengths == "sorted")
            output, states = module(packed, (h0, c0) if kind == "lstm" else h0)
            whole, _ = rnn.pad_packed_sequence(output)
            h, c = last(states)
            of = {"both": lambda o, h, c, w: (o.sin() * w).sum() + (h[-1].sin() ** 3).sum()}
            (HEADS | of)[head](whole, h, c, normal(*whole.shape, seed=3)).backward()
        (record,) = seen.records
        assert record.lengths.tolist() == T_b
        assert_as_autograd([record], module, "float64", x.grad.numpy())
        if head == "top of h_n" and lengths != "equal" and kind != "relu":  # none is at 0
            steps, sequences = np.nonzero(record.sequences.gradients.dL_dh.any(axis=-1))
            assert sorted(zip(sequences, steps + 1, strict=True)) == [*enumerate(T_b)]


def test_packed_sequences_of_several_lengths_refuse_what_has_no_place():
    from torch.nn.utils import rnn

    module, packed = recurrent("lstm", 2), rnn.pack_padded_sequence(normal(T, B, D), [7, 5, 5, 2])
    for part, words in ((0, "h_n of a lower layer"), (1, "c_n")):
        with rnnsim.probe(module) as seen:
            module(packed)[1][part].sum().backward()
        with pytest.raises(ValueError, match=f"2 to 7 steps, and a gradient arrives at {words}"):
            seen.flow()
        (record,) = seen.records
        parts = record.by_length()
        assert [(each.n_steps, each.n_sequences) for each in parts] == [(2, 1), (5, 2), (7, 1)]
        module.zero_grad()
        with seen:
            module(packed)[1][part].sin().sum().backward()
        assert_as_autograd(seen.record().by_length(), module)


def test_two_modules_one_of_them_called_twice():
    import torch

    encoder, decoder = recurrent("lstm", 2), recurrent("gru", batch_first=True)
    model = torch.nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    x = normal(T, B, D).requires_grad_()
    with rnnsim.probe(model) as seen:
        first, states = encoder(x[:4])
        second, states = encoder(x[4:], states)
        decoded, _ = decoder(x.transpose(0, 1), states[0][-1:])
        (first.sin().sum() + second.cos().sum() + (decoded**2).sum()).backward()
    assert [each.module for each in seen.records] == ["encoder", "encoder", "decoder"]
    assert_as_autograd([each for each in seen.records if each.module == "encoder"], encoder)
    assert_as_autograd([each for each in seen.records if each.module == "decoder"], decoder)
    assert {*seen.networks} == {"encoder", "decoder"}
    assert seen.flow("encoder", 0).log_norms.shape[2] == 4
    assert seen.flow("encoder").log_norms.shape[2] == T - 4
    assert seen.flow("decoder").log_norms.shape[2] == T
    with pytest.raises(ValueError, match="`module` must be one of those that were called, 'enc"):
        seen.flow()


def test_weights_are_those_of_the_call():
    import torch

    module = recurrent("gru")
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    before = module.weight_hh_l0.detach().numpy().copy()
    with rnnsim.probe(module) as seen:
        module(normal(T, B, D))[0].sin().sum().backward()
        gradient = module.weight_hh_l0.grad.numpy().copy()
        optimizer.step()
    assert (seen.networks["GRU"].W_hh[0] == before).all()
    assert_close(
        rnnsim.bptt(seen.networks["GRU"], seen.records[0].sequences).W_hh[0], gradient, 1e-12
    )
    assert not (module.weight_hh_l0.detach().numpy() == before).all()


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
