"""The portrait of one network: what is computed, artists of every panel, words."""

from dataclasses import replace

import numpy as np
import pytest
from artists import dashed, labelled, marked, only_line, texts
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle
from numpy.testing import assert_allclose, assert_array_equal
from recomputed import facts

import rnnsim
from analysis.frame import figures
from analysis.networks import portrait, portrait_page, portrait_plots
from rnnsim import theory
from rnnsim.experiments.portraits.portrait import subject_of

H, T, B = 9, 30, 3
ANALYSED = portrait
TINY = portrait.Settings(gain=1.2, n_hidden=H, length=T, batch_size=B, n_threads=1)
LN10 = np.log(10)


def computed(**changes):
    return portrait.compute(replace(TINY, **changes), progress=False)["portrait"]


def subject(**changes):
    """The network of these settings, its batch, and what that is in words."""
    s = replace(TINY, **changes)
    return subject_of(
        s.task,
        s.length,
        batch_size=s.batch_size,
        networks=(s.scheme, s.gain, s.n_hidden, s.seed),
        weights=s.weights,
        activation=s.activation,
        dtype=s.dtype,
    )


# What is computed.


def test_all_parts_are_those_of_the_library(data):
    rnn, sequences, reads = subject()
    flow = rnnsim.gradient_flow(rnn, sequences, per_sequence=True)
    exponents = rnnsim.lyapunov_spectrum(rnn, sequences.inputs)
    assert reads == "characters"
    assert_array_equal(data.exponents, exponents.exponents[0])
    assert_array_equal(data.kaplan_yorke, exponents.kaplan_yorke[0])
    assert_array_equal(data.log_norm_map, flow.log_norms[0])
    assert_array_equal(data.singular_values, rnnsim.spectrum(rnn).singular_values[0])
    assert float(data.sufficient_window) == rnnsim.sufficient_window(flow)[0]
    assert float(data.growth_rate) == rnnsim.growth_rate(flow).rate[0]


def test_the_network_is_the_one_that_a_sweep_draws(data):
    swept = rnnsim.sweep(
        "characters", gain=1.2, length=T, n_hidden=H, network_seeds=1, batch_size=B
    ).squeeze()
    assert_array_equal(swept.eigenvalues, data.eigenvalues)
    assert float(swept.growth_rate) == float(data.growth_rate)
    assert float(swept.sufficient_window) == float(data.sufficient_window)


def test_lag_curves_average_the_steps_that_reach_the_last_lag(data):
    rnn, sequences, _ = subject()
    norms = rnnsim.gradient_flow(rnn, sequences, per_sequence=True).per_sequence[0]
    last = int(data.growth_last_lag)
    for b, k in ((0, 0), (1, 3), (2, last)):
        steps = range(last, T)  # row i is step i + 1
        mean = np.mean([norms[i, k, b] - norms[i, 0, b] for i in steps])
        assert_allclose(data.log_norms[b, k], mean, atol=1e-12)  # sums in another order
    assert np.isnan(data.log_norms[:, last + 1 :]).all()


def test_every_variable_says_its_units(data):
    for name in data.data_vars:
        assert data[name].attrs["units"], name
        assert data[name].attrs["long_name"], name
    assert figures.configuration(data)["gain"] == 1.2


def test_theory_is_that_of_the_kind_of_network(data):
    drive = 1 / 1.0  # one-hot inputs: the variance over units of one column of W_xh
    rnn, sequences, _ = subject()
    columns = rnn.W_xh[0][:, sequences.inputs.argmax(axis=-1)]  # (H, T, B)
    expected = theory.mean_field(1.2, input_variance=drive * columns.var(axis=0).mean())
    assert_allclose(data.theory_exponent, expected.largest_exponent, rtol=1e-10)
    middles = 1 - (np.arange(H) + 0.5) / H
    assert_allclose(data.theory_singular_values, theory.singular_value_quantile(middles, 1.2))
    assert float(data.theory_radius) == 1.2
    orthogonal = computed(scheme="orthogonal")
    assert_allclose(orthogonal.theory_singular_values, 1.2)
    assert np.isnan(orthogonal.theory_exponent)
    uniform = computed(scheme="uniform", activation="linear", gain=-0.5)
    assert_allclose(uniform.theory_radius, 0.5 / np.sqrt(3))
    assert np.isnan(uniform.theory_exponent)


def test_errors_below_rounding_are_drawn_at_the_rounding(data):
    error = data.truncation_log_error.values
    assert not np.isnan(error).any()
    assert error[-1] == -np.inf
    assert np.isfinite(computed(gain=0.05).truncation_log_error[:-1]).all()


