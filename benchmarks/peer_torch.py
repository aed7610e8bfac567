"""PyTorch: ``nn.RNN`` in a loop, and networks batched with ``baddbmm``; gradients by autograd."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .contestants import (
    Contestant,
    Prepared,
    by_lag,
    cores,
    exponents,
    gradient_arrays,
    in_threads,
    lag_map,
    shares,
)
from .workloads import Problem, first_frame


class _Network(nn.Module):
    """One network; of torch's two hidden biases the second is 0 and takes no gradient."""

    def __init__(self, problem: Problem, n: int) -> None:
        super().__init__()
        w, dtype = problem.workload, torch.from_numpy(problem.W_hh).dtype
        self.rnn = nn.RNN(w.D, w.H, nonlinearity="tanh", dtype=dtype)
        self.readout = nn.Linear(w.H, w.V, dtype=dtype)
        self.trained = [
            self.rnn.weight_ih_l0,
            self.rnn.weight_hh_l0,
            self.readout.weight,
            self.rnn.bias_ih_l0,
            self.readout.bias,
        ]
        with torch.no_grad():
            self.rnn.bias_hh_l0.zero_()
            for parameter, array in zip(self.trained, problem.weights, strict=True):
                parameter.copy_(torch.from_numpy(array[n]))
        self.rnn.bias_hh_l0.requires_grad_(False)

    def forward(self, x: Tensor, first: int) -> Tensor:
        """Logits of the steps from `first` on, one row for each step and sequence."""
        states, _ = self.rnn(x)
        logits: Tensor = self.readout(states[first:]).flatten(0, 1)
        return logits


def _data(problem: Problem) -> tuple[Tensor, Tensor]:
    """Inputs, and the targets that count, one for each row of logits."""
    targets = problem.targets[problem.workload.first_loss :].ravel()
    return torch.from_numpy(problem.inputs), torch.from_numpy(targets)


def _looper(problem: Problem) -> Callable[[slice], list[Any]]:
    w, (x, targets) = problem.workload, _data(problem)
    networks = [_Network(problem, n) for n in range(w.N)]

    def loop(part: slice) -> list[Any]:
        results = []
        for network in networks[part]:
            logits = network(x, w.first_loss)
            loss = cross_entropy(logits, targets, reduction="sum") / w.B
            results.append((loss.detach(), torch.autograd.grad(loss, network.trained)))
        return results

    return loop


def _stacked(results: list[Any]) -> dict[str, Any]:
    losses = np.array([float(loss) for loss, _ in results])
    gradients = zip(*(gradients for _, gradients in results), strict=True)
    return gradient_arrays(losses, [torch.stack(g).numpy() for g in gradients])


def loop(problem: Problem) -> Prepared:
    """nn.RNN, one network after the other; torch has all cores."""
    over = _looper(problem)

    def run() -> list[Any]:
        torch.set_num_threads(cores())
        return over(slice(None))

    return Prepared(run, _stacked)


def loop_threads(problem: Problem) -> Prepared | None:
    """nn.RNN in a loop on every core, each over its share of the ensemble with torch on one."""
    parts = shares(problem.workload.N)
    if len(parts) == 1:
        return None
    over = _looper(problem)

    def run() -> list[Any]:
        found = in_threads(
            [partial(over, part) for part in parts], begin=lambda: torch.set_num_threads(1)
        )
        return [result for results in found for result in results]

    return Prepared(run, _stacked)


def baddbmm(problem: Problem) -> Prepared:
    """All networks at once, a loop over steps; inputs and readout of all steps in one product."""
    w, (x, targets) = problem.workload, _data(problem)
    weights = [torch.from_numpy(array).clone().requires_grad_() for array in problem.weights]
    x, targets = x.flatten(0, 1), targets.repeat(w.N)

    def run() -> tuple[Tensor, Any]:
        torch.set_num_threads(cores())
        W_xh, W_hh, W_hy, b_h, b_y = weights
        inputs = x.expand(w.N, -1, -1)
        drive = torch.baddbmm(b_h[:, None], inputs, W_xh.mT).view(w.N, w.T, w.B, w.H)
        h, back, states = torch.zeros_like(drive[:, 0]), W_hh.mT, []
        for here in drive.unbind(1):
            h = torch.tanh(torch.baddbmm(here, h, back))
            states.append(h)
        heard = torch.stack(states[w.first_loss :], 1).flatten(1, 2)
        logits = torch.baddbmm(b_y[:, None], heard, W_hy.mT).flatten(0, 1)
        losses = cross_entropy(logits, targets, reduction="none").view(w.N, -1).sum(1) / w.B
        return losses.detach(), torch.autograd.grad(losses.sum(), weights)

    return Prepared(run, lambda found: gradient_arrays(found[0], found[1]))


