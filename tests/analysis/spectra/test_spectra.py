"""Figures of spectra: artists, labels and scales, theory beside measurement, words from data."""

import numpy as np
import pytest
from artists import check_axes, dashed, drawn_with_captions, marked, texts, titled
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle
from numpy.testing import assert_allclose, assert_array_equal

import rnnsim
from analysis.spectra import spectra, spectrum_plots
from rnnsim.networks.initialisation import SCHEMES

ANALYSED = spectra
H, SEEDS, GAINS, DRAWN = 8, 2, (0.5, 1.5), 1.25
TINY = spectra.Settings(
    gain=GAINS,
    spectrum_gain=DRAWN,
    length=12,
    n_hidden=H,
    network_seeds=SEEDS,
    batch_size=3,
    n_threads=1,
)
UNIFORM = 1 / np.sqrt(3)  # sqrt(H) * standard deviation of U(-1/sqrt(H), 1/sqrt(H))
RADIUS = {"gaussian": 1.0, "orthogonal": 1.0, "identity": 1.0, "uniform": UNIFORM}
NORM = {"gaussian": 2.0, "orthogonal": 1.0, "identity": 1.0, "uniform": 2 * UNIFORM}


@pytest.fixture(scope="module")
def schemes(datasets):
    return datasets["schemes"]


@pytest.fixture(scope="module")
def one_gain(datasets):
    return datasets["one-gain"]


def dots(ax, marker):
    """Lines that are marks only."""
    return [x for x in marked(ax, marker) if x.get_linestyle() == "None"]


def medians(ax):
    """The line of each scheme that a legend would name."""
    return {x.get_label(): x for x in ax.lines if x.get_label() in SCHEMES}


def measured(dataset, scheme, variable):
    """(seed, gain) of one scheme, by plain indexing."""
    row = list(dataset.scheme.values).index(scheme)
    return dataset[variable].values[0, row].reshape(len(GAINS), SEEDS).T


def test_compute_measures_all_schemes_at_all_gains_and_the_drawn_one(schemes, one_gain):
    assert tuple(schemes.scheme.values) == SCHEMES
    assert_array_equal(schemes.gain, GAINS)
    assert_array_equal(one_gain.gain, [DRAWN])
    assert {"growth_rate", "mean_slope", "spectral_radius"} <= set(schemes)
    assert one_gain.eigenvalues.sizes["unit"] == H


@pytest.mark.parametrize("scheme", SCHEMES)
def test_eigenvalues_are_one_dot_for_each_unit_of_each_network(one_gain, scheme):
    ax = spectrum_plots.plot_eigenvalues(one_gain, scheme=scheme, gain=DRAWN)
    (line,) = ax.lines
    assert line.get_linestyle() == "None"
    x, y = line.get_data()
    expected = one_gain.eigenvalues.sel(scheme=scheme).values.ravel()
    assert x.size == SEEDS * H
    assert_array_equal(np.sort_complex(x + 1j * y), np.sort_complex(expected))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_eigenvalues_lie_beside_the_unit_circle_and_the_radius_of_theory(one_gain, scheme):
    ax = spectrum_plots.plot_eigenvalues(one_gain, scheme=scheme, gain=DRAWN)
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    (unit,) = (c for c in circles if not c.fill and c.get_linestyle() == "solid")
    (edge,) = (c for c in circles if not c.fill and c.get_linestyle() in ("dashed", "--"))
    filled = [c for c in circles if c.fill]
    assert unit.radius == 1.0
    assert_allclose(edge.radius, DRAWN * RADIUS[scheme])
    assert [c.radius for c in filled] == (
        [edge.radius] if scheme in ("gaussian", "uniform") else []
    )
    assert all(c.center == (0, 0) for c in circles)


