"""Training of gated networks and stacks: lines of gates and layers, figures of every kind."""

import numpy as np
import pytest
from artists import drawn_with_captions, labelled
from numpy.testing import assert_allclose, assert_array_equal

from analysis.frame import cells
from analysis.training import parts, training

ANALYSED = training
TINY = training.Settings(
    cell=("vanilla", "lstm"), n_layers=(1, 2), length=10, gain=(0.5,), n_hidden=3, network_seeds=2,
    batch_size=2, n_updates=2, record_every=1, snapshot_every=2, n_threads=1,
)  # fmt: skip
NAMES = ("vanilla-1-layer", "vanilla-2-layers", "lstm-1-layer", "lstm-2-layers")


@pytest.fixture(scope="module")
def kinds(datasets):
    found = [kind.datasets["training"] for kind in cells.kinds_of(datasets)]
    return dict(zip(NAMES, map(parts.of_one_kind, found), strict=True))


def test_gates_add_up_to_the_gradient_and_are_drawn_in_their_order(kinds):
    for name in ("lstm-1-layer", "lstm-2-layers"):
        data = kinds[name]
        assert_allclose(data.gate_share.sum("gate"), 1.0)
        lines = labelled(parts.plot_parts(data, "gate_share", gain=0.5))
        assert list(lines) == ["i", "f", "g", "o"]
        for gate, line in lines.items():
            expected = data.gate_share.sel(gain=0.5, gate=gate).median("network_seed")
            assert_allclose(line.get_ydata(), expected)
            assert_array_equal(line.get_xdata(), [0, 2])


def test_norms_of_gates_are_the_largest_of_the_layers(kinds):
    deep = kinds["lstm-2-layers"].gate_spectral_norm.sel(gain=0.5, gate="f")
    found = parts.parts_of(kinds["lstm-2-layers"].sel(gain=0.5), "gate_spectral_norm")["f"]
    assert_array_equal(found, np.maximum(deep.sel(layer=1), deep.sel(layer=2)))
    assert "layer" not in kinds["lstm-1-layer"].dims


def test_layers_of_vanilla_stacks_stand_side_by_side(kinds):
    data = kinds["vanilla-2-layers"]
    lines = labelled(parts.plot_parts(data, "spectral_radius", gain=0.5))
    for layer in (1, 2):
        expected = data.spectral_radius.sel(gain=0.5, layer=layer).median("network_seed")
        assert_allclose(lines[f"layer {layer}"].get_ydata(), expected)
    found = parts.with_all_eigenvalues(data).eigenvalues.sel(gain=0.5, network_seed=1, snapshot=2)
    assert_array_equal(
        found, data.eigenvalues.sel(gain=0.5, network_seed=1, snapshot=2).values.ravel()
    )
    assert parts.with_all_eigenvalues(kinds["vanilla-1-layer"]) is kinds["vanilla-1-layer"]


def test_every_kind_has_the_figures_that_mean_something(datasets):
    third = dict(zip(NAMES, ("eigenvalues", "eigenvalues", "gates", "gates"), strict=True))
    wanted = [
        f"{figure}-{name}"
        for name in NAMES
        for figure in ("learning", "dynamics", third[name], "bias", "gradient-reach")
    ]
    drawn_with_captions(training, datasets, *wanted, "what-is-carried")
    assert list(training.films(datasets)) == [f"eigenvalues-moving-{name}" for name in NAMES[:2]]
