"""PyTorch: ``torch.nn`` in a loop, and networks batched with ``baddbmm``; gradients by autograd."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .contestants import (
    Contestant,
    Prepared,
    by_lag,
    cores,
    exponents,
    in_threads,
    lag_map,
    shares,
    weight_arrays,
)
from .workloads import CLIP_NORM, LEARNING_RATE, Floats, Problem, first_frame

Parts = tuple[Tensor, Any]  # loss, and the gradients or trained weights
# Loss and gradients of weights, once or for every update: of one network, or of several at once.
Form = Callable[[Problem, list[Tensor], Callable[[], Parts]], Parts]


_KINDS: dict[str, Callable[..., Any]] = {"vanilla": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Network(nn.Module):
    """nn.RNN, nn.LSTM or nn.GRU and a readout with the weights of one network given.

    A layer below is the lower of two in one module, an encoder a module of its own. Of torch's two
    hidden biases the second is 0 and takes no gradient, but for that of the n gate of GRUs.
    """

    def __init__(self, problem: Problem, weights: Sequence[Floats]) -> None:
        super().__init__()
        w, (W_xh, W_hh, W_hy, b_h, b_y, *before) = problem.workload, weights
        kind, dtype = _KINDS[w.cell], torch.from_numpy(W_hh).dtype
        self.rnn = kind(w.D, w.H, w.n_layers, dtype=dtype)
        self.encoder = kind(w.D, w.H, dtype=dtype) if w.kind == "pairs" else None
        self.readout = nn.Linear(w.H, w.V, dtype=dtype)
        top = self._layer(self.rnn, w.n_layers - 1, W_xh, W_hh, b_h)
        below = self._layer(self.encoder or self.rnn, 0, *before) if before else []
        with torch.no_grad():
            for parameter, array in ((self.readout.weight, W_hy), (self.readout.bias, b_y)):
                parameter.copy_(torch.from_numpy(array))
        self.trained = [*top, self.readout.weight, self.readout.bias, *below]
        self._n_biases = len(top) - 2

    def _layer(self, rnn: Any, k: int, W_xh: Floats, W_hh: Floats, b_h: Floats) -> list[Any]:
        """The parameters of layer k that are trained, with their values."""
        own: list[Any] = rnn.all_weights[k]
        rows, second = len(W_hh), own[3]
        with torch.no_grad():
            second.zero_()
            for parameter, array in zip(own, (W_xh, W_hh, b_h[:rows]), strict=False):
                parameter.copy_(torch.from_numpy(array))
            if len(b_h) > rows:
                second[2 * rows // 3 :] = torch.from_numpy(b_h[rows:])
        second.requires_grad_(len(b_h) > rows)
        return [parameter for parameter in own if parameter.requires_grad]

    def forward(self, x: Tensor, sources: Tensor, first: int) -> Tensor:
        """Logits of the steps from `first` on, one row for each step and sequence."""
        states, _ = self.rnn(x, self.encoder(sources)[1] if self.encoder else None)
        logits: Tensor = self.readout(states[first:]).flatten(0, 1)
        return logits

    def in_order(self, found: Sequence[Tensor]) -> list[Tensor]:
        """What was found for `trained`, as W_xh, W_hh, W_hy, b_h, b_y and those before."""
        layer = 2 + self._n_biases
        top, (W_hy, b_y), below = found[:layer], found[layer : layer + 2], found[layer + 2 :]
        W_xh, W_hh, b_h = self._joined(top)
        return [W_xh, W_hh, W_hy, b_h, b_y, *(self._joined(below) if below else [])]

    def _joined(self, layer: Sequence[Tensor]) -> list[Tensor]:
        W_xh, W_hh, b_h, *second = layer
        apart = [bias[2 * len(bias) // 3 :] for bias in second]
        return [W_xh, W_hh, torch.cat([b_h, *apart])]


def _data(problem: Problem) -> tuple[Tensor, Tensor]:
    """Inputs, and the targets that count, one for each row of logits."""
    targets = problem.targets[problem.workload.first_loss :].ravel()
    return torch.from_numpy(problem.inputs), torch.from_numpy(targets)


def _once(problem: Problem, weights: list[Tensor], gradients: Callable[[], Parts]) -> Parts:
    return gradients()


def _trained(problem: Problem, weights: list[Tensor], gradients: Callable[[], Parts]) -> Parts:
    """Mean loss and weights after all updates; every call begins from the weights as given.

    By hand, since `torch.nn.utils.clip_grad_norm_` adds 1e-6 to the norm and takes the networks of
    a batch together.
    """
    begin, losses = [weight.detach().clone() for weight in weights], []
    for _ in range(problem.workload.n_updates):
        loss, found = gradients()
        losses.append(loss)
        axes = loss.dim()  # 1 where there is an axis of networks
        norm = torch.sqrt(sum(g.flatten(axes).square().sum(-1) for g in found))
        rate = LEARNING_RATE * torch.clamp(CLIP_NORM / norm, max=1)
        with torch.no_grad():
            for weight, g in zip(weights, found, strict=True):
                weight.sub_(rate.view(*rate.shape, *[1] * (g.dim() - axes)) * g)
    trained = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, first in zip(weights, begin, strict=True):
            weight.copy_(first)
    return torch.stack(losses).mean(0), trained


def _looper(form: Form, problem: Problem) -> Callable[[slice], list[Parts]]:
    w, (x, targets) = problem.workload, _data(problem)
    sources = torch.from_numpy(problem.sources)
    networks = [Network(problem, [array[n] for array in problem.weights]) for n in range(w.N)]

    def gradients(network: Network) -> Parts:
        logits = network(x, sources, w.first_loss)
        loss = cross_entropy(logits, targets, reduction="sum") / w.B
        return loss.detach(), torch.autograd.grad(loss, network.trained)

    def loop(part: slice) -> list[Parts]:
        results = [(n, form(problem, n.trained, partial(gradients, n))) for n in networks[part]]
        return [(loss, network.in_order(found)) for network, (loss, found) in results]

    return loop


def _joined(
    join: Callable[[Any], Tensor], problem: Problem, results: list[Parts]
) -> dict[str, Any]:
    losses, found = zip(*results, strict=True)
    columns = zip(*found, strict=True)
    return weight_arrays(problem, join(losses), [join(column).numpy() for column in columns])


def loop(form: Form, problem: Problem) -> Prepared:
    """torch's own module, one network after the other; torch has all cores."""
    over = _looper(form, problem)

    def run() -> list[Parts]:
        torch.set_num_threads(cores())
        return over(slice(None))

    return Prepared(run, partial(_joined, torch.stack, problem))


