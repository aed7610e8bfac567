"""Gradients of stacks in figures and words: what holds for them, and depths beside each other."""

import re

import numpy as np
import pytest
from artists import labelled
from matplotlib.text import Text
from numpy.testing import assert_allclose
from recomputed import facts

from analysis.frame import cells, figures
from analysis.gradients import gradient_norms, phase_plots, truncation

FEW = {"n_hidden": 3, "network_seeds": 3, "batch_size": 2, "n_threads": 1, "task": "adding"}
GAINS = (0.5, 1.5)
NAMES = ["vanilla networks, 1 layer", "vanilla networks, 2 layers"]


@pytest.fixture(scope="module")
def norms():
    settings = gradient_norms.Settings(
        gain=GAINS, length=(6, 9), map_gain=(1.5,), n_layers=(1, 2), **FEW
    )
    return gradient_norms.compute(settings, progress=False)


@pytest.fixture(scope="module")
def windows():
    settings = truncation.Settings(
        gain=GAINS, length=(8,), n_batches=3, n_updates=1, n_layers=(1, 2), **FEW
    )
    return truncation.compute(settings, progress=False)


def deep(datasets):
    """The datasets of two layers."""
    return cells.kinds_of(datasets)[-1].datasets


def drawn(analysis, datasets):
    """All text and the caption of each figure."""
    with figures.style():
        made = analysis.draw(datasets)
        for figure in made.values():
            figure.draw_without_rendering()
    return {
        name: " ".join(t.get_text() for t in figure.findobj(Text)) + figure.get_supxlabel()
        for name, figure in made.items()
    }


def test_what_holds_for_one_layer_is_not_said_of_two(norms, windows):
    found = drawn(gradient_norms, norms) | drawn(truncation, windows)
    assert len(found) == 2 * 5 + 2 * 5 - 1 + 1  # no bound of a stack; the comparisons share a name
    for name, text in found.items():
        if name.endswith("-2-layers"):
            of_h = r"\partial h" in text
            assert ("vanilla networks, 2 layers ($h$ in" in text) == of_h, name
            assert ("the states of all layers" in text) == of_h, name
            assert not re.search(r"must vanish|geometric bound|this measure of", text)
    assert "must vanish" in found["phase-gain-length-1-layer"]
    assert "At lag 0 the state of the top layer alone" in found["norm-against-lag-2-layers"]
    assert "At lag 0" not in found["norm-against-lag-1-layer"]
    assert "$W_{hh}$, $W_{xh}$ and $b_{h}$ of all layers" in found["error-against-window-2-layers"]
    assert "(W_{hh}, W_{xh}, b_h)$ of every layer" in found["sufficient-window-2-layers"]
    assert "together for stacks, of all layers" in found["cells-beside-each-other"]
    words = facts(truncation, windows)
    assert [text for text in words if text.endswith(":")] == [
        "Vanilla networks, 1 layer:", "Vanilla networks, 2 layers:",
    ]  # fmt: skip
    assert sum("geometric bound" in text for text in words) == 1


def test_depths_beside_each_other_are_medians_of_their_networks(norms):
    figure = gradient_norms.draw(norms)["cells-beside-each-other"]
    assert "of a stack that of all layers, of which the top alone" in figure.get_supxlabel()
    lines = labelled(figure.axes[-1])
    assert list(lines) == NAMES
    data = deep(norms)["all-steps"].isel(length=-1).sel(gain=1.5).squeeze()
    curves = data.log_norm - data.log_norm.isel(lag=0)
    middle = curves.transpose("network_seed", "lag").median("network_seed") / np.log(10)
    assert_allclose(lines[NAMES[1]].get_ydata()[:8], middle[:8])


def test_rest_of_stacks_is_where_layers_leave_it(norms):
    last = deep(norms)["last-step"]
    (mark,) = labelled(phase_plots.plot_phase(last)).values()
    assert_allclose(mark.get_ydata(), 0.5)  # gain 1, half way from .5 to 1.5
    said = facts(gradient_norms, deep(norms))[-1]
    assert said.startswith("Without input rest is stable for large networks")
    assert "below gain 1;" in said


@pytest.mark.parametrize("change", [{"scheme": ["pytorch"]}, {"activation": ["sigmoid"]}])
def test_where_rest_is_not_known_nothing_is_said_of_it(norms, change):
    datasets = {name: data.assign_coords(change) for name, data in deep(norms).items()}
    assert "rest" not in " ".join(facts(gradient_norms, datasets))
    text = drawn(gradient_norms, datasets)["phase-gain-length"]
    assert "rest" not in text
    assert "at rest" not in text
