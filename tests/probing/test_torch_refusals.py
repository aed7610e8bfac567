"""Beside PyTorch itself: what is refused, what is said, and what is left behind."""

import numpy as np
import pytest
from torch_builders import B, D, H, T, assert_as_autograd, in_a_loop, normal, recurrent

import rnnsim

pytestmark = pytest.mark.frameworks


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


@pytest.mark.parametrize("cell", [False, True])
def test_two_passes_by_different_tensors_of_one_call_are_noticed(cell):
    module, x = recurrent("lstm", cell=cell), normal(T, B, D)

    def called():
        output, (h_n, c_n) = in_a_loop(module, x, None) if cell else module(x)
        return (c_n, output.sin()) if cell else (output.sin(), h_n)

    seen = rnnsim.probe(module)
    with seen:
        one, other = called()
        one.sum().backward(retain_graph=True)
        other.sum().backward()
    with pytest.raises(ValueError, match=r"arrived twice.*on the sum of your losses"):
        seen.flow()
    with pytest.raises(ValueError, match=r"arrived twice.*on the sum of your losses"):
        seen.diagnose()
    module.zero_grad()
    with seen:
        one, other = called()
        (one.sum() + other.sum()).backward()
    assert_as_autograd(seen.records, module)
    module.zero_grad()
    with seen:  # one pass for each of two calls
        for _ in range(2):
            called()[0].sum().backward()
    assert_as_autograd(seen.records, module)
    assert not (module.weight_hh if cell else module.weight_hh_l0)._backward_hooks


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_half_precision_is_taken_over_and_said(kind):
    module = recurrent(kind, dtype="bfloat16")
    warned = pytest.warns(UserWarning, match=r"numbers of '\w+' \(bfloat16\) are taken over")
    with warned, rnnsim.probe(module) as seen:
        module(normal(T, B, D, dtype="bfloat16"))[0].float().sin().sum().backward()
    (record,) = seen.records
    assert record.sequences.dtype == record.network.dtype == np.float32
    assert "Numbers of bfloat16 were taken over as float32" in seen.diagnose().verdict
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
    with pytest.raises(RuntimeError, match="must be equal"), seen:
        module(normal(T, B, D + 1))
    assert not module._forward_hooks
    with seen:
        with pytest.raises(RuntimeError, match="in use"):
            seen.__enter__()
        module(normal(T, B, D))[0].sin().sum().backward()
    assert len(seen.records) == 1


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_recomputed_calls_and_calls_without_gradients(use_reentrant):
    from torch.utils.checkpoint import checkpoint

    module, x = recurrent("gru"), normal(T, B, D).requires_grad_()
    with rnnsim.probe(module) as seen:
        checkpoint(lambda a: module(a)[0], x, use_reentrant=use_reentrant).sin().sum().backward()
    (record,) = [each for each in seen.records if each.is_sound]
    assert_as_autograd([record], module)
    with seen:
        module(x)[0].sin().sum().backward()
        module(x)
    with pytest.raises(ValueError, match=r"the last call of 'GRU', 1, has no .* give call= 0"):
        seen.flow()
    assert seen.flow(call=0).log_norms.shape[2] == T


def test_compiled_models_are_followed():
    import torch

    model = torch.nn.Sequential(recurrent("lstm"))
    compiled, x = torch.compile(model, backend="eager"), normal(T, B, D)
    for _ in range(2):
        model.zero_grad()
        with rnnsim.probe(compiled) as seen:
            compiled(x)[0].sin().sum().backward()
        assert repr(seen) == "Probe(_orig_mod.0: 1 call)"
        assert_as_autograd(seen.records, model[0])


def test_mixed_precision_is_taken_over_and_said():
    import torch

    module = recurrent("lstm", dtype="float32")
    warned = pytest.warns(UserWarning, match=r"'LSTM' \(bfloat16\)")
    with warned, rnnsim.probe(module) as seen:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output, _ = module(normal(T, B, D, dtype="float32"))
        output.float().sin().sum().backward()
    ours = rnnsim.bptt(seen.record().network, seen.record().sequences).W_hh[0]
    theirs = module.weight_hh_l0.grad.numpy()
    assert np.linalg.norm(ours - theirs) < 0.05 * np.linalg.norm(theirs)
