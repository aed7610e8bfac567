"""Figures of dynamical isometry: artists, labels, slopes beside measurement, words from data."""

import numpy as np
import pytest
from artists import check_axes, dashed, drawn_with_captions, labelled, marked, texts, thin, titled
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

from analysis.dynamics import isometry, isometry_plots

ANALYSED = isometry
H, LAGS, GAINS = 6, (1, 4, 9), (0.6, 1.4)
TINY = isometry.Settings(
    gain=GAINS,
    histogram_gain=1.4,
    lags=LAGS,
    length=12,
    exponent_steps=60,
    n_hidden=H,
    network_seeds=2,
    batch_size=2,
    n_threads=1,
)


def test_lines_are_the_largest_the_median_and_the_smallest(data):
    ax = isometry_plots.plot_singular_values_against_lag(data, scheme="gaussian", gain=1.4)
    values = data.log_singular_value.sel(scheme="gaussian", gain=1.4).values.reshape(4, 3, H)
    middle = (values[..., 2] + values[..., 3]) / 2
    for name, each in (
        ("largest", values[..., 0]), ("median", middle), ("smallest", values[..., -1]),
    ):  # fmt: skip
        line = labelled(ax)[name]
        assert_array_equal(line.get_xdata(), LAGS)
        assert_allclose(line.get_ydata(), np.median(each, axis=0))
        networks = [x.get_ydata() for x in thin(ax)]
        assert all(any(np.allclose(row, y) for y in networks) for row in each)
    assert len({line.get_marker() for line in labelled(ax).values()}) == 3
    assert "nats" in ax.get_ylabel()
    assert "lag" in ax.get_xlabel()


def test_the_band_holds_nine_tenths(data):
    ax = isometry_plots.plot_singular_values_against_lag(data, scheme="orthogonal", gain=0.6)
    values = data.log_singular_value.sel(scheme="orthogonal", gain=0.6, lag=9).values.ravel()
    (band,) = ax.collections
    edge = [y for x, y in band.get_paths()[0].vertices if x == 9]
    assert_allclose([min(edge), max(edge)], np.quantile(values, [0.05, 0.95]))
    assert "90% of all values" in [each.get_label() for each in isometry_plots.direction_key()]


def test_dashed_slopes_are_the_lyapunov_exponents(data):
    ax = isometry_plots.plot_singular_values_against_lag(data, scheme="identity", gain=1.4)
    exponents = data.lyapunov_exponent.sel(scheme="identity", gain=1.4).median("network_seed")
    slopes = [np.ptp(line.get_ydata()) / np.ptp(line.get_xdata()) for line in dashed(ax)]
    assert_allclose(slopes, np.abs(exponents.values[[0, -1]]))
    assert all(line.get_ydata()[0] == 0 for line in dashed(ax))
    assert titled(ax) == "identity, gain 1.4"
    assert not texts(ax), "no words over the data"


def test_range_holds_the_largest_values_and_the_medians(data):
    for gain in GAINS:
        low, high = isometry_plots.seen_range(data, gain)
        part = data.log_singular_value.sel(gain=gain)
        assert low < float(part.median(["network_seed", "sequence", "unit"]).min()) < high
        assert high > max(float(part.max()), 0.0)


def test_what_is_not_resolved_or_0_is_not_drawn(data):
    changed = data.copy(deep=True)
    changed.rounding.loc[{"unit": H - 1, "lag": 9}] = 1e-3
    changed.log_singular_value.loc[{"unit": 0, "lag": 4}] = -np.inf
    kept = isometry_plots.resolved(changed)
    missing, zero = kept.isnull(), np.isneginf(kept)
    assert missing.sel(unit=H - 1, lag=9).all()
    assert zero.sel(unit=0, lag=4).all()
    assert int(missing.sum()) == int(zero.sum()) == missing.sel(unit=0, lag=4).size
    ax = isometry_plots.plot_singular_values_against_lag(changed, scheme="gaussian", gain=1.4)
    assert np.isnan(labelled(ax)["largest"].get_ydata()).tolist() == [False, True, False]
    assert np.isnan(labelled(ax)["smallest"].get_ydata()).tolist() == [False, False, True]
    caption = isometry.draw({"products": changed})["singular-values-against-lag"].get_supxlabel()
    share = 1 - 1 / (len(LAGS) * H)
    assert f"resolves {share:.1%} of the values" in caption


