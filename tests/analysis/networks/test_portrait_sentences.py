"""Every sentence of a portrait, held against its data; one verdict on the largest exponent."""

import re
from dataclasses import replace

import numpy as np
import pytest
from artists import configured, labelled
from recomputed import facts, told_as

import rnnsim
from analysis.frame.words import Advice, Answer
from analysis.networks import portrait, portrait_page, portrait_plots
from rnnsim.experiments.portraits.portrait import subject_of

ANALYSED = portrait
TINY = portrait.Settings(gain=1.2, n_hidden=9, length=30, batch_size=3, n_threads=1)
CONVERGE = "No Lyapunov exponent is positive: trajectories that read the same input converge."
UNKNOWN = "Whether trajectories that read the same input converge is not known."


def with_exponents(data, exponents, errors, **settings):
    """The dataset with these first exponents, the others far below, and the dimension they give."""
    changed = data.assign(
        exponents=("unit", [*exponents, *(-5.0 - np.arange(9 - len(exponents)))]),
        exponent_errors=("unit", [*errors, *[0.01] * (9 - len(errors))]),
        kaplan_yorke_low=0.0 if exponents[0] <= 2 * errors[0] else 1.5,
        kaplan_yorke=1.75,
        kaplan_yorke_high=2.04,
        entropy_rate=float(np.maximum(exponents, 0.0).sum()),
    )
    return configured(changed, **settings) if settings else changed


def said(data):
    sentences = facts(portrait, {"portrait": data})
    assert len(sentences) == 5
    return sentences


