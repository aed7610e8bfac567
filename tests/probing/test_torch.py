"""Beside PyTorch itself: what a probe sees gives the gradients that autograd has."""

import numpy as np
import pytest

import rnnsim

pytestmark = pytest.mark.frameworks
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
KINDS = ("tanh", "relu", "lstm", "gru")
D, H, T, B = 3, 5, 7, 4


def recurrent(kind, n_layers=1, dtype="float64", cell=False, **options):
    import torch

    torch.manual_seed(n_layers)
    name = {"tanh": "RNN", "relu": "RNN"}.get(kind, kind.upper()) + ("Cell" if cell else "")
    options |= {"nonlinearity": kind} if kind in ("tanh", "relu") else {}
    options |= {} if cell else {"num_layers": n_layers}
    return getattr(torch.nn, name)(D, H, dtype=getattr(torch, dtype), **options)


def normal(*shape, dtype="float64", seed=0):
    import torch

    drawn = np.random.default_rng(seed).standard_normal(shape)
    return torch.tensor(drawn, dtype=getattr(torch, dtype))


def assert_close(ours, theirs, tolerance):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


def assert_as_autograd(records, module, dtype="float64", inputs=None):
    """Sums of dL/dW over calls, and dL/dx (T, B, D) of the last call."""
    gradients = []
    for record in records:
        found = rnnsim.bptt(
            record.network, record.sequences, h0=record.h0, c0=record.c0, keep=("inputs",)
        )
        gradients.append(found)
    layers = len(records[0].network.layers)
    names = dict(module.named_parameters())
    for index in range(layers):
        suffix = f"_l{index}" if "weight_hh_l0" in names else ""
        parts = [g.layers[index] if layers > 1 else g.weights for g in gradients]
        for ours, theirs in (("W_xh", "weight_ih"), ("W_hh", "weight_hh"), ("b_h", "bias")):
            total = sum(np.asarray(getattr(each, ours)[0], float) for each in parts)
            if theirs == "bias":
                first, second = (names[f"bias_{s}{suffix}"].grad.numpy() for s in ("ih", "hh"))
                grad = np.concatenate([first, second[2 * H :]]) if len(first) == 3 * H else first
            else:
                grad = names[theirs + suffix].grad.numpy()
            assert_close(total, grad, TOLERANCES[dtype])
    if inputs is not None:
        assert_close(gradients[-1].inputs[0], inputs, TOLERANCES[dtype])


def last(states):
    """h_n and c_n, or h_n and None."""
    return states if isinstance(states, tuple) else (states, None)


HEADS = {
    "output": lambda output, h, c, w: (output.sin() * w).sum(),
    "h_n": lambda output, h, c, w: (h.sin() ** 3).sum(),
    "top of h_n": lambda output, h, c, w: (h[-1].sin() ** 3).sum(),
    "c_n": lambda output, h, c, w: ((h if c is None else c).sin() ** 2).sum(),
    "all": lambda output, h, c, w: (
        (output.sin() * w).sum() + h.cos().sum() + (0 if c is None else c.sin().sum())
    ),
}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["plain", "batch_first", "unbatched", "started"])
def test_layers(form, kind, n_layers, dtype):
    for head in HEADS:
        check_layers(form, kind, n_layers, dtype, head)


def check_layers(form, kind, n_layers, dtype, head):
    module = recurrent(kind, n_layers, dtype, batch_first=form == "batch_first")
    shape = {"batch_first": (B, T, D), "unbatched": (T, D)}.get(form, (T, B, D))
    x = normal(*shape, dtype=dtype).requires_grad_()
    starts = ()
    if form == "started":
        h, c = (normal(n_layers, B, H, dtype=dtype, seed=s) for s in (1, 2))
        starts = ((h, c) if kind == "lstm" else h,)
    seen = rnnsim.probe(module)
    with seen:
        output, states = module(x, *starts)
        h, c = last(states)
        HEADS[head](output, h, c, normal(*output.shape, dtype=dtype, seed=3)).backward()
    (record,) = seen.records
    grad = x.grad.numpy()
    grad = {"batch_first": lambda: grad.swapaxes(0, 1), "unbatched": lambda: grad[:, None]}.get(
        form, lambda: grad
    )()
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
        if head == "top of h_n":
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


def in_a_loop(cell, x, states, between=lambda states: states):
    """h of every step (T, B, H), and the last state."""
    outputs = []
    for x_t in x:
        states = cell(x_t, between(states))
        outputs.append(states[0] if isinstance(states, tuple) else states)
    import torch

    return torch.stack(outputs), states


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
            found.append([each.numpy().tobytes() for each in tensors])
        assert found[0] == found[1]


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