def test_histograms_add_up_and_name_their_middle(data):
    for lag in (1, 9):
        ax = isometry_plots.plot_histogram(data, scheme="gaussian", gain=1.4, lag=lag)
        values = data.log_singular_value.sel(scheme="gaussian", gain=1.4, lag=lag).values
        assert_allclose(sum(bar.get_height() for bar in ax.patches), 100.0)
        edges = [bar.get_x() for bar in ax.patches]
        assert min(edges) <= values.min()
        assert edges[-1] + ax.patches[-1].get_width() >= max(values.max(), 0.0)
        (median,) = marked(ax, "^")
        assert_allclose(median.get_xdata(), np.median(values))
        low, high = np.quantile(values, [0.05, 0.95])
        number = isometry_plots._rounded
        assert titled(ax) == (
            f"gaussian, {lag} step{'s' * (lag > 1)}\nmiddle 90%: {number(low)} to {number(high)}"
        )
        assert not texts(ax)
        assert any(list(line.get_xdata()) == [0, 0] for line in ax.lines)


@pytest.mark.parametrize(
    ("x", "text"),
    [(0.04, "0.0"), (-0.04, "0.0"), (0.06, "+0.1"), (-2.34, "-2.3"), (-np.inf, "-inf")],
)
def test_what_rounds_to_nothing_has_no_sign(x, text):
    assert isometry_plots._rounded(x) == text


def test_overlap_at_a_few_lags(data):
    ax = isometry_plots.plot_overlap(data, scheme="identity", lags=(1, 10))
    values = data.gradient_overlap.sel(scheme="identity", gain=0.6, lag=[1, 9]).values
    line = labelled(ax)["gain 0.6"]
    assert_array_equal(line.get_xdata(), [1, 9])
    assert_allclose(line.get_ydata(), np.median(values.reshape(4, 2), axis=0))
    assert texts(ax) == ["gain 0.6", "gain 1.4", "chance"]


def test_overlap_has_a_line_for_each_gain_and_chance_dashed(data):
    ax = isometry_plots.plot_overlap(data, scheme="orthogonal")
    lines = labelled(ax)
    for gain in GAINS:
        values = data.gradient_overlap.sel(scheme="orthogonal", gain=gain).values.reshape(4, -1)
        assert_allclose(lines[f"gain {gain:g}"].get_ydata(), np.median(values, axis=0))
    (chance,) = dashed(ax)
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((4000, 200))
    mean = np.abs(draws[:, 0] / np.linalg.norm(draws, axis=1)).mean()
    assert_allclose(chance.get_ydata(), np.sqrt(2 / (np.pi * H)))
    assert_allclose(mean, np.sqrt(2 / (np.pi * 200)), rtol=0.05)  # 4000 draws: 1.2% at one sigma


@pytest.mark.parametrize(
    "plot",
    [
        lambda d, ax: isometry_plots.plot_singular_values_against_lag(
            d, scheme="identity", gain=0.6, ax=ax
        ),
        lambda d, ax: isometry_plots.plot_histogram(d, scheme="identity", gain=0.6, lag=4, ax=ax),
        lambda d, ax: isometry_plots.plot_overlap(d, scheme="identity", ax=ax),
    ],
)
def test_plots_draw_on_the_given_axes_or_on_new_ones(data, plot):
    check_axes(lambda ax: plot(data, ax))