def numbers(text):
    return [float(x) for x in re.findall(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?", text)]


@pytest.mark.parametrize(
    ("exponents", "errors", "fate", "chaos"),
    [
        ([-0.1], [0.04], "vanish, halving in 6.9 steps", CONVERGE),
        ([-0.1], [0.06], "not to be told from 0", None),
        ([0.1], [0.06], "not to be told from 0", None),
        ([0.0], [0.0], "not to be told from 0", None),
        ([-1e-15], [1e-17], "not to be told from 0", None),  # rounding
        ([0.1], [0.04], "explode, doubling in 6.9 steps", "1 of 9 Lyapunov exponents lie more"),
        ([0.2, 0.1, 0.01], [0.04, 0.04, 0.04], "explode, doubling in 3.5 steps", "2 of 9 Ly"),
        ([-0.1], [np.nan], "is -0.100 nats/step; its error is not known, nor whether", UNKNOWN),
        ([np.nan], [np.nan], "is not a number: the states left the range", UNKNOWN),
        ([-np.inf], [np.nan], "is -inf: a Jacobian is 0, no gradient passes it", CONVERGE),
    ],
)
def test_one_verdict_on_what_the_largest_exponent_says(data, exponents, errors, fate, chaos):
    first, _, _, fourth, _ = said(with_exponents(data, exponents, errors))
    assert fate in first
    if chaos is None:  # neither is claimed
        assert fourth.startswith("Whether trajectories that read the same input converge is not to")
        assert fourth.endswith("Kaplan-Yorke dimension given the input 0 to 2, undecided.")
    else:
        assert fourth.startswith(chaos)
    if chaos and chaos[0].isdigit():
        assert "dimension given the input 1.8, within two errors 1.5 to 2; the" in fourth
        total = np.maximum(exponents, 0.0).sum()
        assert fourth.endswith(f"the positive ones add up to {total:.3f} nats/step.")


def test_verdicts_agree_where_nothing_is_decided():
    data = portrait.compute(
        replace(TINY, gain=1.75, n_hidden=32, length=120, batch_size=8), progress=False
    )["portrait"]
    first, _, _, fourth, _ = said(data)
    exponent, error = float(data.exponents[0]), float(data.exponent_errors[0])
    assert abs(exponent) < 2 * error  # so that nothing is decided
    assert "not to be told from 0" in first
    assert "converge is not to be told" in fourth
    assert "undecided" in fourth
    assert (float(data.kaplan_yorke_low), float(data.kaplan_yorke)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        ("linear", "above 0: the states grow, there is no attractor; the positive"),
        ("relu", "1.5 to 2, of an attractor only if the states stay bounded; the positive"),
    ],
)
def test_networks_that_may_grow_are_not_said_to_have_an_attractor(data, activation, text):
    fourth = said(with_exponents(data, [0.3], [0.01], activation=activation))[3]
    assert text in fourth
    stable = said(with_exponents(data, [-0.3], [0.01], activation=activation))[3]
    assert stable == CONVERGE


def growth(data, rate, error, *, single=True, live=1.0, halves=(0.0, 0.0)):
    changes = {"growth_rate": rate, "growth_rate_error": error, "growth_live": live}
    changes |= {"growth_single": int(single), "growth_early": halves[0], "growth_late": halves[1]}
    return said(data.assign(changes))[1]


def test_the_sentence_on_growth(data):
    first, last = int(data.growth_first_lag), int(data.growth_last_lag)
    known = f"mean field says {float(data.theory_exponent):+z.3f} for the largest exponent"
    start = f"nats/step over lags {first} to {last}, for this network; {known}."
    assert growth(data, -0.25, 0.02) == f"Norms of gradients change by -0.250 +- 0.020 {start}"
    assert growth(data, -0.25, 0.2).endswith(f"{start} That is not to be told from 0.")
    bent = growth(data, -0.25, 0.02, single=False, halves=(-0.4, -0.125))
    assert bent.endswith(
        f"{start} There is no single rate: it is -0.400 in the first half of these lags and -0.125 "
        "in the second."
    )
    assert "Its error is not known" in growth(data, -0.25, np.nan)
    assert "not to be told" not in growth(data, -0.25, np.nan)
    assert "not 0 at the last of these lags, 62.5% of them." in growth(
        data, -0.25, 0.02, live=0.625
    )
    assert "more than 99.9% of them." in growth(data, -0.25, 0.02, live=0.9999)
    dead = growth(data, np.nan, np.nan, live=0.0)
    assert dead == (
        "No growth rate could be fitted to the norms of gradients: all are exactly 0 at lag "
        f"{last}."
    )
    assert growth(data, np.nan, np.nan).endswith("to the norms of gradients.")


def test_the_sentences_on_the_matrix_and_the_window(data):
    third, fifth = said(data)[2], said(data)[4]
    expected = [data.spectral_radius, data.spectral_norm, 100 * data.henrici_relative]
    expected.append(data.mean_slope)
    np.testing.assert_allclose(numbers(third), [float(x) for x in expected], atol=0.51)
    for value, digits in zip(numbers(third), (2, 2, 0, 2), strict=True):
        assert any(round(float(x), digits) == value for x in expected)
    window = float(data.sufficient_window)
    assert numbers(fifth) == [10, window, 30]


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 1},
        {"activation": "relu", "gain": 0.5},
        {"activation": "linear", "gain": 1e9, "length": 60},
        {"scheme": "identity", "gain": 0.0},
        {"n_hidden": 1, "length": 22, "batch_size": 1},
    ],
)
def test_sentences_of_extreme_networks_say_nothing_that_is_no_number(changes):
    data = portrait.compute(replace(TINY, **changes), progress=False)["portrait"]
    first, second, _, fourth, fifth = said(data)
    assert ("Its error is not known" in second) == bool(
        np.isfinite(data.growth_rate) and np.isnan(data.growth_rate_error)
    )
    for text in (first, second, fourth, fifth):
        assert "nan" not in text
    verdict = portrait.sign(data)
    assert fourth.startswith("No Lyapunov") == (verdict == -1)
    assert ("vanish, halving" in first or "-inf" in first) == (verdict == -1)
    assert ("explode, doubling" in first) == (verdict == 1)


def test_tables_give_the_error_of_growth_and_an_undecided_dimension(data):
    changed = with_exponents(data, [0.01], [0.02]).assign(
        kaplan_yorke=1.0, growth_rate=-0.25, growth_rate_error=0.02
    )
    _, rates, short = (dict(table.rows) for table in portrait_plots.numbers(changed))
    assert rates["gradients"] == "-0.250 ± 0.020"
    assert short["Kaplan-Yorke dim."] == "0 to 2 of 9"
    alone = changed.assign(growth_rate_error=np.nan, kaplan_yorke=np.nan)
    _, rates, short = (dict(table.rows) for table in portrait_plots.numbers(alone))
    assert rates["gradients"] == "-0.250 ± ?"
    assert short["Kaplan-Yorke dim."] == "unknown of 9"


