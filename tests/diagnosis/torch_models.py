"""Small models of PyTorch that learn something, and what they are diagnosed on."""

from typing import Any, NamedTuple

import numpy as np

T, B, V = 30, 24, 4


class Trained(NamedTuple):
    """A model, its batch, targets as `diagnose` takes them, and what names its parts in a file."""

    model: Any
    loss: Any  # of the model, of no arguments
    ids: Any  # (T, B)
    targets: Any  # (T, B), or (B,) for the last step alone
    names: dict[str, str]


def recall(n_sequences, delay, seed):
    """Class ids (T, B), and at every step which came `delay` steps before; -100 where none did."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, (T, n_sequences))
    targets = np.full_like(ids, -100)
    targets[delay:] = ids[: T - delay]
    return ids, targets


def first_of_all(n_sequences, seed):
    """Class ids (T, B), and which of them came first (B,)."""
    ids, _ = recall(n_sequences, 1, seed)
    return ids, ids[0].copy()


def at_every_step(kind):
    """One-hot inputs, a recurrent layer, a linear layer at every step."""
    import torch

    torch.manual_seed(0)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(V, 24)
            self.head = torch.nn.Linear(24, V)

        def forward(self, ids):
            x = torch.nn.functional.one_hot(ids, V).float()
            return self.head(self.rnn(x)[0])

    model = Model()

    def loss_of(ids, targets):
        ids, targets = torch.as_tensor(ids), torch.as_tensor(targets)
        outputs = model(ids).reshape(-1, V)
        total = torch.nn.functional.cross_entropy(outputs, targets.reshape(-1), reduction="sum")
        return total / ids.shape[1]

    train(model, lambda seed: loss_of(*recall(B, 2, seed)))
    ids, targets = recall(B, 2, 10**6)
    return Trained(model, lambda: loss_of(ids, targets), ids, targets, {})


def of_the_last_state():
    """An embedding, two LSTMs that read (B, T), a classifier on the last state of the upper."""
    import torch

    torch.manual_seed(1)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(V, 6)
            self.lstm = torch.nn.LSTM(6, 16, num_layers=2, batch_first=True)
            self.classifier = torch.nn.Linear(16, V)

        def forward(self, ids):
            _, (h_n, _) = self.lstm(self.embedding(ids))
            return self.classifier(h_n[-1])

    model = Model()

    def loss_of(ids, targets):
        outputs = model(torch.as_tensor(ids.T.copy()))
        return torch.nn.functional.cross_entropy(outputs, torch.as_tensor(targets))

    train(model, lambda seed: loss_of(*first_of_all(B, seed)))
    ids, targets = first_of_all(B, 10**6)
    return Trained(model, lambda: loss_of(ids, targets), ids, targets, {"embedding": "embedding"})


def train(model, loss_of, n_updates=150):
    import torch

    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for seed in range(n_updates):
        optimiser.zero_grad()
        loss_of(seed).backward()
        optimiser.step()
    optimiser.zero_grad()


MODELS = {
    "nn.RNN": lambda: at_every_step("RNN"),
    "nn.GRU": lambda: at_every_step("GRU"),
    "nn.LSTM, 2 layers, h_n": of_the_last_state,
}
