"""Models trained in PyTorch: probed in a training step and read from their files, one diagnosis."""

import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import rnnsim

pytestmark = pytest.mark.frameworks

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

LIMITS = {"window": 8, "batch_size": 4, "clip_norm": 1.0, "clip_value": 0.02}
NUMBERS = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")
trained = cache(lambda name: MODELS[name]())
# What the gradients of a training step do not tell.
OF_THE_VALUE = {"forward_memory"}


@cache
def probed(name):
    made = trained(name)
    seen = rnnsim.probe(made.model)
    with seen:
        made.loss().backward()
    return seen.diagnose(**LIMITS)


@cache
def from_memory(name):
    """Of the weights in memory, as a file has them."""
    made = trained(name)
    weights = {key: value.detach().numpy() for key, value in made.model.state_dict().items()}
    network = rnnsim.from_state_dict(weights, **made.names)
    return rnnsim.diagnose(network, made.ids, targets=made.targets, **LIMITS)


def saved(name, form, folder):
    import torch
    from safetensors.torch import save_file

    state = trained(name).model.state_dict()
    path = folder / f"model.{form}"
    (torch.save if form == "pt" else save_file)(state, path)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_a_probe_and_the_weights_say_the_same(name):
    one, other = probed(name), from_memory(name)
    unknown = [{each.name for each in found if not each.known} for found in (one, other)]
    assert unknown[0] - unknown[1] == OF_THE_VALUE
    assert not unknown[1] - unknown[0]
    for finding in one:
        if finding.known and not finding.name.startswith("clipping"):
            assert_alike(finding, other[finding.name])


@pytest.mark.parametrize("name", MODELS)
def test_a_probe_clips_without_the_head(name):
    one, other = (found(name)["clipping_by_norm"] for found in (probed, from_memory))
    assert "(without a readout or an embedding" in one.words
    assert np.all(np.array(one.evidence["norm"]) < other.evidence["norm"])
    assert one.number <= other.number


@pytest.mark.parametrize("form", ["pt", "safetensors"])
@pytest.mark.parametrize("name", MODELS)
def test_a_file_says_the_same(name, form, tmp_path):
    made = trained(name)
    path = saved(name, form, tmp_path)
    found = rnnsim.diagnose(path, made.ids, targets=made.targets, **made.names, **LIMITS)
    assert found.label == path.name
    for finding in found:
        assert finding.words == from_memory(name)[finding.name].words


def assert_alike(one, other):
    """The same outcome, numbers and words to the rounding of float32."""
    assert one.says == other.says, one.name
    for field in ("number", "error", "threshold"):
        a, b = getattr(one, field), getattr(other, field)
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6, err_msg=f"{one.name}: {field}")
    assert NUMBERS.sub("#", one.words) == NUMBERS.sub("#", other.words)
    said = [[float(x) for x in NUMBERS.findall(each.words)] for each in (one, other)]
    np.testing.assert_allclose(*said, rtol=0.02, atol=1e-2, err_msg=one.words)


@pytest.mark.parametrize("name", ["nn.RNN", "nn.GRU"])
def test_what_was_learned_is_found(name):
    """Two steps back is what the task asks for, and what the loss and the inputs' share show."""
    found = from_memory(name)
    assert found["forward_memory"].says == "carries"
    assert found["forward_memory"].number == 3
    assert found["window_for_10_percent"].number <= 8


def test_a_classifier_on_the_last_state():
    found = from_memory("nn.LSTM, 2 layers, h_n")
    assert found.about["n_steps"] == T
    assert found.about["n_sequences"] == B
    assert found["gradient_by_layer_and_gate"].words.count("layer") == 8
    assert "1 step with loss" in found["state_memory"].over
