"""Exponents, phase diagrams, isometry of LSTMs and GRUs: no theory of tanh networks, 2H numbers."""

import re
from dataclasses import replace

import numpy as np
import pytest
from artists import dashed, labelled, marked
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

from analysis.dynamics import isometry, isometry_plots, lyapunov, lyapunov_plots, phase_diagram
from analysis.frame import cells, figures

H, GAINS = 4, (0.5, 1.5)
CRITICAL = 4 / (1 + np.e)  # of an LSTM with forget bias 1
CELLS = {"cell": ("vanilla", "lstm"), "forget_bias": (0.0, 1.0)}
FEW = {"n_hidden": H, "network_seeds": 3, "n_threads": 1}
EXPONENTS = lyapunov.Settings(
    gain=GAINS, transition_n_hidden=(H,), n_steps=120, burn_in=40, block_steps=4, **CELLS, **FEW
)
PHASE = phase_diagram.Settings(
    gain=GAINS, strength=(0.0, 0.5), n_steps=90, burn_in=30, **CELLS, **FEW
)
PRODUCTS = isometry.Settings(
    gain=(1.4,), histogram_gain=1.4, lags=(1, 4), length=8, exponent_steps=40, batch_size=2,
    scheme=("gaussian", "identity"), **CELLS, **FEW,
)  # fmt: skip


def shown(figure):
    """All text of a figure, and its caption."""
    return " ".join(text.get_text() for text in figure.findobj(Text))


def of_lstm(datasets):
    """The datasets of the LSTM with forget bias 1."""
    return cells.kinds_of(datasets)[-1].datasets


@pytest.fixture(scope="module")
def exponents():
    return lyapunov.compute(EXPONENTS, progress=False)


@pytest.fixture(scope="module")
def phase():
    return phase_diagram.compute(PHASE, progress=False)


@pytest.fixture(scope="module")
def products():
    return isometry.compute(PRODUCTS, progress=False)


@pytest.mark.parametrize(
    ("analysis", "name", "per_kind"),
    [(lyapunov, "exponents", 5), (phase_diagram, "phase", 2), (isometry, "products", 3)],
)
def test_figures_of_gated_cells_claim_no_theory_of_tanh_networks(analysis, name, per_kind, request):
    datasets = request.getfixturevalue(name)
    with figures.style():
        drawn = analysis.draw(datasets)
        assert len(drawn) == 3 * per_kind
        for each, figure in drawn.items():
            figure.draw_without_rendering()
            gated = "lstm" in each
            assert ("LSTM" in shown(figure)) == gated
            if gated:
                text = shown(figure) + figure.get_supxlabel()
                assert not re.search(r"mean field|circular law|\bnan\b|tanh units", text)


def test_words_of_exponents(exponents):
    words = facts(lyapunov, exponents)
    heads = [i for i, text in enumerate(words) if text.endswith(":")]
    assert [words[i] for i in heads] == [
        "Vanilla networks:", "LSTM, forget bias 0:", "LSTM, forget bias 1:",
    ]  # fmt: skip
    vanilla, lstm = words[: heads[1]], words[heads[2] :]
    assert "Mean field says" in " ".join(vanilla)
    assert "Mean field" not in " ".join(lstm)
    assert lstm[4] == f"Rest of large networks loses stability at gain {CRITICAL:.3g}."
    data = of_lstm(exponents)["transition"].sel(gain=1.5, n_hidden=H)
    first = data.lyapunov_exponent.sel(exponent=1).values
    low, middle, high = np.quantile(first, [0.25, 0.5, 0.75])
    above = int((first > np.maximum(2 * data.standard_error.sel(exponent=1), 0.002)).sum())
    assert lstm[3] == (
        f"H = {H}, gain 1.5: the largest exponent is {middle:+z.3f} nats/step (quartiles "
        f"{low:+z.3f} to {high:+z.3f}); {above} of 3 networks are chaotic."
    )


@pytest.mark.parametrize("lost", [0, 2])
def test_the_mean_of_exponents_is_of_all_or_not_known(exponents, lost):
    datasets = of_lstm(exponents)
    data = datasets["spectra"]
    values = data.lyapunov_exponent.copy(data=np.full(data.lyapunov_exponent.shape, -1.5))
    values[{"exponent": slice(2 * H - lost, None), "network_seed": 0}] = np.nan
    last = facts(lyapunov, datasets | {"spectra": data.assign(lyapunov_exponent=values)})[-1]
    if lost:
        assert (
            "the mean of its exponents is not known, as precision does not resolve all of them (6 "
            "to 8 of 8)"
        ) in last
    else:
        assert "the mean of its exponents is -1.50 nats/step" in last


def test_driven_networks_have_no_rest(exponents):
    settings = replace(EXPONENTS, driven=True, task="adding", cell=("gru",), forget_bias=(0.0,))
    driven = lyapunov.compute(settings, progress=False)
    assert "Rest" not in " ".join(facts(lyapunov, driven))
    figure = lyapunov.draw(driven)["transition"]
    assert not dashed(figure.axes[0])


