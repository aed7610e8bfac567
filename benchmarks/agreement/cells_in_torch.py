"""Cells and stacks by torch.nn and autograd: states, gradients, lags. For `cells`."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .settings import Built

State = tuple[Tensor, ...]  # h, or h and c, each (L, B, H)
_KINDS: dict[str, Callable[..., Any]] = {"vanilla": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Network(nn.Module):
    """nn.RNN, nn.LSTM or nn.GRU and a readout, with the weights given."""

    def __init__(self, built: Built) -> None:
        super().__init__()
        (V, H), L = built.weight_hy.shape, len(built.layers)
        self.rnn = _KINDS[built.cell](built.inputs.shape[2], H, L, dtype=torch.float64)
        self.readout = nn.Linear(H, V, dtype=torch.float64)
        own = [*chain(*self.rnn.all_weights), self.readout.weight, self.readout.bias]
        given = [*chain(*built.layers), built.weight_hy, built.bias_hy]
        with torch.no_grad():
            for parameter, array in zip(own, given, strict=True):
                parameter.copy_(torch.from_numpy(array))

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """States h (T,B,H) of the top, and the whole state after the last step."""
        h, last = self.rnn(x, state if len(state) > 1 else state[0])
        return h, last if len(state) > 1 else (last,)

    def one_by_one(self) -> list[nn.RNNBase]:
        """The layers as networks of their own, with the same parameters."""
        found = []
        for k, own in enumerate(self.rnn.all_weights):
            layer = type(self.rnn)(own[0].shape[1], self.rnn.hidden_size, dtype=own[0].dtype)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                setattr(layer, f"{name}_l0", getattr(self.rnn, f"{name}_l{k}"))
            found.append(layer)
        return found

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """Of each step and sequence (T,B), from its state."""
        logits = self.readout(h).flatten(0, 1)
        return cross_entropy(logits, targets.flatten(), reduction="none").view(targets.shape)

    def weight_gradients(self, loss: Tensor) -> list[Tensor]:
        """dL/d of each layer's W_xh, W_hh and b_h, then of W_hy and b_y, shaped as in rnnsim."""
        own = [*chain(*self.rnn.all_weights), self.readout.weight, self.readout.bias]
        *found, W_hy, b_y = torch.autograd.grad(loss, own, retain_graph=True)
        layers = []
        for W_xh, W_hh, b_ih, b_hh in zip(*(found[i::4] for i in range(4)), strict=True):
            # the n gate of a GRU has two biases that are not added up
            apart = self.rnn.hidden_size if isinstance(self.rnn, nn.GRU) else 0
            layers += [W_xh, W_hh, torch.cat([b_ih, b_hh[len(b_hh) - apart :]])]
        return [*layers, W_hy, b_y]


def numbers(built: Built) -> dict[str, np.ndarray]:
    """Everything that `cells` compares, of one network."""
    torch.set_num_threads(1)
    network = Network(built)
    x, targets = torch.from_numpy(built.inputs).requires_grad_(), torch.from_numpy(built.targets)
    start = _state(built)
    h, last = network.run(x, start)
    loss = network.losses(h, targets).sum() / x.shape[1]
    found: dict[str, Any] = {"loss": loss} | _named("{}_T", last)
    found |= _weights("dL/d{}", network.weight_gradients(loss))
    found["dL/dx"], *of_start = torch.autograd.grad(loss, [x, *start])
    found |= _named("dL/d{}_0", of_start)
    found |= _weights("truncated dL/d{}", _truncated(network, x.detach(), targets, start, built))
    found |= _by_paths(network, x.detach(), targets, start)
    found |= _lags(network, x.detach(), targets, start)
    return {name: value.detach().numpy() for name, value in found.items()}


def _state(built: Built) -> State:
    kept = [built.h0, built.c0][: 2 if built.cell == "lstm" else 1]
    return tuple(torch.from_numpy(part).requires_grad_() for part in kept)


