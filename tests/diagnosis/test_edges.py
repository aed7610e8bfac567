"""Little data, no loss, no numbers: what can be said is said, and what cannot is named."""

import json

import numpy as np
import pytest
from known_networks import B, T, carousel, driven, echo, linear, shift_register

import rnnsim
from rnnsim import diagnose
from rnnsim.diagnosis.cases import Case, Part, bracket
from rnnsim.diagnosis.findings import percent

OF_LOSS = {
    "reach_W_hh", "reach_W_xh", "gradient_by_layer_and_gate", "window_error",
    "window_for_10_percent", "window_for_1_percent", "forward_memory", "noise_and_bias",
    "best_window", "horizon", "clipping_by_norm", "clipping_by_value",
}  # fmt: skip
LIMITS = {"window": 3, "clip_norm": 1.0, "clip_value": 1.0}


def unknown(found):
    return {each.name for each in found if not each.known}


def without_loss(data):
    return rnnsim.Sequences(data.inputs, data.targets, np.zeros(data.weights.shape))


@pytest.mark.parametrize("T", [1, 2, 3, 22, 23])
@pytest.mark.parametrize("B", [1, 2, 3, 9])
@pytest.mark.parametrize("rnn", [linear(0.9), carousel()], ids=["linear", "lstm"])
def test_sizes_of_one_and_a_few(rnn, B, T):
    found = diagnose(rnn, driven(n_sequences=B, n_steps=T), **LIMITS)
    assert found["range"].says == "finite"
    assert found["lambda_1"].known == (T >= 23)
    assert found["gradient_rate"].known == (T >= 3)
    assert found["noise_and_bias"].known == (B >= 3)
    of_data = [each for each in found if each.known and each.over != "the weights alone"]
    if B == 1:
        with_errors = {each.name for each in of_data if np.isfinite(each.error)}
        # one long sequence gives blocks of steps, and some numbers are certain
        assert with_errors <= {"lambda_1", "gradient_by_layer_and_gate"}
    json.dumps(found.to_dict(), allow_nan=False)
    assert len(found.to_xarray()["number"]) == len(found)


def test_one_sequence_has_numbers_without_errors():
    found = diagnose(linear(0.9), driven(n_sequences=1), window=10)
    for name in ("gradient_rate", "window_error", "reach_W_hh", "change_over_window"):
        assert found[name].known
        assert np.isnan(found[name].error)
        assert "error not known" in found[name].words
    assert found["gradient_rate"].number == pytest.approx(np.log(0.9))


@pytest.mark.parametrize("gain", [1e5, 1e30, 1e160])
def test_what_leaves_the_range(gain):
    rnn = linear(gain)
    found = diagnose(rnn, driven(), **LIMITS)
    first = rnnsim.gradient_flow(rnn, driven()).first_nonfinite[0]
    assert found["range"].number == first >= 1
    assert str(first) in found.verdict
    assert OF_LOSS - {"forward_memory"} <= unknown(found)
    assert found["spectrum"].number == pytest.approx(gain)
    assert found.to_try == ()


def test_weights_of_the_loss_that_are_all_0():
    found = diagnose(carousel(1.0), without_loss(driven()), **LIMITS)
    assert unknown(found) >= OF_LOSS
    assert "loss weight above 0" in found["window_error"].words
    assert found["gradient_rate"].number == pytest.approx(-np.log(1 + np.exp(-1)))
    assert "random cotangents" in found["gradient_rate"].words
    assert {"lambda_1", "gates", "time_scale", "carried_state", "spectrum"}.isdisjoint(
        unknown(found)
    )


def test_a_sequence_without_loss_is_no_part_by_itself():
    data = driven(n_sequences=4)
    weights = data.weights.copy()
    weights[:, 1] = 0
    found = diagnose(linear(0.9), rnnsim.Sequences(data.inputs, data.targets, weights), window=3)
    assert len(found["window_error"].parts) == 3
    assert found["window_error"].over == "3 parts of 1 to 2 sequences"


def test_inputs_alone():
    found = diagnose(linear(0.9), driven().inputs, **LIMITS)
    assert unknown(found) >= OF_LOSS
    assert "`targets`" in found["reach_W_hh"].words
    assert found["gradient_rate"].number == pytest.approx(np.log(0.9))


def test_no_readout():
    rnn = linear(0.9)
    silent = rnnsim.RNN(rnn.W_xh, rnn.W_hh, activation="linear")
    found = diagnose(silent, driven(), **LIMITS)
    assert unknown(found) >= OF_LOSS
    assert "readout" in found["window_error"].words


