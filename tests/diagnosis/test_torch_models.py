"""Models trained in PyTorch: probed in a training step and read from their files, one diagnosis."""

import re
from functools import cache

import numpy as np
import pytest
from torch_models import MODELS, B, T

import rnnsim

pytestmark = pytest.mark.frameworks

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
    record = seen.record()
    return rnnsim.diagnose(record.network, record.sequences, h0=record.h0, c0=record.c0, **LIMITS)


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