def test_draw_makes_all_figures_without_a_warning(datasets):
    drawn = drawn_with_captions(
        isometry,
        datasets,
        "singular-values-against-lag",
        "singular-value-histograms",
        "gradient-direction",
    )
    for figure in drawn.values():
        assert "2 networks (6 tanh units) along 2 sequences" in figure.get_supxlabel()
    assert "Rounding: at most" in drawn["singular-values-against-lag"].get_supxlabel()


def test_summary_has_the_numbers(datasets, data):
    sentences = facts(isometry, datasets)
    assert len(sentences) == 3 * len(GAINS)
    part = data.sel(scheme="gaussian", gain=0.6, lag=9)
    values = [float(part.log_singular_value.isel(unit=i).median()) for i in (0, -1)]
    assert sentences[0].startswith("gaussian, gain 0.6: after 9 steps")
    assert f"are {values[0]:.1f}, " in sentences[0]
    assert f" and {values[1]:.1f} (spread {values[0] - values[1]:.1f} nats" in sentences[0]
    exponent = float(part.lyapunov_exponent.isel(unit=0).median())
    assert f"Lyapunov exponents {exponent:+z.3f} to" in sentences[0]
    gone = data.assign(
        log_singular_value=data.log_singular_value - np.inf, rounding=0 * data.rounding
    )
    words = facts(isometry, {"products": gone})[0]
    assert "are -inf, -inf and -inf (isometry: all 0; exactly 0: 24 of 24)" in words
    unknown = data.assign(rounding=data.rounding + 1.0)
    words = facts(isometry, {"products": unknown})[0]
    assert (
        "are not resolved, not resolved and not resolved (isometry: all 0; not resolved: 24"
        in words
    )


def test_most_singular_values_exactly_0(data):
    """Of 6, 4 are exactly 0: median and smallest are 0, whatever the other two are."""
    values = np.array([-0.5, -4.8, -np.inf, -np.inf, -np.inf, -np.inf])
    filled = np.broadcast_to(values, data.log_singular_value.shape)
    dead = data.assign(
        log_singular_value=data.log_singular_value.copy(data=filled), rounding=0 * data.rounding
    )
    words = facts(isometry, {"products": dead})[0]
    assert "are -0.5, -inf and -inf (isometry: all 0; exactly 0: 16 of 24)" in words
    ax = isometry_plots.plot_singular_values_against_lag(dead, scheme="gaussian", gain=0.6)
    assert_allclose(labelled(ax)["largest"].get_ydata(), -0.5)
    assert np.isnan(labelled(ax)["median"].get_ydata()).all()
    assert titled(ax) == "gaussian, gain 0.6\n(at lag 9 exactly 0: 16 of 24)"
    ax = isometry_plots.plot_histogram(dead, scheme="gaussian", gain=0.6, lag=4)
    assert_allclose(sum(bar.get_height() for bar in ax.patches), 100 / 3)
    assert titled(ax) == ("gaussian, 4 steps\nmiddle 90%: -inf to -0.5\nexactly 0: 16 of 24")
    assert not marked(ax, "^")
    near = dead.assign(log_singular_value=0 * data.log_singular_value - 0.04)
    ax = isometry_plots.plot_histogram(near, scheme="gaussian", gain=0.6, lag=4)
    assert titled(ax).endswith("middle 90%: 0.0 to 0.0")
    mixed = dead.assign(rounding=dead.rounding.where(dead.unit != 1, 1e-3))
    words = facts(isometry, {"products": mixed})[0]
    assert "(isometry: all 0; exactly 0: 16 of 24, not resolved: 4 of 24)" in words


def test_relu_whose_values_are_exactly_0():
    settings = isometry.Settings(
        gain=(1.0,), histogram_gain=0.0, lags=(1,), length=3, exponent_steps=23, n_hidden=1,
        network_seeds=1, batch_size=1, activation="relu", scheme=("uniform",), n_threads=1,
    )  # fmt: skip
    datasets = isometry.compute(settings, progress=False)
    for figure in isometry.draw(datasets).values():
        figure.draw_without_rendering()
    assert len(facts(isometry, datasets)) == 2
