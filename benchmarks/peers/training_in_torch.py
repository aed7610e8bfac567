"""Training in PyTorch by its own parts: nn.RNN, nn.LSTM, nn.GRU, autograd, torch.optim.

For `check_training`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .settings import Batch, Setting
from .workloads import Floats

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": partial(torch.optim.Adagrad, eps=1e-8),
}
_CELLS: dict[str, Callable[..., Any]] = {"vanilla": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

State = tuple[Tensor, ...]  # h, or h and c, each (1, B, H)


class Learner(nn.Module):
    """A network of one layer and a readout with the five weights given.

    Of torch's two hidden biases the second is 0 and stays so, but for the n gate of a GRU, which
    stands apart.
    """

    def __init__(self, weights: list[Floats], cell: str) -> None:
        super().__init__()
        W_xh, W_hh, W_hy, b_h, b_y = map(torch.from_numpy, weights)
        self.H, self.apart = W_hh.shape[1], len(b_h) - len(W_hh)
        self.rnn = _CELLS[cell](W_xh.shape[1], self.H, dtype=W_xh.dtype)
        self.readout = nn.Linear(self.H, len(W_hy), dtype=W_xh.dtype)
        given = {
            self.rnn.weight_ih_l0: W_xh,
            self.rnn.weight_hh_l0: W_hh,
            self.readout.weight: W_hy,
            self.rnn.bias_ih_l0: b_h[: len(W_hh)],
            self.readout.bias: b_y,
        }
        with torch.no_grad():
            for parameter, array in given.items():
                parameter.copy_(array)
            self.rnn.bias_hh_l0.zero_()
            self.rnn.bias_hh_l0[len(W_hh) - self.apart :] = b_h[len(W_hh) :]
        self.rnn.bias_hh_l0.requires_grad_(self.apart > 0)
        self.trained = [*given, *([self.rnn.bias_hh_l0] if self.apart else [])]

    def start(self, B: int) -> State:
        """The state that sequences begin with."""
        zero = self.readout.weight.new_zeros(1, B, self.H)
        return (zero, zero) if isinstance(self.rnn, nn.LSTM) else (zero,)

    def step(self, x: Tensor, state: State) -> State:
        """One step on, from inputs (B, D)."""
        _, after = self.rnn(x[None], state if len(state) > 1 else state[0])
        return after if len(state) > 1 else (after,)

    def backward(self, loss: Tensor) -> None:
        """Gradients; none for the biases that are not there."""
        loss.backward()
        if self.apart:
            self.rnn.bias_hh_l0.grad[: -self.apart] = 0

    def weights(self) -> list[Floats]:
        """The five weights as rnnsim has them."""
        *first, bias, last = self.trained[:5]
        if self.apart:
            bias = torch.cat([bias, self.rnn.bias_hh_l0[-self.apart :]])
        return [parameter.detach().numpy() for parameter in (*first, bias, last)]


def train(
    weights: list[Floats], batches: Iterator[Batch], setting: Setting, n_updates: int
) -> list[Floats]:
    """The five weights of one network after so many updates."""
    torch.set_num_threads(1)
    learner, made = Learner(weights, setting.cell), 0
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
            states.append(state[0][0])
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