def test_eigenvalue_axes_are_equal_labelled_and_wide_enough(one_gain):
    ax = spectrum_plots.plot_eigenvalues(one_gain, scheme="gaussian", gain=DRAWN)
    assert ax.get_aspect() == 1.0
    assert "real part" in ax.get_xlabel()
    assert "imaginary part" in ax.get_ylabel()
    radius = float(one_gain.spectral_radius.sel(scheme="gaussian").max())
    for low, high in (ax.get_xlim(), ax.get_ylim()):
        assert low == -high
        assert high > max(radius, DRAWN)


def test_eigenvalues_that_are_all_the_same_are_named(one_gain):
    found = {
        scheme: texts(plot)
        for scheme in ("identity", "orthogonal")
        for plot in [spectrum_plots.plot_eigenvalues(one_gain, scheme=scheme, gain=DRAWN)]
    }
    assert found == {"identity": [f"all {SEEDS * H} here"], "orthogonal": []}


def test_singular_values_of_every_network_and_their_median(one_gain):
    ax = spectrum_plots.plot_singular_values(one_gain, gain=DRAWN)
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    assert len(lines) == len(SCHEMES) * (SEEDS + 1)
    for scheme, line in medians(ax).items():
        values = one_gain.singular_values.sel(scheme=scheme).values.reshape(SEEDS, H)
        assert_array_equal(line.get_xdata(), np.arange(1, H + 1))
        assert_allclose(line.get_ydata(), np.median(values, axis=0))
        assert line.get_marker() != "None"
    assert "singular value" in ax.get_ylabel()
    assert "index" in ax.get_xlabel()


def test_singular_value_edges_are_dashed_once_for_each_value(one_gain):
    ax = spectrum_plots.plot_singular_values(one_gain, gain=DRAWN)
    heights = [line.get_ydata() for line in dashed(ax)]
    assert all(height[0] == height[1] for height in heights)
    expected = sorted({DRAWN * factor for factor in NORM.values()})
    assert_allclose(sorted(height[0] for height in heights), expected)
    assert sorted(texts(ax)) == sorted(SCHEMES), "each line has its name"