def _named(form: str, values: Sequence[Tensor], names: str = "hc") -> dict[str, Tensor]:
    return {form.format(name): value for name, value in zip(names, values, strict=False)}


def _weights(form: str, values: Sequence[Tensor]) -> dict[str, Tensor]:
    *layers, W_hy, b_y = values
    names = [
        f"{n}, layer {k + 1}" for k in range(len(layers) // 3) for n in ("W_xh", "W_hh", "b_h")
    ]
    named = zip([*names, "W_hy", "b_y"], [*layers, W_hy, b_y], strict=True)
    return {form.format(name): value for name, value in named}


def _leaves(state: State) -> State:
    return tuple(part.detach().requires_grad_() for part in state)


def _truncated(
    network: Network, x: Tensor, targets: Tensor, state: State, built: Built
) -> list[Tensor]:
    """Segments of `window` steps: the state is carried on, h and c detached at every cut."""
    sums: list[Tensor] = []
    for begin in range(0, len(x), built.window):
        own = slice(begin, begin + built.window)
        h, state = network.run(x[own], _leaves(state))
        found = network.weight_gradients(network.losses(h, targets[own]).sum() / x.shape[1])
        sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
    return sums


def _by_paths(network: Network, x: Tensor, targets: Tensor, state: State) -> dict[str, Tensor]:
    """States h (T,B,H) of each layer, and ln of the norms (T,K,B) of dl_t/dh_{t-k}, by all paths.

    Norms at [t-1, k], NaN if t-k < 1. Each layer takes a step at a time, so that its output is a
    node of the graph, from which the layer above and the next step go on.
    """
    layers, (T, B, _) = network.one_by_one(), x.shape
    states = [tuple(part[k : k + 1] for part in state) for k in range(len(layers))]
    outputs: list[list[Tensor]] = [[] for _ in layers]
    for t in range(T):
        below = x[t : t + 1]
        for k, layer in enumerate(layers):
            before = states[k]
            below, last = layer(below, before if len(before) > 1 else before[0])
            states[k] = (below, last[1]) if len(before) > 1 else (below,)
            outputs[k].append(below)
    losses = network.losses(torch.cat(outputs[-1]), targets)
    found = {f"h, layer {k + 1}": torch.cat(own) for k, own in enumerate(outputs)}
    for k, own in enumerate(outputs):
        norms = torch.full((T, T, B), float("nan"), dtype=x.dtype)
        for t in range(T):
            rows: Sequence[Tensor] = torch.autograd.grad(
                losses[t].sum(), own[: t + 1], retain_graph=True
            )
            for s, row in enumerate(rows):
                norms[t, t - s] = row[0].norm(dim=1)
        found[f"ln |dl/dh|, layer {k + 1}"] = norms.log()
    return found


def _lags(network: Network, x: Tensor, targets: Tensor, state: State) -> dict[str, Tensor]:
    """ln of norms (T,K,B) of dl_t/dc_{t-k} and of the whole state: at [t-1, k], NaN if t-k < 1.

    The network starts again from every state of all layers, as leaves of their own: at lag 0 the
    loss knows h of the top alone.
    """
    T, B, _ = x.shape
    norms = torch.full((len(state), T, T, B), float("nan"), dtype=x.dtype)
    for s in range(1, T + 1):
        _, state = network.run(x[s - 1 : s], state)
        state = _leaves(state)
        after = [network.run(x[s:], state)[0]] if s < T else []
        losses = network.losses(torch.cat([state[0][-1:], *after]), targets[s - 1 :])
        for k, of_step in enumerate(losses):
            rows = torch.autograd.grad(
                of_step.sum(), state, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            norms[:, s + k - 1, k] = torch.stack([row.norm(dim=(0, 2)) for row in rows])
    whole = torch.linalg.vector_norm(norms, dim=0)
    return {"ln |dl/ds|": whole.log()} | _named("ln |dl/d{}|", norms[1:].log(), "c")