def test_derivatives_say_all_but_the_value_of_the_loss():
    rnn, data = linear(0.9), driven()
    dL_dy = (rnnsim.forward(rnn, data.inputs).outputs[0] - data.targets) / B
    given = diagnose(rnn, rnnsim.Sequences.from_gradients(data.inputs, dL_dy), **LIMITS)
    usual = diagnose(rnn, data, **LIMITS)
    assert unknown(given) - unknown(usual) == {"forward_memory"}
    assert "Sequences(inputs, targets)" in given["forward_memory"].words
    for name in OF_LOSS - {"forward_memory"} | {"gradient_rate", "change_over_window"}:
        np.testing.assert_allclose(given[name].number, usual[name].number, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(given[name].error, usual[name].error, rtol=1e-6, atol=1e-12)


def test_first_states_are_taken_over():
    rnn, data = carousel(), driven()
    rng = np.random.default_rng(0)
    first = {"h0": rng.normal(size=(B, 4)), "c0": rng.normal(size=(B, 4))}
    found = diagnose(rnn, data, window=10, **first)
    exact = rnnsim.lyapunov_spectrum(rnn, data.inputs, n_exponents=1, **first).exponents[0, 0]
    assert found["lambda_1"].number == exact
    full = found["forward_memory"].evidence
    exact = rnnsim.evaluate(rnn, data, **first).loss[0] / data.n_steps
    assert full["loss"][-1] == pytest.approx(exact)
    noise = rnnsim.window_bias_variance(rnn, data, B, **first)
    at = list(noise.windows).index(10)
    scaled = noise.variance_estimate[0, at] / found.about["batch_size"]
    assert found["noise_and_bias"].number == pytest.approx(noise.bias2_estimate[0, at] - scaled)
    assert found["best_window"].known
    assert found["horizon"].number == noise.horizon(found.about["batch_size"])[0]


def test_padding_is_left_out_of_the_states():
    rnn = linear(0.9)
    rng = np.random.default_rng(0)
    lengths = (5, 9, 12)
    x = [rng.normal(size=(n, 2)) for n in lengths]
    y = [rng.normal(size=(n, 1)) for n in lengths]
    found = diagnose(rnn, rnnsim.Sequences.ragged(x, y))
    rows = np.concatenate([rnnsim.forward(rnn, each[:, None]).states[0, 1:, 0] for each in x])
    values = np.linalg.eigvalsh(np.cov(rows.T))
    assert found["effective_rank"].number == pytest.approx(values.sum() ** 2 / (values**2).sum())


def ragged(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 2)) for n in lengths], [rng.normal(size=(n, 1)) for n in lengths]


def test_padding_is_left_out_of_what_is_carried():
    """Each sequence is read ten times over without what stands behind its end."""
    rnn = carousel(1.0)
    x, y = ragged((5, 9, 9, 30))
    found = diagnose(rnn, rnnsim.Sequences.ragged(x, y))["carried_state"]
    rms = []
    for rounds in (1, 10):
        runs = [rnnsim.forward(rnn, np.tile(each, (rounds, 1))[:, None]) for each in x]
        rms.append([np.sqrt(np.mean([r.final_h**2 for r in runs])),
                    np.sqrt(np.mean([r.final_c**2 for r in runs]))])  # fmt: skip
    for name, ours in zip(("rms_h", "rms_c"), np.array(rms).T, strict=True):
        ends = np.array(found.evidence[name])[[0, -1]]
        np.testing.assert_allclose(ends, ours, rtol=1e-9)
    assert "up to its last loss" in found.words
    assert "up to its last loss" not in diagnose(rnn, driven())["carried_state"].words


def test_padding_is_left_out_of_the_exponent():
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=6, n_outputs=1, rng=0)
    x, y = ragged((10, 40, 60, 40))
    found = diagnose(rnn, rnnsim.Sequences.ragged(x, y))["lambda_1"]
    alone = [rnnsim.lyapunov_spectrum(rnn, each[:, None], n_exponents=1) for each in x[1:]]
    assert found.number == pytest.approx(np.mean([each.exponents[0, 0] for each in alone]))
    assert found.over.startswith("3 sequences of 40 to 60 steps, the first 4 to 6 left out")