def _flow_graph(problem: Problem) -> Callable[[], tuple[list[Tensor], Tensor]]:
    """A function that gives the states (T times (B,H)) and the loss of each step, with a graph."""
    w, (x, targets) = problem.workload, _data(problem)
    assert w.N == 1
    assert not w.last_loss_only
    W_xh, W_hh, W_hy, b_h, b_y = (torch.from_numpy(array[0]) for array in problem.weights)

    def forward() -> tuple[list[Tensor], Tensor]:
        torch.set_num_threads(cores())
        drive = torch.addmm(b_h, x.flatten(0, 1), W_xh.T).view(w.T, w.B, w.H)
        h, states = torch.zeros_like(drive[0]).requires_grad_(), []
        for here in drive:
            h = torch.tanh(torch.addmm(here, h, W_hh.T))
            states.append(h)
        logits = torch.addmm(b_y, torch.stack(states).flatten(0, 1), W_hy.T)
        return states, cross_entropy(logits, targets, reduction="none").view(w.T, w.B).sum(1)

    return forward


def flow_steps(problem: Problem) -> Prepared:
    """One backward pass from the loss of every step."""
    forward = _flow_graph(problem)

    def run() -> Tensor:
        states, losses = forward()
        T, B = len(states), states[0].shape[0]
        norms = torch.zeros(T, T, B, dtype=losses.dtype)
        for t in range(T):
            found = torch.autograd.grad(losses[t], states[: t + 1], retain_graph=True)
            norms[t, : t + 1] = torch.linalg.vector_norm(torch.stack(found), dim=2)
        return norms

    return Prepared(run, lambda norms: lag_map(by_lag(norms.numpy())))


def flow_batched(problem: Problem) -> Prepared:
    """One backward pass from the losses of all steps at once (``is_grads_batched``)."""
    forward = _flow_graph(problem)

    def run() -> Tensor:
        states, losses = forward()
        rows = torch.eye(len(states), dtype=losses.dtype)
        found = torch.autograd.grad(losses, states, rows, is_grads_batched=True)
        return torch.stack([torch.linalg.vector_norm(rows, dim=2) for rows in found], 1)

    return Prepared(run, lambda norms: lag_map(by_lag(norms.numpy())))


def flow_lags(problem: Problem) -> Prepared:
    """All rows one step back at a time, as rnnsim does: its own algorithm in torch, no autograd."""
    w, forward = problem.workload, _flow_graph(problem)
    W_hh, W_hy, b_y = (torch.from_numpy(a[0]) for a in (problem.W_hh, problem.W_hy, problem.b_y))
    targets = torch.from_numpy(problem.targets)

    @torch.no_grad()
    def run() -> Tensor:
        states = torch.stack(forward()[0])
        error = torch.softmax(states @ W_hy.T + b_y, 2)
        error.scatter_add_(2, targets[..., None], -torch.ones_like(error[..., :1]))
        slope, rows = 1 - states**2, error @ W_hy
        norms = torch.zeros(w.T, w.T, w.B, dtype=rows.dtype)
        for k in range(w.T):
            norms[k:, k] = torch.linalg.vector_norm(rows, dim=2)
            rows = (rows[1:] * slope[1 : len(rows)]) @ W_hh
        return norms

    return Prepared(run, lambda norms: lag_map(norms.numpy()))


def _exponent_sums(problem: Problem, part: slice) -> Tensor:
    """Sums of ln |R_ii| (n, H) of some networks: a loop over steps, QR batched over networks."""
    W_xh, W_hh, _, b_h, _ = (torch.from_numpy(array[part]) for array in problem.weights)
    x = torch.from_numpy(problem.inputs)[:, 0]
    h, logs = torch.zeros_like(b_h), torch.zeros_like(b_h)
    frames = torch.linalg.qr(torch.from_numpy(first_frame(problem)).expand_as(W_hh))[0]
    for x_t in x:
        h = torch.tanh(W_xh @ x_t + (W_hh @ h[..., None])[..., 0] + b_h)
        frames, R = torch.linalg.qr((1 - h**2)[..., None] * (W_hh @ frames))
        logs += torch.log(torch.abs(torch.diagonal(R, dim1=1, dim2=2)))
    return logs


def lyapunov(problem: Problem) -> Prepared:
    """QR of all networks' frames in one call; torch has all cores."""
    w = problem.workload

    @torch.no_grad()
    def run() -> Tensor:
        torch.set_num_threads(cores())
        return _exponent_sums(problem, slice(None))

    return Prepared(run, lambda logs: exponents(logs.numpy(), w.T))


def lyapunov_threads(problem: Problem) -> Prepared | None:
    """The same on every core, each with its share of the networks and torch on one thread."""
    parts, w = shares(problem.workload.N), problem.workload
    if len(parts) == 1:
        return None

    @torch.no_grad()
    def run() -> Tensor:
        tasks = [partial(torch.no_grad()(_exponent_sums), problem, part) for part in parts]
        return torch.cat(in_threads(tasks, begin=lambda: torch.set_num_threads(1)))

    return Prepared(run, lambda logs: exponents(logs.numpy(), w.T))


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "bptt": {
        "nn.RNN in a loop": loop,
        "nn.RNN in a loop, in threads": loop_threads,
        "baddbmm": baddbmm,
    },
    "flow": {
        "autograd.grad for every step": flow_steps,
        "autograd.grad for all steps": flow_batched,
        "lag recursion": flow_lags,
    },
    "lyapunov": {"linalg.qr, batched": lyapunov, "linalg.qr, in threads": lyapunov_threads},
}
