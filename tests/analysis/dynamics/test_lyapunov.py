"""Figures of Lyapunov exponents: artists, theory beside measurement, words from data."""

import numpy as np
import pytest
from artists import (
    check_axes,
    configured,
    dashed,
    drawn_with_captions,
    marked,
    only_line,
    thin,
    titled,
)
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

from analysis.dynamics import lyapunov, lyapunov_plots
from rnnsim import theory

ANALYSED = lyapunov
H, SEEDS, GAINS = 8, 3, (0.8, 1.0, 2.0)
TINY = lyapunov.Settings(
    gain=GAINS,
    n_hidden=H,
    transition_n_hidden=(4, H),
    network_seeds=SEEDS,
    n_steps=260,
    burn_in=60,
    block_steps=10,
    n_threads=1,
)


@pytest.fixture(scope="module")
def spectra(datasets):
    return datasets["spectra"]


@pytest.fixture(scope="module")
def transition(datasets):
    return datasets["transition"]


def test_both_datasets_have_the_same_largest_exponents(spectra, transition):
    assert_array_equal(transition.n_hidden, [4, H])
    assert transition.exponent.size == 1
    assert spectra.exponent.size == H
    first = {"n_hidden": H, "exponent": 1}
    # Frames of 8 vectors and of 1, started apart: after 60 steps their growth over the other 200
    # differs by less than 2 nats in all (900 networks: 0.3 in nine of ten, 1.9 at most).
    assert_allclose(
        spectra.lyapunov_exponent.sel(first), transition.lyapunov_exponent.sel(first), atol=2 / 200
    )


def test_spectrum_has_every_network_and_the_median(spectra):
    ax = lyapunov_plots.plot_spectrum(spectra, gains=[2.0])
    values = spectra.lyapunov_exponent.sel(n_hidden=H, gain=2.0).values
    assert_array_equal([line.get_ydata() for line in thin(ax)], values)
    median = only_line(ax, label="gain 2")
    assert_array_equal(median.get_xdata(), np.arange(1, H + 1) / H)
    assert_allclose(median.get_ydata(), np.median(values, axis=0))
    assert "nats/step" in ax.get_ylabel()
    assert "$i" in ax.get_xlabel()


