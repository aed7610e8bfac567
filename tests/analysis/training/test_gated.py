"""Training of gated networks and stacks: lines of gates and layers, figures of every kind."""

from itertools import product

import numpy as np
import pytest
from artists import drawn_with_captions, labelled
from numpy.testing import assert_allclose, assert_array_equal

from analysis.frame import cells
from analysis.training import gates, parts, training

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
    for name, layers in (("lstm-1-layer", [""]), ("lstm-2-layers", ["layer 1", "layer 2"])):
        assert_allclose(kinds[name].gate_share.sum("gate"), 1.0)
        apart = parts.layers_apart(kinds[name], "gate_share")
        assert list(apart) == layers
        for variable, data in product(("gate_share", "gate_mean"), apart.values()):
            lines = labelled(parts.plot_parts(data, variable, gain=0.5))
            assert list(lines) == ["i", "f", "g", "o"]
            for gate, line in lines.items():
                expected = data[variable].sel(gain=0.5, gate=gate).median("network_seed")
                assert_allclose(line.get_ydata(), expected)
                assert_array_equal(line.get_xdata(), [0, 2])


def test_time_scales_are_medians_over_units_and_then_networks(kinds):
    for name, labels in (("lstm-1-layer", ["median"]), ("lstm-2-layers", ["layer 1", "layer 2"])):
        logs = np.log(kinds[name].gate_time_scale.sel(gain=0.5))
        ax = gates.plot_time_scales(kinds[name], gain=0.5)
        assert ax.get_ylabel() == "time scale of $f$ (steps)"
        lines = labelled(ax)
        assert list(lines) == labels
        for layer, line in enumerate(lines.values(), start=1):
            own = logs.sel(layer=layer) if "layer" in logs.dims else logs
            expected = own.median("unit").median("network_seed")
            assert_allclose(10 ** line.get_ydata(), np.exp(expected))


def test_infinite_time_scales_count_and_are_not_drawn(kinds):
    data = kinds["lstm-1-layer"]
    one = np.array([2.0, np.inf, 4.0])  # of the units of one network: 4 in the middle
    other = np.array([2.0, np.inf, np.inf])
    for units, expected in (((one, one), [4.0, 4.0]), ((one, other), [np.nan] * 2)):
        times = data.gate_time_scale.sel(gain=0.5).transpose("network_seed", "snapshot", "unit")
        values = np.broadcast_to(np.array(units)[:, None], times.shape)
        changed = data.assign(gate_time_scale=times.copy(data=values).expand_dims(gain=[0.5]))
        (line,) = labelled(gates.plot_time_scales(changed, gain=0.5)).values()
        assert_allclose(10 ** line.get_ydata(), expected)
        caption = gates.gate_figure(changed).get_supxlabel()
        assert ("Infinite ones" in caption) == np.isnan(expected[0])


def test_rows_of_gates_are_those_that_a_run_has(kinds):
    for name, rows in (("lstm-1-layer", 3), ("lstm-2-layers", 5)):
        data = kinds[name]
        assert len(gates.gate_figure(data).axes) == rows
        before = data.drop_vars(["gate_mean", "gate_time_scale"])
        shares = [ax.get_ylabel() for ax in gates.gate_figure(before).axes]
        assert len(shares) == rows // 2
        assert all("share of each gate" in label for label in shares)
        assert len(gates.gates_in_words(before.sel(gain=0.5))) == 1
        assert len(gates.gates_in_words(data.sel(gain=0.5))) == 3


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
