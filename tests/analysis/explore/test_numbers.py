"""The numbers of every setting are medians and quartiles of the sweep, as they are shown."""

import json

import explored
import numpy as np
import pytest

import rnnsim
from analysis import explore
from analysis.explore.numbers import Kind
from analysis.frame.report.templates import plain


def of(data, kind, gain, length):
    """One setting of the dataset: networks first."""
    bias = 0.0 if kind.forget_bias is None else kind.forget_bias
    where = {"cell": kind.cell, "forget_bias": bias, "gain": gain, "length": length}
    return data.sel(where).squeeze(drop=True).transpose("network_seed", ...)


def ordered(values):
    """The median and the quartiles of three values: the second, and halfway to the others."""
    low, middle, high = np.sort(values, axis=0)
    with np.errstate(invalid="ignore"):
        return middle, (low + middle) / 2, (middle + high) / 2


def compare(rows, expected):
    """Within half a unit of the last digit: of the fourth, of quartiles of the third."""
    for row, exact, digits in zip(rows, expected, (4, 3, 3), strict=True):
        np.testing.assert_allclose(row, exact, atol=0.5001 * 10.0**-digits, rtol=0)


@pytest.fixture(params=explored.KINDS, ids=lambda kind: kind.name)
def here(request):
    """All settings of a kind, each with its part of the dataset."""
    settings = [s for s in explored.every_setting(explored.numbers()) if s.kind == request.param]
    assert len(settings) == 9
    return [(s, of(explored.dataset(), s.kind, s.gain, s.length)) for s in settings]


def test_norms_are_medians_of_powers_of_ten_relative_to_lag_0(here):
    for setting, data in here:
        logs = data.log_norm.values[:, : setting.length]
        with np.errstate(invalid="ignore"):
            ten = (logs - logs[:, :1]) / np.log(10)
        compare(setting.norm, ordered(ten))


def test_errors_are_medians_and_what_rounding_hides_lies_below(here):
    for setting, data in here:
        logs = data.truncation_log_error.values[:, : setting.length] / np.log(10)
        there = np.isfinite(data.log_gradient_norm.values)[:, None]
        shown = np.where(np.isnan(logs) & there, -np.inf, logs)
        compare(setting.error, ordered(shown))
        assert setting.error[0, -1] == -np.inf or setting.length == 1  # the whole sequence
        assert setting.error_at(setting.length) == -np.inf


def test_sufficient_windows_are_medians(here):
    for setting, data in here:
        np.testing.assert_equal(setting.sufficient, np.sort(data.sufficient_window.values)[1])


def test_by_another_road_they_are_those_of_truncated_bptt():
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=1, gain=2.0, rng=0)
    batch = rnnsim.tasks.adding(9, 3, rng=1)
    data = rnnsim.sweep(batch, weights=rnn, measures=("gradients", "lags", "truncation"))
    found = explore.numbers_of(data)
    setting = found.at(Kind("vanilla", None), 1.0, 9)
    full = rnnsim.bptt(rnn, batch).W_hh
    for window in range(1, 9):
        cut = rnnsim.truncated_bptt(rnn, batch, window=window, stride=1).W_hh
        error = np.linalg.norm(cut - full) / np.linalg.norm(full)
        assert 10 ** setting.error[0, window - 1] == pytest.approx(error, rel=1.2e-4)


def test_gains_and_lengths_ascend_and_kinds_are_those_that_exist():
    found = explored.numbers()
    assert found.gains == (0.0, 1.0, 3.0)
    assert found.lengths == (1, 8, 30)
    assert tuple(found.kinds) == explored.KINDS
    assert [kind.name for kind in found.kinds[:2]] == ["Vanilla network", "LSTM with forget bias 0"]
    assert found.start == (found.kinds[0], 1.0, 8, 1)


def test_without_recurrent_weights_nothing_goes_back():
    setting = explored.numbers().at(Kind("vanilla", None), 0.0, 30)
    assert setting.norm[0, 0] == 0
    assert (setting.norm[:, 1:] == -np.inf).all()
    assert (setting.error == -np.inf).all()
    assert setting.sufficient == 1


def test_a_window_beyond_the_sequence_makes_no_error():
    setting = explored.edge("grows")
    assert [setting.error_at(K) for K in (4, 11, 12, 13, 99)] == [0, 0, -np.inf, -np.inf, -np.inf]


def test_less_than_half_of_the_networks_known_is_not_known():
    data = explored.dataset().copy(deep=True)
    where = {"cell": "vanilla", "forget_bias": 0.0, "gain": 1.0, "length": 8}
    for seeds, known in (([0], True), ([0, 1], False)):
        data.log_norm.loc[where | {"network_seed": seeds}] = np.nan
        data.sufficient_window.loc[where | {"network_seed": seeds}] = np.nan
        found = explore.numbers_of(data).at(Kind("vanilla", None), 1.0, 8)
        assert np.isfinite(found.norm).all() == known
        assert np.isfinite(found.sufficient) == known


def test_axes_hold_all_medians_up_to_their_ends():
    found = explored.numbers()
    medians = np.concatenate([each.norm[0] for each in explored.every_setting(found)])
    most = np.abs(medians[np.isfinite(medians)]).max()
    assert found.decades == min(np.ceil(most), 6)
    edges = explored.at_edges()
    assert (edges.decades, edges.largest_error) == (6, 2)
    errors = np.concatenate([each.error[0] for each in explored.every_setting(found)])
    assert 1 <= found.largest_error <= 2
    assert found.largest_error >= min(2, 10 ** errors[np.isfinite(errors)].max())


@pytest.mark.parametrize("found", [explored.numbers, explored.at_edges])
def test_they_come_back_from_json_as_they_are(found):
    numbers = found()
    back = json.loads(json.dumps(plain(numbers.to_dict()), allow_nan=False))

    def value(each):
        return np.nan if each is None else float(each)

    for a, kind in enumerate(numbers.kinds):
        assert back["kinds"][a] == kind._asdict() | {"name": kind.name}
        for b, gain in enumerate(numbers.gains):
            for c, length in enumerate(numbers.lengths):
                setting, entry = numbers.at(kind, gain, length), back["settings"][a][b][c]
                for name in ("norm", "error"):
                    rows = [[value(each) for each in row] for row in entry[name]]
                    np.testing.assert_array_equal(rows, getattr(setting, name))
                np.testing.assert_equal(value(entry["sufficient"]), setting.sufficient)


def test_vanilla_networks_alone_need_no_forget_bias():
    settings = explore.Settings(
        n_hidden=3, network_seeds=1, batch_size=1, gain=(1.0,), length=(4,), cell=("vanilla",)
    )
    found = explore.numbers_of(explore.compute(settings))
    assert found.kinds == (Kind("vanilla", None),)
    assert found.start == (found.kinds[0], 1.0, 4, 1)