def test_spectrum_beside_theory(spectra):
    (law,) = dashed(lyapunov_plots.plot_spectrum(spectra, gains=[0.8]))
    assert_allclose(law.get_ydata(), theory.circular_law_log_moduli(H, 0.8))
    for leading, end in ((None, 1.0), (0.5, 0.5)):
        ax = lyapunov_plots.plot_spectrum(spectra, gains=[2.0], leading=leading)
        (largest,) = dashed(ax)
        assert_allclose(largest.get_ydata(), 0.154724, atol=1e-6)  # lambda_1 at g = 2
        x = only_line(ax, label="gain 2").get_xdata()
        assert x[-1] == end
        assert largest.get_xdata()[0] == 0
        assert largest.get_xdata()[1] < 0.1 * end, "short, as it is one number"
        assert largest.get_color() == only_line(ax, label="gain 2").get_color()
    ax = lyapunov_plots.plot_spectrum(spectra, gains=[0.8], leading=0.5)
    assert_allclose(dashed(ax)[0].get_ydata(), law.get_ydata()[: H // 2])


@pytest.mark.parametrize(
    ("changes", "gain", "rest", "known"),
    [
        ({}, 1.0, True, True),
        ({}, 1.01, False, True),
        ({"driven": True}, 0.5, False, True),
        ({"activation": "linear"}, 2.0, True, False),
        ({"activation": "relu"}, 0.5, False, False),
        ({"scheme": "orthogonal"}, 0.5, False, False),
        ({"scheme": "uniform"}, 1.7, True, True),  # effective gain 0.98
        ({}, 2000.0, False, False),
    ],
)
def test_where_theory_holds(spectra, changes, gain, rest, known):
    data = configured(spectra, **changes)
    assert lyapunov_plots.at_rest(data, gain) is rest
    assert (lyapunov_plots.mean_field(data, gain) is not None) is known


def test_theory_takes_the_variance_of_the_inputs(spectra):
    data = configured(spectra.assign(input_variance=1.0), driven=True)
    known = lyapunov_plots.mean_field(data, 1.5)
    assert_allclose(
        known.largest_exponent, theory.mean_field(1.5, input_variance=1.0).largest_exponent
    )


def test_transition_has_every_network_the_median_and_theory(transition):
    ax = lyapunov_plots.plot_transition(transition, n_hidden=4)
    values = transition.lyapunov_exponent.sel(n_hidden=4, exponent=1).values  # gain, seed
    x, y = only_line(ax, label="one network").get_data()
    assert_array_equal(np.sort(y), np.sort(values.ravel()))
    assert_array_equal(np.unique(x), GAINS)
    assert_allclose(only_line(ax, label="median").get_ydata(), np.median(values, axis=1))
    (law,) = dashed(ax)
    x, y = law.get_data()
    assert_allclose(y[x <= 1], np.log(x[x <= 1]), atol=1e-12)  # ln g below the transition
    assert_allclose(y[-1], 0.154724, atol=1e-6)
    assert [tuple(line.get_ydata()) for line in ax.lines[-1:]] == [(0.0, 0.0)]
    assert "4" in titled(ax)


def test_convergence_has_every_network_and_the_error_of_the_first(spectra):
    ax = lyapunov_plots.plot_convergence(spectra, gain=2.0)
    data = spectra.sel(n_hidden=H, gain=2.0)
    grey = [line for line in ax.lines if line.get_color() == "0.3"]
    assert_array_equal([line.get_ydata() for line in grey], data.running[1:])
    assert_array_equal(
        only_line(ax, label="first network, with standard error").get_ydata(), data.running[0]
    )
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    for sign in (-1, 1):
        edge = (data.running[0] + sign * data.running_error[0]).values[1:]
        assert all(np.isclose(corners[:, 1], value).any() for value in edge)
    assert_allclose(dashed(ax)[0].get_ydata(), 0.154724, atol=1e-6)
    assert "steps" in ax.get_xlabel()


def test_panels_that_are_compared_have_one_scale(datasets):
    drawn = lyapunov.draw(datasets)
    for name in ("transition", "convergence", "finite-time"):
        assert len({ax.get_ylim() for ax in drawn[name].axes}) == 1
    assert len({ax.get_xlim() for ax in drawn["finite-time"].axes}) == 1


def test_histogram_counts_every_block_once_and_marks_the_means(spectra):
    data = spectra.sel(n_hidden=H, gain=2.0)
    bins = np.linspace(-0.2, 0.3, 11)
    ax = lyapunov_plots.plot_finite_time(spectra, gain=2.0, bins=bins)
    blocks = np.clip(data.finite_time.values.ravel(), -0.2, 0.3)
    expected, _ = np.histogram(blocks, bins)
    heights = [patch.get_height() for patch in ax.patches]
    assert_allclose(heights, 100 * expected / blocks.size)
    assert_allclose(sum(heights), 100)
    assert "%" in ax.get_ylabel()
    (rug,) = marked(ax, "|")
    assert_array_equal(rug.get_xdata(), data.lyapunov_exponent.sel(exponent=1))
    assert_allclose(dashed(ax)[0].get_xdata(), 0.154724, atol=1e-6)


@pytest.mark.parametrize("variable", ["kaplan_yorke", "entropy_rate"])
def test_attractor_is_given_for_each_unit(spectra, variable):
    ax = lyapunov_plots.plot_attractor(spectra, variable)
    values = spectra[variable].sel(n_hidden=H).values / H
    networks = only_line(ax, label="one network").get_ydata()
    assert_array_equal(np.sort(networks), np.sort(values.ravel()))
    assert_allclose(only_line(ax, label="median").get_ydata(), np.median(values, axis=1))


def test_plots_draw_on_the_given_axes_or_on_new_ones(spectra, transition):
    plots = {
        lambda ax: lyapunov_plots.plot_spectrum(spectra, ax=ax),
        lambda ax: lyapunov_plots.plot_transition(transition, n_hidden=4, ax=ax),
        lambda ax: lyapunov_plots.plot_convergence(spectra, gain=2.0, ax=ax),
        lambda ax: lyapunov_plots.plot_finite_time(spectra, gain=2.0, bins=[0.0, 1.0], ax=ax),
        lambda ax: lyapunov_plots.plot_attractor(spectra, "kaplan_yorke", ax=ax),
    }
    for plot in plots:
        check_axes(plot)


def test_draw_makes_all_figures_without_a_warning(datasets):
    drawn = drawn_with_captions(
        lyapunov,
        datasets,
        "lyapunov-spectrum",
        "transition",
        "convergence",
        "finite-time",
        "attractor",
    )
    for figure in drawn.values():
        assert f"{SEEDS} networks" in figure.get_supxlabel()
        assert "no input" in figure.get_supxlabel()
    said = " ".join(drawn["lyapunov-spectrum"].get_supxlabel().split())
    assert (
        "Dashed, of large networks: ln |eigenvalue| by the circular law (at rest); short, on the "
        "left, mean field of the largest (others)."
    ) in said
    assert "10 steps" in drawn["finite-time"].get_supxlabel()


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([0.8, 1.0], "Dashed, of large networks: ln |eigenvalue| by the circular law (at rest). "),
        ([2.0], "Dashed, of large networks: short, on the left, mean field of the largest. "),
    ],
)
def test_the_caption_names_the_dashes_that_are_drawn(spectra, gains, words):
    assert lyapunov._known_spectrum(spectra, gains) == words
    assert lyapunov._known_spectrum(configured(spectra, scheme="orthogonal"), gains) == ""