def loop_threads(form: Form, problem: Problem) -> Prepared | None:
    """The same on every core, each over its share of the ensemble with torch on one thread."""
    parts = shares(problem.workload.N)
    if len(parts) == 1:
        return None
    over = _looper(form, problem)

    def run() -> list[Parts]:
        found = in_threads(
            [partial(over, part) for part in parts], begin=lambda: torch.set_num_threads(1)
        )
        return [result for results in found for result in results]

    return Prepared(run, partial(_joined, torch.stack, problem))


def _batch(form: Form, problem: Problem, part: slice) -> Callable[[], Parts]:
    """Some networks at once, a loop over steps; inputs and readout of all steps in one product."""
    w, (x, targets) = problem.workload, _data(problem)
    weights = [torch.from_numpy(a[part]).clone().requires_grad_() for a in problem.weights]
    N = len(weights[0])
    x, targets = x.flatten(0, 1), targets.repeat(N)

    def gradients() -> Parts:
        W_xh, W_hh, W_hy, b_h, b_y = weights
        inputs = x.expand(N, -1, -1)
        drive = torch.baddbmm(b_h[:, None], inputs, W_xh.mT).view(N, w.T, w.B, w.H)
        h, back, states = torch.zeros_like(drive[:, 0]), W_hh.mT, []
        for here in drive.unbind(1):
            h = torch.tanh(torch.baddbmm(here, h, back))
            states.append(h)
        heard = torch.stack(states[w.first_loss :], 1).flatten(1, 2)
        logits = torch.baddbmm(b_y[:, None], heard, W_hy.mT).flatten(0, 1)
        losses = cross_entropy(logits, targets, reduction="none").view(N, -1).sum(1) / w.B
        return losses.detach(), torch.autograd.grad(losses.sum(), weights)

    return partial(form, problem, weights, gradients)


def baddbmm(form: Form, problem: Problem) -> Prepared | None:
    """All networks at once; torch has all cores. Of vanilla networks of one layer."""
    if problem.workload.cell != "vanilla":
        return None
    batch = _batch(form, problem, slice(None))

    def run() -> list[Parts]:
        torch.set_num_threads(cores())
        return [batch()]

    return Prepared(run, partial(_joined, torch.cat, problem))


def baddbmm_threads(form: Form, problem: Problem) -> Prepared | None:
    """A share of the networks at once on every core, with torch on one."""
    parts = shares(problem.workload.N)
    if len(parts) == 1 or problem.workload.cell != "vanilla":
        return None
    batches = [_batch(form, problem, part) for part in parts]

    def run() -> list[Parts]:
        return in_threads(batches, begin=lambda: torch.set_num_threads(1))

    return Prepared(run, partial(_joined, torch.cat, problem))


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


def _in_every_way(form: Form) -> dict[str, Contestant]:
    return {
        "torch.nn in a loop": partial(loop, form),
        "torch.nn in a loop, in threads": partial(loop_threads, form),
        "baddbmm": partial(baddbmm, form),
        "baddbmm, in threads": partial(baddbmm_threads, form),
    }


CONTESTANTS: dict[str, dict[str, Contestant]] = {
    "bptt": _in_every_way(_once),
    "pairs": {
        "torch.nn in a loop": partial(loop, _once),
        "torch.nn in a loop, in threads": partial(loop_threads, _once),
    },
    "updates": _in_every_way(_trained),
    "flow": {
        "autograd.grad for every step": flow_steps,
        "autograd.grad for all steps": flow_batched,
        "lag recursion": flow_lags,
    },
    "lyapunov": {"linalg.qr, batched": lyapunov, "linalg.qr, in threads": lyapunov_threads},
}