@pytest.mark.parametrize(
    ("variable", "label", "expected"),
    [
        ("spectral_radius", "spectral radius", lambda s, g: RADIUS[s] * g),
        ("spectral_norm", "spectral norm", lambda s, g: NORM[s] * g),
        ("henrici", "departure", lambda s, g: (NORM[s] != 1) * RADIUS[s] * g * np.sqrt(H / 2)),
        ("henrici_relative", "departure", lambda s, g: (NORM[s] != 1) * np.sqrt(0.5) + 0 * g),
        (
            "numerical_radius",
            "numerical radius",
            lambda s, g: (
                (NORM[s] / RADIUS[s]) ** 0.5 * RADIUS[s] * g
            ),  # sqrt(2), where norms double
        ),
    ],
)
def test_against_gain_networks_medians_and_theory(schemes, variable, label, expected):
    ax = spectrum_plots.plot_against_gain(schemes, variable)
    lines, clouds, theories = medians(ax), dots(ax, "."), dashed(ax)
    assert tuple(lines) == SCHEMES
    for scheme, cloud, line in zip(SCHEMES, clouds, theories, strict=True):
        values = measured(schemes, scheme, variable)
        assert_array_equal(cloud.get_ydata(), values.ravel())
        assert_array_equal(cloud.get_xdata(), np.tile(GAINS, SEEDS))
        assert_allclose(lines[scheme].get_ydata(), np.median(values, axis=0))
        assert_allclose(line.get_ydata(), expected(scheme, np.array(GAINS)))
    assert label in ax.get_ylabel()
    assert "gain" in ax.get_xlabel()
    ones = [line for line in ax.lines if list(line.get_ydata()) == [1, 1]]
    assert len(ones) == (variable in ("spectral_radius", "spectral_norm", "numerical_radius"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("variable", ["spectral_radius", "spectral_norm", "henrici_relative"])
def test_theory_is_what_large_networks_do(scheme, variable):
    # At H = 200 and over draws the radius is 1.04 +- 0.02 of its limit; the others are closer.
    rnn = rnnsim.RNN.sample(
        8, n_inputs=1, n_hidden=200, n_outputs=1, scheme=scheme, gain=1.3, rng=0
    )
    found = getattr(rnnsim.spectrum(rnn), variable).mean()
    expected = spectrum_plots.in_theory(variable, scheme, 1.3, 200)
    assert_allclose(found, expected, rtol=0.06, atol=1e-12)


def test_numerical_radius_of_large_networks_is_what_theory_says():
    # Half of the largest eigenvalue of W + W^T at some angle: 2% below its limit at H = 200.
    for scheme in ("gaussian", "uniform"):
        rnn = rnnsim.RNN.sample(
            2, n_inputs=1, n_hidden=200, n_outputs=1, scheme=scheme, gain=1.3, rng=0
        )
        found = np.linalg.eigvalsh(0.5 * (rnn.W_hh + rnn.W_hh.mT))[:, -1].mean()
        expected = spectrum_plots.in_theory("numerical_radius", scheme, 1.3, 200)
        assert_allclose(found, expected, rtol=0.05)


@pytest.mark.parametrize(
    "variable", ["kreiss", "eigenbasis_condition", "participation", "henrici_relative"]
)
def test_what_gain_does_not_change_is_drawn_by_scheme(schemes, variable):
    ax = spectrum_plots.plot_by_scheme(schemes, variable)
    clouds = [line for line in ax.lines if line.get_linestyle() == "None"]
    bars = [line for line in ax.lines if line.get_color() == "0.2"]
    names = [text.get_text() for text in ax.get_yticklabels()]
    for y, (scheme, cloud, bar) in enumerate(zip(SCHEMES, clouds, bars, strict=True)):
        values = schemes[variable].sel(scheme=scheme, gain=1.5).values.ravel()  # nearest to 1
        assert_array_equal(np.sort(cloud.get_xdata()), np.sort(values))
        assert np.abs(cloud.get_ydata() - y).max() <= 0.25
        assert_allclose(bar.get_xdata(), np.median(values))
        number = f"{np.median(values):{'.2f' if variable == 'henrici_relative' else '.3g'}}"
        assert names[y] == f"{scheme}\n{number}"
    expected = {
        "participation": [(H + 1) / 2],
        "henrici_relative": [np.sqrt(0.5) * (NORM[scheme] != 1) for scheme in SCHEMES],
    }.get(variable, [1.0])
    assert_allclose([line.get_xdata()[0] for line in dashed(ax)], expected)
    assert all(np.ptp(line.get_xdata()) == 0 for line in dashed(ax))


def test_infinite_values_are_counted_not_drawn(schemes):
    broken = schemes.assign(kreiss=schemes.kreiss.where(schemes.network_seed > 0, np.inf))
    ax = spectrum_plots.plot_by_scheme(broken, "kreiss")
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert [name.split("\n")[-1] for name in names] == ["1 infinite"] * 4
    assert all(np.isfinite(line.get_xdata()).all() for line in ax.lines)


def test_growth_has_a_dot_for_each_network_the_medians_and_the_log_of_the_radius(schemes):
    ax = spectrum_plots.plot_growth(schemes)
    lines, clouds = medians(ax), dots(ax, ".")
    assert tuple(lines) == SCHEMES
    assert len({line.get_marker() for line in lines.values()}) == len(SCHEMES)
    for (scheme, line), cloud in zip(lines.items(), clouds, strict=True):
        radius, rate = (measured(schemes, scheme, v) for v in ("spectral_radius", "growth_rate"))
        assert_array_equal(cloud.get_xdata(), radius.ravel())
        assert_array_equal(cloud.get_ydata(), rate.ravel())
        assert_allclose(line.get_xdata(), np.median(radius, axis=0))
        assert_allclose(line.get_ydata(), np.median(rate, axis=0))
    (reference,) = dashed(ax)
    assert_allclose(reference.get_ydata(), np.log(reference.get_xdata()))
    bounds = reference.get_xdata()[[0, -1]]
    assert_allclose(bounds, [schemes.spectral_radius.min(), schemes.spectral_radius.max()])
    straight = [tuple(map(tuple, line.get_data())) for line in ax.lines[-2:]]
    assert straight == [((0, 1), (0.0, 0.0)), ((1.0, 1.0), (0, 1))]
    assert sorted(texts(ax)) == sorted([*SCHEMES, reference.get_label()])


def test_growth_axes_say_quantity_and_unit_and_can_close_in(schemes):
    ax = spectrum_plots.plot_growth(schemes, zoom=2.0)
    assert ax.get_xscale() == "log"
    assert ax.get_yscale() == "linear"
    assert "(nats/step)" in ax.get_ylabel()
    assert "spectral radius" in ax.get_xlabel()
    assert_allclose(ax.get_xlim(), [0.5, 2.0])
    assert_allclose(ax.get_ylim(), [-np.log(2), np.log(2)])


def test_linear_orthogonal_networks_lie_on_the_reference():
    settings = {"activation": "linear", "scheme": "orthogonal", "measures": ("lags", "spectrum")}
    data = rnnsim.sweep(
        "characters", gain=GAINS, length=12, n_hidden=H, network_seeds=1, batch_size=3, **settings
    )
    ax = spectrum_plots.plot_growth(data)
    x, y = medians(ax)["orthogonal"].get_data()
    assert_allclose(y, np.log(GAINS), rtol=1e-9)  # exact but for rounding over 12 steps
    assert_allclose(x, GAINS)


@pytest.mark.parametrize(
    ("plot", "which"),
    [
        (lambda d, ax: spectrum_plots.plot_eigenvalues(d, scheme="uniform", gain=DRAWN, ax=ax), 1),
        (lambda d, ax: spectrum_plots.plot_singular_values(d, gain=DRAWN, ax=ax), 1),
        (lambda d, ax: spectrum_plots.plot_against_gain(d, "henrici", ax=ax), 0),
        (lambda d, ax: spectrum_plots.plot_growth(d, ax=ax), 0),
    ],
)
def test_plots_draw_on_the_given_axes_or_on_new_ones(schemes, one_gain, plot, which):
    data = (schemes, one_gain)[which]
    check_axes(lambda ax: plot(data, ax))


def test_draw_makes_all_figures_without_a_warning(datasets):
    drawn = drawn_with_captions(
        spectra,
        datasets,
        "eigenvalues",
        "singular-values",
        "radius-norm-normality",
        "growth-against-radius",
        "beyond-eigenvalues",
    )
    for figure in drawn.values():
        assert f"{SEEDS} " in figure.get_supxlabel(), "how many networks"


def test_only_theory_is_dashed(datasets):
    for figure in spectra.draw(datasets).values():
        for ax in figure.axes:
            black = [line for line in ax.lines if to_rgb(line.get_color()) == (0, 0, 0)]
            assert black == dashed(ax)


def test_eigenvalues_have_a_panel_for_each_scheme_on_one_scale(datasets):
    figure = spectra.draw(datasets)["eigenvalues"]
    for ax, scheme in zip(figure.axes, SCHEMES, strict=True):
        radius = float(datasets["one-gain"].spectral_radius.sel(scheme=scheme).median())
        assert titled(ax).startswith(f"{scheme}: ")
        assert titled(ax).endswith(f"{radius:.2f}")
        assert ax.get_xlim() == figure.axes[0].get_xlim() == ax.get_ylim()
    assert figure.axes[0].get_xlim()[1] > float(np.abs(datasets["one-gain"].eigenvalues).max())


def test_radius_and_norm_share_a_scale(datasets):
    radius, norm, *_ = spectra.draw(datasets)["radius-norm-normality"].axes
    assert radius.get_ylim() == norm.get_ylim()
    assert norm.get_ylim()[1] > float(datasets["schemes"].spectral_norm.max())