def test_driven_networks_of_other_kinds_and_extreme_gains():
    settings = {"driven": True, "task": "adding", "scheme": "identity", "activation": "relu"}
    tiny = {"gain": (0.0, 1.0), "n_hidden": 2, "transition_n_hidden": (1,), "network_seeds": 1}
    run = {"n_steps": 60, "burn_in": 0, "block_steps": 3, "batch_size": 2, "n_threads": 1}
    datasets = lyapunov.compute(lyapunov.Settings(**settings, **tiny, **run), progress=False)
    for figure in lyapunov.draw(datasets).values():
        figure.draw_without_rendering()
        assert not any(dashed(ax) for ax in figure.axes), "theory where there is none"
        assert "mean field" not in figure.get_supxlabel()
    words = facts(lyapunov, datasets)
    assert words[0].startswith("Unstable: ")
    assert not any("Mean field" in text for text in words)


def test_chaos_needs_two_errors_and_more_than_a_cycle_shows(transition):
    exponents = transition.lyapunov_exponent
    for value, error, expected in ((0.1, 0.04, True), (0.1, 0.06, False), (0.0019, 0.0, False)):
        changed = transition.assign(
            lyapunov_exponent=0 * exponents + value, standard_error=0 * exponents + error
        )
        assert bool(lyapunov.chaotic(changed).all()) is expected
        assert bool(lyapunov.chaotic(changed).any()) is expected


def test_summary_follows_the_data(datasets):
    def altered(by_gain):
        data = datasets["transition"]
        shape = data.lyapunov_exponent.transpose("gain", ...).shape
        values = np.broadcast_to(np.reshape(by_gain, (-1, 1, 1, 1)), shape)
        dims = ("gain", *(d for d in data.lyapunov_exponent.dims if d != "gain"))
        return datasets | {
            "transition": data.assign(
                lyapunov_exponent=(dims, values), standard_error=(dims, 0 * values)
            )
        }

    words = facts(lyapunov, altered([-0.1, 0.25, 0.5]))
    assert words[1] == "H = 4: half of the networks or more are chaotic from gain 1 on."
    # nearest to 1.5 of gains 0.8, 1, 2: the first of the two
    assert "H = 8, gain 1: the largest exponent is +0.250 nats/step" in words[4]
    assert f"{SEEDS} of {SEEDS} networks are chaotic" in words[4]
    assert "Mean field says +0.000 at gain 1" in words[5]
    assert "chaotic from gain 2 on" in facts(lyapunov, altered([0.1, -0.1, 0.1]))[1]
    assert "chaotic at no gain" in facts(lyapunov, altered([0.1, 0.1, -0.1]))[1]


def test_summary_names_dimension_entropy_and_mean(datasets):
    data = datasets["spectra"]
    changed = data.assign(
        kaplan_yorke=0 * data.kaplan_yorke + 3.25,
        entropy_rate=0 * data.entropy_rate + 0.5,
        lyapunov_exponent=0 * data.lyapunov_exponent - 0.75,
    )
    last = facts(lyapunov, datasets | {"spectra": changed})[-1]
    assert "At gain 2 the median network of 8 units" in last
    assert "dimension 3.2 and an entropy rate of 0.50" in last
    assert "mean of its exponents is -0.75 nats/step" in last