@pytest.mark.parametrize(("gains", "inside"), [([1.0, 1.5], True), ([1.25, 1.5], False)])
def test_a_caption_names_the_lines_that_are_drawn(exponents, gains, inside):
    datasets = {name: d.assign_coords(gain=gains) for name, d in of_lstm(exponents).items()}
    figure = lyapunov.draw(datasets)["transition"]
    assert bool(dashed(figure.axes[0])) is inside  # of the critical gain
    assert ("Dashed: where rest" in figure.get_supxlabel()) is inside


def test_a_single_exponent_stands_on_an_axis_from_0(exponents):
    ax = lyapunov_plots.plot_spectrum(of_lstm(exponents)["spectra"], leading=1 / H)
    assert ax.lines[0].get_xdata() == [1 / H]
    assert ax.get_xlim()[0] <= 0


def test_a_spectrum_of_an_lstm_has_twice_as_many_exponents_as_units(exponents):
    data = of_lstm(exponents)["spectra"]
    ax = lyapunov_plots.plot_spectrum(data)
    line = labelled(ax)["gain 1.5"]
    assert_allclose(line.get_xdata(), np.arange(1, 2 * H + 1) / H)
    assert not dashed(ax)
    figure = lyapunov.draw({name: data for name in ("spectra", "transition")})["lyapunov-spectrum"]
    assert "no input" in figure.get_supxlabel()
    assert "Dashed" not in figure.get_supxlabel()
    above = int((data.lyapunov_exponent > 0).sum("exponent").max())
    assert f"more than {above / (2 * H):.0%} of the directions" in figure.get_supxlabel()


def test_the_transition_marks_where_rest_loses_stability(exponents):
    ax = lyapunov_plots.plot_transition(of_lstm(exponents)["transition"], n_hidden=H)
    (line,) = dashed(ax)
    assert_allclose(line.get_xdata(), CRITICAL)
    beyond = of_lstm(exponents)["transition"].sel(gain=[0.5])
    assert not dashed(lyapunov_plots.plot_transition(beyond, n_hidden=H))


def test_words_of_a_phase_diagram(phase):
    *_, quiet, driven, agreement = facts(phase_diagram, phase)
    assert f"; rest of large networks loses stability at {CRITICAL:.3g}. Of 6 networks" in quiet
    assert "rest of" not in driven
    assert "mean field" not in quiet + driven
    data = of_lstm(phase)["phase"]
    apart = np.abs(data.lyapunov_exponent - data.growth_rate)
    assert f"{float(np.median(apart)):.4f} nats/step in the median" in agreement
    medians = data.lyapunov_exponent.sel(strength=0.5).median("network_seed").values
    if (medians < 0).all():
        assert "above 0 from none of these gains on" in driven


def test_a_diamond_marks_rest_where_there_is_no_input(phase):
    data = of_lstm(phase)["phase"]
    ax = phase_diagram.plot_phase_diagram(data)
    (diamond,) = marked(ax, "D")
    assert_allclose(diamond.get_xydata(), [[CRITICAL, 0.0]])
    names = [line.get_label() for line in phase_diagram.key(data)]
    assert names[-1] == "rest loses stability, large $H$"
    driven = data.sel(strength=[0.5])
    assert not marked(phase_diagram.plot_phase_diagram(driven), "D")
    assert not phase_diagram.key(driven)  # of one strength there are no lines


def test_products_of_an_lstm_have_the_numbers_of_its_state(products):
    data = of_lstm(products)["products"]
    assert data.sizes["unit"] == 2 * H
    ax = isometry_plots.plot_singular_values_against_lag(data, scheme="gaussian", gain=1.4)
    exponents = data.lyapunov_exponent.sel(scheme="gaussian", gain=1.4).median("network_seed")
    slopes = [line.get_ydata()[-1] / line.get_xdata()[-1] for line in dashed(ax)]
    assert_allclose(slopes, exponents.values[[0, -1]])
    unresolved = data.assign(lyapunov_exponent=data.lyapunov_exponent.where(data.unit < 7))
    ax = isometry_plots.plot_singular_values_against_lag(unresolved, scheme="gaussian", gain=1.4)
    (slope,) = [line.get_ydata()[-1] / line.get_xdata()[-1] for line in dashed(ax)]
    assert_allclose(slope, float(exponents[0]))
    vanilla = cells.kinds_of(products)[0].datasets["products"]
    assert vanilla.sizes["unit"] == H
    assert_array_equal(vanilla.unit, range(H))
    caption = isometry.draw({"products": data})["singular-values-against-lag"].get_supxlabel()
    assert f"({H} LSTM units)" in caption
    assert r"$\lambda_1$ and $\lambda_{2H}$" in " ".join(caption.split())
