"""Training in PyTorch by its own parts: nn.RNN, nn.LSTM, nn.GRU, autograd, torch.optim.

For `training`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..peers.workloads import Floats
from .settings import Batch, Layers, Setting

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": partial(torch.optim.Adagrad, eps=1e-8),
}
_CELLS: dict[str, Callable[..., Any]] = {"vanilla": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

State = tuple[Tensor, ...]  # h, or h and c, each (L, B, H)


class Learner(nn.Module):
    """A network of L layers, and a readout of the top, with the five weights of each given.

    Of torch's two hidden biases the second is 0 and stays so, but for the n gate of a GRU, which
    stands apart.
    """

    def __init__(self, layers: Layers, cell: str) -> None:
        super().__init__()
        (first, *_), (*_, top) = layers, layers
        W_xh, W_hh, W_hy, *_ = map(torch.from_numpy, (*first[:2], *top[2:]))
        self.H, self.apart = W_hh.shape[1], len(first[3]) - len(W_hh)
        self.rnn = _CELLS[cell](W_xh.shape[1], self.H, len(layers), dtype=W_xh.dtype)
        self.readout = nn.Linear(self.H, len(W_hy), dtype=W_xh.dtype)
        self.trained: list[nn.Parameter] = [self.readout.weight, self.readout.bias]
        with torch.no_grad():
            self.readout.weight.copy_(W_hy)
            self.readout.bias.copy_(torch.from_numpy(top[4]))
            for own, weights in zip(self.rnn.all_weights, layers, strict=True):
                self._set(own, *map(torch.from_numpy, weights))

    def _set(self, own: list[nn.Parameter], W_xh: Tensor, W_hh: Tensor, _: Any, *b: Tensor) -> None:
        weight_ih, weight_hh, bias_ih, bias_hh = own
        rows = len(W_hh)
        weight_ih.copy_(W_xh)
        weight_hh.copy_(W_hh)
        bias_ih.copy_(b[0][:rows])
        bias_hh.zero_()
        bias_hh[rows - self.apart :] = b[0][rows:]
        bias_hh.requires_grad_(self.apart > 0)
        self.trained += own if self.apart else own[:3]

    def start(self, B: int) -> State:
        """The state that sequences begin with."""
        zero = self.readout.weight.new_zeros(self.rnn.num_layers, B, self.H)
        return (zero, zero) if isinstance(self.rnn, nn.LSTM) else (zero,)

    def step(self, x: Tensor, state: State) -> State:
        """One step on, from inputs (B, D)."""
        _, after = self.rnn(x[None], state if len(state) > 1 else state[0])
        return after if len(state) > 1 else (after,)

    def backward(self, loss: Tensor) -> None:
        """Gradients; none for the biases that are not there."""
        loss.backward()
        if self.apart:
            for *_, bias_hh in self.rnn.all_weights:
                bias_hh.grad[: -self.apart] = 0

    def weights(self) -> Layers:
        """The five weights of each layer as rnnsim has them."""
        found = [self._weights(*map(Tensor.detach, own)) for own in self.rnn.all_weights]
        W_hy, b_y = self.readout.weight.detach(), self.readout.bias.detach()
        found[-1][2], found[-1][4] = W_hy.numpy(), b_y.numpy()
        return found

    def _weights(
        self, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
    ) -> list[Floats]:
        """Of a layer without a readout."""
        bias = torch.cat([bias_ih, bias_hh[len(bias_hh) - self.apart :]])
        none = bias.new_zeros(0, self.H), bias.new_zeros(0)
        return [each.numpy() for each in (weight_ih, weight_hh, none[0], bias, none[1])]


def train(layers: Layers, batches: Iterator[Batch], setting: Setting, n_updates: int) -> Layers:
    """The weights of one network after so many updates."""
    torch.set_num_threads(1)
    learner, made = Learner(layers, setting.cell), 0
    optimizer = _OPTIMIZERS[setting.optimizer](learner.trained, lr=setting.rate)
    for batch in batches:
        for loss in _segment_losses(learner, batch, setting):
            if made == n_updates:
                return learner.weights()
            optimizer.zero_grad()
            learner.backward(loss)
            _clip(learner.trained, setting)
            optimizer.step()
            made += 1
    raise AssertionError("batches end")


def _segment_losses(learner: Learner, batch: Batch, setting: Setting) -> Iterator[Tensor]:
    """The loss of each block of S steps, from states that go back K steps with today's weights.

    A generator: what comes after an update is computed with the new weights.
    """
    x, targets, loss_weights = map(torch.from_numpy, batch)
    (T, B, _), K, S = x.shape, setting.window, setting.stride
    known = {0: learner.start(B)}  # whole states by step, as last computed
    for block in range(0, T, S):
        begin, end = max(block + S - K, 0), min(block + S, T)
        state, states = known[begin], []
        for t in range(begin, end):
            state = learner.step(x[t], state)
            states.append(state[0][-1])
            known[t + 1] = tuple(part.detach() for part in state)
        logits = learner.readout(torch.stack(states)[block - begin :]).flatten(0, 1)
        losses = cross_entropy(logits, targets[block:end].flatten(), reduction="none")
        own = loss_weights[block:end].flatten()
        if own.any():
            yield (losses * own).sum() / B


def _clip(parameters: list[Any], setting: Setting) -> None:
    """By norm by hand: `torch.nn.utils.clip_grad_norm_` adds 1e-6 to the norm."""
    if setting.clip_norm is not None:
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters])
        for parameter in parameters:
            parameter.grad *= torch.clamp(setting.clip_norm / norm, max=1.0)
    if setting.clip_value is not None:
        torch.nn.utils.clip_grad_value_(parameters, setting.clip_value)