# Panels.


def test_eigenvalues_with_unit_circle_and_circle_of_theory(data):
    ax = portrait_plots.plot_eigenvalues(data)
    x, y = ax.lines[0].get_data()
    assert_array_equal(x + 1j * y, data.eigenvalues)
    circles = {c.get_linestyle(): c.radius for c in ax.patches if isinstance(c, Circle)}
    assert circles == {"solid": 1.0, "--": 1.2}
    assert ax.get_xlim()[1] > max(1.2, float(data.spectral_radius))


def test_singular_values_and_their_law(data):
    ax = portrait_plots.plot_singular_values(data)
    assert_array_equal(only_line(ax, style="--").get_ydata(), data.theory_singular_values)
    assert_array_equal(ax.lines[0].get_ydata(), data.singular_values)
    assert ax.lines[-1].get_ydata()[0] == 1.0
    assert ax.get_ylim()[1] > float(data.singular_values.max())


def test_exponents_with_errors_sequences_and_mean_field(data):
    ax = portrait_plots.plot_exponents(data)
    thin = [x for x in ax.lines if x.get_alpha() == 0.3]
    assert_array_equal(np.array([x.get_ydata() for x in thin]), data.exponents_of_sequences)
    points, _, (bars,) = ax.containers[0].lines
    assert_array_equal(points.get_ydata(), data.exponents)
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert_allclose(ends[:, 1] - ends[:, 0], 2 * data.exponent_errors, atol=1e-12)
    assert "nats/step" in ax.get_ylabel()
    (expected,) = dashed(ax)
    assert list(expected.get_ydata()) == [float(data.theory_exponent)] * 2
    assert expected.get_label() in [text.get_text() for text in ax.get_legend().get_texts()]
    assert not dashed(portrait_plots.plot_exponents(data.assign(theory_exponent=np.nan)))


def test_silent_units_are_said_to_have_no_exponent():
    ax = portrait_plots.plot_exponents(computed(activation="relu", gain=0.5))
    assert "infty" in ax.get_xlabel()
    assert np.isfinite(ax.containers[0].lines[0].get_ydata()).all()


def test_map_is_relative_to_lag_0_with_a_named_bar(data):
    ax = portrait_plots.plot_map(data)
    shown = ax.collections[0].get_array().reshape(T, T)  # (lag, step)
    assert_allclose(shown[0], 0.0)
    expected = (data.log_norm_map[20, 7] - data.log_norm_map[20, 0]) / LN10
    assert_allclose(shown[7, 20], expected)
    assert np.ma.getmaskarray(shown)[20, 7] or np.isnan(shown[20, 7])  # before step 1
    (bar,) = [other for other in ax.figure.axes if other is not ax]
    assert portrait_page.NORM in (bar.get_xlabel(), bar.get_ylabel())
    assert "step" in ax.get_xlabel()
    assert "lag" in ax.get_ylabel()


def test_sequences_are_held_against_their_mean_where_one_step_carries_loss():
    data = computed(task="adding")
    assert_array_equal(data.column, [1, 2, 3])
    ax = portrait_plots.plot_map(data)
    assert ax.get_title() == "How sequences differ"
    rnn, sequences, _ = subject(task="adding")
    norms = rnnsim.gradient_flow(rnn, sequences, per_sequence=True).per_sequence[0, 0]
    expected = (norms - norms[0]) / LN10  # (lag, sequence)
    expected = expected - expected.mean(axis=1, keepdims=True)
    lines = [line for line in ax.lines if line.get_alpha()]
    assert len(lines) == B
    for line, values in zip(lines, expected.T, strict=True):
        assert_array_equal(line.get_xdata(), data.lag)
        assert_allclose(line.get_ydata(), values, atol=1e-12)
    low, high = ax.get_ylim()
    assert low <= expected.min() <= expected.max() <= high
    alone = portrait_plots.plot_map(data.isel(column=slice(1)))
    assert texts(alone) == ["there is one sequence,\nand one step with loss"]
    caption = portrait_plots.page(data).get_supxlabel()
    assert "from the last step with loss, sequence by sequence" in caption


def test_slope_of_lambda_1_lies_beside_the_measured_norms(data):
    ax = portrait_plots.plot_lags(data)
    y = only_line(ax, style="--").get_ydata()
    assert_allclose(np.diff(y), float(data.exponents[0]) / LN10, rtol=1e-9)
    measured = only_line(ax, label="mean").get_ydata()
    first, last = int(data.growth_first_lag), int(data.growth_last_lag)
    assert_allclose(measured[: last + 1], data.log_norms[:, : last + 1].mean("sequence") / LN10)
    middle = slice(first, last + 1)
    assert_allclose(y[middle].mean(), measured[middle].mean(), atol=1e-12)
    assert len([x for x in ax.lines if x.get_alpha() == 0.3]) == B


