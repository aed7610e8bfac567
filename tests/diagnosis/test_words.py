"""Data that say the opposite invert the words; every number that is said is that of the finding."""

import re

import numpy as np
import pytest
from known_networks import B, T, carousel, dead, driven, echo, linear, shift_register

import rnnsim
from rnnsim import diagnose


def tanh(gain, seed=0, H=12):
    return rnnsim.RNN.sample(n_inputs=2, n_hidden=H, n_outputs=1, gain=gain, rng=seed)


def pulled(x):
    """White noise, and sequences that are all one and the same."""
    data = driven(n_sequences=32)
    if x == "same":
        return rnnsim.Sequences(np.repeat(data.inputs[:, :1], 32, axis=1),
                                np.repeat(data.targets[:, :1], 32, axis=1))  # fmt: skip
    return data


# The finding, two cases that are each other's reverse, what they say and words that only one has.
REVERSED = [
    ("gradient_rate", (linear(0.8), driven(), {}), "vanishes", "vanishes on its way back",
     (linear(1.25), driven(), {}), "grows", "grows on its way back"),
    ("change_over_window", (linear(0.8), driven(), {"window": 8}), "falls", "of 0.168",
     (linear(1.25), driven(), {"window": 8}), "grows", "of 5.96"),
    ("rate_over_window", (linear(0.8), driven(), {"window": 8}), "falls", "0.168",
     (linear(1.25), driven(), {"window": 8}), "grows", "5.96"),
    ("lambda_1", (linear(0.8), driven(), {}), "differences shrink", "come together",
     (linear(1.25), driven(), {}), "differences grow", "next to each other part"),
    ("window_error", (shift_register(6), echo(6), {"window": 2}), "too short", "off by [1-9]",
     (shift_register(1), echo(1), {"window": 2}), "keeps the gradient", "off by 0 %"),
    ("window_for_10_percent", (shift_register(6), echo(6), {}), "fewer steps", "7 of 30",
     (linear(0.9), driven(n_steps=2), {}), "all steps", r"2.* of 2 steps"),
    ("forward_memory", (shift_register(3), echo(3), {}), "carries", "raises the loss",
     (linear(1.0), driven(), {}), "carries what harms", "lowers the loss"),
    ("forward_memory", (shift_register(3), echo(3), {}), "carries", "with 4 steps",
     (dead(), driven(), {}), "nothing carried", "nothing is seen"),
    ("noise_and_bias", (linear(0.9), pulled("same"), {"window": 2}), "bias limits",
     "the window limits", (linear(0.5), pulled("noise"), {"window": 30, "batch_size": 1}),
     "noise limits", "the batch limits"),
    ("carried_state", (linear(1.1), driven(), {}), "grows on", None,
     (linear(0.8), driven(), {}), "stays", None),
    ("idle_units", (dead(), driven(), {}), "mostly idle", "100 % of the units",
     (linear(), driven(), {}), "mostly alive", "^0 % of the units"),
    ("gates", (carousel(10.0), driven(), {}), "mostly between", "100 % above .9",
     (carousel(-10.0), driven(), {}), "mostly between", "f 100 % below .1"),
    ("time_scale", (carousel(10.0), driven(), {}), "longer than the data", "100 % of them take",
     (carousel(1.0), driven(), {}), "shorter than the data", " 0 % of them take"),
    ("clipping_by_norm", (linear(), driven(), {"clip_norm": 1e-3}), "all", " 100 % of",
     (linear(), driven(), {"clip_norm": 1e9}), "none", " 0 % of"),
    ("clipping_by_value_cosine", (linear(), driven(), {"clip_value": 1e-6}), "turned",
     "by [1-9][0-9.]* degrees",
     (linear(), driven(), {"clip_value": 1e9}), "straight", "turned by 0 degrees"),
    ("spectrum", (linear(0.9), driven(), {}), "inside the circle", r"modulus 0\.9",
     (linear(1.1), driven(), {}), "outside the circle", r"modulus 1\.1"),
    ("non_normality", (shift_register(3), echo(3), {}), "non-normal", "may grow",
     (linear(), driven(), {}), "nearly normal", "eigenvalues tell"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "one", "says", "words", "other", "reverse", "reversed_words"),
    REVERSED,
    ids=[f"{row[0]}: {row[2]}" for row in REVERSED],
)
def test_reversed_data_reverse_the_words(name, one, says, words, other, reverse, reversed_words):
    first, second = (diagnose(rnn, data, **options)[name] for rnn, data, options in (one, other))
    assert (first.says, second.says) == (says, reverse)
    for text, mine, others in ((words, first, second), (reversed_words, second, first)):
        if text is not None:
            assert re.search(text, mine.words)
            assert not re.search(text, others.words)


def test_no_outcome_is_said_of_both_sides():
    found = diagnose(linear(0.8), driven(), window=8)
    assert "grows" not in found.verdict
    assert "chaos" not in found.summary()