@pytest.mark.parametrize("max_lag", [1, 5, 12, 29, 100])
def test_lags_that_are_not_measured_are_said(max_lag):
    rnn, data = shift_register(6), echo(6)
    whole = diagnose(rnn, data, window=4)
    found = diagnose(rnn, data, window=4, max_lag=max_lag)
    all_of_it = max_lag >= 29
    assert ("`max_lag`" in found.summary()) == (not all_of_it)
    assert found.about["n_lags"] == min(max_lag + 1, 30)
    of_lags = {"gradient_rate", "rate_over_window", "horizon", "best_window"}
    for each in found:
        if each.known and each.number_known and each.name not in of_lags:
            assert each.number == pytest.approx(whole[each.name].number, abs=1e-12), each.name
    assert found["window_error"].known == found["noise_and_bias"].known == (max_lag >= 3)
    assert found["window_for_1_percent"].known == (max_lag >= 6)
    assert found["reach_W_xh"].known == (max_lag >= 6)
    if not found["window_error"].known:
        assert "give a larger `max_lag`" in found["window_error"].words


def test_the_lags_that_are_measured_depend_on_the_work_alone():
    """Long data with loss at all steps; the last loss alone goes back all the way."""
    rnn = rnnsim.RNN.sample(n_inputs=1, n_hidden=64, n_outputs=1, cell="lstm", rng=0)
    long = driven(n_inputs=1, n_steps=20_000, n_sequences=4)

    def lags(data):
        whole = Part(np.arange(data.n_sequences), data, None, None)
        given = {"window": 5, "batch_size": 1, "batch_given": False, "max_lag": None}
        limits = {"clip_norm": None, "clip_value": None, "n_threads": 1}
        return Case(rnn, whole, True, "", **given, **limits).n_lags

    K = lags(long)
    work = K * 4 * 64 * 66 * (2 * 20_000 * 4 + 300 * 4)
    assert 0.99 * 2e12 < work <= 2e12
    assert lags(driven(n_inputs=1, n_steps=2000, n_sequences=4)) == 2000
    assert lags(long.last_loss_only()) == 20_000


def unfinished(words):
    return [each for each in (" nan", "inf steps", "None") if each in words]


def test_words_where_something_is_0_or_has_no_end():
    """A layer without gradient, gates that never forget, gradients that cancel once clipped."""
    rng = np.random.default_rng(0)
    lower, upper = (rng.normal(size=(4, 4)) for _ in range(2))
    stack = rnnsim.Stack([
        rnnsim.RNN(lower[:, :2], lower, activation="relu", b_h=np.full(4, -1e3)),
        rnnsim.RNN(upper, 0.1 * upper, upper[:1], np.full(4, 9.0), activation="relu"),
    ])  # fmt: skip
    said = diagnose(stack, driven(), window=3)["reach_W_hh"].words
    assert "none, as it has no gradient" in said
    never = diagnose(carousel(800.0), driven())["time_scale"]
    assert never.number == np.inf
    assert "half of the units do not forget by e, the slowest never; 100 %" in never.words
    x = np.ones((3, 2, 1))
    ends = np.array([[3.0], [-1.0]])
    one = rnnsim.RNN(np.ones((1, 1)), np.full((1, 1), 0.5), activation="linear")
    turned = diagnose(one, rnnsim.Sequences.from_gradients(x, dL_dh_final=ends), clip_value=0.01)
    assert not turned["clipping_by_value_cosine"].known
    assert "not exactly 0" in turned["clipping_by_value_cosine"].words
    for each in (said, never.words, *(finding.words for finding in turned)):
        assert not unfinished(each)


def test_gradients_whose_squares_leave_the_range():
    """Segments are compared as windows are: their gradients are numbers, their squares none."""
    rnn, data = linear(0.9), driven()
    found = diagnose(rnn, data, window=4)["window_error"]
    dL_dy = (rnnsim.forward(rnn, data.inputs).outputs[0] - data.targets) / B
    for scale in (1e-170, 1e170):
        small = rnnsim.Sequences.from_gradients(data.inputs, dL_dy * scale)
        same = diagnose(rnn, small, window=4)["window_error"]
        assert same.words == found.words
    gone = rnnsim.Sequences.from_gradients(data.inputs, dL_dy * 1e-320)
    assert "nan" not in diagnose(rnn, gone, window=4).summary()


