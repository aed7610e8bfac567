"""LSTMs and GRUs by torch.nn and autograd: states, gradients, lags. For `check_cells`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .settings import Gated

State = tuple[Tensor, ...]  # h, or h and c, each (B, H)


class Network(nn.Module):
    """nn.LSTM or nn.GRU and a readout, with the weights given."""

    def __init__(self, gated: Gated) -> None:
        super().__init__()
        (_, D), (V, H) = gated.weight_ih.shape, gated.weight_hy.shape
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[gated.cell]
        self.rnn = kind(D, H, dtype=torch.float64)
        self.readout = nn.Linear(H, V, dtype=torch.float64)
        given = {
            self.rnn.weight_ih_l0: gated.weight_ih,
            self.rnn.weight_hh_l0: gated.weight_hh,
            self.rnn.bias_ih_l0: gated.bias_ih,
            self.rnn.bias_hh_l0: gated.bias_hh,
            self.readout.weight: gated.weight_hy,
            self.readout.bias: gated.bias_hy,
        }
        with torch.no_grad():
            for parameter, array in given.items():
                parameter.copy_(torch.from_numpy(array))

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """States h (T,B,H) of the steps, and the whole state after the last."""
        first = tuple(part[None] for part in state)
        h, last = self.rnn(x, first if len(first) > 1 else first[0])
        return h, tuple(part[0] for part in last) if len(first) > 1 else (last[0],)

    def losses(self, h: Tensor, targets: Tensor) -> Tensor:
        """Of each step and sequence (T,B), from its state."""
        logits = self.readout(h).flatten(0, 1)
        return cross_entropy(logits, targets.flatten(), reduction="none").view(targets.shape)

    def weight_gradients(self, loss: Tensor) -> list[Tensor]:
        """dL/dW_xh, dL/dW_hh, dL/dW_hy, dL/db_h and dL/db_y in the shapes that rnnsim has."""
        rnn, readout = self.rnn, self.readout
        leaves = [rnn.weight_ih_l0, rnn.weight_hh_l0, readout.weight, rnn.bias_ih_l0]
        *found, b_ih, b_hh, b_y = torch.autograd.grad(
            loss, [*leaves, rnn.bias_hh_l0, readout.bias], retain_graph=True
        )
        if isinstance(rnn, nn.GRU):  # the n gate has two biases that are not added up
            b_ih = torch.cat([b_ih, b_hh[-rnn.hidden_size :]])
        return [*found, b_ih, b_y]


def numbers(gated: Gated) -> dict[str, np.ndarray]:
    """Everything that `check_cells` compares, of one network."""
    torch.set_num_threads(1)
    network = Network(gated)
    x, targets = torch.from_numpy(gated.inputs).requires_grad_(), torch.from_numpy(gated.targets)
    start = _state(gated, gated.h0, gated.c0)
    h, last = network.run(x, start)
    loss = network.losses(h, targets).sum() / x.shape[1]
    found: dict[str, Any] = {"h": h, "loss": loss} | _named("{}_T", last[1:])
    found |= _weights("dL/d{}", network.weight_gradients(loss))
    found["dL/dx"], *of_start = torch.autograd.grad(loss, [x, *start])
    found |= _named("dL/d{}_0", of_start, "hc")
    found |= _weights("truncated dL/d{}", _truncated(network, x.detach(), targets, start, gated))
    found |= _lags(network, x.detach(), targets, start)
    return {name: value.detach().numpy() for name, value in found.items()}


def _state(gated: Gated, *parts: np.ndarray) -> State:
    kept = parts if gated.cell == "lstm" else parts[:1]
    return tuple(torch.from_numpy(part).requires_grad_() for part in kept)


def _named(form: str, values: Sequence[Tensor], names: str = "c") -> dict[str, Tensor]:
    return {form.format(name): value for name, value in zip(names, values, strict=False)}


def _weights(form: str, values: Sequence[Tensor]) -> dict[str, Tensor]:
    names = "W_xh W_hh W_hy b_h b_y".split()
    return {form.format(name): value for name, value in zip(names, values, strict=True)}


def _leaves(state: State) -> State:
    return tuple(part.detach().requires_grad_() for part in state)


def _truncated(
    network: Network, x: Tensor, targets: Tensor, state: State, gated: Gated
) -> list[Tensor]:
    """Segments of `window` steps: the state is carried on, h and c detached at every cut."""
    sums: list[Tensor] = []
    for begin in range(0, len(x), gated.window):
        own = slice(begin, begin + gated.window)
        h, state = network.run(x[own], _leaves(state))
        found = network.weight_gradients(network.losses(h, targets[own]).sum() / x.shape[1])
        sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
    return sums


def _lags(network: Network, x: Tensor, targets: Tensor, state: State) -> dict[str, Tensor]:
    """ln of norms (T,K,B) of dl_t/dh_{t-k}, dl_t/dc_{t-k} and both: at [t-1, k], NaN if t-k < 1.

    The network starts again from every state (h, c), as leaves of their own: at lag 0 the loss
    knows h alone.
    """
    T, B, _ = x.shape
    norms = torch.full((len(state), T, T, B), float("nan"), dtype=x.dtype)
    for s in range(1, T + 1):
        _, state = network.run(x[s - 1 : s], state)
        state = _leaves(state)
        after = [network.run(x[s:], state)[0]] if s < T else []
        losses = network.losses(torch.cat([state[0][None], *after]), targets[s - 1 :])
        for k, of_step in enumerate(losses):
            rows = torch.autograd.grad(
                of_step.sum(), state, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            norms[:, s + k - 1, k] = torch.stack([row.norm(dim=1) for row in rows])
    whole = torch.linalg.vector_norm(norms, dim=0)
    return {"ln |dl/ds|": whole.log()} | _named("ln |dl/d{}|", norms.log(), "hc")