def test_the_bound_is_drawn_where_it_stays_in_the_picture(data):
    assert "bound" not in labelled(portrait_plots.plot_lags(data.assign(spectral_norm=1e3)))
    leaves = data.assign(spectral_norm=1.5)  # begins inside, and leaves before the last lag
    ax = portrait_plots.plot_lags(leaves)
    last = int(data.growth_last_lag)
    assert np.log10(1.5) < ax.get_ylim()[1] < last * np.log10(1.5)
    assert "bound" not in labelled(ax)
    contracting = computed(gain=0.3)
    bound = only_line(portrait_plots.plot_lags(contracting), label="bound")
    norm, last = float(contracting.spectral_norm), int(contracting.growth_last_lag)
    assert norm < 1
    assert_allclose(bound.get_ydata(), np.arange(last + 1) * np.log10(norm), atol=1e-12)
    assert bound.get_linestyle() == "--"  # theory


def test_lines_over_lags_are_named_at_their_ends(data):
    ax = portrait_plots.plot_lags(data)
    assert texts(ax) == ["mean", portrait_plots.RATE]
    assert list(labelled(ax)) == texts(ax)


def test_truncation_marks_the_sufficient_window():
    data = computed(gain=0.6, tolerance=0.2)
    ax = portrait_plots.plot_truncation(data)
    window = float(data.sufficient_window)
    (dot,) = marked(ax, "o")
    assert_allclose(dot.get_xydata(), [[window, np.log10(0.2)]])
    assert ax.get_title() == f"Window for an error of 20%: {window:.0f} of {T} steps"
    (level,) = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert_allclose(level.get_ydata(), np.log10(0.2))
    K, y = only_line(ax, style="--").get_data()
    assert_allclose(y[window == K], np.log10(0.2))
    assert_allclose(np.diff(y), float(data.exponents[0]) / LN10)
    curve = ax.lines[0].get_ydata()
    assert_allclose(curve[:-1], data.truncation_log_error[:-1] / LN10)


def test_no_window_no_mark(data):
    ax = portrait_plots.plot_truncation(data.assign(sufficient_window=np.nan))
    assert ax.get_title() == "Window for an error of 10%: not known"
    assert not marked(ax, "o")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-3.2, 0.1, [-3, -2, -1, 0]),
        (-61.0, 2.0, [-60, -40, -20, 0]),
        (0.0, 1.0, np.log10([1, 2, 5, 10])),
        (-0.4, 0.4, np.log10([0.5, 1, 2])),
        (-60000.0, 0.0, np.arange(-60000, 1, 10000)),
    ],
)
def test_ticks(low, high, expected):
    assert_allclose(figures.ticks_between(low, high), expected, atol=1e-12)


def told(dataset):
    """What all tables say, by name."""
    return {name: value for table in portrait_plots.numbers(dataset) for name, value in table.rows}


def test_numbers_of_the_tables(data):
    matrix, rates, short = portrait_plots.numbers(data)
    assert [table.title for table in (matrix, rates)] == ["$W_{hh}$", "Rates (nats/step)"]
    values = told(data)
    assert values["spectral radius"] == f"{float(data.spectral_radius):.2f}"
    assert values["norm"] == f"{float(data.spectral_norm):.2f}"
    assert values["departure from normality"] == f"{float(data.henrici_relative):.0%}"
    assert values["entropy"] == f"{float(data.entropy_rate):.2f}"
    assert values["mean slope of units"] == f"{float(data.mean_slope):.2f}"
    assert values["window (steps)"] == f"{float(data.sufficient_window):.0f} of {T}"
    assert values["Kaplan-Yorke dim."].endswith(f" of {H}")
    assert len(values) == 9
    assert len(short.rows) == 3
    one = data.exponents.copy()
    one[0] = 0.12345
    errors = data.exponent_errors.copy()
    for error, text in ((0.02, "+0.123 ± 0.020"), (3e-5, "+0.12345 ± 0.00003")):
        errors[0] = error
        changed = data.assign(exponents=one, exponent_errors=errors)
        assert told(changed)["$\\lambda_1$"] == text
    unknown = told(data.assign(growth_rate=np.nan, sufficient_window=np.nan))
    assert unknown["gradients"] == "unknown"
    assert unknown["window (steps)"] == f"unknown of {T}"


