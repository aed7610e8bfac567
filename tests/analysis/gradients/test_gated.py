"""Gradients of LSTMs and GRUs in figures: lines that hold for them, and kinds beside each other."""

import re

import numpy as np
import pytest
from artists import labelled
from matplotlib.text import Text
from numpy.testing import assert_allclose
from recomputed import facts

from analysis.frame import cells, figures
from analysis.gradients import gradient_norms, phase_plots, truncation, window

FEW = {"n_hidden": 4, "network_seeds": 3, "batch_size": 2, "n_threads": 1}
CELLS = {"cell": ("vanilla", "lstm"), "forget_bias": (0.0, 1.0)}
GAINS = (0.5, 1.0, 2.0)
LN10 = np.log(10.0)


@pytest.fixture(scope="module")
def norms():
    settings = gradient_norms.Settings(gain=GAINS, length=(6, 12), map_gain=(1.0,), **FEW, **CELLS)
    return gradient_norms.compute(settings, progress=False)


@pytest.fixture(scope="module")
def windows():
    settings = truncation.Settings(gain=GAINS, length=(8, 16), **FEW, **CELLS)
    return truncation.compute(settings, progress=False)


def of_lstm(datasets):
    """The datasets of the LSTM with forget bias 1."""
    return cells.kinds_of(datasets)[-1].datasets


def captions(drawn):
    """All text and the caption of each figure."""
    return {
        name: " ".join(t.get_text() for t in figure.findobj(Text)) + figure.get_supxlabel()
        for name, figure in drawn.items()
    }


def test_what_holds_for_tanh_networks_alone_is_not_drawn_for_others(norms, windows):
    with figures.style():
        drawn = gradient_norms.draw(norms) | truncation.draw(windows)
    assert len(drawn) == 3 * 5 + 3 * 5 - 2 + 1  # without two bounds; the comparisons share a name
    for name, text in captions(drawn).items():
        assert not re.search(r"\bnan\b", text)
        if "lstm" in name:
            assert "LSTM, forget bias" in text
            assert ("the state $(h, c)$" in text) == (r"\partial h" in text), name
            assert not re.search(r"must vanish|geometric bound|this measure of", text)
    assert "geometric-bound-vanilla" in drawn
    assert "must vanish" in captions(drawn)["phase-gain-length-vanilla"]
    for name in ("error-against-window", "sufficient-window"):
        assert "W_{xh}" in captions(drawn)[f"{name}-lstm-forget-bias-1"]
        assert "W_{xh}" not in captions(drawn)[f"{name}-vanilla"]


def test_the_mark_of_rest_stands_where_an_lstm_leaves_it(norms):
    (mark,) = labelled(phase_plots.plot_phase(of_lstm(norms)["last-step"])).values()
    critical = 4 / (1 + np.e)  # between the gains 1 and 2, which stand at 1 and 2
    assert_allclose(mark.get_ydata(), critical)
    assert "at rest, no input" in mark.get_label()
    assert mark.get_gid() == "theory"
    few = of_lstm(norms)["last-step"].sel(gain=[0.5, 1.0])
    assert not labelled(phase_plots.plot_phase(few))


def test_kinds_beside_each_other_are_medians_of_their_networks(norms, windows):
    with figures.style():
        by_lag = gradient_norms.draw(norms)["cells-beside-each-other"]
        by_window = truncation.draw(windows)["cells-beside-each-other"]
    names = ["vanilla networks", "LSTM, forget bias 0", "LSTM, forget bias 1"]
    panels = dict(zip((0.75, 1.0, 2.0), by_lag.axes, strict=False))
    lines = labelled(panels[2.0])
    assert list(lines) == names
    data = of_lstm(norms)["all-steps"].isel(length=-1).sel(gain=2.0).squeeze()
    curves = (data.log_norm - data.log_norm.isel(lag=0)).transpose("network_seed", "lag") / LN10
    assert_allclose(lines[names[2]].get_ydata()[:11], np.median(curves, axis=0)[:11])
    lines = labelled(by_window.axes[0])
    assert list(lines) == names
    data = of_lstm(windows)["windows"].sel(length=16, gain=0.5, truncation="sliding").squeeze()
    errors = data.truncation_log_error.transpose("network_seed", "window") / LN10
    known = np.isfinite(lines[names[2]].get_ydata())
    assert known.sum() > 3
    assert_allclose(lines[names[2]].get_ydata()[known], np.median(errors, axis=0)[known])


def test_trained_networks_of_several_cells_are_told_apart():
    settings = window.Settings(
        length=12, delay=3, windows=(2, 4), stride=2, n_batches=2, network_seeds=3, n_hidden=5,
        batch_size=2,
    )  # fmt: skip
    vanilla = window.compute(settings, progress=False)["window"]
    data = vanilla.expand_dims(cell=["vanilla", "gru"])
    words = facts(window, {"window": data})
    alone = facts(window, {"window": vanilla})
    assert words == ["Vanilla networks:", *alone, "GRU:", *alone]
    with figures.style():
        drawn = window.draw({"window": data})
        for figure in drawn.values():
            figure.draw_without_rendering()
    assert list(drawn) == [
        "score-against-window-vanilla", "learning-curves-vanilla", "score-against-window-gru",
        "learning-curves-gru",
    ]  # fmt: skip
    assert [text.startswith("vanilla") for text in map(_title, drawn.values())] == [
        True, True, False, False,
    ]  # fmt: skip


def _title(figure):
    if figure.legends:
        return figure.legends[0].get_title().get_text()
    return figure.get_suptitle()
