"""Every curve of every figure is the evidence of its finding, and says so in words."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

from analysis.diagnosis.plots import lag_plots, noise_plots, state_plots, window_plots
from analysis.diagnosis.plots.pictures import KINDS, pictures
from analysis.diagnosis.plots.points import factor, factor_between, logs, number, points, table

LN10 = np.log(10)


def same(values):
    return np.asarray(values, float)


def powers(values):
    return same(values) / LN10


def decades(values):
    return np.array([np.log10(x) if x > 0 else np.nan for x in values])


# Points of a panel, the plot that draws them, and of each curve the finding, its rows of x and y,
# and how y is drawn.
CURVES = {
    "gradient": (
        lag_plots.gradient_points, lag_plots.plot_gradient,
        [("gradient_rate", "lag", "log_change", powers)],
    ),
    "memory": (
        lag_plots.memory_points, lag_plots.plot_memory,
        [("forward_memory", "reset", "loss", same)],
    ),
    "held": (
        lag_plots.held_points, lag_plots.plot_held,
        [("state_memory", "reset", "change", lambda x: 100 * np.asarray(x))],
    ),
    "shares": (
        window_plots.share_points, window_plots.plot_shares,
        [(f"reach_{of}", "window", "cumulative_share", same) for of in ("W_hh", "W_xh")],
    ),
    "errors": (
        window_plots.error_points, window_plots.plot_window_errors,
        [("window_for_10_percent", "window", "error", decades)],
    ),
    "noise": (
        noise_plots.error_points, noise_plots.plot_bias_and_variance,
        [("noise_and_bias", "window", "bias2", decades),
         ("noise_and_bias", "window", "variance", decades),
         ("best_window", "window", "mean_square_error", decades)],
    ),
    "horizon": (
        noise_plots.lag_points, noise_plots.plot_horizon,
        [("horizon", "lag", "signal", decades), ("horizon", "lag", "noise", decades)],
    ),
}  # fmt: skip
LAYERS_AND_GATES = {
    "parts": (window_plots.part_points, window_plots.plot_parts),
    "gates": (state_plots.gate_points, state_plots.plot_gates),
    "blocks": (state_plots.block_points, state_plots.plot_blocks),
}


def finite(values):
    return np.where(np.isfinite(values), values, np.nan)


@pytest.mark.parametrize("panel", CURVES)
def test_curves_are_the_evidence(panel, found):
    of, plot, rows = CURVES[panel]
    expected = [
        (found[name].evidence[x], drawn(found[name].evidence[y]))
        for name, x, y, drawn in rows
        if found[name].evidence
    ]
    curves, ax = of(found), plot(found)
    assert len(curves) == len(expected)
    for curve, (x, y) in zip(curves, expected, strict=True):
        assert_array_equal(curve.x, x)
        assert_allclose(curve.y, finite(y), rtol=1e-12, atol=1e-12)
        assert len(curve.at) == len(curve.values) == len(x)
        assert any(
            np.array_equal(line.get_xdata(), curve.x)
            and np.array_equal(line.get_ydata(), curve.y, equal_nan=True)
            for line in ax.lines
        )


def test_time_scales_and_states(found):
    scales, sizes = found["time_scale"].evidence, found["carried_state"].evidence
    for curve in state_plots.time_points(found):
        assert_allclose(curve.y, finite(decades(scales["time_scale"])))
        assert np.all(np.diff(curve.x) > 0)
        assert_allclose([curve.x[0], curve.x[-1]], [0.5 / curve.x.size, 1 - 0.5 / curve.x.size])
    drawn = state_plots.state_points(found)
    assert len(drawn) == max(len(sizes) - 1, 0)
    for curve in drawn:
        rms = np.array(sizes[f"rms_{curve.name}"])
        wide = not np.array_equal(curve.y, rms)
        assert_array_equal(curve.x, sizes["steps"])
        assert_allclose(curve.y, finite(decades(rms)) if wide else rms)
        if wide:
            everything = np.concatenate([v for k, v in sizes.items() if k != "steps"])
            assert everything.max() > 100 * everything[everything > 0].min()


def test_batches_in_order(found):
    for of, name, row, drawn in (
        (noise_plots.norm_points, "clipping_by_norm", "norm", decades),
        (noise_plots.cosine_points, "clipping_by_value", "cosine", same),
    ):
        rows, curves = found[name].evidence, of(found)
        assert bool(rows) == bool(curves)
        for curve in curves:
            order = np.argsort(rows[row], kind="stable")
            assert_allclose(curve.y, finite(drawn(np.array(rows[row])[order])))
            assert list(curve.at) == [f"batch {rows['batch'][k] + 1}" for k in order]


def test_eigenvalues(found):
    rows = found["spectrum"].evidence
    curves = state_plots.eigenvalue_points(found)
    if "real" not in rows:
        assert not curves
        return
    assert_array_equal(np.concatenate([each.x for each in curves]), rows["real"])
    assert_array_equal(np.concatenate([each.y for each in curves]), rows["imag"])
    assert len(curves) == max(rows["layer"])
    modulus = float(curves[0].values[0].rpartition(" ")[2])
    assert modulus == pytest.approx(np.hypot(rows["real"][0], rows["imag"][0]), rel=6e-3)


@pytest.mark.parametrize("panel", LAYERS_AND_GATES)
def test_bars(panel, found):
    of, plot = LAYERS_AND_GATES[panel]
    curves, ax = of(found), plot(found)
    labels = [text.get_text() for text in ax.get_yticklabels()]
    if panel == "parts":
        rows = found["gradient_by_layer_and_gate"].evidence
        expected = dict(zip(rows.get("block", ()), rows.get("share", ()), strict=True))
    elif panel == "gates":
        assert len(curves) == bool(found["gates"].evidence)
        return
    else:
        rows = {k: v for k, v in found["spectrum"].evidence.items() if "real" not in
                found["spectrum"].evidence}  # fmt: skip
        layers, several = rows.pop("layer", ()), found.about["n_layers"] > 1
        expected = {
            f"layer {n}, {gate}" if several else gate: rows[gate][k]
            for k, n in enumerate(layers) for gate in rows
        }  # fmt: skip
    if not expected:
        assert not curves
        return
    assert labels == list(expected) == list(curves[0].at)
    assert_allclose([bar.get_width() for bar in ax.patches], list(expected.values()))
    assert_allclose(curves[0].x, list(expected.values()))
    assert_array_equal(curves[0].y, np.arange(len(labels)))


def test_a_picture_of_all_that_has_evidence_and_of_nothing_else(found):
    drawn = {picture.name: picture for picture in pictures(found)}
    for kind in KINDS:
        curves = [curve for panel in kind.panels for curve in panel.points(found)]
        assert (kind.name in drawn) == bool(curves)
        if not curves:
            continue
        picture = drawn[kind.name]
        assert isinstance(picture.figure, Figure)
        picture.figure.draw_without_rendering()
        for name in kind.findings:
            assert (found[name].words in picture.words) == found[name].known
        for curve in picture.curves:
            assert curve.axes in picture.figure.axes
            assert np.isfinite(curve.x).all()
            assert np.isfinite(curve.y).all()
            assert len(curve.x) == len(curve.y) == len(curve.texts) > 0
        assert sum(len(row) - 1 for row in picture.table.rows) >= sum(len(c.at) for c in curves)


def test_what_the_pointer_says(case):
    found = case("vanishes")
    (curve,) = lag_plots.gradient_points(found)
    said = curve.curve(lag_plots.plot_gradient(found)).texts
    assert said[7] == f"lag 7: {0.9**7:.3g} of lag 0"
    (loss,) = lag_plots.memory_points(found)
    rows = found["forward_memory"].evidence
    rise, error = rows["rise"][0], rows["error"][0]
    assert loss.values[0] == f"{rows['loss'][0]:.3g} (rise {rise:.3g} +- {error:.3g})"


def test_exact_zeros_are_rows_and_no_points(case):
    found = case("dead")
    (curve,) = lag_plots.gradient_points(found)
    assert list(curve.values[1:]) == ["0 of lag 0"] * (len(curve.values) - 1)
    assert curve.curve(lag_plots.plot_gradient(found)).texts == ["lag 0: 1 of lag 0"]


@pytest.mark.parametrize(
    ("log", "error", "text"),
    [
        (np.log(0.031), np.nan, "0.031"),
        (np.log(0.5), np.log(2), "0.5 (0.25 to 1)"),
        (-1000.0, np.nan, "10^-434.3"),
        (2000.0, 0.0, "10^868.6"),
        (-np.inf, np.nan, "0"),
        (np.inf, np.nan, "infinite"),
        (np.nan, np.nan, "not known"),
    ],
)
def test_factors(log, error, text):
    assert factor_between(log, error) == text
    assert factor(log) == text.partition(" (")[0]


def test_numbers():
    assert number(0.5, 0.1) == "0.5 +- 0.1"
    assert number(0.5, 0.0) == number(0.5) == "0.5"
    assert number(np.nan) == "not known"
    assert_array_equal(logs([1.0, 0.0, -1.0]), [0.0, -np.inf, np.nan])


def test_very_long_curves_are_drawn_and_told_in_part():
    n = 100_000
    at, said = [f"lag {k}" for k in range(n)], [str(k) for k in range(n)]
    curve = points("a", np.arange(n), np.arange(n), at, said)
    assert len(curve.x) == len(curve.at) == 2000
    assert (curve.at[0], curve.values[-1]) == ("lag 0", str(n - 1))
    short = table("A.", "lag", [curve])
    assert len(short.rows) == 50
    assert short.rows[-1] == [f"lag {n - 1}", str(n - 1)]
    assert "50 of each curve" in short.caption
    few = points("b", [1.0], [2.0], ["lag 0"], ["x"])
    assert table("A.", "lag", [few, curve]).rows[0] == ["lag 0", "x", "0"]