def test_tables_are_written_as_they_are(data):
    for table in portrait_plots.numbers(data):
        ax = portrait_page.write_table(table)
        assert texts(ax) == [word for row in table.rows for word in row]


@pytest.mark.parametrize(
    "changes",
    [
        {"n_hidden": 1, "length": 22, "batch_size": 1},
        {"scheme": "identity", "gain": 0.0},
        {"activation": "linear", "gain": 1e9, "length": 60},  # leaves the range
        {"task": "copy_memory", "dtype": "float32"},
    ],
)
def test_every_network_gives_a_page_and_words(changes):
    data = {"portrait": computed(**changes)}
    with figures.style():
        (figure,) = portrait.draw(data).values()
        figure.draw_without_rendering()
    assert len(figure.axes) >= 9
    letters = [ax.get_title(loc="left")[:3] for ax in figure.axes[:6]]
    assert letters == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)"]
    assert len(facts(portrait, data)) == 5


def test_thin_lines_can_be_seen_in_grey():
    red, green, blue = to_rgb(figures.MEASURED)
    assert 0.3 * red + 0.6 * green + 0.1 * blue < 0.5


# Words.


def words(data, **changes):
    return facts(portrait, {"portrait": data.assign(changes)})


def leading(data, value, error=0.001):
    exponents, errors = data.exponents.copy(), data.exponent_errors.copy()
    exponents[0], errors[0] = value, error
    return {"exponents": exponents, "exponent_errors": errors}


def test_summary_says_what_becomes_of_gradients(data):
    assert "vanish, halving in 6.9 steps" in words(data, **leading(data, -0.1))[0]
    assert "explode, doubling in 6.9 steps" in words(data, **leading(data, 0.1))[0]
    assert "neither vanish nor explode" in words(data, **leading(data, 0.1, 0.06))[0]
    assert "not a number" in words(data, **leading(data, np.nan))[0]
    assert words(data)[0].startswith(f"gaussian, gain 1.2, {H} tanh units, seed 0, reading char")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (0.0125, "+0.123 +- 0.013"),
        (0.00096, "+0.12346 +- 0.00096"),
        (0.000996, "+0.1235 +- 0.0010"),  # whose first digit is further left once rounded
        (3e-7, "+0.123457 +- 3.0e-07"),
        (12.3, "+0 +- 12"),
        (0.0, "+0.123 +- 0"),
        (np.nan, "+0.123"),
    ],
)
def test_summary_has_two_digits_of_an_error(data, error, text):
    text = f"{text} nats/step"
    assert text in words(data, **leading(data, 0.123457, error))[0]
    assert text in words(data, growth_rate=0.123457, growth_rate_error=error)[1]


def test_summary_gives_rates_chaos_and_window(data):
    text = words(data, growth_rate=-0.25, growth_rate_error=0.125)[1]
    assert "change by -0.25 +- 0.12 nats/step" in text
    assert f"mean field says {float(data.theory_exponent):+z.3f}" in text
    assert "mean field" not in words(data, theory_exponent=np.nan)[1]
    assert words(data, growth_rate=np.nan)[1].startswith("No growth rate")
    assert words(data, exponents=-abs(data.exponents) - 1)[3].startswith("No Lyapunov exponent")
    assert words(data, exponents=abs(data.exponents) + 1)[3].startswith(f"{H} of {H}")
    assert "needs a window of 7 of 30 steps" in words(data, sufficient_window=7.0)[4]
    assert words(data, sufficient_window=np.nan)[4].startswith("No window is known")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 21}, "`length` must be at least 22, got 21"),
        ({"task": "subtracting"}, "`task` must be one of"),
        ({"scheme": "glorot"}, "`scheme` must be one of"),
        ({"gain": np.inf}, "`gain` must be a finite number"),
        ({"seed": -1}, "`seed` must be at least 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"n_hidden": 0}, "`n_hidden` must be at least 1"),
        ({"tolerance": 1.0}, "`tolerance` must be a finite number between 0 and 1"),
        ({"dtype": "float16"}, "`dtype` must be one of"),
        ({"n_threads": 0}, "`n_threads` must be at least 1"),
    ],
)
def test_settings_are_checked_before_anything_is_computed(changes, message, monkeypatch):
    monkeypatch.setattr("rnnsim.experiments.portraits.portrait.measure", None)  # so nothing can be
    with pytest.raises(ValueError, match=message):
        computed(**changes)


def test_too_much_memory_is_refused():
    with pytest.raises(MemoryError, match="give a smaller `length` or `batch_size`"):
        computed(length=8000, batch_size=4)
