"""Exponents, phase diagrams and isometry of stacks: no theory of one layer, numbers of all."""

import re

import numpy as np
import pytest
from artists import dashed, labelled, marked, titled
from matplotlib.text import Text
from numpy.testing import assert_allclose
from recomputed import facts

from analysis.dynamics import isometry, isometry_plots, lyapunov, lyapunov_plots, phase_diagram
from analysis.frame import cells, figures

H, GAINS = 4, (0.5, 1.5)
FEW = {"n_hidden": H, "network_seeds": 3, "n_threads": 1}
DEEP = FEW | {"n_layers": (1, 2)}


def shown(figure):
    """All text of a figure, and its caption."""
    return " ".join(text.get_text() for text in figure.findobj(Text)) + figure.get_supxlabel()


def of_stack(datasets):
    """The datasets of two layers."""
    return cells.kinds_of(datasets)[-1].datasets


@pytest.fixture(scope="module")
def exponents():
    settings = lyapunov.Settings(
        gain=GAINS, transition_n_hidden=(H,), n_steps=120, burn_in=40, block_steps=4, **DEEP
    )
    return lyapunov.compute(settings, progress=False)


@pytest.fixture(scope="module")
def phase():
    settings = phase_diagram.Settings(
        gain=GAINS, strength=(0.0, 0.5), n_steps=90, burn_in=30, **DEEP
    )
    return phase_diagram.compute(settings, progress=False)


@pytest.fixture(scope="module")
def products():
    settings = isometry.Settings(
        gain=(1.4,), histogram_gain=1.4, lags=(1, 4), length=8, exponent_steps=40, batch_size=2,
        scheme=("gaussian", "pytorch"), **DEEP | {"cell": ("lstm",)},
    )  # fmt: skip
    return isometry.compute(settings, progress=False)


@pytest.mark.parametrize(
    ("analysis", "name", "per_kind"),
    [(lyapunov, "exponents", 5), (phase_diagram, "phase", 2), (isometry, "products", 3)],
)
def test_figures_of_stacks_claim_no_theory_of_one_layer(analysis, name, per_kind, request):
    datasets = request.getfixturevalue(name)
    with figures.style():
        drawn = analysis.draw(datasets)
        assert len(drawn) == 2 * per_kind
        for each, figure in drawn.items():
            figure.draw_without_rendering()
            deep = each.endswith("-2-layers")
            assert (f"{H} LSTM units in each of 2 layers" in shown(figure)) == (
                deep and analysis is isometry
            )
            assert ("of all layers" in shown(figure)) == deep
            if deep:
                assert not re.search(r"mean field|circular law|\bnan\b", shown(figure))


def test_words_of_exponents(exponents):
    words = facts(lyapunov, exponents)
    heads = [i for i, text in enumerate(words) if text.endswith(":")]
    assert [words[i] for i in heads] == [
        "Vanilla networks, 1 layer:", "Vanilla networks, 2 layers:",
    ]  # fmt: skip
    assert "Mean field says" in " ".join(words[: heads[1]])
    deep = words[heads[1] :]
    assert "Mean field" not in " ".join(deep)
    assert deep[4] == "Rest of large networks loses stability at gain 1."
    assert f"the median network of {H} units in each of 2 layers has an attractor" in deep[5]
    last = of_stack(exponents)["spectra"].sel(gain=1.5)
    mean = float(last.lyapunov_exponent.mean("exponent").median())
    assert f"the mean of its exponents is {mean:+z.2f} nats/step" in deep[5]


def test_a_spectrum_of_a_stack_has_the_exponents_of_all_layers(exponents):
    data = of_stack(exponents)["spectra"]
    ax = lyapunov_plots.plot_spectrum(data)
    assert_allclose(labelled(ax)["gain 1.5"].get_xdata(), np.arange(1, 2 * H + 1) / H)
    assert not dashed(ax)
    caption = lyapunov.draw(of_stack(exponents))["lyapunov-spectrum"].get_supxlabel()
    above = int((data.lyapunov_exponent > 0).sum("exponent").max())
    assert f"more than {above / (2 * H):.0%} of the directions" in caption
    assert f"3 networks of {H} units in each of 2 layers" in caption


def test_dimensions_are_shares_of_the_units_of_all_layers(exponents):
    data = of_stack(exponents)["spectra"]
    ax = lyapunov_plots.plot_attractor(data, "entropy_rate")
    values = data.entropy_rate.isel(n_hidden=-1).transpose("network_seed", "gain") / (2 * H)
    assert_allclose(ax.lines[0].get_ydata(), values.values.ravel())
    assert ax.get_ylabel() == "sum of positive exponents / $2H$ (nats/step)"
    one = cells.kinds_of(exponents)[0].datasets["spectra"]
    assert "/ $H$ (nats" in lyapunov_plots.plot_attractor(one, "entropy_rate").get_ylabel()


def test_rest_of_a_stack_is_marked_where_that_of_its_layers_is(exponents, phase):
    ax = lyapunov_plots.plot_transition(of_stack(exponents)["transition"], n_hidden=H)
    (line,) = dashed(ax)
    assert_allclose(line.get_xdata(), 1.0)
    (diamond,) = marked(phase_diagram.plot_phase_diagram(of_stack(phase)["phase"]), "D")
    assert_allclose(diamond.get_xydata(), [[1.0, 0.0]])
    one = cells.kinds_of(phase)[0].datasets["phase"]
    assert not marked(phase_diagram.plot_phase_diagram(one), "D")
    *_, quiet, driven, _ = facts(phase_diagram, phase)
    assert "; rest of large networks loses stability at 1. Of 6 networks" in quiet
    assert "mean field" not in quiet + driven
    caption = phase_diagram.draw(phase)["phase-diagram-2-layers"].get_supxlabel()
    assert "White Gaussian inputs in the lowest layer." in caption


def test_products_of_a_stack_have_the_numbers_of_all_states(products):
    data = of_stack(products)["products"]
    assert data.sizes["unit"] == 4 * H
    ax = isometry_plots.plot_singular_values_against_lag(data, scheme="pytorch", gain=1.4)
    exponents = data.lyapunov_exponent.sel(scheme="pytorch", gain=1.4).median("network_seed")
    slopes = [line.get_ydata()[-1] / line.get_xdata()[-1] for line in dashed(ax)]
    assert_allclose(slopes, [each for each in exponents.values[[0, -1]] if np.isfinite(each)])
    figure = isometry.draw({"products": data})["singular-values-against-lag"]
    assert r"$\lambda_1$ and $\lambda_{4H}$" in figure.get_supxlabel()
    assert [titled(ax) for ax in figure.axes] == ["gaussian, gain 1.4", "pytorch, gain 1.4"]
