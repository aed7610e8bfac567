"""Beside PyTorch itself: numbers of a monitor are those of autograd, and training is unharmed."""

import numpy as np
import pytest
from torch_builders import KINDS, B, D, H, T, normal, recurrent

import rnnsim

pytestmark = pytest.mark.frameworks


def model(kind="lstm", n_layers=1, **options):
    import torch

    parts = {"rnn": recurrent(kind, n_layers, **options)}  # seeded, and so is what follows
    return torch.nn.ModuleDict({**parts, "head": torch.nn.Linear(H, 2, dtype=torch.float64)})


def loss_of(module, x):
    output, _ = module["rnn"](x)
    return (module["head"](output).sin() ** 2).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_log_changes_are_those_of_autograd(kind):
    """Of one sequence and the last loss alone: step by step from states that are leaves."""
    import torch

    module, x = model(kind), normal(T, 1, D)
    with rnnsim.Monitor(module, every=1) as monitor:
        module["head"](module["rnn"](x)[0][-1]).sin().sum().backward()
    norms = []
    for k in range(5):
        first = x[: T - k]
        states = module["rnn"](first)[1]
        states = states if isinstance(states, tuple) else (states,)
        leaves = [each.detach().requires_grad_() for each in states]
        given = tuple(leaves) if len(leaves) > 1 else leaves[0]
        h = leaves[0][-1] if k == 0 else module["rnn"](x[T - k :], given)[0][-1]
        loss = module["head"](h).sin().sum()
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
        norms.append(np.sqrt(sum(float((g**2).sum()) for g in found if g is not None)))
    changes = monitor.to_xarray().log_change.isel(step=0, module=0)
    known = np.log(np.array(norms)[[1, 2, 4]] / norms[0])
    np.testing.assert_allclose(changes, known, rtol=1e-9, atol=1e-12)


def test_gradient_norm_is_the_one_that_clips():
    import torch

    module = model()
    with rnnsim.Monitor(module, every=1, clip_norm=0.1) as monitor:
        loss_of(module, normal(T, B, D)).backward()
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), 0.1)
    assert monitor.last["rnnsim/gradient_norm"] == pytest.approx(float(norm), rel=1e-6)
    after = torch.nn.utils.get_total_norm([p.grad for p in module.parameters()])
    factor = float(after / norm)
    assert monitor.last["rnnsim/clip_factor"] == pytest.approx(factor, rel=1e-5)


def recurrent_gradient(module, loss):
    """dL/d[W_hh, W_xh, b_h] of a GRU, whose b_h has the biases of z and r once."""
    import torch

    weights = [p for _, p in module["rnn"].named_parameters()]
    W_xh, W_hh, b_i, b_h = (g.numpy() for g in torch.autograd.grad(loss, weights))
    return np.concatenate([W_hh.ravel(), W_xh.ravel(), b_i, b_h[2 * H :]])


def test_share_beyond_the_window_is_that_of_truncated_gradients():
    """Losses one by one, each backpropagated K steps by autograd."""
    module, x, K = model("gru"), normal(T, B, D), 2
    with rnnsim.Monitor(module, every=1, window=K, n_sequences=B) as monitor:
        loss_of(module, x).backward()
    full, cut = recurrent_gradient(module, loss_of(module, x)), 0
    for t in range(T):
        first = max(0, t + 1 - K)
        h = module["rnn"](x[:first])[1].detach() if first else None
        last = module["rnn"](x[first : t + 1], h)[0][-1:]
        cut += recurrent_gradient(module, (module["head"](last).sin() ** 2).sum())
    share = (full - cut) @ full / (full @ full)
    assert abs(share) > 1e-3
    assert monitor.last["rnnsim/rnn/share_beyond"] == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_the_same_to_the_bit_and_other_steps_have_no_hooks(kind):
    import torch

    ends = []
    for monitored in (False, True):
        module = model(kind, 2)
        optimizer = torch.optim.Adam(module.parameters())
        monitor = rnnsim.Monitor(module, every=2)
        for step in range(4):
            x = normal(T, B, D, seed=step)
            if monitored:
                with monitor:
                    hooks = len(module["rnn"]._forward_hooks)
                    assert hooks == (step % 2 == 0)
                    assert bool(module["rnn"].weight_hh_l0._backward_hooks) == (step % 2 == 0)
                    loss_of(module, x).backward()
            else:
                loss_of(module, x).backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append([p.detach().numpy().copy() for p in module.parameters()])
    assert len(monitor.to_xarray().step) == 2
    for one, other in zip(*ends, strict=True):
        assert (one == other).all()


def test_a_failing_step_leaves_no_hook():
    module = model()
    monitor = rnnsim.Monitor(module, every=1)
    with pytest.raises(RuntimeError, match="must be equal"), monitor:
        loss_of(module, normal(T, B, D + 1))
    assert not module["rnn"]._forward_hooks
    assert not module["rnn"].weight_hh_l0._backward_hooks


def test_a_diagnosis_is_of_the_gradients_of_the_step():
    module, x = model("lstm", 2, batch_first=True), normal(8, 30, D)
    with rnnsim.probe(module) as seen:
        loss_of(module, x).backward()
    found = seen.diagnose(window=5)
    assert found.about["n_steps"] == 30
    assert found["window_error"].known
    record = seen.record()
    assert found["window_error"].number == pytest.approx(
        rnnsim.diagnose(record.network, record.sequences, window=5)["window_error"].number
    )
    assert found.label == "rnn"


def test_a_summary_writer_takes_the_numbers(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    module = model()
    with SummaryWriter(tmp_path) as writer:
        monitor = rnnsim.Monitor(module, every=1, to=writer, window=2, step=3)
        with monitor:
            loss_of(module, normal(T, B, D)).backward()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {*events.Tags()["scalars"]} == {*monitor.last}
    for tag, value in monitor.last.items():
        (event,) = events.Scalars(tag)
        assert event.step == 3
        assert event.value == pytest.approx(value, rel=1e-6)