def test_few_sequences_of_much_noise_are_said():
    """Targets of noise: what 16 sequences say of ratios of the gradient is not that of many."""
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=12, n_outputs=1, cell="gru", rng=5)
    few, many = (driven(n_sequences=n, n_steps=20) for n in (16, 1024))
    for data, noisy in ((few, True), (many, False)):
        rows = []
        for part in np.array_split(np.arange(data.n_sequences), 8):
            own = rnnsim.Sequences(data.inputs[:, part], data.targets[:, part])
            g = rnnsim.bptt(rnn, own)
            rows.append(np.concatenate([getattr(g, n).ravel() for n in ("W_hh", "W_xh", "b_h")]))
        mean = np.mean(rows, axis=0)
        share = np.var(rows, axis=0, ddof=1).sum() / 8 / (mean @ mean)
        assert (share > 0.2) == noisy
        found = diagnose(rnn, data, window=8)
        for name in ("window_error", "reach_W_hh", "window_for_10_percent", "noise_and_bias"):
            assert found[name].known
            assert np.isnan(found[name].error) == noisy
            said = f"Noise of so few sequences is {percent(min(share, 1.0))}"
            assert (said in found[name].words) == noisy
        assert found["noise_and_bias"].says == "undecided" or not noisy
        assert np.isfinite(found["change_over_window"].error)


def test_windows_that_its_errors_leave_open():
    """The smallest window lies between those of the error curve less, and more, its errors."""
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=5, n_outputs=1, rng=0)
    values, errors = np.array([0.5, 0.12, 0.09, 0.05, 0.0]), np.array([0.1, 0.03, 0.02, 0.01, 0])
    assert bracket(values, errors, 0.1) == (1, 3)
    assert bracket(values, 0 * errors, 0.1) == (2, 2)
    assert bracket(values, np.nan * errors, 0.1) == (5, 5)
    found = diagnose(rnn, rnnsim.tasks.adding(25, 256, rng=0))
    for name, limit in (("window_for_10_percent", 0.1), ("window_for_1_percent", 0.01)):
        assert found[name].threshold == limit
        assert 0 <= found[name].error < 25


def test_a_cosine_within_its_error_is_not_decided():
    rng = np.random.default_rng(0)
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=5, n_outputs=1, rng=0)
    data = rnnsim.Sequences(rng.normal(size=(30, 8, 2)), rng.normal(size=(30, 8, 1)))
    for limit in (0.3, 1.0, 30.0, 1e9):
        found = diagnose(rnn, data, clip_norm=limit)["clipping_by_norm_cosine"]
        low, high = found.number - found.error, found.number + found.error
        says = "straight" if low >= 0.9 else "turned" if high < 0.9 else "undecided"
        assert found.says == says
    assert says == "straight"


def test_a_window_of_all_steps_is_whole():
    found = diagnose(shift_register(2), driven(3, 3), window=T)
    assert found["window_error"].says == "whole"
    assert found["window_error"].number == 0
    assert found["window_error"].error == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_dtypes(dtype):
    found = diagnose(linear(0.9).astype(dtype), driven().astype(dtype), window=10)
    assert found["gradient_rate"].number == pytest.approx(np.log(0.9), rel=1e-5)
    assert found.about["dtype"] == dtype


def test_a_network_from_a_file(tmp_path):
    path = tmp_path / "<b>.npz"
    rnn = rnnsim.RNN.sample(n_inputs=2, n_hidden=4, n_outputs=1, rng=0)
    rnnsim.write_network(path, rnn)
    found, same = diagnose(path, driven()), diagnose(rnn, driven())
    assert found.label == "<b>.npz"
    assert [each.number for each in found if each.number_known] == [
        each.number for each in same if each.number_known
    ]
    assert "<b>" not in found.beside(same)._repr_html_()


def test_misuse_teaches():
    rnn = rnnsim.RNN.sample(2, n_inputs=2, n_hidden=3, n_outputs=1, rng=0)
    with pytest.raises(ValueError, match=r"`network` must be one network, got an ensemble of 2"):
        diagnose(rnn, driven())
    with pytest.raises(ValueError, match=r"`readout` names a layer of a file, got 'fc'"):
        diagnose(rnn[0], driven(), readout="fc")
    with pytest.raises(TypeError, match=r"`network` must be a rnnsim.RNN.*got None"):
        diagnose(None, driven())
    with pytest.raises(FileNotFoundError, match=r"`network`"):
        diagnose("nowhere.pt", driven())
    with pytest.raises(TypeError, match=r"`other` must be a Diagnosis"):
        diagnose(rnn[0], driven()).beside(None)
    with pytest.raises(KeyError, match=r"no finding 'rate'; there are range, gradient_rate"):
        diagnose(rnn[0], driven())["rate"]