def test_the_map_compares_each_sequence_with_itself():
    data = portrait.compute(
        replace(TINY, activation="relu", gain=1.0, n_hidden=2, seed=3), progress=False
    )["portrait"]
    shown = portrait_plots.plot_map(data).collections[0].get_array().reshape(30, 30)
    rnn, sequences, _ = portrait_subject(data)
    norms = rnnsim.gradient_flow(rnn, sequences).per_sequence[0]  # step, lag, sequence
    some = 0
    for i, k in np.ndindex(30, 30):
        alive = np.isfinite(norms[i, k])
        if k > i or not alive.any():
            continue
        own = (norms[i, k, alive] - norms[i, 0, alive]).mean() / np.log(10)
        np.testing.assert_allclose(np.ma.filled(shown, np.nan)[k, i], own, atol=1e-10)
        some += 0 < alive.sum() < 3
    assert some > 0  # so that it matters


def portrait_subject(data):
    """The network and batch that a portrait is of."""
    s = portrait_page.configuration(data)
    return subject_of(
        s["task"], s["length"], batch_size=s["batch_size"],
        networks=(s["scheme"], s["gain"], s["n_hidden"], s["seed"]),
        weights=None, activation=s["activation"], dtype=s["dtype"],
    )  # fmt: skip


@pytest.mark.parametrize("kind", [{}, {"cell": "lstm"}, {"cell": "gru", "n_layers": 2}], ids=str)
def test_one_sequence_has_a_rate_without_an_error(kind):
    data = portrait.compute(replace(TINY, batch_size=1, n_hidden=4, **kind), progress=False)
    found = data["portrait"]
    rate, error = float(found.growth_rate), float(found.growth_rate_error)
    assert np.isfinite(rate)
    assert np.isnan(error)
    sentences = facts(portrait, data)
    first, last = int(found.growth_first_lag), int(found.growth_last_lag)
    start = f"Norms of gradients change by {rate:+z.3f} nats/step over lags {first} to {last}, for"
    assert sentences[1].startswith(start)
    assert "Its error is not known: that takes two sequences, or a stream of ten" in sentences[1]
    assert not [each for each in sentences if re.search(r"\bnan\b", each)]


@pytest.mark.parametrize(
    ("exponents", "error", "answer"),
    [
        ([-0.1], 0.04, ["Gradients vanish in this network."]),
        ([-np.inf], np.nan, ["Gradients vanish in this network."]),
        ([0.1], 0.06, ["Gradients neither vanish nor explode clearly in this network."]),
        ([0.1], 0.04, ["Gradients explode in this network."]),
        ([-0.1], np.nan, []),
        ([np.nan], np.nan, []),
    ],
)
@pytest.mark.parametrize(
    ("window", "advice"),
    [
        (1.0, ["train through 1 step or more."]),
        (12.0, ["train through 12 steps or more."]),
        (30.0, ["do not truncate."]),
        (np.nan, []),
    ],
)
def test_answer_and_advice_follow_the_data(data, exponents, error, answer, window, advice):
    datasets = {"portrait": with_exponents(data, exponents, [error])}
    datasets["portrait"] = datasets["portrait"].assign(sufficient_window=window)
    assert told_as(portrait, datasets, Answer) == answer
    clip = ["clip gradients when this network is trained."] * ("explode in" in "".join(answer))
    assert told_as(portrait, datasets, Advice) == [*clip, *advice]


@pytest.mark.parametrize("gain", [0.3, 1.2, 2.5])
def test_the_caption_names_the_dashes_that_are_drawn(gain):
    network = portrait.compute(replace(TINY, gain=gain), progress=False)["portrait"]
    caption = portrait_plots.page(network).get_supxlabel()
    lags, errors = portrait_plots.plot_lags(network), portrait_plots.plot_truncation(network)
    assert ("called bound" in caption) == ("bound" in labelled(lags))
    rows = [
        name for name, ax in (("(e)", lags), ("(f)", errors)) if portrait_plots.RATE in labelled(ax)
    ]
    assert rows, "there is a rate to speak of"
    assert f", in {' and '.join(rows)} the rate" in caption