@pytest.mark.parametrize(
    ("rnn", "data", "options", "tried", "untried"),
    [
        (linear(0.8), driven(), {"window": 2}, ("orthogonal", "in place of 2"), ("smaller gain",)),
        (linear(1.25), driven(), {}, ("a smaller gain",), ("orthogonal", "in place of")),
        (linear(1.0), driven(), {}, (), ("orthogonal", "smaller gain", "forget bias")),
        (carousel(1.0), driven(), {}, ("larger forget bias",), ("orthogonal",)),
        (carousel(10.0), driven(), {}, (), ("forget bias", "chrono")),
        (shift_register(1), echo(1), {"window": 20}, ("of 2 steps in place of 20",), ("A longer",)),
        (dead(), driven(), {}, ("units are idle",), ("orthogonal",)),
        (linear(0.9), pulled("same"), {"window": 2}, ("A longer window",), ("larger batch",)),
        (linear(0.5), pulled("noise"), {"window": 30, "batch_size": 1}, ("A larger batch",),
         ("A longer window",)),
    ],
)  # fmt: skip
def test_what_to_try_has_a_reason(rnn, data, options, tried, untried):
    text = "\n".join(diagnose(rnn, data, **options).to_try)
    assert all(each in text for each in tried)
    assert not any(each in text for each in untried)


def test_initialisations_are_hypotheses_for_a_retrain():
    for rnn, word in ((linear(0.8), "orthogonal"), (carousel(1.0), "forget bias")):
        (line,) = [each for each in diagnose(rnn, driven()).to_try if word in each]
        assert line.startswith("For a retrain, a hypothesis:")


def test_words_are_of_these_weights_on_these_data():
    found = diagnose(tanh(1.0), driven(), window=5)
    for name in ("window_error", "window_for_10_percent", "reach_W_hh", "forward_memory"):
        assert "these weights on these data" in found[name].words
    assert not re.search(r"\btask\b|\bneeds? a window", found.summary())


ELSEWHERE = {  # whose words have other numbers, which tests of their own recompute
    "horizon", "noise_and_bias", "gradient_by_layer_and_gate",
}  # fmt: skip


@pytest.mark.parametrize("rnn", [tanh(1.0), carousel(1.0), linear(0.9)])
def test_the_number_that_is_said_is_that_of_the_finding(rnn):
    """To the digits that are said; percentages are of shares."""
    for each in diagnose(rnn, driven(), window=5, clip_norm=10.0):
        if not each.number_known or each.says == "nothing carried" or each.name in ELSEWHERE:
            continue
        told = [float(x) for x in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", each.words)]
        told += [np.exp(float(x)) for x in re.findall(r"e\^\((-?[\d.]+)", each.words)]
        error = np.nan_to_num(each.error)
        close = [
            abs(x - scale * each.number) <= scale * (0.006 * abs(each.number) + 0.05 * error) + 1e-9
            for x in told
            for scale in (1, 100)
        ]
        assert any(close), f"{each.name}: {each.number} is not in {each.words}"


def test_the_noise_is_that_of_batches_of_the_given_size():
    rnn, data = tanh(1.0), driven(n_sequences=32)
    one, four = (diagnose(rnn, data, window=5, batch_size=n)["noise_and_bias"] for n in (1, 4))
    np.testing.assert_allclose(one.evidence["variance"], 4 * np.array(four.evidence["variance"]))
    assert one.evidence["bias2"] == four.evidence["bias2"]
    assert "batches of 4 sequences" in four.words
    measured = rnnsim.window_bias_variance(rnn, data, 32)
    at = list(measured.windows).index(5)
    difference = measured.bias2_estimate[0, at] - measured.variance_estimate[0, at] / 4
    assert four.number == pytest.approx(difference)
    assert diagnose(rnn, data, batch_size=1)["horizon"].number == measured.horizon(1)[0]


def test_states_are_read_ten_times_over():
    rnn, data = tanh(1.5), driven()
    found = diagnose(rnn, data)["carried_state"].evidence
    states = rnnsim.forward(rnn, np.tile(data.inputs, (10, 1, 1))).states[0]
    rounds = range(T, 10 * T + 1, T)
    exact = [np.sqrt((states[k] ** 2).mean()) for k in rounds]
    assert found["steps"] == tuple(rounds)
    np.testing.assert_allclose(found["rms_h"], exact, rtol=1e-9)
    assert states.shape[1] == B


def test_a_change_within_its_error_is_not_decided():
    """Two sequences do not tell whether the state matters to the loss; many do."""
    rnn = carousel(1.0)
    few = diagnose(rnn, driven(n_sequences=2))["forward_memory"]
    assert few.says == "undecided"
    assert "not decided" in few.words
    assert np.isnan(few.number)
    many = diagnose(rnn, driven(n_sequences=512))["forward_memory"]
    assert many.says in ("carries", "carries what harms")


@pytest.mark.parametrize(
    ("rnn", "data", "said", "unsaid"),
    [
        (dead(), driven(), "vanishes where nothing is seen", "further back than a window"),
        (linear(0.0), driven(), "vanishes where nothing is seen", "further back than a window"),
        (shift_register(7), echo(7), "further back than a window of 3 goes", "nothing is seen"),
    ],
)
def test_nothing_there_is_told_from_what_is_out_of_reach(rnn, data, said, unsaid):
    verdict = diagnose(rnn, data, window=3).verdict
    assert said in verdict
    assert unsaid not in verdict