def test_bad_input():
    import torch

    nn, x = torch.nn, normal(T, B, D)
    with pytest.raises(ValueError, match="got Linear without any"):
        rnnsim.probe(nn.Linear(2, 3))
    two = {"dropout": 0.5, "num_layers": 2}
    wrong = {
        "bidirectional": nn.LSTM(D, H, bidirectional=True),
        "projections": nn.LSTM(D, H, proj_size=2),
        "dropout between its layers": nn.GRU(D, H, **two),
        "parametrized": nn.utils.parametrizations.weight_norm(nn.LSTM(D, H), "weight_hh_l0"),
    }
    for words, module in wrong.items():
        with pytest.raises(ValueError, match=f"nothing that can be followed: .*{words}"):
            rnnsim.probe(module)
    module = nn.GRU(D, H, **two, dtype=torch.float64).eval()
    seen = rnnsim.probe(module)
    with seen:
        module(x)[0].sin().sum().backward()
    assert_as_autograd(seen.records, module)
    module.train()
    with seen:
        module(x)[0].sin().sum().backward()
    with pytest.raises(ValueError, match="dropout between its layers in training mode"):
        seen.flow()
    both = nn.ModuleDict({"a": nn.GRU(D, H, bidirectional=True), "b": nn.GRU(D, H)})
    with pytest.warns(UserWarning, match="`module`: not followed are 'a': it is bidirectional"):
        rnnsim.probe(both)


def test_backward_that_was_not_once_inside():
    import torch

    module, x = recurrent("lstm"), normal(T, B, D)
    seen = rnnsim.probe(module)
    with pytest.raises(ValueError, match="nothing was seen yet"):
        seen.flow()
    with seen:
        pass
    with pytest.raises(ValueError, match="no module was called"):
        seen.flow()
    with seen:
        loss = module(x)[0].sin().sum()
    with pytest.raises(ValueError, match="no gradient arrived"):
        seen.flow()
    loss.backward()
    with pytest.raises(ValueError, match="after the `with` was left"):
        seen.flow()
    with seen:
        loss = module(x)[0].sin().sum()
        loss.backward(retain_graph=True)
        loss.backward()
    with pytest.raises(ValueError, match="arrived twice"):
        seen.flow()
    for without in (torch.no_grad, torch.inference_mode):
        with seen, without():
            module(x)
        with pytest.raises(ValueError, match="ran without a graph"):
            seen.flow()
    cell = recurrent("lstm", cell=True)
    with rnnsim.probe(cell) as seen, torch.inference_mode():
        in_a_loop(cell, x, None)
    with pytest.raises(ValueError, match="ran without a graph"):
        seen.flow()
    assert [each.n_steps for each in seen.records] == [T]


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_half_precision_is_taken_over_and_said(kind):
    module = recurrent(kind, dtype="bfloat16")
    with pytest.warns(UserWarning, match=r"numbers of '\w+' \(bfloat16\) are taken over"):
        with rnnsim.probe(module) as seen:
            module(normal(T, B, D, dtype="bfloat16"))[0].float().sin().sum().backward()
    (record,) = seen.records
    assert record.sequences.dtype == record.network.dtype == np.float32
    ours = rnnsim.bptt(record.network, record.sequences).W_hh[0]
    theirs = module.weight_hh_l0.grad.float().numpy()
    assert np.linalg.norm(ours - theirs) < 0.05 * np.linalg.norm(theirs)


def test_modules_that_share_weights_are_named_together():
    import torch

    one, other, part = recurrent("gru"), recurrent("gru"), recurrent("gru")
    for name, parameter in one.named_parameters():
        setattr(other, name, parameter)
    part.weight_hh_l0 = one.weight_hh_l0
    model = torch.nn.ModuleDict({"a": one, "b": other, "c": part, "d": one})
    x = normal(T, B, D)
    with rnnsim.probe(model) as seen:
        (model["a"](x)[0].sin().sum() + model["b"](-x)[0].cos().sum()).backward()
    assert {*seen.networks} == {"a = d = b"}
    assert [(each.call, each.shares) for each in seen.records] == [(0, ("c",)), (1, ("c",))]
    assert seen.record("b") is seen.record("d", 1)
    assert_as_autograd(seen.records, one)


def test_a_module_that_does_something_else_is_refused():
    import torch

    class Mine(torch.nn.LSTM):
        def forward(self, x):
            return super().forward(2 * x)

    module = Mine(D, H, dtype=torch.float64)
    with rnnsim.probe(module) as seen:
        module(normal(T, B, D))[0].sin().sum().backward()
    with pytest.raises(ValueError, match="does something else as well"):
        seen.flow()

    class LSTM(torch.nn.Module):  # of this name, and no LSTM of PyTorch
        def __init__(self):
            super().__init__()
            self.hidden_size, self.num_layers, self.inside = H, 1, recurrent("gru")

    assert repr(rnnsim.probe(LSTM())) == "Probe(inside: 0 calls)"


def test_hooks_are_gone_after_an_exception():
    module = recurrent("lstm")
    seen = rnnsim.probe(module)
    with pytest.raises(KeyError), seen:
        module(normal(T, B, D))
        raise KeyError
    assert not module._forward_hooks
    with seen:
        with pytest.raises(RuntimeError, match="in use"):
            seen.__enter__()
        module(normal(T, B, D))[0].sin().sum().backward()
    assert len(seen.records) == 1
