"""Training in PyTorch by its own parts: nn.RNN, autograd, torch.optim. For `check_training`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .in_torch import Network
from .settings import Batch, Setting
from .workloads import Floats

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
}


def train(
    weights: list[Floats], batches: Iterator[Batch], setting: Setting, n_updates: int
) -> list[Floats]:
    """The five weights of one network after so many updates."""
    torch.set_num_threads(1)
    network, made = Network(weights), 0
    optimizer = _OPTIMIZERS[setting.optimizer](network.trained, lr=setting.rate)
    for batch in batches:
        for loss in _segment_losses(network, batch, setting):
            if made == n_updates:
                return [parameter.detach().numpy() for parameter in network.trained]
            optimizer.zero_grad()
            loss.backward()
            _clip(network.trained, setting)
            optimizer.step()
            made += 1
    raise AssertionError("batches end")


def _segment_losses(network: Network, batch: Batch, setting: Setting) -> Iterator[Tensor]:
    """The loss of each block of S steps, from states that go back K steps with today's weights.

    A generator: what comes after an update is computed with the new weights.
    """
    x, targets, loss_weights = map(torch.from_numpy, batch)
    (T, B, _), K, S = x.shape, setting.window, setting.stride
    known: dict[int, Tensor] = {0: x.new_zeros(1, B, network.rnn.hidden_size)}  # h_t, last computed
    for block in range(0, T, S):
        begin, end = max(block + S - K, 0), min(block + S, T)
        states, _ = network.rnn(x[begin:end], known[begin])
        known |= {begin + 1 + i: h[None].detach() for i, h in enumerate(states)}
        logits = network.readout(states[block - begin :]).flatten(0, 1)
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
